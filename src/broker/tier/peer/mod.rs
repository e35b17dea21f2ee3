//! Chunks from the other brokers before the store, and one GET for a chunk however many brokers read it at once.
//!
//! ```text
//!            locate                               the keeper of a chunk: one of the partition's live replicas, by a hash
//! reader ───────────► keeper ──► `Fetch`: nobody has it; the reader goes to the store, and is noted as its holder
//!                            ──► `Ask(holder)`: has it, or is fetching it ──► read ──► bytes, when they are there
//!                            ──► the bytes: the keeper has them itself, in its cache or its local log
//! ```
//! Whatever fails, takes too long or does not match its checksum ends at the store: a peer saves a request, and is never
//! needed. A broker that waits for another one's chunk does not make a third wait for it, so nobody waits in a circle.
//! When the store has lost a chunk, every replica's cache and local log is asked for it; for a footer their caches are.

mod directory;
mod words;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tiering::cache::{ChunkCache, ChunkId};
use tiering::object;
use tiering::read::{ChunkPeers, WantedChunk};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::directory::{Directory, Located};
use self::words::{Answer, Question, Request};
use crate::broker::directories::are_stuck;
use crate::env::{Env, MonoTime, timeout};
use crate::metadata::{BrokerState, Metadata};
use crate::replication::ReplicaManager;
use crate::transport::rpc::{self, RpcClient};
use crate::transport::{Incoming, Peer, SharedTransport, StreamKind};
use crate::types::{BrokerId, Offset, TopicId};
use crate::wire::record_batch::Batch;

/// Questions of one peer that are answered at once; more wait in their stream.
const QUESTIONS_AT_ONCE: usize = 64;
/// Bytes of chunks that are being read for peers, or wait to be sent to them; above it they are told to ask the store.
const SERVED_BYTES: usize = 64 << 20;
/// A chunk is not larger (`tier.chunk.bytes`, and a batch that is larger than it).
const LARGEST_CHUNK: u32 = 64 << 20;

/// How long peers are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// For the word where a chunk is, or for the chunk itself when the keeper has it.
    pub(super) locate: Duration,
    /// For the chunk: its holder may be fetching it from the store.
    pub(super) read: Duration,
    /// A peer that has not answered is left alone for so long.
    pub(super) after_silence: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            locate: Duration::from_millis(500),
            read: Duration::from_secs(5),
            after_silence: Duration::from_secs(5),
        }
    }
}

/// Who the other brokers are, and what this one has on its own disk.
#[async_trait]
pub(super) trait Neighbours: Send + Sync + 'static {
    /// The live replicas of a partition, this broker among them if it is one.
    fn replicas(&self, topic: TopicId, partition: i32) -> Vec<Peer>;
    /// A chunk's bytes from the local log.
    async fn local_copy(&self, request: &Request) -> Option<Bytes>;
}

/// The neighbours of a running broker.
pub(super) struct OfBroker {
    pub(super) metadata: Metadata,
    pub(super) replicas: Arc<ReplicaManager>,
}

#[async_trait]
impl Neighbours for OfBroker {
    fn replicas(&self, topic: TopicId, partition: i32) -> Vec<Peer> {
        let image = self.metadata.image();
        let index = usize::try_from(partition).ok();
        let found = image.topic_by_id(topic).and_then(|topic| topic.partitions.get(index?));
        let of = |id: BrokerId| image.brokers.get(&id).filter(|broker| broker.state == BrokerState::Active);
        let live = found.into_iter().flat_map(|found| &found.replicas).filter_map(|r| of(r.broker));
        live.map(|broker| Peer { id: broker.id, address: broker.peer_address.clone() }).collect()
    }

    async fn local_copy(&self, request: &Request) -> Option<Bytes> {
        let replica = self.replicas.replica_by_id(request.topic, request.partition)?;
        let (base, end, bytes) = (Offset(request.chunk.base), Offset(request.end), request.chunk.bytes);
        let threads = replica.disk_threads().clone();
        // What waits for a disk that hangs takes the room of questions that could be answered.
        if replica.positions().local_start > base || are_stuck(&threads) {
            return None;
        }
        let read = move || {
            let mut found = Vec::new();
            let (mut at, mut left) = (base, bytes as usize);
            while left > 0 && at < end {
                let slice = replica.with_log(|log| log.read(at, left, end, false)).ok()?;
                let bytes = slice.load().ok()?;
                left = left.checked_sub(bytes.len())?;
                at = end_of(&bytes)?;
                found.push(bytes);
            }
            Some(tiering::store::concat(&found))
        };
        threads.run(read).await.ok().flatten()
    }
}

/// The offset after whole batches.
fn end_of(batches: &Bytes) -> Option<Offset> {
    let (mut rest, mut end) = (batches.clone(), None);
    while !rest.is_empty() {
        end = Some(Batch::split_from(&mut rest).ok()?.header.end_offset());
    }
    end
}

/// Asks the other brokers, and answers them.
pub(super) struct TierPeers {
    env: Env,
    node_id: BrokerId,
    rpc: RpcClient,
    neighbours: Arc<dyn Neighbours>,
    chunks: ChunkCache,
    patience: Patience,
    directory: Mutex<Directory>,
    /// Chunks that this broker waits for from another one.
    awaited: Mutex<HashSet<ChunkId>>,
    silent: Mutex<HashMap<BrokerId, MonoTime>>,
    serving: Arc<Semaphore>,
}

/// A chunk for a peer, and its part of `SERVED_BYTES`.
struct Given {
    bytes: Bytes,
    room: OwnedSemaphorePermit,
}

/// An encoded answer that takes its room until it is sent.
struct Counted {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for TierPeers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TierPeers").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

/// Notes that a chunk is awaited, for as long as it lives.
struct Awaited<'a>(&'a TierPeers, ChunkId);

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.awaited.lock().remove(&self.1);
    }
}

impl TierPeers {
    pub(super) fn new(
        env: &Env,
        node_id: BrokerId,
        transport: SharedTransport,
        neighbours: Arc<dyn Neighbours>,
        chunks: ChunkCache,
        patience: Patience,
    ) -> Arc<TierPeers> {
        Arc::new(TierPeers {
            env: env.clone(),
            node_id,
            rpc: RpcClient::new(env, transport),
            neighbours,
            chunks,
            patience,
            directory: Mutex::default(),
            awaited: Mutex::default(),
            silent: Mutex::default(),
            serving: Arc::new(Semaphore::new(SERVED_BYTES)),
        })
    }

    /// Answers a peer's stream of kind `TierPeer` until it ends.
    pub(super) async fn serve(self: Arc<Self>, incoming: Incoming) {
        let Incoming { peer, stream, .. } = incoming;
        let handler: rpc::Handler = Arc::new(move |question| {
            let this = self.clone();
            Box::pin(async move {
                match Question::decode(&question) {
                    Some(question) => this.answer(peer, question).await,
                    None => {
                        tracing::warn!(%peer, "a question about a chunk that this broker does not know");
                        Answer::Nothing.encode()
                    }
                }
            })
        });
        rpc::serve(stream, QUESTIONS_AT_ONCE, handler).await;
    }

    /// The encoded answer; a chunk in it counts as served until the answer is dropped.
    async fn answer(&self, peer: BrokerId, question: Question) -> Bytes {
        let given = |given: Given| {
            let bytes = Answer::Bytes(given.bytes).encode();
            Bytes::from_owner(Counted { bytes, _room: given.room })
        };
        match question {
            Question::Locate { request, stale } => {
                let (is_here, otherwise) = match self.locate(&request, peer, stale) {
                    // The asker waits for longer when it asks to read.
                    Located::Ask(holder) => (holder == self.node_id, Answer::Ask(holder)),
                    Located::Fetch => (true, Answer::Fetch),
                };
                // What is here at once needs no second question.
                let found = if is_here { self.give(&request, false).await } else { None };
                found.map_or_else(|| otherwise.encode(), given)
            }
            Question::Read { request } => {
                self.give(&request, true).await.map_or_else(|| Answer::Nothing.encode(), given)
            }
        }
    }

    fn locate(&self, request: &Request, asker: BrokerId, stale: Option<BrokerId>) -> Located {
        let live = self.neighbours.replicas(request.topic, request.partition);
        let is_live = |id: BrokerId| live.iter().any(|peer| peer.id == id);
        self.directory.lock().locate(request.id, asker, stale, is_live, self.env.clock.now())
    }

    /// The chunk from this broker's memory, files or local log; with `wait` also when its request to the store is under way.
    async fn give(&self, request: &Request, wait: bool) -> Option<Given> {
        let bytes = request.chunk.bytes;
        if bytes > LARGEST_CHUNK {
            return None;
        }
        let room = self.serving.clone().try_acquire_many_owned(bytes).ok()?;
        let join = wait && !self.awaited.lock().contains(&request.id);
        let here = self.chunks.here(request.id, &request.chunk, join);
        let here = timeout(&*self.env.clock, self.patience.read, here).await.ok().flatten();
        let found = match here {
            Some(bytes) => Some(bytes),
            None => self.local_copy(request).await,
        };
        let bytes = found.filter(|found| object::check_chunk(&request.chunk, found).is_ok())?;
        Some(Given { bytes, room })
    }

    /// No log holds a footer.
    async fn local_copy(&self, request: &Request) -> Option<Bytes> {
        if request.id.is_footer() { None } else { self.neighbours.local_copy(request).await }
    }

    async fn ask(&self, peer: &Peer, question: &Question, limit: Duration) -> Option<Answer> {
        let now = self.env.clock.now();
        if self.silent.lock().get(&peer.id).is_some_and(|until| now < *until) {
            return None;
        }
        match self.rpc.call(peer, StreamKind::TierPeer, question.encode(), limit).await {
            Ok(answer) => Answer::decode(&answer),
            Err(error) => {
                tracing::debug!(peer = %peer.id, %error, "no answer about a chunk: the store is asked");
                self.silent.lock().insert(peer.id, self.env.clock.now() + self.patience.after_silence);
                None
            }
        }
    }

    async fn read(&self, peer: &Peer, request: &Request) -> Option<Bytes> {
        self.awaited.lock().insert(request.id);
        let _awaited = Awaited(self, request.id);
        let question = Question::Read { request: request.clone() };
        match self.ask(peer, &question, self.patience.read).await? {
            Answer::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// The live replica that knows who has a chunk: the same one for all who ask.
fn keeper(id: ChunkId, live: &[Peer]) -> Option<&Peer> {
    let rank = |peer: &Peer| {
        let mut bytes = id.object.as_bytes().to_vec();
        bytes.extend_from_slice(&id.number.to_be_bytes());
        bytes.extend_from_slice(&peer.id.0.to_be_bytes());
        (crc32c::crc32c(&bytes), peer.id)
    };
    live.iter().max_by_key(|peer| rank(peer))
}

#[async_trait]
impl ChunkPeers for TierPeers {
    async fn find(&self, wanted: &WantedChunk) -> Option<Bytes> {
        let request = Request::of(wanted)?;
        let live = self.neighbours.replicas(request.topic, request.partition);
        if live.iter().all(|peer| peer.id == self.node_id) {
            return None;
        }
        let keeper = keeper(request.id, &live)?;
        let mut stale = None;
        // A holder that has lost it is named once more at most.
        for _ in 0..2 {
            let located = if keeper.id == self.node_id {
                match self.locate(&request, self.node_id, stale) {
                    Located::Fetch => Answer::Fetch,
                    Located::Ask(holder) => Answer::Ask(holder),
                }
            } else {
                let question = Question::Locate { request: request.clone(), stale };
                self.ask(keeper, &question, self.patience.locate).await?
            };
            let holder = match located {
                Answer::Bytes(bytes) => return Some(bytes),
                Answer::Ask(holder) if holder != self.node_id => holder,
                _ => return None,
            };
            let peer = live.iter().find(|peer| peer.id == holder)?;
            match self.read(peer, &request).await {
                Some(bytes) => return Some(bytes),
                None => stale = Some(holder),
            }
        }
        None
    }

    async fn rescue(&self, wanted: &WantedChunk) -> Option<Bytes> {
        let request = Request::of(wanted)?;
        let own = self.local_copy(&request).await;
        if let Some(bytes) = own.filter(|bytes| object::check_chunk(&request.chunk, bytes).is_ok()) {
            return Some(bytes);
        }
        for peer in self.neighbours.replicas(request.topic, request.partition) {
            if peer.id == self.node_id {
                continue;
            }
            if let Some(bytes) = self.read(&peer, &request).await {
                return Some(bytes);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
