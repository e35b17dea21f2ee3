//! `OffsetDeleteRequest` and `OffsetDeleteResponse`.
//!
//! Generated from `wire/schema/offset_delete.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `OffsetDeleteRequest`, API key 47, version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetDeleteRequest {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `Topics`.
    pub topics: Vec<OffsetDeleteRequestTopic>,
}

impl Codec for OffsetDeleteRequest {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        Ok(OffsetDeleteRequest {
            group_id: d.string(false)?,
            topics: d.array(false, OffsetDeleteRequestTopic::MIN_BYTES, |d| {
                OffsetDeleteRequestTopic::decode(d, version)
            })?,
        })
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.group_id, false)?;
        e.array(&self.topics, false, |e, item| item.encode(e, version))?;
        Ok(())
    }
}

impl Message for OffsetDeleteRequest {
    const NAME: &'static str = "OffsetDeleteRequest";
    const VERSIONS: (i16, i16) = (0, 0);
}

impl Request for OffsetDeleteRequest {
    const KEY: ApiKey = ApiKey::OffsetDelete;
    type Response = OffsetDeleteResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetDeleteRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetDeleteRequest {
            group_id: g.text(),
            topics: g.array(|g| OffsetDeleteRequestTopic::sample(g, version)),
        }
    }
}

/// Part of `OffsetDeleteRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetDeleteRequestTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<OffsetDeleteRequestPartition>,
}

impl Codec for OffsetDeleteRequestTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        Ok(OffsetDeleteRequestTopic {
            name: d.string(false)?,
            partitions: d.array(false, OffsetDeleteRequestPartition::MIN_BYTES, |d| {
                OffsetDeleteRequestPartition::decode(d, version)
            })?,
        })
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, false)?;
        e.array(&self.partitions, false, |e, item| item.encode(e, version))?;
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetDeleteRequestTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetDeleteRequestTopic {
            name: g.text(),
            partitions: g.array(|g| OffsetDeleteRequestPartition::sample(g, version)),
        }
    }
}

/// Part of `OffsetDeleteRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetDeleteRequestPartition {
    /// `PartitionIndex`.
    pub partition_index: i32,
}

impl Codec for OffsetDeleteRequestPartition {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(OffsetDeleteRequestPartition { partition_index: d.i32()? })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.partition_index);
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetDeleteRequestPartition {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        OffsetDeleteRequestPartition { partition_index: g.i32() }
    }
}

/// `OffsetDeleteResponse`, API key 47, version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetDeleteResponse {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Topics`.
    pub topics: Vec<OffsetDeleteResponseTopic>,
}

impl Codec for OffsetDeleteResponse {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        Ok(OffsetDeleteResponse {
            error_code: d.error_code()?,
            throttle_time_ms: d.i32()?,
            topics: d.array(false, OffsetDeleteResponseTopic::MIN_BYTES, |d| {
                OffsetDeleteResponseTopic::decode(d, version)
            })?,
        })
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.error_code(self.error_code);
        e.i32(self.throttle_time_ms);
        e.array(&self.topics, false, |e, item| item.encode(e, version))?;
        Ok(())
    }
}

impl Message for OffsetDeleteResponse {
    const NAME: &'static str = "OffsetDeleteResponse";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetDeleteResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetDeleteResponse {
            error_code: ErrorCode(g.i16()),
            throttle_time_ms: g.i32(),
            topics: g.array(|g| OffsetDeleteResponseTopic::sample(g, version)),
        }
    }
}

/// Part of `OffsetDeleteResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetDeleteResponseTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<OffsetDeleteResponsePartition>,
}

impl Codec for OffsetDeleteResponseTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        Ok(OffsetDeleteResponseTopic {
            name: d.string(false)?,
            partitions: d.array(false, OffsetDeleteResponsePartition::MIN_BYTES, |d| {
                OffsetDeleteResponsePartition::decode(d, version)
            })?,
        })
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, false)?;
        e.array(&self.partitions, false, |e, item| item.encode(e, version))?;
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetDeleteResponseTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetDeleteResponseTopic {
            name: g.text(),
            partitions: g.array(|g| OffsetDeleteResponsePartition::sample(g, version)),
        }
    }
}

/// Part of `OffsetDeleteResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetDeleteResponsePartition {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
}

impl Codec for OffsetDeleteResponsePartition {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(OffsetDeleteResponsePartition { partition_index: d.i32()?, error_code: d.error_code()? })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.partition_index);
        e.error_code(self.error_code);
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetDeleteResponsePartition {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        OffsetDeleteResponsePartition { partition_index: g.i32(), error_code: ErrorCode(g.i16()) }
    }
}
