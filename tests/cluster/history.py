"""Clients that write down what they do and see, for `judge.py`.

    python history.py write BOOTSTRAP TOPIC PARTITIONS NAME [ROOM [FLIGHT]]   an idempotent producer with acks=all, FLIGHT requests at a time; increasing numbers to all partitions in turn
    python history.py transact BOOTSTRAP TOPIC PARTITIONS NAME      transactions over all partitions, of librdkafka, which read within them too and
                                                                    commit what they have read to (group within-NAME, the transaction's number as
                                                                    metadata); every fourth is aborted, one is left open
    python history.py read BOOTSTRAP TOPIC PARTITIONS [ISOLATION]   a live reader of everything
    python history.py watch BOOTSTRAP TOPIC PARTITIONS              high watermark, last stable offset and log start, as leaders tell them by raw
                                                                    fetches under the epoch that is asked for
    python history.py commit BOOTSTRAP TOPIC PARTITIONS GROUP       increasing offsets committed in a group, and asked for again
    python history.py ends BOOTSTRAP TOPIC PARTITIONS               the high watermarks, once
    python history.py offsets BOOTSTRAP TOPIC PARTITIONS NAME…      where the groups of transactors stand, asked with and without waiting for open transactions

Each writes a line per operation to standard output until standard input ends, so it may run in a network namespace, or be stopped, without
the test noticing more than that. Moments are of the monotonic clock, which all processes of a machine share. The lines:

    ok NAME NUMBER PARTITION OFFSET SENT ANSWERED · unknown NAME NUMBER WHY · done NAME COUNT LEFT
    begin NAME TRANSACTION MOMENT · saw NAME TRANSACTION PARTITION OFFSET NAME NUMBER · deciding, committed, aborted or undecided NAME TRANSACTION MOMENT
    read PARTITION OFFSET NAME NUMBER MOMENT · end PARTITION OFFSET · gone CODE · bad CODE
    mark PARTITION EPOCH HIGH-WATERMARK LAST-STABLE LOG-START MOMENT
    commit PARTITION OFFSET · group PARTITION OFFSET
    hangs NAME CALL SINCE MOMENT · sends NAME TRANSACTION PARTITION OFFSET · stood NAME stable or any PARTITION OFFSET TRANSACTION ASKED ANSWERED · ended NAME PARTITION OFFSET TRANSACTION

The records of transaction T of a writer have the numbers T × `RECORDS` and on.
"""

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time

RECORDS = 4  # of a transaction
TRANSACTION_TIMEOUT = 5.0
HANGS = 40.0  # a call that was given less has not come back
LEFT_OPEN = 5  # the number of the transaction that nobody ends
PATIENT = {"linger.ms": 0, "log_level": 0, "socket.timeout.ms": 5000, "retry.backoff.ms": 50, "retry.backoff.max.ms": 200,
           "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 500, "topic.metadata.refresh.fast.interval.ms": 50}
TOLD_WHY = {"debug": os.environ["HISTORY_DEBUG"], "log_level": 7} if "HISTORY_DEBUG" in os.environ else {}
READER = {"enable.auto.commit": False, "auto.offset.reset": "error", "log_level": 0, "socket.timeout.ms": 5000, "reconnect.backoff.max.ms": 500,
          "fetch.error.backoff.ms": 100, "check.crcs": True}
# OFFSET_OUT_OF_RANGE, auto.offset.reset, log truncation: what was there is no more.
GONE = (1, -140, -168)
BAD = -199  # bytes that the client itself finds damaged


def say(*words):
    print(*words, flush=True)


def write(bootstrap, topic, partitions, name, room="0", flight="5"):
    from confluent_kafka import Producer

    # A batch that fits into no segment is refused for good; librdkafka then takes a new epoch, under which it sends again what was in flight.
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "message.timeout.ms": 120000, "batch.size": 30000,
                         "max.in.flight.requests.per.connection": int(flight),
                         **PATIENT, **TOLD_WHY})
    ended, number, padding = _end_of_input(), 0, " " * int(room)

    def told(error, message, number, sent):
        if error is None:
            say("ok", name, number, message.partition(), message.offset(), sent, time.monotonic())
        else:
            # It may have been written all the same.
            say("unknown", name, number, str(error).replace(" ", "_"))

    while not ended.is_set():
        sent = time.monotonic()
        try:
            producer.produce(topic, f"{name} {number}{padding}", partition=number % partitions,
                             on_delivery=lambda e, m, n=number, s=sent: told(e, m, n, s))
            number += 1
        except BufferError:
            pass
        producer.poll(0.005)
    left = producer.flush(130)
    say("done", name, number, left)


class Transactor:
    def __init__(self, bootstrap, topic, partitions, name):
        self.bootstrap, self.topic, self.partitions, self.name = bootstrap, topic, partitions, name
        self.ended, self.life, self.producer = _end_of_input(), 0, None
        self.consumer = _member(bootstrap, name, "read_committed")
        self.hanging = []  # clients that have not come back from a call; kept, since to end them hangs too
        self.go_back()

    def begin_life(self):
        """A producer that has begun; the one before, if it was of the same id, is fenced by it and what it left open is aborted."""
        from confluent_kafka import KafkaException, Producer

        while True:
            try:
                self.producer = Producer({"bootstrap.servers": self.bootstrap, "transactional.id": f"{self.name}-{self.life}",
                                          "transaction.timeout.ms": int(1000 * TRANSACTION_TIMEOUT), **PATIENT, **TOLD_WHY})
                self.producer.init_transactions(30)
                return
            except KafkaException:  # a coordinator that moves
                time.sleep(0.2)

    def go_back(self):
        """Reads from where the group stands, as after every transaction that may not have been committed."""
        from confluent_kafka import TopicPartition

        stood, begun = None, time.monotonic()
        while stood is None:
            if time.monotonic() > begun + HANGS:
                say("hangs", self.name, "committed", begun, time.monotonic())
                self.hanging.append(self.consumer)
                self.consumer, begun = _member(self.bootstrap, self.name, "read_committed"), time.monotonic()
            stood = _stands(self.consumer, self.topic, self.partitions, self.name, "stable")
        self.consumer.assign([TopicPartition(self.topic, p, max(offset, 0)) for p, offset, _ in stood])
        return stood

    def run(self):
        self.begin_life()
        transaction = 0
        while not self.ended.is_set():
            say("begin", self.name, transaction, time.monotonic())
            outcome = self.one(transaction)
            say(outcome, self.name, transaction, time.monotonic())
            if outcome == "undecided" or self.producer is None:
                self.begin_life()
            if outcome != "committed":
                self.go_back()
            transaction += 1
        # Whoever is left open by an error is fenced, so that readers get to the end.
        self.begin_life()
        for stood in self.go_back():
            say("ended", self.name, *stood)
        say("done", self.name, transaction * RECORDS, 0)
        if self.hanging:
            os._exit(0)
        self.consumer.close()

    def send_offsets(self, read_to):
        """librdkafka may wait for ever, whatever the time it is given, when the group's coordinator goes (its issues 5456 and 5511): then this
        producer is left alone, and a new one fences it."""
        from confluent_kafka import KafkaException

        outcome = []

        def send(producer, group):
            try:
                producer.send_offsets_to_transaction(read_to, group, 30)
                outcome.append(None)
            except KafkaException as error:
                outcome.append(error)

        sending = threading.Thread(target=send, args=(self.producer, self.consumer.consumer_group_metadata()), daemon=True)
        begun = time.monotonic()
        sending.start()
        sending.join(HANGS)
        if not outcome:
            say("hangs", self.name, "send_offsets", begun, time.monotonic())
            self.hanging.append(self.producer)
        if outcome != [None]:
            raise outcome[0] if outcome else KafkaException(None)

    def abort(self, failed):
        """librdkafka gives the sequence number of a record that it purges to the next one of the same epoch, also when the broker has it already
        (see `test_transactions`), or will read it from a socket later: after a purge a new producer takes the next epoch."""
        from confluent_kafka import KafkaError

        self.producer.abort_transaction(30)
        self.producer.poll(0)
        if any(error.code() in (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT) for error in failed):
            self.producer = None

    def one(self, transaction):
        from confluent_kafka import KafkaException, TopicPartition

        deciding, failed, positions = False, [], {}

        def told(error, message, number, sent):
            if error is None:
                say("ok", self.name, number, message.partition(), message.offset(), sent, time.monotonic())
            else:
                failed.append(error)

        try:
            self.producer.begin_transaction()
            for number in range(transaction * RECORDS, (transaction + 1) * RECORDS):
                self.producer.produce(self.topic, f"{self.name} {number}", partition=number % self.partitions,
                                      on_delivery=lambda e, m, n=number, s=time.monotonic(): told(e, m, n, s))
            for message in self.consumer.consume(100, 0.05):
                if message.error() is None:
                    say("saw", self.name, transaction, message.partition(), message.offset(), *message.value().decode().split())
                    positions[message.partition()] = message.offset() + 1
            for partition, offset in positions.items():
                say("sends", self.name, transaction, partition, offset)
            if positions:
                read_to = [TopicPartition(self.topic, p, offset, str(transaction)) for p, offset in positions.items()]
                self.send_offsets(read_to)
            if transaction == LEFT_OPEN:
                # Nobody ends it but its time-out.
                self.producer.flush(30)
                self.producer, self.life = None, self.life + 1
                return "aborted"
            if transaction % 4 == 3:
                if transaction % 8 == 3:
                    self.producer.flush(30)  # nothing to purge: the next one is of the same epoch
                self.abort(failed)
                return "aborted"
            if self.producer.flush(30) or failed:
                raise KafkaException(failed[0] if failed else None)
            deciding = True
            say("deciding", self.name, transaction, time.monotonic())
            self.producer.commit_transaction(30)
            return "committed"
        except KafkaException as error:
            told_so = getattr(error.args[0], "txn_requires_abort", None) if error.args else None
            if told_so and told_so():
                try:
                    self.abort(failed)
                    return "aborted"
                except KafkaException:
                    pass
            self.producer = None  # made anew, under the same id
            return "undecided" if deciding else "aborted"


def read(bootstrap, topic, partitions, isolation="read_uncommitted"):
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "history", "isolation.level": isolation, "enable.partition.eof": True, **READER})
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    at = {}
    ended = _end_of_input()
    while not ended.is_set():
        for message in consumer.consume(500, 0.2):
            if message.error() is None:
                say("read", message.partition(), message.offset(), *message.value().decode().split(), time.monotonic())
            elif message.error().code() == KafkaError._PARTITION_EOF:
                if at.get(message.partition()) != message.offset():
                    at[message.partition()] = message.offset()
                    say("end", message.partition(), message.offset())
            elif message.error().code() in GONE:
                say("gone", message.error().code())
            elif message.error().code() == BAD:
                say("bad", BAD)
    consumer.close()


def ends(bootstrap, topic, partitions):
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec

    client = AdminClient({"bootstrap.servers": bootstrap, "socket.timeout.ms": 5000, "log_level": 0})
    asked = client.list_offsets({TopicPartition(topic, p): OffsetSpec.latest() for p in range(partitions)}, request_timeout=60)
    for place, told in asked.items():
        say("end", place.partition, told.result(90).offset)


def watch(bootstrap, topic, partitions):
    from messages import ask
    from wire import Closed, Connection

    addresses, connections, ended = bootstrap.split(","), {}, _end_of_input()
    marks, epochs = dict.fromkeys(range(partitions), 0), dict.fromkeys(range(partitions), -1)

    def call(address, api, version, values):
        try:
            if address not in connections:
                connections[address] = Connection(address, 3)
            return ask(connections[address], api, version, values)
        except (OSError, Closed, AssertionError):
            if address in connections:
                connections.pop(address).socket.close()
            return None

    turn = 0
    while not ended.is_set():
        turn += 1
        told = call(addresses[turn % len(addresses)], "Metadata", 8, {"Topics": [{"Name": topic}], "AllowAutoTopicCreation": False})
        if told:
            hosts = {b["NodeId"]: f"{b['Host']}:{b['Port']}" for b in told["Brokers"]}
            for found in told["Topics"][0]["Partitions"]:
                partition, epoch = found["PartitionIndex"], found["LeaderEpoch"]
                # Who is cut off may still name the leader of before, as the clients know by its epoch.
                if found["LeaderId"] not in hosts or epoch < epochs[partition]:
                    continue
                epochs[partition] = epoch
                answer = call(hosts[found["LeaderId"]], "Fetch", 11, {
                    "MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 1, "IsolationLevel": 1, "RackId": "", "Topics": [{"Topic": topic, "Partitions": [{
                        "Partition": partition, "CurrentLeaderEpoch": epoch, "FetchOffset": marks[partition], "PartitionMaxBytes": 1}]}]})
                data = answer and answer["Responses"][0]["Partitions"][0]
                if data and data["ErrorCode"] == 1:
                    say("gone", 1, partition, marks[partition], epoch)
                elif data and data["ErrorCode"] == 0:
                    marks[partition] = max(marks[partition], data["HighWatermark"])
                    say("mark", partition, epoch, data["HighWatermark"], data["LastStableOffset"], data["LogStartOffset"], time.monotonic())
        ended.wait(0.1)


def commit(bootstrap, topic, partitions, group):
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    ended, number = _end_of_input(), 0
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, **READER})
    while not ended.is_set():
        number += 1
        try:
            for one in consumer.commit(offsets=[TopicPartition(topic, p, number) for p in range(partitions)], asynchronous=False):
                if one.error is None:
                    say("commit", one.partition, one.offset)
        except KafkaException:
            pass  # it may have been committed all the same
        try:
            for one in consumer.committed([TopicPartition(topic, p) for p in range(partitions)], timeout=5):
                if one.error is None:
                    say("group", one.partition, one.offset)
        except KafkaException:
            pass
        ended.wait(0.05)
    consumer.close()


def offsets(bootstrap, topic, partitions, *names):
    ended = _end_of_input()
    asked = [(name, how, _member(bootstrap, name, isolation)) for name in names for how, isolation in (("stable", "read_committed"), ("any", "read_uncommitted"))]
    while not ended.is_set():
        for name, how, consumer in asked:
            _stands(consumer, topic, partitions, name, how)
        ended.wait(0.05)
    for _, _, consumer in asked:
        consumer.close()


def _member(bootstrap, name, isolation):
    """A client of the group of a transactor."""
    from confluent_kafka import Consumer

    return Consumer({"bootstrap.servers": bootstrap, "group.id": f"within-{name}", "isolation.level": isolation, **READER, **TOLD_WHY})


def _stands(consumer, topic, partitions, name, how):
    """Asks where the group of a transactor stands, and says it: (partition, offset, transaction) each, or None."""
    from confluent_kafka import KafkaException, TopicPartition

    asked = time.monotonic()
    try:
        told = consumer.committed([TopicPartition(topic, p) for p in range(partitions)], timeout=5)
    except KafkaException:
        return None
    answered = time.monotonic()
    # Below 0: it has none yet.
    stood = [(one.partition, one.offset, int(one.metadata) if one.offset >= 0 else -1) for one in told if one.error is None]
    for partition, offset, transaction in stood:
        say("stood", name, how, partition, offset, transaction, asked, answered)
    return stood if len(stood) == partitions else None


def _end_of_input():
    ended = threading.Event()

    def wait():
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended


class Clients:
    """The clients of one topic, as processes of a test. `place`: the words before a command that make it run where the clients are."""

    def __init__(self, processes, bootstrap, topic, partitions, place=(), isolation="read_uncommitted"):
        from processes import CACHE, ROOT

        self.processes, self.bootstrap, self.topic, self.partitions = processes, bootstrap, topic, partitions
        self.command = [*place, str(CACHE / "python/bin/python"), str(ROOT / "tests/cluster/history.py")]
        self.isolation, self.running, self.verbs = isolation, {}, {}

    def start(self, name, verb, *more):
        out = open(self.file(name), "wb")
        errors = open(self.processes.dir / f"{self.topic}-{name}.log", "wb")
        self.running[name] = subprocess.Popen([*self.command, verb, self.bootstrap, self.topic, str(self.partitions), *map(str, more)],
                                              stdin=subprocess.PIPE, stdout=out, stderr=errors)
        out.close()
        errors.close()
        self.verbs[name] = verb
        self.processes.running.append(self.running[name])
        return self

    def file(self, name):
        return self.processes.dir / f"{self.topic}-{name}.history"

    def lines(self, name):
        text = self.file(name).read_text()
        return text[:text.rfind("\n") + 1].splitlines()

    def hangs(self):
        """How often a client has not come back from a call."""
        return sum(line.startswith("hangs ") for lines in self.all_lines() for line in lines)

    def offsets_taken(self):
        """In how many transactions a transactor has found its group's offsets committed."""
        words = [line.split() for lines in self.all_lines() for line in lines]
        sent = {(line[1], line[2]) for line in words if line[0] == "sends"}
        return len(sent & {(line[1], line[2]) for line in words if line[0] == "committed"})

    def standstill(self, name):
        """What a client said last and where it stands, for the message of a failure."""
        self.running[name].send_signal(signal.SIGUSR1)
        time.sleep(0.5)
        return (f"{self.topic}-{name}: ended with {self.running[name].poll()}, last {self.lines(name)[-1:]}\n"
                f"{self.processes.log(f'{self.topic}-{name}', 40)}")

    def all_lines(self):
        return [self.lines(name) for name in self.verbs if name != "final"]

    def count(self, name):
        return len(self.lines(name))

    def end(self, *names):
        for name in names:
            self.running[name].stdin.close()
        for name in names:
            if self.running[name].wait(200) != 0:
                raise AssertionError(f"{self.topic}-{name} ended with an error: {self.processes.log(f'{self.topic}-{name}')}")

    def of(self, *verbs):
        return [name for name, verb in self.verbs.items() if verb in verbs and name != "final"]

    def finish(self, seconds=90):
        """Ends the writers, then the readers when they are at the end of all that was acknowledged, and reads all once more; returns that."""
        from processes import wait_until

        self.end(*self.of("write", "transact"))
        for name in self.of("write"):
            if self.lines(name)[-1].split()[-1] != "0":
                raise AssertionError(f"{name} has records without an answer: {self.lines(name)[-1]}")
        self.start("final", "read", self.isolation)
        wanted = self.ends()
        for name in (*self.of("read"), "final"):
            try:
                wait_until(f"{name} of {self.topic} is at the end", lambda: self.has_read(name, wanted), seconds, 0.3)
            except AssertionError as late:
                raise AssertionError(f"{late}: wanted {wanted}, at {self.positions(name)}") from None
        # A transaction whose outcome its client does not know may stand behind all of these.
        ends = self.high_watermarks()
        wait_until(f"final of {self.topic} is at the end of all, {ends}", lambda: all(self.reached("final").get(p, -1) >= end for p, end in ends.items()),
                   seconds, 0.3)
        self.end(*self.of("read", "watch", "commit", "offsets"), "final")
        final = {p: [] for p in range(self.partitions)}
        for line in self.lines("final"):
            words = line.split()
            if words[0] == "read":
                final[int(words[1])].append((int(words[2]), (words[3], int(words[4]))))
        return final

    def ends(self):
        """The last offset of each partition that readers must get to: of what was acknowledged, and of transactions what was committed."""
        ends = {}
        for name in self.of("write", "transact"):
            committed = {int(line.split()[2]) for line in self.lines(name) if line.startswith("committed ")}
            for line in self.lines(name):
                words = line.split()
                if words[0] == "ok" and words[4] != "None" and (self.verbs[name] == "write" or int(words[2]) // RECORDS in committed):
                    ends[int(words[3])] = max(ends.get(int(words[3]), -1), int(words[4]))
        return ends

    def high_watermarks(self):
        told = subprocess.run([*self.command, "ends", self.bootstrap, self.topic, str(self.partitions)], capture_output=True, text=True, timeout=120, check=True)
        return {int(words[1]): int(words[2]) for words in map(str.split, told.stdout.splitlines())}

    def reached(self, name):
        """The ends of partitions that a reader has come to."""
        lines = (line.split() for line in self.lines(name))
        return {int(words[1]): int(words[2]) for words in lines if words[0] == "end"}

    def positions(self, name):
        seen = {}
        for line in self.lines(name):
            words = line.split()
            if words[0] == "read":
                seen[int(words[1])] = int(words[2])
        return seen

    def has_read(self, name, ends):
        seen = self.positions(name)
        return all(seen.get(partition, -1) >= last for partition, last in ends.items())


def wait_until_all_go_on(before, seconds=120):
    """Each client of `before`, {(its `Clients`, its name): how many lines it had}, has done something since; who has not is named, with what he said last."""
    from processes import wait_until

    late = lambda: [(clients, name) for (clients, name), count in before.items() if clients.count(name) <= count + 10]
    try:
        wait_until("everybody goes on", lambda: not late(), seconds)
    except AssertionError as failure:
        raise AssertionError("\n".join([str(failure), *(clients.standstill(name) for clients, name in late())])) from None


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    what, arguments = sys.argv[1], (sys.argv[2], sys.argv[3], int(sys.argv[4]), *sys.argv[5:])
    if what == "transact":
        Transactor(*arguments).run()
    else:
        {"write": write, "read": read, "watch": watch, "commit": commit, "offsets": offsets, "ends": ends}[what](*arguments)
