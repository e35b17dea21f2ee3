"""Planted secrets are looked for in everything that a broker writes or tells; what holds secrets is its owner's alone."""

import base64
import json
import os
import signal
import stat
import tarfile
import urllib.error
import urllib.request

from case import ClusterCase
from clients import write_config
from dev import esker
from messages import ask
from processes import free_ports, wait_until
from security import Sasl
from wire import Connection


class Secrets(ClusterCase):
    # Each in another place; none may ever be seen where it was not put.
    FIRST, ADDED, WRONG, PASSPHRASE, STORE, TOKEN = (
        f"planted-{name}-8fd1" for name in ("first", "added", "wrong", "passphrase", "store", "token"))

    def test_planted_secrets_are_nowhere_to_be_seen(self):
        ports = free_ports(3)
        self.http = f"http://127.0.0.1:{ports[2]}"
        raw = f"127.0.0.1:{ports[1]}"
        keys = self.processes.dir / "keys.json"
        keys.write_text(json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k",
                                              "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}))
        dev = self.dev(1, settings={
            "listeners": f"PLAINTEXT://127.0.0.1:{ports[0]},SASL_PLAINTEXT://{raw}",
            "security.bootstrap.user": f"admin:{self.FIRST}", "ssl.key.password": self.PASSPHRASE,
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            "sasl.oauthbearer.jwks.endpoint.url": f"file://{keys}", "tier.store.secret.key": self.STORE,
            "admin.listeners": self.http, "admin.metrics.anonymous": "true", "audit.log.path": str(self.processes.dir / "audit.log"), "connection.failed.authentication.delay.ms": 10,
        }, env={"ESKER_LOG": "trace,h2=info,hyper=info,mio=info", "RUST_BACKTRACE": "1"})
        config = write_config(self.processes.dir / "admin.properties", "SASL_PLAINTEXT", "SCRAM-SHA-512", "admin", self.FIRST)
        told = [esker("user", "add", "bob", "--password", self.ADDED, "--bootstrap-server", raw, "--command-config",
                      config).stdout]
        for attempt in (lambda c: c.plain("bob", self.ADDED), lambda c: c.plain("bob", self.WRONG),
                        lambda c: c.plain(self.WRONG, self.WRONG), lambda c: c.bearer(f"a.{self.TOKEN}.c"),
                        lambda c: c.bearer(f"e30.{self.TOKEN}.{self.TOKEN}")):
            with Sasl(raw) as connection:
                attempt(connection)
        told += self.replies(dev)
        # The words of a broker that is told to end, of one that is killed, and of one that aborts.
        dev.signal(1, signal.SIGABRT)
        wait_until("the broker has ended", lambda: "broker 1 ended" in dev.output() or not self.runs(dev), 30)
        told += [dev.output(), dev.broker_logs(1_000_000)]
        told += [path.read_text(errors="replace") for path in self.processes.dir.glob("*.log")]
        told = "\n".join(told)
        self.assertIn("bob", told, "the control: what is no secret is seen")
        secrets = {name: getattr(self, name) for name in ("FIRST", "ADDED", "PASSPHRASE", "STORE", "TOKEN")}
        for name, secret in secrets.items():
            for form in (secret, base64.b64encode(secret.encode()).decode().rstrip("="), secret.encode().hex()):
                self.assertNotIn(form, told, name)
        # A wrong password is not seen either; it was also tried as a name, which is.
        self.assertNotIn(f"password={self.WRONG}", told)
        self.on_disk(dev)

    def runs(self, dev):
        try:
            os.kill(dev.pid(1), 0)
            return True
        except OSError:
            return False

    def replies(self, dev):
        """What the broker tells to whoever may ask everything."""
        with Connection(dev.bootstrap) as connection:
            resources = [{"ResourceType": 4, "ResourceName": "1", "ConfigurationKeys": None}]
            configs = ask(connection, "DescribeConfigs", 4, {"Resources": resources, "IncludeSynonyms": True,
                                                              "IncludeDocumentation": True})
            found = {c["Name"]: c for c in configs["Results"][0]["Configs"]}
            for name in ("security.bootstrap.user", "ssl.key.password", "tier.store.secret.key"):
                self.assertIsNone(found[name]["Value"], name)
                self.assertTrue(found[name]["IsSensitive"], name)
                self.assertTrue(all(s["Value"] is None for s in found[name]["Synonyms"]), name)
            users = ask(connection, "DescribeUserScramCredentials", 0, {"Users": None})
            self.assertEqual({u["User"] for u in users["Results"]}, {"admin", "bob"})
            cluster = ask(connection, "DescribeCluster", 0, {"IncludeClusterAuthorizedOperations": True})
        out = [repr(configs), repr(users), repr(cluster)]
        for page in ("/metrics", "/metrics/kafka", "/readyz", "/livez"):
            try:
                with urllib.request.urlopen(self.http + page, timeout=10) as answer:
                    out.append(answer.read().decode())
            except urllib.error.HTTPError as refused:
                out.append(refused.read().decode())
        self.assertTrue(any("esker_" in page for page in out), "the control: these are metrics")
        commands = esker("--help").stdout
        path = dev.data / "broker-1/broker.properties"
        for command in (["config", "show", "--config", path], ["config", "check", "--config", path]):
            if f" {command[0]} " in commands:
                done = esker(*command, check=False)
                out.append(done.stdout + done.stderr)
        out.append(self.bundle(dev, path))
        # A configuration that is refused does not show it either.
        broken = self.processes.dir / "broken.properties"
        broken.write_text(f"security.bootstrap.user={self.FIRST}\nssl.key.password={self.PASSPHRASE}\nnode.id=x\n")
        done = esker("server", "--config", broken, check=False)
        self.assertNotEqual(done.returncode, 0)
        return [*out, done.stdout, done.stderr]

    def bundle(self, dev, config):
        """All that `esker debug-bundle` packs, and what it says."""
        archive = self.processes.dir / "bundle.tar.gz"
        done = esker("debug-bundle", "--out", archive, "--config", config, "--log", dev.data / "broker-1/broker.log",
                     "--admin", self.http.removeprefix("http://"), "--bootstrap-server", dev.bootstrap)
        self.assertEqual(stat.S_IMODE(archive.stat().st_mode) & 0o077, 0, "the debug bundle")
        with tarfile.open(archive) as packed:
            files = {member.name: packed.extractfile(member).read() for member in packed if member.isfile()}
        self.assertTrue(any(b"esker_" in data for data in files.values()), "the control: the metrics are in it")
        return "\n".join([done.stdout, done.stderr, *(f"{name}\n{data.decode(errors='replace')}" for name, data in files.items())])

    def on_disk(self, dev):
        """Passwords are kept salted only; what holds a secret is readable by its owner alone."""
        salted = 0
        for path in dev.data.rglob("*"):
            if not path.is_file():
                continue
            data = path.read_bytes()
            holds = [s for s in (self.FIRST, self.ADDED, self.PASSPHRASE, self.STORE) if s.encode() in data]
            if holds:
                self.assertEqual(path.name.split(".")[0] in ("broker", "dev"), True, f"{path} holds {holds}")
            private = holds or path.suffix == ".key" or path.suffix == ".redb" or path.name == "broker.properties"
            if private:
                salted += 1
                mode = stat.S_IMODE(path.stat().st_mode)
                self.assertEqual(mode & 0o077, 0, f"{path} has mode {mode:o}")
        self.assertGreater(salted, 2)
        audit = self.processes.dir / "audit.log"
        self.assertEqual(stat.S_IMODE(audit.stat().st_mode) & 0o077, 0, "the audit log")
