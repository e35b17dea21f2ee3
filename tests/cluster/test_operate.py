"""What an operator asks a broker over HTTP: health, and the numbers of a known load."""

import http.server
import re
import threading
import urllib.error
import urllib.request

from case import ClusterCase
from clients import consume, produce
from dev import Admin
from processes import wait_until

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def get(url, timeout=10, headers=None):
    """(status, text)"""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(url):
    """(name, labels as text) → value, of Prometheus text."""
    status, text = get(f"{url}/metrics")
    if status != 200:
        raise AssertionError(f"{status}: {text}")
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            found[name, labels or ""] = float(value)
    return found


class Collector(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted, by path."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posted.append((self.path, self.headers["content-type"], body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Operate(ClusterCase):
    def test_a_collector_gets_metrics_traces_and_logs_by_otlp(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
        server.posted = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        dev = self.dev(1, settings={"telemetry.otlp.endpoint": f"http://127.0.0.1:{server.server_port}",
                                    "telemetry.otlp.interval.ms": "200", "telemetry.trace.one.in": "1"})
        dev.topic_create("told")
        produce("python", dev.bootstrap, "told", 500, "s")

        def has(path, *words):
            return lambda: any(p == path and all(w in body for w in words) for p, _, body in server.posted)

        # Names and labels are plain text in the protobuf messages; test_metrics reads the values.
        wait_until("the topic's metrics", has("/v1/metrics", b"esker_produced_records_total", b"told", b"esker_request_seconds"), 30)
        wait_until("spans of requests", has("/v1/traces", b"Produce", b"handle", b"send"), 30)
        wait_until("a span of background work", has("/v1/traces", b"partition.lead", b"told-0"), 30)
        wait_until("lines of the log", has("/v1/logs", b"target", b"esker"), 30)
        self.assertEqual({kind for _, kind, _ in server.posted}, {"application/x-protobuf"})

    def test_health_and_the_numbers_of_a_known_load(self):
        dev = self.dev(3)
        urls = dev.consoles()
        self.assertEqual(sorted(urls), [1, 2, 3])
        for url in urls.values():
            self.assertEqual(get(f"{url}/livez"), (200, "ok\n"))
            self.assertEqual(get(f"{url}/readyz"), (200, "ok\n"))
        dev.topic_create("known", partitions=3)
        produce("python", dev.bootstrap, "known", 3000, "s")
        consume(self.processes, "python", dev.bootstrap, "known", 3000)
        told = [samples(url) for url in urls.values()]

        def total(name, labels=""):
            return sum(one.get((name, labels), 0) for one in told)

        self.assertEqual(total("esker_produced_records_total", 'topic="known"'), 3000)
        produced = total("esker_produced_bytes_total", 'topic="known"')
        fetched = total("esker_fetched_bytes_total", 'topic="known",tier="hot"')
        self.assertGreater(produced, 3000)
        self.assertGreaterEqual(fetched, produced)
        for stage in ("queue", "handle", "send", "total", "local", "replication"):
            count = total("esker_request_seconds_count", f'api="Produce",stage="{stage}"')
            self.assertGreater(count, 0, stage)
            last = total("esker_request_seconds_bucket", f'api="Produce",stage="{stage}",le="+Inf"')
            self.assertEqual(count, last, stage)

        def in_order():
            now = [samples(url) for url in urls.values()]
            wanted = {"brokers_active": 9, "metadata_leader": 1, "lease_held": 3, "partitions_offline": 0}
            return all(sum(one[f"esker_{name}", ""] for one in now) == value for name, value in wanted.items())

        wait_until("all brokers are active, with a lease, and one leads the metadata", in_order, 30)
        self.assertGreaterEqual(total("esker_partitions_led"), 3)
        for broker, one in zip(urls, told):
            for peer in set(urls) - {broker}:
                if ("esker_peer_rtt_seconds", f'peer="{peer}"') in one:
                    self.assertGreater(one["esker_peer_rtt_seconds", f'peer="{peer}"'], 0)
            self.assertGreater(one["esker_certificate_expiry_timestamp_seconds", 'certificate="peer"'], 1_700_000_000)
        self.assertGreater(sum(name == "esker_peer_rtt_seconds" for one in told for name, _ in one), 2)

        def replicated():
            """Each leader's records have gone to both others, and nobody is behind."""
            now = {broker: samples(url) for broker, url in urls.items()}
            ways = [(one, f'peer="{peer}"') for broker, one in now.items() for peer in urls if peer != broker]
            sent, received = (sum(one.get((name, way), 0) for one, way in ways)
                              for name in ("esker_peer_sent_bytes_total", "esker_peer_received_bytes_total"))
            behind = [value for one in now.values() for (name, _), value in one.items()
                      if name in ("esker_replica_lag_records", "esker_replica_lag_seconds")]
            told = ("esker_peer_congestion_window_bytes", "esker_peer_lost_packets_total", "esker_peer_congestion_events_total")
            sound = all(one[name, way] >= 0 for one, way in ways for name in told if (told[0], way) in one)
            sound = sound and all(one.get((told[0], way), 1) > 0 for one, way in ways)
            packets = sum(one.get(("esker_peer_sent_packets_total", way), 0) for one, way in ways)
            sound = sound and packets > sent / 65_536  # of at most so many bytes each
            if min(sent, received) <= 2 * produced:
                # They are of the connections that stand: one that was made anew counts from nothing.
                produce("python", dev.bootstrap, "known", 3000, "more")
                return False
            return sound and len(behind) >= 4 and not any(behind)

        wait_until("two copies of the load have gone between the brokers, and no replica is behind", replicated, 60)
        status, kafka = get(f"{urls[1]}/metrics/kafka")
        self.assertEqual(status, 200)
        self.assertIn("kafka_server_replicamanager_underreplicatedpartitions 0", kafka)
        # After the loss of a broker the one can lose no more, and the other takes no acks=all.
        for name, needed in (("strict", 3), ("edge", 2)):
            dev.topic_create(name, partitions=2, configs={"min.insync.replicas": needed})
            Admin(dev.bootstrap).wait_for_isr(name, 2, 3)

        dev.kill(3)

        def seen(name, least):
            return lambda: sum(samples(urls[b]).get((name, ""), 0) for b in (1, 2)) >= least

        wait_until("the loss is told", seen("esker_isr_shrinks_total", 1), 30)
        every = sum(len(topic.partitions) for topic in Admin(dev.bootstrap).metadata().topics.values())
        for name, value in {"under_replicated": every, "under_min_isr": 2, "at_min_isr": every - 2}.items():
            exactly = lambda: sum(samples(urls[b])[f"esker_partitions_{name}", ""] for b in (1, 2)) == value
            wait_until(f"{value} partitions are {name}", exactly, 60)
        wait_until("one broker is fenced, as both know", lambda: all(
            (samples(urls[b])["esker_brokers_active", ""], samples(urls[b])["esker_brokers_fenced", ""]) == (2, 1) for b in (1, 2)), 60)
        dev.restart(3)
        Admin(dev.bootstrap).wait_for_isr("known", 3, 3)
        wait_until("the return is told", seen("esker_isr_expands_total", 1), 30)
        for broker in (1, 2):
            wait_until("all replicas are in sync", lambda: get(f"{urls[broker]}/readyz?in-sync")[0] == 200, 30)
        self.assertEqual(get(f"{urls[1]}/nothing")[0], 404)
