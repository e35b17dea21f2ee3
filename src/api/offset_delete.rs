//! OffsetDelete (47), version 0: a group forgets offsets of topics that no member is subscribed to (KIP-496).
//!
//! Errors: of the whole 14, 15, 16 · 24 · 30 · 68 it has members and is no group of consumers · 69; per partition 3 · 29 ·
//! 86 a member is subscribed to the topic.

use super::Context;
use super::groups::{ask, code, group_code};
use crate::coordinator::group::DeleteOffsets;
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::TopicName;
use crate::wire::ErrorCode;
use crate::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let failed = |error_code| OffsetDeleteResponse { error_code, ..OffsetDeleteResponse::default() };
    if let Err(code) = context.check(AclOperation::Delete, ResourceKind::Group, &request.group_id) {
        return failed(code);
    }
    if request.group_id.is_empty() {
        return failed(ErrorCode::INVALID_GROUP_ID);
    }
    let image = context.broker.image();
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut partitions = Vec::new();
    // Where the results of `partitions` belong: topic and partition in the response.
    let mut places = Vec::new();
    for (t, topic) in request.topics.into_iter().enumerate() {
        let name = TopicName::new(&topic.name).ok();
        let readable = context.may(AclOperation::Read, ResourceKind::Topic, &topic.name);
        let mut results = Vec::with_capacity(topic.partitions.len());
        for (p, partition) in topic.partitions.iter().enumerate() {
            let index = partition.partition_index;
            let known = name.as_ref().filter(|name| image.partition(name, index).is_some());
            let error_code = match known {
                _ if !readable => ErrorCode::TOPIC_AUTHORIZATION_FAILED,
                Some(name) => {
                    partitions.push((name.clone(), index));
                    places.push((t, p));
                    ErrorCode::NONE
                }
                None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            };
            results.push(OffsetDeleteResponsePartition { partition_index: index, error_code });
        }
        topics.push(OffsetDeleteResponseTopic { name: topic.name, partitions: results });
    }
    let what = format!("{} of {} partitions", request.group_id, partitions.len());
    let question = DeleteOffsets { group: (&*request.group_id).into(), partitions };
    let asked = ask(&context.broker, &request.group_id, question).await;
    let outcome = asked.as_ref().err().map_or(ErrorCode::NONE, code);
    context.changed_with("OffsetDelete", &what, outcome);
    match asked {
        Ok(results) => {
            for ((topic, partition), result) in places.into_iter().zip(results) {
                topics[topic].partitions[partition].error_code =
                    result.as_ref().err().map_or(ErrorCode::NONE, group_code);
            }
            OffsetDeleteResponse { topics, ..OffsetDeleteResponse::default() }
        }
        Err(error) => failed(code(&error)),
    }
}
