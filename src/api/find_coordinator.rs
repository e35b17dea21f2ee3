//! FindCoordinator (10), versions 0–6: which broker coordinates a group or a transactional id.
//!
//! Up to version 3 for one key, from 4 for several (KIP-699). It is the leader of the key's partition of
//! `__consumer_offsets` or `__transaction_state`, on the listener the client came by; the topic is created when the first
//! client asks. Key type 0 is a group, 1 a transactional id; 2 (share groups) is not served and is refused for good.
//!
//! Errors: 30, 53 · 15 no leader at the moment, or the topic cannot be created yet · 42 a key type that is not served.

use futures::future::join_all;

use super::Context;
use super::access::refusal_text;
use super::topics::endpoint;
use crate::broker::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::TopicName;
use crate::wire::messages::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::{ErrorCode, StrBytes};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if version >= 4 {
        let keys = request.coordinator_keys.into_iter().map(|key| find(context, request.key_type, key));
        return FindCoordinatorResponse {
            coordinators: join_all(keys).await,
            ..FindCoordinatorResponse::default()
        };
    }
    let found = find(context, request.key_type, request.key).await;
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    }
}

async fn find(context: &Context, key_type: i8, key: StrBytes) -> Coordinator {
    let (topic, kind) = match key_type {
        GROUP => (OFFSETS_TOPIC, ResourceKind::Group),
        TRANSACTION => (TRANSACTIONS_TOPIC, ResourceKind::TransactionalId),
        _ => return refused(key, ErrorCode::INVALID_REQUEST, "share groups are not served"),
    };
    if let Err(code) = context.check(AclOperation::Describe, kind, &key) {
        return refused(key, code, refusal_text(kind));
    }
    let broker = &context.broker;
    let Ok(topic) = TopicName::new(topic) else {
        return refused(key, ErrorCode::COORDINATOR_NOT_AVAILABLE, "the coordinators' topic has no name");
    };
    if let Err(why) = broker.ensure_coordinator_topic(&topic).await {
        tracing::warn!(%why, %topic, "the coordinators' topic could not be created");
        let message = "the coordinators' topic could not be created yet";
        return refused(key, ErrorCode::COORDINATOR_NOT_AVAILABLE, message);
    }
    let image = broker.image();
    let partition =
        if key_type == GROUP { broker.group_partition(&key) } else { broker.transaction_partition(&key) };
    let leader = partition
        .and_then(|partition| image.partition(&topic, partition))
        .and_then(|partition| partition.leader)
        .and_then(|leader| image.brokers.get(&leader));
    let endpoint = leader.and_then(|broker| endpoint(broker, &context.client.listener));
    match (leader, endpoint) {
        (Some(broker), Some(endpoint)) => Coordinator {
            key,
            node_id: broker.id.0,
            host: StrBytes::from(&endpoint.host),
            port: i32::from(endpoint.port),
            error_code: ErrorCode::NONE,
            error_message: None,
        },
        _ => refused(key, ErrorCode::COORDINATOR_NOT_AVAILABLE, "the key's partition has no leader now"),
    }
}

fn refused(key: StrBytes, error_code: ErrorCode, message: &'static str) -> Coordinator {
    Coordinator {
        key,
        node_id: -1,
        host: StrBytes::default(),
        port: -1,
        error_code,
        error_message: Some(StrBytes::from_static(message)),
    }
}
