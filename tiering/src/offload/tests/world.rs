//! The world of the random test: three replicas, a leader, zombies, and a store that fails and yields at each request.

mod replica;
mod store;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::super::*;
use crate::batch;
use crate::layout::{self, Entry};
use crate::lineage::EpochStart;
use crate::object::ObjectOptions;
use crate::store::{FaultStore, MemoryStore, Store as _};
use crate::testing::{MemorySegment, batch as new_batch};
use replica::{Batch, Replica};
use store::{RandomFaults, Yielding, pause};

/// Which defence is in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defence {
    On,
    /// The store's put-if-absent replaces what is there.
    NoPutIfAbsent,
    /// What verification reads is what was sent, not what is stored.
    NoVerification,
    /// The log takes its end for its high watermark.
    NoHighWatermark,
    /// Every leader claims a higher epoch than any before it.
    NoEpochs,
    /// A damaged object's row and all behind it are unpublished before they have gone up again.
    CutsLost,
}

/// What went wrong, and how it came to be.
pub struct Violation {
    what: String,
    trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.trace.len().saturating_sub(40);
        write!(f, "{}\n{}", self.what, self.trace[from..].join("\n"))
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

struct State {
    random: Random,
    now_ms: i64,
    replicas: [Replica; 3],
    leader: usize,
    epoch: i32,
    /// All committed batches of the surviving lineage.
    truth: Vec<Batch>,
    log_start: i64,
    defence: Defence,
    faults: bool,
    violation: Option<String>,
    trace: Vec<String>,
    memory: MemoryStore,
    serial: u32,
    /// The base of an object that a scrub has found damaged on the leader.
    damaged: Option<i64>,
    manifests: Mutex<Decoded<Manifest>>,
    objects: Mutex<Decoded<Vec<Batch>>>,
    archives: Mutex<Decoded<Vec<Segment>>>,
}

type World = Arc<Mutex<State>>;

/// By the address of the bytes, which are kept so that it stays theirs.
type Decoded<T> = HashMap<usize, (Bytes, Arc<T>)>;

fn folder() -> PartitionFolder {
    PartitionFolder::new("c", "t", "i", 0).unwrap()
}

const OBJECT: ObjectOptions = ObjectOptions { chunk_bytes: 300, index_interval_bytes: 100 };

impl State {
    fn note(&mut self, what: String) {
        self.trace.push(what);
    }

    /// Decoded once per object.
    fn decoded(&self, bytes: &Bytes) -> Arc<Manifest> {
        let mut known = self.manifests.lock().unwrap();
        let decode = || Manifest::decode(bytes).expect("a generation that was written can be read");
        known.entry(bytes.as_ptr() as usize).or_insert_with(|| (bytes.clone(), Arc::new(decode()))).1.clone()
    }

    /// The batches of an object, walked once.
    fn batches_of(&self, segment: &Segment, object: &Bytes) -> Result<Arc<Vec<Batch>>, String> {
        let mut known = self.objects.lock().unwrap();
        if let Some((_, batches)) = known.get(&(object.as_ptr() as usize)) {
            return Ok(batches.clone());
        }
        if upload::read_footer(segment, object).is_err() {
            return Err(format!("6: {} is not what its row says", segment.name));
        }
        let mut bytes = object.slice(..segment.log_bytes as usize);
        let mut batches = Vec::new();
        while let Some(head) = batch::head(&bytes).map_err(|e| e.to_string())? {
            let taken = bytes.split_to(head.bytes);
            batches.push(Batch {
                base: head.base,
                end: head.end,
                bytes: taken,
                timestamp: head.max_timestamp,
            });
        }
        let batches = Arc::new(batches);
        known.insert(object.as_ptr() as usize, (object.clone(), batches.clone()));
        Ok(batches)
    }

    /// The generation that counts, seen from outside.
    fn head(&self) -> Option<Arc<Manifest>> {
        let objects = self.memory.snapshot();
        let newest = objects.iter().filter_map(|(key, bytes)| match layout::parse(key) {
            Some((_, Entry::Manifest(generation))) => Some((generation, bytes)),
            _ => None,
        });
        let (_, bytes) = newest.max_by_key(|(generation, _)| *generation)?;
        Some(self.decoded(bytes))
    }

    /// The tier's batches that the chain accepts, or what is wrong with them.
    fn tier_batches(&self, chain: &[EpochStart]) -> Result<Vec<Batch>, String> {
        let Some(head) = self.head() else { return Ok(Vec::new()) };
        let objects = self.memory.snapshot();
        let mut rows = Vec::new();
        for archive in &head.archives {
            let file = self.archive_rows(archive, &objects)?;
            rows.extend_from_slice(archive.counting(&file));
        }
        rows.extend_from_slice(&head.live);
        let mut all = Vec::new();
        for segment in crate::manifest::on_chain(&rows, chain) {
            let key = folder().segment(&segment.name);
            let Some(object) = objects.get(&key) else { return Err(format!("6: {key} is named and gone")) };
            let batches = self.batches_of(&segment, object)?;
            all.extend(batches.iter().filter(|b| b.end <= segment.end).cloned());
        }
        Ok(all)
    }

    /// The rows of an archive that a generation names.
    fn archive_rows(
        &self,
        archive: &Archive,
        objects: &BTreeMap<String, Bytes>,
    ) -> Result<Arc<Vec<Segment>>, String> {
        let key = folder().archive(&archive.name);
        let Some(file) = objects.get(&key) else { return Err(format!("6: {key} is named and gone")) };
        let mut known = self.archives.lock().unwrap();
        if let Some((_, rows)) = known.get(&(file.as_ptr() as usize)) {
            return Ok(rows.clone());
        }
        let rows = Arc::new(archive.decode(file).map_err(|e| format!("6: {key}: {e}"))?);
        known.insert(file.as_ptr() as usize, (file.clone(), rows.clone()));
        Ok(rows)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        let leader = &self.replicas[self.leader];
        let tier = self.tier_batches(&leader.chain)?;
        let by_base: BTreeMap<i64, &Batch> = tier.iter().map(|batch| (batch.base, batch)).collect();
        for batch in self.truth.iter().filter(|batch| batch.end > self.log_start) {
            if let Some(cold) = by_base.get(&batch.base) {
                if *cold != batch {
                    return Err(format!("4: the tier holds another batch at {}", batch.base));
                }
            } else if batch.base < leader.local_start {
                return Err(format!("1: the committed batch at {} is nowhere", batch.base));
            }
            if batch.base >= leader.local_start && !leader.log.contains(batch) {
                return Err(format!("(model) the leader lacks the committed batch at {}", batch.base));
            }
        }
        let end = self.truth.last().map_or(0, |batch| batch.end);
        if let Some(cold) = tier.iter().find(|cold| cold.end > end.max(leader.high_watermark)) {
            return Err(format!("3: the tier holds the uncommitted batch at {}", cold.base));
        }
        let objects = self.memory.snapshot();
        let mut last = i32::MIN;
        let boundaries = objects.keys().filter_map(|key| match layout::parse(key) {
            Some((_, Entry::Boundary(boundary))) => Some(boundary),
            _ => None,
        });
        let boundary = boundaries.max().unwrap_or(0);
        for (key, bytes) in &objects {
            if let Some((_, Entry::Manifest(generation))) = layout::parse(key)
                && generation > boundary
            {
                let writer = self.decoded(bytes).writer;
                if writer.epoch < last {
                    return Err(format!("5: generation {generation} is a zombie's"));
                }
                last = writer.epoch;
            }
        }
        Ok(())
    }
}

struct Lead {
    world: World,
    replica: usize,
    /// The epoch the metadata gave, which is not the one the offloader claims in a world without epochs.
    epoch: i32,
    claimed: i32,
}

#[async_trait]
impl LeaderLog for Lead {
    async fn local(&self) -> Option<Local> {
        let state = self.world.lock().unwrap();
        let replica = &state.replicas[self.replica];
        (replica.leads == Some(self.epoch)).then(|| replica.local(self.claimed, state.defence))
    }

    async fn open(&self, segment: &LocalSegment) -> std::io::Result<LocalCopy> {
        let state = self.world.lock().unwrap();
        let mut bytes = BytesMut::new();
        let inside = |b: &&Batch| b.base >= segment.base && b.end <= segment.end;
        for batch in state.replicas[self.replica].log.iter().filter(inside) {
            bytes.extend_from_slice(&batch.bytes);
        }
        Ok(LocalCopy {
            source: Box::new(MemorySegment(bytes.freeze())),
            aborted_transactions: Bytes::new(),
            producer_snapshot: Bytes::new(),
        })
    }

    async fn advance_log_start(&self, to: i64) -> std::io::Result<()> {
        let mut state = self.world.lock().unwrap();
        state.note(format!("  replica {} raises the log start to {to}", self.replica));
        if state.replicas[self.replica].leads != Some(self.epoch) {
            return Err(std::io::Error::other("it does not lead any more"));
        }
        let committed = state.truth.last().map_or(0, |batch| batch.end);
        if to > committed {
            let what = format!(
                "1: the log start is raised to {to}, and {committed} is the end of all that is committed"
            );
            state.violation = Some(what);
            return Ok(());
        }
        let replica = &mut state.replicas[self.replica];
        replica.log_start = replica.log_start.max(to);
        replica.delete_local(to);
        state.log_start = state.log_start.max(to);
        Ok(())
    }

    async fn owns_store(&self) -> std::io::Result<bool> {
        Ok(true)
    }
    async fn everywhere_from(&self) -> Option<i64> {
        None
    }

    async fn delete_local(&self, below: i64) -> std::io::Result<()> {
        let mut state = self.world.lock().unwrap();
        delete_local(&mut state, self.replica, below);
        Ok(())
    }

    async fn set_tier(&self, end: i64, generation: u64) {
        let mut state = self.world.lock().unwrap();
        let replica = &mut state.replicas[self.replica];
        (replica.tier_end, replica.generation) = (end, generation);
    }
}

/// Invariant 2 at the moment it matters.
fn delete_local(state: &mut State, replica: usize, below: i64) {
    state.note(format!("  replica {replica} removes local segments below {below}"));
    let copy = &state.replicas[replica];
    match state.tier_batches(&copy.chain) {
        Err(violation) => state.violation = Some(violation),
        Ok(tier) => {
            let goes = copy.log.iter().filter(|b| b.end <= below && b.end > state.log_start);
            for batch in goes {
                if !tier.contains(batch) {
                    let base = batch.base;
                    state.violation = Some(format!("2: the batch at {base} goes and is not in the tier"));
                    break;
                }
            }
        }
    }
    state.replicas[replica].delete_local(below);
}

struct Seams(World);

impl Ambient for Seams {
    fn wall_ms(&self) -> i64 {
        self.0.lock().unwrap().now_ms
    }

    fn mono_ms(&self) -> i64 {
        self.wall_ms()
    }

    fn uuid(&self) -> Uuid {
        let mut state = self.0.lock().unwrap();
        Uuid::from_u64_pair(state.random.next(), state.random.next())
    }
}

struct Actor {
    replica: usize,
    epoch: i32,
    running: Pin<Box<dyn Future<Output = ()>>>,
}

fn start(world: &World, store: &SharedStore) -> Actor {
    let (replica, epoch, generation, policy, defence, serial) = {
        let mut state = world.lock().unwrap();
        state.serial += 1;
        let replica = state.leader;
        let policy = Policy {
            copy: true,
            retention_ms: state.random.one_in(3).then_some(4000),
            retention_bytes: state.random.one_in(3).then_some(6000),
            local_retention_ms: state.random.one_in(2).then_some(300),
            local_retention_bytes: Some(500),
            grace_ms: 200,
            expiry_ms: 100,
            segments_per_generation: 1 + state.random.below(3),
            archive_rows: 1 + state.random.below(3),
            keep_generations: 2,
            remove_generations: 2,
            superseded_ms: 400,
            knowledge_ms: 200,
            discard: false,
            awaited: false,
        };
        let generation = state.replicas[replica].generation;
        (replica, state.epoch, generation, policy, state.defence, state.serial as i32)
    };
    // Without epochs a leader's claim does not grow with its election, and a zombie may claim more.
    let claimed = if defence == Defence::NoEpochs { 1000 - serial } else { epoch };
    let options = OffloadOptions { upload: UploadOptions { object: OBJECT, ..UploadOptions::default() } };
    let mut offloader = Offloader::new(store.clone(), folder(), claimed, generation, options);
    let lead = Lead { world: world.clone(), replica, epoch, claimed };
    let world = world.clone();
    let running = Box::pin(async move {
        let seams = Seams(world.clone());
        loop {
            if offloader.takes_reports()
                && let Some(base) = damaged(&world, replica)
            {
                offloader.report_lost(base, &lead).await;
            }
            let awaited = world.lock().unwrap().random.one_in(8);
            let outcome = offloader.step(&lead, &Policy { awaited, ..policy }, &seams).await;
            if note_outcome(&world, &format!("{replica}/{epoch}"), outcome) {
                return;
            }
            pause().await;
        }
    });
    Actor { replica, epoch, running }
}

/// What the scrub has found for this leader to write again.
fn damaged(world: &World, replica: usize) -> Option<i64> {
    let mut state = world.lock().unwrap();
    let base = state.damaged.filter(|_| state.leader == replica)?;
    state.damaged = None;
    state.note(format!("  replica {replica} hears of a damaged object at {base}"));
    if state.defence == Defence::CutsLost {
        cut_off(&state, base);
    }
    Some(base)
}

/// The head as it was when rows were unpublished before they had gone up again.
fn cut_off(state: &State, base: i64) {
    let Some(head) = state.head() else { return };
    let mut head = Manifest::clone(&head);
    let kept = head.live.partition_point(|row| row.base() < base);
    head.live.truncate(kept);
    let key = folder().manifest(head.generation);
    let put = state.memory.put(&key, vec![head.encode().expect("it was decoded")]);
    assert!(futures::FutureExt::now_or_never(put).is_some_and(|put| put.is_ok()));
}

/// A scrub reads an object whose records the leader has on its disk, or the last of them.
fn find_damage(state: &mut State) {
    let (Some(head), local_start) = (state.head(), state.replicas[state.leader].local_start) else { return };
    let local: Vec<i64> = head.live.iter().filter(|row| row.end > local_start).map(Segment::base).collect();
    if !local.is_empty() {
        state.damaged = Some(local[state.random.below(local.len())]);
    }
}

/// A follower's disk is replaced: what the tier has it does not copy.
fn replace_disk(state: &mut State) {
    let follower = state.random.below(3);
    if follower == state.leader || state.replicas[follower].leads.is_some() {
        return;
    }
    let leader = state.replicas[state.leader].clone();
    state.note(format!("the disk of replica {follower} is replaced"));
    state.replicas[follower].begin_again(&leader);
    state.replicas[follower].follow(&leader);
}

/// Writes a step's outcome down; true when the offloader has ended.
fn note_outcome(world: &World, who: &str, outcome: Result<Action, OffloadError>) -> bool {
    let mut state = world.lock().unwrap();
    match outcome {
        Ok(Action::Idle) => false,
        Ok(action) => {
            state.note(format!("  {who}: {action:?}"));
            false
        }
        Err(error) => {
            state.note(format!("  {who}: {error}"));
            if let OffloadError::Stopped(PublishError::Conflict { .. } | PublishError::Lost { .. }) = error {
                state.violation = Some(format!("5: {error}"));
            }
            matches!(error, OffloadError::Deposed | OffloadError::Fenced { .. })
        }
    }
}

fn append(state: &mut State, replica: usize, epoch: i32) {
    let records = 1 + state.random.below(5) as i32;
    let payload = vec![state.random.below(256) as u8; state.random.below(80)];
    let now_ms = state.now_ms;
    let copy = &mut state.replicas[replica];
    let base = copy.end();
    let bytes = new_batch(base, records, epoch, now_ms, &payload);
    copy.log.push(Batch { base, end: base + i64::from(records), bytes, timestamp: now_ms });
}

/// The followers that do not believe to lead copy the leader's log; a majority makes it committed.
fn replicate(state: &mut State) {
    let leader = state.replicas[state.leader].clone();
    let followers: Vec<usize> =
        (0..3).filter(|&i| i != state.leader && state.replicas[i].leads.is_none()).collect();
    for &follower in &followers {
        state.replicas[follower].follow(&leader);
    }
    if followers.is_empty() {
        return;
    }
    let committed = state.truth.last().map_or(0, |batch| batch.end);
    let fresh: Vec<Batch> = leader.log.iter().filter(|b| b.base >= committed).cloned().collect();
    state.truth.extend(fresh);
    let end = leader.end();
    state.replicas[state.leader].high_watermark = end;
}

fn elect(state: &mut State) {
    // Only a replica that holds all that is committed: the ISR.
    let committed = state.truth.last().map_or(0, |batch| batch.end);
    let holds = |r: &Replica| {
        r.end() >= committed
            && state.truth.iter().filter(|b| b.base >= r.local_start).all(|b| r.log.contains(b))
    };
    let able: Vec<usize> = (0..3).filter(|&i| holds(&state.replicas[i])).collect();
    let new = able[state.random.below(able.len())];
    let old = state.leader;
    if state.random.one_in(3) || new == old {
        state.replicas[old].leads = None;
    }
    state.epoch += 1;
    let epoch = state.epoch;
    state.leader = new;
    let leader = &mut state.replicas[new];
    leader.leads = Some(epoch);
    let start = leader.end();
    leader.chain.retain(|entry| entry.start < start);
    leader.chain.push(EpochStart { epoch, start });
    state.note(format!("replica {new} leads under epoch {epoch} from {start}"));
}

/// A replica that lost its tail leads: what it lacks is gone, and other records take the offsets.
fn elect_uncleanly(state: &mut State) {
    let leader = &state.replicas[state.leader];
    let least = leader.local_start.max(state.log_start);
    let of_log = leader.log.iter().map(|b| b.base);
    // Also one that ends below what the leader had on its disk, or below the log start: what it has left is in the tier.
    let of_all = state.truth.iter().map(|b| b.base).filter(|&base| base <= least);
    let cuts: Vec<i64> = of_log.filter(|&base| base > least).chain(of_all).collect();
    let Some(&cut) = cuts.get(state.random.below(cuts.len())) else { return };
    let index = state.leader;
    let leader = &mut state.replicas[index];
    leader.log.retain(|batch| batch.end <= cut);
    leader.closed_ends.retain(|&end| end <= cut);
    leader.chain.retain(|entry| entry.start < cut);
    leader.high_watermark = leader.high_watermark.min(cut);
    leader.local_start = leader.local_start.min(cut);
    state.truth.retain(|batch| batch.end <= cut);
    state.log_start = state.log_start.min(cut);
    for replica in &mut state.replicas {
        replica.leads = None;
        replica.tier_end = 0;
        replica.log_start = replica.log_start.min(cut);
    }
    state.note(format!("the tail from {cut} on is lost"));
    let leader = &mut state.replicas[index];
    state.epoch += 1;
    leader.leads = Some(state.epoch);
    leader.chain.push(EpochStart { epoch: state.epoch, start: cut });
    let leader = leader.clone();
    for (i, replica) in state.replicas.iter_mut().enumerate() {
        if i != index {
            replica.follow(&leader);
        }
    }
}

fn follower_deletes(state: &mut State) {
    let follower = state.random.below(3);
    let now_ms = state.now_ms;
    let copy = &state.replicas[follower];
    if copy.leads.is_some() {
        return;
    }
    let policy = Policy { local_retention_bytes: Some(300), ..Policy::default() };
    let local = copy.local(0, Defence::On);
    if let Some(below) = plan::local_delete_below(&local, copy.tier_end, &policy, now_ms) {
        delete_local(state, follower, below);
    }
}

/// Runs one world. The same seed brings the same run.
pub fn run(seed: u64, steps: usize, defence: Defence) -> Result<(), Violation> {
    let memory = MemoryStore::new();
    let world: World = Arc::new(Mutex::new(State {
        random: Random(seed),
        now_ms: 1_000,
        replicas: Default::default(),
        leader: 0,
        epoch: 0,
        truth: Vec::new(),
        log_start: 0,
        defence,
        faults: true,
        violation: None,
        trace: Vec::new(),
        memory: memory.clone(),
        serial: 0,
        damaged: None,
        manifests: Mutex::default(),
        objects: Mutex::default(),
        archives: Mutex::default(),
    }));
    let faulty = FaultStore::new(Arc::new(memory), Arc::new(RandomFaults(world.clone())));
    let store: SharedStore = Arc::new(Yielding { inner: Arc::new(faulty), defence, sent: Mutex::default() });
    let mut actors: Vec<Actor> = Vec::new();
    elect(&mut world.lock().unwrap());
    actors.push(start(&world, &store));
    for _ in 0..steps {
        event(&world, &store, &mut actors);
        judge(&world)?;
    }
    drain(&world, &store, &mut actors)
}

fn judge(world: &World) -> Result<(), Violation> {
    let state = world.lock().unwrap();
    state.check().map_err(|what| Violation { what, trace: state.trace.clone() })
}

fn poll(actor: &mut Actor) -> bool {
    actor.running.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn event(world: &World, store: &SharedStore, actors: &mut Vec<Actor>) {
    let mut state = world.lock().unwrap();
    state.now_ms += state.random.below(40) as i64;
    match state.random.below(40) {
        0..=5 => {
            let (leader, epoch) = (state.leader, state.epoch);
            append(&mut state, leader, epoch);
        }
        6..=9 => replicate(&mut state),
        10..=12 => {
            let replica = state.random.below(3);
            let copy = &mut state.replicas[replica];
            let end = copy.end();
            if end > copy.closed_ends.last().copied().unwrap_or(copy.local_start) {
                copy.closed_ends.push(end);
            }
        }
        13 => {
            // A zombie takes records that nobody will ever acknowledge.
            let zombie = (0..3).find(|&i| i != state.leader && state.replicas[i].leads.is_some());
            if let Some((zombie, epoch)) = zombie.and_then(|i| Some((i, state.replicas[i].leads?))) {
                append(&mut state, zombie, epoch);
            }
        }
        14 => follower_deletes(&mut state),
        15 if state.random.one_in(3) => {
            elect(&mut state);
            drop(state);
            actors.push(start(world, store));
        }
        16 => {
            // A zombie learns of its successor.
            let zombie = (0..3).find(|&i| i != state.leader && state.replicas[i].leads.is_some());
            if let Some(zombie) = zombie {
                let leader = state.replicas[state.leader].clone();
                state.replicas[zombie].leads = None;
                state.replicas[zombie].follow(&leader);
            }
        }
        17 if state.random.one_in(4) && !actors.is_empty() => {
            // A broker dies between two requests. What it had sent may have arrived.
            let victim = state.random.below(actors.len());
            let dead = actors.remove(victim);
            state.note(format!("the offloader of {}/{} dies", dead.replica, dead.epoch));
            if (dead.replica, dead.epoch) == (state.leader, state.epoch) {
                elect(&mut state);
                drop(state);
                actors.push(start(world, store));
            } else if state.replicas[dead.replica].leads == Some(dead.epoch) {
                state.replicas[dead.replica].leads = None;
            }
        }
        19 if state.random.one_in(3) => find_damage(&mut state),
        20 if state.random.one_in(4) => replace_disk(&mut state),
        18 if state.random.one_in(8) => {
            elect_uncleanly(&mut state);
            let elected = actors.iter().all(|a| a.epoch != state.epoch);
            drop(state);
            if elected {
                actors.push(start(world, store));
            }
        }
        _ => {
            let index = state.random.below(actors.len());
            drop(state);
            if let Some(actor) = actors.get_mut(index)
                && !poll(actor)
            {
                actors.remove(index);
            }
        }
    }
}

/// No more faults: the last leader finishes its work, and nothing is left that nobody names.
fn drain(world: &World, store: &SharedStore, actors: &mut Vec<Actor>) -> Result<(), Violation> {
    actors.clear();
    {
        let mut state = world.lock().unwrap();
        state.note("drain".to_owned());
        state.faults = false;
        for replica in &mut state.replicas {
            replica.leads = None;
        }
        elect(&mut state);
        let (leader, epoch) = (state.leader, state.epoch);
        append(&mut state, leader, epoch);
        replicate(&mut state);
        let copy = &mut state.replicas[leader];
        let end = copy.end();
        copy.closed_ends.push(end);
    }
    let mut last = start(world, store);
    for _ in 0..100 {
        let goes_on = (0..20).all(|_| poll(&mut last));
        judge(world)?;
        if !goes_on {
            let trace = world.lock().unwrap().trace.clone();
            return Err(Violation { what: "5: the last leader was fenced".to_owned(), trace });
        }
        world.lock().unwrap().now_ms += 20;
    }
    let state = world.lock().unwrap();
    let failed = |what: String| Err(Violation { what, trace: state.trace.clone() });
    let leader = &state.replicas[state.leader];
    let Some(head) = state.head() else { return failed("drain: nothing was ever published".to_owned()) };
    if head.log_start > leader.end() {
        return failed(format!("drain: the log starts at {}, and ends at {}", head.log_start, leader.end()));
    }
    if head.tier_end() != Some(leader.end()) && head.log_start < leader.end() {
        return failed(format!("drain: the tier ends at {:?}, the log at {}", head.tier_end(), leader.end()));
    }
    let named = head.live.iter().map(|s| s.name).chain(head.removed.iter().map(|r| r.segment.name));
    let mut named: Vec<SegmentName> = named.collect();
    let objects = state.memory.snapshot();
    let archives = head.archives.iter().chain(head.removed_archives.iter().map(|removed| &removed.archive));
    for archive in archives.clone() {
        match state.archive_rows(archive, &objects) {
            Ok(rows) => named.extend(archive.counting(&rows).iter().map(|row| row.name)),
            Err(what) => return failed(what),
        }
    }
    for key in objects.keys() {
        let orphan = match layout::parse(key) {
            Some((_, Entry::Segment(name))) => !named.contains(&name),
            Some((_, Entry::Archive(name))) => archives.clone().all(|archive| archive.name != name),
            _ => false,
        };
        if orphan {
            return failed(format!("6: the orphan {key} was not collected"));
        }
    }
    Ok(())
}
