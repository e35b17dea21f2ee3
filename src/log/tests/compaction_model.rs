//! Compaction under random operations against a plain model: the list of all records ever written, and for each key
//! what must be there and what must not.
//!
//! A failing run prints its seed; `ESKER_LOG_SEED=<seed> cargo test --lib one_compaction_seed` replays that one.

use std::collections::{BTreeMap, BTreeSet};

use super::compaction::compacted;
use super::*;
use crate::env::Rng as _;
use crate::env::sim::SeededRng;
use crate::log::compaction::Defect;
use crate::log::{CleanupPolicy, Rejected, Step};
use crate::wire::record_batch::ControlKind;

const DELETE_RETENTION_MS: i64 = 1000;
const RETENTION_MS: i64 = 4000;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    key: String,
    value: Option<String>,
    /// Wall time of the append.
    at_ms: i64,
    /// Producer of the transaction it is part of.
    transaction: Option<usize>,
}

/// One transaction: open, or decided.
#[derive(Clone, Debug)]
struct Transaction {
    producer: i64,
    committed: Option<bool>,
}

struct World {
    rng: SeededRng,
    config: LogConfig,
    disk: SimDisk,
    log: Log,
    now_ms: i64,
    epoch: i32,
    written: BTreeMap<i64, Written>,
    transactions: Vec<Transaction>,
    /// By producer: the open transaction and the next sequence number.
    open: BTreeMap<i64, usize>,
    sequences: BTreeMap<i64, (i32, i64, Bytes)>,
    /// Retention of `compact,delete`, or DeleteRecords, has come so far.
    start: i64,
    defect: Option<Defect>,
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64, defect: Option<Defect>) -> World {
        let rng = SeededRng::new(seed);
        // Every other one is `compact,delete`.
        let delete = seed.is_multiple_of(2);
        let config = LogConfig {
            index_interval_bytes: rng.next_u64() % 600,
            delete_retention_ms: DELETE_RETENTION_MS,
            timestamp_after_max_ms: i64::MAX,
            cleanup: CleanupPolicy { compact: true, delete },
            retention_ms: RETENTION_MS,
            ..compacted(600 + rng.next_u64() % 3000)
        };
        let (disk, mut log) = fresh(&config);
        log.begin_epoch(LeaderEpoch(1)).expect("begins");
        World {
            rng,
            config,
            disk,
            log,
            now_ms: NOW_MS,
            epoch: 1,
            written: BTreeMap::new(),
            transactions: Vec::new(),
            open: BTreeMap::new(),
            sequences: BTreeMap::new(),
            start: 0,
            defect,
            trace: Vec::new(),
        }
    }

    fn below(&self, n: u64) -> u64 {
        self.rng.next_u64() % n.max(1)
    }

    fn pick(&self, n: i64) -> i64 {
        i64::try_from(self.below(n.unsigned_abs())).expect("small")
    }

    fn step(&mut self) {
        self.now_ms += self.pick(200);
        match self.below(100) {
            0..50 => self.append(),
            50..62 => self.end_transaction(),
            62..67 => self.log.roll(self.now_ms).expect("rolls"),
            67..82 => self.compact(),
            82..86 => self.restart(true),
            86..90 => self.restart(false),
            90..94 => self.new_epoch(),
            94..96 => self.retry(),
            96..98 if self.config.cleanup.delete => self.retain(),
            96..98 => self.advance_start(),
            _ => self.now_ms += DELETE_RETENTION_MS,
        }
    }

    /// Producers 1 to 3 write in transactions, 4 and 5 are idempotent, 0 is neither.
    fn append(&mut self) {
        let producer = self.pick(6);
        let codec = CODECS[usize::try_from(self.below(5)).expect("small")];
        let mut builder = BatchBuilder::new(codec);
        let sequence = self.sequences.get(&producer).map_or(0, |(next, _, _)| *next);
        if producer > 0 {
            builder = builder.producer(ProducerId(producer), ProducerEpoch(0), sequence);
        }
        let transaction = (1..=3).contains(&producer).then(|| {
            *self.open.entry(producer).or_insert_with(|| {
                self.transactions.push(Transaction { producer, committed: None });
                self.transactions.len() - 1
            })
        });
        if transaction.is_some() {
            builder = builder.transactional();
        }
        let base = self.log.log_end().0;
        let count = 1 + self.pick(4);
        for i in 0..count {
            let key = format!("key {}", self.below(12));
            let value =
                (self.below(5) > 0).then(|| format!("{}-{}", base + i, "x".repeat(self.below(40) as usize)));
            builder.add(
                self.now_ms,
                Some(key.as_bytes()),
                value.as_deref().map(str::as_bytes),
                &[("h", None)],
            );
            let record = Written { key, value, at_ms: self.now_ms, transaction };
            self.written.insert(base + i, record);
        }
        self.trace.push(format!("append {count} at {base} by {producer}"));
        let batch = builder.build().expect("a batch");
        let answers = self
            .log
            .append_as_leader(vec![batch.clone()], LeaderEpoch(self.epoch), self.now_ms)
            .expect("written");
        assert_eq!(answers[0].as_ref().expect("accepted").base, Offset(base));
        if producer > 0 {
            let next = sequence + i32::try_from(count).expect("small");
            self.sequences.insert(producer, (next, base, batch));
        }
    }

    fn end_transaction(&mut self) {
        let open: Vec<i64> = self.open.keys().copied().collect();
        if open.is_empty() {
            return;
        }
        let producer = open[usize::try_from(self.below(open.len() as u64)).expect("small")];
        let transaction = self.open.remove(&producer).expect("open");
        let commit = self.below(2) == 0;
        self.transactions[transaction].committed = Some(commit);
        self.trace.push(format!(
            "{} {producer} at {}",
            if commit { "commit" } else { "abort" },
            self.log.log_end()
        ));
        let mut marker = BatchBuilder::default()
            .producer(ProducerId(producer), ProducerEpoch(0), -1)
            .transactional()
            .control()
            .placed(self.log.log_end(), LeaderEpoch(self.epoch));
        marker.add(self.now_ms, Some(&[0, 0, 0, u8::from(commit)]), Some(&[0; 6]), &[]);
        self.log.append_as_follower(marker.build().expect("a marker"), self.now_ms).expect("appended");
    }

    /// The last batch of a producer again: it must be known whatever compaction did, and whether its transaction is open.
    fn retry(&mut self) {
        let last = self.sequences.iter().next_back();
        let Some((producer, (_, base, batch))) = last.filter(|(_, (_, base, _))| *base >= self.start) else {
            return;
        };
        self.trace.push(format!("retry of {producer} at {base}"));
        let answers = self
            .log
            .append_as_leader(vec![batch.clone()], LeaderEpoch(self.epoch), self.now_ms)
            .expect("answers");
        let known = match &answers[0] {
            Ok(again) => again.duplicate && again.base == Offset(*base),
            Err(why) => {
                *why == Rejected::NotInTransaction
                    && (1..=3).contains(producer)
                    && !self.open.contains_key(producer)
            }
        };
        assert!(known, "{:?}", answers[0]);
    }

    fn advance_start(&mut self) {
        let end = self.log.last_stable(self.log.log_end()).0;
        self.start += self.pick(1 + (end - self.start).min(12));
        self.trace.push(format!("the log starts at {}", self.start));
        let removal = self.log.advance_log_start(Offset(self.start), self.now_ms).expect("advanced");
        removal.run().expect("deleted");
    }

    /// Retention by time, as the broker's driver does it: only what is old goes, and only what is decided.
    fn retain(&mut self) {
        self.now_ms += self.pick(RETENTION_MS);
        let stable = self.log.last_stable(self.log.log_end());
        let to = self.log.expired_by_retention(self.now_ms, stable);
        assert!((self.log.log_start()..=stable).contains(&to));
        for offset in self.found().keys().take_while(|offset| **offset < to.0) {
            let at_ms = self.written[offset].at_ms;
            assert!(at_ms + RETENTION_MS < self.now_ms, "{offset} is not old enough to go");
        }
        self.start = self.start.max(to.0);
        self.trace.push(format!("retention has come to {to}"));
        self.log.advance_log_start(to, self.now_ms).expect("advanced").run().expect("deleted");
    }

    /// A pass, while others append.
    fn pass_among_appends(&mut self, map_bytes: usize) -> usize {
        let found = self.log.cleanable(self.log.log_end(), self.now_ms).expect("looked").expect("compacted");
        let mut pass = self.log.begin_compaction(&found, map_bytes, self.now_ms).expect("begins");
        pass.plant(self.defect);
        let mut swapped = 0;
        loop {
            match pass.step(300).expect("steps") {
                Step::Working { .. } => {}
                Step::Ready(cleaned) => {
                    let old = self.log.replace_segments(cleaned).expect("swapped");
                    old.expect("appends do not matter to it").run().expect("removed");
                    swapped += 1;
                }
                Step::Done => {
                    self.log.finish_compaction(&pass);
                    return swapped;
                }
            }
            match self.below(6) {
                0 => self.append(),
                1 => self.end_transaction(),
                _ => {}
            }
        }
    }

    fn compact(&mut self) {
        let map_bytes = if self.below(3) == 0 { 24 * 6 } else { 1 << 16 };
        self.log.flush().expect("flushed");
        let dirty = self.log.cleanable(self.log.log_end(), self.now_ms).expect("looked").expect("compacted");
        let swapped = self.pass_among_appends(map_bytes);
        self.trace.push(format!("compact {} to {} with {map_bytes}: {swapped}", dirty.dirty_from, dirty.end));
        let after = self.log.cleanable(self.log.log_end(), self.now_ms).expect("looked").expect("compacted");
        assert!(after.dirty_from >= dirty.dirty_from);
        if map_bytes > 1000 && dirty.dirty_bytes > 0 {
            assert!(after.dirty_from >= dirty.end, "a whole pass");
        }
        self.nothing_superseded(after.dirty_from.0);
    }

    fn restart(&mut self, clean: bool) {
        self.trace.push(format!("restart, clean: {clean}"));
        let cleaned = self
            .log
            .cleanable(self.log.log_end(), self.now_ms)
            .expect("looked")
            .expect("compacted")
            .dirty_from;
        if clean {
            self.log.close_clean().expect("closes");
        }
        let opening = OpenLog {
            clean,
            cleaned,
            now_ms: self.now_ms,
            log_start: Offset(self.start),
            recovery_point: if clean { Offset::ZERO } else { self.log.flushed_end() },
            ..opening(&self.disk, &self.config)
        };
        self.log = Log::open(opening).expect("opens").0;
        self.new_epoch();
    }

    fn new_epoch(&mut self) {
        self.epoch += 1;
        self.log.begin_epoch(LeaderEpoch(self.epoch)).expect("begins");
    }

    fn is_committed(&self, record: &Written) -> Option<bool> {
        record.transaction.map_or(Some(true), |transaction| self.transactions[transaction].committed)
    }

    fn batches(&self) -> Vec<crate::wire::record_batch::Batch> {
        let bytes = read_all(&self.log, self.log.local_start()).expect("read");
        BatchIter::new(bytes).map(|batch| batch.expect("a batch")).collect()
    }

    /// All data records that are in the log, from its start on.
    fn found(&self) -> BTreeMap<i64, (String, Option<String>)> {
        let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
        let mut found = BTreeMap::new();
        for batch in self.batches().iter().filter(|batch| !batch.header.attributes.is_control()) {
            for record in batch.records(1 << 20).expect("records") {
                let record = record.expect("a record");
                if record.offset.0 < self.start {
                    continue;
                }
                let key = text(record.key.expect("a key"));
                assert!(found.insert(record.offset.0, (key, record.value.map(text))).is_none());
            }
        }
        found
    }

    /// Below `cleaned` no record is left that another one there supersedes, and none of an aborted transaction.
    fn nothing_superseded(&self, cleaned: i64) {
        let mut seen = BTreeSet::new();
        for (offset, (key, _)) in self.found().range(..cleaned).rev() {
            assert!(seen.insert(key.clone()), "{key} at {offset} is superseded");
            assert_eq!(self.is_committed(&self.written[offset]), Some(true), "{offset} was aborted");
        }
    }

    fn check(&self) {
        let found = self.found();
        for (offset, (key, value)) in &found {
            let written = &self.written[offset];
            assert_eq!((key, value), (&written.key, &written.value), "at {offset}");
        }
        // The last committed record of each key is there, unless it is a tombstone whose time is over.
        let mut latest: BTreeMap<&str, (i64, &Written)> = BTreeMap::new();
        for (offset, record) in &self.written {
            match self.is_committed(record) {
                Some(true) => drop(latest.insert(&record.key, (*offset, record))),
                Some(false) => {}
                None => assert!(found.contains_key(offset), "{offset} is not decided"),
            }
        }
        for (key, (offset, record)) in latest {
            if !found.contains_key(&offset) && offset >= self.start {
                let over = record.at_ms + DELETE_RETENTION_MS <= self.now_ms;
                assert!(record.value.is_none() && over, "{key} at {offset} is gone");
                let older = found.iter().find(|(at, (other, _))| {
                    other == key && **at < offset && self.is_committed(&self.written[at]) == Some(true)
                });
                assert!(older.is_none(), "{key}: {older:?} came back after its tombstone");
            }
        }
        self.read_committed_sees_no_aborted_record();
    }

    /// As a client filters: the aborted list by first offset, and markers that end a producer's entry.
    fn read_committed_sees_no_aborted_record(&self) {
        let end = self.log.last_stable(self.log.log_end());
        let mut list = self.log.aborted_transactions(self.log.local_start(), end).expect("read");
        list.sort_by_key(|aborted| std::cmp::Reverse(aborted.first));
        let mut aborted = BTreeSet::new();
        for batch in self.batches().iter().take_while(|batch| batch.header.last_offset() < end) {
            let header = &batch.header;
            while let Some(next) = list.pop_if(|next| next.first <= header.last_offset()) {
                aborted.insert(next.producer_id);
            }
            let mut records =
                batch.records(1 << 20).expect("records").map(|record| record.expect("a record"));
            if header.attributes.is_control() {
                if records.next().and_then(|marker| marker.control_kind()) == Some(ControlKind::Abort) {
                    aborted.remove(&header.producer_id);
                }
                continue;
            }
            let skipped = header.attributes.is_transactional() && aborted.contains(&header.producer_id);
            for record in records {
                let committed = self.is_committed(&self.written[&record.offset.0]);
                assert_eq!(committed, Some(!skipped), "at {}", record.offset);
            }
        }
        for transaction in &self.transactions {
            assert!(transaction.committed.is_some() || self.open.contains_key(&transaction.producer));
        }
    }
}

/// Eighty steps; the trace and the panic of a seed that fails.
fn play(seed: u64, defect: Option<Defect>) -> Result<(), (Vec<String>, Box<dyn std::any::Any + Send>)> {
    let mut world = World::new(seed, defect);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..80 {
            world.step();
            world.check();
        }
    }));
    result.map_err(|panic| (world.trace, panic))
}

fn run(seed: u64) {
    if let Err((trace, panic)) = play(seed, None) {
        eprintln!("seed {seed} failed after:\n  {}", trace.join("\n  "));
        eprintln!("replay it with ESKER_LOG_SEED={seed} cargo test --lib one_compaction_seed");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn compaction_agrees_with_a_plain_model() {
    let first = crate::env::RealRng.next_u64() % 1_000_000;
    for seed in first..first + 200 {
        run(seed);
    }
}

#[test]
fn the_model_finds_every_planted_defect() {
    for defect in [
        Defect::OlderRecordsStay,
        Defect::LaterRecordsGo,
        Defect::TombstonesGoAtOnce,
        Defect::TombstonesGoAlone,
        Defect::AbortedRecordsStay,
    ] {
        let found = (0..200).find_map(|seed| play(seed, Some(defect)).err().map(|(_, panic)| (seed, panic)));
        let (seed, panic) = found.unwrap_or_else(|| panic!("{defect:?} was not found"));
        let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        println!("{defect:?} was found by seed {seed}: {said}");
    }
}

#[test]
fn one_compaction_seed() {
    let seed = std::env::var("ESKER_LOG_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    run(seed);
}
