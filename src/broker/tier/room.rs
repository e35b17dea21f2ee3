//! Room on the local disk of tiered topics: what happens before a disk is full, because the store was away for too long or
//! local retention is wide.
//!
//! ```text
//! free bytes   ── tier.disk.low.bytes ──────────── tier.disk.full.bytes ──────────── 0
//!              local copies of what is in the tier go, whatever local retention says
//!                                                  tier.disk.full.policy: reject appends, or drop the oldest records
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::broker::config::BrokerConfig;
use crate::broker::directories::Directories;
use crate::log::{LogError, Removal};
use crate::replication::{Replica, ReplicaManager};
use crate::types::Offset;

/// The topic config that says what happens to appends when the disk is nearly full.
pub(super) const FULL_POLICY: &str = "tier.disk.full.policy";
/// Appends fail, retriably, until there is room.
pub(super) const REJECT: &str = "reject";
/// The oldest records go for good, in the tier or not; what is in the tier anyway loses its local copy first.
pub(super) const DROP_OLDEST: &str = "drop.oldest";

/// So long a log directory may take to say what room it has.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much room there was at the last look.
#[derive(Debug)]
pub(super) struct Room {
    low_bytes: u64,
    full_bytes: u64,
    low: AtomicBool,
    full: AtomicBool,
    dropped_records: AtomicU64,
}

impl Room {
    pub(super) fn new(config: &BrokerConfig) -> Room {
        Room {
            low_bytes: config.number("tier.disk.low.bytes").cast_unsigned(),
            full_bytes: config.number("tier.disk.full.bytes").cast_unsigned(),
            low: AtomicBool::new(false),
            full: AtomicBool::new(false),
            dropped_records: AtomicU64::new(0),
        }
    }

    /// Looks at the disk with the least room, of those that say it: one that hangs is not waited for.
    pub(super) async fn look(&self, directories: &Arc<Directories>) {
        directories.look(PATIENCE).await;
        match directories.least_free_bytes() {
            Some(free) => self.note(free),
            None => tracing::warn!("the room on the disk is not known"),
        }
    }

    fn note(&self, free_bytes: u64) {
        let (low, full) = (free_bytes < self.low_bytes, free_bytes < self.full_bytes);
        if self.low.swap(low, Relaxed) != low {
            tracing::warn!(free_bytes, low, "the watermark tier.disk.low.bytes is passed");
        }
        if self.full.swap(full, Relaxed) != full {
            tracing::error!(free_bytes, full, "the watermark tier.disk.full.bytes is passed");
        }
    }

    /// Local copies of what is in the tier are to go.
    pub(super) fn is_low(&self) -> bool {
        self.low.load(Relaxed)
    }

    /// The policy of each tiered topic is in force.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    /// Records that were given up for room, wherever they lay.
    pub(super) fn dropped_records(&self) -> u64 {
        self.dropped_records.load(Relaxed)
    }

    /// Makes some room in a led log: local copies of what is in the tier go, as far as there are any; otherwise its oldest closed
    /// segment is given up. A log has no hole: **what is older, which lies in the tier, is given up with it**, and is counted.
    /// Runs on a disk thread.
    pub(super) fn drop_oldest(
        &self,
        replicas: &ReplicaManager,
        replica: &Replica,
        tier_end: Offset,
        now_ms: i64,
    ) -> Result<(), LogError> {
        let positions = replica.positions();
        let high_watermark = positions.high_watermark;
        let gives = replica.with_log(|log| {
            let oldest = log.closed_segments().into_iter().find(|segment| segment.base < segment.end);
            let Some(oldest) = oldest.filter(|oldest| oldest.end <= high_watermark) else {
                return Ok(Gives::Nothing);
            };
            if oldest.end <= tier_end {
                return log.delete_segments_below(tier_end.min(high_watermark)).map(Gives::Copies);
            }
            let from = log.log_start();
            let lost = u64::try_from(oldest.end - from).unwrap_or(0);
            if lost == 0 {
                return log.delete_segments_below(from).map(Gives::Copies);
            }
            Ok(Gives::Records { from, to: oldest.end, lost })
        })?;
        match gives {
            Gives::Nothing => Ok(()),
            Gives::Copies(removal) => removal.run(),
            Gives::Records { from, to, lost } => {
                let in_the_tier = (tier_end - from).max(0);
                tracing::error!(
                    partition = %replica.partition(), %from, %to, in_the_tier,
                    "the disk is full: the oldest records are given up, as tier.disk.full.policy says"
                );
                if replicas.raise_log_start_as_leader(replica, positions.leader_epoch, to, now_ms)? {
                    self.dropped_records.fetch_add(lost, Relaxed);
                }
                Ok(())
            }
        }
    }
}

/// What a log gives for room.
enum Gives {
    /// It has no closed segment that is committed.
    Nothing,
    /// Local copies of what is in the tier, or has expired.
    Copies(Removal),
    /// Records, for good.
    Records { from: Offset, to: Offset, lost: u64 },
}
