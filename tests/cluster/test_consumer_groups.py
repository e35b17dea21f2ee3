"""Groups of the consumer protocol (KIP-848): the Java client and librdkafka, Kafka's own tool, groups that change over
while they live, and the same raw calls to Esker and to Apache Kafka 4.3.1, compared field by field."""

import re
import struct
import time

from case import ClusterCase, slow
from clients import Consumer, produce, verify, write_config
from kafka_peer import Side, differences, kafka
from processes import kafka_tool, wait_until
from test_groups import GROUP_TOOL, fill, together

NEW = {"group.protocol": "consumer"}
# Kafka's heartbeat interval is 5 s at least where the broker's bounds do not say otherwise.
QUICK = {
    "group.consumer.min.session.timeout.ms": 6000, "group.consumer.session.timeout.ms": 20000,
    "group.consumer.min.heartbeat.interval.ms": 300, "group.consumer.heartbeat.interval.ms": 300,
}


class NewMember:
    """A librdkafka consumer of the consumer protocol that writes down what happens to it; polled by the test."""

    def __init__(self, bootstrap, topics, group, **more):
        from confluent_kafka import Consumer as Client

        self.events, self.seen, self.error = [], [], None
        self.consumer = Client({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                                "enable.auto.commit": False, "log_level": 0, **NEW, **more})
        note = lambda what: lambda _, parts: self.events.append((what, sorted((p.topic, p.partition) for p in parts)))
        self.consumer.subscribe(topics, on_assign=note("assign"), on_revoke=note("revoke"), on_lost=note("lost"))

    def poll(self):
        message = self.consumer.poll(0.05)
        if message is not None and message.error():
            self.error = message.error()
        elif message is not None:
            self.seen.append((message.topic(), message.partition(), message.offset()))

    def partitions(self):
        return sorted(p.partition for p in self.consumer.assignment())

    def topics(self):
        return sorted({p.topic for p in self.consumer.assignment()})

    def close(self):
        self.consumer.close()


class OldMember(NewMember):
    """The same, of the classic protocol."""

    def __init__(self, bootstrap, topics, group, **more):
        super().__init__(bootstrap, topics, group, **{"group.protocol": "classic", "session.timeout.ms": 10000,
                                                      "heartbeat.interval.ms": 300, **more})


class ConsumerProtocol(ClusterCase):
    def test_java_and_librdkafka_share_a_group_and_go_on_when_their_coordinator_is_killed(self):
        dev = self.dev(3, settings=QUICK)
        dev.topic_create("t", partitions=6)
        config = self.processes.dir / "consumer.properties"
        write_config(config, "PLAINTEXT")
        config.write_text(config.read_text() + "group.protocol=consumer\n")
        members = [Consumer(self.processes, client, dev.bootstrap, "t", 10**9, config=config, group="g", timeout=240,
                            name=f"member-{i}-{client}") for i, client in enumerate(("java", "python", "java"))]
        produced = produce("python", dev.bootstrap, "t", 3000, "before")
        rows = lambda: [row for member in members for row in member.records()]
        wait_until("all is read", lambda: len({row[:2] for row in rows()}) >= 3000, 120, 0.2)
        state = lambda: kafka_tool(GROUP_TOOL, "--bootstrap-server", dev.bootstrap, "--describe", "--group", "g", "--state")
        stable = wait_until("the group is stable", lambda: re.search(r"g +\S+:\d+ +\((\d)\) +uniform +Stable +3", state()), 60, 0.5)
        coordinator = int(stable[1])
        dev.kill(coordinator)
        produced = produced + produce("python", dev.bootstrap, "t", 3000, "after")
        wait_until("all is read again", lambda: len({row[:2] for row in rows()}) >= 6000, 120, 0.2)
        for member in members:
            self.assertIsNone(member.process.poll(), self.processes.log(member.name))
            member.stop()
        verify(rows(), produced, "the group", redelivery=True)

    def _type(self, dev, group):
        """The group's type, by Kafka's own tool."""
        listed = kafka_tool(GROUP_TOOL, "--bootstrap-server", dev.bootstrap, "--list", "--type")
        return re.search(rf"(?m)^{group} +(\w+)", listed)[1]

    def test_kafkas_own_tool_lists_and_describes_groups_of_both_types(self):
        dev = self.dev(1, settings=QUICK)
        dev.topic_create("t", partitions=2)
        fill(dev.bootstrap, "t", 100, 2)
        tool = lambda *arguments: kafka_tool(GROUP_TOOL, "--bootstrap-server", dev.bootstrap, *arguments)
        new = NewMember(dev.bootstrap, ["t"], "new", **{"client.id": "a client"})
        old = OldMember(dev.bootstrap, ["t"], "old")
        together([new, old], "both have read all", lambda: len(new.seen) == len(old.seen) == 100)
        new.consumer.commit(asynchronous=False)
        self.assertRegex(tool("--describe", "--group", "new"), r"new +t +1 +50 +50 +0 +\S+ +/127.0.0.1 +a client")
        self.assertRegex(tool("--describe", "--group", "new", "--state", "--verbose"), r"new +.*uniform +Stable")
        self.assertRegex(tool("--describe", "--group", "new", "--members", "--verbose"), r"new +\S+ +/127.0.0.1 +a client +2 ")
        listed = tool("--list", "--type", "consumer")
        self.assertRegex(listed, r"(?m)^new\b")
        self.assertNotRegex(listed, r"(?m)^old\b")
        self.assertRegex(tool("--list", "--type", "classic"), r"(?m)^old\b")
        self.assertRegex(tool("--list", "--state", "stable"), r"new +Stable")
        self.assertIn("not empty", tool("--delete", "--group", "new"))
        new.close()
        old.close()
        wait_until("the group is empty", lambda: re.search(r"new +Empty", tool("--list", "--state")), 20, 0.5)
        logs = [f for f in dev.data.glob("broker-1/data/__consumer_offsets-*/*.log") if f.stat().st_size]
        read = kafka_tool("org.apache.kafka.tools.DumpLogSegments", "--offsets-decoder", "--files", ",".join(map(str, logs)))
        for kind in (3, 5, 6, 7, 8):
            self.assertRegex(read, rf'key: {{"type":"{kind}","data":{{"group(Id)?":"new"[^\n]*payload: {{"version":"0"',
                             f"Kafka reads our records of type {kind}")
        self.assertIn("was successful", tool("--delete", "--group", "new"))
        self.assertNotRegex(tool("--list"), r"(?m)^new$")

    def test_a_group_moves_to_the_consumer_protocol_and_back_while_it_reads(self):
        dev = self.dev(1, settings=QUICK)
        dev.topic_create("t", partitions=4)
        old = OldMember(dev.bootstrap, ["t"], "g", **{"partition.assignment.strategy": "cooperative-sticky"})
        fill(dev.bootstrap, "t", 200, 4)
        together([old], "the old one has read all", lambda: len(set(old.seen)) == 200)
        old.consumer.commit(asynchronous=False)
        new = NewMember(dev.bootstrap, ["t"], "g")
        both = [old, new]
        together(both, "both have half", lambda: [len(m.partitions()) for m in both] == [2, 2])
        self.assertEqual(self._type(dev, "g"), "Consumer")
        fill(dev.bootstrap, "t", 200, 4)
        together(both, "both read", lambda: len(set(old.seen + new.seen)) == 400)
        for member in both:
            member.consumer.commit(asynchronous=False)
        self.assertEqual([e for e in old.events + new.events if e[0] == "lost"], [])
        new.close()
        together([old], "the old one has all again", lambda: len(old.partitions()) == 4)
        self.assertEqual(self._type(dev, "g"), "Classic")
        fill(dev.bootstrap, "t", 200, 4)
        together([old], "the old one reads on", lambda: len(set(old.seen + new.seen)) == 600)
        self.assertEqual(len(old.seen + new.seen), 600, "what was committed is not read again")
        old.close()

    def test_regular_expressions_static_members_and_configs_of_a_group(self):
        dev = self.dev(1, settings=QUICK)
        for topic in ("t-one", "t-two", "other"):
            dev.topic_create(topic, partitions=1)
        by_regex = NewMember(dev.bootstrap, ["^t-.*"], "regex")
        together([by_regex], "it has what matches", lambda: by_regex.topics() == ["t-one", "t-two"])
        dev.topic_create("t-three", partitions=1)
        together([by_regex], "it has the new topic too", lambda: len(by_regex.topics()) == 3)
        by_regex.close()

        static = lambda: NewMember(dev.bootstrap, ["t-one", "t-two"], "static", **{"group.instance.id": "one"})
        one, two = static(), NewMember(dev.bootstrap, ["t-one", "t-two"], "static")
        both = [one, two]
        together(both, "both have one", lambda: [len(m.partitions()) for m in both] == [1, 1])
        before, events = one.topics(), list(two.events)
        one.close()
        one = static()
        together([one, two], "it is back", lambda: one.topics() == before)
        self.assertEqual(two.events, events, "nobody was moved")
        one.close()
        two.close()

        config = lambda *arguments: kafka_tool("kafka.admin.ConfigCommand", "--bootstrap-server", dev.bootstrap,
                                               "--entity-type", "groups", "--entity-name", "static", *arguments, check=False)
        self.assertIn("Completed", config("--alter", "--add-config", "consumer.session.timeout.ms=7000"))
        self.assertIn("consumer.session.timeout.ms=7000", config("--describe"))
        self.assertIn("InvalidConfig", config("--alter", "--add-config", "consumer.session.timeout.ms=70000000"))


def heartbeat(version=1, group="g", **fields):
    """A heartbeat, as a function of the side it goes to."""
    def ask(side):
        values = {"GroupId": group, "RebalanceTimeoutMs": -1, **fields}
        if values.get("TopicPartitions"):
            values["TopicPartitions"] = [{"TopicId": side.id(topic), "Partitions": p}
                                         for topic, p in values["TopicPartitions"].items()]
        return side.ask("ConsumerGroupHeartbeat", version, values)
    return ask


def join(member, group="g", **fields):
    wanted = {"RebalanceTimeoutMs": 60_000, "SubscribedTopicNames": ["t"], "TopicPartitions": [], **fields}
    return heartbeat(group=group, MemberId=member, MemberEpoch=0, **wanted)


def beat(member, epoch, **fields):
    return heartbeat(MemberId=member, MemberEpoch=epoch, **fields)


# In the order in which they are asked; each must be answered alike.
RULES = [
    ("join of a first member", join("a")),
    ("nothing new", beat("a", 2)),
    ("a whole heartbeat", beat("a", 2, RebalanceTimeoutMs=60_000, SubscribedTopicNames=["t"], TopicPartitions={"t": [0, 1, 2, 3]})),
    ("join once more", join("a")),
    ("join of a second member", join("b")),
    ("the first one is told", beat("a", 2)),
    ("the first one keeps all", beat("a", 2, TopicPartitions={"t": [0, 1, 2, 3]})),
    ("an epoch too high", beat("a", 7)),
    ("an unknown member", beat("nobody", 1)),
    ("the epoch before, with more than it was given", beat("a", 1, TopicPartitions={"t": [0, 1, 2, 3]})),
    ("no such group", heartbeat(group="none", MemberId="a", MemberEpoch=1)),
    ("leave of a group that is not", heartbeat(group="none", MemberId="a", MemberEpoch=-1)),
    ("leave of an unknown member", beat("nobody", -1)),
    ("an assignor that is not", join("c", ServerAssignor="sticky")),
    ("a bad regular expression", join("c", SubscribedTopicNames=None, SubscribedTopicRegex="(")),
    ("no member id", join("")),
    ("no member id, older", heartbeat(version=0, MemberEpoch=3)),
    ("no group id", join("c", group="")),
    ("no rebalance timeout", join("c", RebalanceTimeoutMs=-1)),
    ("a join with partitions", join("c", TopicPartitions={"t": [0]})),
    ("a join without a list of partitions", join("c", TopicPartitions=None)),
    ("a join without topics", join("c", SubscribedTopicNames=None)),
    ("an epoch below -2", beat("a", -3)),
    ("away without an instance", beat("a", -2)),
    ("an empty instance", join("c", InstanceId="")),
    ("an empty rack", join("c", RackId="")),
    ("static: join", join("s1", group="s", InstanceId="i")),
    ("static: another one", join("s2", group="s", InstanceId="i")),
    ("static: the same once more", join("s1", group="s", InstanceId="i")),
    ("static: fenced", heartbeat(group="s", MemberId="s2", MemberEpoch=2, InstanceId="i")),
    ("static: unknown instance", heartbeat(group="s", MemberId="s1", MemberEpoch=1, InstanceId="j")),
    ("static: away", heartbeat(group="s", MemberId="s1", MemberEpoch=-2, InstanceId="i")),
    ("static: back", join("s2", group="s", InstanceId="i")),
    ("static: the former one", heartbeat(group="s", MemberId="s1", MemberEpoch=2, InstanceId="i")),
    ("static: leave", heartbeat(group="s", MemberId="s2", MemberEpoch=-1, InstanceId="i")),
    ("a topic that is not", join("e", group="e", SubscribedTopicNames=["later"])),
    ("no topic at all", join("f", group="f", SubscribedTopicNames=[])),
    ("the range assignor", join("r", group="r", ServerAssignor="range")),
]


def described(group):
    """ConsumerGroupDescribe, without targets: Kafka's goes on naming what a member has given up until the next is made."""
    def ask(side):
        answer = side.ask("ConsumerGroupDescribe", 1, {"GroupIds": [group]})
        for member in answer["Groups"][0]["Members"]:
            del member["TargetAssignment"]
        return answer
    return ask


# The interval is so long that no second target is made while the test runs (KIP-1263).
PACED = [
    ("paced: the first target does not wait", join("a", group="p", SubscribedTopicNames=["t", "u"])),
    ("paced: a second member joins on it", join("b", group="p")),
    ("paced: nothing new for the first", heartbeat(group="p", MemberId="a", MemberEpoch=2)),
    ("paced: nor for the second", heartbeat(group="p", MemberId="b", MemberEpoch=2)),
    ("paced: a topic is given up", heartbeat(group="p", MemberId="a", MemberEpoch=2, RebalanceTimeoutMs=60_000, SubscribedTopicNames=["u"],
                                             TopicPartitions={"t": [0, 1, 2, 3], "u": [0, 1]})),
    ("paced: and given back", heartbeat(group="p", MemberId="a", MemberEpoch=2, RebalanceTimeoutMs=60_000, SubscribedTopicNames=["u"],
                                        TopicPartitions={"u": [0, 1]})),
    ("paced: described", described("p")),
    ("paced: one leaves", heartbeat(group="p", MemberId="b", MemberEpoch=-1)),
    ("paced: described once more", described("p")),
]


def subscription(owned):
    """What a classic consumer of `t` says of itself when it joins (version 1), with what it has."""
    parts = struct.pack(">i", len(owned)) + b"".join(struct.pack(">i", p) for p in owned)
    topics = struct.pack(">ih", 1, 1) + b"t" + parts if owned else struct.pack(">i", 0)
    return struct.pack(">hih", 1, 1, 1) + b"t" + struct.pack(">i", -1) + topics


def assignment(partitions):
    return struct.pack(">hih", 1, 1, 1) + b"t" + struct.pack(">i", len(partitions)) + b"".join(
        struct.pack(">i", p) for p in partitions) + struct.pack(">i", -1)


class Moving:
    """A member of the classic protocol in group `m`; each side gives it an id of its own."""

    def __init__(self):
        self.ids, self.generations = {}, {}

    def join(self, owned):
        def ask(side):
            answer = side.ask("JoinGroup", 9, {
                "GroupId": "m", "SessionTimeoutMs": 30_000, "RebalanceTimeoutMs": 60_000, "MemberId": self.ids.get(side.name, ""),
                "ProtocolType": "consumer", "Protocols": [{"Name": "range", "Metadata": subscription(owned)}]})
            self.ids[side.name], self.generations[side.name] = answer["MemberId"], answer["GenerationId"]
            return {**answer, "Leader": bool(answer["Leader"])}
        return ask

    def sync(self, partitions=None):
        return lambda side: side.ask("SyncGroup", 5, {**self._who(side), "ProtocolType": "consumer", "ProtocolName": "range", "Assignments": [
            {"MemberId": self.ids[side.name], "Assignment": assignment(partitions)}] if partitions else []})

    def beat(self, side):
        return side.ask("Heartbeat", 4, self._who(side))

    def _who(self, side):
        return {"GroupId": "m", "GenerationId": self.generations[side.name], "MemberId": self.ids[side.name]}


def moving():
    old, new = Moving(), lambda epoch, **fields: heartbeat(group="m", MemberId="n", MemberEpoch=epoch, **fields)
    both = lambda side: side.ask("ConsumerGroupDescribe", 1, {"GroupIds": ["m"]})
    return [
        ("classic: an id is given", old.join([])),
        ("classic: join", old.join([])),
        ("classic: sync", old.sync([0, 1, 2, 3])),
        ("classic: heartbeat", old.beat),
        ("move: a member of the new protocol", join("n", group="m")),
        ("move: described", both),
        ("move: the old one is to join again", old.beat),
        ("move: it does, with all", old.join([0, 1, 2, 3])),
        ("move: and is told what to keep", old.sync()),
        ("move: it is to join once more", old.beat),
        ("move: it does, without what it gave back", old.join([0, 1])),
        ("move: and keeps the rest", old.sync()),
        ("move: all is well", old.beat),
        ("move: the new one gets what it gave back", new(2)),
        ("move: described in the end", both),
        ("move: the new one leaves", new(-1)),
        ("move: the group is classic again", lambda side: side.ask("DescribeGroups", 5, {"Groups": ["m"]})),
        ("move: the old one is to join again, classically", old.beat),
        ("move: and does", old.join([0, 1])),
        ("move: it leads", old.sync([0, 1, 2, 3])),
        ("move: all is well, classically", old.beat),
    ]


class AsKafka(ClusterCase):
    """The control of `differences` is in test_fetch_rules."""

    @slow
    def test_heartbeats_are_answered_as_kafka_answers_them(self):
        settings = {"offsets.topic.num.partitions": 4, "group.consumer.assignment.interval.ms": 0,
                    "group.consumer.max.assignment.interval.ms": 3_600_000, "group.initial.rebalance.delay.ms": 0}
        dev = self.dev(1, settings=settings)
        theirs = kafka(self.processes, settings=settings)
        sides = [Side("Esker", dev.bootstrap), Side("Kafka", theirs.bootstrap)]
        for side in sides:
            self.addCleanup(side.close)
            side.create("t", partitions=4)
            side.create("u", partitions=2)
            for group in ("g", "s", "e", "f", "r", "p", "m", "none", ""):
                self._coordinated(side, group)
            altered = side.ask("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 32, "ResourceName": "p", "Configs": [
                {"Name": "consumer.assignment.interval.ms", "ConfigOperation": 0, "Value": "3600000"}]}]})
            self.assertEqual(altered["Responses"][0]["ErrorCode"], 0, side.name)
        found = []
        for what, ask in [*RULES, *PACED, *moving()]:
            answers = [self._answer(side, ask) for side in sides]
            found += [f"{what}: {line}" for line in differences(*answers)]
        for version in (0, 1):
            groups = {"GroupIds": ["g", "s", "none", "e"]}
            answers = [self._answer(side, lambda side: side.ask("ConsumerGroupDescribe", version, groups)) for side in sides]
            found += [f"describe {version}: {line}" for line in differences(*answers)]
        for what, api, version, values in (
            ("commit at the epoch", "OffsetCommit", 9, commit("a", 2)),
            ("commit at another epoch", "OffsetCommit", 9, commit("a", 9)),
            ("commit of nobody", "OffsetCommit", 9, commit("nobody", 1)),
            ("commit of an admin", "OffsetCommit", 9, commit("", -1)),
            ("commit of an old version", "OffsetCommit", 8, commit("a", 2)),
            ("fetch of nobody in particular", "OffsetFetch", 9, fetch(None, -1)),
            ("fetch at the epoch", "OffsetFetch", 9, fetch("a", 2)),
            ("fetch at another epoch", "OffsetFetch", 9, fetch("a", 9)),
            ("fetch of nobody", "OffsetFetch", 9, fetch("nobody", 1)),
            ("list", "ListGroups", 5, {"TypesFilter": ["consumer"]}),
            ("list of the other type", "ListGroups", 5, {"TypesFilter": ["classic"]}),
            ("describe as classic", "DescribeGroups", 6, {"Groups": ["g"]}),
            ("describe as classic, older", "DescribeGroups", 5, {"Groups": ["g"]}),
            ("delete", "DeleteGroups", 2, {"GroupsNames": ["g", "none"]}),
            ("a classic heartbeat", "Heartbeat", 4, {"GroupId": "g", "MemberId": "a", "GenerationId": 2}),
            ("a classic join of nothing", "JoinGroup", 9, {"GroupId": "g", "ProtocolType": "connect", "SessionTimeoutMs": 10_000,
                                                           "Protocols": [{"Name": "x", "Metadata": b""}]}),
        ):
            answers = [self._answer(side, lambda side: side.ask(api, version, values)) for side in sides]
            found += [f"{what}: {line}" for line in differences(*answers)]
        self.assertEqual(found, [])

    def _coordinated(self, side, group):
        """Asks until the coordinator is there and has loaded the group's partition."""
        def ready():
            side.ask("FindCoordinator", 4, {"KeyType": 0, "CoordinatorKeys": [group]})
            answer = side.ask("OffsetFetch", 8, {"Groups": [{"GroupId": group, "Topics": None}]})
            return answer["Groups"][0]["ErrorCode"] not in (14, 15, 16)

        wait_until(f"{side.name} coordinates {group!r}", ready, 60, 0.2)

    def _answer(self, side, ask):
        answer = None
        for _ in range(100):
            answer = ask(side)
            if answer.get("ErrorCode") not in (14, 15, 16):
                break
            time.sleep(0.1)
        return plain(side.plain(answer))


def plain(value, name=""):
    """Without texts, which are each broker's own, and with lists of groups and topics in one order."""
    if isinstance(value, dict):
        return {key: plain(inner, key) for key, inner in value.items() if key not in ("ErrorMessage", "ClientHost", "MemberId")}
    if isinstance(value, list):
        inner = [plain(each) for each in value]
        return sorted(inner, key=str)
    return value


def commit(member, epoch):
    return {"GroupId": "g", "GenerationIdOrMemberEpoch": epoch, "MemberId": member, "Topics": [
        {"Name": "t", "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 3, "CommittedMetadata": ""}]}]}


def fetch(member, epoch):
    return {"Groups": [{"GroupId": "g", "MemberId": member, "MemberEpoch": epoch,
                        "Topics": [{"Name": "t", "PartitionIndexes": [0, 1]}]}]}
