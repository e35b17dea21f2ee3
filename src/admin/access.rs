//! Who asks, and whether they may: the users of the SASL listeners by HTTP Basic or a login, and the cluster's ACLs.
//!
//! - `/livez` and `/readyz` need no login anywhere.
//! - A listener without TLS that is open to the network tells nothing else, but for `/metrics` if `admin.metrics.anonymous`
//!   allows it: passwords would be read on the way.
//! - On the loopback interface of a broker without security everybody may do everything, as on its Kafka listeners. Then
//!   requests must name a host that a foreign page cannot take (DNS rebinding).
//! - A request that changes something carries the header `x-esker-csrf`: with a login the token that belongs to it. No foreign
//!   page can set it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{self, ConnectInfo, Request};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::State;
use super::listener::Visitor;
use crate::broker::Broker;
use crate::broker::config::BrokerConfig;
use crate::env::{BlockingPool, Env, MonoTime, Rng};
use crate::metadata::{AclOperation, CLUSTER_NAME, Image, ResourceKind, ScramCredential};
use crate::security::audit::{self, Audit, Event};
use crate::security::authorizer::Asking;
use crate::security::sasl::{Mechanism, SaslServer, SaslStep};
use crate::security::{Authorizer, Principal};

/// How long a login holds without a request.
const SESSION: Duration = Duration::from_secs(8 * 60 * 60);
/// Logins that are kept; above it the oldest ends.
const SESSIONS: usize = 1000;
/// Passwords that were right a moment ago and need no salting again.
const REMEMBERED: usize = 256;
/// Passwords that may wait to be checked: each costs milliseconds.
const WAITING: usize = 16;
/// The listener's name in the audit log.
const LISTENER: &str = "admin";
/// The cookie of a login.
pub(super) const COOKIE: &str = "esker_session";
/// The header of a request that changes something.
pub(super) const CSRF: &str = "x-esker-csrf";

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// As whom.
    pub principal: Principal,
    /// From where.
    pub address: SocketAddr,
    /// The token of the login; without one, requests come with a password or need none.
    pub csrf: Option<String>,
}

struct Login {
    principal: Principal,
    csrf: String,
    last_seen: MonoTime,
}

/// Lets in who may.
pub struct Doorkeeper {
    sasl: SaslServer,
    rng: Arc<dyn Rng>,
    threads: BlockingPool,
    waiting: Semaphore,
    authorizer: Option<Authorizer>,
    audit: Audit,
    /// Kafka clients must say who they are.
    is_secured: bool,
    metrics_for_all: bool,
    failure_delay: Duration,
    sessions: Mutex<HashMap<String, Login>>,
    /// By the digest of the header: the user, and the credential that it was checked against.
    right: Mutex<HashMap<[u8; 32], (String, ScramCredential)>>,
}

impl Doorkeeper {
    /// As the configuration says; with the authorizer that the Kafka listeners use.
    #[must_use]
    pub fn new(env: &Env, config: &BrokerConfig, authorizer: Option<Authorizer>) -> Doorkeeper {
        Doorkeeper {
            sasl: SaslServer::new(env.rng.clone(), None),
            rng: env.rng.clone(),
            threads: env.threads.pool("passwords", 1),
            waiting: Semaphore::new(WAITING),
            is_secured: authorizer.is_some() || config.listeners.iter().any(|l| l.protocol.is_sasl()),
            authorizer,
            audit: Audit::new(env.clock.clone()),
            metrics_for_all: config.is_on("admin.metrics.anonymous"),
            failure_delay: config.millis("connection.failed.authentication.delay.ms"),
            sessions: Mutex::default(),
            right: Mutex::default(),
        }
    }

    /// Whether somebody may do something with the resource of that name.
    #[must_use]
    pub fn may(
        &self,
        image: &Image,
        caller: &Caller,
        operation: AclOperation,
        kind: ResourceKind,
        name: &str,
    ) -> bool {
        let Some(authorizer) = &self.authorizer else { return true };
        let asking = Asking { principal: &caller.principal, host: caller.address.ip() };
        authorizer.decide(image, asking, operation, kind, name).allowed
    }

    /// Tells the audit log of a change that the caller has asked for.
    pub(super) fn changed<E: std::fmt::Display>(
        &self,
        caller: &Caller,
        api: &str,
        what: &str,
        error: Option<&E>,
    ) {
        let client =
            audit::Caller { principal: &caller.principal, address: caller.address, listener: LISTENER };
        let error = error.map(ToString::to_string);
        self.audit.tell(&Event::Changed { client: &client, api, what, error: error.as_deref() });
    }

    /// Whether everybody on this listener may do everything.
    pub(super) fn is_open_to(&self, visitor: &Visitor) -> bool {
        !self.is_secured && visitor.is_local
    }

    /// Begins a login and returns its id; `None` for a wrong password.
    pub(super) async fn log_in(
        &self,
        broker: &Arc<Broker>,
        address: SocketAddr,
        user: &str,
        password: &str,
    ) -> Option<String> {
        let principal = self.check(broker, address, user, password).await?;
        let client = audit::Caller { principal: &principal, address, listener: LISTENER };
        self.audit.tell(&Event::Authenticated { client: &client, mechanism: "console" });
        let now = broker.env().clock.now();
        let (id, csrf) = (self.draw(), self.draw());
        let mut sessions = self.sessions.lock();
        sessions.retain(|_, login| now.since(login.last_seen) < SESSION);
        if sessions.len() >= SESSIONS
            && let Some(oldest) =
                sessions.iter().min_by_key(|(_, login)| login.last_seen).map(|(id, _)| id.clone())
        {
            sessions.remove(&oldest);
        }
        sessions.insert(id.clone(), Login { principal, csrf, last_seen: now });
        Some(id)
    }

    /// Ends the login of these headers.
    pub(super) fn log_out(&self, headers: &HeaderMap) {
        if let Some(id) = cookie(headers) {
            self.sessions.lock().remove(id);
        }
    }

    fn draw(&self) -> String {
        let mut bytes = [0; 32];
        self.rng.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Checks a password against the user's salted credential; a wrong one costs time.
    async fn check(
        &self,
        broker: &Arc<Broker>,
        address: SocketAddr,
        user: &str,
        password: &str,
    ) -> Option<Principal> {
        let _place = self.waiting.try_acquire().ok()?;
        let mut session = self.sasl.session(Mechanism::Plain);
        let (image, token) = (broker.image(), format!("\0{user}\0{password}"));
        let stepped = self.threads.run(move || session.step(&image, token.as_bytes())).await;
        match stepped {
            Ok(SaslStep::Done(principal, _)) => Some(principal),
            _ => {
                let why = format!("user {user:?} gave no valid password");
                self.audit.tell(&Event::AuthenticationFailed { address, listener: LISTENER, why: &why });
                broker.env().clock.sleep(self.failure_delay).await;
                None
            }
        }
    }

    /// Whose password the Authorization header has.
    async fn basic(
        &self,
        broker: &Arc<Broker>,
        address: SocketAddr,
        headers: &HeaderMap,
    ) -> Option<Principal> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        let known: [u8; 32] = digest(&SHA256, value.as_bytes()).as_ref().try_into().ok()?;
        let image = broker.image();
        let credential = image.users.get(user).and_then(|all| all.values().next());
        let was_right = self
            .right
            .lock()
            .get(&known)
            .is_some_and(|(name, before)| name == user && Some(before) == credential);
        if was_right {
            return Some(Principal::user(user));
        }
        let principal = self.check(broker, address, user, password).await?;
        if let Some(credential) = credential {
            let mut right = self.right.lock();
            if right.len() >= REMEMBERED {
                right.clear();
            }
            right.insert(known, (user.to_owned(), credential.clone()));
        }
        Some(principal)
    }

    fn session(&self, now: MonoTime, headers: &HeaderMap) -> Option<(Principal, String)> {
        let mut sessions = self.sessions.lock();
        let login = sessions.get_mut(cookie(headers)?)?;
        if now.since(login.last_seen) >= SESSION {
            return None;
        }
        login.last_seen = now;
        Some((login.principal.clone(), login.csrf.clone()))
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).find_map(|one| one.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Nothing but health goes past it without leave; who has it, is known to the handlers as [`Caller`].
pub(super) async fn guard(
    extract::State(state): extract::State<State>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if matches!(path, "/livez" | "/readyz") {
        return next.run(request).await;
    }
    let keeper = &state.doorkeeper;
    let is_metrics = path == "/metrics" || path.starts_with("/metrics/");
    if is_metrics && keeper.metrics_for_all {
        return next.run(request).await;
    }
    if !visitor.is_private {
        let why = "This listener has no TLS and is open to the network: it tells /livez and /readyz only \
                   (and /metrics with admin.metrics.anonymous=true).\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let headers = request.headers();
    let address = visitor.address;
    let caller = if keeper.is_open_to(&visitor) {
        if !names_this_machine(headers) {
            return (StatusCode::MISDIRECTED_REQUEST, "The Host header must name this machine.\n")
                .into_response();
        }
        Some(Caller { principal: Principal::anonymous(), address, csrf: None })
    } else if let Some((principal, csrf)) = keeper.session(state.env.clock.now(), headers) {
        Some(Caller { principal, address, csrf: Some(csrf) })
    } else if let Some(broker) = state.broker() {
        keeper.basic(broker, address, headers).await.map(|principal| Caller {
            principal,
            address,
            csrf: None,
        })
    } else {
        None
    };
    let is_public = path == "/login" || path.starts_with("/assets/");
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let Some(caller) = caller else {
        return if is_public { next.run(request).await } else { who_are_you(&request) };
    };
    if changes && !is_public && !has_token(headers, caller.csrf.as_deref()) {
        let why = format!("A request that changes something carries the header {CSRF}.\n");
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    if is_metrics
        && let Some(broker) = state.broker()
        && !keeper.may(&broker.image(), &caller, AclOperation::Describe, ResourceKind::Cluster, CLUSTER_NAME)
    {
        return (StatusCode::FORBIDDEN, "DESCRIBE on the cluster is not allowed.\n").into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// A browser is sent to the login, anybody else told to bring a password.
fn who_are_you(request: &Request) -> Response {
    let accept = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if request.method() == Method::GET && accept.contains("text/html") {
        return Redirect::to("/login").into_response();
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"esker\", charset=\"UTF-8\"")];
    (StatusCode::UNAUTHORIZED, challenge, "A user and a password are needed.\n").into_response()
}

fn has_token(headers: &HeaderMap, token: Option<&str>) -> bool {
    let given = headers.get(CSRF).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match token {
        Some(token) => {
            aws_lc_rs::constant_time::verify_slices_are_equal(given.as_bytes(), token.as_bytes()).is_ok()
        }
        None => !given.is_empty(),
    }
}

/// `localhost`, or an address: a page from elsewhere has a name of its own.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|value| value.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_foreign_name_is_not_this_machine() {
        for (host, wanted) in [
            ("localhost:9644", true),
            ("127.0.0.1", true),
            ("[::1]:9644", true),
            ("evil.example:9644", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(names_this_machine(&headers(header::HOST, host)), wanted, "{host}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(cookie(&headers(header::COOKIE, "a=b; esker_session=xyz; c=d")), Some("xyz"));
        assert_eq!(cookie(&headers(header::COOKIE, "esker_sessions=xyz")), None);
    }

    #[test]
    fn a_change_needs_the_logins_own_token() {
        let name = header::HeaderName::from_static(CSRF);
        assert!(has_token(&headers(name.clone(), "t"), Some("t")));
        assert!(!has_token(&headers(name.clone(), "u"), Some("t")));
        assert!(has_token(&headers(name, "anything"), None));
        assert!(!has_token(&HeaderMap::new(), None));
    }
}
