//! The classic protocol, scene by scene.

use std::time::Duration;

use bytes::Bytes;

use super::bench::*;
use super::*;

fn rejoin(joined: &Joined, client: &str) -> JoinGroup {
    JoinGroup { member_id: joined.member_id.clone(), ..member(client) }
}

#[test]
fn a_new_member_joins_with_the_id_it_was_given() {
    let mut bench = Bench::new(config());
    let first = bench.join(member("c"));
    let Err(GroupError::MemberIdRequired(id)) = bench.joined(first) else { panic!() };
    assert!(id.starts_with("c-"), "{id}");
    let second = bench.join(JoinGroup { member_id: id.clone(), ..member("c") });
    bench.pass_ms(0);
    let joined = bench.joined(second).unwrap();
    assert_eq!((joined.generation, &joined.leader, &joined.member_id), (1, &id, &id));
    assert_eq!(joined.protocol.as_deref(), Some("range"));
    assert_eq!(joined.members.len(), 1);
}

#[test]
fn an_old_client_joins_without_an_id() {
    let mut bench = Bench::new(config());
    let id = bench.join(JoinGroup { id_before_join: false, ..member("c") });
    bench.pass_ms(0);
    assert_eq!(bench.joined(id).unwrap().generation, 1);
}

#[test]
fn the_first_rebalance_waits_for_more_members_but_not_longer_than_their_rebalance_timeout() {
    let delay = Duration::from_secs(3);
    let mut bench = Bench::new(GroupConfig { initial_rebalance_delay: delay, ..config() });
    let old = |client| JoinGroup { id_before_join: false, rebalance_timeout_ms: 7_000, ..member(client) };
    let mut ids = vec![bench.join(old("a"))];
    for client in ["b", "c", "d"] {
        bench.pass_ms(2_000);
        assert!(ids.iter().all(|id| bench.is_waiting(*id)));
        ids.push(bench.join(old(client)));
    }
    bench.pass_ms(999);
    assert!(bench.is_waiting(ids[0]), "6,999 ms: b and c and d have held it open");
    bench.pass_ms(1);
    for id in ids {
        assert_eq!(bench.joined(id).unwrap().generation, 1);
    }
}

#[test]
fn the_leaders_assignment_reaches_everyone_once_it_is_written_down() {
    let mut bench = Bench::new(config());
    let joined = bench.stable(&["a", "b"]);
    assert_eq!(bench.state(), "Stable");
    assert_eq!(bench.log.len(), 1, "one record for one generation");
    let again = bench.sync(&joined[1], &[]);
    let answer = bench.answer(again).unwrap();
    assert_eq!(answer.after, 1, "an answer that rests on the record waits for it");
    let description = bench.describe().unwrap();
    assert_eq!((description.protocol.as_str(), description.members.len()), ("range", 2));
    assert_eq!(&description.members[0].metadata[..], b"r");
}

#[test]
fn only_the_leader_is_told_the_members() {
    let mut bench = Bench::new(config());
    let joined = bench.stable(&["a", "b"]);
    let leader = joined.iter().position(|j| j.member_id == j.leader).unwrap();
    assert_eq!(joined[leader].members.len(), 2);
    assert!(joined[1 - leader].members.is_empty());
}

#[test]
fn a_newcomer_makes_all_rejoin_and_the_old_generation_is_fenced() {
    let mut bench = Bench::new(config());
    let old = bench.stable(&["a"]);
    let newcomer = bench.join(JoinGroup { id_before_join: false, ..member("b") });
    assert!(bench.is_waiting(newcomer));
    assert_eq!(bench.heartbeat(&old[0]), Err(GroupError::RebalanceInProgress));
    let again = bench.join(rejoin(&old[0], "a"));
    let joined = [bench.joined(again).unwrap(), bench.joined(newcomer).unwrap()];
    assert_eq!([joined[0].generation, joined[1].generation], [2, 2]);
    assert_eq!(bench.heartbeat(&old[0]), Err(GroupError::IllegalGeneration));
    assert_eq!(bench.commit(membership(&old[0]), 0, 5), Err(GroupError::IllegalGeneration));
    bench.assign(&joined);
    assert_eq!(bench.heartbeat(&joined[0]), Ok(()));
}

#[test]
fn a_member_that_does_not_rejoin_in_time_is_out() {
    let mut bench = Bench::new(config());
    let old = bench.stable(&["a", "b"]);
    let again = bench.join(rejoin(&old[0], "a"));
    let newcomer = bench.join(JoinGroup { id_before_join: false, ..member("c") });
    for _ in 0..12 {
        assert!(bench.is_waiting(newcomer));
        // b is alive, but does not rejoin.
        let _ = bench.heartbeat(&old[1]);
        bench.pass_ms(5_000);
    }
    let joined = [bench.joined(again).unwrap(), bench.joined(newcomer).unwrap()];
    assert_eq!(joined[0].generation, 2);
    assert_eq!(bench.heartbeat(&old[1]), Err(GroupError::UnknownMember));
    bench.assign(&joined);
}

#[test]
fn silence_ends_a_session_and_a_heartbeat_or_a_commit_prolongs_it() {
    let mut bench = Bench::new(config());
    let joined = bench.stable(&["a", "b"]);
    for round in 0..5 {
        bench.pass_ms(9_000);
        if round % 2 == 0 {
            assert_eq!(bench.heartbeat(&joined[0]), Ok(()));
            assert_eq!(bench.commit(membership(&joined[1]), 0, 1), Ok(()));
        } else {
            assert_eq!(bench.heartbeat(&joined[0]), Ok(()));
            assert_eq!(bench.heartbeat(&joined[1]), Ok(()));
        }
    }
    bench.pass_ms(9_000);
    bench.heartbeat(&joined[0]).unwrap();
    bench.pass_ms(1_000);
    assert_eq!(bench.state(), "PreparingRebalance", "b was silent for ten seconds");
    assert_eq!(bench.heartbeat(&joined[1]), Err(GroupError::UnknownMember));
    bench.pass_ms(60_000);
    assert_eq!(bench.state(), "Empty", "a did not come back either");
}

#[test]
fn who_waits_for_an_answer_does_not_die_of_silence() {
    let mut bench = Bench::new(config());
    let old = bench.stable(&["a", "b"]);
    let newcomer = bench.join(JoinGroup { id_before_join: false, ..member("c") });
    let a = bench.join(rejoin(&old[0], "a"));
    for _ in 0..9 {
        bench.pass_ms(6_000);
        let _ = bench.heartbeat(&old[1]);
    }
    let b = bench.join(rejoin(&old[1], "b"));
    assert!([a, b, newcomer].iter().all(|id| bench.joined(*id).is_ok()));
}

#[test]
fn a_member_that_never_asks_for_its_assignment_is_out() {
    let mut bench = Bench::new(config());
    let requests: Vec<_> = ["a", "b"]
        .iter()
        .map(|c| bench.join(JoinGroup { id_before_join: false, session_timeout_ms: 600_000, ..member(c) }))
        .collect();
    bench.pass_ms(0);
    let joined: Vec<_> = requests.into_iter().map(|id| bench.joined(id).unwrap()).collect();
    let leader = joined.iter().position(|j| j.member_id == j.leader).unwrap();
    let follower = bench.sync(&joined[1 - leader], &[]);
    bench.pass_ms(60_000);
    assert_eq!(bench.synced(follower), Err(GroupError::RebalanceInProgress));
    assert_eq!(bench.heartbeat(&joined[leader]), Err(GroupError::UnknownMember));
    assert_eq!(bench.heartbeat(&joined[1 - leader]), Err(GroupError::RebalanceInProgress));
}

#[test]
fn a_lost_answer_to_a_join_is_given_again() {
    let mut bench = Bench::new(config());
    let old = bench.stable(&["a", "b"]);
    let (leader, follower) = if old[0].member_id == old[0].leader { (0, 1) } else { (1, 0) };
    let clients = ["a", "b"];
    let same = bench.join(rejoin(&old[follower], clients[follower]));
    assert_eq!(bench.joined(same).unwrap().generation, 1, "a follower is where it should be");
    assert_eq!(bench.state(), "Stable");
    let wants_new = bench.join(rejoin(&old[leader], clients[leader]));
    assert!(bench.is_waiting(wants_new), "the leader rejoins to assign anew");
    let also = bench.join(rejoin(&old[follower], clients[follower]));
    let joined = bench.joined(wants_new).unwrap();
    assert_eq!(bench.joined(also).unwrap().generation, 2);
    let lost = bench.join(rejoin(&old[leader], clients[leader]));
    assert_eq!(bench.joined(lost).unwrap(), joined);
}

#[test]
fn changed_metadata_of_a_member_makes_a_rebalance() {
    let mut bench = Bench::new(config());
    let old = bench.stable(&["a", "b"]);
    let follower = usize::from(old[0].member_id == old[0].leader);
    let mut request = rejoin(&old[follower], ["a", "b"][follower]);
    request.protocols[0].1 = Bytes::from_static(b"another subscription");
    let id = bench.join(request);
    assert!(bench.is_waiting(id));
    assert_eq!(bench.state(), "PreparingRebalance");
}

#[test]
fn the_protocol_is_the_one_that_all_speak_and_most_want() {
    let mut bench = Bench::new(config());
    let speaks = |client, names: &[&str]| JoinGroup {
        protocols: names.iter().map(|n| ((*n).to_owned(), Bytes::new())).collect(),
        id_before_join: false,
        ..member(client)
    };
    let joined = bench.settle(vec![
        speaks("a", &["x", "y", "z"]),
        speaks("b", &["y", "z"]),
        speaks("c", &["w", "z", "y"]),
    ]);
    assert_eq!(joined[0].protocol.as_deref(), Some("y"));
    let alien = bench.join(speaks("d", &["w", "x"]));
    assert_eq!(bench.joined(alien), Err(GroupError::InconsistentProtocol));
    let connect = bench.join(JoinGroup { protocol_type: "connect".into(), ..speaks("e", &["y"]) });
    assert_eq!(bench.joined(connect), Err(GroupError::InconsistentProtocol));
}

#[test]
fn a_join_outside_the_bounds_is_refused() {
    let mut bench = Bench::new(GroupConfig { max_group_size: 2, max_pending_members: 3, ..config() });
    let mut refused = |request| {
        let id = bench.join(request);
        bench.joined(id).unwrap_err()
    };
    assert_eq!(
        refused(JoinGroup { session_timeout_ms: 5_999, ..member("c") }),
        GroupError::InvalidSessionTimeout
    );
    assert_eq!(
        refused(JoinGroup { session_timeout_ms: -1, ..member("c") }),
        GroupError::InvalidSessionTimeout
    );
    assert_eq!(refused(JoinGroup { group: "".into(), ..member("c") }), GroupError::InvalidGroupId);
    assert_eq!(refused(JoinGroup { protocols: vec![], ..member("c") }), GroupError::InconsistentProtocol);
    assert_eq!(refused(JoinGroup { member_id: "x".into(), ..member("c") }), GroupError::UnknownMember);
    assert_eq!(refused(JoinGroup { client_id: "x".repeat(32_767), ..member("c") }), GroupError::NameTooLong);
    for _ in 0..3 {
        assert!(matches!(refused(member("c")), GroupError::MemberIdRequired(_)));
    }
    assert_eq!(refused(member("c")), GroupError::GroupFull, "too many ids are pending");
    bench.pass_ms(10_000);
    assert!(bench.shard.is_empty(), "nobody came: nothing stays");

    bench.stable(&["a", "b"]);
    let third = bench.join(member("c"));
    assert_eq!(bench.joined(third), Err(GroupError::GroupFull));
}

#[test]
fn a_static_member_that_comes_back_takes_its_place_without_a_rebalance() {
    let mut bench = Bench::new(config());
    let old = bench.settle(vec![static_member("s1"), static_member("s2")]);
    let follower = usize::from(old[0].member_id == old[0].leader);
    let instance = ["s1", "s2"][follower];
    let id = bench.join(static_member(instance));
    let answer = bench.answer(id).unwrap();
    assert_eq!(answer.after, bench.log.len() as u64, "its new id is written down first");
    let Reply::Join(Ok(new)) = answer.reply else { panic!() };
    assert_ne!(new.member_id, old[follower].member_id);
    assert_eq!((new.generation, bench.state()), (1, "Stable"));
    let part = bench.sync(&new, &[]);
    assert_eq!(bench.synced(part), Ok(format!("for {}", old[follower].member_id)));
    assert_eq!(bench.memory(), bench.failed_over().memory());

    // The old process, should it still live, is fenced.
    let zombie = Membership { instance_id: Some(instance.into()), ..membership(&old[follower]) };
    let id = bench.ask(Request::Heartbeat(zombie.clone()));
    assert_eq!(bench.answer(id).unwrap().reply, Reply::Heartbeat(Err(GroupError::FencedInstance)));
    assert_eq!(bench.commit(zombie, 0, 9), Err(GroupError::FencedInstance));
    let zombie_join =
        bench.join(JoinGroup { member_id: old[follower].member_id.clone(), ..static_member(instance) });
    assert_eq!(bench.joined(zombie_join), Err(GroupError::FencedInstance));
}

#[test]
fn a_static_leader_that_comes_back_keeps_the_assignment() {
    for knows_to_skip in [true, false] {
        let mut bench = Bench::new(config());
        let old = bench.settle(vec![static_member("s1"), static_member("s2")]);
        let leader = usize::from(old[0].member_id != old[0].leader);
        let instance = ["s1", "s2"][leader];
        let id = bench.join(JoinGroup { can_skip_assignment: knows_to_skip, ..static_member(instance) });
        let new = bench.joined(id).unwrap();
        assert_eq!(new.skip_assignment, knows_to_skip);
        assert_eq!(new.leader == new.member_id, knows_to_skip, "an older client must not assign");
        assert_eq!(new.members.len(), if knows_to_skip { 2 } else { 0 });
        assert_eq!(bench.state(), "Stable");
    }
}

#[test]
fn a_static_member_with_other_protocols_makes_a_rebalance() {
    let mut bench = Bench::new(config());
    bench.settle(vec![static_member("s1"), static_member("s2")]);
    let mut request = static_member("s1");
    request.protocols.remove(0);
    let id = bench.join(request);
    assert!(bench.is_waiting(id));
    assert_eq!(bench.state(), "PreparingRebalance");
}

#[test]
fn a_static_member_that_is_away_keeps_its_place_until_its_session_ends() {
    let mut bench = Bench::new(config());
    let long = |s| JoinGroup { session_timeout_ms: 300_000, ..static_member(s) };
    let old = bench.settle(vec![long("s1"), long("s2")]);
    let newcomer = bench.join(JoinGroup { id_before_join: false, ..member("c") });
    let s1 = bench.join(JoinGroup { member_id: old[0].member_id.clone(), ..long("s1") });
    bench.pass_ms(60_000);
    let joined = [bench.joined(s1).unwrap(), bench.joined(newcomer).unwrap()];
    let leader = joined.iter().find(|j| j.leader == j.member_id).unwrap();
    assert_eq!(leader.members.len(), 3, "the leader assigns to the absent member too");
    bench.assign(&joined);
    for _ in 0..29 {
        bench.pass_ms(8_000);
        joined.iter().for_each(|j| bench.heartbeat(j).unwrap());
    }
    bench.pass_ms(8_000);
    assert_eq!(bench.state(), "PreparingRebalance", "its session is over");
}

#[test]
fn whoever_asks_again_gets_the_answer_and_the_first_question_is_refused() {
    let mut bench = Bench::new(config());
    let old = bench.settle(vec![static_member("s1"), static_member("s2")]);
    let known = JoinGroup { member_id: old[0].member_id.clone(), ..static_member("s1") };
    bench.join(JoinGroup { id_before_join: false, ..member("c") });
    let first = bench.join(known.clone());
    let second = bench.join(known);
    assert_eq!(bench.joined(first), Err(GroupError::RebalanceInProgress));
    let restarted = bench.join(static_member("s1"));
    assert_eq!(bench.joined(second), Err(GroupError::FencedInstance));
    assert!(bench.is_waiting(restarted));
    let s2 = bench.join(JoinGroup { member_id: old[1].member_id.clone(), ..static_member("s2") });
    let joined = [bench.joined(restarted).unwrap(), bench.joined(s2).unwrap()];
    let follower = joined.iter().find(|j| j.leader != j.member_id).unwrap();
    let waits = bench.sync(follower, &[]);
    let again = bench.sync(follower, &[]);
    assert_eq!(bench.synced(waits), Err(GroupError::RebalanceInProgress));
    assert!(bench.is_waiting(again));
}

#[test]
fn a_member_that_the_leader_left_out_has_no_assignment() {
    let mut bench = Bench::new(config());
    let old = bench.settle(vec![static_member("s1"), static_member("s2")]);
    let s1 = bench.join(JoinGroup { member_id: old[0].member_id.clone(), ..static_member("s1") });
    let mut request = JoinGroup { member_id: old[1].member_id.clone(), ..static_member("s2") };
    request.protocols[0].1 = Bytes::from_static(b"changed");
    let s2 = bench.join(request);
    bench.pass_ms(0);
    let joined = [bench.joined(s1).unwrap(), bench.joined(s2).unwrap()];
    let leader = joined.iter().find(|j| j.leader == j.member_id).unwrap();
    let follower = joined.iter().find(|j| j.leader != j.member_id).unwrap();
    let waits = bench.sync(follower, &[]);
    bench.sync(leader, &[(leader.member_id.as_str(), "everything")]);
    assert_eq!(bench.synced(waits), Ok(String::new()));
}

#[test]
fn members_leave_alone_or_together_and_static_ones_by_name() {
    let mut bench = Bench::new(config());
    let joined = bench.stable(&["a", "b"]);
    assert_eq!(bench.leave(&joined[0].member_id, None), Ok(()));
    assert_eq!(bench.state(), "PreparingRebalance");
    assert_eq!(bench.leave("nobody", None), Err(GroupError::UnknownMember));
    assert_eq!(bench.leave(&joined[1].member_id, None), Ok(()));
    assert_eq!(bench.state(), "Empty");

    let joined = bench.settle(vec![static_member("s1"), static_member("s2")]);
    assert_eq!(bench.leave("", Some("s3")), Err(GroupError::UnknownMember));
    assert_eq!(bench.leave("x", Some("s1")), Err(GroupError::FencedInstance));
    let leaving = |m: &str, i: &str| LeavingMember {
        member_id: m.into(),
        instance_id: Some(i.into()),
        reason: Some("scaled down".into()),
    };
    let members = vec![leaving("", "s1"), leaving(&joined[1].member_id, "s2"), leaving("", "s9")];
    let id = bench.ask(Request::Leave(LeaveGroup { group: GROUP.into(), members }));
    let Some(Reply::Leave(Ok(left))) = bench.answer(id).map(|a| a.reply) else { panic!() };
    let results: Vec<_> = left.into_iter().map(|l| l.result).collect();
    assert_eq!(results, [Ok(()), Ok(()), Err(GroupError::UnknownMember)]);
    assert_eq!(bench.state(), "Empty");
}

#[test]
fn a_generation_survives_a_failover_and_its_members_stay() {
    let mut bench = Bench::new(config());
    let joined = bench.stable(&["a", "b"]);
    bench.commit(membership(&joined[0]), 4, 44).unwrap();
    let mut after = bench.failed_over();
    assert_eq!(after.memory(), bench.memory());
    assert_eq!(after.state(), "Stable");
    for member in &joined {
        assert_eq!(after.heartbeat(member), Ok(()));
        let id = after.sync(member, &[]);
        assert_eq!(after.synced(id), Ok(format!("for {}", member.member_id)));
    }
    assert_eq!(after.committed(4).unwrap().offset.0, 44);
    after.pass_ms(10_000);
    assert_eq!(after.state(), "Empty", "sessions are kept after a failover too");
}

#[test]
fn a_rebalance_under_way_is_lost_in_a_failover_and_begins_again() {
    let mut bench = Bench::new(config());
    let old = bench.stable(&["a"]);
    bench.join(JoinGroup { id_before_join: false, ..member("b") });
    let again = bench.join(rejoin(&old[0], "a"));
    let joined = bench.joined(again).unwrap();
    assert_eq!(joined.generation, 2);
    let mut after = bench.failed_over();
    assert_eq!(after.heartbeat(&joined), Err(GroupError::IllegalGeneration));
    assert_eq!(after.heartbeat(&old[0]), Ok(()));
}

#[test]
fn offsets_come_back_as_they_were_committed() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.committed(0), None);
    let joined = bench.stable(&["a"]);
    bench.commit_with(membership(&joined[0]), 0, 17, "my own ünicode", None).unwrap();
    let committed = bench.committed(0).unwrap();
    assert_eq!((committed.offset.0, &*committed.metadata), (17, "my own ünicode"));
    assert_eq!(committed.leader_epoch.0, 3);
    assert_eq!(bench.committed(1), None);
    let long = "x".repeat(4097);
    assert_eq!(
        bench.commit_with(membership(&joined[0]), 0, 18, &long, None),
        Err(GroupError::OffsetMetadataTooLarge)
    );
    assert_eq!(bench.committed(0).unwrap().offset.0, 17);
    let id = bench.ask(Request::Fetch(FetchOffsets {
        group: GROUP.into(),
        partitions: None,
        member: (None, -1),
        require_stable: false,
    }));
    let answer = bench.answer(id).unwrap();
    assert_eq!(answer.after, bench.log.len() as u64, "a read waits for the writes before it");
}

#[test]
fn who_may_commit() {
    let mut bench = Bench::new(config());
    assert_eq!(
        bench.commit(Membership { generation: 0, ..simple() }, 0, 1),
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(bench.commit(simple(), 0, 1), Ok(()), "a group that is only offsets");
    let joined = bench.stable(&["a"]);
    assert_eq!(bench.commit(simple(), 0, 2), Err(GroupError::UnknownMember), "the group has members");
    let newcomer = bench.join(JoinGroup { id_before_join: false, ..member("b") });
    assert_eq!(bench.commit(membership(&joined[0]), 0, 3), Ok(()), "the last commit before rejoining");
    let again = bench.join(rejoin(&joined[0], "a"));
    let new = bench.joined(again).unwrap();
    assert_eq!(bench.commit(membership(&new), 0, 4), Err(GroupError::RebalanceInProgress));
    let other = bench.joined(newcomer).unwrap();
    bench.assign(&[new.clone(), other]);
    assert_eq!(bench.commit(membership(&new), 0, 5), Ok(()));
}

#[test]
fn offsets_expire_only_after_the_group_is_empty() {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut bench = Bench::new(config());
    let joined = bench.stable(&["a"]);
    bench.commit(membership(&joined[0]), 0, 5).unwrap();
    for _ in 0..20 * 24 * 720 / 100 {
        bench.pass_ms(5_000);
        bench.heartbeat(&joined[0]).unwrap();
    }
    bench.now.wall_ms += i64::try_from((30 * DAY).as_millis()).unwrap();
    bench.pass_ms(5_000);
    bench.heartbeat(&joined[0]).unwrap();
    assert!(bench.committed(0).is_some(), "the group lives");
    bench.leave(&joined[0].member_id, None).unwrap();
    bench.pass(6 * DAY);
    assert!(bench.committed(0).is_some());
    bench.now.may_expire = false;
    bench.now.wall_ms += i64::try_from((30 * DAY).as_millis()).unwrap();
    bench.pass(Duration::from_secs(601));
    assert!(bench.committed(0).is_some(), "a clock that is not the quorum's says nothing");
    bench.now.wall_ms -= i64::try_from((30 * DAY).as_millis()).unwrap();
    bench.now.may_expire = true;
    bench.pass(DAY + Duration::from_secs(601));
    assert!(bench.committed(0).is_none());
    assert_eq!(bench.state(), "Dead");
    assert!(bench.failed_over().shard.is_empty(), "tombstones say so");
}

#[test]
fn a_group_that_is_only_offsets_loses_each_by_its_own_age() {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut bench = Bench::new(config());
    bench.commit(simple(), 0, 1).unwrap();
    bench.commit_with(simple(), 2, 1, "", Some(1_000)).unwrap();
    bench.pass(3 * DAY);
    assert!(bench.committed(2).is_none(), "this client asked for a second");
    bench.commit(simple(), 1, 1).unwrap();
    bench.pass(5 * DAY);
    assert!(bench.committed(0).is_none());
    assert!(bench.committed(1).is_some());
}

#[test]
fn a_topic_of_the_same_name_is_not_the_one_that_was_consumed() {
    let mut bench = Bench::new(config());
    let commit = CommitOffset {
        topic: topic(),
        topic_id: crate::types::TopicId::from_bytes([1; 16]),
        partition: 0,
        offset: crate::types::Offset(7),
        leader_epoch: crate::types::LeaderEpoch::NONE,
        metadata: String::new(),
    };
    bench.ask(Request::Commit(CommitOffsets {
        member: simple(),
        retention_ms: None,
        knows_epochs: true,
        offsets: vec![commit],
    }));
    let mut fetch = |id: u8| {
        let partitions = Some(vec![(topic(), crate::types::TopicId::from_bytes([id; 16]), 0)]);
        let id = bench.ask(Request::Fetch(FetchOffsets {
            group: GROUP.into(),
            partitions,
            member: (None, -1),
            require_stable: false,
        }));
        let Some(Reply::Fetch(Ok(mut fetched))) = bench.answer(id).map(|a| a.reply) else { panic!() };
        fetched.remove(0).committed.is_some()
    };
    assert!(fetch(0), "an older client does not know");
    assert!(fetch(1));
    assert!(!fetch(2));
    let gone = bench.ask(Request::TopicsDeleted(vec![topic()]));
    assert_eq!(bench.answer(gone).unwrap().after, 2);
    assert!(bench.committed(0).is_none());
}

#[test]
fn an_empty_group_can_be_deleted_and_leaves_nothing() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.delete(), Err(GroupError::GroupNotFound));
    let joined = bench.stable(&["a"]);
    bench.commit(membership(&joined[0]), 0, 5).unwrap();
    assert_eq!(bench.delete(), Err(GroupError::GroupNotEmpty));
    bench.leave(&joined[0].member_id, None).unwrap();
    assert_eq!(bench.delete(), Ok(()));
    assert_eq!(bench.state(), "Dead");
    assert!(bench.failed_over().shard.is_empty());
    let id = bench.ask(Request::Fetch(FetchOffsets {
        group: GROUP.into(),
        partitions: None,
        member: (None, -1),
        require_stable: false,
    }));
    assert_eq!(bench.answer(id).unwrap().after, bench.log.len() as u64, "a read waits for the deletion");
}

#[test]
fn a_list_shows_groups_by_state_and_type() {
    let mut bench = Bench::new(config());
    bench.stable(&["a"]);
    let other = Membership { group: "offsets only".into(), ..simple() };
    bench.commit(other, 0, 1).unwrap();
    let mut list = |states: &[&str], types: &[&str]| {
        let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let id = bench.ask(Request::List(ListGroups { states: own(states), types: own(types) }));
        let Some(Reply::List(Ok(groups))) = bench.answer(id).map(|a| a.reply) else { panic!() };
        groups.into_iter().map(|g| format!("{}/{}/{}", g.group, g.protocol_type, g.state)).collect::<Vec<_>>()
    };
    assert_eq!(list(&[], &[]), ["offsets only//Empty", "orders/consumer/Stable"]);
    assert_eq!(list(&["stable"], &["CLASSIC"]), ["orders/consumer/Stable"]);
    assert!(list(&[], &["consumer"]).is_empty());
}

#[test]
fn an_assignment_that_no_record_can_hold_is_refused() {
    let mut bench = Bench::new(GroupConfig { max_batch_bytes: 2_000, ..config() });
    let id = bench.join(JoinGroup { id_before_join: false, ..member("a") });
    bench.pass_ms(0);
    let joined = bench.joined(id).unwrap();
    let part = Bytes::from(vec![0; 2_000]);
    let sync = bench.ask(Request::Sync(SyncGroup {
        member: membership(&joined),
        protocol_type: None,
        protocol: None,
        assignments: vec![(joined.member_id.clone(), part)],
        catalog: Arc::default(),
    }));
    assert_eq!(bench.synced(sync), Err(GroupError::MetadataTooLarge));
    assert_eq!(bench.state(), "PreparingRebalance");
}

#[test]
fn a_sync_that_believes_in_another_protocol_is_refused() {
    let mut bench = Bench::new(config());
    let joined = bench.stable(&["a"]);
    let id = bench.ask(Request::Sync(SyncGroup {
        member: membership(&joined[0]),
        protocol_type: Some("connect".into()),
        protocol: None,
        assignments: Vec::new(),
        catalog: Arc::default(),
    }));
    assert_eq!(bench.synced(id), Err(GroupError::InconsistentProtocol));
}
