//! Requests and responses over a stream: correlation ids, many in flight, one stream per peer and kind.
//!
//! A request is sent at most once. When the answer does not come (`Timeout`, `Lost`) the peer may or may not have
//! done what was asked; only `Unreachable` and `Busy` say that it was never sent.
//!
//! A frame is a correlation id (u64, big endian), then the payload.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{FrameRecv, FrameSend, Peer, SharedTransport, Stream, StreamKind, TransportError};
use crate::env::{Env, timeout};
use crate::types::BrokerId;

/// Requests in flight to one peer on one kind of stream; above it `call` waits within its time-out.
const MAX_IN_FLIGHT: usize = 1024;

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RpcError {
    /// No connection: the request was not sent.
    #[error(transparent)]
    Unreachable(TransportError),
    /// Too many requests are waiting for this peer: the request was not sent.
    #[error("{MAX_IN_FLIGHT} requests to broker {0} wait for an answer")]
    Busy(BrokerId),
    /// No answer in time; the request may have been carried out.
    #[error("broker {peer} has not answered within {after:?}")]
    Timeout {
        /// Who was asked.
        peer: BrokerId,
        /// How long the caller waited.
        after: Duration,
    },
    /// The stream ended before the answer; the request may have been carried out.
    #[error("the stream to broker {peer} ended before the answer: {reason}")]
    Lost {
        /// Who was asked.
        peer: BrokerId,
        /// Why the stream ended.
        reason: String,
    },
}

/// Calls peers; streams are opened when needed and kept. Cheap to clone.
#[derive(Clone)]
pub struct RpcClient {
    env: Env,
    transport: SharedTransport,
    lines: Arc<Mutex<Lines>>,
}

type Lines = HashMap<(BrokerId, StreamKind), Arc<LineSlot>>;

/// One opener at a time per peer and kind.
type LineSlot = tokio::sync::Mutex<Option<(String, Line)>>;

/// An open stream with its two tasks.
#[derive(Clone)]
struct Line {
    peer: BrokerId,
    requests: mpsc::Sender<(u64, Bytes)>,
    waiting: Arc<Mutex<Waiting>>,
    permits: Arc<Semaphore>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    answers: HashMap<u64, oneshot::Sender<Bytes>>,
    /// Why the line is down; nothing is added any more.
    down: Option<String>,
}

impl RpcClient {
    /// A client over a transport.
    #[must_use]
    pub fn new(env: &Env, transport: SharedTransport) -> RpcClient {
        RpcClient { env: env.clone(), transport, lines: Arc::default() }
    }

    /// Sends a request and waits for its answer, at most `limit` in all (dialling included).
    ///
    /// # Errors
    /// See `RpcError`: only `Unreachable` and `Busy` say that the peer has not seen the request.
    pub async fn call(
        &self,
        peer: &Peer,
        kind: StreamKind,
        request: Bytes,
        limit: Duration,
    ) -> Result<Bytes, RpcError> {
        let clock = self.env.clock.as_ref();
        let began = clock.now();
        let late = || RpcError::Timeout { peer: peer.id, after: limit };
        let reach = async {
            let line = self.line(peer, kind).await?;
            let permit = line.permits.clone().acquire_owned().await;
            Ok((line, permit))
        };
        let (line, _permit) = match timeout(clock, limit, reach).await {
            Ok(Ok((line, Ok(permit)))) => (line, permit),
            Ok(Ok((_, Err(_)))) => return Err(RpcError::Busy(peer.id)),
            Ok(Err(error)) => return Err(RpcError::Unreachable(error)),
            Err(_) => {
                return Err(RpcError::Unreachable(TransportError::Unreachable {
                    peer: peer.id,
                    address: peer.address.clone(),
                    reason: format!("no connection within {limit:?}"),
                }));
            }
        };
        let waiter = line.ask(request)?;
        let left = limit.saturating_sub(clock.now().since(began));
        match timeout(clock, left, waiter.answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(line.lost()),
            Err(_) => {
                line.waiting.lock().answers.remove(&waiter.id);
                Err(late())
            }
        }
    }

    async fn line(&self, peer: &Peer, kind: StreamKind) -> Result<Line, TransportError> {
        let slot = self.lines.lock().entry((peer.id, kind)).or_default().clone();
        let mut slot = slot.lock().await;
        if let Some((address, line)) = slot.as_ref()
            && *address == peer.address
            && line.waiting.lock().down.is_none()
        {
            return Ok(line.clone());
        }
        *slot = None;
        let stream = self.transport.open(peer.clone(), kind, 0).await?;
        let line = Line::start(peer.id, stream);
        *slot = Some((peer.address.clone(), line.clone()));
        Ok(line)
    }
}

struct Waiter {
    id: u64,
    answer: oneshot::Receiver<Bytes>,
}

impl Line {
    fn start(peer: BrokerId, stream: Stream) -> Line {
        let (requests, queue) = mpsc::channel(MAX_IN_FLIGHT);
        let line = Line {
            peer,
            requests,
            waiting: Arc::default(),
            permits: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
        };
        tokio::spawn(write_requests(stream.send, queue, line.waiting.clone()));
        tokio::spawn(read_answers(stream.recv, line.waiting.clone()));
        line
    }

    fn ask(&self, request: Bytes) -> Result<Waiter, RpcError> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut waiting = self.waiting.lock();
            if waiting.down.is_some() {
                drop(waiting);
                return Err(self.lost());
            }
            let id = waiting.next;
            waiting.next += 1;
            waiting.answers.insert(id, sender);
            id
        };
        if self.requests.try_send((id, request)).is_err() {
            // The queue holds every permit there is, so it is closed, or given-up requests fill it.
            self.waiting.lock().answers.remove(&id);
            return Err(RpcError::Busy(self.peer));
        }
        Ok(Waiter { id, answer })
    }

    fn lost(&self) -> RpcError {
        let reason = self.waiting.lock().down.clone().unwrap_or_default();
        RpcError::Lost { peer: self.peer, reason }
    }
}

/// Marks a line as down: who waits is told, who comes dials anew.
fn take_down(waiting: &Mutex<Waiting>, reason: String) {
    let mut waiting = waiting.lock();
    waiting.down.get_or_insert(reason);
    waiting.answers.clear();
}

async fn write_requests(
    mut send: Box<dyn FrameSend>,
    mut queue: mpsc::Receiver<(u64, Bytes)>,
    waiting: Arc<Mutex<Waiting>>,
) {
    while let Some((id, request)) = queue.recv().await {
        // Given up while it was queued.
        if !waiting.lock().answers.contains_key(&id) {
            continue;
        }
        match send.send(&[Bytes::copy_from_slice(&id.to_be_bytes()), request]).await {
            Ok(()) => {}
            // Nothing was sent: only this request fails.
            Err(TransportError::FrameTooLarge { .. }) => {
                waiting.lock().answers.remove(&id);
            }
            Err(error) => return take_down(&waiting, error.to_string()),
        }
    }
}

async fn read_answers(mut recv: Box<dyn FrameRecv>, waiting: Arc<Mutex<Waiting>>) {
    let reason = loop {
        match recv.recv().await {
            Ok(Some(mut frame)) if frame.len() >= 8 => {
                let id = frame.get_u64();
                // A late answer has nobody who waits for it.
                let waiter = waiting.lock().answers.remove(&id);
                if let Some(waiter) = waiter {
                    let _ = waiter.send(frame);
                }
            }
            Ok(Some(_)) => break "an answer without a correlation id".to_owned(),
            Ok(None) => break "the peer has closed it".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    take_down(&waiting, reason);
}

/// What answers requests. It runs to its end even when the caller has gone: what was begun is not left half-done.
pub type Handler = Arc<dyn Fn(Bytes) -> BoxFuture<'static, Bytes> + Send + Sync>;

/// Answers a peer's requests until its stream ends; at most `max_in_flight` at a time, further ones wait in the stream.
pub async fn serve(stream: Stream, max_in_flight: usize, handler: Handler) {
    let Stream { send, mut recv } = stream;
    let send = Arc::new(tokio::sync::Mutex::new(send));
    let permits = Arc::new(Semaphore::new(max_in_flight));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let mut frame = match recv.recv().await {
            Ok(Some(frame)) if frame.len() >= 8 => frame,
            Ok(Some(_)) => return tracing::warn!("a peer's request has no correlation id"),
            Ok(None) => return,
            Err(error) => return tracing::debug!(%error, "a peer's requests have ended"),
        };
        let id = frame.get_u64();
        let answer = handler(frame);
        let send = send.clone();
        tokio::spawn(async move {
            let answer = answer.await;
            let chunks = [Bytes::copy_from_slice(&id.to_be_bytes()), answer];
            if let Err(error) = send.lock().await.send(&chunks).await {
                tracing::debug!(%error, "an answer could not be sent");
            }
            drop(permit);
        });
    }
}
