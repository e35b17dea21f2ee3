//! DescribeGroups (15), versions 0–6: groups in full, with their members.
//!
//! Metadata is shown while a group is stable, and what members were assigned last also while they join again. A group that does not exist, or is of the consumer
//! protocol, is `Dead`, from version 6 with error 69.
//!
//! Errors: per group 14, 15, 16 · 30 · 69.

use super::Context;
use super::groups::{ask, code};
use crate::coordinator::CoordinatorError;
use crate::coordinator::group::{DescribeGroup, GroupError, MemberDescription};
use crate::metadata::{AclOperation, ResourceKind};
use crate::wire::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use crate::wire::{ErrorCode, StrBytes};

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let mut response = DescribeGroupsResponse::default();
    for group in request.groups {
        if let Err(error_code) = context.check(AclOperation::Describe, ResourceKind::Group, &group) {
            response.groups.push(DescribedGroup { group_id: group, error_code, ..DescribedGroup::default() });
            continue;
        }
        let mut described = describe(context, version, group).await;
        if request.include_authorized_operations && described.error_code == ErrorCode::NONE {
            described.authorized_operations = context.operations(ResourceKind::Group, &described.group_id);
        }
        response.groups.push(described);
    }
    response
}

async fn describe(context: &Context, version: i16, group_id: StrBytes) -> DescribedGroup {
    match ask(&context.broker, &group_id, DescribeGroup((&*group_id).into())).await {
        Ok(group) => DescribedGroup {
            group_id,
            group_state: StrBytes::from(group.state),
            protocol_type: group.protocol_type.into(),
            protocol_data: group.protocol.into(),
            members: group.members.into_iter().map(member).collect(),
            ..DescribedGroup::default()
        },
        Err(CoordinatorError::Group(why @ (GroupError::GroupNotFound | GroupError::OtherProtocol))) => {
            let (error_code, error_message) = if version >= 6 {
                let message = match why {
                    GroupError::OtherProtocol => format!("Group {group_id} is not a classic group."),
                    _ => format!("Group {group_id} not found."),
                };
                (ErrorCode::GROUP_ID_NOT_FOUND, Some(StrBytes::from(message)))
            } else {
                (ErrorCode::NONE, None)
            };
            let group_state = StrBytes::from_static("Dead");
            DescribedGroup { group_id, group_state, error_code, error_message, ..DescribedGroup::default() }
        }
        Err(error) => DescribedGroup { group_id, error_code: code(&error), ..DescribedGroup::default() },
    }
}

fn member(member: MemberDescription) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: member.member_id.into(),
        group_instance_id: member.instance_id.map(StrBytes::from),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    }
}
