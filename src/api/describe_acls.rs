//! DescribeAcls (key 29), versions 1 to 3: the access control entries that a filter finds, by resource (KIP-140,
//! KIP-290). One empty list of tags too many, as kafka-go sends it, is let pass; other bytes behind the request are not.
//!
//! Errors: CLUSTER_AUTHORIZATION_FAILED (31), SECURITY_DISABLED (54: there is no authorizer), INVALID_REQUEST (42: a
//! number that stands for nothing).

use super::Context;
use super::acls::{Filter, RawFilter, security_disabled};
use super::errors::ApiError;
use crate::metadata::AclOperation;
use crate::wire::messages::describe_acls::{
    AclDescription, DescribeAclsRequest, DescribeAclsResource, DescribeAclsResponse,
};
use crate::wire::{DecodeError, Decoder, Message as _};

/// What kafka-go writes after a flexible request: its tagged fields, of which there are none, a second time.
const NO_TAGS_AGAIN: &[u8] = &[0];

/// Reads the body of a request, with what kafka-go leaves over.
pub(super) fn read(mut body: Decoder, version: i16) -> Result<DescribeAclsRequest, DecodeError> {
    let request = DescribeAclsRequest::read(&mut body, version)?;
    if version < 2 || body.rest() != NO_TAGS_AGAIN {
        body.finish()?;
    }
    Ok(request)
}

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: DescribeAclsRequest,
) -> DescribeAclsResponse {
    match describe(context, &request) {
        Ok(resources) => DescribeAclsResponse { resources, ..Default::default() },
        Err(ApiError { code, text }) => {
            DescribeAclsResponse { error_code: code, error_message: Some(text.into()), ..Default::default() }
        }
    }
}

fn describe(context: &Context, request: &DescribeAclsRequest) -> Result<Vec<DescribeAclsResource>, ApiError> {
    context.check_on_cluster(AclOperation::Describe)?;
    if context.authorizer.is_none() {
        return Err(security_disabled());
    }
    let filter = Filter::new(&RawFilter {
        kind: request.resource_type_filter,
        name: &request.resource_name_filter,
        pattern: request.pattern_type_filter,
        principal: &request.principal_filter,
        host: &request.host_filter,
        operation: request.operation,
        permission: request.permission_type,
    })?;
    let image = context.broker.image();
    let mut resources: Vec<DescribeAclsResource> = Vec::new();
    // In the order of their resources: those of one stand together.
    for binding in image.acls.iter().filter(|binding| filter.matches(binding)) {
        let (kind, pattern) = (binding.kind.number(), binding.pattern.number());
        let description = AclDescription {
            principal: binding.principal.as_str().into(),
            host: binding.host.as_str().into(),
            operation: binding.operation.number(),
            permission_type: binding.permission.number(),
        };
        match resources.last_mut() {
            Some(last)
                if last.resource_type == kind
                    && last.pattern_type == pattern
                    && last.resource_name == binding.name.as_str() =>
            {
                last.acls.push(description);
            }
            _ => resources.push(DescribeAclsResource {
                resource_type: kind,
                resource_name: binding.name.as_str().into(),
                pattern_type: pattern,
                acls: vec![description],
            }),
        }
    }
    Ok(resources)
}
