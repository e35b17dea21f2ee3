"""The network between brokers breaks: whole and one-way cuts, a ring with one link less, a leader that the metadata quorum does not
hear; links that lose, delay, reorder and double packets; all in network namespaces, under producers, transactions, readers and a group whose history is judged afterwards."""

import os
import random
import signal
import time
import unittest
from functools import partial

from case import ClusterCase, slow
from history import Clients, wait_until_all_go_on
from judge import around, check
from processes import wait_until
from spaces import Network, Servers, Wires, namespaces_work

PARTITIONS = 3


class Partitions(ClusterCase):
    @slow
    @unittest.skipUnless(namespaces_work(), "this machine has no network namespaces")
    def test_cuts_pauses_and_kills_leave_no_anomaly_in_the_history(self):
        self.run_with(Network, 30, self.disturb)

    @slow
    @unittest.skipUnless(namespaces_work(), "this machine has no network namespaces")
    def test_links_that_lose_delay_reorder_and_double_leave_no_anomaly_in_the_history(self):
        self.run_with(Wires, 25, self.worsen)

    def run_with(self, network, seconds, disturb):
        seconds = int(os.environ.get("TESTS_SECONDS", seconds))
        seed = int(os.environ.get("TESTS_SEED", time.time_ns() % 2**32))
        print(f"(seed {seed}) ", end="", flush=True)
        chance = random.Random(seed)
        self.network = network(self)
        self.servers = Servers(self.processes, self.network, {"replica.lag.time.max.ms": 4000, "transaction.state.log.num.partitions": 3,
                                                              "offsets.topic.num.partitions": 3})
        histories = self.clients()
        all_of = lambda: {(clients, name): clients.count(name) for clients in histories for name in clients.verbs}
        wait_until("everybody has begun", lambda: all(count > 20 for count in all_of().values()), 90)
        end, faults = time.monotonic() + seconds, {}
        while time.monotonic() < end:
            kind = disturb(chance)
            faults[kind] = faults.get(kind, 0) + 1
            time.sleep(1 + 3 * chance.random())
            self.mend()
            if chance.random() < 0.5:
                time.sleep(2 * chance.random())
        wait_until_all_go_on(all_of())
        anomalies, operations, resent = [], 0, []
        for clients in histories:
            final = clients.finish()
            found, looked_at = check(clients.all_lines(), final, copies=partial(self.servers.copies, clients.topic), resent=resent)
            anomalies += found
            operations += looked_at
        print(f"({sum(faults.values())} faults {faults}; {operations} operations; {len(resent)} records sent under two epochs, "
              f"{sum(clients.hangs() for clients in histories)} calls that did not come back) ", end="", flush=True)
        self.assertEqual(anomalies[:10], [], around(anomalies, self.servers.copies))
        self.assertGreater(sum(clients.offsets_taken() for clients in histories), 0, "no transaction has committed offsets")

    def clients(self):
        place, histories = self.network.inside("hub"), []
        for topic, isolation in (("t", "read_uncommitted"), ("x", "read_committed")):
            self.servers.topic_create(topic, PARTITIONS)
            histories.append(Clients(self.processes, self.servers.bootstrap, topic, PARTITIONS, place, isolation))
        plain, transactions = histories
        # One request at a time keeps librdkafka from sending what was written under a new epoch.
        plain.start("writer-a", "write", "a").start("writer-b", "write", "b", 0, 1).start("reader-1", "read").start("reader-2", "read")
        plain.start("watcher", "watch").start("group", "commit", "g")
        transactions.start("writer-c", "transact", "c").start("writer-d", "transact", "d").start("reader", "read", "read_committed")
        transactions.start("watcher", "watch").start("groups", "offsets", "c", "d")
        return histories

    def worsen(self, chance):
        one, other, third = chance.sample([1, 2, 3], 3)
        kind = chance.choice(["lossy", "slow", "reordering", "doubling", "all-at-once", "flapping", "lossy-one-way"])
        rules = {"lossy": {"loss": 0.1}, "slow": {"delay": 150}, "reordering": {"jitter": 60}, "doubling": {"twice": 0.3},
                 "all-at-once": {"loss": 0.05, "delay": 20, "jitter": 40, "twice": 0.1}}
        if kind == "flapping":
            # Up and down before anybody's session is over, and after.
            for _ in range(chance.randint(3, 6)):
                for peer in (other, third):
                    self.network.cut(one, peer)
                    self.network.cut(peer, one)
                time.sleep(0.1 + 1.2 * chance.random())
                self.network.heal()
                time.sleep(0.1 + 0.4 * chance.random())
        elif kind == "lossy-one-way":
            self.network.link(one, other, loss=0.4)
        else:
            self.network.link(*chance.choice([("*", "*"), (one, "*"), ("*", one)]), **rules[kind])
        return kind

    def disturb(self, chance):
        one, other, third = chance.sample([1, 2, 3], 3)
        kind = chance.choice(["isolated", "one-way", "ring", "deaf", "mute", "paused", "killed"])
        if kind == "isolated":
            for peer in (other, third):
                self.network.cut(one, peer)
                self.network.cut(peer, one)
        elif kind == "one-way":
            self.network.cut(one, other)
        elif kind == "ring":
            # Each two still reach each other by the third: a majority on both sides.
            self.network.cut(one, other)
            self.network.cut(other, one)
        elif kind == "deaf":
            self.network.cut(other, one)
            self.network.cut(third, one)
        elif kind == "mute":
            self.network.cut(one, other)
            self.network.cut(one, third)
        elif kind == "paused":
            self.paused = self.servers.pid(one)
            os.kill(self.paused, signal.SIGSTOP)
        else:
            self.servers.kill(one)
            self.killed = one
        return kind

    paused = killed = None

    def mend(self):
        self.network.heal()
        if self.paused:
            os.kill(self.paused, signal.SIGCONT)
            self.paused = None
        if self.killed:
            self.servers.start(self.killed)
            self.killed = None
