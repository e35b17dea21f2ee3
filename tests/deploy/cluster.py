"""A cluster on small machines (see `machines`), as the procedures of deploy/scripts find one: TLS and SASL, a folder of
certificates, a driver by which scripts stop and start brokers, and an operator's machine on which the scripts run."""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

from machines import ESKER, Machines, wait_until
from processes import CACHE, Minio, alive
from tools import DEPLOY, ROOT

PASSWORD = "admin-secret"
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
PYTHON = CACHE / "python/bin/python"
HERE = Path(__file__).resolve().parent
STORE = "s3://cold/prod"


def module_listeners():
    """The admin listeners that the Terraform module gives a broker: the procedures run on the same, or not at all."""
    text = (ROOT / "terraform/locals.tf").read_text()
    port = re.search(r'variable "admin_port" {.*?default += (\d+)', (ROOT / "terraform/variables.tf").read_text(), re.S)[1]
    return re.search(r'^ *"admin.listeners" += "(.*)"$', text, re.M)[1].replace("${var.admin_port}", port)


class Cluster:
    """Brokers 1 to `voters`, which are the quorum; more can be added."""

    def __init__(self, case, name, voters=3, store=False, settings=None):
        self.case, self.voters, self.settings = case, voters, settings or {}
        self.machines = Machines(case, name)
        self.dir = self.machines.processes.dir
        self.operator = self.machines.add("operator")
        self.brokers = {}
        self.certs = self.dir / "certs"
        self.store = self.machines.add("minio") if store else None
        self.store_env = {}
        for id in range(1, voters + 1):
            self.machine(id)
        self.client = self.dir / "client.properties"
        self.client.write_text(f"security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.username=admin\n"
                               f"sasl.password={PASSWORD}\nssl.truststore.location={self.certs}/ca.crt\n")
        self.client.chmod(0o600)
        self.operator.run(ESKER, "certs", "ca", "--dir", self.certs)
        if store:
            self.start_store()
        self.driver = Driver(self)
        case.addCleanup(self.driver.end)

    def start_store(self):
        data = self.machines.folder("bucket-data")
        (data / "cold").mkdir()
        self.store.mounts = {"/data": data}
        self.store.start([CACHE / "bin/minio", "server", "/data", "--quiet", "--address", ":9000"],
                         env={"MINIO_ROOT_USER": Minio.USER, "MINIO_ROOT_PASSWORD": Minio.PASSWORD, "MINIO_BROWSER": "off",
                              "MINIO_UPDATE": "off"})
        self.store_env = {"AWS_ACCESS_KEY_ID": Minio.USER, "AWS_SECRET_ACCESS_KEY": Minio.PASSWORD,
                          "AWS_ENDPOINT": "http://minio:9000", "AWS_ENDPOINT_URL": "http://minio:9000",
                          "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
        wait_until("the store answers", lambda: self.operator.run(
            ESKER, "tier", "ls", "--store", STORE, env=self.store_env, check=False).returncode == 0, 90, 0.5)

    @property
    def bootstrap(self):
        return ",".join(f"broker-{id}:9092" for id in self.brokers)

    def machine(self, id):
        """A machine for a broker, set up and not started."""
        machine = self.machines.add(f"broker-{id}")
        self.brokers[id] = machine
        folder = self.machines.folder(f"machine-{id}")
        for name in ("etc/tls", "data", "bin"):
            (folder / name).mkdir(parents=True)
        shutil.copy2(ESKER, folder / "bin/esker")
        machine.mounts = {"/etc/esker": folder / "etc", "/var/lib/esker": folder / "data",
                          "/usr/local/bin/esker": folder / "bin/esker"}
        machine.folder = folder
        return machine

    def set_up(self, id):
        """Certificate and configuration, as cloud-init and esker-fetch write them."""
        folder = self.brokers[id].folder
        self.operator.run(ESKER, "certs", "--keep", "node", "--dir", self.certs, "--id", id, "--host", f"broker-{id}")
        for source, name in [("ca.crt", "ca.crt"), (f"node-{id}.crt", "node.crt"), (f"node-{id}.key", "node.key")]:
            shutil.copy2(self.certs / source, folder / "etc/tls" / name)
        quorum = ",".join(f"{v}@broker-{v}:9093" for v in range(1, self.voters + 1))
        tls = "/etc/esker/tls"
        properties = {
            "node.id": id, "cluster.id": CLUSTER_ID, "listeners": "SASL_SSL://0.0.0.0:9092",
            "advertised.listeners": f"SASL_SSL://broker-{id}:9092", "peer.listener": "0.0.0.0:9093",
            "peer.advertised.listener": f"broker-{id}:9093", "controller.quorum.voters": quorum,
            "log.dirs": "/var/lib/esker/data", "peer.ssl.ca.location": f"{tls}/ca.crt",
            "peer.ssl.certificate.location": f"{tls}/node.crt", "peer.ssl.key.location": f"{tls}/node.key",
            "ssl.keystore.certificate.location": f"{tls}/node.crt", "ssl.keystore.key.location": f"{tls}/node.key",
            "ssl.reload.interval.ms": 500, "default.replication.factor": min(self.voters, 3),
            "min.insync.replicas": min(self.voters, 2), "offsets.topic.num.partitions": 3,
            "group.initial.rebalance.delay.ms": 0, "admin.listeners": module_listeners(),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:admin", **self.settings,
        }
        if self.store:
            properties.update({"tier.store.url": STORE, "tier.backup.interval.ms": 1000,
                               "remote.log.manager.task.interval.ms": 500})
        (folder / "etc/esker.properties").write_text("".join(f"{k}={v}\n" for k, v in properties.items()))

    def start(self, id):
        machine = self.brokers[id]
        (machine.folder / "data/data").mkdir(exist_ok=True)
        machine.start(["/usr/local/bin/esker", "server", "--config", "/etc/esker/esker.properties"],
                      env={"ESKER_SECURITY_BOOTSTRAP_USER": f"admin:{PASSWORD}", "ESKER_LOG": "info,openraft=off",
                           **self.store_env})

    def start_all(self):
        for id in self.brokers:
            self.set_up(id)
            self.start(id)
        self.wait_ready()

    def wait_ready(self):
        for id in self.brokers:
            wait_until(f"broker {id} is ready", lambda id=id: self.healthy(id), 120, 0.3)

    def healthy(self, id, path="/readyz"):
        machine = self.brokers[id]
        if machine.process is None or machine.process.poll() is not None:
            return False
        return machine.run("/usr/local/bin/esker", "health", path, check=False).returncode == 0

    def whole(self):
        """Whether all replicas are in sync, as an operator sees it."""
        rows = [line.replace("│", "┆").split("┆") for line in self.esker("topic", "list").splitlines()]
        return all(row[4].strip() == "0" for row in rows if len(row) > 5 and row[2].strip().isdigit())

    def kill(self, id):
        self.brokers[id].kill()

    def wipe(self, id):
        """The machine's replacement: the same address and certificate, an empty disk."""
        data = self.brokers[id].folder / "data"
        shutil.rmtree(data)
        data.mkdir()

    def digest(self, id):
        """Of the binary that the broker would run."""
        return hashlib.sha256((self.brokers[id].folder / "bin/esker").read_bytes()).hexdigest()

    # What an operator does.

    def esker(self, *arguments, check=True, input=None, client=None, bootstrap=None):
        """`esker` against the cluster, on the operator's machine."""
        return self.operator.run(ESKER, *arguments, "--bootstrap-server", bootstrap or self.bootstrap, "--command-config",
                                 client or self.client, check=check, input=input, env=self.store_env).stdout

    def script(self, name, *arguments, check=True, timeout=300, **env):
        """A procedure of deploy/scripts."""
        done = self.operator.run(DEPLOY / "scripts" / name, *arguments, check=False, timeout=timeout, env={
            "BOOTSTRAP": self.bootstrap, "CLIENT": str(self.client), "ESKER": str(ESKER), "PAUSE": "0.3",
            "PATIENCE": "150", "SETTLE": "2", "DRIVER": self.driver.command, **self.store_env, **env})
        if check and done.returncode:
            raise AssertionError(f"{name} {arguments}: exit {done.returncode}\n{done.stdout}")
        return done

    def topic(self, name, partitions=3, **configs):
        flags = [f"--config={key.replace('_', '.')}={value}" for key, value in configs.items()]
        self.esker("topic", "create", name, "--partitions", partitions, *flags)

    def program(self, name, *arguments, check=True, timeout=120, **env):
        """A Python program of this folder, on the operator's machine, with Kafka's client."""
        return self.operator.run(PYTHON, HERE / name, self.bootstrap, self.client, *arguments, check=check, timeout=timeout, env=env)

    def writer(self, topic):
        return Writer(self, topic)


class Writer:
    """Writes all the time, and notes what was acknowledged."""

    def __init__(self, cluster, topic):
        self.cluster, self.topic = cluster, topic
        self.notes = cluster.dir / f"{topic}.acknowledged"
        self.process = cluster.machines.processes.start(f"writer-{topic}", cluster.operator.command(
            [PYTHON, HERE / "writer.py", cluster.bootstrap, cluster.client, topic, self.notes]))
        wait_until("the writer writes", lambda: self.acknowledged() > 0, 60)

    def acknowledged(self):
        return self.notes.read_text().count("\n") if self.notes.exists() else 0

    def check(self, case):
        """Ends it; everything acknowledged must be there, in order, once."""
        case.assertIsNone(self.process.poll(), self.cluster.machines.processes.log(f"writer-{self.topic}"))
        before = self.acknowledged()
        wait_until("the writer goes on", lambda: self.acknowledged() > before, 60)
        self.cluster.machines.processes.stop(self.process, 60)
        noted = [int(line) for line in self.notes.read_text().split()]
        found = json.loads(self.cluster.program("reader.py", self.topic, len(noted)).stdout.splitlines()[-1])
        case.assertEqual(sorted(set(noted) - set(found)), [], "acknowledged, and gone")
        case.assertEqual(len(found), len(set(found)), "something came twice")
        print(f"({len(noted)} acknowledged) ", end="", flush=True)


class Driver:
    """What scripts call to act on a broker's machine: a command that speaks to this process over a socket."""

    def __init__(self, cluster):
        self.cluster = cluster
        path = cluster.dir / "driver.socket"
        self.command = f"{sys.executable} {HERE / 'driver.py'} {path}"
        self.calls = []
        self.unreachable = set()  # brokers whose machines the driver does not reach
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection:
                words = json.loads(connection.makefile().readline())
                try:
                    said = self.act(*words) or ""
                    code = 0
                except Exception as error:  # told to the script, which fails
                    said, code = f"{type(error).__name__}: {error}", 1
                connection.sendall(json.dumps([code, said]).encode())

    def act(self, verb, id, *more):
        id = int(id)
        if id in self.unreachable:
            raise RuntimeError(f"no way to the machine of broker {id}")
        if verb == "health":
            if not self.cluster.healthy(id, *more):
                raise RuntimeError("not healthy")
            return
        self.calls.append((verb, id, *more))
        machine = self.cluster.brokers[id]
        if verb == "stop":
            if machine.stop(120) != 0:
                raise RuntimeError("the broker did not end in order")
        elif verb == "start":
            self.cluster.start(id)
        elif verb == "install":
            new = machine.folder / "bin/esker.new"
            shutil.copy2(more[0], new)
            os.replace(new, machine.folder / "bin/esker")
        elif verb == "push":
            new = machine.folder / "etc/tls/.new"
            shutil.copy2(more[0], new)
            os.replace(new, machine.folder / "etc/tls" / more[1])
        elif verb == "replace":
            self.cluster.wipe(id)
        else:
            raise RuntimeError(f"no verb {verb}")

    def order(self, *verbs):
        """The calls of these verbs, as (verb, id)."""
        return [call[:2] for call in self.calls if call[0] in verbs]

    def end(self):
        # A thread in `accept` is not woken by closing the socket alone.
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join(5)


__all__ = ["Cluster", "ESKER", "ROOT", "alive", "subprocess", "wait_until", "CLUSTER_ID", "STORE"]
