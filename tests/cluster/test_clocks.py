"""Wall clocks that are wrong: hours ahead or behind, and jumping. Nothing is deleted early, nothing acknowledged is lost, and it goes on."""

import os
import random
import struct
import subprocess
import threading
import time

import test_failover
from case import ClusterCase, slow
from clients import consume, produce, verify
from dev import Admin
from processes import ROOT, wait_until

HOUR = 3600 * 10**9
PARTITIONS = test_failover.PARTITIONS
# A leader whose clock is behind takes clients' records for records of the future, and refuses them (as Kafka does): not what this is about.
ANY_TIME = {"message.timestamp.after.max.ms": 10**12}


class Clocks(ClusterCase):
    def cluster(self, **settings):
        """Three brokers whose wall clocks are ours (`clock.c`)."""
        self.clocks = self.processes.dir / "clocks"
        self.clocks.mkdir()
        for broker in (1, 2, 3):
            self.set_clock(broker, 0)
        library = self.clocks / "clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, ROOT / "tests/cluster/clock.c"], check=True)
        return self.dev(3, settings=settings, env={"LD_PRELOAD": str(library), "TESTS_CLOCKS": str(self.clocks)})

    def set_clock(self, broker, nanoseconds):
        """By how much a broker's clock is ahead from now on."""
        # In place: the brokers have the file mapped.
        with open(os.open(self.clocks / f"broker-{broker}", os.O_CREAT | os.O_WRONLY), "wb") as file:
            file.write(struct.pack("=q", nanoseconds))

    @slow
    def test_a_wrong_clock_deletes_nothing_early_and_only_an_agreed_time_does(self):
        dev = self.cluster(**{"log.retention.check.interval.ms": 200, "remote.log.manager.task.interval.ms": 200,
                              "tier.delete.grace.ms": 500})
        dev.topic_create("t", configs={**ANY_TIME, "retention.ms": 3_600_000, "segment.bytes": 65536})
        dev.topic_create("tiered", configs={**ANY_TIME, "remote.storage.enable": "true", "retention.ms": 3_600_000,
                                            "local.retention.ms": 1_800_000, "segment.bytes": 65536})
        admin = Admin(dev.bootstrap)
        admin.wait_for_isr("t", 1, 3)
        admin.wait_for_isr("tiered", 1, 3)
        produced, count = produce("python", dev.bootstrap, "t", 2000, "0"), 2000
        produce("python", dev.bootstrap, "tiered", 2000, "0")
        objects = lambda: {file.name for file in (dev.data / "tier").rglob("*.seg")}
        local = lambda: {dev.local_start("tiered", 0, b) for b in (1, 2, 3)}
        wait_until("segments are in the tier", lambda: len(objects()) >= 3, 60, 0.2)
        self.assertEqual(local(), {0}, "all clocks are right")
        seen = objects()
        leader = admin.partition("t")[0]
        cold_leader = admin.partition("tiered")[0]
        wrong = [(leader, 24), (leader, -24), (leader % 3 + 1, 24)]
        wrong += [(cold_leader, 24)] if (cold_leader, 24) not in wrong else []
        for turn, (broker, hours) in enumerate(wrong):
            self.set_clock(broker, hours * HOUR)
            time.sleep(1.5)  # a few looks at what is to be deleted
            produced, count = produced + produce("python", dev.bootstrap, "t", 100, f"turn-{turn}"), count + 100
            self.assertEqual({dev.local_start("t", 0, b) for b in (1, 2, 3)}, {0}, f"broker {broker} {hours} h off")
            self.assertEqual(local(), {0}, f"of the tiered topic, led by {cold_leader}, broker {broker} {hours} h off, {turn}")
            self.assertLessEqual(seen, objects(), f"objects, broker {broker} {hours} h off")
            seen |= objects()
            self.set_clock(broker, 0)
            # Its last word on the time is the right one again: two wrong words of three would be a majority.
            time.sleep(1.5)
        verify(consume(self.processes, "python", dev.bootstrap, "t", count), produced, "with all clocks right again")
        # The control: when all of them say so, three quarters of an hour have gone by, and then a day.
        for broker in (1, 2, 3):
            self.set_clock(broker, HOUR * 3 // 4)
        wait_until("what the tier has goes locally", lambda: all(local()), 60)
        self.assertLessEqual(seen, objects(), "objects, before their time")
        self.assertEqual({dev.local_start("t", 0, b) for b in (1, 2, 3)}, {0}, "before their time")
        for broker in (1, 2, 3):
            self.set_clock(broker, 24 * HOUR)
        wait_until("old segments go", lambda: all(dev.local_start("t", 0, b) for b in (1, 2, 3)), 60)
        wait_until("old objects go", lambda: not seen & objects(), 60, 0.2)

    @slow
    def test_nothing_is_lost_while_all_clocks_jump_and_leaders_die(self):
        dev = self.cluster()
        dev.topic_create("t", PARTITIONS, configs=ANY_TIME)
        admin = Admin(dev.bootstrap)
        admin.wait_for_isr("t", PARTITIONS, 3)
        writer = test_failover.Writer(dev.bootstrap, "t", PARTITIONS)
        writer.start()
        self.addCleanup(writer.finish)
        wait_until("the writer writes", lambda: len(writer.acked) > 200)
        stop, chance = threading.Event(), random.Random()

        def strobe():
            while not stop.wait(0.05):
                self.set_clock(chance.choice([1, 2, 3]), chance.randint(-HOUR // 2, 48 * HOUR))

        strobing = threading.Thread(target=strobe, daemon=True)
        strobing.start()
        self.addCleanup(stop.set)
        for _ in range(3):
            victim = next(iter(admin.leaders("t").values()))
            dev.kill(victim)
            done = len(writer.acked)
            wait_until("the writer goes on", lambda: len(writer.acked) > done + 200, 60)
            dev.restart(victim)
            admin.wait_for_isr("t", PARTITIONS, 3)
        stop.set()
        strobing.join()
        for broker in (1, 2, 3):
            self.set_clock(broker, 0)
        writer.finish()
        self.assertEqual(writer.failed, [])
        test_failover.Failover.check_all_there(self, dev.bootstrap, writer)
