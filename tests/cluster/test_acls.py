"""ACLs and quotas: Kafka's own tools manage them, and every API answers every principal under every set of ACLs with the
codes that Kafka answers."""

import json
import struct
import time

from case import ClusterCase, slow
from dev import esker
from kafka_peer import differences
from messages import API_NAMES, ask
from processes import Kafka, free_ports, kafka_tool, wait_until
from wire import Connection

AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
ACL, CONFIG = "org.apache.kafka.tools.AclCommand", "kafka.admin.ConfigCommand"
USERS = {user: f"{user}-secret" for user in ("admin", "alice", "bob")}
# Kafka's numbers.
TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID = 2, 3, 4, 5
LITERAL, PREFIXED = 3, 4
ALL, READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE = 2, 3, 4, 5, 6, 7, 8
DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE = 10, 11, 12
DENY, ALLOW = 2, 3


def acl(who, operation, kind, name="kafka-cluster", pattern=LITERAL, permission=ALLOW, host="*"):
    return {"ResourceType": kind, "ResourceName": name, "ResourcePatternType": pattern, "Principal": f"User:{who}",
            "Host": host, "Operation": operation, "PermissionType": permission}


SETS = {
    "none": [],
    "read one topic with one group": [acl("alice", READ, TOPIC, "t"), acl("alice", READ, GROUP, "g")],
    "everything with a prefix, but a denial": [
        acl("alice", ALL, TOPIC, "t", PREFIXED), acl("alice", ALL, GROUP, "g", PREFIXED),
        acl("alice", WRITE, TOPIC, "t", permission=DENY)],
    "everybody describes, one is denied from here": [
        acl("*", DESCRIBE, TOPIC, "*"), acl("*", DESCRIBE, GROUP, "*"),
        acl("bob", DESCRIBE, TOPIC, "t", permission=DENY, host="127.0.0.1")],
    "the cluster": [acl("alice", ALL, CLUSTER)],
    "from elsewhere and from here": [
        acl("alice", WRITE, TOPIC, "t", host="10.9.9.9"), acl("bob", WRITE, TOPIC, "t", host="127.0.0.1")],
    "an operator": [
        acl("alice", CREATE, CLUSTER), acl("alice", ALTER_CONFIGS, TOPIC, "*"), acl("alice", ALTER, CLUSTER),
        acl("bob", DELETE, TOPIC, "go", PREFIXED), acl("bob", CREATE, TOPIC, "new"), acl("bob", DELETE, GROUP, "*")],
    "a few of the cluster": [
        acl("bob", IDEMPOTENT_WRITE, CLUSTER), acl("bob", DESCRIBE, CLUSTER), acl("alice", DESCRIBE_CONFIGS, CLUSTER),
        acl("alice", ALTER_CONFIGS, CLUSTER), acl("alice", ALTER, TOPIC, "t")],
}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def batch():
    """One record without key and value."""
    record = bytes([12, 0, 0, 0, 1, 1, 0])  # length 6 as zigzag, attributes, timestamp, offset, no key, no value, no headers
    now = int(time.time() * 1000)
    rest = struct.pack(">hiqqqhii", 0, 0, now, now, -1, -1, -1, 1) + record
    body = struct.pack(">iB", 0, 2) + struct.pack(">I", crc32c(rest)) + rest
    return struct.pack(">qi", 0, len(body)) + body


def calls(side):
    """Label → (API, version, request); those that would change something only check it, or do no harm."""
    t = [{"Name": "t", "Partitions": [{}], "PartitionIndex": 0}]
    topics = [{"Name": name} for name in ("t", "gone")]
    offsets = [{"Name": name, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 1}]} for name in ("t", "gone")]
    new = {"NumPartitions": 1, "ReplicationFactor": 1}
    return {
        "produce": ("Produce", 9, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [
            {"Name": name, "PartitionData": [{"Index": 0, "Records": batch()}]} for name in ("t", "gone")]}),
        "fetch": ("Fetch", 12, {"ReplicaId": -1, "MaxWaitMs": 0, "MaxBytes": 1 << 20, "SessionEpoch": -1, "Topics": [
            {"Topic": name, "Partitions": [{"PartitionMaxBytes": 1000}]} for name in ("t", "gone")]}),
        "fetch by id": ("Fetch", 13, {"ReplicaId": -1, "MaxWaitMs": 0, "MaxBytes": 1 << 20, "SessionEpoch": -1, "Topics": [
            {"TopicId": side.topic, "Partitions": [{"PartitionMaxBytes": 1000}]}]}),
        "list offsets": ("ListOffsets", 7, {"ReplicaId": -1, "Topics": [
            {"Name": name, "Partitions": [{"Timestamp": -1}]} for name in ("t", "gone")]}),
        "epochs": ("OffsetForLeaderEpoch", 4, {"ReplicaId": -2, "Topics": [
            {"Topic": "t", "Partitions": [{"CurrentLeaderEpoch": -1}]}]}),
        "metadata": ("Metadata", 12, {"Topics": topics, "IncludeTopicAuthorizedOperations": True,
                                      "AllowAutoTopicCreation": False}),
        "metadata that creates": ("Metadata", 12, {"Topics": [{"Name": "made-by-" + side.user}],
                                                   "AllowAutoTopicCreation": side.user != "admin"}),
        "metadata by id": ("Metadata", 12, {"Topics": [{"TopicId": side.topic, "Name": None}],
                                            "AllowAutoTopicCreation": False}),
        "metadata of all": ("Metadata", 10, {"Topics": None, "IncludeTopicAuthorizedOperations": True,
                                             "IncludeClusterAuthorizedOperations": True}),
        "commit": ("OffsetCommit", 8, {"GroupId": "g", "GenerationIdOrMemberEpoch": -1, "Topics": offsets}),
        "committed": ("OffsetFetch", 8, {"Groups": [{"GroupId": "g", "Topics": [
            {"Name": name, "PartitionIndexes": [0]} for name in ("t", "gone")]}]}),
        "all committed": ("OffsetFetch", 8, {"Groups": [{"GroupId": "g", "Topics": None}]}),
        "committed of old": ("OffsetFetch", 5, {"GroupId": "g", "Topics": [{"Name": "t", "PartitionIndexes": [0]}]}),
        "find": ("FindCoordinator", 4, {"KeyType": 0, "CoordinatorKeys": ["g", "other"]}),
        "join": ("JoinGroup", 5, {"GroupId": "other", "SessionTimeoutMs": 10000, "RebalanceTimeoutMs": 10000,
                                  "ProtocolType": "consumer", "Protocols": [{"Name": "range"}]}),
        "heartbeat": ("Heartbeat", 4, {"GroupId": "g", "MemberId": "m"}),
        "leave": ("LeaveGroup", 4, {"GroupId": "g", "Members": [{"MemberId": "m"}]}),
        "sync": ("SyncGroup", 4, {"GroupId": "g", "MemberId": "m"}),
        "describe groups": ("DescribeGroups", 5, {"Groups": ["g", "other"], "IncludeAuthorizedOperations": True}),
        "list groups": ("ListGroups", 4, {}),
        "heartbeat of the consumer protocol": ("ConsumerGroupHeartbeat", 1, {
            "GroupId": "nobody", "MemberId": "m", "MemberEpoch": 5, "RebalanceTimeoutMs": -1, "SubscribedTopicNames": ["t"]}),
        "describe a group of the consumer protocol": ("ConsumerGroupDescribe", 1, {"GroupIds": ["nobody"]}),
        "delete groups": ("DeleteGroups", 2, {"GroupsNames": ["nobody"]}),
        "create": ("CreateTopics", 7, {"ValidateOnly": True, "TimeoutMs": 5000, "Topics": [
            {"Name": name, **new} for name in ("t", "new", "tall")]}),
        "delete": ("DeleteTopics", 5, {"TopicNames": ["gone", "nothing"], "TimeoutMs": 5000}),
        "grow": ("CreatePartitions", 3, {"ValidateOnly": True, "TimeoutMs": 5000, "Topics": [
            {"Name": name, "Count": 4, "Assignments": None} for name in ("t", "gone")]}),
        "producer id": ("InitProducerId", 4, {"TransactionalId": None, "ProducerId": -1, "ProducerEpoch": -1}),
        "transactional id": ("InitProducerId", 4, {"TransactionalId": "tx", "TransactionTimeoutMs": 1000, "ProducerId": -1,
                                                   "ProducerEpoch": -1}) if side.user != "admin" else None,
        "describe configs": ("DescribeConfigs", 4, {"Resources": [
            {"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": ["retention.ms", "log.retention.ms"]}
            for kind, name in ((TOPIC, "t"), (TOPIC, "gone"), (4, "1"))]}),
        "alter configs": ("IncrementalAlterConfigs", 1, {"ValidateOnly": True, "Resources": [
            {"ResourceType": TOPIC, "ResourceName": name, "Configs": [
                {"Name": "retention.ms", "ConfigOperation": 0, "Value": "1000"}]} for name in ("t", "gone")]}),
        "describe acls": ("DescribeAcls", 3, {"ResourceTypeFilter": 1, "PatternTypeFilter": 1, "Operation": 1,
                                              "PermissionType": 1}),
        "create acls": ("CreateAcls", 3, {"Creations": [acl("x", READ, CLUSTER, "wrong"), acl("x", READ, TOPIC, "")]}),
        "delete acls": ("DeleteAcls", 3, {"Filters": [{"ResourceTypeFilter": TOPIC, "ResourceNameFilter": "nothing",
                                                       "PatternTypeFilter": 3, "Operation": 1, "PermissionType": 1}]}),
        "describe quotas": ("DescribeClientQuotas", 1, {"Components": [{"EntityType": "user", "MatchType": 2}]}),
        "alter quotas": ("AlterClientQuotas", 1, {"ValidateOnly": True, "Entries": [
            {"Entity": [{"EntityType": "user", "EntityName": "u"}], "Ops": [{"Key": "producer_byte_rate", "Value": 9.0}]}]}),
        "describe users": ("DescribeUserScramCredentials", 0, {"Users": [{"Name": "nobody"}]}),
        "alter users": ("AlterUserScramCredentials", 0, {"Deletions": [{"Name": "nobody", "Mechanism": 1}]}),
        "cluster": ("DescribeCluster", 1, {"IncludeClusterAuthorizedOperations": True, "EndpointType": 1}),
        "delete records": ("DeleteRecords", 2, {"TimeoutMs": 5000, "Topics": [
            {"Name": name, "Partitions": [{"PartitionIndex": 0, "Offset": 0}]} for name in ("t", "gone")]}),
        "offset delete": ("OffsetDelete", 0, {"GroupId": "nobody", "Topics": [
            {"Name": name, "Partitions": [{"PartitionIndex": 0}]} for name in ("t", "gone")]}),
        "add partitions": ("AddPartitionsToTxn", 3, {
            "V3AndBelowTransactionalId": "none", "V3AndBelowProducerId": 5, "V3AndBelowTopics": [
                {"Name": name, "Partitions": [0]} for name in ("t", "gone")]}),
        "add offsets": ("AddOffsetsToTxn", 3, {"TransactionalId": "none", "ProducerId": 5, "GroupId": "g"}),
        "end": ("EndTxn", 3, {"TransactionalId": "none", "ProducerId": 5}),
        "commit in a transaction": ("TxnOffsetCommit", 3, {
            "TransactionalId": "none", "GroupId": "nobody", "ProducerId": 5, "GenerationId": 7, "MemberId": "m", "Topics": [
                {"Name": name, "Partitions": [{"CommittedOffset": 1}]} for name in ("t", "gone")]}),
        "markers": ("WriteTxnMarkers", 1, {"Markers": [
            {"ProducerId": 5, "Topics": [{"Name": "gone", "PartitionIndexes": [0]}]}]}),
        "describe transactions": ("DescribeTransactions", 0, {"TransactionalIds": ["none"]}),
        "list transactions": ("ListTransactions", 1, {"StateFilters": ["Dead"]}),
        "describe producers": ("DescribeProducers", 0, {"Topics": [
            {"Name": name, "PartitionIndexes": [0]} for name in ("t", "gone")]}),
        "log dirs": ("DescribeLogDirs", 4, {"Topics": [{"Topic": "t", "Partitions": [0]}]}),
        "elect": ("ElectLeaders", 2, {"TimeoutMs": 5000, "TopicPartitions": [
            {"Topic": name, "Partitions": [0]} for name in ("t", "gone")]}),
        "reassign": ("AlterPartitionReassignments", 0, {"TimeoutMs": 5000, "Topics": [
            {"Name": name, "Partitions": [{"Replicas": None}]} for name in ("t", "gone")]}),
        "reassignments": ("ListPartitionReassignments", 0, {"TimeoutMs": 5000, "Topics": [
            {"Name": "t", "PartitionIndexes": [0]}]}),
        "features": ("UpdateFeatures", 1, {"ValidateOnly": True, "TimeoutMs": 5000, "FeatureUpdates": [
            {"Feature": "metadata.version", "MaxVersionLevel": 1}]}),
        "quorum": ("DescribeQuorum", 1, {"Topics": [{"TopicName": "__cluster_metadata", "Partitions": [{}]}]}),
        "unregister": ("UnregisterBroker", 0, {"BrokerId": 99}),
        # Kafka's quorum may not change where it was given by `controller.quorum.voters`.
        "add a voter": ("AddRaftVoter", 0, {"TimeoutMs": 5000, "VoterId": 99, "Listeners": [
            {"Name": "CONTROLLER", "Host": "127.0.0.1", "Port": 1}]}, refused),
        "remove a voter": ("RemoveRaftVoter", 0, {"VoterId": 99}, refused),
        "alter configs, all of them": ("AlterConfigs", 2, {"ValidateOnly": True, "Resources": [
            {"ResourceType": TOPIC, "ResourceName": name, "Configs": [{"Name": "retention.ms", "Value": "1000"}]}
            for name in ("t", "gone")]}),
        "config resources": ("ListConfigResources", 1, {"ResourceTypes": [TOPIC]}, refused),
        "describe partitions": ("DescribeTopicPartitions", 0, {"Topics": topics}, essence),
        "telemetry": ("GetTelemetrySubscriptions", 0, {}, refused),
        "push": ("PushTelemetry", 0, {}, refused),
    }


# What is asked before anybody is anybody.
BEFORE_ALL = {"ApiVersions", "SaslHandshake", "SaslAuthenticate"}


def refused(answer):
    """Of an answer only whether the cluster is not the caller's to ask."""
    return {"refused": answer["ErrorCode"] in (29, 31)}


KEPT = ("ErrorCode", "Operations", "Name", "GroupId", "Key", "ResourceName", "Principal", "Host", "User", "EntityType")
# Where the address of a broker stands.
LEFT_OUT = {"Host", "Brokers", "Configs", "NodeEndpoints", "ClusterId", "Users", "CredentialInfos"}


def essence(value):
    """Codes, operations and names; lists in an order of their own."""
    if isinstance(value, dict):
        found = {}
        for key, inner in value.items():
            if isinstance(inner, (dict, list)):
                if key not in LEFT_OUT and (inner := essence(inner)):
                    found[key] = inner
            elif key.endswith(KEPT) and key not in LEFT_OUT and inner is not None:
                found[key] = inner
        return found
    return sorted((essence(item) if isinstance(item, (dict, list)) else item for item in value),
                  key=lambda item: json.dumps(item, default=str, sort_keys=True))


class Side:
    """A broker, and a connection to it for each user."""

    def __init__(self, name, address):
        self.name, self.address, self.connections, self.topic = name, address, {}, None

    def as_user(self, user):
        self.user = user
        if user not in self.connections:
            connection = Connection(self.address, 30)
            chosen = ask(connection, "SaslHandshake", 1, {"Mechanism": "PLAIN"})
            assert not chosen["ErrorCode"], chosen
            token = f"\0{user}\0{USERS[user]}".encode()
            proved = ask(connection, "SaslAuthenticate", 2, {"AuthBytes": token})
            assert not proved["ErrorCode"], proved
            self.connections[user] = connection
        return self

    def ask(self, api, version, values):
        return ask(self.connections[self.user], api, version, values)

    def close(self):
        for connection in self.connections.values():
            connection.socket.close()

    def ready(self):
        try:
            self.as_user("admin")
            return self.ask("Metadata", 12, {"Topics": []})["Brokers"]
        except (OSError, Exception):
            self.connections.clear()
            return False

    def prepare(self):
        self.as_user("admin")
        made = self.ask("CreateTopics", 7, {"TimeoutMs": 10000, "Topics": [
            {"Name": "t", "NumPartitions": 1, "ReplicationFactor": 1}]})["Topics"][0]
        assert not made["ErrorCode"], made
        self.topic = made["TopicId"]

        def settled():
            produced = self.ask(*calls(self)["produce"])["Responses"]
            committed = self.ask(*calls(self)["commit"])["Topics"]
            found = self.ask(*calls(self)["find"])["Coordinators"]
            found += self.ask("FindCoordinator", 4, {"KeyType": 1, "CoordinatorKeys": ["none"]})["Coordinators"]
            drawn = self.ask(*calls(self)["producer id"])
            found += self.ask("DescribeTransactions", 0, {"TransactionalIds": ["none"]})["TransactionStates"]
            found = [each for each in found if each["ErrorCode"] != 105]  # it is not there, and its coordinator knows
            self.state = (produced, committed, found, drawn)
            codes = [p["ErrorCode"] for topic in produced for p in topic["PartitionResponses"] if topic["Name"] == "t"]
            codes += [p["ErrorCode"] for topic in committed for p in topic["Partitions"] if topic["Name"] == "t"]
            return not any(codes + [each["ErrorCode"] for each in [*found, drawn]])

        try:
            wait_until(f"{self.name} serves", settled, 40, 0.2)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.state}") from None

    def set(self, acls):
        """These entries and no others, and they are in force."""
        self.as_user("admin")
        everything = {"ResourceTypeFilter": 1, "PatternTypeFilter": 1, "Operation": 1, "PermissionType": 1}
        deleted = self.ask("DeleteAcls", 3, {"Filters": [everything]})
        assert not deleted["FilterResults"][0]["ErrorCode"], deleted
        created = self.ask("CreateAcls", 3, {"Creations": acls})
        assert not any(result["ErrorCode"] for result in created["Results"]), created

        def in_force():
            found = self.ask("DescribeAcls", 3, everything)
            return sum(len(resource["Acls"]) for resource in found["Resources"]) == len(acls)

        wait_until(f"{self.name} knows the entries", in_force, 20)


class Acls(ClusterCase):
    def broker(self):
        dev = self.dev(1, settings={
            "listeners": "SASL_PLAINTEXT://127.0.0.1:{port}", "security.bootstrap.user": f"admin:{USERS['admin']}",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256", "authorizer.class.name": AUTHORIZER,
            "super.users": "User:admin",
        })
        self.config = self.client_config("admin")
        for user in ("alice", "bob"):
            esker("user", "add", user, "--password", USERS[user], "--bootstrap-server", dev.bootstrap,
                  "--command-config", self.config)
        return dev

    def client_config(self, user):
        path = self.processes.dir / f"{user}.properties"
        path.write_text("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\nsasl.jaas.config="
                        "org.apache.kafka.common.security.scram.ScramLoginModule required "
                        f'username="{user}" password="{USERS[user]}";\n')
        return path

    def kafka(self):
        ports = free_ports(2)
        jaas = ('org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" '
                f'password="{USERS["admin"]}" ' + " ".join(f'user_{user}="{word}"' for user, word in USERS.items()) + ";")
        return Kafka(self.processes, ports=ports, settings={
            "listeners": f"SASL_PLAINTEXT://127.0.0.1:{ports[0]},CONTROLLER://127.0.0.1:{ports[1]}",
            "listener.security.protocol.map": "SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "SASL_PLAINTEXT", "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "sasl.enabled.mechanisms": "PLAIN", "listener.name.sasl_plaintext.plain.sasl.jaas.config": jaas,
            "authorizer.class.name": AUTHORIZER, "super.users": "User:admin;User:ANONYMOUS",
        })

    @slow
    def test_every_api_answers_every_principal_under_every_set_of_acls_as_kafka_does(self):
        kafka = self.kafka()
        sides = [Side("Esker", self.broker().bootstrap), Side("Kafka", kafka.bootstrap)]
        for side in sides:
            wait_until(f"{side.name} answers", side.ready, 90, 0.3)
            side.prepare()
            self.addCleanup(side.close)
        compared, found = 0, []
        served = {API_NAMES[api["ApiKey"]] for api in sides[0].as_user("admin").ask("ApiVersions", 3, {
            "ClientSoftwareName": "tests", "ClientSoftwareVersion": "1"})["ApiKeys"]}
        known = {call[0] for call in calls(sides[0].as_user("alice")).values() if call}
        self.assertEqual(served - BEFORE_ALL - known, set(), "every API is in the table")
        for label, acls in SETS.items():
            for side in sides:
                side.set(acls)
            for user in USERS:
                ours, theirs = (calls(side.as_user(user)) for side in sides)
                for call in ours:
                    if ours[call] is None:
                        continue
                    api, _, _, *of = ours[call]
                    if api not in served:
                        continue
                    of = of[0] if of else essence
                    answers = [of(side.ask(*asked[call][:3])) for side, asked in zip(sides, (ours, theirs))]
                    found += [f"{label}, {user}, {call}: {line}" for line in differences(*answers)]
                    compared += 1
        self.assertGreater(compared, 1300)
        self.assertEqual(found, [], "\n".join(found))

    @slow
    def test_kafkas_tools_manage_acls_quotas_and_users(self):
        dev = self.broker()
        at = ["--bootstrap-server", dev.bootstrap, "--command-config", self.config]
        dev.topic_create("t", client_config=self.config)
        alice = self.client_config("alice")
        listed = ["topic", "list", "--bootstrap-server", dev.bootstrap, "--command-config", alice]
        self.assertNotIn("t", esker(*listed).stdout.split())
        kafka_tool(ACL, *at, "--add", "--allow-principal", "User:alice", "--consumer", "--topic", "t", "--group", "g")
        kafka_tool(ACL, *at, "--add", "--deny-principal", "User:alice", "--operation", "Write", "--topic", "t",
                   "--resource-pattern-type", "prefixed")
        shown = kafka_tool(ACL, *at, "--list")
        self.assertIn("operation=WRITE, permissionType=DENY", shown)
        self.assertIn("resourceType=GROUP, name=g", shown)
        self.assertIn("t", esker(*listed).stdout.split())
        kafka_tool(ACL, *at, "--remove", "--force", "--allow-principal", "User:alice", "--operation", "Read", "--topic", "t")
        shown = kafka_tool(ACL, *at, "--list", "--topic", "t", "--resource-pattern-type", "match")
        self.assertNotIn("operation=READ", shown)
        self.assertIn("operation=DESCRIBE", shown)
        self.assertIn("operation=WRITE, permissionType=DENY", shown)

        kafka_tool(CONFIG, *at, "--alter", "--entity-type", "users", "--entity-name", "alice", "--add-config",
                   "producer_byte_rate=1024")
        kafka_tool(CONFIG, *at, "--alter", "--entity-type", "users", "--entity-name", "alice", "--add-config",
                   "SCRAM-SHA-512=[password=another-secret]")
        shown = kafka_tool(CONFIG, *at, "--describe", "--entity-type", "users", "--entity-name", "alice")
        self.assertIn("producer_byte_rate=1024", shown)
        self.assertIn("SCRAM-SHA-512=iterations=", shown)
        kafka_tool(CONFIG, *at, "--alter", "--entity-type", "clients", "--entity-default", "--add-config",
                   "consumer_byte_rate=2048")
        self.assertIn("consumer_byte_rate=2048",
                      kafka_tool(CONFIG, *at, "--describe", "--entity-type", "clients", "--entity-default"))
        kafka_tool(CONFIG, *at, "--alter", "--entity-type", "users", "--entity-name", "alice", "--delete-config",
                   "producer_byte_rate")
        shown = kafka_tool(CONFIG, *at, "--describe", "--entity-type", "users", "--entity-name", "alice")
        self.assertNotIn("producer_byte_rate", shown)
