//! A clock on the runtime's own time. Where that is paused (`start_paused`) it moves on by itself as soon as no task has
//! anything to do: an hour passes in a moment, and openraft's own time-outs are on it too.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::env::{Clock, MonoTime};

/// One broker's clock: it may run a little faster or slower than the others', and its wall clock may be off and jump.
pub struct VirtualClock {
    origin: Instant,
    /// Its nanoseconds per million of the runtime's.
    rate: u64,
    wall_ms: AtomicI64,
}

const PAR: u64 = 1_000_000;

impl VirtualClock {
    /// A clock that shows `wall_ms` at `origin` and gains `drift` microseconds in every second (loses, if negative).
    #[must_use]
    pub fn new(origin: Instant, wall_ms: i64, drift: i32) -> VirtualClock {
        let rate = PAR.saturating_add_signed(i64::from(drift));
        VirtualClock { origin, rate, wall_ms: AtomicI64::new(wall_ms) }
    }

    /// Makes the wall clock jump, back or forth; the monotonic clock does not notice.
    pub fn jump_wall(&self, by_ms: i64) {
        self.wall_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

fn scaled(nanos: u64, by: u64, from: u64) -> u64 {
    u64::try_from(u128::from(nanos) * u128::from(by) / u128::from(from)).unwrap_or(u64::MAX)
}

impl Clock for VirtualClock {
    fn now(&self) -> MonoTime {
        let passed = u64::try_from(Instant::now().duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX);
        // Not zero at the start: a broker's clock has run before the broker does.
        MonoTime(scaled(passed, self.rate, PAR) + 1_000_000_000)
    }

    fn wall_ms(&self) -> i64 {
        let passed = i64::try_from(self.now().0 / 1_000_000).unwrap_or(i64::MAX);
        self.wall_ms.load(Ordering::SeqCst).saturating_add(passed)
    }

    #[allow(clippy::disallowed_methods)]
    fn sleep_until(&self, deadline: MonoTime) -> BoxFuture<'static, ()> {
        let left = u64::try_from(deadline.since(self.now()).as_nanos()).unwrap_or(u64::MAX);
        // A moment more rather than less: whoever wakes finds the deadline passed.
        let left = Duration::from_nanos(scaled(left, PAR, self.rate).saturating_add(u64::from(left > 0)));
        let until = Instant::now().checked_add(left);
        Box::pin(async move {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_hour_passes_at_once_and_a_fast_clock_is_ahead() {
        let origin = Instant::now();
        let even = Arc::new(VirtualClock::new(origin, 0, 0));
        let fast = Arc::new(VirtualClock::new(origin, 0, 1_000));
        let (begun, fast_begun) = (even.now(), fast.now());
        even.sleep(Duration::from_secs(3_600)).await;
        // The runtime's timers go by milliseconds.
        let (passed, on_the_fast) = (even.now().since(begun), fast.now().since(fast_begun));
        assert!((3_600_000..3_600_010).contains(&passed.as_millis()), "{passed:?}");
        assert!((3_603_600..3_603_610).contains(&on_the_fast.as_millis()), "{on_the_fast:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_wakes_finds_its_deadline_passed_on_its_own_clock() {
        for drift in [-7_919, 0, 7_919] {
            let clock = VirtualClock::new(Instant::now(), 0, drift);
            for micros in 1..2_000 {
                let deadline = clock.now() + Duration::from_micros(micros);
                clock.sleep_until(deadline).await;
                assert!(clock.now() >= deadline, "drift {drift}, {micros} µs");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_wall_jumps_alone() {
        let clock = VirtualClock::new(Instant::now(), 5_000, 0);
        let (wall, now) = (clock.wall_ms(), clock.now());
        clock.jump_wall(-3_600_000);
        assert_eq!(clock.wall_ms(), wall - 3_600_000);
        assert_eq!(clock.now(), now);
    }
}
