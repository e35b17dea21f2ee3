"""Cold is cold: what has left every local disk is read back from the store, and from nowhere else."""

import re
import shutil
import threading
import time

from case import ClusterCase, slow
from clients import consume, produce, verify
from dev import Admin
from messages import ask
from processes import Minio, wait_until
from store_proxy import StoreProxy
from wire import RETRIABLE, Connection, batches

PARTITIONS, RECORDS = 2, 12_000
TIERED = {"remote.storage.enable": "true", "segment.bytes": 262144, "local.retention.bytes": 1}
QUICK = {"remote.log.manager.task.interval.ms": 300, "log.retention.check.interval.ms": 500}


class Cold(ClusterCase):
    def tiered_cluster(self, **more):
        """Three brokers, MinIO behind the proxy, a topic with at least 80 % of its offsets on no local disk."""
        self.minio = Minio(self.processes)
        self.trace = StoreProxy(self.minio.address)
        self.addCleanup(self.trace.close)
        dev = self.dev(3, settings={**QUICK, **more}, tier=f"s3://{Minio.BUCKET}/test",
                       env=self.minio.environment(self.trace.address))
        dev.topic_create("t", PARTITIONS, configs=TIERED)
        produced = produce("python", dev.bootstrap, "t", RECORDS, "s")
        wait_until("80 % of the offsets are local on no broker",
                   lambda: dev.cold_offsets("t", PARTITIONS) >= 0.8 * RECORDS, 90, 0.3)
        return dev, produced

    def segments(self):
        """Folder in MinIO's drive and base offset of each segment object of each partition."""
        found = {}
        for folder in (self.processes.dir / "minio" / Minio.BUCKET).rglob("*.seg"):
            partition = int(folder.parent.parent.name)
            found.setdefault(partition, []).append((int(folder.name.split("-")[0]), folder))
        return {partition: sorted(rows) for partition, rows in found.items()}

    def forget_caches(self, dev, partitions=PARTITIONS):
        """Stops the cluster, deletes every chunk cache, starts it: nothing is in memory or on disk."""
        self.assertEqual(dev.stop(), 0)
        for cache in dev.data.glob("broker-*/**/tier-cache"):
            shutil.rmtree(cache)
        dev.start()
        Admin(dev.bootstrap).wait_for_isr("t", partitions, 3)

    @slow
    def test_what_is_local_on_no_broker_comes_from_the_store_with_a_get_per_segment(self):
        dev, produced = self.tiered_cluster()
        self.forget_caches(dev)
        self.assertGreaterEqual(dev.cold_offsets("t", PARTITIONS), 0.8 * RECORDS)
        self.trace.clear()
        verify(consume(self.processes, "python", dev.bootstrap, "t", RECORDS), produced, "read back")
        fetched = {path.rsplit("/", 1)[1] for path in self.trace.gets(".seg")}
        for partition, rows in self.segments().items():
            local = min(s for s in (dev.local_start("t", partition, b) for b in (1, 2, 3)) if s is not None)
            for base, folder in rows:
                if base < local:
                    self.assertIn(folder.name, fetched, f"partition {partition}: no GET, local from {local}")
        # Earliest, latest, earliest local and by time are right across the tiers.
        admin = Admin(dev.bootstrap)
        total = 0
        for partition in range(PARTITIONS):
            leader = admin.partition("t", partition)[0]
            with Connection(dev.brokers()[leader][1]) as connection:
                self.assertEqual(connection.list_offset("t", partition, -2)[::2], (0, 0))
                end = connection.list_offset("t", partition, -1)[2]
                total += end
                self.assertEqual(connection.list_offset("t", partition, 0)[::2], (0, 0))
                self.assertEqual(connection.list_offset("t", partition, 2**62)[2], -1)
                error, _, records = connection.fetch("t", partition, end // 3)
                self.assertEqual(error, 0)
                first, last = batches(records)[0]
                self.assertTrue(first <= end // 3 <= last)
        self.assertEqual(total, RECORDS)

    @slow
    def test_brokers_that_read_the_same_chunks_ask_the_store_once_for_each(self):
        self.minio = Minio(self.processes)
        self.trace = StoreProxy(self.minio.address)
        self.addCleanup(self.trace.close)
        dev = self.dev(3, settings={**QUICK, "tier.chunk.bytes": 65536}, tier=f"s3://{Minio.BUCKET}/test",
                       env=self.minio.environment(self.trace.address))
        partitions = 6
        dev.topic_create("t", partitions, configs=TIERED)
        produce("python", dev.bootstrap, "t", RECORDS, "s")
        wait_until("most offsets are local on no broker",
                   lambda: dev.cold_offsets("t", partitions) >= 0.6 * RECORDS, 90, 0.3)
        # A peer that answers too late is not waited for, and the store is asked: on a busy machine not every try is clean.
        told, self.object_ends = [], {}
        for again in range(3):
            if again:
                self.forget_caches(dev, partitions)
            for partition in range(partitions):
                end = min(dev.local_start("t", partition, broker) for broker in (1, 2, 3))
                gets = self.gets_of_three_readers(dev, partition, end)
                told.append((end, len(gets), len(set(gets))))
                if end > 0 and len(gets) == len(set(gets)) > 3:
                    self.figure(f"three brokers read {end} offsets: {len(set(gets))} chunks, {len(gets)} GETs, tries {len(told)}")
                    self.assertEqual(self.gets_of_three_readers(dev, partition, end), [], "every broker has them now")
                    return
        self.fail(f"cold offsets, GETs of chunks and how many chunks, by try: {told}")

    def gets_of_three_readers(self, dev, partition, end):
        """The GETs of chunks that come of it when each broker is asked for the cold part of a partition, all at once."""
        self.trace.clear()
        readers = [threading.Thread(target=self.read_from, args=(dev.brokers()[broker][1], partition, end))
                   for broker in (1, 2, 3)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        return self.chunk_gets(partition, end)

    def read_from(self, address, partition, end):
        """Reads the cold part of a partition from the broker at this address, be it leader or follower."""
        offset, deadline = 0, time.monotonic() + 120
        with Connection(address, 60) as connection:
            while offset < end and time.monotonic() < deadline:
                wanted = {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20}
                asked = {"MaxWaitMs": 500, "MinBytes": 1, "Topics": [{"Topic": "t", "Partitions": [wanted]}]}
                answer = ask(connection, "Fetch", 12, asked)["Responses"][0]["Partitions"][0]
                found = batches(answer["Records"] or b"")
                if not found:
                    time.sleep(0.1)
                else:
                    offset = found[-1][1] + 1

    def chunk_gets(self, partition, end):
        """Object and first byte of each GET of a chunk below an offset: what does not reach to its object's end, as a footer does."""
        found = []
        with self.trace.lock:
            for request in self.trace.requests:
                if request.kind == "get" and request.is_segment() and request.range:
                    first, _, last = request.range.removeprefix("bytes=").partition("-")
                    found.append((request.path, int(first), int(last)))
        for path, _, last in found:
            self.object_ends[path] = max(last, self.object_ends.get(path, 0))

        def counts(path):
            *_, of, _, name = path.split("/")
            return int(of) == partition and int(name.split("-")[0]) < end

        return [(path, first) for path, first, last in found if counts(path) and last < self.object_ends[path]]

    @slow
    def test_a_lost_object_fails_exactly_its_own_range_and_retriably(self):
        dev, _ = self.tiered_cluster()
        segments = self.segments()[0]
        self.assertGreater(len(segments), 3)
        victim = len(segments) // 2
        begin, end = segments[victim][0], segments[victim + 1][0]
        self.assertEqual(dev.stop(), 0)
        for cache in dev.data.glob("broker-*/**/tier-cache"):
            shutil.rmtree(cache)
        shutil.rmtree(segments[victim][1])
        dev.start()
        admin = Admin(dev.bootstrap)
        admin.wait_for_isr("t", PARTITIONS, 3)
        leader = admin.partition("t", 0)[0]
        address = dev.brokers()[leader][1]

        def at(offset):
            with Connection(address, 20) as connection:
                return connection.fetch("t", 0, offset)

        for index, (base, _) in enumerate(segments):
            error, _, records = at(base)
            if index == victim:
                self.assertIn(error, RETRIABLE, f"offset {base}: error {error}")
                self.assertEqual(records, b"")
            else:
                self.assertEqual(error, 0, f"offset {base}")
                self.assertEqual(batches(records)[0][0], base)
        for offset in (begin + 1, end - 1):
            self.assertIn(at(offset)[0], RETRIABLE)
        for offset in (begin - 1, end):
            error, _, records = at(offset)
            self.assertEqual(error, 0, f"offset {offset}")
            self.assertTrue(batches(records)[0][0] <= offset <= batches(records)[0][1])

    def special_offset(self, dev, leader, partition, what, topic="t"):
        """ListOffsets v11 with one of its negative timestamps: the offset, once the leader knows that it leads."""
        wanted = [{"Name": topic, "Partitions": [{"PartitionIndex": partition, "Timestamp": what}]}]
        def answer():
            with Connection(dev.brokers()[leader][1]) as connection:
                asked = {"ReplicaId": -1, "Topics": wanted, "TimeoutMs": 5000}
                found = ask(connection, "ListOffsets", 11, asked)["Topics"][0]["Partitions"][0]
            self.assertIn(found["ErrorCode"], {0, *RETRIABLE})
            return found if found["ErrorCode"] == 0 else None

        return wait_until(f"the leader says offset {what}", answer, 20)["Offset"]

    @slow
    def test_total_retention_removes_records_from_both_tiers(self):
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

        dev, _ = self.tiered_cluster(**{"tier.delete.grace.ms": 500})
        admin = Admin(dev.bootstrap)
        leader = admin.partition("t", 0)[0]
        ask_for = lambda what: self.special_offset(dev, leader, 0, what)

        def alter(key, value):
            entry = ConfigEntry(key, str(value), incremental_operation=AlterConfigOpType.SET)
            resource = ConfigResource(ConfigResource.Type.TOPIC, "t", incremental_configs=[entry])
            for outcome in admin.client.incremental_alter_configs([resource]).values():
                outcome.result(20)

        # Where the tier ends (-5, -6) and the local log begins (-4), as the files say.
        files = dev.data.glob(f"broker-{leader}/data/t-0/*.log")
        active = max(int(file.stem) for file in files)
        wait_until("all that is closed is in the tier", lambda: ask_for(-6) == active, 30, 0.2)
        self.assertEqual(ask_for(-5), active - 1)
        wait_until("the local log begins where its files do", lambda: ask_for(-4) == dev.local_start("t", 0, leader), 30, 0.2)
        self.assertGreater(ask_for(-4), ask_for(-2))
        dev.topic_create("hot")
        admin.wait_for_isr("hot", 1, 3)
        hot = admin.partition("hot")[0]
        self.assertEqual([self.special_offset(dev, hot, 0, what, "hot") for what in (-4, -5, -6)], [0, -1, -1])

        def bases():
            return [base for base, _ in self.segments().get(0, [])]

        before = bases()
        alter("retention.bytes", 400_000)
        wait_until("the log start moves", lambda: ask_for(-2) > 0, 60, 0.3)
        wait_until("the objects below it are gone, and no other", lambda: bases() == [b for b in before if b >= ask_for(-2)],
                   60, 0.3)
        self.assertTrue(bases())
        with Connection(dev.brokers()[leader][1]) as connection:
            self.assertEqual(connection.fetch("t", 0, 0)[0], 1)
        # By age everything goes, also what was only local once its segment is closed.
        end = ask_for(-1)
        alter("segment.ms", 1000)
        alter("retention.ms", 1000)
        wait_until("the log start is the end", lambda: ask_for(-2) == end, 60, 0.3)
        wait_until("no object is left", lambda: not self.segments(), 60, 0.3)
        wait_until("nor an old file", lambda: {dev.local_start("t", 0, b) for b in (1, 2, 3)} == {end}, 60, 0.3)

    def test_a_plain_folder_is_a_store_too(self):
        dev = self.dev(1, settings=QUICK)
        dev.topic_create("t", 1, configs=TIERED)
        produced = produce("python", dev.bootstrap, "t", 6000, "s")
        wait_until("most is cold", lambda: dev.cold_offsets("t", 1) >= 4000, 60, 0.3)
        verify(consume(self.processes, "python", dev.bootstrap, "t", 6000), produced, "read back")
        self.assertTrue(list((dev.data / "tier").rglob("*.seg")))
        self.assertTrue(list((dev.data / "tier").rglob("*.parquet")))
