//! The segment that a pass writes: `<base>.log.cleaned` with its indexes.
//!
//! A compacted log has no holes. Offsets whose batch is gone belong to the batch before them (its last offset moves, its
//! last sequence number stays), or, where that must not change (a marker, a producer's last batch, another leader epoch),
//! to an empty batch of their own. So a missing segment, a flipped offset and a lost frame are still found, and every
//! leader epoch still begins with a batch that says so.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use super::CleanedSegment;
use crate::env::SharedDisk;
use crate::log::error::LogError;
use crate::log::files::{CLEANED, LOG, segment_path};
use crate::log::flush::index_files;
use crate::log::segment::{Lengths, Segment};
use crate::log::txn_index::AbortedTransaction;
use crate::types::Offset;
use crate::wire::record_batch::{Batch, BatchHeader};

/// Bytes that wait for one write.
const BUFFER_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Output {
    disk: SharedDisk,
    dir: PathBuf,
    segment: Segment,
    path: PathBuf,
    interval: u64,
    /// The last batch: it may still grow over offsets that have gone.
    pending: Option<Pending>,
    headers: Vec<BatchHeader>,
    /// Their bytes: copies, so that a small batch does not hold the large read it came in.
    buffer: BytesMut,
    changed: bool,
}

#[derive(Debug)]
struct Pending {
    header: BatchHeader,
    body: Bytes,
    may_reach: bool,
    /// The header is no longer that of the bytes.
    reached: bool,
}

impl Output {
    pub(super) fn create(
        disk: &SharedDisk,
        dir: &Path,
        base: Offset,
        interval: u64,
        now_ms: i64,
    ) -> Result<Output, LogError> {
        let path = segment_path(dir, base, &format!("{LOG}.{CLEANED}"));
        let segment = Segment::create_beside(disk, dir, base, CLEANED, now_ms)
            .map_err(LogError::io("create", &path))?;
        Ok(Output {
            disk: disk.clone(),
            dir: dir.to_owned(),
            segment,
            path,
            interval,
            pending: None,
            headers: Vec::new(),
            buffer: BytesMut::new(),
            changed: false,
        })
    }

    /// A batch as it was, or what is left of it. `may_reach`: it may grow over what goes after it.
    pub(super) fn keep(&mut self, batch: &Batch, may_reach: bool, as_it_was: bool) -> Result<(), LogError> {
        self.changed |= !as_it_was;
        self.settle()?;
        self.pending = Some(Pending { header: batch.header, body: batch.body(), may_reach, reached: false });
        Ok(())
    }

    /// A batch of which nothing is left.
    pub(super) fn drop(&mut self, gone: &BatchHeader) -> Result<(), LogError> {
        if let Some(pending) = &mut self.pending
            && pending.may_reach
            && pending.header.leader_epoch == gone.leader_epoch
            && pending.header.reach(gone.last_offset())
        {
            pending.reached = true;
            self.changed = true;
            return Ok(());
        }
        let filler = Batch::filler(gone.base_offset, gone.last_offset(), gone.leader_epoch)
            .expect("the offsets of one batch are not more than a batch can span");
        let as_it_was = gone.count == 0 && !gone.has_producer();
        self.keep(&filler, true, as_it_was)
    }

    pub(super) fn abort(&mut self, transaction: &AbortedTransaction) -> Result<(), LogError> {
        self.segment.txn_index.push(transaction).map_err(LogError::io("write the indexes of", &self.path))
    }

    /// The last batch will not change any more.
    fn settle(&mut self) -> Result<(), LogError> {
        let Some(mut pending) = self.pending.take() else {
            return Ok(());
        };
        if pending.reached {
            pending.header.seal(&pending.body);
        }
        pending.header.write(&mut self.buffer);
        self.buffer.extend_from_slice(&pending.body);
        self.headers.push(pending.header);
        if self.buffer.len() >= BUFFER_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), LogError> {
        let io = || LogError::io("write", &self.path);
        let file = self.segment.file.get_to_write().map_err(io())?;
        file.write_all_at(&self.buffer, self.segment.size).map_err(io())?;
        for header in self.headers.drain(..) {
            self.segment
                .add(&header, self.interval)
                .map_err(LogError::io("write the indexes of", &self.path))?;
        }
        self.buffer.clear();
        Ok(())
    }

    /// Bytes of batches so far.
    pub(super) fn size(&self) -> u64 {
        self.segment.size + self.buffer.len() as u64
    }

    /// Makes it durable under its name; it is not part of the log yet. `None` if it says what the one segment it was
    /// made from says.
    pub(super) fn finish(
        mut self,
        end: Offset,
        sources: Vec<Offset>,
        cuts: u64,
    ) -> Result<Option<CleanedSegment>, LogError> {
        let (disk, dir, base) = (self.disk.clone(), self.dir.clone(), self.segment.base);
        if !self.changed && sources.len() == 1 {
            remove(&disk, &dir, base);
            return Ok(None);
        }
        match self.complete() {
            Ok(lengths) => Ok(Some(CleanedSegment { disk, dir, base, end, sources, lengths, cuts })),
            Err(e) => {
                remove(&disk, &dir, base);
                Err(e)
            }
        }
    }

    fn complete(&mut self) -> Result<Lengths, LogError> {
        self.settle()?;
        self.write()?;
        let segment = &mut self.segment;
        segment.finish().map_err(LogError::io("write the indexes of", &self.path))?;
        let sync = || LogError::io("fsync", &self.path);
        segment.file.get().and_then(|file| file.sync()).map_err(sync())?;
        for file in index_files(segment) {
            file.and_then(|(_, file)| file.sync()).map_err(sync())?;
        }
        self.disk.sync_dir(&self.dir).map_err(LogError::io("fsync", &self.dir))?;
        Ok(Lengths {
            log: Some(segment.size),
            index: Some(segment.index.entries.bytes()),
            time_index: Some(segment.time_index.entries.bytes()),
            txn_index: segment.txn_index.bytes(),
            txn_checksum: segment.txn_index.checksum_bytes(),
        })
    }

    pub(super) fn abandon(self) {
        remove(&self.disk, &self.dir, self.segment.base);
    }
}

/// Removes what a pass has left; what stays is removed when the log is opened.
pub(super) fn remove(disk: &SharedDisk, dir: &Path, base: Offset) {
    for extension in crate::log::files::OF_A_SEGMENT {
        let path = segment_path(dir, base, &format!("{extension}.{CLEANED}"));
        match disk.remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), "cannot remove what compaction has left: {e}");
            }
            _ => {}
        }
    }
}
