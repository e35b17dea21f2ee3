//! Fsyncs that fail: what they were to write counts as clean to the system, and is not on the device.

use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;

use super::rig::{Cluster, TOPIC, eventually, topic};
use crate::env::BlockingPool;
use crate::env::sim::{DiskCall, Fault};
use crate::metadata::{Command, Proof};
use crate::replication::Acks;
use crate::types::{BrokerId, Offset, TopicPartition};

fn fail_next_fsync(cluster: &Cluster, id: i32) {
    cluster.nodes[&id].disk.inject(Fault::next(DiskCall::Sync, ".log", std::io::ErrorKind::Other));
}

/// What a broker holds after its machine has lost power.
async fn end_after_a_power_loss(cluster: &mut Cluster, id: i32) -> Offset {
    let disk = cluster.nodes[&id].disk.left_by_power_loss(|_, _| 0);
    let (_, proof) = cluster.kill(id);
    cluster.start(id, disk, proof);
    eventually("hosted", || cluster.nodes[&id].manager.replica_by_id(TOPIC, 0).is_some()).await;
    cluster.replica(id).positions().log_end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_fsync_costs_the_place_in_the_isr_and_the_log_is_opened_again() {
    let cluster = Cluster::with_topic(2, &[("flush.messages", "1")]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.nodes[&1].disk.inject(Fault::next(DiskCall::Sync, ".log", std::io::ErrorKind::Other));
    let failed = cluster.append(1, Acks::Leader, &["b"]).await;
    assert!(failed.is_err(), "{failed:?}");
    eventually("2 leads", || cluster.truth.partition().leader == Some(BrokerId(2))).await;
    cluster.leads(2).await;
    cluster.isr_is(&[1, 2]).await;
    let end = cluster.append(2, Acks::All, &["c"]).await.unwrap().last.next();
    cluster.agree(&[1, 2], end.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_whose_fsync_fails_leaves_by_itself_and_may_not_lead() {
    let configs = [("flush.messages", "1"), ("min.insync.replicas", "2")];
    let mut cluster = Cluster::with_topic(2, &configs).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    // Its leader cannot say anything about it.
    cluster.nodes[&1].view.connected.store(false, Ordering::SeqCst);
    fail_next_fsync(&cluster, 2);
    cluster.append(1, Acks::Leader, &["b"]).await.unwrap();
    cluster.isr_is(&[1]).await;
    assert!(cluster.truth.partition().elr.is_empty(), "what it has acknowledged may be gone");
    cluster.nodes[&1].view.connected.store(true, Ordering::SeqCst);
    cluster.truth.ok(&Command::ReserveProducerIds { below: 1 });
    cluster.isr_is(&[1, 2]).await;
    let leader = cluster.replica(1);
    eventually("its leader knows", || leader.positions().isr.len() == 2).await;
    cluster.append(1, Acks::All, &["c"]).await.unwrap();
    cluster.agree(&[1, 2], 3).await;
    assert_eq!(end_after_a_power_loss(&mut cluster, 2).await, Offset(3), "and what it acknowledges is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_copy_whose_log_is_broken_leads_again_and_that_is_on_record() {
    let mut cluster = Cluster::with_topic(1, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a", "b"]).await.unwrap();
    let unclean = || cluster.truth.partition().unclean.map(|unclean| unclean.leader_epoch);
    assert_eq!(unclean(), None);
    fail_next_fsync(&cluster, 1);
    // Not by the replica itself, so that the next append meets a log that is broken already.
    assert!(cluster.replica(1).with_log(crate::log::Log::flush).is_err());
    assert!(cluster.append(1, Acks::All, &["c"]).await.is_err());
    eventually("it is on record", || unclean().is_some()).await;
    let partition = cluster.truth.partition();
    assert_eq!((partition.leader, partition.isr), (Some(BrokerId(1)), vec![BrokerId(1)]));
    assert_eq!(unclean(), Some(partition.leader_epoch));
    let leads = || {
        let replica = cluster.nodes[&1].manager.replica(&TopicPartition::new(topic(), 0));
        replica.is_some_and(|replica| {
            let positions = replica.positions();
            positions.leads() && positions.leader_epoch == partition.leader_epoch
        })
    };
    eventually("it leads with what is there", leads).await;
    assert_eq!(cluster.replica(1).positions().log_end, Offset(2));
    cluster.append(1, Acks::All, &["d"]).await.unwrap();
    cluster.agree(&[1], 3).await;
    // An fsync that works now means all of it.
    assert_eq!(cluster.replica(1).with_log(crate::log::Log::flush).unwrap(), Offset(3));
    assert_eq!(end_after_a_power_loss(&mut cluster, 1).await, Offset(3));
}

/// A broker that was stopped in order has nothing to flush when it starts; a log that it opens again later has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_once_more_is_flushed_before_it_counts_also_after_a_clean_start() {
    let mut cluster = Cluster::with_topic(2, &[("flush.messages", "1")]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    let previous = cluster.epoch(2);
    cluster.nodes[&2].manager.shutdown().await.unwrap();
    let (disk, _) = cluster.kill(2);
    cluster.start(2, disk, Proof::CleanShutdown { previous });
    eventually("hosted", || cluster.nodes[&2].manager.replica_by_id(TOPIC, 0).is_some()).await;
    cluster.isr_is(&[1, 2]).await;
    fail_next_fsync(&cluster, 2);
    cluster.append(1, Acks::Leader, &["b"]).await.unwrap();
    let replica = cluster.replica(1);
    let is_committed =
        || cluster.truth.partition().isr.len() == 2 && replica.positions().high_watermark == Offset(2);
    eventually("both have it", is_committed).await;
    assert_eq!(end_after_a_power_loss(&mut cluster, 2).await, Offset(2));
}

/// What an open request says of the log's end counts as acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_asks_for_a_session_only_once_what_it_tells_of_is_flushed() {
    let cluster = Cluster::with_topic(2, &[("flush.messages", "1")]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.agree(&[1, 2], 1).await;
    let follower = cluster.replica(2);
    // A frame, the end of its session and the next session wait together.
    let (release, released) = channel::<()>();
    let (held, is_held) = tokio::sync::oneshot::channel();
    let slow = follower.clone();
    BlockingPool::new("holder", 1).spawn(move || {
        slow.with_log(|_| {
            let _ = held.send(());
            let _ = released.recv();
        });
    });
    is_held.await.unwrap();
    cluster.append(1, Acks::Leader, &["b"]).await.unwrap();
    eventually("the frame is there", || follower.inbox_bytes() > 0).await;
    let (broker, epoch) = (BrokerId(2), cluster.epoch(2));
    let lost = Command::LoseReplicas { broker, epoch, partitions: vec![(TOPIC, 0)], stays_known: true };
    cluster.truth.ok(&lost);
    eventually("its session has ended, and it wants another", || follower.is_to_open()).await;
    let disk = &cluster.nodes[&2].disk;
    disk.hang(Some(DiskCall::Sync), ".log");
    drop(release);
    eventually("it fsyncs", || disk.stuck() == 1).await;
    let sessions: usize = cluster.nodes[&2].manager.lanes.lock().values().map(|lane| lane.sessions()).sum();
    assert_eq!(sessions, 0, "it has asked for a session before");
    disk.let_go();
    cluster.isr_is(&[1, 2]).await;
    cluster.agree(&[1, 2], 2).await;
}
