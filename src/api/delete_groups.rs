//! DeleteGroups (42), versions 0–2: forgets empty groups with all they have committed.
//!
//! Errors: per group 14, 15, 16 · 30 · 24 · 68 it has members · 69 there is none.

use super::Context;
use super::groups::{ask, code};
use crate::coordinator::CoordinatorError;
use crate::coordinator::group::{DeleteGroup, GroupError};
use crate::metadata::{AclOperation, ResourceKind};
use crate::wire::messages::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};
use crate::wire::{ErrorCode, StrBytes};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut response = DeleteGroupsResponse::default();
    for group_id in request.groups_names {
        let error_code = match context.check(AclOperation::Delete, ResourceKind::Group, &group_id) {
            Ok(()) => {
                let outcome = delete(context, &group_id).await.err().map_or(ErrorCode::NONE, |e| code(&e));
                context.changed_with("DeleteGroups", &group_id, outcome);
                outcome
            }
            Err(denied) => denied,
        };
        response.results.push(DeletableGroupResult { group_id, error_code });
    }
    response
}

async fn delete(context: &Context, group: &StrBytes) -> Result<(), CoordinatorError> {
    if group.is_empty() {
        return Err(GroupError::InvalidGroupId.into());
    }
    ask(&context.broker, group, DeleteGroup((&**group).into())).await
}
