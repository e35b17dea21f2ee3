"""Configs at run time, metrics of clients, and admin calls that make no sense: the reason in the reply, nothing changed."""

import http.server
import json
import struct
import subprocess
import threading
import time
import uuid
import zlib

from confluent_kafka import Producer

from case import ClusterCase, answers
from clients import produce
from dev import esker
from messages import ask
from processes import ESKER, wait_until
from test_operate import Collector, samples
from wire import Connection

TOPIC, BROKER, CLIENT_METRICS, GROUP = 2, 4, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)
TIERED = {"remote.storage.enable": "true", "segment.bytes": "1048576"}


class Configs(ClusterCase):
    def ask(self, api, version, values, broker=1):
        with Connection(self.dev_.brokers()[broker][1], 30) as connection:
            return ask(connection, api, version, values)

    def change(self, kind, name, operations, validate_only=False, broker=1):
        """Incremental changes, `(name, operation, value)`; returns (code, text)."""
        configs = [{"Name": n, "ConfigOperation": o, "Value": v} for n, o, v in operations]
        answer = self.ask("IncrementalAlterConfigs", 1, {
            "Resources": [{"ResourceType": kind, "ResourceName": name, "Configs": configs}], "ValidateOnly": validate_only}, broker)
        return answer["Responses"][0]["ErrorCode"], answer["Responses"][0]["ErrorMessage"] or ""

    def replace(self, kind, name, configs, validate_only=False):
        answer = self.ask("AlterConfigs", 2, {"Resources": [{
            "ResourceType": kind, "ResourceName": name,
            "Configs": [{"Name": n, "Value": v} for n, v in configs.items()]}], "ValidateOnly": validate_only})
        return answer["Responses"][0]["ErrorCode"], answer["Responses"][0]["ErrorMessage"] or ""

    def described(self, kind, name, broker=1):
        """name → (value, source, read only)"""
        answer = self.ask("DescribeConfigs", 4, {"Resources": [{"ResourceType": kind, "ResourceName": name,
                                                                "ConfigurationKeys": None}],
                                                 "IncludeSynonyms": True, "IncludeDocumentation": True}, broker)
        result = answer["Results"][0]
        self.assertEqual(result["ErrorCode"], 0, result["ErrorMessage"])
        for config in result["Configs"]:
            self.assertTrue(config["Documentation"], config["Name"])
        return {c["Name"]: (c["Value"], c["ConfigSource"], c["ReadOnly"]) for c in result["Configs"]}

    def picture(self):
        """All that admin calls could change."""
        kinds = self.ask("ListConfigResources", 1, {"ResourceTypes": []})["ConfigResources"]
        configs = {(r["ResourceType"], r["ResourceName"]): self.described(r["ResourceType"], r["ResourceName"])
                   for r in kinds if r["ResourceType"] != 8 and not (r["ResourceType"] == BROKER and r["ResourceName"] != "1")}
        configs["all brokers"] = self.described(BROKER, "")
        topics = self.ask("DescribeTopicPartitions", 0, {"Topics": [], "ResponsePartitionLimit": 2000, "Cursor": None})["Topics"]
        # Leaders may move by themselves on a busy machine.
        shape = {t["Name"]: [p["ReplicaNodes"] for p in t["Partitions"]] for t in topics}
        return configs, shape

    def test_configs_change_at_run_time_and_survive_a_restart(self):
        dev = self.dev_ = self.dev(3, settings={"num.partitions": "2", "log.retention.check.interval.ms": "500"})
        dev.topic_create("t", partitions=1)
        self.assertEqual(self.described(BROKER, "1")["num.partitions"], ("2", 4, False))
        self.assertEqual(self.change(BROKER, "", [("num.partitions", SET, "5"), ("log.retention.ms", SET, "7000000")]), (0, ""))
        wait_until("all brokers know", lambda: all(
            self.described(BROKER, str(i), i)["num.partitions"] == ("5", 3, False) for i in (1, 2, 3)))
        self.assertEqual(self.change(BROKER, "1", [("log.retention.ms", SET, "6000000")]), (0, ""))
        wait_until("broker 1 has its own", lambda: self.described(TOPIC, "t", 1)["retention.ms"] == ("6000000", 2, False))
        wait_until("the others have what all have", lambda: self.described(TOPIC, "t", 2)["retention.ms"] == ("7000000", 3, False))
        # It takes effect: a new topic has as many partitions, and records above a new size are refused.
        esker("topic", "create", "five", "--bootstrap-server", dev.bootstrap)
        self.assertEqual(len(self.picture()[1]["five"]), 5)
        self.assertEqual(self.change(BROKER, "", [("message.max.bytes", SET, "2000")]), (0, ""))

        def too_large():
            done = subprocess.run([ESKER, "produce", "t", "--bootstrap-server", dev.bootstrap], input="x" * 5000 + "\n",
                                  capture_output=True, text=True, timeout=60)
            return done.returncode == 1 and "MESSAGE_TOO_LARGE" in done.stderr

        wait_until("the new size holds", too_large, 20)
        self.assertEqual(dev.stop(), 0)
        dev.start()

        def back():
            try:
                return self.described(BROKER, "1", 1)["num.partitions"] == ("5", 3, False)
            except Exception:
                return False

        wait_until("what was set is there after a restart of all", back, 90, 0.5)
        self.assertEqual(self.described(BROKER, "1", 1)["log.retention.ms"][0], "6000000")
        wait_until("it can be taken back", lambda: self.change(BROKER, "", [("num.partitions", DELETE, None)])[0] == 0, 60, 0.5)
        wait_until("the file's holds again", lambda: self.described(BROKER, "1")["num.partitions"] == ("2", 4, False), 30)

    def test_caps_of_connections_hold_from_when_they_are_set(self):
        dev = self.dev_ = self.dev(1)
        at = dev.brokers()[1][1]
        held = [Connection(at, 30) for _ in range(4)]
        self.addCleanup(lambda: [each.socket.close() for each in held])
        self.assertTrue(all(each.call(18, 0, b"") for each in held))
        told = lambda asked: ask(held[0], "IncrementalAlterConfigs", 1, {"Resources": [{
            "ResourceType": BROKER, "ResourceName": "", "Configs": [{"Name": n, "ConfigOperation": o, "Value": v} for n, o, v in asked]}]}
        )["Responses"][0]["ErrorCode"]
        for cap in ("max.connections", "max.connections.per.ip"):
            self.assertEqual(told([(cap, SET, "4")]), 0)
            wait_until(f"{cap}: no room for a fifth", lambda: not answers(at), 30, 0.1)
            self.assertTrue(all(each.call(18, 0, b"") for each in held), "those that are there stay")
            self.assertEqual(told([(cap, DELETE, None)]), 0)
            wait_until(f"{cap}: room again", lambda: answers(at), 30, 0.1)

    def test_a_rate_of_the_tier_holds_from_when_it_is_set(self):
        dev = self.dev_ = self.dev(1, settings={"remote.log.manager.task.interval.ms": "200", "log.retention.check.interval.ms": "200"})
        configs = {"remote.storage.enable": "true", "segment.bytes": "65536", "local.retention.bytes": "1"}
        objects = lambda topic: [path for path in (dev.data / "tier").rglob("*.seg") if f"/{topic}" in str(path)]
        filled = lambda topic: len(list(dev.data.glob(f"broker-1/data/{topic}-0/*.log"))) + len(objects(topic)) > 5
        dev.topic_create("quick", configs=configs)
        produce("python", dev.bootstrap, "quick", 3000, "s")
        wait_until("segments are in the store", lambda: len(objects("quick")) > 3, 90, 0.2)
        rate = "remote.log.manager.copy.max.bytes.per.second"
        self.assertEqual(self.change(BROKER, "", [(rate, SET, "1")]), (0, ""))
        wait_until("the rate is in force", lambda: self.described(BROKER, "1")[rate][0] == "1")
        dev.topic_create("slow", configs=configs)
        produce("python", dev.bootstrap, "slow", 3000, "s")
        wait_until("segments are closed", lambda: filled("slow"), 90, 0.2)
        # Fifteen rounds of the tier's task: a byte a second lets at most the first segment through, which found room.
        time.sleep(3)
        self.assertLessEqual(len(objects("slow")), 1)
        # It was the rate: without it they come, also those that wait for it.
        self.assertEqual(self.change(BROKER, "", [(rate, DELETE, None)]), (0, ""))
        wait_until("the segments come after all", lambda: len(objects("slow")) > 3, 90, 0.2)

    def test_a_file_that_contradicts_what_is_set_takes_all_the_rest_and_doctor_says_what_not(self):
        dev = self.dev_ = self.dev(1)
        for values in ([("log.retention.ms", SET, "9000000"), ("log.local.retention.ms", SET, "8000000")],
                       [("num.partitions", SET, "6"), ("group.consumer.session.timeout.ms", SET, "50000")]):
            self.assertEqual(self.change(BROKER, "", values), (0, ""))
        self.assertEqual(self.change(BROKER, "1", [("log.local.retention.ms", SET, "8500000")]), (0, ""))
        self.assertEqual(self.change(BROKER, "", [("log.retention.ms", DELETE, None)]), (0, ""))
        dev.reconfigure(1, "log.retention.ms", "5000000")

        def told():
            try:
                return self.described(BROKER, "1")
            except Exception:
                return None

        found = wait_until("the broker answers again", told, 90, 0.5)
        self.assertEqual(found["num.partitions"][:2], ("6", 3), "in force")
        self.assertEqual(found["group.consumer.session.timeout.ms"][:2], ("50000", 3), "in force")
        self.assertEqual(found["log.local.retention.ms"][:2], ("-2", 5), "left out")
        self.assertEqual(found["log.retention.ms"][:2], ("5000000", 4), "the file's")
        self.assertIn("is left out", dev.broker_logs(1000))
        # What it leaves out is no reason against another change, and it says so itself.
        self.assertEqual(self.change(BROKER, "", [("num.partitions", SET, "7")]), (0, ""))
        self.assertEqual(self.change(BROKER, "", [("log.local.retention.ms", SET, "7000000")])[0], 40)
        config = dev.data / "broker-1/broker.properties"
        looked = lambda: {f["what"]: f for f in json.loads(esker(
            "doctor", "--config", config, "--live", "--bootstrap-server", dev.bootstrap, "--output", "json", check=False).stdout)}
        self.assertIn("esker config unset --broker 1 log.local.retention.ms", looked()["set at run time: log.local.retention.ms"]["mend"])
        esker("config", "unset", "--broker", "1", "log.local.retention.ms", "--bootstrap-server", dev.bootstrap)
        # What is set for all brokers stands behind it, and contradicts the file as well.
        wait_until("the broker's own value is gone", lambda: "--all-brokers" in looked().get(
            "set at run time: log.local.retention.ms", {}).get("mend", ""), 30, 0.5)
        finding = looked()["set at run time: log.local.retention.ms"]
        self.assertEqual(finding["grade"], "warn")
        self.assertIn("above log.retention.ms (5000000)", finding["found"])
        self.assertIn("esker config unset --all-brokers log.local.retention.ms", finding["mend"])
        esker("config", "unset", "--all-brokers", "log.local.retention.ms", "--bootstrap-server", dev.bootstrap)
        wait_until("nothing contradicts any more", lambda: looked().get("set at run time", {}).get("grade") == "ok", 30, 0.5)

    def test_how_often_members_of_a_group_speak_changes_while_they_do(self):
        dev = self.dev_ = self.dev(1, settings={"offsets.topic.num.partitions": "4"})
        dev.topic_create("t")
        member = {"GroupId": "g", "MemberId": "me", "MemberEpoch": 0, "RebalanceTimeoutMs": 60000, "SubscribedTopicNames": ["t"],
                  "TopicPartitions": []}
        self.ask("FindCoordinator", 4, {"KeyType": 0, "CoordinatorKeys": ["g"]})
        joined = wait_until("the member is in", lambda: next(
            (a for a in [self.ask("ConsumerGroupHeartbeat", 1, member)] if a["ErrorCode"] == 0), None), 60, 0.2)
        self.assertEqual(joined["HeartbeatIntervalMs"], 5000)
        beat = lambda: self.ask("ConsumerGroupHeartbeat", 1, {"GroupId": "g", "MemberId": "me", "MemberEpoch": joined["MemberEpoch"],
                                                              "RebalanceTimeoutMs": -1})["HeartbeatIntervalMs"]
        interval = "group.consumer.heartbeat.interval.ms"
        self.assertEqual(self.change(BROKER, "", [(interval, SET, "7000")]), (0, ""))
        wait_until("all groups have it", lambda: beat() == 7000, 30, 0.2)
        self.assertEqual(self.change(GROUP, "g", [("consumer.heartbeat.interval.ms", SET, "9000")]), (0, ""))
        wait_until("the group's own holds over it", lambda: beat() == 9000, 30, 0.2)
        self.assertEqual(self.change(BROKER, "", [(interval, SET, "70000")])[0], 40, "above its bound")
        self.assertEqual(self.change(GROUP, "g", [("consumer.heartbeat.interval.ms", DELETE, None)]), (0, ""))
        wait_until("the brokers' again", lambda: beat() == 7000, 30, 0.2)

    def test_how_long_an_idle_producer_is_remembered_changes_at_run_time(self):
        dev = self.dev_ = self.dev(1, settings={"log.retention.check.interval.ms": "200"})
        dev.topic_create("t")
        producer = Producer({"bootstrap.servers": dev.bootstrap, "enable.idempotence": True})
        producer.produce("t", b"v")
        self.assertEqual(producer.flush(60), 0)
        known = lambda: len(self.ask("DescribeProducers", 0, {"Topics": [{"Name": "t", "PartitionIndexes": [0]}]})[
            "Topics"][0]["Partitions"][0]["ActiveProducers"])
        self.assertEqual(known(), 1)
        self.assertEqual(self.change(BROKER, "", [("producer.id.expiration.ms", SET, "1")]), (0, ""))
        wait_until("it is forgotten", lambda: known() == 0, 60, 0.2)

    def test_lists_grow_and_shrink_and_a_replacement_leaves_only_what_it_names(self):
        dev = self.dev_ = self.dev(1)
        dev.topic_create("t", configs={"retention.ms": "5000000"})
        self.assertEqual(self.change(TOPIC, "t", [("cleanup.policy", APPEND, "compact")]), (0, ""))
        self.assertEqual(self.described(TOPIC, "t")["cleanup.policy"][:2], ("delete,compact", 1))
        self.assertEqual(self.change(TOPIC, "t", [("cleanup.policy", SUBTRACT, "delete")]), (0, ""))
        self.assertEqual(self.described(TOPIC, "t")["cleanup.policy"][:2], ("compact", 1))
        # Only looked at: nothing changes.
        self.assertEqual(self.change(TOPIC, "t", [("segment.bytes", SET, "2000000")], validate_only=True), (0, ""))
        self.assertEqual(self.replace(TOPIC, "t", {"segment.bytes": "2000000"}, validate_only=True), (0, ""))
        self.assertEqual(self.described(TOPIC, "t")["segment.bytes"][1], 5)
        self.assertEqual(self.replace(TOPIC, "t", {"segment.bytes": "2000000"}), (0, ""))
        found = self.described(TOPIC, "t")
        self.assertEqual([found[name][1] for name in ("segment.bytes", "retention.ms", "cleanup.policy")], [1, 5, 5])
        self.assertEqual(self.replace(BROKER, "1", {"log.roll.ms": "70000"}), (0, ""))
        self.assertEqual(self.described(BROKER, "1")["log.roll.ms"], ("70000", 2, False))
        self.assertEqual(self.replace(BROKER, "1", {}), (0, ""))
        self.assertEqual(self.described(BROKER, "1")["log.roll.ms"][1], 5)

    def test_calls_that_make_no_sense_say_why_and_change_nothing(self):
        dev = self.dev_ = self.dev(3)
        dev.topic_create("two", partitions=2, replicas=2, configs={"min.insync.replicas": "2"})
        dev.topic_create("tiered", partitions=1, configs=TIERED)
        dev.topic_create("compacted", partitions=1, configs={"cleanup.policy": "compact", "max.compaction.lag.ms": "86400000"})
        self.assertEqual(self.change(CLIENT_METRICS, "m", [("metrics", SET, "*"), ("interval.ms", SET, "60000")]), (0, ""))
        self.assertEqual(self.change(GROUP, "g", [("consumer.session.timeout.ms", SET, "50000")]), (0, ""))
        before = self.picture()
        for kind, name, operations, code, word in [
            (TOPIC, "two", [("retention.ms", SET, "1000"), ("segment.bytes", SET, "-3")], 40, "segment.bytes"),
            (TOPIC, "tiered", [("retention.ms", SET, "1000"), ("local.retention.ms", SET, "2000")], 40, "local.retention.ms"),
            (TOPIC, "two", [("min.insync.replicas", SET, "3")], 40, "2 replicas"),
            (TOPIC, "two", [("cleanup.policy", SET, "shred")], 40, "cleanup.policy"),
            (TOPIC, "two", [("retention.ms", APPEND, "5")], 40, "not a list"),
            (TOPIC, "two", [("retention.ms", SET, None)], 42, "no value"),
            (TOPIC, "two", [("retention.ms", 9, "5")], 42, "no operation 9"),
            (TOPIC, "two", [("retention.ms", SET, "5"), ("retention.ms", DELETE, None)], 42, "twice"),
            (TOPIC, "tiered", [("remote.storage.enable", SET, "false")], 40, "remote"),
            (TOPIC, "tiered", [("cleanup.policy", SET, "compact")], 40, "compact"),
            (TOPIC, "absent", [("retention.ms", SET, "5")], 3, "no topic absent"),
            (TOPIC, "../x", [("retention.ms", SET, "5")], 17, ""),
            (BROKER, "1", [("node.id", SET, "5")], 40, "configuration file"),
            (BROKER, "1", [("no.such.property", SET, "5")], 40, "no property"),
            (BROKER, "1", [("min.insync.replicas", SET, "2")], 40, "whole cluster"),
            (BROKER, "1", [("log.retention.ms", SET, "soon")], 40, "whole number"),
            (BROKER, "", [("log.retention.ms", SET, "1000"), ("log.local.retention.ms", SET, "2000")], 40, "above log.retention.ms"),
            # A default must not do to a topic what the topic itself would be refused.
            (BROKER, "", [("log.cleaner.min.compaction.lag.ms", SET, "172800000")], 40, "topic compacted forbids it"),
            (BROKER, "", [("log.cleanup.policy", SET, "compact")], 40, "topic tiered forbids it"),
            (BROKER, "9", [("log.retention.ms", SET, "1000")], 42, "not registered"),
            (BROKER, "one", [("log.retention.ms", SET, "1000")], 42, "no broker id"),
            (GROUP, "g", [("consumer.session.timeout.ms", SET, "1")], 40, "from 45000"),
            (GROUP, "g", [("retention.ms", SET, "1")], 40, "no config"),
            (GROUP, "", [("consumer.session.timeout.ms", SET, "50000")], 40, "not empty"),
            (CLIENT_METRICS, "m", [("interval.ms", SET, "1")], 40, "from 100"),
            (CLIENT_METRICS, "m", [("match", SET, "client_id=(")], 40, "match"),
            (CLIENT_METRICS, "m", [("match", SET, "user=x")], 40, "client_software_name"),
            (CLIENT_METRICS, "", [("metrics", SET, "*")], 40, "name"),
            (99, "x", [("metrics", SET, "*")], 42, "99"),
        ]:
            with self.subTest(kind=kind, name=name, operations=operations):
                found, text = self.change(kind, name, operations)
                self.assertEqual(found, code, text)
                self.assertIn(word, text)
        for kind, name, configs, code in [(TOPIC, "two", {"segment.bytes": None}, 42), (TOPIC, "absent", {}, 3),
                                          (BROKER, "1", {"listeners": "x"}, 40), (CLIENT_METRICS, "m", {"interval.ms": "2"}, 40)]:
            self.assertEqual(self.replace(kind, name, configs)[0], code, (kind, name, configs))

        def topic(**values):
            made = self.ask("CreateTopics", 7, {"Topics": [{"Name": "new", "NumPartitions": 1, "ReplicationFactor": 1, **values}],
                                                "TimeoutMs": 5000})["Topics"][0]
            return made["ErrorCode"], made["ErrorMessage"] or ""

        for values, code, word in [
            ({"ReplicationFactor": 9}, 38, ""), ({"NumPartitions": 0}, 37, ""), ({"Name": "two"}, 36, "exists"),
            ({"Name": "a/b"}, 17, ""), ({"Configs": [{"Name": "min.insync.replicas", "Value": "2"}]}, 40, "1 replicas"),
            ({"Configs": [{"Name": "retention.ms", "Value": "x"}]}, 40, "retention.ms"),
            ({"NumPartitions": -1, "ReplicationFactor": -1, "Assignments": [{"PartitionIndex": 0, "BrokerIds": [1, 1]}]}, 39, "twice"),
        ]:
            found, text = topic(**values)
            self.assertEqual(found, code, (values, text))
            self.assertIn(word, text)
        grown = self.ask("CreatePartitions", 3, {"Topics": [{"Name": "two", "Count": 1}], "TimeoutMs": 5000})["Results"][0]
        self.assertEqual(grown["ErrorCode"], 37)
        moved = self.ask("AlterPartitionReassignments", 1, {"TimeoutMs": 5000, "Topics": [
            {"Name": "two", "Partitions": [{"PartitionIndex": 0, "Replicas": [1]}, {"PartitionIndex": 1, "Replicas": [1, 9]}]},
            {"Name": "absent", "Partitions": [{"PartitionIndex": 0, "Replicas": [1]}]}]})["Responses"]
        codes = [p["ErrorCode"] for t in moved for p in t["Partitions"]]
        self.assertEqual(codes, [39, 39, 3], moved)
        quotas = self.ask("AlterClientQuotas", 1, {"Entries": [{"Entity": [{"EntityType": "user", "EntityName": "a"}],
                                                                "Ops": [{"Key": "no_such_rate", "Value": 1.0}]}]})["Entries"]
        self.assertNotEqual(quotas[0]["ErrorCode"], 0)
        deleted = self.ask("DeleteTopics", 6, {"Topics": [{"Name": "absent"}], "TimeoutMs": 5000})["Responses"]
        self.assertEqual(deleted[0]["ErrorCode"], 3)
        self.assertEqual(self.picture(), before)


class ClientMetrics(ClusterCase):
    """KIP-714: what clients push goes on to the collector."""

    def test_a_client_pushes_what_it_is_asked_for_and_the_collector_gets_it(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
        server.posted = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        dev = self.dev(1, settings={"telemetry.otlp.endpoint": f"http://127.0.0.1:{server.server_port}",
                                    "telemetry.otlp.interval.ms": "200"})
        dev.topic_create("t")
        esker("config", "set", "--client-metrics", "all", "metrics=*", "interval.ms=500", "match=client_id=pusher.*",
              "--bootstrap-server", dev.bootstrap)
        producer = Producer({"bootstrap.servers": dev.bootstrap, "client.id": "pusher-1"})
        producer.produce("t", b"v")
        producer.flush(30)
        wait_until("the client's metrics are with the collector, with its name", lambda: producer.poll(0.05) or any(
            b"org.apache.kafka." in body and b"client_instance_id" in body and b"pusher-1" in body for _, _, body in server.posted), 60)
        told = samples(dev.consoles()[1])
        self.assertGreater(told["esker_client_telemetry_pushes_total", 'outcome="taken"'], 0)
        self.assertGreater(told["esker_client_telemetry_bytes_total", ""], told["esker_client_telemetry_pushes_total", 'outcome="taken"'])
        self.assertGreater(told["esker_client_telemetry_instances", ""], 0)

    def test_pushes_that_nobody_asked_for_are_refused(self):
        dev = self.dev(1)
        me = uuid.uuid4()
        with Connection(dev.bootstrap, 30) as connection:
            given = ask(connection, "GetTelemetrySubscriptions", 0, {"ClientInstanceId": uuid.UUID(int=0)})
            self.assertEqual((given["ErrorCode"], given["RequestedMetrics"]), (0, []))
            self.assertNotEqual(given["ClientInstanceId"].int, 0)
            esker("config", "set", "--client-metrics", "all", "metrics=*", "interval.ms=3600000", "--bootstrap-server", dev.bootstrap)
            asked = wait_until("the subscription is there", lambda: next(
                (a for a in [ask(connection, "GetTelemetrySubscriptions", 0, {"ClientInstanceId": uuid.uuid4()})]
                 if a["RequestedMetrics"] == ["*"]), None))
            self.assertEqual(asked["AcceptedCompressionTypes"], [4, 3, 1, 2])
            mine = ask(connection, "GetTelemetrySubscriptions", 0, {"ClientInstanceId": me})
            again = ask(connection, "GetTelemetrySubscriptions", 0, {"ClientInstanceId": me})
            self.assertEqual((mine["ErrorCode"], again["ErrorCode"]), (0, 89))

            def push(instance=me, subscription=mine["SubscriptionId"], terminating=False, codec=0, metrics=b""):
                return ask(connection, "PushTelemetry", 0, {
                    "ClientInstanceId": instance, "SubscriptionId": subscription, "Terminating": terminating,
                    "CompressionType": codec, "Metrics": metrics})["ErrorCode"]

            self.assertEqual(push(instance=uuid.UUID(int=0)), 42)
            self.assertEqual(push(subscription=1), 117)
            self.assertEqual(push(codec=9), 76)
            self.assertEqual(push(), 89, "it has pushed, an hour has not gone by")
            # The last push may come early; what is in it is looked at.
            self.assertEqual(push(terminating=True, metrics=b"\xff\xff"), 87)
            self.assertEqual(push(), 42, "nothing comes after the last one")

            def fresh():
                instance = uuid.uuid4()
                told = ask(connection, "GetTelemetrySubscriptions", 0, {"ClientInstanceId": instance})
                return {"instance": instance, "subscription": told["SubscriptionId"]}

            self.assertEqual(push(**fresh(), metrics=b"x" * (1048576 + 1)), 118)
            bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
            self.assertEqual(push(**fresh(), codec=1, metrics=bomb.compress(bytes(64 << 20)) + bomb.flush()), 118)
            self.assertEqual(push(**fresh(), codec=1, metrics=b"no gzip"), 87)
            self.assertEqual(push(**fresh(), metrics=struct.pack(">BB", 0x0A, 0)), 0, "an empty resource is OTLP")
