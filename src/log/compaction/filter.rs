//! What stays of one batch.

use std::collections::BTreeMap;

use super::offset_map::OffsetMap;
use super::transactions::{Marker, Transactions};
use crate::log::producer_state::Producer;
use crate::log::txn_index::AbortedTransaction;
use crate::types::{Offset, ProducerEpoch, ProducerId};
use crate::wire::record_batch::{Batch, BatchError, Record, Retained};

/// Bound on the decompressed records of one batch. A larger one stays as it is: its keys are not known.
pub(super) const RECORDS_LIMIT_BYTES: usize = 64 << 20;

/// What a pass goes by.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) now_ms: i64,
    pub(super) delete_retention_ms: i64,
    /// Of the producers that are remembered.
    pub(super) last_of: BTreeMap<ProducerId, LastBatch>,
    /// End of what is in the table of keys.
    pub(super) mapped: Offset,
    #[cfg(test)]
    pub(super) defect: Option<Defect>,
}

/// Rules that a test may break, to see that it notices.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) enum Defect {
    /// What is superseded stays.
    OlderRecordsStay,
    /// The first record of a key stays, not the last.
    LaterRecordsGo,
    /// A tombstone goes when it is first met.
    TombstonesGoAtOnce,
    /// A tombstone goes, and what it deleted stays.
    TombstonesGoAlone,
    /// Records of aborted transactions are kept as if they had been committed.
    AbortedRecordsStay,
}

/// What must stay of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastBatch {
    /// The batch with its last sequence number ends here.
    Data(Offset),
    /// There is only a marker of this epoch.
    Marker(ProducerEpoch),
}

impl LastBatch {
    pub(super) fn of(producer: &Producer) -> LastBatch {
        match producer.batches.back() {
            Some(last) => LastBatch::Data(last.last_offset),
            None => LastBatch::Marker(producer.epoch),
        }
    }
}

/// What to do with a batch.
#[derive(Debug)]
pub(super) enum Fate {
    /// It stays as it is; whether it may grow over what goes after it.
    Stays { may_reach: bool },
    /// This stays of it.
    Becomes { batch: Batch, may_reach: bool },
    /// Nothing stays.
    Goes,
}

impl Rules {
    /// Judges a batch; also an aborted transaction whose marker stays, for the index.
    pub(super) fn judge(
        &self,
        batch: &Batch,
        map: &OffsetMap,
        transactions: &mut Transactions,
    ) -> Result<(Fate, Option<AbortedTransaction>), BatchError> {
        let header = &batch.header;
        if header.attributes.is_control() {
            return self.judge_marker(batch, transactions.meet_marker(batch));
        }
        let is_last = self.last_of.get(&header.producer_id) == Some(&LastBatch::Data(header.last_offset()));
        let is_aborted = transactions.meet_data(batch);
        #[cfg(test)]
        let is_aborted = is_aborted && self.defect != Some(Defect::AbortedRecordsStay);
        let retained = if is_aborted {
            Retained::Nothing
        } else {
            // The bytes are as they were written. Where a client has written nonsense that no reader can walk, or not
            // within the bound, no key is known, and all stays.
            let tombstone_horizon = |tombstones: bool| tombstones.then_some(self.horizon_ms());
            batch
                .retain(RECORDS_LIMIT_BYTES, |record| self.stays(batch, record, map), tombstone_horizon)
                .unwrap_or(Retained::Whole)
        };
        let fate = match retained {
            Retained::Whole => Fate::Stays { may_reach: !is_last },
            Retained::Rewritten(batch) => Fate::Becomes { batch, may_reach: !is_last },
            Retained::Nothing if is_last && header.has_producer() => {
                if header.count == 0 {
                    Fate::Stays { may_reach: false }
                } else {
                    Fate::Becomes { batch: batch.emptied()?, may_reach: false }
                }
            }
            Retained::Nothing => Fate::Goes,
        };
        Ok((fate, None))
    }

    fn judge_marker(
        &self,
        batch: &Batch,
        marker: Marker,
    ) -> Result<(Fate, Option<AbortedTransaction>), BatchError> {
        let header = &batch.header;
        let stays = Fate::Stays { may_reach: false };
        if let Marker::Needed(transaction) = marker {
            return Ok((stays, transaction));
        }
        let fences = self.last_of.get(&header.producer_id) == Some(&LastBatch::Marker(header.producer_epoch));
        let fate = match header.delete_horizon_ms() {
            _ if header.count == 0 => Fate::Goes,
            Some(horizon) if horizon <= self.now_ms && !fences => Fate::Goes,
            Some(_) => stays,
            None => match batch.retain(RECORDS_LIMIT_BYTES, |_| true, |_| Some(self.horizon_ms()))? {
                Retained::Rewritten(batch) => Fate::Becomes { batch, may_reach: false },
                Retained::Whole | Retained::Nothing => stays,
            },
        };
        Ok((fate, None))
    }

    fn stays(&self, batch: &Batch, record: &Record, map: &OffsetMap) -> bool {
        if record.offset >= self.mapped {
            return true;
        }
        let Some(key) = &record.key else {
            return false;
        };
        let is_latest = map.get(key).is_none_or(|last| record.offset >= last);
        #[cfg(test)]
        match self.defect {
            Some(Defect::OlderRecordsStay) => return true,
            Some(Defect::LaterRecordsGo) => return map.get(key).is_none_or(|last| record.offset < last),
            Some(Defect::TombstonesGoAtOnce) => return is_latest && record.value.is_some(),
            Some(Defect::TombstonesGoAlone) => return record.value.is_some(),
            _ => {}
        }
        let horizon = batch.header.delete_horizon_ms();
        is_latest && (record.value.is_some() || horizon.is_none_or(|horizon| self.now_ms < horizon))
    }

    fn horizon_ms(&self) -> i64 {
        self.now_ms.saturating_add(self.delete_retention_ms)
    }
}
