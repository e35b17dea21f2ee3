//! ListPartitionReassignments (key 46), version 0: whose replicas are being changed, and how (KIP-455).
//!
//! Without a list of topics all are meant. What is not under way is not in the answer. Error:
//! CLUSTER_AUTHORIZATION_FAILED (31).

use std::collections::{HashMap, HashSet};

use super::Context;
use super::errors::ApiError;
use crate::metadata::AclOperation;
use crate::types::BrokerId;
use crate::wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, OngoingPartitionReassignment,
    OngoingTopicReassignment,
};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    if let Err(ApiError { code, text }) = context.check_on_cluster(AclOperation::Describe) {
        // What was named comes back, without its replicas, as from Kafka.
        let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
            let named = topic.partition_indexes.iter();
            let partitions = named
                .map(|index| OngoingPartitionReassignment { partition_index: *index, ..Default::default() });
            OngoingTopicReassignment { partitions: partitions.collect(), name: topic.name }
        });
        return ListPartitionReassignmentsResponse {
            error_code: code,
            error_message: Some(text.into()),
            topics: topics.collect(),
            ..Default::default()
        };
    }
    let wanted = request.topics.map(|topics| {
        let mut wanted: HashMap<String, HashSet<i32>> = HashMap::new();
        for topic in topics {
            wanted.entry(topic.name.to_string()).or_default().extend(topic.partition_indexes);
        }
        wanted
    });
    let is_wanted = |topic: &str, index: i32| {
        wanted.as_ref().is_none_or(|wanted| wanted.get(topic).is_some_and(|some| some.contains(&index)))
    };
    let numbers = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0).collect();
    let topics = context
        .broker
        .reassignments(|topic, index| is_wanted(topic.as_str(), index))
        .into_iter()
        .map(|(name, partitions)| OngoingTopicReassignment {
            name: name.as_str().into(),
            partitions: partitions
                .into_iter()
                .map(|(index, partition)| OngoingPartitionReassignment {
                    partition_index: index,
                    replicas: partition.replicas.iter().map(|replica| replica.broker.0).collect(),
                    adding_replicas: numbers(partition.adding()),
                    removing_replicas: numbers(&partition.removing()),
                })
                .collect(),
        })
        .collect();
    ListPartitionReassignmentsResponse { topics, ..Default::default() }
}
