//! Leaders after an unclean election of a tiered topic: what they make of what the tier holds.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use tokio::sync::watch;

use super::rig::{Cluster, TOPIC, eventually};
use super::wants;
use crate::env::sim::SimDisk;
use crate::log::EpochEntry;
use crate::metadata::{Command, IsrMember, Proof, UncleanCandidate};
use crate::replication::isr::TierPosition;
use crate::replication::{Acks, Quorum, ReadError, TierReader, TierState, TierUnavailable};
use crate::types::{BrokerId, LeaderEpoch, Offset, TopicId, TopicPartition};

type Head = Result<Option<(TierPosition, TierState)>, TierUnavailable>;

/// A store that answers what it is told to, or nothing.
struct Store {
    answer: watch::Sender<Option<Head>>,
    asked: AtomicUsize,
}

impl Store {
    fn silent() -> Arc<Store> {
        Arc::new(Store { answer: watch::channel(None).0, asked: AtomicUsize::new(0) })
    }

    fn says(&self, head: Head) {
        self.answer.send_replace(Some(head));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl TierReader for Store {
    fn fetch_tier_state(
        &self,
        _: &TopicPartition,
        _: TopicId,
        _: TierPosition,
    ) -> BoxFuture<'static, Result<TierState, TierUnavailable>> {
        let answer = self.answer.borrow().clone();
        Box::pin(async move {
            let (_, state) = answer.expect("it was told")?.expect("it holds something");
            Ok(state)
        })
    }

    fn fetch_head(&self, _: &TopicPartition, _: TopicId, _: Range<Offset>) -> BoxFuture<'static, Head> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answer = self.answer.subscribe();
        Box::pin(async move {
            let answer = answer.wait_for(Option::is_some).await.expect("the store lives as long as the test");
            answer.clone().expect("it was waited for")
        })
    }
}

/// Of 7 records the tier holds 6. The copy of broker 2 ends at `held`, and nobody else is left.
struct Lost {
    cluster: Cluster,
    store: Arc<Store>,
    disk: SimDisk,
    proof: Proof,
    tier: TierPosition,
    state: TierState,
}

impl Lost {
    async fn all_but(held: i64) -> Lost {
        let configs = [("unclean.leader.election.enable", "true"), ("remote.storage.enable", "true")];
        let mut cluster = Cluster::with_topic(3, &configs).await;
        cluster.leads(1).await;
        cluster.isr_is(&[1, 2, 3]).await;
        for i in 0..held {
            cluster.append(1, Acks::All, &[&format!("{i}")]).await.unwrap();
        }
        cluster.agree(&[1, 2, 3], held).await;
        let (disk, proof) = cluster.kill(2);
        cluster.fence(2);
        cluster.isr_is(&[1, 3]).await;
        for i in held..6 {
            cluster.append(1, Acks::All, &[&format!("{i}")]).await.unwrap();
        }
        let (sections, epochs) = cluster.replica(1).with_log(|log| {
            log.roll(0).unwrap();
            (log.segment_sections(Offset(0)).unwrap(), log.epochs().entries().to_vec())
        });
        cluster.append(1, Acks::All, &["6"]).await.unwrap();
        cluster.agree(&[1, 3], 7).await;
        cluster.kill(1);
        cluster.fence(1);
        cluster.fence(3);
        let store = Store::silent();
        cluster.tier = Some(store.clone());
        let tier = TierPosition { end: Offset(6), generation: 1 };
        let state = TierState {
            end: Offset(6),
            log_start: Offset(0),
            epochs,
            producer_snapshot: sections.producer_snapshot,
        };
        Lost { cluster, store, disk, proof, tier, state }
    }

    /// Broker 2 comes back, and is elected.
    fn elect(&mut self, held: i64) {
        self.cluster.start(2, self.disk.clone(), self.proof.clone());
        let candidate = UncleanCandidate {
            member: IsrMember { broker: BrokerId(2), epoch: self.cluster.epoch(2) },
            last_epoch: LeaderEpoch(0),
            log_end: Offset(held),
        };
        self.cluster.truth.ok(&Command::ElectUnclean {
            topic: TOPIC,
            partition: 0,
            partition_epoch: self.cluster.truth.partition().partition_epoch,
            candidates: vec![candidate],
        });
    }

    fn leads(&self) -> bool {
        let replica = self.cluster.nodes[&2].manager.replica_by_id(TOPIC, 0);
        replica.is_some_and(|replica| replica.positions().leads())
    }
}

impl Lost {
    /// Partitions that broker 2 is to lead and does not.
    fn waiting(&self) -> usize {
        self.cluster.nodes[&2].manager.waiting_for_tier()
    }
}

async fn begins_at_the_tiers_end(held: i64) {
    let mut lost = Lost::all_but(held).await;
    lost.elect(held);
    let head = Ok(Some((lost.tier, lost.state.clone())));
    lost.store.says(head);
    eventually("it leads", || lost.leads()).await;
    let cluster = &lost.cluster;
    let leader = cluster.replica(2);
    let positions = leader.positions();
    let places = (positions.log_start, positions.local_start, positions.log_end, positions.high_watermark);
    assert_eq!(places, (Offset(0), Offset(6), Offset(6), Offset(6)));
    let cold = leader.read(&wants(Offset(0)));
    assert!(matches!(cold, Err(ReadError::OnlyTiered { .. })), "{cold:?}");

    // The one that has more than the tier gives up only that.
    let epoch = cluster.epoch(3);
    cluster.truth.ok(&Command::Unfence { id: BrokerId(3), epoch });
    cluster.isr_is(&[2, 3]).await;
    assert_eq!(cluster.replica(3).positions().log_end, Offset(6));
    cluster.append(2, Acks::All, &["x"]).await.unwrap();
    eventually("both have it", || cluster.replica(3).positions().high_watermark == Offset(7)).await;
    let last = leader.with_log(|log| log.epochs().latest()).unwrap();
    assert_eq!((last.epoch, last.start), (positions.leader_epoch, Offset(6)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unclean_leader_behind_the_tiers_end_begins_there() {
    begins_at_the_tiers_end(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unclean_leader_that_has_nothing_begins_at_the_tiers_end() {
    begins_at_the_tiers_end(0).await;
}

/// It has led itself, or followed who did, and what it has beyond the next leader's beginning was never committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unclean_leader_gives_a_tail_of_an_earlier_epoch_up_for_what_the_tier_has_of_a_later_one() {
    let entry = |epoch, start| EpochEntry { epoch: LeaderEpoch(epoch), start: Offset(start) };
    let mut lost = Lost::all_but(3).await;
    lost.elect(3);
    let elected = lost.cluster.truth.partition().leader_epoch;
    let later = LeaderEpoch(elected.0 - 1);
    assert!(later > LeaderEpoch(0));
    let state = TierState { epochs: vec![entry(0, 0), entry(later.0, 2)], ..lost.state.clone() };
    lost.store.says(Ok(Some((lost.tier, state))));
    eventually("it leads", || lost.leads()).await;
    let positions = lost.cluster.replica(2).positions();
    assert_eq!((positions.local_start, positions.log_end), (Offset(6), Offset(6)));
    lost.cluster.append(2, Acks::All, &["x"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_tier_is_not_the_later_copy_or_holds_nothing_the_log_of_an_unclean_leader_counts() {
    let entry = |epoch, start| EpochEntry { epoch: LeaderEpoch(epoch), start: Offset(start) };
    for epochs in [vec![entry(1_000, 0)], Vec::new()] {
        let mut lost = Lost::all_but(3).await;
        lost.elect(3);
        let state = TierState { epochs: epochs.clone(), ..lost.state.clone() };
        let head = (!epochs.is_empty()).then_some((lost.tier, state));
        lost.store.says(Ok(head));
        eventually("it leads", || lost.leads()).await;
        let positions = lost.cluster.replica(2).positions();
        assert_eq!((positions.local_start, positions.log_end), (Offset(0), Offset(3)), "{epochs:?}");
        lost.cluster.append(2, Acks::All, &["x"]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unclean_leader_waits_for_the_store_alone_and_over_restarts_and_asks_no_more_once_it_has_written()
{
    let mut lost = Lost::all_but(3).await;
    lost.elect(3);
    eventually("the store is asked", || lost.store.asked() == 1).await;
    // The image is carried out for everything else meanwhile.
    lost.cluster.truth.ok(&Command::ReserveProducerIds { below: 1 });
    let partition_epoch = lost.cluster.truth.partition().partition_epoch;
    let mut reconciled = lost.cluster.nodes[&2].manager.reconciled();
    let version = lost.cluster.nodes[&2].view.images().borrow().version;
    eventually("the newest image is carried out", || *reconciled.borrow_and_update() >= version).await;
    assert!(!lost.leads());
    assert_eq!(lost.waiting(), 1);
    assert!(lost.cluster.append(2, Acks::Leader, &["x"]).await.is_err());

    lost.store.says(Err(TierUnavailable("it is down".to_owned())));
    eventually("it is asked again", || lost.store.asked() >= 3).await;
    assert!(!lost.leads());
    assert_eq!(lost.waiting(), 1, "also between two questions");
    assert_eq!(
        lost.cluster.truth.partition().partition_epoch,
        partition_epoch,
        "nobody is told to lead instead"
    );

    // The next life leads under a later epoch, that no unclean election began.
    let (disk, proof) = lost.cluster.kill(2);
    lost.cluster.start(2, disk, proof);
    let asked = lost.store.asked();
    eventually("the next life asks too", || lost.store.asked() > asked + 1).await;
    let partition = lost.cluster.truth.partition();
    assert_eq!(partition.leader, Some(BrokerId(2)));
    assert!(partition.unclean.is_some_and(|unclean| unclean.leader_epoch < partition.leader_epoch));
    assert!(!lost.leads());
    let head = Ok(Some((lost.tier, lost.state.clone())));
    lost.store.says(head);
    eventually("it leads", || lost.leads()).await;
    assert_eq!(lost.cluster.replica(2).positions().log_end, Offset(6));
    assert_eq!(lost.waiting(), 0);

    lost.cluster.append(2, Acks::All, &["x"]).await.unwrap();
    lost.store.says(Err(TierUnavailable("it is down".to_owned())));
    let asked = lost.store.asked();
    let (disk, proof) = lost.cluster.kill(2);
    lost.cluster.start(2, disk, proof);
    eventually("it leads again", || lost.leads()).await;
    assert_eq!(lost.store.asked(), asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_has_said_after_an_unclean_election_is_kept_over_restarts_though_nothing_was_written()
{
    for holds in [true, false] {
        let mut lost = Lost::all_but(3).await;
        lost.elect(3);
        let head = holds.then(|| (lost.tier, lost.state.clone()));
        lost.store.says(Ok(head));
        eventually("it leads", || lost.leads()).await;
        let end = lost.cluster.replica(2).positions().log_end;
        assert_eq!(end, Offset(if holds { 6 } else { 3 }));
        lost.store.says(Err(TierUnavailable("it is down".to_owned())));
        let asked = lost.store.asked();
        for _ in 0..2 {
            let (disk, proof) = lost.cluster.kill(2);
            lost.cluster.start(2, disk, proof);
            eventually("it leads again", || lost.leads()).await;
            let positions = lost.cluster.replica(2).positions();
            assert_eq!((positions.log_start, positions.log_end), (Offset(0), end));
        }
        assert_eq!(lost.store.asked(), asked);
        lost.cluster.append(2, Acks::All, &["x"]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_elected_from_among_others_in_sync_asks_no_store_though_nothing_was_written_since_the_unclean_election()
 {
    let mut lost = Lost::all_but(3).await;
    lost.elect(3);
    let head = Ok(Some((lost.tier, lost.state.clone())));
    lost.store.says(head);
    eventually("it leads", || lost.leads()).await;
    let cluster = &lost.cluster;
    let epoch = cluster.epoch(3);
    cluster.truth.ok(&Command::Unfence { id: BrokerId(3), epoch });
    cluster.isr_is(&[2, 3]).await;
    let asked = lost.store.asked();
    lost.store.says(Err(TierUnavailable("it is down".to_owned())));
    cluster.resign(2);
    cluster.leads(3).await;
    assert_eq!(lost.store.asked(), asked);
    assert!(cluster.truth.partition().unclean.is_some(), "its log still knows of no epoch since then");
}
