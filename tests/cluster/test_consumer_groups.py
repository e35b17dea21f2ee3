"""Groups of the consumer protocol (KIP-848): the Java client and librdkafka, Kafka's own tool, and groups that
change over while they live."""

import re

from case import ClusterCase
from clients import Consumer, produce, verify, write_config
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
