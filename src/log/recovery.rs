//! Opening a log: after a clean stop by trusting the files, after any other by scanning what was not flushed.
//!
//! A scan cuts a torn tail and nothing else. A bad batch that a good one follows, or that lies below the flushed end or
//! the stored high watermark, is corruption: an error, and the files stay as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compaction::complete_swaps;
use super::dirs::DirectoryCheckpoints;
use super::epoch_cache::EpochCache;
use super::error::LogError;
use super::files::{
    DELETED, INDEX, LOG, OF_A_SEGMENT, SNAPSHOT, TIME_INDEX, TXN_CHECKSUM, TXN_INDEX, parent_of,
    parse_segment_name, segment_path,
};
use super::open_files::LazyFile;
use super::producer_state::ProducerState;
use super::scan::{BatchReader, find_valid_batch};
use super::segment::{Lengths, Segment};
use super::transaction_guard::RecentMarkers;
use super::{Health, LivePositions, Log, LogConfig, checkpoint, producer_replay, producer_snapshot};
use crate::env::{OpenMode, SharedDisk};
use crate::types::{LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::wire::record_batch::Batch;

/// What is needed to open a log.
#[derive(Clone, Debug)]
pub struct OpenLog {
    /// Where it lies.
    pub disk: SharedDisk,
    /// The partition's folder; created if absent.
    pub dir: PathBuf,
    /// Whose log it is.
    pub partition: TopicPartition,
    /// Must equal what the folder says.
    pub topic_id: TopicId,
    /// The topic's configs.
    pub config: Arc<LogConfig>,
    /// Whether the last stop was clean: no scan then.
    pub clean: bool,
    /// An fsync of it may have failed: what is above the recovery point counts as written to the system, and no later fsync
    /// would write it. So it is written once more.
    pub write_again: bool,
    /// Everything below has been fsynced.
    pub recovery_point: Offset,
    /// The stored high watermark.
    pub high_watermark: Offset,
    /// The stored log start.
    pub log_start: Offset,
    /// Compaction has looked at everything below.
    pub cleaned: Offset,
    /// Wall time.
    pub now_ms: i64,
}

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Bytes of a torn tail that were cut.
    pub cut_bytes: u64,
    /// Segments that were scanned, their indexes built anew.
    pub scanned_segments: usize,
    /// Offset from which the producers' state was replayed.
    pub producers_replayed_from: Offset,
}

/// The names found in a partition's folder.
#[derive(Default)]
struct Found {
    segments: BTreeMap<Offset, Lengths>,
    snapshots: Vec<Offset>,
}

impl Log {
    /// Opens the log in a folder, or creates it.
    ///
    /// # Errors
    /// `Corrupt` when bytes that were once written have changed or are gone; `Layout` for foreign, missing or
    /// unreadable files, by name; `Io`.
    pub fn open(open: OpenLog) -> Result<(Log, RecoveryReport), LogError> {
        Opening::begin(open, None)?.run()
    }

    /// The same, with checkpoints that this log keeps from running ahead of it.
    pub(super) fn open_in(
        open: OpenLog,
        checkpoints: Arc<DirectoryCheckpoints>,
    ) -> Result<(Log, RecoveryReport), LogError> {
        Opening::begin(open, Some(checkpoints))?.run()
    }
}

struct Opening {
    open: OpenLog,
    found: Found,
    epochs: EpochCache,
    tier_epoch: LeaderEpoch,
    /// The chain was not on disk: it is taken from the batches.
    epochs_from_batches: bool,
    /// The chain is no longer as it is on disk.
    epochs_changed: bool,
    producers: ProducerState,
    segments: Vec<Segment>,
    checkpoints: Option<Arc<DirectoryCheckpoints>>,
    report: RecoveryReport,
}

impl Opening {
    fn begin(open: OpenLog, checkpoints: Option<Arc<DirectoryCheckpoints>>) -> Result<Opening, LogError> {
        let disk = &open.disk;
        disk.create_dir_all(&open.dir).map_err(LogError::io("create", &open.dir))?;
        let found = list(&open)?;
        let tier_epoch = check_topic_id(&open, found.segments.is_empty())?;
        let without_batches = found.segments.values().all(|lengths| lengths.log == Some(0));
        let (epochs, epochs_from_batches) = read_epochs(&open, without_batches)?;
        Ok(Opening {
            found,
            epochs,
            tier_epoch,
            epochs_from_batches,
            epochs_changed: epochs_from_batches,
            producers: ProducerState::default(),
            segments: Vec::new(),
            checkpoints,
            report: RecoveryReport::default(),
            open,
        })
    }

    fn run(mut self) -> Result<(Log, RecoveryReport), LogError> {
        let end = if self.found.segments.is_empty() { self.create_first()? } else { self.load()? };
        if let Some(active) = self.segments.last_mut()
            && let Some(first) = active.first_timestamp
            && (0..=self.open.now_ms).contains(&first)
        {
            active.since_ms = first;
        }
        self.complete_epochs(end)?;
        self.check_epochs(end)?;
        let open = self.open;
        let first = self.segments[0].base;
        // What lies below the first local segment is in the tier, or has been deleted. Where the tier is turned off it may
        // still be there until every replica has the records: the chain of epochs tells, as it is cut before a segment goes.
        let begins = self.epochs.entries().first().map_or(first, |entry| entry.start.min(first));
        let least = if open.config.is_tiered() { Offset::ZERO } else { begins };
        let log_start = open.log_start.max(least);
        let flushed = if open.clean { end } else { open.recovery_point.min(end).max(first) };
        let begun = log_start.min(end);
        let mut log = Log {
            disk: open.disk,
            dir: open.dir,
            partition: open.partition,
            topic_id: open.topic_id,
            config: open.config,
            segments: self.segments,
            epochs: self.epochs,
            tier_epoch: self.tier_epoch,
            producers: self.producers,
            markers: RecentMarkers::default(),
            log_start: begun,
            positions: Arc::new(LivePositions::new(begun, end, flushed, open.cleaned)),
            health: Health::Writable,
            cuts: 0,
            closings: 0,
            folder_unsynced: true,
            checkpoints: self.checkpoints,
        };
        let changed = log.epochs.truncate_to(end);
        // A start that was stored without the chain.
        log.epochs.advance_start(begun);
        if changed || self.epochs_changed {
            log.store_epochs()?;
        }
        if log_start > end {
            // The tail was lost, and everything left had been deleted.
            log.set_log_start(log_start);
            log.begin_at_start()?;
        }
        Ok((log, self.report))
    }

    /// A chain that begins above the first local batch was cut when the log start rose, and the new log start was lost in a
    /// crash: what is missing is taken from the batches.
    fn complete_epochs(&mut self, end: Offset) -> Result<(), LogError> {
        let start = self.segments[0].base.max(self.open.log_start);
        let Some(first) = self.epochs.entries().first().copied() else {
            return Ok(());
        };
        let to = first.start.min(end);
        if to <= start {
            return Ok(());
        }
        let mut chain = EpochCache::default();
        for segment in &self.segments {
            if segment.base >= to {
                break;
            }
            let io = || LogError::io("read", segment.file.path());
            let file = segment.file.get().map_err(io())?;
            let mut reader = BatchReader::new(&*file, 0, segment.size);
            while let Some(Ok((_, batch))) = reader.next().map_err(io())? {
                if batch.header.base_offset < to && batch.header.last_offset() >= start {
                    chain.assign(batch.header.leader_epoch, batch.header.base_offset.max(start));
                }
            }
        }
        for entry in self.epochs.entries() {
            chain.assign(entry.epoch, entry.start);
        }
        self.epochs = chain;
        self.epochs_changed = true;
        Ok(())
    }

    /// The chain of epochs decides where a follower truncates, and its file has no checksum: every epoch that begins in the
    /// local segments must begin with a batch, and that batch must say so.
    fn check_epochs(&self, end: Offset) -> Result<(), LogError> {
        let first = self.segments[0].base;
        let start = first.max(self.open.log_start);
        let mut checked: Vec<Offset> = vec![start];
        for entry in self.epochs.entries() {
            if entry.start > start {
                checked.extend([entry.start + -1, entry.start]);
            }
        }
        for at in checked.into_iter().filter(|at| *at < end) {
            let i = self.segments.partition_point(|segment| segment.base <= at).saturating_sub(1);
            let segment = &self.segments[i];
            let io = LogError::io("read", segment.file.path());
            let header = segment.header_at(at).map_err(io)?;
            let said = self.epochs.epoch_at(at);
            let begins = self.epochs.entries().iter().any(|entry| entry.start == at && at > start);
            let agrees = header.is_some_and(|header| {
                Some(header.leader_epoch) == said && (!begins || header.base_offset == at)
            });
            if !agrees {
                return Err(LogError::Corrupt {
                    path: self.open.dir.join(checkpoint::LEADER_EPOCHS),
                    position: 0,
                    offset: at,
                    detail: format!("the chain says epoch {said:?}, the batches say otherwise"),
                });
            }
        }
        Ok(())
    }

    fn create_first(&mut self) -> Result<Offset, LogError> {
        let open = &self.open;
        let base = open.log_start;
        let segment = Segment::create(&open.disk, &open.dir, base, open.now_ms)
            .map_err(LogError::io("create a segment in", &open.dir))?;
        self.segments.push(segment);
        self.load_producers(base)?;
        Ok(base)
    }

    /// Opens the segments that can be trusted, scans the others; the log end.
    fn load(&mut self) -> Result<Offset, LogError> {
        let bases: Vec<Offset> = self.found.segments.keys().copied().collect();
        let mut trusted = 0;
        while trusted < bases.len() && !self.epochs_from_batches {
            let next = bases.get(trusted + 1).copied();
            let flushed = next.is_some_and(|next| next <= self.open.recovery_point);
            if !self.open.clean && !flushed {
                break;
            }
            let Some(segment) = self.open_segment(bases[trusted], next)? else {
                break;
            };
            self.segments.push(segment);
            trusted += 1;
        }
        if !self.open.clean
            && let Some(last) = self.segments.last()
            && !last.indexes_in_order().map_err(LogError::io("read the indexes of", last.file.path()))?
        {
            self.segments.pop();
            trusted -= 1;
        }
        if trusted == bases.len() {
            return self.read_end();
        }
        self.scan(&bases[trusted..])
    }

    fn open_segment(&self, base: Offset, next: Option<Offset>) -> Result<Option<Segment>, LogError> {
        let open = &self.open;
        let path = segment_path(&open.dir, base, LOG);
        let io = || LogError::io("open", &path);
        let segment =
            Segment::open(&open.disk, &open.dir, base, &self.found.segments[&base], next, open.now_ms)
                .map_err(io())?;
        // Retention goes by the last entry of the time index: it must be true.
        let Some(mut segment) = segment else {
            return Ok(None);
        };
        // A scan tells a missing segment from a damaged one.
        if let Some(next) = next
            && segment.end_by_headers().map_err(io())? != Some(next)
        {
            return Ok(None);
        }
        segment.file = LazyFile::new(&open.disk, path.clone());
        if let Some(last) = segment.time_index.last() {
            let holds = segment.holds_time(&last).map_err(io())?;
            // One handle per closed segment would be too many.
            segment.file = LazyFile::new(&open.disk, path.clone());
            return Ok(holds.then_some(segment));
        }
        Ok(Some(segment))
    }

    /// After a clean stop: the end is where the last segment's batches end, and that must be the file's end.
    fn read_end(&mut self) -> Result<Offset, LogError> {
        let last = self.segments.last_mut().expect("there is a segment");
        let path = last.file.path().to_owned();
        let (end, position) = last.read_tail().map_err(LogError::io("read", &path))?;
        if position != last.size {
            return Err(LogError::Corrupt {
                path,
                position,
                offset: end,
                detail: "a bad batch below the flushed end".to_owned(),
            });
        }
        self.load_producers(end)?;
        Ok(end)
    }

    /// Scans the last segments, from the first that cannot be trusted; the log end.
    fn scan(&mut self, bases: &[Offset]) -> Result<Offset, LogError> {
        self.load_producers(bases[0])?;
        let scanned = self.segments.len();
        let has_snapshot = self.settle_snapshot(bases[0])?;
        let mut end = bases[0];
        for (i, base) in bases.iter().enumerate() {
            if *base != end {
                self.drop_empty_tail(end, &bases[i..])?;
                break;
            }
            let (next, complete) = self.scan_segment(*base, &bases[i + 1..])?;
            end = next;
            if !complete {
                break;
            }
        }
        if let Some(first) = self.segments.get_mut(scanned) {
            first.snapshot_unsynced = has_snapshot;
        }
        let open = &self.open;
        if end < open.recovery_point {
            return Err(LogError::Corrupt {
                path: segment_path(&open.dir, self.segments[self.segments.len() - 1].base, LOG),
                position: self.segments[self.segments.len() - 1].size,
                offset: end,
                detail: format!("it ends below the flushed end {}", open.recovery_point),
            });
        }
        Ok(end)
    }

    /// Scans one segment; its end, and whether it was sound to its last byte.
    fn scan_segment(&mut self, base: Offset, later: &[Offset]) -> Result<(Offset, bool), LogError> {
        let open = &self.open;
        let path = segment_path(&open.dir, base, LOG);
        let io = || LogError::io("recover", &path);
        let lengths = self.found.segments[&base];
        let len = lengths.log.unwrap_or(0);
        let mut segment =
            Segment::to_be_scanned(&open.disk, &open.dir, base, &lengths, open.now_ms).map_err(io())?;
        self.report.scanned_segments += 1;
        let file = segment.file.get().map_err(io())?;
        let mut reader = BatchReader::new(&*file, 0, len);
        let mut end = base;
        let problem = loop {
            let (position, batch) = match reader.next().map_err(io())? {
                None => break None,
                Some(Err(e)) => break Some(e.to_string()),
                Some(Ok(found)) => found,
            };
            if let Err(e) = self.check_scanned(&batch, end) {
                break Some(e);
            }
            end = batch.header.end_offset();
            if self.open.write_again && end > self.open.recovery_point {
                let file = segment.file.get_to_write().map_err(io())?;
                file.write_all_at(&batch.bytes, position).map_err(io())?;
            }
            segment.add(&batch.header, self.open.config.index_interval_bytes).map_err(io())?;
            if let Some(aborted) = self.producers.apply(&batch, self.open.now_ms) {
                segment.txn_index.push(&aborted).map_err(io())?;
            }
        };
        if let Some(problem) = problem {
            self.judge(&segment, end, len, problem, later)?;
            file.set_len(segment.size).map_err(io())?;
            self.report.cut_bytes += len - segment.size;
            for base in later {
                remove_segment(&self.open, *base)?;
            }
        }
        if !later.is_empty() {
            segment.finish().map_err(io())?;
        }
        let complete = segment.size == len;
        self.segments.push(segment);
        if complete && !later.is_empty() {
            self.write_snapshot(end)?;
        }
        Ok((end, complete))
    }

    fn check_scanned(&mut self, batch: &Batch, end: Offset) -> Result<(), String> {
        let header = &batch.header;
        batch.check_crc().map_err(|e| e.to_string())?;
        if header.base_offset != end || header.last_offset_delta < 0 {
            return Err(format!("a batch at offset {}", header.base_offset));
        }
        if self.epochs_from_batches {
            if self.epochs.latest().is_some_and(|last| last.epoch > header.leader_epoch) {
                return Err(format!("leader epoch {} goes back", header.leader_epoch));
            }
            self.epochs.assign(header.leader_epoch, header.base_offset);
        } else if let Some(epoch) = self.epochs.epoch_at(header.base_offset)
            && epoch != header.leader_epoch
        {
            return Err(format!("leader epoch {} where the chain says {epoch}", header.leader_epoch));
        }
        Ok(())
    }

    /// Tells a torn tail from corruption.
    fn judge(
        &self,
        segment: &Segment,
        end: Offset,
        len: u64,
        problem: String,
        later: &[Offset],
    ) -> Result<(), LogError> {
        let open = &self.open;
        let path = segment.file.path().to_owned();
        let position = segment.size;
        let corrupt = |why: String| {
            let detail = format!("{problem}; {why}");
            Err(LogError::Corrupt { path: path.clone(), position, offset: end, detail })
        };
        if end < open.recovery_point {
            return corrupt(format!("it lies below the flushed end {}", open.recovery_point));
        }
        if end < open.high_watermark {
            return corrupt(format!("it lies below the stored high watermark {}", open.high_watermark));
        }
        if let Some(position) = self.find_valid(&path, position + 1, len, end)? {
            return corrupt(format!("a valid batch follows at byte {position}"));
        }
        if let Some(found) = self.find_valid_after(end, later)? {
            return corrupt(format!("valid batches follow in {}", found.display()));
        }
        Ok(())
    }

    /// The segment before ended below the base of the next one. After a power loss the bytes in between were never
    /// written, and nothing good can follow; else a segment is missing.
    fn drop_empty_tail(&mut self, end: Offset, later: &[Offset]) -> Result<(), LogError> {
        if let Some(found) = self.find_valid_after(end, later)? {
            return Err(LogError::Corrupt {
                path: segment_path(&self.open.dir, end, LOG),
                position: 0,
                offset: end,
                detail: format!("missing: valid batches follow in {}", found.display()),
            });
        }
        for base in later {
            self.report.cut_bytes += self.found.segments[base].log.unwrap_or(0);
            remove_segment(&self.open, *base)?;
        }
        Ok(())
    }

    /// The first of some segments in which a batch lies that could belong behind `end`.
    fn find_valid_after(&self, end: Offset, later: &[Offset]) -> Result<Option<PathBuf>, LogError> {
        for base in later {
            let path = segment_path(&self.open.dir, *base, LOG);
            let len = self.found.segments[base].log.unwrap_or(0);
            if self.find_valid(&path, 0, len, end)?.is_some() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Where in a file, from a position on, a batch lies that could belong behind `end`.
    fn find_valid(&self, path: &Path, from: u64, len: u64, end: Offset) -> Result<Option<u64>, LogError> {
        let latest = self.epochs.latest().map_or(LeaderEpoch(i32::MAX), |last| last.epoch);
        let epochs = self.epochs.epoch_at(end).unwrap_or(LeaderEpoch::NONE)..=latest;
        let io = || LogError::io("recover", path);
        let file = self.open.disk.open(path, OpenMode::Read).map_err(io())?;
        find_valid_batch(&*file, from, len, end, epochs).map_err(io())
    }

    fn load_producers(&mut self, at: Offset) -> Result<(), LogError> {
        let open = &self.open;
        let snapshots = std::mem::take(&mut self.found.snapshots);
        let (producers, from) =
            producer_replay::load(&open.disk, &open.dir, &self.segments, snapshots, at, open.now_ms)?;
        self.producers = producers;
        self.report.producers_replayed_from = from;
        Ok(())
    }

    /// Whether there is a snapshot where the scan begins that nobody may have synced: a kill comes before its flush. Once the
    /// segments before are gone nothing else tells what it does, so it is to be synced before; one that is lost or torn is
    /// written anew.
    fn settle_snapshot(&self, at: Offset) -> Result<bool, LogError> {
        if self.report.producers_replayed_from < at && !self.producers.producers.is_empty() {
            self.write_snapshot(at)?;
            return Ok(false);
        }
        let path = segment_path(&self.open.dir, at, SNAPSHOT);
        self.open.disk.exists(&path).map_err(LogError::io("look for", &path))
    }

    fn write_snapshot(&self, at: Offset) -> Result<(), LogError> {
        let path = segment_path(&self.open.dir, at, SNAPSHOT);
        self.open
            .disk
            .write_atomically(&path, &producer_snapshot::encode(&self.producers))
            .map_err(LogError::io("write the producer snapshot", &path))
    }
}

fn list(open: &OpenLog) -> Result<Found, LogError> {
    let mut found = Found::default();
    complete_swaps(&open.disk, &open.dir)?;
    for entry in open.disk.read_dir(&open.dir).map_err(LogError::io("list", &open.dir))? {
        let known = matches!(entry.name.as_str(), checkpoint::LEADER_EPOCHS | checkpoint::PARTITION_METADATA);
        if known {
            continue;
        }
        let unfinished = entry.name.ends_with(".tmp") || entry.name.ends_with(&format!(".{DELETED}"));
        if unfinished && !entry.is_dir {
            open.disk.remove_file(&entry.path).map_err(LogError::io("remove", &entry.path))?;
            continue;
        }
        let foreign = || LogError::Layout {
            path: entry.path.clone(),
            detail: "is no file of a log; move it out of the folder".to_owned(),
        };
        let (base, extension) = parse_segment_name(&entry.name).ok_or_else(foreign)?;
        if entry.is_dir {
            return Err(foreign());
        }
        if extension == SNAPSHOT {
            found.snapshots.push(base);
            continue;
        }
        let lengths = found.segments.entry(base).or_default();
        let place = match extension {
            LOG => &mut lengths.log,
            INDEX => &mut lengths.index,
            TIME_INDEX => &mut lengths.time_index,
            TXN_INDEX => &mut lengths.txn_index,
            TXN_CHECKSUM => &mut lengths.txn_checksum,
            _ => return Err(foreign()),
        };
        *place = Some(entry.len);
    }
    // An index without its segment is left over from a deletion.
    let orphans: Vec<Offset> =
        found.segments.iter().filter(|(_, lengths)| lengths.log.is_none()).map(|(base, _)| *base).collect();
    for base in orphans {
        remove_segment(open, base)?;
        found.segments.remove(&base);
    }
    Ok(found)
}

fn remove_segment(open: &OpenLog, base: Offset) -> Result<(), LogError> {
    for extension in OF_A_SEGMENT {
        let path = segment_path(&open.dir, base, extension);
        match open.disk.remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(LogError::io("remove", &path)(e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The unclean election after which the tier's store was asked last.
fn check_topic_id(open: &OpenLog, empty: bool) -> Result<LeaderEpoch, LogError> {
    let path = open.dir.join(checkpoint::PARTITION_METADATA);
    if open.disk.exists(&path).map_err(LogError::io("look for", &path))? {
        let text = open.disk.read(&path).map_err(LogError::io("read", &path))?;
        let (stored, tier_epoch) = checkpoint::decode_partition_metadata(&text)
            .map_err(|e| LogError::Layout { path: path.clone(), detail: e.to_string() })?;
        if stored != open.topic_id {
            let detail = format!("is of topic id {stored}, not {}", open.topic_id);
            return Err(LogError::Layout { path, detail });
        }
        return Ok(tier_epoch);
    }
    if !empty {
        return Err(LogError::Layout { path, detail: "is missing beside the segments".to_owned() });
    }
    let text = checkpoint::encode_partition_metadata(open.topic_id, LeaderEpoch::NONE);
    open.disk.write_atomically(&path, &text).map_err(LogError::io("write", &path))?;
    let parent = parent_of(&open.dir);
    open.disk.sync_dir(parent).map_err(LogError::io("fsync", parent))?;
    Ok(LeaderEpoch::NONE)
}

/// The chain, and whether it must be taken from the batches.
fn read_epochs(open: &OpenLog, empty: bool) -> Result<(EpochCache, bool), LogError> {
    let path = open.dir.join(checkpoint::LEADER_EPOCHS);
    let problem = if open.disk.exists(&path).map_err(LogError::io("look for", &path))? {
        let text = open.disk.read(&path).map_err(LogError::io("read", &path))?;
        match checkpoint::decode_epochs(&text) {
            Ok(entries) => return Ok((EpochCache::new(entries), false)),
            Err(e) => e.to_string(),
        }
    } else if empty {
        return Ok((EpochCache::default(), false));
    } else {
        "is missing beside the segments".to_owned()
    };
    if open.config.is_tiered() {
        // The batches of the earlier epochs may be in the tier only. Another broker has the chain: the copy is taken anew from it.
        return Err(LogError::Corrupt { path, position: 0, offset: open.log_start, detail: problem });
    }
    tracing::warn!(path = %path.display(), "{problem}: taking the leader epochs from the batches");
    Ok((EpochCache::default(), true))
}
