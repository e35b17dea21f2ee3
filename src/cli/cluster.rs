//! `esker cluster`: the brokers and the metadata quorum, and how brokers come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::client::{Client, ClusterArguments, check};
use super::reassign::placed;
use super::reassign::plan::{Placed, empty};
use super::report::{Output, Rows, print_json, say};
use crate::env::Env;
use crate::wire::messages::add_raft_voter::AddRaftVoterRequest;
use crate::wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use crate::wire::messages::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use crate::wire::messages::describe_quorum::{
    DescribeQuorumRequest, PartitionData, PartitionDataResult, ReplicaState, TopicData,
};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use crate::wire::messages::list_partition_reassignments::ListPartitionReassignmentsRequest;
use crate::wire::messages::remove_raft_voter::RemoveRaftVoterRequest;
use crate::wire::messages::unregister_broker::UnregisterBrokerRequest;
use crate::wire::{ErrorCode, StrBytes};

/// What the configuration APIs call a broker, and a topic.
const BROKER_RESOURCE: i8 = 4;
const TOPIC_RESOURCE: i8 = 2;
const SET: i8 = 0;
const DELETE: i8 = 1;
const CORDON: &str = "cordoned.log.dirs";
const THROTTLES: [&str; 2] = ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];
const THROTTLED_REPLICAS: &str = "leader.replication.throttled.replicas";
const TIMEOUT_MS: i32 = 30_000;
/// Partitions of one request.
const BATCH: usize = 500;
/// Between two looks at how far a drain has come.
const LOOK: Duration = Duration::from_millis(500);
/// Looks in a row that show nothing under way before a drain is given up: the broker that is asked may lag.
const LOOKS_AT_NOTHING: usize = 6;

/// Arguments of `esker cluster`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Shows the brokers, what they hold, and their part in the metadata quorum.
    Describe {
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Moves all replicas away from a broker and places no new ones on it; waits until it holds nothing.
    Drain {
        /// The broker.
        id: i32,
        /// Copy at most so many bytes a second from each broker.
        #[arg(long, value_name = "BYTES/S")]
        throttle: Option<u64>,
        /// Only show what would move.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Lets a drained broker take replicas again, and cancels what is still moving away from it.
    Undrain {
        /// The broker.
        id: i32,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Takes a stopped broker that holds nothing out of the cluster, its vote too.
    Remove {
        /// The broker.
        id: i32,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Makes a broker a voter of the metadata quorum.
    AddVoter {
        /// The broker; it must be running.
        id: i32,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Takes a broker's vote in the metadata quorum away; it goes on as a broker.
    RemoveVoter {
        /// The broker.
        id: i32,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
}

impl Command {
    fn cluster(&self) -> &ClusterArguments {
        match self {
            Command::Describe { cluster }
            | Command::Drain { cluster, .. }
            | Command::Undrain { cluster, .. }
            | Command::Remove { cluster, .. }
            | Command::AddVoter { cluster, .. }
            | Command::RemoveVoter { cluster, .. } => cluster,
        }
    }
}

/// Does what is asked for.
///
/// # Errors
/// What the brokers answer.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    let mut client = Client::new(&env, arguments.command.cluster())?;
    let client = &mut client;
    match arguments.command {
        Command::Describe { cluster } => {
            let (head, rows) = describe(client).await?;
            match cluster.output {
                Output::Json => {
                    let mut told = head;
                    told["brokers"] = rows.to_json();
                    print_json(&told);
                }
                Output::Table => println!(
                    "cluster {}  metadata leader {}  term {}\n{}",
                    head["cluster"].as_str().unwrap_or_default(),
                    head["metadata_leader"],
                    head["term"],
                    rows.to_table()
                ),
            }
            Ok(())
        }
        Command::Drain { id, throttle, dry_run, cluster } => {
            drain(&env, client, id, Draining { throttle, dry_run, output: cluster.output }).await
        }
        Command::Undrain { id, cluster } => undrain(client, id, cluster.output).await,
        Command::Remove { id, cluster } => remove(client, id, cluster.output).await,
        Command::AddVoter { id, cluster } => {
            let cluster_id = Some(brokers(client).await?.cluster_id);
            let request = AddRaftVoterRequest {
                cluster_id,
                timeout_ms: TIMEOUT_MS,
                voter_id: id,
                ..AddRaftVoterRequest::default()
            };
            let response = client.ask_any(&request).await?;
            check(response.error_code, response.error_message.as_ref())
                .with_context(|| format!("broker {id} does not become a voter"))?;
            say(
                cluster.output,
                &format!("broker {id} is a voter; name it in controller.quorum.voters of new brokers"),
            );
            Ok(())
        }
        Command::RemoveVoter { id, cluster } => {
            remove_voter(client, id).await.with_context(|| format!("broker {id} keeps its vote"))?;
            let text = format!("broker {id} is no voter any more; take it out of controller.quorum.voters");
            say(cluster.output, &text);
            Ok(())
        }
    }
}

async fn brokers(client: &mut Client) -> Result<DescribeClusterResponse> {
    let request = DescribeClusterRequest {
        endpoint_type: 1,
        include_fenced_brokers: true,
        ..DescribeClusterRequest::default()
    };
    let response = client.ask_any(&request).await?;
    check(response.error_code, response.error_message.as_ref())?;
    Ok(response)
}

async fn quorum(client: &mut Client) -> Result<PartitionDataResult> {
    let topic = TopicData {
        topic_name: StrBytes::from("__cluster_metadata"),
        partitions: vec![PartitionData { partition_index: 0 }],
    };
    let response = client.ask_any(&DescribeQuorumRequest { topics: vec![topic] }).await?;
    check(response.error_code, response.error_message.as_ref()).context("the metadata quorum")?;
    let partition = response.topics.into_iter().flat_map(|t| t.partitions).next();
    let partition = partition.context("the broker left the quorum out")?;
    check(partition.error_code, partition.error_message.as_ref()).context("the metadata quorum")?;
    Ok(partition)
}

/// The cluster and its quorum, and a row for each broker.
///
/// # Errors
/// What the brokers answer.
pub async fn describe(client: &mut Client) -> Result<(Value, Rows)> {
    let cluster = brokers(client).await?;
    let quorum = quorum(client).await?;
    let metadata = client.metadata(None).await?;
    let head = json!({
        "cluster": cluster.cluster_id.as_str(), "metadata_leader": quorum.leader_id, "term": quorum.leader_epoch,
    });
    let mut rows = Rows::new([
        "broker",
        "address",
        "rack",
        "state",
        "leads",
        "replicas",
        "metadata quorum",
        "entries behind",
    ]);
    for broker in &cluster.brokers {
        let id = broker.broker_id;
        let partitions = || metadata.topics.iter().flat_map(|t| &t.partitions);
        let found = |members: &[ReplicaState]| members.iter().find(|m| m.replica_id == id).cloned();
        let (part, member) = match (found(&quorum.current_voters), found(&quorum.observers)) {
            (Some(voter), _) if id == quorum.leader_id => ("leader", Some(voter)),
            (Some(voter), _) => ("voter", Some(voter)),
            (None, Some(observer)) => ("observer", Some(observer)),
            (None, None) => ("none", None),
        };
        let behind = member
            .filter(|m| m.log_end_offset >= 0)
            .map(|m| quorum.high_watermark.saturating_sub(m.log_end_offset).max(0));
        rows.add([
            id.into(),
            format!("{}:{}", broker.host, broker.port).into(),
            broker.rack.as_deref().into(),
            (if broker.is_fenced { "fenced" } else { "alive" }).into(),
            partitions().filter(|p| p.leader_id == id).count().into(),
            partitions().filter(|p| p.replica_nodes.contains(&id)).count().into(),
            part.into(),
            behind.map_or_else(|| "unknown".into(), Value::from),
        ]);
    }
    Ok((head, rows))
}

/// How to drain.
struct Draining {
    throttle: Option<u64>,
    dry_run: bool,
    output: Output,
}

async fn drain(env: &Env, client: &mut Client, id: i32, how: Draining) -> Result<()> {
    let Draining { throttle, dry_run, output } = how;
    let cluster = brokers(client).await?;
    let known: Vec<i32> = cluster.brokers.iter().map(|b| b.broker_id).collect();
    if !known.contains(&id) {
        bail!("there is no broker {id}; the cluster has {known:?}");
    }
    let metadata = client.metadata(None).await?;
    let alive: BTreeMap<i32, Option<String>> = cluster
        .brokers
        .iter()
        .filter(|b| !b.is_fenced)
        .map(|b| (b.broker_id, b.rack.as_deref().map(str::to_owned)))
        .collect();
    let moves = empty(id, &placed(&metadata)?, &alive)
        .context("nothing was changed: add a broker, or give such topics fewer replicas")?;
    if dry_run {
        let mut rows = Rows::new(["topic", "partition", "replicas then"]);
        for moved in &moves {
            rows.add([moved.topic.as_str().into(), moved.partition.into(), moved.replicas.clone().into()]);
        }
        rows.print(output);
        if output == Output::Table {
            println!("{} partitions would move away from broker {id}", moves.len());
        }
        return Ok(());
    }
    configure(client, BROKER_RESOURCE, &id.to_string(), &[(CORDON, Some("*".to_owned()))])
        .await
        .context("the broker cannot be cordoned")?;
    let throttled = throttled(&placed(&metadata)?, &moves);
    if let Some(rate) = throttle {
        let set = set_throttles(client, &known, &throttled, rate).await;
        if let Err(error) = set {
            // Half of it is worse than none.
            let away = take_throttles_away(client, &known, &throttled).await;
            let error = error.context("the throttle cannot be set, and nothing was moved");
            return Err(away.err().into_iter().fold(error, |error, stays| error.context(stays.to_string())));
        }
    }
    let outcome = async {
        for some in moves.chunks(BATCH) {
            reassign(client, some.iter().map(|m| (m, Some(m.replicas.clone())))).await?;
        }
        wait_until_empty(env, client, id, moves.len(), output).await
    };
    let outcome = outcome.await;
    if throttle.is_some() {
        let away = take_throttles_away(client, &known, &throttled).await;
        // What happened first is worth more than what could not be cleared after it.
        if let (Ok(()), Err(error)) = (&outcome, away) {
            return Err(error);
        }
    }
    outcome?;
    say(output, &format!("broker {id} holds nothing any more; stop it, then: esker cluster remove {id}"));
    Ok(())
}

/// What `leader.replication.throttled.replicas` must say for each topic: whoever may lead what moves.
fn throttled(placed: &[Placed], moves: &[Placed]) -> BTreeMap<String, String> {
    let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for moved in moves {
        let now = placed.iter().filter(|p| p.topic == moved.topic && p.partition == moved.partition);
        let list = lists.entry(moved.topic.clone()).or_default();
        list.extend(now.flat_map(|p| &p.replicas).map(|replica| format!("{}:{replica}", moved.partition)));
    }
    lists.into_iter().map(|(topic, list)| (topic, list.join(","))).collect()
}

/// Sets what brokers may copy to replicas that are not in sync.
async fn set_throttles(
    client: &mut Client,
    brokers: &[i32],
    topics: &BTreeMap<String, String>,
    rate: u64,
) -> Result<()> {
    for (topic, list) in topics {
        let changes = [(THROTTLED_REPLICAS, Some(list.clone()))];
        configure(client, TOPIC_RESOURCE, topic, &changes).await?;
    }
    for broker in brokers {
        let changes = THROTTLES.map(|key| (key, Some(rate.to_string())));
        configure(client, BROKER_RESOURCE, &broker.to_string(), &changes).await?;
    }
    Ok(())
}

/// Takes all of it away that can be, the rates first: a rate that stays would hold back every replica that lags. A topic that was
/// deleted meanwhile has none.
async fn take_throttles_away(
    client: &mut Client,
    brokers: &[i32],
    topics: &BTreeMap<String, String>,
) -> Result<()> {
    let mut stay = Vec::new();
    for broker in brokers {
        let changes = THROTTLES.map(|key| (key, None));
        if let Err(error) = configure(client, BROKER_RESOURCE, &broker.to_string(), &changes).await {
            stay.push(format!("broker {broker}: {error:#}"));
        }
    }
    let left = client.metadata(None).await.map(|metadata| {
        let names = metadata.topics.iter().filter_map(|t| t.name.as_ref());
        names.map(ToString::to_string).collect::<BTreeSet<_>>()
    });
    for topic in topics.keys() {
        if left.as_ref().is_ok_and(|names| !names.contains(topic)) {
            continue;
        }
        let changes = [(THROTTLED_REPLICAS, None)];
        if let Err(error) = configure(client, TOPIC_RESOURCE, topic, &changes).await {
            stay.push(format!("topic {topic}: {error:#}"));
        }
    }
    ensure!(
        stay.is_empty(),
        "throttles stay: {}; take them away with `esker config unset --broker ID {}` and `--topic NAME {THROTTLED_REPLICAS}`",
        stay.join("; "),
        THROTTLES.join(" ")
    );
    Ok(())
}

/// Says how far it has come, whenever that changes. Ends with an error when somebody cancels what has not moved yet.
async fn wait_until_empty(
    env: &Env,
    client: &mut Client,
    id: i32,
    moves: usize,
    output: Output,
) -> Result<()> {
    let mut before = None;
    let mut at_rest = 0;
    loop {
        let metadata = client.metadata(None).await?;
        let left = placed(&metadata)?.iter().filter(|p| p.replicas.contains(&id)).count();
        if before != Some(left) {
            say(output, &format!("{} of {moves} partitions have moved", moves.saturating_sub(left)));
            before = Some(left);
        }
        if left == 0 {
            return Ok(());
        }
        let under_way = client.ask_any(&ListPartitionReassignmentsRequest::default()).await?;
        check(under_way.error_code, under_way.error_message.as_ref())?;
        let mut moving = under_way.topics.iter().flat_map(|t| &t.partitions);
        at_rest = if moving.any(|p| p.removing_replicas.contains(&id)) { 0 } else { at_rest + 1 };
        if at_rest >= LOOKS_AT_NOTHING {
            bail!("{left} partitions stay on broker {id}: their moves were cancelled");
        }
        env.clock.sleep(LOOK).await;
    }
}

async fn undrain(client: &mut Client, id: i32, output: Output) -> Result<()> {
    configure(client, BROKER_RESOURCE, &id.to_string(), &[(CORDON, None)]).await?;
    let metadata = client.metadata(None).await?;
    let held: Vec<Placed> = placed(&metadata)?.into_iter().filter(|p| p.replicas.contains(&id)).collect();
    let mut cancelled = 0;
    for some in held.chunks(BATCH) {
        cancelled += reassign(client, some.iter().map(|m| (m, None))).await?;
    }
    say(output, &format!("broker {id} takes replicas again; {cancelled} moves were cancelled"));
    Ok(())
}

/// Starts or cancels moves; what has nothing to cancel is not counted.
async fn reassign<'a>(
    client: &mut Client,
    moves: impl Iterator<Item = (&'a Placed, Option<Vec<i32>>)>,
) -> Result<usize> {
    let mut topics: Vec<ReassignableTopic> = Vec::new();
    for (placed, replicas) in moves {
        let partition = ReassignablePartition { partition_index: placed.partition, replicas };
        match topics.last_mut().filter(|t| *t.name == *placed.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(ReassignableTopic {
                name: StrBytes::from(placed.topic.as_str()),
                partitions: vec![partition],
            }),
        }
    }
    let request = AlterPartitionReassignmentsRequest {
        timeout_ms: TIMEOUT_MS,
        topics,
        ..AlterPartitionReassignmentsRequest::default()
    };
    let response = client.ask_any(&request).await?;
    check(response.error_code, response.error_message.as_ref())?;
    let mut done = 0;
    for topic in &response.responses {
        for partition in &topic.partitions {
            if partition.error_code == ErrorCode::NO_REASSIGNMENT_IN_PROGRESS {
                continue;
            }
            check(partition.error_code, partition.error_message.as_ref())
                .with_context(|| format!("{}-{}", topic.name, partition.partition_index))?;
            done += 1;
        }
    }
    Ok(done)
}

async fn configure(
    client: &mut Client,
    resource_type: i8,
    name: &str,
    changes: &[(&str, Option<String>)],
) -> Result<()> {
    let configs = changes.iter().map(|(key, value)| AlterableConfig {
        name: StrBytes::from(*key),
        config_operation: if value.is_some() { SET } else { DELETE },
        value: value.as_deref().map(StrBytes::from),
    });
    let resource = AlterConfigsResource {
        resource_type,
        resource_name: StrBytes::from(name),
        configs: configs.collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let response = client.ask_any(&request).await?;
    let result = response.responses.first().context("the broker left the resource out")?;
    check(result.error_code, result.error_message.as_ref())
}

async fn remove_voter(client: &mut Client, id: i32) -> Result<()> {
    let cluster_id = Some(brokers(client).await?.cluster_id);
    let request = RemoveRaftVoterRequest { cluster_id, voter_id: id, ..RemoveRaftVoterRequest::default() };
    let response = client.ask_any(&request).await?;
    check(response.error_code, response.error_message.as_ref())
}

async fn remove(client: &mut Client, id: i32, output: Output) -> Result<()> {
    let cluster = brokers(client).await?;
    let Some(broker) = cluster.brokers.iter().find(|b| b.broker_id == id) else {
        bail!("there is no broker {id} in the cluster");
    };
    if !broker.is_fenced {
        bail!("broker {id} is alive: stop it first");
    }
    let held = placed(&client.metadata(None).await?)?.iter().filter(|p| p.replicas.contains(&id)).count();
    if held > 0 {
        bail!("broker {id} is a replica of {held} partitions: first esker cluster drain {id}");
    }
    let voters: BTreeSet<i32> = quorum(client).await?.current_voters.iter().map(|v| v.replica_id).collect();
    if voters.contains(&id) {
        remove_voter(client, id).await.with_context(|| format!("broker {id} keeps its vote"))?;
    }
    let response = client.ask_any(&UnregisterBrokerRequest { broker_id: id }).await?;
    check(response.error_code, response.error_message.as_ref())?;
    say(output, &format!("broker {id} is out of the cluster"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_lead_what_moves_is_throttled_and_nobody_else() {
        let placed = |topic: &str, partition, replicas: &[i32]| Placed {
            topic: topic.to_owned(),
            partition,
            replicas: replicas.to_vec(),
        };
        let now =
            [placed("a", 0, &[1, 2]), placed("a", 1, &[2, 3]), placed("a", 2, &[1, 3]), placed("b", 0, &[3])];
        let moves = [placed("a", 0, &[4, 2]), placed("a", 2, &[4, 3])];
        let lists = throttled(&now, &moves);
        assert_eq!(lists, BTreeMap::from([("a".to_owned(), "0:1,0:2,2:1,2:3".to_owned())]));
    }
}
