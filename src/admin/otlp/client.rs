//! HTTP to a collector: one connection per push, through the seams.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::env::pem::load_certificates;
use crate::env::{Env, timeout};

/// The longest that one push may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Why a collector cannot be used, or did not take something.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The endpoint is no URL that we speak.
    #[error("telemetry.otlp.endpoint: `{0}` is not http://host:port or https://host:port")]
    Endpoint(String),
    /// A header is none.
    #[error("telemetry.otlp.headers: `{0}` is not name=value, separated by commas")]
    Header(String),
    /// The authorities of the collector's certificate cannot be used.
    #[error("telemetry.otlp.ca.location: {0}")]
    Authorities(String),
    /// It cannot be reached, or the connection broke.
    #[error("the collector cannot be reached: {0}")]
    Unreachable(String),
    /// It answered with an error.
    #[error("the collector answered {0}")]
    Refused(u16),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) struct Collector {
    env: Env,
    /// `host:port`.
    address: String,
    host: String,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    tls: Option<TlsConnector>,
}

impl Collector {
    pub fn open(
        env: &Env,
        endpoint: &str,
        headers: &str,
        authorities: Option<&str>,
    ) -> Result<Collector, CollectorError> {
        let bad = || CollectorError::Endpoint(endpoint.to_owned());
        let (scheme, rest) = endpoint.split_once("://").ok_or_else(bad)?;
        let (authority, path) =
            rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p.trim_end_matches('/')));
        let (host, _) =
            authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).ok_or_else(bad)?;
        let tls = match scheme {
            "http" => None,
            "https" => Some(connector(env, authorities)?),
            _ => return Err(bad()),
        };
        let header = |one: &str| {
            let (name, value) = one.split_once('=')?;
            Some((name.trim().parse().ok()?, HeaderValue::from_str(value.trim()).ok()?))
        };
        let headers = headers
            .split(',')
            .filter(|one| !one.trim().is_empty())
            // The value may be a secret: the name says which one it is.
            .map(|one| {
                let name = one.split('=').next().unwrap_or_default();
                header(one).ok_or_else(|| CollectorError::Header(name.to_owned()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Collector {
            env: env.clone(),
            address: authority.to_owned(),
            host: host.trim_matches(['[', ']']).to_owned(),
            path: if path.is_empty() { String::new() } else { format!("/{path}") },
            headers,
            tls,
        })
    }

    /// Posts one message.
    pub async fn post(&self, path: &str, body: Vec<u8>) -> Result<(), CollectorError> {
        let posted = timeout(&*self.env.clock, LIMIT, self.exchange(path, body)).await;
        posted.unwrap_or_else(|late| Err(CollectorError::Unreachable(late.to_string())))
    }

    async fn exchange(&self, path: &str, body: Vec<u8>) -> Result<(), CollectorError> {
        let unreachable = |e: &dyn std::fmt::Display| CollectorError::Unreachable(e.to_string());
        let stream = self.connect().await.map_err(|e| unreachable(&e))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| unreachable(&e))?;
        let mut request = hyper::Request::post(format!("{}{path}", self.path))
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, "application/x-protobuf");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|e| unreachable(&e))?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await;
        connection.abort();
        let status = answer.map_err(|e| unreachable(&e))?.status();
        if status.is_success() { Ok(()) } else { Err(CollectorError::Refused(status.as_u16())) }
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let mut failure = std::io::Error::from(std::io::ErrorKind::NotFound);
        for address in self.env.net.resolve(self.address.clone()).await? {
            let stream = match self.env.net.connect(address).await {
                Ok(stream) => stream,
                Err(error) => {
                    failure = error;
                    continue;
                }
            };
            let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
            let name = ServerName::try_from(self.host.clone()).map_err(std::io::Error::other)?;
            return Ok(Box::new(tls.connect(name, stream).await?));
        }
        Err(failure)
    }
}

fn connector(env: &Env, authorities: Option<&str>) -> Result<TlsConnector, CollectorError> {
    let bad = |e: &dyn std::fmt::Display| CollectorError::Authorities(e.to_string());
    let Some(path) = authorities else {
        return Err(bad(&"an https endpoint needs the authority of its certificate (PEM)"));
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in load_certificates(env.disk.as_ref(), Path::new(path)).map_err(|e| bad(&e))? {
        roots.add(certificate).map_err(|e| bad(&e))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| bad(&e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
