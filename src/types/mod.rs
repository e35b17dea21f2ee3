//! Ids, offsets and epochs: the newtypes that every other room speaks.
//!
//! An *end* is exclusive everywhere: a log with records 0..=9 has end offset 10.

mod ids;
mod names;
mod positions;

pub use ids::{BrokerEpoch, BrokerId, DirectoryId, Incarnation, ProducerEpoch, ProducerId, TopicId};
pub use names::{InvalidTopicName, TopicName, TopicPartition};
pub use positions::{Decision, LeaderEpoch, Offset, PartitionEpoch};
