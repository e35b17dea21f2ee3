//! One pass over a log, in steps: first the table of keys, then segment by segment.

use std::path::{Path, PathBuf};

use super::CleanedSegment;
use super::filter::{Fate, RECORDS_LIMIT_BYTES, Rules};
use super::offset_map::OffsetMap;
use super::output::Output;
use super::transactions::Transactions;
use crate::env::{OpenMode, SharedDisk};
use crate::log::error::LogError;
use crate::log::files::{LOG, segment_path};
use crate::log::scan::BatchReader;
use crate::log::segment::Segment;
use crate::log::txn_index::AbortedTransaction;
use crate::types::Offset;
use crate::wire::record_batch::{Batch, BatchError};

/// A closed segment as it was when the pass began.
#[derive(Clone, Debug)]
pub(super) struct Source {
    base: Offset,
    end: Offset,
    bytes: u64,
    index_bytes: u64,
    time_index_bytes: u64,
}

impl Source {
    pub(super) fn of(segment: &Segment, end: Offset) -> Source {
        Source {
            base: segment.base,
            end,
            bytes: segment.size,
            index_bytes: segment.index.entries.bytes(),
            time_index_bytes: segment.time_index.entries.bytes(),
        }
    }
}

pub(super) struct Plan {
    pub(super) disk: SharedDisk,
    pub(super) dir: PathBuf,
    pub(super) sources: Vec<Source>,
    pub(super) aborted: Vec<AbortedTransaction>,
    pub(super) dirty_from: Offset,
    pub(super) rules: Rules,
    pub(super) map_bytes: usize,
    pub(super) segment_bytes: u64,
    pub(super) index_bytes: u64,
    pub(super) index_interval_bytes: u64,
    pub(super) cuts: u64,
}

/// A pass. Call `step` until it is done; swap in what it hands out (`Log::replace_segments`).
#[derive(Debug)]
pub struct Compaction {
    disk: SharedDisk,
    dir: PathBuf,
    sources: Vec<Source>,
    aborted: Vec<AbortedTransaction>,
    dirty_from: Offset,
    rules: Rules,
    map: OffsetMap,
    transactions: Transactions,
    segment_bytes: u64,
    index_bytes: u64,
    index_interval_bytes: u64,
    cuts: u64,
    phase: Phase,
    read_bytes: u64,
}

/// Where the pass is.
#[derive(Debug)]
enum Phase {
    /// Fills the table from this source on.
    Map {
        source: usize,
        position: u64,
    },
    /// Copies the sources from `source` up to `group_end` into one segment.
    Copy {
        source: usize,
        position: u64,
        group_start: usize,
        group_end: usize,
        output: Box<Output>,
    },
    /// Between two groups.
    Next {
        source: usize,
    },
    Done,
}

/// What one step did.
#[derive(Debug)]
pub enum Step {
    /// It read and wrote so many bytes, and there is more.
    Working {
        /// Bytes read and written.
        bytes: u64,
    },
    /// A segment is ready to be swapped in.
    Ready(CleanedSegment),
    /// The pass is over.
    Done,
}

impl Compaction {
    pub(super) fn new(plan: Plan) -> Compaction {
        let end = plan.sources.last().map_or(plan.dirty_from, |last| last.end);
        // No more keys than offsets.
        let keys = usize::try_from(end - plan.dirty_from).unwrap_or(0);
        let first = plan.sources.iter().position(|source| source.end > plan.dirty_from);
        let phase = match first {
            Some(source) => Phase::Map { source, position: 0 },
            None => Phase::Done,
        };
        Compaction {
            disk: plan.disk,
            dir: plan.dir,
            sources: plan.sources,
            transactions: Transactions::new(
                plan.aborted.iter().filter(|aborted| aborted.last >= plan.dirty_from).copied().collect(),
            ),
            aborted: plan.aborted,
            dirty_from: plan.dirty_from,
            rules: plan.rules,
            map: OffsetMap::new(keys, plan.map_bytes),
            segment_bytes: plan.segment_bytes,
            index_bytes: plan.index_bytes,
            index_interval_bytes: plan.index_interval_bytes,
            cuts: plan.cuts,
            phase,
            read_bytes: 0,
        }
    }

    pub(super) fn cuts(&self) -> u64 {
        self.cuts
    }

    /// Breaks a rule.
    #[cfg(test)]
    pub(in crate::log) fn plant(&mut self, defect: Option<super::Defect>) {
        self.rules.defect = defect;
    }

    /// End of what is clean once the pass is over.
    #[must_use]
    pub fn cleaned_end(&self) -> Offset {
        self.rules.mapped
    }

    /// Bytes of batches read so far, the dirty part twice.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Goes on for about `max_bytes`. After an error the pass is over and has left nothing.
    ///
    /// # Errors
    /// `Corrupt` for a bad batch, `Io`.
    pub fn step(&mut self, max_bytes: u64) -> Result<Step, LogError> {
        let step = match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Map { source, position } => self.map_keys(source, position, max_bytes),
            Phase::Next { source } => self.begin_group(source),
            Phase::Copy { source, position, group_start, group_end, mut output } => {
                let copied = self.copy(source, position, max_bytes, &mut output);
                match copied {
                    Err(e) => {
                        output.abandon();
                        Err(e)
                    }
                    Ok((bytes, Some(position))) => {
                        self.phase = Phase::Copy { source, position, group_start, group_end, output };
                        Ok(Step::Working { bytes })
                    }
                    Ok((bytes, None)) if source + 1 < group_end => {
                        let source = source + 1;
                        self.phase = Phase::Copy { source, position: 0, group_start, group_end, output };
                        Ok(Step::Working { bytes })
                    }
                    Ok((bytes, None)) => {
                        self.phase = Phase::Next { source: group_end };
                        let group = &self.sources[group_start..group_end];
                        let end = self.sources[source].end;
                        let bases = group.iter().map(|source| source.base).collect();
                        let ready = output.finish(end, bases, self.cuts)?;
                        Ok(ready.map_or(Step::Working { bytes }, Step::Ready))
                    }
                }
            }
            Phase::Done => Ok(Step::Done),
        };
        if step.is_err() {
            self.phase = Phase::Done;
        }
        step
    }

    /// Ends the pass before it is done.
    pub fn abandon(&mut self) {
        if let Phase::Copy { output, .. } = std::mem::replace(&mut self.phase, Phase::Done) {
            output.abandon();
        }
    }

    fn map_keys(&mut self, source: usize, position: u64, max_bytes: u64) -> Result<Step, LogError> {
        let mut pages = Pages::open(&self.disk, &self.dir, &self.sources[source], position)?;
        let mut full = false;
        while !full && pages.read < max_bytes {
            let Some(batch) = pages.next(max_bytes)? else { break };
            if batch.header.last_offset() < self.dirty_from {
                continue;
            }
            full = !self.map_batch(&batch);
        }
        let bytes = pages.read;
        self.read_bytes += bytes;
        let at_end = pages.at_end();
        let position = pages.position;
        let last = source + 1 == self.sources.len();
        if full || (at_end && last) {
            // The groups are copied with the state of the transactions from the start.
            self.transactions = Transactions::new(std::mem::take(&mut self.aborted));
            self.phase = Phase::Next { source: 0 };
        } else if at_end {
            self.phase = Phase::Map { source: source + 1, position: 0 };
        } else {
            self.phase = Phase::Map { source, position };
        }
        Ok(Step::Working { bytes })
    }

    /// `false` when the table is full.
    fn map_batch(&mut self, batch: &Batch) -> bool {
        let header = &batch.header;
        if header.attributes.is_control() {
            self.transactions.meet_marker(batch);
        } else if !self.transactions.meet_data(batch) {
            // A batch that cannot be walked stays whole: it supersedes nothing.
            let records = batch.records(RECORDS_LIMIT_BYTES).ok().into_iter().flatten();
            for record in records.map_while(Result::ok) {
                if record.offset < self.dirty_from {
                    continue;
                }
                if let Some(key) = &record.key
                    && !self.map.put(key, record.offset)
                {
                    return false;
                }
                self.rules.mapped = record.offset.next();
            }
        }
        self.rules.mapped = header.end_offset();
        true
    }

    fn begin_group(&mut self, start: usize) -> Result<Step, LogError> {
        let Some(first) = self.sources.get(start).filter(|first| first.base < self.rules.mapped) else {
            self.phase = Phase::Done;
            return Ok(Step::Done);
        };
        let mut end = start + 1;
        let (mut bytes, mut index, mut time_index) = (first.bytes, first.index_bytes, first.time_index_bytes);
        while let Some(next) = self.sources.get(end).filter(|next| next.base < self.rules.mapped) {
            bytes += next.bytes;
            index += next.index_bytes;
            time_index += next.time_index_bytes;
            let fits = bytes <= self.segment_bytes
                && index <= self.index_bytes
                && time_index <= self.index_bytes
                && next.end - first.base <= i64::from(i32::MAX);
            if !fits {
                break;
            }
            end += 1;
        }
        let output =
            Output::create(&self.disk, &self.dir, first.base, self.index_interval_bytes, self.rules.now_ms)?;
        self.phase = Phase::Copy {
            source: start,
            position: 0,
            group_start: start,
            group_end: end,
            output: Box::new(output),
        };
        Ok(Step::Working { bytes: 0 })
    }

    /// Copies a part of one source: bytes read and written, and where to go on, unless the source is at its end.
    fn copy(
        &mut self,
        source: usize,
        position: u64,
        max_bytes: u64,
        output: &mut Output,
    ) -> Result<(u64, Option<u64>), LogError> {
        let written = output.size();
        let mut pages = Pages::open(&self.disk, &self.dir, &self.sources[source], position)?;
        while pages.read < max_bytes {
            let Some(batch) = pages.next(max_bytes)? else { break };
            let judged = self.rules.judge(&batch, &self.map, &mut self.transactions);
            let (fate, aborted) = judged.map_err(|e| pages.corrupt(&e))?;
            match fate {
                Fate::Stays { may_reach } => output.keep(&batch, may_reach, true)?,
                Fate::Becomes { batch, may_reach } => output.keep(&batch, may_reach, false)?,
                Fate::Goes => output.drop(&batch.header)?,
            }
            if let Some(aborted) = aborted {
                output.abort(&aborted)?;
            }
        }
        self.read_bytes += pages.read;
        let bytes = pages.read + (output.size() - written);
        Ok((bytes, (!pages.at_end()).then_some(pages.position)))
    }
}

/// The checked batches of a source, from a position on.
struct Pages {
    file: std::sync::Arc<dyn crate::env::DiskFile>,
    path: PathBuf,
    position: u64,
    end: u64,
    /// Where the last batch began.
    last: (u64, Offset),
    expected: Option<Offset>,
    read: u64,
    waiting: std::collections::VecDeque<Batch>,
}

impl Pages {
    fn open(disk: &SharedDisk, dir: &Path, source: &Source, position: u64) -> Result<Pages, LogError> {
        let path = segment_path(dir, source.base, LOG);
        let file = disk.open(&path, OpenMode::Read).map_err(LogError::io("open", &path))?;
        let expected = (position == 0).then_some(source.base);
        Ok(Pages {
            file,
            path,
            position,
            end: source.bytes,
            last: (position, source.base),
            expected,
            read: 0,
            waiting: std::collections::VecDeque::new(),
        })
    }

    fn at_end(&self) -> bool {
        self.position >= self.end && self.waiting.is_empty()
    }

    fn next(&mut self, max_bytes: u64) -> Result<Option<Batch>, LogError> {
        if self.waiting.is_empty() {
            self.fill(max_bytes)?;
        }
        let Some(batch) = self.waiting.pop_front() else {
            return Ok(None);
        };
        self.last = (self.position, batch.header.base_offset);
        self.position += batch.bytes.len() as u64;
        self.read += batch.bytes.len() as u64;
        Ok(Some(batch))
    }

    /// Reads one stretch.
    fn fill(&mut self, max_bytes: u64) -> Result<(), LogError> {
        let mut reader = BatchReader::new(&*self.file, self.position, self.end);
        let mut bytes = 0;
        while bytes < max_bytes.min(1 << 20) {
            let next = reader.next().map_err(LogError::io("read", &self.path))?;
            let (position, batch) = match next {
                None => break,
                Some(Err(e)) => {
                    self.last = (reader.position(), self.expected.unwrap_or(self.last.1));
                    return Err(self.corrupt(&e));
                }
                Some(Ok(found)) => found,
            };
            self.last = (position, batch.header.base_offset);
            batch.check_crc().map_err(|e| self.corrupt(&e))?;
            let in_place = self.expected.is_none_or(|expected| expected == batch.header.base_offset);
            if !in_place || batch.header.last_offset_delta < 0 {
                return Err(self.corrupt(&BatchError::Header("it is not at its place")));
            }
            self.expected = Some(batch.header.end_offset());
            bytes += batch.bytes.len() as u64;
            self.waiting.push_back(batch);
        }
        Ok(())
    }

    fn corrupt(&self, problem: &BatchError) -> LogError {
        LogError::Corrupt {
            path: self.path.clone(),
            position: self.last.0,
            offset: self.last.1,
            detail: problem.to_string(),
        }
    }
}
