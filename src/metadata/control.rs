//! What brokers ask each other on `StreamKind::Control`: `version (1 byte) | tag (1 byte) | body`.
//!
//! Tag 0 is the metadata's own request in JSON; tag 1 is handed to whoever registered as [`ControlHandler`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::core::Core;
use super::raft::{self, Outcome, Submission};
use super::voters::{QuorumState, VoterChange, VoterError};
use crate::transport::StreamKind;
use crate::types::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, TopicId};

const VERSION: u8 = 1;
const METADATA: u8 = 0;
const EXTENSION: u8 = 1;

/// The epoch of the last batch of a log, and its end.
pub type LogEnd = (LeaderEpoch, Offset);

/// What other rooms answer on the control stream.
pub trait ControlHandler: Send + Sync + 'static {
    /// A request of a peer that is not the metadata's own. The peer has proven its id by its certificate.
    fn answer(&self, peer: BrokerId, request: Bytes) -> BoxFuture<'static, Bytes>;

    /// The ends of local logs, before an unclean election; `None` where there is no usable copy.
    fn log_ends(&self, partitions: Vec<(TopicId, i32)>) -> BoxFuture<'static, Vec<Option<LogEnd>>>;
}

/// Why a control request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("broker {peer} did not answer: {reason}")]
pub struct ControlError {
    /// Who was asked.
    pub peer: BrokerId,
    /// Why.
    pub reason: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Is there a cluster?
    Status,
    /// For the Raft leader: apply this.
    Submit(Submission),
    /// For the Raft leader: still here.
    Heartbeat(Heartbeat),
    /// For the Raft leader: send me the log too.
    Join { node: u64, address: String },
    /// For an unclean election.
    LogEnds(Vec<(TopicId, i32)>),
    /// For the Raft leader: who are the members?
    Quorum,
    /// For the Raft leader: change the voters, waiting so long for one that catches up.
    ChangeVoters(VoterChange, Duration),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Heartbeat {
    pub id: BrokerId,
    pub epoch: BrokerEpoch,
    /// The version of the sender's image.
    pub version: u64,
    /// Its logs are open: it may be unfenced.
    pub ready: bool,
    /// Its wall clock.
    #[serde(default)]
    pub wall_ms: Option<i64>,
    /// The highest level of commands that its program understands (`image::COMMANDS`).
    #[serde(default)]
    pub commands: i16,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Status {
        initialized: bool,
        /// Who answers, as a member of the quorum.
        member: u64,
    },
    Outcome(Outcome),
    /// Ask that one.
    NotLeader(Option<u64>),
    /// Nothing is known of the outcome.
    Failed(String),
    /// The lease runs from when the heartbeat was sent.
    Renewed,
    /// The same, to one that has said its own time.
    RenewedAt {
        /// The quorum's time.
        quorum_ms: Option<i64>,
    },
    /// No lease; catch up with this version first.
    Fenced {
        version: u64,
    },
    /// Another life of the broker has registered.
    Superseded,
    Joined,
    LogEnds(Vec<Option<LogEnd>>),
    Quorum(QuorumState),
    VotersChanged(Result<(), VoterError>),
}

impl Core {
    /// Asks a peer; itself without the network.
    pub async fn ask(
        self: &Arc<Self>,
        peer: BrokerId,
        request: Request,
        limit: Duration,
    ) -> Result<Answer, ControlError> {
        if peer == self.config.node_id {
            return Ok(self.clone().serve_request(peer, request).await);
        }
        let error = |reason: String| ControlError { peer, reason };
        let body = serde_json::to_vec(&request).map_err(|e| error(e.to_string()))?;
        let answer = self.call(peer, METADATA, &body, limit).await?;
        serde_json::from_slice(&answer).map_err(|e| error(format!("{e} in its answer")))
    }

    /// Asks a peer's [`ControlHandler`].
    pub async fn ask_handler(
        &self,
        peer: BrokerId,
        request: &[u8],
        limit: Duration,
    ) -> Result<Bytes, ControlError> {
        let handler = self.handler.read().clone();
        match handler {
            Some(handler) if peer == self.config.node_id => {
                Ok(handler.answer(peer, Bytes::copy_from_slice(request)).await)
            }
            _ => self.call(peer, EXTENSION, request, limit).await,
        }
    }

    async fn call(
        &self,
        peer: BrokerId,
        tag: u8,
        body: &[u8],
        limit: Duration,
    ) -> Result<Bytes, ControlError> {
        let error = |reason: String| ControlError { peer, reason };
        let target = self.peer(peer).ok_or_else(|| error("its address is unknown".to_owned()))?;
        let frame = [&[VERSION, tag], body].concat().into();
        let answer = self.network.rpc.call(&target, StreamKind::Control, frame, limit).await;
        answer.map_err(|e| error(e.to_string()))
    }

    /// Answers a frame of a peer. An empty answer says that the request was not understood.
    pub async fn serve_control(self: Arc<Self>, peer: BrokerId, frame: Bytes) -> Bytes {
        match frame.split_first_chunk::<2>() {
            Some(([VERSION, METADATA], body)) => {
                let answer = match serde_json::from_slice(body) {
                    Ok(request) => self.serve_request(peer, request).await,
                    Err(e) => Answer::Failed(format!("the request is not understood: {e}")),
                };
                serde_json::to_vec(&answer).unwrap_or_default().into()
            }
            Some(([VERSION, EXTENSION], _)) => {
                let handler = self.handler.read().clone();
                match handler {
                    Some(handler) => handler.answer(peer, frame.slice(2..)).await,
                    None => Bytes::new(),
                }
            }
            _ => Bytes::new(),
        }
    }

    async fn serve_request(self: Arc<Self>, peer: BrokerId, request: Request) -> Answer {
        match request {
            Request::Status => match self.raft.is_initialized().await {
                Ok(initialized) => Answer::Status { initialized, member: self.member },
                Err(e) => Answer::Failed(e.to_string()),
            },
            Request::Submit(submission) => self.write(submission).await,
            Request::Heartbeat(heartbeat) => self.heard(heartbeat).await,
            Request::Join { node, .. } if raft::broker(node) != Some(peer) => {
                Answer::Failed(format!("broker {peer} cannot join as {node:#x}"))
            }
            Request::Join { node, address } => self.admit(node, address).await,
            Request::Quorum => self.quorum(),
            Request::ChangeVoters(change, limit) => self.change_voters(change, limit).await,
            Request::LogEnds(partitions) => {
                let handler = self.handler.read().clone();
                match handler {
                    Some(handler) => Answer::LogEnds(handler.log_ends(partitions).await),
                    None => Answer::Failed("the logs are not open yet".to_owned()),
                }
            }
        }
    }

    /// Takes a broker that is no member into the log's audience. In the place of a lost voter it is made one later.
    async fn admit(&self, node: u64, address: String) -> Answer {
        if self.leading().is_none() {
            return self.not_leading();
        }
        let metrics = self.metrics();
        let membership = metrics.membership_config.membership();
        if membership.get_node(&node).is_some() {
            return Answer::Joined;
        }
        // Learners that this broker was with stores that are gone.
        let lost: BTreeSet<u64> =
            membership.learner_ids().filter(|id| raft::broker(*id) == raft::broker(node)).collect();
        let mut changed = Ok(());
        if !lost.is_empty() {
            let removal = self.raft.change_membership(openraft::ChangeMembers::RemoveNodes(lost), true);
            changed = removal.await.map(|_| ());
        }
        if changed.is_ok() {
            let addition = self.raft.add_learner(node, openraft::BasicNode::new(address), false);
            changed = addition.await.map(|_| ());
        }
        match changed {
            Ok(()) => Answer::Joined,
            Err(e) => match e.forward_to_leader() {
                Some(forward) => Answer::NotLeader(forward.leader_id),
                None => Answer::Failed(e.to_string()),
            },
        }
    }
}

/// The broker behind a hint of who leads.
pub(super) fn hinted(hint: Option<u64>) -> Option<BrokerId> {
    hint.and_then(raft::broker)
}
