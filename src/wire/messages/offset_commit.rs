//! `OffsetCommitRequest` and `OffsetCommitResponse`.
//!
//! Generated from `wire/schema/offset_commit.schema` by `generate.py`; do not edit.

use crate::types::TopicId;
use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `OffsetCommitRequest`, API key 8, versions 2 to 10, flexible from 8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitRequest {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `GenerationIdOrMemberEpoch`; -1 when absent.
    pub generation_id_or_member_epoch: i32,
    /// `MemberId`.
    pub member_id: StrBytes,
    /// `GroupInstanceId`, from version 7.
    pub group_instance_id: Option<StrBytes>,
    /// `RetentionTimeMs`, to version 4; -1 when absent.
    pub retention_time_ms: i64,
    /// `Topics`.
    pub topics: Vec<OffsetCommitRequestTopic>,
}

impl Default for OffsetCommitRequest {
    fn default() -> Self {
        OffsetCommitRequest {
            group_id: StrBytes::default(),
            generation_id_or_member_epoch: -1,
            member_id: StrBytes::default(),
            group_instance_id: None,
            retention_time_ms: -1,
            topics: Vec::new(),
        }
    }
}

impl Codec for OffsetCommitRequest {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 8;
        let it = OffsetCommitRequest {
            group_id: d.string(flexible)?,
            generation_id_or_member_epoch: d.i32()?,
            member_id: d.string(flexible)?,
            group_instance_id: if version >= 7 { d.nullable_string(flexible)? } else { None },
            retention_time_ms: if version <= 4 { d.i64()? } else { -1 },
            topics: d.array(flexible, OffsetCommitRequestTopic::MIN_BYTES, |d| {
                OffsetCommitRequestTopic::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 8;
        e.string(&self.group_id, flexible)?;
        e.i32(self.generation_id_or_member_epoch);
        e.string(&self.member_id, flexible)?;
        if version >= 7 {
            e.nullable_string(self.group_instance_id.as_ref(), flexible)?;
        } else if self.group_instance_id.is_some() {
            return Err(EncodeError::NotInVersion { field: "OffsetCommitRequest.GroupInstanceId", version });
        }
        if version <= 4 {
            e.i64(self.retention_time_ms);
        }
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for OffsetCommitRequest {
    const NAME: &'static str = "OffsetCommitRequest";
    const VERSIONS: (i16, i16) = (2, 10);
}

impl Request for OffsetCommitRequest {
    const KEY: ApiKey = ApiKey::OffsetCommit;
    type Response = OffsetCommitResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetCommitRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetCommitRequest {
            group_id: g.text(),
            generation_id_or_member_epoch: g.i32(),
            member_id: g.text(),
            group_instance_id: if version >= 7 { g.option(true, |g| g.text()) } else { None },
            retention_time_ms: if version <= 4 { g.i64() } else { -1 },
            topics: g.array(|g| OffsetCommitRequestTopic::sample(g, version)),
        }
    }
}

/// Part of `OffsetCommitRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetCommitRequestTopic {
    /// `Name`, to version 9.
    pub name: StrBytes,
    /// `TopicId`, from version 10.
    pub topic_id: TopicId,
    /// `Partitions`.
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

impl Codec for OffsetCommitRequestTopic {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 8;
        let it = OffsetCommitRequestTopic {
            name: if version <= 9 { d.string(flexible)? } else { StrBytes::default() },
            topic_id: if version >= 10 { TopicId(d.uuid()?) } else { TopicId::ZERO },
            partitions: d.array(flexible, OffsetCommitRequestPartition::MIN_BYTES, |d| {
                OffsetCommitRequestPartition::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 8;
        if version <= 9 {
            e.string(&self.name, flexible)?;
        }
        if version >= 10 {
            e.uuid(self.topic_id.0);
        }
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetCommitRequestTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetCommitRequestTopic {
            name: if version <= 9 { g.text() } else { StrBytes::default() },
            topic_id: if version >= 10 { TopicId(g.uuid()) } else { TopicId::ZERO },
            partitions: g.array(|g| OffsetCommitRequestPartition::sample(g, version)),
        }
    }
}

/// Part of `OffsetCommitRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitRequestPartition {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `CommittedOffset`.
    pub committed_offset: i64,
    /// `CommittedLeaderEpoch`, from version 6; -1 when absent.
    pub committed_leader_epoch: i32,
    /// `CommittedMetadata`.
    pub committed_metadata: Option<StrBytes>,
}

impl Default for OffsetCommitRequestPartition {
    fn default() -> Self {
        OffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            committed_metadata: None,
        }
    }
}

impl Codec for OffsetCommitRequestPartition {
    const MIN_BYTES: usize = 13;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 8;
        let it = OffsetCommitRequestPartition {
            partition_index: d.i32()?,
            committed_offset: d.i64()?,
            committed_leader_epoch: if version >= 6 { d.i32()? } else { -1 },
            committed_metadata: d.nullable_string(flexible)?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 8;
        e.i32(self.partition_index);
        e.i64(self.committed_offset);
        if version >= 6 {
            e.i32(self.committed_leader_epoch);
        }
        e.nullable_string(self.committed_metadata.as_ref(), flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetCommitRequestPartition {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetCommitRequestPartition {
            partition_index: g.i32(),
            committed_offset: g.i64(),
            committed_leader_epoch: if version >= 6 { g.i32() } else { -1 },
            committed_metadata: g.option(true, |g| g.text()),
        }
    }
}

/// `OffsetCommitResponse`, API key 8, versions 2 to 10, flexible from 8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetCommitResponse {
    /// `ThrottleTimeMs`, from version 3.
    pub throttle_time_ms: i32,
    /// `Topics`.
    pub topics: Vec<OffsetCommitResponseTopic>,
}

impl Codec for OffsetCommitResponse {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 8;
        let it = OffsetCommitResponse {
            throttle_time_ms: if version >= 3 { d.i32()? } else { 0 },
            topics: d.array(flexible, OffsetCommitResponseTopic::MIN_BYTES, |d| {
                OffsetCommitResponseTopic::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 8;
        if version >= 3 {
            e.i32(self.throttle_time_ms);
        }
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for OffsetCommitResponse {
    const NAME: &'static str = "OffsetCommitResponse";
    const VERSIONS: (i16, i16) = (2, 10);
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetCommitResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetCommitResponse {
            throttle_time_ms: if version >= 3 { g.i32() } else { 0 },
            topics: g.array(|g| OffsetCommitResponseTopic::sample(g, version)),
        }
    }
}

/// Part of `OffsetCommitResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetCommitResponseTopic {
    /// `Name`, to version 9.
    pub name: StrBytes,
    /// `TopicId`, from version 10.
    pub topic_id: TopicId,
    /// `Partitions`.
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

impl Codec for OffsetCommitResponseTopic {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 8;
        let it = OffsetCommitResponseTopic {
            name: if version <= 9 { d.string(flexible)? } else { StrBytes::default() },
            topic_id: if version >= 10 { TopicId(d.uuid()?) } else { TopicId::ZERO },
            partitions: d.array(flexible, OffsetCommitResponsePartition::MIN_BYTES, |d| {
                OffsetCommitResponsePartition::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 8;
        if version <= 9 {
            e.string(&self.name, flexible)?;
        }
        if version >= 10 {
            e.uuid(self.topic_id.0);
        }
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetCommitResponseTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetCommitResponseTopic {
            name: if version <= 9 { g.text() } else { StrBytes::default() },
            topic_id: if version >= 10 { TopicId(g.uuid()) } else { TopicId::ZERO },
            partitions: g.array(|g| OffsetCommitResponsePartition::sample(g, version)),
        }
    }
}

/// Part of `OffsetCommitResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetCommitResponsePartition {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
}

impl Codec for OffsetCommitResponsePartition {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 8;
        let it = OffsetCommitResponsePartition { partition_index: d.i32()?, error_code: d.error_code()? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 8;
        e.i32(self.partition_index);
        e.error_code(self.error_code);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetCommitResponsePartition {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        OffsetCommitResponsePartition { partition_index: g.i32(), error_code: ErrorCode(g.i16()) }
    }
}
