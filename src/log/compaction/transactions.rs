//! Which transactions the batches that a pass meets belong to, and which markers may go.
//!
//! Records of an aborted transaction go at once. A marker stays as long as any batch of its transaction is there (also an
//! empty one), then until its delete horizon: a reader who is slower than that may miss it, as in Kafka (KIP-534).

use std::collections::{BTreeMap, BTreeSet};

use crate::log::txn_index::AbortedTransaction;
use crate::types::ProducerId;
use crate::wire::record_batch::{Batch, ControlKind};

/// A transaction marker is a few bytes.
const MARKER_LIMIT_BYTES: usize = 4096;

#[derive(Clone, Debug, Default)]
pub(super) struct Transactions {
    /// Those that are still to come, the nearest last.
    aborted: Vec<AbortedTransaction>,
    /// Those the pass is inside of, and whether a batch of them was met.
    in_aborted: BTreeMap<ProducerId, (AbortedTransaction, bool)>,
    in_committed: BTreeSet<ProducerId>,
}

/// What a marker is to the pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// A batch of its transaction is still there, or it is no transaction's.
    Needed(Option<AbortedTransaction>),
    /// Its transaction has no batch any more.
    Spent,
}

impl Transactions {
    pub(super) fn new(mut aborted: Vec<AbortedTransaction>) -> Transactions {
        aborted.sort_by_key(|transaction| std::cmp::Reverse(transaction.first));
        Transactions { aborted, ..Transactions::default() }
    }

    /// Meets a batch of records; whether its transaction was aborted.
    pub(super) fn meet_data(&mut self, batch: &Batch) -> bool {
        self.advance(batch);
        if !batch.header.attributes.is_transactional() {
            return false;
        }
        let producer = batch.header.producer_id;
        match self.in_aborted.get_mut(&producer) {
            Some((_, met)) => {
                *met = true;
                true
            }
            None => {
                self.in_committed.insert(producer);
                false
            }
        }
    }

    /// Meets a control batch.
    pub(super) fn meet_marker(&mut self, batch: &Batch) -> Marker {
        self.advance(batch);
        let producer = batch.header.producer_id;
        let marker = batch.records(MARKER_LIMIT_BYTES).ok().and_then(|mut records| records.next()?.ok());
        match marker.and_then(|marker| marker.control_kind()) {
            Some(ControlKind::Abort) => match self.in_aborted.remove(&producer) {
                Some((transaction, true)) => Marker::Needed(Some(transaction)),
                _ => Marker::Spent,
            },
            Some(ControlKind::Commit) if self.in_committed.remove(&producer) => Marker::Needed(None),
            Some(ControlKind::Commit) => Marker::Spent,
            None if batch.header.count == 0 => Marker::Spent,
            None => Marker::Needed(None),
        }
    }

    /// Enters the aborted transactions that begin in or before the batch.
    fn advance(&mut self, batch: &Batch) {
        let last = batch.header.last_offset();
        while let Some(next) = self.aborted.pop_if(|next| next.first <= last) {
            self.in_aborted.entry(next.producer_id).or_insert((next, false));
        }
    }
}
