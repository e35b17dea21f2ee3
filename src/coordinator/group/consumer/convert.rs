//! Groups that change over while they live (`group.consumer.migration.policy`): to the consumer protocol when the first
//! member of it joins a group of the classic one, and back when the last of its members has gone.
//!
//! The offsets stay, generation and epoch go on counting, and members keep what they have until they are told.

use std::collections::{BTreeMap, BTreeSet};

use super::super::member::Member;
use super::super::request::Reply;
use super::super::state::{Group, Phase};
use super::super::{GroupError, Step};
use super::classic::{assignment_of, session_of};
use super::{Alarm, ConsumerMember, embedded};
use crate::coordinator::consumer_record::{
    ClassicProtocols, ConsumerMemberMetadata, ConsumerRecord, CurrentAssignment, GroupEpoch, MemberState,
    Owned, Partitions, TargetEpoch,
};
use crate::coordinator::record::{MemberMetadata, Record};
use crate::types::TopicId;

impl Group {
    /// From the classic protocol, with all its members.
    pub(super) fn upgrade(&mut self, step: &mut Step<'_>) -> Result<(), GroupError> {
        let may = step.config.migration.upgrades
            && self.is_of_consumers()
            && self.members.len() <= step.config.consumer_max_size;
        if !may {
            return Err(GroupError::OtherProtocol);
        }
        let members = self.as_consumer_members(step)?;
        let epoch = self.generation;
        tracing::info!(group = %self.id, epoch, members = members.len(), "the group moves to the consumer protocol");
        for member in self.members.values_mut() {
            if let Some(id) = member.joining.take() {
                step.answer(id, Reply::Join(Err(GroupError::RebalanceInProgress)));
            }
            if let Some(id) = member.syncing.take() {
                step.answer(id, Reply::Sync(Err(GroupError::RebalanceInProgress)));
            }
            member.stop_timer(&self.id, step.timers);
        }
        for pending in self.pending.keys().cloned().collect::<Vec<_>>() {
            self.drop_pending(&pending, step);
        }
        self.stop_phase_timer(step);
        self.members.clear();
        self.statics.clear();
        self.pending_sync.clear();
        (self.leader, self.protocol, self.protocol_type, self.generation) = (None, None, None, 0);
        self.enter(Phase::Empty, step);
        if self.stored.is_some() {
            step.write(self, Record::Group { group: self.id.clone(), value: None });
        }
        for (id, member) in &members {
            self.write_part(ConsumerRecord::Member(id.clone(), Some(member.metadata.clone())), step);
        }
        // No hash: the join that brought this about looks at the topics.
        self.write_part(ConsumerRecord::Epoch(Some(GroupEpoch { epoch, metadata_hash: 0 })), step);
        for (id, member) in &members {
            self.write_part(ConsumerRecord::Target(id.clone(), Some(member.target.clone())), step);
        }
        // No time: it was not made here, and the first one that is does not wait for its interval.
        let target = TargetEpoch { epoch, timestamp_ms: 0 };
        self.write_part(ConsumerRecord::TargetEpoch(Some(target)), step);
        let group = self.id.clone();
        for (id, member) in members {
            let session = member.session_timeout(step.config);
            self.write_part(ConsumerRecord::Current(id.clone(), Some(member.current)), step);
            self.shell().set_alarm(&group, &id, Alarm::Session, session, step);
        }
        Ok(())
    }

    /// The members with what they have; refused when what one of them says of itself cannot be read.
    fn as_consumer_members(&self, step: &Step<'_>) -> Result<Vec<(String, ConsumerMember)>, GroupError> {
        let mut given: BTreeSet<(TopicId, i32)> = BTreeSet::new();
        let mut members = Vec::with_capacity(self.members.len());
        for member in self.members.values() {
            let chosen = self.protocol.as_deref().filter(|p| member.supports(p));
            let chosen = chosen.or(member.protocols.first().map(|(name, _)| name.as_str()));
            let metadata = chosen.map(|p| member.metadata(p)).unwrap_or_default();
            let subscription =
                embedded::subscription(&metadata, step.topics).ok_or(GroupError::OtherProtocol)?;
            let assigned =
                embedded::assignment(&member.assignment, step.topics).ok_or(GroupError::OtherProtocol)?;
            // Classic assignors may give a partition twice; here it has one holder.
            let mut owned = Owned::new();
            for (topic, partitions) in assigned {
                let first = partitions.into_iter().filter(|p| given.insert((topic, *p)));
                let first: BTreeMap<i32, i32> = first.map(|p| (p, self.generation)).collect();
                if !first.is_empty() {
                    owned.insert(topic, first);
                }
            }
            let target: Partitions = owned.iter().map(|(t, p)| (*t, p.keys().copied().collect())).collect();
            let metadata = ConsumerMemberMetadata {
                instance_id: member.instance_id.clone(),
                rack_id: subscription.rack_id,
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                topics: subscription.topics,
                regex: None,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                assignor: None,
                classic: Some(ClassicProtocols {
                    session_timeout_ms: member.session_timeout_ms,
                    protocols: member.protocols.clone(),
                }),
            };
            let current = CurrentAssignment {
                epoch: self.generation,
                previous_epoch: self.generation,
                state: MemberState::Stable,
                assigned: owned,
                revoking: Owned::new(),
            };
            members.push((member.id.clone(), ConsumerMember { metadata, current, target }));
        }
        Ok(members)
    }

    /// Whether the group goes back to the classic protocol once a member is gone.
    pub(super) fn downgrades_without(&mut self, member: &str, step: &Step<'_>) -> bool {
        let members = &self.shell().memory.members;
        let mut others = members.iter().filter(|(id, _)| *id != member);
        step.config.migration.downgrades
            && members.len() > 1
            && members.len() - 1 <= step.config.max_group_size
            && members.get(member).is_some_and(|m| m.metadata.classic.is_none())
            && others.all(|(_, m)| m.metadata.classic.is_some())
            && self.fits_as_classic(step)
    }

    /// Whether the group may be of the classic protocol as it is.
    pub(super) fn all_are_classic(&mut self, step: &Step<'_>) -> bool {
        let members = &self.shell().memory.members;
        step.config.migration.downgrades
            && members.len() <= step.config.max_group_size
            && members.values().all(|m| m.metadata.classic.is_some())
            && self.fits_as_classic(step)
    }

    /// All members of a classic group stand in one record.
    fn fits_as_classic(&mut self, step: &Step<'_>) -> bool {
        let bytes = |m: &ConsumerMember| {
            let protocols = m.metadata.classic.iter().flat_map(|c| &c.protocols);
            512 + protocols.map(|(_, metadata)| metadata.len()).max().unwrap_or(0)
                + assignment_of(m, step).len()
        };
        let all: usize = self.shell().memory.members.values().map(bytes).sum();
        all < step.config.max_batch_bytes / 2
    }

    /// To the classic protocol, with all members but the one that left; then they rebalance.
    pub(super) fn downgrade(&mut self, left: Option<&str>, step: &mut Step<'_>) {
        let consumer = self.shell();
        let epoch = consumer.memory.group.epoch;
        let members: Vec<(String, ConsumerMember)> = consumer
            .memory
            .members
            .iter()
            .filter(|(id, _)| Some(id.as_str()) != left)
            .map(|(id, member)| (id.clone(), member.clone()))
            .collect();
        tracing::info!(group = %self.id, generation = epoch, "the group goes back to the classic protocol");
        let id = self.id.clone();
        self.shell().stop_all_alarms(&id, step.timers);
        self.forget_consumer_group(step);

        self.generation = epoch;
        self.protocol_type = Some("consumer".to_owned());
        self.leader = members.first().map(|(id, _)| id.clone());
        for (member_id, member) in members {
            let Some(classic) = &member.metadata.classic else { continue };
            let stored = MemberMetadata {
                member_id: member_id.clone(),
                instance_id: member.metadata.instance_id.clone(),
                client_id: member.metadata.client_id.clone(),
                client_host: member.metadata.client_host.clone(),
                rebalance_timeout_ms: member.metadata.rebalance_timeout_ms,
                session_timeout_ms: classic.session_timeout_ms,
                subscription: bytes::Bytes::new(),
                assignment: assignment_of(&member, step),
            };
            let mut restored = Member::restored(&stored, "");
            restored.protocols.clone_from(&classic.protocols);
            let session = session_of(classic.session_timeout_ms);
            restored.keep_alive(&self.id, session, step.now.mono, step.timers);
            if let Some(instance) = &restored.instance_id {
                self.statics.insert(instance.clone(), member_id.clone());
            }
            self.members.insert(member_id, restored);
        }
        self.protocol = self.select_protocol();
        self.enter(Phase::Stable, step);
        self.persist(step);
        if left.is_some() {
            self.prepare_rebalance("the group went back to the classic protocol", step);
        }
    }
}
