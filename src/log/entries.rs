//! A file of fixed-size entries in rising order: what the three indexes have in common.
//!
//! New entries wait in memory and are written in blocks; a crash loses them, and recovery builds them anew.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::open_files::LazyFile;
use crate::env::{DiskFile, SharedDisk};

/// Entries held in memory before they are written.
const PENDING: usize = 512;
/// A binary search ends by reading this many bytes at once.
const BLOCK_BYTES: u64 = 4096;

/// Where bytes may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// From wherever they are.
    Any,
    /// From memory, of files that are open; `WouldBlock` where that is not enough.
    Cached,
}

#[derive(Debug)]
pub(super) struct EntryFile<const N: usize> {
    file: LazyFile,
    /// Entries in the file.
    written: u64,
    /// Entries after those.
    pending: Vec<[u8; N]>,
    last: Option<[u8; N]>,
}

impl<const N: usize> EntryFile<N> {
    /// An empty file, also if there was one.
    pub(super) fn create(disk: &SharedDisk, path: PathBuf) -> io::Result<Self> {
        let file = LazyFile::create(disk, path)?;
        Ok(EntryFile { file, written: 0, pending: Vec::new(), last: None })
    }

    /// A file of `len` bytes that is there. `None` if that is no whole number of entries.
    pub(super) fn open(disk: &SharedDisk, path: PathBuf, len: u64) -> io::Result<Option<Self>> {
        if !len.is_multiple_of(N as u64) {
            return Ok(None);
        }
        let mut entries = EntryFile {
            file: LazyFile::new(disk, path),
            written: len / N as u64,
            pending: Vec::new(),
            last: None,
        };
        entries.last = entries.read_last()?;
        Ok(Some(entries))
    }

    fn read_last(&self) -> io::Result<Option<[u8; N]>> {
        match (self.pending.last(), self.written.checked_sub(1)) {
            (Some(entry), _) => Ok(Some(*entry)),
            (None, Some(i)) => self.get(i).map(Some),
            (None, None) => Ok(None),
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn handle(&self) -> io::Result<Arc<dyn DiskFile>> {
        self.file.get()
    }

    /// All that was written has been fsynced.
    pub(super) fn is_synced(&self) {
        self.file.is_synced();
    }

    /// It is not opened any more.
    pub(super) fn retire(&self) {
        self.file.retire();
    }

    pub(super) fn count(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.count() * N as u64
    }

    pub(super) fn last(&self) -> Option<&[u8; N]> {
        self.last.as_ref()
    }

    pub(super) fn get(&self, i: u64) -> io::Result<[u8; N]> {
        self.get_by(Reads::Any, i)
    }

    pub(super) fn get_by(&self, reads: Reads, i: u64) -> io::Result<[u8; N]> {
        if let Some(entry) = i.checked_sub(self.written) {
            return usize::try_from(entry)
                .ok()
                .and_then(|i| self.pending.get(i))
                .copied()
                .ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        }
        let mut entry = [0; N];
        self.read_by(reads, &mut entry, i)?;
        Ok(entry)
    }

    pub(super) fn push(&mut self, entry: [u8; N]) -> io::Result<()> {
        self.pending.push(entry);
        self.last = Some(entry);
        if self.pending.len() >= PENDING { self.spill() } else { Ok(()) }
    }

    /// Writes what waits in memory.
    pub(super) fn spill(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.file.get_to_write()?.write_all_at(self.pending.as_flattened(), self.written * N as u64)?;
            self.written += self.pending.len() as u64;
            self.pending.clear();
        }
        Ok(())
    }

    /// Keeps the first `count` entries.
    pub(super) fn truncate(&mut self, count: u64) -> io::Result<()> {
        if count < self.written {
            self.file.get_to_write()?.set_len(count * N as u64)?;
            self.written = count;
            self.pending.clear();
        } else {
            self.pending.truncate(usize::try_from(count - self.written).unwrap_or(usize::MAX));
        }
        self.last = self.read_last()?;
        Ok(())
    }

    /// Number of entries, from the front, for which `before` holds.
    pub(super) fn partition_point(&self, before: impl Fn(&[u8; N]) -> bool) -> io::Result<u64> {
        self.partition_point_by(Reads::Any, before)
    }

    pub(super) fn partition_point_by(
        &self,
        reads: Reads,
        before: impl Fn(&[u8; N]) -> bool,
    ) -> io::Result<u64> {
        if self.last.as_ref().is_none_or(&before) {
            return Ok(self.count());
        }
        if self.pending.first().is_some_and(&before) {
            return Ok(self.written + self.pending.partition_point(before) as u64);
        }
        let (mut low, mut high) = (0, self.written);
        while (high - low) * N as u64 > BLOCK_BYTES {
            let middle = low + (high - low) / 2;
            if before(&self.get_by(reads, middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut block = vec![0; usize::try_from(high - low).unwrap_or(0) * N];
        self.read_by(reads, &mut block, low)?;
        Ok(low + block.as_chunks::<N>().0.partition_point(before) as u64)
    }

    /// What the file has from entry `i` on.
    fn read_by(&self, reads: Reads, bytes: &mut [u8], i: u64) -> io::Result<()> {
        let position = i * N as u64;
        match reads {
            Reads::Any => self.file.get()?.read_exact_at(bytes, position),
            Reads::Cached if self.file.is_open() && self.file.get()?.read_cached_at(bytes, position) => {
                Ok(())
            }
            Reads::Cached => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// All entries as they stand in the file.
    pub(super) fn read_all(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.written).unwrap_or(0) * N];
        if self.written > 0 {
            self.file.get()?.read_exact_at(&mut bytes, 0)?;
        }
        bytes.extend_from_slice(self.pending.as_flattened());
        Ok(bytes)
    }
}
