//! A log start that a leader raises for what has expired: stored with those of others, and before what lies below goes.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::rig::{Cluster, TOPIC, batch, eventually, topic};
use crate::env::sim::{DiskCall, Fault, SimDisk};
use crate::log::LogError;
use crate::metadata::{Command, CreateTopic, Proof};
use crate::replication::{Acks, Replica};
use crate::types::{BrokerId, LeaderEpoch, Offset};

const RECORDS: i64 = 4;
const LOG_STARTS: &str = "log-start-offset-checkpoint";

/// Broker 1 alone, or with a second one in sync, leads so many partitions of a segment for each record; checkpoints are written when
/// somebody waits for them and at no other time.
async fn cluster(partitions: i32, ids: &[i32]) -> (Cluster, Vec<Arc<Replica>>) {
    let mut cluster = Cluster::new();
    cluster.checkpoint_interval = Duration::from_secs(3600);
    for id in ids {
        cluster.start(*id, SimDisk::new(), Proof::Unclean { previous: None });
    }
    let brokers: Vec<BrokerId> = ids.iter().map(|id| BrokerId(*id)).collect();
    cluster.truth.ok(&Command::CreateTopic(CreateTopic {
        name: topic(),
        id: TOPIC,
        assignment: vec![brokers; usize::try_from(partitions).unwrap()],
        configs: [("remote.storage.enable".to_owned(), "true".to_owned())].into(),
        first_epoch: LeaderEpoch(0),
    }));
    let mut led = Vec::new();
    for partition in 0..partitions {
        let hosted = || cluster.nodes[&1].manager.replica_by_id(TOPIC, partition);
        eventually("it is led", || hosted().is_some_and(|replica| replica.positions().leads())).await;
        let replica = hosted().unwrap();
        for _ in 0..RECORDS {
            replica.append(batch(&["a"]), Acks::All, cluster.deadline()).await.unwrap();
            replica.with_log(|log| log.roll(0)).unwrap();
        }
        led.push(replica);
    }
    (cluster, led)
}

fn raise(cluster: &Cluster, replica: &Arc<Replica>, to: i64) -> JoinHandle<Result<bool, LogError>> {
    let (manager, replica) = (cluster.nodes[&1].manager.clone(), replica.clone());
    let epoch = replica.positions().leader_epoch;
    tokio::spawn(async move { manager.raise_log_start_with_others(&replica, epoch, Offset(to), 0).await })
}

/// The bases of a partition's local segments on a disk.
fn segments(disk: &SimDisk, partition: i32) -> Vec<i64> {
    let folder = format!("t-{partition}/");
    let of_it = |path: &std::path::PathBuf| {
        let name = path.to_string_lossy().split_once(&folder)?.1.to_owned();
        name.strip_suffix(".log")?.parse().ok()
    };
    disk.snapshot().keys().filter_map(of_it).collect()
}

fn stored(disk: &SimDisk) -> String {
    let found = disk.snapshot().into_iter().find(|(path, _)| path.ends_with(LOG_STARTS));
    String::from_utf8(found.unwrap().1).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_start_is_stored_before_what_lies_below_it_goes() {
    let (cluster, led) = cluster(1, &[1]).await;
    let disk = &cluster.nodes[&1].disk;
    disk.hang(None, LOG_STARTS);
    let raised = raise(&cluster, &led[0], 2);
    eventually("it is being stored", || disk.stuck() == 1).await;
    assert_eq!(led[0].positions().log_start, Offset(2), "nobody reads below any more");
    disk.let_go();
    assert!(raised.await.unwrap().unwrap());
    assert_eq!(segments(disk, 0), [2, 3, 4]);
    assert!(stored(disk).contains("t 0 2\n"), "{}", stored(disk));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_a_log_start_is_stored_finds_all_records() {
    let (mut cluster, led) = cluster(1, &[1]).await;
    let disk = cluster.nodes[&1].disk.clone();
    disk.hang(None, LOG_STARTS);
    let raised = raise(&cluster, &led[0], 2);
    eventually("it is being stored", || disk.stuck() == 1).await;
    assert_eq!(segments(&disk, 0), [0, 1, 2, 3, 4], "it is not stored yet");
    let (left, proof) = cluster.kill(1);
    disk.let_go();
    let _ = raised.await;
    cluster.start(1, left, proof);
    eventually("it leads again", || {
        let hosted = cluster.nodes[&1].manager.replica_by_id(TOPIC, 0);
        hosted.is_some_and(|replica| replica.positions().leads())
    })
    .await;
    let positions = cluster.replica(1).positions();
    assert_eq!((positions.log_start, positions.local_start), (Offset::ZERO, Offset::ZERO));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_starts_that_rise_together_are_stored_together() {
    const PARTITIONS: i32 = 64;
    let (cluster, led) = cluster(PARTITIONS, &[1]).await;
    let disk = &cluster.nodes[&1].disk;
    // What the logs have yet to flush of themselves is no matter of this.
    for replica in &led {
        replica.with_log(|log| log.flush()).unwrap();
    }
    let (_, _, before) = disk.calls();
    let raised: Vec<_> = led.iter().map(|replica| raise(&cluster, replica, 2)).collect();
    for raised in raised {
        assert!(raised.await.unwrap().unwrap());
    }
    let (_, _, after) = disk.calls();
    println!("{} fsyncs for {PARTITIONS} log starts", after - before);
    assert!(after - before < u64::from(PARTITIONS.unsigned_abs()), "{} fsyncs", after - before);
    for partition in 0..PARTITIONS {
        assert_eq!(segments(disk, partition), [2, 3, 4]);
        assert!(stored(disk).contains(&format!("t {partition} 2\n")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_start_that_a_full_disk_does_not_store_makes_room_all_the_same() {
    let (cluster, led) = cluster(1, &[1]).await;
    let disk = &cluster.nodes[&1].disk;
    let full = Fault::next(DiskCall::Write, LOG_STARTS, std::io::ErrorKind::StorageFull);
    disk.inject(Fault { times: usize::MAX, ..full });
    let told = raise(&cluster, &led[0], 2).await.unwrap();
    assert!(matches!(told, Err(LogError::Io { .. })), "{told:?}");
    assert_eq!(segments(disk, 0), [2, 3, 4]);
    assert!(!stored(disk).contains("t 0 2\n"));
    disk.heal();
    // Its directory has its pause, but for who stores it at once.
    let raised = cluster.nodes[&1].manager.raise_log_start(&led[0], Offset(3), 0).unwrap();
    assert_eq!(raised, Offset(3));
    assert!(stored(disk).contains("t 0 3\n"), "{}", stored(disk));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_log_start_to_be_stored_is_told_when_the_leadership_is_over() {
    let (cluster, led) = cluster(1, &[1, 2]).await;
    cluster.isr_is(&[1, 2]).await;
    let disk = &cluster.nodes[&1].disk;
    disk.hang(None, LOG_STARTS);
    let raised = raise(&cluster, &led[0], 2);
    eventually("it is being stored", || disk.stuck() == 1).await;
    cluster.resign(1);
    assert!(!raised.await.unwrap().unwrap());
    disk.let_go();
}
