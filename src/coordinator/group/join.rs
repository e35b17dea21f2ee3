//! JoinGroup: how a member comes into a group.
//!
//! A new dynamic member is first told its id and joins with it (KIP-394). A static member (KIP-345) that joins
//! without an id takes over from the one that has its instance id: it always gets a new member id, so that the old
//! one is fenced, and while the group is stable and its protocol does not change there is no rebalance.

use std::time::Duration;

use super::member::Member;
use super::request::{JoinGroup, Joined, Reply, RequestId};
use super::state::{Group, Phase};
use super::timers::Timer;
use super::{GroupError, Step};
use crate::coordinator::config::GroupConfig;

/// A new member may wait this long in its first rebalance, whatever its session timeout: a client that gave up
/// and never comes back must not stay for ever.
const NEW_MEMBER_SESSION: Duration = Duration::from_secs(300);

/// Texts of a record are at most 32,767 bytes; member ids are a name, a dash and a UUID.
pub(super) const MAX_NAME_BYTES: usize = i16::MAX as usize - 64;

/// What can be refused without looking at the group.
pub(super) fn check(request: &JoinGroup, config: &GroupConfig) -> Result<(), GroupError> {
    if request.group.is_empty() {
        return Err(GroupError::InvalidGroupId);
    }
    let names = [&*request.group, &request.member_id, &request.client_id, &request.protocol_type]
        .into_iter()
        .chain(request.instance_id.as_deref())
        .chain(request.protocols.iter().map(|(name, _)| name.as_str()));
    if names.into_iter().any(|name| name.len() > MAX_NAME_BYTES) {
        return Err(GroupError::NameTooLong);
    }
    let session = u64::try_from(request.session_timeout_ms).map(Duration::from_millis);
    if !session.is_ok_and(|s| (config.min_session_timeout..=config.max_session_timeout).contains(&s)) {
        return Err(GroupError::InvalidSessionTimeout);
    }
    if request.protocol_type.is_empty() || request.protocols.is_empty() {
        return Err(GroupError::InconsistentProtocol);
    }
    let bytes: usize = request.protocols.iter().map(|(_, metadata)| metadata.len()).sum();
    if bytes > config.max_batch_bytes {
        return Err(GroupError::MetadataTooLarge);
    }
    Ok(())
}

impl Group {
    pub(super) fn join(&mut self, id: RequestId, request: JoinGroup, step: &mut Step<'_>) {
        if !self.has_room(&request, step.config) {
            if self.members.contains_key(&request.member_id) {
                self.remove_member(&request.member_id, "the group is full", step);
            }
            return step.answer(id, Reply::Join(Err(GroupError::GroupFull)));
        }
        if !self.has_common_protocol(&request) {
            return step.answer(id, Reply::Join(Err(GroupError::InconsistentProtocol)));
        }
        let refused = if request.member_id.is_empty() {
            self.join_new(id, &request, step)
        } else {
            self.join_known(id, &request, step)
        };
        if let Err(error) = refused {
            step.answer(id, Reply::Join(Err(error)));
        }
    }

    /// While members are being called, only as many as may be in the group are taken, whoever comes first.
    fn has_room(&self, request: &JoinGroup, config: &GroupConfig) -> bool {
        let known = match &request.instance_id {
            Some(instance) if request.member_id.is_empty() => self.statics.get(instance),
            _ => Some(&request.member_id),
        };
        let member = known.and_then(|id| self.members.get(id));
        match self.phase {
            Phase::Empty => true,
            Phase::Preparing { .. } => {
                member.is_some_and(|m| m.joining.is_some())
                    || self.members.values().filter(|m| m.joining.is_some()).count() < config.max_group_size
            }
            Phase::Completing | Phase::Stable => {
                member.is_some() || self.members.len() < config.max_group_size
            }
        }
    }

    fn has_common_protocol(&self, request: &JoinGroup) -> bool {
        self.members.is_empty()
            || (self.protocol_type.as_ref() == Some(&request.protocol_type)
                && request.protocols.iter().any(|(name, _)| self.all_support(name)))
    }

    fn join_new(
        &mut self,
        id: RequestId,
        request: &JoinGroup,
        step: &mut Step<'_>,
    ) -> Result<(), GroupError> {
        let name = request.instance_id.as_ref().unwrap_or(&request.client_id);
        let member_id = format!("{name}-{}", request.fresh_id);
        match request.instance_id.as_ref().map(|instance| self.statics.get(instance).cloned()) {
            Some(Some(old)) => self.replace_static(id, &old, member_id, request, step),
            Some(None) => self.add_member(id, member_id, request, step),
            None if request.id_before_join => {
                if self.pending.len() >= step.config.max_pending_members {
                    return Err(GroupError::GroupFull);
                }
                let session = Duration::from_millis(u64::try_from(request.session_timeout_ms).unwrap_or(0));
                let at = step.now.mono + session;
                step.timers.set(at, Timer::Pending(self.id.clone(), member_id.clone()));
                self.pending.insert(member_id.clone(), at);
                return Err(GroupError::MemberIdRequired(member_id));
            }
            None => self.add_member(id, member_id, request, step),
        }
        Ok(())
    }

    fn join_known(
        &mut self,
        id: RequestId,
        request: &JoinGroup,
        step: &mut Step<'_>,
    ) -> Result<(), GroupError> {
        if request.instance_id.is_none() && self.drop_pending(&request.member_id, step) {
            self.add_member(id, request.member_id.clone(), request, step);
            return Ok(());
        }
        self.validate_member(&request.member_id, request.instance_id.as_deref())?;
        let Some(member) = self.members.get(&request.member_id) else {
            return Err(GroupError::UnknownMember);
        };
        let unchanged = member.protocols == request.protocols;
        let is_leader = self.leader.as_deref() == Some(&request.member_id);
        match self.phase {
            Phase::Empty => return Err(GroupError::UnknownMember),
            Phase::Preparing { .. } => self.update_member(id, request, step),
            // The answer to an earlier join was lost.
            Phase::Completing if unchanged => self.answer_current(id, &request.member_id, is_leader, step),
            // A follower that is where it should be. A leader that comes again wants a new assignment.
            Phase::Stable if unchanged && !is_leader => {
                self.answer_current(id, &request.member_id, false, step);
            }
            Phase::Completing | Phase::Stable => self.update_member(id, request, step),
        }
        Ok(())
    }

    fn add_member(&mut self, id: RequestId, member_id: String, request: &JoinGroup, step: &mut Step<'_>) {
        let mut member = Member::new(member_id.clone(), request);
        member.joining = Some(id);
        member.keep_alive(&self.id, NEW_MEMBER_SESSION, step.now.mono, step.timers);
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member_id.clone());
        }
        if let Some(instance) = &request.instance_id {
            self.statics.insert(instance.clone(), member_id.clone());
        }
        if let Phase::Preparing { initial: Some(wait) } = &mut self.phase {
            wait.member_came = true;
        }
        self.members.insert(member_id, member);
        self.rebalance("a new member joined", request, step);
    }

    fn update_member(&mut self, id: RequestId, request: &JoinGroup, step: &mut Step<'_>) {
        if let Some(member) = self.members.get_mut(&request.member_id) {
            member.update(request);
            // The client asked again: the first question is of no use to it any more.
            if let Some(earlier) = member.joining.replace(id) {
                step.answer(earlier, Reply::Join(Err(GroupError::RebalanceInProgress)));
            }
        }
        self.rebalance("a member rejoined", request, step);
    }

    /// A static member comes back without its member id: it takes its place under a new one.
    fn replace_static(
        &mut self,
        id: RequestId,
        old_id: &str,
        new_id: String,
        request: &JoinGroup,
        step: &mut Step<'_>,
    ) {
        let Some(mut member) = self.members.remove(old_id) else { return };
        let was_leader = self.leader.as_deref() == Some(old_id);
        member.stop_timer(&self.id, step.timers);
        if let Some(earlier) = member.joining.take() {
            step.answer(earlier, Reply::Join(Err(GroupError::FencedInstance)));
        }
        if let Some(earlier) = member.syncing.take() {
            step.answer(earlier, Reply::Sync(Err(GroupError::FencedInstance)));
        }
        member.id.clone_from(&new_id);
        member.update(request);
        let session = if member.is_new { NEW_MEMBER_SESSION } else { member.session_timeout() };
        member.keep_alive(&self.id, session, step.now.mono, step.timers);
        if self.phase != Phase::Stable {
            member.joining = Some(id);
        }
        if self.pending_sync.remove(old_id) {
            self.pending_sync.insert(new_id.clone());
        }
        if let Some(instance) = &request.instance_id {
            self.statics.insert(instance.clone(), new_id.clone());
        }
        if was_leader {
            self.leader = Some(new_id.clone());
        }
        self.members.insert(new_id.clone(), member);
        if self.phase != Phase::Stable {
            return self.rebalance("a static member came back", request, step);
        }
        if self.select_protocol() != self.protocol {
            if let Some(member) = self.members.get_mut(&new_id) {
                member.joining = Some(id);
            }
            return self.rebalance("a static member came back with other protocols", request, step);
        }
        if self.to_store_bytes() > step.config.max_batch_bytes {
            if let Some(member) = self.members.get_mut(&new_id) {
                member.joining = Some(id);
            }
            return self.rebalance("a static member came back with more metadata", request, step);
        }
        let after = self.persist(step);
        // A leader of an older client is told that another one leads, so that it does not assign.
        let skips = was_leader && request.can_skip_assignment;
        let mut joined = self.current(&new_id, skips);
        joined.skip_assignment = skips;
        if was_leader && !skips {
            old_id.clone_into(&mut joined.leader);
        }
        step.answer_after(id, after, Reply::Join(Ok(joined)));
    }

    /// Starts a rebalance, or goes on with the one under way.
    fn rebalance(&mut self, what: &str, request: &JoinGroup, step: &mut Step<'_>) {
        if matches!(self.phase, Phase::Preparing { .. }) {
            return self.maybe_complete_join(step);
        }
        match &request.reason {
            Some(reason) if !reason.is_empty() => {
                self.prepare_rebalance(&format!("{what}; client reason: {reason}"), step);
            }
            _ => self.prepare_rebalance(what, step),
        }
    }

    fn answer_current(&mut self, id: RequestId, member: &str, with_members: bool, step: &mut Step<'_>) {
        if let Some(m) = self.members.get_mut(member) {
            let session = m.session_timeout();
            m.keep_alive(&self.id, session, step.now.mono, step.timers);
        }
        let joined = self.current(member, with_members);
        let after = if self.phase == Phase::Stable { self.last_write } else { 0 };
        step.answer_after(id, after, Reply::Join(Ok(joined)));
    }

    fn current(&self, member: &str, with_members: bool) -> Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        Joined {
            member_id: member.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            members: if with_members {
                self.members.values().map(|m| m.for_leader(&protocol)).collect()
            } else {
                Vec::new()
            },
            skip_assignment: false,
        }
    }

    /// Whether this is a member, and the right one for its static id.
    pub(super) fn validate_member(&self, member: &str, instance: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            match self.statics.get(instance) {
                None => return Err(GroupError::UnknownMember),
                Some(current) if current != member => return Err(GroupError::FencedInstance),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(GroupError::UnknownMember) }
    }
}
