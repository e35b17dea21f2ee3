"""DeleteRecords by a real client: the log start rises on every broker, in both tiers, and outlives leaders and restarts."""

from case import ClusterCase, slow
from clients import produce
from dev import Admin
from processes import wait_until
from test_compaction import read


def delete(bootstrap, topic, offset):
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": bootstrap})
    asked = client.delete_records([TopicPartition(topic, 0, offset)], request_timeout=30)
    return next(iter(asked.values())).result(40).low_watermark


def first(bootstrap, topic):
    return read(bootstrap, topic)[0][0]


class DeleteRecords(ClusterCase):
    def test_deleted_records_are_gone_on_every_leader_and_after_a_restart(self):
        from confluent_kafka import KafkaException

        dev = self.dev(3)
        dev.topic_create("t", configs={"segment.bytes": 65536})
        dev.topic_create("compacted", configs={"cleanup.policy": "compact"})
        produce("python", dev.bootstrap, "t", 3000, "a")
        self.assertEqual(delete(dev.bootstrap, "t", 1234), 1234)
        self.assertEqual(first(dev.bootstrap, "t"), 1234)
        self.assertEqual(delete(dev.bootstrap, "t", 1000), 1234, "it never goes back")
        for topic, offset, code in [("t", 3001, "OFFSET_OUT_OF_RANGE"), ("compacted", 0, "POLICY_VIOLATION")]:
            with self.assertRaises(KafkaException) as refused:
                delete(dev.bootstrap, topic, offset)
            self.assertIn(code, refused.exception.args[0].name().lstrip("_"))
        admin = Admin(dev.bootstrap)
        leader = admin.partition("t", 0)[0]
        dev.kill(leader)
        wait_until("another broker leads", lambda: admin.partition("t", 0)[0] not in (leader, -1), 30, 0.2)
        self.assertEqual(first(dev.bootstrap, "t"), 1234)
        self.assertEqual(delete(dev.bootstrap, "t", 2000), 2000, "a dead replica is not waited for")
        dev.restart(leader)
        admin.wait_for_isr("t", 1, 3)
        self.assertEqual(delete(dev.bootstrap, "t", -1), 3000, "up to the high watermark")
        produce("python", dev.bootstrap, "t", 10, "b")
        self.assertEqual(dev.stop(), 0)
        dev.start()
        self.assertEqual(first(dev.bootstrap, "t"), 3000)

    @slow
    def test_records_that_only_the_tier_has_are_deleted_too(self):
        store = self.processes.dir / "tier"
        dev = self.dev(1, tier=f"file://{store}", settings={
            "remote.log.manager.task.interval.ms": 200, "log.retention.check.interval.ms": 300,
            "tier.delete.grace.ms": 500})
        dev.topic_create("t", configs={"remote.storage.enable": "true", "segment.bytes": 65536,
                                       "local.retention.bytes": 1})
        produce("python", dev.bootstrap, "t", 4000, "a")
        wait_until("most is only in the tier", lambda: dev.local_start("t", 0, 1) > 3000, 60, 0.2)
        objects = len(list(store.rglob("*")))
        self.assertEqual(delete(dev.bootstrap, "t", 2500), 2500)
        self.assertEqual(first(dev.bootstrap, "t"), 2500)
        wait_until("their objects are deleted", lambda: len(list(store.rglob("*"))) < objects, 60, 0.2)
        self.assertEqual(dev.stop(), 0)
        dev.start()
        self.assertEqual(first(dev.bootstrap, "t"), 2500)
