//! SyncGroup (14), versions 0–5: a member takes its part of the assignment, the leader brings all parts.
//!
//! The answer waits until the leader's assignment is committed. From version 5 a member says which protocol it
//! believes in, and both fields are mandatory.
//!
//! Errors: 14, 15, 16 · 30 · 22 another generation · 23 another protocol · 25 · 27 a rebalance began · 82.

use std::sync::Arc;

use bytes::Bytes;

use super::Context;
use super::groups::{ask, code, may_read, membership, text};
use crate::coordinator::CoordinatorError;
use crate::coordinator::group::{GroupError, SyncGroup};
use crate::wire::StrBytes;
use crate::wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

pub(super) async fn handle(context: &Context, version: i16, request: SyncGroupRequest) -> SyncGroupResponse {
    if let Err(error_code) = may_read(context, &request.group_id) {
        return SyncGroupResponse { error_code, ..SyncGroupResponse::default() };
    }
    let lacks_protocol = request.protocol_type.is_none() || request.protocol_name.is_none();
    let result = if version >= 5 && lacks_protocol {
        Err(CoordinatorError::Group(GroupError::InconsistentProtocol))
    } else {
        let question = SyncGroup {
            member: membership(
                &request.group_id,
                &request.member_id,
                request.group_instance_id.as_ref(),
                request.generation_id,
            ),
            protocol_type: request.protocol_type.as_ref().map(text),
            protocol: request.protocol_name.as_ref().map(text),
            assignments: request
                .assignments
                .iter()
                .map(|a| (text(&a.member_id), Bytes::copy_from_slice(&a.assignment)))
                .collect(),
            catalog: Arc::default(),
        };
        ask(&context.broker, &request.group_id, question).await
    };
    match result {
        Ok(synced) => SyncGroupResponse {
            protocol_type: synced.protocol_type.map(StrBytes::from),
            protocol_name: synced.protocol.map(StrBytes::from),
            assignment: synced.assignment,
            ..SyncGroupResponse::default()
        },
        Err(error) => SyncGroupResponse { error_code: code(&error), ..SyncGroupResponse::default() },
    }
}
