//! Offsets by time and by name, across both tiers (ListOffsets), and the end of a leader epoch (KIP-101).

use std::sync::Arc;

use super::Broker;
use super::fetch::FetchError;
use crate::log::{LogError, TimestampOffset};
use crate::replication::{Isolation, Positions, Replica, ServedBy};
use crate::types::{LeaderEpoch, Offset, TopicPartition};

/// What offset is asked for; the numbers are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// −2: the log start, in whichever tier.
    Earliest,
    /// −1: the high watermark, or the last stable offset for read_committed.
    Latest,
    /// −3: the record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// −4: the local log start (KIP-405).
    EarliestLocal,
    /// −5: the last offset that is in the cold tier (KIP-1005).
    LatestTiered,
    /// −6: the first offset that is not in the cold tier yet (KIP-1023).
    EarliestPendingUpload,
    /// The first record at or after this time, in milliseconds.
    Timestamp(i64),
}

/// An offset that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; −1 when there is none.
    pub offset: Offset,
    /// The record's timestamp where the question was about time, else −1.
    pub timestamp: i64,
    /// The leader epoch of the record; −1 when unknown.
    pub leader_epoch: LeaderEpoch,
}

impl ListedOffset {
    const NONE: ListedOffset =
        ListedOffset { offset: Offset::NONE, timestamp: -1, leader_epoch: LeaderEpoch::NONE };
}

/// Why no offset can be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// As for a fetch.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A new leader's high watermark has not reached the start of its epoch (KIP-207).
    #[error("the new leader does not know the latest offset yet")]
    NotAvailable,
}

impl Broker {
    /// Answers one partition of ListOffsets.
    ///
    /// # Errors
    /// Leadership and epoch errors as for a fetch; `NotAvailable` right after an election.
    pub async fn list_offset(
        &self,
        partition: &TopicPartition,
        spec: OffsetSpec,
        isolation: Isolation,
        leader_epoch: Option<LeaderEpoch>,
    ) -> Result<ListedOffset, ListError> {
        let replica = self.replica_for(partition, None)?;
        let positions = replica.positions();
        replica
            .check_reader(&positions, leader_epoch, ServedBy::Leader)
            .map_err(|e| ListError::Fetch(self.refused(partition, e)))?;
        let at = async |offset: Offset| {
            let log = replica.clone();
            let epoch = self
                .on_disk_thread(&replica, move || Ok(log.with_log(|log| log.epochs().epoch_at(offset))))
                .await?;
            let leader_epoch = epoch.unwrap_or(LeaderEpoch::NONE);
            Ok::<_, ListError>(ListedOffset { offset, timestamp: -1, leader_epoch })
        };
        let end = match isolation {
            Isolation::ReadUncommitted => positions.high_watermark,
            Isolation::ReadCommitted => positions.last_stable,
        };
        Ok(match spec {
            OffsetSpec::Earliest => at(positions.log_start).await?,
            OffsetSpec::EarliestLocal => at(positions.local_start).await?,
            OffsetSpec::Latest => {
                if !positions.latest_is_known {
                    return Err(ListError::NotAvailable);
                }
                ListedOffset { offset: end, timestamp: -1, leader_epoch: positions.leader_epoch }
            }
            OffsetSpec::LatestTiered if positions.tier_end() > positions.log_start => {
                at(positions.tier_end() + -1).await?
            }
            OffsetSpec::LatestTiered => ListedOffset::NONE,
            OffsetSpec::EarliestPendingUpload if positions.tier.is_some() => {
                at(positions.tier_end().max(positions.log_start)).await?
            }
            OffsetSpec::EarliestPendingUpload => ListedOffset::NONE,
            OffsetSpec::MaxTimestamp => {
                let log = replica.clone();
                let local = self
                    .on_disk_thread(&replica, move || log.inspect(|log| log.max_timestamp()))
                    .await?
                    .filter(|found| found.offset < end);
                let cold = match &self.tier {
                    Some(tier) if positions.log_start < positions.local_start => tier
                        .max_timestamp(partition, replica.topic_id(), positions.log_start)
                        .await
                        .map_err(|e| ListError::Fetch(FetchError::Tier(e.to_string())))?,
                    _ => None,
                };
                newest(local, cold)
            }
            OffsetSpec::Timestamp(timestamp) => {
                self.first_since(&replica, &positions, timestamp, end).await?
            }
        })
    }

    /// The first record at or after a time, in milliseconds, below the high watermark that this replica knows: of the leader or of
    /// a follower, as for a reader that takes any replica (KIP-392).
    ///
    /// # Errors
    /// As for a fetch from any replica.
    pub async fn offset_at_time(
        &self,
        partition: &TopicPartition,
        timestamp: i64,
    ) -> Result<ListedOffset, ListError> {
        let replica = self.replica_for(partition, None)?;
        let positions = replica.positions();
        replica
            .check_reader(&positions, None, ServedBy::AnyReplica)
            .map_err(|e| ListError::Fetch(self.refused(partition, e)))?;
        self.first_since(&replica, &positions, timestamp, positions.high_watermark).await
    }

    async fn first_since(
        &self,
        replica: &Arc<Replica>,
        positions: &Positions,
        timestamp: i64,
        end: Offset,
    ) -> Result<ListedOffset, ListError> {
        if positions.log_start < positions.local_start
            && let Some(tier) = &self.tier
            && let Some(found) = tier
                .offset_for_timestamp(replica.partition(), replica.topic_id(), positions.log_start, timestamp)
                .await
                .map_err(|e| ListError::Fetch(FetchError::Tier(e.to_string())))?
        {
            return Ok(found);
        }
        let log = replica.clone();
        let found = self
            .on_disk_thread(replica, move || log.inspect(|log| log.offset_for_timestamp(timestamp, end)))
            .await?;
        Ok(found.map_or(ListedOffset::NONE, ListedOffset::from))
    }

    /// The largest epoch at or below `epoch` and its end offset (never below what was consumed, and a missing
    /// epoch is answered by the next lower one); −1 and −1 when the log knows no such epoch yet.
    ///
    /// # Errors
    /// Leadership and epoch errors as for a fetch.
    pub fn offset_for_leader_epoch(
        &self,
        partition: &TopicPartition,
        current_leader_epoch: Option<LeaderEpoch>,
        epoch: LeaderEpoch,
    ) -> Result<(LeaderEpoch, Offset), FetchError> {
        let replica = self.replica_for(partition, None)?;
        replica
            .check_reader(&replica.positions(), current_leader_epoch, ServedBy::Leader)
            .map_err(|e| self.refused(partition, e))?;
        Ok(replica.end_of_epoch(epoch).unwrap_or((LeaderEpoch::NONE, Offset::NONE)))
    }

    /// Runs a read of the replica's log on the disk threads of its directory: `DiskHangs` when that takes too long.
    pub(super) async fn on_disk_thread<T: Send + 'static>(
        &self,
        replica: &Replica,
        job: impl FnOnce() -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, FetchError> {
        match self.late_reads.run(&*self.env.clock, replica, job).await {
            Some(Ok(Ok(value))) => Ok(value),
            Some(Ok(Err(e))) => Err(FetchError::Storage(e.to_string())),
            Some(Err(e)) => Err(FetchError::Storage(e.to_string())),
            None => Err(FetchError::DiskHangs),
        }
    }
}

impl From<TimestampOffset> for ListedOffset {
    fn from(found: TimestampOffset) -> Self {
        ListedOffset { offset: found.offset, timestamp: found.timestamp, leader_epoch: found.epoch }
    }
}

/// The larger timestamp wins; of equal ones the lower offset, which is the cold one.
fn newest(local: Option<TimestampOffset>, cold: Option<ListedOffset>) -> ListedOffset {
    match (local, cold) {
        (Some(local), Some(cold)) if local.timestamp > cold.timestamp => local.into(),
        (_, Some(cold)) => cold,
        (Some(local), None) => local.into(),
        (None, None) => ListedOffset::NONE,
    }
}
