//! Other replicas for partitions (KIP-455), and the throttle of the copying that comes with it (KIP-73).

use std::collections::BTreeMap;

use super::Broker;
use super::config::{Kind, definition};
use super::tier::RESTORE_METADATA;
use super::topics::TopicError;
use crate::metadata::{Command, CommandError, Partition, SubmitError};
use crate::types::{BrokerId, TopicName, TopicPartition};

/// Properties of brokers that are changed while they run, and where the value goes: into the metadata.
pub const DYNAMIC_BROKER_CONFIGS: &[&str] =
    &["cordoned.log.dirs", "follower.replication.throttled.rate", "leader.replication.throttled.rate"];

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
        let present = found.replicas.len() - found.adding().len();
        if let Some(target) = target.as_ref().filter(|t| !other_factor_allowed && t.len() != present) {
            return Err(ReassignError::OtherFactor { present, wanted: target.len() });
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

    /// Changes properties of a running broker, or with `None` of all: only those in [`DYNAMIC_BROKER_CONFIGS`].
    ///
    /// # Errors
    /// `InvalidConfig` names the property and what is accepted.
    pub async fn alter_broker_config(
        &self,
        broker: Option<BrokerId>,
        mut changes: BTreeMap<String, Option<String>>,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        if let Some(Some(generation)) = changes.remove(RESTORE_METADATA) {
            return self.restore_metadata(&generation, validate_only).await;
        }
        // What was never set at run time is at its default already: Kafka's tools clear throttles that we do not have.
        changes.retain(|name, value| value.is_some() || DYNAMIC_BROKER_CONFIGS.contains(&name.as_str()));
        for (name, value) in &changes {
            if !DYNAMIC_BROKER_CONFIGS.contains(&name.as_str()) {
                return Err(TopicError::InvalidConfig(format!(
                    "{name} is set in the broker's configuration file; changed at run time are {}",
                    DYNAMIC_BROKER_CONFIGS.join(", ")
                )));
            }
            let kind = definition(name).map_or(Kind::Text, |d| d.kind);
            if let Some(value) = value.as_ref().filter(|value| !kind.fits(value)) {
                return Err(TopicError::InvalidConfig(format!(
                    "{name} is `{value}`; accepted is {}",
                    kind.accepts()
                )));
            }
        }
        if let Some(broker) = broker.filter(|broker| !self.image().brokers.contains_key(broker)) {
            return Err(TopicError::InvalidConfig(format!("broker {broker} is not registered")));
        }
        if !validate_only && !changes.is_empty() {
            self.metadata.submit(Command::AlterBrokerConfig { broker, changes }).await?;
        }
        Ok(())
    }
}
