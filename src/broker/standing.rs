//! Where partitions and groups stand, over the whole cluster: leaders and coordinators are asked, here or on their brokers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde::{Deserialize, Serialize};

use super::Broker;
use super::directories::are_stuck;
use super::peers::{PeerAnswer, PeerRequest, ask};
use crate::coordinator::Coordinators;
use crate::coordinator::group::consumer::DescribeConsumerGroup;
use crate::coordinator::group::{CONSUMER, DescribeGroup, FetchOffsets, ListGroups};
use crate::env::metrics::{GROUP_LAG_RECORDS, GROUP_LAG_SECONDS, GROUPS, Snapshot};
use crate::env::{Clock, timeout};
use crate::metadata::Metadata;
use crate::replication::{Isolation, Replica, ReplicaManager, ServedBy, Wanted};
use crate::types::{BrokerId, DirectoryId, Offset, TopicId, TopicName, TopicPartition};
use crate::wire::record_batch::BatchHeader;

/// How often the lag of groups is looked at for the metrics.
const LAG_INTERVAL: Duration = Duration::from_secs(30);
/// So long a log directory's disk is waited for.
const LONGEST_LOOK: Duration = Duration::from_secs(5);
/// Partitions of one question.
const MOST_PARTITIONS: usize = 10_000;

/// Where a partition stands, as its leader says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// First offset over both tiers.
    pub log_start: i64,
    /// First offset of the local files.
    pub local_start: i64,
    /// End of the cold tier; absent without one.
    pub tier_end: Option<i64>,
    /// First offset of the open segment.
    pub open_segment: i64,
    /// End of what read_committed may see.
    pub last_stable: i64,
    /// End of what every in-sync replica has.
    pub high_watermark: i64,
    /// End of the leader's log.
    pub log_end: i64,
    /// Bytes of the leader's local files.
    pub local_bytes: u64,
    /// The in-sync followers: broker, log end, and for how many milliseconds it has not had everything.
    pub followers: Vec<(BrokerId, i64, u64)>,
    /// How old the first record at the offset that was asked about is, in milliseconds; absent where there is none.
    pub age_ms: Option<i64>,
}

/// A group, as its coordinator says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStanding {
    /// Its id.
    pub group: String,
    /// Kafka's name of its state.
    pub state: String,
    /// Its protocol type; empty for a group that only keeps offsets.
    pub protocol_type: String,
    /// Member id, client id and host of each member.
    pub members: Vec<(String, String, String)>,
    /// Topic, partition and committed offset.
    pub offsets: Vec<(TopicName, i32, i64)>,
}

/// A partition, and an offset whose record's age is wanted.
pub(super) type Asked = (TopicName, i32, Option<i64>);

/// What a replica has on its own disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LocalCopy {
    /// First offset of its files.
    pub(super) start: i64,
    /// Its log end.
    pub(super) end: i64,
    /// Local retention may still take files that are in the tier.
    pub(super) is_tiered: bool,
}

/// What the replicas on this broker have, leading or not; `None` where there is none.
pub(super) fn copies_here(replicas: &ReplicaManager, asked: &[(TopicId, i32)]) -> Vec<Option<LocalCopy>> {
    let of = |(topic, partition): &(TopicId, i32)| {
        let replica = replicas.replica_by_id(*topic, *partition)?;
        // The config first: from when it says that the log is not tiered, local retention takes nothing more.
        let is_tiered = replica.log_summary().config.remote_storage_enable;
        let positions = replica.positions();
        Some(LocalCopy { start: positions.local_start.0, end: positions.log_end.0, is_tiered })
    };
    let mut found: Vec<Option<LocalCopy>> = asked.iter().take(MOST_PARTITIONS).map(of).collect();
    found.resize(asked.len(), None);
    found
}

/// What another broker's replica has; `None` where it did not say, as brokers of earlier versions do not.
pub(super) async fn copies_at(
    metadata: &Metadata,
    peer: BrokerId,
    topic: TopicId,
    partition: i32,
) -> Option<LocalCopy> {
    match ask(metadata, peer, &PeerRequest::Copies(vec![(topic, partition)])).await {
        Some(PeerAnswer::Copies(told)) => told.into_iter().next().flatten(),
        _ => None,
    }
}

/// What the partitions that this broker leads say; `None` for others. A log directory whose disk takes long says no ages.
pub(super) async fn standings_here(
    replicas: &Arc<ReplicaManager>,
    clock: &Arc<dyn Clock>,
    asked: Vec<Asked>,
) -> Vec<Option<Standing>> {
    let mut found: Vec<Option<Standing>> = Vec::with_capacity(asked.len());
    let mut wanted: BTreeMap<DirectoryId, Vec<(usize, Arc<Replica>, Offset)>> = BTreeMap::new();
    for (place, (topic, partition, offset)) in asked.into_iter().enumerate() {
        let replica = replicas.replica(&TopicPartition::new(topic, partition));
        let standing =
            replica.as_ref().filter(|_| place < MOST_PARTITIONS).and_then(|r| standing(r, &**clock));
        if let (Some(replica), Some(standing), Some(offset)) = (replica, &standing, offset)
            && offset < standing.high_watermark
        {
            wanted.entry(replica.directory()).or_default().push((place, replica, Offset(offset)));
        }
        found.push(standing);
    }
    let ages = wanted.into_iter().map(|(directory, wanted)| {
        let (threads, now) = (replicas.threads_of(directory), clock.clone());
        async move {
            if are_stuck(&threads) {
                return Vec::new();
            }
            let look = move || {
                let age = |(place, replica, offset)| (place, age_of_first(&replica, &*now, offset));
                wanted.into_iter().map(age).collect()
            };
            // The pool ends only with the process.
            timeout(&**clock, LONGEST_LOOK, threads.run(look))
                .await
                .ok()
                .and_then(Result::ok)
                .unwrap_or_default()
        }
    });
    for (place, age_ms) in join_all(ages).await.into_iter().flatten() {
        if let Some(standing) = &mut found[place] {
            standing.age_ms = age_ms;
        }
    }
    found
}

fn standing(replica: &Replica, clock: &dyn Clock) -> Option<Standing> {
    let positions = replica.positions();
    if !positions.leads() {
        return None;
    }
    let summary = replica.log_summary();
    let now = clock.now();
    let behind = |end: Offset, since| {
        if end >= positions.log_end { 0 } else { u64::try_from(now.since(since).as_millis()).unwrap_or(0) }
    };
    let followers =
        replica.in_sync_followers().iter().map(|f| (f.broker, f.end.0, behind(f.end, f.caught_up))).collect();
    Some(Standing {
        log_start: positions.log_start.0,
        local_start: positions.local_start.0,
        tier_end: positions.tier.map(|tier| tier.end.0),
        open_segment: summary.open_segment.0,
        last_stable: positions.last_stable.0,
        high_watermark: positions.high_watermark.0,
        log_end: positions.log_end.0,
        local_bytes: summary.bytes,
        followers,
        age_ms: None,
    })
}

/// How old the first record at an offset is, in milliseconds. Runs on a disk thread.
fn age_of_first(replica: &Arc<Replica>, clock: &dyn Clock, offset: Offset) -> Option<i64> {
    // Of what is only in the tier the oldest local record is the lower bound.
    let from = offset.max(replica.positions().local_start);
    let wanted = Wanted {
        from,
        max_bytes: 1,
        at_least_one: true,
        isolation: Isolation::ReadUncommitted,
        client_epoch: None,
        served_by: ServedBy::Leader,
    };
    let slice = replica.read(&wanted).ok()??;
    let header = BatchHeader::parse(&replica.load(&slice).ok()?).ok()?;
    Some((clock.wall_ms() - header.base_timestamp).max(0))
}

/// The groups that this broker coordinates; a coordinator that is loading has none yet.
pub(super) async fn groups_here(
    coordinators: &Coordinators,
    offsets_partitions: Option<i32>,
) -> Vec<GroupStanding> {
    let Some(partitions) = offsets_partitions else { return Vec::new() };
    let listed = coordinators.list(&ListGroups::default()).await.unwrap_or_default();
    let described = listed.into_iter().map(|listing| async move {
        let partition = Coordinators::partition_for(&listing.group, partitions);
        let members: Vec<(String, String, String)> = if listing.kind == CONSUMER {
            let question = DescribeConsumerGroup { group: listing.group.clone(), catalog: Arc::default() };
            let group = coordinators.ask(partition, question).await;
            let members = group.map(|group| group.members).unwrap_or_default().into_iter();
            members.map(|m| (m.member_id, m.client_id, m.client_host)).collect()
        } else {
            let group = coordinators.ask(partition, DescribeGroup(listing.group.clone())).await;
            let members = group.map(|group| group.members).unwrap_or_default().into_iter();
            members.map(|m| (m.member_id, m.client_id, m.client_host)).collect()
        };
        let wanted = FetchOffsets {
            group: listing.group.clone(),
            partitions: None,
            member: (None, -1),
            require_stable: false,
        };
        let offsets = coordinators.ask(partition, wanted).await.unwrap_or_default();
        GroupStanding {
            group: listing.group.to_string(),
            state: listing.state.to_owned(),
            protocol_type: listing.protocol_type,
            members,
            offsets: offsets
                .into_iter()
                .filter_map(|one| Some((one.topic, one.partition, one.committed?.offset.0)))
                .collect(),
        }
    });
    join_all(described).await
}

impl Broker {
    /// Where partitions stand, by their leaders; `None` where the leader did not say.
    pub async fn standings(&self, asked: Vec<Asked>) -> Vec<Option<Standing>> {
        let image = self.image();
        let mut by_leader: BTreeMap<BrokerId, Vec<usize>> = BTreeMap::new();
        for (i, (topic, partition, _)) in asked.iter().enumerate() {
            if let Some(leader) = image.partition(topic, *partition).and_then(|p| p.leader) {
                by_leader.entry(leader).or_default().push(i);
            }
        }
        let questions = by_leader.into_iter().map(|(leader, places)| {
            let wanted: Vec<Asked> = places.iter().map(|i| asked[*i].clone()).collect();
            async move {
                let told = if leader == self.node_id() {
                    standings_here(&self.replicas, &self.env.clock, wanted).await
                } else {
                    match ask(&self.metadata, leader, &PeerRequest::Stand(wanted)).await {
                        Some(PeerAnswer::Standings(told)) => told,
                        _ => Vec::new(),
                    }
                };
                (places, told)
            }
        });
        let mut found = vec![None; asked.len()];
        for (places, told) in join_all(questions).await {
            for (place, standing) in places.into_iter().zip(told) {
                found[place] = standing;
            }
        }
        found
    }

    /// All groups of the cluster, by their coordinators; those of a broker that does not answer are missing.
    pub async fn group_standings(&self) -> Vec<GroupStanding> {
        let image = self.image();
        let asked = image.brokers.keys().filter(|id| image.is_active(**id)).map(|id| async move {
            if *id == self.node_id() {
                return groups_here(&self.coordinators, self.offsets_partitions()).await;
            }
            match ask(&self.metadata, *id, &PeerRequest::Groups).await {
                Some(PeerAnswer::Groups(groups)) => groups,
                _ => Vec::new(),
            }
        });
        let mut groups: Vec<GroupStanding> = join_all(asked).await.into_iter().flatten().collect();
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        groups
    }

    fn offsets_partitions(&self) -> Option<i32> {
        offsets_partitions(&self.image())
    }

    /// Looks at the lag of the groups that this broker coordinates, again and again.
    pub(super) async fn run_group_lag(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.env.clock.sleep(LAG_INTERVAL) => {}
                () = self.stopping.stopped() => return,
            }
            let groups = groups_here(&self.coordinators, self.offsets_partitions()).await;
            let asked = groups.iter().flat_map(|g| &g.offsets);
            let asked = asked.map(|(topic, partition, offset)| (topic.clone(), *partition, Some(*offset)));
            let told = self.standings(asked.collect()).await;
            let mut lags: BTreeMap<(String, TopicName), Lag> = BTreeMap::new();
            let committed = groups.iter().flat_map(|g| g.offsets.iter().map(move |one| (&g.group, one)));
            for ((group, (topic, _, offset)), standing) in committed.zip(told) {
                let Some(standing) = standing else { continue };
                let lag = lags.entry((group.clone(), topic.clone())).or_default();
                lag.records += (standing.high_watermark - offset).max(0);
                lag.age_ms = lag.age_ms.max(standing.age_ms.unwrap_or(0));
            }
            *self.lags.lock() = (groups.len(), lags);
        }
    }

    /// The lag of groups, as of the last look.
    pub(super) fn tell_groups(&self, out: &mut Snapshot) {
        let (groups, lags) = &*self.lags.lock();
        out.level(GROUPS, &[], *groups as f64);
        for ((group, topic), lag) in lags {
            out.level(GROUP_LAG_RECORDS, &[group, topic.as_str()], lag.records as f64);
            out.level(GROUP_LAG_SECONDS, &[group, topic.as_str()], lag.age_ms as f64 / 1000.0);
        }
    }
}

/// How many partitions the offsets topic has, once it is there.
pub(super) fn offsets_partitions(image: &crate::metadata::Image) -> Option<i32> {
    let topic = image.topics.iter().find(|(name, _)| name.as_str() == super::OFFSETS_TOPIC)?.1;
    i32::try_from(topic.partitions.len()).ok()
}

/// Of a group on a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lag {
    records: i64,
    age_ms: i64,
}

/// How many groups there are, and the lag of each by topic.
pub(super) type Lags = (usize, BTreeMap<(String, TopicName), Lag>);
