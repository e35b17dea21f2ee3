//! Topics that came back from the store: where the partitions of one end that was restored to a cut, and the state of a log that ends
//! anywhere in the tier.
//!
//! ```text
//! rows   |=====|=====|=====|=====|=====|      the tier's end is that of the lost brokers' lineage
//!                       ^ mark: the first leader begins here, under an epoch that is above all of the rows'
//! ```
//! What lies above the mark is of a lineage that has ended, as after an unclean election. That holds for the first beginning alone: once a
//! leader of this life has published, the manifest says what counts. A leader publishes nothing before the whole cluster is back: until then
//! nothing in the store has changed, and it can be restored otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tiering::backup;
use tiering::layout::PartitionFolder;
use tiering::lineage::EpochStart;
use tiering::manifest::Manifest;
use tiering::object::Footer;
use tiering::read::Reader;
use tiering::store::{SharedStore, Store, StoreError};
use tokio::sync::{Mutex, Semaphore};

use super::backup::{BackupError, CutBackup, CutMark, MetadataBackup};
use super::topic_rules::{RESTORE_CUT, Restored};
use crate::env::defect::{Defect, planted};
use crate::env::{Clock, MonoTime};
use crate::log::{EpochEntry, ProducersSince, snapshot_of_no_producers};
use crate::metadata::{Metadata, Topic};
use crate::replication::{TierState, TierUnavailable};
use crate::types::{LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::wire::record_batch::BatchIter;

/// Partitions whose producers are replayed at the same time: each holds so many bytes of batches.
const REPLAYS_AT_ONCE: usize = 4;
const REPLAY_BYTES: usize = 4 << 20;
/// How often the store is asked whether the cluster is back.
const LOOK: Duration = Duration::from_secs(5);

fn unavailable(error: impl std::fmt::Display) -> TierUnavailable {
    TierUnavailable(error.to_string())
}

impl CutBackup {
    /// Keeps the cut that a cluster is restored to, for its brokers to look up.
    ///
    /// # Errors
    /// What the store answers; `AlreadyExists` for another cut of that number.
    pub async fn keep(&self, store: &dyn Store, number: u64) -> Result<(), BackupError> {
        let key = PartitionFolder::restored_cut(&self.cluster_id, number);
        match CutBackup::kept(store, &self.cluster_id, number).await {
            Ok(kept) if kept == *self => return Ok(()),
            Ok(_) => return Err(StoreError::AlreadyExists { key }.into()),
            Err(BackupError::Part(_)) => {}
            Err(error) => return Err(error),
        }
        let words = |error| BackupError::Content { folder: key.clone(), generation: number, error };
        let body = serde_json::to_vec(self).map_err(words)?;
        backup::write_part(store, &key, &Bytes::from(body)).await.map_err(BackupError::from)
    }

    /// The cut that a cluster is restored to.
    ///
    /// # Errors
    /// `Part` when it is damaged or gone, `Content`, `Store`.
    pub async fn kept(store: &dyn Store, cluster_id: &str, number: u64) -> Result<CutBackup, BackupError> {
        let key = PartitionFolder::restored_cut(cluster_id, number);
        let body = match backup::read_part(store, &key).await {
            Ok(Some(body)) => body,
            Ok(None) | Err(StoreError::NotFound { .. }) => return Err(BackupError::Part(key)),
            Err(error) => return Err(error.into()),
        };
        let words = |error| BackupError::Content { folder: key, generation: number, error };
        serde_json::from_slice(&body).map_err(words)
    }
}

/// What has to be known of the producers at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// All that were there.
    All,
    /// Those of what the tier still holds.
    Some,
}

/// What this broker knows of restored topics.
pub(super) struct RestoredTopics {
    store: SharedStore,
    metadata: Metadata,
    clock: Arc<dyn Clock>,
    /// The cut that was read last: all partitions ask for the same.
    cut: Mutex<Option<(u64, Arc<CutBackup>)>>,
    is_back: AtomicBool,
    looked: Mutex<Option<MonoTime>>,
    replays: Semaphore,
}

impl RestoredTopics {
    pub(super) fn new(store: SharedStore, metadata: Metadata, clock: Arc<dyn Clock>) -> Arc<RestoredTopics> {
        Arc::new(RestoredTopics {
            store,
            metadata,
            clock,
            cut: Mutex::default(),
            is_back: AtomicBool::new(false),
            looked: Mutex::default(),
            replays: Semaphore::new(REPLAYS_AT_ONCE),
        })
    }

    fn topic(&self, partition: &TopicPartition, id: TopicId) -> Result<Arc<Topic>, TierUnavailable> {
        let topic =
            self.metadata.image().topics.get(&partition.topic).filter(|topic| topic.id == id).cloned();
        topic.ok_or_else(|| TierUnavailable(format!("there is no topic {} of id {id}", partition.topic)))
    }

    /// Whether a topic was restored to a cut.
    pub(super) fn is_to_cut(&self, partition: &TopicPartition, id: TopicId) -> bool {
        self.topic(partition, id).is_ok_and(|topic| topic.configs.contains_key(RESTORE_CUT))
    }

    /// Where a partition ends that was restored to a cut, as long as nobody of this life has published; `None` for the end of what its
    /// manifest names.
    pub(super) async fn mark_of(
        &self,
        partition: &TopicPartition,
        id: TopicId,
        manifest: &Manifest,
    ) -> Result<Option<CutMark>, TierUnavailable> {
        let restored = Restored::of(&self.topic(partition, id)?.configs).map_err(TierUnavailable)?;
        let Some((first_epoch, number)) = restored.and_then(|r| Some((r.first_epoch, r.cut?))) else {
            return Ok(None);
        };
        if manifest.writer.epoch >= first_epoch.0 || planted(Defect::RestorePastTheCut) {
            return Ok(None);
        }
        let cut = self.cut(number).await?;
        let marks = cut.topics.get(&id.to_string()).map(|topic| &topic.marks);
        let index = usize::try_from(partition.partition).unwrap_or(usize::MAX);
        Ok(marks.and_then(|marks| marks.get(index)).copied())
    }

    async fn cut(&self, number: u64) -> Result<Arc<CutBackup>, TierUnavailable> {
        let mut known = self.cut.lock().await;
        if let Some((_, cut)) = known.as_ref().filter(|(of, _)| *of == number) {
            return Ok(cut.clone());
        }
        let cluster_id = self.metadata.image().cluster_id.clone();
        let cut = CutBackup::kept(&*self.store, &cluster_id, number).await.map_err(unavailable)?;
        let cut = Arc::new(cut);
        *known = Some((number, cut.clone()));
        Ok(cut)
    }

    /// Whether the whole cluster is back: the store's backups are of this life, or there are none. Of a topic that was restored to a
    /// cut nothing is published before.
    pub(super) async fn is_complete(&self) -> bool {
        let mut looked = self.looked.lock().await;
        let (now, known) = (self.clock.now(), self.is_back.load(Ordering::Relaxed));
        if known || looked.is_some_and(|at| now.since(at) < LOOK) {
            return known;
        }
        *looked = Some(now);
        let ours = MetadataBackup::of(&self.metadata.image());
        let is_back = match MetadataBackup::newest(&*self.store, &ours.cluster_id).await {
            Ok(newest) => newest.is_none_or(|(_, found)| found.same_life(&ours)),
            Err(error) => {
                tracing::warn!(%error, "whether the cluster is restored is not known: topics that are back go on uploading later");
                false
            }
        };
        self.is_back.store(is_back, Ordering::Relaxed);
        is_back
    }

    /// What a log is to begin with that ends where the manifest says, or at the cut; `None` where there is nothing before.
    pub(super) async fn first_state(
        &self,
        reader: &Reader,
        folder: &PartitionFolder,
        manifest: &Manifest,
        mark: Option<CutMark>,
    ) -> Result<Option<TierState>, TierUnavailable> {
        let Some(mark) = mark else {
            let Some(end) = manifest.tier_end() else { return Ok(None) };
            return self.state_at(reader, folder, manifest, end, Known::Some).await;
        };
        if mark.offset <= manifest.log_start {
            return Ok(nothing_before(mark));
        }
        let Some(end) = manifest.tier_end().map(|end| end.min(mark.offset)) else { return Ok(None) };
        let epoch = manifest.epoch_before(end);
        if end == mark.offset && epoch.is_some_and(|epoch| epoch != mark.epoch) {
            return Err(TierUnavailable(format!(
                "the tier holds other records before offset {end} than the cut: of epoch {epoch:?}, not {}",
                mark.epoch
            )));
        }
        self.state_at(reader, folder, manifest, end, Known::Some).await
    }

    /// The state of a log that ends at `end`, which lies between two batches of the tier; `None` where the tier holds nothing before it, or
    /// not all that must be known. At the end of an object its footer says it. Elsewhere the batches since the last such end are read.
    pub(super) async fn state_at(
        &self,
        reader: &Reader,
        folder: &PartitionFolder,
        manifest: &Manifest,
        end: i64,
        must_know: Known,
    ) -> Result<Option<TierState>, TierUnavailable> {
        let (mut holds, mut before, mut first) = (None::<Arc<Footer>>, None::<Arc<Footer>>, end);
        'lists: for list in (0..manifest.lists()).rev() {
            let rows = reader.segments(folder, manifest, list).await.map_err(unavailable)?;
            for row in rows.iter().rev().filter(|row| row.base() < end) {
                let footer = reader.footer(folder, row).await.map_err(unavailable)?;
                holds.get_or_insert_with(|| footer.clone());
                // One that was cut at a divergence has the producers' state of another lineage.
                if footer.end == row.end && row.end <= end {
                    before = Some(footer);
                    break 'lists;
                }
                first = row.base();
            }
        }
        let Some(holds) = holds else { return Ok(None) };
        if must_know == Known::All && before.is_none() && first != 0 {
            return Ok(None);
        }
        let from = before.as_ref().map_or(first, |footer| footer.end);
        let snapshot = before.as_ref().map_or_else(snapshot_of_no_producers, |f| f.producer_snapshot.clone());
        let chain: Vec<EpochStart> = holds.epochs.iter().filter(|entry| entry.start < end).copied().collect();
        let producer_snapshot = if from == end {
            snapshot
        } else {
            let _place = self.replays.acquire().await.map_err(unavailable)?;
            replayed(reader, folder, manifest, &chain, snapshot, from..end).await?
        };
        let entry = |e: &EpochStart| EpochEntry { epoch: LeaderEpoch(e.epoch), start: Offset(e.start) };
        Ok(Some(TierState {
            end: Offset(end),
            log_start: Offset(manifest.log_start.min(end)),
            epochs: chain.iter().map(entry).collect(),
            producer_snapshot,
        }))
    }
}

/// A log that ends at the cut, of which everything below has expired since.
pub(super) fn nothing_before(mark: CutMark) -> Option<TierState> {
    (mark.offset > 0).then(|| TierState {
        end: Offset(mark.offset),
        log_start: Offset(mark.offset),
        epochs: Vec::new(),
        producer_snapshot: snapshot_of_no_producers(),
    })
}

/// The producers at the end of a range, by those at its beginning.
async fn replayed(
    reader: &Reader,
    folder: &PartitionFolder,
    manifest: &Manifest,
    chain: &[EpochStart],
    snapshot: Bytes,
    range: std::ops::Range<i64>,
) -> Result<Bytes, TierUnavailable> {
    let mut producers = ProducersSince::new(&snapshot).map_err(unavailable)?;
    let mut next = range.start;
    while next < range.end {
        let read = reader.read(folder, manifest, chain, next, REPLAY_BYTES).await.map_err(unavailable)?;
        for bytes in read.batches {
            for batch in BatchIter::new(bytes) {
                let batch = batch.map_err(unavailable)?;
                let (base, end) = (batch.header.base_offset.0, batch.header.end_offset().0);
                if base >= range.end {
                    break;
                }
                if end > range.end {
                    return Err(TierUnavailable(format!("offset {} lies within a batch", range.end)));
                }
                if base >= range.start {
                    producers.apply(&batch);
                }
            }
        }
        next = read.next;
    }
    Ok(producers.snapshot())
}
