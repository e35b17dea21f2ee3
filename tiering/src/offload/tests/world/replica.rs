//! One replica's log, as the random test sees it.

use bytes::Bytes;

use super::Defence;
use crate::batch;
use crate::lineage::EpochStart;
use crate::plan::{Local, LocalSegment};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) base: i64,
    pub(super) end: i64,
    pub(super) bytes: Bytes,
    pub(super) timestamp: i64,
}

impl Batch {
    pub(super) fn epoch(&self) -> i32 {
        batch::head(&self.bytes).unwrap().unwrap().leader_epoch
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Replica {
    /// From the local start on.
    pub(super) log: Vec<Batch>,
    pub(super) closed_ends: Vec<i64>,
    pub(super) local_start: i64,
    pub(super) log_start: i64,
    pub(super) high_watermark: i64,
    pub(super) chain: Vec<EpochStart>,
    pub(super) tier_end: i64,
    pub(super) generation: u64,
    /// The epoch under which it believes to lead.
    pub(super) leads: Option<i32>,
}

impl Replica {
    pub(super) fn end(&self) -> i64 {
        self.log.last().map_or(self.local_start, |batch| batch.end)
    }

    pub(super) fn local(&self, epoch: i32, defence: Defence) -> Local {
        let mut closed = Vec::new();
        let mut base = self.local_start;
        let inside = |base: i64, end: i64| {
            let batches = self.log.iter().filter(move |b| b.base >= base && b.end <= end);
            (
                batches.clone().map(|b| b.bytes.len() as u64).sum::<u64>(),
                batches.map(|b| b.timestamp).max().unwrap_or(-1),
            )
        };
        for &end in self.closed_ends.iter().filter(|&&end| end > self.local_start) {
            let (bytes, max_timestamp) = inside(base, end);
            closed.push(LocalSegment { base, end, bytes, max_timestamp });
            base = end;
        }
        let high_watermark =
            if defence == Defence::NoHighWatermark { self.end() } else { self.high_watermark };
        Local {
            epoch,
            log_start: self.log_start,
            local_start: self.local_start,
            high_watermark,
            last_stable: high_watermark,
            chain: self.chain.clone(),
            closed,
            open_bytes: inside(base, i64::MAX).0,
            everywhere_from: None,
        }
    }

    pub(super) fn delete_local(&mut self, below: i64) {
        self.log.retain(|batch| batch.end > below);
        self.closed_ends.retain(|&end| end > below);
        self.local_start = self.local_start.max(below);
    }

    /// Becomes a copy of the leader's log, but keeps its own segment bounds and its own local start.
    pub(super) fn follow(&mut self, leader: &Replica) {
        let known_from = leader.chain.first().map_or(i64::MAX, |entry| entry.start);
        let epoch_at = |offset| leader.chain.iter().rev().find(|e| e.start <= offset).map(|e| e.epoch);
        let agreeing =
            self.log.iter().take_while(|b| b.base < known_from || epoch_at(b.base) == Some(b.epoch()));
        let kept = agreeing.take_while(|b| b.end <= leader.end()).count();
        self.log.truncate(kept);
        if self.end() < leader.local_start || self.local_start > leader.end() {
            self.begin_again(leader);
        }
        let end = self.end();
        self.closed_ends.retain(|&closed| closed <= end);
        self.log.extend(leader.log.iter().filter(|batch| batch.base >= end).cloned());
        self.chain.clone_from(&leader.chain);
        self.high_watermark = leader.high_watermark;
        self.log_start = self.log_start.max(leader.log_start);
        self.tier_end = leader.tier_end;
        self.generation = leader.generation;
    }
}

impl Replica {
    /// An empty disk begins at the end of the tier where that reaches over what only the leader has not, as a new replica does.
    pub(super) fn begin_again(&mut self, leader: &Replica) {
        let covers = leader.tier_end >= leader.local_start && leader.tier_end <= leader.end();
        self.log.clear();
        self.closed_ends.clear();
        self.local_start = if covers { leader.tier_end } else { leader.local_start };
    }
}
