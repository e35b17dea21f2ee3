"""The rules of Fetch, ListOffsets and OffsetForLeaderEpoch (KIP-74, 101, 227, 320, 516,
595, 951): the same raw calls to Esker and to Apache Kafka 4.3.1, the answers compared field by field.

Where the two differ on purpose the difference stands in a list `KNOWN_…` with its reason, and the test fails when it
is gone, so that the list can only shrink.
"""

import threading
import time
import unittest

from case import ClusterCase, slow
from kafka_peer import Side, differences, kafka, wait_for, whole_batches
from messages import MESSAGES
from processes import wait_until
from wire import record_batch

NOW = 1_700_000_000_000


def partition(index=0, offset=0, size=1 << 20, **more):
    return {"Partition": index, "FetchOffset": offset, "PartitionMaxBytes": size, **more}


def fetch(version, topics, **more):
    """The fields of a Fetch of {topic: [partition(…)]} in a version; a function of the side, for the topics' ids."""
    def fields(side):
        named = [{"TopicId": side.id(topic), "Partitions": p} if version >= 13 else {"Topic": topic, "Partitions": p}
                 for topic, p in topics.items()]
        forgotten = [{"TopicId": side.id(topic), "Partitions": p} if version >= 13 else {"Topic": topic, "Partitions": p}
                     for topic, p in more.get("forget", {}).items()]
        rest = {key: value for key, value in more.items() if key != "forget"}
        return {"MaxWaitMs": 50, "MinBytes": 1, "Topics": named, "ForgottenTopicsData": forgotten, **rest}
    return fields


class Comparison(unittest.TestCase):
    """The control: what differs is found."""

    def test_every_kind_of_difference_is_found(self):
        same = {"ErrorCode": 0, "Topics": [{"Name": "t", "Partitions": [{"Offset": 5}, {"Offset": 6}]}]}
        self.assertEqual(list(differences(same, same)), [])
        for other in (
            {**same, "ErrorCode": 1},
            {**same, "SessionId": "some"},
            {"ErrorCode": 0},
            {**same, "Topics": []},
            {**same, "Topics": [{"Name": "t", "Partitions": [{"Offset": 6}, {"Offset": 5}]}]},
            {**same, "Topics": [{"Name": "t", "Partitions": None}]},
        ):
            self.assertNotEqual(list(differences(same, other)), [], other)
            self.assertNotEqual(list(differences(other, same)), [], other)

    def test_records_are_told_apart(self):
        one, other = record_batch([(NOW, b"k", b"v")]), record_batch([(NOW, b"k", b"w")])
        self.assertNotEqual(whole_batches(one), whole_batches(other))
        self.assertNotEqual(whole_batches(one), whole_batches(one + other))
        self.assertEqual(whole_batches(one + other[:-1]), whole_batches(one), "a torn end is what clients drop")


class FetchRules(ClusterCase):
    """Two lone brokers with the same topics and records."""

    def setUp(self):
        super().setUp()
        self.kafka = kafka(self.processes)
        self.esker = self.dev(1)
        self.addCleanup(self.unharmed, self.esker)
        self.sides = [Side("Esker", self.esker.brokers()[1][1]), Side("Kafka", self.kafka.bootstrap)]
        for side in self.sides:
            self.addCleanup(side.close)
        self.found = {}
        self.calls = 0

    def create(self, topic, partitions=1, configs=None):
        for side in self.sides:
            side.create(topic, partitions, configs)

    def produce(self, topic, batches, index=0):
        for side in self.sides:
            for batch in batches:
                side.produce(topic, index, batch)

    def both(self, what, api, version, fields):
        """Asks both and notes how the answers differ; returns them."""
        answers = [side.plain(side.ask(api, version, fields(side) if callable(fields) else fields)) for side in self.sides]
        return self.compare(what, answers)

    def compare(self, what, answers):
        self.calls += 1
        for each in answers:
            topics = [topic for topic in each.get("Responses", []) if "Partitions" in topic]
            # Kafka puts partitions that are not there behind all others.
            topics.sort(key=lambda topic: topic["Topic"] if "Topic" in topic else topic["TopicId"])
            for topic in topics:
                topic["Partitions"].sort(key=lambda p: p["PartitionIndex"])
            if topics:
                each["Responses"] = topics
        lines = list(differences(*answers))
        if lines:
            self.found[what] = lines
        return answers

    def verdict(self, known=()):
        """All differences are known ones, and all known ones are there."""
        print(f"({self.calls} calls) ", end="", flush=True)
        unknown = {what: lines for what, lines in self.found.items() if what not in known}
        self.assertFalse(unknown, "\n" + "\n".join(f"{what}\n    " + "\n    ".join(lines) for what, lines in unknown.items()))
        self.assertEqual(sorted(self.found), sorted(known), "a known difference is gone: take it off the list")

    def fill(self):
        """Topic `t`: partition 0 with batches of 1, 3, 1, 5 (gzip) records; 1 empty; 2 to 9 with 6 of a kilobyte each."""
        self.create("t", 10)
        records = [[(NOW + 10 * offset, b"k%d" % offset, b"v%d" % offset * 20) for offset in range(first, last)]
                   for first, last in ((0, 1), (1, 4), (4, 5), (5, 10))]
        self.produce("t", [record_batch(r, gzipped=r is records[3]) for r in records])
        for index in range(2, 10):
            self.produce("t", [record_batch([(NOW + i, None, bytes([index]) * 1000)]) for i in range(6)], index)

    def test_single_fetches(self):
        self.fill()
        low, high = MESSAGES["FetchRequest"].versions
        for version in range(low, high + 1):
            self.both(f"everything, version {version}", "Fetch", version, fetch(version, {"t": [partition(i) for i in range(3)]}))
            self.both(f"nothing new, version {version}", "Fetch", version, fetch(version, {"t": [partition(0, 10)]}))
            self.both(f"beyond the end, version {version}", "Fetch", version, fetch(version, {"t": [partition(0, 11)]}))
            self.both(f"no such partition, version {version}", "Fetch", version, fetch(version, {"t": [partition(10)]}))
            self.both(f"no such topic, version {version}", "Fetch", version, fetch(version, {"no": [partition()]}))
            self.both(f"read committed, version {version}", "Fetch", version,
                      fetch(version, {"t": [partition()]}, IsolationLevel=1))
        for offset in (0, 1, 2, 3, 4, 7, 9, 10, 11, -1, -5, 2**63 - 1):
            self.both(f"from offset {offset}", "Fetch", 12, fetch(12, {"t": [partition(0, offset)]}))
        for size in (0, 1, 61, 200, 1000, 1100, 2200, 5000, 2**31 - 1):
            everywhere = {"t": [partition(i, size=size) for i in range(2, 10)]}
            self.both(f"{size} bytes of each partition", "Fetch", 12, fetch(12, everywhere))
            everywhere = {"t": [partition(i) for i in range(2, 10)]}
            self.both(f"{size} bytes in all", "Fetch", 12, fetch(12, everywhere, MaxBytes=size))
            both = {"t": [partition(i, size=3000) for i in range(2, 10)]}
            self.both(f"3000 bytes of each partition and {size} in all", "Fetch", 12, fetch(12, both, MaxBytes=size))
            self.both(f"{size} bytes in all, less than asked for at least", "Fetch", 12,
                      fetch(12, both, MaxBytes=size, MinBytes=2**31 - 1))
        self.both("a partition twice", "Fetch", 12, fetch(12, {"t": [partition(0, 3), partition(2), partition(0, 5)]}))
        self.both("nothing", "Fetch", 12, fetch(12, {}))
        self.both("an end, an unknown partition and records", "Fetch", 12,
                  fetch(12, {"t": [partition(0, 10), partition(77), partition(5)]}))
        self.both("no wait, much wanted", "Fetch", 12, fetch(12, {"t": [partition(2)]}, MaxWaitMs=0, MinBytes=2**31 - 1))
        self.both("a negative wait", "Fetch", 12, fetch(12, {"t": [partition(1)]}, MaxWaitMs=-7))
        self.verdict()

    def test_long_polls(self):
        self.create("t", 2)
        wait = {"MaxWaitMs": 20_000}
        cases = {
            "one record is enough": (fetch(12, {"t": [partition(0), partition(1)]}, **wait), [1]),
            "not before three kilobytes": (fetch(12, {"t": [partition(0, 1), partition(1, 0)]}, MinBytes=3000, **wait), [3]),
            "what is not there cuts no wait short": (fetch(12, {"t": [partition(0, 4), partition(9)]}, **wait), [1]),
            "the cap counts as enough": (fetch(12, {"t": [partition(0, 5)]}, MinBytes=10**6, MaxBytes=1500, **wait), [2]),
        }
        for what, (fields, counts) in cases.items():
            answers = []
            for side in self.sides:
                def later(side=side):
                    other = Side(side.name, side.address)
                    for _ in range(counts[0]):
                        time.sleep(0.3)
                        other.produce("t", 0, record_batch([(NOW, None, b"x" * 1000)]))
                    other.close()
                feeding = threading.Thread(target=later)
                feeding.start()
                begun = time.monotonic()
                answers.append(side.plain(side.ask("Fetch", 12, fields(side))))
                self.assertLess(time.monotonic() - begun, 15, f"{side.name}: {what}")
                feeding.join()
            self.compare(what, answers)
        # An empty incremental fetch waits too; what is told ends its wait.
        for side in self.sides:
            session = side.ask("Fetch", 12, {**fetch(12, {"t": [partition(0, 7)]})(side), "SessionEpoch": 0})["SessionId"]
            begun = time.monotonic()
            empty = side.ask("Fetch", 12, {"MaxWaitMs": 700, "MinBytes": 1, "SessionId": session, "SessionEpoch": 1})
            self.assertEqual(empty["Responses"], [], side.name)
            self.assertGreater(time.monotonic() - begun, 0.5, side.name)
        self.verdict()

    def test_sessions(self):
        self.fill()
        one = {"t": [partition(0, 10), partition(1)]}
        for version in (7, 12, 13, 18):
            def step(what, topics=None, epoch=0, session=None, **more):
                def fields(side):
                    id = side.sessions["s"] if session is None else session
                    return {**fetch(version, topics or {}, **more)(side), "SessionId": id, "SessionEpoch": epoch}
                return self.both(f"{what}, version {version}", "Fetch", version, fields)

            def opened(topics):
                for side in self.sides:
                    answer = side.ask("Fetch", version, {**fetch(version, topics)(side), "SessionEpoch": 0})
                    side.sessions["s"] = answer["SessionId"]
                    self.assertGreater(answer["SessionId"], 0, side.name)

            step("a full fetch", one, 0, 0)
            opened(one)
            step("nothing has changed", epoch=1)
            step("another offset", {"t": [partition(0, 0)]}, 2)
            step("the records again", epoch=3)
            step("a new partition", {"t": [partition(0, 10), partition(2, 5)]}, 4)
            step("one is forgotten", epoch=5, forget={"t": [2]})
            step("nothing is left of it", epoch=6)
            step("one is added and forgotten", {"t": [partition(3)]}, 7, forget={"t": [3]})
            step("a forgotten one that was never there", epoch=8, forget={"t": [9], "other": [1]})
            step("an epoch again", epoch=8)
            step("an epoch too many", epoch=10)
            step("an error comes each time", {"t": [partition(0, 99), partition(77)]}, 9)
            step("the error again", epoch=10)
            step("it is well again", {"t": [partition(0, 10)]}, 11, forget={"t": [77]})
            step("well and quiet", epoch=12)
            step("a topic that is not there", {"no": [partition(0)]}, 13)
            step("it is still not there", epoch=14)
            step("gone", epoch=15, forget={"no": [0]})
            self.produce("t", [record_batch([(NOW, None, b"news")])], 1)
            step("news", epoch=16)
            other = 12 if version >= 13 else 13
            def by_the_other(side):
                return {**fetch(other, {})(side), "SessionId": side.sessions["s"], "SessionEpoch": 17}
            self.both(f"version {version}, then {other}", "Fetch", other, by_the_other)
            step("all are forgotten", epoch=17, forget={"t": [0, 1]})
            step("a closed session", epoch=18)
            opened(one)
            step("a full fetch ends the session", one, 0)
            step("it is gone", epoch=1)
            opened(one)
            step("the last fetch of a session", one, -1)
            step("it is gone too", epoch=1)
            step("a session that never was", epoch=1, session=12345)
            step("an epoch without a session", epoch=5, session=0)
            step("a last fetch without a session", one, -1, 0)
            step("a full fetch of nothing", {}, 0, 0)
            # A topic of the same name that is made anew: by name the session follows it, by id it does not.
            for side in self.sides:
                side.create("again")
                side.produce("again", 0, record_batch([(NOW, None, b"old")]))
            opened({"again": [partition()]})
            for side in self.sides:
                side.delete("again")
            step("a topic is gone", epoch=1)
            for side in self.sides:
                old = side.topics["again"]
                side.create("again")
                side.produce("again", 0, record_batch([(NOW, None, b"new")]))
                side.topics[f"again, before version {version}"] = old
            step("another of its name is there", epoch=2)
            for side in self.sides:
                side.delete("again")
            # What gave records waits behind the others, so that a small cap starves none.
            turn = {"t": [partition(i) for i in (2, 3, 4)]}
            opened(turn)
            for epoch in range(1, 5):
                answers = step(f"turn {epoch}", epoch=epoch, MaxBytes=1)
                told = [[p["PartitionIndex"] for t in a["Responses"] for p in t["Partitions"] if p["Records"]] for a in answers]
                self.assertEqual(told[0], told[1], f"turn {epoch}, version {version}")
        self.verdict(KNOWN_SESSIONS)

    @slow
    def test_leader_epochs(self):
        self.create("t")
        self.produce("t", [record_batch([(NOW, None, b"0")]), record_batch([(NOW, None, b"1")])])
        # Two more leader epochs, of which the first leaves no record.
        for round in range(2):
            before = [side.epoch("t") for side in self.sides]
            self.esker.kill(1)
            self.esker.restart(1)
            self.processes.stop(self.kafka.process)
            self.kafka.start()
            wait_for(self.kafka)
            self.sides[0].address = self.esker.brokers()[1][1]
            for side, epoch in zip(self.sides, before):
                side.connect()
                wait_until(f"{side.name} leads again", lambda: side.leads("t", 1) and side.epoch("t") > epoch, 30)
                side.settled("t")
        self.produce("t", [record_batch([(NOW, None, b"2")]), record_batch([(NOW, None, b"3")])])
        epochs = [side.epoch("t") for side in self.sides]
        print(f"(epochs {epochs}) ", end="")
        for version in (9, 11, 12, 15, 16, 18):
            for ahead in (-1, 0, 1, 2):
                def fields(side):
                    return fetch(version, {"t": [partition(0, 1, CurrentLeaderEpoch=side.epoch("t") + ahead)]})(side)
                self.relative(f"leader epoch {ahead:+}, version {version}", "Fetch", version, fields)
        for last in (-2, -1, 0, 1):
            for offset in (0, 1, 2, 3, 4, 5, -1):
                def fields(side):
                    return fetch(12, {"t": [partition(0, offset, LastFetchedEpoch=side.epoch("t") + last)]})(side)
                self.relative(f"last fetched epoch {last:+} at {offset}", "Fetch", 12, fields)
        for version in range(2, 5):
            for asked in (-3, -2, -1, 0, 1, 7):
                for known in (None, -1, 0, 1):
                    def fields(side):
                        epoch = side.epoch("t")
                        wanted = {"Partition": 0, "LeaderEpoch": max(epoch + asked, -1)}
                        if known is not None:
                            wanted["CurrentLeaderEpoch"] = epoch + known
                        return {"Topics": [{"Topic": "t", "Partitions": [wanted]}]}
                    self.relative(f"end of epoch {asked:+} knowing {known}, version {version}", "OffsetForLeaderEpoch",
                                  version, fields)
            for topic, index in (("t", 5), ("no", 0)):
                self.both(f"end of an epoch of {topic} {index}, version {version}", "OffsetForLeaderEpoch", version,
                          {"Topics": [{"Topic": topic, "Partitions": [{"Partition": index, "LeaderEpoch": 0}]}]})
        for ahead in (-1, 0, 1):
            def fields(side):
                wanted = {"PartitionIndex": 0, "Timestamp": -1, "CurrentLeaderEpoch": side.epoch("t") + ahead}
                return {"ReplicaId": -1, "Topics": [{"Name": "t", "Partitions": [wanted]}]}
            self.relative(f"latest, leader epoch {ahead:+}", "ListOffsets", 7, fields)
        self.verdict()

    def relative(self, what, api, version, fields):
        """As `both`, with leader epochs as distances from the current one."""
        answers = []
        for side in self.sides:
            current = side.epoch("t")
            answers.append(relative(side.plain(side.ask(api, version, fields(side))), current))
        return self.compare(what, answers)

    def test_offsets_by_time_and_name(self):
        self.fill()
        self.create("append", configs={"message.timestamp.type": "LogAppendTime"})
        self.create("strict", configs={"message.timestamp.before.max.ms": "1000000", "message.timestamp.after.max.ms": "1000"})
        # Timestamps that do not rise, inside one compressed batch too.
        self.create("mixed")
        self.produce("mixed", [record_batch([(NOW + t, None, b"x") for t in times], gzipped=True)
                               for times in ((50, 10, 90), (20,), (90, 91, 5), (60, 70))])
        low, high = MESSAGES["ListOffsetsRequest"].versions
        for version in range(low, high + 1):
            for name in range(-8, 0):
                self.list(f"offset {name}, version {version}", version, "t", 0, name)
                self.list(f"offset {name} of an empty partition, version {version}", version, "t", 1, name)
            for at in (0, NOW + 5, NOW + 20, 2**62):
                self.list(f"at {at - NOW:+}, version {version}", version, "t", 0, at)
        for after in (0, 5, 10, 11, 20, 50, 51, 60, 90, 91, 92):
            self.list(f"at +{after} among mixed times", 7, "mixed", 0, NOW + after)
        self.list("the largest of mixed times", 7, "mixed", 0, -3)
        self.list("no such partition", 7, "t", 55, -1)
        self.list("no such topic", 7, "no", 0, -1)
        twice = [{"PartitionIndex": 0, "Timestamp": -1}, {"PartitionIndex": 0, "Timestamp": -2}]
        self.both("a partition twice", "ListOffsets", 7, {"ReplicaId": -1, "Topics": [{"Name": "t", "Partitions": twice}]})
        low, high = MESSAGES["ProduceRequest"].versions
        for version in range(low, high + 1):
            for topic in ("append", "t"):
                answers = [self.produced(side, version, topic, record_batch([(NOW, b"k", b"v")])) for side in self.sides]
                self.compare(f"produced to {topic}, version {version}", answers)
        bad = {
            "a time too old": record_batch([(NOW, b"k", b"v")]),
            "a time in the future": record_batch([(time_ms() + 3_600_000, b"k", b"v")]),
            "a good time": record_batch([(time_ms(), b"k", b"v")]),
        }
        for what, batch in bad.items():
            answers = [self.produced(side, 9, "strict", batch) for side in self.sides]
            self.compare(what, answers)
        answers = [self.produced(side, 9, "t", record_batch([(NOW, None, b"v")]), acks=7) for side in self.sides]
        self.compare("acks 7", answers)
        # What LogAppendTime wrote is what time finds.
        self.list("append time finds the first", 7, "append", 0, NOW + 1)
        self.verdict(KNOWN_OFFSETS)

    def list(self, what, version, topic, index, timestamp):
        wanted = {"PartitionIndex": index, "Timestamp": timestamp}
        fields = {"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": [wanted]}], "TimeoutMs": 5000}
        if version < 10:
            del fields["TimeoutMs"]
        answers = [side.plain(side.ask("ListOffsets", version, fields)) for side in self.sides]
        for each in answers:
            found = each["Topics"][0]["Partitions"][0]
            if topic == "append" and found["Timestamp"] > NOW:
                found["Timestamp"] = "now"
        self.compare(what, answers)

    def produced(self, side, version, topic, batch, acks=-1):
        named = {"TopicId": side.id(topic)} if version >= 13 else {"Name": topic}
        fields = {"Acks": acks, "TimeoutMs": 5000,
                  "TopicData": [{**named, "PartitionData": [{"Index": 0, "Records": batch}]}]}
        answer = side.plain(side.ask("Produce", version, fields))
        found = answer["Responses"][0]["PartitionResponses"][0]
        if found["LogAppendTimeMs"] > NOW:
            found["LogAppendTimeMs"] = "now"
        return answer


def time_ms():
    return int(time.time() * 1000)


def relative(value, current, name=""):
    if isinstance(value, dict):
        return {key: relative(inner, current, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [relative(inner, current, name) for inner in value]
    if name in ("LeaderEpoch", "Epoch") and value >= 0:
        return f"current {value - current:+}"
    return value


# Differences that stay, each with its reason.
# In a session by topic ids Kafka keeps the name that the id once had, and calls the partition unknown (3), or the id
# inconsistent (103) once another topic has that name. The id is what the client has asked by: it is unknown (100). Clients
# do the same on all three: they look at the metadata again.
KNOWN_SESSIONS = {f"{what}, version {version}" for what in ("a topic is gone", "another of its name is there")
                  for version in (13, 18)}
KNOWN_OFFSETS = {
    "a time too old": "the error is the batch's, in our words; Kafka repeats it for each record in a list",
    "a time in the future": "the same",
}
