//! What clients were told, judged as it comes (FAULTS, "What the history checker finds"). The first contradiction ends the
//! run; each names the invariant that it breaks.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::types::LeaderEpoch;

/// Producer and number: unique, and increasing per producer.
pub(super) type Value = (usize, u64);

#[derive(Default)]
struct State {
    /// By partition and offset: what was acknowledged there.
    acknowledged: BTreeMap<(i32, i64), Value>,
    /// By partition and offset: what was read there.
    read: BTreeMap<(i32, i64), Value>,
    /// Where each value was read.
    places: BTreeMap<Value, (i32, i64)>,
    /// By producer: the offset of its last acknowledgement.
    last_acknowledged: BTreeMap<usize, i64>,
    /// By partition and leader epoch: the highest high watermark.
    high_watermarks: BTreeMap<(i32, LeaderEpoch), i64>,
    /// Answers and positions that were looked at.
    checked: u64,
    violation: Option<String>,
}

/// The history of one run.
#[derive(Default)]
pub(super) struct History(Mutex<State>);

impl State {
    fn violated(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }
}

impl History {
    pub fn violated(&self, what: String) {
        self.0.lock().violated(what);
    }

    pub fn violation(&self) -> Option<String> {
        self.0.lock().violation.clone()
    }

    /// Answers and positions that were judged so far.
    pub fn checked(&self) -> u64 {
        self.0.lock().checked
    }

    pub fn acknowledged(&self, partition: i32, offset: i64, value: Value) {
        let mut state = self.0.lock();
        state.checked += 1;
        if let Some(other) = state.acknowledged.insert((partition, offset), value)
            && other != value
        {
            state.violated(format!(
                "inconsistent-offsets: {other:?} and {value:?} were both acknowledged at {partition}/{offset}"
            ));
        }
        if let Some(other) = state.read.get(&(partition, offset)).copied()
            && other != value
        {
            state.violated(format!(
                "inconsistent-offsets: {value:?} was acknowledged at {partition}/{offset}, where {other:?} was read"
            ));
        }
        if let Some(last) = state.last_acknowledged.insert(value.0, offset)
            && last >= offset
        {
            state.violated(format!("nonmonotonic-send: {value:?} is at {offset}, an earlier one at {last}"));
        }
    }

    /// Behind the last acknowledged record of a partition.
    pub fn acknowledged_end(&self, partition: i32) -> i64 {
        let state = self.0.lock();
        let mut of_it = state.acknowledged.range((partition, 0)..(partition + 1, 0));
        of_it.next_back().map_or(0, |((_, offset), _)| offset + 1)
    }

    pub fn read(&self, partition: i32, offset: i64, value: Value) {
        let mut state = self.0.lock();
        state.checked += 1;
        let before = state.read.insert((partition, offset), value);
        let before = before.or_else(|| state.acknowledged.get(&(partition, offset)).copied());
        if let Some(other) = before
            && other != value
        {
            state.violated(format!(
                "inconsistent-offsets: {value:?} was read at {partition}/{offset}, where {other:?} was before"
            ));
        }
        if let Some(place) = state.places.insert(value, (partition, offset))
            && place != (partition, offset)
        {
            state.violated(format!("duplicate: {value:?} is at {place:?} and at {partition}/{offset}"));
        }
    }

    pub fn high_watermark(&self, partition: i32, epoch: LeaderEpoch, offset: i64) {
        let mut state = self.0.lock();
        state.checked += 1;
        let highest = state.high_watermarks.entry((partition, epoch)).or_insert(offset);
        if offset < *highest {
            let highest = *highest;
            state.violated(format!(
                "high-watermark-back: {partition} in epoch {epoch}: {highest}, then {offset}"
            ));
        } else {
            *highest = offset;
        }
    }

    /// After the last drain, in which everything was read up to `ends`: what is missing or out of order. How many
    /// acknowledged records there are.
    pub fn finish(&self) -> usize {
        let mut state = self.0.lock();
        let unseen = state.acknowledged.iter().find(|(place, _)| !state.read.contains_key(place));
        if let Some((place, value)) = unseen {
            let what = format!("unseen: {value:?} was acknowledged at {place:?} and is not there");
            state.violated(what);
        }
        let mut next: BTreeMap<usize, u64> = BTreeMap::new();
        let mut wrong = None;
        for ((partition, offset), (producer, number)) in &state.read {
            let expected = next.entry(*producer).or_default();
            if number != expected {
                wrong.get_or_insert(format!(
                    "lost-write: producer {producer} has {number} at {partition}/{offset}, where {expected} should be"
                ));
            }
            *expected = number + 1;
        }
        if let Some(wrong) = wrong {
            state.violated(wrong);
        }
        state.acknowledged.len()
    }
}

#[cfg(test)]
mod checks {
    use super::*;

    fn found(tell: impl FnOnce(&History)) -> String {
        let history = History::default();
        tell(&history);
        history.finish();
        history.violation().unwrap_or_default()
    }

    #[test]
    fn each_anomaly_is_found_by_its_name() {
        assert_eq!(found(|_| {}), "");
        let both = found(|h| {
            h.acknowledged(0, 0, (0, 0));
            h.read(0, 0, (1, 0));
        });
        assert!(both.starts_with("inconsistent-offsets"), "{both}");
        let twice = found(|h| {
            h.read(0, 0, (0, 0));
            h.read(0, 1, (0, 0));
        });
        assert!(twice.starts_with("duplicate"), "{twice}");
        let unseen = found(|h| h.acknowledged(0, 0, (0, 0)));
        assert!(unseen.starts_with("unseen"), "{unseen}");
        let lost = found(|h| {
            h.read(0, 0, (0, 0));
            h.read(0, 1, (0, 2));
        });
        assert!(lost.starts_with("lost-write"), "{lost}");
        let order = found(|h| {
            h.acknowledged(0, 1, (0, 0));
            h.acknowledged(0, 0, (0, 1));
        });
        assert!(order.starts_with("nonmonotonic-send"), "{order}");
        let back = found(|h| {
            h.high_watermark(0, LeaderEpoch(1), 5);
            h.high_watermark(0, LeaderEpoch(1), 4);
        });
        assert!(back.starts_with("high-watermark-back"), "{back}");
    }
}
