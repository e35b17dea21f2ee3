//! `DescribeProducersRequest` and `DescribeProducersResponse`.
//!
//! Generated from `wire/schema/describe_producers.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DescribeProducersRequest`, API key 61, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeProducersRequest {
    /// `Topics`.
    pub topics: Vec<TopicRequest>,
}

impl Codec for DescribeProducersRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeProducersRequest {
            topics: d.array(true, TopicRequest::MIN_BYTES, |d| TopicRequest::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.array(&self.topics, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for DescribeProducersRequest {
    const NAME: &'static str = "DescribeProducersRequest";
    const VERSIONS: (i16, i16) = (0, 0);
}

impl Request for DescribeProducersRequest {
    const KEY: ApiKey = ApiKey::DescribeProducers;
    type Response = DescribeProducersResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeProducersRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeProducersRequest { topics: g.array(|g| TopicRequest::sample(g, version)) }
    }
}

/// Part of `DescribeProducersRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicRequest {
    /// `Name`.
    pub name: StrBytes,
    /// `PartitionIndexes`.
    pub partition_indexes: Vec<i32>,
}

impl Codec for TopicRequest {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = TopicRequest { name: d.string(true)?, partition_indexes: d.array(true, 4, |d| d.i32())? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.array(&self.partition_indexes, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TopicRequest {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        TopicRequest { name: g.text(), partition_indexes: g.array(|g| g.i32()) }
    }
}

/// `DescribeProducersResponse`, API key 61, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeProducersResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Topics`.
    pub topics: Vec<TopicResponse>,
}

impl Codec for DescribeProducersResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeProducersResponse {
            throttle_time_ms: d.i32()?,
            topics: d.array(true, TopicResponse::MIN_BYTES, |d| TopicResponse::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.array(&self.topics, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for DescribeProducersResponse {
    const NAME: &'static str = "DescribeProducersResponse";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeProducersResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeProducersResponse {
            throttle_time_ms: g.i32(),
            topics: g.array(|g| TopicResponse::sample(g, version)),
        }
    }
}

/// Part of `DescribeProducersResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicResponse {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<PartitionResponse>,
}

impl Codec for TopicResponse {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = TopicResponse {
            name: d.string(true)?,
            partitions: d
                .array(true, PartitionResponse::MIN_BYTES, |d| PartitionResponse::decode(d, version))?,
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
impl crate::wire::samples::Sample for TopicResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        TopicResponse { name: g.text(), partitions: g.array(|g| PartitionResponse::sample(g, version)) }
    }
}

/// Part of `DescribeProducersResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionResponse {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `ActiveProducers`.
    pub active_producers: Vec<ProducerState>,
}

impl Codec for PartitionResponse {
    const MIN_BYTES: usize = 8;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = PartitionResponse {
            partition_index: d.i32()?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
            active_producers: d
                .array(true, ProducerState::MIN_BYTES, |d| ProducerState::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.partition_index);
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        e.array(&self.active_producers, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for PartitionResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        PartitionResponse {
            partition_index: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            active_producers: g.array(|g| ProducerState::sample(g, version)),
        }
    }
}

/// Part of `DescribeProducersResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// `ProducerId`.
    pub producer_id: i64,
    /// `ProducerEpoch`.
    pub producer_epoch: i32,
    /// `LastSequence`; -1 when absent.
    pub last_sequence: i32,
    /// `LastTimestamp`; -1 when absent.
    pub last_timestamp: i64,
    /// `CoordinatorEpoch`.
    pub coordinator_epoch: i32,
    /// `CurrentTxnStartOffset`; -1 when absent.
    pub current_txn_start_offset: i64,
}

impl Default for ProducerState {
    fn default() -> Self {
        ProducerState {
            producer_id: 0,
            producer_epoch: 0,
            last_sequence: -1,
            last_timestamp: -1,
            coordinator_epoch: 0,
            current_txn_start_offset: -1,
        }
    }
}

impl Codec for ProducerState {
    const MIN_BYTES: usize = 36;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = ProducerState {
            producer_id: d.i64()?,
            producer_epoch: d.i32()?,
            last_sequence: d.i32()?,
            last_timestamp: d.i64()?,
            coordinator_epoch: d.i32()?,
            current_txn_start_offset: d.i64()?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i64(self.producer_id);
        e.i32(self.producer_epoch);
        e.i32(self.last_sequence);
        e.i64(self.last_timestamp);
        e.i32(self.coordinator_epoch);
        e.i64(self.current_txn_start_offset);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ProducerState {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ProducerState {
            producer_id: g.i64(),
            producer_epoch: g.i32(),
            last_sequence: g.i32(),
            last_timestamp: g.i64(),
            coordinator_epoch: g.i32(),
            current_txn_start_offset: g.i64(),
        }
    }
}
