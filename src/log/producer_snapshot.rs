//! `.snapshot`: the producers of a log at an offset, in Kafka's format, version 1.
//!
//! ```text
//! version i16 = 1 · CRC-32C u32 of all that follows · count i32 ·
//! per producer: id i64 · epoch i16 · last sequence i32 · last offset i64 · offset delta i32 · timestamp i64 ·
//!               coordinator epoch i32 · first offset of the open transaction i64 (−1: none)
//! ```

use std::collections::VecDeque;

use bytes::{Buf as _, BufMut as _, Bytes};

use super::producer_state::{Producer, ProducerBatch, ProducerState};
use crate::types::{Offset, ProducerEpoch, ProducerId};
use crate::wire::record_batch::Batch;

const VERSION: i16 = 1;
const HEAD_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;

/// Why a snapshot cannot be used; the state is then replayed from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Of another program.
    #[error("producer snapshot of version {0}, only 1 is known")]
    Version(i16),
    /// Its bytes are not what was written.
    #[error("producer snapshot with a wrong CRC")]
    Crc,
    /// It is too short or too long.
    #[error("producer snapshot with a wrong length")]
    Length,
}

/// The producers of a log that is not here, but for a snapshot and the batches after it.
#[derive(Clone, Debug)]
pub struct ProducersSince(ProducerState);

impl ProducersSince {
    /// As a `.snapshot` has them.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn new(snapshot: &[u8]) -> Result<ProducersSince, SnapshotError> {
        decode(snapshot, 0).map(ProducersSince)
    }

    /// Takes in the next batch of the log.
    pub fn apply(&mut self, batch: &Batch) {
        // Of too many producers those that were seen after the snapshot stay.
        let _ended = self.0.apply(batch, 1);
    }

    /// The `.snapshot` of a log that ends here.
    #[must_use]
    pub fn snapshot(&self) -> Bytes {
        encode(&self.0).into()
    }
}

/// Writes the state. Of each producer's batches only the last one has room in the format.
pub(super) fn encode(state: &ProducerState) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + ENTRY_BYTES * state.producers.len());
    out.put_i16(VERSION);
    out.put_u32(0);
    out.put_i32(i32::try_from(state.producers.len()).unwrap_or(i32::MAX));
    for (id, producer) in &state.producers {
        let last = producer.batches.back();
        out.put_i64(id.0);
        out.put_i16(producer.epoch.0);
        out.put_i32(last.map_or(-1, |last| last.last_sequence));
        out.put_i64(last.map_or(-1, |last| last.last_offset.0));
        out.put_i32(last.map_or(0, |last| last.offset_delta));
        out.put_i64(producer.timestamp);
        out.put_i32(producer.coordinator_epoch);
        out.put_i64(producer.transaction.map_or(-1, |first| first.0));
    }
    let crc = crc32c::crc32c(&out[6..]);
    out[2..6].copy_from_slice(&crc.to_be_bytes());
    out
}

/// Reads a state; `now_ms` is when its producers count as seen.
pub(super) fn decode(bytes: &[u8], now_ms: i64) -> Result<ProducerState, SnapshotError> {
    if bytes.len() < HEAD_BYTES {
        return Err(SnapshotError::Length);
    }
    let mut rest = bytes;
    let version = rest.get_i16();
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    if rest.get_u32() != crc32c::crc32c(rest) {
        return Err(SnapshotError::Crc);
    }
    let count = usize::try_from(rest.get_i32()).map_err(|_| SnapshotError::Length)?;
    if count.checked_mul(ENTRY_BYTES) != Some(rest.len()) {
        return Err(SnapshotError::Length);
    }
    let mut state = ProducerState::default();
    for _ in 0..count {
        let id = ProducerId(rest.get_i64());
        let epoch = ProducerEpoch(rest.get_i16());
        let last_sequence = rest.get_i32();
        let last_offset = Offset(rest.get_i64());
        let offset_delta = rest.get_i32();
        let timestamp = rest.get_i64();
        let coordinator_epoch = rest.get_i32();
        let transaction = rest.get_i64();
        let mut batches = VecDeque::new();
        if last_sequence >= 0 {
            batches.push_back(ProducerBatch { last_sequence, last_offset, offset_delta, timestamp });
        }
        let transaction = (transaction >= 0).then_some(Offset(transaction));
        let producer =
            Producer { epoch, batches, coordinator_epoch, transaction, timestamp, seen_ms: now_ms };
        state.restore(id, producer);
    }
    Ok(state)
}
