//! What a shard remembers of a group of the consumer protocol (KIP-848), and the bytes: Kafka's own schemas.
//!
//! ```text
//!  key 3  group                     group epoch, hash of the subscribed topics
//!  key 5  group, member             who it is and what it subscribes to
//!  key 6  group                     the epoch of the target assignment
//!  key 7  group, member             what the member shall have
//!  key 8  group, member             what it has, at which epoch
//!  key 16 group, regular expression the topics it stands for
//! ```
//!
//! Key 4 (partition metadata) was replaced by the hash in Kafka 4.1, and is left alone.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::record::{GroupId, Record};
use super::records::{InvalidRecord, decode_value, tagged};
use crate::types::TopicId;
use crate::wire::messages::consumer_group_records as wire;
use crate::wire::{EncodeError, Limits, Message, StrBytes};

/// Partitions, by topic.
pub type Partitions = BTreeMap<TopicId, BTreeSet<i32>>;

/// Partitions that a member has, each with the member epoch at which it got it (KIP-1251).
pub type Owned = BTreeMap<TopicId, BTreeMap<i32, i32>>;

/// One record of a group of the consumer protocol. A `None` value is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumerRecord {
    /// The group's epoch.
    Epoch(Option<GroupEpoch>),
    /// A member.
    Member(String, Option<ConsumerMemberMetadata>),
    /// The epoch of the target assignment.
    TargetEpoch(Option<TargetEpoch>),
    /// What a member shall have.
    Target(String, Option<Partitions>),
    /// What a member has.
    Current(String, Option<CurrentAssignment>),
    /// The topics that a regular expression stands for.
    Regex(String, Option<ResolvedRegex>),
}

/// Goes up whenever the members, what they subscribe to, or those topics change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupEpoch {
    /// The epoch.
    pub epoch: i32,
    /// Tells sets of subscribed topics apart (KIP-1101); 0 for none.
    pub metadata_hash: i64,
}

/// When the target assignment was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TargetEpoch {
    /// The group epoch that it was made for.
    pub epoch: i32,
    /// In milliseconds since the Unix epoch (KIP-1263).
    pub timestamp_ms: i64,
}

/// Who a member is and what it subscribes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumerMemberMetadata {
    /// The id its owner gave it, if it is a static member (KIP-345).
    pub instance_id: Option<String>,
    /// Where it runs.
    pub rack_id: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// The address it came from.
    pub client_host: String,
    /// Topics that it names.
    pub topics: BTreeSet<String>,
    /// The regular expression of topics that it names besides.
    pub regex: Option<String>,
    /// How long it may take to give partitions back.
    pub rebalance_timeout_ms: i32,
    /// The assignor that it wants.
    pub assignor: Option<String>,
    /// Set for a member that speaks the classic protocol.
    pub classic: Option<ClassicProtocols>,
}

/// What a member of the classic protocol brought with its JoinGroup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassicProtocols {
    /// How long it may stay silent.
    pub session_timeout_ms: i32,
    /// Protocols in its order of preference, with its metadata under each.
    pub protocols: Vec<(String, Bytes)>,
}

/// How far a member is on its way to its target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It has what the target of its epoch gives it.
    #[default]
    Stable,
    /// It has been told to give partitions back and has not said that it did.
    Unrevoked,
    /// It waits for partitions that others have not given back.
    Unreleased,
    /// Written by a newer version.
    Unknown,
}

/// What a member has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CurrentAssignment {
    /// The epoch that it must name; 0 before its first assignment, −2 while a static member is away.
    pub epoch: i32,
    /// The epoch before: the answer that brought the new one may be lost.
    pub previous_epoch: i32,
    /// How far it is.
    pub state: MemberState,
    /// Partitions that are its own.
    pub assigned: Owned,
    /// Partitions that it must give back; nobody else has them yet.
    pub revoking: Owned,
}

/// The topics that a regular expression stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedRegex {
    /// Names of topics.
    pub topics: BTreeSet<String>,
    /// The version of the metadata that it was resolved with.
    pub version: i64,
    /// When, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
}

const EPOCH: i16 = 3;
const MEMBER: i16 = 5;
const TARGET_EPOCH: i16 = 6;
const TARGET: i16 = 7;
const CURRENT: i16 = 8;
const REGEX: i16 = 16;

/// Key and value of a record, as they are appended; no value is a tombstone.
///
/// # Errors
/// `EncodeError` when a text is longer than the schema can say.
pub(super) fn encode(
    group: &GroupId,
    record: &ConsumerRecord,
) -> Result<(Bytes, Option<Bytes>), EncodeError> {
    let group_id = StrBytes::from(&**group);
    fn value<M: Message>(value: Option<M>) -> Result<Option<Bytes>, EncodeError> {
        value.map(|v| tagged(0, &v, 0)).transpose()
    }
    Ok(match record {
        ConsumerRecord::Epoch(epoch) => (
            tagged(EPOCH, &wire::ConsumerGroupMetadataKey { group_id }, 0)?,
            value(epoch.map(|e| wire::ConsumerGroupMetadataValue {
                epoch: e.epoch,
                metadata_hash: e.metadata_hash,
            }))?,
        ),
        ConsumerRecord::Member(member, metadata) => {
            let member_id = StrBytes::from(member);
            let key = wire::ConsumerGroupMemberMetadataKey { group_id, member_id };
            (tagged(MEMBER, &key, 0)?, value(metadata.as_ref().map(member_value))?)
        }
        ConsumerRecord::TargetEpoch(epoch) => (
            tagged(TARGET_EPOCH, &wire::ConsumerGroupTargetAssignmentMetadataKey { group_id }, 0)?,
            value(epoch.map(|e| wire::ConsumerGroupTargetAssignmentMetadataValue {
                assignment_epoch: e.epoch,
                assignment_timestamp: e.timestamp_ms,
            }))?,
        ),
        ConsumerRecord::Target(member, target) => {
            let member_id = StrBytes::from(member);
            let key = wire::ConsumerGroupTargetAssignmentMemberKey { group_id, member_id };
            let message = target.as_ref().map(|target| wire::ConsumerGroupTargetAssignmentMemberValue {
                topic_partitions: target
                    .iter()
                    .map(|(topic_id, partitions)| wire::TopicPartition {
                        topic_id: *topic_id,
                        partitions: partitions.iter().copied().collect(),
                    })
                    .collect(),
            });
            (tagged(TARGET, &key, 0)?, value(message)?)
        }
        ConsumerRecord::Current(member, current) => {
            let member_id = StrBytes::from(member);
            let key = wire::ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id };
            let message = current.as_ref().map(|c| wire::ConsumerGroupCurrentMemberAssignmentValue {
                member_epoch: c.epoch,
                previous_member_epoch: c.previous_epoch,
                state: state_number(c.state),
                assigned_partitions: owned_value(&c.assigned),
                partitions_pending_revocation: owned_value(&c.revoking),
            });
            (tagged(CURRENT, &key, 0)?, value(message)?)
        }
        ConsumerRecord::Regex(regex, resolved) => {
            let key = wire::ConsumerGroupRegularExpressionKey {
                group_id,
                regular_expression: StrBytes::from(regex),
            };
            let message = resolved.as_ref().map(|r| wire::ConsumerGroupRegularExpressionValue {
                topics: r.topics.iter().map(StrBytes::from).collect(),
                version: r.version,
                timestamp: r.timestamp_ms,
            });
            (tagged(REGEX, &key, 0)?, value(message)?)
        }
    })
}

/// Reads a record of one of these types, whose number has been taken from the key; `None` for one that belongs to others.
///
/// # Errors
/// `InvalidRecord` when the bytes are not what their type says.
pub(super) fn decode(kind: i16, key: Bytes, value: Option<Bytes>) -> Result<Option<Record>, InvalidRecord> {
    fn read<M: Message>(key: Bytes) -> Result<M, InvalidRecord> {
        Ok(M::from_bytes(key, 0, &Limits::default())?)
    }
    macro_rules! value {
        ($convert:expr) => {
            match decode_value(value, $convert)? {
                Some(value) => value,
                None => return Ok(None),
            }
        };
    }
    let (group, record) = match kind {
        EPOCH => {
            let key: wire::ConsumerGroupMetadataKey = read(key)?;
            let epoch = value!(|v: wire::ConsumerGroupMetadataValue| GroupEpoch {
                epoch: v.epoch,
                metadata_hash: v.metadata_hash
            });
            (key.group_id, ConsumerRecord::Epoch(epoch))
        }
        MEMBER => {
            let key: wire::ConsumerGroupMemberMetadataKey = read(key)?;
            (key.group_id, ConsumerRecord::Member(own(&key.member_id), value!(member_of)))
        }
        TARGET_EPOCH => {
            let key: wire::ConsumerGroupTargetAssignmentMetadataKey = read(key)?;
            let epoch = value!(|v: wire::ConsumerGroupTargetAssignmentMetadataValue| TargetEpoch {
                epoch: v.assignment_epoch,
                timestamp_ms: v.assignment_timestamp
            });
            (key.group_id, ConsumerRecord::TargetEpoch(epoch))
        }
        TARGET => {
            let key: wire::ConsumerGroupTargetAssignmentMemberKey = read(key)?;
            let target = value!(|v: wire::ConsumerGroupTargetAssignmentMemberValue| {
                let topics = v.topic_partitions.into_iter();
                topics.map(|t| (t.topic_id, t.partitions.into_iter().collect())).collect()
            });
            (key.group_id, ConsumerRecord::Target(own(&key.member_id), target))
        }
        CURRENT => {
            let key: wire::ConsumerGroupCurrentMemberAssignmentKey = read(key)?;
            let current = value!(|v: wire::ConsumerGroupCurrentMemberAssignmentValue| CurrentAssignment {
                epoch: v.member_epoch,
                previous_epoch: v.previous_member_epoch,
                state: state_of(v.state),
                assigned: owned_of(v.assigned_partitions, v.member_epoch),
                revoking: owned_of(v.partitions_pending_revocation, v.member_epoch),
            });
            (key.group_id, ConsumerRecord::Current(own(&key.member_id), current))
        }
        REGEX => {
            let key: wire::ConsumerGroupRegularExpressionKey = read(key)?;
            let resolved = value!(|v: wire::ConsumerGroupRegularExpressionValue| ResolvedRegex {
                topics: v.topics.iter().map(own).collect(),
                version: v.version,
                timestamp_ms: v.timestamp,
            });
            (key.group_id, ConsumerRecord::Regex(own(&key.regular_expression), resolved))
        }
        _ => return Ok(None),
    };
    Ok(Some(Record::Consumer { group: GroupId::from(&*group), record }))
}

fn own(text: &StrBytes) -> String {
    text.as_str().to_owned()
}

fn member_value(m: &ConsumerMemberMetadata) -> wire::ConsumerGroupMemberMetadataValue {
    let text = |t: &Option<String>| t.as_ref().map(StrBytes::from);
    wire::ConsumerGroupMemberMetadataValue {
        instance_id: text(&m.instance_id),
        rack_id: text(&m.rack_id),
        client_id: StrBytes::from(&m.client_id),
        client_host: StrBytes::from(&m.client_host),
        subscribed_topic_names: m.topics.iter().map(StrBytes::from).collect(),
        subscribed_topic_regex: text(&m.regex),
        rebalance_timeout_ms: m.rebalance_timeout_ms,
        server_assignor: text(&m.assignor),
        classic_member_metadata: m.classic.as_ref().map(|c| wire::ClassicMemberMetadata {
            session_timeout_ms: c.session_timeout_ms,
            supported_protocols: c
                .protocols
                .iter()
                .map(|(name, metadata)| wire::ClassicProtocol {
                    name: StrBytes::from(name),
                    metadata: metadata.clone(),
                })
                .collect(),
        }),
    }
}

/// Everything is copied: a slice would keep the whole read of the log alive.
fn member_of(v: wire::ConsumerGroupMemberMetadataValue) -> ConsumerMemberMetadata {
    let text = |t: &Option<StrBytes>| t.as_ref().map(own);
    ConsumerMemberMetadata {
        instance_id: text(&v.instance_id),
        rack_id: text(&v.rack_id),
        client_id: own(&v.client_id),
        client_host: own(&v.client_host),
        topics: v.subscribed_topic_names.iter().map(own).collect(),
        // Kafka writes an empty one for none.
        regex: text(&v.subscribed_topic_regex).filter(|r| !r.is_empty()),
        rebalance_timeout_ms: v.rebalance_timeout_ms,
        assignor: text(&v.server_assignor),
        classic: v.classic_member_metadata.map(|c| ClassicProtocols {
            session_timeout_ms: c.session_timeout_ms,
            protocols: c
                .supported_protocols
                .iter()
                .map(|p| (own(&p.name), Bytes::copy_from_slice(&p.metadata)))
                .collect(),
        }),
    }
}

fn state_number(state: MemberState) -> i8 {
    match state {
        MemberState::Stable => 0,
        MemberState::Unrevoked => 1,
        MemberState::Unreleased => 2,
        MemberState::Unknown => 127,
    }
}

fn state_of(number: i8) -> MemberState {
    match number {
        0 => MemberState::Stable,
        1 => MemberState::Unrevoked,
        2 => MemberState::Unreleased,
        _ => MemberState::Unknown,
    }
}

fn owned_value(owned: &Owned) -> Vec<wire::TopicPartitions> {
    let topic = |(topic_id, partitions): (&TopicId, &BTreeMap<i32, i32>)| wire::TopicPartitions {
        topic_id: *topic_id,
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
    };
    owned.iter().map(topic).collect()
}

/// Records of before KIP-1251 have no epochs: then the member's own stands for each.
fn owned_of(topics: Vec<wire::TopicPartitions>, member_epoch: i32) -> Owned {
    let topic = |t: wire::TopicPartitions| {
        let epochs = t.assignment_epochs.filter(|e| e.len() == t.partitions.len());
        let epochs = epochs.unwrap_or_else(|| vec![member_epoch; t.partitions.len()]);
        (t.topic_id, t.partitions.into_iter().zip(epochs).collect())
    };
    topics.into_iter().map(topic).collect()
}

impl ConsumerRecord {
    /// Whether it only takes something away.
    pub(super) fn is_tombstone(&self) -> bool {
        matches!(
            self,
            ConsumerRecord::Epoch(None)
                | ConsumerRecord::TargetEpoch(None)
                | ConsumerRecord::Member(_, None)
                | ConsumerRecord::Target(_, None)
                | ConsumerRecord::Current(_, None)
                | ConsumerRecord::Regex(_, None)
        )
    }

    /// About how many bytes the record takes in a batch, never less than it does.
    pub(super) fn size_bound(&self) -> usize {
        const FIXED: usize = 128;
        let text = |t: &Option<String>| t.as_ref().map_or(0, String::len);
        let texts = |t: &BTreeSet<String>| t.iter().map(|name| name.len() + 5).sum::<usize>();
        let owned = |o: &Owned| o.values().map(|p| 40 + 8 * p.len()).sum::<usize>();
        FIXED
            + match self {
                ConsumerRecord::Epoch(_) | ConsumerRecord::TargetEpoch(_) => 0,
                ConsumerRecord::Member(member, metadata) => {
                    let metadata = metadata.as_ref().map_or(0, |m| {
                        let protocols = m.classic.iter().flat_map(|c| &c.protocols);
                        text(&m.instance_id)
                            + text(&m.rack_id)
                            + m.client_id.len()
                            + m.client_host.len()
                            + texts(&m.topics)
                            + text(&m.regex)
                            + text(&m.assignor)
                            + protocols.map(|(name, bytes)| 16 + name.len() + bytes.len()).sum::<usize>()
                    });
                    member.len() + metadata
                }
                ConsumerRecord::Target(member, target) => {
                    let target = target.as_ref().map_or(0, partitions_bytes);
                    member.len() + target
                }
                ConsumerRecord::Current(member, current) => {
                    let current = current.as_ref().map_or(0, |c| owned(&c.assigned) + owned(&c.revoking));
                    member.len() + current
                }
                ConsumerRecord::Regex(regex, resolved) => {
                    regex.len() + resolved.as_ref().map_or(0, |r| texts(&r.topics))
                }
            }
    }
}

/// About how many bytes partitions take in a record, never less than they do.
pub fn partitions_bytes(partitions: &Partitions) -> usize {
    partitions.values().map(|p| 32 + 4 * p.len()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::records;
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn topic() -> TopicId {
        TopicId::from_bytes([9; 16])
    }

    fn member() -> ConsumerMemberMetadata {
        ConsumerMemberMetadata {
            instance_id: Some("i".into()),
            client_id: "c".into(),
            client_host: "h".into(),
            topics: ["t".to_owned()].into(),
            rebalance_timeout_ms: 60_000,
            ..ConsumerMemberMetadata::default()
        }
    }

    /// The bytes are Kafka's; a change of them is a change of the format of every stored group.
    #[test]
    fn the_bytes_are_kafkas() {
        let id = "09".repeat(16);
        let classic = ConsumerMemberMetadata {
            classic: Some(ClassicProtocols {
                session_timeout_ms: 10_000,
                protocols: vec![("r".into(), Bytes::from_static(b"s"))],
            }),
            ..member()
        };
        let current = CurrentAssignment {
            epoch: 5,
            previous_epoch: 4,
            state: MemberState::Unrevoked,
            assigned: [(topic(), [(3, 2)].into())].into(),
            revoking: Owned::new(),
        };
        let resolved = ResolvedRegex { topics: ["t".to_owned()].into(), version: 7, timestamp_ms: 16 };
        let of_member = |kind: &str| format!("{kind}0001670001{}", "6d");
        let metadata = "0269".to_owned() + "00" + "0263" + "0268" + "020274" + "00" + "0000ea60" + "00";
        let cases = [
            (
                ConsumerRecord::Epoch(Some(GroupEpoch { epoch: 5, metadata_hash: 6 })),
                "0003000167".to_owned(),
                "00000005".to_owned() + "010008" + "0000000000000006",
            ),
            (
                ConsumerRecord::Epoch(Some(GroupEpoch { epoch: 5, metadata_hash: 0 })),
                "0003000167".to_owned(),
                "0000000500".to_owned(),
            ),
            (
                ConsumerRecord::TargetEpoch(Some(TargetEpoch { epoch: 5, timestamp_ms: 16 })),
                "0006000167".to_owned(),
                "00000005".to_owned() + "010008" + "0000000000000010",
            ),
            (ConsumerRecord::Member("m".into(), Some(member())), of_member("0005"), metadata.clone() + "00"),
            (
                ConsumerRecord::Member("m".into(), Some(classic)),
                of_member("0005"),
                metadata + "01000c" + "01" + "00002710" + "0202720273" + "0000",
            ),
            (
                ConsumerRecord::Target("m".into(), Some([(topic(), [3].into())].into())),
                of_member("0007"),
                format!("02{id}020000000300") + "00",
            ),
            (
                ConsumerRecord::Current("m".into(), Some(current)),
                of_member("0008"),
                "0000000500000004".to_owned()
                    + "01"
                    + &format!("02{id}0200000003")
                    + "0100050200000002"
                    + "01"
                    + "00",
            ),
            (
                ConsumerRecord::Regex("t.".into(), Some(resolved)),
                "00100001670002742e".to_owned(),
                "020274".to_owned() + "0000000000000007" + "0000000000000010" + "00",
            ),
        ];
        for (record, key, value) in cases {
            let (k, v) = encode(&"g".into(), &record).unwrap();
            assert_eq!((hex(&k), hex(&v.unwrap())), (key, "0000".to_owned() + &value), "{record:?}");
        }
    }

    #[test]
    fn what_older_and_other_versions_write_is_read() {
        let key = Bytes::from_static(b"\0\x08\0\x01g\0\x01m");
        let mut value = vec![0, 0, 0, 0, 0, 5, 0, 0, 0, 4, 9, 2];
        value.extend([9; 16]);
        value.extend([2, 0, 0, 0, 3, 0, 1, 0]);
        let read = records::decode(Some(key), Some(value.into())).unwrap();
        let Some(Record::Consumer { record: ConsumerRecord::Current(_, Some(read)), .. }) = read else {
            panic!()
        };
        assert_eq!(read.state, MemberState::Unknown);
        assert_eq!(
            read.assigned,
            Owned::from([(topic(), [(3, 5)].into())]),
            "the member's epoch stands for each"
        );
        let former = Bytes::from_static(b"\0\x04\0\x01g");
        assert_eq!(records::decode(Some(former), Some(Bytes::from_static(&[0, 0, 1, 0]))).unwrap(), None);
    }

    fn names() -> impl Strategy<Value = BTreeSet<String>> {
        prop::collection::btree_set("[a-z]{1,9}", 0..5)
    }

    fn owned() -> impl Strategy<Value = Owned> {
        let partitions = prop::collection::btree_map(any::<i32>(), any::<i32>(), 0..5);
        prop::collection::btree_map(any::<[u8; 16]>().prop_map(TopicId::from_bytes), partitions, 0..4)
    }

    fn parts() -> impl Strategy<Value = ConsumerRecord> {
        let member = || ".{0,9}";
        let text = || prop::option::of(".{1,9}");
        let bytes = prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
        let classic = (any::<i32>(), prop::collection::vec((".{0,9}", bytes), 0..3))
            .prop_map(|(session_timeout_ms, protocols)| ClassicProtocols { session_timeout_ms, protocols });
        let metadata = (
            (text(), text(), ".{0,9}", ".{0,9}"),
            (names(), text(), text()),
            any::<i32>(),
            prop::option::of(classic),
        )
            .prop_map(
                |(
                    (instance_id, rack_id, client_id, client_host),
                    (topics, regex, assignor),
                    timeout,
                    classic,
                )| {
                    ConsumerMemberMetadata {
                        instance_id,
                        rack_id,
                        client_id,
                        client_host,
                        topics,
                        regex,
                        rebalance_timeout_ms: timeout,
                        assignor,
                        classic,
                    }
                },
            );
        let states =
            [MemberState::Stable, MemberState::Unrevoked, MemberState::Unreleased, MemberState::Unknown];
        let current = (any::<i32>(), any::<i32>(), prop::sample::select(states.to_vec()), owned(), owned())
            .prop_map(|(epoch, previous_epoch, state, assigned, revoking)| CurrentAssignment {
                epoch,
                previous_epoch,
                state,
                assigned,
                revoking,
            });
        let target = owned().prop_map(|o| o.into_iter().map(|(t, p)| (t, p.into_keys().collect())).collect());
        let resolved = (names(), any::<i64>(), any::<i64>())
            .prop_map(|(topics, version, timestamp_ms)| ResolvedRegex { topics, version, timestamp_ms });
        prop_oneof![
            prop::option::of((any::<i32>(), any::<i64>())).prop_map(|e| ConsumerRecord::Epoch(
                e.map(|(epoch, metadata_hash)| GroupEpoch { epoch, metadata_hash })
            )),
            prop::option::of((any::<i32>(), any::<i64>())).prop_map(|e| ConsumerRecord::TargetEpoch(
                e.map(|(epoch, timestamp_ms)| TargetEpoch { epoch, timestamp_ms })
            )),
            (member(), prop::option::of(metadata)).prop_map(|(m, v)| ConsumerRecord::Member(m, v)),
            (member(), prop::option::of(target)).prop_map(|(m, v)| ConsumerRecord::Target(m, v)),
            (member(), prop::option::of(current)).prop_map(|(m, v)| ConsumerRecord::Current(m, v)),
            (member(), prop::option::of(resolved)).prop_map(|(r, v)| ConsumerRecord::Regex(r, v)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(record in parts()) {
            let record = Record::Consumer { group: "a group".into(), record };
            let (key, value) = records::encode(&record).unwrap();
            prop_assert!(key.len() + value.as_ref().map_or(0, Bytes::len) <= record.size_bound());
            prop_assert_eq!(records::decode(Some(key), value).unwrap(), Some(record));
        }
    }
}
