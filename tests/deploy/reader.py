"""Reads a topic to its end, as it was at the start, and prints the numbers: reader.py BOOTSTRAP CLIENT_PROPERTIES TOPIC [AT_LEAST]."""

import json
import sys
import time

from client import settings
from confluent_kafka import Consumer, TopicPartition

bootstrap, properties, topic, *least = sys.argv[1:]
consumer = Consumer({**settings(bootstrap, properties), "group.id": "reader", "enable.auto.commit": False,
                     "auto.offset.reset": "earliest"})
partitions = sorted(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=30)[1] for p in partitions}
consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
found, deadline = [], time.monotonic() + 90
while time.monotonic() < deadline:
    places = {place.partition: place.offset for place in consumer.position([TopicPartition(topic, p) for p in partitions])}
    if all(places[p] >= end or end == 0 for p, end in ends.items()):
        break
    message = consumer.poll(0.5)
    if message is not None and not message.error():
        found.append(int(message.value()))
consumer.close()
print(json.dumps(found))
