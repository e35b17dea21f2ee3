//! What a transaction coordinator is asked, and what it answers: plain values, apart from any version of the wire.

use std::time::Duration;

use super::TxnError;
use super::record::{Transaction, TransactionalId, TxnState};
use crate::coordinator::shard::Producer;
use crate::types::{ProducerEpoch, ProducerId, TopicPartition};

/// Every question to a shard.
#[derive(Debug, Clone)]
pub enum Request {
    /// InitProducerId
    Init(InitProducer),
    /// AddPartitionsToTxn, AddOffsetsToTxn
    Add(AddPartitions),
    /// AddPartitionsToTxn that only verifies
    Verify(VerifyPartitions),
    /// EndTxn
    End(EndTransaction),
    /// DescribeTransactions
    Describe(DescribeTransaction),
    /// ListTransactions
    List(ListTransactions),
    /// What is remembered of a few ids in full
    Read(ReadTransactions),
    /// All markers of a transaction are written.
    MarkersWritten(MarkersWritten),
    /// Nothing is decided for a while
    Hold(HoldDecisions),
    /// Decisions go on
    LetGo(LetGo),
}

/// Every answer of a shard, in the order of [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// InitProducerId
    Init(Result<Producer, TxnError>),
    /// AddPartitionsToTxn
    Add(Result<(), TxnError>),
    /// AddPartitionsToTxn that only verifies: per partition in the order of the request
    Verify(Result<Vec<bool>, TxnError>),
    /// EndTxn
    End(Result<Producer, TxnError>),
    /// DescribeTransactions
    Describe(Result<TransactionDescription, TxnError>),
    /// ListTransactions
    List(Result<Vec<TransactionListing>, TxnError>),
    /// What is remembered of a few ids in full
    Read(Result<Vec<(TransactionalId, Transaction)>, TxnError>),
    /// Nobody waits for it.
    MarkersWritten,
    /// Everything that was decided is complete: the coordinator's epoch
    Hold(Result<i32, TxnError>),
    /// Nothing was decided all the while: the coordinator's epoch
    LetGo(Result<i32, TxnError>),
}

/// A producer begins, or begins anew.
#[derive(Debug, Clone)]
pub struct InitProducer {
    /// Its transactional id.
    pub id: TransactionalId,
    /// How long its transactions may stay open, in milliseconds.
    pub timeout_ms: i32,
    /// What it was, if it goes on after an error (KIP-360).
    pub expected: Option<Producer>,
    /// A producer id that nobody has had, if one is at hand: without it the shard may say that it needs one.
    pub fresh: Option<ProducerId>,
    /// Producer ids below it were given out in a life of the cluster before a restore: of an id that is not known, nobody knows
    /// whether such a producer was its newest. 0 without a restore.
    pub first_of_life: ProducerId,
}

/// Partitions become part of the producer's transaction.
#[derive(Debug, Clone)]
pub struct AddPartitions {
    /// The transactional id.
    pub id: TransactionalId,
    /// The producer.
    pub producer: Producer,
    /// Which.
    pub partitions: Vec<TopicPartition>,
    /// The transaction version that the client speaks.
    pub client_version: i16,
}

/// Whether partitions are part of the producer's open transaction.
#[derive(Debug, Clone)]
pub struct VerifyPartitions {
    /// The transactional id.
    pub id: TransactionalId,
    /// The producer.
    pub producer: Producer,
    /// Which.
    pub partitions: Vec<TopicPartition>,
}

/// The producer's transaction ends.
#[derive(Debug, Clone)]
pub struct EndTransaction {
    /// The transactional id.
    pub id: TransactionalId,
    /// The producer.
    pub producer: Producer,
    /// Commit or abort.
    pub commit: bool,
    /// The transaction version that the client speaks: 2 bumps the epoch.
    pub client_version: i16,
    /// As for [`InitProducer`].
    pub fresh: Option<ProducerId>,
}

/// Asks for one transaction in full.
#[derive(Debug, Clone)]
pub struct DescribeTransaction(pub TransactionalId);

/// Filters of ListTransactions; an empty list lets all pass.
#[derive(Debug, Clone, Default)]
pub struct ListTransactions {
    /// States.
    pub states: Vec<TxnState>,
    /// Producer ids.
    pub producers: Vec<ProducerId>,
    /// Only those that have been open for longer than this, in milliseconds.
    pub open_for_ms: Option<i64>,
}

/// Asks for all that is remembered and committed, a few ids at a time, in their order.
#[derive(Debug, Clone)]
pub struct ReadTransactions {
    /// Those above this id; `None` begins.
    pub above: Option<TransactionalId>,
    /// How many at most.
    pub limit: usize,
}

/// From now on nothing is decided, until [`LetGo`] or for so long; the answer comes when all markers of what was decided are
/// written. Another hold takes the place of the one before.
#[derive(Debug, Clone)]
pub struct HoldDecisions {
    /// For which cut.
    pub cut: u64,
    /// The longest time.
    pub at_most: Duration,
}

/// Ends a hold, and asks whether it has held all the while.
#[derive(Debug, Clone)]
pub struct LetGo {
    /// For which cut it was.
    pub cut: u64,
}

/// A transaction in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionDescription {
    /// Where it stands.
    pub state: TxnState,
    /// Its producer.
    pub producer: Producer,
    /// How long it may stay open, in milliseconds.
    pub timeout_ms: i32,
    /// When it began, in milliseconds since the Unix epoch, or −1.
    pub started_ms: i64,
    /// What it has touched.
    pub partitions: Vec<TopicPartition>,
}

/// A transaction in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionListing {
    /// The transactional id.
    pub id: TransactionalId,
    /// Its producer.
    pub producer_id: ProducerId,
    /// Where it stands.
    pub state: TxnState,
}

/// All markers of a decided transaction are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkersWritten {
    /// The transactional id.
    pub id: TransactionalId,
    /// The producer id and epoch of the markers.
    pub producer: Producer,
}

/// The markers of a decided transaction, for the leaders of its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteMarkers {
    /// The transactional id.
    pub id: TransactionalId,
    /// The producer id and epoch of the markers.
    pub producer: Producer,
    /// Commit or abort.
    pub commit: bool,
    /// The epoch of the coordinator.
    pub coordinator_epoch: i32,
    /// With the coordinator's epoch it names the decision, so that a leader tells a marker that comes late or again from that of the
    /// producer's next transaction, which may have the same producer epoch. It is the end of the log behind the decision, so
    /// it goes up also where a failed write makes the same coordinator load its log anew.
    pub decision: u64,
    /// The markers' epoch is above that of the transaction.
    pub epoch_was_bumped: bool,
    /// Where they go.
    pub partitions: Vec<TopicPartition>,
}

impl WriteMarkers {
    /// What the shard is to be told when they are written.
    #[must_use]
    pub fn written(&self) -> MarkersWritten {
        MarkersWritten { id: self.id.clone(), producer: self.producer }
    }
}

/// The producer of an epoch that does not exist.
pub(super) const NO_EPOCH: ProducerEpoch = ProducerEpoch::NONE;
