"""The guide for plain machines, done as it says; the systemd unit, the Dockerfile and all shell scripts, by their linters."""

import re
import shlex
import shutil
import unittest

from machines import ESKER, Machines, machines_work, wait_until
from tools import BIN, DEPLOY, ROOT, asked, run

UNIT = DEPLOY / "host/esker.service"


class Guide(unittest.TestCase):
    """deploy/host/README.md: its blocks, in their order, on three machines."""

    @unittest.skipUnless(machines_work(), "no network or mount namespaces")
    def test_its_lines_lead_to_three_brokers(self):
        text = (DEPLOY / "host/README.md").read_text()
        blocks = re.findall(r"^```(\w+)\n(.*?)^```", text, re.M | re.S)
        self.assertEqual([kind for kind, _ in blocks], ["sh", "sh", "ini", "sh", "ini", "sh"])
        certificates, install, environment, start, client, first = (block for _, block in blocks)
        password = "first-password"
        machines = Machines(self, "guide")
        own = machines.folder("own")
        (own / "deploy").symlink_to(DEPLOY)
        stubs = machines.folder("stubs")  # what would change the machine that runs the tests
        for name in ("useradd", "sysctl", "systemctl"):
            (stubs / name).write_text(f'#!/bin/sh\necho {name} "$@" >> "$CALLS"\n')
            (stubs / name).chmod(0o755)
        (stubs / "esker").symlink_to(ESKER)
        path = {"PATH": f"{stubs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        operator = machines.add("operator")
        operator.run("sh", "-ec", f"cd {own}\n{certificates}", env=path)
        copied = sorted(file.name for file in (own / "certs").iterdir() if file.name != "ca.key")

        brokers = {}
        for id in (1, 2, 3):
            machine = brokers[id] = machines.add(f"broker-{id}", f"broker-{id}.internal")
            for place in ("/usr/local/bin", "/etc/sysctl.d", "/etc/systemd/system", "/etc/esker", "/var/lib/esker", "/var/log/esker"):
                machine.mounts[place] = machines.folder(f"{id}{place.replace('/', '-')}")
            here = machines.folder(f"copied-{id}")
            (here / "esker").symlink_to(ESKER)
            for source in [own / "esker.properties", DEPLOY / "host/90-esker.conf", DEPLOY / "host/esker.service",
                           *(own / "certs" / name for name in copied if name == "ca.crt" or name.startswith(f"node-{id}."))]:
                shutil.copy2(source, here / source.name)
            calls = here / "calls"
            # The account is root's here: a real one would stay on this machine.
            lines = install.replace("node-1", f"node-{id}").replace("-o esker -g esker ", "")
            self.assertEqual(install.count("-o esker -g esker "), 4)
            machine.run("sh", "-ec", f"cd {here}\n{lines}", env={**path, "CALLS": str(calls)})
            self.assertEqual([line.split()[0] for line in calls.read_text().splitlines()], ["useradd", "sysctl"])
            # The unit that was put there says how the broker starts and where it may write.
            unit = (machine.mounts["/etc/systemd/system"] / "esker.service").read_text()
            variables = dict(line.split("=", 1) for line in environment.splitlines())
            variables = {key: value.replace("broker-1", f"broker-{id}").replace("rack-1", f"rack-{id}").replace("PASSWORD", password)
                         for key, value in variables.items()}
            variables["ESKER_NODE_ID"] = str(id)
            self.assertIn("\nEnvironmentFile=-/etc/esker/environment\n", unit)
            machine.start(re.search(r"^ExecStart=(.*)$", unit, re.M)[1].split(), env=variables)
        self.assertIn("enable --now esker\n", start)
        health = shlex.split(start.splitlines()[-1])
        for machine in brokers.values():
            wait_until(f"{machine.name} is in sync", lambda: machine.run(*health, env=path, check=False).returncode == 0, 120, 0.5)
        (own / "admin.properties").write_text(client.replace("PASSWORD", password))
        (own / "admin.properties").chmod(0o600)
        said = operator.run("sh", "-ec", f"cd {own}\n{first}", env=path).stdout
        self.assertEqual([said.count(f"broker-{id}.internal:9092") for id in brokers], [1, 1, 1], said)
        self.assertEqual(said.count(" alive "), 3, said)
        console = ("https://broker-1.internal:9645/metrics", own / "certs/ca.crt", f"admin:{password}", 200, "esker_uptime_seconds")
        self.assertEqual(*asked(operator, *console))


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
