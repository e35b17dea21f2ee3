//! LeaveGroup (13), versions 0–5: members leave, and the others rebalance at once.
//!
//! Up to version 2 one member leaves, and its error is the response's; from 3 several may, static ones by their
//! instance id alone, each with an error of its own; from 5 with a reason (KIP-800).
//!
//! Errors: 14, 15, 16 · 30 · 25 unknown member · 82 another member has the instance id.

use super::Context;
use super::groups::{ask, code, group_code, may_read, text};
use crate::coordinator::CoordinatorError;
use crate::coordinator::group::{GroupError, LeaveGroup, LeavingMember, Left};
use crate::wire::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};
use crate::wire::{ErrorCode, StrBytes};

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    if let Err(error_code) = may_read(context, &request.group_id) {
        return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
    }
    let alone = version < 3;
    let members: Vec<LeavingMember> = if alone {
        vec![LeavingMember { member_id: text(&request.member_id), instance_id: None, reason: None }]
    } else {
        let leaving = |m: &crate::wire::messages::leave_group::MemberIdentity| LeavingMember {
            member_id: text(&m.member_id),
            instance_id: m.group_instance_id.as_ref().map(text),
            reason: m.reason.as_ref().map(text),
        };
        request.members.iter().map(leaving).collect()
    };
    let question = LeaveGroup { group: (&*request.group_id).into(), members: members.clone() };
    let result = match ask(&context.broker, &request.group_id, question).await {
        // There is no such group, so none of them is in it.
        Err(CoordinatorError::Group(GroupError::UnknownMember)) => Ok(nobody(members)),
        result => result,
    };
    match result {
        Ok(left) if alone => {
            let error_code = left.first().map_or(ErrorCode::NONE, |l| error_of(&l.result));
            LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() }
        }
        Ok(left) => LeaveGroupResponse {
            members: left
                .into_iter()
                .map(|l| MemberResponse {
                    error_code: error_of(&l.result),
                    member_id: l.member_id.into(),
                    group_instance_id: l.instance_id.map(StrBytes::from),
                })
                .collect(),
            ..LeaveGroupResponse::default()
        },
        Err(error) => LeaveGroupResponse { error_code: code(&error), ..LeaveGroupResponse::default() },
    }
}

fn nobody(members: Vec<LeavingMember>) -> Vec<Left> {
    let unknown = |m: LeavingMember| Left {
        member_id: m.member_id,
        instance_id: m.instance_id,
        result: Err(GroupError::UnknownMember),
    };
    members.into_iter().map(unknown).collect()
}

fn error_of(result: &Result<(), GroupError>) -> ErrorCode {
    result.as_ref().err().map_or(ErrorCode::NONE, group_code)
}
