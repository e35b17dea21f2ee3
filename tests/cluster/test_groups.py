"""Consumer groups as librdkafka and Kafka's own tool see them: assignors, static members, offsets, a dying coordinator."""

import re
import threading
import time

from case import ClusterCase, slow
from dev import Admin
from processes import kafka_tool, wait_until

GROUP_TOOL = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"


class Member:
    """A consumer that writes down what happens to it; polled by the test."""

    def __init__(self, bootstrap, topic, group, **more):
        from confluent_kafka import Consumer

        self.events, self.seen, self.error = [], [], None
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
            "session.timeout.ms": 10000, "heartbeat.interval.ms": 300, "log_level": 0, **more,
        })
        note = lambda what: lambda _, parts: self.events.append((what, sorted(p.partition for p in parts)))
        self.consumer.subscribe([topic], on_assign=note("assign"), on_revoke=note("revoke"), on_lost=note("lost"))

    def poll(self):
        message = self.consumer.poll(0.05)
        if message is not None and message.error():
            self.error = message.error()
        elif message is not None:
            self.seen.append((message.partition(), message.offset()))

    def partitions(self):
        return sorted(p.partition for p in self.consumer.assignment())

    def close(self):
        self.consumer.close()


def together(members, what, check, seconds=45):
    """Polls all members until `check()` holds."""
    def polled():
        for member in members:
            member.poll()
        return check()

    try:
        wait_until(what, polled, seconds, 0)
    except AssertionError as error:
        raise AssertionError(f"{error}: {[(m.partitions(), m.events, m.error) for m in members]}") from None


def fill(bootstrap, topic, count, partitions):
    """`count` records, the same number in each partition."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    for number in range(count):
        producer.produce(topic, str(number), partition=number % partitions)
    assert producer.flush(60) == 0


def coordinator_of(bootstrap, group):
    """The coordinator's id. By a client of its own: librdkafka's admin client remembers a former one for minutes."""
    admin = Admin(bootstrap)
    return admin.client.describe_consumer_groups([group])[group].result(20).coordinator.id


class Groups(ClusterCase):
    def test_two_members_share_a_topic_under_every_assignor_and_commit_what_they_read(self):
        from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

        dev = self.dev(1)
        dev.topic_create("t", partitions=6)
        fill(dev.bootstrap, "t", 600, 6)
        admin = Admin(dev.bootstrap).client
        for assignor in ("range", "roundrobin", "cooperative-sticky"):
            group, settings = f"g-{assignor}", {"partition.assignment.strategy": assignor}
            one = Member(dev.bootstrap, "t", group, **settings)
            together([one], "one member has all", lambda: len(one.partitions()) == 6)
            two = Member(dev.bootstrap, "t", group, **settings)
            members = [one, two]
            together(members, "both have half", lambda: [len(m.partitions()) for m in members] == [3, 3])
            self.assertEqual(sorted(one.partitions() + two.partitions()), list(range(6)))
            together(members, "all is read", lambda: len(set(one.seen + two.seen)) == 600)

            described = admin.describe_consumer_groups([group])[group].result(10)
            self.assertEqual((described.state.name, described.partition_assignor), ("STABLE", assignor))
            self.assertEqual(sorted(len(m.assignment.topic_partitions) for m in described.members), [3, 3])
            with self.assertRaises(KafkaException) as refused:
                admin.delete_consumer_groups([group])[group].result(10)
            self.assertEqual(refused.exception.args[0].code(), KafkaError.NON_EMPTY_GROUP)

            one.consumer.commit(offsets=[TopicPartition("t", p, 42, f"größe {p}") for p in one.partitions()], asynchronous=False)
            two.consumer.commit(asynchronous=False)
            back = one.consumer.committed([TopicPartition("t", p) for p in one.partitions()], timeout=10)
            self.assertEqual([(p.offset, p.metadata) for p in back], [(42, f"größe {p}") for p in one.partitions()])
            ours = one.partitions()
            one.close()
            together([two], "the other takes over", lambda: len(two.partitions()) == 6)
            two.close()

            listed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(10)
            self.assertEqual({p.partition: p.offset for p in listed.topic_partitions},
                             {p: 42 if p in ours else 100 for p in range(6)})
            self.assertEqual(admin.describe_consumer_groups([group])[group].result(10).state.name, "EMPTY")
            admin.delete_consumer_groups([group])[group].result(10)
            self.assertNotIn(group, [g.group_id for g in admin.list_consumer_groups().result(10).valid])

    def test_a_static_member_that_restarts_keeps_its_partitions_and_moves_nobody(self):
        from confluent_kafka import KafkaError

        dev = self.dev(1)
        dev.topic_create("t", partitions=4)
        static = lambda name: Member(dev.bootstrap, "t", "g", **{"group.instance.id": name})
        one, two = static("one"), static("two")
        together([one, two], "both have half", lambda: [len(m.partitions()) for m in (one, two)] == [2, 2])
        before, events = one.partitions(), list(two.events)
        one.close()
        one = static("one")
        together([one, two], "it is back", lambda: one.partitions() == before)
        self.assertEqual(two.events, events)
        second = static("one")
        together([one, two, second], "the former one is fenced", lambda: one.error is not None)
        self.assertEqual(one.error.code(), KafkaError._FATAL)
        second.close()
        two.close()

    def test_kafkas_own_tool_lists_describes_resets_and_deletes_groups(self):
        dev = self.dev(1)
        dev.topic_create("t", partitions=2)
        fill(dev.bootstrap, "t", 100, 2)
        tool = lambda *arguments: kafka_tool(GROUP_TOOL, "--bootstrap-server", dev.bootstrap, *arguments)
        member = Member(dev.bootstrap, "t", "g", **{"client.id": "a client"})
        together([member], "it has read all", lambda: len(member.seen) == 100)
        member.consumer.commit(asynchronous=False)
        self.assertRegex(tool("--describe", "--group", "g"), r"g +t +1 +50 +50 +0 +a client-\S+ +/127.0.0.1 +a client")
        member.close()
        self.assertRegex(tool("--list", "--state"), r"g +Empty")
        self.assertRegex(tool("--reset-offsets", "--group", "g", "--topic", "t:1", "--to-offset", "20", "--execute"), r"g +t +1 +20")
        self.assertRegex(tool("--describe", "--group", "g"), r"g +t +1 +20 +50 +30")
        self.assertIn("was successful", tool("--delete", "--group", "g"))
        self.assertNotRegex(tool("--list"), r"(?m)^g$")
        logs = [f for f in dev.data.glob("broker-1/data/__consumer_offsets-*/*.log") if f.stat().st_size]
        read = kafka_tool("org.apache.kafka.tools.DumpLogSegments", "--offsets-decoder", "--files", ",".join(map(str, logs)))
        self.assertRegex(read, re.escape('key: {"type":"1","data":{"group":"g","topic":"t","partition":1}} payload: {"version":"4",'))
        self.assertRegex(read, re.escape('key: {"type":"2","data":{"group":"g"}} payload: <DELETE>'))

    @slow
    def test_a_killed_coordinator_moves_nobody_and_no_commit_goes_back(self):
        from confluent_kafka import Consumer, KafkaException, TopicPartition

        dev = self.dev(3)
        dev.topic_create("t", partitions=4)
        admin = Admin(dev.bootstrap)
        acknowledged, times, stop = {}, [], threading.Event()

        def work(member):
            while not stop.is_set():
                member.poll()
                read = [p for p in member.consumer.position(member.consumer.assignment()) if p.offset >= 0]
                try:
                    for done in member.consumer.commit(offsets=read, asynchronous=False) if read else []:
                        if done.error is None:
                            acknowledged[done.partition] = max(done.offset, acknowledged.get(done.partition, -1))
                            times.append(time.monotonic())
                except KafkaException:
                    pass  # no coordinator at the moment

        members = [Member(dev.bootstrap, "t", "g", **{"session.timeout.ms": 30000}) for _ in range(2)]
        together(members, "both have half", lambda: [len(m.partitions()) for m in members] == [2, 2])
        events = [list(m.events) for m in members]
        workers = [threading.Thread(target=work, args=(m,), daemon=True) for m in members]
        for worker in workers:
            worker.start()
        stalls = []
        for round in range(2):
            fill(dev.bootstrap, "t", 400, 4)
            wait_until("all is committed", lambda: sorted(acknowledged.values()) == [100 * (round + 1)] * 4, 60)
            admin.wait_for_isr("__consumer_offsets", 50, 3)
            coordinator = coordinator_of(dev.bootstrap, "g")
            dev.kill(coordinator)
            killed = time.monotonic()
            wait_until("a commit after the kill", lambda: times[-1] > killed + 0.5, 60)
            stalls.append(min(t for t in times if t > killed + 0.5) - killed)
            # By a consumer of its own: librdkafka's waits long after it has seen its coordinator die.
            reader = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": "g", "log_level": 0})
            for partition in reader.committed([TopicPartition("t", p) for p in range(4)], timeout=20):
                self.assertGreaterEqual(partition.offset, 100 * (round + 1))
            reader.close()
            dev.restart(coordinator)
        stop.set()
        for worker in workers:
            worker.join(30)
        self.assertEqual([m.events for m in members], events, "nobody was moved")
        self.assertLess(max(stalls), 10)
        shown = ", ".join(f"{stall:.1f}" for stall in stalls)
        print(f"(groups: a commit went through {shown} s after the coordinator was killed)", flush=True)
        for member in members:
            member.close()
