//! What a state of the model is made of.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::setups::Faults;
use super::tier::{Store, index};
use crate::env::MonoTime;
use crate::log::{EpochCache, EpochEntry};
use crate::metadata::{BrokerRegistration, Command, Image, Partition, Proof, Topic};
use crate::replication::isr::follower::{self, Follower, LeaderPositions};
use crate::replication::isr::leader::{self, Leader, Settings};
use crate::replication::isr::{OpenAnswer, OpenRequest, TierPosition};
use crate::types::{
    BrokerEpoch, BrokerId, DirectoryId, Incarnation, LeaderEpoch, Offset, TopicId, TopicName,
};

/// When everything happens, and when a leader finds that all time-outs are over.
pub(super) const NOW: MonoTime = MonoTime(1_000_000_000);
pub(super) const LATE: MonoTime = MonoTime(100_000_000_000);

pub(super) const TOPIC: TopicId = TopicId(uuid::Uuid::from_bytes([7; 16]));

/// Time-outs are over as soon as time passes at all.
pub(super) const SETTINGS: Settings = Settings { lag_max: Duration::ZERO, session_timeout: Duration::ZERO };

/// A defence that is switched off, to see that the model notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Planted {
    /// In the leader's machine.
    Leader(leader::Defect),
    /// In the follower's machine.
    Follower(follower::Defect),
    /// A leader acknowledges without a lease.
    NoLease,
    /// A wiped disk says that it is the old one, and that it stopped cleanly.
    WipeUnnoticed,
    /// A power cut looks like a kill: who has lost its tail keeps its place.
    PowerCutUnnoticed,
    /// After a failed write the leader goes on under the same epoch.
    EpochGoesOn,
    /// Who begins to follow takes all that it has for committed.
    EndIsCommitted,
    /// A leader begins anew with every image, also within its epoch.
    LeaderBeginsAnew,
    /// A leader answers a follower as if its own log were empty.
    EmptyLogView,
    /// The topic allows unclean elections though nobody asked for them.
    UncleanUnasked,
    /// A leader publishes what is not committed.
    PublishesAll,
    /// Local retention does not ask what the tier has.
    LetsGoOfAll,
    /// A leader that knows nothing of the tier takes what it lacks itself for deleted.
    ColdIsDeleted,
}

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Violation {
    Lost,
    Mismatch,
    WentBack,
    Reused,
    Zombie,
    Contradiction,
    Unclean,
    Hole,
    Cold,
    Undeleted,
}

impl Violation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Violation::Lost => "whoever leads or may lead has every acknowledged and every committed record",
            Violation::Mismatch => "logs are equal below the high watermark",
            Violation::WentBack => "the high watermark never goes back within an epoch",
            Violation::Reused => "an offset is never used twice within an epoch",
            Violation::Zombie => "a leader without a lease acknowledges nothing",
            Violation::Contradiction => "no follower is told to give up what it knows to be committed",
            Violation::Unclean => "one loss never takes an election that may lose records",
            Violation::Hole => "what a log begins above is in the tier, or deleted",
            Violation::Cold => "the tier holds what is committed, and nothing else",
            Violation::Undeleted => "no log begins above what was to be deleted",
        }
    }
}

/// What may happen next. Brokers by their id, sessions by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Produce(i32),
    FailedWrite(i32),
    /// The leader sends what is new.
    Push(u64),
    ToLeader(u64),
    ToFollower(u64),
    Break(u64),
    Open(i32),
    /// A broker sees the newest image.
    See(i32),
    /// All time-outs of a leader are over.
    Tick(i32),
    /// A command that is on its way is applied; its sender is told, unless it was given up on.
    Apply(usize),
    /// The sender gives up on it; it may be applied all the same.
    Silence(usize),
    Fence(i32),
    Unfence(i32),
    AssignDirectory(i32),
    ElectPreferred,
    ElectUnclean,
    /// A leader reads the tier's head.
    Look(i32),
    /// It publishes what is committed.
    Publish(i32),
    /// A broker deletes what it knows to be in the tier.
    LetGo(i32),
    /// A leader's log start is raised.
    DeleteRecords(i32, i64),
    /// Dies; the stored high watermark is as new as can be, or as old.
    Crash(i32, bool),
    Return(i32, How),
}

/// How a broker comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum How {
    /// The process was killed, the machine went on.
    Killed,
    /// The machine stopped: so many records at the end are gone.
    PowerCut(usize),
    /// With an empty disk.
    Wiped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) epoch: LeaderEpoch,
    pub(super) value: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Up {
    Open(OpenRequest),
    Ack { end: Offset, log_start: Offset },
    Closed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Down {
    Answer(OpenAnswer),
    Append { base: Offset, entries: Vec<Entry>, positions: LeaderPositions },
    Closed,
}

/// A session's stream: each direction keeps its order; each end learns for itself that it is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Link {
    pub(super) follower: BrokerId,
    pub(super) leader: BrokerId,
    pub(super) up: VecDeque<Up>,
    pub(super) down: VecDeque<Down>,
    /// What the leader has sent, once it has accepted.
    pub(super) sent: Option<Offset>,
    pub(super) told: Option<LeaderPositions>,
    pub(super) leader_is_gone: bool,
    pub(super) follower_is_gone: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Idle,
    Leader(Box<Leader>),
    Follower(Follower),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) alive: bool,
    pub(super) epoch: BrokerEpoch,
    pub(super) directory: DirectoryId,
    /// From offset 0 on, whatever of it is still on the disk.
    pub(super) log: Vec<Entry>,
    pub(super) log_start: Offset,
    /// What lies from the log start up to here is in the tier only.
    pub(super) local_start: Offset,
    /// As this broker knows it.
    pub(super) tier: Option<TierPosition>,
    pub(super) stored: Offset,
    pub(super) role: Role,
    /// The leader epoch that the role is for; none right after a start.
    pub(super) role_epoch: Option<LeaderEpoch>,
    pub(super) seen: Seen,
    /// Tickets of producers that wait, with their offset.
    pub(super) waiting: Vec<(u64, usize)>,
}

/// An image; equal and hashed by what differs in this model.
#[derive(Clone, Debug)]
pub(super) struct Seen(pub(super) Arc<Image>);

impl PartialEq for Seen {
    fn eq(&self, other: &Seen) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Seen {}

impl Hash for Seen {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for broker in self.0.brokers.values() {
            (broker.epoch, broker.incarnation, &broker.directories, &broker.machine).hash(state);
            (broker.state as u8).hash(state);
        }
        let p = partition(&self.0);
        p.replicas.iter().for_each(|replica| (replica.broker, replica.directory).hash(state));
        (&p.isr, &p.elr, p.last_known_leader, p.leader).hash(state);
        (p.leader_epoch, p.partition_epoch, p.unclean.map(|u| (u.leader_epoch, u.log_end))).hash(state);
        (&self.0.last_active, self.0.next_broker_epoch).hash(state);
    }
}

/// A command on its way to the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) from: BrokerId,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) attempt: u64,
    pub(super) command: Command,
    pub(super) given_up: bool,
}

impl Hash for Sent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.from, self.leader_epoch, self.attempt, self.given_up).hash(state);
        match &self.command {
            Command::AlterPartition(alter) => {
                (alter.leader.epoch, alter.partition_epoch).hash(state);
                alter.isr.iter().for_each(|m| (m.broker, m.epoch).hash(state));
            }
            other => std::mem::discriminant(other).hash(state),
        }
    }
}

/// One state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) truth: Seen,
    pub(super) nodes: BTreeMap<BrokerId, Node>,
    pub(super) links: BTreeMap<u64, Link>,
    pub(super) sent: Vec<Sent>,
    pub(super) store: Store,
    /// The highest log start that was asked for.
    pub(super) deleted: Offset,
    pub(super) written: u8,
    pub(super) left: Faults,
    /// By offset.
    pub(super) acknowledged: BTreeMap<usize, Entry>,
    /// What was below a leader's high watermark, by offset.
    pub(super) committed: BTreeMap<usize, Entry>,
    pub(super) highest: BTreeMap<LeaderEpoch, Offset>,
    pub(super) used: BTreeMap<(LeaderEpoch, usize), u8>,
    pub(super) violation: Option<Violation>,
}

pub(super) fn topic() -> TopicName {
    TopicName::new("t").expect("a legal name")
}

pub(super) fn found(image: &Image) -> &Arc<Topic> {
    &image.topics[&topic()]
}

pub(super) fn partition(image: &Image) -> &Partition {
    &found(image).partitions[0]
}

pub(super) fn directory(number: u8) -> DirectoryId {
    DirectoryId::from_bytes([number; 16])
}

impl Node {
    pub(super) fn end(&self) -> Offset {
        Offset(self.log.len() as i64)
    }

    pub(super) fn chain(&self) -> EpochCache {
        let entries = self.log.iter().enumerate().skip(index(self.log_start));
        EpochCache::new(
            entries.map(|(i, e)| EpochEntry { epoch: e.epoch, start: Offset(i as i64) }).collect(),
        )
    }

    pub(super) fn last_epoch(&self) -> LeaderEpoch {
        let last = self.log[index(self.log_start)..].last();
        last.map_or(LeaderEpoch::NONE, |entry| entry.epoch)
    }

    pub(super) fn high_watermark(&self) -> Offset {
        match &self.role {
            Role::Leader(leader) => leader.high_watermark(),
            Role::Follower(follower) => follower.high_watermark(),
            Role::Idle => self.stored,
        }
        .min(self.end())
    }
}

pub(super) fn positions_of(node: &Node, leader: &Leader) -> LeaderPositions {
    LeaderPositions { high_watermark: leader.high_watermark(), log_start: node.log_start, tier: node.tier }
}

pub(super) fn number(id: BrokerId) -> u8 {
    u8::try_from(id.0).expect("the model has few brokers")
}

/// Every command has the same index: images that differ by it alone are one state.
pub(super) fn apply(image: &mut Image, command: &Command) -> Result<(), crate::metadata::CommandError> {
    image.version = 0;
    let applied = image.apply(1, command).map(|_| ());
    image.version = 0;
    applied
}

pub(super) fn registration(
    id: BrokerId,
    life: u8,
    directory: DirectoryId,
    proof: Proof,
) -> BrokerRegistration {
    BrokerRegistration {
        id,
        incarnation: Incarnation::from_bytes([number(id).wrapping_mul(16).wrapping_add(life); 16]),
        endpoints: Vec::new(),
        peer_address: String::new(),
        rack: None,
        directories: vec![directory],
        machine: "boot".to_owned(),
        proof,
    }
}
