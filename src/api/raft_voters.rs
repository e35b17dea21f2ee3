//! What AddRaftVoter and RemoveRaftVoter share (KIP-853).

use super::Context;
use super::errors::ApiError;
use crate::metadata::{AclOperation, VoterError};
use crate::types::DirectoryId;
use crate::wire::{ErrorCode, StrBytes};

/// A store of a voter as Kafka's directory id: the number that was drawn for it, in the last four bytes.
pub(super) fn directory(store: u32) -> DirectoryId {
    let mut bytes = [0; 16];
    bytes[12..].copy_from_slice(&store.to_be_bytes());
    DirectoryId::from_bytes(bytes)
}

/// The store behind a directory id; the zero id means any.
pub(super) fn store(directory: DirectoryId) -> Result<Option<u32>, ApiError> {
    match *directory.as_bytes() {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => {
            let store = u32::from_be_bytes([a, b, c, d]);
            Ok((store != 0).then_some(store))
        }
        _ => Err(ApiError::new(
            ErrorCode::VOTER_NOT_FOUND,
            "no member of the quorum has that directory id; `esker cluster describe` shows them",
        )),
    }
}

/// Whether the client may change the quorum of this cluster.
pub(super) fn check(context: &Context, cluster_id: Option<&StrBytes>) -> Result<(), ApiError> {
    context.check_on_cluster(AclOperation::Alter)?;
    let ours = &context.broker.image().cluster_id;
    match cluster_id {
        Some(id) if **id != **ours => Err(ApiError::new(
            ErrorCode::INCONSISTENT_CLUSTER_ID,
            format!("this is cluster {ours}, not {id}"),
        )),
        _ => Ok(()),
    }
}

/// Kafka's code for what the quorum says.
pub(super) fn refusal(error: &VoterError) -> ApiError {
    let code = match error {
        VoterError::Duplicate(_) => ErrorCode::DUPLICATE_VOTER,
        VoterError::NotFound(..) => ErrorCode::VOTER_NOT_FOUND,
        VoterError::Refused(_) => ErrorCode::INVALID_REQUEST,
        VoterError::Unavailable(_) => ErrorCode::REQUEST_TIMED_OUT,
    };
    ApiError::new(code, error.to_string())
}
