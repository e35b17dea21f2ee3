"""The network between brokers breaks: whole and one-way cuts, a ring with one link less, a leader that the metadata quorum does not
hear, all in network namespaces, under producers and readers whose history is judged afterwards."""

import os
import random
import signal
import subprocess
import time
import unittest

from case import ClusterCase, slow
from dev import esker
from history import check
from processes import CACHE, ESKER, ROOT, wait_until
from test_quic import CLIENTS, PEERS, Network, ip, namespaces_work

PARTITIONS = 3
NOBODY = "02:00:00:00:00:99"
PYTHON = CACHE / "python/bin/python"


class Breakable(Network):
    """Frames to a peer that it must not reach go to an address that nobody has: nothing comes, and nobody is told."""

    def cut(self, one, other):
        """Nothing of one's gets to the other; the way back stays open."""
        ip("-n", self.space(one), "neigh", "replace", f"{PEERS}.{other}", "lladdr", NOBODY, "dev", "peers", "nud", "permanent")

    def heal(self):
        for one in (1, 2, 3):
            for other in {1, 2, 3} - {one}:
                ip("-n", self.space(one), "neigh", "del", f"{PEERS}.{other}", "dev", "peers", check=False)


class History(unittest.TestCase):
    def test_each_anomaly_is_found_by_its_name(self):
        final = {0: [(0, ("a", 0)), (1, ("a", 1))]}
        good = ["ok a 0 0 0 1.0 1.1", "ok a 1 0 1 2.0 2.1"]
        reads = ["read 0 0 a 0", "read 0 1 a 1"]
        self.assertEqual(check([good], [reads], final), ([], 2))
        for name, writers, readers, end in [
            ("inconsistent-offsets", ["ok b 0 0 1 1.0 1.1"], reads, final),
            ("duplicate", [], [], {0: [(0, ("a", 0)), (1, ("a", 0))]}),
            ("nonmonotonic-send", [], [], {0: [(0, ("a", 1)), (1, ("a", 0))]}),
            ("unseen", ["ok a 2 0 2 3.0 3.1"], [], final),
            ("unseen", ["ok a 2 0 None 3.0 3.1"], [], final),
            ("lost-write", ["ok a 2 0 1 3.0 3.1"], [], final),
            ("acknowledged-back", ["ok a 1 0 1 1.0 1.1", "ok a 0 0 0 2.0 2.1"], [], final),
            ("poll-skip", [], ["read 0 1 a 1"], final),
            ("nonmonotonic-poll", [], [*reads, "read 0 1 a 1"], final),
            ("deleted", [], [*reads, "read 0 2 a 2"], final),
            ("gone", [], ["gone 1"], final),
        ]:
            found = check([writers], [readers], end)[0]
            self.assertTrue(any(anomaly.startswith(name) for anomaly in found), f"{name}: {found}")


class Partitions(ClusterCase):
    @slow
    @unittest.skipUnless(namespaces_work(), "this machine has no network namespaces")
    def test_cuts_pauses_and_kills_leave_no_anomaly_in_the_history(self):
        seconds = int(os.environ.get("TESTS_SECONDS", 30))
        seed = int(os.environ.get("TESTS_SEED", time.time_ns() % 2**32))
        print(f"(seed {seed}) ", end="", flush=True)
        chance = random.Random(seed)
        self.network = Breakable(self)
        self.write_configs()
        self.brokers = {}
        for i in (1, 2, 3):
            self.start(i)
        for i in (1, 2, 3):
            self.wait_ready(i)
        bootstrap = ",".join(f"{CLIENTS}.{i}:9092" for i in (1, 2, 3))
        hub = self.network.inside("hub")
        subprocess.run([*hub, str(ESKER), "topic", "create", "t", "--partitions", str(PARTITIONS), "--replication-factor", "3",
                        "--bootstrap-server", bootstrap], check=True, capture_output=True)
        clients = {name: self.client(name, bootstrap, *more) for name, more in
                   [("writer-a", ("write", "a")), ("writer-b", ("write", "b")), ("reader-1", ("read",)), ("reader-2", ("read",))]}
        wait_until("both write and both read", lambda: all(len(self.lines(name)) > 50 for name in clients), 60)
        end, faults = time.monotonic() + seconds, {}
        while time.monotonic() < end:
            kind = self.disturb(chance)
            faults[kind] = faults.get(kind, 0) + 1
            time.sleep(1 + 3 * chance.random())
            self.mend()
            if chance.random() < 0.5:
                time.sleep(2 * chance.random())
        before = {name: len(self.lines(name)) for name in clients}
        wait_until("everybody goes on", lambda: all(len(self.lines(name)) > count + 20 for name, count in before.items()), 90)
        for name in ("writer-a", "writer-b"):
            self.end(clients[name])
        wait_until("the readers are at the end", lambda: self.caught_up(), 60)
        for name in ("reader-1", "reader-2"):
            self.end(clients[name])
        for name in ("writer-a", "writer-b"):
            self.assertEqual(self.lines(name)[-1].split()[-1], "0", f"{name} has records without an answer")
        final = self.drain(bootstrap)
        anomalies, acknowledged = check([self.lines("writer-a"), self.lines("writer-b")], [self.lines("reader-1"), self.lines("reader-2")], final)
        operations = acknowledged + sum(len(self.lines(name)) for name in ("reader-1", "reader-2"))
        print(f"({sum(faults.values())} faults {faults}; {acknowledged} acknowledged, {operations} operations) ", end="", flush=True)
        self.assertEqual(anomalies[:10], [])

    def write_configs(self):
        certs = self.processes.dir / "certs"
        esker("certs", "ca", "--dir", certs)
        for i in (1, 2, 3):
            esker("certs", "node", "--dir", certs, "--id", i, "--host", f"{CLIENTS}.{i}", "--host", f"{PEERS}.{i}")
            (self.processes.dir / f"broker-{i}.properties").write_text(f"""
node.id={i}
listeners=PLAINTEXT://{CLIENTS}.{i}:9092
peer.listener={PEERS}.{i}:9093
controller.quorum.voters={",".join(f"{j}@{PEERS}.{j}:9093" for j in (1, 2, 3))}
peer.ssl.ca.location={certs}/ca.crt
peer.ssl.certificate.location={certs}/node-{i}.crt
peer.ssl.key.location={certs}/node-{i}.key
log.dirs={self.processes.dir}/data-{i}
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
replica.lag.time.max.ms=4000
""")

    def start(self, i):
        self.brokers[i] = self.processes.start(f"broker-{i}", [ESKER, "server", "--config", self.processes.dir / f"broker-{i}.properties"],
                                               wrapper=self.network.inside(i))

    def wait_ready(self, i):
        started = self.processes.log(f"broker-{i}", 100_000).splitlines().count("ready")
        if not started:
            wait_until(f"broker {i} is ready", lambda: "ready" in self.processes.log(f"broker-{i}", 1000).splitlines(), 60)

    def client(self, name, bootstrap, verb, *more):
        out = open(self.processes.dir / f"{name}.history", "wb")
        command = [*self.network.inside("hub"), str(PYTHON), str(ROOT / "tests/cluster/history.py"), verb, bootstrap, "t", str(PARTITIONS), *more]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL)
        out.close()
        self.processes.running.append(process)
        return process

    def end(self, client):
        client.stdin.close()
        client.wait(150)

    def lines(self, name):
        text = (self.processes.dir / f"{name}.history").read_text()
        return text[:text.rfind("\n") + 1].splitlines()

    def caught_up(self):
        ends = {}
        for name in ("writer-a", "writer-b"):
            for line in self.lines(name):
                words = line.split()
                if words[0] == "ok" and words[4] != "None":
                    ends[int(words[3])] = max(ends.get(int(words[3]), -1), int(words[4]))
        for name in ("reader-1", "reader-2"):
            seen = {}
            for line in self.lines(name):
                words = line.split()
                if words[0] == "read":
                    seen[int(words[1])] = int(words[2])
            if any(seen.get(partition, -1) < last for partition, last in ends.items()):
                return False
        return True

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
            self.paused = self.brokers[one].pid
            os.kill(self.paused, signal.SIGSTOP)
        else:
            process = self.brokers[one]
            process.kill()
            process.wait()
            self.processes.running.remove(process)
            self.killed = one
        return kind

    paused = killed = None

    def mend(self):
        self.network.heal()
        if self.paused:
            os.kill(self.paused, signal.SIGCONT)
            self.paused = None
        if self.killed:
            self.start(self.killed)
            self.killed = None

    def drain(self, bootstrap):
        """Everything that is there, read once more from the start."""
        reader = self.client("final", bootstrap, "read")
        ends = {}
        for name in ("reader-1", "reader-2"):
            for line in self.lines(name):
                words = line.split()
                if words[0] == "read":
                    ends[int(words[1])] = max(ends.get(int(words[1]), -1), int(words[2]))

        def all_read():
            seen = {}
            for line in self.lines("final"):
                words = line.split()
                if words[0] == "read":
                    seen[int(words[1])] = int(words[2])
            return all(seen.get(partition, -1) >= last for partition, last in ends.items())

        wait_until("everything is read again", all_read, 90)
        self.end(reader)
        final = {p: [] for p in range(PARTITIONS)}
        for line in self.lines("final"):
            words = line.split()
            if words[0] == "read":
                final[int(words[1])].append((int(words[2]), (words[3], int(words[4]))))
        return final
