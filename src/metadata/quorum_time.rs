//! What time it is for the cluster: retention goes by it, and a broker whose own clock is far from it deletes nothing.
//!
//! Every heartbeat brings its sender's wall clock to the Raft leader, every answer the median of those that were heard
//! lately: one clock that is wrong, the leader's too, moves nobody else's retention.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::env::MonoTime;
use crate::env::defect::{Defect, planted};
use crate::types::BrokerId;

/// A broker whose clock is further off deletes nothing.
pub(super) const MOST_OFF_MS: i64 = 5 * 60 * 1000;

/// The brokers' wall clocks, as a Raft leader has heard them. Its own wall clock counts only by its own heartbeats: between two
/// of them nothing but the clock that nobody sets moves the time, so a jump is one voice and not the whole answer.
#[derive(Debug, Default)]
pub(super) struct WallClocks {
    /// What each showed when this node's monotonic clock began, and when it was heard.
    began_ms: BTreeMap<BrokerId, (i64, MonoTime)>,
}

impl WallClocks {
    /// A broker has said its time.
    pub fn hear(&mut self, broker: BrokerId, its_ms: i64, now: MonoTime) {
        self.began_ms.insert(broker, (its_ms.saturating_sub(ms(now)), now));
    }

    /// The median of the voters that were heard within `lately`, if that is a majority of them; of two the earlier one, by
    /// which less is deleted.
    pub fn quorum_ms(&mut self, voters: &[BrokerId], now: MonoTime, lately: Duration) -> Option<i64> {
        self.began_ms.retain(|_, (_, heard)| now.since(*heard) < lately);
        let mut began: Vec<i64> =
            voters.iter().filter_map(|voter| self.began_ms.get(voter)).map(|(began, _)| *began).collect();
        began.sort_unstable();
        if planted(Defect::FastestClockBelieved) {
            return began.last().map(|began| began.saturating_add(ms(now)));
        }
        let median = began.get(began.len().checked_sub(1)? / 2)?;
        (began.len() * 2 > voters.len()).then(|| median.saturating_add(ms(now)))
    }
}

fn ms(now: MonoTime) -> i64 {
    i64::try_from(now.since(MonoTime::default()).as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATELY: Duration = Duration::from_secs(2);
    const VOTERS: [BrokerId; 3] = [BrokerId(1), BrokerId(2), BrokerId(3)];

    fn at(ms: u64) -> MonoTime {
        MonoTime(ms * 1_000_000)
    }

    fn heard(times: &[(i32, i64)]) -> WallClocks {
        let mut clocks = WallClocks::default();
        for (broker, its_ms) in times {
            clocks.hear(BrokerId(*broker), *its_ms, at(7_000));
        }
        clocks
    }

    #[test]
    fn one_wrong_clock_of_three_moves_nothing() {
        let mut clocks = heard(&[(1, 1_000_000), (2, 1_000_010), (3, 99_000_000)]);
        assert_eq!(clocks.quorum_ms(&VOTERS, at(7_500), LATELY), Some(1_000_510));
        let mut clocks = heard(&[(1, 50_000_000), (2, 1_000_000), (3, 1_000_007)]);
        assert_eq!(clocks.quorum_ms(&VOTERS, at(8_000), LATELY), Some(1_001_007));
    }

    /// The leader's clock jumps between a heartbeat and an answer, ahead of what the others are known to show.
    #[test]
    fn a_clock_that_jumps_moves_nothing_whoever_has_it_and_when() {
        const DAY_MS: i64 = 24 * 3_600_000;
        let mut clocks = heard(&[(1, 1_000_000), (2, 1_000_000), (3, 1_000_000)]);
        for jumped in VOTERS {
            let mut clocks = heard(&[(1, 1_000_000), (2, 1_000_000), (3, 1_000_000)]);
            clocks.hear(jumped, 1_000_100 + DAY_MS, at(7_100));
            assert_eq!(
                clocks.quorum_ms(&VOTERS, at(7_200), LATELY),
                Some(1_000_200),
                "{jumped:?} is one voice"
            );
        }
        assert_eq!(clocks.quorum_ms(&VOTERS, at(7_200), LATELY), Some(1_000_200));
    }

    #[test]
    fn of_two_the_earlier_counts_and_less_than_a_majority_knows_no_time() {
        let mut clocks = heard(&[(1, 50_000_000), (2, 1_000_000)]);
        assert_eq!(clocks.quorum_ms(&VOTERS, at(7_000), LATELY), Some(1_000_000));
        let mut clocks = heard(&[(1, 50_000_000)]);
        assert_eq!(clocks.quorum_ms(&VOTERS, at(7_000), LATELY), None, "the others are silent");
        assert_eq!(
            clocks.quorum_ms(&VOTERS[..1], at(7_000), LATELY),
            Some(50_000_000),
            "there are no others"
        );
        clocks.hear(BrokerId(9), 1, at(7_000));
        assert_eq!(clocks.quorum_ms(&VOTERS, at(7_000), LATELY), None, "one without a vote");
        assert_eq!(clocks.quorum_ms(&VOTERS[..1], at(9_000), LATELY), None, "it is too long ago");
    }
}
