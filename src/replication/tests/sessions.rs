//! Sessions that are over leave nothing behind, and what waits for a slow disk does not pile up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::rig::{Cluster, TOPIC, eventually};
use super::short_appends::disk_threads_wait;
use crate::env::sim::SimDisk;
use crate::env::{BlockingPool, timeout};
use crate::metadata::Proof;
use crate::replication::Acks;
use crate::replication::isr::follower::LeaderPositions;
use crate::replication::replica::Inbound;
use crate::types::Offset;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_refused_is_forgotten() {
    let mut cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    // The leader hears nothing of the follower's new life, and refuses it again and again.
    cluster.nodes[&1].view.connected.store(false, Ordering::SeqCst);
    let (disk, proof) = cluster.kill(2);
    cluster.start(2, disk, proof);
    eventually("hosted", || cluster.nodes[&2].manager.replica_by_id(TOPIC, 0).is_some()).await;
    let manager = &cluster.nodes[&2].manager;
    let (first, mut looks) = (manager.context.next_number(), 0);
    eventually("it has tried often", || {
        assert!(manager.lanes.lock().values().all(|lane| lane.sessions() <= 1));
        // A session takes a number, and so does each of these looks.
        looks += 1;
        manager.context.next_number() - first - looks > 3
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_reads_for_a_follower_when_its_stream_ends_is_let_go() {
    let mut cluster = Cluster::new();
    // Whoever is behind is read to from the disk.
    cluster.tail_budget_bytes = 0;
    cluster.start(1, SimDisk::new(), Proof::Unclean { previous: None });
    cluster.start(2, SimDisk::new(), Proof::Unclean { previous: None });
    cluster.create_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    let (disk, proof) = cluster.kill(2);
    cluster.fence(2);
    cluster.isr_is(&[1]).await;
    cluster.append(1, Acks::All, &["b"]).await.unwrap();
    let leader = cluster.replica(1);
    let mut alone = 0;
    eventually("nobody follows", || {
        let before = std::mem::replace(&mut alone, Arc::strong_count(&leader));
        before == alone
    })
    .await;
    let threads = disk_threads_wait(&cluster, 1).await;
    cluster.start(2, disk, proof);
    eventually("a read waits for a thread", || leader.catch_up_reads().available_permits() < 2).await;
    cluster.kill(2);
    eventually("its stream's end is noticed", || leader.sessions() == 0).await;
    drop(threads);
    eventually("nobody holds it any more", || Arc::strong_count(&leader) <= alone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_that_wait_for_a_slow_disk_are_joined() {
    let cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.agree(&[1, 2], 1).await;
    let follower = cluster.replica(2);
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
    let before = follower.in_the_inbox();
    for session in [7, 8] {
        for end in 0..100 {
            let positions =
                LeaderPositions { high_watermark: Offset(end), log_start: Offset::ZERO, tier: None };
            follower.receive(Inbound::Positions(session, positions));
        }
    }
    assert_eq!(follower.in_the_inbox() - before, 2, "one for each session");
    drop(release);
    eventually("all are worked off", || follower.in_the_inbox() == 0).await;
    cluster.append(1, Acks::All, &["b"]).await.unwrap();
    cluster.agree(&[1, 2], 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_says_where_it_ends_while_its_log_is_busy() {
    let cluster = Cluster::with_topic(1, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a", "b"]).await.unwrap();
    let (holder, asked) = (cluster.replica(1), cluster.replica(1));
    let pool = cluster.nodes[&1].pool.clone();
    let (held, is_held) = tokio::sync::oneshot::channel();
    let (release, released) = channel::<()>();
    pool.spawn(move || {
        holder.with_log(|log| {
            held.send(log.last_epoch()).expect("the test waits for it");
            released.recv().ok();
        });
    });
    let epoch = is_held.await.unwrap();
    let said = pool.run(move || asked.last_written());
    let said = timeout(&*cluster.env.clock, Duration::from_secs(20), said).await;
    drop(release);
    assert_eq!(said.expect("it does not wait for the log").unwrap(), (epoch, Offset(2)));
}
