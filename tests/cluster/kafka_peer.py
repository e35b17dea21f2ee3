"""Esker and Apache Kafka side by side: the same raw calls to both, the answers compared field by field.

What must differ is put into words that are equal on both sides: ids of topics become their names, ids of sessions
"some", addresses "an address". Records become a list of their whole batches: Kafka cuts a partition's bytes at the cap,
in mid-batch, and clients drop the torn end; we never send one.
"""

import struct
import uuid

from messages import ask, read_answer
from processes import Kafka, wait_until
from wire import Closed, Connection


class Side:
    """One of the two, and what only it knows."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        self.topics = {}
        self.sessions = {}
        self.connection = None

    def connect(self):
        """A new connection, in place of the one there was."""
        self.close()
        self.connection = Connection(self.address, 30)

    def close(self):
        if self.connection:
            self.connection.socket.close()
        self.connection = None

    def ask(self, api, version, values):
        if self.connection is None:
            self.connect()
        return ask(self.connection, api, version, values)

    def read(self, api, version):
        return read_answer(self.connection, api, version)

    def create(self, topic, partitions=1, configs=None, brokers=None):
        """Makes a topic and waits for its leaders. With `brokers` it has one partition, on these, of which the first leads."""
        wanted = {"Name": topic, "NumPartitions": partitions, "ReplicationFactor": 1,
                  "Configs": [{"Name": key, "Value": value} for key, value in (configs or {}).items()]}
        if brokers:
            wanted.update(NumPartitions=-1, ReplicationFactor=-1,
                          Assignments=[{"PartitionIndex": 0, "BrokerIds": list(brokers)}])
        made = self.ask("CreateTopics", 7, {"Topics": [wanted]})["Topics"][0]
        if made["ErrorCode"]:
            raise AssertionError(f"{self.name} does not make {topic}: {made}")
        self.topics[topic] = made["TopicId"]
        wait_until(f"{self.name} leads {topic}", lambda: self.leads(topic, partitions), 20)
        self.settled(topic, partitions)

    def delete(self, topic):
        """Deletes a topic and waits until it is gone."""
        done = self.ask("DeleteTopics", 6, {"Topics": [{"Name": topic}], "TimeoutMs": 10_000})["Responses"][0]
        if done["ErrorCode"]:
            raise AssertionError(f"{self.name} does not delete {topic}: {done}")
        wait_until(f"{self.name} has forgotten {topic}", lambda: self.metadata(topic)["ErrorCode"] == 3, 20)

    def settled(self, topic, partitions=1):
        """Waits until the leaders serve: a moment after the metadata say who they are."""
        def serve():
            wanted = [{"PartitionIndex": i, "Timestamp": -1} for i in range(partitions)]
            answer = self.ask("ListOffsets", 7, {"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": wanted}]})
            return not any(p["ErrorCode"] for p in answer["Topics"][0]["Partitions"])

        wait_until(f"{self.name} serves {topic}", serve, 20)

    def produce(self, topic, partition, batch):
        """Produces a batch, which must be taken."""
        answer = self.ask("Produce", 9, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [
            {"Name": topic, "PartitionData": [{"Index": partition, "Records": batch}]}]})
        made = answer["Responses"][0]["PartitionResponses"][0]
        if made["ErrorCode"]:
            raise AssertionError(f"{self.name} does not take a batch of {topic}: {made}")
        return made["BaseOffset"]

    def leads(self, topic, partitions):
        found = self.metadata(topic)["Partitions"]
        return len(found) == partitions and all(p["LeaderId"] >= 0 and not p["ErrorCode"] for p in found)

    def metadata(self, topic):
        return self.ask("Metadata", 12, {"Topics": [{"Name": topic}], "AllowAutoTopicCreation": False})["Topics"][0]

    def epoch(self, topic, partition=0):
        """The partition's leader epoch."""
        found = self.metadata(topic)["Partitions"]
        return next(p["LeaderEpoch"] for p in found if p["PartitionIndex"] == partition)

    def id(self, topic):
        return self.topics.get(topic, uuid.UUID(int=sum(topic.encode())))

    def plain(self, value, name=""):
        """An answer in words that are equal on both sides."""
        if isinstance(value, dict):
            return {key: self.plain(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.plain(inner, name) for inner in value]
        if isinstance(value, uuid.UUID):
            names = {id: topic for topic, id in self.topics.items()}
            return names.get(value, "no id" if value.int == 0 else "an id")
        if name == "Records" and value is not None:
            return whole_batches(value)
        if name == "SessionId" and value:
            return "some"
        if name in ("Host", "Port"):
            return "an address"
        return value


def whole_batches(data):
    """What identifies each whole batch; the leader epoch, which the broker writes, is left out."""
    at, found = 0, []
    while at + 61 <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        if at + 12 + length > len(data):
            break
        crc, attributes, delta = struct.unpack_from(">Ihi", data, at + 17)
        found.append(f"{base}..{base + delta} attributes {attributes} crc {crc:08x} of {12 + length} bytes")
        at += 12 + length
    return found


def differences(ours, theirs, path=""):
    """Lines `path: Esker …, Kafka …` for every field that is not the same."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            yield from differences(ours.get(key, "nothing"), theirs.get(key, "nothing"), f"{path}.{key}".lstrip("."))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, pair in enumerate(zip(ours, theirs)):
            yield from differences(*pair, f"{path}[{i}]")
    elif ours != theirs:
        yield f"{path}: Esker {ours!r}, Kafka {theirs!r}"


def kafka(processes, settings=None):
    """A lone Kafka that answers."""
    it = Kafka(processes, settings=settings, heap="512m")
    wait_for(it)
    return it


def wait_for(it):
    """Waits until it answers requests."""
    def answers():
        if it.process.poll() is not None:
            raise AssertionError(f"Kafka ended with {it.process.returncode}\n{it.processes.log(it.name)}")
        if not it.ready():
            return False
        try:
            with Connection(it.bootstrap, 5) as connection:
                return ask(connection, "Metadata", 12, {"Topics": []})["Brokers"]
        except (OSError, Closed):
            return False

    wait_until("Kafka answers", answers, 90, 0.2)
