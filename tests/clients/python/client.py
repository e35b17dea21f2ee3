#!/usr/bin/env python3
"""The contract of tests/clients/README.md on confluent-kafka (librdkafka)."""

import argparse
import base64
import hashlib
import json
import signal
import sys
import time
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition, OFFSET_BEGINNING

KEYS = 97


def settings(options):
    conf = {"bootstrap.servers": options.bootstrap}
    if options.config:
        names = {"ssl.ca": "ssl.ca.location", "ssl.certificate": "ssl.certificate.location",
                 "ssl.key": "ssl.key.location"}
        with open(options.config) as file:
            for line in file:
                line = line.strip()
                if line and not line.startswith("#"):
                    key, value = line.split("=", 1)
                    conf[names.get(key.strip(), key.strip())] = value.strip()
    token = conf.pop("oauth.token.file", None)
    if token:
        conf["oauth_cb"] = lambda _: bearer(token)
    return conf


def bearer(path):
    """The token of a file, and when it expires."""
    with open(path) as file:
        token = file.read().strip()
    claims = token.split(".")[1]
    return token, json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]


def record(seed, i):
    value = f"{seed}:{i}:{i // KEYS}:" + hashlib.sha256(f"{seed}:{i}".encode()).hexdigest() * (i % 9)
    headers = [("n", str(i).encode()), ("twice", b"a"), ("twice", b"b")]
    return f"{seed}-k{i % KEYS}".encode(), value.encode(), headers


def digest(key, value, headers):
    sha = hashlib.sha256(key + b"\0" + value)
    for name, content in headers or []:
        sha.update(b"\0" + name.encode() + b"=" + content)
    return int.from_bytes(sha.digest()[:8], "big")


def produce(options):
    conf = settings(options)
    conf.update({"enable.idempotence": True, "linger.ms": 5, "batch.size": 65536})  # fits small segments
    producer = Producer(conf)
    acked = {"count": 0, "hash": 0}

    def delivered(sent, error):  # the message of a delivery report comes without its headers
        if error is not None:
            print(f"not acknowledged: {error}", file=sys.stderr)
            return
        acked["count"] += 1
        acked["hash"] += sent

    for i in range(options.count):
        key, value, headers = record(options.seed, i)
        sent = digest(key, value, headers)
        while True:
            try:
                producer.produce(options.topic, value, key, headers=headers,
                                 on_delivery=lambda error, _, sent=sent: delivered(sent, error))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(options.timeout)
    print(json.dumps({"acked": acked["count"], "hash": f"{acked['hash'] % 2**64:016x}"}))
    return acked["count"] == options.count


def consume(options):
    conf = settings(options)
    conf.update({
        "group.id": options.group or f"none-{uuid.uuid4()}",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    })
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    consumer = Consumer(conf)
    if options.group:
        consumer.subscribe([options.topic])
    else:
        partitions = consumer.list_topics(options.topic, timeout=30).topics[options.topic].partitions
        consumer.assign([TopicPartition(options.topic, p, OFFSET_BEGINNING) for p in partitions])
    read, total = 0, 0
    deadline = time.monotonic() + options.timeout
    with open(options.out, "a") as out:
        while read < options.count and not stop and time.monotonic() < deadline:
            messages = consumer.consume(500, timeout=0.25)
            good = 0
            for message in messages:
                if message.error():
                    print(f"error: {message.error()}", file=sys.stderr)
                    continue
                value = digest(message.key(), message.value(), message.headers())
                counter = message.value().split(b":", 3)[2].decode()
                key = message.key().decode()
                out.write(f"{message.partition()}\t{message.offset()}\t{key}\t{counter}\t{value:016x}\n")
                read += 1
                good += 1
                total += value
            out.flush()
            if options.group and good:
                consumer.commit(asynchronous=False)
    consumer.close()
    print(json.dumps({"count": read, "hash": f"{total % 2**64:016x}"}))
    return read >= options.count or bool(stop)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["produce", "consume"])
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--config")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed")
    parser.add_argument("--group")
    parser.add_argument("--out")
    parser.add_argument("--timeout", type=float, default=120)
    options = parser.parse_args()
    return 0 if (produce if options.verb == "produce" else consume)(options) else 1


sys.exit(main())
