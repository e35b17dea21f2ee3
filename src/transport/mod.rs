//! Broker-to-broker streams: frames over QUIC, or over its TCP+TLS twin, behind one trait.
//!
//! A stream carries frames in both directions. Each end proves its node id by its certificate before the
//! first frame is seen.

mod backoff;
pub mod certs;
#[cfg(test)]
mod conformance;
pub mod frame;
mod identity;
pub mod memory;
pub mod quic;
#[cfg(test)]
mod relay;
pub mod rpc;
pub mod tcp;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

pub use identity::{PeerTls, PeerTlsError};

use crate::types::BrokerId;

/// What a stream is for; the first byte that its opener sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StreamKind {
    /// openraft's RPCs.
    Raft = 1,
    /// Replica sessions.
    Replication = 2,
    /// Reads from a peer's tier cache.
    TierPeer = 3,
    /// Registration, heartbeats, commands to the metadata leader.
    Control = 4,
}

impl StreamKind {
    /// As sent.
    #[must_use]
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// As received.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<StreamKind> {
        [StreamKind::Raft, StreamKind::Replication, StreamKind::TierPeer, StreamKind::Control]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

/// Where a peer listens, as the image tells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The node id that its certificate must name.
    pub id: BrokerId,
    /// `host:port` of its peer listener (UDP for QUIC, TCP for the twin).
    pub address: String,
}

/// Why a stream failed. All of them end the stream.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TransportError {
    /// The peer could not be reached in time.
    #[error("broker {peer} at {address} cannot be reached: {reason}")]
    Unreachable {
        /// The peer's id.
        peer: BrokerId,
        /// Its address.
        address: String,
        /// What the network said.
        reason: String,
    },
    /// The certificate is missing, foreign, or names another node.
    #[error("the peer's certificate was refused: {0}")]
    Certificate(String),
    /// The stream or its connection ended or was reset.
    #[error("the stream ended: {0}")]
    Closed(String),
    /// A frame above the receiver's bound.
    #[error("a frame of {len} bytes is above the bound of {max}")]
    FrameTooLarge {
        /// The announced length.
        len: usize,
        /// The bound.
        max: usize,
    },
}

/// The sending half. Dropping it ends the peer's `recv` with `Ok(None)`.
pub trait FrameSend: Send + 'static {
    /// Sends one frame made of the chunks in order, without copying them together. Returns when the transport has
    /// taken the bytes (back-pressure), not when the peer has.
    fn send<'a>(&'a mut self, chunks: &'a [Bytes]) -> BoxFuture<'a, Result<(), TransportError>>;
}

/// The receiving half.
pub trait FrameRecv: Send + 'static {
    /// The next frame; `None` when the peer has ended its half in order. Memory grows as bytes come, never by the
    /// announced length. Not cancel-safe unless the implementation says so: keep one task per half.
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>>;
}

/// One open stream.
pub struct Stream {
    /// To the peer.
    pub send: Box<dyn FrameSend>,
    /// From the peer.
    pub recv: Box<dyn FrameRecv>,
}

/// A stream that a peer has opened here.
pub struct Incoming {
    /// Who, proven by its certificate.
    pub peer: BrokerId,
    /// What for.
    pub kind: StreamKind,
    /// The stream.
    pub stream: Stream,
}

/// How the way to a peer is: one connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Way {
    /// Who is at its end.
    pub peer: BrokerId,
    /// The round-trip time.
    pub round_trip: Duration,
    /// The congestion window in bytes.
    pub window_bytes: u64,
    /// Packets that were sent.
    pub sent_packets: u64,
    /// Packets that were lost.
    pub lost_packets: u64,
    /// How often it was found congested.
    pub congestion_events: u64,
    /// Bytes of UDP payload sent.
    pub sent_bytes: u64,
    /// Bytes of UDP payload received.
    pub received_bytes: u64,
}

/// The seam: QUIC in production, TCP+TLS where UDP is blocked, memory in the simulator.
pub trait Transport: Send + Sync + 'static {
    /// Opens a stream; connections are made, kept and shared behind it. Streams of different `lane`s may go over
    /// different connections.
    fn open(&self, peer: Peer, kind: StreamKind, lane: u32) -> BoxFuture<'_, Result<Stream, TransportError>>;
    /// The next stream that a peer has opened; `None` after `close`.
    fn accept(&self) -> BoxFuture<'_, Option<Incoming>>;
    /// Uses these certificates for all connections that begin from now on; those that stand go on.
    ///
    /// # Errors
    /// When rustls refuses them; then nothing changes.
    fn reload(&self, tls: &PeerTls) -> Result<(), PeerTlsError>;
    /// How the ways to the peers are, over the connections that stand; empty where the transport cannot tell.
    fn ways(&self) -> Vec<Way> {
        Vec::new()
    }
    /// The port that the listener got.
    fn local_port(&self) -> u16;
    /// Ends all connections and the listener.
    fn close(&self);
}

/// A transport that many share.
pub type SharedTransport = Arc<dyn Transport>;
