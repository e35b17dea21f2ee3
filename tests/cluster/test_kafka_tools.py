"""Kafka's own command line tools, unmodified."""

from case import ClusterCase, slow
from clients import produce
from processes import kafka_tool

TOOLS = "org.apache.kafka.tools"


class KafkaTools(ClusterCase):
    @slow
    def test_topics_configs_offsets_and_groups_are_managed_by_kafkas_tools(self):
        dev = self.dev(3)
        at = ["--bootstrap-server", dev.bootstrap]
        kafka_tool(f"{TOOLS}.TopicCommand", *at, "--create", "--topic", "t", "--partitions", 3, "--replication-factor", 3,
                   "--config", "retention.ms=7200000")
        self.assertIn("t", kafka_tool(f"{TOOLS}.TopicCommand", *at, "--list").split())
        described = kafka_tool(f"{TOOLS}.TopicCommand", *at, "--describe", "--topic", "t")
        self.assertIn("PartitionCount: 3", described)
        self.assertIn("ReplicationFactor: 3", described)
        self.assertIn("retention.ms=7200000", described)

        kafka_tool("kafka.admin.ConfigCommand", *at, "--alter", "--topic", "t", "--add-config", "segment.bytes=1048576")
        self.assertIn("segment.bytes=1048576", kafka_tool("kafka.admin.ConfigCommand", *at, "--describe", "--topic", "t"))
        kafka_tool(f"{TOOLS}.TopicCommand", *at, "--alter", "--topic", "t", "--partitions", 5)
        self.assertIn("PartitionCount: 5", kafka_tool(f"{TOOLS}.TopicCommand", *at, "--describe", "--topic", "t"))

        kafka_tool(f"{TOOLS}.ConsoleProducer", *at, "--topic", "t", input="one\ntwo\nthree\n")
        read = kafka_tool(f"{TOOLS}.consumer.ConsoleConsumer", *at, "--topic", "t", "--from-beginning", "--max-messages", 3,
                          "--timeout-ms", 20000, "--group", "console")
        self.assertEqual(sorted(line for line in read.splitlines() if line in ("one", "two", "three")),
                         ["one", "three", "two"])
        produce("python", dev.bootstrap, "t", 500, "s")
        ends = kafka_tool(f"{TOOLS}.GetOffsetShell", *at, "--topic", "t")
        self.assertEqual(sum(int(line.split(":")[2]) for line in ends.splitlines() if line.startswith("t:")), 503)

        self.assertIn("console", kafka_tool(f"{TOOLS}.consumer.group.ConsumerGroupCommand", *at, "--list").split())
        rows = kafka_tool(f"{TOOLS}.consumer.group.ConsumerGroupCommand", *at, "--describe", "--group", "console")
        # The consumer ends with its third record: of a partition whose position it did not know by then it has committed nothing.
        committed = [line.split()[2:6] for line in rows.splitlines() if line.startswith("console") and line.split()[5].isdigit()]
        self.assertEqual(sum(int(current) for _, current, _, _ in committed), 3, rows)
        for partition, current, end, lag in committed:
            self.assertIn(f"t:{partition}:{end}", ends.split())
            self.assertEqual(int(lag), int(end) - int(current), rows)
        kafka_tool(f"{TOOLS}.consumer.group.ConsumerGroupCommand", *at, "--delete", "--group", "console")
        self.assertNotIn("console", kafka_tool(f"{TOOLS}.consumer.group.ConsumerGroupCommand", *at, "--list").split())
        kafka_tool(f"{TOOLS}.TopicCommand", *at, "--delete", "--topic", "t")
        self.assertNotIn("t", kafka_tool(f"{TOOLS}.TopicCommand", *at, "--list").split())
