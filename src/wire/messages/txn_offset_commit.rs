//! `TxnOffsetCommitRequest` and `TxnOffsetCommitResponse`.
//!
//! Generated from `wire/schema/txn_offset_commit.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `TxnOffsetCommitRequest`, API key 28, versions 0 to 5, flexible from 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOffsetCommitRequest {
    /// `TransactionalId`.
    pub transactional_id: StrBytes,
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `ProducerId`.
    pub producer_id: i64,
    /// `ProducerEpoch`.
    pub producer_epoch: i16,
    /// `GenerationId`, from version 3; -1 when absent.
    pub generation_id: i32,
    /// `MemberId`, from version 3.
    pub member_id: StrBytes,
    /// `GroupInstanceId`, from version 3.
    pub group_instance_id: Option<StrBytes>,
    /// `Topics`.
    pub topics: Vec<TxnOffsetCommitRequestTopic>,
}

impl Default for TxnOffsetCommitRequest {
    fn default() -> Self {
        TxnOffsetCommitRequest {
            transactional_id: StrBytes::default(),
            group_id: StrBytes::default(),
            producer_id: 0,
            producer_epoch: 0,
            generation_id: -1,
            member_id: StrBytes::default(),
            group_instance_id: None,
            topics: Vec::new(),
        }
    }
}

impl Codec for TxnOffsetCommitRequest {
    const MIN_BYTES: usize = 13;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = TxnOffsetCommitRequest {
            transactional_id: d.string(flexible)?,
            group_id: d.string(flexible)?,
            producer_id: d.i64()?,
            producer_epoch: d.i16()?,
            generation_id: if version >= 3 { d.i32()? } else { -1 },
            member_id: if version >= 3 { d.string(flexible)? } else { StrBytes::default() },
            group_instance_id: if version >= 3 { d.nullable_string(flexible)? } else { None },
            topics: d.array(flexible, TxnOffsetCommitRequestTopic::MIN_BYTES, |d| {
                TxnOffsetCommitRequestTopic::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.string(&self.transactional_id, flexible)?;
        e.string(&self.group_id, flexible)?;
        e.i64(self.producer_id);
        e.i16(self.producer_epoch);
        if version >= 3 {
            e.i32(self.generation_id);
        } else if self.generation_id != -1 {
            return Err(EncodeError::NotInVersion { field: "TxnOffsetCommitRequest.GenerationId", version });
        }
        if version >= 3 {
            e.string(&self.member_id, flexible)?;
        } else if !self.member_id.is_empty() {
            return Err(EncodeError::NotInVersion { field: "TxnOffsetCommitRequest.MemberId", version });
        }
        if version >= 3 {
            e.nullable_string(self.group_instance_id.as_ref(), flexible)?;
        } else if self.group_instance_id.is_some() {
            return Err(EncodeError::NotInVersion {
                field: "TxnOffsetCommitRequest.GroupInstanceId",
                version,
            });
        }
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for TxnOffsetCommitRequest {
    const NAME: &'static str = "TxnOffsetCommitRequest";
    const VERSIONS: (i16, i16) = (0, 5);
}

impl Request for TxnOffsetCommitRequest {
    const KEY: ApiKey = ApiKey::TxnOffsetCommit;
    type Response = TxnOffsetCommitResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for TxnOffsetCommitRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        TxnOffsetCommitRequest {
            transactional_id: g.text(),
            group_id: g.text(),
            producer_id: g.i64(),
            producer_epoch: g.i16(),
            generation_id: if version >= 3 { g.i32() } else { -1 },
            member_id: if version >= 3 { g.text() } else { StrBytes::default() },
            group_instance_id: if version >= 3 { g.option(true, |g| g.text()) } else { None },
            topics: g.array(|g| TxnOffsetCommitRequestTopic::sample(g, version)),
        }
    }
}

/// Part of `TxnOffsetCommitRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnOffsetCommitRequestTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<TxnOffsetCommitRequestPartition>,
}

impl Codec for TxnOffsetCommitRequestTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = TxnOffsetCommitRequestTopic {
            name: d.string(flexible)?,
            partitions: d.array(flexible, TxnOffsetCommitRequestPartition::MIN_BYTES, |d| {
                TxnOffsetCommitRequestPartition::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.string(&self.name, flexible)?;
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TxnOffsetCommitRequestTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        TxnOffsetCommitRequestTopic {
            name: g.text(),
            partitions: g.array(|g| TxnOffsetCommitRequestPartition::sample(g, version)),
        }
    }
}

/// Part of `TxnOffsetCommitRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOffsetCommitRequestPartition {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `CommittedOffset`.
    pub committed_offset: i64,
    /// `CommittedLeaderEpoch`, from version 2; -1 when absent.
    pub committed_leader_epoch: i32,
    /// `CommittedMetadata`.
    pub committed_metadata: Option<StrBytes>,
}

impl Default for TxnOffsetCommitRequestPartition {
    fn default() -> Self {
        TxnOffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            committed_metadata: None,
        }
    }
}

impl Codec for TxnOffsetCommitRequestPartition {
    const MIN_BYTES: usize = 13;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = TxnOffsetCommitRequestPartition {
            partition_index: d.i32()?,
            committed_offset: d.i64()?,
            committed_leader_epoch: if version >= 2 { d.i32()? } else { -1 },
            committed_metadata: d.nullable_string(flexible)?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.i32(self.partition_index);
        e.i64(self.committed_offset);
        if version >= 2 {
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
impl crate::wire::samples::Sample for TxnOffsetCommitRequestPartition {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        TxnOffsetCommitRequestPartition {
            partition_index: g.i32(),
            committed_offset: g.i64(),
            committed_leader_epoch: if version >= 2 { g.i32() } else { -1 },
            committed_metadata: g.option(true, |g| g.text()),
        }
    }
}

/// `TxnOffsetCommitResponse`, API key 28, versions 0 to 5, flexible from 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnOffsetCommitResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Topics`.
    pub topics: Vec<TxnOffsetCommitResponseTopic>,
}

impl Codec for TxnOffsetCommitResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = TxnOffsetCommitResponse {
            throttle_time_ms: d.i32()?,
            topics: d.array(flexible, TxnOffsetCommitResponseTopic::MIN_BYTES, |d| {
                TxnOffsetCommitResponseTopic::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.i32(self.throttle_time_ms);
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for TxnOffsetCommitResponse {
    const NAME: &'static str = "TxnOffsetCommitResponse";
    const VERSIONS: (i16, i16) = (0, 5);
}

#[cfg(test)]
impl crate::wire::samples::Sample for TxnOffsetCommitResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        TxnOffsetCommitResponse {
            throttle_time_ms: g.i32(),
            topics: g.array(|g| TxnOffsetCommitResponseTopic::sample(g, version)),
        }
    }
}

/// Part of `TxnOffsetCommitResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnOffsetCommitResponseTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<TxnOffsetCommitResponsePartition>,
}

impl Codec for TxnOffsetCommitResponseTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = TxnOffsetCommitResponseTopic {
            name: d.string(flexible)?,
            partitions: d.array(flexible, TxnOffsetCommitResponsePartition::MIN_BYTES, |d| {
                TxnOffsetCommitResponsePartition::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.string(&self.name, flexible)?;
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TxnOffsetCommitResponseTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        TxnOffsetCommitResponseTopic {
            name: g.text(),
            partitions: g.array(|g| TxnOffsetCommitResponsePartition::sample(g, version)),
        }
    }
}

/// Part of `TxnOffsetCommitResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnOffsetCommitResponsePartition {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
}

impl Codec for TxnOffsetCommitResponsePartition {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = TxnOffsetCommitResponsePartition { partition_index: d.i32()?, error_code: d.error_code()? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.i32(self.partition_index);
        e.error_code(self.error_code);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TxnOffsetCommitResponsePartition {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        TxnOffsetCommitResponsePartition { partition_index: g.i32(), error_code: ErrorCode(g.i16()) }
    }
}
