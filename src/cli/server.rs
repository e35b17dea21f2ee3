//! `esker server`: one broker in the foreground.
//!
//! It prints `ready` once it serves, and stops in order on SIGTERM or Ctrl-C. With `--with-parent` it also stops when its
//! standard input ends: that is how `esker dev` never leaves a broker behind; and it answers a line `requests` on it with
//! the counters of its cold store. It logs to standard error; `ESKER_LOG` is
//! the filter (`debug`, `info,esker::replication=debug`, …).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::prelude::*;

use super::audit_log::AuditLog;
use super::config;
use super::dev::{READY, REQUESTS, StoreRequests};
use super::otlp_log::OtlpLog;
use crate::admin::{self, Doorkeeper};
use crate::api::Api;
use crate::broker::config::{BrokerConfig, ListenerConfig};
use crate::broker::{Broker, Seams};
use crate::env::{Env, raise_open_files};
use crate::log::keep_open_at_most;
use crate::metadata::Endpoint;
use crate::security::Authorizer;
use crate::security::audit::TARGET;
use crate::security::oauth::{JwksSettings, Keys, TokenRules, TokenValidator};
use crate::security::tls::{ClientAuth, ListenerTls, ListenerTlsConfig, Passphrase};
use crate::server::{self, Caps, ListenerSpec, ServerLimits};

/// Begins the line that tells the address of an admin listener.
pub const ADMIN: &str = "admin";

/// How long answers in flight may take when the broker stops.
const GRACE: Duration = Duration::from_secs(3);

/// Arguments of `esker server`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The configuration: TOML, or Kafka's key=value lines if it ends in `.properties`.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A property, over the file and the environment; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = super::key_value)]
    settings: Vec<(String, String)>,
    /// Stop when standard input ends; answer `requests` on it.
    #[arg(long, hide = true)]
    with_parent: bool,
}

/// Runs the broker until it is told to stop.
///
/// # Errors
/// A configuration that is refused, or anything that the broker needs and does not get.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    let config = config::load(&env, &arguments.config, &arguments.settings)?;
    start_logging(&env, config.properties.get("audit.log.path").map(Path::new))?;
    match raise_open_files() {
        Ok(Some(files)) => {
            // The other half is for connections, and for files that are being written.
            keep_open_at_most(usize::try_from(files / 2).unwrap_or(usize::MAX));
            tracing::info!("up to {files} open files");
        }
        Ok(None) => {}
        Err(error) => tracing::warn!("the limit of open files stays as it is: {error}"),
    }
    let exporter = admin::Exporter::open(&env, &config)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    // Without a parent nobody holds the other end, and nothing ever comes.
    let (to_us, mut questions) = mpsc::channel(1);
    let _nobody = if arguments.with_parent {
        tokio::spawn(listen_to_parent(to_us));
        None
    } else {
        Some(to_us)
    };
    let tls = listener_tls(&env, &config)?;
    let specs = specs(&config, tls.as_ref());
    let admin_tls = admin_tls(&env, &config)?;
    let admin = admin::bind(&env, &config.admin_listeners, admin_tls.clone()).await?;
    for url in admin.urls()? {
        println!("{ADMIN} {url}");
    }
    let admin = admin.serve(Doorkeeper::new(&env, &config, authorizer(&config)?));
    let authorizer = authorizer(&config)?;
    let keys = keys(&env, &config).await?;
    let tokens = keys.as_ref().map(|keys| token_validator(&env, &config, keys));
    let bound = server::bind(&env, ServerLimits::of(&config), specs).await?;
    let endpoints = endpoints(&config, &bound.addresses()?);
    let starting = Broker::start(Seams::real(env.clone()), config, endpoints);
    let broker = tokio::select! {
        started = starting => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
        () = parent_gone(&mut questions) => return Ok(()),
    };
    let every = broker.config().millis("ssl.reload.interval.ms");
    for tls in tls.into_iter().chain(admin_tls) {
        tokio::spawn(async move { tls.watch(every).await });
    }
    if let Some(keys) = keys {
        tokio::spawn(async move { keys.watch(every).await });
    }
    let server = bound.serve(Arc::new(Api::new(broker.clone(), authorizer, tokens)));
    let caps = server.caps();
    tokio::spawn(broker.clone().follow_config(move |config| caps.set(Caps::of(config))));
    if let Some(exporter) = exporter {
        broker.keep_client_metrics();
        tokio::spawn(exporter.run(broker.clone()));
    }
    admin.broker_started(broker.clone());
    println!("{READY}");
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // Not in order: there is no disk on which to put anything down.
            lost = broker.directories_lost() => return Err(lost.into()),
            question = questions.recv() => match question {
                Some(()) => println!("{REQUESTS} {}", serde_json::to_string(&store_requests(&broker))?),
                None => break,
            }
        }
    }
    tracing::info!("stopping");
    // Leadership moves while clients can still ask where to.
    broker.shutdown().await;
    server.shutdown(GRACE).await;
    admin.shutdown().await;
    Ok(())
}

/// To standard error; audit events to a file of their own where there is one.
fn start_logging(env: &Env, audit: Option<&Path>) -> Result<()> {
    let audit = audit
        .map(|path| AuditLog::open(env, path).with_context(|| format!("audit.log.path {}", path.display())))
        .transpose()?;
    let filter =
        || EnvFilter::try_from_env("ESKER_LOG").unwrap_or_else(|_| EnvFilter::new("info,openraft=off"));
    log_stack(OtlpLog::new(env), audit, std::io::stderr, filter).init();
    Ok(())
}

/// The layers of the log. **Every one is filtered, and every filter tells its highest level**: one that is not or does not (a
/// layer that is `None` too) makes each span of every library be set up for nobody, which was 5 % of what replication cost.
fn log_stack<W>(
    exported: OtlpLog,
    audit: Option<AuditLog>,
    out: W,
    filter: impl Fn() -> EnvFilter,
) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let has_file = audit.is_some();
    let ours = filter_fn(move |metadata| !has_file || metadata.target() != TARGET);
    let log = layer().with_writer(out).with_ansi(false);
    let log = log.with_filter(filter().and(ours.with_max_level_hint(LevelFilter::TRACE)));
    let theirs = filter_fn(move |metadata| has_file && metadata.target() == TARGET);
    let audit = audit.map(|file| layer().with_writer(file).with_ansi(false).with_target(false));
    let audit = audit.with_filter(theirs.with_max_level_hint(LevelFilter::INFO));
    tracing_subscriber::registry().with(log).with(audit).with(exported.with_filter(filter()))
}

/// Passes a `()` on for each `requests` line; the channel ends when the process that started this one is gone.
async fn listen_to_parent(questions: mpsc::Sender<()>) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == REQUESTS && questions.send(()).await.is_err() {
            return;
        }
    }
}

/// Completes when the parent is gone; what it asks before the broker serves is not answered.
async fn parent_gone(questions: &mut mpsc::Receiver<()>) {
    while questions.recv().await.is_some() {}
}

fn store_requests(broker: &Broker) -> StoreRequests {
    let counts = broker.tier_counts().map(|tier| tier.requests).unwrap_or_default();
    StoreRequests {
        puts: counts.puts,
        gets: counts.gets,
        heads: counts.heads,
        lists: counts.lists,
        deletes: counts.deletes,
        bytes_sent: counts.bytes_up,
        bytes_received: counts.bytes_down,
    }
}

/// The authorizer that the configuration asks for.
fn authorizer(config: &BrokerConfig) -> Result<Option<Authorizer>> {
    let get = |key: &str| config.properties.get(key);
    let super_users = get("super.users").unwrap_or_default();
    let authorizer = Authorizer::new(super_users, config.is_on("allow.everyone.if.no.acl.found"))?;
    if get("authorizer.class.name").is_some() {
        if !authorizer.has_super_users() {
            tracing::warn!("super.users names nobody: only who an ACL allows it can ever change ACLs");
        }
        return Ok(Some(authorizer));
    }
    if config.listeners.iter().any(|l| l.protocol.is_sasl()) || get("ssl.client.auth") == Some("required") {
        tracing::warn!("authorizer.class.name is not set: every client that authenticates may do everything");
    }
    Ok(None)
}

/// The public keys of OAUTHBEARER, where that is enabled.
async fn keys(env: &Env, config: &BrokerConfig) -> Result<Option<Arc<Keys>>> {
    let Some(location) = config.jwks_location() else { return Ok(None) };
    let settings = JwksSettings {
        location,
        truststore: config
            .properties
            .get("sasl.oauthbearer.jwks.endpoint.truststore.location")
            .map(Into::into),
        refresh: config.millis("sasl.oauthbearer.jwks.endpoint.refresh.ms"),
        backoff: config.millis("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms"),
        max_backoff: config.millis("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms"),
    };
    Ok(Some(Keys::load(env, settings).await?))
}

fn token_validator(env: &Env, config: &BrokerConfig, keys: &Arc<Keys>) -> TokenValidator {
    let rules = TokenRules {
        issuer: config.properties.get("sasl.oauthbearer.expected.issuer").map(str::to_owned),
        audiences: config.properties.list("sasl.oauthbearer.expected.audience"),
        subject_claim: config.properties.get("sasl.oauthbearer.sub.claim.name").unwrap_or("sub").to_owned(),
        clock_skew: Duration::from_secs(config.size("sasl.oauthbearer.clock.skew.seconds") as u64),
    };
    TokenValidator::new(rules, keys.clone(), env.clock.clone())
}

/// `ssl.key.password`, or the first line of the file that `ssl.key.password.location` names.
fn passphrase(env: &Env, config: &BrokerConfig) -> Result<Option<Passphrase>> {
    if let Some(password) = config.properties.get("ssl.key.password") {
        return Ok(Some(Passphrase(password.to_owned())));
    }
    let Some(path) = config.properties.get("ssl.key.password.location") else { return Ok(None) };
    let bytes =
        env.disk.read(Path::new(path)).with_context(|| format!("ssl.key.password.location {path}"))?;
    let text = String::from_utf8(bytes).with_context(|| format!("{path} is not UTF-8"))?;
    Ok(Some(Passphrase(text.lines().next().unwrap_or_default().to_owned())))
}

/// The TLS of the client listeners; `None` when none speaks it.
fn listener_tls(env: &Env, config: &BrokerConfig) -> Result<Option<Arc<ListenerTls>>> {
    if !config.listeners.iter().any(|listener| listener.protocol.is_tls()) {
        return Ok(None);
    }
    let client_auth = config.properties.get("ssl.client.auth").unwrap_or("none");
    load_tls(env, config, client_auth.parse().map_err(anyhow::Error::msg)?)
}

/// The same certificate for the admin listeners. They ask for passwords, not for certificates.
fn admin_tls(env: &Env, config: &BrokerConfig) -> Result<Option<Arc<ListenerTls>>> {
    if !config.admin_listeners.iter().any(|listener| listener.tls) {
        return Ok(None);
    }
    load_tls(env, config, ClientAuth::None)
}

fn load_tls(env: &Env, config: &BrokerConfig, client_auth: ClientAuth) -> Result<Option<Arc<ListenerTls>>> {
    let path = |key: &str| config.properties.get(key).map(Path::new).map(Path::to_path_buf);
    let Some(keystore) = path("ssl.keystore.certificate.location") else { return Ok(None) };
    let files = ListenerTlsConfig {
        keystore,
        key: path("ssl.keystore.key.location"),
        truststore: path("ssl.truststore.location"),
        client_auth,
        passphrase: passphrase(env, config)?,
        mapping: config.properties.get("ssl.principal.mapping.rules").unwrap_or_default().parse()?,
    };
    Ok(Some(Arc::new(ListenerTls::load(env, files).context("TLS of the listeners")?)))
}

fn specs(config: &BrokerConfig, tls: Option<&Arc<ListenerTls>>) -> Vec<ListenerSpec> {
    config
        .listeners
        .iter()
        .map(|listener| ListenerSpec {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
            tls: tls.cloned().filter(|_| listener.protocol.is_tls()),
            sasl: listener.protocol.is_sasl(),
            max_connections: config.listener_number(&listener.name, "max.connections"),
            connections_per_second: config.listener_number(&listener.name, "max.connection.creation.rate")
                as u32,
        })
        .collect()
}

/// What clients are told: the advertised address, or the bound one.
fn endpoints(config: &BrokerConfig, bound: &[(String, std::net::SocketAddr)]) -> Vec<Endpoint> {
    let told = |listener: &ListenerConfig, address: &std::net::SocketAddr| match &listener.advertised {
        Some((host, port)) => (host.clone(), *port),
        None if listener.host.is_empty() || address.ip().is_unspecified() => {
            ("localhost".to_owned(), address.port())
        }
        None => (listener.host.clone(), address.port()),
    };
    config
        .listeners
        .iter()
        .filter_map(|listener| {
            let (name, address) = bound.iter().find(|(name, _)| *name == listener.name)?;
            let (host, port) = told(listener, address);
            Some(Endpoint { listener: name.clone(), host, port })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing::span::{Attributes, Id};
    use tracing::{Metadata, Subscriber};
    use tracing_subscriber::layer::{Context as LayerContext, Layer};

    use super::*;

    /// Keeps what the last span told of itself.
    #[derive(Clone, Default)]
    struct Last(Arc<Mutex<Option<&'static Metadata<'static>>>>);

    impl<S: Subscriber> Layer<S> for Last {
        fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: LayerContext<'_, S>) {
            *self.0.lock().unwrap() = Some(attributes.metadata());
        }
    }

    #[tokio::test]
    async fn spans_that_nobody_reads_are_not_set_up_with_an_audit_log_or_without() {
        let last = Last::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(last.clone()), || {
            drop(tracing::trace_span!("of a library").entered());
        });
        let span = last.0.lock().unwrap().expect("it was told");
        let env = Env::real();
        let folder = tempfile::tempdir().unwrap();
        for audit in [None, Some(AuditLog::open(&env, &folder.path().join("audit.log")).unwrap())] {
            let has_file = audit.is_some();
            let stack = log_stack(OtlpLog::new(&env), audit, std::io::sink, || EnvFilter::new("info"));
            assert_eq!(stack.max_level_hint(), Some(LevelFilter::INFO), "with a file: {has_file}");
            assert!(stack.register_callsite(span).is_never(), "with a file: {has_file}");
        }
    }
}
