//! ListConfigResources (key 74), versions 0 to 1: the resources that can have configs (KIP-1142).
//!
//! Version 0 lists the subscriptions to clients' metrics (it was ListClientMetricsResources); version 1 those of the types
//! that it asks for, or of all: topics (2), brokers (4), broker loggers (8, one of each broker), client metrics (16) and
//! groups (32) that have configs of their own. Topics are those that the client may describe.
//!
//! Errors: CLUSTER_AUTHORIZATION_FAILED (31), UNSUPPORTED_VERSION (35: a type that there is not).

use super::Context;
use super::describe_configs::{BROKER, CLIENT_METRICS, GROUP, TOPIC};
use crate::metadata::AclOperation;
use crate::wire::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use crate::wire::{ErrorCode, StrBytes};

/// Kafka's number of brokers' loggers as resources.
const BROKER_LOGGER: i8 = 8;
const ALL: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let refused = |error_code| ListConfigResourcesResponse { error_code, ..Default::default() };
    if !context.may_on_cluster(AclOperation::DescribeConfigs) {
        return refused(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    }
    let types = match (version, request.resource_types) {
        (0, _) => vec![CLIENT_METRICS],
        (_, types) if types.is_empty() => ALL.to_vec(),
        (_, types) => types,
    };
    if types.iter().any(|kind| !ALL.contains(kind)) {
        return refused(ErrorCode::UNSUPPORTED_VERSION);
    }
    let image = context.broker.image();
    let brokers = || image.brokers.keys().map(|id| StrBytes::from(id.to_string()));
    let mut config_resources = Vec::new();
    for resource_type in ALL.into_iter().filter(|kind| types.contains(kind)) {
        let names: Vec<StrBytes> = match resource_type {
            TOPIC => context.describable(&image).map(|topic| topic.name.as_str().into()).collect(),
            BROKER | BROKER_LOGGER => brokers().collect(),
            CLIENT_METRICS => image.client_metrics.keys().map(|name| name.as_str().into()).collect(),
            _ => image.group_configs.keys().map(|name| name.as_str().into()).collect(),
        };
        let resource = |resource_name| ConfigResource { resource_name, resource_type };
        config_resources.extend(names.into_iter().map(resource));
    }
    ListConfigResourcesResponse { config_resources, ..Default::default() }
}
