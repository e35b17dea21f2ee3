//! SyncGroup, Heartbeat and LeaveGroup: what a member does with its place in a generation.

use std::collections::HashMap;

use bytes::Bytes;

use super::request::{LeavingMember, Left, Membership, Reply, RequestId, SyncGroup, Synced};
use super::state::{Group, Phase};
use super::{GroupError, Step};
use crate::coordinator::record::Record;

impl Group {
    pub(super) fn sync(&mut self, id: RequestId, request: SyncGroup, step: &mut Step<'_>) {
        if let Err(error) = self.validate_sync(&request) {
            return step.answer(id, Reply::Sync(Err(error)));
        }
        let member_id = request.member.member_id;
        self.pending_sync.remove(&member_id);
        self.touch(&member_id, step);
        match self.phase {
            Phase::Empty => step.answer(id, Reply::Sync(Err(GroupError::UnknownMember))),
            Phase::Preparing { .. } => step.answer(id, Reply::Sync(Err(GroupError::RebalanceInProgress))),
            Phase::Stable => {
                let reply = Reply::Sync(Ok(self.synced(&member_id)));
                step.answer_after(id, self.last_write, reply);
            }
            Phase::Completing => {
                if let Some(member) = self.members.get_mut(&member_id)
                    && let Some(earlier) = member.syncing.replace(id)
                {
                    step.answer(earlier, Reply::Sync(Err(GroupError::RebalanceInProgress)));
                }
                if self.leader.as_deref() == Some(&member_id) {
                    self.assign(request.assignments, step);
                }
            }
        }
    }

    fn validate_sync(&self, request: &SyncGroup) -> Result<(), GroupError> {
        self.validate_generation(&request.member)?;
        let differs = |asked: &Option<String>, actual: &Option<String>| asked.is_some() && asked != actual;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol, &self.protocol)
        {
            return Err(GroupError::InconsistentProtocol);
        }
        Ok(())
    }

    pub(super) fn validate_generation(&self, member: &Membership) -> Result<(), GroupError> {
        self.validate_member(&member.member_id, member.instance_id.as_deref())?;
        if member.generation == self.generation { Ok(()) } else { Err(GroupError::IllegalGeneration) }
    }

    /// The leader's assignment makes the generation: it is written down, and everyone gets its part once that is
    /// committed.
    fn assign(&mut self, assignments: Vec<(String, Bytes)>, step: &mut Step<'_>) {
        let mut by_member: HashMap<String, Bytes> = assignments.into_iter().collect();
        for member in self.members.values_mut() {
            member.assignment = by_member.remove(&member.id).unwrap_or_default();
        }
        if self.to_store_bytes() > step.config.max_batch_bytes {
            for member in self.members.values_mut() {
                member.assignment = Bytes::new();
                if let Some(id) = member.syncing.take() {
                    step.answer(id, Reply::Sync(Err(GroupError::MetadataTooLarge)));
                }
            }
            return self.prepare_rebalance("the assignment is too large to be written down", step);
        }
        self.enter(Phase::Stable, step);
        let after = self.persist(step);
        let waiting: Vec<(String, RequestId)> =
            self.members.values_mut().filter_map(|m| m.syncing.take().map(|id| (m.id.clone(), id))).collect();
        for (member, id) in waiting {
            self.touch(&member, step);
            let reply = Reply::Sync(Ok(self.synced(&member)));
            step.answer_after(id, after, reply);
        }
        if self.pending_sync.is_empty() {
            self.stop_phase_timer(step);
        }
    }

    /// The size of the record that would remember the generation.
    pub(super) fn to_store_bytes(&self) -> usize {
        Record::Group { group: self.id.clone(), value: Some(self.to_store()) }.size_bound()
    }

    fn synced(&self, member: &str) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members.get(member).map(|m| m.assignment.clone()).unwrap_or_default(),
        }
    }

    /// The member spoke: its session starts anew.
    pub(super) fn touch(&mut self, member: &str, step: &mut Step<'_>) {
        if let Some(m) = self.members.get_mut(member) {
            let session = m.session_timeout();
            m.keep_alive(&self.id, session, step.now.mono, step.timers);
        }
    }

    pub(super) fn heartbeat(&mut self, member: &Membership, step: &mut Step<'_>) -> Result<(), GroupError> {
        self.validate_generation(member)?;
        match self.phase {
            Phase::Empty => Err(GroupError::UnknownMember),
            Phase::Preparing { .. } => {
                self.touch(&member.member_id, step);
                Err(GroupError::RebalanceInProgress)
            }
            Phase::Completing | Phase::Stable => {
                self.touch(&member.member_id, step);
                Ok(())
            }
        }
    }

    pub(super) fn leave(&mut self, id: RequestId, leaving: Vec<LeavingMember>, step: &mut Step<'_>) {
        let mut reasons = Vec::new();
        let mut left = Vec::with_capacity(leaving.len());
        for member in leaving {
            let result = self.leave_one(&member, step).map(|gone| {
                let reason = member.reason.as_deref().filter(|r| !r.is_empty()).unwrap_or("not given");
                reasons.push(format!("{gone} (client reason: {reason})"));
            });
            left.push(Left { member_id: member.member_id, instance_id: member.instance_id, result });
        }
        if !reasons.is_empty() {
            match self.phase {
                Phase::Stable | Phase::Completing => {
                    self.prepare_rebalance(&format!("members left: {}", reasons.join(", ")), step);
                }
                Phase::Preparing { .. } => self.maybe_complete_join(step),
                Phase::Empty => {}
            }
        }
        step.answer(id, Reply::Leave(Ok(left)));
    }

    /// Returns the id of the member that is gone.
    fn leave_one(&mut self, leaving: &LeavingMember, step: &mut Step<'_>) -> Result<String, GroupError> {
        let member = match &leaving.instance_id {
            Some(instance) => {
                let current = self.statics.get(instance).ok_or(GroupError::UnknownMember)?;
                if !leaving.member_id.is_empty() && *current != leaving.member_id {
                    return Err(GroupError::FencedInstance);
                }
                current.clone()
            }
            None if self.drop_pending(&leaving.member_id, step) => return Ok(leaving.member_id.clone()),
            None => leaving.member_id.clone(),
        };
        if !self.members.contains_key(&member) {
            return Err(GroupError::UnknownMember);
        }
        self.take_out(&member, step);
        Ok(member)
    }
}
