//! One connection to a broker: TCP, TLS and SASL as the listener asks for, then requests and their answers in turn.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::security::Security;
use crate::env::Env;
use crate::wire::messages::api_versions::ApiVersionsRequest;
use crate::wire::{Limits, Request, StrBytes, header};

const CLIENT_ID: &str = "esker-cli";
/// An answer above this is refused.
const MAX_FRAME_BYTES: u32 = 256 << 20;

trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

/// An open, authenticated connection.
pub struct Connection {
    stream: Box<dyn ReadWrite>,
    /// The versions that the broker speaks, by API key.
    spoken: BTreeMap<i16, (i16, i16)>,
    next_correlation: i32,
}

impl Connection {
    /// Connects, encrypts and authenticates.
    ///
    /// # Errors
    /// When one of these fails.
    pub async fn open(env: &Env, address: &str, security: &Security) -> Result<Connection> {
        let tcp = dial(env, address).await?;
        let stream: Box<dyn ReadWrite> = match security.tls() {
            Some(connector) => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
                let name = host.trim_matches(['[', ']']).to_owned().try_into()?;
                Box::new(connector.connect(name, tcp).await.context("TLS")?)
            }
            None => Box::new(tcp),
        };
        let mut connection = Connection { stream, spoken: BTreeMap::new(), next_correlation: 0 };
        connection.negotiate().await?;
        security.authenticate(&mut connection).await?;
        Ok(connection)
    }

    /// Sends a request in the highest version that both sides speak and waits for its answer.
    ///
    /// # Errors
    /// When there is no common version, the connection breaks, or the answer is not one.
    pub async fn call<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        let (ours_low, ours_high) = R::VERSIONS;
        let (low, high) = match self.spoken.get(&R::KEY.key()) {
            Some(range) => *range,
            None => bail!("the broker does not serve it"),
        };
        let version = ours_high.min(high);
        ensure!(version >= ours_low.max(low), "no common version: {ours_low}–{ours_high} and {low}–{high}");
        self.exchange(request, version).await
    }

    async fn negotiate(&mut self) -> Result<()> {
        let request = ApiVersionsRequest {
            client_software_name: StrBytes::from_static(CLIENT_ID),
            client_software_version: StrBytes::from_static(env!("CARGO_PKG_VERSION")),
        };
        let response = self.exchange(&request, 3).await?;
        super::check(response.error_code, None)?;
        self.spoken =
            response.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        Ok(())
    }

    async fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        let correlation = self.next_correlation;
        self.next_correlation = correlation.wrapping_add(1);
        for chunk in header::request_frame(request, version, correlation, CLIENT_ID)? {
            self.stream.write_all(&chunk.into_bytes()?).await?;
        }
        self.stream.flush().await?;
        let length = self.stream.read_u32().await?;
        ensure!(length <= MAX_FRAME_BYTES, "an answer of {length} bytes is above {MAX_FRAME_BYTES}");
        let mut frame = Vec::new();
        (&mut self.stream).take(u64::from(length)).read_to_end(&mut frame).await?;
        ensure!(frame.len() == length as usize, "the connection broke off inside an answer");
        let (answered, response) =
            header::read_response::<R>(Bytes::from(frame), version, &Limits::default())?;
        ensure!(answered == correlation, "answer {answered} to question {correlation}");
        Ok(response)
    }
}

/// Tries the host's addresses in their order; fails with the last one's reason.
async fn dial(env: &Env, address: &str) -> Result<TcpStream> {
    let mut last = anyhow!("the name has no address");
    for candidate in env.net.resolve(address.to_owned()).await? {
        match env.net.connect(candidate).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}
