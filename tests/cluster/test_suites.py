"""The test suites of two clients as they are released: kafka-go's (`go test` of its module) and the rdkafka crate's, against
one broker.

Each test runs by itself, since one of them may take the others down with it. `suites.tsv` lists every test with what
comes of it on Apache Kafka 4.3.1 and here; what is listed to pass must pass, each one of them. The suites wait by the clock, so
what fails beside others is tried again alone, up to `ALONE` times. `TESTS_SUITES=kafka` runs them on Kafka, `TESTS_SUITES=esker` here, and writes what came of it into the
list."""

import hashlib
import os
import socket
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor

from case import ClusterCase, slow
from kafka_peer import Side, wait_for
from processes import CACHE, ROOT, Kafka, free_ports, wait_until

SUITES = CACHE / "suites"
LIST = ROOT / "tests/cluster/suites.tsv"
WRITES = os.environ.get("TESTS_SUITES")
LIMIT, WORKERS = 90, 4
# Tries alone; and how many tests may need them: when more fail, something is broken for all of them.
ALONE, MANY = 5, 25
# The addresses and users that kafka-go's tests have in them.
PLAIN, SASL = 9092, 9093
USER = "org.apache.kafka.common.security"
COMMON = {
    "message.max.bytes": 200_000_000, "group.initial.rebalance.delay.ms": 0, "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4, "allow.everyone.if.no.acl.found": "true", "super.users": "User:ANONYMOUS",
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
}
OF_KAFKA = {
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    "listener.name.sasl_plaintext.plain.sasl.jaas.config":
        f'{USER}.plain.PlainLoginModule required username="admin" password="x" user_adminplain="admin-secret";',
    "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config": f"{USER}.scram.ScramLoginModule required;",
    "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": f"{USER}.scram.ScramLoginModule required;",
}


def listed():
    """(Suite, test) → [on Kafka, here, reason]."""
    lines = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")] if LIST.exists() else []
    return {tuple(line.split("\t")[:2]): line.split("\t")[2:] for line in lines}


def write(known):
    head = [line for line in LIST.read_text().splitlines() if line.startswith("#")] if LIST.exists() else []
    rows = ["\t".join([*key, *value]) for key, value in sorted(known.items())]
    LIST.write_text("\n".join([*head, *rows]) + "\n")


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Suites(ClusterCase):
    def _broker(self, plain, sasl, settings):
        """One broker at these ports, with the users and the topic that kafka-go's tests want."""
        common = {**COMMON, **settings, "advertised.listeners": f"PLAINTEXT://localhost:{plain},SASL_PLAINTEXT://localhost:{sasl}"}
        listeners = f"PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl}"
        if WRITES == "kafka":
            (quorum,) = free_ports(1)
            it = Kafka(self.processes, ports=[plain, quorum], settings={
                **common, **OF_KAFKA, "transaction.state.log.min.isr": 1, "listeners": f"{listeners},CONTROLLER://127.0.0.1:{quorum}"})
            wait_for(it)
        else:
            (admin,) = free_ports(1)
            self.dev(1, port=plain, settings={
                **common, "listeners": listeners, "admin.listeners": f"http://127.0.0.1:{admin}", "security.bootstrap.user": "adminplain:admin-secret",
            })
        side = Side("the broker", f"127.0.0.1:{plain}")
        self.addCleanup(side.close)
        for mechanism, name in ((1, "sha256"), (2, "sha512")):
            salt, password = b"salt of the tests", f"admin-secret-{name[3:]}".encode()
            user = {"Name": "adminscram", "Mechanism": mechanism, "Iterations": 4096, "Salt": salt,
                    "SaltedPassword": hashlib.pbkdf2_hmac(name, password, salt, 4096)}
            made = lambda user=user: side.ask("AlterUserScramCredentials", 0, {"Upsertions": [user]})["Results"][0]
            wait_until("the users of the tests are there", lambda: not made()["ErrorCode"], 60, 0.5)
        side.create("test-writer-0")
        return side.address

    def _run(self, command, folder, environment):
        """What comes of one test, and its output."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, **environment), cwd=folder,
                                  timeout=LIMIT, errors="replace")
        except subprocess.TimeoutExpired as late:
            return "fails", f"not within {LIMIT} s\n{late.stdout}"
        output = done.stdout + done.stderr
        skipped = "\n--- SKIP: " in f"\n{output}" and "\n--- PASS: " not in f"\n{output}"
        return "fails" if done.returncode else "skips" if skipped else "passes", output

    def _judge(self, suite, tests, run):
        """Runs all tests and compares with the list."""
        known = listed()
        mine = {key: row for key, row in known.items() if key[0] == suite}
        column = 0 if WRITES == "kafka" else 1
        here = lambda test: mine.get((suite, test), ["?", "?"])[1]

        def tried(test):
            # What is known to fail is tried when the list is written anew: it may fail by waiting.
            return ("fails", "as listed") if not WRITES and here(test) == "fails" else run(test)

        with ThreadPoolExecutor(WORKERS) as pool:
            found = dict(zip(tests, pool.map(tried, tests)))
        again = [test for test, (outcome, _) in found.items() if outcome == "fails" and (WRITES or here(test) != "fails")]
        for test in again if len(again) <= MANY or WRITES else []:
            for _ in range(ALONE):
                found[test] = run(test)
                if found[test][0] != "fails":
                    print(f"({test} passes alone)", flush=True)
                    break
        if WRITES:
            known = listed()
            for test, (outcome, output) in found.items():
                row = known.setdefault((suite, test), ["?", "?", ""])
                row[column] = outcome
                if outcome == "fails":
                    print(f"--- {suite} {test}\n{output[-1500:]}", flush=True)
            gone = [key for key in mine if key[1] not in found]
            write({key: row for key, row in known.items() if key not in gone})
            return
        counts = [sum(outcome == what for outcome, _ in found.values()) for what in ("passes", "skips", "fails")]
        print(f"({suite}: {counts[0]} pass, {counts[1]} skip themselves, {counts[2]} fail as listed or new)", flush=True)
        self.assertEqual(sorted(tests), sorted(test for _, test in mine), "the list has every test")
        wrong = [test for test, (outcome, _) in found.items() if outcome == "fails" != here(test)]
        told = "\n".join(f"--- {test}\n{found[test][1][-1500:]}" for test in wrong)
        self.assertEqual(wrong, [], told)
        nowhere = [f"{test}: fails here" for (_, test), row in mine.items() if row[:2] == ["passes", "fails"] and not row[2]]
        self.assertEqual(nowhere, [], "what passes on Kafka and not here has a reason")

    @slow
    @unittest.skipUnless((SUITES / ".stamp").exists(), "the suites are not built")
    def test_kafka_gos_own_tests(self):
        wait_until("the ports of the suite are free", lambda: is_free(PLAIN) and is_free(SASL), 120, 1)
        self._broker(PLAIN, SASL, {})
        tests = {}
        for program in sorted((SUITES / "bin").glob("kafka-go*")):
            place = program.name.removeprefix("kafka-go").lstrip(".")
            folder = SUITES / "kafka-go" / place
            names = subprocess.run([program, "-test.list", "."], capture_output=True, text=True, check=True, cwd=folder).stdout.split()
            tests.update({f"{place}.{name}".lstrip("."): (program, folder, name) for name in names if name.startswith("Test")})
        self.assertGreater(len(tests), 100)

        def run(test):
            program, folder, name = tests[test]
            return self._run([program, "-test.run", f"^{name}$", "-test.v"], folder, {"KAFKA_VERSION": "3.7.0", "KAFKA_SKIP_NETTEST": "1"})

        self._judge("kafka-go", list(tests), run)

    @slow
    @unittest.skipUnless((SUITES / ".stamp").exists(), "the suites are not built")
    def test_the_rdkafka_crates_own_tests(self):
        # Some of its tests speak to localhost and Kafka's port whatever they are told.
        wait_until("the port of the suite is free", lambda: is_free(PLAIN), 120, 1)
        plain, (sasl,) = PLAIN, free_ports(1)
        # As its own broker is set up: topics that come by themselves have three partitions.
        environment = {"KAFKA_HOST": self._broker(plain, sasl, {"num.partitions": 3}),
                       "LD_LIBRARY_PATH": str(next(CACHE.glob("python/lib/python3*/site-packages/confluent_kafka.libs")))}
        tests = {}
        for program in sorted((SUITES / "bin").glob("rdkafka.*")):
            lines = subprocess.run([program, "--list", "--format", "terse"], capture_output=True, text=True, check=True,
                                   env=dict(os.environ, **environment)).stdout.splitlines()
            names = [line.removesuffix(": test") for line in lines if line.endswith(": test")]
            tests.update({f"{program.suffix[1:]}.{name}": (program, name) for name in names})
        self.assertGreater(len(tests), 30)

        def run(test):
            program, name = tests[test]
            return self._run([program, "--exact", name, "--nocapture"], SUITES / "rdkafka", environment)

        self._judge("rdkafka", list(tests), run)
