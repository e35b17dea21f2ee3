//! Metadata (key 3), versions 0 to 13: brokers, topics, leaders.
//!
//! No list of topics means all of them (in version 0 an empty list does). Topics by name, from version 12 also by id.
//! A missing topic is created when the client (version 4) and `auto.create.topics.enable` allow it, and its partitions
//! are in the same answer. Brokers are told with their address on the listener that the client came by; a leader
//! without such an address is LISTENER_NOT_FOUND.
//!
//! librdkafka 2 writes "all topics" with four bytes where one belongs, which leaves three bytes over; they are let pass,
//! as Kafka lets any pass.
//!
//! All topics are those that the client may describe. Errors per topic: TOPIC_AUTHORIZATION_FAILED (29), INVALID_TOPIC_EXCEPTION (17), UNKNOWN_TOPIC_OR_PARTITION (3), UNKNOWN_TOPIC_ID (100),
//! INVALID_REPLICATION_FACTOR (38) or LEADER_NOT_AVAILABLE (5) when it cannot be created; per partition
//! LEADER_NOT_AVAILABLE (5), LISTENER_NOT_FOUND (72).

use super::Context;
use super::errors::Coded as _;
use super::topics::{OPERATIONS_NOT_ASKED, endpoint};
use crate::broker::TopicError;
use crate::metadata::{AclOperation, BrokerState, Image, Partition, ResourceKind, Topic};
use crate::types::{BrokerId, TopicId, TopicName};
use crate::wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::{DecodeError, Decoder, ErrorCode, Message as _, StrBytes};

/// What librdkafka leaves over.
const LEFT_OVER: usize = 3;

/// Reads the body of a request, with what librdkafka leaves over.
pub(super) fn read(mut body: Decoder, version: i16) -> Result<MetadataRequest, DecodeError> {
    let request = MetadataRequest::read(&mut body, version)?;
    if version < 9 || request.topics.is_some() || body.remaining() != LEFT_OVER {
        body.finish()?;
    }
    Ok(request)
}

pub(super) async fn handle(context: &Context, version: i16, request: MetadataRequest) -> MetadataResponse {
    let all = match &request.topics {
        None => true,
        Some(topics) => version == 0 && topics.is_empty(),
    };
    let mut topics = if all {
        let image = context.broker.image();
        context.describable(&image).map(|topic| described(context, &image, topic)).collect()
    } else {
        let create = request.allow_auto_topic_creation || version < 4;
        let mut topics = Vec::new();
        for wanted in request.topics.unwrap_or_default() {
            topics.push(one(context, version, wanted, create).await);
        }
        topics
    };
    if request.include_topic_authorized_operations {
        for topic in &mut topics {
            let denied = topic.error_code == ErrorCode::TOPIC_AUTHORIZATION_FAILED;
            if let Some(name) = topic.name.as_ref().filter(|_| !denied) {
                topic.topic_authorized_operations = context.operations(ResourceKind::Topic, name);
            }
        }
    }
    let image = context.broker.image();
    MetadataResponse {
        throttle_time_ms: 0,
        brokers: context
            .live_brokers(&image)
            .map(|(broker, endpoint)| MetadataResponseBroker {
                node_id: broker.id.0,
                host: endpoint.host.as_str().into(),
                port: i32::from(endpoint.port),
                rack: broker.rack.as_deref().map(StrBytes::from),
            })
            .collect(),
        cluster_id: Some(image.cluster_id.as_str().into()),
        controller_id: context.broker.controller().map_or(-1, |id| id.0),
        topics,
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            context.cluster_operations()
        } else {
            OPERATIONS_NOT_ASKED
        },
        error_code: ErrorCode::NONE,
    }
}

async fn one(
    context: &Context,
    version: i16,
    wanted: MetadataRequestTopic,
    create: bool,
) -> MetadataResponseTopic {
    let image = context.broker.image();
    let failed = |name: Option<StrBytes>, topic_id, error_code| MetadataResponseTopic {
        error_code,
        name,
        topic_id,
        topic_authorized_operations: OPERATIONS_NOT_ASKED,
        ..Default::default()
    };
    let Some(name) = wanted.name else {
        return match image.topic_by_id(wanted.topic_id) {
            // An id is no secret, a name is.
            Some(topic) if !context.may(AclOperation::Describe, ResourceKind::Topic, topic.name.as_str()) => {
                let name = (version < 12).then(StrBytes::default);
                failed(name, wanted.topic_id, ErrorCode::TOPIC_AUTHORIZATION_FAILED)
            }
            Some(topic) => described(context, &image, topic),
            // Before version 12 a topic without a name cannot be said.
            None => {
                let name = (version < 12).then(StrBytes::default);
                failed(name, wanted.topic_id, ErrorCode::UNKNOWN_TOPIC_ID)
            }
        };
    };
    // Neither whether it exists nor its id is told to who may not describe it.
    if !context.may(AclOperation::Describe, ResourceKind::Topic, &name) {
        return failed(Some(name), TopicId::ZERO, ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    }
    let checked = match TopicName::new(&name) {
        Ok(checked) => checked,
        Err(e) => return failed(Some(name), TopicId::ZERO, e.code()),
    };
    if let Some(topic) = image.topics.get(&checked) {
        return described(context, &image, topic);
    }
    if !(create && context.broker.config().is_on("auto.create.topics.enable")) {
        return failed(Some(name), TopicId::ZERO, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    let may_create = context.may_on_cluster_quietly(AclOperation::Create)
        || context.may(AclOperation::Create, ResourceKind::Topic, &name);
    if !may_create {
        return failed(Some(name), TopicId::ZERO, ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    }
    match context.broker.auto_create(&checked).await {
        Ok(topic) => described(context, &context.broker.image(), &topic),
        Err(TopicError::Unavailable(_)) => failed(Some(name), TopicId::ZERO, ErrorCode::LEADER_NOT_AVAILABLE),
        Err(error) => failed(Some(name), TopicId::ZERO, error.code()),
    }
}

fn described(context: &Context, image: &Image, topic: &Topic) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: ErrorCode::NONE,
        name: Some(topic.name.as_str().into()),
        topic_id: topic.id,
        is_internal: topic.name.is_internal(),
        partitions: (0..)
            .zip(&topic.partitions)
            .map(|(index, partition)| partition_of(context, image, index, partition))
            .collect(),
        topic_authorized_operations: OPERATIONS_NOT_ASKED,
    }
}

fn partition_of(
    context: &Context,
    image: &Image,
    index: i32,
    partition: &Partition,
) -> MetadataResponsePartition {
    let is_live = |id: &BrokerId| image.brokers.get(id).is_some_and(|b| b.state != BrokerState::Fenced);
    let error_code = match partition.leader.and_then(|leader| image.brokers.get(&leader)) {
        None => ErrorCode::LEADER_NOT_AVAILABLE,
        Some(leader) if endpoint(leader, &context.client.listener).is_none() => ErrorCode::LISTENER_NOT_FOUND,
        Some(_) => ErrorCode::NONE,
    };
    let leader = partition.leader.filter(|_| error_code.is_none());
    let replicas = || partition.replicas.iter().map(|replica| replica.broker);
    MetadataResponsePartition {
        error_code,
        partition_index: index,
        leader_id: leader.map_or(-1, |id| id.0),
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: replicas().map(|id| id.0).collect(),
        isr_nodes: partition.isr.iter().map(|id| id.0).collect(),
        offline_replicas: replicas().filter(|id| !is_live(id)).map(|id| id.0).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Limits;

    #[test]
    fn librdkafkas_request_for_all_topics_is_understood_and_nothing_else_may_trail() {
        let read = |bytes: &'static [u8], version| {
            read(Decoder::new(bytes.into(), &Limits::default()), version).map(|request| request.topics)
        };
        assert_eq!(read(&[0, 0, 0, 0, 1, 0, 0], 13), Ok(None));
        assert_eq!(read(&[0, 1, 0, 0], 13), Ok(None));
        for trailing in [&[0, 1, 0, 0, 9][..], &[0, 0, 0, 0, 0, 1, 0, 0], &[1, 0, 0, 0, 1, 0, 0]] {
            assert!(matches!(read(trailing, 13), Err(DecodeError::Trailing { .. })), "{trailing:?}");
        }
    }
}
