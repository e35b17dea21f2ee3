//! What lies in a bucket, told from the bucket alone: no broker, no local state.

use std::collections::BTreeMap;

use crate::layout::{self, Entry, PartitionFolder, SegmentName};
use crate::manifest::{Manifest, Segment};
use crate::publish::{PublishError, Publisher};
use crate::store::{SharedStore, Store, StoreError};

/// One partition of one topic of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionId {
    /// The cluster.
    pub cluster_id: String,
    /// The topic's name.
    pub topic: String,
    /// The topic's id, as text.
    pub topic_id: String,
    /// The partition's index.
    pub partition: i32,
}

/// What a partition holds.
#[derive(Clone, Debug)]
pub struct PartitionOverview {
    /// Which it is.
    pub id: PartitionId,
    /// The newest generation that counts, `None` without any, or why it can't be read.
    pub head: Result<Option<Manifest>, PublishError>,
    /// All segment objects, with their lengths; `None` when they were not listed.
    pub objects: Option<BTreeMap<SegmentName, u64>>,
}

impl PartitionOverview {
    /// Live segments whose objects are gone or of another length; `None` when the objects were not listed.
    #[must_use]
    pub fn damaged(&self) -> Option<Vec<&Segment>> {
        let objects = self.objects.as_ref()?;
        let live = self.head.iter().flatten().flat_map(|manifest| manifest.live.iter());
        Some(live.filter(|segment| objects.get(&segment.name) != Some(&segment.object_bytes())).collect())
    }

    /// Objects that the head does not name, with their lengths: uploads on their way, or orphans that the next sweep
    /// collects; `None` when the objects were not listed.
    #[must_use]
    pub fn unnamed(&self) -> Option<BTreeMap<SegmentName, u64>> {
        let mut unnamed = self.objects.clone()?;
        for manifest in self.head.iter().flatten() {
            let removed = manifest.removed.iter().map(|removed| &removed.segment);
            for segment in manifest.live.iter().chain(removed) {
                unnamed.remove(&segment.name);
            }
        }
        Some(unnamed)
    }
}

/// The folders of all partitions, or of those of one topic: listings of folders only, however much lies in them.
///
/// # Errors
/// What the store answers.
pub async fn partitions(
    store: &dyn Store,
    topic: Option<&str>,
) -> Result<Vec<(PartitionId, PartitionFolder)>, StoreError> {
    let mut found = Vec::new();
    for cluster_id in store.list_folders("").await? {
        let topics = PartitionFolder::topics_of(&cluster_id);
        let names = match topic {
            Some(topic) => vec![topic.to_owned()],
            None => store.list_folders(&topics).await?,
        };
        for topic in names {
            for topic_id in store.list_folders(&format!("{topics}{topic}/")).await? {
                for partition in store.list_folders(&format!("{topics}{topic}/{topic_id}/")).await? {
                    let Ok(partition) = partition.parse() else { continue };
                    let Ok(folder) = PartitionFolder::new(&cluster_id, &topic, &topic_id, partition) else {
                        continue;
                    };
                    let (cluster_id, topic, topic_id) = (cluster_id.clone(), topic.clone(), topic_id.clone());
                    found.push((PartitionId { cluster_id, topic, topic_id, partition }, folder));
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether the topic of this partition was deleted: its tombstone is there. One request.
///
/// # Errors
/// What the store answers.
pub async fn is_deleted(store: &dyn Store, folder: &PartitionFolder) -> Result<bool, StoreError> {
    match store.head(&folder.tombstone()).await {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Looks at all partitions, or at those of one topic: one generation each. Their objects are listed only on request.
///
/// # Errors
/// What the store answers to the listings; a partition whose manifest can't be read says so itself.
pub async fn overview(
    store: &SharedStore,
    topic: Option<&str>,
    with_objects: bool,
) -> Result<Vec<PartitionOverview>, StoreError> {
    let mut all = Vec::new();
    for (id, folder) in partitions(&**store, topic).await? {
        let mut objects = None;
        if with_objects {
            let listed = store.list(&folder.segments(), None).await?;
            let segments = listed.into_iter().filter_map(|object| match layout::parse(&object.key) {
                Some((_, Entry::Segment(name))) => Some((name, object.bytes)),
                _ => None,
            });
            objects = Some(segments.collect());
        }
        let head = Publisher::new(store.clone(), folder).find_head(0).await;
        let head = head.map(|head| head.manifest);
        all.push(PartitionOverview { id, head, objects });
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
    use crate::store::{MemoryStore, MeteredStore};

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
            ..Manifest::default()
        };
        store.put(&folder.manifest(1), vec![manifest.encode().unwrap()]).await.unwrap();
        let other = PartitionFolder::new("c", "other", "id", 0).unwrap();
        store.put(&other.manifest(1), vec![Bytes::from_static(b"broken")]).await.unwrap();
        let metered = MeteredStore::new(Arc::new(store));
        let requests = metered.requests();
        let store: SharedStore = Arc::new(metered);

        let all = overview(&store, None, false).await.unwrap();
        assert_eq!(all.len(), 2);
        assert!(matches!(all[1].head, Err(PublishError::Bad { .. })));
        assert_eq!((all[0].damaged(), all[0].unnamed()), (None, None), "objects were not listed");
        // Folders: the root, the cluster, two topics, two topic ids; then each partition's manifests.
        assert_eq!(requests.counts().lists, 6 + 2);
        let orders = overview(&store, Some("orders"), true).await.unwrap().remove(0);
        assert_eq!((orders.id.topic.as_str(), orders.id.partition), ("orders", 3));
        assert_eq!(orders.head.as_ref().unwrap().as_ref(), Some(&manifest));
        assert_eq!(orders.damaged().unwrap(), [&lost]);
        assert_eq!(orders.unnamed().unwrap().into_keys().collect::<Vec<_>>(), [orphan.name]);
    }
}
