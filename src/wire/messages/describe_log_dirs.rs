//! `DescribeLogDirsRequest` and `DescribeLogDirsResponse`.
//!
//! Generated from `wire/schema/describe_log_dirs.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DescribeLogDirsRequest`, API key 35, versions 1 to 5, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeLogDirsRequest {
    /// `Topics`.
    pub topics: Option<Vec<DescribableLogDirTopic>>,
}

impl Codec for DescribeLogDirsRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DescribeLogDirsRequest {
            topics: d.nullable_array(flexible, DescribableLogDirTopic::MIN_BYTES, |d| {
                DescribableLogDirTopic::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.nullable_array(self.topics.as_deref(), flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DescribeLogDirsRequest {
    const NAME: &'static str = "DescribeLogDirsRequest";
    const VERSIONS: (i16, i16) = (1, 5);
}

impl Request for DescribeLogDirsRequest {
    const KEY: ApiKey = ApiKey::DescribeLogDirs;
    type Response = DescribeLogDirsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeLogDirsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeLogDirsRequest {
            topics: g.option(true, |g| g.array(|g| DescribableLogDirTopic::sample(g, version))),
        }
    }
}

/// Part of `DescribeLogDirsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribableLogDirTopic {
    /// `Topic`.
    pub topic: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<i32>,
}

impl Codec for DescribableLogDirTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DescribableLogDirTopic {
            topic: d.string(flexible)?,
            partitions: d.array(flexible, 4, |d| d.i32())?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.string(&self.topic, flexible)?;
        e.array(&self.partitions, flexible, |e, item| {
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
impl crate::wire::samples::Sample for DescribableLogDirTopic {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DescribableLogDirTopic { topic: g.text(), partitions: g.array(|g| g.i32()) }
    }
}

/// `DescribeLogDirsResponse`, API key 35, versions 1 to 5, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeLogDirsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`, from version 3.
    pub error_code: ErrorCode,
    /// `Results`.
    pub results: Vec<DescribeLogDirsResult>,
}

impl Codec for DescribeLogDirsResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DescribeLogDirsResponse {
            throttle_time_ms: d.i32()?,
            error_code: if version >= 3 { d.error_code()? } else { ErrorCode::NONE },
            results: d.array(flexible, DescribeLogDirsResult::MIN_BYTES, |d| {
                DescribeLogDirsResult::decode(d, version)
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
        if version >= 3 {
            e.error_code(self.error_code);
        }
        e.array(&self.results, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DescribeLogDirsResponse {
    const NAME: &'static str = "DescribeLogDirsResponse";
    const VERSIONS: (i16, i16) = (1, 5);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeLogDirsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeLogDirsResponse {
            throttle_time_ms: g.i32(),
            error_code: if version >= 3 { ErrorCode(g.i16()) } else { ErrorCode::NONE },
            results: g.array(|g| DescribeLogDirsResult::sample(g, version)),
        }
    }
}

/// Part of `DescribeLogDirsResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeLogDirsResult {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `LogDir`.
    pub log_dir: StrBytes,
    /// `Topics`.
    pub topics: Vec<DescribeLogDirsTopic>,
    /// `TotalBytes`, from version 4; -1 when absent.
    pub total_bytes: i64,
    /// `UsableBytes`, from version 4; -1 when absent.
    pub usable_bytes: i64,
    /// `IsCordoned`, from version 5.
    pub is_cordoned: bool,
}

impl Default for DescribeLogDirsResult {
    fn default() -> Self {
        DescribeLogDirsResult {
            error_code: ErrorCode::NONE,
            log_dir: StrBytes::default(),
            topics: Vec::new(),
            total_bytes: -1,
            usable_bytes: -1,
            is_cordoned: false,
        }
    }
}

impl Codec for DescribeLogDirsResult {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DescribeLogDirsResult {
            error_code: d.error_code()?,
            log_dir: d.string(flexible)?,
            topics: d.array(flexible, DescribeLogDirsTopic::MIN_BYTES, |d| {
                DescribeLogDirsTopic::decode(d, version)
            })?,
            total_bytes: if version >= 4 { d.i64()? } else { -1 },
            usable_bytes: if version >= 4 { d.i64()? } else { -1 },
            is_cordoned: if version >= 5 { d.bool()? } else { false },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.error_code(self.error_code);
        e.string(&self.log_dir, flexible)?;
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        if version >= 4 {
            e.i64(self.total_bytes);
        }
        if version >= 4 {
            e.i64(self.usable_bytes);
        }
        if version >= 5 {
            e.bool(self.is_cordoned);
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeLogDirsResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeLogDirsResult {
            error_code: ErrorCode(g.i16()),
            log_dir: g.text(),
            topics: g.array(|g| DescribeLogDirsTopic::sample(g, version)),
            total_bytes: if version >= 4 { g.i64() } else { -1 },
            usable_bytes: if version >= 4 { g.i64() } else { -1 },
            is_cordoned: if version >= 5 { g.bool() } else { false },
        }
    }
}

/// Part of `DescribeLogDirsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeLogDirsTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<DescribeLogDirsPartition>,
}

impl Codec for DescribeLogDirsTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DescribeLogDirsTopic {
            name: d.string(flexible)?,
            partitions: d.array(flexible, DescribeLogDirsPartition::MIN_BYTES, |d| {
                DescribeLogDirsPartition::decode(d, version)
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
impl crate::wire::samples::Sample for DescribeLogDirsTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeLogDirsTopic {
            name: g.text(),
            partitions: g.array(|g| DescribeLogDirsPartition::sample(g, version)),
        }
    }
}

/// Part of `DescribeLogDirsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeLogDirsPartition {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `PartitionSize`.
    pub partition_size: i64,
    /// `OffsetLag`.
    pub offset_lag: i64,
    /// `IsFutureKey`.
    pub is_future_key: bool,
}

impl Codec for DescribeLogDirsPartition {
    const MIN_BYTES: usize = 21;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DescribeLogDirsPartition {
            partition_index: d.i32()?,
            partition_size: d.i64()?,
            offset_lag: d.i64()?,
            is_future_key: d.bool()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.i32(self.partition_index);
        e.i64(self.partition_size);
        e.i64(self.offset_lag);
        e.bool(self.is_future_key);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeLogDirsPartition {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DescribeLogDirsPartition {
            partition_index: g.i32(),
            partition_size: g.i64(),
            offset_lag: g.i64(),
            is_future_key: g.bool(),
        }
    }
}
