//! Deadlines of a shard, in one ordered set: no task for a member, and nothing that is cancelled stays behind.

use std::collections::BTreeSet;

use super::consumer::Alarm;
use crate::coordinator::record::GroupId;
use crate::env::MonoTime;

/// What falls due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The group's join or sync phase ends.
    Phase(GroupId),
    /// A member was silent for its session timeout, if it did not speak since the timer was set.
    Session(GroupId, String),
    /// A member id was handed out, and nobody joined with it.
    Pending(GroupId, String),
    /// A member of the consumer protocol did not do in time what it should.
    Consumer(GroupId, String, Alarm),
    /// Look for offsets that have expired.
    Expiry,
}

/// The set of deadlines.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(MonoTime, Timer)>,
}

impl Timers {
    pub(super) fn set(&mut self, at: MonoTime, timer: Timer) {
        self.due.insert((at, timer));
    }

    pub(super) fn cancel(&mut self, at: MonoTime, timer: Timer) {
        self.due.remove(&(at, timer));
    }

    pub(super) fn next(&self) -> Option<MonoTime> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes the earliest timer that is due.
    pub(super) fn pop(&mut self, now: MonoTime) -> Option<(MonoTime, Timer)> {
        if self.next()? <= now { self.due.pop_first() } else { None }
    }
}
