//! What lies in a bucket, told from the bucket alone: no broker, no local state.

use std::collections::BTreeMap;

use crate::layout::{self, Entry, PartitionFolder, SegmentName};
use crate::manifest::{Manifest, Segment};
use crate::publish::{PublishError, Publisher};
use crate::store::{SharedStore, StoreError};

/// One partition of one topic of one cluster.
#[derive(Clone, Debug)]
pub struct PartitionOverview {
    /// The cluster.
    pub cluster_id: String,
    /// The topic's name.
    pub topic: String,
    /// The topic's id, as text.
    pub topic_id: String,
    /// The partition's index.
    pub partition: i32,
    /// The newest generation that counts, `None` without any, or why it can't be read.
    pub head: Result<Option<Manifest>, PublishError>,
    /// All segment objects, with their lengths.
    pub objects: BTreeMap<SegmentName, u64>,
}

impl PartitionOverview {
    /// Live segments whose objects are gone or of another length.
    pub fn damaged(&self) -> impl Iterator<Item = &Segment> {
        let live = self.head.iter().flatten().flat_map(|manifest| manifest.live.iter());
        live.filter(|segment| self.objects.get(&segment.name) != Some(&segment.object_bytes()))
    }

    /// Objects that the head does not name, with their lengths: uploads on their way, or orphans that the next sweep
    /// collects.
    #[must_use]
    pub fn unnamed(&self) -> BTreeMap<SegmentName, u64> {
        let mut unnamed = self.objects.clone();
        for manifest in self.head.iter().flatten() {
            let removed = manifest.removed.iter().map(|removed| &removed.segment);
            for segment in manifest.live.iter().chain(removed) {
                unnamed.remove(&segment.name);
            }
        }
        unnamed
    }
}

/// Looks at all partitions, or at those of one topic: one listing, and one generation read per partition.
///
/// # Errors
/// What the store answers to the listing; a partition whose manifest can't be read says so itself.
pub async fn overview(
    store: &SharedStore,
    topic: Option<&str>,
) -> Result<Vec<PartitionOverview>, StoreError> {
    let mut found: BTreeMap<(String, String, String, i32), BTreeMap<SegmentName, u64>> = BTreeMap::new();
    for object in store.list("", None).await? {
        let Some((owner, entry)) = layout::parse(&object.key) else { continue };
        if topic.is_some_and(|topic| topic != owner.topic) {
            continue;
        }
        let (cluster, topic, id) =
            (owner.cluster_id.to_owned(), owner.topic.to_owned(), owner.topic_id.to_owned());
        let objects = found.entry((cluster, topic, id, owner.partition)).or_default();
        if let Entry::Segment(name) = entry {
            objects.insert(name, object.bytes);
        }
    }
    let mut all = Vec::new();
    for ((cluster_id, topic, topic_id, partition), objects) in found {
        // Every part came out of a key, so it can go into one.
        let Ok(folder) = PartitionFolder::new(&cluster_id, &topic, &topic_id, partition) else { continue };
        let head = Publisher::new(store.clone(), folder).find_head(0).await;
        let head = head.map(|head| head.manifest);
        all.push(PartitionOverview { cluster_id, topic, topic_id, partition, head, objects });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;
    use crate::manifest::Writer;
    use crate::store::{MemoryStore, Store};

    fn segment(base: i64) -> Segment {
        Segment {
            name: SegmentName { base, leader_epoch: 1, uuid: Uuid::from_u128(base as u128 + 1) },
            end: base + 10,
            epochs: Vec::new(),
            max_timestamp: 0,
            log_bytes: 3,
            footer_bytes: 1,
            crc: 0,
        }
    }

    #[tokio::test]
    async fn a_bucket_tells_its_partitions_their_damage_and_what_nobody_names() {
        let store = MemoryStore::new();
        let folder = PartitionFolder::new("c", "orders", "id", 3).unwrap();
        let (live, lost, orphan) = (segment(0), segment(10), segment(20));
        for object in [&live, &orphan] {
            store.put(&folder.segment(&object.name), vec![Bytes::from_static(b"xxxx")]).await.unwrap();
        }
        let manifest = Manifest {
            generation: 1,
            writer: Writer { epoch: 1, uuid: Uuid::nil() },
            log_start: 0,
            live: vec![live, lost.clone()],
            removed: Vec::new(),
        };
        store.put(&folder.manifest(1), vec![manifest.encode().unwrap()]).await.unwrap();
        let other = PartitionFolder::new("c", "other", "id", 0).unwrap();
        store.put(&other.manifest(1), vec![Bytes::from_static(b"broken")]).await.unwrap();
        let store: SharedStore = Arc::new(store);

        let all = overview(&store, None).await.unwrap();
        assert_eq!(all.len(), 2);
        assert!(matches!(all[1].head, Err(PublishError::Bad { .. })));
        let orders = overview(&store, Some("orders")).await.unwrap().remove(0);
        assert_eq!((orders.topic.as_str(), orders.partition), ("orders", 3));
        assert_eq!(orders.head.as_ref().unwrap().as_ref(), Some(&manifest));
        assert_eq!(orders.damaged().collect::<Vec<_>>(), [&lost]);
        assert_eq!(orders.unnamed().into_keys().collect::<Vec<_>>(), [orphan.name]);
    }
}
