//! A stretch of a log that can be read without the log's lock.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::epoch_cache::EpochEntry;
use super::error::LogError;
use crate::env::DiskFile;
use crate::types::{LeaderEpoch, Offset};
use crate::wire::record_batch::{BatchHeader, BatchIter, HEADER_BYTES};

/// Read beyond what was asked for, so that the way from the index entry to the batch costs no second read.
const SLACK_BYTES: u64 = 8192;

/// Whole batches of one segment, found but not read yet.
#[derive(Clone, Debug, Default)]
pub struct LogSlice {
    source: Option<Source>,
}

#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) path: PathBuf,
    /// At or before the batch that holds `from`.
    pub(super) position: u64,
    /// Bytes of the segment when it was looked at.
    pub(super) size: u64,
    pub(super) from: Offset,
    /// No batch that reaches this offset is given.
    pub(super) end: Offset,
    pub(super) max_bytes: usize,
    pub(super) at_least_one: bool,
    /// What the leader epochs of the batches must be.
    pub(super) epochs: Arc<Vec<EpochEntry>>,
}

impl LogSlice {
    pub(super) fn new(source: Source) -> LogSlice {
        LogSlice { source: Some(source) }
    }

    /// Whether nothing can come of it: the offset is the end.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.source.is_none()
    }

    /// No more than this many bytes come back, except for a single larger first batch.
    #[must_use]
    pub fn bound_bytes(&self) -> usize {
        self.source.as_ref().map_or(0, |source| {
            usize::try_from(source.size - source.position).unwrap_or(usize::MAX).min(source.max_bytes)
        })
    }

    /// Reads whole batches, beginning with the one that holds the offset asked for. CRC, offsets and epochs of each are
    /// checked: a flipped bit is found here and not passed on. Bad bytes after good batches end the answer.
    ///
    /// # Errors
    /// `Io`, or `Corrupt` when the first batch is bad.
    pub fn load(&self) -> Result<Bytes, LogError> {
        let Some(source) = &self.source else {
            return Ok(Bytes::new());
        };
        match source.load(source.position) {
            // The index may be what is wrong: without it, from the segment's start.
            Err(LogError::Corrupt { .. }) if source.position > 0 => source.load(0),
            answer => answer,
        }
    }
}

impl Source {
    fn load(&self, position: u64) -> Result<Bytes, LogError> {
        let (start, bytes) = self.find_first(position)?;
        let Ok(first) = BatchHeader::parse(&bytes) else {
            return Ok(Bytes::new());
        };
        let mut allowed = self.max_bytes;
        if first.size() > allowed && self.at_least_one {
            allowed = first.size();
        }
        let left = usize::try_from(self.size - start).unwrap_or(usize::MAX);
        let wanted = allowed.min(left);
        let bytes = if bytes.len() < wanted { self.read(start, wanted)? } else { bytes.slice(..wanted) };
        self.check(start, &bytes)
    }

    /// The batch that holds `from`, or the next one: its position, and what was read from there on. No bytes when the
    /// segment has none.
    fn find_first(&self, position: u64) -> Result<(u64, Bytes), LogError> {
        let room = (self.max_bytes as u64).saturating_add(SLACK_BYTES).min(self.size - position);
        let mut bytes = self.read(position, usize::try_from(room).unwrap_or(usize::MAX))?;
        let mut position = position;
        let mut offset = None;
        loop {
            if bytes.len() < HEADER_BYTES {
                let left = usize::try_from(self.size - position).unwrap_or(usize::MAX);
                if bytes.len() < left {
                    bytes = self.read(position, left.min(HEADER_BYTES + SLACK_BYTES as usize))?;
                    continue;
                }
                return Ok((position, Bytes::new()));
            }
            let header = BatchHeader::parse(&bytes)
                .map_err(|e| self.corrupt(position, offset.unwrap_or(self.from), e.to_string()))?;
            if offset.is_some_and(|offset| header.base_offset < offset)
                || header.last_offset_delta < 0
                || (offset.is_none() && header.base_offset > self.from)
            {
                return Err(self.corrupt(position, self.from, format!("a batch at {}", header.base_offset)));
            }
            if header.last_offset() >= self.from {
                return Ok((position, bytes));
            }
            offset = Some(header.end_offset());
            position += header.size() as u64;
            if position >= self.size {
                return Ok((position, Bytes::new()));
            }
            bytes = if header.size() < bytes.len() { bytes.slice(header.size()..) } else { Bytes::new() };
        }
    }

    /// The batches at the front of `bytes` that are good and below the end.
    fn check(&self, start: u64, bytes: &Bytes) -> Result<Bytes, LogError> {
        let mut good = 0;
        let mut expected = None;
        for batch in BatchIter::new(bytes.clone()) {
            let problem = match batch {
                // The answer ends where the bytes asked for do.
                Err(_) if bytes.len() - good < HEADER_BYTES => break,
                Err(crate::wire::record_batch::BatchError::Truncated { .. })
                    if start + (bytes.len() as u64) < self.size =>
                {
                    break;
                }
                Err(e) => e.to_string(),
                Ok(batch) => {
                    let header = &batch.header;
                    if expected.is_some_and(|expected| header.base_offset != expected) {
                        format!("a batch at offset {}", header.base_offset)
                    } else if let Err(e) = batch.check_crc() {
                        e.to_string()
                    } else if epoch_at(&self.epochs, header.base_offset)
                        .is_some_and(|epoch| epoch != header.leader_epoch)
                    {
                        format!("a batch of leader epoch {}", header.leader_epoch)
                    } else {
                        if header.last_offset() >= self.end {
                            break;
                        }
                        good += batch.bytes.len();
                        expected = Some(header.end_offset());
                        continue;
                    }
                }
            };
            if good == 0 {
                return Err(self.corrupt(start, self.from, problem));
            }
            break;
        }
        Ok(bytes.slice(..good))
    }

    fn read(&self, position: u64, len: usize) -> Result<Bytes, LogError> {
        let mut bytes = vec![0; len];
        let n = self.file.read_at(&mut bytes, position).map_err(LogError::io("read", &self.path))?;
        if n < len {
            let short = io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than its segment");
            return Err(LogError::io("read", &self.path)(short));
        }
        Ok(bytes.into())
    }

    fn corrupt(&self, position: u64, offset: Offset, detail: String) -> LogError {
        LogError::Corrupt { path: self.path.clone(), position, offset, detail }
    }
}

/// The epoch that the chain gives an offset.
pub(super) fn epoch_at(epochs: &[EpochEntry], offset: Offset) -> Option<LeaderEpoch> {
    let next = epochs.partition_point(|entry| entry.start <= offset);
    epochs[..next].last().map(|entry| entry.epoch)
}
