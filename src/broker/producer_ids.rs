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
    fn take(&self) -> Option<ProducerId> {
        self.left.lock().next().map(ProducerId)
    }
}

impl Broker {
    /// A producer id that nobody has had, with epoch 0.
    ///
    /// # Errors
    /// When the metadata quorum does not answer.
    pub async fn init_producer_id(&self) -> Result<(ProducerId, ProducerEpoch), SubmitError> {
        loop {
            if let Some(id) = self.producer_ids.take() {
                return Ok((id, ProducerEpoch(0)));
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
