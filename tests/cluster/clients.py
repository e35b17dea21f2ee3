"""The four client programs of tests/clients, and what their output must prove."""

import json
import os
import subprocess
import time
from collections import defaultdict

from processes import CACHE, JAVA, KAFKA_JARS, ROOT, wait_until

KEYS = 97
CLIENTS = {
    "java": [*JAVA, f"{CACHE}/java-client:{KAFKA_JARS}/*", "Client"],
    "python": [str(CACHE / "python/bin/python"), str(ROOT / "tests/clients/python/client.py")],
    "go": [str(CACHE / "bin/go-client")],
    "node": ["node", str(CACHE / "node/client.js")],
}


def write_config(path, protocol, mechanism=None, user=None, password=None, ca=None):
    """The properties file of the contract."""
    lines = [f"security.protocol={protocol}"]
    if mechanism:
        lines += [f"sasl.mechanism={mechanism}", f"sasl.username={user}", f"sasl.password={password}"]
    if ca:
        lines.append(f"ssl.ca={ca}")
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


def _command(client, verb, bootstrap, topic, config, **options):
    command = [*CLIENTS[client], verb, "--bootstrap", bootstrap, "--topic", topic]
    if config:
        command += ["--config", str(config)]
    for name, value in options.items():
        if value is not None:
            command += [f"--{name}", str(value)]
    return command


def _last_json(process_output, what, stderr):
    lines = [line for line in process_output.splitlines() if line.startswith("{")]
    if not lines:
        raise AssertionError(f"{what} printed no result\n{process_output}\n{stderr}")
    return json.loads(lines[-1])


class Produced:
    """What a producer says it sent."""

    def __init__(self, count, hash):
        self.count, self.hash = count, int(hash, 16)

    def __add__(self, other):
        both = Produced(self.count + other.count, "0")
        both.hash = (self.hash + other.hash) % 2**64
        return both


def produce(client, bootstrap, topic, count, seed, config=None, timeout=120):
    """Produces and requires that all was acknowledged."""
    done = subprocess.run(_command(client, "produce", bootstrap, topic, config, count=count, seed=seed),
                          capture_output=True, text=True, timeout=timeout, errors="replace")
    result = _last_json(done.stdout, f"{client} produce", done.stderr)
    if done.returncode != 0 or result["acked"] != count:
        raise AssertionError(f"{client} produced {result} of {count}\n{done.stderr[-3000:]}")
    return Produced(result["acked"], result["hash"])


class Consumer:
    """A running consumer whose records can be looked at while it runs."""

    def __init__(self, processes, client, bootstrap, topic, count, config=None, group=None, timeout=120, name=None):
        self.name = name or f"{client}-{topic}-{time.monotonic_ns()}"
        self.out = processes.dir / f"{self.name}.records"
        self.out.touch()
        self.processes = processes
        self.process = processes.start(self.name, _command(client, "consume", bootstrap, topic, config, count=count,
                                                           out=self.out, group=group, timeout=timeout))

    def records(self):
        """(partition, offset, key, counter, digest) of each whole line."""
        text = self.out.read_text()
        rows = [line.split("\t") for line in text[:text.rfind("\n") + 1].splitlines()]
        return [(int(p), int(o), key, int(counter), int(digest, 16)) for p, o, key, counter, digest in rows]

    def wait(self, seconds=130):
        """Waits for its own end and requires that it succeeded."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = "none"
        self.processes.stop(self.process)
        if code != 0:
            raise AssertionError(f"{self.name}: exit {code} after {len(self.records())} records\n"
                                 f"{self.processes.log(self.name)}")
        return self.records()

    def stop(self):
        """Asks it to leave in order."""
        return self.processes.stop(self.process)


def consume(processes, client, bootstrap, topic, count, **options):
    """Reads `count` records to the end; returns them."""
    consumer = Consumer(processes, client, bootstrap, topic, count, **options)
    return consumer.wait(options.get("timeout", 120) + 10)


def consume_as_two(processes, clients, bootstrap, topic, count, group, config=None, seconds=120):
    """Two members of one group read the topic together; returns all that both have read."""
    members = [Consumer(processes, client, bootstrap, topic, 10**9, config=config, group=group, timeout=seconds + 60,
                        name=f"{group}-{i}-{client}") for i, client in enumerate(clients)]

    def all_there():
        for member in members:
            if member.process.poll() is not None:
                raise AssertionError(f"{member.name} ended\n{processes.log(member.name)}")
        return len({row[:2] for member in members for row in member.records()}) >= count

    try:
        wait_until(f"two members of {group} have read {count} records", all_there, seconds, 0.2)
    except AssertionError as late:
        seen = [(m.name, len(m.records())) for m in members]
        raise AssertionError(f"{late}; {seen}; {processes.log(members[0].name)}") from None
    finally:
        for member in members:
            member.stop()
    return [row for member in members for row in member.records()]


def verify(records, produced, what, redelivery=False):
    """Counts, gaps, duplicates, order per key, content. With `redelivery` a record may be read more than once
    (a group rebalanced before its commit), but never with other content."""
    seen = {}
    for partition, offset, key, counter, digest in records:
        known = seen.setdefault((partition, offset), (key, counter, digest))
        if known != (key, counter, digest):
            raise AssertionError(f"{what}: two records at {partition}:{offset}: {known}, {(key, counter, digest)}")
    if not redelivery and len(seen) != len(records):
        raise AssertionError(f"{what}: {len(records) - len(seen)} records were delivered twice")
    if len(seen) != produced.count:
        raise AssertionError(f"{what}: {len(seen)} records, {produced.count} were acknowledged")
    per_key = defaultdict(list)
    for (partition, _), (key, counter, _) in sorted(seen.items()):
        per_key[key].append((partition, counter))
    for key, row in per_key.items():
        if len({partition for partition, _ in row}) != 1:
            raise AssertionError(f"{what}: key {key} is in several partitions")
        counters = [counter for _, counter in row]
        if counters != list(range(len(counters))):
            raise AssertionError(f"{what}: the order of key {key} is {counters[:20]}…")
    total = sum(digest for _, _, digest in seen.values()) % 2**64
    if total != produced.hash:
        raise AssertionError(f"{what}: content hash {total:016x}, sent {produced.hash:016x}")
