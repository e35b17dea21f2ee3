//! Offsets by time.

use super::Log;
use super::error::LogError;
use super::scan::BatchReader;
use super::segment::Segment;
use crate::types::{LeaderEpoch, Offset};
use crate::wire::record_batch::{Batch, BatchError};

/// Bound on the decompressed records of the one batch that is looked into.
const RECORDS_LIMIT_BYTES: usize = 64 << 20;

/// Where a record with a timestamp was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp.
    pub timestamp: i64,
    /// The epoch it was written under.
    pub epoch: LeaderEpoch,
}

impl Log {
    /// The first local record below `end` whose timestamp is at least `timestamp`.
    ///
    /// # Errors
    /// `Io`, or `Corrupt` for a batch on the way.
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
        end: Offset,
    ) -> Result<Option<TimestampOffset>, LogError> {
        for segment in &self.segments {
            if segment.base >= end {
                break;
            }
            if segment.max_timestamp < timestamp {
                continue;
            }
            let io = || LogError::io("look into the time index of", segment.file.path());
            let from = match segment.time_index.entry_below(timestamp).map_err(io())? {
                Some(below) if segment.holds_time(&below).map_err(io())? => below.offset,
                _ => segment.base,
            };
            let start = self.local_start();
            let found = self.first_match(segment, from, |batch| {
                (batch.header.max_timestamp >= timestamp)
                    .then(|| first_record(batch, |time, offset| time >= timestamp && offset >= start))
                    .flatten()
            })?;
            if let Some(found) = found {
                return Ok((found.offset < end).then_some(found));
            }
        }
        Ok(None)
    }

    /// The first local record with the largest timestamp.
    ///
    /// # Errors
    /// `Io`, or `Corrupt` for a batch on the way.
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, LogError> {
        let newest = self
            .segments
            .iter()
            .filter(|segment| segment.max_timestamp >= 0)
            .reduce(|best, next| if next.max_timestamp > best.max_timestamp { next } else { best });
        let Some(segment) = newest else {
            return Ok(None);
        };
        self.first_match(segment, segment.max_timestamp_at, |batch| {
            (batch.header.last_offset() >= segment.max_timestamp_at)
                .then(|| first_record(batch, |time, _| time >= segment.max_timestamp))
                .flatten()
        })
    }

    /// The first answer that a batch at or after `from` gives.
    fn first_match(
        &self,
        segment: &Segment,
        from: Offset,
        wanted: impl Fn(&Batch) -> Option<TimestampOffset>,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let path = segment.file.path();
        let io = || LogError::io("read", path);
        let start = segment.position_before(from).map_err(io())?;
        let file = segment.file.get().map_err(io())?;
        let mut reader = BatchReader::new(&*file, start, segment.size);
        let corrupt = |position, e: BatchError| LogError::Corrupt {
            path: path.to_owned(),
            position,
            offset: from,
            detail: e.to_string(),
        };
        while let Some(next) = reader.next().map_err(io())? {
            let (position, batch) = next.map_err(|e| corrupt(start, e))?;
            if batch.header.last_offset() < self.local_start() {
                continue;
            }
            if let Some(found) = wanted(&batch) {
                batch.check_crc().map_err(|e| corrupt(position, e))?;
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// The first record that fits. A batch whose records cannot be walked within the bound answers with its first offset:
/// early, so that a reader who seeks there misses nothing.
fn first_record(batch: &Batch, wanted: impl Fn(i64, Offset) -> bool) -> Option<TimestampOffset> {
    let header = &batch.header;
    let found = |offset, timestamp| TimestampOffset { offset, timestamp, epoch: header.leader_epoch };
    let Ok(records) = batch.records(RECORDS_LIMIT_BYTES) else {
        return Some(found(header.base_offset, header.max_timestamp));
    };
    for record in records {
        match record {
            Ok(record) if wanted(record.timestamp, record.offset) => {
                return Some(found(record.offset, record.timestamp));
            }
            Ok(_) => {}
            Err(_) => return Some(found(header.base_offset, header.max_timestamp)),
        }
    }
    None
}
