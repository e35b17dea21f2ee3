//! What the APIs of the coordinators share: which error code says why they refused.

use super::Context;
use super::errors::ApiError;
use crate::broker::Broker;
use crate::coordinator::group::{GroupError, Membership};
use crate::coordinator::txn::TxnError;
use crate::coordinator::{Ask, CoordinatorError};
use crate::metadata::{AclOperation, ResourceKind};
use crate::wire::{ErrorCode, StrBytes};

/// The feature that switches groups of the consumer protocol on.
const GROUP_VERSION: &str = "group.version";

/// Refuses unless the client may read the group: members and who commits offsets must.
pub(super) fn may_read(context: &Context, group: &str) -> Result<(), ErrorCode> {
    context.check(AclOperation::Read, ResourceKind::Group, group)
}

/// Kafka's code for a refusal.
pub(super) fn code(error: &CoordinatorError) -> ErrorCode {
    match error {
        CoordinatorError::NotCoordinator => ErrorCode::NOT_COORDINATOR,
        CoordinatorError::Loading => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        CoordinatorError::NotAvailable => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        CoordinatorError::Group(error) => group_code(error),
        CoordinatorError::Transaction(error) => txn_code(error),
    }
}

/// Kafka's code for a refusal by the group itself.
pub(super) fn group_code(error: &GroupError) -> ErrorCode {
    match error {
        GroupError::InvalidGroupId => ErrorCode::INVALID_GROUP_ID,
        GroupError::NameTooLong => ErrorCode::INVALID_REQUEST,
        GroupError::InvalidSessionTimeout => ErrorCode::INVALID_SESSION_TIMEOUT,
        GroupError::InconsistentProtocol => ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        GroupError::UnknownMember => ErrorCode::UNKNOWN_MEMBER_ID,
        GroupError::FencedInstance => ErrorCode::FENCED_INSTANCE_ID,
        GroupError::IllegalGeneration => ErrorCode::ILLEGAL_GENERATION,
        GroupError::RebalanceInProgress => ErrorCode::REBALANCE_IN_PROGRESS,
        GroupError::MemberIdRequired(_) => ErrorCode::MEMBER_ID_REQUIRED,
        GroupError::GroupFull => ErrorCode::GROUP_MAX_SIZE_REACHED,
        GroupError::TooManyGroups => ErrorCode::POLICY_VIOLATION,
        // As Kafka, where the record of the generation exceeds the topic's limit.
        GroupError::MetadataTooLarge => ErrorCode::UNKNOWN_SERVER_ERROR,
        GroupError::OffsetMetadataTooLarge => ErrorCode::OFFSET_METADATA_TOO_LARGE,
        GroupError::GroupNotFound | GroupError::OtherProtocol => ErrorCode::GROUP_ID_NOT_FOUND,
        GroupError::FencedMemberEpoch => ErrorCode::FENCED_MEMBER_EPOCH,
        GroupError::StaleMemberEpoch => ErrorCode::STALE_MEMBER_EPOCH,
        GroupError::UnreleasedInstance(_) => ErrorCode::UNRELEASED_INSTANCE_ID,
        GroupError::UnsupportedAssignor(_) => ErrorCode::UNSUPPORTED_ASSIGNOR,
        GroupError::InvalidRegex(_) => ErrorCode::INVALID_REGULAR_EXPRESSION,
        GroupError::VersionTooOld => ErrorCode::UNSUPPORTED_VERSION,
        GroupError::GroupNotEmpty => ErrorCode::NON_EMPTY_GROUP,
        GroupError::SubscribedToTopic => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
        // The client asks again, and the transaction's coordinator says what has become of it.
        GroupError::TransactionEnded => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        GroupError::MarkerOfOtherEpoch => ErrorCode::NOT_COORDINATOR,
        GroupError::MarkerFenced => ErrorCode::INVALID_PRODUCER_EPOCH,
        GroupError::CoordinatorFenced => ErrorCode::TRANSACTION_COORDINATOR_FENCED,
    }
}

/// Kafka's code for a refusal by the transaction coordinator.
fn txn_code(error: &TxnError) -> ErrorCode {
    match error {
        TxnError::InvalidId => ErrorCode::INVALID_REQUEST,
        TxnError::InvalidTimeout => ErrorCode::INVALID_TRANSACTION_TIMEOUT,
        TxnError::InvalidMapping => ErrorCode::INVALID_PRODUCER_ID_MAPPING,
        TxnError::Fenced => ErrorCode::PRODUCER_FENCED,
        TxnError::Concurrent => ErrorCode::CONCURRENT_TRANSACTIONS,
        TxnError::InvalidState(_) => ErrorCode::INVALID_TXN_STATE,
        TxnError::NotFound => ErrorCode::TRANSACTIONAL_ID_NOT_FOUND,
        TxnError::TooManyIds => ErrorCode::POLICY_VIOLATION,
        // As Kafka, where the record of the transaction exceeds the topic's limit.
        TxnError::TooManyPartitions => ErrorCode::UNKNOWN_SERVER_ERROR,
        TxnError::NeedsProducerId | TxnError::NotHeld => ErrorCode::COORDINATOR_NOT_AVAILABLE,
    }
}

/// Asks the coordinator of a group.
pub(super) async fn ask<A: Ask>(
    broker: &Broker,
    group: &str,
    question: A,
) -> Result<A::Answer, CoordinatorError> {
    let partition = broker.group_partition(group).ok_or(CoordinatorError::NotCoordinator)?;
    broker.coordinators().ask(partition, question).await
}

/// Who speaks, copied out of the frame.
pub(super) fn membership(
    group: &StrBytes,
    member: &StrBytes,
    instance: Option<&StrBytes>,
    generation: i32,
) -> Membership {
    Membership {
        group: (&**group).into(),
        member_id: text(member),
        instance_id: instance.map(text),
        generation,
    }
}

/// A text in memory of its own: the coordinator's state must not keep frames alive.
pub(super) fn text(text: &StrBytes) -> String {
    text.as_str().to_owned()
}

/// Refuses while `group.version` is below 1: then there are no groups of the consumer protocol (KIP-848).
pub(super) fn refuse_without_consumer_groups(broker: &Broker) -> Result<(), ApiError> {
    if broker.image().features.get(GROUP_VERSION).is_some_and(|level| *level >= 1) {
        return Ok(());
    }
    let text = "The broker does not support the new consumer group protocol: group.version is 0.";
    Err(ApiError::new(ErrorCode::UNSUPPORTED_VERSION, text))
}
