//! What a replica knows of the tier, over elections that cut logs.

use super::rig::{Cluster, TOPIC, eventually};
use crate::env::sim::SimDisk;
use crate::metadata::{Command, IsrMember, Proof, UncleanCandidate};
use crate::replication::Acks;
use crate::replication::isr::TierPosition;
use crate::types::{BrokerId, LeaderEpoch, Offset};

/// Broker 2, which ends at 3, comes back when the others are away, and is elected.
async fn elect_uncleanly(cluster: &mut Cluster, disk: SimDisk, proof: Proof) {
    cluster.kill(1);
    cluster.fence(1);
    cluster.fence(3);
    cluster.start(2, disk, proof);
    let behind = UncleanCandidate {
        member: IsrMember { broker: BrokerId(2), epoch: cluster.epoch(2) },
        last_epoch: LeaderEpoch(0),
        log_end: Offset(3),
    };
    cluster.truth.ok(&Command::ElectUnclean {
        topic: TOPIC,
        partition: 0,
        partition_epoch: cluster.truth.partition().partition_epoch,
        candidates: vec![behind],
    });
    eventually("the one that was behind leads", || {
        cluster.nodes[&2].manager.replica_by_id(TOPIC, 0).is_some_and(|replica| replica.positions().leads())
    })
    .await;
}

/// The tier of the old leader covers offsets that the new one never had. Whoever was cut to the new one's log must not take what
/// comes in their place for covered: not as committed when it leads, and not as safe to delete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tier_of_a_chain_that_an_unclean_election_has_cut_off_is_forgotten() {
    let mut cluster = Cluster::with_topic(3, &[("unclean.leader.election.enable", "true")]).await;
    cluster.leads(1).await;
    cluster.isr_is(&[1, 2, 3]).await;
    cluster.append(1, Acks::All, &["a", "b", "c"]).await.unwrap();
    cluster.agree(&[1, 2, 3], 3).await;
    let (disk, proof) = cluster.kill(2);
    cluster.fence(2);
    for value in ["d", "e", "f", "g"] {
        cluster.append(1, Acks::All, &[value]).await.unwrap();
    }
    let tier = TierPosition { end: Offset(6), generation: 1 };
    let leader = cluster.replica(1);
    leader.set_tier(leader.positions().leader_epoch, tier);
    eventually("the tier's end is known", || cluster.replica(3).positions().tier == Some(tier)).await;

    elect_uncleanly(&mut cluster, disk, proof).await;
    let epoch = cluster.epoch(3);
    cluster.truth.ok(&Command::Unfence { id: BrokerId(3), epoch });
    eventually("the other is cut", || cluster.replica(3).positions().log_end == Offset(3)).await;
    for value in ["x", "y", "z", "u", "v"] {
        cluster.append(2, Acks::All, &[value]).await.unwrap();
    }
    cluster.isr_is(&[2, 3]).await;
    cluster.agree(&[2, 3], 8).await;
    assert_eq!(cluster.replica(3).positions().tier, None, "its log is long enough again, and another one");

    cluster.kill(2);
    cluster.fence(2);
    cluster.leads(3).await;
    assert_eq!(cluster.replica(3).positions().tier, None);
}

/// What its leader has cut off begins below all that it still has on its disk: it drops that, and takes the leader's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_cut_below_its_local_start_begins_anew() {
    // Nobody asks a store here: what the tier had is not what this is about.
    let configs = [("unclean.leader.election.enable", "true"), ("segment.bytes", "150")];
    let mut cluster = Cluster::with_topic(3, &configs).await;
    cluster.leads(1).await;
    cluster.isr_is(&[1, 2, 3]).await;
    cluster.append(1, Acks::All, &["a", "b", "c"]).await.unwrap();
    cluster.agree(&[1, 2, 3], 3).await;
    let (disk, proof) = cluster.kill(2);
    cluster.fence(2);
    for value in ["d", "e", "f", "g"] {
        cluster.append(1, Acks::All, &[value]).await.unwrap();
    }
    cluster.agree(&[1, 3], 7).await;
    let removal = cluster.replica(3).with_log(|log| log.delete_segments_below(Offset(6))).unwrap();
    removal.run().unwrap();
    let starts = || cluster.replica(3).with_log(|log| (log.log_start(), log.local_start()));
    assert!(starts().0 == Offset::ZERO && starts().1 > Offset(3), "{:?}", starts());

    elect_uncleanly(&mut cluster, disk, proof).await;
    let epoch = cluster.epoch(3);
    cluster.truth.ok(&Command::Unfence { id: BrokerId(3), epoch });
    for value in ["x", "y"] {
        cluster.append(2, Acks::Leader, &[value]).await.unwrap();
    }
    cluster.isr_is(&[2, 3]).await;
    cluster.agree(&[2, 3], 5).await;
    assert_eq!(cluster.replica(3).with_log(|log| log.log_start()), Offset::ZERO);
}
