"""Hostile bytes at a live broker (tests/README.md, hostile input 1–8, 15, 19, 22–24, 28, 29): it closes or answers the defined
error, and goes on serving others within bounded memory."""

import os
import random
import struct
import time

from case import SharedCase, memory_kb
from clients import consume, produce, verify
from messages import ask
from processes import alive, wait_until
from wire import API_VERSIONS, METADATA, PRODUCE, Closed, Connection, crc32c, frame, header, record_batch, text


def batch(records=b"\0" * 10, count=1, crc=None, magic=2, last_delta=0):
    """A record batch with whatever is wrong about it."""
    rest = struct.pack(">hiqqqhii", 0, last_delta, 0, 0, -1, -1, -1, count) + records
    body = struct.pack(">iB", 0, magic) + struct.pack(">I", crc if crc is not None else crc32c(rest)) + rest
    return struct.pack(">qi", 0, len(body)) + body


def produce_request(topic, records, acks=-1):
    body = struct.pack(">hhi", -1, acks, 5000) + struct.pack(">i", 1) + text(topic)
    return body + struct.pack(">ii", 1, 0) + struct.pack(">i", len(records)) + records


class Hostile(SharedCase):
    @classmethod
    def begin(cls):
        cls.cluster = cls.dev(1, settings={"socket.receive.deadline.ms": "1500", "group.initial.rebalance.delay.ms": 0,
                                           "offsets.topic.num.partitions": 4})
        cls.cluster.topic_create("t")
        cls.address = cls.cluster.brokers()[1][1]

    def closes(self, data, what, timeout=8):
        """The broker must end the connection that sent this."""
        with Connection(self.address, timeout) as connection:
            try:
                connection.send(data)
            except Closed:
                return
            self.assertTrue(connection.is_closed(), f"{what}: the connection stays open")

    def test_hostile_frames_close_their_connection_and_the_broker_serves_on(self):
        before = memory_kb(self.cluster.pid(1))
        flexible_api_versions = struct.pack(">hhi", API_VERSIONS, 3, 1) + text("raw") + b"\0"
        cases = {
            "negative length": struct.pack(">i", -1),
            "length of zero": struct.pack(">i", 0),
            "length above socket.request.max.bytes": struct.pack(">i", 2**31 - 1),
            "an HTTP request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
            "an array of 2^31-1 topics": frame(header(METADATA, 4, 1) + struct.pack(">i", 2**31 - 1)),
            "an array of -5 topics": frame(header(METADATA, 4, 1) + struct.pack(">i", -5) + b"\0"),
            "half a million empty names": frame(header(METADATA, 4, 1) + struct.pack(">i", 10**8) + bytes(10**6)),
            "an overlong varint": frame(flexible_api_versions + b"\xff" * 10),
            "a flood of tags": frame(flexible_api_versions + b"\x02a\x02b" + b"\xff\xff\xff\x7f"),
            "duplicate tags": frame(flexible_api_versions + b"\x02a\x02b" + b"\x02\x05\x00\x05\x00"),
            "a null topic name": frame(header(METADATA, 4, 1) + struct.pack(">ih", 1, -1) + b"\0"),
            "a truncated request": frame(header(METADATA, 4, 1) + struct.pack(">i", 3) + text("a")),
            "trailing bytes": frame(header(METADATA, 4, 1) + struct.pack(">i", 0) + b"\0" + b"junk"),
            "an unknown API": frame(header(9999, 0, 1)),
            "an API that only brokers speak": frame(header(6, 7, 1)),
            "an unserved version": frame(header(METADATA, 99, 1)),
            "a header alone": frame(struct.pack(">hh", METADATA, 4)),
            "a name that is not UTF-8": frame(header(METADATA, 4, 1) + struct.pack(">ih", 1, 2) + b"\xff\xfe\0"),
        }
        for what, data in cases.items():
            with self.subTest(what):
                self.closes(data, what)
        self.assertLess(memory_kb(self.cluster.pid(1)) - before, 200_000, "memory grew by what was announced")
        self.still_serves()

    def test_a_huge_length_and_a_drip_is_cut_at_the_deadline(self):
        with Connection(self.address, 10) as connection:
            connection.send(struct.pack(">i", 90 << 20))
            before = memory_kb(self.cluster.pid(1))
            begun = time.monotonic()
            with self.assertRaises((Closed, AssertionError)):
                while time.monotonic() - begun < 8:
                    connection.send(b"x")
                    time.sleep(0.1)
                raise AssertionError("still open")
            self.assertLess(time.monotonic() - begun, 8, "the drip was never cut")
            self.assertLess(memory_kb(self.cluster.pid(1)) - before, 60_000)
        self.still_serves()

    def test_an_unknown_version_of_api_versions_is_answered_in_version_0_with_the_list(self):
        with Connection(self.address) as connection:
            answer = connection.call(API_VERSIONS, 99, b"\0\1\1\0")  # as a client of the future would write it
            error, count = struct.unpack_from(">hi", answer)
            self.assertEqual(error, 35)
            self.assertGreater(count, 15)
            keys = [struct.unpack_from(">hhh", answer, 6 + 6 * i) for i in range(count)]
            self.assertEqual(len(answer), 6 + 6 * count)
            self.assertIn(API_VERSIONS, [key for key, _, _ in keys])

    def test_bad_batches_get_the_defined_error_and_leave_nothing_behind(self):
        cases = {
            "bad CRC": (batch(crc=1), {2}),
            "count of zero": (batch(count=0), {2, 87}),
            "count other than the offset range": (batch(count=5, last_delta=9), {2, 87}),
            "old magic": (batch(magic=1), {2, 43, 76, 87}),
            "truncated batch": (batch()[:-3], {2, 87}),
            "length beyond the end": (batch()[:8] + struct.pack(">i", 10**6) + batch()[12:], {2, 87}),
            "no batch at all": (b"\0" * 7, {2, 87}),
            "too large": (batch(records=bytes(2 << 20)), {10}),
        }
        with Connection(self.address) as connection:
            for what, (records, errors) in cases.items():
                with self.subTest(what):
                    answer = connection.call(PRODUCE, 3, produce_request("t", records))
                    error = struct.unpack_from(">h", answer, 4 + 2 + 1 + 4 + 4)[0]
                    self.assertIn(error, errors, what)
            self.assertEqual(connection.list_offset("t", 0, -1)[2], 0)  # no other test writes there
            answer = connection.call(PRODUCE, 3, produce_request("t", batch(), acks=7))
            self.assertEqual(struct.unpack_from(">h", answer, 15)[0], 21)
        self.still_serves()

    def test_names_that_are_paths_are_no_topics(self):
        names = ["..", ".", "/", "a/b", "../../etc/passwd", "nul\0byte", "", "x" * 250, "é", "a b", "%2e%2e", "line\nfeed"]
        before = {path.name for path in (self.cluster.data / "broker-1").rglob("*")}
        with Connection(self.address) as connection:
            for name in names:
                with self.subTest(name=name):
                    wanted = {"Name": name, "NumPartitions": 1, "ReplicationFactor": 1}
                    made = ask(connection, "CreateTopics", 7, {"Topics": [wanted]})["Topics"][0]
                    self.assertEqual(made["ErrorCode"], 17)
                    # Creation on the way, too.
                    found = ask(connection, "Metadata", 9, {"Topics": [{"Name": name}], "AllowAutoTopicCreation": True})
                    self.assertEqual(found["Topics"][0]["ErrorCode"], 17)
                    produced = ask(connection, "Produce", 9, {"Acks": 1, "TimeoutMs": 1000, "TopicData": [
                        {"Name": name, "PartitionData": [{"Index": 0, "Records": batch()}]}]})
                    self.assertEqual(produced["Responses"][0]["PartitionResponses"][0]["ErrorCode"], 17)
                    fetched = ask(connection, "Fetch", 12, {"Topics": [
                        {"Topic": name, "Partitions": [{"Partition": 0, "PartitionMaxBytes": 100}]}]})
                    self.assertIn(fetched["Responses"][0]["Partitions"][0]["ErrorCode"], (3, 17))
        after = {path.name for path in (self.cluster.data / "broker-1").rglob("*")}
        self.assertEqual({name for name in after - before if "." in name[:2] or "etc" in name or "%" in name}, set())
        self.still_serves()

    def test_a_billion_partitions_are_not_made(self):
        with Connection(self.address) as connection:
            for count in (10**9, 2**31 - 1, 0, -5):
                wanted = {"Name": "many", "NumPartitions": count, "ReplicationFactor": 1}
                made = ask(connection, "CreateTopics", 7, {"Topics": [wanted]})["Topics"][0]
                self.assertEqual(made["ErrorCode"], 37, count)
                more = {"Topics": [{"Name": "t", "Count": count}], "TimeoutMs": 5000}
                grown = ask(connection, "CreatePartitions", 3, more)["Results"][0]
                self.assertEqual(grown["ErrorCode"], 37, count)
            replicas = {"Name": "copies", "NumPartitions": 1, "ReplicationFactor": 32_000}
            self.assertEqual(ask(connection, "CreateTopics", 7, {"Topics": [replicas]})["Topics"][0]["ErrorCode"], 38)
        self.still_serves()

    def test_a_fetch_of_everything_is_capped(self):
        partitions = 72
        self.cluster.topic_create("wide", partitions=partitions)
        pid = self.cluster.pid(1)
        value = record_batch([(0, None, bytes(1_000_000))])
        with Connection(self.address, 60) as connection:
            for index in range(partitions):
                def taken(index=index):
                    answer = ask(connection, "Produce", 9, {"Acks": 1, "TimeoutMs": 5000, "TopicData": [
                        {"Name": "wide", "PartitionData": [{"Index": index, "Records": value}]}]})
                    return answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0
                wait_until("the batch is taken", taken, 20)
            before = memory_kb(pid)
            # Every partition 150 times, of which one counts, and ten thousand that are not there.
            wanted = [{"Partition": i % partitions, "PartitionMaxBytes": 2**31 - 1} for i in range(150 * partitions)]
            wanted += [{"Partition": 1000 + i, "PartitionMaxBytes": 2**31 - 1} for i in range(10_000)]
            everything = {"MaxBytes": 2**31 - 1, "MinBytes": 1, "Topics": [{"Topic": "wide", "Partitions": wanted}]}
            found = ask(connection, "Fetch", 12, everything)["Responses"]
            told = [p for topic in found for p in topic["Partitions"]]
            self.assertEqual(len(told), partitions + 10_000)
            sizes = [len(p["Records"] or b"") for p in told]
            self.assertLessEqual(sum(sizes), 57_671_680 + len(value), "fetch.max.bytes and one batch")
            self.assertGreater(sum(sizes), 20_000_000, "a share of the memory for answers")
            nothing = {**everything, "MaxBytes": 0}
            told = [p for topic in ask(connection, "Fetch", 12, nothing)["Responses"] for p in topic["Partitions"]]
            self.assertEqual([len(p["Records"]) for p in told if p["Records"]], [len(value)], "one batch and no more")
            self.assertLess(memory_kb(pid) - before, 200_000)
        self.still_serves()

    def test_random_bytes_never_stop_the_broker(self):
        seed = int(os.environ.get("TESTS_SEED", time.time_ns() % 10**6))
        print(f"(seed {seed}) ", end="", flush=True)
        random.seed(seed)
        for _ in range(300):
            api = random.choice([0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 17, 18, 19, 20, 22, 23, 32, 36, 37, 42, 44, 60])
            body = random.randbytes(random.randint(0, 200))
            with Connection(self.address) as connection:
                try:
                    connection.send(frame(header(api, random.randint(0, 13), 7) + body))
                    connection.socket.shutdown(1)
                    connection.is_closed()
                except (Closed, OSError):
                    pass
        self.still_serves()

    def test_patterns_that_blow_others_up_cost_no_time_and_no_memory(self):
        names = [f"{'a' * 200}{number}" for number in range(20)]
        with Connection(self.address, 60) as connection:
            made = ask(connection, "CreateTopics", 7, {"TimeoutMs": 30_000, "Topics": [
                {"Name": name, "NumPartitions": 1, "ReplicationFactor": 1} for name in names]})
            self.assertEqual({topic["ErrorCode"] for topic in made["Topics"]}, {0})
            before = memory_kb(self.cluster.pid(1))

            def beat(pattern, group="patterns", epoch=0):
                def answered():
                    found = ask(connection, "ConsumerGroupHeartbeat", 1, {
                        "GroupId": group, "MemberId": "m", "MemberEpoch": epoch, "RebalanceTimeoutMs": 30_000,
                        "SubscribedTopicRegex": pattern, "TopicPartitions": []})
                    return found if found["ErrorCode"] not in (14, 15, 16) else None  # it loads

                return wait_until("the coordinator answers", answered, 60, 0.1)

            def coordinated():
                found = ask(connection, "FindCoordinator", 4, {"KeyType": 0, "CoordinatorKeys": ["patterns"]})
                return found["Coordinators"][0]["ErrorCode"] == 0

            wait_until("groups have a coordinator", coordinated, 60, 0.2)
            # Those that are no expression, or one that takes more than there is.
            for pattern in ("(", "a)|(b", "[z-a]", r"(a)\1", "(?=a)a", "(a{1000}){1000}", "((((a{9}){9}){9}){9}){9}", "a" * 5000):
                self.assertEqual(beat(pattern)["ErrorCode"], 128, pattern[:30])  # INVALID_REGULAR_EXPRESSION
            # Those on which an engine that goes back takes for ever; each is looked for in all names.
            for number, pattern in enumerate(("(a+)+b", "(a|a)*b", "(a*)*c", "(.*a){20}z", "a?" * 120 + "a" * 120 + "x")):
                self.assertEqual(beat(pattern, f"patterns-{number}")["ErrorCode"], 0, pattern[:30])

            def assigned():
                found = beat("(a+)+[0-9]*", "patterns-that-match", 0)
                return len((found["Assignment"] or {"TopicPartitions": []})["TopicPartitions"]) == len(names)

            wait_until("the control: what matches is found", assigned, 60, 0.3)
            self.assertLess(memory_kb(self.cluster.pid(1)) - before, 100_000)
        self.still_serves()

    def still_serves(self):
        self.assertTrue(alive(self.cluster.pid(1)))
        log = (self.cluster.data / "broker-1/broker.log").read_text(errors="replace")
        self.assertNotIn("panicked", log)
        self.assertNotIn("broker 1 ended", self.cluster.output())
        name = f"after-{time.monotonic_ns()}"
        self.cluster.topic_create(name)
        produced = produce("python", self.cluster.bootstrap, name, 50, "s")
        verify(consume(self.processes, "python", self.cluster.bootstrap, name, 50), produced, "after hostile input")
