"""The messages of OTLP that carry metrics, read by hand: what a collector would see of a post."""

import struct

# Fields of a metric, and the temporality of sums.
GAUGE, SUM, HISTOGRAM = 5, 7, 9
CUMULATIVE = 2


def _varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of a protobuf message: a number, eight bytes, or the bytes of what is inside."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == 0:
            value, at = _varint(data, at)
        elif tag & 7 == 1:
            value, at = data[at:at + 8], at + 8
        elif tag & 7 == 2:
            size, at = _varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            raise AssertionError(f"wire type {tag & 7} at {at}")
        yield tag >> 3, value


def inside(data, *path):
    """The values at a path of field numbers."""
    if not path:
        return [data]
    return [found for number, value in fields(data) if number == path[0] for found in inside(value, *path[1:])]


def _double(data):
    return struct.unpack("<d", data)[0]


def _label(attribute):
    """`key="value"`, as Prometheus text has it."""
    return f'{inside(attribute, 1)[0].decode()}="{inside(attribute, 2, 1)[0].decode()}"'


def metrics(body):
    """(name, labels as text) → value, with the names and labels of Prometheus text; of histograms `_sum` and `_count`."""
    found = {}
    for metric in inside(body, 1, 2, 2):
        name = inside(metric, 1)[0].decode()
        for kind in (GAUGE, SUM):
            for point in inside(metric, kind, 1):
                labels = ",".join(map(_label, inside(point, 7)))
                whole = [struct.unpack("<q", value)[0] for value in inside(point, 6)]
                found[name, labels] = (whole or [_double(value) for value in inside(point, 4)])[0]
        if inside(metric, SUM) and (inside(metric, SUM, 2), inside(metric, SUM, 3)) != ([CUMULATIVE], [1]):
            raise AssertionError(f"{name} is no sum since the start that only grows")
        for point in inside(metric, HISTOGRAM, 1):
            labels = ",".join(map(_label, inside(point, 9)))
            # What is 0 is left out.
            count = sum(struct.unpack("<Q", value)[0] for value in inside(point, 4))
            buckets = b"".join(inside(point, 6))
            if sum(struct.unpack(f"<{len(buckets) // 8}Q", buckets)) != count:
                raise AssertionError(f"the buckets of {name} do not add up to {count}")
            found[f"{name}_count", labels] = count
            found[f"{name}_sum", labels] = sum(map(_double, inside(point, 5)))
    return found
