//! A stretch of a log that can be read without the log's lock.

use std::io;
use std::path::Path;
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
    pub(super) path: Arc<Path>,
    /// At or before the batch that holds `from`.
    pub(super) anchor: Anchor,
    /// The segment's first offset.
    pub(super) base: Offset,
    /// Bytes of the segment when it was looked at.
    pub(super) size: u64,
    pub(super) from: Offset,
    /// No batch that reaches this offset is given.
    pub(super) end: Offset,
    pub(super) max_bytes: usize,
    pub(super) at_least_one: bool,
    /// A later segment has more of what may be read.
    pub(super) goes_on: bool,
    /// What the leader epochs of the batches must be.
    pub(super) epochs: Arc<Vec<EpochEntry>>,
}

/// What an index entry says: a batch begins here, and this is its last offset. Without one: the segment's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) position: u64,
    pub(super) last_offset: Option<Offset>,
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

    /// The offset asked for; `None` when nothing can come of it.
    #[must_use]
    pub fn wanted(&self) -> Option<Offset> {
        self.source.as_ref().map(|source| source.from)
    }

    /// No more than this many bytes come back, except for a single larger first batch.
    #[must_use]
    pub fn bound_bytes(&self) -> usize {
        self.source.as_ref().map_or(0, |source| {
            usize::try_from(source.size - source.anchor.position).unwrap_or(usize::MAX).min(source.max_bytes)
        })
    }

    /// Whether a later segment has more of what may be read.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.goes_on)
    }

    /// Reads whole batches, beginning with the one that holds the offset asked for. CRC, offsets and epochs of each are
    /// checked: a flipped bit is found here and not passed on. Bad bytes after good batches end the answer.
    ///
    /// # Errors
    /// `Io`, or `Corrupt` when the first batch is bad.
    pub fn load(&self) -> Result<Bytes, LogError> {
        Ok(self.load_counted()?.0)
    }

    /// The same, and how many bytes there are within the cap for one who does not mind a batch cut in two: Kafka's
    /// measure for a long poll. What the cap keeps back does not come by waiting.
    ///
    /// # Errors
    /// As `load`.
    pub fn load_counted(&self) -> Result<(Bytes, usize), LogError> {
        let Some(source) = &self.source else {
            return Ok((Bytes::new(), 0));
        };
        match source.load(source.anchor) {
            // The index may be what is wrong: without it, from the segment's start.
            Err(LogError::Corrupt { .. }) if source.anchor != Anchor::default() => {
                source.load(Anchor::default())
            }
            answer => answer,
        }
    }
}

impl Source {
    fn load(&self, anchor: Anchor) -> Result<(Bytes, usize), LogError> {
        let (start, bytes) = self.find_first(anchor)?;
        let first = BatchHeader::parse(&bytes).map_err(|e| self.corrupt(start, self.from, e.to_string()))?;
        let mut allowed = self.max_bytes;
        if first.size() > allowed && self.at_least_one {
            allowed = first.size();
        }
        let left = usize::try_from(self.size - start).unwrap_or(usize::MAX);
        let wanted = allowed.min(left);
        let bytes = if bytes.len() < wanted { self.read(start, wanted)? } else { bytes.slice(..wanted) };
        self.check(start, &bytes)
    }

    /// The batch that holds `from`: its position, and what was read from there on. The way there is checked from the
    /// anchor on, so that neither a wrong index nor a flipped bit in an offset can lead past it.
    fn find_first(&self, anchor: Anchor) -> Result<(u64, Bytes), LogError> {
        let mut position = anchor.position;
        let room = (self.max_bytes as u64).saturating_add(SLACK_BYTES).min(self.size - position);
        let mut bytes = self.read(position, usize::try_from(room).unwrap_or(usize::MAX))?;
        let mut expected = None;
        loop {
            if bytes.len() < HEADER_BYTES {
                let left = usize::try_from(self.size - position).unwrap_or(usize::MAX);
                if left < HEADER_BYTES {
                    return Err(self.corrupt(position, self.from, "the segment ends".to_owned()));
                }
                bytes = self.read(position, left.min(HEADER_BYTES + SLACK_BYTES as usize))?;
            }
            let header =
                BatchHeader::parse(&bytes).map_err(|e| self.corrupt(position, self.from, e.to_string()))?;
            let in_place = match (expected, anchor.last_offset) {
                (Some(expected), _) => header.base_offset == expected,
                (None, Some(last)) => header.last_offset() == last,
                (None, None) => header.base_offset == self.base,
            };
            if !in_place || header.last_offset_delta < 0 {
                let found = format!("a batch at offset {}", header.base_offset);
                return Err(self.corrupt(position, expected.unwrap_or(self.from), found));
            }
            if header.last_offset() >= self.from {
                return Ok((position, bytes));
            }
            expected = Some(header.end_offset());
            position = self.size.min(position + header.size() as u64);
            bytes = if header.size() < bytes.len() { bytes.slice(header.size()..) } else { Bytes::new() };
        }
    }

    /// The batches at the front of `bytes` that are good and below the end, and what they count: all of `bytes` when
    /// those end within a batch that would be given too.
    fn check(&self, start: u64, bytes: &Bytes) -> Result<(Bytes, usize), LogError> {
        let mut good = 0;
        let mut expected = None;
        for batch in BatchIter::new(bytes.clone()) {
            let problem = match batch {
                // The answer ends where the bytes asked for do.
                Err(_) if bytes.len() - good < HEADER_BYTES => return Ok(self.cut(bytes, good, expected)),
                Err(crate::wire::record_batch::BatchError::Truncated { .. })
                    if start + (bytes.len() as u64) < self.size =>
                {
                    return Ok(self.cut(bytes, good, expected));
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
        Ok((bytes.slice(..good), good))
    }

    /// `bytes` end within the batch at `next`.
    fn cut(&self, bytes: &Bytes, good: usize, next: Option<Offset>) -> (Bytes, usize) {
        let counted = if next.unwrap_or(self.from) < self.end { bytes.len() } else { good };
        (bytes.slice(..good), counted)
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
        LogError::Corrupt { path: self.path.to_path_buf(), position, offset, detail }
    }
}

/// The epoch that the chain gives an offset.
pub(super) fn epoch_at(epochs: &[EpochEntry], offset: Offset) -> Option<LeaderEpoch> {
    let next = epochs.partition_point(|entry| entry.start <= offset);
    epochs[..next].last().map(|entry| entry.epoch)
}
