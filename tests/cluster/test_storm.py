"""A hundred members that join and leave all the time, of each protocol, while one broker after the other is killed: the group
makes progress, no partition is two members' at a time, no commit of a former generation is taken.

`TESTS_SECONDS=300` makes each storm last five minutes."""

import os
import random
import threading
import time

from case import ClusterCase, slow
from dev import Admin
from members import FENCED, ILLEGAL_GENERATION, REBALANCE, STALE, UNKNOWN_MEMBER, ClassicMember, ConsumerMember, Ledger, Out
from processes import wait_until
from test_consumer_groups import QUICK

SECONDS = int(os.environ.get("TESTS_SECONDS", 15))
MEMBERS = int(os.environ.get("TESTS_MEMBERS", 100 if SECONDS > 30 else 40))
PARTITIONS = 60


class Storm(ClusterCase):
    def setUp(self):
        super().setUp()
        self.errors, self.stop, self.done = [], threading.Event(), 0
        self.ledger, self.commits, self.lock = Ledger(), {}, threading.Lock()
        self.seed = int(os.environ.get("TESTS_SEED", time.time()))

    def _run(self, work, kill):
        """Runs the members, and kills brokers among it; returns when the time is over."""
        def guarded(number):
            try:
                work(number, random.Random(f"{self.seed}-{number}"))
            except Exception as error:  # noqa: BLE001 — shown by the test
                self.errors.append(f"member {number}: {error!r}")
                self.stop.set()

        threads = [threading.Thread(target=guarded, args=(i,), daemon=True) for i in range(MEMBERS)]
        for thread in threads:
            thread.start()
        began, kills = time.monotonic(), 0
        # Until there was time for two kills and something was done in it; a slow machine may take longer.
        while time.monotonic() < began + SECONDS or (min(kills, self.done) < 2 and time.monotonic() < began + SECONDS + 120):
            if self.stop.wait(min(SECONDS / 3, 20)):
                break
            kill()
            kills += 1
        self.assertGreater(self.done, 1, f"no commit was taken (seed {self.seed}, {kills} kills): {self.errors}")
        self.stop.set()
        for thread in threads:
            thread.join(90)
        self.assertEqual([t.name for t in threads if t.is_alive()], [], "all members come to an end")
        self.assertEqual(self.errors, [], f"seed {self.seed}")
        self.assertEqual(self.ledger.violations, [], f"seed {self.seed}")

    def _taken(self, place, generation, before):
        """A commit was taken; `before` is the highest generation whose commit had been taken when this one was sent."""
        with self.lock:
            self.done += 1
            if generation < before:
                self.ledger.violations.append(f"{place}: a commit of generation {generation} was taken after one of {before}")
            self.commits[place] = max(self.commits.get(place, -1), generation)

    def _cluster(self, topic):
        dev = self.dev(3, settings=dict(QUICK, **{"group.initial.rebalance.delay.ms": 100}))
        dev.topic_create(topic, partitions=PARTITIONS)
        victims = random.Random(self.seed)

        def kill():
            broker = victims.choice(sorted(dev.brokers()))
            dev.kill(broker)
            dev.restart(broker)
            Admin(dev.bootstrap).wait_for_isr("__consumer_offsets", 50, 3)

        return dev, kill

    @slow
    def test_a_storm_of_members_of_the_consumer_protocol(self):
        dev, kill = self._cluster("t")
        lives = iter(range(10**9))

        def work(number, dice):
            while not self.stop.is_set():
                member = ConsumerMember(dev.bootstrap, "g", f"m{number}-{next(lives)}", ["t"], rebalance_ms=30_000)
                places = lambda owned: {(str(t), p) for t, parts in owned.items() for p in parts}
                end = time.monotonic() + dice.uniform(0.5, SECONDS / 2)
                try:
                    while time.monotonic() < end and not self.stop.is_set():
                        told = member.beat()
                        if told is not None:
                            before, after = places(member.owned), places(told)
                            self.ledger.take(member.id, before, before & after)
                            member.take(told)
                            if after - before:
                                self.ledger.take(member.id, before & after, after)
                        for topic, parts in list(member.owned.items())[:1]:
                            partition = dice.choice(sorted(parts))
                            error = member.commit(topic, partition, member.epoch)
                            if not error:
                                self._taken((str(topic), partition), 0, 0)
                            elif error not in (STALE, UNKNOWN_MEMBER, 69):
                                raise AssertionError(f"a commit got {error}")
                        time.sleep(member.interval * dice.uniform(0.3, 1))
                    if self.ledger.is_suspected(member.id):
                        member.beat()
                except Out as out:
                    if out.code not in (FENCED, UNKNOWN_MEMBER, 69):
                        raise
                    self.ledger.drop(member.id, True)
                    continue
                self.ledger.drop(member.id, False)
                if dice.random() < 0.8 and member.epoch:
                    try:
                        member.leave()
                    except Out:
                        pass
                member.coordinator.close()

        self._run(work, kill)
        last = ConsumerMember(dev.bootstrap, "g", "last", ["t"])

        def has_all():
            try:
                told = last.beat()
            except Out:
                last.epoch = 0
                return False
            if told is not None:
                last.take(told)
            time.sleep(0.2)
            return sum(map(len, last.owned.values())) == PARTITIONS

        wait_until("who is left has all", has_all, 90, 0)
        print(f"(storm: {MEMBERS} members of the consumer protocol, {next(lives)} lives, {self.done} commits, epoch {last.epoch})", flush=True)

    @slow
    def test_a_storm_of_members_of_the_classic_protocol(self):
        dev, kill = self._cluster("t")

        def work(number, dice):
            while not self.stop.is_set():
                member = ClassicMember(dev.bootstrap, "g", PARTITIONS, session_ms=6000, rebalance_ms=5000)
                end = time.monotonic() + dice.uniform(0.5, SECONDS / 2)
                member.join()
                while time.monotonic() < end and not self.stop.is_set():
                    error = member.heartbeat()
                    if error in (REBALANCE, UNKNOWN_MEMBER, ILLEGAL_GENERATION):
                        if error == UNKNOWN_MEMBER:
                            member.id = ""
                        member.join()
                        continue
                    if error:
                        raise AssertionError(f"a heartbeat got {error}")
                    for partition in sorted(member.owned)[:1]:
                        before = self.commits.get(partition, -1)
                        error = member.commit("t", partition, member.generation)
                        if not error:
                            self._taken(partition, member.generation, before)
                        elif error not in (REBALANCE, UNKNOWN_MEMBER, ILLEGAL_GENERATION):
                            raise AssertionError(f"a commit got {error}")
                    time.sleep(dice.uniform(0.05, 0.3))
                if dice.random() < 0.8:
                    member.leave()
                member.coordinator.close()

        self._run(work, kill)
        last = ClassicMember(dev.bootstrap, "g", PARTITIONS, session_ms=6000)
        last.join()
        wait_until("who is left has all", lambda: len(last.owned) == PARTITIONS or last.heartbeat() and last.join(), 90, 0.3)
        print(f"(storm: {MEMBERS} members of the classic protocol, {self.done} commits, generation {last.generation})", flush=True)
