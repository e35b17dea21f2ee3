//! Cuts among transactions, in simulated time: producers write to both partitions and commit an offset in each transaction, without a
//! pause, while a cut is taken again and again. Whatever cut is in the store, each transaction lies below it as a whole, or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tiering::layout::PartitionFolder;

use super::clients::{Caller, PARTITIONS, TOPIC};
use super::tests::{LIVENESS, begun, on_paused_time};
use super::world::World;
use crate::broker::{CutBackup, GroupBackup};
use crate::env::Clock as _;
use crate::types::{Offset, ProducerEpoch, ProducerId};
use crate::wire::messages::end_txn::EndTxnRequest;
use crate::wire::messages::find_coordinator::FindCoordinatorRequest;
use crate::wire::messages::init_producer_id::InitProducerIdRequest;
use crate::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::wire::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use crate::wire::record_batch::{BatchBuilder, BatchIter, Compression, ControlKind};
use crate::wire::{ErrorCode, Request};

/// How long producers run, in simulated time.
const TIME: Duration = Duration::from_secs(30);
/// Transactional producers, each with an id, a group and a producer id of its own.
const PRODUCERS: usize = 4;
/// Every so many transactions one is aborted.
const ABORTED: i64 = 5;
/// FindCoordinator's kinds.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// A producer, and what it shares.
struct Transactor {
    world: Arc<World>,
    caller: Caller,
    number: usize,
    /// Its producer id, for who reads the log.
    ids: Arc<Mutex<BTreeMap<i64, usize>>>,
}

impl Transactor {
    fn id(&self) -> String {
        format!("x{}", self.number)
    }

    fn group(&self) -> String {
        format!("g{}", self.number)
    }

    /// Asks a coordinator until it does as it is told; `None` after a violation. None of what is asked here may be refused, also not
    /// while the markers of the last transaction are on their way.
    async fn coordinated<R: Request>(
        &mut self,
        (kind, key): (i8, &str),
        request: &R,
        version: i16,
        code: impl Fn(&R::Response) -> ErrorCode,
    ) -> Option<R::Response> {
        while self.world.history.violation().is_none() {
            let wanted = FindCoordinatorRequest {
                key_type: kind,
                coordinator_keys: vec![key.into()],
                ..Default::default()
            };
            let found = self.caller.ask(1, &wanted, 4).await;
            let found = found.and_then(|found| found.coordinators.into_iter().next());
            if let Some(found) = found.filter(|found| found.error_code.is_none())
                && let Some(told) = self.caller.ask(found.node_id, request, version).await
            {
                match code(&told) {
                    ErrorCode::NONE => return Some(told),
                    code if code.is_retriable() => {}
                    code => self.world.history.violated(format!("transaction: {code} for {key}")),
                }
            }
            self.world.clock.sleep(Duration::from_millis(5)).await;
        }
        None
    }

    async fn write(&mut self, partition: i32, (id, epoch): (i64, i16), text: &str) -> Option<()> {
        let mut batch = BatchBuilder::new(Compression::None)
            .producer(ProducerId(id), ProducerEpoch(epoch), 0)
            .transactional();
        batch.add(self.world.wall_ms(), None, Some(text.as_bytes()), &[]);
        let records = batch.build().expect("a batch");
        while self.world.history.violation().is_none() {
            let data = PartitionProduceData { index: partition, records: Some(records.clone().into()) };
            let topic =
                TopicProduceData { name: TOPIC.into(), partition_data: vec![data], ..Default::default() };
            let request = ProduceRequest {
                transactional_id: Some(self.id().into()),
                acks: -1,
                timeout_ms: 3_000,
                topic_data: vec![topic],
            };
            let leader = self.caller.leaders[partition as usize];
            let told = self.caller.ask(leader, &request, 12).await;
            match told.map(|told| told.responses[0].partition_responses[0].error_code) {
                Some(ErrorCode::NONE) => return Some(()),
                Some(code) if !code.is_retriable() => {
                    let what = format!("producer-refused: {code} for {} in {partition}", self.number);
                    self.world.history.violated(what);
                }
                _ => {
                    self.world.clock.sleep(Duration::from_millis(5)).await;
                    self.caller.refresh().await;
                }
            }
        }
        None
    }

    async fn commit(&mut self, (id, epoch): (i64, i16), offset: i64) -> Option<()> {
        let partition = TxnOffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: offset,
            committed_leader_epoch: -1,
            committed_metadata: Some("".into()),
        };
        let topic = TxnOffsetCommitRequestTopic { name: TOPIC.into(), partitions: vec![partition] };
        let request = TxnOffsetCommitRequest {
            transactional_id: self.id().into(),
            group_id: self.group().into(),
            producer_id: id,
            producer_epoch: epoch,
            generation_id: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let group = self.group();
        let code =
            |told: &<TxnOffsetCommitRequest as Request>::Response| told.topics[0].partitions[0].error_code;
        self.coordinated((GROUP, &group), &request, 5, code).await.map(|_| ())
    }

    /// One transaction after the other; how many were committed.
    async fn run(mut self, stop: Arc<AtomicBool>) -> i64 {
        self.caller.refresh().await;
        let id = self.id();
        let begin = InitProducerIdRequest {
            transactional_id: Some(id.as_str().into()),
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
        };
        let key = (TRANSACTION, id.as_str());
        let Some(begun) = self.coordinated(key, &begin, 5, |told| told.error_code).await else { return 0 };
        let mut producer = (begun.producer_id, begun.producer_epoch);
        self.ids.lock().insert(producer.0, self.number);
        let (mut number, mut committed) = (0, 0);
        while !stop.load(Ordering::SeqCst) {
            number += 1;
            let commits = number % ABORTED != 0;
            for partition in 0..PARTITIONS {
                let text = format!("{} {number} {}", self.number, ".".repeat(60));
                if self.write(partition, producer, &text).await.is_none() {
                    return committed;
                }
            }
            if self.commit(producer, committed + 1).await.is_none() {
                return committed;
            }
            let end = EndTxnRequest {
                transactional_id: id.as_str().into(),
                producer_id: producer.0,
                producer_epoch: producer.1,
                committed: commits,
            };
            let Some(ended) = self.coordinated(key, &end, 5, |told| told.error_code).await else {
                return committed;
            };
            producer = (ended.producer_id, ended.producer_epoch);
            committed += i64::from(commits);
        }
        committed
    }
}

/// What a producer has in one partition below an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Below {
    records: i64,
    committed: i64,
    aborted: i64,
}

/// Batches of a partition: end, producer id, and how its transaction ends there if it does.
type Log = Vec<(i64, i64, Option<ControlKind>)>;

async fn read(world: &Arc<World>, partition: i32) -> Log {
    let mut caller = Caller::new(world.clone(), 30 + partition as u64);
    let end = world.end_of(partition).expect("it is led");
    let (mut log, mut next) = (Vec::new(), 0);
    while next < end {
        let Some(bytes) = caller.fetch(partition, next).await else {
            caller.refresh().await;
            continue;
        };
        for batch in BatchIter::new(bytes) {
            let Ok(batch) = batch else { break };
            if batch.header.base_offset < Offset(next) {
                continue;
            }
            next = batch.header.end_offset().0;
            let record = || batch.records(1 << 20).expect("records").next().expect("one").expect("a record");
            let kind = batch.header.attributes.is_control().then(|| record().control_kind()).flatten();
            log.push((next, batch.header.producer_id.0, kind));
        }
    }
    log
}

fn below(log: &[(i64, i64, Option<ControlKind>)], producer: i64, mark: i64) -> Below {
    let mut below = Below::default();
    for (_, _, kind) in log.iter().filter(|(end, id, _)| *end <= mark && *id == producer) {
        match kind {
            None => below.records += 1,
            Some(ControlKind::Commit) => below.committed += 1,
            Some(_) => below.aborted += 1,
        }
    }
    below
}

/// A cut, and what its parts say of the groups.
type Seen = (CutBackup, BTreeMap<String, i64>);

/// All cuts that are in the store, again and again.
async fn look(world: Arc<World>, seen: Arc<Mutex<BTreeMap<String, Seen>>>) {
    loop {
        world.clock.sleep(Duration::from_millis(100)).await;
        let cluster = world.cluster_id();
        let folder = PartitionFolder::cuts_of(&cluster);
        for (key, _) in world.store.snapshot() {
            if !key.starts_with(&folder) || seen.lock().contains_key(&key) {
                continue;
            }
            let body = tiering::backup::read_part(&world.store, &key).await.expect("it is there");
            let cut: CutBackup = serde_json::from_slice(&body.expect("it is whole")).expect("a cut");
            let mut groups = BTreeMap::new();
            for part in &cut.groups.parts {
                for group in part.read::<GroupBackup>(&world.store).await.expect("its part is there") {
                    groups.extend(group.offsets.first().map(|one| (group.group.clone(), one.offset)));
                }
            }
            seen.lock().insert(key, (cut, groups));
        }
    }
}

struct Outcome {
    cuts: usize,
    /// Transactions that were open at a cut, with records below it.
    open: usize,
    committed: i64,
    /// Cuts that are in the store at the end.
    left: usize,
}

async fn play(seed: u64) -> Result<Outcome, String> {
    let world = World::new(seed);
    begun(&world).await;
    let (stop, ids) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeMap::new())));
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let looking = tokio::spawn(look(world.clone(), seen.clone()));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|number| {
            let caller = Caller::new(world.clone(), number as u64);
            let one = Transactor { world: world.clone(), caller, number, ids: ids.clone() };
            tokio::spawn(one.run(stop.clone()))
        })
        .collect();
    world.clock.sleep(TIME).await;
    stop.store(true, Ordering::SeqCst);
    let done = || producers.iter().all(tokio::task::JoinHandle::is_finished);
    world.within(LIVENESS, "every transaction has come to its end", done).await;
    let mut committed = 0;
    for producer in producers {
        committed += producer.await.map_err(|error| format!("panic: {error}"))?;
    }
    looking.abort();
    let mut logs = Vec::new();
    for partition in 0..PARTITIONS {
        logs.push(read(&world, partition).await);
    }
    let folder = PartitionFolder::cuts_of(&world.cluster_id());
    let left = world.store.snapshot().keys().filter(|key| key.starts_with(&folder)).count();
    world.shut_down().await;
    if let Some(violation) = world.history.violation() {
        return Err(violation);
    }
    let seen = std::mem::take(&mut *seen.lock());
    let mut open = 0;
    for (key, (cut, groups)) in &seen {
        let marks = &cut.topics.values().next().ok_or("a cut without a topic")?.marks;
        for (producer, number) in &*ids.lock() {
            let of: Vec<Below> =
                logs.iter().zip(marks).map(|(log, mark)| below(log, *producer, mark.offset)).collect();
            let offset = groups.get(&format!("g{number}")).copied().unwrap_or(0);
            // What is open at a cut is aborted by a restore: there is no difference.
            if of.iter().any(|one| one.committed != offset) {
                return Err(format!(
                    "torn cut: {key}: producer {number} has {of:?} below the marks, and offset {offset}"
                ));
            }
            open += of.iter().filter(|one| one.records > one.committed + one.aborted).count();
        }
    }
    Ok(Outcome { cuts: seen.len(), open, committed, left })
}

#[test]
fn no_transaction_is_torn_by_a_cut() {
    let seed = 3;
    let outcome = on_paused_time(play(seed)).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    let Outcome { cuts, open, committed, left } = outcome;
    println!("{cuts} cuts, {open} open transactions at them, {committed} committed, {left} cuts left");
    assert!(cuts > 15 && open > 10 && committed > 150, "{cuts} cuts, {open} open, {committed} committed");
    assert!(left < cuts, "whole cuts push the older ones out");
}
