"""Any message of Kafka's protocol as a dict, in any version that src/wire/schema describes.

What a caller leaves out has its default: 0, "", [], None where null is allowed, or what the schema says. What comes back
has every field of its version; tagged fields that were not sent have their defaults.
"""

import re
import struct
import uuid

from processes import ROOT

_NUMBERS = {"int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "int64": ">q", "bool": ">?", "float64": ">d"}


class _Field:
    def __init__(self, words, around, top):
        self.name, kind = words[0], words[1]
        self.nullable = kind.endswith("?")
        self.array = kind.startswith("[]")
        self.kind = kind.rstrip("?").removeprefix("[]")
        self.span, self.null, self.tag, self.default, self.inflexible = around, None, None, None, False
        for word in words[2:]:
            key, _, value = word.partition("=")
            if re.fullmatch(r"\d+\+|\d+-\d+", word):
                self.span = _span(word, top)
            elif key == "null":
                self.null = _span(value, top)
            elif key == "tag":
                self.tag = int(value)
            elif key == "default":
                self.default = value == "true" if self.kind == "bool" else int(value)
            elif key == "inflexible":
                self.inflexible = True
        self.null = self.null or self.span
        self.fields = None

    def missing(self):
        if self.nullable and self.default is None:
            return None
        if self.array:
            return []
        if self.default is not None:
            return self.default
        return {"string": "", "bytes": b"", "records": b"", "uuid": uuid.UUID(int=0), "bool": False}.get(
            self.kind, {} if self.fields else 0)


class Message:
    """A message's shape: `encode` and `decode`."""

    def __init__(self, line):
        words = line.split()
        self.name = words[1]
        options = dict(word.split("=") for word in words[2:])
        self.key = int(options["key"]) if "key" in options else None
        low, high = options["versions"].split("-")
        self.versions = (int(low), int(high))
        flexible = options["flexible"]
        self.flexible = None if flexible == "none" else int(flexible.rstrip("+"))
        self.fields = []

    def is_flexible(self, version):
        return self.flexible is not None and version >= self.flexible

    def encode(self, values, version):
        return _struct(self, self.fields, values, version)

    def decode(self, data, version):
        """The dict and the number of bytes read."""
        reader = _Reader(data)
        return reader.struct(self, self.fields, version), reader.at


def _span(text, top):
    if text.endswith("+"):
        return int(text[:-1]), top
    low, high = text.split("-")
    return int(low), int(high)


def _load():
    found = {}
    for path in sorted((ROOT / "src/wire/schema").glob("*.schema")):
        message = None
        for line in path.read_text().splitlines():
            if line.startswith("message "):
                message = Message(line)
                found[message.name] = message
                stack = [(message.fields, message.versions)]
            elif line.strip():
                depth = (len(line) - len(line.lstrip())) // 2
                del stack[depth:]
                fields, around = stack[-1]
                field = _Field(line.split(), around, message.versions[1])
                if field.kind not in _NUMBERS and field.kind not in ("string", "bytes", "records", "uuid"):
                    # The fields of a struct stand below each of its uses: they differ in their versions.
                    field.fields = []
                    stack.append((field.fields, field.span))
                fields.append(field)
    return found


def _uvarint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _length(count, flexible, short):
    """`count` is None for null."""
    if flexible:
        return _uvarint(0 if count is None else count + 1)
    return struct.pack(">h" if short else ">i", -1 if count is None else count)


def _struct(message, fields, values, version):
    unknown = set(values) - {field.name for field in fields}
    if unknown:
        raise ValueError(f"{message.name} has no {', '.join(sorted(unknown))}")
    out, tagged = b"", []
    for field in fields:
        if not field.span[0] <= version <= field.span[1]:
            continue
        value = values.get(field.name, field.missing())
        if field.tag is None:
            out += _value(message, field, value, version)
        elif field.name in values:
            tagged.append((field.tag, _value(message, field, value, version)))
    if message.is_flexible(version):
        out += _uvarint(len(tagged))
        for tag, data in sorted(tagged):
            out += _uvarint(tag) + _uvarint(len(data)) + data
    return out


def _value(message, field, value, version):
    flexible = message.is_flexible(version) and not field.inflexible
    if field.array:
        if value is None:
            return _length(None, flexible, False)
        return _length(len(value), flexible, False) + b"".join(_element(message, field, v, version) for v in value)
    return _element(message, field, value, version)


def _element(message, field, value, version):
    flexible = message.is_flexible(version) and not field.inflexible
    if field.fields is not None:
        if field.nullable and not field.array:
            return b"\xff" if value is None else b"\x01" + _struct(message, field.fields, value, version)
        return _struct(message, field.fields, value, version)
    if field.kind in _NUMBERS:
        return struct.pack(_NUMBERS[field.kind], value)
    if field.kind == "uuid":
        return value.bytes
    short = field.kind == "string"
    if value is None:
        return _length(None, flexible, short)
    data = value.encode() if short else value
    return _length(len(data), flexible, short) + data


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError(f"the message ends at {len(self.data)}, {count} more bytes are wanted at {self.at}")
        self.at += count
        return self.data[self.at - count:self.at]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def length(self, flexible, short):
        if flexible:
            return self.uvarint() - 1
        return struct.unpack(">h" if short else ">i", self.take(2 if short else 4))[0]

    def struct(self, message, fields, version):
        values, tagged = {}, {}
        for field in fields:
            if not field.span[0] <= version <= field.span[1]:
                continue
            if field.tag is None:
                values[field.name] = self.value(message, field, version)
            else:
                tagged[field.tag] = field
                values[field.name] = field.missing()
        if message.is_flexible(version):
            for _ in range(self.uvarint()):
                tag, size = self.uvarint(), self.uvarint()
                if tag in tagged:
                    values[tagged[tag].name] = self.value(message, tagged[tag], version)
                else:
                    values[f"tag {tag}"] = self.take(size)
        return values

    def value(self, message, field, version):
        if not field.array:
            return self.element(message, field, version)
        count = self.length(message.is_flexible(version), False)
        return None if count < 0 else [self.element(message, field, version) for _ in range(count)]

    def element(self, message, field, version):
        if field.fields is not None:
            if field.nullable and not field.array and self.take(1) == b"\xff":
                return None
            return self.struct(message, field.fields, version)
        if field.kind in _NUMBERS:
            form = _NUMBERS[field.kind]
            return struct.unpack(form, self.take(struct.calcsize(form)))[0]
        if field.kind == "uuid":
            return uuid.UUID(bytes=self.take(16))
        count = self.length(message.is_flexible(version) and not field.inflexible, field.kind == "string")
        if count < 0:
            return None
        data = self.take(count)
        return data.decode() if field.kind == "string" else data


MESSAGES = _load()
# The names of requests by their keys, without `Request`.
API_NAMES = {message.key: name.removesuffix("Request") for name, message in MESSAGES.items() if name.endswith("Request")}


def ask(connection, api, version, values, client_id="raw"):
    """Sends the request of an API by its name and returns the answer as a dict; nothing may be left over."""
    send(connection, api, version, values, client_id)
    return read_answer(connection, api, version)


def send(connection, api, version, values, client_id="raw"):
    """Sends the request and does not wait for its answer."""
    request = MESSAGES[f"{api}Request"]
    header = MESSAGES["RequestHeader"].encode(
        {"RequestApiKey": request.key, "RequestApiVersion": version, "CorrelationId": connection.correlation + 1,
         "ClientId": client_id}, 2 if request.is_flexible(version) else 1)
    connection.correlation += 1
    body = header + request.encode(values, version)
    connection.send(struct.pack(">i", len(body)) + body)


def read_answer(connection, api, version):
    """The answer to the last request of this connection."""
    response = MESSAGES[f"{api}Response"]
    answer = connection.receive()
    flexible = response.is_flexible(version) and api != "ApiVersions"
    header, at = MESSAGES["ResponseHeader"].decode(answer, 1 if flexible else 0)
    if header["CorrelationId"] != connection.correlation:
        raise AssertionError("an answer to another question")
    values, read = response.decode(answer[at:], version)
    if at + read != len(answer):
        raise AssertionError(f"{len(answer) - at - read} bytes are left over in {api} {version}")
    return values
