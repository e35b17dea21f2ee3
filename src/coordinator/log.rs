//! The seam to the partition of `__consumer_offsets` that a shard lives in. The broker implements it.

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::types::{LeaderEpoch, Offset};

/// One partition of `__consumer_offsets` under one leader epoch of this broker.
///
/// ```text
///  start ──────────── high watermark ──────── end
///    │    committed          │   may be lost   │
/// ```
///
/// What must hold: `start ≤ high_watermark ≤ end`; bytes below the high watermark never change; once `append`
/// has returned an end, the high watermark is at or above it.
pub trait PartitionLog: Send + Sync + 'static {
    /// Appends one record batch with acks=all; answers the end offset behind it once the high watermark is there.
    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<Offset, PartitionLogError>>;

    /// Whole batches from the one that holds `from`, up to the log's end (not only to the high watermark), at
    /// least one batch however large; empty exactly at the end.
    fn read(&self, from: Offset, max_bytes: usize) -> BoxFuture<'static, Result<Bytes, PartitionLogError>>;

    /// Completes when the high watermark has reached `end`.
    fn committed(&self, end: Offset) -> BoxFuture<'static, Result<(), PartitionLogError>>;

    /// The first offset that is kept.
    fn start(&self) -> Offset;

    /// Behind the last record.
    fn end(&self) -> Offset;

    /// Behind the last committed record.
    fn high_watermark(&self) -> Offset;

    /// The epoch this broker leads under.
    fn leader_epoch(&self) -> LeaderEpoch;

    /// Whether this broker still leads under that epoch and its lease holds. A coordinator that no longer leads
    /// must not answer from its memory.
    fn leads(&self) -> bool;

    /// Whether the quorum's time is known and this broker's wall clock agrees with it. Nothing expires before.
    fn clock_is_right(&self) -> bool;
}

/// Why the partition did not take or give records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartitionLogError {
    /// Another broker leads, or the lease has run out.
    #[error("this broker does not lead the partition")]
    NotLeader,
    /// Too few replicas are in sync; nothing was written, and the same batch may be tried again.
    #[error("not enough replicas in sync; nothing was written")]
    NotEnoughReplicas,
    /// The batch may be in the log, but its commit was not seen in time.
    #[error("the batch was not committed in time")]
    NotCommitted,
    /// The batch is larger than the topic takes; nothing was written.
    #[error("the batch is too large for the topic")]
    TooLarge,
    /// The storage failed.
    #[error("storage: {0}")]
    Storage(String),
}
