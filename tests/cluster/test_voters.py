"""Voters of the metadata quorum are taken away and added while clients write and brokers are killed, in the middle of the change and between
changes; the leader of the quorum loses its own vote too. The history of all clients is judged, and at the end all vote and metadata changes.

Of four brokers at least three vote at any time, so one that is killed leaves a majority. `TESTS_TURNS` says how often a vote goes and comes
back, `TESTS_SEED` repeats the order.
"""

import os
import random
import time
from functools import partial

from case import ClusterCase, slow
from dev import Admin, esker
from history import Clients, wait_until_all_go_on
from judge import around, check, compare
from messages import ask
from processes import wait_until
from test_changes import Background
from wire import Closed, Connection

BROKERS = {1, 2, 3, 4}
PARTITIONS = 3
DUPLICATE_VOTER, VOTER_NOT_FOUND = 126, 127


class Voters(ClusterCase):
    @slow
    def test_votes_come_and_go_while_brokers_are_killed_and_clients_write(self):
        turns, seed = int(os.environ.get("TESTS_TURNS", 2)), int(os.environ.get("TESTS_SEED", time.time_ns() % 2**32))
        print(f"(seed {seed}) ", end="", flush=True)
        self.chance, self.said = random.Random(seed), []
        self.cluster = self.dev(4, settings={"min.insync.replicas": 2, "replica.lag.time.max.ms": 4000, "offsets.topic.num.partitions": PARTITIONS})
        self.admin = Admin(self.cluster.bootstrap)
        self.change("add-voter", 4)
        self.vote(BROKERS)
        for topic in ("t", "x"):
            self.cluster.topic_create(topic, PARTITIONS)
        plain = Clients(self.processes, self.cluster.bootstrap, "t", PARTITIONS)
        transactions = Clients(self.processes, self.cluster.bootstrap, "x", PARTITIONS, isolation="read_committed")
        # One request at a time keeps librdkafka from sending what was written under a new epoch.
        plain.start("writer-a", "write", "a", 300).start("writer-b", "write", "b", 300, 1).start("reader", "read").start("watcher", "watch")
        transactions.start("writer-c", "transact", "c").start("reader", "read", "read_committed").start("watcher", "watch")
        transactions.start("groups", "offsets", "c")
        everybody = lambda: {(clients, name): clients.count(name) for clients in (plain, transactions) for name in clients.verbs}
        wait_until("everybody has begun", lambda: all(count > 20 for count in everybody().values()), 90)
        try:
            for turn in range(turns):
                # First the quorum's own leader, which must give its place up too.
                leaves = self.leader() if turn % 2 == 0 else self.chance.choice(sorted(BROKERS))
                self.under_a_kill("remove-voter", leaves, self.chance.choice(sorted(BROKERS - {leaves})), BROKERS - {leaves})
                self.assertNotEqual(self.leader(), leaves)
                self.makes_topics(f"without-{turn}")
                self.under_a_kill("add-voter", leaves, self.chance.choice(sorted(BROKERS - {leaves})), BROKERS)
            wait_until_all_go_on(everybody())
            self.judge(plain, transactions)
            self.new_votes_count(leaves)
        except AssertionError as failure:
            raise AssertionError(f"{failure}; after {self.said}") from None

    def judge(self, *histories):
        anomalies, operations, resent, batches = [], 0, [], 0
        for clients in histories:
            final = clients.finish(120)
            found, looked_at = check(clients.all_lines(), final, copies=partial(self.copies, clients.topic), resent=resent)
            anomalies, operations = anomalies + found, operations + looked_at
        for topic in ("t", "x"):
            self.admin.wait_for_isr(topic, PARTITIONS, 3, 120)
            for partition in range(PARTITIONS):
                found, compared, damaged = compare(self.copies(topic, partition))
                anomalies += [f"{anomaly} of {topic}-{partition}" for anomaly in found]
                batches += compared
                self.assertEqual(damaged, 0)
        print(f"({'; '.join(self.said)}: {operations} operations, {batches} batches compared, {len(resent)} records sent under two epochs, "
              f"{sum(clients.hangs() for clients in histories)} calls that did not come back) ", end="", flush=True)
        self.assertEqual(anomalies[:10], [], around(anomalies, self.copies))
        self.assertGreater(batches, 100)

    def copies(self, topic, partition):
        folders = {f"broker {b}": self.cluster.data / f"broker-{b}/data/{topic}-{partition}" for b in BROKERS}
        return {name: folder for name, folder in folders.items() if folder.exists()}

    def quorum(self):
        return wait_until("the quorum answers", self.cluster.quorum, 60, 0.1)

    def leader(self):
        return wait_until("somebody leads the quorum", lambda: self.quorum()["LeaderId"] in BROKERS and self.quorum()["LeaderId"], 60, 0.1)

    def vote(self, wanted):
        """Waits until exactly these vote, with about all of the log."""
        def so():
            quorum = self.quorum()
            voters = quorum["CurrentVoters"]
            return sorted(v["ReplicaId"] for v in voters) == sorted(wanted) and all(v["LogEndOffset"] >= quorum["HighWatermark"] - 20 for v in voters)

        wait_until(f"{sorted(wanted)} vote", so, 90, 0.2)

    def change(self, how, broker):
        """Asks until it is done: while brokers die it may be refused, or done without an answer."""
        api, asked, done = {"add-voter": ("AddRaftVoter", {"VoterId": broker, "TimeoutMs": 5000}, DUPLICATE_VOTER),
                            "remove-voter": ("RemoveRaftVoter", {"VoterId": broker}, VOTER_NOT_FOUND)}[how]
        codes = []

        def once():
            for _, address in self.cluster.brokers().values():
                try:
                    with Connection(address, 20) as connection:
                        codes.append(ask(connection, api, 0, asked)["ErrorCode"])
                except (OSError, Closed):
                    continue
                if codes[-1] in (0, done):
                    return True
            return False

        try:
            wait_until(f"{how} {broker}", once, 90, 0.2)
        except AssertionError as late:
            raise AssertionError(f"{late}: {codes}") from None
        return codes

    def under_a_kill(self, how, broker, victim, wanted):
        """The change is asked for, and a broker is killed before it, or within a moment after; it comes back when the change is done."""
        before, pause = self.chance.random() < 0.5, 0.3 * self.chance.random()
        self.said.append(f"{how} {broker}{' (leads)' if broker == self.leader() else ''}, {victim}{' (leads)' if victim == self.leader() else ''} killed "
                         f"{'before' if before else f'{pause:.2f} s after'}")
        if before:
            self.cluster.kill(victim)
        changing = Background(lambda: self.said.append(f"answers {self.change(how, broker)}"))
        if not before:
            time.sleep(pause)
            self.cluster.kill(victim)
        changing.join(120)
        self.cluster.restart(victim)
        self.vote(wanted)
        for topic in ("t", "x"):
            self.admin.wait_for_isr(topic, PARTITIONS, 3, 120)

    def makes_topics(self, name):
        """The metadata changes, and every broker knows it."""
        wait_until(f"{name} is made", lambda: esker("topic", "create", name, "--partitions", 1, "--replication-factor", 3, "--bootstrap-server",
                                                    self.cluster.bootstrap, check=False).returncode == 0, 60, 0.5)
        self.admin.wait_for_isr(name, 1, 3)

    def new_votes_count(self, last):
        """The control of what the quorum says of itself: two of four are no majority, as they would be without the vote that came last; with it there is one."""
        other = self.chance.choice(sorted(BROKERS - {last}))
        for broker in (last, other):
            self.cluster.kill(broker)
        asked = {"Topics": [{"Name": "in-vain", "NumPartitions": 1, "ReplicationFactor": 1}], "TimeoutMs": 1000}
        with Connection(self.cluster.brokers()[min(BROKERS - {last, other})][1], 60) as connection:
            refused = ask(connection, "CreateTopics", 7, asked)
        self.assertNotEqual(refused["Topics"][0]["ErrorCode"], 0, "two of four have decided something")
        self.cluster.restart(last)

        def is_fenced():
            try:
                return other not in self.admin.metadata().brokers
            except Exception:  # those that it asks may be away
                return False

        # Until a new leader has found that out, a topic may be placed there.
        wait_until(f"{other} is known to be dead", is_fenced, 60, 0.3)
        self.makes_topics("with-three")
