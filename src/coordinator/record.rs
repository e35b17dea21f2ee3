//! What a group shard remembers, as records of `__consumer_offsets`; the bytes are in [`super::records`].

use std::sync::Arc;

use bytes::Bytes;

use super::consumer_record::ConsumerRecord;
use crate::types::{LeaderEpoch, Offset, TopicId, TopicName};

/// A group's name. Cheap to clone.
pub type GroupId = Arc<str>;

/// One record of the coordinator's log. A `None` value is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A committed offset of one partition.
    Offset {
        /// The group that committed.
        group: GroupId,
        /// The topic the offset is in.
        topic: TopicName,
        /// The partition the offset is in.
        partition: i32,
        /// What was committed.
        value: Option<CommittedOffset>,
    },
    /// A group's generation: its members and their assignments.
    Group {
        /// The group.
        group: GroupId,
        /// The generation.
        value: Option<GroupMetadata>,
    },
    /// A part of a group of the consumer protocol (KIP-848).
    Consumer {
        /// The group.
        group: GroupId,
        /// The part.
        record: ConsumerRecord,
    },
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next record the group wants to read.
    pub offset: Offset,
    /// The leader epoch of the last record consumed, or none (KIP-320).
    pub leader_epoch: LeaderEpoch,
    /// The text the client keeps with its offset; given back as it came.
    pub metadata: Arc<str>,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub commit_timestamp_ms: i64,
    /// When it expires, if the client asked for a retention of its own (OffsetCommit v2 to v4).
    pub expire_timestamp_ms: Option<i64>,
    /// The topic's identity, if the committer knew it.
    pub topic_id: TopicId,
}

/// A generation of a group, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadata {
    /// What the members speak among each other: `consumer`, `connect`, …
    pub protocol_type: String,
    /// The generation's number.
    pub generation: i32,
    /// The protocol (assignor) that was selected; none when the group is empty.
    pub protocol: Option<String>,
    /// The member that assigned.
    pub leader: Option<String>,
    /// When the group came into this state, in milliseconds since the Unix epoch; −1 if not known.
    pub state_timestamp_ms: i64,
    /// The members, by member id.
    pub members: Vec<MemberMetadata>,
}

/// A member of a remembered generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    /// The id the coordinator gave it.
    pub member_id: String,
    /// The id its owner gave it, if it is a static member (KIP-345).
    pub instance_id: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// The address it came from.
    pub client_host: String,
    /// How long a rebalance waits for it.
    pub rebalance_timeout_ms: i32,
    /// How long it may stay silent.
    pub session_timeout_ms: i32,
    /// Its metadata under the selected protocol.
    pub subscription: Bytes,
    /// What the leader assigned to it.
    pub assignment: Bytes,
}

impl Record {
    /// The group the record belongs to.
    #[must_use]
    pub fn group(&self) -> &GroupId {
        match self {
            Record::Offset { group, .. } | Record::Group { group, .. } | Record::Consumer { group, .. } => {
                group
            }
        }
    }

    /// About how many bytes the record takes in a batch, never less than it does.
    #[must_use]
    pub fn size_bound(&self) -> usize {
        const FIXED: usize = 128;
        match self {
            Record::Offset { group, topic, value, .. } => {
                FIXED
                    + group.len()
                    + topic.as_str().len()
                    + value.as_ref().map_or(0, |v| v.metadata.len() + 64)
            }
            Record::Group { group, value } => {
                let text = |t: &Option<String>| t.as_ref().map_or(0, String::len);
                let value = value.as_ref().map_or(0, |v| {
                    let members: usize = v
                        .members
                        .iter()
                        .map(|m| {
                            FIXED
                                + m.member_id.len()
                                + text(&m.instance_id)
                                + m.client_id.len()
                                + m.client_host.len()
                                + m.subscription.len()
                                + m.assignment.len()
                        })
                        .sum();
                    FIXED + v.protocol_type.len() + text(&v.protocol) + text(&v.leader) + members
                });
                FIXED + group.len() + value
            }
            Record::Consumer { group, record } => group.len() + record.size_bound(),
        }
    }
}
