"""What a release consists of, made from the binary that the other tests use: deploy/release/package. The release build
itself, its repetition and `cargo install` take too long here (deploy/README.md says what has never run as a whole): their scripts run with
a Cargo that has built already."""

import hashlib
import json
import os
import re
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

from tools import DEPLOY, ROOT, run
from processes import ESKER

RELEASE = DEPLOY / "release"
STUBS = Path(__file__).resolve().parent / "stubs"
PERMITTED = tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"]


class Release(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="esker-release-")
        cls.addClassCleanup(folder.cleanup)
        cls.out = Path(folder.name) / "out"
        run(RELEASE / "package", "--binary", ESKER, "--out", cls.out)

    def test_the_binary_runs_without_its_symbols_and_names_them(self):
        self.assertRegex(run(self.out / "esker", "--version").stdout, r"^esker \d")
        self.assertLess((self.out / "esker").stat().st_size, ESKER.stat().st_size)
        sections = run("readelf", "-SW", self.out / "esker").stdout
        self.assertNotIn(".symtab", sections)
        self.assertIn(".gnu_debuglink", sections)
        self.assertIn(".debug_line", run("readelf", "-SW", self.out / "esker.debug").stdout)

    def test_it_needs_nothing_but_the_c_library(self):
        needed = re.findall(r"NEEDED.*\[(.*?)\]", run("readelf", "-d", self.out / "esker").stdout)
        self.assertLessEqual({name.split(".so")[0] for name in needed}, {"libc", "libm", "libgcc_s", "ld-linux-x86-64",
                                                                      "ld-linux-aarch64"})

    def test_a_binary_that_needs_more_is_refused(self):
        done = run(RELEASE / "package", "--binary", "/usr/bin/git", "--out", self.out.parent / "git", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("which not every machine has", done.stdout)

    def test_the_bill_of_materials_names_every_crate_with_its_checksum_and_licence(self):
        bill = json.loads((self.out / "sbom.cdx.json").read_text())
        self.assertEqual((bill["bomFormat"], bill["specVersion"]), ("CycloneDX", "1.5"))
        names = {part["name"]: part for part in bill["components"]}
        self.assertGreater(len(names), 100)
        for expected in ["tokio", "quinn", "openraft", "object_store", "aws-lc-sys", "tiering"]:
            self.assertIn(expected, names)
        for absent in ["proptest", "stateright", "kafka-protocol"]:
            self.assertNotIn(absent, names, "only for tests")
        for name, part in names.items():
            self.assertTrue(part["licenses"][0]["expression"], name)
            if name != "tiering":
                self.assertRegex(part["hashes"][0]["content"], r"^[0-9a-f]{64}$", name)
        refs = {part["bom-ref"] for part in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
        for dependency in bill["dependencies"]:
            self.assertLessEqual(set(dependency["dependsOn"]), refs)

    def test_every_licence_is_one_that_is_permitted(self):
        for line in (self.out / "licences.txt").read_text().splitlines():
            name, expression = line.split(": ", 1)
            choices = [c.strip() for c in re.split(r" OR |/", expression.replace("(", "").replace(")", ""))]
            fits = any(all(word in PERMITTED or word.split(" WITH ")[0] in PERMITTED for word in choice.split(" AND "))
                       for choice in choices)
            self.assertTrue(fits, line)

    def test_the_same_binary_gives_the_same_release(self):
        again = self.out.parent / "again"
        run(RELEASE / "package", "--binary", ESKER, "--out", again)
        self.assertEqual((again / "SHA256SUMS").read_text(), (self.out / "SHA256SUMS").read_text())
        for line in (again / "SHA256SUMS").read_text().splitlines():
            digest, name = line.split()
            self.assertEqual(hashlib.sha256((again / name).read_bytes()).hexdigest(), digest)

    def scripts(self):
        """The environment of the release scripts, with a Cargo that builds nothing, and the calls that it notes."""
        folder = tempfile.TemporaryDirectory(prefix="esker-release-")
        self.addCleanup(folder.cleanup)
        self.work = Path(folder.name)
        self.env = {**os.environ, "PATH": f"{STUBS}:{Path(sys.executable).parent}:{os.environ['PATH']}", "STUB_DIR": str(self.work),
                    "STUB_BINARY": str(self.out / "esker"), "CARGO_TARGET_DIR": str(self.work / "built"), "RUSTFLAGS": "",
                    "TMPDIR": str(self.work)}
        return lambda: [json.loads(line) for line in (self.work / "calls").read_text().splitlines()]

    def test_a_build_says_nothing_of_where_and_when(self):
        calls = self.scripts()
        run(RELEASE / "build", "--out", "here", env=self.env, cwd=self.work)
        (call,) = calls()
        self.assertEqual(call["words"], ["build", "--release", "--locked", "--bin", "esker"])
        home = os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))
        for place, instead in ((str(ROOT), "/esker"), (home, "/cargo"), (str(self.work / "built"), "/target")):
            self.assertIn(f"--remap-path-prefix={place}={instead}", call["RUSTFLAGS"])
        self.assertTrue(call["RUSTFLAGS"].endswith("=/target"), "the innermost folder counts last")
        self.assertEqual(call["SOURCE_DATE_EPOCH"], run("git", "-C", ROOT, "log", "-1", "--format=%ct").stdout.strip())
        self.assertEqual({file.name for file in (self.work / "here").iterdir()},
                         {"esker", "esker.debug", "sbom.cdx.json", "licences.txt", "SHA256SUMS"})
        for wrong in (["--out"], ["--outt", "x"], []):
            self.assertNotEqual(run(RELEASE / "build", *wrong, env=self.env, check=False).returncode, 0, wrong)
        self.assertEqual(len(calls()), 1, "nothing was built for it")

    def test_two_builds_are_compared_byte_by_byte(self):
        calls = self.scripts()
        said = run(RELEASE / "reproduce", self.work / "twice", env=self.env).stdout
        self.assertRegex(said, r"(?m)^equal: [0-9a-f]{64}$")
        one, another = calls()
        self.assertNotEqual(one["folder"], another["folder"])
        self.assertNotEqual(one["CARGO_TARGET_DIR"], another["CARGO_TARGET_DIR"])
        self.assertEqual(one["SOURCE_DATE_EPOCH"], another["SOURCE_DATE_EPOCH"])
        self.assertEqual({path.name for path in (self.work / "twice").iterdir()}, {"one.out", "another-place.out"})
        self.assertEqual(list((self.work / "built").iterdir()), [], "what was built is gone")
        # The control: a compiler that gives something else each time.
        (self.work / "differs").touch()
        differs = run(RELEASE / "reproduce", env=self.env, check=False)
        self.assertNotEqual(differs.returncode, 0)
        self.assertIn("the two builds differ", differs.stdout)

    def test_an_installed_binary_is_tried(self):
        calls = self.scripts()
        said = run(RELEASE / "check-install", env=self.env).stdout
        self.assertIn("installed and runs", said)
        self.assertIn("node-1.crt", said)
        self.assertEqual(calls()[0]["words"][:3], ["install", "--path", str(ROOT)])
        self.assertEqual([path.name for path in self.work.iterdir() if path.is_dir()], [], "nothing is left")


if __name__ == "__main__":
    unittest.main()
