//! WriteTxnMarkers (27), versions 1–2: ends transactions in partitions that this broker leads.
//!
//! Brokers do this among themselves by other means; here an administrator ends one that hangs (KIP-664), under the
//! producer epoch and the coordinator epoch that DescribeProducers shows.
//!
//! Errors per partition: 3 · 31 · 6 not the leader, or not committed in time · 47 · 52 a newer coordinator.

use super::Context;
use crate::broker::MarkerOutcome;
use crate::coordinator::Producer;
use crate::metadata::AclOperation;
use crate::types::{ProducerEpoch, ProducerId, TopicName, TopicPartition};
use crate::wire::ErrorCode;
use crate::wire::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopic,
    WritableTxnMarkerTopicResult, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: WriteTxnMarkersRequest,
) -> WriteTxnMarkersResponse {
    let mut response = WriteTxnMarkersResponse::default();
    let denied = !context.may_on_cluster_quietly(AclOperation::Alter)
        && !context.may_on_cluster(AclOperation::ClusterAction);
    for marker in &request.markers {
        response.markers.push(WritableTxnMarkerResult {
            producer_id: marker.producer_id,
            topics: if denied { refused(marker) } else { write(context, marker).await },
        });
    }
    response
}

fn refused(marker: &WritableTxnMarker) -> Vec<WritableTxnMarkerTopicResult> {
    let error_code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
    let partition = |index: &i32| WritableTxnMarkerPartitionResult { partition_index: *index, error_code };
    let topic = |topic: &WritableTxnMarkerTopic| WritableTxnMarkerTopicResult {
        name: topic.name.clone(),
        partitions: topic.partition_indexes.iter().map(partition).collect(),
    };
    marker.topics.iter().map(topic).collect()
}

async fn write(context: &Context, marker: &WritableTxnMarker) -> Vec<WritableTxnMarkerTopicResult> {
    let image = context.broker.image();
    let mut topics = Vec::with_capacity(marker.topics.len());
    let mut partitions = Vec::new();
    // Where the outcomes of `partitions` belong: topic and partition in the response.
    let mut places = Vec::new();
    for (t, topic) in marker.topics.iter().enumerate() {
        let name = TopicName::new(&topic.name).ok();
        let mut results = Vec::with_capacity(topic.partition_indexes.len());
        for (p, index) in topic.partition_indexes.iter().enumerate() {
            let known = name.as_ref().filter(|name| image.partition(name, *index).is_some());
            if let Some(name) = known {
                partitions.push(TopicPartition::new(name.clone(), *index));
                places.push((t, p));
            }
            let error_code = match known {
                Some(_) => ErrorCode::NONE,
                None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            };
            results.push(WritableTxnMarkerPartitionResult { partition_index: *index, error_code });
        }
        topics.push(WritableTxnMarkerTopicResult { name: topic.name.clone(), partitions: results });
    }
    let producer =
        Producer { id: ProducerId(marker.producer_id), epoch: ProducerEpoch(marker.producer_epoch) };
    let bumped = marker.transaction_version >= 2;
    let what = format!("producer {} in {} partitions", marker.producer_id, partitions.len());
    context.changed_with("WriteTxnMarkers", &what, ErrorCode::NONE);
    let outcomes = context
        .broker
        .write_marker(producer, marker.transaction_result, marker.coordinator_epoch, bumped, &partitions)
        .await;
    for ((topic, partition), outcome) in places.into_iter().zip(outcomes) {
        topics[topic].partitions[partition].error_code = match outcome {
            MarkerOutcome::Written => ErrorCode::NONE,
            MarkerOutcome::Retry => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            MarkerOutcome::ProducerFenced => ErrorCode::INVALID_PRODUCER_EPOCH,
            MarkerOutcome::CoordinatorFenced => ErrorCode::TRANSACTION_COORDINATOR_FENCED,
        };
    }
    topics
}
