//! Unclean elections over a tier: a topic that allows them, brokers that lose their logs together, and the last copy far behind, or
//! none left. Acknowledged records may be lost then, but only such as were in no tier; what is there is read at its place, once, and
//! without a gap, all copies agree, and what is written afterwards goes to the tier again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tiering::inspect;
use tiering::verify::{self, Depth};

use super::clients::{Caller, PARTITIONS, TOPIC};
use super::history::Value;
use super::tests::{LIVENESS, begun_with, given, on_paused_time, still};
use super::world::{BROKERS, End, World};
use crate::env::Clock as _;
use crate::types::BrokerId;

/// Elections of one run.
const ROUNDS: usize = 3;
/// Seeds that a run of the unit tests looks at; `tests/simulate --unclean` takes more.
const SEEDS: u64 = 6;
/// What was closed is in the tier within this.
const TIERED: Duration = Duration::from_secs(120);

/// What was acknowledged, and what of it an election may have taken.
#[derive(Default)]
struct Told {
    /// By partition: offset, value, and after how many elections it was acknowledged.
    acknowledged: BTreeMap<(i32, i64, usize), Value>,
    /// For each election: up to where each partition may lose nothing.
    kept: Vec<Vec<i64>>,
}

impl Told {
    /// Where a record of this age may not be missing: below what every election since has had to keep.
    fn is_kept(&self, partition: i32, offset: i64, elections: usize) -> bool {
        self.kept[elections..].iter().all(|kept| offset < kept[partition as usize])
    }

    /// Compares with what is there now; how many acknowledged records are lost, rightly.
    fn judge(&self, there: &BTreeMap<(i32, i64), Value>) -> Result<usize, String> {
        let mut places: BTreeMap<Value, (i32, i64)> = BTreeMap::new();
        for (place, value) in there {
            if let Some(other) = places.insert(*value, *place) {
                return Err(format!("duplicate: {value:?} is at {other:?} and at {place:?}"));
            }
        }
        let mut lost = 0;
        for ((partition, offset, elections), value) in &self.acknowledged {
            let place = (*partition, *offset);
            let is_kept = self.is_kept(*partition, *offset, *elections);
            match there.get(&place) {
                Some(found) if found == value => continue,
                found if is_kept => {
                    return Err(format!(
                        "lost-of-the-tier: {value:?} was acknowledged at {place:?} after {elections} elections, {found:?} is \
                         there; kept {:?}",
                        self.kept
                    ));
                }
                _ => lost += 1,
            }
            if let Some(other) = places.get(value) {
                return Err(format!("moved: {value:?} was acknowledged at {place:?}, and is at {other:?}"));
            }
        }
        Ok(lost)
    }
}

async fn produce(world: Arc<World>, number: usize, stop: Arc<AtomicBool>, told: Arc<Mutex<Told>>) {
    let mut caller = Caller::new(world.clone(), number as u64);
    let mut rng = StdRng::seed_from_u64(world.seed ^ 0x756e_636c ^ number as u64);
    let partition = i32::try_from(number).expect("few producers") % PARTITIONS;
    let mut next = 0;
    while !stop.load(Ordering::SeqCst) && world.history.violation().is_none() {
        let values: Vec<Value> = (0..rng.random_range(1..4)).map(|i| (number, next + i)).collect();
        next += values.len() as u64;
        let offset = caller.write_once(partition, &values).await;
        if let Some(offset) = offset {
            let mut told = told.lock();
            let elections = told.kept.len();
            for (at, value) in (offset..).zip(&values) {
                if let Some(other) = told.acknowledged.insert((partition, at, elections), *value) {
                    world.history.violated(format!(
                        "inconsistent-offsets: {other:?} and {value:?} were both acknowledged at {partition}/{at}"
                    ));
                }
            }
        }
        world.clock.sleep(Duration::from_millis(rng.random_range(0..120))).await;
    }
}

impl World {
    /// One falls behind, and the logs of the others are lost at once; now and then also its own.
    async fn lose_logs(self: &Arc<Self>, rng: &mut StdRng, told: &Mutex<Told>) {
        self.within(LIVENESS, "all are well", || self.is_whole() && self.has_all_votes()).await;
        let last = rng.random_range(1..=BROKERS);
        let others: Vec<i32> = (1..=BROKERS).filter(|id| *id != last).collect();
        // Who leads everything lags behind nobody.
        let leads_all =
            (0..PARTITIONS).all(|p| self.recorded(p).is_some_and(|(leader, _)| leader == Some(last)));
        let is_isolated = rng.random::<bool>() || leads_all;
        self.say(&format!("{last} falls behind, isolated: {is_isolated}"));
        for other in &others {
            if is_isolated {
                self.network.cut(BrokerId(*other), BrokerId(last));
            } else {
                self.network.delay_copies(BrokerId(*other), BrokerId(last), Duration::from_secs(3_600));
            }
        }
        // What it leads when its copies are only slow it has.
        let isr = |p| self.recorded(p).map(|(_, isr)| isr).unwrap_or_default();
        let is_behind = || (0..PARTITIONS).any(|p| !isr(p).contains(&last));
        self.within(LIVENESS, "it is behind", is_behind).await;
        let more = rng.random_range(0..8_000);
        self.clock.sleep(Duration::from_millis(more)).await;
        if rng.random_range(0..3) == 0 {
            self.say("the store is down");
            self.health.is_down.store(true, Ordering::SeqCst);
            self.clock.sleep(Duration::from_millis(rng.random_range(0..2_000))).await;
        }

        let is_lost_too = rng.random_range(0..4) == 0;
        let kept = |p: i32| {
            let tier_end = self.tiers(p).map_or(0, |tiers| tiers.tier_end);
            // Nothing is taken from who is in sync.
            if isr(p).contains(&last) && !is_lost_too && !is_isolated { i64::MAX } else { tier_end }
        };
        let kept: Vec<i64> = (0..PARTITIONS).map(kept).collect();
        self.say(&format!("the logs are lost, its own too: {is_lost_too}; kept is {kept:?}"));
        let mut ended = others.iter().all(|id| self.end(*id, End::DataWiped));
        if is_lost_too {
            ended &= self.end(last, End::DataWiped);
        }
        assert!(ended, "all were up");
        told.lock().kept.push(kept);
        for other in &others {
            self.network.heal(BrokerId(*other), BrokerId(last));
            self.network.delay_copies(BrokerId(*other), BrokerId(last), Duration::ZERO);
        }
        for id in others.iter().copied().chain(is_lost_too.then_some(last)) {
            let (world, after) = (self.clone(), Duration::from_millis(rng.random_range(0..6_000)));
            tokio::spawn(async move {
                world.clock.sleep(after).await;
                world.start(id).await;
            });
        }
        self.clock.sleep(Duration::from_millis(rng.random_range(500..9_000))).await;
        self.heal_what_lasts();
        self.within(LIVENESS, "one of them leads, and all are in sync", || self.is_whole()).await;
        self.clock.sleep(Duration::from_millis(rng.random_range(0..4_000))).await;
    }

    /// Whether the tier's segments are those that its manifests name.
    async fn verify_tier(&self) -> Result<usize, String> {
        let store = self.store();
        let mut segments = 0;
        let partitions = inspect::partitions(&*store, Some(TOPIC)).await.map_err(|e| e.to_string())?;
        for (id, folder) in partitions {
            let found =
                verify::partition(&store, &folder, Depth::Footers).await.map_err(|e| e.to_string())?;
            if let Some(damage) = found.damage.first() {
                return Err(format!("damaged-tier: {}: {}, {}", id.partition, damage.key, damage.what));
            }
            segments += usize::try_from(found.segments).unwrap_or(0);
        }
        Ok(segments)
    }
}

/// What a run was.
struct Outcome {
    acknowledged: usize,
    lost: usize,
    checked: u64,
    compared: usize,
    segments: usize,
    violation: Option<String>,
}

async fn play(seed: u64) -> Outcome {
    let world = World::new(seed);
    let mut rng = StdRng::seed_from_u64(seed);
    begun_with(&world, &[("unclean.leader.election.enable", "true")]).await;
    let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Told>>::default());
    let producers: Vec<_> =
        (0..3usize).map(|n| tokio::spawn(produce(world.clone(), n, stop.clone(), told.clone()))).collect();
    let watching = {
        let world = world.clone();
        tokio::spawn(async move {
            loop {
                world.watch_positions();
                world.clock.sleep(Duration::from_millis(20)).await;
            }
        })
    };
    for _ in 0..ROUNDS {
        world.clock.sleep(Duration::from_millis(rng.random_range(1_000..8_000))).await;
        if world.history.violation().is_some() {
            break;
        }
        world.lose_logs(&mut rng, &told).await;
    }

    world.heal();
    // After the last election too something is written, and goes to the tier.
    world.clock.sleep(Duration::from_millis(3_000)).await;
    stop.store(true, Ordering::SeqCst);
    let produced = || producers.iter().all(tokio::task::JoinHandle::is_finished);
    world.within(LIVENESS, "every producer has its answer", produced).await;
    world
        .within(LIVENESS, "all replicas end at the same place", || world.is_whole() && world.is_level())
        .await;
    let is_tiered = |p| world.tiers(p).is_some_and(|tiers| tiers.tier_end == tiers.closed_end);
    world.within(TIERED, "what was closed is in the tier", || (0..PARTITIONS).all(is_tiered)).await;
    let mut there = BTreeMap::new();
    let mut caller = Caller::new(world.clone(), 20);
    caller.refresh().await;
    for partition in 0..PARTITIONS {
        let end = world.end_of(partition).unwrap_or(0);
        match crate::env::timeout(&*world.clock, LIVENESS, caller.read_all(partition, end)).await {
            Ok(Ok(records)) => there.extend(records.into_iter().map(|(at, value)| ((partition, at), value))),
            Ok(Err(wrong)) => world.history.violated(wrong),
            Err(_) => world.history.violated(format!("liveness: {partition} is not read up to {end}")),
        }
    }
    let compared = world.compare_replicas(LIVENESS).await;
    producers.iter().chain([&watching]).for_each(tokio::task::JoinHandle::abort);
    let judged = told.lock().judge(&there);
    let lost = judged.unwrap_or_else(|wrong| {
        world.history.violated(wrong);
        0
    });
    let segments = world.verify_tier().await.unwrap_or_else(|wrong| {
        world.history.violated(wrong);
        0
    });
    world.shut_down().await;
    let acknowledged: BTreeSet<Value> = told.lock().acknowledged.values().copied().collect();
    let acknowledged = acknowledged.len();
    let checked = world.history.checked() + there.len() as u64;
    Outcome { acknowledged, lost, checked, compared, segments, violation: world.history.violation() }
}

fn one_seed(seed: u64) {
    if let Some(level) = given::<tracing::Level>("ESKER_SIMULATION_LOG") {
        tracing_subscriber::fmt().with_max_level(level).without_time().init();
    }
    let outcome = on_paused_time(play(seed));
    println!(
        "seed {seed}: {} acknowledged, {} checked, {} batches compared, {} lost that were in no tier, {} segments; \
         unclean-elections={ROUNDS}",
        outcome.acknowledged, outcome.checked, outcome.compared, outcome.lost, outcome.segments
    );
    assert_eq!(outcome.violation, None, "ESKER_SIMULATION_SEED={seed}");
    assert!(outcome.acknowledged > 0 && outcome.segments > 0, "seed {seed} proves nothing");
}

#[test]
fn unclean_elections_lose_only_what_was_in_no_tier() {
    let name = "unclean::unclean_elections_lose_only_what_was_in_no_tier";
    match given("ESKER_SIMULATION_SEED") {
        Some(seed) => one_seed(seed),
        None => {
            let lost = (0..SEEDS).map(|seed| {
                let said = still(name, ("ESKER_SIMULATION_SEED", &seed.to_string()));
                let line = said.lines().find(|line| line.starts_with("seed ")).unwrap_or_default().to_owned();
                println!("{line}");
                let (before, _) = line.split_once(" lost that").unwrap_or_default();
                before.rsplit(' ').next().and_then(|count| count.parse::<usize>().ok()).unwrap_or(0)
            });
            assert!(lost.sum::<usize>() > 0, "elections that lose nothing were clean ones");
        }
    }
}

#[test]
fn what_an_election_may_not_take_is_missed() {
    let mut told = Told::default();
    told.acknowledged.insert((0, 4, 0), (0, 4));
    told.acknowledged.insert((0, 6, 0), (0, 6));
    told.kept.push(vec![5, 0]);
    told.acknowledged.insert((0, 5, 1), (0, 7));
    let at = |offset: i64, value: u64| ((0, offset), (0usize, value));
    assert_eq!(told.judge(&[at(4, 4), at(5, 7)].into()), Ok(1));
    let wrong = |there: &[((i32, i64), Value)]| told.judge(&there.iter().copied().collect()).unwrap_err();
    assert!(wrong(&[at(5, 7)]).starts_with("lost-of-the-tier"), "it was in the tier");
    assert!(wrong(&[at(4, 4)]).starts_with("lost-of-the-tier"), "no election came after it");
    assert!(wrong(&[at(4, 4), at(5, 7), at(7, 6)]).starts_with("moved"));
    assert!(wrong(&[at(4, 4), at(5, 7), at(6, 4)]).starts_with("duplicate"));
}
