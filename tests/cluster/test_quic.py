"""QUIC is QUIC: three brokers, each in a network namespace of its own, with no TCP between them."""

import os
import shutil
import socket
import subprocess
import unittest

from case import ClusterCase, slow
from clients import consume, produce, verify
from dev import Admin, esker
from processes import ESKER, wait_until

PEERS, CLIENTS = "10.231.77", "10.231.78"
RECORDS = 20_000


def ip(*arguments, check=True):
    return subprocess.run(["ip", *map(str, arguments)], check=check, capture_output=True, text=True)


def namespaces_work():
    """Whether this machine lets us make namespaces, pairs of interfaces and rules by protocol."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    name = f"esker-try-{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("-n", name, "link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b")
        ip("-n", name, "rule", "add", "ipproto", "tcp", "to", "10.0.0.0/24", "prohibit")
        return True
    except subprocess.CalledProcessError:
        return False
    finally:
        ip("netns", "del", name, check=False)


class Network:
    """A switch in a namespace of its own; each broker hangs on it with one interface for its peers and one for
    clients. The namespace of the switch is where the client runs."""

    def __init__(self, case):
        self.tag = f"esk{os.getpid() % 100000}"
        self.hub = f"{self.tag}-hub"
        case.addCleanup(self.remove)
        ip("netns", "add", self.hub)
        ip("-n", self.hub, "link", "set", "lo", "up")
        for bridge in ("peers", "clients"):
            ip("-n", self.hub, "link", "add", bridge, "type", "bridge")
            ip("-n", self.hub, "link", "set", bridge, "up")
        ip("-n", self.hub, "addr", "add", f"{CLIENTS}.100/24", "dev", "clients")
        for i in (1, 2, 3):
            space = self.space(i)
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
            for bridge, net in (("peers", PEERS), ("clients", CLIENTS)):
                port = f"{bridge[0]}{i}"
                ip("-n", self.hub, "link", "add", port, "type", "veth", "peer", "name", bridge, "netns", space)
                ip("-n", self.hub, "link", "set", port, "master", bridge)
                ip("-n", self.hub, "link", "set", port, "up")
                ip("-n", space, "addr", "add", f"{net}.{i}/24", "dev", bridge)
                ip("-n", space, "link", "set", bridge, "up")
            # No TCP to a peer, by either network.
            for other in {1, 2, 3} - {i}:
                for net in (PEERS, CLIENTS):
                    ip("-n", space, "rule", "add", "ipproto", "tcp", "to", f"{net}.{other}/32", "prohibit")

    def space(self, i):
        return f"{self.tag}-{i}"

    def inside(self, i):
        """The words before a command that make it run at a broker's place (`hub`: at the client's)."""
        return ["ip", "netns", "exec", self.hub if i == "hub" else self.space(i)]

    def bytes_to_peers(self, i):
        """Bytes that a broker has sent on the peers' network."""
        done = subprocess.run([*self.inside(i), "cat", "/sys/class/net/peers/statistics/tx_bytes"], check=True,
                              capture_output=True, text=True)
        return int(done.stdout)

    def remove(self):
        for name in (self.hub, *map(self.space, (1, 2, 3))):
            ip("netns", "del", name, check=False)


class Quic(ClusterCase):
    @slow
    @unittest.skipUnless(namespaces_work(), "this machine has no network namespaces")
    def test_replication_works_with_all_tcp_between_brokers_blocked(self):
        network = Network(self)
        certs = self.processes.dir / "certs"
        esker("certs", "ca", "--dir", certs)
        for i in (1, 2, 3):
            esker("certs", "node", "--dir", certs, "--id", i, "--host", f"{CLIENTS}.{i}", "--host", f"{PEERS}.{i}")
            config = self.processes.dir / f"broker-{i}.properties"
            config.write_text(f"""
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
group.initial.rebalance.delay.ms=0
""")
        for i in (1, 2, 3):
            self.processes.start(f"broker-{i}", [ESKER, "server", "--config", self.processes.dir / f"broker-{i}.properties"],
                                 wrapper=network.inside(i))
        for i in (1, 2, 3):
            wait_until(f"broker {i} is ready", lambda: "ready" in self.processes.log(f"broker-{i}", 1000).splitlines(), 60)
        # The control: TCP from broker to broker fails, from the client it works.
        for other in (f"{PEERS}.2", f"{CLIENTS}.2"):
            self.assertNotEqual(self.connects(network, 1, other), 0)
        self.assertEqual(self.connects(network, "hub", f"{CLIENTS}.2"), 0)

        bootstrap = f"{CLIENTS}.1:9092"
        hub = network.inside("hub")
        subprocess.run([*hub, str(ESKER), "topic", "create", "t", "--partitions", "3", "--replication-factor", "3",
                        "--bootstrap-server", bootstrap], check=True, capture_output=True)
        before = sum(network.bytes_to_peers(i) for i in (1, 2, 3))
        script = self.processes.dir / "produce.py"
        script.write_text(PRODUCE_AND_READ)
        from processes import CACHE

        done = subprocess.run([*hub, str(CACHE / "python/bin/python"), str(script), bootstrap, str(RECORDS)],
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + self.processes.log("broker-1"))
        produced = int(done.stdout.split()[-1])
        sent = sum(network.bytes_to_peers(i) for i in (1, 2, 3)) - before
        print(f"({produced} bytes produced, {sent} over UDP) ", end="", flush=True)
        self.assertGreaterEqual(sent, 2 * produced)

    def connects(self, network, place, host):
        code = f"import socket; socket.create_connection(('{host}', 9092), 3)"
        return subprocess.run([*network.inside(place), "python3", "-c", code], capture_output=True).returncode


PRODUCE_AND_READ = '''
import os, sys
from confluent_kafka import Consumer, Producer, TopicPartition, OFFSET_BEGINNING
bootstrap, count = sys.argv[1], int(sys.argv[2])
producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5})
failed, total, sent = [], 0, set()
for i in range(count):
    value = b"%d:" % i + os.urandom(500)
    sent.add(value)
    total += len(value)
    while True:
        try:
            producer.produce("t", value, partition=i % 3, on_delivery=lambda e, _: e and failed.append(e))
            break
        except BufferError:
            producer.poll(0.1)
    producer.poll(0)
assert producer.flush(60) == 0 and not failed, failed[:3]
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "enable.auto.commit": False})
consumer.assign([TopicPartition("t", p, OFFSET_BEGINNING) for p in range(3)])
import time
deadline = time.monotonic() + 60
while sent and time.monotonic() < deadline:
    for message in consumer.consume(1000, 0.5):
        assert message.error() is None, message.error()
        sent.remove(message.value())
assert not sent, f"{len(sent)} were not read back"
print(total)
'''
