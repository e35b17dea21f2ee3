"""What administrators ask beside Apache Kafka 4.3.1, raw and answered with the same codes: every config of a topic with values that fit and
that do not, unknown ones, changes of configs, partitions and replicas that are odd in each way a request can be odd.

Where the two differ on purpose the difference stands in a list `KNOWN_…` with its reason, and the test fails when it is gone."""

import re
import struct
import uuid

from case import SharedCase, slow
from kafka_peer import Side, kafka
from messages import MESSAGES
from processes import wait_until
from wire import Closed, record_batch

SET, DELETE, APPEND, SUBTRACT = range(4)
TOPIC, BROKER = 2, 4
#: Values of a topic's configs that Kafka judges otherwise, and why.
KNOWN_VALUES = {
    **{f"retention.bytes, -3 ({api})": "-1 is without limit; below it is a slip of the pen" for api in ("CreateTopics", "IncrementalAlterConfigs", "AlterConfigs")},
    **{f"{name}, spaces (CreateTopics)": "the quorum obeys this one itself and reads it as it stands; earlier programs do not trim it" for name in (
        "min.insync.replicas", "unclean.leader.election.enable")},
}

#: Odd requests that Kafka answers otherwise (a pattern over "API: what is asked"), and why.
KNOWN_ODD = {
    r"ElectLeaders: (all|no partitions), kind [01]": "Kafka names every topic, also where nothing was to be elected; we name those with something to say",
    r"ElectLeaders: no partitions, kind (2|-1)": "the same",
    r"ElectLeaders: (a topic|the same) twice, kind .*": "a topic that stands twice in a request stands once in our answer",
    r"DeleteRecords: (a topic|a partition|the same) twice, .*": "each partition that is named is answered, also where it is named twice",
    r"DeleteRecords: no partitions, .*": "a topic without partitions is answered as such",
    r"AlterPartitionReassignments: nothing, .*, same factor": "the answer repeats what the request allows, Kafka's only where it does something",
    r"CreatePartitions: far too many": "37, where Kafka ends in an unknown error",
    r"IncrementalAlterConfigs: .*, (an unknown operation|below zero)": "42, where Kafka ends in an unknown error",
    r"(Incremental)?AlterConfigs: (unknown topic|two|no name|a bad name), .*": "what is wrong with the topic's name is said first",
    r"(Incremental)?AlterConfigs: (a broker|all brokers), (fine|unknown|only at the start|no number)": "what a broker cannot take is 40 and says why; Kafka takes names that it does not know, and says 42 of the rest",
    r"AlterConfigs: all brokers, none": "nothing is to be changed: done",
}
# What is no answer to the question: words, ids that differ, what directories and topics are called and how large they are.
LEFT_OUT = ("ErrorMessage", "TopicId", "LogDir", "TotalBytes", "UsableBytes", "PartitionSize", "OffsetLag", "Configs")


def comparable(value):
    """An answer without what is not the question; lists in one order."""
    if isinstance(value, dict):
        return {key: comparable(inner) for key, inner in value.items() if key not in LEFT_OUT}
    if isinstance(value, list):
        return sorted((comparable(inner) for inner in value), key=repr)
    return value


class Administration(SharedCase):
    @classmethod
    def begin(cls):
        dev = cls.dev(1)
        cls.sides = [Side("Esker", dev.bootstrap), Side("Kafka", kafka(cls.processes).bootstrap)]
        for side in cls.sides:
            cls.addClassCleanup(side.close)
        cls.calls = 0

    def both(self, api, version, values):
        """The answers of the two."""
        type(self).calls += 1
        return [side.ask(api, version, values) for side in self.sides]

    def judge(self, found, known):
        """What differs is known, and what is known differs."""
        print(f"({self.calls} calls) ", end="", flush=True)
        unknown = [f"{what}: Esker {ours}, Kafka {theirs}" for what, (ours, theirs) in found.items() if what not in known]
        self.assertFalse(unknown, "\n" + "\n".join(unknown))
        self.assertEqual(set(found), set(known), "a known difference is gone: take it off the list")

    @slow
    def test_every_config_of_a_topic_is_taken_or_refused_as_kafka_does(self):
        described = {"Resources": [{"ResourceType": TOPIC, "ResourceName": "configured", "ConfigurationKeys": None}]}
        for side in self.sides:
            side.create("configured")
        ours, theirs = ({config["Name"]: config["Value"] for config in answer["Results"][0]["Configs"]} for answer in self.both("DescribeConfigs", 4, described))
        # The log of a config's name is the broker's; a tier is asked for elsewhere (test_tier_setup).
        self.assertGreater(len(theirs), 30)
        names = {**theirs, "internal.segment.bytes": "1048576", "retention.years": "1", "Retention.ms": "1", "log.retention.ms": "1", "": "1",
                 "message.format.version": "3.0-IV1", "message.downconversion.enable": "true", "x" * 300: "1"}
        found = {}
        for number, (name, value) in enumerate(names.items()):
            for what, given in {"its own": value, "x": "x", "empty": "", "-3": "-3", "1.5": "1.5", "spaces": f" {value} "}.items():
                new = {"Topics": [{"Name": f"new-{number}", "NumPartitions": 1, "ReplicationFactor": 1, "Configs": [{"Name": name, "Value": given}]}],
                       "TimeoutMs": 10_000, "ValidateOnly": True}
                changed = {"Resources": [{"ResourceType": TOPIC, "ResourceName": "configured", "Configs": [{"Name": name, "ConfigOperation": SET, "Value": given}]}],
                           "ValidateOnly": True}
                all_new = {"Resources": [{"ResourceType": TOPIC, "ResourceName": "configured", "Configs": [{"Name": name, "Value": given}]}], "ValidateOnly": True}
                for api, version, values, code in (
                        ("CreateTopics", 7, new, lambda answer: answer["Topics"][0]["ErrorCode"]),
                        ("IncrementalAlterConfigs", 1, changed, lambda answer: answer["Responses"][0]["ErrorCode"]),
                        ("AlterConfigs", 2, all_new, lambda answer: answer["Responses"][0]["ErrorCode"])):
                    codes = [code(answer) for answer in self.both(api, version, values)]
                    if codes[0] != codes[1]:
                        found[f"{name[:40]}, {what} ({api})"] = codes
            for operation in (DELETE, APPEND, SUBTRACT):
                changed = {"Resources": [{"ResourceType": TOPIC, "ResourceName": "configured", "Configs": [
                    {"Name": name, "ConfigOperation": operation, "Value": None if operation == DELETE else value}]}], "ValidateOnly": True}
                codes = [answer["Responses"][0]["ErrorCode"] for answer in self.both("IncrementalAlterConfigs", 1, changed)]
                if codes[0] != codes[1]:
                    found[f"{name[:40]}, operation {operation}"] = codes
        self.judge(found, KNOWN_VALUES)

    def judged(self, found, what, api, values):
        """What both answer in each version of the API, if it is not the same."""
        low, high = MESSAGES[f"{api}Request"].versions
        for version in range(low, high + 1):
            type(self).calls += 1
            told = []
            for side in self.sides:
                try:
                    told.append(comparable(side.ask(api, version, values(side) if callable(values) else values)))
                except Closed:
                    side.close()
                    told.append("the end of the connection")
            if told[0] != told[1]:
                found[f"{api}: {what}"] = (f"{told[0]} in version {version}", told[1])

    def prepare(self):
        """Three partitions with three records each, and the brokers' own topic of offsets."""
        for side in self.sides:
            side.create("three", 3)
            for partition in range(3):
                side.produce("three", partition, record_batch([(1, None, b"v")] * 3))
            side.create("compacted", configs={"cleanup.policy": "compact"})
            found = lambda: side.ask("FindCoordinator", 4, {"KeyType": 0, "CoordinatorKeys": ["g"]})["Coordinators"][0]["ErrorCode"] == 0
            wait_until(f"{side.name} coordinates groups", found, 60, 0.2)

    @slow
    def test_odd_requests_of_administrators_are_answered_as_kafka_answers_them(self):
        self.prepare()
        found = {}
        own = "__consumer_offsets"
        many = [2**31 - 1, -1, -2**31]
        of = lambda topic, *partitions: (topic, partitions)
        places = {"unknown topic": [of("absent", 0)], "unknown partition": [of("three", 3)], "partition below zero": [of("three", -1)], "partitions far off": [of("three", *many)],
                  "no name": [of("", 0)], "a bad name": [of("..", 0)], "its own": [of(own, 0)], "fine": [of("three", 0, 1)], "a partition twice": [of("three", 0, 0)],
                  "a topic twice": [of("three", 0), of("three", 1)], "the same twice": [of("three", 0), of("three", 0)], "no partitions": [of("three")], "nothing": [],
                  "one of two": [of("three", 0), of("absent", 0)], "a long name": [of("x" * 300, 0)]}
        for what, asked in places.items():
            for how, replicas in {"cancel": None, "nobody": [], "a stranger": [9], "twice": [1, 1], "below zero": [-1], "what it has": [1], "two": [1, 9]}.items():
                for may in (True, False):
                    self.judged(found, f"{what}, {how}{', same factor' * (not may)}", "AlterPartitionReassignments", {
                        "TimeoutMs": 5000, "AllowReplicationFactorChange": may, "Topics": [
                            {"Name": topic, "Partitions": [{"PartitionIndex": p, "Replicas": replicas} for p in partitions]} for topic, partitions in asked]})
            self.judged(found, what, "ListPartitionReassignments", {"TimeoutMs": 5000, "Topics": [{"Name": topic, "PartitionIndexes": list(p)} for topic, p in asked]})
            for kind in (0, 1, 2, -1):
                self.judged(found, f"{what}, kind {kind}", "ElectLeaders", {"TimeoutMs": 1000, "ElectionType": kind, "TopicPartitions": [
                    {"Topic": topic, "Partitions": list(partitions)} for topic, partitions in asked]})
            for offset in (0, 1, -1, -2, 4, 2**63 - 1):
                self.judged(found, f"{what}, below {offset}", "DeleteRecords", {"TimeoutMs": 5000, "Topics": [
                    {"Name": topic, "Partitions": [{"PartitionIndex": p, "Offset": offset} for p in partitions]} for topic, partitions in asked]})
            self.judged(found, what, "DescribeLogDirs", {"Topics": [{"Topic": topic, "Partitions": list(partitions)} for topic, partitions in asked]})
        self.judged(found, "all", "ListPartitionReassignments", {"TimeoutMs": 5000, "Topics": None})
        for kind in (0, 1):
            self.judged(found, f"all, kind {kind}", "ElectLeaders", {"TimeoutMs": 1000, "ElectionType": kind, "TopicPartitions": None})
        self.judged(found, "a compacted one", "DeleteRecords", {"TimeoutMs": 5000, "Topics": [{"Name": "compacted", "Partitions": [{"PartitionIndex": 0, "Offset": 0}]}]})
        for timeout in (0, -1):
            self.judged(found, f"time-out {timeout}", "DeleteRecords", {"TimeoutMs": timeout, "Topics": [{"Name": "three", "Partitions": [{"PartitionIndex": 2, "Offset": 1}]}]})
        for what, topics in {
                "nothing": [], "no name": [("", 2, None)], "a bad name": [("..", 2, None)], "its own": [(own, 1, None)], "far too many": [("three", 2**31 - 1, None)],
                "least": [("three", -2**31, None)], "as many": [("three", 3, None)], "no places": [("three", 4, [])], "a place for nobody": [("three", 4, [[]])],
                "below zero": [("three", 4, [[-1]])], "twice the same": [("three", 4, None)] * 2, "twice another": [("three", 4, None), ("three", 5, None)],
                "twice one that is not there": [("absent", 2, None)] * 2, "one of two": [("three", 3, None), ("absent", 2, None)]}.items():
            self.judged(found, what, "CreatePartitions", {"TimeoutMs": 5000, "ValidateOnly": True, "Topics": [
                {"Name": topic, "Count": count, "Assignments": places if places is None else [{"BrokerIds": brokers} for brokers in places]} for topic, count, places in topics]})
        for what, topics in {"nothing": [], "no name": [""], "a bad name": [".."], "not there": ["absent"], "twice": ["absent", "absent"]}.items():
            self.judged(found, what, "DeleteTopics", {"TimeoutMs": 5000, "TopicNames": topics, "Topics": [{"Name": topic} for topic in topics]})
        for what, topic in {"an unknown id": {"Name": None, "TopicId": uuid.UUID(int=77)}, "neither": {"Name": None, "TopicId": uuid.UUID(int=0)},
                            "both": {"Name": "three", "TopicId": uuid.UUID(int=77)}}.items():
            self.judged(found, what, "DeleteTopics", {"TimeoutMs": 5000, "TopicNames": [], "Topics": [topic]})
        self.configs(found, own)
        known = {what: next((pattern for pattern in KNOWN_ODD if re.fullmatch(pattern, what)), None) for what in found}
        print(f"({self.calls} calls) ", end="", flush=True)
        unknown = [f"{what}: Esker {ours}, Kafka {theirs}" for what, (ours, theirs) in found.items() if not known[what]]
        self.assertFalse(unknown, "\n" + "\n".join(unknown))
        self.assertEqual(set(known.values()), set(KNOWN_ODD), "a known difference is gone: take it off the list")

    def configs(self, found, own):
        """Changes of configs, only asked for."""
        fine = ("retention.ms", SET, "1000")
        resources = {"a topic": [(TOPIC, "three")], "unknown topic": [(TOPIC, "absent")], "no name": [(TOPIC, "")], "a bad name": [(TOPIC, "..")], "its own": [(TOPIC, own)],
                     "twice": [(TOPIC, "three")] * 2, "nothing": [], "kind 0": [(0, "three")], "kind 1": [(1, "three")], "kind 3": [(3, "three")], "kind 99": [(99, "three")],
                     "kind -1": [(-1, "three")], "two": [(TOPIC, "three"), (TOPIC, "absent")]}
        operations = {"fine": [fine], "none": [], "twice": [fine] * 2, "set and taken away": [fine, ("retention.ms", DELETE, None)], "no value": [("retention.ms", SET, None)],
                      "an unknown operation": [("retention.ms", 9, "1")], "below zero": [("retention.ms", -1, "1")], "no name": [("", SET, "1")],
                      "to what is no list": [("retention.ms", APPEND, "1")], "to a list": [("cleanup.policy", APPEND, "compact")], "from a list": [("cleanup.policy", SUBTRACT, "delete")],
                      "no value to a list": [("cleanup.policy", APPEND, None)], "an unknown one goes": [("retention.years", DELETE, None)], "one of two": [fine, ("retention.years", SET, "1")]}
        of_brokers = {"a broker": [(BROKER, "1")], "all brokers": [(BROKER, "")], "another broker": [(BROKER, "9")], "no broker's id": [(BROKER, "x")], "below zero": [(BROKER, "-1")]}
        for_brokers = {"fine": [("log.cleaner.threads", SET, "1")], "unknown": [("retention.years", SET, "1")], "no value": [("log.cleaner.threads", SET, None)],
                       "only at the start": [("broker.id", SET, "1")], "no number": [("log.cleaner.threads", SET, "x")], "none": []}
        for kinds, changes in ((resources, operations), (of_brokers, for_brokers)):
            for which, named in kinds.items():
                for what, configs in changes.items():
                    asked = [{"ResourceType": kind, "ResourceName": name, "Configs": [{"Name": key, "ConfigOperation": operation, "Value": value}
                                                                                   for key, operation, value in configs]} for kind, name in named]
                    self.judged(found, f"{which}, {what}", "IncrementalAlterConfigs", {"ValidateOnly": True, "Resources": asked})
                    # Kafka never answers AlterConfigs that names a resource twice.
                    if which != "twice" and all(operation == SET for _, operation, _ in configs):
                        all_new = [{**one, "Configs": [{"Name": each["Name"], "Value": each["Value"]} for each in one["Configs"]]} for one in asked]
                        self.judged(found, f"{which}, {what}", "AlterConfigs", {"ValidateOnly": True, "Resources": all_new})
