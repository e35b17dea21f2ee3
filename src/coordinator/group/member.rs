//! A member of a group, and the ids that were handed out for members to come.

use std::time::Duration;

use bytes::Bytes;

use super::request::{JoinGroup, JoinedMember, MemberDescription, RequestId};
use super::timers::{Timer, Timers};
use crate::coordinator::record::{GroupId, MemberMetadata};
use crate::env::MonoTime;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
    /// In order of preference, with the member's metadata under each.
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    /// It has not been in a generation yet.
    pub(super) is_new: bool,
    /// The JoinGroup that waits for the rebalance to complete.
    pub(super) joining: Option<RequestId>,
    /// The SyncGroup that waits for the leader's assignment.
    pub(super) syncing: Option<RequestId>,
    /// The member is dead after this, unless it waits for an answer.
    deadline: MonoTime,
    /// Where its timer stands in the shard's set; at or before the deadline.
    timer_at: Option<MonoTime>,
}

impl Member {
    pub(super) fn new(id: String, request: &JoinGroup) -> Member {
        Member {
            id,
            instance_id: request.instance_id.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols.clone(),
            assignment: Bytes::new(),
            is_new: true,
            joining: None,
            syncing: None,
            deadline: MonoTime::default(),
            timer_at: None,
        }
    }

    pub(super) fn restored(stored: &MemberMetadata, protocol: &str) -> Member {
        Member {
            id: stored.member_id.clone(),
            instance_id: stored.instance_id.clone(),
            client_id: stored.client_id.clone(),
            client_host: stored.client_host.clone(),
            session_timeout_ms: stored.session_timeout_ms,
            rebalance_timeout_ms: stored.rebalance_timeout_ms,
            protocols: vec![(protocol.to_owned(), stored.subscription.clone())],
            assignment: stored.assignment.clone(),
            is_new: false,
            joining: None,
            syncing: None,
            deadline: MonoTime::default(),
            timer_at: None,
        }
    }

    pub(super) fn update(&mut self, request: &JoinGroup) {
        self.protocols.clone_from(&request.protocols);
        self.session_timeout_ms = request.session_timeout_ms;
        self.rebalance_timeout_ms = request.rebalance_timeout_ms;
        self.client_id.clone_from(&request.client_id);
        self.client_host.clone_from(&request.client_host);
    }

    pub(super) fn stored(&self, protocol: &str) -> MemberMetadata {
        MemberMetadata {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    pub(super) fn for_leader(&self, protocol: &str) -> JoinedMember {
        JoinedMember {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            metadata: self.metadata(protocol),
        }
    }

    pub(super) fn describe(&self, protocol: Option<&str>) -> MemberDescription {
        MemberDescription {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            metadata: protocol.map(|p| self.metadata(p)).unwrap_or_default(),
            assignment: self.assignment.clone(),
        }
    }

    pub(super) fn session_timeout(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.session_timeout_ms).unwrap_or(0))
    }

    /// Gives the member this long from now. A heartbeat only moves the deadline; its timer catches up when it rings.
    pub(super) fn keep_alive(
        &mut self,
        group: &GroupId,
        session: Duration,
        now: MonoTime,
        timers: &mut Timers,
    ) {
        self.deadline = now + session;
        match self.timer_at {
            Some(at) if at <= self.deadline => {}
            _ => self.set_timer(group, timers),
        }
    }

    fn set_timer(&mut self, group: &GroupId, timers: &mut Timers) {
        self.stop_timer(group, timers);
        timers.set(self.deadline, Timer::Session(group.clone(), self.id.clone()));
        self.timer_at = Some(self.deadline);
    }

    pub(super) fn stop_timer(&mut self, group: &GroupId, timers: &mut Timers) {
        if let Some(at) = self.timer_at.take() {
            timers.cancel(at, Timer::Session(group.clone(), self.id.clone()));
        }
    }

    /// Its timer rang: says whether the member is dead, and sets the timer anew if not.
    pub(super) fn has_died(
        &mut self,
        group: &GroupId,
        rang_at: MonoTime,
        now: MonoTime,
        timers: &mut Timers,
    ) -> bool {
        if self.timer_at != Some(rang_at) {
            return false;
        }
        self.timer_at = None;
        if self.deadline <= now {
            let waits = self.syncing.is_some() || (self.joining.is_some() && !self.is_new);
            if !waits {
                return true;
            }
            self.deadline = now + self.session_timeout();
        }
        self.set_timer(group, timers);
        false
    }
}
