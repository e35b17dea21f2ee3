"""Transactions as kafka-clients (transaction version 2) and librdkafka (version 1) see them, in peace and under kills."""

import collections
import os
import random
import re
import signal
import threading
import time
import unittest

from case import ClusterCase, slow
from clients import JAVA
from dev import Admin
from processes import CACHE, KAFKA_JARS, kafka_tool, wait_until

TOOL = "org.apache.kafka.tools.TransactionsCommand"
RECORDS = 8


def producer(bootstrap, id, **more):
    """A librdkafka producer that has begun."""
    from confluent_kafka import Producer

    made = Producer({"bootstrap.servers": bootstrap, "transactional.id": id, "log_level": 0, "retry.backoff.ms": 50,
                     "socket.timeout.ms": 10000, **more})
    made.init_transactions(60)
    return made


def read(bootstrap, topic, isolation="read_committed", seconds=60):
    """All values of a topic up to the end that the isolation level allows, in their order, by partition."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"reader-{time.monotonic_ns()}", "log_level": 0,
                         "isolation.level": isolation, "enable.partition.eof": True, "enable.auto.commit": False})
    partitions = sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    values, ended, deadline = {p: [] for p in partitions}, set(), time.monotonic() + seconds
    while len(ended) < len(partitions):
        message = consumer.poll(1)
        if time.monotonic() > deadline:
            raise AssertionError(f"{topic}: read {sum(map(len, values.values()))}, ends of {ended} only")
        if message is None:
            continue
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            continue
        ended.discard(message.partition())
        values[message.partition()].append(message.value().decode())
    consumer.close()
    return values


def flat(values):
    return [value for partition in values.values() for value in partition]


class LiveReader(threading.Thread):
    """Reads committed records of a topic all the time, whatever happens to the brokers; what it saw stays so."""

    def __init__(self, bootstrap, topic, partitions):
        super().__init__(daemon=True)
        self.bootstrap, self.topic = bootstrap, topic
        self.values, self.errors, self.stop = {p: [] for p in range(partitions)}, [], threading.Event()

    def run(self):
        from confluent_kafka import Consumer, KafkaError, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "live", "log_level": 0, "isolation.level": "read_committed",
                             "enable.auto.commit": False, "auto.offset.reset": "error", "socket.timeout.ms": 10000})
        consumer.assign([TopicPartition(self.topic, p, 0) for p in self.values])
        last = {p: -1 for p in self.values}
        while not self.stop.is_set():
            message = consumer.poll(0.5)
            if message is None:
                continue
            if message.error():
                if message.error().code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION, KafkaError.OFFSET_OUT_OF_RANGE):
                    self.errors.append(str(message.error()))
                continue
            at = message.partition()
            if message.offset() <= last[at]:
                self.errors.append(f"offset {message.offset()} of partition {at} after {last[at]}")
            last[at] = message.offset()
            self.values[at].append(message.value().decode())
        consumer.close()

    def check(self, test, values):
        """All that it saw is there in the end, in that order and with nothing in between."""
        self.stop.set()
        self.join(60)
        test.assertEqual(self.errors, [], "a reader's offsets")
        test.assertGreater(sum(map(len, self.values.values())), 0, "it has read something")
        for at, seen in self.values.items():
            wrong = next((i for i, pair in enumerate(zip(seen, values[at])) if pair[0] != pair[1]), min(len(seen), len(values[at])))
            test.assertEqual(seen[wrong:], [], f"partition {at} was read otherwise before, at its record {wrong}: then {values[at][wrong:][:5]}")


class JavaRun:
    """`Transactions.java`, running."""

    def __init__(self, processes, name, verb, **options):
        self.out, self.name, self.processes = processes.dir / f"{name}.decided", name, processes
        self.out.touch()
        classes = os.environ.get("TESTS_JAVA", f"{CACHE}/java-client")
        command = [*JAVA, f"{classes}:{KAFKA_JARS}/*", "Transactions", verb, "--out", self.out]
        for key, value in options.items():
            command += [f"--{key}", str(value)]
        self.process = processes.start(name, command)

    def decided(self):
        """Number → outcome."""
        return {int(line.split()[0]): line.split()[1] for line in self.out.read_text().splitlines() if " " in line}

    def finish(self, seconds):
        self.process.wait(seconds)
        return self.decided()


class Writer(threading.Thread):
    """What `Transactions.java write` does, with librdkafka."""

    def __init__(self, bootstrap, topic, partitions, id, seconds):
        super().__init__(daemon=True)
        self.bootstrap, self.topic, self.partitions, self.id = bootstrap, topic, partitions, id
        self.deadline = time.monotonic() + seconds
        self.outcomes, self.errors = {}, []

    def begin(self):
        while True:
            try:
                self.producer = producer(self.bootstrap, self.id)
                return
            except Exception as error:  # a coordinator that moves
                self.errors.append(f"begin: {error}")
                time.sleep(0.3)

    def run(self):
        self.begin()
        number = 0
        while time.monotonic() < self.deadline:
            self.outcomes[number] = self.one(number)
            number += 1

    def one(self, number):
        from confluent_kafka import KafkaException

        deciding = False
        try:
            self.producer.begin_transaction()
            for i in range(RECORDS):
                self.producer.produce(self.topic, f"{self.id}:{number}:{i}", partition=(number + i) % self.partitions)
            if number % 4 == 3:
                self.producer.abort_transaction(30)
                return "aborted"
            self.producer.flush(30)
            deciding = True
            self.producer.commit_transaction(30)
            return "committed"
        except KafkaException as error:
            self.errors.append(f"{number}: {error}")
            if error.args[0].txn_requires_abort():
                try:
                    self.producer.abort_transaction(30)
                    return "aborted"
                except KafkaException as second:
                    self.errors.append(f"{number}: {second}")
            self.begin()
            return "unknown" if deciding else "aborted"


def check_transactions(test, values, outcomes):
    """No aborted read, no torn transaction, no lost commit, no duplicate, each writer's order kept. `outcomes`: writer → number → outcome."""
    seen = collections.Counter(flat(values))
    test.assertEqual([v for v, count in seen.items() if count > 1], [], "duplicates")
    parts = collections.Counter(value.rsplit(":", 1)[0] for value in seen)
    torn = {t: count for t, count in parts.items() if count != RECORDS}
    test.assertEqual(torn, {}, "torn transactions")
    for writer, decided in outcomes.items():
        for number, outcome in decided.items():
            there = parts[f"{writer}:{number}"] == RECORDS
            if outcome != "unknown":
                test.assertEqual(there, outcome == "committed", f"{writer}:{number} {outcome}, read: {there}")
    for at, of_partition in values.items():
        last = {}
        for value in of_partition:
            writer, number, part = value.split(":")
            place = int(number), int(part)
            test.assertLess(last.get(writer, (-1, 0)), place, f"order of {writer} in partition {at}")
            last[writer] = place


class TheCheck(unittest.TestCase):
    """What the histories are judged by finds each thing that it looks for."""

    def test_each_defect_of_a_history_is_found(self):
        whole = lambda number: [f"w:{number}:{i}" for i in range(RECORDS)]
        outcomes = {"w": {0: "committed", 1: "aborted", 2: "unknown", 3: "committed"}}
        good = {0: whole(0) + whole(3), 1: []}
        for fine in (good, {0: whole(0) + whole(2), 1: whole(3)}):
            check_transactions(self, fine, outcomes)
        for what, values in {
            "an aborted read": {0: whole(0) + whole(1) + whole(3)}, "a torn transaction": {0: whole(0) + whole(3)[1:]},
            "a torn one of unknown outcome": {0: whole(0) + whole(2)[:3] + whole(3)}, "a lost commit": {0: whole(0)},
            "a duplicate": {0: whole(0) + whole(3), 1: whole(3)[:1]}, "another order": {0: whole(3) + whole(0)},
        }.items():
            with self.assertRaises(AssertionError, msg=what):
                check_transactions(self, values, outcomes)
        reader = LiveReader("", "t", 2)
        reader.join = lambda seconds: None
        reader.values = {0: whole(0), 1: []}
        reader.check(self, good)
        for seen in (whole(0)[1:], whole(0) + whole(1)[:1], whole(0) + whole(3) + whole(4)[:1]):
            reader.values = {0: seen, 1: []}
            with self.assertRaises(AssertionError, msg=seen):
                reader.check(self, good)


class Transactions(ClusterCase):
    def test_what_is_committed_is_read_whole_and_what_is_aborted_never(self):
        dev = self.dev(3)
        dev.topic_create("t", partitions=4)
        java = JavaRun(self.processes, "java", "write", bootstrap=dev.bootstrap, topic="t", id="java", seconds=6)
        rdkafka = Writer(dev.bootstrap, "t", 4, "rdkafka", 6)
        rdkafka.start()
        outcomes = {"java": java.finish(60)}
        rdkafka.join(60)
        outcomes["rdkafka"] = rdkafka.outcomes
        log = self.processes.log("java")
        for writer, decided in outcomes.items():
            counts = collections.Counter(decided.values())
            self.assertGreater(counts["committed"], 10, f"{writer}: {counts} {rdkafka.errors} {log}")
            self.assertEqual(counts["unknown"], 0, f"{writer}: {counts} {rdkafka.errors} {log}")
        check_transactions(self, read(dev.bootstrap, "t"), outcomes)
        everything = flat(read(dev.bootstrap, "t", "read_uncommitted"))
        self.assertGreater(len(everything), len(flat(read(dev.bootstrap, "t"))))

    def test_offsets_are_committed_with_the_transaction_or_not_at_all(self):
        from confluent_kafka import Consumer, TopicPartition

        dev = self.dev(1)
        dev.topic_create("from", partitions=2)
        writer = producer(dev.bootstrap, "w")
        consumer = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": "g", "log_level": 0})
        place = lambda offset=-1001: [TopicPartition("from", 0, offset)]
        writer.begin_transaction()
        writer.send_offsets_to_transaction(place(5), consumer.consumer_group_metadata(), 10)
        writer.commit_transaction(10)
        stable = lambda: consumer.committed(place(), timeout=10)[0].offset
        self.assertEqual(stable(), 5)
        writer.begin_transaction()
        writer.produce("from", "x", partition=1)
        writer.send_offsets_to_transaction(place(9), consumer.consumer_group_metadata(), 10)
        self.assertEqual([v for v in flat(read(dev.bootstrap, "from"))], [])
        writer.abort_transaction(10)
        self.assertEqual(stable(), 5)
        consumer.close()

    def test_a_transaction_that_is_left_open_ends_by_time_and_its_producer_is_fenced(self):
        from confluent_kafka import KafkaException

        dev = self.dev(1)
        dev.topic_create("t")
        slow_one = producer(dev.bootstrap, "slow", **{"transaction.timeout.ms": 2000, "socket.timeout.ms": 2000})
        slow_one.begin_transaction()
        slow_one.produce("t", "late")
        slow_one.flush(10)
        other = producer(dev.bootstrap, "other")
        other.begin_transaction()
        other.produce("t", "there")
        other.commit_transaction(10)
        wait_until("the open transaction no longer holds readers back",
                   lambda: flat(read(dev.bootstrap, "t")) == ["there"], 20)
        with self.assertRaises(KafkaException) as fenced:
            slow_one.commit_transaction(10)
        self.assertTrue(fenced.exception.args[0].fatal() or fenced.exception.args[0].txn_requires_abort())

    def test_a_second_producer_with_the_id_aborts_the_transaction_of_the_first_and_fences_it(self):
        from confluent_kafka import KafkaException

        dev = self.dev(1)
        dev.topic_create("t")
        first = producer(dev.bootstrap, "same")
        first.begin_transaction()
        first.produce("t", "first")
        first.flush(10)
        second = producer(dev.bootstrap, "same")
        with self.assertRaises(KafkaException) as fenced:
            first.commit_transaction(10)
        self.assertTrue(fenced.exception.args[0].fatal())
        second.begin_transaction()
        second.produce("t", "second")
        second.commit_transaction(10)
        self.assertEqual(flat(read(dev.bootstrap, "t")), ["second"])

    def test_a_record_whose_number_was_used_before_is_refused_and_not_taken_for_a_retry(self):
        """An abort purges a record that was sent and is to be sent again; librdkafka gives its number to the next transaction's first record."""
        from confluent_kafka import KafkaException

        dev = self.dev(3, settings={"transaction.state.log.num.partitions": 1})
        dev.topic_create("t", partitions=1, configs={"min.insync.replicas": 3})
        writer = producer(dev.bootstrap, "again", **{"request.timeout.ms": 500, "retry.backoff.ms": 5000, "retry.backoff.max.ms": 5000})
        writer.begin_transaction()
        writer.produce("t", "before")
        writer.commit_transaction(30)
        admin, purged, outcome = Admin(dev.bootstrap), [], {}
        leads = {admin.leaders("t")[0], admin.leaders("__transaction_state")[0]}
        stopped = next(broker for broker in (1, 2, 3) if broker not in leads)
        writer.begin_transaction()
        writer.produce("t", "first")  # joins the partition
        self.assertEqual(writer.flush(30), 0)
        dev.signal(stopped, signal.SIGSTOP)
        try:
            writer.produce("t", "purged", on_delivery=lambda error, _: purged.append(error))
            deadline = time.monotonic() + 1.5
            while time.monotonic() < deadline:
                writer.poll(0.1)
            aborting = threading.Thread(target=writer.abort_transaction, args=(30,))
            aborting.start()
            time.sleep(0.3)
        finally:
            dev.signal(stopped, signal.SIGCONT)
        aborting.join()
        writer.poll(0)
        self.assertEqual([error.name() for error in purged], ["_PURGE_QUEUE"])
        writer.begin_transaction()
        writer.produce("t", "again!", on_delivery=lambda error, _: outcome.update(told=error))
        try:
            writer.commit_transaction(60)
            outcome["committed"] = True
        except KafkaException as error:
            self.assertTrue(error.args[0].txn_requires_abort() or error.args[0].fatal(), error)
        writer.flush(10)
        print(f"({outcome}) ", end="", flush=True)
        there = flat(read(dev.bootstrap, "t"))
        self.assertEqual(there, ["before"] + ["again!"] * outcome.get("committed", False), outcome)
        new = producer(dev.bootstrap, "again")
        new.begin_transaction()
        new.produce("t", "new")
        new.commit_transaction(30)
        self.assertEqual(flat(read(dev.bootstrap, "t")), there + ["new"])

    def test_kafkas_tool_lists_describes_and_aborts_transactions(self):
        dev = self.dev(1)
        dev.topic_create("t")
        tool = lambda *arguments: kafka_tool(TOOL, "--bootstrap-server", dev.bootstrap, *arguments)
        writer = producer(dev.bootstrap, "w")
        writer.begin_transaction()
        writer.produce("t", "x")
        writer.flush(10)
        self.assertRegex(tool("list"), r"w\s+\d+\s+\d+\s+Ongoing")
        self.assertRegex(tool("describe", "--transactional-id", "w"), r"Ongoing\s.*t-0")
        producers = tool("describe-producers", "--topic", "t", "--partition", "0")
        self.assertRegex(producers, r"(?m)^\d+\s+0\s+-1\s+0\s+\d+\s+0\s*$", producers)
        self.assertEqual(flat(read(dev.bootstrap, "t")), [])
        tool("abort", "--topic", "t", "--partition", "0", "--start-offset", "0")
        self.assertRegex(tool("describe-producers", "--topic", "t", "--partition", "0"), r"None\s*$")
        other = producer(dev.bootstrap, "other")
        other.begin_transaction()
        other.produce("t", "y")
        other.commit_transaction(10)
        self.assertEqual(flat(read(dev.bootstrap, "t")), ["y"])
        log = next(f for f in dev.data.glob("broker-1/data/__transaction_state-*/*.log") if f.stat().st_size)
        dump = kafka_tool("org.apache.kafka.tools.DumpLogSegments", "--transaction-log-decoder", "--files", log)
        self.assertRegex(dump, re.escape('"transactionalId":"'))

    def test_what_was_aborted_is_not_read_from_the_cold_tier_either(self):
        store = self.processes.dir / "store"
        store.mkdir()
        dev = self.dev(1, tier=f"file://{store}", settings={"remote.log.manager.task.interval.ms": 200,
                                                            "log.retention.check.interval.ms": 200})
        dev.topic_create("t", configs={"remote.storage.enable": "true", "segment.bytes": 65536, "local.retention.bytes": 1})
        pad, expected = "x" * 900, []
        # The marker of this one lies many segments behind its records.
        long, short = producer(dev.bootstrap, "long"), producer(dev.bootstrap, "short")
        long.begin_transaction()
        long.produce("t", "long", key=pad)
        long.flush(10)
        for number in range(80):
            short.begin_transaction()
            for i in range(5):
                short.produce("t", f"{number}:{i}", key=pad)
            if number % 3 == 0:
                short.flush(10)
                short.abort_transaction(10)
            else:
                short.commit_transaction(10)
                expected += [f"{number}:{i}" for i in range(5)]
        self.assertEqual(flat(read(dev.bootstrap, "t")), [])
        long.abort_transaction(10)
        short.begin_transaction()
        for number in range(80):
            short.produce("t", "end", key=pad)
            if number % 20 == 0:
                short.flush(10)
        short.commit_transaction(10)
        wait_until("most is cold", lambda: dev.cold_offsets("t", 1) > 450, 60, 0.2)
        self.assertEqual([v for v in flat(read(dev.bootstrap, "t")) if v != "end"], expected)
        everything = flat(read(dev.bootstrap, "t", "read_uncommitted"))
        self.assertEqual((everything[0], len(everything)), ("long", 1 + 80 * 5 + 80))

    @slow
    def test_transactions_stay_whole_while_coordinators_and_leaders_are_killed(self):
        seconds, pause = int(os.environ.get("TESTS_SECONDS", 45)), 4
        seed = int(os.environ.get("TESTS_SEED", time.time_ns() % 2**32))
        print(f"(seed {seed})", flush=True)
        chance = random.Random(seed)
        dev = self.dev(3, {"transaction.state.log.num.partitions": 4, "offsets.topic.num.partitions": 4})
        for topic in ("t", "to"):
            dev.topic_create(topic, partitions=4)
        admin = Admin(dev.bootstrap)
        runs = {name: JavaRun(self.processes, name, "write", bootstrap=dev.bootstrap, topic="t", id=name, seconds=seconds)
                for name in ("java-1", "java-2")}
        copier = JavaRun(self.processes, "copier", "copy", bootstrap=dev.bootstrap, topic="to", id="copier", group="copy",
                         **{"from": "t"}, seconds=seconds + 25)
        rdkafka = Writer(dev.bootstrap, "t", 4, "rdkafka", seconds)
        rdkafka.start()
        live = LiveReader(dev.bootstrap, "t", 4)
        live.start()
        self.addCleanup(live.stop.set)
        time.sleep(5)
        end, kills = time.monotonic() + seconds - 8, 0
        while time.monotonic() < end:
            victim = chance.choice([1, 2, 3])
            if chance.random() < 0.25:
                dev.signal(victim, signal.SIGSTOP)
                time.sleep(pause)
                dev.signal(victim, signal.SIGCONT)
            else:
                dev.kill(victim)
                time.sleep(chance.random() * pause)
                dev.restart(victim)
            kills += 1
            for topic in ("t", "to", "__transaction_state", "__consumer_offsets"):
                admin.wait_for_isr(topic, 4, 3)
        outcomes = {name: run.finish(seconds + 60) for name, run in runs.items()}
        rdkafka.join(90)
        outcomes["rdkafka"] = rdkafka.outcomes
        copier.finish(seconds + 90)
        errors = {name: self.processes.log(name, 15) for name in ("java-1", "java-2", "copier")}
        for writer, decided in outcomes.items():
            self.assertGreater(sum(o == "committed" for o in decided.values()), 5, f"{writer}: {errors} {rdkafka.errors[-9:]}")
        wait_until("no transaction is open", lambda: "Ongoing" not in kafka_tool(TOOL, "--bootstrap-server", dev.bootstrap,
                                                                                 "list"), 60, 1)
        values = read(dev.bootstrap, "t", seconds=60 + seconds)
        check_transactions(self, values, outcomes)
        live.check(self, values)
        copied, source = collections.Counter(flat(read(dev.bootstrap, "to", seconds=60 + seconds))), set(flat(values))
        self.assertEqual([v for v, count in copied.items() if count > 1], [], "copied twice")
        self.assertEqual(set(copied) - source, set(), "copied from nowhere")
        counts = {writer: collections.Counter(decided.values()) for writer, decided in outcomes.items()}
        seen = sum(map(len, live.values.values()))
        print(f"({kills} faults; {counts}; {len(copied)} of {len(source)} copied; {seen} read meanwhile)", flush=True)
        missing = source - set(copied)
        if missing:
            # What the copier had no time for is the end of each partition; anything else is lost.
            for partition in values.values():
                first = next((i for i, v in enumerate(partition) if v in missing), len(partition))
                self.assertEqual([v for v in partition[first:] if v not in missing], [], "a hole in what was copied")
