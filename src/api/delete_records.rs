//! DeleteRecords (key 21), versions 0 to 2: deletes the records below an offset, on every live replica and in both tiers.
//!
//! Offset −1 stands for the high watermark. The answer is the log start over all live replicas. The request waits for them
//! up to its timeout. Errors per partition: OFFSET_OUT_OF_RANGE (1) below zero or above the high watermark,
//! UNKNOWN_TOPIC_OR_PARTITION (3), NOT_LEADER_OR_FOLLOWER (6), REQUEST_TIMED_OUT (7), INVALID_TOPIC_EXCEPTION (17) for a
//! topic of the broker's own, TOPIC_AUTHORIZATION_FAILED (29), POLICY_VIOLATION (44) for a topic that is
//! only compacted, KAFKA_STORAGE_ERROR (56).

use std::time::Duration;

use futures::future::join_all;

use super::Context;
use super::errors::Coded as _;
use super::topics::existing;
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::{TopicName, TopicPartition};
use crate::wire::ErrorCode;
use crate::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let most = context.broker.config().millis("request.timeout.ms");
    let limit = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)).min(most);
    let topics = request.topics.into_iter().map(|topic| async move {
        let allowed = context.check(AclOperation::Delete, ResourceKind::Topic, &topic.name);
        let name = allowed.and_then(|()| existing(&topic.name).map_err(|e| e.code));
        let partitions = topic.partitions.iter().map(|wanted| one(context, name.clone(), wanted, limit));
        DeleteRecordsTopicResult { partitions: join_all(partitions).await, name: topic.name }
    });
    DeleteRecordsResponse { throttle_time_ms: 0, topics: join_all(topics).await }
}

async fn one(
    context: &Context,
    name: Result<TopicName, ErrorCode>,
    wanted: &DeleteRecordsPartition,
    limit: Duration,
) -> DeleteRecordsPartitionResult {
    let partition_index = wanted.partition_index;
    let deleted = match name {
        Ok(name) => {
            let partition = TopicPartition::new(name, partition_index);
            let deleted = context.broker.delete_records(&partition, wanted.offset, limit).await;
            let deleted = deleted.map_err(|e| e.code());
            let what = format!("{partition} below {}", wanted.offset);
            context.changed_with("DeleteRecords", &what, deleted.as_ref().err().copied().unwrap_or_default());
            deleted
        }
        Err(code) => Err(code),
    };
    match deleted {
        Ok(low) => DeleteRecordsPartitionResult {
            partition_index,
            low_watermark: low.0,
            error_code: ErrorCode::NONE,
        },
        Err(error_code) => DeleteRecordsPartitionResult { partition_index, low_watermark: -1, error_code },
    }
}
