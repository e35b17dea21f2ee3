//! What befalls the brokers of a run, the links between them, their machines and the object store.
//!
//! Faults come a while apart, and about every fourth time all that can heal heals instead. What takes copies away (power
//! loss, a wiped disk, lost or failing fsyncs, a flipped bit) comes only while all replicas are in sync and all brokers vote,
//! since the promise holds under any single one of them. The exception is a topic that is flushed before each answer: then all may lose power at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;

use super::world::{BROKERS, End, World};
use crate::env::Clock as _;
use crate::env::sim::{DiskCall, Fault, SimDisk};
use crate::types::BrokerId;

/// Bits that are flipped in a run at most: all of them on the same broker, so that the others have what it loses.
const FLIPS: u64 = 3;
/// Between two faults that take copies away.
const MENDED: Duration = Duration::from_secs(2);

/// The kinds of faults, each with how often it comes compared with the others.
const KINDS: &[(&str, u32)] = &[
    ("cut", 3),
    ("one-way-cut", 3),
    ("isolation", 2),
    ("slow-link", 2),
    ("late-frames", 2),
    ("kill", 8),
    ("kill-all", 2),
    ("power-loss", 3),
    ("power-loss-all", 2),
    ("wipe", 3),
    ("orderly-stop", 2),
    ("pause", 4),
    ("clock-jump", 2),
    ("slow-disk", 2),
    ("disk-error", 4),
    ("disk-full", 2),
    ("lost-fsync", 2),
    ("bit-flip", 4),
    ("store-errors", 2),
    ("store-outage", 2),
    ("store-rot", 2),
    ("store-forgets", 2),
];

/// Those that are `scripts`: they come only when they are asked for.
const SCRIPTS: [&str; 4] = ["last-copy-wiped", "last-copy-unflushed", "unheard-join", "cut-tail"];

/// How often each kind has struck.
pub(super) type Struck = BTreeMap<&'static str, u64>;

impl World {
    /// One random fault, or all that can heal heals.
    pub async fn disturb(self: &Arc<Self>, rng: &mut StdRng) {
        if rng.random_range(0..4) == 0 {
            return self.heal_what_lasts();
        }
        self.rough.store(true, Ordering::SeqCst);
        let kind = draw(rng);
        let broker = rng.random_range(1..=BROKERS);
        let has_struck = match SCRIPTS.contains(&kind) {
            true => self.play(kind, rng).await,
            false => self.strike(kind, broker, rng),
        };
        if has_struck {
            *self.struck.lock().entry(kind).or_default() += 1;
        }
    }

    /// Whether it could be done.
    fn strike(self: &Arc<Self>, kind: &str, a: i32, rng: &mut StdRng) -> bool {
        let b = a % BROKERS + 1;
        let (one, other) = (BrokerId(a), BrokerId(b));
        let after = Duration::from_millis(rng.random_range(0..2_500));
        match kind {
            "cut" => {
                self.say(&format!("{a} and {b} are cut off from each other"));
                self.network.cut(one, other);
            }
            "one-way-cut" => {
                self.say(&format!("{a} is not heard by {b}"));
                self.network.cut_one_way(one, other);
            }
            "isolation" => {
                self.say(&format!("{a} is alone"));
                self.isolate(a);
            }
            "slow-link" => {
                let delay = Duration::from_millis(rng.random_range(1..120));
                self.say(&format!("{a} to {b} takes {delay:?}"));
                self.network.delay(one, other, delay);
            }
            "late-frames" => {
                let late = rng.random_range(20..150);
                self.say(&format!("{late} of 1,000 frames are late"));
                self.jitter.late.store(late, Ordering::SeqCst);
            }
            "kill" => return self.end_and_start(a, End::Killed, after),
            "kill-all" => {
                let killed = (1..=BROKERS).filter(|id| self.end_and_start(*id, End::Killed, after));
                return killed.count() > 0;
            }
            "power-loss" => return self.may_lose_a_copy() && self.end_and_start(a, End::PowerLost, after),
            "power-loss-all" => {
                let off = |id: &i32| self.end_and_start(*id, End::PowerLost, after);
                return self.is_flushed && (1..=BROKERS).filter(off).count() > 0;
            }
            "wipe" => return self.may_lose_a_copy() && self.end_and_start(a, End::Wiped, after),
            "orderly-stop" => return self.stop_and_start(a, after),
            "pause" => return self.pause(a, Duration::from_millis(rng.random_range(200..7_000))),
            "clock-jump" => {
                let by = rng.random_range(-7_200_000..7_200_000);
                self.say(&format!("the wall clock of {a} jumps by {by} ms"));
                self.clock_of(a).jump_wall(by);
            }
            "slow-disk" => {
                let slower = rng.random_range(5..60);
                self.say(&format!("the disk of {a} is {slower} times slower"));
                self.slow_down_disk(a, slower);
            }
            "disk-error" => {
                let (call, written) = match rng.random_range(0..3) {
                    // What was not flushed is not to be trusted then: the copy goes.
                    0 if !self.may_lose_a_copy() => return false,
                    0 => (DiskCall::Sync, 0),
                    _ => (DiskCall::Write, rng.random_range(0..200)),
                };
                self.say(&format!("the disk of {a} fails a {call:?}"));
                let fault = Fault::next(call, "/data/t-", std::io::ErrorKind::Other);
                self.disk_of(a).inject(Fault { written, ..fault });
            }
            "disk-full" => {
                self.say(&format!("the disk of {a} is full"));
                let fault = Fault::next(DiskCall::Write, "/data/", std::io::ErrorKind::StorageFull);
                self.disk_of(a).inject(Fault {
                    times: usize::MAX,
                    written: rng.random_range(0..200),
                    ..fault
                });
            }
            "lost-fsync" => {
                // A flushed topic keeps its place in the ISR by what fsync has said: no defence is promised.
                return !self.is_flushed && self.may_lose_a_copy() && self.lose_fsyncs_and_power(a, after);
            }
            "bit-flip" => return self.flip_a_bit(rng),
            "store-errors" => {
                let failing = rng.random_range(50..600);
                self.say(&format!("{failing} of 1,000 requests to the store fail"));
                self.health.failing.store(failing, Ordering::SeqCst);
            }
            "store-outage" => {
                self.say("the store is down");
                self.health.is_down.store(true, Ordering::SeqCst);
            }
            "store-rot" => {
                let rotten = rng.random_range(20..300);
                self.say(&format!("{rotten} of 1,000 answers of the store are damaged"));
                self.health.rotten.store(rotten, Ordering::SeqCst);
            }
            "store-forgets" => {
                let forgotten = rng.random_range(20..200);
                self.say(&format!("{forgotten} of 1,000 objects are taken by the store and lost"));
                self.health.forgetful.store(forgotten, Ordering::SeqCst);
            }
            other => unreachable!("{other}"),
        }
        true
    }

    /// Whether a copy may be taken away now: all are in sync and vote, and the last one that was is back for a while.
    fn may_lose_a_copy(&self) -> bool {
        let now = self.clock.now();
        let last = *self.last_copy_lost.lock();
        let may = self.is_whole() && self.has_all_votes() && last.is_none_or(|last| now.since(last) > MENDED);
        if may {
            self.loses_a_copy();
        }
        may
    }

    /// A copy is lost now. A failing fsync that still waits for its call would cost another one.
    pub(super) fn loses_a_copy(&self) {
        *self.last_copy_lost.lock() = Some(self.clock.now());
        (1..=BROKERS).for_each(|id| self.disk_of(id).forget_faults(DiskCall::Sync));
    }

    /// The only broker whose bits flip.
    pub(super) fn flipped(&self) -> i32 {
        i32::try_from(self.seed % 3).map_or(1, |n| n + 1)
    }

    fn isolate(&self, a: i32) {
        for c in (1..=BROKERS).filter(|c| *c != a) {
            self.network.cut(BrokerId(a), BrokerId(c));
        }
    }

    pub(super) fn end_and_start(self: &Arc<Self>, id: i32, how: End, after: Duration) -> bool {
        let ended = self.end(id, how);
        if ended {
            let world = self.clone();
            tokio::spawn(async move {
                world.clock.sleep(after).await;
                world.start(id).await;
            });
        }
        ended
    }

    fn stop_and_start(self: &Arc<Self>, id: i32, after: Duration) -> bool {
        let is_up = self.api(id).is_some();
        let world = self.clone();
        tokio::spawn(async move {
            if world.stop(id).await {
                world.clock.sleep(after).await;
                world.start(id).await;
            }
        });
        is_up
    }

    /// The process stands still for a while; nobody hears it, and it hears nobody.
    fn pause(self: &Arc<Self>, id: i32, how_long: Duration) -> bool {
        let Some(gate) = self.api(id).map(|reached| reached.gate) else { return false };
        self.say(&format!("{id} stands still for {how_long:?}"));
        gate.close();
        self.isolate(id);
        let world = self.clone();
        tokio::spawn(async move {
            world.clock.sleep(how_long).await;
            world.reconnect(id);
            if !gate.is_open() {
                world.say(&format!("{id} goes on"));
                gate.open();
            }
        });
        true
    }

    /// Fsyncs of its segments do nothing for a while, and then the power is lost.
    fn lose_fsyncs_and_power(self: &Arc<Self>, id: i32, after: Duration) -> bool {
        self.say(&format!("the disk of {id} loses fsyncs"));
        let disk = self.disk_of(id);
        disk.lose_fsyncs(".log");
        let world = self.clone();
        tokio::spawn(async move {
            world.clock.sleep(after).await;
            if world.is_whole() && !world.is_scripted.load(Ordering::SeqCst) {
                world.loses_a_copy();
                world.end_and_start(id, End::PowerLost, after);
            } else {
                disk.heal();
            }
        });
        true
    }

    /// A bit of a closed segment, or of its indexes.
    fn flip_a_bit(&self, rng: &mut StdRng) -> bool {
        let already = self.struck.lock().get("bit-flip").copied().unwrap_or(0);
        if already >= FLIPS || !self.may_lose_a_copy() {
            return false;
        }
        let id = self.flipped();
        let disk = self.disk_of(id);
        let files = closed_segments(&disk);
        let Some((path, len)) = files.get(rng.random_range(0..files.len().max(1))) else { return false };
        let bit = rng.random_range(0..len * 8);
        self.say(&format!("bit {bit} of {} on {id} flips", path.display()));
        disk.flip_bit(path, bit);
        true
    }

    /// What does not end by itself ends: the network is well, the disks and the store are.
    pub(super) fn heal_what_lasts(&self) {
        self.say("all is well again");
        for a in (1..=BROKERS).map(BrokerId) {
            for b in (1..=BROKERS).map(BrokerId).filter(|b| *b != a) {
                self.network.heal(a, b);
                self.network.delay(a, b, Duration::ZERO);
                self.network.delay_copies(a, b, Duration::ZERO);
            }
        }
        for id in 1..=BROKERS {
            self.disk_of(id).heal();
            self.slow_down_disk(id, 1);
            // Nobody is heard who stands still.
            if self.api(id).is_some_and(|reached| !reached.gate.is_open()) {
                self.isolate(id);
            }
        }
        self.jitter.late.store(0, Ordering::SeqCst);
        for rate in [&self.health.failing, &self.health.rotten, &self.health.forgetful] {
            rate.store(0, Ordering::SeqCst);
        }
        self.health.is_down.store(false, Ordering::SeqCst);
    }

    fn reconnect(&self, id: i32) {
        for c in (1..=BROKERS).filter(|c| *c != id) {
            self.network.heal(BrokerId(id), BrokerId(c));
        }
    }

    /// Everything works from now on.
    pub fn heal(&self) {
        self.rough.store(false, Ordering::SeqCst);
        for id in 1..=BROKERS {
            if let Some(reached) = self.api(id) {
                reached.gate.open();
            }
        }
        self.heal_what_lasts();
    }
}

/// A kind of fault; those that `ESKER_SIMULATION_LIKELY` names come far more often than otherwise.
fn draw(rng: &mut StdRng) -> &'static str {
    let likely = std::env::var("ESKER_SIMULATION_LIKELY").unwrap_or_default();
    let more = |kind: &str| if likely.split(',').any(|one| one == kind) { 20 } else { 0 };
    let scripts = SCRIPTS.iter().map(|kind| (*kind, 0));
    let kinds: Vec<_> = KINDS.iter().copied().chain(scripts).map(|(k, w)| (k, w + more(k))).collect();
    let all: u32 = kinds.iter().map(|(_, weight)| weight).sum();
    let mut at = rng.random_range(0..all);
    for (kind, weight) in kinds {
        if at < weight {
            return kind;
        }
        at -= weight;
    }
    unreachable!("it is below the sum")
}

/// The files of all but the last segment of each partition, with their lengths.
fn closed_segments(disk: &SimDisk) -> Vec<(PathBuf, usize)> {
    let mut folders: BTreeMap<PathBuf, Vec<(PathBuf, usize)>> = BTreeMap::new();
    for (path, bytes) in disk.snapshot() {
        let is_of_segment = path.extension().is_some_and(|e| e == "log" || e == "index" || e == "timeindex");
        if is_of_segment && path.starts_with("/data") && path.to_string_lossy().contains("/t-") {
            let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
            folders.entry(folder).or_default().push((path, bytes.len()));
        }
    }
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let closed = folders.into_values().flat_map(|files| {
        let last = files.iter().filter_map(|(path, _)| stem(path)).max();
        files.into_iter().filter(move |(path, len)| *len > 0 && stem(path) != last)
    });
    closed.collect()
}
