//! AddOffsetsToTxn (25), versions 0–4: a group's offsets become part of a producer's transaction (KIP-98).
//!
//! It adds the group's partition of `__consumer_offsets`. Clients of transaction version 2 do not ask: their
//! TxnOffsetCommit does it.
//!
//! Errors: 14, 15, 16 · 24 · 30 · 42 · 49 · 51 · 53 · 90 (47 before version 2).

use super::Context;
use super::groups::{code, may_read};
use super::transactions::fenced_before;
use crate::broker::OFFSETS_TOPIC;
use crate::coordinator::Producer;
use crate::coordinator::txn::AddPartitions;
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::{ProducerEpoch, ProducerId, TopicName, TopicPartition};
use crate::wire::ErrorCode;
use crate::wire::messages::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let error_code = add(context, &request).await.err().unwrap_or(ErrorCode::NONE);
    AddOffsetsToTxnResponse { error_code: fenced_before(2, version, error_code), ..Default::default() }
}

async fn add(context: &Context, request: &AddOffsetsToTxnRequest) -> Result<(), ErrorCode> {
    context.check(AclOperation::Write, ResourceKind::TransactionalId, &request.transactional_id)?;
    may_read(context, &request.group_id)?;
    if request.group_id.is_empty() {
        return Err(ErrorCode::INVALID_GROUP_ID);
    }
    let topic = TopicName::new(OFFSETS_TOPIC).map_err(|_| ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
    context
        .broker
        .ensure_coordinator_topic(&topic)
        .await
        .map_err(|_| ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
    let partition = context.broker.group_partition(&request.group_id);
    let partition = partition.ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
    let question = AddPartitions {
        id: (&*request.transactional_id).into(),
        producer: Producer {
            id: ProducerId(request.producer_id),
            epoch: ProducerEpoch(request.producer_epoch),
        },
        partitions: vec![TopicPartition::new(topic, partition)],
        client_version: 0,
    };
    context.broker.ask_transaction(&request.transactional_id, question).await.map_err(|e| code(&e))
}
