//! Settings of the transaction coordinator, under Kafka's names and with Kafka's defaults.

use std::time::Duration;

/// What bounds transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnConfig {
    /// `transaction.max.timeout.ms`: the longest time that a client may ask for, in milliseconds.
    pub max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`: an idle transactional id is forgotten after this, in milliseconds.
    pub id_expiration_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`
    pub expiry_check_interval: Duration,
    /// `transaction.state.log.load.buffer.size`: bytes of one read while a partition is loaded.
    pub load_buffer_bytes: usize,
    /// How long a write that the log refuses for now is tried again.
    pub commit_timeout: Duration,
    /// The largest batch the coordinator appends; one record larger than this is refused.
    pub max_batch_bytes: usize,
    /// Transactional ids kept by one shard: one more is refused.
    pub max_ids: usize,
}

impl Default for TxnConfig {
    fn default() -> Self {
        TxnConfig {
            max_timeout_ms: 900_000,
            id_expiration_ms: 604_800_000,
            expiry_check_interval: Duration::from_secs(3600),
            load_buffer_bytes: 5 * 1024 * 1024,
            commit_timeout: Duration::from_secs(5),
            max_batch_bytes: 1_000_000,
            max_ids: 100_000,
        }
    }
}
