//! After an unclean election: what the tier has is not lost with the copies.

use std::path::PathBuf;

use super::*;
use crate::env::metrics::PARTITIONS_OFFLINE;
use crate::env::{Disk as _, RealDisk};

/// What a log directory has of one partition, besides the metadata.
struct Saved(Vec<(PathBuf, Vec<u8>)>);

impl Saved {
    fn of(data: &Path) -> Saved {
        let folder = data.join("cold-0");
        let of = |folder: &Path| -> Vec<PathBuf> {
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.filter(|path| path.is_file()).collect()
        };
        let checkpoints = of(data).into_iter().filter(|path| path.to_str().unwrap().ends_with("-checkpoint"));
        let paths = of(&folder).into_iter().chain(checkpoints);
        Saved(paths.map(|path| (path.clone(), RealDisk.read(&path).unwrap())).collect())
    }

    /// The disk as it was then, of a machine that has lost its power since.
    fn put_back(&self, data: &Path) {
        let folder = data.join("cold-0");
        RealDisk.remove_dir_all(&folder).unwrap();
        RealDisk.create_dir_all(&folder).unwrap();
        for (path, bytes) in &self.0 {
            RealDisk.write_atomically(path, bytes).unwrap();
        }
        for proof in [".kafka_cleanshutdown", "broker-epoch"] {
            RealDisk.remove_file(&data.join(proof)).unwrap();
        }
    }
}

/// The only copy left holds the first `held` records, or none, and is elected all the same; the tier holds them all.
async fn a_winner_that_holds(held: i64) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let running = broker(dir.path()).await;
    let partition = tiered_topic(&running, &[("tier.max.lag.ms", "100")]).await;
    produce_some(&running, &partition, 0..held).await;
    running.shutdown().await;
    drop(running);
    let saved = Saved::of(&data);

    let running = broker(dir.path()).await;
    until(&running, &partition, |p| p.role == ReplicaRole::Leader && p.high_watermark == Offset(held)).await;
    produce_some(&running, &partition, held..RECORDS).await;
    until(&running, &partition, |p| p.tier_end() == Offset(RECORDS)).await;
    assert_eq!(running.image().topics[&partition.topic].partitions[0].unclean, None);
    running.shutdown().await;
    drop(running);
    saved.put_back(&data);

    let again = broker(dir.path()).await;
    let positions = until(&again, &partition, |p| p.role == ReplicaRole::Leader).await;
    let elected = again.image().topics[&partition.topic].partitions[0].unclean;
    assert_eq!(elected.map(|unclean| unclean.leader_epoch), Some(positions.leader_epoch));
    assert_eq!((positions.log_start, positions.high_watermark), (Offset::ZERO, Offset(RECORDS)));
    let mut all: Vec<Bytes> = (0..RECORDS).map(value).collect();
    assert_eq!(read_all(&again, &partition, Offset::ZERO).await, all);
    // And it stays so when the tier goes on.
    produce(&again, &partition).await;
    until(&again, &partition, |p| p.tier_end() == Offset(2 * RECORDS)).await;
    all.extend((0..RECORDS).map(value));
    assert_eq!(read_to(&again, &partition, Offset::ZERO, Offset(2 * RECORDS)).await, all);
    again.shutdown().await;
}

async fn produce_some(broker: &Broker, partition: &TopicPartition, which: std::ops::Range<i64>) {
    for i in which {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.add(1_000_000 + i, None, Some(&value(i)), &[]);
        let batch = batch.build().unwrap();
        broker.produce(partition, None, batch, Acks::All, LIMIT, None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unclean_leader_behind_the_tiers_end_begins_there_and_all_that_was_cold_is_read() {
    a_winner_that_holds(RECORDS / 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unclean_leader_with_an_empty_log_begins_at_the_tiers_end() {
    a_winner_that_holds(0).await;
}

/// What it would drop for the tier's copy may be the only one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unclean_leader_drops_nothing_for_objects_that_are_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let running = broker(dir.path()).await;
    let configs = [("tier.max.lag.ms", "100"), ("local.retention.bytes", "-2")];
    let partition = tiered_topic(&running, &configs).await;
    let held = RECORDS / 3;
    produce_some(&running, &partition, 0..held).await;
    running.shutdown().await;
    drop(running);
    let saved = Saved::of(&data);

    let running = broker(dir.path()).await;
    until(&running, &partition, |p| p.role == ReplicaRole::Leader && p.high_watermark == Offset(held)).await;
    produce_some(&running, &partition, held..RECORDS).await;
    until(&running, &partition, |p| p.tier_end() == Offset(RECORDS)).await;
    running.shutdown().await;
    drop(running);
    saved.put_back(&data);
    let mut objects = segments(dir.path());
    objects.sort();
    let (object, away) = (objects[0].clone(), objects[0].with_extension("away"));
    RealDisk.rename(&object, &away).unwrap();

    let again = broker(dir.path()).await;
    let waits = until(&again, &partition, |p| p.log_end == Offset(held)).await;
    assert_eq!((waits.local_start, waits.role), (Offset::ZERO, ReplicaRole::Offline), "{waits:?}");
    // Many questions later.
    again.env().clock.sleep(Duration::from_millis(2_500)).await;
    let waits = again.replicas().replica(&partition).unwrap().positions();
    assert_eq!((waits.local_start, waits.log_end), (Offset::ZERO, Offset(held)), "{waits:?}");
    assert!(waits.role != ReplicaRole::Leader);
    assert_eq!(
        told(&again, PARTITIONS_OFFLINE, &[]).await,
        Value::Level(1.0),
        "it has a leader by name alone"
    );
    RealDisk.rename(&away, &object).unwrap();
    until(&again, &partition, |p| p.role == ReplicaRole::Leader && p.log_end == Offset(RECORDS)).await;
    assert_eq!(told(&again, PARTITIONS_OFFLINE, &[]).await, Value::Level(0.0));
    let all: Vec<Bytes> = (0..RECORDS).map(value).collect();
    assert_eq!(read_all(&again, &partition, Offset::ZERO).await, all);
    again.shutdown().await;
}
