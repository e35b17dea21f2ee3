//! A partition gets other replicas while it is written: nothing is lost, the old copies go, the throttle holds back only
//! what is not in sync.

use std::collections::BTreeMap;

use super::*;
use crate::types::BrokerId;

fn reassign(cluster: &Cluster, target: Option<&[i32]>) {
    let target = target.map(|ids| ids.iter().map(|id| BrokerId(*id)).collect());
    cluster.truth.ok(&Command::Reassign { topic: TOPIC, partition: 0, target });
}

fn replicas(cluster: &Cluster) -> Vec<i32> {
    cluster.truth.partition().replicas.iter().map(|replica| replica.broker.0).collect()
}

/// Four brokers, the partition on the first two.
async fn on_two_of_four(configs: &[(&str, &str)]) -> Cluster {
    let mut cluster = Cluster::new();
    for id in 1..=4 {
        cluster.start(id, SimDisk::new(), Proof::Unclean { previous: None });
    }
    cluster.create_topic_on(&[1, 2], configs).await;
    cluster.leads(1).await;
    cluster
}

fn is_hosted(cluster: &Cluster, id: i32) -> bool {
    cluster.nodes[&id].manager.replica_by_id(TOPIC, 0).is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_replicas_are_exchanged_while_appends_go_on_and_nothing_is_lost() {
    let cluster = on_two_of_four(&[("min.insync.replicas", "2")]).await;
    let mut end = 0;
    for _ in 0..50 {
        end = cluster.append(1, Acks::All, &["before"]).await.unwrap().last.next().0;
    }
    reassign(&cluster, Some(&[3, 4]));
    // Whoever leads takes them; an append that was not answered may be in the log all the same.
    let mut acknowledged = 0;
    while replicas(&cluster) != [3, 4] || acknowledged < 20 {
        let leader = cluster.truth.partition().leader.unwrap().0;
        let Some(replica) = cluster.nodes[&leader].manager.replica_by_id(TOPIC, 0) else { continue };
        if let Ok(appended) = replica.append(batch(&["while"]), Acks::All, cluster.deadline()).await {
            assert!(appended.base.0 >= end, "{} comes after {end}", appended.base);
            end = appended.last.next().0;
            acknowledged += 1;
        } else {
            cluster.env.clock.sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    cluster.isr_is(&[3, 4]).await;
    cluster.leads(3).await;
    end = cluster.append(3, Acks::All, &["after"]).await.unwrap().last.next().0;
    cluster.agree(&[3, 4], end).await;
    for id in [1, 2] {
        eventually("the old copy is gone", || !is_hosted(&cluster, id)).await;
        let folder = |p: &&std::path::PathBuf| p.to_string_lossy().contains("/t-0/");
        eventually("so is its folder", || {
            cluster.nodes[&id].disk.snapshot().keys().filter(folder).count() == 0
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_reassignment_leaves_the_old_replicas_and_no_trace_of_the_new() {
    let cluster = on_two_of_four(&[]).await;
    cluster.append(1, Acks::All, &["a"]).await.unwrap();
    cluster.network.cut(BrokerId(1), BrokerId(4));
    reassign(&cluster, Some(&[3, 4]));
    eventually("3 is in sync", || cluster.truth.partition().isr.contains(&BrokerId(3))).await;
    reassign(&cluster, None);
    cluster.isr_is(&[1, 2]).await;
    for id in [3, 4] {
        eventually("nothing is left", || !is_hosted(&cluster, id)).await;
    }
    let end = cluster.append(1, Acks::All, &["b"]).await.unwrap().last.next().0;
    cluster.agree(&[1, 2], end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_throttle_holds_back_a_replica_that_is_not_in_sync_and_no_other() {
    let mut cluster = on_two_of_four(&[("leader.replication.throttled.replicas", "0:1")]).await;
    cluster.tail_budget_bytes = 0;
    let set = |rate: Option<&str>| {
        let key = "leader.replication.throttled.rate".to_owned();
        let changes = BTreeMap::from([(key, rate.map(str::to_owned))]);
        cluster.truth.ok(&Command::AlterBrokerConfig { broker: Some(BrokerId(1)), changes });
    };
    set(Some("1"));
    let large = "x".repeat(700_000);
    for _ in 0..4 {
        cluster.append(1, Acks::All, &[&large]).await.unwrap();
    }
    reassign(&cluster, Some(&[1, 2, 3]));
    eventually("it has begun", || {
        cluster.nodes[&3].manager.replica_by_id(TOPIC, 0).is_some_and(|r| r.positions().log_end.0 > 0)
    })
    .await;
    // In sync, and as fast as ever.
    let mut end = 0;
    for _ in 0..20 {
        end = cluster.append(1, Acks::All, &["in sync"]).await.unwrap().last.next().0;
    }
    assert!(cluster.replica(3).positions().log_end.0 < 4, "one byte a second");
    assert_eq!(replicas(&cluster), [1, 2, 3]);
    set(None);
    cluster.isr_is(&[1, 2, 3]).await;
    cluster.agree(&[1, 2, 3], end).await;
}
