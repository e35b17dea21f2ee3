"""What scripts do to machines and accounts that are not to be had here: their very text, with `aws`, `ssh`, `terraform` and the
like replaced by the small stand-ins of `stubs`, inside namespaces where they touch a machine's own places."""

import json
import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

from machines import ESKER, Machines, machines_work
from tools import DEPLOY, ROOT, run

SCRIPTS = DEPLOY / "scripts"
STUBS = Path(__file__).resolve().parent / "stubs"
USER = "admin:planted-password"


class Stubbed(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="esker-scripts-")
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)
        self.stub = self.dir / "stub"
        for name in ("parameters", "keys", "bucket", "protected"):
            (self.stub / name).mkdir(parents=True)
        self.env = {**os.environ, "PATH": f"{STUBS}:{Path(sys.executable).parent}:{os.environ['PATH']}", "STUB_DIR": str(self.stub), "TMPDIR": str(self.dir)}

    def calls(self):
        file = self.stub / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def certificates(self, name="certs"):
        folder = self.dir / name
        run(ESKER, "certs", "ca", "--dir", folder)
        for id in (1, 2):
            run(ESKER, "certs", "node", "--dir", folder, "--id", id, "--host", f"broker-{id}")
        return folder

    def stored(self):
        return {file.name.replace("%", "/"): file.read_text() for file in (self.stub / "parameters").iterdir()}


class Secrets(Stubbed):
    def put(self, certs, path="/esker/prod", user=USER + "\n", check=False):
        return run(SCRIPTS / "put-secrets", certs, path, "key-1", input=user, env=self.env, check=check)

    def test_secrets_are_put_once_and_never_over_anothers(self):
        certs = self.certificates()
        self.put(certs, check=True)
        stored = self.stored()
        self.assertEqual(set(stored), {f"/esker/prod/{name}" for name in (
            "ca.crt", "node-1.crt", "node-1.key", "node-2.crt", "node-2.key", "bootstrap-user")})
        self.assertEqual(stored["/esker/prod/bootstrap-user"], USER)
        self.assertEqual(stored["/esker/prod/node-2.key"], (certs / "node-2.key").read_text())
        self.assertEqual({file.read_text() for file in (self.stub / "keys").iterdir()}, {"key-1"})
        # Once more: nothing is to be done. Another authority's, or another password: nothing is done.
        self.assertIn("all of it is there already", self.put(certs, check=True).stdout)
        for what, again in (("ca.crt", self.put(self.certificates("others"))),
                            ("bootstrap-user", self.put(certs, user="admin:another\n"))):
            self.assertNotEqual(again.returncode, 0)
            self.assertIn(f"/esker/prod/{what} is there and is another", again.stdout)
            self.assertIn("nothing was written", again.stdout)
        self.assertEqual(self.stored(), stored)
        # What is secret was in no argument, and is in nothing that is left.
        self.assertNotIn("planted-password", (self.stub / "calls").read_text())
        self.assertNotIn("PRIVATE KEY", (self.stub / "calls").read_text())
        self.assertEqual({path.name for path in self.dir.iterdir()}, {"stub", "certs", "others"})

    def test_a_failure_midway_is_told_and_gone_on_from(self):
        certs = self.certificates()
        (self.stub / "broken").write_text("node-2.crt")
        failed = self.put(certs)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("/esker/prod/node-2.crt could not be written", failed.stdout)
        self.assertIn("run this again", failed.stdout)
        (self.stub / "broken").unlink()
        self.put(certs, check=True)
        self.assertEqual(len(self.stored()), 6)

    def test_bad_input_is_told_before_anything_is_written(self):
        certs = self.certificates()
        (self.stub / "denied").touch()
        self.assertIn("the parameter store does not answer; nothing was written", self.put(certs).stdout)
        (self.stub / "denied").unlink()
        for user in ("", "admin\n", ":x\n", "admin:\n"):
            self.assertIn("is not name:password; nothing was written", self.put(certs, user=user).stdout, user)
        self.assertIn("ca.crt can't be read", self.put(self.dir / "nowhere").stdout)
        (certs / "node-2.key").unlink()
        self.assertIn("node-2.crt has no key beside it; nothing was written", self.put(certs).stdout)
        self.assertEqual(self.stored(), {})


class Instances(Stubbed):
    BROKER = 'module.esker.aws_instance.broker["2"]'

    def replace(self, *changes):
        plan = {"resource_changes": [{"address": address, "change": {"actions": actions, "before": {"id": f"i-{address[-3]}"}}}
                                     for address, actions in changes]}
        (self.stub / "plan.json").write_text(json.dumps(plan))
        return run(SCRIPTS / "replace-instance", 2, env=self.env, check=False)

    def applied(self):
        return [line for line in (self.stub / "terraform").read_text().splitlines() if line.startswith("apply")]

    def protected(self):
        return sorted(file.name for file in (self.stub / "protected").iterdir())

    def test_one_instance_is_replaced_and_a_plan_that_does_more_is_refused(self):
        for id in (1, 2, 3):
            (self.stub / "protected" / f"i-{id}").touch()
        unchanged = ("module.esker.aws_s3_bucket.cold", ["no-op"])
        for more in ((self.BROKER, ["delete"]), ('module.esker.aws_instance.broker["1"]', ["delete", "create"]),
                     ("module.esker.aws_s3_bucket.cold", ["update"])):
            refused = self.replace((self.BROKER, ["delete", "create"]), unchanged, more)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("more would change than broker", refused.stdout)
        self.assertNotEqual(self.replace((self.BROKER, ["delete"])).returncode, 0, "gone without coming back")
        self.assertEqual(self.applied(), [])
        self.assertEqual(self.protected(), ["i-1", "i-2", "i-3"])
        # Terraform fails midway: the instance that is still there is protected again.
        (self.stub / "apply-fails").touch()
        self.assertNotEqual(self.replace((self.BROKER, ["delete", "create"]), unchanged).returncode, 0)
        self.assertEqual(self.protected(), ["i-1", "i-2", "i-3"])
        (self.stub / "apply-fails").unlink()
        (self.stub / "terraform").unlink()
        done = self.replace((self.BROKER, ["delete", "create"]), unchanged)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(len(self.applied()), 1)
        # An instance that may not be stopped may not be ended either: this one may now, the others as little as before.
        self.assertEqual(self.protected(), ["i-1", "i-3"])
        self.assertIn(f"-replace={self.BROKER}", (self.stub / "terraform").read_text())


class Drivers(Stubbed):
    """The drivers of the procedures, on a machine of namespaces."""

    def setUp(self):
        super().setUp()
        self.machine = Machines(self, "drivers").add("broker-2.internal")
        self.places = {}
        for place in ("/usr/local/bin", "/usr/local/lib/esker", "/etc/esker", "/var/lib/esker"):
            self.places[place] = self.dir / place.strip("/").replace("/", "-")
            self.places[place].mkdir()
            self.machine.mounts[place] = self.places[place]
        shutil.copy2(ESKER, self.places["/usr/local/bin"] / "esker")
        shutil.copy2(ROOT / "terraform/templates/esker-fetch", self.places["/usr/local/lib/esker"] / "esker-fetch")
        (self.places["/usr/local/lib/esker"] / "esker-fetch").chmod(0o755)  # as cloud-init does
        (self.places["/etc/esker"] / "tls").mkdir()
        (self.places["/etc/esker"] / "fetch.env").write_text(
            "AWS_REGION=eu-central-1\nSECRETS=/esker/prod\nNODE_ID=2\nBINARY_URL=s3://b/none\nBINARY_SHA256=0\n")
        (self.stub / "instance").write_text("i-2")
        self.certs = self.certificates()
        run(SCRIPTS / "put-secrets", self.certs, "/esker/prod", "key-1", input=USER, env=self.env)

    def driver(self, kind, *words, check=True):
        command = {"ssh": [SCRIPTS / "drivers/ssh", "broker-{}.internal"],
                   "ssm": [SCRIPTS / "drivers/ssm", "prod", "s3://prod-cold/esker/releases"]}[kind]
        return self.machine.run(*command, *words, env={key: self.env[key] for key in ("PATH", "STUB_DIR", "TMPDIR")}, check=check)

    def test_every_verb_does_on_the_machine_what_it_says(self):
        tls, binary = self.places["/etc/esker"] / "tls", self.places["/usr/local/bin"] / "esker"
        for kind in ("ssh", "ssm"):
            with self.subTest(kind):
                before = binary.read_bytes()
                new = self.dir / f"new-{kind}"
                new.write_bytes(ESKER.read_bytes() + kind.encode())
                self.driver(kind, "install", 2, new)
                self.assertEqual(binary.read_bytes(), new.read_bytes())
                self.assertEqual((binary.parent / "esker.before").read_bytes(), before)
                self.assertTrue(os.access(binary, os.X_OK))
                for verb in ("stop", "start"):
                    self.driver(kind, verb, 2)
                self.assertEqual((self.stub / "systemctl").read_text().split("\n")[-3:-1], ["stop esker", "start esker"])
                # A broker that does not run is not healthy, and the driver says so by its exit.
                self.assertNotEqual(self.driver(kind, "health", 2, "/livez", check=False).returncode, 0)
                fresh = self.certificates(f"fresh-{kind}")
                for source, name in (("ca.crt", "ca.crt"), ("node-2.crt", "node.crt"), ("node-2.key", "node.key")):
                    self.driver(kind, "push", 2, fresh / source, name)
                    self.assertEqual((tls / name).read_text().strip(), (fresh / source).read_text().strip())
                    self.assertEqual((tls / name).stat().st_mode & 0o077, 0)
                self.assertEqual([file.name for file in tls.iterdir() if file.suffix == ".new"], [])
                (self.stub / "systemctl-fails").touch()
                failed = self.driver(kind, "stop", 2, check=False)
                self.assertNotEqual(failed.returncode, 0)
                self.assertIn("Job for esker.service failed", failed.stdout)
                (self.stub / "systemctl-fails").unlink()
                self.assertNotEqual(self.driver(kind, "dance", 2, check=False).returncode, 0)
        self.assertEqual(set((self.stub / "hosts").read_text().split()), {"broker-2.internal"})
        self.assertEqual({file.read_text() for file in (self.stub / "keys").iterdir()}, {"key-1"}, "under the key they had")
        self.assertEqual((self.places["/etc/esker"] / "environment").read_text(), f"ESKER_SECURITY_BOOTSTRAP_USER={USER}\n")
        self.assertNotIn("PRIVATE KEY", (self.stub / "calls").read_text())

    def test_what_arrives_broken_changes_nothing(self):
        binary = self.places["/usr/local/bin"] / "esker"
        before = binary.read_bytes()
        self.driver("ssm", "push", 2, self.certs / "ca.crt", "ca.crt")
        tls = self.places["/etc/esker"] / "tls"
        good = {file.name: file.read_bytes() for file in tls.iterdir()}
        (self.stub / "parameters" / "%esker%prod%node-2.key").write_text("torn")
        failed = self.driver("ssm", "push", 2, self.certs / "ca.crt", "ca.crt", check=False)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("node-2.key is not PEM", failed.stdout)
        self.assertEqual({name: (tls / name).read_bytes() for name in good}, good)
        # A binary that is not the one of that checksum.
        (self.stub / "bucket" / "b%x").write_text("something else")
        fetch = ["/usr/local/lib/esker/esker-fetch", "binary", "s3://b/x", "0" * 64]
        env = {key: self.env[key] for key in ("PATH", "STUB_DIR", "TMPDIR")}
        self.assertNotEqual(self.machine.run(*fetch, env=env, check=False).returncode, 0)
        self.assertEqual(binary.read_bytes(), before)
        # No user in the store: no empty one is made up.
        (self.places["/etc/esker"] / "environment").unlink(missing_ok=True)
        (self.stub / "parameters" / "%esker%prod%node-2.key").write_text((self.certs / "node-2.key").read_text())
        (self.stub / "parameters" / "%esker%prod%bootstrap-user").unlink()
        self.assertNotEqual(self.driver("ssm", "push", 2, self.certs / "ca.crt", "ca.crt", check=False).returncode, 0)
        self.assertFalse((self.places["/etc/esker"] / "environment").exists())
        (self.stub / "instance").unlink()
        self.assertIn("no running instance of broker 2", self.driver("ssm", "start", 2, check=False).stdout)


class WithoutNamespaces(unittest.TestCase):
    def test_the_drivers(self):
        self.skipTest("no network or mount namespaces")


def load_tests(loader, tests, pattern):
    """One test that is skipped in place of those that need namespaces."""
    kept = unittest.TestSuite()
    for each in (Secrets, Instances, Drivers if machines_work() else WithoutNamespaces):
        kept.addTests(loader.loadTestsFromTestCase(each))
    return kept


if __name__ == "__main__":
    unittest.main()
