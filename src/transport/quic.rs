//! QUIC between brokers: one UDP endpoint per broker for both directions, mutual TLS, streams over a few connections
//! per peer.
//!
//! Raft and control streams have a connection of their own, so that a heartbeat never queues behind bulk data; the
//! others hash by lane over `lanes` connections, since one connection does not use more than about one core. The
//! acceptor sends one byte (the protocol's version) on a unidirectional stream once it has checked the opener's
//! certificate: an opener knows that it was accepted before it hands out a stream.
//!
//! The largest packet that MTU discovery may find is bounded at 6,550 bytes: ten of them fit in one 64 KB datagram
//! train; above, the kernel refuses the train and quinn falls back to 1,200 bytes.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, ConnectionError, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig,
    ReadError, RecvStream, SendStream, ServerConfig, TransportConfig, VarInt, WriteError,
};
use rustls_pki_types::CertificateDer;
use tokio::sync::mpsc;

use super::backoff::Backoff;
use super::certs::{node_id, node_name};
use super::frame::{Inbox, frame_len};
use super::identity::{PeerTls, PeerTlsError};
use super::{FrameRecv, FrameSend, Incoming, Peer, Stream, StreamKind, Transport, TransportError, Way};
use crate::env::{Env, Rng, timeout};
use crate::types::BrokerId;

const ALPN: &[u8] = b"esker-peer/1";
/// What the acceptor says once the certificate is accepted.
const HELLO: u8 = 1;
/// The largest payload of which ten fit in one 64 KB datagram train.
const MAX_UDP_PAYLOAD: u16 = 6550;
/// Handshakes in progress above which further ones are dropped unanswered.
const IGNORE_ABOVE: usize = 256;
const IN_ORDER: VarInt = VarInt::from_u32(0);
const REFUSED: VarInt = VarInt::from_u32(1);

/// Sizes and times of the QUIC transport.
#[derive(Clone, Debug)]
pub struct QuicConfig {
    /// Where to listen; port 0 takes any.
    pub bind: SocketAddr,
    /// Connections per peer for bulk streams.
    pub lanes: u32,
    /// The largest frame in bytes, both ways.
    pub max_frame_bytes: usize,
    /// A peer that is silent this long is dead.
    pub idle_timeout: Duration,
    /// How often a silent connection is pinged; well below `idle_timeout`.
    pub keep_alive: Duration,
    /// How long a connection may take to come up.
    pub connect_timeout: Duration,
    /// The largest UDP payload that MTU discovery tries, at most 6,550.
    pub mtu_upper_bound: u16,
    /// Bytes that a peer may have in flight to here on one stream.
    pub stream_window_bytes: u32,
    /// Bytes that a peer may have in flight to here on one connection.
    pub connection_window_bytes: u32,
    /// Bytes kept per connection until the peer has acknowledged them.
    pub send_window_bytes: u64,
    /// What the socket asks the system for, each way.
    pub socket_buffer_bytes: usize,
    /// Packets that a peer may take before it acknowledges them, of data sent from here (draft-ietf-quic-ack-frequency); 0 for what
    /// RFC 9000 says, every second one.
    pub packets_per_ack: u32,
    /// Whether the system is given many packets in one call (UDP GSO), where it can do that.
    pub segmentation_offload: bool,
    /// Streams that a peer may have open at once on one connection.
    pub max_streams: u32,
    /// Handshakes in progress from which on an address must prove itself by a Retry first.
    pub retry_from: usize,
}

impl QuicConfig {
    /// The defaults for a LAN.
    #[must_use]
    pub fn new(bind: SocketAddr) -> QuicConfig {
        QuicConfig {
            bind,
            lanes: 2,
            max_frame_bytes: 64 << 20,
            idle_timeout: Duration::from_millis(1000),
            keep_alive: Duration::from_millis(250),
            connect_timeout: Duration::from_millis(1000),
            mtu_upper_bound: 6400,
            stream_window_bytes: 2 << 20,
            connection_window_bytes: 8 << 20,
            send_window_bytes: 4 << 20,
            socket_buffer_bytes: 4 << 20,
            packets_per_ack: 0,
            segmentation_offload: true,
            max_streams: 16_384,
            retry_from: 32,
        }
    }

    /// With the time-outs that fit a session of replicas: a peer that is silent for so long is dead.
    #[must_use]
    pub fn with_session(self, session: Duration) -> QuicConfig {
        QuicConfig {
            idle_timeout: session,
            keep_alive: session / 4,
            connect_timeout: session.max(self.connect_timeout),
            ..self
        }
    }

    /// The acceptor's and the opener's settings with some certificates.
    fn sides(&self, tls: &PeerTls) -> Result<(ServerConfig, ClientConfig), PeerTlsError> {
        let unusable = |_| PeerTlsError::Tls("TLS 1.3 with AES-128-GCM is not there".to_owned());
        let transport = Arc::new(self.transport());
        let crypto = QuicServerConfig::try_from(tls.server(ALPN)?).map_err(unusable)?;
        let mut server = ServerConfig::with_crypto(Arc::new(crypto));
        server.transport_config(transport.clone()).max_incoming(IGNORE_ABOVE).migration(false);
        let crypto = QuicClientConfig::try_from(tls.client(ALPN)?).map_err(unusable)?;
        let mut client = ClientConfig::new(Arc::new(crypto));
        client.transport_config(transport);
        Ok((server, client))
    }

    fn transport(&self) -> TransportConfig {
        let mut mtu = quinn::MtuDiscoveryConfig::default();
        mtu.upper_bound(self.mtu_upper_bound.min(MAX_UDP_PAYLOAD));
        let mut cubic = quinn::congestion::CubicConfig::default();
        cubic.initial_window(256 << 10);
        let idle = u32::try_from(self.idle_timeout.as_millis()).unwrap_or(u32::MAX);
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(self.max_streams.into())
            .max_concurrent_uni_streams(1u8.into())
            .max_idle_timeout(Some(VarInt::from_u32(idle).into()))
            .keep_alive_interval(Some(self.keep_alive))
            .stream_receive_window(self.stream_window_bytes.into())
            .receive_window(self.connection_window_bytes.into())
            .send_window(self.send_window_bytes)
            .initial_rtt(Duration::from_millis(10))
            .mtu_discovery_config(Some(mtu))
            .congestion_controller_factory(Arc::new(cubic))
            .enable_segmentation_offload(self.segmentation_offload)
            .datagram_receive_buffer_size(None);
        if self.packets_per_ack > 0 {
            let mut acks = quinn::AckFrequencyConfig::default();
            acks.ack_eliciting_threshold(self.packets_per_ack.into());
            transport.ack_frequency_config(Some(acks));
        }
        transport
    }
}

/// Which connection of a peer a stream goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Control,
    Bulk(u32),
}

impl Lane {
    fn of(kind: StreamKind, lane: u32, lanes: u32) -> Lane {
        match kind {
            StreamKind::Raft | StreamKind::Control => Lane::Control,
            StreamKind::Replication | StreamKind::TierPeer => Lane::Bulk(lane % lanes.max(1)),
        }
    }
}

/// Why the transport did not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The socket could not be bound.
    #[error("cannot listen for peers on {address}: {error}")]
    Socket {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The certificates do not fit.
    #[error(transparent)]
    Tls(#[from] PeerTlsError),
}

/// The QUIC transport of one broker.
pub struct QuicTransport {
    opener: Arc<Opener>,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Incoming>>,
}

/// Connection ids of 8 random bytes. Unlike quinn's default they let packets of a former life of this broker in, so
/// that these are answered by a reset and the peer dials again at once.
struct RandomIds(Arc<dyn Rng>);

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; 8];
        self.0.fill(&mut id);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Dials peers, and keeps the connections.
struct Opener {
    env: Env,
    config: QuicConfig,
    endpoint: Endpoint,
    client: ArcSwap<ClientConfig>,
    slots: Mutex<HashMap<(BrokerId, Lane), Slot>>,
}

struct Slot {
    address: String,
    backoff: Backoff,
    state: SlotState,
}

enum SlotState {
    Idle,
    /// One attempt, awaited by all who want the connection.
    Dialing(Shared<BoxFuture<'static, Result<Connection, TransportError>>>),
    Up(Connection),
}

impl QuicTransport {
    /// Binds the endpoint and starts to accept. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be bound or the certificates do not fit.
    pub fn bind(env: &Env, config: QuicConfig, tls: &PeerTls) -> Result<Arc<QuicTransport>, BindError> {
        let (server, client) = config.sides(tls)?;
        let socket_error = |error| BindError::Socket { address: config.bind, error };
        let socket = env.net.bind_udp(config.bind, config.socket_buffer_bytes).map_err(socket_error)?;
        let mut endpoint_config = EndpointConfig::new(Arc::new(tls.reset_key()));
        endpoint_config
            .max_udp_payload_size(MAX_UDP_PAYLOAD)
            .expect("6,550 lies between 1,200 and 65,527")
            .cid_generator({
                let rng = env.rng.clone();
                move || Box::new(RandomIds(rng.clone()))
            });
        let endpoint = Endpoint::new(endpoint_config, Some(server), socket, Arc::new(quinn::TokioRuntime))
            .map_err(socket_error)?;

        let (sender, receiver) = mpsc::channel(256);
        let acceptor = Acceptor {
            env: env.clone(),
            connect_timeout: config.connect_timeout,
            retry_from: config.retry_from,
            max_frame_bytes: config.max_frame_bytes,
            handshakes: Arc::new(AtomicUsize::new(0)),
            incoming: sender,
        };
        tokio::spawn(acceptor.run(endpoint.clone()));
        let client = ArcSwap::from_pointee(client);
        let opener = Opener { env: env.clone(), config, endpoint, client, slots: Mutex::default() };
        Ok(Arc::new(QuicTransport { opener: Arc::new(opener), incoming: tokio::sync::Mutex::new(receiver) }))
    }
}

impl Drop for QuicTransport {
    fn drop(&mut self) {
        self.close();
    }
}

impl Transport for QuicTransport {
    fn open(&self, peer: Peer, kind: StreamKind, lane: u32) -> BoxFuture<'_, Result<Stream, TransportError>> {
        Box::pin(async move {
            let connection =
                self.opener.connection(&peer, Lane::of(kind, lane, self.opener.config.lanes)).await?;
            let clock = self.opener.env.clock.as_ref();
            let (mut send, recv) = timeout(clock, self.opener.config.connect_timeout, connection.open_bi())
                .await
                .map_err(|_| unreachable(&peer, "it grants no further stream".to_owned()))?
                .map_err(|e| closed(&e))?;
            send.write_all(&[kind.byte()]).await.map_err(|e| write_error(&e))?;
            Ok(stream(send, recv, self.opener.config.max_frame_bytes))
        })
    }

    fn accept(&self) -> BoxFuture<'_, Option<Incoming>> {
        Box::pin(async { self.incoming.lock().await.recv().await })
    }

    fn reload(&self, tls: &PeerTls) -> Result<(), PeerTlsError> {
        let (server, client) = self.opener.config.sides(tls)?;
        self.opener.endpoint.set_server_config(Some(server));
        self.opener.client.store(Arc::new(client));
        Ok(())
    }

    fn ways(&self) -> Vec<Way> {
        let slots = self.opener.slots.lock();
        let up = slots.iter().filter_map(|((peer, _), slot)| match &slot.state {
            SlotState::Up(connection) => Some((*peer, connection.stats())),
            SlotState::Idle | SlotState::Dialing(_) => None,
        });
        up.map(|(peer, stats)| Way {
            peer,
            round_trip: stats.path.rtt,
            window_bytes: stats.path.cwnd,
            sent_packets: stats.path.sent_packets,
            lost_packets: stats.path.lost_packets,
            congestion_events: stats.path.congestion_events,
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
        })
        .collect()
    }

    fn local_port(&self) -> u16 {
        self.opener.endpoint.local_addr().map_or(0, |address| address.port())
    }

    fn close(&self) {
        self.opener.endpoint.close(IN_ORDER, b"the broker stops");
    }
}

impl Opener {
    async fn connection(self: &Arc<Self>, peer: &Peer, lane: Lane) -> Result<Connection, TransportError> {
        let attempt = {
            let mut slots = self.slots.lock();
            let slot = slots.entry((peer.id, lane)).or_insert_with(|| Slot::new(&peer.address));
            if slot.address != peer.address {
                if let SlotState::Up(old) = &slot.state {
                    old.close(IN_ORDER, b"the peer has moved");
                }
                *slot = Slot::new(&peer.address);
            }
            match &slot.state {
                SlotState::Up(connection) if connection.close_reason().is_none() => {
                    return Ok(connection.clone());
                }
                SlotState::Dialing(attempt) => attempt.clone(),
                SlotState::Up(_) | SlotState::Idle => {
                    // In a task of its own: the caller that came first may give up, the others still wait.
                    let task = tokio::spawn(self.clone().attempt(peer.clone(), lane, slot.backoff));
                    let attempt = async move {
                        task.await.unwrap_or_else(|error| Err(TransportError::Closed(error.to_string())))
                    };
                    let attempt = attempt.boxed().shared();
                    slot.state = SlotState::Dialing(attempt.clone());
                    attempt
                }
            }
        };
        attempt.await
    }

    async fn attempt(
        self: Arc<Self>,
        peer: Peer,
        lane: Lane,
        backoff: Backoff,
    ) -> Result<Connection, TransportError> {
        self.env.clock.sleep_until(backoff.not_before()).await;
        let outcome = timeout(self.env.clock.as_ref(), self.config.connect_timeout, self.dial(&peer))
            .await
            .unwrap_or_else(|late| Err(unreachable(&peer, late.to_string())));
        let mut slots = self.slots.lock();
        let slot = slots.get_mut(&(peer.id, lane)).filter(|slot| slot.address == peer.address);
        match (&outcome, slot) {
            (Ok(connection), Some(slot)) => {
                slot.backoff.succeeded();
                slot.state = SlotState::Up(connection.clone());
                tokio::spawn(self.clone().forget_when_closed(connection.clone(), (peer.id, lane)));
            }
            (Ok(connection), None) => connection.close(IN_ORDER, b"the peer has moved"),
            (Err(_), Some(slot)) => {
                slot.backoff.failed(&self.env);
                slot.state = SlotState::Idle;
            }
            (Err(_), None) => {}
        }
        outcome
    }

    async fn dial(&self, peer: &Peer) -> Result<Connection, TransportError> {
        let unreachable = |reason: String| unreachable(peer, reason);
        let local = self.endpoint.local_addr().map_err(|e| unreachable(e.to_string()))?;
        let found =
            self.env.net.resolve(peer.address.clone()).await.map_err(|e| unreachable(e.to_string()))?;
        let address = found
            .into_iter()
            .find(|address| address.is_ipv4() == local.is_ipv4())
            .ok_or_else(|| unreachable(format!("it has no address of the family of {local}")))?;
        let failed = |error: ConnectionError| match certificate_refused(&error) {
            Some(reason) => TransportError::Certificate(reason),
            None => unreachable(error.to_string()),
        };
        let connection = self
            .endpoint
            .connect_with(ClientConfig::clone(&self.client.load()), address, &node_name(peer.id))
            .map_err(|e| unreachable(e.to_string()))?
            .await
            .map_err(failed)?;
        if proven(&connection) != Some(peer.id) {
            connection.close(REFUSED, b"another node");
            return Err(TransportError::Certificate(format!("it does not name node {} alone", peer.id)));
        }
        let mut hello = [0];
        let mut greeting = connection.accept_uni().await.map_err(failed)?;
        match greeting.read_exact(&mut hello).await {
            Ok(()) if hello[0] == HELLO => Ok(connection),
            Ok(()) => Err(unreachable(format!("it speaks version {} of the peer protocol", hello[0]))),
            Err(error) => Err(match connection.close_reason() {
                Some(reason) => failed(reason),
                None => unreachable(error.to_string()),
            }),
        }
    }

    async fn forget_when_closed(self: Arc<Self>, connection: Connection, key: (BrokerId, Lane)) {
        let reason = connection.closed().await;
        tracing::debug!(peer = %key.0, lane = ?key.1, %reason, "a connection to a peer has ended");
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get_mut(&key)
            && matches!(&slot.state, SlotState::Up(c) if c.stable_id() == connection.stable_id())
        {
            slot.state = SlotState::Idle;
        }
    }
}

impl Slot {
    fn new(address: &str) -> Slot {
        Slot { address: address.to_owned(), backoff: Backoff::default(), state: SlotState::Idle }
    }
}

/// Takes connections and streams that peers open.
#[derive(Clone)]
struct Acceptor {
    env: Env,
    connect_timeout: Duration,
    retry_from: usize,
    max_frame_bytes: usize,
    handshakes: Arc<AtomicUsize>,
    incoming: mpsc::Sender<Incoming>,
}

impl Acceptor {
    async fn run(self, endpoint: Endpoint) {
        while let Some(attempt) = endpoint.accept().await {
            let in_progress = self.handshakes.load(Ordering::Relaxed);
            if in_progress >= IGNORE_ABOVE {
                attempt.ignore();
            } else if in_progress >= self.retry_from && attempt.may_retry() {
                // The address may be forged: it must answer before a handshake is paid for.
                let _ = attempt.retry();
            } else {
                let handshake = Handshake::begin(&self.handshakes);
                tokio::spawn(self.clone().connection(attempt, handshake));
            }
        }
    }

    async fn connection(self, attempt: quinn::Incoming, handshake: Handshake) {
        let from = attempt.remote_address();
        let connecting = match attempt.accept() {
            Ok(connecting) => connecting,
            Err(error) => return tracing::debug!(%from, %error, "a peer's handshake has failed"),
        };
        let connection = match timeout(self.env.clock.as_ref(), self.connect_timeout, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return tracing::warn!(%from, %error, "a peer's handshake has failed"),
            Err(error) => return tracing::debug!(%from, %error, "a peer's handshake is too slow"),
        };
        let Some(peer) = proven(&connection) else {
            // The verifier has let nobody else through.
            connection.close(REFUSED, b"no node");
            return;
        };
        drop(handshake);
        if let Err(error) = greet(&connection).await {
            return tracing::debug!(%from, %peer, %error, "a peer went away in its first moment");
        }
        while let Ok((send, recv)) = connection.accept_bi().await {
            tokio::spawn(self.clone().stream(peer, send, recv));
        }
    }

    async fn stream(self, peer: BrokerId, send: SendStream, mut recv: RecvStream) {
        let mut kind = [0];
        let read = timeout(self.env.clock.as_ref(), self.connect_timeout, recv.read_exact(&mut kind)).await;
        let kind = match read {
            Ok(Ok(())) => StreamKind::from_byte(kind[0]),
            Ok(Err(_)) | Err(_) => return,
        };
        match kind {
            Some(kind) => {
                let stream = stream(send, recv, self.max_frame_bytes);
                // An error only means that nobody accepts any more.
                let _ = self.incoming.send(Incoming { peer, kind, stream }).await;
            }
            None => {
                tracing::warn!(%peer, "a peer has opened a stream of unknown kind");
                let mut send = send;
                let _ = send.reset(REFUSED);
                let _ = recv.stop(REFUSED);
            }
        }
    }
}

async fn greet(connection: &Connection) -> Result<(), TransportError> {
    let mut greeting = connection.open_uni().await.map_err(|e| closed(&e))?;
    greeting.write_all(&[HELLO]).await.map_err(|e| write_error(&e))
}

/// Counts a handshake as long as it lives.
struct Handshake(Arc<AtomicUsize>);

impl Handshake {
    fn begin(count: &Arc<AtomicUsize>) -> Handshake {
        count.fetch_add(1, Ordering::Relaxed);
        Handshake(count.clone())
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The node that the other side's certificate names.
fn proven(connection: &Connection) -> Option<BrokerId> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    node_id(identity.first()?)
}

fn stream(send: SendStream, recv: RecvStream, max_frame_bytes: usize) -> Stream {
    let send = QuicSend { stream: send, max_frame_bytes, inside_frame: false };
    let recv = QuicRecv {
        stream: recv,
        inbox: Inbox::new(max_frame_bytes),
        pieces: vec![Bytes::new(); PIECES_PER_READ],
        ended: false,
    };
    Stream { send: Box::new(send), recv: Box::new(recv) }
}

struct QuicSend {
    stream: SendStream,
    max_frame_bytes: usize,
    /// A frame was begun and not finished (the caller gave up): nothing sensible can follow.
    inside_frame: bool,
}

impl FrameSend for QuicSend {
    fn send<'a>(&'a mut self, chunks: &'a [Bytes]) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move {
            if self.inside_frame {
                return Err(TransportError::Closed("a frame was given up half-way".to_owned()));
            }
            let len = frame_len(chunks, self.max_frame_bytes)?;
            let mut pieces = Vec::with_capacity(chunks.len() + 1);
            pieces.push(Bytes::copy_from_slice(&len.to_be_bytes()));
            pieces.extend(chunks.iter().filter(|chunk| !chunk.is_empty()).cloned());
            self.inside_frame = true;
            self.stream.write_all_chunks(&mut pieces).await.map_err(|e| write_error(&e))?;
            self.inside_frame = false;
            Ok(())
        })
    }
}

impl Drop for QuicSend {
    fn drop(&mut self) {
        if self.inside_frame {
            let _ = self.stream.reset(REFUSED);
        }
    }
}

const PIECES_PER_READ: usize = 32;

struct QuicRecv {
    stream: RecvStream,
    inbox: Inbox,
    pieces: Vec<Bytes>,
    ended: bool,
}

impl FrameRecv for QuicRecv {
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
                match self.stream.read_chunks(&mut self.pieces).await.map_err(|e| read_error(&e))? {
                    Some(n) => {
                        for piece in &mut self.pieces[..n] {
                            self.inbox.push(std::mem::take(piece));
                        }
                    }
                    None if self.inbox.is_between_frames() => self.ended = true,
                    None => return Err(TransportError::Closed("inside a frame".to_owned())),
                }
            }
        })
    }
}

fn unreachable(peer: &Peer, reason: String) -> TransportError {
    TransportError::Unreachable { peer: peer.id, address: peer.address.clone(), reason }
}

fn closed(error: &ConnectionError) -> TransportError {
    match certificate_refused(error) {
        Some(reason) => TransportError::Certificate(reason),
        None => TransportError::Closed(error.to_string()),
    }
}

fn write_error(error: &WriteError) -> TransportError {
    match error {
        WriteError::ConnectionLost(error) => closed(error),
        error => TransportError::Closed(error.to_string()),
    }
}

fn read_error(error: &ReadError) -> TransportError {
    match error {
        ReadError::ConnectionLost(error) => closed(error),
        error => TransportError::Closed(error.to_string()),
    }
}

/// A TLS alert of either side (RFC 9001 section 4.8), apart from "no application protocol".
fn certificate_refused(error: &ConnectionError) -> Option<String> {
    let code = match error {
        ConnectionError::TransportError(error) => u64::from(error.code),
        ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
        _ => return None,
    };
    ((0x100..0x200).contains(&code) && code != 0x100 + 120).then(|| error.to_string())
}

#[cfg(test)]
#[path = "quic_tests.rs"]
mod tests;
