//! How fast a leader sends to replicas that are not in sync (KIP-73): `leader.replication.throttled.rate`.
//!
//! A bucket of bytes that fills with time. What goes out may take it below zero, since a frame is whole; nothing more goes
//! out until it is above zero again. Members of the ISR are never throttled: they would hold up acks=all.

use std::time::Duration;

use parking_lot::Mutex;

use crate::env::MonoTime;

/// What the bucket holds at most: so much time's worth.
const BURST: Duration = Duration::from_secs(1);

/// The throttle of one broker, over all partitions that it leads.
#[derive(Debug)]
pub(super) struct Throttle {
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// `None`: no limit.
    bytes_per_second: Option<u64>,
    bytes: i128,
    at: MonoTime,
}

impl Throttle {
    pub(super) fn new(now: MonoTime) -> Throttle {
        Throttle { bucket: Mutex::new(Bucket { bytes_per_second: None, bytes: 0, at: now }) }
    }

    /// Takes up another rate; debts are forgiven.
    pub(super) fn set_rate(&self, bytes_per_second: Option<u64>, now: MonoTime) {
        let mut bucket = self.bucket.lock();
        if bucket.bytes_per_second != bytes_per_second {
            let bytes = bytes_per_second.map_or(0, i128::from);
            *bucket = Bucket { bytes_per_second, bytes, at: now };
        }
    }

    /// Whether something may go out now.
    pub(super) fn is_open(&self, now: MonoTime) -> bool {
        let mut bucket = self.bucket.lock();
        bucket.fill(now);
        bucket.bytes_per_second.is_none() || bucket.bytes > 0
    }

    /// So many bytes went out.
    pub(super) fn sent(&self, bytes: usize) {
        let mut bucket = self.bucket.lock();
        if bucket.bytes_per_second.is_some() {
            bucket.bytes -= bytes as i128;
        }
    }
}

impl Bucket {
    fn fill(&mut self, now: MonoTime) {
        let Some(rate) = self.bytes_per_second else { return };
        let worth = |time: Duration| {
            i128::from(rate) * i128::try_from(time.as_nanos()).unwrap_or(i128::MAX) / 1_000_000_000
        };
        let gained = worth(now.since(self.at));
        // A part of a byte stays to be gained.
        if gained > 0 {
            self.bytes = (self.bytes + gained).min(worth(BURST).max(1));
            self.at = now;
        }
    }
}

/// Whether `leader.replication.throttled.replicas` of a topic names this leader's replica: `*`, or a list of
/// `partition:broker`.
pub(super) fn names(list: &str, partition: i32, broker: i32) -> bool {
    list.split(',').map(str::trim).any(|item| {
        item == "*"
            || item
                .split_once(':')
                .is_some_and(|(p, b)| p.parse() == Ok(partition) && b.parse() == Ok(broker))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime(ms * 1_000_000)
    }

    #[test]
    fn a_debt_is_paid_by_time() {
        let throttle = Throttle::new(at(0));
        assert!(throttle.is_open(at(0)), "no limit");
        throttle.set_rate(Some(1000), at(0));
        assert!(throttle.is_open(at(0)), "the first second's worth");
        throttle.sent(3000);
        assert!(!throttle.is_open(at(1999)));
        assert!(throttle.is_open(at(2001)));
        throttle.sent(1);
        assert!(!throttle.is_open(at(2001)));
        throttle.set_rate(None, at(2001));
        assert!(throttle.is_open(at(2001)));
    }

    #[test]
    fn time_in_which_nothing_was_sent_is_worth_one_second_at_most() {
        let throttle = Throttle::new(at(0));
        throttle.set_rate(Some(10), at(0));
        assert!(throttle.is_open(at(1_000_000)));
        throttle.sent(10);
        assert!(!throttle.is_open(at(1_000_000)));
    }

    #[test]
    fn a_list_names_replicas_or_all_of_them() {
        assert!(names("*", 3, 1) && names("0:1, 3:1", 3, 1));
        assert!(!names("3:2,1:3", 3, 1) && !names("", 3, 1) && !names("3", 3, 1));
    }
}
