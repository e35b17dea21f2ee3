//! DescribeTransactions (65), version 0: transactions in full, at their coordinator (KIP-664).
//!
//! Topics that the client may not describe are left out.
//!
//! Errors per transactional id: 14, 15, 16 · 42 · 53 · 105 it is not known.

use std::collections::BTreeMap;

use super::Context;
use super::groups::code;
use crate::coordinator::txn::{DescribeTransaction, TransactionDescription};
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::TopicName;
use crate::wire::messages::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TopicData, TransactionState,
};
use crate::wire::{ErrorCode, StrBytes};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let mut response = DescribeTransactionsResponse::default();
    for id in request.transactional_ids {
        response.transaction_states.push(describe(context, id).await);
    }
    response
}

async fn describe(context: &Context, id: StrBytes) -> TransactionState {
    let failed = |error_code| TransactionState {
        error_code,
        transactional_id: id.clone(),
        ..TransactionState::default()
    };
    if id.is_empty() {
        return failed(ErrorCode::INVALID_REQUEST);
    }
    if let Err(code) = context.check(AclOperation::Describe, ResourceKind::TransactionalId, &id) {
        return failed(code);
    }
    match context.broker.ask_transaction(&id, DescribeTransaction((&*id).into())).await {
        Ok(mut found) => {
            let may = |topic: &TopicName| {
                context.may_quietly(AclOperation::Describe, ResourceKind::Topic, topic.as_str())
            };
            found.partitions.retain(|p| may(&p.topic));
            described(id, found)
        }
        Err(error) => failed(code(&error)),
    }
}

fn described(transactional_id: StrBytes, found: TransactionDescription) -> TransactionState {
    let mut topics: BTreeMap<TopicName, Vec<i32>> = BTreeMap::new();
    for partition in found.partitions {
        topics.entry(partition.topic).or_default().push(partition.partition);
    }
    TransactionState {
        error_code: ErrorCode::NONE,
        transactional_id,
        transaction_state: StrBytes::from_static(found.state.name()),
        transaction_timeout_ms: found.timeout_ms,
        transaction_start_time_ms: found.started_ms,
        producer_id: found.producer.id.0,
        producer_epoch: found.producer.epoch.0,
        topics: topics
            .into_iter()
            .map(|(topic, partitions)| TopicData { topic: StrBytes::from(topic.as_str()), partitions })
            .collect(),
    }
}
