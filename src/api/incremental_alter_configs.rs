//! IncrementalAlterConfigs (key 44), versions 0 to 1: changes single configs of topics, groups, subscriptions to clients'
//! metrics, and those of brokers that can change while they run (KIP-339, KIP-226).
//!
//! Operations: set (0), delete (1), append to a list (2), take from a list (3). All changes of a resource are made
//! together or not at all. A broker without a name means all brokers.
//!
//! Errors: TOPIC_AUTHORIZATION_FAILED (29), GROUP_AUTHORIZATION_FAILED (30), CLUSTER_AUTHORIZATION_FAILED (31), INVALID_REQUEST (42: another kind of resource, something named twice, an unknown operation),
//! INVALID_CONFIG (40), UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_TOPIC_EXCEPTION (17), REQUEST_TIMED_OUT (7).

use super::Context;
use super::config_resources::{Changes, Resource};
use super::errors::ApiError;
use super::topics::{named_twice, repeated};
use crate::broker::ConfigEntry;
use crate::broker::config::Kind;
use crate::wire::ErrorCode;
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let repeated = repeated(request.resources.iter().map(|r| (r.resource_type, r.resource_name.as_str())));
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let altered = if repeated.contains(&(resource.resource_type, resource.resource_name.as_str())) {
            Err(named_twice())
        } else {
            alter(context, resource, request.validate_only).await
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
    IncrementalAlterConfigsResponse { throttle_time_ms: 0, responses }
}

async fn alter(
    context: &Context,
    wanted: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), ApiError> {
    let resource = Resource::of(context, wanted.resource_type, &wanted.resource_name)?;
    let changes = changes(&resource.entries(context), &wanted.configs)?;
    let (what, altered) = resource.alter(context, changes, validate_only).await;
    if !validate_only {
        context.changed("IncrementalAlterConfigs", &what, altered.as_ref().err());
    }
    altered
}

/// The operations as values: `Some` sets, `None` returns to the default.
fn changes(current: &[ConfigEntry], operations: &[AlterableConfig]) -> Result<Changes, ApiError> {
    let mut changes = Changes::new();
    for operation in operations {
        let name = operation.name.as_str();
        let given = || {
            operation.value.as_deref().ok_or_else(|| {
                ApiError::new(ErrorCode::INVALID_REQUEST, format!("config {name} has no value"))
            })
        };
        let value = match operation.config_operation {
            SET => Some(given()?.to_owned()),
            DELETE => None,
            APPEND | SUBTRACT => {
                let entry = current
                    .iter()
                    .find(|entry| entry.name == name)
                    .filter(|entry| matches!(entry.kind, Kind::List | Kind::SomeOf(_)))
                    .ok_or_else(|| {
                        ApiError::new(ErrorCode::INVALID_CONFIG, format!("config {name} is not a list"))
                    })?;
                let append = operation.config_operation == APPEND;
                Some(combined(entry.value.as_deref().unwrap_or(""), given()?, append))
            }
            other => {
                return Err(ApiError::new(
                    ErrorCode::INVALID_REQUEST,
                    format!("there is no operation {other} on configs"),
                ));
            }
        };
        if changes.insert(name.to_owned(), value).is_some() {
            return Err(ApiError::new(ErrorCode::INVALID_REQUEST, format!("config {name} is given twice")));
        }
    }
    Ok(changes)
}

/// A list of texts with some more, or without some.
fn combined(current: &str, given: &str, append: bool) -> String {
    let split = |list: &str| -> Vec<String> {
        list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    let (mut all, given) = (split(current), split(given));
    if append {
        for item in given {
            if !all.contains(&item) {
                all.push(item);
            }
        }
    } else {
        all.retain(|item| !given.contains(item));
    }
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_grow_and_shrink_item_by_item() {
        assert_eq!(combined("delete", "compact", true), "delete,compact");
        assert_eq!(combined("delete,compact", "compact", true), "delete,compact");
        assert_eq!(combined("delete, compact", "delete", false), "compact");
    }

    #[test]
    fn a_config_named_twice_or_an_unknown_operation_changes_nothing() {
        let change = |config_operation| AlterableConfig {
            name: "retention.ms".into(),
            config_operation,
            value: Some("1".into()),
        };
        assert_eq!(changes(&[], &[change(SET)]).unwrap()["retention.ms"].as_deref(), Some("1"));
        assert_eq!(changes(&[], &[change(DELETE)]).unwrap()["retention.ms"], None);
        assert_eq!(
            changes(&[], &[change(SET), change(DELETE)]).unwrap_err().code,
            ErrorCode::INVALID_REQUEST
        );
        assert_eq!(changes(&[], &[change(9)]).unwrap_err().code, ErrorCode::INVALID_REQUEST);
        assert_eq!(changes(&[], &[change(APPEND)]).unwrap_err().code, ErrorCode::INVALID_CONFIG);
    }
}
