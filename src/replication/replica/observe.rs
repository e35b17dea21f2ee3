//! What is told of a replica: its traffic by topic, and how its ISR stands.

use std::sync::Arc;

use super::{Positions, Replica, Role};
use crate::env::MonoTime;
use crate::env::metrics::{Counter, FETCHED_BYTES, Metrics, PRODUCED_BYTES, PRODUCED_RECORDS};
use crate::log::{EpochCache, EpochEntry, Log, LogConfig};
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

/// What is told of a log without a wait for its disk: as it was when it was last let go.
#[derive(Clone, Debug)]
pub struct LogSummary {
    /// What it obeys.
    pub config: Arc<LogConfig>,
    /// First offset of the open segment.
    pub open_segment: Offset,
    /// Bytes of all its segments.
    pub bytes: u64,
    /// The closed segments of a tiered log, oldest first; of others none.
    pub closed: Arc<[Closed]>,
    closings: u64,
    closed_bytes: u64,
}

/// A closed segment of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// End, exclusive.
    pub end: Offset,
    /// Bytes of its records.
    pub bytes: u64,
    /// Largest timestamp, or −1.
    pub max_timestamp: i64,
}

impl LogSummary {
    pub(super) fn of(log: &Log) -> LogSummary {
        let mut summary = LogSummary {
            config: log.config().clone(),
            open_segment: log.open_segment(),
            bytes: 0,
            closed: Arc::from([]),
            closings: log.closings(),
            closed_bytes: 0,
        };
        summary.look_at_closed(log);
        summary.bytes = summary.closed_bytes + log.open_bytes();
        summary
    }

    /// Looks through the closed segments only if they have changed: this is done after each append.
    pub(super) fn renew(&mut self, log: &Log) {
        let was_tiered = self.config.is_tiered();
        if !Arc::ptr_eq(&self.config, log.config()) {
            self.config = log.config().clone();
        }
        if self.closings != log.closings() || was_tiered != self.config.is_tiered() {
            self.look_at_closed(log);
        }
        self.open_segment = log.open_segment();
        self.bytes = self.closed_bytes + log.open_bytes();
    }

    fn look_at_closed(&mut self, log: &Log) {
        let closed = log.closed_segments();
        self.closings = log.closings();
        self.closed_bytes = closed.iter().map(|segment| segment.bytes).sum();
        let told = closed.iter().filter(|_| self.config.is_tiered()).map(|segment| Closed {
            end: segment.end,
            bytes: segment.bytes,
            max_timestamp: segment.max_timestamp,
        });
        self.closed = told.collect();
    }
}

impl Replica {
    /// Its log, as it was when it was last let go. Never waits for a disk: who looks at all partitions must not wait for one that
    /// hangs.
    #[must_use]
    pub fn log_summary(&self) -> LogSummary {
        self.state.lock().summary.clone()
    }

    /// The leader epochs of its log; as `log_summary`.
    #[must_use]
    pub fn epochs(&self) -> Vec<EpochEntry> {
        self.state.lock().chain.entries().to_vec()
    }

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

    /// Where it stands, with the leader epochs of its records; never waits for a disk.
    #[must_use]
    pub fn positions_and_epochs(&self) -> (Positions, EpochCache) {
        let state = self.state.lock();
        (state.positions.clone(), state.chain.clone())
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
