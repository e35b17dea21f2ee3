//! `AlterPartitionReassignmentsRequest` and `AlterPartitionReassignmentsResponse`.
//!
//! Generated from `wire/schema/alter_partition_reassignments.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `AlterPartitionReassignmentsRequest`, API key 45, versions 0 to 1, flexible from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterPartitionReassignmentsRequest {
    /// `TimeoutMs`; 60000 when absent.
    pub timeout_ms: i32,
    /// `AllowReplicationFactorChange`, from version 1; true when absent.
    pub allow_replication_factor_change: bool,
    /// `Topics`.
    pub topics: Vec<ReassignableTopic>,
}

impl Default for AlterPartitionReassignmentsRequest {
    fn default() -> Self {
        AlterPartitionReassignmentsRequest {
            timeout_ms: 60000,
            allow_replication_factor_change: true,
            topics: Vec::new(),
        }
    }
}

impl Codec for AlterPartitionReassignmentsRequest {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = AlterPartitionReassignmentsRequest {
            timeout_ms: d.i32()?,
            allow_replication_factor_change: if version >= 1 { d.bool()? } else { true },
            topics: d.array(true, ReassignableTopic::MIN_BYTES, |d| ReassignableTopic::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.timeout_ms);
        if version >= 1 {
            e.bool(self.allow_replication_factor_change);
        } else if !self.allow_replication_factor_change {
            return Err(EncodeError::NotInVersion {
                field: "AlterPartitionReassignmentsRequest.AllowReplicationFactorChange",
                version,
            });
        }
        e.array(&self.topics, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for AlterPartitionReassignmentsRequest {
    const NAME: &'static str = "AlterPartitionReassignmentsRequest";
    const VERSIONS: (i16, i16) = (0, 1);
}

impl Request for AlterPartitionReassignmentsRequest {
    const KEY: ApiKey = ApiKey::AlterPartitionReassignments;
    type Response = AlterPartitionReassignmentsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for AlterPartitionReassignmentsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AlterPartitionReassignmentsRequest {
            timeout_ms: g.i32(),
            allow_replication_factor_change: if version >= 1 { g.bool() } else { true },
            topics: g.array(|g| ReassignableTopic::sample(g, version)),
        }
    }
}

/// Part of `AlterPartitionReassignmentsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReassignableTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<ReassignablePartition>,
}

impl Codec for ReassignableTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ReassignableTopic {
            name: d.string(true)?,
            partitions: d.array(true, ReassignablePartition::MIN_BYTES, |d| {
                ReassignablePartition::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.array(&self.partitions, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ReassignableTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ReassignableTopic {
            name: g.text(),
            partitions: g.array(|g| ReassignablePartition::sample(g, version)),
        }
    }
}

/// Part of `AlterPartitionReassignmentsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReassignablePartition {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `Replicas`.
    pub replicas: Option<Vec<i32>>,
}

impl Codec for ReassignablePartition {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = ReassignablePartition {
            partition_index: d.i32()?,
            replicas: d.nullable_array(true, 4, |d| d.i32())?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.partition_index);
        e.nullable_array(self.replicas.as_deref(), true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ReassignablePartition {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ReassignablePartition { partition_index: g.i32(), replicas: g.option(true, |g| g.array(|g| g.i32())) }
    }
}

/// `AlterPartitionReassignmentsResponse`, API key 45, versions 0 to 1, flexible from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterPartitionReassignmentsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `AllowReplicationFactorChange`, from version 1; true when absent.
    pub allow_replication_factor_change: bool,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `Responses`.
    pub responses: Vec<ReassignableTopicResponse>,
}

impl Default for AlterPartitionReassignmentsResponse {
    fn default() -> Self {
        AlterPartitionReassignmentsResponse {
            throttle_time_ms: 0,
            allow_replication_factor_change: true,
            error_code: ErrorCode::NONE,
            error_message: None,
            responses: Vec::new(),
        }
    }
}

impl Codec for AlterPartitionReassignmentsResponse {
    const MIN_BYTES: usize = 8;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = AlterPartitionReassignmentsResponse {
            throttle_time_ms: d.i32()?,
            allow_replication_factor_change: if version >= 1 { d.bool()? } else { true },
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
            responses: d.array(true, ReassignableTopicResponse::MIN_BYTES, |d| {
                ReassignableTopicResponse::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        if version >= 1 {
            e.bool(self.allow_replication_factor_change);
        }
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        e.array(&self.responses, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for AlterPartitionReassignmentsResponse {
    const NAME: &'static str = "AlterPartitionReassignmentsResponse";
    const VERSIONS: (i16, i16) = (0, 1);
}

#[cfg(test)]
impl crate::wire::samples::Sample for AlterPartitionReassignmentsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AlterPartitionReassignmentsResponse {
            throttle_time_ms: g.i32(),
            allow_replication_factor_change: if version >= 1 { g.bool() } else { true },
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            responses: g.array(|g| ReassignableTopicResponse::sample(g, version)),
        }
    }
}

/// Part of `AlterPartitionReassignmentsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReassignableTopicResponse {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<ReassignablePartitionResponse>,
}

impl Codec for ReassignableTopicResponse {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ReassignableTopicResponse {
            name: d.string(true)?,
            partitions: d.array(true, ReassignablePartitionResponse::MIN_BYTES, |d| {
                ReassignablePartitionResponse::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.array(&self.partitions, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ReassignableTopicResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ReassignableTopicResponse {
            name: g.text(),
            partitions: g.array(|g| ReassignablePartitionResponse::sample(g, version)),
        }
    }
}

/// Part of `AlterPartitionReassignmentsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReassignablePartitionResponse {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
}

impl Codec for ReassignablePartitionResponse {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = ReassignablePartitionResponse {
            partition_index: d.i32()?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.partition_index);
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ReassignablePartitionResponse {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ReassignablePartitionResponse {
            partition_index: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
        }
    }
}
