//! The table of all metrics: the reference in `docs/metrics.md` is written from it.

use super::tier_definitions::*;
use super::{Metric, MetricKind};

/// Always 1; the label names the version that runs.
pub const BUILD_INFO: &Metric = &Metric {
    name: "esker_build_info",
    kind: MetricKind::Gauge,
    unit: "1",
    labels: &["version"],
    max_series: 1,
    help: "Always 1; the label names the version that runs.",
};

/// Clients whose pushes of metrics (KIP-714) are known to this broker.
pub const CLIENT_TELEMETRY_INSTANCES: &Metric = &Metric {
    name: "esker_client_telemetry_instances",
    kind: MetricKind::Gauge,
    unit: "{client}",
    labels: &[],
    max_series: 1,
    help: "Clients whose pushes of metrics (KIP-714) are known to this broker.",
};

/// Pushes of clients' metrics: `taken` for the collector, `dropped` (no collector, or too much waits for it), `refused`; of those that were taken `lost`, when the collector did not have them.
pub const CLIENT_TELEMETRY_PUSHES: &Metric = &Metric {
    name: "esker_client_telemetry_pushes_total",
    kind: MetricKind::Counter,
    unit: "{push}",
    labels: &["outcome"],
    max_series: 4,
    help: "Pushes of clients' metrics: `taken` for the collector, `dropped` (no collector, or too much waits for it), `refused`; of those that were taken `lost`, when the collector did not have them.",
};

/// Bytes of clients' metrics that were pushed, uncompressed.
pub const CLIENT_TELEMETRY_BYTES: &Metric = &Metric {
    name: "esker_client_telemetry_bytes_total",
    kind: MetricKind::Counter,
    unit: "By",
    labels: &[],
    max_series: 1,
    help: "Bytes of clients' metrics that were pushed, uncompressed.",
};

/// Time since the broker began to serve.
pub const UPTIME: &Metric = &Metric {
    name: "esker_uptime_seconds",
    kind: MetricKind::Gauge,
    unit: "s",
    labels: &[],
    max_series: 1,
    help: "Time since the broker began to serve.",
};

/// Memory of the process that is in RAM.
pub const PROCESS_MEMORY: &Metric = &Metric {
    name: "esker_process_resident_bytes",
    kind: MetricKind::Gauge,
    unit: "By",
    labels: &[],
    max_series: 1,
    help: "Memory of the process that is in RAM.",
};

/// File descriptors that are open.
pub const PROCESS_FILES: &Metric = &Metric {
    name: "esker_process_open_files",
    kind: MetricKind::Gauge,
    unit: "{file}",
    labels: &[],
    max_series: 1,
    help: "File descriptors that are open.",
};

/// Time on processors, in user and kernel mode, in whole seconds.
pub const PROCESS_CPU: &Metric = &Metric {
    name: "esker_process_cpu_seconds_total",
    kind: MetricKind::Counter,
    unit: "s",
    labels: &[],
    max_series: 1,
    help: "Time on processors, in user and kernel mode, in whole seconds.",
};

/// Time of a request by API and stage: `queue` (whole, not yet begun), `handle` (from its begin to its answer), `send` (the answer's way to the client's socket), `total`; of Produce, for each batch, `local` (queue and write of the partition) and `replication` (until it is committed); of Fetch `wait` (the long poll) and `remote` (a read of the cold tier, from its caches or from the store).
pub const REQUEST_SECONDS: &Metric = &Metric {
    name: "esker_request_seconds",
    kind: MetricKind::Histogram,
    unit: "s",
    labels: &["api", "stage"],
    max_series: 600,
    help: "Time of a request by API and stage: `queue` (whole, not yet begun), `handle` (from its begin to its answer), `send` (the answer's way to the client's socket), `total`; of Produce, for each batch, `local` (queue and write of the partition) and `replication` (until it is committed); of Fetch `wait` (the long poll) and `remote` (a read of the cold tier, from its caches or from the store).",
};

/// Client connections that were accepted.
pub const CONNECTIONS_ACCEPTED: &Metric = &Metric {
    name: "esker_connections_accepted_total",
    kind: MetricKind::Counter,
    unit: "{connection}",
    labels: &[],
    max_series: 1,
    help: "Client connections that were accepted.",
};

/// Client connections that were closed at once, because there were too many of them or they came too fast.
pub const CONNECTIONS_TURNED_AWAY: &Metric = &Metric {
    name: "esker_connections_turned_away_total",
    kind: MetricKind::Counter,
    unit: "{connection}",
    labels: &[],
    max_series: 1,
    help: "Client connections that were closed at once, because there were too many of them or they came too fast.",
};

/// Client connections that were closed for what they sent, or did not take in time.
pub const CONNECTIONS_REFUSED: &Metric = &Metric {
    name: "esker_connections_refused_total",
    kind: MetricKind::Counter,
    unit: "{connection}",
    labels: &[],
    max_series: 1,
    help: "Client connections that were closed for what they sent, or did not take in time.",
};

/// Requests read from clients.
pub const REQUESTS: &Metric = &Metric {
    name: "esker_requests_total",
    kind: MetricKind::Counter,
    unit: "{request}",
    labels: &[],
    max_series: 1,
    help: "Requests read from clients.",
};

/// Bytes of answers written to clients.
pub const SENT_BYTES: &Metric = &Metric {
    name: "esker_sent_bytes_total",
    kind: MetricKind::Counter,
    unit: "By",
    labels: &[],
    max_series: 1,
    help: "Bytes of answers written to clients.",
};

/// Bytes of batches that producers have appended.
pub const PRODUCED_BYTES: &Metric = &Metric {
    name: "esker_produced_bytes_total",
    kind: MetricKind::Counter,
    unit: "By",
    labels: &["topic"],
    max_series: 201,
    help: "Bytes of batches that producers have appended.",
};

/// Records that producers have appended.
pub const PRODUCED_RECORDS: &Metric = &Metric {
    name: "esker_produced_records_total",
    kind: MetricKind::Counter,
    unit: "{record}",
    labels: &["topic"],
    max_series: 201,
    help: "Records that producers have appended.",
};

/// Bytes of batches that consumers were given, by the tier that had them (`hot`, `cold`).
pub const FETCHED_BYTES: &Metric = &Metric {
    name: "esker_fetched_bytes_total",
    kind: MetricKind::Counter,
    unit: "By",
    labels: &["topic", "tier"],
    max_series: 401,
    help: "Bytes of batches that consumers were given, by the tier that had them (`hot`, `cold`).",
};

/// Partitions with a replica on this broker.
pub const PARTITIONS_HOSTED: &Metric = &Metric {
    name: "esker_partitions_hosted",
    kind: MetricKind::Gauge,
    unit: "{partition}",
    labels: &[],
    max_series: 1,
    help: "Partitions with a replica on this broker.",
};

/// Partitions that this broker leads.
pub const PARTITIONS_LED: &Metric = &Metric {
    name: "esker_partitions_led",
    kind: MetricKind::Gauge,
    unit: "{partition}",
    labels: &[],
    max_series: 1,
    help: "Partitions that this broker leads.",
};

/// Partitions of the whole cluster without a leader, as this broker knows it.
pub const PARTITIONS_OFFLINE: &Metric = &Metric {
    name: "esker_partitions_offline",
    kind: MetricKind::Gauge,
    unit: "{partition}",
    labels: &[],
    max_series: 1,
    help: "Partitions of the whole cluster without a leader, as this broker knows it, and those that it is to lead itself and \
           does not yet, since the cold tier's store has not said what it holds of them.",
};

/// Partitions led here that have fewer in-sync replicas than replicas.
pub const PARTITIONS_UNDER_REPLICATED: &Metric = &Metric {
    name: "esker_partitions_under_replicated",
    kind: MetricKind::Gauge,
    unit: "{partition}",
    labels: &[],
    max_series: 1,
    help: "Partitions led here that have fewer in-sync replicas than replicas.",
};

/// Partitions led here that have fewer in-sync replicas than min.insync.replicas: acks=all is refused.
pub const PARTITIONS_UNDER_MIN_ISR: &Metric = &Metric {
    name: "esker_partitions_under_min_isr",
    kind: MetricKind::Gauge,
    unit: "{partition}",
    labels: &[],
    max_series: 1,
    help: "Partitions led here that have fewer in-sync replicas than min.insync.replicas: acks=all is refused.",
};

/// Partitions led here that have exactly min.insync.replicas in-sync replicas, and fewer than replicas: one more loss stops acks=all.
pub const PARTITIONS_AT_MIN_ISR: &Metric = &Metric {
    name: "esker_partitions_at_min_isr",
    kind: MetricKind::Gauge,
    unit: "{partition}",
    labels: &[],
    max_series: 1,
    help: "Partitions led here that have exactly min.insync.replicas in-sync replicas, and fewer than replicas: one more loss stops acks=all.",
};

/// Partitions led here whose replicas are being changed.
pub const PARTITIONS_REASSIGNING: &Metric = &Metric {
    name: "esker_partitions_reassigning",
    kind: MetricKind::Gauge,
    unit: "{partition}",
    labels: &[],
    max_series: 1,
    help: "Partitions led here whose replicas are being changed.",
};

/// How often a replica left the ISR of a partition led here.
pub const ISR_SHRINKS: &Metric = &Metric {
    name: "esker_isr_shrinks_total",
    kind: MetricKind::Counter,
    unit: "{change}",
    labels: &[],
    max_series: 1,
    help: "How often a replica left the ISR of a partition led here.",
};

/// How often a replica joined the ISR of a partition led here.
pub const ISR_EXPANDS: &Metric = &Metric {
    name: "esker_isr_expands_total",
    kind: MetricKind::Counter,
    unit: "{change}",
    labels: &[],
    max_series: 1,
    help: "How often a replica joined the ISR of a partition led here.",
};

/// How often this broker began to lead a partition.
pub const LEADERSHIPS: &Metric = &Metric {
    name: "esker_leaderships_begun_total",
    kind: MetricKind::Counter,
    unit: "{change}",
    labels: &[],
    max_series: 1,
    help: "How often this broker began to lead a partition.",
};

/// How often this broker began to lead a partition after an election that may have lost acknowledged records.
pub const UNCLEAN_LEADERSHIPS: &Metric = &Metric {
    name: "esker_unclean_leaderships_total",
    kind: MetricKind::Counter,
    unit: "{change}",
    labels: &[],
    max_series: 1,
    help: "How often this broker began to lead a partition after an election that may have lost acknowledged records.",
};

/// Offsets that the worst in-sync replica on that broker is behind, over the partitions led here.
pub const REPLICA_LAG_RECORDS: &Metric = &Metric {
    name: "esker_replica_lag_records",
    kind: MetricKind::Gauge,
    unit: "{record}",
    labels: &["follower"],
    max_series: 100,
    help: "Offsets that the worst in-sync replica on that broker is behind, over the partitions led here.",
};

/// How long the worst in-sync replica on that broker has not had everything, over the partitions led here.
pub const REPLICA_LAG_SECONDS: &Metric = &Metric {
    name: "esker_replica_lag_seconds",
    kind: MetricKind::Gauge,
    unit: "s",
    labels: &["follower"],
    max_series: 100,
    help: "How long the worst in-sync replica on that broker has not had everything, over the partitions led here.",
};

/// Brokers that may lead, as this broker knows it.
pub const BROKERS_ACTIVE: &Metric = &Metric {
    name: "esker_brokers_active",
    kind: MetricKind::Gauge,
    unit: "{broker}",
    labels: &[],
    max_series: 1,
    help: "Brokers that may lead, as this broker knows it.",
};

/// Registered brokers that are fenced or stopping, as this broker knows it.
pub const BROKERS_FENCED: &Metric = &Metric {
    name: "esker_brokers_fenced",
    kind: MetricKind::Gauge,
    unit: "{broker}",
    labels: &[],
    max_series: 1,
    help: "Registered brokers that are fenced or stopping, as this broker knows it.",
};

/// 1 while this broker leads the metadata quorum.
pub const METADATA_LEADER: &Metric = &Metric {
    name: "esker_metadata_leader",
    kind: MetricKind::Gauge,
    unit: "1",
    labels: &[],
    max_series: 1,
    help: "1 while this broker leads the metadata quorum.",
};

/// The last command of the metadata quorum that this broker has applied.
pub const METADATA_VERSION: &Metric = &Metric {
    name: "esker_metadata_version",
    kind: MetricKind::Gauge,
    unit: "{command}",
    labels: &[],
    max_series: 1,
    help: "The last command of the metadata quorum that this broker has applied.",
};

/// 1 while this broker holds its lease: without it, it acknowledges no write.
pub const LEASE_HELD: &Metric = &Metric {
    name: "esker_lease_held",
    kind: MetricKind::Gauge,
    unit: "1",
    labels: &[],
    max_series: 1,
    help: "1 while this broker holds its lease: without it, it acknowledges no write.",
};

/// Round-trip time to a peer, the largest of its connections.
pub const PEER_RTT: &Metric = &Metric {
    name: "esker_peer_rtt_seconds",
    kind: MetricKind::Gauge,
    unit: "s",
    labels: &["peer"],
    max_series: 100,
    help: "Round-trip time to a peer, the largest of its connections.",
};

/// Congestion window towards a peer, the smallest of its connections.
pub const PEER_WINDOW: &Metric = &Metric {
    name: "esker_peer_congestion_window_bytes",
    kind: MetricKind::Gauge,
    unit: "By",
    labels: &["peer"],
    max_series: 100,
    help: "Congestion window towards a peer, the smallest of its connections.",
};

/// Packets sent to a peer, over the connections that stand.
pub const PEER_PACKETS: &Metric = &Metric {
    name: "esker_peer_sent_packets_total",
    kind: MetricKind::Counter,
    unit: "{packet}",
    labels: &["peer"],
    max_series: 100,
    help: "Packets sent to a peer, over the connections that stand.",
};

/// Packets to a peer that were lost, over the connections that stand.
pub const PEER_LOST: &Metric = &Metric {
    name: "esker_peer_lost_packets_total",
    kind: MetricKind::Counter,
    unit: "{packet}",
    labels: &["peer"],
    max_series: 100,
    help: "Packets to a peer that were lost, over the connections that stand.",
};

/// Times that the way to a peer was found congested, over the connections that stand.
pub const PEER_CONGESTION: &Metric = &Metric {
    name: "esker_peer_congestion_events_total",
    kind: MetricKind::Counter,
    unit: "{event}",
    labels: &["peer"],
    max_series: 100,
    help: "Times that the way to a peer was found congested, over the connections that stand.",
};

/// Bytes sent to a peer, over the connections that stand.
pub const PEER_SENT: &Metric = &Metric {
    name: "esker_peer_sent_bytes_total",
    kind: MetricKind::Counter,
    unit: "By",
    labels: &["peer"],
    max_series: 100,
    help: "Bytes sent to a peer, over the connections that stand.",
};

/// Bytes received from a peer, over the connections that stand.
pub const PEER_RECEIVED: &Metric = &Metric {
    name: "esker_peer_received_bytes_total",
    kind: MetricKind::Counter,
    unit: "By",
    labels: &["peer"],
    max_series: 100,
    help: "Bytes received from a peer, over the connections that stand.",
};

/// Packets that the kernel dropped because the peer listener's buffer was full.
pub const UDP_DROPS: &Metric = &Metric {
    name: "esker_udp_drops_total",
    kind: MetricKind::Counter,
    unit: "{packet}",
    labels: &[],
    max_series: 1,
    help: "Packets that the kernel dropped because the peer listener's buffer was full.",
};

/// Bytes of the partitions' local files, by log directory.
pub const LOG_BYTES: &Metric = &Metric {
    name: "esker_log_bytes",
    kind: MetricKind::Gauge,
    unit: "By",
    labels: &["dir"],
    max_series: 64,
    help: "Bytes of the partitions' local files, by log directory.",
};

/// Bytes that are free on the file system of a log directory.
pub const DISK_FREE: &Metric = &Metric {
    name: "esker_disk_free_bytes",
    kind: MetricKind::Gauge,
    unit: "By",
    labels: &["dir"],
    max_series: 64,
    help: "Bytes that are free on the file system of a log directory.",
};

/// Log directories whose device has failed.
pub const DIRECTORIES_FAILED: &Metric = &Metric {
    name: "esker_log_directories_failed",
    kind: MetricKind::Gauge,
    unit: "{directory}",
    labels: &[],
    max_series: 1,
    help: "Log directories whose device has failed.",
};

/// For how long a thread of a log directory has been at one call to its disk, or a question has waited there: above some seconds the disk is slow, above a minute it hangs.
pub const DIRECTORY_WAITS: &Metric = &Metric {
    name: "esker_log_directory_waits_seconds",
    kind: MetricKind::Gauge,
    unit: "s",
    labels: &["dir"],
    max_series: 64,
    help: "For how long a thread of a log directory has been at one call to its disk, or a question has waited there: above some seconds the disk is slow, above a minute it hangs.",
};

/// The bound of a memory budget: `requests`, `answers`, `fetches`.
pub const BUDGET_LIMIT: &Metric = &Metric {
    name: "esker_memory_budget_limit_bytes",
    kind: MetricKind::Gauge,
    unit: "By",
    labels: &["budget"],
    max_series: 8,
    help: "The bound of a memory budget: `requests`, `answers`, `fetches`.",
};

/// What of a memory budget is taken.
pub const BUDGET_USED: &Metric = &Metric {
    name: "esker_memory_budget_used_bytes",
    kind: MetricKind::Gauge,
    unit: "By",
    labels: &["budget"],
    max_series: 8,
    help: "What of a memory budget is taken.",
};

/// When the certificate expires, as Unix time: `listener`, `peer`.
pub const CERTIFICATE_EXPIRY: &Metric = &Metric {
    name: "esker_certificate_expiry_timestamp_seconds",
    kind: MetricKind::Gauge,
    unit: "s",
    labels: &["certificate"],
    max_series: 8,
    help: "When the certificate expires, as Unix time: `listener`, `peer`.",
};

/// Consumer groups that this broker coordinates.
pub const GROUPS: &Metric = &Metric {
    name: "esker_groups",
    kind: MetricKind::Gauge,
    unit: "{group}",
    labels: &[],
    max_series: 1,
    help: "Consumer groups that this broker coordinates.",
};

/// Offsets that a group coordinated here is behind the high watermark, over the partitions of a topic, as of the last look.
pub const GROUP_LAG_RECORDS: &Metric = &Metric {
    name: "esker_group_lag_records",
    kind: MetricKind::Gauge,
    unit: "{record}",
    labels: &["group", "topic"],
    max_series: 500,
    help: "Offsets that a group coordinated here is behind the high watermark, over the partitions of a topic, as of the last look.",
};

/// Age of the oldest record that a group coordinated here has yet to consume, over the partitions of a topic, as of the last look.
pub const GROUP_LAG_SECONDS: &Metric = &Metric {
    name: "esker_group_lag_seconds",
    kind: MetricKind::Gauge,
    unit: "s",
    labels: &["group", "topic"],
    max_series: 500,
    help: "Age of the oldest record that a group coordinated here has yet to consume, over the partitions of a topic, as of the last look.",
};

/// Spans and log lines that were not exported because the queue was full or the collector did not take them.
pub const TELEMETRY_DROPPED: &Metric = &Metric {
    name: "esker_telemetry_dropped_total",
    kind: MetricKind::Counter,
    unit: "{item}",
    labels: &["signal"],
    max_series: 4,
    help: "Spans and log lines that were not exported because the queue was full or the collector did not take them.",
};

/// All of them.
pub const METRICS: &[&Metric] = &[
    BUILD_INFO,
    UPTIME,
    PROCESS_MEMORY,
    PROCESS_FILES,
    PROCESS_CPU,
    REQUEST_SECONDS,
    CONNECTIONS_ACCEPTED,
    CONNECTIONS_TURNED_AWAY,
    CONNECTIONS_REFUSED,
    REQUESTS,
    SENT_BYTES,
    PRODUCED_BYTES,
    PRODUCED_RECORDS,
    FETCHED_BYTES,
    PARTITIONS_HOSTED,
    PARTITIONS_LED,
    PARTITIONS_OFFLINE,
    PARTITIONS_UNDER_REPLICATED,
    PARTITIONS_UNDER_MIN_ISR,
    PARTITIONS_AT_MIN_ISR,
    PARTITIONS_REASSIGNING,
    ISR_SHRINKS,
    ISR_EXPANDS,
    LEADERSHIPS,
    UNCLEAN_LEADERSHIPS,
    REPLICA_LAG_RECORDS,
    REPLICA_LAG_SECONDS,
    BROKERS_ACTIVE,
    BROKERS_FENCED,
    METADATA_LEADER,
    METADATA_VERSION,
    LEASE_HELD,
    PEER_RTT,
    PEER_WINDOW,
    PEER_PACKETS,
    PEER_LOST,
    PEER_CONGESTION,
    PEER_SENT,
    PEER_RECEIVED,
    UDP_DROPS,
    LOG_BYTES,
    DISK_FREE,
    DIRECTORIES_FAILED,
    DIRECTORY_WAITS,
    TIER_LAG_BYTES,
    TIER_LAG_SECONDS,
    TIER_LAG_SEGMENTS,
    TIER_BYTES,
    STORE_REQUESTS,
    STORE_ERRORS,
    STORE_SECONDS,
    TIER_ORPHANS,
    TIER_ORPHAN_BYTES,
    STORE_BYTES,
    CACHE_LOOKUPS,
    CACHE_EVICTIONS,
    CACHE_BAD_FILES,
    INDEX_LOOKUPS,
    INDEX_EVICTIONS,
    INDEX_BYTES,
    TIER_DROPPED,
    SCRUBBED_OBJECTS,
    SCRUB_FINDINGS,
    TIER_GAPS,
    TIER_DISCARDS_WAITING,
    TIER_CUT_AGE,
    TIER_CUT_HOLD,
    TIER_CUT_FAILURES,
    BUDGET_LIMIT,
    BUDGET_USED,
    CERTIFICATE_EXPIRY,
    GROUPS,
    GROUP_LAG_RECORDS,
    GROUP_LAG_SECONDS,
    TELEMETRY_DROPPED,
    CLIENT_TELEMETRY_INSTANCES,
    CLIENT_TELEMETRY_PUSHES,
    CLIENT_TELEMETRY_BYTES,
];
