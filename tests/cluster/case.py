"""What all cluster tests share: a folder of processes that is emptied after each test, and logs when one fails."""

import os
import unittest
from pathlib import Path

from processes import FAST, Processes, alive, wait_until
from wire import Closed, Connection


class ClusterCase(unittest.TestCase):
    """A test with processes of its own."""

    maxDiff = None

    def setUp(self):
        self.processes = Processes(self.id().split(".")[-1].replace("test_", "")[:24])
        self.devs = []
        self.addCleanup(self._end)

    def _end(self):
        self._show_what_failed()
        self.processes.end(keep=self._failed() and "TESTS_KEEP" in os.environ)

    def _failed(self):
        result = self._outcome.result
        return any(test is self or getattr(test, "test_case", None) is self for test, _ in [*result.failures, *result.errors])

    def _show_what_failed(self):
        if self._failed():
            for dev in self.devs:
                print(f"\n--- {dev.name}\n{dev.output()[-2000:]}\n{dev.broker_logs(30)}", flush=True)

    def dev(self, *args, **kwargs):
        """A `Dev` whose logs are shown if the test fails."""
        return _dev(self, *args, **kwargs)

    def figure(self, text):
        """A measured number, shown with TESTS_FIGURES=1."""
        if os.environ.get("TESTS_FIGURES"):
            print(f"\nfigure: {text}", flush=True)

    def unharmed(self, dev, most_kb=400_000):
        """After hostile input: every broker lives, has never panicked, holds little memory, and serves the next client."""
        self.assertNotIn("panicked", dev.broker_logs(1_000_000))
        for broker, (pid, address) in dev.brokers().items():
            self.assertTrue(alive(pid), f"broker {broker} is gone")
            self.assertLess(memory_kb(pid), most_kb, f"memory of broker {broker} in KiB")
            wait_until(f"broker {broker} serves the next client", lambda: answers(address), 60, 0.2)


class SharedCase(ClusterCase):
    """Tests on processes that `begin` starts once for all of them: for those that leave them as they were."""

    @classmethod
    def setUpClass(cls):
        cls.processes, cls.devs = Processes(cls.__name__.lower()), []
        cls.addClassCleanup(cls.processes.end)
        cls.begin()

    @classmethod
    def begin(cls):
        raise NotImplementedError

    def setUp(self):
        self.addCleanup(self._show_what_failed)

    @classmethod
    def dev(cls, *args, **kwargs):
        return _dev(cls, *args, **kwargs)


def _dev(owner, *args, wait=True, **kwargs):
    from dev import Dev

    dev = Dev(owner.processes, *args, wait=False, **kwargs)
    owner.devs.append(dev)
    if wait:
        dev.wait_ready()
    return dev


def answers(address, source=None):
    """Whether a new connection is served."""
    try:
        with Connection(address, 20, source=source) as connection:
            return bool(connection.call(18, 0, b""))
    except (Closed, OSError):
        return False


def memory_kb(pid):
    """What a process holds in memory of its own (resident, without files)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0])


slow = unittest.skipIf(FAST, "slow")
