//! Several log directories: what befalls one of them is not the others' business.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::rig::{Cluster, TOPIC, batch, eventually, topic};
use crate::env::BlockingPool;
use crate::env::sim::{DiskCall, Fault, SimDisk};
use crate::log::{Log, LogConfig};
use crate::metadata::{COMMANDS, Command, CreateTopic, Proof};
use crate::replication::{Acks, Replica};
use crate::types::{BrokerId, LeaderEpoch, Offset, TopicId, TopicName};

fn hosted(cluster: &Cluster, id: i32, partition: i32) -> Option<Arc<Replica>> {
    cluster.nodes[&id].manager.replica_by_id(TOPIC, partition)
}

/// Brokers 1 and 2 with two directories each; broker 1 leads `partitions`, which are spread over both.
async fn two_directories(mut cluster: Cluster, partitions: i32) -> Cluster {
    cluster.folders = vec![PathBuf::from("/one"), PathBuf::from("/two")];
    for id in [1, 2] {
        cluster.start(id, SimDisk::new(), Proof::Unclean { previous: None });
    }
    cluster.truth.ok(&Command::CreateTopic(CreateTopic {
        name: topic(),
        id: TOPIC,
        assignment: vec![vec![BrokerId(1), BrokerId(2)]; usize::try_from(partitions).unwrap()],
        configs: BTreeMap::from([("min.insync.replicas".to_owned(), "2".to_owned())]),
        first_epoch: LeaderEpoch(0),
    }));
    for partition in 0..partitions {
        eventually("it is led and followed", || {
            let leads = hosted(&cluster, 1, partition).is_some_and(|replica| replica.positions().leads());
            let leader = hosted(&cluster, 2, partition).and_then(|replica| replica.positions().leader);
            leads && leader == Some(BrokerId(1))
        })
        .await;
    }
    cluster
}

/// Partitions 0 and 1 with three committed records each, in two directories of broker 2, whose checkpoints are written when a leader
/// waits for them and at no other time.
async fn one_in_each() -> (Cluster, [PathBuf; 2]) {
    let mut cluster = Cluster::new();
    cluster.checkpoint_interval = Duration::from_secs(3600);
    let cluster = two_directories(cluster, 2).await;
    let folders = [folder(&cluster, 0), folder(&cluster, 1)];
    assert_ne!(folders[0], folders[1], "they are spread");
    for partition in [0, 1] {
        let leader = hosted(&cluster, 1, partition).unwrap();
        for _ in 0..3 {
            leader.append(batch(&["a"]), Acks::All, cluster.deadline()).await.unwrap();
        }
    }
    (cluster, folders)
}

/// Raises the log start of a partition at its leader, and waits until broker 2 has it. The leader.
async fn raise(cluster: &Cluster, partition: i32, to: i64) -> Arc<Replica> {
    let [leader, follower] = [1, 2].map(|id| hosted(cluster, id, partition).unwrap());
    leader.with_log(|log| log.advance_log_start(Offset(to), 0).unwrap().run().unwrap());
    eventually("2 has the log start", || follower.positions().log_start == Offset(to)).await;
    leader
}

/// The directory of a partition on broker 2.
fn folder(cluster: &Cluster, partition: i32) -> PathBuf {
    folder_on(cluster, 2, partition)
}

fn folder_on(cluster: &Cluster, id: i32, partition: i32) -> PathBuf {
    let directory = hosted(cluster, id, partition).expect("it is hosted").directory();
    let all = cluster.nodes[&id].manager.directories();
    all.into_iter().find(|(id, _)| *id == directory).expect("it is there").1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_without_checkpoints_keeps_no_other_from_telling_log_starts_and_is_not_tried_at_once() {
    let (cluster, [sick, _]) = one_in_each().await;
    let path = format!("{}/log-start", sick.display());
    let disk = &cluster.nodes[&2].disk;
    let fault = Fault::next(DiskCall::Write, &path, std::io::ErrorKind::StorageFull);
    disk.inject(Fault { times: usize::MAX, ..fault });
    let raised = raise(&cluster, 0, 1).await;
    let other = raise(&cluster, 1, 1).await;
    eventually("the other directory's is told", || other.log_start_is_stored(Offset(1)) == Some(true)).await;
    // The two may be written at the same time, in any order.
    eventually("the sick one was tried", || disk.struck() > 0).await;
    assert_eq!(raised.log_start_is_stored(Offset(1)), Some(false), "it is not stored");
    // It is not tried again whenever another one has something to store.
    disk.heal();
    raise(&cluster, 1, 2).await;
    eventually("the next one too", || other.log_start_is_stored(Offset(2)) == Some(true)).await;
    assert_eq!(raised.log_start_is_stored(Offset(1)), Some(false), "it has its pause");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_whose_disk_hangs_holds_up_no_others_checkpoints_and_is_asked_once() {
    let (cluster, [sick, _]) = one_in_each().await;
    let disk = &cluster.nodes[&2].disk;
    disk.hang(None, &format!("{}/log-start", sick.display()));
    let raised = raise(&cluster, 0, 1).await;
    eventually("its checkpoint is being written", || disk.stuck() == 1).await;
    let other = raise(&cluster, 1, 1).await;
    eventually("the other directory's is told", || other.log_start_is_stored(Offset(1)) == Some(true)).await;
    // Both want to be written: of the one that hangs no second job begins.
    raise(&cluster, 0, 2).await;
    raise(&cluster, 1, 2).await;
    eventually("the next one too", || other.log_start_is_stored(Offset(2)) == Some(true)).await;
    assert_eq!((disk.stuck(), raised.log_start_is_stored(Offset(1))), (1, Some(false)));
    disk.let_go();
    eventually("what came meanwhile is stored", || raised.log_start_is_stored(Offset(2)) == Some(true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_one_hanging_disk_takes_no_room_from_the_others() {
    const PARTITIONS: i32 = 24;
    let mut cluster = Cluster::new();
    // One lane for all: it must not wait for the disk that hangs.
    (cluster.window_budget_bytes, cluster.lanes) = (1 << 20, 1);
    let cluster = two_directories(cluster, PARTITIONS).await;
    let append = async |partition: i32, value: &str, acks: Acks| {
        let leader = hosted(&cluster, 1, partition).unwrap();
        leader.append(batch(&[value]), acks, cluster.deadline()).await
    };
    for partition in 0..PARTITIONS {
        append(partition, "a", Acks::All).await.unwrap();
    }
    let sick = folder(&cluster, 0);
    let (sick, well): (Vec<i32>, Vec<i32>) =
        (0..PARTITIONS).partition(|partition| folder(&cluster, *partition) == sick);
    assert_eq!(sick.len(), well.len(), "they are spread");
    let hanging = BlockingPool::new("hanging", sick.len());
    let mut senders = Vec::new();
    for partition in &sick {
        let (sender, waiting) = channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let replica = hosted(&cluster, 2, *partition).unwrap();
        hanging.spawn(move || {
            replica.with_log(|_| {
                let _ = begun.send(());
                let _ = waiting.recv();
            });
        });
        has_begun.await.unwrap();
        senders.push(sender);
    }
    let large = "x".repeat(200_000);
    for partition in &sick {
        append(*partition, &large, Acks::Leader).await.unwrap();
    }
    let waits = || -> usize {
        sick.iter().filter_map(|p| hosted(&cluster, 2, *p)).map(|replica| replica.inbox_bytes()).sum()
    };
    for partition in &well {
        append(*partition, "b", Acks::All).await.expect("committed by both");
    }
    assert!(waits() <= (1 << 20) + large.len(), "{} bytes", waits());
    drop(senders);
    for partition in 0..PARTITIONS {
        let [leader, follower] = [1, 2].map(|id| hosted(&cluster, id, partition).unwrap());
        eventually("all is copied in the end", || {
            follower.positions().log_end == leader.positions().log_end && leader.positions().isr.len() == 2
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_whose_disk_hangs_takes_no_thread_from_another_and_holds_up_none_of_its_images() {
    const PARTITIONS: i32 = 8;
    let cluster = two_directories(Cluster::new(), PARTITIONS).await;
    // Too large for the thread that brings them.
    let large = "x".repeat(200_000);
    let write = async |topic, partition: i32| {
        let leader = cluster.nodes[&1].manager.replica_by_id(topic, partition).unwrap();
        leader.append(batch(&[&large]), Acks::All, cluster.deadline()).await.expect("committed by both");
    };
    let sick = folder_on(&cluster, 1, 0);
    let (sick_ones, well_ones): (Vec<i32>, Vec<i32>) =
        (0..PARTITIONS).partition(|partition| folder_on(&cluster, 1, *partition) == sick);
    assert_eq!(sick_ones.len(), well_ones.len(), "they are spread");
    let disk = &cluster.nodes[&1].disk;
    disk.hang(None, &format!("{}/", sick.display()));
    for partition in &sick_ones {
        let (leader, records) = (hosted(&cluster, 1, *partition).unwrap(), batch(&[&large]));
        let deadline = cluster.deadline();
        tokio::spawn(async move { leader.append(records, Acks::Leader, deadline).await });
    }
    eventually("all its threads are stuck", || disk.stuck() >= cluster.disk_threads).await;
    for partition in &well_ones {
        write(TOPIC, *partition).await;
    }
    // An image asks something of a partition that hangs: later ones are carried out all the same.
    cluster.resign(1);
    let reconciled = |version: u64| *cluster.nodes[&1].manager.reconciled().borrow() >= version;
    let asked = cluster.version();
    eventually("the image is carried out as far as that can be", || reconciled(asked)).await;
    let other = TopicId::from_bytes([8; 16]);
    cluster.truth.ok(&Command::CreateTopic(CreateTopic {
        name: TopicName::new("other").unwrap(),
        id: other,
        assignment: vec![vec![BrokerId(1), BrokerId(2)]; 2],
        configs: BTreeMap::from([("min.insync.replicas".to_owned(), "2".to_owned())]),
        first_epoch: LeaderEpoch(0),
    }));
    for partition in [0, 1] {
        let leads = || {
            let replica = cluster.nodes[&1].manager.replica_by_id(other, partition);
            replica.is_some_and(|replica| replica.positions().leads())
        };
        eventually("a new partition is led", leads).await;
        write(other, partition).await;
    }
    assert!(disk.stuck() > 0, "it still hangs");
    disk.let_go();
    for partition in 0..PARTITIONS {
        let [one, two] = [1, 2].map(|id| hosted(&cluster, id, partition).unwrap());
        eventually("what was left is carried out, and all is copied", || {
            let (one, two) = (one.positions(), two.positions());
            let leader = if partition == 0 { &two } else { &one };
            leader.leads() && leader.isr.len() == 2 && one.log_end == two.log_end
        })
        .await;
    }
}

/// Partitions 0 and 1 on brokers 1 and 2, and 2 and 3 on broker 1 alone, which leads all of them from two directories; nothing that it
/// says of these arrives. The partitions in the directory of partition 0, and the others.
async fn untold() -> (Cluster, Vec<i32>, Vec<i32>) {
    let mut cluster = Cluster::new();
    cluster.folders = vec![PathBuf::from("/one"), PathBuf::from("/two")];
    for id in [1, 2] {
        cluster.start(id, SimDisk::new(), Proof::Unclean { previous: None });
    }
    cluster.nodes[&1].view.assignments_get_lost.store(true, Ordering::SeqCst);
    let (both, one) = (vec![BrokerId(1), BrokerId(2)], vec![BrokerId(1)]);
    cluster.truth.ok(&Command::CreateTopic(CreateTopic {
        name: topic(),
        id: TOPIC,
        assignment: vec![both.clone(), both, one.clone(), one],
        configs: BTreeMap::new(),
        first_epoch: LeaderEpoch(0),
    }));
    for partition in 0..4 {
        let leads = || hosted(&cluster, 1, partition).is_some_and(|replica| replica.positions().leads());
        eventually("it is led", leads).await;
        assert_eq!(cluster.truth.partition_of(partition).replicas[0].directory, None, "untold");
    }
    let sick = folder_on(&cluster, 1, 0);
    let (sick, well): (Vec<i32>, _) =
        (0..4).partition(|partition| folder_on(&cluster, 1, *partition) == sick);
    assert_eq!(sick, [0, 2], "they are spread");
    (cluster, sick, well)
}

/// Partitions 0 and 1 with a record each on broker 1 alone, which has not said which of its directories has which, and has died. What
/// is on its disk, the proof that it died, and the directory of partition 0.
async fn died_untold() -> (Cluster, SimDisk, Proof, [PathBuf; 2]) {
    let mut cluster = Cluster::new();
    cluster.folders = vec![PathBuf::from("/one"), PathBuf::from("/two")];
    cluster.start(1, SimDisk::new(), Proof::Unclean { previous: None });
    cluster
        .truth
        .ok(&Command::UpdateFeatures { levels: BTreeMap::from([(COMMANDS.0.to_owned(), COMMANDS.1)]) });
    cluster.nodes[&1].view.assignments_get_lost.store(true, Ordering::SeqCst);
    cluster.truth.ok(&Command::CreateTopic(CreateTopic {
        name: topic(),
        id: TOPIC,
        assignment: vec![vec![BrokerId(1)]; 2],
        configs: BTreeMap::new(),
        first_epoch: LeaderEpoch(0),
    }));
    for partition in [0, 1] {
        let leads = || hosted(&cluster, 1, partition).is_some_and(|replica| replica.positions().leads());
        eventually("it is led", leads).await;
        let leader = hosted(&cluster, 1, partition).unwrap();
        leader.append(batch(&["a"]), Acks::All, cluster.deadline()).await.unwrap();
        assert_eq!(cluster.truth.partition_of(partition).replicas[0].directory, None, "untold");
    }
    let folders = [folder_on(&cluster, 1, 0), folder_on(&cluster, 1, 1)];
    assert_ne!(folders[0], folders[1], "they are spread");
    let (disk, proof) = cluster.kill(1);
    cluster.fence(1);
    (cluster, disk, proof, folders)
}

/// It leads again and has its record.
async fn leads_with_its_record(cluster: &Cluster, partition: i32) {
    let has_it = |replica: Arc<Replica>| {
        let positions = replica.positions();
        positions.leads() && positions.log_end == Offset(1)
    };
    eventually("it is led", || hosted(cluster, 1, partition).is_some_and(has_it)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untold_copy_leads_again_from_the_directory_that_is_left_and_none_from_the_disk_in_a_lost_ones_place()
 {
    let (mut cluster, disk, proof, [left, _]) = died_untold().await;
    cluster.folders = vec![left, PathBuf::from("/new")];
    cluster.start(1, disk, proof);
    leads_with_its_record(&cluster, 0).await;
    let anew = || hosted(&cluster, 1, 1).map(|replica| replica.directory());
    let is_told = || anew().is_some() && cluster.truth.partition_of(1).replicas[0].directory == anew();
    eventually("the other is made anew, and that is told", is_told).await;
    let partition = cluster.truth.partition_of(1);
    assert_eq!((partition.leader, partition.last_known_leader), (None, None), "its record is gone");
    let (disk, proof) = cluster.kill(1);
    cluster.fence(1);
    cluster.start(1, disk, proof);
    leads_with_its_record(&cluster, 0).await;
    assert_eq!(cluster.truth.partition_of(1).leader, None, "nor in a later life");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untold_copy_in_a_directory_that_cannot_be_opened_waits_for_it() {
    let (mut cluster, disk, proof, [_, broken]) = died_untold().await;
    let fault = Fault::next(DiskCall::Open, &format!("{}/", broken.display()), std::io::ErrorKind::Other);
    disk.inject(Fault { times: usize::MAX, ..fault });
    cluster.start(1, disk, proof);
    leads_with_its_record(&cluster, 0).await;
    let partition = cluster.truth.partition_of(1);
    assert_eq!((partition.leader, partition.last_known_leader), (None, Some(BrokerId(1))));
    assert!(hosted(&cluster, 1, 1).is_none(), "nothing is put in its place");
    let (disk, proof) = cluster.kill(1);
    cluster.fence(1);
    disk.heal();
    cluster.start(1, disk, proof);
    leads_with_its_record(&cluster, 1).await;
}

async fn has_no_leader_on_1(cluster: &Cluster, partition: i32) {
    let heir = (partition < 2).then_some(BrokerId(2));
    eventually("somebody else leads, or nobody", || cluster.truth.partition_of(partition).leader == heir)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_fails_before_it_was_told_gives_its_partitions_away_and_is_known_when_it_is_back() {
    let (cluster, sick, well) = untold().await;
    let alone = *sick.last().unwrap();
    let (node, replica) = (&cluster.nodes[&1], hosted(&cluster, 1, alone).unwrap());
    let path = format!("{}/", folder_on(&cluster, 1, 0).display());
    let broken = Fault::next(DiskCall::Write, &path, std::io::ErrorKind::ReadOnlyFilesystem);
    node.disk.inject(Fault { times: usize::MAX, ..broken });
    replica.append(batch(&["a"]), Acks::Leader, cluster.deadline()).await.unwrap_err();
    eventually("its directory has failed", || replica.is_stranded()).await;
    node.view.assignments_get_lost.store(false, Ordering::SeqCst);
    for partition in sick {
        has_no_leader_on_1(&cluster, partition).await;
        let after = cluster.truth.partition_of(partition);
        assert_eq!(after.replicas[0].directory, Some(replica.directory()), "it is on record");
        let last = (partition == alone).then_some(BrokerId(1));
        assert_eq!(after.last_known_leader, last, "who leads when the directory is back");
    }
    for partition in well {
        assert_eq!(cluster.truth.partition_of(partition).leader, Some(BrokerId(1)), "the other one works");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_in_a_directory_that_the_quorum_knows_to_have_failed_is_given_up() {
    let (cluster, sick, well) = untold().await;
    let directory = hosted(&cluster, 1, 0).unwrap().directory();
    let (broker, epoch) = (BrokerId(1), cluster.epoch(1));
    cluster.truth.ok(&Command::LoseDirectory { broker, epoch, directory });
    for partition in sick {
        has_no_leader_on_1(&cluster, partition).await;
        assert_eq!(cluster.truth.partition_of(partition).last_known_leader, None, "nor from another disk");
    }
    for partition in well {
        assert_eq!(cluster.truth.partition_of(partition).leader, Some(BrokerId(1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_asks_a_disk_that_hangs_for_one_fsync_of_each_log() {
    let (cluster, _) = one_in_each().await;
    let sick = folder_on(&cluster, 1, 0);
    let [hangs, well] = [0, 1].map(|partition| hosted(&cluster, 1, partition).unwrap());
    for replica in [&hangs, &well] {
        let config = |log: &Log| LogConfig { flush_ms: 1, ..(**log.config()).clone() };
        replica.with_log(|log| log.set_config(Arc::new(config(log))));
    }
    let disk = &cluster.nodes[&1].disk;
    disk.hang(Some(DiskCall::Sync), &format!("{}/", sick.display()));
    hangs.append(batch(&["b"]), Acks::Leader, cluster.deadline()).await.unwrap();
    eventually("its fsync hangs", || disk.stuck() == 1).await;
    // Each of these is flushed by a later tick.
    for _ in 0..5 {
        well.append(batch(&["b"]), Acks::Leader, cluster.deadline()).await.unwrap();
        eventually("the other is flushed", || well.with_log(|log| log.flushed_end() == log.log_end())).await;
    }
    assert_eq!(disk.stuck(), 1, "later ticks have asked no more of it");
    disk.let_go();
    eventually("it is flushed too", || hangs.with_log(|log| log.flushed_end() == log.log_end())).await;
}
