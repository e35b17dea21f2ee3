//! Walks the batches of a file in order, in large reads.

use std::io;

use bytes::Bytes;

use crate::env::DiskFile;
use crate::types::{LeaderEpoch, Offset};
use crate::wire::record_batch::{Batch, BatchError, BatchHeader, HEADER_BYTES};

/// Bytes per read.
const CHUNK_BYTES: u64 = 1 << 20;

/// The batches of `file` from a position to an end.
pub(super) struct BatchReader<'a> {
    file: &'a dyn DiskFile,
    /// Where the next batch begins.
    position: u64,
    end: u64,
    /// The bytes from `position` on, as far as they have been read.
    buffer: Bytes,
}

impl<'a> BatchReader<'a> {
    pub(super) fn new(file: &'a dyn DiskFile, position: u64, end: u64) -> BatchReader<'a> {
        BatchReader { file, position, end, buffer: Bytes::new() }
    }

    /// Where the next batch begins; after an error, where the bad one does.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next batch and its position; `None` at the end. The CRC is not checked.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<(u64, Batch), BatchError>>> {
        if self.position >= self.end {
            return Ok(None);
        }
        self.fill(HEADER_BYTES)?;
        let header = match BatchHeader::parse(&self.buffer) {
            Ok(header) => header,
            Err(e) => return Ok(Some(Err(e))),
        };
        self.fill(header.size())?;
        let batch = Batch::split_from(&mut self.buffer);
        Ok(Some(batch.map(|batch| {
            let position = self.position;
            self.position += batch.bytes.len() as u64;
            (position, batch)
        })))
    }

    /// Has at least `needed` bytes in the buffer, or all there are.
    fn fill(&mut self, needed: usize) -> io::Result<()> {
        let left = self.end - self.position;
        if self.buffer.len() >= needed || self.buffer.len() as u64 >= left {
            return Ok(());
        }
        // A batch that claims more than there is will not fit anyhow: read no more for it than a chunk.
        let wanted = if needed as u64 > left { CHUNK_BYTES } else { CHUNK_BYTES.max(needed as u64) };
        let mut bytes = vec![0; usize::try_from(wanted.min(left)).unwrap_or(usize::MAX)];
        let n = self.file.read_at(&mut bytes, self.position)?;
        bytes.truncate(n);
        self.buffer = bytes.into();
        Ok(())
    }
}

/// Finds out whether a valid batch that could belong to the log begins anywhere in `from..end`.
pub(super) fn find_valid_batch(
    file: &dyn DiskFile,
    from: u64,
    end: u64,
    offset: Offset,
    epochs: std::ops::RangeInclusive<LeaderEpoch>,
) -> io::Result<Option<u64>> {
    let mut start = from;
    while start + HEADER_BYTES as u64 <= end {
        let mut window = vec![0; usize::try_from((4 * CHUNK_BYTES).min(end - start)).unwrap_or(usize::MAX)];
        let n = file.read_at(&mut window, start)?;
        window.truncate(n);
        let Some(last) = window.len().checked_sub(HEADER_BYTES) else {
            return Ok(None);
        };
        for i in 0..=last {
            // The magic first: it rules out nearly all places.
            if window[i + 16] != 2 {
                continue;
            }
            let position = start + i as u64;
            let Ok(header) = BatchHeader::parse(&window[i..]) else {
                continue;
            };
            let fits = position + header.size() as u64 <= end
                && header.base_offset >= offset
                && header.base_offset.0 - offset.0 <= i64::from(i32::MAX)
                && epochs.contains(&header.leader_epoch)
                && header.count >= 0
                && header.last_offset_delta >= 0;
            if !fits {
                continue;
            }
            if let Some(Ok((_, batch))) =
                BatchReader::new(file, position, position + header.size() as u64).next()?
                && batch.check_crc().is_ok()
            {
                return Ok(Some(position));
            }
        }
        start += last as u64 + 1;
    }
    Ok(None)
}
