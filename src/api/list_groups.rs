//! ListGroups (16), versions 0–5: the groups that this broker coordinates.
//!
//! Version 4 filters by state and shows it, 5 does so by type: `classic` or `consumer`.
//!
//! Errors: 14 while one of this broker's partitions is being loaded, 15.

use super::Context;
use super::groups::{code, text};
use crate::coordinator::group::ListGroups;
use crate::metadata::{AclOperation, ResourceKind};
use crate::wire::StrBytes;
use crate::wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    let filter = ListGroups {
        states: request.states_filter.iter().map(text).collect(),
        types: request.types_filter.iter().map(text).collect(),
    };
    // Who may not describe the cluster sees the groups that he may describe.
    let all = context.may_on_cluster_quietly(AclOperation::Describe);
    match context.broker.coordinators().list(&filter).await {
        Ok(groups) => ListGroupsResponse {
            groups: groups
                .into_iter()
                .filter(|group| {
                    all || context.may_quietly(AclOperation::Describe, ResourceKind::Group, &group.group)
                })
                .map(|group| ListedGroup {
                    group_id: StrBytes::from(&*group.group),
                    protocol_type: group.protocol_type.into(),
                    group_state: StrBytes::from(group.state),
                    group_type: StrBytes::from_static(group.kind),
                })
                .collect(),
            ..ListGroupsResponse::default()
        },
        Err(error) => ListGroupsResponse { error_code: code(&error), ..ListGroupsResponse::default() },
    }
}
