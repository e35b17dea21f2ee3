//! `PushTelemetryRequest` and `PushTelemetryResponse`.
//!
//! Generated from `wire/schema/push_telemetry.schema` by `generate.py`; do not edit.

use bytes::Bytes;
use uuid::Uuid;

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request};
use crate::wire::{ApiKey, ErrorCode};

/// `PushTelemetryRequest`, API key 72, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushTelemetryRequest {
    /// `ClientInstanceId`.
    pub client_instance_id: Uuid,
    /// `SubscriptionId`.
    pub subscription_id: i32,
    /// `Terminating`.
    pub terminating: bool,
    /// `CompressionType`.
    pub compression_type: i8,
    /// `Metrics`.
    pub metrics: Bytes,
}

impl Codec for PushTelemetryRequest {
    const MIN_BYTES: usize = 23;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = PushTelemetryRequest {
            client_instance_id: d.uuid()?,
            subscription_id: d.i32()?,
            terminating: d.bool()?,
            compression_type: d.i8()?,
            metrics: d.bytes(true)?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.uuid(self.client_instance_id);
        e.i32(self.subscription_id);
        e.bool(self.terminating);
        e.i8(self.compression_type);
        e.bytes(&self.metrics, true)?;
        e.no_tags();
        Ok(())
    }
}

impl Message for PushTelemetryRequest {
    const NAME: &'static str = "PushTelemetryRequest";
    const VERSIONS: (i16, i16) = (0, 0);
}

impl Request for PushTelemetryRequest {
    const KEY: ApiKey = ApiKey::PushTelemetry;
    type Response = PushTelemetryResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for PushTelemetryRequest {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        PushTelemetryRequest {
            client_instance_id: g.uuid(),
            subscription_id: g.i32(),
            terminating: g.bool(),
            compression_type: g.i8(),
            metrics: g.bytes(),
        }
    }
}

/// `PushTelemetryResponse`, API key 72, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushTelemetryResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
}

impl Codec for PushTelemetryResponse {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = PushTelemetryResponse { throttle_time_ms: d.i32()?, error_code: d.error_code()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        e.no_tags();
        Ok(())
    }
}

impl Message for PushTelemetryResponse {
    const NAME: &'static str = "PushTelemetryResponse";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for PushTelemetryResponse {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        PushTelemetryResponse { throttle_time_ms: g.i32(), error_code: ErrorCode(g.i16()) }
    }
}
