//! The metadata quorum as replication sees it, and what the quorum asks of this broker's replicas.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::peers::Peers;
use crate::env::MonoTime;
use crate::metadata::{Command, ControlHandler, Image, LogEnd, Metadata, SubmitError};
use crate::replication::{ProposalReply, Quorum, ReplicaManager};
use crate::types::{BrokerId, TopicId};

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

/// Answers other brokers: what the local logs hold, before an unclean election, and what transactions need.
pub(super) struct LocalLogs {
    pub(super) replicas: Arc<ReplicaManager>,
    pub(super) peers: Peers,
}

impl ControlHandler for LocalLogs {
    fn answer(&self, peer: BrokerId, request: Bytes) -> BoxFuture<'static, Bytes> {
        self.peers.answer(peer, &request)
    }

    fn log_ends(&self, partitions: Vec<(TopicId, i32)>) -> BoxFuture<'static, Vec<Option<LogEnd>>> {
        let end_of = |&(topic, partition): &(TopicId, i32)| {
            Some(self.replicas.replica_by_id(topic, partition)?.last_written())
        };
        let ends = partitions.iter().map(end_of).collect();
        Box::pin(async move { ends })
    }
}
