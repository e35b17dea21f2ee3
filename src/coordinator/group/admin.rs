//! DescribeGroups, ListGroups, DeleteGroups and OffsetDelete.

use super::request::{
    Answer, CLASSIC, CONSUMER, DeleteOffsets, DeletedOffset, GroupDescription, GroupListing, ListGroups, Now,
    Reply, RequestId,
};
use super::state::{Group, Phase};
use super::{GroupError, GroupShard, Output, Step};
use crate::coordinator::record::{GroupId, Record};
use crate::types::TopicName;

impl GroupShard {
    pub(super) fn describe(&mut self, id: RequestId, group: &GroupId, out: &mut Output) {
        let result = match self.groups.get(group) {
            Some(group) if group.consumer.is_some() => Err(GroupError::OtherProtocol),
            Some(group) => Ok(group.describe()),
            None => Err(GroupError::GroupNotFound),
        };
        out.answers.push(Answer { id, after: 0, reply: Reply::Describe(result) });
    }

    pub(super) fn list(&mut self, id: RequestId, filter: &ListGroups, out: &mut Output) {
        let passes = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|n| n.eq_ignore_ascii_case(name))
        };
        let listings = self
            .groups
            .values()
            .filter(|group| passes(&filter.types, group.kind()))
            .filter(|group| passes(&filter.states, group.state_name()))
            .map(|group| GroupListing {
                group: group.id.clone(),
                protocol_type: match group.kind() {
                    CONSUMER => "consumer".to_owned(),
                    _ => group.protocol_type.clone().unwrap_or_default(),
                },
                state: group.state_name(),
                kind: group.kind(),
            })
            .collect();
        out.answers.push(Answer { id, after: 0, reply: Reply::List(Ok(listings)) });
    }

    pub(super) fn delete(&mut self, id: RequestId, group: &GroupId, now: Now, out: &mut Output) {
        let mut result = Err(GroupError::GroupNotFound);
        self.with(group, now, out, |group, step| {
            let Some(group) = group else { return };
            result = if group.is_vacant() {
                group.forget_everything(step);
                if group.stored.is_some() || group.consumer.is_some() {
                    group.forget_group(step);
                }
                Ok(())
            } else {
                Err(GroupError::GroupNotEmpty)
            };
        });
        let after = if result.is_ok() { self.decided } else { 0 };
        out.answers.push(Answer { id, after, reply: Reply::Delete(result) });
    }

    pub(super) fn delete_offsets(
        &mut self,
        id: RequestId,
        request: &DeleteOffsets,
        now: Now,
        out: &mut Output,
    ) {
        let mut result = Err(GroupError::GroupNotFound);
        self.with(&request.group, now, out, |group, step| {
            if let Some(group) = group {
                result = group.delete_offsets(&request.partitions, step);
            }
        });
        let after = if result.is_ok() { self.decided } else { 0 };
        out.answers.push(Answer { id, after, reply: Reply::DeleteOffsets(result) });
    }
}

impl Group {
    fn kind(&self) -> &'static str {
        if self.consumer.is_some() { CONSUMER } else { CLASSIC }
    }

    /// Only what no member is subscribed to; groups that are not of consumers must be empty.
    fn delete_offsets(
        &mut self,
        partitions: &[(TopicName, i32)],
        step: &mut Step<'_>,
    ) -> Result<Vec<DeletedOffset>, GroupError> {
        if !self.is_vacant() && !self.is_of_consumers() {
            return Err(GroupError::GroupNotEmpty);
        }
        let subscriptions = self.subscriptions();
        let mut results = Vec::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            if subscriptions.has(topic) {
                results.push(Err(GroupError::SubscribedToTopic));
                continue;
            }
            let committed = self.offsets.get(topic).is_some_and(|p| p.contains_key(partition));
            if committed || self.has_pending_offset(topic, *partition) {
                self.forget_offset(topic.clone(), *partition, step);
            }
            results.push(Ok(()));
        }
        Ok(results)
    }

    /// All offsets, also those of open transactions: the group is deleted.
    fn forget_everything(&mut self, step: &mut Step<'_>) {
        let committed = self.offsets.iter().flat_map(|(t, p)| p.keys().map(move |p| (t.clone(), *p)));
        let pending = self.pending_offsets.keys().cloned();
        let places: std::collections::BTreeSet<_> = committed.chain(pending).collect();
        for (topic, partition) in places {
            self.forget_offset(topic, partition, step);
        }
    }

    fn forget_offset(&mut self, topic: TopicName, partition: i32, step: &mut Step<'_>) {
        let record = Record::Offset { group: self.id.clone(), topic, partition, value: None };
        step.write(self, record);
    }

    fn describe(&self) -> GroupDescription {
        let protocol = self.protocol.as_deref().filter(|_| self.phase == Phase::Stable);
        GroupDescription {
            state: self.phase.name(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: self.members.values().map(|m| m.describe(protocol)).collect(),
        }
    }
}
