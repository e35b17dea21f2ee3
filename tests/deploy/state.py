"""What a cluster holds, before and after it was restored: state.py BOOTSTRAP CLIENT write|read TOPIC [WHAT_WAS_TOLD]."""

import json
import sys
import time

from client import settings
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, ResourcePatternType,
                                   ResourceType)

RECORDS, PARTITIONS = 3000, 3
bootstrap, properties, verb, topic, *told = sys.argv[1:]
base = settings(bootstrap, properties)
admin = AdminClient(base)
group = Consumer({**base, "group.id": "g", "enable.auto.commit": False})


def value(partition, offset):
    return f"{partition}:{offset}:".encode() + b"x" * 60


def acls():
    found = admin.describe_acls(AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY,
                                                 AclPermissionType.ANY)).result(30)
    return sorted(f"{acl.principal} {acl.operation.name} {acl.name}" for acl in found)


def write():
    # Each record once and at its place, though leaders move: without idempotence a batch that is sent again may be there twice.
    producer = Producer({**base, "enable.idempotence": True, "linger.ms": 2, "batch.num.messages": 50})
    for n in range(RECORDS):
        producer.produce(topic, value(n % PARTITIONS, n // PARTITIONS), partition=n % PARTITIONS)
        producer.poll(0)
    assert producer.flush(60) == 0
    binding = AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:alice", "*", AclOperation.READ,
                         AclPermissionType.ALLOW)
    for done in admin.create_acls([binding]).values():
        done.result(30)
    committed = {0: 10, 1: 100, 2: RECORDS // PARTITIONS}
    group.commit(offsets=[TopicPartition(topic, p, offset) for p, offset in committed.items()], asynchronous=False)
    print(json.dumps({"records": RECORDS, "committed": committed, "acls": acls()}))


def read():
    ends = {p: group.get_watermark_offsets(TopicPartition(topic, p), timeout=30)[1] for p in range(PARTITIONS)}
    committed = {place.partition: place.offset for place in
                 group.committed([TopicPartition(topic, p) for p in range(PARTITIONS)], timeout=30)}
    group.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    records, wrong, deadline = 0, 0, time.monotonic() + 90
    while records < sum(ends.values()) and time.monotonic() < deadline:
        message = group.poll(0.5)
        if message is not None and not message.error():
            records += 1
            wrong += message.value() != value(message.partition(), message.offset())
    wrong += sum(ends.values()) - records
    print(json.dumps({"records": records, "wrong": wrong, "ends": ends, "committed": committed, "acls": acls()}))


write() if verb == "write" else read()
