//! What the transaction APIs share.

use crate::broker::NotJoined;
use crate::types::{TopicName, TopicPartition};
use crate::wire::{ErrorCode, StrBytes};

/// PRODUCER_FENCED is known to clients from some version of each API on; before, they are told INVALID_PRODUCER_EPOCH
/// (KIP-588).
pub(super) fn fenced_before(since: i16, version: i16, code: ErrorCode) -> ErrorCode {
    if code == ErrorCode::PRODUCER_FENCED && version < since {
        ErrorCode::INVALID_PRODUCER_EPOCH
    } else {
        code
    }
}

/// Kafka's code for a partition that is not part of a transaction, for what a producer writes.
///
/// A client that does not try again after what may pass is told an error after which it does (as from Kafka).
pub(super) fn not_joined(error: NotJoined, knows_abortable: bool, knows_concurrent: bool) -> ErrorCode {
    match error {
        NotJoined::NotInTransaction if knows_abortable => ErrorCode::TRANSACTION_ABORTABLE,
        NotJoined::NotInTransaction => ErrorCode::INVALID_TXN_STATE,
        NotJoined::Fenced => ErrorCode::INVALID_PRODUCER_EPOCH,
        NotJoined::InvalidMapping => ErrorCode::INVALID_PRODUCER_ID_MAPPING,
        NotJoined::Concurrent if knows_concurrent => ErrorCode::CONCURRENT_TRANSACTIONS,
        NotJoined::Concurrent | NotJoined::Unavailable => ErrorCode::NOT_ENOUGH_REPLICAS,
        NotJoined::InvalidId => ErrorCode::INVALID_REQUEST,
        NotJoined::TooManyPartitions => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}

/// A topic as a client names it, and its partitions; none where the name cannot be.
pub(super) type NamedPartitions = (StrBytes, Vec<(i32, Option<TopicPartition>)>);

/// Topics with their partitions, as names that can be.
pub(super) fn partitions_of<'a>(
    topics: impl IntoIterator<Item = (&'a StrBytes, &'a Vec<i32>)>,
) -> Vec<NamedPartitions> {
    topics
        .into_iter()
        .map(|(name, indexes)| {
            let topic = TopicName::new(name).ok();
            let partition = |index: &i32| (*index, topic.clone().map(|t| TopicPartition::new(t, *index)));
            (name.clone(), indexes.iter().map(partition).collect())
        })
        .collect()
}
