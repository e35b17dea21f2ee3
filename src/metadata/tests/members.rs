//! Who stays a member of the quorum: changes of the voters that stop half way, and brokers that were taken out and come back.

use std::time::Duration;

use openraft::Membership;

use super::rig::{Cluster, has, set, soon};
use crate::metadata::*;
use crate::types::BrokerId;

const LIMIT: Duration = Duration::from_secs(20);

fn remove(id: i32) -> VoterChange {
    VoterChange::Remove { broker: BrokerId(id), store: None }
}

/// The leader, and the other two of three.
async fn three(cluster: &Cluster) -> [i32; 3] {
    let leader = cluster.leader().await;
    [leader, leader % 3 + 1, (leader + 1) % 3 + 1]
}

/// The first configuration at this node that is no joint one.
async fn settled(cluster: &Cluster, id: i32) -> Membership<u64, openraft::BasicNode> {
    let mut metrics = cluster.node(id).core().raft.metrics();
    let is_one =
        |m: &super::super::raft::Metrics| m.membership_config.membership().get_joint_config().len() == 1;
    let settled = soon("one configuration", metrics.wait_for(is_one)).await.unwrap();
    settled.membership_config.membership().clone()
}

async fn assert_goes_on_everywhere(cluster: &Cluster, by: i32) {
    cluster.node(by).submit(set("later", "v")).await.unwrap();
    cluster.everywhere(|image| has(image, "later")).await;
    cluster.assert_one_image().await;
}

/// The change waits for one that is dead, so that it is given up before its second step, and the leader itself finds it later.
#[tokio::test(start_paused = true)]
async fn who_loses_its_vote_by_a_change_that_stopped_half_way_goes_on_as_a_learner() {
    let mut cluster = Cluster::in_virtual_time(3).form(3).await.enlisted(3).await;
    let [leader, leaver, dead] = three(&cluster).await;
    let member = cluster.node(leaver).core().member;
    cluster.kill(dead).await;
    let changed = cluster.node(leader).change_voters(remove(leaver), LIMIT).await;
    assert!(matches!(changed, Err(VoterError::Unavailable(_))), "{changed:?}");
    cluster.start(dead).await;
    let membership = settled(&cluster, leader).await;
    assert!(membership.voter_ids().all(|voter| voter != member), "{membership}");
    assert!(membership.get_node(&member).is_some(), "it gets the log no more: {membership}");
    cluster.enlist(dead).await;
    assert_goes_on_everywhere(&cluster, leader).await;
    cluster.everywhere(|image| (1..=3).all(|id| image.is_active(BrokerId(id)))).await;
}

/// The same by another leader, when the one whose vote goes was the leader and has died.
#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_while_it_takes_its_own_vote_away_is_a_learner_when_it_returns() {
    let mut cluster = Cluster::in_virtual_time(3).form(3).await.enlisted(3).await;
    let [leader, next, dead] = three(&cluster).await;
    let member = cluster.node(leader).core().member;
    cluster.kill(dead).await;
    let changed = cluster.node(leader).change_voters(remove(leader), LIMIT).await;
    assert!(matches!(changed, Err(VoterError::Unavailable(_))), "{changed:?}");
    cluster.kill(leader).await;
    // Only who has the change in its log can lead.
    cluster.start(dead).await;
    assert_eq!(cluster.leader().await, next);
    let membership = settled(&cluster, next).await;
    assert!(membership.voter_ids().all(|voter| voter != member), "{membership}");
    assert!(membership.get_node(&member).is_some(), "it gets the log no more: {membership}");
    cluster.start(leader).await;
    assert_goes_on_everywhere(&cluster, next).await;
    for id in [dead, leader] {
        cluster.enlist(id).await;
    }
    cluster.everywhere(|image| (1..=3).all(|id| image.is_active(BrokerId(id)))).await;
}

/// Its own log says that it is a voter, or a learner: nothing told it otherwise.
#[tokio::test(start_paused = true)]
async fn a_broker_that_was_taken_out_and_is_started_on_its_old_disk_gets_the_log_again() {
    let mut cluster = Cluster::in_virtual_time(3).form(3).await;
    let [leader, voter, _] = three(&cluster).await;
    let learner = 4;
    cluster.start(learner).await;
    for id in 1..=4 {
        cluster.enlist(id).await;
    }
    for id in [voter, learner] {
        cluster.kill(id).await;
        if id == voter {
            cluster.node(leader).change_voters(remove(id), LIMIT).await.unwrap();
        }
        cluster.node(leader).change_voters(VoterChange::Forget(BrokerId(id)), LIMIT).await.unwrap();
        let members = cluster.node(leader).quorum(LIMIT).await.unwrap().members;
        assert!(members.iter().all(|member| member.broker != BrokerId(id)), "{members:?}");
    }
    for id in [voter, learner] {
        cluster.start(id).await;
    }
    cluster.node(leader).submit(set("later", "v")).await.unwrap();
    cluster.everywhere(|image| has(image, "later")).await;
    for id in [voter, learner] {
        cluster.enlist(id).await;
    }
    cluster.everywhere(|image| (1..=4).all(|id| image.is_active(BrokerId(id)))).await;
    let state = cluster.node(learner).quorum(LIMIT).await.unwrap();
    let votes: Vec<bool> = state.members.iter().map(|member| member.votes).collect();
    assert_eq!(votes.len(), 4, "{state:?}");
    assert_eq!(
        votes.iter().filter(|votes| **votes).count(),
        2,
        "a vote is given by add-voter alone: {state:?}"
    );
    cluster.assert_one_image().await;
}
