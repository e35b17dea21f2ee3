//! Other replicas for partitions (KIP-455).

use std::collections::BTreeMap;

use super::Broker;
use super::topics::check_assignment;
use crate::metadata::{Command, CommandError, Partition, SubmitError};
use crate::types::{BrokerId, TopicName, TopicPartition};

/// Why replicas stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReassignError {
    /// No such topic or partition.
    #[error("there is no such partition")]
    UnknownPartition,
    /// There is nothing to cancel.
    #[error("no reassignment of the partition is under way")]
    NotUnderWay,
    /// The replicas cannot be had.
    #[error("{0}")]
    InvalidReplicas(String),
    /// The number of replicas would change, which the request forbids.
    #[error("the partition has {present} replicas; {wanted} would change the replication factor")]
    OtherFactor {
        /// What it has, without those that are being added.
        present: usize,
        /// What was asked for.
        wanted: usize,
    },
    /// The metadata quorum gave no answer in time, or refused for another reason.
    #[error("{0}")]
    Unavailable(String),
}

impl Broker {
    /// Gives a partition other replicas, or cancels that with `None`. Returns when it has begun.
    ///
    /// # Errors
    /// `ReassignError` names what is wrong with the request.
    pub async fn reassign(
        &self,
        partition: &TopicPartition,
        target: Option<Vec<BrokerId>>,
        other_factor_allowed: bool,
    ) -> Result<(), ReassignError> {
        let image = self.image();
        let topic = image.topics.get(&partition.topic).ok_or(ReassignError::UnknownPartition)?;
        let found =
            image.partition(&partition.topic, partition.partition).ok_or(ReassignError::UnknownPartition)?;
        if let Some(target) = &target {
            check_assignment(&image, std::slice::from_ref(target))
                .map_err(|e| ReassignError::InvalidReplicas(e.to_string()))?;
        }
        let present = found.replicas.len() - found.adding().len();
        if let Some(target) = target.as_ref().filter(|t| !other_factor_allowed && t.len() != present) {
            return Err(ReassignError::OtherFactor { present, wanted: target.len() });
        }
        let min_isr = topic.configs.get("min.insync.replicas").and_then(|value| value.parse::<usize>().ok());
        if let (Some(min_isr), Some(target)) = (min_isr, &target)
            && target.len() < min_isr
        {
            let (few, name) = (target.len(), &topic.name);
            return Err(ReassignError::InvalidReplicas(format!(
                "topic {name} has min.insync.replicas={min_isr}, {few} replicas could never be so many; lower it first"
            )));
        }
        let (topic, partition) = (topic.id, partition.partition);
        match self.metadata.submit(Command::Reassign { topic, partition, target }).await {
            Ok(_) => Ok(()),
            Err(SubmitError::Rejected(
                CommandError::UnknownTopic(_) | CommandError::UnknownPartition(..),
            )) => Err(ReassignError::UnknownPartition),
            Err(SubmitError::Rejected(CommandError::NoReassignment(..))) => Err(ReassignError::NotUnderWay),
            Err(SubmitError::Rejected(CommandError::InvalidReplicas(why))) => {
                Err(ReassignError::InvalidReplicas(why))
            }
            Err(other) => Err(ReassignError::Unavailable(other.to_string())),
        }
    }

    /// The partitions whose replicas are being changed, of some topics or of all.
    #[must_use]
    pub fn reassignments(
        &self,
        of: impl Fn(&TopicName, i32) -> bool,
    ) -> BTreeMap<TopicName, Vec<(i32, Partition)>> {
        let image = self.image();
        let mut found = BTreeMap::new();
        for topic in image.topics.values() {
            let moving: Vec<_> = (0i32..)
                .zip(&topic.partitions)
                .filter(|(index, partition)| partition.reassignment.is_some() && of(&topic.name, *index))
                .map(|(index, partition)| (index, partition.clone()))
                .collect();
            if !moving.is_empty() {
                found.insert(topic.name.clone(), moving);
            }
        }
        found
    }
}
