"""`esker demo`, and what the bucket tells without a broker."""

import os
import re
import tempfile
import time
import unittest
from pathlib import Path

from dev import esker


class Demo(unittest.TestCase):
    def test_the_demo_sends_real_records_down_and_back_and_leaves_nothing_behind(self):
        with tempfile.TemporaryDirectory() as tmp:
            begun = time.monotonic()
            done = esker("demo", timeout=240, env=dict(os.environ, TMPDIR=tmp))
            print(f"({time.monotonic() - begun:.0f} s) ", end="", flush=True)
            self.assertEqual(list(Path(tmp).iterdir()), [])
        self.assertIn("equal to the last byte", done.stdout)
        sent = re.findall(r"^partition \d+: (\d+) records sent and read, SHA-256 ([0-9a-f]{16})", done.stdout, re.M)
        self.assertEqual(sum(int(count) for count, _ in sent), 336_776)
        self.assertEqual(len({digest for _, digest in sent}), 3)
        cold, total = re.search(r"([\d,]+) of ([\d,]+) records came from the cold tier", done.stdout).groups()
        self.assertGreaterEqual(int(cold.replace(",", "")), 0.8 * 336_776)
        self.assertEqual(total, "336,776")
        puts = re.search(r"records down\s+┆\s+(\d+)", done.stdout)
        gets = re.search(r"records back\s+┆\s+\d+ ┆\s+(\d+)", done.stdout)
        self.assertGreater(int(puts[1]), 20)
        self.assertGreater(int(gets[1]), 20)

    def test_the_bucket_of_a_kept_demo_is_listed_without_a_broker(self):
        with tempfile.TemporaryDirectory() as tmp:
            esker("demo", "--data", f"{tmp}/data", "--tier", f"file://{tmp}/cold", timeout=240)
            listed = esker("tier", "ls", "--store", f"file://{tmp}/cold").stdout
            self.assertIn("flights", listed)
            self.assertTrue(list(Path(tmp, "data").iterdir()))
