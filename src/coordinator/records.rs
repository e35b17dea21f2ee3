//! The bytes of the coordinator's records: Kafka's own schemas, so that its formatters and lag tools read them.
//!
//! A key begins with its record type, a value with its version, both 16 bits. Types of later protocols, and values
//! of later versions, are left alone: whoever wrote them reads them.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::consumer_record;
use super::record::{CommittedOffset, GroupId, GroupMetadata, MemberMetadata, Record};
use crate::types::{InvalidTopicName, LeaderEpoch, Offset, TopicId, TopicName};
use crate::wire::messages::consumer_offsets as wire;
use crate::wire::{DecodeError, EncodeError, Limits, Message, StrBytes};

/// The newest type of an offset's key; 0 is the same layout.
const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;

/// The last version that is not flexible, and knows the leader epoch.
const OFFSET_VALUE: i16 = 3;
/// The only version that knows an expiry of its own.
const OFFSET_VALUE_EXPIRING: i16 = 1;
/// The first version that knows the topic's identity.
const OFFSET_VALUE_TOPIC_ID: i16 = 4;
const GROUP_VALUE: i16 = 3;

/// Bytes that are no record of a coordinator.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidRecord {
    /// No key, or one of less than two bytes.
    #[error("the record has no key with a type")]
    NoKey,
    /// A value of less than two bytes.
    #[error("the value has no version")]
    NoVersion,
    /// Key or value do not parse.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An offset of a topic that cannot be.
    #[error(transparent)]
    Topic(#[from] InvalidTopicName),
}

/// Key and value of a record, as they are appended; no value is a tombstone.
///
/// # Errors
/// `EncodeError` when a text is longer than the schema can say.
pub fn encode(record: &Record) -> Result<(Bytes, Option<Bytes>), EncodeError> {
    match record {
        Record::Offset { group, topic, partition, value } => {
            let key = wire::OffsetCommitKey {
                group: StrBytes::from(&**group),
                topic: StrBytes::from(topic.as_str()),
                partition: *partition,
            };
            let key = tagged(OFFSET_KEY, &key, 0)?;
            Ok((key, value.as_ref().map(encode_offset).transpose()?))
        }
        Record::Group { group, value } => {
            let key = wire::GroupMetadataKey { group: StrBytes::from(&**group) };
            let key = tagged(GROUP_KEY, &key, 0)?;
            Ok((key, value.as_ref().map(encode_group).transpose()?))
        }
        Record::Consumer { group, record } => consumer_record::encode(group, record),
    }
}

/// Reads a record; `None` for one of a type or version that belongs to others.
///
/// # Errors
/// `InvalidRecord` when the bytes are not what their type says.
pub fn decode(key: Option<Bytes>, value: Option<Bytes>) -> Result<Option<Record>, InvalidRecord> {
    let mut key = key.filter(|k| k.len() >= 2).ok_or(InvalidRecord::NoKey)?;
    match key.get_i16() {
        0..=OFFSET_KEY => {
            let key = wire::OffsetCommitKey::from_bytes(key, 0, &Limits::default())?;
            let Some(value) = decode_value(value, decode_offset)? else { return Ok(None) };
            Ok(Some(Record::Offset {
                group: GroupId::from(&*key.group),
                topic: TopicName::new(&key.topic)?,
                partition: key.partition,
                value,
            }))
        }
        GROUP_KEY => {
            let key = wire::GroupMetadataKey::from_bytes(key, 0, &Limits::default())?;
            let Some(value) = decode_value(value, decode_group)? else { return Ok(None) };
            Ok(Some(Record::Group { group: GroupId::from(&*key.group), value }))
        }
        kind => consumer_record::decode(kind, key, value),
    }
}

pub(super) fn tagged(tag: i16, message: &impl Message, version: i16) -> Result<Bytes, EncodeError> {
    let body = message.to_bytes(version)?;
    let mut bytes = BytesMut::with_capacity(2 + body.len());
    bytes.put_i16(tag);
    bytes.put(body);
    Ok(bytes.freeze())
}

fn encode_offset(value: &CommittedOffset) -> Result<Bytes, EncodeError> {
    let version = match (value.expire_timestamp_ms, value.topic_id) {
        (Some(_), _) => OFFSET_VALUE_EXPIRING,
        (None, TopicId::ZERO) => OFFSET_VALUE,
        (None, _) => OFFSET_VALUE_TOPIC_ID,
    };
    let message = wire::OffsetCommitValue {
        offset: value.offset.0,
        leader_epoch: value.leader_epoch.0,
        metadata: StrBytes::from(&*value.metadata),
        commit_timestamp: value.commit_timestamp_ms,
        expire_timestamp: value.expire_timestamp_ms.unwrap_or(-1),
        topic_id: value.topic_id,
    };
    tagged(version, &message, version)
}

fn encode_group(value: &GroupMetadata) -> Result<Bytes, EncodeError> {
    let member = |m: &MemberMetadata| wire::MemberMetadata {
        member_id: StrBytes::from(&m.member_id),
        group_instance_id: m.instance_id.as_ref().map(StrBytes::from),
        client_id: StrBytes::from(&m.client_id),
        client_host: StrBytes::from(&m.client_host),
        rebalance_timeout: m.rebalance_timeout_ms,
        session_timeout: m.session_timeout_ms,
        subscription: m.subscription.clone(),
        assignment: m.assignment.clone(),
    };
    let message = wire::GroupMetadataValue {
        protocol_type: StrBytes::from(&value.protocol_type),
        generation: value.generation,
        protocol: value.protocol.as_ref().map(StrBytes::from),
        leader: value.leader.as_ref().map(StrBytes::from),
        current_state_timestamp: value.state_timestamp_ms,
        members: value.members.iter().map(member).collect(),
    };
    tagged(GROUP_VALUE, &message, GROUP_VALUE)
}

/// The outer `None` is a version of others, the inner one a tombstone.
pub(super) fn decode_value<M: Message, T>(
    value: Option<Bytes>,
    convert: impl FnOnce(M) -> T,
) -> Result<Option<Option<T>>, InvalidRecord> {
    let Some(mut value) = value else { return Ok(Some(None)) };
    if value.len() < 2 {
        return Err(InvalidRecord::NoVersion);
    }
    let version = value.get_i16();
    if version > M::VERSIONS.1 {
        return Ok(None);
    }
    Ok(Some(Some(convert(M::from_bytes(value, version, &Limits::default())?))))
}

fn decode_offset(value: wire::OffsetCommitValue) -> CommittedOffset {
    CommittedOffset {
        offset: Offset(value.offset),
        leader_epoch: LeaderEpoch(value.leader_epoch),
        metadata: Arc::from(&*value.metadata),
        commit_timestamp_ms: value.commit_timestamp,
        expire_timestamp_ms: Some(value.expire_timestamp).filter(|t| *t >= 0),
        topic_id: value.topic_id,
    }
}

/// Everything is copied: a slice would keep the whole read of the log alive.
fn decode_group(value: wire::GroupMetadataValue) -> GroupMetadata {
    let own = |text: &StrBytes| text.as_str().to_owned();
    GroupMetadata {
        protocol_type: own(&value.protocol_type),
        generation: value.generation,
        protocol: value.protocol.as_ref().map(own),
        leader: value.leader.as_ref().map(own),
        state_timestamp_ms: value.current_state_timestamp,
        members: value
            .members
            .iter()
            .map(|m| MemberMetadata {
                member_id: own(&m.member_id),
                instance_id: m.group_instance_id.as_ref().map(own),
                client_id: own(&m.client_id),
                client_host: own(&m.client_host),
                rebalance_timeout_ms: m.rebalance_timeout,
                session_timeout_ms: m.session_timeout,
                subscription: Bytes::copy_from_slice(&m.subscription),
                assignment: Bytes::copy_from_slice(&m.assignment),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(bytes: &Bytes) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn offset() -> CommittedOffset {
        CommittedOffset {
            offset: Offset(0x0102),
            leader_epoch: LeaderEpoch(5),
            metadata: "m".into(),
            commit_timestamp_ms: 0x10,
            expire_timestamp_ms: None,
            topic_id: TopicId::ZERO,
        }
    }

    fn of(value: Option<CommittedOffset>) -> Record {
        Record::Offset { group: "g".into(), topic: TopicName::new("t").unwrap(), partition: 7, value }
    }

    fn group() -> GroupMetadata {
        GroupMetadata {
            protocol_type: "consumer".into(),
            generation: 3,
            protocol: Some("range".into()),
            leader: Some("a".into()),
            state_timestamp_ms: 0x20,
            members: vec![MemberMetadata {
                member_id: "a".into(),
                instance_id: Some("i".into()),
                client_id: "c".into(),
                client_host: "/h".into(),
                rebalance_timeout_ms: 300_000,
                session_timeout_ms: 45_000,
                subscription: Bytes::from_static(b"s"),
                assignment: Bytes::from_static(b"as"),
            }],
        }
    }

    /// The bytes are Kafka's; a change of them is a change of the format of every stored group.
    #[test]
    fn the_bytes_are_kafkas() {
        let (key, value) = encode(&of(Some(offset()))).unwrap();
        assert_eq!(hex(&key), "0001".to_owned() + "000167" + "000174" + "00000007");
        assert_eq!(
            hex(&value.unwrap()),
            "0003".to_owned() + "0000000000000102" + "00000005" + "00016d" + "0000000000000010"
        );

        let expiring =
            CommittedOffset { expire_timestamp_ms: Some(0x11), leader_epoch: LeaderEpoch::NONE, ..offset() };
        let (_, value) = encode(&of(Some(expiring))).unwrap();
        assert_eq!(
            hex(&value.unwrap()),
            "0001".to_owned() + "0000000000000102" + "00016d" + "0000000000000010" + "0000000000000011"
        );

        let with_topic_id = CommittedOffset { topic_id: TopicId::from_bytes([9; 16]), ..offset() };
        let (_, value) = encode(&of(Some(with_topic_id))).unwrap();
        let id = "09".repeat(16);
        assert_eq!(
            hex(&value.unwrap()),
            "0004".to_owned()
                + "0000000000000102"
                + "00000005"
                + "026d"
                + "0000000000000010"
                + &format!("010010{id}")
        );

        let (key, value) = encode(&Record::Group { group: "g".into(), value: Some(group()) }).unwrap();
        assert_eq!(hex(&key), "0002".to_owned() + "000167");
        assert_eq!(
            hex(&value.unwrap()),
            "0003".to_owned()
                + "0008636f6e73756d6572"
                + "00000003"
                + "000572616e6765"
                + "000161"
                + "0000000000000020"
                + "00000001"
                + "000161"
                + "000169"
                + "000163"
                + "00022f68"
                + "000493e0"
                + "0000afc8"
                + "0000000173"
                + "000000026173"
        );
    }

    #[test]
    fn a_tombstone_has_a_key_alone() {
        for record in [of(None), Record::Group { group: "g".into(), value: None }] {
            let (key, value) = encode(&record).unwrap();
            assert_eq!(value, None);
            assert_eq!(decode(Some(key), None).unwrap(), Some(record));
        }
    }

    #[test]
    fn records_of_others_are_left_alone() {
        let streams_group_key = Bytes::from_static(&[0, 17, 0, 1, b'g']);
        assert_eq!(decode(Some(streams_group_key), Some(Bytes::from_static(&[0, 0]))).unwrap(), None);
        let (key, _) = encode(&of(None)).unwrap();
        assert_eq!(decode(Some(key), Some(Bytes::from_static(&[0, 99, 1, 2]))).unwrap(), None);
    }

    #[test]
    fn broken_bytes_are_an_error_and_never_a_panic() {
        assert_eq!(decode(None, None), Err(InvalidRecord::NoKey));
        assert!(decode(Some(Bytes::from_static(&[0, 1, 0])), None).is_err());
        let (key, value) = encode(&Record::Group { group: "g".into(), value: Some(group()) }).unwrap();
        let value = value.unwrap();
        for end in 0..value.len() {
            assert!(decode(Some(key.clone()), Some(value.slice(..end))).is_err(), "cut at {end}");
        }
    }

    fn offsets() -> impl Strategy<Value = CommittedOffset> {
        (
            any::<i64>(),
            any::<i32>(),
            ".{0,20}",
            any::<i64>(),
            prop::option::of(0..i64::MAX),
            any::<[u8; 16]>(),
        )
            .prop_map(|(offset, epoch, metadata, at, expires, id)| CommittedOffset {
                offset: Offset(offset),
                // Version 1, which alone knows the expiry, knows neither epoch nor topic id.
                leader_epoch: if expires.is_some() { LeaderEpoch::NONE } else { LeaderEpoch(epoch) },
                metadata: metadata.into(),
                commit_timestamp_ms: at,
                expire_timestamp_ms: expires,
                topic_id: if expires.is_some() { TopicId::ZERO } else { TopicId::from_bytes(id) },
            })
    }

    fn members() -> impl Strategy<Value = MemberMetadata> {
        (
            (".{0,9}", prop::option::of(".{0,9}"), ".{0,9}", ".{0,9}"),
            (any::<i32>(), any::<i32>()),
            prop::collection::vec(any::<u8>(), 0..20),
            prop::collection::vec(any::<u8>(), 0..20),
        )
            .prop_map(|(names, timeouts, subscription, assignment)| MemberMetadata {
                member_id: names.0,
                instance_id: names.1,
                client_id: names.2,
                client_host: names.3,
                rebalance_timeout_ms: timeouts.0,
                session_timeout_ms: timeouts.1,
                subscription: subscription.into(),
                assignment: assignment.into(),
            })
    }

    fn groups() -> impl Strategy<Value = GroupMetadata> {
        (
            ".{0,9}",
            any::<i32>(),
            prop::option::of(".{0,9}"),
            prop::option::of(".{0,9}"),
            any::<i64>(),
            prop::collection::vec(members(), 0..4),
        )
            .prop_map(|(protocol_type, generation, protocol, leader, at, members)| GroupMetadata {
                protocol_type,
                generation,
                protocol,
                leader,
                state_timestamp_ms: at,
                members,
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(offset in prop::option::of(offsets()), group in prop::option::of(groups())) {
            for record in [of(offset), Record::Group { group: "a group".into(), value: group }] {
                let (key, value) = encode(&record).unwrap();
                prop_assert!(key.len() + value.as_ref().map_or(0, Bytes::len) <= record.size_bound());
                prop_assert_eq!(decode(Some(key), value).unwrap(), Some(record));
            }
        }
    }
}
