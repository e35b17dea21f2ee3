"""Disks are wiped and damaged, brokers killed and paused, the store goes wrong: all of it under producers, transactions, readers of both
tiers and a group, whose history is judged; at the end the copies of each partition are compared with each other and with the tier.

At any moment one broker is ill, and may be ill in several ways; before it is another one's turn it has lost its disk as a whole, so that no
damage that nobody has found yet stays behind on two brokers. `TESTS_SECONDS` says how long, `TESTS_SEED` repeats the order of the faults.
"""

import os
import random
import shutil
import signal
import time
from functools import partial

from case import ClusterCase, slow
from damage import damage
from dev import Admin, esker
from history import Clients, wait_until_all_go_on
from judge import around, check, compare
from processes import Minio, alive, wait_until
from store_proxy import StoreProxy

PARTITIONS = 3
TOPICS = {"t": 3, "x": 3, "__consumer_offsets": 3, "__transaction_state": 3}
TIERED = {"remote.storage.enable": "true", "segment.bytes": 65536, "local.retention.bytes": 400_000}
DIRECTORY_FILES = ("replication-offset-checkpoint", "recovery-point-offset-checkpoint", "log-start-offset-checkpoint")
STORE_FAULTS = ("500", "503", "reset", "truncated", "slow", "timeout", "down")


class Chaos(ClusterCase):
    @slow
    def test_wipes_damage_and_a_failing_store_leave_no_anomaly_in_the_history(self):
        self.seconds = int(os.environ.get("TESTS_SECONDS", 25))
        seed = int(os.environ.get("TESTS_SEED", time.time_ns() % 2**32))
        print(f"(seed {seed}) ", end="", flush=True)
        self.chance, self.faults, self.said = random.Random(seed), {}, []
        self.start_cluster(seed)
        plain = Clients(self.processes, self.cluster.bootstrap, "t", PARTITIONS)
        transactions = Clients(self.processes, self.cluster.bootstrap, "x", PARTITIONS, isolation="read_committed")
        plain.start("writer-a", "write", "a", 1500).start("writer-b", "write", "b", 1500).start("reader", "read")
        plain.start("watcher", "watch").start("group", "commit", "g")
        transactions.start("writer-c", "transact", "c").start("writer-d", "transact", "d").start("reader", "read", "read_committed")
        transactions.start("watcher", "watch").start("groups", "offsets", "c", "d")
        everybody = lambda: {(clients, name): clients.count(name) for clients in (plain, transactions) for name in clients.verbs}
        wait_until("everybody has begun", lambda: all(count > 20 for count in everybody().values()), 90)
        for topic, partitions in TOPICS.items():
            self.admin.wait_for_isr(topic, partitions, 3)

        try:
            self.trouble(plain)
            self.proxy.heal()
            wait_until_all_go_on(everybody())
            anomalies, operations, resent = [], 0, []
            for clients in (plain, transactions):
                final = clients.finish(120)
                deleted = self.deleted if clients is plain else None
                found, looked_at = check(clients.all_lines(), final, deleted, partial(self.copies, clients.topic), resent)
                anomalies += found
                operations += looked_at
            self.whole()
            batches = damaged = 0
            for topic in ("t", "x"):
                for partition in range(PARTITIONS):
                    found, compared, bad = compare(self.copies(topic, partition))
                    anomalies += [f"{anomaly} of {topic}-{partition}" for anomaly in found]
                    batches, damaged = batches + compared, damaged + bad
        except AssertionError as failure:
            raise AssertionError(f"{failure}; after {self.said}") from None
        print(f"({sum(self.faults.values())} faults {self.faults}, {self.proxy.injected} in the store; {operations} operations; {batches} "
              f"batches compared, {damaged} with damage that nobody has met, {len(resent)} records sent under two epochs, {transactions.hangs()} calls that "
              f"did not come back) ", end="", flush=True)
        self.assertEqual(anomalies[:10], [], f"{self.said}\n{around(anomalies, self.copies)}")
        self.assertGreater(batches, 100)
        self.assertGreater(transactions.offsets_taken(), 0, "no transaction has committed offsets")

    def start_cluster(self, seed):
        self.minio = Minio(self.processes)
        self.proxy = StoreProxy(self.minio.address, seed)
        self.addCleanup(self.proxy.close)
        self.cluster = self.dev(3, tier=f"s3://{Minio.BUCKET}/chaos", env=self.minio.environment(self.proxy.address), settings={
            "remote.log.manager.task.interval.ms": 500, "log.retention.check.interval.ms": 500, "replica.lag.time.max.ms": 4000,
            "transaction.state.log.num.partitions": 3, "offsets.topic.num.partitions": 3})
        self.admin = Admin(self.cluster.bootstrap)
        for topic in ("t", "x"):
            self.cluster.topic_create(topic, PARTITIONS, configs={**TIERED, "segment.bytes": 65536 if topic == "t" else 16384})

    def trouble(self, plain):
        """Until the time is over: a broker is ill for a while, then another one."""
        begun, self.deleted, late = time.monotonic(), {}, False
        ill = None
        while time.monotonic() < begun + self.seconds:
            ill = self.chance.choice([b for b in (1, 2, 3) if b != ill])
            for _ in range(self.chance.randint(2, 4)):
                self.strike(ill, self.chance.choice(["killed", "paused", "damaged-running", "damaged-killed", "damaged-stopped", "store"]))
                if not late and time.monotonic() > begun + self.seconds / 3:
                    late = True
                    plain.start("late-reader", "read")  # mostly from the tier
            self.strike(ill, "wiped")
        self.delete_records(plain)

    def strike(self, broker, kind):
        self.faults[kind] = self.faults.get(kind, 0) + 1
        chance, data = self.chance, self.cluster.data / f"broker-{broker}" / "data"
        self.said.append(f"{kind} {broker}")
        former_store = None
        if kind == "store":
            fault = chance.choice(STORE_FAULTS)
            self.proxy.fault(fault, one_in=1 if fault == "down" else chance.choice([1, 3]))
            time.sleep(1 + 2 * chance.random())
            self.proxy.heal()
            return
        if kind == "paused":
            self.cluster.signal(broker, signal.SIGSTOP)
            time.sleep(1 + 3 * chance.random())
            self.cluster.signal(broker, signal.SIGCONT)
        elif kind == "damaged-running":
            self.harm(data, running=True)
            time.sleep(chance.random())
            return
        else:
            if kind == "damaged-stopped":
                pid = self.cluster.pid(broker)
                self.cluster.signal(broker, signal.SIGTERM)
                wait_until(f"broker {broker} has ended", lambda: not alive(pid), 60)
            else:
                self.cluster.kill(broker)
            if kind == "wiped":
                former_store = self.cluster.store_of(broker)
                for found in data.iterdir():
                    shutil.rmtree(found) if found.is_dir() else found.unlink()
            elif kind.startswith("damaged"):
                for _ in range(chance.randint(1, 3)):
                    self.harm(data)
            time.sleep(chance.random())
            self.start_again(broker, data)
        self.whole(former_store)

    def start_again(self, broker, data):
        """A directory whose own checkpoints are damaged is bad, and a broker that has no other one says so and ends; then it gets an empty one."""
        done = esker("dev", "start", broker, "--data", self.cluster.data, check=False, timeout=130)
        if done.returncode:
            log = (data.parent / "broker.log").read_text(errors="replace")
            damaged = [name for name in DIRECTORY_FILES if f"{name}: " in log.splitlines()[-1] and name in self.said[-1]]
            self.assertTrue(damaged, f"{done.stderr}\n{log[-1000:]}")
            self.said[-1] += " refused"
            self.faults["refused"] = self.faults.get("refused", 0) + 1
            for found in data.iterdir():
                if found.name != "metadata":
                    shutil.rmtree(found) if found.is_dir() else found.unlink()
            self.cluster.restart(broker)

    def harm(self, data, running=False):
        self.said[-1] += f" ({damage(data, self.chance.choice(['t', 'x', '__consumer_offsets', '__transaction_state']), self.chance, running=running)})"

    def whole(self, former_store=None):
        """All partitions are in sync again everywhere, and all three brokers vote; none of them with a store that was wiped."""
        for topic, partitions in TOPICS.items():
            self.admin.wait_for_isr(topic, partitions, 3, 120)

        wait_until("all brokers vote", lambda: self.cluster.all_vote(former_store), 90, 0.3)

    def delete_records(self, plain):
        """The first half of what the slowest reader has read goes."""
        from confluent_kafka import TopicPartition

        positions = [plain.positions(name) for name in plain.of("read")]
        for partition in range(PARTITIONS):
            until = min(seen.get(partition, 0) for seen in positions) // 2
            asked = self.admin.client.delete_records([TopicPartition("t", partition, until)], request_timeout=60)
            self.deleted[partition] = next(iter(asked.values())).result(90).low_watermark

    def copies(self, topic, partition):
        """The folders of a partition's copies, the tier's as Kafka's files."""
        out = self.processes.dir / "export"
        if not (out / f"{topic}-0").exists():
            esker("tier", "export", topic, "--out", out, "--store", f"s3://{Minio.BUCKET}/chaos", "--endpoint", f"http://{self.minio.address}",
                  "--access-key", Minio.USER, "--secret-key", Minio.PASSWORD, timeout=120)
        found = {f"broker {b}": self.cluster.data / f"broker-{b}/data/{topic}-{partition}" for b in (1, 2, 3)}
        return {"tier": out / f"{topic}-{partition}", **found}
