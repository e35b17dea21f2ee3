//! CreateAcls (key 30), versions 1 to 3: adds access control entries; each has its own result (KIP-140, KIP-290).
//!
//! An entry that is there already is no error. Those that make sense are added together.
//!
//! Errors per entry: CLUSTER_AUTHORIZATION_FAILED (31), SECURITY_DISABLED (54: there is no authorizer), INVALID_REQUEST
//! (42), REQUEST_TIMED_OUT (7).

use super::Context;
use super::acls::{known, security_disabled};
use super::errors::ApiError;
use crate::metadata::{
    AclBinding, AclOperation, AclPermission, CLUSTER_NAME, Command, PatternType, ResourceKind, SubmitError,
};
use crate::wire::ErrorCode;
use crate::wire::messages::create_acls::{
    AclCreation, AclCreationResult, CreateAclsRequest, CreateAclsResponse,
};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: CreateAclsRequest,
) -> CreateAclsResponse {
    let allowed = context.check_on_cluster(AclOperation::Alter).and_then(|()| match context.authorizer {
        Some(_) => Ok(()),
        None => Err(security_disabled()),
    });
    let entries: Vec<Result<AclBinding, ApiError>> =
        request.creations.iter().map(|creation| allowed.clone().and_then(|()| binding(creation))).collect();
    let bindings: Vec<AclBinding> = entries.iter().flatten().cloned().collect();
    let created = create(context, bindings).await;
    let results = entries.into_iter().map(|entry| match entry.and_then(|_| created.clone()) {
        Ok(()) => AclCreationResult::default(),
        Err(ApiError { code, text }) => {
            AclCreationResult { error_code: code, error_message: Some(text.into()) }
        }
    });
    CreateAclsResponse { results: results.collect(), ..Default::default() }
}

async fn create(context: &Context, bindings: Vec<AclBinding>) -> Result<(), ApiError> {
    if bindings.is_empty() {
        return Ok(());
    }
    let what: Vec<String> = bindings.iter().map(text).collect();
    let created = submit(context, Command::CreateAcls { bindings }).await;
    for what in what {
        context.changed("CreateAcls", &what, created.as_ref().err());
    }
    created
}

/// Has a command applied.
pub(super) async fn submit(context: &Context, command: Command) -> Result<(), ApiError> {
    match context.broker.metadata().submit(command).await {
        Ok(_) => Ok(()),
        Err(SubmitError::Rejected(why)) => Err(ApiError::new(ErrorCode::INVALID_REQUEST, why.to_string())),
        Err(why) => Err(ApiError::new(ErrorCode::REQUEST_TIMED_OUT, why.to_string())),
    }
}

/// An entry in a line of the audit log.
pub(super) fn text(binding: &AclBinding) -> String {
    let AclBinding { kind, name, pattern, principal, host, operation, permission } = binding;
    format!("{permission:?} {principal} from {host} to {operation:?} {kind:?} {pattern:?} {name}")
}

fn binding(creation: &AclCreation) -> Result<AclBinding, ApiError> {
    let invalid = |text: &str| Err(ApiError::new(ErrorCode::INVALID_REQUEST, text));
    let kind = known(creation.resource_type, ResourceKind::from_number, "resourceType")?;
    if kind == ResourceKind::Cluster && creation.resource_name != CLUSTER_NAME {
        return invalid("The only valid name for the CLUSTER resource is kafka-cluster");
    }
    if creation.resource_name.is_empty() {
        return invalid("Invalid empty resource name");
    }
    let is_principal =
        |text: &str| text.split_once(':').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
    if !is_principal(&creation.principal) {
        return invalid("a principal is written as User:name");
    }
    if creation.host.is_empty() {
        return invalid("a host is an address or *");
    }
    Ok(AclBinding {
        kind,
        name: creation.resource_name.to_string(),
        pattern: known(creation.resource_pattern_type, PatternType::from_number, "patternType")?,
        principal: creation.principal.to_string(),
        host: creation.host.to_string(),
        operation: known(creation.operation, AclOperation::from_number, "operation")?,
        permission: known(creation.permission_type, AclPermission::from_number, "permissionType")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_makes_no_sense_is_refused() {
        let good = AclCreation {
            resource_type: 2,
            resource_name: "t".into(),
            resource_pattern_type: 3,
            principal: "User:a".into(),
            host: "*".into(),
            operation: 3,
            permission_type: 3,
        };
        assert_eq!(binding(&good).unwrap().kind, ResourceKind::Topic);
        for bad in [
            AclCreation { resource_type: 1, ..good.clone() },
            AclCreation { resource_type: 4, ..good.clone() },
            AclCreation { resource_name: "".into(), ..good.clone() },
            AclCreation { resource_pattern_type: 2, ..good.clone() },
            AclCreation { principal: "a".into(), ..good.clone() },
            AclCreation { host: "".into(), ..good.clone() },
            AclCreation { operation: 1, ..good.clone() },
            AclCreation { permission_type: 0, ..good.clone() },
        ] {
            assert_eq!(binding(&bad).unwrap_err().code, ErrorCode::INVALID_REQUEST, "{bad:?}");
        }
    }
}
