"""Small machines for the deploy tests: each is a network namespace with an address and names of its own, and a mount
namespace in which folders of the test stand at the places that a unit, a container or a pod would see.

What runs in them are the very commands of the files under test, as processes. Needs root; `machines_work()` says.
"""

import itertools
import os
import shlex
import shutil
import subprocess
import unittest
from pathlib import Path

import tools  # noqa: F401 (the path to the cluster tests' modules)
from processes import ESKER, Processes, wait_until

NET = "10.232.79"
_numbers = itertools.count(1)


def ip(*arguments, check=True):
    return subprocess.run(["ip", *map(str, arguments)], check=check, capture_output=True, text=True)


def machines_work():
    """Whether this machine lets us make network and mount namespaces."""
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
        return False
    name = f"esker-try-{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("-n", name, "link", "add", "switch", "type", "bridge")
        ip("-n", name, "link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b")
        subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], check=True, capture_output=True)
        return True
    except subprocess.CalledProcessError:
        return False
    finally:
        ip("netns", "del", name, check=False)


class Machine:
    """One of them."""

    def __init__(self, all_machines, name, names, address):
        self.all, self.name, self.names, self.address = all_machines, name, names, address
        self.space = f"{all_machines.tag}-{next(_numbers)}"
        self.mounts = {}  # place → folder or file of the test
        self.process = None

    def command(self, command, mounts=None):
        """The words that run a command in the machine."""
        binds = {"/etc/hosts": self.all.hosts, **self.mounts, **(mounts or {})}
        lines = ["set -e"]
        for place, source in binds.items():
            if not Path(place).exists():
                # Made in an overlay of the folder above it: what is in that stays to be seen, what is made goes with the
                # namespace, and nothing of it is ever on the real disk.
                over = Path(place).parent
                while not over.exists():
                    over = over.parent
                make = f"mkdir -p {place}" if Path(source).is_dir() else f"mkdir -p {Path(place).parent}; touch {place}"
                lines.append(f"if ! [ -e {place} ]; then t=$(mktemp -d -p {self.all.processes.dir}); mount -t tmpfs tmpfs $t; mkdir $t/up $t/work; mount -t "
                             f"overlay overlay -o lowerdir={over},upperdir=$t/up,workdir=$t/work {over}; {make}; fi")
        lines += [f"mount --bind {source} {place}" for place, source in binds.items()]
        lines.append(f"exec {shlex.join(map(str, command))}")
        return ["ip", "netns", "exec", self.space, "unshare", "-m", "--propagation", "private", "sh", "-c", "\n".join(lines)]

    def start(self, command, env=None, mounts=None):
        """Starts the machine's service."""
        self.process = self.all.processes.start(self.name, self.command(command, mounts), env=self.environment(env))
        return self.process

    def run(self, *command, env=None, mounts=None, check=True, timeout=120, input=None):
        """Runs a command there to its end."""
        done = subprocess.run(self.command(command, mounts), env=self.environment(env), text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, input=input,
                              stdin=None if input is not None else subprocess.DEVNULL)
        if check and done.returncode:
            raise AssertionError(f"{self.name}: {shlex.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
        return done

    @staticmethod
    def environment(env):
        """Nothing of the tests' own environment that could be taken for a setting."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        return {**kept, **(env or {})}

    def stop(self, seconds=60):
        code = self.all.processes.stop(self.process, seconds)
        self.process = None
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.all.processes.running.remove(self.process)
        self.process = None

    def log(self, lines=40):
        return self.all.processes.log(self.name, lines)


class Machines:
    """A switch and the machines on it; all know each other's names."""

    def __init__(self, case, name):
        self.processes = Processes(name)
        self.tag = f"esd{os.getpid() % 100000}x{next(_numbers)}"
        self.hub = f"{self.tag}-hub"
        self.machines = {}
        self.hosts = self.processes.dir / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n")
        case.addCleanup(self.end, case)
        ip("netns", "add", self.hub)
        ip("-n", self.hub, "link", "add", "switch", "type", "bridge")
        ip("-n", self.hub, "link", "set", "switch", "up")

    def add(self, name, *names):
        """A machine with these names besides its own."""
        number = len(self.machines) + 10
        machine = Machine(self, name, (name, *names), f"{NET}.{number}")
        ip("netns", "add", machine.space)
        ip("-n", machine.space, "link", "set", "lo", "up")
        ip("-n", self.hub, "link", "add", f"m{number}", "type", "veth", "peer", "name", "eth0", "netns", machine.space)
        ip("-n", self.hub, "link", "set", f"m{number}", "master", "switch")
        ip("-n", self.hub, "link", "set", f"m{number}", "up")
        ip("-n", machine.space, "addr", "add", f"{machine.address}/24", "dev", "eth0")
        ip("-n", machine.space, "link", "set", "eth0", "up")
        self.machines[name] = machine
        with open(self.hosts, "a") as hosts:
            hosts.write(f"{machine.address} {' '.join(machine.names)}\n")
        return machine

    def folder(self, name):
        """A folder of the test."""
        made = self.processes.dir / name
        made.mkdir(parents=True, exist_ok=True)
        return made

    def end(self, case):
        failed = any(error for _, error in getattr(case._outcome, "errors", [])) or not case._outcome.success
        if failed:
            for machine in self.machines.values():
                if machine.log():
                    print(f"\n--- {machine.name}\n{machine.log(30)}", flush=True)
        self.processes.end()
        for machine in self.machines.values():
            ip("netns", "del", machine.space, check=False)
        ip("netns", "del", self.hub, check=False)


__all__ = ["ESKER", "Machine", "Machines", "machines_work", "unittest", "wait_until"]
