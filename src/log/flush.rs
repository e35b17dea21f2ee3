//! fsync, closing of segments, and the clean stop.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::error::LogError;
use super::files::{SNAPSHOT, segment_path};
use super::segment::Segment;
use super::{Health, Log, producer_snapshot};
use crate::env::{DiskFile, OpenMode, SharedDisk};
use crate::types::Offset;

/// Files to be fsynced without the lock; hand the outcome to `Log::finish_flush`.
#[must_use]
#[derive(Debug)]
pub struct FlushJob {
    end: Offset,
    /// Base of the segment that was active then.
    active: Offset,
    cuts: u64,
    /// Bases of the closed segments whose indexes are among the files.
    indexes: Vec<Offset>,
    files: Vec<(PathBuf, Arc<dyn DiskFile>)>,
    folder: Option<(SharedDisk, PathBuf)>,
}

/// What became of a `FlushJob`.
#[must_use]
#[derive(Debug)]
pub struct FlushOutcome {
    end: Offset,
    active: Offset,
    cuts: u64,
    indexes: Vec<Offset>,
    folder: bool,
    result: Result<(), LogError>,
}

impl FlushJob {
    /// Everything below will be durable when it has run.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Fsyncs, file by file.
    pub fn run(self) -> FlushOutcome {
        let folder = self.folder.is_some();
        let result = self
            .files
            .iter()
            .try_for_each(|(path, file)| file.sync().map_err(LogError::io("fsync", path)))
            .and_then(|()| match &self.folder {
                Some((disk, path)) => disk.sync_dir(path).map_err(LogError::io("fsync", path)),
                None => Ok(()),
            });
        FlushOutcome {
            end: self.end,
            active: self.active,
            cuts: self.cuts,
            indexes: self.indexes,
            folder,
            result,
        }
    }
}

impl Log {
    /// Whether a closed segment has not been fsynced yet: time for a `begin_flush`.
    #[must_use]
    pub fn closed_unflushed(&self) -> bool {
        self.flushed_end() < self.active().base
    }

    /// Collects what must be fsynced so that everything below the present log end is durable.
    ///
    /// # Errors
    /// `Io` if a file cannot be opened, or why the log is not writable.
    pub fn begin_flush(&mut self) -> Result<FlushJob, LogError> {
        self.check_health()?;
        self.flush_job()
    }

    pub(super) fn flush_job(&mut self) -> Result<FlushJob, LogError> {
        let flushed = self.flushed_end();
        let mut files = Vec::new();
        let mut indexes = Vec::new();
        let active = self.segments.len() - 1;
        let flushed_before = |i: usize| {
            let segment = &self.segments[i];
            let unsynced = segment.indexes_unsynced || segment.snapshot_unsynced;
            i < active && self.segment_end(i) <= flushed && !unsynced
        };
        let first = (0..=active).rev().take_while(|i| !flushed_before(*i)).last().unwrap_or(active);
        // The oldest first: should the power go in between, nothing may follow what is lost.
        for (i, segment) in self.segments.iter().enumerate().skip(first) {
            let unflushed = self.segment_end(i) > flushed;
            // The indexes of the active segment are built anew after a crash.
            let unsynced = i < active && segment.indexes_unsynced;
            let path = segment.file.path().to_owned();
            let io = || LogError::io("open", &path);
            if segment.snapshot_unsynced {
                files.push(self.snapshot_file(segment.base)?);
            }
            if unflushed {
                files.push((path.clone(), segment.file.get().map_err(io())?));
            }
            if unsynced {
                indexes.push(segment.base);
                for file in index_files(segment) {
                    let (path, file) = file.map_err(io())?;
                    files.push((path, file));
                }
            }
        }
        let folder = self.folder_unsynced.then(|| (self.disk.clone(), self.dir.clone()));
        Ok(FlushJob {
            end: self.log_end(),
            active: self.active().base,
            cuts: self.cuts,
            indexes,
            files,
            folder,
        })
    }

    /// Takes note of what became durable; the new flushed end.
    ///
    /// # Errors
    /// The fsync's own. From then on the log takes no appends and calls nothing durable any more: the pages that could
    /// not be written may be gone, and a second fsync would not tell.
    pub fn finish_flush(&mut self, outcome: FlushOutcome) -> Result<Offset, LogError> {
        if let Err(e) = outcome.result {
            self.health = Health::Broken;
            return Err(e);
        }
        if self.health == Health::Broken {
            return Err(LogError::Broken);
        }
        if outcome.cuts == self.cuts {
            self.set_flushed(outcome.end.max(self.flushed_end()));
            for segment in &mut self.segments {
                if outcome.indexes.contains(&segment.base) {
                    segment.indexes_unsynced = false;
                    segment.indexes_are_synced();
                }
                if segment.base <= outcome.active {
                    segment.snapshot_unsynced = false;
                }
            }
            let flushed = self.flushed_end();
            for i in 0..self.segments.len() {
                if self.segment_end(i) <= flushed {
                    self.segments[i].file.is_synced();
                }
            }
            if outcome.folder {
                self.folder_unsynced = false;
            }
        }
        Ok(self.flushed_end())
    }

    /// Fsyncs all that is not yet, with the lock held; the new flushed end.
    ///
    /// # Errors
    /// As `begin_flush` and `finish_flush`.
    pub fn flush(&mut self) -> Result<Offset, LogError> {
        let outcome = self.begin_flush()?.run();
        self.finish_flush(outcome)
    }

    /// Closes the active segment, if it has any batches.
    ///
    /// # Errors
    /// `Io`, or why the log is not writable.
    pub fn roll(&mut self, now_ms: i64) -> Result<(), LogError> {
        self.check_health()?;
        if self.active().size == 0 {
            return Ok(());
        }
        let epoch = self.last_epoch();
        self.roll_at(self.log_end(), now_ms).inspect_err(|_| self.health = Health::WriteFailed(epoch))
    }

    /// Closes the active segment if it has been written for longer than `segment.ms` (`max.compaction.lag.ms`). Whether it did.
    ///
    /// # Errors
    /// As `roll`.
    pub fn roll_if_due(&mut self, now_ms: i64) -> Result<bool, LogError> {
        let active = self.active();
        if active.size == 0 || now_ms.saturating_sub(active.since_ms) < self.config.max_segment_ms() {
            return Ok(false);
        }
        self.roll(now_ms)?;
        Ok(true)
    }

    /// Begins a segment at the log end, with a snapshot of the producers beside it.
    pub(super) fn roll_at(&mut self, end: Offset, now_ms: i64) -> Result<(), LogError> {
        let path = self.active().file.path().to_owned();
        self.active_mut().finish().map_err(LogError::io("write the indexes of", &path))?;
        self.write_snapshot(end)?;
        let mut segment = Segment::create(&self.disk, &self.dir, end, now_ms)
            .map_err(LogError::io("create a segment in", &self.dir))?;
        segment.snapshot_unsynced = true;
        self.segments.push(segment);
        self.closings += 1;
        self.folder_unsynced = true;
        Ok(())
    }

    fn snapshot_file(&self, at: Offset) -> Result<(PathBuf, Arc<dyn DiskFile>), LogError> {
        let path = segment_path(&self.dir, at, SNAPSHOT);
        let file = self.disk.open(&path, OpenMode::Read).map_err(LogError::io("open", &path))?;
        Ok((path, file))
    }

    /// Makes the snapshot at a segment's base durable: what it was made from is about to go.
    pub(super) fn sync_snapshot_of(&mut self, i: usize) -> Result<(), LogError> {
        if self.segments[i].snapshot_unsynced {
            let (path, file) = self.snapshot_file(self.segments[i].base)?;
            file.sync().map_err(LogError::io("fsync", &path))?;
            self.disk.sync_dir(&self.dir).map_err(LogError::io("fsync", &self.dir))?;
            self.segments[i].snapshot_unsynced = false;
        }
        Ok(())
    }

    /// Not fsynced here: its CRC tells a torn one, and then the state is replayed from the log.
    pub(super) fn write_snapshot(&self, at: Offset) -> Result<(), LogError> {
        let path = segment_path(&self.dir, at, SNAPSHOT);
        self.put_file(&path, &producer_snapshot::encode(&self.producers))
            .map_err(LogError::io("write the producer snapshot", &path))
    }

    fn put_file(&self, path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.disk.open(path, OpenMode::ReadWrite)?;
        file.set_len(0)?;
        file.write_all_at(bytes, 0)
    }

    /// The clean stop: everything durable, the producers' state beside it. The log takes no more appends.
    ///
    /// # Errors
    /// As `flush`; then the stop was not clean.
    pub fn close_clean(&mut self) -> Result<(), LogError> {
        self.check_health()?;
        let path = self.active().file.path().to_owned();
        self.active_mut().finish().map_err(LogError::io("write the indexes of", &path))?;
        self.write_snapshot(self.log_end())?;
        self.folder_unsynced = true;
        let mut job = self.flush_job()?;
        let io = || LogError::io("open", &path);
        for file in index_files(self.active()) {
            job.files.push(file.map_err(io())?);
        }
        job.files.push(self.snapshot_file(self.log_end())?);
        let outcome = job.run();
        self.finish_flush(outcome)?;
        self.health = Health::Closed;
        self.positions.closed.store(true, Ordering::Release);
        Ok(())
    }
}

pub(super) fn index_files(
    segment: &Segment,
) -> impl Iterator<Item = io::Result<(PathBuf, Arc<dyn DiskFile>)>> {
    let index = &segment.index.entries;
    let time_index = &segment.time_index.entries;
    [
        index.handle().map(|file| (index.path().to_owned(), file)),
        time_index.handle().map(|file| (time_index.path().to_owned(), file)),
    ]
    .into_iter()
    .chain(segment.txn_index.files())
}
