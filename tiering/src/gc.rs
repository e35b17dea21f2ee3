//! Finds and removes what nothing names: orphans of crashed uploads, generations that a zombie re-created; and all of a
//! deleted topic.
//!
//! Only the partition's leader sweeps, after a publish under its own epoch. From then on no earlier leader can publish, so
//! an object of a *lower* epoch that the head does not name never will be named. Of its own epoch it removes only
//! the uploads it knows to be abandoned. Age alone is never a reason.

use std::collections::HashSet;

use futures::TryStreamExt as _;

use crate::layout::{self, ArchiveName, Entry, PartitionFolder, SegmentName};
use crate::manifest::{Archive, Manifest, Segment};
use crate::store::{Listed, Operation, Store, StoreError};

/// What a sweep removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Segment objects.
    pub segments: Vec<SegmentName>,
    /// Their bytes.
    pub bytes: u64,
    /// Generations at or below the boundary.
    pub generations: Vec<u64>,
    /// Files of rows.
    pub archives: Vec<ArchiveName>,
}

/// What the leader itself has begun and given up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Abandoned<'a> {
    /// Uploads.
    pub segments: &'a [SegmentName],
    /// Files of rows.
    pub archives: &'a [ArchiveName],
}

/// Names that are listed, and deleted objects that are on their way, at once.
const PAGE: usize = 1000;
const DELETES_AT_ONCE: usize = 8;

/// Removes orphans. `head` is a generation that this leader wrote and that counts; `boundary` as it was seen with it. The
/// memory it takes does not grow with the partition.
///
/// # Errors
/// What the store answers, or an archive that can't be read: without it nothing is known to be an orphan. A sweep may be
/// repeated.
pub async fn sweep(
    store: &dyn Store,
    folder: &PartitionFolder,
    head: &Manifest,
    boundary: u64,
    abandoned: Abandoned<'_>,
) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    sweep_segments(store, folder, head, abandoned.segments, &mut swept).await?;
    let archives = head.archives.iter().chain(head.removed_archives.iter().map(|removed| &removed.archive));
    let named: HashSet<ArchiveName> = archives.map(|archive| archive.name).collect();
    for object in store.list(&folder.manifests(), None).await? {
        match layout::parse(&object.key) {
            Some((_, Entry::Manifest(generation))) if generation <= boundary => {
                store.delete(&object.key).await?;
                swept.generations.push(generation);
            }
            Some((_, Entry::Archive(name)))
                if !named.contains(&name)
                    && (name.leader_epoch() < head.writer.epoch || abandoned.archives.contains(&name)) =>
            {
                store.delete(&object.key).await?;
                swept.archives.push(name);
            }
            _ => {}
        }
    }
    Ok(swept)
}

async fn sweep_segments(
    store: &dyn Store,
    folder: &PartitionFolder,
    head: &Manifest,
    abandoned: &[SegmentName],
    swept: &mut Swept,
) -> Result<(), StoreError> {
    let live = head.live.iter().map(|segment| segment.name);
    let removed = head.removed.iter().map(|removed| removed.segment.name);
    let in_head: HashSet<SegmentName> = live.chain(removed).collect();
    // Of the archives, the rows of those that the names at hand fall into.
    let mut in_archives: HashSet<SegmentName> = HashSet::new();
    let mut archives: Vec<&Archive> = head.archives.iter().collect();
    archives.extend(head.removed_archives.iter().map(|removed| &removed.archive));
    archives.sort_by_key(|archive| archive.name.first);
    let mut next_archive = 0;
    let mut after: Option<String> = None;
    loop {
        let page = store.list_page(&folder.segments(), after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.key.clone());
        let segment = |object: &Listed| match layout::parse(&object.key) {
            Some((_, Entry::Segment(name))) => Some((name, object.bytes)),
            _ => None,
        };
        let names: Vec<(SegmentName, u64)> = page.iter().filter_map(segment).collect();
        let Some(((first, _), (last, _))) = names.first().zip(names.last()) else { continue };
        in_archives.retain(|name| name.base >= first.base);
        while let Some(archive) = archives.get(next_archive).filter(|archive| archive.name.first <= last.base)
        {
            in_archives.extend(archive_rows(store, folder, archive).await?.iter().map(|row| row.name));
            next_archive += 1;
        }
        for (name, bytes) in names {
            let named = in_head.contains(&name) || in_archives.contains(&name);
            if !named && is_orphan(&name, head.writer.epoch, abandoned) {
                store.delete(&folder.segment(&name)).await?;
                swept.segments.push(name);
                swept.bytes += bytes;
            }
        }
    }
}

/// Whether an object that a leader's own generation does not name never will be named.
pub(crate) fn is_orphan(name: &SegmentName, epoch: i32, abandoned: &[SegmentName]) -> bool {
    name.leader_epoch < epoch || abandoned.contains(name)
}

async fn archive_rows(
    store: &dyn Store,
    folder: &PartitionFolder,
    archive: &Archive,
) -> Result<Vec<Segment>, StoreError> {
    let key = folder.archive(&archive.name);
    let bytes = store.get(&key).await?;
    archive.decode(&bytes).map_err(|error| StoreError::Unavailable {
        operation: Operation::Get,
        key,
        reason: error.to_string(),
    })
}

/// Deletes an archive that nobody names any more: the objects of the rows that counted, and then the file.
///
/// # Errors
/// What the store answers; it may be repeated.
pub async fn delete_archive(
    store: &dyn Store,
    folder: &PartitionFolder,
    archive: &Archive,
) -> Result<(), StoreError> {
    if archive.start < archive.end() {
        let rows = match archive_rows(store, folder, archive).await {
            // The file goes last: all of it is gone already.
            Err(StoreError::NotFound { .. }) => Vec::new(),
            rows => rows?,
        };
        let deletes = archive.counting(&rows).iter().map(|row| folder.segment(&row.name));
        futures::stream::iter(deletes.map(Ok))
            .try_for_each_concurrent(DELETES_AT_ONCE, |key| async move { store.delete(&key).await })
            .await?;
    }
    store.delete(&folder.archive(&archive.name)).await
}

/// Removes all of a deleted topic's partition but its tombstone, which comes first, so that nobody publishes any more. To be
/// repeated until it succeeds; then [`forget_partition`], after a while: an upload or a publish of a leader that has not
/// heard of the deletion may still be on its way.
///
/// # Errors
/// What the store answers.
pub async fn bury_partition(store: &dyn Store, folder: &PartitionFolder) -> Result<(), StoreError> {
    match store.put_if_absent(&folder.tombstone(), Vec::new()).await {
        Ok(()) | Err(StoreError::AlreadyExists { .. }) => {}
        Err(error) => return Err(error),
    }
    delete_all(store, folder).await.map(|_| ())
}

/// Removes what came late, and the tombstone last.
///
/// # Errors
/// What the store answers; to be repeated then.
pub async fn forget_partition(store: &dyn Store, folder: &PartitionFolder) -> Result<(), StoreError> {
    delete_all(store, folder).await?;
    store.delete(&folder.tombstone()).await
}

/// Removes what a leader has written after all of a deleted topic's partition had gone, the tombstone too. How many objects
/// there were.
///
/// # Errors
/// What the store answers; to be repeated then.
pub async fn clear_away(store: &dyn Store, folder: &PartitionFolder) -> Result<usize, StoreError> {
    delete_all(store, folder).await
}

/// A page of names at a time: a partition may have a million objects, and goes on the broker that leads the quorum.
async fn delete_all(store: &dyn Store, folder: &PartitionFolder) -> Result<usize, StoreError> {
    let tombstone = folder.tombstone();
    let mut deleted = 0;
    // Generations first, one after the other: no reader may start on objects that are about to go.
    for (listed, at_once) in [(folder.manifests(), 1), (folder.segments(), DELETES_AT_ONCE)] {
        let mut after: Option<String> = None;
        loop {
            let page = store.list_page(&listed, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            let keys: Vec<&str> =
                page.iter().map(|object| object.key.as_str()).filter(|key| *key != tombstone).collect();
            deleted += keys.len();
            futures::stream::iter(keys.into_iter().map(Ok))
                .try_for_each_concurrent(at_once, |key| store.delete(key))
                .await?;
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use async_trait::async_trait;
    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;
    use crate::manifest::{Removed, Writer};
    use crate::publish::{PublishError, Publisher};
    use crate::store::{MemoryStore, PartUpload, Pieces, Suffix};

    fn segment(base: i64, leader_epoch: i32) -> Segment {
        let uuid = Uuid::from_u64_pair(base as u64, leader_epoch as u64);
        Segment {
            name: SegmentName { base, leader_epoch, uuid },
            end: base + 10,
            epochs: Vec::new(),
            max_timestamp: 0,
            log_bytes: 1,
            footer_bytes: 1,
            crc: 0,
        }
    }

    #[tokio::test]
    async fn only_unnamed_objects_of_lower_epochs_and_own_abandoned_ones_go() {
        let store = MemoryStore::new();
        let folder = PartitionFolder::new("c", "t", "i", 0).unwrap();
        let [live, removed, lower, own, abandoned, higher] =
            [(0, 1), (10, 1), (20, 4), (30, 5), (40, 5), (50, 6)].map(|(base, epoch)| segment(base, epoch));
        for object in [&live, &removed, &lower, &own, &abandoned, &higher] {
            store.put(&folder.segment(&object.name), vec![Bytes::from_static(b"xx")]).await.unwrap();
        }
        for generation in [3, 4, 5] {
            store.put(&folder.manifest(generation), vec![]).await.unwrap();
        }
        let head = Manifest {
            generation: 5,
            writer: Writer { epoch: 5, uuid: Uuid::nil() },
            log_start: 0,
            live: vec![live],
            removed: vec![Removed { segment: removed, since_ms: 0 }],
            ..Manifest::default()
        };
        let given_up = Abandoned { segments: &[abandoned.name], archives: &[] };
        let swept = sweep(&store, &folder, &head, 3, given_up).await.unwrap();
        assert_eq!(swept.segments, [lower.name, abandoned.name]);
        assert_eq!((swept.bytes, swept.generations), (4, vec![3]));
        assert_eq!(store.snapshot().len(), 4 + 2);
    }

    /// How large the listings are, and how many deletions run at once.
    #[derive(Debug, Default)]
    struct Watched {
        store: MemoryStore,
        largest_list: AtomicUsize,
        deletes: AtomicUsize,
        most_deletes: AtomicUsize,
    }

    #[async_trait]
    impl Store for Watched {
        async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
            self.store.put(key, pieces).await
        }
        async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
            self.store.put_if_absent(key, pieces).await
        }
        async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
            self.store.get(key).await
        }
        async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
            self.store.get_range(key, range).await
        }
        async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
            self.store.get_suffix(key, bytes).await
        }
        async fn head(&self, key: &str) -> Result<u64, StoreError> {
            self.store.head(key).await
        }
        async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
            let listed = self.store.list(prefix, start_after).await?;
            self.largest_list.fetch_max(listed.len(), Relaxed);
            Ok(listed)
        }
        async fn list_page(
            &self,
            prefix: &str,
            start_after: Option<&str>,
            at_most: usize,
        ) -> Result<Vec<Listed>, StoreError> {
            let listed = self.store.list_page(prefix, start_after, at_most).await?;
            self.largest_list.fetch_max(listed.len(), Relaxed);
            Ok(listed)
        }
        async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
            self.store.list_folders(prefix).await
        }
        async fn delete(&self, key: &str) -> Result<(), StoreError> {
            let running = self.deletes.fetch_add(1, Relaxed) + 1;
            self.most_deletes.fetch_max(running, Relaxed);
            tokio::task::yield_now().await;
            self.deletes.fetch_sub(1, Relaxed);
            self.store.delete(key).await
        }
        async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
            self.store.begin_multipart(key).await
        }
    }

    #[tokio::test]
    async fn a_large_partition_is_deleted_a_page_at_a_time_and_not_one_by_one() {
        let store = Watched::default();
        let folder = PartitionFolder::new("c", "t", "i", 0).unwrap();
        for number in 0..5000 {
            store.put(&folder.segment(&segment(10 * number, 1).name), vec![]).await.unwrap();
        }
        for generation in 1..=5 {
            store.put(&folder.manifest(generation), vec![]).await.unwrap();
        }
        bury_partition(&store, &folder).await.unwrap();
        assert_eq!(store.store.snapshot().into_keys().collect::<Vec<_>>(), [folder.tombstone()]);
        assert_eq!(store.largest_list.load(Relaxed), PAGE);
        assert_eq!(store.most_deletes.load(Relaxed), DELETES_AT_ONCE);
    }

    #[tokio::test]
    async fn a_deleted_partition_publishes_nothing_more_and_all_of_it_goes() {
        let store = Arc::new(MemoryStore::new());
        let folder = PartitionFolder::new("c", "t", "i", 0).unwrap();
        let manifest = |generation| Manifest {
            generation,
            writer: Writer { epoch: 1, uuid: Uuid::from_u128(generation.into()) },
            log_start: 0,
            live: Vec::new(),
            removed: Vec::new(),
            ..Manifest::default()
        };
        let publisher = Publisher::new(store.clone(), folder.clone());
        publisher.publish(&manifest(1)).await.unwrap();
        store.put(&folder.segment(&segment(0, 1).name), vec![]).await.unwrap();
        store.put(&folder.tombstone(), vec![]).await.unwrap();
        assert_eq!(publisher.publish(&manifest(2)).await, Err(PublishError::Deleted));
        assert_eq!(publisher.find_head(0).await, Err(PublishError::Deleted));
        bury_partition(&*store, &folder).await.unwrap();
        assert_eq!(store.snapshot().into_keys().collect::<Vec<_>>(), [folder.tombstone()]);
        // An upload of a leader that has not heard of it arrives.
        store.put(&folder.segment(&segment(10, 1).name), vec![]).await.unwrap();
        assert_eq!(publisher.publish(&manifest(1)).await, Err(PublishError::Deleted));
        forget_partition(&*store, &folder).await.unwrap();
        assert!(store.snapshot().is_empty());
    }
}
