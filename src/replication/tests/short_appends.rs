//! Whose thread writes a batch, and what becomes of the thread.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::rig::{Cluster, batch, eventually};
use crate::env::sim::{DiskCall, Fault};
use crate::replication::{Acks, AppendError};
use crate::types::BrokerId;

/// Nothing is done on the disk threads of a broker until the senders are dropped.
pub(super) async fn disk_threads_wait(cluster: &Cluster, id: i32) -> Vec<Sender<()>> {
    let mut senders = Vec::new();
    for _ in 0..2 {
        let (sender, waiting) = channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        cluster.nodes[&id].pool.spawn(move || {
            let _ = begun.send(());
            let _ = waiting.recv();
        });
        has_begun.await.unwrap();
        senders.push(sender);
    }
    senders
}

/// Whether a batch of so many bytes is committed while nothing is done on the disk threads of broker `id`. Where it should
/// be it is tried several times: a machine that is slow for a moment closes the door for a second.
async fn is_committed_without_disk_threads(cluster: &Cluster, id: i32, bytes: usize, should: bool) -> bool {
    let value = "x".repeat(bytes);
    for _ in 0..if should { 20 } else { 2 } {
        let threads = disk_threads_wait(cluster, id).await;
        let soon = cluster.env.clock.now() + Duration::from_millis(500);
        let outcome = cluster.replica(1).append(batch(&[&value]), Acks::All, soon).await;
        drop(threads);
        // The queue is empty again.
        cluster.append(1, Acks::All, &["y"]).await.unwrap();
        match outcome {
            Ok(_) => return true,
            Err(e) => assert!(matches!(e, AppendError::TimedOut), "{e}"),
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_append_needs_no_disk_thread_and_any_other_does() {
    let flushed = [("flush.messages", "1")];
    for (configs, bytes, may_be_here) in [(&[][..], 100, true), (&[], 200_000, false), (&flushed, 100, false)]
    {
        let cluster = Cluster::with_topic(1, configs).await;
        cluster.leads(1).await;
        let here = is_committed_without_disk_threads(&cluster, 1, bytes, may_be_here).await;
        assert_eq!(here, may_be_here, "{configs:?}, {bytes} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_takes_a_short_frame_without_a_disk_thread_and_any_other_with_one() {
    let flushed = [("flush.messages", "1")];
    for (configs, bytes, may_be_here) in [(&[][..], 100, true), (&[], 200_000, false), (&flushed, 100, false)]
    {
        let cluster = Cluster::with_topic(2, configs).await;
        cluster.leads(1).await;
        cluster.isr_is(&[1, 2]).await;
        // Before the first batch the log has no epoch.
        cluster.append(1, Acks::All, &["first"]).await.unwrap();
        let here = is_committed_without_disk_threads(&cluster, 2, bytes, may_be_here).await;
        assert_eq!(here, may_be_here, "{configs:?}, {bytes} bytes");
        let end = cluster.replica(1).positions().log_end;
        cluster.agree(&[1, 2], end.0).await;
    }
}

/// The next write of a batch panics, as over a mistake of the program.
fn panic_over_the_next_batch(cluster: &Cluster, id: i32) {
    let fault = Fault::next(DiskCall::Write, ".log", std::io::ErrorKind::Other);
    cluster.nodes[&id].disk.inject(Fault { panics: true, ..fault });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_over_a_batch_costs_neither_the_lane_nor_the_queue() {
    for bytes in [100, 200_000] {
        let cluster = Cluster::with_topic(2, &[]).await;
        cluster.leads(1).await;
        cluster.append(1, Acks::All, &["first"]).await.unwrap();
        let value = "x".repeat(bytes);
        panic_over_the_next_batch(&cluster, 2);
        cluster.append(1, Acks::Leader, &[&value]).await.unwrap();
        eventually("2 has left", || cluster.truth.partition().isr == [BrokerId(1)]).await;
        cluster.isr_is(&[1, 2]).await;
        cluster.append(1, Acks::All, &["second"]).await.unwrap();
        cluster.agree(&[1, 2], 3).await;
        // The same at the leader.
        panic_over_the_next_batch(&cluster, 1);
        let failed = cluster.append(1, Acks::All, &[&value]).await;
        assert!(matches!(failed, Err(AppendError::WriteFailed(_))), "{failed:?}");
        eventually("2 leads", || cluster.truth.partition().leader == Some(BrokerId(2))).await;
        cluster.leads(2).await;
        cluster.isr_is(&[1, 2]).await;
        cluster.append(2, Acks::All, &["third"]).await.unwrap();
        cluster.agree(&[1, 2], 4).await;
    }
}
