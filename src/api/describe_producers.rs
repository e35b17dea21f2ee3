//! DescribeProducers (61), version 0: the producers that the leaders of partitions remember (KIP-664).
//!
//! Errors per partition: 3 · 6 · 17 · 29 · 56.

use super::Context;
use super::errors::Coded as _;
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::{Offset, TopicName, TopicPartition};
use crate::wire::ErrorCode;
use crate::wire::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut response = DescribeProducersResponse::default();
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for index in &topic.partition_indexes {
            partitions.push(describe(context, &topic.name, *index).await);
        }
        response.topics.push(TopicResponse { name: topic.name.clone(), partitions });
    }
    response
}

async fn describe(context: &Context, topic: &str, partition_index: i32) -> PartitionResponse {
    let failed =
        |error_code: ErrorCode| PartitionResponse { partition_index, error_code, ..Default::default() };
    let topic = match TopicName::new(topic) {
        Ok(topic) => topic,
        Err(error) => return failed(error.code()),
    };
    if let Err(code) = context.check(AclOperation::Read, ResourceKind::Topic, topic.as_str()) {
        return failed(code);
    }
    match context.broker.describe_producers(&TopicPartition::new(topic, partition_index)).await {
        Ok(producers) => PartitionResponse {
            partition_index,
            active_producers: producers
                .into_iter()
                .map(|p| ProducerState {
                    producer_id: p.producer.id.0,
                    producer_epoch: i32::from(p.producer.epoch.0),
                    last_sequence: p.last_sequence,
                    last_timestamp: p.last_timestamp,
                    coordinator_epoch: p.coordinator_epoch,
                    current_txn_start_offset: p.transaction_start.unwrap_or(Offset::NONE).0,
                })
                .collect(),
            ..Default::default()
        },
        Err(error) => failed(error.code()),
    }
}
