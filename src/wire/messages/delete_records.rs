//! `DeleteRecordsRequest` and `DeleteRecordsResponse`.
//!
//! Generated from `wire/schema/delete_records.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DeleteRecordsRequest`, API key 21, versions 0 to 2, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRecordsRequest {
    /// `Topics`.
    pub topics: Vec<DeleteRecordsTopic>,
    /// `TimeoutMs`.
    pub timeout_ms: i32,
}

impl Codec for DeleteRecordsRequest {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeleteRecordsRequest {
            topics: d
                .array(flexible, DeleteRecordsTopic::MIN_BYTES, |d| DeleteRecordsTopic::decode(d, version))?,
            timeout_ms: d.i32()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        e.i32(self.timeout_ms);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DeleteRecordsRequest {
    const NAME: &'static str = "DeleteRecordsRequest";
    const VERSIONS: (i16, i16) = (0, 2);
}

impl Request for DeleteRecordsRequest {
    const KEY: ApiKey = ApiKey::DeleteRecords;
    type Response = DeleteRecordsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteRecordsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DeleteRecordsRequest {
            topics: g.array(|g| DeleteRecordsTopic::sample(g, version)),
            timeout_ms: g.i32(),
        }
    }
}

/// Part of `DeleteRecordsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRecordsTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<DeleteRecordsPartition>,
}

impl Codec for DeleteRecordsTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeleteRecordsTopic {
            name: d.string(flexible)?,
            partitions: d.array(flexible, DeleteRecordsPartition::MIN_BYTES, |d| {
                DeleteRecordsPartition::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.string(&self.name, flexible)?;
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteRecordsTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DeleteRecordsTopic {
            name: g.text(),
            partitions: g.array(|g| DeleteRecordsPartition::sample(g, version)),
        }
    }
}

/// Part of `DeleteRecordsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRecordsPartition {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `Offset`.
    pub offset: i64,
}

impl Codec for DeleteRecordsPartition {
    const MIN_BYTES: usize = 12;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeleteRecordsPartition { partition_index: d.i32()?, offset: d.i64()? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.i32(self.partition_index);
        e.i64(self.offset);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteRecordsPartition {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DeleteRecordsPartition { partition_index: g.i32(), offset: g.i64() }
    }
}

/// `DeleteRecordsResponse`, API key 21, versions 0 to 2, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRecordsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Topics`.
    pub topics: Vec<DeleteRecordsTopicResult>,
}

impl Codec for DeleteRecordsResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeleteRecordsResponse {
            throttle_time_ms: d.i32()?,
            topics: d.array(flexible, DeleteRecordsTopicResult::MIN_BYTES, |d| {
                DeleteRecordsTopicResult::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.i32(self.throttle_time_ms);
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DeleteRecordsResponse {
    const NAME: &'static str = "DeleteRecordsResponse";
    const VERSIONS: (i16, i16) = (0, 2);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteRecordsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DeleteRecordsResponse {
            throttle_time_ms: g.i32(),
            topics: g.array(|g| DeleteRecordsTopicResult::sample(g, version)),
        }
    }
}

/// Part of `DeleteRecordsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRecordsTopicResult {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<DeleteRecordsPartitionResult>,
}

impl Codec for DeleteRecordsTopicResult {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeleteRecordsTopicResult {
            name: d.string(flexible)?,
            partitions: d.array(flexible, DeleteRecordsPartitionResult::MIN_BYTES, |d| {
                DeleteRecordsPartitionResult::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.string(&self.name, flexible)?;
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteRecordsTopicResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DeleteRecordsTopicResult {
            name: g.text(),
            partitions: g.array(|g| DeleteRecordsPartitionResult::sample(g, version)),
        }
    }
}

/// Part of `DeleteRecordsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRecordsPartitionResult {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `LowWatermark`.
    pub low_watermark: i64,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
}

impl Codec for DeleteRecordsPartitionResult {
    const MIN_BYTES: usize = 14;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeleteRecordsPartitionResult {
            partition_index: d.i32()?,
            low_watermark: d.i64()?,
            error_code: d.error_code()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.i32(self.partition_index);
        e.i64(self.low_watermark);
        e.error_code(self.error_code);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteRecordsPartitionResult {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DeleteRecordsPartitionResult {
            partition_index: g.i32(),
            low_watermark: g.i64(),
            error_code: ErrorCode(g.i16()),
        }
    }
}
