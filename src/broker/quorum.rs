//! The metadata quorum as replication sees it, and what the quorum asks of this broker's replicas.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::peers::Peers;
use crate::env::{BlockingPool, MonoTime};
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
    pub(super) threads: BlockingPool,
    pub(super) peers: Peers,
}

impl ControlHandler for LocalLogs {
    fn answer(&self, peer: BrokerId, request: Bytes) -> BoxFuture<'static, Bytes> {
        self.peers.answer(peer, &request)
    }

    fn log_ends(&self, partitions: Vec<(TopicId, i32)>) -> BoxFuture<'static, Vec<Option<LogEnd>>> {
        let (replicas, threads, asked) = (self.replicas.clone(), self.threads.clone(), partitions.len());
        Box::pin(async move {
            let ends = threads.run(move || {
                let end_of = |&(topic, partition): &(TopicId, i32)| {
                    let replica = replicas.replica_by_id(topic, partition)?;
                    Some(replica.with_log(|log| (log.last_epoch(), log.log_end())))
                };
                partitions.iter().map(end_of).collect()
            });
            // Without disk threads no copy here can be used.
            ends.await.unwrap_or_else(|_| vec![None; asked])
        })
    }
}
