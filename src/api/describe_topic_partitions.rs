//! DescribeTopicPartitions (key 75), version 0: topics' partitions with their eligible leaders, a page at a time (KIP-966).
//!
//! Topics come in the order of their names; without names all that the client may describe. A page has at most
//! [`MOST`] partitions, or fewer if the client says so; the cursor names the first that is not on it.
//!
//! Errors: TOPIC_AUTHORIZATION_FAILED (29), UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_TOPIC_EXCEPTION (17), INVALID_REQUEST (42: a limit
//! below 1, a cursor below 0, which have no place of their own and stand at the first topic).

use std::collections::BTreeSet;

use super::Context;
use super::errors::Coded as _;
use super::topics::endpoint;
use crate::metadata::{AclOperation, BrokerState, Image, Partition, ResourceKind, Topic};
use crate::types::{BrokerId, TopicName};
use crate::wire::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use crate::wire::{ErrorCode, StrBytes};

/// Partitions of a page (`max.request.partition.size.limit` of Kafka).
const MOST: usize = 2000;

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = context.broker.image();
    let cursor = request.cursor.as_ref();
    let first = cursor.map_or("", |cursor| cursor.topic_name.as_str());
    let (all, names): (bool, BTreeSet<String>) = match request.topics.is_empty() {
        true => (true, context.describable(&image).map(|topic| topic.name.to_string()).collect()),
        false => (false, request.topics.iter().map(|topic| topic.name.to_string()).collect()),
    };
    let start = cursor.map_or(0, |cursor| cursor.partition_index);
    if request.response_partition_limit < 1 || start < 0 {
        let name = names.into_iter().next();
        let refused = failed(name, ErrorCode::INVALID_REQUEST);
        return DescribeTopicPartitionsResponse { topics: vec![refused], ..Default::default() };
    }
    let mut left = usize::try_from(request.response_partition_limit).unwrap_or(MOST).min(MOST);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.into_iter().filter(|name| name.as_str() >= first) {
        if left == 0 {
            response.next_cursor = Some(Cursor { topic_name: name.into(), partition_index: 0 });
            break;
        }
        let topic = match find(context, &image, &name) {
            Ok(topic) => topic,
            // A topic that is gone since the list was made.
            Err(_) if all => continue,
            Err(code) => {
                // Its name may be no topic's: it is told back as it came.
                let mut topic = failed(Some(name.clone()), code);
                if code != ErrorCode::TOPIC_AUTHORIZATION_FAILED {
                    topic.topic_authorized_operations = context.operations(ResourceKind::Topic, &name);
                }
                response.topics.push(topic);
                continue;
            }
        };
        let from = if name == first { start } else { 0 };
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(topic.partitions.len());
        let to = (from + left).min(topic.partitions.len());
        left -= to - from;
        response.topics.push(described(context, &image, topic, from..to));
        if to < topic.partitions.len() {
            let partition_index = i32::try_from(to).unwrap_or(i32::MAX);
            response.next_cursor = Some(Cursor { topic_name: name.into(), partition_index });
            break;
        }
    }
    response
}

fn find<'a>(context: &Context, image: &'a Image, name: &str) -> Result<&'a Topic, ErrorCode> {
    context.check(AclOperation::Describe, ResourceKind::Topic, name)?;
    let name = TopicName::new(name).map_err(|error| error.code())?;
    let found = image.topics.get(&name).map(std::sync::Arc::as_ref);
    found.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
}

fn failed(name: Option<String>, error_code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic { error_code, name: name.map(StrBytes::from), ..Default::default() }
}

fn described(
    context: &Context,
    image: &Image,
    topic: &Topic,
    partitions: std::ops::Range<usize>,
) -> DescribeTopicPartitionsResponseTopic {
    let wanted = partitions.map(|index| (index, &topic.partitions[index]));
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::NONE,
        name: Some(topic.name.as_str().into()),
        topic_id: topic.id,
        is_internal: topic.name.is_internal(),
        partitions: wanted.map(|(index, p)| partition_of(context, image, index, p)).collect(),
        topic_authorized_operations: context.operations(ResourceKind::Topic, topic.name.as_str()),
    }
}

fn partition_of(
    context: &Context,
    image: &Image,
    index: usize,
    partition: &Partition,
) -> DescribeTopicPartitionsResponsePartition {
    let is_live = |id: &BrokerId| image.brokers.get(id).is_some_and(|b| b.state != BrokerState::Fenced);
    let reachable = |leader: &BrokerId| {
        image.brokers.get(leader).is_some_and(|broker| endpoint(broker, &context.client.listener).is_some())
    };
    let error_code = match &partition.leader {
        None => ErrorCode::LEADER_NOT_AVAILABLE,
        Some(leader) if !reachable(leader) => ErrorCode::LISTENER_NOT_FOUND,
        Some(_) => ErrorCode::NONE,
    };
    let ids = |members: &[BrokerId]| members.iter().map(|id| id.0).collect::<Vec<i32>>();
    let replicas: Vec<BrokerId> = partition.replicas.iter().map(|replica| replica.broker).collect();
    let offline: Vec<BrokerId> = replicas.iter().copied().filter(|id| !is_live(id)).collect();
    DescribeTopicPartitionsResponsePartition {
        error_code,
        partition_index: i32::try_from(index).unwrap_or(i32::MAX),
        leader_id: partition.leader.filter(|_| error_code.is_none()).map_or(-1, |id| id.0),
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: ids(&replicas),
        isr_nodes: ids(&partition.isr),
        eligible_leader_replicas: Some(ids(&partition.elr)),
        last_known_elr: Some(Vec::new()),
        offline_replicas: ids(&offline),
    }
}
