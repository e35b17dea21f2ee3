//! Configs of brokers: where each value comes from, and changing those that can change while brokers run (KIP-226).

use std::collections::BTreeMap;

use super::Broker;
use super::config::{ConfigError, DEFINITIONS, InForce, Kind, Overrides, Update, definition, update_of};
use super::config_entry::{ConfigEntry, ConfigSource};
use super::tier::{RESTORE_METADATA, check_topic};
use super::topics::TopicError;
use crate::log::LogConfig;
use crate::metadata::Command;
use crate::types::BrokerId;

impl Broker {
    /// Every property of this broker with its values and their sources, sorted by name; secrets without their value.
    #[must_use]
    pub fn broker_config(&self) -> Vec<ConfigEntry> {
        let mut entries: Vec<ConfigEntry> = DEFINITIONS.iter().map(|d| self.broker_entry(d.name)).collect();
        // What one listener has for itself stands beside the table.
        let image = self.image();
        let set = [None, Some(self.node_id())].into_iter().filter_map(|of| image.broker_configs.get(&of));
        let named = set.flat_map(|values| values.keys()).chain(self.config.properties.iter().map(|(k, _)| k));
        for name in named {
            if definition(name).is_some() && !entries.iter().any(|entry| entry.name == *name) {
                entries.push(self.broker_entry(name));
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries
    }

    fn broker_entry(&self, name: &str) -> ConfigEntry {
        let (kind, doc) = definition(name).map_or((Kind::Text, ""), |d| (d.kind, d.doc));
        let entry = ConfigEntry::new(name, kind, doc, self.broker_values(name));
        ConfigEntry { read_only: update_of(name) == Update::ReadOnly, ..entry }
    }

    /// What is set for all brokers at run time.
    #[must_use]
    pub fn broker_defaults_config(&self) -> Vec<ConfigEntry> {
        let image = self.image();
        let Some(set) = image.broker_configs.get(&None) else { return Vec::new() };
        let entry = |(name, value): (&String, &String)| {
            let (kind, doc) = definition(name).map_or((Kind::Text, ""), |d| (d.kind, d.doc));
            ConfigEntry::new(name, kind, doc, vec![(Some(value.clone()), ConfigSource::DynamicDefault)])
        };
        set.iter().map(entry).collect()
    }

    /// The values that a property has here, the one that is in force first.
    pub(super) fn broker_values(&self, name: &str) -> Vec<(Option<String>, ConfigSource)> {
        let image = self.image();
        let dynamic = |of: Option<BrokerId>, source| {
            let value = image.broker_configs.get(&of)?.get(name)?;
            (update_of(name) != Update::ReadOnly).then(|| (Some(value.clone()), source))
        };
        let file = self.config.properties.explicit(name);
        let default = definition(name).and_then(|d| d.default).map(str::to_owned);
        let live = self.live();
        let of_broker = dynamic(Some(self.node_id()), ConfigSource::DynamicBroker);
        let of_all = dynamic(None, ConfigSource::DynamicDefault);
        // What this broker leaves out stands behind what is in force.
        let (of_broker, no_broker) =
            if live.ignores(name, true) { (None, of_broker) } else { (of_broker, None) };
        let (of_all, no_all) = if live.ignores(name, false) { (None, of_all) } else { (of_all, None) };
        let mut values = Vec::new();
        values.extend(of_broker);
        values.extend(of_all);
        values.extend(file.map(|setting| (Some(setting.value.clone()), ConfigSource::StaticBroker)));
        if default.is_some() || values.is_empty() {
            values.push((default, ConfigSource::Default));
        }
        values.extend(no_broker);
        values.extend(no_all);
        values
    }

    /// Changes properties of a running broker, or with `None` of all, every one of them or none.
    ///
    /// # Errors
    /// `InvalidConfig` names the property and what is accepted, or what it contradicts.
    pub async fn alter_broker_config(
        &self,
        broker: Option<BrokerId>,
        mut changes: BTreeMap<String, Option<String>>,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        if let Some(Some(generation)) = changes.remove(RESTORE_METADATA) {
            return self.restore_metadata(&generation, validate_only).await;
        }
        let image = self.image();
        if let Some(broker) = broker.filter(|broker| !image.brokers.contains_key(broker)) {
            return Err(TopicError::InvalidConfig(format!("broker {broker} is not registered")));
        }
        let mut here = image.broker_configs.get(&broker).cloned().unwrap_or_default();
        // What was never set at run time is at its default already: Kafka's tools clear throttles that we do not have.
        changes.retain(|name, value| value.is_some() || here.contains_key(name));
        for (name, value) in &changes {
            if value.is_some() {
                check_update(name, broker)?;
            }
            match value {
                Some(value) => here.insert(name.clone(), value.clone()),
                None => here.remove(name),
            };
        }
        let everywhere = image.broker_configs.get(&None).cloned().unwrap_or_default();
        let overrides = match broker {
            Some(_) => Overrides { everywhere, here },
            None => Overrides {
                everywhere: here,
                here: image.broker_configs.get(&Some(self.node_id())).cloned().unwrap_or_default(),
            },
        };
        let invalid = |error: &ConfigError| {
            TopicError::InvalidConfig(match error {
                ConfigError::Invalid { key, value, accepted, .. } => {
                    format!("{key} is `{value}`; accepted is {accepted}")
                }
                other => other.to_string(),
            })
        };
        let next = InForce::as_far_as_possible(&self.config, &overrides).map_err(|error| invalid(&error))?;
        // What this broker leaves out already is no reason against another change.
        let before = self.live();
        // And what is taken back there makes room.
        let is_set = |name: &str, here: bool| {
            here == broker.is_some() && changes.get(name).is_some_and(Option::is_some)
        };
        let refused =
            next.ignored.iter().find(|i| is_set(&i.name, i.here) || !before.ignores(&i.name, i.here));
        if let Some(refused) = refused {
            return Err(invalid(&refused.why));
        }
        self.check_topics_under(&next)?;
        if !validate_only && !changes.is_empty() {
            self.metadata.submit(Command::AlterBrokerConfig { broker, changes }).await?;
        }
        Ok(())
    }
}

impl Broker {
    /// What a topic would be refused must not come to it by a default either.
    fn check_topics_under(&self, next: &InForce) -> Result<(), TopicError> {
        let deletes = next.config.is_on("tier.delete.on.disable");
        for topic in self.image().topics.values() {
            // One that has contradicted itself before is not made worse.
            let Ok(before) = self.log_config(&topic.configs) else { continue };
            let refused =
                |why: String| TopicError::InvalidConfig(format!("topic {} forbids it: {why}", topic.name));
            let after = LogConfig::from_properties(&next.log_defaults, &topic.configs)
                .map_err(|error| refused(error.to_string()))?;
            if after != before {
                check_topic(Some(&before), &after, &topic.configs, deletes).map_err(refused)?;
            }
        }
        Ok(())
    }
}

/// Whether a property can be set at run time, for one broker or for all.
fn check_update(name: &str, broker: Option<BrokerId>) -> Result<(), TopicError> {
    let refused = |text: String| Err(TopicError::InvalidConfig(text));
    match update_of(name) {
        Update::Anywhere => Ok(()),
        Update::ClusterOnly if broker.is_none() => Ok(()),
        Update::ClusterOnly => {
            refused(format!("{name} holds for the whole cluster; set it for all brokers (--entity-default)"))
        }
        Update::ReadOnly if definition(name).is_none() => refused(format!("brokers have no property {name}")),
        Update::ReadOnly => refused(format!(
            "{name} can't change while brokers run; set it in the broker's configuration file and restart it"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_change_at_run_time_is_refused_with_the_way_to_change_it() {
        for (name, broker, told) in [
            ("node.id", None, "configuration file"),
            ("no.such", None, "no property no.such"),
            ("min.insync.replicas", Some(BrokerId(1)), "--entity-default"),
        ] {
            let error = check_update(name, broker).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        assert_eq!(check_update("min.insync.replicas", None), Ok(()));
        assert_eq!(check_update("log.retention.ms", Some(BrokerId(1))), Ok(()));
    }
}
