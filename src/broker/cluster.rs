//! Brokers and voters come and go while the cluster runs.

use std::time::Duration;

use super::Broker;
use crate::metadata::{Command, CommandError, QuorumState, SubmitError, VoterChange, VoterError};
use crate::types::BrokerId;

/// How long the metadata leader is looked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a broker stays in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnregisterError {
    /// There is none with that id.
    #[error("broker {0} is not registered")]
    Unknown(BrokerId),
    /// It lives, holds replicas, or votes.
    #[error("{0}")]
    InUse(String),
    /// The metadata quorum gave no answer in time.
    #[error("the metadata quorum did not answer: {0}")]
    Unavailable(String),
}

impl Broker {
    /// The metadata quorum, as its leader sees it.
    ///
    /// # Errors
    /// When there is no leader.
    pub async fn quorum(&self) -> Result<QuorumState, SubmitError> {
        self.metadata.quorum(PATIENCE).await
    }

    /// Adds or takes away a voter of the metadata quorum; returns when that is committed.
    ///
    /// # Errors
    /// `VoterError` says why nothing changed.
    pub async fn change_voters(&self, change: VoterChange, limit: Duration) -> Result<(), VoterError> {
        self.metadata.change_voters(change, limit).await
    }

    /// Takes a broker out of the cluster that is gone for good: stopped, without replicas, without a vote.
    ///
    /// # Errors
    /// `UnregisterError` says what has to be done first.
    pub async fn unregister(&self, id: BrokerId) -> Result<(), UnregisterError> {
        let unavailable = |e: SubmitError| UnregisterError::Unavailable(e.to_string());
        let quorum = self.metadata.quorum(PATIENCE).await.map_err(unavailable)?;
        if quorum.members.iter().any(|member| member.broker == id && member.votes) {
            return Err(UnregisterError::InUse(format!(
                "broker {id} is a voter of the metadata quorum: take its vote away first (esker cluster remove-voter {id})"
            )));
        }
        match self.metadata.submit(Command::UnregisterBroker { id }).await {
            Ok(_) => {}
            Err(SubmitError::Rejected(CommandError::UnknownBroker(id))) => {
                return Err(UnregisterError::Unknown(id));
            }
            Err(SubmitError::Rejected(error)) => return Err(UnregisterError::InUse(error.to_string())),
            Err(error) => return Err(unavailable(error)),
        }
        // A learner that is never there costs the leader only its attempts to reach it.
        if let Err(error) = self.metadata.change_voters(VoterChange::Forget(id), PATIENCE).await {
            tracing::warn!(broker = %id, %error, "the broker is unregistered and still gets the metadata log");
        }
        Ok(())
    }
}
