//! What a fetch asks of the cold tier. The driver in `tier` implements it; without a store there is none.

use futures::future::BoxFuture;

use super::offsets::ListedOffset;
use crate::types::{Offset, ProducerId, TopicId, TopicPartition};
use crate::wire::Records;

/// The cold tier did not give what was asked; asking again later may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ColdError(pub String);

/// Reads of one broker from the cold tier. Every future is bounded in time and memory by the implementation, and what
/// it gives was checked against its checksum.
pub trait ColdTier: Send + Sync + 'static {
    /// Chunks of whole batches from the one that holds `from`, about `max_bytes` but at least one batch; empty when the tier ends
    /// at or below `from`.
    fn read(
        &self,
        partition: &TopicPartition,
        topic: TopicId,
        from: Offset,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Records, ColdError>>;

    /// The first record at or after `timestamp` (ms) in the tier at or above `log_start`.
    fn offset_for_timestamp(
        &self,
        partition: &TopicPartition,
        topic: TopicId,
        log_start: Offset,
        timestamp: i64,
    ) -> BoxFuture<'static, Result<Option<ListedOffset>, ColdError>>;

    /// The record with the largest timestamp in the tier at or above `log_start`.
    fn max_timestamp(
        &self,
        partition: &TopicPartition,
        topic: TopicId,
        log_start: Offset,
    ) -> BoxFuture<'static, Result<Option<ListedOffset>, ColdError>>;

    /// The aborted transactions with records in `from..to` whose markers are in the tier.
    fn aborted_transactions(
        &self,
        partition: &TopicPartition,
        topic: TopicId,
        from: Offset,
        to: Offset,
    ) -> BoxFuture<'static, Result<AbortedInTier, ColdError>>;
}

/// Aborted transactions whose markers are in the tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbortedInTier {
    /// Producer and first offset of each.
    pub found: Vec<(ProducerId, Offset)>,
    /// Where markers may follow in the local log; `None` when these are all.
    pub goes_on_at: Option<Offset>,
}
