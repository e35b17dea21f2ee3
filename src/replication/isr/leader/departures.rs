//! Members that leave the ISR: whose doing that was, and what becomes of their sessions.

use super::{Action, Leader, PartitionView, Peer, ProposalReply};
use crate::env::MonoTime;
use crate::env::defect::{Defect, planted};

impl Peer {
    /// Its session is over, if it has one: what that has acknowledged counts for nothing any more.
    fn lose_session(&mut self, now: MonoTime) -> Option<Action> {
        if planted(Defect::LostKeepsItsSession) {
            return None;
        }
        let session = self.session.take()?;
        self.down_since = now;
        Some(Action::EndSession { broker: self.view.broker, session })
    }
}

impl Leader {
    /// A member that left the ISR though this leader has not proposed it has said itself that it lost its copy: what its session
    /// acknowledged before counts for nothing, or it would be taken back at once on the strength of bytes that it may not have.
    pub(super) fn end_sessions_of_the_dropped(
        &mut self,
        view: &PartitionView,
        now: MonoTime,
        actions: &mut Vec<Action>,
    ) {
        for &broker in self.isr.iter().filter(|broker| !view.isr.contains(broker)) {
            let Some(peer) = self.peers.get_mut(&broker) else { continue };
            let is_asked_for = self.in_flight.as_ref().is_some_and(|isr| !isr.contains(&broker));
            match (is_asked_for, self.is_applied) {
                (true, true) => {}
                // The image was faster than the reply: until that says who was first the member is not taken back.
                (true, false) => peer.left_by = Some(self.attempt),
                (false, _) => actions.extend(peer.lose_session(now)),
            }
        }
    }

    /// A proposal to drop them was overtaken by an image without them, and this is its reply: unless it was applied, they have left
    /// by themselves.
    pub(super) fn end_sessions_of_those_who_left(
        &mut self,
        attempt: u64,
        reply: ProposalReply,
        now: MonoTime,
        actions: &mut Vec<Action>,
    ) {
        for peer in self.peers.values_mut().filter(|peer| peer.left_by == Some(attempt)) {
            peer.left_by = None;
            if reply != ProposalReply::Applied {
                actions.extend(peer.lose_session(now));
            }
        }
    }
}
