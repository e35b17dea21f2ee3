//! Kafka's error codes for what the rooms below say.

use crate::broker::{
    DeleteRecordsError, ElectionError, FetchError, ListError, ProduceError, ReassignError, Rejected,
    TopicError,
};
use crate::types::{BrokerId, InvalidTopicName, LeaderEpoch};
use crate::wire::ErrorCode;
use crate::wire::record_batch::BatchError;

/// Something that has a code on the wire.
pub(super) trait Coded: std::fmt::Display {
    /// The code.
    fn code(&self) -> ErrorCode;

    /// The text that goes with it, where a version has a place for one.
    fn text(&self) -> String {
        self.to_string()
    }
}

impl Coded for InvalidTopicName {
    fn code(&self) -> ErrorCode {
        ErrorCode::INVALID_TOPIC_EXCEPTION
    }
}

impl Coded for Rejected {
    fn code(&self) -> ErrorCode {
        match self {
            // Only what a transfer can have done to the bytes is worth another try.
            Rejected::Corrupt(BatchError::Crc { .. } | BatchError::Length(_) | BatchError::Magic(_)) => {
                ErrorCode::CORRUPT_MESSAGE
            }
            Rejected::Corrupt(_) => ErrorCode::INVALID_RECORD,
            Rejected::TooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
            Rejected::AboveSegment { .. } => ErrorCode::RECORD_LIST_TOO_LARGE,
            Rejected::InvalidRecord(_) => ErrorCode::INVALID_RECORD,
            Rejected::InvalidTimestamp { .. } => ErrorCode::INVALID_TIMESTAMP,
            Rejected::OutOfOrderSequence { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            Rejected::InvalidProducerEpoch { .. } => ErrorCode::INVALID_PRODUCER_EPOCH,
            Rejected::NotInTransaction | Rejected::TransactionIsOpen => ErrorCode::INVALID_TXN_STATE,
            Rejected::MarkerOfOtherEpoch { .. } => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            Rejected::CoordinatorFenced { .. } => ErrorCode::TRANSACTION_COORDINATOR_FENCED,
        }
    }
}

impl Coded for ProduceError {
    fn code(&self) -> ErrorCode {
        match self {
            ProduceError::UnknownTopic => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ProduceError::UnknownTopicId => ErrorCode::UNKNOWN_TOPIC_ID,
            ProduceError::Internal => ErrorCode::INVALID_TOPIC_EXCEPTION,
            ProduceError::NotLeader { .. } => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ProduceError::NotEnoughReplicas => ErrorCode::NOT_ENOUGH_REPLICAS,
            ProduceError::NotEnoughReplicasAfterAppend => ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            ProduceError::TimedOut => ErrorCode::REQUEST_TIMED_OUT,
            ProduceError::Rejected(why) => why.code(),
            ProduceError::NoTransactionalId => ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            ProduceError::NotJoined(why) => super::transactions::not_joined(*why, true, true),
            ProduceError::Storage(_) => ErrorCode::KAFKA_STORAGE_ERROR,
        }
    }
}

impl Coded for FetchError {
    fn code(&self) -> ErrorCode {
        match self {
            FetchError::UnknownTopic => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            FetchError::UnknownTopicId => ErrorCode::UNKNOWN_TOPIC_ID,
            FetchError::InconsistentTopicId => ErrorCode::INCONSISTENT_TOPIC_ID,
            FetchError::NotLeader { .. } => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            FetchError::FencedLeaderEpoch { .. } => ErrorCode::FENCED_LEADER_EPOCH,
            FetchError::UnknownLeaderEpoch => ErrorCode::UNKNOWN_LEADER_EPOCH,
            FetchError::OffsetOutOfRange => ErrorCode::OFFSET_OUT_OF_RANGE,
            // Both are retriable at every client; the record is there, this broker cannot give it now.
            FetchError::Tier(_) | FetchError::Storage(_) | FetchError::DiskHangs => {
                ErrorCode::KAFKA_STORAGE_ERROR
            }
        }
    }
}

impl Coded for ListError {
    fn code(&self) -> ErrorCode {
        match self {
            ListError::Fetch(error) => error.code(),
            ListError::NotAvailable => ErrorCode::OFFSET_NOT_AVAILABLE,
        }
    }
}

impl Coded for DeleteRecordsError {
    fn code(&self) -> ErrorCode {
        match self {
            DeleteRecordsError::Fetch(error) => error.code(),
            DeleteRecordsError::Internal(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
            DeleteRecordsError::Policy(_) => ErrorCode::POLICY_VIOLATION,
            DeleteRecordsError::TimedOut | DeleteRecordsError::TierTimedOut => ErrorCode::REQUEST_TIMED_OUT,
        }
    }
}

impl Coded for TopicError {
    fn code(&self) -> ErrorCode {
        match self {
            TopicError::Exists(_) => ErrorCode::TOPIC_ALREADY_EXISTS,
            TopicError::Unknown(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            TopicError::InvalidPartitions(_) => ErrorCode::INVALID_PARTITIONS,
            TopicError::InvalidReplicationFactor(_) => ErrorCode::INVALID_REPLICATION_FACTOR,
            TopicError::InvalidAssignment(_) => ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            TopicError::InvalidConfig(_) => ErrorCode::INVALID_CONFIG,
            TopicError::Internal(_) | TopicError::Collides(..) => ErrorCode::INVALID_TOPIC_EXCEPTION,
            TopicError::DeletionDisabled => ErrorCode::TOPIC_DELETION_DISABLED,
            TopicError::Unavailable(_) => ErrorCode::REQUEST_TIMED_OUT,
        }
    }
}

impl Coded for ElectionError {
    fn code(&self) -> ErrorCode {
        match self {
            ElectionError::UnknownPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ElectionError::NotNeeded => ErrorCode::ELECTION_NOT_NEEDED,
            ElectionError::PreferredNotAvailable => ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE,
            ElectionError::NobodyEligible(_) => ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE,
            ElectionError::Unavailable(_) => ErrorCode::REQUEST_TIMED_OUT,
        }
    }
}

impl Coded for ReassignError {
    fn code(&self) -> ErrorCode {
        match self {
            ReassignError::UnknownPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ReassignError::NotUnderWay => ErrorCode::NO_REASSIGNMENT_IN_PROGRESS,
            ReassignError::InvalidReplicas(_) => ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            ReassignError::OtherFactor { .. } => ErrorCode::INVALID_REPLICATION_FACTOR,
            ReassignError::Unavailable(_) => ErrorCode::REQUEST_TIMED_OUT,
        }
    }
}

/// A code with its text, for what only the API itself can say.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub(super) struct ApiError {
    pub code: ErrorCode,
    pub text: String,
}

impl ApiError {
    pub fn new(code: ErrorCode, text: impl Into<String>) -> ApiError {
        ApiError { code, text: text.into() }
    }
}

impl<E: Coded> From<E> for ApiError {
    fn from(error: E) -> ApiError {
        ApiError { code: error.code(), text: error.text() }
    }
}

/// Who leads instead, where an error says so (KIP-951).
pub(super) trait LeaderHint {
    /// The leader and its epoch, as far as known.
    fn leader(&self) -> Option<(BrokerId, LeaderEpoch)>;
}

impl LeaderHint for ProduceError {
    fn leader(&self) -> Option<(BrokerId, LeaderEpoch)> {
        match self {
            ProduceError::NotLeader { leader } => *leader,
            _ => None,
        }
    }
}

impl LeaderHint for FetchError {
    fn leader(&self) -> Option<(BrokerId, LeaderEpoch)> {
        match self {
            FetchError::NotLeader { leader } | FetchError::FencedLeaderEpoch { leader } => *leader,
            _ => None,
        }
    }
}
