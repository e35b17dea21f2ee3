//! `CreatePartitionsRequest` and `CreatePartitionsResponse`.
//!
//! Generated from `wire/schema/create_partitions.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `CreatePartitionsRequest`, API key 37, versions 0 to 3, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatePartitionsRequest {
    /// `Topics`.
    pub topics: Vec<CreatePartitionsTopic>,
    /// `TimeoutMs`.
    pub timeout_ms: i32,
    /// `ValidateOnly`.
    pub validate_only: bool,
}

impl Codec for CreatePartitionsRequest {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = CreatePartitionsRequest {
            topics: d.array(flexible, CreatePartitionsTopic::MIN_BYTES, |d| {
                CreatePartitionsTopic::decode(d, version)
            })?,
            timeout_ms: d.i32()?,
            validate_only: d.bool()?,
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
        e.bool(self.validate_only);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for CreatePartitionsRequest {
    const NAME: &'static str = "CreatePartitionsRequest";
    const VERSIONS: (i16, i16) = (0, 3);
}

impl Request for CreatePartitionsRequest {
    const KEY: ApiKey = ApiKey::CreatePartitions;
    type Response = CreatePartitionsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for CreatePartitionsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        CreatePartitionsRequest {
            topics: g.array(|g| CreatePartitionsTopic::sample(g, version)),
            timeout_ms: g.i32(),
            validate_only: g.bool(),
        }
    }
}

/// Part of `CreatePartitionsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatePartitionsTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `Count`.
    pub count: i32,
    /// `Assignments`.
    pub assignments: Option<Vec<CreatePartitionsAssignment>>,
}

impl Codec for CreatePartitionsTopic {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = CreatePartitionsTopic {
            name: d.string(flexible)?,
            count: d.i32()?,
            assignments: d.nullable_array(flexible, CreatePartitionsAssignment::MIN_BYTES, |d| {
                CreatePartitionsAssignment::decode(d, version)
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
        e.i32(self.count);
        e.nullable_array(self.assignments.as_deref(), flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for CreatePartitionsTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        CreatePartitionsTopic {
            name: g.text(),
            count: g.i32(),
            assignments: g.option(true, |g| g.array(|g| CreatePartitionsAssignment::sample(g, version))),
        }
    }
}

/// Part of `CreatePartitionsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatePartitionsAssignment {
    /// `BrokerIds`.
    pub broker_ids: Vec<i32>,
}

impl Codec for CreatePartitionsAssignment {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = CreatePartitionsAssignment { broker_ids: d.array(flexible, 4, |d| d.i32())? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.array(&self.broker_ids, flexible, |e, item| {
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
impl crate::wire::samples::Sample for CreatePartitionsAssignment {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        CreatePartitionsAssignment { broker_ids: g.array(|g| g.i32()) }
    }
}

/// `CreatePartitionsResponse`, API key 37, versions 0 to 3, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatePartitionsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Results`.
    pub results: Vec<CreatePartitionsTopicResult>,
}

impl Codec for CreatePartitionsResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = CreatePartitionsResponse {
            throttle_time_ms: d.i32()?,
            results: d.array(flexible, CreatePartitionsTopicResult::MIN_BYTES, |d| {
                CreatePartitionsTopicResult::decode(d, version)
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
        e.array(&self.results, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for CreatePartitionsResponse {
    const NAME: &'static str = "CreatePartitionsResponse";
    const VERSIONS: (i16, i16) = (0, 3);
}

#[cfg(test)]
impl crate::wire::samples::Sample for CreatePartitionsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        CreatePartitionsResponse {
            throttle_time_ms: g.i32(),
            results: g.array(|g| CreatePartitionsTopicResult::sample(g, version)),
        }
    }
}

/// Part of `CreatePartitionsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatePartitionsTopicResult {
    /// `Name`.
    pub name: StrBytes,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
}

impl Codec for CreatePartitionsTopicResult {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = CreatePartitionsTopicResult {
            name: d.string(flexible)?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(flexible)?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.string(&self.name, flexible)?;
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for CreatePartitionsTopicResult {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        CreatePartitionsTopicResult {
            name: g.text(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
        }
    }
}
