//! Creating and deleting topics, and adding partitions.

use std::sync::Arc;

use super::{Rules, configs, elections};
use crate::metadata::command::{CommandError, CommandReply, CreateTopic};
use crate::metadata::image::{ColdTopic, Image, Partition, ReplicaState, Topic};
use crate::types::{BrokerId, LeaderEpoch, PartitionEpoch, TopicId, TopicName};

/// `max.partitions` of one topic; far above what a cluster can serve, and far below what fills the memory.
const MAX_PARTITIONS: usize = 1_000_000;

impl Image {
    pub(super) fn create_topic(&mut self, create: &CreateTopic) -> Result<CommandReply, CommandError> {
        if let Some(existing) = self.topics.get(&create.name) {
            // The same topic again: a retry whose first try was applied.
            return if existing.id == create.id {
                Ok(CommandReply::Done)
            } else {
                Err(CommandError::TopicExists(create.name.clone()))
            };
        }
        self.check_collision(&create.name)?;
        let taken = self.topic_ids.contains_key(&create.id) || self.cold_topics.contains_key(&create.id);
        if create.id == TopicId::ZERO || taken {
            return Err(CommandError::Invalid(format!("topic id {} is not free", create.id)));
        }
        if create.assignment.is_empty() || create.assignment.len() > MAX_PARTITIONS {
            return Err(CommandError::Invalid(format!(
                "a topic has 1 to {MAX_PARTITIONS} partitions, not {}",
                create.assignment.len()
            )));
        }
        configs::check_values(create.configs.iter().map(|(key, value)| (key, Some(value))))?;
        let mut topic = Topic {
            name: create.name.clone(),
            id: create.id,
            partitions: Vec::new(),
            configs: create.configs.clone(),
        };
        topic.partitions = self.new_partitions(&topic, &create.assignment, create.first_epoch)?;
        if configs::is_synced(&topic.configs) {
            self.synced_topics.insert(topic.id);
        }
        self.topic_ids.insert(topic.id, topic.name.clone());
        self.topics.insert(topic.name.clone(), Arc::new(topic));
        Ok(CommandReply::Done)
    }

    pub(super) fn delete_topic(&mut self, id: TopicId, cold: bool) -> Result<CommandReply, CommandError> {
        let name = self.topic_ids.remove(&id).ok_or(CommandError::UnknownTopic(id))?;
        let topic = self.topics.remove(&name);
        self.synced_topics.remove(&id);
        if let Some(topic) = topic.filter(|_| cold) {
            let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
            self.cold_topics.insert(id, ColdTopic { name, partitions });
        }
        Ok(CommandReply::Done)
    }

    pub(super) fn forget_cold_topic(&mut self, id: TopicId) -> Result<CommandReply, CommandError> {
        // Two brokers may have removed the same objects.
        self.cold_topics.remove(&id);
        Ok(CommandReply::Done)
    }

    pub(super) fn create_partitions(
        &mut self,
        id: TopicId,
        from: i32,
        assignment: &[Vec<BrokerId>],
    ) -> Result<CommandReply, CommandError> {
        let topic = self.known_topic(id)?;
        let present = topic.partitions.len();
        if usize::try_from(from).ok() != Some(present) {
            return Err(CommandError::Invalid(format!(
                "topic {} has {present} partitions, not {from}",
                topic.name
            )));
        }
        if assignment.is_empty() || present + assignment.len() > MAX_PARTITIONS {
            return Err(CommandError::Invalid(format!(
                "topic {} cannot grow by {} partitions",
                topic.name,
                assignment.len()
            )));
        }
        let added = self.new_partitions(topic, assignment, LeaderEpoch(0))?;
        if let Some(topic) = self.topic_ids.get(&id).and_then(|name| self.topics.get_mut(name)) {
            Arc::make_mut(topic).partitions.extend(added);
        }
        Ok(CommandReply::Done)
    }

    fn check_collision(&self, name: &TopicName) -> Result<(), CommandError> {
        match self.colliding_topic(name) {
            Some(existing) => Err(CommandError::Invalid(format!(
                "topic name {name} collides with existing topic {existing}"
            ))),
            None => Ok(()),
        }
    }

    /// Kafka's rule: names that differ only in `.` and `_` would share their metrics' names. The topic that has such a name.
    #[must_use]
    pub fn colliding_topic(&self, name: &TopicName) -> Option<&TopicName> {
        if !name.as_str().contains(['.', '_']) {
            return None;
        }
        let folded = |name: &TopicName| name.as_str().replace('.', "_");
        let wanted = folded(name);
        self.topics.keys().find(|existing| *existing != name && folded(existing) == wanted)
    }

    fn new_partitions(
        &self,
        topic: &Topic,
        assignment: &[Vec<BrokerId>],
        first_epoch: LeaderEpoch,
    ) -> Result<Vec<Partition>, CommandError> {
        if first_epoch < LeaderEpoch(0) {
            return Err(CommandError::Invalid(format!("leader epoch {first_epoch} is below 0")));
        }
        let rules = Rules::new(&self.brokers, self.broker_configs.get(&None), topic);
        assignment.iter().map(|replicas| new_partition(&rules, replicas, first_epoch)).collect()
    }
}

/// A new partition: all logs are empty, so every replica that is alive is in sync.
fn new_partition(
    rules: &Rules<'_>,
    replicas: &[BrokerId],
    first_epoch: LeaderEpoch,
) -> Result<Partition, CommandError> {
    if replicas.is_empty() {
        return Err(CommandError::InvalidReplicas("a partition needs a replica".to_owned()));
    }
    for (i, broker) in replicas.iter().enumerate() {
        if replicas[..i].contains(broker) {
            return Err(CommandError::InvalidReplicas(format!(
                "broker {broker} is assigned twice to one partition"
            )));
        }
        if !rules.brokers.contains_key(broker) {
            return Err(CommandError::UnknownBroker(*broker));
        }
    }
    let mut partition = Partition {
        replicas: replicas.iter().map(|b| ReplicaState { broker: *b, directory: None }).collect(),
        isr: Vec::new(),
        elr: Vec::new(),
        last_known_leader: None,
        leader: None,
        leader_epoch: first_epoch,
        partition_epoch: PartitionEpoch(0),
        unclean: None,
        reassignment: None,
    };
    partition.isr =
        replicas.iter().copied().filter(|b| elections::is_electable(rules, &partition, *b)).collect();
    partition.leader = partition.isr.first().copied();
    if partition.leader.is_none() {
        return Err(CommandError::InvalidReplicas(format!(
            "none of the replicas {:?} is alive",
            replicas.iter().map(|b| b.0).collect::<Vec<_>>()
        )));
    }
    Ok(partition)
}
