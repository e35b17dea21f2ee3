//! The leader's side: taking the role, opening sessions, acknowledgements, and what a session sends next.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::append::AppendError;
use super::{Replica, Role, State};
use crate::env::MonoTime;
use crate::log::{Appended, EpochCache, LogConfig, LogError};
use crate::metadata::{AlterPartition, Command};
use crate::replication::context::{Proposal, TierState};
use crate::replication::frames::{Ack, Append, Open};
use crate::replication::isr::follower::LeaderPositions;
use crate::replication::isr::leader::{Action, Event, Leader, LogView, PartitionView, ProposalReply};
use crate::replication::isr::{OpenAnswer, TierPosition};
use crate::replication::lanes::follow::FollowLane;
use crate::replication::lanes::serve::Session;
use crate::types::{BrokerId, LeaderEpoch, Offset};
use crate::wire::record_batch::BatchIter;

/// Bytes of batches in one frame, unless a single append is larger.
const FRAME_BYTES: usize = 1 << 20;

/// What a session has sent and may send.
#[derive(Debug)]
pub(super) struct Flow {
    next: Offset,
    sent_bytes: u64,
    credit: u64,
    positions: Option<LeaderPositions>,
    /// Read from disk for a follower that is behind, with its place among what the lane holds.
    loaded: Option<(Bytes, OwnedSemaphorePermit)>,
    loading: bool,
}

/// What a session has to send.
pub(in crate::replication) enum Next {
    /// Nothing now.
    Nothing,
    /// Positions alone; they may wait a little for company.
    Positions,
    /// A frame of batches, as chunks, and whether there is more.
    Append {
        /// The frame.
        chunks: Vec<Bytes>,
        /// More can be sent at once.
        more: bool,
        /// To be held until it is sent, where it was read from disk.
        place: Option<OwnedSemaphorePermit>,
    },
    /// The follower is behind what memory holds: load, then ask again.
    Load,
    /// The follower needs what is no longer here: end the session, it will open another.
    End,
}

type Outcome = Result<Appended, AppendError>;

/// What is left to do when the locks are released.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) answers: Vec<(oneshot::Sender<Outcome>, Outcome)>,
    pub(super) ended: Vec<Arc<Session>>,
    pub(super) left: Option<(Arc<FollowLane>, Option<u64>)>,
    proposals: Vec<(u64, Command)>,
    high_watermark_moved: bool,
}

impl Effects {
    /// Something for the quorum that no leader waits for: attempts are numbered from 1.
    pub(super) fn tell(&mut self, command: Command) {
        self.proposals.push((0, command));
    }

    /// Adds what else is left to do; a failure takes back what was to be answered well.
    pub(super) fn absorb(&mut self, failed: Effects) {
        for (_, outcome) in &mut self.answers {
            if outcome.is_ok() {
                *outcome = Err(AppendError::NoLongerLeads);
            }
        }
        self.answers.extend(failed.answers);
        self.ended.extend(failed.ended);
        self.left = self.left.take().or(failed.left);
        self.proposals.extend(failed.proposals);
    }
}

/// The log and the tier part below both ends, and the tier is not the later one.
#[derive(Debug, PartialEq, Eq)]
struct Apart;

/// Whether the tier is a better copy than the log of whoever is elected under `elected`, as of two replicas' copies in an unclean election:
/// the one whose last record is of the later epoch, and of the same epoch the longer one. What the log has beyond where the two
/// part was then written by a leader that was deposed before it was committed: the tier holds committed records alone.
fn has_more(
    (tier, tier_end): (&EpochCache, Offset),
    (log, log_end): (&EpochCache, Offset),
    elected: LeaderEpoch,
) -> Result<bool, Apart> {
    let (of_tier, of_log) = (tier.epoch_at(tier_end + -1), log.epoch_at(log_end + -1));
    if tier_end > log_end && tier.latest().is_some_and(|latest| latest.epoch >= elected) {
        return Err(Apart);
    }
    if of_tier.is_some_and(|of_tier| of_tier < elected) && of_tier > of_log {
        return Ok(true);
    }
    if tier_end <= log_end {
        return Ok(false);
    }
    if log.agrees_with(tier, log_end) { Ok(true) } else { Err(Apart) }
}

impl Replica {
    /// Goes on at the tier's end where the tier is the better copy ([`has_more`]): what lies in between is lost on this broker, and
    /// nowhere else. Otherwise the log counts.
    pub(in crate::replication) fn adopt(
        &self,
        epoch: LeaderEpoch,
        tier: TierPosition,
        state: TierState,
    ) -> Result<(), LogError> {
        let mut log = self.log();
        let (partition, log_end) = (&self.partition, log.log_end());
        let chain = EpochCache::new(state.epochs.clone());
        match has_more((&chain, state.end), (log.epochs(), log_end), epoch) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(Apart) => {
                tracing::warn!(%partition, %epoch, %log_end, tier_end = %state.end, "the tier goes on from other records \
                    than this log's, and what it has of them is given up");
                return Ok(());
            }
        }
        tracing::info!(%partition, %epoch, %log_end, tier_end = %state.end, "begins to lead at the tier's end");
        log.resume_under(epoch)?;
        log.install_tier_state(state.end, state.epochs, state.producer_snapshot)?;
        let start = state.log_start.min(state.end);
        let removal = log.advance_log_start(start, self.context.clock.wall_ms())?;
        drop(log);
        removal.run()?;
        self.state.lock().positions.tier = Some(tier);
        Ok(())
    }

    /// Whether the log knows of this leader epoch, or of a later one.
    pub(in crate::replication) fn knows_epoch(&self, epoch: LeaderEpoch) -> bool {
        self.state.lock().chain.latest().is_some_and(|latest| latest.epoch >= epoch)
    }

    /// Whether the tier's store has said what it holds since the unclean election of this epoch, or of a later one.
    pub(in crate::replication) fn has_asked_tier(&self, epoch: LeaderEpoch) -> bool {
        self.state.lock().tier_epoch >= epoch
    }

    /// It has, and the log begins accordingly: also the next life knows it. Runs on a disk thread.
    pub(in crate::replication) fn note_tier_epoch(&self, epoch: LeaderEpoch) {
        let mut log = self.log();
        match log.note_tier_epoch(epoch) {
            Ok(()) => self.state.lock().tier_epoch = log.tier_epoch(),
            // After a restart the store is asked once more.
            Err(e) => {
                tracing::warn!(partition = %self.partition, "what the tier's store has said is not kept: {e}")
            }
        }
    }

    /// Becomes the leader under the view's epoch. Runs on a disk thread.
    pub(in crate::replication) fn lead(
        self: &Arc<Self>,
        view: &PartitionView,
        config: Arc<LogConfig>,
    ) -> Result<(), LogError> {
        let (now, begun_ms) = (self.context.now(), self.context.clock.wall_ms());
        let mut log = self.log();
        log.set_config(config);
        let begun = log.begin_epoch(view.leader_epoch);
        let effects = {
            let mut state = self.state.lock();
            let state = &mut *state;
            let mut effects = self.leave_role(state);
            state.positions.leader = Some(self.context.config.node_id);
            state.positions.leader_epoch = view.leader_epoch;
            self.look_at(&log, state);
            if begun.is_ok() {
                let log_end = state.positions.log_end;
                // What the tier covers on this chain is committed. A tier that ends above this log belongs to a chain
                // that an unclean election has cut off.
                state.positions.tier = state.positions.tier.filter(|tier| tier.end <= log_end);
                let known = state.positions.tier_end();
                let leader = Leader::new(
                    self.context.config.node_id,
                    self.context.config.settings,
                    view,
                    log_end,
                    state.durable_end,
                    state.positions.high_watermark.max(known),
                    now,
                );
                state.role = Role::Leader(Box::new(leader));
                self.context.counts.leaderships.increment();
                Replica::role_begun(state);
                self.event(state, Event::Tick, now, &mut effects);
            }
            self.publish(state);
            effects
        };
        drop(log);
        self.finish(effects);
        let attributes =
            vec![("partition", self.partition.to_string()), ("leader.epoch", view.leader_epoch.to_string())];
        let error = begun.as_ref().err().map(ToString::to_string);
        self.context.counts.env.work_done("partition.lead", now, begun_ms, attributes, error);
        begun
    }

    /// The image has changed under the same leader epoch.
    pub(in crate::replication) fn image(self: &Arc<Self>, view: PartitionView) {
        self.handle(Event::Image(view));
    }

    /// Whether time that passes changes nothing here and no fsync will be due: ten thousand idle partitions shall cost
    /// nothing, so this is all that is asked of them.
    pub(in crate::replication) fn is_at_rest(&self) -> bool {
        let state = self.state.lock();
        let rests = match &state.role {
            Role::Leader(leader) => leader.is_at_rest() && state.waiters.is_empty() && !state.throttled,
            Role::Follower(_) | Role::Offline => true,
        };
        rests && state.flush_by.is_none()
    }

    /// Time has passed.
    pub(in crate::replication) fn tick(self: &Arc<Self>) {
        let now = self.context.now();
        let mut effects = Effects::default();
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            match &state.role {
                Role::Leader(leader) => {
                    if leader.is_at_rest() && state.waiters.is_empty() && !state.throttled {
                        return;
                    }
                }
                Role::Follower(_) | Role::Offline => return,
            }
            // Producers that have given up.
            let gone: Vec<(u64, Offset)> = state
                .waiters
                .iter()
                .filter(|(_, w)| w.answer.is_closed())
                .map(|(t, w)| (*t, w.end))
                .collect();
            for (ticket, end) in gone {
                state.waiters.remove(&ticket);
                self.event(state, Event::Forget { ticket, end }, now, &mut effects);
            }
            self.event(state, Event::Tick, now, &mut effects);
            self.publish(state);
            if state.throttled {
                // Whoever was held back may go on.
                super::wake_all(state);
            }
        }
        self.finish(effects);
    }

    /// The outcome of a proposal.
    pub(in crate::replication) fn reply(self: &Arc<Self>, attempt: u64, reply: ProposalReply) {
        self.handle(Event::Reply { attempt, reply });
    }

    fn handle(self: &Arc<Self>, event: Event) {
        let now = self.context.now();
        let mut effects = Effects::default();
        {
            let mut state = self.state.lock();
            self.event(&mut state, event, now, &mut effects);
            self.publish(&mut state);
        }
        self.finish(effects);
    }

    /// Answers an open request; with `Accepted` the session is registered, but sends nothing until it is armed.
    pub(in crate::replication) fn open_session(
        self: &Arc<Self>,
        open: &Open,
        session: &Arc<Session>,
    ) -> OpenAnswer {
        let now = self.context.now();
        let mut effects = Effects::default();
        let answer = {
            let mut state = self.state.lock();
            let state = &mut *state;
            let Role::Leader(leader) = &mut state.role else {
                return if open.leader_epoch > state.positions.leader_epoch {
                    OpenAnswer::UnknownEpoch
                } else {
                    OpenAnswer::NotLeader
                };
            };
            let log = LogView {
                log_start: state.positions.log_start,
                local_start: state.positions.local_start,
                log_end: state.positions.log_end,
                tier: state.positions.tier,
                chain: &state.chain,
            };
            let (answer, actions) = leader.open(&open.request(session.peer()), session.key, &log, now);
            if answer == OpenAnswer::Accepted {
                let flow = Flow {
                    next: open.log_end,
                    sent_bytes: 0,
                    credit: open.credit,
                    positions: None,
                    loaded: None,
                    loading: false,
                };
                state.sessions.insert(session.key, (session.clone(), flow));
            }
            self.act(state, actions, &mut effects);
            self.publish(state);
            answer
        };
        self.finish(effects);
        answer
    }

    /// A follower's acknowledgement.
    pub(in crate::replication) fn acknowledged(self: &Arc<Self>, session: &Arc<Session>, ack: &Ack) {
        let now = self.context.now();
        let mut effects = Effects::default();
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            let Some((_, flow)) = state.sessions.get_mut(&session.key) else { return };
            flow.credit = flow.credit.max(ack.credit);
            let behind = flow.next < state.positions.log_end;
            let event = Event::Ack {
                broker: session.peer(),
                session: session.key,
                end: ack.log_end,
                log_start: ack.log_start,
            };
            self.event(state, event, now, &mut effects);
            self.publish(state);
            if behind {
                session.wake();
            }
        }
        self.finish(effects);
    }

    /// A session's stream has ended, or its follower has closed it.
    pub(in crate::replication) fn session_lost(self: &Arc<Self>, session: &Session) {
        let now = self.context.now();
        let mut effects = Effects::default();
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            if state.sessions.remove(&session.key).is_none() {
                return;
            }
            self.trim_tail(state);
            let event = Event::SessionLost { broker: session.peer(), session: session.key };
            self.event(state, event, now, &mut effects);
            self.publish(state);
        }
        self.finish(effects);
    }

    /// How many sessions it has.
    #[cfg(test)]
    pub(in crate::replication) fn sessions(&self) -> usize {
        self.state.lock().sessions.len()
    }

    /// What a session sends next.
    pub(in crate::replication) fn next_frame(&self, session: &Session) -> Next {
        let mut state = self.state.lock();
        let state = &mut *state;
        let positions = LeaderPositions {
            high_watermark: state.positions.high_watermark,
            log_start: state.positions.log_start,
            tier: state.positions.tier,
        };
        let throttled = state.throttled
            && matches!(&state.role, Role::Leader(leader) if !leader.isr().contains(&session.peer()));
        let held_back = throttled && !self.context.throttle.is_open(self.context.now());
        let Some((_, flow)) = state.sessions.get_mut(&session.key) else { return Next::Nothing };
        let (log_end, local_start) = (state.positions.log_end, state.positions.local_start);
        if flow.next < log_end && flow.sent_bytes < flow.credit && !flow.loading && !held_back {
            let base = flow.next;
            let stretch = match flow.loaded.take() {
                Some((batches, place)) => {
                    end_of(&batches).map(|end| (end, batches.len(), vec![batches], Some(place)))
                }
                None => state.tail.read(base, FRAME_BYTES).map(|s| (s.end, s.bytes, s.chunks, None)),
            };
            if let Some((end, bytes, mut chunks, place)) = stretch {
                flow.next = end;
                flow.sent_bytes += bytes as u64;
                flow.positions = Some(positions);
                if throttled {
                    self.context.throttle.sent(bytes);
                }
                chunks.insert(0, Append::head(session.id, base, &positions));
                let more = flow.next < log_end && flow.sent_bytes < flow.credit;
                self.trim_tail(state);
                return Next::Append { chunks, more, place };
            }
            if base < local_start {
                return Next::End;
            }
            flow.loading = true;
            return Next::Load;
        }
        if flow.positions == Some(positions) {
            return Next::Nothing;
        }
        Next::Positions
    }

    /// The positions of a `Next::Positions` go out now: as they are by now.
    pub(in crate::replication) fn positions_to_send(&self, session: &Session) -> Option<LeaderPositions> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let (_, flow) = state.sessions.get_mut(&session.key)?;
        let positions = LeaderPositions {
            high_watermark: state.positions.high_watermark,
            log_start: state.positions.log_start,
            tier: state.positions.tier,
        };
        (flow.positions.replace(positions) != Some(positions)).then_some(positions)
    }

    /// Whether what this follower is sent is throttled: the partition's copies are, and it is not in sync.
    pub(in crate::replication) fn throttles(&self, peer: BrokerId) -> bool {
        let state = self.state.lock();
        state.throttled && matches!(&state.role, Role::Leader(leader) if !leader.isr().contains(&peer))
    }

    /// How many sessions have something in memory that was read for them and is not sent.
    #[cfg(test)]
    pub(in crate::replication) fn holds_loaded(&self) -> usize {
        self.state.lock().sessions.values().filter(|(_, flow)| flow.loaded.is_some()).count()
    }

    /// Reads from disk what the session needs next; on a disk thread. `false` when the session must end.
    pub(in crate::replication) fn load_for(
        self: &Arc<Self>,
        session: &Session,
        place: OwnedSemaphorePermit,
    ) -> bool {
        let Some((from, end)) = ({
            let state = self.state.lock();
            state.sessions.get(&session.key).map(|(_, flow)| (flow.next, state.positions.log_end))
        }) else {
            return true;
        };
        let slice = self.log.lock().read(from, FRAME_BYTES, end, true);
        self.renew_last_stable();
        let loaded = slice.and_then(|slice| self.load(&slice));
        let mut state = self.state.lock();
        let Some((_, flow)) = state.sessions.get_mut(&session.key) else { return true };
        flow.loading = false;
        match loaded {
            Ok(batches) if !batches.is_empty() => {
                flow.loaded = Some((batches, place));
                true
            }
            Ok(_) => false,
            Err(e) => {
                tracing::warn!(partition = %self.partition, "cannot read {from} for a follower: {e}");
                false
            }
        }
    }

    /// Drops from the tail what every session has sent.
    fn trim_tail(&self, state: &mut State) {
        let sent = state.sessions.values().map(|(_, flow)| flow.next).min();
        state.tail.trim(sent.unwrap_or(Offset(i64::MAX)), &self.context.tail_bytes);
    }

    /// Gives the leader an event and takes up its actions. No effect in another role.
    pub(super) fn event(&self, state: &mut State, event: Event, now: MonoTime, effects: &mut Effects) {
        if let Role::Leader(leader) = &mut state.role {
            let actions = leader.handle(event, now);
            self.act(state, actions, effects);
        }
    }

    fn act(&self, state: &mut State, actions: Vec<Action>, effects: &mut Effects) {
        for action in actions {
            match action {
                Action::HighWatermark(offset) => {
                    state.positions.high_watermark = offset;
                    effects.high_watermark_moved = true;
                }
                Action::Propose { attempt, partition_epoch, isr, lost } => {
                    let me = self.context.config.node_id;
                    let Some(leader) = isr.iter().copied().find(|member| member.broker == me) else {
                        continue;
                    };
                    let command = Command::AlterPartition(AlterPartition {
                        topic: self.topic_id,
                        partition: self.partition.partition,
                        leader,
                        leader_epoch: state.positions.leader_epoch,
                        partition_epoch,
                        isr,
                        lost,
                    });
                    effects.proposals.push((attempt, command));
                }
                Action::Complete { ticket, outcome } => {
                    if let Some(waiter) = state.waiters.remove(&ticket) {
                        let since = self.context.now().since(waiter.written);
                        self.context.counts.replication.record(since);
                        let outcome = outcome
                            .map(|()| waiter.appended)
                            .map_err(AppendError::NotEnoughReplicasAfterAppend);
                        effects.answers.push((waiter.answer, outcome));
                    }
                }
                Action::EndSession { session, .. } => {
                    if let Some((session, _)) = state.sessions.remove(&session) {
                        effects.ended.push(session);
                    }
                    self.trim_tail(state);
                }
            }
        }
        if effects.high_watermark_moved {
            super::wake_all(state);
        }
    }

    /// Does what must not be done under a lock.
    pub(super) fn finish(self: &Arc<Self>, effects: Effects) {
        if effects.high_watermark_moved {
            self.stable_is_stale.store(true, std::sync::atomic::Ordering::SeqCst);
            self.renew_last_stable();
        }
        for (answer, outcome) in effects.answers {
            // A producer that has given up does not listen.
            let _ = answer.send(outcome);
        }
        for session in effects.ended {
            session.end();
        }
        if let Some((lane, session)) = effects.left {
            lane.leave(self, session);
        }
        for (attempt, command) in effects.proposals {
            let proposal = Proposal { replica: self.clone(), attempt, command };
            // The receiver lives as long as the manager; without it nothing is proposed any more.
            let _ = self.context.proposals.send(proposal);
        }
    }

    /// Whether every live replica has stored this log start (DeleteRecords); `None` unless this replica leads.
    #[must_use]
    pub fn log_start_is_stored(&self, log_start: Offset) -> Option<bool> {
        match &self.state.lock().role {
            Role::Leader(leader) => Some(leader.log_start_is_stored(log_start)),
            _ => None,
        }
    }
}

/// The end of whole batches.
fn end_of(batches: &Bytes) -> Option<Offset> {
    BatchIter::new(batches.clone()).filter_map(Result::ok).last().map(|batch| batch.header.end_offset())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::EpochEntry;

    #[test]
    fn of_tier_and_log_the_later_epoch_counts_and_then_the_greater_length() {
        let chain = |entries: &[(i32, i64)]| {
            let entry = |&(epoch, start)| EpochEntry { epoch: LeaderEpoch(epoch), start: Offset(start) };
            EpochCache::new(entries.iter().map(entry).collect())
        };
        let has_more = |tier: (&[(i32, i64)], i64), log: (&[(i32, i64)], i64)| {
            let (of_tier, of_log) = (chain(tier.0), chain(log.0));
            super::has_more((&of_tier, Offset(tier.1)), (&of_log, Offset(log.1)), LeaderEpoch(5))
        };
        assert_eq!(has_more((&[(0, 0)], 9), (&[(0, 0)], 4)), Ok(true), "the beginning of what the tier has");
        assert_eq!(has_more((&[(0, 0)], 9), (&[], 0)), Ok(true), "an empty log");
        assert_eq!(has_more((&[(0, 0), (1, 6)], 9), (&[(0, 0)], 4)), Ok(true));
        assert_eq!(has_more((&[(0, 0)], 4), (&[(0, 0)], 9)), Ok(false), "all that the tier has, and more");
        assert_eq!(has_more((&[(0, 0)], 4), (&[(0, 0), (1, 3)], 9)), Ok(false), "the log is the later one");
        // A deposed leader's log: from 6 on nothing of it was committed, longer or not.
        assert_eq!(has_more((&[(0, 0), (1, 6)], 9), (&[(0, 0)], 8)), Ok(true));
        assert_eq!(has_more((&[(0, 0), (1, 6)], 9), (&[(0, 0)], 20)), Ok(true));
        assert_eq!(
            has_more((&[(0, 0), (1, 6)], 9), (&[(0, 0), (2, 6)], 7)),
            Err(Apart),
            "a lineage that is over"
        );
        // Nobody goes on under an epoch that the tier knows already.
        assert_eq!(has_more((&[(0, 0), (5, 6)], 9), (&[(0, 0)], 4)), Err(Apart));
        assert_eq!(has_more((&[(0, 0), (5, 6)], 9), (&[(0, 0)], 20)), Ok(false));
    }
}
