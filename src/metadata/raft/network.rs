//! openraft's calls to its peers over the transport: `version (1 byte) | method (1 byte) | target (8, big endian) | JSON`,
//! answered by JSON.
//!
//! The target is the member that the caller means: a broker whose store was wiped answers in nobody else's name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::BasicNode;
use openraft::error::{InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{Raft, TypeConfig, broker};
use crate::metadata::image::Image;
use crate::transport::rpc::{RpcClient, RpcError};
use crate::transport::{Peer, StreamKind};
use crate::types::BrokerId;

const VERSION: u8 = 2;
const APPEND: u8 = 1;
const VOTE: u8 = 2;
const SNAPSHOT: u8 = 3;

/// Version, method, target.
const HEAD: usize = 10;

/// A dead peer is tried again this often; openraft's default of 500 ms would delay a restarted voter.
const RETRY: Duration = Duration::from_millis(100);

/// Makes a client for each peer.
#[derive(Clone)]
pub(in super::super) struct RaftNetwork {
    pub rpc: RpcClient,
    /// Addresses by the configuration; they win over those that the image and the log remember.
    pub voters: Arc<BTreeMap<BrokerId, String>>,
    /// Where registered brokers listen.
    pub images: watch::Receiver<Arc<Image>>,
}

impl RaftNetwork {
    /// Where a node listens, as far as it is known.
    pub fn address(&self, id: BrokerId) -> Option<String> {
        let registered = || self.images.borrow().brokers.get(&id).map(|b| b.peer_address.clone());
        self.voters.get(&id).cloned().or_else(registered)
    }
}

impl RaftNetworkFactory<TypeConfig> for RaftNetwork {
    type Network = RaftPeer;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> RaftPeer {
        RaftPeer { network: self.clone(), target, remembered: node.addr.clone() }
    }
}

/// One peer.
pub(in super::super) struct RaftPeer {
    network: RaftNetwork,
    target: u64,
    remembered: String,
}

/// An error of the peer's openraft, or a text when it did not understand the request.
type Answer<T, E> = Result<Result<T, RaftError<u64, E>>, String>;

#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("node {0} is no broker id")]
    NoBroker(u64),
    #[error("the peer answered: {0}")]
    Peer(String),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl RaftPeer {
    async fn call<Q, T, E>(
        &self,
        method: u8,
        request: &Q,
        limit: Duration,
    ) -> Result<T, RPCError<u64, BasicNode, RaftError<u64, E>>>
    where
        Q: Serialize,
        T: DeserializeOwned,
        E: std::error::Error + DeserializeOwned,
    {
        let broken = |e: CallError| RPCError::Unreachable(Unreachable::new(&e));
        let id = broker(self.target).ok_or_else(|| broken(CallError::NoBroker(self.target)))?;
        let address = self.network.address(id).unwrap_or_else(|| self.remembered.clone());
        let peer = Peer { id, address };
        let mut frame = vec![VERSION, method];
        frame.extend_from_slice(&self.target.to_be_bytes());
        serde_json::to_writer(&mut frame, request).map_err(|e| broken(e.into()))?;
        let answer = match self.network.rpc.call(&peer, StreamKind::Raft, frame.into(), limit).await {
            Ok(answer) => answer,
            Err(e @ (RpcError::Unreachable(_) | RpcError::Busy(_))) => {
                return Err(RPCError::Unreachable(Unreachable::new(&e)));
            }
            Err(e @ (RpcError::Timeout { .. } | RpcError::Lost { .. })) => {
                return Err(RPCError::Network(NetworkError::new(&e)));
            }
        };
        let answer: Answer<T, E> = serde_json::from_slice(&answer).map_err(|e| broken(e.into()))?;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(RPCError::RemoteError(RemoteError::new(self.target, error))),
            Err(text) => Err(broken(CallError::Peer(text))),
        }
    }
}

impl openraft::network::RaftNetwork<TypeConfig> for RaftPeer {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, BasicNode, RaftError<u64>>> {
        self.call(APPEND, &rpc, option.hard_ttl()).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, RPCError<u64, BasicNode, RaftError<u64, InstallSnapshotError>>>
    {
        self.call(SNAPSHOT, &rpc, option.hard_ttl()).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, BasicNode, RaftError<u64>>> {
        self.call(VOTE, &rpc, option.hard_ttl()).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(RETRY))
    }
}

/// What peers ask that this program cannot read. A peer asks ten times a second, so the same is told once.
#[derive(Debug, Default)]
pub(in super::super) struct Unread(Mutex<String>);

impl Unread {
    /// The request as it is, or why it cannot be read.
    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, String> {
        serde_json::from_slice(body).map_err(|e| {
            let why = e.to_string();
            self.tell(&why);
            why
        })
    }

    /// Whether this was news.
    fn tell(&self, why: &str) -> bool {
        let mut last = self.0.lock();
        let is_news = *last != why;
        if is_news {
            why.clone_into(&mut last);
            tracing::error!(
                "metadata from a peer cannot be read: {why}. A broker of a later version of Esker has written it; until this one runs \
                 that version too it gets no more metadata and serves no writes"
            );
        }
        is_news
    }
}

/// Answers a peer's call to the member `me`. `heard` is told when it has taken something of a leader.
pub(in super::super) async fn answer(
    raft: &Raft,
    me: u64,
    unread: &Unread,
    request: Bytes,
    heard: impl Fn(),
) -> Bytes {
    let answered = match request.split_first_chunk::<HEAD>() {
        Some(([VERSION, _, target @ ..], _)) if u64::from_be_bytes(*target) != me => {
            bad(&format!("this is member {me:#x}, and no other"))
        }
        Some(([VERSION, APPEND, ..], body)) => match unread.read(body) {
            Ok(request) => {
                let answer = raft.append_entries(request).await;
                if matches!(&answer, Ok(answer) if !matches!(answer, AppendEntriesResponse::HigherVote(_))) {
                    heard();
                }
                serde_json::to_vec(&good(answer))
            }
            Err(e) => bad(&e),
        },
        Some(([VERSION, VOTE, ..], body)) => match unread.read(body) {
            Ok(request) => serde_json::to_vec(&good(raft.vote(request).await)),
            Err(e) => bad(&e),
        },
        Some(([VERSION, SNAPSHOT, ..], body)) => match unread.read::<InstallSnapshotRequest<_>>(body) {
            Ok(request) => {
                let vote = request.vote;
                let answer = raft.install_snapshot(request).await;
                if matches!(&answer, Ok(answer) if answer.vote == vote) {
                    heard();
                }
                serde_json::to_vec(&good(answer))
            }
            Err(e) => bad(&e),
        },
        Some(([version, method, ..], _)) => {
            let why = format!("no method {method} in version {version}");
            unread.tell(&why);
            bad(&why)
        }
        None => bad("a request without a head"),
    };
    // An answer that is no JSON is refused by the caller like any other that it does not understand.
    answered.unwrap_or_default().into()
}

fn good<T, E>(answer: Result<T, RaftError<u64, E>>) -> Answer<T, E> {
    Ok(answer)
}

fn bad(text: &str) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Err::<(), &str>(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Append = AppendEntriesRequest<TypeConfig>;

    #[test]
    fn what_a_later_version_has_written_is_refused_and_told_once() {
        let request = |command: &str| {
            format!(
                r#"{{"vote":{{"leader_id":{{"term":1,"node_id":1}},"committed":true}},"prev_log_id":null,"entries":[{{"log_id":{{"leader_id":{{"term":1,"node_id":1}},"index":1}},"payload":{{"Normal":{{"origin":"07070707-0707-0707-0707-070707070707","sequence":3,"answered_below":2,"only_in_term":null,"command":{command}}}}}}}],"leader_commit":null}}"#
            )
        };
        let unread = Unread::default();
        let read = |command: &str| unread.read::<Append>(request(command).as_bytes());
        assert_eq!(read(r#"{"Unfence":{"id":1,"epoch":4}}"#).unwrap().entries.len(), 1);
        let why = read(r#"{"Later":{"id":1}}"#).unwrap_err();
        assert!(why.contains("unknown variant `Later`"), "{why}");
        assert!(!unread.tell(&why), "it was told already");
        let other = read(r#"{"Unfence":{"id":1,"epoch":4,"later":true}}"#).unwrap_err();
        assert!(other.contains("unknown field `later`"), "{other}");
        assert!(unread.tell(&why), "something else was told in between");
    }
}
