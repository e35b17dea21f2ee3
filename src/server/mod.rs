//! Client listeners: accept loops, connections, admission and back-pressure.
//!
//! It knows frames, not what is in them: a [`Service`] answers them. Ports are bound first, so that the broker can tell
//! the cluster where it listens; serving begins when it is ready.

#[cfg(test)]
mod access_tests;
#[cfg(test)]
mod broker_tests;
mod budget;
mod connection;
mod frame;
mod listener;
mod pace;
#[cfg(test)]
mod quota_tests;
#[cfg(test)]
mod tests;
mod times;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::budget::Budget;
use self::connection::Shared;
use self::times::Times;
use crate::api::Service;
use crate::broker::config::BrokerConfig;
use crate::env::{Env, metrics, timeout};
use crate::security::tls::ListenerTls;

/// What a listener is.
#[derive(Clone)]
pub struct ListenerSpec {
    /// Its name.
    pub name: String,
    /// The host it binds; empty for all addresses.
    pub host: String,
    /// The port it binds; 0 for any.
    pub port: u16,
    /// The certificate, for SSL and SASL_SSL.
    pub tls: Option<Arc<ListenerTls>>,
    /// Whether clients must authenticate by SASL.
    pub sasl: bool,
    /// `listener.name.<name>.max.connections`.
    pub max_connections: usize,
    /// `listener.name.<name>.max.connection.creation.rate`: connections a second; more wait to be accepted.
    pub connections_per_second: u32,
}

/// What clients may take of the broker.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// `socket.request.max.bytes`.
    pub max_request_bytes: usize,
    /// `queued.max.request.bytes`.
    pub max_queued_bytes: usize,
    /// `queued.max.response.bytes`: of answers but fetched ones, which have a budget of the same size.
    pub max_answer_bytes: usize,
    /// `connections.max.idle.ms`.
    pub idle: Duration,
    /// `socket.receive.deadline.ms`: a frame is whole so long after its first byte; a TLS handshake is over.
    pub receive_deadline: Duration,
    /// A client must take some bytes of an answer within this time.
    pub send_deadline: Duration,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: usize,
    /// `max.half.open.connections`.
    pub max_half_open: usize,
    /// `max.connection.creation.rate`: connections a second on all listeners; more wait to be accepted.
    pub connections_per_second: u32,
}

impl ServerLimits {
    /// As a broker's properties set them.
    #[must_use]
    pub fn of(config: &BrokerConfig) -> ServerLimits {
        ServerLimits {
            max_request_bytes: config.size("socket.request.max.bytes"),
            max_queued_bytes: config.size("queued.max.request.bytes"),
            max_answer_bytes: config.size("queued.max.response.bytes"),
            idle: config.millis("connections.max.idle.ms"),
            receive_deadline: config.millis("socket.receive.deadline.ms"),
            send_deadline: config.millis("socket.send.deadline.ms"),
            max_connections: config.size("max.connections"),
            max_connections_per_ip: config.size("max.connections.per.ip"),
            max_half_open: config.size("max.half.open.connections"),
            connections_per_second: u32::try_from(config.number("max.connection.creation.rate")).unwrap_or(1),
        }
    }
}

impl Default for ServerLimits {
    fn default() -> ServerLimits {
        ServerLimits {
            max_request_bytes: 100 << 20,
            max_queued_bytes: 256 << 20,
            max_answer_bytes: 256 << 20,
            idle: Duration::from_secs(600),
            receive_deadline: Duration::from_secs(30),
            send_deadline: Duration::from_secs(30),
            max_connections: 10_000,
            max_connections_per_ip: 5_000,
            max_half_open: 1_000,
            connections_per_second: 1_000,
        }
    }
}

/// What of the limits can change while the listeners serve: how many connections there may be, and how fast they come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// `max.connections`.
    pub most: usize,
    /// `max.connections.per.ip`.
    pub most_per_ip: usize,
    /// `max.connection.creation.rate`.
    pub per_second: u32,
    /// The same two of each listener, by its name.
    pub listeners: BTreeMap<String, (usize, u32)>,
}

impl Caps {
    /// As a broker's properties set them.
    #[must_use]
    pub fn of(config: &BrokerConfig) -> Caps {
        let limits = ServerLimits::of(config);
        let of_listener = |name: &str| {
            let rate = config.listener_number(name, "max.connection.creation.rate");
            (config.listener_number(name, "max.connections"), u32::try_from(rate).unwrap_or(u32::MAX))
        };
        let listeners = config.listeners.iter().map(|l| (l.name.clone(), of_listener(&l.name)));
        Caps { listeners: listeners.collect(), ..Caps::new(&limits, &[]) }
    }

    fn new(limits: &ServerLimits, specs: &[(ListenerSpec, TcpListener)]) -> Caps {
        let of = |(spec, _): &(ListenerSpec, TcpListener)| {
            (spec.name.clone(), (spec.max_connections, spec.connections_per_second))
        };
        Caps {
            most: limits.max_connections,
            most_per_ip: limits.max_connections_per_ip,
            per_second: limits.connections_per_second,
            listeners: specs.iter().map(of).collect(),
        }
    }
}

/// Changes the caps of listeners that serve.
#[derive(Clone)]
pub struct CapsHandle(Arc<listener::Census>);

impl CapsHandle {
    /// From the next connection on; those that are open stay.
    pub fn set(&self, caps: Caps) {
        self.0.set_caps(caps);
    }
}

/// Counters of the listeners, since start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections turned away at once because there were too many.
    pub turned_away: AtomicU64,
    /// Connections closed for what they sent, or did not take in time.
    pub refused: AtomicU64,
    /// Requests read.
    pub requests: AtomicU64,
    /// Bytes of answers written.
    pub bytes_out: AtomicU64,
}

/// Listeners that are bound and do not serve yet.
pub struct Bound {
    env: Env,
    limits: ServerLimits,
    listeners: Vec<(ListenerSpec, TcpListener)>,
}

/// Binds all listeners.
///
/// # Errors
/// Names the listener whose address cannot be resolved or bound.
pub async fn bind(env: &Env, limits: ServerLimits, specs: Vec<ListenerSpec>) -> io::Result<Bound> {
    let mut listeners = Vec::new();
    for spec in specs {
        let listener = listener::bind(env, &spec).await.map_err(|e| {
            io::Error::new(e.kind(), format!("listener {}://{}:{}: {e}", spec.name, spec.host, spec.port))
        })?;
        listeners.push((spec, listener));
    }
    Ok(Bound { env: env.clone(), limits, listeners })
}

impl Bound {
    /// Name and bound address of each listener, in the order of the specs.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn addresses(&self) -> io::Result<Vec<(String, SocketAddr)>> {
        self.listeners
            .iter()
            .map(|(spec, listener)| Ok((spec.name.clone(), listener.local_addr()?)))
            .collect()
    }

    /// Begins to accept.
    #[must_use]
    pub fn serve<S: Service>(self, service: Arc<S>) -> Server {
        let (stop, stopping) = watch::channel(false);
        let stats = Arc::new(Stats::default());
        let shared = Arc::new(Shared {
            service,
            clock: self.env.clock.clone(),
            limits: self.limits,
            budget: Budget::new(self.limits.max_queued_bytes),
            answers: Budget::new(self.limits.max_answer_bytes),
            times: Arc::new(Times::new(self.env.metrics.clone())),
            env: self.env.clone(),
            stats: stats.clone(),
            stop: stopping,
        });
        tell_metrics(&self.env, &shared);
        let caps = Caps::new(&self.limits, &self.listeners);
        let census = Arc::new(listener::Census::new(&self.limits, caps));
        let caps = CapsHandle(census.clone());
        let mut accepting = JoinSet::new();
        for (spec, listener) in self.listeners {
            accepting.spawn(listener::accept(shared.clone(), census.clone(), spec, listener));
        }
        Server { env: self.env, stop, stats, caps, accepting }
    }
}

/// Has the registry ask the listeners, as long as they are there.
fn tell_metrics<S: Service>(env: &Env, shared: &Arc<Shared<S>>) {
    let shared = Arc::downgrade(shared);
    env.metrics.collect_from(move |out| {
        let Some(shared) = shared.upgrade() else { return };
        let stats = &shared.stats;
        for (metric, count) in [
            (metrics::CONNECTIONS_ACCEPTED, &stats.accepted),
            (metrics::CONNECTIONS_TURNED_AWAY, &stats.turned_away),
            (metrics::CONNECTIONS_REFUSED, &stats.refused),
            (metrics::REQUESTS, &stats.requests),
            (metrics::SENT_BYTES, &stats.bytes_out),
        ] {
            out.count(metric, &[], count.load(Ordering::Relaxed));
        }
        for (name, budget, limit) in [
            ("requests", &shared.budget, shared.limits.max_queued_bytes),
            ("answers", &shared.answers, shared.limits.max_answer_bytes),
        ] {
            out.level(metrics::BUDGET_LIMIT, &[name], limit as f64);
            out.level(metrics::BUDGET_USED, &[name], limit.saturating_sub(budget.free()) as f64);
        }
    });
}

/// Listeners that serve.
pub struct Server {
    env: Env,
    stop: watch::Sender<bool>,
    stats: Arc<Stats>,
    caps: CapsHandle,
    accepting: JoinSet<()>,
}

impl Server {
    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// What changes the caps while it serves.
    #[must_use]
    pub fn caps(&self) -> CapsHandle {
        self.caps.clone()
    }

    /// Stops to accept and to read; answers in flight go out, then all connections end, at the latest after `grace`.
    pub async fn shutdown(mut self, grace: Duration) {
        self.stop.send_replace(true);
        let clock = self.env.clock.clone();
        let ended =
            timeout(&*clock, grace, async { while self.accepting.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("client connections did not end within {grace:?} and are cut");
        }
    }
}
