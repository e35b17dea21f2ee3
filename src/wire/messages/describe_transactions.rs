//! `DescribeTransactionsRequest` and `DescribeTransactionsResponse`.
//!
//! Generated from `wire/schema/describe_transactions.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DescribeTransactionsRequest`, API key 65, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeTransactionsRequest {
    /// `TransactionalIds`.
    pub transactional_ids: Vec<StrBytes>,
}

impl Codec for DescribeTransactionsRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = DescribeTransactionsRequest { transactional_ids: d.array(true, 1, |d| d.string(true))? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.array(&self.transactional_ids, true, |e, item| e.string(item, true))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for DescribeTransactionsRequest {
    const NAME: &'static str = "DescribeTransactionsRequest";
    const VERSIONS: (i16, i16) = (0, 0);
}

impl Request for DescribeTransactionsRequest {
    const KEY: ApiKey = ApiKey::DescribeTransactions;
    type Response = DescribeTransactionsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeTransactionsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DescribeTransactionsRequest { transactional_ids: g.array(|g| g.text()) }
    }
}

/// `DescribeTransactionsResponse`, API key 65, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeTransactionsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `TransactionStates`.
    pub transaction_states: Vec<TransactionState>,
}

impl Codec for DescribeTransactionsResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeTransactionsResponse {
            throttle_time_ms: d.i32()?,
            transaction_states: d
                .array(true, TransactionState::MIN_BYTES, |d| TransactionState::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.array(&self.transaction_states, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for DescribeTransactionsResponse {
    const NAME: &'static str = "DescribeTransactionsResponse";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeTransactionsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeTransactionsResponse {
            throttle_time_ms: g.i32(),
            transaction_states: g.array(|g| TransactionState::sample(g, version)),
        }
    }
}

/// Part of `DescribeTransactionsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionState {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `TransactionalId`.
    pub transactional_id: StrBytes,
    /// `TransactionState`.
    pub transaction_state: StrBytes,
    /// `TransactionTimeoutMs`.
    pub transaction_timeout_ms: i32,
    /// `TransactionStartTimeMs`.
    pub transaction_start_time_ms: i64,
    /// `ProducerId`.
    pub producer_id: i64,
    /// `ProducerEpoch`.
    pub producer_epoch: i16,
    /// `Topics`.
    pub topics: Vec<TopicData>,
}

impl Codec for TransactionState {
    const MIN_BYTES: usize = 27;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = TransactionState {
            error_code: d.error_code()?,
            transactional_id: d.string(true)?,
            transaction_state: d.string(true)?,
            transaction_timeout_ms: d.i32()?,
            transaction_start_time_ms: d.i64()?,
            producer_id: d.i64()?,
            producer_epoch: d.i16()?,
            topics: d.array(true, TopicData::MIN_BYTES, |d| TopicData::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.error_code(self.error_code);
        e.string(&self.transactional_id, true)?;
        e.string(&self.transaction_state, true)?;
        e.i32(self.transaction_timeout_ms);
        e.i64(self.transaction_start_time_ms);
        e.i64(self.producer_id);
        e.i16(self.producer_epoch);
        e.array(&self.topics, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TransactionState {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        TransactionState {
            error_code: ErrorCode(g.i16()),
            transactional_id: g.text(),
            transaction_state: g.text(),
            transaction_timeout_ms: g.i32(),
            transaction_start_time_ms: g.i64(),
            producer_id: g.i64(),
            producer_epoch: g.i16(),
            topics: g.array(|g| TopicData::sample(g, version)),
        }
    }
}

/// Part of `DescribeTransactionsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicData {
    /// `Topic`.
    pub topic: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<i32>,
}

impl Codec for TopicData {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = TopicData { topic: d.string(true)?, partitions: d.array(true, 4, |d| d.i32())? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.topic, true)?;
        e.array(&self.partitions, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TopicData {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        TopicData { topic: g.text(), partitions: g.array(|g| g.i32()) }
    }
}
