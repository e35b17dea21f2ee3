"""A log directory on a disk of its own that runs full, and one whose file system fails: what is acknowledged stays, reads go
on, and the rest of the broker does not notice; the only copy in sync is gone, or fails to fsync; a Raft log that is damaged. Needs the right to mount a tmpfs and a loop device."""

import shutil
import subprocess
import unittest
from pathlib import Path

from case import ClusterCase, slow
from clients import consume, produce, verify
from dev import Admin, esker
from judge import compare
from kafka_peer import Side
from processes import ROOT, alive, wait_until
from test_operate import samples


def mount(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)


class Disks(ClusterCase):
    def tmpfs(self, name, size):
        folder = self.processes.dir / name
        folder.mkdir()
        done = mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
        if done.returncode != 0:
            raise unittest.SkipTest(f"cannot mount a tmpfs: {done.stderr.strip()}")
        self.processes.mounts.append(folder)
        return folder

    def loop(self, name):
        """A file system in a file, and the switch with which the kernel lets it fail."""
        folder, image = self.processes.dir / name, self.processes.dir / f"{name}.image"
        folder.mkdir()
        with open(image, "wb") as file:
            file.truncate(64 << 20)
        try:
            subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
            subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, folder], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise unittest.SkipTest(f"cannot mount a loop device: {error}") from None
        self.processes.mounts.append(folder)
        # A new file system has a folder that is not ours.
        device = subprocess.run(["findmnt", "-no", "SOURCE", folder], check=True, capture_output=True, text=True).stdout
        return folder, image, Path("/sys/fs/ext4") / Path(device.strip()).name / "trigger_fs_error"

    def places(self, topic, partitions, *folders):
        """The log directory of each partition, once all have been made."""
        def made():
            found = {p: folder for p in range(partitions) for folder in folders if (folder / f"{topic}-{p}/partition.metadata").exists()}
            return found if len(found) == partitions else None
        return wait_until(f"the folders of {topic} are made", made, 30)

    def producer(self, dev, **more):
        from confluent_kafka import Producer

        return Producer({"bootstrap.servers": dev.bootstrap, "acks": "all", "batch.size": 60_000, "log_level": 0, **more})

    def read(self, dev, topic, partition):
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": "none", "enable.partition.eof": True})
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        values = []
        while True:
            message = consumer.poll(30)
            self.assertIsNotNone(message, f"nothing after {len(values)} records")
            if message.error():
                consumer.close()
                return values
            values.append(message.value().decode())

    def test_a_full_disk_refuses_and_goes_on_by_itself_when_there_is_room(self):
        small = self.tmpfs("small", "3m")
        large = self.processes.dir / "large"
        dev = self.dev(1, settings={"log.dirs": f"{small}", "metadata.log.dir": f"{large}"})
        dev.topic_create("t", configs={"segment.bytes": 262144})
        producer = self.producer(dev, **{"message.timeout.ms": 1500})
        acked, failed = [], []
        for i in range(100_000):
            value = f"{i:06}{'x' * 20_000}"
            producer.produce("t", value, on_delivery=lambda error, m, i=i: (failed if error else acked).append(i))
            producer.flush()
            if failed:
                break
        self.assertGreater(len(acked), 50, "it took what there was room for")
        held = {int(value[:6]) for value in self.read(dev, "t", 0)}
        self.assertLessEqual(set(acked), held, "reads go on and nothing is lost")
        self.assertEqual(mount("-o", "remount,size=40m", small).returncode, 0)
        again = self.producer(dev, **{"message.timeout.ms": 60_000})
        more = []
        for i in range(200_000, 200_050):
            again.produce("t", f"{i:06}{'y' * 20_000}", on_delivery=lambda error, m, i=i: more.append(error))
        self.assertEqual(again.flush(90), 0)
        self.assertEqual([error for error in more if error], [])
        values = [int(value[:6]) for value in self.read(dev, "t", 0)]
        self.assertLessEqual(set(acked) | set(range(200_000, 200_050)), set(values))
        self.assertEqual(dev.stop(), 0)
        dev.start()
        self.assertEqual([int(value[:6]) for value in self.read(dev, "t", 0)], values)

    def test_a_failed_device_takes_its_partitions_offline_and_no_others(self):
        sound, (bad, image, switch) = self.processes.dir / "sound", self.loop("bad")
        dev = self.dev(1, settings={"log.dirs": f"{sound},{bad}"})
        dev.topic_create("t", 4)
        places = {p: place.name for p, place in self.places("t", 4, sound, bad).items()}
        self.assertEqual(sorted(places.values()), ["bad", "bad", "sound", "sound"], "the fewest partitions")
        producer = self.producer(dev, **{"message.timeout.ms": 20_000})
        for p in range(4):
            producer.produce("t", "before", partition=p)
        self.assertEqual(producer.flush(30), 0)
        switch.write_text("a test")
        late = self.producer(dev, **{"message.timeout.ms": 4000})
        errors = {}
        for p in range(4):
            late.produce("t", "after", partition=p, on_delivery=lambda error, m, p=p: errors.update({p: error}))
        late.flush(30)
        self.assertEqual({p: "bad" if error else "sound" for p, error in errors.items()}, places)
        admin = Admin(dev.bootstrap)
        for p, place in places.items():
            wait_until(f"partition {p} is {place}", lambda: (admin.partition("t", p)[0] == 1) == (place == "sound"), 20, 0.2)
            if place == "sound":
                self.assertEqual(self.read(dev, "t", p), ["before", "after"])
        # New partitions go where the disk works.
        dev.topic_create("u", 2)
        self.assertEqual(self.places("u", 2, sound), {0: sound, 1: sound})
        self.assertIn("the device of a log directory has failed", dev.broker_logs(400))
        # The disk is back, and so is what it holds.
        dev.kill(1)
        wait_until("it is unmounted", lambda: subprocess.run(["umount", bad], capture_output=True).returncode == 0, 30, 0.2)
        checked = subprocess.run(["e2fsck", "-fy", image], capture_output=True, text=True)
        self.assertLess(checked.returncode, 4, f"{checked.stdout}{checked.stderr}")
        again = mount("-o", "loop", image, bad)
        self.assertEqual(again.returncode, 0, again.stderr)
        dev.restart(1)
        for p in range(4):
            wait_until(f"partition {p} leads", lambda: admin.partition("t", p)[0] == 1, 30, 0.2)

    def test_a_directory_that_is_bad_at_the_start_is_offline_alone_and_comes_back_with_all_it_holds(self):
        sound, bad, away = (self.processes.dir / name for name in ("sound", "bad", "away"))
        dev = self.dev(1, settings={"log.dirs": f"{sound},{bad}", "metadata.log.dir": f"{self.processes.dir / 'metadata'}"})
        dev.topic_create("t", 4)
        places = self.places("t", 4, sound, bad)
        producer = self.producer(dev, **{"message.timeout.ms": 20_000})
        for p in range(4):
            producer.produce("t", f"in {p}", partition=p)
        self.assertEqual(producer.flush(30), 0)
        self.assertEqual(dev.stop(), 0)
        # Where the directory was there is something that cannot be opened as one.
        bad.rename(away)
        bad.write_text("not a directory")
        dev.start()
        admin = Admin(dev.bootstrap)
        for p, place in places.items():
            leader = 1 if place == sound else -1
            wait_until(f"partition {p} has leader {leader}", lambda: admin.partition("t", p)[0] == leader, 30, 0.2)
            if place == sound:
                self.assertEqual(self.read(dev, "t", p), [f"in {p}"])
            else:
                self.assertFalse((sound / f"t-{p}").exists(), "an empty copy must not take the place of the lost one")
        dev.topic_create("u", 2)
        self.assertEqual(self.places("u", 2, sound), {0: sound, 1: sound})
        side = Side("Esker", dev.brokers()[1][1])
        self.addCleanup(side.close)
        told = {Path(it["LogDir"]): it["ErrorCode"] for it in side.ask("DescribeLogDirs", 4, {"Topics": None})["Results"]}
        self.assertEqual(told, {sound: 0, bad: 56})
        self.assertEqual(dev.stop(), 0)
        bad.unlink()
        away.rename(bad)
        dev.start()
        for p in range(4):
            wait_until(f"partition {p} leads", lambda: admin.partition("t", p)[0] == 1, 30, 0.2)
            self.assertEqual(self.read(dev, "t", p), [f"in {p}"])
        # With no directory at all the broker says so, and ends.
        self.assertEqual(dev.stop(), 0)
        for folder in (sound, bad):
            folder.rename(f"{folder}.away")
            folder.write_text("not a directory")
        dev.start(wait=False)
        dev.process.wait(60)
        self.assertNotEqual(dev.process.returncode, 0)
        said = dev.output() + dev.broker_logs(50)
        self.assertIn("no log directory can be used", said)
        self.assertTrue(str(sound) in said and str(bad) in said, said)

    def test_a_foreign_or_a_missing_file_costs_its_own_partition_alone_and_only_until_it_is_put_right(self):
        dev = self.dev(1)
        dev.topic_create("t", 3, configs={"segment.bytes": 100_000})
        producer = self.producer(dev, **{"batch.size": 1000})
        for i in range(90):
            producer.produce("t", f"{i} {'x' * 10_000}", partition=i % 3)
        self.assertEqual(producer.flush(30), 0)
        expected = {p: self.read(dev, "t", p) for p in range(3)}
        self.assertEqual([len(expected[p]) for p in range(3)], [30, 30, 30])
        self.assertEqual(dev.stop(), 0)
        folder = dev.data / "broker-1/data"
        foreign = folder / "t-0/notes.txt"
        foreign.write_text("not a log's")
        segments = sorted((folder / "t-1").glob("*.log"))
        self.assertGreater(len(segments), 2)
        missing, away = segments[1], self.processes.dir / "away"
        missing.rename(away)
        before = {f: f.stat().st_size for p in (0, 1) for f in (folder / f"t-{p}").glob("*.log")}
        dev.start()
        self.assertEqual(self.read(dev, "t", 2), expected[2])
        for name in (foreign, missing):
            wait_until(f"the broker names {name.name}", lambda: str(name) in dev.broker_logs(2000), 30, 0.2)
        self.assertEqual({f: f.stat().st_size for p in (0, 1) for f in (folder / f"t-{p}").glob("*.log")}, before, "nothing is cut")
        # The broker runs on, and takes each up once it is as it was.
        foreign.unlink()
        away.rename(missing)
        for p in range(3):
            self.assertEqual(self.read(dev, "t", p), expected[p])
        # In the log directory itself it stops the broker: what is not a partition might be one with another name.
        self.assertEqual(dev.stop(), 0)
        stray = folder / "not a partition"
        stray.mkdir()
        dev.start(wait=False)
        self.assertNotEqual(dev.process.wait(60), 0)
        self.assertIn(str(stray), dev.output() + dev.broker_logs(50))
        stray.rmdir()
        dev.start()
        self.assertEqual(self.read(dev, "t", 0), expected[0])

    def test_a_broker_whose_only_directory_fails_stops_and_says_why(self):
        bad, _, switch = self.loop("only")
        dev = self.dev(1, settings={"log.dirs": f"{bad}", "metadata.log.dir": f"{self.processes.dir / 'metadata'}"})
        dev.topic_create("t")
        producer = self.producer(dev, **{"message.timeout.ms": 4000})
        producer.produce("t", "before", partition=0)
        self.assertEqual(producer.flush(30), 0)
        pid = dev.pid(1)
        switch.write_text("a test")
        producer.produce("t", "after", partition=0)
        producer.flush(30)
        wait_until("the broker has stopped", lambda: not alive(pid), 30, 0.2)
        self.assertIn("no log directory can be used", dev.broker_logs(400))

    def test_an_fsync_that_fails_for_the_only_copy_acknowledges_nothing_and_it_goes_on_once_it_works(self):
        library, failing = self.processes.dir / "fsync.so", self.processes.dir / "failing"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, ROOT / "tests/cluster/fsync.c"], check=True)
        dev = self.dev(1, env={"LD_PRELOAD": str(library), "TESTS_FSYNC_FAILS": str(failing)})
        for topic in ("t", "u"):
            dev.topic_create(topic, configs={"flush.messages": 1})
        values = [f"{i}" for i in range(50)]
        producer = self.producer(dev, **{"message.timeout.ms": 30_000})
        for value in values:
            producer.produce("t", value, partition=0)
        self.assertEqual(producer.flush(30), 0)
        failing.write_text("/t-0/")
        acked = {}
        late = self.producer(dev, **{"message.timeout.ms": 4000})
        for topic in ("t", "u"):
            late.produce(topic, "after", partition=0, on_delivery=lambda error, m: acked.update({m.topic(): error is None}))
        late.flush(30)
        self.assertEqual(acked, {"t": False, "u": True})
        failing.unlink()
        producer.produce("t", "again", partition=0)
        self.assertEqual(producer.flush(30), 0)
        # What was refused may be there, as after any error of a producer.
        held = self.read(dev, "t", 0)
        self.assertEqual((held[:50], held[-1], set(held[50:-1]) <= {"after"}), (values, "again", True), held)

    @slow
    def test_when_the_only_copy_in_sync_is_gone_another_leads_only_by_the_topics_config_and_that_is_told(self):
        dev = self.dev(3)
        dev.topic_create("t", replicas=2, configs={"min.insync.replicas": 1})
        admin = Admin(dev.bootstrap)
        admin.wait_for_isr("t", 1, 2)
        leader, (one, other), _ = admin.partition("t")
        follower = other if leader == one else one
        third = ({1, 2, 3} - {one, other}).pop()
        producer = self.producer(dev, **{"message.timeout.ms": 30_000})
        for i in range(20):
            producer.produce("t", f"both {i}", partition=0)
        self.assertEqual(producer.flush(60), 0)
        dev.kill(follower)
        wait_until("the leader is alone", lambda: admin.partition("t")[2] == [leader], 30, 0.2)
        for i in range(5):
            producer.produce("t", f"alone {i}", partition=0)
        self.assertEqual(producer.flush(60), 0)
        dev.kill(leader)
        dev.restart(follower)
        wait_until("nobody leads", lambda: admin.partition("t")[0] == -1, 30, 0.2)
        wait_until("it is told as offline", lambda: samples(dev.consoles()[third])["esker_partitions_offline", ""] >= 1, 20, 0.2)
        side = Side("Esker", dev.brokers()[third][1])
        self.addCleanup(side.close)
        elect = lambda: side.ask("ElectLeaders", 2, {
            "ElectionType": 1, "TopicPartitions": [{"Topic": "t", "Partitions": [0]}], "TimeoutMs": 20_000})["ReplicaElectionResults"][0]["PartitionResult"][0]
        refused = elect()
        self.assertEqual(refused["ErrorCode"], 83, refused)
        self.assertIn("unclean.leader.election.enable=true", refused["ErrorMessage"])
        self.assertEqual(admin.partition("t")[0], -1)
        # The way out, as the runbook has it.
        at = ("--bootstrap-server", dev.brokers()[third][1])
        esker("config", "set", "--topic", "t", "unclean.leader.election.enable=true", *at)
        elected = elect()
        self.assertIn(elected["ErrorCode"], (0, 84), elected)
        wait_until("the follower leads", lambda: admin.partition("t")[0] == follower, 30, 0.2)
        esker("config", "unset", "--topic", "t", "unclean.leader.election.enable", *at)
        self.assertEqual(self.read(dev, "t", 0), [f"both {i}" for i in range(20)])
        wait_until("it is told", lambda: samples(dev.consoles()[follower])["esker_unclean_leaderships_total", ""] == 1, 20, 0.2)
        said = (dev.data / f"broker-{follower}/broker.log").read_text()
        self.assertRegex(said, r"leads although no copy was left that is known to be whole.*partition=t-0.*log_end=20")
        producer.produce("t", "by the new leader", partition=0)
        self.assertEqual(producer.flush(60), 0)
        # Should the lost one come back after all, it gives up what it alone had.
        dev.restart(leader)
        admin.wait_for_isr("t", 1, 2)
        expected = [*(f"both {i}" for i in range(20)), "by the new leader"]
        self.assertEqual(self.read(dev, "t", 0), expected)
        copies = {b: dev.data / f"broker-{b}/data/t-0" for b in (leader, follower)}
        found, compared, damaged = compare(copies)
        self.assertEqual((found, damaged), ([], 0))
        self.assertGreater(compared, 1)

    @slow
    def test_a_voter_with_a_damaged_raft_log_does_not_start_the_others_go_on_and_with_a_new_store_it_votes_again(self):
        dev = self.dev(3)
        dev.topic_create("t")
        produced = produce("python", dev.bootstrap, "t", 200, "a")
        former = dev.store_of(2)
        dev.kill(2)
        store = dev.data / "broker-2/data/metadata"
        for file in store.rglob("*"):
            if file.is_file():
                self.flip_a_bit_of_each_page(file)
        refused = esker("dev", "start", 2, "--data", dev.data, check=False, timeout=130)
        self.assertNotEqual(refused.returncode, 0, refused.stdout)
        self.assertRegex((dev.data / "broker-2/broker.log").read_text(errors="replace").splitlines()[-1], "damaged|orrupt|hecksum")
        dev.topic_create("while-it-is-away", replicas=2)
        produced += produce("python", dev.bootstrap, "t", 200, "b")
        shutil.rmtree(store)
        dev.restart(2)
        Admin(dev.bootstrap).wait_for_isr("t", 1, 3)
        wait_until("2 votes again, with another store", lambda: dev.all_vote(former), 60, 0.3)
        verify(consume(self.processes, "python", dev.bootstrap, "t", 400), produced, "read back")

    def flip_a_bit_of_each_page(self, file):
        data = bytearray(file.read_bytes())
        for at in range(64, len(data), 4096):
            data[at] ^= 1
        file.write_bytes(data)


if __name__ == "__main__":
    unittest.main()
