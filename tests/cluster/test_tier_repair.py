"""A bucket that has lost an object is repaired, and brokers then serve what the repair has said, no more and no less."""

import json
import shutil

from case import ClusterCase, slow
from dev import esker
from processes import wait_until

RECORDS = 3000
TIERED = {"remote.storage.enable": "true", "segment.bytes": 262144, "local.retention.bytes": 1}
QUICK = {"remote.log.manager.task.interval.ms": 300, "log.retention.check.interval.ms": 500, "cluster.id": "old-cluster"}


class TierRepair(ClusterCase):
    def damaged(self):
        """A stopped broker most of whose records are in the tier, and an object in the middle is lost; which, and all of them."""
        self.store = self.processes.dir / "tier"
        dev = self.dev(1, tier=f"file://{self.store}", settings=QUICK)
        dev.topic_create("t", 1, configs=TIERED)
        self.produce(dev, range(RECORDS))
        wait_until("most is in the tier", lambda: dev.cold_offsets("t", 1) > 0.8 * RECORDS, 120, 0.3)
        self.assertEqual(dev.stop(), 0)
        segments = sorted(self.store.rglob("*.seg"))
        self.assertGreater(len(segments), 8)
        lost = segments[len(segments) // 3]
        lost.unlink()
        return dev, int(lost.name.split("-")[0]), [int(segment.name.split("-")[0]) for segment in segments]

    def tier(self, *arguments, **options):
        return esker("tier", *arguments, "--store", f"file://{self.store}", timeout=180, **options)

    def repair(self, *arguments):
        [partition] = json.loads(self.tier("repair", "t", "--output", "json", *arguments).stdout)
        return partition

    def repaired(self, part):
        """What was said before and done then, which is the same."""
        refused = self.tier("repair", "t", check=False)
        self.assertNotEqual(refused.returncode, 0, "records are given up only when somebody says so")
        plan = self.repair(f"--cut={part}", "--dry-run")
        self.assertEqual(plan["state"], "would be repaired")
        done = self.repair(f"--cut={part}")
        self.assertEqual(done, {**plan, "state": "repaired"})
        self.assertIn("nothing is damaged", self.tier("verify", "--deep").stdout)
        return done

    def produce(self, dev, numbers):
        from confluent_kafka import Producer

        # Short batches, so that segments are cut often.
        producer = Producer({"bootstrap.servers": dev.bootstrap, "batch.size": 16384, "linger.ms": 5})
        for number in numbers:
            producer.produce("t", f"{number} ".ljust(1000, "x").encode(), partition=0)
            producer.poll(0)
        self.assertEqual(producer.flush(60), 0)

    def reads(self, dev, start, end):
        """Every record from `start` to `end` is there, at its offset, and nothing else."""
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        reader = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": "g", "enable.auto.commit": False})
        self.addCleanup(reader.close)
        partition = TopicPartition("t", 0, OFFSET_BEGINNING)
        wait_until(f"the log is {start}..{end}", lambda: reader.get_watermark_offsets(partition, 30) == (start, end), 60, 0.3)
        reader.assign([partition])
        found = []

        def all_there():
            message = reader.poll(1)
            if message is not None and message.error() is None:
                found.append((message.offset(), int(message.value().split()[0])))
            return len(found) >= end - start

        wait_until(f"{start}..{end} are read", all_there, 120, 0)
        self.assertEqual(found, [(number, number) for number in range(start, end)])

    @slow
    def test_the_newest_part_goes_on_on_brokers_that_have_what_follows_it(self):
        dev, lost, bases = self.damaged()
        done = self.repaired("newest")
        start = bases[bases.index(lost) + 1]
        self.assertEqual((done["log_start"], done["lost"]), (start, [[0, start]]))
        dev.start()
        self.reads(dev, start, RECORDS)
        # What comes later goes to the tier behind it.
        self.produce(dev, range(RECORDS, 2 * RECORDS))
        wait_until("the tier goes on", lambda: dev.cold_offsets("t", 1) > 1.8 * RECORDS, 120, 0.3)
        self.reads(dev, start, 2 * RECORDS)
        self.assertEqual(dev.stop(), 0)
        self.assertIn("nothing is damaged", self.tier("verify", "--deep").stdout)

    @slow
    def test_the_oldest_part_comes_back_into_new_brokers(self):
        dev, lost, _ = self.damaged()
        done = self.repaired("oldest")
        self.assertEqual((done["log_start"], done["tier_end"]), (0, lost))
        shutil.rmtree(dev.data)
        dev.start()
        said = self.tier("restore", "t", "--bootstrap-server", dev.bootstrap, "--replication-factor", 1).stdout
        self.assertIn(f"0..{lost}", said)
        self.reads(dev, 0, lost)
        self.produce(dev, range(lost, lost + 1000))
        self.reads(dev, 0, lost + 1000)
