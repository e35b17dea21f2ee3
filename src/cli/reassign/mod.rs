//! `esker reassign`: spreads replicas over brokers (KIP-455), moving as few as it takes.
//!
//! `plan` decides; this asks the cluster where things are, tells it where they should be, and waits until they are there.

pub mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use self::plan::{Placed, plan};
use super::client::{Client, ClusterArguments, check};
use super::report::{Output, Rows, progress, say};
use crate::env::{Env, timeout};
use crate::wire::StrBytes;
use crate::wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use crate::wire::messages::list_partition_reassignments::ListPartitionReassignmentsRequest;
use crate::wire::messages::metadata::MetadataResponse;

/// Partitions that move at once: each costs its leader a catch-up.
const AT_ONCE: usize = 20;
const PAUSE: Duration = Duration::from_millis(300);

/// Arguments of `esker reassign`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Brokers that shall hold all replicas, separated by commas; default: all that run.
    #[arg(long, value_delimiter = ',', value_name = "ID,…")]
    brokers: Vec<i32>,
    /// Brokers that shall hold none, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "ID,…", conflicts_with = "brokers")]
    away_from: Vec<i32>,
    /// Says what would move.
    #[arg(long)]
    dry_run: bool,
    /// How long the moves may take, in seconds.
    #[arg(long, default_value_t = 86_400)]
    patience: u64,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Plans, tells, moves and waits.
///
/// # Errors
/// A broker that does not run, too few brokers for some topic, or what the cluster answers; then nothing has moved, or the
/// moves that were told go on by themselves.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    let mut client = Client::new(&env, &arguments.cluster)?;
    let metadata = client.metadata(None).await?;
    let set = chosen(&metadata, &arguments)?;
    let placed = placed(&metadata)?;
    let moves = plan(&placed, &set).context("nothing was changed")?;
    if moves.is_empty() {
        let text = format!("nothing to move: {} partitions on {} brokers", placed.len(), set.len());
        say(arguments.cluster.output, &text);
        return Ok(());
    }
    let before: BTreeMap<(&str, i32), &[i32]> =
        placed.iter().map(|p| ((p.topic.as_str(), p.partition), &p.replicas[..])).collect();
    let mut overview = Rows::new(["topic", "partition", "replicas", "moves to"]);
    for partition in &moves {
        let was = before.get(&(partition.topic.as_str(), partition.partition)).copied().unwrap_or_default();
        overview.add([
            partition.topic.as_str().into(),
            partition.partition.into(),
            was.into(),
            partition.replicas.clone().into(),
        ]);
    }
    let output = arguments.cluster.output;
    overview.print(output);
    if arguments.dry_run {
        if output == Output::Table {
            println!("a dry run: nothing was changed");
        }
        return Ok(());
    }
    let patience = Duration::from_secs(arguments.patience);
    let bar = progress(output, moves.len() as u64, "partitions");
    let all = async {
        for some in moves.chunks(AT_ONCE) {
            reassign(&mut client, some).await?;
            until_there(&env, &mut client, some).await?;
            bar.inc(some.len() as u64);
            bar.suspend(|| say(output, &format!("{} partitions have moved", some.len())));
        }
        bar.finish_and_clear();
        Ok(())
    };
    match timeout(&*env.clock, patience, all).await {
        Ok(done) => done,
        Err(_) => bail!("the replicas have not caught up in {patience:?}; what was begun goes on by itself"),
    }
}

/// The brokers that shall hold replicas, with their racks.
fn chosen(metadata: &MetadataResponse, arguments: &Arguments) -> Result<BTreeMap<i32, Option<String>>> {
    let running: BTreeMap<i32, Option<String>> =
        metadata.brokers.iter().map(|b| (b.node_id, b.rack.as_ref().map(|rack| rack.to_string()))).collect();
    let wanted: BTreeSet<i32> = if arguments.brokers.is_empty() {
        running.keys().copied().filter(|id| !arguments.away_from.contains(id)).collect()
    } else {
        arguments.brokers.iter().copied().collect()
    };
    let absent: Vec<String> =
        wanted.iter().filter(|id| !running.contains_key(id)).map(ToString::to_string).collect();
    ensure!(absent.is_empty(), "no broker {} runs; nothing was changed", absent.join(", "));
    ensure!(!wanted.is_empty(), "no broker is left; nothing was changed");
    Ok(running.into_iter().filter(|(id, _)| wanted.contains(id)).collect())
}

/// All partitions of the cluster with their replicas.
///
/// # Errors
/// A topic that the broker does not describe.
pub fn placed(metadata: &MetadataResponse) -> Result<Vec<Placed>> {
    let mut placed = Vec::new();
    for topic in &metadata.topics {
        let name = topic.name.as_deref().unwrap_or_default();
        check(topic.error_code, None).with_context(|| format!("topic {name}"))?;
        placed.extend(topic.partitions.iter().map(|p| Placed {
            topic: name.to_owned(),
            partition: p.partition_index,
            replicas: p.replica_nodes.clone(),
        }));
    }
    placed.sort();
    Ok(placed)
}

async fn reassign(client: &mut Client, moves: &[Placed]) -> Result<()> {
    let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
    for partition in moves {
        topics.entry(&partition.topic).or_default().push(ReassignablePartition {
            partition_index: partition.partition,
            replicas: Some(partition.replicas.clone()),
        });
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| ReassignableTopic { name: StrBytes::from(name), partitions });
    let request = AlterPartitionReassignmentsRequest {
        topics: topics.collect(),
        allow_replication_factor_change: false,
        ..AlterPartitionReassignmentsRequest::default()
    };
    let response = client.ask_any(&request).await?;
    check(response.error_code, response.error_message.as_ref())?;
    for topic in &response.responses {
        for partition in &topic.partitions {
            check(partition.error_code, partition.error_message.as_ref())
                .with_context(|| format!("{}-{}", topic.name.as_str(), partition.partition_index))?;
        }
    }
    Ok(())
}

/// Waits until nothing of it is under way, and the replicas are where they should be.
async fn until_there(env: &Env, client: &mut Client, moves: &[Placed]) -> Result<()> {
    loop {
        let request = ListPartitionReassignmentsRequest::default();
        let under_way = client.ask_any(&request).await?;
        check(under_way.error_code, under_way.error_message.as_ref())?;
        if under_way.topics.is_empty() {
            let now: BTreeSet<Placed> = placed(&client.metadata(None).await?)?.into_iter().collect();
            if moves.iter().all(|wanted| now.contains(wanted)) {
                return Ok(());
            }
        }
        env.clock.sleep(PAUSE).await;
    }
}
