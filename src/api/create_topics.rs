//! CreateTopics (key 19), versions 2 to 7: creates topics one by one; each has its own result.
//!
//! −1 partitions or replicas mean the broker's defaults (KIP-464). Replicas may be assigned by hand instead. With
//! `validate_only` everything is checked and nothing made. From version 5 the answer describes the topic (KIP-525).
//!
//! Errors: TOPIC_AUTHORIZATION_FAILED (29; also as the error of the configs alone), INVALID_REQUEST (42: named twice, counts beside an assignment), INVALID_TOPIC_EXCEPTION (17),
//! TOPIC_ALREADY_EXISTS (36), INVALID_PARTITIONS (37), INVALID_REPLICATION_FACTOR (38),
//! INVALID_REPLICA_ASSIGNMENT (39), INVALID_CONFIG (40), THROTTLING_QUOTA_EXCEEDED (89, from version 6), REQUEST_TIMED_OUT (7) when the metadata quorum is away.

use std::collections::BTreeMap;

use super::Context;
use super::describe_configs::source_of;
use super::errors::ApiError;
use super::topics::{by, deadline, named_twice, repeated};
use crate::broker::NewTopic;
use crate::env::MonoTime;
use crate::metadata::{AclOperation, ResourceKind, Topic};
use crate::types::{BrokerId, TopicName};
use crate::wire::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfigs, CreatableTopicResult,
    CreateTopicsRequest, CreateTopicsResponse,
};
use crate::wire::{ErrorCode, StrBytes};

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let deadline = deadline(context, request.timeout_ms);
    let everywhere = context.may_on_cluster_quietly(AclOperation::Create);
    let repeated = repeated(request.topics.iter().map(|topic| topic.name.as_str()));
    let mut topics = Vec::with_capacity(request.topics.len());
    for wanted in &request.topics {
        // One result for a name, however often it stands there.
        if topics.iter().any(|result: &CreatableTopicResult| result.name == wanted.name) {
            continue;
        }
        let made = if repeated.contains(wanted.name.as_str()) {
            Err(named_twice())
        } else if !everywhere && !context.may(AclOperation::Create, ResourceKind::Topic, &wanted.name) {
            Err(ApiError::new(ErrorCode::TOPIC_AUTHORIZATION_FAILED, "Authorization failed."))
        } else {
            let made = create(context, version, wanted, request.validate_only, deadline).await;
            if !request.validate_only {
                context.changed("CreateTopics", &wanted.name, made.as_ref().err());
            }
            made
        };
        topics.push(match made {
            Ok(topic) => described(context, &topic, request.validate_only),
            Err(ApiError { code, text }) => CreatableTopicResult {
                name: wanted.name.clone(),
                error_code: code,
                error_message: Some(text.into()),
                ..Default::default()
            },
        });
    }
    CreateTopicsResponse { throttle_time_ms: 0, topics }
}

/// Refuses a change that is above the client's quota, where the version can say so (KIP-599).
pub(super) fn check_quota(context: &Context, partitions: usize, strict: bool) -> Result<(), ApiError> {
    if context.may_change(partitions, strict) {
        return Ok(());
    }
    let text = "The throttling quota has been exceeded.";
    Err(ApiError::new(ErrorCode::THROTTLING_QUOTA_EXCEEDED, text))
}

async fn create(
    context: &Context,
    version: i16,
    wanted: &CreatableTopic,
    validate_only: bool,
    deadline: Option<MonoTime>,
) -> Result<std::sync::Arc<Topic>, ApiError> {
    let name = TopicName::new(&wanted.name)?;
    if !validate_only {
        let partitions = match wanted.assignments.len() {
            0 => usize::try_from(wanted.num_partitions)
                .unwrap_or_else(|_| context.broker.live().config.size("num.partitions")),
            by_hand => by_hand,
        };
        check_quota(context, partitions, version >= 6)?;
    }
    let by_hand = !wanted.assignments.is_empty();
    if by_hand && (wanted.num_partitions != -1 || wanted.replication_factor != -1) {
        return Err(ApiError::new(
            ErrorCode::INVALID_REQUEST,
            "with an assignment by hand the numbers of partitions and replicas must be -1",
        ));
    }
    let mut configs = BTreeMap::new();
    for config in &wanted.configs {
        let value = config.value.as_ref().ok_or_else(|| {
            ApiError::new(ErrorCode::INVALID_CONFIG, format!("config {} has no value", config.name))
        })?;
        if configs.insert(config.name.to_string(), value.to_string()).is_some() {
            return Err(ApiError::new(
                ErrorCode::INVALID_REQUEST,
                format!("config {} is given twice", config.name),
            ));
        }
    }
    let new = NewTopic {
        name,
        partitions: (!by_hand && wanted.num_partitions != -1).then_some(wanted.num_partitions),
        replication_factor: (!by_hand && wanted.replication_factor != -1)
            .then_some(wanted.replication_factor),
        assignment: if by_hand { Some(assignment(&wanted.assignments)?) } else { None },
        configs,
    };
    let (name, existed) = (new.name.clone(), context.broker.image().topics.contains_key(&new.name));
    match by(context, deadline, context.broker.create_topic(new, validate_only)).await {
        // It is made: only that its partitions open has taken too long.
        Err(late) if late.code == ErrorCode::REQUEST_TIMED_OUT && !existed => {
            context.broker.image().topics.get(&name).cloned().ok_or(late)
        }
        made => made,
    }
}

/// Partitions in order; each index from 0 on must be there once.
fn assignment(given: &[CreatableReplicaAssignment]) -> Result<Vec<Vec<BrokerId>>, ApiError> {
    let by_index: BTreeMap<i32, Vec<BrokerId>> = given
        .iter()
        .map(|a| (a.partition_index, a.broker_ids.iter().copied().map(BrokerId).collect()))
        .collect();
    let complete = by_index.len() == given.len() && by_index.keys().copied().eq((0..).take(given.len()));
    if !complete {
        return Err(ApiError::new(
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            "the assigned partitions must be 0, 1, 2, … without a gap, each once",
        ));
    }
    Ok(by_index.into_values().collect())
}

fn described(context: &Context, topic: &Topic, validate_only: bool) -> CreatableTopicResult {
    // A topic that was only checked has no id yet.
    let topic_id = if validate_only { crate::types::TopicId::ZERO } else { topic.id };
    let name = topic.name.as_str();
    if !context.may_quietly(AclOperation::DescribeConfigs, ResourceKind::Topic, name) {
        return CreatableTopicResult {
            name: name.into(),
            topic_id,
            topic_config_error_code: ErrorCode::TOPIC_AUTHORIZATION_FAILED,
            configs: Some(Vec::new()),
            ..Default::default()
        };
    }
    let configs = context.broker.topic_config(topic).into_iter().map(|entry| CreatableTopicConfigs {
        name: entry.name.as_str().into(),
        value: entry.value.as_deref().map(StrBytes::from),
        read_only: false,
        config_source: source_of(entry.source),
        is_sensitive: entry.sensitive,
    });
    CreatableTopicResult {
        name: name.into(),
        topic_id,
        num_partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        replication_factor: topic
            .partitions
            .first()
            .map_or(-1, |p| i16::try_from(p.replicas.len()).unwrap_or(i16::MAX)),
        configs: Some(configs.collect()),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_has_every_partition_once() {
        let part = |partition_index| CreatableReplicaAssignment { partition_index, broker_ids: vec![1] };
        assert_eq!(assignment(&[part(1), part(0)]).unwrap().len(), 2);
        assert!(assignment(&[part(0), part(0)]).is_err());
        assert!(assignment(&[part(1)]).is_err());
    }
}
