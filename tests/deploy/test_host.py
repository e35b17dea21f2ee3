"""The systemd unit, the Dockerfile and all shell scripts, by their linters."""

import re
import shutil
import unittest

from tools import BIN, DEPLOY, ROOT, run

UNIT = DEPLOY / "host/esker.service"


class Unit(unittest.TestCase):
    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd is not installed")
    def test_the_unit_exposes_little(self):
        said = run("systemd-analyze", "security", "--offline=true", UNIT, env={"SYSTEMD_COLORS": "0", "LC_ALL": "C.UTF-8"}).stdout
        exposure = float(re.search(r"exposure level for esker.service: ([\d.]+)", said)[1])
        print(f"({exposure}) ", end="", flush=True)
        self.assertLessEqual(exposure, 1.5, said)

    def test_the_unit_keeps_its_promises(self):
        text = UNIT.read_text()
        for line in ["User=esker", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "PrivateDevices=yes",
                     "MemoryDenyWriteExecute=yes", "SystemCallFilter=@system-service", "LimitNOFILE=1000000"]:
            self.assertIn(f"\n{line}\n", text)


class Docker(unittest.TestCase):
    FILE = DEPLOY / "docker/Dockerfile"

    def test_the_dockerfile_is_clean(self):
        run(BIN / "hadolint", "--failure-threshold=style", self.FILE)

    def test_a_planted_fault_is_found(self):
        done = run(BIN / "hadolint", "-", check=False, input="FROM debian\nRUN apt-get install curl\n")
        self.assertNotEqual(done.returncode, 0)

    def test_the_image_is_what_it_should_be(self):
        text = self.FILE.read_text()
        stages = re.findall(r"^FROM (\S+)", text, re.M)
        self.assertEqual(stages, ["${BUILDER}", "${RUNTIME}"], "two stages")
        last = text[text.rindex("\nFROM "):]
        self.assertIn("\nUSER 65532:65532\n", last, "not root")
        self.assertNotIn("\nRUN ", last, "the last stage has no shell to run anything")
        self.assertIn("HEALTHCHECK ", last)
        self.assertIn('ENTRYPOINT ["/usr/local/bin/esker"]', last)
        self.assertIn("distroless", text)
        # What the stage copies is what the release script writes.
        release = (DEPLOY / "release/package").read_text()
        for name in re.findall(r"/out/([\w.]+)[ \n]", last):
            self.assertIn(name, release)


class Shell(unittest.TestCase):
    def test_every_script_is_clean(self):
        scripts = []
        for folder in [DEPLOY, ROOT / "terraform", ROOT / "tests/tools"]:
            for file in sorted(folder.rglob("*")):
                if file.is_file() and re.match(rb"#!.*\b(ba)?sh\b", file.read_bytes()[:40]):
                    scripts.append(file)
        self.assertGreater(len(scripts), 5)
        run(BIN / "shellcheck", "--external-sources", "--source-path=SCRIPTDIR", *scripts)


if __name__ == "__main__":
    unittest.main()
