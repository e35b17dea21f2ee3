//! DeleteAcls (key 31), versions 1 to 3: removes the access control entries that filters find, and names them
//! (KIP-140, KIP-290).
//!
//! Errors per filter: CLUSTER_AUTHORIZATION_FAILED (31), SECURITY_DISABLED (54: there is no authorizer),
//! INVALID_REQUEST (42), REQUEST_TIMED_OUT (7).

use super::Context;
use super::acls::{Filter, RawFilter, security_disabled};
use super::create_acls::{submit, text};
use super::errors::ApiError;
use crate::metadata::{AclBinding, AclOperation, Command};
use crate::wire::messages::delete_acls::{
    DeleteAclsFilter, DeleteAclsFilterResult, DeleteAclsMatchingAcl, DeleteAclsRequest, DeleteAclsResponse,
};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: DeleteAclsRequest,
) -> DeleteAclsResponse {
    let allowed = context.check_on_cluster(AclOperation::Alter).and_then(|()| match context.authorizer {
        Some(_) => Ok(()),
        None => Err(security_disabled()),
    });
    let mut filter_results = Vec::with_capacity(request.filters.len());
    for filter in &request.filters {
        let deleted = match &allowed {
            Ok(()) => delete(context, filter).await,
            Err(error) => Err(error.clone()),
        };
        filter_results.push(match deleted {
            Ok(bindings) => DeleteAclsFilterResult {
                matching_acls: bindings.iter().map(matching).collect(),
                ..Default::default()
            },
            Err(ApiError { code, text }) => DeleteAclsFilterResult {
                error_code: code,
                error_message: Some(text.into()),
                ..Default::default()
            },
        });
    }
    DeleteAclsResponse { filter_results, ..Default::default() }
}

async fn delete(context: &Context, filter: &DeleteAclsFilter) -> Result<Vec<AclBinding>, ApiError> {
    let filter = Filter::new(&RawFilter {
        kind: filter.resource_type_filter,
        name: &filter.resource_name_filter,
        pattern: filter.pattern_type_filter,
        principal: &filter.principal_filter,
        host: &filter.host_filter,
        operation: filter.operation,
        permission: filter.permission_type,
    })?;
    let image = context.broker.image();
    let bindings: Vec<AclBinding> =
        image.acls.iter().filter(|binding| filter.matches(binding)).cloned().collect();
    if bindings.is_empty() {
        return Ok(bindings);
    }
    let deleted = submit(context, Command::DeleteAcls { bindings: bindings.clone() }).await;
    for binding in &bindings {
        context.changed("DeleteAcls", &text(binding), deleted.as_ref().err());
    }
    deleted.map(|()| bindings)
}

fn matching(binding: &AclBinding) -> DeleteAclsMatchingAcl {
    DeleteAclsMatchingAcl {
        resource_type: binding.kind.number(),
        resource_name: binding.name.as_str().into(),
        pattern_type: binding.pattern.number(),
        principal: binding.principal.as_str().into(),
        host: binding.host.as_str().into(),
        operation: binding.operation.number(),
        permission_type: binding.permission.number(),
        ..Default::default()
    }
}
