//! The metrics of the cold tier: a part of the table in `definitions`.

use super::{Metric, MetricKind};

/// Bytes of closed segments, of tiered partitions led here, that are not yet in the cold tier.
pub const TIER_LAG_BYTES: &Metric = &Metric {
    name: "esker_tier_lag_bytes",
    kind: MetricKind::Gauge,
    unit: "By",
    labels: &[],
    max_series: 1,
    help: "Bytes of closed segments, of tiered partitions led here, that are not yet in the cold tier.",
};

/// Age of the newest record of the oldest closed segment, over tiered partitions led here, that is not yet in the cold tier.
pub const TIER_LAG_SECONDS: &Metric = &Metric {
    name: "esker_tier_lag_seconds",
    kind: MetricKind::Gauge,
    unit: "s",
    labels: &[],
    max_series: 1,
    help: "Age of the newest record of the oldest closed segment, over tiered partitions led here, that is not yet in the cold tier.",
};

/// Closed segments, of tiered partitions led here, that are not yet in the cold tier.
pub const TIER_LAG_SEGMENTS: &Metric = &Metric {
    name: "esker_tier_lag_segments",
    kind: MetricKind::Gauge,
    unit: "{segment}",
    labels: &[],
    max_series: 1,
    help: "Closed segments, of tiered partitions led here, that are not yet in the cold tier.",
};

/// Bytes of the objects in the cold tier that the newest manifests name, by topic, of partitions led here.
pub const TIER_BYTES: &Metric = &Metric {
    name: "esker_tier_bytes",
    kind: MetricKind::Gauge,
    unit: "By",
    labels: &["topic"],
    max_series: 201,
    help: "Bytes of the objects in the cold tier that the newest manifests name, by topic, of partitions led here.",
};

/// Requests to the cold tier's store (`put`, `get`, `head`, `list`, `delete`), each attempt counted.
pub const STORE_REQUESTS: &Metric = &Metric {
    name: "esker_store_requests_total",
    kind: MetricKind::Counter,
    unit: "{request}",
    labels: &["kind"],
    max_series: 8,
    help: "Requests to the cold tier's store (`put`, `get`, `head`, `list`, `delete`), each attempt counted.",
};

/// Requests to the store that failed, by kind and by code: `unavailable` and `refused`, or the HTTP status where the store gave one.
pub const STORE_ERRORS: &Metric = &Metric {
    name: "esker_store_errors_total",
    kind: MetricKind::Counter,
    unit: "{request}",
    labels: &["kind", "code"],
    max_series: 160,
    help: "Requests to the store that failed, by kind and by code: `unavailable` and `refused`, or the HTTP status where the store gave one.",
};

/// Bytes to the store (`up`) and from it (`down`).
pub const STORE_BYTES: &Metric = &Metric {
    name: "esker_store_bytes_total",
    kind: MetricKind::Counter,
    unit: "By",
    labels: &["direction"],
    max_series: 2,
    help: "Bytes to the store (`up`) and from it (`down`).",
};

/// Time of a request to the cold tier's store by kind (`put`, `get`, `head`, `list`, `delete`), each attempt by itself, failed ones too.
pub const STORE_SECONDS: &Metric = &Metric {
    name: "esker_store_request_seconds",
    kind: MetricKind::Histogram,
    unit: "s",
    labels: &["kind"],
    max_series: 8,
    help: "Time of a request to the cold tier's store by kind (`put`, `get`, `head`, `list`, `delete`), each attempt by itself, failed ones too.",
};

/// Objects in the store that no manifest names and that were removed: what an upload left that was broken off or lost its turn.
pub const TIER_ORPHANS: &Metric = &Metric {
    name: "esker_tier_orphans_removed_total",
    kind: MetricKind::Counter,
    unit: "{object}",
    labels: &[],
    max_series: 1,
    help: "Objects in the store that no manifest names and that were removed: what an upload left that was broken off or lost its turn.",
};

/// Bytes of the orphans that were removed.
pub const TIER_ORPHAN_BYTES: &Metric = &Metric {
    name: "esker_tier_orphans_removed_bytes_total",
    kind: MetricKind::Counter,
    unit: "By",
    labels: &[],
    max_series: 1,
    help: "Bytes of the orphans that were removed.",
};

/// Chunks of cold segments that were asked for: found in `memory`, on `disk`, with a `peer`, or a `miss` that the store had to serve.
pub const CACHE_LOOKUPS: &Metric = &Metric {
    name: "esker_tier_cache_lookups_total",
    kind: MetricKind::Counter,
    unit: "{chunk}",
    labels: &["outcome"],
    max_series: 4,
    help: "Chunks of cold segments that were asked for: found in `memory`, on `disk`, with a `peer`, or a `miss` that the store had to serve.",
};

/// Chunk files that were removed for room.
pub const CACHE_EVICTIONS: &Metric = &Metric {
    name: "esker_tier_cache_evictions_total",
    kind: MetricKind::Counter,
    unit: "{chunk}",
    labels: &[],
    max_series: 1,
    help: "Chunk files that were removed for room.",
};

/// Chunk files that were dropped for a wrong checksum, or could not be read or written.
pub const CACHE_BAD_FILES: &Metric = &Metric {
    name: "esker_tier_cache_bad_files_total",
    kind: MetricKind::Counter,
    unit: "{chunk}",
    labels: &[],
    max_series: 1,
    help: "Chunk files that were dropped for a wrong checksum, or could not be read or written.",
};

/// Footers, manifests and archives (`kind`) that readers of the cold tier looked up in memory: a `hit`, or a `miss` that the store was asked for.
pub const INDEX_LOOKUPS: &Metric = &Metric {
    name: "esker_tier_index_lookups_total",
    kind: MetricKind::Counter,
    unit: "{lookup}",
    labels: &["kind", "outcome"],
    max_series: 6,
    help: "Footers, manifests and archives (`kind`) that readers of the cold tier looked up in memory: a `hit`, or a `miss` that the store was asked for.",
};

/// Footers, manifests and archives that went from memory for room (`tier.index.cache.bytes`).
pub const INDEX_EVICTIONS: &Metric = &Metric {
    name: "esker_tier_index_evictions_total",
    kind: MetricKind::Counter,
    unit: "{entry}",
    labels: &["kind"],
    max_series: 3,
    help: "Footers, manifests and archives that went from memory for room (`tier.index.cache.bytes`).",
};

/// Bytes of footers, manifests and archives in memory.
pub const INDEX_BYTES: &Metric = &Metric {
    name: "esker_tier_index_bytes",
    kind: MetricKind::Gauge,
    unit: "By",
    labels: &["kind"],
    max_series: 3,
    help: "Bytes of footers, manifests and archives in memory.",
};

/// Records that were given up because a disk was full, those in the tier included (only where the topic's policy allows it).
pub const TIER_DROPPED: &Metric = &Metric {
    name: "esker_tier_dropped_records_total",
    kind: MetricKind::Counter,
    unit: "{record}",
    labels: &[],
    max_series: 1,
    help: "Records that were given up because a disk was full, those in the tier included (only where the topic's policy allows it).",
};

/// Objects that the background check has read.
pub const SCRUBBED_OBJECTS: &Metric = &Metric {
    name: "esker_tier_scrubbed_objects_total",
    kind: MetricKind::Counter,
    unit: "{object}",
    labels: &[],
    max_series: 1,
    help: "Objects that the background check has read.",
};

/// Objects that the background check has found missing or damaged.
pub const SCRUB_FINDINGS: &Metric = &Metric {
    name: "esker_tier_scrub_findings_total",
    kind: MetricKind::Counter,
    unit: "{object}",
    labels: &[],
    max_series: 1,
    help: "Objects that the background check has found missing or damaged.",
};

/// Partitions led here that lack records between the end of the cold tier and their local log: nothing of them is deleted from the store until a replica that has the records leads.
pub const TIER_GAPS: &Metric = &Metric {
    name: "esker_tier_gaps",
    kind: MetricKind::Gauge,
    unit: "{partition}",
    labels: &[],
    max_series: 1,
    help: "Partitions led here that lack records between the end of the cold tier and their local log: nothing of them is deleted from the store until a replica that has the records leads.",
};

/// Partitions led here whose tier is turned off with deletion and is not given up yet, because a replica has not said what it has on its own disk.
pub const TIER_DISCARDS_WAITING: &Metric = &Metric {
    name: "esker_tier_discards_waiting",
    kind: MetricKind::Gauge,
    unit: "{partition}",
    labels: &[],
    max_series: 1,
    help: "Partitions led here whose tier is turned off with deletion and is not given up yet, because a replica has not said what it has on its own disk.",
};

/// Age of the newest cut that the cluster could be restored to, or of the oldest that waits for the tier where there is none, as the leader of the metadata quorum knows it; absent elsewhere.
pub const TIER_CUT_AGE: &Metric = &Metric {
    name: "esker_tier_cut_age_seconds",
    kind: MetricKind::Gauge,
    unit: "s",
    labels: &[],
    max_series: 1,
    help: "Age of the newest cut that the cluster could be restored to, or of the oldest that waits for the tier where there is none, as the leader of the metadata quorum knows it; absent elsewhere.",
};

/// For how long the last cut that this broker took held transactions.
pub const TIER_CUT_HOLD: &Metric = &Metric {
    name: "esker_tier_cut_hold_seconds",
    kind: MetricKind::Gauge,
    unit: "s",
    labels: &[],
    max_series: 1,
    help: "For how long the last cut that this broker took held transactions.",
};

/// Cuts that this broker could not take.
pub const TIER_CUT_FAILURES: &Metric = &Metric {
    name: "esker_tier_cut_failures_total",
    kind: MetricKind::Counter,
    unit: "{cut}",
    labels: &[],
    max_series: 1,
    help: "Cuts that this broker could not take.",
};
