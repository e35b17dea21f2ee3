//! Groups of the consumer protocol, step by step.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::super::bench::*;
use super::super::*;
use super::*;
use crate::coordinator::config::Migration;
use crate::coordinator::consumer_record::Partitions;
use crate::coordinator::topics::{CatalogTopic, TopicCatalog, TopicFilter};
use crate::types::{LeaderEpoch, Offset, TopicId, TopicName};

pub(super) fn id(topic: &str) -> TopicId {
    let mut bytes = [0; 16];
    bytes[..topic.len()].copy_from_slice(topic.as_bytes());
    TopicId::from_bytes(bytes)
}

pub(super) fn catalog(version: u64, topics: &[(&str, i32)]) -> Arc<TopicCatalog> {
    let topic = |(name, partitions): &(&str, i32)| {
        (TopicName::new(name).unwrap(), CatalogTopic { id: id(name), partitions: *partitions })
    };
    Arc::new(TopicCatalog::new(version, topics.iter().map(topic)))
}

pub(super) fn parts(topic: &str, partitions: impl IntoIterator<Item = i32>) -> Partitions {
    let of_topic: BTreeSet<i32> = partitions.into_iter().collect();
    if of_topic.is_empty() { Partitions::new() } else { Partitions::from([(id(topic), of_topic)]) }
}

/// A member that has nothing new to say.
pub(super) fn beat(member: &str, epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        group: GROUP.into(),
        member_id: member.to_owned(),
        epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        topics: None,
        regex: None,
        assignor: None,
        owned: None,
        session_timeout: None,
        heartbeat_interval: None,
        assignment_interval: None,
        shows: TopicFilter::default(),
        fresh_id: uuid::Uuid::from_u128(77),
        catalog: catalog(1, &[("t", 4)]),
    }
}

pub(super) fn joining(member: &str) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        rebalance_timeout_ms: Some(60_000),
        topics: Some(["t".to_owned()].into()),
        owned: Some(Partitions::new()),
        ..beat(member, 0)
    }
}

impl Bench {
    pub(super) fn beats(
        &mut self,
        heartbeat: ConsumerHeartbeat,
    ) -> Result<ConsumerHeartbeatReply, GroupError> {
        let id = self.ask(Request::ConsumerHeartbeat(heartbeat));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::ConsumerHeartbeat(result)) => result,
            other => panic!("no answer to a heartbeat: {other:?}"),
        }
    }

    pub(super) fn described(&mut self) -> Result<ConsumerDescription, GroupError> {
        let request = DescribeConsumerGroup { group: GROUP.into(), catalog: Arc::default() };
        let id = self.ask(Request::ConsumerDescribe(request));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::ConsumerDescribe(result)) => result,
            other => panic!("no answer to a describe: {other:?}"),
        }
    }

    /// Does what the shard wants done.
    pub(super) fn look_up(&mut self, catalog: &TopicCatalog) {
        for GroupTask::Resolve(task) in std::mem::take(&mut self.tasks) {
            let resolved = task.resolve(catalog);
            self.ask(Request::Resolved(resolved));
        }
    }

    fn commit_as(&mut self, member: &str, epoch: i32, partition: i32) -> Result<(), GroupError> {
        let member = Membership {
            group: GROUP.into(),
            member_id: member.into(),
            instance_id: None,
            generation: epoch,
        };
        let offsets = vec![CommitOffset {
            topic: TopicName::new("t").unwrap(),
            topic_id: id("t"),
            partition,
            offset: Offset(7),
            leader_epoch: LeaderEpoch::NONE,
            metadata: String::new(),
        }];
        let commit = CommitOffsets { member, retention_ms: None, knows_epochs: true, offsets };
        let id = self.ask(Request::Commit(commit));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::Commit(result)) => result?.remove(0),
            other => panic!("no answer to a commit: {other:?}"),
        }
    }

    pub(super) fn live_is_replayed(&self) {
        assert_eq!(self.memory(), self.failed_over().memory());
    }
}

/// Two members that share the topic: `a` has given back what is `b`'s.
fn two(bench: &mut Bench) -> (i32, i32) {
    bench.beats(joining("a")).unwrap();
    bench.beats(joining("b")).unwrap();
    let told = bench.beats(beat("a", 2)).unwrap();
    let keeps = told.assignment.unwrap();
    let a = bench.beats(ConsumerHeartbeat { owned: Some(keeps), ..beat("a", 2) }).unwrap();
    let b = bench.beats(beat("b", 3)).unwrap();
    assert_eq!((a.epoch, b.epoch), (3, 3));
    (a.epoch, b.epoch)
}

#[test]
fn a_first_member_gets_everything_with_its_first_heartbeat() {
    let mut bench = Bench::new(config());
    let reply = bench.beats(joining("a")).unwrap();
    assert_eq!((reply.epoch, reply.assignment), (2, Some(parts("t", 0..4))));
    assert_eq!(reply.heartbeat_interval.as_secs(), 5);
    assert_eq!(bench.beats(beat("a", 2)).unwrap().assignment, None, "nothing has changed");
    let described = bench.described().unwrap();
    assert_eq!((described.state, described.epoch, described.target_epoch), ("Stable", 2, 2));
    assert_eq!(described.assignor, "uniform");
    bench.live_is_replayed();
}

#[test]
fn a_partition_changes_hands_only_after_it_was_given_back() {
    let mut bench = Bench::new(config());
    bench.beats(joining("a")).unwrap();
    let b = bench.beats(joining("b")).unwrap();
    assert_eq!((b.epoch, b.assignment), (3, Some(Partitions::new())), "the first has them still");
    assert_eq!(bench.described().unwrap().state, "Reconciling");

    let told = bench.beats(beat("a", 2)).unwrap();
    assert_eq!((told.epoch, told.assignment), (2, Some(parts("t", 0..2))), "it is told to give two back");
    let shown = |bench: &mut Bench| bench.described().unwrap().members[0].assignment[0].2.len();
    assert_eq!(shown(&mut bench), 4, "and has them still");
    let still = ConsumerHeartbeat { owned: Some(parts("t", 0..4)), ..beat("a", 2) };
    assert_eq!(bench.beats(still).unwrap().epoch, 2);
    assert_eq!(bench.beats(beat("b", 3)).unwrap().assignment, None);

    let gave = ConsumerHeartbeat { owned: Some(parts("t", 0..2)), ..beat("a", 2) };
    assert_eq!(bench.beats(gave).unwrap().epoch, 3);
    assert_eq!(bench.beats(beat("b", 3)).unwrap().assignment, Some(parts("t", 2..4)));
    assert_eq!(bench.described().unwrap().state, "Stable");
    bench.live_is_replayed();
}

#[test]
fn a_member_without_topics_changes_nothing() {
    let mut bench = Bench::new(config());
    let idle = |member: &str| ConsumerHeartbeat { topics: Some(BTreeSet::new()), ..joining(member) };
    assert_eq!(bench.beats(idle("a")).unwrap().epoch, 1);
    bench.live_is_replayed();
    assert_eq!(bench.beats(joining("b")).unwrap().epoch, 2);
    assert_eq!(bench.beats(idle("c")).unwrap().epoch, 2);
    assert_eq!(bench.beats(beat("a", 1)).unwrap().epoch, 2);
    assert_eq!(bench.described().unwrap().state, "Stable");
    bench.live_is_replayed();
}

#[test]
fn a_member_that_does_not_give_back_in_time_is_out() {
    let mut bench = Bench::new(config());
    bench.beats(ConsumerHeartbeat { rebalance_timeout_ms: Some(10_000), ..joining("a") }).unwrap();
    bench.beats(joining("b")).unwrap();
    for _ in 0..3 {
        assert_eq!(bench.beats(beat("a", 2)).unwrap().epoch, 2);
        bench.pass_ms(4_000);
        let _ = bench.beats(beat("b", 3));
    }
    assert_eq!(bench.beats(beat("a", 2)), Err(GroupError::UnknownMember));
    let epoch = bench.described().unwrap().members[0].epoch;
    assert_eq!(
        bench.beats(ConsumerHeartbeat { owned: Some(Partitions::new()), ..beat("b", epoch) }).unwrap().epoch,
        4
    );
    assert_eq!(bench.described().unwrap().members[0].assignment[0].2, (0..4).collect());
}

#[test]
fn a_silent_member_is_out_and_its_partitions_go_to_the_others() {
    let mut bench = Bench::new(config());
    two(&mut bench);
    bench.pass_ms(44_000);
    bench.beats(beat("b", 3)).unwrap();
    bench.pass_ms(2_000);
    let reply = bench.beats(beat("b", 3)).unwrap();
    assert_eq!((reply.epoch, reply.assignment), (4, Some(parts("t", 0..4))));
    assert_eq!(bench.beats(beat("a", 3)), Err(GroupError::UnknownMember));
}

#[test]
fn a_wrong_epoch_is_fenced_but_for_the_one_before_whose_answer_was_lost() {
    let mut bench = Bench::new(config());
    two(&mut bench);
    assert_eq!(bench.beats(beat("a", 4)), Err(GroupError::FencedMemberEpoch));
    assert_eq!(bench.beats(beat("a", 2)), Err(GroupError::FencedMemberEpoch), "it does not say what it has");
    let more = ConsumerHeartbeat { owned: Some(parts("t", 0..3)), ..beat("a", 2) };
    assert_eq!(bench.beats(more), Err(GroupError::FencedMemberEpoch), "it has what it was not given");
    let less = ConsumerHeartbeat { owned: Some(parts("t", 0..1)), ..beat("a", 2) };
    assert_eq!(bench.beats(less).unwrap().epoch, 3);
    assert_eq!(bench.beats(beat("nobody", 3)), Err(GroupError::UnknownMember));
    assert_eq!(
        bench.beats(ConsumerHeartbeat { group: "none".into(), ..beat("a", 3) }),
        Err(GroupError::GroupNotFound)
    );
}

#[test]
fn a_join_whose_answer_was_lost_may_be_asked_again() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.beats(joining("a")).unwrap().epoch, 2);
    let again = bench.beats(joining("a")).unwrap();
    assert_eq!((again.epoch, again.assignment), (2, Some(parts("t", 0..4))));
}

#[test]
fn topics_that_grow_or_go_are_noticed_by_the_next_heartbeat() {
    let mut bench = Bench::new(config());
    bench.beats(joining("a")).unwrap();
    let grown = ConsumerHeartbeat { catalog: catalog(2, &[("t", 6), ("u", 1)]), ..beat("a", 2) };
    let reply = bench.beats(grown).unwrap();
    assert_eq!((reply.epoch, reply.assignment), (3, Some(parts("t", 0..6))));
    let gone = ConsumerHeartbeat { catalog: catalog(3, &[("u", 1)]), ..beat("a", 3) };
    assert_eq!(bench.beats(gone).unwrap().assignment, Some(Partitions::new()), "to be given back");
    let gave = ConsumerHeartbeat { owned: Some(Partitions::new()), ..beat("a", 3) };
    assert_eq!(bench.beats(gave).unwrap().epoch, 4);
    let other = ConsumerHeartbeat { topics: Some(["u".to_owned()].into()), ..beat("a", 4) };
    assert_eq!(bench.beats(other).unwrap().assignment, Some(parts("u", 0..1)));
    bench.live_is_replayed();
}

#[test]
fn an_expression_that_stands_for_too_many_topics_is_not_looked_up_again_at_once() {
    let mut bench = Bench::new(GroupConfig { max_batch_bytes: 2_000, ..config() });
    let names: Vec<String> = (0..200).map(|i| format!("t-{i:014}")).collect();
    let all = catalog(1, &names.iter().map(|name| (name.as_str(), 1)).collect::<Vec<_>>());
    let regex = Some(".*".to_owned());
    let joined =
        bench.beats(ConsumerHeartbeat { topics: None, regex, catalog: all.clone(), ..joining("a") }).unwrap();
    assert_eq!(bench.tasks.len(), 1);
    bench.look_up(&all);
    assert!(bench.tasks.is_empty());
    let reply = bench.beats(ConsumerHeartbeat { catalog: all.clone(), ..beat("a", joined.epoch) }).unwrap();
    assert_eq!(reply.epoch, joined.epoch, "nothing has changed");
}

#[test]
fn a_regular_expression_stands_for_the_topics_that_match_now_and_later() {
    let mut bench = Bench::new(config());
    let seen = TopicFilter::new(|t| t.as_str() != "ts");
    let first = catalog(1, &[("t", 1), ("ts", 1), ("x", 1)]);
    let join = ConsumerHeartbeat {
        topics: None,
        regex: Some("t.*".to_owned()),
        shows: seen.clone(),
        catalog: first.clone(),
        ..joining("a")
    };
    let joined = bench.beats(join).unwrap();
    assert_eq!((joined.epoch, joined.assignment), (1, Some(Partitions::new())), "nothing to assign yet");
    bench.look_up(&first);
    let with = |epoch, catalog: &Arc<TopicCatalog>| ConsumerHeartbeat {
        shows: seen.clone(),
        catalog: catalog.clone(),
        ..beat("a", epoch)
    };
    let reply = bench.beats(with(1, &first)).unwrap();
    assert_eq!((reply.epoch, reply.assignment), (2, Some(parts("t", 0..1))));
    bench.live_is_replayed();

    let second = catalog(2, &[("t", 1), ("ts", 1), ("tu", 2), ("x", 1)]);
    bench.pass_ms(5_000);
    bench.beats(with(2, &second)).unwrap();
    assert_eq!(bench.tasks.len(), 1);
    bench.beats(with(2, &second)).unwrap();
    assert_eq!(bench.tasks.len(), 1, "it is being looked up");
    bench.look_up(&second);
    let both: Partitions = parts("t", 0..1).into_iter().chain(parts("tu", 0..2)).collect();
    assert_eq!(bench.beats(with(2, &second)).unwrap().assignment, Some(both));

    let plain = ConsumerHeartbeat {
        regex: Some(String::new()),
        topics: Some(["x".to_owned()].into()),
        ..with(3, &second)
    };
    bench.beats(plain).unwrap();
    assert_eq!(
        bench
            .beats(ConsumerHeartbeat { owned: Some(Partitions::new()), ..with(3, &second) })
            .unwrap()
            .assignment,
        Some(parts("x", 0..1))
    );
    assert!(bench.memory()[GROUP].3.as_ref().unwrap().regexes.is_empty(), "it is nobody's any more");
    bench.live_is_replayed();
    let bad = ConsumerHeartbeat { regex: Some("(".to_owned()), ..joining("b") };
    assert!(matches!(bench.beats(bad), Err(GroupError::InvalidRegex(_))));
}

#[test]
fn a_static_member_that_is_away_keeps_its_partitions_for_whoever_comes_under_its_name() {
    let mut bench = Bench::new(config());
    let named =
        |member: &str, epoch| ConsumerHeartbeat { instance_id: Some("i".to_owned()), ..beat(member, epoch) };
    let joins = |member: &str| ConsumerHeartbeat { instance_id: Some("i".to_owned()), ..joining(member) };
    bench.beats(joins("a")).unwrap();
    assert_eq!(bench.beats(joins("b")), Err(GroupError::UnreleasedInstance("a".to_owned())));
    assert_eq!(bench.beats(named("b", 2)), Err(GroupError::FencedInstance));
    assert_eq!(bench.beats(named("a", -2)).unwrap().epoch, -2);
    bench.beats(joining("other")).unwrap();
    let back = bench.beats(joins("b")).unwrap();
    assert!(back.assignment.is_some());
    assert_eq!(bench.beats(named("a", 2)), Err(GroupError::FencedInstance));
    assert_eq!(bench.described().unwrap().members.len(), 2);
    bench.live_is_replayed();
    assert_eq!(bench.beats(named("b", -2)).unwrap().epoch, -2);
    bench.pass_ms(30_000);
    bench.beats(beat("other", 3)).unwrap();
    bench.pass_ms(20_000);
    assert_eq!(bench.described().unwrap().members.len(), 1, "away for too long");
    assert_eq!(bench.beats(named("b", -1)), Err(GroupError::UnknownMember));
}

#[test]
fn who_may_commit_and_ask_for_offsets() {
    let mut bench = Bench::new(config());
    bench.beats(joining("a")).unwrap();
    assert_eq!(bench.commit_as("a", 2, 0), Ok(()));
    assert_eq!(bench.commit_as("a", 3, 0), Err(GroupError::StaleMemberEpoch));
    assert_eq!(bench.commit_as("x", 2, 0), Err(GroupError::UnknownMember));
    assert_eq!(bench.commit_as("", -1, 0), Err(GroupError::UnknownMember), "the group has members");
    bench.beats(joining("b")).unwrap();
    bench.beats(beat("a", 2)).unwrap();
    bench.beats(ConsumerHeartbeat { owned: Some(parts("t", 0..2)), ..beat("a", 2) }).unwrap();
    assert_eq!(
        bench.commit_as("a", 2, 0),
        Ok(()),
        "at epoch 2 it had this partition, and has it still (KIP-1251)"
    );
    assert_eq!(bench.commit_as("a", 2, 3), Err(GroupError::StaleMemberEpoch), "this one it gave back");
    assert_eq!(bench.commit_as("b", 2, 2), Err(GroupError::StaleMemberEpoch));

    let mut fetch = |member: Option<&str>, epoch| {
        let member = (member.map(str::to_owned), epoch);
        let fetch = FetchOffsets { group: GROUP.into(), partitions: None, member, require_stable: false };
        let id = bench.ask(Request::Fetch(fetch));
        let Some(Reply::Fetch(result)) = bench.answer(id).map(|a| a.reply) else { panic!() };
        result.map(|f| f.len())
    };
    assert_eq!(fetch(None, -1), Ok(1));
    assert_eq!(fetch(Some("a"), 3), Ok(1));
    assert_eq!(fetch(Some("a"), 2), Err(GroupError::StaleMemberEpoch));
    assert_eq!(fetch(Some("x"), 2), Err(GroupError::UnknownMember));
}

#[test]
fn an_empty_group_can_be_deleted_and_leaves_nothing_behind() {
    let mut bench = Bench::new(config());
    bench.beats(joining("a")).unwrap();
    bench.commit_as("a", 2, 0).unwrap();
    assert_eq!(bench.delete(), Err(GroupError::GroupNotEmpty));
    assert_eq!(bench.beats(beat("a", -1)).unwrap().epoch, -1);
    assert_eq!(bench.described().unwrap().state, "Empty");
    assert_eq!(bench.describe(), Err(GroupError::OtherProtocol));
    assert_eq!(bench.delete(), Ok(()));
    assert!(bench.failed_over().shard.is_empty());
    assert_eq!(bench.described(), Err(GroupError::GroupNotFound));
}

#[test]
fn what_no_group_takes() {
    let mut bench = Bench::new(GroupConfig { consumer_max_size: 1, ..config() });
    let sticky = ConsumerHeartbeat { assignor: Some("sticky".to_owned()), ..joining("a") };
    assert_eq!(bench.beats(sticky), Err(GroupError::UnsupportedAssignor("sticky".to_owned())));
    assert_eq!(
        bench.beats(ConsumerHeartbeat { group: "".into(), ..joining("a") }),
        Err(GroupError::InvalidGroupId)
    );
    assert_eq!(bench.beats(joining(&"x".repeat(40_000))), Err(GroupError::NameTooLong));
    let topics = Some((0..200_000).map(|i| format!("topic-{i}")).collect());
    assert_eq!(bench.beats(ConsumerHeartbeat { topics, ..joining("a") }), Err(GroupError::MetadataTooLarge));
    assert!(bench.memory().is_empty(), "nothing is left of what was refused");
    bench.beats(joining("a")).unwrap();
    assert_eq!(bench.beats(joining("b")), Err(GroupError::GroupFull));
    let reply =
        bench.beats(ConsumerHeartbeat { member_id: String::new(), group: "other".into(), ..joining("") });
    assert_eq!(reply.unwrap().member_id, uuid::Uuid::from_u128(77).to_string());
}

pub(super) fn classic(member: &str, owned: &[i32]) -> JoinGroup {
    let metadata = embedded::write_subscription(&["t"], &[("t", owned)]);
    JoinGroup {
        member_id: member.to_owned(),
        client_id: "classic".to_owned(),
        protocols: vec![("range".to_owned(), metadata)],
        id_before_join: false,
        catalog: catalog(1, &[("t", 4)]),
        ..super::super::bench::member("classic")
    }
}

fn assigned(bytes: &Bytes) -> BTreeSet<i32> {
    let partitions = embedded::assignment(bytes, &catalog(1, &[("t", 4)])).unwrap();
    partitions.into_values().flatten().collect()
}

impl Bench {
    pub(super) fn syncs(
        &mut self,
        joined: &Joined,
        assignments: Vec<(String, Bytes)>,
    ) -> Result<BTreeSet<i32>, GroupError> {
        let sync = SyncGroup {
            member: membership(joined),
            protocol_type: Some("consumer".into()),
            protocol: joined.protocol.clone(),
            assignments,
            catalog: catalog(1, &[("t", 4)]),
        };
        let id = self.ask(Request::Sync(sync));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::Sync(result)) => result.map(|s| assigned(&s.assignment)),
            other => panic!("no answer to a sync: {other:?}"),
        }
    }

    /// A classic group of one, who has all partitions.
    pub(super) fn one_classic(&mut self) -> Joined {
        let id = self.join(classic("", &[]));
        self.pass_ms(0);
        let joined = self.joined(id).unwrap();
        let all = embedded::write_assignment(&parts("t", 0..4), 1, &catalog(1, &[("t", 4)]));
        assert_eq!(self.syncs(&joined, vec![(joined.member_id.clone(), all)]).unwrap().len(), 4);
        joined
    }
}

#[test]
fn a_group_moves_to_the_consumer_protocol_and_back_while_it_lives() {
    let mut bench = Bench::new(config());
    let old = bench.one_classic();
    bench.commit(membership(&old), 0, 3).unwrap();

    let new = bench.beats(joining("new")).unwrap();
    assert_eq!((new.epoch, new.assignment), (2, Some(Partitions::new())), "the old one has all");
    assert_eq!(bench.committed(0).unwrap().offset.0, 3);
    bench.live_is_replayed();
    let described = bench.described().unwrap();
    assert_eq!(described.members.iter().map(|m| m.is_classic).collect::<Vec<_>>(), [true, false]);

    assert_eq!(bench.heartbeat(&old), Err(GroupError::RebalanceInProgress));
    let id = bench.join(classic(&old.member_id, &[0, 1, 2, 3]));
    let again = bench.joined(id).unwrap();
    assert_eq!(again.generation, 1, "it has to give something back first");
    let keeps = bench.syncs(&again, Vec::new()).unwrap();
    assert_eq!(keeps.len(), 2);
    assert_eq!(bench.heartbeat(&again), Err(GroupError::RebalanceInProgress));
    let owned: Vec<i32> = keeps.iter().copied().collect();
    let id = bench.join(classic(&old.member_id, &owned));
    let settled = bench.joined(id).unwrap();
    assert_eq!(settled.generation, 2);
    assert_eq!(bench.syncs(&settled, Vec::new()).unwrap(), keeps);
    assert_eq!(bench.heartbeat(&settled), Ok(()));
    assert_eq!(bench.beats(beat("new", 2)).unwrap().assignment.unwrap().into_values().flatten().count(), 2);
    assert_eq!(bench.described().unwrap().state, "Stable");
    bench.live_is_replayed();

    bench.beats(beat("new", -1)).unwrap();
    assert_eq!(bench.state(), "PreparingRebalance", "the last of the consumer protocol has left");
    assert_eq!(bench.described(), Err(GroupError::OtherProtocol));
    let id = bench.join(classic(&old.member_id, &owned));
    let last = bench.joined(id).unwrap();
    assert!(last.generation > settled.generation);
    assert_eq!(last.leader, old.member_id);
    bench.live_is_replayed();
}

#[test]
fn members_of_the_classic_protocol_leave_and_fall_silent_as_others_do() {
    let mut bench = Bench::new(config());
    let old = bench.one_classic();
    bench.beats(joining("new")).unwrap();
    bench.leave(&old.member_id, None).unwrap();
    let all = bench.beats(beat("new", 2)).unwrap();
    assert_eq!((all.epoch, all.assignment), (3, Some(parts("t", 0..4))));
    assert_eq!(bench.leave("new", None), Err(GroupError::UnknownMember), "it does not speak that protocol");

    let first = bench.join(JoinGroup { id_before_join: true, ..classic("", &[]) });
    let Err(GroupError::MemberIdRequired(given)) = bench.joined(first) else { panic!() };
    let second = bench.join(classic(&given, &[]));
    let joined = bench.joined(second).unwrap();
    assert_eq!(joined.member_id, given);
    bench.pass_ms(11_000);
    assert_eq!(bench.described().unwrap().members.len(), 1, "its own session is 10 s");
    bench.live_is_replayed();
}

#[test]
fn a_group_that_must_not_change_over_does_not() {
    let off = Migration { upgrades: false, downgrades: false };
    let mut bench = Bench::new(GroupConfig { migration: off, ..config() });
    let old = bench.one_classic();
    assert_eq!(bench.beats(joining("new")), Err(GroupError::OtherProtocol));
    assert_eq!(bench.heartbeat(&old), Ok(()));
    bench.leave(&old.member_id, None).unwrap();
    assert_eq!(bench.beats(joining("new")).unwrap().epoch, 2, "an empty group may");
    let id = bench.join(classic("", &[]));
    bench.joined(id).unwrap();
    bench.beats(beat("new", -1)).unwrap();
    assert!(bench.described().is_ok(), "it does not go back while it has members");

    let mut connect = Bench::new(config());
    connect.join(JoinGroup { protocol_type: "connect".to_owned(), ..classic("", &[]) });
    connect.pass_ms(0);
    assert_eq!(connect.beats(joining("new")), Err(GroupError::OtherProtocol));
}

#[test]
fn an_empty_group_of_the_consumer_protocol_takes_classic_members_and_keeps_its_offsets() {
    let mut bench = Bench::new(config());
    bench.beats(joining("a")).unwrap();
    bench.commit_as("a", 2, 0).unwrap();
    bench.beats(beat("a", -1)).unwrap();
    bench.one_classic();
    assert_eq!(bench.state(), "Stable");
    assert_eq!(bench.committed(0).unwrap().offset.0, 7);
    bench.live_is_replayed();
}

#[test]
fn after_a_failover_members_go_on_where_they_were() {
    let mut bench = Bench::new(config());
    bench.beats(joining("a")).unwrap();
    bench.beats(joining("b")).unwrap();
    bench.beats(beat("a", 2)).unwrap();
    let mut next = bench.failed_over();
    assert_eq!(next.beats(beat("a", 2)).unwrap().epoch, 2, "it is still to give back");
    let gave = ConsumerHeartbeat { owned: Some(parts("t", 0..2)), ..beat("a", 2) };
    assert_eq!(next.beats(gave).unwrap().epoch, 3);
    next.pass_ms(46_000);
    assert_eq!(next.described().unwrap().state, "Empty", "sessions and revocations end there too");
}
