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
use crate::coordinator::GroupConfig;
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
    "group.consumer.assignment.interval.ms",
    "group.consumer.heartbeat.interval.ms",
    "group.consumer.max.assignment.interval.ms",
    "group.consumer.max.heartbeat.interval.ms",
    "group.consumer.max.session.timeout.ms",
    "group.consumer.min.assignment.interval.ms",
    "group.consumer.min.heartbeat.interval.ms",
    "group.consumer.min.session.timeout.ms",
    "group.consumer.session.timeout.ms",
    "leader.replication.throttled.rate",
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.io.max.bytes.per.second",
    "log.retention.check.interval.ms",
    "max.connection.creation.rate",
    "max.connections",
    "max.connections.per.ip",
    "num.partitions",
    "producer.id.expiration.ms",
    "remote.fetch.max.wait.ms",
    "remote.log.manager.copy.max.bytes.per.second",
    "remote.log.manager.fetch.max.bytes.per.second",
    "telemetry.max.bytes",
    "transaction.partition.verification.enable",
];

const CLUSTER_ONLY: &[&str] = &[
    "min.insync.replicas",
    "tier.incarnation",
    "tier.incarnation.first.producer.id",
    "unclean.leader.election.enable",
];

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

/// A value that was set at run time and can't be in force here, for it contradicts the broker's file or another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The property.
    pub name: String,
    /// Set for this broker, not for all.
    pub here: bool,
    /// What it contradicts, or why it is no value.
    pub why: ConfigError,
}

/// A configuration with what was set at run time, and the defaults of topics that follow from it.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The properties.
    pub config: BrokerConfig,
    /// What topics have that they don't set themselves.
    pub log_defaults: Arc<LogConfig>,
    /// What was set at run time and is left out.
    pub ignored: Vec<Ignored>,
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
        let contradiction = |e: &dyn std::fmt::Display| ConfigError::Contradiction(e.to_string());
        GroupConfig::from_properties(&config.all_values()).map_err(|e| contradiction(&e))?;
        let defaults = LogConfig {
            producer_id_expiration_ms: config.number("producer.id.expiration.ms"),
            ..LogConfig::default()
        };
        let log_defaults =
            LogConfig::from_properties(&defaults, &config.topic_defaults()).map_err(|e| contradiction(&e))?;
        Ok(InForce { config, log_defaults: Arc::new(log_defaults), ignored: Vec::new() })
    }

    /// The same, without the values that can't be in force: they are among [`InForce::ignored`], and all others hold.
    ///
    /// # Errors
    /// What is wrong with the file itself.
    pub fn as_far_as_possible(file: &BrokerConfig, overrides: &Overrides) -> Result<InForce, ConfigError> {
        if let Ok(all) = InForce::new(file, overrides) {
            return Ok(all);
        }
        let mut taken = Overrides::default();
        let mut now = InForce::new(file, &taken)?;
        let all_brokers = overrides.everywhere.iter().map(|value| (false, value));
        let mut waiting: Vec<_> =
            all_brokers.chain(overrides.here.iter().map(|value| (true, value))).collect();
        // One that contradicts the file may go with another that is taken later.
        loop {
            let (before, mut ignored) = (waiting.len(), Vec::new());
            waiting.retain(|(here, (name, value))| {
                let mut next = taken.clone();
                let place = if *here { &mut next.here } else { &mut next.everywhere };
                place.insert((*name).clone(), (*value).clone());
                match InForce::new(file, &next) {
                    Ok(in_force) => {
                        (now, taken) = (in_force, next);
                        false
                    }
                    Err(why) => {
                        ignored.push(Ignored { name: (*name).clone(), here: *here, why });
                        true
                    }
                }
            });
            if waiting.len() == before || waiting.is_empty() {
                return Ok(InForce { ignored, ..now });
            }
        }
    }

    /// Whether a value that was set for this broker, or for all, is left out.
    #[must_use]
    pub fn ignores(&self, name: &str, here: bool) -> bool {
        self.ignored.iter().any(|ignored| ignored.name == name && ignored.here == here)
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
    fn what_contradicts_the_file_is_left_out_and_told_and_the_rest_holds() {
        let file = file("log.retention.ms=1000\nnum.partitions=2");
        let overrides = Overrides {
            everywhere: values(&[("log.local.retention.ms", "2000"), ("num.partitions", "5")]),
            here: values(&[("log.roll.ms", "7"), ("num.partitions", "many")]),
        };
        assert!(InForce::new(&file, &overrides).is_err());
        let found = InForce::as_far_as_possible(&file, &overrides).unwrap();
        assert_eq!(found.config.number("log.local.retention.ms"), -2);
        assert_eq!(found.config.number("num.partitions"), 5, "what all brokers have, as its own is no value");
        assert_eq!(found.config.number("log.roll.ms"), 7);
        assert!(found.ignores("log.local.retention.ms", false) && found.ignores("num.partitions", true));
        assert_eq!(found.ignored.len(), 2);
        assert!(found.ignored[0].why.to_string().contains("log.retention.ms (1000)"), "{:?}", found.ignored);
    }

    #[test]
    fn values_that_only_go_together_are_taken_together() {
        let file = file("log.retention.ms=1000");
        let overrides = Overrides {
            everywhere: values(&[("log.local.retention.ms", "2000"), ("num.partitions", "0")]),
            here: values(&[("log.retention.ms", "3000")]),
        };
        let found = InForce::as_far_as_possible(&file, &overrides).unwrap();
        assert_eq!(found.config.number("log.local.retention.ms"), 2000);
        assert_eq!(found.ignored.len(), 1);
    }

    #[test]
    fn how_long_producers_are_remembered_reaches_the_logs() {
        let file = file("producer.id.expiration.ms=5000");
        let of = |overrides: &Overrides| {
            InForce::new(&file, overrides).unwrap().log_defaults.producer_id_expiration_ms
        };
        assert_eq!(of(&Overrides::default()), 5000);
        let set = values(&[("producer.id.expiration.ms", "7000")]);
        assert_eq!(of(&Overrides { everywhere: set, ..Overrides::default() }), 7000);
    }

    #[test]
    fn a_groups_time_outside_its_bounds_is_refused() {
        let set = values(&[("group.consumer.session.timeout.ms", "90000")]);
        let overrides = Overrides { everywhere: set, ..Overrides::default() };
        assert!(InForce::new(&file(""), &overrides).is_err());
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
