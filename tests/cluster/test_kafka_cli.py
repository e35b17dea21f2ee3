"""Kafka's command line tools against Esker and against Apache Kafka: the same calls, the same outputs.

All tools run in one JVM (`tests/clients/java/Tools.java`), a call to each side after the other. What must differ is put into
words that are equal on both sides: addresses, ids of topics, folders, times, sizes on disk; for errors the exit code and which of
Kafka's errors it is. Unknown topic configs are not compared: we keep them, as they do no harm, and Kafka refuses them.
"""

import difflib
import json
import re
import subprocess

from confluent_kafka import Producer

from case import ClusterCase, slow
from kafka_peer import wait_for
from processes import CACHE, JAVA, KAFKA_JARS, Kafka

TOOLS = "org.apache.kafka.tools"
TOPICS, OFFSETS, PRODUCER = f"{TOOLS}.TopicCommand", f"{TOOLS}.GetOffsetShell", f"{TOOLS}.ConsoleProducer"
CONFIGS, GROUPS = "kafka.admin.ConfigCommand", f"{TOOLS}.consumer.group.ConsumerGroupCommand"
CONSUMER, REASSIGN = f"{TOOLS}.consumer.ConsoleConsumer", f"{TOOLS}.reassign.ReassignPartitionsCommand"
ELECT, LOG_DIRS, QUORUM = f"{TOOLS}.LeaderElectionCommand", f"{TOOLS}.LogDirsCommand", f"{TOOLS}.MetadataQuorumCommand"
FEATURES, TRANSACTIONS, ACLS = f"{TOOLS}.FeatureCommand", f"{TOOLS}.TransactionsCommand", "org.apache.kafka.tools.AclCommand"
DELETE_RECORDS, CLIENT_METRICS = f"{TOOLS}.DeleteRecordsCommand", f"{TOOLS}.ClientMetricsCommand"
API_VERSIONS, PRODUCER_PERF = f"{TOOLS}.BrokerApiVersionsCommand", f"{TOOLS}.ProducerPerformance"
CONSUMER_PERF = f"{TOOLS}.ConsumerPerformance"

SETTINGS = {"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS", "group.initial.rebalance.delay.ms": 0}

PLAIN = [
    (re.compile(r"(127\.0\.0\.1|localhost):\d+"), "ADDRESS"),
    (re.compile(r"TopicId: \S+"), "TopicId: ID"),
    (re.compile(r"console-consumer-\d+"), "console-consumer-N"),
    (re.compile(r'"log_dirs":\["/[^"]*"\]'), '"log_dirs":["FOLDER"]'),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(,\d+|[:.]\d+)?"), "TIME"),
]


def plain(text):
    """Words that are equal on both sides, without what the eye does not see."""
    for pattern, word in PLAIN:
        text = pattern.sub(word, text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines() if line.strip()]


class Jvm:
    """The JVM that runs the tools."""

    def __init__(self, processes):
        self.errors = open(processes.dir / "tools.err", "w")
        command = [*JAVA, f"{CACHE}/java-client:{KAFKA_JARS}/*", "Tools"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)

    def call(self, main, arguments, input=""):
        self.process.stdin.write(json.dumps({"main": main, "args": [str(a) for a in arguments], "input": input}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the JVM of the tools ended at {main} {arguments}: {open(self.errors.name).read()[-2000:]}")
        return json.loads(line)

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()
        self.errors.close()


class KafkasTools(ClusterCase):
    """Both brokers, one after the other asked the same."""

    def start(self):
        self.kafka = Kafka(self.processes, settings={**SETTINGS, "log.segment.bytes": 1048576}, heap="512m")
        self.esker = self.dev(1, settings=SETTINGS)
        wait_for(self.kafka)
        self.jvm = Jvm(self.processes)
        self.addCleanup(self.jvm.end)
        self.sides = {"Esker": self.esker.bootstrap, "Kafka": self.kafka.bootstrap}
        self.wrong = []

    def file(self, name, content):
        path = self.processes.dir / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def both(self, main, *arguments, input="", see=plain, at="--bootstrap-server", exit=None):
        """The same call to both; notes the difference of what `see` makes of the outputs. Returns Esker's answer."""
        seen, answers = {}, {}
        for side, bootstrap in self.sides.items():
            before = [at, bootstrap] if at else [a.replace("{bootstrap}", bootstrap) for a in ()]
            given = [str(a).replace("{bootstrap}", bootstrap) for a in arguments]
            answer = self.jvm.call(main, [*before, *given], input)
            answers[side] = answer
            text = answer["out"] + answer["err"]
            if exit is not None and answer["exit"] != exit:
                self.wrong.append(f"{main} {given} at {side}: exit {answer['exit']}, not {exit}\n{text}")
            seen[side] = [f"exit {answer['exit']}", *see(text)]
        if seen["Esker"] != seen["Kafka"]:
            lines = difflib.unified_diff(seen["Kafka"], seen["Esker"], "Kafka", "Esker", lineterm="", n=1)
            self.wrong.append(f"{main} {' '.join(map(str, arguments))}\n" + "\n".join(lines))
        return answers["Esker"]

    @slow
    def test_every_tool_says_to_esker_what_it_says_to_kafka(self):
        self.start()
        self.topics()
        self.records()
        self.configs()
        self.groups()
        self.acls()
        self.placement()
        self.cluster()
        self.performance()
        self.assertFalse(self.wrong, "\n\n".join(self.wrong))

    def topics(self):
        create = ["--create", "--partitions", 3, "--replication-factor", 1]
        self.both(TOPICS, *create, "--topic", "t", "--config", "retention.ms=7200000", exit=0)
        self.both(TOPICS, *create, "--topic", "t", exit=1, see=first_words)
        self.both(TOPICS, *create, "--topic", "t", "--if-not-exists", exit=0)
        self.both(TOPICS, *create, "--topic", "small.name", exit=0)
        self.both(TOPICS, "--create", "--topic", "wide", "--partitions", 1, "--replication-factor", 5, exit=1, see=first_words)
        self.both(TOPICS, "--create", "--topic", "bad name", "--partitions", 1, exit=1, see=first_words)
        self.both(TOPICS, "--create", "--topic", "bad", "--config", "retention.ms=soon", exit=1, see=no_text)
        self.both(TOPICS, "--list", exit=0, see=sorted_lines)
        self.both(TOPICS, "--describe", "--topic", "t", exit=0, see=own_configs)
        self.both(TOPICS, "--describe", "--topic", "absent", exit=1, see=first_words)
        self.both(TOPICS, "--describe", "--under-replicated-partitions", exit=0)
        self.both(TOPICS, "--describe", "--unavailable-partitions", exit=0)
        self.both(TOPICS, "--describe", "--topics-with-overrides", exit=0, see=own_configs)
        self.both(TOPICS, "--alter", "--topic", "t", "--partitions", 4, exit=0)
        self.both(TOPICS, "--alter", "--topic", "t", "--partitions", 2, exit=1, see=first_words)
        self.both(TOPICS, "--describe", "--topic", "t", exit=0, see=own_configs)
        self.both(TOPICS, "--delete", "--topic", "small.name", exit=0)
        self.both(TOPICS, "--delete", "--topic", "absent", exit=1, see=first_words)

    def records(self):
        lines = "".join(f"k{i}:v{i}\n" for i in range(20))
        self.both(PRODUCER, "--topic", "t", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:", input=lines,
                  exit=0)
        self.both(PRODUCER, "--topic", "t", "--compression-codec", "zstd", input="a\nb\n", exit=0)
        read = ["--topic", "t", "--from-beginning", "--timeout-ms", 60000, "--max-messages", 22,
                "--formatter-property", "print.key=true", "--formatter-property", "print.partition=true",
                "--formatter-property", "print.offset=true"]
        # Records without keys go to a partition that the producer draws.
        self.both(CONSUMER, *read, exit=0, see=lambda text: sorted(
            line for line in plain(text) if line.startswith("Partition") and "null" not in line))
        self.both(OFFSETS, "--topic", "t", "--time", -2, exit=0)
        self.both(OFFSETS, "--topic", "t", "--time", "earliest", exit=0)
        self.both(OFFSETS, "--topic", "t", exit=0, see=lambda text: [str(sum(int(line.split(":")[2]) for line in plain(text)))])
        self.both(OFFSETS, "--topic", "absent", exit=1, see=first_words)
        cut = self.file("cut.json", {"version": 1, "partitions": [{"topic": "t", "partition": 0, "offset": 1}]})
        self.both(DELETE_RECORDS, "--offset-json-file", cut, exit=0)
        self.both(OFFSETS, "--topic", "t", "--partitions", 0, "--time", -2, exit=0)
        beyond = self.file("beyond.json", {"version": 1, "partitions": [{"topic": "t", "partition": 0, "offset": 1000}]})
        self.both(DELETE_RECORDS, "--offset-json-file", beyond, see=first_words)

    def configs(self):
        topic, broker, all_brokers = ["--topic", "t"], ["--broker", 1], ["--broker-defaults"]
        self.both(CONFIGS, "--describe", *topic, exit=0, see=values_only)
        self.both(CONFIGS, "--alter", *topic, "--add-config", "segment.bytes=1048576,cleanup.policy=[delete,compact]", exit=0)
        self.both(CONFIGS, "--describe", *topic, exit=0, see=values_only)
        self.both(CONFIGS, "--alter", *topic, "--delete-config", "cleanup.policy", exit=0)
        self.both(CONFIGS, "--alter", *topic, "--delete-config", "flush.ms", exit=0)
        self.both(CONFIGS, "--alter", *topic, "--add-config", "segment.bytes=many", exit=1, see=no_text)
        self.both(CONFIGS, "--alter", "--topic", "absent", "--add-config", "segment.bytes=1048576", exit=1, see=no_text)
        self.both(CONFIGS, "--describe", *topic, "--all", exit=0, see=known_topic_configs)
        # At run time: for one broker over all brokers over the file.
        self.both(CONFIGS, "--alter", *broker, "--add-config", "log.retention.ms=5400000", exit=0)
        self.both(CONFIGS, "--alter", *all_brokers, "--add-config", "log.retention.ms=3600000,max.connections=900", exit=0)
        self.both(CONFIGS, "--describe", *broker, exit=0, see=values_only)
        self.both(CONFIGS, "--describe", *all_brokers, exit=0, see=values_only)
        self.both(CONFIGS, "--alter", *broker, "--delete-config", "log.retention.ms", exit=0)
        self.both(CONFIGS, "--describe", *broker, exit=0, see=values_only)
        self.both(CONFIGS, "--alter", *all_brokers, "--delete-config", "log.retention.ms,max.connections", exit=0)
        self.both(CONFIGS, "--alter", *broker, "--add-config", "node.id=7", exit=1, see=nothing)
        self.both(CONFIGS, "--alter", *broker, "--add-config", "log.retention.ms=soon", exit=1, see=nothing)
        self.both(CONFIGS, "--alter", "--group", "g", "--add-config", "consumer.session.timeout.ms=50000", exit=0)
        self.both(CONFIGS, "--describe", "--group", "g", exit=0, see=values_only)
        self.both(CONFIGS, "--alter", "--group", "g", "--add-config", "consumer.session.timeout.ms=1", exit=1, see=no_text)
        self.both(CONFIGS, "--alter", "--user", "alice", "--add-config", "producer_byte_rate=1024", exit=0)
        self.both(CONFIGS, "--describe", "--user", "alice", exit=0)
        self.both(CONFIGS, "--alter", "--client-metrics", "m", "--add-config",
                  "metrics=org.apache.kafka.producer.,interval.ms=1000,match=[client_id=x.*]", exit=0)
        self.both(CONFIGS, "--describe", "--client-metrics", "m", exit=0, see=values_only)
        self.both(CLIENT_METRICS, "--list", exit=0)
        self.both(CLIENT_METRICS, "--describe", "--name", "m", exit=0, see=values_only)
        self.both(CLIENT_METRICS, "--alter", "--name", "n", "--metrics", "org.apache.kafka.", "--interval", 5000, exit=0)
        self.both(CLIENT_METRICS, "--alter", "--name", "n", "--interval", 5, exit=1, see=no_text)
        self.both(CLIENT_METRICS, "--alter", "--name", "n", "--match", "user=x", exit=1, see=no_text)
        self.both(CLIENT_METRICS, "--list", exit=0, see=sorted_lines)
        self.both(CLIENT_METRICS, "--delete", "--name", "n", exit=0)
        self.both(CLIENT_METRICS, "--list", exit=0)

    def groups(self):
        read = ["--topic", "t", "--group", "g", "--from-beginning", "--timeout-ms", 60000, "--max-messages", 21]
        self.both(CONSUMER, *read, exit=0, see=no_text)
        self.both(GROUPS, "--list", exit=0, see=sorted_lines)
        self.both(GROUPS, "--list", "--state", exit=0, see=sorted_lines)
        self.both(GROUPS, "--describe", "--group", "g", exit=0, see=lag_only)
        self.both(GROUPS, "--describe", "--group", "g", "--state", exit=0, see=lambda text: plain(text.replace("(1)", " (1)")))
        self.both(GROUPS, "--describe", "--group", "g", "--members", exit=0)
        self.both(GROUPS, "--describe", "--group", "absent", see=first_words)
        reset = ["--reset-offsets", "--group", "g", "--topic", "t"]
        self.both(GROUPS, *reset, "--to-earliest", "--dry-run", exit=0, see=sorted_lines)
        self.both(GROUPS, *reset, "--to-earliest", "--execute", exit=0, see=sorted_lines)
        self.both(GROUPS, *reset, "--shift-by", 1, "--execute", exit=0, see=sorted_lines)
        self.both(GROUPS, *reset, "--to-offset", 2, "--execute", exit=0, see=sorted_lines)
        self.both(GROUPS, *reset, "--to-datetime", "2020-01-01T00:00:00.000", "--execute", exit=0, see=sorted_lines)
        self.both(GROUPS, *reset, "--to-latest", "--execute", exit=0, see=lambda text: [str(len(plain(text)))])
        self.both(GROUPS, "--reset-offsets", "--group", "g", "--topic", "t:1", "--to-earliest", "--execute", exit=0)
        self.both(GROUPS, "--delete-offsets", "--group", "g", "--topic", "t:1", exit=0)
        self.both(GROUPS, "--delete-offsets", "--group", "g", "--topic", "absent", see=first_words)
        self.both(GROUPS, "--delete", "--group", "g", exit=0)
        self.both(GROUPS, "--delete", "--group", "g", see=first_words)
        self.both(GROUPS, "--list", exit=0)

    def acls(self):
        allow = ["--add", "--allow-principal", "User:alice", "--operation", "Read", "--operation", "Write"]
        self.both(ACLS, *allow, "--topic", "t", exit=0, see=sorted_lines)
        self.both(ACLS, *allow, "--topic", "pre", "--resource-pattern-type", "prefixed", exit=0, see=sorted_lines)
        self.both(ACLS, "--add", "--deny-principal", "User:bob", "--deny-host", "10.0.0.1", "--group", "g", "--operation", "All",
                  exit=0, see=sorted_lines)
        self.both(ACLS, "--list", exit=0, see=sorted_lines)
        self.both(ACLS, "--list", "--topic", "prefix", "--resource-pattern-type", "match", exit=0, see=sorted_lines)
        self.both(ACLS, "--remove", "--force", "--topic", "t", exit=0, see=sorted_lines)
        self.both(ACLS, "--list", "--principal", "User:alice", exit=0, see=sorted_lines)
        self.both(ACLS, "--remove", "--force", "--group", "g", exit=0, see=sorted_lines)

    def placement(self):
        one = {"version": 1, "partitions": [{"topic": "t", "partition": 0, "replicas": [1]}]}
        plan = self.file("plan.json", one)
        far = self.file("far.json", {"version": 1, "partitions": [{"topic": "t", "partition": 0, "replicas": [9]}]})
        move = self.file("topics.json", {"version": 1, "topics": [{"topic": "t"}]})
        self.both(REASSIGN, "--generate", "--topics-to-move-json-file", move, "--broker-list", 1, exit=0)
        self.both(REASSIGN, "--execute", "--reassignment-json-file", plan, exit=0)
        self.both(REASSIGN, "--verify", "--reassignment-json-file", plan, exit=0)
        self.both(REASSIGN, "--execute", "--reassignment-json-file", far, exit=1, see=first_words)
        self.both(REASSIGN, "--list", exit=0)
        self.both(REASSIGN, "--cancel", "--reassignment-json-file", plan, exit=0)
        election = ["--election-type", "preferred", "--topic", "t", "--partition", 0]
        self.both(ELECT, *election, exit=0)
        self.both(ELECT, "--election-type", "preferred", "--topic", "absent", "--partition", 0, exit=1, see=no_text)
        self.both(LOG_DIRS, "--describe", "--topic-list", "t", exit=0, see=log_dirs)

    def cluster(self):
        self.both(QUORUM, "describe", "--status", exit=0, see=quorum_status)
        self.both(QUORUM, "describe", "--replication", exit=0, see=quorum_replication)
        self.both(FEATURES, "describe", exit=0, see=shared_features)
        self.both(FEATURES, "upgrade", "--feature", "no.such.feature=1", exit=1, see=no_text)
        self.both(TRANSACTIONS, "list", exit=0)
        self.both(TRANSACTIONS, "describe-producers", "--topic", "t", "--partition", 0, exit=0, see=producers)
        self.both(TRANSACTIONS, "describe-producers", "--topic", "t", "--partition", 99, exit=1, see=first_words)
        self.both(TRANSACTIONS, "describe-producers", "--topic", "absent", "--partition", 0, exit=1, see=first_words)
        self.transactions()
        self.both(TRANSACTIONS, "describe", "--transactional-id", "absent", exit=1, see=first_words)
        self.both(TRANSACTIONS, "find-hanging", "--broker-id", 1, exit=0)
        self.both(API_VERSIONS, exit=0, see=api_keys)

    def transactions(self):
        """One transaction that is left open on each side, seen by the tool and aborted by it."""
        open_ones = {}
        for side, bootstrap in self.sides.items():
            made = Producer({"bootstrap.servers": bootstrap, "transactional.id": "left-open", "log_level": 0})
            made.init_transactions(60)
            made.begin_transaction()
            made.produce("t", "open", partition=3)
            self.assertEqual(made.flush(60), 0, side)
            open_ones[side] = made
        self.both(TRANSACTIONS, "list", exit=0, see=transactions)
        self.both(TRANSACTIONS, "describe", "--transactional-id", "left-open", exit=0, see=transactions)
        self.both(TRANSACTIONS, "describe-producers", "--topic", "t", "--partition", 3, exit=0, see=producers)
        self.both(TRANSACTIONS, "find-hanging", "--broker-id", 1, "--max-transaction-timeout", 1, exit=0, see=transactions)
        # The last offsets are where the records went, and the transaction began there.
        starts = {}
        for side, bootstrap in self.sides.items():
            told = self.jvm.call(TRANSACTIONS, ["--bootstrap-server", bootstrap, "describe-producers", "--topic", "t", "--partition", "3"])
            starts[side] = [row.split()[-1] for row in plain(told["out"])[1:] if row.split()[-1] != "None"]
            self.assertEqual(len(starts[side]), 1, told)
            aborted = self.jvm.call(TRANSACTIONS, ["--bootstrap-server", bootstrap, "abort", "--topic", "t", "--partition", "3",
                                                   "--start-offset", starts[side][0]])
            self.assertEqual(aborted["exit"], 0, (side, aborted))
        self.both(TRANSACTIONS, "describe-producers", "--topic", "t", "--partition", 3, exit=0, see=producers)
        self.both(TRANSACTIONS, "abort", "--topic", "t", "--partition", 3, "--start-offset", 0, exit=1, see=first_words)

    def performance(self):
        quick = ["--topic", "t", "--record-size", 100, "--throughput", -1]
        self.both(PRODUCER_PERF, *quick, "--num-records", 2000, exit=0, see=performance)
        self.both(PRODUCER_PERF, *quick, "--num-records", 500, "--command-property", "acks=1", "compression.type=lz4", exit=0,
                  see=performance)
        # In transactions, at a rate; the figures are each machine's own, how many records there are and what is told are not.
        self.both(PRODUCER_PERF, "--topic", "t", "--record-size", 100, "--throughput", 2000, "--num-records", 1000, "--transactional-id", "perf",
                  "--transaction-duration-ms", 50, exit=0, see=performance)
        self.both(CONSUMER_PERF, "--topic", "t", "--num-records", 2500, "--timeout", 20000, exit=0, see=performance)
        self.both(CONSUMER_PERF, "--topic", "t", "--num-records", 500, "--timeout", 20000, "--group", "perf", "--show-detailed-stats",
                  "--reporting-interval", 100_000, exit=0, see=performance)


def performance(text):
    """What is told, and of how many records: the names of the figures, not the figures."""
    lines = [line for line in plain(text) if not line.startswith("WARNING")]
    sent = [re.match(r"\d+ records sent", line)[0] for line in lines[-1:] if "records sent" in line]
    named = [re.sub(r"[\d.,]+", "#", line) for line in lines[-1:]] if sent else lines[:1]
    return [*sent, *named]


def producers(text):
    """The columns, and how many have a transaction open: records without keys, and with them their producers, go to a partition that the
    producer draws."""
    rows = plain(text)
    return [*rows[:1], f"{sum(row.split()[-1].isdigit() for row in rows[1:])} open"]


def transactions(text):
    """Ids, states and partitions; the coordinator is broker 1 on both sides, producer ids and times are each side's own."""
    # Time-out, start and how long it is open already: milliseconds, of any number of digits.
    lines = [re.sub(r"\bOngoing \d+ \d+ \d+\b", "Ongoing N N N", line) for line in plain(text)]
    return [re.sub(r"\b\d{3,}\b|\b\d+ms\b", "N", re.sub(r"(left-open|perf)( \d+)( \d+)", r"\1\2 ID", line)) for line in lines]


def first_words(text):
    """That it says the same thing, by the first line that is no stack: its words differ."""
    lines = [line for line in plain(text) if not line.startswith(("at ", "Caused by", "["))]
    kinds = re.findall(r"org\.apache\.kafka\.common\.errors\.(\w+)", text)
    return kinds[:1] or [re.sub(r"[^A-Za-z ]", "", line.split(":")[0])[:30].strip() for line in lines[:1]]


def no_text(text):
    """Only the exit code, and which error of Kafka's it is."""
    return sorted(set(re.findall(r"org\.apache\.kafka\.common\.errors\.(\w+)", text)))


def nothing(_):
    """Only the exit code: we say which config is wrong (INVALID_CONFIG), Kafka that the request is."""
    return []


def sorted_lines(text):
    return sorted(plain(text))


def own_configs(text):
    """Kafka's file sets log.segment.bytes, which its tool shows among a topic's configs; ours says what is the topic's own."""
    return [re.sub(r"Configs: .*", "Configs: " + ",".join(sorted(re.findall(r"(retention\.ms=\d+)", line))), line)
            for line in plain(text)]


def values_only(text):
    """Names with values: synonyms have the defaults of each side."""
    found = []
    for line in plain(text):
        named = re.match(r"(\S+?)=(.*?) sensitive=(\w+)", line)
        source = re.search(r"synonyms=\{(\w+)", line)
        found.append(f"{named[1]}={named[2]} {named[3]} {source and source[1]}" if named else line)
    return sorted(found)


#: Topic configs of Kafka that we have not, or whose defaults differ on purpose.
TOPIC_CONFIGS_APART = {"file.delete.delay.ms", "preallocate", "segment.jitter.ms", "errors.deadletterqueue.topic.name"}


def known_topic_configs(text):
    """Every topic config of Kafka with its value; ours may be more."""
    found = {}
    for line in plain(text):
        named = re.match(r"(\S+?)=(.*?) sensitive=", line)
        if named and not named[1].startswith("tier.") and named[1] not in TOPIC_CONFIGS_APART:
            found[named[1]] = named[2]
    return [f"{name}={value}" for name, value in sorted(found.items())]


def lag_only(text):
    """Which partitions, and that nothing is assigned; offsets depend on where the producer put records without keys."""
    rows = [line.split() for line in plain(text) if line.startswith("g ")]
    total = sum(int(row[5]) for row in rows if row[5].isdigit())
    return [*sorted(f"{row[1]} {row[2]} {row[6:]}" for row in rows), f"lag {total}"]


def log_dirs(text):
    """Which partitions lie there; folders and sizes are each side's own."""
    found = json.loads(next(line for line in text.splitlines() if line.startswith("{")))
    return [f"broker {b['broker']} {sorted(p['partition'] for p in d['partitions'])} {d['error']}"
            for b in found["brokers"] for d in b["logDirs"]]


def quorum_status(text):
    """The names of what is told, and who votes."""
    rows = dict(line.split(":", 1) for line in plain(text) if ":" in line)
    return [*sorted(rows), rows["LeaderId"].strip(), str(len(json.loads(re.sub(r"ADDRESS", "", rows["CurrentVoters"]))))
            if rows["CurrentVoters"].strip().startswith("[{") else rows["CurrentVoters"].strip()]


def quorum_replication(text):
    rows = [line.split() for line in plain(text)]
    return [" ".join(rows[0]), *(f"{row[0]} {row[-1]}" for row in rows[1:])]


def shared_features(text):
    """Features of both, at which level; metadata.version and what is not built yet are Kafka's alone, esker.commands is ours."""
    apart = ("esker.commands", "metadata.version", "kraft.version", "share.version", "streams.version", "eligible.leader.replicas.version")
    rows = [re.sub(r"SupportedMinVersion.*FinalizedVersionLevel", "FinalizedVersionLevel", line) for line in plain(text)]
    return sorted(re.sub(r"Epoch: \d+", "", row) for row in rows if row.startswith("Feature") and not any(a in row for a in apart))


#: APIs of Kafka that are not served (share and streams groups, delegation tokens, moves between directories).
APIS_APART = {"CreateDelegationToken", "RenewDelegationToken", "ExpireDelegationToken", "DescribeDelegationToken",
              "AlterReplicaLogDirs", "StreamsGroupHeartbeat", "StreamsGroupDescribe", "ShareGroupHeartbeat", "ShareGroupDescribe",
              "ShareFetch", "ShareAcknowledge", "InitializeShareGroupState", "ReadShareGroupState", "WriteShareGroupState",
              "DeleteShareGroupState", "ReadShareGroupStateSummary", "DescribeShareGroupOffsets", "AlterShareGroupOffsets",
              "DeleteShareGroupOffsets",
              # Kafka serves these once a plugin takes what clients push; ours go to the collector.
              "GetTelemetrySubscriptions", "PushTelemetry"}


def api_keys(text):
    """The APIs that both serve, and the versions that a client would use with either."""
    found = []
    for line in plain(text):
        named = re.match(r"(\w+)\((\d+)\): (.*?),?$", line)
        if named and named[1] not in APIS_APART and "UNSUPPORTED" not in named[3]:
            found.append(f"{named[1]} {re.search(r'usable: (.*?)]', line)[1] if 'usable' in line else named[3]}")
    return sorted(found)
