//! What the broker counts: one registry, told as Prometheus text and as OTLP by `admin`.
//!
//! ```text
//! hot path ─► Counter, Histogram   sharded atomics, reached through handles that are made once
//! state    ─► collectors           closures that say what is true now, when somebody asks
//!                  └───────► Metrics::snapshot ─► families of samples ─► admin/prometheus, admin/otlp
//! ```
//! Every metric stands in the table of [`definitions`], with its unit, its labels and how many series it may have: what is
//! above that goes to a series whose labels are `other`, so that no client can make this grow.

mod definitions;
mod histogram;
mod tier_definitions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::RwLock;

pub use definitions::*;
pub use histogram::{BOUNDS_SECONDS, Distribution, Histogram};
pub use tier_definitions::*;

/// Shards of a counter: threads that add at the same time seldom meet on one cache line.
const SHARDS: usize = 8;
/// What stands in each label of the series that takes what is above the bound.
pub const OTHER: &str = "other";

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only goes up, from the broker's start.
    Counter,
    /// What is true now.
    Gauge,
    /// How often values fell where.
    Histogram,
}

/// One metric of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with the base unit in it; of counters, with `_total`.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// The unit in UCUM, as OTLP wants it (`s`, `By`, `1`, `{record}`).
    pub unit: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// How many series it may have at most.
    pub max_series: usize,
    /// What it says, in one sentence.
    pub help: &'static str,
}

/// The values of a series' labels, in the order of [`Metric::labels`].
pub type Labels = Vec<String>;

/// What a series says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter.
    Count(u64),
    /// Of a gauge.
    Level(f64),
    /// Of a histogram.
    Distribution(Distribution),
}

/// One metric with its series.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Which.
    pub metric: &'static Metric,
    /// By their labels.
    pub series: BTreeMap<Labels, Value>,
}

/// One cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(AtomicU64);

/// A number that only goes up. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<[Line; SHARDS]>);

impl Counter {
    /// Adds.
    pub fn add(&self, amount: u64) {
        self.0[shard()].0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// What was added so far.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.iter().map(|line| line.0.load(Ordering::Relaxed)).sum()
    }
}

/// The shard of this thread.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    MINE.with(|mine| *mine)
}

#[derive(Clone)]
enum Instrument {
    Counter(Counter),
    Histogram(Histogram),
}

impl Instrument {
    fn new(kind: MetricKind) -> Instrument {
        match kind {
            MetricKind::Histogram => Instrument::Histogram(Histogram::default()),
            MetricKind::Counter | MetricKind::Gauge => Instrument::Counter(Counter::default()),
        }
    }

    fn value(&self) -> Value {
        match self {
            Instrument::Counter(counter) => Value::Count(counter.value()),
            Instrument::Histogram(histogram) => Value::Distribution(histogram.distribution()),
        }
    }
}

/// A metric and its handles.
type Instruments = (&'static Metric, BTreeMap<Labels, Instrument>);
type Collector = Box<dyn Fn(&mut Snapshot) + Send + Sync>;

/// The registry of one broker.
#[derive(Default)]
pub struct Metrics {
    instruments: RwLock<BTreeMap<&'static str, Instruments>>,
    collectors: RwLock<Vec<Collector>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// The counter with these labels. Keep the handle: this looks it up under a lock.
    #[must_use]
    pub fn counter(&self, metric: &'static Metric, labels: &[&str]) -> Counter {
        match self.instrument(metric, labels) {
            Instrument::Counter(counter) => counter,
            // The kind is the metric's own.
            Instrument::Histogram(_) => Counter::default(),
        }
    }

    /// The histogram with these labels. Keep the handle: this looks it up under a lock.
    #[must_use]
    pub fn histogram(&self, metric: &'static Metric, labels: &[&str]) -> Histogram {
        match self.instrument(metric, labels) {
            Instrument::Histogram(histogram) => histogram,
            // The kind is the metric's own.
            Instrument::Counter(_) => Histogram::default(),
        }
    }

    fn instrument(&self, metric: &'static Metric, labels: &[&str]) -> Instrument {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        let mut labels: Labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let mut instruments = self.instruments.write();
        let (_, series) = instruments.entry(metric.name).or_insert_with(|| (metric, BTreeMap::new()));
        if !series.contains_key(&labels) && series.len() + 1 >= metric.max_series {
            labels.fill(OTHER.to_owned());
        }
        series.entry(labels).or_insert_with(|| Instrument::new(metric.kind)).clone()
    }

    /// Adds somebody who says what is true whenever a snapshot is made. It may read files and wait for locks: snapshots
    /// are made on a thread for blocking calls.
    pub fn collect_from(&self, collector: impl Fn(&mut Snapshot) + Send + Sync + 'static) {
        self.collectors.write().push(Box::new(collector));
    }

    /// All that is counted and true now, by name.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Family> {
        let mut snapshot = Snapshot::default();
        for (name, (metric, series)) in &*self.instruments.read() {
            let series = series.iter().map(|(labels, one)| (labels.clone(), one.value())).collect();
            snapshot.families.insert(name, Family { metric, series });
        }
        for collector in &*self.collectors.read() {
            collector(&mut snapshot);
        }
        snapshot.families.into_values().collect()
    }
}

/// What collectors add to.
#[derive(Debug, Default)]
pub struct Snapshot {
    families: BTreeMap<&'static str, Family>,
}

impl Snapshot {
    /// What a gauge says now. What is above the bound of its series is left out.
    pub fn level(&mut self, metric: &'static Metric, labels: &[&str], level: f64) {
        self.put(metric, labels, Value::Level(level));
    }

    /// What a counter that lives elsewhere has reached.
    pub fn count(&mut self, metric: &'static Metric, labels: &[&str], count: u64) {
        self.put(metric, labels, Value::Count(count));
    }

    /// A gauge that takes the larger of two levels.
    pub fn level_at_least(&mut self, metric: &'static Metric, labels: &[&str], level: f64) {
        let labels_owned: Labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let before = self.families.get(metric.name).and_then(|family| family.series.get(&labels_owned));
        if !matches!(before, Some(Value::Level(before)) if *before >= level) {
            self.level(metric, labels, level);
        }
    }

    fn put(&mut self, metric: &'static Metric, labels: &[&str], value: Value) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        let labels: Labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let family =
            self.families.entry(metric.name).or_insert_with(|| Family { metric, series: BTreeMap::new() });
        if family.series.contains_key(&labels) || family.series.len() < metric.max_series {
            family.series.insert(labels, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_add_is_all_there() {
        let metrics = Metrics::default();
        let counter = metrics.counter(PRODUCED_BYTES, &["t"]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| counter.add(3)));
            }
        });
        assert_eq!(metrics.counter(PRODUCED_BYTES, &["t"]).value(), 12_000);
    }

    #[test]
    fn above_its_bound_a_metric_gets_no_more_series() {
        let metrics = Metrics::default();
        for i in 0..PRODUCED_BYTES.max_series + 50 {
            metrics.counter(PRODUCED_BYTES, &[&format!("t{i}")]).increment();
        }
        let families = metrics.snapshot();
        let family = families.iter().find(|f| f.metric.name == PRODUCED_BYTES.name).unwrap();
        assert_eq!(family.series.len(), PRODUCED_BYTES.max_series);
        assert_eq!(family.series[&vec![OTHER.to_owned()]], Value::Count(51));
    }

    #[test]
    fn collectors_say_what_is_true_when_asked() {
        let metrics = Metrics::default();
        metrics.collect_from(|snapshot| snapshot.level(PARTITIONS_LED, &[], 3.0));
        metrics.collect_from(|snapshot| {
            snapshot.level_at_least(CERTIFICATE_EXPIRY, &["peer"], 1.0);
            snapshot.level_at_least(CERTIFICATE_EXPIRY, &["peer"], 5.0);
            snapshot.level_at_least(CERTIFICATE_EXPIRY, &["peer"], 2.0);
        });
        let told: Vec<_> = metrics.snapshot();
        assert_eq!(told[0].series[&vec!["peer".to_owned()]], Value::Level(5.0));
        assert_eq!(told[1].series[&Vec::new()], Value::Level(3.0));
    }

    #[test]
    fn the_table_is_sound() {
        for (i, metric) in METRICS.iter().enumerate() {
            assert!(metric.name.starts_with("esker_"), "{}", metric.name);
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == MetricKind::Counter,
                "{}",
                metric.name
            );
            assert!(METRICS.iter().skip(i + 1).all(|other| other.name != metric.name), "{}", metric.name);
            assert!(metric.max_series >= 1 && metric.help.ends_with('.'), "{}", metric.name);
            assert_eq!(metric.name.contains("_seconds"), metric.unit == "s", "{}", metric.name);
            assert_eq!(metric.name.contains("bytes"), metric.unit == "By", "{}", metric.name);
        }
    }
}
