//! Panics in the work of a partition: they cost it a moment, and neither its inbox nor its queue.

use super::rig::{Cluster, TOPIC, eventually};
use crate::env::sim::{DiskCall, Fault};
use crate::replication::replica::Trap;
use crate::replication::{Acks, ReplicaRole};
use crate::types::{BrokerId, Offset, PartitionEpoch};

fn panic_once(cluster: &Cluster, id: i32, call: DiskCall, path: &str) {
    let fault = Fault::next(call, path, std::io::ErrorKind::Other);
    cluster.nodes[&id].disk.inject(Fault { panics: true, ..fault });
}

/// Broker 2, since the partition had this epoch.
async fn has_left_and_is_back(cluster: &Cluster, before: PartitionEpoch) {
    eventually("2 has left and is back", || {
        let partition = cluster.truth.partition();
        let replica = cluster.nodes[&2].manager.replica_by_id(TOPIC, 0);
        partition.partition_epoch.0 >= before.0 + 2
            && partition.isr == [BrokerId(1), BrokerId(2)]
            && replica.is_some_and(|replica| replica.positions().role == ReplicaRole::Follower)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_over_an_fsync_leaves_no_inbox_and_no_queue_behind() {
    let cluster = Cluster::with_topic(2, &[("flush.messages", "1")]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    panic_once(&cluster, 2, DiskCall::Sync, ".log");
    let before = cluster.truth.partition().partition_epoch;
    cluster.append(1, Acks::Leader, &["b"]).await.unwrap();
    has_left_and_is_back(&cluster, before).await;
    cluster.append(1, Acks::All, &["c"]).await.unwrap();
    cluster.agree(&[1, 2], 3).await;
    eventually("all is worked off", || cluster.replica(2).in_the_inbox() == 0).await;
    // The same at the leader.
    panic_once(&cluster, 1, DiskCall::Sync, ".log");
    assert!(cluster.append(1, Acks::All, &["d"]).await.is_err());
    eventually("2 leads", || cluster.truth.partition().leader == Some(BrokerId(2))).await;
    cluster.leads(2).await;
    cluster.isr_is(&[1, 2]).await;
    let end = cluster.append(2, Acks::All, &["e"]).await.unwrap().last.next();
    cluster.agree(&[1, 2], end.0).await;
    // And it can lead again: its queue goes on.
    cluster.resign(2);
    eventually("1 leads", || cluster.truth.partition().leader == Some(BrokerId(1))).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::Leader, &["f"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_over_old_segments_leaves_no_inbox_behind() {
    let cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a", "b"]).await.unwrap();
    for id in [1, 2] {
        cluster.agree(&[id], 2).await;
        cluster.replica(id).with_log(|log| log.roll(0).unwrap());
    }
    cluster.append(1, Acks::All, &["c"]).await.unwrap();
    cluster.agree(&[1, 2], 3).await;
    panic_once(&cluster, 2, DiskCall::Remove, "/t-0/");
    let before = cluster.truth.partition().partition_epoch;
    cluster.replica(1).with_log(|log| log.advance_log_start(Offset(2), 0).unwrap().run().unwrap());
    has_left_and_is_back(&cluster, before).await;
    cluster.append(1, Acks::All, &["d"]).await.unwrap();
    eventually("2 has it all", || cluster.replica(2).positions().log_end == Offset(4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_while_a_frame_or_a_batch_is_looked_at_costs_nothing() {
    let cluster = Cluster::with_topic(2, &[("min.insync.replicas", "2")]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    let before = cluster.truth.partition();
    for id in [1, 2] {
        let replica = cluster.replica(id);
        replica.set_trap(Trap::Look);
        // Not everybody who comes by looks: the threads may be busy.
        let mut tries = 0;
        while replica.trap_is_set() {
            cluster.append(1, Acks::All, &["b"]).await.expect("it is written all the same");
            tries += 1;
            assert!(tries < 10_000, "nobody looks at {id}");
        }
        cluster.append(1, Acks::All, &["c"]).await.expect("and the queue goes on");
    }
    assert_eq!(cluster.truth.partition(), before, "nobody has left");
    let end = cluster.replica(1).positions().log_end;
    cluster.agree(&[1, 2], end.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_over_what_was_written_leaves_no_queue_behind() {
    let cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.replica(1).set_trap(Trap::Written);
    assert!(cluster.append(1, Acks::All, &["b"]).await.is_err(), "it may be written");
    eventually("2 leads", || cluster.truth.partition().leader == Some(BrokerId(2))).await;
    cluster.leads(2).await;
    cluster.isr_is(&[1, 2]).await;
    cluster.append(2, Acks::All, &["c"]).await.unwrap();
    // And it can lead again: its queue goes on.
    cluster.resign(2);
    eventually("1 leads", || cluster.truth.partition().leader == Some(BrokerId(1))).await;
    cluster.leads(1).await;
    let end = cluster.append(1, Acks::Leader, &["d"]).await.unwrap().last.next();
    cluster.isr_is(&[1, 2]).await;
    cluster.agree(&[1, 2], end.0).await;
}
