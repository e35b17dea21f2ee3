//! AddRaftVoter (key 80), versions 0 and 1: a broker that gets the metadata log becomes a voter of its quorum (KIP-853).
//!
//! The broker is known by its registration: the listeners in the request are not looked at. It is waited for until it
//! has caught up. The answer always comes when the change is committed, whatever version 1 asks for.
//!
//! Errors: CLUSTER_AUTHORIZATION_FAILED (31), INCONSISTENT_CLUSTER_ID (104), DUPLICATE_VOTER (126), VOTER_NOT_FOUND
//! (127: no such member), INVALID_REQUEST (42: it lags, or another change is under way), REQUEST_TIMED_OUT (7).

use std::time::Duration;

use super::Context;
use super::errors::ApiError;
use super::raft_voters::{check, refusal, store};
use crate::metadata::VoterChange;
use crate::types::BrokerId;
use crate::wire::messages::add_raft_voter::{AddRaftVoterRequest, AddRaftVoterResponse};

/// The longest that a broker is waited for.
const LONGEST: Duration = Duration::from_secs(30);

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: AddRaftVoterRequest,
) -> AddRaftVoterResponse {
    let outcome = add(context, &request).await;
    context.changed("AddRaftVoter", &request.voter_id.to_string(), outcome.as_ref().err());
    match outcome {
        Ok(()) => AddRaftVoterResponse::default(),
        Err(ApiError { code, text }) => {
            AddRaftVoterResponse { error_code: code, error_message: Some(text.into()), ..Default::default() }
        }
    }
}

async fn add(context: &Context, request: &AddRaftVoterRequest) -> Result<(), ApiError> {
    check(context, request.cluster_id.as_ref())?;
    let limit = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)).min(LONGEST);
    let change =
        VoterChange::Add { broker: BrokerId(request.voter_id), store: store(request.voter_directory_id)? };
    context.broker.change_voters(change, limit).await.map_err(|error| refusal(&error))
}
