"""The same raw calls to Esker and to Apache Kafka 4.3.1, in one run: EndTxn in every state of a transaction, SCRAM credentials of
odd sizes, bytes behind a request, topics that are made, grown and deleted or refused, which configs of a broker can change at run time.

Where the two differ on purpose the difference stands in a list `KNOWN_…` with its reason, and the test fails when it is gone."""

import os
import signal
import struct
import time

from case import ClusterCase, SharedCase, slow
from kafka_peer import Side, differences, kafka, wait_for
from processes import Kafka, free_ports, wait_until
from wire import Closed, record_batch

SETTINGS = {
    "transaction.state.log.num.partitions": 4, "offsets.topic.num.partitions": 4, "allow.everyone.if.no.acl.found": "true",
    "super.users": "User:ANONYMOUS", "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
}
LOADING = (14, 15, 16, 51)  # loading, not available, not the coordinator, the last transaction still ends
# What Kafka answers to odd credentials and we do not, with the reason.
KNOWN_SCRAM = {
    "no salt": "a credential without a salt would be stored unsalted: refused (93)",
    "no salted password": "Kafka answers with an unknown error (-1), we say what is wrong (93)",
    "a name of 5000 bytes": "names have at most 255 bytes: what a client sends is kept by every broker",
}
# What is answered to odd topics otherwise than by Kafka, with the reason.
KNOWN_TOPICS = {}
#: Configs that Kafka lets change while brokers run and that are not read anew here, and why.
KNOWN_READ_ONLY = {
    "listeners": "sockets are bound at the start", "listener.security.protocol.map": "as above",
    "ssl.client.auth": "the files are read again when they change; what is asked of clients is bound at the start",
    "ssl.key.password": "as above", "ssl.truststore.location": "as above", "sasl.enabled.mechanisms": "as above",
    "log.cleaner.threads": "accepted and without effect: compaction runs one pass at a time",
}

#: Batches whose numbers a producer gives again, and what they are answered by us and by Kafka: what is not in this transaction is not
#: acknowledged, since librdkafka numbers so what is another record (`test_transactions`); Kafka says "written" of what was aborted.
KNOWN_AGAIN = {"the aborted one again, in the next transaction": (48, 0)}


def retried(side, api, version, values, code=lambda answer: answer["ErrorCode"], later=LOADING):
    """An answer that is not "later"."""
    deadline = time.monotonic() + 60
    while True:
        answer = side.ask(api, version, values)
        if code(answer) not in later or time.monotonic() > deadline:
            return answer
        time.sleep(0.05)


def begun(test, side, id):
    """(producer id, epoch) of a transactional id's new producer."""
    retried(side, "FindCoordinator", 4, {"KeyType": 1, "CoordinatorKeys": [id]}, lambda a: a["Coordinators"][0]["ErrorCode"])
    made = retried(side, "InitProducerId", 4, {"TransactionalId": id, "TransactionTimeoutMs": 60_000, "ProducerId": -1,
                                               "ProducerEpoch": -1})
    test.assertEqual(made["ErrorCode"], 0, (side.name, id, made))
    return made["ProducerId"], made["ProducerEpoch"]


def add(side, id, producer, topic, partition, later=LOADING):
    """The code of AddPartitionsToTxn as clients send it."""
    code = lambda a: a["ResultsByTopicV3AndBelow"][0]["ResultsByPartition"][0]["PartitionErrorCode"]
    return code(retried(side, "AddPartitionsToTxn", 3, {
        "V3AndBelowTransactionalId": id, "V3AndBelowProducerId": producer[0], "V3AndBelowProducerEpoch": producer[1],
        "V3AndBelowTopics": [{"Name": topic, "Partitions": [partition]}]}, code, later))


def end(side, version, id, producer, commit, later=LOADING):
    return retried(side, "EndTxn", version, {"TransactionalId": id, "ProducerId": producer[0], "ProducerEpoch": producer[1],
                                             "Committed": commit}, later=later)


class AsKafka(SharedCase):
    @classmethod
    def begin(cls):
        dev = cls.dev(1, settings=SETTINGS)
        cls.sides = [Side("Esker", dev.bootstrap), Side("Kafka", kafka(cls.processes, settings=SETTINGS).bootstrap)]
        for side in cls.sides:
            cls.addClassCleanup(side.close)

    def compare(self, what, ask):
        """Differences of the two answers to what `ask` does with a side."""
        return [f"{what}: {line}" for line in differences(*(ask(side) for side in self.sides))]

    @slow
    def test_end_txn_in_every_state_is_answered_as_kafka_answers_it(self):
        for side in self.sides:
            side.create("ended")
        found = []
        for version in (4, 5):
            for state in ("Empty", "Ongoing", "CompleteCommit", "CompleteAbort"):
                for commit in (True, False):
                    for epoch in (-1, 0, 1):
                        name = f"EndTxn {version}, {state}, {'commit' if commit else 'abort'}, epoch {epoch:+}"
                        found += self.compare(name, lambda side: self.ended(side, name, version, state, commit, epoch))
        self.assertEqual(found, [])
        # What librdkafka (which speaks version 4 at most) runs into when it aborts while its first AddPartitionsToTxn is still to be
        # tried again: nothing was begun, the last transaction is complete.
        for side in self.sides:
            told = self.ended(side, "librdkafka aborts what has not begun", 4, "CompleteCommit", False, 0)
            self.assertEqual(told["first"]["ErrorCode"], 48, f"{side.name}: INVALID_TXN_STATE")

    def ended(self, side, id, version, state, commit, epoch):
        """What comes of an EndTxn in a state, of the same one again, and of the transaction."""
        producer, now = begun(self, side, id)
        if state != "Empty":
            self.assertEqual(add(side, id, (producer, now), "ended", 0), 0, (side.name, id))
        if state.startswith("Complete"):
            answer = end(side, version, id, (producer, now), state == "CompleteCommit")
            self.assertEqual(answer["ErrorCode"], 0, (side.name, id, answer))
            now = answer.get("ProducerEpoch", now) if version >= 5 else now
        self.assertEqual(self.settled(side, id), state, (side.name, id))

        def plain(answer):
            answer = dict(answer)
            if answer.get("ProducerId", -1) != -1:
                answer["ProducerId"] = "its own" if answer["ProducerId"] == producer else "another"
            return answer

        asked = lambda: plain(end(side, version, id, (producer, now + epoch), commit))
        first, after = asked(), self.settled(side, id)
        return {"first": first, "after": after, "again": asked(), "then": self.settled(side, id)}

    def settled(self, side, id):
        """The state of the transaction once nothing is under way."""
        def state():
            told = retried(side, "DescribeTransactions", 0, {"TransactionalIds": [id]},
                                lambda a: a["TransactionStates"][0]["ErrorCode"])["TransactionStates"][0]
            self.assertEqual(told["ErrorCode"], 0, (side.name, id, told))
            return None if told["TransactionState"].startswith("Prepare") else told["TransactionState"]

        return wait_until(f"{side.name} has ended {id}", state, 60, 0.05)

    def test_numbers_that_come_again_are_answered_as_kafka_answers_them_but_for_those_of_the_last_transaction(self):
        def write(side, id, producer, sequence):
            batch = record_batch([(int(time.time() * 1000), None, b"v")], attributes=16, producer=(*producer, sequence))
            return retried(side, "Produce", 11, {"TransactionalId": id, "Acks": -1, "TimeoutMs": 5000, "TopicData": [
                {"Name": "again", "PartitionData": [{"Index": 0, "Records": batch}]}]},
                lambda a: a["Responses"][0]["PartitionResponses"][0]["ErrorCode"])["Responses"][0]["PartitionResponses"][0]["ErrorCode"]

        def answers(side, id="numbers"):
            side.create("again")
            producer, found = begun(self, side, id), {}
            join = lambda: self.assertEqual(add(side, id, producer, "again", 0), 0, side.name)
            join()
            found["the first"] = write(side, id, producer, 0)
            found["it again, in its transaction"] = write(side, id, producer, 0)
            self.assertEqual(end(side, 4, id, producer, False)["ErrorCode"], 0, side.name)
            self.assertEqual(self.settled(side, id), "CompleteAbort")
            found["the aborted one again, nothing open"] = write(side, id, producer, 0)
            join()
            found["the aborted one again, in the next transaction"] = write(side, id, producer, 0)
            return found

        ours, theirs = map(answers, self.sides)
        self.assertEqual({what: (ours[what], theirs[what]) for what in ours if ours[what] != theirs[what]}, KNOWN_AGAIN)
        self.assertEqual({*ours.values()}, {0, 48, 120})

    @slow
    def test_scram_credentials_of_odd_sizes_are_taken_as_kafka_takes_them(self):
        cases = {"iterations below the least": {"Iterations": 4095}, "the least iterations": {}, "the most": {"Iterations": 16384},
                 "iterations above the most": {"Iterations": 16385}, "no salt": {"Salt": b""}, "a long salt": {"Salt": b"s" * 300},
                 "no salted password": {"SaltedPassword": b""}, "a salted password of a byte": {"SaltedPassword": b"p"},
                 "one of 18 bytes": {"SaltedPassword": b"p" * 18}, "one of 1000 bytes": {"SaltedPassword": b"p" * 1000},
                 "no name": {"Name": ""}, "a name of 5000 bytes": {"Name": "x" * 5000}, "an unknown mechanism": {"Mechanism": 9},
                 "no mechanism": {"Mechanism": 0}}
        found = {}
        for mechanism, size in ((1, 32), (2, 64)):
            usual = {"Name": "u", "Mechanism": mechanism, "Iterations": 4096, "Salt": b"s", "SaltedPassword": b"p" * size}
            for what, odd in cases.items():
                codes = [side.ask("AlterUserScramCredentials", 0, {"Upsertions": [{**usual, **odd}]})["Results"][0]["ErrorCode"]
                         for side in self.sides]
                if codes[0] != codes[1]:
                    found[what] = codes
        self.assertEqual(set(found), set(KNOWN_SCRAM), found)
        self.assertTrue(all(codes[0] == 93 for codes in found.values()), found)

    def answered(self, side, api, version, values, extra):
        """Whether a request with bytes behind it is answered."""
        side.connect()
        send = side.connection.send
        side.connection.send = lambda data: send(struct.pack(">i", len(data) - 4 + len(extra)) + data[4:] + extra)
        try:
            side.ask(api, version, values)
            return True
        except Closed:
            return False
        finally:
            side.close()

    @slow
    def test_bytes_behind_a_request_end_the_connection_but_for_what_kafka_go_sends(self):
        everything = {"ResourceTypeFilter": 1, "PatternTypeFilter": 1, "Operation": 1, "PermissionType": 1}
        ours, theirs = self.sides
        for api, version, values, extra, taken in [
            ("DescribeAcls", 3, everything, b"", True), ("DescribeAcls", 3, everything, b"\0", True),
            ("DescribeAcls", 2, everything, b"\0", True), ("DescribeAcls", 1, everything, b"\0", False),
            ("DescribeAcls", 3, everything, b"\1", False), ("DescribeAcls", 3, everything, b"\0\0", False),
            ("Metadata", 12, {"Topics": []}, b"\0", False), ("Heartbeat", 4, {"GroupId": "g"}, b"\0", False),
        ]:
            what = (api, version, extra)
            self.assertEqual(self.answered(ours, api, version, values, extra), taken, what)
            self.assertTrue(self.answered(theirs, api, version, values, extra), f"Kafka reads no further than it has to: {what}")

    @slow
    def test_topics_are_made_grown_and_deleted_or_refused_as_kafka_does(self):
        one = {"NumPartitions": 1, "ReplicationFactor": 1}
        placed = {"NumPartitions": -1, "ReplicationFactor": -1}
        assigned = lambda *partitions: {**placed, "Assignments": [{"PartitionIndex": i, "BrokerIds": list(brokers)} for i, brokers in partitions]}
        configs = lambda **values: {**one, "Configs": [{"Name": name.replace("_", "."), "Value": value} for name, value in values.items()]}
        new = {"fine": one, "defaults": placed, "no partitions": {**one, "NumPartitions": 0}, "minus two": {**one, "NumPartitions": -2},
               "no replicas": {**one, "ReplicationFactor": 0}, "more replicas than brokers": {**one, "ReplicationFactor": 2},
               "replicas minus two": {**one, "ReplicationFactor": -2}, "a broker": assigned((0, [1])), "two partitions": assigned((0, [1]), (1, [1])),
               "an unknown broker": assigned((0, [9])), "a broker twice": assigned((0, [1, 1])), "nobody": assigned((0, [])), "a gap": assigned((0, [1]), (2, [1])),
               "from one on": assigned((1, [1])), "a partition twice": assigned((0, [1]), (0, [1])), "below zero": assigned((-1, [1])),
               "numbers and brokers": {**assigned((0, [1])), "NumPartitions": 1}, "replicas and brokers": {**assigned((0, [1])), "ReplicationFactor": 1},
               "a config": configs(retention_ms="1000"), "no such config": configs(retention_years="1"), "a config that is no number": configs(retention_ms="x"),
               "a config without a value": configs(retention_ms=None), "an empty config": configs(cleanup_policy=""), "two policies": configs(cleanup_policy="compact,delete"),
               "a policy": configs(cleanup_policy="shred"), "a config below": configs(segment_bytes="1"), "a config above": configs(retention_ms="9223372036854775808")}
        names = {"..": one, ".": one, "": one, "a b": one, "a/b": one, "n" * 249: one, "n" * 250: one, "é": one, "a.b": one, "a_b": one, "__internal": one}
        collides = {"Topics": [{"Name": "a_b", **one}], "TimeoutMs": 10_000, "ValidateOnly": True}
        found, calls = {}, 0

        def both(what, api, version, values, results):
            nonlocal calls
            calls += 1
            told = []
            for side in self.sides:
                answers = side.ask(api, version, values)[results]
                told.append(sorted([answer[key] for key in ("ErrorCode", "NumPartitions", "ReplicationFactor") if key in answer] for answer in answers))
            if told[0] != told[1]:
                found.setdefault(f"{what} ({api})", told)

        for version in (2, 4, 5, 7):
            for only_asked in (True, False):
                create = lambda *topics: {"Topics": topics, "TimeoutMs": 10_000, "ValidateOnly": only_asked}
                for what, values in new.items():
                    name = f"{what}-{version}".replace(" ", "-")
                    both(what, "CreateTopics", version, create({"Name": name, **values}), "Topics")
                both("twice in one", "CreateTopics", version, create({"Name": f"twice-{version}", **one}, {"Name": f"twice-{version}", **one}), "Topics")
                both("there is one", "CreateTopics", version, create({"Name": f"fine-{version}", **one}), "Topics")
        for name, values in names.items():
            both(f"name {name[:9]!r}", "CreateTopics", 7, {"Topics": [{"Name": name, **values}], "TimeoutMs": 10_000}, "Topics")
        both("a name that collides, only asked", "CreateTopics", 7, collides, "Topics")
        for version in (0, 2, 3):
            for what, wanted in {"as many": {"Count": 1}, "fewer": {"Count": 0}, "below zero": {"Count": -1},
                                 "an unknown broker": {"Count": 2, "Assignments": [{"BrokerIds": [9]}]}, "too few places": {"Count": 3, "Assignments": [{"BrokerIds": [1]}]},
                                 "too many places": {"Count": 2, "Assignments": [{"BrokerIds": [1]}] * 2}, "a broker twice": {"Count": 2, "Assignments": [{"BrokerIds": [1, 1]}]},
                                 "two replicas": {"Count": 2, "Assignments": [{"BrokerIds": [1, 9]}]}, "nobody": {"Count": 2, "Assignments": [{"BrokerIds": []}]},
                                 "one more": {"Count": 2}, "and again": {"Count": 2}}.items():
                for only_asked in (True, False):
                    both(what, "CreatePartitions", version, {"Topics": [{"Name": f"fine-{(2, 4, 5, 7)[version]}", "Assignments": None, **wanted}], "TimeoutMs": 10_000,
                                                             "ValidateOnly": only_asked}, "Results")
            both("no such topic", "CreatePartitions", version, {"Topics": [{"Name": "absent", "Count": 2, "Assignments": None}], "TimeoutMs": 10_000}, "Results")
        for version, last in ((1, 2), (4, 4), (5, 5), (6, 7)):
            named = lambda *names: {"Topics": [{"Name": name} for name in names], "TimeoutMs": 10_000} if version >= 6 else {"TopicNames": list(names), "TimeoutMs": 10_000}
            both("some", "DeleteTopics", version, named(f"fine-{last}", "absent", ".."), "Responses")
            both("again", "DeleteTopics", version, named(f"fine-{last}"), "Responses")
        print(f"({calls} calls) ", end="", flush=True)
        unknown = [f"{what}: Esker {ours}, Kafka {theirs}" for what, (ours, theirs) in found.items() if what not in KNOWN_TOPICS]
        self.assertFalse(unknown, "\n" + "\n".join(unknown))
        self.assertEqual(set(found), set(KNOWN_TOPICS), "a known difference is gone: take it off the list")

    @slow
    def test_what_kafka_lets_change_while_brokers_run_can_change_here(self):
        def read_only(side):
            asked = {"Resources": [{"ResourceType": 4, "ResourceName": "1", "ConfigurationKeys": None}]}
            told = side.ask("DescribeConfigs", 4, asked)["Results"][0]
            return {config["Name"]: config["ReadOnly"] for config in told["Configs"]}

        ours, theirs = (read_only(side) for side in self.sides)
        both = set(ours) & set(theirs)
        self.assertGreater(len(both), 100)
        self.assertEqual({name for name in both if ours[name] and not theirs[name]}, set(KNOWN_READ_ONLY))


class WhileEnding(ClusterCase):
    """What a transaction is answered whose end is decided while its markers are not written: a partition's leader is stopped."""

    @slow
    def test_what_begins_and_aborts_while_the_last_transaction_ends_is_answered_as_kafka_answers_it(self):
        found = {}
        for side, coordinator, stopped in (self.esker(), self.kafka()):
            # An id that this broker coordinates, and a partition that the other one leads.
            id = next(id for id in map(str, range(1000)) if self.coordinator(side, id) == coordinator)
            producer = begun(self, side, id)
            far = next(p for p in side.metadata("both")["Partitions"] if p["LeaderId"] == stopped[0])["PartitionIndex"]
            self.assertEqual(add(side, id, producer, "both", far), 0, side.name)
            os.kill(stopped[1], signal.SIGSTOP)
            self.addCleanup(os.kill, stopped[1], signal.SIGCONT)
            not_yet = (14, 15, 16)
            found[side.name] = [end(side, 4, id, producer, True, not_yet)["ErrorCode"],
                                # What librdkafka does when its transaction is aborted right after the last one was committed.
                                add(side, id, producer, "both", far, not_yet), end(side, 4, id, producer, False, not_yet)["ErrorCode"],
                                end(side, 4, id, producer, True, not_yet)["ErrorCode"]]
            os.kill(stopped[1], signal.SIGCONT)
            # Once the last one has ended there is nothing to abort: INVALID_TXN_STATE, which librdkafka takes for fatal.
            found[side.name].append(end(side, 4, id, producer, False)["ErrorCode"])
        self.assertEqual(found["Esker"], found["Kafka"])
        self.assertEqual(found["Esker"], [0, 51, 51, 51, 48])

    def coordinator(self, side, id):
        answer = retried(side, "FindCoordinator", 4, {"KeyType": 1, "CoordinatorKeys": [id]}, lambda a: a["Coordinators"][0]["ErrorCode"])
        return answer["Coordinators"][0]["NodeId"]

    def topic(self, side, brokers):
        """A partition on each broker, without a copy elsewhere."""
        made = side.ask("CreateTopics", 7, {"Topics": [{
            "Name": "both", "NumPartitions": -1, "ReplicationFactor": -1,
            "Assignments": [{"PartitionIndex": i, "BrokerIds": [broker]} for i, broker in enumerate(brokers)]}]})["Topics"][0]
        self.assertEqual(made["ErrorCode"], 0, (side.name, made))
        wait_until(f"{side.name} leads it", lambda: side.leads("both", len(brokers)), 60)

    def esker(self):
        """(side, broker asked, (id, pid) of the one to stop)"""
        dev = self.dev(3, settings={"transaction.state.log.num.partitions": 16})
        side = Side("Esker", dev.brokers()[1][1])
        self.addCleanup(side.close)
        self.topic(side, [1, 2, 3])
        self.coordinator(side, "")
        return side, 1, (2, dev.pid(2))

    def kafka(self):
        """One broker that is the controller too, and one that is only a broker."""
        ports = free_ports(4)
        settings = {"transaction.state.log.num.partitions": 16}
        first = Kafka(self.processes, ports=ports[:2], settings=settings, heap="384m")
        wait_for(first)
        second = Kafka(self.processes, node=2, ports=ports, heap="384m", settings={
            **settings, "process.roles": "broker", "listeners": f"PLAINTEXT://127.0.0.1:{ports[2]}"})
        wait_for(second)
        side = Side("Kafka", first.bootstrap)
        self.addCleanup(side.close)
        wait_until("both brokers are there", lambda: len(side.ask("Metadata", 12, {"Topics": []})["Brokers"]) == 2, 60)
        self.topic(side, [1, 2])
        return side, 1, (2, second.process.pid)
