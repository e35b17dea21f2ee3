//! `esker tier restore`: a topic whose brokers are gone comes back from the bucket alone, in place and without a copy.
//!
//! ```text
//! bucket ─► what each partition holds (dry run: this far) ─► claim the next incarnation (put if absent)
//!        ─► create the topic in the new cluster with its old id, under leader epochs above all that the bucket knows
//!        ─► each leader begins at the tier's end: nothing is copied but epoch chain and producers' state
//!        ─► transactions whose ends are lost are aborted, or committed where the cluster's backup knows of it
//! ```
//! The new cluster has the old cluster's id (`cluster.id`), so the manifests go on. What was only on the lost brokers'
//! disks is gone: each partition ends where its tier ends, or with the whole cluster at its mark in a cut.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tiering::inspect::PartitionId;
use tiering::layout::PartitionFolder;
use tiering::owner;
use tiering::store::{SharedStore, StoreError};
use tiering::verify::{self, Depth, Findings};

use super::check;
use super::open_transactions::{self, Ended};
use super::transactions::Transactions;
use crate::broker::{CutMark, FIRST_PRODUCER_ID, INCARNATION, RESTORE_CONFIGS, RESTORE_CUT};
use crate::cli::client::{Client, ClusterArguments};
use crate::cli::report::{Output, Rows, say};
use crate::cli::topic::{NewTopic, could_create, create};
use crate::env::{Env, timeout};
use crate::wire::StrBytes;
use crate::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

/// The leader epochs begin so far above the highest that is known: elections that the bucket has not heard of.
const EPOCH_MARGIN: i32 = 1000;
/// How long the brokers may take to begin at the tier's end.
const PATIENCE: Duration = Duration::from_secs(120);
/// The same at a cut: each may have to read the batches of a segment first.
const CUT_PATIENCE: Duration = Duration::from_secs(1200);
/// As many producers may have come after the last upload.
const PRODUCER_ID_MARGIN: i64 = 1_000_000;
const LATEST: i64 = -1;
const BROKER_RESOURCE: i8 = 4;

/// What is to be restored, and how.
pub(super) struct Order<'a> {
    pub(super) topic: &'a str,
    pub(super) topic_id: Option<&'a str>,
    /// How many there were, where it is known: the last ones may have nothing in the tier.
    pub(super) partitions: Option<i32>,
    pub(super) replication_factor: i16,
    pub(super) configs: &'a [(String, String)],
    pub(super) dry_run: bool,
    /// With a restore of the whole cluster, whose new life has begun already.
    pub(super) of_cluster: Option<OfCluster<'a>>,
}

/// What a topic's restore is told by that of its cluster.
#[derive(Clone, Copy)]
pub(super) struct OfCluster<'a> {
    /// What the backup knows of transactions.
    pub(super) transactions: &'a Transactions,
    /// The number of the cut that the cluster comes back to.
    pub(super) cut: Option<u64>,
    /// Where the partitions end in it, as far as they are in it.
    pub(super) marks: &'a [CutMark],
}

/// Where a partition comes back to, and by what its open transactions are judged.
#[derive(Clone, Copy)]
pub(super) struct Ending<'a> {
    pub(super) end: i64,
    /// `None`: what is open there is aborted, whatever became of it since.
    pub(super) known: Option<&'a Transactions>,
}

impl<'a> Ending<'a> {
    fn of(partition: i32, tier_end: i64, of_cluster: Option<OfCluster<'a>>) -> Ending<'a> {
        let mark = usize::try_from(partition).ok().and_then(|at| of_cluster?.marks.get(at));
        match mark {
            Some(mark) => Ending { end: tier_end.min(mark.offset), known: None },
            None => Ending { end: tier_end, known: of_cluster.map(|of| of.transactions) },
        }
    }
}

/// Restores a topic, or says what would come back; returns it for programs.
///
/// # Errors
/// What the store or the cluster answers; a topic that is damaged, deleted, or there several times.
pub(super) async fn restore(
    env: &Env,
    store: &SharedStore,
    cluster: &ClusterArguments,
    order: Order<'_>,
) -> Result<Value> {
    let (topic, output) = (order.topic, cluster.output);
    let found = found(store, topic, order.topic_id).await?;
    let mut overview = Rows::new(["partition", "generation", "offsets", "segments", "highest epoch"]);
    let ending = |id: &PartitionId, at: &Findings| Ending::of(id.partition, at.tier_end, order.of_cluster);
    for (id, findings) in &found {
        let end = ending(id, findings).end;
        overview.add([
            id.partition.into(),
            findings.generation.into(),
            format!("{}..{end}", findings.log_start.min(end)).into(),
            findings.segments.into(),
            findings.highest_epoch.into(),
        ]);
    }
    let Some((first, _)) = found.first() else { bail!("there is nothing of topic {topic} in the tier") };
    let epoch = found.iter().map(|(_, findings)| findings.highest_epoch).max().unwrap_or(0) + EPOCH_MARGIN;
    let partitions =
        found.iter().map(|(id, _)| id.partition + 1).max().unwrap_or(0).max(order.partitions.unwrap_or(0));
    let table = overview.to_table();
    say(output, &format!("{topic}, id {}, of cluster {}\n{table}", first.topic_id, first.cluster_id));
    say(output, &format!("{partitions} partitions, leader epochs from {epoch} on"));
    let mut told = json!({
        "topic": topic,
        "topic_id": first.topic_id,
        "cluster_id": first.cluster_id,
        "partitions": overview.to_json(),
        "leader_epoch": epoch,
        "dry_run": order.dry_run,
    });
    told["open_transactions"] = tell_open(output, store, &found, order.of_cluster).await?.into();
    if order.dry_run {
        say(output, "a dry run: nothing was changed");
        return Ok(told);
    }
    let mut client = Client::new(env, cluster)?;
    let metadata = client.metadata(None).await?;
    let cluster_id = metadata.cluster_id.as_ref().map(|id| id.to_string()).unwrap_or_default();
    if cluster_id != first.cluster_id {
        bail!(
            "the brokers are cluster {cluster_id}; start the new cluster with cluster.id={}, so that its tier is this one",
            first.cluster_id
        );
    }
    let producer_id = first_free_producer_id(store, &found).await?;
    let mut configs: Vec<(String, String)> = vec![
        ("tier.restore.producer.id".to_owned(), producer_id.to_string()),
        ("remote.storage.enable".to_owned(), "true".to_owned()),
        ("tier.restore.topic.id".to_owned(), first.topic_id.clone()),
        ("tier.restore.leader.epoch".to_owned(), epoch.to_string()),
    ];
    let cut = order.of_cluster.and_then(|of| of.cut);
    configs.extend(cut.map(|number| (RESTORE_CUT.to_owned(), number.to_string())));
    // A topic that was restored before says so in its configs.
    let is_new = |key: &str| key == "remote.storage.enable" || RESTORE_CONFIGS.contains(&key);
    configs.extend(order.configs.iter().filter(|(key, _)| !is_new(key)).cloned());
    let replication_factor = order.replication_factor;
    let new = NewTopic { name: topic, partitions, replication_factor, configs: &configs };
    if order.of_cluster.is_none() {
        // A restore that is refused begins no life: it would stop brokers that go on elsewhere.
        could_create(&mut client, &new).await?;
        let incarnation = claim(store, &mut client, &first.cluster_id, producer_id).await?;
        say(output, &format!("incarnation {incarnation} of cluster {cluster_id}"));
    }
    create(&mut client, &new).await?;
    let patience = if cut.is_some() { CUT_PATIENCE } else { PATIENCE };
    let begun = until_begun(env, &mut client, topic, &found, order.of_cluster);
    match timeout(&*env.clock, patience, begun).await {
        Ok(ends) => {
            let ends = ends?;
            say(output, &format!("{topic} is back: {ends} offsets in {partitions} partitions"));
            told["offsets"] = ends.into();
        }
        Err(_) => {
            bail!("{topic} was created, but its leaders have not begun at its end in {patience:?}")
        }
    }
    let ended = end_open(env, &mut client, cluster, (topic, &found), order.of_cluster).await?;
    told["aborted_transactions"] = ended.aborted.into();
    told["committed_transactions"] = ended.committed.into();
    Ok(told)
}

/// Ends the transactions of a topic that is back already: what an attempt that broke off has left to do.
///
/// # Errors
/// What the store or the cluster answers.
pub(super) async fn finish(
    env: &Env,
    store: &SharedStore,
    client: &mut Client,
    cluster: &ClusterArguments,
    (topic, topic_id): (&str, &str),
    of_cluster: OfCluster<'_>,
) -> Result<()> {
    let found = found(store, topic, Some(topic_id)).await?;
    end_open(env, client, cluster, (topic, &found), Some(of_cluster)).await.map(|_| ())
}

/// Ends what has no end where the topic ends.
async fn end_open(
    env: &Env,
    client: &mut Client,
    cluster: &ClusterArguments,
    (topic, found): (&str, &[(PartitionId, Findings)]),
    of_cluster: Option<OfCluster<'_>>,
) -> Result<Ended> {
    let ending = |partition: i32| {
        let (_, findings) = found.iter().find(|(id, _)| id.partition == partition)?;
        Some(Ending::of(partition, findings.tier_end, of_cluster))
    };
    let ended = open_transactions::end(env, client, topic, ending).await?;
    let place = if of_cluster.is_some_and(|of| of.cut.is_some()) { "below the cut" } else { "in the tier" };
    for (count, how) in [(ended.aborted, "aborted"), (ended.committed, "committed")] {
        if count > 0 {
            let told = format!("{count} transactions of {topic} had no end {place}, and are {how}");
            say(cluster.output, &told);
        }
    }
    Ok(ended)
}

/// Each partition with what was found in it. Damage is an error: it must be repaired, or accepted, first.
async fn found(
    store: &SharedStore,
    topic: &str,
    topic_id: Option<&str>,
) -> Result<Vec<(PartitionId, Findings)>> {
    let mut found = Vec::new();
    for (id, folder) in check::partitions(store, Some(topic)).await? {
        if topic_id.is_some_and(|wanted| wanted != id.topic_id) {
            continue;
        }
        let findings = verify::partition(store, &folder, Depth::Footers).await?;
        if findings.deleted {
            continue;
        }
        if let Some(damage) = findings.damage.first() {
            bail!(
                "{} {}: {} objects of partition {} are damaged; see `esker tier verify`, then `esker tier repair`",
                damage.key,
                damage.what,
                findings.damage.len(),
                id.partition
            );
        }
        found.push((id, findings));
    }
    let mut ids: Vec<(&str, &str)> =
        found.iter().map(|(id, _)| (id.cluster_id.as_str(), id.topic_id.as_str())).collect();
    ids.dedup();
    if let [_, _, ..] = ids[..] {
        let all: Vec<String> = ids.iter().map(|(cluster, id)| format!("{id} (cluster {cluster})")).collect();
        bail!("there are several topics {topic}: choose one with --topic-id: {}", all.join(", "));
    }
    Ok(found)
}

/// A producer at the end of a partition's tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    producer_id: i64,
    epoch: i16,
    /// Where its transaction began that has no end in the tier.
    open_since: Option<i64>,
}

/// The producers that a partition's tier knows at its end.
async fn producers(store: &SharedStore, id: &PartitionId) -> Result<Vec<Known>> {
    let folder = PartitionFolder::new(&id.cluster_id, &id.topic, &id.topic_id, id.partition)?;
    let head = tiering::publish::Publisher::new(store.clone(), folder.clone()).find_head(0).await?;
    let Some(head) = head.manifest else { return Ok(Vec::new()) };
    let Some(footer) = tiering::export::last_footer(&**store, &folder, &head).await? else {
        return Ok(Vec::new());
    };
    Ok(known(&footer.producer_snapshot))
}

/// Kafka's snapshot: a head of ten bytes, then entries of 46 that begin with the id and the epoch and end with where the open transaction
/// began, −1 without one.
fn known(snapshot: &[u8]) -> Vec<Known> {
    let entries = snapshot.get(10..).unwrap_or_default().chunks_exact(46);
    let entry = |entry: &[u8]| {
        let producer_id = i64::from_be_bytes(*entry.first_chunk()?);
        let epoch = i16::from_be_bytes(*entry.get(8..)?.first_chunk()?);
        let since = i64::from_be_bytes(*entry.last_chunk()?);
        Some(Known { producer_id, epoch, open_since: (since >= 0).then_some(since) })
    };
    entries.filter_map(entry).collect()
}

/// Tells which transactions have no end in a partition's tier: there they are aborted, whatever became of them elsewhere, or
/// committed where the backup knows that they were. Each partition comes back whole up to its own end, and those ends are at no common point.
/// At a cut nothing is to be told: what is open there was open everywhere.
async fn tell_open(
    output: Output,
    store: &SharedStore,
    found: &[(PartitionId, Findings)],
    of_cluster: Option<OfCluster<'_>>,
) -> Result<Vec<Value>> {
    let mut told = Vec::new();
    let in_cut = of_cluster.map_or(0, |of| of.marks.len());
    for (id, _) in found {
        if usize::try_from(id.partition).is_ok_and(|partition| partition < in_cut) {
            continue;
        }
        for producer in producers(store, id).await? {
            let (producer_id, Some(since)) = (producer.producer_id, producer.open_since) else { continue };
            let partition = id.partition;
            let commit =
                of_cluster.is_some_and(|of| of.transactions.is_committed(producer_id, producer.epoch));
            let what = if commit {
                "has no end in the tier: it was committed, and is committed here"
            } else {
                "has no end in the tier: it is aborted here, whatever became of it in other partitions"
            };
            say(
                output,
                &format!(
                    "partition {partition}: the transaction of producer {producer_id} from offset {since} on {what}"
                ),
            );
            told.push(
                json!({"partition": partition, "producer_id": producer_id, "since": since, "commit": commit}),
            );
        }
    }
    Ok(told)
}

/// A producer id above all that the partitions know: a new producer under a known id would look like an old one that has
/// lost batches.
async fn first_free_producer_id(store: &SharedStore, found: &[(PartitionId, Findings)]) -> Result<i64> {
    let mut highest = -1;
    for (id, _) in found {
        let known = producers(store, id).await?;
        highest = known.iter().map(|producer| producer.producer_id).fold(highest, i64::max);
    }
    Ok(highest + PRODUCER_ID_MARGIN)
}

/// Claims the store for a new life of the cluster, that of these brokers: of two restores at the same time one goes on. Brokers
/// of a life before it that are still somewhere upload and delete nothing more once they have seen it.
///
/// In the same change the producer ids of lives before are told, all below `first_producer_id`: there is no moment in which these
/// brokers write to the store and take a transactional producer of a former life for one of their own.
pub(super) async fn claim(
    store: &SharedStore,
    client: &mut Client,
    cluster_id: &str,
    first_producer_id: i64,
) -> Result<u64> {
    // A second restore in the same cluster must not lower what the first one has set.
    let first = first_producer_id.max(set_already(client, FIRST_PRODUCER_ID).await?).to_string();
    // Whoever may not set it must not begin a life that these brokers then do not know to be theirs.
    set_for_all(client, &[(INCARNATION, "1"), (FIRST_PRODUCER_ID, &first)], true)
        .await
        .context("tier.incarnation cannot be set for all brokers")?;
    let incarnation = match owner::begin_incarnation(&**store, cluster_id).await {
        Ok(incarnation) => incarnation,
        Err(StoreError::AlreadyExists { .. }) => {
            bail!("another restore has claimed the next incarnation of cluster {cluster_id} just now")
        }
        Err(error) => return Err(error).context("claiming the next incarnation"),
    };
    let number = incarnation.to_string();
    let set = set_for_all(client, &[(INCARNATION, &number), (FIRST_PRODUCER_ID, &first)], false).await;
    set.with_context(|| {
        format!("set {INCARNATION}={incarnation} for all brokers: until then they upload nothing")
    })?;
    Ok(incarnation)
}

/// A number that is set for all brokers at run time; 0 where none is.
async fn set_already(client: &mut Client, name: &str) -> Result<i64> {
    let everywhere = DescribeConfigsResource {
        resource_type: BROKER_RESOURCE,
        resource_name: StrBytes::from(""),
        configuration_keys: Some(vec![StrBytes::from(name)]),
    };
    let request = DescribeConfigsRequest { resources: vec![everywhere], ..DescribeConfigsRequest::default() };
    let response = client.ask_any(&request).await?;
    let result = response.results.into_iter().next().context("the broker left the answer out")?;
    crate::cli::client::check(result.error_code, result.error_message.as_ref())?;
    let found = result.configs.iter().find(|config| config.name.as_str() == name);
    let value = found.and_then(|config| config.value.as_ref()?.as_str().trim().parse().ok());
    Ok(value.unwrap_or(0))
}

/// Sets properties of all brokers at run time, in one change.
///
/// # Errors
/// What the cluster answers.
pub(super) async fn set_for_all(
    client: &mut Client,
    values: &[(&str, &str)],
    validate_only: bool,
) -> Result<()> {
    let config = |(name, value): &(&str, &str)| AlterableConfig {
        name: StrBytes::from(*name),
        config_operation: 0,
        value: Some(StrBytes::from(*value)),
    };
    let resource = AlterConfigsResource {
        resource_type: BROKER_RESOURCE,
        resource_name: StrBytes::from(""),
        configs: values.iter().map(config).collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only };
    let response = client.ask_any(&request).await?;
    let result = response.responses.first().context("the broker left the answer out")?;
    crate::cli::client::check(result.error_code, result.error_message.as_ref())
}

/// Waits until every leader's log ends where it is to begin, or later; how many offsets there are.
async fn until_begun(
    env: &Env,
    client: &mut Client,
    topic: &str,
    found: &[(PartitionId, Findings)],
    of_cluster: Option<OfCluster<'_>>,
) -> Result<i64> {
    let expected =
        |partition: i32| found.iter().find(|(id, _)| id.partition == partition).map(|(_, findings)| findings);
    loop {
        let mut offsets = 0;
        let mut waiting = false;
        match client.led_partitions(topic).await {
            Ok(led) => {
                for partition in &led {
                    let Some(findings) = expected(partition.partition) else { continue };
                    let begins = Ending::of(partition.partition, findings.tier_end, of_cluster).end;
                    match client.offset_for(partition, LATEST).await {
                        Ok(end) if end >= begins => offsets += (end - findings.log_start).max(0),
                        _ => waiting = true,
                    }
                }
                waiting |= led.len() < found.len();
            }
            Err(_) => waiting = true,
        }
        if !waiting {
            return Ok(offsets);
        }
        env.clock.sleep(Duration::from_millis(200)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_producers_of_a_snapshot_say_what_is_open() {
        let entry = |id: i64, epoch: i16, since: i64| {
            [&id.to_be_bytes()[..], &epoch.to_be_bytes(), &[0; 28], &since.to_be_bytes()].concat()
        };
        let snapshot = [&[0; 10][..], &entry(7, 300, -1), &entry(9, 2, 101)].concat();
        let idle = Known { producer_id: 7, epoch: 300, open_since: None };
        assert_eq!(known(&snapshot), [idle, Known { producer_id: 9, epoch: 2, open_since: Some(101) }]);
        assert_eq!(known(&[]), []);
    }
}
