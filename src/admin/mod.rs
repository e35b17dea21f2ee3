//! HTTP, off the hot path: health, metrics, the REST API and the console.
//!
//! | file | what |
//! |---|---|
//! | `listener` | addresses, TLS, bounds: connections, idle time |
//! | `access` | who asks, and whether they may: the users and ACLs of the Kafka listeners |
//! | `health` | `/livez`, `/readyz` |
//! | `login` | the form, the cookie |
//! | `rest`, `browse`, `openapi.json` | the REST API |
//! | `pages` | the console: one page, drawn by its own script from the REST API |
//! | `otlp` | the registry, spans and log lines, pushed to a collector |
//! | `prometheus`, `jmx_names` | the registry as Prometheus text, under our names and under those of Kafka's JMX exporter |
//!
//! It serves from before the broker starts until after it has stopped, so that whoever starts brokers can always ask.

mod access;
mod browse;
mod health;
mod jmx_names;
mod listener;
mod login;
mod otlp;
mod pages;
mod prometheus;
mod rest;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use self::access::Doorkeeper;
use self::listener::{Doors, Visitor};
pub use self::otlp::{CollectorError, Exporter};
use crate::broker::Broker;
use crate::broker::config::AdminListener;
use crate::env::Env;
use crate::env::metrics::Family;
use crate::security::tls::ListenerTls;

/// What every handler knows.
#[derive(Clone)]
pub(crate) struct State {
    env: Env,
    /// Once it has started.
    broker: Arc<OnceLock<Arc<Broker>>>,
    doorkeeper: Arc<Doorkeeper>,
}

impl State {
    fn broker(&self) -> Option<&Arc<Broker>> {
        self.broker.get()
    }

    /// What is counted and true now.
    async fn families(&self) -> Vec<Family> {
        match self.broker() {
            Some(broker) => broker.metrics().await,
            None => self.env.metrics.snapshot(),
        }
    }
}

/// Listeners that are bound.
pub struct Bound {
    env: Env,
    listeners: Vec<(AdminListener, tokio::net::TcpListener)>,
    tls: Option<Arc<ListenerTls>>,
}

/// Binds the listeners; `tls` is for those that speak HTTPS.
///
/// # Errors
/// Names the listener whose address cannot be resolved or bound, or that lacks a certificate.
pub async fn bind(
    env: &Env,
    listeners: &[AdminListener],
    tls: Option<Arc<ListenerTls>>,
) -> io::Result<Bound> {
    let mut bound = Vec::new();
    for listener in listeners {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("admin.listeners: {listener}: {e}"));
        if listener.tls && tls.is_none() {
            return Err(named(io::Error::new(io::ErrorKind::InvalidInput, "no certificate")));
        }
        bound.push((listener.clone(), listener::bind(env, listener).await.map_err(named)?));
    }
    Ok(Bound { env: env.clone(), listeners: bound, tls })
}

impl Bound {
    /// The bound addresses, as URLs.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn urls(&self) -> io::Result<Vec<String>> {
        let url = |(spec, listener): &(AdminListener, tokio::net::TcpListener)| {
            let address: SocketAddr = listener.local_addr()?;
            Ok(format!("{}://{address}", if spec.tls { "https" } else { "http" }))
        };
        self.listeners.iter().map(url).collect()
    }

    /// Begins to serve; without a broker yet.
    #[must_use]
    pub fn serve(self, doorkeeper: Doorkeeper) -> Admin {
        let broker = Arc::new(OnceLock::new());
        let state = State { env: self.env.clone(), broker: broker.clone(), doorkeeper: Arc::new(doorkeeper) };
        let app = router(state);
        let stop = watch::Sender::new(false);
        let mut serving = JoinSet::new();
        for (spec, listener) in self.listeners {
            let tls = self.tls.clone().filter(|_| spec.tls);
            let doors = Doors::open(&self.env, &spec, listener, tls);
            let app = app.clone().into_make_service_with_connect_info::<Visitor>();
            let mut stopping = stop.subscribe();
            serving.spawn(async move {
                let served = axum::serve(doors, app);
                tokio::select! {
                    // It ends only with its listener.
                    _ = async move { served.await } => {}
                    _ = stopping.wait_for(|stopping| *stopping) => {}
                }
            });
        }
        Admin { broker, stop, serving }
    }
}

/// Listeners that serve; they end when this is dropped.
pub struct Admin {
    broker: Arc<OnceLock<Arc<Broker>>>,
    stop: watch::Sender<bool>,
    serving: JoinSet<()>,
}

impl Admin {
    /// The broker has started.
    pub fn broker_started(&self, broker: Arc<Broker>) {
        // It starts once.
        let _ = self.broker.set(broker);
    }

    /// Ends the listeners.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while self.serving.join_next().await.is_some() {}
    }
}

fn router(state: State) -> Router {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(prometheus::metrics))
        .route("/metrics/kafka", get(prometheus::kafka_names))
        .route("/", get(pages::console))
        .route("/assets/{name}", get(pages::asset))
        .nest("/api/v1", api())
        .route("/login", get(login::form).post(login::log_in))
        .route("/logout", post(login::log_out))
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(state.clone(), access::guard))
        .layer(DefaultBodyLimit::max(1 << 20))
        .layer(middleware::from_fn(hygiene))
        .with_state(state)
}

/// What `openapi.json` documents.
fn api() -> Router<State> {
    Router::new()
        .route("/openapi.json", get(rest::openapi))
        .route("/session", get(rest::session))
        .route("/cluster", get(rest::cluster))
        .route("/topics", get(rest::topics).post(rest::create_topic))
        .route("/topics/{name}", get(rest::topic).delete(rest::delete_topic))
        .route("/topics/{name}/partitions/{partition}/records", get(browse::records))
        .route("/groups", get(rest::groups))
        .route("/metrics", get(rest::numbers))
}

async fn not_found() -> Response {
    (axum::http::StatusCode::NOT_FOUND, "There is nothing here.\n").into_response()
}

/// What every answer says to browsers: nothing from elsewhere, in no frame, kept nowhere.
async fn hygiene(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
