//! AlterConfigs (key 33), versions 0 to 2: replaces all configs of topics, brokers, groups and subscriptions to clients' metrics.
//!
//! What the request does not name returns to its default (IncrementalAlterConfigs changes single ones). A config without a
//! value is refused. All configs of a resource are replaced together or not at all.
//!
//! Errors: those of IncrementalAlterConfigs.

use std::collections::HashSet;

use super::Context;
use super::config_resources::{Changes, Resource};
use super::errors::ApiError;
use super::topics::{named_twice, repeated};
use crate::wire::ErrorCode;
use crate::wire::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let repeated = repeated(request.resources.iter().map(|r| (r.resource_type, r.resource_name.as_str())));
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let altered = if repeated.contains(&(resource.resource_type, resource.resource_name.as_str())) {
            Err(named_twice())
        } else {
            replace(context, resource, request.validate_only).await
        };
        let mut response = AlterConfigsResourceResponse {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        };
        if let Err(ApiError { code, text }) = altered {
            response.error_code = code;
            response.error_message = Some(text.into());
        }
        responses.push(response);
    }
    AlterConfigsResponse { throttle_time_ms: 0, responses }
}

async fn replace(
    context: &Context,
    wanted: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), ApiError> {
    let resource = Resource::of(context, wanted.resource_type, &wanted.resource_name)?;
    let mut changes: Changes = resource.set(context).into_iter().map(|name| (name, None)).collect();
    let mut named = HashSet::new();
    for config in &wanted.configs {
        let name = config.name.as_str();
        if !named.insert(name) {
            return Err(ApiError::new(ErrorCode::INVALID_REQUEST, format!("config {name} is given twice")));
        }
        let value = config.value.as_deref().ok_or_else(|| {
            ApiError::new(ErrorCode::INVALID_REQUEST, format!("config {name} has no value"))
        })?;
        changes.insert(name.to_owned(), Some(value.to_owned()));
    }
    let (what, altered) = resource.alter(context, changes, validate_only).await;
    if !validate_only {
        context.changed("AlterConfigs", &what, altered.as_ref().err());
    }
    altered
}
