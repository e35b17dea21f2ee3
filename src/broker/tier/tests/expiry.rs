//! Partitions of a tiered topic whose segments expire in one moment.

use super::bucket::Bucket;
use super::*;
use crate::env::Disk as _;
use crate::env::sim::SimDisk;

const PARTITIONS: i32 = 48;
/// Of each partition, of which a segment holds 33.
const EACH: i64 = 80;

/// A disk that counts, of a machine that has booted.
fn machine() -> SimDisk {
    let disk = SimDisk::new();
    for (path, text) in [
        ("/proc/sys/kernel/random/boot_id", "boot\n"),
        ("/proc/self/mountinfo", "1 0 8:1 / / rw - ext4 a rw\n"),
    ] {
        let path = Path::new(path);
        disk.create_dir_all(path.parent().unwrap()).unwrap();
        disk.write_atomically(path, text.as_bytes()).unwrap();
    }
    disk.create_dir_all(Path::new("/broker")).unwrap();
    disk
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_starts_of_partitions_that_expire_together_are_stored_together() {
    let (dir, bucket, disk) = (Path::new("/broker"), Bucket::new(), machine());
    let env = Env { disk: Arc::new(disk.clone()), ..Env::real() };
    let seams = Seams { stores: Arc::new(bucket.clone()), ..Seams::real(env) };
    let more = [
        ("tier.store.url", "s3://bucket"),
        ("tier.backup.interval.ms", "0"),
        ("tier.delete.grace.ms", "3600000"),
    ];
    let running = broker_on(seams, dir, &more).await;
    let first = tiered_topic(&running, &[("local.retention.bytes", "-2")]).await;
    running.create_partitions(&first.topic, PARTITIONS, None, false).await.unwrap();
    let all: Vec<_> = (0..PARTITIONS).map(|p| TopicPartition::new(first.topic.clone(), p)).collect();
    for partition in &all {
        until(&running, partition, |p| p.role == ReplicaRole::Leader).await;
        for i in 0..EACH {
            let mut batch = BatchBuilder::new(Compression::None);
            batch.add(1_000_000 + i, None, Some(&value(i)), &[]);
            let batch = batch.build().unwrap();
            running.produce(partition, None, batch, Acks::All, LIMIT, None).await.unwrap();
        }
    }
    for partition in &all {
        until(&running, partition, |p| p.tier_end() > Offset(EACH - 33)).await;
        running.replicas().replica(partition).unwrap().with_log(|log| log.flush()).unwrap();
    }
    let (_, _, before) = disk.calls();
    let small = changes(&[("retention.bytes", "1")]);
    running.alter_topic_config(&first.topic, small, false).await.unwrap();
    for partition in &all {
        let positions = until(&running, partition, |p| p.log_start == p.tier_end()).await;
        assert_eq!(positions.local_start, positions.log_start);
    }
    // Until what lies below is gone too.
    let gone = || {
        let of = |path: &std::path::PathBuf| path.ends_with("00000000000000000000.log");
        disk.snapshot().keys().filter(|path| path.to_string_lossy().contains("cold-") && of(path)).count()
            == 0
    };
    while !gone() {
        running.env().clock.sleep(Duration::from_millis(20)).await;
    }
    let (_, _, after) = disk.calls();
    println!("{} fsyncs for {PARTITIONS} partitions", after - before);
    assert!(after - before < 2 * u64::from(PARTITIONS.unsigned_abs()), "{} fsyncs", after - before);
    running.shutdown().await;
}
