//! DescribeQuorum (key 55), versions 0 to 2: the voters and observers of the metadata quorum (KIP-595, KIP-853).
//!
//! There is one partition, 0 of `__cluster_metadata`. Offsets are entries of the metadata log; a replica's directory id
//! tells its store from one that was wiped. Times of fetches are not known: −1.
//!
//! Errors: CLUSTER_AUTHORIZATION_FAILED (31), UNKNOWN_TOPIC_OR_PARTITION (3),
//! LEADER_NOT_AVAILABLE (5) without a leader.

use super::Context;
use super::errors::ApiError;
use crate::metadata::{AclOperation, QuorumMember, QuorumState};
use crate::wire::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, PartitionDataResult, ReplicaState,
    TopicDataResult,
};
use crate::wire::{ErrorCode, StrBytes};

const TOPIC: &str = "__cluster_metadata";

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    let failed = |error_code, text: String| DescribeQuorumResponse {
        error_code,
        error_message: Some(text.into()),
        ..Default::default()
    };
    if let Err(ApiError { code, text }) = context.check_on_cluster(AclOperation::Describe) {
        return failed(code, text);
    }
    let quorum = match context.broker.quorum().await {
        Ok(quorum) => quorum,
        Err(error) => return failed(ErrorCode::LEADER_NOT_AVAILABLE, error.to_string()),
    };
    let topics = request.topics.into_iter().map(|topic| {
        let is_metadata = *topic.topic_name == *TOPIC;
        let partitions = topic.partitions.iter().map(|asked| {
            if is_metadata && asked.partition_index == 0 {
                partition(&quorum)
            } else {
                PartitionDataResult {
                    partition_index: asked.partition_index,
                    error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    error_message: Some(StrBytes::from_static("only __cluster_metadata-0 has a quorum")),
                    ..Default::default()
                }
            }
        });
        TopicDataResult { partitions: partitions.collect(), topic_name: topic.topic_name }
    });
    DescribeQuorumResponse { topics: topics.collect(), nodes: nodes(context, &quorum), ..Default::default() }
}

fn partition(quorum: &QuorumState) -> PartitionDataResult {
    let some = |votes: bool| quorum.members.iter().filter(move |m| m.votes == votes).map(replica).collect();
    PartitionDataResult {
        partition_index: 0,
        leader_id: quorum.leader.0,
        leader_epoch: i32::try_from(quorum.term).unwrap_or(i32::MAX),
        // An offset that is exclusive, as a high watermark is.
        high_watermark: i64::try_from(quorum.committed).unwrap_or(i64::MAX).saturating_add(1),
        current_voters: some(true),
        observers: some(false),
        ..Default::default()
    }
}

fn replica(member: &QuorumMember) -> ReplicaState {
    let end = member.last_index.and_then(|index| i64::try_from(index).ok());
    ReplicaState {
        replica_id: member.broker.0,
        replica_directory_id: super::raft_voters::directory(member.store),
        log_end_offset: end.map_or(-1, |index| index.saturating_add(1)),
        ..Default::default()
    }
}

/// Where the members listen for each other.
fn nodes(context: &Context, quorum: &QuorumState) -> Vec<Node> {
    let image = context.broker.image();
    let mut ids: Vec<_> = quorum.members.iter().map(|member| member.broker).collect();
    ids.dedup();
    let node = |id| {
        let address = &image.brokers.get(&id)?.peer_address;
        let (host, port) = address.rsplit_once(':')?;
        let listener =
            Listener { name: StrBytes::from_static("PEER"), host: host.into(), port: port.parse().ok()? };
        Some(Node { node_id: id.0, listeners: vec![listener] })
    };
    ids.into_iter().filter_map(node).collect()
}
