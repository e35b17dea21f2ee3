//! What time it is for the cluster: retention goes by it, and a broker whose own clock is far from it deletes nothing.
//!
//! Every heartbeat brings its sender's wall clock to the Raft leader, every answer the median of those that were heard
//! lately: one clock that is wrong, the leader's too, moves nobody else's retention.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::env::MonoTime;
use crate::types::BrokerId;

/// A broker whose clock is further off deletes nothing.
pub(super) const MOST_OFF_MS: i64 = 5 * 60 * 1000;

/// The brokers' wall clocks, as a Raft leader has heard them.
#[derive(Debug, Default)]
pub(super) struct WallClocks {
    /// By how much each is ahead of this node's, and when it was heard.
    ahead_ms: BTreeMap<BrokerId, (i64, MonoTime)>,
}

impl WallClocks {
    /// A broker has said its time.
    pub fn hear(&mut self, broker: BrokerId, its_ms: i64, own_ms: i64, now: MonoTime) {
        self.ahead_ms.insert(broker, (its_ms.saturating_sub(own_ms), now));
    }

    /// The median of the voters that were heard within `lately`, if that is a majority of them; of two the earlier one, by
    /// which less is deleted.
    pub fn quorum_ms(
        &mut self,
        voters: &[BrokerId],
        own_ms: i64,
        now: MonoTime,
        lately: Duration,
    ) -> Option<i64> {
        self.ahead_ms.retain(|_, (_, heard)| now.since(*heard) < lately);
        let mut ahead: Vec<i64> =
            voters.iter().filter_map(|voter| self.ahead_ms.get(voter)).map(|(ahead, _)| *ahead).collect();
        ahead.sort_unstable();
        let median = ahead.get(ahead.len().checked_sub(1)? / 2)?;
        (ahead.len() * 2 > voters.len()).then(|| own_ms.saturating_add(*median))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATELY: Duration = Duration::from_secs(2);
    const VOTERS: [BrokerId; 3] = [BrokerId(1), BrokerId(2), BrokerId(3)];

    fn at(ms: u64) -> MonoTime {
        MonoTime(ms * 1_000_000)
    }

    fn heard(times: &[(i32, i64)], own_ms: i64) -> WallClocks {
        let mut clocks = WallClocks::default();
        for (broker, its_ms) in times {
            clocks.hear(BrokerId(*broker), *its_ms, own_ms, at(0));
        }
        clocks
    }

    #[test]
    fn one_wrong_clock_of_three_moves_nothing_the_leaders_neither() {
        let mut clocks = heard(&[(1, 1_000_000), (2, 1_000_010), (3, 99_000_000)], 1_000_000);
        assert_eq!(clocks.quorum_ms(&VOTERS, 1_000_500, at(500), LATELY), Some(1_000_510));
        let mut clocks = heard(&[(1, 50_000_000), (2, 1_000_000), (3, 1_000_007)], 50_000_000);
        assert_eq!(clocks.quorum_ms(&VOTERS, 50_001_000, at(1000), LATELY), Some(1_001_007));
    }

    #[test]
    fn of_two_the_earlier_counts_and_less_than_a_majority_knows_no_time() {
        let mut clocks = heard(&[(1, 50_000_000), (2, 1_000_000)], 50_000_000);
        assert_eq!(clocks.quorum_ms(&VOTERS, 50_000_000, at(0), LATELY), Some(1_000_000));
        let mut clocks = heard(&[(1, 50_000_000)], 50_000_000);
        assert_eq!(clocks.quorum_ms(&VOTERS, 50_000_000, at(0), LATELY), None, "the others are silent");
        assert_eq!(
            clocks.quorum_ms(&VOTERS[..1], 50_000_000, at(0), LATELY),
            Some(50_000_000),
            "there are no others"
        );
        clocks.hear(BrokerId(9), 1, 50_000_000, at(0));
        assert_eq!(clocks.quorum_ms(&VOTERS, 50_000_000, at(0), LATELY), None, "one without a vote");
        assert_eq!(clocks.quorum_ms(&VOTERS[..1], 50_000_000, at(2000), LATELY), None, "it is too long ago");
    }
}
