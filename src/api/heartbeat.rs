//! Heartbeat (12), versions 0–4: a member says that it lives, and learns of a rebalance.
//!
//! Errors: 14, 15, 16 · 30 · 22 another generation · 25 · 27 rejoin, please · 82.

use super::Context;
use super::groups::{ask, code, may_read, membership};
use crate::wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

pub(super) async fn handle(context: &Context, _version: i16, request: HeartbeatRequest) -> HeartbeatResponse {
    if let Err(error_code) = may_read(context, &request.group_id) {
        return HeartbeatResponse { error_code, ..HeartbeatResponse::default() };
    }
    let question = membership(
        &request.group_id,
        &request.member_id,
        request.group_instance_id.as_ref(),
        request.generation_id,
    );
    match ask(&context.broker, &request.group_id, question).await {
        Ok(()) => HeartbeatResponse::default(),
        Err(error) => HeartbeatResponse { error_code: code(&error), ..HeartbeatResponse::default() },
    }
}
