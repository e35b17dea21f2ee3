//! `OffsetFetchRequest` and `OffsetFetchResponse`.
//!
//! Generated from `wire/schema/offset_fetch.schema` by `generate.py`; do not edit.

use crate::types::TopicId;
use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `OffsetFetchRequest`, API key 9, versions 1 to 10, flexible from 6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchRequest {
    /// `GroupId`, to version 7.
    pub group_id: StrBytes,
    /// `Topics`, to version 7; null from version 2.
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
    /// `Groups`, from version 8.
    pub groups: Vec<OffsetFetchRequestGroup>,
    /// `RequireStable`, from version 7.
    pub require_stable: bool,
}

impl Codec for OffsetFetchRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = OffsetFetchRequest {
            group_id: if version <= 7 { d.string(flexible)? } else { StrBytes::default() },
            topics: if version <= 7 {
                if version >= 2 {
                    d.nullable_array(flexible, OffsetFetchRequestTopic::MIN_BYTES, |d| {
                        OffsetFetchRequestTopic::decode(d, version)
                    })?
                } else {
                    Some(d.array(flexible, OffsetFetchRequestTopic::MIN_BYTES, |d| {
                        OffsetFetchRequestTopic::decode(d, version)
                    })?)
                }
            } else {
                None
            },
            groups: if version >= 8 {
                d.array(flexible, OffsetFetchRequestGroup::MIN_BYTES, |d| {
                    OffsetFetchRequestGroup::decode(d, version)
                })?
            } else {
                Vec::new()
            },
            require_stable: if version >= 7 { d.bool()? } else { false },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        if version <= 7 {
            e.string(&self.group_id, flexible)?;
        } else if !self.group_id.is_empty() {
            return Err(EncodeError::NotInVersion { field: "OffsetFetchRequest.GroupId", version });
        }
        if version <= 7 {
            if self.topics.is_none() && version <= 1 {
                return Err(EncodeError::Null { field: "OffsetFetchRequest.Topics", version });
            }
            e.nullable_array(self.topics.as_deref(), flexible, |e, item| item.encode(e, version))?;
        } else if self.topics.is_some() {
            return Err(EncodeError::NotInVersion { field: "OffsetFetchRequest.Topics", version });
        }
        if version >= 8 {
            e.array(&self.groups, flexible, |e, item| item.encode(e, version))?;
        } else if !self.groups.is_empty() {
            return Err(EncodeError::NotInVersion { field: "OffsetFetchRequest.Groups", version });
        }
        if version >= 7 {
            e.bool(self.require_stable);
        } else if self.require_stable {
            return Err(EncodeError::NotInVersion { field: "OffsetFetchRequest.RequireStable", version });
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for OffsetFetchRequest {
    const NAME: &'static str = "OffsetFetchRequest";
    const VERSIONS: (i16, i16) = (1, 10);
}

impl Request for OffsetFetchRequest {
    const KEY: ApiKey = ApiKey::OffsetFetch;
    type Response = OffsetFetchResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetFetchRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetFetchRequest {
            group_id: if version <= 7 { g.text() } else { StrBytes::default() },
            topics: if version <= 7 {
                g.option(version >= 2, |g| g.array(|g| OffsetFetchRequestTopic::sample(g, version)))
            } else {
                None
            },
            groups: if version >= 8 {
                g.array(|g| OffsetFetchRequestGroup::sample(g, version))
            } else {
                Vec::new()
            },
            require_stable: if version >= 7 { g.bool() } else { false },
        }
    }
}

/// Part of `OffsetFetchRequest`, to version 7.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchRequestTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `PartitionIndexes`.
    pub partition_indexes: Vec<i32>,
}

impl Codec for OffsetFetchRequestTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = OffsetFetchRequestTopic {
            name: d.string(flexible)?,
            partition_indexes: d.array(flexible, 4, |d| d.i32())?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        e.string(&self.name, flexible)?;
        e.array(&self.partition_indexes, flexible, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetFetchRequestTopic {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        OffsetFetchRequestTopic { name: g.text(), partition_indexes: g.array(|g| g.i32()) }
    }
}

/// Part of `OffsetFetchRequest`, from version 8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchRequestGroup {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `MemberId`, from version 9.
    pub member_id: Option<StrBytes>,
    /// `MemberEpoch`, from version 9; -1 when absent.
    pub member_epoch: i32,
    /// `Topics`.
    pub topics: Option<Vec<OffsetFetchRequestTopics>>,
}

impl Default for OffsetFetchRequestGroup {
    fn default() -> Self {
        OffsetFetchRequestGroup {
            group_id: StrBytes::default(),
            member_id: None,
            member_epoch: -1,
            topics: None,
        }
    }
}

impl Codec for OffsetFetchRequestGroup {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = OffsetFetchRequestGroup {
            group_id: d.string(true)?,
            member_id: if version >= 9 { d.nullable_string(true)? } else { None },
            member_epoch: if version >= 9 { d.i32()? } else { -1 },
            topics: d.nullable_array(true, OffsetFetchRequestTopics::MIN_BYTES, |d| {
                OffsetFetchRequestTopics::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.group_id, true)?;
        if version >= 9 {
            e.nullable_string(self.member_id.as_ref(), true)?;
        }
        if version >= 9 {
            e.i32(self.member_epoch);
        }
        e.nullable_array(self.topics.as_deref(), true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetFetchRequestGroup {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetFetchRequestGroup {
            group_id: g.text(),
            member_id: if version >= 9 { g.option(true, |g| g.text()) } else { None },
            member_epoch: if version >= 9 { g.i32() } else { -1 },
            topics: g.option(true, |g| g.array(|g| OffsetFetchRequestTopics::sample(g, version))),
        }
    }
}

/// Part of `OffsetFetchRequest`, from version 8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchRequestTopics {
    /// `Name`, to version 9.
    pub name: StrBytes,
    /// `TopicId`, from version 10.
    pub topic_id: TopicId,
    /// `PartitionIndexes`.
    pub partition_indexes: Vec<i32>,
}

impl Codec for OffsetFetchRequestTopics {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = OffsetFetchRequestTopics {
            name: if version <= 9 { d.string(true)? } else { StrBytes::default() },
            topic_id: if version >= 10 { TopicId(d.uuid()?) } else { TopicId::ZERO },
            partition_indexes: d.array(true, 4, |d| d.i32())?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        if version <= 9 {
            e.string(&self.name, true)?;
        }
        if version >= 10 {
            e.uuid(self.topic_id.0);
        }
        e.array(&self.partition_indexes, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetFetchRequestTopics {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetFetchRequestTopics {
            name: if version <= 9 { g.text() } else { StrBytes::default() },
            topic_id: if version >= 10 { TopicId(g.uuid()) } else { TopicId::ZERO },
            partition_indexes: g.array(|g| g.i32()),
        }
    }
}

/// `OffsetFetchResponse`, API key 9, versions 1 to 10, flexible from 6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchResponse {
    /// `ThrottleTimeMs`, from version 3.
    pub throttle_time_ms: i32,
    /// `Topics`, to version 7.
    pub topics: Vec<OffsetFetchResponseTopic>,
    /// `ErrorCode`, versions 2 to 7.
    pub error_code: ErrorCode,
    /// `Groups`, from version 8.
    pub groups: Vec<OffsetFetchResponseGroup>,
}

impl Codec for OffsetFetchResponse {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = OffsetFetchResponse {
            throttle_time_ms: if version >= 3 { d.i32()? } else { 0 },
            topics: if version <= 7 {
                d.array(flexible, OffsetFetchResponseTopic::MIN_BYTES, |d| {
                    OffsetFetchResponseTopic::decode(d, version)
                })?
            } else {
                Vec::new()
            },
            error_code: if (2..=7).contains(&version) { d.error_code()? } else { ErrorCode::NONE },
            groups: if version >= 8 {
                d.array(flexible, OffsetFetchResponseGroup::MIN_BYTES, |d| {
                    OffsetFetchResponseGroup::decode(d, version)
                })?
            } else {
                Vec::new()
            },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        if version >= 3 {
            e.i32(self.throttle_time_ms);
        }
        if version <= 7 {
            e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        }
        if (2..=7).contains(&version) {
            e.error_code(self.error_code);
        }
        if version >= 8 {
            e.array(&self.groups, flexible, |e, item| item.encode(e, version))?;
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for OffsetFetchResponse {
    const NAME: &'static str = "OffsetFetchResponse";
    const VERSIONS: (i16, i16) = (1, 10);
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetFetchResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetFetchResponse {
            throttle_time_ms: if version >= 3 { g.i32() } else { 0 },
            topics: if version <= 7 {
                g.array(|g| OffsetFetchResponseTopic::sample(g, version))
            } else {
                Vec::new()
            },
            error_code: if (2..=7).contains(&version) { ErrorCode(g.i16()) } else { ErrorCode::NONE },
            groups: if version >= 8 {
                g.array(|g| OffsetFetchResponseGroup::sample(g, version))
            } else {
                Vec::new()
            },
        }
    }
}

/// Part of `OffsetFetchResponse`, to version 7.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchResponseTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<OffsetFetchResponsePartition>,
}

impl Codec for OffsetFetchResponseTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = OffsetFetchResponseTopic {
            name: d.string(flexible)?,
            partitions: d.array(flexible, OffsetFetchResponsePartition::MIN_BYTES, |d| {
                OffsetFetchResponsePartition::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        e.string(&self.name, flexible)?;
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetFetchResponseTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetFetchResponseTopic {
            name: g.text(),
            partitions: g.array(|g| OffsetFetchResponsePartition::sample(g, version)),
        }
    }
}

/// Part of `OffsetFetchResponse`, to version 7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchResponsePartition {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `CommittedOffset`.
    pub committed_offset: i64,
    /// `CommittedLeaderEpoch`, from version 5; -1 when absent.
    pub committed_leader_epoch: i32,
    /// `Metadata`.
    pub metadata: Option<StrBytes>,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
}

impl Default for OffsetFetchResponsePartition {
    fn default() -> Self {
        OffsetFetchResponsePartition {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: None,
            error_code: ErrorCode::NONE,
        }
    }
}

impl Codec for OffsetFetchResponsePartition {
    const MIN_BYTES: usize = 15;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = OffsetFetchResponsePartition {
            partition_index: d.i32()?,
            committed_offset: d.i64()?,
            committed_leader_epoch: if version >= 5 { d.i32()? } else { -1 },
            metadata: d.nullable_string(flexible)?,
            error_code: d.error_code()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        e.i32(self.partition_index);
        e.i64(self.committed_offset);
        if version >= 5 {
            e.i32(self.committed_leader_epoch);
        }
        e.nullable_string(self.metadata.as_ref(), flexible)?;
        e.error_code(self.error_code);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetFetchResponsePartition {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetFetchResponsePartition {
            partition_index: g.i32(),
            committed_offset: g.i64(),
            committed_leader_epoch: if version >= 5 { g.i32() } else { -1 },
            metadata: g.option(true, |g| g.text()),
            error_code: ErrorCode(g.i16()),
        }
    }
}

/// Part of `OffsetFetchResponse`, from version 8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchResponseGroup {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `Topics`.
    pub topics: Vec<OffsetFetchResponseTopics>,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
}

impl Codec for OffsetFetchResponseGroup {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = OffsetFetchResponseGroup {
            group_id: d.string(true)?,
            topics: d.array(true, OffsetFetchResponseTopics::MIN_BYTES, |d| {
                OffsetFetchResponseTopics::decode(d, version)
            })?,
            error_code: d.error_code()?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.group_id, true)?;
        e.array(&self.topics, true, |e, item| item.encode(e, version))?;
        e.error_code(self.error_code);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetFetchResponseGroup {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetFetchResponseGroup {
            group_id: g.text(),
            topics: g.array(|g| OffsetFetchResponseTopics::sample(g, version)),
            error_code: ErrorCode(g.i16()),
        }
    }
}

/// Part of `OffsetFetchResponse`, from version 8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchResponseTopics {
    /// `Name`, to version 9.
    pub name: StrBytes,
    /// `TopicId`, from version 10.
    pub topic_id: TopicId,
    /// `Partitions`.
    pub partitions: Vec<OffsetFetchResponsePartitions>,
}

impl Codec for OffsetFetchResponseTopics {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = OffsetFetchResponseTopics {
            name: if version <= 9 { d.string(true)? } else { StrBytes::default() },
            topic_id: if version >= 10 { TopicId(d.uuid()?) } else { TopicId::ZERO },
            partitions: d.array(true, OffsetFetchResponsePartitions::MIN_BYTES, |d| {
                OffsetFetchResponsePartitions::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        if version <= 9 {
            e.string(&self.name, true)?;
        }
        if version >= 10 {
            e.uuid(self.topic_id.0);
        }
        e.array(&self.partitions, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetFetchResponseTopics {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetFetchResponseTopics {
            name: if version <= 9 { g.text() } else { StrBytes::default() },
            topic_id: if version >= 10 { TopicId(g.uuid()) } else { TopicId::ZERO },
            partitions: g.array(|g| OffsetFetchResponsePartitions::sample(g, version)),
        }
    }
}

/// Part of `OffsetFetchResponse`, from version 8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchResponsePartitions {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `CommittedOffset`.
    pub committed_offset: i64,
    /// `CommittedLeaderEpoch`; -1 when absent.
    pub committed_leader_epoch: i32,
    /// `Metadata`.
    pub metadata: Option<StrBytes>,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
}

impl Default for OffsetFetchResponsePartitions {
    fn default() -> Self {
        OffsetFetchResponsePartitions {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: None,
            error_code: ErrorCode::NONE,
        }
    }
}

impl Codec for OffsetFetchResponsePartitions {
    const MIN_BYTES: usize = 19;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = OffsetFetchResponsePartitions {
            partition_index: d.i32()?,
            committed_offset: d.i64()?,
            committed_leader_epoch: d.i32()?,
            metadata: d.nullable_string(true)?,
            error_code: d.error_code()?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.partition_index);
        e.i64(self.committed_offset);
        e.i32(self.committed_leader_epoch);
        e.nullable_string(self.metadata.as_ref(), true)?;
        e.error_code(self.error_code);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetFetchResponsePartitions {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        OffsetFetchResponsePartitions {
            partition_index: g.i32(),
            committed_offset: g.i64(),
            committed_leader_epoch: g.i32(),
            metadata: g.option(true, |g| g.text()),
            error_code: ErrorCode(g.i16()),
        }
    }
}
