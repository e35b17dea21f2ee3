//! An hour without the object store, in simulated time: producers do not notice, nothing that is not in the tier leaves the
//! disks, and when the store is back all that has piled up goes there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::clients::{Caller, PARTITIONS};
use super::tests::{LIVENESS, begun, on_paused_time};
use super::world::World;
use crate::env::Clock as _;

const OUTAGE: Duration = Duration::from_secs(3600);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_secs(60);
/// A producer's pause between two batches, at most.
const PAUSE_MS: u64 = 8_000;
/// What has piled up is in the tier within this, in simulated time: the longest pause between two tries is a minute.
const CAUGHT_UP: Duration = Duration::from_secs(600);

async fn play(seed: u64) -> Outcome {
    let world = World::new(seed);
    begun(&world).await;
    let (stop, never) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let producers: Vec<_> = (0..3usize)
        .map(|n| {
            let caller = Caller::new(world.clone(), n as u64).pausing(PAUSE_MS);
            tokio::spawn(caller.produce(n, stop.clone()))
        })
        .collect();
    let readers: Vec<_> = (0..PARTITIONS)
        .map(|p| tokio::spawn(Caller::new(world.clone(), 10 + p as u64).consume(p, None, never.clone())))
        .collect();
    let every = |holds: &dyn Fn(i32) -> bool| (0..PARTITIONS).all(holds);
    let some_cold = || every(&|p| world.tiers(p).is_some_and(|tiers| tiers.local_start > 0));
    world.within(CAUGHT_UP, "the first segments are only in the tier", some_cold).await;

    world.say("the store is down for an hour");
    world.health.is_down.store(true, Ordering::SeqCst);
    // What is on its way has its answer.
    world.clock.sleep(LOOK).await;
    let objects = world.objects();
    let mut ends = vec![0; PARTITIONS as usize];
    let mut backlog = 0;
    for _ in 1..OUTAGE.as_secs() / LOOK.as_secs() {
        world.clock.sleep(LOOK).await;
        world.watch_positions();
        // An hour of frames is a lot of lines.
        world.trace.take();
        for partition in 0..PARTITIONS {
            let Some(tiers) = world.tiers(partition) else {
                world.history.violated(format!("hot path: {partition} has no leader without the store"));
                continue;
            };
            let end = world.history.acknowledged_end(partition);
            if end <= ends[partition as usize] {
                world
                    .history
                    .violated(format!("hot path: nothing was acknowledged in {partition} for {LOOK:?}"));
            }
            ends[partition as usize] = end;
            if tiers.local_start > tiers.tier_end {
                world.history.violated(format!("local delete above the tier: {partition}: {tiers:?}"));
            }
            backlog = backlog.max(tiers.closed_end - tiers.tier_end);
        }
        if world.history.violation().is_some() {
            break;
        }
    }
    if world.objects() != objects {
        world.history.violated("the store was not down at all".to_owned());
    }

    world.heal();
    stop.store(true, Ordering::SeqCst);
    let produced = || producers.iter().all(tokio::task::JoinHandle::is_finished);
    world.within(LIVENESS, "every producer has its answer", produced).await;
    let all_cold = || every(&|p| world.tiers(p).is_some_and(|tiers| tiers.tier_end == tiers.closed_end));
    world.within(CAUGHT_UP, "all that was closed is in the tier", all_cold).await;
    let last: Vec<_> = (0..PARTITIONS)
        .map(|p| {
            let end = world.end_of(p).or(Some(0));
            tokio::spawn(Caller::new(world.clone(), 20 + p as u64).consume(p, end, never.clone()))
        })
        .collect();
    let read = || last.iter().all(tokio::task::JoinHandle::is_finished);
    world.within(LIVENESS, "everything has been read from the start", read).await;
    never.store(true, Ordering::SeqCst);
    producers.into_iter().chain(readers).chain(last).for_each(|task| task.abort());
    let acknowledged = world.history.finish();
    world.shut_down().await;
    Outcome { acknowledged, backlog, age: world.age(), violation: world.history.violation() }
}

/// What a run was.
struct Outcome {
    acknowledged: usize,
    /// Records of one partition that were closed and not in the tier, at most.
    backlog: i64,
    age: Duration,
    violation: Option<String>,
}

#[test]
fn an_hour_without_the_store_is_not_noticed_and_what_has_piled_up_goes_there_afterwards() {
    let outcome = on_paused_time(play(7));
    assert_eq!(outcome.violation, None);
    assert!(outcome.age > OUTAGE);
    assert!(
        outcome.acknowledged > 1_000 && outcome.backlog > 300,
        "{} acknowledged, backlog {}",
        outcome.acknowledged,
        outcome.backlog
    );
}
