//! Consumer group records.
//!
//! Generated from `wire/schema/consumer_group_records.schema` by `generate.py`; do not edit.

use bytes::Bytes;

use crate::types::TopicId;
use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, StrBytes, Tags};

/// `ConsumerGroupMetadataKey`, record type 3, version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupMetadataKey {
    /// `GroupId`.
    pub group_id: StrBytes,
}

impl Codec for ConsumerGroupMetadataKey {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(ConsumerGroupMetadataKey { group_id: d.string(false)? })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.group_id, false)?;
        Ok(())
    }
}

impl Message for ConsumerGroupMetadataKey {
    const NAME: &'static str = "ConsumerGroupMetadataKey";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupMetadataKey {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ConsumerGroupMetadataKey { group_id: g.text() }
    }
}

/// `ConsumerGroupMetadataValue`, record type 3, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupMetadataValue {
    /// `Epoch`.
    pub epoch: i32,
    /// `MetadataHash`; tag 0.
    pub metadata_hash: i64,
}

impl Codec for ConsumerGroupMetadataValue {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let mut it = ConsumerGroupMetadataValue { epoch: d.i32()?, metadata_hash: 0 };
        d.tags(|d, tag| {
            match tag {
                0 => it.metadata_hash = d.i64()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.epoch);
        let mut tags = Tags::new();
        if self.metadata_hash != 0 {
            tags.add(0, |e| {
                e.i64(self.metadata_hash);
                Ok(())
            })?;
        }
        e.tags(tags);
        Ok(())
    }
}

impl Message for ConsumerGroupMetadataValue {
    const NAME: &'static str = "ConsumerGroupMetadataValue";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupMetadataValue {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ConsumerGroupMetadataValue { epoch: g.i32(), metadata_hash: g.i64() }
    }
}

/// `ConsumerGroupMemberMetadataKey`, record type 5, version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupMemberMetadataKey {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `MemberId`.
    pub member_id: StrBytes,
}

impl Codec for ConsumerGroupMemberMetadataKey {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(ConsumerGroupMemberMetadataKey { group_id: d.string(false)?, member_id: d.string(false)? })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.group_id, false)?;
        e.string(&self.member_id, false)?;
        Ok(())
    }
}

impl Message for ConsumerGroupMemberMetadataKey {
    const NAME: &'static str = "ConsumerGroupMemberMetadataKey";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupMemberMetadataKey {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ConsumerGroupMemberMetadataKey { group_id: g.text(), member_id: g.text() }
    }
}

/// `ConsumerGroupMemberMetadataValue`, record type 5, version 0, flexible from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupMemberMetadataValue {
    /// `InstanceId`.
    pub instance_id: Option<StrBytes>,
    /// `RackId`.
    pub rack_id: Option<StrBytes>,
    /// `ClientId`.
    pub client_id: StrBytes,
    /// `ClientHost`.
    pub client_host: StrBytes,
    /// `SubscribedTopicNames`.
    pub subscribed_topic_names: Vec<StrBytes>,
    /// `SubscribedTopicRegex`.
    pub subscribed_topic_regex: Option<StrBytes>,
    /// `RebalanceTimeoutMs`; -1 when absent.
    pub rebalance_timeout_ms: i32,
    /// `ServerAssignor`.
    pub server_assignor: Option<StrBytes>,
    /// `ClassicMemberMetadata`; tag 0.
    pub classic_member_metadata: Option<ClassicMemberMetadata>,
}

impl Default for ConsumerGroupMemberMetadataValue {
    fn default() -> Self {
        ConsumerGroupMemberMetadataValue {
            instance_id: None,
            rack_id: None,
            client_id: StrBytes::default(),
            client_host: StrBytes::default(),
            subscribed_topic_names: Vec::new(),
            subscribed_topic_regex: None,
            rebalance_timeout_ms: -1,
            server_assignor: None,
            classic_member_metadata: None,
        }
    }
}

impl Codec for ConsumerGroupMemberMetadataValue {
    const MIN_BYTES: usize = 11;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let mut it = ConsumerGroupMemberMetadataValue {
            instance_id: d.nullable_string(true)?,
            rack_id: d.nullable_string(true)?,
            client_id: d.string(true)?,
            client_host: d.string(true)?,
            subscribed_topic_names: d.array(true, 1, |d| d.string(true))?,
            subscribed_topic_regex: d.nullable_string(true)?,
            rebalance_timeout_ms: d.i32()?,
            server_assignor: d.nullable_string(true)?,
            classic_member_metadata: None,
        };
        d.tags(|d, tag| {
            match tag {
                0 => {
                    it.classic_member_metadata =
                        d.nullable_struct(|d| ClassicMemberMetadata::decode(d, version))?
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.nullable_string(self.instance_id.as_ref(), true)?;
        e.nullable_string(self.rack_id.as_ref(), true)?;
        e.string(&self.client_id, true)?;
        e.string(&self.client_host, true)?;
        e.array(&self.subscribed_topic_names, true, |e, item| e.string(item, true))?;
        e.nullable_string(self.subscribed_topic_regex.as_ref(), true)?;
        e.i32(self.rebalance_timeout_ms);
        e.nullable_string(self.server_assignor.as_ref(), true)?;
        let mut tags = Tags::new();
        if self.classic_member_metadata.is_some() {
            tags.add(0, |e| {
                e.nullable_struct(self.classic_member_metadata.as_ref(), |e, it| it.encode(e, version))
            })?;
        }
        e.tags(tags);
        Ok(())
    }
}

impl Message for ConsumerGroupMemberMetadataValue {
    const NAME: &'static str = "ConsumerGroupMemberMetadataValue";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupMemberMetadataValue {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ConsumerGroupMemberMetadataValue {
            instance_id: g.option(true, |g| g.text()),
            rack_id: g.option(true, |g| g.text()),
            client_id: g.text(),
            client_host: g.text(),
            subscribed_topic_names: g.array(|g| g.text()),
            subscribed_topic_regex: g.option(true, |g| g.text()),
            rebalance_timeout_ms: g.i32(),
            server_assignor: g.option(true, |g| g.text()),
            classic_member_metadata: g.option(true, |g| ClassicMemberMetadata::sample(g, version)),
        }
    }
}

/// Part of `ConsumerGroupMemberMetadataValue`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicMemberMetadata {
    /// `SessionTimeoutMs`.
    pub session_timeout_ms: i32,
    /// `SupportedProtocols`.
    pub supported_protocols: Vec<ClassicProtocol>,
}

impl Codec for ClassicMemberMetadata {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ClassicMemberMetadata {
            session_timeout_ms: d.i32()?,
            supported_protocols: d
                .array(true, ClassicProtocol::MIN_BYTES, |d| ClassicProtocol::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.session_timeout_ms);
        e.array(&self.supported_protocols, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ClassicMemberMetadata {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ClassicMemberMetadata {
            session_timeout_ms: g.i32(),
            supported_protocols: g.array(|g| ClassicProtocol::sample(g, version)),
        }
    }
}

/// Part of `ConsumerGroupMemberMetadataValue`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicProtocol {
    /// `Name`.
    pub name: StrBytes,
    /// `Metadata`.
    pub metadata: Bytes,
}

impl Codec for ClassicProtocol {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = ClassicProtocol { name: d.string(true)?, metadata: d.bytes(true)? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.bytes(&self.metadata, true)?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ClassicProtocol {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ClassicProtocol { name: g.text(), metadata: g.bytes() }
    }
}

/// `ConsumerGroupTargetAssignmentMetadataKey`, record type 6, version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupTargetAssignmentMetadataKey {
    /// `GroupId`.
    pub group_id: StrBytes,
}

impl Codec for ConsumerGroupTargetAssignmentMetadataKey {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(ConsumerGroupTargetAssignmentMetadataKey { group_id: d.string(false)? })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.group_id, false)?;
        Ok(())
    }
}

impl Message for ConsumerGroupTargetAssignmentMetadataKey {
    const NAME: &'static str = "ConsumerGroupTargetAssignmentMetadataKey";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupTargetAssignmentMetadataKey {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ConsumerGroupTargetAssignmentMetadataKey { group_id: g.text() }
    }
}

/// `ConsumerGroupTargetAssignmentMetadataValue`, record type 6, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupTargetAssignmentMetadataValue {
    /// `AssignmentEpoch`.
    pub assignment_epoch: i32,
    /// `AssignmentTimestamp`; tag 0.
    pub assignment_timestamp: i64,
}

impl Codec for ConsumerGroupTargetAssignmentMetadataValue {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let mut it = ConsumerGroupTargetAssignmentMetadataValue {
            assignment_epoch: d.i32()?,
            assignment_timestamp: 0,
        };
        d.tags(|d, tag| {
            match tag {
                0 => it.assignment_timestamp = d.i64()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.assignment_epoch);
        let mut tags = Tags::new();
        if self.assignment_timestamp != 0 {
            tags.add(0, |e| {
                e.i64(self.assignment_timestamp);
                Ok(())
            })?;
        }
        e.tags(tags);
        Ok(())
    }
}

impl Message for ConsumerGroupTargetAssignmentMetadataValue {
    const NAME: &'static str = "ConsumerGroupTargetAssignmentMetadataValue";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupTargetAssignmentMetadataValue {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ConsumerGroupTargetAssignmentMetadataValue {
            assignment_epoch: g.i32(),
            assignment_timestamp: g.i64(),
        }
    }
}

/// `ConsumerGroupTargetAssignmentMemberKey`, record type 7, version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupTargetAssignmentMemberKey {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `MemberId`.
    pub member_id: StrBytes,
}

impl Codec for ConsumerGroupTargetAssignmentMemberKey {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(ConsumerGroupTargetAssignmentMemberKey { group_id: d.string(false)?, member_id: d.string(false)? })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.group_id, false)?;
        e.string(&self.member_id, false)?;
        Ok(())
    }
}

impl Message for ConsumerGroupTargetAssignmentMemberKey {
    const NAME: &'static str = "ConsumerGroupTargetAssignmentMemberKey";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupTargetAssignmentMemberKey {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ConsumerGroupTargetAssignmentMemberKey { group_id: g.text(), member_id: g.text() }
    }
}

/// `ConsumerGroupTargetAssignmentMemberValue`, record type 7, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupTargetAssignmentMemberValue {
    /// `TopicPartitions`.
    pub topic_partitions: Vec<TopicPartition>,
}

impl Codec for ConsumerGroupTargetAssignmentMemberValue {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ConsumerGroupTargetAssignmentMemberValue {
            topic_partitions: d
                .array(true, TopicPartition::MIN_BYTES, |d| TopicPartition::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.array(&self.topic_partitions, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for ConsumerGroupTargetAssignmentMemberValue {
    const NAME: &'static str = "ConsumerGroupTargetAssignmentMemberValue";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupTargetAssignmentMemberValue {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ConsumerGroupTargetAssignmentMemberValue {
            topic_partitions: g.array(|g| TopicPartition::sample(g, version)),
        }
    }
}

/// Part of `ConsumerGroupTargetAssignmentMemberValue`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPartition {
    /// `TopicId`.
    pub topic_id: TopicId,
    /// `Partitions`.
    pub partitions: Vec<i32>,
}

impl Codec for TopicPartition {
    const MIN_BYTES: usize = 17;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = TopicPartition { topic_id: TopicId(d.uuid()?), partitions: d.array(true, 4, |d| d.i32())? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.uuid(self.topic_id.0);
        e.array(&self.partitions, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TopicPartition {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        TopicPartition { topic_id: TopicId(g.uuid()), partitions: g.array(|g| g.i32()) }
    }
}

/// `ConsumerGroupCurrentMemberAssignmentKey`, record type 8, version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupCurrentMemberAssignmentKey {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `MemberId`.
    pub member_id: StrBytes,
}

impl Codec for ConsumerGroupCurrentMemberAssignmentKey {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(ConsumerGroupCurrentMemberAssignmentKey {
            group_id: d.string(false)?,
            member_id: d.string(false)?,
        })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.group_id, false)?;
        e.string(&self.member_id, false)?;
        Ok(())
    }
}

impl Message for ConsumerGroupCurrentMemberAssignmentKey {
    const NAME: &'static str = "ConsumerGroupCurrentMemberAssignmentKey";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupCurrentMemberAssignmentKey {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ConsumerGroupCurrentMemberAssignmentKey { group_id: g.text(), member_id: g.text() }
    }
}

/// `ConsumerGroupCurrentMemberAssignmentValue`, record type 8, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupCurrentMemberAssignmentValue {
    /// `MemberEpoch`.
    pub member_epoch: i32,
    /// `PreviousMemberEpoch`.
    pub previous_member_epoch: i32,
    /// `State`.
    pub state: i8,
    /// `AssignedPartitions`.
    pub assigned_partitions: Vec<TopicPartitions>,
    /// `PartitionsPendingRevocation`.
    pub partitions_pending_revocation: Vec<TopicPartitions>,
}

impl Codec for ConsumerGroupCurrentMemberAssignmentValue {
    const MIN_BYTES: usize = 11;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: d.i32()?,
            previous_member_epoch: d.i32()?,
            state: d.i8()?,
            assigned_partitions: d
                .array(true, TopicPartitions::MIN_BYTES, |d| TopicPartitions::decode(d, version))?,
            partitions_pending_revocation: d
                .array(true, TopicPartitions::MIN_BYTES, |d| TopicPartitions::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.member_epoch);
        e.i32(self.previous_member_epoch);
        e.i8(self.state);
        e.array(&self.assigned_partitions, true, |e, item| item.encode(e, version))?;
        e.array(&self.partitions_pending_revocation, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for ConsumerGroupCurrentMemberAssignmentValue {
    const NAME: &'static str = "ConsumerGroupCurrentMemberAssignmentValue";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupCurrentMemberAssignmentValue {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: g.i32(),
            previous_member_epoch: g.i32(),
            state: g.i8(),
            assigned_partitions: g.array(|g| TopicPartitions::sample(g, version)),
            partitions_pending_revocation: g.array(|g| TopicPartitions::sample(g, version)),
        }
    }
}

/// Part of `ConsumerGroupCurrentMemberAssignmentValue`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPartitions {
    /// `TopicId`.
    pub topic_id: TopicId,
    /// `Partitions`.
    pub partitions: Vec<i32>,
    /// `AssignmentEpochs`; tag 0.
    pub assignment_epochs: Option<Vec<i32>>,
}

impl Codec for TopicPartitions {
    const MIN_BYTES: usize = 17;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let mut it = TopicPartitions {
            topic_id: TopicId(d.uuid()?),
            partitions: d.array(true, 4, |d| d.i32())?,
            assignment_epochs: None,
        };
        d.tags(|d, tag| {
            match tag {
                0 => it.assignment_epochs = d.nullable_array(true, 4, |d| d.i32())?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.uuid(self.topic_id.0);
        e.array(&self.partitions, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        let mut tags = Tags::new();
        if self.assignment_epochs.is_some() {
            tags.add(0, |e| {
                e.nullable_array(self.assignment_epochs.as_deref(), true, |e, item| {
                    e.i32(*item);
                    Ok(())
                })
            })?;
        }
        e.tags(tags);
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TopicPartitions {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        TopicPartitions {
            topic_id: TopicId(g.uuid()),
            partitions: g.array(|g| g.i32()),
            assignment_epochs: g.option(true, |g| g.array(|g| g.i32())),
        }
    }
}

/// `ConsumerGroupRegularExpressionKey`, record type 16, version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupRegularExpressionKey {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `RegularExpression`.
    pub regular_expression: StrBytes,
}

impl Codec for ConsumerGroupRegularExpressionKey {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(ConsumerGroupRegularExpressionKey {
            group_id: d.string(false)?,
            regular_expression: d.string(false)?,
        })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.group_id, false)?;
        e.string(&self.regular_expression, false)?;
        Ok(())
    }
}

impl Message for ConsumerGroupRegularExpressionKey {
    const NAME: &'static str = "ConsumerGroupRegularExpressionKey";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupRegularExpressionKey {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ConsumerGroupRegularExpressionKey { group_id: g.text(), regular_expression: g.text() }
    }
}

/// `ConsumerGroupRegularExpressionValue`, record type 16, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupRegularExpressionValue {
    /// `Topics`.
    pub topics: Vec<StrBytes>,
    /// `Version`.
    pub version: i64,
    /// `Timestamp`.
    pub timestamp: i64,
}

impl Codec for ConsumerGroupRegularExpressionValue {
    const MIN_BYTES: usize = 17;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = ConsumerGroupRegularExpressionValue {
            topics: d.array(true, 1, |d| d.string(true))?,
            version: d.i64()?,
            timestamp: d.i64()?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.array(&self.topics, true, |e, item| e.string(item, true))?;
        e.i64(self.version);
        e.i64(self.timestamp);
        e.no_tags();
        Ok(())
    }
}

impl Message for ConsumerGroupRegularExpressionValue {
    const NAME: &'static str = "ConsumerGroupRegularExpressionValue";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupRegularExpressionValue {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ConsumerGroupRegularExpressionValue {
            topics: g.array(|g| g.text()),
            version: g.i64(),
            timestamp: g.i64(),
        }
    }
}
