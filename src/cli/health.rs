//! `esker health`: asks a broker's admin listener how it is, for health checks of images that have no other client.
//!
//! Exit 0 when the answer is 200, else 1 with what was said.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustls_pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::client::Security;
use super::report::{Output, print_json};
use crate::env::{Env, timeout};

/// How long the whole question may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most of an answer that is read.
const ANSWER_BYTES: u64 = 16 * 1024;

/// Arguments of `esker health`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// What to ask: `/livez`, `/readyz`, or `/readyz?in-sync` (no replica of the broker is outside its ISR).
    #[arg(default_value = "/livez")]
    path: String,
    /// The admin listener; `https://HOST:PORT` for one with TLS.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9644")]
    address: String,
    /// Who signed the certificate of one with TLS (PEM).
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Asks, and prints the answer: in JSON also one that is not 200.
///
/// # Errors
/// When nobody answers in ten seconds, or the answer is not 200.
pub async fn run(env: &Env, arguments: &Arguments) -> Result<()> {
    let Arguments { path, address, tls_ca, output } = arguments;
    let security = Security::trusting(env, tls_ca.as_deref())?;
    let (status, body) = get(env, address, path, ANSWER_BYTES, &security).await?;
    if *output == Output::Json {
        print_json(&json!({ "address": address, "path": path, "status": status, "answer": body }));
    }
    if status != 200 {
        bail!("{address}{path} says {status}: {body}");
    }
    if *output == Output::Table {
        println!("{body}");
    }
    Ok(())
}

/// Status and body of what an admin listener answers, over TLS if the address begins with `https://`. The password goes with the
/// question there, and to this machine itself; never in plain text over a network.
///
/// # Errors
/// When it does not answer in ten seconds, or not in HTTP.
pub async fn get(
    env: &Env,
    address: &str,
    path: &str,
    most_bytes: u64,
    security: &Security,
) -> Result<(u16, String)> {
    let asked = timeout(&*env.clock, PATIENCE, ask(env, address, path, most_bytes, security)).await;
    let answer = match asked {
        Ok(answer) => answer.with_context(|| format!("{address} does not answer"))?,
        Err(_) => bail!("{address} has not answered in {PATIENCE:?}"),
    };
    let (status, body) = parse(&answer).with_context(|| format!("{address} does not speak HTTP"))?;
    Ok((status, body.to_owned()))
}

async fn ask(env: &Env, address: &str, path: &str, most_bytes: u64, security: &Security) -> Result<String> {
    let (encrypted, authority) = match address.split_once("://") {
        None => (false, address),
        Some(("http", authority)) => (false, authority),
        Some(("https", authority)) => (true, authority),
        Some((scheme, _)) => bail!("{scheme}: http and https are accepted"),
    };
    let resolved = env.net.resolve(authority.to_owned()).await?;
    let first = resolved.first().copied().context("the name has no address")?;
    let stream = env.net.connect(first).await?;
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
    if let Some(basic) = security.basic().filter(|_| encrypted || first.ip().is_loopback()) {
        request.push_str(&format!("Authorization: Basic {basic}\r\n"));
    }
    request.push_str("\r\n");
    if !encrypted {
        return exchange(stream, &request, most_bytes).await;
    }
    let tls = security.tls().context("https needs the authority of the certificate: --tls-ca")?;
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
    exchange(tls.connect(ServerName::try_from(host.to_owned())?, stream).await?, &request, most_bytes).await
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
    most_bytes: u64,
) -> Result<String> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    stream.take(most_bytes).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Status and body of an answer.
fn parse(answer: &str) -> Option<(u16, &str)> {
    let rest = answer.strip_prefix("HTTP/1.")?;
    let status = rest.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Some((status, body.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        assert_eq!(parse("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n"), Some((200, "ok")));
        assert_eq!(parse("HTTP/1.1 503 Service Unavailable\r\n\r\nstarting\n"), Some((503, "starting")));
        assert_eq!(parse("SSH-2.0-OpenSSH"), None);
        assert_eq!(parse(""), None);
    }

    #[tokio::test]
    async fn a_broker_that_is_not_there_or_not_ready_is_an_error() {
        let env = Env::real();
        let listener = env.net.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let arguments = Arguments {
            path: "/readyz".into(),
            address: address.clone(),
            tls_ca: None,
            output: Output::Table,
        };
        let broker = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Read whole: closing over unread bytes would reset the connection.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            assert!(request.starts_with(b"GET /readyz HTTP/1.1"));
            stream.write_all(b"HTTP/1.1 503 no\r\n\r\n2 replicas are behind").await.unwrap();
        };
        let (asked, ()) = tokio::join!(run(&env, &arguments), broker);
        assert!(asked.unwrap_err().to_string().contains("503: 2 replicas are behind"));
        drop(listener);
        assert!(run(&env, &arguments).await.is_err());
    }
}
