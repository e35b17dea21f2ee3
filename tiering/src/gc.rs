//! Finds and removes what nothing names: orphans of crashed uploads, generations that a zombie re-created; and all of a
//! deleted topic.
//!
//! Only the partition's leader sweeps, after a publish under its own epoch. From then on no earlier leader can publish, so
//! an object of a *lower* epoch that the head does not name never will be named. Of its own epoch it removes only
//! the uploads it knows to be abandoned. Age alone is never a reason.

use std::collections::HashSet;

use crate::layout::{self, Entry, PartitionFolder, SegmentName};
use crate::manifest::Manifest;
use crate::store::{Store, StoreError};

/// What a sweep removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Segment objects.
    pub segments: Vec<SegmentName>,
    /// Their bytes.
    pub bytes: u64,
    /// Generations at or below the boundary.
    pub generations: Vec<u64>,
}

/// Removes orphans. `head` is a generation that this leader wrote and that counts; `boundary` as it was seen with it.
///
/// # Errors
/// What the store answers; a sweep may be repeated.
pub async fn sweep(
    store: &dyn Store,
    folder: &PartitionFolder,
    head: &Manifest,
    boundary: u64,
    abandoned: &[SegmentName],
) -> Result<Swept, StoreError> {
    let live = head.live.iter().map(|segment| segment.name);
    let removed = head.removed.iter().map(|removed| removed.segment.name);
    let named: HashSet<SegmentName> = live.chain(removed).collect();
    let mut swept = Swept::default();
    for object in store.list(&folder.segments(), None).await? {
        let Some((_, Entry::Segment(name))) = layout::parse(&object.key) else { continue };
        let orphan = name.leader_epoch < head.writer.epoch || abandoned.contains(&name);
        if orphan && !named.contains(&name) {
            store.delete(&object.key).await?;
            swept.segments.push(name);
            swept.bytes += object.bytes;
        }
    }
    for object in store.list(&folder.manifests(), None).await? {
        if let Some((_, Entry::Manifest(generation))) = layout::parse(&object.key)
            && generation <= boundary
        {
            store.delete(&object.key).await?;
            swept.generations.push(generation);
        }
    }
    Ok(swept)
}

/// Removes all of a deleted topic's partition: the tombstone comes first, so that nobody publishes any more, and goes last.
/// To be repeated until it succeeds.
///
/// # Errors
/// What the store answers.
pub async fn delete_partition(store: &dyn Store, folder: &PartitionFolder) -> Result<(), StoreError> {
    let tombstone = folder.tombstone();
    match store.put_if_absent(&tombstone, Vec::new()).await {
        Ok(()) | Err(StoreError::AlreadyExists { .. }) => {}
        Err(error) => return Err(error),
    }
    // Generations first: no reader may start on objects that are about to go.
    for listed in [folder.manifests(), folder.segments()] {
        for object in store.list(&listed, None).await? {
            if object.key != tombstone {
                store.delete(&object.key).await?;
            }
        }
    }
    store.delete(&tombstone).await
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;
    use std::sync::Arc;

    use crate::manifest::{Removed, Segment, Writer};
    use crate::publish::{PublishError, Publisher};
    use crate::store::MemoryStore;

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
        };
        let swept = sweep(&store, &folder, &head, 3, &[abandoned.name]).await.unwrap();
        assert_eq!(swept.segments, [lower.name, abandoned.name]);
        assert_eq!((swept.bytes, swept.generations), (4, vec![3]));
        assert_eq!(store.snapshot().len(), 4 + 2);
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
        };
        let publisher = Publisher::new(store.clone(), folder.clone());
        publisher.publish(&manifest(1)).await.unwrap();
        store.put(&folder.segment(&segment(0, 1).name), vec![]).await.unwrap();
        store.put(&folder.tombstone(), vec![]).await.unwrap();
        assert_eq!(publisher.publish(&manifest(2)).await, Err(PublishError::Deleted));
        assert_eq!(publisher.find_head(0).await, Err(PublishError::Deleted));
        delete_partition(&*store, &folder).await.unwrap();
        assert!(store.snapshot().is_empty());
    }
}
