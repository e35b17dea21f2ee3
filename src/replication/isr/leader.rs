//! The leader of one partition: who has what, what is committed, whom to propose for the ISR.
//!
//! Invariants: the high watermark is the smallest acknowledged end over the *maximal* ISR (committed ∪ proposed to
//! be added), moves only while the committed ISR has at least min ISR members, and never goes back (KIP-497). A proposal whose outcome is open counts until the image shows a newer partition epoch.

mod departures;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{OpenAnswer, OpenRequest, TierPosition};
use crate::env::MonoTime;
use crate::env::defect::{self, planted};
use crate::log::EpochCache;
use crate::metadata::IsrMember;
use crate::types::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionEpoch};

/// After a proposal was refused or its reply was lost, the next one waits this long.
const PROPOSAL_PAUSE: Duration = Duration::from_millis(250);
/// A follower that has had no session yet under this leader gets this many session time-outs: all of a restarted
/// broker's sessions open at once.
const FIRST_SESSION_FACTOR: u32 = 2;

/// The configs that the rules depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// `replica.lag.time.max.ms`.
    pub lag_max: Duration,
    /// `replica.session.timeout.ms` (ours).
    pub session_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { lag_max: Duration::from_secs(30), session_timeout: Duration::from_secs(1) }
    }
}

/// What the image says about the partition and its replicas' brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// The current leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// The version of this view.
    pub partition_epoch: PartitionEpoch,
    /// The committed ISR.
    pub isr: Vec<BrokerId>,
    /// The eligible leader replicas (KIP-966).
    pub elr: Vec<BrokerId>,
    /// min(`min.insync.replicas`, number of replicas).
    pub min_isr: usize,
    /// Every assigned replica's registration, the leader's own included.
    pub replicas: Vec<ReplicaView>,
}

/// A replica's broker in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplicaView {
    /// The broker.
    pub broker: BrokerId,
    /// Its last registration; `NONE` if it never registered.
    pub epoch: BrokerEpoch,
    /// Unfenced and not stopping (KIP-841).
    pub active: bool,
}

/// The leader's own log at the moment of an [`OpenRequest`].
pub struct LogView<'a> {
    /// The log start over both tiers.
    pub log_start: Offset,
    /// Where the local files begin.
    pub local_start: Offset,
    /// The log end.
    pub log_end: Offset,
    /// The tier, if the topic has one.
    pub tier: Option<TierPosition>,
    /// Its epochs.
    pub chain: &'a EpochCache,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The leader's own write has returned.
    Appended {
        /// The log end now.
        log_end: Offset,
        /// What counts as the leader's own acknowledgement: the log end, or its flushed end with fsync-before-ack.
        durable_end: Offset,
    },
    /// A follower's acknowledgement. Ignored unless `session` is the replica's current one.
    Ack {
        /// Who.
        broker: BrokerId,
        /// By which session.
        session: u64,
        /// Its log end.
        end: Offset,
        /// Its log start.
        log_start: Offset,
    },
    /// A session has ended.
    SessionLost {
        /// Whose.
        broker: BrokerId,
        /// Which.
        session: u64,
    },
    /// The image shows the partition under this leader's epoch.
    Image(PartitionView),
    /// The outcome of an [`Action::Propose`].
    Reply {
        /// Which.
        attempt: u64,
        /// What became of it.
        reply: ProposalReply,
    },
    /// A producer waits for `end` to be committed (acks=all).
    Wait {
        /// Names the waiter in [`Action::Complete`].
        ticket: u64,
        /// The end of its batch.
        end: Offset,
    },
    /// A producer waits no longer.
    Forget {
        /// Its ticket.
        ticket: u64,
        /// The end it waited for.
        end: Offset,
    },
    /// Time has passed.
    Tick,
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposalReply {
    /// Applied; the image will show it.
    Applied,
    /// Certainly not applied.
    Refused,
    /// The reply was lost: it may have been applied, or may still be.
    Unknown,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The high watermark has moved up to here.
    HighWatermark(Offset),
    /// Submit this ISR, with the leader epoch and this partition epoch.
    Propose {
        /// Names the proposal in [`Event::Reply`].
        attempt: u64,
        /// The partition epoch that it builds on.
        partition_epoch: PartitionEpoch,
        /// The new ISR.
        isr: Vec<IsrMember>,
        /// Those outside of it that have lost bytes: they may not stay eligible.
        lost: Vec<BrokerId>,
    },
    /// Answer a waiting producer.
    Complete {
        /// The ticket of its `Wait`.
        ticket: u64,
        /// Committed, or not enough replicas.
        outcome: Result<(), NotEnoughReplicas>,
    },
    /// End a session: its broker was unassigned or has registered anew.
    EndSession {
        /// Whose.
        broker: BrokerId,
        /// Which.
        session: u64,
    },
}

/// The committed ISR is smaller than min ISR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{isr} in-sync replicas are fewer than min.insync.replicas {min_isr}")]
pub struct NotEnoughReplicas {
    /// Members of the committed ISR.
    pub isr: usize,
    /// What is needed.
    pub min_isr: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Peer {
    view: ReplicaView,
    session: Option<u64>,
    /// The life that the positions belong to.
    epoch: BrokerEpoch,
    end: Option<Offset>,
    log_start: Option<Offset>,
    caught_up: MonoTime,
    /// The leader's log end at the last acknowledgement, and when that was.
    seen_end: Offset,
    seen_at: MonoTime,
    down_since: MonoTime,
    had_session: bool,
    /// Its end was found below the high watermark although it was in the ISR or the ELR: it has lost bytes.
    lost_bytes: bool,
    /// After it was dropped for lag it must wait before it is proposed again; grows while it flaps.
    expand_after: MonoTime,
    expand_pause: Duration,
    proposed_at: MonoTime,
    /// It left the ISR while this proposal to drop it was on its way: only the reply tells whether it has left by itself.
    left_by: Option<u64>,
}

/// The state of a leader under one leader epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leader {
    me: BrokerId,
    settings: Settings,
    leader_epoch: LeaderEpoch,
    partition_epoch: PartitionEpoch,
    epoch_start: Offset,
    min_isr: usize,
    isr: BTreeSet<BrokerId>,
    elr: Vec<BrokerId>,
    my_epoch: BrokerEpoch,
    peers: BTreeMap<BrokerId, Peer>,
    /// The number of the last proposal.
    attempt: u64,
    in_flight: Option<Vec<BrokerId>>,
    /// The one in flight was applied, and the image does not show it yet.
    is_applied: bool,
    /// Members of proposals on this partition epoch whose replies were lost.
    unsure: BTreeSet<BrokerId>,
    propose_after: MonoTime,
    log_end: Offset,
    durable_end: Offset,
    high_watermark: Offset,
    waiting: BTreeSet<(Offset, u64)>,
    #[cfg(test)]
    pub(super) defect: Option<Defect>,
}

/// Defences that a test may switch off, to see that it notices.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Defect {
    /// Count only the committed ISR (what KIP-497 mended).
    CommittedIsrOnly,
    /// A lost reply counts as a refusal.
    LostReplyIsRefusal,
    /// The high watermark moves below min ISR too (what KIP-966 mended).
    BelowMinIsr,
}

impl Leader {
    /// A newly elected leader. `high_watermark` is max(stored high watermark, tier end on its chain), at most
    /// `log_end`; the epoch starts at `log_end`.
    #[must_use]
    pub fn new(
        me: BrokerId,
        settings: Settings,
        view: &PartitionView,
        log_end: Offset,
        durable_end: Offset,
        high_watermark: Offset,
        now: MonoTime,
    ) -> Leader {
        let mut leader = Leader {
            me,
            settings,
            leader_epoch: view.leader_epoch,
            partition_epoch: view.partition_epoch,
            epoch_start: log_end,
            min_isr: view.min_isr,
            isr: BTreeSet::new(),
            elr: Vec::new(),
            my_epoch: BrokerEpoch::NONE,
            peers: BTreeMap::new(),
            attempt: 0,
            in_flight: None,
            is_applied: false,
            unsure: BTreeSet::new(),
            propose_after: now,
            log_end,
            durable_end,
            high_watermark: high_watermark.min(log_end),
            waiting: BTreeSet::new(),
            #[cfg(test)]
            defect: None,
        };
        leader.take_view(view, now, &mut Vec::new());
        leader
    }

    /// The leader epoch that all this is for.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The version of the partition in the image that is in force here.
    #[must_use]
    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    /// The committed ISR.
    #[must_use]
    pub fn isr(&self) -> &BTreeSet<BrokerId> {
        &self.isr
    }

    /// The high watermark (exclusive).
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Whether the latest offset may be told (KIP-207): the high watermark has reached the start of this epoch.
    #[must_use]
    pub fn latest_is_known(&self) -> bool {
        self.high_watermark >= self.epoch_start || planted(defect::Defect::LatestAtOnce)
    }

    /// Whether every assigned replica whose broker lives has stored this log start (DeleteRecords): also one that has no session at the
    /// moment, since it may lead next.
    #[must_use]
    pub fn log_start_is_stored(&self, log_start: Offset) -> bool {
        self.peers
            .values()
            .filter(|peer| peer.view.active)
            .all(|peer| peer.log_start.is_some_and(|stored| stored >= log_start))
            || planted(defect::Defect::DeletionUnstored)
    }

    /// A replica's acknowledged end.
    #[must_use]
    pub fn acknowledged_end(&self, broker: BrokerId) -> Option<Offset> {
        self.peers.get(&broker).and_then(|peer| peer.end)
    }

    /// The followers in the committed ISR: the acknowledged end of each, and when it last had everything.
    pub fn in_sync_followers(&self) -> impl Iterator<Item = (BrokerId, Offset, MonoTime)> + '_ {
        self.isr.iter().filter(|broker| **broker != self.me).filter_map(|broker| {
            let peer = self.peers.get(broker)?;
            Some((*broker, peer.end?, peer.caught_up))
        })
    }

    /// min(`min.insync.replicas`, number of replicas).
    #[must_use]
    pub fn min_isr(&self) -> usize {
        self.min_isr
    }

    /// Whether an acks=all append may begin.
    ///
    /// # Errors
    /// `NotEnoughReplicas` when the committed ISR is below min ISR.
    pub fn check_min_isr(&self) -> Result<(), NotEnoughReplicas> {
        if self.isr.len() < self.min_isr {
            return Err(NotEnoughReplicas { isr: self.isr.len(), min_isr: self.min_isr });
        }
        Ok(())
    }

    /// Answers a follower; on `Accepted`, `session` becomes its only valid session and its log end counts as
    /// acknowledged. Positions that the caller must still act on come with the answer.
    pub fn open(
        &mut self,
        request: &OpenRequest,
        session: u64,
        log: &LogView<'_>,
        now: MonoTime,
    ) -> (OpenAnswer, Vec<Action>) {
        let mut actions = Vec::new();
        let answer = self.judge(request, log);
        let Some(peer) = self.peers.get_mut(&request.broker) else {
            return (answer, actions);
        };
        if matches!(
            answer,
            OpenAnswer::Fenced | OpenAnswer::UnknownEpoch | OpenAnswer::NotLeader | OpenAnswer::NotReplica
        ) {
            return (answer, actions);
        }
        if let Some(old) = peer.session.take()
            && old != session
        {
            actions.push(Action::EndSession { broker: request.broker, session: old });
        }
        let counted_on = self.isr.contains(&request.broker) || self.elr.contains(&request.broker);
        if request.log_end < self.high_watermark && counted_on {
            // A member of ISR or ELR has all that is committed: this one has lost bytes since, so it must go at once.
            peer.lost_bytes = !planted(defect::Defect::LostBytesStay);
        }
        if answer == OpenAnswer::Accepted {
            if peer.epoch != request.broker_epoch {
                peer.epoch = request.broker_epoch;
                peer.end = None;
                peer.log_start = None;
            }
            peer.session = Some(session);
            peer.had_session = true;
            peer.left_by = None;
            self.acknowledge(request.broker, request.log_end, request.log_start, now);
        } else if peer.had_session {
            peer.down_since = peer.down_since.max(now);
        }
        self.settle(now, &mut actions);
        (answer, actions)
    }

    fn judge(&self, request: &OpenRequest, log: &LogView<'_>) -> OpenAnswer {
        let Some(peer) = self.peers.get(&request.broker) else {
            return OpenAnswer::NotReplica;
        };
        if request.leader_epoch < self.leader_epoch || request.broker_epoch < peer.view.epoch {
            return OpenAnswer::Fenced;
        }
        if request.leader_epoch > self.leader_epoch || request.broker_epoch > peer.view.epoch {
            return OpenAnswer::UnknownEpoch;
        }
        if request.log_end < log.local_start {
            return match log.tier {
                Some(tier) if tier.end > request.log_end && tier.end >= log.local_start => {
                    OpenAnswer::Tiered { local_start: log.local_start, tier }
                }
                // What lies between log start and local start is in the tier, and this leader has yet to learn how far
                // that reaches: a reset would raise the follower's log start over it.
                _ if log.log_start < log.local_start => OpenAnswer::UnknownEpoch,
                _ => OpenAnswer::Reset {
                    log_start: log.log_start,
                    chain: log.chain.entries().iter().copied().filter(|e| e.start < log.log_start).collect(),
                },
            };
        }
        if request.last_epoch == LeaderEpoch::NONE && request.log_end <= log.log_end {
            // An empty log has nothing that could differ.
            return OpenAnswer::Accepted;
        }
        match log.chain.end_offset_for(request.last_epoch, log.log_end) {
            Some((epoch, end)) if epoch == request.last_epoch && request.log_end <= end => {
                OpenAnswer::Accepted
            }
            Some((epoch, _)) if planted(defect::Defect::EndOfAnotherEpoch) => {
                OpenAnswer::Diverged { epoch, end: log.log_end }
            }
            Some((epoch, end)) => OpenAnswer::Diverged { epoch, end },
            None => OpenAnswer::Diverged { epoch: LeaderEpoch::NONE, end: log.log_start },
        }
    }

    /// Takes one event.
    pub fn handle(&mut self, event: Event, now: MonoTime) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Appended { log_end, durable_end } => {
                if log_end > self.log_end {
                    for peer in self.peers.values_mut() {
                        // A push protocol is silent while nothing is written: whoever had everything until this
                        // write was caught up until now.
                        if peer.session.is_some() && peer.end.is_some_and(|end| end >= self.log_end) {
                            peer.caught_up = now;
                        }
                    }
                    self.log_end = log_end;
                }
                self.durable_end = self.durable_end.max(durable_end);
            }
            Event::Ack { broker, session, end, log_start } => {
                if self.peers.get(&broker).is_some_and(|peer| peer.session == Some(session)) {
                    self.acknowledge(broker, end, log_start, now);
                }
            }
            Event::SessionLost { broker, session } => {
                if let Some(peer) = self.peers.get_mut(&broker)
                    && peer.session == Some(session)
                {
                    peer.session = None;
                    peer.down_since = now;
                }
            }
            Event::Image(view) => self.take_view(&view, now, &mut actions),
            Event::Reply { attempt, reply } => {
                self.end_sessions_of_those_who_left(attempt, reply, now, &mut actions);
                self.take_reply(attempt, reply, now);
            }
            Event::Wait { ticket, end } => {
                if let Some(outcome) = self.outcome(end) {
                    actions.push(Action::Complete { ticket, outcome });
                } else {
                    self.waiting.insert((end, ticket));
                }
            }
            Event::Forget { ticket, end } => {
                self.waiting.remove(&(end, ticket));
            }
            Event::Tick => {
                let at_rest = self.is_at_rest();
                self.settle(now, &mut actions);
                debug_assert!(!at_rest || actions.is_empty(), "time moves nothing that is at rest");
                return actions;
            }
        }
        self.settle(now, &mut actions);
        actions
    }

    /// Whether the passing of time alone can change nothing: no other replica, nothing asked, nobody waiting.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.peers.is_empty()
            && self.isr.len() == 1
            && self.in_flight.is_none()
            && self.unsure.is_empty()
            && self.waiting.is_empty()
            && self.high_watermark == self.durable_end
    }

    fn acknowledge(&mut self, broker: BrokerId, end: Offset, log_start: Offset, now: MonoTime) {
        let Some(peer) = self.peers.get_mut(&broker) else { return };
        // An end above the leader's own cannot be one that the leader has sent.
        let end = end.min(self.log_end);
        if end >= self.log_end || planted(defect::Defect::SilenceIsCaughtUp) {
            peer.caught_up = now;
        } else if end >= peer.seen_end {
            peer.caught_up = peer.caught_up.max(peer.seen_at);
        }
        peer.seen_end = self.log_end;
        peer.seen_at = now;
        peer.end = Some(end);
        peer.log_start = Some(log_start);
        if end >= self.high_watermark && !self.isr.contains(&broker) {
            peer.lost_bytes = false;
        }
    }

    fn take_view(&mut self, view: &PartitionView, now: MonoTime, actions: &mut Vec<Action>) {
        // Images of a quorum member that lags say nothing new; an image of another epoch is not for this leader.
        let is_old = view.partition_epoch < self.partition_epoch && !planted(defect::Defect::StaleImageTaken);
        if view.leader_epoch != self.leader_epoch || is_old {
            return;
        }
        if view.partition_epoch > self.partition_epoch {
            self.end_sessions_of_the_dropped(view, now, actions);
            // Every proposal on an older partition epoch is now either in this ISR or can never be applied.
            self.in_flight = None;
            self.unsure.clear();
        }
        self.partition_epoch = view.partition_epoch;
        self.min_isr = view.min_isr;
        self.isr = view.isr.iter().copied().collect();
        self.elr.clone_from(&view.elr);
        for replica in &view.replicas {
            if replica.broker == self.me {
                self.my_epoch = replica.epoch;
                continue;
            }
            let peer = self.peers.entry(replica.broker).or_insert_with(|| Peer {
                view: *replica,
                session: None,
                epoch: BrokerEpoch::NONE,
                end: None,
                log_start: None,
                caught_up: now,
                seen_end: self.log_end,
                seen_at: now,
                down_since: now,
                had_session: false,
                lost_bytes: false,
                expand_after: now,
                expand_pause: Duration::ZERO,
                proposed_at: now,
                left_by: None,
            });
            peer.view = *replica;
            if peer.epoch < replica.epoch
                && !planted(defect::Defect::FormerLifeGoesOn)
                && let Some(session) = peer.session.take()
            {
                // Its broker has registered anew: whatever the old life still sends is fenced.
                peer.down_since = now;
                actions.push(Action::EndSession { broker: replica.broker, session });
            }
        }
        self.peers.retain(|broker, peer| {
            let assigned = view.replicas.iter().any(|r| r.broker == *broker);
            if let (false, Some(session)) = (assigned, peer.session) {
                actions.push(Action::EndSession { broker: *broker, session });
            }
            assigned
        });
    }

    fn take_reply(&mut self, attempt: u64, reply: ProposalReply, now: MonoTime) {
        if self.in_flight.is_none() || attempt != self.attempt {
            // Of a proposal that the image has already overtaken.
            return;
        }
        #[cfg(test)]
        let reply = match reply {
            ProposalReply::Unknown if self.defect == Some(Defect::LostReplyIsRefusal) => {
                ProposalReply::Refused
            }
            other => other,
        };
        let reply = match reply {
            ProposalReply::Unknown if planted(defect::Defect::LostReplyIsRefusal) => ProposalReply::Refused,
            other => other,
        };
        match reply {
            // One that asks for the ISR that there is (and that somebody leaves the ELR) may have changed nothing, so that no image
            // would ever show it: brokers of an earlier program take no word of who leaves the ELR.
            ProposalReply::Applied if self.asks_for_nothing_new() => {
                self.in_flight = None;
                self.propose_after = now + self.settings.session_timeout;
            }
            // Stays in flight until the image shows it.
            ProposalReply::Applied => self.is_applied = true,
            ProposalReply::Refused => {
                self.in_flight = None;
                self.propose_after = now + PROPOSAL_PAUSE;
            }
            ProposalReply::Unknown => {
                self.unsure.extend(self.in_flight.take().into_iter().flatten());
                self.propose_after = now + PROPOSAL_PAUSE;
            }
        }
    }

    fn asks_for_nothing_new(&self) -> bool {
        let Some(asked) = &self.in_flight else { return false };
        asked.len() == self.isr.len() && asked.iter().all(|broker| self.isr.contains(broker))
    }

    /// Committed ISR ∪ members of every proposal that may be, or may become, committed.
    fn maximal_isr(&self) -> impl Iterator<Item = BrokerId> + '_ {
        #[cfg(test)]
        let proposals = self.defect != Some(Defect::CommittedIsrOnly);
        #[cfg(not(test))]
        let proposals = true;
        let proposals = proposals && !planted(defect::Defect::CommittedIsrOnly);
        self.isr
            .iter()
            .chain(self.in_flight.iter().flatten().filter(move |_| proposals))
            .chain(self.unsure.iter().filter(move |_| proposals))
            .copied()
    }

    /// What follows from the state as it is now: the high watermark, completions, a proposal.
    fn settle(&mut self, now: MonoTime, actions: &mut Vec<Action>) {
        self.advance(actions);
        self.complete(actions);
        self.propose(now, actions);
    }

    fn advance(&mut self, actions: &mut Vec<Action>) {
        #[cfg(test)]
        let demanded = self.defect != Some(Defect::BelowMinIsr);
        #[cfg(not(test))]
        let demanded = true;
        let demanded = demanded && !planted(defect::Defect::BelowMinIsr);
        if demanded && self.isr.len() < self.min_isr {
            return;
        }
        let mut committed = self.durable_end;
        for member in self.maximal_isr() {
            if member == self.me {
                continue;
            }
            match self.acknowledged_end(member) {
                Some(end) => committed = committed.min(end),
                None => return,
            }
        }
        if committed > self.high_watermark {
            self.high_watermark = committed;
            actions.push(Action::HighWatermark(committed));
        }
    }

    fn outcome(&self, end: Offset) -> Option<Result<(), NotEnoughReplicas>> {
        match self.check_min_isr() {
            Err(e) => Some(Err(e)),
            Ok(()) if self.high_watermark >= end => Some(Ok(())),
            Ok(()) => None,
        }
    }

    fn complete(&mut self, actions: &mut Vec<Action>) {
        while let Some(&(end, ticket)) = self.waiting.first() {
            let Some(outcome) = self.outcome(end) else { return };
            self.waiting.pop_first();
            actions.push(Action::Complete { ticket, outcome });
        }
    }

    fn propose(&mut self, now: MonoTime, actions: &mut Vec<Action>) {
        if self.in_flight.is_some() || now < self.propose_after {
            return;
        }
        let mut isr = self.isr.clone();
        let mut lost = Vec::new();
        for (&broker, peer) in &mut self.peers {
            if peer.lost_bytes && (isr.contains(&broker) || self.elr.contains(&broker)) {
                lost.push(broker);
            }
            if isr.contains(&broker) {
                let lags = self.log_end > peer.end.unwrap_or(Offset::NONE)
                    && now.since(peer.caught_up) > self.settings.lag_max;
                let patience = if peer.had_session { 1 } else { FIRST_SESSION_FACTOR };
                let down = peer.session.is_none()
                    && now.since(peer.down_since) > self.settings.session_timeout * patience;
                if lags || down || peer.lost_bytes {
                    isr.remove(&broker);
                    if lags {
                        // A link that is just too slow would come and go: each time it stays out longer.
                        let stayed = now.since(peer.proposed_at);
                        peer.expand_pause = if stayed > self.settings.lag_max * 4 {
                            Duration::ZERO
                        } else {
                            (peer.expand_pause * 2)
                                .clamp(self.settings.session_timeout, self.settings.lag_max)
                        };
                        peer.expand_after = now + peer.expand_pause;
                    }
                }
            } else {
                let has_epoch =
                    |end| end >= self.epoch_start || planted(defect::Defect::JoinsBelowEpochStart);
                let caught_up = peer.end.is_some_and(|end| end >= self.high_watermark && has_epoch(end));
                let alive = peer.session.is_some() && peer.view.active && peer.epoch == peer.view.epoch;
                let may_return = (now >= peer.expand_after && peer.left_by.is_none())
                    || planted(defect::Defect::FlappingLink);
                if caught_up && alive && may_return {
                    // It may have got them back before its removal was committed, and said so only then.
                    peer.lost_bytes = false;
                    lost.retain(|member| *member != broker);
                    isr.insert(broker);
                    peer.proposed_at = now;
                }
            }
        }
        if isr == self.isr && lost.is_empty() {
            return;
        }
        let members = isr
            .iter()
            .map(|&broker| IsrMember {
                broker,
                epoch: match self.peers.get(&broker) {
                    Some(peer) => peer.view.epoch,
                    None => self.my_epoch,
                },
            })
            .collect();
        if planted(defect::Defect::OwnProposalBelieved) {
            self.isr.clone_from(&isr);
        }
        self.in_flight = Some(isr.into_iter().collect());
        self.is_applied = false;
        self.attempt += 1;
        actions.push(Action::Propose {
            attempt: self.attempt,
            partition_epoch: self.partition_epoch,
            isr: members,
            lost,
        });
    }
}

#[cfg(test)]
#[path = "leader_tests.rs"]
mod tests;
