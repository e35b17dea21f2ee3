"""`esker` as an operator uses it: groups, ACLs, records, configs, profiles, JSON, exit codes, a debug bundle."""

import json
import os
import subprocess
import tarfile

from confluent_kafka import Consumer

from case import ClusterCase
from clients import produce
from processes import ESKER, free_ports, wait_until

SECRET = "planted-password-77c1"


class CommandLine(ClusterCase):
    def run_(self, *arguments, input="", env=None):
        return subprocess.run([str(ESKER), *map(str, arguments)], input=input, capture_output=True, text=True, timeout=120,
                              env={**os.environ, **(env or {})})

    def json_(self, *arguments, **kwargs):
        done = self.run_(*arguments, "--output", "json", **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_records_go_in_and_come_out_and_a_group_is_moved(self):
        dev = self.dev(3)
        at = ["--bootstrap-server", dev.bootstrap]
        self.assertEqual(self.json_("topic", "create", "t", "--partitions", 3, *at), {"created": "t"})
        lines = "".join(f"mine{i}=value{i}\n" for i in range(300))
        made = self.json_("produce", "t", "--key-separator", "=", "--compression", "zstd", "--header", "h=1", *at, input=lines)
        self.assertEqual(made, {"topic": "t", "records": 300})
        # Another client's records among them (where keys go: `cli/produce.rs`).
        produced = produce("java", dev.bootstrap, "t", 300, "s")
        self.assertEqual(produced.count, 300)
        read = self.run_("consume", "t", "--keys", *at)
        self.assertEqual(read.returncode, 0, read.stderr)
        found = [line for line in read.stdout.splitlines() if line.startswith("mine")]
        self.assertEqual(sorted(found), sorted(f"mine{i}\tvalue{i}" for i in range(300)))
        one = self.run_("consume", "t", "--partition", 1, "--max", 1, *at, "--output", "json")
        record = json.loads(one.stdout)
        self.assertEqual((record["partition"], record["offset"], record["headers"]), (1, 0, [{"key": "h", "value": "1"}]))
        self.assertEqual(self.run_("consume", "t", "--from", "latest", *at).stdout, "")
        self.assertEqual(len(self.run_("consume", "t", "--from", "@2020-01-01", "--max", 7, *at).stdout.splitlines()), 7)

        reader = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": "g", "auto.offset.reset": "earliest"})
        reader.subscribe(["t"])
        seen = 0

        def all_seen():
            nonlocal seen
            seen += len(reader.consume(200, 0.5))
            return seen >= 600

        wait_until("the group has read all", all_seen, 60)
        reader.commit(asynchronous=False)
        told = self.json_("group", "describe", "g", *at)
        self.assertEqual((told["state"], told["lag"], len(told["members"])), ("Stable", 0, 1))
        refused = self.run_("group", "reset-offsets", "g", "--to-earliest", *at)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("stop its consumers first", refused.stderr)
        reader.close()
        wait_until("the group is empty", lambda: self.json_("group", "describe", "g", *at)["state"] == "Empty", 30)
        planned = self.json_("group", "reset-offsets", "g", "--to-earliest", "--dry-run", *at)
        self.assertEqual({row["then"] for row in planned}, {0})
        self.assertEqual(self.json_("group", "describe", "g", *at)["lag"], 0, "a dry run")
        self.json_("group", "reset-offsets", "g", "--to-earliest", *at)
        self.assertEqual(self.json_("group", "describe", "g", *at)["lag"], 600)
        self.json_("group", "reset-offsets", "g", "--shift-by", 5, "--topic", "t:0", *at)
        self.assertEqual(self.json_("group", "describe", "g", *at)["lag"], 595)
        self.json_("group", "reset-offsets", "g", "--shift-by", -1000, "--topic", "t:0", *at)
        self.json_("group", "reset-offsets", "g", "--to-latest", *at)
        self.assertEqual(self.json_("group", "describe", "g", *at)["lag"], 0)
        self.assertIn("g", [row["group"] for row in self.json_("group", "list", *at)])
        self.assertEqual(self.json_("group", "delete", "g", *at), {"deleted": "g"})
        self.assertNotIn("g", [row["group"] for row in self.json_("group", "list", *at)])
        self.assertEqual(self.run_("group", "describe", "g", *at).returncode, 1)
        measured = self.json_("bench", "--megabytes", 2, *at)
        self.assertEqual(measured["write"]["records"], measured["read"]["records"])
        self.assertGreater(measured["read"]["mib_per_second"], 0)
        self.assertEqual([row["topic"] for row in self.json_("topic", "list", *at) if "bench" in row["topic"]], [])
        self.assertEqual(len(self.json_("cluster", "describe", *at)["brokers"]), 3)

    def test_every_command_has_json_for_programs(self):
        store, certs = self.processes.dir / "store", self.processes.dir / "certs"
        store.mkdir()
        dev = self.dev(1, tier=f"file://{store}", settings={
            "remote.log.manager.task.interval.ms": 200, "log.retention.check.interval.ms": 200})
        at, url = ["--bootstrap-server", dev.bootstrap], ["--store", f"file://{store}"]
        dev.topic_create("t", configs={"remote.storage.enable": "true", "segment.bytes": 65536, "local.retention.bytes": 1})
        produce("python", dev.bootstrap, "t", 3000, "s")
        wait_until("much is cold", lambda: dev.cold_offsets("t", 1) > 500, 60, 0.2)

        listed = self.json_("tier", "ls", "t", *url)
        (partition,) = listed["partitions"]
        self.assertEqual((partition["topic"], partition["partition"], partition["log_start"]), ("t", 0, 0))
        self.assertGreater(partition["tier_end"], 500)
        self.assertEqual({row["state"] for row in listed["segments"]} - {"live", "removed"}, set())
        self.assertGreater(listed["requests"]["get"], 0)
        self.assertNotIn("segments", self.json_("tier", "ls", *url))
        checked = self.json_("tier", "verify", "--deep", *url)
        self.assertEqual((checked["partitions"][0]["state"], checked["damage"]), ("in order", []))
        self.assertEqual(self.json_("tier", "repair", "t", "--dry-run", *url), [{"partition": 0, "state": "in order"}])
        (exported,) = self.json_("tier", "export", "t", "--out", self.processes.dir / "out", *url)
        self.assertGreater(exported["segments"], 0)
        restored = self.json_("tier", "restore", "t", "--dry-run", *url, *at)
        self.assertEqual((restored["topic"], restored["dry_run"], len(restored["partitions"])), ("t", True, 1))
        # An object goes, one that has been published for long: what is damaged is told, and the exit code says so.
        lost = min(store.rglob("*.seg"), key=lambda path: path.name)
        lost.unlink()
        damaged = self.run_("tier", "verify", *url, "--output", "json")
        self.assertEqual((damaged.returncode, len(json.loads(damaged.stdout)["damage"])), (1, 1), damaged.stderr)
        (planned,) = self.json_("tier", "repair", "t", "--dry-run", *url)
        self.assertEqual((planned["state"], planned["lost"][0][0], len(planned["lost"])), ("refused", 0, 1))
        refused = self.run_("tier", "repair", "t", *url)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("--cut", refused.stderr)
        self.assertIn(f"loses offsets 0..{planned['lost'][0][1]}", refused.stdout)
        (planned,) = self.json_("tier", "repair", "t", "--dry-run", "--cut=newest", *url)
        self.assertEqual((planned["state"], planned["log_start"]), ("would be repaired", planned["lost"][0][1]))

        self.assertEqual(len(self.json_("certs", "ca", "--dir", certs)["made"]), 2)
        self.assertEqual(self.json_("certs", "ca", "--dir", certs, "--keep"), {"made": []})
        self.json_("certs", "node", "--id", 7, "--host", "a.example", "--dir", certs)
        shown = {row["file"]: row for row in self.json_("certs", "show", "--dir", certs)}
        self.assertIn("a.example", shown["node-7.crt"]["names"])
        self.assertGreater(shown["node-7.crt"]["days_left"], 700)

        console = dev.consoles()[1].removeprefix("http://")
        self.assertEqual(self.json_("health", "--address", console)["status"], 200)
        refused = self.run_("health", "/no-such-page", "--address", console, "--output", "json")
        self.assertEqual((refused.returncode, json.loads(refused.stdout)["status"]), (1, 404))
        config = dev.data / "broker-1/broker.properties"
        self.assertEqual(self.json_("config", "check", "--config", config), {"config": str(config), "accepted": True})
        named = {row["name"]: row for row in self.json_("config", "reference")}
        self.assertEqual(named["num.partitions"]["default"], "1")

    def test_dev_and_demo_tell_programs_what_they_tell_people(self):
        lines = self.processes.dir / "dev-json.log"
        started = self.processes.start("dev-json", [ESKER, "dev", "--port", free_ports(1)[0], "--output", "json"])
        told = lambda: [json.loads(line) for line in lines.read_text().splitlines() if line.startswith("{")]
        ready = lambda: any("bootstrap.servers" in line for line in told())
        wait_until("esker dev is ready", ready, 90, 0.2)
        keys = [sorted(line) for line in told()]
        self.assertEqual(keys, [["broker", "kafka", "pid"], ["console", "url"], ["bootstrap.servers"]])
        self.assertEqual(self.processes.stop(started, 60), 0)
        done = subprocess.run([str(ESKER), "demo", "--output", "json"], capture_output=True, text=True, timeout=240)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual((told["records"], told["equal"], len(told["partitions"])), (336_776, True, 3))
        self.assertGreaterEqual(told["cold_records"], 0.8 * 336_776)
        self.assertGreater(told["requests"]["back"]["gets"], 20)
        self.assertEqual(sum(p["records"] for p in told["partitions"]), 336_776)

    def test_profiles_flags_and_files_say_who_asks_and_acls_what_they_may(self):
        port = free_ports(1)[0]
        dev = self.dev(1, settings={
            "listeners": f"SASL_SSL://127.0.0.1:{port}", "security.bootstrap.user": f"admin:{SECRET}",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:admin"})
        ca = dev.data / "certs/ca.crt"
        home = self.processes.dir / "home"
        (home / "esker").mkdir(parents=True)
        profiles = home / "esker/profiles.toml"
        profiles.write_text(f"""default = "admin"
[admin]
"bootstrap.servers" = "{dev.bootstrap}"
"security.protocol" = "SASL_SSL"
"ssl.truststore.location" = "{ca}"
"sasl.username" = "admin"
"sasl.password" = "{SECRET}"
""")
        env = {"XDG_CONFIG_HOME": str(home)}
        self.assertEqual(self.json_("topic", "create", "t", env=env), {"created": "t"})
        self.run_("user", "add", "bob", env=env, input="bobs-password\n")
        password = self.processes.dir / "bob"
        password.write_text("bobs-password\n")
        bob = ["--bootstrap-server", dev.bootstrap, "--security-protocol", "SASL_SSL", "--tls-ca", ca, "--sasl-mechanism",
               "SCRAM-SHA-256", "--sasl-username", "bob", "--sasl-password-file", password]
        refused = self.run_("produce", "t", *bob, input="a\n")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("TOPIC_AUTHORIZATION_FAILED", refused.stderr)
        self.json_("acl", "add", "--principal", "User:bob", "--operation", "write,describe", "--topic", "t", env=env)
        self.assertEqual(self.json_("produce", "t", *bob, input="a\n")["records"], 1)
        listed = self.json_("acl", "list", "--principal", "User:bob", env=env)
        self.assertEqual(sorted(row["operation"] for row in listed), ["describe", "write"])
        self.assertEqual({(row["kind"], row["name"], row["permission"]) for row in listed}, {("topic", "t", "allow")})
        self.assertEqual(self.run_("acl", "remove", env=env).returncode, 1, "not all of them by mistake")
        self.assertEqual(self.json_("acl", "remove", "--principal", "User:bob", env=env), {"removed": "2 entries"})
        self.assertEqual(self.run_("produce", "t", *bob, input="a\n").returncode, 1)
        self.json_("config", "set", "--topic", "t", "retention.ms=7000000", env=env)
        got = {row["config"]: row["value"] for row in self.json_("config", "get", "--topic", "t", env=env)}
        self.assertEqual(got["retention.ms"], "7000000")
        self.json_("config", "unset", "--topic", "t", "retention.ms", env=env)
        # Exit codes: 1 refused, 2 wrong usage, 3 nobody there.
        self.assertEqual(self.run_("topic", "describe", "absent", env=env).returncode, 1)
        self.assertEqual(self.run_("topic", "describe").returncode, 2)
        unknown = self.run_("topic", "list", "--profile", "nobody", env=env)
        self.assertEqual((unknown.returncode, "no profile nobody" in unknown.stderr), (1, True), unknown.stderr)
        away = self.run_("topic", "list", "--bootstrap-server", f"127.0.0.1:{free_ports(1)[0]}", "--security-protocol", "PLAINTEXT")
        self.assertEqual(away.returncode, 3, away.stderr)
        self.bundle(dev, env)

    def bundle(self, dev, env):
        """The bundle has what is needed, and not the password that is in the configuration and in the log."""
        config = dev.data / "broker-1/broker.properties"
        self.assertIn(SECRET, config.read_text(), "the control")
        log = self.processes.dir / "odd.log"
        log.write_text(f"a line that has leaked {SECRET} somehow\n")
        out = self.processes.dir / "bundle.tar.gz"
        console = dev.consoles()[1].removeprefix("http://")
        self.json_("debug-bundle", "--out", out, "--config", config, "--log", log, "--log",
                   dev.data / "broker-1/broker.log", "--admin", console, env=env)
        with tarfile.open(out) as archive:
            files = {member.name.removeprefix("esker-debug/"): archive.extractfile(member).read().decode(errors="replace")
                     for member in archive.getmembers()}
        for name in ("about.json", "machine.json", "config.json", "cluster.json", "topics.json", "partitions.json", "groups.json",
                     "broker-1-configs.json", "errors.txt", "log-0-odd.log", "log-1-broker.log"):
            self.assertIn(name, files)
        self.assertEqual(files["errors.txt"], "")
        place = console.replace(":", "_")
        self.assertRegex(files[f"admin-{place}-metrics.txt"], r"(?m)^esker_uptime_seconds [0-9.]+$", "read with the user's password")
        self.assertTrue(files[f"admin-{place}-readyz.txt"].startswith("200"), files[f"admin-{place}-readyz.txt"])
        self.assertEqual([row["topic"] for row in json.loads(files["topics.json"]) if row["topic"] == "t"], ["t"])
        self.assertIn("a line that has leaked [hidden] somehow", files["log-0-odd.log"])
        for name, content in files.items():
            self.assertNotIn(SECRET, content, name)

    def test_a_reader_that_has_seen_enough_ends_the_command_quietly(self):
        for command in (["completions", "bash"], ["config", "reference"]):
            process = subprocess.Popen([str(ESKER), *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            # All of it fits into no pipe once the reader is gone before the command begins to write.
            process.stdout.close()
            errors = process.stderr.read()
            process.stderr.close()
            self.assertIn(process.wait(30), (0, 141))
            self.assertEqual(errors, "")
