//! `esker tier restore-cluster`: a cluster whose brokers are all gone comes back from its bucket into new brokers.
//!
//! ```text
//! bucket ─► newest backup of metadata, newest whole cut of records and groups (dry run: this far)
//!        ─► the new brokers are that cluster (`cluster.id`) and hold nothing else
//!        ─► topics ─► committed offsets, none above its partition's end ─► transactional ids
//!        ─► users, ACLs, quotas, broker configs
//! ```
//! What a cut is: `broker/tier/backup/cut`; where its partitions begin: `broker/tier/restored`. Without one, or with `--to end`, each
//! partition comes back up to its own end in the tier, and the groups as of the newest backup.
//! Run again after a failure it goes on: a topic that is back is left alone. What was deleted after the backup stays deleted, where its
//! tombstone tells. Users come last, since then the old
//! passwords hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tiering::inspect::{self, PartitionId};
use tiering::layout::PartitionFolder;
use tiering::store::{SharedStore, StoreError};

use super::cuts::{self, Chosen, To};
use super::restore::{self, OfCluster};
use super::transactions::Transactions;
use crate::broker::{
    CommittedBackup, GroupBackup, Kept, MetadataBackup, PartsBackup, RESTORE_CONFIGS, RESTORE_CUT,
    RESTORE_METADATA, TopicBackup, is_topic_config,
};
use crate::cli::client::{Client, ClusterArguments, Coordinated};
use crate::cli::report::{Output, Rows, say};
use crate::cli::topic::{self, NewTopic, create};
use crate::env::{Env, timeout};
use crate::wire::messages::metadata::MetadataResponse;
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::wire::{ErrorCode, StrBytes};

const LATEST: i64 = -1;
const TIERED: &str = "remote.storage.enable";
/// How long the new cluster's group coordinators may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);
/// Partitions that are looked at for a tombstone at once.
const LOOKS_AT_ONCE: usize = 16;

/// What is to be restored, and how.
pub(super) struct Order<'a> {
    /// The cluster, where the bucket holds several and no broker says which.
    pub(super) cluster_id: Option<&'a str>,
    /// Up to where, if it was said.
    pub(super) to: Option<To>,
    /// Instead of each topic's own.
    pub(super) replication_factor: Option<i16>,
    pub(super) dry_run: bool,
}

/// The ends of partitions, by topic.
type Ends = BTreeMap<String, BTreeMap<i32, i64>>;

/// A topic and how many of its partitions have something in the tier.
struct Found {
    topic: TopicBackup,
    in_tier: usize,
}

/// Restores a cluster, or says what would come back; returns it for programs.
///
/// # Errors
/// What the store or the cluster answers; no backup; brokers of another cluster, or that hold other topics.
pub(super) async fn restore_cluster(
    env: &Env,
    store: &SharedStore,
    cluster: &ClusterArguments,
    order: Order<'_>,
) -> Result<Value> {
    let output = cluster.output;
    // Without a dry run the brokers say which cluster it is.
    let (mut client, live) = if order.dry_run {
        (None, None)
    } else {
        let mut client = Client::new(env, cluster)?;
        let metadata = client.metadata(None).await?;
        (Some(client), Some(metadata))
    };
    let live_id = live.as_ref().and_then(|live| live.cluster_id.as_ref()).map(|id| id.to_string());
    let cluster_id = which(store, live_id.as_deref(), order.cluster_id).await?;
    let (generation, backup) = MetadataBackup::newest(&**store, &cluster_id)
        .await?
        .with_context(|| format!("the store holds no backup of cluster {cluster_id}"))?;
    let transactions = Transactions::read(store, &cluster_id, &backup.directories).await?;
    let (found, deleted) = topics(store, &cluster_id, &backup).await?;
    let there = live.as_ref().map(topics_there).unwrap_or_default();
    let begun = match client.as_mut() {
        Some(client) => begun(client, &there, &found).await?,
        None => None,
    };
    let cut = choose(store, (&cluster_id, output), &found, order.to, begun).await?;
    let groups = match &cut {
        Some(cut) => cut.cut.groups.clone(),
        None => PartsBackup::newest(&**store, Kept::Groups, &cluster_id, &backup.directories).await?,
    };
    let known = (&groups, &transactions);
    let mut told = show(output, (&cluster_id, generation), &backup, known, (&found, cut.as_ref()));
    if !deleted.is_empty() {
        say(output, &format!("left out, since they were deleted after the backup: {}", deleted.join(", ")));
    }
    told["deleted_topics"] = deleted.into();
    told["dry_run"] = order.dry_run.into();
    let (Some(client), Some(live)) = (client.as_mut(), live) else {
        say(output, "a dry run: nothing was changed");
        return Ok(told);
    };
    fresh(&there, &found, live.brokers.len(), &order)?;
    import(client, generation, true).await?;
    let first_producer_id = backup.first_free_producer_id();
    let incarnation = restore::claim(store, client, &cluster_id, first_producer_id).await?;
    say(output, &format!("incarnation {incarnation} of cluster {cluster_id}"));
    if let Some(cut) = &cut {
        cut.cut.keep(&**store, cut.number).await?;
    }
    for (number, Found { topic, in_tier }) in found.iter().enumerate() {
        say(output, &format!("topic {} of {}: {}", number + 1, found.len(), topic.name));
        let of_cluster = OfCluster {
            transactions: &transactions,
            cut: cut.as_ref().map(|cut| cut.number),
            marks: cut.as_ref().map_or(&[], |cut| cut.marks(&topic.id)),
        };
        if there.contains_key(&topic.name) {
            say(output, &format!("{} is back already", topic.name));
            if *in_tier > 0 {
                let topic = (topic.name.as_str(), topic.id.as_str());
                restore::finish(env, store, client, cluster, topic, of_cluster).await?;
            }
            continue;
        }
        let replication_factor = order.replication_factor.unwrap_or(topic.replication_factor);
        // Earlier programs took configs that no topic has; these are refused now.
        let (configs, unknown): (Vec<_>, Vec<_>) =
            lasting_configs(topic).partition(|(key, _)| is_topic_config(key));
        for (key, value) in unknown {
            say(output, &format!("{}: {key}={value} is left out, as topics have no such config", topic.name));
        }
        if *in_tier > 0 {
            let order = restore::Order {
                of_cluster: Some(of_cluster),
                topic: &topic.name,
                topic_id: Some(&topic.id),
                partitions: Some(topic.partitions),
                replication_factor,
                configs: &configs,
                dry_run: false,
            };
            restore::restore(env, store, cluster, order).await?;
        } else {
            let new = NewTopic {
                name: &topic.name,
                partitions: topic.partitions,
                replication_factor,
                configs: &configs,
            };
            create(client, &new).await?;
            say(output, &format!("{} is there, and empty: nothing of it was in the tier", topic.name));
        }
    }
    let mut committed = 0;
    let mut capped = 0;
    let ends = ends(env, client, &found).await?;
    for part in &groups.parts {
        for group in part.read::<GroupBackup>(&**store).await? {
            let (offsets, lower) = capped_offsets(&ends, &group);
            capped += lower;
            committed += offsets.len();
            if !offsets.is_empty() {
                let commit = commit(env, client, &group.group, &offsets);
                timeout(&*env.clock, PATIENCE, commit).await.with_context(|| {
                    format!("group {} has no coordinator after {PATIENCE:?}", group.group)
                })??;
            }
        }
    }
    let of_groups = groups.names();
    say(
        output,
        &format!(
            "{committed} offsets of {of_groups} groups are back, {capped} of them lowered to their partition's end"
        ),
    );
    told["committed_offsets"] = committed.into();
    told["lowered_offsets"] = capped.into();
    let ids = transactions.bring_back(env, store, client, output).await?;
    say(output, &format!("{ids} transactional ids are back: their former producers are fenced"));
    told["restored_transactional_ids"] = ids.into();
    import(client, generation, false).await?;
    let (users, acls) = (backup.users.len(), backup.acls.len());
    say(output, &format!("{users} users and {acls} ACLs are back: the old passwords hold from now on"));
    say(output, &format!("cluster {cluster_id} is back"));
    Ok(told)
}

/// The brokers' topics with their ids, but for their own.
fn topics_there(live: &MetadataResponse) -> BTreeMap<String, String> {
    let topics = live.topics.iter();
    topics
        .filter_map(|topic| Some((topic.name.as_ref()?.to_string(), topic.topic_id.to_string())))
        .filter(|(name, _)| !name.starts_with("__"))
        .collect()
}

/// A topic's configs, but for those by which an earlier restore has brought it back.
fn lasting_configs(topic: &TopicBackup) -> impl Iterator<Item = (String, String)> {
    topic.configs.clone().into_iter().filter(|(key, _)| !RESTORE_CONFIGS.contains(&key.as_str()))
}

/// What an attempt that broke off has restored to: a cut (`Some`), or the tier's ends; `None` where no topic is back.
async fn begun(
    client: &mut Client,
    there: &BTreeMap<String, String>,
    found: &[Found],
) -> Result<Option<Option<u64>>> {
    let back = found.iter().find(|found| {
        found.in_tier > 0 && there.get(&found.topic.name).is_some_and(|id| *id == found.topic.id)
    });
    let Some(back) = back else { return Ok(None) };
    let configs = topic::configs(client, &back.topic.name).await?;
    let cut = configs.iter().find(|(key, _)| key == RESTORE_CUT);
    Ok(Some(cut.map(|(_, number)| number.parse()).transpose().context(RESTORE_CUT)?))
}

/// The cut to come back to; `None` for the tier's ends.
async fn choose(
    store: &SharedStore,
    (cluster_id, output): (&str, Output),
    found: &[Found],
    to: Option<To>,
    begun: Option<Option<u64>>,
) -> Result<Option<Chosen>> {
    const WIPE: &str = "go on with that, or begin anew with empty brokers";
    match (to, begun) {
        (Some(To::End), Some(Some(number))) => {
            bail!("the topics that are back were restored to cut {number}: {WIPE}")
        }
        (Some(To::Cut), Some(None)) => {
            bail!("the topics that are back were restored to their tiers' ends: {WIPE} (--to end)")
        }
        (_, Some(Some(number))) => Chosen::of_before(store, cluster_id, number).await.map(Some),
        (_, Some(None)) | (Some(To::End), None) => Ok(None),
        (_, None) => {
            let topics = found.iter().map(|found| (found.topic.id.as_str(), found.in_tier)).collect();
            let cut = cuts::newest_whole(store, cluster_id, &topics, output).await?;
            ensure!(cut.is_some() || to.is_none(), "the store has no cut of cluster {cluster_id}");
            if cut.is_none() {
                say(
                    output,
                    "the store has no cut: each partition comes back up to its own end, at no common point",
                );
            }
            Ok(cut)
        }
    }
}

/// Which cluster: the brokers', the one that was named, or the only one in the store.
async fn which(store: &SharedStore, live: Option<&str>, named: Option<&str>) -> Result<String> {
    if let (Some(live), Some(named)) = (live, named) {
        ensure!(live == named, "the brokers are cluster {live}, not {named}");
    }
    // Other things may lie beside the clusters.
    let mut stored = Vec::new();
    for id in store.list_folders("").await? {
        if !store.list(&PartitionFolder::metadata_backups_of(&id), None).await?.is_empty() {
            stored.push(id);
        }
    }
    let one_of = || stored.join(", ");
    match (live.or(named), &stored[..]) {
        (_, []) => bail!("the store holds the backup of no cluster"),
        (Some(wanted), _) if stored.iter().any(|id| id == wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => bail!(
            "the store holds {}, not {wanted}: it is another cluster's bucket, or the new brokers need cluster.id set to the \
             old one's",
            one_of()
        ),
        (None, [only]) => Ok(only.clone()),
        (None, _) => bail!("the store holds several clusters; choose one with --cluster-id: {}", one_of()),
    }
}

/// The backup's topics, and the names of those that were deleted after it: one tombstone is enough, since it comes only with the
/// deletion of the whole topic, and a partition that has one would publish nothing any more.
async fn topics(
    store: &SharedStore,
    cluster_id: &str,
    backup: &MetadataBackup,
) -> Result<(Vec<Found>, Vec<String>)> {
    let partitions = inspect::partitions(&**store, None).await?;
    let ours = partitions.into_iter().filter(|(id, _)| id.cluster_id == cluster_id);
    let looks = ours
        .map(async |(id, folder)| Ok::<_, StoreError>((id, inspect::is_deleted(&**store, &folder).await?)));
    let looked: Vec<(PartitionId, bool)> = stream::iter(looks).buffered(LOOKS_AT_ONCE).try_collect().await?;
    let mut in_tier: BTreeMap<String, usize> = BTreeMap::new();
    let mut gone = BTreeSet::new();
    for (id, is_deleted) in looked {
        if is_deleted {
            gone.insert(id.topic_id.clone());
        }
        *in_tier.entry(id.topic_id).or_default() += 1;
    }
    let (deleted, there): (Vec<&TopicBackup>, Vec<&TopicBackup>) =
        backup.topics.iter().partition(|topic| gone.contains(&topic.id));
    let found = |topic: &TopicBackup| Found {
        topic: topic.clone(),
        in_tier: in_tier.get(&topic.id).copied().unwrap_or(0),
    };
    let names = deleted.into_iter().map(|topic| topic.name.clone()).collect();
    Ok((there.into_iter().map(found).collect(), names))
}

/// What would come back, for people now and for programs at the end.
fn show(
    output: Output,
    (cluster_id, generation): (&str, u64),
    backup: &MetadataBackup,
    (groups, transactions): (&PartsBackup, &Transactions),
    (found, cut): (&[Found], Option<&Chosen>),
) -> Value {
    let mut overview =
        Rows::new(["topic", "partitions", "in the tier", "beyond the cut", "replicas", "tiered"]);
    for Found { topic, in_tier } in found {
        overview.add([
            topic.name.as_str().into(),
            topic.partitions.into(),
            (*in_tier).into(),
            cut.and_then(|cut| cut.beyond(&topic.id)).into(),
            topic.replication_factor.into(),
            topic.configs.get(TIERED).map_or("default", String::as_str).into(),
        ]);
    }
    say(output, &format!("cluster {cluster_id}, backup {generation}\n{}", overview.to_table()));
    let (users, acls, quotas) = (backup.users.len(), backup.acls.len(), backup.quotas.len());
    let (of_groups, offsets, ids) = (groups.names(), groups.entries(), transactions.ids());
    say(
        output,
        &format!(
            "{users} users, {acls} ACLs, {quotas} quotas, {of_groups} groups with {offsets} committed offsets, \
             {ids} transactional ids"
        ),
    );
    let cut = cut.map(|cut| {
        let in_tier = found.iter().filter(|found| found.in_tier > 0).map(|found| &found.topic);
        let topics = in_tier.map(|topic| (topic.name.as_str(), topic.id.as_str(), topic.partitions));
        cut.tell(output, &cut.outside(topics))
    });
    json!({
        "cluster_id": cluster_id,
        "backup": generation,
        "to": if cut.is_some() { "cut" } else { "end" },
        "cut": cut,
        "topics": overview.to_json(),
        "users": users,
        "acls": acls,
        "quotas": quotas,
        "groups": of_groups,
        "offsets": offsets,
        "transactional_ids": ids,
    })
}

/// The brokers hold nothing but what an earlier attempt has brought back, and there are enough of them.
fn fresh(there: &BTreeMap<String, String>, found: &[Found], brokers: usize, order: &Order<'_>) -> Result<()> {
    let is_ours = |(name, id): &(&String, &String)| {
        found.iter().any(|f| f.topic.name == **name && (f.in_tier == 0 || f.topic.id == **id))
    };
    let others: Vec<&str> =
        there.iter().filter(|entry| !is_ours(entry)).map(|(name, _)| name.as_str()).collect();
    ensure!(
        others.is_empty(),
        "the brokers hold topics of their own ({}): this is a live cluster, a restore needs a new one; nothing was changed",
        others.join(", ")
    );
    let most = found.iter().map(|found| found.topic.replication_factor).max().unwrap_or(1);
    let most = order.replication_factor.unwrap_or(most);
    ensure!(
        usize::try_from(most).is_ok_and(|most| most <= brokers),
        "{most} replicas need as many brokers, there are {brokers}: start more, or give --replication-factor; nothing was \
         changed"
    );
    Ok(())
}

/// Where every partition of the restored topics ends, once its leader says so.
async fn ends(env: &Env, client: &mut Client, found: &[Found]) -> Result<Ends> {
    let mut ends = Ends::new();
    for Found { topic, .. } in found {
        let of_topic = async {
            loop {
                match ends_of(client, &topic.name).await {
                    Ok(found) if found.len() == usize::try_from(topic.partitions).unwrap_or(0) => {
                        return found;
                    }
                    // A leader that has just begun does not know its end yet.
                    _ => env.clock.sleep(PAUSE).await,
                }
            }
        };
        let of_topic = timeout(&*env.clock, PATIENCE, of_topic).await;
        let of_topic =
            of_topic.with_context(|| format!("{} has no leaders after {PATIENCE:?}", topic.name))?;
        ends.insert(topic.name.clone(), of_topic);
    }
    Ok(ends)
}

async fn ends_of(client: &mut Client, topic: &str) -> Result<BTreeMap<i32, i64>> {
    let mut ends = BTreeMap::new();
    for partition in &client.led_partitions(topic).await? {
        ends.insert(partition.partition, client.offset_for(partition, LATEST).await?);
    }
    Ok(ends)
}

/// The group's offsets that still mean something: of topics that are back (one that was deleted leaves offsets behind for a
/// while), and not above their ends. Also how many had to be lowered.
fn capped_offsets(ends: &Ends, group: &GroupBackup) -> (Vec<CommittedBackup>, usize) {
    let mut lowered = 0;
    let offsets = group.offsets.iter().filter_map(|offset| {
        let end = *ends.get(&offset.topic)?.get(&offset.partition)?;
        lowered += usize::from(offset.offset > end);
        Some(CommittedBackup { offset: offset.offset.min(end), ..offset.clone() })
    });
    let offsets = offsets.collect();
    (offsets, lowered)
}

/// Commits as an administrator does, outside any generation; waits for the coordinator to be there.
async fn commit(env: &Env, client: &mut Client, group: &str, offsets: &[CommittedBackup]) -> Result<()> {
    let mut by_topic: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for offset in offsets {
        by_topic.entry(&offset.topic).or_default().push(OffsetCommitRequestPartition {
            partition_index: offset.partition,
            committed_offset: offset.offset,
            committed_leader_epoch: -1,
            committed_metadata: Some(StrBytes::from(offset.metadata.as_str())),
        });
    }
    let mut topics = Vec::new();
    for (name, partitions) in by_topic {
        let topic_id = client.topic(name).await?.topic_id;
        topics.push(OffsetCommitRequestTopic { name: StrBytes::from(name), topic_id, partitions });
    }
    let request =
        OffsetCommitRequest { group_id: StrBytes::from(group), topics, ..OffsetCommitRequest::default() };
    loop {
        match try_commit(client, group, &request).await? {
            None => return Ok(()),
            Some(code) if code.is_retriable() => env.clock.sleep(PAUSE).await,
            Some(code) => bail!("group {group}: {code}"),
        }
    }
}

/// `None` when everything is committed, else the first error.
async fn try_commit(
    client: &mut Client,
    group: &str,
    request: &OffsetCommitRequest,
) -> Result<Option<ErrorCode>> {
    let node = match client.coordinator(Coordinated::Group, group).await? {
        Ok(node) => node,
        Err(code) => return Ok(Some(code)),
    };
    let answer = client.ask_broker(node, request).await?;
    let codes = answer.topics.iter().flat_map(|topic| topic.partitions.iter().map(|p| p.error_code));
    Ok(codes.into_iter().find(|code| *code != ErrorCode::NONE))
}

/// Has the brokers bring back from the store what no request of Kafka's protocol may carry.
async fn import(client: &mut Client, generation: u64, validate_only: bool) -> Result<()> {
    restore::set_for_all(client, &[(RESTORE_METADATA, &generation.to_string())], validate_only).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tiering::store::MemoryStore;

    use super::*;
    use crate::metadata::Image;

    fn offset(topic: &str, partition: i32, offset: i64) -> CommittedBackup {
        CommittedBackup { topic: topic.into(), partition, offset, metadata: "m".into() }
    }

    #[test]
    fn no_offset_comes_back_above_its_partitions_end_or_for_a_topic_that_is_gone() {
        let ends = Ends::from([("t".to_owned(), BTreeMap::from([(0, 10), (1, 0)]))]);
        let offsets = vec![offset("t", 0, 7), offset("t", 1, 5), offset("t", 2, 1), offset("gone", 0, 1)];
        let group = GroupBackup { group: "g".into(), offsets };
        assert_eq!(capped_offsets(&ends, &group), (vec![offset("t", 0, 7), offset("t", 1, 0)], 1));
    }

    #[tokio::test]
    async fn a_topic_with_a_tombstone_does_not_come_back_and_all_others_do() {
        let topic = |name: &str| TopicBackup {
            name: name.into(),
            id: format!("id-of-{name}"),
            partitions: 2,
            replication_factor: 1,
            configs: BTreeMap::new(),
        };
        let backup = MetadataBackup {
            topics: ["kept", "buried", "half", "hot"].map(topic).into(),
            ..MetadataBackup::of(&Image::default())
        };
        let store: SharedStore = Arc::new(MemoryStore::new());
        let folder = |cluster: &str, topic: &str, partition| {
            PartitionFolder::new(cluster, topic, &format!("id-of-{topic}"), partition).unwrap()
        };
        let tombstones =
            [("buried", 0), ("buried", 1), ("half", 1)].map(|(t, p)| folder("c", t, p).tombstone());
        let manifests = [("kept", 0), ("kept", 1), ("half", 0)].map(|(t, p)| folder("c", t, p).manifest(1));
        // Of another cluster in the same store.
        let elsewhere = [folder("d", "kept", 0).tombstone()];
        for key in tombstones.into_iter().chain(manifests).chain(elsewhere) {
            store.put(&key, vec![]).await.unwrap();
        }
        let (found, deleted) = topics(&store, "c", &backup).await.unwrap();
        let found: Vec<(&str, usize)> = found.iter().map(|f| (f.topic.name.as_str(), f.in_tier)).collect();
        assert_eq!(found, [("kept", 2), ("hot", 0)]);
        assert_eq!(deleted, ["buried", "half"]);
    }

    #[test]
    fn a_topic_that_was_restored_before_comes_back_without_the_configs_of_that_restore() {
        let configs = RESTORE_CONFIGS.into_iter().chain(["retention.ms"]);
        let topic = TopicBackup {
            name: "t".into(),
            id: "id".into(),
            partitions: 1,
            replication_factor: 1,
            configs: configs.map(|key| (key.to_owned(), "7".to_owned())).collect(),
        };
        let lasting: Vec<_> = lasting_configs(&topic).collect();
        assert_eq!(lasting, [("retention.ms".to_owned(), "7".to_owned())]);
    }

    #[test]
    fn brokers_with_topics_of_their_own_are_refused_and_an_attempt_that_broke_off_goes_on() {
        let found = |name: &str, in_tier| Found {
            topic: TopicBackup {
                name: name.into(),
                id: format!("id of {name}"),
                partitions: 1,
                replication_factor: 3,
                configs: BTreeMap::new(),
            },
            in_tier,
        };
        let all = [found("a", 1), found("hot", 0)];
        let there = |entries: &[(&str, &str)]| {
            entries.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect()
        };
        let order = |factor| Order { cluster_id: None, to: None, replication_factor: factor, dry_run: false };
        let said = |entries: &[(&str, &str)], brokers, factor| {
            fresh(&there(entries), &all, brokers, &order(factor)).err().map(|error| error.to_string())
        };
        assert_eq!(said(&[], 3, None), None);
        assert_eq!(said(&[("a", "id of a"), ("hot", "new")], 3, None), None, "an attempt that broke off");
        assert!(said(&[("a", "another")], 3, None).unwrap().contains("topics of their own (a)"));
        assert!(said(&[("mine", "x")], 3, None).unwrap().contains("topics of their own (mine)"));
        assert!(said(&[], 1, None).unwrap().contains("3 replicas need as many brokers, there are 1"));
        assert_eq!(said(&[], 1, Some(1)), None);
    }
}
