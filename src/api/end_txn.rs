//! EndTxn (26), versions 0–5: a producer commits or aborts its transaction (KIP-98, KIP-890).
//!
//! The answer goes when the decision is committed in the coordinator's log; the markers follow. From version 5 the epoch
//! goes up with every transaction, and the answer has it. An end that comes again is answered as the first one was.
//!
//! Errors: 14, 15, 16 · 42 · 48 the transaction is in no state for it · 49 · 51 · 53 · 90 (47 before version 2).

use super::Context;
use super::groups::code;
use super::transactions::fenced_before;
use crate::broker::EPOCH_PER_TRANSACTION;
use crate::coordinator::Producer;
use crate::coordinator::txn::EndTransaction;
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::{ProducerEpoch, ProducerId};
use crate::wire::messages::end_txn::{EndTxnRequest, EndTxnResponse};

pub(super) async fn handle(context: &Context, version: i16, request: EndTxnRequest) -> EndTxnResponse {
    let id = &request.transactional_id;
    if let Err(error_code) = context.check(AclOperation::Write, ResourceKind::TransactionalId, id) {
        return EndTxnResponse { error_code, ..EndTxnResponse::default() };
    }
    let question = EndTransaction {
        id: (&*request.transactional_id).into(),
        producer: Producer {
            id: ProducerId(request.producer_id),
            epoch: ProducerEpoch(request.producer_epoch),
        },
        commit: request.committed,
        client_version: if version >= 5 { EPOCH_PER_TRANSACTION } else { 0 },
        fresh: None,
    };
    match context.broker.end_transaction(question).await {
        Ok(producer) if version >= 5 => EndTxnResponse {
            producer_id: producer.id.0,
            producer_epoch: producer.epoch.0,
            ..EndTxnResponse::default()
        },
        Ok(_) => EndTxnResponse::default(),
        Err(error) => EndTxnResponse {
            error_code: fenced_before(2, version, code(&error)),
            ..EndTxnResponse::default()
        },
    }
}
