//! Full disks, and such as give nothing.

use std::sync::atomic::Ordering;

use super::rig::{Cluster, TOPIC, eventually};
use crate::env::sim::{DiskCall, Fault, SimDisk};
use crate::metadata::Proof;
use crate::replication::{Acks, AppendError};
use crate::types::{BrokerId, LeaderEpoch, Offset};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_elected_leader_whose_disk_is_full_lets_another_lead() {
    let cluster = Cluster::with_topic(3, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.agree(&[1, 2, 3], 1).await;
    cluster.nodes[&2].disk.set_capacity(Some(0));
    cluster.fence(1);
    eventually("3 leads", || cluster.truth.partition().leader == Some(BrokerId(3))).await;
    cluster.leads(3).await;
    cluster.nodes[&2].disk.set_capacity(None);
    cluster.append(3, Acks::All, &["b"]).await.unwrap();
    cluster.isr_is(&[2, 3]).await;
    cluster.agree(&[2, 3], 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_log_cannot_be_opened_lets_another_lead() {
    let mut cluster = Cluster::new();
    for id in [1, 2] {
        cluster.start(id, SimDisk::new(), Proof::Unclean { previous: None });
    }
    let fault = Fault::next(DiskCall::Open, "/t-0/", std::io::ErrorKind::Other);
    cluster.nodes[&1].disk.inject(Fault { times: 1_000_000, ..fault });
    cluster.create_topic_for(&[1, 2], &[]);
    eventually("2 leads", || cluster.truth.partition().leader == Some(BrokerId(2))).await;
    eventually("2 has it", || cluster.nodes[&2].manager.replica_by_id(TOPIC, 0).is_some()).await;
    cluster.leads(2).await;
    cluster.append(2, Acks::Leader, &["a"]).await.unwrap();
    cluster.nodes[&1].disk.heal();
    eventually("1 has it", || cluster.nodes[&1].manager.replica_by_id(TOPIC, 0).is_some()).await;
    cluster.isr_is(&[1, 2]).await;
    cluster.agree(&[1, 2], 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_else_could_lead_a_full_disk_is_waited_for_under_one_epoch() {
    let cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.agree(&[1, 2], 1).await;
    cluster.nodes[&2].disk.inject(Fault {
        times: 2,
        ..Fault::next(DiskCall::Write, "leader-epoch", std::io::ErrorKind::StorageFull)
    });
    cluster.fence(1);
    let epoch = cluster.truth.partition().leader_epoch;
    cluster.leads(2).await;
    assert_eq!(cluster.truth.partition().leader_epoch, epoch);
    cluster.append(2, Acks::All, &["b"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_no_partition_that_has_a_single_copy() {
    let cluster = Cluster::with_topic(1, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.nodes[&1].disk.inject(Fault::next(DiskCall::Write, ".log", std::io::ErrorKind::StorageFull));
    let failed = cluster.append(1, Acks::All, &["b"]).await;
    assert!(matches!(failed, Err(AppendError::WriteFailed(_))), "{failed:?}");
    eventually("a new epoch", || cluster.truth.partition().leader_epoch > LeaderEpoch(0)).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["c"]).await.unwrap();
    assert_eq!(cluster.replica(1).positions().high_watermark, Offset(2));
}

/// The device fails behind the last byte, and the process is killed before it can take back what it has written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_is_not_said_to_have_left_nothing() {
    let mut cluster = Cluster::with_topic(1, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.nodes[&1].view.connected.store(false, Ordering::SeqCst);
    let fault = Fault::next(DiskCall::Write, ".log", std::io::ErrorKind::Other);
    cluster.nodes[&1].disk.inject(Fault { written: usize::MAX, ..fault });
    let failed = cluster.append(1, Acks::Leader, &["b"]).await;
    let (disk, proof) = cluster.kill(1);
    cluster.start(1, disk, proof);
    eventually("hosted", || cluster.nodes[&1].manager.replica_by_id(TOPIC, 0).is_some()).await;
    assert_eq!(cluster.replica(1).positions().log_end, Offset(2), "it was written");
    assert!(matches!(failed, Err(AppendError::WriteFailed(_))), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_whose_disk_was_full_goes_on_by_itself() {
    let cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.nodes[&2].disk.inject(Fault::next(DiskCall::Write, ".log", std::io::ErrorKind::StorageFull));
    cluster.append(1, Acks::All, &["b"]).await.unwrap();
    cluster.isr_is(&[1, 2]).await;
    cluster.agree(&[1, 2], 2).await;
}
