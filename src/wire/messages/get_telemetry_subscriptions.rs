//! `GetTelemetrySubscriptionsRequest` and `GetTelemetrySubscriptionsResponse`.
//!
//! Generated from `wire/schema/get_telemetry_subscriptions.schema` by `generate.py`; do not edit.

use uuid::Uuid;

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `GetTelemetrySubscriptionsRequest`, API key 71, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetTelemetrySubscriptionsRequest {
    /// `ClientInstanceId`.
    pub client_instance_id: Uuid,
}

impl Codec for GetTelemetrySubscriptionsRequest {
    const MIN_BYTES: usize = 16;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = GetTelemetrySubscriptionsRequest { client_instance_id: d.uuid()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.uuid(self.client_instance_id);
        e.no_tags();
        Ok(())
    }
}

impl Message for GetTelemetrySubscriptionsRequest {
    const NAME: &'static str = "GetTelemetrySubscriptionsRequest";
    const VERSIONS: (i16, i16) = (0, 0);
}

impl Request for GetTelemetrySubscriptionsRequest {
    const KEY: ApiKey = ApiKey::GetTelemetrySubscriptions;
    type Response = GetTelemetrySubscriptionsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for GetTelemetrySubscriptionsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        GetTelemetrySubscriptionsRequest { client_instance_id: g.uuid() }
    }
}

/// `GetTelemetrySubscriptionsResponse`, API key 71, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetTelemetrySubscriptionsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ClientInstanceId`.
    pub client_instance_id: Uuid,
    /// `SubscriptionId`.
    pub subscription_id: i32,
    /// `AcceptedCompressionTypes`.
    pub accepted_compression_types: Vec<i8>,
    /// `PushIntervalMs`.
    pub push_interval_ms: i32,
    /// `TelemetryMaxBytes`.
    pub telemetry_max_bytes: i32,
    /// `DeltaTemporality`.
    pub delta_temporality: bool,
    /// `RequestedMetrics`.
    pub requested_metrics: Vec<StrBytes>,
}

impl Codec for GetTelemetrySubscriptionsResponse {
    const MIN_BYTES: usize = 37;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = GetTelemetrySubscriptionsResponse {
            throttle_time_ms: d.i32()?,
            error_code: d.error_code()?,
            client_instance_id: d.uuid()?,
            subscription_id: d.i32()?,
            accepted_compression_types: d.array(true, 1, |d| d.i8())?,
            push_interval_ms: d.i32()?,
            telemetry_max_bytes: d.i32()?,
            delta_temporality: d.bool()?,
            requested_metrics: d.array(true, 1, |d| d.string(true))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        e.uuid(self.client_instance_id);
        e.i32(self.subscription_id);
        e.array(&self.accepted_compression_types, true, |e, item| {
            e.i8(*item);
            Ok(())
        })?;
        e.i32(self.push_interval_ms);
        e.i32(self.telemetry_max_bytes);
        e.bool(self.delta_temporality);
        e.array(&self.requested_metrics, true, |e, item| e.string(item, true))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for GetTelemetrySubscriptionsResponse {
    const NAME: &'static str = "GetTelemetrySubscriptionsResponse";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for GetTelemetrySubscriptionsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        GetTelemetrySubscriptionsResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            client_instance_id: g.uuid(),
            subscription_id: g.i32(),
            accepted_compression_types: g.array(|g| g.i8()),
            push_interval_ms: g.i32(),
            telemetry_max_bytes: g.i32(),
            delta_temporality: g.bool(),
            requested_metrics: g.array(|g| g.text()),
        }
    }
}
