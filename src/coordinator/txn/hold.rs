//! A hold: for a moment nothing is decided, so that a cut over all partitions has of each transaction all markers or none.
//!
//! What was decided before goes on until its markers are written everywhere; then the one who holds is answered. EndTxn waits here and is
//! decided when the hold ends, as if it had come then; who would fence an open transaction is told to ask again; a transaction that
//! has been open for too long is given the rest of the hold. A hold ends when it is let go, or by itself. It is not in the log: a
//! shard that is loaded, here or elsewhere, holds nothing, and who asks it to let go hears that.

use std::collections::BTreeSet;

use super::record::TransactionalId;
use super::request::{EndTransaction, HoldDecisions, LetGo, Reply, Request};
use super::{Output, TxnError, TxnShard};
use crate::coordinator::shard::{Answer, Now, RequestId};
use crate::env::MonoTime;
use crate::env::defect::{Defect, planted};

/// So many wait at most; more are told to ask again.
const MOST_WAITING: usize = 10_000;

/// While nothing is decided.
#[derive(Debug)]
pub(super) struct Hold {
    cut: u64,
    until: MonoTime,
    /// Decided, and without all markers.
    ending: BTreeSet<TransactionalId>,
    /// Who is answered when those are complete.
    asked: Option<RequestId>,
    /// What is decided when the hold ends.
    waiting: Vec<(RequestId, EndTransaction)>,
}

impl TxnShard {
    pub(super) fn is_held(&self) -> bool {
        self.hold.is_some() && !planted(Defect::CutWithoutHold)
    }

    pub(super) fn held_until(&self) -> Option<MonoTime> {
        self.hold.as_ref().filter(|_| self.is_held()).map(|hold| hold.until)
    }

    /// Decides a request, or lets it wait for the end of the hold.
    pub(super) fn decide_or_hold(&mut self, id: RequestId, request: Request, now: Now, out: &mut Output) {
        let is_held = self.is_held();
        match (request, &mut self.hold) {
            (Request::Hold(r), _) => self.begin_hold(id, &r, now, out),
            (Request::LetGo(r), _) => self.let_go(id, &r, now, out),
            (Request::End(r), Some(hold)) if is_held => {
                if hold.waiting.len() < MOST_WAITING {
                    hold.waiting.push((id, r));
                } else {
                    let reply = Reply::End(Err(TxnError::Concurrent));
                    out.answers.push(Answer { id, after: 0, reply });
                }
            }
            (request, _) => {
                let (after, reply) = self.decided_reply(request, now, out);
                out.answers.push(Answer { id, after, reply });
            }
        }
    }

    fn begin_hold(&mut self, id: RequestId, r: &HoldDecisions, now: Now, out: &mut Output) {
        let former = self.hold.take();
        let of_former = former.as_ref().and_then(|former| former.asked);
        out.answers.extend(of_former.map(not_held));
        let ending = self.kept.iter().filter(|(_, kept)| kept.transaction.state.is_ending());
        let ending = ending.map(|(id, _)| id.clone()).collect();
        let waiting = former.map(|former| former.waiting).unwrap_or_default();
        self.hold = Some(Hold { cut: r.cut, until: now.mono + r.at_most, ending, asked: Some(id), waiting });
        self.answer_if_complete(out);
    }

    /// A transaction's markers are all written.
    pub(super) fn is_complete(&mut self, id: &TransactionalId, out: &mut Output) {
        if let Some(hold) = &mut self.hold {
            hold.ending.remove(id);
            self.answer_if_complete(out);
        }
    }

    fn answer_if_complete(&mut self, out: &mut Output) {
        let (after, epoch) = (self.decided, self.coordinator_epoch);
        let Some(hold) = &mut self.hold else { return };
        if (hold.ending.is_empty() || planted(Defect::CutWithoutHold))
            && let Some(id) = hold.asked.take()
        {
            out.answers.push(Answer { id, after, reply: Reply::Hold(Ok(epoch)) });
        }
    }

    fn let_go(&mut self, id: RequestId, r: &LetGo, now: Now, out: &mut Output) {
        let is_this = self.hold.as_ref().is_some_and(|hold| hold.cut == r.cut);
        // Who lets go before the answer to its hold has not held anything.
        let has_held = is_this && self.hold.as_ref().is_some_and(|hold| hold.asked.is_none());
        if is_this {
            self.end_hold(now, out);
        }
        let told = if has_held { Ok(self.coordinator_epoch) } else { Err(TxnError::NotHeld) };
        out.answers.push(Answer { id, after: 0, reply: Reply::LetGo(told) });
    }

    pub(super) fn end_hold_in_time(&mut self, now: Now, out: &mut Output) {
        if self.hold.as_ref().is_some_and(|hold| hold.until <= now.mono) {
            tracing::debug!("a hold for a cut has ended by itself");
            self.end_hold(now, out);
        }
    }

    /// Decides what has waited, in its order.
    fn end_hold(&mut self, now: Now, out: &mut Output) {
        let Some(hold) = self.hold.take() else { return };
        out.answers.extend(hold.asked.map(not_held));
        for (id, request) in hold.waiting {
            let (after, reply) = self.decided_reply(Request::End(request), now, out);
            out.answers.push(Answer { id, after, reply });
        }
    }
}

fn not_held(id: RequestId) -> Answer<Reply> {
    Answer { id, after: 0, reply: Reply::Hold(Err(TxnError::NotHeld)) }
}
