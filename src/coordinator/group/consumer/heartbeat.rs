//! ConsumerGroupHeartbeat: how a member of the consumer protocol joins, lives, gives back and gets partitions, and leaves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::super::join::MAX_NAME_BYTES;
use super::super::request::{Answer, Now, Reply, RequestId};
use super::super::state::{Group, Phase};
use super::super::{GroupError, GroupShard, Output, Step};
use super::{AWAY, Alarm, Assignor, ConsumerGroup, LEAVE, Memory, Pattern};
use crate::coordinator::config::GroupConfig;
use crate::coordinator::consumer_record::{
    ConsumerMemberMetadata, ConsumerRecord, CurrentAssignment, GroupEpoch, Owned, Partitions, TargetEpoch,
};
use crate::coordinator::record::{GroupId, Record};
use crate::coordinator::topics::{TopicCatalog, TopicFilter};

/// A member says that it lives, and what has changed since it last spoke: what is `None` has not.
#[derive(Debug, Clone)]
pub struct ConsumerHeartbeat {
    /// The group.
    pub group: GroupId,
    /// The member's id; only clients of version 0 may leave it empty, when they join.
    pub member_id: String,
    /// The epoch it believes in; 0 joins, −1 leaves, −2 leaves for a while.
    pub epoch: i32,
    /// The static id.
    pub instance_id: Option<String>,
    /// Where it runs.
    pub rack_id: Option<String>,
    /// How long it may take to give partitions back.
    pub rebalance_timeout_ms: Option<i32>,
    /// The client's name for itself.
    pub client_id: String,
    /// The address it came from, in Kafka's form `/10.0.0.1`.
    pub client_host: String,
    /// Topics that it subscribes to.
    pub topics: Option<BTreeSet<String>>,
    /// A regular expression of topics that it subscribes to; empty for none.
    pub regex: Option<String>,
    /// The assignor that it wants.
    pub assignor: Option<String>,
    /// What it has.
    pub owned: Option<Partitions>,
    /// `consumer.session.timeout.ms` of the group, if it has its own.
    pub session_timeout: Option<Duration>,
    /// `consumer.heartbeat.interval.ms` of the group, if it has its own.
    pub heartbeat_interval: Option<Duration>,
    /// `consumer.assignment.interval.ms` of the group, if it has its own.
    pub assignment_interval: Option<Duration>,
    /// The topics that it may be shown.
    pub shows: TopicFilter,
    /// Randomness for a member id; drawn by the runtime.
    pub fresh_id: Uuid,
    /// The topics of the cluster; put in by the runtime.
    pub catalog: Arc<TopicCatalog>,
}

/// Where a member stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerHeartbeatReply {
    /// Its id.
    pub member_id: String,
    /// The epoch to name next.
    pub epoch: i32,
    /// How soon it shall speak again.
    pub heartbeat_interval: Duration,
    /// What it may have, if that has changed.
    pub assignment: Option<Partitions>,
}

/// What can be refused without looking at the group.
fn check(request: &ConsumerHeartbeat, config: &GroupConfig) -> Result<(), GroupError> {
    if request.group.is_empty() {
        return Err(GroupError::InvalidGroupId);
    }
    let names = [&*request.group, &request.member_id, &request.client_id, &request.client_host];
    let optional = [&request.instance_id, &request.rack_id, &request.regex, &request.assignor];
    let names = names.into_iter().chain(optional.into_iter().flatten().map(String::as_str));
    if names.into_iter().any(|name| name.len() > MAX_NAME_BYTES) {
        return Err(GroupError::NameTooLong);
    }
    if let Some(name) = &request.assignor
        && !Assignor::of_name(name).is_some_and(|a| config.assignors.contains(&a))
    {
        return Err(GroupError::UnsupportedAssignor(name.clone()));
    }
    if let Some(regex) = request.regex.as_deref().filter(|r| !r.is_empty()) {
        Pattern::new(regex).map_err(|why| GroupError::InvalidRegex(why.to_string()))?;
    }
    Ok(())
}

impl GroupShard {
    pub(in super::super) fn consumer_heartbeat(
        &mut self,
        id: RequestId,
        request: ConsumerHeartbeat,
        now: Now,
        out: &mut Output,
    ) {
        self.see(&request.catalog);
        let mut refuse =
            |error| out.answers.push(Answer { id, after: 0, reply: Reply::ConsumerHeartbeat(Err(error)) });
        if let Err(error) = check(&request, &self.config) {
            return refuse(error);
        }
        if !self.groups.contains_key(&request.group) {
            if request.epoch != 0 {
                return refuse(GroupError::GroupNotFound);
            }
            if let Err(error) = self.create(&request.group) {
                return refuse(error);
            }
        }
        self.with(&request.group.clone(), now, out, |group, step| {
            let Some(group) = group else { return };
            match group.consumer_heartbeat(request, step) {
                Ok(reply) => step.answer_after(id, group.last_write, Reply::ConsumerHeartbeat(Ok(reply))),
                Err(error) => step.answer(id, Reply::ConsumerHeartbeat(Err(error))),
            }
            group.drop_empty_shell();
        });
    }

    /// The topics as an event shows them.
    pub(in super::super) fn see(&mut self, catalog: &Arc<TopicCatalog>) {
        if catalog.version() > self.topics.version() {
            self.topics = catalog.clone();
        }
    }
}

impl Group {
    /// A refused first member leaves nothing behind.
    pub(in super::super) fn drop_empty_shell(&mut self) {
        if self.consumer.as_ref().is_some_and(|c| c.memory == Memory::default()) {
            self.consumer = None;
        }
    }

    pub(super) fn shell(&mut self) -> &mut ConsumerGroup {
        self.consumer.get_or_insert_default()
    }

    pub(super) fn write_part(&mut self, record: ConsumerRecord, step: &mut Step<'_>) {
        let group = self.id.clone();
        step.write(self, Record::Consumer { group, record });
    }

    fn consumer_heartbeat(
        &mut self,
        request: ConsumerHeartbeat,
        step: &mut Step<'_>,
    ) -> Result<ConsumerHeartbeatReply, GroupError> {
        if request.epoch < 0 {
            return self.consumer_leave(&request, step);
        }
        let joins = request.epoch == 0;
        self.become_consumer(joins, step)?;
        let member_id = match request.member_id.as_str() {
            "" => request.fresh_id.to_string(),
            given => given.to_owned(),
        };
        let consumer = self.shell();
        if consumer.memory.members.len() >= step.config.consumer_max_size
            && !consumer.memory.members.contains_key(&member_id)
        {
            return Err(GroupError::GroupFull);
        }
        let is_new = match &request.instance_id {
            None => self.dynamic_member(&member_id, &request)?,
            Some(instance) => self.member_of_instance(&member_id, instance, joins, &request, step)?,
        };
        let before = self.shell().memory.members.get(&member_id).map(|m| m.current.clone());
        let bump = self.update_member_metadata(&member_id, is_new, &request, step)?;
        let session = request.session_timeout.unwrap_or(step.config.consumer_session_timeout);
        let id = self.id.clone();
        self.shell().assignment_interval = request.assignment_interval;
        self.shell().set_alarm(&id, &member_id, Alarm::Session, session, step);
        for alarm in [Alarm::Join, Alarm::Sync] {
            self.shell().stop_alarm(&id, &member_id, alarm, step.timers);
        }
        self.look_up_patterns(&request.shows, step);
        self.refresh(bump, step)?;
        self.keep_to_subscription(&member_id, step);
        self.reconcile(&member_id, request.owned.as_ref(), step)?;

        let member = self.shell().memory.members.get(&member_id).ok_or(GroupError::UnknownMember)?;
        let is_full = request.rebalance_timeout_ms.is_some()
            && (request.topics.is_some() || request.regex.is_some())
            && request.owned.is_some();
        let changed =
            before.is_none_or(|before| !same_partitions(&before.assigned, &member.current.assigned));
        Ok(ConsumerHeartbeatReply {
            epoch: member.current.epoch,
            heartbeat_interval: request.heartbeat_interval.unwrap_or(step.config.consumer_heartbeat_interval),
            assignment: (joins || is_full || changed).then(|| partitions_of(&member.current.assigned)),
            member_id,
        })
    }

    /// Whether the member is new.
    fn dynamic_member(&mut self, member_id: &str, request: &ConsumerHeartbeat) -> Result<bool, GroupError> {
        match self.shell().memory.members.get(member_id) {
            None if request.epoch == 0 => Ok(true),
            None => Err(GroupError::UnknownMember),
            Some(member) => {
                check_epoch(&member.current, request.epoch, request.owned.as_ref())?;
                Ok(false)
            }
        }
    }

    /// The same for a static member, which may take the place of the one that has its instance id.
    fn member_of_instance(
        &mut self,
        member_id: &str,
        instance: &str,
        joins: bool,
        request: &ConsumerHeartbeat,
        step: &mut Step<'_>,
    ) -> Result<bool, GroupError> {
        let existing = self.shell().static_member(instance).cloned();
        let Some(existing) = existing else {
            return if joins { Ok(true) } else { Err(GroupError::UnknownMember) };
        };
        let member = &self.shell().memory.members[&existing];
        if !joins {
            if existing != member_id {
                return Err(GroupError::FencedInstance);
            }
            check_epoch(&member.current, request.epoch, request.owned.as_ref())?;
            return Ok(false);
        }
        if member.metadata.classic.is_none() && member.current.epoch != AWAY {
            return Err(GroupError::UnreleasedInstance(existing));
        }
        self.replace_member(&existing, member_id, step);
        Ok(false)
    }

    /// A static member comes back, perhaps under another member id: what it had is its own again.
    pub(super) fn replace_member(&mut self, old: &str, new: &str, step: &mut Step<'_>) {
        let Some(member) = self.shell().memory.members.get(old).cloned() else { return };
        self.forget_member(old, step);
        let current = CurrentAssignment { epoch: 0, previous_epoch: 0, ..member.current };
        self.write_part(ConsumerRecord::Member(new.to_owned(), Some(member.metadata)), step);
        self.write_part(ConsumerRecord::Target(new.to_owned(), Some(member.target)), step);
        self.write_part(ConsumerRecord::Current(new.to_owned(), Some(current)), step);
    }

    /// Takes what the heartbeat says of the member; whether an assignment depends on what has changed.
    fn update_member_metadata(
        &mut self,
        member_id: &str,
        is_new: bool,
        request: &ConsumerHeartbeat,
        step: &mut Step<'_>,
    ) -> Result<bool, GroupError> {
        let known = self.shell().memory.members.get(member_id).map(|m| m.metadata.clone());
        let old = known.unwrap_or_default();
        let mut metadata = old.clone();
        let update = |field: &mut Option<String>, value: &Option<String>| {
            if let Some(value) = value {
                *field = Some(value.clone()).filter(|v| !v.is_empty());
            }
        };
        update(&mut metadata.instance_id, &request.instance_id);
        update(&mut metadata.rack_id, &request.rack_id);
        update(&mut metadata.regex, &request.regex);
        update(&mut metadata.assignor, &request.assignor);
        if let Some(topics) = &request.topics {
            metadata.topics.clone_from(topics);
        }
        if let Some(timeout) = request.rebalance_timeout_ms {
            metadata.rebalance_timeout_ms = timeout;
        }
        metadata.client_id.clone_from(&request.client_id);
        metadata.client_host.clone_from(&request.client_host);
        metadata.classic = None;
        self.write_metadata(member_id, is_new, &old, metadata, step)
    }

    /// Writes down what has changed of a member; whether an assignment depends on it.
    pub(super) fn write_metadata(
        &mut self,
        member_id: &str,
        is_new: bool,
        old: &ConsumerMemberMetadata,
        metadata: ConsumerMemberMetadata,
        step: &mut Step<'_>,
    ) -> Result<bool, GroupError> {
        if !is_new && metadata == *old {
            return Ok(false);
        }
        // A regular expression whose topics are not known yet counts once they are.
        let is_known = metadata.regex.as_ref().is_none_or(|r| self.shell().memory.regexes.contains_key(r));
        let other_regex = metadata.regex != old.regex && (old.regex.is_some() || is_known);
        let other_subscription = metadata.topics != old.topics || other_regex;
        let record = ConsumerRecord::Member(member_id.to_owned(), Some(metadata));
        if record.size_bound() + self.id.len() > step.config.max_batch_bytes {
            return Err(GroupError::MetadataTooLarge);
        }
        self.write_part(record, step);
        if is_new && !other_subscription && self.shell().memory.group.epoch == 0 {
            // The group begins with nothing to assign.
            self.write_part(ConsumerRecord::Epoch(Some(GroupEpoch { epoch: 1, metadata_hash: 0 })), step);
            self.write_part(
                ConsumerRecord::TargetEpoch(Some(TargetEpoch { epoch: 1, timestamp_ms: 0 })),
                step,
            );
        }
        Ok(other_subscription)
    }

    fn consumer_leave(
        &mut self,
        request: &ConsumerHeartbeat,
        step: &mut Step<'_>,
    ) -> Result<ConsumerHeartbeatReply, GroupError> {
        let consumer = self.consumer.as_ref().ok_or(GroupError::OtherProtocol)?;
        if let Some(instance) = &request.instance_id {
            let existing = consumer.static_member(instance).ok_or(GroupError::UnknownMember)?;
            if *existing != request.member_id {
                return Err(GroupError::FencedInstance);
            }
        }
        let member = consumer.memory.members.get(&request.member_id).ok_or(GroupError::UnknownMember)?;
        if request.instance_id.is_some() && request.epoch == AWAY {
            let current = CurrentAssignment { epoch: AWAY, revoking: Owned::new(), ..member.current.clone() };
            self.write_part(ConsumerRecord::Current(request.member_id.clone(), Some(current)), step);
            let id = self.id.clone();
            self.shell().stop_alarm(&id, &request.member_id, Alarm::Revocation, step.timers);
        } else {
            self.remove_consumer_member(&request.member_id, "it left", step);
        }
        Ok(ConsumerHeartbeatReply {
            member_id: request.member_id.clone(),
            epoch: if request.instance_id.is_some() { request.epoch } else { LEAVE },
            heartbeat_interval: Duration::ZERO,
            assignment: None,
        })
    }

    /// A group of the consumer protocol, if it is one or may become one.
    fn become_consumer(&mut self, joins: bool, step: &mut Step<'_>) -> Result<(), GroupError> {
        if self.consumer.is_some() {
            return Ok(());
        }
        if !joins {
            return Err(GroupError::OtherProtocol);
        }
        if self.phase == Phase::Empty && self.members.is_empty() {
            for member in self.pending.keys().cloned().collect::<Vec<_>>() {
                self.drop_pending(&member, step);
            }
            if self.stored.is_some() {
                self.forget_group(step);
            }
            return Ok(());
        }
        self.upgrade(step)
    }

    /// An alarm of a member rang.
    pub(in super::super) fn on_consumer_alarm(
        &mut self,
        at: crate::env::MonoTime,
        member: &str,
        alarm: Alarm,
        step: &mut Step<'_>,
    ) {
        let Some(consumer) = &mut self.consumer else { return };
        if !consumer.rang(member, alarm, at) {
            return;
        }
        let reason = match alarm {
            Alarm::Session => "its session has ended",
            Alarm::Revocation => "it did not give partitions back in time",
            Alarm::Join => "it did not join again in time",
            Alarm::Sync => "it did not ask for its assignment in time",
        };
        self.remove_consumer_member(member, reason, step);
    }

    /// A member is gone: others get what it had.
    pub(super) fn remove_consumer_member(&mut self, member: &str, reason: &str, step: &mut Step<'_>) {
        tracing::info!(group = %self.id, member, reason, "a member is out of the group");
        if self.downgrades_without(member, step) {
            return self.downgrade(Some(member), step);
        }
        self.forget_member(member, step);
        self.forget_unused_patterns(step);
        self.bump(step);
    }

    /// Tombstones for all that is remembered of a member.
    pub(super) fn forget_member(&mut self, member: &str, step: &mut Step<'_>) {
        let id = self.id.clone();
        self.shell().stop_alarms(&id, member, step.timers);
        self.write_part(ConsumerRecord::Current(member.to_owned(), None), step);
        self.write_part(ConsumerRecord::Target(member.to_owned(), None), step);
        self.write_part(ConsumerRecord::Member(member.to_owned(), None), step);
    }

    /// Tombstones for all that is remembered of the group; its offsets stay.
    pub(in super::super) fn forget_consumer_group(&mut self, step: &mut Step<'_>) {
        let Some(consumer) = &self.consumer else { return };
        let members: Vec<String> = consumer.memory.members.keys().cloned().collect();
        let regexes: Vec<String> = consumer.memory.regexes.keys().cloned().collect();
        members.iter().for_each(|member| self.forget_member(member, step));
        for regex in regexes {
            self.write_part(ConsumerRecord::Regex(regex, None), step);
        }
        self.write_part(ConsumerRecord::TargetEpoch(None), step);
        self.write_part(ConsumerRecord::Epoch(None), step);
    }
}

/// The epoch must be the member's; the one before will do when the answer with the new one was lost, which shows in
/// that the member has nothing that it was not given.
fn check_epoch(current: &CurrentAssignment, epoch: i32, says: Option<&Partitions>) -> Result<(), GroupError> {
    let lost_answer = epoch < current.epoch
        && epoch == current.previous_epoch
        && says.is_some_and(|says| current.covers(says));
    if epoch == current.epoch || lost_answer { Ok(()) } else { Err(GroupError::FencedMemberEpoch) }
}

fn same_partitions(a: &Owned, b: &Owned) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|((t, p), (u, q))| t == u && p.keys().eq(q.keys()))
}

pub(super) fn partitions_of(owned: &Owned) -> Partitions {
    owned.iter().map(|(topic, partitions)| (*topic, partitions.keys().copied().collect())).collect()
}
