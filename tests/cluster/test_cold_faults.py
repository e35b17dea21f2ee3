"""The store goes wrong in each way that a store can: nothing is lost, nothing wrong is served, and the hot path goes on."""

import shutil

from case import ClusterCase, slow
from clients import consume, produce, verify
from dev import Admin, esker
from processes import Minio, wait_until
from store_proxy import StoreProxy

RECORDS = 12_000
TIERED = {"remote.storage.enable": "true", "segment.bytes": 262144, "local.retention.bytes": 1}
QUICK = {"remote.log.manager.task.interval.ms": 300, "log.retention.check.interval.ms": 500}


class ColdFaults(ClusterCase):
    def cluster(self, brokers=3, **more):
        self.minio = Minio(self.processes)
        self.proxy = StoreProxy(self.minio.address, seed=7)
        self.addCleanup(self.proxy.close)
        return self.dev(brokers, settings={**QUICK, **more}, tier=f"s3://{Minio.BUCKET}/test",
                        env=self.minio.environment(self.proxy.address))

    def until_cold(self, dev, share=0.8, seconds=120):
        wait_until(f"{share} of the offsets are local on no broker",
                   lambda: dev.cold_offsets("t", 1) >= share * RECORDS, seconds, 0.3)

    def forget_caches(self, dev):
        self.assertEqual(dev.stop(), 0)
        for cache in dev.data.glob("broker-*/**/tier-cache"):
            shutil.rmtree(cache)
        dev.start()
        Admin(dev.bootstrap).wait_for_isr("t", 1, dev.count)

    @slow
    def test_uploads_and_reads_survive_every_kind_of_fault_at_once(self):
        dev = self.cluster()
        dev.topic_create("t", 1, configs=TIERED)
        for kind in ("500", "503", "reset", "truncated", "slow"):
            self.proxy.fault(kind, one_in=15)
        self.proxy.fault("flip", lambda r: r.kind == "get", one_in=20)
        self.proxy.fault("lost-put", lambda r: r.is_segment(), one_in=8)
        self.proxy.fault("stale-list", lambda r: r.kind == "list", one_in=4)
        produced = produce("python", dev.bootstrap, "t", RECORDS, "s")
        self.until_cold(dev)
        self.forget_caches(dev)
        verify(consume(self.processes, "python", dev.bootstrap, "t", RECORDS), produced, "read back")
        self.assertGreater(len(self.proxy.injected), 5, f"the test injects what it says: {self.proxy.injected}")
        self.unharmed(dev)

    @slow
    def test_producers_do_not_notice_a_store_that_is_down_and_offload_goes_on_afterwards(self):
        dev = self.cluster()
        dev.topic_create("t", 1, configs=TIERED)
        self.proxy.fault("down")
        produced = produce("python", dev.bootstrap, "t", RECORDS, "s", timeout=60)
        self.assertEqual(dev.cold_offsets("t", 1), 0, "nothing leaves the disks while nothing is in the store")
        verify(consume(self.processes, "python", dev.bootstrap, "t", RECORDS), produced, "read while down")
        self.proxy.heal()
        self.until_cold(dev, seconds=150)
        verify(consume(self.processes, "python", dev.bootstrap, "t", RECORDS), produced, "read back")

    @slow
    def test_a_segment_costs_two_puts_and_lists_and_five_gets_at_most(self):
        # Each segment alone in its generation: the dearest case.
        dev = self.cluster(1)
        dev.topic_create("t", 1, configs=TIERED)
        produce("python", dev.bootstrap, "t", 2000, "a")
        self.until_cold(dev, share=0.08)
        before = self.segments()
        self.proxy.clear()
        for part in range(5):
            produce("python", dev.bootstrap, "t", 2000, str(part))
        self.until_cold(dev)
        counts = self.proxy.by_class()
        segments = self.segments() - before
        self.assertGreater(segments, 5)
        self.figure(f"requests of {segments} segments, each alone in its generation: {counts}")
        self.assertLessEqual(counts["put"] + counts["list"], 2 * segments, counts)
        self.assertLessEqual(counts["get"] + counts["head"], 5 * segments, counts)

    def segments(self):
        return len(list((self.processes.dir / "minio" / Minio.BUCKET).rglob("*.seg")))

    @slow
    def test_a_broker_with_an_empty_disk_copies_only_the_hot_tail(self):
        dev = self.cluster()
        dev.topic_create("t", 1, configs=TIERED)
        produced = produce("python", dev.bootstrap, "t", RECORDS, "s")
        # The control: without a tier all of it is copied, and the same measure shows it.
        dev.topic_create("plain", 1)
        produce("python", dev.bootstrap, "plain", RECORDS, "s")
        self.until_cold(dev)
        admin = Admin(dev.bootstrap)
        leader = admin.partition("t", 0)[0]
        wiped = next(b for b in (1, 2, 3) if b != leader and b != admin.controller())
        objects = (self.processes.dir / "minio" / Minio.BUCKET).rglob("*.seg")
        size = sum(f.stat().st_size for folder in objects for f in folder.rglob("*") if f.is_file())
        dev.kill(wiped)
        # The disk of its logs; a voter of the metadata quorum keeps its vote.
        for found in (dev.data / f"broker-{wiped}" / "data").iterdir():
            if found.name != "metadata":
                shutil.rmtree(found) if found.is_dir() else found.unlink()
        self.proxy.clear()
        dev.restart(wiped)
        admin.wait_for_isr("t", 1, 3)
        admin.wait_for_isr("plain", 1, 3)
        local = sum(f.stat().st_size for f in dev.data.glob(f"broker-{wiped}/data/t-0/*.log"))
        from_store = self.proxy.segment_bytes()
        self.assertGreaterEqual(dev.local_start("t", 0, wiped), 0.8 * RECORDS, "it begins at the tier's end")
        self.assertLess(local + from_store, 0.25 * size, f"{local} local, {from_store} from the store, of {size}")
        plain = sum(f.stat().st_size for f in dev.data.glob(f"broker-{wiped}/data/plain-0/*.log"))
        self.assertGreater(plain, 0.75 * size, f"{plain} copied of a topic without a tier, of about {size}")
        self.figure(f"an empty disk, {size} bytes in the tier: {local} local, {from_store} from the store, {plain} without a tier")
        # And it can lead: what it does not have itself, it reads from the store.
        for broker in {1, 2, 3} - {wiped}:
            if broker == leader:
                dev.kill(broker)
        wait_until("the partition has another leader", lambda: admin.partition("t", 0)[0] not in (-1, leader), 30, 0.3)
        verify(consume(self.processes, "python", dev.bootstrap, "t", RECORDS), produced, "read back")

    @slow
    def test_a_transaction_whose_end_was_lost_with_the_brokers_is_aborted_when_its_topic_comes_back(self):
        from confluent_kafka import Producer

        # The writer lives on, and would bring the topic into the new cluster before it is restored.
        dev = self.cluster(1, **{"cluster.id": "old-cluster", "auto.create.topics.enable": "false"})
        dev.topic_create("t", 2, configs={**TIERED, "segment.bytes": 65536})
        writer = Producer({"bootstrap.servers": dev.bootstrap, "transactional.id": "w", "linger.ms": 5, "batch.size": 16384})
        writer.init_transactions(60)

        def transaction(name, records, partitions):
            writer.begin_transaction()
            for i in range(records):
                for partition in partitions:
                    writer.produce("t", f"{name} {i} ".ljust(1000, "x").encode(), partition=partition)
                writer.poll(0)
            writer.commit_transaction(60)

        transaction("whole", 100, [0])
        # Committed too; but in partition 0 its end is in the open segment, which is only on the broker's disk.
        transaction("open", 200, [0, 1])
        # In partition 1 what follows closes the segment that has it.
        filler = Producer({"bootstrap.servers": dev.bootstrap, "batch.size": 16384})
        for i in range(200):
            filler.produce("t", f"later {i} ".ljust(1000, "x").encode(), partition=1)
        filler.flush(60)
        store = ["--store", f"s3://{Minio.BUCKET}/test", "--endpoint", f"http://{self.proxy.address}",
                 "--access-key", Minio.USER, "--secret-key", Minio.PASSWORD]

        def dry_run():
            return esker("tier", "restore", "t", "--dry-run", *store, check=False).stdout

        def tier_end(partition=0):
            ends = [int(word.split("..")[1]) for word in dry_run().split() if word.startswith("0..")]
            return ends[partition] if len(ends) == 2 else 0

        wait_until("both are in the tier, one without its end", lambda: tier_end() > 110 and tier_end(1) > 210, 120, 0.5)
        dev.kill(1)
        dev.stop()
        shutil.rmtree(dev.data)
        end = tier_end()
        self.assertLess(end, 302, "the end of the second one is not in the tier")
        later = tier_end(1) - 201
        self.assertRegex(dry_run(), r"partition 0: the transaction of producer \d+ from offset 101 on has no end in the tier")
        self.assertNotIn("partition 1: the transaction", dry_run())
        dev.start()
        done = esker("tier", "restore", "t", "--bootstrap-server", dev.bootstrap, "--replication-factor", 1, *store, timeout=180)
        self.assertIn("1 transactions of t had no end in the tier, and are aborted", done.stdout)

        # Offset 100 is the first one's marker; at the end comes the one that the restore has written.
        self.assertEqual(self.read_to_end(dev, "t", "read_committed"), (["whole"] * 100, end + 1))
        # The control: they are there, and only not committed.
        everything = ["whole"] * 100 + ["open"] * (end - 101)
        self.assertEqual(self.read_to_end(dev, "t", "read_uncommitted"), (everything, end + 1))
        # Partitions come back at no common point: here the second one is whole.
        self.assertEqual(self.read_to_end(dev, "t", "read_committed", 1), (["open"] * 200 + ["later"] * later, 201 + later))

    def read_to_end(self, dev, topic, isolation, partition=0):
        """The first word of each value of a partition, and where the log ends for such a reader."""
        from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

        reader = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": isolation, "isolation.level": isolation,
                           "enable.auto.commit": False, "enable.partition.eof": True})
        self.addCleanup(reader.close)
        reader.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        words, end = [], None

        def at_the_end():
            nonlocal end
            message = reader.poll(1)
            if message is not None and message.error() is None:
                words.append(message.value().split()[0].decode())
            elif message is not None and message.error().code() == KafkaError._PARTITION_EOF:
                end = message.offset()
            return end is not None

        wait_until("the reader has reached the end", at_the_end, 60, 0)
        return words, end

    @slow
    def test_a_topic_comes_back_from_the_bucket_alone_when_all_brokers_are_gone(self):
        dev = self.cluster(**{"cluster.id": "old-cluster"})
        # All of it goes cold, the last segment too.
        dev.topic_create("t", 1, configs={**TIERED, "tier.max.lag.ms": 500})
        produced = produce("python", dev.bootstrap, "t", RECORDS, "s")
        store = ["--store", f"s3://{Minio.BUCKET}/test", "--endpoint", f"http://{self.proxy.address}",
                 "--access-key", Minio.USER, "--secret-key", Minio.PASSWORD]
        dry_run = ["tier", "restore", "t", "--dry-run", *store]
        said = []

        def all_is_cold():
            done = esker(*dry_run, check=False)
            said.append(done.stdout + done.stderr)
            return f"0..{RECORDS}" in done.stdout

        try:
            wait_until("all is in the tier", all_is_cold, 120, 0.5)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{said[-1]}\n{dev.broker_logs(60)}") from None
        self.assertEqual(dev.stop(), 0)
        shutil.rmtree(dev.data)
        self.assertIn("nothing is damaged", esker("tier", "verify", "--deep", *store, timeout=120).stdout)
        self.proxy.clear()
        self.assertIn(f"0..{RECORDS}", esker(*dry_run).stdout)
        self.assertEqual(self.proxy.by_class()["put"], 0, "a dry run writes nothing")
        dev.start()
        done = esker("tier", "restore", "t", "--bootstrap-server", dev.bootstrap, "--replication-factor", 3,
                     "--config", "segment.bytes=262144", "--config", "local.retention.bytes=1", *store, timeout=180)
        self.assertIn("incarnation 1 of cluster old-cluster", done.stdout)
        Admin(dev.bootstrap).wait_for_isr("t", 1, 3)
        verify(consume(self.processes, "python", dev.bootstrap, "t", RECORDS), produced, "read back")
        more = produce("python", dev.bootstrap, "t", 1000, "more")
        verify(consume(self.processes, "python", dev.bootstrap, "t", RECORDS + 1000), produced + more, "and it goes on")
        # What the old cluster's manifests named goes on too, and is exported as Kafka's own files.
        out = self.processes.dir / "export"
        esker("tier", "export", "t", "--out", out, *store)
        self.assertTrue((out / "t-0" / f"{0:020}.log").exists())
        self.assertTrue((out / "t-0" / "partition.metadata").exists())
        # A damaged bucket is told, with the offsets, and not restored from.
        victim = sorted((self.processes.dir / "minio" / Minio.BUCKET).rglob("*.seg"))[1]
        shutil.rmtree(victim)
        told = esker("tier", "verify", "t", *store, check=False)
        self.assertNotEqual(told.returncode, 0)
        self.assertIn(f"offsets {int(victim.name.split('-')[0])}..", told.stdout)
        self.assertIn("is missing", told.stdout)
