//! GetTelemetrySubscriptions (key 71), version 0: which of its metrics a client is to push, and how often (KIP-714).
//!
//! A client without an id gets one. It asks once an interval, or earlier when its subscription has changed. Anybody may ask.
//!
//! Errors: THROTTLING_QUOTA_EXCEEDED (89) before the interval is over.

use uuid::Uuid;

use super::Context;
use crate::broker::{ClientIdentity, TelemetryError};
use crate::wire::messages::get_telemetry_subscriptions::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse,
};
use crate::wire::{ErrorCode, StrBytes};

/// zstd, lz4, gzip, snappy: in this order, as Kafka prefers them.
const CODECS: [i8; 4] = [4, 3, 1, 2];

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: GetTelemetrySubscriptionsRequest,
) -> GetTelemetrySubscriptionsResponse {
    let given = request.client_instance_id;
    let instance = if given.is_nil() { context.broker.env().rng.uuid() } else { given };
    match context.broker.ask_for_subscription(&identity(context, instance)) {
        Ok(subscription) => GetTelemetrySubscriptionsResponse {
            client_instance_id: instance,
            subscription_id: subscription.id,
            accepted_compression_types: CODECS.to_vec(),
            push_interval_ms: subscription.interval_ms,
            telemetry_max_bytes: i32::try_from(max_bytes(context)).unwrap_or(i32::MAX),
            delta_temporality: true,
            requested_metrics: subscription.metrics.iter().map(|name| name.as_str().into()).collect(),
            ..Default::default()
        },
        Err(error) => GetTelemetrySubscriptionsResponse { error_code: code_of(error), ..Default::default() },
    }
}

/// `telemetry.max.bytes`.
pub(super) fn max_bytes(context: &Context) -> usize {
    context.broker.live().config.size("telemetry.max.bytes")
}

/// Who asks or pushes.
pub(super) fn identity(context: &Context, instance: Uuid) -> ClientIdentity {
    ClientIdentity {
        instance,
        client_id: context.client_id.as_ref().map(StrBytes::to_string).unwrap_or_default(),
        software: context.client.software.get().cloned().unwrap_or_default(),
        address: context.client.address,
    }
}

pub(super) fn code_of(error: TelemetryError) -> ErrorCode {
    match error {
        TelemetryError::Unexpected => ErrorCode::INVALID_REQUEST,
        TelemetryError::TooSoon => ErrorCode::THROTTLING_QUOTA_EXCEEDED,
        TelemetryError::UnknownSubscription => ErrorCode::UNKNOWN_SUBSCRIPTION_ID,
        TelemetryError::TooLarge => ErrorCode::TELEMETRY_TOO_LARGE,
        TelemetryError::Malformed => ErrorCode::INVALID_RECORD,
    }
}
