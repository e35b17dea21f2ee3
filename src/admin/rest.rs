//! The REST API under `/api/v1`, as `openapi.json` documents it: what the console shows, and topics made and removed.
//!
//! Every answer is JSON; an error is `{"error": "…"}` and says what to do. Callers see what Kafka's ACLs let them describe.

use std::sync::Arc;

use axum::extract::{self, Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::State;
use super::access::Caller;
use crate::broker::{Broker, ConfigSource, NewTopic, Standing, TopicError};
use crate::env::metrics;
use crate::metadata::{AclOperation, BrokerState, CLUSTER_NAME, Partition, ResourceKind, Topic};
use crate::types::{BrokerId, TopicName};

/// An answer that is no success.
pub(super) struct Failure(pub StatusCode, pub String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

pub(super) type Answer = Result<Json<Value>, Failure>;

/// What every handler of the API knows.
pub(super) struct Asked {
    pub state: State,
    pub caller: Caller,
    pub broker: Arc<Broker>,
}

impl Asked {
    pub fn new(state: State, caller: Caller) -> Result<Asked, Failure> {
        let broker = state.broker().cloned();
        let broker = broker.ok_or_else(|| {
            Failure(StatusCode::SERVICE_UNAVAILABLE, "the broker is starting; ask again".to_owned())
        })?;
        Ok(Asked { state, caller, broker })
    }

    pub fn may(&self, operation: AclOperation, kind: ResourceKind, name: &str) -> bool {
        self.state.doorkeeper.may(&self.broker.image(), &self.caller, operation, kind, name)
    }

    pub fn check(&self, operation: AclOperation, kind: ResourceKind, name: &str) -> Result<(), Failure> {
        if self.may(operation, kind, name) {
            return Ok(());
        }
        let why = format!("{} may not {operation:?} the {kind:?} {name}", self.caller.principal);
        Err(Failure(StatusCode::FORBIDDEN, why))
    }

    /// A topic that the caller may describe; to others it is not there.
    pub fn topic(&self, name: &str, operation: AclOperation) -> Result<Arc<Topic>, Failure> {
        let missing = || Failure(StatusCode::NOT_FOUND, format!("there is no topic {name}"));
        if !self.may(AclOperation::Describe, ResourceKind::Topic, name) {
            return Err(missing());
        }
        let known = TopicName::new(name).map_err(|_| missing())?;
        let topic = self.broker.image().topics.get(&known).cloned().ok_or_else(missing)?;
        self.check(operation, ResourceKind::Topic, name)?;
        Ok(topic)
    }
}

fn state_name(state: BrokerState) -> &'static str {
    match state {
        BrokerState::Fenced => "fenced",
        BrokerState::Active => "active",
        BrokerState::ControlledShutdown => "stopping",
    }
}

/// Who asks, and the token for changes.
pub(super) async fn session(
    extract::State(state): extract::State<State>,
    Extension(caller): Extension<Caller>,
) -> Json<Value> {
    let broker = state.broker().map(|broker| broker.node_id().0);
    Json(json!({
        "principal": caller.principal.to_string(),
        "csrf": caller.csrf.as_deref().unwrap_or("local"),
        "login": caller.csrf.is_some(),
        "broker": broker,
    }))
}

/// Brokers and their state.
pub(super) async fn cluster(
    extract::State(state): extract::State<State>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    let asked = Asked::new(state, caller)?;
    asked.check(AclOperation::Describe, ResourceKind::Cluster, CLUSTER_NAME)?;
    let image = asked.broker.image();
    let count = |of: &dyn Fn(&Partition) -> bool| {
        image.topics.values().flat_map(|topic| &topic.partitions).filter(|p| of(p)).count()
    };
    let brokers: Vec<Value> = image
        .brokers
        .values()
        .map(|broker| {
            let listeners: Vec<String> =
                broker.endpoints.iter().map(|e| format!("{}://{}:{}", e.listener, e.host, e.port)).collect();
            json!({
                "id": broker.id.0,
                "state": state_name(broker.state),
                "rack": broker.rack,
                "epoch": broker.epoch.0,
                "listeners": listeners,
                "led": count(&|p| p.leader == Some(broker.id)),
                "replicas": count(&|p| p.is_replica(broker.id)),
                "not_in_sync": count(&|p| p.is_replica(broker.id) && !p.isr.contains(&broker.id)),
            })
        })
        .collect();
    Ok(Json(json!({
        "cluster_id": image.cluster_id,
        "metadata_leader": asked.broker.metadata().leader().map(|id| id.0),
        "metadata_version": image.version,
        "answered_by": asked.broker.node_id().0,
        "brokers": brokers,
        "topics": image.topics.len(),
        "partitions": count(&|_| true),
        "without_leader": count(&|p| p.leader.is_none()),
        "under_replicated": count(&|p| p.isr.len() < p.replicas.len()),
    })))
}

fn summary(topic: &Topic) -> Value {
    json!({
        "name": topic.name.as_str(),
        "id": topic.id.to_string(),
        "internal": topic.name.is_internal(),
        "partitions": topic.partitions.len(),
        "replication_factor": topic.partitions.first().map_or(0, |p| p.replicas.len()),
        "under_replicated": topic.partitions.iter().filter(|p| p.isr.len() < p.replicas.len()).count(),
        "without_leader": topic.partitions.iter().filter(|p| p.leader.is_none()).count(),
        "configs": topic.configs,
    })
}

/// All topics that the caller may describe.
pub(super) async fn topics(
    extract::State(state): extract::State<State>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    let asked = Asked::new(state, caller)?;
    let image = asked.broker.image();
    let seen = image.topics.values();
    let seen = seen.filter(|t| asked.may(AclOperation::Describe, ResourceKind::Topic, t.name.as_str()));
    let topics: Vec<Value> = seen.map(|topic| summary(topic)).collect();
    Ok(Json(json!({ "topics": topics })))
}

/// A topic to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTopicBody {
    name: String,
    partitions: Option<i32>,
    replication_factor: Option<i16>,
    #[serde(default)]
    configs: std::collections::BTreeMap<String, String>,
}

fn refused(error: &TopicError) -> Failure {
    let status = match error {
        TopicError::Exists(_) | TopicError::Collides(..) => StatusCode::CONFLICT,
        TopicError::Unknown(_) => StatusCode::NOT_FOUND,
        TopicError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        TopicError::Internal(_) | TopicError::DeletionDisabled => StatusCode::FORBIDDEN,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Failure(status, error.to_string())
}

/// Makes a topic.
pub(super) async fn create_topic(
    extract::State(state): extract::State<State>,
    Extension(caller): Extension<Caller>,
    body: Result<Json<NewTopicBody>, extract::rejection::JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let asked = Asked::new(state, caller)?;
    let Json(body) = body.map_err(|e| Failure(StatusCode::BAD_REQUEST, e.body_text()))?;
    if !asked.may(AclOperation::Create, ResourceKind::Cluster, CLUSTER_NAME) {
        asked.check(AclOperation::Create, ResourceKind::Topic, &body.name)?;
    }
    let name = TopicName::new(&body.name)
        .map_err(|e| Failure(StatusCode::UNPROCESSABLE_ENTITY, format!("topic name: {e}")))?;
    let new = NewTopic {
        name,
        partitions: body.partitions,
        replication_factor: body.replication_factor,
        assignment: None,
        configs: body.configs,
    };
    let made = asked.broker.create_topic(new, false).await;
    asked.state.doorkeeper.changed(&asked.caller, "REST CreateTopic", &body.name, made.as_ref().err());
    let topic = made.map_err(|e| refused(&e))?;
    Ok((StatusCode::CREATED, Json(summary(&topic))))
}

/// Removes a topic, in both tiers.
pub(super) async fn delete_topic(
    extract::State(state): extract::State<State>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<StatusCode, Failure> {
    let asked = Asked::new(state, caller)?;
    let topic = asked.topic(&name, AclOperation::Delete)?;
    let gone = asked.broker.delete_topic(topic.id).await;
    asked.state.doorkeeper.changed(&asked.caller, "REST DeleteTopic", &name, gone.as_ref().err());
    gone.map_err(|e| refused(&e))?;
    Ok(StatusCode::NO_CONTENT)
}

fn partition(index: usize, partition: &Partition, standing: Option<&Standing>) -> Value {
    let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
    let offsets = standing.map(|s| {
        let followers: Vec<Value> = s
            .followers
            .iter()
            .map(|(id, end, ms)| json!({ "broker": id.0, "lag": (s.log_end - end).max(0), "lag_ms": ms }))
            .collect();
        json!({
            "log_start": s.log_start,
            "local_start": s.local_start,
            "tier_end": s.tier_end,
            "open_segment": s.open_segment,
            "last_stable": s.last_stable,
            "high_watermark": s.high_watermark,
            "log_end": s.log_end,
            "local_bytes": s.local_bytes,
            "followers": followers,
        })
    });
    json!({
        "partition": index,
        "leader": partition.leader.map(|id| id.0),
        "leader_epoch": partition.leader_epoch.0,
        "replicas": partition.replicas.iter().map(|r| r.broker.0).collect::<Vec<_>>(),
        "isr": ids(&partition.isr),
        "elr": ids(&partition.elr),
        "offsets": offsets,
    })
}

/// A topic with its partitions: where each stands in both tiers, as its leader says.
pub(super) async fn topic(
    extract::State(state): extract::State<State>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer {
    let asked = Asked::new(state, caller)?;
    let topic = asked.topic(&name, AclOperation::Describe)?;
    let wanted = (0i32..).take(topic.partitions.len()).map(|index| (topic.name.clone(), index, None));
    let standings = asked.broker.standings(wanted.collect()).await;
    let partitions: Vec<Value> = topic
        .partitions
        .iter()
        .enumerate()
        .zip(&standings)
        .map(|((index, p), standing)| partition(index, p, standing.as_ref()))
        .collect();
    let mut answer = summary(&topic);
    answer["partitions"] = json!(partitions);
    if asked.may(AclOperation::DescribeConfigs, ResourceKind::Topic, &name) {
        let configs = asked.broker.topic_config(&topic).into_iter().map(|entry| {
            let source = match entry.source {
                ConfigSource::Topic => "topic",
                ConfigSource::Default => "default",
                _ => "broker",
            };
            json!({ "name": entry.name, "value": entry.value, "source": source, "doc": entry.doc })
        });
        answer["all_configs"] = configs.collect();
    }
    Ok(Json(answer))
}

/// All groups that the caller may describe, with their lag in records and time.
pub(super) async fn groups(
    extract::State(state): extract::State<State>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    let asked = Asked::new(state, caller)?;
    let mut groups = asked.broker.group_standings().await;
    groups.retain(|g| asked.may(AclOperation::Describe, ResourceKind::Group, &g.group));
    for group in &mut groups {
        let may = |topic: &TopicName| asked.may(AclOperation::Describe, ResourceKind::Topic, topic.as_str());
        group.offsets.retain(|(topic, _, _)| may(topic));
    }
    let wanted = groups.iter().flat_map(|g| &g.offsets);
    let wanted = wanted.map(|(topic, partition, offset)| (topic.clone(), *partition, Some(*offset)));
    let mut standings = asked.broker.standings(wanted.collect()).await.into_iter();
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|group| {
            let (mut lag, mut age) = (0, 0);
            let mut offsets = Vec::new();
            for (topic, partition, committed) in group.offsets {
                let standing = standings.next().flatten();
                let end = standing.as_ref().map(|s| s.high_watermark);
                let behind = end.map(|end| (end - committed).max(0));
                let behind_ms = standing.as_ref().and_then(|s| s.age_ms);
                lag += behind.unwrap_or(0);
                age = age.max(behind_ms.unwrap_or(0));
                offsets.push(json!({
                    "topic": topic.as_str(),
                    "partition": partition,
                    "committed": committed,
                    "high_watermark": end,
                    "lag": behind,
                    "lag_ms": behind_ms,
                }));
            }
            let members = group.members.iter();
            let members: Vec<Value> = members
                .map(|(id, client, host)| json!({ "id": id, "client": client, "host": host }))
                .collect();
            json!({
                "group": group.group,
                "state": group.state,
                "protocol_type": group.protocol_type,
                "members": members,
                "lag": lag,
                "lag_ms": age,
                "offsets": offsets,
            })
        })
        .collect();
    Ok(Json(json!({ "groups": groups })))
}

/// What the live charts draw.
#[derive(Deserialize)]
pub(super) struct Names {
    /// Metrics by name, separated by commas.
    names: String,
}

/// Numbers of this broker: sums over the series of each metric, but for their labels where those are asked for.
pub(super) async fn numbers(
    extract::State(state): extract::State<State>,
    Extension(caller): Extension<Caller>,
    Query(names): Query<Names>,
) -> Answer {
    let asked = Asked::new(state, caller)?;
    asked.check(AclOperation::Describe, ResourceKind::Cluster, CLUSTER_NAME)?;
    let names: Vec<&str> = names.names.split(',').collect();
    let mut numbers = serde_json::Map::new();
    for family in asked.state.families().await {
        if !names.contains(&family.metric.name) {
            continue;
        }
        let mut series = Vec::new();
        for (labels, value) in &family.series {
            let labels: serde_json::Map<String, Value> = family
                .metric
                .labels
                .iter()
                .map(|l| (*l).to_owned())
                .zip(labels.iter().map(|v| json!(v)))
                .collect();
            let value = match value {
                metrics::Value::Count(count) => json!(count),
                metrics::Value::Level(level) => json!(level),
                metrics::Value::Distribution(told) => json!({
                    "count": told.count(),
                    "sum": told.sum_seconds,
                    "p50": told.quantile(0.5),
                    "p99": told.quantile(0.99),
                    "p999": told.quantile(0.999),
                }),
            };
            series.push(json!({ "labels": labels, "value": value }));
        }
        numbers.insert(family.metric.name.to_owned(), Value::Array(series));
    }
    Ok(Json(json!({ "time_ms": asked.broker.env().clock.wall_ms(), "metrics": numbers })))
}

/// The document of this API.
pub(super) async fn openapi() -> Response {
    let kind = [(axum::http::header::CONTENT_TYPE, "application/json")];
    (kind, include_str!("openapi.json")).into_response()
}
