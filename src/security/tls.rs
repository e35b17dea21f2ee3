//! TLS on a client listener: certificates from PEM files, optional client certificates, reload without restart.
//!
//! The settings are Kafka's with `ssl.keystore.type=PEM` and `ssl.truststore.type=PEM`. A reload swaps the config for
//! new connections; when the new files do not load, the old config stays.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::CertificateDer;
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Principal;
use super::mapping::PrincipalMapping;
use crate::env::pem::{Identity, PemError, certificate_time, days_left_if_few, expiry_ms, load_certificates};
use crate::env::{Env, MonoTime, WatchedFiles};

/// How often the expiry of a certificate is looked at.
const EXPIRY_CHECK: Duration = Duration::from_secs(24 * 60 * 60);

/// `ssl.client.auth`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// No client certificate is asked for.
    #[default]
    None,
    /// Asked for; a client without one is anonymous, one with a wrong one is refused.
    Requested,
    /// A client without one is refused.
    Required,
}

impl FromStr for ClientAuth {
    type Err = String;

    fn from_str(text: &str) -> Result<ClientAuth, String> {
        match text {
            "none" => Ok(ClientAuth::None),
            "requested" => Ok(ClientAuth::Requested),
            "required" => Ok(ClientAuth::Required),
            _ => Err(format!("{text:?}: none, requested, required are accepted")),
        }
    }
}

/// A passphrase; never shown.
#[derive(Clone)]
pub struct Passphrase(pub String);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Where a listener's certificates are.
#[derive(Clone, Debug)]
pub struct ListenerTlsConfig {
    /// `ssl.keystore.location`: PEM with the chain, and the key unless `key` names another file.
    pub keystore: PathBuf,
    /// The key in PEM, where it is not in the keystore.
    pub key: Option<PathBuf>,
    /// `ssl.truststore.location`: PEM with the authorities of client certificates.
    pub truststore: Option<PathBuf>,
    /// `ssl.client.auth`.
    pub client_auth: ClientAuth,
    /// `ssl.principal.mapping.rules`.
    pub mapping: PrincipalMapping,
    /// `ssl.key.password`: the passphrase of the key.
    pub passphrase: Option<Passphrase>,
}

/// Why a listener's TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ListenerTlsError {
    /// A file is missing or not PEM.
    #[error(transparent)]
    Files(#[from] PemError),
    /// Client certificates without anybody to trust.
    #[error("ssl.client.auth is requested or required, but ssl.truststore.location is not set")]
    NoTruststore,
    /// rustls refuses the chain, the key or the authorities.
    #[error("{path}: {reason}")]
    Tls {
        /// The file that is at fault.
        path: PathBuf,
        /// What rustls said.
        reason: String,
    },
}

/// The TLS of one listener.
pub struct ListenerTls {
    env: Env,
    config: ListenerTlsConfig,
    current: ArcSwap<ServerConfig>,
}

impl ListenerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file is missing, not PEM, or rustls refuses what is in it.
    pub fn load(env: &Env, config: ListenerTlsConfig) -> Result<ListenerTls, ListenerTlsError> {
        let current = server_config(env, &config)?;
        Ok(ListenerTls { env: env.clone(), config, current: ArcSwap::from_pointee(current) })
    }

    /// Reads the files again; new connections use what is in them now.
    ///
    /// # Errors
    /// As `load`; then nothing changes.
    pub fn reload(&self) -> Result<(), ListenerTlsError> {
        self.current.store(Arc::new(server_config(&self.env, &self.config)?));
        Ok(())
    }

    /// Looks at the files again and again, and uses new ones for new connections; bad ones change nothing. Warns once a day
    /// of a certificate that is about to expire. Runs until it is dropped.
    pub async fn watch(&self, every: Duration) {
        let paths = [Some(&self.config.keystore), self.config.key.as_ref(), self.config.truststore.as_ref()];
        let paths: Vec<PathBuf> = paths.into_iter().flatten().cloned().collect();
        let threads = self.env.threads.pool("certificates", 1);
        let mut files = WatchedFiles::new(self.env.disk.clone(), paths);
        let clock = &self.env.clock;
        let mut warned: Option<MonoTime> = None;
        loop {
            if warned.is_none_or(|at| clock.now().since(at) >= EXPIRY_CHECK) {
                warned = Some(clock.now());
                self.warn_of_expiry();
            }
            clock.sleep(every).await;
            let looked = threads.run(move || {
                let changed = files.have_changed();
                (files, changed)
            });
            let Ok((watched, changed)) = looked.await else { return };
            files = watched;
            if !changed {
                continue;
            }
            match self.reload() {
                Ok(()) => {
                    tracing::info!(path = %self.config.keystore.display(), "new certificates are in use");
                    self.warn_of_expiry();
                }
                Err(error) => {
                    tracing::error!(%error, "the new certificates are refused, the old ones stay in use");
                }
            }
        }
    }

    /// When the listener's certificate expires, in milliseconds since the epoch; `None` when it does not say.
    #[must_use]
    pub fn expires_ms(&self) -> Option<i64> {
        let chain = load_certificates(self.env.disk.as_ref(), &self.config.keystore).ok()?;
        expiry_ms(&chain)
    }

    fn warn_of_expiry(&self) {
        let left = self.expires_ms().and_then(|expiry| days_left_if_few(expiry, self.env.clock.wall_ms()));
        if let Some(days) = left {
            let path = self.config.keystore.display();
            tracing::warn!(%path, days, "the listeners' certificate expires soon, or has expired");
        }
    }

    /// For one new connection.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Whom the client's certificate names, after the handshake: what the mapping rules make of its distinguished name,
    /// as Kafka's default principal builder writes it. Anonymous without a certificate.
    ///
    /// # Errors
    /// The distinguished name, when no rule takes it.
    pub fn principal(&self, connection: &ServerConnection) -> Result<Principal, String> {
        match connection.peer_certificates().and_then(|chain| distinguished_name(chain.first()?)) {
            Some(name) => match self.config.mapping.name_of(&name) {
                Some(principal) => Ok(Principal::user(&principal)),
                None => Err(name),
            },
            None => Ok(Principal::anonymous()),
        }
    }
}

fn server_config(env: &Env, config: &ListenerTlsConfig) -> Result<ServerConfig, ListenerTlsError> {
    let at = |path: &Path, reason: String| ListenerTlsError::Tls { path: path.to_path_buf(), reason };
    let disk = env.disk.as_ref();
    let key = config.key.as_ref().unwrap_or(&config.keystore);
    let passphrase = config.passphrase.as_ref().map(|Passphrase(text)| text.as_str());
    let identity = Identity::load_with(disk, &config.keystore, key, passphrase)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_details(provider.clone(), certificate_time(env))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| at(&config.keystore, error.to_string()))?;
    let builder = match (config.client_auth, &config.truststore) {
        (ClientAuth::None, _) => builder.with_no_client_auth(),
        (ClientAuth::Requested | ClientAuth::Required, None) => return Err(ListenerTlsError::NoTruststore),
        (wanted, Some(truststore)) => {
            let mut roots = RootCertStore::empty();
            for certificate in load_certificates(disk, truststore)? {
                roots.add(certificate).map_err(|error| at(truststore, error.to_string()))?;
            }
            let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            if wanted == ClientAuth::Requested {
                verifier = verifier.allow_unauthenticated();
            }
            let verifier = verifier.build().map_err(|error| at(truststore, error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    builder
        .with_single_cert(identity.chain, identity.key)
        .map_err(|error| at(&config.keystore, error.to_string()))
}

/// The subject in the writing of RFC 2253 (last part first), which is what Java's `X500Principal.getName()` gives.
fn distinguished_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut parts: Vec<String> = parsed
        .subject()
        .iter_rdn()
        .map(|rdn| rdn.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    (!parts.is_empty()).then(|| parts.join(","))
}

fn attribute(attribute: &x509_parser::x509::AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    // The keywords of RFC 2253 section 2.3.
    let keyword = match oid.as_str() {
        "2.5.4.3" => Some("CN"),
        "2.5.4.7" => Some("L"),
        "2.5.4.8" => Some("ST"),
        "2.5.4.10" => Some("O"),
        "2.5.4.11" => Some("OU"),
        "2.5.4.6" => Some("C"),
        "2.5.4.9" => Some("STREET"),
        "0.9.2342.19200300.100.1.25" => Some("DC"),
        "0.9.2342.19200300.100.1.1" => Some("UID"),
        _ => None,
    };
    match (keyword, attribute.as_str()) {
        (Some(keyword), Ok(value)) => format!("{keyword}={}", escaped(value)),
        _ => {
            use std::fmt::Write as _;
            let mut hex = format!("{oid}=#");
            for byte in attribute.attr_value().data {
                let _ = write!(hex, "{byte:02x}");
            }
            hex
        }
    }
}

/// Escapes of RFC 2253 section 2.4.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (i, c) in value.chars().enumerate() {
        let at_edge = (c == ' ' && (i == 0 || i == last)) || (c == '#' && i == 0);
        if at_edge || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
