"""What is built on Kafka's clients, with the real jars: Kafka Streams exactly once, Connect in its distributed mode, and
MirrorMaker 2 from Apache Kafka into Esker."""

import json
import shutil
import signal
import urllib.error
import urllib.request
from collections import Counter, defaultdict

from case import ClusterCase, slow
from kafka_peer import kafka
from processes import CACHE, JAVA, KAFKA_JARS, free_ports, wait_until

START = 1_700_000_000_000
WORDS = [f"w{i}" for i in range(17)]


class Read:
    """Everything of some topics that is committed, as it comes: (topic, key, value)."""

    def __init__(self, bootstrap, topics):
        from confluent_kafka import Consumer, TopicPartition, OFFSET_BEGINNING

        self.rows, self.places = [], set()
        self.consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False,
                                  "isolation.level": "read_committed", "log_level": 0})
        found = self.consumer.list_topics(timeout=30).topics
        self.consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for topic in topics for p in found[topic].partitions])

    def poll(self):
        for message in self.consumer.consume(1000, timeout=0.2):
            if message.error():
                continue
            place = (message.topic(), message.partition(), message.offset())
            assert place not in self.places, f"{place} came twice"
            self.places.add(place)
            key = (message.key() or b"").decode()
            self.rows.append((message.topic(), key, message.value().decode()))

    def until(self, what, check, seconds=90):
        def polled():
            self.poll()
            return check()

        try:
            wait_until(what, polled, seconds, 0)
        except AssertionError as late:
            raise AssertionError(f"{late}: {Counter(topic for topic, _, _ in self.rows)}") from None

    def values(self, topic):
        """The values of each key, in their order."""
        found = defaultdict(list)
        for name, key, value in self.rows:
            if name == topic:
                found[key].append(value)
        return found


def send(bootstrap, rows):
    """Produces (topic, key, value, timestamp)s; all must be acknowledged."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0})
    for topic, key, value, timestamp in rows:
        producer.produce(topic, value, key, timestamp=timestamp)
    assert producer.flush(60) == 0


class Streams(ClusterCase):
    @slow
    def test_words_windows_and_joins_are_exact_though_the_program_is_killed_and_loses_its_state(self):
        dev = self.dev(3)
        for topic in ("words", "left", "right", "counted", "windowed", "joined"):
            dev.topic_create(topic, partitions=2)
        state = self.processes.dir / "state"

        def start(name):
            command = [*JAVA, f"{CACHE}/java-client:{KAFKA_JARS}/*", "Streams", dev.bootstrap, "streams", state]
            return self.processes.start(name, command)

        lines = [(f"k{i}", " ".join(WORDS[(i * j) % len(WORDS)] for j in range(1, 4)), START + 500 * i) for i in range(200)]
        counts, windows = Counter(), Counter()
        for _, line, at in lines:
            for word in line.split():
                counts[word] += 1
                windows[f"{word}@{at // 10_000 * 10_000}"] += 1

        def half(number):
            part = slice(100 * number, 100 * (number + 1))
            send(dev.bootstrap, [("words", *line) for line in lines[part]])
            send(dev.bootstrap, [(side, f"j{i}", f"{side}{i}", START + i) for i in range(part.start, part.stop)
                                 for side in ("left", "right")])

        read = Read(dev.bootstrap, ["counted", "windowed", "joined"])
        try:
            first = start("streams-1")
            half(0)
            read.until("some of the first half is counted", lambda: len(read.rows) > 200)
            half(1)
            first.send_signal(signal.SIGKILL)
            first.wait(10)
            shutil.rmtree(state)
            second = start("streams-2")
            read.until("all is counted and joined", lambda: len(read.rows) >= 2 * sum(counts.values()) + len(lines), 150)
            self.assertIsNone(second.poll())
            # What is wrong would come late.
            for _ in range(5):
                read.poll()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.processes.log('streams-1')}\n{self.processes.log('streams-2')}") from None
        for topic, wanted in (("counted", counts), ("windowed", windows)):
            found = read.values(topic)
            self.assertEqual({key: [int(v) for v in values] for key, values in found.items()},
                             {key: list(range(1, count + 1)) for key, count in wanted.items()}, topic)
        self.assertEqual(read.values("joined"), {f"j{i}": [f"left{i}|right{i}"] for i in range(len(lines))})


class Connect(ClusterCase):
    @slow
    def test_a_file_goes_through_a_distributed_worker_once_and_the_worker_goes_on_after_a_kill(self):
        dev = self.dev(1)
        source, sink = self.processes.dir / "source.txt", self.processes.dir / "sink.txt"
        (port,) = free_ports(1)
        settings = {
            "bootstrap.servers": dev.bootstrap, "group.id": "connect", "listeners": f"http://127.0.0.1:{port}",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "config.storage.topic": "connect-configs", "offset.storage.topic": "connect-offsets",
            "status.storage.topic": "connect-status", "config.storage.replication.factor": 1,
            "offset.storage.replication.factor": 1, "status.storage.replication.factor": 1, "offset.storage.partitions": 2,
            "offset.flush.interval.ms": 500, "exactly.once.source.support": "enabled", "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 500, "scheduled.rebalance.max.delay.ms": 1000, "plugin.discovery": "hybrid_warn",
        }
        config = self.processes.dir / "worker.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

        def ask(path, body=None):
            data = json.dumps(body).encode() if body is not None else None
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as refused:
                # A rebalance is under way, or the worker is not ready.
                return None if refused.code in (404, 409, 500, 503) else self.fail(f"{path}: {refused.read()}")
            except OSError:
                return None

        def start(name):
            worker = self.processes.start(name, [*JAVA, f"{KAFKA_JARS}/*", "org.apache.kafka.connect.cli.ConnectDistributed", config])
            wait_until("the worker answers", lambda: ask("/connectors") is not None, 90, 0.3)
            return worker

        def runs(connector):
            status = ask(f"/connectors/{connector}/status")
            return status and status["connector"]["state"] == "RUNNING" and [t["state"] for t in status["tasks"]] == ["RUNNING"]

        try:
            source.write_text("".join(f"line {i}\n" for i in range(500)))
            worker = start("connect-1")
            for name, kind, more in (
                ("in", "Source", {"file": str(source), "topic": "lines", "exactly.once.support": "required"}),
                ("out", "Sink", {"file": str(sink), "topics": "lines"}),
            ):
                wanted = {"connector.class": f"org.apache.kafka.connect.file.FileStream{kind}Connector", "tasks.max": "1", **more}
                wait_until(f"{name} is made", lambda: ask("/connectors", {"name": name, "config": wanted}), 60, 0.5)
            for name in ("in", "out"):
                wait_until(f"{name} runs", lambda: runs(name), 60, 0.3)
            there = lambda count: sink.exists() and len(sink.read_text().splitlines()) >= count
            wait_until("all lines have gone through", lambda: there(500), 60, 0.3)
            worker.kill()
            worker.wait(10)
            with source.open("a") as more:
                more.writelines(f"line {i}\n" for i in range(500, 800))
            start("connect-2")
            wait_until("the rest has gone through", lambda: there(800), 120, 0.3)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.processes.log('connect-1')}\n{self.processes.log('connect-2')}") from None
        read = Read(dev.bootstrap, ["lines"])
        read.until("the topic is read", lambda: len(read.rows) >= 800)
        self.assertEqual([value for _, _, value in read.rows], [f"line {i}" for i in range(800)], "each line once, in order")
        # The sink commits offsets after it has written: what it wrote last may be there twice, nothing is missing.
        self.assertEqual(set(sink.read_text().splitlines()), {f"line {i}" for i in range(800)})


class MirrorMaker(ClusterCase):
    @slow
    def test_topics_configs_and_the_offsets_of_groups_come_over_from_kafka(self):
        from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
        from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

        theirs = kafka(self.processes, settings={"offsets.topic.num.partitions": 4})
        dev = self.dev(1)
        kafkas = AdminClient({"bootstrap.servers": theirs.bootstrap})
        kafkas.create_topics([NewTopic("t", 2, 1, config={"retention.ms": "123456789"})])["t"].result(20)
        send(theirs.bootstrap, [("t", f"k{i}", f"v{i}", START + i) for i in range(300)])
        group = Consumer({"bootstrap.servers": theirs.bootstrap, "group.id": "g", "log_level": 0})
        wait_until("a group has committed", lambda: self._commit(group, [TopicPartition("t", p, 40) for p in range(2)]), 30)

        quick = ("refresh.topics.interval.seconds", "refresh.groups.interval.seconds", "sync.topic.configs.interval.seconds",
                 "sync.group.offsets.interval.seconds", "emit.checkpoints.interval.seconds", "emit.heartbeats.interval.seconds")
        factor = ("replication.factor", "checkpoints.topic.replication.factor", "heartbeats.topic.replication.factor",
                  "offset-syncs.topic.replication.factor", "offset.storage.replication.factor",
                  "status.storage.replication.factor", "config.storage.replication.factor")
        settings = {"clusters": "k,e", "k.bootstrap.servers": theirs.bootstrap, "e.bootstrap.servers": dev.bootstrap,
                    "k->e.enabled": "true", "e->k.enabled": "false", "k->e.topics": "t", "k->e.groups": "g",
                    "sync.group.offsets.enabled": "true", "offset.lag.max": 0, "tasks.max": 1, "offset.flush.interval.ms": 500,
                    **{name: 1 for name in quick + factor}}
        config = self.processes.dir / "mm2.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        self.processes.start("mirror", [*JAVA, f"{KAFKA_JARS}/*", "org.apache.kafka.connect.mirror.MirrorMaker", config])
        ours = AdminClient({"bootstrap.servers": dev.bootstrap})
        try:
            wait_until("the topic is there", lambda: "k.t" in ours.list_topics(timeout=10).topics, 120, 0.5)
            read = Read(dev.bootstrap, ["k.t"])
            read.until("all records are there", lambda: len(read.rows) >= 300)
            send(theirs.bootstrap, [("t", f"k{i}", f"v{i}", START + i) for i in range(300, 400)])
            read.until("later ones too", lambda: len(read.rows) >= 400)
            self.assertEqual(sorted((k, v) for _, k, v in read.rows), sorted((f"k{i}", f"v{i}") for i in range(400)))
            resource = ConfigResource(ConfigResource.Type.TOPIC, "k.t")
            self.assertEqual(ours.describe_configs([resource])[resource].result(10)["retention.ms"].value, "123456789")
            # Translated are the places that MirrorMaker has noted, the ends among them.
            ends = {p: group.get_watermark_offsets(TopicPartition("t", p), timeout=20)[1] for p in range(2)}
            wait_until("the group has committed its end", lambda: self._commit(
                group, [TopicPartition("t", p, end) for p, end in ends.items()]), 30)
            wait_until("the group's offsets are there", lambda: self._offsets(ours, ConsumerGroupTopicPartitions) == ends, 90, 0.5)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.processes.log('mirror', 60)}") from None
        group.close()

    def _commit(self, group, offsets):
        from confluent_kafka import KafkaException

        try:
            return all(p.error is None for p in group.commit(offsets=offsets, asynchronous=False))
        except KafkaException:
            return False

    def _offsets(self, admin, named):
        listed = admin.list_consumer_group_offsets([named("g")])["g"].result(20)
        return {p.partition: p.offset for p in listed.topic_partitions if p.topic == "k.t"}
