"""Compacted topics on three brokers: every copy shrinks to the last record of each key, every client reads it, a follower
that was away takes it over, and Kafka's tool reads the files. The offsets topic is compacted too."""

import hashlib
import unittest
from concurrent.futures import ThreadPoolExecutor

from case import ClusterCase, slow
from clients import consume
from dev import Admin
from processes import wait_until
from test_log_files import complaints, dump, log_files

SETTINGS = {"log.cleaner.backoff.ms": 200, "log.retention.check.interval.ms": 300}
CONFIGS = {"cleanup.policy": "compact", "segment.bytes": 65536, "min.cleanable.dirty.ratio": "0.01"}
KEYS = 60


def size(dev, topic, broker):
    return sum(f.stat().st_size for f in dev.data.glob(f"broker-{broker}/data/{topic}-0/*.log"))


CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def write(bootstrap, topic, count, seed, tombstones=False, codecs=CODECS):
    """Values by several codecs, half of them by an idempotent producer; the last value of each key."""
    from confluent_kafka import Producer

    last = {}
    for turn, codec in enumerate(codecs):
        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 2,
                             "batch.num.messages": 20, "acks": "all", "enable.idempotence": turn % 2 == 0})
        failed = []
        for i in range(count // len(codecs)):
            key = f"key-{(i * 7 + turn) % KEYS}"
            dead = tombstones and i % 40 > 35
            value = None if dead else f"{seed}:{i}:{turn}:{hashlib.sha256(str(i).encode()).hexdigest()}"
            last[key] = value
            producer.produce(topic, value, key, on_delivery=lambda error, _: error and failed.append(error))
            producer.poll(0)
        assert producer.flush(60) == 0 and not failed, failed
    return last


def read(bootstrap, topic):
    """(offset, key, value) of everything, up to the end."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False,
                         "enable.partition.eof": True, "check.crcs": True})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    rows = []
    while True:
        message = consumer.poll(30)
        assert message is not None, f"nothing for 30 s after {len(rows)} records"
        if message.error():
            assert message.error().code() == -191, message.error()
            consumer.close()
            return rows
        value = message.value()
        rows.append((message.offset(), message.key().decode(), value.decode() if value is not None else None))


class Compaction(ClusterCase):
    @slow
    def test_a_compacted_topic_is_small_and_whole_on_every_broker_for_every_client(self):
        dev = self.dev(3, settings=SETTINGS)
        dev.topic_create("t", configs=CONFIGS)
        dev.topic_create("deleted", configs=dict(CONFIGS, **{"delete.retention.ms": 1000}))
        admin = Admin(dev.bootstrap)
        expected = write(dev.bootstrap, "t", 8000, "a")
        for broker in range(1, 4):
            wait_until(f"broker {broker} has compacted", lambda: size(dev, "t", broker) < 150_000, 60, 0.2)
        self.check(dev, expected, "all brokers")
        # kafkajs reads no other codecs by itself.
        dev.topic_create("node", configs=CONFIGS)
        last = write(dev.bootstrap, "node", 4000, "n", codecs=["none", "gzip"])
        wait_until("it is compacted", lambda: size(dev, "node", 1) < 150_000, 60, 0.2)
        self.check(dev, last, "kafkajs", topic="node", clients=["node"])
        self.check_tombstones(dev, write(dev.bootstrap, "deleted", 4000, "d", tombstones=True))
        leader = admin.partition("t", 0)[0]
        away = next(broker for broker in range(1, 4) if broker != leader)
        dev.kill(away)
        expected |= write(dev.bootstrap, "t", 8000, "b")
        wait_until("the leader has compacted", lambda: size(dev, "t", leader) < 150_000, 60, 0.2)
        dev.restart(away)
        admin.wait_for_isr("t", 1, 3)
        self.check(dev, expected, "after a follower has come back")
        dev.kill(leader)
        wait_until("another broker leads", lambda: admin.partition("t", 0)[0] not in (leader, -1), 30, 0.2)
        dev.restart(leader)
        admin.wait_for_isr("t", 1, 3)
        self.check(dev, expected, "from another leader")
        self.assertEqual(dev.stop(), 0)
        for broker in range(1, 4):
            said = dump(log_files(dev.data / f"broker-{broker}/data/t-0"))
            # Kafka's own compacted logs have gaps between records too.
            self.assertEqual([c for c in complaints(said) if "consecutive" not in c], [], said[-3000:])

    def check(self, dev, expected, when, topic="t", clients=("java", "python", "go")):
        rows = read(dev.bootstrap, topic)
        offsets = [offset for offset, _, _ in rows]
        self.assertEqual(offsets, sorted(set(offsets)), when)
        self.assertEqual({key: value for _, key, value in rows}, expected, when)

        def by(client):
            found = consume(self.processes, client, dev.bootstrap, topic, len(rows), timeout=60)
            return [(offset, key) for _, offset, key, _, _ in found]

        try:
            with ThreadPoolExecutor(2) as pool:
                for client, found in zip(clients, pool.map(by, clients)):
                    self.assertEqual(sorted(found), [(offset, key) for offset, key, _ in rows], f"{when}: {client}")
        except AssertionError:
            if read(dev.bootstrap, topic) == rows:
                raise
            # Another pass of compaction has come in between: there are fewer now.
            self.check(dev, expected, when, topic, clients)

    def check_tombstones(self, dev, expected):
        """A deleted key has its tombstone or nothing, never an older value."""
        wait_until("it is compacted", lambda: size(dev, "deleted", 1) < 150_000, 60, 0.2)
        seen = {key: value for _, key, value in read(dev.bootstrap, "deleted")}
        self.assertIn(None, expected.values())
        for key, value in expected.items():
            self.assertEqual(seen.get(key), value, key)

    def test_the_offsets_topic_is_compacted_and_the_offsets_survive(self):
        from confluent_kafka import Consumer, TopicPartition

        dev = self.dev(1, settings=dict(SETTINGS, **{
            "offsets.topic.num.partitions": 1, "offsets.topic.segment.bytes": 20_000,
            "log.cleaner.min.cleanable.ratio": "0.01"}))
        dev.topic_create("t", 4)
        consumer = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": "g", "enable.auto.commit": False})
        for i in range(1, 1501):
            consumer.commit(offsets=[TopicPartition("t", i % 4, i)], asynchronous=False)
        consumer.close()
        wait_until("it is compacted", lambda: size(dev, "__consumer_offsets", 1) < 45_000, 60, 0.2)
        self.assertEqual(dev.stop(), 0)
        dev.start()
        consumer = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": "g"})
        committed = consumer.committed([TopicPartition("t", p) for p in range(4)], 30)
        consumer.close()
        self.assertEqual([p.offset for p in committed], [1500, 1497, 1498, 1499])


if __name__ == "__main__":
    unittest.main()
