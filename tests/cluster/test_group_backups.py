"""Committed offsets come back from the bucket alone: of coordinators that died, that took over, and of groups that were deleted."""

import shutil
import time

from case import ClusterCase, slow
from clients import consume, produce, verify
from dev import Admin, esker
from processes import wait_until

GROUPS, COORDINATED, RECORDS = 24, 4, 3000
TIERED = {"remote.storage.enable": "true", "segment.bytes": 65536, "local.retention.bytes": 1, "tier.max.lag.ms": 500}
QUICK = {"cluster.id": "old-cluster", "remote.log.manager.task.interval.ms": 300, "log.retention.check.interval.ms": 500,
         "tier.backup.interval.ms": 300, "offsets.topic.num.partitions": COORDINATED, "auto.create.topics.enable": "false"}


class GroupBackups(ClusterCase):
    def commit(self, dev, offsets):
        """Commits an offset of t-0 for each group."""
        from confluent_kafka import Consumer, KafkaException, TopicPartition

        for group, offset in offsets.items():
            member = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": group, "enable.auto.commit": False,
                               "log_level": 0})

            def committed():
                try:
                    return member.commit(offsets=[TopicPartition("t", 0, offset)], asynchronous=False)
                except KafkaException:  # its coordinator has just died
                    return None

            wait_until(f"{group} has committed", committed, 60, 0.2)
            member.close()

    def committed(self, dev):
        """Group → its offset of t-0."""
        from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

        admin, found = Admin(dev.bootstrap), {}
        for number in range(GROUPS):
            asked = ConsumerGroupTopicPartitions(f"group-{number}", [TopicPartition("t", 0)])
            for group, answer in admin.client.list_consumer_group_offsets([asked]).items():
                found[group] = answer.result(30).topic_partitions[0].offset
        return found

    def coordinators(self, dev):
        """Partition of __consumer_offsets → the broker that leads it."""
        return Admin(dev.bootstrap).leaders("__consumer_offsets")

    def backed_up(self, store, offsets):
        """Whether some broker's parts have each group with this offset."""
        parts = [path.read_bytes() for path in store.rglob("group-parts/*/*") if path.is_file()]
        words = [f'"group":"{group}","offsets":[{{"topic":"t","partition":0,"offset":{offset},'.encode()
                 for group, offset in offsets.items()]
        return all(any(word in part for part in parts) for word in words)

    @slow
    def test_the_offsets_of_every_group_come_back_as_the_last_coordinator_knew_them(self):
        store = self.processes.dir / "tier"
        dev = self.dev(3, tier=f"file://{store}", settings=QUICK)
        dev.topic_create("t", 1, configs=TIERED)
        produce("python", dev.bootstrap, "t", RECORDS, "s")
        first = {f"group-{number}": 100 + number for number in range(GROUPS)}
        self.commit(dev, first)
        wait_until("the first offsets are in the bucket", lambda: self.backed_up(store, first), 60, 0.3)
        # A coordinator dies; what it has written stays in the bucket beside what its successors write.
        victim = self.coordinators(dev)[0]
        led = {partition for partition, leader in self.coordinators(dev).items() if leader == victim}
        dev.kill(victim)
        wait_until("others coordinate", lambda: victim not in self.coordinators(dev).values(), 60, 0.3)
        second = {f"group-{number}": 1000 + number for number in range(GROUPS)}
        self.commit(dev, second)
        # A group that is deleted does not come back, and one that is ahead of the tier comes back at its end.
        admin = Admin(dev.bootstrap)
        admin.client.delete_consumer_groups(["group-0"])["group-0"].result(30)
        self.commit(dev, {"group-1": 10 ** 9})
        second |= {"group-1": 10 ** 9}
        del second["group-0"]
        wait_until("the second offsets are in the bucket", lambda: self.backed_up(store, second), 60, 0.3)

        arguments = ["tier", "restore-cluster", "--store", f"file://{store}"]
        told = lambda: esker(*arguments, "--dry-run", check=False).stdout  # noqa: E731
        wait_until("the bucket knows all but the deleted group",
                   lambda: f"{GROUPS - 1} groups with {GROUPS - 1} committed offsets" in told(), 60, 0.5)
        wait_until("all is in the tier", lambda: f"0..{RECORDS}" in esker("tier", "restore", "t", "--dry-run", "--store",
                                                                         f"file://{store}", check=False).stdout, 120, 0.5)
        stale = [path for path in store.rglob(f"cluster/groups/{victim}/*") if path.is_file()]
        self.assertTrue(stale, f"broker {victim}, which led {led}, has left its words")
        for broker in {1, 2, 3} - {victim}:
            dev.kill(broker)
        dev.stop()
        shutil.rmtree(dev.data)

        dev.start()
        done = esker(*arguments, "--bootstrap-server", dev.bootstrap, timeout=180)
        self.assertIn("incarnation 1 of cluster old-cluster", done.stdout)
        expected = {**second, "group-0": -1001, "group-1": RECORDS}
        self.assertEqual(self.committed(dev), expected)
        # Life goes on under the same names, and the new life's words count from now on.
        third = {f"group-{number}": 2000 + number for number in range(GROUPS)}
        self.commit(dev, third)
        wait_until("the third offsets are in the bucket", lambda: self.backed_up(store, third), 60, 0.3)
        time.sleep(1)
        self.assertIn(f"{GROUPS} groups with {GROUPS} committed offsets", told())

    @slow
    def test_a_topic_that_was_deleted_after_the_last_backup_does_not_keep_the_others_from_coming_back(self):
        store = self.processes.dir / "tier"
        dev = self.dev(1, tier=f"file://{store}", settings=QUICK)
        for topic in ("gone", "t"):
            dev.topic_create(topic, 1, configs=TIERED)
        produce("python", dev.bootstrap, "gone", 100, "g")
        produced = produce("python", dev.bootstrap, "t", RECORDS, "s")
        at = lambda topic: esker("tier", "restore", topic, "--dry-run", "--store", f"file://{store}", check=False).stdout  # noqa: E731
        wait_until("all is in the tier", lambda: f"0..{RECORDS}" in at("t") and "0..100" in at("gone"), 120, 0.5)
        self.commit(dev, {"group-0": 7})
        wait_until("the offset is in the bucket", lambda: self.backed_up(store, {"group-0": 7}), 60, 0.3)
        metadata, kept = next(store.rglob("cluster/metadata")), self.processes.dir / "kept"
        both = lambda: any(b'"name":"gone"' in path.read_bytes() for path in metadata.iterdir())  # noqa: E731
        wait_until("both topics are in the backup", both, 60, 0.3)
        shutil.copytree(metadata, kept)
        # The tombstone is there, and the brokers die before the objects' grace is over; of the deletion no backup tells.
        admin = Admin(dev.bootstrap)
        admin.client.delete_topics(["gone"])["gone"].result(30)
        wait_until("the tombstone is there", lambda: list(store.rglob("gone/*/0/manifest/deleted")), 30, 0.1)
        dev.kill(1)
        dev.stop()
        shutil.rmtree(dev.data)
        shutil.rmtree(metadata)
        kept.rename(metadata)

        arguments = ["tier", "restore-cluster", "--store", f"file://{store}"]
        told = "left out, since they were deleted after the backup: gone"
        self.assertIn(told, esker(*arguments, "--dry-run").stdout)
        dev.start()
        done = esker(*arguments, "--bootstrap-server", dev.bootstrap, timeout=180).stdout
        self.assertIn(told, done)
        self.assertIn("cluster old-cluster is back", done)
        admin = Admin(dev.bootstrap)
        self.assertNotIn("gone", admin.client.list_topics(timeout=30).topics)
        verify(consume(self.processes, "python", dev.bootstrap, "t", RECORDS), produced, "read back after the restore")
        self.assertEqual(self.committed(dev)["group-0"], 7)

    @slow
    def test_a_restore_that_may_not_set_the_incarnation_begins_none(self):
        store = self.processes.dir / "tier"
        old = self.dev(1, tier=f"file://{store}", settings=QUICK)
        old.topic_create("t", 1, configs=TIERED)
        produce("python", old.bootstrap, "t", RECORDS, "s")
        dry_run = ["tier", "restore", "t", "--dry-run", "--store", f"file://{store}"]
        wait_until("all is in the tier", lambda: f"0..{RECORDS}" in esker(*dry_run, check=False).stdout, 120, 0.5)
        old.stop()

        new = self.dev(1, tier=f"file://{store}", name="new", settings={
            **QUICK, "listeners": "SASL_PLAINTEXT://127.0.0.1:{port}", "security.bootstrap.user": "admin:secret-of-admin",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:admin"})
        at = lambda user: ["--bootstrap-server", new.bootstrap, "--command-config", self.client_config(user)]  # noqa: E731
        esker("user", "add", "alice", "--password", "secret-of-alice", *at("admin"))
        # All that a restore needs, but for the right to change the brokers' configs.
        esker("acl", "add", "--principal", "User:alice", "--operation", "describe,describe-configs,create", "--cluster-resource",
              *at("admin"))
        begun = lambda: [path.name for path in store.rglob("cluster/incarnation/*")]  # noqa: E731
        restore = ["tier", "restore", "t", "--replication-factor", 1, "--store", f"file://{store}"]
        refused = esker(*restore, *at("alice"), check=False, timeout=120)
        self.assertNotEqual(refused.returncode, 0)
        self.assertEqual(begun(), [], "these brokers would take the store for another life's")
        self.assertIn("tier.incarnation cannot be set for all brokers", refused.stderr)
        # Nor one whose topic the brokers can't have.
        refused = esker(*restore[:-4], "--replication-factor", 3, *restore[-2:], *at("admin"), check=False, timeout=120)
        self.assertNotEqual(refused.returncode, 0)
        self.assertEqual(begun(), [])
        # The control: whoever may set it begins the first one. What an earlier restore has fenced stays so.
        esker("config", "set", "--all-brokers", "tier.incarnation.first.producer.id=7000000", *at("admin"))
        self.assertIn("incarnation 1 of cluster old-cluster", esker(*restore, *at("admin"), timeout=180).stdout)
        self.assertEqual(begun(), [f"{1:020}"])
        # And none begins when the topic is there already.
        refused = esker(*restore, *at("admin"), check=False, timeout=120)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("cannot create t", refused.stderr)
        self.assertEqual(begun(), [f"{1:020}"])
        # One change has set both: which life it is, and which producer ids are of those before.
        told = esker("config", "get", "--all-brokers", *at("admin")).stdout
        self.assertRegex(told, r"tier\.incarnation +┆ 1 ")
        self.assertRegex(told, r"tier\.incarnation\.first\.producer\.id +┆ 7000000 ")
        self.assertRegex(new.broker_logs(1000), "what=\"all brokers: tier.incarnation, tier.incarnation.first.producer.id\"")

    def client_config(self, user):
        path = self.processes.dir / f"{user}.properties"
        path.write_text("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\nsasl.jaas.config="
                        "org.apache.kafka.common.security.scram.ScramLoginModule required "
                        f'username="{user}" password="secret-of-{user}";\n')
        return path

    @slow
    def test_a_cluster_that_was_taken_for_lost_writes_nothing_more_once_it_was_restored_elsewhere(self):
        store = self.processes.dir / "tier"
        old = self.dev(1, tier=f"file://{store}", settings=QUICK)
        old.topic_create("t", 1, configs=TIERED)
        produced = produce("python", old.bootstrap, "t", RECORDS, "s")
        dry_run = ["tier", "restore", "t", "--dry-run", "--store", f"file://{store}"]
        wait_until("all is in the tier", lambda: f"0..{RECORDS}" in esker(*dry_run, check=False).stdout, 120, 0.5)
        backups = lambda: [path for path in store.rglob("cluster/metadata/*") if b'"name":"t"' in path.read_bytes()]  # noqa: E731
        wait_until("the topic is in the backup", backups, 60, 0.3)

        new = self.dev(1, tier=f"file://{store}", settings=QUICK, name="new")
        done = esker("tier", "restore-cluster", "--store", f"file://{store}", "--bootstrap-server", new.bootstrap, timeout=180)
        self.assertIn("incarnation 1 of cluster old-cluster", done.stdout)
        wait_until("the old cluster says why it writes no more", lambda: "later incarnation of this cluster" in old.broker_logs(1000), 90, 0.5)
        objects = lambda: {path for path in store.rglob("*") if path.is_file()}  # noqa: E731
        before = {path for path in objects() if path.suffix == ".seg"}
        # In the old cluster clients go on; what they write stays on its disks, and a topic that is deleted there lives on here.
        produce("python", old.bootstrap, "t", 1000, "astray")
        admin = Admin(old.bootstrap)
        admin.client.delete_topics(["t"])["t"].result(30)
        more = produce("python", new.bootstrap, "t", 1000, "more")
        wait_until("the new cluster goes on", lambda: {path for path in objects() if path.suffix == ".seg"} > before, 60, 0.3)
        wait_until("all is in the tier", lambda: f"0..{RECORDS + 1000}" in esker(*dry_run, check=False).stdout, 60, 0.5)
        self.assertFalse([path for path in objects() if path.name == "deleted"], "no tombstone of the topic")
        verify(consume(self.processes, "python", new.bootstrap, "t", RECORDS + 1000), produced + more, "read back from the new cluster")
