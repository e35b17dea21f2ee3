"""Members of groups by hand, over plain sockets: many in one process, and each does only what the test wants."""

import threading
import time

from messages import ask
from wire import Closed, Connection

NOT_HERE = (14, 15, 16)
REBALANCE, UNKNOWN_MEMBER, ILLEGAL_GENERATION, FENCED, STALE = 27, 25, 22, 110, 113


class Coordinator:
    """A connection to a group's coordinator, found again when it moves."""

    def __init__(self, bootstrap, group):
        self.bootstrap, self.group, self.connection = bootstrap, group, None

    def ask(self, api, version, values, seconds=60):
        """The answer, once there is a coordinator; `errors(answer)` are tried again while they say that there is none."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self.connection is None:
                    self.connection = self._find()
                answer = ask(self.connection, api, version, values)
                if _error(answer) not in NOT_HERE:
                    return answer
            except (Closed, OSError):
                pass
            self.close()
            if time.monotonic() > deadline:
                raise AssertionError(f"no coordinator of {self.group} for {api} within {seconds} s")
            time.sleep(0.1)

    def _find(self):
        for address in self.bootstrap.split(","):
            try:
                with Connection(address, 10) as any_broker:
                    found = ask(any_broker, "FindCoordinator", 4, {"KeyType": 0, "CoordinatorKeys": [self.group]})["Coordinators"][0]
                if not found["ErrorCode"]:
                    return Connection(f"{found['Host']}:{found['Port']}", 30)
            except (Closed, OSError):
                continue
        raise OSError("no broker knows the coordinator")

    def close(self):
        if self.connection:
            self.connection.socket.close()
        self.connection = None


def _error(answer):
    """The first error of an answer, wherever it stands."""
    if answer.get("ErrorCode"):
        return answer["ErrorCode"]
    for topic in answer.get("Topics") or []:
        for partition in topic["Partitions"]:
            if partition["ErrorCode"]:
                return partition["ErrorCode"]
    return 0


class ConsumerMember:
    """A member of the consumer protocol (KIP-848)."""

    def __init__(self, bootstrap, group, member_id, topics, rebalance_ms=60_000):
        self.coordinator = Coordinator(bootstrap, group)
        self.group, self.id, self.topics, self.rebalance_ms = group, member_id, topics, rebalance_ms
        self.epoch, self.owned, self.says, self.interval = 0, {}, True, 0.3

    def beat(self):
        """One heartbeat; returns what it was told to have, or None. Raises `Out` when it is out of the group."""
        if self.epoch == 0:
            self.owned = {}
        # It says everything every time, so that an answer that was lost does not matter.
        values = {"GroupId": self.group, "MemberId": self.id, "MemberEpoch": self.epoch, "RebalanceTimeoutMs": self.rebalance_ms,
                  "SubscribedTopicNames": self.topics,
                  "TopicPartitions": [{"TopicId": topic, "Partitions": sorted(p)} for topic, p in self.owned.items()]}
        answer = self.coordinator.ask("ConsumerGroupHeartbeat", 1, values)
        if answer["ErrorCode"]:
            raise Out(answer["ErrorCode"], answer["ErrorMessage"])
        assert answer["MemberEpoch"] >= self.epoch, f"{self.id}: the epoch went back from {self.epoch} to {answer['MemberEpoch']}"
        self.epoch, self.says = answer["MemberEpoch"], False
        self.interval = answer["HeartbeatIntervalMs"] / 1000
        if answer["Assignment"] is None:
            return None
        return {t["TopicId"]: set(t["Partitions"]) for t in answer["Assignment"]["TopicPartitions"] if t["Partitions"]}

    def take(self, told):
        """Follows what it was told."""
        self.says = self.says or told != self.owned
        self.owned = told

    def commit(self, topic_id, partition, offset):
        """Commits one offset at its epoch; returns the error."""
        answer = self.coordinator.ask("OffsetCommit", 10, {
            "GroupId": self.group, "GenerationIdOrMemberEpoch": self.epoch, "MemberId": self.id, "Topics": [
                {"TopicId": topic_id, "Partitions": [{"PartitionIndex": partition, "CommittedOffset": offset}]}]})
        return _error(answer)

    def leave(self):
        self.coordinator.ask("ConsumerGroupHeartbeat", 1, {"GroupId": self.group, "MemberId": self.id, "MemberEpoch": -1,
                                                           "RebalanceTimeoutMs": -1})
        self.epoch = 0


class ClassicMember:
    """A member of the classic protocol; the leader gives each member some partitions of one topic."""

    def __init__(self, bootstrap, group, partitions, session_ms=10_000, rebalance_ms=60_000):
        self.coordinator = Coordinator(bootstrap, group)
        self.group, self.partitions = group, partitions
        self.session_ms, self.rebalance_ms = session_ms, rebalance_ms
        self.id, self.generation, self.owned = "", -1, set()

    def join(self):
        """Joins and syncs until it is in a generation and has its part."""
        while True:
            answer = self.coordinator.ask("JoinGroup", 9, {
                "GroupId": self.group, "SessionTimeoutMs": self.session_ms, "RebalanceTimeoutMs": self.rebalance_ms,
                "MemberId": self.id, "ProtocolType": "consumer", "Protocols": [{"Name": "range", "Metadata": b"\0\1\0\0\0\0\0\0\0\0"}]})
            if answer["ErrorCode"] == 79:
                self.id = answer["MemberId"]
                continue
            if answer["ErrorCode"] == UNKNOWN_MEMBER:
                self.id = ""
                continue
            if answer["ErrorCode"]:
                continue
            self.id, self.generation = answer["MemberId"], answer["GenerationId"]
            members = sorted(member["MemberId"] for member in answer["Members"])
            parts = [{"MemberId": member, "Assignment": ",".join(map(str, range(i, self.partitions, len(members)))).encode()}
                     for i, member in enumerate(members)] if answer["Leader"] == self.id else []
            answer = self.coordinator.ask("SyncGroup", 5, {
                "GroupId": self.group, "GenerationId": self.generation, "MemberId": self.id, "ProtocolType": "consumer",
                "ProtocolName": "range", "Assignments": parts})
            if answer["ErrorCode"] == UNKNOWN_MEMBER:
                self.id = ""
            if not answer["ErrorCode"]:
                self.owned = {int(p) for p in answer["Assignment"].decode().split(",") if p}
                return

    def heartbeat(self):
        return self.coordinator.ask("Heartbeat", 4, {"GroupId": self.group, "GenerationId": self.generation, "MemberId": self.id})["ErrorCode"]

    def commit(self, topic, partition, offset):
        answer = self.coordinator.ask("OffsetCommit", 9, {
            "GroupId": self.group, "GenerationIdOrMemberEpoch": self.generation, "MemberId": self.id, "Topics": [
                {"Name": topic, "Partitions": [{"PartitionIndex": partition, "CommittedOffset": offset}]}]})
        return _error(answer)

    def leave(self):
        self.coordinator.ask("LeaveGroup", 5, {"GroupId": self.group, "Members": [{"MemberId": self.id}]})
        self.id, self.generation, self.owned = "", -1, set()


class Out(Exception):
    """The coordinator does not know the member, or not at this epoch."""

    def __init__(self, code, message):
        super().__init__(f"{code} {message}")
        self.code = code


class Ledger:
    """Who has which partition, as the members see it: no two at the same time. A holder that does not know yet that it is
    out of the group may have what another was given: it is suspected until its next heartbeat tells."""

    def __init__(self):
        self.lock, self.holders, self.suspected, self.violations = threading.Lock(), {}, {}, []

    def take(self, member, before, after):
        """A member has given `before − after` back and has taken `after − before`."""
        with self.lock:
            for place in before - after:
                self.holders.pop(place, None)
            for place in after - before:
                other = self.holders.setdefault(place, member)
                if other != member:
                    self.suspected.setdefault(other, []).append(f"{place}: {other} has it, and {member} was given it")
                    self.holders[place] = member

    def is_suspected(self, member):
        with self.lock:
            return member in self.suspected

    def drop(self, member, was_out):
        """The member is gone; `was_out`: the coordinator had put it out before."""
        with self.lock:
            suspected = self.suspected.pop(member, [])
            if not was_out:
                self.violations += suspected
            for place in [place for place, holder in self.holders.items() if holder == member]:
                del self.holders[place]
