//! Swaps a copy in for the segments it was made from, so that a crash at any point leaves either them or it.
//!
//! | step | on disk | after a crash |
//! |---|---|---|
//! | copy | `<base>.log.cleaned` and its indexes, fsynced | the copy is removed |
//! | 1 | indexes renamed to `.swap`, then the `.log` | before the `.log` was: the copy is removed; after: the swap is completed |
//! | 2 | old segments renamed to `.deleted`, the `.log` of each first | the swap is completed |
//! | 3 | indexes renamed from `.swap` to their place, the `.log` last | the swap is completed, or was |
//!
//! The names are Kafka's. The folder is fsynced between the steps.

use std::io;
use std::path::Path;

use super::CleanedSegment;
use crate::env::{OpenMode, SharedDisk};
use crate::log::error::LogError;
use crate::log::files::{CLEANED, LOG, OF_A_SEGMENT, SNAPSHOT, SWAP, parse_segment_name, segment_path};
use crate::log::scan::BatchReader;
use crate::log::segment::Segment;
use crate::log::{Health, Log, Removal};
use crate::types::Offset;

impl Log {
    /// Swaps a copy in. The files of the old segments are out of the log then, and still take space. `None` if the log
    /// has changed so much since the pass began that the copy is of no use: it is removed.
    ///
    /// # Errors
    /// `Io`. If it failed half-way the log takes no appends until it is opened again.
    pub fn replace_segments(&mut self, cleaned: CleanedSegment) -> Result<Option<Removal>, LogError> {
        let Some(first) = self.find(&cleaned) else {
            cleaned.discard();
            return Ok(None);
        };
        if let Err(e) = self.prepare_swap(&cleaned) {
            cleaned.discard();
            return Err(e);
        }
        // From here on only opening the log again tells how far it came.
        let health = std::mem::replace(&mut self.health, Health::Broken);
        let removal = self.swap(first, &cleaned)?;
        self.health = health;
        Ok(Some(removal))
    }

    /// Where the segments lie that the copy was made from, if they are as they were.
    fn find(&self, cleaned: &CleanedSegment) -> Option<usize> {
        let first = self.segment_of(cleaned.base);
        let last = first + cleaned.sources.len() - 1;
        let found = self.segments.get(first..=last)?.iter().map(|segment| segment.base);
        let same = cleaned.cuts == self.cuts
            && self.health == Health::Writable
            && last + 1 < self.segments.len()
            && found.eq(cleaned.sources.iter().copied())
            && self.segment_end(last) == cleaned.end;
        same.then_some(first)
    }

    fn prepare_swap(&self, cleaned: &CleanedSegment) -> Result<(), LogError> {
        let base = cleaned.base;
        for extension in &OF_A_SEGMENT[1..] {
            // One that an earlier swap has left would become part of this one.
            remove(&self.disk, &beside(&self.dir, base, extension, SWAP))?;
            let from = beside(&self.dir, base, extension, CLEANED);
            let to = beside(&self.dir, base, extension, SWAP);
            rename_if_there(&self.disk, &from, &to)?;
        }
        Ok(())
    }

    fn swap(&mut self, first: usize, cleaned: &CleanedSegment) -> Result<Removal, LogError> {
        let base = cleaned.base;
        rename(&self.disk, &beside(&self.dir, base, LOG, CLEANED), &beside(&self.dir, base, LOG, SWAP))?;
        self.sync_folder()?;
        let last = first + cleaned.sources.len() - 1;
        let mut old = Vec::new();
        for i in first..=last {
            old.extend(self.take_out(i)?);
        }
        for merged in &cleaned.sources[1..] {
            remove(&self.disk, &segment_path(&self.dir, *merged, SNAPSHOT))?;
        }
        self.sync_folder()?;
        put_in_place(&self.disk, &self.dir, base)?;
        let since_ms = self.segments[first].since_ms;
        let opened =
            Segment::open(&self.disk, &self.dir, base, &cleaned.lengths, Some(cleaned.end), since_ms)
                .map_err(LogError::io("open", &segment_path(&self.dir, base, LOG)))?;
        let Some(mut segment) = opened else {
            return Err(LogError::Layout {
                path: segment_path(&self.dir, base, LOG),
                detail: "the indexes that compaction wrote are not right".to_owned(),
            });
        };
        segment.snapshot_unsynced = self.segments[first].snapshot_unsynced;
        self.segments.splice(first..=last, [segment]);
        self.closings += 1;
        Ok(self.removal(old))
    }
}

/// When a log is opened: completes the swaps that were begun, removes the copies that were not.
pub(in crate::log) fn complete_swaps(disk: &SharedDisk, dir: &Path) -> Result<(), LogError> {
    let names: Vec<String> = disk
        .read_dir(dir)
        .map_err(LogError::io("list", dir))?
        .into_iter()
        .filter(|entry| !entry.is_dir)
        .map(|entry| entry.name)
        .collect();
    let parts = |name: &str| -> Option<(Offset, String, String)> {
        let (base, rest) = parse_segment_name(name)?;
        let (extension, suffix) = rest.split_once('.')?;
        (OF_A_SEGMENT.contains(&extension) && [CLEANED, SWAP].contains(&suffix))
            .then(|| (base, extension.to_owned(), suffix.to_owned()))
    };
    let found: Vec<(Offset, String, String)> = names.iter().filter_map(|name| parts(name)).collect();
    let begun: Vec<Offset> = found
        .iter()
        .filter(|(_, extension, suffix)| extension == LOG && suffix == SWAP)
        .map(|(base, _, _)| *base)
        .collect();
    for (base, extension, suffix) in &found {
        if suffix == CLEANED || !begun.contains(base) {
            remove(disk, &beside(dir, *base, extension, suffix))?;
        }
    }
    for base in begun {
        let end = end_of_swap(disk, dir, base)?;
        tracing::info!(dir = %dir.display(), %base, %end, "completes a swap of compacted segments");
        for name in &names {
            let Some((at, extension)) = parse_segment_name(name) else { continue };
            let replaced = OF_A_SEGMENT.contains(&extension) && (base..end).contains(&at);
            let merged = extension == SNAPSHOT && base < at && at < end;
            if replaced || merged {
                remove(disk, &dir.join(name))?;
            }
        }
        disk.sync_dir(dir).map_err(LogError::io("fsync", dir))?;
        put_in_place(disk, dir, base)?;
    }
    Ok(())
}

/// The end of what a `.log.swap` holds: nothing is removed for a copy that is damaged.
fn end_of_swap(disk: &SharedDisk, dir: &Path, base: Offset) -> Result<Offset, LogError> {
    let path = beside(dir, base, LOG, SWAP);
    let io = || LogError::io("read", &path);
    let file = disk.open(&path, OpenMode::Read).map_err(io())?;
    let len = file.len().map_err(io())?;
    let mut reader = BatchReader::new(&*file, 0, len);
    let mut end = base;
    let corrupt =
        |position, offset, detail: String| LogError::Corrupt { path: path.clone(), position, offset, detail };
    while let Some(next) = reader.next().map_err(io())? {
        let (position, batch) = next.map_err(|e| corrupt(0, end, e.to_string()))?;
        batch.check_crc().map_err(|e| corrupt(position, end, e.to_string()))?;
        if batch.header.base_offset != end || batch.header.last_offset_delta < 0 {
            return Err(corrupt(position, end, format!("a batch at offset {}", batch.header.base_offset)));
        }
        end = batch.header.end_offset();
    }
    Ok(end)
}

fn put_in_place(disk: &SharedDisk, dir: &Path, base: Offset) -> Result<(), LogError> {
    // The `.log` last: while it is a `.swap` the swap is not over.
    for extension in OF_A_SEGMENT.iter().rev() {
        let from = beside(dir, base, extension, SWAP);
        let to = segment_path(dir, base, extension);
        if *extension == LOG {
            rename(disk, &from, &to)?;
        } else {
            rename_if_there(disk, &from, &to)?;
        }
    }
    disk.sync_dir(dir).map_err(LogError::io("fsync", dir))
}

fn beside(dir: &Path, base: Offset, extension: &str, suffix: &str) -> std::path::PathBuf {
    segment_path(dir, base, &format!("{extension}.{suffix}"))
}

fn rename(disk: &SharedDisk, from: &Path, to: &Path) -> Result<(), LogError> {
    disk.rename(from, to).map_err(LogError::io("rename", from))
}

fn rename_if_there(disk: &SharedDisk, from: &Path, to: &Path) -> Result<(), LogError> {
    match disk.rename(from, to) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(LogError::io("rename", from)(e)),
        _ => Ok(()),
    }
}

fn remove(disk: &SharedDisk, path: &Path) -> Result<(), LogError> {
    match disk.remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(LogError::io("remove", path)(e)),
        _ => Ok(()),
    }
}
