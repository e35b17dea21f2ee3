//! An accept loop: counts connections, shakes hands, and starts one task per connection.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::connection::{self, Ended, Reader, Shared, Writer};
use super::frame::FrameError;
use super::pace::Pace;
use super::{Caps, ListenerSpec, ServerLimits};
use crate::api::{Client, Service};
use crate::env::{Env, timeout};
use crate::security::Principal;

/// After a failure of `accept` (no file descriptors left, mostly) it is tried again so much later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn bind(env: &Env, spec: &ListenerSpec) -> io::Result<TcpListener> {
    if spec.host.is_empty() {
        return env.net.listen(SocketAddr::from(([0, 0, 0, 0], spec.port)));
    }
    let host = if spec.host.contains(':') { format!("[{}]", spec.host) } else { spec.host.clone() };
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in env.net.resolve(format!("{host}:{}", spec.port)).await? {
        match env.net.listen(address) {
            Ok(listener) => return Ok(listener),
            Err(e) => failure = e,
        }
    }
    Err(failure)
}

/// How many connections there are, and from where.
pub(super) struct Census {
    caps: ArcSwap<Caps>,
    next_id: AtomicU64,
    counts: Mutex<(usize, HashMap<IpAddr, usize>)>,
    /// Of all listeners.
    pace: Mutex<Pace>,
    most_half_open: usize,
    half_open: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// One connection's place in the census; left when dropped.
pub(super) struct Place {
    census: Arc<Census>,
    from: IpAddr,
}

impl Census {
    pub fn new(limits: &ServerLimits, caps: Caps) -> Census {
        Census {
            caps: ArcSwap::from_pointee(caps),
            next_id: AtomicU64::new(1),
            counts: Mutex::default(),
            pace: Mutex::new(Pace::new(limits.connections_per_second)),
            most_half_open: limits.max_half_open,
            half_open: Mutex::default(),
        }
    }

    pub fn set_caps(&self, caps: Caps) {
        self.pace.lock().set_rate(caps.per_second);
        self.caps.store(Arc::new(caps));
    }

    fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let caps = self.caps.load();
        let mut counts = self.counts.lock();
        let (all, by_ip) = &mut *counts;
        let here = by_ip.get(&from).copied().unwrap_or(0);
        if *all >= caps.most || here >= caps.most_per_ip {
            return None;
        }
        *all += 1;
        by_ip.insert(from, here + 1);
        Some(Place { census: self.clone(), from })
    }
}

/// A connection that has not proved who it is, in the census; left when dropped.
pub(super) struct HalfOpen {
    census: Arc<Census>,
    from: IpAddr,
}

impl Census {
    /// Counts a connection that is to prove who it is. One address takes at most a quarter of what there is for all, so
    /// that it cannot keep the others out.
    fn begin_handshake(self: &Arc<Self>, from: IpAddr) -> Option<HalfOpen> {
        let mut half_open = self.half_open.lock();
        let (all, by_ip) = &mut *half_open;
        let here = by_ip.get(&from).copied().unwrap_or(0);
        if *all >= self.most_half_open || here >= self.most_half_open.div_ceil(4) {
            return None;
        }
        *all += 1;
        by_ip.insert(from, here + 1);
        Some(HalfOpen { census: self.clone(), from })
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        leave(&mut self.census.half_open.lock(), self.from);
    }
}

/// One connection less.
fn leave((all, by_ip): &mut (usize, HashMap<IpAddr, usize>), from: IpAddr) {
    *all -= 1;
    if let Some(here) = by_ip.get_mut(&from) {
        *here -= 1;
        if *here == 0 {
            by_ip.remove(&from);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        leave(&mut self.census.counts.lock(), self.from);
    }
}

/// Accepts until the server stops, then waits for the connections to end. Dropped, it cuts them.
pub(super) async fn accept<S: Service>(
    shared: Arc<Shared<S>>,
    census: Arc<Census>,
    spec: ListenerSpec,
    listener: TcpListener,
) {
    let name: Arc<str> = spec.name.as_str().into();
    let mut pace = Pace::new(spec.connections_per_second);
    let mut connections = JoinSet::new();
    let mut stop = shared.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.wait_for(|stopping| *stopping) => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!("listener {name} cannot accept: {e}");
                shared.clock.sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Above the rate the others wait in the system's queue.
        let now = shared.clock.now();
        let own = census.caps.load().listeners.get(&spec.name).copied();
        let (most, per_second) = own.unwrap_or((spec.max_connections, spec.connections_per_second));
        pace.set_rate(per_second);
        let wait = pace.take(now).max(census.pace.lock().take(now));
        if wait > Duration::ZERO {
            shared.clock.sleep(wait).await;
        }
        while connections.try_join_next().is_some() {}
        if connections.len() >= most {
            shared.stats.turned_away.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let place =
            Some(address.ip()).filter(|ip| shared.service.admits(*ip)).and_then(|ip| census.enter(ip));
        let Some(place) = place else {
            shared.stats.turned_away.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let half_open = if spec.tls.is_some() || spec.sasl {
            let Some(half_open) = census.begin_handshake(address.ip()) else {
                shared.stats.turned_away.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            Some(half_open)
        } else {
            None
        };
        shared.stats.accepted.fetch_add(1, Ordering::Relaxed);
        let client = Client {
            connection: census.next_id.fetch_add(1, Ordering::Relaxed),
            listener: name.clone(),
            address,
            principal: Principal::anonymous(),
            software: Arc::default(),
            takes_files: spec.tls.is_none(),
        };
        let (shared, spec) = (shared.clone(), spec.clone());
        connections.spawn(async move {
            let _place = place;
            handle(&shared, &spec, stream, client, half_open).await;
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn handle<S: Service>(
    shared: &Shared<S>,
    spec: &ListenerSpec,
    stream: TcpStream,
    client: Client,
    half_open: Option<HalfOpen>,
) {
    let (listener, address) = (client.listener.clone(), client.address);
    match converse(shared, spec, stream, client, half_open).await {
        Ok(()) | Err(Ended::Frame(FrameError::Idle(_) | FrameError::Closed)) => {}
        Err(ended @ (Ended::Frame(FrameError::Io(_) | FrameError::Torn) | Ended::Write(_))) => {
            tracing::debug!("connection of {address} on {listener} broke: {ended}");
        }
        Err(ended) => {
            shared.stats.refused.fetch_add(1, Ordering::Relaxed);
            tracing::info!("connection of {address} on {listener} closed: {ended}");
        }
    }
}

async fn converse<S: Service>(
    shared: &Shared<S>,
    spec: &ListenerSpec,
    stream: TcpStream,
    mut client: Client,
    mut half_open: Option<HalfOpen>,
) -> Result<(), Ended> {
    // Answers are written whole: waiting for more would only delay them.
    stream.set_nodelay(true).map_err(FrameError::Io)?;
    let (reader, writer): (Reader, Writer) = match &spec.tls {
        None => {
            let (reader, writer) = stream.into_split();
            (Box::new(reader), Writer::Plain(writer))
        }
        Some(tls) => {
            let limit = shared.limits.receive_deadline;
            let stream = timeout(&*shared.clock, limit, tls.acceptor().accept(stream))
                .await
                .map_err(|_| FrameError::TooSlow(limit))?
                .map_err(Ended::Handshake)?;
            client.principal = tls.principal(stream.get_ref().1).map_err(|name| {
                Ended::Refused(format!(
                    "no rule of ssl.principal.mapping.rules takes the certificate {name:?}"
                ))
            })?;
            if !spec.sasl {
                // Whoever has shown a certificate, or needs none, is through.
                half_open = None;
            }
            let (reader, writer) = tokio::io::split(stream);
            (Box::new(reader), Writer::Sealed(Box::new(writer)))
        }
    };
    connection::serve(shared, reader, writer, client, spec.sasl, half_open).await
}
