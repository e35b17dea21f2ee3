//! All groups of one partition of `__consumer_offsets`, as a pure state machine.
//!
//! A group is of the classic protocol, or of the consumer protocol (`consumer`); its offsets are kept in the same way.
//!
//! `(state, event, now) → (records, replies)`: no clock, no socket and no task inside. What must survive (each
//! group's last complete generation and its offsets) changes only in `replay`, which a live decision runs through
//! as well; who is joining, who is silent and who waits for an answer is soft state and starts anew after a
//! failover, when the members of the remembered generation get a fresh session. Invariants:
//!
//! - a generation's number is given to one set of members, and all of them get parts of one assignment;
//! - a stable or empty group equals what replaying its records gives (checked after every event in debug builds);
//! - every request is answered exactly once, at the latest when a phase times out.

mod admin;
#[cfg(test)]
mod bench;
pub mod consumer;
mod join;
mod member;
mod offsets;
mod request;
mod state;
mod subscriptions;
mod sync;
mod timers;
mod transactions;

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transaction_tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use request::{
    Answer, BeginTxnCommit, CLASSIC, CONSUMER, CommitOffset, CommitOffsets, CompleteTransaction, DeleteGroup,
    DeleteOffsets, DeletedOffset, DescribeGroup, FetchOffsets, FetchedOffset, GroupDescription, GroupListing,
    JoinGroup, Joined, JoinedMember, LeaveGroup, LeavingMember, Left, ListGroups, MemberDescription,
    Membership, Now, Reply, Request, RequestId, SyncGroup, Synced, TxnBegun, TxnCommitOffsets,
};
pub use transactions::LastMarkers;

use bytes::Bytes;

use super::config::GroupConfig;
use super::record::{GroupId, Record};
use super::records::{self, InvalidRecord};
use super::shard::{Entry, LogLimits, Shard};
use super::topics::TopicCatalog;
use crate::env::MonoTime;
use crate::types::{LeaderEpoch, Offset};
use crate::wire::EncodeError;
use state::Group;
use timers::{Timer, Timers};
use transactions::Transactions;

/// Why a group refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The empty name, where a group is needed.
    #[error("the group id is empty")]
    InvalidGroupId,
    /// A text is longer than a record can keep.
    #[error("a name of the request is too long")]
    NameTooLong,
    /// Outside `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
    #[error("the session timeout is outside the bounds of the broker")]
    InvalidSessionTimeout,
    /// No protocol is common to all members, or the type differs.
    #[error("no protocol in common with the group")]
    InconsistentProtocol,
    /// The member is not in the group (any more).
    #[error("unknown member")]
    UnknownMember,
    /// Another member has taken over the static id.
    #[error("another member has the group instance id")]
    FencedInstance,
    /// The member is in another generation.
    #[error("not the current generation")]
    IllegalGeneration,
    /// The member should rejoin.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// Join again with this member id (KIP-394).
    #[error("join again with member id {0}")]
    MemberIdRequired(String),
    /// `group.max.size` is reached, or too many member ids are pending.
    #[error("the group is full")]
    GroupFull,
    /// This shard keeps as many groups as it may.
    #[error("the coordinator keeps too many groups")]
    TooManyGroups,
    /// The metadata or the assignment is larger than a record may be.
    #[error("the group's metadata is too large")]
    MetadataTooLarge,
    /// The text kept with an offset is longer than `offset.metadata.max.bytes`.
    #[error("the metadata of the offset is too large")]
    OffsetMetadataTooLarge,
    /// There is no such group.
    #[error("the group does not exist")]
    GroupNotFound,
    /// The group is there, but of the other protocol (classic, consumer), and may not change over.
    #[error("the group is of another protocol")]
    OtherProtocol,
    /// The epoch is not the member's: it must give up all it has and join anew.
    #[error("the member epoch is not the current one; give up all partitions and join again")]
    FencedMemberEpoch,
    /// The epoch is not the member's, or not any more; it learns the new one by its next heartbeat.
    #[error("the member epoch is not the current one")]
    StaleMemberEpoch,
    /// A living member has the static id.
    #[error("the group instance id is owned by member {0}")]
    UnreleasedInstance(String),
    /// No assignor of that name is offered.
    #[error("the assignor {0} is not offered")]
    UnsupportedAssignor(String),
    /// The regular expression cannot be used.
    #[error("the regular expression is not valid: {0}")]
    InvalidRegex(String),
    /// The member must use a version that knows member epochs.
    #[error("members of the consumer protocol must use a version that knows member epochs")]
    VersionTooOld,
    /// The group has members.
    #[error("the group is not empty")]
    GroupNotEmpty,
    /// A member is subscribed to the topic.
    #[error("the group is subscribed to the topic")]
    SubscribedToTopic,
    /// The producer's transaction was ended since its coordinator was asked, or is of another epoch.
    #[error("the producer's transaction is not open any more")]
    TransactionEnded,
    /// A marker of a former life of the producer.
    #[error("the marker's producer epoch is over")]
    MarkerFenced,
    /// The marker was asked of another leader epoch: it may have come late.
    #[error("the marker was asked for in another leader epoch")]
    MarkerOfOtherEpoch,
    /// A marker of a coordinator that has been replaced.
    #[error("the marker's coordinator has been replaced")]
    CoordinatorFenced,
}

/// What follows from an event.
pub type Output = super::shard::Output<Record, Reply, GroupTask>;

/// What a shard wants done.
#[derive(Debug, Clone)]
pub enum GroupTask {
    /// Topics of regular expressions are to be looked up; [`Request::Resolved`] brings them.
    Resolve(consumer::ResolvePatterns),
}

/// The groups of one partition.
#[derive(Debug)]
pub struct GroupShard {
    config: Arc<GroupConfig>,
    groups: BTreeMap<GroupId, Group>,
    /// The topics, as the newest event showed them.
    topics: Arc<TopicCatalog>,
    timers: Timers,
    decided: u64,
    /// When a group was last removed, counted in records: reads of absent groups wait for it.
    removed_at: u64,
    transactions: Transactions,
    /// Under which this leads its partition.
    epoch: LeaderEpoch,
}

/// One event being decided: the world outside the group it concerns.
struct Step<'a> {
    config: &'a GroupConfig,
    topics: &'a TopicCatalog,
    now: Now,
    timers: &'a mut Timers,
    decided: &'a mut u64,
    out: &'a mut Output,
}

impl Step<'_> {
    fn answer(&mut self, id: RequestId, reply: Reply) {
        self.answer_after(id, 0, reply);
    }

    fn answer_after(&mut self, id: RequestId, after: u64, reply: Reply) {
        self.out.answers.push(Answer { id, after, reply });
    }

    /// Decides a record: replays it, and hands it out to be appended. Returns what an answer must wait for.
    fn write(&mut self, group: &mut Group, record: Record) -> u64 {
        group.replay(&record);
        self.log(group, Entry::Record(record))
    }

    fn log(&mut self, group: &mut Group, entry: Entry<Record>) -> u64 {
        *self.decided += 1;
        group.last_write = *self.decided;
        self.out.entries.push(entry);
        *self.decided
    }
}

impl GroupShard {
    /// An empty shard, ready to replay.
    #[must_use]
    pub fn new(config: Arc<GroupConfig>) -> GroupShard {
        GroupShard {
            config,
            groups: BTreeMap::new(),
            topics: Arc::default(),
            timers: Timers::default(),
            decided: 0,
            removed_at: 0,
            transactions: Transactions::default(),
            epoch: LeaderEpoch::NONE,
        }
    }

    /// Takes one entry of the log; only before [`Self::start`].
    pub fn replay(&mut self, entry: &Entry<Record>) {
        match entry {
            Entry::Record(record) => {
                let group = self.group_of(record);
                group.replay(record);
                if group.is_forgotten() {
                    self.groups.remove(record.group());
                }
            }
            Entry::InTransaction(producer, record) => {
                self.group_of(record).replay_pending(*producer, record);
                self.transactions.add(*producer, record.group());
            }
            Entry::Marker(marker) => {
                for id in self.transactions.end(marker) {
                    let Some(group) = self.groups.get_mut(&id) else { continue };
                    group.replay_end(marker);
                    if group.is_forgotten() {
                        self.groups.remove(&id);
                    }
                }
            }
        }
    }

    fn group_of(&mut self, record: &Record) -> &mut Group {
        let id = record.group();
        self.groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone()))
    }

    /// Ends the replay: the members of each remembered generation get a fresh session.
    pub fn start(&mut self, now: Now) {
        let mut out = Output::default();
        let mut step = Step {
            config: &self.config,
            topics: &self.topics,
            now,
            timers: &mut self.timers,
            decided: &mut self.decided,
            out: &mut out,
        };
        for group in self.groups.values_mut() {
            group.restore(&mut step);
        }
        self.timers.set(now.mono + self.config.offsets_retention_check_interval, Timer::Expiry);
    }

    /// When [`Self::on_time`] is due next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoTime> {
        self.timers.next()
    }

    /// How many groups there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is no group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Decides one request. Its answer may come in a later output, but does come.
    pub fn decide(&mut self, id: RequestId, request: Request, now: Now) -> Output {
        let mut out = Output::default();
        match request {
            Request::Join(r) => self.join(id, r, now, &mut out),
            Request::Sync(r) => {
                self.see(&r.catalog);
                self.with(&r.member.group.clone(), now, &mut out, |group, step| match group {
                    Some(group) if group.consumer.is_some() => group.sync_consumer(id, &r, step),
                    Some(group) => group.sync(id, r, step),
                    None => step.answer(id, Reply::Sync(Err(GroupError::UnknownMember))),
                });
            }
            Request::Heartbeat(r) => self.with(&r.group.clone(), now, &mut out, |group, step| {
                let result = group.ok_or(GroupError::UnknownMember).and_then(|g| match g.consumer {
                    Some(_) => g.heartbeat_consumer(&r, step),
                    None => g.heartbeat(&r, step),
                });
                step.answer(id, Reply::Heartbeat(result));
            }),
            Request::Leave(r) => self.with(&r.group.clone(), now, &mut out, |group, step| match group {
                Some(group) if group.consumer.is_some() => group.leave_consumer(id, r.members, step),
                Some(group) => group.leave(id, r.members, step),
                None => step.answer(id, Reply::Leave(Err(GroupError::UnknownMember))),
            }),
            Request::Commit(r) => self.commit(id, r, now, &mut out),
            Request::Fetch(r) => self.fetch(id, &r, &mut out),
            Request::Describe(r) => self.describe(id, &r.0, &mut out),
            Request::List(filter) => self.list(id, &filter, &mut out),
            Request::Delete(r) => self.delete(id, &r.0, now, &mut out),
            Request::DeleteOffsets(r) => self.delete_offsets(id, &r, now, &mut out),
            Request::BeginTxn(r) => self.begin_txn(id, r.0, &mut out),
            Request::TxnCommit(r) => self.txn_commit(id, r, now, &mut out),
            Request::Complete(r) => self.complete(id, r, now, &mut out),
            Request::TopicsDeleted(topics) => self.forget_topics(id, &topics, now, &mut out),
            Request::ConsumerHeartbeat(r) => self.consumer_heartbeat(id, r, now, &mut out),
            Request::ConsumerDescribe(r) => self.describe_consumer(id, &r, &mut out),
            Request::Resolved(resolved) => self.resolved(resolved, now, &mut out),
        }
        out
    }

    /// Ends what is due: sessions, phases of rebalances, pending member ids, expired offsets.
    pub fn on_time(&mut self, now: Now) -> Output {
        let mut out = Output::default();
        while let Some((at, timer)) = self.timers.pop(now.mono) {
            match timer {
                Timer::Expiry => {
                    self.expire_offsets(now, &mut out);
                    self.timers.set(now.mono + self.config.offsets_retention_check_interval, Timer::Expiry);
                }
                Timer::Phase(group) => self.with(&group, now, &mut out, |group, step| {
                    if let Some(group) = group {
                        group.on_phase_timer(at, step);
                    }
                }),
                Timer::Session(group, member) => self.with(&group, now, &mut out, |group, step| {
                    if let Some(group) = group {
                        group.on_session_timer(at, &member, step);
                    }
                }),
                Timer::Consumer(group, member, alarm) => self.with(&group, now, &mut out, |group, step| {
                    if let Some(group) = group {
                        group.on_consumer_alarm(at, &member, alarm, step);
                    }
                }),
                Timer::Pending(group, member) => self.with(&group, now, &mut out, |group, step| {
                    if let Some(group) = group {
                        group.drop_pending(&member, step);
                        group.maybe_complete_join(step);
                    }
                }),
            }
        }
        out
    }

    fn join(&mut self, id: RequestId, request: JoinGroup, now: Now, out: &mut Output) {
        self.see(&request.catalog);
        let mut refuse = |error| out.answers.push(Answer { id, after: 0, reply: Reply::Join(Err(error)) });
        if let Err(error) = join::check(&request, &self.config) {
            return refuse(error);
        }
        if !self.groups.contains_key(&request.group) {
            if !request.member_id.is_empty() {
                return refuse(GroupError::UnknownMember);
            }
            if let Err(error) = self.create(&request.group) {
                return refuse(error);
            }
        }
        self.with(&request.group.clone(), now, out, |group, step| match group {
            Some(group) => {
                if group.consumer.as_ref().is_some_and(|c| c.is_empty()) {
                    group.forget_group(step);
                }
                match group.consumer {
                    Some(_) => group.join_consumer(id, &request, step),
                    None => group.join(id, request, step),
                }
            }
            None => step.answer(id, Reply::Join(Err(GroupError::UnknownMember))),
        });
    }

    fn create(&mut self, group: &GroupId) -> Result<(), GroupError> {
        if self.groups.len() >= self.config.max_groups {
            return Err(GroupError::TooManyGroups);
        }
        self.groups.entry(group.clone()).or_insert_with(|| Group::new(group.clone()));
        Ok(())
    }

    /// Runs one event of a group, and drops the group when nothing of it is left.
    fn with(
        &mut self,
        id: &GroupId,
        now: Now,
        out: &mut Output,
        event: impl FnOnce(Option<&mut Group>, &mut Step<'_>),
    ) {
        let mut step = Step {
            config: &self.config,
            topics: &self.topics,
            now,
            timers: &mut self.timers,
            decided: &mut self.decided,
            out,
        };
        let mut group = self.groups.get_mut(id);
        event(group.as_deref_mut(), &mut step);
        if let Some(group) = group {
            if cfg!(debug_assertions) {
                group.check();
            }
            if group.is_forgotten() && group.is_vacant() {
                self.removed_at = self.removed_at.max(group.last_write);
                self.groups.remove(id);
            }
        }
    }
}

impl Shard for GroupShard {
    type Config = GroupConfig;
    type Request = Request;
    type Reply = Reply;
    type Record = Record;
    type Task = GroupTask;
    type Memory = LastMarkers;
    const KEEPS: &'static str = "groups";

    fn new(config: Arc<GroupConfig>, epoch: LeaderEpoch, _end: Offset) -> GroupShard {
        GroupShard { epoch, ..GroupShard::new(config) }
    }

    fn limits(config: &GroupConfig) -> LogLimits {
        LogLimits {
            max_batch_bytes: config.max_batch_bytes,
            commit_timeout: config.commit_timeout,
            load_buffer_bytes: config.load_buffer_bytes,
        }
    }

    fn replay(&mut self, entry: &Entry<Record>) {
        GroupShard::replay(self, entry);
    }

    fn remember(&mut self, memory: LastMarkers) {
        self.transactions.remember(memory);
    }

    fn into_memory(self, committed: u64) -> LastMarkers {
        self.transactions.into_last(committed)
    }

    fn start(&mut self, now: Now) -> Output {
        GroupShard::start(self, now);
        Output::default()
    }

    fn kept(&self) -> usize {
        GroupShard::len(self)
    }

    fn next_deadline(&self) -> Option<MonoTime> {
        GroupShard::next_deadline(self)
    }

    fn decide(&mut self, id: RequestId, request: Request, now: Now) -> Output {
        GroupShard::decide(self, id, request, now)
    }

    fn on_time(&mut self, now: Now) -> Output {
        GroupShard::on_time(self, now)
    }

    fn encode(record: &Record) -> Result<(Bytes, Option<Bytes>), EncodeError> {
        records::encode(record)
    }

    fn decode(key: Option<Bytes>, value: Option<Bytes>) -> Result<Option<Record>, InvalidRecord> {
        records::decode(key, value)
    }

    fn size_bound(record: &Record) -> usize {
        record.size_bound()
    }
}
