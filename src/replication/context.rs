//! What replication needs from the rest of the broker: its configs, the quorum, the tier.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::isr::TierPosition;
use super::isr::leader::{ProposalReply, Settings};
use super::replica::Replica;
use super::throttle::Throttle;
use crate::env::defect::{Defect, planted};
use crate::env::metrics::{
    Counter, Histogram, ISR_EXPANDS, ISR_SHRINKS, LEADERSHIPS, REQUEST_SECONDS, UNCLEAN_LEADERSHIPS,
};
use crate::env::{BlockingPool, Clock, Env, MonoTime, timeout};
use crate::log::{EpochEntry, LogConfig};
use crate::metadata::{Command, Image};
use crate::types::{BrokerEpoch, BrokerId, DirectoryId, Incarnation, Offset, TopicId, TopicPartition};

/// Configs of replication.
#[derive(Clone, Debug)]
pub struct ReplicationConfig {
    /// This broker.
    pub node_id: BrokerId,
    /// This life of the process: an image that shows another one is not yet (or no more) for us.
    pub incarnation: Incarnation,
    /// `replica.lag.time.max.ms` and `replica.session.timeout.ms`.
    pub settings: Settings,
    /// Streams per leader broker; partitions are spread over them.
    pub lanes: u32,
    /// Bytes of batches that all leaders together may have on their way to this broker.
    pub window_budget_bytes: u64,
    /// Bytes of fresh appends that are kept in memory for followers that are not far behind.
    pub tail_budget_bytes: usize,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub checkpoint_interval: Duration,
    /// The broker's defaults for what a topic doesn't set.
    pub log_defaults: LogDefaults,
    /// Disk threads of each log directory, where there are several.
    pub directory_threads: usize,
}

/// The broker's defaults for what topics don't set, which may change with the image.
#[derive(Clone)]
pub struct LogDefaults(Arc<DefaultsAt>);

type DefaultsAt = dyn Fn(&Image) -> Arc<LogConfig> + Send + Sync;

impl LogDefaults {
    /// As a function of the image.
    pub fn of(defaults: impl Fn(&Image) -> Arc<LogConfig> + Send + Sync + 'static) -> LogDefaults {
        LogDefaults(Arc::new(defaults))
    }

    pub(super) fn at(&self, image: &Image) -> Arc<LogConfig> {
        (self.0)(image)
    }
}

impl Default for LogDefaults {
    fn default() -> LogDefaults {
        let always = Arc::new(LogConfig::default());
        LogDefaults::of(move |_| always.clone())
    }
}

impl std::fmt::Debug for LogDefaults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogDefaults").finish_non_exhaustive()
    }
}

impl ReplicationConfig {
    /// Defaults for a broker.
    #[must_use]
    pub fn new(node_id: BrokerId, incarnation: Incarnation) -> ReplicationConfig {
        ReplicationConfig {
            node_id,
            incarnation,
            settings: Settings::default(),
            lanes: 4,
            window_budget_bytes: 256 << 20,
            tail_budget_bytes: 64 << 20,
            checkpoint_interval: Duration::from_secs(5),
            log_defaults: LogDefaults::default(),
            directory_threads: 4,
        }
    }
}

/// The metadata quorum as replication sees it.
pub trait Quorum: Send + Sync + 'static {
    /// The image, each newer one in order (some may be skipped).
    fn images(&self) -> watch::Receiver<Arc<Image>>;
    /// Proposes a command. `Refused` only when it is certain that this try changed nothing and never will.
    fn submit(&self, command: Command) -> BoxFuture<'static, ProposalReply>;
    /// Whether this broker's lease holds: without it nothing is acknowledged.
    fn lease_holds(&self, now: MonoTime) -> bool;
}

/// What a follower installs when the tier covers what its leader has dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierState {
    /// The tier's end: the log goes on there.
    pub end: Offset,
    /// Nothing below may be read any more.
    pub log_start: Offset,
    /// The leader epochs up to the end.
    pub epochs: Vec<EpochEntry>,
    /// The `.snapshot` of the producers at the end.
    pub producer_snapshot: Bytes,
}

/// The tier could not be read; asked again later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state of the tier cannot be read: {0}")]
pub struct TierUnavailable(pub String);

/// The tier, for a follower that begins at its end (tests/README.md, the tier's invariant 7). Implemented by the tier driver.
pub trait TierReader: Send + Sync + 'static {
    /// Epoch chain and producer snapshot at the end of this generation, or of a newer one.
    fn fetch_tier_state(
        &self,
        partition: &TopicPartition,
        topic: TopicId,
        tier: TierPosition,
    ) -> BoxFuture<'static, Result<TierState, TierUnavailable>>;

    /// What the tier holds of a partition by its newest manifest; `None` when it holds nothing. What it holds of `held`, which
    /// the asker has on its own disk and may give up for it, is looked at: an error when an object of that is not in order.
    fn fetch_head(
        &self,
        partition: &TopicPartition,
        topic: TopicId,
        held: Range<Offset>,
    ) -> BoxFuture<'static, Result<Option<(TierPosition, TierState)>, TierUnavailable>>;
}

/// The topic config of a restored topic: a leader whose log is empty begins at the tier's end.
pub const RESTORED: &str = "tier.restore.topic.id";

/// The topic config of a restored topic whose partitions end at a cut: where that is may take long to find out.
pub const RESTORED_TO_CUT: &str = "tier.restore.cut";

/// A proposal on its way from a replica to the quorum.
pub(super) struct Proposal {
    pub(super) replica: Arc<Replica>,
    pub(super) attempt: u64,
    pub(super) command: Command,
}

/// What all replicas count together.
pub(super) struct Counts {
    pub(super) env: Env,
    pub(super) isr_shrinks: Counter,
    pub(super) isr_expands: Counter,
    pub(super) leaderships: Counter,
    pub(super) unclean_leaderships: Counter,
    /// From the queue of a partition to the end of its write.
    pub(super) local_write: Histogram,
    /// From the end of the write until it is committed.
    pub(super) replication: Histogram,
}

impl Counts {
    fn new(env: &Env) -> Counts {
        let metrics = &env.metrics;
        Counts {
            isr_shrinks: metrics.counter(ISR_SHRINKS, &[]),
            isr_expands: metrics.counter(ISR_EXPANDS, &[]),
            leaderships: metrics.counter(LEADERSHIPS, &[]),
            unclean_leaderships: metrics.counter(UNCLEAN_LEADERSHIPS, &[]),
            local_write: metrics.histogram(REQUEST_SECONDS, &["Produce", "local"]),
            replication: metrics.histogram(REQUEST_SECONDS, &["Produce", "replication"]),
            env: env.clone(),
        }
    }

    /// The ISR of a partition that goes on being led here is another one.
    pub(super) fn isr_changed(&self, before: &[BrokerId], now: &BTreeSet<BrokerId>) {
        let left = before.iter().filter(|broker| !now.contains(broker)).count();
        let joined = now.iter().filter(|broker| !before.contains(broker)).count();
        self.isr_shrinks.add(left as u64);
        self.isr_expands.add(joined as u64);
    }
}

/// Batches with the room that they take.
struct Roomed {
    batches: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Roomed {
    fn as_ref(&self) -> &[u8] {
        &self.batches
    }
}

/// Room for batches that have come from leaders and are not in a log yet: each log directory has its share, so that what waits for
/// a hanging disk does not take what the others need.
pub(super) struct Rooms {
    by_directory: BTreeMap<DirectoryId, Room>,
    /// Of each, in KiB.
    share: usize,
}

struct Room {
    free: Arc<Semaphore>,
    /// It was waited for in vain, and there has been none since.
    is_stuck: AtomicBool,
}

impl Rooms {
    /// All together twice what all credits give while sessions are few.
    fn new(config: &ReplicationConfig, directories: &[DirectoryId]) -> Rooms {
        let all = usize::try_from(config.window_budget_bytes >> 9).unwrap_or(usize::MAX);
        let share = (all / directories.len().max(1)).clamp(1, Semaphore::MAX_PERMITS);
        let room = || Room { free: Arc::new(Semaphore::new(share)), is_stuck: AtomicBool::new(false) };
        Rooms { by_directory: directories.iter().map(|directory| (*directory, room())).collect(), share }
    }
}

/// What one log directory has for itself, so that a disk that hangs takes it from no other.
#[derive(Clone)]
pub(super) struct DirectoryThreads {
    pub(super) pool: BlockingPool,
    /// Reads for lagging followers: few at a time, so that appends get the threads.
    pub(super) catch_up_reads: Arc<Semaphore>,
}

impl DirectoryThreads {
    fn new(pool: BlockingPool) -> DirectoryThreads {
        DirectoryThreads { pool, catch_up_reads: Arc::new(Semaphore::new(2)) }
    }

    /// A broker's only directory has the threads that there are; of several each has as many of its own.
    fn of_each(
        config: &ReplicationConfig,
        env: &Env,
        pool: &BlockingPool,
        directories: &[DirectoryId],
    ) -> BTreeMap<DirectoryId, DirectoryThreads> {
        let pool_of = |at: usize| match directories.len() {
            0 | 1 => pool.clone(),
            _ => env.threads.pool(&format!("disk-{at}"), config.directory_threads).behind_the_door_of(pool),
        };
        let each = directories.iter().enumerate();
        each.map(|(at, directory)| (*directory, DirectoryThreads::new(pool_of(at)))).collect()
    }
}

/// Shared by all replicas and lanes of a broker.
pub(super) struct Context {
    pub(super) config: ReplicationConfig,
    pub(super) clock: Arc<dyn Clock>,
    /// For what concerns no directory, or all of them.
    pub(super) pool: BlockingPool,
    by_directory: BTreeMap<DirectoryId, DirectoryThreads>,
    pub(super) quorum: Arc<dyn Quorum>,
    pub(super) tier: Option<Arc<dyn TierReader>>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) proposals: mpsc::UnboundedSender<Proposal>,
    rooms: Rooms,
    /// Of what goes to replicas that are not in sync.
    pub(super) throttle: Throttle,
    pub(super) tail_bytes: AtomicUsize,
    pub(super) following: AtomicUsize,
    /// A follower's log start has risen, and the leader waits until that is stored.
    pub(super) log_start_raised: Notify,
    /// Ticks when a directory's job has ended.
    pub(super) checkpoints_written: watch::Sender<u64>,
    /// Asks for another look at the image, without a newer one.
    pub(super) again: Notify,
    pub(super) counts: Counts,
    /// The epoch of this life's registration; −1 until the image shows it.
    broker_epoch: AtomicI64,
    next_number: AtomicU64,
}

impl Context {
    pub(super) fn new(
        config: ReplicationConfig,
        env: &Env,
        pool: BlockingPool,
        quorum: Arc<dyn Quorum>,
        tier: Option<Arc<dyn TierReader>>,
        proposals: mpsc::UnboundedSender<Proposal>,
        directories: &[DirectoryId],
    ) -> Context {
        let clock = env.clock.clone();
        let now = clock.now();
        let rooms = Rooms::new(&config, directories);
        let by_directory = DirectoryThreads::of_each(&config, env, &pool, directories);
        Context {
            config,
            clock,
            pool,
            by_directory,
            quorum,
            tier,
            runtime: tokio::runtime::Handle::current(),
            proposals,
            rooms,
            throttle: Throttle::new(now),
            tail_bytes: AtomicUsize::new(0),
            following: AtomicUsize::new(0),
            log_start_raised: Notify::new(),
            checkpoints_written: watch::Sender::new(0),
            again: Notify::new(),
            counts: Counts::new(env),
            broker_epoch: AtomicI64::new(BrokerEpoch::NONE.0),
            // Numbers of another life must not be ours: begin anywhere in 2^63.
            next_number: AtomicU64::new(env.rng.next_u64() >> 1),
        }
    }

    /// The threads of a directory; of none, those that are left.
    pub(super) fn threads_of(&self, directory: Option<DirectoryId>) -> DirectoryThreads {
        let known = directory.and_then(|directory| self.by_directory.get(&directory).cloned());
        known.unwrap_or_else(|| DirectoryThreads::new(self.pool.clone()))
    }

    /// A number for a session; never twice in one life, and unlikely in another.
    pub(super) fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// The epoch of this life's registration, once the image shows it.
    pub(super) fn broker_epoch(&self) -> Option<BrokerEpoch> {
        Some(BrokerEpoch(self.broker_epoch.load(Ordering::SeqCst)))
            .filter(|epoch| *epoch != BrokerEpoch::NONE)
    }

    pub(super) fn set_broker_epoch(&self, epoch: BrokerEpoch) {
        self.broker_epoch.store(epoch.0, Ordering::SeqCst);
    }

    pub(super) fn now(&self) -> MonoTime {
        self.clock.now()
    }

    pub(super) fn lease_holds(&self) -> bool {
        self.quorum.lease_holds(self.now()) || planted(Defect::NoLease)
    }

    /// The same batches, once there is room for them in their log's directory; it is given back when the last of them is dropped.
    /// Credits alone do not bound what comes: a leader may go beyond one by a frame, and of thousands of partitions each has some.
    /// `None` when there is none for long: other directories' batches come over the same lane.
    pub(super) async fn with_room(&self, directory: DirectoryId, batches: Bytes) -> Option<Bytes> {
        let Some(room) = self.rooms.by_directory.get(&directory) else { return Some(batches) };
        if planted(Defect::InboxUnbounded) {
            return Some(batches);
        }
        let wanted = batches.len().div_ceil(1024).clamp(1, self.rooms.share);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let taken = if let Ok(taken) = room.free.clone().try_acquire_many_owned(wanted) {
            room.is_stuck.store(false, Ordering::Relaxed);
            taken
        } else {
            let waiting = room.free.clone().acquire_many_owned(wanted);
            let taken = if self.rooms.by_directory.len() == 1 {
                waiting.await.ok()
            } else if room.is_stuck.load(Ordering::Relaxed) {
                None
            } else {
                let patience = self.config.settings.session_timeout / 4;
                timeout(&*self.clock, patience, waiting).await.ok().and_then(Result::ok)
            };
            room.is_stuck.store(taken.is_none(), Ordering::Relaxed);
            taken?
        };
        Some(Bytes::from_owner(Roomed { batches, _room: taken }))
    }

    /// Bytes of batches that one leader may have on their way for one partition.
    pub(super) fn window_bytes(&self) -> u64 {
        let sessions = self.following.load(Ordering::Relaxed).max(1) as u64;
        (self.config.window_budget_bytes / sessions).clamp(64 << 10, 4 << 20)
    }
}
