//! The configs of a topic that its log obeys, with Kafka's names, bounds and defaults.

use std::collections::BTreeMap;

use crate::wire::record_batch::{Compression, TimestampType};

/// What happens to old data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Keep the last value of each key.
    pub compact: bool,
    /// Drop by time and size.
    pub delete: bool,
}

/// Configs of one log. Fields have Kafka's meaning; −1 is "no limit", −2 "as for the whole log".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is closed before it would grow above this.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment whose first record is older is closed.
    pub segment_ms: i64,
    /// `segment.index.bytes`: a segment whose offset index would grow above this is closed.
    pub index_bytes: u64,
    /// `index.interval.bytes`: bytes of batches per index entry.
    pub index_interval_bytes: u64,
    /// `retention.ms`; −1 is for ever.
    pub retention_ms: i64,
    /// `retention.bytes`; −1 is without limit.
    pub retention_bytes: i64,
    /// `local.retention.ms`; −2 is `retention.ms`.
    pub local_retention_ms: i64,
    /// `local.retention.bytes`; −2 is `retention.bytes`.
    pub local_retention_bytes: i64,
    /// `max.message.bytes`: the largest batch a client may send, compressed.
    pub max_message_bytes: usize,
    /// `flush.messages`: fsync after this many records; `i64::MAX` leaves it to the system.
    pub flush_messages: i64,
    /// `flush.ms`: fsync at least this often; `i64::MAX` leaves it to the system.
    pub flush_ms: i64,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy`.
    pub cleanup: CleanupPolicy,
    /// `delete.retention.ms`: how long a tombstone stays readable.
    pub delete_retention_ms: i64,
    /// `min.cleanable.dirty.ratio`, in millionths: a pass begins when a larger share of the log is dirty.
    pub min_cleanable_dirty_millionths: u32,
    /// `min.compaction.lag.ms`: younger segments are not compacted.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: older dirty segments are compacted whatever their share.
    pub max_compaction_lag_ms: i64,
    /// `compression.type`: the codec of what is stored; `None` is `producer`, as the client sent it.
    pub compression: Option<Compression>,
    /// `compression.gzip.level`, 1 to 9; −1 is zlib's default.
    pub gzip_level: i32,
    /// `compression.zstd.level`.
    pub zstd_level: i32,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
    /// `remote.storage.enable`: closed segments go to the cold tier.
    pub remote_storage_enable: bool,
    /// `producer.id.expiration.ms`: how long an idle producer is remembered (a broker config).
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY_MS,
            index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * DAY_MS,
            retention_bytes: -1,
            local_retention_ms: -2,
            local_retention_bytes: -2,
            max_message_bytes: 1024 * 1024 + 12,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 60 * 60 * 1000,
            cleanup: CleanupPolicy { compact: false, delete: true },
            delete_retention_ms: DAY_MS,
            compression: None,
            gzip_level: -1,
            zstd_level: 3,
            min_cleanable_dirty_millionths: 500_000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_insync_replicas: 1,
            unclean_leader_election: false,
            remote_storage_enable: false,
            producer_id_expiration_ms: DAY_MS,
        }
    }
}

/// A topic config that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("topic config `{key}` = `{value}`: {accepted}")]
pub struct ConfigError {
    /// The config's name.
    pub key: String,
    /// The value given.
    pub value: String,
    /// What would be accepted.
    pub accepted: String,
}

impl LogConfig {
    /// The defaults of the broker, changed by the configs of a topic. Names it does not know are let pass: not all configs
    /// are the log's, and earlier programs took what no topic has. What may be set is checked where it is set.
    ///
    /// # Errors
    /// `ConfigError` names the key, the value and what is accepted.
    pub fn from_properties(
        defaults: &LogConfig,
        topic: &BTreeMap<String, String>,
    ) -> Result<LogConfig, ConfigError> {
        let mut config = defaults.clone();
        for (key, value) in topic {
            config.set(key, value)?;
        }
        config.agree(topic)?;
        Ok(config)
    }

    /// The same where something contradicts: what is understood holds all the same, as records that a topic wants to keep must
    /// not go by a default. Of two compaction lags that contradict each other the longer one holds.
    #[must_use]
    pub fn as_far_as_understood(defaults: &LogConfig, topic: &BTreeMap<String, String>) -> LogConfig {
        let mut config = defaults.clone();
        for (key, value) in topic {
            // The caller has told why the whole was refused.
            let _ = config.set(key, value);
        }
        config.max_compaction_lag_ms = config.max_compaction_lag_ms.max(config.min_compaction_lag_ms);
        config
    }

    /// What one config alone does not show.
    fn agree(&self, topic: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        let refused = |key: &str, accepted: &str| {
            let value = topic.get(key).cloned().unwrap_or_default();
            Err(ConfigError { key: key.to_owned(), value, accepted: accepted.to_owned() })
        };
        if self.min_compaction_lag_ms > self.max_compaction_lag_ms {
            return refused("min.compaction.lag.ms", "at most max.compaction.lag.ms is accepted");
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let number = |least: i64, most: i64| {
            value.trim().parse().ok().filter(|n| (least..=most).contains(n)).ok_or_else(|| ConfigError {
                key: key.to_owned(),
                value: value.to_owned(),
                accepted: format!("a whole number from {least} to {most} is accepted"),
            })
        };
        let one_of = |accepted: &[&str]| ConfigError {
            key: key.to_owned(),
            value: value.to_owned(),
            accepted: format!("one of {} is accepted", accepted.join(", ")),
        };
        let flag = || match value.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(one_of(&["true", "false"])),
        };
        let int = i64::from(i32::MAX);
        match key {
            "segment.bytes" => self.segment_bytes = number(14, int)?.cast_unsigned(),
            "segment.ms" => self.segment_ms = number(1, i64::MAX)?,
            "segment.index.bytes" => self.index_bytes = number(4, int)?.cast_unsigned(),
            "index.interval.bytes" => self.index_interval_bytes = number(0, int)?.cast_unsigned(),
            "retention.ms" => self.retention_ms = number(-1, i64::MAX)?,
            "retention.bytes" => self.retention_bytes = number(-1, i64::MAX)?,
            "local.retention.ms" => self.local_retention_ms = number(-2, i64::MAX)?,
            "local.retention.bytes" => self.local_retention_bytes = number(-2, i64::MAX)?,
            "max.message.bytes" => {
                self.max_message_bytes = usize::try_from(number(0, int)?).unwrap_or(usize::MAX);
            }
            "flush.messages" => self.flush_messages = number(1, i64::MAX)?,
            "flush.ms" => self.flush_ms = number(0, i64::MAX)?,
            "message.timestamp.type" => {
                self.timestamp_type = match value.trim() {
                    "CreateTime" => TimestampType::CreateTime,
                    "LogAppendTime" => TimestampType::LogAppendTime,
                    _ => return Err(one_of(&["CreateTime", "LogAppendTime"])),
                }
            }
            "message.timestamp.before.max.ms" => self.timestamp_before_max_ms = number(0, i64::MAX)?,
            "message.timestamp.after.max.ms" => self.timestamp_after_max_ms = number(0, i64::MAX)?,
            "cleanup.policy" => {
                let mut policy = CleanupPolicy { compact: false, delete: false };
                for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                    match word {
                        "compact" => policy.compact = true,
                        "delete" => policy.delete = true,
                        _ => return Err(one_of(&["delete", "compact", "compact,delete"])),
                    }
                }
                self.cleanup = policy;
            }
            "delete.retention.ms" => self.delete_retention_ms = number(0, i64::MAX)?,
            "compression.type" => {
                self.compression = match value.trim() {
                    "producer" => None,
                    "uncompressed" => Some(Compression::None),
                    "gzip" => Some(Compression::Gzip),
                    "snappy" => Some(Compression::Snappy),
                    "lz4" => Some(Compression::Lz4),
                    "zstd" => Some(Compression::Zstd),
                    _ => return Err(one_of(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"])),
                }
            }
            "compression.gzip.level" => {
                self.gzip_level = level(number(-1, 9)?);
                if self.gzip_level == 0 {
                    return Err(one_of(&["-1", "a whole number from 1 to 9"]));
                }
            }
            // One level is all there is.
            "compression.lz4.level" => {
                number(1, 17)?;
            }
            "compression.zstd.level" => self.zstd_level = level(number(-131_072, 22)?),
            "min.cleanable.dirty.ratio" => {
                self.min_cleanable_dirty_millionths = millionths(value).ok_or_else(|| ConfigError {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    accepted: "a number from 0 to 1 is accepted".to_owned(),
                })?;
            }
            "min.compaction.lag.ms" => self.min_compaction_lag_ms = number(0, i64::MAX)?,
            "max.compaction.lag.ms" => self.max_compaction_lag_ms = number(1, i64::MAX)?,
            "min.insync.replicas" => {
                self.min_insync_replicas = i32::try_from(number(1, int)?).unwrap_or(i32::MAX);
            }
            "unclean.leader.election.enable" => self.unclean_leader_election = flag()?,
            "remote.storage.enable" => self.remote_storage_enable = flag()?,
            _ => {}
        }
        Ok(())
    }

    /// Whether the cold tier looks after the log. A compacted one bears the broker's default and is not tiered.
    #[must_use]
    pub fn is_tiered(&self) -> bool {
        self.remote_storage_enable && !self.cleanup.compact
    }

    /// The level for the codec of what is stored; `None` where it has none.
    #[must_use]
    pub fn compression_level(&self) -> Option<i32> {
        match self.compression {
            Some(Compression::Gzip) => Some(self.gzip_level),
            Some(Compression::Zstd) => Some(self.zstd_level),
            _ => None,
        }
    }

    /// How long a segment is written at most: a compacted one not longer than `max.compaction.lag.ms`, since the active
    /// segment is never compacted (KIP-354).
    #[must_use]
    pub fn max_segment_ms(&self) -> i64 {
        if self.cleanup.compact { self.segment_ms.min(self.max_compaction_lag_ms) } else { self.segment_ms }
    }

    /// How long local segments of a tiered topic stay, in milliseconds; `None` is for ever.
    #[must_use]
    pub fn local_retention_ms(&self) -> Option<i64> {
        limit(if self.local_retention_ms == -2 { self.retention_ms } else { self.local_retention_ms })
    }

    /// How many bytes of local segments of a tiered topic stay; `None` is all.
    #[must_use]
    pub fn local_retention_bytes(&self) -> Option<u64> {
        let bytes =
            if self.local_retention_bytes == -2 { self.retention_bytes } else { self.local_retention_bytes };
        limit(bytes).map(i64::cast_unsigned)
    }

    /// How long records stay, in milliseconds; `None` is for ever.
    #[must_use]
    pub fn retention_ms(&self) -> Option<i64> {
        limit(self.retention_ms)
    }

    /// How many bytes stay; `None` is all.
    #[must_use]
    pub fn retention_bytes(&self) -> Option<u64> {
        limit(self.retention_bytes).map(i64::cast_unsigned)
    }

    /// Whether an append is acknowledged only after an fsync.
    #[must_use]
    pub fn fsync_before_ack(&self) -> bool {
        self.flush_messages == 1 || self.flush_ms == 0
    }
}

fn level(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(0)
}

fn millionths(ratio: &str) -> Option<u32> {
    let ratio: f64 = ratio.trim().parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a million")]
    Some((ratio * 1_000_000.0).round() as u32)
}

fn limit(value: i64) -> Option<i64> {
    (value >= 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_that_contradicts_a_topic_takes_nothing_from_it() {
        let topic: BTreeMap<String, String> = [
            ("cleanup.policy", "compact"),
            ("max.compaction.lag.ms", "1000"),
            ("retention.ms", "-1"),
            ("segment.bytes", "many"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let defaults = LogConfig { min_compaction_lag_ms: 2000, ..LogConfig::default() };
        assert!(LogConfig::from_properties(&defaults, &topic).is_err());
        let held = LogConfig::as_far_as_understood(&defaults, &topic);
        assert!(held.cleanup.compact && !held.cleanup.delete);
        assert_eq!(held.retention_ms(), None);
        assert_eq!((held.min_compaction_lag_ms, held.max_compaction_lag_ms), (2000, 2000));
        assert_eq!(held.segment_bytes, defaults.segment_bytes);
    }
}
