//! ConsumerGroupHeartbeat (68), versions 0–1: a member of the consumer protocol joins, lives and leaves (KIP-848).
//!
//! Epoch 0 joins, −1 leaves, −2 leaves for a while (static members). A field that is null has not changed. From version 1
//! members make their ids themselves (KIP-1082) and may subscribe by a regular expression.
//!
//! Errors: 14, 15, 16 · 24 · 25 unknown member · 29 · 30 · 35 `group.version` is 0 · 42 · 69 · 81 full · 82 fenced ·
//! 110 not the member's epoch · 111 the instance id has an owner · 112 no such assignor · 128 regular expression.

use std::sync::Arc;

use super::Context;
use super::errors::ApiError;
use super::groups::{ask, code, may_read, refuse_without_consumer_groups, text};
use crate::coordinator::consumer_record::Partitions;
use crate::coordinator::group::consumer::{ConsumerHeartbeat, ConsumerHeartbeatReply};
use crate::metadata::{AclOperation, ResourceKind};
use crate::wire::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use crate::wire::{ErrorCode, StrBytes};

const JOIN: i32 = 0;
const LEAVE_FOR_A_WHILE: i32 = -2;

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    match heartbeat(context, version, &request).await {
        Ok(reply) => ConsumerGroupHeartbeatResponse {
            member_id: Some(reply.member_id.into()),
            member_epoch: reply.epoch,
            heartbeat_interval_ms: i32::try_from(reply.heartbeat_interval.as_millis()).unwrap_or(i32::MAX),
            assignment: reply
                .assignment
                .map(|partitions| Assignment { topic_partitions: on_wire(partitions) }),
            ..ConsumerGroupHeartbeatResponse::default()
        },
        Err(error) => ConsumerGroupHeartbeatResponse {
            error_code: error.code,
            error_message: Some(StrBytes::from(error.text)),
            ..ConsumerGroupHeartbeatResponse::default()
        },
    }
}

async fn heartbeat(
    context: &Context,
    version: i16,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<ConsumerHeartbeatReply, ApiError> {
    refuse_without_consumer_groups(&context.broker)?;
    may_read(context, &request.group_id)
        .map_err(|code| ApiError::new(code, "Group authorization failed."))?;
    for topic in request.subscribed_topic_names.iter().flatten() {
        let allowed = context.check(AclOperation::Describe, ResourceKind::Topic, topic);
        allowed.map_err(|code| ApiError::new(code, "Topic authorization failed."))?;
    }
    check(version, request).map_err(|text| ApiError::new(ErrorCode::INVALID_REQUEST, text))?;
    let times = context.broker.group_times(&request.group_id);
    let question = ConsumerHeartbeat {
        group: (&*request.group_id).into(),
        member_id: text(&request.member_id),
        epoch: request.member_epoch,
        instance_id: request.instance_id.as_ref().map(text),
        rack_id: request.rack_id.as_ref().map(text),
        rebalance_timeout_ms: Some(request.rebalance_timeout_ms).filter(|ms| *ms != -1),
        client_id: context.client_id.as_ref().map(text).unwrap_or_default(),
        client_host: format!("/{}", context.client.address.ip()),
        topics: request.subscribed_topic_names.as_ref().map(|topics| topics.iter().map(text).collect()),
        regex: request.subscribed_topic_regex.as_ref().map(text),
        assignor: request.server_assignor.as_ref().map(text),
        owned: request.topic_partitions.as_deref().map(owned),
        session_timeout: times.session_timeout,
        heartbeat_interval: times.heartbeat_interval,
        assignment_interval: times.assignment_interval,
        shows: context.topic_filter(),
        fresh_id: uuid::Uuid::nil(),
        catalog: Arc::default(),
    };
    let asked = ask(&context.broker, &request.group_id, question).await;
    asked.map_err(|error| ApiError::new(code(&error), error.to_string()))
}

/// What Kafka refuses without looking at the group.
fn check(version: i16, request: &ConsumerGroupHeartbeatRequest) -> Result<(), &'static str> {
    let blank = |text: &StrBytes| text.trim().is_empty();
    let joins = request.member_epoch == JOIN;
    if request.group_id.trim().is_empty() {
        return Err("GroupId can't be empty.");
    }
    if request.instance_id.as_ref().is_some_and(blank) {
        return Err("InstanceId can't be empty.");
    }
    if request.rack_id.as_ref().is_some_and(blank) {
        return Err("RackId can't be empty.");
    }
    if blank(&request.member_id) && (version >= 1 || !joins) {
        return Err("MemberId can't be empty.");
    }
    match request.member_epoch {
        JOIN if request.rebalance_timeout_ms == -1 => {
            Err("RebalanceTimeoutMs must be provided in first request.")
        }
        JOIN if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) => {
            Err("TopicPartitions must be empty when (re-)joining.")
        }
        JOIN if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() => {
            Err("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
        }
        LEAVE_FOR_A_WHILE if request.instance_id.is_none() => Err("InstanceId can't be null."),
        epoch if epoch < LEAVE_FOR_A_WHILE => Err("MemberEpoch is invalid."),
        _ => Ok(()),
    }
}

fn owned(topics: &[TopicPartitions]) -> Partitions {
    let mut owned = Partitions::new();
    for topic in topics {
        owned.entry(topic.topic_id).or_default().extend(topic.partitions.iter().copied());
    }
    owned
}

fn on_wire(partitions: Partitions) -> Vec<TopicPartitions> {
    let topic = |(topic_id, partitions): (_, std::collections::BTreeSet<i32>)| TopicPartitions {
        topic_id,
        partitions: partitions.into_iter().collect(),
    };
    partitions.into_iter().map(topic).collect()
}
