//! What of the configuration can change while brokers run (KIP-226), and what is in force when it has.
//!
//! Values set at run time live in the metadata, for one broker or for all, and hold over those of the file:
//!
//! ```text
//! this broker's own ─► all brokers' ─► the file, the environment ─► the default
//! ```
//! Whoever uses a property that is named here reads it anew each time, or is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::definition::of_listener;
use super::{BrokerConfig, ConfigError, definition};
use crate::log::LogConfig;

/// How a property can be changed at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// In the file only, with a restart.
    ReadOnly,
    /// For all brokers at once: the quorum itself obeys it.
    ClusterOnly,
    /// For one broker, or for all.
    Anywhere,
}

/// Those that are no topic's default.
const ANYWHERE: &[&str] = &[
    "connection.creation.rate.per.ip",
    "cordoned.log.dirs",
    "default.replication.factor",
    "fetch.max.bytes",
    "follower.replication.throttled.rate",
    "leader.replication.throttled.rate",
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.io.max.bytes.per.second",
    "log.retention.check.interval.ms",
    "max.connection.creation.rate",
    "max.connections",
    "max.connections.per.ip",
    "num.partitions",
    "remote.fetch.max.wait.ms",
    "remote.log.manager.copy.max.bytes.per.second",
    "remote.log.manager.fetch.max.bytes.per.second",
    "telemetry.max.bytes",
    "transaction.partition.verification.enable",
];

const CLUSTER_ONLY: &[&str] = &["min.insync.replicas", "unclean.leader.election.enable"];

/// Defaults of topics that are read once, at the start.
const AT_THE_START: &[&str] =
    &["tier.default.enable", "tier.delete.on.disable", "tier.disk.full.default.policy"];

/// How a property can be changed at run time.
#[must_use]
pub fn update_of(name: &str) -> Update {
    let Some(definition) = definition(name) else { return Update::ReadOnly };
    if CLUSTER_ONLY.contains(&name) {
        return Update::ClusterOnly;
    }
    let topics_default = definition.topic_config.is_some() && !AT_THE_START.contains(&name);
    if topics_default || ANYWHERE.contains(&name) || of_listener(name).is_some() {
        Update::Anywhere
    } else {
        Update::ReadOnly
    }
}

/// Values that were set at run time: for all brokers, then for this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// For all.
    pub everywhere: BTreeMap<String, String>,
    /// For this broker.
    pub here: BTreeMap<String, String>,
}

/// A configuration with what was set at run time, and the defaults of topics that follow from it.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The properties.
    pub config: BrokerConfig,
    /// What topics have that they don't set themselves.
    pub log_defaults: Arc<LogConfig>,
}

impl InForce {
    /// The configuration of the file, with values set at run time over it.
    ///
    /// # Errors
    /// What contradicts what, or which value is none.
    pub fn new(file: &BrokerConfig, overrides: &Overrides) -> Result<InForce, ConfigError> {
        let mut properties = file.properties.clone();
        for (values, place) in
            [(&overrides.everywhere, "set for all brokers"), (&overrides.here, "set for this broker")]
        {
            for (name, value) in values.iter().filter(|(name, _)| update_of(name) != Update::ReadOnly) {
                properties.set(name, value, place)?;
            }
        }
        let config = BrokerConfig::new(properties)?;
        let log_defaults = LogConfig::from_properties(&LogConfig::default(), &config.topic_defaults())
            .map_err(|e| ConfigError::Contradiction(e.to_string()))?;
        Ok(InForce { config, log_defaults: Arc::new(log_defaults) })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn file(text: &str) -> BrokerConfig {
        BrokerConfig::load(Path::new("x.properties"), text, std::iter::empty()).unwrap()
    }

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_brokers_own_value_holds_over_that_of_all_brokers_and_that_over_the_file() {
        let file = file("log.roll.ms=3\nlog.segment.bytes=300\nnum.partitions=3");
        let overrides = Overrides {
            everywhere: values(&[("log.roll.ms", "2"), ("log.segment.bytes", "200")]),
            here: values(&[("log.roll.ms", "1")]),
        };
        let found = InForce::new(&file, &overrides).unwrap();
        let numbers =
            ["log.roll.ms", "log.segment.bytes", "num.partitions"].map(|key| found.config.number(key));
        assert_eq!(numbers, [1, 200, 3]);
        assert_eq!(found.log_defaults.segment_bytes, 200);
    }

    #[test]
    fn what_contradicts_the_file_is_refused() {
        let file = file("log.retention.ms=1000");
        let overrides =
            Overrides { everywhere: values(&[("log.local.retention.ms", "2000")]), ..Overrides::default() };
        let error = InForce::new(&file, &overrides).unwrap_err().to_string();
        assert!(error.contains("log.local.retention.ms (2000)"), "{error}");
    }

    #[test]
    fn every_name_is_a_property_and_what_is_bound_at_the_start_is_not_among_them() {
        for name in ANYWHERE.iter().chain(CLUSTER_ONLY).chain(AT_THE_START) {
            assert!(definition(name).is_some(), "{name}");
        }
        for name in
            ["node.id", "listeners", "log.dirs", "tier.store.url", "no.such.property", "tier.default.enable"]
        {
            assert_eq!(update_of(name), Update::ReadOnly, "{name}");
        }
        assert_eq!(update_of("listener.name.external.max.connections"), Update::Anywhere);
        assert_eq!(update_of("log.retention.ms"), Update::Anywhere);
    }
}
