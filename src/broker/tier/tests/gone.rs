//! Records that are in one place only: three brokers of which one has less on its disk, a gap, and a leader that sleeps.

use futures::future::BoxFuture;
use tiering::store::Store as _;

use super::bucket::Bucket;
use super::*;
use crate::broker::{PeerNetwork, StartError};
use crate::env::metrics::{TIER_DISCARDS_WAITING, TIER_GAPS};
use crate::metadata::Command;
use crate::transport::SharedTransport;
use crate::transport::memory::MemoryNetwork;
use crate::types::{BrokerId, TopicId};

/// The place of one of three brokers in memory.
struct Place(MemoryNetwork);

impl PeerNetwork for Place {
    fn bind<'a>(
        &'a self,
        _: &'a Env,
        config: &'a BrokerConfig,
    ) -> BoxFuture<'a, Result<SharedTransport, StartError>> {
        let transport: SharedTransport = self.0.join(config.node_id, &config.peer_advertised);
        Box::pin(async move { Ok(transport) })
    }
}

pub(super) async fn one_of_three(
    network: &MemoryNetwork,
    bucket: &Bucket,
    dir: &Path,
    id: i32,
) -> Arc<Broker> {
    let seams = Seams {
        peers: Arc::new(Place(network.clone())),
        stores: Arc::new(bucket.clone()),
        ..Seams::real(Env::real())
    };
    let (name, data) = (format!("broker-{id}:9093"), dir.join(format!("data-{id}")).display().to_string());
    let id = id.to_string();
    let more = [
        ("node.id", id.as_str()),
        ("log.dirs", data.as_str()),
        ("peer.listener", name.as_str()),
        ("peer.advertised.listener", name.as_str()),
        ("controller.quorum.voters", "1@broker-1:9093,2@broker-2:9093,3@broker-3:9093"),
        ("peer.ssl.ca.location", "/ca"),
        ("peer.ssl.certificate.location", "/node"),
        ("peer.ssl.key.location", "/key"),
        ("tier.store.url", "s3://bucket"),
        ("log.retention.check.interval.ms", "100"),
    ];
    broker_on(seams, dir, &more).await
}

fn copy_of(broker: &Broker, partition: &TopicPartition) -> Positions {
    broker.replicas().replica(partition).unwrap().positions()
}

/// As little room on the disk makes a follower do: all that is in the tier goes.
fn let_go_of_what_is_cold(broker: &Broker, partition: &TopicPartition, below: Offset) {
    let replica = broker.replicas().replica(partition).unwrap();
    replica.with_log(|log| log.delete_segments_below(below)).unwrap().run().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tier_is_given_up_only_when_every_replica_has_what_is_to_stay_and_none_loses_it_when_it_leads() {
    let (dir, bucket) = (tempfile::tempdir().unwrap(), Bucket::new());
    let network = MemoryNetwork::new(&Env::real());
    let started = (1..=3).map(|id| one_of_three(&network, &bucket, dir.path(), id));
    let mut brokers = futures::future::join_all(started).await;
    let name = TopicName::new("cold").unwrap();
    let configs = [
        ("remote.storage.enable", "true"),
        ("segment.bytes", "4000"),
        ("retention.ms", "-1"),
        ("min.insync.replicas", "1"),
    ];
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
    produce(&brokers[0], &partition).await;
    let end = until(&brokers[0], &partition, |p| p.tier_end() > Offset(RECORDS - 33)).await.tier_end();
    for broker in &brokers[1..] {
        until(broker, &partition, |p| p.tier_end() == end && p.log_end == Offset(RECORDS)).await;
    }
    // The second one has half of it, the third one is away.
    let half = Offset(RECORDS / 2);
    let_go_of_what_is_cold(&brokers[1], &partition, half);
    let least = until(&brokers[1], &partition, |p| p.local_start > Offset::ZERO).await.local_start;
    assert!(least > Offset(RECORDS / 4) && least <= half, "{least}");
    brokers.remove(2).shutdown().await;
    let off = changes(&[("remote.storage.enable", "false"), ("remote.log.delete.on.disable", "true")]);
    brokers[0].alter_topic_config(&partition.topic, off, false).await.unwrap();
    // Many rounds: nobody knows what the third one has, so nothing goes, and all is there.
    brokers[0].env().clock.sleep(Duration::from_secs(2)).await;
    let waiting = copy_of(&brokers[0], &partition);
    assert_eq!((waiting.log_start, waiting.local_start), (Offset::ZERO, Offset::ZERO), "{waiting:?}");
    assert!(bucket.count(".seg") > 3);
    assert_eq!(told(&brokers[0], TIER_DISCARDS_WAITING, &[]).await, Value::Level(1.0));
    // Nor does the second one forget, by a restart, that there is more than what it has on its disk.
    brokers.remove(1).shutdown().await;
    brokers.push(one_of_three(&network, &bucket, dir.path(), 2).await);
    let back = until(&brokers[1], &partition, |p| p.log_end == Offset(RECORDS)).await;
    assert_eq!((back.log_start, back.local_start), (Offset::ZERO, least), "{back:?}");
    let all: Vec<Bytes> = (0..RECORDS).map(value).collect();
    assert_eq!(read_all(&brokers[0], &partition, Offset::ZERO).await, all);

    brokers.push(one_of_three(&network, &bucket, dir.path(), 3).await);
    // From where on all of them have it, the log begins now: on each of them.
    for broker in &brokers {
        let positions = until(broker, &partition, |p| p.log_start >= least).await;
        assert!(positions.log_start == least && positions.local_start <= least, "{positions:?}");
    }
    let gone = async {
        while bucket.count(".seg") > 0 {
            brokers[0].env().clock.sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(&*brokers[0].env().clock, LIMIT, gone).await.expect("objects past the grace period are deleted");
    assert_eq!(told(&brokers[0], TIER_DISCARDS_WAITING, &[]).await, Value::Level(0.0));
    // The one that had least leads, and loses nothing of it.
    brokers.remove(0).shutdown().await;
    until(&brokers[0], &partition, |p| p.role == ReplicaRole::Leader && p.high_watermark == Offset(RECORDS))
        .await;
    brokers[0].check_retention().await;
    let rest = read_all(&brokers[0], &partition, least).await;
    assert_eq!(rest, all[usize::try_from(least.0).unwrap()..]);
    for broker in brokers {
        broker.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_in_neither_tier_are_told_stop_all_deletes_and_answer_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let more = [("local.retention.bytes", "-2"), ("remote.log.copy.disable", "true")];
    let partition = tiered_topic(&running, &more).await;
    produce(&running, &partition).await;
    let told = async |gaps: f64| {
        let is_told = async {
            while told(&running, TIER_GAPS, &[]).await != Value::Level(gaps) {
                running.env().clock.sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(&*running.env().clock, LIMIT, is_told).await.expect("the metric tells of it");
    };
    // Some generation is there, so that there is a tier to look at.
    let on = changes(&[("remote.log.copy.disable", "false")]);
    running.alter_topic_config(&partition.topic, on, false).await.unwrap();
    let end = until(&running, &partition, |p| p.tier_end() > Offset(RECORDS - 33)).await.tier_end();
    told(0.0).await;
    let off = changes(&[("remote.log.copy.disable", "true")]);
    running.alter_topic_config(&partition.topic, off, false).await.unwrap();
    let replica = running.replicas().replica(&partition).unwrap();
    // A round that began before may still copy: the one after the second question does not.
    for _ in 0..2 {
        let settled = running.cold_store.as_ref().unwrap().carries_log_start(&replica, Offset(i64::MAX));
        timeout(&*running.env().clock, LIMIT, settled).await.expect("nothing is left to do").unwrap();
    }
    produce(&running, &partition).await;
    // What no rule allows: local segments go that are not in the tier.
    let_go_of_what_is_cold(&running, &partition, Offset(RECORDS + RECORDS / 2));
    told(1.0).await;
    for offset in [end, Offset(RECORDS + 10)] {
        let error = fetch(&running, &partition, offset).await.unwrap_err();
        assert!(matches!(&error, FetchError::Tier(why) if why.contains("neither")), "{error}");
    }
    assert!(!fetch(&running, &partition, Offset::ZERO).await.unwrap().records.is_empty());
    // Given up for good it is no gap any more.
    let positions = copy_of(&running, &partition);
    replica.with_log(|log| log.advance_log_start(positions.local_start, 0)).unwrap().run().unwrap();
    told(0.0).await;
    running.shutdown().await;
}

/// A topic's leader sleeps over a publish, and the topic is deleted; the name of what it is about to publish.
async fn deleted_while_its_leader_slept(
    leader: &Broker,
    bucket: &Bucket,
    partition: &TopicPartition,
) -> (TopicId, String) {
    bucket.shut.send_replace(true);
    produce(leader, partition).await;
    let asleep = async { bucket.asleep.subscribe().wait_for(|asleep| *asleep).await.map(|_| ()) };
    timeout(&*leader.env().clock, LIMIT, asleep).await.expect("it is about to publish").unwrap();
    let id = leader.image().topics[&partition.topic].id;
    let folder = leader.cold_store.as_ref().unwrap().folder(partition, id).unwrap();
    leader.delete_topic(id).await.unwrap();
    // All of it but the tombstone goes.
    let is_buried = || bucket.count(&id.to_string()) == 1 && bucket.count(&folder.tombstone()) == 1;
    until_it(leader, is_buried).await;
    (id, folder.manifest(1))
}

async fn until_it(broker: &Broker, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            broker.env().clock.sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(&*broker.env().clock, LIMIT, wait).await.expect("it comes to be so");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_leader_publishes_that_slept_while_its_topic_was_deleted_goes_too() {
    // Its tombstone stays until it is awake; where another version forgot the topic meanwhile, it clears away by itself.
    for forgotten in [false, true] {
        let (dir, bucket) = (tempfile::tempdir().unwrap(), Bucket::new());
        let seams = Seams { stores: Arc::new(bucket.clone()), ..Seams::real(Env::real()) };
        let more = [("tier.store.url", "s3://bucket"), ("tier.backup.interval.ms", "0")];
        let running = broker_on(seams, dir.path(), &more).await;
        let partition = tiered_topic(&running, &[]).await;
        let (id, _) = deleted_while_its_leader_slept(&running, &bucket, &partition).await;
        running.env().clock.sleep(Duration::from_secs(1)).await;
        assert!(running.image().cold_topics.contains_key(&id), "far past the grace");
        let of_it = || bucket.count(&id.to_string());
        assert_eq!(of_it(), 1);
        if forgotten {
            let cold = running.cold_store.as_ref().unwrap();
            cold.metadata.submit(Command::ForgetColdTopic { id }).await.unwrap();
            for key in bucket.inner.snapshot().into_keys().filter(|key| key.contains(&id.to_string())) {
                bucket.inner.delete(&key).await.unwrap();
            }
        }
        bucket.shut.send_replace(false);
        until_it(&running, || !*bucket.asleep.borrow()).await;
        until_it(&running, || running.image().cold_topics.is_empty() && of_it() == 0).await;
        running.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_leader_publishes_that_slept_while_its_topic_was_deleted_goes_though_it_crashes_then() {
    let (dir, bucket) = (tempfile::tempdir().unwrap(), Bucket::new());
    let network = MemoryNetwork::new(&Env::real());
    let started = (1..=3).map(|id| one_of_three(&network, &bucket, dir.path(), id));
    let mut brokers = futures::future::join_all(started).await;
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
    let (id, late) = deleted_while_its_leader_slept(&brokers[0], &bucket, &partition).await;
    // The store does what it was asked for, and nobody is there any more who knows of it.
    brokers.remove(0).shutdown().await;
    brokers[0].env().clock.sleep(Duration::from_secs(1)).await;
    bucket.inner.put(&late, vec![Bytes::from_static(b"a generation")]).await.unwrap();
    assert!(
        brokers[0].image().cold_topics.contains_key(&id),
        "a broker has not said that nothing is on its way"
    );
    bucket.shut.send_replace(false);
    brokers.push(one_of_three(&network, &bucket, dir.path(), 1).await);
    until_it(&brokers[0], || {
        bucket.count(&id.to_string()) == 0
            && brokers.iter().all(|broker| broker.image().cold_topics.is_empty())
    })
    .await;
    for broker in brokers {
        broker.shutdown().await;
    }
}
