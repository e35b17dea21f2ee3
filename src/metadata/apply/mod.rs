//! `Image::apply`: the one place where the image changes.
//!
//! Pure and deterministic: the outcome depends on the image and the command alone, so that every broker that applies
//! the same commands in the same order holds the same image. A refused command changes nothing but `version`.
//!
//! One file per subject: [`brokers`], [`topics`], [`partitions`], [`elections`], [`reassignments`], [`configs`],
//! [`users`], [`acls`].

mod acls;
mod brokers;
mod configs;
mod elections;
#[cfg(test)]
mod invariants;
mod partitions;
#[cfg(test)]
mod reassignment_tests;
mod reassignments;
#[cfg(test)]
pub(super) mod rig;
#[cfg(test)]
mod tests;
mod topics;
mod users;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::{Command, CommandError, CommandReply};
use super::image::{BrokerInfo, COMMANDS, Image, Partition, SUPPORTED_FEATURES, Topic};
use crate::types::{BrokerEpoch, BrokerId, TopicId};

impl Image {
    /// Applies the command at `index` of the metadata log.
    ///
    /// # Errors
    /// Why the command was refused; then nothing but `version` has changed.
    ///
    /// # Panics
    /// When `index` is not above `version`: a command would be applied twice.
    pub fn apply(&mut self, index: u64, command: &Command) -> Result<CommandReply, CommandError> {
        assert!(index > self.version, "command {index} comes after {} was applied", self.version);
        self.version = index;
        match command {
            Command::Form { cluster_id, features, configs } => self.form(cluster_id, features, configs),
            Command::RegisterBroker(registration) => self.register_broker(registration),
            Command::Unfence { id, epoch } => self.unfence(*id, *epoch),
            Command::Fence { id, epoch } => self.fence(*id, *epoch),
            Command::ControlledShutdown { id, epoch } => self.controlled_shutdown(*id, *epoch),
            Command::UnregisterBroker { id } => self.unregister_broker(*id),
            Command::CreateTopic(topic) => self.create_topic(topic),
            Command::DeleteTopic { id, cold } => self.delete_topic(*id, *cold),
            Command::ForgetColdTopic { id } => self.forget_cold_topic(*id),
            Command::CreatePartitions { id, from, assignment } => {
                self.create_partitions(*id, *from, assignment)
            }
            Command::AlterPartition(proposal) => self.alter_partition(proposal),
            Command::AssignDirectory { broker, epoch, directory, partitions } => {
                self.assign_directory(*broker, *epoch, *directory, partitions)
            }
            Command::Resign { topic, partition, leader, leader_epoch, in_turn } => {
                self.resign((*topic, *partition), *leader, *leader_epoch, *in_turn)
            }
            Command::LoseReplicas { broker, epoch, partitions, stays_known } => {
                self.lose_replicas(*broker, *epoch, partitions, *stays_known)
            }
            Command::LoseDirectory { broker, epoch, directory } => {
                self.lose_directory(*broker, *epoch, *directory)
            }
            Command::ElectUnclean { topic, partition, partition_epoch, candidates } => {
                self.elect_unclean(*topic, *partition, *partition_epoch, candidates)
            }
            Command::ElectPreferred { partitions } => self.elect_preferred(partitions),
            Command::Reassign { topic, partition, target } => {
                self.reassign(*topic, *partition, target.as_deref())
            }
            Command::AlterTopicConfig { id, changes } => self.alter_topic_config(*id, changes),
            Command::AlterBrokerConfig { broker, changes } => self.alter_broker_config(*broker, changes),
            Command::AlterGroupConfig { group, changes } => self.alter_group_config(group, changes),
            Command::AlterClientMetrics { name, changes } => self.alter_client_metrics(name, changes),
            Command::UpdateFeatures { levels } => self.update_features(levels),
            Command::UpsertUser { user, mechanism, credential } => {
                self.upsert_user(user, *mechanism, credential)
            }
            Command::DeleteUser { user, mechanism } => self.delete_user(user, *mechanism),
            Command::CreateFirstUser { user, credentials } => self.create_first_user(user, credentials),
            Command::CreateAcls { bindings } => self.create_acls(bindings),
            Command::DeleteAcls { bindings } => Ok(self.delete_acls(bindings)),
            Command::AlterQuotas { changes } => self.alter_quotas(changes),
            Command::ReserveProducerIds { below } => {
                self.next_producer_id = self.next_producer_id.max(*below);
                Ok(CommandReply::Done)
            }
            Command::AllocateProducerIds { broker, epoch, count } => {
                self.allocate_producer_ids(*broker, *epoch, *count)
            }
        }
    }

    fn form(
        &mut self,
        cluster_id: &str,
        features: &BTreeMap<String, i16>,
        defaults: &BTreeMap<String, String>,
    ) -> Result<CommandReply, CommandError> {
        if !self.cluster_id.is_empty() {
            return Err(CommandError::AlreadyFormed(self.cluster_id.clone()));
        }
        if cluster_id.is_empty() {
            return Err(CommandError::Invalid("a cluster id is not empty".to_owned()));
        }
        configs::check_values(defaults.iter().map(|(key, value)| (key, Some(value))))?;
        cluster_id.clone_into(&mut self.cluster_id);
        self.features.clone_from(features);
        if !defaults.is_empty() {
            self.broker_configs.insert(None, defaults.clone());
        }
        Ok(CommandReply::Done)
    }

    fn update_features(&mut self, levels: &BTreeMap<String, i16>) -> Result<CommandReply, CommandError> {
        for (name, level) in levels {
            let known = SUPPORTED_FEATURES.iter().chain([&COMMANDS]).find(|(feature, _)| feature == name);
            // What the log may hold is not taken back.
            let least = if *name == COMMANDS.0 { self.commands_level() } else { 0 };
            if !known.is_some_and(|(_, highest)| (least..=*highest).contains(level)) {
                return Err(CommandError::Invalid(format!("the feature {name} has no level {level}")));
            }
        }
        for (name, level) in levels {
            match level {
                0 => self.features.remove(name),
                level => self.features.insert(name.clone(), *level),
            };
        }
        Ok(CommandReply::Done)
    }

    /// The broker, if `epoch` is its current one.
    fn broker_with_epoch(&self, id: BrokerId, epoch: BrokerEpoch) -> Result<&Arc<BrokerInfo>, CommandError> {
        let broker = self.brokers.get(&id).ok_or(CommandError::UnknownBroker(id))?;
        if broker.epoch == epoch { Ok(broker) } else { Err(CommandError::StaleBrokerEpoch(id, epoch)) }
    }

    fn known_topic(&self, id: TopicId) -> Result<&Arc<Topic>, CommandError> {
        self.topic_by_id(id).ok_or(CommandError::UnknownTopic(id))
    }

    fn known_partition(
        &self,
        id: TopicId,
        partition: i32,
    ) -> Result<(&Arc<Topic>, usize, &Partition), CommandError> {
        let topic = self.known_topic(id)?;
        let index = usize::try_from(partition).ok();
        index
            .and_then(|i| Some((topic, i, topic.partitions.get(i)?)))
            .ok_or(CommandError::UnknownPartition(id, partition))
    }

    /// Edits every partition by `edit`, which sees it with its topic's rules and tells what becomes of it.
    fn edit_partitions(&mut self, mut edit: impl FnMut(&Rules<'_>, &Topic, usize) -> Option<Partition>) {
        let (brokers, defaults) = (&self.brokers, self.broker_configs.get(&None));
        for topic in self.topics.values_mut() {
            let rules = Rules::new(brokers, defaults, topic);
            let changed: Vec<(usize, Partition)> = (0..topic.partitions.len())
                .filter_map(|index| edit(&rules, topic, index).map(|partition| (index, partition)))
                .collect();
            if !changed.is_empty() {
                let topic = Arc::make_mut(topic);
                for (index, partition) in changed {
                    topic.partitions[index] = partition;
                }
            }
        }
    }

    /// Edits one partition that exists.
    fn edit_partition(
        &mut self,
        id: TopicId,
        index: usize,
        edit: impl FnOnce(&Rules<'_>, &Partition) -> Option<Partition>,
    ) {
        let Some(topic) = self.topic_ids.get(&id).and_then(|name| self.topics.get_mut(name)) else { return };
        let rules = Rules::new(&self.brokers, self.broker_configs.get(&None), topic);
        if let Some(partition) = edit(&rules, &topic.partitions[index]) {
            Arc::make_mut(topic).partitions[index] = partition;
        }
    }
}

/// What decides about a topic's partitions besides themselves.
struct Rules<'a> {
    brokers: &'a BTreeMap<BrokerId, Arc<BrokerInfo>>,
    min_insync_replicas: usize,
    unclean_elections: bool,
}

impl<'a> Rules<'a> {
    fn new(
        brokers: &'a BTreeMap<BrokerId, Arc<BrokerInfo>>,
        defaults: Option<&BTreeMap<String, String>>,
        topic: &Topic,
    ) -> Rules<'a> {
        Rules {
            brokers,
            min_insync_replicas: configs::min_insync_replicas(defaults, &topic.configs),
            unclean_elections: configs::unclean_elections(defaults, &topic.configs),
        }
    }

    /// What counts as min ISR: min(`min.insync.replicas`, number of replicas).
    fn min_isr(&self, partition: &Partition) -> usize {
        self.min_insync_replicas.min(partition.replicas.len())
    }
}
