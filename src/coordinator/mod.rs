//! Coordination: groups (of the classic and of the consumer protocol) with their committed offsets, and transactions.
//!
//! A group lives in one partition of `__consumer_offsets`, a transactional id in one of `__transaction_state`, and the
//! leader of that partition is the coordinator. [`group::GroupShard`] and [`txn::TxnShard`] are the pure state machines
//! of all that lives in one partition: they decide records, replies and tasks. [`Coordinators`] and
//! [`txn::TransactionCoordinators`] run one shard for each partition this broker leads: they load the shard by replaying
//! the partition, append what the shard decides, and let a reply go only when its records are committed.

#[cfg(test)]
mod compacted;
mod config;
pub mod consumer_record;
pub mod group;
mod load;
mod log;
pub mod record;
pub mod records;
mod runtime;
#[cfg(test)]
mod runtime_tests;
pub mod shard;
mod shard_task;
mod shards;
mod topics;
pub mod txn;

pub use config::{GroupConfig, InvalidGroupConfig};
pub use log::{PartitionLog, PartitionLogError};
pub use runtime::{Ask, CoordinatorError, Coordinators};
pub use shard::{Marker, Producer};
pub use shards::Leadership;
pub use topics::{CatalogTopic, TopicCatalog, TopicFilter};
