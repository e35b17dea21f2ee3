//! Members of the classic protocol in a group of the consumer protocol, while a group moves from one to the other.
//!
//! Their generation is their member epoch. JoinGroup answers at once with the next step towards the target; SyncGroup
//! gives the assignment of that step; a heartbeat says "rebalance" when the next step can be taken.

use std::time::Duration;

use bytes::Bytes;

use super::super::request::{
    JoinGroup, Joined, LeavingMember, Left, Membership, Reply, RequestId, SyncGroup, Synced,
};
use super::super::state::Group;
use super::super::{GroupError, Step};
use super::heartbeat::partitions_of;
use super::{Alarm, ConsumerMember, embedded, millis};
use crate::coordinator::consumer_record::{ClassicProtocols, MemberState};

impl Group {
    pub(in super::super) fn join_consumer(
        &mut self,
        id: RequestId,
        request: &JoinGroup,
        step: &mut Step<'_>,
    ) {
        match self.try_join_consumer(request, step) {
            Ok(joined) => step.answer_after(id, self.last_write, Reply::Join(Ok(joined))),
            Err(error) => step.answer(id, Reply::Join(Err(error))),
        }
    }

    fn try_join_consumer(&mut self, request: &JoinGroup, step: &mut Step<'_>) -> Result<Joined, GroupError> {
        let is_unknown = request.member_id.is_empty();
        let name = request.instance_id.as_ref().unwrap_or(&request.client_id);
        let member_id =
            if is_unknown { format!("{name}-{}", request.fresh_id) } else { request.member_id.clone() };
        let members = &self.shell().memory.members;
        if members.len() >= step.config.consumer_max_size && !members.contains_key(&member_id) {
            return Err(GroupError::GroupFull);
        }
        if !self.supports(request) {
            return Err(GroupError::InconsistentProtocol);
        }
        if request.id_before_join && is_unknown && request.instance_id.is_none() {
            return Err(GroupError::MemberIdRequired(member_id));
        }
        let (protocol, metadata) = request.protocols.first().ok_or(GroupError::InconsistentProtocol)?;
        let subscription =
            embedded::subscription(metadata, step.topics).ok_or(GroupError::InconsistentProtocol)?;
        let mut took_over = false;
        let is_new = match &request.instance_id {
            None => !self.shell().memory.members.contains_key(&member_id),
            Some(instance) => match self.shell().static_member(instance).cloned() {
                None if is_unknown => true,
                None => return Err(GroupError::UnknownMember),
                Some(existing) if is_unknown => {
                    took_over = self.shell().memory.members[&existing].metadata.classic.is_none();
                    self.replace_member(&existing, &member_id, step);
                    false
                }
                Some(existing) if existing != member_id => return Err(GroupError::FencedInstance),
                Some(_) => false,
            },
        };
        let old = self.shell().memory.members.get(&member_id).map(|m| m.metadata.clone()).unwrap_or_default();
        let mut metadata = old.clone();
        metadata.instance_id.clone_from(&request.instance_id);
        metadata.rack_id = subscription.rack_id;
        metadata.rebalance_timeout_ms = request.rebalance_timeout_ms;
        metadata.topics = subscription.topics;
        metadata.regex = None;
        metadata.assignor = None;
        metadata.client_id.clone_from(&request.client_id);
        metadata.client_host.clone_from(&request.client_host);
        metadata.classic = Some(ClassicProtocols {
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols.clone(),
        });
        let bump = self.write_metadata(&member_id, is_new, &old, metadata, step)?;
        let group = self.id.clone();
        let consumer = self.shell();
        consumer.stop_alarm(&group, &member_id, Alarm::Join, step.timers);
        consumer.set_alarm(&group, &member_id, Alarm::Session, millis(request.session_timeout_ms), step);
        consumer.set_alarm(&group, &member_id, Alarm::Sync, millis(request.rebalance_timeout_ms), step);
        self.forget_unused_patterns(step);
        self.refresh(bump, step)?;
        self.keep_to_subscription(&member_id, step);
        self.reconcile(&member_id, Some(&subscription.owned), step)?;
        let member = self.shell().memory.members.get(&member_id).ok_or(GroupError::UnknownMember)?;
        let joined = Joined {
            generation: member.current.epoch,
            protocol_type: Some("consumer".to_owned()),
            protocol: Some(protocol.clone()),
            leader: String::new(),
            members: Vec::new(),
            skip_assignment: false,
            member_id,
        };
        if took_over && self.all_are_classic(step) {
            self.downgrade(None, step);
        }
        Ok(joined)
    }

    /// Whether the client brings a protocol that all members of the classic protocol have.
    fn supports(&mut self, request: &JoinGroup) -> bool {
        let members = &self.shell().memory.members;
        let others: Vec<&ClassicProtocols> = members
            .iter()
            .filter(|(id, _)| **id != request.member_id)
            .filter_map(|(_, m)| m.metadata.classic.as_ref())
            .collect();
        let common = |name: &str| others.iter().all(|c| c.protocols.iter().any(|(n, _)| n == name));
        request.protocol_type == "consumer" && request.protocols.iter().any(|(name, _)| common(name))
    }

    /// A member of the classic protocol, in its generation.
    fn classic_member(&self, who: &Membership) -> Result<&ConsumerMember, GroupError> {
        let consumer = self.consumer.as_ref().ok_or(GroupError::UnknownMember)?;
        if let Some(instance) = &who.instance_id {
            let existing = consumer.static_member(instance).ok_or(GroupError::UnknownMember)?;
            if *existing != who.member_id {
                return Err(GroupError::FencedInstance);
            }
        }
        let member = consumer.memory.members.get(&who.member_id).ok_or(GroupError::UnknownMember)?;
        if member.metadata.classic.is_none() {
            return Err(GroupError::UnknownMember);
        }
        if member.current.epoch == who.generation { Ok(member) } else { Err(GroupError::IllegalGeneration) }
    }

    pub(in super::super) fn sync_consumer(
        &mut self,
        id: RequestId,
        request: &SyncGroup,
        step: &mut Step<'_>,
    ) {
        let result = self.try_sync_consumer(request, step);
        let after = if result.is_ok() { self.last_write } else { 0 };
        step.answer_after(id, after, Reply::Sync(result));
    }

    fn try_sync_consumer(&mut self, request: &SyncGroup, step: &mut Step<'_>) -> Result<Synced, GroupError> {
        let member = self.classic_member(&request.member)?;
        let classic = member.metadata.classic.as_ref().ok_or(GroupError::UnknownMember)?;
        let (name, metadata) = classic.protocols.first().ok_or(GroupError::InconsistentProtocol)?;
        let differs = |asked: &Option<String>, actual: &str| asked.as_ref().is_some_and(|a| a != actual);
        if differs(&request.protocol_type, "consumer") || differs(&request.protocol, name) {
            return Err(GroupError::InconsistentProtocol);
        }
        let version = embedded::version(metadata).unwrap_or(0);
        let assigned = partitions_of(&member.current.assigned);
        let synced = Synced {
            protocol_type: Some("consumer".to_owned()),
            protocol: Some(name.clone()),
            assignment: embedded::write_assignment(&assigned, version, step.topics),
        };
        let (session, rebalance) = (millis(classic.session_timeout_ms), member.rebalance_timeout());
        // One that is giving partitions back has joined for this already.
        let is_behind = member.current.state != MemberState::Unrevoked;
        let group = self.id.clone();
        let consumer = self.shell();
        let is_behind = is_behind && {
            let current = &consumer.memory.members[&request.member.member_id].current;
            current.epoch < consumer.memory.target.epoch
                || consumer.is_target_due(step.config, step.now.wall_ms)
        };
        if is_behind {
            consumer.keep_alarm(&group, &request.member.member_id, Alarm::Join, rebalance, step);
            return Err(GroupError::RebalanceInProgress);
        }
        consumer.stop_alarm(&group, &request.member.member_id, Alarm::Sync, step.timers);
        consumer.set_alarm(&group, &request.member.member_id, Alarm::Session, session, step);
        Ok(synced)
    }

    pub(in super::super) fn heartbeat_consumer(
        &mut self,
        who: &Membership,
        step: &mut Step<'_>,
    ) -> Result<(), GroupError> {
        let member = self.classic_member(who)?;
        let session = member.session_timeout(step.config);
        let rebalance = member.rebalance_timeout();
        let group = self.id.clone();
        let rejoins = self.has_a_step_for(member, step);
        let consumer = self.shell();
        consumer.set_alarm(&group, &who.member_id, Alarm::Session, session, step);
        if rejoins {
            consumer.keep_alarm(&group, &who.member_id, Alarm::Join, rebalance, step);
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether joining again would take the member further.
    fn has_a_step_for(&self, member: &ConsumerMember, step: &Step<'_>) -> bool {
        let Some(consumer) = &self.consumer else { return false };
        let memory = &consumer.memory;
        let current = &member.current;
        let is_behind = current.epoch < memory.target.epoch;
        let is_due = consumer.is_target_due(step.config, step.now.wall_ms);
        if is_behind || is_due || current.state == MemberState::Unrevoked {
            return true;
        }
        current.state == MemberState::Unreleased && {
            let held = memory.held();
            let mut missing = member.target.iter().flat_map(|(topic, partitions)| {
                let own = current.assigned.get(topic);
                let missing = partitions.iter().filter(move |p| !own.is_some_and(|own| own.contains_key(p)));
                missing.map(move |p| (*topic, *p))
            });
            missing.any(|place| !held.contains(&place))
        }
    }

    pub(in super::super) fn leave_consumer(
        &mut self,
        id: RequestId,
        leaving: Vec<LeavingMember>,
        step: &mut Step<'_>,
    ) {
        let mut left = Vec::with_capacity(leaving.len());
        let mut somebody = false;
        for member in leaving {
            let result = self.leaving_classic_member(&member).map(|gone| self.forget_member(&gone, step));
            somebody |= result.is_ok();
            left.push(Left { member_id: member.member_id, instance_id: member.instance_id, result });
        }
        if somebody {
            self.bump(step);
        }
        step.answer_after(id, self.last_write, Reply::Leave(Ok(left)));
    }

    fn leaving_classic_member(&mut self, leaving: &LeavingMember) -> Result<String, GroupError> {
        let consumer = self.shell();
        let id = match &leaving.instance_id {
            Some(instance) => {
                let existing = consumer.static_member(instance).ok_or(GroupError::UnknownMember)?;
                if !leaving.member_id.is_empty() && *existing != leaving.member_id {
                    return Err(GroupError::FencedInstance);
                }
                existing.clone()
            }
            None => leaving.member_id.clone(),
        };
        let member = consumer.memory.members.get(&id).ok_or(GroupError::UnknownMember)?;
        if member.metadata.classic.is_some() { Ok(id) } else { Err(GroupError::UnknownMember) }
    }
}

/// All that a member of the classic protocol holds, what it must give back too, as its client reads an assignment: should
/// the group change over again before it rejoins, nobody else is given any of it.
pub(super) fn assignment_of(member: &ConsumerMember, step: &Step<'_>) -> Bytes {
    let first = member.metadata.classic.iter().flat_map(|c| &c.protocols).next();
    let version = first.and_then(|(_, metadata)| embedded::version(metadata)).unwrap_or(0);
    embedded::write_assignment(&member.current.holds(), version, step.topics)
}

/// A session of at least a moment.
pub(super) fn session_of(ms: i32) -> Duration {
    millis(ms).max(Duration::from_millis(1))
}
