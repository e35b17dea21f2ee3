//! The metadata quorum as replication sees it.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::env::MonoTime;
use crate::metadata::{Command, Image, Metadata, SubmitError};
use crate::replication::{ProposalReply, Quorum};

/// [`Metadata`] behind replication's seam.
pub(super) struct MetadataQuorum(pub(super) Metadata);

impl Quorum for MetadataQuorum {
    fn images(&self) -> watch::Receiver<Arc<Image>> {
        self.0.subscribe()
    }

    fn submit(&self, command: Command) -> BoxFuture<'static, ProposalReply> {
        let metadata = self.0.clone();
        Box::pin(async move {
            match metadata.submit(command).await {
                Ok(_) => ProposalReply::Applied,
                Err(SubmitError::Rejected(error)) => {
                    tracing::debug!(%error, "a proposal was refused");
                    ProposalReply::Refused
                }
                Err(SubmitError::Unavailable(_)) => ProposalReply::Unknown,
            }
        })
    }

    fn lease_holds(&self, now: MonoTime) -> bool {
        self.0.lease().holds(now)
    }
}
