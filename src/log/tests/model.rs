//! Random operations against a plain model: a list of records with the batches they came in.
//!
//! A failing run prints its seed; `ESKER_LOG_SEED=<seed> cargo test --lib one_seed` replays that one.

use super::*;
use crate::env::Rng as _;
use crate::env::sim::{DiskCall, Fault, SeededRng};
use crate::log::{EpochCache, Rejected};

/// A batch: its first offset, its epoch, its values, and its producer with the first sequence number.
type ModelBatch = (i64, i32, Vec<String>, Option<(i64, i32)>);

/// What the log must contain.
#[derive(Clone, Default)]
struct Model {
    batches: Vec<ModelBatch>,
    end: i64,
    start: i64,
    flushed: i64,
    epochs: Vec<(i32, i64)>,
}

impl Model {
    fn append(&mut self, epoch: i32, values: Vec<String>, producer: Option<(i64, i32)>) {
        let count = values.len() as i64;
        self.batches.push((self.end, epoch, values, producer));
        self.end += count;
    }

    fn truncate(&mut self, end: i64) {
        self.batches.retain(|(base, _, values, _)| base + values.len() as i64 <= end);
        self.end = self.batches.last().map_or(self.start, |(base, _, v, _)| base + v.len() as i64);
        // The batch that held the start may be gone; the start stays.
        self.end = self.end.max(self.start);
        self.flushed = self.flushed.min(self.end);
        let end = self.end;
        self.epochs.retain(|(_, start)| *start < end);
    }

    fn records(&self) -> Vec<(i64, String)> {
        let all = self.batches.iter().flat_map(|(base, _, values, _)| {
            values.iter().enumerate().map(move |(i, value)| (base + i as i64, value.clone()))
        });
        all.filter(|(offset, _)| *offset >= self.start).collect()
    }

    /// Sequence numbers of a producer's batches, oldest first.
    fn sequences(&self, producer: i64) -> Vec<(i32, i64, usize)> {
        self.batches
            .iter()
            .filter_map(|(base, _, values, by)| {
                by.filter(|(id, _)| *id == producer).map(|(_, sequence)| (sequence, *base, values.len()))
            })
            .collect()
    }
}

struct World {
    rng: SeededRng,
    config: LogConfig,
    disk: SimDisk,
    log: Log,
    model: Model,
    epoch: i32,
    trace: Vec<String>,
    counter: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let rng = SeededRng::new(seed);
        let config = LogConfig {
            segment_bytes: 500 + rng.next_u64() % 3000,
            index_interval_bytes: rng.next_u64() % 600,
            ..LogConfig::default()
        };
        let (disk, mut log) = fresh(&config);
        log.begin_epoch(LeaderEpoch(1)).expect("begins");
        let trace =
            vec![format!("{} per segment, {} per entry", config.segment_bytes, config.index_interval_bytes)];
        let model = Model { epochs: vec![(1, 0)], ..Model::default() };
        World { rng, config, disk, log, model, epoch: 1, trace, counter: 0 }
    }

    fn below(&self, n: u64) -> u64 {
        self.rng.next_u64() % n.max(1)
    }

    fn values(&mut self) -> Vec<String> {
        let count = 1 + self.below(4);
        (0..count)
            .map(|_| {
                self.counter += 1;
                format!("{}-{}", self.counter, "x".repeat(usize::try_from(self.below(60)).expect("small")))
            })
            .collect()
    }

    fn step(&mut self) {
        match self.below(100) {
            0..45 => self.append(),
            45..55 => self.retry(),
            55..65 => self.read_somewhere(),
            65..70 => self.truncate(),
            70..74 => self.advance_start(),
            74..78 => self.new_epoch(),
            78..82 => self.flush(),
            82..85 => self.roll(),
            85..88 => self.failing_append(),
            88..92 => self.restart_clean(),
            92..96 => self.kill(),
            96..98 => self.power_loss(),
            _ => self.reset(),
        }
    }

    fn append(&mut self) {
        let mut group = Vec::new();
        let mut expected = self.model.clone();
        for _ in 0..1 + self.below(4) {
            let values = self.values();
            let refs: Vec<&str> = values.iter().map(String::as_str).collect();
            if self.below(2) == 0 {
                group.push(batch(&refs));
                expected.append(self.epoch, values, None);
            } else {
                let id = 1 + i64::try_from(self.below(3)).expect("small");
                let next = expected
                    .sequences(id)
                    .last()
                    .map_or(0, |(sequence, _, count)| sequence + i32::try_from(*count).expect("small"));
                let mut builder = BatchBuilder::default().producer(ProducerId(id), ProducerEpoch(0), next);
                for value in &refs {
                    builder.add(NOW_MS, Some(b"key"), Some(value.as_bytes()), &[]);
                }
                group.push(builder.build().expect("a batch"));
                expected.append(self.epoch, values, Some((id, next)));
            }
        }
        self.trace.push(format!("append {} batches at {}", group.len(), self.model.end));
        let answers = self.log.append_as_leader(group, LeaderEpoch(self.epoch), NOW_MS).expect("written");
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|a| !a.duplicate)), "{answers:?}");
        self.model = expected;
    }

    /// One of a producer's last five batches again, or an older one: never a new one, also when the log start has passed it.
    fn retry(&mut self) {
        let id = 1 + i64::try_from(self.below(3)).expect("small");
        let all = self.model.sequences(id);
        if all.is_empty() {
            return;
        }
        let i = usize::try_from(self.below(all.len() as u64)).expect("small");
        let (sequence, base, count) = all[i];
        let mut builder = BatchBuilder::default().producer(ProducerId(id), ProducerEpoch(0), sequence);
        for _ in 0..count {
            builder.add(NOW_MS, Some(b"key"), Some(b"again"), &[]);
        }
        self.trace.push(format!("retry of {id}/{sequence} at {base}"));
        let again = builder.build().expect("a batch");
        let answers =
            self.log.append_as_leader(vec![again], LeaderEpoch(self.epoch), NOW_MS).expect("written");
        let remembered = i + 5 >= all.len();
        match &answers[0] {
            Ok(answer) => assert!(answer.duplicate && answer.base == Offset(base), "{answer:?}"),
            Err(Rejected::OutOfOrderSequence { .. }) => assert!(!remembered || base < self.model.start),
            Err(other) => panic!("{other}"),
        }
    }

    fn read_somewhere(&mut self) {
        let (start, end) = (self.model.start, self.model.end);
        if start == end {
            return;
        }
        let from = start + i64::try_from(self.below((end - start).cast_unsigned())).expect("small");
        let max = usize::try_from(self.below(2000)).expect("small");
        self.trace.push(format!("read {max} bytes from {from}"));
        let bytes = self.log.read(Offset(from), max, Offset(end), true).expect("found").load().expect("read");
        let found = records(&bytes);
        let first = found.first().expect("at least one batch").0;
        assert!(self.model.batches.iter().any(|(base, _, values, _)| {
            *base == first && (*base..*base + values.len() as i64).contains(&from)
        }));
        let whole: Vec<(i64, String)> = self
            .model
            .batches
            .iter()
            .flat_map(|(base, _, values, _)| (*base..).zip(values.iter().cloned()))
            .filter(|(offset, _)| *offset >= first)
            .take(found.len())
            .collect();
        assert_eq!(found, whole);
        let batches = BatchIter::new(bytes.clone()).count();
        assert!(bytes.len() <= max || batches == 1, "{} bytes in {batches} batches", bytes.len());
    }

    fn truncate(&mut self) {
        let (start, end) = (self.model.start, self.model.end);
        let to = end - i64::try_from(self.below(20)).expect("small").min(end - start);
        self.trace.push(format!("truncate from {end} to {to}"));
        self.log.truncate_to(Offset(to)).expect("cut");
        if to < end {
            self.model.truncate(to);
        }
        self.new_epoch();
    }

    fn advance_start(&mut self) {
        let (start, end) = (self.model.start, self.model.end);
        let to = start + i64::try_from(self.below(15)).expect("small").min(end - start);
        self.trace.push(format!("advance the start to {to}"));
        let removal = self.log.advance_log_start(Offset(to), NOW_MS).expect("advanced");
        if self.below(2) == 0 {
            removal.run().expect("deleted");
        }
        self.model.start = self.model.start.max(to);
    }

    fn new_epoch(&mut self) {
        self.epoch += 1 + i32::try_from(self.below(3)).expect("small");
        self.trace.push(format!("epoch {}", self.epoch));
        self.log.begin_epoch(LeaderEpoch(self.epoch)).expect("begins");
        let end = self.model.end;
        self.model.epochs.retain(|(_, start)| *start < end);
        self.model.epochs.push((self.epoch, end));
    }

    fn flush(&mut self) {
        self.trace.push("flush".to_owned());
        assert_eq!(self.log.flush().expect("flushes"), Offset(self.model.end));
        self.model.flushed = self.model.end;
    }

    fn roll(&mut self) {
        self.trace.push("roll".to_owned());
        self.log.roll(NOW_MS).expect("rolls");
    }

    fn failing_append(&mut self) {
        let written = usize::try_from(self.below(200)).expect("small");
        self.trace.push(format!("an append that fails after {written} bytes"));
        let fault = Fault::next(DiskCall::Write, ".log", std::io::ErrorKind::StorageFull);
        self.disk.inject(Fault { written, ..fault });
        let items = vec![batch(&["lost", "lost"]), produced(1, 0, 0, 1)];
        // The second may be refused; the first one's write fails.
        assert!(self.log.append_as_leader(items, LeaderEpoch(self.epoch), NOW_MS).is_err());
        self.disk.heal();
        if self.below(2) == 0 {
            self.new_epoch();
        } else {
            self.kill();
        }
    }

    fn opening(&self, clean: bool) -> OpenLog {
        OpenLog {
            clean,
            recovery_point: Offset(self.model.flushed),
            log_start: Offset(self.model.start),
            ..opening(&self.disk, &self.config)
        }
    }

    fn reopen(&mut self, clean: bool) {
        self.log = Log::open(self.opening(clean)).expect("opens").0;
        if clean {
            self.model.flushed = self.model.end;
        }
        // An epoch without records does not survive; every restart begins a new one.
        let end = self.model.end;
        self.model.epochs.retain(|(_, start)| *start < end);
        self.new_epoch();
    }

    fn restart_clean(&mut self) {
        self.trace.push("clean restart".to_owned());
        self.log.close_clean().expect("closes");
        self.reopen(true);
    }

    fn kill(&mut self) {
        self.trace.push("kill".to_owned());
        let end = self.model.end;
        // What a failed write left beyond the end may be whole batches: they were never acknowledged.
        let log = Log::open(self.opening(false)).expect("opens").0;
        if log.log_end() > Offset(end) {
            self.log = log;
            self.trace.push(format!("… {} came back, cut", self.log.log_end()));
            self.log.truncate_to(Offset(end)).expect("cut");
        }
        self.reopen(false);
    }

    fn power_loss(&mut self) {
        let flushed = self.log.flush().expect("flushes");
        self.model.flushed = flushed.0;
        self.trace.push(format!("power loss after a flush at {flushed}"));
        self.append();
        self.disk.lose_power();
        self.model.truncate(flushed.0);
        self.reopen(false);
    }

    fn reset(&mut self) {
        let to = self.model.end + i64::try_from(self.below(50)).expect("small");
        self.trace.push(format!("reset to {to}"));
        self.log.reset_to(Offset(to), Vec::new()).expect("reset");
        self.model = Model { end: to, start: to, flushed: to, ..Model::default() };
        self.new_epoch();
    }

    fn check(&self) {
        let model = &self.model;
        assert_eq!(self.log.log_end(), Offset(model.end), "log end");
        assert_eq!(self.log.log_start(), Offset(model.start), "log start");
        assert!(self.log.flushed_end() <= self.log.log_end());
        let mut found = records(&read_all(&self.log, self.log.local_start()).expect("read"));
        found.retain(|(offset, _)| *offset >= model.start);
        assert_eq!(found, model.records());
        let mut expected = EpochCache::default();
        for (epoch, start) in &model.epochs {
            expected.assign(LeaderEpoch(*epoch), Offset(*start));
        }
        expected.advance_start(Offset(model.start));
        assert_eq!(self.log.epochs(), &expected);
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..60 {
            world.step();
            world.check();
        }
    }));
    if let Err(panic) = result {
        eprintln!("seed {seed} failed after:\n  {}", world.trace.join("\n  "));
        eprintln!("replay it with ESKER_LOG_SEED={seed} cargo test --lib one_seed");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn random_operations_agree_with_a_plain_model() {
    let first = crate::env::RealRng.next_u64() % 1_000_000;
    for seed in first..first + 500 {
        run(seed);
    }
}

/// A segment begins and the process is killed before its snapshot is synced; then comes a power loss, and the segments before go.
#[test]
fn a_snapshot_that_a_kill_left_unsynced_outlives_a_power_loss() {
    run(468_156);
}

#[test]
fn one_seed() {
    let seed = std::env::var("ESKER_LOG_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    run(seed);
}
