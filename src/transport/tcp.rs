//! The twin of QUIC for networks that block UDP, and for the paired measurement: TCP and TLS 1.3, the same identities.
//!
//! Every stream is a TCP connection of its own. The opener sends the stream's kind; the acceptor answers with one byte
//! once it has checked the opener's certificate. Both sides send a sign of life when they have nothing else to say;
//! who reads and hears nothing for the idle time-out ends the stream, both halves.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::backoff::Backoff;
use super::certs::node_id;
use super::frame::{Inbox, SIGN_OF_LIFE, frame_len};
use super::identity::{PeerTls, PeerTlsError, server_name};
use super::quic::BindError;
use super::{FrameRecv, FrameSend, Incoming, Peer, Stream, StreamKind, Transport, TransportError};
use crate::env::{Clock, Env, timeout};
use crate::types::BrokerId;

const ALPN: &[u8] = b"esker-peer-tcp/1";
/// What the acceptor says once the certificate is accepted.
const HELLO: u8 = 1;
/// Handshakes in progress; further connections wait in the system's queue.
const MAX_HANDSHAKES: usize = 64;
const READ_BYTES: usize = 64 * 1024;

/// Sizes and times of the TCP transport.
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// Where to listen; port 0 takes any.
    pub bind: SocketAddr,
    /// The largest frame in bytes, both ways.
    pub max_frame_bytes: usize,
    /// A peer that is silent this long is dead.
    pub idle_timeout: Duration,
    /// How often a sign of life is sent; well below `idle_timeout`.
    pub keep_alive: Duration,
    /// How long a connection may take to come up.
    pub connect_timeout: Duration,
}

impl TcpConfig {
    /// The defaults for a LAN.
    #[must_use]
    pub fn new(bind: SocketAddr) -> TcpConfig {
        TcpConfig {
            bind,
            max_frame_bytes: 64 << 20,
            idle_timeout: Duration::from_millis(1000),
            keep_alive: Duration::from_millis(250),
            connect_timeout: Duration::from_millis(1000),
        }
    }

    /// With the time-outs that fit a session of replicas: a peer that is silent for so long is dead.
    #[must_use]
    pub fn with_session(self, session: Duration) -> TcpConfig {
        TcpConfig {
            idle_timeout: session,
            keep_alive: session / 4,
            connect_timeout: session.max(self.connect_timeout),
            ..self
        }
    }
}

/// The TCP+TLS transport of one broker.
pub struct TcpTransport {
    shared: Arc<Shared>,
    backoffs: Mutex<HashMap<(BrokerId, String), Backoff>>,
    port: u16,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Incoming>>,
}

struct Shared {
    env: Env,
    config: TcpConfig,
    sockets: Sockets,
    open: watch::Sender<bool>,
    sides: ArcSwap<Sides>,
}

/// The two sides of TLS with the certificates of now.
struct Sides {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl Sides {
    fn new(tls: &PeerTls) -> Result<Sides, PeerTlsError> {
        Ok(Sides {
            acceptor: TlsAcceptor::from(Arc::new(tls.server(ALPN)?)),
            connector: TlsConnector::from(Arc::new(tls.client(ALPN)?)),
        })
    }
}

impl TcpTransport {
    /// Binds the listener and starts to accept. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be bound or the certificates do not fit.
    pub fn bind(env: &Env, config: TcpConfig, tls: &PeerTls) -> Result<Arc<TcpTransport>, BindError> {
        let sides = ArcSwap::from_pointee(Sides::new(tls)?);
        let socket_error = |error| BindError::Socket { address: config.bind, error };
        let listener = env.net.listen(config.bind).map_err(socket_error)?;
        let port = listener.local_addr().map_err(socket_error)?.port();
        let shared = Arc::new(Shared {
            env: env.clone(),
            config,
            sockets: Sockets::default(),
            open: watch::channel(true).0,
            sides,
        });
        let (sender, receiver) = mpsc::channel(256);
        tokio::spawn(accept_all(shared.clone(), listener, sender));
        Ok(Arc::new(TcpTransport {
            shared,
            backoffs: Mutex::default(),
            port,
            incoming: tokio::sync::Mutex::new(receiver),
        }))
    }

    async fn dial(&self, peer: &Peer, kind: StreamKind) -> Result<Stream, TransportError> {
        let shared = &self.shared;
        let failed = |error: io::Error| match certificate_refused(&error) {
            Some(reason) => TransportError::Certificate(reason),
            None => unreachable(peer, error.to_string()),
        };
        let found = shared.env.net.resolve(peer.address.clone()).await.map_err(failed)?;
        let mut tcp = Err(unreachable(peer, "it has no address".to_owned()));
        for address in found {
            tcp = shared.env.net.connect(address).await.map_err(failed);
            if tcp.is_ok() {
                break;
            }
        }
        let tcp = tcp?;
        let socket = shared.sockets.add(&tcp).map_err(failed)?;
        let connector = shared.sides.load().connector.clone();
        let tls = connector.connect(server_name(peer.id), tcp).await.map_err(failed)?;
        let mut tls = TlsStream::from(tls);
        if proven(&tls) != Some(peer.id) {
            return Err(TransportError::Certificate(format!("it does not name node {} alone", peer.id)));
        }
        tls.write_all(&[kind.byte()]).await.map_err(failed)?;
        tls.flush().await.map_err(failed)?;
        match tls.read_u8().await.map_err(failed)? {
            HELLO => Ok(stream(shared, tls, socket)),
            version => Err(unreachable(peer, format!("it speaks version {version} of the peer protocol"))),
        }
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        self.close();
    }
}

impl Transport for TcpTransport {
    fn open(
        &self,
        peer: Peer,
        kind: StreamKind,
        _lane: u32,
    ) -> BoxFuture<'_, Result<Stream, TransportError>> {
        Box::pin(async move {
            let clock = self.shared.env.clock.as_ref();
            let key = (peer.id, peer.address.clone());
            let not_before = self.backoffs.lock().entry(key.clone()).or_default().not_before();
            clock.sleep_until(not_before).await;
            let outcome = timeout(clock, self.shared.config.connect_timeout, self.dial(&peer, kind))
                .await
                .unwrap_or_else(|late| Err(unreachable(&peer, late.to_string())));
            let mut backoffs = self.backoffs.lock();
            if outcome.is_ok() {
                backoffs.remove(&key);
            } else {
                backoffs.entry(key).or_default().failed(&self.shared.env);
            }
            outcome
        })
    }

    fn accept(&self) -> BoxFuture<'_, Option<Incoming>> {
        Box::pin(async { self.incoming.lock().await.recv().await })
    }

    fn local_port(&self) -> u16 {
        self.port
    }

    fn reload(&self, tls: &PeerTls) -> Result<(), PeerTlsError> {
        self.shared.sides.store(Arc::new(Sides::new(tls)?));
        Ok(())
    }

    fn close(&self) {
        self.shared.open.send_replace(false);
        self.shared.sockets.shut_all();
    }
}

async fn accept_all(shared: Arc<Shared>, listener: TcpListener, incoming: mpsc::Sender<Incoming>) {
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let mut open = shared.open.subscribe();
    loop {
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            _ = open.wait_for(|open| !open) => return,
            accepted = listener.accept() => accepted,
        };
        let (tcp, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a peer's connection could not be accepted");
                // Out of descriptors, most likely: give others time to close some.
                shared.env.clock.sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (shared, incoming) = (shared.clone(), incoming.clone());
        let acceptor = shared.sides.load().acceptor.clone();
        tokio::spawn(async move {
            let limit = shared.config.connect_timeout;
            let clock = shared.env.clock.clone();
            let greeted = timeout(clock.as_ref(), limit, welcome(&shared, &acceptor, tcp)).await;
            drop(permit);
            match greeted {
                // An error only means that nobody accepts any more.
                Ok(Ok(Some(next))) => drop(incoming.send(next).await),
                Ok(Ok(None)) => tracing::warn!(%from, "a peer has opened a stream of unknown kind"),
                Ok(Err(error)) => tracing::warn!(%from, %error, "a peer's handshake has failed"),
                Err(error) => tracing::debug!(%from, %error, "a peer's handshake is too slow"),
            }
        });
    }
}

async fn welcome(
    shared: &Arc<Shared>,
    acceptor: &TlsAcceptor,
    tcp: TcpStream,
) -> io::Result<Option<Incoming>> {
    tcp.set_nodelay(true)?;
    let socket = shared.sockets.add(&tcp)?;
    let mut tls = TlsStream::from(acceptor.accept(tcp).await?);
    // The verifier has let nobody else through.
    let Some(peer) = proven(&tls) else { return Ok(None) };
    let Some(kind) = StreamKind::from_byte(tls.read_u8().await?) else { return Ok(None) };
    tls.write_all(&[HELLO]).await?;
    tls.flush().await?;
    Ok(Some(Incoming { peer, kind, stream: stream(shared, tls, socket) }))
}

fn proven(tls: &TlsStream<TcpStream>) -> Option<BrokerId> {
    let (_, session) = tls.get_ref();
    let chain: &[CertificateDer<'_>] = session.peer_certificates()?;
    node_id(chain.first()?)
}

/// The sockets of all streams, so that `close` and a silent peer end both halves whatever they are doing.
#[derive(Clone, Default)]
struct Sockets {
    all: Arc<Mutex<(u64, HashMap<u64, OwnedFd>)>>,
}

impl Sockets {
    fn add(&self, tcp: &TcpStream) -> io::Result<Arc<Socket>> {
        let copy = tcp.as_fd().try_clone_to_owned()?;
        let mut all = self.all.lock();
        let id = all.0;
        all.0 += 1;
        all.1.insert(id, copy);
        Ok(Arc::new(Socket { id, sockets: self.clone() }))
    }

    fn shut_all(&self) {
        for socket in self.all.lock().1.values() {
            let _ = socket2::SockRef::from(socket).shutdown(Shutdown::Both);
        }
    }
}

/// One stream's socket; forgotten when both halves are gone.
struct Socket {
    id: u64,
    sockets: Sockets,
}

impl Socket {
    fn shut(&self) {
        if let Some(socket) = self.sockets.all.lock().1.get(&self.id) {
            let _ = socket2::SockRef::from(socket).shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.sockets.all.lock().1.remove(&self.id);
    }
}

fn stream(shared: &Arc<Shared>, tls: TlsStream<TcpStream>, socket: Arc<Socket>) -> Stream {
    let (read, write) = tokio::io::split(tls);
    let writer = Arc::new(tokio::sync::Mutex::new(Writer { half: write, inside_frame: false }));
    let clock = shared.env.clock.clone();
    tokio::spawn(give_signs_of_life(Arc::downgrade(&writer), clock.clone(), shared.config.keep_alive));
    let send = TcpSend { writer: Some(writer), max_frame_bytes: shared.config.max_frame_bytes };
    let recv = TcpRecv {
        half: read,
        inbox: Inbox::new(shared.config.max_frame_bytes),
        buffer: BytesMut::new(),
        ended: false,
        socket,
        clock,
        idle_timeout: shared.config.idle_timeout,
    };
    Stream { send: Box::new(send), recv: Box::new(recv) }
}

struct Writer {
    half: WriteHalf<TlsStream<TcpStream>>,
    /// A frame was begun and not finished (the caller gave up): nothing sensible can follow.
    inside_frame: bool,
}

async fn give_signs_of_life(
    writer: std::sync::Weak<tokio::sync::Mutex<Writer>>,
    clock: Arc<dyn Clock>,
    every: Duration,
) {
    loop {
        clock.sleep(every).await;
        let Some(writer) = writer.upgrade() else { return };
        // Whoever holds it is sending: that is a sign of life.
        let Ok(mut writer) = writer.try_lock() else { continue };
        if writer.inside_frame
            || writer.half.write_all(&SIGN_OF_LIFE.to_be_bytes()).await.is_err()
            || writer.half.flush().await.is_err()
        {
            return;
        }
    }
}

struct TcpSend {
    writer: Option<Arc<tokio::sync::Mutex<Writer>>>,
    max_frame_bytes: usize,
}

impl FrameSend for TcpSend {
    fn send<'a>(&'a mut self, chunks: &'a [Bytes]) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move {
            let Some(writer) = &self.writer else {
                return Err(TransportError::Closed("this half has ended".to_owned()));
            };
            let mut writer = writer.lock().await;
            if writer.inside_frame {
                return Err(TransportError::Closed("a frame was given up half-way".to_owned()));
            }
            let len = frame_len(chunks, self.max_frame_bytes)?;
            let mut pieces = Pieces::new(len, chunks);
            writer.inside_frame = true;
            writer.half.write_all_buf(&mut pieces).await.map_err(|e| closed(&e))?;
            writer.half.flush().await.map_err(|e| closed(&e))?;
            writer.inside_frame = false;
            Ok(())
        })
    }
}

impl Drop for TcpSend {
    fn drop(&mut self) {
        if let (Some(writer), Ok(runtime)) = (self.writer.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                // An error means that the connection is gone, and with it this half.
                let _ = writer.lock().await.half.shutdown().await;
            });
        }
    }
}

/// A frame's header and chunks as one buffer, for vectored writes.
struct Pieces<'a> {
    header: [u8; 4],
    header_left: usize,
    chunks: &'a [Bytes],
    /// How much of the first chunk is written.
    written: usize,
}

impl<'a> Pieces<'a> {
    fn new(len: u32, chunks: &'a [Bytes]) -> Pieces<'a> {
        Pieces { header: len.to_be_bytes(), header_left: 4, chunks, written: 0 }
    }

    fn header(&self) -> &[u8] {
        &self.header[4 - self.header_left..]
    }
}

impl Buf for Pieces<'_> {
    fn remaining(&self) -> usize {
        self.header_left + self.chunks.iter().map(Bytes::len).sum::<usize>() - self.written
    }

    fn chunk(&self) -> &[u8] {
        if self.header_left > 0 {
            return self.header();
        }
        let rest = self.chunks.iter().enumerate().map(|(i, c)| if i == 0 { &c[self.written..] } else { c });
        rest.into_iter().find(|c| !c.is_empty()).unwrap_or_default()
    }

    fn chunks_vectored<'s>(&'s self, out: &mut [IoSlice<'s>]) -> usize {
        let header = std::iter::once(self.header());
        let rest =
            self.chunks.iter().enumerate().map(|(i, c)| if i == 0 { &c[self.written..] } else { &c[..] });
        let mut n = 0;
        for (slot, slice) in out.iter_mut().zip(header.chain(rest).filter(|s| !s.is_empty())) {
            *slot = IoSlice::new(slice);
            n += 1;
        }
        n
    }

    fn advance(&mut self, mut n: usize) {
        let of_header = n.min(self.header_left);
        self.header_left -= of_header;
        n -= of_header;
        while let Some(first) = self.chunks.first() {
            let left = first.len() - self.written;
            if n < left {
                self.written += n;
                return;
            }
            n -= left;
            self.written = 0;
            self.chunks = &self.chunks[1..];
        }
    }
}

struct TcpRecv {
    half: ReadHalf<TlsStream<TcpStream>>,
    inbox: Inbox,
    buffer: BytesMut,
    ended: bool,
    socket: Arc<Socket>,
    clock: Arc<dyn Clock>,
    idle_timeout: Duration,
}

impl FrameRecv for TcpRecv {
    // Cancel-safe: what was read stays in the inbox.
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(async move {
            loop {
                if let Some(frame) = self.inbox.next_frame()? {
                    return Ok(Some(frame));
                }
                if self.ended {
                    return Ok(None);
                }
                let clock = self.clock.clone();
                match timeout(clock.as_ref(), self.idle_timeout, self.read()).await {
                    Ok(Ok(0)) if self.inbox.is_between_frames() => self.ended = true,
                    Ok(Ok(0)) => return Err(TransportError::Closed("inside a frame".to_owned())),
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return Err(closed(&error)),
                    Err(_) => {
                        self.socket.shut();
                        return Err(TransportError::Closed("timed out".to_owned()));
                    }
                }
            }
        })
    }
}

impl TcpRecv {
    /// Reads once: the rest of a begun frame directly to its place, anything else into the inbox.
    async fn read(&mut self) -> io::Result<usize> {
        if let Some((begun, missing)) = self.inbox.begun() {
            return self.half.read_buf(&mut begun.limit(missing)).await;
        }
        self.buffer.reserve(READ_BYTES);
        let n = self.half.read_buf(&mut self.buffer).await?;
        self.inbox.push(self.buffer.split().freeze());
        Ok(n)
    }
}

fn unreachable(peer: &Peer, reason: String) -> TransportError {
    TransportError::Unreachable { peer: peer.id, address: peer.address.clone(), reason }
}

fn closed(error: &io::Error) -> TransportError {
    match certificate_refused(error) {
        Some(reason) => TransportError::Certificate(reason),
        None => TransportError::Closed(error.to_string()),
    }
}

/// A TLS failure of either side that concerns the certificate.
fn certificate_refused(error: &io::Error) -> Option<String> {
    use rustls::{AlertDescription as Alert, Error};
    let tls = error.get_ref()?.downcast_ref::<Error>()?;
    let refused = matches!(
        tls,
        Error::InvalidCertificate(_)
            | Error::NoCertificatesPresented
            | Error::AlertReceived(
                Alert::BadCertificate
                    | Alert::UnsupportedCertificate
                    | Alert::CertificateRevoked
                    | Alert::CertificateExpired
                    | Alert::CertificateUnknown
                    | Alert::CertificateRequired
                    | Alert::UnknownCA
                    | Alert::AccessDenied
                    | Alert::DecryptError
            )
    );
    refused.then(|| tls.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_read_as_header_and_chunks_however_they_are_taken() {
        let chunks = [Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"cde")];
        for step in 1..=9 {
            let mut pieces = Pieces::new(5, &chunks);
            let mut out = Vec::new();
            while pieces.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 8];
                let n = pieces.chunks_vectored(&mut slices);
                let all: Vec<u8> = slices[..n].iter().flat_map(|s| s.iter().copied()).collect();
                assert_eq!(all.len(), pieces.remaining());
                assert!(all.starts_with(pieces.chunk()) && !pieces.chunk().is_empty());
                let take = step.min(all.len());
                out.extend_from_slice(&all[..take]);
                pieces.advance(take);
            }
            assert_eq!(out, b"\0\0\0\x05abcde");
        }
    }
}
