"""Transactional ids come back from the bucket alone: what was decided at the backup stays so, and the producers of before are fenced."""

import shutil
import time

from case import ClusterCase, slow
from dev import esker
from kafka_peer import Side
from processes import wait_until
from wire import record_batch

TIERED = {"remote.storage.enable": "true", "segment.bytes": "65536", "local.retention.bytes": "1"}
QUICK = {"cluster.id": "old-cluster", "remote.log.manager.task.interval.ms": 300, "log.retention.check.interval.ms": 500,
         "tier.backup.interval.ms": 300, "transaction.state.log.num.partitions": 3, "auto.create.topics.enable": "false"}
RECORDS, BATCH, LATER = 400, 20, {14, 15, 16, 51}
FENCED, NOT_ITS_PRODUCER = 90, 49


class TransactionBackups(ClusterCase):
    def side(self, dev, broker):
        """Raw calls to one broker."""
        side = Side(f"broker {broker}", dev.brokers()[broker][1])
        self.addCleanup(side.close)
        return side

    def retried(self, side, api, version, values, code=lambda answer: answer["ErrorCode"]):
        """An answer that is not "later"."""
        deadline = time.monotonic() + 60
        while True:
            answer = side.ask(api, version, values)
            if code(answer) not in LATER or time.monotonic() > deadline:
                return answer
            time.sleep(0.05)

    def coordinator(self, dev, id):
        """The broker that coordinates an id."""
        found = self.retried(self.any, "FindCoordinator", 4, {"KeyType": 1, "CoordinatorKeys": [id]},
                             lambda a: a["Coordinators"][0]["ErrorCode"])["Coordinators"][0]
        return found["NodeId"]

    def init(self, dev, id, producer=(-1, -1), timeout=60_000):
        return self.retried(self.sides[self.coordinator(dev, id)], "InitProducerId", 4, {
            "TransactionalId": id, "TransactionTimeoutMs": timeout, "ProducerId": producer[0], "ProducerEpoch": producer[1]})

    def add(self, dev, id, producer, topic, partition):
        code = lambda a: a["ResultsByTopicV3AndBelow"][0]["ResultsByPartition"][0]["PartitionErrorCode"]  # noqa: E731
        return code(self.retried(self.sides[self.coordinator(dev, id)], "AddPartitionsToTxn", 3, {
            "V3AndBelowTransactionalId": id, "V3AndBelowProducerId": producer[0], "V3AndBelowProducerEpoch": producer[1],
            "V3AndBelowTopics": [{"Name": topic, "Partitions": [partition]}]}, code))

    def write(self, dev, leader, id, producer, topic, partition):
        """Adds the partition to the transaction and fills it."""
        self.assertEqual(self.add(dev, id, producer, topic, partition), 0, id)
        code = lambda a: a["Responses"][0]["PartitionResponses"][0]["ErrorCode"]  # noqa: E731
        for sequence in range(0, RECORDS, BATCH):
            now = int(time.time() * 1000)
            batch = record_batch([(now, None, f"{id} {sequence + i} ".ljust(600, "x").encode()) for i in range(BATCH)],
                                 attributes=16, producer=(*producer, sequence))
            answer = self.retried(self.sides[leader], "Produce", 11, {"TransactionalId": id, "Acks": -1, "TimeoutMs": 5000,
                "TopicData": [{"Name": topic, "PartitionData": [{"Index": partition, "Records": batch}]}]}, code)
            self.assertEqual(code(answer), 0, (id, sequence))

    def end(self, dev, id, producer, commit, version=5):
        answer = self.retried(self.sides[self.coordinator(dev, id)], "EndTxn", version, {
            "TransactionalId": id, "ProducerId": producer[0], "ProducerEpoch": producer[1], "Committed": commit})
        self.assertEqual(answer["ErrorCode"], 0, id)

    def describe(self, dev, id):
        code = lambda a: a["TransactionStates"][0]["ErrorCode"]  # noqa: E731
        return self.retried(self.sides[self.coordinator(dev, id)], "DescribeTransactions", 0, {"TransactionalIds": [id]},
                            code)["TransactionStates"][0]

    def restored(self, dev, partition, isolation):
        """How many records of t a reader is given in a partition, up to the end."""
        from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

        reader = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": isolation, "isolation.level": isolation,
                           "enable.auto.commit": False, "enable.partition.eof": True})
        reader.assign([TopicPartition("t", partition, OFFSET_BEGINNING)])
        found = []

        def at_the_end():
            message = reader.poll(1)
            if message is not None and message.error() is None:
                found.append(message.value())
            return message is not None and message.error() is not None and message.error().code() == KafkaError._PARTITION_EOF

        try:
            wait_until(f"a {isolation} reader of t-{partition} has reached the end", at_the_end, 60, 0)
        finally:
            reader.close()
        return len(found)

    @slow
    def test_what_was_decided_at_the_backup_stays_so_and_former_producers_are_fenced(self):
        from confluent_kafka import KafkaException, Producer

        store = self.processes.dir / "tier"
        dev = self.dev(3, tier=f"file://{store}", settings=QUICK)
        self.sides = {broker: self.side(dev, broker) for broker in (1, 2, 3)}
        self.any = self.sides[1]
        configs = [{"Name": name, "Value": value} for name, value in TIERED.items()]
        for topic, partitions, broker in (("t", 5, 1), ("u", 1, 3)):
            placed = [{"PartitionIndex": p, "BrokerIds": [broker]} for p in range(partitions)]
            made = self.any.ask("CreateTopics", 7, {"TimeoutMs": 10_000, "Topics": [
                {"Name": topic, "NumPartitions": -1, "ReplicationFactor": -1, "Assignments": placed, "Configs": configs}]})
            self.assertEqual(made["Topics"][0]["ErrorCode"], 0, made)
        # A writer of transaction version 1, as librdkafka is one.
        writer = Producer({"bootstrap.servers": dev.bootstrap, "transactional.id": "former", "linger.ms": 5, "batch.size": 16384})
        writer.init_transactions(60)
        writer.begin_transaction()
        for i in range(RECORDS):
            writer.produce("t", f"former {i} ".ljust(600, "x").encode(), partition=4)
        writer.commit_transaction(60)

        # Broker 3 is going to die with the transaction of `prepared`, so nothing may be coordinated there.
        names = {what: next(id for id in (f"{what}-{n}" for n in range(100)) if self.coordinator(dev, id) != 3)
                 for what in ("prepared", "complete", "aborted", "open")}
        producers = {}
        for number, (what, id) in enumerate(names.items()):
            answer = self.init(dev, id, timeout=50_000 + number)
            self.assertEqual(answer["ErrorCode"], 0, id)
            producers[what] = answer["ProducerId"], answer["ProducerEpoch"]
            self.write(dev, 1, id, producers[what], "t", number)
        self.assertEqual(self.add(dev, names["prepared"], producers["prepared"], "u", 0), 0)
        dev.kill(3)
        for what in ("prepared", "complete", "aborted"):
            self.end(dev, names[what], producers[what], what != "aborted")

        # Their ends are in the open segments, which are only on broker 1's disk. What is open is not in the tier at all.
        arguments = ["--store", f"file://{store}"]

        def tier_ends():
            told = esker("tier", "restore", "t", "--dry-run", *arguments, check=False).stdout
            ends = [int(word.split("..")[1]) for word in told.split() if word.startswith("0..")]
            return ends if len(ends) == 4 and min(ends) > 200 else None

        ends = wait_until("all but what is open is in the tier", tier_ends, 120, 0.5)
        self.assertLessEqual(max(ends), RECORDS, "no marker is in the tier")
        lines = lambda: b"".join(path.read_bytes() for path in store.rglob("transaction-parts/*/*") if path.is_file())  # noqa: E731

        def backed_up(what, state):
            return f'"id":"{names.get(what, what)}"' in (text := lines().decode(errors="replace")) and any(
                f'"id":"{names.get(what, what)}"' in line and f'"state":"{state}"' in line for line in text.splitlines())

        for what, state in (("prepared", "PrepareCommit"), ("complete", "CompleteCommit"), ("aborted", "CompleteAbort"),
                            ("open", "Ongoing"), ("former", "CompleteCommit")):
            wait_until(f"the backup knows that {what} is {state}", lambda: backed_up(what, state), 60, 0.3)
        time.sleep(1)  # the list that names those parts
        for broker in (1, 2):
            dev.kill(broker)
        dev.stop()
        shutil.rmtree(dev.data)

        told = esker("tier", "restore-cluster", "--dry-run", *arguments).stdout
        self.assertIn("5 transactional ids", told)
        dev.start()
        done = esker("tier", "restore-cluster", *arguments, "--bootstrap-server", dev.bootstrap, timeout=180).stdout
        self.assertIn("2 transactions of t had no end in the tier, and are committed", done)
        self.assertIn("2 transactions of t had no end in the tier, and are aborted", done)
        self.assertIn("5 transactional ids are back", done)
        # Nobody waits for an end: what was committed is there as far as it was in the tier, what was aborted or cannot be told is not.
        committed = [self.restored(dev, partition, "read_committed") for partition in range(5)]
        everything = [self.restored(dev, partition, "read_uncommitted") for partition in range(5)]
        self.assertEqual(everything, [ends[0], ends[1], ends[2], 0, ends[3]])
        self.assertEqual(committed, [ends[0], ends[1], 0, 0, 0])

        self.sides = {broker: self.side(dev, broker) for broker in (1, 2, 3)}
        self.any = self.sides[1]
        highest = max(id for id, _ in producers.values())
        for number, (what, id) in enumerate(names.items()):
            described = self.describe(dev, id)
            self.assertEqual((described["ErrorCode"], described["TransactionState"], described["TransactionTimeoutMs"]),
                             (0, "Empty", 50_000 + number), what)
            self.assertGreater(described["ProducerId"], highest, what)
            # Whatever epoch the former producer had: the backup may be older than its last one.
            for ahead in (0, 1, 5):
                former = producers[what][0], producers[what][1] + ahead
                self.assertEqual(self.init(dev, id, former)["ErrorCode"], FENCED, (what, ahead))
                self.assertEqual(self.add(dev, id, former, "t", 0), NOT_ITS_PRODUCER, (what, ahead))
            begun = self.init(dev, id)
            self.assertEqual((begun["ErrorCode"], begun["ProducerId"], begun["ProducerEpoch"]),
                             (0, described["ProducerId"], described["ProducerEpoch"] + 1), f"{what}: the next epoch")
        # The same by a client: who begins anew goes on, and the one of before does not.
        successor = Producer({"bootstrap.servers": dev.bootstrap, "transactional.id": "former"})
        successor.init_transactions(60)
        with self.assertRaises(KafkaException) as refused:
            writer.begin_transaction()
            writer.produce("t", b"astray", partition=4)
            writer.commit_transaction(60)
        self.assertTrue(refused.exception.args[0].fatal() or refused.exception.args[0].txn_requires_abort(), refused.exception)
        successor.begin_transaction()
        successor.produce("t", b"after", partition=4)
        successor.commit_transaction(60)
        self.assertEqual(self.restored(dev, 4, "read_committed"), 1)
