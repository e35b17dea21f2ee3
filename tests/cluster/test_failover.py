"""A leader dies: the longest stall of an acks=all producer, and that nothing acknowledged is lost."""

import os
import statistics
import threading
import time

from case import ClusterCase, slow
from clients import consume
from dev import Admin
from processes import wait_until


class Writer(threading.Thread):
    """An idempotent producer with acks=all that never stops, and remembers when each record was acknowledged."""

    def __init__(self, bootstrap, topic):
        super().__init__(daemon=True)
        from confluent_kafka import Producer

        self.topic = topic
        self.producer = Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 0, "log_level": 0, "retry.backoff.ms": 50,
            "retry.backoff.max.ms": 100, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100,
            "topic.metadata.refresh.fast.interval.ms": 50, "message.timeout.ms": 60000, "socket.timeout.ms": 5000,
        })
        self.acked, self.failed, self.times = [], [], []
        self.running, self.sent = True, 0

    def run(self):
        while self.running:
            number = self.sent
            self.producer.produce(self.topic, str(number), on_delivery=lambda e, m, n=number: self.delivered(e, m, n))
            self.sent += 1
            self.producer.poll(0.005)
        self.producer.flush(60)

    def delivered(self, error, message, number):
        if error is not None:
            self.failed.append((number, str(error)))
            return
        self.acked.append((number, message.offset()))
        self.times.append(time.monotonic())

    def longest_gap(self, since):
        """The longest time without an acknowledgement since then."""
        times = [since, *[t for t in list(self.times) if t >= since]]
        return max(b - a for a, b in zip(times, times[1:]))

    def finish(self):
        self.running = False
        self.join(70)


class Failover(ClusterCase):
    @slow
    def test_a_killed_leader_stalls_an_acks_all_producer_for_less_than_ten_seconds_and_loses_nothing(self):
        kills = int(os.environ.get("TESTS_KILLS", 6))
        dev = self.dev(3)
        dev.topic_create("t")
        admin = Admin(dev.bootstrap)
        admin.wait_for_isr("t", 1, 3)
        writer = Writer(dev.bootstrap, "t")
        writer.start()
        wait_until("the writer writes", lambda: len(writer.acked) > 200)
        stalls = {True: [], False: []}
        for _ in range(kills):
            admin.wait_for_isr("t", 1, 3)
            leader, controller = admin.partition("t")[0], admin.controller()
            begun = time.monotonic()
            dev.kill(leader)
            done = len(writer.acked)
            wait_until("the writer goes on", lambda: len(writer.acked) > done + 100, 30)
            stalls[leader == controller].append(writer.longest_gap(begun - 0.2))
            dev.restart(leader)
        admin.wait_for_isr("t", 1, 3)
        writer.finish()
        for with_raft_leader, seen in stalls.items():
            if seen:
                print(f"(stall {'with' if with_raft_leader else 'without'} the Raft leader: {len(seen)} kills, p50 "
                      f"{statistics.median(seen):.2f} s, max {max(seen):.2f} s) ", end="", flush=True)
        self.assertEqual(writer.failed, [])
        self.assertEqual(len(writer.acked), writer.sent)
        self.check_all_there(dev.bootstrap, writer)
        self.assertLess(max(stalls[True] + stalls[False]), 10)

    def check_all_there(self, bootstrap, writer):
        """Every acknowledged record is where its acknowledgement said, once, in the order of sending."""
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "check", "enable.auto.commit": False})
        consumer.assign([TopicPartition("t", 0, OFFSET_BEGINNING)])
        found, deadline = {}, time.monotonic() + 60
        while len(found) < len(writer.acked) and time.monotonic() < deadline:
            for message in consumer.consume(1000, 0.5):
                self.assertIsNone(message.error())
                found[message.offset()] = int(message.value())
        consumer.close()
        self.assertEqual(found, {offset: number for number, offset in writer.acked})
        self.assertEqual(list(dict(sorted(found.items())).values()), sorted(found.values()))

    @slow
    def test_a_controlled_stop_of_a_broker_moves_its_leaders_and_loses_nothing(self):
        import signal as signals

        dev = self.dev(3)
        dev.topic_create("t")
        admin = Admin(dev.bootstrap)
        admin.wait_for_isr("t", 1, 3)
        writer = Writer(dev.bootstrap, "t")
        writer.start()
        wait_until("the writer writes", lambda: len(writer.acked) > 200)
        leader = admin.partition("t")[0]
        dev.signal(leader, signals.SIGTERM)
        wait_until("another leads", lambda: admin.partition("t")[0] not in (leader, -1), 20)
        done = len(writer.acked)
        wait_until("the writer goes on", lambda: len(writer.acked) > done + 100, 30)
        wait_until("it has ended", lambda: f"broker {leader} ended" in dev.output(), 30)
        dev.restart(leader)
        admin.wait_for_isr("t", 1, 3)
        writer.finish()
        self.assertEqual(writer.failed, [])
        self.check_all_there(dev.bootstrap, writer)

    @slow
    def test_without_min_in_sync_replicas_nothing_is_acknowledged_and_then_it_goes_on(self):
        from confluent_kafka import Producer

        dev = self.dev(3)
        dev.topic_create("t", configs={"min.insync.replicas": 3})
        admin = Admin(dev.bootstrap)
        admin.wait_for_isr("t", 1, 3)
        leader, replicas, _ = admin.partition("t")
        follower = next(r for r in replicas if r != leader and r != admin.controller())
        dev.kill(follower)
        wait_until("the ISR shrinks", lambda: len(admin.partition("t")[2]) == 2, 15)
        outcome = []
        producer = Producer({"bootstrap.servers": dev.bootstrap, "acks": "all", "message.timeout.ms": 3000,
                             "retries": 1})
        producer.produce("t", b"x", on_delivery=lambda error, _: outcome.append(error))
        producer.flush(20)
        self.assertIsNotNone(outcome[0])
        dev.restart(follower)
        admin.wait_for_isr("t", 1, 3)
        producer = Producer({"bootstrap.servers": dev.bootstrap, "acks": "all"})
        producer.produce("t", b"y", on_delivery=lambda error, _: outcome.append(error))
        producer.flush(20)
        self.assertIsNone(outcome[1])
