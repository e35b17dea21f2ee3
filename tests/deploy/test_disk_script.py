"""deploy/host/esker-disks on loop devices: what is blank is formatted, what is ours is mounted, anything else is left alone."""

import hashlib
import os
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from tools import BIN, DEPLOY, run

SCRIPT = DEPLOY / "host/esker-disks"
MIB = 1 << 20
SIZE = 320 * MIB  # the smallest that mkfs.xfs takes is 300 MiB; the files are sparse


def loop_devices_work():
    """Whether this machine lets us make and mount an XFS file system on a loop device."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "probe"
        file.touch()
        os.truncate(file, SIZE)
        try:
            run("mkfs.xfs", "-q", file)
            (Path(folder) / "at").mkdir()
            run("mount", "-o", "loop", file, Path(folder) / "at")
            run("umount", Path(folder) / "at")
        except (AssertionError, OSError):
            return False
    return True


class Disks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="esker-disks-")
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)
        self.at = self.dir / "mnt"
        self.env = dict(os.environ, ESKER_MOUNT=str(self.at), ESKER_OWNER="root:root", ESKER_DISKS_ENV="/dev/null",
                        ESKER_MD=str(self.dir / "md-esker"))
        self.addCleanup(subprocess.run, ["umount", "-q", str(self.at)], capture_output=True)

    def disk(self, name="disk", content=b"", at=0):
        """A loop device with `content` at that place, and zeros."""
        file = self.dir / name
        with open(file, "wb") as out:
            out.truncate(SIZE)
            out.seek(at)
            out.write(content)
        device = run("losetup", "--find", "--show", file).stdout.strip()
        self.addCleanup(run, "losetup", "-d", device, check=False)
        return device

    def script(self, *disks, arguments=(), **env):
        return run("sh", SCRIPT, *arguments, check=False, env={**self.env, "ESKER_DISKS": " ".join(disks), **env})

    def formatted(self, *disks, **env):
        done = self.script(*disks, **env)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def refused(self, *disks, said, **env):
        done = self.script(*disks, **env)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn(said, done.stdout)
        self.assertFalse(os.path.ismount(self.at))
        return done.stdout

    def digest(self, device):
        with open(device, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def reboot(self):
        run("umount", self.at)

    def test_a_blank_disk_is_formatted_and_mounted_without_access_times(self):
        disk = self.disk()
        self.assertIn("formatting", self.formatted(disk))
        line = next(line for line in Path("/proc/mounts").read_text().splitlines() if f" {self.at} " in line)
        self.assertIn(" xfs ", line)
        self.assertIn("noatime", line)
        self.assertEqual(oct(self.at.stat().st_mode & 0o777), "0o750")

    def test_what_is_there_survives_a_reboot(self):
        disk = self.disk()
        self.formatted(disk)
        (self.at / "segment.log").write_bytes(b"records")
        self.reboot()
        self.assertNotIn("formatting", self.formatted(disk))
        self.assertEqual((self.at / "segment.log").read_bytes(), b"records")

    def test_a_second_run_over_a_mounted_disk_changes_nothing(self):
        disk = self.disk()
        self.formatted(disk)
        (self.at / "segment.log").write_bytes(b"records")
        self.assertIn("mounted already", self.formatted(disk))
        self.assertEqual((self.at / "segment.log").read_bytes(), b"records")

    def test_a_disk_that_came_back_blank_is_formatted_again(self):
        self.formatted(self.disk("before"))
        (self.at / "segment.log").write_bytes(b"records")
        self.reboot()
        self.assertIn("formatting", self.formatted(self.disk("after")))
        self.assertEqual(list(self.at.iterdir()), [])

    def test_a_disk_with_data_is_not_touched(self):
        partitions = bytes(446) + bytes([0, 0, 2, 0, 0x83, 0, 0, 0]) + struct.pack("<II", 2048, 4096) + bytes(48) + b"\x55\xaa"
        for name, content, at, said in [
            ("start", b"somebody's", 0, "data at 0 MiB"),
            ("middle", b"somebody's", SIZE // 2 + 5, "data at 160 MiB"),
            ("end", b"somebody's", SIZE - 20, "data at 319 MiB"),
            ("mbr", partitions, 0, "partition table"),
        ]:
            with self.subTest(name):
                disk = self.disk(name, content, at)
                before = self.digest(disk)
                self.refused(disk, said=said)
                self.assertEqual(self.digest(disk), before)

    def test_a_file_system_of_somebody_else_is_not_touched(self):
        for name, command in [("ext4", ["mkfs.ext4", "-q"]), ("xfs", ["mkfs.xfs", "-q", "-L", "payroll"])]:
            with self.subTest(name):
                disk = self.disk(name)
                run(*command, disk)
                before = self.digest(disk)
                self.refused(disk, said=f"it holds {name}")
                self.assertEqual(self.digest(disk), before)

    def test_one_disk_with_data_among_blank_ones_stops_everything(self):
        blank, full = self.disk("blank"), self.disk("full", b"somebody's")
        before = self.digest(blank)
        self.refused(blank, full, said=f"{full} is not blank", PATH=self.stubs())
        self.assertEqual(self.digest(blank), before)
        self.assertEqual(self.mdadm_calls(), [])

    def test_a_mount_point_that_is_in_use_is_not_hidden(self):
        self.at.mkdir()
        (self.at / "meta.properties").write_text("a broker was here")
        self.refused(self.disk(), said="not empty")

    def test_a_machine_without_instance_store_is_told_so(self):
        self.refused(said="NVMe (im4gn", ESKER_SYS_BLOCK=str(self.dir / "none"))
        self.refused(self.disk(), said="need 2", ESKER_MIN_DISKS="2")

    def test_only_the_instance_stores_disks_are_taken(self):
        """As the kernel names them: the root volume and other EBS volumes are NVMe devices too."""
        for name, model in [("nvme0n1", "Amazon Elastic Block Store              "),
                            ("nvme71n1", "Amazon EC2 NVMe Instance Storage        ")]:
            (self.dir / f"sys/{name}/device").mkdir(parents=True)
            (self.dir / f"sys/{name}/device/model").write_text(model + "\n")
        said = self.refused(said="/dev/nvme71n1 is not a block device", ESKER_SYS_BLOCK=str(self.dir / "sys"))
        self.assertNotIn("nvme0n1", said)

    def test_a_dry_run_says_what_it_would_do(self):
        disk = self.disk()
        before = self.digest(disk)
        done = self.script(disk, arguments=["--dry-run"])
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(f"would run: mkfs.xfs -q -K -L esker {disk}", done.stdout)
        self.assertEqual(self.digest(disk), before)

    # Several disks. Where the kernel has no md, mdadm is a stub that notes its arguments; the member's superblock, by
    # which an array is known again, is a real one, read by the real blkid.

    def stubs(self):
        """A PATH in which mdadm writes down what it is asked for, and gives a third loop device as the array."""
        bin = self.dir / "bin"
        bin.mkdir(exist_ok=True)
        (bin / "mdadm").write_text(f'#!/bin/sh\necho "$*" >> {self.dir}/calls\n'
                                   f'ln -sfn "$(cat {self.dir}/array-device)" {self.dir}/md-esker\n')
        (bin / "mdadm").chmod(0o755)
        return f"{bin}:{os.environ['PATH']}:/usr/sbin:/sbin"

    def mdadm_calls(self):
        calls = self.dir / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def member(self, name, array_name):
        """A disk with the superblock of an array's member (version 1.2)."""
        block = bytearray(256)
        struct.pack_into("<III", block, 0, 0xA92B4EFC, 1, 0)
        block[16:32] = bytes(range(16))
        block[32:64] = array_name.encode().ljust(32, b"\0")
        struct.pack_into("<I", block, 72, 0)
        struct.pack_into("<I", block, 92, 2)
        struct.pack_into("<Q", block, 144, 8)
        words = struct.unpack("<64I", block)
        total = sum(words)
        struct.pack_into("<I", block, 216, (total & 0xFFFFFFFF) + (total >> 32))
        return self.disk(name, bytes(block), 4096)

    def test_several_disks_become_one_array_of_level_0(self):
        one, two = self.disk("one"), self.disk("two")
        (self.dir / "array-device").write_text(self.disk("array"))
        self.formatted(one, two, PATH=self.stubs())
        (call,) = self.mdadm_calls()
        self.assertEqual(call, f"--create {self.dir}/md-esker --run --level=0 --chunk=256 --raid-devices=2 --name=esker "
                               f"--homehost=any {one} {two}")

    def test_our_array_is_found_again_after_a_reboot(self):
        one, two = self.member("one", "any:esker"), self.member("two", "any:esker")
        array = self.disk("array")
        run("mkfs.xfs", "-q", "-L", "esker", array)
        (self.dir / "array-device").write_text(array)
        self.assertNotIn("formatting", self.formatted(one, two, PATH=self.stubs()))
        self.assertEqual(self.mdadm_calls(), [f"--assemble {self.dir}/md-esker {one} {two}"])

    def test_an_array_that_lacks_a_disk_is_not_made_anew(self):
        one, two = self.member("one", "any:esker"), self.disk("two")
        self.refused(one, two, said=f"only {one} of 2 disks belong to our array", PATH=self.stubs())
        self.assertEqual(self.mdadm_calls(), [])

    def test_an_array_of_somebody_else_is_not_touched(self):
        one, two = self.member("one", "any:payroll"), self.member("two", "any:payroll")
        self.refused(one, two, said="it holds linux_raid_member", PATH=self.stubs())
        self.assertEqual(self.mdadm_calls(), [])

    @unittest.skipUnless(Path("/proc/mdstat").exists(), "the kernel has no md (software RAID)")
    def test_a_real_array_of_two_disks_survives_a_reboot(self):
        one, two = self.disk("one"), self.disk("two")
        array = f"/dev/md/esker-test-{os.getpid()}"
        self.addCleanup(run, "mdadm", "--stop", array, check=False)
        self.formatted(one, two, ESKER_MD=array)
        (self.at / "segment.log").write_bytes(b"records")
        self.reboot()
        run("mdadm", "--stop", array)
        self.formatted(one, two, ESKER_MD=array)
        self.assertEqual((self.at / "segment.log").read_bytes(), b"records")


class WithoutLoopDevices(unittest.TestCase):
    def test_the_disk_script_on_loop_devices(self):
        self.skipTest("no loop devices, or no XFS")


def load_tests(loader, tests, pattern):
    """One test that is skipped in place of all where the machine lets nobody mount a loop device."""
    left_out = WithoutLoopDevices if loop_devices_work() else Disks
    kept = unittest.TestSuite()
    for each in (Disks, WithoutLoopDevices, Text):
        if each is not left_out:
            kept.addTests(loader.loadTestsFromTestCase(each))
    return kept


class Text(unittest.TestCase):
    def test_the_script_is_clean_shell(self):
        run(BIN / "shellcheck", "--shell=sh", SCRIPT)


if __name__ == "__main__":
    unittest.main()
