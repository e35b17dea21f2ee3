"""Power losses of real brokers: what they had not flushed is gone. Of one broker at a time, under load: nothing acknowledged is lost. Of all at
once: nothing of a topic that is flushed before each acknowledgement; of any other one what may be lost is told.

`TESTS_SECONDS` says for how long brokers lose their power one after the other."""

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from case import ClusterCase, slow
from dev import Admin
from history import Clients, wait_until_all_go_on
from judge import around, check, compare
from power import Power, bytes_taken
from processes import wait_until
from test_operate import samples

PARTITIONS = 3


class Losses(ClusterCase):
    def cluster(self):
        """Three brokers whose data folders can lose their power."""
        self.power = Power(self.processes, {b: self.processes.dir / f"dev-data/broker-{b}/data" for b in (1, 2, 3)})
        self.cluster = self.dev(3, settings={"replica.lag.time.max.ms": 4000, "transaction.state.log.num.partitions": 3,
                                             "offsets.topic.num.partitions": 3})
        self.admin = Admin(self.cluster.bootstrap)
        return self.cluster

    def copies(self, topic, partition):
        return {f"broker {b}": self.cluster.data / f"broker-{b}/data/{topic}-{partition}" for b in (1, 2, 3)}

    def in_order(self, histories):
        """Ends the clients; their histories hold no anomaly and the copies are the same. Returns what was looked at."""
        anomalies, resent, looked_at, batches = [], [], 0, 0
        for clients in histories:
            found, operations = check(clients.all_lines(), clients.finish(), copies=partial(self.copies, clients.topic), resent=resent)
            anomalies, looked_at = anomalies + found, looked_at + operations
            self.admin.wait_for_isr(clients.topic, PARTITIONS, 3)
            for partition in range(PARTITIONS):
                found, compared, damaged = compare(self.copies(clients.topic, partition))
                anomalies += [f"{anomaly} of {clients.topic}-{partition}" for anomaly in found]
                batches += compared
                self.assertEqual(damaged, 0, f"{clients.topic}-{partition}")
        self.assertEqual(anomalies[:10], [], around(anomalies, self.copies))
        self.assertGreater(batches, 100)
        return f"{looked_at} operations, {batches} batches compared, {len(resent)} records sent under two epochs"

    @slow
    def test_a_broker_that_loses_its_power_under_load_costs_nothing_that_was_acknowledged(self):
        seconds = int(os.environ.get("TESTS_SECONDS", 20))
        cluster, histories = self.cluster(), []
        for topic, isolation in (("t", "read_uncommitted"), ("x", "read_committed")):
            cluster.topic_create(topic, PARTITIONS)
            histories.append(Clients(self.processes, cluster.bootstrap, topic, PARTITIONS, isolation=isolation))
        plain, transactions = histories
        plain.start("writer-a", "write", "a", 300).start("writer-b", "write", "b", 300, 1).start("reader", "read").start("watcher", "watch")
        plain.start("group", "commit", "g")
        transactions.start("writer-c", "transact", "c").start("reader", "read", "read_committed").start("groups", "offsets", "c")
        all_of = lambda: {(clients, name): clients.count(name) for clients in histories for name in clients.verbs}
        wait_until("everybody has begun", lambda: all(count > 20 for count in all_of().values()), 90)
        begun, losses, gone = time.monotonic(), 0, 0
        while losses < 3 or time.monotonic() < begun + seconds:
            broker = losses % 3 + 1
            self.whole()
            taken = self.power.lose({broker: cluster.pid(broker)})[broker]
            # The control: it is the unflushed bytes that are gone, and not only the process.
            self.assertGreater(bytes_taken(taken, "t"), 0, f"nothing was taken from broker {broker}: {taken}")
            losses, gone = losses + 1, gone + bytes_taken(taken, "t")
            cluster.restart(broker)
        self.whole()
        wait_until_all_go_on(all_of())
        print(f"({losses} losses took {gone} bytes of t; {self.in_order(histories)}) ", end="", flush=True)

    def whole(self):
        for topic in ("t", "x", "__consumer_offsets", "__transaction_state"):
            self.admin.wait_for_isr(topic, PARTITIONS, 3, 120)
        wait_until("all brokers vote", self.cluster.all_vote, 60, 0.3)

    @slow
    def test_when_all_lose_their_power_what_was_flushed_is_there_and_the_loss_of_the_rest_is_told(self):
        cluster = self.cluster()
        cluster.topic_create("flushed", PARTITIONS, configs={"flush.messages": 1})
        cluster.topic_create("t", PARTITIONS)
        for topic in ("flushed", "t"):
            self.admin.wait_for_isr(topic, PARTITIONS, 3)
        history = Clients(self.processes, cluster.bootstrap, "flushed", PARTITIONS)
        history.start("writer-a", "write", "a", 300).start("writer-b", "write", "b", 300, 1).start("reader", "read").start("watcher", "watch")
        acked = {}
        for turn in range(2):
            all_of = {(history, name): history.count(name) for name in history.verbs}
            wait_until_all_go_on(all_of)
            acked = self.write(cluster, 600, turn)
            taken = self.power.lose({b: cluster.pid(b) for b in (1, 2, 3)})
            for broker in (1, 2, 3):
                self.assertGreater(bytes_taken(taken[broker], "t"), 0, f"nothing was taken from broker {broker}: {taken}")
            # None of them can serve before another one is there too.
            with ThreadPoolExecutor() as pool:
                list(pool.map(cluster.restart, (1, 2, 3)))
            for topic in ("flushed", "t"):
                self.admin.wait_for_isr(topic, PARTITIONS, 3)
            left = self.read(cluster)
            lost = {place for place, value in acked.items() if left.get(place) != value}
            self.assertTrue(lost, "records that nobody had flushed survived a loss of all power")
            told = self.told(cluster)
            untold = sorted((partition, offset) for partition, offset in lost if told.get(("t", partition), offset + 1) > offset)
            self.assertEqual(untold[:5], [], f"{len(untold)} of {len(lost)} are lost and nobody has told it; told: {told}")
            self.assertEqual([at for at in told if at[0] == "flushed"], [])
            consoles = cluster.consoles().values()
            self.assertGreater(sum(samples(url)["esker_unclean_leaderships_total", ""] for url in consoles), 0)
        wait_until_all_go_on({(history, name): history.count(name) for name in history.verbs})
        print(f"(lost of the topic that is not flushed: {len(lost)} of {len(acked)} records; {self.in_order([history])}) ", end="", flush=True)

    def write(self, cluster, count, turn):
        """Records to `t`, all of them acknowledged by all replicas: (partition, offset) → value."""
        from confluent_kafka import Producer

        acked, failed = {}, []

        def told(error, message):
            if error is None:
                acked[message.partition(), message.offset()] = message.value()
            else:
                failed.append(str(error))

        producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all", "linger.ms": 0, "log_level": 0})
        for i in range(count):
            producer.produce("t", f"{turn} {i}", partition=i % PARTITIONS, on_delivery=told)
            producer.poll(0)
        self.assertEqual(producer.flush(60), 0)
        self.assertEqual((len(acked), failed), (count, []))
        return acked

    def read(self, cluster):
        """All of `t`: (partition, offset) → value."""
        from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

        consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "none", "enable.partition.eof": True, "log_level": 0})
        consumer.assign([TopicPartition("t", p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
        found, ended, deadline = {}, set(), time.monotonic() + 60
        while len(ended) < PARTITIONS:
            self.assertLess(time.monotonic(), deadline, f"read {len(found)} records, at the end of {ended}")
            for message in consumer.consume(500, 0.5):
                if message.error() is None:
                    found[message.partition(), message.offset()] = message.value()
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    ended.add(message.partition())
        consumer.close()
        return found

    def told(self, cluster):
        """(topic, partition) → the lowest offset from which on a broker has said that records may be lost."""
        told = {}
        for broker in (1, 2, 3):
            for line in (cluster.data / f"broker-{broker}/broker.log").read_text(errors="replace").splitlines():
                if "leads although no copy was left" in line:
                    fields = dict(re.findall(r"(\w+)=(\S+)", line))
                    topic, partition = fields["partition"].rsplit("-", 1)
                    at = topic, int(partition)
                    told[at] = min(told.get(at, int(fields["log_end"])), int(fields["log_end"]))
        return told
