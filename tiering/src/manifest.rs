//! A manifest generation: what the cold tier of one partition holds, as one immutable Parquet object.
//!
//! ```text
//! archives (a row per file of rows, named here)      live (a row per segment)
//! |== 0 ==|== 1 ==|== 2 ==| … |== n ==|              |-|-|-|-|-|-|-|-|
//!      ^ start: what lies before has expired                        ^ tier end
//! ```
//! Rows older than a bound move to archive files, so that the head stays small however long the partition is.
//!
//! One row per segment (`state` is `live`, or `removed` until the grace period has passed and the object is gone);
//! key-value metadata says whose it is, the generation, the writer, and the log start. Any column tool reads it.
//! Sixteen bytes before the Parquet footer, where no reader looks, hold `ESKERCRC` and a CRC-32C of all the rest: it is
//! checked before a byte is parsed.

mod archive;
mod codec;
mod thrift;

use uuid::Uuid;

use crate::layout::SegmentName;
use crate::lineage::{self, EpochStart};

pub use archive::{Archive, RemovedArchive};
pub use codec::BadManifest;

/// Who wrote a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Writer {
    /// The leader's epoch: a higher one fences.
    pub epoch: i32,
    /// Fresh for each generation's content: tells our own retry from another's object.
    pub uuid: Uuid,
}

/// A published segment: a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Its object's name: base offset, the uploader's epoch, uuid.
    pub name: SegmentName,
    /// The offset after its last record that counts: the object holds more if a leader was elected that lacked the rest.
    pub end: i64,
    /// The epochs of its records.
    pub epochs: Vec<EpochStart>,
    /// The largest timestamp of its records, −1 if they have none.
    pub max_timestamp: i64,
    /// The bytes of its batches.
    pub log_bytes: u64,
    /// The bytes of footer and trailer, behind the batches.
    pub footer_bytes: u32,
    /// The CRC-32C in the trailer: through the chunk table it vouches for every byte of the object.
    pub crc: u32,
}

impl Segment {
    /// The offset of its first record.
    #[must_use]
    pub fn base(&self) -> i64 {
        self.name.base
    }

    /// Up to where its records are on the chain; what follows was written by a leader that was deposed without it (an
    /// unclean election), and is not served. A segment is judged alone: where one leaves the chain, no later one returns.
    #[must_use]
    pub fn agreed_end(&self, chain: &[EpochStart]) -> i64 {
        lineage::agreed_end(chain, &self.epochs, self.base(), self.end)
    }

    /// The part before `end`.
    fn cut_at(&self, end: i64) -> Option<Segment> {
        let epochs = lineage::slice(&self.epochs, self.base(), end);
        (end > self.base()).then(|| Segment { end, epochs, ..self.clone() })
    }

    /// The object's length.
    #[must_use]
    pub fn object_bytes(&self) -> u64 {
        self.log_bytes + u64::from(self.footer_bytes)
    }
}

/// A segment that no reader may start on any more; its object goes after a grace period.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Removed {
    /// What it was.
    pub segment: Segment,
    /// When it was unpublished.
    pub since_ms: i64,
}

/// One generation.
///
/// ```text
/// log start < the first row's end;   each row begins where the one before ends, the archives' first;
/// tier end == the last row's end
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Manifest {
    /// Counts from 1; the highest is the truth.
    pub generation: u64,
    /// Who wrote it.
    pub writer: Writer,
    /// The partition's log start offset when it was written.
    pub log_start: i64,
    /// Files of older rows, by offset, without holes up to the first live segment.
    pub archives: Vec<Archive>,
    /// Segments that are served, by offset, without holes.
    pub live: Vec<Segment>,
    /// Segments whose objects are still there for readers of older generations.
    pub removed: Vec<Removed>,
    /// Archives whose objects are still there for them.
    pub removed_archives: Vec<RemovedArchive>,
}

impl Manifest {
    /// The offset after the last live segment; `None` for an empty tier.
    #[must_use]
    pub fn tier_end(&self) -> Option<i64> {
        self.live.last().map(|segment| segment.end).or_else(|| self.archives.last().map(Archive::end))
    }

    /// The first offset that can be read here.
    #[must_use]
    pub fn tier_start(&self) -> Option<i64> {
        let first = self.archives.first().map(|archive| archive.start);
        first.or_else(|| self.live.first().map(Segment::base)).map(|first| first.max(self.log_start))
    }

    /// Whether nothing below a log start comes back in a restore from here, also not what lies below it within a segment.
    #[must_use]
    pub fn carries(&self, log_start: i64) -> bool {
        self.tier_start().is_none_or(|start| start >= log_start)
    }

    /// The archive that holds an offset.
    #[must_use]
    pub fn archive_of(&self, offset: i64) -> Option<&Archive> {
        let after = self.archives.partition_point(|archive| archive.start <= offset);
        self.archives[..after].last().filter(|archive| offset < archive.end())
    }

    /// The epoch of the batch that holds the offset before this one; `None` when that is not here.
    #[must_use]
    pub fn epoch_before(&self, offset: i64) -> Option<i32> {
        let last = offset.checked_sub(1)?;
        let epochs = match self.archive_of(last) {
            Some(archive) => &archive.epochs,
            None => &self.live.iter().find(|row| row.base() <= last && last < row.end)?.epochs,
        };
        epochs[..epochs.partition_point(|entry| entry.start <= last)].last().map(|entry| entry.epoch)
    }

    /// Nothing is served from here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.archives.is_empty()
    }

    /// How many lists the segments are in: the archives, oldest first, and the head's own.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.archives.len() + 1
    }

    /// How many segments are served.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.archives.iter().map(|archive| u64::from(archive.segments)).sum::<u64>() + self.live.len() as u64
    }

    /// The bytes of all objects that are served.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        let archived: u64 = self.archives.iter().map(|a| a.log_bytes + u64::from(a.footer_bytes)).sum();
        archived + self.live.iter().map(Segment::object_bytes).sum::<u64>()
    }

    /// About the memory it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let row = |segment: &Segment| size_of::<Removed>() + segment.epochs.len() * size_of::<EpochStart>();
        let live: usize = self.live.iter().map(row).sum();
        let archives =
            self.archives.iter().chain(self.removed_archives.iter().map(|removed| &removed.archive));
        let archives: usize =
            archives.map(|a| size_of::<RemovedArchive>() + a.epochs.len() * size_of::<EpochStart>()).sum();
        archives
            + live
            + self.removed.iter().map(|removed| row(&removed.segment)).sum::<usize>()
            + size_of::<Manifest>()
    }

    /// The live segments on the chain; the last one may be cut at the divergence. None when an archive before them has
    /// left the chain.
    #[must_use]
    pub fn on_chain(&self, chain: &[EpochStart]) -> Vec<Segment> {
        if self.diverged_archive(chain).is_some() { Vec::new() } else { on_chain(&self.live, chain) }
    }

    /// The first archive that is not wholly on the chain.
    #[must_use]
    pub fn diverged_archive(&self, chain: &[EpochStart]) -> Option<&Archive> {
        self.archives.get(self.agreeing_archives(chain))
    }

    /// How many archives are wholly on the chain.
    #[must_use]
    pub fn agreeing_archives(&self, chain: &[EpochStart]) -> usize {
        self.archives.partition_point(|archive| archive.is_on(chain))
    }

    /// The log start, as far as it counts on a leader's chain. All that was committed under the epochs up to the writer's lies
    /// before the first later one: a log start above that was of records that an unclean election has lost, and what stands at
    /// these offsets by now was written since.
    #[must_use]
    pub fn log_start_on(&self, chain: &[EpochStart]) -> i64 {
        let since = chain.iter().find(|entry| entry.epoch > self.writer.epoch);
        since.map_or(self.log_start, |since| self.log_start.min(since.start))
    }

    /// Checks the order of the rows, and that the bytes they tell of can be added up.
    ///
    /// # Errors
    /// `BadManifest::Content` names the offset where it breaks.
    pub fn check(&self) -> Result<(), BadManifest> {
        let broken = |offset| BadManifest::Content { generation: self.generation, offset };
        let archived = self.archives.iter().map(|archive| (archive.start, archive.end()));
        let rows = archived.chain(self.live.iter().map(|segment| (segment.base(), segment.end)));
        let mut before: Option<i64> = None;
        for (base, end) in rows {
            if base >= end || end <= self.log_start {
                return Err(broken(base));
            }
            if let Some(before) = before.filter(|before| *before != base) {
                return Err(broken(before));
            }
            before = Some(end);
        }
        let gone = self.removed_archives.iter().map(|removed| &removed.archive);
        let archives = self.archives.iter().chain(gone).map(|a| (a.start, a.log_bytes, a.footer_bytes));
        let gone = self.removed.iter().map(|removed| &removed.segment);
        let segments = self.live.iter().chain(gone).map(|s| (s.base(), s.log_bytes, s.footer_bytes));
        let mut total = 0_u64;
        for (start, log_bytes, footer_bytes) in archives.chain(segments) {
            let with =
                log_bytes.checked_add(u64::from(footer_bytes)).and_then(|more| total.checked_add(more));
            total = with.ok_or_else(|| broken(start))?;
        }
        Ok(())
    }
}

/// The segments on the chain; the last one may be cut at the divergence.
pub(crate) fn on_chain(segments: &[Segment], chain: &[EpochStart]) -> Vec<Segment> {
    let whole = segments.partition_point(|segment| segment.agreed_end(chain) == segment.end);
    let mut kept = segments[..whole].to_vec();
    kept.extend(segments.get(whole).and_then(|segment| segment.cut_at(segment.agreed_end(chain))));
    kept
}

/// How a successor differs from the generation before it.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'a> {
    /// Verified uploads, by offset; the first continues the tier's end, after what the chain rejects is gone.
    pub add: &'a [Segment],
    /// The leader's epoch chain.
    pub chain: &'a [EpochStart],
    /// All segments are unpublished, the archives too: the tier is given up.
    pub discard: bool,
    /// Verified uploads that take the places of the segments from a lost one on, up to where one ends or all do.
    pub rewrite: &'a [Segment],
    /// A file that takes over the oldest live segments.
    pub archive: Option<&'a Archive>,
    /// The rows of an archive that is partly expired, or has left the chain.
    pub unpacked: Option<(Uuid, &'a [Segment])>,
    /// The partition's log start: segments that end at or below it are unpublished.
    pub log_start: i64,
    /// Removed segments and archives whose objects are gone.
    pub deleted: &'a [Uuid],
    /// A damaged segment's name, and the row of the object that was written in its place.
    pub replace: Option<&'a (SegmentName, Segment)>,
    /// The time, for the grace period.
    pub now_ms: i64,
}

/// The content of the generation after `head` (`None`: of the first one).
#[must_use]
pub fn successor(head: Option<&Manifest>, writer: Writer, changes: &Changes<'_>) -> Manifest {
    let mut next = head.cloned().unwrap_or_default();
    next.generation += 1;
    next.writer = writer;
    next.log_start = changes.log_start.max(head.map_or(i64::MIN, |head| head.log_start_on(changes.chain)));
    next.put_in_place(changes);
    next.drop_diverged(changes);
    next.rewrite(changes);
    next.live.extend_from_slice(changes.add);
    next.take_archive(changes);
    next.expire(changes);
    let is_deleted = |uuid: &Uuid| changes.deleted.contains(uuid);
    next.removed.retain(|removed| !is_deleted(&removed.segment.name.uuid));
    next.removed_archives.retain(|removed| !is_deleted(&removed.archive.name.uuid));
    next
}

impl Manifest {
    fn remove(&mut self, segments: impl IntoIterator<Item = Segment>, since_ms: i64) {
        self.removed.extend(segments.into_iter().map(|segment| Removed { segment, since_ms }));
    }

    fn remove_archives(&mut self, archives: impl IntoIterator<Item = Archive>, since_ms: i64) {
        let removed = archives.into_iter().map(|archive| RemovedArchive { archive, since_ms });
        self.removed_archives.extend(removed);
    }

    /// Names a new object where a damaged one was named.
    fn put_in_place(&mut self, changes: &Changes<'_>) {
        let Some((old, new)) = changes.replace else { return };
        if let Some(row) = self.live.iter_mut().find(|row| row.name == *old) {
            let damaged = std::mem::replace(row, new.clone());
            self.remove([damaged], changes.now_ms);
        }
    }

    /// Names what was uploaded again where the lost object and what lies behind it up to the same end were named.
    fn rewrite(&mut self, changes: &Changes<'_>) {
        let Some((first, last)) = changes.rewrite.first().zip(changes.rewrite.last()) else { return };
        let from = self.live.partition_point(|row| row.end <= first.base());
        let to = self.live.partition_point(|row| row.end <= last.end);
        let begins = self.live.get(from).is_some_and(|row| row.base() <= first.base());
        if begins && self.live.get(to).is_none_or(|row| row.base() == last.end) {
            // What lies before, nobody could upload here: it stays with the lost object, which others may have.
            let before = self.live[from].cut_at(first.base());
            let (cut, new) = (usize::from(before.is_some()), changes.rewrite.iter().cloned());
            let gone: Vec<Segment> = self.live.splice(from..to, before.into_iter().chain(new)).collect();
            self.remove(gone.into_iter().skip(cut), changes.now_ms);
        }
    }

    /// Unpublishes what is not on the chain, or everything.
    fn drop_diverged(&mut self, changes: &Changes<'_>) {
        let now_ms = changes.now_ms;
        let agreeing = if changes.discard { 0 } else { self.agreeing_archives(changes.chain) };
        let diverged = self.archives.split_off(agreeing);
        if diverged.is_empty() {
            let kept = if changes.discard { Vec::new() } else { on_chain(&self.live, changes.chain) };
            let gone = self.live.split_off(kept.len());
            self.live = kept;
            self.remove(gone, now_ms);
            return;
        }
        let gone = std::mem::take(&mut self.live);
        self.remove(gone, now_ms);
        for mut archive in diverged {
            if let Some(rows) = changes.rows_of(&archive).filter(|_| !changes.discard) {
                // Its rows stand for themselves again, or go one by one; of the archive only the file is left to delete.
                let kept = on_chain(rows, changes.chain);
                self.remove(rows[kept.len()..].to_vec(), now_ms);
                self.live = kept;
                archive.start = archive.end();
            }
            self.remove_archives([archive], now_ms);
        }
    }

    /// Moves the oldest live rows to the archive that was written for them, if it still is of them.
    fn take_archive(&mut self, changes: &Changes<'_>) {
        let Some(archive) = changes.archive else { return };
        let rows = self.live.partition_point(|segment| segment.end <= archive.end());
        if Archive::of(archive.name, &self.live[..rows], archive.crc).as_ref() == Some(archive) {
            self.live.drain(..rows);
            self.archives.push(archive.clone());
        }
    }

    /// Unpublishes what ends at or below the log start.
    fn expire(&mut self, changes: &Changes<'_>) {
        let (log_start, now_ms) = (self.log_start, changes.now_ms);
        let whole = self.archives.partition_point(|archive| archive.end() <= log_start);
        let gone: Vec<Archive> = self.archives.drain(..whole).collect();
        self.remove_archives(gone, now_ms);
        if let Some(first) = self.archives.first_mut()
            && let Some(rows) = changes.rows_of(first)
        {
            let expired = rows.partition_point(|segment| segment.end <= log_start);
            *first = first.starting_with(&rows[expired..]);
            self.remove(rows[..expired].to_vec(), now_ms);
        }
        let expired = self.live.partition_point(|segment| segment.end <= log_start);
        let gone: Vec<Segment> = self.live.drain(..expired).collect();
        self.remove(gone, now_ms);
    }
}

impl Changes<'_> {
    /// The rows of an archive that still count, if they were unpacked.
    fn rows_of(&self, archive: &Archive) -> Option<&[Segment]> {
        let (uuid, rows) = self.unpacked?;
        (uuid == archive.name.uuid).then(|| archive.counting(rows))
    }
}

#[cfg(test)]
mod tests;
