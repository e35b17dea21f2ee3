//! How fast connections are accepted (KIP-612): a rate, and what may come at once when it was quiet before.

use std::time::Duration;

use crate::env::MonoTime;

/// So many seconds' worth may come at once: a client's restart opens its connections in one go.
const BURST_SECONDS: u64 = 2;

/// A rate of acceptance, kept as the time by which the last one was due.
#[derive(Debug)]
pub(super) struct Pace {
    each: Duration,
    burst: Duration,
    /// When all that was accepted would have come at the rate.
    due: MonoTime,
}

impl Pace {
    pub fn new(per_second: u32) -> Pace {
        let each = Duration::from_secs(1) / per_second.max(1);
        Pace { each, burst: Duration::from_secs(BURST_SECONDS), due: MonoTime(0) }
    }

    /// Another rate from the next one on.
    pub fn set_rate(&mut self, per_second: u32) {
        self.each = Duration::from_secs(1) / per_second.max(1);
    }

    /// Counts one, and says how long it must wait.
    pub fn take(&mut self, now: MonoTime) -> Duration {
        let earliest =
            MonoTime(now.0.saturating_sub(u64::try_from(self.burst.as_nanos()).unwrap_or(u64::MAX)));
        self.due = self.due.max(earliest) + self.each;
        self.due.since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_through_and_the_rest_comes_at_the_rate() {
        let mut pace = Pace::new(10);
        let start = MonoTime(100_000_000_000);
        let at_once = (0..100).take_while(|_| pace.take(start) == Duration::ZERO).count();
        assert_eq!(at_once, 20);
        // The one that was counted waits for its turn, the next for the turn after it.
        assert_eq!(pace.take(start), Duration::from_millis(200));
        let later = start + Duration::from_secs(60);
        assert_eq!(
            (0..100).take_while(|_| pace.take(later) == Duration::ZERO).count(),
            20,
            "no more than a burst is saved"
        );
    }
}
