//! The index sections of a segment object, in Kafka's file formats.
//!
//! - offset index: `relative offset i32, position i32`, one entry about every interval of bytes;
//! - time index: `timestamp i64, relative offset i32`, the running largest timestamp;
//! - aborted transactions: `version i16, producer id i64, first offset i64, last offset i64, last stable offset i64`.
//!
//! Offsets in the first two are relative to the object's base offset, positions to its first byte.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// The bytes of one entry of the aborted-transaction index.
const ABORTED_BYTES: usize = 34;

/// Collects the offset and time index while batches pass by.
#[derive(Clone, Debug)]
pub struct IndexBuilder {
    base: i64,
    interval_bytes: u64,
    since_entry: u64,
    offsets: BytesMut,
    times: BytesMut,
    largest: Option<(i64, i64)>,
    last_time_entry: Option<i64>,
}

impl IndexBuilder {
    /// Indexes for an object that starts at offset `base`.
    #[must_use]
    pub fn new(base: i64, interval_bytes: u64) -> Self {
        IndexBuilder {
            base,
            interval_bytes,
            since_entry: 0,
            offsets: BytesMut::new(),
            times: BytesMut::new(),
            largest: None,
            last_time_entry: None,
        }
    }

    /// Notes a batch: where it stands, its last offset, its largest timestamp.
    pub fn add(&mut self, position: u64, batch_bytes: u64, last_offset: i64, max_timestamp: i64) {
        if self.since_entry > self.interval_bytes {
            let relative = i32::try_from(last_offset - self.base);
            if let (Ok(relative), Ok(position)) = (relative, i32::try_from(position)) {
                self.offsets.put_i32(relative);
                self.offsets.put_i32(position);
            }
            self.note_time();
            self.since_entry = 0;
        }
        if self.largest.is_none_or(|(timestamp, _)| max_timestamp > timestamp) {
            self.largest = Some((max_timestamp, last_offset));
        }
        self.since_entry += batch_bytes;
    }

    fn note_time(&mut self) {
        let Some((timestamp, offset)) = self.largest else { return };
        if self.last_time_entry.is_some_and(|last| last >= timestamp) {
            return;
        }
        if let Ok(relative) = i32::try_from(offset - self.base) {
            self.times.put_i64(timestamp);
            self.times.put_i32(relative);
            self.last_time_entry = Some(timestamp);
        }
    }

    /// The offset index, the time index, and the largest timestamp (−1 without batches).
    #[must_use]
    pub fn finish(mut self) -> (Bytes, Bytes, i64) {
        self.note_time();
        (self.offsets.freeze(), self.times.freeze(), self.largest.map_or(-1, |(timestamp, _)| timestamp))
    }
}

/// A position at or before the batch that holds `offset`: where to start walking.
#[must_use]
pub fn position_of(offset_index: &[u8], base: i64, offset: i64) -> u64 {
    let entry = |i: usize| {
        let mut entry = &offset_index[i * 8..];
        (base + i64::from(entry.get_i32()), entry.get_i32())
    };
    // Entries name a batch's last offset and its start: the batch at `position` ends at or after the entry's offset.
    let mut low = 0;
    let mut high = offset_index.len() / 8;
    while low < high {
        let middle = usize::midpoint(low, high);
        if entry(middle).0 <= offset { low = middle + 1 } else { high = middle }
    }
    if low == 0 { 0 } else { u64::try_from(entry(low - 1).1).unwrap_or(0) }
}

/// An offset at or before the first batch whose largest timestamp reaches `timestamp`, when the index knows one.
#[must_use]
pub fn offset_before_time(time_index: &[u8], base: i64, timestamp: i64) -> i64 {
    let mut found = base;
    for mut entry in time_index.chunks_exact(12) {
        let (largest, relative) = (entry.get_i64(), entry.get_i32());
        if largest >= timestamp {
            break;
        }
        // All batches up to this offset stay below the timestamp.
        found = base + i64::from(relative) + 1;
    }
    found
}

/// One aborted transaction of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// The producer.
    pub producer_id: i64,
    /// The first offset of the transaction.
    pub first_offset: i64,
    /// The offset of its abort marker.
    pub last_offset: i64,
    /// The last stable offset when the marker was written.
    pub last_stable_offset: i64,
}

/// The entries of an aborted-transaction section.
pub fn aborted_transactions(section: &[u8]) -> impl Iterator<Item = AbortedTransaction> + '_ {
    section.chunks_exact(ABORTED_BYTES).map(|mut entry| {
        entry.advance(2);
        AbortedTransaction {
            producer_id: entry.get_i64(),
            first_offset: entry.get_i64(),
            last_offset: entry.get_i64(),
            last_stable_offset: entry.get_i64(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built() -> (Bytes, Bytes, i64) {
        let mut builder = IndexBuilder::new(1000, 150);
        // Batches of 100 bytes with ten offsets each; timestamps rise, and once fall.
        for (i, timestamp) in [10, 20, 50, 30, 40, 60].into_iter().enumerate() {
            let i = i as i64;
            builder.add(i as u64 * 100, 100, 1000 + i * 10 + 9, timestamp);
        }
        builder.finish()
    }

    #[test]
    fn an_offset_leads_to_a_position_at_or_before_its_batch() {
        let (offsets, _, largest) = built();
        assert_eq!(largest, 60);
        assert_eq!(offsets.len(), 2 * 8);
        for offset in 1000..1060 {
            let position = position_of(&offsets, 1000, offset);
            let batch_of_offset = (offset - 1000) as u64 / 10 * 100;
            assert!(position <= batch_of_offset, "{offset} → {position}");
            assert!(batch_of_offset - position <= 200, "{offset} → {position}");
        }
    }

    #[test]
    fn a_time_leads_to_an_offset_at_or_before_its_first_batch() {
        let (_, times, _) = built();
        let first_reaching = |t: i64| [10, 20, 50, 30, 40, 60].iter().position(|&x| x >= t).unwrap() as i64;
        for timestamp in 0..=60 {
            let offset = offset_before_time(&times, 1000, timestamp);
            assert!(offset <= 1000 + first_reaching(timestamp) * 10, "{timestamp} → {offset}");
        }
        assert_eq!(offset_before_time(&times, 1000, 51), 1030);
    }

    #[test]
    fn aborted_transactions_are_read_in_kafkas_form() {
        let mut section = BytesMut::new();
        section.put_i16(0);
        for value in [7, 10, 20, 10] {
            section.put_i64(value);
        }
        let expected =
            AbortedTransaction { producer_id: 7, first_offset: 10, last_offset: 20, last_stable_offset: 10 };
        assert_eq!(aborted_transactions(&section).collect::<Vec<_>>(), [expected]);
    }
}
