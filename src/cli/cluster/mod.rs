//! `esker cluster`: the brokers and the metadata quorum, and how brokers come and go.

mod plan;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use self::plan::{Candidate, Placed, Plan};
use super::client::{Client, ClusterArguments, check};
use super::topic::table;
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
use crate::wire::messages::metadata::MetadataResponse;
use crate::wire::messages::remove_raft_voter::RemoveRaftVoterRequest;
use crate::wire::messages::unregister_broker::UnregisterBrokerRequest;
use crate::wire::{ErrorCode, StrBytes};

/// What the configuration APIs call a broker.
const BROKER_RESOURCE: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const CORDON: &str = "cordoned.log.dirs";
const THROTTLES: [&str; 2] = ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];
const TIMEOUT_MS: i32 = 30_000;
/// Partitions of one request.
const BATCH: usize = 500;
/// Between two looks at how far a drain has come.
const LOOK: Duration = Duration::from_millis(500);

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
        Command::Describe { .. } => describe(client).await,
        Command::Drain { id, throttle, dry_run, .. } => drain(&env, client, id, throttle, dry_run).await,
        Command::Undrain { id, .. } => undrain(client, id).await,
        Command::Remove { id, .. } => remove(client, id).await,
        Command::AddVoter { id, .. } => {
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
            println!("broker {id} is a voter; name it in controller.quorum.voters of new brokers");
            Ok(())
        }
        Command::RemoveVoter { id, .. } => {
            remove_voter(client, id).await.with_context(|| format!("broker {id} keeps its vote"))?;
            println!("broker {id} is no voter any more; take it out of controller.quorum.voters");
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

async fn describe(client: &mut Client) -> Result<()> {
    let cluster = brokers(client).await?;
    let quorum = quorum(client).await?;
    let metadata = client.metadata(None).await?;
    println!(
        "cluster {}  metadata leader {}  term {}",
        cluster.cluster_id, quorum.leader_id, quorum.leader_epoch
    );
    let mut table = table([
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
            .map(|m| quorum.high_watermark.saturating_sub(m.log_end_offset).max(0).to_string());
        table.add_row([
            id.to_string(),
            format!("{}:{}", broker.host, broker.port),
            broker.rack.as_deref().unwrap_or("-").to_owned(),
            if broker.is_fenced { "fenced" } else { "alive" }.to_owned(),
            partitions().filter(|p| p.leader_id == id).count().to_string(),
            partitions().filter(|p| p.replica_nodes.contains(&id)).count().to_string(),
            part.to_owned(),
            behind.unwrap_or_else(|| "unknown".to_owned()),
        ]);
    }
    println!("{table}");
    Ok(())
}

fn placed(metadata: &MetadataResponse) -> Vec<Placed> {
    let of_topic = |topic: &crate::wire::messages::metadata::MetadataResponseTopic| {
        let name = topic.name.as_deref().unwrap_or_default().to_owned();
        let partitions = topic.partitions.iter().map(move |p| Placed {
            topic: name.clone(),
            partition: p.partition_index,
            replicas: p.replica_nodes.clone(),
        });
        partitions.collect::<Vec<_>>()
    };
    metadata.topics.iter().flat_map(of_topic).collect()
}

async fn drain(env: &Env, client: &mut Client, id: i32, throttle: Option<u64>, dry_run: bool) -> Result<()> {
    let cluster = brokers(client).await?;
    let known: Vec<i32> = cluster.brokers.iter().map(|b| b.broker_id).collect();
    if !known.contains(&id) {
        bail!("there is no broker {id}; the cluster has {known:?}");
    }
    let metadata = client.metadata(None).await?;
    let candidates: Vec<Candidate> = cluster
        .brokers
        .iter()
        .filter(|b| !b.is_fenced)
        .map(|b| Candidate { id: b.broker_id, rack: b.rack.as_deref().map(str::to_owned) })
        .collect();
    let Plan { moves, stuck } = plan::drain(id, &candidates, &placed(&metadata));
    if let Some(first) = stuck.first() {
        bail!(
            "{} partitions have a replica on every broker that is alive, the first is {}-{}; nothing was changed: add a \
             broker, or give these topics fewer replicas",
            stuck.len(),
            first.topic,
            first.partition
        );
    }
    if dry_run {
        let mut table = table(["topic", "partition", "replicas then"]);
        for moved in &moves {
            let ids: Vec<_> = moved.replicas.iter().map(ToString::to_string).collect();
            table.add_row([moved.topic.clone(), moved.partition.to_string(), ids.join(" ")]);
        }
        println!("{table}\n{} partitions would move away from broker {id}", moves.len());
        return Ok(());
    }
    configure(client, id, &[(CORDON, Some("*".to_owned()))])
        .await
        .context("the broker cannot be cordoned")?;
    let rates: Vec<_> = THROTTLES.map(|key| (key, throttle.map(|rate| rate.to_string()))).into();
    if throttle.is_some() {
        for broker in &known {
            configure(client, *broker, &rates).await.context("the throttle cannot be set")?;
        }
    }
    for some in moves.chunks(BATCH) {
        reassign(client, some.iter().map(|m| (m, Some(m.replicas.clone())))).await?;
    }
    let outcome = wait_until_empty(env, client, id, moves.len()).await;
    if throttle.is_some() {
        for broker in &known {
            configure(client, *broker, &THROTTLES.map(|key| (key, None))).await?;
        }
    }
    outcome?;
    println!("broker {id} holds nothing any more; stop it, then: esker cluster remove {id}");
    Ok(())
}

/// Says how far it has come, whenever that changes.
async fn wait_until_empty(env: &Env, client: &mut Client, id: i32, moves: usize) -> Result<()> {
    let mut before = None;
    loop {
        let metadata = client.metadata(None).await?;
        let left = placed(&metadata).iter().filter(|p| p.replicas.contains(&id)).count();
        if before != Some(left) {
            println!("{} of {moves} partitions have moved", moves.saturating_sub(left));
            before = Some(left);
        }
        if left == 0 {
            return Ok(());
        }
        env.clock.sleep(LOOK).await;
    }
}

async fn undrain(client: &mut Client, id: i32) -> Result<()> {
    configure(client, id, &[(CORDON, None)]).await?;
    let metadata = client.metadata(None).await?;
    let held: Vec<Placed> = placed(&metadata).into_iter().filter(|p| p.replicas.contains(&id)).collect();
    let mut cancelled = 0;
    for some in held.chunks(BATCH) {
        cancelled += reassign(client, some.iter().map(|m| (m, None))).await?;
    }
    println!("broker {id} takes replicas again; {cancelled} moves were cancelled");
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

async fn configure(client: &mut Client, id: i32, changes: &[(&str, Option<String>)]) -> Result<()> {
    let configs = changes.iter().map(|(name, value)| AlterableConfig {
        name: StrBytes::from(*name),
        config_operation: if value.is_some() { SET } else { DELETE },
        value: value.as_deref().map(StrBytes::from),
    });
    let resource = AlterConfigsResource {
        resource_type: BROKER_RESOURCE,
        resource_name: StrBytes::from(id.to_string().as_str()),
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

async fn remove(client: &mut Client, id: i32) -> Result<()> {
    let cluster = brokers(client).await?;
    let Some(broker) = cluster.brokers.iter().find(|b| b.broker_id == id) else {
        bail!("there is no broker {id} in the cluster");
    };
    if !broker.is_fenced {
        bail!("broker {id} is alive: stop it first");
    }
    let held = placed(&client.metadata(None).await?).iter().filter(|p| p.replicas.contains(&id)).count();
    if held > 0 {
        bail!("broker {id} is a replica of {held} partitions: first esker cluster drain {id}");
    }
    let voters: BTreeSet<i32> = quorum(client).await?.current_voters.iter().map(|v| v.replica_id).collect();
    if voters.contains(&id) {
        remove_voter(client, id).await.with_context(|| format!("broker {id} keeps its vote"))?;
    }
    let response = client.ask_any(&UnregisterBrokerRequest { broker_id: id }).await?;
    check(response.error_code, response.error_message.as_ref())?;
    println!("broker {id} is out of the cluster");
    Ok(())
}
