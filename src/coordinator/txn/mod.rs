//! All transactional ids of one partition of `__transaction_state`, as a pure state machine (KIP-98, KIP-360, KIP-890).
//!
//! ```text
//!            partitions added          EndTxn, time-out, or another producer         all markers written
//!   Empty ──────────────────► Ongoing ─────────────────────────────────────► Prepare* ─────────────────► Complete*
//!     ▲                          ▲                                                                          │
//!     └──── InitProducerId ──────┴────────────────────── the next transaction ◄─────────────────────────────┘
//! ```
//!
//! A decision is a record; markers are sent only when the record of `Prepare*` is committed, and never another
//! decision: that makes a transaction all or nothing. Everything but the deadlines changes in `replay` alone. With
//! transaction version 2 every end bumps the epoch, so that a late request of an old transaction cannot join the next
//! one. A client of version 1 keeps its epoch: its late AddPartitionsToTxn can still begin the next transaction, which
//! then ends with that one's outcome or by time; its late batches cannot, as every first batch is verified.
//!
//! For a cut over all partitions decisions can be held for a moment (`hold`).

mod config;
mod decide;
mod hold;
#[cfg(test)]
mod random_tests;
mod record;
mod request;
mod runtime;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use config::TxnConfig;
pub use record::{Transaction, TransactionalId, TxnRecord, TxnState};
pub use request::{
    AddPartitions, DescribeTransaction, EndTransaction, HoldDecisions, InitProducer, LetGo, ListTransactions,
    MarkersWritten, ReadTransactions, Reply, Request, TransactionDescription, TransactionListing,
    VerifyPartitions, WriteMarkers,
};
pub use runtime::{AskTransaction, MarkerWriter, TransactionCoordinators};

use super::records::InvalidRecord;
use super::shard::{Entry, LogLimits, Now, Producer, RequestId, Shard};
use crate::env::MonoTime;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch};
use crate::wire::EncodeError;

/// Why a transaction coordinator refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TxnError {
    /// The empty id, where one is needed, or one that is too long.
    #[error("the transactional id is empty or too long")]
    InvalidId,
    /// Not above zero, or above `transaction.max.timeout.ms`.
    #[error("the transaction timeout is outside the bounds of the broker")]
    InvalidTimeout,
    /// The id is not known here, or belongs to another producer id.
    #[error("the producer id does not belong to the transactional id")]
    InvalidMapping,
    /// A newer producer has taken over.
    #[error("a newer producer has the transactional id")]
    Fenced,
    /// The last transaction is still ending.
    #[error("the last transaction is still ending")]
    Concurrent,
    /// The transaction is not in a state for this.
    #[error("the transaction is in state {}", .0.name())]
    InvalidState(TxnState),
    /// There is no such id.
    #[error("the transactional id is not known")]
    NotFound,
    /// This shard keeps as many ids as it may.
    #[error("the coordinator keeps too many transactional ids")]
    TooManyIds,
    /// The transaction has more partitions than a record can name.
    #[error("the transaction has too many partitions")]
    TooManyPartitions,
    /// Ask again with a fresh producer id.
    #[error("a fresh producer id is needed")]
    NeedsProducerId,
    /// Decisions are not held for this cut, or not any more.
    #[error("decisions are not held for this cut any more")]
    NotHeld,
}

/// What follows from an event.
pub type Output = super::shard::Output<TxnRecord, Reply, WriteMarkers>;

/// What falls due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A transaction has been open for too long.
    Timeout(TransactionalId),
    /// Look for ids that have been idle for too long.
    Expiry,
}

/// The transactional ids of one partition.
#[derive(Debug)]
pub struct TxnShard {
    config: Arc<TxnConfig>,
    coordinator_epoch: i32,
    /// The end of the log when this was loaded.
    begun_at: u64,
    kept: BTreeMap<TransactionalId, Kept>,
    timers: BTreeSet<(MonoTime, Timer)>,
    decided: u64,
    /// When an id was last removed, counted in records: answers about absent ids wait for it.
    removed_at: u64,
    /// While it is there nothing is decided.
    hold: Option<hold::Hold>,
}

#[derive(Debug)]
struct Kept {
    // Remembered: changes in `replay` alone.
    transaction: Transaction,

    // Soft.
    /// The epoch before the last bump by InitProducerId: one that asks again is told the same.
    last_epoch: ProducerEpoch,
    /// The shard's count of records when this was last written.
    last_write: u64,
    deadline: Option<MonoTime>,
}

impl TxnShard {
    fn put(&mut self, id: TransactionalId, transaction: Transaction, now: Now, out: &mut Output) -> u64 {
        let entry = Entry::Record(TxnRecord { id: id.clone(), value: Some(transaction) });
        self.replay(&entry);
        out.entries.push(entry);
        self.decided += 1;
        let decided = self.decided;
        if let Some(kept) = self.kept.get_mut(&id) {
            kept.last_write = decided;
        }
        self.set_deadline(&id, now);
        decided
    }

    fn forget(&mut self, id: TransactionalId, out: &mut Output) {
        let entry = Entry::Record(TxnRecord { id, value: None });
        self.replay(&entry);
        out.entries.push(entry);
        self.decided += 1;
        self.removed_at = self.decided;
    }

    /// An open transaction has a deadline, any other has none.
    fn set_deadline(&mut self, id: &TransactionalId, now: Now) {
        let Some(kept) = self.kept.get_mut(id) else { return };
        let is_open = kept.transaction.state == TxnState::Ongoing;
        if !is_open {
            if let Some(at) = kept.deadline.take() {
                self.timers.remove(&(at, Timer::Timeout(id.clone())));
            }
        } else if kept.deadline.is_none() {
            // By the wall clock only for the time before a failover; never longer than from now.
            let timeout_ms = i64::from(kept.transaction.timeout_ms);
            let passed_ms = now.wall_ms.saturating_sub(kept.transaction.started_ms).clamp(0, timeout_ms);
            let left = Duration::from_millis(u64::try_from(timeout_ms - passed_ms).unwrap_or(0));
            self.set_deadline_to(id, now.mono + left);
        }
    }

    fn set_deadline_to(&mut self, id: &TransactionalId, at: MonoTime) {
        let Some(kept) = self.kept.get_mut(id) else { return };
        kept.deadline = Some(at);
        self.timers.insert((at, Timer::Timeout(id.clone())));
    }

    /// The markers of a decided transaction.
    fn markers_of(&self, id: &TransactionalId, transaction: &Transaction) -> WriteMarkers {
        WriteMarkers {
            id: id.clone(),
            producer: Producer { id: transaction.producer_id, epoch: transaction.epoch },
            commit: transaction.state == TxnState::PrepareCommit,
            coordinator_epoch: self.coordinator_epoch,
            decision: self.begun_at + self.decided,
            epoch_was_bumped: transaction.client_version >= BUMPS_EPOCH,
            partitions: transaction.partitions.iter().cloned().collect(),
        }
    }
}

/// The first transaction version that bumps the epoch with every transaction.
const BUMPS_EPOCH: i16 = 2;

impl Shard for TxnShard {
    type Config = TxnConfig;
    type Request = Request;
    type Reply = Reply;
    type Record = TxnRecord;
    type Task = WriteMarkers;
    type Memory = ();
    const KEEPS: &'static str = "transactions";

    fn new(config: Arc<TxnConfig>, epoch: LeaderEpoch, end: Offset) -> TxnShard {
        TxnShard {
            config,
            coordinator_epoch: epoch.0,
            begun_at: u64::try_from(end.0).unwrap_or(0),
            kept: BTreeMap::new(),
            timers: BTreeSet::new(),
            decided: 0,
            removed_at: 0,
            hold: None,
        }
    }

    fn limits(config: &TxnConfig) -> LogLimits {
        LogLimits {
            max_batch_bytes: config.max_batch_bytes,
            commit_timeout: config.commit_timeout,
            load_buffer_bytes: config.load_buffer_bytes,
        }
    }

    fn replay(&mut self, entry: &Entry<TxnRecord>) {
        let Entry::Record(TxnRecord { id, value }) = entry else { return };
        match (value, self.kept.get_mut(id)) {
            (Some(value), Some(kept)) => kept.transaction = value.clone(),
            (Some(value), None) => {
                let kept = Kept {
                    transaction: value.clone(),
                    last_epoch: ProducerEpoch::NONE,
                    last_write: 0,
                    deadline: None,
                };
                self.kept.insert(id.clone(), kept);
            }
            (None, _) => {
                self.kept.remove(id);
            }
        }
    }

    fn remember(&mut self, (): ()) {}

    fn into_memory(self, _committed: u64) {}

    /// What was decided and not finished goes on; open transactions get what is left of their time.
    fn start(&mut self, now: Now) -> Output {
        let mut out = Output::default();
        let ids: Vec<TransactionalId> = self.kept.keys().cloned().collect();
        for id in ids {
            self.set_deadline(&id, now);
            if let Some(kept) = self.kept.get(&id)
                && kept.transaction.state.is_ending()
            {
                out.tasks.push((0, self.markers_of(&id, &kept.transaction)));
            }
        }
        self.timers.insert((now.mono + self.config.expiry_check_interval, Timer::Expiry));
        out
    }

    fn kept(&self) -> usize {
        self.kept.len()
    }

    fn next_deadline(&self) -> Option<MonoTime> {
        let timer = self.timers.first().map(|(at, _)| *at);
        timer.into_iter().chain(self.held_until()).min()
    }

    fn decide(&mut self, id: RequestId, request: Request, now: Now) -> Output {
        let mut out = Output::default();
        self.end_hold_in_time(now, &mut out);
        self.decide_or_hold(id, request, now, &mut out);
        out
    }

    fn on_time(&mut self, now: Now) -> Output {
        let mut out = Output::default();
        self.end_hold_in_time(now, &mut out);
        while self.timers.first().is_some_and(|(at, _)| *at <= now.mono) {
            match self.timers.pop_first() {
                Some((_, Timer::Timeout(id))) => {
                    if let Some(until) = self.held_until() {
                        self.set_deadline_to(&id, until);
                    } else if let Some(kept) = self.kept.get_mut(&id) {
                        kept.deadline = None;
                        tracing::info!(%id, "a transaction has been open for too long and is aborted");
                        self.fence(&id, now, &mut out);
                    }
                }
                Some((_, Timer::Expiry)) => {
                    self.forget_idle(now, &mut out);
                    self.timers.insert((now.mono + self.config.expiry_check_interval, Timer::Expiry));
                }
                None => break,
            }
        }
        out
    }

    fn encode(record: &TxnRecord) -> Result<(Bytes, Option<Bytes>), EncodeError> {
        record::encode(record)
    }

    fn decode(key: Option<Bytes>, value: Option<Bytes>) -> Result<Option<TxnRecord>, InvalidRecord> {
        record::decode(key, value)
    }

    fn size_bound(record: &TxnRecord) -> usize {
        record.size_bound()
    }
}
