"""A running `esker dev`, as a user meets it: its lines are parsed, its brokers are killed by the ids it printed."""

import json
import os
import re
import signal
import subprocess
import time

from processes import ESKER, alive, free_ports, wait_until

BROKER_LINE = re.compile(r"^broker (\d+) pid (\d+) kafka (\S+:\d+)$", re.M)
CONSOLE_LINE = re.compile(r"^console (\d+) (\S+)$", re.M)
READY_LINE = re.compile(r"^bootstrap\.servers=(\S+)$", re.M)


def esker(*arguments, check=True, timeout=60, env=None):
    """Runs the command to its end; returns its completed process."""
    done = subprocess.run([str(ESKER), *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                          env=env, errors="replace")
    if check and done.returncode != 0:
        raise AssertionError(f"esker {arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Dev:
    """`esker dev` with its brokers."""

    def __init__(self, processes, brokers=3, settings=None, tier=None, env=None, name="dev", wait=True, port=None):
        self.processes, self.name = processes, name
        self.count = brokers
        self.port = port or free_ports(brokers)[0]
        self.data = processes.dir / f"{name}-data"
        self.settings = dict(settings or {})
        self.tier, self.env = tier, dict(os.environ, **(env or {}))
        self.start(wait)

    def start(self, wait=True):
        """Starts it (again, on the same folder)."""
        log = self.processes.dir / f"{self.name}.log"
        log.unlink(missing_ok=True)
        command = [ESKER, "dev", "--brokers", self.count, "--port", self.port, "--data", self.data]
        for key, value in self.settings.items():
            command += ["--set", f"{key}={value.replace('{port}', str(self.port)) if isinstance(value, str) else value}"]
        if self.tier:
            command += ["--tier", self.tier]
        self.process = self.processes.start(self.name, command, env=self.env)
        if wait:
            self.wait_ready()
        return self

    def output(self):
        return (self.processes.dir / f"{self.name}.log").read_text(errors="replace")

    def wait_ready(self, seconds=90):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"esker dev ended with {self.process.returncode}\n{self.output()}")
            return READY_LINE.search(self.output())

        try:
            self.bootstrap = wait_until("esker dev is ready", ready, seconds)[1]
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.output()}\n{self.broker_logs()}") from None

    def brokers(self):
        """Id → (pid, address); the last line of each counts."""
        return {int(i): (int(pid), address) for i, pid, address in BROKER_LINE.findall(self.output())}

    def consoles(self):
        """Id → URL of its admin listener."""
        return {int(i): url for i, url in CONSOLE_LINE.findall(self.output())}

    def pid(self, broker):
        return self.brokers()[broker][0]

    def signal(self, broker, number):
        os.kill(self.pid(broker), number)

    def kill(self, broker):
        """`kill -9`, and waits until it is gone."""
        pid = self.pid(broker)
        os.kill(pid, signal.SIGKILL)
        wait_until(f"broker {broker} is gone", lambda: not alive(pid), 10)

    def restart(self, broker):
        """`esker dev start ID`; returns the line that it printed."""
        pid = self.pid(broker)
        line = esker("dev", "start", broker, "--data", self.data, timeout=130).stdout.strip()
        if not BROKER_LINE.fullmatch(line):
            raise AssertionError(f"esker dev start {broker} printed {line!r}")
        wait_until("the running dev prints the line too", lambda: self.pid(broker) != pid, 10)
        return line

    def reconfigure(self, broker, key, value):
        """Another value of a property of one broker, which is killed and started again for it."""
        path = self.data / f"broker-{broker}/broker.properties"
        kept = [line for line in path.read_text().splitlines() if not line.startswith(f"{key}=")]
        self.kill(broker)
        path.write_text("\n".join([*kept, f"{key}={value}"]) + "\n")
        self.restart(broker)

    def all_vote(self, former_store=None):
        """Whether each broker is a voter of the metadata quorum, with its present store, and has about all of its log."""
        quorum = self.quorum()
        if not quorum or sorted(voter["ReplicaId"] for voter in quorum["CurrentVoters"]) != [1, 2, 3]:
            return False
        return all(voter["ReplicaDirectoryId"] != former_store and voter["LogEndOffset"] >= quorum["HighWatermark"] - 20
                   for voter in quorum["CurrentVoters"])

    def quorum(self):
        """The metadata quorum, as whoever answers describes it; None when nobody does."""
        from messages import ask
        from wire import Closed, Connection

        for _, address in self.brokers().values():
            try:
                with Connection(address, 5) as connection:
                    answer = ask(connection, "DescribeQuorum", 2, {"Topics": [{"TopicName": "__cluster_metadata", "Partitions": [{"PartitionIndex": 0}]}]})
            except (OSError, Closed):
                continue
            if answer["ErrorCode"] == 0 and answer["Topics"][0]["Partitions"][0]["ErrorCode"] == 0:
                return answer["Topics"][0]["Partitions"][0]
        return None

    def store_of(self, broker):
        """The id of a voter's store."""
        quorum = wait_until("the quorum answers", self.quorum, 30)
        return next(voter["ReplicaDirectoryId"] for voter in quorum["CurrentVoters"] if voter["ReplicaId"] == broker)

    def stop(self):
        """SIGTERM; returns the exit code."""
        return self.processes.stop(self.process, 60)

    def broker_logs(self, lines=25):
        """The end of every broker's log."""
        out = []
        for log in sorted(self.data.glob("broker-*/broker.log")):
            out += [f"--- {log.parent.name}", *log.read_text(errors="replace").splitlines()[-lines:]]
        return "\n".join(out)

    def topic_create(self, name, partitions=1, replicas=None, configs=None, client_config=None):
        """`esker topic create`."""
        command = ["topic", "create", name, "--partitions", partitions, "--bootstrap-server", self.bootstrap,
                   "--replication-factor", replicas or min(self.count, 3)]
        for key, value in (configs or {}).items():
            command += ["--config", f"{key}={value}"]
        if client_config:
            command += ["--command-config", client_config]
        esker(*command)

    def local_start(self, topic, partition, broker):
        """The base offset of the first segment on a broker's disk; None where it has no replica."""
        bases = [int(f.stem) for f in self.data.glob(f"broker-{broker}/data/{topic}-{partition}/*.log")]
        return min(bases, default=None)

    def cold_offsets(self, topic, partitions):
        """How many offsets are local on no broker."""
        total = 0
        for partition in range(partitions):
            starts = [self.local_start(topic, partition, b) for b in range(1, self.count + 1)]
            total += min((s for s in starts if s is not None), default=0)
        return total

    def segment_bytes(self, topic):
        """Bytes of the topic's segments on all brokers' disks."""
        return sum(f.stat().st_size for f in self.data.glob(f"broker-*/data/{topic}-*/*.log"))


class Admin:
    """What the cluster says of itself, by librdkafka's admin client."""

    def __init__(self, bootstrap, extra=None):
        from confluent_kafka.admin import AdminClient

        self.client = AdminClient({"bootstrap.servers": bootstrap, "socket.timeout.ms": 5000, "log_level": 0, **(extra or {})})

    def metadata(self, topic=None):
        from confluent_kafka import KafkaException

        for attempt in range(4):
            try:
                return self.client.list_topics(topic, timeout=6)
            except KafkaException:  # it may have asked a broker that is gone
                if attempt == 3:
                    raise

    def controller(self):
        return self.metadata().controller_id

    def partition(self, topic, partition=0):
        """(leader, replicas, isr)"""
        found = self.metadata(topic).topics[topic].partitions[partition]
        return found.leader, sorted(found.replicas), sorted(found.isrs)

    def leaders(self, topic):
        """partition → leader"""
        return {number: found.leader for number, found in self.metadata(topic).topics[topic].partitions.items()}

    def wait_for_isr(self, topic, partitions, size, seconds=60):
        """Waits until every partition has a leader and `size` in-sync replicas."""
        def whole():
            try:
                found = self.metadata(topic).topics[topic].partitions
            except Exception:
                return False
            return len(found) == partitions and all(p.leader >= 0 and len(p.isrs) == size for p in found.values())

        wait_until(f"{topic} has {size} in-sync replicas everywhere", whole, seconds, 0.2)
