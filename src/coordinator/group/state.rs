//! One group: what is remembered of it, its members, and how it moves between its phases.
//!
//! ```text
//!            first member            all joined, or time        leader's assignment
//!   Empty ───────────────► Preparing ───────────────► Completing ───────────────► Stable
//!     ▲                     │    ▲                        │                          │
//!     └─ nobody came back ──┘    └──── a member joins, leaves or dies ◄──────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::consumer::ConsumerGroup;
use super::member::Member;
use super::request::{Joined, Reply};
use super::timers::Timer;
use super::transactions::{PendingOffset, Place};
use super::{GroupError, Step};
use crate::coordinator::consumer_record::ConsumerRecord;
use crate::coordinator::record::{CommittedOffset, GroupId, GroupMetadata, Record};
use crate::env::MonoTime;
use crate::types::TopicName;

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Empty,
    /// Members are called to join.
    Preparing {
        /// The group was empty before: more members are awaited.
        initial: Option<InitialWait>,
    },
    /// Members have the generation and wait for the leader's assignment.
    Completing,
    Stable,
}

/// The first rebalance is held open while members keep coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InitialWait {
    pub(super) remaining: Duration,
    pub(super) member_came: bool,
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Phase::Empty => "Empty",
            Phase::Preparing { .. } => "PreparingRebalance",
            Phase::Completing => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: GroupId,

    // Remembered: changes in `replay` alone.
    pub(super) stored: Option<GroupMetadata>,
    /// Set for a group of the consumer protocol; all that follows of members and generations is empty then.
    pub(super) consumer: Option<Box<ConsumerGroup>>,
    pub(super) offsets: BTreeMap<TopicName, BTreeMap<i32, CommittedOffset>>,
    /// Offsets of open transactions, in the order of the log.
    pub(super) pending_offsets: BTreeMap<Place, Vec<PendingOffset>>,

    /// The shard's count of records when this group last wrote.
    pub(super) last_write: u64,

    // Soft.
    pub(super) phase: Phase,
    pub(super) state_timestamp_ms: i64,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Member ids by static id.
    pub(super) statics: BTreeMap<String, String>,
    /// Ids handed out, with the time they are dropped.
    pub(super) pending: BTreeMap<String, MonoTime>,
    /// Members of this generation that have not asked for their assignment yet.
    pub(super) pending_sync: BTreeSet<String>,
    phase_timer: Option<MonoTime>,
}

impl Group {
    pub(super) fn new(id: GroupId) -> Group {
        Group {
            id,
            stored: None,
            consumer: None,
            offsets: BTreeMap::new(),
            pending_offsets: BTreeMap::new(),
            last_write: 0,
            phase: Phase::Empty,
            state_timestamp_ms: -1,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            pending: BTreeMap::new(),
            pending_sync: BTreeSet::new(),
            phase_timer: None,
        }
    }

    /// The only place where what is remembered changes.
    pub(super) fn replay(&mut self, record: &Record) {
        match record {
            Record::Group { value, .. } => {
                self.stored.clone_from(value);
                // Kafka writes members in any order, and its oldest records leave their rebalance timeout out.
                for member in self.stored.iter_mut().flat_map(|s| &mut s.members) {
                    if member.rebalance_timeout_ms < 0 {
                        member.rebalance_timeout_ms = member.session_timeout_ms;
                    }
                }
                if let Some(stored) = &mut self.stored {
                    stored.members.sort_by(|a, b| a.member_id.cmp(&b.member_id));
                }
            }
            Record::Consumer { record: ConsumerRecord::Epoch(None), .. } => self.consumer = None,
            Record::Consumer { record, .. } => {
                if self.consumer.is_some() || !record.is_tombstone() {
                    self.consumer.get_or_insert_default().replay(record);
                }
            }
            Record::Offset { topic, partition, value: Some(offset), .. } => {
                self.supersede_pending(topic, *partition);
                self.offsets.entry(topic.clone()).or_default().insert(*partition, offset.clone());
            }
            Record::Offset { topic, partition, value: None, .. } => {
                self.supersede_pending(topic, *partition);
                if let Some(partitions) = self.offsets.get_mut(topic) {
                    partitions.remove(partition);
                    if partitions.is_empty() {
                        self.offsets.remove(topic);
                    }
                }
            }
        }
    }

    /// After the replay: takes up the remembered generation, with a fresh session for each member.
    pub(super) fn restore(&mut self, step: &mut Step<'_>) {
        if let Some(consumer) = &mut self.consumer {
            return consumer.restore(&self.id, step);
        }
        let Some(stored) = &self.stored else { return };
        self.generation = stored.generation;
        self.protocol_type = Some(stored.protocol_type.clone()).filter(|t| !t.is_empty());
        self.protocol.clone_from(&stored.protocol);
        self.leader.clone_from(&stored.leader);
        self.state_timestamp_ms = stored.state_timestamp_ms;
        self.phase = if stored.members.is_empty() { Phase::Empty } else { Phase::Stable };
        let protocol = stored.protocol.clone().unwrap_or_default();
        for member in &stored.members {
            let mut member = Member::restored(member, &protocol);
            let session = member.session_timeout();
            member.keep_alive(&self.id, session, step.now.mono, step.timers);
            if let Some(instance) = &member.instance_id {
                self.statics.insert(instance.clone(), member.id.clone());
            }
            self.members.insert(member.id.clone(), member);
        }
    }

    /// The generation as it would be remembered.
    pub(super) fn to_store(&self) -> GroupMetadata {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        GroupMetadata {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            state_timestamp_ms: self.state_timestamp_ms,
            members: self.members.values().map(|m| m.stored(protocol)).collect(),
        }
    }

    /// Nothing is remembered of the group.
    pub(super) fn is_forgotten(&self) -> bool {
        self.stored.is_none()
            && self.consumer.is_none()
            && self.offsets.is_empty()
            && self.pending_offsets.is_empty()
    }

    /// Nobody is in it or about to be.
    pub(super) fn is_vacant(&self) -> bool {
        self.phase == Phase::Empty
            && self.members.is_empty()
            && self.pending.is_empty()
            && self.consumer.as_ref().is_none_or(|consumer| consumer.is_empty())
    }

    /// Kafka's name of its state.
    pub(super) fn state_name(&self) -> &'static str {
        self.consumer.as_ref().map_or(self.phase.name(), |consumer| consumer.state())
    }

    /// The invariants, after every event.
    pub(super) fn check(&self) {
        let in_phase = |ok: bool, what: &str| assert!(ok, "{what}: {self:?}");
        if let Some(consumer) = &self.consumer {
            consumer.check();
            in_phase(self.members.is_empty() && self.pending.is_empty(), "a group is of one protocol");
            in_phase(self.phase == Phase::Empty && self.stored.is_none(), "a group is of one protocol");
        }
        in_phase((self.phase == Phase::Empty) <= self.members.is_empty(), "an empty group has no members");
        if matches!(self.phase, Phase::Stable | Phase::Completing) {
            in_phase(!self.members.is_empty(), "a generation has members");
            in_phase(
                self.leader.as_ref().is_some_and(|l| self.members.contains_key(l)),
                "the leader is a member",
            );
            in_phase(self.members.values().all(|m| m.joining.is_none()), "nobody waits for a join");
        }
        if self.phase != Phase::Completing {
            in_phase(self.members.values().all(|m| m.syncing.is_none()), "nobody waits for a sync");
        }
        if matches!(self.phase, Phase::Preparing { .. } | Phase::Completing) {
            in_phase(self.phase_timer.is_some(), "a rebalance ends by time");
        }
        if self.phase == Phase::Stable || (self.phase == Phase::Empty && self.stored.is_some()) {
            in_phase(self.stored.as_ref() == Some(&self.to_store()), "what lives is what is remembered");
        }
        for (instance, member) in &self.statics {
            let named = self.members.get(member).and_then(|m| m.instance_id.as_ref());
            in_phase(named == Some(instance), "a static id names its member");
        }
    }

    pub(super) fn enter(&mut self, phase: Phase, step: &Step<'_>) {
        tracing::debug!(group = %self.id, generation = self.generation, from = self.phase.name(), to = phase.name());
        self.phase = phase;
        self.state_timestamp_ms = step.now.wall_ms;
    }

    pub(super) fn set_phase_timer(&mut self, after: Duration, step: &mut Step<'_>) {
        self.stop_phase_timer(step);
        let at = step.now.mono + after;
        step.timers.set(at, Timer::Phase(self.id.clone()));
        self.phase_timer = Some(at);
    }

    pub(super) fn stop_phase_timer(&mut self, step: &mut Step<'_>) {
        if let Some(at) = self.phase_timer.take() {
            step.timers.cancel(at, Timer::Phase(self.id.clone()));
        }
    }

    /// How long a rebalance waits: as long as its most patient member.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        let ms = self.members.values().map(|m| m.rebalance_timeout_ms).max().unwrap_or(0);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    /// Calls all members to join; answers those that wait for an assignment of the generation that ends here.
    pub(super) fn prepare_rebalance(&mut self, reason: &str, step: &mut Step<'_>) {
        tracing::info!(group = %self.id, generation = self.generation, reason, "the group rebalances");
        for member in self.members.values_mut() {
            if let Some(id) = member.syncing.take() {
                step.answer(id, Reply::Sync(Err(GroupError::RebalanceInProgress)));
            }
        }
        let timeout = self.rebalance_timeout();
        if self.phase == Phase::Empty {
            let delay = step.config.initial_rebalance_delay;
            let wait = InitialWait { remaining: timeout.saturating_sub(delay), member_came: false };
            self.enter(Phase::Preparing { initial: Some(wait) }, step);
            self.set_phase_timer(delay, step);
        } else {
            self.enter(Phase::Preparing { initial: None }, step);
            self.set_phase_timer(timeout, step);
            self.maybe_complete_join(step);
        }
    }

    /// Goes on as soon as everybody has joined; the first rebalance goes by time alone.
    pub(super) fn maybe_complete_join(&mut self, step: &mut Step<'_>) {
        let all_joined = self.pending.is_empty() && self.members.values().all(|m| m.joining.is_some());
        if self.phase == (Phase::Preparing { initial: None }) && all_joined {
            self.complete_join(step);
        }
    }

    pub(super) fn on_phase_timer(&mut self, at: MonoTime, step: &mut Step<'_>) {
        if self.phase_timer != Some(at) {
            return;
        }
        self.phase_timer = None;
        match self.phase {
            Phase::Preparing { initial: Some(wait) } if wait.member_came && !wait.remaining.is_zero() => {
                let delay = step.config.initial_rebalance_delay.min(wait.remaining);
                let wait =
                    InitialWait { remaining: wait.remaining.saturating_sub(delay), member_came: false };
                self.phase = Phase::Preparing { initial: Some(wait) };
                self.set_phase_timer(delay, step);
            }
            Phase::Preparing { .. } => self.complete_join(step),
            Phase::Completing | Phase::Stable => self.expire_unsynced(step),
            Phase::Empty => {}
        }
    }

    /// Closes the join phase: those who did not come are out (static ones stay until their session ends), the
    /// others are the next generation.
    fn complete_join(&mut self, step: &mut Step<'_>) {
        self.stop_phase_timer(step);
        let missing: Vec<String> = self
            .members
            .values()
            .filter(|m| m.joining.is_none() && m.instance_id.is_none())
            .map(|m| m.id.clone())
            .collect();
        for member in missing {
            tracing::info!(group = %self.id, member, "did not rejoin in time");
            self.take_out(&member, step);
        }
        let leader_came =
            self.leader.as_ref().and_then(|l| self.members.get(l)).is_some_and(|m| m.joining.is_some());
        if !leader_came {
            let first = self.members.values().find(|m| m.joining.is_some()).map(|m| m.id.clone());
            if first.is_none() && !self.members.is_empty() {
                // Only static members are left, and none came: wait until one does, or their sessions end.
                self.phase = Phase::Preparing { initial: None };
                self.set_phase_timer(self.rebalance_timeout().max(Duration::from_millis(1)), step);
                return;
            }
            self.leader = first;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        if self.members.is_empty() {
            self.protocol = None;
            self.enter(Phase::Empty, step);
            self.persist(step);
            return;
        }
        self.protocol = self.select_protocol();
        self.enter(Phase::Completing, step);
        self.pending_sync.clear();
        self.answer_joins(step);
        self.set_phase_timer(self.rebalance_timeout(), step);
    }

    fn answer_joins(&mut self, step: &mut Step<'_>) {
        let protocol = self.protocol.clone().unwrap_or_default();
        let leader = self.leader.clone().unwrap_or_default();
        let everyone: Vec<_> = self.members.values().map(|m| m.for_leader(&protocol)).collect();
        for member in self.members.values_mut() {
            let Some(waiting) = member.joining.take() else { continue };
            member.is_new = false;
            member.assignment = bytes::Bytes::new();
            let session = member.session_timeout();
            member.keep_alive(&self.id, session, step.now.mono, step.timers);
            self.pending_sync.insert(member.id.clone());
            let joined = Joined {
                member_id: member.id.clone(),
                generation: self.generation,
                protocol_type: self.protocol_type.clone(),
                protocol: self.protocol.clone(),
                leader: leader.clone(),
                members: if member.id == leader { everyone.clone() } else { Vec::new() },
                skip_assignment: false,
            };
            step.answer(waiting, Reply::Join(Ok(joined)));
        }
    }

    /// Members that took the generation but never asked for their assignment are out.
    fn expire_unsynced(&mut self, step: &mut Step<'_>) {
        let silent = std::mem::take(&mut self.pending_sync);
        if silent.is_empty() {
            if self.phase == Phase::Completing {
                // All wait for a leader that is alive and did not bring its assignment.
                self.prepare_rebalance("the leader did not assign in time", step);
            }
            return;
        }
        for member in &silent {
            tracing::info!(group = %self.id, member, "did not sync in time");
            self.take_out(member, step);
        }
        self.prepare_rebalance("members did not sync in time", step);
    }

    pub(super) fn on_session_timer(&mut self, at: MonoTime, member: &str, step: &mut Step<'_>) {
        let Some(m) = self.members.get_mut(member) else { return };
        if m.has_died(&self.id, at, step.now.mono, step.timers) {
            tracing::info!(group = %self.id, member, "the session has ended");
            self.remove_member(member, "a member's session has ended", step);
        }
    }

    /// Removes a member and rebalances, or goes on with the rebalance that only waited for it.
    pub(super) fn remove_member(&mut self, member: &str, reason: &str, step: &mut Step<'_>) {
        self.take_out(member, step);
        match self.phase {
            Phase::Stable | Phase::Completing => self.prepare_rebalance(reason, step),
            Phase::Preparing { .. } => self.maybe_complete_join(step),
            Phase::Empty => {}
        }
    }

    /// Takes a member out of every list, and answers what it still waits for.
    pub(super) fn take_out(&mut self, member: &str, step: &mut Step<'_>) {
        let Some(mut gone) = self.members.remove(member) else { return };
        gone.stop_timer(&self.id, step.timers);
        self.pending_sync.remove(member);
        if let Some(instance) = &gone.instance_id
            && self.statics.get(instance).is_some_and(|m| m == member)
        {
            self.statics.remove(instance);
        }
        if let Some(waiting) = gone.joining {
            step.answer(waiting, Reply::Join(Err(GroupError::UnknownMember)));
        }
        if let Some(id) = gone.syncing {
            step.answer(id, Reply::Sync(Err(GroupError::UnknownMember)));
        }
        if self.leader.as_deref() == Some(member) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    pub(super) fn drop_pending(&mut self, member: &str, step: &mut Step<'_>) -> bool {
        let Some(at) = self.pending.remove(member) else { return false };
        step.timers.cancel(at, Timer::Pending(self.id.clone(), member.to_owned()));
        true
    }

    /// Writes the generation down. Returns what an answer must wait for.
    pub(super) fn persist(&mut self, step: &mut Step<'_>) -> u64 {
        let record = Record::Group { group: self.id.clone(), value: Some(self.to_store()) };
        step.write(self, record)
    }

    /// Each member votes for the first of its protocols that all support; ties go to the protocol in use, then by
    /// name.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let choice =
                member.protocols.iter().map(|(name, _)| name.as_str()).find(|name| self.all_support(name));
            if let Some(name) = choice {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().max().copied()?;
        let in_use = self.protocol.as_deref().filter(|p| votes.get(p) == Some(&most));
        let first = votes.iter().find(|(_, count)| **count == most).map(|(name, _)| *name);
        in_use.or(first).map(str::to_owned)
    }

    pub(super) fn all_support(&self, protocol: &str) -> bool {
        self.members.values().all(|m| m.supports(protocol))
    }
}
