//! `.txnindex`: the aborted transactions whose marker lies in the segment.
//!
//! `.txnchecksum`: version u16 = 0, CRC-32C u32 of the other file.
//!
//! Entry: version i16 = 0, producer id, first offset, last offset (the marker's), last stable offset: i64 each.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entries::EntryFile;
use super::files::{TXN_CHECKSUM, TXN_INDEX};
use super::open_files::LazyFile;
use super::segment::Lengths;
use crate::env::{DiskFile, OpenMode, SharedDisk};
use crate::types::{Offset, ProducerId};

const ENTRY_BYTES: usize = 34;

/// A transaction whose records a reader of committed data must skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Its producer.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first: Offset,
    /// Its abort marker.
    pub last: Offset,
    /// Last stable offset once the marker was appended.
    pub last_stable: Offset,
}

impl AbortedTransaction {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut entry = [0; ENTRY_BYTES];
        for (i, field) in
            [self.producer_id.0, self.first.0, self.last.0, self.last_stable.0].iter().enumerate()
        {
            entry[2 + 8 * i..10 + 8 * i].copy_from_slice(&field.to_be_bytes());
        }
        entry
    }

    fn decode(entry: &[u8; ENTRY_BYTES]) -> AbortedTransaction {
        let field = |i: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&entry[2 + 8 * i..10 + 8 * i]);
            i64::from_be_bytes(bytes)
        };
        AbortedTransaction {
            producer_id: ProducerId(field(0)),
            first: Offset(field(1)),
            last: Offset(field(2)),
            last_stable: Offset(field(3)),
        }
    }

    /// All entries of a `.txnindex` file.
    #[must_use]
    pub fn decode_all(bytes: &[u8]) -> Vec<AbortedTransaction> {
        bytes.as_chunks::<ENTRY_BYTES>().0.iter().map(AbortedTransaction::decode).collect()
    }
}

/// The files exist only once a transaction was aborted, as in Kafka.
///
/// Where a bit of the index flips, readers would get records that were aborted, or miss some that were not. So a second file
/// says what the index's CRC-32C is: written when the segment is closed or the log stopped, removed before the index
/// changes. An index that does not match it is built anew when the log is opened, and not read until then. An index
/// without it (Kafka's own) is believed.
#[derive(Debug)]
pub(super) struct TxnIndex {
    disk: SharedDisk,
    path: PathBuf,
    entries: Option<EntryFile<ENTRY_BYTES>>,
    /// Of all entries.
    crc: u32,
    /// The checksum's file is there.
    has_checksum: bool,
}

const CHECKSUM_VERSION: u16 = 0;
/// Version u16, CRC-32C u32.
const CHECKSUM_BYTES: usize = 6;

impl TxnIndex {
    /// Without entries; files that are there by their lengths are emptied and removed.
    pub(super) fn create(disk: &SharedDisk, path: PathBuf, lengths: &Lengths) -> io::Result<TxnIndex> {
        let has_checksum = lengths.txn_checksum.is_some();
        let mut index = TxnIndex { disk: disk.clone(), path, entries: None, crc: 0, has_checksum };
        index.remove_checksum()?;
        if lengths.txn_index.is_some() {
            LazyFile::create(disk, index.path.clone())?;
        }
        Ok(index)
    }

    /// Files of these lengths, or none. `None` if they cannot be right.
    pub(super) fn open(disk: &SharedDisk, path: PathBuf, lengths: &Lengths) -> io::Result<Option<TxnIndex>> {
        let has_checksum = lengths.txn_checksum.is_some();
        let entries = match lengths.txn_index {
            None if has_checksum => return Ok(None),
            None => None,
            Some(len) => match EntryFile::open(disk, path.clone(), len)? {
                None => return Ok(None),
                Some(entries) => Some(entries),
            },
        };
        let mut index = TxnIndex { disk: disk.clone(), path, entries, crc: 0, has_checksum };
        if let Some(entries) = &index.entries {
            index.crc = crc32c::crc32c(&entries.read_all()?);
        }
        if has_checksum && disk.read(&index.checksum_path())? != encode_checksum(index.crc) {
            tracing::warn!(path = %index.path.display(), "it does not match its checksum: it is built anew");
            return Ok(None);
        }
        Ok(Some(index))
    }

    fn checksum_path(&self) -> PathBuf {
        // Compacted copies have a suffix.
        let name = self.path.file_name().map(|name| name.to_string_lossy().replace(TXN_INDEX, TXN_CHECKSUM));
        self.path.with_file_name(name.unwrap_or_default())
    }

    fn remove_checksum(&mut self) -> io::Result<()> {
        if self.has_checksum {
            remove(&self.disk, &self.checksum_path())?;
            self.has_checksum = false;
        }
        Ok(())
    }

    /// Removes files that are there although nothing has been pushed.
    pub(super) fn remove_files(&mut self) -> io::Result<()> {
        remove(&self.disk, &self.checksum_path())?;
        remove(&self.disk, &self.path)
    }

    pub(super) fn push(&mut self, aborted: &AbortedTransaction) -> io::Result<()> {
        self.remove_checksum()?;
        let entries = match &mut self.entries {
            Some(entries) => entries,
            None => self.entries.insert(EntryFile::create(&self.disk, self.path.clone())?),
        };
        let entry = aborted.encode();
        entries.push(entry)?;
        self.crc = crc32c::crc32c_append(self.crc, &entry);
        Ok(())
    }

    pub(super) fn entries(&self) -> Option<&EntryFile<ENTRY_BYTES>> {
        self.entries.as_ref()
    }

    /// Writes what waits in memory, and the checksum.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let Some(entries) = &mut self.entries else { return Ok(()) };
        entries.spill()?;
        if !self.has_checksum {
            let file = self.disk.open(&self.checksum_path(), OpenMode::ReadWrite)?;
            self.has_checksum = true;
            file.set_len(0)?;
            file.write_all_at(&encode_checksum(self.crc), 0)?;
        }
        Ok(())
    }

    /// The files that are there, for an fsync.
    pub(super) fn files(&self) -> impl Iterator<Item = io::Result<(PathBuf, Arc<dyn DiskFile>)>> {
        let entries =
            self.entries.as_ref().map(|entries| entries.handle().map(|file| (self.path.clone(), file)));
        let checksum = self.has_checksum.then(|| {
            let path = self.checksum_path();
            self.disk.open(&path, OpenMode::Read).map(|file| (path, file))
        });
        entries.into_iter().chain(checksum)
    }

    /// Bytes of the entries; `None` without a file.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.entries.as_ref().map(EntryFile::bytes)
    }

    /// Bytes of the checksum; `None` without one.
    pub(super) fn checksum_bytes(&self) -> Option<u64> {
        self.has_checksum.then_some(CHECKSUM_BYTES as u64)
    }

    /// All entries as they stand in the file.
    ///
    /// # Errors
    /// As the disk says; or that they are not what was written.
    pub(super) fn read_all(&self) -> io::Result<Vec<u8>> {
        let Some(entries) = &self.entries else { return Ok(Vec::new()) };
        let bytes = entries.read_all()?;
        if crc32c::crc32c(&bytes) != self.crc {
            return Err(io::Error::other("it is damaged: its checksum does not match"));
        }
        Ok(bytes)
    }

    /// Drops the transactions whose marker lies at or after `end`.
    pub(super) fn truncate_to(&mut self, end: Offset) -> io::Result<()> {
        let Some(entries) = &self.entries else { return Ok(()) };
        let keep = entries.partition_point(|entry| AbortedTransaction::decode(entry).last < end)?;
        if keep == entries.count() {
            return Ok(());
        }
        self.remove_checksum()?;
        if let Some(entries) = &mut self.entries {
            entries.truncate(keep)?;
            self.crc = crc32c::crc32c(&entries.read_all()?);
        }
        Ok(())
    }
}

fn encode_checksum(crc: u32) -> [u8; CHECKSUM_BYTES] {
    let mut bytes = [0; CHECKSUM_BYTES];
    bytes[..2].copy_from_slice(&CHECKSUM_VERSION.to_be_bytes());
    bytes[2..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn remove(disk: &SharedDisk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
