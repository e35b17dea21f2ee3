//! `.timeindex`: the largest timestamp so far, and the batch that has it.
//!
//! Entry: timestamp i64, relative offset i32 (the last offset of that batch). Timestamps rise strictly.

use std::io;
use std::path::PathBuf;

use super::entries::EntryFile;
use crate::env::SharedDisk;
use crate::types::Offset;

#[derive(Debug)]
pub(super) struct TimeIndex {
    base: Offset,
    pub(super) entries: EntryFile<12>,
}

/// One entry: no batch before `offset` has a larger timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeEntry {
    pub(super) timestamp: i64,
    pub(super) offset: Offset,
}

impl TimeIndex {
    pub(super) fn create(disk: &SharedDisk, path: PathBuf, base: Offset) -> io::Result<TimeIndex> {
        Ok(TimeIndex { base, entries: EntryFile::create(disk, path)? })
    }

    /// `None` if its length or its last entry cannot be that of a segment that ends at `end`.
    pub(super) fn open(
        disk: &SharedDisk,
        path: PathBuf,
        len: u64,
        base: Offset,
        end: Option<Offset>,
    ) -> io::Result<Option<TimeIndex>> {
        let Some(entries) = EntryFile::open(disk, path, len)? else {
            return Ok(None);
        };
        let index = TimeIndex { base, entries };
        let sane = index.last().is_none_or(|last| {
            last.offset >= base && last.timestamp >= 0 && end.is_none_or(|end| last.offset < end)
        });
        Ok(sane.then_some(index))
    }

    fn decode(&self, entry: &[u8; 12]) -> TimeEntry {
        let [t0, t1, t2, t3, t4, t5, t6, t7, o0, o1, o2, o3] = *entry;
        TimeEntry {
            timestamp: i64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            offset: self.base + i64::from(i32::from_be_bytes([o0, o1, o2, o3])),
        }
    }

    pub(super) fn last(&self) -> Option<TimeEntry> {
        self.entries.last().map(|entry| self.decode(entry))
    }

    /// Adds an entry if the timestamp is above the last one.
    pub(super) fn push_if_later(&mut self, timestamp: i64, offset: Offset) -> io::Result<()> {
        if timestamp < 0 || self.last().is_some_and(|last| last.timestamp >= timestamp) {
            return Ok(());
        }
        let relative = i32::try_from(offset - self.base)
            .map_err(|_| io::Error::other("a segment's offsets fit 31 bits"))?;
        let mut entry = [0; 12];
        entry[..8].copy_from_slice(&timestamp.to_be_bytes());
        entry[8..].copy_from_slice(&relative.to_be_bytes());
        self.entries.push(entry)
    }

    /// The last entry below `timestamp`: everything up to its batch has smaller timestamps.
    pub(super) fn entry_below(&self, timestamp: i64) -> io::Result<Option<TimeEntry>> {
        let next = self.entries.partition_point(|entry| self.decode(entry).timestamp < timestamp)?;
        match next.checked_sub(1) {
            Some(i) => Ok(Some(self.decode(&self.entries.get(i)?))),
            None => Ok(None),
        }
    }

    /// Drops the entries of batches at or after `end`.
    pub(super) fn truncate_to(&mut self, end: Offset) -> io::Result<()> {
        let keep = self.entries.partition_point(|entry| self.decode(entry).offset < end)?;
        self.entries.truncate(keep)
    }

    /// Whether all entries rise, in both numbers.
    pub(super) fn is_in_order(&self) -> io::Result<bool> {
        let bytes = self.entries.read_all()?;
        let entries = bytes.as_chunks::<12>().0;
        Ok(entries.windows(2).all(|pair| {
            let (a, b) = (self.decode(&pair[0]), self.decode(&pair[1]));
            a.timestamp < b.timestamp && a.offset < b.offset
        }))
    }
}
