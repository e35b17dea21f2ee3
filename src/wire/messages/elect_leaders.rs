//! `ElectLeadersRequest` and `ElectLeadersResponse`.
//!
//! Generated from `wire/schema/elect_leaders.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `ElectLeadersRequest`, API key 43, versions 0 to 2, flexible from 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectLeadersRequest {
    /// `ElectionType`, from version 1.
    pub election_type: i8,
    /// `TopicPartitions`.
    pub topic_partitions: Option<Vec<TopicPartitions>>,
    /// `TimeoutMs`; 60000 when absent.
    pub timeout_ms: i32,
}

impl Default for ElectLeadersRequest {
    fn default() -> Self {
        ElectLeadersRequest { election_type: 0, topic_partitions: None, timeout_ms: 60000 }
    }
}

impl Codec for ElectLeadersRequest {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = ElectLeadersRequest {
            election_type: if version >= 1 { d.i8()? } else { 0 },
            topic_partitions: d.nullable_array(flexible, TopicPartitions::MIN_BYTES, |d| {
                TopicPartitions::decode(d, version)
            })?,
            timeout_ms: d.i32()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        if version >= 1 {
            e.i8(self.election_type);
        } else if self.election_type != 0 {
            return Err(EncodeError::NotInVersion { field: "ElectLeadersRequest.ElectionType", version });
        }
        e.nullable_array(self.topic_partitions.as_deref(), flexible, |e, item| item.encode(e, version))?;
        e.i32(self.timeout_ms);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for ElectLeadersRequest {
    const NAME: &'static str = "ElectLeadersRequest";
    const VERSIONS: (i16, i16) = (0, 2);
}

impl Request for ElectLeadersRequest {
    const KEY: ApiKey = ApiKey::ElectLeaders;
    type Response = ElectLeadersResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for ElectLeadersRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ElectLeadersRequest {
            election_type: if version >= 1 { g.i8() } else { 0 },
            topic_partitions: g.option(true, |g| g.array(|g| TopicPartitions::sample(g, version))),
            timeout_ms: g.i32(),
        }
    }
}

/// Part of `ElectLeadersRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPartitions {
    /// `Topic`.
    pub topic: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<i32>,
}

impl Codec for TopicPartitions {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it =
            TopicPartitions { topic: d.string(flexible)?, partitions: d.array(flexible, 4, |d| d.i32())? };
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
impl crate::wire::samples::Sample for TopicPartitions {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        TopicPartitions { topic: g.text(), partitions: g.array(|g| g.i32()) }
    }
}

/// `ElectLeadersResponse`, API key 43, versions 0 to 2, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElectLeadersResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`, from version 1.
    pub error_code: ErrorCode,
    /// `ReplicaElectionResults`.
    pub replica_election_results: Vec<ReplicaElectionResult>,
}

impl Codec for ElectLeadersResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = ElectLeadersResponse {
            throttle_time_ms: d.i32()?,
            error_code: if version >= 1 { d.error_code()? } else { ErrorCode::NONE },
            replica_election_results: d.array(flexible, ReplicaElectionResult::MIN_BYTES, |d| {
                ReplicaElectionResult::decode(d, version)
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
        if version >= 1 {
            e.error_code(self.error_code);
        }
        e.array(&self.replica_election_results, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for ElectLeadersResponse {
    const NAME: &'static str = "ElectLeadersResponse";
    const VERSIONS: (i16, i16) = (0, 2);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ElectLeadersResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ElectLeadersResponse {
            throttle_time_ms: g.i32(),
            error_code: if version >= 1 { ErrorCode(g.i16()) } else { ErrorCode::NONE },
            replica_election_results: g.array(|g| ReplicaElectionResult::sample(g, version)),
        }
    }
}

/// Part of `ElectLeadersResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaElectionResult {
    /// `Topic`.
    pub topic: StrBytes,
    /// `PartitionResult`.
    pub partition_result: Vec<PartitionResult>,
}

impl Codec for ReplicaElectionResult {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = ReplicaElectionResult {
            topic: d.string(flexible)?,
            partition_result: d
                .array(flexible, PartitionResult::MIN_BYTES, |d| PartitionResult::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.string(&self.topic, flexible)?;
        e.array(&self.partition_result, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ReplicaElectionResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ReplicaElectionResult {
            topic: g.text(),
            partition_result: g.array(|g| PartitionResult::sample(g, version)),
        }
    }
}

/// Part of `ElectLeadersResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionResult {
    /// `PartitionId`.
    pub partition_id: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
}

impl Codec for PartitionResult {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = PartitionResult {
            partition_id: d.i32()?,
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
        e.i32(self.partition_id);
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for PartitionResult {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        PartitionResult {
            partition_id: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
        }
    }
}
