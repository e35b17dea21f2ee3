"""`esker doctor` on a machine made wrong on purpose: each fault is named, with the way to mend it; a sound one passes."""

import json
import os
import resource
import subprocess
import unittest

from case import ClusterCase
from processes import ESKER, free_ports


class Doctor(ClusterCase):
    def look(self, settings, files=None):
        """(exit code, findings by name)"""
        config = self.processes.dir / "broker.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

        def limit():
            if files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        done = subprocess.run([str(ESKER), "doctor", "--config", str(config), "--output", "json"], capture_output=True, text=True,
                              timeout=120, preexec_fn=limit)
        self.assertIn("[", done.stdout, done.stderr)
        return done.returncode, {f["what"]: f for f in json.loads(done.stdout)}

    def test_what_is_wrong_is_named_with_the_way_to_mend_it(self):
        sound, store = self.processes.dir / "sound", self.processes.dir / "store"
        store.mkdir()
        settings = {"log.dirs": sound, "tier.store.url": f"file://{store}"}
        _, found = self.look(settings)
        self.assertEqual(found[f"log directory {sound}"]["grade"], "ok")
        self.assertTrue(all(found[name]["grade"] == "ok" for name in found if name.startswith("store")), found)
        for what, finding in found.items():
            self.assertEqual(finding["mend"] == "", finding["grade"] == "ok", what)

        code, found = self.look(settings, files=256)
        self.assertEqual((code, found["open files"]["grade"]), (1, "bad"))
        self.assertIn("LimitNOFILE", found["open files"]["mend"])

        a_file = self.processes.dir / "a-file"
        a_file.write_text("")
        code, found = self.look({"log.dirs": a_file / "data"})
        self.assertEqual((code, found[f"log directory {a_file}/data"]["grade"]), (1, "bad"))
        self.assertIn("broker's user", found[f"log directory {a_file}/data"]["mend"])

        # Nobody listens there.
        away = {"log.dirs": sound, "tier.store.url": "s3://bucket/prefix", "tier.store.access.key": "a", "tier.store.secret.key": "b",
                "tier.store.endpoint": f"http://127.0.0.1:{free_ports(1)[0]}"}
        code, found = self.look(away)
        self.assertEqual((code, found["store: write"]["grade"]), (1, "bad"), found)
        self.assertIn("Put", found["store: write"]["mend"])

    @unittest.skipUnless(os.geteuid() == 0, "needs the right to mount")
    def test_a_disk_that_forgets_and_one_that_is_read_only_are_bad(self):
        script = """
            mount -t tmpfs -o size=64m tmpfs "$1" && mkdir "$1/data" && "$2" doctor --config "$3" --output json > "$4.tmpfs"
            mount -o remount,ro "$1" && "$2" doctor --config "$3" --output json > "$4.ro"
            true
        """
        folder, config, out = (self.processes.dir / name for name in ("mounted", "broker.properties", "out"))
        folder.mkdir()
        config.write_text(f"log.dirs={folder}/data\n")
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", folder, ESKER, config, out], capture_output=True, text=True,
                              timeout=120)
        if "unshare" in done.stderr or "mount:" in done.stderr:
            self.skipTest(f"cannot mount: {done.stderr.strip()}")
        found = {kind: {f["what"]: f for f in json.loads(out.with_suffix(f".{kind}").read_text())} for kind in ("tmpfs", "ro")}
        self.assertEqual(found["tmpfs"][f"file system of {folder}/data"]["grade"], "bad")
        self.assertEqual(found["tmpfs"][f"free space in {folder}/data"]["grade"], "warn")
        self.assertEqual(found["ro"][f"log directory {folder}/data"]["grade"], "bad")
        self.assertIn("broker's user", found["ro"][f"log directory {folder}/data"]["mend"])
