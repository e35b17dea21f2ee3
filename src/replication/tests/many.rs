//! Many partitions whose sessions all open at once, as after a restart, and all are behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::rig::{Cluster, TOPIC, batch, eventually, topic};
use crate::env::sim::SimDisk;
use crate::metadata::{Command, CreateTopic, Proof};
use crate::replication::{Acks, Quorum as _, Replica};
use crate::types::{BrokerId, LeaderEpoch, Offset, TopicId, TopicName};

const PARTITIONS: i32 = 60;
const RECORD_BYTES: usize = 200_000;

/// Broker 2 is back, and cut off from a leader whose partitions all hold a record that it does not have; the leader's memory holds none
/// of them.
async fn behind(window_budget_bytes: u64, configs: &[(&str, &str)]) -> Cluster {
    let mut cluster = Cluster::new();
    (cluster.tail_budget_bytes, cluster.window_budget_bytes) = (0, window_budget_bytes);
    for id in [1, 2] {
        cluster.start(id, SimDisk::new(), Proof::Unclean { previous: None });
    }
    cluster.truth.ok(&Command::CreateTopic(CreateTopic {
        name: topic(),
        id: TOPIC,
        assignment: vec![vec![BrokerId(1), BrokerId(2)]; PARTITIONS as usize],
        configs: configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        first_epoch: LeaderEpoch(0),
    }));
    for partition in 0..PARTITIONS {
        eventually("it is led and followed", || {
            let positions = hosted(&cluster, 1, partition).map(|replica| replica.positions());
            positions.is_some_and(|positions| positions.leads()) && hosted(&cluster, 2, partition).is_some()
        })
        .await;
    }
    let (disk, proof) = cluster.kill(2);
    cluster.fence(2);
    let value = "x".repeat(RECORD_BYTES);
    for partition in 0..PARTITIONS {
        let replica = hosted(&cluster, 1, partition).expect("it leads");
        replica.append(batch(&[&value]), Acks::Leader, cluster.deadline()).await.expect("appended");
    }
    cluster.network.cut(BrokerId(1), BrokerId(2));
    cluster.start(2, disk, proof);
    for partition in 0..PARTITIONS {
        eventually("it is followed", || {
            let positions = hosted(&cluster, 2, partition).map(|replica| replica.positions());
            positions.is_some_and(|positions| positions.leader == Some(BrokerId(1)))
        })
        .await;
    }
    cluster
}

fn hosted(cluster: &Cluster, id: i32, partition: i32) -> Option<Arc<Replica>> {
    cluster.nodes[&id].manager.replica_by_id(TOPIC, partition)
}

fn all(cluster: &Cluster, id: i32) -> impl Iterator<Item = Arc<Replica>> {
    (0..PARTITIONS).filter_map(move |partition| hosted(cluster, id, partition))
}

/// The largest of what `of` says until broker 2 has everything, or for so long.
async fn largest(cluster: &Cluster, seconds: u64, of: impl Fn() -> usize) -> usize {
    let until = cluster.env.clock.now() + Duration::from_secs(seconds);
    let mut largest = 0;
    while cluster.env.clock.now() < until && !caught_up(cluster) {
        largest = largest.max(of());
        cluster.env.clock.sleep(Duration::from_millis(1)).await;
    }
    largest
}

fn caught_up(cluster: &Cluster) -> bool {
    all(cluster, 2).filter(|replica| replica.positions().log_end == Offset(1)).count() == PARTITIONS as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_followers_that_are_behind_a_slow_link_a_leader_holds_few_frames() {
    let cluster = behind(256 << 20, &[]).await;
    cluster.network.delay_copies(BrokerId(1), BrokerId(2), Duration::from_millis(100));
    cluster.network.heal(BrokerId(1), BrokerId(2));
    let held = largest(&cluster, 60, || all(&cluster, 1).map(|replica| replica.holds_loaded()).sum()).await;
    assert!(caught_up(&cluster), "all are sent in the end");
    let lanes = cluster.nodes[&2].manager.lanes.lock().len();
    assert!((1..=4 * lanes).contains(&held), "{held} frames of {lanes} lanes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_partitions_whose_disk_hangs_a_follower_holds_a_bounded_part() {
    let budget = 1 << 20;
    let cluster = behind(budget, &[]).await;
    cluster.network.delay_copies(BrokerId(1), BrokerId(2), Duration::from_millis(50));
    cluster.network.heal(BrokerId(1), BrokerId(2));
    let first = || all(&cluster, 2).any(|replica| replica.positions().log_end == Offset(1));
    eventually("the sessions are open and the first frame is there", first).await;
    let mut hanging = Vec::new();
    for _ in 0..2 {
        let (sender, waiting) = channel::<()>();
        cluster.nodes[&2].pool.spawn(move || {
            let _ = waiting.recv();
        });
        hanging.push(sender);
    }
    let held = || all(&cluster, 2).map(|replica| replica.inbox_bytes()).sum();
    let most = largest(&cluster, 4, held).await;
    drop(hanging);
    eventually("all is copied in the end", || caught_up(&cluster)).await;
    assert!(most > 0, "nothing waited");
    let room = 2 * usize::try_from(budget).unwrap() + RECORD_BYTES;
    assert!(most <= room, "{most} bytes wait, and the room is for {room}");
}

/// What is throttled is read and not sent for long, and keeps its lane's places meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_in_sync_does_not_wait_behind_those_that_are_throttled() {
    let cluster = behind(256 << 20, &[("leader.replication.throttled.replicas", "*")]).await;
    let rate = ("leader.replication.throttled.rate".to_owned(), Some("1".to_owned()));
    cluster.truth.ok(&Command::AlterBrokerConfig { broker: None, changes: BTreeMap::from([rate]) });
    let leading = &cluster.nodes[&1];
    eventually("the rate is known", || {
        let image = leading.view.images().borrow().clone();
        !image.broker_configs.is_empty() && *leading.manager.reconciled().borrow() >= image.version
    })
    .await;
    cluster.network.heal(BrokerId(1), BrokerId(2));
    let held = || -> usize { all(&cluster, 1).map(|replica| replica.holds_loaded()).sum() };
    // The first frame that is sent closes the throttle: a lane that asks later reads nothing.
    eventually("all places of a lane are taken", || held() >= 4).await;
    let other = TopicId(uuid::Uuid::from_bytes([8; 16]));
    cluster.truth.ok(&Command::CreateTopic(CreateTopic {
        name: TopicName::new("other").unwrap(),
        id: other,
        assignment: vec![vec![BrokerId(1), BrokerId(2)]; 4],
        configs: BTreeMap::from([("min.insync.replicas".to_owned(), "2".to_owned())]),
        first_epoch: LeaderEpoch(0),
    }));
    // One on each lane.
    for partition in 0..4 {
        let leader = || cluster.nodes[&1].manager.replica_by_id(other, partition);
        eventually("it is led", || leader().is_some_and(|replica| replica.positions().leads())).await;
        let replica = leader().expect("it leads");
        replica.append(batch(&["a"]), Acks::All, cluster.deadline()).await.expect("committed by both");
    }
    assert!(!caught_up(&cluster) && held() >= 4, "the others still wait");
}
