//! Checks what a bucket holds against what it says of itself: manifests, archives, footers, and on request every byte.
//!
//! Nothing is changed, and no broker is asked. A partition that is written to meanwhile may show an upload on its way as
//! unnamed; it never shows damage that is not there, since what a manifest names is complete before it is named.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};

use crate::batch;
use crate::layout::{self, Entry, PartitionFolder, SegmentName};
use crate::manifest::{Archive, Manifest, Segment};
use crate::object;
use crate::publish::{PublishError, Publisher};
use crate::store::{SharedStore, Store, StoreError};
use crate::upload;

/// How closely an object is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// That it is there, with its length.
    Lengths,
    /// Its footer too, with what the manifest says of it.
    Footers,
    /// Every byte: chunk checksums, batch checksums, offsets without holes, epochs as the manifest has them.
    Bytes,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The object.
    pub key: String,
    /// The first offset that can't be read for it; `None` when nothing can.
    pub base: Option<i64>,
    /// The offset after the last one.
    pub end: Option<i64>,
    /// What is wrong.
    pub what: String,
}

/// What was found in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The head's number, 0 without any.
    pub generation: u64,
    /// The log start it says.
    pub log_start: i64,
    /// The tier's end.
    pub tier_end: i64,
    /// The highest leader epoch that the partition knows of.
    pub highest_epoch: i32,
    /// Segments that were looked at.
    pub segments: u64,
    /// Bytes of objects that were read and are right.
    pub checked_bytes: u64,
    /// What is not as it should be, by offset.
    pub damage: Vec<Damage>,
    /// Objects that no manifest names, with their lengths: uploads on their way, or orphans.
    pub unnamed: BTreeMap<SegmentName, u64>,
    /// The topic was deleted, and its objects are on their way out.
    pub deleted: bool,
}

/// Segments that are looked at side by side.
const AT_ONCE: usize = 8;

/// Checks one partition.
///
/// # Errors
/// What the store answers when it cannot be asked; damage is a finding, not an error.
pub async fn partition(
    store: &SharedStore,
    folder: &PartitionFolder,
    depth: Depth,
) -> Result<Findings, StoreError> {
    let mut findings = Findings::default();
    let damage = |key: String, what: String| Damage { key, base: None, end: None, what };
    let head = match Publisher::new(store.clone(), folder.clone()).find_head(0).await {
        Ok(head) => head.manifest,
        Err(PublishError::Store(error)) => return Err(error),
        Err(PublishError::Deleted) => {
            findings.deleted = true;
            return Ok(findings);
        }
        Err(error) => {
            findings.damage.push(damage(folder.manifests(), error.to_string()));
            return Ok(findings);
        }
    };
    let mut named = BTreeSet::new();
    if let Some(head) = &head {
        findings.generation = head.generation;
        findings.log_start = head.log_start;
        findings.tier_end = head.tier_end().unwrap_or(head.log_start);
        findings.highest_epoch = head.writer.epoch;
        for archive in &head.archives {
            match rows(&**store, folder, archive).await? {
                Ok(rows) => {
                    let rows = archive.counting(&rows).to_vec();
                    named.extend(rows.iter().map(|row| row.name));
                    segments(store, folder, rows, depth, &mut findings).await?;
                }
                Err(what) => findings.damage.push(Damage {
                    base: Some(archive.start),
                    end: Some(archive.end()),
                    ..damage(folder.archive(&archive.name), what)
                }),
            }
        }
        named.extend(head.live.iter().map(|segment| segment.name));
        segments(store, folder, head.live.clone(), depth, &mut findings).await?;
    }
    let listed = unnamed(&**store, folder, head.as_ref(), &named).await?;
    findings.unnamed = listed;
    findings.damage.sort_by_key(|damage| damage.base);
    Ok(findings)
}

pub(crate) async fn rows(
    store: &dyn Store,
    folder: &PartitionFolder,
    archive: &Archive,
) -> Result<Result<Vec<Segment>, String>, StoreError> {
    match store.get(&folder.archive(&archive.name)).await {
        Ok(bytes) => Ok(archive.decode(&bytes).map_err(|error| error.to_string())),
        Err(StoreError::NotFound { .. }) => Ok(Err("is missing".to_owned())),
        Err(error) => Err(error),
    }
}

async fn segments(
    store: &SharedStore,
    folder: &PartitionFolder,
    segments: Vec<Segment>,
    depth: Depth,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let looks = futures::stream::iter(segments).map(|row| async move {
        let found = segment(&**store, folder, &row, depth).await?;
        Ok::<_, StoreError>((row, found))
    });
    let mut looks = looks.buffered(AT_ONCE);
    while let Some((row, found)) = looks.try_next().await? {
        findings.segments += 1;
        let highest = row.epochs.iter().map(|entry| entry.epoch).max();
        findings.highest_epoch = findings.highest_epoch.max(row.name.leader_epoch).max(highest.unwrap_or(-1));
        match found {
            Ok(bytes) => findings.checked_bytes += bytes,
            Err(what) => findings.damage.push(Damage {
                key: folder.segment(&row.name),
                base: Some(row.base()),
                end: Some(row.end),
                what,
            }),
        }
    }
    Ok(())
}

/// Checks one segment: the bytes that were read and are right, or what is wrong.
///
/// # Errors
/// What the store answers when it cannot be asked.
pub async fn segment(
    store: &dyn Store,
    folder: &PartitionFolder,
    row: &Segment,
    depth: Depth,
) -> Result<Result<u64, String>, StoreError> {
    let key = folder.segment(&row.name);
    let found = match store.head(&key).await {
        Ok(bytes) => bytes,
        Err(StoreError::NotFound { .. }) => return Ok(Err("is missing".to_owned())),
        Err(error) => return Err(error),
    };
    if found != row.object_bytes() {
        return Ok(Err(format!("has {found} bytes instead of {}", row.object_bytes())));
    }
    if depth == Depth::Lengths {
        return Ok(Ok(0));
    }
    let footer = store.get_range(&key, row.log_bytes..row.object_bytes()).await?;
    let footer = match upload::read_footer(row, &footer) {
        Ok(footer) => footer,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut checked = u64::from(row.footer_bytes);
    if depth == Depth::Footers {
        return Ok(Ok(checked));
    }
    let mut walk = Walk { next: row.base(), row, epochs: Vec::new() };
    for chunk in &footer.chunks {
        let range = chunk.position..chunk.position + u64::from(chunk.bytes);
        let bytes = store.get_range(&key, range).await?;
        let right = object::check_chunk(chunk, &bytes).map_err(|error| error.to_string());
        if let Err(what) = right.and_then(|()| walk.chunk(&bytes)) {
            return Ok(Err(what));
        }
        checked += u64::from(chunk.bytes);
    }
    Ok(walk.finish(footer.end).map(|()| checked))
}

/// Follows the batches of an object: offsets without holes, and the epochs that its row names.
struct Walk<'a> {
    row: &'a Segment,
    next: i64,
    epochs: Vec<crate::lineage::EpochStart>,
}

impl Walk<'_> {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut position = 0;
        while let Some(head) = batch::head(&bytes[position..]).map_err(|error| error.to_string())? {
            let end = position + head.bytes;
            batch::check_crc(&bytes[position..end], head.base).map_err(|error| error.to_string())?;
            if head.base != self.next {
                return Err(format!("a batch at {} where {} was due", head.base, self.next));
            }
            if self.epochs.last().is_none_or(|last| last.epoch != head.leader_epoch)
                && head.base < self.row.end
            {
                let entry = crate::lineage::EpochStart { epoch: head.leader_epoch, start: head.base };
                self.epochs.push(entry);
            }
            self.next = head.end;
            position = end;
        }
        if position == bytes.len() { Ok(()) } else { Err(format!("a torn batch at offset {}", self.next)) }
    }

    fn finish(self, end: i64) -> Result<(), String> {
        if self.next != end {
            return Err(format!("its batches end at {}, its footer says {end}", self.next));
        }
        if self.epochs != self.row.epochs {
            return Err("its epochs are not those of its row".to_owned());
        }
        Ok(())
    }
}

async fn unnamed(
    store: &dyn Store,
    folder: &PartitionFolder,
    head: Option<&Manifest>,
    named: &BTreeSet<SegmentName>,
) -> Result<BTreeMap<SegmentName, u64>, StoreError> {
    let removed = head.into_iter().flat_map(|head| &head.removed).map(|removed| removed.segment.name);
    let mut known: BTreeSet<SegmentName> = removed.collect();
    for removed in head.into_iter().flat_map(|head| &head.removed_archives) {
        // One that can't be read is on its way out: what it names shows as unnamed.
        let rows = rows(store, folder, &removed.archive).await?.unwrap_or_default();
        known.extend(removed.archive.counting(&rows).iter().map(|row| row.name));
    }
    let mut unnamed = BTreeMap::new();
    for object in store.list(&folder.segments(), None).await? {
        if let Some((_, Entry::Segment(name))) = layout::parse(&object.key)
            && !named.contains(&name)
            && !known.contains(&name)
        {
            unnamed.insert(name, object.bytes);
        }
    }
    Ok(unnamed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;
    use crate::lineage::EpochStart;
    use crate::manifest::Writer;
    use crate::object::ObjectOptions;
    use crate::store::MemoryStore;
    use crate::testing::{MemorySegment, batches};
    use crate::upload::{Progress, UploadOptions, UploadRequest, upload};

    fn folder() -> PartitionFolder {
        PartitionFolder::new("c", "t", "i", 0).unwrap()
    }

    /// Three segments, of which the first is in an archive; and an object that nobody names.
    async fn tier() -> (Arc<MemoryStore>, Vec<Segment>) {
        let store = Arc::new(MemoryStore::new());
        let chain = vec![EpochStart { epoch: 2, start: 0 }];
        let mut all = Vec::new();
        for base in [0, 100, 200, 300] {
            let request = UploadRequest {
                folder: folder(),
                name: SegmentName { base, leader_epoch: 2, uuid: Uuid::from_u128(base as u128 + 1) },
                end: base + 100,
                chain: chain.clone(),
                aborted_transactions: Bytes::new(),
                producer_snapshot: Bytes::new(),
            };
            let source = MemorySegment(batches(base, 10, 10, 2, 100));
            let object = ObjectOptions { chunk_bytes: 500, index_interval_bytes: 500 };
            let options = UploadOptions { object, ..UploadOptions::default() };
            all.push(upload(&*store, &request, &source, &options, &Progress::default()).await.unwrap());
        }
        let (archive, bytes) = Archive::encode(2, Uuid::from_u128(99), &all[..1]).unwrap().unwrap();
        store.put(&folder().archive(&archive.name), vec![bytes]).await.unwrap();
        let manifest = Manifest {
            generation: 4,
            writer: Writer { epoch: 5, uuid: Uuid::nil() },
            archives: vec![archive],
            live: all[1..3].to_vec(),
            ..Manifest::default()
        };
        store.put(&folder().manifest(4), vec![manifest.encode().unwrap()]).await.unwrap();
        (store, all)
    }

    async fn findings(store: &Arc<MemoryStore>, depth: Depth) -> Findings {
        partition(&(store.clone() as SharedStore), &folder(), depth).await.unwrap()
    }

    #[tokio::test]
    async fn a_tier_in_order_has_no_findings_and_tells_its_range() {
        let (store, all) = tier().await;
        for depth in [Depth::Lengths, Depth::Footers, Depth::Bytes] {
            let found = findings(&store, depth).await;
            assert_eq!((found.generation, found.log_start, found.tier_end), (4, 0, 300));
            assert_eq!((found.segments, found.highest_epoch), (3, 5));
            assert_eq!(found.damage, []);
            assert_eq!(found.unnamed.keys().collect::<Vec<_>>(), [&all[3].name]);
        }
        let bytes: u64 = all[..3].iter().map(Segment::object_bytes).sum();
        assert_eq!(findings(&store, Depth::Bytes).await.checked_bytes, bytes);
    }

    #[tokio::test]
    async fn a_lost_a_cut_and_a_flipped_object_are_found_with_their_offsets() {
        let (store, all) = tier().await;
        let keys: Vec<String> = all.iter().map(|segment| folder().segment(&segment.name)).collect();
        store.delete(&keys[0]).await.unwrap();
        let whole = store.get(&keys[1]).await.unwrap();
        store.put(&keys[1], vec![whole.slice(1..)]).await.unwrap();
        let mut flipped = store.get(&keys[2]).await.unwrap().to_vec();
        flipped[700] ^= 1;
        store.put(&keys[2], vec![flipped.into()]).await.unwrap();
        let damaged = |found: Findings| -> Vec<(Option<i64>, Option<i64>)> {
            found.damage.iter().map(|damage| (damage.base, damage.end)).collect()
        };
        let two = [(Some(0), Some(100)), (Some(100), Some(200))];
        assert_eq!(damaged(findings(&store, Depth::Lengths).await), two);
        assert_eq!(damaged(findings(&store, Depth::Footers).await), two, "only reading finds a flipped byte");
        assert_eq!(damaged(findings(&store, Depth::Bytes).await), [two[0], two[1], (Some(200), Some(300))]);
    }

    #[tokio::test]
    async fn a_flipped_byte_anywhere_is_found() {
        let (store, _) = tier().await;
        let objects = store.snapshot();
        let unnamed = findings(&store, Depth::Bytes).await.unnamed;
        for (key, bytes) in &objects {
            if unnamed.keys().any(|name| folder().segment(name) == *key) {
                continue;
            }
            for position in (0..bytes.len()).step_by(97) {
                let mut flipped = bytes.to_vec();
                flipped[position] ^= 4;
                store.put(key, vec![flipped.into()]).await.unwrap();
                let found = findings(&store, Depth::Bytes).await;
                assert!(!found.damage.is_empty(), "byte {position} of {key}");
            }
            store.put(key, vec![bytes.clone()]).await.unwrap();
        }
        assert_eq!(findings(&store, Depth::Bytes).await.damage, []);
    }

    #[tokio::test]
    async fn a_lost_archive_a_broken_head_and_a_deleted_topic_are_told() {
        let (store, _) = tier().await;
        let archive = store.snapshot().into_keys().find(|key| key.contains("/archive/")).unwrap();
        store.delete(&archive).await.unwrap();
        let found = findings(&store, Depth::Footers).await;
        assert_eq!((found.damage[0].base, found.damage[0].end), (Some(0), Some(100)));
        store.put(&folder().manifest(4), vec![Bytes::from_static(b"x")]).await.unwrap();
        let found = findings(&store, Depth::Footers).await;
        assert_eq!((found.damage.len(), found.damage[0].base), (1, None));
        store.put(&folder().tombstone(), vec![]).await.unwrap();
        assert!(findings(&store, Depth::Footers).await.deleted);
    }
}
