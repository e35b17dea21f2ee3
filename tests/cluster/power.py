"""Power that is cut: each broker's data folder is an ext4 of its own on a loop device, and the kernel is told to end that file system without
writing out anything (EXT4_IOC_SHUTDOWN, as the tests of Linux' file systems do). What was not fsynced is gone then; what was is there."""

import fcntl
import os
import signal
import struct
import subprocess
import unittest

from processes import alive, wait_until

# _IOR('X', 125, __u32), and "go down, the journal too".
EXT4_IOC_SHUTDOWN = 2 << 30 | 4 << 16 | ord("X") << 8 | 125
NO_LOG_FLUSH = 2


class Power:
    """File systems at these folders ({broker: folder}), until the test's processes end. Skips the test where they cannot be made."""

    def __init__(self, processes, folders, megabytes=512):
        self.folders, self.images = folders, {}
        for broker, folder in folders.items():
            self.images[broker] = processes.dir / f"power-{broker}.image"
            folder.mkdir(parents=True)
            with open(self.images[broker], "wb") as file:
                file.truncate(megabytes << 20)
            try:
                subprocess.run(["mkfs.ext4", "-q", "-F", self.images[broker]], check=True, capture_output=True)
                self.mount(broker)
            except (OSError, subprocess.CalledProcessError) as error:
                raise unittest.SkipTest(f"cannot mount an ext4 on a loop device: {error} {getattr(error, 'stderr', '')}") from None
            processes.mounts.append(folder)

    def mount(self, broker):
        subprocess.run(["mount", "-o", "loop", self.images[broker], self.folders[broker]], check=True, capture_output=True)

    def lose(self, pids):
        """The processes ({broker: pid}) end and their disks lose what is not flushed, all at once; then the disks are there again. Returns for each
        broker {file: (bytes before, bytes after)} of the log segments that became shorter or are gone."""
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        before = {broker: self.sizes(broker) for broker in pids}
        for broker in pids:
            opened = os.open(self.folders[broker], os.O_RDONLY)
            fcntl.ioctl(opened, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
            os.close(opened)
        taken = {}
        for broker, pid in pids.items():
            wait_until(f"broker {broker} is gone", lambda: not alive(pid), 10)
            folder = self.folders[broker]
            wait_until(f"{folder} is unmounted", lambda: subprocess.run(["umount", folder], capture_output=True).returncode == 0, 20, 0.1)
            self.mount(broker)
            after = self.sizes(broker)
            taken[broker] = {file: (size, after.get(file, 0)) for file, size in before[broker].items() if after.get(file, 0) < size}
        return taken

    def sizes(self, broker):
        folder = self.folders[broker]
        return {str(file.relative_to(folder)): file.stat().st_size for file in folder.glob("*/*.log")}


def bytes_taken(taken, topic):
    """How many bytes of a topic's segments one broker has lost."""
    return sum(before - after for file, (before, after) in taken.items() if file.startswith(f"{topic}-"))
