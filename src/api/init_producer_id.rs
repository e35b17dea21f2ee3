//! InitProducerId (key 22), versions 0 to 5: a producer id for an idempotent producer, or for one with a transactional id
//! (KIP-98, KIP-360, KIP-588, KIP-890).
//!
//! With a transactional id the former producer is fenced: its open transaction is aborted, and the client is told to
//! come again (51) until that is done. From version 3 a producer brings its id and epoch and goes on after an error. An
//! idempotent producer that brings its old id gets a new one, as from Kafka.
//!
//! Errors: 14, 15, 16 · 42 an id that is empty or too long · 44 too many ids · 50 a time-out above
//! `transaction.max.timeout.ms` · 53 not allowed · 31 neither to write idempotently nor to any topic · 51 · 90 a newer producer has the id (47 before version 4).

use super::Context;
use super::groups::code;
use super::transactions::fenced_before;
use crate::coordinator::Producer;
use crate::coordinator::txn::InitProducer;
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::{ProducerEpoch, ProducerId};
use crate::wire::ErrorCode;
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let refused =
        |error_code| InitProducerIdResponse { error_code, producer_epoch: -1, ..Default::default() };
    let Some(id) = request.transactional_id else {
        if !context.may_write_idempotently() {
            return refused(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
        }
        return match context.broker.init_producer_id().await {
            Ok((id, epoch)) => {
                InitProducerIdResponse { producer_id: id.0, producer_epoch: epoch.0, ..Default::default() }
            }
            Err(e) => {
                tracing::warn!("no producer id: {e}");
                refused(ErrorCode::COORDINATOR_NOT_AVAILABLE)
            }
        };
    };
    let expected = match (request.producer_id, request.producer_epoch) {
        (-1, -1) => None,
        (id, epoch) if id >= 0 && epoch >= 0 => {
            Some(Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch) })
        }
        _ => return refused(ErrorCode::INVALID_REQUEST),
    };
    if id.is_empty() {
        return refused(ErrorCode::INVALID_REQUEST);
    }
    if let Err(code) = context.check(AclOperation::Write, ResourceKind::TransactionalId, &id) {
        return refused(code);
    }
    let question = InitProducer {
        id: (&*id).into(),
        timeout_ms: request.transaction_timeout_ms,
        expected,
        fresh: None,
        first_of_life: context.broker.first_producer_id(),
    };
    match context.broker.init_transactional(question).await {
        Ok(producer) => InitProducerIdResponse {
            producer_id: producer.id.0,
            producer_epoch: producer.epoch.0,
            ..Default::default()
        },
        Err(error) => refused(fenced_before(4, version, code(&error))),
    }
}
