//! Changing the configs of a resource: what AlterConfigs and IncrementalAlterConfigs share.

use std::collections::BTreeMap;

use super::Context;
use super::describe_configs::{BROKER, CLIENT_METRICS, GROUP, SERVED, TOPIC, check};
use super::errors::ApiError;
use crate::broker::ConfigEntry;
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::{BrokerId, TopicName};
use crate::wire::{ErrorCode, StrBytes};

/// What becomes of configs, by name: `Some` sets, `None` returns to the default.
pub(super) type Changes = BTreeMap<String, Option<String>>;

/// A resource whose configs can be changed.
pub(super) enum Resource {
    Topic(TopicName),
    /// `None`: all brokers.
    Broker(Option<BrokerId>),
    Group(String),
    ClientMetrics(String),
}

impl Resource {
    /// The resource that a request names, if the client may change its configs and there is one.
    pub fn of(context: &Context, kind: i8, name: &StrBytes) -> Result<Resource, ApiError> {
        let text = name.as_str();
        match kind {
            TOPIC => {
                check(context, AclOperation::AlterConfigs, ResourceKind::Topic, text)?;
                if text.is_empty() {
                    let none = "there are no configs of all topics: name one";
                    return Err(ApiError::new(ErrorCode::INVALID_REQUEST, none));
                }
                let name = TopicName::new(text)?;
                if !context.broker.image().topics.contains_key(&name) {
                    let none = format!("there is no topic {name}");
                    return Err(ApiError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, none));
                }
                Ok(Resource::Topic(name))
            }
            GROUP => {
                check(context, AclOperation::AlterConfigs, ResourceKind::Group, text)?;
                Ok(Resource::Group(text.to_owned()))
            }
            CLIENT_METRICS => {
                context.check_on_cluster(AclOperation::AlterConfigs)?;
                Ok(Resource::ClientMetrics(text.to_owned()))
            }
            BROKER => {
                context.check_on_cluster(AclOperation::AlterConfigs)?;
                match text.parse() {
                    _ if text.is_empty() => Ok(Resource::Broker(None)),
                    Ok(id) if !context.broker.image().brokers.contains_key(&BrokerId(id)) => {
                        let text = format!("broker {id} is not registered");
                        Err(ApiError::new(ErrorCode::INVALID_REQUEST, text))
                    }
                    Ok(id) => Ok(Resource::Broker(Some(BrokerId(id)))),
                    Err(_) => {
                        Err(ApiError::new(ErrorCode::INVALID_REQUEST, format!("`{text}` is no broker id")))
                    }
                }
            }
            other => {
                let text = format!("resource type {other} is not served: {SERVED}");
                Err(ApiError::new(ErrorCode::INVALID_REQUEST, text))
            }
        }
    }

    /// Every config that it has now.
    pub fn entries(&self, context: &Context) -> Vec<ConfigEntry> {
        let broker = &context.broker;
        match self {
            Resource::Topic(name) => {
                broker.image().topics.get(name).map(|topic| broker.topic_config(topic)).unwrap_or_default()
            }
            Resource::Group(name) => broker.group_config(name),
            Resource::ClientMetrics(name) => broker.client_metrics_config(name),
            // Of another broker it is not known what its file says.
            Resource::Broker(Some(_)) => broker.broker_config(),
            // What is set for all comes first.
            Resource::Broker(None) => {
                broker.broker_defaults_config().into_iter().chain(broker.broker_config()).collect()
            }
        }
    }

    /// The names of what is set on it, not defaulted.
    pub fn set(&self, context: &Context) -> Vec<String> {
        let image = context.broker.image();
        let names = |configs: Option<&BTreeMap<String, String>>| {
            configs.map(|configs| configs.keys().cloned().collect()).unwrap_or_default()
        };
        match self {
            Resource::Topic(name) => names(image.topics.get(name).map(|topic| &topic.configs)),
            Resource::Group(name) => names(image.group_configs.get(name)),
            Resource::ClientMetrics(name) => names(image.client_metrics.get(name)),
            Resource::Broker(id) => names(image.broker_configs.get(id)),
        }
    }

    /// Changes it, all that is asked for or nothing; with the words for the audit log.
    pub async fn alter(
        &self,
        context: &Context,
        changes: Changes,
        validate_only: bool,
    ) -> (String, Result<(), ApiError>) {
        let names = changes.keys().cloned().collect::<Vec<_>>().join(", ");
        let broker = &context.broker;
        let (what, altered) = match self {
            Resource::Topic(name) => {
                (name.to_string(), broker.alter_topic_config(name, changes, validate_only).await)
            }
            Resource::Group(name) => {
                (format!("group {name}"), broker.alter_group_config(name, changes, validate_only).await)
            }
            Resource::ClientMetrics(name) => (
                format!("client metrics {name}"),
                broker.alter_client_metrics(name, changes, validate_only).await,
            ),
            Resource::Broker(id) => {
                let what = id.map_or_else(|| "all brokers".to_owned(), |id| format!("broker {id}"));
                (what, broker.alter_broker_config(*id, changes, validate_only).await)
            }
        };
        (format!("{what}: {names}"), altered.map_err(ApiError::from))
    }
}
