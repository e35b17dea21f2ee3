"""What a move of a partition costs: from the tier only its hot tail goes over the wire; a throttle, progress and a cancelled move, by Kafka's tool
and by ours."""

import json
import time
import urllib.request

from case import ClusterCase, slow
from dev import Admin, esker
from processes import ESKER, kafka_tool, wait_until

RECORDS, WIDTH = 16_000, 1000
SIZE = RECORDS * WIDTH
TOOL = "org.apache.kafka.tools"


def fill(bootstrap, topic, records=RECORDS):
    """Records that are their numbers."""
    from confluent_kafka import Producer

    failed = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 20, "enable.idempotence": True, "batch.size": 100_000, "log_level": 0})
    for number in range(records):
        while True:
            try:
                producer.produce(topic, f"{number:09}".encode() + b"." * (WIDTH - 9), partition=0,
                                 on_delivery=lambda e, _: e and failed.append(e))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(120) == 0 and not failed, failed[:3]


def numbers(bootstrap, topic, records=RECORDS):
    """What is read back, in its order."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "check", "enable.auto.commit": False, "log_level": 0})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    found, deadline = [], time.monotonic() + 120
    while len(found) < records and time.monotonic() < deadline:
        found += [int(m.value()[:9]) for m in consumer.consume(2000, 0.5) if m.error() is None]
    consumer.close()
    return found


class Moves(ClusterCase):
    def cluster(self, **more):
        self.cluster_of_four = dev = self.dev(4, **more)
        self.admin, self.at = Admin(dev.bootstrap), ["--bootstrap-server", dev.bootstrap]
        return dev

    def create(self, topic, *configs):
        kafka_tool(f"{TOOL}.TopicCommand", *self.at, "--create", "--topic", topic, "--replica-assignment", "1:2:3",
                   *(word for config in configs for word in ("--config", config)))

    def received(self, broker):
        """Bytes that a broker has had from others since it started."""
        with urllib.request.urlopen(f"{self.cluster_of_four.consoles()[broker]}/metrics", timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("esker_peer_received_bytes_total"))

    def reassign(self, topic, replicas, command="--execute", *more):
        plan = self.processes.dir / "plan.json"
        plan.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "replicas": replicas}]}))
        return kafka_tool(f"{TOOL}.reassign.ReassignPartitionsCommand", *self.at, "--reassignment-json-file", plan, command, *more)

    def are(self, topic, replicas):
        return lambda: self.admin.partition(topic)[1:] == (replicas, replicas)

    def on_disk(self, topic, broker):
        return sum(f.stat().st_size for f in self.cluster_of_four.data.glob(f"broker-{broker}/data/{topic}-0/*.log"))

    @slow
    def test_a_tiered_partition_moves_by_its_hot_tail_and_another_one_as_a_whole(self):
        dev = self.cluster(tier=f"file://{self.processes.dir}/cold", settings={"log.retention.check.interval.ms": 300,
                                                                              "remote.log.manager.task.interval.ms": 300})
        self.create("tiered", "remote.storage.enable=true", f"segment.bytes={1 << 20}", "local.retention.bytes=1")
        self.create("plain")
        for topic in ("tiered", "plain"):
            fill(dev.bootstrap, topic)
        wait_until("nine tenths are cold", lambda: all((dev.local_start("tiered", 0, b) or 0) > 0.9 * RECORDS for b in (1, 2, 3)), 120, 0.3)
        moved = {}
        for topic in ("tiered", "plain"):
            before = self.received(4)
            self.reassign(topic, [4, 2, 3])
            wait_until(f"the replicas of {topic} are 2, 3 and 4", self.are(topic, [2, 3, 4]), 90)
            moved[topic] = self.received(4) - before
        print("({}) ".format(", ".join(f"{topic}: {bytes / SIZE:.1%} of {SIZE / 1e6:.0f} MB moved" for topic, bytes in moved.items())),
              end="", flush=True)
        self.assertLess(moved["tiered"], 0.2 * SIZE)
        self.assertGreater(moved["plain"], 0.95 * SIZE, "the control: the same measure shows a whole copy")
        self.assertGreater(dev.local_start("tiered", 0, 4), 0.9 * RECORDS)
        # And whoever never had them serves them.
        for topic in ("tiered", "plain"):
            wait_until(f"4 leads {topic}", lambda: self.admin.partition(topic)[0] == 4, 30)
            self.assertEqual(numbers(dev.bootstrap, topic), list(range(RECORDS)), topic)

    @slow
    def test_a_throttled_move_shows_how_far_it_is_and_is_cancelled_without_a_trace(self):
        dev = self.cluster()
        self.create("t")
        fill(dev.bootstrap, "t")
        rate = 200_000
        with self.subTest("Kafka's tool"):
            before, begun = self.received(4), time.monotonic()
            self.reassign("t", [4, 2, 3], "--execute", "--throttle", rate)
            self.moves_slowly(before, begun, rate)
            told = kafka_tool(f"{TOOL}.reassign.ReassignPartitionsCommand", *self.at, "--list")
            self.assertRegex(told, r"t-0: replicas: [\d,]+\. adding: 4\. removing: 1")
            self.assertIn("is still in progress", self.reassign("t", [4, 2, 3], "--verify", "--preserve-throttles"))
            self.reassign("t", [4, 2, 3], "--cancel")
            self.is_as_before()
        with self.subTest("our own command"):
            before, begun = self.received(4), time.monotonic()
            drain = self.processes.start("drain", [ESKER, "cluster", "drain", 1, "--throttle", rate, *self.at])
            self.moves_slowly(before, begun, rate)
            self.assertRegex(self.processes.log("drain"), r"0 of \d+ partitions have moved")
            self.assertIn("1 moves were cancelled", esker("cluster", "undrain", 1, *self.at).stdout)
            self.assertNotEqual(drain.wait(60), 0, "whoever waits for the drain is told")
            self.assertIn("were cancelled", self.processes.log("drain"))
            self.is_as_before()
        # And without a throttle it goes to its end.
        self.reassign("t", [4, 2, 3])
        wait_until("the replicas are 2, 3 and 4", self.are("t", [2, 3, 4]), 90)
        self.assertEqual(numbers(dev.bootstrap, "t"), list(range(RECORDS)))

    def moves_slowly(self, before, begun, rate):
        """A second of the rate and more has arrived, and not more than the rate allows: a burst of a second, and a frame."""
        wait_until("some of it has moved", lambda: self.on_disk("t", 4) > 1.5 * rate, 60)
        moved, seconds = self.received(4) - before, time.monotonic() - begun
        self.assertLess(moved, rate * (seconds + 1) + (2 << 20), f"after {seconds:.1f} s")
        self.assertIn(4, self.admin.partition("t")[1])
        self.assertEqual(self.admin.partition("t")[2], [1, 2, 3])

    def is_as_before(self):
        wait_until("the replicas are what they were", self.are("t", [1, 2, 3]), 30)
        wait_until("broker 4 has nothing of it", lambda: not list(self.cluster_of_four.data.glob("broker-4/data/t-0/*.log")), 30)
        told = esker("topic", "describe", "t", *self.at).stdout
        self.assertNotIn("throttled", told)
