"""Reading from the replica in the client's rack (KIP-392): the leader names it, it serves what it knows to be committed,
and a real consumer goes there and back. The answers are Apache Kafka's, field by field."""

import json
import re
import subprocess
import time

from case import ClusterCase, slow
from clients import Consumer, produce
from dev import Admin
from kafka_peer import Side, differences, wait_for
from messages import MESSAGES
from processes import Kafka, free_ports, wait_until
from test_fetch_rules import NOW, fetch, partition, relative
from wire import record_batch

SELECTOR = {"replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector"}


class NearerReplica(ClusterCase):
    def cluster(self):
        """Three brokers; 1 and 3 are in rack a, 2 is in rack b."""
        dev = self.dev(3, settings={**SELECTOR, "broker.rack": "a", "min.insync.replicas": "1"})
        dev.reconfigure(2, "broker.rack", "b")
        return dev

    @slow
    def test_leader_and_follower_answer_as_kafkas_do(self):
        ports = free_ports(4)
        kafkas = [Kafka(self.processes, node, 2, ports, {**SELECTOR, "broker.rack": rack}, heap="512m")
                  for node, rack in ((1, "a"), (2, "b"))]
        dev = self.cluster()
        for each in kafkas:
            wait_for(each)
        brokers = dev.brokers()
        leaders = [Side("Esker", brokers[1][1]), Side("Kafka", kafkas[0].bootstrap)]
        followers = [Side("Esker", brokers[2][1]), Side("Kafka", kafkas[1].bootstrap)]
        for side in (*leaders, *followers):
            self.addCleanup(side.close)
        for leader, follower in zip(leaders, followers):
            # A copy of one broker, too: the other does not lead it and has no replica.
            leader.create("t", brokers=(1, 2))
            leader.create("lone", brokers=(1,))
            follower.topics = leader.topics
            for i in range(10):
                leader.produce("t", 0, record_batch([(NOW + i, b"k%d" % i, b"v" * 100)]))

            def knows():
                answer = follower.ask("Fetch", 12, fetch(12, {"t": [partition(0, 10)]})(follower))
                return answer["Responses"][0]["Partitions"][0]["HighWatermark"] == 10
            wait_until(f"{follower.name}'s follower knows what is committed", knows, 20)
        low, high = MESSAGES["FetchRequest"].versions
        found, calls = {}, 0

        def both(what, sides, api, version, fields):
            nonlocal calls
            calls += 1
            answers = []
            for side, leader in zip(sides, leaders):
                answer = side.ask(api, version, fields(side, leader.epoch("t")))
                answers.append(relative(side.plain(answer), leader.epoch("t")))
            if lines := list(differences(*answers)):
                found[what] = lines
            return answers

        for version in range(low, high + 1):
            racks = ("", "a", "b", "nowhere") if version >= 11 else ("",)
            for rack in racks:
                more = {"RackId": rack} if version >= 11 else {}
                for offset in (0, 5, 10, 11, -1):
                    for name, sides in (("leader", leaders), ("follower", followers)):
                        answers = both(f"{name}, rack {rack!r}, offset {offset}, version {version}", sides, "Fetch", version,
                                       lambda side, _: fetch(version, {"t": [partition(0, offset)]}, **more)(side))
                        told = answers[0]["Responses"][0]["Partitions"][0].get("PreferredReadReplica", -1)
                        sent_away = name == "leader" and rack == "b" and 0 <= offset <= 10
                        self.assertEqual(told, 2 if sent_away else -1)
            both(f"no replica here, version {version}", followers, "Fetch", version,
                 lambda side, _: fetch(version, {"lone": [partition()]})(side))
        for ahead in (-1, 0, 1):
            for name, sides in (("leader", leaders), ("follower", followers)):
                for rack in ("", "b"):
                    both(f"{name}, epoch {ahead:+}, rack {rack!r}", sides, "Fetch", 16, lambda side, epoch: fetch(
                        16, {"t": [partition(0, 0, CurrentLeaderEpoch=max(epoch + ahead, 0))]}, RackId=rack)(side))
                    both(f"{name}, last epoch {ahead:+}, rack {rack!r}", sides, "Fetch", 16, lambda side, epoch: fetch(
                        16, {"t": [partition(0, 3, LastFetchedEpoch=max(epoch + ahead, -1))]}, RackId=rack)(side))
        both("read committed from the follower", followers, "Fetch", 12,
             lambda side, _: fetch(12, {"t": [partition()]}, IsolationLevel=1)(side))
        both("offsets come from the leader", followers, "ListOffsets", 7, lambda side, _: {
            "ReplicaId": -1, "Topics": [{"Name": "t", "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]})
        both("ends of epochs come from the leader", followers, "OffsetForLeaderEpoch", 4, lambda side, _: {
            "Topics": [{"Topic": "t", "Partitions": [{"Partition": 0, "LeaderEpoch": 0}]}]})
        print(f"({calls} calls) ", end="", flush=True)
        self.assertFalse(found, "\n" + "\n".join(f"{what}\n    " + "\n    ".join(lines) for what, lines in found.items()))

    def test_a_consumer_reads_in_its_rack_and_from_the_leader_when_that_replica_is_gone(self):
        from confluent_kafka import OFFSET_BEGINNING, Consumer as Librdkafka, Producer, TopicPartition

        dev = self.cluster()
        side = Side("Esker", dev.brokers()[1][1])
        self.addCleanup(side.close)
        side.create("t", brokers=(1, 2, 3))
        Admin(dev.bootstrap).wait_for_isr("t", 1, 3)
        producer = Producer({"bootstrap.servers": dev.bootstrap, "acks": "all"})
        reading = {}

        def consumer(name, **more):
            def note(text):
                found = json.loads(text)["topics"].get("t", {}).get("partitions", {}).get("0")
                if found:
                    reading[name] = (found["broker"], found["leader"])
            it = Librdkafka({"bootstrap.servers": dev.bootstrap, "group.id": name, "enable.auto.commit": False,
                           "statistics.interval.ms": 100, "stats_cb": note, **more})
            it.assign([TopicPartition("t", 0, OFFSET_BEGINNING)])
            self.addCleanup(it.close)
            return it

        near, plain = consumer("near", **{"client.rack": "b"}), consumer("plain")
        got = {"near": [], "plain": []}

        def read(name, it, until):
            deadline = time.monotonic() + 60
            while len(got[name]) < until:
                self.assertLess(time.monotonic(), deadline, f"{name} has {len(got[name])} of {until}; reads from {reading}")
                got[name] += [message.value() for message in it.consume(100, 0.2) if message.error() is None]

        sent = []
        def send(count):
            for _ in range(count):
                sent.append(b"%d" % len(sent))
                producer.produce("t", sent[-1], partition=0)
            self.assertEqual(producer.flush(30), 0)

        for round in range(3):
            send(50)
            read("near", near, len(sent))
            read("plain", plain, len(sent))

        def settled():
            near.poll(0.1), plain.poll(0.1)
            return reading.get("near") == (2, 1) and reading.get("plain") == (1, 1)
        wait_until(f"one reads from broker 2, the other from the leader", settled, 20)
        send(50)
        read("near", near, len(sent))
        read("plain", plain, len(sent))
        dev.kill(2)
        send(50)
        read("near", near, len(sent))
        self.assertEqual((got["near"], got["plain"]), (sent, sent[:len(got["plain"])]))

    def test_the_java_consumer_takes_its_bytes_from_its_rack_and_from_the_leader_when_that_replica_is_gone(self):
        dev = self.cluster()
        side = Side("Esker", dev.brokers()[1][1])
        self.addCleanup(side.close)
        side.create("t", brokers=(1, 2, 3))
        Admin(dev.bootstrap).wait_for_isr("t", 1, 3)
        sent = produce("python", dev.bootstrap, "t", 10_000, "a")
        size = sum(f.stat().st_size for f in dev.data.glob("broker-1/data/t-0/*.log"))
        self.assertGreater(size, 2_000_000)
        ports = {broker: address.rsplit(":", 1)[1] for broker, (_, address) in dev.brokers().items()}

        def running(rack, count):
            config = self.processes.dir / f"rack-{rack}.properties"
            config.write_text(f"client.rack={rack}\nmetadata.max.age.ms=5000\n")
            it = Consumer(self.processes, "java", dev.bootstrap, "t", count, config=config, name=f"java-{rack}")
            wait_until(f"the consumer in rack {rack} has read all", lambda: len(it.records()) >= sent.count, 90, 0.2)
            return it

        def told(broker, it):
            """The most bytes that a connection of that consumer has taken from a broker."""
            lines = subprocess.run(["ss", "-tinpHO", "state", "established", f"dport = :{ports[broker]}"], check=True,
                                   capture_output=True, text=True).stdout.splitlines()
            mine = [line for line in lines if f"pid={it.process.pid}," in line]
            return max((int(found[1]) for line in mine if (found := re.search(r"bytes_received:(\d+)", line))), default=0)

        # In rack a is the leader itself, and nobody is sent anywhere.
        for rack, broker in (("b", 2), ("a", 1), ("nowhere", 1)):
            it = running(rack, sent.count + 50)
            taken = {each: told(each, it) for each in ports}
            self.assertGreaterEqual(taken[broker], size, f"rack {rack}: bytes by broker {taken}")
            for other in ports.keys() - {broker}:
                self.assertLess(taken[other], size / 10, f"rack {rack}: bytes by broker {taken}")
            if rack == "b":
                near = it
            else:
                it.stop()
        dev.kill(2)
        sent += produce("python", dev.bootstrap, "t", 50, "b")
        records = near.wait()
        self.assertEqual([offset for _, offset, _, _, _ in records], list(range(sent.count)))
        self.assertEqual(sum(digest for *_, digest in records) % 2**64, sent.hash)
