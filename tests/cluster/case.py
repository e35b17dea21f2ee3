"""What all cluster tests share: a folder of processes that is emptied after each test, and logs when one fails."""

import unittest

from processes import FAST, Processes


class ClusterCase(unittest.TestCase):
    """A test with processes of its own."""

    maxDiff = None

    def setUp(self):
        self.processes = Processes(self.id().split(".")[-1].replace("test_", "")[:24])
        self.devs = []
        self.addCleanup(self._end)

    def _end(self):
        failed = any(error for _, error in getattr(self._outcome, "errors", [])) or (
            getattr(self._outcome, "success", True) is False)
        if failed:
            for dev in self.devs:
                print(f"\n--- {dev.name}\n{dev.output()[-2000:]}\n{dev.broker_logs(30)}", flush=True)
        self.processes.end()

    def dev(self, *args, **kwargs):
        """A `Dev` whose logs are shown if the test fails."""
        from dev import Dev

        wait = kwargs.pop("wait", True)
        dev = Dev(self.processes, *args, wait=False, **kwargs)
        self.devs.append(dev)
        if wait:
            dev.wait_ready()
        return dev


slow = unittest.skipIf(FAST, "slow")
