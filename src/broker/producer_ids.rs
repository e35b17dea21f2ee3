//! Producer ids for idempotent producers (KIP-98): blocks come from the metadata quorum, ids are handed out locally.

use parking_lot::Mutex;

use super::Broker;
use crate::metadata::{Command, CommandReply, SubmitError};
use crate::types::{ProducerEpoch, ProducerId};

/// Ids of one block (KIP-730 uses the same size).
const BLOCK: i32 = 1_000;

/// What is left of this broker's block.
#[derive(Debug, Default)]
pub(super) struct ProducerIds {
    left: Mutex<std::ops::Range<i64>>,
}

impl ProducerIds {
    /// The next one that is not below `first`.
    fn take(&self, first: i64) -> Option<ProducerId> {
        self.left.lock().find(|id| *id >= first).map(ProducerId)
    }
}

impl Broker {
    /// A producer id that nobody has had, with epoch 0.
    ///
    /// # Errors
    /// When the metadata quorum does not answer.
    pub async fn init_producer_id(&self) -> Result<(ProducerId, ProducerEpoch), SubmitError> {
        loop {
            // After a restore nobody is given an id of a life before, nor of what is left of a block of before.
            let first = self.first_producer_id().0;
            if let Some(id) = self.producer_ids.take(first) {
                return Ok((id, ProducerEpoch(0)));
            }
            if self.image().next_producer_id < first {
                self.metadata.submit(Command::ReserveProducerIds { below: first }).await?;
            }
            let command = Command::AllocateProducerIds {
                broker: self.config.node_id,
                epoch: self.metadata.broker_epoch(),
                count: BLOCK,
            };
            if let CommandReply::ProducerIds(first) = self.metadata.submit(command).await? {
                // A race of two requests wastes at most a block; ids need not be dense.
                *self.producer_ids.left.lock() = first.0..first.0 + i64::from(BLOCK);
            }
        }
    }
}
