//! One partition's replica on this broker: its log, its role, its positions.
//!
//! Two locks, taken in this order: `log`, held while files are written, by disk threads only (and for a short append, which finds
//! it free); and `state`, held for moments and never during I/O, which keeps a copy of the log's positions. So an acknowledgement, an open request or
//! a look at the positions never waits for a disk. A role changes only with both locks held.

mod append;
mod follow;
mod lead;
mod observe;
mod offline;
mod queue;
mod read;
mod refused;

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Semaphore, watch};

pub use append::{Acks, AppendError};
pub(super) use follow::Inbound;
pub(super) use lead::Next;
pub use observe::{Closed, InSyncFollower, IsrSize, LogSummary, Traffic};
pub use read::{Isolation, ReadError, ServedBy, Wanted};

use self::append::{AppendQueue, Waiter};
use self::follow::Following;
use self::lead::Flow;
use self::queue::Queue;
use super::context::{Context, DirectoryThreads};
use super::isr::TierPosition;
use super::isr::leader::{Event, Leader};
use super::lanes::serve::Session;
use super::tail::Tail;
use crate::env::defect::{Defect, planted};
use crate::env::{BlockingPool, MonoTime};
use crate::log::{EpochCache, Log, LogConfig};
use crate::types::{BrokerId, DirectoryId, LeaderEpoch, Offset, TopicId, TopicPartition};

/// What a replica does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaRole {
    /// Takes appends.
    Leader,
    /// Copies its leader.
    Follower,
    /// Neither: there is no leader, or the log has failed, or the copy is corrupt.
    Offline,
}

/// Where a replica stands; a consistent snapshot.
///
/// `log start ≤ local start ≤ log end`, `last stable ≤ high watermark ≤ log end`; ends are exclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positions {
    /// What it does.
    pub role: ReplicaRole,
    /// Who leads, as far as this broker knows.
    pub leader: Option<BrokerId>,
    /// The leader epoch it is under.
    pub leader_epoch: LeaderEpoch,
    /// The committed ISR; empty unless it leads.
    pub isr: Arc<[BrokerId]>,
    /// First offset of the log over both tiers.
    pub log_start: Offset,
    /// First offset of the local files.
    pub local_start: Offset,
    /// The tier as the leader knows it.
    pub tier: Option<TierPosition>,
    /// End of what every in-sync replica has.
    pub high_watermark: Offset,
    /// End of what read_committed may see.
    pub last_stable: Offset,
    /// End of the local log.
    pub log_end: Offset,
    /// Whether ListOffsets latest may be answered (KIP-207); false right after an election.
    pub latest_is_known: bool,
}

impl Positions {
    /// Whether it leads.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.role == ReplicaRole::Leader
    }

    /// End of the tier; zero without one.
    #[must_use]
    pub fn tier_end(&self) -> Offset {
        self.tier.map_or(Offset::ZERO, |tier| tier.end)
    }
}

/// One partition's replica on this broker.
pub struct Replica {
    pub(super) context: Arc<Context>,
    partition: TopicPartition,
    topic_id: TopicId,
    directory: DirectoryId,
    threads: DirectoryThreads,
    /// Where a test makes the next one who comes by panic.
    #[cfg(test)]
    trap: Mutex<Option<Trap>>,
    log: Mutex<Log>,
    state: Mutex<State>,
    appends: Mutex<AppendQueue>,
    inbox: Mutex<Queue<Inbound>>,
    watch: watch::Sender<Positions>,
    /// The high watermark has moved since `last_stable` was computed.
    stable_is_stale: AtomicBool,
    /// What a tick has found to do is not done yet.
    ticks: AtomicBool,
    traffic: Traffic,
}

enum Role {
    Offline,
    Leader(Box<Leader>),
    Follower(Following),
}

struct State {
    role: Role,
    positions: Positions,
    durable_end: Offset,
    /// What the checkpoint says, or the files that are left: no crash brings back what lies below.
    stored_log_start: Offset,
    /// This leader waits for that itself.
    wants_log_start_stored: bool,
    flush_due: bool,
    last_epoch: LeaderEpoch,
    /// As `Log::tier_epoch`.
    tier_epoch: LeaderEpoch,
    chain: EpochCache,
    summary: LogSummary,
    tail: Tail,
    sessions: BTreeMap<u64, (Arc<Session>, Flow)>,
    waiters: HashMap<u64, Waiter>,
    next_ticket: u64,
    /// This copy can't be trusted: it takes up no role before the quorum has taken it out of ISR and ELR, and then it is
    /// dropped and copied anew.
    lost: bool,
    /// The quorum has said so.
    loss_is_known: bool,
    /// Since when a copy that was dropped is being copied anew, for traces; wall clock beside it.
    rebuilding: Option<(MonoTime, i64)>,
    /// It went offline for something that may pass: it takes up its role again.
    retry: bool,
    /// What goes to replicas that are not in sync obeys the throttle.
    throttled: bool,
    /// The device under its directory has failed: no role any more in this life.
    stranded: bool,
    /// When `flush.ms` asks for the next fsync.
    flush_by: Option<MonoTime>,
}

/// The log, locked; the state's copy of its positions is renewed when it is dropped.
struct LogGuard<'a> {
    replica: &'a Replica,
    log: Option<MutexGuard<'a, Log>>,
}

impl std::ops::Deref for LogGuard<'_> {
    type Target = Log;
    fn deref(&self) -> &Log {
        self.log.as_ref().expect("held until the guard is dropped")
    }
}

impl std::ops::DerefMut for LogGuard<'_> {
    fn deref_mut(&mut self) -> &mut Log {
        self.log.as_mut().expect("held until the guard is dropped")
    }
}

impl Drop for LogGuard<'_> {
    fn drop(&mut self) {
        if let Some(log) = self.log.take() {
            let mut state = self.replica.state.lock();
            let log_start = state.positions.log_start;
            self.replica.look_at(&log, &mut state);
            self.replica.publish(&mut state);
            if state.positions.log_start > log_start {
                // Retention or DeleteRecords: the followers learn of it.
                wake_all(&state);
            }
            state.stored_log_start = state.stored_log_start.min(state.positions.log_start);
            if self.replica.has_log_start_to_store(&state) {
                self.replica.context.log_start_raised.notify_one();
            }
        }
        self.replica.renew_last_stable();
    }
}

impl Replica {
    pub(super) fn new(
        context: Arc<Context>,
        log: Log,
        directory: DirectoryId,
        high_watermark: Offset,
    ) -> Arc<Replica> {
        let positions = Positions {
            role: ReplicaRole::Offline,
            leader: None,
            leader_epoch: LeaderEpoch::NONE,
            isr: Arc::from([]),
            log_start: log.log_start(),
            local_start: log.local_start(),
            tier: None,
            high_watermark,
            last_stable: log.log_start(),
            log_end: log.log_end(),
            latest_is_known: false,
        };
        let replica = Replica {
            traffic: Traffic::new(&context.counts.env.metrics, &log.partition().topic),
            threads: context.threads_of(Some(directory)),
            #[cfg(test)]
            trap: Mutex::default(),
            context,
            partition: log.partition().clone(),
            topic_id: log.topic_id(),
            directory,
            state: Mutex::new(State {
                role: Role::Offline,
                positions: positions.clone(),
                durable_end: Offset::ZERO,
                stored_log_start: log.log_start(),
                wants_log_start_stored: false,
                flush_due: false,
                last_epoch: LeaderEpoch::NONE,
                tier_epoch: log.tier_epoch(),
                chain: EpochCache::default(),
                summary: LogSummary::of(&log),
                tail: Tail::default(),
                sessions: BTreeMap::new(),
                waiters: HashMap::new(),
                next_ticket: 0,
                lost: false,
                loss_is_known: false,
                rebuilding: None,
                retry: false,
                throttled: false,
                stranded: false,
                flush_by: None,
            }),
            log: Mutex::new(log),
            appends: Mutex::default(),
            inbox: Mutex::default(),
            watch: watch::channel(positions).0,
            stable_is_stale: AtomicBool::new(false),
            ticks: AtomicBool::new(false),
        };
        drop(replica.log());
        Arc::new(replica)
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The topic's identity.
    #[must_use]
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The log directory that holds it.
    #[must_use]
    pub fn directory(&self) -> DirectoryId {
        self.directory
    }

    /// The disk threads for what reads or writes its log: they are its directory's own where there are several.
    #[must_use]
    pub fn disk_threads(&self) -> &BlockingPool {
        &self.threads.pool
    }

    /// A turn to read for a follower that is behind.
    pub(in crate::replication) fn catch_up_reads(&self) -> &Arc<Semaphore> {
        &self.threads.catch_up_reads
    }

    /// Where it stands now.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.state.lock().positions.clone()
    }

    /// Wakes whenever the role, or a position besides the log end, has changed; missed values are skipped.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Positions> {
        self.watch.subscribe()
    }

    /// Uses the log under its lock. It may wait for a write: call it on a disk thread (`BlockingPool`).
    pub fn with_log<T>(&self, f: impl FnOnce(&mut Log) -> T) -> T {
        f(&mut self.log())
    }

    /// Changed configs.
    pub(super) fn configure(&self, config: Arc<LogConfig>) {
        let mut log = self.log();
        if **log.config() != *config {
            log.set_config(config);
        }
    }

    /// Whether `leader.replication.throttled.replicas` names it.
    pub(super) fn set_throttled(&self, throttled: bool) {
        self.state.lock().throttled = throttled;
    }

    /// What the tier covers, as the leader's offload driver knows it; travels to the followers. Ignored unless this
    /// replica leads under `epoch`. The end goes back when an object is found lost and is uploaded again.
    pub fn set_tier(&self, epoch: LeaderEpoch, tier: TierPosition) {
        let mut state = self.state.lock();
        let positions = &mut state.positions;
        let news = positions.tier != Some(tier);
        if positions.leads() && positions.leader_epoch == epoch && news {
            positions.tier = Some(tier);
            self.publish(&mut state);
            wake_all(&state);
        }
    }

    fn log(&self) -> LogGuard<'_> {
        LogGuard { replica: self, log: Some(self.log.lock()) }
    }

    /// Copies the log's positions; the caller holds both locks.
    fn look_at(&self, log: &Log, state: &mut State) {
        let positions = &mut state.positions;
        positions.log_start = log.log_start();
        positions.local_start = log.local_start();
        positions.log_end = log.log_end();
        // A checkpoint may be newer than what a crash has left of the log.
        if !planted(Defect::HighWatermarkBelieved) {
            let high_watermark = positions.high_watermark.min(positions.log_end);
            positions.high_watermark = high_watermark.max(positions.log_start);
        }
        positions.last_stable = log.last_stable(positions.high_watermark);
        let config = log.config();
        state.durable_end = if config.fsync_before_ack() { log.flushed_end() } else { log.log_end() };
        let unflushed = log.log_end() > log.flushed_end() && config.flush_ms < i64::MAX;
        let flush_ms = Duration::from_millis(config.flush_ms.cast_unsigned());
        state.flush_by = unflushed.then(|| state.flush_by.unwrap_or_else(|| self.context.now() + flush_ms));
        state.flush_due = flush_is_due(log);
        state.last_epoch = last_epoch(log);
        state.chain = log.epochs().clone();
        state.summary.renew(log);
    }

    /// Tells the watchers what the state says.
    fn publish(&self, state: &mut State) {
        let positions = &mut state.positions;
        match &state.role {
            Role::Offline => {
                positions.role = ReplicaRole::Offline;
                positions.latest_is_known = false;
            }
            Role::Follower(following) => {
                positions.role = ReplicaRole::Follower;
                positions.high_watermark = following.isr.high_watermark().min(positions.log_end);
                positions.latest_is_known = false;
            }
            Role::Leader(leader) => {
                positions.role = ReplicaRole::Leader;
                positions.high_watermark = leader.high_watermark();
                positions.latest_is_known = leader.latest_is_known();
                if !positions.isr.iter().eq(leader.isr()) {
                    if !positions.isr.is_empty() {
                        self.context.counts.isr_changed(&positions.isr, leader.isr());
                    }
                    positions.isr = leader.isr().iter().copied().collect();
                }
            }
        }
        if !matches!(state.role, Role::Leader(_)) && !positions.isr.is_empty() {
            positions.isr = Arc::from([]);
        }
        positions.last_stable = positions.last_stable.min(positions.high_watermark);
        let positions = &state.positions;
        self.watch.send_if_modified(|published| {
            // The log end alone wakes nobody: a reader would look for what it may not see yet.
            published.log_end = positions.log_end;
            let moved = published != positions;
            if moved {
                published.clone_from(positions);
            }
            moved
        });
    }

    /// Computes `last_stable` anew if the high watermark has moved and nobody holds the log; whoever holds it does
    /// this when it lets go.
    fn renew_last_stable(&self) {
        while self.stable_is_stale.load(Ordering::SeqCst) {
            let Some(log) = self.log.try_lock() else { return };
            self.stable_is_stale.store(false, Ordering::SeqCst);
            let mut state = self.state.lock();
            self.look_at(&log, &mut state);
            self.publish(&mut state);
        }
    }

    /// Whether `flush.ms` asks for an fsync now.
    pub(super) fn flush_is_late(&self) -> bool {
        let state = self.state.lock();
        !matches!(state.role, Role::Offline) && state.flush_by.is_some_and(|by| by <= self.context.now())
    }

    /// Runs what a tick has found to do on a disk thread, unless an earlier tick's has not ended: on a disk that hangs they would pile up.
    pub(super) fn run_for_tick(self: &Arc<Self>, job: impl FnOnce(&Arc<Self>) + Send + 'static) {
        if !self.ticks.swap(true, Ordering::SeqCst) {
            let replica = self.clone();
            self.threads.pool.spawn(move || {
                let ended = catch_unwind(AssertUnwindSafe(|| job(&replica)));
                replica.ticks.store(false, Ordering::SeqCst);
                if ended.is_err() {
                    replica.give_up();
                }
            });
        }
    }

    /// Fsyncs because `flush.ms` asks for it. Runs on a disk thread.
    pub(super) fn flush_now(self: &Arc<Self>) {
        let flushed = catch_unwind(AssertUnwindSafe(|| {
            let mut effects = lead::Effects::default();
            self.flush(&mut effects);
            self.finish(effects);
        }));
        if flushed.is_err() {
            self.give_up();
        }
    }

    /// After an unclean start, or a failed fsync: makes durable what the system still holds. A failure costs the place in the ISR.
    pub(super) fn flush_after_start(self: &Arc<Self>) {
        self.flush_now();
    }

    fn flush_is_due(&self) -> bool {
        self.state.lock().flush_due
    }

    /// Fsyncs, without the log's lock. With fsync-before-ack the high watermark may move then.
    fn flush(self: &Arc<Self>, effects: &mut lead::Effects) {
        let job = self.log().begin_flush();
        let mut log;
        let flushed = match job {
            Ok(job) => {
                let outcome = job.run();
                log = self.log();
                log.finish_flush(outcome)
            }
            Err(e) => {
                log = self.log();
                Err(e)
            }
        };
        let mut state = self.state.lock();
        match flushed {
            Ok(_) => {
                state.flush_by = None;
                self.look_at(&log, &mut state);
                let (log_end, durable_end) = (state.positions.log_end, state.durable_end);
                let now = self.context.now();
                self.event(&mut state, Event::Appended { log_end, durable_end }, now, effects);
                self.publish(&mut state);
            }
            Err(_) if planted(Defect::FailedFsyncForgotten) => {}
            Err(e) => effects.absorb(self.log_failed(&log, &mut state, &e)),
        }
    }

    /// Ends whatever the role had begun; the caller holds both locks and sets the next role.
    fn leave_role(self: &Arc<Self>, state: &mut State) -> lead::Effects {
        let mut effects = lead::Effects::default();
        for (_, (session, _)) in std::mem::take(&mut state.sessions) {
            effects.ended.push(session);
        }
        state.tail.clear(&self.context.tail_bytes);
        for (_, waiter) in state.waiters.drain() {
            effects.answers.push((waiter.answer, Err(AppendError::no_longer_leads())));
        }
        if let Role::Follower(following) = std::mem::replace(&mut state.role, Role::Offline) {
            effects.left = following.lane.map(|lane| (lane, following.isr.session()));
        }
        effects
    }
}

/// A place in the work of a replica that may be made to panic once.
#[cfg(test)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trap {
    /// Where it is found out whether the work is short.
    Look,
    /// Where what was appended is accounted for.
    Written,
}

#[cfg(test)]
impl Replica {
    pub(super) fn set_trap(&self, trap: Trap) {
        *self.trap.lock() = Some(trap);
    }

    pub(super) fn trap_is_set(&self) -> bool {
        self.trap.lock().is_some()
    }

    fn pass(&self, place: Trap) {
        let springs = self.trap.lock().take_if(|trap| *trap == place).is_some();
        assert!(!springs, "a trap");
    }
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("partition", &self.partition).finish_non_exhaustive()
    }
}

/// The epoch of the last batch; an epoch without any doesn't count (KIP-279).
fn last_epoch(log: &Log) -> LeaderEpoch {
    log.epochs().epoch_at(Offset(log.log_end().0 - 1)).unwrap_or(LeaderEpoch::NONE)
}

/// Whether `flush.messages` demands an fsync, or a closed segment waits for its one.
fn flush_is_due(log: &Log) -> bool {
    let unflushed = log.log_end() - log.flushed_end();
    let most = if log.config().fsync_before_ack() { 1 } else { log.config().flush_messages };
    unflushed >= most || log.closed_unflushed()
}

fn wake_all(state: &State) {
    for (session, _) in state.sessions.values() {
        session.wake();
    }
}
