//! `AddOffsetsToTxnRequest` and `AddOffsetsToTxnResponse`.
//!
//! Generated from `wire/schema/add_offsets_to_txn.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `AddOffsetsToTxnRequest`, API key 25, versions 0 to 4, flexible from 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddOffsetsToTxnRequest {
    /// `TransactionalId`.
    pub transactional_id: StrBytes,
    /// `ProducerId`.
    pub producer_id: i64,
    /// `ProducerEpoch`.
    pub producer_epoch: i16,
    /// `GroupId`.
    pub group_id: StrBytes,
}

impl Codec for AddOffsetsToTxnRequest {
    const MIN_BYTES: usize = 12;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = AddOffsetsToTxnRequest {
            transactional_id: d.string(flexible)?,
            producer_id: d.i64()?,
            producer_epoch: d.i16()?,
            group_id: d.string(flexible)?,
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
        e.string(&self.group_id, flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for AddOffsetsToTxnRequest {
    const NAME: &'static str = "AddOffsetsToTxnRequest";
    const VERSIONS: (i16, i16) = (0, 4);
}

impl Request for AddOffsetsToTxnRequest {
    const KEY: ApiKey = ApiKey::AddOffsetsToTxn;
    type Response = AddOffsetsToTxnResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for AddOffsetsToTxnRequest {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        AddOffsetsToTxnRequest {
            transactional_id: g.text(),
            producer_id: g.i64(),
            producer_epoch: g.i16(),
            group_id: g.text(),
        }
    }
}

/// `AddOffsetsToTxnResponse`, API key 25, versions 0 to 4, flexible from 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddOffsetsToTxnResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
}

impl Codec for AddOffsetsToTxnResponse {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = AddOffsetsToTxnResponse { throttle_time_ms: d.i32()?, error_code: d.error_code()? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for AddOffsetsToTxnResponse {
    const NAME: &'static str = "AddOffsetsToTxnResponse";
    const VERSIONS: (i16, i16) = (0, 4);
}

#[cfg(test)]
impl crate::wire::samples::Sample for AddOffsetsToTxnResponse {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        AddOffsetsToTxnResponse { throttle_time_ms: g.i32(), error_code: ErrorCode(g.i16()) }
    }
}
