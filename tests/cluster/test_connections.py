"""Two thousand clients connect to one broker at once, ask what it speaks and where topics are, and stay: all are answered alike, the broker
holds little memory for them, and a client that writes and reads meanwhile gets on."""

import asyncio
import struct

from case import ClusterCase, memory_kb
from clients import consume, produce
from messages import MESSAGES, ask
from processes import wait_until
from test_changes import Background
from wire import Connection

CLIENTS = 2000
RECORDS = 2000
# A release build takes 12 KiB for each (benches/README.md), a debug build 16.
MOST_KB = 64 * CLIENTS
API_VERSIONS, METADATA = 3, 12


def request(api, version, correlation, values):
    """A whole frame."""
    shape = MESSAGES[f"{api}Request"]
    head = {"RequestApiKey": shape.key, "RequestApiVersion": version, "CorrelationId": correlation, "ClientId": "one of many"}
    body = MESSAGES["RequestHeader"].encode(head, 2 if shape.is_flexible(version) else 1) + shape.encode(values, version)
    return struct.pack(">i", len(body)) + body


ASKED = {"Topics": [{"Name": "t"}], "AllowAutoTopicCreation": False}
HELLO = request("ApiVersions", API_VERSIONS, 1, {"ClientSoftwareName": "many", "ClientSoftwareVersion": "1"})
WHERE = request("Metadata", METADATA, 2, ASKED)


class Connections(ClusterCase):
    def test_two_thousand_clients_that_come_at_once_are_served_in_bounded_memory(self):
        # What one address may do by itself is another test's (test_floods).
        dev = self.dev(1, settings={"connection.creation.rate.per.ip": 100_000, "max.connection.creation.rate": 100_000})
        dev.topic_create("t", partitions=20)
        dev.topic_create("busy")
        wait_until("all are led", lambda: all(p["LeaderId"] == 1 for p in self.told(dev)["Topics"][0]["Partitions"]), 30)
        produce("python", dev.bootstrap, "busy", RECORDS, "before")
        pid = dev.pid(1)
        before = memory_kb(pid)
        normal = Background(lambda: [produce("python", dev.bootstrap, "busy", RECORDS, f"meanwhile {turn}") for turn in range(2)])
        grown = asyncio.run(self.come(dev.brokers()[1][1], lambda: memory_kb(pid) - before, self.told(dev)))
        normal.join()
        self.figure(f"{CLIENTS} connections that have asked twice take {grown} KiB more memory")
        self.assertEqual(len(consume(self.processes, "python", dev.bootstrap, "busy", 3 * RECORDS)), 3 * RECORDS)
        self.assertLess(grown, MOST_KB)
        self.unharmed(dev)

    def told(self, dev):
        with Connection(dev.brokers()[1][1], 30) as connection:
            return ask(connection, "Metadata", METADATA, ASKED)

    async def come(self, address, memory, wanted):
        """All at once, both requests in one write; then all of them ask once more. How much the broker has grown while all are there."""
        host, port = address.rsplit(":", 1)
        streams = []
        try:
            async def first():
                reader, writer = await asyncio.open_connection(host, int(port))
                streams.append((reader, writer))
                writer.write(HELLO + WHERE)
                return [await self.answer(reader) for _ in range(2)]

            async def again(reader, writer):
                writer.write(WHERE)
                return await self.answer(reader)

            answers = await asyncio.wait_for(asyncio.gather(*(first() for _ in range(CLIENTS))), 120)
            self.assertEqual(len({versions for versions, _ in answers}), 1, "the same for all")
            told = {where for _, where in answers}
            # Every one is there still, and is served beside the others.
            told |= set(await asyncio.wait_for(asyncio.gather(*(again(*stream) for stream in streams)), 120))
            self.assertEqual([MESSAGES["MetadataResponse"].decode(where[5:], METADATA)[0] for where in told], [wanted])
            self.assertEqual({where[:4] for where in told}, {struct.pack(">i", 2)})
            self.assertEqual(len(streams), CLIENTS)
            return memory()
        finally:
            for _, writer in streams:
                writer.close()

    async def answer(self, reader):
        """A frame without its length."""
        size = struct.unpack(">i", await reader.readexactly(4))[0]
        return await reader.readexactly(size)
