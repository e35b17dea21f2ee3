"""QUIC is QUIC: three brokers, each in a network namespace of its own, with no TCP between them."""

import subprocess
import unittest

from case import ClusterCase, slow
from processes import CACHE
from spaces import CLIENTS, PEERS, Network, Servers, namespaces_work

RECORDS = 20_000


class Quic(ClusterCase):
    @slow
    @unittest.skipUnless(namespaces_work(), "this machine has no network namespaces")
    def test_replication_works_with_all_tcp_between_brokers_blocked(self):
        network = Network(self)
        servers = Servers(self.processes, network, {"group.initial.rebalance.delay.ms": 0})
        # The control: TCP from broker to broker fails, from the client it works.
        for other in (f"{PEERS}.2", f"{CLIENTS}.2"):
            self.assertNotEqual(self.connects(network, 1, other), 0)
        self.assertEqual(self.connects(network, "hub", f"{CLIENTS}.2"), 0)

        bootstrap = f"{CLIENTS}.1:9092"
        hub = network.inside("hub")
        servers.topic_create("t", 3)
        before = sum(network.bytes_to_peers(i) for i in (1, 2, 3))
        script = self.processes.dir / "produce.py"
        script.write_text(PRODUCE_AND_READ)
        done = subprocess.run([*hub, str(CACHE / "python/bin/python"), str(script), bootstrap, str(RECORDS)],
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + self.processes.log("broker-1"))
        produced = int(done.stdout.split()[-1])
        sent = sum(network.bytes_to_peers(i) for i in (1, 2, 3)) - before
        print(f"({produced} bytes produced, {sent} over UDP) ", end="", flush=True)
        self.assertGreaterEqual(sent, 2 * produced)

    def connects(self, network, place, host):
        code = f"import socket; socket.create_connection(('{host}', 9092), 3)"
        return subprocess.run([*network.inside(place), "python3", "-c", code], capture_output=True).returncode


PRODUCE_AND_READ = '''
import os, sys
from confluent_kafka import Consumer, Producer, TopicPartition, OFFSET_BEGINNING
bootstrap, count = sys.argv[1], int(sys.argv[2])
producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5})
failed, total, sent = [], 0, set()
for i in range(count):
    value = b"%d:" % i + os.urandom(500)
    sent.add(value)
    total += len(value)
    while True:
        try:
            producer.produce("t", value, partition=i % 3, on_delivery=lambda e, _: e and failed.append(e))
            break
        except BufferError:
            producer.poll(0.1)
    producer.poll(0)
assert producer.flush(60) == 0 and not failed, failed[:3]
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "enable.auto.commit": False})
consumer.assign([TopicPartition("t", p, OFFSET_BEGINNING) for p in range(3)])
import time
deadline = time.monotonic() + 60
while sent and time.monotonic() < deadline:
    for message in consumer.consume(1000, 0.5):
        assert message.error() is None, message.error()
        sent.remove(message.value())
assert not sent, f"{len(sent)} were not read back"
print(total)
'''
