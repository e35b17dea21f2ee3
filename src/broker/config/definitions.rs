//! Every broker property that is understood: its name (Kafka's where Kafka has one), type, bounds, default and meaning.
//!
//! Start-up checks, `DescribeConfigs` and the reference in the documentation all read this one table.

use super::definition::{Definition, Kind, bool, decimal, for_topic, list, number, one_of, text};
use super::security_definitions::SECURITY;

const I32: i64 = i32::MAX as i64;
const I64: i64 = i64::MAX;
/// Days in milliseconds.
const SEVEN_DAYS: &str = "604800000";

/// All broker properties.
pub const DEFINITIONS: &[Definition] = &ALL;

const ALL: [Definition; OTHERS.len() + SECURITY.len()] = {
    let mut all = [OTHERS[0]; OTHERS.len() + SECURITY.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < OTHERS.len() { OTHERS[at] } else { SECURITY[at - OTHERS.len()] };
        at += 1;
    }
    all
};

/// All that are not about security.
const OTHERS: &[Definition] = &[
    list(
        "admin.listeners",
        None,
        "HTTP for health, metrics, the REST API and the console: `http://host:port` or `https://host:port` (with the \
         listeners' certificate); without it there is none.",
    ),
    bool(
        "admin.metrics.anonymous",
        "false",
        "Whether /metrics is told to everybody who reaches an admin listener.",
    ),
    list(
        "advertised.listeners",
        None,
        "Addresses given to clients, `NAME://host:port`; default: the listeners.",
    ),
    bool("auto.create.topics.enable", "true", "Create a topic when a client asks for its metadata."),
    bool(
        "auto.leader.rebalance.enable",
        "true",
        "Partitions go back to their preferred leaders by themselves.",
    ),
    text("broker.rack", None, "The failure zone of this broker; replicas are spread over racks."),
    number(
        "broker.session.timeout.ms",
        "1500",
        1_500,
        60_000,
        "A broker that the metadata leader has not heard for so long is fenced.",
    ),
    text("cluster.id", None, "The cluster's id; drawn when the cluster is formed if absent."),
    for_topic(
        "compression.gzip.level",
        number(
            "compression.gzip.level",
            "-1",
            -1,
            9,
            "Level of gzip where the broker compresses; -1: zlib's.",
        ),
    ),
    for_topic(
        "compression.lz4.level",
        number("compression.lz4.level", "9", 1, 17, "Accepted; lz4 has one level here."),
    ),
    for_topic(
        "compression.type",
        one_of(
            "compression.type",
            "producer",
            &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"],
            "How batches are stored.",
        ),
    ),
    for_topic(
        "compression.zstd.level",
        number("compression.zstd.level", "3", -131_072, 22, "Level of zstd where the broker compresses."),
    ),
    list(
        "controller.quorum.voters",
        None,
        "The metadata quorum: `id@host:port` of each voter's peer listener.",
    ),
    number("default.replication.factor", "1", 1, 32_767, "Replicas of a topic that names no number."),
    one_of(
        "cordoned.log.dirs",
        "",
        &["", "*"],
        "`*`: no new replicas are placed on this broker (KIP-1066); set at run time, as `esker cluster drain` does.",
    ),
    bool("delete.topic.enable", "true", "Whether topics may be deleted."),
    number(
        "fetch.max.bytes",
        "57671680",
        1_024,
        I32,
        "The most bytes that one fetch returns (a first batch may be larger).",
    ),
    number(
        "follower.replication.throttled.rate",
        "9223372036854775807",
        1,
        I64,
        "Kept for Kafka's tools, which set it together with the leaders' rate; it is the leaders that keep to theirs.",
    ),
    number(
        "group.consumer.assignment.interval.ms",
        "1000",
        0,
        I32,
        "The least time between two assignments of a group of the consumer protocol.",
    ),
    list(
        "group.consumer.assignors",
        Some("uniform,range"),
        "Assignors of groups of the consumer protocol; the first is taken where members have no wish.",
    ),
    number(
        "group.consumer.heartbeat.interval.ms",
        "5000",
        1,
        I32,
        "How often members of the consumer protocol shall speak.",
    ),
    number(
        "group.consumer.max.assignment.interval.ms",
        "15000",
        0,
        I32,
        "The largest assignment interval that a group may have.",
    ),
    number(
        "group.consumer.max.heartbeat.interval.ms",
        "15000",
        1,
        I32,
        "The largest heartbeat interval that a group may have.",
    ),
    number(
        "group.consumer.max.session.timeout.ms",
        "60000",
        1,
        I32,
        "The largest session timeout that a group of the consumer protocol may have.",
    ),
    number(
        "group.consumer.max.size",
        "2147483647",
        1,
        I32,
        "The most members of a group of the consumer protocol.",
    ),
    one_of(
        "group.consumer.migration.policy",
        "bidirectional",
        &["bidirectional", "upgrade", "downgrade", "disabled"],
        "Which way groups may change between the classic and the consumer protocol while they have members.",
    ),
    number(
        "group.consumer.min.assignment.interval.ms",
        "0",
        0,
        I32,
        "The smallest assignment interval that a group may have.",
    ),
    number(
        "group.consumer.min.heartbeat.interval.ms",
        "5000",
        1,
        I32,
        "The smallest heartbeat interval that a group may have.",
    ),
    number(
        "group.consumer.min.session.timeout.ms",
        "45000",
        1,
        I32,
        "The smallest session timeout that a group of the consumer protocol may have.",
    ),
    number(
        "group.consumer.session.timeout.ms",
        "45000",
        1,
        I32,
        "How long a member of the consumer protocol may stay silent.",
    ),
    number(
        "group.initial.rebalance.delay.ms",
        "3000",
        0,
        I32,
        "How long a new group waits for more members.",
    ),
    number(
        "group.max.session.timeout.ms",
        "1800000",
        1,
        I32,
        "The largest session timeout of a group member.",
    ),
    number("group.max.size", "2147483647", 1, I32, "The most members of a group."),
    number("group.min.session.timeout.ms", "6000", 1, I32, "The smallest session timeout of a group member."),
    number(
        "leader.imbalance.check.interval.seconds",
        "300",
        1,
        I32,
        "How often it is checked which partitions are not led by their preferred leaders.",
    ),
    number(
        "leader.imbalance.per.broker.percentage",
        "10",
        0,
        100,
        "How much of what a broker should lead others may lead before it is given back.",
    ),
    number(
        "leader.replication.throttled.rate",
        "9223372036854775807",
        1,
        I64,
        "Bytes a second that this broker, as a leader, sends to throttled replicas that are not in sync; set at run time.",
    ),
    list(
        "listener.security.protocol.map",
        Some("PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL"),
        "The security protocol of each listener name.",
    ),
    list("listeners", Some("PLAINTEXT://127.0.0.1:9092"), "Client listeners, `NAME://host:port`."),
    number("log.cleaner.backoff.ms", "15000", 0, I64, "How long compaction rests when nothing is due."),
    number(
        "log.cleaner.dedupe.buffer.size",
        "134217728",
        24,
        I64,
        "Memory for the keys of one pass of compaction; 24 bytes per key.",
    ),
    for_topic(
        "delete.retention.ms",
        number(
            "log.cleaner.delete.retention.ms",
            "86400000",
            0,
            I64,
            "How long a tombstone can be read at least.",
        ),
    ),
    bool("log.cleaner.enable", "true", "Whether topics with cleanup.policy=compact are compacted."),
    decimal(
        "log.cleaner.io.max.bytes.per.second",
        "1.7976931348623157E308",
        1.0,
        f64::MAX,
        "What compaction reads and writes at most.",
    ),
    for_topic(
        "max.compaction.lag.ms",
        number(
            "log.cleaner.max.compaction.lag.ms",
            "9223372036854775807",
            1,
            I64,
            "Dirty records older than this are compacted whatever their share.",
        ),
    ),
    for_topic(
        "min.cleanable.dirty.ratio",
        decimal(
            "log.cleaner.min.cleanable.ratio",
            "0.5",
            0.0,
            1.0,
            "The dirty share of a log above which it is compacted.",
        ),
    ),
    for_topic(
        "min.compaction.lag.ms",
        number("log.cleaner.min.compaction.lag.ms", "0", 0, I64, "Younger records are not compacted."),
    ),
    number(
        "log.cleaner.threads",
        "1",
        0,
        I32,
        "Accepted; compaction runs one pass at a time, with all the memory for keys.",
    ),
    for_topic(
        "cleanup.policy",
        Definition {
            name: "log.cleanup.policy",
            kind: Kind::SomeOf(&["delete", "compact"]),
            default: Some("delete"),
            topic_config: None,
            doc: "What happens to old segments.",
        },
    ),
    list("log.dirs", Some("data"), "Folders of the partitions' logs."),
    for_topic(
        "flush.messages",
        number("log.flush.interval.messages", "9223372036854775807", 1, I64, "fsync after so many records."),
    ),
    for_topic(
        "flush.ms",
        number("log.flush.interval.ms", "9223372036854775807", 0, I64, "fsync after so much time."),
    ),
    for_topic(
        "index.interval.bytes",
        number(
            "log.index.interval.bytes",
            "4096",
            0,
            I32,
            "Log bytes between two entries of the offset index.",
        ),
    ),
    for_topic(
        "segment.index.bytes",
        number("log.index.size.max.bytes", "10485760", 4, I32, "The largest size of an index."),
    ),
    for_topic(
        "local.retention.bytes",
        number(
            "log.local.retention.bytes",
            "-2",
            -2,
            I64,
            "Bytes of a tiered partition kept locally; -2: as retention.bytes.",
        ),
    ),
    for_topic(
        "local.retention.ms",
        number(
            "log.local.retention.ms",
            "-2",
            -2,
            I64,
            "Time that records of a tiered partition stay local; -2: as retention.ms.",
        ),
    ),
    for_topic(
        "message.timestamp.after.max.ms",
        number(
            "log.message.timestamp.after.max.ms",
            "3600000",
            0,
            I64,
            "How far ahead of the broker's clock a timestamp may be.",
        ),
    ),
    for_topic(
        "message.timestamp.before.max.ms",
        number(
            "log.message.timestamp.before.max.ms",
            "9223372036854775807",
            0,
            I64,
            "How far behind the broker's clock a timestamp may be.",
        ),
    ),
    for_topic(
        "message.timestamp.type",
        one_of(
            "log.message.timestamp.type",
            "CreateTime",
            &["CreateTime", "LogAppendTime"],
            "Whose clock stamps records.",
        ),
    ),
    for_topic(
        "retention.bytes",
        number(
            "log.retention.bytes",
            "-1",
            -1,
            I64,
            "Bytes of a partition kept over both tiers; -1: no bound.",
        ),
    ),
    number("log.retention.check.interval.ms", "300000", 1, I64, "How often retention is checked."),
    for_topic(
        "retention.ms",
        number(
            "log.retention.ms",
            SEVEN_DAYS,
            -1,
            I64,
            "How long records are kept over both tiers; -1: for ever.",
        ),
    ),
    for_topic(
        "segment.ms",
        number("log.roll.ms", SEVEN_DAYS, 1, I64, "A segment older than this is closed."),
    ),
    for_topic(
        "segment.bytes",
        number("log.segment.bytes", "1073741824", 14, I32, "The largest size of a segment."),
    ),
    for_topic(
        "max.message.bytes",
        number("message.max.bytes", "1048588", 0, I32, "The largest batch that is taken."),
    ),
    number(
        "max.incremental.fetch.session.cache.slots",
        "1000",
        0,
        100_000,
        "Incremental fetch sessions that are kept; clients without one name their partitions each time.",
    ),
    number(
        "max.half.open.connections",
        "1000",
        4,
        I32,
        "Connections that have not proved who they are; an address may have a quarter of them.",
    ),
    text("metadata.log.dir", None, "Folder of the metadata log; default: the first of log.dirs."),
    number(
        "metadata.log.max.records.between.snapshots",
        "2000",
        10,
        I32,
        "Entries of the metadata log between two snapshots; half as many stay in the log behind one, for brokers that lag a \
         little.",
    ),
    for_topic(
        "min.insync.replicas",
        number("min.insync.replicas", "1", 1, 32_767, "In-sync replicas that acks=all needs."),
    ),
    number("node.id", "1", 0, I32, "This broker's id, unique in the cluster."),
    number("num.partitions", "1", 1, 100_000, "Partitions of a topic that names no number."),
    number("offset.metadata.max.bytes", "4096", 0, I32, "The largest metadata text of a committed offset."),
    number("offsets.retention.minutes", "10080", 1, I32, "Offsets of an empty group are kept so long."),
    number("offsets.topic.num.partitions", "50", 1, 10_000, "Partitions of __consumer_offsets."),
    number(
        "offsets.topic.replication.factor",
        "3",
        1,
        32_767,
        "Replicas of __consumer_offsets, at most one a broker.",
    ),
    number("offsets.topic.segment.bytes", "104857600", 14, I32, "Segment size of __consumer_offsets."),
    text(
        "peer.advertised.listener",
        None,
        "`host:port` by which other brokers reach the peer listener; default: peer.listener.",
    ),
    text(
        "peer.listener",
        Some("127.0.0.1:9093"),
        "`host:port` of the broker-to-broker listener (UDP for quic, TCP for tcp).",
    ),
    one_of("peer.transport", "quic", &["quic", "tcp"], "How brokers talk to each other."),
    number("producer.id.expiration.ms", "86400000", 1, I32, "An idle producer is forgotten after this time."),
    number(
        "queued.max.request.bytes",
        "268435456",
        1_048_576,
        I64,
        "Bytes of client requests held at once; above it connections are not read.",
    ),
    number(
        "queued.max.response.bytes",
        "268435456",
        1_048_576,
        I64,
        "Bytes of answers held at once; the less is left, the less a fetch returns.",
    ),
    number(
        "remote.fetch.max.wait.ms",
        "500",
        1,
        I32,
        "How long a fetch waits for the cold tier before it answers with what it has.",
    ),
    number(
        "remote.log.manager.copy.max.bytes.per.second",
        "9223372036854775807",
        1,
        I64,
        "Upload rate of this broker.",
    ),
    number(
        "remote.log.manager.fetch.max.bytes.per.second",
        "9223372036854775807",
        1,
        I64,
        "Download rate of this broker.",
    ),
    number(
        "remote.log.manager.task.interval.ms",
        "30000",
        1,
        I64,
        "How often a partition's tier is looked after.",
    ),
    for_topic(
        "remote.log.copy.disable",
        bool("tier.copy.disable", "false", "Stops copying to the tier; what is there stays readable."),
    ),
    for_topic(
        "remote.log.delete.on.disable",
        bool(
            "tier.delete.on.disable",
            "false",
            "Whether a topic whose tier is turned off gives up the records that are only there.",
        ),
    ),
    for_topic(
        "remote.storage.enable",
        bool("tier.default.enable", "false", "Whether topics are tiered unless they say otherwise."),
    ),
    number(
        "replica.lag.time.max.ms",
        "30000",
        1,
        I64,
        "A follower that has not caught up for so long leaves the ISR.",
    ),
    Definition {
        name: "replica.selector.class",
        kind: Kind::OneOf(&[
            "org.apache.kafka.common.replica.RackAwareReplicaSelector",
            "org.apache.kafka.common.replica.LeaderSelector",
        ]),
        default: None,
        topic_config: None,
        doc: "Which replica consumers read from: the leader, or one in their `client.rack` (KIP-392).",
    },
    number(
        "replica.session.timeout.ms",
        "1000",
        100,
        60_000,
        "A follower whose session is down for so long leaves the ISR.",
    ),
    number("request.timeout.ms", "30000", 1, I32, "The longest wait of a request for other brokers."),
    number("socket.request.max.bytes", "104857600", 1_024, I32, "The largest request frame."),
    number(
        "socket.send.deadline.ms",
        "30000",
        100,
        I32,
        "A client must take some bytes of its answer within this time.",
    ),
    number(
        "tier.backup.interval.ms",
        "300000",
        0,
        I64,
        "How often topics, configs, users, ACLs, quotas and committed offsets are written to the store, if they have changed; 0: never.",
    ),
    number(
        "tier.cache.bytes",
        "1073741824",
        0,
        I64,
        "Size of the chunk cache on disk; there is none for a store that is a folder on the same file system.",
    ),
    text(
        "tier.cache.dir",
        None,
        "Folder of the chunk cache; default: `tier-cache` in the first of log.dirs.",
    ),
    number(
        "tier.chunk.bytes",
        "1048576",
        65_536,
        16_777_216,
        "Size of a chunk of a segment object, adapted to batch bounds.",
    ),
    number(
        "tier.delete.grace.ms",
        "60000",
        0,
        I64,
        "Unpublished objects are kept so long for readers of an older manifest.",
    ),
    number(
        "tier.disk.full.bytes",
        "67108864",
        0,
        I64,
        "With less room than this on a log directory, `tier.disk.full.policy` of each tiered topic is in force.",
    ),
    for_topic(
        "tier.disk.full.policy",
        one_of(
            "tier.disk.full.default.policy",
            "reject",
            &["reject", "drop.oldest"],
            "On a full disk: reject appends until there is room, or give up the oldest records. What is in the tier only loses its local copy, as long as there is such; after that the log starts behind the oldest local segment, and all that is older goes from the tier too.",
        ),
    ),
    number(
        "tier.disk.low.bytes",
        "268435456",
        0,
        I64,
        "With less room than this, local copies of what is in the tier go, whatever local retention says.",
    ),
    number(
        "tier.incarnation",
        "0",
        0,
        I64,
        "Which life of the cluster this is, counted up and set by a restore: brokers of a life before the store's newest write nothing there.",
    ),
    number(
        "tier.incarnation.first.producer.id",
        "0",
        0,
        I64,
        "Producer ids below were given out in a life of the cluster before a restore, which sets this: a transactional producer that wants to go on under one is fenced.",
    ),
    number("tier.index.cache.bytes", "67108864", 1_048_576, I64, "Memory for footers and manifests."),
    for_topic(
        "tier.max.lag.ms",
        number(
            "tier.max.lag.default.ms",
            "-1",
            -1,
            I64,
            "An idle open segment of a tiered topic is closed after this time; -1: never.",
        ),
    ),
    number(
        "tier.scrub.bytes.per.second",
        "8388608",
        0,
        I64,
        "Rate at which objects of led partitions are read and checked in the background; 0: not at all.",
    ),
    number("tier.scrub.interval.ms", "604800000", 1, I64, "Pause between two passes of that check."),
    text("tier.store.url", None, "`file:///folder` or `s3://bucket/prefix`; without it nothing is tiered."),
    text("tier.store.endpoint", None, "Endpoint of an S3-compatible store, `http://host:port`."),
    text("tier.store.region", Some("us-east-1"), "Region of the store."),
    one_of(
        "tier.store.sse",
        "bucket",
        &["bucket", "AES256", "aws:kms"],
        "How the store encrypts what is written: as the bucket says, with keys of its own, or with a key of its key management.",
    ),
    text(
        "tier.store.sse.kms.key.id",
        None,
        "The key for `tier.store.sse=aws:kms`: id, alias or ARN; default: the account's own.",
    ),
    text("tier.store.access.key", None, "Access key; default: the environment's AWS_ACCESS_KEY_ID."),
    Definition {
        name: "tier.store.secret.key",
        kind: Kind::Secret,
        default: None,
        topic_config: None,
        doc: "Secret key; default: the environment's AWS_SECRET_ACCESS_KEY.",
    },
    number(
        "telemetry.max.bytes",
        "1048576",
        1,
        16_777_216,
        "The most bytes of metrics that a client may push at once, compressed and uncompressed.",
    ),
    text(
        "telemetry.otlp.endpoint",
        None,
        "A collector that takes metrics, traces and logs by OTLP over HTTP, `http://host:4318`.",
    ),
    text(
        "telemetry.otlp.ca.location",
        None,
        "PEM file of the authorities of an https collector's certificate.",
    ),
    Definition {
        name: "telemetry.otlp.headers",
        kind: Kind::Secret,
        default: None,
        topic_config: None,
        doc: "Headers for the collector, `name=value`, separated by commas.",
    },
    number("telemetry.otlp.interval.ms", "10000", 100, I32, "How often telemetry goes to the collector."),
    number(
        "telemetry.trace.one.in",
        "1000",
        0,
        I32,
        "One request in so many is traced, while there is a collector; 0: none.",
    ),
    number(
        "transaction.max.timeout.ms",
        "900000",
        1,
        I32,
        "The longest time-out a transactional producer may ask for.",
    ),
    bool(
        "transaction.partition.verification.enable",
        "true",
        "Ask the coordinator before a transaction begins in a partition (KIP-890).",
    ),
    number(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        "3600000",
        1,
        I32,
        "How often idle transactional ids are looked for.",
    ),
    number(
        "transaction.state.log.load.buffer.size",
        "5242880",
        1,
        I32,
        "Bytes of one read while transactions are loaded.",
    ),
    number(
        "transaction.state.log.min.isr",
        "2",
        1,
        32_767,
        "In-sync replicas that __transaction_state needs.",
    ),
    number("transaction.state.log.num.partitions", "50", 1, 10_000, "Partitions of __transaction_state."),
    number(
        "transaction.state.log.replication.factor",
        "3",
        1,
        32_767,
        "Replicas of __transaction_state, at most one a broker.",
    ),
    number(
        "transaction.state.log.segment.bytes",
        "104857600",
        14,
        I32,
        "Segment size of __transaction_state.",
    ),
    number(
        "transactional.id.expiration.ms",
        "604800000",
        1,
        I32,
        "An idle transactional id is forgotten after this time.",
    ),
    for_topic(
        "unclean.leader.election.enable",
        bool(
            "unclean.leader.election.enable",
            "false",
            "Whether a replica outside the ISR may lead when nobody else is left.",
        ),
    ),
];
