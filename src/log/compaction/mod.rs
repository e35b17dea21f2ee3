//! Compaction: of each key the last record stays (`cleanup.policy=compact`).
//!
//! ```text
//! log start   cleaned end           cleanable end   active segment
//! |--clean----|--dirty--------------|--too young----|------------>
//! ```
//!
//! A pass reads the dirty part into a table of the last offset of each key, as far as the table holds, then copies every
//! closed segment up to there without what is superseded, several small ones into one, and swaps each copy in.
//! The pass runs without the log's lock, in small steps; only the swap takes it. Readers of a replaced segment go on
//! with the file they have open.
//!
//! Only segments below the last stable offset and the flushed end are looked at: a record may go only when the one that
//! supersedes it is durable. Removed at once: superseded records, records of aborted
//! transactions, records without a key. Tombstones and spent markers get a delete horizon when they are first met, and go
//! in a pass after it (KIP-534). The last batch of a producer that is still remembered stays, empty if need be.

mod filter;
mod offset_map;
mod output;
mod pass;
mod swap;
mod transactions;

use std::collections::BTreeMap;
use std::path::PathBuf;

#[cfg(test)]
pub(super) use filter::Defect;
pub use pass::{Compaction, Step};

use self::filter::{LastBatch, Rules};
use self::pass::Source;
pub(super) use self::swap::complete_swaps;
use super::Log;
use super::error::LogError;
use super::segment::Lengths;
use crate::env::SharedDisk;
use crate::types::Offset;

/// What a compacted log has to clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanable {
    /// First offset that no pass has looked at.
    pub dirty_from: Offset,
    /// End of what a pass may look at: a segment's end.
    pub end: Offset,
    /// Bytes of the segments below that were looked at.
    pub clean_bytes: u64,
    /// Bytes of the segments that were not, below the end.
    pub dirty_bytes: u64,
    /// A record has waited for longer than `max.compaction.lag.ms`.
    pub overdue: bool,
}

impl Cleanable {
    /// The dirty share, in millionths.
    #[must_use]
    pub fn dirty_millionths(&self) -> u32 {
        let all = (self.clean_bytes + self.dirty_bytes).max(1);
        u32::try_from(u128::from(self.dirty_bytes) * 1_000_000 / u128::from(all)).unwrap_or(1_000_000)
    }
}

/// A copy that is durable beside the segments it is to replace.
#[must_use]
#[derive(Debug)]
pub struct CleanedSegment {
    disk: SharedDisk,
    dir: PathBuf,
    base: Offset,
    end: Offset,
    /// Bases of the segments that it replaces.
    sources: Vec<Offset>,
    lengths: Lengths,
    cuts: u64,
}

impl CleanedSegment {
    /// Bytes of its batches.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lengths.log.unwrap_or(0)
    }

    /// It is not to be swapped in.
    pub fn discard(self) {
        output::remove(&self.disk, &self.dir, self.base);
    }
}

impl Log {
    /// What a pass would find; `None` if the topic is not compacted.
    ///
    /// # Errors
    /// `Io`, when the age of the dirty part cannot be read.
    pub fn cleanable(&self, high_watermark: Offset, now_ms: i64) -> Result<Option<Cleanable>, LogError> {
        let config = &self.config;
        if !config.cleanup.compact {
            return Ok(None);
        }
        let cleaned = self.positions.cleaned();
        let dirty_from =
            if (self.log_start..=self.log_end()).contains(&cleaned) { cleaned } else { self.log_start };
        let stable = self.last_stable(high_watermark).min(self.active().base).min(self.flushed_end());
        let mut found =
            Cleanable { dirty_from, end: self.local_start(), clean_bytes: 0, dirty_bytes: 0, overdue: false };
        for (i, segment) in self.segments.iter().enumerate() {
            let end = self.segment_end(i);
            if end > stable || segment.size == 0 {
                break;
            }
            if end <= dirty_from {
                found.clean_bytes += segment.size;
            } else {
                let lag = config.min_compaction_lag_ms;
                if lag > 0 && segment.max_timestamp > now_ms.saturating_sub(lag) {
                    break;
                }
                found.dirty_bytes += segment.size;
                if config.max_compaction_lag_ms < i64::MAX && !found.overdue {
                    let oldest = now_ms.saturating_sub(config.max_compaction_lag_ms);
                    let first = segment
                        .first_header()
                        .map_err(LogError::io("read", segment.file.path()))?
                        .map(|header| header.max_timestamp);
                    found.overdue = first.is_some_and(|first| (1..oldest).contains(&first));
                }
            }
            found.end = end;
        }
        Ok(Some(found))
    }

    /// Whether a pass is due: `min.cleanable.dirty.ratio`, `max.compaction.lag.ms`.
    #[must_use]
    pub fn compaction_is_due(&self, found: &Cleanable) -> bool {
        found.dirty_bytes > 0
            && (found.overdue || found.dirty_millionths() > self.config.min_cleanable_dirty_millionths)
    }

    /// Begins a pass over what `cleanable` has found, with a table of at most `map_bytes`.
    ///
    /// # Errors
    /// Why the log is not writable, or `Io` of the transaction indexes.
    pub fn begin_compaction(
        &self,
        found: &Cleanable,
        map_bytes: usize,
        now_ms: i64,
    ) -> Result<Compaction, LogError> {
        self.check_health()?;
        let count = (0..self.segments.len() - 1).take_while(|i| self.segment_end(*i) <= found.end).count();
        let sources = (0..count).map(|i| Source::of(&self.segments[i], self.segment_end(i))).collect();
        let last_of: BTreeMap<_, _> =
            self.producers.producers.iter().map(|(id, producer)| (*id, LastBatch::of(producer))).collect();
        let rules = Rules {
            now_ms,
            delete_retention_ms: self.config.delete_retention_ms,
            last_of,
            mapped: found.dirty_from,
            #[cfg(test)]
            defect: None,
        };
        Ok(Compaction::new(pass::Plan {
            disk: self.disk.clone(),
            dir: self.dir.clone(),
            sources,
            aborted: self.aborted_transactions(self.segments[0].base, found.end)?,
            dirty_from: found.dirty_from,
            rules,
            map_bytes,
            segment_bytes: self.config.segment_bytes,
            index_bytes: self.config.index_bytes,
            index_interval_bytes: self.config.index_interval_bytes,
            cuts: self.cuts,
        }))
    }

    /// A pass has come to its end: what it looked at is clean.
    pub fn finish_compaction(&mut self, pass: &Compaction) {
        if pass.cuts() == self.cuts {
            self.positions.set_cleaned(pass.cleaned_end());
        }
    }
}
