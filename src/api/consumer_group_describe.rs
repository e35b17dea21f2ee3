//! ConsumerGroupDescribe (69), versions 0–1: groups of the consumer protocol in full, with their members (KIP-848).
//!
//! A group with a topic that the client may not describe is not shown. Version 1 tells which members speak the classic
//! protocol.
//!
//! Errors: per group 14, 15, 16 · 24 · 29 · 30 · 35 `group.version` is 0 · 69 none, or of the classic protocol.

use std::sync::Arc;

use super::Context;
use super::groups::{ask, code, refuse_without_consumer_groups};
use crate::coordinator::CoordinatorError;
use crate::coordinator::group::GroupError;
use crate::coordinator::group::consumer::{
    ConsumerDescription, ConsumerMemberDescription, DescribeConsumerGroup, NamedPartitions,
};
use crate::metadata::{AclOperation, ResourceKind};
use crate::wire::messages::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup, Member,
    TopicPartitions,
};
use crate::wire::{ErrorCode, StrBytes};

const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let mut response = ConsumerGroupDescribeResponse::default();
    for group_id in request.group_ids {
        let mut described = match describe(context, &group_id).await {
            Ok(group) => group,
            Err((error_code, message)) => DescribedGroup {
                error_code,
                error_message: message.map(StrBytes::from),
                group_id,
                ..DescribedGroup::default()
            },
        };
        if request.include_authorized_operations && described.error_code == ErrorCode::NONE {
            described.authorized_operations = context.operations(ResourceKind::Group, &described.group_id);
        }
        response.groups.push(described);
    }
    response
}

async fn describe(
    context: &Context,
    group_id: &StrBytes,
) -> Result<DescribedGroup, (ErrorCode, Option<String>)> {
    refuse_without_consumer_groups(&context.broker).map_err(|e| (e.code, Some(e.text)))?;
    context.check(AclOperation::Describe, ResourceKind::Group, group_id).map_err(|code| (code, None))?;
    if group_id.is_empty() {
        return Err((ErrorCode::INVALID_GROUP_ID, None));
    }
    let question = DescribeConsumerGroup { group: (&**group_id).into(), catalog: Arc::default() };
    let group = ask(&context.broker, group_id, question).await.map_err(|error| {
        let message = match &error {
            CoordinatorError::Group(GroupError::OtherProtocol) => {
                format!("Group {group_id} is not a consumer group.")
            }
            CoordinatorError::Group(GroupError::GroupNotFound) => format!("Group {group_id} not found."),
            other => other.to_string(),
        };
        (code(&error), Some(message))
    })?;
    let may = |name: &str| context.may_quietly(AclOperation::Describe, ResourceKind::Topic, name);
    let topics = group.members.iter().flat_map(|m| m.assignment.iter().chain(&m.target));
    let mut names = topics
        .map(|(_, name, _)| name.as_str())
        .chain(group.members.iter().flat_map(|m| m.topics.iter().map(String::as_str)));
    if !names.all(may) {
        let message = "The group has described topic(s) that the client is not authorized to describe.";
        return Err((ErrorCode::TOPIC_AUTHORIZATION_FAILED, Some(message.to_owned())));
    }
    Ok(on_wire(group_id.clone(), group))
}

fn on_wire(group_id: StrBytes, group: ConsumerDescription) -> DescribedGroup {
    DescribedGroup {
        group_id,
        group_state: StrBytes::from(group.state),
        group_epoch: group.epoch,
        assignment_epoch: group.target_epoch,
        assignor_name: StrBytes::from(group.assignor),
        members: group.members.into_iter().map(member).collect(),
        ..DescribedGroup::default()
    }
}

fn member(member: ConsumerMemberDescription) -> Member {
    Member {
        member_id: member.member_id.into(),
        instance_id: member.instance_id.map(StrBytes::from),
        rack_id: member.rack_id.map(StrBytes::from),
        member_epoch: member.epoch,
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        subscribed_topic_names: member.topics.into_iter().map(StrBytes::from).collect(),
        // As Kafka: empty for none.
        subscribed_topic_regex: Some(member.regex.unwrap_or_default().into()),
        assignment: assignment(member.assignment),
        target_assignment: assignment(member.target),
        member_type: if member.is_classic { CLASSIC_MEMBER } else { CONSUMER_MEMBER },
    }
}

fn assignment(partitions: NamedPartitions) -> Assignment {
    let topic =
        |(topic_id, name, partitions): (_, crate::types::TopicName, std::collections::BTreeSet<i32>)| {
            TopicPartitions {
                topic_id,
                topic_name: StrBytes::from(name.as_str()),
                partitions: partitions.into_iter().collect(),
            }
        };
    Assignment { topic_partitions: partitions.into_iter().map(topic).collect() }
}
