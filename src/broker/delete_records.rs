//! DeleteRecords: the log start rises, over both tiers, on every live replica.
//!
//! The new start is stored before anybody is told; the cold tier's driver then puts it into the manifest and takes out what lies
//! below: a cluster that is restored from the bucket must not bring back what was said to be deleted.

use std::time::Duration;

use super::Broker;
use super::directories::are_stuck;
use super::fetch::FetchError;
use super::tier::NotCarried;
use crate::env::timeout;
use crate::replication::ServedBy;
use crate::types::{Offset, TopicPartition};

/// How often the replicas are looked at while a request waits for them.
const LOOK: Duration = Duration::from_millis(10);
/// So long the leader's own disk is waited for, also where the client has less patience.
const DISK_LIMIT: Duration = Duration::from_secs(10);

/// Why no records were deleted, or not everywhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeleteRecordsError {
    /// As for a fetch.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The topic is the broker's own.
    #[error("the records of {0} belong to the broker itself")]
    Internal(TopicPartition),
    /// A compacted topic keeps the last record of each key.
    #[error("the topic of {0} is compacted and not deleted from: its policy forbids it")]
    Policy(TopicPartition),
    /// The leader has deleted them; a replica has not said so in time.
    #[error("a replica has not deleted its records in time")]
    TimedOut,
    /// All replicas have deleted them; the cold tier's manifest does not say so yet.
    #[error("deleted on all replicas; the cold tier's store has not taken it up in time")]
    TierTimedOut,
}

impl Broker {
    /// Deletes the records below `to`; −1 stands for the high watermark. The log start over all live replicas.
    ///
    /// # Errors
    /// `DeleteRecordsError`; after `TimedOut` the records are deleted on the leader, and will be on the others, after `TierTimedOut`
    /// they will be in the store. Where the leadership goes meanwhile, the next leader is to be asked again.
    pub async fn delete_records(
        &self,
        partition: &TopicPartition,
        to: i64,
        limit: Duration,
    ) -> Result<Offset, DeleteRecordsError> {
        if partition.topic.is_internal() {
            return Err(DeleteRecordsError::Internal(partition.clone()));
        }
        let replica = self.replica_for(partition, None)?;
        let positions = replica.positions();
        replica
            .check_reader(&positions, None, ServedBy::Leader)
            .map_err(|e| DeleteRecordsError::Fetch(self.refused(partition, e)))?;
        let end = positions.high_watermark;
        let to = if to == -1 { end } else { Offset(to) };
        if to.0 < 0 || to > end {
            return Err(FetchError::OffsetOutOfRange.into());
        }
        let (manager, log) = (self.replicas.clone(), replica.clone());
        let now_ms = self.env.clock.wall_ms();
        let config = replica.log_summary().config;
        let cleanup = config.cleanup;
        if cleanup.compact && !cleanup.delete {
            return Err(DeleteRecordsError::Policy(partition.clone()));
        }
        let is_tiered = config.remote_storage_enable && !cleanup.compact;
        if are_stuck(replica.disk_threads()) {
            return Err(FetchError::DiskHangs.into());
        }
        let raise = move || manager.raise_log_start(&log, to, now_ms);
        let raising = replica.disk_threads().run(raise);
        // It may be done later all the same.
        let raised = timeout(&*self.env.clock, limit.max(DISK_LIMIT), raising).await;
        let storage = |e: &dyn std::fmt::Display| FetchError::Storage(e.to_string());
        let log_start = raised
            .map_err(|_| DeleteRecordsError::TimedOut)?
            .map_err(|e| storage(&e))?
            .map_err(|e| storage(&e))?;
        let everywhere = async {
            loop {
                match replica.log_start_is_stored(to) {
                    Some(true) => return Ok(log_start),
                    Some(false) => self.env.clock.sleep(LOOK).await,
                    None => {
                        let gone = replica.check_reader(&replica.positions(), None, ServedBy::Leader);
                        let gone =
                            gone.err().map_or(FetchError::UnknownTopic, |e| self.refused(partition, e));
                        return Err(gone.into());
                    }
                }
            }
        };
        let clock = &*self.env.clock;
        let began = clock.now();
        let log_start =
            timeout(clock, limit, everywhere).await.unwrap_or(Err(DeleteRecordsError::TimedOut))?;
        if let Some(store) = self.cold_store.as_ref().filter(|_| is_tiered) {
            let left = limit.saturating_sub(clock.now().since(began));
            let carried = timeout(clock, left, store.carries_log_start(&replica, to)).await;
            carried.map_err(|_| DeleteRecordsError::TierTimedOut)?.map_err(|why| match why {
                NotCarried::NotLeader => FetchError::NotLeader { leader: self.leader_of(partition) },
                NotCarried::Stopped(why) => FetchError::Tier(why),
            })?;
        }
        Ok(log_start)
    }
}
