//! How a node takes part in the metadata quorum.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::types::BrokerId;

/// Entries of the log between two snapshots, unless `metadata.log.max.records.between.snapshots` says otherwise.
pub const SNAPSHOT_EVERY: u64 = 2000;

/// How a node takes part in the metadata quorum.
#[derive(Clone, Debug)]
pub struct MetadataConfig {
    /// This node.
    pub node_id: BrokerId,
    /// `controller.quorum.voters`: ids and peer listener addresses. A node that is not among them gets the log as a
    /// learner.
    pub voters: Vec<(BrokerId, String)>,
    /// Where peers reach this node; only a learner needs it before it has registered.
    pub peer_address: String,
    /// The folder of the Raft log.
    pub dir: PathBuf,
    /// The cluster that this node belongs to, if it knows: a new cluster takes that id, another one is refused.
    pub cluster_id: Option<String>,
    /// Cluster-wide configs that a new cluster begins with.
    pub cluster_configs: BTreeMap<String, String>,
    /// Between two heartbeats of the Raft leader; openraft also gives each of its calls so long.
    pub heartbeat_interval: Duration,
    /// A follower that has heard nothing waits for the upper bound and a random time between the two, then stands.
    pub election_timeout: (Duration, Duration),
    /// `broker.session.timeout.ms`: a broker that was silent for so long is fenced.
    pub session_timeout: Duration,
    /// How long a renewed lease lasts; below the session.
    pub lease: Duration,
    /// How long `submit` tries.
    pub submit_timeout: Duration,
    /// Entries of the log between two snapshots.
    pub snapshot_every: u64,
    /// `auto.leader.rebalance.enable`; `None` when it is off.
    pub leader_balance: Option<LeaderBalance>,
}

/// When partitions go back to their preferred leaders by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderBalance {
    /// `leader.imbalance.check.interval.seconds`.
    pub interval: Duration,
    /// `leader.imbalance.per.broker.percentage`: how much of what a broker should lead others may lead.
    pub percentage: u32,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        MetadataConfig {
            node_id: BrokerId(1),
            voters: Vec::new(),
            peer_address: String::new(),
            dir: PathBuf::from("metadata"),
            cluster_id: None,
            cluster_configs: BTreeMap::new(),
            heartbeat_interval: Duration::from_millis(120),
            election_timeout: (Duration::from_millis(150), Duration::from_millis(250)),
            session_timeout: Duration::from_millis(1500),
            lease: Duration::from_millis(1000),
            submit_timeout: Duration::from_secs(10),
            snapshot_every: SNAPSHOT_EVERY,
            leader_balance: None,
        }
    }
}

impl MetadataConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.voters.is_empty() {
            return Err("controller.quorum.voters is empty; accepted is a list of id@host:port".to_owned());
        }
        let mut ids: Vec<BrokerId> = self.voters.iter().map(|(id, _)| *id).collect();
        ids.push(self.node_id);
        if let Some(id) = ids.iter().find(|id| id.0 < 0) {
            return Err(format!("node id {id} is negative; accepted is 0 or more"));
        }
        ids.pop();
        ids.sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("controller.quorum.voters names node {} twice", pair[0]));
        }
        if !self.is_voter() && self.peer_address.is_empty() {
            return Err("a node outside controller.quorum.voters needs a peer address".to_owned());
        }
        if self.lease >= self.session_timeout {
            return Err(format!(
                "broker.session.timeout.ms is {}; it must be above the lease of {} ms",
                self.session_timeout.as_millis(),
                self.lease.as_millis()
            ));
        }
        Ok(())
    }

    pub(super) fn is_voter(&self) -> bool {
        self.voters.iter().any(|(id, _)| *id == self.node_id)
    }
}
