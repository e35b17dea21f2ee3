"""Bad input to the coordinators at a live broker: ids of any bytes and lengths, a commit of a hundred thousand offsets,
floods of groups and of their members, members that answer late, twice or never, foreign producer ids."""

import struct
import time

from case import ClusterCase, memory_kb
from kafka_peer import Side
from members import ILLEGAL_GENERATION, REBALANCE, UNKNOWN_MEMBER, ClassicMember
from messages import MESSAGES, ask
from processes import alive, wait_until
from wire import Closed, Connection

IDS = ["", " ", ".", "..", "/", "a/../b", "\0", "a\0b", "%", "\n", "ä", "🦀" * 100, "x" * 249, "x" * 30_000]
# For groups, whose members' ids are made of more; transactional ids may have as many bytes as a record can hold.
TOO_LONG = ["x" * 32_767, "x" * 40_000, "🦀" * 20_000]


class BadInput(ClusterCase):
    def setUp(self):
        super().setUp()
        self.broker = self.dev(1, settings={"group.initial.rebalance.delay.ms": 0, "offsets.topic.num.partitions": 4,
                                            "transaction.state.log.num.partitions": 4})
        self.addCleanup(self.unharmed, self.broker)
        self.side = Side("Esker", self.broker.bootstrap)
        self.addCleanup(self.side.close)
        self.side.create("t", partitions=50)

    def _answer(self, api, version, values, code=lambda answer: answer["ErrorCode"]):
        """The answer, once the coordinator has loaded."""
        def answered():
            found = self.side.ask(api, version, values)
            return found if code(found) not in (14, 15, 16) else None

        return wait_until(f"{api} is answered", answered, 30, 0.1)

    def _find(self, kind, key):
        self._answer("FindCoordinator", 4, {"KeyType": kind, "CoordinatorKeys": [key]}, lambda a: a["Coordinators"][0]["ErrorCode"])

    def test_group_ids_of_any_bytes_and_lengths_are_kept_or_refused(self):
        error = lambda answer: answer["Topics"][0]["Partitions"][0]["ErrorCode"]
        commit = lambda group, offset: {"GroupId": group, "GenerationIdOrMemberEpoch": -1, "MemberId": "", "Topics": [
            {"Name": "t", "Partitions": [{"PartitionIndex": 1, "CommittedOffset": offset, "CommittedMetadata": "m"}]}]}
        fetch = lambda group: {"Groups": [{"GroupId": group, "Topics": None}]}
        for offset, group in enumerate(IDS):
            self._find(0, group)
            self.assertEqual(error(self._answer("OffsetCommit", 9, commit(group, offset), error)), 0, group[:9])
        for offset, group in enumerate(IDS):
            found = self.side.ask("OffsetFetch", 8, fetch(group))["Groups"][0]
            self.assertEqual([p["CommittedOffset"] for t in found["Topics"] for p in t["Partitions"]], [offset], group[:9])
        listed = {group["GroupId"] for group in self.side.ask("ListGroups", 5, {})["Groups"]}
        self.assertEqual(listed, set(IDS))
        for group in TOO_LONG:
            self.assertEqual(error(self._answer("OffsetCommit", 9, commit(group, 1), error)), 42, len(group))
            join = {"GroupId": group, "SessionTimeoutMs": 10_000, "RebalanceTimeoutMs": 10_000, "ProtocolType": "consumer",
                    "Protocols": [{"Name": "range", "Metadata": b""}]}
            self.assertEqual(self._answer("JoinGroup", 9, join)["ErrorCode"], 42)
            beat = {"GroupId": group, "MemberId": "m", "MemberEpoch": 0, "RebalanceTimeoutMs": 1000, "SubscribedTopicNames": ["t"],
                    "TopicPartitions": []}
            self.assertEqual(self._answer("ConsumerGroupHeartbeat", 1, beat)["ErrorCode"], 42)
        self.broker.kill(1)
        self.broker.restart(1)
        self.side.close()
        last = IDS[-1]
        found = self._answer("OffsetFetch", 8, fetch(last), lambda a: a["Groups"][0]["ErrorCode"])["Groups"][0]
        self.assertEqual(found["Topics"][0]["Partitions"][0]["CommittedOffset"], len(IDS) - 1, "it was written down whole")

    def test_transactional_ids_of_any_bytes_and_lengths_are_kept_or_refused(self):
        init = lambda id: self._answer("InitProducerId", 4, {"TransactionalId": id, "TransactionTimeoutMs": 10_000, "ProducerId": -1,
                                                             "ProducerEpoch": -1})
        producers = {}
        for id in IDS[1:]:
            self._find(1, id)
            answer = init(id)
            self.assertEqual((answer["ErrorCode"], answer["ProducerEpoch"]), (0, 0), id[:9])
            producers[id] = answer["ProducerId"]
        self.assertEqual(len(set(producers.values())), len(producers))
        self.assertEqual(init(TOO_LONG[0])["ErrorCode"], 0, "the longest that a record can hold")
        for id in ["", *TOO_LONG[1:]]:
            self.assertEqual(init(id)["ErrorCode"], 42, len(id))
        for id, producer in producers.items():
            again = init(id)
            self.assertEqual((again["ErrorCode"], again["ProducerId"], again["ProducerEpoch"]), (0, producer, 1), id[:9])
        # Somebody else's producer id (tests/README.md, hostile input 21).
        join = {"V3AndBelowTransactionalId": IDS[1], "V3AndBelowProducerId": producers[IDS[2]], "V3AndBelowProducerEpoch": 1,
                "V3AndBelowTopics": [{"Name": "t", "Partitions": [0]}]}
        answer = self.side.ask("AddPartitionsToTxn", 3, join)
        self.assertEqual(answer["ResultsByTopicV3AndBelow"][0]["ResultsByPartition"][0]["PartitionErrorCode"], 49)
        end = {"TransactionalId": IDS[1], "ProducerId": producers[IDS[2]], "ProducerEpoch": 1, "Committed": True}
        self.assertEqual(self.side.ask("EndTxn", 3, end)["ErrorCode"], 49)

    def test_ids_that_are_no_text_end_the_connection_and_nothing_else(self):
        for api, version in ((11, 5), (8, 7), (22, 1), (25, 0)):
            with Connection(self.broker.bootstrap, 10) as connection:
                body = struct.pack(">hhi", api, version, 1) + struct.pack(">h", 3) + b"raw" + struct.pack(">h", 4) + b"\xff\xfe\x80g" + b"\0" * 64
                connection.send(struct.pack(">i", len(body)) + body)
                self.assertTrue(connection.is_closed(), api)
        self.assertEqual(self.side.ask("ApiVersions", 0, {})["ErrorCode"], 0)

    def test_a_hundred_thousand_offsets_in_one_commit_are_kept_and_the_last_of_each_place_holds(self):
        self._find(0, "g")
        first = {"GroupId": "g", "GenerationIdOrMemberEpoch": -1, "MemberId": ""}
        error = lambda answer: (answer["Topics"][0]["Partitions"] or [{"ErrorCode": 0}])[0]["ErrorCode"]
        one = lambda p: {"PartitionIndex": p, "CommittedOffset": 1, "CommittedMetadata": ""}
        self._answer("OffsetCommit", 9, {**first, "Topics": [{"Name": "t", "Partitions": [one(0)]}]}, error)
        many = [{"PartitionIndex": i % 50, "CommittedOffset": i, "CommittedMetadata": ""} for i in range(100_000)]
        answer = self.side.ask("OffsetCommit", 9, {**first, "Topics": [{"Name": "t", "Partitions": many}]})
        self.assertEqual([p["ErrorCode"] for p in answer["Topics"][0]["Partitions"]], [0] * len(many))
        found = self.side.ask("OffsetFetch", 8, {"Groups": [{"GroupId": "g", "Topics": None}]})["Groups"][0]
        offsets = {p["PartitionIndex"]: p["CommittedOffset"] for p in found["Topics"][0]["Partitions"]}
        self.assertEqual(offsets, {p: 99_950 + p for p in range(50)})
        nowhere = [{"PartitionIndex": 1000 + i, "CommittedOffset": i, "CommittedMetadata": ""} for i in range(100_000)]
        answer = self.side.ask("OffsetCommit", 9, {**first, "Topics": [{"Name": "t", "Partitions": nowhere}]})
        self.assertEqual({p["ErrorCode"] for p in answer["Topics"][0]["Partitions"]}, {3})

    def test_members_that_answer_late_twice_or_never_hold_nobody_up_for_long(self):
        make = lambda: ClassicMember(self.broker.bootstrap, "late", 6, session_ms=6000, rebalance_ms=3000)
        never, late = make(), make()
        never.join()
        former = never.generation
        began = time.monotonic()
        late.join()  # `never` does not join again: it is out after the rebalance timeout
        self.assertLess(time.monotonic() - began, 30)
        self.assertGreater(late.generation, former)
        self.assertEqual(never.heartbeat(), UNKNOWN_MEMBER)
        self.assertEqual(never.commit("t", 0, 1), UNKNOWN_MEMBER)
        self.assertEqual(late.commit("t", 0, 1), 0)
        # Twice: the same question once more gets the same answer.
        sync = {"GroupId": "late", "GenerationId": late.generation, "MemberId": late.id, "ProtocolType": "consumer", "ProtocolName": "range"}
        answers = [late.coordinator.ask("SyncGroup", 5, sync)["Assignment"] for _ in range(2)]
        self.assertEqual(answers[0], answers[1])
        # Late: an answer to a question of a former generation.
        other = make()
        with Connection(self.broker.bootstrap, 30) as waiting:
            join = {"GroupId": "late", "SessionTimeoutMs": 6000, "RebalanceTimeoutMs": 3000, "MemberId": late.id,
                    "ProtocolType": "consumer", "Protocols": [{"Name": "range", "Metadata": b"\0\1\0\0\0\0\0\0\0\0"}]}
            try:
                ask(waiting, "JoinGroup", 9, join)
            except Closed:
                self.fail("a join ended the connection")
        self.assertIn(late.coordinator.ask("SyncGroup", 5, sync)["ErrorCode"], (ILLEGAL_GENERATION, REBALANCE, UNKNOWN_MEMBER))
        other.join()
        self.assertEqual(other.heartbeat(), 0)
        for member in (never, late, other):
            member.coordinator.close()


class Floods(ClusterCase):
    """Floods (tests/README.md, hostile input 27) of groups and their members."""

    GROUPS = 100_000

    def test_floods_of_groups_and_of_members_are_bounded_and_pass(self):
        broker = self.dev(1, settings={"group.initial.rebalance.delay.ms": 0, "offsets.topic.num.partitions": 1})
        side = Side("Esker", broker.bootstrap)
        self.addCleanup(side.close)
        join = {"GroupId": "g0000000", "SessionTimeoutMs": 6000, "RebalanceTimeoutMs": 6000, "MemberId": "", "ProtocolType": "consumer",
                "Protocols": [{"Name": "range", "Metadata": b"x" * 50}]}

        def coordinated():
            side.ask("FindCoordinator", 4, {"KeyType": 0, "CoordinatorKeys": ["keeps"]})
            return side.ask("JoinGroup", 9, {**join, "GroupId": "keeps"})["ErrorCode"] == 79

        wait_until("groups have a coordinator", coordinated, 30, 0.2)
        keeps = ClassicMember(broker.bootstrap, "keeps", 6, session_ms=1_800_000)
        self.addCleanup(keeps.coordinator.close)
        keeps.join()
        # Ids that nobody comes back with are forgotten after a session, and their groups with them.
        self.assertEqual(self._flood(broker.bootstrap, join, 2000), {79: 2000})
        listed = lambda: {group["GroupId"] for group in side.ask("ListGroups", 5, {})["Groups"]} == {"keeps"}
        wait_until("the groups that nobody was in are gone", listed, 60, 0.5)
        before = memory_kb(broker.pid(1))
        # Each asks for a member id in a group of its own, and never comes back.
        join["SessionTimeoutMs"] = 1_800_000
        codes = self._flood(broker.bootstrap, join, self.GROUPS + 5000)
        self.assertEqual(set(codes), {79, 44})
        self.assertGreaterEqual(codes[44], 5000, "no more than 100,000 groups of one partition are kept")
        # In one group: a thousand ids, and no more.
        codes = self._flood(broker.bootstrap, {**join, "GroupId": "keeps"}, 3000)
        self.assertEqual(set(codes), {79, 81})
        self.assertLessEqual(codes[79], 1000)
        self.assertTrue(alive(broker.pid(1)))
        self.assertLess(memory_kb(broker.pid(1)) - before, 400_000)
        self.assertEqual(keeps.heartbeat(), 0, "who was there before is served")

    def _flood(self, address, values, count):
        """Sends so many joins, each to the next group, without waiting for the answers; code → how many got it."""
        request, codes = MESSAGES["JoinGroupRequest"], {}
        head = MESSAGES["RequestHeader"].encode({"RequestApiKey": request.key, "RequestApiVersion": 9, "CorrelationId": 1,
                                                 "ClientId": "raw"}, 2)
        body = head + request.encode(values, 9)
        frame = struct.pack(">i", len(body)) + body
        with Connection(address, 60) as connection:
            in_flight = 0
            for number in range(count):
                connection.send(frame.replace(b"g0000000", f"g{number:07}".encode()))
                in_flight += 1
                while in_flight == 100 or number == count - 1 and in_flight:
                    # Correlation 4 bytes, no tags, throttle 4 bytes, code.
                    (code,) = struct.unpack_from(">h", connection.receive(), 9)
                    codes[code] = codes.get(code, 0) + 1
                    in_flight -= 1
        return codes
