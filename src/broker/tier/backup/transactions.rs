//! Transactional ids in the backup: a line for each.
//!
//! Each line is as its coordinator's log had it, committed. What other partitions and the tier held at that moment is not known, so
//! only what stays true is concluded from it: which transaction was committed for good ([`TransactionBackup::committed`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::parts::{Line, PartError, PartWriter};
use crate::broker::EPOCH_PER_TRANSACTION;
use crate::coordinator::txn::{ReadTransactions, Transaction, TransactionCoordinators, TxnState};
use crate::types::ProducerId;

/// So many ids are asked for at once.
const PAGE: usize = 1000;
/// The last epoch that a client is given under one producer id.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// A transactional id as its coordinator knew it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionBackup {
    /// The transactional id.
    pub id: String,
    /// Its producer id.
    pub producer_id: i64,
    /// The one before, whose epochs ran out; −1 without one.
    pub previous_producer_id: i64,
    /// The newest epoch.
    pub epoch: i16,
    /// How long a transaction may stay open, in milliseconds.
    pub timeout_ms: i32,
    /// Kafka's name of the state.
    pub state: String,
    /// The transaction version of its client.
    pub client_version: i16,
    /// What the transaction has touched, if it has not come to its end.
    pub partitions: BTreeMap<String, Vec<i32>>,
}

impl TransactionBackup {
    fn of(id: &str, value: &Transaction) -> TransactionBackup {
        let mut partitions: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for partition in &value.partitions {
            partitions.entry(partition.topic.to_string()).or_default().push(partition.partition);
        }
        TransactionBackup {
            id: id.to_owned(),
            producer_id: value.producer_id.0,
            previous_producer_id: value.previous_producer_id.0,
            epoch: value.epoch.0,
            timeout_ms: value.timeout_ms,
            state: value.state.name().to_owned(),
            client_version: value.client_version,
            partitions,
        }
    }

    /// Producer id and epoch of the batches of a transaction that was committed, as far as this tells it.
    ///
    /// Only with an epoch for each transaction: a client that keeps its epoch may have left a transaction before the decision open
    /// in this partition's tier, or begun another one since the backup, and both look the same.
    #[must_use]
    pub fn committed(&self) -> Option<(ProducerId, i16)> {
        let is_decided = [TxnState::PrepareCommit, TxnState::CompleteCommit].map(TxnState::name);
        if !is_decided.contains(&self.state.as_str()) || self.client_version < EPOCH_PER_TRANSACTION {
            return None;
        }
        match self.epoch {
            // The decision has raised the epoch by one, or used the id up.
            0 if self.previous_producer_id >= 0 => Some((ProducerId(self.previous_producer_id), LAST_EPOCH)),
            0 => None,
            epoch => Some((ProducerId(self.producer_id), epoch - 1)),
        }
    }
}

impl Line for TransactionBackup {
    fn name(&self) -> &str {
        &self.id
    }

    fn entries(&self) -> usize {
        self.partitions.values().map(Vec::len).sum()
    }
}

/// The transactional ids of a partition.
pub(super) async fn write(
    coordinators: &TransactionCoordinators,
    writer: &mut PartWriter<'_>,
    partition: i32,
    epoch: i32,
) -> Result<(), PartError> {
    let mut above = None;
    loop {
        let page = coordinators.ask(partition, ReadTransactions { above, limit: PAGE }).await?;
        for (id, value) in &page {
            writer.add(partition, epoch, &TransactionBackup::of(id, value)).await?;
        }
        match page.last() {
            Some((last, _)) => above = Some(last.clone()),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = r#"{"id":"a","producer_id":7,"previous_producer_id":-1,"epoch":4,"timeout_ms":60000,"state":"PrepareCommit","client_version":2,"partitions":{"t":[0,2]}}"#;

    fn golden() -> TransactionBackup {
        serde_json::from_str(GOLDEN).unwrap()
    }

    #[test]
    fn the_words_of_a_transactional_id_stay() {
        assert_eq!(serde_json::to_string(&golden()).unwrap(), GOLDEN);
        assert_eq!(golden().entries(), 2);
    }

    #[test]
    fn only_what_was_decided_under_an_epoch_of_its_own_is_known_to_be_committed() {
        let committed = |change: &dyn Fn(&mut TransactionBackup)| {
            let mut backup = golden();
            change(&mut backup);
            backup.committed().map(|(id, epoch)| (id.0, epoch))
        };
        assert_eq!(committed(&|_| {}), Some((7, 3)));
        assert_eq!(committed(&|b| b.state = "CompleteCommit".into()), Some((7, 3)));
        for state in ["Empty", "Ongoing", "PrepareAbort", "CompleteAbort"] {
            assert_eq!(committed(&|b| b.state = state.into()), None, "{state}");
        }
        assert_eq!(committed(&|b| b.client_version = 1), None, "it keeps its epoch");
        let used_up = |b: &mut TransactionBackup| (b.epoch, b.previous_producer_id) = (0, 5);
        assert_eq!(committed(&used_up), Some((5, LAST_EPOCH)));
        assert_eq!(committed(&|b| b.epoch = 0), None);
    }
}
