//! Three brokers in one process: real managers, replicas, lanes and logs over a network and disks in memory.

mod chaos;
mod directories;
mod failed_fsyncs;
mod former;
mod full_disk;
mod leaving;
mod many;
mod panics;
mod raised_starts;
mod reassign;
pub(super) mod rig;
mod sessions;
mod short_appends;
mod tier_ends;
mod tier_heads;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use self::rig::{Cluster, TOPIC, batch, eventually};
use super::*;
use crate::env::BlockingPool;
use crate::env::sim::{DiskCall, Fault, SimDisk};
use crate::log::Rejected;
use crate::metadata::{Command, Proof};
use crate::transport::certs::Authority;
use crate::types::{BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicId, TopicPartition};
use crate::wire::record_batch::BatchBuilder;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acks_all_append_is_on_every_member_of_the_isr_when_it_is_answered() {
    let cluster = Cluster::with_topic(3, &[]).await;
    cluster.leads(1).await;
    for i in 0..20 {
        let appended = cluster.append(1, Acks::All, &["a", "b"]).await.unwrap();
        assert_eq!((appended.base, appended.last), (Offset(2 * i), Offset(2 * i + 1)));
        for id in [2, 3] {
            assert!(cluster.replica(id).positions().log_end > appended.last, "{id} lacks {i}");
        }
    }
    cluster.agree(&[1, 2, 3], 40).await;
    assert_eq!(cluster.replica(1).positions().isr[..], [1, 2, 3].map(BrokerId));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_appends_at_once_are_grouped_and_all_answered_in_their_order() {
    let cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    let replica = cluster.replica(1);
    let appends: Vec<_> = (0..300)
        .map(|i| {
            let acks = if i % 3 == 0 { Acks::Leader } else { Acks::All };
            replica.append(batch(&[&format!("value {i}")]), acks, cluster.deadline())
        })
        .collect();
    let bases: Vec<i64> =
        futures::future::join_all(appends).await.into_iter().map(|a| a.unwrap().base.0).collect();
    assert_eq!(bases, (0..300).collect::<Vec<i64>>());
    cluster.agree(&[1, 2], 300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_replaced_and_catches_up_when_it_returns() {
    let mut cluster = Cluster::with_topic(3, &[("min.insync.replicas", "2")]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["before"]).await.unwrap();
    let (disk, proof) = cluster.kill(1);
    cluster.fence(1);
    cluster.leads(2).await;
    cluster.append(2, Acks::All, &["after"]).await.unwrap();
    cluster.agree(&[2, 3], 2).await;
    cluster.start(1, disk, proof);
    eventually("1 hosts the partition", || cluster.nodes[&1].manager.replica_by_id(TOPIC, 0).is_some()).await;
    cluster.isr_is(&[1, 2, 3]).await;
    cluster.append(2, Acks::All, &["again"]).await.unwrap();
    cluster.agree(&[1, 2, 3], 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_that_only_a_deposed_leader_has_is_cut_when_it_follows() {
    let cluster = Cluster::with_topic(3, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["committed"]).await.unwrap();
    let one = &cluster.nodes[&1];
    one.view.connected.store(false, Ordering::SeqCst);
    for other in [2, 3] {
        cluster.network.cut(BrokerId(1), BrokerId(other));
    }
    // acks=1 on the zombie: its tail is on no other broker.
    cluster.append(1, Acks::Leader, &["lost", "lost"]).await.unwrap();
    cluster.fence(1);
    cluster.leads(2).await;
    cluster.append(2, Acks::All, &["kept"]).await.unwrap();
    assert_eq!(cluster.replica(1).positions().high_watermark, Offset(1), "a zombie commits nothing");
    for other in [2, 3] {
        cluster.network.heal(BrokerId(1), BrokerId(other));
    }
    one.view.connected.store(true, Ordering::SeqCst);
    let epoch = cluster.epoch(1);
    cluster.truth.ok(&Command::Unfence { id: BrokerId(1), epoch });
    cluster.isr_is(&[1, 2, 3]).await;
    cluster.agree(&[1, 2, 3], 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_cut_off_leaves_the_isr_and_returns_when_it_has_caught_up() {
    let mut cluster = Cluster::new();
    cluster.tail_budget_bytes = 300;
    for id in 1..=3 {
        cluster.start(id, SimDisk::new(), Proof::Unclean { previous: None });
    }
    cluster.create_topic(3, &[("segment.bytes", "1048576")]).await;
    cluster.leads(1).await;
    cluster.network.cut(BrokerId(1), BrokerId(3));
    cluster.isr_is(&[1, 2]).await;
    for i in 0..60 {
        cluster
            .append(1, Acks::All, &[&format!("written without 3, so it reads {i} from disk")])
            .await
            .unwrap();
    }
    cluster.network.heal(BrokerId(1), BrokerId(3));
    cluster.isr_is(&[1, 2, 3]).await;
    cluster.append(1, Acks::All, &["with 3"]).await.unwrap();
    cluster.agree(&[1, 2, 3], 61).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_min_isr_acks_all_is_refused_and_acks_one_is_not() {
    let mut cluster = Cluster::with_topic(2, &[("min.insync.replicas", "2")]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.kill(2);
    // Written while the ISR is still whole, refused once it has shrunk.
    let after = cluster.append(1, Acks::All, &["b"]).await;
    assert!(matches!(after, Err(AppendError::NotEnoughReplicasAfterAppend(_))), "{after:?}");
    cluster.isr_is(&[1]).await;
    eventually("the leader knows", || cluster.replica(1).positions().isr.len() == 1).await;
    let before = cluster.append(1, Acks::All, &["c"]).await;
    assert!(matches!(before, Err(AppendError::NotEnoughReplicas(_))), "{before:?}");
    cluster.append(1, Acks::Leader, &["d"]).await.unwrap();
    let positions = cluster.replica(1).positions();
    assert_eq!((positions.high_watermark, positions.log_end), (Offset(1), Offset(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_without_its_lease_acknowledges_nothing() {
    let cluster = Cluster::with_topic(1, &[]).await;
    cluster.leads(1).await;
    cluster.nodes[&1].view.leased.store(false, Ordering::SeqCst);
    for acks in [Acks::Leader, Acks::All] {
        let refused = cluster.append(1, acks, &["a"]).await;
        assert!(matches!(refused, Err(AppendError::NotLeader)), "{refused:?}");
    }
    cluster.nodes[&1].view.leased.store(true, Ordering::SeqCst);
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
}

fn numbered(sequence: i32) -> Bytes {
    let mut batch = BatchBuilder::default().producer(ProducerId(7), ProducerEpoch(0), sequence);
    batch.add(0, None, Some(b"v"), &[]);
    batch.build().unwrap()
}

/// The next leader may know more of a producer than a leader without a lease does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_lease_has_run_out_does_not_say_that_a_sequence_number_is_wrong() {
    let cluster = Cluster::with_topic(1, &[]).await;
    cluster.leads(1).await;
    let replica = cluster.replica(1);
    replica.append(numbered(0), Acks::Leader, cluster.deadline()).await.unwrap();
    let mut late = Box::pin(replica.append(numbered(9), Acks::Leader, cluster.deadline()));
    let asked = futures::poll!(&mut late);
    cluster.nodes[&1].view.leased.store(false, Ordering::SeqCst);
    // The log's verdict may have come with the first poll already, while the lease held.
    let verdict = match asked {
        Poll::Ready(verdict) => verdict,
        Poll::Pending => {
            let told = late.await;
            assert!(matches!(told, Err(AppendError::NotLeader)), "{told:?}");
            cluster.nodes[&1].view.leased.store(true, Ordering::SeqCst);
            replica.append(numbered(9), Acks::Leader, cluster.deadline()).await
        }
    };
    assert!(
        matches!(verdict, Err(AppendError::Rejected(Rejected::OutOfOrderSequence { .. }))),
        "{verdict:?}"
    );
}

/// Both were sent at once: the producer would take the answer to the second for an answer to both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_refused_first_batch_the_next_one_is_not_taken_for_the_first() {
    let cluster = Cluster::with_topic(1, &[]).await;
    cluster.leads(1).await;
    let send =
        async |sequence| cluster.replica(1).append(numbered(sequence), Acks::All, cluster.deadline()).await;
    cluster.nodes[&1].view.leased.store(false, Ordering::SeqCst);
    assert!(matches!(send(4).await, Err(AppendError::NotLeader)));
    cluster.nodes[&1].view.leased.store(true, Ordering::SeqCst);
    let told = send(5).await;
    assert!(
        matches!(told, Err(AppendError::Rejected(Rejected::OutOfOrderSequence { last: 3, got: 5 }))),
        "{told:?}"
    );
    send(4).await.unwrap();
    send(5).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_replies_of_proposals_are_made_good_by_the_image() {
    let cluster = Cluster::with_topic(3, &[]).await;
    cluster.leads(1).await;
    cluster.nodes[&1].view.replies_get_lost.store(true, Ordering::SeqCst);
    cluster.network.cut(BrokerId(1), BrokerId(2));
    cluster.isr_is(&[1, 3]).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.network.heal(BrokerId(1), BrokerId(2));
    cluster.isr_is(&[1, 2, 3]).await;
    cluster.append(1, Acks::All, &["b"]).await.unwrap();
    cluster.agree(&[1, 2, 3], 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_whose_end_lies_below_the_log_start_starts_anew_there() {
    let mut cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a", "b"]).await.unwrap();
    let (disk, proof) = cluster.kill(2);
    cluster.isr_is(&[1]).await;
    cluster.append(1, Acks::All, &["c", "d"]).await.unwrap();
    cluster.append(1, Acks::All, &["e"]).await.unwrap();
    let leader = cluster.replica(1);
    leader.with_log(|log| {
        log.roll(0).unwrap();
        log.advance_log_start(Offset(4), 0).unwrap().run().unwrap();
        assert_eq!(log.local_start(), Offset(4));
    });
    cluster.start(2, disk, proof);
    cluster.isr_is(&[1, 2]).await;
    eventually("2 begins at 4", || cluster.replica(2).positions().log_start == Offset(4)).await;
    eventually("2 has it all", || cluster.replica(2).positions().log_end == Offset(5)).await;
    eventually("both have the log start", || leader.log_start_is_stored(Offset(4)) == Some(true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_start_that_retention_raises_reaches_the_followers_of_an_idle_partition() {
    let cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a", "b"]).await.unwrap();
    cluster.agree(&[1, 2], 2).await;
    let leader = cluster.replica(1);
    leader.with_log(|log| log.advance_log_start(Offset(1), 0).unwrap().run().unwrap());
    eventually("2 has the log start", || cluster.replica(2).positions().log_start == Offset(1)).await;
    eventually("1 knows", || leader.log_start_is_stored(Offset(1)) == Some(true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_says_that_it_has_a_log_start_when_no_kill_takes_it_back() {
    let mut cluster = Cluster::new();
    cluster.checkpoint_interval = Duration::from_secs(3600);
    for id in [1, 2] {
        cluster.start(id, SimDisk::new(), Proof::Unclean { previous: None });
    }
    cluster.create_topic(2, &[]).await;
    cluster.leads(1).await;
    for _ in 0..3 {
        cluster.append(1, Acks::All, &["a"]).await.unwrap();
    }
    cluster.agree(&[1, 2], 3).await;
    let leader = cluster.replica(1);
    leader.with_log(|log| log.advance_log_start(Offset(2), 0).unwrap().run().unwrap());
    eventually("1 is told", || leader.log_start_is_stored(Offset(2)) == Some(true)).await;
    let (disk, proof) = cluster.kill(2);
    cluster.network.cut(BrokerId(1), BrokerId(2));
    cluster.start(2, disk, proof);
    eventually("hosted", || cluster.nodes[&2].manager.replica_by_id(TOPIC, 0).is_some()).await;
    assert_eq!(cluster.replica(2).positions().log_start, Offset(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_quic_a_follower_catches_up_with_much_more_than_any_window_while_others_go_on() {
    let mut cluster = Cluster::new();
    cluster.authority = Some(Authority::new(&cluster.env, "c").unwrap());
    cluster.tail_budget_bytes = 1 << 20;
    for id in 1..=2 {
        cluster.start(id, SimDisk::new(), Proof::Unclean { previous: None });
    }
    cluster.create_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["both"]).await.unwrap();
    let (disk, proof) = cluster.kill(2);
    cluster.fence(2);
    cluster.isr_is(&[1]).await;
    let value = "x".repeat(500_000);
    for _ in 0..60 {
        cluster.append(1, Acks::Leader, &[&value]).await.unwrap();
    }
    cluster.start(2, disk, proof);
    for _ in 0..20 {
        cluster.append(1, Acks::Leader, &[&value]).await.unwrap();
    }
    cluster.isr_is(&[1, 2]).await;
    cluster.append(1, Acks::All, &["both"]).await.unwrap();
    cluster.agree(&[1, 2], 82).await;
}

/// A tier that covers everything below its end.
struct Covered(TierState);

impl TierReader for Covered {
    fn fetch_tier_state(
        &self,
        _: &TopicPartition,
        topic: TopicId,
        tier: TierPosition,
    ) -> BoxFuture<'static, Result<TierState, TierUnavailable>> {
        assert_eq!((topic, tier.end, tier.generation), (TOPIC, self.0.end, 9));
        let state = self.0.clone();
        Box::pin(async move { Ok(state) })
    }

    fn fetch_head(
        &self,
        _: &TopicPartition,
        _: TopicId,
        _: std::ops::Range<Offset>,
    ) -> BoxFuture<'static, Result<Option<(TierPosition, TierState)>, TierUnavailable>> {
        let tier = TierPosition { end: self.0.end, generation: 9 };
        let state = self.0.clone();
        Box::pin(async move { Ok(Some((tier, state))) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_an_empty_disk_begins_at_the_tiers_end_and_copies_only_the_hot_tail() {
    let mut cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["cold", "cold", "cold"]).await.unwrap();
    cluster.kill(2);
    cluster.fence(2);
    cluster.isr_is(&[1]).await;
    let leader = cluster.replica(1);
    let (sections, epochs) = leader.with_log(|log| {
        log.roll(0).unwrap();
        (log.segment_sections(Offset(0)).unwrap(), log.epochs().entries().to_vec())
    });
    cluster.append(1, Acks::All, &["hot"]).await.unwrap();
    let tier = TierPosition { end: Offset(3), generation: 9 };
    leader.set_tier(leader.positions().leader_epoch, tier);
    let early = leader.with_log(|log| {
        // A reader that has looked at the positions before, and at the log after, is sent to the tier too.
        let leader = leader.clone();
        let reader = tokio::spawn(async move { leader.read(&wants(Offset(1))) });
        std::thread::sleep(Duration::from_millis(100));
        log.delete_segments_below(Offset(3)).unwrap().run().unwrap();
        reader
    });
    let early = early.await.unwrap();
    assert!(matches!(early, Err(ReadError::OnlyTiered { .. })), "{early:?}");
    cluster.tier = Some(Arc::new(Covered(TierState {
        end: Offset(3),
        log_start: Offset(0),
        epochs,
        producer_snapshot: sections.producer_snapshot,
    })));
    cluster.start(2, SimDisk::new(), Proof::Unclean { previous: None });
    cluster.isr_is(&[1, 2]).await;
    let positions = cluster.replica(2).positions();
    assert_eq!((positions.log_start, positions.local_start), (Offset(0), Offset(3)));
    eventually("the tier's end is known", || cluster.replica(2).positions().tier == Some(tier)).await;
    cluster.append(1, Acks::All, &["hot"]).await.unwrap();
    cluster.agree(&[1, 2], 5).await;
    let cold = leader.read(&wants(Offset(1)));
    assert!(matches!(cold, Err(ReadError::OnlyTiered { .. })), "{cold:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_makes_the_leader_resign_and_another_goes_on() {
    let cluster = Cluster::with_topic(3, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    let fault =
        Fault { written: 10, ..Fault::next(DiskCall::Write, ".log", std::io::ErrorKind::StorageFull) };
    cluster.nodes[&1].disk.inject(fault);
    let failed = cluster.append(1, Acks::All, &["torn"]).await;
    assert!(matches!(failed, Err(AppendError::WriteFailed(_))), "{failed:?}");
    eventually("another leads", || cluster.truth.partition().leader.is_some_and(|l| l != BrokerId(1))).await;
    let next = cluster.truth.partition().leader.unwrap().0;
    cluster.leads(next).await;
    cluster.append(next, Acks::All, &["b"]).await.unwrap();
    cluster.isr_is(&[1, 2, 3]).await;
    cluster.agree(&[1, 2, 3], 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_high_watermark_checkpoint_newer_than_what_a_crash_left_of_the_log_is_not_believed() {
    let mut cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    for _ in 0..10 {
        cluster.append(1, Acks::All, &["a"]).await.unwrap();
    }
    cluster.agree(&[1, 2], 10).await;
    // Checkpoints are fsynced, the log is not.
    let disk = cluster.nodes[&2].disk.clone();
    let checkpointed = || {
        let files = disk.snapshot();
        files.iter().any(|(path, text)| {
            path.ends_with("replication-offset-checkpoint")
                && String::from_utf8_lossy(text).contains("t 0 10")
        })
    };
    eventually("the high watermark is stored", checkpointed).await;
    cluster.kill(2);
    cluster.fence(2);
    disk.lose_power();
    // Nobody leads yet, so it has its own word alone.
    cluster.fence(1);
    cluster.start(2, disk.duplicate(), Proof::Unclean { previous: None });
    eventually("it is hosted", || cluster.nodes[&2].manager.replica_by_id(TOPIC, 0).is_some()).await;
    let positions = cluster.replica(2).positions();
    assert!(positions.high_watermark <= positions.log_end, "{positions:?}");
    cluster.truth.ok(&Command::Unfence { id: BrokerId(1), epoch: cluster.epoch(1) });
    cluster.isr_is(&[1, 2]).await;
    cluster.append(1, Acks::All, &["b"]).await.unwrap();
    cluster.agree(&[1, 2], 11).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_cannot_drop_old_segments_tries_again() {
    let cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a", "b"]).await.unwrap();
    cluster.agree(&[1, 2], 2).await;
    let fault = Fault::next(DiskCall::Rename, ".log", std::io::ErrorKind::Other);
    cluster.nodes[&2].disk.inject(fault);
    for id in [1, 2] {
        cluster.replica(id).with_log(|log| log.roll(0).unwrap());
    }
    let leader = cluster.replica(1);
    leader.with_log(|log| log.advance_log_start(Offset(2), 0).unwrap().run().unwrap());
    eventually("2 has the log start", || cluster.replica(2).positions().log_start == Offset(2)).await;
    cluster.append(1, Acks::All, &["c"]).await.unwrap();
    eventually("2 goes on", || cluster.replica(2).positions().log_end == Offset(3)).await;
    cluster.isr_is(&[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_is_not_passed_on_and_the_damaged_copy_is_rebuilt() {
    let mut cluster = Cluster::new();
    cluster.tail_budget_bytes = 0;
    for id in 1..=3 {
        cluster.start(id, SimDisk::new(), Proof::Unclean { previous: None });
    }
    cluster.create_topic(3, &[]).await;
    cluster.leads(1).await;
    cluster.network.cut(BrokerId(1), BrokerId(3));
    cluster.isr_is(&[1, 2]).await;
    for _ in 0..10 {
        cluster.append(1, Acks::All, &["a value that will be damaged on 1"]).await.unwrap();
    }
    let disk = cluster.nodes[&1].disk.clone();
    let path = disk.snapshot().into_keys().find(|p| p.to_string_lossy().ends_with("0.log")).unwrap();
    disk.flip_bit(&path, 8 * 300);
    cluster.network.heal(BrokerId(1), BrokerId(3));
    eventually("2 leads", || cluster.truth.partition().leader == Some(BrokerId(2))).await;
    let mut isr = Vec::new();
    eventually("all are back", || {
        isr = cluster.truth.partition().isr;
        isr.len() == 3
    })
    .await;
    cluster.append(2, Acks::All, &["b"]).await.unwrap();
    cluster.agree(&[1, 2, 3], 11).await;
}

/// All that may be seen from there on.
fn wants(from: Offset) -> Wanted {
    Wanted {
        from,
        max_bytes: 1 << 20,
        at_least_one: true,
        isolation: Isolation::ReadUncommitted,
        client_epoch: None,
        served_by: ServedBy::Leader,
    }
}

/// The first batch of broker 1's log is read as a client reads it.
async fn fetch_from_1(cluster: &Cluster) -> Result<Bytes, crate::log::LogError> {
    let replica = cluster.replica(1);
    let read = replica.read(&wants(Offset(0)));
    let slice = read.unwrap().unwrap();
    BlockingPool::new("reader", 1).run(move || replica.load(&slice)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_damage_a_client_finds_steps_aside_and_its_copy_is_rebuilt() {
    for broken_device in [false, true] {
        let cluster = Cluster::with_topic(2, &[]).await;
        cluster.leads(1).await;
        cluster.append(1, Acks::All, &["a value that will be damaged on 1"]).await.unwrap();
        cluster.append(1, Acks::All, &["another"]).await.unwrap();
        assert!(!fetch_from_1(&cluster).await.unwrap().is_empty());
        let traces = cluster.replica(1).traces();
        traces.switch_on(1);
        let disk = cluster.nodes[&1].disk.clone();
        if broken_device {
            let fault = Fault { times: 2, ..Fault::next(DiskCall::Read, ".log", std::io::ErrorKind::Other) };
            disk.inject(fault);
        } else {
            let path = disk.snapshot().into_keys().find(|p| p.to_string_lossy().ends_with("0.log")).unwrap();
            disk.flip_bit(&path, 8 * 70);
        }
        assert!(fetch_from_1(&cluster).await.unwrap_err().is_damage());
        eventually("2 leads", || cluster.truth.partition().leader == Some(BrokerId(2))).await;
        cluster.isr_is(&[1, 2]).await;
        cluster.leads(2).await;
        cluster.append(2, Acks::All, &["b"]).await.unwrap();
        cluster.agree(&[1, 2], 3).await;
        let (spans, _) = traces.take();
        let rebuilt = spans.iter().filter(|span| span.name == "partition.rebuild");
        assert_eq!(rebuilt.count(), 1, "a collector is told of it once, when all is there again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stretch_that_was_cut_while_a_client_read_it_costs_no_copy() {
    let cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.append(1, Acks::All, &["b"]).await.unwrap();
    let replica = cluster.replica(1);
    let read = replica.read(&wants(Offset(1)));
    let slice = read.unwrap().unwrap();
    // As after a truncation under another leader: where the batch was there are other bytes now.
    replica.with_log(|log| {
        let epoch = log.epochs().latest().unwrap().epoch;
        log.truncate_to(Offset(0)).unwrap();
        let records = ["longer than what was there before", "b"].map(|value| batch(&[value])).to_vec();
        log.append_as_leader(records, epoch, 0).unwrap();
    });
    let reader = replica.clone();
    let loaded = BlockingPool::new("reader", 1).run(move || reader.load(&slice)).await.unwrap();
    assert!(loaded.unwrap_err().is_damage(), "so it looked to the reader");
    assert!(replica.positions().leads());
    assert_eq!(cluster.truth.partition().isr.len(), 2, "nothing was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_damaged_when_it_is_opened_is_rebuilt_from_the_leader() {
    let mut cluster = Cluster::with_topic(2, &[]).await;
    cluster.leads(1).await;
    for _ in 0..10 {
        cluster.append(1, Acks::All, &["a value"]).await.unwrap();
    }
    let (disk, proof) = cluster.kill(2);
    cluster.fence(2);
    let path = disk.snapshot().into_keys().find(|p| p.to_string_lossy().ends_with("0.log")).unwrap();
    disk.flip_bit(&path, 8 * 200);
    cluster.start(2, disk, proof);
    cluster.isr_is(&[1, 2]).await;
    cluster.append(1, Acks::All, &["b"]).await.unwrap();
    cluster.agree(&[1, 2], 11).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_leaves_its_proof_and_the_high_watermark() {
    let mut cluster = Cluster::with_topic(1, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a", "b"]).await.unwrap();
    let previous = cluster.epoch(1);
    cluster.nodes[&1].manager.shutdown().await.unwrap();
    let (disk, _) = cluster.kill(1);
    cluster.start(1, disk, Proof::CleanShutdown { previous });
    eventually("it is hosted", || cluster.nodes[&1].manager.replica_by_id(TOPIC, 0).is_some()).await;
    cluster.leads(1).await;
    let positions = cluster.replica(1).positions();
    assert_eq!((positions.high_watermark, positions.log_end), (Offset(2), Offset(2)));
    assert!(positions.latest_is_known);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_no_more_than_the_high_watermark_and_are_told_of_wrong_epochs() {
    let cluster = Cluster::with_topic(2, &[]).await;
    for id in [1, 2] {
        cluster.leads(id).await;
        cluster.resign(id);
    }
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.network.cut(BrokerId(1), BrokerId(2));
    cluster.append(1, Acks::Leader, &["not committed"]).await.unwrap();
    let leader = cluster.replica(1);
    let read = |from, epoch: Option<i32>| {
        let isolation = Isolation::ReadUncommitted;
        let epoch = epoch.map(LeaderEpoch);
        let slice = leader.read(&Wanted { isolation, client_epoch: epoch, ..wants(Offset(from)) })?;
        Ok::<_, ReadError>(slice.map_or(Bytes::new(), |slice| slice.load().unwrap()))
    };
    let epoch = leader.positions().leader_epoch.0;
    let committed = read(0, Some(epoch)).unwrap();
    assert_eq!(crate::wire::record_batch::BatchIter::new(committed).count(), 1);
    assert!(read(1, None).unwrap().is_empty());
    assert!(read(2, None).unwrap().is_empty(), "not shown yet, and no reason to begin again");
    assert!(matches!(read(3, None), Err(ReadError::OutOfRange { .. })));
    assert!(matches!(read(0, Some(epoch - 1)), Err(ReadError::FencedLeaderEpoch { .. })));
    assert!(matches!(read(0, Some(epoch + 1)), Err(ReadError::UnknownLeaderEpoch { .. })));
    let follower = |from, epoch: Option<i32>, served_by| {
        let (isolation, epoch) = (Isolation::ReadUncommitted, epoch.map(LeaderEpoch));
        let slice = cluster.replica(2).read(&Wanted {
            isolation,
            client_epoch: epoch,
            served_by,
            ..wants(Offset(from))
        })?;
        Ok::<_, ReadError>(slice.map_or(Bytes::new(), |slice| slice.load().unwrap()))
    };
    assert!(matches!(follower(0, None, ServedBy::Leader), Err(ReadError::NotLeader)));
    // By KIP-392 a follower serves as far as it knows what is committed.
    let known = cluster.replica(2).positions().high_watermark;
    assert!(known <= Offset(1));
    assert_eq!(follower(0, Some(epoch), ServedBy::AnyReplica).unwrap().is_empty(), known == Offset(0));
    assert!(follower(1, None, ServedBy::AnyReplica).unwrap().is_empty());
    let beyond = follower(2, None, ServedBy::AnyReplica);
    assert!(matches!(beyond, Err(ReadError::OutOfRange { .. })), "it does not have what the leader has");
    let newer = follower(0, Some(epoch + 1), ServedBy::AnyReplica);
    assert!(matches!(newer, Err(ReadError::UnknownLeaderEpoch { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_topic_leaves_no_folder_behind() {
    let cluster = Cluster::with_topic(1, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.truth.ok(&Command::DeleteTopic { id: TOPIC, cold: false });
    let folder =
        |disk: &SimDisk| disk.snapshot().keys().filter(|p| p.to_string_lossy().contains("/t-0/")).count();
    eventually("the folder is gone", || folder(&cluster.nodes[&1].disk) == 0).await;
    assert!(cluster.nodes[&1].manager.replicas().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_fsync_before_ack_nothing_acknowledged_is_lost_when_all_lose_power() {
    let mut cluster = Cluster::with_topic(2, &[("flush.messages", "1"), ("min.insync.replicas", "2")]).await;
    cluster.leads(1).await;
    for _ in 0..10 {
        cluster.append(1, Acks::All, &["a"]).await.unwrap();
    }
    let disks = [1, 2].map(|id| (id, cluster.nodes[&id].disk.clone()));
    for (id, disk) in disks {
        let (_, proof) = cluster.kill(id);
        disk.lose_power();
        cluster.start(id, disk.duplicate(), proof);
    }
    for id in [1, 2] {
        eventually("hosted", || cluster.nodes[&id].manager.replica_by_id(TOPIC, 0).is_some()).await;
        let end = cluster.replica(id).positions().log_end;
        assert!(end >= Offset(10), "{id} ends at {end}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_directory_takes_its_copies_out_of_the_isr_and_the_broker_goes_on() {
    use crate::env::sim::{DiskCall, Fault};
    use std::io::ErrorKind;

    let cluster = Cluster::with_topic(3, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    // The device of a follower, then that of the leader.
    for (broker, isr) in [(2, &[1, 3][..]), (1, &[3])] {
        cluster.nodes[&broker].disk.inject(Fault::next(
            DiskCall::Write,
            "/t-0/",
            ErrorKind::ReadOnlyFilesystem,
        ));
        let leader = cluster.truth.partition().leader.unwrap().0;
        // What the failed device has not taken is not acknowledged by it.
        let _ = cluster.append(leader, Acks::Leader, &["b"]).await;
        cluster.isr_is(isr).await;
        let replica = cluster.replica(broker);
        eventually("it is offline", || replica.positions().role == ReplicaRole::Offline).await;
    }
    cluster.leads(3).await;
    cluster.append(3, Acks::All, &["c"]).await.unwrap();
    // Neither comes back, although the devices would work now.
    cluster.env.clock.sleep(Duration::from_millis(1500)).await;
    assert_eq!(cluster.truth.partition().isr, [BrokerId(3)]);
    for broker in [1, 2] {
        assert_eq!(cluster.replica(broker).positions().role, ReplicaRole::Offline);
        assert_eq!(cluster.nodes[&broker].manager.dirs.failed().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flush_ms_makes_what_was_written_durable_without_another_append() {
    let cluster = Cluster::with_topic(1, &[("flush.ms", "50")]).await;
    cluster.leads(1).await;
    for _ in 0..3 {
        cluster.append(1, Acks::All, &["a"]).await.unwrap();
        let replica = cluster.replica(1);
        eventually("it is flushed", || replica.with_log(|log| log.flushed_end() == log.log_end())).await;
    }
    // The control: without it the system decides.
    let cluster = Cluster::with_topic(1, &[]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.env.clock.sleep(Duration::from_millis(700)).await;
    assert!(cluster.replica(1).with_log(|log| log.flushed_end() < log.log_end()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_flush_ms_0_an_acknowledgement_waits_for_the_disk() {
    let cluster = Cluster::with_topic(1, &[("flush.ms", "0")]).await;
    cluster.leads(1).await;
    for _ in 0..5 {
        cluster.append(1, Acks::All, &["a"]).await.unwrap();
        assert!(cluster.replica(1).with_log(|log| log.flushed_end() == log.log_end()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flush_messages_makes_every_fifth_record_durable() {
    let cluster = Cluster::with_topic(1, &[("flush.messages", "5")]).await;
    cluster.leads(1).await;
    for count in 1..=12_i64 {
        cluster.append(1, Acks::All, &["a"]).await.unwrap();
        let flushed = || cluster.replica(1).with_log(|log| log.flushed_end());
        eventually("every fifth is flushed", || flushed() == Offset(count / 5 * 5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_waits_for_the_disk_together_is_written_and_flushed_together() {
    const APPENDS: usize = 100;
    let cluster = Cluster::with_topic(1, &[("flush.messages", "1")]).await;
    cluster.leads(1).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    let (replica, disk) = (cluster.replica(1), &cluster.nodes[&1].disk);
    // While the log is held nothing is drained.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (locked, is_locked) = tokio::sync::oneshot::channel();
    let holder = replica.clone();
    let holding = tokio::task::spawn_blocking(move || {
        holder.with_log(|_| {
            locked.send(()).unwrap();
            held.recv().unwrap();
        });
    });
    is_locked.await.unwrap();
    let deadline = cluster.env.clock.now() + std::time::Duration::from_secs(20);
    let mut appends: Vec<_> =
        (0..APPENDS).map(|_| Box::pin(replica.append(batch(&["b"]), Acks::All, deadline))).collect();
    for append in &mut appends {
        assert!(futures::poll!(append.as_mut()).is_pending());
    }
    let (_, writes, syncs) = disk.calls();
    release.send(()).unwrap();
    for appended in futures::future::join_all(appends).await {
        appended.unwrap();
    }
    holding.await.unwrap();
    let flushed = replica.with_log(|log| (log.flushed_end(), log.log_end()));
    assert_eq!(flushed, (Offset(101), Offset(101)), "acknowledged is durable");
    let (_, more_writes, more_syncs) = disk.calls();
    let (writes, syncs) = (more_writes - writes, more_syncs - syncs);
    assert!(writes < 10 && syncs < 10, "{APPENDS} appends took {writes} writes and {syncs} fsyncs");
}
