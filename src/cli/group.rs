//! `esker group`: consumer groups of both protocols, their offsets and lag.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::client::records::{EARLIEST, LATEST, Led};
use super::client::{Client, ClusterArguments, check};
use super::report::{Output, Rows, done, print_json};
use super::times;
use crate::env::Env;
use crate::wire::StrBytes;
use crate::wire::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use crate::wire::messages::delete_groups::DeleteGroupsRequest;
use crate::wire::messages::describe_groups::DescribeGroupsRequest;
use crate::wire::messages::list_groups::ListGroupsRequest;

/// How a group of the consumer protocol is listed.
const CONSUMER: &str = "consumer";

/// Arguments of `esker group`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Lists all groups.
    List {
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Shows a group's members, and for each partition what is committed and how far behind that is.
    Describe {
        /// The group.
        group: String,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Moves what a group without members has committed.
    ResetOffsets {
        /// The group.
        group: String,
        /// Topics, or `topic:partition`s; all that the group has committed to if absent.
        #[arg(long = "topic", value_name = "TOPIC[:PARTITION]")]
        topics: Vec<String>,
        #[command(flatten)]
        to: To,
        /// Only shows what would be committed.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Deletes a group that has no members, with its offsets.
    Delete {
        /// The group.
        group: String,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
}

/// Where to.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
struct To {
    /// The first record that there is.
    #[arg(long)]
    to_earliest: bool,
    /// The end.
    #[arg(long)]
    to_latest: bool,
    /// An offset; kept within what there is.
    #[arg(long, value_name = "OFFSET")]
    to_offset: Option<i64>,
    /// So many records on, or back; kept within what there is.
    #[arg(long, value_name = "RECORDS", allow_hyphen_values = true)]
    shift_by: Option<i64>,
    /// The first record at or after a time: `2026-01-31T13:00:00Z`, or milliseconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = times::parse)]
    to_time: Option<i64>,
}

/// Does what is asked for.
///
/// # Errors
/// What the brokers answer.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::List { cluster } => list(&mut Client::new(&env, &cluster)?).await?.print(cluster.output),
        Command::Describe { group, cluster } => {
            describe(&mut Client::new(&env, &cluster)?, &group, cluster.output).await?;
        }
        Command::ResetOffsets { group, topics, to, dry_run, cluster } => {
            let mut client = Client::new(&env, &cluster)?;
            let (rows, offsets) = plan(&mut client, &group, &topics, &to).await?;
            if !dry_run {
                client.commit(&group, &offsets).await.context("nothing was changed")?;
            }
            rows.print(cluster.output);
            if dry_run && cluster.output == Output::Table {
                println!("a dry run: nothing was changed");
            }
        }
        Command::Delete { group, cluster } => {
            let mut client = Client::new(&env, &cluster)?;
            let request = DeleteGroupsRequest { groups_names: vec![StrBytes::from(group.as_str())] };
            let response = client.ask_coordinator(&group, &request).await?;
            let result = response.results.first().context("the broker left the group out")?;
            check(result.error_code, None).with_context(|| format!("cannot delete group {group}"))?;
            done(cluster.output, "deleted", &group);
        }
    }
    Ok(())
}

/// All groups of all brokers.
///
/// # Errors
/// What the brokers answer.
pub async fn list(client: &mut Client) -> Result<Rows> {
    let brokers: Vec<i32> = client.metadata(Some(&[])).await?.brokers.iter().map(|b| b.node_id).collect();
    let mut found = BTreeMap::new();
    for broker in brokers {
        let response = client.ask_broker(broker, &ListGroupsRequest::default()).await?;
        check(response.error_code, None).with_context(|| format!("groups of broker {broker}"))?;
        for group in response.groups {
            found.insert(group.group_id.to_string(), (group.group_type, group.group_state, broker));
        }
    }
    let mut rows = Rows::new(["group", "protocol", "state", "coordinator"]);
    for (name, (kind, state, broker)) in found {
        rows.add([name.into(), kind.as_str().into(), state.as_str().into(), broker.into()]);
    }
    Ok(rows)
}

async fn describe(client: &mut Client, group: &str, output: Output) -> Result<()> {
    let (state, members) = members(client, group).await?;
    let committed = client.committed(group).await?;
    let mut offsets = Rows::new(["topic", "partition", "committed", "end", "lag"]);
    let mut total = 0;
    for ((topic, partition), offset) in &committed {
        let end = match led(client, topic, *partition).await {
            Ok(led) => Some(client.offset_for(&led, LATEST).await?),
            // Of a topic that is gone the offsets stay for a while.
            Err(_) => None,
        };
        let lag = end.map(|end| (end - offset).max(0));
        total += lag.unwrap_or(0);
        offsets.add([topic.as_str().into(), (*partition).into(), (*offset).into(), end.into(), lag.into()]);
    }
    match output {
        Output::Json => print_json(&json!({
            "group": group, "state": state, "lag": total,
            "members": members.to_json(), "offsets": offsets.to_json(),
        })),
        Output::Table => {
            println!("group {group}  state {state}  lag {total}");
            println!("{}\n{}", members.to_table(), offsets.to_table());
        }
    }
    Ok(())
}

/// The group's state, and a row for each member.
async fn members(client: &mut Client, group: &str) -> Result<(String, Rows)> {
    let mut rows = Rows::new(["member", "client", "host", "partitions"]);
    let listed = list(client).await?.to_json();
    let listed = listed.as_array().and_then(|all| all.iter().find(|one| one["group"] == group).cloned());
    let Some(listed) = listed else { bail!("there is no group {group}") };
    if listed["protocol"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(CONSUMER)) {
        let request = ConsumerGroupDescribeRequest {
            group_ids: vec![StrBytes::from(group)],
            include_authorized_operations: false,
        };
        let response = client.ask_coordinator(group, &request).await?;
        let found = response.groups.into_iter().next().context("the broker left the group out")?;
        check(found.error_code, found.error_message.as_ref())?;
        for member in &found.members {
            let assigned = member.assignment.topic_partitions.iter().flat_map(|topic| {
                topic.partitions.iter().map(|p| Value::from(format!("{}-{p}", topic.topic_name)))
            });
            let assigned: Vec<Value> = assigned.collect();
            rows.add([
                member.member_id.as_str().into(),
                member.client_id.as_str().into(),
                member.client_host.as_str().into(),
                assigned.into(),
            ]);
        }
        return Ok((found.group_state.to_string(), rows));
    }
    let request =
        DescribeGroupsRequest { groups: vec![StrBytes::from(group)], ..DescribeGroupsRequest::default() };
    let response = client.ask_coordinator(group, &request).await?;
    let found = response.groups.into_iter().next().context("the broker left the group out")?;
    check(found.error_code, found.error_message.as_ref())?;
    for member in &found.members {
        rows.add([
            member.member_id.as_str().into(),
            member.client_id.as_str().into(),
            member.client_host.as_str().into(),
            // What is in it is between the members.
            Value::Null,
        ]);
    }
    Ok((found.group_state.to_string(), rows))
}

async fn led(client: &mut Client, topic: &str, partition: i32) -> Result<Led> {
    let all = client.led_partitions(topic).await?;
    let found = all.into_iter().find(|led| led.partition == partition);
    found.with_context(|| format!("there is no partition {topic}-{partition}"))
}

/// What would be committed: rows to show, and the offsets.
async fn plan(
    client: &mut Client,
    group: &str,
    topics: &[String],
    to: &To,
) -> Result<(Rows, BTreeMap<(String, i32), i64>)> {
    let committed = client.committed(group).await?;
    let mut wanted: Vec<Led> = Vec::new();
    if topics.is_empty() {
        for (topic, partition) in committed.keys() {
            wanted.push(led(client, topic, *partition).await?);
        }
    }
    for named in topics {
        match named.rsplit_once(':') {
            Some((topic, partition)) => {
                let partition =
                    partition.parse().with_context(|| format!("`{named}` is not topic:partition"))?;
                wanted.push(led(client, topic, partition).await?);
            }
            None => wanted.extend(client.led_partitions(named).await?),
        }
    }
    ensure!(!wanted.is_empty(), "group {group} has committed nothing: name the topics with --topic");
    let mut rows = Rows::new(["topic", "partition", "committed", "then"]);
    let mut offsets = BTreeMap::new();
    for led in &wanted {
        let (first, end) = (client.offset_for(led, EARLIEST).await?, client.offset_for(led, LATEST).await?);
        let before = committed.get(&(led.topic.clone(), led.partition)).copied();
        let then = match to {
            To { to_earliest: true, .. } => first,
            To { to_latest: true, .. } => end,
            To { to_offset: Some(offset), .. } => (*offset).clamp(first, end),
            To { shift_by: Some(records), .. } => {
                let place = format!("{}-{}", led.topic, led.partition);
                let before = before.with_context(|| format!("nothing is committed for {place}"))?;
                before.saturating_add(*records).clamp(first, end)
            }
            To { to_time: Some(time), .. } => match client.offset_for(led, *time).await? {
                // Nothing so late is there yet.
                ..0 => end,
                offset => offset,
            },
            _ => bail!("say where to"),
        };
        rows.add([led.topic.as_str().into(), led.partition.into(), before.into(), then.into()]);
        offsets.insert((led.topic.clone(), led.partition), then);
    }
    Ok((rows, offsets))
}
