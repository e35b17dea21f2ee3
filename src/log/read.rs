//! Reads: a stretch of batches for a fetch or a lagging follower, and closed segments for the tier.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::entries::Reads;
use super::epoch_cache::EpochEntry;
use super::error::LogError;
use super::files::{SNAPSHOT, segment_path};
use super::slice::{Anchor, LogSlice, Source};
use super::txn_index::AbortedTransaction;
use super::{Log, checkpoint};
use crate::env::DiskFile;
use crate::types::Offset;

/// A segment that is no longer written.
#[derive(Clone, Debug)]
pub struct ClosedSegment {
    /// First offset.
    pub base: Offset,
    /// End, exclusive.
    pub end: Offset,
    /// Bytes of the `.log` file.
    pub bytes: u64,
    /// Largest timestamp, or −1.
    pub max_timestamp: i64,
    /// The part of the epoch chain that covers it.
    pub epochs: Vec<EpochEntry>,
}

/// The files beside a closed segment, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSections {
    /// `.index`
    pub index: Bytes,
    /// `.timeindex`
    pub time_index: Bytes,
    /// `.txnindex`; empty if no transaction was aborted.
    pub txn_index: Bytes,
    /// `.snapshot` of the producers at the segment's end.
    pub producer_snapshot: Bytes,
    /// `leader-epoch-checkpoint` up to the segment's end.
    pub leader_epochs: Bytes,
}

impl Log {
    /// Finds the batches from the one that holds `from`: up to `max_bytes`, none that reaches `end`; with
    /// `at_least_one` the first batch also when it alone is larger. One call stays within one segment. The slice reads
    /// without the log.
    ///
    /// # Errors
    /// `OutOfRange` below the local start or above the log end.
    pub fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        end: Offset,
        at_least_one: bool,
    ) -> Result<LogSlice, LogError> {
        self.read_with(Reads::Any, from, max_bytes, end, at_least_one)
    }

    /// The same, if no file must be opened for it and no byte come from a device.
    ///
    /// # Errors
    /// As `read`; `Io` when that is not so.
    pub fn read_cached(
        &self,
        from: Offset,
        max_bytes: usize,
        end: Offset,
        at_least_one: bool,
    ) -> Result<LogSlice, LogError> {
        self.read_with(Reads::Cached, from, max_bytes, end, at_least_one)
    }

    fn read_with(
        &self,
        reads: Reads,
        from: Offset,
        max_bytes: usize,
        end: Offset,
        at_least_one: bool,
    ) -> Result<LogSlice, LogError> {
        let (start, log_end) = (self.local_start(), self.log_end());
        if from < start || from > log_end {
            return Err(LogError::OutOfRange { offset: from, start, end: log_end });
        }
        if from >= end.min(log_end) {
            return Ok(LogSlice::default());
        }
        let i = self.segment_of(from);
        let segment = &self.segments[i];
        let path = segment.file.path();
        if reads == Reads::Cached && !segment.file.is_open() {
            return Err(LogError::io("open", path)(io::ErrorKind::WouldBlock.into()));
        }
        let entry =
            segment.index.entry_before(from, reads).map_err(LogError::io("look into the index of", path))?;
        let anchor = entry.filter(|entry| entry.position < segment.size).map_or(Anchor::default(), |entry| {
            Anchor { position: entry.position, last_offset: Some(entry.last_offset) }
        });
        Ok(LogSlice::new(Source {
            file: segment.file.get().map_err(LogError::io("open", path))?,
            path: segment.file.shared_path(),
            anchor,
            base: segment.base,
            size: segment.size,
            from,
            end: end.min(log_end),
            max_bytes,
            at_least_one,
            goes_on: i + 1 < self.segments.len() && self.segment_end(i) < end.min(log_end),
            epochs: self.epochs.shared(),
            compacted: self.config.cleanup.compact || self.positions.cleaned() > Offset::ZERO,
            cached_only: None,
        }))
    }

    /// Whether a transaction was aborted whose marker lies in the segment that holds `from` or a later one. Of a segment
    /// that has gone it is not known: it may.
    #[must_use]
    pub fn may_have_aborted(&self, from: Offset) -> bool {
        from < self.segments[0].base
            || self.segments[self.segment_of(from)..]
                .iter()
                .any(|segment| segment.txn_index.bytes().is_some())
    }

    /// Transactions that were aborted and have records in `from..to`: what a reader of committed data skips there.
    ///
    /// # Errors
    /// `OutOfRange` when `from` lies below the local segments: not all markers are here any more; or `Io`.
    pub fn aborted_transactions(
        &self,
        from: Offset,
        to: Offset,
    ) -> Result<Vec<AbortedTransaction>, LogError> {
        self.aborted_by_markers_after(from, from, to)
    }

    /// Those whose markers lie in the segment that holds `from` or a later one, with records in `records_from..to`.
    ///
    /// # Errors
    /// As [`Log::aborted_transactions`].
    pub fn aborted_by_markers_after(
        &self,
        from: Offset,
        records_from: Offset,
        to: Offset,
    ) -> Result<Vec<AbortedTransaction>, LogError> {
        let start = self.segments[0].base;
        if from < start {
            return Err(LogError::OutOfRange { offset: from, start, end: self.log_end() });
        }
        let mut found = Vec::new();
        for segment in &self.segments[self.segment_of(from)..] {
            let bytes = segment
                .txn_index
                .read_all()
                .map_err(LogError::io("read the transaction index of", segment.file.path()))?;
            for aborted in AbortedTransaction::decode_all(&bytes) {
                if aborted.last >= records_from && aborted.first < to {
                    found.push(aborted);
                }
                if aborted.last_stable >= to {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// All segments but the active one, oldest first.
    #[must_use]
    pub fn closed_segments(&self) -> Vec<ClosedSegment> {
        let closed = &self.segments[..self.segments.len() - 1];
        closed
            .iter()
            .enumerate()
            .map(|(i, segment)| ClosedSegment {
                base: segment.base,
                end: self.segment_end(i),
                bytes: segment.size,
                max_timestamp: segment.max_timestamp,
                epochs: self.epochs.slice(segment.base, self.segment_end(i)),
            })
            .collect()
    }

    /// The `.log` file of a closed segment: its handle stays readable even when the segment is deleted.
    ///
    /// # Errors
    /// `OutOfRange` if no closed segment begins at `base`.
    pub fn segment_file(&self, base: Offset) -> Result<Arc<dyn DiskFile>, LogError> {
        let segment = &self.segments[self.closed_segment(base)?];
        segment.file.get().map_err(LogError::io("open", segment.file.path()))
    }

    /// What lies beside a closed segment, for upload.
    ///
    /// # Errors
    /// `OutOfRange` if no closed segment begins at `base`, or `Io`.
    pub fn segment_sections(&self, base: Offset) -> Result<SegmentSections, LogError> {
        let i = self.closed_segment(base)?;
        let segment = &self.segments[i];
        let end = self.segment_end(i);
        let path = segment.file.path();
        let io = || LogError::io("read the files beside", path);
        let snapshot = segment_path(&self.dir, end, SNAPSHOT);
        Ok(SegmentSections {
            index: segment.index.entries.read_all().map_err(io())?.into(),
            time_index: segment.time_index.entries.read_all().map_err(io())?.into(),
            txn_index: segment.txn_index.read_all().map_err(io())?.into(),
            producer_snapshot: self
                .disk
                .read(&snapshot)
                .map_err(LogError::io("read the producer snapshot", &snapshot))?
                .into(),
            leader_epochs: checkpoint::encode_epochs(&self.epochs.slice(Offset::ZERO, end)).into(),
        })
    }

    fn closed_segment(&self, base: Offset) -> Result<usize, LogError> {
        let i = self.segment_of(base);
        if self.segments[i].base == base && i + 1 < self.segments.len() {
            Ok(i)
        } else {
            Err(LogError::OutOfRange { offset: base, start: self.local_start(), end: self.active().base })
        }
    }
}
