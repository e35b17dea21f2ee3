//! A lone broker with a folder as its store: what was produced goes cold, leaves the local disk, and reads back.

mod bucket;
mod cuts;
mod deletions;
mod expiry;
mod gone;
mod lives;
mod many_segments;
mod settings;
mod unclean;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tiering::store::StoreLocation;

use crate::broker::config::{BrokerConfig, Properties};
use crate::broker::testing::{batches, fetch, request, wanted};
use crate::broker::{Broker, FetchError, Fetched, ListedOffset, NewTopic, OffsetSpec, Seams};
use crate::env::metrics::{
    INDEX_EVICTIONS, INDEX_LOOKUPS, Metric, STORE_ERRORS, TIER_BYTES, TIER_LAG_SEGMENTS, Value,
};
use crate::env::{Env, timeout};
use crate::replication::{Acks, Isolation, Positions, ReplicaRole};
use crate::types::{Offset, TopicName, TopicPartition};
use crate::wire::record_batch::{BatchBuilder, Compression};

const LIMIT: Duration = Duration::from_secs(30);
const RECORDS: i64 = 400;

async fn broker(dir: &Path) -> Arc<Broker> {
    broker_with(dir, &[]).await
}

async fn broker_with(dir: &Path, more: &[(&str, &str)]) -> Arc<Broker> {
    broker_on(Seams::real(Env::real()), dir, more).await
}

async fn broker_on(seams: Seams, dir: &Path, more: &[(&str, &str)]) -> Arc<Broker> {
    let mut properties = Properties::default();
    let path = |name: &str| dir.join(name).display().to_string();
    for (key, value) in [
        ("node.id", "1".to_owned()),
        ("log.dirs", path("data")),
        ("peer.listener", "127.0.0.1:0".to_owned()),
        ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("tier.store.url", format!("file://{}", path("store"))),
        ("tier.chunk.bytes", "65536".to_owned()),
        ("tier.delete.grace.ms", "200".to_owned()),
        ("remote.log.manager.task.interval.ms", "50".to_owned()),
        ("remote.fetch.max.wait.ms", "10000".to_owned()),
    ] {
        properties.set(key, &value, "test").unwrap();
    }
    for (key, value) in more {
        properties.set(key, value, "test").unwrap();
    }
    let config = BrokerConfig::new(properties).unwrap();
    Broker::start(seams, config, Vec::new()).await.unwrap()
}

async fn tiered_topic(broker: &Broker, configs: &[(&str, &str)]) -> TopicPartition {
    let all: Vec<_> = [("remote.storage.enable", "true")].iter().chain(configs).copied().collect();
    topic(broker, "cold", &all).await
}

/// A topic of one partition with short segments.
async fn topic(broker: &Broker, name: &str, configs: &[(&str, &str)]) -> TopicPartition {
    let name = TopicName::new(name).unwrap();
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let common = [
        ("segment.bytes", "4000"),
        ("local.retention.bytes", "1"),
        // The records' timestamps are of long ago.
        ("retention.ms", "-1"),
    ];
    all.extend(common.iter().chain(configs).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    let new = NewTopic {
        name: name.clone(),
        partitions: Some(1),
        replication_factor: Some(1),
        assignment: None,
        configs: all,
    };
    broker.create_topic(new, false).await.unwrap();
    let partition = TopicPartition::new(name, 0);
    until(broker, &partition, |p| p.role == ReplicaRole::Leader).await;
    partition
}

async fn until(broker: &Broker, partition: &TopicPartition, holds: impl Fn(&Positions) -> bool) -> Positions {
    let wait = async {
        loop {
            if let Some(replica) = broker.replicas().replica(partition) {
                let positions = replica.positions();
                if holds(&positions) {
                    return positions;
                }
            }
            broker.env().clock.sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = timeout(&*broker.env().clock, LIMIT, wait).await;
    waited.unwrap_or_else(|_| panic!("{:?}", broker.replicas().replica(partition).map(|r| r.positions())))
}

/// Every closed segment (of 33 records) of `produce` is cold, and nothing moves any more.
fn settled(p: &Positions) -> bool {
    p.tier_end() > Offset(RECORDS - 33) && p.local_start == p.tier_end()
}

fn value(i: i64) -> Bytes {
    Bytes::from(format!("record {i} {}", "x".repeat(40)))
}

async fn produce(broker: &Broker, partition: &TopicPartition) {
    for i in 0..RECORDS {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.add(1_000_000 + i, None, Some(&value(i)), &[]);
        let batch = batch.build().unwrap();
        broker.produce(partition, None, batch, Acks::All, LIMIT, None).await.unwrap();
    }
}

async fn read_all(broker: &Broker, partition: &TopicPartition, from: Offset) -> Vec<Bytes> {
    read_to(broker, partition, from, Offset(RECORDS)).await
}

async fn read_to(broker: &Broker, partition: &TopicPartition, from: Offset, end: Offset) -> Vec<Bytes> {
    let (mut next, mut values) = (from, Vec::new());
    for batch in batches(broker, partition, from, end).await {
        for record in batch.records(1 << 20).unwrap() {
            let record = record.unwrap();
            if record.offset >= next {
                assert_eq!(record.offset, next, "no hole, no repetition");
                values.push(record.value.unwrap());
                next = next.next();
            }
        }
    }
    values
}

/// What one series of a metric says.
async fn told(broker: &Broker, metric: &Metric, labels: &[&str]) -> Value {
    let families = broker.metrics().await;
    let family = families.into_iter().find(|family| family.metric.name == metric.name);
    family.unwrap().series[&labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>()].clone()
}

async fn list(broker: &Broker, partition: &TopicPartition, spec: OffsetSpec) -> ListedOffset {
    broker.list_offset(partition, spec, Isolation::ReadUncommitted, None).await.unwrap()
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    files(dir, Some("seg"))
}

/// The store's files, or those with this extension; not the mark that says whose store it is.
fn files(dir: &Path, extension: Option<&str>) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.join("store")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(tiering::layout::OWNER)
                && extension.is_none_or(|wanted| path.extension().is_some_and(|e| e == wanted))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_go_cold_leave_the_disk_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let partition = tiered_topic(&running, &[]).await;
    produce(&running, &partition).await;
    let positions = until(&running, &partition, settled).await;

    let all: Vec<Bytes> = (0..RECORDS).map(value).collect();
    assert_eq!(read_all(&running, &partition, Offset::ZERO).await, all);
    assert_eq!(list(&running, &partition, OffsetSpec::Earliest).await.offset, Offset::ZERO);
    assert_eq!(list(&running, &partition, OffsetSpec::EarliestLocal).await.offset, positions.local_start);
    assert_eq!(list(&running, &partition, OffsetSpec::LatestTiered).await.offset, positions.tier_end() + -1);
    for i in [0, 7, 123, 399] {
        let found = list(&running, &partition, OffsetSpec::Timestamp(1_000_000 + i)).await;
        assert_eq!((found.offset, found.timestamp), (Offset(i), 1_000_000 + i));
    }
    let newest = list(&running, &partition, OffsetSpec::MaxTimestamp).await;
    assert_eq!(newest.offset, Offset(RECORDS - 1));
    let counts = running.tier_counts().unwrap();
    assert!(counts.requests.gets > 0 && counts.requests.errors == 0, "{counts:?}");
    let objects: u64 = segments(dir.path()).iter().map(|path| std::fs::metadata(path).unwrap().len()).sum();
    assert_eq!(told(&running, TIER_BYTES, &["cold"]).await, Value::Level(objects as f64));
    assert_eq!(told(&running, TIER_LAG_SEGMENTS, &[]).await, Value::Level(0.0));
    assert_eq!(told(&running, STORE_ERRORS, &["put", "unavailable"]).await, Value::Count(0));
    let footers = Value::Count(segments(dir.path()).len() as u64);
    assert_eq!(told(&running, INDEX_LOOKUPS, &["footer", "miss"]).await, footers);
    assert_eq!(told(&running, INDEX_EVICTIONS, &["footer"]).await, Value::Count(0));
    assert!(
        matches!(told(&running, INDEX_LOOKUPS, &["footer", "hit"]).await, Value::Count(hits) if hits > 0)
    );
    running.shutdown().await;
    drop(running);

    let again = broker(dir.path()).await;
    until(&again, &partition, |p| p.role == ReplicaRole::Leader && p.high_watermark == Offset(RECORDS)).await;
    assert_eq!(read_all(&again, &partition, Offset::ZERO).await, all);
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_object_makes_exactly_its_range_fail() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let partition = tiered_topic(&running, &[]).await;
    produce(&running, &partition).await;
    until(&running, &partition, |p| p.tier_end() > Offset(300) && p.local_start == p.tier_end()).await;
    let segments = segments(dir.path());
    let base_of = |path: &Path| -> i64 { path.file_name().unwrap().to_str().unwrap()[..20].parse().unwrap() };
    let (lost, next) = (base_of(&segments[2]), base_of(&segments[3]));
    crate::env::Disk::remove_file(&crate::env::RealDisk, &segments[2]).unwrap();
    for offset in [lost, next - 1] {
        let error = fetch(&running, &partition, Offset(offset)).await.unwrap_err();
        assert!(matches!(&error, FetchError::Tier(why) if why.contains("missing")), "{error}");
    }
    for offset in [0, lost - 1, next] {
        assert!(!fetch(&running, &partition, Offset(offset)).await.unwrap().records.is_empty());
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn total_retention_unpublishes_and_deletes_objects() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let partition = tiered_topic(&running, &[("retention.bytes", "12000")]).await;
    produce(&running, &partition).await;
    // Retention follows the uploads: only once the last closed segment is cold and four at most are left does the start stand still.
    until(&running, &partition, settled).await;
    let gone = async {
        while segments(dir.path()).len() > 4 {
            running.env().clock.sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(&*running.env().clock, LIMIT, gone).await.expect("objects past the grace period are deleted");
    let out_of_range = fetch(&running, &partition, Offset::ZERO).await.unwrap_err();
    assert!(matches!(out_of_range, FetchError::OffsetOutOfRange), "{out_of_range}");
    let start = list(&running, &partition, OffsetSpec::Earliest).await.offset;
    assert!(start > Offset(RECORDS / 2) && start < Offset(RECORDS - 60), "{start}");
    let all: Vec<Bytes> = (start.0..RECORDS).map(value).collect();
    assert_eq!(read_all(&running, &partition, start).await, all);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_topic_leaves_nothing_in_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let partition = tiered_topic(&running, &[]).await;
    produce(&running, &partition).await;
    until(&running, &partition, |p| p.tier_end() > Offset(300)).await;
    assert!(!files(dir.path(), None).is_empty());
    let id = running.image().topics[&partition.topic].id;
    running.delete_topic(id).await.unwrap();
    let gone = async {
        while !files(dir.path(), None).is_empty() {
            running.env().clock.sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(&*running.env().clock, LIMIT, gone).await.expect("every object of the topic is deleted");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_removal_of_a_deleted_topic_goes_on_after_a_stop_midway() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker_with(dir.path(), &[("tier.delete.grace.ms", "3600000")]).await;
    let partition = tiered_topic(&running, &[]).await;
    produce(&running, &partition).await;
    until(&running, &partition, |p| p.tier_end() > Offset(300)).await;
    let id = running.image().topics[&partition.topic].id;
    running.delete_topic(id).await.unwrap();
    // Everything but the tombstone goes; that is kept for the grace period, within which the broker stops.
    until_files(&running, dir.path(), |files| files.len() == 1 && files[0].ends_with("manifest/deleted"))
        .await;
    assert!(running.image().cold_topics.contains_key(&id));
    running.shutdown().await;
    drop(running);

    let again = broker(dir.path()).await;
    until_files(&again, dir.path(), |files| files.is_empty()).await;
    let forgotten = async {
        while !again.image().cold_topics.is_empty() {
            again.env().clock.sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(&*again.env().clock, LIMIT, forgotten).await.expect("nothing is left to remember");
    again.shutdown().await;
}

async fn until_files(broker: &Broker, dir: &Path, holds: impl Fn(&[std::path::PathBuf]) -> bool) {
    let wait = async {
        while !holds(&files(dir, None)) {
            broker.env().clock.sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = timeout(&*broker.env().clock, LIMIT, wait).await;
    waited.unwrap_or_else(|_| panic!("{:?}", files(dir, None)));
}

fn changes(pairs: &[(&str, &str)]) -> BTreeMap<String, Option<String>> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tier_that_is_turned_off_keeps_or_gives_up_its_records_as_was_said_and_leaves_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let partition = tiered_topic(&running, &[]).await;
    produce(&running, &partition).await;
    let cold = |p: &Positions| p.tier_end() > Offset(300) && p.local_start == p.tier_end();
    let local_start = until(&running, &partition, cold).await.local_start;
    let alter = |pairs: &[(&str, &str)]| {
        let (running, topic, changes) = (running.clone(), partition.topic.clone(), changes(pairs));
        async move { running.alter_topic_config(&topic, changes, false).await }
    };
    let refused = alter(&[("remote.storage.enable", "false")]).await.unwrap_err();
    assert!(refused.to_string().contains("remote.log.delete.on.disable"), "{refused}");
    for pairs in [
        [("cleanup.policy", "compact")].as_slice(),
        &[("retention.ms", "1000"), ("local.retention.ms", "2000")],
    ] {
        assert!(matches!(alter(pairs).await, Err(crate::broker::TopicError::InvalidConfig(_))), "{pairs:?}");
    }
    // Kept: copying stops, and all is there.
    alter(&[("remote.log.copy.disable", "true")]).await.unwrap();
    let all: Vec<Bytes> = (0..RECORDS).map(value).collect();
    assert_eq!(read_all(&running, &partition, Offset::ZERO).await, all);
    // Given up: what is local stays, and nothing else.
    alter(&[("remote.storage.enable", "false"), ("remote.log.delete.on.disable", "true")]).await.unwrap();
    // Until it was given up the local end of the tier may have moved on.
    let given_up = |p: &Positions| p.log_start >= local_start && p.log_start == p.local_start;
    let local_start = until(&running, &partition, given_up).await.local_start;
    let gone = async {
        while !segments(dir.path()).is_empty() {
            running.env().clock.sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(&*running.env().clock, LIMIT, gone).await.expect("objects past the grace period are deleted");
    let from = usize::try_from(local_start.0).unwrap();
    assert_eq!(read_all(&running, &partition, local_start).await, all[from..]);
    // Turned on again: the tier begins at the log start.
    let on = [
        ("remote.storage.enable", "true"),
        ("remote.log.copy.disable", "false"),
        ("remote.log.delete.on.disable", "false"),
    ];
    alter(&on).await.unwrap();
    produce(&running, &partition).await;
    until(&running, &partition, |p| p.tier_end() > Offset(600) && p.local_start == p.tier_end()).await;
    let mut expected = all[from..].to_vec();
    expected.extend(all);
    assert_eq!(read_to(&running, &partition, local_start, Offset(2 * RECORDS)).await, expected);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_whose_brokers_are_gone_comes_back_from_the_bucket_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    // All of the log goes cold: an idle open segment is closed at once.
    let partition = tiered_topic(&running, &[("tier.max.lag.ms", "100")]).await;
    produce(&running, &partition).await;
    until(&running, &partition, |p| p.tier_end() == Offset(RECORDS)).await;
    let image = running.image();
    let (id, cluster_id) = (image.topics[&partition.topic].id.to_string(), image.cluster_id.clone());
    running.shutdown().await;
    drop((running, image));

    crate::env::Disk::remove_dir_all(&crate::env::RealDisk, &dir.path().join("data")).unwrap();
    let again = broker_with(dir.path(), &[("cluster.id", &cluster_id)]).await;
    let restored = [
        ("tier.max.lag.ms", "100"),
        ("tier.restore.topic.id", id.as_str()),
        ("tier.restore.leader.epoch", "1001"),
    ];
    let partition = tiered_topic(&again, &restored).await;
    let positions = until(&again, &partition, |p| p.role == ReplicaRole::Leader).await;
    assert_eq!((positions.log_start, positions.high_watermark), (Offset::ZERO, Offset(RECORDS)));
    assert!(positions.leader_epoch.0 >= 1001);
    let mut all: Vec<Bytes> = (0..RECORDS).map(value).collect();
    assert_eq!(read_all(&again, &partition, Offset::ZERO).await, all);
    assert_eq!(again.image().topics[&partition.topic].id.to_string(), id);
    // It goes on: new records follow, and go cold behind the old ones.
    produce(&again, &partition).await;
    until(&again, &partition, |p| p.tier_end() == Offset(2 * RECORDS)).await;
    all.extend((0..RECORDS).map(value));
    assert_eq!(read_to(&again, &partition, Offset::ZERO, Offset(2 * RECORDS)).await, all);
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_that_rots_in_the_store_is_found_and_goes_up_again_while_it_is_local() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker_with(dir.path(), &[("tier.scrub.interval.ms", "300")]).await;
    let partition = tiered_topic(&running, &[("local.retention.bytes", "-2")]).await;
    produce(&running, &partition).await;
    let end = until(&running, &partition, |p| p.tier_end() > Offset(300)).await.tier_end();
    let rotten = segments(dir.path()).remove(1);
    let disk = crate::env::RealDisk;
    let mut bytes = crate::env::Disk::read(&disk, &rotten).unwrap();
    bytes[1000] ^= 0x10;
    let file = crate::env::Disk::open(&disk, &rotten, crate::env::OpenMode::ReadWrite).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    let gone = async {
        while rotten.exists() {
            running.env().clock.sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(&*running.env().clock, LIMIT, gone).await.expect("the rotten object is replaced and removed");
    until(&running, &partition, |p| p.tier_end() >= end).await;
    let scrubbed = running.tier_counts().unwrap().scrub;
    assert!(scrubbed.damaged > 0 && scrubbed.segments > 1, "{scrubbed:?}");
    let all: Vec<Bytes> = (0..RECORDS).map(value).collect();
    assert_eq!(read_all(&running, &partition, Offset::ZERO).await, all);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_little_room_local_copies_of_what_is_in_the_tier_go_whatever_local_retention_says() {
    let dir = tempfile::tempdir().unwrap();
    let everything = i64::MAX.to_string();
    let running =
        broker_with(dir.path(), &[("tier.disk.low.bytes", &everything), ("tier.disk.full.bytes", "0")]).await;
    let partition = tiered_topic(&running, &[("local.retention.bytes", "-2")]).await;
    produce(&running, &partition).await;
    until(&running, &partition, |p| p.tier_end() > Offset(300) && p.local_start == p.tier_end()).await;
    let all: Vec<Bytes> = (0..RECORDS).map(value).collect();
    assert_eq!(read_all(&running, &partition, Offset::ZERO).await, all, "nothing is lost");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_appends_are_rejected_or_the_oldest_records_go_as_the_topic_says() {
    let dir = tempfile::tempdir().unwrap();
    let everything = i64::MAX.to_string();
    let running = broker_with(dir.path(), &[("tier.disk.full.bytes", &everything)]).await;
    let no_copies = ("remote.log.copy.disable", "true");
    let partition = tiered_topic(&running, &[no_copies]).await;
    let batch = || {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.add(1_000_000, None, Some(&value(0)), &[]);
        batch.build().unwrap()
    };
    let refused = running.produce(&partition, None, batch(), Acks::All, LIMIT, None).await.unwrap_err();
    assert!(
        matches!(&refused, crate::broker::ProduceError::Storage(why) if why.contains("full")),
        "{refused}"
    );
    let drops = changes(&[("tier.disk.full.policy", "drop.oldest")]);
    running.alter_topic_config(&partition.topic, drops, false).await.unwrap();
    produce(&running, &partition).await;
    // What was never in the tier goes, oldest first, and the log start says so.
    let positions = until(&running, &partition, |p| p.log_start > Offset(300)).await;
    assert_eq!(positions.log_start, positions.local_start);
    let counted = async {
        while running.tier_counts().unwrap().dropped_records <= 300 {
            running.env().clock.sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(&*running.env().clock, LIMIT, counted).await.expect("the gap is counted");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_brokers_default_says_what_a_topic_gives_up_that_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let everything = i64::MAX.to_string();
    let full =
        [("tier.disk.full.bytes", everything.as_str()), ("tier.disk.full.default.policy", "drop.oldest")];
    let running = broker_with(dir.path(), &full).await;
    let partition = tiered_topic(&running, &[("remote.log.copy.disable", "true")]).await;
    produce(&running, &partition).await;
    until(&running, &partition, |p| p.log_start > Offset(300)).await;
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_tier_loses_its_local_copy_before_any_record_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let partition = tiered_topic(&running, &[("local.retention.bytes", "-2")]).await;
    produce(&running, &partition).await;
    let before = until(&running, &partition, |p| p.tier_end() > Offset(300)).await;
    assert_eq!(before.local_start, Offset::ZERO);
    let replica = running.replicas().replica(&partition).unwrap();
    let room = super::room::Room::new(running.config());
    let make_room = || {
        let tier_end = replica.positions().tier_end();
        room.drop_oldest(running.replicas(), &replica, tier_end, running.env().clock.wall_ms()).unwrap();
        replica.positions()
    };
    let after = make_room();
    assert_eq!((after.log_start, room.dropped_records()), (Offset::ZERO, 0), "nothing is given up");
    assert!(after.local_start > Offset(300), "{after:?}");
    let all: Vec<Bytes> = (0..RECORDS).map(value).collect();
    assert_eq!(read_all(&running, &partition, Offset::ZERO).await, all);
    // What is not in the tier is given up with all that is older, and counted as such.
    running
        .alter_topic_config(&partition.topic, changes(&[("remote.log.copy.disable", "true")]), false)
        .await
        .unwrap();
    produce(&running, &partition).await;
    let tier_end = replica.positions().tier_end();
    let mut given_up = make_room();
    if given_up.log_start == Offset::ZERO {
        // A segment that was in the tier since.
        given_up = make_room();
    }
    assert!(given_up.log_start > tier_end, "{given_up:?} above {tier_end}");
    assert_eq!(room.dropped_records(), given_up.log_start.0.cast_unsigned());
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_of_several_cold_partitions_reads_them_all_within_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let first = tiered_topic(&running, &[]).await;
    running.create_partitions(&first.topic, 3, None, false).await.unwrap();
    let all: Vec<TopicPartition> = (0..3).map(|p| TopicPartition::new(first.topic.clone(), p)).collect();
    for partition in &all {
        until(&running, partition, |p| p.role == ReplicaRole::Leader).await;
        produce(&running, partition).await;
        until(&running, partition, |p| p.tier_end() > Offset(300) && p.local_start == p.tier_end()).await;
    }
    let fetch = |max_bytes: usize| {
        request(all.iter().map(|partition| wanted(partition, Offset::ZERO, 4_000)).collect(), max_bytes)
    };
    let sizes = |answers: Vec<Result<Fetched, FetchError>>| -> Vec<usize> {
        answers.into_iter().map(|answer| answer.unwrap().records.len()).collect()
    };
    let each = sizes(running.fetch(&fetch(1 << 20)).await.0);
    assert!(each.iter().all(|bytes| (3_000..=4_000).contains(bytes)), "{each:?}");
    let bounded = sizes(running.fetch(&fetch(6_000)).await.0);
    assert!(bounded.iter().sum::<usize>() <= 6_000 && bounded[0] > 3_000 && bounded[2] == 0, "{bounded:?}");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_a_folder_beside_the_chunk_files_gets_none() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("data/tier-cache");
    std::fs::create_dir_all(&cache).unwrap();
    // Left by a version that kept them.
    let former = cache.join("00000000000000000000000000000001-00000.chunk");
    crate::env::Disk::write_atomically(&crate::env::RealDisk, &former, b"old").unwrap();
    let running = broker(dir.path()).await;
    let partition = tiered_topic(&running, &[]).await;
    produce(&running, &partition).await;
    until(&running, &partition, settled).await;
    assert_eq!(read_all(&running, &partition, Offset::ZERO).await.len(), RECORDS as usize);
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 0);
    let beside = async |store: StoreLocation| {
        super::store::is_beside(running.env(), &running.disk_threads, &store, &cache).await
    };
    assert!(beside(StoreLocation::Folder(dir.path().join("store"))).await);
    assert!(!beside(StoreLocation::Folder("/proc".into())).await, "the control: another file system");
    let bucket = StoreLocation::Bucket { bucket: "b".to_owned(), prefix: String::new() };
    assert!(!beside(bucket).await);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_does_not_know_the_quorums_time_lets_nothing_expire() {
    let dir = tempfile::tempdir().unwrap();
    // Its own round comes later than this test ends.
    let running = broker_with(dir.path(), &[("log.retention.check.interval.ms", "3600000")]).await;
    let expires =
        [("remote.storage.enable", "false"), ("local.retention.bytes", "-2"), ("retention.ms", "1000")];
    let partition = tiered_topic(&running, &expires).await;
    produce(&running, &partition).await;
    let replica = running.replicas().replica(&partition).unwrap();
    let now_ms = running.env().clock.wall_ms();
    let start_after = |quorum_ms| {
        crate::broker::retention::expire(&replica, now_ms, quorum_ms).unwrap();
        replica.positions().log_start
    };
    assert_eq!(start_after(None), Offset::ZERO, "though the broker's own clock says that all is old");
    assert_eq!(start_after(Some(1_000_000)), Offset::ZERO, "by the quorum's time all is fresh");
    assert!(start_after(Some(now_ms)) > Offset::ZERO, "the control: by that time all is old");
    running.shutdown().await;
}
