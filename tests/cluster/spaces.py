"""Brokers in network namespaces of their own, on a switch whose links can be cut."""

import os
import shutil
import subprocess
import sys

from dev import esker
from processes import ESKER, ROOT, wait_until

PEERS, CLIENTS = "10.231.77", "10.231.78"
NOBODY = "02:00:00:00:00:99"
BROKERS = (1, 2, 3)


def ip(*arguments, check=True):
    return subprocess.run(["ip", *map(str, arguments)], check=check, capture_output=True, text=True)


def namespaces_work():
    """Whether this machine lets us make namespaces, pairs of interfaces, TUN interfaces and rules by protocol."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    name = f"esker-try-{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("-n", name, "link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b")
        ip("-n", name, "rule", "add", "ipproto", "tcp", "to", "10.0.0.0/24", "prohibit")
        ip("-n", name, "tuntap", "add", "dev", "tun", "mode", "tun")
        return True
    except subprocess.CalledProcessError:
        return False
    finally:
        ip("netns", "del", name, check=False)


class Network:
    """A switch in a namespace of its own; each broker hangs on it with one interface for its peers and one for
    clients, and has no TCP to any other broker. The namespace of the switch is where the client runs."""

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
        for i in BROKERS:
            space = self.space(i)
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
            self.plug(i, "clients", CLIENTS)
            for other in {*BROKERS} - {i}:
                for net in (PEERS, CLIENTS):
                    ip("-n", space, "rule", "add", "ipproto", "tcp", "to", f"{net}.{other}/32", "prohibit")
        self.plug_peers(case)

    def plug(self, i, bridge, net):
        """A pair of interfaces: one in the broker's namespace, the other one on a bridge of the switch."""
        space, port = self.space(i), f"{bridge[0]}{i}"
        ip("-n", self.hub, "link", "add", port, "type", "veth", "peer", "name", bridge, "netns", space)
        ip("-n", self.hub, "link", "set", port, "master", bridge)
        ip("-n", self.hub, "link", "set", port, "up")
        ip("-n", space, "addr", "add", f"{net}.{i}/24", "dev", bridge)
        ip("-n", space, "link", "set", bridge, "up")

    def plug_peers(self, case):
        for i in BROKERS:
            self.plug(i, "peers", PEERS)

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

    def cut(self, one, other):
        """Nothing of one's gets to the other (its frames go to an address that nobody has, and nobody is told); the way back stays open."""
        ip("-n", self.space(one), "neigh", "replace", f"{PEERS}.{other}", "lladdr", NOBODY, "dev", "peers", "nud", "permanent")

    def heal(self):
        for one in BROKERS:
            for other in {*BROKERS} - {one}:
                ip("-n", self.space(one), "neigh", "del", f"{PEERS}.{other}", "dev", "peers", check=False)

    def remove(self):
        for name in (self.hub, *map(self.space, BROKERS)):
            ip("netns", "del", name, check=False)


class Wires(Network):
    """The same with a process between the brokers (`links.py`) that loses, delays, reorders and doubles packets as it is told."""

    def plug_peers(self, case):
        places = [f"{self.space(i)}={PEERS}.{i}" for i in BROKERS]
        self.relay = subprocess.Popen([sys.executable, str(ROOT / "tests/cluster/links.py"), *places], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        case.addCleanup(self.unplug)
        if self.relay.stdout.readline() != "ready\n":
            raise AssertionError("the relay did not start")

    def link(self, one, other, **how):
        """What goes from one to the other from now on (`*`: any): `loss`, `twice`, `delay`, `jitter`."""
        self.relay.stdin.write(f"{one} {other} {' '.join(f'{key}={value}' for key, value in how.items())}\n")
        self.relay.stdin.flush()

    def cut(self, one, other):
        self.link(one, other, loss=1)

    def heal(self):
        self.link("*", "*")

    def unplug(self):
        self.relay.stdin.close()
        self.relay.stdout.close()
        self.relay.kill()
        self.relay.wait()


class Servers:
    """Three `esker server`s, one at each broker's place of a network, all of them voters."""

    bootstrap = ",".join(f"{CLIENTS}.{i}:9092" for i in BROKERS)

    def __init__(self, processes, network, settings=None):
        self.processes, self.network, self.running = processes, network, {}
        certs = processes.dir / "certs"
        esker("certs", "ca", "--dir", certs)
        for i in BROKERS:
            esker("certs", "node", "--dir", certs, "--id", i, "--host", f"{CLIENTS}.{i}", "--host", f"{PEERS}.{i}")
            lines = {
                "node.id": i, "listeners": f"PLAINTEXT://{CLIENTS}.{i}:9092", "peer.listener": f"{PEERS}.{i}:9093",
                "controller.quorum.voters": ",".join(f"{j}@{PEERS}.{j}:9093" for j in BROKERS),
                "peer.ssl.ca.location": f"{certs}/ca.crt", "peer.ssl.certificate.location": f"{certs}/node-{i}.crt",
                "peer.ssl.key.location": f"{certs}/node-{i}.key", "log.dirs": f"{processes.dir}/data-{i}",
                "default.replication.factor": 3, "min.insync.replicas": 2, "offsets.topic.replication.factor": 3,
                "transaction.state.log.replication.factor": 3, "transaction.state.log.min.isr": 2, **(settings or {}),
            }
            self.config(i).write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        for i in BROKERS:
            self.start(i)
        for i in BROKERS:
            wait_until(f"broker {i} is ready", lambda: "ready" in processes.log(f"broker-{i}", 1000).splitlines(), 60)

    def config(self, i):
        return self.processes.dir / f"broker-{i}.properties"

    def start(self, i):
        """Starts one; does not wait until it serves."""
        self.running[i] = self.processes.start(f"broker-{i}", [ESKER, "server", "--config", self.config(i)],
                                               wrapper=self.network.inside(i))

    def kill(self, i):
        process = self.running.pop(i)
        process.kill()
        process.wait()
        self.processes.running.remove(process)

    def pid(self, i):
        return self.running[i].pid

    def topic_create(self, name, partitions):
        subprocess.run([*self.network.inside("hub"), str(ESKER), "topic", "create", name, "--partitions", str(partitions), "--replication-factor",
                        "3", "--bootstrap-server", self.bootstrap], check=True, capture_output=True)

    def copies(self, topic, partition):
        """The folder of a partition at each broker that has one, for `judge.py`."""
        return {f"broker {i}": folder for i in BROKERS if (folder := self.processes.dir / f"data-{i}/{topic}-{partition}").is_dir()}
