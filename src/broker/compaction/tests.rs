//! A lone broker whose own rounds are switched off: what a round would do at a time that the test says.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::broker::config::Properties;
use crate::broker::testing::batches;
use crate::broker::{NewTopic, Seams};
use crate::env::{Env, timeout};
use crate::replication::Acks;
use crate::types::{TopicName, TopicPartition};
use crate::wire::record_batch::{BatchBuilder, Compression};

const LIMIT: Duration = Duration::from_secs(30);
const HOUR_MS: i64 = 3_600_000;

async fn broker(dir: &Path) -> Arc<Broker> {
    let mut properties = Properties::default();
    for (key, value) in [
        ("node.id", "1"),
        ("log.dirs", &dir.join("data").display().to_string()),
        ("peer.listener", "127.0.0.1:0"),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("log.cleaner.enable", "false"),
    ] {
        properties.set(key, value, "test").unwrap();
    }
    let config = BrokerConfig::new(properties).unwrap();
    Broker::start(Seams::real(Env::real()), config, Vec::new()).await.unwrap()
}

async fn compacted_topic(broker: &Broker, configs: &[(&str, &str)]) -> Arc<Replica> {
    let all = [("cleanup.policy", "compact"), ("segment.bytes", "4000")].iter().chain(configs);
    let name = TopicName::new("compacted").unwrap();
    let new = NewTopic {
        name: name.clone(),
        partitions: Some(1),
        replication_factor: Some(1),
        assignment: None,
        configs: all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    broker.create_topic(new, false).await.unwrap();
    let partition = TopicPartition::new(name, 0);
    let led = async {
        loop {
            let replica = broker.replicas().replica(&partition);
            if let Some(replica) = replica.filter(|replica| replica.positions().role == ReplicaRole::Leader) {
                return replica;
            }
            broker.env().clock.sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(&*broker.env().clock, LIMIT, led).await.expect("it is led")
}

/// So many records of ten keys that begin like this; without a value the keys are to go.
async fn produce(
    broker: &Broker,
    replica: &Replica,
    records: i64,
    key: &str,
    value: Option<&str>,
    at_ms: i64,
) {
    for i in 0..records {
        let mut batch = BatchBuilder::new(Compression::None);
        let key = format!("{key} {}", i % 10);
        batch.add(at_ms, Some(key.as_bytes()), value.map(str::as_bytes), &[]);
        let batch = batch.build().unwrap();
        broker.produce(replica.partition(), None, batch, Acks::All, LIMIT, None).await.unwrap();
    }
}

/// What a round finds due by this time.
async fn due(broker: &Broker, quorum_ms: Option<i64>) -> Option<Candidate> {
    let directory = broker.replicas().directories()[0].0;
    broker.dirtiest(directory, &Failed::new(), quorum_ms).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_does_not_know_the_quorums_time_compacts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let replica = compacted_topic(&running, &[("min.compaction.lag.ms", "3600000")]).await;
    let now_ms = running.env().clock.wall_ms();
    produce(&running, &replica, 200, "key", Some(&"x".repeat(100)), now_ms).await;
    assert!(due(&running, None).await.is_none());
    assert!(
        due(&running, Some(now_ms + HOUR_MS / 2)).await.is_none(),
        "by the quorum's time it is too fresh"
    );
    assert!(due(&running, Some(now_ms + HOUR_MS + 1)).await.is_some(), "the control: by that time it is due");
    running.shutdown().await;
}

/// A pass at this time over whatever it finds.
async fn pass_at(broker: &Broker, quorum_ms: i64) {
    let settings = Settings { backoff: Duration::ZERO, map_bytes: 1 << 20, bytes_per_second: f64::MAX };
    let candidate = due(broker, Some(quorum_ms)).await.expect("a pass is due");
    broker.compact(&candidate, settings, &Pace::default()).await.unwrap();
}

/// How many tombstones a reader is given.
async fn tombstones(broker: &Broker, replica: &Replica) -> usize {
    let end = replica.positions().high_watermark;
    let found = batches(broker, replica.partition(), Offset::ZERO, end).await;
    let records = found.iter().flat_map(|batch| batch.records(1 << 20).unwrap());
    records.filter(|record| record.as_ref().unwrap().value.is_none()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tombstone_goes_when_it_is_old_by_the_quorums_time() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let configs = [("delete.retention.ms", "3600000"), ("min.cleanable.dirty.ratio", "0")];
    let replica = compacted_topic(&running, &configs).await;
    // By this broker's own clock all of it was long ago.
    let begin_ms = 1_000_000;
    produce(&running, &replica, 10, "gone", None, begin_ms).await;
    let mut left = Vec::new();
    for passed_ms in [0, HOUR_MS / 2, HOUR_MS + 1] {
        // Closes the segments before it, so that there is something to look at.
        produce(&running, &replica, 60, "key", Some(&"x".repeat(100)), begin_ms).await;
        pass_at(&running, begin_ms + passed_ms).await;
        left.push(tombstones(&running, &replica).await);
    }
    assert_eq!(left, [10, 10, 0], "after no time, half an hour and an hour of the quorum's time");
    running.shutdown().await;
}
