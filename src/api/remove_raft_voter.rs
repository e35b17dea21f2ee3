//! RemoveRaftVoter (key 81), version 0: a voter of the metadata quorum votes no more and goes on as an observer (KIP-853).
//!
//! Errors: CLUSTER_AUTHORIZATION_FAILED (31), INCONSISTENT_CLUSTER_ID (104), VOTER_NOT_FOUND (127), INVALID_REQUEST (42: the
//! only voter, or another change is under way), REQUEST_TIMED_OUT (7: the voters that are left have no majority).

use std::time::Duration;

use super::Context;
use super::errors::ApiError;
use super::raft_voters::{check, refusal, store};
use crate::metadata::VoterChange;
use crate::types::BrokerId;
use crate::wire::messages::remove_raft_voter::{RemoveRaftVoterRequest, RemoveRaftVoterResponse};

const LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: RemoveRaftVoterRequest,
) -> RemoveRaftVoterResponse {
    let outcome = remove(context, &request).await;
    context.changed("RemoveRaftVoter", &request.voter_id.to_string(), outcome.as_ref().err());
    match outcome {
        Ok(()) => RemoveRaftVoterResponse::default(),
        Err(ApiError { code, text }) => RemoveRaftVoterResponse {
            error_code: code,
            error_message: Some(text.into()),
            ..Default::default()
        },
    }
}

async fn remove(context: &Context, request: &RemoveRaftVoterRequest) -> Result<(), ApiError> {
    check(context, request.cluster_id.as_ref())?;
    let change =
        VoterChange::Remove { broker: BrokerId(request.voter_id), store: store(request.voter_directory_id)? };
    context.broker.change_voters(change, LIMIT).await.map_err(|error| refusal(&error))
}
