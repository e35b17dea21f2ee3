//! Leader epochs and where each began (KIP-101, KIP-279).

use std::sync::Arc;

use crate::types::{LeaderEpoch, Offset};

/// The first offset written under an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Its first offset; the log end at election if nothing was written.
    pub start: Offset,
}

/// The chain of epochs of one log: epochs rise strictly, start offsets do not fall.
///
/// An epoch under which nothing was written has the start of the next one; it is kept only while it is the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochCache {
    entries: Arc<Vec<EpochEntry>>,
}

impl EpochCache {
    /// Keeps the entries that follow the rule of the type; the others are dropped, a later one winning over an earlier.
    #[must_use]
    pub fn new(entries: Vec<EpochEntry>) -> EpochCache {
        let mut cache = EpochCache::default();
        for entry in entries {
            cache.assign(entry.epoch, entry.start);
        }
        cache
    }

    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The entries as a snapshot that is cheap to keep.
    #[must_use]
    pub fn shared(&self) -> Arc<Vec<EpochEntry>> {
        self.entries.clone()
    }

    /// The last epoch, if there is one.
    #[must_use]
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// Records that `epoch` starts at `start`; entries that contradict it go. Whether anything changed.
    ///
    /// The same epoch again keeps its first start, unless the new one is below.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if epoch.0 < 0 || start.0 < 0 {
            return false;
        }
        if let Some(last) = self.entries.last()
            && last.epoch == epoch
            && last.start <= start
        {
            return false;
        }
        let entries = Arc::make_mut(&mut self.entries);
        while entries.last().is_some_and(|last| last.epoch >= epoch || last.start >= start) {
            entries.pop();
        }
        entries.push(EpochEntry { epoch, start });
        true
    }

    /// The largest epoch ≤ `asked` and its end offset in a log that ends at `log_end`.
    ///
    /// `None` when the chain has no epoch ≤ `asked`: then the answer is "undefined", and the follower truncates to its
    /// own end of the largest epoch that both know, or to the leader's log start.
    #[must_use]
    pub fn end_offset_for(&self, asked: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let next = self.entries.partition_point(|entry| entry.epoch <= asked);
        let found = self.entries[..next].last()?;
        Some((found.epoch, self.entries.get(next).map_or(log_end, |entry| entry.start)))
    }

    /// The same for a reader that asks whether its log is a prefix of this one (KIP-320), by Kafka's rules: an epoch
    /// before the first that is known ends where that one begins, and of an epoch after the last nothing is known.
    #[must_use]
    pub fn end_for_reader(&self, asked: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let (first, last) = (self.entries.first()?, self.entries.last()?);
        if asked > last.epoch || asked.0 < 0 {
            return None;
        }
        if asked < first.epoch {
            return Some((asked, first.start));
        }
        self.end_offset_for(asked, log_end)
    }

    /// The epoch under which the record at `offset` was written; `None` below the chain.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let next = self.entries.partition_point(|entry| entry.start <= offset);
        self.entries[..next].last().map(|entry| entry.epoch)
    }

    /// Whether both chains say the same of every offset before `end` that both know, and neither goes back over what only one
    /// of them knows: then a log of the one chain that ends there is the beginning of any log of the other.
    #[must_use]
    pub fn agrees_with(&self, other: &EpochCache, end: Offset) -> bool {
        let (Some(ours), Some(theirs)) = (self.entries.first(), other.entries.first()) else { return true };
        let from = ours.start.max(theirs.start);
        if from >= end {
            return self.epoch_at(end + -1) <= Some(theirs.epoch);
        }
        self.slice(from, end) == other.slice(from, end)
    }

    /// The part of the chain that covers the offsets from `from` to `to` (exclusive), starts not below `from`.
    #[must_use]
    pub fn slice(&self, from: Offset, to: Offset) -> Vec<EpochEntry> {
        let first = self.entries.partition_point(|entry| entry.start <= from).saturating_sub(1);
        self.entries[first..]
            .iter()
            .take_while(|entry| entry.start < to)
            .map(|entry| EpochEntry { epoch: entry.epoch, start: entry.start.max(from) })
            .collect()
    }

    /// Forgets the epochs that start at or after `end`. Whether anything changed.
    pub fn truncate_to(&mut self, end: Offset) -> bool {
        let keep = self.entries.partition_point(|entry| entry.start < end);
        let changed = keep < self.entries.len();
        if changed {
            Arc::make_mut(&mut self.entries).truncate(keep);
        }
        changed
    }

    /// Forgets the epochs that end at or before `start`; the one that holds `start` begins there from now on.
    /// Whether anything changed.
    pub fn advance_start(&mut self, start: Offset) -> bool {
        let next = self.entries.partition_point(|entry| entry.start <= start);
        let Some(holds) = next.checked_sub(1) else {
            return false;
        };
        if holds == 0 && self.entries[0].start == start {
            return false;
        }
        let entries = Arc::make_mut(&mut self.entries);
        entries.drain(..holds);
        entries[0].start = start;
        true
    }
}
