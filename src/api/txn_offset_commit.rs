//! TxnOffsetCommit (28), versions 0–5: a group's offsets as part of a producer's transaction (KIP-98, KIP-447, KIP-890).
//!
//! They hold once the transaction is committed; until then OffsetFetch with `RequireStable` refuses. The transaction's
//! coordinator is asked first: from version 5 it adds the offsets to the transaction, before it only looks. Version 3
//! brings the member, so that one that was fenced in its group is fenced here too.
//!
//! Errors: per partition 3 · 12 · 29; all partitions: 14, 15, 16 · 22 · 24 · 25 · 30 · 42 · 47 · 48, from version 4 120 ·
//! 49 · 51 · 53 · 82.

use super::Context;
use super::groups::{code, group_code, may_read, membership};
use super::transactions::not_joined;
use crate::broker::{NotJoined, Transactional, TxnCommitError};
use crate::coordinator::Producer;
use crate::coordinator::group::CommitOffset;
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicName};
use crate::wire::ErrorCode;
use crate::wire::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
};

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let allowed = context
        .check(AclOperation::Write, ResourceKind::TransactionalId, &request.transactional_id)
        .and_then(|()| may_read(context, &request.group_id));
    let mut response = TxnOffsetCommitResponse::default();
    let mut offsets = Vec::new();
    // Where the results of `offsets` belong: topic and partition in the response.
    let mut places = Vec::new();
    let image = context.broker.image();
    for (t, topic) in request.topics.iter().enumerate() {
        let known = TopicName::new(&topic.name).ok().and_then(|name| image.topics.get(&name));
        let readable = known
            .is_none_or(|known| context.may(AclOperation::Read, ResourceKind::Topic, known.name.as_str()));
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for (p, partition) in topic.partitions.iter().enumerate() {
            let index = partition.partition_index;
            let known = known.filter(|known| image.partition(&known.name, index).is_some());
            let error_code = match (allowed, known) {
                (Err(denied), _) => denied,
                _ if !readable => ErrorCode::TOPIC_AUTHORIZATION_FAILED,
                (Ok(()), Some(known)) => {
                    offsets.push(CommitOffset {
                        topic: known.name.clone(),
                        topic_id: known.id,
                        partition: index,
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
                (Ok(()), None) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            };
            partitions.push(TxnOffsetCommitResponsePartition { partition_index: index, error_code });
        }
        response.topics.push(TxnOffsetCommitResponseTopic { name: topic.name.clone(), partitions });
    }
    if offsets.is_empty() {
        return response;
    }
    let codes = commit(context, version, &request, offsets).await;
    for ((topic, partition), error_code) in places.into_iter().zip(codes) {
        response.topics[topic].partitions[partition].error_code = error_code;
    }
    response
}

async fn commit(
    context: &Context,
    version: i16,
    request: &TxnOffsetCommitRequest,
    offsets: Vec<CommitOffset>,
) -> Vec<ErrorCode> {
    let count = offsets.len();
    if request.group_id.is_empty() {
        return vec![ErrorCode::INVALID_GROUP_ID; count];
    }
    let transactional = Transactional { id: (&*request.transactional_id).into(), adds: version >= 5 };
    let producer =
        Producer { id: ProducerId(request.producer_id), epoch: ProducerEpoch(request.producer_epoch) };
    let member = membership(
        &request.group_id,
        &request.member_id,
        request.group_instance_id.as_ref(),
        request.generation_id,
    );
    match context.broker.commit_in_transaction(&transactional, producer, member, offsets).await {
        Ok(results) => results.iter().map(|r| r.as_ref().err().map_or(ErrorCode::NONE, group_code)).collect(),
        Err(error) => {
            let code = match error {
                TxnCommitError::Group(error) => code(&error),
                TxnCommitError::NotJoined(NotJoined::Unavailable) => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
                TxnCommitError::NotJoined(error) => not_joined(error, version >= 4, true),
            };
            vec![code; count]
        }
    }
}
