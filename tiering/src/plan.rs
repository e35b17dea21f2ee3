//! What to do next with a partition's segments: a pure function of the local log, what is known of the tier, the
//! policy and the time.
//!
//! ```text
//!            log start        local start      tier end       high watermark   log end
//!  expired ......|== tier only ====|== both ========|== local only ====|.......|
//! ```
//! The order of the rules is the order of safety: what needs no store comes first, so that an outage of the store delays
//! neither retention nor the room it makes.

use std::sync::Arc;

use uuid::Uuid;

use crate::layout::{ArchiveName, SegmentName};
use crate::lineage::EpochStart;
use crate::manifest::{Archive, Manifest, Segment};
use crate::publish::Head;

/// A closed segment of the local log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalSegment {
    /// The offset of its first record.
    pub base: i64,
    /// The offset after its last.
    pub end: i64,
    /// The length of its `.log`.
    pub bytes: u64,
    /// The largest timestamp of its records, −1 if they have none.
    pub max_timestamp: i64,
}

/// The leader's log at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The epoch of the leadership that plans.
    pub epoch: i32,
    /// What lies before is gone for good.
    pub log_start: i64,
    /// The first offset that is on the local disk.
    pub local_start: i64,
    /// Only what lies before is committed.
    pub high_watermark: i64,
    /// No open transaction lies before.
    pub last_stable: i64,
    /// The epoch chain from the log start on.
    pub chain: Vec<EpochStart>,
    /// The closed segments, by offset.
    pub closed: Vec<LocalSegment>,
    /// The length of the open segment.
    pub open_bytes: u64,
    /// From here on every replica has the records on its own disk; `None` while one has not said so. Asked for only when the
    /// tier is given up.
    pub everywhere_from: Option<i64>,
}

/// A topic's settings, resolved: `None` is "no bound".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// New segments go to the tier (`remote.storage.enable` without `remote.log.copy.disable`).
    pub copy: bool,
    /// The tier is turned off and gives up all that it holds (`remote.log.delete.on.disable`).
    pub discard: bool,
    /// Somebody waits for a manifest that carries the log start: only what brings it there is done, and nothing goes up before.
    /// Unasked it goes with the next uploads: a generation of its own for each segment that expires would cost a PUT more.
    pub awaited: bool,
    /// `retention.ms`.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`.
    pub retention_bytes: Option<u64>,
    /// `local.retention.ms`, −2 resolved to the total one.
    pub local_retention_ms: Option<i64>,
    /// `local.retention.bytes`, −2 resolved to the total one.
    pub local_retention_bytes: Option<u64>,
    /// How long an unpublished object stays for readers of older generations.
    pub grace_ms: i64,
    /// How long what has expired may wait for a generation that something else asks for: one of its own for each segment would be
    /// a PUT more. Only while new segments go to the tier.
    pub expiry_ms: i64,
    /// At most so many uploads go into one generation.
    pub segments_per_generation: usize,
    /// So many rows go to an archive at once, and at least as many stay in the head.
    pub archive_rows: usize,
    /// So many generations stay behind the head.
    pub keep_generations: u64,
    /// Old generations are removed when there are so many of them, together: the boundary before it is a request too.
    pub remove_generations: u64,
    /// A generation is removed only when one that is not below it has been known for so long, on a monotonic clock.
    pub superseded_ms: i64,
    /// A writer who learned the head less than this ago cannot meet a number that was removed: see
    /// [`publish`](crate::publish). Half of `superseded_ms`, since two clocks do not run alike.
    pub knowledge_ms: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            copy: true,
            discard: false,
            awaited: false,
            retention_ms: None,
            retention_bytes: None,
            local_retention_ms: None,
            local_retention_bytes: None,
            grace_ms: 60_000,
            expiry_ms: 0,
            segments_per_generation: 16,
            archive_rows: 1024,
            keep_generations: 8,
            remove_generations: 64,
            superseded_ms: 3_600_000,
            knowledge_ms: 1_800_000,
        }
    }
}

/// What a leader knows of the tier, and what it has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tier {
    /// The newest generation that was seen; `None` until it was looked for.
    pub head: Option<Head>,
    /// Verified uploads that no generation names yet, by offset, continuing the tier.
    pub pending: Vec<Segment>,
    /// Live objects up to here were looked at after they were published.
    pub checked_end: Option<i64>,
    /// A published object that was not there, or of another length: its base offset.
    pub lost: Option<i64>,
    /// Removed segments and archives whose objects were deleted. The next generation leaves them out, whenever that comes: no segment asks
    /// for one, as who leads next would only delete once more what is gone.
    pub deleted: Vec<Uuid>,
    /// What has expired since the last generation.
    pub expired: Option<Expired>,
    /// A file for the oldest live rows that no generation names yet.
    pub archive: Option<Archive>,
    /// The rows of the archive that is partly expired, or has left the chain.
    pub unpacked: Option<(Uuid, Arc<Vec<Segment>>)>,
    /// Own archive files that will never be named.
    pub abandoned_archives: Vec<ArchiveName>,
    /// Own uploads that will never be published.
    pub abandoned: Vec<SegmentName>,
    /// A damaged live segment, and the verified object that is to stand in its place.
    pub replacement: Option<(SegmentName, Segment)>,
    /// Verified uploads that are to stand where a lost object and perhaps some after it stand, from its base on. The old rows
    /// are named until all are there: whoever leads next may lack these records.
    pub rewritten: Vec<Segment>,
    /// Objects of earlier leaders were swept under this epoch.
    pub swept: bool,
    /// Generations up to here are known to be superseded for long enough (`Policy::superseded_ms`).
    pub removable: u64,
}

/// What has expired and is still named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Expired {
    /// The log start that retention has raised last.
    pub log_start: i64,
    /// When it raised the first one that no generation has.
    pub since_ms: i64,
}

impl Tier {
    /// Retention has raised the log start.
    pub(crate) fn expires(&mut self, log_start: i64, now_ms: i64) {
        let since_ms = self.expired.map_or(now_ms, |expired| expired.since_ms);
        self.expired = Some(Expired { log_start, since_ms });
    }

    /// Whether nothing but retention asks for this log start to be published, and it can wait.
    fn may_wait(&self, local: &Local, policy: &Policy, now_ms: i64) -> bool {
        let waits = |expired: Expired| {
            expired.log_start == local.log_start && now_ms.saturating_sub(expired.since_ms) < policy.expiry_ms
        };
        policy.copy && self.expired.is_some_and(waits)
    }

    /// The newest manifest, when there is one.
    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        self.head.as_ref()?.manifest.as_ref()
    }

    /// Builds on a head that was found in the store, which no later leader wrote.
    pub(crate) fn found(&mut self, head: Head, local: &Local) {
        if let Some(manifest) = &head.manifest {
            // Local copies below the local start are gone already: there is nothing left to protect by a look. And what went
            // to an archive was looked at before.
            let agreeing = manifest.agreeing_archives(&local.chain);
            let archived = manifest.archives[..agreeing].last().map(Archive::end);
            let live = manifest.on_chain(&local.chain);
            let gone = live.iter().take_while(|segment| segment.end <= local.local_start).last();
            self.checked_end = self.checked_end.max(archived).max(gone.map(|segment| segment.end));
        }
        self.head = Some(head);
        self.expired = None;
        self.keep_what_continues(local);
    }

    /// After a rebase: pending uploads count only if they still continue the tier.
    fn keep_what_continues(&mut self, local: &Local) {
        let view = View::new(self.manifest(), self, &local.chain);
        let mut next = view.continues_at(local.log_start, &[]);
        let mut kept = Vec::new();
        let pending = std::mem::take(&mut self.pending);
        for segment in pending {
            if segment.base() == next {
                next = segment.end;
                kept.push(segment);
            } else {
                self.abandoned.push(segment.name);
            }
        }
        self.pending = kept;
        self.abandoned.extend(self.replacement.take().map(|(_, row)| row.name));
        self.abandoned.extend(self.rewritten.drain(..).map(|row| row.name));
        let archive = self.archive.take().map(|archive| archive.name);
        self.abandoned_archives.extend(archive);
    }

    /// Uploads that no generation names are given up, since the whole tier is.
    pub(crate) fn give_up_uploads(&mut self) {
        let given_up = self.pending.drain(..).chain(self.rewritten.drain(..));
        self.abandoned.extend(given_up.map(|segment| segment.name));
    }

    /// A lost object that the head names no more, since it has expired, needs nothing.
    pub(crate) fn forget_lost(&mut self) {
        let Some(lost) = self.lost else { return };
        let names_it = |manifest: &Manifest| manifest.live.iter().any(|row| row.base() == lost);
        if self.head.is_some() && !self.manifest().is_some_and(names_it) {
            self.lost = None;
            self.abandoned.extend(self.rewritten.drain(..).map(|row| row.name));
        }
    }

    /// One that is not local any more is looked for again behind the next generation.
    pub(crate) fn forget_distant(&mut self, local: &Local) {
        let Some(lost) = self.lost else { return };
        let is_local = |row: &Segment| row.base() == lost && local.local_start < row.end;
        if !self.manifest().is_some_and(|manifest| manifest.live.iter().any(is_local)) {
            self.lost = None;
        }
    }

    /// The generation that this leader has published is the head now.
    pub(crate) fn published(&mut self, generation: Manifest) {
        if let Some(archive) = self.archive.take()
            && generation.archives.last() != Some(&archive)
        {
            self.abandoned_archives.push(archive.name);
        }
        if let Some((_, row)) = self.replacement.take()
            && !generation.live.contains(&row)
        {
            self.abandoned.push(row.name);
        }
        if self.rewritten.iter().any(|row| generation.live.contains(row)) {
            self.rewritten.clear();
            self.lost = None;
        }
        self.pending.clear();
        self.deleted.clear();
        self.expired = None;
        let boundary = self.head.as_ref().map_or(0, |head| head.boundary);
        self.checked_end = self.checked_end.min(generation.tier_end());
        self.head = Some(Head { manifest: Some(generation), boundary });
    }
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look for the newest generation.
    FindHead,
    /// Total retention: raise the log start.
    AdvanceLogStart {
        /// To here.
        to: i64,
    },
    /// Local retention: remove local segments.
    DeleteLocal {
        /// Those that end at or below this offset.
        below: i64,
    },
    /// Upload a local segment, from this offset on.
    Upload {
        /// Where the tier will continue.
        from: i64,
        /// The local segment that holds it.
        segment: LocalSegment,
    },
    /// Upload a local segment once more, from this offset on, for an object that was lost.
    Rewrite {
        /// Where the lost object begins, or what was rewritten ends.
        from: i64,
        /// The local segment that holds it.
        segment: LocalSegment,
    },
    /// Publish the generation after the head.
    Publish,
    /// Look at objects that were published.
    Check {
        /// The segments, by offset.
        segments: Vec<Segment>,
    },
    /// Read the rows of an archive.
    Unpack {
        /// Which.
        archive: Archive,
    },
    /// Write a file of the oldest live rows.
    Archive {
        /// The rows.
        segments: Vec<Segment>,
    },
    /// Delete an archive whose grace period is over: its rows' objects, and the file.
    DeleteArchive {
        /// Which.
        archive: Archive,
    },
    /// Delete objects whose grace period is over.
    DeleteObjects {
        /// Their names.
        names: Vec<SegmentName>,
    },
    /// Remove old generations.
    RemoveGenerations {
        /// The boundary so far.
        from: u64,
        /// The boundary to come.
        to: u64,
    },
    /// Look for orphans.
    Sweep,
    /// Nothing to do for now.
    Idle,
}

const CHECKS_AT_ONCE: usize = 64;

/// The next action.
#[must_use]
pub fn next_action(local: &Local, tier: &Tier, policy: &Policy, now_ms: i64) -> Action {
    let Some(head) = &tier.head else { return Action::FindHead };
    if local.chain.is_empty() {
        // Nothing was ever appended, or the chain is not known: no statement about lineage is possible.
        return Action::Idle;
    }
    let view = View::new(head.manifest.as_ref(), tier, &local.chain);
    if let Some(archive) = view.diverged.filter(|archive| !tier.has_unpacked(archive)) {
        // Which of its rows count, only they tell.
        return Action::Unpack { archive: archive.clone() };
    }
    let expired = expired_to(local, &view, policy, now_ms);
    if expired > local.log_start {
        return Action::AdvanceLogStart { to: expired };
    }
    let is_empty = head.manifest.as_ref().is_none_or(Manifest::is_empty);
    if policy.discard && !is_empty {
        // Log start, manifest, objects, in this order. A follower may have begun far above this leader, at what was the end of
        // the tier: when it leads, what lies before would be nowhere.
        let Some(everywhere) = local.everywhere_from else { return Action::Idle };
        let to = everywhere.max(local.local_start);
        return if to > local.log_start { Action::AdvanceLogStart { to } } else { Action::Publish };
    }
    if policy.awaited {
        let carried = head.manifest.as_ref().is_none_or(|manifest| manifest.carries(local.log_start));
        return if carried { Action::Idle } else { Action::Publish };
    }
    if let Some(checked_end) = tier.checked_end {
        let below = local_delete_below(local, checked_end.min(view.end()), policy, now_ms);
        if let Some(below) = below {
            return Action::DeleteLocal { below };
        }
    }
    if let Some(action) = make_whole(local, tier, &view) {
        return action;
    }
    let may_upload = policy.copy && !policy.discard && tier.rewritten.is_empty();
    if may_upload && tier.pending.len() < policy.segments_per_generation {
        let from = view.continues_at(local.log_start, &tier.pending);
        if let Some(&segment) = local.closed.iter().find(|s| s.base <= from && from < s.end)
            && segment.end <= local.high_watermark.min(local.last_stable)
        {
            return Action::Upload { from, segment };
        }
    }
    let live = &view.live[..];
    let unpublished = !tier.pending.is_empty() || tier.archive.is_some() || tier.replacement.is_some();
    // Where nothing goes up any more no other generation comes; and a sweep reads the archives that are named.
    let is_deleted = |archive: &Archive| tier.deleted.contains(&archive.uuid());
    let names_gone =
        |head: &Manifest| head.removed_archives.iter().any(|removed| is_deleted(&removed.archive));
    let leaves_out =
        (!policy.copy && !tier.deleted.is_empty()) || head.manifest.as_ref().is_some_and(names_gone);
    if unpublished || leaves_out || view.is_outdated(local, tier.may_wait(local, policy, now_ms)) {
        return Action::Publish;
    }
    let unchecked = tier.checked_end.map_or(live, |end| &live[live.partition_point(|s| s.end <= end)..]);
    if !unchecked.is_empty() && tier.lost.is_none() {
        let segments = unchecked.iter().take(CHECKS_AT_ONCE).cloned().collect();
        return Action::Check { segments };
    }
    let Some(manifest) = &head.manifest else { return Action::Idle };
    if let Some(archive) = view.oldest_to_unpack(local.log_start, policy) {
        return Action::Unpack { archive: archive.clone() };
    }
    if let Some(segments) = rows_to_archive(manifest, tier, policy) {
        return Action::Archive { segments };
    }
    if gap(local, tier).is_some() {
        return Action::Idle;
    }
    let is_due = |since_ms: i64, uuid: Uuid| {
        since_ms.saturating_add(policy.grace_ms) <= now_ms && !tier.deleted.contains(&uuid)
    };
    let due = manifest.removed.iter().filter(|removed| is_due(removed.since_ms, removed.segment.name.uuid));
    let names: Vec<SegmentName> = due.map(|removed| removed.segment.name).collect();
    if !names.is_empty() {
        return Action::DeleteObjects { names };
    }
    let mut archives = manifest.removed_archives.iter();
    if let Some(removed) = archives.find(|removed| is_due(removed.since_ms, removed.archive.uuid())) {
        return Action::DeleteArchive { archive: removed.archive.clone() };
    }
    let to = manifest.generation.saturating_sub(policy.keep_generations).min(tier.removable);
    if to >= head.boundary + policy.remove_generations.max(1) {
        return Action::RemoveGenerations { from: head.boundary, to };
    }
    let ours = manifest.writer.epoch == local.epoch;
    let abandoned = !tier.abandoned.is_empty() || !tier.abandoned_archives.is_empty();
    if ours && (!tier.swept || abandoned) {
        return Action::Sweep;
    }
    Action::Idle
}

/// What the leader sees of the tier: the part that is on its chain.
#[derive(Debug, Default)]
pub struct View<'a> {
    manifest: Option<&'a Manifest>,
    /// The rows of the oldest archive that count, if they were read.
    oldest: Option<&'a [Segment]>,
    archives: &'a [Archive],
    diverged: Option<&'a Archive>,
    live: Vec<Segment>,
    /// The head's log start is of records that an unclean election has lost.
    starts_too_high: bool,
}

impl<'a> View<'a> {
    /// The view of a chain.
    #[must_use]
    pub fn new(manifest: Option<&'a Manifest>, tier: &'a Tier, chain: &[EpochStart]) -> View<'a> {
        let Some(head) = manifest else { return View::default() };
        let whole = head.agreeing_archives(chain);
        let unpacked = |archive: &Archive| {
            let rows = tier.unpacked.as_ref().filter(|(uuid, _)| *uuid == archive.uuid());
            rows.map(|(_, rows)| archive.counting(rows))
        };
        let diverged = head.archives.get(whole);
        View {
            manifest,
            oldest: head.archives[..whole].first().and_then(unpacked),
            archives: &head.archives[..whole],
            diverged,
            starts_too_high: head.log_start > head.log_start_on(chain),
            live: match diverged {
                Some(archive) => {
                    unpacked(archive).map(|rows| crate::manifest::on_chain(rows, chain)).unwrap_or_default()
                }
                None => head.on_chain(chain),
            },
        }
    }

    /// The offset after the last record that counts, `i64::MIN` without any.
    #[must_use]
    pub fn end(&self) -> i64 {
        let archived = self.archives.last().map(Archive::end);
        self.live.last().map(|segment| segment.end).or(archived).unwrap_or(i64::MIN)
    }

    /// Where the next upload starts: after what is uploaded, but not before the log start.
    #[must_use]
    pub fn continues_at(&self, log_start: i64, pending: &[Segment]) -> i64 {
        pending.last().map_or(self.end(), |segment| segment.end).max(log_start)
    }

    /// The head names what is not on the chain, or has expired and may not wait.
    fn is_outdated(&self, local: &Local, may_wait: bool) -> bool {
        let Some(head) = self.manifest else { return false };
        let log_start = local.log_start;
        let expired = match (self.oldest, self.archives.first()) {
            (Some(rows), _) => rows.first().is_some_and(|segment| segment.end <= log_start),
            (None, Some(archive)) => archive.end() <= log_start,
            (None, None) => self.live.first().is_some_and(|segment| segment.end <= log_start),
        };
        let is_of_others = self.diverged.is_some() || head.live[..] != self.live[..];
        let is_late = (expired || !head.carries(log_start)) && !may_wait;
        is_late || is_of_others || self.starts_too_high
    }

    /// The oldest archive, when its rows expire one by one and are not known.
    fn oldest_to_unpack(&self, log_start: i64, policy: &Policy) -> Option<&'a Archive> {
        let bounded = policy.retention_ms.is_some() || policy.retention_bytes.is_some();
        let oldest = self.archives.first().filter(|_| self.oldest.is_none())?;
        (bounded || oldest.start < log_start).then_some(oldest)
    }

    /// What may expire, by offset: segments, and whole archives whose rows are not known.
    fn units(&self) -> impl Iterator<Item = LocalSegment> + '_ {
        let of_row = |s: &Segment| LocalSegment {
            base: s.base(),
            end: s.end,
            bytes: s.log_bytes,
            max_timestamp: s.max_timestamp,
        };
        let of_archive = |a: &Archive| LocalSegment {
            base: a.start,
            end: a.end(),
            bytes: a.log_bytes,
            max_timestamp: a.max_timestamp,
        };
        let whole = &self.archives[usize::from(self.oldest.is_some())..];
        let oldest = self.oldest.unwrap_or_default().iter().map(of_row);
        oldest.chain(whole.iter().map(of_archive)).chain(self.live.iter().map(of_row))
    }
}

impl Tier {
    fn has_unpacked(&self, archive: &Archive) -> bool {
        self.unpacked.as_ref().is_some_and(|(uuid, _)| *uuid == archive.uuid())
    }
}

/// What a lost object asks for while its records are local: uploads from its base on until a row ends where the last one does, or all do.
/// Of one that begins below the local start the part from there on: with that the tier is whole again for what is local.
fn make_whole(local: &Local, tier: &Tier, view: &View<'_>) -> Option<Action> {
    let lost = tier.lost?;
    let row = view.live.iter().find(|row| row.base() == lost && local.local_start < row.end)?;
    if !tier.pending.is_empty() {
        // They continue a tier end that the rewritten ones may pass.
        return Some(Action::Publish);
    }
    if tier.is_rewritten(view) {
        return Some(Action::Publish);
    }
    let first = row.base().max(local.local_start);
    let from = tier.rewritten.last().map_or(first, |last| last.end);
    let segment = *local.closed.iter().find(|s| s.base <= from && from < s.end)?;
    let committed = segment.end <= local.high_watermark.min(local.last_stable);
    committed.then_some(Action::Rewrite { from, segment })
}

impl Tier {
    /// Whether what was rewritten can take the place of the rows from the lost one on.
    fn is_rewritten(&self, view: &View<'_>) -> bool {
        let Some(last) = self.rewritten.last() else { return false };
        last.end >= view.end() || view.live.iter().any(|row| row.end == last.end)
    }

    /// The same, for the generation that is about to be written.
    pub(crate) fn complete_rewrite(&self, chain: &[EpochStart]) -> &[Segment] {
        let view = View::new(self.manifest(), self, chain);
        if self.is_rewritten(&view) { &self.rewritten } else { &[] }
    }
}

/// Records that are neither in the tier, as the leader sees it, nor on its disk: from where to where. Another replica may
/// have them, and continues the tier when it leads; until then nothing of this partition is deleted from the store, where the
/// objects that held them may still be.
#[must_use]
pub fn gap(local: &Local, tier: &Tier) -> Option<(i64, i64)> {
    tier.head.as_ref()?;
    if local.chain.is_empty() {
        return None;
    }
    let view = View::new(tier.manifest(), tier, &local.chain);
    if view.diverged.is_some_and(|archive| !tier.has_unpacked(archive)) {
        return None;
    }
    let from = view.continues_at(local.log_start, &tier.pending);
    (from < local.local_start).then_some((from, local.local_start))
}

/// The oldest live rows, when there are many, and all were looked at.
fn rows_to_archive(manifest: &Manifest, tier: &Tier, policy: &Policy) -> Option<Vec<Segment>> {
    let rows = policy.archive_rows.max(1);
    let oldest = manifest.live.get(..rows).filter(|_| manifest.live.len() >= 2 * rows)?;
    let checked = tier.checked_end.is_some_and(|end| oldest.iter().all(|segment| segment.end <= end));
    (checked && tier.archive.is_none()).then(|| oldest.to_vec())
}

/// The log start that total retention asks for, over both tiers; the current one when nothing expires.
#[must_use]
pub fn expired_to(local: &Local, view: &View<'_>, policy: &Policy, now_ms: i64) -> i64 {
    // What lies in both tiers counts once; the tier's share of a segment that straddles the local start counts as nothing,
    // which can only delay.
    let tier_only = view.units().filter(|unit| unit.base < local.local_start).map(|unit| LocalSegment {
        end: unit.end.min(local.local_start),
        bytes: if unit.end <= local.local_start { unit.bytes } else { 0 },
        ..unit
    });
    let units: Vec<LocalSegment> =
        tier_only.chain(local.closed.iter().copied()).filter(|unit| unit.end > local.log_start).collect();
    let mut total: u64 = units.iter().map(|unit| unit.bytes).sum::<u64>() + local.open_bytes;
    let mut to = local.log_start;
    for unit in units {
        let rest = total - unit.bytes;
        let by_size = policy.retention_bytes.is_some_and(|limit| rest >= limit);
        if unit.end > local.high_watermark || !(by_size || by_time(&unit, policy.retention_ms, now_ms)) {
            break;
        }
        total = rest;
        to = unit.end;
    }
    to
}

/// Up to where local retention removes local segments, never past `tier_end`; also on followers, with the tier end that
/// the leader has told them.
#[must_use]
pub fn local_delete_below(local: &Local, tier_end: i64, policy: &Policy, now_ms: i64) -> Option<i64> {
    let mut total: u64 = local.closed.iter().map(|s| s.bytes).sum::<u64>() + local.open_bytes;
    let mut below = None;
    for segment in &local.closed {
        let rest = total - segment.bytes;
        let by_size = policy.local_retention_bytes.is_some_and(|limit| rest >= limit);
        let goes = by_size || by_time(segment, policy.local_retention_ms, now_ms);
        if segment.end > tier_end || segment.end > local.high_watermark || !goes {
            break;
        }
        total = rest;
        below = Some(segment.end);
    }
    below
}

fn by_time(segment: &LocalSegment, retention_ms: Option<i64>, now_ms: i64) -> bool {
    let age = now_ms.saturating_sub(segment.max_timestamp);
    segment.max_timestamp >= 0 && retention_ms.is_some_and(|retention| age > retention)
}

#[cfg(test)]
mod tests;
