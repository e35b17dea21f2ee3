//! DeleteTopics (key 20), versions 1 to 6: deletes topics by name, from version 6 also by id.
//!
//! Errors: TOPIC_AUTHORIZATION_FAILED (29), UNKNOWN_TOPIC_OR_PARTITION (3), UNKNOWN_TOPIC_ID (100), INVALID_REQUEST (42: named twice, or by name and id),
//! INVALID_TOPIC_EXCEPTION (17: the broker's own topics), TOPIC_DELETION_DISABLED (73), THROTTLING_QUOTA_EXCEEDED (89, from version 5), REQUEST_TIMED_OUT (7).

use std::collections::HashSet;

use super::Context;
use super::create_topics::check_quota;
use super::errors::ApiError;
use super::topics::{by, deadline, existing, named_twice};
use crate::env::MonoTime;
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::{TopicId, TopicName};
use crate::wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use crate::wire::{ErrorCode, StrBytes};

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let wanted: Vec<DeleteTopicState> = if version >= 6 {
        request.topics
    } else {
        request
            .topic_names
            .into_iter()
            .map(|name| DeleteTopicState { name: Some(name), topic_id: TopicId::ZERO })
            .collect()
    };
    let deadline = deadline(context, request.timeout_ms);
    let key = |topic: &DeleteTopicState| (topic.name.clone(), topic.topic_id);
    let mut seen = HashSet::new();
    // One result for a topic, however often it stands there.
    let repeated: HashSet<_> = wanted.iter().filter(|topic| !seen.insert(key(topic))).map(key).collect();
    let mut answered = HashSet::new();
    let mut responses = Vec::with_capacity(wanted.len());
    for topic in wanted {
        if !answered.insert(key(&topic)) {
            continue;
        }
        let deleted = if repeated.contains(&key(&topic)) {
            Err(named_twice())
        } else {
            delete(context, version, &topic, deadline).await
        };
        let (error_code, error_message) = match &deleted {
            Ok(_) => (ErrorCode::NONE, None),
            Err(error) => (error.code, Some(StrBytes::from(&error.text))),
        };
        let (name, topic_id) = match deleted {
            Ok((name, id)) => (Some(name.as_str().into()), id),
            Err(_) if topic.name.is_none() => (describable_name(context, topic.topic_id), topic.topic_id),
            Err(_) => (topic.name, topic.topic_id),
        };
        responses.push(DeletableTopicResult { name, topic_id, error_code, error_message });
    }
    DeleteTopicsResponse { throttle_time_ms: 0, responses }
}

/// The name of a topic that could not be deleted by its id, for who may describe it.
fn describable_name(context: &Context, id: TopicId) -> Option<StrBytes> {
    let image = context.broker.image();
    let name = image.topic_by_id(id)?.name.as_str();
    let seen = context.may_quietly(AclOperation::Describe, ResourceKind::Topic, name);
    seen.then(|| name.into())
}

async fn delete(
    context: &Context,
    version: i16,
    wanted: &DeleteTopicState,
    deadline: Option<MonoTime>,
) -> Result<(TopicName, TopicId), ApiError> {
    let image = context.broker.image();
    let everywhere = context.may_on_cluster_quietly(AclOperation::Delete);
    let denied = || {
        ApiError::new(ErrorCode::TOPIC_AUTHORIZATION_FAILED, super::access::refusal_text(ResourceKind::Topic))
    };
    let topic = match (&wanted.name, wanted.topic_id) {
        (Some(name), TopicId::ZERO) => {
            // Whether it exists is not told to who may not describe it.
            if !everywhere && !context.may(AclOperation::Describe, ResourceKind::Topic, name) {
                return Err(denied());
            }
            let name = existing(name)?;
            image.topics.get(&name).ok_or_else(|| {
                ApiError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, format!("there is no topic {name}"))
            })?
        }
        (Some(_), _) => {
            return Err(ApiError::new(ErrorCode::INVALID_REQUEST, "give a topic's name or its id, not both"));
        }
        (None, TopicId::ZERO) => {
            return Err(ApiError::new(ErrorCode::INVALID_REQUEST, "give a topic's name or its id"));
        }
        (None, id) => image.topic_by_id(id).ok_or_else(|| {
            ApiError::new(ErrorCode::UNKNOWN_TOPIC_ID, format!("there is no topic with id {id}"))
        })?,
    };
    if !everywhere && !context.may(AclOperation::Delete, ResourceKind::Topic, topic.name.as_str()) {
        return Err(denied());
    }
    check_quota(context, topic.partitions.len(), version >= 5)?;
    let deleted = by(context, deadline, context.broker.delete_topic(topic.id)).await;
    context.changed("DeleteTopics", topic.name.as_str(), deleted.as_ref().err());
    deleted?;
    Ok((topic.name.clone(), topic.id))
}
