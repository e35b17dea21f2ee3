//! UnregisterBroker (key 64), version 0: a broker that is gone for good leaves the cluster (KIP-631).
//!
//! Stricter than Kafka, which forgets a broker whatever it holds: one that lives, is a replica of a partition or votes in
//! the metadata quorum is refused, with what to do first.
//!
//! Errors: CLUSTER_AUTHORIZATION_FAILED (31), BROKER_ID_NOT_REGISTERED (102), INVALID_REQUEST (42), REQUEST_TIMED_OUT (7).

use super::Context;
use super::errors::ApiError;
use crate::broker::UnregisterError;
use crate::metadata::AclOperation;
use crate::types::BrokerId;
use crate::wire::ErrorCode;
use crate::wire::messages::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: UnregisterBrokerRequest,
) -> UnregisterBrokerResponse {
    let outcome = unregister(context, BrokerId(request.broker_id)).await;
    context.changed("UnregisterBroker", &request.broker_id.to_string(), outcome.as_ref().err());
    match outcome {
        Ok(()) => UnregisterBrokerResponse::default(),
        Err(ApiError { code, text }) => UnregisterBrokerResponse {
            error_code: code,
            error_message: Some(text.into()),
            ..Default::default()
        },
    }
}

async fn unregister(context: &Context, id: BrokerId) -> Result<(), ApiError> {
    context.check_on_cluster(AclOperation::Alter)?;
    context.broker.unregister(id).await.map_err(|error| {
        let code = match error {
            UnregisterError::Unknown(_) => ErrorCode::BROKER_ID_NOT_REGISTERED,
            UnregisterError::InUse(_) => ErrorCode::INVALID_REQUEST,
            UnregisterError::Unavailable(_) => ErrorCode::REQUEST_TIMED_OUT,
        };
        ApiError::new(code, error.to_string())
    })
}
