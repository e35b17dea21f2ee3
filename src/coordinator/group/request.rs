//! What a group shard is asked, and what it answers: plain values, apart from any version of the wire.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::GroupError;
use super::consumer::{
    ConsumerDescription, ConsumerHeartbeat, ConsumerHeartbeatReply, DescribeConsumerGroup, ResolvedPatterns,
};
use crate::coordinator::record::{CommittedOffset, GroupId};
use crate::coordinator::shard::{Marker, Producer};
use crate::coordinator::topics::TopicCatalog;
use crate::types::{Decision, LeaderEpoch, Offset, TopicId, TopicName};

pub use crate::coordinator::shard::{Now, RequestId};

/// Every question to a shard.
#[derive(Debug, Clone)]
pub enum Request {
    /// JoinGroup
    Join(JoinGroup),
    /// SyncGroup
    Sync(SyncGroup),
    /// Heartbeat
    Heartbeat(Membership),
    /// LeaveGroup
    Leave(LeaveGroup),
    /// OffsetCommit
    Commit(CommitOffsets),
    /// OffsetFetch for one group
    Fetch(FetchOffsets),
    /// DescribeGroups for one group
    Describe(DescribeGroup),
    /// ListGroups
    List(ListGroups),
    /// DeleteGroups for one group
    Delete(DeleteGroup),
    /// OffsetDelete
    DeleteOffsets(DeleteOffsets),
    /// Before a producer's first offsets in a transaction
    BeginTxn(BeginTxnCommit),
    /// TxnOffsetCommit
    TxnCommit(TxnCommitOffsets),
    /// WriteTxnMarkers for this partition
    Complete(CompleteTransaction),
    /// Topics were deleted: forget what was committed in them.
    TopicsDeleted(Vec<TopicName>),
    /// ConsumerGroupHeartbeat
    ConsumerHeartbeat(ConsumerHeartbeat),
    /// ConsumerGroupDescribe for one group
    ConsumerDescribe(DescribeConsumerGroup),
    /// The topics of regular expressions have been looked up. It has no answer.
    Resolved(ResolvedPatterns),
}

/// Every answer of a shard, in the order of [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// JoinGroup
    Join(Result<Joined, GroupError>),
    /// SyncGroup
    Sync(Result<Synced, GroupError>),
    /// Heartbeat
    Heartbeat(Result<(), GroupError>),
    /// LeaveGroup
    Leave(Result<Vec<Left>, GroupError>),
    /// OffsetCommit: per partition in the order of the request
    Commit(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// OffsetFetch
    Fetch(Result<Vec<FetchedOffset>, GroupError>),
    /// DescribeGroups
    Describe(Result<GroupDescription, GroupError>),
    /// ListGroups
    List(Result<Vec<GroupListing>, GroupError>),
    /// DeleteGroups
    Delete(Result<(), GroupError>),
    /// OffsetDelete: per partition in the order of the request
    DeleteOffsets(Result<Vec<DeletedOffset>, GroupError>),
    /// Before a producer's first offsets in a transaction
    BeginTxn(Result<TxnBegun, GroupError>),
    /// TxnOffsetCommit: per partition in the order of the request
    TxnCommit(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// WriteTxnMarkers
    Complete(Result<(), GroupError>),
    /// Topics were deleted
    TopicsDeleted,
    /// ConsumerGroupHeartbeat
    ConsumerHeartbeat(Result<ConsumerHeartbeatReply, GroupError>),
    /// ConsumerGroupDescribe
    ConsumerDescribe(Result<ConsumerDescription, GroupError>),
}

/// A reply, and how much must be committed before it may go.
pub type Answer = crate::coordinator::shard::Answer<Reply>;

/// A member wants to be in the group's next generation.
#[derive(Debug, Clone)]
pub struct JoinGroup {
    /// The group.
    pub group: GroupId,
    /// Empty for a new member.
    pub member_id: String,
    /// Set for a static member (KIP-345).
    pub instance_id: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// The address it came from, in Kafka's form `/10.0.0.1`.
    pub client_host: String,
    /// How long the member may stay silent.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for the member.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect`, …
    pub protocol_type: String,
    /// Protocols in the member's order of preference, with its metadata under each.
    pub protocols: Vec<(String, Bytes)>,
    /// The client speaks KIP-394: a new dynamic member first gets its id, then joins with it.
    pub id_before_join: bool,
    /// The client speaks KIP-814: a leader can be told that the assignment stands.
    pub can_skip_assignment: bool,
    /// Why it joins (KIP-800).
    pub reason: Option<String>,
    /// Randomness for the member id, should one be needed; drawn by the runtime.
    pub fresh_id: Uuid,
    /// The topics of the cluster; put in by the runtime.
    pub catalog: Arc<TopicCatalog>,
}

/// A place in a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The member's id.
    pub member_id: String,
    /// The generation it is in.
    pub generation: i32,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The selected protocol.
    pub protocol: Option<String>,
    /// Who assigns.
    pub leader: String,
    /// All members, for the leader only.
    pub members: Vec<JoinedMember>,
    /// The leader need not assign: the old assignment stands (KIP-814).
    pub skip_assignment: bool,
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its member id.
    pub member_id: String,
    /// Its static id.
    pub instance_id: Option<String>,
    /// Its metadata under the selected protocol.
    pub metadata: Bytes,
}

/// Who speaks: a member in a generation.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The group.
    pub group: GroupId,
    /// The member id.
    pub member_id: String,
    /// The static id, if it has one.
    pub instance_id: Option<String>,
    /// The generation it believes in.
    pub generation: i32,
}

/// A member asks for its assignment; the leader brings everyone's.
#[derive(Debug, Clone)]
pub struct SyncGroup {
    /// Who asks.
    pub member: Membership,
    /// What it believes the protocol type is, if its version says (v5).
    pub protocol_type: Option<String>,
    /// What it believes the protocol is, if its version says (v5).
    pub protocol: Option<String>,
    /// By member id; from the leader only.
    pub assignments: Vec<(String, Bytes)>,
    /// The topics of the cluster; put in by the runtime.
    pub catalog: Arc<TopicCatalog>,
}

/// A member's part of the assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The selected protocol.
    pub protocol: Option<String>,
    /// As the leader wrote it.
    pub assignment: Bytes,
}

/// Members leave.
#[derive(Debug, Clone)]
pub struct LeaveGroup {
    /// The group.
    pub group: GroupId,
    /// Who leaves.
    pub members: Vec<LeavingMember>,
}

/// A member that leaves; a static one may be named by its instance id alone.
#[derive(Debug, Clone)]
pub struct LeavingMember {
    /// The member id, or empty.
    pub member_id: String,
    /// The static id.
    pub instance_id: Option<String>,
    /// Why it leaves (KIP-800).
    pub reason: Option<String>,
}

/// What became of one leaving member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// As it was asked.
    pub member_id: String,
    /// As it was asked.
    pub instance_id: Option<String>,
    /// Whether it left.
    pub result: Result<(), GroupError>,
}

/// Offsets to keep.
#[derive(Debug, Clone)]
pub struct CommitOffsets {
    /// Who commits; generation −1 and no member id for a consumer without group management.
    pub member: Membership,
    /// How long to keep them, if the client's version says.
    pub retention_ms: Option<i64>,
    /// The client's version knows member epochs (KIP-848).
    pub knows_epochs: bool,
    /// The offsets.
    pub offsets: Vec<CommitOffset>,
}

/// One offset to keep.
#[derive(Debug, Clone)]
pub struct CommitOffset {
    /// The topic.
    pub topic: TopicName,
    /// The topic's identity, zero if not known.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// The next record to read.
    pub offset: Offset,
    /// The epoch of the last record consumed.
    pub leader_epoch: LeaderEpoch,
    /// The client's own text.
    pub metadata: String,
}

/// Which offsets of a group are wanted.
#[derive(Debug, Clone)]
pub struct FetchOffsets {
    /// The group.
    pub group: GroupId,
    /// Topics (with their identity, zero if not known) and partitions; none means all that is committed.
    pub partitions: Option<Vec<(TopicName, TopicId, i32)>>,
    /// The member that asks and its epoch, if it says who it is (KIP-848); −1 without one.
    pub member: (Option<String>, i32),
    /// An offset that an open transaction may change is refused (KIP-447).
    pub require_stable: bool,
}

/// One partition's committed offset, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedOffset {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: i32,
    /// What was committed last.
    pub committed: Option<CommittedOffset>,
    /// An open transaction may change it, and stable ones were asked for.
    pub unstable: bool,
}

/// Offsets to forget.
#[derive(Debug, Clone)]
pub struct DeleteOffsets {
    /// The group.
    pub group: GroupId,
    /// Which.
    pub partitions: Vec<(TopicName, i32)>,
}

/// What became of one offset that was to be forgotten.
pub type DeletedOffset = Result<(), GroupError>;

/// A producer is about to commit offsets in a transaction that may not be open here.
#[derive(Debug, Clone)]
pub struct BeginTxnCommit(pub Producer);

/// What the shard says before the transaction's coordinator is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxnBegun {
    /// The transaction is open here already: the coordinator need not be asked.
    pub is_open: bool,
    /// To be given back with the offsets.
    pub guard: u64,
}

/// Offsets to keep if the producer's transaction is committed.
#[derive(Debug, Clone)]
pub struct TxnCommitOffsets {
    /// Who commits; without a member id and generation for older clients.
    pub member: Membership,
    /// The producer.
    pub producer: Producer,
    /// What [`TxnBegun`] said before the coordinator was asked.
    pub guard: u64,
    /// The offsets.
    pub offsets: Vec<CommitOffset>,
}

/// A producer's transaction is over in this partition.
#[derive(Debug, Clone)]
pub struct CompleteTransaction {
    /// How it ends.
    pub marker: Marker,
    /// Which decision this carries out; one that was carried out is not carried out again (see [`Decision`]).
    pub decision: Option<Decision>,
}

/// Asks for one group in full.
#[derive(Debug, Clone)]
pub struct DescribeGroup(pub GroupId);

/// Asks to forget one group.
#[derive(Debug, Clone)]
pub struct DeleteGroup(pub GroupId);

/// Filters of ListGroups; an empty list lets all pass.
#[derive(Debug, Clone, Default)]
pub struct ListGroups {
    /// Names of states, in any case.
    pub states: Vec<String>,
    /// Names of group types, in any case.
    pub types: Vec<String>,
}

/// The name of the classic protocol's group type, as ListGroups shows and filters it.
pub const CLASSIC: &str = "classic";

/// The name of the consumer protocol's group type.
pub const CONSUMER: &str = "consumer";

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// The group.
    pub group: GroupId,
    /// Its protocol type; empty for a group that only keeps offsets.
    pub protocol_type: String,
    /// Kafka's name of its state.
    pub state: &'static str,
    /// [`CLASSIC`] or [`CONSUMER`].
    pub kind: &'static str,
}

/// A group in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Kafka's name of its state.
    pub state: &'static str,
    /// Its protocol type; empty for a group that only keeps offsets.
    pub protocol_type: String,
    /// The selected protocol, while the group is stable.
    pub protocol: String,
    /// Its members.
    pub members: Vec<MemberDescription>,
}

/// A member in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its member id.
    pub member_id: String,
    /// Its static id.
    pub instance_id: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// The address it came from.
    pub client_host: String,
    /// Its metadata under the selected protocol, while the group is stable.
    pub metadata: Bytes,
    /// Its assignment, while the group is stable.
    pub assignment: Bytes,
}
