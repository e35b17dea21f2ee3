//! Other lives: a topic that is created again under the name of a deleted one, and a cluster that was restored elsewhere.

use super::*;
use crate::broker::TRANSACTIONS_TOPIC;
use crate::broker::tier::FIRST_PRODUCER_ID;
use crate::coordinator::txn::{InitProducer, TxnError};
use crate::coordinator::{CoordinatorError, Producer};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transactional_producer_of_the_life_before_a_restore_does_not_go_on_and_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    running.alter_broker_config(None, changes(&[(FIRST_PRODUCER_ID, "1000")]), false).await.unwrap();
    running.ensure_coordinator_topic(&TopicName::new(TRANSACTIONS_TOPIC).unwrap()).await.unwrap();
    let init = async |id: &str, expected: Option<i64>| {
        let expected = expected.map(|id| Producer { id: ProducerId(id), epoch: ProducerEpoch(3) });
        let question = InitProducer { id: id.into(), timeout_ms: 60_000, expected, fresh: None };
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
