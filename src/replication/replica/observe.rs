//! What is told of a replica: its traffic by topic, and how its ISR stands.

use super::{Replica, Role};
use crate::env::MonoTime;
use crate::env::metrics::{Counter, FETCHED_BYTES, Metrics, PRODUCED_BYTES, PRODUCED_RECORDS};
use crate::types::{BrokerId, LeaderEpoch, Offset, TopicName};

/// Counters of a topic; its partitions share them.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Bytes that producers have appended.
    pub produced_bytes: Counter,
    /// Records that producers have appended.
    pub produced_records: Counter,
    /// Bytes that consumers were given from the local disk.
    pub fetched_hot: Counter,
    /// Bytes that consumers were given from the cold tier.
    pub fetched_cold: Counter,
}

impl Traffic {
    pub(super) fn new(metrics: &Metrics, topic: &TopicName) -> Traffic {
        let name = topic.as_str();
        Traffic {
            produced_bytes: metrics.counter(PRODUCED_BYTES, &[name]),
            produced_records: metrics.counter(PRODUCED_RECORDS, &[name]),
            fetched_hot: metrics.counter(FETCHED_BYTES, &[name, "hot"]),
            fetched_cold: metrics.counter(FETCHED_BYTES, &[name, "cold"]),
        }
    }
}

/// Sizes of the ISR of a partition that is led here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsrSize {
    /// The committed ISR.
    pub isr: usize,
    /// min(`min.insync.replicas`, number of replicas).
    pub min_isr: usize,
}

/// A follower in the ISR, as its leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InSyncFollower {
    /// Who.
    pub broker: BrokerId,
    /// Its acknowledged log end.
    pub end: Offset,
    /// When it last had everything.
    pub caught_up: MonoTime,
}

impl Replica {
    /// The counters of its topic.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The epoch of the last batch and the end of the log, as they were when it was last let go. Never waits for a disk: a log that
    /// is busy must not make an election pass its copy over.
    #[must_use]
    pub fn last_written(&self) -> (LeaderEpoch, Offset) {
        let state = self.state.lock();
        (state.last_epoch, state.positions.log_end)
    }

    /// How the ISR stands; `None` unless this replica leads.
    #[must_use]
    pub fn isr_size(&self) -> Option<IsrSize> {
        match &self.state.lock().role {
            Role::Leader(leader) => Some(IsrSize { isr: leader.isr().len(), min_isr: leader.min_isr() }),
            _ => None,
        }
    }

    /// The followers in the ISR; none unless it leads.
    #[must_use]
    pub fn in_sync_followers(&self) -> Vec<InSyncFollower> {
        let state = self.state.lock();
        let Role::Leader(leader) = &state.role else { return Vec::new() };
        let follower = |(broker, end, caught_up)| InSyncFollower { broker, end, caught_up };
        leader.in_sync_followers().map(follower).collect()
    }
}
