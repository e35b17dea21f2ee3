//! What a role leaves behind that is over: no log start of a former leadership, and no session of a follower that failed twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use super::rig::{Cluster, eventually};
use crate::env::BlockingPool;
use crate::env::sim::{DiskCall, Fault};
use crate::replication::Acks;
use crate::replication::replica::Inbound;
use crate::types::{BrokerId, Offset};

/// Whoever raises it looks at its role with the log in hand: a new role is begun with the log in hand too, and may be waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leadership_that_ends_while_the_log_is_waited_for_raises_no_log_start() {
    let cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.append(1, Acks::All, &["b"]).await.unwrap();
    for id in [1, 2] {
        cluster.isr_is(&[1, 2]).await;
        cluster.resign(id);
        cluster.leads(3 - id).await;
    }
    cluster.isr_is(&[1, 2]).await;
    let (node, replica) = (&cluster.nodes[&1], cluster.replica(1));
    let epoch = replica.positions().leader_epoch;
    // It has written nothing under this epoch, which goes from its chain before it follows.
    node.disk.hang(None, "leader-epoch");
    cluster.resign(1);
    eventually("the next role is being begun", || node.disk.stuck() > 0).await;
    assert!(replica.positions().leads(), "and has not begun");
    let has_begun = Arc::new(AtomicBool::new(false));
    let (raising, manager, begun) = (replica.clone(), node.manager.clone(), has_begun.clone());
    let pool = BlockingPool::new("raises", 1);
    let (tell, raised) = tokio::sync::oneshot::channel();
    pool.spawn(move || {
        begun.store(true, Ordering::SeqCst);
        let _ = tell.send(manager.raise_log_start_as_leader(&raising, epoch, Offset(1), 0));
    });
    eventually("it is to be raised", || has_begun.load(Ordering::SeqCst)).await;
    node.disk.let_go();
    assert!(!raised.await.unwrap().unwrap(), "that leadership is over");
    assert_eq!(replica.with_log(|log| log.log_start()), Offset(0));
    let again = node.manager.raise_log_start_as_leader(&replica, epoch, Offset(1), 0);
    assert!(!again.unwrap(), "nor later");
    // Who leads may.
    cluster.leads(2).await;
    let leader = cluster.replica(2);
    let epoch = leader.positions().leader_epoch;
    let raised = cluster.nodes[&2].manager.raise_log_start_as_leader(&leader, epoch, Offset(1), 0);
    assert!(raised.unwrap());
    eventually("1 has it from 2", || replica.positions().log_start == Offset(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_fails_twice_over_what_came_leaves_its_lane_all_the_same() {
    let cluster = Cluster::with_topic(2, &[("flush.messages", "1")]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.append(1, Acks::All, &["b"]).await.unwrap();
    cluster.agree(&[1, 2], 2).await;
    let (node, replica) = (&cluster.nodes[&2], cluster.replica(2));
    let followed = || node.manager.context.following.load(Ordering::Relaxed);
    assert_eq!(followed(), 1);
    let (go, wait) = channel::<()>();
    let (held, holds) = tokio::sync::oneshot::channel();
    let (holding, pool) = (replica.clone(), BlockingPool::new("holds", 1));
    pool.spawn(move || {
        holding.with_log(|_| {
            let _ = held.send(());
            let _ = wait.recv();
        });
    });
    holds.await.unwrap();
    // A frame brings a new log start. Then a session is to be opened, which takes an fsync: that fails, the log is broken, and its log
    // start cannot be raised either.
    cluster.replica(1).with_log(|log| log.advance_log_start(Offset(1), 0).unwrap().run().unwrap());
    cluster.append(1, Acks::Leader, &["c"]).await.unwrap();
    eventually("a frame waits", || replica.in_the_inbox() > 0).await;
    replica.receive(Inbound::Open);
    node.disk.inject(Fault::next(DiskCall::Sync, ".log", std::io::ErrorKind::Other));
    // Until the quorum knows of it, the copy has no other role.
    node.view.connected.store(false, Ordering::SeqCst);
    drop(go);
    eventually("the fsync has failed", || node.disk.struck() > 0 && replica.in_the_inbox() == 0).await;
    eventually("it has left its lane", || followed() == 0).await;
    assert!(node.manager.lanes.lock().values().all(|lane| lane.sessions() == 0), "and its session");
    node.view.connected.store(true, Ordering::SeqCst);
    eventually("it follows again", || {
        cluster.truth.partition().isr == [BrokerId(1), BrokerId(2)]
            && cluster.nodes[&2].manager.replica_by_id(super::rig::TOPIC, 0).is_some_and(|replica| {
                replica.positions().log_end == Offset(3) && replica.positions().log_start == Offset(1)
            })
    })
    .await;
}
