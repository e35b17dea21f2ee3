//! PushTelemetry (key 72), version 0: metrics of a client, in OTLP, which go on to our collector (KIP-714).
//!
//! Each resource is marked with who sent it. Without a collector pushes are counted, and dropped. Anybody may push what it was
//! asked for.
//!
//! Errors: INVALID_REQUEST (42: no instance id, or a push after the last one), THROTTLING_QUOTA_EXCEEDED (89: before the
//! interval is over), UNKNOWN_SUBSCRIPTION_ID (117), UNSUPPORTED_COMPRESSION_TYPE (76), TELEMETRY_TOO_LARGE (118), INVALID_RECORD
//! (87: it is not what the codec or OTLP says).

use super::Context;
use super::get_telemetry_subscriptions::{code_of, identity, max_bytes};
use crate::wire::ErrorCode;
use crate::wire::messages::push_telemetry::{PushTelemetryRequest, PushTelemetryResponse};
use crate::wire::record_batch::{BatchError, Compression, decompress};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: PushTelemetryRequest,
) -> PushTelemetryResponse {
    let error_code = push(context, &request).err().unwrap_or(ErrorCode::NONE);
    PushTelemetryResponse { throttle_time_ms: 0, error_code }
}

fn push(context: &Context, request: &PushTelemetryRequest) -> Result<(), ErrorCode> {
    let client = identity(context, request.client_instance_id);
    let broker = &context.broker;
    broker
        .admit_push(&client, request.subscription_id, request.terminating, request.metrics.len())
        .map_err(code_of)?;
    let codec = Compression::from_id(i16::from(request.compression_type))
        .map_err(|_| ErrorCode::UNSUPPORTED_COMPRESSION_TYPE)?;
    if request.metrics.is_empty() {
        return Ok(());
    }
    let metrics = decompress(codec, &request.metrics, max_bytes(context)).map_err(|error| match error {
        BatchError::Bomb { .. } => ErrorCode::TELEMETRY_TOO_LARGE,
        _ => ErrorCode::INVALID_RECORD,
    })?;
    broker.take_client_metrics(&client, &metrics).map_err(code_of)
}
