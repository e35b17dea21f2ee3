//! `esker topic`: creates, lists, describes and deletes topics through Kafka's own API.

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use serde_json::Value;

use super::client::{Client, ClusterArguments, check};
use super::report::{Output, Rows, done, print_json};
use crate::env::Env;
use crate::wire::StrBytes;
use crate::wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use crate::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};

/// What DescribeConfigs calls a topic.
const TOPIC_RESOURCE: i8 = 2;
/// Where DescribeConfigs says that a value was set on the topic itself.
const TOPIC_SOURCE: i8 = 1;
const TIMEOUT_MS: i32 = 30_000;

/// Arguments of `esker topic`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Creates a topic.
    Create {
        /// Its name.
        name: String,
        /// How many partitions; the cluster's default if absent.
        #[arg(long, default_value_t = -1)]
        partitions: i32,
        /// How many replicas of each; the cluster's default if absent.
        #[arg(long, default_value_t = -1)]
        replication_factor: i16,
        /// A topic config; may be given several times.
        #[arg(long = "config", value_name = "KEY=VALUE", value_parser = super::key_value)]
        configs: Vec<(String, String)>,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Lists all topics.
    List {
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Shows a topic's partitions, their leaders and replicas, and the configs set on it.
    Describe {
        /// Its name.
        name: String,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Deletes a topic with all its records, in both tiers.
    Delete {
        /// Its name.
        name: String,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
}

/// A topic to create.
pub struct NewTopic<'a> {
    /// Its name.
    pub name: &'a str,
    /// Partitions, −1 for the default.
    pub partitions: i32,
    /// Replicas, −1 for the default.
    pub replication_factor: i16,
    /// Topic configs.
    pub configs: &'a [(String, String)],
}

/// Does what is asked for.
///
/// # Errors
/// What the broker answers.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Create { name, partitions, replication_factor, configs, cluster } => {
            let topic = NewTopic { name: &name, partitions, replication_factor, configs: &configs };
            create(&mut Client::new(&env, &cluster)?, &topic).await?;
            done(cluster.output, "created", &name);
        }
        Command::List { cluster } => list(&mut Client::new(&env, &cluster)?).await?.print(cluster.output),
        Command::Describe { name, cluster } => {
            describe(&mut Client::new(&env, &cluster)?, &name, cluster.output).await?;
        }
        Command::Delete { name, cluster } => {
            delete(&mut Client::new(&env, &cluster)?, &name).await?;
            done(cluster.output, "deleted", &name);
        }
    }
    Ok(())
}

/// Creates a topic.
///
/// # Errors
/// What the broker answers.
pub async fn create(client: &mut Client, topic: &NewTopic<'_>) -> Result<()> {
    ask_to_create(client, topic, false).await
}

/// Asks whether a topic could be created; nothing is changed.
///
/// # Errors
/// What the broker answers.
pub async fn could_create(client: &mut Client, topic: &NewTopic<'_>) -> Result<()> {
    ask_to_create(client, topic, true).await
}

async fn ask_to_create(client: &mut Client, topic: &NewTopic<'_>, validate_only: bool) -> Result<()> {
    let configs = topic.configs.iter().map(|(key, value)| CreatableTopicConfig {
        name: StrBytes::from(key.as_str()),
        value: Some(StrBytes::from(value.as_str())),
    });
    let creatable = CreatableTopic {
        name: StrBytes::from(topic.name),
        num_partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        configs: configs.collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![creatable], timeout_ms: TIMEOUT_MS, validate_only };
    let response = client.ask_any(&request).await?;
    let result = response.topics.first().context("the broker left the topic out")?;
    check(result.error_code, result.error_message.as_ref())
        .with_context(|| format!("cannot create {}", topic.name))
}

/// Deletes a topic.
///
/// # Errors
/// What the broker answers.
pub async fn delete(client: &mut Client, name: &str) -> Result<()> {
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: Some(StrBytes::from(name)), ..DeleteTopicState::default() }],
        topic_names: Vec::new(),
        timeout_ms: TIMEOUT_MS,
    };
    let response = client.ask_any(&request).await?;
    let result = response.responses.first().context("the broker left the topic out")?;
    check(result.error_code, result.error_message.as_ref()).with_context(|| format!("cannot delete {name}"))
}

/// All topics.
///
/// # Errors
/// What the broker answers.
pub async fn list(client: &mut Client) -> Result<Rows> {
    let mut rows = Rows::new(["topic", "partitions", "replicas", "under-replicated", "without leader"]);
    let mut topics = client.metadata(None).await?.topics;
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    for topic in &topics {
        let count = |of: fn(&crate::wire::messages::metadata::MetadataResponsePartition) -> bool| {
            topic.partitions.iter().filter(|p| of(p)).count().into()
        };
        rows.add([
            topic.name.as_deref().unwrap_or_default().into(),
            topic.partitions.len().into(),
            topic.partitions.first().map_or(0, |p| p.replica_nodes.len()).into(),
            count(|p| p.isr_nodes.len() < p.replica_nodes.len()),
            count(|p| p.leader_id < 0),
        ]);
    }
    Ok(rows)
}

/// All partitions of all topics.
///
/// # Errors
/// What the broker answers.
pub async fn partitions(client: &mut Client) -> Result<Rows> {
    let mut rows = Rows::new(["topic", "partition", "leader", "epoch", "replicas", "in sync"]);
    for topic in client.metadata(None).await?.topics {
        for p in topic.partitions {
            rows.add([
                topic.name.as_deref().into(),
                p.partition_index.into(),
                p.leader_id.into(),
                p.leader_epoch.into(),
                p.replica_nodes.into(),
                p.isr_nodes.into(),
            ]);
        }
    }
    Ok(rows)
}

async fn describe(client: &mut Client, name: &str, output: Output) -> Result<()> {
    let mut topic = client.topic(name).await?;
    let mut rows = Rows::new(["partition", "leader", "epoch", "replicas", "in sync"]);
    topic.partitions.sort_by_key(|p| p.partition_index);
    for p in &topic.partitions {
        rows.add([
            p.partition_index.into(),
            if p.leader_id < 0 { Value::Null } else { p.leader_id.into() },
            p.leader_epoch.into(),
            p.replica_nodes.clone().into(),
            p.isr_nodes.clone().into(),
        ]);
    }
    let configs = configs(client, name).await?;
    match output {
        Output::Json => print_json(&serde_json::json!({
            "topic": name,
            "id": topic.topic_id.to_string(),
            "partitions": rows.to_json(),
            "configs": configs.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        })),
        Output::Table => {
            println!("topic {name}  id {}\n{}", topic.topic_id, rows.to_table());
            for (key, value) in configs {
                println!("{key}={value}");
            }
        }
    }
    Ok(())
}

/// The configs that were set on the topic itself.
///
/// # Errors
/// What the cluster answers.
pub async fn configs(client: &mut Client, name: &str) -> Result<Vec<(String, String)>> {
    let resource = DescribeConfigsResource {
        resource_type: TOPIC_RESOURCE,
        resource_name: StrBytes::from(name),
        configuration_keys: None,
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
    let response = client.ask_any(&request).await?;
    let result = response.results.into_iter().next().context("the broker left the topic out")?;
    check(result.error_code, result.error_message.as_ref())?;
    let set = result.configs.into_iter().filter(|c| c.config_source == TOPIC_SOURCE);
    Ok(set.map(|c| (c.name.to_string(), c.value.unwrap_or_default().to_string())).collect())
}

/// A table in the house's look.
pub fn table<const N: usize>(columns: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(columns);
    table
}
