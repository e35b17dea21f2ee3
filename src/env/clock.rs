//! Time: a monotonic clock that counts suspended time too, the wall clock, and sleeping.

use std::time::Duration;
#[allow(clippy::disallowed_types, clippy::disallowed_methods)]
use std::time::{SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;

/// A point on the monotonic clock (CLOCK_BOOTTIME), in nanoseconds since an arbitrary start. Only differences mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoTime(pub u64);

impl MonoTime {
    /// Time passed since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: MonoTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for MonoTime {
    type Output = MonoTime;
    fn add(self, d: Duration) -> MonoTime {
        MonoTime(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The seam to time.
pub trait Clock: Send + Sync + 'static {
    /// The monotonic clock. Leases, lags and time-outs are measured with it.
    fn now(&self) -> MonoTime;
    /// Milliseconds since the Unix epoch. Only timestamps and retention use it; no safety rests on it.
    fn wall_ms(&self) -> i64;
    /// Completes once `now()` has passed `deadline`.
    fn sleep_until(&self, deadline: MonoTime) -> BoxFuture<'static, ()>;
    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.now() + duration)
    }
}

/// CLOCK_BOOTTIME, CLOCK_REALTIME and tokio's timer.
#[derive(Debug, Default)]
pub struct RealClock;

impl RealClock {
    /// The machine's clock.
    #[must_use]
    pub fn new() -> Self {
        RealClock
    }
}

impl Clock for RealClock {
    fn now(&self) -> MonoTime {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        MonoTime(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64)
    }

    #[allow(clippy::disallowed_types, clippy::disallowed_methods)]
    fn wall_ms(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
    }

    #[allow(clippy::disallowed_methods)]
    fn sleep_until(&self, deadline: MonoTime) -> BoxFuture<'static, ()> {
        // The timer is made at the first poll: that happens in the runtime, this call may come from a disk thread.
        Box::pin(async move { tokio::time::sleep(deadline.since(RealClock.now())).await })
    }
}

/// The time ran out before the future completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("timed out after {0:?}")]
pub struct TimedOut(pub Duration);

/// Runs a future for at most `limit`.
///
/// # Errors
/// `TimedOut` when the limit passes first; the future is dropped.
pub async fn timeout<F: Future>(
    clock: &dyn Clock,
    limit: Duration,
    future: F,
) -> Result<F::Output, TimedOut> {
    let sleep = clock.sleep(limit);
    tokio::pin!(future);
    tokio::select! {
        biased;
        out = &mut future => Ok(out),
        () = sleep => Err(TimedOut(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_may_be_made_on_a_thread_outside_the_runtime_and_awaited_inside() {
        let threads = crate::env::BlockingPool::new("sleeper", 1);
        let began = RealClock.now();
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
            let made = threads.run(|| RealClock::new().sleep(Duration::from_millis(5))).await;
            made.expect("making a sleep needs no runtime").await;
        });
        assert!(RealClock.now() >= began, "the clock never goes back");
    }
}
