//! How long to wait before a peer that could not be reached is dialled again.

use std::time::Duration;

use crate::env::{Env, MonoTime};

const FIRST: Duration = Duration::from_millis(20);
/// A peer that comes back is found within this time.
const LONGEST: Duration = Duration::from_millis(200);

/// Doubles with each failure, with jitter, up to 200 ms.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    not_before: MonoTime,
}

impl Backoff {
    /// The next attempt may start then.
    pub(super) fn not_before(&self) -> MonoTime {
        self.not_before
    }

    pub(super) fn failed(&mut self, env: &Env) {
        let longest = FIRST.saturating_mul(1 << self.failures.min(8)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // Between half and all of it, so that brokers that failed together do not come back together.
        let half = longest / 2;
        let jitter = env.rng.next_u64() % u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.not_before = env.clock.now() + half + Duration::from_nanos(jitter);
    }

    pub(super) fn succeeded(&mut self) {
        *self = Backoff::default();
    }
}
