"""Hostile input of clients that mean harm rather than err: at the gate, in roles that are not theirs, with bombs, without
reading; floods are in `test_floods`. Each time the broker lives, its memory is bounded, and the next client is served. (The
numbers are those of the list of hostile input.)"""

import base64
import gzip
import hashlib
import hmac
import os
import socket
import struct
import time

from case import SharedCase, memory_kb
from messages import ask
from processes import alive, free_ports, wait_until
from security import Sasl
from wire import METADATA, Closed, Connection, frame, header, record_batch, sealed, text

ACLS = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
# Cluster, its one name; what brokers and controllers say to each other in Kafka.
BETWEEN_BROKERS = [4, 5, 6, 7, 52, 53, 54, 56, 57, 58, 59, 62, 63, 67, 70, 73, 82]


class Hostile(SharedCase):
    @classmethod
    def begin(cls):
        ports = free_ports(2)
        cls.plain, cls.gate = (f"127.0.0.1:{port}" for port in ports)
        cls.cluster = cls.dev(1, settings={
            "listeners": f"PLAINTEXT://{cls.plain},SASL_PLAINTEXT://{cls.gate}",
            "security.bootstrap.user": "admin:admin-secret", "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
            "authorizer.class.name": ACLS, "super.users": "User:admin", "allow.everyone.if.no.acl.found": "true",
            "connection.failed.authentication.delay.ms": 300, "socket.receive.deadline.ms": 3000,
            "socket.send.deadline.ms": 3000, "transaction.state.log.min.isr": 1, "transaction.state.log.num.partitions": 4,
        })
        cls.pid = cls.cluster.pid(1)

    def setUp(self):
        super().setUp()
        self.before = memory_kb(self.pid)

    def admin(self):
        """A connection of who may do everything."""
        def get_in():
            connection = Sasl(self.gate, timeout=30)
            self.addCleanup(connection.socket.close)
            try:
                return connection.plain("admin", "admin-secret")[0] == 0 and connection
            except (Closed, OSError):
                return None

        return wait_until("the next client is served", get_in, 30, 0.5)

    def fine(self, grown_kb=150_000):
        """The broker lives, has not grown, and serves the next client."""
        self.assertTrue(alive(self.pid))
        self.assertLess(memory_kb(self.pid) - self.before, grown_kb)
        self.assertNotIn("panicked", self.cluster.broker_logs(100_000))
        found = ask(self.admin(), "Metadata", 9, {"Topics": None})
        self.assertEqual(len(found["Brokers"]), 1)

    def closed(self, data, what, address=None):
        with Connection(address or self.gate, 15) as connection:
            try:
                connection.send(data)
                self.assertTrue(connection.is_closed(), what)
            except Closed:
                pass

    def test_the_gate_takes_three_apis_in_small_frames_and_tells_nobody_why(self):
        # 2: anything else before authentication, and anything large.
        self.closed(frame(header(METADATA, 4, 1) + struct.pack(">i", 0) + b"\0"), "an API before authentication")
        self.closed(frame(header(0, 3, 1)), "produce before authentication")
        self.closed(struct.pack(">i", (512 << 10) + 1) + bytes(1000), "a large frame before authentication")
        self.closed(struct.pack(">i", -1), "a negative length")
        # 9: a mechanism that nobody serves is answered with those that are.
        with Sasl(self.gate) as connection:
            for mechanism in ("GSSAPI", "", "plain", "X" * 1000, "OAUTHBEARER"):
                answer = ask(connection, "SaslHandshake", 1, {"Mechanism": mechanism})
                self.assertEqual(answer["ErrorCode"], 33, mechanism)
                self.assertEqual(set(answer["Mechanisms"]), {"PLAIN", "SCRAM-SHA-256"})
            self.assertEqual(connection.plain("admin", "admin-secret")[0], 0, "it may still choose another")
        # 10: PLAIN. All failures look alike, and come late.
        told = set()
        for authzid, user, password in (("root", "admin", "admin-secret"), ("", "admin", "wrong"), ("", "nobody", "x"),
                                        ("", "", ""), ("", "a" * 5000, "x")):
            with Sasl(self.gate) as connection:
                self.assertEqual(connection.handshake("PLAIN"), 0)
                begun = time.monotonic()
                error, message, data, _ = connection.authenticate(f"{authzid}\0{user}\0{password}".encode())
                self.assertEqual((error, data), (58, b""))
                self.assertGreaterEqual(time.monotonic() - begun, 0.25, "at once")
                told.add(message)
                self.assertTrue(connection.is_closed())
        self.assertEqual(len(told), 1, told)
        for token in (b"", b"\0", b"\0\0\0\0", b"\xff\xfe\0a\0b", bytes(100_000)):
            with Sasl(self.gate) as connection:
                self.assertEqual(connection.handshake("PLAIN"), 0)
                self.assertEqual(connection.authenticate(token)[0], 58)
        self.scram()
        # 12: who is in stays who he is.
        admin = self.admin()
        added = ask(admin, "AlterUserScramCredentials", 0, {"Deletions": [], "Upsertions": [self.credential("bob", "bob-secret")]})
        self.assertEqual(added["Results"][0]["ErrorCode"], 0)
        # Absurd iterations are not kept (they would cost every login).
        for iterations in (1, 2**31 - 1):
            refused = ask(admin, "AlterUserScramCredentials", 0, {"Deletions": [], "Upsertions": [
                {**self.credential("eve", "x"), "Iterations": iterations}]})
            self.assertEqual(refused["Results"][0]["ErrorCode"], 93, iterations)
        with Sasl(self.gate) as connection:
            wait_until("bob is known", lambda: self.gets_in("bob", "bob-secret"), 10, 0.2)
            self.assertEqual(connection.plain("bob", "bob-secret")[0], 0)
            self.assertEqual(connection.plain("admin", "admin-secret")[0], 58)
            self.assertTrue(connection.is_closed())
        self.fine()

    def gets_in(self, user, password):
        with Sasl(self.gate) as connection:
            return connection.plain(user, password)[0] == 0

    def credential(self, user, password, iterations=4096):
        salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
        return {"Name": user, "Mechanism": 1, "Iterations": iterations, "Salt": salt, "SaltedPassword": salted}

    def scram(self):
        """10: SCRAM with a nonce that is not the server's, a proof of another exchange, and broken messages."""
        def first(connection):
            self.assertEqual(connection.handshake("SCRAM-SHA-256"), 0)
            error, _, data, _ = connection.authenticate(b"n,,n=admin,r=abcdef")
            self.assertEqual(error, 0)
            return dict(part.split("=", 1) for part in data.decode().split(","))

        def proof(server, password="admin-secret", nonce=None):
            salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(server["s"]), int(server["i"]))
            client_key = hmac.digest(salted, b"Client Key", "sha256")
            stored = hashlib.sha256(client_key).digest()
            bare = f"c=biws,r={nonce or server['r']}"
            message = f"n=admin,r=abcdef,r={server['r']},s={server['s']},i={server['i']},{bare}".encode()
            signature = hmac.digest(stored, message, "sha256")
            return f"{bare},p={base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature))).decode()}".encode()

        with Sasl(self.gate) as connection:
            good = proof(first(connection))
            self.assertEqual(connection.authenticate(good)[0], 0, "the control: this client can do it right")
        for what in ("replay", "wrong nonce", "wrong password", "no proof", "garbage"):
            with self.subTest(what), Sasl(self.gate) as connection:
                server = first(connection)
                token = {"replay": good, "wrong nonce": proof(server, nonce="abcdefFORGED"), "no proof": b"c=biws,r=x",
                         "wrong password": proof(server, "wrong"), "garbage": os.urandom(500)}[what]
                self.assertEqual(connection.authenticate(token)[0], 58)
                self.assertTrue(connection.is_closed())

    def test_a_client_gets_nowhere_as_a_broker_or_as_another_producer(self):
        admin = self.admin()
        made = ask(admin, "CreateTopics", 7, {"Topics": [{"Name": "t", "NumPartitions": 1, "ReplicationFactor": 1}]})
        self.assertEqual(made["Topics"][0]["ErrorCode"], 0)
        denied = {"ResourceType": 4, "ResourceName": "kafka-cluster", "ResourcePatternType": 3, "Principal": "User:ANONYMOUS",
                  "Host": "*", "Operation": 9, "PermissionType": 2}
        self.assertEqual(ask(admin, "CreateAcls", 3, {"Creations": [denied]})["Results"][0]["ErrorCode"], 0)
        # 14: as a follower.
        with Connection(self.plain, 20) as connection:
            wanted = {"ReplicaId": 2, "MaxWaitMs": 0, "Topics": [{"Topic": "t", "Partitions": [{"Partition": 0}]}]}
            wait_until("followers are refused",
                       lambda: ask(connection, "Fetch", 12, wanted)["ErrorCode"] == 31, 15, 0.2)
            offsets = {"ReplicaId": 2, "Topics": [{"Name": "t", "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]}
            found = ask(connection, "ListOffsets", 7, offsets)["Topics"][0]["Partitions"][0]["ErrorCode"]
            self.assertEqual(found, 31)
            epochs = {"ReplicaId": 2, "Topics": [{"Topic": "t", "Partitions": [{"Partition": 0, "LeaderEpoch": 0}]}]}
            found = ask(connection, "OffsetForLeaderEpoch", 4, epochs)["Topics"][0]["Partitions"][0]["ErrorCode"]
            self.assertIn(found, (29, 31))
        # As a controller, or a broker that registers: not even known here.
        for key in BETWEEN_BROKERS:
            for version in (0, 1):
                self.closed(frame(header(key, version, 1) + bytes(64)), f"API {key}", self.plain)
        # 8: nor is what nobody knows.
        for key in (-1, 9999, 32767):
            self.closed(frame(header(key, 0, 1)), f"API {key}", self.plain)
        # 21: as the producer of another's transaction.
        with Connection(self.plain, 60) as connection:
            self.assertEqual(self.transactions(connection), 49)
        self.fine()

    def test_one_of_three_acls_deleted_leaves_the_other_two(self):
        # 32
        admin = self.admin()
        ask(admin, "CreateTopics", 7, {"Topics": [
            {"Name": name, "NumPartitions": 1, "ReplicationFactor": 1} for name in ("a", "b", "c")]})
        # To write.
        entry = {"ResourceType": 2, "ResourcePatternType": 3, "Principal": "User:ANONYMOUS", "Host": "*", "Operation": 4,
                 "PermissionType": 2}

        def writes_denied():
            with Connection(self.plain, 20) as connection:
                return {name for name in ("a", "b", "c") if self.write(connection, name) == 29}

        self.assertEqual(writes_denied(), set())
        creations = [{**entry, "ResourceName": name} for name in ("a", "b", "c")]
        ask(admin, "CreateAcls", 3, {"Creations": creations})
        wait_until("all three are enforced", lambda: writes_denied() == {"a", "b", "c"}, 20, 0.2)
        gone = {"ResourceTypeFilter": 2, "ResourceNameFilter": "b", "PatternTypeFilter": 3, "PrincipalFilter": "User:ANONYMOUS",
                "HostFilter": "*", "Operation": 4, "PermissionType": 2}
        deleted = ask(admin, "DeleteAcls", 3, {"Filters": [gone]})["FilterResults"][0]["MatchingAcls"]
        self.assertEqual([entry["ResourceName"] for entry in deleted], ["b"])
        wait_until("b may be written", lambda: "b" not in writes_denied(), 20, 0.2)
        self.assertEqual(writes_denied(), {"a", "c"})
        self.fine()

    def write(self, connection, topic, batch=None):
        answer = ask(connection, "Produce", 9, {"Acks": 1, "TimeoutMs": 5000, "TopicData": [
            {"Name": topic, "PartitionData": [{"Index": 0, "Records": batch or record_batch([(0, b"k", b"v")])}]}]})
        return answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"]

    def transactions(self, connection):
        """21: a producer id that is another's is not in the transaction (49)."""
        def coordinator():
            found = ask(connection, "FindCoordinator", 4, {"KeyType": 1, "CoordinatorKeys": ["x"]})
            return found["Coordinators"][0]["ErrorCode"] == 0

        wait_until("transactions have a coordinator", coordinator, 30, 0.2)
        ask(self.admin(), "CreateTopics", 7, {"Topics": [{"Name": "txn", "NumPartitions": 1, "ReplicationFactor": 1}]})

        def begun():
            self.producer = ask(connection, "InitProducerId", 4, {
                "TransactionalId": "x", "TransactionTimeoutMs": 60_000, "ProducerId": -1, "ProducerEpoch": -1})
            return self.producer["ErrorCode"] == 0

        wait_until("the transactional id is there", begun, 30, 0.2)
        added = ask(connection, "AddPartitionsToTxn", 3, {
            "V3AndBelowTransactionalId": "x", "V3AndBelowProducerId": self.producer["ProducerId"] + 1,
            "V3AndBelowProducerEpoch": self.producer["ProducerEpoch"],
            "V3AndBelowTopics": [{"Name": "txn", "Partitions": [0]}]})
        return added["ResultsByTopicV3AndBelow"][0]["ResultsByPartition"][0]["PartitionErrorCode"]

    def test_bombs_and_readers_that_do_not_read_cost_no_memory(self):
        admin = self.admin()
        ask(admin, "CreateTopics", 7, {"Topics": [
            {"Name": "packed", "NumPartitions": 1, "ReplicationFactor": 1,
             "Configs": [{"Name": "compression.type", "Value": "lz4"}]},
            {"Name": "t", "NumPartitions": 1, "ReplicationFactor": 1}]})
        with Connection(self.plain, 60) as connection:
            wait_until("the topics take records", lambda: self.write(connection, "t") == self.write(connection, "packed") == 0,
                       20, 0.2)
            # 18: a quarter of a gigabyte of nothing in a quarter of a megabyte.
            bomb = sealed(gzip.compress(bytes(256 << 20), 9), attributes=1)
            self.assertIn(self.write(connection, "packed", bomb), (2, 10, 87))
            self.assertLess(memory_kb(self.pid) - self.before, 150_000)
            value = record_batch([(0, None, os.urandom(900_000))])
            for _ in range(10):
                self.assertEqual(self.write(connection, "t", value), 0)
        # 25: fetches whose answers nobody reads; others are served meanwhile, and these are cut.
        lazy = []
        for _ in range(30):
            connection = Connection(self.plain, 30)
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            body = struct.pack(">iiiib", -1, 100, 1, 50 << 20, 0) + struct.pack(">i", 1) + text("t")
            body += struct.pack(">iiqi", 1, 0, 0, 50 << 20)
            for number in range(20):
                connection.send(frame(header(1, 4, number) + body))
            lazy.append(connection)
        # Large answers of another kind: all that is known of the topics, again and again.
        for connection in lazy[:10]:
            try:
                for number in range(40):
                    connection.send(frame(header(METADATA, 4, 100 + number) + struct.pack(">i", -1) + b"\0"))
            except Closed:  # cut off already
                pass
        self.fine(400_000)
        cut = lambda: sum(self.ends(connection) for connection in lazy)
        wait_until("who does not read is cut off", lambda: self.logged("took no byte of an answer") >= 30, 60, 0.3)
        self.assertEqual(cut(), 30)
        # A slow sender: a frame that has begun must come.
        with Connection(self.plain, 20) as slow:
            slow.send(struct.pack(">i", 1000) + b"x")
            self.assertTrue(slow.is_closed())
        self.fine(400_000)

    def logged(self, what):
        return self.cluster.broker_logs(1_000_000).count(what)

    def ends(self, connection):
        """Whether what was sent ends with a closed connection."""
        connection.socket.settimeout(15)
        try:
            while connection.socket.recv(1 << 20):
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            connection.socket.close()
