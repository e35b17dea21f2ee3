"""What a broker writes to disk is Kafka's own format: Kafka's tools read it."""

import os
import re
import subprocess
import unittest

from case import ClusterCase, slow
from clients import consume, produce, verify
from processes import ROOT, Processes, kafka_tool

# What DumpLogSegments says when something is wrong.
COMPLAINTS = re.compile(r"isvalid: false|mismatch|[Nn]on-?consecutive|corrupt|Exception|Found \d+ invalid|out of order|exceeds",
                        re.I)

# It says of every segment but the first, Kafka's own too, that its first offset does not follow −1.
QUIRK = re.compile(r"^Non-consecutive offsets in \S*/0*(\d+)\.log\n  -1 is followed by \1\n(?!  )", re.M)


def complaints(said):
    """What is wrong by what the tool said."""
    return COMPLAINTS.findall(QUIRK.sub("", said + "\n"))


def dump(files):
    """What Kafka's tool says about the files."""
    return kafka_tool("org.apache.kafka.tools.DumpLogSegments", "--deep-iteration", "--print-data-log", "--files",
                      ",".join(map(str, files)), check=False)


def log_files(folder):
    return [f for kind in ("log", "index", "timeindex", "txnindex", "snapshot") for f in sorted(folder.glob(f"*.{kind}"))]


class LogFolder(unittest.TestCase):
    @slow
    def test_kafka_dump_log_reads_every_kind_of_file_that_a_log_can_have(self):
        processes = Processes("log-folder")
        self.addCleanup(processes.end)
        subprocess.run(["cargo", "test", "-q", "--all-features", "--test", "log_folder"], cwd=ROOT, check=True, capture_output=True,
                       env=dict(os.environ, ESKER_LOG_FOLDER=str(processes.dir)))
        folder = processes.dir / "orders-0"
        said = dump(log_files(folder))
        self.assertEqual(complaints(said), [], said[-3000:])
        self.assertEqual(len(re.findall(r"^\| offset: ", said, re.M)), 924)
        # Compacted: transactions, markers and emptied batches among the rest. Kafka's own have gaps between records too.
        compacted = processes.dir / "compacted-0"
        self.assertTrue(list(compacted.glob("*.txnindex")))
        said = dump(log_files(compacted))
        self.assertEqual([c for c in complaints(said) if "consecutive" not in c], [], said[-3000:])
        self.assertGreater(len(re.findall(r"^\| offset: ", said, re.M)), 10)
        self.assertLess(len(re.findall(r"^\| offset: ", said, re.M)), 300)
        # The control: one flipped bit in a batch is found.
        victim = sorted(folder.glob("*.log"))[0]
        data = bytearray(victim.read_bytes())
        data[200] ^= 4
        victim.write_bytes(data)
        self.assertNotEqual(complaints(dump([victim])), [])


class LogFiles(ClusterCase):
    @slow
    def test_kafka_dump_log_reads_segments_and_indexes_without_a_complaint(self):
        dev = self.dev(1, settings={"log.index.interval.bytes": 1024})
        kinds = ["none", "gzip", "snappy", "lz4", "zstd"]
        for kind in kinds:
            dev.topic_create(f"t-{kind}", configs={"segment.bytes": 262144})
            self.produce_compressed(dev.bootstrap, f"t-{kind}", kind, 3000)
        # A Java client's own records too, headers with equal keys among them.
        dev.topic_create("t-java", configs={"segment.bytes": 262144})
        produced = produce("java", dev.bootstrap, "t-java", 3000, "s")
        verify(consume(self.processes, "java", dev.bootstrap, "t-java", 3000), produced, "java")
        self.assertEqual(dev.stop(), 0)
        for topic in [*(f"t-{kind}" for kind in kinds), "t-java"]:
            folder = dev.data / f"broker-1/data/{topic}-0"
            logs = sorted(folder.glob("*.log"))
            self.assertTrue(logs, folder)
            said = dump(log_files(folder))
            self.assertEqual(complaints(said), [], f"{topic}\n{said[-2000:]}")
            self.assertEqual(len(re.findall(r"^\| offset: ", said, re.M)), 3000, topic)
            for index in folder.glob("*.index"):
                if index.stat().st_size:
                    self.assertEqual(index.stat().st_size % 8, 0, index)
        self.assertGreater(len(list((dev.data / "broker-1/data/t-none-0").glob("*.log"))), 1)

    def produce_compressed(self, bootstrap, topic, kind, count):
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": kind, "linger.ms": 5,
                             "batch.num.messages": 100})
        failed = []
        for i in range(count):
            producer.produce(topic, f"value {i} {'x' * (i % 300)}", f"key-{i % 10}", headers=[("h", b"1"), ("h", b"2")],
                             on_delivery=lambda error, _: error and failed.append(error))
            producer.poll(0)
        self.assertEqual(producer.flush(60), 0)
        self.assertEqual(failed, [])
