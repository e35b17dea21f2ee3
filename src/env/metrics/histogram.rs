//! Durations, counted in buckets whose bounds are two to each power of two microseconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::shard;

/// The first bound is 2^FIRST microseconds.
const FIRST: u32 = 5;
/// Powers of two that have bounds: up to 2^25 µs, 33 seconds.
const OCTAVES: usize = 21;
const BUCKETS: usize = OCTAVES * 2;
/// Fewer than of a counter: each is half a kilobyte.
const SHARDS: usize = 4;

/// Upper bounds of the buckets in seconds, rising; a last bucket without a bound follows.
pub const BOUNDS_SECONDS: [f64; BUCKETS] = bounds();

const fn bound_us(bucket: usize) -> u64 {
    let power = 1 << (FIRST as usize + bucket / 2);
    if bucket & 1 == 0 { power } else { power + power / 2 }
}

const fn bounds() -> [f64; BUCKETS] {
    let mut bounds = [0.0; BUCKETS];
    let mut i = 0;
    while i < BUCKETS {
        bounds[i] = bound_us(i) as f64 / 1e6;
        i += 1;
    }
    bounds
}

#[derive(Debug)]
#[repr(align(64))]
struct Shard {
    buckets: [AtomicU64; BUCKETS + 1],
    sum_ns: AtomicU64,
}

/// Counts durations. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<[Shard; SHARDS]>);

impl Default for Histogram {
    fn default() -> Self {
        let shard =
            |_| Shard { buckets: [const { AtomicU64::new(0) }; BUCKETS + 1], sum_ns: AtomicU64::new(0) };
        Histogram(Arc::new(std::array::from_fn(shard)))
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let shard = &self.0[shard() % SHARDS];
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        shard.buckets[bucket_of(micros)].fetch_add(1, Ordering::Relaxed);
        shard.sum_ns.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        let mut counts = vec![0; BUCKETS + 1];
        let mut sum_ns = 0u64;
        for shard in &*self.0 {
            for (count, bucket) in counts.iter_mut().zip(&shard.buckets) {
                *count += bucket.load(Ordering::Relaxed);
            }
            sum_ns = sum_ns.saturating_add(shard.sum_ns.load(Ordering::Relaxed));
        }
        Distribution { counts, sum_seconds: sum_ns as f64 / 1e9 }
    }
}

/// The first bucket whose bound is at or above so many microseconds.
fn bucket_of(micros: u64) -> usize {
    if micros <= bound_us(0) {
        return 0;
    }
    // 2^power < micros <= 2^(power + 1).
    let power = (micros - 1).ilog2();
    let half = (1u64 << power) + (1u64 << power) / 2;
    let bucket = (power - FIRST) as usize * 2 + if micros <= half { 1 } else { 2 };
    bucket.min(BUCKETS)
}

/// What a histogram has counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// By bucket, not summed up; one more than [`BOUNDS_SECONDS`].
    pub counts: Vec<u64>,
    /// The sum of the durations.
    pub sum_seconds: f64,
}

impl Distribution {
    /// How many durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// An upper bound of the q-th quantile in seconds; `None` without any duration, infinite above the last bound.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = ((count as f64 * q).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(BOUNDS_SECONDS.get(bucket).copied().unwrap_or(f64::INFINITY))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_duration_falls_into_the_bucket_whose_bounds_it_lies_between(micros in 0u64..1 << 40) {
            let bucket = bucket_of(micros);
            prop_assert!(bucket == BUCKETS || micros <= bound_us(bucket));
            prop_assert!(bucket == 0 || micros > bound_us(bucket - 1));
        }
    }

    #[test]
    fn quantiles_are_at_most_half_an_octave_too_large() {
        let histogram = Histogram::default();
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        let told = histogram.distribution();
        assert_eq!(told.count(), 1000);
        assert!((told.sum_seconds - 500.5).abs() < 1e-6);
        for (q, exact) in [(0.5, 0.5), (0.99, 0.99), (0.999, 0.999)] {
            let found = told.quantile(q).unwrap();
            assert!(found >= exact && found <= exact * 1.5, "{q}: {found}");
        }
        assert_eq!(Histogram::default().distribution().quantile(0.5), None);
    }
}
