//! `esker config get`, `set` and `unset`: configs of a running cluster's topics, brokers, groups and subscriptions to clients'
//! metrics.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::client::{Client, ClusterArguments, check};
use super::report::{Rows, done};
use crate::env::Env;
use crate::wire::StrBytes;
use crate::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;

/// Where a broker's value comes from, in Kafka's numbers.
const DYNAMIC_BROKER: i8 = 2;
const DYNAMIC_DEFAULT: i8 = 3;

/// Values by name.
type Set = BTreeMap<String, String>;

/// Whose configs.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Resource {
    /// A topic.
    #[arg(long)]
    topic: Option<String>,
    /// A broker, by its id.
    #[arg(long)]
    broker: Option<i32>,
    /// All brokers.
    #[arg(long)]
    all_brokers: bool,
    /// A consumer group.
    #[arg(long)]
    group: Option<String>,
    /// A subscription to metrics of clients.
    #[arg(long)]
    client_metrics: Option<String>,
}

impl Resource {
    fn kind_and_name(&self) -> (i8, String) {
        match self {
            Resource { topic: Some(name), .. } => (TOPIC, name.clone()),
            Resource { group: Some(name), .. } => (GROUP, name.clone()),
            Resource { client_metrics: Some(name), .. } => (CLIENT_METRICS, name.clone()),
            Resource { broker: Some(id), .. } => (BROKER, id.to_string()),
            _ => (BROKER, String::new()),
        }
    }
}

/// Kafka's numbers of where a value comes from.
fn source(number: i8) -> Value {
    match number {
        1 => "topic".into(),
        2 => "broker, at run time".into(),
        3 => "all brokers, at run time".into(),
        4 => "file".into(),
        5 => "default".into(),
        7 => "subscription".into(),
        8 => "group".into(),
        other => other.into(),
    }
}

/// The configs of a resource: what is set, or with `all` everything.
///
/// # Errors
/// What the broker answers.
pub async fn rows(client: &mut Client, resource: &Resource, all: bool) -> Result<Rows> {
    let (resource_type, name) = resource.kind_and_name();
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type,
            resource_name: StrBytes::from(name.as_str()),
            configuration_keys: None,
        }],
        include_documentation: true,
        ..DescribeConfigsRequest::default()
    };
    let response = match resource.broker {
        // A broker is described by itself alone.
        Some(id) => client.ask_broker(id, &request).await?,
        None => client.ask_any(&request).await?,
    };
    let result = response.results.into_iter().next().context("the broker left the resource out")?;
    check(result.error_code, result.error_message.as_ref())?;
    let mut rows = Rows::new(["config", "value", "set by", "can change", "meaning"]);
    for config in result.configs.into_iter().filter(|config| all || config.config_source != 5) {
        let value = if config.is_sensitive { Some("[hidden]".into()) } else { config.value };
        rows.add([
            config.name.as_str().into(),
            value.map_or(Value::Null, |value| value.as_str().into()),
            source(config.config_source),
            (if config.read_only { "with a restart" } else { "at run time" }).into(),
            config.documentation.map_or(Value::Null, |doc| doc.as_str().into()),
        ]);
    }
    Ok(rows)
}

/// All configs of a broker, from itself.
///
/// # Errors
/// What it answers.
pub async fn of_broker(client: &mut Client, id: i32) -> Result<Rows> {
    let resource =
        Resource { topic: None, broker: Some(id), all_brokers: false, group: None, client_metrics: None };
    rows(client, &resource, true).await
}

/// What was set at run time: for all brokers, and for one of them.
///
/// # Errors
/// What the broker answers.
pub async fn set_at_run_time(client: &mut Client, broker: i32) -> Result<(Set, Set)> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: BROKER,
            resource_name: StrBytes::from(broker.to_string().as_str()),
            configuration_keys: None,
        }],
        include_synonyms: true,
        ..DescribeConfigsRequest::default()
    };
    let response = client.ask_broker(broker, &request).await?;
    let result = response.results.into_iter().next().context("the broker left itself out")?;
    check(result.error_code, result.error_message.as_ref())?;
    let values = |source: i8| {
        let synonyms = result.configs.iter().flat_map(|config| &config.synonyms);
        let set = synonyms.filter(|synonym| synonym.source == source);
        set.filter_map(|s| Some((s.name.to_string(), s.value.as_ref()?.to_string()))).collect()
    };
    Ok((values(DYNAMIC_DEFAULT), values(DYNAMIC_BROKER)))
}

/// Sets configs, or with no value returns them to their defaults: all of them or none.
///
/// # Errors
/// What the broker answers; then nothing has changed.
pub async fn alter(
    env: &Env,
    cluster: &ClusterArguments,
    resource: &Resource,
    changes: &[(String, Option<String>)],
    dry_run: bool,
) -> Result<()> {
    ensure!(!changes.is_empty(), "name a config");
    let (resource_type, name) = resource.kind_and_name();
    let config = |(name, value): &(String, Option<String>)| AlterableConfig {
        name: name.as_str().into(),
        config_operation: if value.is_some() { SET } else { DELETE },
        value: value.as_deref().map(StrBytes::from),
    };
    let wanted = AlterConfigsResource {
        resource_type,
        resource_name: StrBytes::from(name.as_str()),
        configs: changes.iter().map(config).collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![wanted], validate_only: dry_run };
    let response = Client::new(env, cluster)?.ask_any(&request).await?;
    let result = response.responses.first().context("the broker left the resource out")?;
    check(result.error_code, result.error_message.as_ref()).context("nothing was changed")?;
    let names: Vec<&str> = changes.iter().map(|(name, _)| name.as_str()).collect();
    done(cluster.output, if dry_run { "would change" } else { "changed" }, &names.join(" "));
    Ok(())
}
