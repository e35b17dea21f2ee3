"""What an operator asks a broker over HTTP: health, and the numbers of a known load."""

import re
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


class Operate(ClusterCase):
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
        self.assertEqual(total("esker_brokers_active"), 9)
        self.assertEqual(total("esker_metadata_leader"), 1)
        self.assertEqual(total("esker_lease_held"), 3)
        self.assertEqual(total("esker_partitions_offline"), 0)
        self.assertGreaterEqual(total("esker_partitions_led"), 3)
        for broker, one in zip(urls, told):
            for peer in set(urls) - {broker}:
                if ("esker_peer_rtt_seconds", f'peer="{peer}"') in one:
                    self.assertGreater(one["esker_peer_rtt_seconds", f'peer="{peer}"'], 0)
            self.assertGreater(one["esker_certificate_expiry_timestamp_seconds", 'certificate="peer"'], 1_700_000_000)
        self.assertGreater(sum(name == "esker_peer_rtt_seconds" for one in told for name, _ in one), 2)
        status, kafka = get(f"{urls[1]}/metrics/kafka")
        self.assertEqual(status, 200)
        self.assertIn("kafka_server_replicamanager_underreplicatedpartitions 0", kafka)

        dev.kill(3)

        def seen(name, least):
            return lambda: sum(samples(urls[b]).get((name, ""), 0) for b in (1, 2)) >= least

        wait_until("the loss is told", seen("esker_isr_shrinks_total", 3), 30)
        wait_until("it shows as under-replicated", seen("esker_partitions_under_replicated", 3), 30)
        dev.restart(3)
        Admin(dev.bootstrap).wait_for_isr("known", 3, 3)
        wait_until("the return is told", seen("esker_isr_expands_total", 3), 30)
        for broker in (1, 2):
            wait_until("all replicas are in sync", lambda: get(f"{urls[broker]}/readyz?in-sync")[0] == 200, 30)
        self.assertEqual(get(f"{urls[1]}/nothing")[0], 404)
