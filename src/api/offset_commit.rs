//! OffsetCommit (8), versions 2–10: a group keeps where it has got to.
//!
//! The answer goes when the offsets are committed in the log. Versions 2 to 4 may bring a retention of their own,
//! 6 brings the leader epoch (KIP-320), 7 static members, 10 topics by id. Generation −1 without a member id is a
//! consumer that assigns its partitions itself. Topics and partitions that do not exist are refused one by one,
//! the others are committed.
//!
//! From version 9 a member of the consumer protocol names its epoch (KIP-848).
//!
//! Errors: per partition 3, 29, 100 · 12 metadata too large; all partitions: 14, 15, 16 · 30 · 22 · 25 · 27 · 82 · 35 an
//! older version from a member of the consumer protocol · 113 not the member's epoch.

use super::Context;
use super::groups::{ask, code, group_code, may_read, membership};
use crate::coordinator::group::{CommitOffset, CommitOffsets};
use crate::metadata::{AclOperation, Image, ResourceKind};
use crate::types::{LeaderEpoch, Offset, TopicId, TopicName};
use crate::wire::ErrorCode;
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    if let Err(code) = may_read(context, &request.group_id) {
        return refused(request, code);
    }
    let mut response = OffsetCommitResponse::default();
    let mut offsets = Vec::new();
    // Where the results of `offsets` belong: topic and partition in the response.
    let mut places = Vec::new();
    {
        let image = context.broker.image();
        for (t, topic) in request.topics.iter().enumerate() {
            let resolved = resolve(context, &image, version, topic);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for (p, partition) in topic.partitions.iter().enumerate() {
                let exists = |name| image.partition(name, partition.partition_index).is_some();
                let error_code = match &resolved {
                    Ok((name, id)) if exists(name) => {
                        offsets.push(CommitOffset {
                            topic: name.clone(),
                            topic_id: *id,
                            partition: partition.partition_index,
                            offset: Offset(partition.committed_offset),
                            leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
                            metadata: partition
                                .committed_metadata
                                .as_ref()
                                .map(|m| m.as_str().to_owned())
                                .unwrap_or_default(),
                        });
                        places.push((t, p));
                        ErrorCode::NONE
                    }
                    Ok(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    Err(error) => *error,
                };
                partitions.push(OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code,
                });
            }
            response.topics.push(OffsetCommitResponseTopic {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions,
            });
        }
    }
    if offsets.is_empty() && !request.topics.is_empty() {
        return response;
    }
    let question = CommitOffsets {
        member: membership(
            &request.group_id,
            &request.member_id,
            request.group_instance_id.as_ref(),
            request.generation_id_or_member_epoch,
        ),
        knows_epochs: version >= 9,
        retention_ms: Some(request.retention_time_ms).filter(|ms| *ms >= 0),
        offsets,
    };
    let errors: Vec<ErrorCode> = match ask(&context.broker, &request.group_id, question).await {
        Ok(results) => results.iter().map(|r| r.as_ref().err().map_or(ErrorCode::NONE, group_code)).collect(),
        Err(error) => vec![code(&error); places.len()],
    };
    for ((topic, partition), error) in places.into_iter().zip(errors) {
        response.topics[topic].partitions[partition].error_code = error;
    }
    response
}

/// The same error for every partition.
fn refused(request: OffsetCommitRequest, error_code: ErrorCode) -> OffsetCommitResponse {
    let topics = request.topics.into_iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code,
            })
            .collect(),
    });
    OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() }
}

/// The topic's name and id, whichever of them the version speaks.
fn resolve(
    context: &Context,
    image: &Image,
    version: i16,
    topic: &OffsetCommitRequestTopic,
) -> Result<(TopicName, TopicId), ErrorCode> {
    if version >= 10 {
        let topic = image.topic_by_id(topic.topic_id).ok_or(ErrorCode::UNKNOWN_TOPIC_ID)?;
        context.check(AclOperation::Read, ResourceKind::Topic, topic.name.as_str())?;
        return Ok((topic.name.clone(), topic.id));
    }
    context.check(AclOperation::Read, ResourceKind::Topic, &topic.name)?;
    let known = TopicName::new(&topic.name).ok().and_then(|name| image.topics.get(&name));
    known.map(|t| (t.name.clone(), t.id)).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
}
