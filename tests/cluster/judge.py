"""Judges histories that `history.py` has written, and logs on disks, against each other. What it finds has a name: the table in tests/README.md."""

import collections
import re
import struct
from pathlib import Path

from history import RECORDS, TRANSACTION_TIMEOUT
from wire import crc32c

# How long an open transaction may hold readers back: its time-out, the coordinator's next look (10 s), and elections meanwhile.
HELD_BACK = TRANSACTION_TIMEOUT + 40


def check(clients, final, deleted=None, copies=None, resent=None):
    """`clients`: the lines of each client; `final`: {partition: [(offset, (name, number))]}, in the order read at the very end with the isolation
    that the topic's readers have; `deleted`: {partition: offset}, below which DeleteRecords has removed everything. Returns the anomalies,
    each by its name first, and how many operations were looked at.

    A record that stands twice is a duplicate; unless `copies(partition)`, the folders of the copies, show that its producer has sent it under two
    producer epochs: no broker can tell that these are one. librdkafka does so, with more than one request in flight, when the first of
    them is refused and the next one not any more (its issue 4953). Such records are added to `resent`."""
    return _Judge(clients, final, deleted or {}, copies, [] if resent is None else resent).judge()


class _Judge:
    def __init__(self, clients, final, deleted, copies, resent):
        self.clients = [[line.split() for line in lines] for lines in clients]
        self.final, self.deleted, self.copies, self.resent = final, deleted, copies, resent
        self.again = set()  # places of records that were sent again under a new epoch
        self.anomalies = []
        self.values = {}  # (partition, offset) → value
        self.places = {}  # value → (partition, offset), at the end
        self.outcomes, self.deciding, self.decided = {}, {}, {}  # (name, transaction) → word; → moment; → moment of the answer
        self.operations = 0

    def found(self, name, what):
        self.anomalies.append(f"{name}: {what}")

    def at(self, place, value, told):
        if self.values.setdefault(place, value) != value:
            self.found("inconsistent-offsets", f"{value} {told} at {place}, where {self.values[place]} is")

    def transaction(self, value):
        """Of which transaction a record is, or None."""
        return (value[0], value[1] // RECORDS) if value[0] in self.transactional else None

    def judge(self):
        self.transactional = {words[1] for lines in self.clients for words in lines if words[0] == "begin"}
        for lines in self.clients:
            for words in lines:
                if words[0] in ("committed", "aborted", "undecided"):
                    self.outcomes[words[1], int(words[2])], self.decided[words[1], int(words[2])] = words[0], float(words[3])
                elif words[0] == "deciding":
                    self.deciding[words[1], int(words[2])] = float(words[3])
        self.look_at_the_end()
        self.look_at_answers()
        self.look_at_transactions()
        self.look_at_cycles()
        self.look_at_offsets_within()
        self.look_at_hangs()
        for lines in self.clients:
            self.operations += sum(words[0] in ("ok", "read", "saw", "mark", "commit", "group", "stood", "committed", "aborted") for words in lines)
            self.look_at_a_reader(lines)
            self.look_at_marks(lines)
            self.look_at_a_group(lines)
        return self.anomalies, self.operations

    def look_at_hangs(self):
        """librdkafka may wait for ever (see `history.Transactor.send_offsets`), but then it is alone: while it does, the same group answers others."""
        for at, lines in enumerate(self.clients):
            for words in lines:
                if words[0] == "hangs":
                    name, since, until = words[1], float(words[3]), float(words[4])
                    others = (other for where, lines in enumerate(self.clients) if where != at for other in lines)
                    if not any(other[:2] == ["stood", name] and since < float(other[6]) and float(other[7]) < until for other in others):
                        self.found("unanswered", f"{words[2]} of {name} for {until - since:.0f} s, and nobody of its group was answered meanwhile")

    def look_at_the_end(self):
        for partition, records in self.final.items():
            last = {}
            for before, after in zip(records, records[1:]):
                if after[0] <= before[0]:
                    self.found("nonmonotonic-poll", f"{partition}: {before[0]}, then {after[0]}")
                elif after[0] > before[0] + 1 and not self.transactional:
                    self.found("hole", f"{partition}: {after[0]} follows {before[0]}")
            for offset, value in records:
                self.at((partition, offset), value, "was read at the end")
                if offset < self.deleted.get(partition, 0):
                    self.found("deleted-back", f"{value} at {(partition, offset)}, all below {self.deleted[partition]} was deleted")
                name, number = value
                if self.places.setdefault(value, (partition, offset)) != (partition, offset):
                    one, other = self.source(*self.places[value]), self.source(partition, offset)
                    if one and other and one[0] == other[0] and one[1] < other[1]:
                        self.again.add((partition, offset))
                        self.resent.append(f"{value} at {self.places[value]} in epoch {one[1]}, at {(partition, offset)} in {other[1]}")
                        # What follows it is sent again too: the order begins anew here, and what comes twice is looked at one by one.
                        last[name] = number
                        continue
                    self.found("duplicate", f"{value} at {self.places[value]} and at {(partition, offset)}")
                if last.get(name, -1) >= number:
                    self.found("nonmonotonic-send", f"{value} in {partition} after {last[name]}")
                last[name] = max(last.get(name, -1), number)

    def source(self, partition, offset):
        """(producer id, producer epoch) of the batch at a place, or None."""
        for folder in (self.copies(partition) if self.copies else {}).values():
            for base, data in read_batches(Path(folder)):
                if data is not None and base <= offset <= base + struct.unpack_from(">i", data, 23)[0]:
                    return struct.unpack_from(">qh", data, 43)
        return None

    def look_at_answers(self):
        finished = collections.defaultdict(list)  # partition → (sent, answered, offset, value)
        for lines in self.clients:
            for words in lines:
                if words[0] != "ok":
                    continue
                value, partition = (words[1], int(words[2])), int(words[3])
                owed = self.transaction(value) is None or self.outcomes.get(self.transaction(value)) == "committed"
                if words[4] == "None":
                    # Acknowledged by the answer to a later one, while its own was lost: the client does not know where it is.
                    if owed and value not in self.places and not self.deleted.get(partition):
                        self.found("unseen", f"{value}, acknowledged without an offset")
                    continue
                offset = int(words[4])
                finished[partition].append((float(words[5]), float(words[6]), offset, value))
                self.at((partition, offset), value, "was acknowledged")
                if owed and value not in self.places and offset >= self.deleted.get(partition, 0):
                    records = self.final.get(partition)
                    lost = records and offset <= records[-1][0]
                    self.found("lost-write" if lost else "unseen", f"{value}, acknowledged at {(partition, offset)}")
        # Whoever was answered before another was even sent comes first.
        for partition, operations in finished.items():
            answers = sorted((answered, offset) for _, answered, offset, _ in operations)
            highest, next_answer = -1, 0
            for sent, _, offset, value in sorted(operations):
                while next_answer < len(answers) and answers[next_answer][0] < sent:
                    highest = max(highest, answers[next_answer][1])
                    next_answer += 1
                if offset <= highest:
                    self.found("acknowledged-back", f"{value} of {partition} at {offset}, {highest} was acknowledged before it was sent")

    def look_at_transactions(self):
        there = collections.Counter(filter(None, map(self.transaction, self.places)))
        for transaction, count in there.items():
            if self.outcomes.get(transaction) == "aborted":
                self.found("aborted-read", f"{count} records of {transaction} at the end")
            elif count != RECORDS:
                self.found("torn", f"{transaction} ({self.outcomes.get(transaction)}) has {count} of {RECORDS} records")
        for transaction, outcome in self.outcomes.items():
            if outcome == "committed" and not there[transaction] and not self.deleted:
                self.found("unseen", f"{transaction} was committed")

    def look_at_cycles(self):
        """Transactions that have read what others wrote, in a circle."""
        edges = collections.defaultdict(set)
        for lines in self.clients:
            for words in lines:
                if words[0] == "saw":
                    reader, writer = (words[1], int(words[2])), self.transaction((words[5], int(words[6])))
                    self.at((int(words[3]), int(words[4])), (words[5], int(words[6])), "was seen in a transaction")
                    if writer and self.outcomes.get(writer) == "aborted":
                        self.found("aborted-read", f"{reader} saw {writer}")
                    if writer and writer != reader:
                        edges[writer].add(reader)
        # Whoever nobody waits for goes, until only circles are left.
        incoming = collections.Counter(after for afters in edges.values() for after in afters)
        free = [node for node in edges if not incoming[node]]
        left = {*edges, *incoming}
        while free:
            node = free.pop()
            left.discard(node)
            for after in edges.get(node, ()):
                incoming[after] -= 1
                if not incoming[after]:
                    free.append(after)
        if left:
            self.found("write-read-cycle", f"among {sorted(left)[:6]}")

    def look_at_offsets_within(self):
        """What transactions commit of a group is there with their records, and never without them."""
        sent, seen = collections.defaultdict(dict), collections.defaultdict(dict)  # (name, partition) → {transaction: offset}, → {transaction: offsets}
        for lines in self.clients:
            for words in lines:
                if words[0] == "sends":
                    sent[words[1], int(words[3])][int(words[2])] = int(words[4])
                elif words[0] == "saw":
                    seen[words[1], int(words[3])].setdefault(int(words[2]), []).append(int(words[4]))
        there = set(filter(None, map(self.transaction, self.places)))
        took_effect = lambda name, transaction: self.outcomes.get((name, transaction)) == "committed" or (
            self.outcomes.get((name, transaction)) == "undecided" and (name, transaction) in there)
        for lines in self.clients:
            self.look_at_where_groups_stand(lines, sent, took_effect)
        for (name, partition), offsets in sent.items():
            processed = [offset for transaction in sorted(offsets) if took_effect(name, transaction) for offset in seen[name, partition].get(transaction, ())]
            for before, after in zip(processed, processed[1:]):
                if after <= before:
                    self.found("processed-twice", f"{name} took up {after} of {partition} after {before}, in transactions that were committed")
            # What it read up to is what everybody reads.
            skipped = {offset for offset, _ in self.final.get(partition, ()) if processed and offset <= processed[-1]} - set(processed)
            if skipped and not self.deleted:
                self.found("unprocessed", f"{name} left out {sorted(skipped)[:5]} of {partition}")

    def look_at_where_groups_stand(self, lines, sent, took_effect):
        last = {}
        for words in lines:
            if words[0] == "stood":
                name, how, partition, offset, transaction, asked, answered = words[1], words[2], *map(int, words[3:6]), *map(float, words[6:8])
            elif words[0] == "ended":
                (name, partition, offset, transaction), how, asked, answered = (words[1], *map(int, words[2:5])), "stable", float("inf"), float("inf")
            else:
                continue
            what = f"{name} at {offset} of {partition}, by transaction {transaction}"
            if transaction >= 0:
                if sent[name, partition].get(transaction) != offset:
                    self.found("offset-unsent", f"{what}, which sent {sent[name, partition].get(transaction)}")
                if not took_effect(name, transaction):
                    self.found("aborted-offset", what)
                elif answered < self.deciding[name, transaction]:
                    self.found("precommitted-offset", what)
            if transaction < last.get((name, partition), -1):
                self.found("transaction-offset-back", f"{what} after {last[name, partition]}")
            last[name, partition] = max(transaction, last.get((name, partition), -1))
            # Whoever waits for open transactions sees all that were committed before it asked; at the very end also those of which nobody was told.
            owed = [t for t in sent[name, partition] if t > transaction and took_effect(name, t)
                    and (words[0] == "ended" or self.outcomes[name, t] == "committed" and self.decided[name, t] < asked)]
            if how == "stable" and owed:
                self.found("offset-lost", f"{what}, though {owed} were committed before")

    def look_at_a_reader(self, lines):
        order = {partition: [offset for offset, _ in records] for partition, records in self.final.items()}
        index = {partition: {offset: i for i, offset in enumerate(offsets)} for partition, offsets in order.items()}
        position = {}
        for words in lines:
            if words[0] == "gone":
                self.found("gone", f"a reader's position was answered with {words[1]}")
            if words[0] == "bad":
                self.found("wrong-bytes", f"a reader was given bytes that are no batch: {words[1]}")
            if words[0] != "read":
                continue
            partition, offset, value, moment = int(words[1]), int(words[2]), (words[3], int(words[4])), float(words[5])
            self.at((partition, offset), value, "was read")
            transaction = self.transaction(value)
            if transaction and self.outcomes.get(transaction) == "aborted":
                self.found("aborted-read", f"{value} of {transaction} was read")
            elif transaction and moment < self.deciding.get(transaction, float("inf")):
                self.found("precommitted-read", f"{value} of {transaction} was read before anybody asked to commit it")
            if offset < self.deleted.get(partition, 0):
                continue  # it may be gone by now
            if self.places.get(value) != (partition, offset) and (partition, offset) not in self.again:
                self.found("vanished", f"{value}, read at {(partition, offset)}, is not there at the end")
            place = index.get(partition, {}).get(offset)
            if place is None:
                continue
            expected = position.get(partition, 0)
            if place != expected and not (partition not in position and self.deleted.get(partition)):
                name = "poll-skip" if place > expected else "nonmonotonic-poll"
                self.found(name, f"{partition}: {offset} instead of {order[partition][expected] if expected < len(order[partition]) else 'the end'}")
            position[partition] = place + 1

    def look_at_marks(self, lines):
        last, held = {}, {}
        for words in lines:
            if words[0] != "mark":
                continue
            partition, epoch, moment = int(words[1]), int(words[2]), float(words[6])
            now = dict(zip(("high-watermark", "last-stable", "log-start"), map(int, words[3:6])))
            for name, value in now.items():
                before = last.get((partition, epoch), now)[name]
                if value < before:
                    self.found(f"{name}-back", f"{partition}: {before}, then {value}, both in epoch {epoch}")
            if not now["log-start"] <= now["last-stable"] <= now["high-watermark"]:
                self.found("marks-in-disorder", f"{partition}: {now}")
            last[partition, epoch] = now
            if now["last-stable"] == now["high-watermark"] or held.get(partition, (None,))[0] != now["last-stable"]:
                held[partition] = (now["last-stable"], moment)
            elif moment - held[partition][1] > HELD_BACK:
                self.found("last-stable-stuck", f"{partition}: at {now['last-stable']} for {moment - held[partition][1]:.0f} s")
                held[partition] = (now["last-stable"], moment)

    def look_at_a_group(self, lines):
        known = {}
        for words in lines:
            if words[0] in ("commit", "group"):
                partition, offset = int(words[1]), int(words[2])
                if offset < known.get(partition, -1):
                    self.found("group-offset-back", f"{partition}: {offset} after {known[partition]}")
                known[partition] = max(known.get(partition, -1), offset)


def compare(folders):
    """The copies of a partition, each as its folder of segments ({name: folder}; a copy may begin later than others): every batch that two have is
    the same. What a checksum shows to be damaged is no difference, since it is never served. Returns the anomalies, how many batches
    were compared, and how many are damaged."""
    anomalies, known, compared, damaged = [], {}, 0, 0
    for name, folder in folders.items():
        expected = None
        for base, data in read_batches(Path(folder)):
            if data is None:
                damaged, expected = damaged + 1, None
                continue
            if expected is not None and base != expected:
                anomalies.append(f"hole: {base} follows {expected - 1} in {name}")
            expected = base + struct.unpack_from(">i", data, 23)[0] + 1
            if base not in known:
                known[base] = (data, name)
                continue
            compared += 1
            other, whose = known[base]
            if data != other:
                if not sound(data):
                    damaged, expected = damaged + 1, None
                elif not sound(other):
                    damaged, known[base] = damaged + 1, (data, name)
                else:
                    anomalies.append(f"replicas-differ: at {base}, {whose} and {name}")
    return anomalies, compared, damaged


def read_batches(folder):
    """(base offset, bytes) of each batch in the segments of a folder; (base offset, None) where a segment can't be read on."""
    for segment in sorted(folder.glob("*.log")):
        data, at, last = segment.read_bytes(), 0, int(segment.stem) - 1
        while at < len(data):
            if at + 61 > len(data):
                yield last + 1, None
                break
            base, length = struct.unpack_from(">qi", data, at)
            if base <= last or length < 49 or at + 12 + length > len(data):
                yield last + 1, None
                break
            yield base, data[at:at + 12 + length]
            last = base + struct.unpack_from(">i", data, at + 23)[0]
            at += 12 + length


CONTROL, TRANSACTIONAL = 1 << 5, 1 << 4


def batches_at(folders, offsets):
    """What the headers of the batches that hold these offsets say, for the message of a failure."""
    told = {}
    for folder in folders.values():
        for base, data in read_batches(Path(folder)):
            if data is None:
                continue
            epoch, _, _, attributes, delta, begun, _, producer, producer_epoch, sequence, count = struct.unpack_from(">iBIhiqqqhii", data, 12)
            if not any(base <= offset <= base + delta for offset in offsets):
                continue
            what = f"{count} records"
            if attributes & CONTROL:
                # The only record of a marker: its key is version and kind, its value version and coordinator epoch.
                what = ("abort", "commit")[data[61 + 5 + 3]] + f" of coordinator {struct.unpack_from('>i', data, 61 + 5 + 4 + 1 + 2)[0]}"
            else:
                what += " in a transaction" * bool(attributes & TRANSACTIONAL)
                values = re.findall(rb"[a-z]+(?:-[a-z]+)* \d+", data[61:])[:3]  # as `history.py` writes them
                what += f" ({', '.join(value.decode() for value in values)})" if values else ""
            told[base] = f"{base}: {what}, leader epoch {epoch}, producer {producer}.{producer_epoch} from {sequence}, at {begun} ms"
    return [told[base] for base in sorted(told)]


def around(anomalies, copies):
    """The batches around what anomalies name (`(partition, offset)`), as they lie in `copies(topic, partition)`."""
    places = {(int(p), int(o)) for anomaly in anomalies for p, o in re.findall(r"\((\d+), (\d+)\)", anomaly)}
    lines = []
    for topic in ("t", "x"):
        for partition in sorted({p for p, _ in places}):
            near = {o + i for p, o in places if p == partition for i in range(-8, 9)}
            lines += [f"{topic}-{partition}", *batches_at(copies(topic, partition), near)]
    return "\n".join(lines)


def sound(batch):
    """Whether the batch's own checksum holds."""
    return struct.unpack_from(">I", batch, 17)[0] == crc32c(batch[21:])
