//! `.txnindex`: the aborted transactions whose marker lies in the segment.
//!
//! Entry: version i16 = 0, producer id, first offset, last offset (the marker's), last stable offset: i64 each.

use std::io;
use std::path::PathBuf;

use super::entries::EntryFile;
use super::files::LazyFile;
use crate::env::SharedDisk;
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

/// The file exists only once a transaction was aborted, as in Kafka.
#[derive(Debug)]
pub(super) struct TxnIndex {
    disk: SharedDisk,
    path: PathBuf,
    entries: Option<EntryFile<ENTRY_BYTES>>,
}

impl TxnIndex {
    /// Without entries; a file that is there is emptied when `len` says that there is one.
    pub(super) fn create(disk: &SharedDisk, path: PathBuf, len: Option<u64>) -> io::Result<TxnIndex> {
        if len.is_some() {
            LazyFile::create(disk, path.clone())?;
        }
        Ok(TxnIndex { disk: disk.clone(), path, entries: None })
    }

    /// A file of `len` bytes, or none. `None` if that is no whole number of entries.
    pub(super) fn open(disk: &SharedDisk, path: PathBuf, len: Option<u64>) -> io::Result<Option<TxnIndex>> {
        let entries = match len {
            None => None,
            Some(len) => match EntryFile::open(disk, path.clone(), len)? {
                None => return Ok(None),
                Some(entries) => Some(entries),
            },
        };
        Ok(Some(TxnIndex { disk: disk.clone(), path, entries }))
    }

    /// Removes a file that is there although nothing has been pushed.
    pub(super) fn remove_file(&mut self) -> io::Result<()> {
        match self.disk.remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    pub(super) fn push(&mut self, aborted: &AbortedTransaction) -> io::Result<()> {
        let entries = match &mut self.entries {
            Some(entries) => entries,
            None => self.entries.insert(EntryFile::create(&self.disk, self.path.clone())?),
        };
        entries.push(aborted.encode())
    }

    pub(super) fn spill(&mut self) -> io::Result<()> {
        self.entries.as_mut().map_or(Ok(()), EntryFile::spill)
    }

    pub(super) fn entries(&self) -> Option<&EntryFile<ENTRY_BYTES>> {
        self.entries.as_ref()
    }

    pub(super) fn read_all(&self) -> io::Result<Vec<u8>> {
        self.entries.as_ref().map_or(Ok(Vec::new()), EntryFile::read_all)
    }

    /// Drops the transactions whose marker lies at or after `end`.
    pub(super) fn truncate_to(&mut self, end: Offset) -> io::Result<()> {
        if let Some(entries) = &mut self.entries {
            let keep = entries.partition_point(|entry| AbortedTransaction::decode(entry).last < end)?;
            entries.truncate(keep)?;
        }
        Ok(())
    }
}
