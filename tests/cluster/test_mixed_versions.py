"""A cluster whose brokers are replaced one after the other, by another program (`tests/mixed-versions OLD NEW`) or, where none is given, by the same
one: under producers, transactions, readers and a group, whose history is judged. On the way one broker goes back to the old program, and the
leader of the metadata quorum is killed while it runs either. Beside brokers of the old program, one of the new program loses a copy: what it says of
that must be in words that all understand, or the old ones could not read the metadata log any further.

`TESTS_OLD` is the program to begin with, `TESTS_BIN` the one to end with; `TESTS_SEED` repeats the order.
"""

import os
import random
import socket
import time
from functools import partial
from pathlib import Path

from case import ClusterCase, slow
from dev import Admin, Dev, esker
from history import Clients, wait_until_all_go_on
from judge import around, check, compare
from processes import ESKER, free_ports, wait_until

OLD = Path(os.environ.get("TESTS_OLD", ESKER))
BROKERS = (1, 2, 3)
PARTITIONS = 3
TOPICS = ("t", "x", "d", "__consumer_offsets", "__transaction_state")


class Servers:
    """Three `esker server`s on this machine, each with a program of its own."""

    quorum, all_vote = Dev.quorum, Dev.all_vote

    def __init__(self, processes, program):
        self.processes, self.running, self.program = processes, {}, {}
        ports = free_ports(6)
        self.clients, self.peers = dict(zip(BROKERS, ports[:3])), dict(zip(BROKERS, ports[3:]))
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in self.clients.values())
        certs = processes.dir / "certs"
        esker("certs", "ca", "--dir", certs)
        for i in BROKERS:
            esker("certs", "node", "--dir", certs, "--id", i, "--host", "127.0.0.1")
            lines = {
                "node.id": i, "listeners": f"PLAINTEXT://127.0.0.1:{self.clients[i]}", "peer.listener": f"127.0.0.1:{self.peers[i]}",
                "controller.quorum.voters": ",".join(f"{j}@127.0.0.1:{port}" for j, port in self.peers.items()),
                "peer.ssl.ca.location": f"{certs}/ca.crt", "peer.ssl.certificate.location": f"{certs}/node-{i}.crt",
                "peer.ssl.key.location": f"{certs}/node-{i}.key", "log.dirs": self.data(i), "replica.lag.time.max.ms": 4000,
                "default.replication.factor": 3, "min.insync.replicas": 2, "offsets.topic.replication.factor": 3,
                "offsets.topic.num.partitions": PARTITIONS, "transaction.state.log.num.partitions": PARTITIONS,
                "transaction.state.log.replication.factor": 3, "transaction.state.log.min.isr": 2,
            }
            (processes.dir / f"broker-{i}.properties").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        for i in BROKERS:
            self.start(i, program)

    def data(self, i):
        return self.processes.dir / f"data-{i}"

    def brokers(self):
        return {i: (process.pid, f"127.0.0.1:{self.clients[i]}") for i, process in self.running.items()}

    def start(self, i, program):
        """Starts one; does not wait until it serves. Each life has a log of its own."""
        life = sum(1 for _ in self.processes.dir.glob(f"server-{i}-*.log"))
        self.program[i] = program
        self.running[i] = self.processes.start(f"server-{i}-{life}", [program, "server", "--config", self.processes.dir / f"broker-{i}.properties"])

    def listens(self, i):
        """Whether it takes connections; what is asked of it waits until it has joined."""
        try:
            socket.create_connection(("127.0.0.1", self.clients[i]), 1).close()
        except OSError:
            return False
        return True

    def end(self, i, orderly):
        process = self.running.pop(i)
        if orderly:
            return self.processes.stop(process, 60)
        process.kill()
        process.wait()
        self.processes.running.remove(process)
        return 0

    def logs(self, lines=40):
        return "\n".join(f"--- {path.stem}\n" + self.processes.log(path.stem, lines) for path in sorted(self.processes.dir.glob("server-*.log")))

    def copies(self, topic, partition):
        return {f"broker {i}": self.data(i) / f"{topic}-{partition}" for i in BROKERS}


class MixedVersions(ClusterCase):
    def _show_what_failed(self):
        if self._failed() and getattr(self, "servers", None):
            print(self.servers.logs(), flush=True)

    @slow
    def test_brokers_are_replaced_one_after_the_other_and_one_goes_back_under_load(self):
        seed = int(os.environ.get("TESTS_SEED", time.time_ns() % 2**32))
        print(f"(seed {seed}) ", end="", flush=True)
        self.chance = random.Random(seed)
        self.servers = Servers(self.processes, OLD)
        self.admin = Admin(self.servers.bootstrap)
        histories = self.clients()
        self.all_of = lambda: {(clients, name): clients.count(name) for clients in histories for name in clients.verbs}
        wait_until("everybody has begun", lambda: all(count > 20 for count in self.all_of().values()), 90)
        self.whole()
        order = self.chance.sample(BROKERS, 3)
        self.steps = []
        self.replace(order[0], ESKER, orderly=True)
        self.elsewhere(OLD)
        self.lose_a_copy(order[0])
        self.replace(order[1], ESKER, orderly=False)
        self.elsewhere(ESKER)
        self.lose_a_copy(order[1])
        # Back, while one has never run the new program; and forth again.
        self.replace(order[0], OLD, orderly=True)
        self.replace(order[0], ESKER, orderly=False)
        self.replace(order[2], ESKER, orderly=True)
        self.elsewhere(ESKER)
        wait_until_all_go_on(self.all_of())
        self.judge(histories)

    def clients(self):
        histories = []
        for topic, isolation in (("t", "read_uncommitted"), ("x", "read_committed")):
            create = partial(esker, "topic", "create", topic, "--partitions", PARTITIONS, "--replication-factor", 3, "--bootstrap-server",
                             self.servers.bootstrap, check=False)
            wait_until(f"{topic} is made", lambda: create().returncode == 0, 60, 0.5)
            histories.append(Clients(self.processes, self.servers.bootstrap, topic, PARTITIONS, isolation=isolation))
        esker("topic", "create", "d", "--partitions", 1, "--replication-factor", 3, "--config", "segment.bytes=20000", "--bootstrap-server",
              self.servers.bootstrap)
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.servers.bootstrap, "batch.size": 2000})
        for i in range(100):
            producer.produce("d", f"{i} {'x' * 1000}", partition=0)
        self.assertEqual(producer.flush(30), 0)
        plain, transactions = histories
        plain.start("writer-a", "write", "a", 300).start("writer-b", "write", "b", 300, 1).start("reader", "read").start("watcher", "watch")
        plain.start("group", "commit", "g")
        transactions.start("writer-c", "transact", "c").start("writer-d", "transact", "d").start("reader", "read", "read_committed")
        transactions.start("watcher", "watch").start("groups", "offsets", "c", "d")
        return histories

    def replace(self, broker, program, orderly):
        """Another program in a broker's place; everybody goes on beside it, and it can be asked to change the metadata."""
        self.steps.append(f"{broker} {'stopped' if orderly else 'killed'}, {'old' if program == OLD != ESKER else 'new'}")
        self.assertEqual(self.servers.end(broker, orderly), 0, self.steps)
        self.servers.start(broker, program)
        self.whole()
        esker("topic", "create", f"made-{len(self.steps)}", "--partitions", 2, "--replication-factor", 3, "--bootstrap-server",
              f"127.0.0.1:{self.servers.clients[broker]}")
        wait_until_all_go_on(self.all_of())

    def lose_a_copy(self, broker):
        """A segment of a copy is gone when the broker starts again: it says so, and copies it anew."""
        self.assertEqual(self.servers.end(broker, orderly=True), 0, self.steps)
        segments = sorted((self.servers.data(broker) / "d-0").glob("*.log"))
        self.assertGreater(len(segments), 3)
        segments[1].unlink()
        self.steps.append(f"{broker} loses a copy")
        self.servers.start(broker, self.servers.program[broker])
        self.whole()
        wait_until("all have copied it", lambda: len({self.size(i) for i in BROKERS}) == 1, 60, 0.3)
        wait_until_all_go_on(self.all_of())

    def size(self, broker):
        return sum(file.stat().st_size for file in (self.servers.data(broker) / "d-0").glob("*.log"))

    def elsewhere(self, program):
        """The metadata quorum is led by a broker of this program: those that lead it with another one are killed until it is."""
        for _ in range(12):
            controller = wait_until("somebody leads the quorum", lambda: (self.servers.quorum() or {}).get("LeaderId", 0), 30)
            if self.servers.program[controller] == program:
                break
            self.servers.end(controller, orderly=False)
            wait_until("another one leads it", lambda: (self.servers.quorum() or {}).get("LeaderId", 0) not in (0, -1, controller), 30)
            self.servers.start(controller, self.servers.program[controller])
            self.whole()
        else:
            self.fail("the quorum is never led by a broker of that program")
        self.steps.append(f"{controller} leads the quorum")
        wait_until_all_go_on(self.all_of())

    def whole(self):
        # Just after a kill the metadata still tell of the process that was.
        wait_until("all brokers take connections", lambda: all(self.servers.listens(i) for i in BROKERS), 60, 0.2)
        for topic in TOPICS:
            self.admin.wait_for_isr(topic, 1 if topic == "d" else PARTITIONS, 3, 120)
        wait_until("all brokers vote", self.servers.all_vote, 60, 0.3)

    def judge(self, histories):
        anomalies, operations, resent, batches = [], 0, [], 0
        for clients in histories:
            final = clients.finish(120)
            found, looked_at = check(clients.all_lines(), final, copies=partial(self.servers.copies, clients.topic), resent=resent)
            anomalies, operations = anomalies + found, operations + looked_at
        self.whole()
        for topic in ("t", "x"):
            for partition in range(PARTITIONS):
                found, compared, damaged = compare(self.servers.copies(topic, partition))
                anomalies += [f"{anomaly} of {topic}-{partition}" for anomaly in found]
                batches += compared
                self.assertEqual(damaged, 0)
        hangs = sum(clients.hangs() for clients in histories)
        print(f"({'; '.join(self.steps)}: {operations} operations, {batches} batches compared, {len(resent)} records sent under two epochs, {hangs} calls "
              f"that did not come back) ", end="", flush=True)
        self.assertEqual(anomalies[:10], [], f"{self.steps}\n{around(anomalies, self.servers.copies)}")
        self.assertGreater(batches, 100)
        self.assertGreater(sum(clients.offsets_taken() for clients in histories), 0, "no transaction has committed offsets")
