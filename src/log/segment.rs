//! One segment: a `.log` file of batches and its three indexes.

use std::io;
use std::path::{Path, PathBuf};

use super::entries::{EntryFile, Reads};
use super::files::{INDEX, LOG, TIME_INDEX, TXN_INDEX, segment_path};
use super::index::{IndexEntry, OffsetIndex};
use super::open_files::LazyFile;
use super::scan::BatchReader;
use super::time_index::{TimeEntry, TimeIndex};
use super::txn_index::TxnIndex;
use crate::env::SharedDisk;
use crate::types::Offset;
use crate::wire::record_batch::{BatchHeader, HEADER_BYTES, NO_TIMESTAMP};

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base: Offset,
    pub(super) file: LazyFile,
    /// Bytes of whole batches; the file may be longer after a failed write, never shorter.
    pub(super) size: u64,
    pub(super) index: OffsetIndex,
    pub(super) time_index: TimeIndex,
    pub(super) txn_index: TxnIndex,
    /// Bytes of batches since the last index entry.
    pub(super) since_index: u64,
    pub(super) max_timestamp: i64,
    /// Last offset of the batch with the largest timestamp.
    pub(super) max_timestamp_at: Offset,
    /// Largest timestamp of the first batch: `segment.ms` counts from it.
    pub(super) first_timestamp: Option<i64>,
    /// Wall time since when it has been written, as far as is known.
    pub(super) since_ms: i64,
    /// The index files have been written since they were last fsynced.
    pub(super) indexes_unsynced: bool,
    /// So has the snapshot of the producers at the base.
    pub(super) snapshot_unsynced: bool,
}

/// Lengths of the files beside a `.log` file; `None` where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lengths {
    pub(super) log: Option<u64>,
    pub(super) index: Option<u64>,
    pub(super) time_index: Option<u64>,
    pub(super) txn_index: Option<u64>,
    pub(super) txn_checksum: Option<u64>,
}

impl Segment {
    /// A new, empty segment.
    pub(super) fn create(disk: &SharedDisk, dir: &Path, base: Offset, now_ms: i64) -> io::Result<Segment> {
        let file = LazyFile::create(disk, segment_path(dir, base, LOG))?;
        let paths = [INDEX, TIME_INDEX, TXN_INDEX].map(|extension| segment_path(dir, base, extension));
        Segment::with_empty_indexes(disk, paths, base, file, &Lengths::default(), now_ms)
    }

    /// A new segment that is not part of the log: its files have a suffix.
    pub(super) fn create_beside(
        disk: &SharedDisk,
        dir: &Path,
        base: Offset,
        suffix: &str,
        now_ms: i64,
    ) -> io::Result<Segment> {
        let path = |extension| segment_path(dir, base, &format!("{extension}.{suffix}"));
        let file = LazyFile::create(disk, path(LOG))?;
        let mut segment = Segment::with_empty_indexes(
            disk,
            [INDEX, TIME_INDEX, TXN_INDEX].map(path),
            base,
            file,
            &Lengths::default(),
            now_ms,
        )?;
        // One that an earlier attempt has left must not become part of this one.
        segment.txn_index.remove_files()?;
        Ok(segment)
    }

    /// A segment that is there, to be scanned: its indexes are emptied.
    pub(super) fn to_be_scanned(
        disk: &SharedDisk,
        dir: &Path,
        base: Offset,
        lengths: &Lengths,
        now_ms: i64,
    ) -> io::Result<Segment> {
        let file = LazyFile::new(disk, segment_path(dir, base, LOG));
        let paths = [INDEX, TIME_INDEX, TXN_INDEX].map(|extension| segment_path(dir, base, extension));
        Segment::with_empty_indexes(disk, paths, base, file, lengths, now_ms)
    }

    fn with_empty_indexes(
        disk: &SharedDisk,
        paths: [PathBuf; 3],
        base: Offset,
        file: LazyFile,
        lengths: &Lengths,
        now_ms: i64,
    ) -> io::Result<Segment> {
        let [index, time_index, txn] = paths;
        Ok(Segment {
            base,
            file,
            size: 0,
            index: OffsetIndex::create(disk, index, base)?,
            time_index: TimeIndex::create(disk, time_index, base)?,
            txn_index: TxnIndex::create(disk, txn, lengths)?,
            since_index: 0,
            max_timestamp: NO_TIMESTAMP,
            max_timestamp_at: base,
            first_timestamp: None,
            since_ms: now_ms,
            indexes_unsynced: true,
            snapshot_unsynced: false,
        })
    }

    /// All that was written to its indexes has been fsynced.
    pub(super) fn indexes_are_synced(&self) {
        self.index.entries.is_synced();
        self.time_index.entries.is_synced();
        self.txn_index.entries().into_iter().for_each(EntryFile::is_synced);
    }

    /// Its log was deleted: no file of it is opened any more.
    pub(super) fn retire(&self) {
        self.file.retire();
        self.index.entries.retire();
        self.time_index.entries.retire();
        self.txn_index.entries().into_iter().for_each(EntryFile::retire);
    }

    /// A segment that is there with its indexes; `None` when an index is missing or cannot be right.
    pub(super) fn open(
        disk: &SharedDisk,
        dir: &Path,
        base: Offset,
        lengths: &Lengths,
        end: Option<Offset>,
        now_ms: i64,
    ) -> io::Result<Option<Segment>> {
        let (Some(size), Some(index), Some(time_index)) = (lengths.log, lengths.index, lengths.time_index)
        else {
            return Ok(None);
        };
        let path = |extension| segment_path(dir, base, extension);
        let index = OffsetIndex::open(disk, path(INDEX), index, base, size, end)?;
        let time_index = TimeIndex::open(disk, path(TIME_INDEX), time_index, base, end)?;
        let txn_index = TxnIndex::open(disk, path(TXN_INDEX), lengths)?;
        let (Some(index), Some(time_index), Some(txn_index)) = (index, time_index, txn_index) else {
            return Ok(None);
        };
        let last = time_index.last();
        Ok(Some(Segment {
            base,
            file: LazyFile::new(disk, path(LOG)),
            size,
            index,
            time_index,
            txn_index,
            since_index: 0,
            max_timestamp: last.map_or(NO_TIMESTAMP, |last| last.timestamp),
            max_timestamp_at: last.map_or(base, |last| last.offset),
            first_timestamp: None,
            since_ms: now_ms,
            indexes_unsynced: false,
            snapshot_unsynced: false,
        }))
    }

    /// Whether the indexes rise from the first entry to the last.
    pub(super) fn indexes_in_order(&self) -> io::Result<bool> {
        Ok(self.index.is_in_order()? && self.time_index.is_in_order()?)
    }

    /// Counts a batch that has been written at the end of the file.
    pub(super) fn add(&mut self, header: &BatchHeader, index_interval_bytes: u64) -> io::Result<()> {
        self.note(header);
        let position = self.size;
        if self.since_index > index_interval_bytes {
            self.index.push(header.last_offset(), position)?;
            self.time_index.push_if_later(self.max_timestamp, self.max_timestamp_at)?;
            self.since_index = 0;
            self.indexes_unsynced = true;
        }
        self.since_index += header.size() as u64;
        self.size += header.size() as u64;
        Ok(())
    }

    fn note(&mut self, header: &BatchHeader) {
        // A batch that compaction has emptied has no record with its timestamp.
        if header.max_timestamp > self.max_timestamp && header.count > 0 {
            self.max_timestamp = header.max_timestamp;
            self.max_timestamp_at = header.last_offset();
        }
        if self.first_timestamp.is_none() {
            self.first_timestamp = Some(header.max_timestamp);
        }
    }

    /// Writes out what the indexes hold in memory, with the largest timestamp as the last time entry.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.time_index.push_if_later(self.max_timestamp, self.max_timestamp_at)?;
        self.index.entries.spill()?;
        self.time_index.entries.spill()?;
        self.txn_index.finish()?;
        self.indexes_unsynced = true;
        Ok(())
    }

    /// Reads from the last index entry on what the indexes do not say: the end, the bytes since that entry, the
    /// largest timestamp. Stops before a bad batch; the end offset and its position.
    pub(super) fn read_tail(&mut self) -> io::Result<(Offset, u64)> {
        let last = self.index.last();
        let (from, mut end) = match last {
            Some(entry) if self.holds(&entry)? => (entry.position, None),
            _ => (0, Some(self.base)),
        };
        let file = self.file.get()?;
        if self.size > 0
            && let Some(Ok((_, first))) = BatchReader::new(&*file, 0, self.size).next()?
        {
            self.first_timestamp = Some(first.header.max_timestamp);
        }
        self.since_index = 0;
        let mut reader = BatchReader::new(&*file, from, self.size);
        while let Some(Ok((_, batch))) = reader.next()? {
            let in_place = end.is_none_or(|end| batch.header.base_offset == end);
            if !in_place || batch.header.last_offset_delta < 0 || batch.check_crc().is_err() {
                return Ok((end.unwrap_or(self.base), reader.position() - batch.bytes.len() as u64));
            }
            self.note(&batch.header);
            self.since_index += batch.bytes.len() as u64;
            end = Some(batch.header.end_offset());
        }
        Ok((end.unwrap_or(self.base), reader.position()))
    }

    /// Where the last batch ends, by the headers from the last index entry on; `None` if they do not lead to the file's end.
    pub(super) fn end_by_headers(&self) -> io::Result<Option<Offset>> {
        let mut position = match self.index.last() {
            Some(entry) if self.holds(&entry)? => entry.position,
            _ => 0,
        };
        let file = self.file.get()?;
        let mut end = None;
        let mut head = [0; HEADER_BYTES];
        while position < self.size {
            let n = file.read_at(&mut head, position)?;
            let Ok(header) = BatchHeader::parse(&head[..n]) else { return Ok(None) };
            end = Some(header.end_offset());
            position += header.size() as u64;
        }
        Ok(end.filter(|_| position == self.size))
    }

    /// The header of the first batch, if there is one.
    pub(super) fn first_header(&self) -> io::Result<Option<BatchHeader>> {
        let mut head = [0; HEADER_BYTES];
        let n = self.file.get()?.read_at(&mut head, 0)?;
        Ok(BatchHeader::parse(&head[..n]).ok())
    }

    /// Whether an index entry is true: the batch at its position ends with its offset.
    fn holds(&self, entry: &IndexEntry) -> io::Result<bool> {
        let mut head = [0; HEADER_BYTES];
        let n = self.file.get()?.read_at(&mut head, entry.position)?;
        Ok(BatchHeader::parse(&head[..n]).is_ok_and(|header| header.last_offset() == entry.last_offset))
    }

    /// A position at or before the batch that holds `offset`: what the index says if that is true, else the start.
    pub(super) fn position_before(&self, offset: Offset) -> io::Result<u64> {
        match self.index.entry_before(offset, Reads::Any)? {
            Some(entry) if self.holds(&entry)? => Ok(entry.position),
            _ => Ok(0),
        }
    }

    /// Whether an entry of the time index is true: its batch has its timestamp.
    pub(super) fn holds_time(&self, entry: &TimeEntry) -> io::Result<bool> {
        let header = self.header_at(entry.offset)?;
        Ok(header.is_some_and(|header| {
            header.last_offset() == entry.offset && header.max_timestamp == entry.timestamp
        }))
    }

    /// The header of the batch that holds `offset`, or of the next one; `None` where no batch is.
    pub(super) fn header_at(&self, offset: Offset) -> io::Result<Option<BatchHeader>> {
        let mut position = self.position_before(offset)?;
        let file = self.file.get()?;
        let mut head = [0; HEADER_BYTES];
        while position < self.size {
            let n = file.read_at(&mut head, position)?;
            let Ok(header) = BatchHeader::parse(&head[..n]) else {
                return Ok(None);
            };
            if header.last_offset() >= offset {
                return Ok(Some(header));
            }
            position += header.size() as u64;
        }
        Ok(None)
    }

    /// Where the batch begins that holds `offset`, or the next one after it; the size if there is none.
    fn position_of(&self, offset: Offset) -> io::Result<u64> {
        let file = self.file.get()?;
        let mut reader = BatchReader::new(&*file, self.position_before(offset)?, self.size);
        while let Some(next) = reader.next()? {
            let (position, batch) = next.map_err(io::Error::other)?;
            if batch.header.last_offset() >= offset {
                return Ok(position);
            }
        }
        Ok(reader.position())
    }

    /// Cuts to the last batch that ends at or below `end`; the new end.
    pub(super) fn truncate_to(&mut self, end: Offset) -> io::Result<Offset> {
        let position = self.position_of(end)?;
        self.file.get_to_write()?.set_len(position)?;
        self.size = position;
        self.index.truncate_at(position)?;
        self.time_index.truncate_to(end)?;
        self.txn_index.truncate_to(end)?;
        self.indexes_unsynced = true;
        let last = self.time_index.last();
        self.max_timestamp = last.map_or(NO_TIMESTAMP, |last| last.timestamp);
        self.max_timestamp_at = last.map_or(self.base, |last| last.offset);
        self.first_timestamp = None;
        Ok(self.read_tail()?.0)
    }
}
