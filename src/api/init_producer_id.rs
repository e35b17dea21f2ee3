//! InitProducerId (key 22), versions 0 to 5: a producer id for an idempotent producer (KIP-98, KIP-360).
//!
//! Transactions are not served: a transactional id gets TRANSACTIONAL_ID_AUTHORIZATION_FAILED (53), which every client
//! takes as fatal; an empty one is INVALID_REQUEST (42). An idempotent producer that brings its old id gets a new one,
//! as from Kafka. Who may neither write idempotently to the cluster nor write to any topic gets
//! CLUSTER_AUTHORIZATION_FAILED (31). When the metadata quorum does not answer: COORDINATOR_NOT_AVAILABLE (15), and the client tries again.

use super::Context;
use crate::metadata::{AclOperation, ResourceKind};
use crate::wire::ErrorCode;
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let refused =
        |error_code| InitProducerIdResponse { error_code, producer_epoch: -1, ..Default::default() };
    match request.transactional_id {
        Some(id) if id.is_empty() => return refused(ErrorCode::INVALID_REQUEST),
        Some(id) if !context.may(AclOperation::Write, ResourceKind::TransactionalId, &id) => {
            return refused(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
        }
        None if !context.may_write_idempotently() => {
            return refused(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
        }
        Some(id) => {
            tracing::warn!("transactional id {id:?} is refused: transactions are not served yet");
            return refused(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
        }
        None => {}
    }
    match context.broker.init_producer_id().await {
        Ok((id, epoch)) => {
            InitProducerIdResponse { producer_id: id.0, producer_epoch: epoch.0, ..Default::default() }
        }
        Err(e) => {
            tracing::warn!("no producer id: {e}");
            refused(ErrorCode::COORDINATOR_NOT_AVAILABLE)
        }
    }
}
