//! One partition's log on the local disk, in Kafka's own format: segments, indexes, producers, leader epochs.
//!
//! Everything here is synchronous; the owner of a `Log` puts it behind a lock. What needs no lock is handed out as a
//! value: a `LogSlice` reads, a `FlushJob` fsyncs, a `Removal` deletes, all without the log.
//!
//! ```text
//! log start ≤ local start ≤ flushed end ≤ log end        (below local start only the cold tier has the data)
//! ```
//!
//! Rules: an offset is never reused within an epoch, so a failed write stops appends until a new epoch; a failed
//! fsync is never retried as success; recovery cuts a torn tail and nothing else.

mod config;
mod epoch_cache;
mod error;
mod face;

pub use config::{CleanupPolicy, ConfigError, LogConfig};
pub use epoch_cache::{EpochCache, EpochEntry};
pub use error::{LogError, Rejected};
pub use face::*;
