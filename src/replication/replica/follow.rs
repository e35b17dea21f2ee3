//! The follower's side: an inbox that one job at a time works off on a disk thread, in the order it came.
//!
//! Opening, answers, frames and losses all pass through the inbox, so that a session's end can't overtake its frames.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::lead::Effects;
use super::queue::{Thread, Waiting};
use super::{LogGuard, Replica, Role, State, last_epoch};
use crate::log::{Log, LogConfig, LogError, Removal};
use crate::replication::context::{TierState, TierUnavailable};
use crate::replication::frames::{Ack, Append, Open};
use crate::replication::isr::follower::{Follower, Frame, LeaderPositions, LogView, Step};
use crate::replication::isr::{OpenAnswer, TierPosition};
use crate::replication::lanes::follow::FollowLane;
use crate::types::{BrokerEpoch, BrokerId, LeaderEpoch, Offset};

/// The pause after the first open request that could not be served; it doubles up to 32 times this.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Frames of up to so many bytes are written by the thread that reads them, one by one. Larger ones come faster than they
/// can be written, and are cheaper in groups.
const SHORT_BYTES: usize = 16 << 10;

/// The pause after a write that failed.
const AFTER_FAILED_WRITE: Duration = Duration::from_secs(1);

/// A follower's state beside the pure one.
pub(super) struct Following {
    pub(super) isr: Follower,
    pub(super) lane: Option<Arc<FollowLane>>,
    /// Bytes of batches taken in this session.
    consumed: u64,
    /// Open requests since the last session that streamed.
    attempts: u32,
    /// The tier's state is being fetched.
    installing: bool,
}

/// What a follower has to deal with.
pub(in crate::replication) enum Inbound {
    /// Open a session, unless there is one.
    Open,
    /// The leader's answer.
    Answer(u64, OpenAnswer),
    /// Batches.
    Append(Append),
    /// Positions.
    Positions(u64, LeaderPositions),
    /// The session has ended.
    Lost(u64),
    /// The tier's state for the leader epoch under which it was asked for.
    Tier(LeaderEpoch, Result<TierState, TierUnavailable>),
}

/// Left to do when the log is released.
#[derive(Default)]
struct Outcome {
    effects: Effects,
    reopen: Option<Duration>,
    install: Option<TierPosition>,
    acknowledge: bool,
    log_start: Option<Offset>,
    removal: Option<Removal>,
}

impl Replica {
    /// What a collector is told of.
    #[cfg(test)]
    pub(in crate::replication) fn traces(&self) -> Arc<crate::env::Traces> {
        self.context.counts.env.traces.clone()
    }

    /// How much has come and is not worked off.
    #[cfg(test)]
    pub(in crate::replication) fn in_the_inbox(&self) -> usize {
        self.inbox.lock().len()
    }

    /// Whether it is about to open a session.
    #[cfg(test)]
    pub(in crate::replication) fn is_to_open(&self) -> bool {
        self.inbox.lock().iter().any(|item| matches!(item, Inbound::Open))
    }

    /// Follows a leader under a new epoch. Runs on a disk thread.
    pub(in crate::replication) fn follow(
        self: &Arc<Self>,
        leader: BrokerId,
        leader_epoch: LeaderEpoch,
        unclean: Option<LeaderEpoch>,
        lane: Arc<FollowLane>,
        config: Arc<LogConfig>,
    ) -> Result<(), LogError> {
        let mut log = self.log();
        log.set_config(config);
        // An epoch that this broker led without writing anything must not bar the new leader's older batches.
        let end = log.log_end();
        let mut resumed = log.resume_under(leader_epoch).and_then(|()| log.truncate_to(end).map(|_| ()));
        if self.state.lock().lost && resumed.is_ok() {
            let start = log.log_start();
            tracing::warn!(partition = %self.partition, "drops its copy, to be rebuilt from broker {leader}");
            resumed = log.reset_to(start, Vec::new());
            self.state.lock().rebuilding = Some((self.context.now(), self.context.clock.wall_ms()));
        }
        let effects = {
            let mut state = self.state.lock();
            let state = &mut *state;
            let effects = self.leave_role(state);
            state.positions.leader = Some(leader);
            state.positions.leader_epoch = leader_epoch;
            self.look_at(&log, state);
            let log_end = state.positions.log_end;
            state.positions.tier = state.positions.tier.filter(|tier| tier.end <= log_end);
            if resumed.is_ok() {
                Replica::role_begun(state);
                state.role = Role::Follower(Following {
                    isr: Follower::new(leader_epoch, unclean, state.positions.high_watermark),
                    lane: Some(lane.clone()),
                    consumed: 0,
                    attempts: 0,
                    installing: false,
                });
            }
            self.publish(state);
            effects
        };
        drop(log);
        self.finish(effects);
        if resumed.is_ok() {
            lane.join(self);
        }
        resumed
    }

    /// There is no leader, or the replica is about to be closed or deleted. Runs on a disk thread.
    pub(in crate::replication) fn rest(self: &Arc<Self>, leader_epoch: LeaderEpoch) {
        let log = self.log();
        let effects = {
            let mut state = self.state.lock();
            let effects = self.leave_role(&mut state);
            state.positions.leader = None;
            state.positions.leader_epoch = leader_epoch;
            state.retry = false;
            self.publish(&mut state);
            effects
        };
        drop(log);
        self.finish(effects);
    }

    /// Puts something into the inbox.
    pub(in crate::replication) fn receive(self: &Arc<Self>, inbound: Inbound) {
        let is_idle = {
            let mut inbox = self.inbox.lock();
            match (inbox.last(), &inbound) {
                // Newer positions say all that older ones did: while the disk is slow they do not pile up.
                (Some(Inbound::Positions(before, last)), Inbound::Positions(session, positions))
                    if before == session =>
                {
                    let tier = positions.tier.or(last.tier);
                    *last = LeaderPositions { tier, ..*positions };
                    false
                }
                _ => inbox.push(inbound),
            }
        };
        if is_idle {
            self.begin_to_work_off(Waiting::Inbox);
        }
    }

    /// Bytes of batches that wait in the inbox.
    #[cfg(test)]
    pub(in crate::replication) fn inbox_bytes(&self) -> usize {
        let waits =
            |item: &Inbound| if let Inbound::Append(append) = item { append.batches.len() } else { 0 };
        self.inbox.lock().iter().map(waits).sum()
    }

    /// Whether what has come is short work: a frame of batches that go into the page cache, or positions, with nothing to sync, to
    /// roll or to delete.
    pub(super) fn inbox_is_short(&self, log: &Log) -> bool {
        self.inbox.lock().only().is_some_and(|item| match item {
            Inbound::Append(append) => {
                append.batches.len() <= SHORT_BYTES
                    && append.positions.log_start <= log.log_start()
                    && log.follows_at_once(&append.batches)
            }
            Inbound::Positions(_, positions) => positions.log_start <= log.log_start(),
            _ => false,
        })
    }

    /// Works off what has come.
    pub(super) fn take_in_what_came(self: &Arc<Self>, mut log: LogGuard<'_>, thread: Thread) {
        let at_once = if thread == Thread::Caller { 1 } else { usize::MAX };
        let items: Vec<Inbound> = self.inbox.lock().take(at_once).collect();
        let mut outcome = Outcome::default();
        let taken_in = catch_unwind(AssertUnwindSafe(|| {
            for item in items {
                self.take_in(item, &mut log, &mut outcome);
            }
            self.raise_log_start(&mut log, &mut outcome);
        }));
        if taken_in.is_err() {
            // The thread may be its lane's, which others need. What the log holds in memory may be half done: only opening it
            // again tells what is there.
            log.give_up();
            let effects = std::mem::take(&mut outcome.effects);
            outcome = Outcome { effects, ..Outcome::default() };
            let reason = "it panicked over what its leader sent";
            outcome.effects.absorb(self.go_offline(&mut self.state.lock(), &reason, true));
        }
        drop(log);
        match (outcome.acknowledge && self.flush_is_due(), thread) {
            (false, _) => {}
            (true, Thread::Disk) => self.flush(&mut outcome.effects),
            (true, Thread::Caller) => {
                let replica = self.clone();
                self.threads.pool.spawn(move || replica.flush_now());
            }
        }
        self.conclude(outcome);
    }

    fn take_in(self: &Arc<Self>, item: Inbound, log: &mut LogGuard<'_>, outcome: &mut Outcome) {
        match item {
            Inbound::Open => {
                let Some(epoch) = self.following_epoch() else { return };
                // What an open tells of the log's end counts as acknowledged: where that means fsynced, it is. A log that was
                // opened again after a failed fsync has been written once more, and is not.
                let flushed = log.resume_under(epoch).and_then(|()| {
                    let is_due = log.config().fsync_before_ack() && log.flushed_end() < log.log_end();
                    if is_due { log.flush().map(drop) } else { Ok(()) }
                });
                match flushed {
                    Ok(()) => self.open(log),
                    Err(e) if log.is_broken() => {
                        outcome.effects.absorb(self.log_failed(log, &mut self.state.lock(), &e));
                    }
                    Err(e) => {
                        tracing::warn!(partition = %self.partition, "still cannot write: {e}");
                        outcome.reopen = Some(AFTER_FAILED_WRITE);
                    }
                }
            }
            Inbound::Answer(session, answer) => self.take_answer(session, &answer, log, outcome),
            Inbound::Append(append) => self.take_append(append, log, outcome),
            Inbound::Positions(session, positions) => {
                self.take_positions(session, &positions, log.log_end(), outcome);
            }
            Inbound::Lost(session) => {
                if let Role::Follower(following) = &mut self.state.lock().role {
                    following.isr.lost(session);
                }
            }
            Inbound::Tier(epoch, tier) => self.take_tier(epoch, tier, log, outcome),
        }
    }

    fn following_epoch(&self) -> Option<LeaderEpoch> {
        match &self.state.lock().role {
            Role::Follower(following) => Some(following.isr.leader_epoch()),
            _ => None,
        }
    }

    fn open(self: &Arc<Self>, log: &LogGuard<'_>) {
        let session = self.context.next_number();
        let (lane, open) = {
            let mut state = self.state.lock();
            let state = &mut *state;
            self.look_at(log, state);
            let Role::Follower(following) = &mut state.role else { return };
            let Some(lane) = following.lane.clone() else { return };
            if following.isr.is_open() || following.installing {
                return;
            }
            following.isr.opening(session);
            following.consumed = 0;
            let open = Open {
                session,
                topic: self.topic_id,
                partition: self.partition.partition,
                leader_epoch: following.isr.leader_epoch(),
                broker_epoch: self.context.broker_epoch().unwrap_or(BrokerEpoch::NONE),
                directory: self.directory,
                log_end: state.positions.log_end,
                last_epoch: state.last_epoch,
                log_start: state.stored_log_start.min(state.positions.log_start),
                credit: self.context.window_bytes(),
            };
            (lane, open)
        };
        if !lane.open(self, open)
            && let Role::Follower(following) = &mut self.state.lock().role
        {
            // The stream is down: whoever connects it asks again.
            following.isr.lost(session);
        }
    }

    fn take_answer(
        self: &Arc<Self>,
        session: u64,
        answer: &OpenAnswer,
        log: &mut LogGuard<'_>,
        outcome: &mut Outcome,
    ) {
        let step = {
            let mut state = self.state.lock();
            let Role::Follower(following) = &mut state.role else { return };
            let view = LogView {
                log_start: log.log_start(),
                log_end: log.log_end(),
                last_epoch: last_epoch(log),
                chain: log.epochs(),
            };
            following.isr.answer(session, answer, &view)
        };
        let dropped;
        let changed = match step {
            Step::Ignore => return,
            Step::Stream => {
                tracing::debug!(partition = %self.partition, end = %log.log_end(), "follows");
                if let Role::Follower(following) = &mut self.state.lock().role {
                    following.attempts = 0;
                }
                return;
            }
            Step::WaitForImage => {
                outcome.reopen = self.pause();
                return;
            }
            Step::InstallTier { local_start, tier } => {
                tracing::info!(partition = %self.partition, %local_start, tier_end = %tier.end, "begins at the tier's end");
                if let Role::Follower(following) = &mut self.state.lock().role {
                    following.installing = true;
                }
                outcome.install = Some(tier);
                return;
            }
            Step::Corrupt(corrupt) => {
                outcome.effects.absorb(self.go_offline(&mut self.state.lock(), &corrupt, true));
                return;
            }
            Step::Truncate { to } => {
                tracing::info!(partition = %self.partition, from = %log.log_end(), %to, "truncates");
                self.forget_tier_above(to);
                dropped = to < log.local_start();
                if dropped {
                    // After an unclean election: nothing that is here is the leader's. What is left of the log lies in the
                    // tier, if anywhere, and the leader says where to begin.
                    let start = to.min(log.log_start());
                    log.reset_to(start, Vec::new())
                } else {
                    log.truncate_to(to).map(|_| ())
                }
            }
            Step::Reset { log_start, chain } => {
                tracing::info!(partition = %self.partition, from = %log.log_end(), %log_start, "starts anew");
                self.forget_tier_above(Offset::ZERO);
                dropped = true;
                log.reset_to(log_start, chain)
            }
        };
        self.restarted(changed, dropped, log, outcome);
    }

    /// A tier that ends above what is left of this log may belong to a chain that an unclean election has cut off: what
    /// comes instead is not covered by it, however long this log gets. The leader tells what the tier is now.
    fn forget_tier_above(&self, end: Offset) {
        let mut state = self.state.lock();
        state.positions.tier = state.positions.tier.filter(|tier| tier.end <= end);
        self.publish(&mut state);
    }

    /// The log was cut or dropped: open again, or go offline.
    fn restarted(
        self: &Arc<Self>,
        changed: Result<(), LogError>,
        dropped: bool,
        log: &LogGuard<'_>,
        outcome: &mut Outcome,
    ) {
        let mut state = self.state.lock();
        match changed {
            Ok(()) => {
                if let Role::Follower(following) = &mut state.role
                    && dropped
                {
                    following.isr.restarted_at(log.log_end());
                }
                outcome.reopen = Some(Duration::ZERO);
            }
            Err(e) => outcome.effects.absorb(self.log_failed(log, &mut state, &e)),
        }
    }

    fn take_append(self: &Arc<Self>, append: Append, log: &mut LogGuard<'_>, outcome: &mut Outcome) {
        let frame = {
            let mut state = self.state.lock();
            let Role::Follower(following) = &mut state.role else { return };
            following.isr.frame(append.session, append.base, log.log_end())
        };
        match frame {
            Frame::Ignore => return,
            Frame::Reopen => {
                self.close(append.session);
                outcome.reopen = Some(Duration::ZERO);
                return;
            }
            Frame::Take => {}
        }
        let bytes = append.batches.len() as u64;
        match log.append_as_follower(append.batches, self.context.clock.wall_ms()) {
            Ok(_) => {
                if let Role::Follower(following) = &mut self.state.lock().role {
                    following.consumed += bytes;
                }
                outcome.acknowledge = true;
                self.take_positions(append.session, &append.positions, log.log_end(), outcome);
            }
            Err(e @ (LogError::Gap { .. } | LogError::EpochWentBack { .. } | LogError::BadBatch { .. })) => {
                tracing::warn!(partition = %self.partition, "refuses a frame: {e}");
                self.close(append.session);
                outcome.reopen = self.pause();
            }
            Err(e @ (LogError::Io { .. } | LogError::WriteFailed { .. })) if !log.is_broken() => {
                // The disk may be full: this copy lags until there is room, and then goes on by itself.
                tracing::error!(partition = %self.partition, "cannot write what the leader sends: {e}");
                self.close(append.session);
                outcome.reopen = Some(AFTER_FAILED_WRITE);
            }
            Err(e) => outcome.effects.absorb(self.log_failed(log, &mut self.state.lock(), &e)),
        }
    }

    fn take_positions(&self, session: u64, leader: &LeaderPositions, log_end: Offset, outcome: &mut Outcome) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Role::Follower(following) = &mut state.role else { return };
        if let Some(log_start) = following.isr.positions(session, leader, log_end) {
            state.positions.tier = leader.tier.or(state.positions.tier);
            state.positions.high_watermark = following.isr.high_watermark();
            outcome.log_start = Some(log_start);
            if log_end >= leader.high_watermark
                && let Some((begun, begun_ms)) = state.rebuilding.take()
            {
                let attributes =
                    vec![("partition", self.partition.to_string()), ("log.end", log_end.to_string())];
                self.context.counts.env.work_done("partition.rebuild", begun, begun_ms, attributes, None);
            }
        }
    }

    fn raise_log_start(self: &Arc<Self>, log: &mut LogGuard<'_>, outcome: &mut Outcome) {
        let Some(to) = outcome.log_start.filter(|to| *to > log.log_start()) else { return };
        match log.advance_log_start(to, self.context.clock.wall_ms()) {
            Ok(removal) => {
                outcome.removal = Some(removal);
                outcome.acknowledge = true;
            }
            Err(e) => outcome.effects.absorb(self.log_failed(log, &mut self.state.lock(), &e)),
        }
    }

    fn take_tier(
        self: &Arc<Self>,
        epoch: LeaderEpoch,
        tier: Result<TierState, TierUnavailable>,
        log: &mut LogGuard<'_>,
        outcome: &mut Outcome,
    ) {
        {
            let mut state = self.state.lock();
            let Role::Follower(following) = &mut state.role else { return };
            if following.isr.leader_epoch() != epoch || !following.installing {
                return;
            }
            following.installing = false;
        }
        match tier {
            Ok(tier) if tier.end > log.log_end() => {
                let installed = log.install_tier_state(tier.end, tier.epochs, tier.producer_snapshot);
                self.restarted(installed, true, log, outcome);
            }
            Ok(_) => outcome.reopen = self.pause(),
            Err(e) => {
                tracing::warn!(partition = %self.partition, "{e}");
                outcome.reopen = self.pause();
            }
        }
    }

    /// The pause before the next open request.
    fn pause(&self) -> Option<Duration> {
        match &mut self.state.lock().role {
            Role::Follower(following) => {
                let pause = FIRST_PAUSE * (1 << following.attempts.min(5));
                following.attempts += 1;
                Some(pause)
            }
            _ => None,
        }
    }

    /// Tells the leader that a session is over.
    fn close(&self, session: u64) {
        let mut state = self.state.lock();
        if let Role::Follower(following) = &mut state.role {
            following.isr.lost(session);
            if let Some(lane) = &following.lane {
                lane.close(session);
            }
        }
    }

    fn conclude(self: &Arc<Self>, outcome: Outcome) {
        if let Some(removal) = outcome.removal
            && let Err(e) = removal.run()
        {
            // Deleted at the next start.
            tracing::warn!(partition = %self.partition, "cannot delete old segments: {e}");
        }
        if outcome.acknowledge {
            self.acknowledge();
        }
        self.finish(outcome.effects);
        if let Some(tier) = outcome.install {
            self.fetch_tier(tier);
        }
        match outcome.reopen {
            Some(Duration::ZERO) => self.receive(Inbound::Open),
            Some(pause) => {
                let replica = Arc::downgrade(self);
                let sleep = self.context.clock.sleep(pause);
                self.context.runtime.spawn(async move {
                    sleep.await;
                    if let Some(replica) = replica.upgrade() {
                        replica.receive(Inbound::Open);
                    }
                });
            }
            None => {}
        }
    }

    /// One acknowledgement for all frames that were taken.
    fn acknowledge(&self) {
        let window = self.context.window_bytes();
        let state = self.state.lock();
        let Role::Follower(following) = &state.role else { return };
        if let (Some(session), Some(lane)) = (following.isr.streaming(), &following.lane) {
            lane.acknowledge(Ack {
                session,
                log_end: state.durable_end,
                log_start: state.stored_log_start.min(state.positions.log_start),
                credit: following.consumed + window,
            });
        }
    }

    /// Whether the leader waits for this follower to store a new log start, or for itself.
    pub(super) fn has_log_start_to_store(&self, state: &State) -> bool {
        let is_awaited = matches!(state.role, Role::Follower(_)) || state.wants_log_start_stored;
        is_awaited && state.positions.log_start > state.stored_log_start
    }

    /// The same, for who stores it.
    pub(in crate::replication) fn waits_for_its_log_start(&self) -> bool {
        self.has_log_start_to_store(&self.state.lock())
    }

    /// A checkpoint with this log start is durable: the leader may know.
    pub(in crate::replication) fn has_stored_log_start(&self, log_start: Offset) {
        let news = {
            let mut state = self.state.lock();
            let waits = self.has_log_start_to_store(&state);
            state.stored_log_start = log_start.min(state.positions.log_start);
            state.wants_log_start_stored &= state.stored_log_start < state.positions.log_start;
            waits
        };
        if news {
            self.acknowledge();
        }
    }

    /// No checkpoint could be written: who waits for it here does what else it can.
    pub(in crate::replication) fn has_not_stored_log_start(&self) {
        self.state.lock().wants_log_start_stored = false;
    }

    /// Asks for the log start that the log has to be stored; `has_stored_log_start` or `has_not_stored_log_start` follows.
    pub(in crate::replication) fn want_log_start_stored(&self) {
        self.state.lock().wants_log_start_stored = true;
        self.context.log_start_raised.notify_one();
    }

    /// Whether this log start is stored; `None` while that is being waited for.
    pub(in crate::replication) fn has_log_start_on_disk(&self, log_start: Offset) -> Option<bool> {
        let state = self.state.lock();
        match state.stored_log_start >= log_start {
            true => Some(true),
            false => (!state.wants_log_start_stored).then_some(false),
        }
    }

    fn fetch_tier(self: &Arc<Self>, tier: TierPosition) {
        let epoch = self.state.lock().positions.leader_epoch;
        let replica = self.clone();
        self.context.runtime.spawn(async move {
            let fetched = match &replica.context.tier {
                Some(reader) => reader.fetch_tier_state(&replica.partition, replica.topic_id, tier).await,
                None => Err(TierUnavailable("this broker has no tier.store.url".to_owned())),
            };
            replica.receive(Inbound::Tier(epoch, fetched));
        });
    }
}
