//! A record's way in: find the replica, append, wait as `acks` asks.
//!
//! Before a transaction begins in a partition, its coordinator is asked (KIP-890). A producer's batches for a partition
//! are put into its queue in the order in which they came, also while the first of them waits for that answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::Broker;
use super::transactions::{NotJoined, Patience, Transactional};
use crate::coordinator::Producer;
use crate::env::MonoTime;
use crate::log::{Appended, LeaderBatch, Log, Origin, Rejected, Verification};
use crate::replication::{Acks, AppendError, Replica};
use crate::types::{BrokerId, LeaderEpoch, Offset, ProducerId, TopicId, TopicPartition};
use crate::wire::record_batch::BatchHeader;

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
    /// A batch of a transaction came without a transactional id.
    #[error("a batch of a transaction needs a transactional id")]
    NoTransactionalId,
    /// The transaction's coordinator says that the partition is not part of it.
    #[error(transparent)]
    NotJoined(#[from] NotJoined),
    /// The log takes nothing: nothing was written.
    #[error("the log could not be written: {0}")]
    Storage(String),
}

/// Who waits in line: one line for each producer and partition with a batch that is not in the partition's queue yet.
#[derive(Debug, Default)]
pub(super) struct Verifying {
    lines: Mutex<HashMap<Whose, Line>>,
}

type Whose = (TopicPartition, ProducerId);
/// Given to those who wait in the order in which they came.
type Line = Arc<tokio::sync::Mutex<()>>;

impl Verifying {
    fn line(&self, whose: &Whose) -> Line {
        self.lines.lock().entry(whose.clone()).or_default().clone()
    }

    /// Removes a line that nobody else stands in.
    fn leave(&self, whose: &Whose, line: Line) {
        let mut lines = self.lines.lock();
        drop(line);
        if lines.get(whose).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(whose);
        }
    }
}

type Appending = BoxFuture<'static, Result<Appended, AppendError>>;

impl Broker {
    /// Appends the records field of one produce request to a partition and waits as `acks` asks.
    ///
    /// # Errors
    /// `ProduceError`; after `TimedOut` (also when a write has failed half-way) and `NotEnoughReplicasAfterAppend` the batch may
    /// still become durable, after `Storage` and all others it does not.
    pub async fn produce(
        &self,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
        records: Bytes,
        acks: Acks,
        timeout: Duration,
        transactional: Option<&Transactional>,
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
        let replica = self.replicas.replica(partition).ok_or(ProduceError::NotLeader { leader })?;
        if self.cold_store.as_ref().is_some_and(|store| store.rejects_appends(&known.configs)) {
            replica.has_refused(&records);
            return Err(ProduceError::Storage("the disk is nearly full (tier.disk.full.bytes)".to_owned()));
        }
        let deadline = self.env.clock.now() + timeout;
        let bytes = records.len() as u64;
        let header = BatchHeader::parse(&records).ok().filter(|h| h.attributes.is_transactional());
        let appending = match (header, transactional) {
            (None, _) => appending(replica.clone(), LeaderBatch::from(records), acks, deadline),
            (Some(_), None) => return Err(ProduceError::NoTransactionalId),
            (Some(header), Some(transactional)) => {
                let producer = Producer { id: header.producer_id, epoch: header.producer_epoch };
                let begin = Begin { partition, producer, transactional };
                self.queue_in_transaction(begin, &replica, records, acks, deadline).await?
            }
        };
        let appended = appending.await.map_err(|e| match e {
            AppendError::NotLeader => ProduceError::NotLeader { leader: self.leader_of(partition) },
            AppendError::NotEnoughReplicas(_) => ProduceError::NotEnoughReplicas,
            AppendError::NotEnoughReplicasAfterAppend(_) => ProduceError::NotEnoughReplicasAfterAppend,
            // Not "not the leader", nor an error of the storage: librdkafka takes these for "not written", and may give the
            // numbers to another batch.
            AppendError::TimedOut | AppendError::NoLongerLeads | AppendError::WriteFailed(_) => {
                ProduceError::TimedOut
            }
            AppendError::Rejected(why) => ProduceError::Rejected(why),
            AppendError::Storage(error) => ProduceError::Storage(error.to_string()),
        })?;
        if !appended.duplicate {
            let traffic = replica.traffic();
            traffic.produced_bytes.add(bytes);
            traffic.produced_records.add(u64::try_from(appended.last.next() - appended.base).unwrap_or(0));
        }
        Ok(Produced {
            base: appended.base,
            log_append_time: appended.log_append_time,
            log_start: replica.positions().log_start,
        })
    }

    /// Puts a transactional batch into the partition's queue, behind what the same producer sent before.
    async fn queue_in_transaction(
        &self,
        begin: Begin<'_>,
        replica: &Arc<Replica>,
        records: Bytes,
        acks: Acks,
        deadline: MonoTime,
    ) -> Result<Appending, ProduceError> {
        let whose = (begin.partition.clone(), begin.producer.id);
        let line = self.verifying.line(&whose);
        let queued = async {
            let _turn = line.lock().await;
            let verification =
                self.verify(&begin, replica).await.inspect_err(|_| replica.has_refused(&records))?;
            let batch = LeaderBatch::new(records, Origin::Client(verification));
            let mut appending = appending(replica.clone(), batch, acks, deadline);
            // The first poll gives it its place in the queue; then it is the next one's turn.
            Ok(match futures::poll!(&mut appending) {
                std::task::Poll::Ready(outcome) => Box::pin(std::future::ready(outcome)),
                std::task::Poll::Pending => appending,
            })
        }
        .await;
        self.verifying.leave(&whose, line);
        queued
    }

    /// Asks the coordinator whether the producer's transaction may begin here, unless it is open here.
    async fn verify(&self, begin: &Begin<'_>, replica: &Arc<Replica>) -> Result<Verification, ProduceError> {
        let Begin { partition, producer, transactional } = begin;
        if !transactional.adds && !self.live().config.is_on("transaction.partition.verification.enable") {
            return Ok(Verification::Off);
        }
        let mut patience = Patience::new(&self.env.clock);
        loop {
            let epoch = replica.positions().leader_epoch;
            let (log, Producer { id, epoch: producer_epoch }) = (replica.clone(), *producer);
            let look = move || Ok(log.with_log(|log| log.transaction_guard(id, producer_epoch, epoch)));
            let guard =
                self.on_disk_thread(replica, look).await.map_err(|e| ProduceError::Storage(e.to_string()))?;
            if guard.is_none() {
                return Ok(Verification::Guard(guard));
            }
            match self.join_transaction(transactional, *producer, partition).await {
                Err(NotJoined::Concurrent) if patience.waits().await => {}
                joined => {
                    joined?;
                    // The last marker may have come between the guard and the coordinator's answer.
                    let may_begin =
                        |log: &Log| log.transaction_may_begin(guard, id, replica.positions().leader_epoch);
                    if replica.glance(may_begin) != Some(false) || !patience.waits().await {
                        return Ok(Verification::Guard(guard));
                    }
                }
            }
        }
    }

    /// The leader of a partition and its epoch, as the image knows them now.
    #[must_use]
    pub fn leader_of(&self, partition: &TopicPartition) -> Option<(BrokerId, LeaderEpoch)> {
        let image = self.image();
        let state = image.partition(&partition.topic, partition.partition)?;
        state.leader.map(|id| (id, state.leader_epoch))
    }
}

/// A transaction that may begin in a partition.
struct Begin<'a> {
    partition: &'a TopicPartition,
    producer: Producer,
    transactional: &'a Transactional,
}

fn appending(replica: Arc<Replica>, batch: LeaderBatch, acks: Acks, deadline: MonoTime) -> Appending {
    Box::pin(async move { replica.append(batch, acks, deadline).await })
}
