//! Transactions: what clients ask of their coordinator, what leaders ask of it before a transaction begins in their
//! logs (KIP-890), and offsets that are committed in transactions.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Broker;
use super::groups::OFFSETS_TOPIC;
use super::markers::MarkerOutcome;
use super::peers::{JoinRequest, MarkerRequest, PeerAnswer, PeerRequest, ask};
use super::tier::FIRST_PRODUCER_ID;
use super::topics::TopicError;
use crate::coordinator::group::{BeginTxnCommit, CommitOffset, GroupError, Membership, TxnCommitOffsets};
use crate::coordinator::txn::{
    AddPartitions, AskTransaction, EndTransaction, InitProducer, TransactionCoordinators, TxnConfig,
    TxnError, VerifyPartitions,
};
use crate::coordinator::{CoordinatorError, Coordinators, Producer};
use crate::env::{Clock, MonoTime};
use crate::metadata::Metadata;
use crate::replication::ServedBy;
use crate::types::{BrokerId, Offset, ProducerId, TopicName, TopicPartition};

/// The topic of transactional ids.
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";

/// The transaction version from which on the epoch goes up with every transaction (KIP-890).
pub const EPOCH_PER_TRANSACTION: i16 = 2;

/// How long a request waits for the end of the last transaction before the client is told to come again.
const WAIT_FOR_END: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// Why a partition is not part of a producer's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum NotJoined {
    /// The transaction is another one, or does not have the partition.
    #[error("the partition is not part of the transaction")]
    NotInTransaction,
    /// A newer producer has the transactional id.
    #[error("a newer producer has the transactional id")]
    Fenced,
    /// The transactional id belongs to another producer id, or to none.
    #[error("the producer id does not belong to the transactional id")]
    InvalidMapping,
    /// The last transaction is still ending.
    #[error("the last transaction is still ending")]
    Concurrent,
    /// No id, or one that cannot be.
    #[error("the transactional id is empty or too long")]
    InvalidId,
    /// More partitions than a transaction can have.
    #[error("the transaction has too many partitions")]
    TooManyPartitions,
    /// The coordinator does not answer now.
    #[error("the coordinator of the transaction does not answer")]
    Unavailable,
}

impl From<CoordinatorError> for NotJoined {
    fn from(error: CoordinatorError) -> NotJoined {
        match error {
            CoordinatorError::Transaction(error) => match error {
                TxnError::Fenced => NotJoined::Fenced,
                TxnError::InvalidMapping | TxnError::NotFound => NotJoined::InvalidMapping,
                TxnError::Concurrent => NotJoined::Concurrent,
                TxnError::InvalidId => NotJoined::InvalidId,
                TxnError::TooManyPartitions => NotJoined::TooManyPartitions,
                TxnError::InvalidState(_) => NotJoined::NotInTransaction,
                TxnError::InvalidTimeout
                | TxnError::TooManyIds
                | TxnError::NeedsProducerId
                | TxnError::NotHeld => NotJoined::Unavailable,
            },
            CoordinatorError::NotCoordinator
            | CoordinatorError::Loading
            | CoordinatorError::NotAvailable
            | CoordinatorError::Group(_) => NotJoined::Unavailable,
        }
    }
}

/// A producer that writes in a transaction.
#[derive(Clone, Debug)]
pub struct Transactional {
    /// Its transactional id.
    pub id: Arc<str>,
    /// Writing to a partition adds it to the transaction (transaction version 2).
    pub adds: bool,
}

/// Why offsets were not committed in a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TxnCommitError {
    /// The transaction's coordinator refused.
    #[error(transparent)]
    NotJoined(#[from] NotJoined),
    /// The group's coordinator refused.
    #[error(transparent)]
    Group(#[from] CoordinatorError),
}

/// The transaction coordinators of this broker, and how to find those of others; cheap to clone.
#[derive(Clone)]
pub(super) struct TransactionHost {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) node_id: BrokerId,
    pub(super) metadata: Metadata,
    pub(super) coordinators: TransactionCoordinators,
}

impl TransactionHost {
    /// The partition of `__transaction_state` that an id lives in; `None` while the topic does not exist.
    fn partition_of(&self, id: &str) -> Option<i32> {
        let count = partitions(&self.metadata, TRANSACTIONS_TOPIC)?;
        Some(TransactionCoordinators::partition_for(id, count))
    }

    /// Asks the coordinator on this broker; while the last transaction is ending, again and again for a moment.
    async fn ask<A: AskTransaction + Clone>(
        &self,
        id: &str,
        question: A,
    ) -> Result<A::Answer, CoordinatorError> {
        let partition = self.partition_of(id).ok_or(CoordinatorError::NotCoordinator)?;
        let deadline: MonoTime = self.clock.now() + WAIT_FOR_END;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.coordinators.ask(partition, question.clone()).await {
                Err(CoordinatorError::Transaction(TxnError::Concurrent)) if self.clock.now() < deadline => {
                    self.clock.sleep(pause).await;
                    pause *= 2;
                }
                other => return other,
            }
        }
    }

    /// Whether a partition is part of a transaction whose coordinator is here, or becomes so. While the last transaction is ending it is
    /// `Concurrent` at once: who asks has to look at its log anew ([`Patience`]).
    pub(super) async fn join_here(&self, request: JoinRequest) -> Result<(), NotJoined> {
        let JoinRequest { id, producer, epoch, partition: (topic, index), add } = request;
        let producer = Producer { id: producer, epoch };
        let partitions = vec![TopicPartition::new(topic, index)];
        let key: Arc<str> = Arc::from(id);
        let coordinator = self.partition_of(&key).ok_or(NotJoined::Unavailable)?;
        if add {
            let question = AddPartitions {
                id: key.clone(),
                producer,
                partitions,
                client_version: EPOCH_PER_TRANSACTION,
            };
            return Ok(self.coordinators.ask(coordinator, question).await?);
        }
        let question = VerifyPartitions { id: key, producer, partitions };
        let found = self.coordinators.ask(coordinator, question).await?;
        if found.first() == Some(&true) { Ok(()) } else { Err(NotJoined::NotInTransaction) }
    }

    /// The same, wherever the coordinator is.
    pub(super) async fn join(&self, request: JoinRequest) -> Result<(), NotJoined> {
        let partition = self.partition_of(&request.id).ok_or(NotJoined::Unavailable)?;
        let topic = TopicName::new(TRANSACTIONS_TOPIC).map_err(|_| NotJoined::Unavailable)?;
        let leader = self.metadata.image().partition(&topic, partition).and_then(|p| p.leader);
        match leader {
            Some(leader) if leader == self.node_id => self.join_here(request).await,
            Some(leader) => match ask(&self.metadata, leader, &PeerRequest::Join(request)).await {
                Some(PeerAnswer::Joined(result)) => result,
                _ => Err(NotJoined::Unavailable),
            },
            None => Err(NotJoined::Unavailable),
        }
    }
}

/// Waits for the end of the last transaction of a producer that begins the next one. What was seen of the log before is seen anew then: a
/// guard from before would take the markers of the last transaction for the end of the next one, and refuse it.
pub(super) struct Patience {
    clock: Arc<dyn Clock>,
    deadline: MonoTime,
    pause: Duration,
}

impl Patience {
    pub(super) fn new(clock: &Arc<dyn Clock>) -> Patience {
        Patience { clock: clock.clone(), deadline: clock.now() + WAIT_FOR_END, pause: FIRST_PAUSE }
    }

    /// Waits a moment, each time a longer one; false when it has been long enough.
    pub(super) async fn waits(&mut self) -> bool {
        if self.clock.now() >= self.deadline {
            return false;
        }
        self.clock.sleep(self.pause).await;
        self.pause *= 2;
        true
    }
}

fn partitions(metadata: &Metadata, topic: &str) -> Option<i32> {
    let image = metadata.image();
    let topic = image.topics.get(&TopicName::new(topic).ok()?)?;
    i32::try_from(topic.partitions.len()).ok().filter(|count| *count > 0)
}

impl Broker {
    /// The partition of `__consumer_offsets` that a group lives in; `None` while the topic does not exist.
    #[must_use]
    pub fn group_partition(&self, group: &str) -> Option<i32> {
        Some(Coordinators::partition_for(group, partitions(&self.metadata, OFFSETS_TOPIC)?))
    }

    /// The partition of `__transaction_state` that an id lives in; `None` while the topic does not exist.
    #[must_use]
    pub fn transaction_partition(&self, id: &str) -> Option<i32> {
        self.transactions.partition_of(id)
    }

    /// Creates a coordinators' topic when the first client asks for one.
    ///
    /// # Errors
    /// As [`Broker::create_topic`].
    pub async fn ensure_coordinator_topic(&self, topic: &TopicName) -> Result<(), TopicError> {
        if self.image().topics.contains_key(topic) {
            return Ok(());
        }
        self.auto_create(topic).await.map(|_| ())
    }

    /// Asks the coordinator of a transactional id, which must be here.
    ///
    /// # Errors
    /// `NotCoordinator`, `Loading`, `NotAvailable`, or the transaction's own refusal.
    pub async fn ask_transaction<A: AskTransaction + Clone>(
        &self,
        id: &str,
        question: A,
    ) -> Result<A::Answer, CoordinatorError> {
        self.transactions.ask(id, question).await
    }

    /// The transaction coordinators of this broker.
    #[must_use]
    pub fn transaction_coordinators(&self) -> &TransactionCoordinators {
        &self.transactions.coordinators
    }

    /// The first producer id of this life of the cluster: those below were given out before a restore.
    #[must_use]
    pub fn first_producer_id(&self) -> ProducerId {
        ProducerId(self.live().config.number(FIRST_PRODUCER_ID))
    }

    /// A producer with a transactional id begins, or begins anew.
    ///
    /// # Errors
    /// As [`Broker::ask_transaction`].
    pub async fn init_transactional(&self, question: InitProducer) -> Result<Producer, CoordinatorError> {
        match self.transactions.ask(&question.id.clone(), question.clone()).await {
            Err(CoordinatorError::Transaction(TxnError::NeedsProducerId)) => {
                let fresh = self.fresh_producer_id().await?;
                let question = InitProducer { fresh: Some(fresh), ..question };
                self.transactions.ask(&question.id.clone(), question).await
            }
            other => other,
        }
    }

    /// A transaction ends.
    ///
    /// # Errors
    /// As [`Broker::ask_transaction`].
    pub async fn end_transaction(&self, question: EndTransaction) -> Result<Producer, CoordinatorError> {
        // That the same end is still on its way is an answer here, and not waited for.
        let partition =
            self.transactions.partition_of(&question.id).ok_or(CoordinatorError::NotCoordinator)?;
        match self.transactions.coordinators.ask(partition, question.clone()).await {
            Err(CoordinatorError::Transaction(TxnError::NeedsProducerId)) => {
                let fresh = self.fresh_producer_id().await?;
                let question = EndTransaction { fresh: Some(fresh), ..question };
                self.transactions.coordinators.ask(partition, question).await
            }
            other => other,
        }
    }

    async fn fresh_producer_id(&self) -> Result<ProducerId, CoordinatorError> {
        match self.init_producer_id().await {
            Ok((id, _)) => Ok(id),
            Err(error) => {
                tracing::warn!("no producer id: {error}");
                Err(CoordinatorError::NotAvailable)
            }
        }
    }

    /// Asks the coordinator of a transaction, wherever it is, whether a partition is part of it, or adds it.
    pub(super) async fn join_transaction(
        &self,
        transactional: &Transactional,
        producer: Producer,
        partition: &TopicPartition,
    ) -> Result<(), NotJoined> {
        let request = JoinRequest {
            id: transactional.id.to_string(),
            producer: producer.id,
            epoch: producer.epoch,
            partition: (partition.topic.clone(), partition.partition),
            add: transactional.adds,
        };
        self.transactions.join(request).await
    }

    /// Commits offsets of a group in a producer's transaction. Results are in the order of the offsets.
    ///
    /// # Errors
    /// What either of the two coordinators refuses.
    pub async fn commit_in_transaction(
        &self,
        transactional: &Transactional,
        producer: Producer,
        member: Membership,
        offsets: Vec<CommitOffset>,
    ) -> Result<Vec<Result<(), GroupError>>, TxnCommitError> {
        let partition = self.group_partition(&member.group).ok_or(CoordinatorError::NotCoordinator)?;
        let topic = TopicName::new(OFFSETS_TOPIC).map_err(|_| CoordinatorError::NotCoordinator)?;
        let to = TopicPartition::new(topic, partition);
        let mut patience = Patience::new(&self.env.clock);
        loop {
            let begun = self.coordinators.ask(partition, BeginTxnCommit(producer)).await?;
            if !begun.is_open {
                match self.join_transaction(transactional, producer, &to).await {
                    Err(NotJoined::Concurrent) if patience.waits().await => continue,
                    joined => joined?,
                }
            }
            let (member, offsets) = (member.clone(), offsets.clone());
            let question = TxnCommitOffsets { member, producer, guard: begun.guard, offsets };
            match self.coordinators.ask(partition, question).await {
                // The last marker may have come between the guard and the answer of the transaction's coordinator.
                Err(CoordinatorError::Group(GroupError::TransactionEnded))
                    if !begun.is_open && patience.waits().await => {}
                answer => return Ok(answer?),
            }
        }
    }

    /// Writes a marker in partitions that this broker leads, as an administrator ends a hanging transaction.
    pub async fn write_marker(
        &self,
        producer: Producer,
        commit: bool,
        coordinator_epoch: i32,
        bumped: bool,
        partitions: &[TopicPartition],
    ) -> Vec<MarkerOutcome> {
        let request = MarkerRequest {
            producer: producer.id,
            epoch: producer.epoch,
            commit,
            coordinator_epoch,
            bumped,
            partitions: partitions.iter().map(|p| (p.topic.clone(), p.partition)).collect(),
            decision: None,
            leader_epochs: Vec::new(),
        };
        self.markers.write_here(&request).await
    }

    /// The producers that a partition's leader remembers.
    ///
    /// # Errors
    /// As a fetch: unknown, not the leader, or a log that cannot be read.
    pub async fn describe_producers(
        &self,
        partition: &TopicPartition,
    ) -> Result<Vec<ProducerDescription>, super::FetchError> {
        let replica = self.replica_for(partition, None)?;
        replica
            .check_reader(&replica.positions(), None, ServedBy::Leader)
            .map_err(|e| self.refused(partition, e))?;
        let log = replica.clone();
        let look = move || Ok(log.with_log(|log| log.active_producers()));
        let producers = self.on_disk_thread(&replica, look).await?;
        let describe = |p: crate::log::ActiveProducer| ProducerDescription {
            producer: Producer { id: p.id, epoch: p.epoch },
            last_sequence: p.last_sequence,
            last_timestamp: p.last_timestamp,
            coordinator_epoch: p.coordinator_epoch,
            transaction_start: p.transaction_start,
        };
        Ok(producers.into_iter().map(describe).collect())
    }
}

/// A producer as a partition's leader remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerDescription {
    /// Who.
    pub producer: Producer,
    /// The sequence number of its last record; −1 without one.
    pub last_sequence: i32,
    /// The timestamp of its last batch.
    pub last_timestamp: i64,
    /// The epoch of the coordinator of its last marker; −1 without one.
    pub coordinator_epoch: i32,
    /// The first offset of its open transaction.
    pub transaction_start: Option<Offset>,
}

/// The coordinator's settings out of the broker's.
pub(super) fn config(config: &super::config::BrokerConfig) -> TxnConfig {
    TxnConfig {
        max_timeout_ms: i32::try_from(config.number("transaction.max.timeout.ms")).unwrap_or(i32::MAX),
        id_expiration_ms: config.number("transactional.id.expiration.ms"),
        expiry_check_interval: config.millis("transaction.remove.expired.transaction.cleanup.interval.ms"),
        load_buffer_bytes: config.size("transaction.state.log.load.buffer.size"),
        ..TxnConfig::default()
    }
}
