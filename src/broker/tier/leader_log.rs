//! A led replica's log, as the offloader sees it. Every call that touches the log runs on a disk thread.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tiering::lineage::EpochStart;
use tiering::offload::{self, LeaderLog};
use tiering::plan::{Local, LocalSegment};
use tiering::upload::SegmentSource;

use super::deletions::Place;
use super::store::ColdStore;
use crate::broker::standing::{LocalCopy, copies_at};
use crate::env::{BlockingPool, Clock, DiskFile};
use crate::log::{EpochEntry, LogError};
use crate::metadata::Metadata;
use crate::replication::{Replica, ReplicaManager, TierPosition};
use crate::types::{BrokerId, LeaderEpoch, Offset};

/// One leadership of one replica.
pub(super) struct LedLog {
    pub(super) replica: Arc<Replica>,
    pub(super) replicas: Arc<ReplicaManager>,
    pub(super) epoch: LeaderEpoch,
    /// For what goes up, of its directory: nobody hot waits for it.
    pub(super) cold_threads: BlockingPool,
    pub(super) clock: Arc<dyn Clock>,
    /// Who the other replicas are, and the way to them.
    pub(super) metadata: Metadata,
    pub(super) node_id: BrokerId,
    pub(super) cold: Arc<ColdStore>,
    /// Where its manifests are waited for.
    pub(super) place: Option<Arc<Place>>,
}

pub(super) fn chain(epochs: &[EpochEntry]) -> Vec<EpochStart> {
    epochs.iter().map(|entry| EpochStart { epoch: entry.epoch.0, start: entry.start.0 }).collect()
}

impl LedLog {
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Replica) -> Result<T, LogError> + Send + 'static,
    ) -> io::Result<T> {
        let replica = self.replica.clone();
        let threads = replica.disk_threads().clone();
        let outcome = threads.run(move || job(&replica)).await.map_err(io::Error::other)?;
        outcome.map_err(io::Error::other)
    }
}

#[async_trait]
impl LeaderLog for LedLog {
    async fn local(&self) -> Option<Local> {
        let epoch = self.epoch;
        let look = self.run(move |replica| {
            // Before the log: what is committed now stays so, and what the log holds is at least that.
            let positions = replica.positions();
            if !positions.leads() || positions.leader_epoch != epoch {
                return Ok(None);
            }
            Ok(Some(replica.with_log(|log| {
                let closed: Vec<LocalSegment> = log
                    .closed_segments()
                    .into_iter()
                    .filter(|segment| segment.base < segment.end)
                    .map(|segment| LocalSegment {
                        base: segment.base.0,
                        end: segment.end.0,
                        bytes: segment.bytes,
                        max_timestamp: segment.max_timestamp,
                    })
                    .collect();
                let closed_bytes: u64 = closed.iter().map(|segment| segment.bytes).sum();
                Local {
                    epoch: epoch.0,
                    log_start: log.log_start().0,
                    local_start: log.local_start().0,
                    high_watermark: positions.high_watermark.0,
                    last_stable: positions.last_stable.0,
                    chain: chain(log.epochs().entries()),
                    open_bytes: log.size_bytes().saturating_sub(closed_bytes),
                    everywhere_from: None,
                    closed,
                }
            })))
        });
        look.await.ok().flatten()
    }

    async fn open(&self, segment: &LocalSegment) -> io::Result<offload::LocalCopy> {
        let (base, bytes) = (Offset(segment.base), segment.bytes);
        let (file, sections) = self
            .run(move |replica| {
                replica.with_log(|log| Ok((log.segment_file(base)?, log.segment_sections(base)?)))
            })
            .await?;
        Ok(offload::LocalCopy {
            source: Box::new(LocalFile { file, bytes, threads: self.cold_threads.clone() }),
            aborted_transactions: sections.txn_index,
            producer_snapshot: sections.producer_snapshot,
        })
    }

    async fn advance_log_start(&self, to: i64) -> io::Result<()> {
        // Stored before anything goes, unlike that of a log without a tier, whose files say where it begins. After a crash it would
        // begin where it did before, for clients too; and what expired before it went up would be missing between the tier and the
        // local log for good.
        let (replicas, now_ms) = (&self.replicas, self.clock.wall_ms());
        let raised = replicas.raise_log_start_with_others(&self.replica, self.epoch, Offset(to), now_ms);
        if raised.await.map_err(io::Error::other)? {
            Ok(())
        } else {
            Err(io::Error::other("this broker does not lead any more"))
        }
    }

    async fn everywhere_from(&self) -> Option<i64> {
        let (id, partition) = (self.replica.topic_id(), self.replica.partition());
        let image = self.metadata.image();
        let assigned = image.partition(&partition.topic, partition.partition)?;
        let positions = self.replica.positions();
        // One that does not answer holds this up for long: who is known to be away is not asked.
        if let Some(away) = assigned.replicas.iter().find(|replica| !image.is_active(replica.broker)) {
            tracing::warn!(%partition, peer = %away.broker, "the tier is not given up while a replica's broker is away");
            return None;
        }
        let mut told = Vec::new();
        for peer in
            assigned.replicas.iter().map(|replica| replica.broker).filter(|peer| *peer != self.node_id)
        {
            told.push((peer, copies_at(&self.metadata, peer, id, partition.partition).await));
        }
        match common_start((positions.local_start, positions.high_watermark), &told) {
            Ok(from) => Some(from.0),
            Err(peer) => {
                tracing::warn!(
                    %partition, %peer,
                    "the tier is not given up before every replica has said from where on it has the records"
                );
                None
            }
        }
    }

    async fn owns_store(&self) -> io::Result<bool> {
        self.cold.owns_now().await.map_err(io::Error::other)
    }

    async fn manifest_is_wanted(&self) {
        let Some(place) = &self.place else { return std::future::pending().await };
        place.wanted().await;
        while !place.is_awaited() {
            place.wanted().await;
        }
    }

    fn carries(&self, log_start: i64) {
        if let Some(place) = &self.place {
            place.carries(log_start);
        }
    }

    async fn delete_local(&self, below: i64) -> io::Result<()> {
        self.run(move |replica| replica.with_log(|log| log.delete_segments_below(Offset(below)))?.run()).await
    }

    async fn set_tier(&self, end: i64, generation: u64) {
        self.replica.set_tier(self.epoch, TierPosition { end: Offset(end), generation });
    }
}

/// From where on all replicas have the records on their own disks: this leader, and the others as they have said.
///
/// # Errors
/// Whose word is missing or can't be relied on: local retention may still take more of its files, or its copy has yet to be filled, or to
/// be cut to this leader's log, which it tells nothing of.
fn common_start(
    (local_start, high_watermark): (Offset, Offset),
    told: &[(BrokerId, Option<LocalCopy>)],
) -> Result<Offset, BrokerId> {
    let mut from = local_start;
    for &(peer, copy) in told {
        let reliable = |copy: &LocalCopy| {
            let (start, end) = (Offset(copy.start), Offset(copy.end));
            !copy.is_tiered && end >= local_start && start <= high_watermark
        };
        let copy = copy.filter(reliable).ok_or(peer)?;
        from = from.max(Offset(copy.start));
    }
    Ok(from)
}

/// A closed `.log` file. The handle reads on when the segment is deleted meanwhile.
struct LocalFile {
    file: Arc<dyn DiskFile>,
    bytes: u64,
    threads: BlockingPool,
}

#[async_trait]
impl SegmentSource for LocalFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    async fn read(&self, position: u64, bytes: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.bytes.saturating_sub(position)).unwrap_or(usize::MAX);
        let (file, bytes) = (self.file.clone(), bytes.min(left));
        let read = move || {
            let mut buffer = vec![0; bytes];
            let got = file.read_at(&mut buffer, position)?;
            buffer.truncate(got);
            Ok(Bytes::from(buffer))
        };
        self.threads.run(read).await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(start: i64, end: i64) -> Option<LocalCopy> {
        Some(LocalCopy { start, end, is_tiered: false })
    }

    #[test]
    fn a_tier_is_given_up_from_where_all_replicas_have_the_records_and_only_when_each_has_said_so() {
        let leader = (Offset(100), Offset(200));
        let [second, third] = [BrokerId(2), BrokerId(3)];
        let of = |copy| common_start(leader, &[(second, self::copy(50, 210)), (third, copy)]);
        assert_eq!(of(copy(70, 210)), Ok(Offset(100)));
        assert_eq!(of(copy(150, 210)), Ok(Offset(150)));
        assert_eq!(of(copy(200, 200)), Ok(Offset(200)));
        assert_eq!(of(None), Err(third), "it has said nothing");
        assert_eq!(of(copy(0, 99)), Err(third), "it has yet to be filled");
        assert_eq!(of(copy(201, 300)), Err(third), "it has yet to be cut to this leader's log");
        let still_tiered = Some(LocalCopy { start: 70, end: 210, is_tiered: true });
        assert_eq!(of(still_tiered), Err(third), "local retention may take more of it");
    }
}
