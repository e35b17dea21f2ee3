"""Floods: of ids, names, sessions and groups, of connections, of handshakes that begin and never go on, on the clients' ports
and on the brokers' own. Each time the broker lives, its memory is bounded, and the next client is served. (The numbers are
those of the list of hostile input.)"""

import socket
import ssl
import threading
import time

from case import ClusterCase, answers, memory_kb, slow
from dev import Admin
from messages import ask
from processes import ESKER, alive, free_ports, wait_until
from quic import INITIAL, Flood
from security import Authority, Sasl
from wire import Closed, Connection, record_batch

# Floods come from another address than those who want to be served beside them.
ELSEWHERE = "127.0.0.2"


def is_gone(connection):
    """Whether the broker has closed it."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def knock(address, count, source=ELSEWHERE):
    """So many new connections that say nothing, as far as they are let in."""
    held = []
    for _ in range(count):
        try:
            held.append(socket.create_connection(address.rsplit(":", 1), 5, source_address=(source, 0)))
        except OSError:
            pass
    return held


def produced(connection, topic, records=None):
    """The error code of a batch that all replicas shall have."""
    answer = ask(connection, "Produce", 9, {"Acks": -1, "TimeoutMs": 10_000, "TopicData": [
        {"Name": topic, "PartitionData": [{"Index": 0, "Records": records or record_batch([(0, b"k", b"v")])}]}]})
    return answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"]


class Floods(ClusterCase):
    def setUp(self):
        super().setUp()
        ports = free_ports(3)
        self.plain, self.gate, self.tls = (f"127.0.0.1:{port}" for port in ports)
        self.cluster = self.dev(1, settings={
            "listeners": f"PLAINTEXT://{self.plain},SASL_PLAINTEXT://{self.gate},SSL://{self.tls}",
            "security.bootstrap.user": "admin:admin-secret", "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
            "socket.receive.deadline.ms": 3000, "max.half.open.connections": 40, "connection.creation.rate.per.ip": 30,
            "connections.max.idle.ms": 4000, "group.initial.rebalance.delay.ms": 0, "offsets.topic.num.partitions": 4,
        })
        self.ca = self.cluster.data / "certs/ca.crt"
        self.pid = self.cluster.pid(1)
        self.before = memory_kb(self.pid)

    def fine(self, grown_kb=150_000):
        """The broker lives, has not grown, and serves the next client on each listener."""
        self.assertTrue(alive(self.pid))
        self.assertLess(memory_kb(self.pid) - self.before, grown_kb)
        self.assertNotIn("panicked", self.cluster.broker_logs(100_000))
        wait_until("the next client is served", lambda: answers(self.plain), 30, 0.3)
        wait_until("the next one proves who it is", self.gets_in, 30, 0.3)
        wait_until("the next one shakes hands", self.shakes_hands, 30, 0.3)

    def gets_in(self):
        try:
            with Sasl(self.gate) as connection:
                return connection.plain("admin", "admin-secret")[0] == 0 and connection.metadata_works()
        except (Closed, OSError):
            return False

    def shakes_hands(self):
        try:
            with self.over_tls() as connection:
                return bool(connection.call(18, 0, b""))
        except (Closed, OSError):
            return False

    def over_tls(self):
        connection = Connection(self.tls, 20)
        context = ssl.create_default_context(cafile=str(self.ca))
        connection.socket = context.wrap_socket(connection.socket, server_hostname="127.0.0.1")
        return connection

    def test_ids_sessions_and_groups_are_bounded(self):
        # 27
        self.cluster.topic_create("t")
        with Connection(self.plain, 60) as connection:
            def ready():
                found = ask(connection, "FindCoordinator", 4, {"KeyType": 0, "CoordinatorKeys": ["g"]})
                return found["Coordinators"][0]["ErrorCode"] == 0 and ask(connection, "InitProducerId", 4, {
                    "TransactionTimeoutMs": 60_000, "ProducerId": -1, "ProducerEpoch": -1})["ErrorCode"] == 0

            wait_until("there are coordinators", ready, 60, 0.2)
            ids = set()
            while len(ids) < 2000:
                made = ask(connection, "InitProducerId", 4, {"TransactionTimeoutMs": 60_000, "ProducerId": -1, "ProducerEpoch": -1})
                self.assertIn(made["ErrorCode"], (0, 14, 15, 16))  # a coordinator may be busy, and says so
                ids |= {made["ProducerId"]} if not made["ErrorCode"] else set()
            wanted = [{"Partition": i, "PartitionMaxBytes": 1} for i in range(20)]
            begin = {"MaxWaitMs": 0, "SessionEpoch": 0, "Topics": [{"Topic": "t", "Partitions": wanted}]}
            ids = [ask(connection, "Fetch", 12, begin)["SessionId"] for _ in range(1050)]
            self.assertEqual(sum(id > 0 for id in ids), 1000, "max.incremental.fetch.session.cache.slots")
            self.assertTrue(all(id == 0 for id in ids[1000:]), "then there is none: clients go on without")
            self.assertEqual(len(set(ids)), 1001)
            # Groups of one member that never comes back, and groups that one asks to join and never does.
            for number in range(700):
                join = {"GroupId": f"classic-{number}", "SessionTimeoutMs": 6000, "RebalanceTimeoutMs": 6000,
                        "ProtocolType": "consumer", "Protocols": [{"Name": "range", "Metadata": bytes(1000)}]}
                self.assertIn(ask(connection, "JoinGroup", 5, join)["ErrorCode"], (0, 14, 15, 16, 79))
                beat = {"GroupId": f"modern-{number}", "MemberId": f"m-{number}", "MemberEpoch": 0, "RebalanceTimeoutMs": 1000,
                        "SubscribedTopicNames": ["t"], "TopicPartitions": []}
                self.assertIn(ask(connection, "ConsumerGroupHeartbeat", 1, beat)["ErrorCode"], (0, 14, 15, 16))
            self.fine()

            def pending():
                # Of a member that only asked nothing is left after its session's time.
                listed = ask(connection, "ListGroups", 4, {})["Groups"]
                return sum(group["GroupId"].startswith("classic-") for group in listed)

            wait_until("groups that nobody joined are forgotten", lambda: pending() == 0, 60, 0.5)
        self.fine()

    def test_one_address_cannot_keep_the_others_out(self):
        # 26: connections, faster than an address may make them.
        held = knock(self.plain, 800)
        wait_until("some are turned away", lambda: len(held) < 800 or any(is_gone(s) for s in held), 20, 0.2)
        wait_until("another address is served meanwhile", lambda: answers(self.plain), 30, 0.2)
        for each in held:
            each.close()
        wait_until("the address may connect again", lambda: answers(self.plain, ELSEWHERE), 60, 0.3)
        # More than it may leave unproven.
        for address in (self.tls, self.gate):
            silent = []

            def full():
                silent.extend(knock(address, 20))
                return sum(is_gone(s) for s in silent) >= 10

            wait_until("an address has few half-open ones", full, 60, 0.5)
            for served in (self.shakes_hands, self.gets_in):
                wait_until("another address is served meanwhile", lambda: full() and served(), 60, 0.2)
            wait_until("none is left half-open for ever", lambda: all(is_gone(s) for s in silent), 30, 0.2)
            for each in silent:
                each.close()
        self.fine()

    def test_idle_connections_are_closed_and_waiting_ones_are_not(self):
        self.cluster.topic_create("t")
        with Sasl(self.gate, timeout=60) as proven, self.over_tls() as sealed, Connection(self.plain, 60) as plain, \
                Connection(self.plain, 60) as waiting:
            self.assertEqual(proven.plain("admin", "admin-secret")[0], 0)
            for each in (plain, sealed):
                self.assertTrue(each.call(18, 0, b""))
            # A long poll, longer than a connection may be idle.
            poll = {"MaxWaitMs": 9000, "MinBytes": 1, "SessionEpoch": -1,
                    "Topics": [{"Topic": "t", "Partitions": [{"Partition": 0, "PartitionMaxBytes": 1000}]}]}
            wait_until("the topic is led", lambda: ask(waiting, "Fetch", 12, {**poll, "MaxWaitMs": 0})["Responses"][0][
                "Partitions"][0]["ErrorCode"] == 0, 20, 0.1)
            begun = time.monotonic()
            self.assertEqual(ask(waiting, "Fetch", 12, poll)["Responses"][0]["Partitions"][0]["ErrorCode"], 0)
            self.assertGreater(time.monotonic() - begun, 5, "the control: it did wait")
            for what, each in (("plain", plain), ("authenticated", proven), ("TLS", sealed)):
                wait_until(f"the idle one is closed: {what}", lambda: each.is_closed(), 30, 0.1)
        self.fine()


class Peers(ClusterCase):
    """The port on which brokers meet."""

    @slow
    def test_floods_leave_replication_alone_and_brokers_still_find_each_other(self):
        dev = self.dev(3, settings={"min.insync.replicas": 3, "connection.creation.rate.per.ip": 50})
        dev.topic_create("t")
        ports = {id: self.properties(dev, id)["peer.listener"] for id in (1, 2, 3)}
        admin = Admin(dev.bootstrap)
        admin.wait_for_isr("t", 1, 3)
        leader = admin.partition("t")[0]
        restarted = next(id for id in (1, 2, 3) if id not in (leader, admin.controller()))
        before = {id: memory_kb(dev.pid(id)) for id in (1, 2, 3)}
        flooding, floods = threading.Event(), {id: Flood(port) for id, port in ports.items()}
        flooding.set()

        def handshakes():
            while flooding.is_set():
                for flood in floods.values():
                    flood.begin(100)

        def connections():
            # Clients' ports, from elsewhere: faster than it may, and never more than a few hundred at a time.
            while flooding.is_set():
                for _, address in dev.brokers().values():
                    for each in knock(address, 60):
                        each.close()
                time.sleep(0.1)

        threads = [threading.Thread(target=each) for each in (handshakes, connections)]
        for thread in threads:
            thread.start()
        try:
            # 30: an address that proves nothing gets a Retry, which costs nothing, and no more than it has sent.
            wait_until("all are under load", lambda: all(len(flood.retries) > 100 for flood in floods.values()), 60, 0.1)
            for _ in range(30):
                self.written(dev, admin)
            # A broker that starts has all its handshakes before it.
            dev.kill(restarted)
            dev.restart(restarted)
            admin.wait_for_isr("t", 1, 3)
            self.written(dev, admin)
        finally:
            flooding.clear()
            for thread in threads:
                thread.join()
        for id, flood in floods.items():
            self.assertTrue(alive(dev.pid(id)))
            # What a false sender would have sent to somebody else (RFC 9000, 8.1).
            self.assertLessEqual(flood.received, 3 * flood.sent)
            if id != restarted:
                self.assertLess(memory_kb(dev.pid(id)) - before[id], 150_000)
            # Who answers the Retry is heard, though nobody is who shows no certificate.
            wait_until("an address that has proved itself is answered", lambda: self.goes_on(flood), 30, 0.1)
            flood.close()
        self.assertNotIn("panicked", dev.broker_logs(100_000))
        self.assertTrue(answers(dev.brokers()[restarted][1]))

    def written(self, dev, admin):
        """Waits until all replicas have one more batch, whoever leads them."""
        def once():
            try:
                with Connection(dev.brokers()[admin.partition("t")[0]][1], 30) as connection:
                    return produced(connection, "t") == 0
            except (Closed, OSError, KeyError):  # nobody leads, or somebody else does by now
                return False

        wait_until("all replicas have it", once, 60, 0.1)

    def goes_on(self, flood):
        """Whether the token of a fresh Retry opens the handshake."""
        flood.begin(60)
        flood.listen(0.2)
        if not flood.retries:
            return False
        own = flood.go_on()
        return (INITIAL, own) in flood.listen(1)

    def properties(self, dev, broker):
        lines = (dev.data / f"broker-{broker}/broker.properties").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    @slow
    def test_a_broker_with_anothers_certificate_is_let_in_nowhere(self):
        dev = self.dev(3)
        dev.topic_create("t")
        admin = Admin(dev.bootstrap)
        admin.wait_for_isr("t", 1, 3)
        leader = admin.partition("t")[0]
        outside = next(id for id in (1, 2, 3) if id not in (leader, admin.controller()))
        stranger = Authority(self.processes.dir / "foreign")
        own = self.properties(dev, outside)
        dev.kill(outside)
        admin.wait_for_isr("t", 1, 2)
        # The right name, of an authority that the others do not know; it trusts them all the same.
        foreign = stranger.issue("node", f"/CN=node-{outside}.esker", [f"DNS:node-{outside}.esker", "IP:127.0.0.1"], "ec")
        process = self.impostor(dev, outside, own, foreign)
        refusals = lambda: sum((dev.data / f"broker-{id}/broker.log").read_text(errors="replace").count(
            "a peer's handshake has failed") for id in {1, 2, 3} - {outside})
        wait_until("it is refused again and again", lambda: refusals() >= 3, 60, 0.2)
        self.assertIsNone(process.poll())
        self.assertNotIn(outside, admin.partition("t")[2])
        self.assertNotIn("ready", self.processes.log("impostor", 10_000).splitlines())
        self.written(dev, admin)
        self.processes.stop(process)
        # One of the cluster's own authority that names another node: it does not even start.
        names = ("peer.ssl.certificate.location", "peer.ssl.key.location")
        of_another = [self.properties(dev, leader)[name] for name in names]
        process = self.impostor(dev, outside, own, of_another)
        self.assertNotEqual(process.wait(60), 0)
        self.assertIn(f"the certificate names node {leader}, this is node {outside}", self.processes.log("impostor"))
        # The control: with its own it comes back.
        dev.restart(outside)
        admin.wait_for_isr("t", 1, 3)

    def impostor(self, dev, id, own, pair):
        """The broker's own program, configuration and disk, with other certificates towards its peers."""
        path = self.processes.dir / "impostor.properties"
        changed = {**own, "peer.ssl.certificate.location": pair[0], "peer.ssl.key.location": pair[1]}
        path.write_text("".join(f"{key}={value}\n" for key, value in changed.items()))
        return self.processes.start("impostor", [ESKER, "server", "--config", path])
