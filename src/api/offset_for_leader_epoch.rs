//! OffsetForLeaderEpoch (key 23), versions 2 to 4: where a leader epoch ends in this log (KIP-101, KIP-320).
//!
//! The answer is the largest epoch at or below the one asked for, and its end: never below what was consumed. An epoch
//! above the leader's gives −1 and −1. Errors per partition: those of Fetch, TOPIC_AUTHORIZATION_FAILED (29), and CLUSTER_AUTHORIZATION_FAILED (31) to
//! clients that play replica.

use futures::future::join_all;

use super::Context;
use super::errors::Coded as _;
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::{LeaderEpoch, TopicName, TopicPartition};
use crate::wire::ErrorCode;
use crate::wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    // Before version 3 there is no such field, and what it defaults to (−2) is a client.
    let plays_replica = version >= 3 && request.replica_id >= 0;
    // Before clients asked, brokers did.
    let everywhere = context.may_on_cluster_quietly(AclOperation::ClusterAction);
    let topics = request.topics.into_iter().map(|topic| async move {
        let allowed = if everywhere {
            Ok(())
        } else {
            context.check(AclOperation::Describe, ResourceKind::Topic, &topic.topic)
        };
        let name = allowed.and_then(|()| TopicName::new(&topic.topic).map_err(|e| e.code()));
        let name = if plays_replica { Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED) } else { name };
        let partitions = topic.partitions.iter().map(|wanted| one(context, name.clone(), wanted));
        OffsetForLeaderTopicResult { partitions: join_all(partitions).await, topic: topic.topic }
    });
    OffsetForLeaderEpochResponse { throttle_time_ms: 0, topics: join_all(topics).await }
}

async fn one(
    context: &Context,
    name: Result<TopicName, ErrorCode>,
    wanted: &OffsetForLeaderPartition,
) -> EpochEndOffset {
    let known = (wanted.current_leader_epoch >= 0).then_some(LeaderEpoch(wanted.current_leader_epoch));
    let found = match name {
        Ok(name) => {
            let partition = TopicPartition::new(name, wanted.partition);
            let epoch = LeaderEpoch(wanted.leader_epoch);
            let found = context.broker.offset_for_leader_epoch(&partition, known, epoch);
            found.map_err(|e| e.code())
        }
        Err(code) => Err(code),
    };
    match found {
        Ok((epoch, end)) => EpochEndOffset {
            partition: wanted.partition,
            leader_epoch: epoch.0,
            end_offset: end.0,
            ..Default::default()
        },
        Err(error_code) => EpochEndOffset { error_code, partition: wanted.partition, ..Default::default() },
    }
}
