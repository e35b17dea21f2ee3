//! What a leader asks before a transaction begins in its log (KIP-890).
//!
//! A transactional batch may begin a transaction here only if its coordinator has said that the partition belongs to it.
//! Between that answer and the append the transaction may have been ended: the batch would then hang for ever. So a
//! guard is taken before the coordinator is asked, and a marker of the same producer since then makes it worthless.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::env::defect::{Defect, planted};
use crate::types::{Decision, LeaderEpoch, Offset, ProducerId};

/// Markers remembered: a guard from before the oldest of them is refused, and the client tries again.
const REMEMBERED: usize = 4096;

/// Producers whose last decision is remembered; above this a tenth of them goes, those whose markers lie furthest back.
const MAX_DONE: usize = 100_000;

/// A batch for the leader's log, and who wrote it.
#[derive(Clone, Debug)]
pub struct LeaderBatch {
    /// One batch.
    pub records: Bytes,
    /// Decides what is checked.
    pub origin: Origin,
    /// A lower sequence number of the same producer that was refused and has not come again: if the log does not know the
    /// producer, it must come first.
    pub awaited: Option<i32>,
}

impl LeaderBatch {
    /// A batch with nothing awaited before it.
    #[must_use]
    pub fn new(records: Bytes, origin: Origin) -> LeaderBatch {
        LeaderBatch { records, origin, awaited: None }
    }
}

/// Who wrote a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client.
    Client(Verification),
    /// A coordinator of this broker; its records in a producer's transaction have no sequence numbers.
    Coordinator,
    /// A transaction coordinator ends a transaction.
    Marker {
        /// The marker's epoch must be above that of the transaction: every transaction has an epoch of its own
        /// (transaction.version 2).
        strict: bool,
        /// Which decision it carries out; `None`: it is written as often as it comes.
        decision: Option<Decision>,
    },
}

/// Whether a client's transactional batch may begin a transaction here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Without asking anybody.
    Off,
    /// The coordinator was asked after the guard was taken; not, if the transaction was open here.
    Guard(Option<TransactionGuard>),
}

impl Origin {
    pub(super) fn decision(self) -> Option<Decision> {
        match self {
            Origin::Marker { decision, .. } => decision,
            Origin::Client(_) | Origin::Coordinator => None,
        }
    }
}

impl From<Bytes> for LeaderBatch {
    /// A client's batch that needs no verification.
    fn from(records: Bytes) -> LeaderBatch {
        LeaderBatch::new(records, Origin::Client(Verification::Off))
    }
}

/// Taken before the coordinator is asked, good until a marker of the producer or another leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionGuard {
    pub(super) epoch: LeaderEpoch,
    markers: u64,
}

/// The producers of the last markers that this leader has appended.
#[derive(Debug, Default)]
pub(super) struct RecentMarkers {
    count: u64,
    producers: VecDeque<ProducerId>,
    /// The last decision about each producer that was carried out, while this leads.
    done: BTreeMap<ProducerId, Done>,
    /// The leader epoch of `done`.
    epoch: LeaderEpoch,
}

#[derive(Clone, Copy, Debug)]
struct Done {
    coordinator_epoch: i32,
    number: u64,
    at: Offset,
    /// Of all markers, which one it was.
    count: u64,
}

impl RecentMarkers {
    pub(super) fn guard(&self, epoch: LeaderEpoch) -> TransactionGuard {
        TransactionGuard { epoch, markers: self.count }
    }

    pub(super) fn add(&mut self, producer: ProducerId) {
        self.count += 1;
        if self.producers.len() == REMEMBERED {
            self.producers.pop_front();
        }
        self.producers.push_back(producer);
    }

    /// Where the marker of a decision lies, if the decision was carried out in this leader epoch, or a later one about the
    /// same producer was.
    pub(super) fn done(
        &self,
        producer: ProducerId,
        coordinator_epoch: i32,
        decision: Decision,
    ) -> Option<Offset> {
        let done = self.done.get(&producer).filter(|_| self.epoch == decision.leader_epoch)?;
        if planted(Defect::DecisionTwice) {
            return None;
        }
        let is_later = (done.coordinator_epoch, done.number) >= (coordinator_epoch, decision.number);
        is_later.then_some(done.at)
    }

    /// A decision is carried out by the marker at `at`.
    pub(super) fn carried_out(
        &mut self,
        producer: ProducerId,
        coordinator_epoch: i32,
        decision: Decision,
        at: Offset,
    ) {
        if self.epoch != decision.leader_epoch {
            self.epoch = decision.leader_epoch;
            self.done.clear();
        }
        if self.done.len() >= MAX_DONE && !self.done.contains_key(&producer) {
            let mut counts: Vec<u64> = self.done.values().map(|done| done.count).collect();
            let oldest = *counts.select_nth_unstable(MAX_DONE / 10).1;
            self.done.retain(|_, done| done.count > oldest);
        }
        let done = Done { coordinator_epoch, number: decision.number, at, count: self.count };
        self.done.insert(producer, done);
    }

    /// Whether a transaction of the producer may begin under this guard.
    pub(super) fn allow(
        &self,
        guard: Option<TransactionGuard>,
        producer: ProducerId,
        epoch: LeaderEpoch,
    ) -> bool {
        let Some(guard) = guard.filter(|guard| guard.epoch == epoch) else { return false };
        let since = self.count.checked_sub(guard.markers).and_then(|n| usize::try_from(n).ok());
        since.is_some_and(|since| {
            since <= self.producers.len() && !self.producers.iter().rev().take(since).any(|p| *p == producer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_is_good_until_a_marker_of_its_producer() {
        let mut markers = RecentMarkers::default();
        let epoch = LeaderEpoch(3);
        let (mine, other) = (ProducerId(1), ProducerId(2));
        markers.add(mine);
        let guard = Some(markers.guard(epoch));
        assert!(markers.allow(guard, mine, epoch));
        assert!(!markers.allow(None, mine, epoch));
        assert!(!markers.allow(guard, mine, LeaderEpoch(4)));
        markers.add(other);
        assert!(markers.allow(guard, mine, epoch));
        markers.add(mine);
        assert!(!markers.allow(guard, mine, epoch));
    }

    #[test]
    fn a_guard_older_than_what_is_remembered_is_refused() {
        let mut markers = RecentMarkers::default();
        let guard = Some(markers.guard(LeaderEpoch(1)));
        for _ in 0..REMEMBERED {
            markers.add(ProducerId(2));
        }
        assert!(markers.allow(guard, ProducerId(1), LeaderEpoch(1)));
        markers.add(ProducerId(2));
        assert!(!markers.allow(guard, ProducerId(1), LeaderEpoch(1)));
    }
}
