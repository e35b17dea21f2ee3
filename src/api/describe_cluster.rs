//! DescribeCluster (key 60), versions 0 to 2: the cluster's id, controller and brokers (KIP-700).
//!
//! Version 1 asks for brokers or controllers: controllers are not reachable by clients (MISMATCHED_ENDPOINT_TYPE, 114;
//! anything else is UNSUPPORTED_ENDPOINT_TYPE, 115). Version 2 can ask for fenced brokers too.

use super::Context;
use super::topics::{OPERATIONS_NOT_ASKED, endpoint};
use crate::metadata::BrokerState;
use crate::wire::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use crate::wire::{ErrorCode, StrBytes};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let image = context.broker.image();
    let refusal = match request.endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some((
            ErrorCode::MISMATCHED_ENDPOINT_TYPE,
            "this is a broker: the controllers have no client listener",
        )),
        _ => Some((ErrorCode::UNSUPPORTED_ENDPOINT_TYPE, "there are brokers (1) and controllers (2)")),
    };
    if let Some((error_code, text)) = refusal {
        return DescribeClusterResponse {
            error_code,
            error_message: Some(StrBytes::from_static(text)),
            endpoint_type: request.endpoint_type,
            ..Default::default()
        };
    }
    let brokers = image.brokers.values().filter_map(|broker| {
        let fenced = broker.state == BrokerState::Fenced;
        let endpoint = endpoint(broker, &context.client.listener)?;
        (!fenced || request.include_fenced_brokers).then(|| DescribeClusterBroker {
            broker_id: broker.id.0,
            host: endpoint.host.as_str().into(),
            port: i32::from(endpoint.port),
            rack: broker.rack.as_deref().map(StrBytes::from),
            // Has a place from version 2 on, and only there may be true.
            is_fenced: fenced,
        })
    });
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: image.cluster_id.as_str().into(),
        controller_id: context.broker.controller().map_or(-1, |id| id.0),
        brokers: brokers.collect(),
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            context.cluster_operations()
        } else {
            OPERATIONS_NOT_ASKED
        },
        ..Default::default()
    }
}
