//! `InitProducerIdRequest` and `InitProducerIdResponse`.
//!
//! Generated from `wire/schema/init_producer_id.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `InitProducerIdRequest`, API key 22, versions 0 to 5, flexible from 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitProducerIdRequest {
    /// `TransactionalId`.
    pub transactional_id: Option<StrBytes>,
    /// `TransactionTimeoutMs`.
    pub transaction_timeout_ms: i32,
    /// `ProducerId`, from version 3; -1 when absent.
    pub producer_id: i64,
    /// `ProducerEpoch`, from version 3; -1 when absent.
    pub producer_epoch: i16,
}

impl Default for InitProducerIdRequest {
    fn default() -> Self {
        InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 0,
            producer_id: -1,
            producer_epoch: -1,
        }
    }
}

impl Codec for InitProducerIdRequest {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = InitProducerIdRequest {
            transactional_id: d.nullable_string(flexible)?,
            transaction_timeout_ms: d.i32()?,
            producer_id: if version >= 3 { d.i64()? } else { -1 },
            producer_epoch: if version >= 3 { d.i16()? } else { -1 },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.nullable_string(self.transactional_id.as_ref(), flexible)?;
        e.i32(self.transaction_timeout_ms);
        if version >= 3 {
            e.i64(self.producer_id);
        } else if self.producer_id != -1 {
            return Err(EncodeError::NotInVersion { field: "InitProducerIdRequest.ProducerId", version });
        }
        if version >= 3 {
            e.i16(self.producer_epoch);
        } else if self.producer_epoch != -1 {
            return Err(EncodeError::NotInVersion { field: "InitProducerIdRequest.ProducerEpoch", version });
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for InitProducerIdRequest {
    const NAME: &'static str = "InitProducerIdRequest";
    const VERSIONS: (i16, i16) = (0, 5);
}

impl Request for InitProducerIdRequest {
    const KEY: ApiKey = ApiKey::InitProducerId;
    type Response = InitProducerIdResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for InitProducerIdRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        InitProducerIdRequest {
            transactional_id: g.option(true, |g| g.text()),
            transaction_timeout_ms: g.i32(),
            producer_id: if version >= 3 { g.i64() } else { -1 },
            producer_epoch: if version >= 3 { g.i16() } else { -1 },
        }
    }
}

/// `InitProducerIdResponse`, API key 22, versions 0 to 5, flexible from 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitProducerIdResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ProducerId`; -1 when absent.
    pub producer_id: i64,
    /// `ProducerEpoch`.
    pub producer_epoch: i16,
}

impl Default for InitProducerIdResponse {
    fn default() -> Self {
        InitProducerIdResponse {
            throttle_time_ms: 0,
            error_code: ErrorCode::NONE,
            producer_id: -1,
            producer_epoch: 0,
        }
    }
}

impl Codec for InitProducerIdResponse {
    const MIN_BYTES: usize = 16;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = InitProducerIdResponse {
            throttle_time_ms: d.i32()?,
            error_code: d.error_code()?,
            producer_id: d.i64()?,
            producer_epoch: d.i16()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        e.i64(self.producer_id);
        e.i16(self.producer_epoch);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for InitProducerIdResponse {
    const NAME: &'static str = "InitProducerIdResponse";
    const VERSIONS: (i16, i16) = (0, 5);
}

#[cfg(test)]
impl crate::wire::samples::Sample for InitProducerIdResponse {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        InitProducerIdResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            producer_id: g.i64(),
            producer_epoch: g.i16(),
        }
    }
}
