"""The values of the metrics after a known load on both tiers, in Prometheus text and in what a collector is sent.

What must be so many is compared exactly; it is waited for, since counts are told a moment after what they count.
"""

import http.server
import os
import re
import struct
import threading
import time
import unittest
from pathlib import Path

import otlp
from case import ClusterCase
from clients import produce
from processes import ROOT, free_ports, wait_until
from test_operate import Collector, samples
from wire import API_VERSIONS, RETRIABLE, Closed, Connection, batches

# Metrics whose values no test of the running brokers reads, each with the reason.
EXCEPTIONS = {
    "esker_partitions_reassigning": "true for as long as a copy lasts, which no test can hold; test_changes follows it by the API",
    "esker_tier_cache_bad_files_total": "the unit tests of the cache damage chunk files and read the count",
    "esker_tier_cache_evictions_total": "the unit tests of the cache fill it and read the count",
    "esker_tier_cut_age_seconds": "cuts are minutes apart: test_cuts, where they are not, reads it",
    "esker_tier_dropped_records_total": "needs a full disk: the unit tests of the tier make one",
}
RECORDS = 5000
PER_IP = 30


class Names(unittest.TestCase):
    def test_each_metric_of_the_reference_is_read_by_a_test_or_is_an_exception(self):
        names = set(re.findall(r"^\| `(esker_\w+)` \|", (ROOT / "src/env/metrics/REFERENCE.md").read_text(), re.M))
        self.assertGreater(len(names), 50)
        text = "\n".join((ROOT / f"tests/cluster/{name}.py").read_text() for name in ("test_metrics", "test_operate", "test_admin"))
        text = re.sub(r"^EXCEPTIONS = \{.*?^\}", "", text, flags=re.M | re.S)
        read = {re.sub("_(count|sum|bucket)$", "", name) for name in re.findall(r"\besker_\w+", text)}
        self.assertEqual(names - read - set(EXCEPTIONS), set(), "read by no test")
        self.assertEqual(set(EXCEPTIONS) - names, set(), "no such metrics")
        self.assertEqual(set(EXCEPTIONS) & read, set(), "read after all")


class Values(ClusterCase):
    def setUp(self):
        super().setUp()
        self.collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
        self.collector.posted = []
        threading.Thread(target=self.collector.serve_forever, daemon=True).start()
        self.addCleanup(self.collector.server_close)
        self.addCleanup(self.collector.shutdown)

    def posted(self):
        """What the collector was sent last."""
        posts = [body for path, _, body in list(self.collector.posted) if path == "/v1/metrics"]
        return otlp.metrics(posts[-1]) if posts else {}

    def become(self, wanted):
        """Waits until both ways tell these values: a number, or what must be true of it."""
        def wrong():
            out = []
            try:
                ways = {"Prometheus": samples(self.url), "OTLP": self.posted()}
            except OSError as late:
                return [str(late)]
            for way, told in ways.items():
                for (name, labels), value in wanted.items():
                    found = told.get((name, labels))
                    if found is None or not (value(found) if callable(value) else found == value):
                        out.append(f"{way}: {name}{{{labels}}} is {found}, not {'what it must be' if callable(value) else value}")
            return out

        try:
            wait_until("the metrics tell it", lambda: not wrong(), 60, 0.2)
        except AssertionError:
            self.assertEqual(wrong(), [])

    def sizes(self):
        """Base offset → bytes, of the local segments of the load."""
        return {int(f.stem): f.stat().st_size for f in self.dev1.data.glob("broker-1/data/told-0/*.log")}

    def read_all(self):
        """Reads the load to its end by raw fetches, each from where the last ended; bytes by whether they are local."""
        at, local_start, got = 0, min(self.sizes()), {"cold": 0, "hot": 0}
        with Connection(self.dev1.bootstrap, 60) as connection:
            while at < RECORDS:
                error, _, records = connection.fetch("told", 0, at)
                if error:
                    self.assertIn(error, RETRIABLE)
                    time.sleep(0.2)
                    continue
                found = batches(records)
                self.assertTrue(not found or found[0][0] == at, "a fetch begins where the last one ended")
                got["cold" if at < local_start else "hot"] += len(records)
                at = found[-1][1] + 1 if found else at
        return got

    def test_a_known_load_on_both_tiers_is_told_exactly(self):
        (admin,) = free_ports(1)
        self.url = f"http://127.0.0.1:{admin}"
        begun = time.monotonic()
        dev = self.dev1 = self.dev(1, settings={
            "admin.listeners": self.url, "telemetry.otlp.endpoint": f"http://127.0.0.1:{self.collector.server_port}",
            "telemetry.otlp.interval.ms": "200", "queued.max.request.bytes": "50000000", "queued.max.response.bytes": "60000000",
            "max.connections.per.ip": str(PER_IP), "log.retention.check.interval.ms": "500", "tier.scrub.interval.ms": "300",
            # The tier sleeps until the broker is started again.
            "remote.log.manager.task.interval.ms": "3600000"})
        dev.topic_create("idle", partitions=2)
        dev.topic_create("told", configs={"remote.storage.enable": "true", "segment.bytes": 262144, "local.retention.bytes": 1})
        self.become({("esker_partitions_led", ""): 3})
        produce("python", dev.bootstrap, "told", RECORDS, "s")
        sizes = self.sizes()
        closed = sum(size for base, size in sizes.items() if base != max(sizes))
        self.assertGreater(len(sizes), 3)
        data = str(dev.data / "broker-1/data")
        own_dir = f'dir="{data}"'

        self.become({
            ("esker_produced_records_total", 'topic="told"'): RECORDS,
            ("esker_produced_bytes_total", 'topic="told"'): sum(sizes.values()),
            ("esker_log_bytes", own_dir): sum(sizes.values()),
            ("esker_tier_lag_bytes", ""): closed, ("esker_tier_lag_segments", ""): len(sizes) - 1,
            ("esker_tier_index_evictions_total", 'kind="footer"'): 0, ("esker_tier_index_bytes", 'kind="footer"'): 0,
            ("esker_tier_lag_seconds", ""): lambda s: 0 < s < time.monotonic() - begun,
            ("esker_fetched_bytes_total", 'topic="told",tier="hot"'): 0,
            ("esker_fetched_bytes_total", 'topic="told",tier="cold"'): 0,
            ("esker_partitions_hosted", ""): 3, ("esker_partitions_led", ""): 3, ("esker_leaderships_begun_total", ""): lambda n: n >= 3,
            ("esker_partitions_offline", ""): 0, ("esker_partitions_under_replicated", ""): 0,
            ("esker_partitions_under_min_isr", ""): 0, ("esker_partitions_at_min_isr", ""): 0,
            ("esker_unclean_leaderships_total", ""): 0, ("esker_isr_shrinks_total", ""): 0, ("esker_isr_expands_total", ""): 0,
            ("esker_brokers_active", ""): 1, ("esker_brokers_fenced", ""): 0, ("esker_metadata_leader", ""): 1,
            # Two topics, at least, are commands.
            ("esker_metadata_version", ""): lambda v: v >= 2, ("esker_lease_held", ""): 1,
            ("esker_build_info", 'version="0.1.0"'): 1,
            ("esker_memory_budget_limit_bytes", 'budget="requests"'): 50_000_000,
            ("esker_memory_budget_limit_bytes", 'budget="answers"'): 60_000_000,
            ("esker_memory_budget_limit_bytes", 'budget="fetches"'): 60_000_000,
            ("esker_memory_budget_used_bytes", 'budget="requests"'): 0,
            ("esker_memory_budget_used_bytes", 'budget="answers"'): 0,
            ("esker_memory_budget_used_bytes", 'budget="fetches"'): 0,
            ("esker_log_directories_failed", ""): 0, ("esker_groups", ""): 0, ("esker_udp_drops_total", ""): 0,
            # A slow collector may lose some.
            ("esker_telemetry_dropped_total", 'signal="traces"'): lambda n: n >= 0,
            ("esker_telemetry_dropped_total", 'signal="logs"'): lambda n: n >= 0,
            ("esker_uptime_seconds", ""): lambda s: 0 < s < time.monotonic() - begun,
        })
        self._of_the_process(dev.pid(1), data, own_dir)
        self._of_connections(dev)
        self._turned_away(dev)

        dev.reconfigure(1, "remote.log.manager.task.interval.ms", "200")
        last = max(sizes)
        objects = lambda: [f for f in (dev.data / "tier").rglob("*.seg")]
        self.become({
            ("esker_tier_lag_bytes", ""): 0, ("esker_tier_lag_seconds", ""): 0, ("esker_tier_lag_segments", ""): 0,
            ("esker_tier_bytes", 'topic="told"'): lambda n: n == sum(f.stat().st_size for f in objects()) > closed,
            ("esker_log_bytes", own_dir): sizes[last],
            ("esker_store_requests_total", 'kind="put"'): lambda n: n > len(sizes) - 1,
            ("esker_store_request_seconds_count", 'kind="put"'): lambda n: n > len(sizes) - 1,
            ("esker_store_request_seconds_sum", 'kind="put"'): lambda s: s > 0,
            ("esker_tier_orphans_removed_total", ""): 0, ("esker_tier_orphans_removed_bytes_total", ""): 0,
            ("esker_store_requests_total", 'kind="delete"'): lambda n: n < len(sizes),
            ("esker_store_bytes_total", 'direction="up"'): lambda n: n > sum(f.stat().st_size for f in objects()) > closed,
            ("esker_store_errors_total", 'kind="put",code="refused"'): 0, ("esker_store_errors_total", 'kind="get",code="unavailable"'): 0,
            ("esker_partitions_led", ""): 3,
        })
        self.assertEqual(len(objects()), len(sizes) - 1)
        self.assertEqual(self.read_all(), {"cold": closed, "hot": sizes[last]})
        self.become({
            ("esker_fetched_bytes_total", 'topic="told",tier="cold"'): closed,
            ("esker_fetched_bytes_total", 'topic="told",tier="hot"'): sizes[last],
            ("esker_store_bytes_total", 'direction="down"'): lambda n: n >= closed,
            ("esker_store_requests_total", 'kind="get"'): lambda n: n >= len(sizes) - 1,
            ("esker_store_request_seconds_count", 'kind="get"'): lambda n: n >= len(sizes) - 1,
            ("esker_request_seconds_count", 'api="Fetch",stage="remote"'): lambda n: n > 0,
            ("esker_tier_cache_lookups_total", 'outcome="miss"'): lambda n: n > 0,
            ("esker_tier_cache_lookups_total", 'outcome="peer"'): 0,
            # Every segment's footer is read once, by whoever came first.
            ("esker_tier_index_lookups_total", 'kind="footer",outcome="miss"'): len(sizes) - 1,
            ("esker_tier_index_lookups_total", 'kind="footer",outcome="hit"'): lambda n: n > 0,
            ("esker_tier_index_lookups_total", 'kind="manifest",outcome="hit"'): lambda n: n > 0,
            ("esker_tier_index_bytes", 'kind="footer"'): lambda n: n > 0,
            ("esker_tier_scrubbed_objects_total", ""): lambda n: n >= len(sizes) - 1,
            ("esker_tier_scrub_findings_total", ""): 0,
            ("esker_tier_gaps", ""): 0,
            ("esker_tier_discards_waiting", ""): 0,
            ("esker_tier_cut_failures_total", ""): 0,
            ("esker_tier_cut_hold_seconds", ""): lambda n: n >= 0,
        })
        missed = samples(self.url)["esker_tier_cache_lookups_total", 'outcome="miss"']
        self.assertEqual(self.read_all(), {"cold": closed, "hot": sizes[last]})
        self.become({
            ("esker_fetched_bytes_total", 'topic="told",tier="cold"'): 2 * closed,
            ("esker_fetched_bytes_total", 'topic="told",tier="hot"'): 2 * sizes[last],
            ("esker_tier_cache_lookups_total", 'outcome="miss"'): missed,
        })
        hits = lambda: sum(samples(self.url)["esker_tier_cache_lookups_total", f'outcome="{where}"'] for where in ("memory", "disk"))
        self.assertGreaterEqual(hits(), len(sizes) - 1)
        self._of_groups(dev)

        # Damage of an object is found.
        segment = objects()[0]
        damaged = bytearray(segment.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        segment.write_bytes(damaged)
        self.become({("esker_tier_scrub_findings_total", ""): lambda n: n > 0})

    def _of_the_process(self, pid, data, own_dir):
        """What the kernel says of the process and the disk is what is told."""
        def kernel(name):
            return Path(f"/proc/{pid}/{name}").read_text()

        def seconds():
            words = kernel("stat").rsplit(")", 1)[1].split()
            return (int(words[11]) + int(words[12])) // os.sysconf("SC_CLK_TCK")

        def near(own, told, part):
            return abs(own - told) <= part * own

        def resident():
            return int(re.search(r"VmRSS:\s+(\d+) kB", kernel("status"))[1]) * 1024

        at_least = seconds()
        self.become({
            ("esker_process_cpu_seconds_total", ""): lambda s: at_least <= s <= seconds(),
            ("esker_process_resident_bytes", ""): lambda n: near(resident(), n, 0.2),
            ("esker_process_open_files", ""): lambda n: abs(len(os.listdir(f"/proc/{pid}/fd")) - n) <= 4,
            # No call to the disk lasts.
            ("esker_log_directory_waits_seconds", own_dir): lambda s: 0 <= s < 5,
            ("esker_disk_free_bytes", own_dir): lambda n: near(os.statvfs(data).f_bavail * os.statvfs(data).f_frsize, n, 0.1),
            ("esker_certificate_expiry_timestamp_seconds", 'certificate="peer"'): lambda s: s > time.time() + 86400,
        })

    def _of_connections(self, dev):
        """So many connections, requests and bytes of answers as there were, and what was refused."""
        for attempt in range(3):
            try:
                return self._counted(dev)
            except AssertionError:
                # The last words of the producer, which is gone, may have come in between.
                if attempt == 2:
                    raise

    def _counted(self, dev):
        accepted, refused = (f"esker_connections_{what}_total" for what in ("accepted", "refused"))
        asked = 'api="ApiVersions",stage="total"'
        before = samples(self.url)
        frames = []
        for _ in range(3):
            with Connection(dev.bootstrap) as connection:
                frames += [8 + len(connection.call(API_VERSIONS, 0, b"")) for _ in range(5)]
        with Connection(dev.bootstrap) as hostile:
            hostile.send(struct.pack(">i", -5) + b"x" * 64)
            self.assertTrue(hostile.is_closed())
        self.become({
            ("esker_connections_accepted_total", ""): before[accepted, ""] + 4,
            ("esker_connections_refused_total", ""): before[refused, ""] + 1,
            ("esker_connections_turned_away_total", ""): 0,
            ("esker_requests_total", ""): before["esker_requests_total", ""] + 15,
            ("esker_sent_bytes_total", ""): before["esker_sent_bytes_total", ""] + sum(frames),
            ("esker_request_seconds_count", asked): before["esker_request_seconds_count", asked] + 15,
            ("esker_request_seconds_sum", asked): lambda s: s > before["esker_request_seconds_sum", asked],
        })

    def _turned_away(self, dev):
        """More connections than one address may have."""
        held = [Connection(dev.bootstrap, 30) for _ in range(PER_IP + 5)]
        served = 0
        for connection in held:
            try:
                connection.call(API_VERSIONS, 0, b"")
                served += 1
            except Closed:
                pass
        for connection in held:
            connection.socket.close()
        self.assertLess(served, len(held))
        self.become({("esker_connections_turned_away_total", ""): len(held) - served})

    def _of_groups(self, dev):
        """A group that has committed 4,000 of 5,000 is 1,000 behind."""
        from confluent_kafka import Consumer, KafkaException, TopicPartition

        consumer = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": "behind", "enable.auto.commit": False, "log_level": 0})

        def committed():
            try:
                return consumer.commit(offsets=[TopicPartition("told", 0, RECORDS - 1000)], asynchronous=False)
            except KafkaException:  # the coordinator is not there yet
                return None

        wait_until("the group has committed", committed, 60)
        consumer.close()
        of = 'group="behind",topic="told"'
        self.become({("esker_groups", ""): 1, ("esker_group_lag_records", of): 1000,
                     ("esker_group_lag_seconds", of): lambda s: s > 0})
