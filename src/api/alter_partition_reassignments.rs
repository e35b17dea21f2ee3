//! AlterPartitionReassignments (key 45), versions 0 to 1: gives partitions other replicas, or cancels that (KIP-455).
//!
//! Answered when the changes have begun; ListPartitionReassignments tells what is under way. Version 1 may forbid that
//! the number of replicas changes (KIP-860).
//!
//! Errors: CLUSTER_AUTHORIZATION_FAILED (31), UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_REPLICA_ASSIGNMENT (39),
//! INVALID_REPLICATION_FACTOR (38), NO_REASSIGNMENT_IN_PROGRESS (85), REQUEST_TIMED_OUT (7).

use futures::StreamExt as _;

use super::Context;
use super::errors::ApiError;
use super::topics::existing;
use crate::metadata::AclOperation;
use crate::types::{BrokerId, TopicName, TopicPartition};
use crate::wire::ErrorCode;
use crate::wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};

/// Changes that wait for the quorum at the same time.
const AT_ONCE: usize = 32;

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    if let Err(ApiError { code, text }) = context.check_on_cluster(AclOperation::Alter) {
        return refused(request, code, &text);
    }
    let other_factor = request.allow_replication_factor_change;
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = existing(&topic.name);
        let changes = topic.partitions.into_iter().map(|wanted| {
            let name = name.clone();
            async move {
                let index = wanted.partition_index;
                let changed = match name {
                    Ok(name) => change(context, name, wanted, other_factor).await,
                    Err(error) => Err(error),
                };
                let mut response =
                    ReassignablePartitionResponse { partition_index: index, ..Default::default() };
                if let Err(ApiError { code, text }) = changed {
                    response.error_code = code;
                    response.error_message = Some(text.into());
                }
                response
            }
        });
        let partitions = futures::stream::iter(changes).buffered(AT_ONCE).collect().await;
        responses.push(ReassignableTopicResponse { name: topic.name, partitions });
    }
    AlterPartitionReassignmentsResponse {
        responses,
        allow_replication_factor_change: other_factor,
        ..Default::default()
    }
}

async fn change(
    context: &Context,
    topic: TopicName,
    wanted: ReassignablePartition,
    other_factor: bool,
) -> Result<(), ApiError> {
    let target = wanted.replicas.map(|replicas| replicas.into_iter().map(BrokerId).collect());
    let partition = TopicPartition::new(topic, wanted.partition_index);
    let changed = context.broker.reassign(&partition, target, other_factor).await.map_err(ApiError::from);
    context.changed("AlterPartitionReassignments", &partition.to_string(), changed.as_ref().err());
    changed
}

/// As Kafka refuses: once for all, and for each partition that was named.
fn refused(
    request: AlterPartitionReassignmentsRequest,
    code: ErrorCode,
    text: &str,
) -> AlterPartitionReassignmentsResponse {
    let responses = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| ReassignablePartitionResponse {
            partition_index: wanted.partition_index,
            error_code: code,
            error_message: Some(text.into()),
        });
        ReassignableTopicResponse { partitions: partitions.collect(), name: topic.name }
    });
    AlterPartitionReassignmentsResponse {
        error_code: code,
        error_message: Some(text.into()),
        responses: responses.collect(),
        ..Default::default()
    }
}
