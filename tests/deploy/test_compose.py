"""The compose file, loaded by compose's own library, and its services run as processes: same commands, variables, volumes,
users and names, each in namespaces of its own."""

import copy
import json
import os
import subprocess
import unittest
from pathlib import Path

from machines import ESKER, Machines, machines_work, wait_until
from tools import CACHE, DEPLOY, asked, run

FILE = DEPLOY / "compose/compose.yaml"
ENVIRONMENT = {"ESKER_PASSWORD": "first-password", "MINIO_PASSWORD": "store-secret"}


def project(**environment):
    done = subprocess.run([CACHE / "bin/compose-config", FILE], capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"], **environment})
    if done.returncode:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


class Text(unittest.TestCase):
    def test_the_file_fits_composes_own_schema(self):
        services = project(**ENVIRONMENT)["services"]
        self.assertEqual([name for name in services if name.startswith("broker")], ["broker-1", "broker-2", "broker-3"])

    def test_a_key_that_compose_does_not_have_is_found(self):
        """The control of the test above."""
        planted = FILE.read_text().replace("stop_grace_period:", "stop_grace_perod:")
        file = CACHE / f"planted-{os.getpid()}.yaml"
        file.write_text(planted)
        self.addCleanup(file.unlink)
        self.assertNotEqual(run(CACHE / "bin/compose-config", file, check=False, env={**os.environ, **ENVIRONMENT}).returncode, 0)

    def test_a_missing_password_is_told_before_anything_starts(self):
        for missing in ENVIRONMENT:
            with self.subTest(missing), self.assertRaisesRegex(AssertionError, f"set {missing}"):
                project(**{key: value for key, value in ENVIRONMENT.items() if key != missing})

    def test_every_container_is_shut_in(self):
        for name, service in project(**ENVIRONMENT)["services"].items():
            if name != "minio":
                with self.subTest(name):
                    self.assertEqual((service["read_only"], service["cap_drop"], service["security_opt"]),
                                     (True, ["ALL"], ["no-new-privileges:true"]))
        published = [port for service in project(**ENVIRONMENT)["services"].values() for port in service.get("ports", [])]
        self.assertEqual({port["host_ip"] for port in published}, {"127.0.0.1"})


class Run(unittest.TestCase):
    """`docker compose up`, by hand."""

    def setUp(self):
        self.services = project(**ENVIRONMENT)["services"]
        self.machines = Machines(self, "compose")
        self.up = {}

    def machine(self, name):
        """A container: its volumes, its user, no capability, no new privileges."""
        if name not in self.up:
            machine = self.up[name] = self.machines.add(name)
            for volume in self.services[name].get("volumes", []):
                if volume["type"] == "bind":
                    source = Path(volume["source"])
                else:
                    source = self.machines.folder(f"volume-{volume['source']}")
                    if name != "minio":
                        os.chown(source, 65532, 65532)
                machine.mounts[volume["target"]] = source
            if name != "minio":
                machine.mounts["/usr/local/bin/esker"] = ESKER
            # The image's folders are there for everybody to pass through.
            os.chmod(self.machines.processes.dir, 0o755)
        return self.up[name]

    def command(self, name, words=None):
        words = words or self.services[name]["command"]
        if name == "minio":
            return [CACHE / "bin/minio", *words, "--quiet"]
        words = words if words[0].startswith("/") else ["/usr/local/bin/esker", *words]
        return ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--no-new-privs", "--bounding-set=-all",
                "--inh-caps=-all", *words]

    def environment(self, name):
        return {key: str(value) for key, value in (self.services[name].get("environment") or {}).items()}

    def once(self, name, check=True):
        return self.machine(name).run(*self.command(name), env=self.environment(name), check=check)

    def start(self, name):
        self.machine(name).start(self.command(name), env=self.environment(name))

    def test_three_brokers_and_the_store_come_up_and_serve(self):
        order = ["certs-ca", "certs-1", "certs-2", "certs-3"]
        self.start("minio")
        # restart: on-failure, until the store answers.
        wait_until("the bucket is there", lambda: self.once("bucket", check=False).returncode == 0, 90, 0.5)
        for name in order:
            self.once(name)
        tls = self.machines.folder("volume-tls")
        made = {file.name: file.read_bytes() for file in tls.iterdir()}
        self.assertEqual(len(made), 8)
        for name in order:  # `up` for the second time
            self.once(name)
        self.assertEqual({file.name: file.read_bytes() for file in tls.iterdir()}, made)
        brokers = ["broker-1", "broker-2", "broker-3"]
        for name in brokers:
            self.machine(name)
        for name in brokers:
            self.start(name)
        for name in brokers:
            check = self.services[name]["healthcheck"]["test"]
            self.assertEqual(check[0], "CMD")
            machine = self.machine(name)
            wait_until(f"{name} is healthy", lambda: machine.run(*self.command(name, check[1:]), check=False).returncode == 0, 120, 0.5)
        client = self.machines.add("client")
        properties = self.machines.processes.dir / "client.properties"
        lines = (DEPLOY / "compose/client.properties").read_text()
        properties.write_text(lines.replace("sasl.password=", f"sasl.password={ENVIRONMENT['ESKER_PASSWORD']}")
                              .replace("location=ca.crt", f"location={tls}/ca.crt"))
        at = ["--bootstrap-server", "broker-1:9092,broker-2:9092", "--command-config", properties]
        client.run(ESKER, "topic", "create", "t", *at)
        self.assertIn("t ", client.run(ESKER, "topic", "list", *at).stdout)
        # The listener for clients on the same machine, as the port is published.
        local = copy.copy(self.machine("broker-2"))
        local.run(ESKER, "topic", "list", "--bootstrap-server", "localhost:29092", "--command-config", properties,
                  mounts={"/etc/esker/tls": tls})
        # The console and metrics, at the container's port that is published for this machine.
        published = {(port["target"], int(port["published"])) for port in self.services["broker-2"]["ports"]}
        self.assertEqual(published, {(29092, 29092), (9645, 29645)})
        for path, user, status, said in [("/metrics", f"admin:{ENVIRONMENT['ESKER_PASSWORD']}", 200, "esker_uptime_seconds"),
                                         ("/", f"admin:{ENVIRONMENT['ESKER_PASSWORD']}", 200, "<!doctype html>"),
                                         ("/metrics", "", 401, "")]:
            self.assertEqual(*asked(client, f"https://broker-2:9645{path}", tls / "ca.crt", user, status, said))
        wrong = properties.read_text().replace(ENVIRONMENT["ESKER_PASSWORD"], "wrong")
        properties.write_text(wrong)
        self.assertNotEqual(client.run(ESKER, "topic", "list", *at, check=False).returncode, 0)


class WithoutNamespaces(unittest.TestCase):
    def test_the_compose_services_as_processes(self):
        self.skipTest("no network or mount namespaces")


def load_tests(loader, tests, pattern):
    """One test that is skipped in place of those that need namespaces."""
    kept = unittest.TestSuite()
    for each in (Text, Run if machines_work() else WithoutNamespaces):
        kept.addTests(loader.loadTestsFromTestCase(each))
    return kept


if __name__ == "__main__":
    unittest.main()
