//! A shard on the bench: requests in, answers out, a clock that stands still unless told, and the records it wrote.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::transactions::{PendingOffset, Place};
use super::*;
use crate::coordinator::compacted::Cleaning;
use crate::coordinator::record::{CommittedOffset, GroupMetadata};
use crate::types::{LeaderEpoch, Offset, TopicId, TopicName};

pub(super) const GROUP: &str = "orders";

/// What a shard remembers of one group: its generation, its offsets, those of open transactions, and all of a group of
/// the consumer protocol.
type Memory = (
    Option<GroupMetadata>,
    BTreeMap<TopicName, BTreeMap<i32, CommittedOffset>>,
    BTreeMap<Place, Vec<PendingOffset>>,
    Option<consumer::Memory>,
);

pub(super) struct Bench {
    pub(super) shard: GroupShard,
    pub(super) now: Now,
    pub(super) log: Vec<Entry<Record>>,
    /// What the shard wants done.
    pub(super) tasks: Vec<GroupTask>,
    answers: BTreeMap<RequestId, Answer>,
    next_id: u64,
    ids: u128,
}

/// Nothing waits for more to come.
pub(super) fn config() -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay: Duration::ZERO,
        consumer_assignment_interval: Duration::ZERO,
        ..GroupConfig::default()
    }
}

impl Bench {
    pub(super) fn new(config: GroupConfig) -> Bench {
        let mut shard = GroupShard::new(Arc::new(config));
        let now =
            Now { mono: MonoTime::default() + Duration::from_secs(1), wall_ms: 1_000_000, may_expire: true };
        shard.start(now);
        Bench { shard, now, log: Vec::new(), tasks: Vec::new(), answers: BTreeMap::new(), next_id: 0, ids: 0 }
    }

    /// As after a failover: a new shard from the records of this one.
    pub(super) fn failed_over(&self) -> Bench {
        self.failed_over_with(self.log.clone())
    }

    /// As after a compaction and a failover.
    pub(super) fn cleaned(&self, cleaning: Cleaning) -> Bench {
        self.failed_over_with(cleaning.clean::<GroupShard>(&self.log))
    }

    /// As after a failed write: a new shard of the same epoch, from the first records of this one.
    pub(super) fn loaded_anew(self, committed: usize) -> Bench {
        let mut log = self.log.clone();
        log.truncate(committed);
        let mut bench = self.failed_over_with(log);
        bench.shard.remember(self.shard.into_memory(committed as u64));
        bench
    }

    fn failed_over_with(&self, log: Vec<Entry<Record>>) -> Bench {
        let mut shard = GroupShard::new(self.shard.config.clone());
        for record in &log {
            shard.replay(record);
        }
        shard.start(self.now);
        Bench {
            shard,
            now: self.now,
            log,
            tasks: Vec::new(),
            answers: BTreeMap::new(),
            next_id: self.next_id,
            ids: self.ids,
        }
    }

    pub(super) fn ask(&mut self, request: Request) -> RequestId {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let output = self.shard.decide(id, request, self.now);
        self.take(output);
        id
    }

    fn take(&mut self, output: Output) {
        self.log.extend(output.entries);
        self.tasks.extend(output.tasks.into_iter().map(|(_, task)| task));
        for answer in output.answers {
            assert!(answer.after <= self.log.len() as u64, "waits for what was never decided: {answer:?}");
            let earlier = self.answers.insert(answer.id, answer);
            assert!(earlier.is_none(), "answered twice: {earlier:?}");
        }
    }

    /// Lets time pass, timer by timer.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        let end_ms = self.now.wall_ms + i64::try_from(time.as_millis()).unwrap();
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) {
            let step = due.since(self.now.mono);
            self.now.wall_ms += i64::try_from(step.as_millis()).unwrap();
            self.now.mono = self.now.mono + step;
            let output = self.shard.on_time(self.now);
            self.take(output);
        }
        self.now = Now { mono: end, wall_ms: end_ms, ..self.now };
    }

    pub(super) fn pass_ms(&mut self, ms: u64) {
        self.pass(Duration::from_millis(ms));
    }

    pub(super) fn answer(&mut self, id: RequestId) -> Option<Answer> {
        self.answers.remove(&id)
    }

    pub(super) fn is_waiting(&self, id: RequestId) -> bool {
        !self.answers.contains_key(&id)
    }

    pub(super) fn join(&mut self, request: JoinGroup) -> RequestId {
        self.ids += 1;
        let fresh_id = Uuid::from_u128(self.ids);
        self.ask(Request::Join(JoinGroup { fresh_id, ..request }))
    }

    pub(super) fn joined(&mut self, id: RequestId) -> Result<Joined, GroupError> {
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::Join(result)) => result,
            other => panic!("no answer to a join: {other:?}"),
        }
    }

    pub(super) fn sync(&mut self, joined: &Joined, assignments: &[(&str, &'static str)]) -> RequestId {
        let assignments =
            assignments.iter().map(|(m, a)| ((*m).to_owned(), Bytes::from_static(a.as_bytes()))).collect();
        self.ask(Request::Sync(SyncGroup {
            member: membership(joined),
            protocol_type: Some("consumer".into()),
            protocol: joined.protocol.clone(),
            assignments,
            catalog: Arc::default(),
        }))
    }

    pub(super) fn synced(&mut self, id: RequestId) -> Result<String, GroupError> {
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::Sync(result)) => result.map(|s| String::from_utf8(s.assignment.to_vec()).unwrap()),
            other => panic!("no answer to a sync: {other:?}"),
        }
    }

    pub(super) fn heartbeat(&mut self, joined: &Joined) -> Result<(), GroupError> {
        let id = self.ask(Request::Heartbeat(membership(joined)));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::Heartbeat(result)) => result,
            other => panic!("no answer to a heartbeat: {other:?}"),
        }
    }

    pub(super) fn leave(&mut self, member_id: &str, instance_id: Option<&str>) -> Result<(), GroupError> {
        let member = LeavingMember {
            member_id: member_id.to_owned(),
            instance_id: instance_id.map(str::to_owned),
            reason: None,
        };
        let id = self.ask(Request::Leave(LeaveGroup { group: GROUP.into(), members: vec![member] }));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::Leave(result)) => result?.remove(0).result,
            other => panic!("no answer to a leave: {other:?}"),
        }
    }

    pub(super) fn commit(
        &mut self,
        member: Membership,
        partition: i32,
        offset: i64,
    ) -> Result<(), GroupError> {
        self.commit_with(member, partition, offset, "", None)
    }

    pub(super) fn commit_with(
        &mut self,
        member: Membership,
        partition: i32,
        offset: i64,
        metadata: &str,
        retention_ms: Option<i64>,
    ) -> Result<(), GroupError> {
        let offsets = vec![CommitOffset {
            topic: topic(),
            topic_id: TopicId::ZERO,
            partition,
            offset: Offset(offset),
            leader_epoch: LeaderEpoch(3),
            metadata: metadata.to_owned(),
        }];
        let id =
            self.ask(Request::Commit(CommitOffsets { member, retention_ms, knows_epochs: true, offsets }));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::Commit(result)) => result?.remove(0),
            other => panic!("no answer to a commit: {other:?}"),
        }
    }

    pub(super) fn committed(&mut self, partition: i32) -> Option<CommittedOffset> {
        let partitions = Some(vec![(topic(), TopicId::ZERO, partition)]);
        let id = self.ask(Request::Fetch(FetchOffsets {
            group: GROUP.into(),
            partitions,
            member: (None, -1),
            require_stable: false,
        }));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::Fetch(Ok(mut fetched))) => fetched.remove(0).committed,
            other => panic!("no answer to a fetch: {other:?}"),
        }
    }

    pub(super) fn describe(&mut self) -> Result<GroupDescription, GroupError> {
        let id = self.ask(Request::Describe(DescribeGroup(GROUP.into())));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::Describe(result)) => result,
            other => panic!("no answer to a describe: {other:?}"),
        }
    }

    pub(super) fn state(&mut self) -> &'static str {
        self.describe().map_or("Dead", |d| d.state)
    }

    pub(super) fn delete(&mut self) -> Result<(), GroupError> {
        let id = self.ask(Request::Delete(DeleteGroup(GROUP.into())));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::Delete(result)) => result,
            other => panic!("no answer to a delete: {other:?}"),
        }
    }

    /// Joins dynamic members the way of a new client, completes the rebalance, and assigns `for <member>` to each.
    pub(super) fn stable(&mut self, clients: &[&str]) -> Vec<Joined> {
        let requests = clients.iter().map(|client| {
            let first = self.join(member(client));
            let Err(GroupError::MemberIdRequired(id)) = self.joined(first) else { panic!("no id was given") };
            JoinGroup { member_id: id, ..member(client) }
        });
        let requests: Vec<JoinGroup> = requests.collect();
        self.settle(requests)
    }

    /// Sends the joins, and once all are in the generation, the syncs.
    pub(super) fn settle(&mut self, requests: Vec<JoinGroup>) -> Vec<Joined> {
        let ids: Vec<RequestId> = requests.into_iter().map(|r| self.join(r)).collect();
        self.pass_ms(0);
        let joined: Vec<Joined> = ids.into_iter().map(|id| self.joined(id).unwrap()).collect();
        self.assign(&joined);
        joined
    }

    /// Everyone syncs, the leader with an assignment for each.
    pub(super) fn assign(&mut self, joined: &[Joined]) {
        let parts: Vec<(String, Bytes)> = joined
            .iter()
            .map(|j| (j.member_id.clone(), Bytes::from(format!("for {}", j.member_id))))
            .collect();
        let ids: Vec<RequestId> = joined
            .iter()
            .map(|j| {
                let assignments = if j.leader == j.member_id { parts.clone() } else { Vec::new() };
                self.ask(Request::Sync(SyncGroup {
                    member: membership(j),
                    protocol_type: None,
                    protocol: None,
                    assignments,
                    catalog: Arc::default(),
                }))
            })
            .collect();
        for (id, joined) in ids.into_iter().zip(joined) {
            assert_eq!(self.synced(id), Ok(format!("for {}", joined.member_id)));
        }
    }

    pub(super) fn memory(&self) -> BTreeMap<GroupId, Memory> {
        self.shard
            .groups
            .iter()
            .filter(|(_, g)| !g.is_forgotten())
            .map(|(id, g)| {
                let consumer = g.consumer.as_ref().map(|c| c.memory.clone());
                (id.clone(), (g.stored.clone(), g.offsets.clone(), g.pending_offsets.clone(), consumer))
            })
            .collect()
    }
}

pub(super) fn topic() -> TopicName {
    TopicName::new("t").unwrap()
}

pub(super) fn member(client: &str) -> JoinGroup {
    JoinGroup {
        group: GROUP.into(),
        member_id: String::new(),
        instance_id: None,
        client_id: client.to_owned(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![
            ("range".into(), Bytes::from_static(b"r")),
            ("roundrobin".into(), Bytes::from_static(b"rr")),
        ],
        id_before_join: true,
        can_skip_assignment: true,
        reason: None,
        fresh_id: Uuid::nil(),
        catalog: Arc::default(),
    }
}

pub(super) fn static_member(instance: &str) -> JoinGroup {
    JoinGroup { instance_id: Some(instance.to_owned()), id_before_join: false, ..member(instance) }
}

pub(super) fn membership(joined: &Joined) -> Membership {
    Membership {
        group: GROUP.into(),
        member_id: joined.member_id.clone(),
        instance_id: None,
        generation: joined.generation,
    }
}

/// A consumer that assigns its partitions itself.
pub(super) fn simple() -> Membership {
    Membership { group: GROUP.into(), member_id: String::new(), instance_id: None, generation: -1 }
}
