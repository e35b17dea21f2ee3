//! A stretch of a log that can be read without the log's lock.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::buffers;
use super::epoch_cache::EpochEntry;
use super::error::LogError;
use crate::env::{DiskFile, FileSpan};
use crate::types::{LeaderEpoch, Offset};
use crate::wire::Records;
use crate::wire::record_batch::{BatchError, BatchHeader, HEADER_BYTES};

/// Read beyond what was asked for, so that the way from the index entry to the batch costs no second read.
const SLACK_BYTES: u64 = 8192;
/// Answers below this are read into memory: a stretch of a file costs a system call more.
const SPAN_FROM_BYTES: usize = 32 << 10;
/// An answer of up to so many bytes is read together with the way to its first batch.
const READ_AT_ONCE_BYTES: usize = 64 << 10;
/// What is checked of a stretch at a time, so that the bytes stay in the processor's cache.
const WINDOW_BYTES: usize = 128 << 10;

thread_local! {
    /// Where stretches are read to be checked.
    static WINDOW: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

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
    /// The log is compacted, or has been.
    pub(super) compacted: bool,
    /// Only what is in the page cache is read, and so many bytes at most.
    pub(super) cached_only: Option<usize>,
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

    /// Whether batches without records may be among them.
    #[must_use]
    pub fn is_of_compacted(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.compacted)
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

impl LogSlice {
    /// The same batches, checked in the same way, but left in the file when there are many and the kernel can send
    /// them from there; and the count.
    ///
    /// # Errors
    /// As `load`.
    pub fn locate_counted(&self) -> Result<(Records, usize), LogError> {
        let Some(source) = &self.source else {
            return Ok((Records::empty(), 0));
        };
        if !self.is_left_in_file() {
            return self.load_counted().map(|(bytes, counted)| (bytes.into(), counted));
        }
        let found = match source.locate(source.anchor) {
            Err(LogError::Corrupt { .. }) if source.anchor != Anchor::default() => {
                source.locate(Anchor::default())
            }
            answer => answer,
        };
        found.map(|(span, counted)| (span.into(), counted))
    }
}

impl LogSlice {
    /// What [`LogSlice::locate_counted`] (with `takes_files`) or [`LogSlice::load_counted`] gives, if no byte of it must come
    /// from a device, and there are `at_most` so many. `None` when one must, and when anything is wrong: then those are to be
    /// asked, on a disk thread.
    #[must_use]
    pub fn cached_counted(&self, takes_files: bool, at_most: usize) -> Option<(Records, usize)> {
        let source = self.source.as_ref()?;
        let cached = Source { cached_only: Some(at_most), ..source.clone() };
        if takes_files && self.is_left_in_file() {
            return cached.locate(source.anchor).ok().map(|(span, counted)| (span.into(), counted));
        }
        cached.load(source.anchor).ok().map(|(bytes, counted)| (bytes.into(), counted))
    }

    fn is_left_in_file(&self) -> bool {
        self.bound_bytes() >= SPAN_FROM_BYTES
            && self.source.as_ref().is_some_and(|source| source.file.descriptor().is_some())
    }
}

impl Source {
    fn load(&self, anchor: Anchor) -> Result<(Bytes, usize), LogError> {
        // A large answer is read once it is known where it begins: between the anchor and there may lie a large batch.
        let at_once = if self.max_bytes <= READ_AT_ONCE_BYTES { self.max_bytes } else { 0 };
        let (start, bytes) = self.find_first(anchor, at_once)?;
        let wanted = self.wanted(start, &bytes)?;
        let bytes = if bytes.len() < wanted { self.read(start, wanted)? } else { bytes.slice(..wanted) };
        let mut next = None;
        let found = self.check(start, &bytes, &mut next);
        if let (Some(problem), 0) = (&found.problem, found.good) {
            return Err(self.corrupt(start, self.from, problem.clone()));
        }
        Ok((bytes.slice(..found.good), self.counted(found.good, wanted, &found, next)))
    }

    fn locate(&self, anchor: Anchor) -> Result<(FileSpan, usize), LogError> {
        let (start, head) = self.find_first(anchor, 0)?;
        let wanted = self.wanted(start, &head)?;
        WINDOW.with_borrow_mut(|window| {
            let (mut good, mut next, mut room) = (0, None, WINDOW_BYTES);
            let found = loop {
                let len = room.min(wanted - good);
                window.resize(window.len().max(len), 0);
                let bytes = &mut window[..len];
                self.read_into(start + good as u64, bytes)?;
                let found = self.check(start + good as u64, bytes, &mut next);
                good += found.good;
                match &found.problem {
                    Some(problem) if good == 0 => {
                        return Err(self.corrupt(start, self.from, problem.clone()));
                    }
                    // Only the window ended; a batch that is larger gets a window of its size.
                    None if found.cut.is_some() && good - found.good + len < wanted => {
                        room = WINDOW_BYTES.max(found.cut.unwrap_or(0));
                    }
                    _ => break found,
                }
            };
            window.truncate(WINDOW_BYTES);
            window.shrink_to(WINDOW_BYTES);
            let span = FileSpan { file: self.file.clone(), position: start, len: good };
            Ok((span, self.counted(good, wanted, &found, next)))
        })
    }

    /// How many bytes from the first batch on are asked for and there.
    fn wanted(&self, start: u64, head: &[u8]) -> Result<usize, LogError> {
        let first = BatchHeader::parse(head).map_err(|e| self.corrupt(start, self.from, e.to_string()))?;
        let mut allowed = self.max_bytes;
        if first.size() > allowed && self.at_least_one {
            allowed = first.size();
        }
        if self.cached_only.is_some_and(|at_most| allowed > at_most) {
            return Err(self.not_at_once());
        }
        Ok(allowed.min(usize::try_from(self.size - start).unwrap_or(usize::MAX)))
    }

    /// What an answer counts: all that was wanted when that ends within a batch that would be given too.
    fn counted(&self, good: usize, wanted: usize, found: &Checked, next: Option<Offset>) -> usize {
        if found.cut.is_some() && next.unwrap_or(self.from) < self.end { wanted } else { good }
    }

    /// The batch that holds `from`: its position, and what was read from there on, `more` bytes if it goes well. The way there is checked from the
    /// anchor on, so that neither a wrong index nor a flipped bit in an offset can lead past it.
    fn find_first(&self, anchor: Anchor, more: usize) -> Result<(u64, Bytes), LogError> {
        let mut position = anchor.position;
        let room = (more as u64).saturating_add(SLACK_BYTES).min(self.size - position);
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

    /// The batches at the front of `bytes` that are good and below the end. `next` is where the one after them begins.
    fn check(&self, start: u64, bytes: &[u8], next: &mut Option<Offset>) -> Checked {
        let mut checked = Checked::default();
        while checked.good < bytes.len() {
            let rest = &bytes[checked.good..];
            // The answer ends where the bytes asked for do.
            if rest.len() < HEADER_BYTES {
                return Checked { cut: Some(HEADER_BYTES), ..checked };
            }
            let header = match BatchHeader::parse(rest) {
                Ok(header) => header,
                Err(e) => return checked.with(e.to_string()),
            };
            let Some(batch) = rest.get(..header.size()) else {
                if start + (bytes.len() as u64) < self.size {
                    return Checked { cut: Some(header.size()), ..checked };
                }
                let truncated = BatchError::Truncated { needed: header.size(), have: rest.len() };
                return checked.with(truncated.to_string());
            };
            if next.is_some_and(|next| header.base_offset != next) {
                return checked.with(format!("a batch at offset {}", header.base_offset));
            }
            if let Err(e) = header.check_crc(batch) {
                return checked.with(e.to_string());
            }
            if epoch_at(&self.epochs, header.base_offset).is_some_and(|epoch| epoch != header.leader_epoch) {
                return checked.with(format!("a batch of leader epoch {}", header.leader_epoch));
            }
            if header.last_offset() >= self.end {
                return checked;
            }
            checked.good += batch.len();
            *next = Some(header.end_offset());
        }
        // A window may end between two batches; whoever asked for no more sees that nothing is left.
        if start + (bytes.len() as u64) < self.size {
            checked.cut = Some(HEADER_BYTES);
        }
        checked
    }

    fn read(&self, position: u64, len: usize) -> Result<Bytes, LogError> {
        let mut buffer = buffers::take(len);
        self.read_into(position, buffer.room())?;
        Ok(buffer.into_bytes())
    }

    fn read_into(&self, position: u64, bytes: &mut [u8]) -> Result<(), LogError> {
        if self.cached_only.is_some() {
            let is_cached = self.file.read_cached_at(bytes, position);
            return is_cached.then_some(()).ok_or_else(|| self.not_at_once());
        }
        let n = self.file.read_at(bytes, position).map_err(LogError::io("read", &self.path))?;
        if n < bytes.len() {
            let short = io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than its segment");
            return Err(LogError::io("read", &self.path)(short));
        }
        Ok(())
    }

    fn not_at_once(&self) -> LogError {
        LogError::io("read", &self.path)(io::ErrorKind::WouldBlock.into())
    }

    fn corrupt(&self, position: u64, offset: Offset, detail: String) -> LogError {
        LogError::Corrupt { path: self.path.to_path_buf(), position, offset, detail }
    }
}

/// What a look at some bytes of a segment found.
#[derive(Default)]
struct Checked {
    /// Bytes of good batches at the front.
    good: usize,
    /// What is wrong with the batch after them.
    problem: Option<String>,
    /// The bytes end before the next batch does, which has at least so many bytes.
    cut: Option<usize>,
}

impl Checked {
    fn with(self, problem: String) -> Checked {
        Checked { problem: Some(problem), ..self }
    }
}

/// The epoch that the chain gives an offset.
pub(super) fn epoch_at(epochs: &[EpochEntry], offset: Offset) -> Option<LeaderEpoch> {
    let next = epochs.partition_point(|entry| entry.start <= offset);
    epochs[..next].last().map(|entry| entry.epoch)
}
