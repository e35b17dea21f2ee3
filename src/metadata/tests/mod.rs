//! The quorum as a whole: three nodes in one process.

mod levels;
mod members;
mod rig;
mod unclean;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;

use self::rig::{Cluster, has, set, soon};
use super::control::Answer;
use super::raft::{Outcome, Submission};
use super::*;
use crate::env::{Clock as _, Disk as _, OpenMode, RealClock, RealDisk, RealRng, Rng};
use crate::types::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_forms_and_takes_commands_from_every_node() {
    let cluster = Cluster::formed(3).await;
    for id in 1..=3 {
        let key = format!("key-{id}");
        let metadata = cluster.node(id);
        assert_eq!(metadata.submit(set(&key, "v")).await, Ok(CommandReply::Done));
        assert!(has(&metadata.image(), &key), "submit returns once the local image has it");
    }
    cluster.everywhere(|image| has(image, "key-3")).await;
    cluster.assert_one_image().await;
    // A refusal comes back as it is.
    let unknown = Command::DeleteTopic { id: TopicId::from_bytes([9; 16]), cold: false };
    let refused = cluster.node(2).submit(unknown).await;
    assert_eq!(refused, Err(SubmitError::Rejected(CommandError::UnknownTopic(TopicId::from_bytes([9; 16])))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_alone_is_a_cluster_and_survives_a_restart() {
    let mut cluster = Cluster::active(1).await;
    cluster.node(1).submit(set("kept", "v")).await.unwrap();
    let before = cluster.node(1).image();
    assert!(cluster.node(1).lease().holds(RealClock.now()));
    cluster.kill(1).await;
    let metadata = cluster.start(1).await;
    cluster.everywhere(|image| has(image, "kept")).await;
    assert_eq!(metadata.image().cluster_id, before.cluster_id);
    assert!(!metadata.lease().holds(RealClock.now()), "a new life has no lease");
    // It proves by its directory that its former life has ended, so it need not wait for that session.
    cluster.enlist(1).await;
    assert!(metadata.broker_epoch() > before.brokers[&BrokerId(1)].epoch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_the_leader_costs_an_election_and_its_broker_is_fenced_a_lease_later() {
    let mut cluster = Cluster::formed_at_leisure(3).await.enlisted(3).await;
    let dead = cluster.leader().await;
    cluster.node(dead).submit(set("before", "v")).await.unwrap();
    let died = RealClock.now();
    cluster.kill(dead).await;
    let other = *cluster.nodes.keys().next().unwrap();
    cluster.node(other).submit(set("during", "v")).await.unwrap();
    cluster.everywhere(|image| !image.is_active(BrokerId(dead))).await;
    let took = RealClock.now().since(died);
    assert!(took > Duration::from_millis(1000), "fenced within its lease: {took:?}");
    for (id, node) in &cluster.nodes {
        assert!(node.metadata.image().is_active(BrokerId(*id)), "nobody else is fenced");
    }
    println!("fenced after {took:?}");

    cluster.start(dead).await;
    cluster.everywhere(|image| has(image, "during")).await;
    cluster.enlist(dead).await;
    cluster.everywhere(|image| image.is_active(BrokerId(dead))).await;
    cluster.assert_one_image().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_of_all_nodes_costs_nothing() {
    let mut cluster = Cluster::active(3).await;
    let create = Command::CreateTopic(CreateTopic {
        name: TopicName::new("t").unwrap(),
        id: TopicId::from_bytes([1; 16]),
        assignment: vec![vec![BrokerId(2), BrokerId(3), BrokerId(1)]],
        configs: [("min.insync.replicas".to_owned(), "2".to_owned())].into(),
        first_epoch: LeaderEpoch(0),
    });
    cluster.node(3).submit(create).await.unwrap();
    cluster.node(1).submit(set("kept", "v")).await.unwrap();
    let before = cluster.node(1).image();
    for id in 1..=3 {
        cluster.kill(id).await;
    }
    for id in 1..=3 {
        cluster.start(id).await;
    }
    cluster.everywhere(|image| has(image, "kept")).await;
    let after = cluster.node(2).image();
    assert_eq!((&after.cluster_id, &after.broker_configs), (&before.cluster_id, &before.broker_configs));
    let began = RealClock.now();
    for id in 1..=3 {
        cluster.enlist(id).await;
    }
    let image = cluster.node(1).image();
    let partition = image.topics.values().next().unwrap().partitions[0].clone();
    assert!(partition.leader.is_some() && partition.unclean.is_none(), "{partition:?}");
    println!("all active after {:?}", RealClock.now().since(began));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_runs_out_on_the_minority_side_before_the_majority_fences() {
    let cluster = Cluster::formed_at_leisure(3).await.enlisted(3).await;
    let leader = cluster.leader().await;
    let lonely = cluster.node(leader);
    let majority = (1..=3).filter(|id| *id != leader).map(|id| cluster.node(id).lease());
    let watch = LeaseWatch::new(majority.collect());
    let cut = RealClock.now();
    for id in (1..=3).filter(|id| *id != leader) {
        cluster.network.cut(BrokerId(leader), BrokerId(id));
    }
    let witness = (1..=3).find(|id| *id != leader).unwrap();
    let mut images = cluster.node(witness).subscribe();
    soon("the majority fences", images.wait_for(|image| !image.is_active(BrokerId(leader)))).await.unwrap();
    let fenced = RealClock.now();
    // The others got theirs renewed by the new leader in time, though the old one has just fallen silent.
    watch.assert_unbroken();
    assert!(!lonely.lease().holds(fenced), "a fenced broker still held its lease");
    assert!(lonely.lease().until() <= cut + cluster.lease);
    assert!(lonely.image().is_active(BrokerId(leader)), "it does not know");

    for id in (1..=3).filter(|id| *id != leader) {
        cluster.network.heal(BrokerId(leader), BrokerId(id));
    }
    cluster.everywhere(|image| (1..=3).all(|id| image.is_active(BrokerId(id)))).await;
    soon("the lease is back", async {
        while !lonely.lease().holds(RealClock.now()) {
            RealClock.sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Else who stood still between the two would hold a lease that nobody else counts with. In virtual time: no other leader is elected
/// meanwhile, to which the way would be shorter.
#[tokio::test(start_paused = true)]
async fn a_lease_runs_from_when_it_was_asked_for() {
    let cluster = Cluster::in_virtual_time(3).form(3).await.enlisted(3).await;
    let leader = cluster.leader().await;
    let follower = (1..=3).find(|id| *id != leader).unwrap();
    let way = Duration::from_millis(60);
    cluster.network.delay(BrokerId(leader), BrokerId(follower), way);
    let (clock, lease) = (&cluster.env.clock, cluster.node(follower).lease());
    let (mut last, mut renewed) = (lease.until(), 0);
    soon("five renewals", async {
        while renewed < 5 {
            clock.sleep(Duration::from_millis(5)).await;
            let until = lease.until();
            let latest = clock.now() + cluster.lease;
            renewed += usize::from(until != last);
            last = until;
            // The first ones may have been on their way before.
            assert!(
                renewed < 3 || until + way <= latest,
                "renewal {renewed}: {until:?} + {way:?}, {latest:?}"
            );
        }
    })
    .await;
    assert_eq!(cluster.leader().await, leader, "or nothing was measured");
}

/// Looks at leases again and again.
struct LeaseWatch {
    broken: Arc<AtomicBool>,
    watching: tokio::task::JoinHandle<()>,
}

impl LeaseWatch {
    fn new(leases: Vec<Lease>) -> LeaseWatch {
        let broken = Arc::new(AtomicBool::new(false));
        let found = broken.clone();
        let watching = tokio::spawn(async move {
            loop {
                if !leases.iter().all(|lease| lease.holds(RealClock.now())) {
                    found.store(true, Ordering::Relaxed);
                }
                RealClock.sleep(Duration::from_millis(10)).await;
            }
        });
        LeaseWatch { broken, watching }
    }

    fn assert_unbroken(self) {
        self.watching.abort();
        assert!(!self.broken.load(Ordering::Relaxed), "a lease ran out");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_leader_fences_nobody_and_no_lease_runs_out() {
    let cluster = Cluster::formed_at_leisure(3).await.enlisted(3).await;
    let watch = LeaseWatch::new(cluster.nodes.values().map(|n| n.metadata.lease()).collect());
    for _ in 0..3 {
        let leader = cluster.leader().await;
        let next = leader % 3 + 1;
        cluster.node(next).core().raft.trigger().elect().await.unwrap();
        RealClock.sleep(Duration::from_millis(1500)).await;
        cluster.leader().await;
    }
    watch.assert_unbroken();
    cluster.everywhere(|image| (1..=3).all(|id| image.is_active(BrokerId(id)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submission_that_is_sent_twice_is_applied_once() {
    let cluster = Cluster::active(1).await;
    let metadata = cluster.node(1);
    let submission = |sequence, answered_below| Submission {
        origin: Incarnation::from_bytes([77; 16]),
        sequence,
        answered_below,
        only_in_term: None,
        command: Command::AllocateProducerIds {
            broker: BrokerId(1),
            epoch: metadata.broker_epoch(),
            count: 10,
        },
    };
    let core = metadata.core();
    // Where the disk was slow it is sent once more, which changes nothing.
    let write = |s: Submission| {
        soon("an outcome", async move {
            loop {
                match core.write(s.clone()).await {
                    Answer::Outcome(outcome) => return outcome,
                    Answer::Failed(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        })
    };
    let first = write(submission(0, 0)).await;
    assert_eq!(write(submission(0, 0)).await, first, "the retry gets the first answer");
    assert_eq!(metadata.image().next_producer_id, 10);
    write(submission(1, 1)).await;
    assert_eq!(write(submission(0, 0)).await, Outcome::Abandoned, "nobody waits for it any more");
    assert_eq!(metadata.image().next_producer_id, 20);
    let mut late = submission(2, 2);
    late.only_in_term = Some(0);
    assert_eq!(write(late).await, Outcome::TermOver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_with_a_live_node_id_is_refused() {
    let mut cluster = Cluster::formed(1).await;
    cluster.kill(1).await;
    (cluster.lease, cluster.session_timeout) = (Duration::from_millis(400), Duration::from_millis(600));
    let metadata = cluster.start(1).await;
    cluster.enlist(1).await;
    let stranger = cluster.registration(1, Proof::Unclean { previous: None });
    let refused = soon("a refusal", metadata.register(stranger)).await;
    assert!(
        matches!(refused, Err(MetadataError::Refused(CommandError::DuplicateBroker(BrokerId(1))))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_no_voter_gets_the_image_and_may_register() {
    let mut cluster = Cluster::formed(1).await;
    let learner = cluster.start(2).await;
    cluster.everywhere(|image| !image.cluster_id.is_empty()).await;
    cluster.enlist(2).await;
    assert!(learner.lease().holds(RealClock.now()));
    learner.submit(set("from-the-learner", "v")).await.unwrap();
    cluster.assert_one_image().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_come_and_go_while_the_quorum_runs() {
    let limit = Duration::from_secs(20);
    let mut cluster = Cluster::formed(3).await;
    let joined = cluster.start(4).await;
    cluster.enlist(4).await;
    let voters = |state: &QuorumState| -> Vec<i32> {
        state.members.iter().filter(|m| m.votes).map(|m| m.broker.0).collect()
    };
    let add = |id: i32| VoterChange::Add { broker: BrokerId(id), store: None };
    let remove = |id: i32| VoterChange::Remove { broker: BrokerId(id), store: None };
    assert_eq!(voters(&joined.quorum(limit).await.unwrap()), [1, 2, 3]);
    joined.change_voters(add(4), limit).await.unwrap();
    assert_eq!(voters(&joined.quorum(limit).await.unwrap()), [1, 2, 3, 4]);
    assert_eq!(joined.change_voters(add(4), limit).await, Err(VoterError::Duplicate(BrokerId(4))));
    assert!(matches!(joined.change_voters(add(9), limit).await, Err(VoterError::NotFound(..))));
    let other_store = VoterChange::Remove { broker: BrokerId(4), store: Some(7) };
    assert!(matches!(joined.change_voters(other_store, limit).await, Err(VoterError::NotFound(..))));
    assert!(matches!(
        joined.change_voters(VoterChange::Forget(BrokerId(4)), limit).await,
        Err(VoterError::Refused(_))
    ));

    // The leader itself goes, and another leads.
    let leader = joined.quorum(limit).await.unwrap().leader.0;
    joined.change_voters(remove(leader), limit).await.unwrap();
    let after = soon("another leads", async {
        loop {
            match joined.quorum(limit).await {
                Ok(state) if state.leader.0 != leader => return state,
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert!(!voters(&after).contains(&leader) && voters(&after).len() == 3, "{after:?}");
    // It goes on as a learner.
    cluster.node(4).submit(set("without-its-vote", "v")).await.unwrap();
    cluster.everywhere(|image| has(image, "without-its-vote")).await;

    // Two of the three that vote now are a majority; with the one that went there would be none.
    let others: Vec<i32> = voters(&after).into_iter().filter(|id| *id != 4).collect();
    cluster.kill(leader).await;
    cluster.kill(others[0]).await;
    cluster.node(4).submit(set("by-two-of-three", "v")).await.unwrap();
    joined.change_voters(remove(others[0]), limit).await.unwrap();
    joined.change_voters(remove(others[1]), limit).await.unwrap();
    assert!(
        matches!(joined.change_voters(remove(4), limit).await, Err(VoterError::Refused(_))),
        "the last one"
    );
    joined.change_voters(VoterChange::Forget(BrokerId(leader)), limit).await.unwrap();
    let state = joined.quorum(limit).await.unwrap();
    assert_eq!(voters(&state), [4]);
    assert!(state.members.iter().all(|m| m.broker.0 != leader), "{state:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_dead_and_behind_gets_no_vote_and_the_quorum_survives_the_next_kill() {
    let mut cluster = Cluster::formed(3).await;
    cluster.start(4).await;
    cluster.enlist(4).await;
    cluster.node(4).submit(set("before", "v")).await.unwrap();
    cluster.kill(4).await;
    let node = cluster.node(1);
    for number in 0..130 {
        node.submit(set("while-it-is-dead", &number.to_string())).await.unwrap();
    }
    let add = VoterChange::Add { broker: BrokerId(4), store: None };
    let added = node.change_voters(add, Duration::from_millis(300)).await;
    assert!(matches!(added, Err(VoterError::Refused(_))), "{added:?}");
    // Of four voters two would be no majority.
    cluster.kill(2).await;
    node.submit(set("by-two-of-three", "v")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_lost_its_disk_begins_no_second_cluster_and_gets_a_snapshot() {
    let mut cluster = Cluster::formed(3).await;
    cluster.node(1).submit(set("kept", "v")).await.unwrap();
    cluster.kill(1).await;
    let leader = cluster.leader().await;
    let formed = cluster.node(leader).image().cluster_id.clone();
    RealDisk.remove_dir_all(&cluster.dir(1)).unwrap();

    // The others have forgotten the beginning of the log.
    let raft = cluster.node(leader).core().raft.clone();
    raft.trigger().snapshot().await.unwrap();
    let snapshot = raft.wait(None).metrics(|m| m.snapshot.is_some(), "a snapshot").await.unwrap();
    let up_to = snapshot.snapshot.unwrap().index;
    cluster.node(leader).submit(set("behind-the-snapshot", "v")).await.unwrap();
    raft.trigger().purge_log(up_to).await.unwrap();
    raft.wait(None).metrics(|m| m.purged.is_some(), "a purged log").await.unwrap();

    let metadata = cluster.start(1).await;
    cluster.everywhere(|image| has(image, "behind-the-snapshot")).await;
    assert!(has(&metadata.image(), "kept"));
    assert_eq!(metadata.image().cluster_id, formed);
    cluster.assert_one_image().await;
    // The snapshot that came is kept.
    cluster.kill(1).await;
    cluster.start(1).await;
    cluster.everywhere(|image| has(image, "kept")).await;
}

/// All nodes stop, the store of node 3 is wiped, and 1 and 3 come back without 2. What a command then gives.
async fn submitted_without_the_only_whole_majority(
    identities: Option<u64>,
) -> (Cluster, Result<CommandReply, SubmitError>) {
    let mut cluster = Cluster::new(3);
    if let Some(number) = identities {
        cluster.env.rng = Arc::new(SameNumber(number));
    }
    let mut cluster = cluster.form(3).await;
    cluster.node(1).submit(set("kept", "v")).await.unwrap();
    cluster.everywhere(|image| has(image, "kept")).await;
    for id in 1..=3 {
        cluster.kill(id).await;
    }
    RealDisk.remove_dir_all(&cluster.dir(3)).unwrap();
    let hasty = MetadataConfig { submit_timeout: Duration::from_secs(3), ..cluster.config(1) };
    let first = cluster.start_with(hasty).await.unwrap();
    cluster.start(3).await;
    let outcome = first.submit(set("by-a-vote-that-nobody-had", "v")).await;
    (cluster, outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_lost_its_store_neither_votes_nor_counts_until_it_has_caught_up() {
    let (mut cluster, outcome) = submitted_without_the_only_whole_majority(None).await;
    assert!(matches!(outcome, Err(SubmitError::Unavailable(_))), "{outcome:?}");
    cluster.start(2).await;
    cluster.node(2).submit(set("later", "v")).await.unwrap();
    cluster.everywhere(|image| has(image, "kept") && has(image, "later")).await;
    // It gets its place back, and is a majority with 2 then.
    let returned = cluster.node(3).core().member;
    let raft = cluster.node(2).core().raft.clone();
    let is_voter = |m: &crate::metadata::raft::Metrics| {
        let membership = m.membership_config.membership();
        membership.get_joint_config().len() == 1
            && membership.voter_ids().any(|id| id == returned)
            && membership.nodes().count() == 3
    };
    raft.wait(Some(Duration::from_secs(30))).metrics(is_voter, "the lost voter is replaced").await.unwrap();
    cluster.kill(1).await;
    cluster.node(3).submit(set("without-1", "v")).await.unwrap();
    cluster.everywhere(|image| has(image, "without-1")).await;
}

/// The positive control: with one identity for all stores the wiped one votes in the lost one's name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_identities_a_voter_that_lost_its_store_would_count() {
    let (_, outcome) = submitted_without_the_only_whole_majority(Some(7 << 32)).await;
    assert_eq!(outcome, Ok(CommandReply::Done));
}

/// Draws the same number each time; all else is random.
struct SameNumber(u64);

impl Rng for SameNumber {
    fn fill(&self, buffer: &mut [u8]) {
        RealRng.fill(buffer);
    }

    fn next_u64(&self) -> u64 {
        self.0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_damaged_log_does_not_start_and_the_others_go_on() {
    let mut cluster = Cluster::formed(3).await;
    cluster.node(1).submit(set("needle-in-the-log", "v")).await.unwrap();
    cluster.everywhere(|image| has(image, "needle-in-the-log")).await;
    cluster.kill(3).await;
    let path = cluster.dir(3).join("metadata.redb");
    let bytes = RealDisk.read(&path).unwrap();
    let file = RealDisk.open(&path, OpenMode::ReadWrite).unwrap();
    let needle = b"needle-in-the-log";
    let at = (0..bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(needle));
    at.for_each(|at| file.write_all_at(b"N", at as u64).unwrap());
    let config = cluster.config(3);
    let refused = cluster.start_with(config).await.err();
    assert!(matches!(refused, Some(MetadataError::Store(StoreError::Damaged { .. }))), "{refused:?}");
    cluster.nodes.remove(&3);
    cluster.node(1).submit(set("later", "v")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_of_another_cluster_is_refused() {
    let mut cluster = Cluster::formed(1).await;
    cluster.kill(1).await;
    let config = MetadataConfig { cluster_id: Some("another".to_owned()), ..cluster.config(1) };
    let metadata = cluster.start_with(config).await.unwrap();
    let registration = cluster.registration(1, Proof::Unclean { previous: None });
    let refused = soon("a refusal", metadata.register(registration)).await;
    assert!(matches!(refused, Err(MetadataError::OtherCluster { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_configuration_that_contradicts_itself_is_refused() {
    let mut cluster = Cluster::new(1);
    let voters = vec![(BrokerId(1), "a:1".to_owned()), (BrokerId(1), "b:1".to_owned())];
    for config in [
        MetadataConfig { voters: Vec::new(), ..cluster.config(1) },
        MetadataConfig { voters, ..cluster.config(1) },
        MetadataConfig { node_id: BrokerId(-1), ..cluster.config(1) },
        MetadataConfig { peer_address: String::new(), ..cluster.config(2) },
        MetadataConfig { session_timeout: Duration::from_millis(500), ..cluster.config(1) },
    ] {
        assert!(matches!(cluster.start_with(config).await, Err(MetadataError::Config(_))));
    }
}

struct Echo;

impl ControlHandler for Echo {
    fn answer(&self, peer: BrokerId, request: Bytes) -> BoxFuture<'static, Bytes> {
        Box::pin(async move { Bytes::from([format!("{peer}:").as_bytes(), &request].concat()) })
    }

    fn log_ends(&self, partitions: Vec<(TopicId, i32)>) -> BoxFuture<'static, Vec<Option<LogEnd>>> {
        Box::pin(async move { vec![Some((LeaderEpoch(0), Offset(7))); partitions.len()] })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_rooms_answer_their_own_control_requests() {
    let cluster = Cluster::formed(2).await;
    let limit = Duration::from_secs(5);
    assert_eq!(cluster.node(1).call(BrokerId(2), b"x", limit).await.unwrap(), "", "nobody answers yet");
    cluster.node(2).handle_control(Arc::new(Echo));
    assert_eq!(cluster.node(1).call(BrokerId(2), b"x", limit).await.unwrap(), "1:x");
    assert_eq!(cluster.node(2).call(BrokerId(2), b"x", limit).await.unwrap(), "2:x");
    assert!(cluster.node(1).call(BrokerId(9), b"x", limit).await.is_err());
}

/// Creates a topic of one partition that may be led unclean, and leaves one member in its ISR.
async fn only_in_sync(metadata: &Metadata, replicas: &[BrokerId], only: BrokerId) {
    let id = TopicId::from_bytes([1; 16]);
    let create = Command::CreateTopic(CreateTopic {
        name: TopicName::new("t").unwrap(),
        id,
        assignment: vec![replicas.to_vec()],
        configs: [("unclean.leader.election.enable".to_owned(), "true".to_owned())].into(),
        first_epoch: LeaderEpoch(0),
    });
    metadata.submit(create).await.unwrap();
    let image = metadata.image();
    let partition = image.topics.values().next().unwrap().partitions[0].clone();
    let member = |broker: BrokerId| IsrMember { broker, epoch: image.brokers[&broker].epoch };
    let shrink = Command::AlterPartition(AlterPartition {
        topic: id,
        partition: 0,
        leader: member(partition.leader.unwrap()),
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        isr: vec![member(only)],
        lost: Vec::new(),
    });
    metadata.submit(shrink).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_nobody_may_lead_is_elected_unclean_where_the_topic_allows_it() {
    let mut cluster = Cluster::active(3).await;
    for node in cluster.nodes.values() {
        node.metadata.handle_control(Arc::new(Echo));
    }
    let leader = cluster.leader().await;
    let [lost, heir] = [leader % 3 + 1, (leader + 1) % 3 + 1];
    let metadata = cluster.node(leader);
    only_in_sync(&metadata, &[BrokerId(lost), BrokerId(heir)], BrokerId(lost)).await;
    cluster.kill(lost).await;
    let mut images = metadata.subscribe();
    let elected = |image: &Arc<Image>| {
        let partition = &image.topics.values().next().unwrap().partitions[0];
        partition.leader == Some(BrokerId(heir))
    };
    let image = soon("an unclean election", images.wait_for(elected)).await.unwrap().clone();
    let unclean = image.topics.values().next().unwrap().partitions[0].unclean.unwrap();
    assert_eq!(unclean.log_end, Some(Offset(7)));
}

/// Says where its log ends once it may.
struct Slow {
    asked: Arc<AtomicUsize>,
    may_answer: watch::Receiver<bool>,
    end: Offset,
}

impl ControlHandler for Slow {
    fn answer(&self, _: BrokerId, _: Bytes) -> BoxFuture<'static, Bytes> {
        Box::pin(async { Bytes::new() })
    }

    fn log_ends(&self, partitions: Vec<(TopicId, i32)>) -> BoxFuture<'static, Vec<Option<LogEnd>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (mut may_answer, end) = (self.may_answer.clone(), self.end);
        Box::pin(async move {
            may_answer.wait_for(|may| *may).await.expect("the sender is held");
            vec![Some((LeaderEpoch(0), end)); partitions.len()]
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unclean_election_waits_for_an_active_replica_that_is_slow_and_has_the_longest_copy() {
    let mut cluster = Cluster::active(3).await;
    let leader = cluster.leader().await;
    let [lost, slow] = [leader % 3 + 1, (leader + 1) % 3 + 1];
    // The Raft leader has a short copy, and says so at once.
    let asked = Arc::new(AtomicUsize::new(0));
    let (go, may_answer) = watch::channel(false);
    let (_always, at_once) = watch::channel(true);
    let handler = |may_answer: &watch::Receiver<bool>, end: i64| {
        Arc::new(Slow { asked: asked.clone(), may_answer: may_answer.clone(), end: Offset(end) })
    };
    cluster.node(leader).handle_control(handler(&at_once, 7));
    cluster.node(slow).handle_control(handler(&may_answer, 9));
    let replicas = [lost, leader, slow].map(BrokerId);
    only_in_sync(&cluster.node(leader), &replicas, BrokerId(lost)).await;
    cluster.kill(lost).await;
    let metadata = cluster.node(leader);
    let elected = || metadata.image().topics.values().next().unwrap().partitions[0].leader;
    soon("rounds in which one is silent", async {
        while asked.load(Ordering::SeqCst) < 5 && elected().is_none_or(|id| id == BrokerId(lost)) {
            cluster.env.clock.sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    go.send_replace(true);
    let mut images = metadata.subscribe();
    let others = |image: &Arc<Image>| image.topics.values().next().unwrap().partitions[0].unclean.is_some();
    let image = soon("an unclean election", images.wait_for(others)).await.unwrap().clone();
    let partition = &image.topics.values().next().unwrap().partitions[0];
    assert_eq!(
        (partition.leader, partition.unclean.unwrap().log_end),
        (Some(BrokerId(slow)), Some(Offset(9)))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_a_command_is_unavailable_and_later_it_is_not() {
    let mut cluster = Cluster::new(3);
    let config = MetadataConfig { submit_timeout: Duration::from_millis(500), ..cluster.config(1) };
    let metadata = cluster.start_with(config).await.unwrap();
    assert!(matches!(metadata.submit(set("k", "v")).await, Err(SubmitError::Unavailable(_))));
    cluster.start(2).await;
    cluster.start(3).await;
    cluster.everywhere(|image| !image.cluster_id.is_empty()).await;
    metadata.submit(set("k", "v")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_a_clock_is_far_off_is_told_once_whenever_it_jumps() {
    // Nobody is registered, so nothing else says what time it is.
    let cluster = Cluster::formed(1).await;
    let (core, hour_ms) = (cluster.node(1).core().clone(), 3_600_000);
    let hears = || core.note_time(cluster.env.clock.wall_ms());
    assert_eq!((hears(), hears()), (None, None));
    cluster.nodes[&1].ahead_ms.store(hour_ms, Ordering::Relaxed);
    assert_eq!((hears(), hears()), (Some(true), None));
    cluster.nodes[&1].ahead_ms.store(0, Ordering::Relaxed);
    assert_eq!((hears(), hears()), (Some(false), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_whose_clock_is_far_off_has_no_time_to_delete_by_and_the_others_have_the_right_one() {
    let hour_ms = 3_600_000;
    let mut cluster = Cluster::new(3);
    cluster.lease = Duration::from_millis(3500);
    cluster.session_timeout = Duration::from_millis(5000);
    for (id, ahead_ms) in [(1, hour_ms), (2, 2000), (3, 0)] {
        cluster.ahead_ms = ahead_ms;
        cluster.start(id).await;
    }
    cluster.everywhere(|image| !image.cluster_id.is_empty()).await;
    let cluster = cluster.enlisted(3).await;
    // Whoever leads the quorum, be it the one whose clock is wrong.
    soon("the median of three", async {
        loop {
            let right_ms = cluster.env.clock.wall_ms();
            let near = |id| {
                cluster
                    .node(id)
                    .retention_ms()
                    .is_some_and(|ms: i64| (0..60_000).contains(&(ms - right_ms + 20_000)))
            };
            if near(2) && near(3) && cluster.node(1).retention_ms().is_none() {
                break;
            }
            cluster.env.clock.sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
