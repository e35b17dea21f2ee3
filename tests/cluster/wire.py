"""A few of Kafka's requests by hand, over a plain socket: for what no client library lets one send or see."""

import gzip
import socket
import struct

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS = 0, 1, 2, 3, 18
# Error codes that clients retry, and that a broker may answer while a part of a log cannot be read.
RETRIABLE = {2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 56}


def text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def header(api, version, correlation, client="raw"):
    return struct.pack(">hhi", api, version, correlation) + text(client)


def frame(body):
    return struct.pack(">i", len(body)) + body


class Closed(Exception):
    """The broker ended the connection."""


class Connection:
    """One connection; requests one after the other."""

    def __init__(self, address, timeout=10, source=None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout, source_address=(source, 0) if source else None)
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as ended:
            raise Closed from ended

    def receive(self):
        """One response frame without its length."""
        size = struct.unpack(">i", self._exactly(4))[0]
        return self._exactly(size)

    def is_closed(self):
        """Whether the broker closes within the time-out, without sending anything more than whole answers."""
        try:
            while self.socket.recv(1 << 16):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def call(self, api, version, body):
        """Sends a request and returns its answer after the correlation id."""
        self.correlation += 1
        self.send(frame(header(api, version, self.correlation) + body))
        answer = self.receive()
        if struct.unpack(">i", answer[:4])[0] != self.correlation:
            raise AssertionError("an answer to another question")
        return answer[4:]

    def fetch(self, topic, partition, offset, max_bytes=1 << 20, max_wait=3000):
        """Fetch v4 of one partition: (error code, high watermark, records)."""
        body = struct.pack(">iiiib", -1, max_wait, 1, max_bytes, 0)
        body += struct.pack(">i", 1) + text(topic) + struct.pack(">iiqi", 1, partition, offset, max_bytes)
        answer = self.call(FETCH, 4, body)
        at = 4 + 4 + 2 + len(topic) + 4  # throttle, topics, name, partitions
        _, error, high_watermark, _ = struct.unpack_from(">ihqq", answer, at)
        at += 22
        aborted = struct.unpack_from(">i", answer, at)[0]
        at += 4 + 16 * max(aborted, 0)
        size = struct.unpack_from(">i", answer, at)[0]
        return error, high_watermark, answer[at + 4:at + 4 + max(size, 0)]

    def list_offset(self, topic, partition, timestamp):
        """ListOffsets v1: (error code, timestamp, offset)."""
        body = struct.pack(">ii", -1, 1) + text(topic) + struct.pack(">iiq", 1, partition, timestamp)
        answer = self.call(LIST_OFFSETS, 1, body)
        at = 4 + 2 + len(topic) + 4
        _, error, found, offset = struct.unpack_from(">ihqq", answer, at)
        return error, found, offset

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except ConnectionResetError:
                part = b""
            if not part:
                raise Closed
            data += part
        return data


def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(value):
    """A number as records have it (zigzag)."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def sealed(body, count=1, last_delta=None, attributes=0, magic=2, crc=None, length=None, producer=(-1, -1, -1), base=0,
           first=0, largest=0, leader_epoch=0):
    """A batch around a body, with whatever its header shall say."""
    last_delta = count - 1 if last_delta is None else last_delta
    rest = struct.pack(">hiqqqhii", attributes, last_delta, first, largest, *producer, count) + body
    whole = struct.pack(">iBI", leader_epoch, magic, crc32c(rest) if crc is None else crc) + rest
    return struct.pack(">qi", base, len(whole) if length is None else length) + whole


def record(index, value, key=None, delta=0, headers=b"\0"):
    """One record of a batch's body."""
    part = b"\0" + varint(delta) + varint(index)
    for text in (key, value):
        part += varint(-1) if text is None else varint(len(text)) + text
    part += headers
    return varint(len(part)) + part


def record_batch(records, gzipped=False, attributes=0, producer=(-1, -1, -1), base=0, leader_epoch=0):
    """A batch of (timestamp, key, value)s with good checksums."""
    first = records[0][0]
    body = b"".join(record(i, value, key, at - first) for i, (at, key, value) in enumerate(records))
    if gzipped:
        body, attributes = gzip.compress(body), attributes | 1
    return sealed(body, len(records), attributes=attributes, producer=producer, base=base, first=first,
                  largest=max(at for at, _, _ in records), leader_epoch=leader_epoch)


def batches(records):
    """(base offset, last offset) of each whole batch."""
    at, found = 0, []
    while at + 61 <= len(records):
        base, length = struct.unpack_from(">qi", records, at)
        if at + 12 + length > len(records):
            break
        found.append((base, base + struct.unpack_from(">i", records, at + 23)[0]))
        at += 12 + length
    return found
