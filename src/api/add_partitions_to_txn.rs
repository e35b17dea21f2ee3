//! AddPartitionsToTxn (24), versions 0–5: partitions become part of a producer's transaction (KIP-98, KIP-890).
//!
//! Up to version 3 for one transaction of a client; from 4 for several, or only to verify. When one partition does not
//! exist, none is added: it gets its error, the others OPERATION_NOT_ATTEMPTED.
//!
//! Errors: 3 · 29 · 55 · all partitions: 14, 15, 16 · 31 or 53 not allowed · 42 · 49 · 51 the last transaction is still ending · 90 (47 before
//! version 2) · 120 not part of the transaction, when it is only verified (48 before version 5).

use std::sync::Arc;

use super::Context;
use super::groups::code;
use super::transactions::{fenced_before, partitions_of};
use crate::coordinator::Producer;
use crate::coordinator::txn::{AddPartitions, VerifyPartitions};
use crate::metadata::{AclOperation, CLUSTER_NAME, ResourceKind};
use crate::types::{ProducerEpoch, ProducerId, TopicPartition};
use crate::wire::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult, AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult,
};
use crate::wire::{ErrorCode, StrBytes};

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let mut response = AddPartitionsToTxnResponse::default();
    if version < 4 {
        let producer = Producer {
            id: ProducerId(request.v3_and_below_producer_id),
            epoch: ProducerEpoch(request.v3_and_below_producer_epoch),
        };
        let id = &request.v3_and_below_transactional_id;
        let denied = context.check(AclOperation::Write, ResourceKind::TransactionalId, id).err();
        let asked = Asked { context, version, id, producer, verify_only: false, denied };
        response.results_by_topic_v3_and_below = asked.answer(&request.v3_and_below_topics).await;
        return response;
    }
    // Several transactions are the words of brokers.
    let denied = context.check(AclOperation::ClusterAction, ResourceKind::Cluster, CLUSTER_NAME).err();
    for transaction in &request.transactions {
        let producer = Producer {
            id: ProducerId(transaction.producer_id),
            epoch: ProducerEpoch(transaction.producer_epoch),
        };
        let id = &transaction.transactional_id;
        let asked = Asked { context, version, id, producer, verify_only: transaction.verify_only, denied };
        response.results_by_transaction.push(AddPartitionsToTxnResult {
            transactional_id: id.clone(),
            topic_results: asked.answer(&transaction.topics).await,
        });
    }
    response
}

struct Asked<'a> {
    context: &'a Context,
    version: i16,
    id: &'a StrBytes,
    producer: Producer,
    verify_only: bool,
    /// The client may not do this at all.
    denied: Option<ErrorCode>,
}

impl Asked<'_> {
    async fn answer(&self, topics: &[AddPartitionsToTxnTopic]) -> Vec<AddPartitionsToTxnTopicResult> {
        let image = self.context.broker.image();
        let topics = partitions_of(topics.iter().map(|t| (&t.name, &t.partitions)));
        let exists = |p: &Option<TopicPartition>| {
            p.as_ref().is_some_and(|p| image.partition(&p.topic, p.partition).is_some())
        };
        let all = || topics.iter().flat_map(|(_, partitions)| partitions);
        let may_write = |p: &Option<TopicPartition>| {
            self.version >= 4
                || p.as_ref().is_none_or(|p| {
                    self.context.may(AclOperation::Write, ResourceKind::Topic, p.topic.as_str())
                })
        };
        let problem = |p: &Option<TopicPartition>| match () {
            () if !may_write(p) => Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
            () if !exists(p) => Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            () => None,
        };
        let problems: Vec<Option<ErrorCode>> = all().map(|(_, p)| problem(p)).collect();
        let partitions: Vec<TopicPartition> = all().filter_map(|(_, p)| p.clone()).collect();
        let codes = match self.denied {
            Some(denied) => vec![denied; problems.len()],
            None if problems.iter().all(Option::is_none) => self.ask(partitions).await,
            None => problems.into_iter().map(|p| p.unwrap_or(ErrorCode::OPERATION_NOT_ATTEMPTED)).collect(),
        };
        let mut codes = codes.into_iter();
        topics
            .iter()
            .map(|(name, partitions)| AddPartitionsToTxnTopicResult {
                name: name.clone(),
                results_by_partition: partitions
                    .iter()
                    .map(|(partition_index, _)| AddPartitionsToTxnPartitionResult {
                        partition_index: *partition_index,
                        partition_error_code: codes.next().unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR),
                    })
                    .collect(),
            })
            .collect()
    }

    /// The code of each partition.
    async fn ask(&self, partitions: Vec<TopicPartition>) -> Vec<ErrorCode> {
        let count = partitions.len();
        let (broker, producer) = (&self.context.broker, self.producer);
        let id: Arc<str> = (&**self.id).into();
        let result = if self.verify_only {
            let question = VerifyPartitions { id, producer, partitions };
            let missing = if self.version >= 5 {
                ErrorCode::TRANSACTION_ABORTABLE
            } else {
                ErrorCode::INVALID_TXN_STATE
            };
            broker
                .ask_transaction(self.id, question)
                .await
                .map(|found| found.into_iter().map(|is| if is { ErrorCode::NONE } else { missing }).collect())
        } else {
            let client_version = if self.version >= 4 { crate::broker::EPOCH_PER_TRANSACTION } else { 0 };
            let question = AddPartitions { id, producer, partitions, client_version };
            broker.ask_transaction(self.id, question).await.map(|()| vec![ErrorCode::NONE; count])
        };
        result.unwrap_or_else(|error| vec![fenced_before(2, self.version, code(&error)); count])
    }
}
