//! Everything that takes bytes away: truncation by leader epoch, resets, the log start, deletion of segments; and the
//! chain of leader epochs, which changes with them.

use std::path::PathBuf;

use bytes::Bytes;

use super::epoch_cache::{EpochCache, EpochEntry};
use super::error::LogError;
use super::files::{DELETED, LOG, OF_A_SEGMENT, SNAPSHOT, parse_segment_name, segment_path};
use super::producer_state::ProducerState;
use super::segment::Segment;
use super::{Health, Log, checkpoint, producer_replay, producer_snapshot};
use crate::env::SharedDisk;
use crate::types::{LeaderEpoch, Offset};

/// Files that are out of the log and still take space; run it without the lock. What is not run is deleted at the next
/// open.
#[must_use]
#[derive(Debug)]
pub struct Removal {
    disk: SharedDisk,
    paths: Vec<PathBuf>,
}

impl Removal {
    /// Deletes the files.
    ///
    /// # Errors
    /// `Io` of the first file that could not be deleted.
    pub fn run(self) -> Result<(), LogError> {
        self.paths
            .iter()
            .try_for_each(|path| self.disk.remove_file(path).map_err(LogError::io("remove", path)))
    }

    /// Whether there is nothing to delete.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

/// The `.snapshot` of a log whose producers nobody knows.
#[must_use]
pub fn snapshot_of_no_producers() -> Bytes {
    producer_snapshot::encode(&ProducerState::default()).into()
}

impl Log {
    /// A leader's new epoch begins at the log end; it is durable when this returns. The same epoch again changes nothing.
    ///
    /// # Errors
    /// `EpochWentBack`, why the log is not writable, or `Io`.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) -> Result<(), LogError> {
        let latest = self.last_epoch();
        if epoch == latest {
            return self.check_health();
        }
        if epoch < latest {
            return Err(LogError::EpochWentBack { latest, got: epoch });
        }
        self.resume_under(epoch)?;
        self.assign_epoch(epoch, self.log_end())
    }

    /// Ends the state after a failed write by cutting what was written in part. Call it when a new leader epoch is
    /// known, as leader (`begin_epoch` does) or as follower.
    ///
    /// # Errors
    /// `WriteFailed` under the same epoch still; `Broken` for ever.
    pub fn resume_under(&mut self, epoch: LeaderEpoch) -> Result<(), LogError> {
        if let Health::WriteFailed(failed) = self.health
            && epoch > failed
        {
            self.cut(self.log_end())?;
            self.health = Health::Writable;
        }
        self.check_health()
    }

    pub(super) fn assign_epoch(&mut self, epoch: LeaderEpoch, start: Offset) -> Result<(), LogError> {
        if self.epochs.latest().is_some_and(|last| last.epoch == epoch) {
            return Ok(());
        }
        let before = self.epochs.clone();
        if self.epochs.assign(epoch, start) {
            self.store_epochs().inspect_err(|_| self.epochs = before)?;
        }
        Ok(())
    }

    pub(super) fn store_epochs(&self) -> Result<(), LogError> {
        let path = self.dir.join(checkpoint::LEADER_EPOCHS);
        let text = checkpoint::encode_epochs(self.epochs.entries());
        self.disk.write_atomically(&path, &text).map_err(LogError::io("write", &path))
    }

    /// Cuts to the last batch that ends at or below `end`; the new log end. An epoch that is left without a batch is
    /// forgotten, also when there is nothing to cut. What is left after a cut is durable.
    ///
    /// # Errors
    /// `OutOfRange` below the local start, `Io`, or why the log is not writable.
    pub fn truncate_to(&mut self, end: Offset) -> Result<Offset, LogError> {
        self.check_health()?;
        if end >= self.log_end() {
            let before = self.epochs.clone();
            if self.epochs.truncate_to(self.log_end()) {
                self.store_epochs().inspect_err(|_| self.epochs = before)?;
            }
            return Ok(self.log_end());
        }
        if end < self.local_start() {
            let (start, log_end) = (self.local_start(), self.log_end());
            return Err(LogError::OutOfRange { offset: end, start, end: log_end });
        }
        let epoch = self.last_epoch();
        self.cut(end).inspect_err(|_| {
            if self.health == Health::Writable {
                self.health = Health::WriteFailed(epoch);
            }
        })
    }

    /// The checkpoints go down first: they must never claim what the log no longer has.
    fn cut(&mut self, end: Offset) -> Result<Offset, LogError> {
        self.cuts += 1;
        self.closings += 1;
        if end < self.log_end() {
            self.lower_checkpoints(end)?;
        }
        let keep = self.segment_of(end);
        // The last one first, so that a crash in between leaves no gap.
        let removes = self.segments.len() > keep + 1;
        while self.segments.len() > keep + 1 {
            let paths = self.take_out(self.segments.len() - 1)?;
            self.removal(paths).run()?;
            self.segments.pop();
        }
        // Durable before anything new is written: a power loss must not bring back what was cut.
        if removes {
            self.sync_folder()?;
        }
        self.folder_unsynced = true;
        let segment = self.active_mut();
        let path = segment.file.path().to_owned();
        let new_end = segment.truncate_to(end).map_err(LogError::io("truncate", &path))?;
        let base = segment.base;
        self.set_end(new_end);
        // The cut itself is not durable yet.
        self.set_flushed(self.flushed_end().min(Offset(base.0 - 1)));
        if new_end < self.log_start {
            // The batch that held the log start is gone: offsets below it must not come again.
            self.reload_producers(new_end)?;
            self.begin_at_start()?;
            return Ok(self.log_start);
        }
        if self.epochs.truncate_to(new_end) {
            self.store_epochs()?;
        }
        self.reload_producers(new_end)?;
        let outcome = self.flush_job()?.run();
        self.finish_flush(outcome)?;
        Ok(new_end)
    }

    pub(super) fn set_log_start(&mut self, start: Offset) {
        self.log_start = start;
        self.positions.set_log_start(start);
    }

    pub(super) fn sync_folder(&self) -> Result<(), LogError> {
        self.disk.sync_dir(&self.dir).map_err(LogError::io("fsync", &self.dir))
    }

    fn lower_checkpoints(&self, end: Offset) -> Result<(), LogError> {
        match &self.checkpoints {
            Some(checkpoints) => checkpoints.lower(&self.partition, &self.positions, end),
            None => Ok(()),
        }
    }

    fn reload_producers(&mut self, end: Offset) -> Result<(), LogError> {
        let now_ms = self.active().since_ms;
        let snapshots = self.snapshots()?;
        let (producers, _) =
            producer_replay::load(&self.disk, &self.dir, &self.segments, snapshots, end, now_ms)?;
        self.producers = producers;
        Ok(())
    }

    fn snapshots(&self) -> Result<Vec<Offset>, LogError> {
        let entries = self.disk.read_dir(&self.dir).map_err(LogError::io("list", &self.dir))?;
        Ok(entries
            .iter()
            .filter_map(|entry| parse_segment_name(&entry.name))
            .filter_map(|(at, extension)| (extension == SNAPSHOT).then_some(at))
            .collect())
    }

    /// Drops everything and starts at `start`, with this chain of epochs from there on.
    ///
    /// # Errors
    /// `Io`; the log is not writable then.
    pub fn reset_to(&mut self, start: Offset, epochs: Vec<EpochEntry>) -> Result<(), LogError> {
        self.check_health()?;
        let mut chain = EpochCache::new(epochs);
        chain.advance_start(start);
        self.start_over(start, chain.entries().to_vec(), None)?;
        self.set_log_start(start);
        Ok(())
    }

    /// A log that ends below its start goes on at the start. The producers are known up to where it ends: a retry of what is there
    /// must not be written again, nor a batch of an epoch that is over. Not known is whether a transaction that is open there has
    /// been ended before the start: nobody would end it a second time, and what it writes from here on opens it anew.
    pub(super) fn begin_at_start(&mut self) -> Result<(), LogError> {
        self.producers.forget_open();
        let snapshot = producer_snapshot::encode(&self.producers);
        let epochs = self.epochs.entries().to_vec();
        self.start_over(self.log_start, epochs, Some(snapshot.into()))
    }

    /// A log without batches begins below its start, with the batch that holds the start.
    pub(super) fn begin_below_start(&mut self, base: Offset) -> Result<(), LogError> {
        let snapshot = producer_snapshot::encode(&self.producers);
        self.start_over(base, Vec::new(), Some(snapshot.into()))
    }

    /// Drops everything local and goes on at the end of the tier, with the tier's chain of epochs and producers. The log
    /// start stays.
    ///
    /// # Errors
    /// `Layout` if the snapshot cannot be read: nothing has changed then. `Io`: the log is not writable then.
    pub fn install_tier_state(
        &mut self,
        end: Offset,
        epochs: Vec<EpochEntry>,
        producer_snapshot: Bytes,
    ) -> Result<(), LogError> {
        self.check_health()?;
        self.start_over(end, epochs, Some(producer_snapshot))
    }

    /// The store has said what the tier holds since the unclean election of this epoch, and the log begins accordingly: that need not be
    /// asked again. Durable when it returns.
    ///
    /// # Errors
    /// `Io`.
    pub fn note_tier_epoch(&mut self, epoch: LeaderEpoch) -> Result<(), LogError> {
        if epoch > self.tier_epoch {
            self.sync_folder()?;
            let path = self.dir.join(checkpoint::PARTITION_METADATA);
            let text = checkpoint::encode_partition_metadata(self.topic_id, epoch);
            self.disk.write_atomically(&path, &text).map_err(LogError::io("write", &path))?;
            self.tier_epoch = epoch;
        }
        Ok(())
    }

    /// A crash in between leaves a log that is empty, or shorter: its owner does the same again.
    fn start_over(
        &mut self,
        start: Offset,
        epochs: Vec<EpochEntry>,
        snapshot: Option<Bytes>,
    ) -> Result<(), LogError> {
        let now_ms = self.active().since_ms;
        let producers = match &snapshot {
            None => ProducerState::default(),
            Some(bytes) => producer_snapshot::decode(bytes, now_ms).map_err(|e| LogError::Layout {
                path: segment_path(&self.dir, start, SNAPSHOT),
                detail: format!("cannot be installed: {e}"),
            })?,
        };
        self.cuts += 1;
        self.closings += 1;
        // If it stops half-way, only opening the log again tells what is left.
        self.health = Health::Broken;
        self.lower_checkpoints(start.min(self.segments[0].base))?;
        for i in (0..self.segments.len()).rev() {
            let paths = self.take_out(i)?;
            self.removal(paths).run()?;
        }
        for at in self.snapshots()? {
            let path = segment_path(&self.dir, at, SNAPSHOT);
            self.disk.remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
        self.sync_folder()?;
        self.epochs = EpochCache::new(epochs);
        self.epochs.truncate_to(start.next());
        self.store_epochs()?;
        self.producers = producers;
        if snapshot.is_some() {
            self.write_snapshot(start)?;
        }
        let mut segment = Segment::create(&self.disk, &self.dir, start, now_ms)
            .map_err(LogError::io("create a segment in", &self.dir))?;
        segment.snapshot_unsynced = snapshot.is_some();
        self.segments = vec![segment];
        self.sync_snapshot_of(0)?;
        self.set_end(start);
        self.set_flushed(start);
        self.folder_unsynced = true;
        self.health = Health::Writable;
        Ok(())
    }

    /// Raises the log start; segments wholly below it go. Store the new start (`LogDirs::write_checkpoints`) before
    /// anybody is told.
    ///
    /// # Errors
    /// `OutOfRange` above the log end, `Io`, or why the log is not writable.
    pub fn advance_log_start(&mut self, to: Offset, now_ms: i64) -> Result<Removal, LogError> {
        if to > self.log_end() {
            let (start, end) = (self.log_start, self.log_end());
            return Err(LogError::OutOfRange { offset: to, start, end });
        }
        if to <= self.log_start {
            return Ok(self.removal(Vec::new()));
        }
        if to == self.log_end() {
            self.roll(now_ms)?;
        }
        // The chain first: where it begins below the first segment when the log is opened again, what lies between is not
        // deleted but in the tier.
        let before = self.epochs.clone();
        if self.epochs.advance_start(to) {
            self.store_epochs().inspect_err(|_| self.epochs = before)?;
        }
        self.set_log_start(to);
        self.delete_segments_below(to)
    }

    /// Raises the log start in memory and leaves the files: for who stores it with the log starts of others, and deletes what lies
    /// below after that ([`Log::delete_segments_below`]). A crash before it is stored takes it back, and nothing is missing then.
    ///
    /// # Errors
    /// As `advance_log_start`.
    pub fn raise_log_start(&mut self, to: Offset, now_ms: i64) -> Result<(), LogError> {
        self.check_health()?;
        if to > self.log_end() {
            let (start, end) = (self.log_start, self.log_end());
            return Err(LogError::OutOfRange { offset: to, start, end });
        }
        if to > self.log_start {
            if to == self.log_end() {
                self.roll(now_ms)?;
            }
            // Its file stays as it is: when the log is opened again the stored start cuts the chain.
            self.epochs.advance_start(to);
            self.set_log_start(to);
        }
        Ok(())
    }

    /// Local retention of a tiered topic: closed segments that end at or below `end` go. The log start stays.
    ///
    /// # Errors
    /// `Io`, or why the log is not writable.
    pub fn delete_segments_below(&mut self, end: Offset) -> Result<Removal, LogError> {
        self.check_health()?;
        let count = (0..self.segments.len() - 1).take_while(|i| self.segment_end(*i) <= end).count();
        if count > 0 {
            self.closings += 1;
            self.sync_snapshot_of(count)?;
        }
        let mut paths = Vec::new();
        // The oldest first, so that a crash in between leaves no gap.
        for _ in 0..count {
            paths.extend(self.take_out(0)?);
            let base = self.segments.remove(0).base;
            let snapshot = segment_path(&self.dir, base, SNAPSHOT);
            if self.disk.exists(&snapshot).map_err(LogError::io("look for", &snapshot))? {
                self.disk.remove_file(&snapshot).map_err(LogError::io("remove", &snapshot))?;
            }
            self.folder_unsynced = true;
        }
        Ok(self.removal(paths))
    }

    /// Renames the files of a segment, the `.log` first: from then on it is not part of the log.
    pub(super) fn take_out(&self, i: usize) -> Result<Vec<PathBuf>, LogError> {
        let base = self.segments[i].base;
        let mut paths = Vec::new();
        for extension in OF_A_SEGMENT {
            let from = segment_path(&self.dir, base, extension);
            let to = segment_path(&self.dir, base, &format!("{extension}.{DELETED}"));
            match self.disk.rename(&from, &to) {
                Ok(()) => paths.push(to),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && extension != LOG => {}
                Err(e) => return Err(LogError::io("rename", &from)(e)),
            }
        }
        Ok(paths)
    }

    pub(super) fn removal(&self, paths: Vec<PathBuf>) -> Removal {
        Removal { disk: self.disk.clone(), paths }
    }
}
