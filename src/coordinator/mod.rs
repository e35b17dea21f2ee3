//! Group coordination: consumer groups (classic protocol) and their committed offsets.
//!
//! A group lives in one partition of `__consumer_offsets`, and the leader of that partition is its coordinator.
//! [`group::GroupShard`] is the pure state machine of all groups of one partition: it decides records and replies.
//! [`Coordinators`] runs one shard for each partition this broker leads: it loads the shard by replaying the
//! partition, appends what the shard decides, and lets a reply go only when its records are committed.

mod config;
pub mod group;
mod load;
mod log;
pub mod record;
pub mod records;
mod runtime;
#[cfg(test)]
mod runtime_tests;
mod shard_task;

pub use config::{GroupConfig, InvalidGroupConfig};
pub use log::{PartitionLog, PartitionLogError};
pub use runtime::{Ask, CoordinatorError, Coordinators};
