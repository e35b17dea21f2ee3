"""The tables of tests/README.md name tests that exist, and `tests/fault-table` reads logs as they are."""

import re
import unittest

import matrix
from processes import ROOT

FAULTS = """| fault | tests | positive control |
|---|---|---|
| one | `a_test_of_this`, `test_it.py`; whole brokers | `some-defect`, `other-defect` |
| two | chaos; `what_begins…` | |
| three | `nobody_runs_this` | |
"""
LOG = """test a::b::a_test_of_this ... ok
test replication::tests::chaos::random ... ok
test c::what_begins_so ... FAILED
test c::another_test ... ok
test_one (test_it.It.test_one)
What it is about. ... ok
test_two (test_it.It.test_two) ... (a figure) ok
test_three (test_it.It.test_three) ... skipped 'no root'
| `some-defect` | `a_test_of_this` | that invariant | 2 s |
| `some-defect` | `random_runs` | lost-write | 4 seeds |
| `other-defect` | `random_runs` | **NOT FOUND** (lost-write) | 40 seeds |
304 seeds from 0 on at 5215fd0: 0 failed ; 3080 faults
"""


class FaultTable(unittest.TestCase):
    def test_every_test_that_a_row_names_exists(self):
        tree, rows = matrix.Tree(), matrix.rows()
        self.assertGreater(len(rows), 35)
        self.assertGreater(sum(len(row.names()) for row in rows), 120)
        self.assertEqual([f"{row.name}: {name}" for row in rows for name in row.names() if not tree.has(name)], [])
        # What does not exist is noticed, of every kind.
        for name in ("test_nothing.py", "test_nothing_at_all", "nothing_is_tested_here", "nothing_begins_with…", "log/nothing.rs", "metadata/nothing",
                     "no-such-defect", "NoSuchDefect", "tests/nothing"):
            self.assertFalse(tree.has(name), name)

    def test_every_file_of_tests_has_a_row_and_every_row_a_file(self):
        text = matrix.README.read_text()
        for folder in ("cluster", "deploy"):
            there = {path.name for path in (ROOT / "tests" / folder).glob("test_*.py")}
            told = set(re.findall(r"^\| `(test_\w+\.py)` \|", text, re.M))
            self.assertEqual(there - told, set(), folder)
        everywhere = {path.name for folder in ("cluster", "deploy") for path in (ROOT / "tests" / folder).glob("test_*.py")}
        self.assertEqual(told - everywhere, set())

    def test_a_log_fills_the_last_column(self):
        log = matrix.Log(LOG)
        text, changed = matrix.filled(FAULTS, log, "2026-11-22")
        self.assertEqual(changed, 2)
        self.assertEqual([row.cells[3:] for row in matrix.rows(text)], [
            ["**FAILED** 2026-11-22: 3 tests; 1 skipped; 304 seeds; `some-defect` after 2 s and after 4 seeds; `other-defect` **NOT FOUND**"],
            ["**FAILED** `what_begins_so` 2026-11-22: 1 test"], [""]])
        # Again with the same log nothing changes; with one that says nothing of a row, the row keeps what it has.
        self.assertEqual(matrix.filled(text, log, "2026-11-22"), (text, 0))
        self.assertEqual(matrix.filled(text, matrix.Log(""), "2026-11-23"), (text, 0))
        later = LOG.replace("FAILED", "ok").replace("**NOT FOUND** (lost-write)", "lost-write")
        text, changed = matrix.filled(text, matrix.Log(later), "2026-11-23")
        self.assertEqual([row.cells[3] for row in matrix.rows(text)], [
            "passed 2026-11-23: 3 tests; 1 skipped; 304 seeds; `some-defect` after 2 s and after 4 seeds; `other-defect` after 40 seeds",
            "passed 2026-11-23: 2 tests", ""])
