"""Quotas as clients meet them: real clients are slowed and finish, raw calls see what is reported; caps of one listener leave the
others alone."""

from case import ClusterCase, answers
from messages import ask
from processes import free_ports, wait_until
from wire import Connection


def set_quota(connection, entity, key, value):
    """AlterClientQuotas: an entity is {type: name}; a value of None removes."""
    entry = {"Entity": [{"EntityType": kind, "EntityName": name} for kind, name in entity.items()],
             "Ops": [{"Key": key, "Value": value or 0.0, "Remove": value is None}]}
    answer = ask(connection, "AlterClientQuotas", 1, {"Entries": [entry], "ValidateOnly": False})
    if answer["Entries"][0]["ErrorCode"]:
        raise AssertionError(f"{entity} {key}={value}: {answer}")


class Quotas(ClusterCase):
    def test_clients_above_their_quotas_are_slowed_told_and_served(self):
        from confluent_kafka import Consumer, Producer
        from confluent_kafka.admin import AdminClient, NewTopic

        dev = self.dev(1)
        dev.topic_create("t", 1)
        with Connection(dev.bootstrap, 60) as admin:
            # Bytes, by client id: all is taken, later.
            set_quota(admin, {"client-id": "slow"}, "producer_byte_rate", 20_000.0)
            set_quota(admin, {"client-id": "slow"}, "consumer_byte_rate", 20_000.0)
            throttled, acked = [], []
            producer = Producer({"bootstrap.servers": dev.bootstrap, "client.id": "slow", "linger.ms": 5,
                                 "batch.num.messages": 20, "throttle_cb": throttled.append})
            for _ in range(300):
                producer.produce("t", bytes(1000), on_delivery=lambda error, _: acked.append(error))
            producer.flush(120)
            self.assertEqual([error for error in acked if error], [])
            self.assertEqual(len(acked), 300)
            wait_until("the producer was told", lambda: producer.poll(0.1) is None or throttled, 10)
            self.assertTrue(throttled and max(event.throttle_time for event in throttled) > 0)
            # The consumer of another id is not held back by it; this one is, and gets everything all the same.
            told = []
            consumer = Consumer({"bootstrap.servers": dev.bootstrap, "client.id": "slow", "group.id": "g",
                                 "auto.offset.reset": "earliest", "fetch.message.max.bytes": 30_000,
                                 "throttle_cb": told.append})
            consumer.subscribe(["t"])
            read = []
            wait_until("all is read", lambda: read.extend(consumer.consume(100, 0.5)) or len(read) >= 300, 120, 0)
            consumer.close()
            self.assertTrue(told and max(event.throttle_time for event in told) > 0)
            # Changes (KIP-599): refused with a time to wait where the version knows it.
            set_quota(admin, {"user": "ANONYMOUS"}, "controller_mutation_rate", 5.0)
            with Connection(dev.bootstrap, 60) as client:
                wanted = {"Topics": [{"Name": "many", "NumPartitions": 80, "ReplicationFactor": 1}]}
                first = ask(client, "CreateTopics", 7, wanted)
                self.assertEqual(first["Topics"][0]["ErrorCode"], 0)
                self.assertGreater(first["ThrottleTimeMs"], 0)
            with Connection(dev.bootstrap, 60) as client:
                wanted["Topics"][0]["Name"] = "more"
                second = ask(client, "CreateTopics", 7, wanted)
                self.assertEqual(second["Topics"][0]["ErrorCode"], 89)
                self.assertGreater(second["ThrottleTimeMs"], 0)
            real = AdminClient({"bootstrap.servers": dev.bootstrap})
            # librdkafka's version of the request knows no such error: it is taken, and the client held back.
            real.create_topics([NewTopic("by-client", 2, 1)])["by-client"].result(60)
            set_quota(admin, {"user": "ANONYMOUS"}, "controller_mutation_rate", None)
            # Request time: what is above it is held back, and answered.
            set_quota(admin, {"client-id": "busy"}, "request_percentage", 0.001)
            with Connection(dev.bootstrap, 60) as client:
                told = []
                for _ in range(50):
                    told.append(ask(client, "Metadata", 9, {"Topics": None}, client_id="busy")["ThrottleTimeMs"])
                    if told[-1]:
                        break
                self.assertGreater(told[-1], 0)
            # Connections of an address (KIP-612).
            set_quota(admin, {"ip": "127.0.0.1"}, "connection_creation_rate", 2.0)
            outcomes = [answers(dev.bootstrap) for _ in range(60)]
            self.assertIn(False, outcomes)
            set_quota(admin, {"ip": "127.0.0.1"}, "connection_creation_rate", None)
            wait_until("the address may connect again", lambda: answers(dev.bootstrap), 20, 0.1)

    def test_caps_of_one_listener_leave_the_others_alone(self):
        ports = free_ports(2)
        inside, outside = (f"127.0.0.1:{port}" for port in ports)
        self.dev(1, settings={
            "listeners": f"INSIDE://{inside},OUTSIDE://{outside}",
            "listener.security.protocol.map": "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
            "listener.name.outside.max.connections": 3, "listener.name.outside.max.connection.creation.rate": 4,
        })
        held = [Connection(outside, 30) for _ in range(3)]
        for each in held:
            self.assertTrue(each.call(18, 0, b""))
        self.assertFalse(answers(outside), "a fourth")
        for _ in range(5):
            self.assertTrue(answers(inside))
        held.pop().socket.close()
        wait_until("there is room again", lambda: answers(outside), 20, 0.2)
        # Faster than the rate: they wait, none is lost.
        for _ in range(12):
            wait_until("it is served", lambda: answers(outside), 20, 0.05)
        for each in held:
            each.socket.close()
