"""Processes of the tests: each is started in its own folder, watched, and ended by its own id.

Whatever a test starts is in `Processes`; `Processes.end()` leaves nothing behind, also after a failure.
"""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

CACHE = Path(os.environ.get("TESTS_CACHE", Path.home() / ".cache/esker"))
ROOT = Path(__file__).resolve().parent.parent.parent
ESKER = Path(os.environ.get("TESTS_BIN", ROOT / "target/debug/esker"))
KAFKA_JARS = CACHE / "kafka-4.3.1"
FAST = "TESTS_FAST" in os.environ

# Light JVMs: the tests start dozens of them on two cores.
JAVA = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp"]


def free_ports(count):
    """`count` consecutive TCP ports that were free a moment ago, below the range from which the kernel draws."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = 10_000 + (probe.getsockname()[1] * 7) % 20_000
        held = []
        try:
            for port in range(first, first + count):
                held.append(socket.socket())
                held[-1].bind(("127.0.0.1", port))
            return list(range(first, first + count))
        except OSError:
            continue
        finally:
            for each in held:
                each.close()


def wait_until(what, check, seconds=30, pause=0.05):
    """Waits until `check()` is truthy and returns that value; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause)


def alive(pid):
    """Whether the process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Processes:
    """A temporary folder and the processes that live in it."""

    def __init__(self, name):
        self.dir = Path(tempfile.mkdtemp(prefix=f"esker-{name}-"))
        self.running = []
        self.mounts = []  # folders on which a test has mounted something; ended after the processes

    def start(self, name, command, env=None, cwd=None, wrapper=()):
        """Starts a command with its output in `name.log`."""
        log = open(self.dir / f"{name}.log", "ab")
        process = subprocess.Popen([*map(str, wrapper), *map(str, command)], stdout=log, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, env=env, cwd=cwd or self.dir)
        log.close()
        self.running.append(process)
        return process

    def log(self, name, lines=40):
        """The end of a process's output, for a failure's message."""
        try:
            return "\n".join((self.dir / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def stop(self, process, seconds=20):
        """SIGTERM, then SIGKILL after `seconds`; returns the exit code."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.running:
            self.running.remove(process)
        return process.returncode

    def end(self, keep=False):
        """Ends everything and removes the folder (unless it is kept to look into)."""
        for process in self.running:
            if process.poll() is None:
                process.terminate()
        for process in reversed(list(self.running)):
            self.stop(process)
        for folder in self.mounts:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True)
        if keep:
            print(f"kept: {self.dir}", flush=True)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


class Minio:
    """A MinIO server on a free port, with one bucket; elsewhere than on this host by a `prefix` of its command."""

    USER, PASSWORD, BUCKET = "esker-test", "esker-test-secret", "cold"

    def __init__(self, processes, settings=None, host="127.0.0.1", prefix=()):
        data = processes.dir / "minio"
        # A bucket is a folder of the drive; made before the start it is simply there.
        (data / self.BUCKET).mkdir(parents=True)
        (port,) = free_ports(1)
        self.address = f"{host}:{port}"
        self.processes, self.data, self.prefix = processes, data, prefix
        self.env = dict(os.environ, MINIO_ROOT_USER=self.USER, MINIO_ROOT_PASSWORD=self.PASSWORD, MINIO_BROWSER="off",
                        MINIO_UPDATE="off", **(settings or {}))
        self.start()

    def start(self, *options):
        """Starts it (again, on the same drive and port); over TLS with `--certs-dir FOLDER`."""
        self.scheme = "https" if options else "http"
        self.process = self.processes.start("minio", [*self.prefix, CACHE / "bin/minio", "server", self.data, "--quiet",
                                                      "--address", self.address, *options], env=self.env)
        wait_until("MinIO answers", self.ready, 60)

    def ready(self):
        url = f"{self.scheme}://{self.address}/minio/health/ready"
        try:
            # Whether it is there, not who it is.
            with urllib.request.urlopen(url, timeout=1, context=ssl._create_unverified_context()) as answer:
                return answer.status == 200
        except OSError:
            return False

    def environment(self, endpoint):
        """What a broker needs to use the store through `endpoint` (host:port)."""
        return {"AWS_ACCESS_KEY_ID": self.USER, "AWS_SECRET_ACCESS_KEY": self.PASSWORD,
                "AWS_ENDPOINT": f"http://{endpoint}", "AWS_ENDPOINT_URL": f"http://{endpoint}",
                "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}


class Kafka:
    """Apache Kafka itself, one combined broker and controller, for comparisons."""

    def __init__(self, processes, node=1, nodes=1, ports=None, settings=None, name="kafka", heap="1g"):
        ports = ports or free_ports(2 * nodes)
        self.port = ports[2 * (node - 1)]
        voters = ",".join(f"{i + 1}@127.0.0.1:{ports[2 * i + 1]}" for i in range(nodes))
        self.bootstrap = f"127.0.0.1:{self.port}"
        data = processes.dir / f"{name}-{node}"
        replication = min(nodes, 3)
        lines = {
            "process.roles": "broker,controller", "node.id": node, "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{ports[2 * node - 1]}",
            "controller.listener.names": "CONTROLLER", "log.dirs": data, "group.initial.rebalance.delay.ms": 0,
            "offsets.topic.replication.factor": replication, "transaction.state.log.replication.factor": replication,
            "transaction.state.log.min.isr": min(replication, 2), "min.insync.replicas": min(replication, 2),
            "default.replication.factor": replication, **(settings or {}),
        }
        config = processes.dir / f"{name}-{node}.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        classpath = ["java", "-cp", f"{KAFKA_JARS}/*"]
        subprocess.run([*classpath, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", config],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes, self.name = processes, f"{name}-{node}"
        self.command = ["java", f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseG1GC", "-cp", f"{KAFKA_JARS}/*", "kafka.Kafka", config]
        self.start()

    def start(self):
        """Starts it (again, on the same folder)."""
        self.process = self.processes.start(self.name, self.command)

    def ready(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False


def kafka_tool(main_class, *arguments, check=True, timeout=120, input=None):
    """Runs one of Kafka's command line tools; returns its output."""
    done = subprocess.run([*JAVA, f"{KAFKA_JARS}/*", main_class, *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout, input=input, errors="replace")
    if check and done.returncode != 0:
        raise AssertionError(f"{main_class} {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr
