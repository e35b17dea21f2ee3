"""The judge of histories finds each anomaly in made-up ones, and nothing in sound ones; the corrupting tool does what it says."""

import random
import tempfile
import unittest
from pathlib import Path

from damage import KINDS, damage
from judge import HELD_BACK, check, compare
from wire import record_batch

FINAL = {0: [(0, ("a", 0)), (1, ("a", 1))]}
WRITES = ["ok a 0 0 0 1.0 1.1", "ok a 1 0 1 2.0 2.1"]
READS = ["read 0 0 a 0 1.2", "read 0 1 a 1 2.2"]

# Two transactions of t: the first is committed, the second aborted, a third undecided; control records lie between.
BEGUN = ["begin t 0 1.0", *(f"ok t {n} 0 {n} 1.1 1.2" for n in range(4)), "deciding t 0 1.3", "committed t 0 1.5",
         "begin t 1 2.0", *(f"ok t {n} 0 {n + 1} 2.1 2.2" for n in range(4, 8)), "aborted t 1 2.5",
         "begin t 2 3.0", "deciding t 2 3.1", "undecided t 2 3.5"]
COMMITTED = {0: [(n, ("t", n)) for n in range(4)]}
SEEN = [f"read 0 {n} t {n} 1.4" for n in range(4)]

# The same transactions read partition 1, where u writes, and commit what they have read to: 3, 4 and, undecided, 5.
SOURCE = {1: [(n, ("u", n)) for n in range(5)]}
WITHIN = [*(f"saw t 0 1 {n} u {n}" for n in range(3)), "sends t 0 1 3", "saw t 1 1 3 u 3", "sends t 1 1 4", "saw t 2 1 3 u 3", "saw t 2 1 4 u 4",
          "sends t 2 1 5"]
STOOD = ["stood t any 1 -1001 -1 1.0 1.1", "stood t stable 1 -1001 -1 1.4 1.45", "stood t any 1 3 0 1.4 1.6", "stood t stable 1 3 0 2.0 4.0"]
ENDED = "ended t 1 3 0"
# Of the third one all or nothing is there.
THIRD = {0: COMMITTED[0] + [(n + 2, ("t", n)) for n in range(8, 12)]}


def mark(high, stable, start=0, epoch=1, moment=1.0):
    return f"mark 0 {epoch} {high} {stable} {start} {moment}"


class Judge(unittest.TestCase):
    def found(self, name, clients, final, **more):
        anomalies = check(clients, final, **more)[0]
        self.assertTrue(any(anomaly.startswith(f"{name}: ") for anomaly in anomalies), f"{name}: {anomalies}")

    def sound(self, clients, final, **more):
        self.assertEqual(check(clients, final, **more)[0], [])

    def test_a_sound_history_has_no_anomaly(self):
        self.sound([WRITES, READS], FINAL)
        self.sound([[*WRITES, "ok a 1 0 None 2.0 2.1"]], FINAL)
        self.sound([BEGUN, SEEN], COMMITTED)
        # Of an undecided transaction all or nothing is there.
        self.sound([BEGUN, SEEN], {0: COMMITTED[0] + [(n + 2, ("t", n)) for n in range(8, 12)]})
        self.sound([[mark(5, 3), mark(5, 5), mark(6, 5), mark(4, 4, epoch=2)]], {})
        self.sound([["commit 0 1", "group 0 1", "commit 0 2", "group 0 3"]], {})
        self.sound([WRITES, READS], {0: FINAL[0][1:]}, deleted={0: 1})

    def test_each_anomaly_of_plain_histories_is_found_by_its_name(self):
        for name, writes, reads, final in [
            ("inconsistent-offsets", ["ok b 0 0 1 1.0 1.1"], READS, FINAL),
            ("inconsistent-offsets", [], ["read 0 1 b 1 3.0"], FINAL),
            ("duplicate", [], [], {0: [(0, ("a", 0)), (1, ("a", 0))]}),
            ("nonmonotonic-send", [], [], {0: [(0, ("a", 1)), (1, ("a", 0))]}),
            ("unseen", ["ok a 2 0 2 3.0 3.1"], [], FINAL),
            ("unseen", ["ok a 2 0 None 3.0 3.1"], [], FINAL),
            ("lost-write", ["ok a 2 0 1 3.0 3.1"], [], FINAL),
            ("acknowledged-back", ["ok a 1 0 1 1.0 1.1", "ok a 0 0 0 2.0 2.1"], [], FINAL),
            ("poll-skip", [], ["read 0 1 a 1 2.2"], FINAL),
            ("nonmonotonic-poll", [], [*READS, "read 0 1 a 1 2.3"], FINAL),
            ("nonmonotonic-poll", [], [], {0: [FINAL[0][1], FINAL[0][0]]}),
            ("vanished", [], [*READS, "read 0 2 a 2 2.3"], FINAL),
            ("gone", [], ["gone 1"], FINAL),
            ("wrong-bytes", [], ["bad -199"], FINAL),
            ("hole", [], [], {0: [(0, ("a", 0)), (2, ("a", 1))]}),
        ]:
            with self.subTest(name, writes=writes, reads=reads):
                self.found(name, [writes, reads], final)

    def test_a_client_whose_call_does_not_come_back_is_excused_only_while_its_group_answers_others(self):
        hangs = [*BEGUN, *WITHIN, ENDED, "hangs t send_offsets 2.5 6.5"]
        answered = lambda asked, told: [*STOOD, f"stood t any 1 3 0 {asked} {told}"]
        final = {**COMMITTED, **SOURCE}
        self.sound([hangs, answered(3.0, 6.0)], final)
        # Before it, after it, another group, and its own answer.
        for clients in ([hangs, answered(2.4, 2.45)], [hangs, answered(6.0, 7.0)], [hangs, [*STOOD, "stood u any 1 3 0 3.0 6.0"]],
                        [[*hangs, "stood t any 1 3 0 3.0 6.0"], STOOD]):
            with self.subTest(clients):
                self.found("unanswered", clients, final)

    def test_a_record_that_its_producer_sent_under_two_epochs_is_no_duplicate_of_the_brokers(self):
        final = {0: [(0, ("a", 0)), (1, ("a", 1)), (2, ("a", 0)), (3, ("a", 1)), (4, ("a", 2))]}
        reads = [f"read 0 {offset} a {number} 3.0" for offset, (_, number) in final[0]]
        for second, resent_records in (((7, 1, 0), 2), ((7, 0, 0), None), ((8, 1, 0), None)):
            with self.subTest(second), tempfile.TemporaryDirectory() as folder:
                batches = [record_batch([(1, None, b"0"), (1, None, b"1")], producer=(7, 0, 0)),
                           record_batch([(1, None, b"0"), (1, None, b"1"), (1, None, b"2")], producer=second, base=2)]
                (Path(folder) / f"{0:020}.log").write_bytes(b"".join(batches))
                resent = []
                more = {"copies": lambda _: {"broker": Path(folder)}, "resent": resent}
                if resent_records:
                    self.sound([WRITES, reads], final, **more)
                    self.assertEqual(len(resent), resent_records)
                else:
                    self.found("duplicate", [WRITES, reads], final, **more)

    def test_each_anomaly_of_transactions_is_found_by_its_name(self):
        aborted = {0: COMMITTED[0] + [(n + 1, ("t", n)) for n in range(4, 8)]}
        self.found("aborted-read", [BEGUN], aborted)
        self.found("aborted-read", [BEGUN, [*SEEN, "read 0 5 t 4 2.3"]], COMMITTED)
        self.found("aborted-read", [BEGUN, ["begin u 0 2.3", "saw u 0 0 5 t 4"]], COMMITTED)
        self.found("torn", [BEGUN], {0: COMMITTED[0][:3]})
        self.found("torn", [BEGUN], {0: COMMITTED[0] + [(9, ("t", 8))]})
        self.found("lost-write", [BEGUN], {0: COMMITTED[0][1:]})
        self.found("unseen", [BEGUN], {0: []})
        self.found("precommitted-read", [BEGUN, [line.replace(" 1.4", " 1.25") for line in SEEN]], COMMITTED)
        self.found("write-read-cycle", [["begin t 0 1.0", "begin u 0 1.0", "saw t 0 0 9 u 0", "saw u 0 0 3 t 0"]], {})
        self.sound([["begin t 0 1.0", "begin u 0 1.0", "begin u 1 2.0", "saw u 0 0 3 t 0", "saw u 1 0 3 t 0", "saw u 1 0 9 u 0"]], {})

    def test_what_transactions_commit_of_a_group_is_there_with_their_records(self):
        self.sound([[*BEGUN, *WITHIN, ENDED], STOOD], {**COMMITTED, **SOURCE})
        self.sound([[*BEGUN, *WITHIN, "ended t 1 5 2"], [*STOOD, "stood t any 1 5 2 3.2 3.3"]], {**THIRD, **SOURCE})

    def test_each_anomaly_of_offsets_in_transactions_is_found_by_its_name(self):
        for name, within, told, final in [
            # Where the group stands is what none of the transactions has sent, or one that was aborted.
            ("offset-unsent", WITHIN, "stood t any 1 2 0 2.0 2.1", COMMITTED),
            ("aborted-offset", WITHIN, "stood t any 1 4 1 4.0 4.1", COMMITTED),
            ("aborted-offset", WITHIN, "ended t 1 5 2", COMMITTED),
            # It was there before anybody asked to commit it; it goes back; who asked after it was committed does not get it.
            ("precommitted-offset", WITHIN, "stood t any 1 3 0 1.1 1.2", COMMITTED),
            ("transaction-offset-back", WITHIN, "stood t any 1 -1001 -1 4.0 4.1", COMMITTED),
            ("offset-lost", WITHIN, "stood t stable 1 -1001 -1 1.6 1.7", COMMITTED),
            # The records of the third one are there, so its offsets must be.
            ("offset-lost", WITHIN, ENDED, THIRD),
            ("processed-twice", [*WITHIN, "saw t 2 1 2 u 2"], "ended t 1 5 2", THIRD),
            ("unprocessed", [line for line in WITHIN if line != "saw t 2 1 3 u 3"], "ended t 1 5 2", THIRD),
        ]:
            with self.subTest(name, told=told):
                self.found(name, [[*BEGUN, *within], [*STOOD, told]], {**final, **SOURCE})

    def test_each_anomaly_of_marks_groups_and_deletions_is_found_by_its_name(self):
        self.found("high-watermark-back", [[mark(5, 4), mark(4, 4)]], {})
        self.found("last-stable-back", [[mark(5, 4), mark(5, 3)]], {})
        self.found("log-start-back", [[mark(5, 4, 2), mark(5, 4, 1)]], {})
        self.found("marks-in-disorder", [[mark(5, 6)]], {})
        self.found("last-stable-stuck", [[mark(5, 4), mark(6, 4, moment=2 + HELD_BACK)]], {})
        self.sound([[mark(5, 4), mark(6, 5, moment=2 + HELD_BACK)]], {})
        self.sound([[mark(5, 5), mark(5, 5, moment=2 + HELD_BACK), mark(6, 5, moment=3 + HELD_BACK)]], {})
        self.found("group-offset-back", [["commit 0 2", "group 0 1"]], {})
        self.found("group-offset-back", [["group 0 2", "group 0 1"]], {})
        self.found("deleted-back", [], FINAL, deleted={0: 1})


class Copies(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def copy(self, name, values, bases=None, segment=0):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        batches = [record_batch([(1, None, v)], base=b) for b, v in zip(bases or range(len(values)), values)]
        (folder / f"{segment:020}.log").write_bytes(b"".join(batches))
        return folder

    def compare(self, *names):
        return compare({name: self.folder / name for name in names})

    def test_equal_copies_are_equal_also_where_one_begins_later(self):
        self.copy("one", [b"a", b"b", b"c"])
        self.copy("two", [b"b", b"c"], bases=[1, 2], segment=1)
        self.assertEqual(self.compare("one", "two"), ([], 2, 0))

    def test_copies_that_differ_and_holes_are_found(self):
        self.copy("one", [b"a", b"b", b"c"])
        self.copy("two", [b"a", b"x", b"c"])
        self.copy("three", [b"a", b"c"], bases=[0, 2])
        self.assertIn("replicas-differ: at 1, one and two", self.compare("one", "two")[0])
        self.assertIn("hole: 2 follows 0 in three", self.compare("three")[0])

    def test_damage_that_a_checksum_shows_is_no_difference(self):
        self.copy("one", [b"a", b"b", b"c"])
        two = next(self.copy("two", [b"a", b"b", b"c"]).glob("*.log"))
        data = bytearray(two.read_bytes())
        data[-1] ^= 4
        two.write_bytes(data)
        self.assertEqual(self.compare("one", "two"), ([], 3, 1))
        self.assertEqual(self.compare("two", "one"), ([], 3, 1))

    def test_the_corrupting_tool_changes_what_it_names(self):
        chance = random.Random(1)
        for kind, (which, _, _) in KINDS.items():
            data = self.folder / kind
            partition = data / "t-0"
            partition.mkdir(parents=True)
            for segment in (0, 1):
                (partition / f"{segment:020}.log").write_bytes(record_batch([(1, None, b"x")], base=segment))
            for name in (f"{0:020}.index", f"{0:020}.timeindex", f"{0:020}.txnindex", f"{1:020}.snapshot", "leader-epoch-checkpoint",
                         "../replication-offset-checkpoint", "../recovery-point-offset-checkpoint",
                         "../log-start-offset-checkpoint"):
                (partition / name).write_bytes(b"12345678")
            state = lambda: {f.relative_to(data): f.read_bytes() for f in data.rglob("*") if f.is_file()}
            before = state()
            said = damage(data, "t", chance, kind)
            after = state()
            changed = [str(f) for f in before if before[f] != after.get(f)]
            self.assertEqual(len(changed), 1, f"{kind}: {said}, {changed}")
            self.assertIn(Path(changed[0]).name, said)
        self.assertIsNone(damage(self.folder, "absent", chance, "flipped-bit"))


if __name__ == "__main__":
    unittest.main()
