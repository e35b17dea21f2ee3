//! Configs of topics and brokers, and the few that the quorum itself obeys.
//!
//! The room that uses a config checks its value before it is proposed; here only those are checked that decide about
//! elections, since an unreadable one would have to mean something.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::elections;
use crate::metadata::command::{CommandError, CommandReply};
use crate::metadata::image::{Image, Partition, Topic};
use crate::types::{BrokerId, TopicId};

const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
const UNCLEAN_ELECTIONS: &str = "unclean.leader.election.enable";
const FLUSH_MESSAGES: &str = "flush.messages";

/// Every client that asks for its subscription is matched against each of them.
const MAX_CLIENT_METRICS: usize = 256;

type Configs = BTreeMap<String, String>;
type Changes = BTreeMap<String, Option<String>>;

fn effective<'a>(defaults: Option<&'a Configs>, topic: &'a Configs, key: &str) -> Option<&'a String> {
    topic.get(key).or_else(|| defaults?.get(key))
}

/// `min.insync.replicas` of a topic: its own, else the cluster's, else 1.
pub(super) fn min_insync_replicas(defaults: Option<&Configs>, topic: &Configs) -> usize {
    effective(defaults, topic, MIN_INSYNC_REPLICAS).and_then(|v| v.parse().ok()).unwrap_or(1).max(1)
}

/// `unclean.leader.election.enable` of a topic: its own, else the cluster's, else false.
pub(super) fn unclean_elections(defaults: Option<&Configs>, topic: &Configs) -> bool {
    effective(defaults, topic, UNCLEAN_ELECTIONS).is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

/// Whether the topic's own configs demand an fsync before each acknowledgement.
pub(super) fn is_synced(topic: &Configs) -> bool {
    topic.get(FLUSH_MESSAGES).is_some_and(|v| v == "1")
}

/// Refuses values that the quorum could not obey.
pub(super) fn check_values<'a>(
    values: impl Iterator<Item = (&'a String, Option<&'a String>)>,
) -> Result<(), CommandError> {
    for (key, value) in values {
        let Some(value) = value else { continue };
        let accepted = match key.as_str() {
            MIN_INSYNC_REPLICAS if value.parse::<i32>().map_or(true, |n| n < 1) => "an integer of at least 1",
            UNCLEAN_ELECTIONS
                if !value.eq_ignore_ascii_case("true") && !value.eq_ignore_ascii_case("false") =>
            {
                "true or false"
            }
            _ => continue,
        };
        return Err(CommandError::Invalid(format!("config {key} is `{value}`; accepted is {accepted}")));
    }
    Ok(())
}

fn merge(configs: &mut Configs, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => configs.insert(key.clone(), value.clone()),
            None => configs.remove(key),
        };
    }
}

/// Changes one of the resources of a kind, of which there are at most `most`. One without configs is gone.
fn alter_named(
    resources: &mut BTreeMap<String, Configs>,
    name: &str,
    changes: &Changes,
    most: usize,
) -> Result<CommandReply, CommandError> {
    if resources.len() >= most && !resources.contains_key(name) {
        return Err(CommandError::Invalid(format!("there are {most} already; delete one first")));
    }
    let configs = resources.entry(name.to_owned()).or_default();
    merge(configs, changes);
    if configs.is_empty() {
        resources.remove(name);
    }
    Ok(CommandReply::Done)
}

impl Image {
    /// `min.insync.replicas` as it holds for a topic, before it is bounded by the number of replicas.
    #[must_use]
    pub fn min_insync_replicas(&self, topic: &Topic) -> usize {
        min_insync_replicas(self.broker_configs.get(&None), &topic.configs)
    }

    pub(super) fn alter_topic_config(
        &mut self,
        id: TopicId,
        changes: &Changes,
    ) -> Result<CommandReply, CommandError> {
        check_values(changes.iter().map(|(key, value)| (key, value.as_ref())))?;
        let name = self.topic_ids.get(&id).ok_or(CommandError::UnknownTopic(id))?;
        let defaults = self.broker_configs.get(&None).cloned();
        let mut min_isr_before = 1;
        if let Some(topic) = self.topics.get_mut(name) {
            min_isr_before = min_insync_replicas(defaults.as_ref(), &topic.configs);
            merge(&mut Arc::make_mut(topic).configs, changes);
            if !is_synced(&topic.configs) {
                self.synced_topics.remove(&id);
            }
        }
        self.empty_elrs(|topic| (topic.id == id).then_some(min_isr_before));
        Ok(CommandReply::Done)
    }

    pub(super) fn alter_broker_config(
        &mut self,
        broker: Option<BrokerId>,
        changes: &Changes,
    ) -> Result<CommandReply, CommandError> {
        check_values(changes.iter().map(|(key, value)| (key, value.as_ref())))?;
        let before = self.broker_configs.get(&None).cloned();
        let configs = self.broker_configs.entry(broker).or_default();
        merge(configs, changes);
        if configs.is_empty() {
            self.broker_configs.remove(&broker);
        }
        if broker.is_none() {
            self.empty_elrs(|topic| Some(min_insync_replicas(before.as_ref(), &topic.configs)));
        }
        Ok(CommandReply::Done)
    }

    pub(super) fn alter_group_config(
        &mut self,
        group: &str,
        changes: &Changes,
    ) -> Result<CommandReply, CommandError> {
        if group.is_empty() {
            return Err(CommandError::Invalid("a group's name is not empty".to_owned()));
        }
        alter_named(&mut self.group_configs, group, changes, usize::MAX)
    }

    pub(super) fn alter_client_metrics(
        &mut self,
        name: &str,
        changes: &Changes,
    ) -> Result<CommandReply, CommandError> {
        if name.is_empty() {
            return Err(CommandError::Invalid("a subscription's name is not empty".to_owned()));
        }
        alter_named(&mut self.client_metrics, name, changes, MAX_CLIENT_METRICS)
    }

    /// The command that changes a partition's min ISR empties its ELR: the members were eligible under the old one.
    fn empty_elrs(&mut self, min_isr_before: impl Fn(&Topic) -> Option<usize>) {
        self.edit_partitions(|rules, topic, index| {
            let before = &topic.partitions[index];
            let old = min_isr_before(topic)?.min(before.replicas.len());
            if before.elr.is_empty() || old == rules.min_isr(before) {
                return None;
            }
            let after = Partition { elr: Vec::new(), ..before.clone() };
            Some(elections::settle(rules, before, after, |_| {}))
        });
    }
}
