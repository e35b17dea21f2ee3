//! What a broker stands on. `esker server` starts it on [`Seams::real`]; a simulation exchanges these and nothing else, and
//! calls the same [`Broker::start`](super::Broker::start).

use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use tiering::store::{RemoteOptions, RemoteStore, SharedStore, StoreError, StoreLocation};

use super::StartError;
use super::config::{BrokerConfig, PeerTransport};
use crate::env::Env;
use crate::transport::{PeerTls, PeerTlsError, SharedTransport, quic, tcp};

/// Everything by which a broker reaches out of its own memory.
#[derive(Clone)]
pub struct Seams {
    /// Time, randomness, disk, sockets, threads.
    pub env: Env,
    /// The network between brokers.
    pub peers: Arc<dyn PeerNetwork>,
    /// Object stores.
    pub stores: Arc<dyn ObjectStores>,
}

impl Seams {
    /// What the machine has: these seams of `env`, QUIC or TCP between brokers, stores by their URLs.
    #[must_use]
    pub fn real(env: Env) -> Seams {
        Seams { env, peers: Arc::new(RealPeers), stores: Arc::new(RealStores) }
    }
}

/// The seam to the network between brokers.
pub trait PeerNetwork: Send + Sync + 'static {
    /// Takes the place that the configuration names.
    ///
    /// # Errors
    /// `StartError::Peer` when the listener or its certificates cannot be used.
    fn bind<'a>(
        &'a self,
        env: &'a Env,
        config: &'a BrokerConfig,
    ) -> BoxFuture<'a, Result<SharedTransport, StartError>>;
}

/// The seam to object stores.
pub trait ObjectStores: Send + Sync + 'static {
    /// The store at a URL; requests are not tried again, that is done above it.
    ///
    /// # Errors
    /// What makes it unusable.
    fn open(&self, location: &StoreLocation, options: &RemoteOptions) -> Result<SharedStore, StoreError>;
}

struct RealStores;

impl ObjectStores for RealStores {
    fn open(&self, location: &StoreLocation, options: &RemoteOptions) -> Result<SharedStore, StoreError> {
        Ok(Arc::new(RemoteStore::open(location, options)?))
    }
}

struct RealPeers;

impl PeerNetwork for RealPeers {
    fn bind<'a>(
        &'a self,
        env: &'a Env,
        config: &'a BrokerConfig,
    ) -> BoxFuture<'a, Result<SharedTransport, StartError>> {
        Box::pin(bind_transport(env, config))
    }
}

async fn bind_transport(env: &Env, config: &BrokerConfig) -> Result<SharedTransport, StartError> {
    let peer = |e: &dyn std::fmt::Display| StartError::Peer(e.to_string());
    let unresolved = |what: &dyn std::fmt::Display| {
        StartError::Peer(format!("peer.listener {} cannot be bound: {what}", config.peer_listener))
    };
    let found = env.net.resolve(config.peer_listener.clone()).await.map_err(|e| unresolved(&e))?;
    let address: SocketAddr = *found.first().ok_or_else(|| unresolved(&"the host has no address"))?;
    let tls = peer_tls(env, config).map_err(|e| peer(&e))?;
    // A peer's connection is given up when its replicas are, and so early that a heartbeat still has time for another one.
    let session =
        config.millis("replica.session.timeout.ms").min(config.millis("broker.session.timeout.ms") * 2 / 3);
    let transport: SharedTransport = match config.peer_transport {
        PeerTransport::Quic => {
            let quic = quic::QuicConfig::new(address).with_session(session);
            quic::QuicTransport::bind(env, quic, &tls).map_err(|e| peer(&e))?
        }
        PeerTransport::Tcp => {
            let tcp = tcp::TcpConfig::new(address).with_session(session);
            tcp::TcpTransport::bind(env, tcp, &tls).map_err(|e| peer(&e))?
        }
    };
    Ok(transport)
}

/// The certificates that the configuration names; a lone broker needs none.
pub(super) fn peer_tls(env: &Env, config: &BrokerConfig) -> Result<PeerTls, PeerTlsError> {
    match &config.peer_tls {
        Some([ca, certificate, key]) => PeerTls::load(env, config.node_id, ca, certificate, key),
        None => PeerTls::alone(env, config.node_id),
    }
}
