//! A group of the consumer protocol (KIP-848): the coordinator assigns, and members follow at their own pace.
//!
//! ```text
//!   group epoch ──────────► target epoch ──────────► each member's epoch
//!   members, subscriptions  who shall have what      what it has, and may have
//!   and topics as they are  (an assignor's work)     (given back first, then given out)
//! ```
//!
//! The group epoch goes up when anything changes that an assignment depends on; the next heartbeat makes a target for it,
//! unless the last one is younger than the assignment interval (KIP-1263): many changes then make one target. Each member's
//! own heartbeats take it there. Invariants:
//!
//! - a partition is given to a member only when nobody has it or still has to give it back;
//! - a member's epoch never goes back, and never above the target's;
//! - all of it is remembered: only timers, and which topics were looked at last, start anew after a failover.
//!
//! Members that speak the classic protocol live in such a group too (`classic`), and groups change over both ways
//! (`convert`).

mod assignors;
mod classic;
mod convert;
mod describe;
mod embedded;
mod heartbeat;
mod pattern;
mod reconcile;
mod refresh;

#[cfg(test)]
mod interval_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use assignors::Assignor;
pub use describe::{ConsumerDescription, ConsumerMemberDescription, DescribeConsumerGroup, NamedPartitions};
pub use heartbeat::{ConsumerHeartbeat, ConsumerHeartbeatReply};
pub use pattern::{InvalidPattern, Pattern, ResolvePatterns, ResolvedPatterns};

use super::timers::{Timer, Timers};
use super::{GroupError, Step};
use crate::coordinator::config::GroupConfig;
use crate::coordinator::consumer_record::{
    ConsumerMemberMetadata, ConsumerRecord, CurrentAssignment, GroupEpoch, Partitions, ResolvedRegex,
    TargetEpoch,
};
use crate::coordinator::record::GroupId;
use crate::env::MonoTime;
use crate::types::TopicId;

/// The epoch of a static member that is away for a while.
pub(super) const AWAY: i32 = -2;

/// The epoch that a member names to leave.
pub(super) const LEAVE: i32 = -1;

/// All that is remembered of a group: changes in `replay` alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) group: GroupEpoch,
    pub(super) target: TargetEpoch,
    pub(super) members: BTreeMap<String, ConsumerMember>,
    pub(super) regexes: BTreeMap<String, ResolvedRegex>,
}

/// What is remembered of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ConsumerMember {
    pub(super) metadata: ConsumerMemberMetadata,
    pub(super) current: CurrentAssignment,
    pub(super) target: Partitions,
}

/// What a group waits for of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// A sign of life.
    Session,
    /// That it gives partitions back.
    Revocation,
    /// That a member of the classic protocol joins again.
    Join,
    /// That a member of the classic protocol asks for its assignment.
    Sync,
}

/// One group.
#[derive(Debug, Default)]
pub(super) struct ConsumerGroup {
    pub(super) memory: Memory,
    /// Member ids by static id; follows from the memory.
    statics: BTreeMap<String, String>,

    // Soft.
    alarms: BTreeMap<(String, Alarm), MonoTime>,
    /// The version of the topics that the memory was last compared with; 0 for none.
    seen_topics: u64,
    patterns: pattern::Progress,
    /// The group's own `consumer.assignment.interval.ms`, as the last heartbeat brought it.
    assignment_interval: Option<Duration>,
}

impl ConsumerGroup {
    /// The only place where what is remembered changes. The group's own tombstone ends it elsewhere.
    pub(super) fn replay(&mut self, record: &ConsumerRecord) {
        let memory = &mut self.memory;
        match record {
            ConsumerRecord::Epoch(epoch) => memory.group = epoch.unwrap_or_default(),
            ConsumerRecord::TargetEpoch(epoch) => memory.target = epoch.unwrap_or_default(),
            ConsumerRecord::Member(id, Some(metadata)) => {
                let member = memory.members.entry(id.clone()).or_default();
                if let Some(former) = &member.metadata.instance_id
                    && self.statics.get(former) == Some(id)
                {
                    self.statics.remove(former);
                }
                if let Some(instance) = &metadata.instance_id {
                    self.statics.insert(instance.clone(), id.clone());
                }
                member.metadata.clone_from(metadata);
            }
            ConsumerRecord::Member(id, None) => {
                if let Some(member) = memory.members.remove(id)
                    && let Some(instance) = member.metadata.instance_id
                    && self.statics.get(&instance) == Some(id)
                {
                    self.statics.remove(&instance);
                }
            }
            ConsumerRecord::Target(id, Some(target)) => {
                memory.members.entry(id.clone()).or_default().target.clone_from(target);
            }
            ConsumerRecord::Current(id, Some(current)) => {
                memory.members.entry(id.clone()).or_default().current.clone_from(current);
            }
            ConsumerRecord::Target(id, None) => {
                if let Some(member) = memory.members.get_mut(id) {
                    member.target.clear();
                }
            }
            ConsumerRecord::Current(id, None) => {
                if let Some(member) = memory.members.get_mut(id) {
                    member.current = CurrentAssignment::default();
                }
            }
            ConsumerRecord::Regex(regex, Some(resolved)) => {
                memory.regexes.insert(regex.clone(), resolved.clone());
            }
            ConsumerRecord::Regex(regex, None) => {
                memory.regexes.remove(regex);
            }
        }
    }

    /// After the replay: each member gets a fresh session, and a fresh time to give partitions back.
    pub(super) fn restore(&mut self, id: &GroupId, step: &mut Step<'_>) {
        let members: Vec<(String, Duration, Option<Duration>)> = self
            .memory
            .members
            .iter()
            .map(|(member, m)| {
                let revoking = m.current.state == crate::coordinator::consumer_record::MemberState::Unrevoked;
                (member.clone(), m.session_timeout(step.config), revoking.then(|| m.rebalance_timeout()))
            })
            .collect();
        for (member, session, revocation) in members {
            self.set_alarm(id, &member, Alarm::Session, session, step);
            if let Some(timeout) = revocation {
                self.set_alarm(id, &member, Alarm::Revocation, timeout, step);
            }
        }
    }

    /// Nobody is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.memory.members.is_empty()
    }

    /// Kafka's name of the group's state.
    pub(super) fn state(&self) -> &'static str {
        let memory = &self.memory;
        let target = memory.target.epoch;
        if memory.members.is_empty() {
            "Empty"
        } else if memory.group.epoch > target {
            "Assigning"
        } else if memory.members.values().all(|m| m.current.is_settled(target)) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// The invariants, after every event.
    pub(super) fn check(&self) {
        let holds = |ok: bool, what: &str| assert!(ok, "{what}: {self:#?}");
        let memory = &self.memory;
        holds(memory.target.epoch <= memory.group.epoch, "a target is made for an epoch that was");
        let mut held = BTreeSet::new();
        for (id, member) in &memory.members {
            let current = &member.current;
            holds(current.epoch <= memory.target.epoch.max(0), "a member is not ahead of the target");
            for (topic, partition) in current.held() {
                holds(held.insert((topic, partition)), "a partition has one holder");
            }
            if current.is_settled(memory.target.epoch) && current.epoch > 0 {
                holds(current.has(&member.target), "a settled member has its target");
            }
            holds(self.alarms.contains_key(&(id.clone(), Alarm::Session)), "a member's session ends by time");
            let revokes = self.alarms.contains_key(&(id.clone(), Alarm::Revocation));
            let must = !current.revoking.is_empty() && current.epoch != AWAY;
            holds(revokes >= must, "a revocation ends by time");
        }
        let named: BTreeMap<String, String> = memory
            .members
            .iter()
            .filter_map(|(id, m)| m.metadata.instance_id.clone().map(|instance| (instance, id.clone())))
            .collect();
        holds(named == self.statics, "static ids name their members");
        holds(
            self.alarms.keys().all(|(member, _)| memory.members.contains_key(member)),
            "nothing is awaited of those who are gone",
        );
        let used: BTreeSet<&String> =
            memory.members.values().filter_map(|m| m.metadata.regex.as_ref()).collect();
        holds(memory.regexes.keys().all(|r| used.contains(r)), "regular expressions are somebody's");
    }

    /// The member of a static id.
    pub(super) fn static_member(&self, instance: &str) -> Option<&String> {
        self.statics.get(instance)
    }

    /// All topics that members are subscribed to.
    pub(super) fn subscribed_topics(&self) -> BTreeSet<&str> {
        self.memory.members.values().flat_map(|m| self.memory.topics_of(m)).collect()
    }

    pub(super) fn set_alarm(
        &mut self,
        group: &GroupId,
        member: &str,
        alarm: Alarm,
        after: Duration,
        step: &mut Step<'_>,
    ) {
        self.stop_alarm(group, member, alarm, step.timers);
        let at = step.now.mono + after;
        step.timers.set(at, Timer::Consumer(group.clone(), member.to_owned(), alarm));
        self.alarms.insert((member.to_owned(), alarm), at);
    }

    /// Sets it unless it is set.
    pub(super) fn keep_alarm(
        &mut self,
        group: &GroupId,
        member: &str,
        alarm: Alarm,
        after: Duration,
        step: &mut Step<'_>,
    ) {
        if !self.alarms.contains_key(&(member.to_owned(), alarm)) {
            self.set_alarm(group, member, alarm, after, step);
        }
    }

    pub(super) fn stop_alarm(&mut self, group: &GroupId, member: &str, alarm: Alarm, timers: &mut Timers) {
        if let Some(at) = self.alarms.remove(&(member.to_owned(), alarm)) {
            timers.cancel(at, Timer::Consumer(group.clone(), member.to_owned(), alarm));
        }
    }

    fn stop_alarms(&mut self, group: &GroupId, member: &str, timers: &mut Timers) {
        for alarm in [Alarm::Session, Alarm::Revocation, Alarm::Join, Alarm::Sync] {
            self.stop_alarm(group, member, alarm, timers);
        }
    }

    pub(super) fn stop_all_alarms(&mut self, group: &GroupId, timers: &mut Timers) {
        for ((member, alarm), at) in std::mem::take(&mut self.alarms) {
            timers.cancel(at, Timer::Consumer(group.clone(), member, alarm));
        }
    }

    /// Whether an alarm that rang was the one that is set.
    fn rang(&mut self, member: &str, alarm: Alarm, at: MonoTime) -> bool {
        let key = (member.to_owned(), alarm);
        let is_set = self.alarms.get(&key) == Some(&at);
        if is_set {
            self.alarms.remove(&key);
        }
        is_set
    }

    /// Who may commit: the epoch must be the member's own, or one at which it already had each of the partitions
    /// (KIP-1251).
    pub(super) fn validate_commit(
        &self,
        member: &str,
        epoch: i32,
        places: impl Iterator<Item = (TopicId, i32)>,
    ) -> Result<(), GroupError> {
        if epoch < 0 && self.is_empty() {
            return Ok(());
        }
        let member = self.memory.members.get(member).ok_or(GroupError::UnknownMember)?;
        if epoch == member.current.epoch {
            return Ok(());
        }
        if member.metadata.classic.is_some() {
            return Err(GroupError::IllegalGeneration);
        }
        let current = &member.current;
        let had = |(topic, partition): (TopicId, i32)| {
            [&current.assigned, &current.revoking].iter().any(|owned| {
                owned.get(&topic).and_then(|p| p.get(&partition)).is_some_and(|since| *since <= epoch)
            })
        };
        let mut places = places.peekable();
        let known = (0..current.epoch).contains(&epoch) && places.peek().is_some() && places.all(had);
        if known { Ok(()) } else { Err(GroupError::StaleMemberEpoch) }
    }

    /// Whether a member speaks the consumer protocol itself.
    pub(super) fn is_of_the_protocol(&self, member: &str) -> bool {
        self.memory.members.get(member).is_some_and(|m| m.metadata.classic.is_none())
    }

    /// Who may ask for offsets; those who do not say who they are may.
    pub(super) fn validate_fetch(&self, member: Option<&str>, epoch: i32) -> Result<(), GroupError> {
        let Some(member) = member else {
            return if epoch < 0 { Ok(()) } else { Err(GroupError::UnknownMember) };
        };
        let member = self.memory.members.get(member).ok_or(GroupError::UnknownMember)?;
        match (epoch == member.current.epoch, member.metadata.classic.is_some()) {
            (true, _) => Ok(()),
            (false, true) => Err(GroupError::IllegalGeneration),
            (false, false) => Err(GroupError::StaleMemberEpoch),
        }
    }
}

impl Memory {
    /// Whether a member of a static id, or of this id, is away or speaks the classic protocol is for others to look at;
    /// this is what it is subscribed to, by names and by its regular expression.
    pub(super) fn topics_of<'a>(&'a self, member: &'a ConsumerMember) -> impl Iterator<Item = &'a str> {
        let by_regex = member.metadata.regex.as_ref().and_then(|r| self.regexes.get(r));
        let by_regex = by_regex.into_iter().flat_map(|r| &r.topics);
        member.metadata.topics.iter().chain(by_regex).map(String::as_str)
    }
}

impl ConsumerMember {
    pub(super) fn session_timeout(&self, config: &GroupConfig) -> Duration {
        match &self.metadata.classic {
            Some(classic) => millis(classic.session_timeout_ms),
            None => config.consumer_session_timeout,
        }
    }

    pub(super) fn rebalance_timeout(&self) -> Duration {
        millis(self.metadata.rebalance_timeout_ms)
    }
}

pub(super) fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
