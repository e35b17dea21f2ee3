//! ListTransactions (66), versions 0–2: the transactions that this broker coordinates (KIP-664, KIP-994, KIP-1152).
//!
//! Filters by state and producer id; version 1 by how long a transaction has been open, version 2 by a
//! regular expression that the whole id must match. Names of states that do not exist
//! come back and match nothing. Ids that the client may not describe are left out.
//!
//! Errors: 14 while one of this broker's partitions is being loaded, 15 · 128 the expression cannot be used.

use super::Context;
use super::groups::code;
use crate::coordinator::group::consumer::Pattern;
use crate::coordinator::txn::{ListTransactions, TxnState};
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::ProducerId;
use crate::wire::messages::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse, TransactionState,
};
use crate::wire::{ErrorCode, StrBytes};

/// States that Kafka has names for, and in which no transaction is here.
const NEVER_HERE: [&str; 2] = ["Dead", "PrepareEpochFence"];

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let state = |name: &StrBytes| TxnState::ALL.into_iter().find(|s| s.name() == name.as_str());
    let states: Vec<TxnState> = request.state_filters.iter().filter_map(state).collect();
    let is_known = |name: &StrBytes| state(name).is_some() || NEVER_HERE.contains(&name.as_str());
    let unknown: Vec<StrBytes> = request.state_filters.iter().filter(|n| !is_known(n)).cloned().collect();
    let mut response = ListTransactionsResponse { unknown_state_filters: unknown, ..Default::default() };
    if states.is_empty() && !request.state_filters.is_empty() {
        return response;
    }
    let pattern = request.transactional_id_pattern.as_deref().filter(|p| !p.is_empty()).map(Pattern::new);
    let pattern = match pattern.transpose() {
        Ok(pattern) => pattern,
        Err(why) => {
            tracing::debug!(%why, "a pattern of transactional ids cannot be used");
            response.error_code = ErrorCode::INVALID_REGULAR_EXPRESSION;
            return response;
        }
    };
    let filter = ListTransactions {
        states,
        producers: request.producer_id_filters.iter().copied().map(ProducerId).collect(),
        open_for_ms: Some(request.duration_filter).filter(|ms| *ms >= 0),
    };
    match context.broker.transaction_coordinators().list(&filter).await {
        Ok(found) => {
            response.transaction_states = found
                .into_iter()
                .filter(|t| pattern.as_ref().is_none_or(|pattern| pattern.matches(&t.id)))
                .filter(|t| context.may_quietly(AclOperation::Describe, ResourceKind::TransactionalId, &t.id))
                .map(|t| TransactionState {
                    transactional_id: StrBytes::from(&*t.id),
                    producer_id: t.producer_id.0,
                    transaction_state: StrBytes::from_static(t.state.name()),
                })
                .collect();
        }
        Err(error) => response.error_code = code(&error),
    }
    response
}
