//! Puts a partition's manifest right from the bucket alone: when the head can't be read, or names what is not there.
//!
//! ```text
//! what an older generation and every footer say  →  a run of whole segments that follow each other  →  a new head
//! ```
//! Rows of archives count as the head's own do; an archive that can't be read is made anew from the footers, and one whose rows
//! are all as they were stays. Where an object is lost for good no run has everything: [`Keep`] says which stays. Nothing is deleted
//! here; what is given up is noted as removed, and the next leader deletes it after `tier.delete.grace.ms`. Only for a partition
//! that no broker leads: the new head is written under an epoch of the caller's, which must be above all that is known.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use uuid::Uuid;

use crate::layout::{self, ArchiveName, Entry, PartitionFolder, SegmentName};
use crate::lineage::{self, EpochStart};
use crate::manifest::{Archive, BadManifest, Manifest, Removed, Segment, Writer};
use crate::object::{self, Footer};
use crate::publish::{PublishError, Publisher};
use crate::store::{SharedStore, Store, StoreError};
use crate::verify;

/// Which part stays where lost objects leave only parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The part with the most offsets; of equals the newest.
    #[default]
    Longest,
    /// What lies before the first lost object: the tier ends there.
    Oldest,
    /// What lies behind the last lost object: the log starts there. The only part that a log whose newer records are still on
    /// brokers' disks goes on from.
    Newest,
}

/// What a repair does, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The head that is to be written.
    pub next: Manifest,
    /// Ranges of offsets (the end excluded) that the old head had and the new one has not: records that are lost, or given up
    /// because they do not follow.
    pub lost: Vec<(i64, i64)>,
    /// Segments of the old head that are named no more, since they are lost, do not follow or were replaced.
    pub given_up: Vec<SegmentName>,
    /// Objects that were found and are named now.
    pub taken_up: Vec<SegmentName>,
    /// Files of older rows that are to be written before the head that names them.
    pub archives: Vec<(ArchiveName, Bytes)>,
}

/// Why nothing can be repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The new head could not be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The topic was deleted.
    #[error("the topic was deleted: its objects are on their way out")]
    Deleted,
    /// A file of older rows can't be made.
    #[error("a file of older rows: {0}")]
    Archive(BadManifest),
}

/// Rows in one file of older rows; at least as many stay in the head.
const ARCHIVE_ROWS: usize = 1024;
/// Bytes that are read from an object's end at first.
const TAIL_BYTES: u64 = 64 << 10;

/// Finds out what is to be done; `None` when the head names exactly what is there. `epoch` and `uuid` are the new writer's.
///
/// # Errors
/// `RepairError`.
pub async fn plan(
    store: &SharedStore,
    folder: &PartitionFolder,
    keep: Keep,
    uuid: Uuid,
    now_ms: i64,
) -> Result<Option<Repair>, RepairError> {
    let publisher = Publisher::new(store.clone(), folder.clone());
    let mut generations = Vec::new();
    for object in store.list(&folder.manifests(), None).await? {
        match layout::parse(&object.key) {
            Some((_, Entry::Manifest(generation))) => generations.push(generation),
            Some((_, Entry::Tombstone)) => return Err(RepairError::Deleted),
            _ => {}
        }
    }
    let highest = generations.last().copied().unwrap_or(0);
    let mut known: Option<Manifest> = None;
    for &generation in generations.iter().rev() {
        match publisher.read(generation).await {
            Ok(manifest) => {
                known = Some(manifest);
                break;
            }
            Err(PublishError::Store(error)) if !matches!(error, StoreError::NotFound { .. }) => {
                return Err(error.into());
            }
            Err(error) => tracing::warn!(%folder, generation, %error, "a generation is passed over"),
        }
    }
    let old = known.unwrap_or_default();
    let mut files_are_whole = true;
    let mut archived: Vec<(&Archive, Option<Vec<Segment>>)> = Vec::new();
    for archive in &old.archives {
        let rows = match verify::rows(&**store, folder, archive).await? {
            Ok(rows) => Some(archive.counting(&rows).to_vec()),
            Err(what) => {
                tracing::warn!(%folder, archive = %archive.name, what, "a file of older rows is made anew");
                files_are_whole = false;
                None
            }
        };
        archived.push((archive, rows));
    }
    let of_archives = archived.iter().filter_map(|(_, rows)| rows.as_ref()).flatten();
    let named: Vec<Segment> = of_archives.chain(&old.live).cloned().collect();
    let found = footers(&**store, folder).await?;
    let first = old.archives.first().map(|archive| archive.start);
    let start = first.or_else(|| old.live.first().map(Segment::base)).unwrap_or(old.log_start);
    let run = kept_run(&found, start, old.log_start, &named, keep);
    let before: HashSet<SegmentName> = named.iter().map(|segment| segment.name).collect();
    let after: HashSet<SegmentName> = run.iter().map(|segment| segment.name).collect();
    if old.generation == highest && files_are_whole && named == run {
        return Ok(None);
    }
    let highest_epoch = found.values().map(|(segment, _)| segment.name.leader_epoch);
    let epoch = highest_epoch.chain([old.writer.epoch]).max().unwrap_or(0);
    let mut next = Manifest {
        generation: highest + 1,
        writer: Writer { epoch, uuid },
        // It rises to where the run begins, and never goes back: below it records were deleted.
        log_start: run
            .first()
            .filter(|first| first.base() > start)
            .map_or(i64::MIN, Segment::base)
            .max(old.log_start),
        removed: old.removed.clone(),
        removed_archives: old.removed_archives.clone(),
        ..Manifest::default()
    };
    let mut rest = &run[..];
    for (archive, rows) in &archived {
        let Some(behind) = rows.as_ref().and_then(|rows| rest.strip_prefix(&rows[..])) else { break };
        next.archives.push((*archive).clone());
        rest = behind;
    }
    let mut archives = Vec::new();
    while rest.len() >= 2 * ARCHIVE_ROWS {
        let (rows, behind) = rest.split_at(ARCHIVE_ROWS);
        let fresh = Uuid::from_u128(uuid.as_u128().wrapping_add(archives.len() as u128 + 1));
        if let Some((archive, bytes)) = Archive::encode(epoch, fresh, rows).map_err(RepairError::Archive)? {
            archives.push((archive.name, bytes));
            next.archives.push(archive);
        }
        rest = behind;
    }
    next.live = rest.to_vec();
    let gone = named.iter().filter(|segment| !after.contains(&segment.name)).cloned();
    next.removed.extend(gone.map(|segment| Removed { segment, since_ms: now_ms }));
    let names = |rows: &[Segment], without: &HashSet<SegmentName>| {
        rows.iter().map(|row| row.name).filter(|name| !without.contains(name)).collect()
    };
    let lost = lost_ranges(&old, &next);
    Ok(Some(Repair { lost, given_up: names(&named, &after), taken_up: names(&run, &before), archives, next }))
}

/// Writes the new head.
///
/// # Errors
/// `Publish` when somebody else has written meanwhile.
pub async fn carry_out(
    store: &SharedStore,
    folder: &PartitionFolder,
    repair: &Repair,
) -> Result<(), RepairError> {
    for (name, bytes) in &repair.archives {
        store.put(&folder.archive(name), vec![bytes.clone()]).await?;
    }
    Publisher::new(store.clone(), folder.clone()).publish(&repair.next).await.map_err(RepairError::Publish)
}

/// All whole objects, by name, as rows; with the epoch chain that each knows.
async fn footers(
    store: &dyn Store,
    folder: &PartitionFolder,
) -> Result<BTreeMap<SegmentName, (Segment, Vec<EpochStart>)>, StoreError> {
    let mut found = BTreeMap::new();
    for object in store.list(&folder.segments(), None).await? {
        let Some((_, Entry::Segment(name))) = layout::parse(&object.key) else { continue };
        let mut tail = match store.get_suffix(&object.key, TAIL_BYTES).await {
            Ok(tail) => tail,
            Err(StoreError::NotFound { .. }) => continue,
            Err(error) => return Err(error),
        };
        if let Ok(needed) = object::footer_bytes(&tail.bytes)
            && needed as u64 > tail.bytes.len() as u64
        {
            tail = store.get_suffix(&object.key, needed as u64).await?;
        }
        match Footer::decode(&tail.bytes) {
            Ok(footer) if footer.name == name => {
                let footer_bytes = object::footer_bytes(&tail.bytes).unwrap_or(0);
                if footer.log_bytes + footer_bytes as u64 == tail.object_bytes {
                    let chain = footer.epochs.clone();
                    found.insert(name, (row(&footer, footer_bytes), chain));
                }
            }
            Ok(_) => tracing::warn!(key = object.key, "an object under another's name is passed over"),
            Err(error) => tracing::warn!(key = object.key, %error, "a broken object is passed over"),
        }
    }
    Ok(found)
}

fn row(footer: &Footer, footer_bytes: usize) -> Segment {
    Segment {
        name: footer.name,
        end: footer.end,
        epochs: footer.own_epochs(),
        max_timestamp: footer.max_timestamp,
        log_bytes: footer.log_bytes,
        footer_bytes: u32::try_from(footer_bytes).unwrap_or(u32::MAX),
        crc: footer.encode().1,
    }
}

/// What the old head had and the new one has not.
fn lost_ranges(old: &Manifest, new: &Manifest) -> Vec<(i64, i64)> {
    let (Some(start), Some(end)) = (old.tier_start(), old.tier_end()) else { return Vec::new() };
    let (kept_start, kept_end) = (new.tier_start().unwrap_or(end), new.tier_end().unwrap_or(end));
    let lost = [(start, kept_start.min(end)), (kept_end.max(start), end)];
    lost.into_iter().filter(|(from, to)| from < to).collect()
}

/// The run that stays, of all that lost objects leave. Behind a hole a run begins only with what the old head named: an object that
/// no head ever named may be of another lineage.
fn kept_run(
    found: &BTreeMap<SegmentName, (Segment, Vec<EpochStart>)>,
    start: i64,
    log_start: i64,
    named: &[Segment],
    keep: Keep,
) -> Vec<Segment> {
    let offsets = |run: &[Segment]| match run {
        [first, .., last] => last.end - first.base(),
        [only] => only.end - only.base(),
        [] => 0,
    };
    let mut kept = Vec::new();
    let mut next = Some(start);
    while let Some(from) = next {
        let run = run_from(found, from, log_start, named);
        let behind = run.last().map_or(from.saturating_add(1), |last| last.end);
        // The old head's rows are in the order of their offsets.
        let rest = &named[named.partition_point(|row| row.base() < behind)..];
        next = rest.iter().find(|row| found.contains_key(&row.name)).map(Segment::base);
        let is_better = match keep {
            Keep::Oldest => kept.is_empty(),
            Keep::Newest => !run.is_empty(),
            Keep::Longest => !run.is_empty() && offsets(&run) >= offsets(&kept),
        };
        if is_better {
            kept = run;
        }
    }
    kept
}

/// The run of segments from `start` on, without a hole, that reaches furthest on one lineage. Where objects compete, what
/// the old head names goes before others, and a later leader's before an earlier one's.
fn run_from(
    found: &BTreeMap<SegmentName, (Segment, Vec<EpochStart>)>,
    start: i64,
    log_start: i64,
    named: &[Segment],
) -> Vec<Segment> {
    let named: HashMap<SegmentName, &Segment> = named.iter().map(|row| (row.name, row)).collect();
    // Names are in the order of their bases.
    let beginning_at = |base: i64| {
        let from = SegmentName { base, leader_epoch: i32::MIN, uuid: Uuid::nil() };
        found.range(from..).map(|(_, found)| found).take_while(move |(segment, _)| segment.base() == base)
    };
    let mut run: Vec<Segment> = Vec::new();
    let mut next = start;
    let mut chain: &[EpochStart] = &[];
    loop {
        let follows = |segment: &Segment, theirs: &[EpochStart]| {
            segment.end > log_start
                && (run.is_empty() || lineage::agreed_end(theirs, chain, start, next) == next)
        };
        let candidates = beginning_at(next).filter(|(segment, theirs)| follows(segment, theirs));
        let rank =
            |segment: &Segment| (named.contains_key(&segment.name), segment.name.leader_epoch, segment.end);
        let Some((segment, theirs)) = candidates.max_by_key(|(segment, _)| rank(segment)) else { return run };
        // The old head may count only a part of it.
        let cut = named.get(&segment.name).copied();
        run.push(cut.unwrap_or(segment).clone());
        chain = theirs;
        next = run.last().map_or(next, |segment| segment.end);
        if cut.is_some_and(|row| row.end < segment.end) && beginning_at(next).next().is_none() {
            return run;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::MemoryStore;
    use crate::testing::{MemorySegment, batches};
    use crate::upload::{Progress, UploadOptions, UploadRequest, upload};
    use crate::verify::Depth;

    fn folder() -> PartitionFolder {
        PartitionFolder::new("c", "t", "i", 0).unwrap()
    }

    async fn put(store: &MemoryStore, base: i64, epoch: i32, uuid: u128) -> Segment {
        let request = UploadRequest {
            folder: folder(),
            name: SegmentName { base, leader_epoch: epoch, uuid: Uuid::from_u128(uuid) },
            end: base + 100,
            chain: vec![EpochStart { epoch: 1, start: 0 }],
            aborted_transactions: Bytes::new(),
            producer_snapshot: Bytes::new(),
        };
        let source = MemorySegment(batches(base, 10, 10, 1, 100));
        upload(store, &request, &source, &UploadOptions::default(), &Progress::default()).await.unwrap()
    }

    /// Two generations: the first names two segments, the second three.
    async fn tier() -> (Arc<MemoryStore>, Vec<Segment>) {
        let store = Arc::new(MemoryStore::new());
        let mut all = Vec::new();
        for base in [0, 100, 200] {
            all.push(put(&store, base, 1, base as u128 + 1).await);
        }
        let publisher = Publisher::new(store.clone(), folder());
        for (generation, live) in [(1, &all[..2]), (2, &all[..3])] {
            let writer = Writer { epoch: 3, uuid: Uuid::from_u128(generation.into()) };
            let manifest = Manifest { generation, writer, live: live.to_vec(), ..Manifest::default() };
            publisher.publish(&manifest).await.unwrap();
        }
        (store, all)
    }

    async fn planned(store: &Arc<MemoryStore>) -> Option<Repair> {
        planned_to_keep(store, Keep::Oldest).await
    }

    async fn planned_to_keep(store: &Arc<MemoryStore>, keep: Keep) -> Option<Repair> {
        plan(&(store.clone() as SharedStore), &folder(), keep, Uuid::from_u128(77), 5).await.unwrap()
    }

    async fn repaired(store: &Arc<MemoryStore>) -> (Repair, verify::Findings) {
        let repair = planned(store).await.unwrap();
        let shared: SharedStore = store.clone();
        carry_out(&shared, &folder(), &repair).await.unwrap();
        assert_eq!(planned(store).await, None, "a repaired partition needs none");
        (repair, verify::partition(&shared, &folder(), Depth::Bytes).await.unwrap())
    }

    #[tokio::test]
    async fn a_partition_in_order_is_left_alone() {
        assert_eq!(planned(&tier().await.0).await, None);
    }

    #[tokio::test]
    async fn a_broken_head_is_made_anew_from_the_generation_before_and_the_footers() {
        let (store, all) = tier().await;
        store.put(&folder().manifest(2), vec![Bytes::from_static(b"x")]).await.unwrap();
        let (repair, found) = repaired(&store).await;
        assert_eq!((repair.next.generation, repair.next.live), (3, all.clone()));
        assert_eq!(repair.taken_up, [all[2].name]);
        assert_eq!((found.tier_end, found.damage), (300, vec![]));
    }

    #[tokio::test]
    async fn with_no_manifest_left_the_footers_alone_make_one() {
        let (store, all) = tier().await;
        for generation in [1, 2] {
            store.put(&folder().manifest(generation), vec![Bytes::from_static(b"x")]).await.unwrap();
        }
        let (repair, found) = repaired(&store).await;
        assert_eq!((repair.next.generation, repair.next.live), (3, all));
        assert_eq!(found.damage, []);
    }

    #[tokio::test]
    async fn a_lost_object_is_replaced_by_another_copy_or_ends_the_tier_before_it() {
        let (store, all) = tier().await;
        store.delete(&folder().segment(&all[1].name)).await.unwrap();
        let repair = planned(&store).await.unwrap();
        assert_eq!((repair.next.tier_end(), repair.given_up.len()), (Some(100), 2));
        assert_eq!(repair.lost, [(100, 300)]);
        let copy = put(&store, 100, 2, 500).await;
        let (repair, found) = repaired(&store).await;
        assert_eq!((repair.taken_up, repair.given_up), (vec![copy.name], vec![all[1].name]));
        assert_eq!((found.tier_end, found.damage), (300, vec![]));
        assert!(found.unnamed.is_empty() && repair.lost.is_empty());
    }

    #[tokio::test]
    async fn one_object_that_is_replaced_does_not_hide_that_another_is_lost() {
        let (store, all) = tier().await;
        for lost in [0, 2] {
            store.delete(&folder().segment(&all[lost].name)).await.unwrap();
        }
        let copy = put(&store, 0, 2, 500).await;
        let repair = planned(&store).await.unwrap();
        assert_eq!((repair.taken_up, repair.lost), (vec![copy.name], vec![(200, 300)]));
    }

    #[tokio::test]
    async fn a_log_start_within_rows_that_are_still_named_does_not_go_back() {
        let (store, all, archives) = tier_with_archives().await;
        let manifest = Manifest {
            generation: 2,
            writer: Writer { epoch: 3, uuid: Uuid::from_u128(2) },
            log_start: 150,
            archives,
            live: all[4..].to_vec(),
            ..Manifest::default()
        };
        Publisher::new(store.clone(), folder()).publish(&manifest).await.unwrap();
        let repair = planned(&store).await.expect("the first row is over");
        assert_eq!((repair.next.log_start, repair.next.tier_start()), (150, Some(150)));
        assert!(repair.lost.is_empty());
    }

    #[tokio::test]
    async fn what_stays_beside_lost_objects_is_what_is_asked_for() {
        let (store, all, _) = tier_with_archives().await;
        for lost in [0, 3] {
            store.delete(&folder().segment(&all[lost].name)).await.unwrap();
        }
        // Of 100 to 300 and 400 to 600 the newest, which is as long.
        for (keep, kept, lost) in [
            (Keep::Oldest, (100, 300), vec![(0, 100), (300, 600)]),
            (Keep::Longest, (400, 600), vec![(0, 400)]),
            (Keep::Newest, (400, 600), vec![(0, 400)]),
        ] {
            let repair = planned_to_keep(&store, keep).await.unwrap();
            let next = &repair.next;
            assert_eq!(
                (next.log_start, next.tier_start(), next.tier_end()),
                (kept.0, Some(kept.0), Some(kept.1))
            );
            assert_eq!(repair.lost, lost, "{keep:?}");
        }
        store.delete(&folder().segment(&all[4].name)).await.unwrap();
        let longest = planned_to_keep(&store, Keep::Longest).await.unwrap();
        assert_eq!((longest.next.log_start, longest.next.tier_end()), (100, Some(300)));
        let newest = planned_to_keep(&store, Keep::Newest).await.unwrap();
        assert_eq!((newest.next.log_start, newest.next.tier_end()), (500, Some(600)));
        for row in &all {
            store.delete(&folder().segment(&row.name)).await.unwrap();
        }
        let nothing = planned_to_keep(&store, Keep::Longest).await.unwrap();
        assert_eq!((nothing.next.tier_end(), nothing.lost), (None, vec![(0, 600)]));
    }

    /// Six segments: two archives of two rows each, and two live ones.
    async fn tier_with_archives() -> (Arc<MemoryStore>, Vec<Segment>, Vec<Archive>) {
        let store = Arc::new(MemoryStore::new());
        let mut all = Vec::new();
        for base in (0..600).step_by(100) {
            all.push(put(&store, base, 1, base as u128 + 1).await);
        }
        let mut archives = Vec::new();
        for (number, rows) in [&all[..2], &all[2..4]].into_iter().enumerate() {
            let fresh = Uuid::from_u128(1000 + number as u128);
            let (archive, bytes) = Archive::encode(3, fresh, rows).unwrap().unwrap();
            store.put(&folder().archive(&archive.name), vec![bytes]).await.unwrap();
            archives.push(archive);
        }
        let manifest = Manifest {
            generation: 1,
            writer: Writer { epoch: 3, uuid: Uuid::from_u128(1) },
            archives: archives.clone(),
            live: all[4..].to_vec(),
            ..Manifest::default()
        };
        Publisher::new(store.clone(), folder()).publish(&manifest).await.unwrap();
        (store, all, archives)
    }

    #[tokio::test]
    async fn a_partition_with_archives_in_order_is_left_alone() {
        assert_eq!(planned(&tier_with_archives().await.0).await, None);
    }

    #[tokio::test]
    async fn an_archive_that_is_broken_or_gone_is_made_anew_and_the_others_stay() {
        for (victim, stays) in [(1, 1), (0, 0)] {
            let (store, all, archives) = tier_with_archives().await;
            let key = folder().archive(&archives[victim].name);
            match victim {
                0 => store.delete(&key).await.unwrap(),
                _ => store.put(&key, vec![Bytes::from_static(b"x")]).await.unwrap(),
            }
            let (repair, found) = repaired(&store).await;
            assert_eq!(repair.next.archives, archives[..stays]);
            assert_eq!(repair.next.live, all[2 * stays..]);
            assert_eq!((repair.given_up.len(), found.tier_end, found.damage), (0, 600, vec![]));
        }
    }

    #[tokio::test]
    async fn an_archived_object_that_is_lost_is_replaced_by_another_copy_or_ends_the_tier_before_it() {
        let (store, all, archives) = tier_with_archives().await;
        store.delete(&folder().segment(&all[3].name)).await.unwrap();
        let repair = planned(&store).await.unwrap();
        assert_eq!((repair.next.tier_end(), repair.given_up.len()), (Some(300), 3));
        let copy = put(&store, 300, 2, 500).await;
        let (repair, found) = repaired(&store).await;
        assert_eq!((repair.taken_up, repair.given_up), (vec![copy.name], vec![all[3].name]));
        assert_eq!(repair.next.archives, archives[..1], "whose rows are as they were");
        assert_eq!((found.tier_end, found.damage), (600, vec![]));
    }

    #[tokio::test]
    async fn very_many_rows_go_to_archives_again() {
        let store = Arc::new(MemoryStore::new());
        let many = 2 * ARCHIVE_ROWS + 5;
        for number in 0..many as i64 {
            put(&store, number * 100, 1, number as u128 + 1).await;
        }
        let (repair, found) = repaired(&store).await;
        assert_eq!((repair.archives.len(), repair.next.live.len()), (1, ARCHIVE_ROWS + 5));
        assert_eq!((found.segments, found.damage), (many as u64, vec![]));
    }

    #[tokio::test]
    async fn nothing_is_built_for_a_deleted_topic() {
        let (store, _) = tier().await;
        store.put(&folder().tombstone(), vec![]).await.unwrap();
        let outcome = plan(&(store as SharedStore), &folder(), Keep::Longest, Uuid::nil(), 0).await;
        assert!(matches!(outcome, Err(RepairError::Deleted)));
    }
}
