//! `EndTxnRequest` and `EndTxnResponse`.
//!
//! Generated from `wire/schema/end_txn.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `EndTxnRequest`, API key 26, versions 0 to 5, flexible from 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndTxnRequest {
    /// `TransactionalId`.
    pub transactional_id: StrBytes,
    /// `ProducerId`.
    pub producer_id: i64,
    /// `ProducerEpoch`.
    pub producer_epoch: i16,
    /// `Committed`.
    pub committed: bool,
}

impl Codec for EndTxnRequest {
    const MIN_BYTES: usize = 12;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = EndTxnRequest {
            transactional_id: d.string(flexible)?,
            producer_id: d.i64()?,
            producer_epoch: d.i16()?,
            committed: d.bool()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.string(&self.transactional_id, flexible)?;
        e.i64(self.producer_id);
        e.i16(self.producer_epoch);
        e.bool(self.committed);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for EndTxnRequest {
    const NAME: &'static str = "EndTxnRequest";
    const VERSIONS: (i16, i16) = (0, 5);
}

impl Request for EndTxnRequest {
    const KEY: ApiKey = ApiKey::EndTxn;
    type Response = EndTxnResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for EndTxnRequest {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        EndTxnRequest {
            transactional_id: g.text(),
            producer_id: g.i64(),
            producer_epoch: g.i16(),
            committed: g.bool(),
        }
    }
}

/// `EndTxnResponse`, API key 26, versions 0 to 5, flexible from 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTxnResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ProducerId`, from version 5; -1 when absent.
    pub producer_id: i64,
    /// `ProducerEpoch`, from version 5; -1 when absent.
    pub producer_epoch: i16,
}

impl Default for EndTxnResponse {
    fn default() -> Self {
        EndTxnResponse {
            throttle_time_ms: 0,
            error_code: ErrorCode::NONE,
            producer_id: -1,
            producer_epoch: -1,
        }
    }
}

impl Codec for EndTxnResponse {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = EndTxnResponse {
            throttle_time_ms: d.i32()?,
            error_code: d.error_code()?,
            producer_id: if version >= 5 { d.i64()? } else { -1 },
            producer_epoch: if version >= 5 { d.i16()? } else { -1 },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        if version >= 5 {
            e.i64(self.producer_id);
        }
        if version >= 5 {
            e.i16(self.producer_epoch);
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for EndTxnResponse {
    const NAME: &'static str = "EndTxnResponse";
    const VERSIONS: (i16, i16) = (0, 5);
}

#[cfg(test)]
impl crate::wire::samples::Sample for EndTxnResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        EndTxnResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            producer_id: if version >= 5 { g.i64() } else { -1 },
            producer_epoch: if version >= 5 { g.i16() } else { -1 },
        }
    }
}
