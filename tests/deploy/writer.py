"""Writes numbers until SIGTERM: writer.py BOOTSTRAP CLIENT_PROPERTIES TOPIC NOTES. What is acknowledged goes to NOTES."""

import signal
import sys
import time

from client import settings
from confluent_kafka import Producer

bootstrap, properties, topic, notes = sys.argv[1:]
running = True


def stop(*_):
    global running
    running = False


signal.signal(signal.SIGTERM, stop)
producer = Producer({**settings(bootstrap, properties), "acks": "all", "enable.idempotence": True, "linger.ms": 5,
                     "message.timeout.ms": 120_000})
with open(notes, "w", buffering=1) as acknowledged:
    def told(error, message):
        if error:
            print(f"not written: {error}", flush=True)
            sys.exit(1)
        acknowledged.write(message.value().decode() + "\n")

    number = 0
    while running:
        producer.produce(topic, str(number).encode(), on_delivery=told)
        producer.poll(0)
        number += 1
        time.sleep(0.01)
    left = producer.flush(120)
    sys.exit(1 if left else 0)
