//! Commands: every change of the image, with all that its outcome depends on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::acl::AclBinding;
use super::image::{Endpoint, ScramCredential, ScramMechanism};
use super::quota::QuotaChange;
use crate::types::{
    BrokerEpoch, BrokerId, DirectoryId, Incarnation, LeaderEpoch, Offset, PartitionEpoch, ProducerId,
    TopicId, TopicName,
};

/// What a broker can prove about its last stop when it registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Proof {
    /// The clean-shutdown marker was there and names this broker epoch: everything was flushed.
    CleanShutdown {
        /// The epoch that the marker names.
        previous: BrokerEpoch,
    },
    /// The process died; whether the machine went on is judged by `machine` and the previous epoch.
    Unclean {
        /// The broker epoch that the directory remembers, if any.
        previous: Option<BrokerEpoch>,
    },
}

/// A broker's registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerRegistration {
    /// Its node id.
    pub id: BrokerId,
    /// This life of the process.
    pub incarnation: Incarnation,
    /// Client listeners.
    pub endpoints: Vec<Endpoint>,
    /// The peer listener.
    pub peer_address: String,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// The log directories that are online.
    pub directories: Vec<DirectoryId>,
    /// Boot id and mount id.
    pub machine: String,
    /// How it stopped.
    pub proof: Proof,
}

/// A topic to create. Replicas are assigned by whoever proposes the command (the metadata leader).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTopic {
    /// Its name.
    pub name: TopicName,
    /// Its identity, drawn by the proposer.
    pub id: TopicId,
    /// Replicas of each partition in preferred order; the first live one leads.
    pub assignment: Vec<Vec<BrokerId>>,
    /// Topic configs.
    pub configs: BTreeMap<String, String>,
    /// The first leader epoch of its partitions; above 0 for a topic that is restored from the cold tier.
    #[serde(default)]
    pub first_epoch: LeaderEpoch,
}

/// A proposed member of an ISR with the life it was seen in (KIP-903).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsrMember {
    /// The broker.
    pub broker: BrokerId,
    /// The broker epoch of the session by which the leader knows it.
    pub epoch: BrokerEpoch,
}

/// The leader's proposal of a new ISR (KIP-497).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlterPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: i32,
    /// The proposing leader.
    pub leader: IsrMember,
    /// Its leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch that the proposal builds on.
    pub partition_epoch: PartitionEpoch,
    /// The new ISR, the leader included.
    pub isr: Vec<IsrMember>,
    /// Replicas outside of it whose logs lack what is committed although they had it: they may not stay eligible either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<BrokerId>,
}

/// A replica that may be elected unclean, with what its log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UncleanCandidate {
    /// The replica.
    pub member: IsrMember,
    /// The epoch of its last batch.
    pub last_epoch: LeaderEpoch,
    /// Its log end.
    pub log_end: Offset,
}

/// A change of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Command {
    /// Forms the cluster; refused when it has an id already.
    Form {
        /// The cluster id.
        cluster_id: String,
        /// Finalized features.
        features: BTreeMap<String, i16>,
        /// The cluster-wide broker configs to begin with; the quorum's own rules read `min.insync.replicas` and
        /// `unclean.leader.election.enable` from them where a topic does not set them.
        #[serde(default)]
        configs: BTreeMap<String, String>,
    },
    /// A broker starts. It stays fenced until `Unfence`.
    RegisterBroker(BrokerRegistration),
    /// A broker has caught up with the image and may lead.
    Unfence {
        /// The broker.
        id: BrokerId,
        /// Its epoch.
        epoch: BrokerEpoch,
    },
    /// A broker's lease ran out.
    Fence {
        /// The broker.
        id: BrokerId,
        /// Its epoch.
        epoch: BrokerEpoch,
    },
    /// A broker wants to stop in order: its partitions move, it leaves every ISR that it can.
    ControlledShutdown {
        /// The broker.
        id: BrokerId,
        /// Its epoch.
        epoch: BrokerEpoch,
    },
    /// Takes a broker that is gone for good, and holds nothing, out of the cluster.
    UnregisterBroker {
        /// The broker.
        id: BrokerId,
    },
    /// A topic.
    CreateTopic(CreateTopic),
    /// Deletes a topic by its id.
    DeleteTopic {
        /// The topic.
        id: TopicId,
        /// It may have objects in the cold tier, which are remembered until they are gone.
        #[serde(default)]
        cold: bool,
    },
    /// A deleted topic's objects are gone from the cold tier.
    ForgetColdTopic {
        /// The topic.
        id: TopicId,
    },
    /// More partitions for a topic.
    CreatePartitions {
        /// The topic.
        id: TopicId,
        /// How many there must be before (guards against a race).
        from: i32,
        /// Replicas of each added partition.
        assignment: Vec<Vec<BrokerId>>,
    },
    /// A leader's new ISR.
    AlterPartition(AlterPartition),
    /// A broker says which directory holds a replica.
    AssignDirectory {
        /// The broker.
        broker: BrokerId,
        /// Its epoch.
        epoch: BrokerEpoch,
        /// The directory.
        directory: DirectoryId,
        /// The replicas in it.
        partitions: Vec<(TopicId, i32)>,
    },
    /// A leader whose write has failed steps down: another member of the ISR leads, or the same one under a new leader
    /// epoch when there is no other (an offset is never reused within an epoch).
    Resign {
        /// The topic.
        topic: TopicId,
        /// The partition.
        partition: i32,
        /// The leader.
        leader: IsrMember,
        /// Its leader epoch.
        leader_epoch: LeaderEpoch,
        /// The next in turn leads, and not the first one; what is replayed of earlier programs means what it meant.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        in_turn: bool,
    },
    /// A broker says that copies of its own cannot be trusted (corrupt, failed fsync): it leaves their ISR and ELR until
    /// it has caught up again. With `stays_known` the last one that had what is committed stays the last known leader.
    LoseReplicas {
        /// The broker.
        broker: BrokerId,
        /// Its epoch.
        epoch: BrokerEpoch,
        /// The copies.
        partitions: Vec<(TopicId, i32)>,
        /// The last known leader stays that; what is replayed of earlier programs means what it meant.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stays_known: bool,
    },
    /// A broker says that the device under one of its directories has failed (KIP-112): the copies there leave ISR and
    /// ELR, and lead nothing until the broker registers with that directory again.
    LoseDirectory {
        /// The broker.
        broker: BrokerId,
        /// Its epoch.
        epoch: BrokerEpoch,
        /// The directory.
        directory: DirectoryId,
    },
    /// Elects outside ISR and ELR, for a topic that allows it: the candidate with the largest (last epoch, log end).
    ElectUnclean {
        /// The topic.
        topic: TopicId,
        /// The partition.
        partition: i32,
        /// The partition epoch that the candidates were asked under.
        partition_epoch: PartitionEpoch,
        /// The replicas that answered.
        candidates: Vec<UncleanCandidate>,
    },
    /// Gives partitions back to their preferred leader where it is in the ISR.
    ElectPreferred {
        /// The partitions.
        partitions: Vec<(TopicId, i32)>,
    },
    /// Gives a partition other replicas: they are added, catch up, and then the rest is taken away (KIP-455).
    Reassign {
        /// The topic.
        topic: TopicId,
        /// The partition.
        partition: i32,
        /// The replicas in preferred order; `None` cancels what is under way.
        target: Option<Vec<BrokerId>>,
    },
    /// Changes a topic's configs: `Some` sets, `None` removes.
    AlterTopicConfig {
        /// The topic.
        id: TopicId,
        /// The changes.
        changes: BTreeMap<String, Option<String>>,
    },
    /// Changes a broker's dynamic configs, or the cluster-wide default.
    AlterBrokerConfig {
        /// The broker; `None` for all.
        broker: Option<BrokerId>,
        /// The changes.
        changes: BTreeMap<String, Option<String>>,
    },
    /// Changes a consumer group's configs: `Some` sets, `None` removes.
    AlterGroupConfig {
        /// The group.
        group: String,
        /// The changes.
        changes: BTreeMap<String, Option<String>>,
    },
    /// Changes a subscription to metrics of clients: `Some` sets, `None` removes. One without configs is gone.
    AlterClientMetrics {
        /// The subscription.
        name: String,
        /// The changes.
        changes: BTreeMap<String, Option<String>>,
    },
    /// Finalizes features at these levels, all of them or none; level 0 takes one away (KIP-584).
    UpdateFeatures {
        /// The levels.
        levels: BTreeMap<String, i16>,
    },
    /// Sets a user's credential.
    UpsertUser {
        /// The user.
        user: String,
        /// The mechanism.
        mechanism: ScramMechanism,
        /// The credential.
        credential: ScramCredential,
    },
    /// Removes a user's credentials, of one mechanism or of all.
    DeleteUser {
        /// The user.
        user: String,
        /// One mechanism, or all.
        mechanism: Option<ScramMechanism>,
    },
    /// The cluster's first user, as long as there is none at all.
    CreateFirstUser {
        /// The user.
        user: String,
        /// The credentials of each mechanism.
        credentials: BTreeMap<ScramMechanism, ScramCredential>,
    },
    /// Adds access control entries; those that are there already stay.
    CreateAcls {
        /// The entries.
        bindings: Vec<AclBinding>,
    },
    /// Removes access control entries.
    DeleteAcls {
        /// The entries, in full.
        bindings: Vec<AclBinding>,
    },
    /// Changes client quotas, all of them or none.
    AlterQuotas {
        /// What changes.
        changes: Vec<QuotaChange>,
    },
    /// Producer ids below are given out no more: a topic that is restored from the cold tier knows them.
    ReserveProducerIds {
        /// The first id that is free.
        below: i64,
    },
    /// A block of producer ids for a broker.
    AllocateProducerIds {
        /// The broker.
        broker: BrokerId,
        /// Its epoch.
        epoch: BrokerEpoch,
        /// How many.
        count: i32,
    },
}

impl Command {
    /// The command in the words of a level (`image::COMMANDS`): what is beyond it is left out, as a program that does not know
    /// a word refuses the whole. Then it means what it meant to earlier programs.
    #[must_use]
    pub(super) fn at_level(mut self, level: i16) -> Command {
        if level < 1 {
            match &mut self {
                Command::AlterPartition(proposal) => proposal.lost.clear(),
                Command::Resign { in_turn, .. } => *in_turn = false,
                Command::LoseReplicas { stays_known, .. } => *stays_known = false,
                _ => {}
            }
        }
        self
    }
}

/// What an applied command gives back to its proposer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandReply {
    /// Applied.
    Done,
    /// The epoch of the registration.
    Registered(BrokerEpoch),
    /// The first id of the block, `count` long.
    ProducerIds(ProducerId),
}

/// Why a command changed nothing. Deterministic, like the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CommandError {
    /// A topic of that name exists.
    #[error("topic {0} exists already")]
    TopicExists(TopicName),
    /// No topic with that id.
    #[error("there is no topic with id {0}")]
    UnknownTopic(TopicId),
    /// No such partition.
    #[error("there is no partition {1} of topic {0}")]
    UnknownPartition(TopicId, i32),
    /// The proposer's leader epoch is over.
    #[error("leader epoch {proposed} is fenced, the current one is {current}")]
    FencedLeaderEpoch {
        /// What the proposer holds.
        proposed: LeaderEpoch,
        /// What is current.
        current: LeaderEpoch,
    },
    /// The proposal builds on an older state.
    #[error("partition epoch {proposed} is stale, the current one is {current}")]
    StalePartitionEpoch {
        /// What the proposer holds.
        proposed: PartitionEpoch,
        /// What is current.
        current: PartitionEpoch,
    },
    /// A broker epoch of a former life.
    #[error("broker {0} has a newer epoch than {1}")]
    StaleBrokerEpoch(BrokerId, BrokerEpoch),
    /// A proposed ISR member is fenced, stopping or unknown, or has another epoch.
    #[error("broker {0} is not eligible for the ISR")]
    IneligibleReplica(BrokerId),
    /// Not registered.
    #[error("broker {0} is not registered")]
    UnknownBroker(BrokerId),
    /// Another live process holds the id.
    #[error("node id {0} is held by another live broker")]
    DuplicateBroker(BrokerId),
    /// The cluster has been formed before.
    #[error("the cluster is formed already, with id {0}")]
    AlreadyFormed(String),
    /// No such user, or no such credential of the user.
    #[error("there is no user {0} with that credential")]
    UnknownUser(String),
    /// The cluster has users already: the first one is created once.
    #[error("the cluster has users already")]
    UsersExist,
    /// There is nothing to cancel.
    #[error("no reassignment of partition {1} of topic {0} is under way")]
    NoReassignment(TopicId, i32),
    /// The replicas that were asked for cannot be had.
    #[error("{0}")]
    InvalidReplicas(String),
    /// The request contradicts itself or the image.
    #[error("{0}")]
    Invalid(String),
}
