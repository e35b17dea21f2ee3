//! Group append: requests queue; one job at a time drains the queue on a disk thread, writes all of it at once,
//! answers, and wakes the followers' sessions with the bytes still in memory. Where nothing waits and nothing is slow, the
//! thread that brings a batch writes it itself: a change of threads costs more than the write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::lead::Effects;
use super::queue::{Queue, Thread, Waiting};
use super::refused::Refused;
use super::{LogGuard, Replica, Role};
use crate::env::MonoTime;
use crate::env::defect::{Defect, planted};
use crate::log::{Appended, LeaderBatch, LogError, Rejected};
use crate::replication::isr::leader::{Event, NotEnoughReplicas};
use crate::types::{LeaderEpoch, Offset};

/// Requests that one write takes at most: bounds the time under the log's lock.
const GROUP: usize = 256;
/// A batch of up to so many bytes is short work, which the thread of its connection may do.
const SHORT_BYTES: usize = 128 << 10;

/// When an append is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// After the leader's own write: acks=0 and acks=1.
    Leader,
    /// When the high watermark has passed it: acks=all.
    All,
}

/// Why an append was not, or may not have been, taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// This broker does not lead the partition, or its lease is over; nothing was written.
    #[error("this broker does not lead the partition")]
    NotLeader,
    /// Written, or it may be; but the leadership or the lease was over before that could be said.
    #[error("written, but this broker no longer leads the partition")]
    NoLongerLeads,
    /// acks=all with too few in-sync replicas; nothing was written.
    #[error(transparent)]
    NotEnoughReplicas(NotEnoughReplicas),
    /// acks=all, written, but then there were too few in-sync replicas.
    #[error("written, but {0}")]
    NotEnoughReplicasAfterAppend(NotEnoughReplicas),
    /// acks=all, written, but not committed by the deadline.
    #[error("not committed in time")]
    TimedOut,
    /// The batch was refused.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The log takes nothing; nothing was written. The leader has resigned.
    #[error(transparent)]
    Storage(LogError),
    /// The write failed, and what of it has reached the disk may be found there after a crash. The leader has resigned.
    #[error("maybe written, but {0}")]
    WriteFailed(LogError),
}

impl AppendError {
    /// What is said of what was written when the place of the leader goes.
    pub(super) fn no_longer_leads() -> AppendError {
        if planted(Defect::WrittenIsRefused) { AppendError::NotLeader } else { AppendError::NoLongerLeads }
    }
}

type Answer = oneshot::Sender<Result<Appended, AppendError>>;

/// An acks=all append that is written and waits to be committed.
pub(super) struct Waiter {
    pub(super) answer: Answer,
    pub(super) appended: Appended,
    pub(super) end: Offset,
    pub(super) written: MonoTime,
}

pub(super) struct Queued {
    batch: LeaderBatch,
    since: MonoTime,
    acks: Acks,
    answer: Answer,
}

/// Who waits for the outcome of an append.
struct Asker {
    since: MonoTime,
    acks: Acks,
    answer: Answer,
}

#[derive(Default)]
pub(super) struct AppendQueue {
    pub(super) waiting: Queue<Queued>,
    refused: Refused,
}

impl Replica {
    /// Appends one batch (the records field of a produce request for this partition, or what a coordinator writes),
    /// grouped with what else is waiting. The first poll puts it into the queue.
    ///
    /// # Errors
    /// See [`AppendError`]; after `TimedOut`, `NoLongerLeads`, `WriteFailed` and `NotEnoughReplicasAfterAppend` the records may
    /// be in the leader's log, and stay there.
    pub async fn append(
        self: &Arc<Self>,
        batch: impl Into<LeaderBatch>,
        acks: Acks,
        deadline: MonoTime,
    ) -> Result<Appended, AppendError> {
        let batch = batch.into();
        self.may_append(acks).inspect_err(|_| self.has_refused(&batch.records))?;
        let (answer, mut receiver) = oneshot::channel();
        let since = self.context.now();
        let is_idle = self.appends.lock().waiting.push(Queued { batch, since, acks, answer });
        if is_idle {
            self.begin_to_work_off(Waiting::Appends);
        }
        let outcome = tokio::select! {
            biased;
            outcome = &mut receiver => outcome.unwrap_or(Err(AppendError::NoLongerLeads)),
            () = self.context.clock.sleep_until(deadline) => Err(AppendError::TimedOut),
        };
        // A zombie may have written under an epoch that is over: it must not say so. Nor does it know what sequence number or
        // epoch of a producer comes next: whoever is told that his is wrong gives up what the next leader would take.
        match outcome {
            Ok(_) if !self.context.lease_holds() => Err(AppendError::no_longer_leads()),
            Err(AppendError::Rejected(_)) if !self.context.lease_holds() => Err(AppendError::NotLeader),
            outcome => outcome,
        }
    }

    /// Whether what is queued is short work: one batch into the page cache, with nothing to fsync or to roll.
    pub(super) fn appends_are_short(&self, log: &crate::log::Log) -> bool {
        let now_ms = self.context.clock.wall_ms();
        self.appends.lock().waiting.only().is_some_and(|item| {
            item.batch.records.len() <= SHORT_BYTES && log.appends_at_once(&item.batch, now_ms)
        })
    }

    fn may_append(&self, acks: Acks) -> Result<(), AppendError> {
        if !self.context.lease_holds() {
            return Err(AppendError::NotLeader);
        }
        let state = self.state.lock();
        let Role::Leader(leader) = &state.role else { return Err(AppendError::NotLeader) };
        if acks == Acks::All {
            leader.check_min_isr().map_err(AppendError::NotEnoughReplicas)?;
        }
        Ok(())
    }

    /// A batch for this partition was refused, before it got here or here, so that its producer will send it again.
    pub fn has_refused(&self, records: &[u8]) {
        self.appends.lock().refused.note(records);
    }

    /// Writes one group.
    pub(super) fn append_what_waits(self: &Arc<Self>, log: LogGuard<'_>, thread: Thread) {
        let items: Vec<Queued> = {
            let mut queue = self.appends.lock();
            let at_once = if thread == Thread::Caller { 1 } else { GROUP };
            let AppendQueue { waiting, refused } = &mut *queue;
            let live = waiting.take(at_once).filter_map(|mut item| {
                // Who has given up may have read the log's end since.
                if item.answer.is_closed() {
                    refused.note(&item.batch.records);
                    return None;
                }
                item.batch.awaited = refused.awaited(&item.batch.records);
                Some(item)
            });
            live.collect()
        };
        self.append_group(items, log, thread);
    }

    fn append_group(self: &Arc<Self>, items: Vec<Queued>, mut log: LogGuard<'_>, thread: Thread) {
        let mut batches = Vec::with_capacity(items.len());
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            batches.push(item.batch);
            answers.push(Asker { since: item.since, acks: item.acks, answer: item.answer });
        }
        // Roles change only with the log's lock held: the epoch stays until the write is accounted for.
        let Some(epoch) = self.leading_epoch() else {
            drop(log);
            batches.iter().for_each(|batch| self.has_refused(&batch.records));
            for Asker { answer, .. } in answers {
                let _ = answer.send(Err(AppendError::NotLeader));
            }
            return;
        };
        let now_ms = self.context.clock.wall_ms();
        let mut panicked = false;
        let outcome = catch_unwind(AssertUnwindSafe(|| log.append_as_leader(batches, epoch, now_ms)));
        let outcome = outcome.unwrap_or_else(|_| {
            // The queue must go on, and what the log holds in memory may be half done.
            log.give_up();
            panicked = true;
            Err(LogError::Broken)
        });
        let mut effects = match outcome {
            Ok(results) => self.written(&log, results.into_iter().zip(answers)),
            Err(e) => {
                let mut effects = if planted(Defect::FailedWriteGoesOn) {
                    Effects::default()
                } else {
                    self.log_failed(&log, &mut self.state.lock(), &e)
                };
                let failed = match e.is_refusal() && !panicked {
                    true => AppendError::Storage(e),
                    false => AppendError::WriteFailed(e),
                };
                effects.answers.extend(answers.into_iter().map(|asker| (asker.answer, Err(failed.clone()))));
                effects
            }
        };
        drop(log);
        match (self.flush_is_due(), thread) {
            (false, _) => {}
            (true, Thread::Disk) => self.flush(&mut effects),
            (true, Thread::Caller) => {
                let replica = self.clone();
                self.threads.pool.spawn(move || replica.flush_now());
            }
        }
        self.finish(effects);
    }

    fn leading_epoch(&self) -> Option<LeaderEpoch> {
        match &self.state.lock().role {
            Role::Leader(leader) => Some(leader.leader_epoch()),
            _ => None,
        }
    }

    fn written(
        &self,
        log: &crate::log::Log,
        results: impl Iterator<Item = (Result<Appended, Rejected>, Asker)>,
    ) -> Effects {
        #[cfg(test)]
        self.pass(super::Trap::Written);
        let now = self.context.now();
        let mut state = self.state.lock();
        let state = &mut *state;
        let mut effects = Effects::default();
        let mut waits = Vec::new();
        for (result, Asker { since, acks, answer }) in results {
            self.context.counts.local_write.record(now.since(since));
            let appended = match result {
                Ok(appended) => appended,
                Err(rejected) => {
                    effects.answers.push((answer, Err(rejected.into())));
                    continue;
                }
            };
            let end = appended.last.next();
            if !appended.duplicate && !state.sessions.is_empty() {
                let budget = self.context.config.tail_budget_bytes;
                state.tail.push(appended.base, end, &appended.chunks, &self.context.tail_bytes, budget);
            }
            match acks {
                Acks::Leader => effects.answers.push((answer, Ok(appended))),
                Acks::All => {
                    state.next_ticket += 1;
                    state.waiters.insert(state.next_ticket, Waiter { answer, appended, end, written: now });
                    waits.push(Event::Wait { ticket: state.next_ticket, end });
                }
            }
        }
        self.look_at(log, state);
        let (log_end, durable_end) = (state.positions.log_end, state.durable_end);
        self.event(state, Event::Appended { log_end, durable_end }, now, &mut effects);
        for wait in waits {
            self.event(state, wait, now, &mut effects);
        }
        super::wake_all(state);
        self.publish(state);
        effects
    }
}
