"""A broker is dead that alone has some partitions: what clients are told of these, of their groups and of their transactions by those that live, as
Apache Kafka tells it, field by field; before it dies, meanwhile, and that all is served again afterwards."""

import os
import signal

from case import ClusterCase, slow
from kafka_peer import Side, differences, wait_for
from messages import MESSAGES
from processes import Kafka, free_ports, wait_until
from wire import record_batch

NOW = 1_700_000_000_000
SETTINGS = {"offsets.topic.num.partitions": 4, "transaction.state.log.num.partitions": 4, "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1, "transaction.state.log.min.isr": 1, "min.insync.replicas": 1}
LEADER_NOT_AVAILABLE, NOT_LEADER, NOT_AVAILABLE, NOT_COORDINATOR = 5, 6, 15, 16
GROUPS, TRANSACTIONS = 0, 1
# What differs, and why; a difference that is gone comes off the list.
KNOWN = {
    "Metadata 0": "Kafka leaves dead replicas out in version 0 alone, and says 9 where some are; clients of the last ten years ask later ones",
    "DescribeTopicPartitions 0": "5 of a partition without a leader, as in Metadata, where Kafka says 0; the last known leader is kept only when its log was lost",
    **{f"{api} {version}": "Kafka names -1 for the leader that clients should ask instead; we name none" for api, versions in (
        ("Produce", range(10, 14)), ("Fetch", range(16, 19))) for version in versions},
}


def comparable(value, epoch):
    """An answer without what is not the question (other brokers, the words of a reason), and with leader epochs as distances from the present one."""
    if isinstance(value, list):
        return [comparable(each, epoch) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: inner - epoch if key == "LeaderEpoch" and inner >= 0 else comparable(inner, epoch) for key, inner in value.items()
            if key not in ("Brokers", "ClusterId", "ControllerId", "ErrorMessage", "Configs")}


class WithoutLeader(ClusterCase):
    @slow
    def test_what_clients_are_told_while_a_partition_has_no_leader_is_what_kafka_tells_them(self):
        self.found, self.calls = {}, 0
        # Kafka takes long to start: what it can do by itself goes on meanwhile.
        kafka = self.kafka()
        self.sides = [self.esker(), kafka()]
        for side in self.sides:
            self.make(side, "lone", [2])
            self.make(side, "both", [2, 1])
            side.ids = {kind: self.coordinated_by_the_second(side, kind) for kind in (GROUPS, TRANSACTIONS)}
            wait_until(f"{side.name} has two copies", lambda: len(side.metadata("both")["Partitions"][0]["IsrNodes"]) == 2, 30)
            side.told = side.metadata("lone")["Partitions"][0]
        self.ask_all("another leads")
        self.assertEqual({side.told["ErrorCode"] for side in self.sides}, {0})
        for side in self.sides:
            side.kill()
            # The other copy leads, and of the only one nobody has any.
            wait_until(f"{side.name} knows", lambda: side.metadata("lone")["Partitions"][0]["LeaderId"] == -1
                       and side.metadata("both")["Partitions"][0]["LeaderId"] == 1, 60)
            side.told = side.metadata("lone")["Partitions"][0]
        self.assertEqual({side.told["ErrorCode"] for side in self.sides}, {LEADER_NOT_AVAILABLE})
        self.ask_all("nobody leads")
        for side in self.sides:
            coordinator = side.ask("FindCoordinator", 4, {"KeyType": GROUPS, "CoordinatorKeys": [side.ids[GROUPS]]})["Coordinators"][0]
            self.assertEqual((side.name, coordinator["ErrorCode"], coordinator["NodeId"]), (side.name, NOT_AVAILABLE, -1))
        self.ask_to_change()
        self.sides[0].start_again()
        side = self.sides[0]
        wait_until("it leads again", lambda: side.metadata("lone")["Partitions"][0]["LeaderId"] == 2, 60)
        self.coordinated_by_the_second(side, GROUPS, [side.ids[GROUPS]])
        print(f"({self.calls} calls) ", end="", flush=True)
        unknown = {what: lines for what, lines in self.found.items() if what not in KNOWN}
        self.assertFalse(unknown, "\n" + "\n".join(f"{what}\n    " + "\n    ".join(lines) for what, lines in unknown.items()))
        self.assertEqual(sorted(self.found), sorted(KNOWN), "a known difference is gone: take it off the list")

    def make(self, side, topic, brokers):
        made = side.ask("CreateTopics", 7, {"Topics": [{"Name": topic, "NumPartitions": -1, "ReplicationFactor": -1,
                                                        "Assignments": [{"PartitionIndex": 0, "BrokerIds": brokers}]}]})["Topics"][0]
        self.assertEqual(made["ErrorCode"], 0, (side.name, made))
        side.topics[topic] = made["TopicId"]
        wait_until(f"{side.name} leads it", lambda: side.leads(topic, 1), 60)

    def esker(self):
        dev = self.dev(3, settings=SETTINGS)
        side = Side("Esker", dev.brokers()[1][1])
        side.kill, side.start_again = lambda: dev.kill(2), lambda: dev.restart(2)
        self.addCleanup(side.close)
        return side

    def kafka(self):
        """One broker that is the controller too, and one that is only a broker; they start, and what this returns waits for them."""
        ports = free_ports(4)
        settings = {**SETTINGS, "broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500}
        first = Kafka(self.processes, ports=ports[:2], settings=settings, heap="384m")
        second = Kafka(self.processes, node=2, ports=ports, heap="384m", settings={
            **settings, "process.roles": "broker", "listeners": f"PLAINTEXT://127.0.0.1:{ports[2]}"})

        def kill():
            os.kill(second.process.pid, signal.SIGKILL)
            second.process.wait()

        def ready():
            wait_for(first)
            wait_for(second)
            side = Side("Kafka", first.bootstrap)
            side.kill = kill
            self.addCleanup(side.close)
            wait_until("both brokers are there", lambda: len(side.ask("Metadata", 12, {"Topics": []})["Brokers"]) == 2, 60)
            return side

        return ready

    def coordinated_by_the_second(self, side, kind, ids=tuple(map(str, range(20)))):
        """An id of a group or a transaction that the second broker coordinates."""
        def found():
            told = side.ask("FindCoordinator", 4, {"KeyType": kind, "CoordinatorKeys": list(ids)})["Coordinators"]
            return next((each["Key"] for each in told if (each["ErrorCode"], each["NodeId"]) == (0, 2)), None)

        return wait_until(f"{side.name} has a coordinator for {kind}", found, 60, 0.2)

    def both(self, what, api, version, fields):
        """Asks the first broker of both, and notes how the answers differ."""
        self.calls += 1
        answers = []
        for side in self.sides:
            answers.append(comparable(side.plain(side.ask(api, version, fields(side) if callable(fields) else fields)), side.told["LeaderEpoch"]))
        if lines := list(differences(*answers)):
            self.found.setdefault(f"{api} {version}{what}", []).extend(lines)
        return answers[0]

    def versions(self, api):
        low, high = MESSAGES[f"{api}Request"].versions
        return range(low, high + 1)

    def ask_all(self, when):
        """What clients ask a broker that leads and coordinates none of it."""
        led = when == "another leads"
        for version in self.versions("Metadata"):
            topics = [{"Name": "both"}, {"Name": "lone"}]
            told = self.both("", "Metadata", version, {"Topics": topics})["Topics"]
            lone = next(topic for topic in told if topic["Name"] == "lone")["Partitions"][0]
            self.assertEqual((lone["ErrorCode"], lone["LeaderId"]), (0, 2) if led else (LEADER_NOT_AVAILABLE, -1), version)
        self.both("", "DescribeTopicPartitions", 0, {"Topics": [{"Name": "both"}, {"Name": "lone"}]})
        batch = record_batch([(NOW, b"k", b"v")])
        for version in self.versions("Produce"):
            for acks in (1, -1):
                def fields(side):
                    name = {"TopicId": side.id("lone")} if version >= 13 else {"Name": "lone"}
                    return {"Acks": acks, "TimeoutMs": 1000, "TopicData": [{**name, "PartitionData": [{"Index": 0, "Records": batch}]}]}

                told = self.both("", "Produce", version, fields)
                self.assertEqual(told["Responses"][0]["PartitionResponses"][0]["ErrorCode"], NOT_LEADER, version)
        for version in self.versions("Fetch"):
            def fields(side):
                name = {"TopicId": side.id("lone")} if version >= 13 else {"Topic": "lone"}
                return {"MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 1000, "Topics": [{**name, "Partitions": [
                    {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1000}]}]}

            told = self.both("", "Fetch", version, fields)
            self.assertEqual(told["Responses"][0]["Partitions"][0]["ErrorCode"], NOT_LEADER, version)
        for version in self.versions("ListOffsets"):
            for at in (-1, -2, NOW):
                self.both("", "ListOffsets", version, {"ReplicaId": -1, "TimeoutMs": 1000, "Topics": [
                    {"Name": "lone", "Partitions": [{"PartitionIndex": 0, "Timestamp": at}]}]})
        for version in self.versions("OffsetForLeaderEpoch"):
            self.both("", "OffsetForLeaderEpoch", version, {"Topics": [{"Topic": "lone", "Partitions": [{"Partition": 0, "LeaderEpoch": 0}]}]})
        for version in self.versions("DeleteRecords"):
            self.both("", "DeleteRecords", version, {"TimeoutMs": 1000, "Topics": [{"Name": "lone", "Partitions": [{"PartitionIndex": 0, "Offset": 0}]}]})
        group = lambda side: side.ids[GROUPS]
        for version in self.versions("Heartbeat"):
            told = self.both("", "Heartbeat", version, lambda side: {"GroupId": group(side), "GenerationId": 1, "MemberId": "m"})
            self.assertEqual(told["ErrorCode"], NOT_COORDINATOR, version)
        self.both("", "ConsumerGroupHeartbeat", 1, lambda side: {"GroupId": group(side), "MemberId": "m", "RebalanceTimeoutMs": 1000,
                                                                    "SubscribedTopicNames": ["lone"], "TopicPartitions": []})
        self.both("", "JoinGroup", 9, lambda side: {"GroupId": group(side), "SessionTimeoutMs": 6000, "RebalanceTimeoutMs": 6000, "ProtocolType": "consumer",
                                                      "Protocols": [{"Name": "range", "Metadata": b""}]})
        self.both("", "OffsetCommit", 8, lambda side: {"GroupId": group(side), "GenerationIdOrMemberEpoch": -1, "Topics": [
            {"Name": "lone", "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 1}]}]})
        self.both("", "OffsetFetch", 5, lambda side: {"GroupId": group(side), "Topics": [{"Name": "lone", "PartitionIndexes": [0]}]})
        id = lambda side: side.ids[TRANSACTIONS]
        self.both("", "InitProducerId", 4, lambda side: {"TransactionalId": id(side), "TransactionTimeoutMs": 1000, "ProducerId": -1, "ProducerEpoch": -1})
        self.both("", "EndTxn", 3, lambda side: {"TransactionalId": id(side), "ProducerId": 1, "ProducerEpoch": 0, "Committed": True})

    def ask_to_change(self):
        """What an administrator may try meanwhile."""
        partitions = lambda topic: {"TopicPartitions": [{"Topic": topic, "Partitions": [0]}], "TimeoutMs": 5000}
        for kind in (0, 1):
            for topic in ("lone", "both"):
                self.both(f", election {kind} of {topic}", "ElectLeaders", 2, {"ElectionType": kind, **partitions(topic)})
        for name, brokers in (("new-2", [2]), ("new-9", [9]), ("both", [1])):
            for only_asked in (True, False):
                self.both(f", a topic on {brokers}{', only asked' * only_asked}", "CreateTopics", 7, {"TimeoutMs": 5000, "ValidateOnly": only_asked, "Topics": [{
                    "Name": name, "NumPartitions": -1, "ReplicationFactor": -1, "Assignments": [{"PartitionIndex": 0, "BrokerIds": brokers}]}]})
        for only_asked in (True, False):
            self.both(f", a partition on the dead one{', only asked' * only_asked}", "CreatePartitions", 3, {"TimeoutMs": 5000, "ValidateOnly": only_asked, "Topics": [
                {"Name": "lone", "Count": 2, "Assignments": [{"BrokerIds": [2]}]}]})
