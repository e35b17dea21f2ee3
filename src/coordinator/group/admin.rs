//! DescribeGroups, ListGroups and DeleteGroups.

use super::request::{Answer, CLASSIC, GroupDescription, GroupListing, ListGroups, Now, Reply, RequestId};
use super::state::{Group, Phase};
use super::{GroupError, GroupShard, Output};
use crate::coordinator::record::GroupId;

impl GroupShard {
    pub(super) fn describe(&mut self, id: RequestId, group: &GroupId, out: &mut Output) {
        let result = self.groups.get(group).map(Group::describe).ok_or(GroupError::GroupNotFound);
        out.answers.push(Answer { id, after: 0, reply: Reply::Describe(result) });
    }

    pub(super) fn list(&mut self, id: RequestId, filter: &ListGroups, out: &mut Output) {
        let passes = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|n| n.eq_ignore_ascii_case(name))
        };
        let listings = self
            .groups
            .values()
            .filter(|_| passes(&filter.types, CLASSIC))
            .filter(|group| passes(&filter.states, group.phase.name()))
            .map(|group| GroupListing {
                group: group.id.clone(),
                protocol_type: group.protocol_type.clone().unwrap_or_default(),
                state: group.phase.name(),
            })
            .collect();
        out.answers.push(Answer { id, after: 0, reply: Reply::List(Ok(listings)) });
    }

    pub(super) fn delete(&mut self, id: RequestId, group: &GroupId, now: Now, out: &mut Output) {
        let mut result = Err(GroupError::GroupNotFound);
        self.with(group, now, out, |group, step| {
            let Some(group) = group else { return };
            result = if group.is_vacant() {
                group.forget_offsets(|_, _| true, step);
                if group.stored.is_some() {
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
}

impl Group {
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
