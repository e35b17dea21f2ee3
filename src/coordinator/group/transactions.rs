//! Offsets that are committed in transactions (TxnOffsetCommit, KIP-98, KIP-447, KIP-890).
//!
//! They stand in the log as records of the producer's transaction, and hold once its commit marker follows. What is
//! written later to the same place wins over them, whichever of the two takes effect first: the order in the log
//! decides. A transaction begins here only after its coordinator has said that this partition belongs to it; a marker
//! of the producer between that word and the commit makes the commit fail, else it would hang for ever.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::join::MAX_NAME_BYTES;
use super::offsets::check_commit;
use super::request::{Answer, CompleteTransaction, Now, Reply, RequestId, TxnBegun, TxnCommitOffsets};
use super::state::{Group, Phase};
use super::{GroupError, GroupShard, Output, Step};
use crate::coordinator::record::{CommittedOffset, GroupId, Record};
use crate::coordinator::shard::{Entry, Marker, Producer};
use crate::types::{Decision, ProducerEpoch, ProducerId, TopicName};

/// Markers remembered: a transaction that asked to begin before the oldest of them is sent back to try again.
const REMEMBERED_MARKERS: usize = 4096;

/// A partition whose offsets are committed.
pub(super) type Place = (TopicName, i32);

/// An offset that waits for the end of its transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PendingOffset {
    pub(super) producer: ProducerId,
    pub(super) value: CommittedOffset,
    /// Something later was written to the same place: it will not hold, even if it is committed.
    pub(super) superseded: bool,
}

/// The open transactions of a shard.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: BTreeMap<ProducerId, Open>,
    /// How many markers there were, and the producers of the last of them.
    markers: u64,
    recent: VecDeque<ProducerId>,
    /// The last marker of each producer.
    last: BTreeMap<ProducerId, Last>,
}

/// The last marker of each producer: what no log tells.
#[derive(Debug, Default)]
pub struct LastMarkers(BTreeMap<ProducerId, Last>);

#[derive(Debug)]
struct Last {
    coordinator_epoch: i32,
    /// The number of its decision.
    decision: Option<u64>,
    at_ms: i64,
    /// So many entries must be committed for it to hold.
    after: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Open {
    epoch: ProducerEpoch,
    groups: BTreeSet<GroupId>,
}

impl Transactions {
    pub(super) fn add(&mut self, producer: Producer, group: &GroupId) {
        let open = self
            .open
            .entry(producer.id)
            .or_insert_with(|| Open { epoch: producer.epoch, groups: BTreeSet::new() });
        open.epoch = producer.epoch;
        open.groups.insert(group.clone());
    }

    /// Ends a producer's transaction; the groups that it had offsets in.
    pub(super) fn end(&mut self, marker: &Marker) -> BTreeSet<GroupId> {
        self.open.remove(&marker.producer.id).map(|open| open.groups).unwrap_or_default()
    }

    /// Forgets producers that have been silent for long.
    pub(super) fn forget_before(&mut self, wall_ms: i64) {
        self.last.retain(|id, last| last.at_ms >= wall_ms || self.open.contains_key(id));
    }

    fn is_open(&self, producer: Producer) -> bool {
        self.open.get(&producer.id).is_some_and(|open| open.epoch == producer.epoch)
    }

    fn saw_marker(&mut self, marker: &Marker, decision: Option<Decision>, now: Now, after: u64) {
        self.markers += 1;
        if self.recent.len() == REMEMBERED_MARKERS {
            self.recent.pop_front();
        }
        self.recent.push_back(marker.producer.id);
        // A marker without a number (an administrator's) says nothing of those that are on their way.
        let former = self.last.get(&marker.producer.id);
        let former = former.filter(|last| last.coordinator_epoch == marker.coordinator_epoch);
        let last = Last {
            coordinator_epoch: marker.coordinator_epoch,
            decision: decision.map(|d| d.number).or_else(|| former?.decision),
            at_ms: now.wall_ms,
            after,
        };
        self.last.insert(marker.producer.id, last);
    }

    /// Whether no marker of the producer has come since the guard was given out.
    fn holds(&self, guard: u64, producer: ProducerId) -> bool {
        let since = self.markers.checked_sub(guard).and_then(|n| usize::try_from(n).ok());
        since.is_some_and(|since| {
            since <= self.recent.len() && !self.recent.iter().rev().take(since).any(|p| *p == producer)
        })
    }

    /// Whether a decision, or a later one about the same producer, was carried out before.
    fn is_done(&self, marker: &Marker, decision: Option<Decision>) -> bool {
        let last = self.last.get(&marker.producer.id);
        last.filter(|last| last.coordinator_epoch == marker.coordinator_epoch)
            .and_then(|last| Some(last.decision? >= decision?.number))
            .unwrap_or(false)
    }

    /// What was carried out by the same shard before it was loaded anew.
    pub(super) fn remember(&mut self, last: LastMarkers) {
        self.last = last.0;
    }

    /// A decision that did not get into the log was not carried out.
    pub(super) fn into_last(mut self, committed: u64) -> LastMarkers {
        self.last.retain(|_, last| last.after <= committed);
        self.last.values_mut().for_each(|last| last.after = 0);
        LastMarkers(self.last)
    }

    fn check(&self, marker: &Marker) -> Result<(), GroupError> {
        let last = self.last.get(&marker.producer.id);
        if last.is_some_and(|last| marker.coordinator_epoch < last.coordinator_epoch) {
            return Err(GroupError::CoordinatorFenced);
        }
        let open = self.open.get(&marker.producer.id);
        if open.is_some_and(|open| marker.producer.epoch < open.epoch) {
            return Err(GroupError::MarkerFenced);
        }
        Ok(())
    }
}

impl GroupShard {
    pub(super) fn begin_txn(&mut self, id: RequestId, producer: Producer, out: &mut Output) {
        let begun =
            TxnBegun { is_open: self.transactions.is_open(producer), guard: self.transactions.markers };
        out.answers.push(Answer { id, after: 0, reply: Reply::BeginTxn(Ok(begun)) });
    }

    pub(super) fn txn_commit(
        &mut self,
        id: RequestId,
        request: TxnCommitOffsets,
        now: Now,
        out: &mut Output,
    ) {
        let mut refuse =
            |error| out.answers.push(Answer { id, after: 0, reply: Reply::TxnCommit(Err(error)) });
        let (group, producer) = (request.member.group.clone(), request.producer);
        if group.len() > MAX_NAME_BYTES {
            return refuse(GroupError::NameTooLong);
        }
        if !self.transactions.is_open(producer) && !self.transactions.holds(request.guard, producer.id) {
            return refuse(GroupError::TransactionEnded);
        }
        if !self.groups.contains_key(&group) {
            if request.member.generation >= 0 {
                return refuse(GroupError::IllegalGeneration);
            }
            if let Err(error) = self.create(&group) {
                return refuse(error);
            }
        }
        let mut written = false;
        self.with(&group, now, out, |group, step| match group {
            Some(group) => written = group.txn_commit(id, request, step),
            None => step.answer(id, Reply::TxnCommit(Err(GroupError::UnknownMember))),
        });
        if written {
            self.transactions.add(producer, &group);
        }
    }

    pub(super) fn complete(
        &mut self,
        id: RequestId,
        request: CompleteTransaction,
        now: Now,
        out: &mut Output,
    ) {
        let CompleteTransaction { marker, decision } = request;
        let of_other_epoch = decision.is_some_and(|d| d.leader_epoch != self.epoch);
        let checked = if of_other_epoch {
            Err(GroupError::MarkerOfOtherEpoch)
        } else {
            self.transactions.check(&marker)
        };
        if let Err(error) = checked {
            return out.answers.push(Answer { id, after: 0, reply: Reply::Complete(Err(error)) });
        }
        let groups = if self.transactions.is_done(&marker, decision) {
            BTreeSet::new()
        } else {
            let groups = self.transactions.end(&marker);
            let after = self.decided + u64::from(!groups.is_empty());
            self.transactions.saw_marker(&marker, decision, now, after);
            groups
        };
        if !groups.is_empty() {
            self.decided += 1;
            out.entries.push(Entry::Marker(marker));
        }
        let at = self.decided;
        for group in groups {
            self.with(&group, now, out, |group, _| {
                if let Some(group) = group {
                    group.replay_end(&marker);
                    group.last_write = at;
                }
            });
        }
        // One that ended before ended by an entry that may still be on its way.
        out.answers.push(Answer { id, after: at, reply: Reply::Complete(Ok(())) });
    }
}

impl Group {
    /// Takes an offset of an open transaction.
    pub(super) fn replay_pending(&mut self, producer: Producer, record: &Record) {
        let Record::Offset { topic, partition, value: Some(value), .. } = record else { return };
        let pending = self.pending_offsets.entry((topic.clone(), *partition)).or_default();
        pending.retain(|p| p.producer != producer.id);
        pending.push(PendingOffset { producer: producer.id, value: value.clone(), superseded: false });
    }

    /// A producer's transaction is over: its offsets hold, or are forgotten.
    pub(super) fn replay_end(&mut self, marker: &Marker) {
        let mut hold = Vec::new();
        self.pending_offsets.retain(|place, pending| {
            let Some(at) = pending.iter().position(|p| p.producer == marker.producer.id) else { return true };
            let ended = pending.remove(at);
            if marker.commit && !ended.superseded {
                pending[..at].iter_mut().for_each(|earlier| earlier.superseded = true);
                hold.push((place.clone(), ended.value));
            }
            !pending.is_empty()
        });
        for ((topic, partition), value) in hold {
            self.offsets.entry(topic).or_default().insert(partition, value);
        }
    }

    /// Something was written to this place outside of any transaction.
    pub(super) fn supersede_pending(&mut self, topic: &TopicName, partition: i32) {
        if self.pending_offsets.is_empty() {
            return;
        }
        if let Some(pending) = self.pending_offsets.get_mut(&(topic.clone(), partition)) {
            pending.iter_mut().for_each(|p| p.superseded = true);
        }
    }

    pub(super) fn has_pending_offset(&self, topic: &TopicName, partition: i32) -> bool {
        !self.pending_offsets.is_empty() && self.pending_offsets.contains_key(&(topic.clone(), partition))
    }

    /// Whether anything was written.
    fn txn_commit(&mut self, id: RequestId, request: TxnCommitOffsets, step: &mut Step<'_>) -> bool {
        if let Err(error) = self.validate_txn_commit(&request) {
            step.answer(id, Reply::TxnCommit(Err(error)));
            return false;
        }
        self.touch(&request.member.member_id, step);
        let mut after = 0;
        let mut results = Vec::with_capacity(request.offsets.len());
        for commit in request.offsets {
            let result = check_commit(&commit, step);
            if result.is_ok() {
                let record = self.offset_record(commit, None, step.now);
                self.replay_pending(request.producer, &record);
                after = step.log(self, Entry::InTransaction(request.producer, record));
            }
            results.push(result);
        }
        step.answer_after(id, after, Reply::TxnCommit(Ok(results)));
        after > 0
    }

    /// Old clients send neither member nor generation; unlike a plain commit, one during a rebalance is taken: the
    /// producer's transaction decides (KIP-447).
    fn validate_txn_commit(&self, request: &TxnCommitOffsets) -> Result<(), GroupError> {
        let member = &request.member;
        if let Some(consumer) = &self.consumer {
            let places = request.offsets.iter().map(|o| (o.topic_id, o.partition));
            return match consumer.validate_commit(&member.member_id, member.generation, places) {
                // The API has no code of its own for it.
                Err(GroupError::StaleMemberEpoch) => Err(GroupError::IllegalGeneration),
                result => result,
            };
        }
        if member.generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        let names_itself =
            member.generation >= 0 || !member.member_id.is_empty() || member.instance_id.is_some();
        if names_itself { self.validate_generation(member) } else { Ok(()) }
    }
}
