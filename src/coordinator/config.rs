//! Settings of the group coordinator, under Kafka's names and with Kafka's defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use super::group::consumer::Assignor;

/// What bounds groups, sessions and committed offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout: Duration,
    /// `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits for more members.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: members of one group.
    pub max_group_size: usize,
    /// `offset.metadata.max.bytes`: the text a client may keep with an offset.
    pub max_offset_metadata_bytes: usize,
    /// `offsets.retention.minutes`: how long the offsets of an empty group are kept.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval: Duration,
    /// `offsets.commit.timeout.ms`: how long a write that the log refuses for now is tried again.
    pub commit_timeout: Duration,
    /// `offsets.load.buffer.size`: bytes of one read while a partition is loaded.
    pub load_buffer_bytes: usize,
    /// The largest batch the coordinator appends; one record larger than this is refused.
    pub max_batch_bytes: usize,
    /// Groups kept by one shard: joining or committing to one more is refused.
    pub max_groups: usize,
    /// `group.consumer.session.timeout.ms`: how long a member of the consumer protocol may stay silent.
    pub consumer_session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`: how soon it is told to speak again.
    pub consumer_heartbeat_interval: Duration,
    /// `group.consumer.min.session.timeout.ms` and `group.consumer.max.session.timeout.ms`: bounds of what a group may
    /// have of its own.
    pub consumer_session_bounds: (Duration, Duration),
    /// `group.consumer.min.heartbeat.interval.ms` and `group.consumer.max.heartbeat.interval.ms`: the same.
    pub consumer_heartbeat_bounds: (Duration, Duration),
    /// `group.consumer.assignment.interval.ms`: the least time between two target assignments of a group (KIP-1263).
    pub consumer_assignment_interval: Duration,
    /// `group.consumer.min.assignment.interval.ms` and `group.consumer.max.assignment.interval.ms`: bounds of what a group
    /// may have of its own.
    pub consumer_assignment_bounds: (Duration, Duration),
    /// `group.consumer.max.size`: members of one group of the consumer protocol.
    pub consumer_max_size: usize,
    /// `group.consumer.assignors`: those that are offered; the first is taken when members have no wish.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`: which way groups may change over while they have members.
    pub migration: Migration,
    /// Member ids that one group has handed out and nobody has joined with yet (KIP-394).
    pub max_pending_members: usize,
}

/// Which way groups may change over while they have members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// From the classic protocol to the consumer protocol.
    pub upgrades: bool,
    /// And back.
    pub downgrades: bool,
}

impl Migration {
    /// The values of `group.consumer.migration.policy`.
    const POLICIES: [(&'static str, Migration); 4] = [
        ("bidirectional", Migration { upgrades: true, downgrades: true }),
        ("upgrade", Migration { upgrades: true, downgrades: false }),
        ("downgrade", Migration { upgrades: false, downgrades: true }),
        ("disabled", Migration { upgrades: false, downgrades: false }),
    ];
}

impl Default for GroupConfig {
    fn default() -> Self {
        GroupConfig {
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_secs(1800),
            initial_rebalance_delay: Duration::from_secs(3),
            max_group_size: i32::MAX as usize,
            max_offset_metadata_bytes: 4096,
            offsets_retention: Duration::from_secs(10080 * 60),
            offsets_retention_check_interval: Duration::from_secs(600),
            commit_timeout: Duration::from_secs(5),
            load_buffer_bytes: 5 * 1024 * 1024,
            max_batch_bytes: 1_000_000,
            max_groups: 100_000,
            consumer_session_timeout: Duration::from_secs(45),
            consumer_heartbeat_interval: Duration::from_secs(5),
            consumer_session_bounds: (Duration::from_secs(45), Duration::from_secs(60)),
            consumer_heartbeat_bounds: (Duration::from_secs(5), Duration::from_secs(15)),
            consumer_assignment_interval: Duration::from_secs(1),
            consumer_assignment_bounds: (Duration::ZERO, Duration::from_secs(15)),
            consumer_max_size: i32::MAX as usize,
            assignors: Assignor::ALL.to_vec(),
            migration: Migration { upgrades: true, downgrades: true },
            max_pending_members: 1_000,
        }
    }
}

/// A broker property of the group coordinator that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}={value}: {accepted}")]
pub struct InvalidGroupConfig {
    /// The property.
    pub key: &'static str,
    /// What was given.
    pub value: String,
    /// What is accepted.
    pub accepted: &'static str,
}

impl GroupConfig {
    /// Takes the coordinator's keys from the broker's properties; the others are not looked at.
    ///
    /// # Errors
    /// `InvalidGroupConfig` names the key, the value and what is accepted.
    pub fn from_properties(properties: &BTreeMap<String, String>) -> Result<GroupConfig, InvalidGroupConfig> {
        let defaults = GroupConfig::default();
        let read = |key: &'static str, least: i64| -> Result<Option<u64>, InvalidGroupConfig> {
            let Some(value) = properties.get(key) else { return Ok(None) };
            let number = value.trim().parse::<i32>().ok().filter(|n| i64::from(*n) >= least);
            number.and_then(|n| u64::try_from(n).ok()).map(Some).ok_or_else(|| InvalidGroupConfig {
                key,
                value: value.clone(),
                accepted: if least > 0 {
                    "a whole number of at least 1"
                } else {
                    "a whole number of at least 0"
                },
            })
        };
        let ms = |key, least, default: Duration| -> Result<Duration, InvalidGroupConfig> {
            Ok(read(key, least)?.map_or(default, Duration::from_millis))
        };
        let size = |key, least, default: usize| -> Result<usize, InvalidGroupConfig> {
            Ok(read(key, least)?.and_then(|n| usize::try_from(n).ok()).unwrap_or(default))
        };
        let config = GroupConfig {
            min_session_timeout: ms("group.min.session.timeout.ms", 0, defaults.min_session_timeout)?,
            max_session_timeout: ms("group.max.session.timeout.ms", 0, defaults.max_session_timeout)?,
            initial_rebalance_delay: ms(
                "group.initial.rebalance.delay.ms",
                0,
                defaults.initial_rebalance_delay,
            )?,
            max_group_size: size("group.max.size", 1, defaults.max_group_size)?,
            max_offset_metadata_bytes: size(
                "offset.metadata.max.bytes",
                0,
                defaults.max_offset_metadata_bytes,
            )?,
            offsets_retention: read("offsets.retention.minutes", 1)?
                .map_or(defaults.offsets_retention, |minutes| Duration::from_secs(minutes * 60)),
            offsets_retention_check_interval: ms(
                "offsets.retention.check.interval.ms",
                1,
                defaults.offsets_retention_check_interval,
            )?,
            commit_timeout: ms("offsets.commit.timeout.ms", 1, defaults.commit_timeout)?,
            load_buffer_bytes: size("offsets.load.buffer.size", 1, defaults.load_buffer_bytes)?,
            consumer_session_timeout: ms(
                "group.consumer.session.timeout.ms",
                1,
                defaults.consumer_session_timeout,
            )?,
            consumer_heartbeat_interval: ms(
                "group.consumer.heartbeat.interval.ms",
                1,
                defaults.consumer_heartbeat_interval,
            )?,
            consumer_session_bounds: (
                ms("group.consumer.min.session.timeout.ms", 1, defaults.consumer_session_bounds.0)?,
                ms("group.consumer.max.session.timeout.ms", 1, defaults.consumer_session_bounds.1)?,
            ),
            consumer_heartbeat_bounds: (
                ms("group.consumer.min.heartbeat.interval.ms", 1, defaults.consumer_heartbeat_bounds.0)?,
                ms("group.consumer.max.heartbeat.interval.ms", 1, defaults.consumer_heartbeat_bounds.1)?,
            ),
            consumer_assignment_interval: ms(
                "group.consumer.assignment.interval.ms",
                0,
                defaults.consumer_assignment_interval,
            )?,
            consumer_assignment_bounds: (
                ms("group.consumer.min.assignment.interval.ms", 0, defaults.consumer_assignment_bounds.0)?,
                ms("group.consumer.max.assignment.interval.ms", 0, defaults.consumer_assignment_bounds.1)?,
            ),
            consumer_max_size: size("group.consumer.max.size", 1, defaults.consumer_max_size)?,
            assignors: assignors(properties)?,
            migration: migration(properties)?,
            ..defaults
        };
        let within = |key, value: Duration, bounds: (Duration, Duration), accepted| {
            let value =
                (bounds.0..=bounds.1).contains(&value).then_some(()).ok_or(value.as_millis().to_string());
            value.map_err(|value| InvalidGroupConfig { key, value, accepted })
        };
        within(
            "group.consumer.session.timeout.ms",
            config.consumer_session_timeout,
            config.consumer_session_bounds,
            "between group.consumer.min.session.timeout.ms and group.consumer.max.session.timeout.ms",
        )?;
        within(
            "group.consumer.heartbeat.interval.ms",
            config.consumer_heartbeat_interval,
            config.consumer_heartbeat_bounds,
            "between group.consumer.min.heartbeat.interval.ms and group.consumer.max.heartbeat.interval.ms",
        )?;
        within(
            "group.consumer.assignment.interval.ms",
            config.consumer_assignment_interval,
            config.consumer_assignment_bounds,
            "between group.consumer.min.assignment.interval.ms and group.consumer.max.assignment.interval.ms",
        )?;
        if config.min_session_timeout > config.max_session_timeout {
            return Err(InvalidGroupConfig {
                key: "group.min.session.timeout.ms",
                value: config.min_session_timeout.as_millis().to_string(),
                accepted: "at most group.max.session.timeout.ms",
            });
        }
        Ok(config)
    }
}

fn assignors(properties: &BTreeMap<String, String>) -> Result<Vec<Assignor>, InvalidGroupConfig> {
    const KEY: &str = "group.consumer.assignors";
    let Some(value) = properties.get(KEY) else { return Ok(Assignor::ALL.to_vec()) };
    let refused =
        || InvalidGroupConfig { key: KEY, value: value.clone(), accepted: "a list of `uniform` and `range`" };
    let mut offered = Vec::new();
    for name in value.split(',').map(str::trim) {
        let assignor = Assignor::of_name(name).filter(|a| !offered.contains(a)).ok_or_else(refused)?;
        offered.push(assignor);
    }
    Ok(offered)
}

fn migration(properties: &BTreeMap<String, String>) -> Result<Migration, InvalidGroupConfig> {
    const KEY: &str = "group.consumer.migration.policy";
    let value = properties.get(KEY).map_or("bidirectional", String::as_str);
    let policy = Migration::POLICIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(value.trim()));
    policy.map(|(_, policy)| *policy).ok_or_else(|| InvalidGroupConfig {
        key: KEY,
        value: value.to_owned(),
        accepted: "`bidirectional`, `upgrade`, `downgrade` or `disabled`",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn properties_override_kafkas_defaults() {
        let config = GroupConfig::from_properties(&properties(&[
            ("group.initial.rebalance.delay.ms", "0"),
            ("offsets.retention.minutes", "2"),
            ("group.max.size", "7"),
        ]))
        .unwrap();
        assert_eq!(config.initial_rebalance_delay, Duration::ZERO);
        assert_eq!(config.offsets_retention, Duration::from_secs(120));
        assert_eq!(config.max_group_size, 7);
        assert_eq!(config.max_session_timeout, GroupConfig::default().max_session_timeout);
    }

    #[test]
    fn a_bad_property_names_the_key_the_value_and_what_is_accepted() {
        let error = GroupConfig::from_properties(&properties(&[("group.max.size", "many")])).unwrap_err();
        assert_eq!(error.to_string(), "group.max.size=many: a whole number of at least 1");
        for (key, bad) in [
            ("group.consumer.assignors", "uniform,sticky"),
            ("group.consumer.assignors", "range,range"),
            ("group.consumer.migration.policy", "sideways"),
            ("group.consumer.session.timeout.ms", "10"),
            ("group.consumer.heartbeat.interval.ms", "60000"),
            ("group.consumer.assignment.interval.ms", "60000"),
        ] {
            assert_eq!(GroupConfig::from_properties(&properties(&[(key, bad)])).unwrap_err().key, key);
        }
        let crossed = properties(&[("group.min.session.timeout.ms", "2000000")]);
        assert!(GroupConfig::from_properties(&crossed).is_err());
    }
}
