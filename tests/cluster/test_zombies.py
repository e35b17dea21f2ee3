"""A leader is stopped (SIGSTOP) until its session is over and another one leads, and goes on as a zombie: what was sent to it meanwhile is
acknowledged by nobody and read by nobody, what it still lets read is what the others have, and the history of all clients is judged.

`TESTS_PAUSE` says for how long (`tests/zombies`: a minute), `TESTS_TURNS` how often; every second time the leader leads the metadata quorum too.
"""

import os
import signal
import time
from functools import partial
from pathlib import Path

from case import ClusterCase, slow
from dev import Admin
from history import Clients, wait_until_all_go_on
from judge import around, check, compare
from messages import ask, read_answer, send
from processes import wait_until
from wire import Closed, Connection, batches, record_batch

PARTITIONS = 3
OUTDATED = {3, 5, 6, 7, 74, 75, 76}  # what sends a client to another leader, or to a later try
BURST = 20  # connections with a record each


class Zombies(ClusterCase):
    @slow
    def test_a_leader_that_was_stopped_acknowledges_nothing_when_it_goes_on(self):
        self.pause, turns = float(os.environ.get("TESTS_PAUSE", 4)), int(os.environ.get("TESTS_TURNS", 1))
        self.cluster = self.dev(3, settings={"min.insync.replicas": 2, "replica.lag.time.max.ms": 4000, "offsets.topic.num.partitions": PARTITIONS,
                                             "transaction.state.log.num.partitions": PARTITIONS})
        self.admin, self.numbers, self.turns, self.cut_off = Admin(self.cluster.bootstrap), 0, [], {}
        plain, transactions = self.clients()
        everybody = lambda: {(clients, name): clients.count(name) for clients in (plain, transactions) for name in clients.verbs}
        wait_until("everybody has begun", lambda: all(count > 20 for count in everybody().values()), 90)
        self.whole()
        acknowledged, refused = self.is_answered_after_a_short_stop(), set()
        for turn in range(turns):
            refused |= self.turn(quorum=turn % 2 == 0)
            wait_until_all_go_on(everybody())
            self.whole()
        anomalies, operations, resent, compared = [], 0, [], 0
        finals = {}
        for clients in (plain, transactions):
            finals[clients.topic] = final = clients.finish(120)
            found, looked_at = check(clients.all_lines(), final, copies=partial(self.copies, clients.topic), resent=resent)
            anomalies, operations = anomalies + found, operations + looked_at
        self.whole()
        for topic in ("t", "x"):
            for partition in range(PARTITIONS):
                found, batches, damaged = compare(self.copies(topic, partition))
                anomalies += [f"{anomaly} of {topic}-{partition}" for anomaly in found]
                compared += batches
                self.assertEqual(damaged, 0)
        told = f"({'; '.join(self.turns)}: {operations} operations, {compared} batches compared, {len(resent)} records sent under two epochs)"
        print(told, end=" ", flush=True)
        self.assertEqual(anomalies[:10], [], f"{told}\n{around(anomalies, self.copies)}")
        self.assertGreater(compared, 100)
        there = {int(name.split("-")[1]) for records in finals["t"].values() for _, (name, _) in records if name.startswith("zombie-")}
        acknowledged |= {number for number, code in self.cut_off.items() if code == 0}
        self.assertEqual(acknowledged - there, set(), "acknowledged and not there")
        # Librdkafka gives the numbers of what was not written to other batches.
        self.assertEqual({number for number, code in self.cut_off.items() if code == 6} & there, set(), "'not the leader', and written all the same")
        self.assertEqual(refused & there, set(), "sent to a zombie, and there all the same")
        self.assertEqual(len(refused), turns * BURST)

    def clients(self):
        for topic in ("t", "x"):
            self.cluster.topic_create(topic, PARTITIONS)
        plain = Clients(self.processes, self.cluster.bootstrap, "t", PARTITIONS)
        transactions = Clients(self.processes, self.cluster.bootstrap, "x", PARTITIONS, isolation="read_committed")
        # One request at a time keeps librdkafka from sending what was written under a new epoch.
        plain.start("writer-a", "write", "a", 300).start("writer-b", "write", "b", 300, 1).start("reader", "read").start("watcher", "watch")
        plain.start("group", "commit", "g")
        transactions.start("writer-c", "transact", "c").start("reader", "read", "read_committed").start("watcher", "watch")
        return plain, transactions.start("groups", "offsets", "c")

    def whole(self):
        for topic in ("t", "x", "__consumer_offsets", "__transaction_state"):
            self.admin.wait_for_isr(topic, PARTITIONS, 3, 120)
        wait_until("all brokers vote", self.cluster.all_vote, 60, 0.3)

    def copies(self, topic, partition):
        return {f"broker {b}": self.cluster.data / f"broker-{b}/data/{topic}-{partition}" for b in (1, 2, 3)}

    def found(self, partition, broker):
        """(leader, leader epoch) of a partition, as this broker tells; (-1, -1) if it does not."""
        try:
            with Connection(self.cluster.brokers()[broker][1], 5) as connection:
                topic = ask(connection, "Metadata", 8, {"Topics": [{"Name": "t"}], "AllowAutoTopicCreation": False})["Topics"][0]
        except (OSError, Closed):
            return -1, -1
        return next(((p["LeaderId"], p["LeaderEpoch"]) for p in topic["Partitions"] if p["PartitionIndex"] == partition), (-1, -1))

    def stop(self, broker):
        self.cluster.signal(broker, signal.SIGSTOP)
        state = Path(f"/proc/{self.cluster.pid(broker)}/stat")
        wait_until("it is stopped", lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "T", 10, 0.01)

    def burst(self, connections, partition):
        """To a stopped leader: a record on each connection (so in any order), half of them for the leader alone to answer. Returns their numbers."""
        numbers = {}
        for at, connection in enumerate(connections):
            self.numbers += 1
            records = record_batch([(int(time.time() * 1000), None, f"zombie-{self.numbers} 0".encode())])
            send(connection, "Produce", 9, {"Acks": 1 if at % 2 else -1, "TimeoutMs": 10_000, "TopicData": [
                {"Name": "t", "PartitionData": [{"Index": partition, "Records": records}]}]})
            numbers[connection] = self.numbers
        return numbers

    def codes(self, numbers):
        """number → error code; None where the connection was ended."""
        codes = {}
        for connection, number in numbers.items():
            try:
                codes[number] = read_answer(connection, "Produce", 9)["Responses"][0]["PartitionResponses"][0]["ErrorCode"]
            except Closed:
                codes[number] = None
        return codes

    def opened(self, broker, count=BURST):
        found = [Connection(self.cluster.brokers()[broker][1], 60) for _ in range(count)]
        for connection in found:
            self.addCleanup(connection.socket.close)
        return found

    def is_answered_after_a_short_stop(self):
        """The control: the same records, sent to a leader that is stopped for a moment only, are acknowledged (their numbers), and must be there."""
        sent = {}
        for _ in range(10):
            leader = self.found(0, 1)[0]
            connections = self.opened(leader)
            self.stop(leader)
            numbers = self.burst(connections, 0)
            self.cluster.signal(leader, signal.SIGCONT)
            codes = self.codes(numbers)
            sent |= codes
            if set(codes.values()) == {0}:
                return {number for number, code in sent.items() if code == 0}
            self.whole()  # on a busy machine a moment may last as long as a session
        self.fail(f"a leader that was stopped for a moment has never acknowledged all: {sent}")

    def turn(self, quorum):
        """Stops a leader until its time is over, and looks at what it answers then. The numbers of what was sent to it."""
        controller = wait_until("somebody leads the quorum", lambda: (self.cluster.quorum() or {}).get("LeaderId", 0), 30)
        leaders = wait_until("all partitions are led", lambda: (found := self.admin.leaders("t")) and -1 not in found.values() and found, 30)
        # Whoever leads the quorum may lead no partition; then it is the other kind's turn.
        chosen = [partition for partition, leader in leaders.items() if (leader == controller) == quorum] or list(leaders)
        partition, zombie = chosen[0], leaders[chosen[0]]
        others = [broker for broker in (1, 2, 3) if broker != zombie]
        epoch = self.found(partition, zombie)[1]
        connections, (reader,), last = self.opened(zombie), self.opened(zombie, 1), self.opened(zombie)
        start = reader.list_offset("t", partition, -1)[2]
        cut_off = self.burst(last, partition)  # in the midst of these
        self.stop(zombie)
        begun = time.monotonic()
        try:
            leader = wait_until("another leads", lambda: next((leader for leader, now in (self.found(partition, b) for b in others)
                                                               if now > epoch and leader in others), None), 60, 0.1)
            numbers = self.burst(connections, partition)
            read = {"MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 1 << 20, "Topics": [{"Topic": "t", "Partitions": [
                {"Partition": partition, "FetchOffset": max(start - 20, 0), "PartitionMaxBytes": 1 << 20}]}]}
            send(reader, "Fetch", 11, read)
            time.sleep(max(0.0, begun + self.pause - time.monotonic()))
        finally:
            self.cluster.signal(zombie, signal.SIGCONT)
        codes, cut_off = self.codes(numbers), self.codes(cut_off)
        self.cut_off |= cut_off
        self.assertEqual([code for code in codes.values() if code is not None and code not in OUTDATED], [],
                         f"broker {zombie} was stopped while it led {partition} in epoch {epoch}; {leader} leads since")
        told = read_answer(reader, "Fetch", 11)["Responses"][0]["Partitions"][0]
        self.may_be_read(partition, epoch, leader, told, read)
        self.turns.append(f"broker {zombie}{' (led the quorum)' if zombie == controller else ''} stopped for {time.monotonic() - begun:.0f} s answers "
                          f"{len(codes)} records with {sorted(set(codes.values()), key=str)}, those just before with {sorted(set(cut_off.values()), key=str)}, a fetch with {told['ErrorCode']}")
        return set(codes)

    def may_be_read(self, partition, epoch, leader, told, read):
        """What a zombie has let a client read lies below the end of its epoch, and is what the next leader has there."""
        if told["ErrorCode"]:
            self.assertIn(told["ErrorCode"], OUTDATED)
            return
        with Connection(self.cluster.brokers()[leader][1], 30) as connection:
            asked = {"Topics": [{"Topic": "t", "Partitions": [{"Partition": partition, "LeaderEpoch": epoch}]}]}
            ended = ask(connection, "OffsetForLeaderEpoch", 3, asked)["Topics"][0]["Partitions"][0]
            same = ask(connection, "Fetch", 11, read)["Responses"][0]["Partitions"][0]
        self.assertEqual((ended["ErrorCode"], same["ErrorCode"]), (0, 0))
        self.assertLessEqual(told["HighWatermark"], ended["EndOffset"])
        records = told["Records"] or b""
        self.assertLess(max((last for _, last in batches(records)), default=-1), ended["EndOffset"])
        whole = min(len(records), len(same["Records"]))
        self.assertEqual(records[:whole], same["Records"][:whole])
