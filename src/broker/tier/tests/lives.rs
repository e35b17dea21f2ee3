//! Other lives: a topic that is created again under the name of a deleted one, and a cluster that was restored elsewhere.

use super::*;
use crate::broker::TRANSACTIONS_TOPIC;
use crate::broker::tier::{FIRST_PRODUCER_ID, Kept, MetadataBackup, PartsBackup, TransactionBackup};
use crate::coordinator::txn::{AddPartitions, EndTransaction, InitProducer, TxnError};
use crate::coordinator::{CoordinatorError, Producer};
use crate::env::{Disk as _, RealDisk};
use crate::replication::{TierPosition, TierReader as _};
use crate::types::{ProducerEpoch, ProducerId};

async fn produce_again(broker: &Broker, partition: &TopicPartition, records: i64) -> Vec<Bytes> {
    let values: Vec<Bytes> =
        (0..records).map(|i| Bytes::from(format!("new life {i} {}", "y".repeat(40)))).collect();
    for (i, value) in values.iter().enumerate() {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.add(2_000_000 + i as i64, None, Some(value), &[]);
        broker.produce(partition, None, batch.build().unwrap(), Acks::All, LIMIT, None).await.unwrap();
    }
    values
}

/// The store's files under the id of a topic.
fn files_of(dir: &Path, id: &str) -> usize {
    files(dir, None).iter().filter(|path| path.components().any(|part| part.as_os_str() == id)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_created_again_serves_nothing_of_the_old_one_whose_objects_go_after_the_grace() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker_with(dir.path(), &[("tier.delete.grace.ms", "3600000")]).await;
    let partition = tiered_topic(&running, &[]).await;
    produce(&running, &partition).await;
    until(&running, &partition, settled).await;
    // Both ways of a read are warm: what is in memory must not be taken for the new topic's.
    assert_eq!(read_all(&running, &partition, Offset::ZERO).await.len(), RECORDS as usize);
    let id = |broker: &Broker| broker.image().topics[&partition.topic].id;
    let old = id(&running);
    running.delete_topic(old).await.unwrap();
    let there = tiered_topic(&running, &[]).await;
    let new = id(&running);
    assert_eq!(there, partition);
    assert_ne!(new, old);
    let is_new = |broker: &Broker| {
        broker.replicas().replica_by_id(new, 0).is_some_and(|r| r.positions().role == ReplicaRole::Leader)
    };
    let begun = async {
        while !is_new(&running) {
            running.env().clock.sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(&*running.env().clock, LIMIT, begun).await.expect("the new topic has its leader");
    let empty = fetch(&running, &partition, Offset::ZERO).await.unwrap();
    assert_eq!(empty.records.len(), 0, "the new topic begins empty");
    let end = Offset(RECORDS / 2);
    let values = produce_again(&running, &partition, end.0).await;
    let cold = |p: &Positions| p.tier_end() > Offset(end.0 - 40) && p.local_start == p.tier_end();
    until(&running, &partition, cold).await;
    assert_eq!(read_to(&running, &partition, Offset::ZERO, end).await, values);
    let beyond = fetch(&running, &partition, Offset(RECORDS - 40)).await.unwrap_err();
    assert!(matches!(beyond, FetchError::OffsetOutOfRange), "the old topic was longer: {beyond}");
    assert_eq!(list(&running, &partition, OffsetSpec::Timestamp(1_000_000)).await.timestamp, 2_000_000);
    // Of the old one the tombstone at least stays for the grace.
    assert!(files_of(dir.path(), &old.to_string()) > 0);
    running.shutdown().await;
    drop(running);

    let again = broker(dir.path()).await;
    let gone = async {
        while files_of(dir.path(), &old.to_string()) > 0 {
            again.env().clock.sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(&*again.env().clock, LIMIT, gone).await.expect("the old topic's objects go");
    assert!(files_of(dir.path(), &new.to_string()) > 0);
    until(&again, &partition, |p| p.role == ReplicaRole::Leader && p.high_watermark == end).await;
    assert_eq!(read_to(&again, &partition, Offset::ZERO, end).await, values);
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_whose_cluster_was_restored_elsewhere_write_and_delete_nothing_until_they_are_told_to_go_on()
{
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let tiered = ("remote.storage.enable", "true");
    let doomed = topic(&running, "doomed", &[tiered]).await;
    let partition = tiered_topic(&running, &[]).await;
    for partition in [&doomed, &partition] {
        produce(&running, partition).await;
        until(&running, partition, settled).await;
    }
    let cold = running.cold_store.clone().unwrap();
    let cluster_id = running.image().cluster_id.clone();
    cold.look_for_later_life().await.unwrap();
    assert!(cold.is_owned());
    assert_eq!(tiering::owner::begin_incarnation(&*cold.store, &cluster_id).await, Ok(1));
    cold.look_for_later_life().await.unwrap();
    assert!(!cold.is_owned());
    // A step that was on its way may still end.
    running.env().clock.sleep(Duration::from_millis(200)).await;
    let before = files(dir.path(), None);
    running.delete_topic(running.image().topics[&doomed.topic].id).await.unwrap();
    let start = running.replicas().replica(&partition).unwrap().positions().local_start;
    produce(&running, &partition).await;
    // Many rounds of the driver.
    running.env().clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(files(dir.path(), None), before);
    let positions = running.replicas().replica(&partition).unwrap().positions();
    assert_eq!((positions.local_start, positions.high_watermark), (start, Offset(2 * RECORDS)));
    let all: Vec<Bytes> = (0..RECORDS).chain(0..RECORDS).map(value).collect();
    assert_eq!(read_to(&running, &partition, Offset::ZERO, Offset(2 * RECORDS)).await, all);
    // As a restore tells its brokers, and an operator those that are to go on after all.
    let life = changes(&[(crate::broker::INCARNATION, "1")]);
    running.alter_broker_config(None, life, false).await.unwrap();
    cold.look_for_later_life().await.unwrap();
    assert!(cold.is_owned());
    until(&running, &partition, |p| p.tier_end() > Offset(2 * RECORDS - 33) && p.local_start == p.tier_end())
        .await;
    until_files(&running, dir.path(), |files| {
        !files.iter().any(|path| path.components().any(|part| part.as_os_str() == "doomed"))
    })
    .await;
    assert_eq!(read_to(&running, &partition, Offset::ZERO, Offset(2 * RECORDS)).await, all);
    running.shutdown().await;
}

/// What lies above the end that the leader tells may be of a lineage that is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_is_given_the_state_at_the_tier_end_that_its_leader_tells_and_none_above() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let partition = tiered_topic(&running, &[]).await;
    produce(&running, &partition).await;
    let generation = until(&running, &partition, settled).await.tier.unwrap().generation;
    let cold = running.cold_store.clone().unwrap();
    let topic = running.image().topics[&partition.topic].id;
    let publisher =
        tiering::publish::Publisher::new(cold.store.clone(), cold.folder(&partition, topic).unwrap());
    let rows = publisher.find_head(0).await.unwrap().manifest.unwrap().live;
    assert!(rows.len() > 2, "{rows:?}");
    let told = async |end: i64| {
        let tier = TierPosition { end: Offset(end), generation };
        cold.fetch_tier_state(&partition, topic, tier).await.map(|state| state.end.0)
    };
    for row in [&rows[0], &rows[1], &rows[rows.len() - 1]] {
        assert_eq!(told(row.end).await, Ok(row.end));
    }
    for within in [rows[1].end + 1, rows[0].end - 1] {
        assert_eq!(
            told(within).await,
            Ok(within),
            "a row may count in part, and the rest is on the leader's disk"
        );
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_beside_a_damaged_marker_starts_and_uploads_nothing_until_it_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let partition = tiered_topic(&running, &[]).await;
    produce(&running, &partition).await;
    until(&running, &partition, settled).await;
    running.shutdown().await;
    drop(running);

    let marker = dir.path().join("store").join(tiering::layout::OWNER);
    let whole = RealDisk.read(&marker).unwrap();
    let mut damaged = whole.clone();
    damaged[20] ^= 1;
    RealDisk.write_atomically(&marker, &damaged).unwrap();
    let again = broker(dir.path()).await;
    until(&again, &partition, |p| p.role == ReplicaRole::Leader).await;
    assert!(!again.cold_store.as_ref().unwrap().is_owned());
    let before = files(dir.path(), None);
    produce(&again, &partition).await;
    // Many rounds of the driver.
    again.env().clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(files(dir.path(), None), before);
    let end = Offset(2 * RECORDS);
    let all: Vec<Bytes> = (0..RECORDS).chain(0..RECORDS).map(value).collect();
    assert_eq!(read_to(&again, &partition, Offset::ZERO, end).await, all, "also what is cold");

    RealDisk.write_atomically(&marker, &whole).unwrap();
    until(&again, &partition, |p| p.tier_end() > Offset(end.0 - 33) && p.local_start == p.tier_end()).await;
    assert_eq!(read_to(&again, &partition, Offset::ZERO, end).await, all);
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transactional_producer_of_the_life_before_a_restore_does_not_go_on_and_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    running.alter_broker_config(None, changes(&[(FIRST_PRODUCER_ID, "1000")]), false).await.unwrap();
    running.ensure_coordinator_topic(&TopicName::new(TRANSACTIONS_TOPIC).unwrap()).await.unwrap();
    let init = async |id: &str, expected: Option<i64>| {
        let expected = expected.map(|id| Producer { id: ProducerId(id), epoch: ProducerEpoch(3) });
        let first_of_life = running.first_producer_id();
        let question =
            InitProducer { id: id.into(), timeout_ms: 60_000, expected, fresh: None, first_of_life };
        let asked = async {
            loop {
                match running.init_transactional(question.clone()).await {
                    Err(
                        CoordinatorError::NotCoordinator
                        | CoordinatorError::Loading
                        | CoordinatorError::NotAvailable,
                    ) => running.env().clock.sleep(Duration::from_millis(20)).await,
                    answer => return answer,
                }
            }
        };
        timeout(&*running.env().clock, LIMIT, asked).await.expect("the coordinator is there")
    };
    let fenced = Err(CoordinatorError::Transaction(TxnError::Fenced));
    assert_eq!(init("a", Some(999)).await, fenced);
    let begun = init("a", None).await.unwrap();
    assert_eq!(begun.epoch, ProducerEpoch(0));
    assert_eq!(init("a", Some(999)).await, fenced, "also once the id has a new producer");
    // The control: one of this life, whose id has expired.
    assert!(init("b", Some(1000)).await.is_ok());
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_topic_is_not_buried_where_a_later_life_has_begun_since_the_last_look() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let tiered = ("remote.storage.enable", "true");
    let doomed = topic(&running, "doomed", &[tiered]).await;
    produce(&running, &doomed).await;
    until(&running, &doomed, settled).await;
    let cold = running.cold_store.clone().unwrap();
    let cluster_id = running.image().cluster_id.clone();
    // Nobody has looked since: half a minute may pass until the broker does by itself.
    assert_eq!(tiering::owner::begin_incarnation(&*cold.store, &cluster_id).await, Ok(1));
    let of_topic = || {
        let all = files(dir.path(), None).into_iter();
        all.filter(|path| path.components().any(|part| part.as_os_str() == "doomed")).collect::<Vec<_>>()
    };
    let before = of_topic();
    running.delete_topic(running.image().topics[&doomed.topic].id).await.unwrap();
    let looked = async {
        while cold.is_owned() {
            running.env().clock.sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(&*running.env().clock, LIMIT, looked).await.expect("the deletion looks before it buries");
    running.env().clock.sleep(Duration::from_millis(500)).await;
    assert_eq!(of_topic(), before, "neither a tombstone nor a removed object");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactional_ids_are_in_the_backup_as_they_were_decided_and_ids_of_a_life_before_are_not_given_out()
{
    let dir = tempfile::tempdir().unwrap();
    let running = broker_with(dir.path(), &[("tier.backup.interval.ms", "50")]).await;
    running.ensure_coordinator_topic(&TopicName::new(TRANSACTIONS_TOPIC).unwrap()).await.unwrap();
    let partition = tiered_topic(&running, &[]).await;
    let begin = async |id: &'static str| {
        let first_of_life = running.first_producer_id();
        let question =
            InitProducer { id: id.into(), timeout_ms: 60_000, expected: None, fresh: None, first_of_life };
        let begun = async {
            loop {
                if let Ok(producer) = running.init_transactional(question.clone()).await {
                    return producer;
                }
                running.env().clock.sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(&*running.env().clock, LIMIT, begun).await.expect("the coordinator is there")
    };
    let mut producers = Vec::new();
    for id in ["committed", "aborted", "open", "idle"] {
        producers.push(begin(id).await);
    }
    for (id, producer) in ["committed", "aborted", "open"].into_iter().zip(&producers) {
        let partitions = vec![partition.clone()];
        let add = AddPartitions { id: id.into(), producer: *producer, partitions, client_version: 2 };
        running.ask_transaction(id, add).await.unwrap();
    }
    for (id, producer, commit) in [("committed", producers[0], true), ("aborted", producers[1], false)] {
        let end = EndTransaction { id: id.into(), producer, commit, client_version: 2, fresh: None };
        running.end_transaction(end).await.unwrap();
    }
    let (cluster_id, store) =
        (running.image().cluster_id.clone(), running.cold_store.clone().unwrap().store.clone());
    let expected = BTreeMap::from([
        ("aborted", "CompleteAbort"),
        ("committed", "CompleteCommit"),
        ("idle", "Empty"),
        ("open", "Ongoing"),
    ]);
    let directories = MetadataBackup::of(&running.image()).directories;
    let backed_up = async {
        loop {
            let mut lines = Vec::new();
            let newest = PartsBackup::newest(&*store, Kept::Transactions, &cluster_id, &directories).await;
            for part in newest.unwrap().parts {
                // A part may be replaced between the list of parts and this.
                lines.extend(part.read::<TransactionBackup>(&*store).await.unwrap_or_default());
            }
            let found: BTreeMap<&str, &str> =
                lines.iter().map(|line| (line.id.as_str(), line.state.as_str())).collect();
            if found == expected {
                return lines;
            }
            running.env().clock.sleep(Duration::from_millis(50)).await;
        }
    };
    let lines =
        timeout(&*running.env().clock, LIMIT, backed_up).await.expect("all of them are in the backup");
    let of = |id: &str| lines.iter().find(|line| line.id == id).unwrap();
    assert_eq!(of("committed").committed(), Some((producers[0].id, producers[0].epoch.0)));
    assert_eq!(["aborted", "open", "idle"].map(|id| of(id).committed()), [None; 3]);
    assert_eq!(of("open").partitions, BTreeMap::from([(partition.topic.to_string(), vec![0])]));
    // A restore says from where on the ids are this life's: what is left of a block of before is not given out.
    let first = producers[3].id.0 + 5_000;
    let fence = changes(&[(FIRST_PRODUCER_ID, &first.to_string())]);
    running.alter_broker_config(None, fence, false).await.unwrap();
    let told = async {
        while running.first_producer_id().0 != first {
            running.env().clock.sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(&*running.env().clock, LIMIT, told).await.expect("the broker hears of it");
    assert!(begin("new").await.id.0 >= first);
    running.shutdown().await;
}
