//! DescribeConfigs (key 32), versions 1 to 4: every config of topics and of this broker, with its value, its source
//! and what it would be otherwise (synonyms). Secrets are named without their value.
//!
//! Resources: topics (2), brokers (4), subscriptions to clients' metrics (16) and groups (32). A broker is described by itself
//! only: clients ask the broker that they ask about. The cluster-wide default (an empty name) has what is set there.
//!
//! Errors: TOPIC_AUTHORIZATION_FAILED (29), GROUP_AUTHORIZATION_FAILED (30), CLUSTER_AUTHORIZATION_FAILED (31), UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_TOPIC_EXCEPTION (17), INVALID_REQUEST (42: another kind of resource,
//! another broker).

use super::Context;
use super::access::refusal_text;
use super::errors::ApiError;
use crate::broker::config::Kind;
use crate::broker::{ConfigEntry, ConfigSource, ConfigSynonym};
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::TopicName;
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::{ErrorCode, StrBytes};

/// Kafka's number of topics as resources.
pub(super) const TOPIC: i8 = 2;
/// Kafka's number of groups as resources.
pub(super) const GROUP: i8 = 32;
/// Kafka's number of brokers as resources.
pub(super) const BROKER: i8 = 4;
/// Kafka's number of subscriptions to clients' metrics as resources.
pub(super) const CLIENT_METRICS: i8 = 16;
/// What resources there are.
pub(super) const SERVED: &str = "there are topics (2), brokers (4), client metrics (16) and groups (32)";

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let show = Show { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let results = request.resources.iter().map(|resource| {
        let result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        };
        match entries(context, resource) {
            Ok(entries) => DescribeConfigsResult {
                configs: entries
                    .into_iter()
                    .filter(|entry| wants(resource, &entry.name))
                    .map(|entry| show.entry(entry))
                    .collect(),
                ..result
            },
            Err(ApiError { code, text }) => {
                DescribeConfigsResult { error_code: code, error_message: Some(text.into()), ..result }
            }
        }
    });
    DescribeConfigsResponse { throttle_time_ms: 0, results: results.collect() }
}

/// No list of keys, or an empty one, means all.
fn wants(resource: &DescribeConfigsResource, name: &str) -> bool {
    match &resource.configuration_keys {
        Some(keys) if !keys.is_empty() => keys.iter().any(|key| key == name),
        _ => true,
    }
}

fn entries(context: &Context, resource: &DescribeConfigsResource) -> Result<Vec<ConfigEntry>, ApiError> {
    match resource.resource_type {
        TOPIC => {
            check(context, AclOperation::DescribeConfigs, ResourceKind::Topic, &resource.resource_name)?;
            let name = TopicName::new(&resource.resource_name)?;
            let image = context.broker.image();
            let topic = image.topics.get(&name).ok_or_else(|| {
                ApiError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, format!("there is no topic {name}"))
            })?;
            Ok(context.broker.topic_config(topic))
        }
        GROUP => {
            let name = &resource.resource_name;
            check(context, AclOperation::DescribeConfigs, ResourceKind::Group, name)?;
            if name.is_empty() {
                return Err(ApiError::new(ErrorCode::INVALID_REQUEST, "Group name must not be empty."));
            }
            Ok(context.broker.group_config(name))
        }
        CLIENT_METRICS => {
            context.check_on_cluster(AclOperation::DescribeConfigs)?;
            if resource.resource_name.is_empty() {
                return Err(ApiError::new(
                    ErrorCode::INVALID_REQUEST,
                    "Client metrics subscription name must not be empty.",
                ));
            }
            // One that does not exist has nothing, as with Kafka.
            if !context.broker.image().client_metrics.contains_key(resource.resource_name.as_str()) {
                return Ok(Vec::new());
            }
            Ok(context.broker.client_metrics_config(&resource.resource_name))
        }
        BROKER if !context.may_on_cluster(AclOperation::DescribeConfigs) => {
            Err(ApiError::new(ErrorCode::CLUSTER_AUTHORIZATION_FAILED, refusal_text(ResourceKind::Cluster)))
        }
        BROKER if resource.resource_name.is_empty() => Ok(context.broker.broker_defaults_config()),
        BROKER if resource.resource_name == *context.broker.node_id().to_string() => {
            Ok(context.broker.broker_config())
        }
        BROKER => Err(ApiError::new(
            ErrorCode::INVALID_REQUEST,
            format!(
                "this is broker {}, ask broker {} itself",
                context.broker.node_id(),
                resource.resource_name
            ),
        )),
        other => Err(ApiError::new(
            ErrorCode::INVALID_REQUEST,
            format!("resource type {other} is not served: {SERVED}"),
        )),
    }
}

/// Refuses, with its text, unless the client may.
pub(super) fn check(
    context: &Context,
    operation: AclOperation,
    kind: ResourceKind,
    name: &str,
) -> Result<(), ApiError> {
    context.check(operation, kind, name).map_err(|code| ApiError::new(code, refusal_text(kind)))
}

fn synonym((name, value, source): ConfigSynonym) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym { name: name.into(), value: value.map(Into::into), source: source_of(source) }
}

struct Show {
    synonyms: bool,
    documentation: bool,
}

impl Show {
    fn entry(&self, entry: ConfigEntry) -> DescribeConfigsResourceResult {
        DescribeConfigsResourceResult {
            synonyms: if self.synonyms {
                entry.synonyms.into_iter().map(synonym).collect()
            } else {
                Vec::new()
            },
            name: entry.name.into(),
            value: entry.value.map(Into::into),
            read_only: entry.read_only,
            config_source: source_of(entry.source),
            is_sensitive: entry.sensitive,
            config_type: config_type(entry.kind),
            documentation: self.documentation.then(|| StrBytes::from_static(entry.doc)),
        }
    }
}

/// Kafka's numbers of the sources.
pub(super) fn source_of(source: ConfigSource) -> i8 {
    match source {
        ConfigSource::Topic => 1,
        ConfigSource::DynamicBroker => 2,
        ConfigSource::DynamicDefault => 3,
        ConfigSource::ClientMetrics => 7,
        ConfigSource::Group => 8,
        ConfigSource::StaticBroker => 4,
        ConfigSource::Default => 5,
    }
}

/// Kafka's numbers of the types.
fn config_type(kind: Kind) -> i8 {
    match kind {
        Kind::Bool => 1,
        Kind::Text | Kind::OneOf(_) => 2,
        Kind::Number { max, .. } if max <= i64::from(i32::MAX) => 3,
        Kind::Number { .. } => 5,
        Kind::Decimal { .. } => 6,
        Kind::List | Kind::SomeOf(_) => 7,
        Kind::Secret => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_kafkas_numbers() {
        assert_eq!(config_type(Kind::Number { min: -1, max: i64::MAX }), 5);
        assert_eq!(config_type(Kind::Number { min: -1, max: 7 }), 3);
    }
}
