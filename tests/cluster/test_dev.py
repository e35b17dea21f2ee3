"""`esker dev` and the configuration: what a user types, and what comes back."""

import os
import re
import signal
import socket
import tempfile
import time
import unittest
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from case import ClusterCase
from clients import consume, produce, verify
from dev import BROKER_LINE, CONSOLE_LINE, Admin, Dev, esker
from processes import alive, free_ports, wait_until


class DevCommand(ClusterCase):
    def test_three_brokers_come_up_print_their_lines_and_all_end_on_sigterm(self):
        dev = self.dev(3)
        out = dev.output()
        lines = BROKER_LINE.findall(out)
        self.assertEqual([line[0] for line in lines], ["1", "2", "3"])
        self.assertEqual([line[2] for line in lines], [f"127.0.0.1:{dev.port + i}" for i in range(3)])
        self.assertEqual(dev.bootstrap, ",".join(line[2] for line in lines))
        self.assertGreater(out.index("bootstrap.servers="), out.rindex("\nbroker 3 pid"))
        self.assertIn("loopback only", out)
        pids = [int(line[1]) for line in lines]
        self.assertTrue(all(map(alive, pids)))
        self.assertEqual(len(set(pids)), 3)
        metadata = Admin(dev.bootstrap).metadata()
        self.assertEqual(sorted(metadata.brokers), [1, 2, 3])
        self.assertEqual(dev.stop(), 0)
        self.assertFalse(any(map(alive, pids)))

    def test_a_killed_broker_is_started_again_and_has_its_data(self):
        dev = self.dev(3)
        dev.topic_create("t", partitions=2)
        produced = produce("python", dev.bootstrap, "t", 500, "seed")
        before = dev.pid(2)
        dev.kill(2)
        dev.restart(2)
        self.assertNotEqual(dev.pid(2), before)
        Admin(dev.bootstrap).wait_for_isr("t", 2, 3)
        verify(consume(self.processes, "python", dev.bootstrap, "t", 500), produced, "after the restart")
        refused = esker("dev", "start", 2, "--data", dev.data, check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("broker 2 runs", refused.stderr)

    def test_killed_brokers_are_started_again_side_by_side_and_print_their_lines_and_consoles(self):
        dev = self.dev(3)
        pids = [dev.pid(broker) for broker in (1, 2, 3)]
        dev.topic_create("t")
        produced = produce("python", dev.bootstrap, "t", 100, "seed")
        for broker in (1, 2, 3):
            dev.kill(broker)
        # None of them can serve before another one is there too.
        with ThreadPoolExecutor() as pool:
            lines = list(pool.map(dev.restart, (1, 2, 3)))
        self.assertEqual([BROKER_LINE.fullmatch(line)[1] for line in lines], ["1", "2", "3"])
        self.assertFalse({dev.pid(broker) for broker in (1, 2, 3)} & set(pids))
        self.assertEqual(sorted(broker for broker, _ in CONSOLE_LINE.findall(dev.output())), ["1", "1", "2", "2", "3", "3"])
        for broker, url in dev.consoles().items():
            with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
                self.assertEqual(answer.status, 200, f"the console of broker {broker} is where its last line says")
        verify(consume(self.processes, "python", dev.bootstrap, "t", 100), produced, "after all were killed")

    def test_the_whole_cluster_survives_a_stop_and_a_start(self):
        dev = self.dev(3)
        dev.topic_create("t", partitions=2)
        produced = produce("python", dev.bootstrap, "t", 500, "seed")
        self.assertEqual(dev.stop(), 0)
        dev.start()
        verify(consume(self.processes, "python", dev.bootstrap, "t", 500), produced, "after stop and start")

    def test_the_brokers_end_when_dev_itself_is_killed(self):
        dev = self.dev(1)
        pid = dev.pid(1)
        os.kill(dev.process.pid, signal.SIGKILL)
        wait_until("the orphaned broker stops", lambda: not alive(pid), 40)

    def test_without_a_data_folder_nothing_is_left_behind(self):
        (port,) = free_ports(1)
        with tempfile.TemporaryDirectory() as tmp:
            from processes import ESKER
            process = self.processes.start("temporary", [ESKER, "dev", "--port", port], env=dict(os.environ, TMPDIR=tmp))
            wait_until("ready", lambda: "bootstrap.servers=" in self.processes.log("temporary"), 60)
            self.assertTrue(list(Path(tmp).iterdir()))
            self.assertEqual(self.processes.stop(process, 40), 0)
            self.assertEqual(list(Path(tmp).iterdir()), [])

    def test_topics_are_created_listed_described_and_deleted(self):
        dev = self.dev(1)
        at = ["--bootstrap-server", dev.bootstrap]
        dev.topic_create("fruit", partitions=3, configs={"retention.ms": 3600000})
        self.assertIn("fruit", esker("topic", "list", *at).stdout)
        described = esker("topic", "describe", "fruit", *at).stdout
        self.assertIn("retention.ms=3600000", described)
        self.assertEqual(len(re.findall(r"^│ \d+ ", described, re.M)), 3, described)
        twice = esker("topic", "create", "fruit", *at, check=False)
        self.assertNotEqual(twice.returncode, 0)
        self.assertIn("TOPIC_ALREADY_EXISTS", twice.stderr)
        bad = esker("topic", "create", "x", "--config", "retention.ms=soon", *at, check=False)
        self.assertNotEqual(bad.returncode, 0)
        self.assertIn("retention.ms", bad.stderr)
        esker("topic", "delete", "fruit", *at)
        self.assertNotIn("fruit", esker("topic", "list", *at).stdout)


class Configuration(unittest.TestCase):
    def refused(self, text, suffix=".properties"):
        """What the server says to a configuration that it must not start with."""
        with tempfile.TemporaryDirectory() as tmp:
            file = Path(tmp) / f"broker{suffix}"
            file.write_text(text.replace("TMP", tmp))
            done = esker("server", "--config", file, check=False, timeout=20)
            self.assertNotEqual(done.returncode, 0, text)
            self.assertNotIn("panicked", done.stderr)
            return done.stderr

    def test_a_bad_setting_names_its_key_its_value_and_what_is_accepted(self):
        for text, expected in [
            ("log.segment.bytes=ten\n", ["log.segment.bytes", "ten", "14"]),
            ("node.id=-4\n", ["node.id", "-4"]),
            ("auto.create.topics.enable=maybe\n", ["auto.create.topics.enable", "maybe", "true", "false"]),
            ("log.message.timestamp.type=Never\n", ["log.message.timestamp.type", "Never", "CreateTime"]),
            ("log.dir=/x\n", ["log.dir", "log.dirs"]),
            ("listeners=PLAINTEXT:9092\n", ["listeners", "PLAINTEXT:9092"]),
            ("listeners=SASL_SSL://127.0.0.1:1\nlog.dirs=TMP/d\n", ["ssl.keystore"]),
            ("sasl.enabled.mechanisms=GSSAPI\n", ["sasl.enabled.mechanisms", "GSSAPI", "SCRAM-SHA-512"]),
            ("controller.quorum.voters=one\n", ["controller.quorum.voters", "one", "id@host:port"]),
        ]:
            said = self.refused(text)
            for word in expected:
                self.assertIn(word, said, text)

    def test_a_setting_that_contradicts_another_is_refused(self):
        said = self.refused("log.retention.ms=1000\nlog.local.retention.ms=5000\nlog.dirs=TMP/d\n")
        self.assertIn("local.retention.ms", said)

    def test_a_file_that_is_missing_is_named(self):
        done = esker("server", "--config", "/nowhere/esker.toml", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/nowhere/esker.toml", done.stderr)

    def test_toml_errors_name_the_line(self):
        self.assertIn(":2", self.refused("\"node.id\" = 1\nlog.segment.bytes = \"x\"\n", ".toml"))
