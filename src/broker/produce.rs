//! A record's way in: find the replica, append, wait as `acks` asks.

use std::time::Duration;

use bytes::Bytes;

use super::Broker;
use crate::log::Rejected;
use crate::replication::{Acks, AppendError};
use crate::types::{BrokerId, LeaderEpoch, Offset, TopicId, TopicPartition};

/// A batch that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// The offset of its first record.
    pub base: Offset,
    /// The broker's time, for topics with `message.timestamp.type=LogAppendTime`.
    pub log_append_time: Option<i64>,
    /// The partition's log start.
    pub log_start: Offset,
}

/// Why a batch was not taken, or not known to be safe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// No such topic or partition.
    #[error("there is no such topic or partition")]
    UnknownTopic,
    /// No topic with that id.
    #[error("there is no topic with that id")]
    UnknownTopicId,
    /// Topics of the broker's own are not for clients to write.
    #[error("the topic belongs to the broker itself")]
    Internal,
    /// Another broker leads, or this one's lease has run out.
    #[error("this broker does not lead the partition")]
    NotLeader {
        /// Who does, as far as known.
        leader: Option<(BrokerId, LeaderEpoch)>,
    },
    /// Too few in-sync replicas; nothing was appended.
    #[error("fewer in-sync replicas than min.insync.replicas")]
    NotEnoughReplicas,
    /// Appended, then too few in-sync replicas were left.
    #[error("appended, but fewer in-sync replicas than min.insync.replicas were left")]
    NotEnoughReplicasAfterAppend,
    /// The replicas did not confirm in time; the outcome is open.
    #[error("the replicas did not confirm in time")]
    TimedOut,
    /// The batch breaks a rule.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The log could not be written.
    #[error("the log could not be written: {0}")]
    Storage(String),
}

impl Broker {
    /// Appends the records field of one produce request to a partition and waits as `acks` asks.
    ///
    /// # Errors
    /// `ProduceError`; after `TimedOut` and `NotEnoughReplicasAfterAppend` the batch may still become durable.
    pub async fn produce(
        &self,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
        records: Bytes,
        acks: Acks,
        timeout: Duration,
    ) -> Result<Produced, ProduceError> {
        if partition.topic.is_internal() {
            return Err(ProduceError::Internal);
        }
        let image = self.image();
        let known = match topic_id {
            Some(id) => image.topic_by_id(id).ok_or(ProduceError::UnknownTopicId)?,
            None => image.topics.get(&partition.topic).ok_or(ProduceError::UnknownTopic)?,
        };
        let state = image.partition(&known.name, partition.partition).ok_or(ProduceError::UnknownTopic)?;
        let leader = state.leader.map(|id| (id, state.leader_epoch));
        if self.cold_store.as_ref().is_some_and(|store| store.rejects_appends(&known.configs)) {
            return Err(ProduceError::Storage("the disk is nearly full (tier.disk.full.bytes)".to_owned()));
        }
        let replica = self.replicas.replica(partition).ok_or(ProduceError::NotLeader { leader })?;
        let deadline = self.env.clock.now() + timeout;
        let appended = replica.append(records, acks, deadline).await.map_err(|e| match e {
            AppendError::NotLeader => ProduceError::NotLeader { leader: self.leader_of(partition) },
            AppendError::NotEnoughReplicas(_) => ProduceError::NotEnoughReplicas,
            AppendError::NotEnoughReplicasAfterAppend(_) => ProduceError::NotEnoughReplicasAfterAppend,
            AppendError::TimedOut => ProduceError::TimedOut,
            AppendError::Rejected(why) => ProduceError::Rejected(why),
            AppendError::Storage(error) => ProduceError::Storage(error.to_string()),
        })?;
        Ok(Produced {
            base: appended.base,
            log_append_time: appended.log_append_time,
            log_start: replica.positions().log_start,
        })
    }

    /// The leader of a partition and its epoch, as the image knows them now.
    #[must_use]
    pub fn leader_of(&self, partition: &TopicPartition) -> Option<(BrokerId, LeaderEpoch)> {
        let image = self.image();
        let state = image.partition(&partition.topic, partition.partition)?;
        state.leader.map(|id| (id, state.leader_epoch))
    }
}
