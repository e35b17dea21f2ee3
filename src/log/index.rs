//! `.index`: where in the `.log` file an offset lies; one entry per `index.interval.bytes`.
//!
//! Entry: relative offset i32, position i32. The offset is the *last* one of the batch at that position, as Kafka has it.

use std::io;
use std::path::PathBuf;

use super::entries::{EntryFile, Reads};
use crate::env::SharedDisk;
use crate::types::Offset;

#[derive(Debug)]
pub(super) struct OffsetIndex {
    base: Offset,
    pub(super) entries: EntryFile<8>,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) last_offset: Offset,
    pub(super) position: u64,
}

impl OffsetIndex {
    pub(super) fn create(disk: &SharedDisk, path: PathBuf, base: Offset) -> io::Result<OffsetIndex> {
        Ok(OffsetIndex { base, entries: EntryFile::create(disk, path)? })
    }

    /// `None` if its length or its last entry cannot be that of a segment of `segment_bytes` that ends at `end`.
    pub(super) fn open(
        disk: &SharedDisk,
        path: PathBuf,
        len: u64,
        base: Offset,
        segment_bytes: u64,
        end: Option<Offset>,
    ) -> io::Result<Option<OffsetIndex>> {
        let Some(entries) = EntryFile::open(disk, path, len)? else {
            return Ok(None);
        };
        let index = OffsetIndex { base, entries };
        let sane = index.last().is_none_or(|last| {
            last.last_offset >= base
                && last.position < segment_bytes
                && end.is_none_or(|end| last.last_offset < end)
        });
        Ok(sane.then_some(index))
    }

    fn decode(&self, entry: &[u8; 8]) -> IndexEntry {
        let [o0, o1, o2, o3, p0, p1, p2, p3] = *entry;
        IndexEntry {
            last_offset: self.base + i64::from(i32::from_be_bytes([o0, o1, o2, o3])),
            position: u64::from(u32::from_be_bytes([p0, p1, p2, p3])),
        }
    }

    pub(super) fn last(&self) -> Option<IndexEntry> {
        self.entries.last().map(|entry| self.decode(entry))
    }

    /// The caller has made sure that both numbers fit: a segment is rolled before they would not.
    pub(super) fn push(&mut self, last_offset: Offset, position: u64) -> io::Result<()> {
        let (Ok(offset), Ok(position)) = (i32::try_from(last_offset - self.base), i32::try_from(position))
        else {
            return Err(io::Error::other("a segment's offsets and positions fit 31 bits"));
        };
        let mut entry = [0; 8];
        entry[..4].copy_from_slice(&offset.to_be_bytes());
        entry[4..].copy_from_slice(&position.to_be_bytes());
        self.entries.push(entry)
    }

    /// The last entry at or before the batch that holds `offset`; without one, the segment's start is.
    pub(super) fn entry_before(&self, offset: Offset, reads: Reads) -> io::Result<Option<IndexEntry>> {
        let is_before = |entry: &[u8; 8]| self.decode(entry).last_offset <= offset;
        let next = self.entries.partition_point_by(reads, is_before)?;
        match next.checked_sub(1) {
            Some(i) => Ok(Some(self.decode(&self.entries.get_by(reads, i)?))),
            None => Ok(None),
        }
    }

    /// The last indexed batch at or before `position`.
    pub(super) fn position_near(&self, position: u64) -> io::Result<u64> {
        let next = self.entries.partition_point(|entry| self.decode(entry).position <= position)?;
        match next.checked_sub(1) {
            Some(i) => Ok(self.decode(&self.entries.get(i)?).position),
            None => Ok(0),
        }
    }

    /// Drops the entries of batches at or after `position`.
    pub(super) fn truncate_at(&mut self, position: u64) -> io::Result<()> {
        let keep = self.entries.partition_point(|entry| self.decode(entry).position < position)?;
        self.entries.truncate(keep)
    }

    /// Whether all entries rise, in both numbers.
    pub(super) fn is_in_order(&self) -> io::Result<bool> {
        let bytes = self.entries.read_all()?;
        let entries = bytes.as_chunks::<8>().0;
        Ok(entries.windows(2).all(|pair| {
            let (a, b) = (self.decode(&pair[0]), self.decode(&pair[1]));
            a.last_offset < b.last_offset && a.position < b.position
        }))
    }
}
