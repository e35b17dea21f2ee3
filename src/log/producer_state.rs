//! What the log remembers of idempotent and transactional producers (KIP-98).
//!
//! A producer's last five batches are remembered, so that a retry of any request in flight is recognised. Open
//! transactions hold the last stable offset back, and so do decided ones until the high watermark has passed their marker.

use std::collections::{BTreeMap, VecDeque};

use super::error::Rejected;
use super::txn_index::AbortedTransaction;
use crate::env::defect::{Defect, planted};
use crate::types::{Offset, ProducerEpoch, ProducerId};
use crate::wire::record_batch::{Batch, BatchHeader, ControlKind, Record};

/// Batches remembered per producer: as many as a client keeps in flight.
const REMEMBERED: usize = 5;
/// Producers remembered by one log. Whoever may write can take any number of producer ids; above this, those that have been
/// silent for longest and have no open transaction are forgotten as if they had expired.
const MAX_PRODUCERS: usize = 100_000;
/// A transaction marker is a few bytes.
const MARKER_LIMIT_BYTES: usize = 4096;

/// One batch of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProducerBatch {
    pub(super) last_sequence: i32,
    pub(super) last_offset: Offset,
    pub(super) offset_delta: i32,
    pub(super) timestamp: i64,
}

impl ProducerBatch {
    fn of(header: &BatchHeader) -> ProducerBatch {
        ProducerBatch {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        }
    }

    /// A marker that is in the log, instead of one that comes again.
    pub(super) fn marker(at: Offset, again: &BatchHeader) -> ProducerBatch {
        ProducerBatch {
            last_sequence: again.last_sequence(),
            last_offset: at,
            offset_delta: 0,
            timestamp: again.max_timestamp,
        }
    }

    pub(super) fn base_offset(&self) -> Offset {
        self.last_offset + -i64::from(self.offset_delta)
    }
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) epoch: ProducerEpoch,
    /// Oldest first.
    pub(super) batches: VecDeque<ProducerBatch>,
    pub(super) coordinator_epoch: i32,
    /// First offset of the open transaction.
    pub(super) transaction: Option<Offset>,
    pub(super) timestamp: i64,
    /// Wall time of the last append, or of the load: what expiration counts from.
    pub(super) seen_ms: i64,
}

/// A transaction whose marker may still be above the high watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decided {
    first: Offset,
    last: Offset,
}

/// The only record of a marker.
fn marker_of(batch: &Batch) -> Option<Record> {
    batch.records(MARKER_LIMIT_BYTES).ok()?.next()?.ok()
}

/// The epoch of the coordinator that a marker comes from.
pub(super) fn coordinator_epoch(marker: &Batch) -> Option<i32> {
    marker_of(marker)?.coordinator_epoch()
}

/// All producers of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ProducerState {
    pub(super) producers: BTreeMap<ProducerId, Producer>,
    /// First offsets of the open transactions.
    open: BTreeMap<Offset, ProducerId>,
    /// In the order of their markers.
    decided: VecDeque<Decided>,
}

/// What a batch of a producer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequence {
    /// The next one, or of no idempotent producer.
    Next,
    /// One that is already in the log.
    Duplicate(ProducerBatch),
}

impl ProducerState {
    /// Judges a client's batch.
    ///
    /// One of a transaction that has ended is no duplicate: who ends a transaction waits for its batches, so this is either a
    /// request that comes late, whose answer nobody reads, or another record. librdkafka gives a number again when a
    /// record that it has sent is purged by an abort; told of a duplicate, as by Kafka, it would take a record for written
    /// that is not in the log.
    pub(super) fn check(&self, header: &BatchHeader) -> Result<Sequence, Rejected> {
        if !header.has_producer() {
            return Ok(Sequence::Next);
        }
        // A producer that is not known (any more) may begin with any sequence number, as in Kafka: its state may have
        // expired, or its records may have been deleted.
        let Some(producer) = self.producers.get(&header.producer_id) else {
            return Ok(Sequence::Next);
        };
        if header.producer_epoch < producer.epoch {
            return Err(Rejected::InvalidProducerEpoch {
                current: producer.epoch,
                got: header.producer_epoch,
            });
        }
        let out_of_order = |last| Err(Rejected::OutOfOrderSequence { last, got: header.base_sequence });
        if producer.transaction.is_some() && !header.attributes.is_transactional() {
            return Err(Rejected::TransactionIsOpen);
        }
        if header.producer_epoch > producer.epoch {
            return if header.base_sequence == 0 { Ok(Sequence::Next) } else { out_of_order(-1) };
        }
        let same = |batch: &&ProducerBatch| {
            batch.last_sequence == header.last_sequence() && batch.offset_delta == header.last_offset_delta
        };
        if let Some(batch) = producer.batches.iter().find(same) {
            let ended = producer.transaction.is_none_or(|first| batch.last_offset < first);
            if ended && header.attributes.is_transactional() && !planted(Defect::NumbersAcrossTransactions) {
                return Err(Rejected::NotInTransaction);
            }
            return Ok(Sequence::Duplicate(*batch));
        }
        match producer.batches.back() {
            None if header.base_sequence == 0 => Ok(Sequence::Next),
            None => out_of_order(-1),
            Some(last) => {
                let next = if last.last_sequence == i32::MAX { 0 } else { last.last_sequence + 1 };
                if header.base_sequence == next {
                    Ok(Sequence::Next)
                } else {
                    out_of_order(last.last_sequence)
                }
            }
        }
    }

    /// Whether anything of the producer is remembered.
    pub(super) fn knows(&self, id: ProducerId) -> bool {
        self.producers.contains_key(&id)
    }

    /// Whether the producer has a transaction open here under this epoch.
    pub(super) fn has_open(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.producers.get(&id).is_some_and(|p| p.transaction.is_some() && p.epoch == epoch)
    }

    /// Judges a coordinator's marker; the coordinator's epoch. With `strict` it must be of a later epoch than the transaction that it ends; one
    /// that comes again, after the transaction has ended, is let through.
    pub(super) fn check_marker(&self, batch: &Batch, strict: bool) -> Result<i32, Rejected> {
        let header = &batch.header;
        let marker = marker_of(batch).filter(|m| m.control_kind().is_some() && header.count == 1);
        let Some(marker) = marker else {
            return Err(Rejected::InvalidRecord("a control batch is one transaction marker"));
        };
        let got = marker.coordinator_epoch().unwrap_or(-1);
        let Some(producer) = self.producers.get(&header.producer_id) else { return Ok(got) };
        let ends_itself = strict && producer.transaction.is_some() && header.producer_epoch == producer.epoch;
        if header.producer_epoch < producer.epoch || ends_itself {
            return Err(Rejected::InvalidProducerEpoch {
                current: producer.epoch,
                got: header.producer_epoch,
            });
        }
        if got < producer.coordinator_epoch {
            return Err(Rejected::CoordinatorFenced { current: producer.coordinator_epoch, got });
        }
        Ok(got)
    }

    /// Takes in a batch that is in the log at its final place. The aborted transaction, if the batch ends one so.
    pub(super) fn apply(&mut self, batch: &Batch, now_ms: i64) -> Option<AbortedTransaction> {
        let header = &batch.header;
        if !header.has_producer() {
            return None;
        }
        if header.attributes.is_control() {
            return self.apply_marker(batch, now_ms);
        }
        self.apply_data(header, now_ms);
        None
    }

    /// Takes in a batch of records.
    fn apply_data(&mut self, header: &BatchHeader, now_ms: i64) {
        self.make_room_for(header.producer_id);
        let producer = self.producers.entry(header.producer_id).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            batches: VecDeque::with_capacity(REMEMBERED),
            coordinator_epoch: -1,
            transaction: None,
            timestamp: header.max_timestamp,
            seen_ms: now_ms,
        });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        // A coordinator's records in a transaction have no sequence.
        if header.base_sequence >= 0 {
            if producer.batches.len() == REMEMBERED {
                producer.batches.pop_front();
            }
            producer.batches.push_back(ProducerBatch::of(header));
        }
        producer.timestamp = header.max_timestamp;
        producer.seen_ms = now_ms;
        if header.attributes.is_transactional() && producer.transaction.is_none() {
            producer.transaction = Some(header.base_offset);
            self.open.insert(header.base_offset, header.producer_id);
        }
    }

    fn apply_marker(&mut self, batch: &Batch, now_ms: i64) -> Option<AbortedTransaction> {
        let header = &batch.header;
        let marker = marker_of(batch)?;
        let kind = marker.control_kind()?;
        self.make_room_for(header.producer_id);
        let producer = self.producers.entry(header.producer_id).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            batches: VecDeque::new(),
            coordinator_epoch: -1,
            transaction: None,
            timestamp: header.max_timestamp,
            seen_ms: now_ms,
        });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        producer.coordinator_epoch = marker.coordinator_epoch().unwrap_or(producer.coordinator_epoch);
        producer.timestamp = header.max_timestamp;
        producer.seen_ms = now_ms;
        let first = producer.transaction.take()?;
        let last = header.last_offset();
        self.open.remove(&first);
        let last_stable = self.open.keys().next().copied().unwrap_or(last.next());
        self.decided.push_back(Decided { first, last });
        (kind == ControlKind::Abort).then_some(AbortedTransaction {
            producer_id: header.producer_id,
            first,
            last,
            last_stable,
        })
    }

    /// The end of what is decided: below it, every transaction is committed or aborted, and so on all in-sync replicas.
    pub(super) fn last_stable(&self, high_watermark: Offset) -> Offset {
        let undecided = self.open.keys().next().copied();
        let unreplicated =
            self.decided.iter().filter(|decided| decided.last >= high_watermark).map(|decided| decided.first);
        unreplicated.chain(undecided).fold(high_watermark, Offset::min)
    }

    /// Forgets decided transactions whose marker lies below the high watermark.
    pub(super) fn forget_decided(&mut self, high_watermark: Offset) {
        self.decided.retain(|decided| decided.last >= high_watermark);
    }

    /// Forgets which transactions are open.
    pub(super) fn forget_open(&mut self) {
        self.open.clear();
        for producer in self.producers.values_mut() {
            producer.transaction = None;
        }
    }

    /// Forgets producers without an open transaction that have been idle for longer than `idle_ms`.
    pub(super) fn expire(&mut self, now_ms: i64, idle_ms: i64) {
        self.producers.retain(|_, producer| {
            producer.transaction.is_some() || now_ms.saturating_sub(producer.seen_ms) < idle_ms
        });
    }

    /// Before a new producer is remembered: a tenth of the others go when there are too many, so that this is seldom done.
    fn make_room_for(&mut self, id: ProducerId) {
        if self.producers.len() < MAX_PRODUCERS || self.producers.contains_key(&id) {
            return;
        }
        let idle = self.producers.iter().filter(|(_, p)| p.transaction.is_none());
        let mut idle: Vec<(i64, ProducerId)> = idle.map(|(id, p)| (p.seen_ms, *id)).collect();
        idle.sort_unstable();
        for (_, id) in idle.into_iter().take(MAX_PRODUCERS / 10) {
            self.producers.remove(&id);
        }
    }

    /// Puts a producer back as a snapshot has it.
    pub(super) fn restore(&mut self, id: ProducerId, producer: Producer) {
        if let Some(first) = producer.transaction {
            self.open.insert(first, id);
        }
        self.producers.insert(id, producer);
    }

    /// Adds an older batch to what a snapshot knows of its producer (only the last one). Older ones come first.
    pub(super) fn remember_older(&mut self, header: &BatchHeader) {
        let Some(producer) = self.producers.get_mut(&header.producer_id) else {
            return;
        };
        let Some(last) = producer.batches.back() else {
            return;
        };
        if producer.epoch != header.producer_epoch
            || header.attributes.is_control()
            || header.base_sequence < 0
            || header.last_offset() >= last.last_offset
        {
            return;
        }
        let place = producer.batches.len() - 1;
        producer.batches.insert(place, ProducerBatch::of(header));
        if producer.batches.len() > REMEMBERED {
            producer.batches.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::record_batch::{BatchBuilder, BatchIter};

    fn batch(id: i64, transactional: bool) -> Batch {
        let mut builder = BatchBuilder::default().producer(ProducerId(id), ProducerEpoch(0), 0);
        if transactional {
            builder = builder.transactional();
        }
        builder.add(0, None, Some(b"v"), &[]);
        BatchIter::new(builder.build().unwrap()).next().unwrap().unwrap()
    }

    #[test]
    fn a_flood_of_producers_pushes_out_those_that_are_idle_and_none_with_an_open_transaction() {
        let mut state = ProducerState::default();
        state.apply(&batch(0, true), 0);
        state.apply(&batch(1, false), 0);
        let one = batch(2, false);
        let most = i64::try_from(MAX_PRODUCERS).unwrap();
        for id in 2..most + 10 {
            let mut next = one.clone();
            next.header.producer_id = ProducerId(id);
            state.apply(&next, id);
        }
        assert!(state.producers.len() <= MAX_PRODUCERS);
        assert!(state.has_open(ProducerId(0), ProducerEpoch(0)));
        assert!(!state.producers.contains_key(&ProducerId(1)), "the longest idle");
        assert!(state.producers.len() > MAX_PRODUCERS * 4 / 5, "most are remembered");
        assert!(state.producers.contains_key(&ProducerId(most + 9)));
        assert!(matches!(state.check(&batch(most + 9, false).header), Ok(Sequence::Duplicate(_))));
    }
}
