"""Histories of clients, written and judged (the anomalies it finds: tests/README.md).

    python history.py write BOOTSTRAP TOPIC PARTITIONS NAME    an idempotent producer with acks=all; increasing numbers to all partitions in turn
    python history.py read BOOTSTRAP TOPIC PARTITIONS          a live reader of everything

Both write a line per operation to standard output, with the moment, until standard input ends: they may run in a network namespace, or
be stopped, without the test noticing more than that. `check` judges lines of writers and readers, and what is there after the final drain.
"""

import sys
import threading
import time


def write(bootstrap, topic, partitions, name):
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 0, "log_level": 0, "message.timeout.ms": 120000,
                         "socket.timeout.ms": 5000, "retry.backoff.ms": 50, "retry.backoff.max.ms": 200, "reconnect.backoff.ms": 50,
                         "reconnect.backoff.max.ms": 500, "topic.metadata.refresh.fast.interval.ms": 50})
    ended, number = _end_of_input(), 0

    def told(error, message, number, sent):
        if error is None:
            print("ok", name, number, message.partition(), message.offset(), sent, time.monotonic(), flush=True)
        else:
            # It may have been written all the same.
            print("unknown", name, number, str(error).replace(" ", "_"), flush=True)

    while not ended.is_set():
        sent = time.monotonic()
        try:
            producer.produce(topic, f"{name} {number}", partition=number % partitions,
                             on_delivery=lambda e, m, n=number, s=sent: told(e, m, n, s))
            number += 1
        except BufferError:
            pass
        producer.poll(0.005)
    left = producer.flush(130)
    print("done", name, number, left, flush=True)


def read(bootstrap, topic, partitions):
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "history", "enable.auto.commit": False, "auto.offset.reset": "error",
                         "log_level": 0, "socket.timeout.ms": 5000})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    ended = _end_of_input()
    while not ended.is_set():
        for message in consumer.consume(500, 0.2):
            if message.error() is None:
                print("read", message.partition(), message.offset(), *message.value().decode().split(), flush=True)
            elif not message.error().retriable() and message.error().code() in (1, -140, -168):
                # OFFSET_OUT_OF_RANGE, auto.offset.reset, log truncation: what was there is no more.
                print("gone", message.error().code(), flush=True)
    consumer.close()


def _end_of_input():
    ended = threading.Event()

    def wait():
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended


def check(writers, readers, final):
    """`writers` and `readers`: lists of lines; `final`: {partition: [(offset, (name, number))]} in the order read. Returns the anomalies, each
    by its name first; and how many acknowledged records there are."""
    anomalies, places, values = [], {}, {}

    def at(place, value, told):
        if values.setdefault(place, value) != value:
            anomalies.append(f"inconsistent-offsets: {value} {told} at {place}, where {values[place]} is")

    for partition, records in final.items():
        last = {}
        for before, after in zip(records, records[1:]):
            if after[0] <= before[0]:
                anomalies.append(f"nonmonotonic-poll: {partition}: {before[0]}, then {after[0]}")
        for offset, value in records:
            at((partition, offset), value, "was read at the end")
            if places.setdefault(value, (partition, offset)) != (partition, offset):
                anomalies.append(f"duplicate: {value} at {places[value]} and at {(partition, offset)}")
            name, number = value
            if last.get(name, -1) >= number:
                anomalies.append(f"nonmonotonic-send: {value} in {partition} after {last[name]}")
            last[name] = max(last.get(name, -1), number)
    acknowledged = 0
    finished = []  # (moment of the answer, offset) by partition
    for lines in writers:
        for line in lines:
            words = line.split()
            if words[0] != "ok":
                continue
            acknowledged += 1
            value = (words[1], int(words[2]))
            if words[4] == "None":
                # Acknowledged by the answer to a later one, while its own was lost: the client does not know where it is.
                if value not in places:
                    anomalies.append(f"unseen: {value}, acknowledged without an offset")
                continue
            place = (int(words[3]), int(words[4]))
            finished.append((place[0], float(words[5]), float(words[6]), place[1], value))
            at(place, value, "was acknowledged")
            if value not in places:
                highest = final.get(place[0], [(-1, None)])[-1][0] if final.get(place[0]) else -1
                anomalies.append(f"{'lost-write' if place[1] <= highest else 'unseen'}: {value}, acknowledged at {place}")
    # Whoever was answered before another was even sent comes first.
    for partition in {entry[0] for entry in finished}:
        answers = sorted((answered, offset) for p, _, answered, offset, _ in finished if p == partition)
        sends = sorted((sent, offset, value) for p, sent, _, offset, value in finished if p == partition)
        highest, next_answer = -1, 0
        for sent, offset, value in sends:
            while next_answer < len(answers) and answers[next_answer][0] < sent:
                highest = max(highest, answers[next_answer][1])
                next_answer += 1
            if offset <= highest:
                anomalies.append(f"acknowledged-back: {value} of {partition} at {offset}, {highest} was acknowledged before it was sent")
    for lines in readers:
        position = {}
        for line in lines:
            words = line.split()
            if words[0] == "gone":
                anomalies.append(f"gone: a reader's position was answered with {words[1]}")
            if words[0] != "read":
                continue
            partition, offset, value = int(words[1]), int(words[2]), (words[3], int(words[4]))
            at((partition, offset), value, "was read")
            expected = position.get(partition, 0)
            if offset != expected:
                anomalies.append(f"{'poll-skip' if offset > expected else 'nonmonotonic-poll'}: {partition}: {offset} instead of {expected}")
            position[partition] = offset + 1
            if places.get(value) != (partition, offset):
                anomalies.append(f"deleted: {value}, read at {(partition, offset)}, is not there at the end")
    return anomalies, acknowledged


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4]), *sys.argv[5:])
