//! Where the key set is: a file, or an HTTPS endpoint, from which it is read with bounds on time and size.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::{ACCEPT, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

use crate::env::pem::{certificate_time, load_certificates};
use crate::env::{Env, timeout};

/// The largest key set.
const MAX_BYTES: usize = 1 << 20;
/// All of one read: name, connection, handshake, answer.
const TIME: Duration = Duration::from_secs(10);

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksLocation {
    /// `file:///path`.
    File(PathBuf),
    /// `https://host:port/path`.
    Https {
        /// Name or address.
        host: String,
        /// The port, 443 if not named.
        port: u16,
        /// Path and query.
        path: String,
    },
}

impl std::str::FromStr for JwksLocation {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<JwksLocation, &'static str> {
        if let Some(path) = url.strip_prefix("file://") {
            return if path.starts_with('/') { Ok(JwksLocation::File(path.into())) } else { Err(ACCEPTED) };
        }
        let rest = url.strip_prefix("https://").ok_or(ACCEPTED)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| ACCEPTED)?),
            _ => (authority, 443),
        };
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || host.contains(['@', '/', '?', '#', ' ']) {
            return Err(ACCEPTED);
        }
        Ok(JwksLocation::Https { host: host.to_owned(), port, path: format!("/{path}") })
    }
}

const ACCEPTED: &str = "file:///path or https://host[:port]/path";

impl fmt::Display for JwksLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JwksLocation::File(path) => write!(f, "file://{}", path.display()),
            JwksLocation::Https { host, port, path } => write!(f, "https://{host}:{port}{path}"),
        }
    }
}

/// How the key set is read.
#[derive(Clone, Debug)]
pub struct JwksSettings {
    /// From where.
    pub location: JwksLocation,
    /// PEM file of the authorities of the endpoint's certificate; `None`: those of the system.
    pub truststore: Option<PathBuf>,
    /// `sasl.oauthbearer.jwks.endpoint.refresh.ms`.
    pub refresh: Duration,
    /// `sasl.oauthbearer.jwks.endpoint.retry.backoff.ms`.
    pub backoff: Duration,
    /// `sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms`.
    pub max_backoff: Duration,
}

impl JwksSettings {
    /// A file, with Kafka's defaults.
    #[must_use]
    pub fn of_file(path: PathBuf) -> JwksSettings {
        JwksSettings {
            location: JwksLocation::File(path),
            truststore: None,
            refresh: Duration::from_secs(3600),
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
        }
    }

    pub(super) async fn fetch(&self, env: &Env) -> Result<Bytes, String> {
        match &self.location {
            JwksLocation::File(path) => match env.disk.read(path) {
                Ok(bytes) if bytes.len() <= MAX_BYTES => Ok(bytes.into()),
                Ok(_) => Err("the file is too large".to_owned()),
                Err(error) => Err(error.to_string()),
            },
            JwksLocation::Https { host, port, path } => {
                let read = self.get(env, host, *port, path);
                timeout(&*env.clock, TIME, read).await.map_err(|_| format!("no answer within {TIME:?}"))?
            }
        }
    }

    async fn get(&self, env: &Env, host: &str, port: u16, path: &str) -> Result<Bytes, String> {
        let authority =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let name = ServerName::try_from(host.to_owned()).map_err(text)?;
        let tls = TlsConnector::from(Arc::new(self.client_config(env)?));
        let mut failure = "it has no address".to_owned();
        let mut connected = None;
        for address in env.net.resolve(authority.clone()).await.map_err(text)? {
            match env.net.connect(address).await {
                Ok(stream) => {
                    connected = Some(stream);
                    break;
                }
                Err(error) => failure = error.to_string(),
            }
        }
        let stream = tls.connect(name, connected.ok_or(failure)?).await.map_err(text)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
        let request = Request::get(path)
            .header(HOST, HeaderValue::try_from(authority).map_err(text)?)
            .header(ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(text)?;
        let answered = async {
            let response = sender.send_request(request).await.map_err(text)?;
            if response.status() != StatusCode::OK {
                return Err(format!("it answers {}", response.status()));
            }
            let body = Limited::new(response.into_body(), MAX_BYTES).collect().await.map_err(text)?;
            Ok(body.to_bytes())
        };
        tokio::pin!(connection);
        tokio::pin!(answered);
        tokio::select! {
            answer = &mut answered => answer,
            // The answer may be there when the connection has ended.
            ended = &mut connection => match ended {
                Ok(()) => answered.await,
                Err(error) => Err(error.to_string()),
            }
        }
    }

    fn client_config(&self, env: &Env) -> Result<ClientConfig, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_details(provider.clone(), certificate_time(env))
            .with_safe_default_protocol_versions()
            .map_err(text)?;
        let Some(path) = &self.truststore else {
            let verifier = Verifier::new(provider).map_err(text)?;
            return Ok(builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth());
        };
        let mut roots = RootCertStore::empty();
        for certificate in load_certificates(env.disk.as_ref(), path).map_err(text)? {
            roots.add(certificate).map_err(text)?;
        }
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_file_or_an_https_url() {
        let https = |host: &str, port, path: &str| {
            Ok(JwksLocation::Https { host: host.to_owned(), port, path: path.to_owned() })
        };
        for (url, location) in [
            ("file:///etc/keys.json", Ok(JwksLocation::File("/etc/keys.json".into()))),
            ("https://idp.example/realms/x/certs?a=b", https("idp.example", 443, "/realms/x/certs?a=b")),
            ("https://[::1]:8443", https("::1", 8443, "/")),
            ("http://idp.example/keys", Err(ACCEPTED)),
            ("file://keys.json", Err(ACCEPTED)),
            ("https://user@idp.example/", Err(ACCEPTED)),
            ("https:///x", Err(ACCEPTED)),
            ("https://h:x/", Err(ACCEPTED)),
        ] {
            assert_eq!(url.parse::<JwksLocation>(), location, "{url}");
        }
    }
}
