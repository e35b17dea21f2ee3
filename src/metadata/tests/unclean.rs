//! Unclean elections as the Raft leader drives them: what waits for good holds nothing else up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::rig::{Cluster, soon};
use crate::metadata::*;
use crate::types::*;

/// Says where its copy of one partition ends, and that it has none of the others; or nothing at all.
struct Copies {
    of: Option<i32>,
}

impl ControlHandler for Copies {
    fn answer(&self, _: BrokerId, _: Bytes) -> BoxFuture<'static, Bytes> {
        Box::pin(async { Bytes::new() })
    }

    fn log_ends(&self, partitions: Vec<(TopicId, i32)>) -> BoxFuture<'static, Vec<Option<LogEnd>>> {
        let of = self.of;
        Box::pin(async move {
            let Some(of) = of else { return std::future::pending().await };
            let end = |(_, partition)| (partition == of).then_some((LeaderEpoch(0), Offset(7)));
            partitions.into_iter().map(end).collect()
        })
    }
}

/// A topic of these replicas, which may be led unclean; the first one alone is in sync, and it is dead. The second one is alive.
async fn without_whom_is_in_sync(
    cluster: &mut Cluster,
    partitions: usize,
    replicas: [i32; 2],
    copies: Option<i32>,
) {
    let [lost, heir] = replicas;
    let leader = cluster.leader().await;
    let create = Command::CreateTopic(CreateTopic {
        name: TopicName::new("t").unwrap(),
        id: TopicId::from_bytes([1; 16]),
        assignment: vec![replicas.map(BrokerId).to_vec(); partitions],
        configs: [("unclean.leader.election.enable".to_owned(), "true".to_owned())].into(),
        first_epoch: LeaderEpoch(0),
    });
    cluster.node(leader).submit(create).await.unwrap();
    cluster.kill(heir).await;
    cluster.everywhere(|image| !image.is_active(BrokerId(heir))).await;
    cluster.start(heir).await.handle_control(Arc::new(Copies { of: copies }));
    cluster.enlist(heir).await;
    cluster.kill(lost).await;
    cluster.everywhere(|image| !image.is_active(BrokerId(lost))).await;
    assert_eq!(cluster.leader().await, leader);
    let image = cluster.node(leader).image();
    assert_eq!(image.topics.values().next().unwrap().partitions[0].leader, None);
    assert!(image.is_active(BrokerId(heir)));
}

#[tokio::test(start_paused = true)]
async fn partitions_without_a_candidate_do_not_keep_the_next_ones_from_their_elections() {
    let mut cluster = Cluster::in_virtual_time(3).form(3).await.enlisted(3).await;
    let leader = cluster.leader().await;
    let [lost, heir] = [leader % 3 + 1, (leader + 1) % 3 + 1];
    without_whom_is_in_sync(&mut cluster, 1001, [lost, heir], Some(1000)).await;
    let mut images = cluster.node(leader).subscribe();
    let leaders = |image: &Image| -> Vec<Option<BrokerId>> {
        image.topics.values().next().unwrap().partitions.iter().map(|p| p.leader).collect()
    };
    let is_elected = |image: &Arc<Image>| leaders(image)[1000] == Some(BrokerId(heir));
    let image = soon("an unclean election", images.wait_for(is_elected)).await.unwrap().clone();
    assert_eq!(leaders(&image)[..1000], [None; 1000]);
}

/// In virtual time, at three moments of a second: rounds of unclean elections begin once a second, and take half of one where
/// somebody is silent.
#[tokio::test(start_paused = true)]
async fn dead_brokers_are_fenced_in_time_while_an_unclean_election_waits() {
    let mut cluster = Cluster::in_virtual_time(3).form(3).await;
    let dying = [4, 5, 6];
    for id in dying {
        cluster.start(id).await;
    }
    let mut cluster = cluster.enlisted(6).await;
    let leader = cluster.leader().await;
    let [lost, silent] = [leader % 3 + 1, (leader + 1) % 3 + 1];
    without_whom_is_in_sync(&mut cluster, 1, [lost, silent], None).await;
    let clock = cluster.env.clock.clone();
    let mut died = BTreeMap::new();
    for id in dying {
        died.insert(id, clock.now());
        cluster.kill(id).await;
        clock.sleep(Duration::from_millis(333)).await;
    }
    let (metadata, session) = (cluster.node(leader), cluster.session_timeout);
    while let Some((&id, &since)) = died.first_key_value() {
        let took = clock.now().since(since);
        assert!(took < session + Duration::from_millis(150), "broker {id} is not fenced after {took:?}");
        if metadata.image().is_active(BrokerId(id)) {
            clock.sleep(Duration::from_millis(5)).await;
        } else {
            died.remove(&id);
        }
    }
    assert_eq!(metadata.image().topics.values().next().unwrap().partitions[0].leader, None, "it still waits");
}
