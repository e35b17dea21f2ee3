//! Reads of the cold tier: for fetches, for ListOffsets, and for followers that begin at its end.
//!
//! A read is a task of the cold runtime: whoever asked may leave, and what was fetched for him is in the cache for the next.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use futures::future::BoxFuture;
use tiering::layout::PartitionFolder;
use tiering::lineage::EpochStart;
use tiering::manifest::{Manifest, Segment};
use tiering::publish::Publisher;
use tiering::read::ReadError;
use tiering::store::SharedStore;
use tokio::task::JoinSet;

use super::leader_log::chain;
use super::restored::{Known, nothing_before};
use super::store::ColdStore;
use crate::broker::cold::{AbortedInTier, ColdError, ColdTier};
use crate::broker::offsets::ListedOffset;
use crate::replication::{ReplicaManager, TierPosition, TierReader, TierState, TierUnavailable};
use crate::types::{Offset, ProducerId, TopicId, TopicPartition};
use crate::wire::Records;
use crate::wire::record_batch::Batch;

/// One answer is not larger, whatever a client allows: it is held in memory as a whole.
const ANSWER_BYTES: usize = 16 << 20;
/// Bound on the decompressed records of the one batch that is looked into for a time.
const RECORDS_LIMIT_BYTES: usize = 64 << 20;
/// Names of one look for objects.
const PAGE: usize = 1000;

/// Reads of the partitions that this broker leads.
#[derive(Clone)]
pub struct TierReads {
    cold: Arc<ColdStore>,
    replicas: Arc<ReplicaManager>,
}

/// What a read needs to know of a partition.
struct Place {
    folder: PartitionFolder,
    chain: Vec<EpochStart>,
    generation: u64,
}

fn cold_error(error: impl std::fmt::Display) -> ColdError {
    ColdError(error.to_string())
}

impl TierReads {
    /// Reads from `cold` for the replicas of this broker.
    #[must_use]
    pub fn new(cold: Arc<ColdStore>, replicas: Arc<ReplicaManager>) -> TierReads {
        TierReads { cold, replicas }
    }

    /// Runs a read on the cold runtime.
    fn spawn<T: Send + 'static>(
        &self,
        read: impl Future<Output = Result<T, ColdError>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, ColdError>> {
        let task = self.cold.runtime.spawn(read);
        Box::pin(async move { task.await.unwrap_or_else(|error| Err(cold_error(error))) })
    }

    fn place(&self, partition: &TopicPartition, topic: TopicId) -> Result<Place, ColdError> {
        let gone = || cold_error(format!("this broker does not host {partition}"));
        let replica = self.replicas.replica_by_id(topic, partition.partition).ok_or_else(gone)?;
        let generation = replica.positions().tier.map_or(0, |tier| tier.generation);
        let chain = chain(&replica.epochs());
        let folder = self.cold.folder(partition, topic).map_err(cold_error)?;
        Ok(Place { folder, chain, generation })
    }

    /// Asks with the manifest that is known, and once more with the newest one if that had not what was asked for.
    async fn with_manifest<T, F: Future<Output = Result<T, ReadError>>>(
        &self,
        place: &Place,
        ask: impl Fn(Arc<Manifest>) -> F,
    ) -> Result<T, ReadError> {
        let reader = &self.cold.reader;
        let known = reader.manifest(&place.folder, place.generation).await?;
        match ask(known.clone()).await {
            Err(ReadError::NotInTier { .. } | ReadError::Missing { .. }) => {
                let newest = reader.refreshed_manifest(&place.folder).await?;
                ask(newest).await
            }
            answer => answer,
        }
    }

    async fn read_now(
        self,
        partition: TopicPartition,
        topic: TopicId,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Records, ColdError> {
        let place = self.place(&partition, topic)?;
        let reader = &self.cold.reader;
        let max_bytes = max_bytes.min(ANSWER_BYTES);
        let read = self.with_manifest(&place, |manifest| {
            let place = &place;
            async move { reader.read(&place.folder, &manifest, &place.chain, from.0, max_bytes).await }
        });
        match read.await {
            Ok(slice) => Ok(slice.batches.into()),
            Err(ReadError::NotInTier { .. }) => {
                let replica = self.replicas.replica_by_id(topic, partition.partition);
                if replica.is_some_and(|replica| from < replica.positions().log_start) {
                    // It has expired meanwhile: the next fetch is told that it is out of range.
                    return Ok(Records::empty());
                }
                tracing::warn!(%partition, %from, "these records are neither in the tier nor on this broker");
                Err(cold_error(format!("offset {from} is neither in the tier nor on this broker")))
            }
            Err(error) => {
                tracing::warn!(%partition, %from, %error, "a read of the cold tier failed");
                Err(cold_error(error))
            }
        }
    }

    /// The first record in `from..` at or after `timestamp`.
    async fn first_at(
        &self,
        place: &Place,
        from: Offset,
        timestamp: i64,
    ) -> Result<Option<ListedOffset>, ColdError> {
        let reader = &self.cold.reader;
        let mut search_from = from;
        loop {
            let found = self.with_manifest(place, |manifest| async move {
                let (folder, chain) = (&place.folder, &place.chain);
                reader.first_batch_reaching(folder, &manifest, chain, timestamp, search_from.0).await
            });
            let Some(mut bytes) = found.await.map_err(cold_error)? else { return Ok(None) };
            let batch = Batch::split_from(&mut bytes).map_err(cold_error)?;
            if let Some(found) = first_record(&batch, from, timestamp) {
                return Ok(Some(found));
            }
            // Its record that reaches the timestamp lies before `from`.
            search_from = batch.header.end_offset();
        }
    }

    async fn max_timestamp_now(
        self,
        partition: TopicPartition,
        topic: TopicId,
        log_start: Offset,
    ) -> Result<Option<ListedOffset>, ColdError> {
        let place = self.place(&partition, topic)?;
        let manifest =
            self.cold.reader.manifest(&place.folder, place.generation).await.map_err(cold_error)?;
        let segments = manifest.on_chain(&place.chain);
        let mut largest: Vec<i64> =
            segments.iter().filter(|s| s.end > log_start.0).map(|s| s.max_timestamp).collect();
        let archives = manifest.archives.iter().filter(|archive| archive.end() > log_start.0);
        largest.extend(archives.map(|archive| archive.max_timestamp));
        largest.sort_unstable();
        // A segment's bound is not reached when its largest record lies before the log start or past a divergence.
        while let Some(timestamp) = largest.pop().filter(|timestamp| *timestamp >= 0) {
            if let Some(found) = self.first_at(&place, log_start, timestamp).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// The first record of a batch that fits. A batch whose records cannot be walked within the bound answers with its first
/// offset: early, so that a reader who seeks there misses nothing.
fn first_record(batch: &Batch, from: Offset, timestamp: i64) -> Option<ListedOffset> {
    let header = &batch.header;
    let found = |offset, timestamp| ListedOffset { offset, timestamp, leader_epoch: header.leader_epoch };
    let early = || Some(found(header.base_offset.max(from), header.max_timestamp));
    let Ok(records) = batch.records(RECORDS_LIMIT_BYTES) else { return early() };
    for record in records {
        match record {
            Ok(record) if record.offset >= from && record.timestamp >= timestamp => {
                return Some(found(record.offset, record.timestamp));
            }
            Ok(_) => {}
            Err(_) => return early(),
        }
    }
    None
}

impl ColdTier for TierReads {
    fn read(
        &self,
        partition: &TopicPartition,
        topic: TopicId,
        from: Offset,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Records, ColdError>> {
        self.spawn(self.clone().read_now(partition.clone(), topic, from, max_bytes))
    }

    fn offset_for_timestamp(
        &self,
        partition: &TopicPartition,
        topic: TopicId,
        log_start: Offset,
        timestamp: i64,
    ) -> BoxFuture<'static, Result<Option<ListedOffset>, ColdError>> {
        let (reads, partition) = (self.clone(), partition.clone());
        self.spawn(async move {
            let place = reads.place(&partition, topic)?;
            reads.first_at(&place, log_start, timestamp).await
        })
    }

    fn max_timestamp(
        &self,
        partition: &TopicPartition,
        topic: TopicId,
        log_start: Offset,
    ) -> BoxFuture<'static, Result<Option<ListedOffset>, ColdError>> {
        self.spawn(self.clone().max_timestamp_now(partition.clone(), topic, log_start))
    }

    fn aborted_transactions(
        &self,
        partition: &TopicPartition,
        topic: TopicId,
        from: Offset,
        to: Offset,
    ) -> BoxFuture<'static, Result<AbortedInTier, ColdError>> {
        let (reads, partition) = (self.clone(), partition.clone());
        self.spawn(async move {
            let place = reads.place(&partition, topic)?;
            let reader = &reads.cold.reader;
            let found = reads.with_manifest(&place, |manifest| {
                let (folder, chain) = (&place.folder, &place.chain);
                async move {
                    let found = reader.aborted_transactions(folder, &manifest, chain, from.0, to.0).await?;
                    Ok((found, manifest.tier_end().map_or(from, |end| Offset(end).max(from))))
                }
            });
            let ((aborted, complete), tier_end) = found.await.map_err(cold_error)?;
            let first =
                |a: &tiering::index::AbortedTransaction| (ProducerId(a.producer_id), Offset(a.first_offset));
            let goes_on_at = (!complete).then_some(tier_end);
            Ok(AbortedInTier { found: aborted.iter().map(first).collect(), goes_on_at })
        })
    }
}

impl TierReader for ColdStore {
    fn fetch_tier_state(
        &self,
        partition: &TopicPartition,
        topic: TopicId,
        tier: TierPosition,
    ) -> BoxFuture<'static, Result<TierState, TierUnavailable>> {
        let unavailable = |error: &dyn std::fmt::Display| TierUnavailable(error.to_string());
        let (reader, restored) = (self.reader.clone(), self.restored.clone());
        let (partition, folder) = (partition.clone(), self.folder(partition, topic));
        let task = self.runtime.spawn(async move {
            let folder = folder.map_err(|e| unavailable(&e))?;
            let manifest = reader.manifest(&folder, tier.generation).await.map_err(|e| unavailable(&e))?;
            // What lies above the leader's tier end may be of a lineage that has ended. What lies below is of the leader's.
            let end = manifest.tier_end().map_or(tier.end.0, |end| end.min(tier.end.0));
            let is_to_cut = restored.is_to_cut(&partition, topic);
            let must_know = if is_to_cut { Known::Some } else { Known::All };
            if let Some(state) = restored.state_at(&reader, &folder, &manifest, end, must_know).await? {
                return Ok(state);
            }
            if is_to_cut {
                let mark = restored.mark_of(&partition, topic, &manifest).await?;
                if let Some(state) = mark.filter(|mark| mark.offset == tier.end.0).and_then(nothing_before) {
                    return Ok(state);
                }
            }
            let generation = manifest.generation;
            Err(TierUnavailable(format!("generation {generation} has no segment up to {}", tier.end)))
        });
        Box::pin(async move { task.await.unwrap_or_else(|e| Err(TierUnavailable(e.to_string()))) })
    }

    fn fetch_head(
        &self,
        partition: &TopicPartition,
        topic: TopicId,
        held: Range<Offset>,
    ) -> BoxFuture<'static, Result<Option<(TierPosition, TierState)>, TierUnavailable>> {
        let unavailable = |error: &dyn std::fmt::Display| TierUnavailable(error.to_string());
        let (reader, store, restored) = (self.reader.clone(), self.store.clone(), self.restored.clone());
        let (partition, folder) = (partition.clone(), self.folder(partition, topic));
        // Whoever asks again after a time-out does not find the former look still going on.
        let mut task = JoinSet::new();
        let look = async move {
            let folder = folder.map_err(|e| unavailable(&e))?;
            let head = Publisher::new(store.clone(), folder.clone())
                .find_head(0)
                .await
                .map_err(|e| unavailable(&e))?;
            let Some(manifest) = head.manifest else { return Ok(None) };
            let lists = if held.is_empty() { 0 } else { manifest.lists() };
            for list in (0..lists).rev() {
                let rows = reader.segments(&folder, &manifest, list).await.map_err(|e| unavailable(&e))?;
                let covers = |row: &&Segment| row.end > held.start.0 && row.base() < held.end.0;
                let covering: Vec<Segment> = rows.iter().filter(covers).cloned().collect();
                are_there(&store, &folder, &covering).await?;
                if rows.first().is_none_or(|first| first.base() <= held.start.0) {
                    break;
                }
            }
            let mark = restored.mark_of(&partition, topic, &manifest).await?;
            let Some(state) = restored.first_state(&reader, &folder, &manifest, mark).await? else {
                return Ok(None);
            };
            let tier = TierPosition { end: state.end, generation: manifest.generation };
            Ok(Some((tier, state)))
        };
        task.spawn_on(look, &self.runtime);
        Box::pin(async move {
            match task.join_next().await {
                Some(Ok(told)) => told,
                Some(Err(error)) => Err(unavailable(&error)),
                None => Err(TierUnavailable("nobody has looked".to_owned())),
            }
        })
    }
}

/// Whether the objects are there, with their lengths: in pages of names, for a large partition has thousands of them.
async fn are_there(
    store: &SharedStore,
    folder: &PartitionFolder,
    rows: &[Segment],
) -> Result<(), TierUnavailable> {
    let mut wanted: BTreeMap<String, u64> =
        rows.iter().map(|row| (folder.segment(&row.name), row.object_bytes())).collect();
    // A name begins with its offset; this one sorts before all that are wanted, and is none.
    let mut after =
        wanted.keys().next().and_then(|first| first.rsplit_once('-')).map(|(first, _)| first.to_owned());
    while let Some(last) = wanted.keys().next_back().cloned() {
        let page = store.list_page(&folder.segments(), after.as_deref(), PAGE).await;
        let page = page.map_err(|error| TierUnavailable(error.to_string()))?;
        for found in &page {
            match wanted.remove(&found.key) {
                Some(bytes) if bytes != found.bytes => {
                    let (key, there) = (&found.key, found.bytes);
                    return Err(TierUnavailable(format!(
                        "its object {key} has {there} bytes instead of {bytes}"
                    )));
                }
                _ => {}
            }
        }
        match page.last() {
            Some(end) if end.key < last && page.len() == PAGE => after = Some(end.key.clone()),
            _ => break,
        }
    }
    match wanted.keys().next() {
        Some(lost) => Err(TierUnavailable(format!("its object {lost} is not there"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tiering::layout::SegmentName;
    use tiering::store::{MemoryStore, MeteredStore, Store as _};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn thousands_of_objects_are_looked_for_in_pages() {
        const ROWS: i64 = 2_500;
        let folder = PartitionFolder::new("c", "t", "i", 0).unwrap();
        let inner = Arc::new(MemoryStore::new());
        let row = |i: i64| Segment {
            name: SegmentName {
                base: i * 10,
                leader_epoch: 0,
                uuid: Uuid::from_u128(i.cast_unsigned().into()),
            },
            end: i * 10 + 10,
            epochs: vec![EpochStart { epoch: 0, start: i * 10 }],
            max_timestamp: 0,
            log_bytes: 3,
            footer_bytes: 4,
            crc: 0,
        };
        let rows: Vec<Segment> = (0..ROWS).map(row).collect();
        for row in &rows {
            let bytes = usize::try_from(row.object_bytes()).unwrap();
            inner.put(&folder.segment(&row.name), vec![Bytes::from(vec![0; bytes])]).await.unwrap();
        }
        let metered = MeteredStore::new(inner.clone());
        let requests = metered.requests();
        let store: SharedStore = Arc::new(metered);
        are_there(&store, &folder, &rows).await.unwrap();
        let counts = requests.counts();
        assert_eq!((counts.lists, counts.heads), (3, 0));
        are_there(&store, &folder, &rows[2_490..]).await.unwrap();
        assert_eq!(requests.counts().lists, 4, "what lies before is not listed");

        let key = folder.segment(&rows[1_700].name);
        inner.put(&key, vec![Bytes::from_static(b"short")]).await.unwrap();
        let said = are_there(&store, &folder, &rows).await.unwrap_err().0;
        assert!(said.contains(&key) && said.contains("5 bytes"), "{said}");
        inner.delete(&key).await.unwrap();
        let said = are_there(&store, &folder, &rows).await.unwrap_err().0;
        assert!(said.contains(&key) && said.contains("not there"), "{said}");
    }
}
