//! What producers are told when the leadership goes between a write and its answer.

use std::sync::atomic::Ordering;

use super::rig::{Cluster, batch, eventually};
use super::short_appends::disk_threads_wait;
use crate::replication::{Acks, AppendError};
use crate::types::Offset;

/// "Not the leader" would say that nothing was written: librdkafka then gives the sequence numbers to other batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_is_not_said_to_be_refused_when_the_leadership_goes() {
    let cluster = Cluster::with_topic(2, &[("min.insync.replicas", "2")]).await;
    cluster.leads(1).await;
    cluster.isr_is(&[1, 2]).await;
    let threads = disk_threads_wait(&cluster, 2).await;
    let replica = cluster.replica(1);
    let deadline = cluster.deadline();
    let waits = tokio::spawn({
        let replica = replica.clone();
        // Too large for the thread of a lane.
        async move { replica.append(batch(&["x".repeat(200_000).as_str()]), Acks::All, deadline).await }
    });
    eventually("it is written", || replica.positions().log_end == Offset(1)).await;
    cluster.resign(1);
    let told = waits.await.unwrap();
    assert!(matches!(told, Err(AppendError::NoLongerLeads)), "{told:?}");
    drop(threads);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_is_not_said_to_be_refused_when_the_lease_runs_out() {
    let cluster = Cluster::with_topic(1, &[]).await;
    cluster.leads(1).await;
    let replica = cluster.replica(1);
    // On a disk thread, so that the answer comes after the lease is gone.
    let threads = disk_threads_wait(&cluster, 1).await;
    let value = "x".repeat(200_000);
    let mut late = Box::pin(replica.append(batch(&[&value]), Acks::Leader, cluster.deadline()));
    assert!(futures::poll!(&mut late).is_pending());
    drop(threads);
    eventually("it is written", || replica.positions().log_end == Offset(1)).await;
    cluster.nodes[&1].view.leased.store(false, Ordering::SeqCst);
    let told = late.await;
    assert!(matches!(told, Err(AppendError::NoLongerLeads)), "{told:?}");
}
