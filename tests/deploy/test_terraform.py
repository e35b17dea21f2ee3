"""The Terraform module and its examples, against a stand-in that has the AWS provider's schema (see tools.Terraform)."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from tools import CACHE, ROOT, run

TERRAFORM = shutil.which("terraform")
EXAMPLES = ["examples/dev", "examples/three-az"]


class Terraform(unittest.TestCase):
    """`terraform` itself, in a copy of the tree: it writes beside what it reads."""

    @classmethod
    def setUpClass(cls):
        cls.dir = Path(tempfile.mkdtemp(prefix="esker-terraform-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        shutil.copytree(ROOT / "terraform", cls.dir / "terraform")
        shutil.copytree(ROOT / "deploy/host", cls.dir / "deploy/host")
        config = cls.dir / "terraformrc"
        config.write_text(f'provider_installation {{\n  filesystem_mirror {{ path = "{CACHE}/terraform-mirror" }}\n}}\n')
        cls.env = dict(os.environ, TF_CLI_CONFIG_FILE=str(config), CHECKPOINT_DISABLE="1", TF_IN_AUTOMATION="1")
        for place in [".", *EXAMPLES]:
            cls.terraform("init", "-backend=false", cwd=place)

    @classmethod
    def terraform(cls, *arguments, cwd=".", check=True):
        done = subprocess.run([TERRAFORM, *arguments, "-no-color"], cwd=cls.dir / "terraform" / cwd, env=cls.env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        if check and done.returncode:
            raise AssertionError(f"terraform {' '.join(arguments)} in {cwd}:\n{done.stdout}")
        return done

    def test_every_file_is_formatted(self):
        self.terraform("fmt", "-check", "-recursive", "-diff")

    def test_every_resource_argument_and_attribute_is_the_providers(self):
        for place in [".", *EXAMPLES]:
            with self.subTest(place):
                self.terraform("validate", cwd=place)

    def test_an_argument_that_the_provider_does_not_have_is_found(self):
        """The control of the test above: a misspelt argument, a block that is none, an attribute that is none."""
        file = self.dir / "terraform/planted.tf"
        for planted, said in [('resource "aws_vpc" "x" {\n  cidr_blok = "10.0.0.0/8"\n}', "cidr_blok"),
                              ('resource "aws_kms_key" "x" {\n  rotation {}\n}', "rotation"),
                              ('output "x" {\n  value = aws_instance.broker["1"].pivate_ip\n}', "pivate_ip"),
                              ('resource "aws_lb_listener" "x" {\n  port = 1\n}', "load_balancer_arn")]:
            with self.subTest(said):
                file.write_text(planted + "\n")
                self.addCleanup(file.unlink, missing_ok=True)
                done = self.terraform("validate", check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(said, done.stdout)
        file.unlink()

    def test_what_is_planned_is_what_was_reviewed_and_bad_input_is_refused(self):
        for place in [".", "examples/three-az"]:
            output = self.terraform("test", cwd=place).stdout
            print(re.findall(r"Success! (.*)", output)[0], end=" ", flush=True)

    def test_each_planted_mistake_fails_the_run_that_is_to_find_it(self):
        iam = ("iam.tf", '"s3:AbortMultipartUpload"]', '"s3:AbortMultipartUpload", "s3:PutBucketPolicy"]', "a_broker_may_do_exactly_what_it_needs")
        # Brokers that go could not be destroyed, and nobody would look.
        lifted = ("main.tf", "tonumber(each.key) <= coalesce(var.drained_to, var.brokers)", "true",
                  "drained_brokers_lose_their_protection_first_and_no_other_does")
        looked = ("locals.tf", "!self.disable_api_stop", "self.disable_api_stop || true", "brokers_that_are_still_protected_are_not_destroyed")
        grown = ("locals.tf", "length(self.ids) == var.brokers - var.drained_to", "length(self.ids) >= 0", "a_broker_is_not_made_without_protection")
        port = ("variables.tf", "!contains([var.peer_port, 9644], var.client_port)", "var.client_port != var.peer_port",
                "the_machines_own_port_for_clients_is_refused")
        # Terraform skips what comes after a failure that was to come and did not.
        for planted in ([iam, lifted, looked], [grown], [port]):
            texts = {name: (self.dir / "terraform" / name).read_text() for name, *_ in planted}
            for name, right, wrong, _ in planted:
                self.assertEqual(texts[name].count(right), 1, right)
                self.addCleanup((self.dir / "terraform" / name).write_text, texts[name])
                (self.dir / "terraform" / name).write_text(texts[name].replace(right, wrong))
            done = self.terraform("test", "-filter=tests/module.tftest.hcl", check=False)
            for name, text in texts.items():
                (self.dir / "terraform" / name).write_text(text)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(set(re.findall(r'run "(\w+)"\.\.\. fail', done.stdout)), {found for *_, found in planted}, done.stdout)


class WithoutTerraform(unittest.TestCase):
    def test_the_terraform_module(self):
        self.skipTest("terraform is not installed")


def load_tests(loader, tests, pattern):
    """One test that is skipped in place of all that need the binary."""
    kept = unittest.TestSuite()
    for each in (Terraform if TERRAFORM else WithoutTerraform, Texts):
        kept.addTests(loader.loadTestsFromTestCase(each))
    return kept


class Texts(unittest.TestCase):
    """What needs no Terraform."""

    def test_data_is_never_expired_nor_destroyed(self):
        text = (ROOT / "terraform/storage.tf").read_text()
        self.assertIn("prevent_destroy = true", text)
        self.assertNotRegex(text, r"\n\s*(expiration|noncurrent_version_expiration|transition)\s*{")
        self.assertIn("force_destroy = false", re.sub(r" +", " ", text))

    def test_the_procedures_are_tested_with_the_properties_that_the_module_gives(self):
        modules = set(re.findall(r'^ {6}"([a-z.]+)" += ', (ROOT / "terraform/locals.tf").read_text(), re.M))
        tests = set(re.findall(r'"([a-z.]+\.[a-z.]+|listeners)":', (ROOT / "tests/deploy/cluster.py").read_text()))
        # What depends on the account, and what has defaults that the small clusters take.
        self.assertEqual(modules - tests, {
            "broker.rack", "tier.store.region", "audit.log.path", "offsets.topic.replication.factor",
            "transaction.state.log.replication.factor", "transaction.state.log.min.isr"})
        # What makes them faster, or needs a bucket.
        self.assertEqual(tests - modules, {
            "ssl.reload.interval.ms", "offsets.topic.num.partitions", "group.initial.rebalance.delay.ms",
            "tier.backup.interval.ms", "remote.log.manager.task.interval.ms"})

    def test_a_setting_that_the_module_would_overwrite_is_refused(self):
        modules = set(re.findall(r'^ {6}"([a-z.]+)" += ', (ROOT / "terraform/locals.tf").read_text(), re.M))
        refused = re.search(r"setintersection\(keys\(var.settings\), \[(.*?)\]", (ROOT / "terraform/variables.tf").read_text(), re.S)[1]
        self.assertEqual(modules - set(re.findall(r'"([a-z.]+)"', refused)), set())

    def test_a_running_broker_is_replaced_by_name_only(self):
        text = (ROOT / "terraform/main.tf").read_text()
        self.assertRegex(text, r"ignore_changes = \[ami, user_data_base64, instance_type\]")

    def test_the_cost_tables_are_what_the_arithmetic_gives(self):
        readme = (ROOT / "terraform/README.md").read_text()
        for line in run("python3", ROOT / "terraform/costs.py").stdout.splitlines():
            self.assertIn(line, readme)

    def test_every_variable_is_described_typed_and_used(self):
        for folder in [ROOT / "terraform", *(ROOT / "terraform" / e for e in EXAMPLES)]:
            text = (folder / "variables.tf").read_text()
            rest = "".join(f.read_text() for f in folder.glob("*.tf"))
            for name, body in re.findall(r'^variable "(\w+)" {\n(.*?)^}', text, re.M | re.S):
                with self.subTest(f"{folder.name}/{name}"):
                    self.assertRegex(body, r"description\s+= \"")
                    self.assertRegex(body, r"type\s+= ")
                    self.assertGreater(rest.count(f"var.{name}"), 0)


if __name__ == "__main__":
    unittest.main()
