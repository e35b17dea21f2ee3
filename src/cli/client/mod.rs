//! A small Kafka client on our own codec, for the subcommands: it finds brokers, keeps one connection to each, and
//! negotiates versions.
//!
//! One request at a time per connection; retries are the caller's.

mod connection;
mod groups;
mod profile;
pub mod records;
mod security;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use self::connection::Connection;
pub use self::groups::Coordinated;
pub use self::security::Security;
use super::report::Output;
use crate::env::{Env, timeout};
use crate::wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic,
};
use crate::wire::{ErrorCode, Request, StrBytes};

const DEFAULT_BOOTSTRAP: &str = "127.0.0.1:9092";
/// How long a connection may take to be made, TLS and SASL included.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a broker may take to answer.
const CALL_PATIENCE: Duration = Duration::from_secs(40);

/// Which cluster to talk to and how, for subcommands. Flags hold over `--command-config`, that over the profile.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct ClusterArguments {
    /// `host:port` of a broker; several separated by commas [default: the profile's, or 127.0.0.1:9092].
    #[arg(long, visible_alias = "bootstrap", value_name = "HOST:PORT,…")]
    bootstrap_server: Option<String>,
    /// Properties file with the client's security settings, in Kafka's names.
    #[arg(long, value_name = "FILE")]
    command_config: Option<PathBuf>,
    /// A profile of ~/.config/esker/profiles.toml [default: the one that `default` names there].
    #[arg(long, env = "ESKER_PROFILE", value_name = "NAME")]
    profile: Option<String>,
    /// PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
    #[arg(long, value_name = "PROTOCOL", help_heading = "Security")]
    security_protocol: Option<String>,
    /// PEM file of the CAs that brokers' certificates are signed by.
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    tls_ca: Option<String>,
    /// PEM file with our own certificate and key.
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    tls_identity: Option<String>,
    /// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    #[arg(long, value_name = "MECHANISM", help_heading = "Security")]
    sasl_mechanism: Option<String>,
    /// Who we are.
    #[arg(long, value_name = "NAME", help_heading = "Security")]
    sasl_username: Option<String>,
    /// File whose first line is our password.
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    sasl_password_file: Option<PathBuf>,
    /// How to print what is found.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

impl ClusterArguments {
    /// How to encrypt and who to be, for another listener of the same brokers. With an authority there is TLS also where the clients'
    /// listener has none.
    ///
    /// # Errors
    /// When the settings cannot be read or contradict each other.
    pub fn security(&self, env: &Env) -> Result<Security> {
        let mut settings = self.settings(env)?;
        if ["ssl.truststore.location", "ssl.ca.location"].iter().any(|key| settings.contains_key(*key)) {
            let protocol = settings.entry("security.protocol".to_owned()).or_default();
            let sasl = protocol.starts_with("SASL_");
            *protocol = if sasl { "SASL_SSL" } else { "SSL" }.to_owned();
        }
        Security::from_settings(env, &settings)
    }

    /// All settings in Kafka's names.
    fn settings(&self, env: &Env) -> Result<BTreeMap<String, String>> {
        let mut settings = profile::load(env, self.profile.as_deref())?;
        if let Some(file) = &self.command_config {
            settings.extend(security::read(env, file)?);
        }
        for (key, flag) in [
            ("bootstrap.servers", &self.bootstrap_server),
            ("security.protocol", &self.security_protocol),
            ("ssl.truststore.location", &self.tls_ca),
            ("ssl.keystore.location", &self.tls_identity),
            ("sasl.mechanism", &self.sasl_mechanism),
            ("sasl.username", &self.sasl_username),
        ] {
            settings.extend(flag.clone().map(|value| (key.to_owned(), value)));
        }
        if let Some(file) = &self.sasl_password_file {
            let bytes = env.disk.read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let text =
                String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", file.display()))?;
            let first = text.lines().next().unwrap_or_default().to_owned();
            settings.insert("sasl.password".to_owned(), first);
        }
        Ok(settings)
    }
}

/// No broker could be reached: it may be worth another try, or another address.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {0}")]
pub struct Unreachable(String);

/// A client of one cluster.
pub struct Client {
    env: Env,
    bootstrap: Vec<String>,
    security: Security,
    addresses: BTreeMap<i32, String>,
    connections: BTreeMap<String, Connection>,
}

impl Client {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// When the security settings cannot be read or contradict each other.
    pub fn new(env: &Env, arguments: &ClusterArguments) -> Result<Client> {
        let settings = arguments.settings(env)?;
        let bootstrap = settings.get("bootstrap.servers").map_or(DEFAULT_BOOTSTRAP, String::as_str);
        Ok(Client::to(env, bootstrap, Security::from_settings(env, &settings)?))
    }

    /// The same, without a command line.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with(env: &Env, bootstrap: &str, config: Option<&Path>) -> Result<Client> {
        Ok(Client::to(env, bootstrap, Security::load(env, config)?))
    }

    fn to(env: &Env, bootstrap: &str, security: Security) -> Client {
        Client {
            env: env.clone(),
            bootstrap: bootstrap.split(',').map(|s| s.trim().to_owned()).collect(),
            security,
            addresses: BTreeMap::new(),
            connections: BTreeMap::new(),
        }
    }

    /// Asks whichever bootstrap server answers first in their order.
    ///
    /// # Errors
    /// When none answers; the last one's reason.
    pub async fn ask_any<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        let mut last = anyhow!("no bootstrap server is given");
        for address in self.bootstrap.clone() {
            match self.ask(&address, request).await {
                Ok(response) => return Ok(response),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks the broker with that id.
    ///
    /// # Errors
    /// When it is not known, cannot be reached, or does not answer.
    pub async fn ask_broker<R: Request>(&mut self, broker: i32, request: &R) -> Result<R::Response> {
        if !self.addresses.contains_key(&broker) {
            self.metadata(Some(&[])).await?;
        }
        let address = self.addresses.get(&broker).cloned();
        let address = address.with_context(|| format!("broker {broker} is not known to the cluster"))?;
        self.ask(&address, request).await
    }

    /// The cluster's metadata; `None` asks for all topics, an empty list for none.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn metadata(&mut self, topics: Option<&[&str]>) -> Result<MetadataResponse> {
        let topics = topics.map(|names| {
            let named = |name: &&str| MetadataRequestTopic {
                name: Some(StrBytes::from(*name)),
                ..MetadataRequestTopic::default()
            };
            names.iter().map(named).collect()
        });
        let request =
            MetadataRequest { topics, allow_auto_topic_creation: false, ..MetadataRequest::default() };
        let response = self.ask_any(&request).await?;
        self.addresses =
            response.brokers.iter().map(|b| (b.node_id, format!("{}:{}", b.host, b.port))).collect();
        Ok(response)
    }

    /// One topic's metadata.
    ///
    /// # Errors
    /// When there is no such topic, or no broker answers.
    pub async fn topic(&mut self, name: &str) -> Result<MetadataResponseTopic> {
        let response = self.metadata(Some(&[name])).await?;
        let topic = response.topics.into_iter().next().context("the broker left the topic out")?;
        check(topic.error_code, None).with_context(|| format!("topic {name}"))?;
        Ok(topic)
    }

    async fn ask<R: Request>(&mut self, address: &str, request: &R) -> Result<R::Response> {
        let env = self.env.clone();
        let mut connection = match self.connections.remove(address) {
            Some(connection) => connection,
            None => {
                let connect = Connection::open(&env, address, &self.security);
                timeout(env.clock.as_ref(), CONNECT_PATIENCE, connect)
                    .await
                    .map_err(anyhow::Error::from)
                    .and_then(|outcome| outcome)
                    .map_err(|cause| cause.context(Unreachable(address.to_owned())))?
            }
        };
        let response = timeout(env.clock.as_ref(), CALL_PATIENCE, connection.call(request))
            .await
            .map_err(anyhow::Error::from)
            .and_then(|outcome| outcome)
            .with_context(|| format!("{} at {address}", R::NAME))?;
        // Kept only after a whole answer: what broke off may have left half a frame behind.
        self.connections.insert(address.to_owned(), connection);
        Ok(response)
    }
}

/// An error code as an error, with the broker's message if it sent one.
///
/// # Errors
/// Whatever is not `NONE`.
pub fn check(code: ErrorCode, message: Option<&StrBytes>) -> Result<()> {
    match (code, message) {
        (ErrorCode::NONE, _) => Ok(()),
        (code, Some(message)) if !message.is_empty() => bail!("{code}: {message}"),
        (code, _) => bail!("{code}"),
    }
}
