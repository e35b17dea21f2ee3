//! Runs of seeds, and what makes them worth something.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::clients::{Caller, PARTITIONS, TOPIC};
use super::faults::Struck;
use super::world::{BROKERS, World};
use crate::env::Clock as _;
use crate::env::sim::{DiskCall, Fault};
use crate::wire::ErrorCode;
use crate::wire::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};

/// Faults of one run, and times that all heals.
const FAULTS: usize = 16;
/// Seeds that a run of the unit tests looks at; `tests/simulate` takes more.
const SEEDS: u64 = 2;
/// Service is back within this, in simulated time.
pub(super) const LIVENESS: Duration = Duration::from_secs(90);

/// What a run was.
#[derive(Debug)]
struct Outcome {
    acknowledged: usize,
    checked: u64,
    compared: usize,
    objects: usize,
    /// Of the metadata: taken, and sent by the leader and taken up.
    snapshots: (u64, u64),
    struck: Struck,
    age: Duration,
    trace: Vec<String>,
    violation: Option<String>,
}

async fn create_topic(world: &Arc<World>, more: &[(&str, &str)]) {
    let mut caller = Caller::new(world.clone(), 99);
    let flushed = ("flush.messages", if world.is_flushed { "1" } else { "9223372036854775807" });
    let usual = [
        flushed,
        ("segment.bytes", "1500"),
        // Clocks are hours off.
        ("message.timestamp.after.max.ms", "9223372036854775807"),
        ("local.retention.bytes", "3000"),
        ("remote.storage.enable", "true"),
    ];
    let configs = usual.iter().chain(more);
    let configs = configs
        .map(|(name, value)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) });
    let topic = CreatableTopic {
        name: TOPIC.into(),
        num_partitions: PARTITIONS,
        replication_factor: 3,
        configs: configs.collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 5_000, validate_only: false };
    loop {
        let told = caller.ask(1, &request, 7).await;
        match told.map(|told| told.topics[0].error_code) {
            Some(ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS) => return,
            Some(code) if !code.is_retriable() => panic!("{code}"),
            _ => world.clock.sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Starts the brokers and makes the topic.
pub(super) async fn begun(world: &Arc<World>) {
    begun_with(world, &[]).await;
}

/// The same, with more configs of the topic.
pub(super) async fn begun_with(world: &Arc<World>, more: &[(&str, &str)]) {
    let starting: Vec<_> = (1..=BROKERS)
        .map(|id| {
            let world = world.clone();
            tokio::spawn(async move { world.start(id).await })
        })
        .collect();
    for start in starting {
        start.await.expect("it starts");
    }
    create_topic(world, more).await;
    world.within(LIVENESS, "the topic is whole", || world.is_whole()).await;
}

async fn play(seed: u64, faults: usize) -> Outcome {
    let world = World::new(seed);
    let mut rng = StdRng::seed_from_u64(seed);
    begun(&world).await;

    let (stop, never) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let watching = {
        let (world, stop) = (world.clone(), never.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                world.watch_positions();
                world.clock.sleep(Duration::from_millis(20)).await;
            }
        })
    };
    let producers: Vec<_> = (0..3usize)
        .map(|n| tokio::spawn(Caller::new(world.clone(), n as u64).produce(n, stop.clone())))
        .collect();
    let readers: Vec<_> = (0..PARTITIONS)
        .map(|p| tokio::spawn(Caller::new(world.clone(), 10 + p as u64).consume(p, None, never.clone())))
        .collect();

    // The safety phase.
    for _ in 0..faults {
        let millis = rng.random_range(0..2_500);
        world.clock.sleep(Duration::from_millis(millis)).await;
        if world.history.violation().is_some() {
            break;
        }
        world.disturb(&mut rng).await;
    }
    world.clock.sleep(Duration::from_millis(1_000)).await;

    // The liveness phase.
    world.heal();
    world.within(LIVENESS, "every broker is up and every replica in sync", || world.is_whole()).await;
    stop.store(true, Ordering::SeqCst);
    let produced = || producers.iter().all(tokio::task::JoinHandle::is_finished);
    world.within(LIVENESS, "every producer has its answer", produced).await;
    world
        .within(LIVENESS, "all replicas end at the same place", || world.is_whole() && world.is_level())
        .await;
    let last: Vec<_> = (0..PARTITIONS)
        .map(|p| {
            let end = world.end_of(p);
            tokio::spawn(Caller::new(world.clone(), 20 + p as u64).consume(p, end.or(Some(0)), never.clone()))
        })
        .collect();
    let read = || last.iter().all(tokio::task::JoinHandle::is_finished);
    world.within(LIVENESS, "everything has been read from the start", read).await;
    let compared = world.compare_replicas(LIVENESS).await;
    never.store(true, Ordering::SeqCst);
    for task in producers.into_iter().chain(readers).chain(last).chain([watching]) {
        task.abort();
        if let Err(error) = task.await
            && error.is_panic()
        {
            world.history.violated(format!("panic: {error}"));
        }
    }
    let acknowledged = world.history.finish();
    world.shut_down().await;
    Outcome {
        acknowledged,
        checked: world.history.checked(),
        compared,
        objects: world.objects(),
        snapshots: world.snapshots(),
        struck: world.struck.lock().clone(),
        age: world.age(),
        trace: world.trace.take(),
        violation: world.history.violation(),
    }
}

/// Plays in one thread, whose time moves on when nobody has anything to do.
pub(super) fn on_paused_time<T>(play: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(play)
}

fn run(seed: u64, faults: usize) -> Outcome {
    on_paused_time(play(seed, faults))
}

pub(super) fn given<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs one test of this file in a process whose every other source of randomness stands still; what it says.
pub(super) fn still(test: &str, setting: (&str, &str)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("getrandom.so");
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc)
        .args(["--edition", "2024", "--crate-type", "cdylib", "-O", "-o"])
        .arg(&library)
        .arg(Path::new(&root).join("tests/simulation/getrandom.rs"))
        .status();
    assert!(built.expect("rustc is there, for it has built this").success());
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("simulation::{test}"), "--nocapture", "--include-ignored"])
        .env("LD_PRELOAD", &library)
        .env(setting.0, setting.1)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
    said
}

/// A seed in a process of its own (`ESKER_SIMULATION_SEED`), as `tests/simulate` and `tests/defects` start it too. With
/// `ESKER_SIMULATION_SHOW` it prints what befalls the brokers, with `ESKER_SIMULATION_LOG=info` also what they say.
fn one_seed(seed: u64) {
    if let Some(level) = given::<tracing::Level>("ESKER_SIMULATION_LOG") {
        tracing_subscriber::fmt().with_max_level(level).without_time().init();
    }
    let outcome = run(seed, given("ESKER_SIMULATION_FAULTS").unwrap_or(FAULTS));
    let struck: Vec<String> = outcome.struck.iter().map(|(kind, times)| format!("{kind}={times}")).collect();
    println!(
        "seed {seed}: {} acknowledged, {} checked, {} batches compared, {} objects, {} snapshots taken, {} sent, {:?} simulated, {} events; {}",
        outcome.acknowledged,
        outcome.checked,
        outcome.compared,
        outcome.objects,
        outcome.snapshots.0,
        outcome.snapshots.1,
        outcome.age,
        outcome.trace.len(),
        struck.join(" ")
    );
    assert_eq!(outcome.violation, None, "ESKER_SIMULATION_SEED={seed}");
    assert!(outcome.acknowledged > 0 && outcome.compared > 0, "seed {seed} proves nothing");
}

#[test]
fn seeds_of_whole_brokers_leave_no_anomaly() {
    let name = "seeds_of_whole_brokers_leave_no_anomaly";
    match given("ESKER_SIMULATION_SEED") {
        Some(seed) => one_seed(seed),
        None => (0..SEEDS).for_each(|seed| {
            let said = still(&format!("tests::{name}"), ("ESKER_SIMULATION_SEED", &seed.to_string()));
            print!("{}", said.lines().filter(|line| line.starts_with("seed ")).collect::<String>());
        }),
    }
}

#[test]
fn a_topic_whose_opening_takes_longer_than_its_client_waits_is_answered_as_made() {
    on_paused_time(async {
        let world = World::new(0);
        begun(&world).await;
        let fault = Fault::next(DiskCall::Open, "/data/new-", std::io::ErrorKind::StorageFull);
        world.disk_of(1).inject(Fault { times: usize::MAX, ..fault });
        let alone = CreatableReplicaAssignment { broker_ids: vec![1], ..Default::default() };
        let topic = CreatableTopic {
            name: "new".into(),
            num_partitions: -1,
            replication_factor: -1,
            assignments: vec![alone],
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 500, validate_only: false };
        let told = Caller::new(world.clone(), 98).ask(1, &request, 7).await;
        assert_eq!(told.map(|told| told.topics[0].error_code), Some(ErrorCode::NONE));
        world.shut_down().await;
    });
}

#[test]
fn the_same_seed_writes_the_same_trace_to_the_last_byte() {
    let name = "the_same_seed_writes_the_same_trace_to_the_last_byte";
    if let Some(seed) = given("ESKER_SIMULATION_TRACE") {
        let outcome = run(seed, FAULTS);
        assert_eq!(outcome.violation, None);
        outcome.trace.iter().for_each(|line| println!("@{line}"));
        return;
    }
    let trace = |seed| {
        let said = still(&format!("tests::{name}"), ("ESKER_SIMULATION_TRACE", seed));
        said.lines().filter(|line| line.starts_with('@')).map(str::to_owned).collect::<Vec<_>>()
    };
    let (first, second, other) = (trace("3"), trace("3"), trace("4"));
    let parts = first.iter().zip(&second).position(|(a, b)| a != b);
    if let Some(at) = parts {
        panic!("line {at} of {}:\n{}\n{}", first.len(), first[at], second[at]);
    }
    assert_eq!(first.len(), second.len());
    assert!(first.len() > 1_000, "{} lines would prove little", first.len());
    assert_ne!(first, other, "another seed is another run");
}

#[test]
fn the_simulated_brokers_are_started_by_the_constructor_of_esker_server() {
    let lifecycle = include_str!("../broker/lifecycle.rs");
    let seams = include_str!("../broker/seams.rs");
    let server = include_str!("../cli/server.rs");
    let here = include_str!("world.rs");
    assert_eq!(lifecycle.matches("Arc::new(Broker {").count(), 1, "a broker is made in one place");
    assert_eq!(lifecycle.matches("pub async fn start(").count(), 1, "there is one constructor");
    assert!(server.contains("Broker::start(Seams::real(env.clone()), config, endpoints)"));
    assert!(here.contains("Broker::start(seams, config, vec![endpoint])"));
    for (file, text) in [("lifecycle", lifecycle), ("seams", seams)] {
        let tested = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
        assert!(!tested.contains("cfg("), "{file} may not do anything else in a test");
    }
    let fields: Vec<&str> = seams
        .split_once("pub struct Seams {")
        .and_then(|(_, rest)| rest.split_once("\n}"))
        .map(|(fields, _)| fields.lines().filter_map(|l| l.trim().strip_prefix("pub ")).collect())
        .unwrap_or_default();
    assert_eq!(
        fields,
        ["env: Env,", "peers: Arc<dyn PeerNetwork>,", "stores: Arc<dyn ObjectStores>,"],
        "nothing else is exchanged"
    );
}
