"""What a batch must be (tests/README.md, hostile input 15 to 20): the same batches to Esker and to
Apache Kafka 4.3.1, the codes compared. What was refused must leave nothing behind.

Both walk the records of an uncompressed batch. Esker does not decompress what comes compressed, except where a rule is about
the records (keys of compacted topics, a bound on old timestamps); Kafka always does. Those differences stand in `NOT_LOOKED_AT`.
"""

import gzip
import struct
import zlib

from case import ClusterCase
from kafka_peer import Side, kafka
from messages import MESSAGES, ask
from processes import wait_until
from test_fetch_rules import time_ms
from wire import Closed, Connection, record, record_batch, sealed, varint

NONE, CORRUPT, UNKNOWN, INVALID_RECORD = 0, 2, -1, 87
GOOD = record(0, b"value", b"key")
CONTROL = 32

# A table: a name, the batch. The body of a batch is what its records are.
HEADERS = {
    "a good batch": sealed(GOOD),
    "bad CRC": sealed(GOOD, crc=1),
    "no record": sealed(b"", count=0),
    "a count of zero over a record": sealed(GOOD, count=0, last_delta=0),
    "a negative count": sealed(GOOD, count=-1),
    "a count of 2^31-1": sealed(GOOD, count=2**31 - 1),
    "more offsets than records": sealed(GOOD, count=1, last_delta=9),
    "fewer offsets than records": sealed(GOOD + record(1, b"w", b"k"), count=2, last_delta=0),
    "a negative range": sealed(GOOD, count=1, last_delta=-1),
    "magic 0": sealed(GOOD, magic=0),
    "magic 1": sealed(GOOD, magic=1),
    "magic 3": sealed(GOOD, magic=3),
    "a control batch": sealed(GOOD, attributes=CONTROL),
    "two batches": sealed(GOOD) + sealed(GOOD),
    "a batch and half of one": sealed(GOOD) + sealed(GOOD)[:40],
    "half a batch": sealed(GOOD)[:-3],
    "half a header": sealed(GOOD)[:30],
    "a byte": b"\0",
    "nothing": b"",
    "a length beyond the end": sealed(GOOD, length=10**6),
    "a length of zero": sealed(GOOD, length=0),
    "a negative length": sealed(GOOD, length=-7),
    "a length below the header's": sealed(GOOD, length=40),
    "compression type 5": sealed(GOOD, attributes=5),
    "compression type 7": sealed(GOOD, attributes=7),
    "a base offset": sealed(GOOD, base=77),
    "a negative base offset": sealed(GOOD, base=-5),
    "LogAppendTime from a client": sealed(GOOD, attributes=8),
    "a producer without a sequence": sealed(GOOD, producer=(1, 0, -1)),
    "a producer with a negative epoch": sealed(GOOD, producer=(1, -1, 0)),
    "too large": sealed(record(0, bytes(2 << 20))),
}
BODIES = {
    "fewer records than the count": (GOOD, 2),
    "more records than the count": (GOOD + record(1, b"w", b"k"), 1),
    "a record longer than the batch": (varint(100) + GOOD[1:], 1),
    "a negative record length": (varint(-2) + GOOD[1:], 1),
    "an overlong varint": (b"\xff" * 11, 1),
    "a key longer than the record": (varint(9) + b"\0\0\0" + varint(2**30) + b"abcd", 1),
    "a negative number of headers": (record(0, b"v", b"k", headers=varint(-1)), 1),
    "a billion headers": (record(0, b"v", b"k", headers=varint(10**9)), 1),
    "a header without a key": (record(0, b"v", b"k", headers=varint(1) + varint(-1) + varint(-1)), 1),
    "an offset delta of another record": (record(5, b"v", b"k"), 1),
    "junk": (b"\x99" * 50, 1),
}
CODECS = {
    "gzip that is none": (1, b"\0" * 30),
    "gzip cut short": (1, gzip.compress(GOOD)[:-9]),
    "gzip with a wrong checksum": (1, gzip.compress(GOOD)[:-8] + bytes(8)),
    "zlib under gzip's number": (1, zlib.compress(GOOD)),
    "raw snappy that says 4 GiB": (2, b"\xff\xff\xff\xff\x0f" + bytes(10)),
    "xerial snappy with a block beyond the end": (2, b"\x82SNAPPY\0" + struct.pack(">iii", 1, 1, 2**31 - 1) + b"abc"),
    "xerial snappy with a negative block": (2, b"\x82SNAPPY\0" + struct.pack(">iii", 1, 1, -1) + b"abc"),
    "lz4 that is none": (3, b"\0" * 30),
    "lz4 with a block of 2 GiB": (3, struct.pack("<IBBB", 0x184D2204, 0x60, 0x70, 0x73) + b"\xff\xff\xff\x7f" + b"abc"),
    "zstd that is none": (4, b"\0" * 30),
    "zstd with a window of 2 TiB": (4, struct.pack("<IBB", 0xFD2FB528, 0x00, 0xF8) + bytes(20)),
    "zstd that says 2^63 bytes": (4, struct.pack("<IBQ", 0xFD2FB528, 0xE0, 2**63) + bytes(20)),
}
# Compressed bytes that Kafka refuses and Esker stores as they came, where no rule makes it look at them.
NOT_LOOKED_AT = set(CODECS)


class ProduceRules(ClusterCase):
    def setUp(self):
        super().setUp()
        self.kafka = kafka(self.processes)
        self.esker = self.dev(1)
        self.addCleanup(self.unharmed, self.esker)
        self.sides = [Side("Esker", self.esker.brokers()[1][1]), Side("Kafka", self.kafka.bootstrap)]
        for side in self.sides:
            self.addCleanup(side.close)

    def code(self, side, topic, batch, acks=-1, version=9):
        """The error code of a produce request; -99 when the connection is closed."""
        fields = {"Acks": acks, "TimeoutMs": 5000,
                  "TopicData": [{"Name": topic, "PartitionData": [{"Index": 0, "Records": batch}]}]}
        try:
            answer = side.ask("Produce", version, fields)
        except Closed:
            side.connect()
            return -99
        return answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"]

    def end(self, side, topic):
        wanted = {"PartitionIndex": 0, "Timestamp": -1}
        answer = side.ask("ListOffsets", 7, {"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": [wanted]}]})
        return answer["Topics"][0]["Partitions"][0]["Offset"]

    def table(self, topic, batches, known):
        """Sends all to both; `known` are the expected differences (Esker's code, Kafka's code)."""
        found = {}
        for what, batch in batches.items():
            codes = []
            for side in self.sides:
                before = self.end(side, topic)
                code = self.code(side, topic, batch)
                codes.append(code)
                grown = self.end(side, topic) - before
                self.assertEqual(grown > 0, code == NONE, f"{side.name}: {what} gives {code} and {grown} offsets")
            if codes[0] != codes[1]:
                found[what] = tuple(codes)
        self.assertEqual(found, known, "as (Esker's code, Kafka's code)")

    def test_headers(self):
        for side in self.sides:
            side.create("t")
        self.table("t", HEADERS, KNOWN_HEADERS)

    def test_records_and_codecs(self):
        batches = {what: sealed(body, count) for what, (body, count) in BODIES.items()}
        batches.update({what: sealed(body, attributes=codec) for what, (codec, body) in CODECS.items()})
        for side in self.sides:
            side.create("t")
            side.create("compacted", configs={"cleanup.policy": "compact"})
        self.table("compacted", batches, KNOWN_COMPACTED)
        self.table("compacted", {
            "no key": sealed(record(0, b"v")),
            "a key": sealed(GOOD),
            "no key in a compressed batch": sealed(gzip.compress(GOOD + record(1, b"v")), count=2, attributes=1),
            "a bomb without keys": sealed(gzip.compress(b"".join(record(i, bytes(1000)) for i in range(100_000))), 100_000, attributes=1),
        }, {})
        stored = set()
        for what, batch in batches.items():
            ours, theirs = (self.code(side, "t", batch) for side in self.sides)
            self.assertIn(ours, (NONE, INVALID_RECORD), what)
            if ours != theirs and ours == NONE:
                stored.add(what)
        self.assertEqual(stored, NOT_LOOKED_AT)

    def test_sequences_and_acks(self):
        for side in self.sides:
            side.create("t")
        def batch(sequence, epoch=0, count=1, id=None):
            return lambda side: sealed(b"".join(record(i, b"v") for i in range(count)), count,
                                       producer=(side.producer if id is None else id, epoch, sequence))
        for side in self.sides:
            def begun(side=side):
                asked = {"TransactionTimeoutMs": 1000, "ProducerId": -1, "ProducerEpoch": -1}
                answer = side.ask("InitProducerId", 4, asked)
                return answer["ErrorCode"] == 0 and (answer["ProducerId"],)
            (side.producer,) = wait_until(f"{side.name} gives a producer id", begun, 20)
        steps = {
            "the first": batch(0), "the second": batch(1), "three at once": batch(2, count=3), "a gap": batch(9),
            "the next": batch(5), "the first again": batch(0), "the three again": batch(2, count=3),
            "two of the three": batch(2, count=2), "a sixth": batch(6), "a seventh": batch(7),
            "the first, no longer remembered": batch(0), "the second, still remembered": batch(1),
            "the next epoch from its start": batch(0, epoch=1), "the old epoch": batch(8),
            "the next epoch not from its start": batch(5, epoch=2), "an epoch far ahead": batch(0, epoch=9),
            "a producer that nobody knows, from its start": batch(0, id=987_654),
            "a producer that nobody knows, from the middle": batch(7, id=987_655),
        }
        found = {}
        for what, make in steps.items():
            codes = [self.code(side, "t", make(side)) for side in self.sides]
            if codes[0] != codes[1]:
                found[what] = tuple(codes)
        self.assertEqual(found, KNOWN_SEQUENCES, "as (Esker's code, Kafka's code)")
        for acks in (-7, -2, 2, 7):
            codes = [self.code(side, "t", sealed(GOOD), acks) for side in self.sides]
            self.assertEqual(codes, [21, 21], acks)
        # With acks=0 nothing comes back: the next answer is the next request's; an error closes the connection.
        fields = {"Acks": 0, "TimeoutMs": 5000, "TopicData": [{"Name": "t", "PartitionData": [{"Index": 0, "Records": sealed(GOOD)}]}]}
        broken = {**fields, "TopicData": [{"Name": "t", "PartitionData": [{"Index": 0, "Records": sealed(GOOD, crc=1)}]}]}
        for side in self.sides:
            with Connection(side.address) as connection:
                def send(values):
                    header = MESSAGES["RequestHeader"].encode(
                        {"RequestApiKey": 0, "RequestApiVersion": 9, "CorrelationId": 5, "ClientId": "raw"}, 2)
                    body = header + MESSAGES["ProduceRequest"].encode(values, 9)
                    connection.send(struct.pack(">i", len(body)) + body)
                send(fields)
                self.assertTrue(ask(connection, "Metadata", 12, {"Topics": []})["Brokers"], side.name)
                send(broken)
                self.assertTrue(connection.is_closed(), side.name)

    def test_timestamps(self):
        for side in self.sides:
            side.create("strict", configs={"message.timestamp.before.max.ms": "600000", "message.timestamp.after.max.ms": "600000"})
            side.create("t")
        now = time_ms()
        hour = 3_600_000
        batches = {
            "now": record_batch([(now, None, b"v")]),
            "an hour ago": record_batch([(now - hour, None, b"v")]),
            "in an hour": record_batch([(now + hour, None, b"v")]),
            "one of two an hour ago": record_batch([(now, None, b"v"), (now - hour, None, b"v")]),
            "one of two an hour ago, compressed": record_batch([(now, None, b"v"), (now - hour, None, b"v")], gzipped=True),
            "no timestamp": record_batch([(-1, None, b"v")]),
            "a negative timestamp": record_batch([(-5, None, b"v")]),
            "2^62": record_batch([(2**62, None, b"v")]),
            "a header that says now over a record of 1970": sealed(record(0, b"v"), first=0, largest=now),
            "a header that says 1970 over a record of now": sealed(record(0, b"v"), first=now, largest=0),
            "a header of the year 3000 over a record of now": sealed(record(0, b"v"), first=now, largest=now + 10**14),
            "a header of no time over a record of now": sealed(record(0, b"v"), first=now, largest=-1),
        }
        self.table("strict", batches, KNOWN_STRICT)
        self.table("t", batches, KNOWN_TIMES)


# Differences that stay: (Esker's code, Kafka's code).
KNOWN_HEADERS = {
    # Kafka writes the topic's own timestamp type over it; no client sends it.
    "LogAppendTime from a client": (INVALID_RECORD, NONE),
    # Kafka takes the first and forgets the rest.
    "a batch and half of one": (INVALID_RECORD, NONE),
    # Kafka takes it without looking after its sequence.
    "a producer with a negative epoch": (INVALID_RECORD, NONE),
    # Kafka's handler throws what it has no code for.
    "compression type 5": (INVALID_RECORD, UNKNOWN),
    "compression type 7": (INVALID_RECORD, UNKNOWN),
}
# The same: where a codec or a number fails, Kafka's code says nothing.
KNOWN_COMPACTED = {what: (INVALID_RECORD, UNKNOWN) for what in (*CODECS, "an overlong varint", "junk")}
KNOWN_SEQUENCES, KNOWN_STRICT, KNOWN_TIMES = {}, {}, {}
