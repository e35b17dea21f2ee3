"""A cluster comes back from the bucket alone at one consistent cut: exactly-once pipelines whose brokers all die at once, with tiers
that lag differently."""

import re
import shutil
import threading
import time
import urllib.request

from case import ClusterCase, slow
from dev import Admin, esker
from processes import wait_until

QUICK = {"cluster.id": "old-cluster", "remote.log.manager.task.interval.ms": 200, "log.retention.check.interval.ms": 500,
         "tier.backup.interval.ms": 500, "tier.cut.interval.ms": 1500, "offsets.topic.num.partitions": 4,
         "transaction.state.log.num.partitions": 4, "auto.create.topics.enable": "false"}
# What is tiered at once, and what waits until a segment is full.
QUICKLY = {"remote.storage.enable": "true", "segment.bytes": 65536, "local.retention.bytes": 1, "tier.max.lag.ms": 300}
SLOWLY = {"remote.storage.enable": "true", "segment.bytes": 131072, "local.retention.bytes": 1}
PIPES, AT_ONCE, PAUSE = 2, 4, 0.02


class Feed:
    """Numbers the records of `in`, partition by partition, until it is told to stop or cannot go on."""

    def __init__(self, bootstrap):
        self.bootstrap, self.stop = bootstrap, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        from confluent_kafka import Producer

        producer, number = Producer({"bootstrap.servers": self.bootstrap, "log_level": 0, "linger.ms": 5,
                                     "enable.idempotence": True}), 0
        while not self.stop.is_set():
            for partition in range(PIPES):
                producer.produce("in", f"{number}".ljust(400, "i").encode(), partition=partition)
            producer.poll(0)
            number += 1
            time.sleep(PAUSE / 2)
        producer.flush(5)


class Pipe:
    """Reads a partition of `in` and writes each record to `fast` and `slow` in one transaction with its offset."""

    def __init__(self, bootstrap, partition, until=None):
        self.bootstrap, self.partition, self.until = bootstrap, partition, until
        self.stop, self.error, self.committed = threading.Event(), None, 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

        quiet = {"bootstrap.servers": self.bootstrap, "log_level": 0}
        reader = Consumer({**quiet, "group.id": "pipes", "enable.auto.commit": False, "isolation.level": "read_committed"})
        writer = Producer({**quiet, "transactional.id": f"pipe-{self.partition}", "linger.ms": 1})
        try:
            writer.init_transactions(60)
            at = reader.committed([TopicPartition("in", self.partition)], 60)[0].offset
            reader.assign([TopicPartition("in", self.partition, max(at, 0) if at >= 0 else OFFSET_BEGINNING)])
            while not self.stop.is_set() and (self.until is None or at < self.until):
                batch = [m for m in reader.consume(AT_ONCE, 0.2) if m.error() is None]
                if not batch:
                    continue
                writer.begin_transaction()
                for message in batch:
                    value = message.value().rstrip(b"i").ljust(300, b"o")
                    writer.produce("fast", value, partition=self.partition)
                    writer.produce("slow", value, partition=self.partition)
                at = batch[-1].offset() + 1
                writer.send_offsets_to_transaction([TopicPartition("in", self.partition, at)], reader.consumer_group_metadata(), 30)
                # Long enough that many a cut falls between the writes and the decision.
                time.sleep(PAUSE)
                writer.commit_transaction(30)
                self.committed += 1
        except KafkaException as error:  # its brokers are gone
            self.error = error
        finally:
            reader.close()


class Cuts(ClusterCase):
    def numbers(self, dev, topic, partition):
        """What a read_committed reader is given up to the end."""
        from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

        reader = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": "looks", "isolation.level": "read_committed",
                           "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0})
        reader.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        found = []

        def at_the_end():
            message = reader.poll(1)
            if message is not None and message.error() is None:
                found.append(int(message.value().rstrip(b"io")))
            return message is not None and message.error() is not None and message.error().code() == KafkaError._PARTITION_EOF

        try:
            wait_until(f"a reader of {topic}-{partition} has reached the end", at_the_end, 90, 0)
        finally:
            reader.close()
        return found

    def offset(self, dev, partition):
        """Where the pipes go on."""
        from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

        asked = ConsumerGroupTopicPartitions("pipes", [TopicPartition("in", partition)])
        admin = Admin(dev.bootstrap)  # it goes with its last name, and its answers with it
        answer = admin.client.list_consumer_group_offsets([asked])["pipes"].result(30)
        return max(answer.topic_partitions[0].offset, 0)

    def ages(self, dev):
        """How old the newest cut is, in seconds, as those say who know of cuts."""
        told = []
        for url in dev.consoles().values():
            with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
                told += re.findall(r"^esker_tier_cut_age_seconds(?:\{\})? (\S+)$", answer.read().decode(), re.M)
        return [float(age) for age in told]

    def is_whole(self, dev, partition):
        """Whether what is read, what is written and what is committed tell of the same transactions."""
        fast, slow_, read = (self.numbers(dev, topic, partition) for topic in ("fast", "slow", "in"))
        offset = self.offset(dev, partition)
        self.figure(f"partition {partition}: {len(read)} read, {len(fast)} and {len(slow_)} written, {offset} committed")
        return fast == slow_ == read[:offset]

    def restored(self, name, store, *more):
        """Brokers with empty disks, brought back from a bucket."""
        dev = self.dev(3, tier=f"file://{store}", settings=QUICK, name=name)
        done = esker("tier", "restore-cluster", "--store", f"file://{store}", "--bootstrap-server", dev.bootstrap, *more,
                     timeout=300).stdout
        self.assertIn("cluster old-cluster is back", done)
        return dev

    @slow
    def test_an_exactly_once_pipeline_goes_on_where_it_stood_in_a_cluster_that_comes_back(self):
        store, copy = self.processes.dir / "tier", self.processes.dir / "copy"
        dev = self.dev(3, tier=f"file://{store}", settings=QUICK)
        dev.topic_create("in", PIPES, configs=QUICKLY)
        dev.topic_create("fast", PIPES, configs=QUICKLY)
        dev.topic_create("slow", PIPES, configs=SLOWLY)
        feed = Feed(dev.bootstrap)
        pipes = [Pipe(dev.bootstrap, partition) for partition in range(PIPES)]
        told = lambda: esker("tier", "restore-cluster", "--store", f"file://{store}", "--dry-run", check=False).stdout  # noqa: E731
        cuts = lambda: len(list((store / "old-cluster/cluster/cuts").glob("*")))  # noqa: E731
        wait_until("there are cuts", lambda: cuts() > 3, 60, 0.3)
        wait_until("one of them can be restored", lambda: "cut" in told() and "no cut" not in told(), 90, 0.5)
        self.assertLess(min(self.ages(dev)), 60, "the newest cut is not old")
        time.sleep(5)
        for broker in (1, 2, 3):
            dev.kill(broker)
        for each in [feed, *pipes]:
            each.stop.set()
        for each in [feed, *pipes]:
            each.thread.join(60)
        self.assertTrue(all(pipe.committed > 20 for pipe in pipes), [(pipe.committed, pipe.error) for pipe in pipes])
        dev.stop()
        shutil.rmtree(dev.data)
        shutil.copytree(store, copy)

        # Where each partition's tier ended, one tells of what the other has lost: or this test would show nothing.
        torn = self.restored("torn", copy, "--to", "end")
        self.assertFalse(all(self.is_whole(torn, partition) for partition in range(PIPES)))
        torn.stop()

        dev = self.restored("back", store)
        for partition in range(PIPES):
            self.assertTrue(self.is_whole(dev, partition), f"partition {partition} of the pipeline is torn")
            self.assertGreater(self.offset(dev, partition), 0, "the cut is not the beginning")
        # The same pipes go on, and each record is written once.
        ends = [len(self.numbers(dev, "in", partition)) for partition in range(PIPES)]
        pipes = [Pipe(dev.bootstrap, partition, ends[partition]) for partition in range(PIPES)]
        for partition, pipe in enumerate(pipes):
            pipe.thread.join(120)
            self.assertIsNone(pipe.error)
            for topic in ("fast", "slow"):
                self.assertEqual(self.numbers(dev, topic, partition), list(range(ends[partition])), topic)
