//! A log start that rises: DeleteRecords is answered by the manifest and not held up by what else goes to the store, and every rise is
//! stored.

use tiering::layout::PartitionFolder;
use tiering::manifest::{Manifest, Writer};
use tiering::offload::LeaderLog as _;
use tiering::store::Store as _;
use uuid::Uuid;

use super::bucket::Bucket;
use super::gone::one_of_three;
use super::*;
use crate::broker::DeleteRecordsError;
use crate::broker::tier::leader_log::LedLog;
use crate::broker::tier::room::Room;
use crate::transport::memory::MemoryNetwork;
use crate::types::BrokerId;

fn folder(broker: &Broker, partition: &TopicPartition) -> PartitionFolder {
    let topic = broker.replicas().replica(partition).unwrap().topic_id();
    broker.cold_store.as_ref().unwrap().folder(partition, topic).unwrap()
}

/// The newest manifest of a partition.
async fn head(broker: &Broker, partition: &TopicPartition) -> Manifest {
    let store = broker.cold_store.as_ref().unwrap().store.clone();
    let publisher = tiering::publish::Publisher::new(store, folder(broker, partition));
    publisher.find_head(0).await.unwrap().manifest.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_records_are_answered_when_the_manifest_says_so_too() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let partition = tiered_topic(&running, &[]).await;
    produce(&running, &partition).await;
    until(&running, &partition, settled).await;
    let cold = running.cold_store.clone().unwrap();
    let first_end = head(&running, &partition).await.live[0].end;
    // Within a segment, at the start of one, and behind it.
    for to in [first_end - 1, first_end, first_end + 1] {
        assert_eq!(running.delete_records(&partition, to, LIMIT).await, Ok(Offset(to)));
        assert_eq!(head(&running, &partition).await.log_start, to, "what is restored from here begins there");
    }
    // A store that takes nothing up: the records are deleted here, and it is told that they may come back.
    cold.owned.send_replace(false);
    let soon = Duration::from_millis(300);
    let late = running.delete_records(&partition, first_end + 2, soon).await;
    assert_eq!(late, Err(DeleteRecordsError::TierTimedOut));
    assert_eq!(running.replicas().replica(&partition).unwrap().positions().log_start, Offset(first_end + 2));
    cold.owned.send_replace(true);
    assert_eq!(running.delete_records(&partition, first_end + 2, LIMIT).await, Ok(Offset(first_end + 2)));
    assert_eq!(head(&running, &partition).await.log_start, first_end + 2);
    running.shutdown().await;
}

/// A broker whose segments go up only one by one from now on, with so many partitions that are settled in the tier.
async fn slow(dir: &Path, partitions: i32) -> (Arc<Broker>, Bucket, Vec<TopicPartition>) {
    let bucket = Bucket::new();
    let seams = Seams { stores: Arc::new(bucket.clone()), ..Seams::real(Env::real()) };
    let more = [("tier.store.url", "s3://bucket"), ("tier.backup.interval.ms", "0")];
    let running = broker_on(seams, dir, &more).await;
    let first = tiered_topic(&running, &[]).await;
    if partitions > 1 {
        running.create_partitions(&first.topic, partitions, None, false).await.unwrap();
    }
    let all: Vec<_> = (0..partitions).map(|p| TopicPartition::new(first.topic.clone(), p)).collect();
    for partition in &all {
        until(&running, partition, |p| p.role == ReplicaRole::Leader).await;
        produce(&running, partition).await;
        until(&running, partition, settled).await;
    }
    bucket.hold_uploads();
    (running, bucket, all)
}

async fn until_held(broker: &Broker, bucket: &Bucket, uploads: usize) {
    let mut held = bucket.held.subscribe();
    let waited = timeout(&*broker.env().clock, LIMIT, held.wait_for(|held| *held == uploads)).await;
    waited.unwrap_or_else(|_| panic!("{} uploads", *bucket.held.borrow())).unwrap();
}

/// Until somebody waits for nothing but the manifest that carries a log start.
async fn until_asked(broker: &Broker, partition: &TopicPartition, log_start: i64) {
    let cold = broker.cold_store.clone().unwrap();
    let key = (broker.replicas().replica(partition).unwrap().topic_id(), partition.partition);
    until(broker, partition, |_| cold.deletions.asked_for(key) == Some(log_start)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_records_are_answered_long_before_a_backlog_is_up() {
    let dir = tempfile::tempdir().unwrap();
    let (running, bucket, partitions) = slow(dir.path(), 1).await;
    let partition = &partitions[0];
    produce(&running, partition).await;
    until_held(&running, &bucket, 1).await;
    let before = bucket.count(".seg");
    let (deletes, all) = (running.clone(), partition.clone());
    let deleted = tokio::spawn(async move { deletes.delete_records(&all, 50, LIMIT).await });
    until_asked(&running, partition, 50).await;
    // Not even the one that is on its way.
    assert_eq!(deleted.await.unwrap(), Ok(Offset(50)));
    assert_eq!(head(&running, partition).await.log_start, 50);
    assert_eq!((bucket.count(".seg"), *bucket.held.borrow()), (before, 1));
    // It goes on, and so do others behind it.
    bucket.let_up(2);
    until(&running, partition, |_| bucket.count(".seg") == before + 2).await;
    until_held(&running, &bucket, 1).await;
    // Behind the tier's end: what goes up later must not bring back what it deletes.
    let to = Offset(RECORDS + RECORDS / 2);
    let (deletes, all) = (running.clone(), partition.clone());
    let deleted = tokio::spawn(async move { deletes.delete_records(&all, to.0, LIMIT).await });
    assert_eq!(deleted.await.unwrap(), Ok(to));
    let carried = head(&running, partition).await;
    assert!(carried.tier_start().is_none_or(|start| start >= to.0), "{carried:?}");
    // What is on its way is of the deleted records: it brings none of them back, and is swept.
    bucket.let_up(100);
    until(&running, partition, |p| p.tier_end() > Offset(2 * RECORDS - 33)).await;
    let carried = head(&running, partition).await;
    assert!(carried.tier_start().is_some_and(|start| start >= to.0), "{carried:?}");
    let named = carried.live.len() + carried.removed.len();
    let clean = async {
        while bucket.count(".seg") > named {
            running.env().clock.sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(&*running.env().clock, LIMIT, clean).await.expect("no orphan stays");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_records_wait_for_no_other_partitions_uploads() {
    let dir = tempfile::tempdir().unwrap();
    let (running, bucket, partitions) = slow(dir.path(), 5).await;
    let (idle, busy) = partitions.split_last().unwrap();
    for partition in busy {
        produce(&running, partition).await;
    }
    // As many as may be at it at once.
    until_held(&running, &bucket, 4).await;
    assert_eq!(running.delete_records(idle, 50, LIMIT).await, Ok(Offset(50)));
    assert_eq!(head(&running, idle).await.log_start, 50);
    assert_eq!(*bucket.held.borrow(), 4, "nothing has gone up meanwhile");
    bucket.let_up(1000);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_where_a_later_life_has_begun_since_the_last_look_counts_only_there() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let partition = tiered_topic(&running, &[]).await;
    produce(&running, &partition).await;
    until(&running, &partition, settled).await;
    // The control, and what it costs to ask: a HEAD besides the publish's own.
    let before = running.tier_counts().unwrap().requests;
    assert_eq!(running.delete_records(&partition, 40, LIMIT).await, Ok(Offset(40)));
    let after = running.tier_counts().unwrap().requests;
    assert_eq!((after.puts - before.puts, after.heads - before.heads), (1, 2), "{before:?} {after:?}");
    let cold = running.cold_store.clone().unwrap();
    // Half a minute may pass until the broker looks by itself.
    let cluster_id = running.image().cluster_id.clone();
    assert_eq!(tiering::owner::begin_incarnation(&*cold.store, &cluster_id).await, Ok(1));
    let told = running.delete_records(&partition, 50, Duration::from_secs(1)).await;
    assert_eq!(told, Err(DeleteRecordsError::TierTimedOut));
    assert!(!cold.is_owned());
    assert_eq!(head(&running, &partition).await.log_start, 40);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_deletes_records_is_told_at_once_when_somebody_else_writes_the_tier() {
    let dir = tempfile::tempdir().unwrap();
    let (running, bucket, partitions) = slow(dir.path(), 2).await;
    // Of the same epoch, which is a fault that stops the leader; and of a later one.
    for (partition, later) in partitions.iter().zip([0, 1]) {
        let before = head(&running, partition).await;
        let writer = Writer { epoch: before.writer.epoch + later, uuid: Uuid::from_u128(9) };
        let theirs = Manifest { generation: before.generation + 1, writer, ..before };
        let key = folder(&running, partition).manifest(theirs.generation);
        bucket.inner.put(&key, vec![theirs.encode().unwrap()]).await.unwrap();
        for to in [50, 51] {
            let told = running.delete_records(partition, to, LIMIT).await.unwrap_err();
            let DeleteRecordsError::Fetch(told) = told else { panic!("{told}") };
            let expected = match later {
                0 => matches!(&told, FetchError::Tier(why) if why.contains("same epoch")),
                _ => matches!(told, FetchError::NotLeader { .. }),
            };
            assert!(expected, "{told}");
        }
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_deletes_records_is_told_at_once_when_the_leadership_goes() {
    let (dir, bucket) = (tempfile::tempdir().unwrap(), Bucket::new());
    let network = MemoryNetwork::new(&Env::real());
    let started = (1..=3).map(|id| one_of_three(&network, &bucket, dir.path(), id));
    let brokers = futures::future::join_all(started).await;
    let name = TopicName::new("cold").unwrap();
    let configs = [("remote.storage.enable", "true"), ("segment.bytes", "4000"), ("retention.ms", "-1")];
    let new = NewTopic {
        name: name.clone(),
        partitions: None,
        replication_factor: None,
        assignment: Some(vec![vec![BrokerId(1), BrokerId(2), BrokerId(3)]]),
        configs: configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    };
    brokers[0].create_topic(new, false).await.unwrap();
    let partition = TopicPartition::new(name, 0);
    until(&brokers[0], &partition, |p| p.role == ReplicaRole::Leader).await;
    // Its leader sleeps over its publish.
    bucket.shut.send_replace(true);
    produce(&brokers[0], &partition).await;
    let asleep = async { bucket.asleep.subscribe().wait_for(|asleep| *asleep).await.map(|_| ()) };
    timeout(&*brokers[0].env().clock, LIMIT, asleep).await.expect("it is about to publish").unwrap();
    let (leader, all) = (brokers[0].clone(), partition.clone());
    let deleted = tokio::spawn(async move { leader.delete_records(&all, 50, LIMIT).await });
    let replica = brokers[0].replicas().replica(&partition).unwrap();
    until(&brokers[0], &partition, |_| replica.log_start_is_stored(Offset(50)) == Some(true)).await;
    // It waits for nothing but the manifest by now.
    brokers[0].env().clock.sleep(Duration::from_millis(200)).await;
    let others = vec![BrokerId(2), BrokerId(3)];
    brokers[0].reassign(&partition, Some(others), true).await.unwrap();
    let told = deleted.await.unwrap().unwrap_err();
    assert!(matches!(told, DeleteRecordsError::Fetch(FetchError::NotLeader { .. })), "{told}");
    bucket.shut.send_replace(false);
    until(&brokers[1], &partition, |p| p.role == ReplicaRole::Leader).await;
    assert_eq!(brokers[1].delete_records(&partition, 50, LIMIT).await, Ok(Offset(50)));
    for broker in brokers {
        broker.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_start_that_retention_or_a_full_disk_raises_is_stored_like_that_of_a_client() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    // Nothing is in the tier: what goes without the start being stored is a gap after a crash.
    let hot = [("remote.log.copy.disable", "true"), ("local.retention.bytes", "-2")];
    let partition = tiered_topic(&running, &hot).await;
    produce(&running, &partition).await;
    let replica = running.replicas().replica(&partition).unwrap();
    let cold = running.cold_store.clone().unwrap();
    let led = LedLog {
        replica: replica.clone(),
        replicas: running.replicas().clone(),
        epoch: replica.positions().leader_epoch,
        cold_threads: cold.cold_threads.clone(),
        clock: running.env().clock.clone(),
        metadata: cold.metadata.clone(),
        node_id: running.config().node_id,
        cold: cold.clone(),
        place: None,
    };
    let stored = || std::fs::read_to_string(dir.path().join("data/log-start-offset-checkpoint")).unwrap();
    led.advance_log_start(100).await.unwrap();
    assert!(stored().contains("cold 0 100\n"), "{}", stored());
    let room = Room::new(running.config());
    let now_ms = running.env().clock.wall_ms();
    for _ in 0..2 {
        room.drop_oldest(running.replicas(), &replica, Offset::ZERO, now_ms).unwrap();
    }
    let start = replica.positions().log_start;
    assert!(start > Offset(100), "{start}");
    assert!(stored().contains(&format!("cold 0 {start}\n")), "{start}: {}", stored());
    running.shutdown().await;
}
