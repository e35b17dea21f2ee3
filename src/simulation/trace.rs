//! What goes over the seams between brokers and to the object store, as text: two runs of a seed must write the same.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tiering::store::{Listed, PartUpload, Pieces, SharedStore, Store, StoreError, Suffix};
use tokio::sync::watch;

use super::pause::Gate;
use crate::env::{Clock, Rng};
use crate::transport::memory::MemoryTransport;
use crate::transport::{
    FrameRecv, FrameSend, Incoming, Peer, PeerTls, PeerTlsError, Stream, StreamKind, Transport,
    TransportError,
};
use crate::types::BrokerId;

/// The lines so far; cheap to clone.
#[derive(Clone)]
pub(super) struct Trace {
    clock: Arc<dyn Clock>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Trace {
    pub fn new(clock: Arc<dyn Clock>) -> Trace {
        Trace { clock, lines: Arc::default() }
    }

    pub fn say(&self, what: &str) {
        let line = format!("{:>12} {what}", self.clock.now().0 / 1_000);
        self.lines.lock().push(line);
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock())
    }
}

/// How long frames take; all links share it.
pub(super) struct Jitter {
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    /// Of a thousand frames so many are late: the packet was lost, and sent again.
    pub late: AtomicU64,
    /// What concerns the quorum waits on this way, from and to.
    pub held: watch::Sender<Option<(BrokerId, BrokerId)>>,
}

impl Jitter {
    /// From now on frames of the quorum wait on this way; `None` for no way.
    pub fn hold(&self, way: Option<(BrokerId, BrokerId)>) {
        self.held.send_replace(way);
    }

    /// Waits while such frames wait on this way.
    async fn wait_while_held(&self, way: (BrokerId, BrokerId), kind: StreamKind) {
        if !matches!(kind, StreamKind::Raft | StreamKind::Control) || *self.held.borrow() != Some(way) {
            return;
        }
        let mut held = self.held.subscribe();
        if held.wait_for(|held| *held != Some(way)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn pass(&self) {
        if self.rng.next_u64() % 1_000 < self.late.load(Ordering::SeqCst) {
            let micros = self.rng.next_u64() % 60_000;
            self.clock.sleep(Duration::from_micros(micros)).await;
        }
    }
}

/// A transport in memory whose frames are written down and are late now and then.
pub(super) struct Tapped {
    pub inner: Arc<MemoryTransport>,
    pub me: BrokerId,
    pub trace: Trace,
    pub jitter: Arc<Jitter>,
    pub gate: Gate,
}

impl Tapped {
    fn tap(&self, peer: BrokerId, kind: StreamKind, stream: Stream) -> Stream {
        let name = format!("{}>{peer} {kind:?}", self.me);
        let (trace, jitter, gate) = (self.trace.clone(), self.jitter.clone(), self.gate.clone());
        let way = (self.me, peer);
        let send = TappedSend { inner: stream.send, name, way, kind, trace, jitter, gate: gate.clone() };
        Stream { send: Box::new(send), recv: Box::new(TappedRecv { inner: stream.recv, gate, held: None }) }
    }
}

impl Transport for Tapped {
    fn open(&self, peer: Peer, kind: StreamKind, lane: u32) -> BoxFuture<'_, Result<Stream, TransportError>> {
        Box::pin(async move {
            let id = peer.id;
            self.trace.say(&format!("{}>{id} open {kind:?}", self.me));
            Ok(self.tap(id, kind, self.inner.open(peer, kind, lane).await?))
        })
    }

    fn accept(&self) -> BoxFuture<'_, Option<Incoming>> {
        Box::pin(async move {
            let Incoming { peer, kind, stream } = self.inner.accept().await?;
            Some(Incoming { peer, kind, stream: self.tap(peer, kind, stream) })
        })
    }

    fn reload(&self, tls: &PeerTls) -> Result<(), PeerTlsError> {
        self.inner.reload(tls)
    }

    fn local_port(&self) -> u16 {
        self.inner.local_port()
    }

    fn close(&self) {
        self.inner.close();
    }
}

struct TappedSend {
    inner: Box<dyn FrameSend>,
    name: String,
    way: (BrokerId, BrokerId),
    kind: StreamKind,
    trace: Trace,
    jitter: Arc<Jitter>,
    gate: Gate,
}

impl FrameSend for TappedSend {
    fn send<'a>(&'a mut self, chunks: &'a [Bytes]) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move {
            self.jitter.pass().await;
            self.jitter.wait_while_held(self.way, self.kind).await;
            self.gate.pass().await;
            let crc = chunks.iter().fold(0, |crc, chunk| crc32c::crc32c_append(crc, chunk));
            let len: usize = chunks.iter().map(Bytes::len).sum();
            self.trace.say(&format!("{} {len} {crc:08x}", self.name));
            self.inner.send(chunks).await
        })
    }
}

struct TappedRecv {
    inner: Box<dyn FrameRecv>,
    gate: Gate,
    /// What has come while the process stands still.
    held: Option<Result<Option<Bytes>, TransportError>>,
}

impl FrameRecv for TappedRecv {
    // Cancel-safe, as the transport below: what has come is held until it is given.
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(async move {
            if self.held.is_none() {
                self.held = Some(self.inner.recv().await);
            }
            self.gate.pass().await;
            self.held.take().unwrap_or(Ok(None))
        })
    }
}

/// How the object store is.
#[derive(Default)]
pub(super) struct StoreHealth {
    /// Of a thousand requests so many fail, half of them after they have had their effect.
    pub failing: AtomicU64,
    /// Of a thousand objects that are read so many come damaged, or cut off.
    pub rotten: AtomicU64,
    /// Of a thousand objects that are written so many are acknowledged and lost.
    pub forgetful: AtomicU64,
    /// Nobody reaches it.
    pub is_down: AtomicBool,
}

/// One life's way to the object store.
pub(super) struct LifeStore {
    pub inner: SharedStore,
    pub me: BrokerId,
    pub alive: Arc<AtomicBool>,
    pub health: Arc<StoreHealth>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub trace: Trace,
}

impl std::fmt::Debug for LifeStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the store of {}", self.me)
    }
}

impl LifeStore {
    /// A request: it takes its time, and may fail before or after its effect.
    async fn request<T>(
        &self,
        what: &'static str,
        key: &str,
        effect: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let failed = || StoreError::Unavailable {
            operation: tiering::store::Operation::Get,
            key: key.to_owned(),
            reason: "simulated".to_owned(),
        };
        let draw = self.rng.next_u64();
        self.clock.sleep(Duration::from_micros(draw % 30_000)).await;
        if !self.alive.load(Ordering::SeqCst) {
            // Of a dead process nothing is ever heard.
            std::future::pending::<()>().await;
        }
        let fate = self.rng.next_u64() % 2_000;
        let failing = self.health.failing.load(Ordering::SeqCst);
        self.trace.say(&format!("{} store {what} {key}", self.me));
        if fate < failing || self.health.is_down.load(Ordering::SeqCst) {
            return Err(failed());
        }
        let outcome = effect.await;
        self.clock.sleep(Duration::from_micros(draw / 30_000 % 5_000)).await;
        if fate < failing * 2 { Err(failed()) } else { outcome }
    }
}

impl LifeStore {
    fn is_one_of(&self, per_mille: &AtomicU64) -> bool {
        let per_mille = per_mille.load(Ordering::SeqCst);
        per_mille > 0 && self.rng.next_u64() % 1_000 < per_mille
    }

    /// What is written, unless the store loses it.
    async fn kept(&self, write: impl Future<Output = Result<(), StoreError>>) -> Result<(), StoreError> {
        if self.is_one_of(&self.health.forgetful) { Ok(()) } else { write.await }
    }

    /// What is read, with a bit flipped or the end missing now and then.
    fn perhaps_damaged(&self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() || !self.is_one_of(&self.health.rotten) {
            return bytes;
        }
        let draw = self.rng.next_u64();
        let at = usize::try_from(draw >> 8).unwrap_or(0) % bytes.len();
        if draw & 1 == 0 {
            return bytes.slice(..at);
        }
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (draw >> 1 & 7);
        damaged.into()
    }
}

#[async_trait]
impl Store for LifeStore {
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.request("put", key, self.kept(self.inner.put(key, pieces))).await
    }

    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.request("put-if-absent", key, self.kept(self.inner.put_if_absent(key, pieces))).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        let bytes = self.request("get", key, self.inner.get(key)).await?;
        Ok(self.perhaps_damaged(bytes))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let bytes = self.request("get-range", key, self.inner.get_range(key, range)).await?;
        Ok(self.perhaps_damaged(bytes))
    }

    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        let suffix = self.request("get-suffix", key, self.inner.get_suffix(key, bytes)).await?;
        Ok(Suffix { bytes: self.perhaps_damaged(suffix.bytes.clone()), ..suffix })
    }

    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        self.request("head", key, self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        self.request("list", prefix, self.inner.list(prefix, start_after)).await
    }

    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.request("list-folders", prefix, self.inner.list_folders(prefix)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.request("delete", key, self.inner.delete(key)).await
    }

    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        // Segments of a simulation are far below the size of a part.
        self.request("begin", key, self.inner.begin_multipart(key)).await
    }
}
