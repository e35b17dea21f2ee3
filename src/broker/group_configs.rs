//! Configs of consumer groups (KIP-848): how long members may stay silent, how often they shall speak, and how often the
//! group is assigned anew (KIP-1263). What a group does not set is the broker's.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Broker;
use super::config::Kind;
use super::config_entry::{ConfigEntry, ConfigSource};
use super::topics::TopicError;
use crate::metadata::Command;

const SESSION: &str = "consumer.session.timeout.ms";
const HEARTBEAT: &str = "consumer.heartbeat.interval.ms";
const ASSIGNMENT: &str = "consumer.assignment.interval.ms";

/// A group's config, the broker's property that is its default, and those that bound it.
struct Definition {
    name: &'static str,
    property: &'static str,
    min: &'static str,
    max: &'static str,
    doc: &'static str,
}

const DEFINITIONS: [Definition; 3] = [
    Definition {
        name: ASSIGNMENT,
        property: "group.consumer.assignment.interval.ms",
        min: "group.consumer.min.assignment.interval.ms",
        max: "group.consumer.max.assignment.interval.ms",
        doc: "The least time between two assignments of the group.",
    },
    Definition {
        name: HEARTBEAT,
        property: "group.consumer.heartbeat.interval.ms",
        min: "group.consumer.min.heartbeat.interval.ms",
        max: "group.consumer.max.heartbeat.interval.ms",
        doc: "How often members of the group shall speak.",
    },
    Definition {
        name: SESSION,
        property: "group.consumer.session.timeout.ms",
        min: "group.consumer.min.session.timeout.ms",
        max: "group.consumer.max.session.timeout.ms",
        doc: "How long a member of the group may stay silent.",
    },
];

/// The times that hold for a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupTimes {
    /// `consumer.session.timeout.ms`
    pub session_timeout: Option<Duration>,
    /// `consumer.heartbeat.interval.ms`
    pub heartbeat_interval: Option<Duration>,
    /// `consumer.assignment.interval.ms`
    pub assignment_interval: Option<Duration>,
}

impl Broker {
    /// The times of a group: its own, within the broker's bounds, or else what is in force on this broker.
    #[must_use]
    pub fn group_times(&self, group: &str) -> GroupTimes {
        let (image, live) = (self.image(), self.live());
        let configs = image.group_configs.get(group);
        let read = |name: &str| {
            let definition = DEFINITIONS.iter().find(|d| d.name == name)?;
            let own = configs.and_then(|configs| configs.get(name)?.parse::<i64>().ok());
            let ms = own.unwrap_or_else(|| live.config.number(definition.property));
            let (min, max) = (live.config.number(definition.min), live.config.number(definition.max));
            u64::try_from(ms.clamp(min, max.max(min))).ok().map(Duration::from_millis)
        };
        GroupTimes {
            session_timeout: read(SESSION),
            heartbeat_interval: read(HEARTBEAT),
            assignment_interval: read(ASSIGNMENT),
        }
    }

    /// Every config of a group.
    #[must_use]
    pub fn group_config(&self, group: &str) -> Vec<ConfigEntry> {
        let image = self.image();
        let set = image.group_configs.get(group);
        let entry = |d: &Definition| {
            let own = set.and_then(|configs| configs.get(d.name));
            let own = own.map(|value| (Some(value.clone()), ConfigSource::Group));
            let (min, max) = self.bounds(d);
            let kind = Kind::Number { min, max: max.min(i64::from(i32::MAX)) };
            ConfigEntry::with_defaults(d.name, kind, d.doc, own, d.property, self.broker_values(d.property))
        };
        DEFINITIONS.iter().map(entry).collect()
    }

    /// Changes configs of a group, all of them or none; with `validate_only` says what would be wrong.
    ///
    /// # Errors
    /// `InvalidConfig` names the config and what is accepted.
    pub async fn alter_group_config(
        &self,
        group: &str,
        changes: BTreeMap<String, Option<String>>,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        if group.is_empty() {
            return Err(TopicError::InvalidConfig("a group's name is not empty".to_owned()));
        }
        for (name, value) in &changes {
            let definition = DEFINITIONS.iter().find(|d| d.name == name);
            let definition = definition
                .ok_or_else(|| TopicError::InvalidConfig(format!("groups have no config {name}")))?;
            let Some(value) = value else { continue };
            let (min, max) = self.bounds(definition);
            if !value.parse::<i64>().is_ok_and(|ms| (min..=max).contains(&ms)) {
                let text = format!("{name} is `{value}`; accepted is a whole number from {min} to {max}");
                return Err(TopicError::InvalidConfig(text));
            }
        }
        if !validate_only && !changes.is_empty() {
            self.metadata.submit(Command::AlterGroupConfig { group: group.to_owned(), changes }).await?;
        }
        Ok(())
    }

    fn bounds(&self, definition: &Definition) -> (i64, i64) {
        let live = self.live();
        (live.config.number(definition.min), live.config.number(definition.max))
    }
}
