//! The image: what the cluster knows, as plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::acl::AclBinding;
use super::quota::{QuotaEntity, Quotas};
use crate::types::{
    BrokerEpoch, BrokerId, DirectoryId, Incarnation, LeaderEpoch, Offset, PartitionEpoch, TopicId, TopicName,
};

/// The state of the cluster after the command at `version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Index of the last command applied.
    pub version: u64,
    /// Drawn once, when the cluster is formed.
    pub cluster_id: String,
    /// All registered brokers, fenced ones too.
    pub brokers: BTreeMap<BrokerId, Arc<BrokerInfo>>,
    /// All topics by name.
    pub topics: BTreeMap<TopicName, Arc<Topic>>,
    /// The same topics by id.
    pub topic_ids: BTreeMap<TopicId, TopicName>,
    /// Dynamic configs of brokers; the key `None` is the cluster-wide default.
    #[serde(with = "keyed_by_optional_broker")]
    pub broker_configs: BTreeMap<Option<BrokerId>, BTreeMap<String, String>>,
    /// SASL/SCRAM credentials by user.
    pub users: BTreeMap<String, BTreeMap<ScramMechanism, ScramCredential>>,
    /// The next producer id that is free.
    pub next_producer_id: i64,
    /// The next broker epoch.
    pub next_broker_epoch: i64,
    /// Finalized features and their levels.
    pub features: BTreeMap<String, i16>,
    /// The last epoch of each broker under which it was active: a life that was never unfenced has changed nothing.
    #[serde(default)]
    pub last_active: BTreeMap<BrokerId, BrokerEpoch>,
    /// Access control entries.
    #[serde(default)]
    pub acls: Arc<BTreeSet<AclBinding>>,
    /// Client quotas by whom they are for.
    #[serde(default, with = "super::quota::as_pairs")]
    pub quotas: Arc<BTreeMap<QuotaEntity, Quotas>>,
    /// Topics that have been fsync-before-ack (`flush.messages=1`) ever since they were created.
    #[serde(default)]
    pub synced_topics: BTreeSet<TopicId>,
    /// Configs of consumer groups.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub group_configs: BTreeMap<String, BTreeMap<String, String>>,
    /// Subscriptions to metrics of clients (KIP-714), by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub client_metrics: BTreeMap<String, BTreeMap<String, String>>,
    /// Deleted topics that may still have objects in the cold tier.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cold_topics: BTreeMap<TopicId, ColdTopic>,
}

/// Features with their highest level, at which a new cluster finalizes them: with `transaction.version` 2 the epoch of
/// a producer goes up with every transaction (KIP-890), with `group.version` 1 there are groups of the consumer protocol
/// (KIP-848).
pub const SUPPORTED_FEATURES: [(&str, i16); 2] = [("group.version", 1), ("transaction.version", 2)];

/// Which words of commands all brokers of the cluster understand: level 1 has `AlterPartition.lost`, `Resign.in_turn` and
/// `LoseReplicas.stays_known`. With level 2 a copy whose directory was never told is lost with any of its broker's directories; with
/// level 3 only until the broker has found it in one that is left (`DirectoryId::LOST`).
/// No client sets it: the metadata leader does, once every broker has said that it knows the level,
/// and it never goes down, since the log may hold such words from then on.
pub const COMMANDS: (&str, i16) = ("esker.commands", 3);

/// A deleted topic whose objects in the cold tier are yet to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColdTopic {
    /// The name it had.
    pub name: TopicName,
    /// How many partitions it had.
    pub partitions: i32,
}

/// Where a client or a peer may reach a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The listener's name, for instance `PLAINTEXT` or `SASL_SSL`.
    pub listener: String,
    /// The advertised host.
    pub host: String,
    /// The advertised port.
    pub port: u16,
}

/// Whether a broker may lead and be in an ISR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BrokerState {
    /// Registered, or its lease ran out: leads nothing, is in no ISR that it can be removed from.
    Fenced,
    /// Alive.
    Active,
    /// Asked to stop in order: leads nothing any more.
    ControlledShutdown,
}

/// A broker as last registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerInfo {
    /// Its node id.
    pub id: BrokerId,
    /// The epoch of its last registration.
    pub epoch: BrokerEpoch,
    /// The life of the process that registered.
    pub incarnation: Incarnation,
    /// Client listeners.
    pub endpoints: Vec<Endpoint>,
    /// The peer listener (`host:port`).
    pub peer_address: String,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Its log directories that are online.
    pub directories: Vec<DirectoryId>,
    /// Boot id and mount id of the machine at the last registration (the proof that it never stopped).
    pub machine: String,
    /// Fenced, active, stopping.
    pub state: BrokerState,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Its identity.
    pub id: TopicId,
    /// Its partitions, by index without gaps.
    pub partitions: Vec<Partition>,
    /// Configs set on the topic, by Kafka's names; what is absent is the broker's default.
    pub configs: BTreeMap<String, String>,
}

/// One replica's place in a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaState {
    /// The broker.
    pub broker: BrokerId,
    /// The directory it has put the replica in, once it said so; `DirectoryId::LOST` once it can't be known without looking.
    pub directory: Option<DirectoryId>,
}

/// An unclean election: truncation below the high watermark is allowed towards this epoch, and only it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UncleanElection {
    /// The leader epoch that began with it.
    pub leader_epoch: LeaderEpoch,
    /// The elected leader's log end, where known.
    pub log_end: Option<Offset>,
}

/// A partition's replicas and roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// In assigned order; the first is the preferred leader.
    pub replicas: Vec<ReplicaState>,
    /// The committed in-sync replicas, all of them active. Empty exactly when there is no leader: the last member
    /// that is fenced moves to the ELR (KIP-966).
    pub isr: Vec<BrokerId>,
    /// Eligible leader replicas (KIP-966): left the ISR while it was below min ISR.
    pub elr: Vec<BrokerId>,
    /// The last leader, kept when ISR and ELR are empty.
    pub last_known_leader: Option<BrokerId>,
    /// The leader, if there is one.
    pub leader: Option<BrokerId>,
    /// Raised by every election.
    pub leader_epoch: LeaderEpoch,
    /// Raised by every change.
    pub partition_epoch: PartitionEpoch,
    /// The last unclean election.
    pub unclean: Option<UncleanElection>,
    /// Under way: `replicas` are the original ones and those that are being added, until all of these are in sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reassignment: Option<Reassignment>,
}

/// A change of a partition's replicas that is under way (KIP-455).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reassignment {
    /// The replicas it shall have, in preferred order.
    pub target: Vec<BrokerId>,
    /// Those of them that it did not have when the change began.
    pub adding: Vec<BrokerId>,
}

impl Partition {
    /// Replicas that a reassignment adds; empty without one.
    #[must_use]
    pub fn adding(&self) -> &[BrokerId] {
        self.reassignment.as_ref().map_or(&[], |reassignment| &reassignment.adding)
    }

    /// Replicas that a reassignment will take away; empty without one.
    #[must_use]
    pub fn removing(&self) -> Vec<BrokerId> {
        let Some(reassignment) = &self.reassignment else { return Vec::new() };
        self.replicas.iter().map(|r| r.broker).filter(|b| !reassignment.target.contains(b)).collect()
    }

    /// Whether the broker is a replica.
    #[must_use]
    pub fn is_replica(&self, broker: BrokerId) -> bool {
        self.replicas.iter().any(|r| r.broker == broker)
    }
}

/// A SCRAM mechanism (RFC 5802, RFC 7677).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ScramMechanism {
    /// SCRAM-SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    Sha256,
    /// SCRAM-SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    Sha512,
}

/// A salted credential; the password itself is kept nowhere. PLAIN is checked against it too.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScramCredential {
    /// The salt.
    pub salt: Vec<u8>,
    /// StoredKey of RFC 5802.
    pub stored_key: Vec<u8>,
    /// ServerKey of RFC 5802.
    pub server_key: Vec<u8>,
    /// PBKDF2 iterations.
    pub iterations: u32,
}

impl std::fmt::Debug for ScramCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramCredential").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl Image {
    /// A topic by its id.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(self.topic_ids.get(&id)?)
    }

    /// A partition by topic name and index.
    #[must_use]
    pub fn partition(&self, topic: &TopicName, partition: i32) -> Option<&Partition> {
        self.topics.get(topic)?.partitions.get(usize::try_from(partition).ok()?)
    }

    /// Whether no new replicas are placed on the broker (KIP-1066).
    #[must_use]
    pub fn is_cordoned(&self, broker: BrokerId) -> bool {
        let configs = self.broker_configs.get(&Some(broker));
        configs.and_then(|configs| configs.get("cordoned.log.dirs")).is_some_and(|dirs| dirs == "*")
    }

    /// Why this program cannot take part, if the cluster has finalized a feature that it does not know, or a level above its own.
    #[must_use]
    pub fn beyond_this_program(&self) -> Option<String> {
        let (feature, level) = self.features.iter().find(|(name, level)| {
            let mut known = SUPPORTED_FEATURES.iter().chain([&COMMANDS]);
            !known.any(|(known, highest)| known == name && *level <= highest)
        })?;
        Some(format!(
            "the cluster has finalized {feature} {level}, which this version of Esker does not know: start a version that does"
        ))
    }

    /// The level of commands that every broker of the cluster understands.
    #[must_use]
    pub fn commands_level(&self) -> i16 {
        self.features.get(COMMANDS.0).copied().unwrap_or(0)
    }

    /// Whether the broker is registered and active.
    #[must_use]
    pub fn is_active(&self, broker: BrokerId) -> bool {
        self.brokers.get(&broker).is_some_and(|b| b.state == BrokerState::Active)
    }
}

/// JSON has only text as keys: the cluster-wide default is the key `""`, a broker its number.
mod keyed_by_optional_broker {
    use std::collections::BTreeMap;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::types::BrokerId;

    type Configs = BTreeMap<Option<BrokerId>, BTreeMap<String, String>>;

    pub(super) fn serialize<S: Serializer>(configs: &Configs, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(configs.iter().map(|(id, c)| (id.map(|b| b.to_string()).unwrap_or_default(), c)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Configs, D::Error> {
        BTreeMap::<String, BTreeMap<String, String>>::deserialize(deserializer)?
            .into_iter()
            .map(|(id, configs)| match id.as_str() {
                "" => Ok((None, configs)),
                number => number.parse().map(|b| (Some(b), configs)).map_err(D::Error::custom),
            })
            .collect()
    }
}
