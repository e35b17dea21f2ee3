//! The assignment interval (KIP-1263): many changes make one target, and nobody keeps what it does not want meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::bench::*;
use super::super::*;
use super::tests::{beat, catalog, classic, joining, parts};
use super::*;
use crate::coordinator::consumer_record::Partitions;

fn paced() -> Bench {
    Bench::new(GroupConfig { consumer_assignment_interval: Duration::from_secs(1), ..config() })
}

fn epochs(bench: &mut Bench) -> (&'static str, i32, i32) {
    let described = bench.described().unwrap();
    (described.state, described.epoch, described.target_epoch)
}

#[test]
fn changes_within_the_interval_make_one_target_and_the_first_heartbeat_after_it_brings_it() {
    let mut bench = paced();
    assert_eq!(
        bench.beats(joining("a")).unwrap().assignment,
        Some(parts("t", 0..4)),
        "the first does not wait"
    );
    bench.pass_ms(400);
    for (member, epoch) in [("b", 3), ("c", 4)] {
        let reply = bench.beats(joining(member)).unwrap();
        assert_eq!(
            (reply.epoch, reply.assignment),
            (2, Some(Partitions::new())),
            "{member} joins on the old target"
        );
        assert_eq!(epochs(&mut bench), ("Assigning", epoch, 2));
    }
    assert_eq!(bench.beats(beat("a", 2)).unwrap().assignment, None);
    bench.live_is_replayed();
    bench.pass_ms(600);
    assert!(bench.beats(beat("a", 2)).unwrap().assignment.is_some(), "it is to give back");
    assert_eq!(epochs(&mut bench), ("Reconciling", 4, 4));
    bench.live_is_replayed();
}

#[test]
fn a_group_has_an_interval_of_its_own() {
    let mut bench = paced();
    let own = |member: &str, ms| ConsumerHeartbeat {
        assignment_interval: Some(Duration::from_millis(ms)),
        ..joining(member)
    };
    bench.beats(own("a", 0)).unwrap();
    assert_eq!(bench.beats(own("b", 0)).unwrap().epoch, 3, "it does not wait");
    bench.pass_ms(3_000);
    assert_eq!(bench.beats(own("c", 10_000)).unwrap().epoch, 3);
    bench.pass_ms(7_000);
    assert_eq!(bench.beats(own("d", 10_000)).unwrap().epoch, 5);
}

#[test]
fn the_interval_goes_on_after_a_failover_and_a_clock_that_went_back_does_not_prolong_it() {
    let mut bench = paced();
    bench.beats(joining("a")).unwrap();
    bench.pass_ms(500);
    let mut next = bench.failed_over();
    assert_eq!(next.beats(joining("b")).unwrap().epoch, 2);
    next.now.wall_ms -= 3_600_000;
    assert_eq!(next.beats(joining("b")).unwrap().epoch, 3);
}

#[test]
fn a_topic_that_a_member_does_not_want_any_more_is_given_back_before_the_next_target() {
    let mut bench = paced();
    let topics = catalog(1, &[("t", 2), ("u", 2)]);
    let of = |topics: &[&str]| Some(topics.iter().map(|t| (*t).to_owned()).collect::<BTreeSet<String>>());
    let both: Partitions = parts("t", 0..2).into_iter().chain(parts("u", 0..2)).collect();
    let wants = |heartbeat, names: &[&str], owned: &Partitions| ConsumerHeartbeat {
        topics: of(names),
        owned: Some(owned.clone()),
        catalog: topics.clone(),
        ..heartbeat
    };
    let reply = bench.beats(wants(joining("a"), &["t", "u"], &Partitions::new())).unwrap();
    assert_eq!(reply.assignment, Some(both.clone()));
    let told = bench.beats(wants(beat("a", 2), &["u"], &both)).unwrap();
    assert_eq!((told.epoch, told.assignment), (2, Some(parts("u", 0..2))));
    assert_eq!(epochs(&mut bench), ("Assigning", 3, 2));
    bench.live_is_replayed();
    let gave = bench.beats(wants(beat("a", 2), &["u"], &parts("u", 0..2))).unwrap();
    assert_eq!(gave.epoch, 2);
    bench.live_is_replayed();
    // Wanted again, it comes with the next target.
    let again = bench.beats(wants(beat("a", 2), &["t", "u"], &parts("u", 0..2))).unwrap();
    assert_eq!(again.epoch, 2);
    bench.pass_ms(1_000);
    let heartbeat = ConsumerHeartbeat { catalog: topics.clone(), ..beat("a", 2) };
    assert_eq!(bench.beats(heartbeat).unwrap().assignment, Some(both));
    bench.live_is_replayed();
}

#[test]
fn a_member_of_the_classic_protocol_rejoins_when_the_target_is_due_and_not_all_the_time() {
    let mut bench = paced();
    let old = bench.one_classic();
    assert_eq!(bench.beats(joining("new")).unwrap().epoch, 2, "no target was made for it yet");
    let id = bench.join(classic(&old.member_id, &[0, 1, 2, 3]));
    let again = bench.joined(id).unwrap();
    let keeps: Vec<i32> = bench.syncs(&again, Vec::new()).unwrap().into_iter().collect();
    let id = bench.join(classic(&old.member_id, &keeps));
    let settled = bench.joined(id).unwrap();
    assert_eq!(settled.generation, 2);
    bench.syncs(&settled, Vec::new()).unwrap();

    assert_eq!(bench.beats(joining("other")).unwrap().epoch, 2, "within the interval");
    assert_eq!(bench.heartbeat(&settled), Ok(()));
    let id = bench.join(classic(&old.member_id, &keeps));
    let early = bench.joined(id).unwrap();
    assert_eq!(early.generation, 2);
    assert_eq!(bench.syncs(&early, Vec::new()).unwrap().len(), keeps.len());
    bench.pass_ms(1_000);
    assert_eq!(bench.heartbeat(&settled), Err(GroupError::RebalanceInProgress));
    let id = bench.join(classic(&old.member_id, &keeps));
    bench.joined(id).unwrap();
    assert_eq!(epochs(&mut bench).2, 3);
    bench.live_is_replayed();
}
