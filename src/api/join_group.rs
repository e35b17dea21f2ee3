//! JoinGroup (11), versions 0–9: a member comes into the next generation of its group.
//!
//! The answer waits until the join phase is over. From version 4 a new member is first given its id (KIP-394), from
//! 5 members may be static (KIP-345), from 9 a static leader that comes back may be told to keep the assignment
//! (KIP-814). Version 0 has no rebalance timeout of its own: it is the session timeout.
//!
//! Errors: 14, 15, 16 as of every coordinator · 23 no common protocol · 24 · 25 unknown member · 26 session timeout
//! out of bounds · 30 not allowed · 27 asked again meanwhile · 42 a name too long · 44 too many groups · 79 join again with this id ·
//! 81 the group is full · 82 fenced.

use std::sync::Arc;

use bytes::Bytes;

use super::Context;
use super::groups::{ask, code, may_read, text};
use crate::coordinator::CoordinatorError;
use crate::coordinator::group::{GroupError, JoinGroup, Joined};
use crate::wire::messages::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};
use crate::wire::{ErrorCode, StrBytes};

pub(super) async fn handle(context: &Context, version: i16, request: JoinGroupRequest) -> JoinGroupResponse {
    if let Err(denied) = may_read(context, &request.group_id) {
        return refused(version, request.member_id, denied);
    }
    let question = JoinGroup {
        group: (&*request.group_id).into(),
        member_id: text(&request.member_id),
        instance_id: request.group_instance_id.as_ref().map(text),
        client_id: context.client_id.as_ref().map(text).unwrap_or_default(),
        client_host: format!("/{}", context.client.address.ip()),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: match version {
            0 => request.session_timeout_ms,
            _ => request.rebalance_timeout_ms,
        },
        protocol_type: text(&request.protocol_type),
        protocols: request
            .protocols
            .iter()
            .map(|p| (text(&p.name), Bytes::copy_from_slice(&p.metadata)))
            .collect(),
        id_before_join: version >= 4 && request.group_instance_id.is_none(),
        can_skip_assignment: version >= 9,
        reason: request.reason.as_ref().map(text),
        fresh_id: uuid::Uuid::nil(),
        catalog: Arc::default(),
    };
    match ask(&context.broker, &request.group_id, question).await {
        Ok(joined) => accepted(joined),
        Err(error) => {
            let member_id = match &error {
                CoordinatorError::Group(GroupError::MemberIdRequired(given)) => StrBytes::from(given),
                _ => request.member_id,
            };
            refused(version, member_id, code(&error))
        }
    }
}

fn accepted(joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|m| JoinGroupResponseMember {
        member_id: m.member_id.into(),
        group_instance_id: m.instance_id.map(StrBytes::from),
        metadata: m.metadata,
    });
    JoinGroupResponse {
        generation_id: joined.generation,
        protocol_type: joined.protocol_type.map(StrBytes::from),
        protocol_name: joined.protocol.map(StrBytes::from),
        leader: joined.leader.into(),
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id.into(),
        members: members.collect(),
        ..JoinGroupResponse::default()
    }
}

fn refused(version: i16, member_id: StrBytes, error_code: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code,
        generation_id: -1,
        // Null only where the version can say so.
        protocol_name: (version < 7).then(StrBytes::default),
        member_id,
        ..JoinGroupResponse::default()
    }
}
