//! A client's security settings, read from a properties file with Kafka's names.
//!
//! `security.protocol`; `ssl.truststore.location` (PEM, or librdkafka's name `ssl.ca.location`), `ssl.keystore.location`
//! (PEM with certificate and key); `sasl.mechanism` and either `sasl.jaas.config` or `sasl.username` and `sasl.password`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rsasl::callback::{Context as SaslContext, Request as SaslRequest, SessionCallback, SessionData};
use rsasl::prelude::{Mechname, SASLClient, SASLConfig, SessionError};
use rsasl::property::{AuthId, Password};
use tokio_rustls::TlsConnector;

use super::check;
use super::connection::Connection;
use crate::env::Env;
use crate::env::pem::{Identity, load_certificates};
use crate::wire::StrBytes;
use crate::wire::messages::sasl_authenticate::SaslAuthenticateRequest;
use crate::wire::messages::sasl_handshake::SaslHandshakeRequest;

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// How to encrypt and who to be.
pub struct Security {
    tls: Option<TlsConnector>,
    sasl: Option<Sasl>,
}

struct Sasl {
    mechanism: String,
    credentials: Credentials,
}

#[derive(Clone)]
struct Credentials {
    username: String,
    password: String,
}

impl SessionCallback for Credentials {
    fn callback(
        &self,
        _: &SessionData,
        _: &SaslContext<'_>,
        request: &mut SaslRequest<'_>,
    ) -> Result<(), SessionError> {
        request.satisfy::<AuthId>(&self.username)?.satisfy::<Password>(self.password.as_bytes())?;
        Ok(())
    }
}

impl Security {
    /// Reads the settings; without a file there is neither TLS nor SASL.
    ///
    /// # Errors
    /// Names the key that is missing or wrong.
    pub fn load(env: &Env, file: Option<&Path>) -> Result<Security> {
        let Some(file) = file else { return Ok(Security { tls: None, sasl: None }) };
        Security::from_settings(env, &read(env, file)?).with_context(|| file.display().to_string())
    }

    /// From settings by Kafka's names; what is about other things is passed over.
    ///
    /// # Errors
    /// Names the key that is missing or wrong.
    pub fn from_settings(env: &Env, settings: &BTreeMap<String, String>) -> Result<Security> {
        let get = |key: &str| settings.get(key).map(String::as_str);
        let protocol = get("security.protocol").unwrap_or("PLAINTEXT");
        let (encrypted, authenticated) = match protocol {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            other => {
                bail!("security.protocol: `{other}` is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL")
            }
        };
        let tls = if encrypted { Some(connector(env, &get)?) } else { None };
        let sasl = if authenticated { Some(sasl(&get)?) } else { None };
        Ok(Security { tls, sasl })
    }

    /// TLS with whom this authority vouches for (PEM), and no user; without one neither.
    ///
    /// # Errors
    /// When the file is none.
    pub fn trusting(env: &Env, authority: Option<&Path>) -> Result<Security> {
        let Some(file) = authority else { return Ok(Security { tls: None, sasl: None }) };
        let settings = [
            ("security.protocol", "SSL".to_owned()),
            ("ssl.truststore.location", file.display().to_string()),
        ];
        Security::from_settings(env, &settings.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// Name and password as HTTP's Basic has them (RFC 7617), if there is a user.
    pub fn basic(&self) -> Option<String> {
        let Credentials { username, password } = &self.sasl.as_ref()?.credentials;
        Some(STANDARD.encode(format!("{username}:{password}")))
    }

    /// The TLS side, if there is one.
    pub fn tls(&self) -> Option<&TlsConnector> {
        self.tls.as_ref()
    }

    /// Runs the SASL exchange, if there is one.
    ///
    /// # Errors
    /// When the broker does not offer the mechanism or refuses the credentials, or cannot prove that it knows them.
    pub async fn authenticate(&self, connection: &mut Connection) -> Result<()> {
        let Some(sasl) = &self.sasl else { return Ok(()) };
        let handshake = SaslHandshakeRequest { mechanism: StrBytes::from(sasl.mechanism.as_str()) };
        let response = connection.call(&handshake).await?;
        check(response.error_code, None)
            .with_context(|| format!("{}; offered are {:?}", sasl.mechanism, response.mechanisms))?;
        let config = SASLConfig::builder()
            .with_default_mechanisms()
            .with_callback(sasl.credentials.clone())
            .context("SASL")?;
        let mechanism = Mechname::parse(sasl.mechanism.as_bytes()).context("sasl.mechanism")?;
        let mut session = SASLClient::new(config).start_suggested(&[mechanism]).context("SASL")?;
        let mut from_broker: Option<Bytes> = None;
        loop {
            let mut to_broker = Vec::new();
            let state = session.step(from_broker.as_deref(), &mut to_broker).context("SASL")?;
            if state.is_finished() && !state.has_sent_message() {
                return Ok(());
            }
            let request = SaslAuthenticateRequest { auth_bytes: to_broker.into() };
            let response = connection.call(&request).await?;
            check(response.error_code, response.error_message.as_ref()).context("authentication")?;
            if state.is_finished() {
                return Ok(());
            }
            from_broker = Some(response.auth_bytes);
        }
    }
}

/// A properties file.
///
/// # Errors
/// When it cannot be read.
pub fn read(env: &Env, file: &Path) -> Result<BTreeMap<String, String>> {
    let text = env.disk.read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(parse(&String::from_utf8(text).with_context(|| format!("{} is not UTF-8", file.display()))?))
}

fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', '!']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

fn connector<'a>(env: &Env, get: &impl Fn(&str) -> Option<&'a str>) -> Result<TlsConnector> {
    let ca = get("ssl.truststore.location")
        .or_else(|| get("ssl.ca.location"))
        .context("ssl.truststore.location (PEM) is missing")?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in load_certificates(env.disk.as_ref(), Path::new(ca))? {
        roots.add(certificate)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let config = match get("ssl.keystore.location") {
        Some(file) => {
            let identity = Identity::load(env.disk.as_ref(), Path::new(file), Path::new(file))?;
            builder.with_client_auth_cert(identity.chain, identity.key)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn sasl<'a>(get: &impl Fn(&str) -> Option<&'a str>) -> Result<Sasl> {
    let mechanism = get("sasl.mechanism").unwrap_or("SCRAM-SHA-512");
    ensure!(MECHANISMS.contains(&mechanism), "sasl.mechanism: `{mechanism}` is none of {MECHANISMS:?}");
    let jaas = get("sasl.jaas.config");
    let of = |key: &str| {
        get(&format!("sasl.{key}"))
            .map(str::to_owned)
            .or_else(|| jaas.and_then(|jaas| quoted(jaas, key)))
            .with_context(|| format!("sasl.{key} is missing (or sasl.jaas.config with {key}=\"…\")"))
    };
    let credentials = Credentials { username: of("username")?, password: of("password")? };
    Ok(Sasl { mechanism: mechanism.to_owned(), credentials })
}

/// The value of `key="…"` in a JAAS line.
fn quoted(jaas: &str, key: &str) -> Option<String> {
    let (_, rest) = jaas.split_once(&format!("{key}=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Security> {
        Security::from_settings(&Env::real(), &parse(text))
    }

    #[test]
    fn credentials_are_read_from_a_jaas_line_or_from_their_own_keys() {
        let jaas = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=x required username=\"a\" \
                    password=\"b c\";";
        let own =
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=a\nsasl.password=b c";
        for text in [jaas, own] {
            let credentials = load(text).unwrap().sasl.unwrap().credentials;
            assert_eq!((credentials.username.as_str(), credentials.password.as_str()), ("a", "b c"));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, named) in [
            ("security.protocol=SSL", "ssl.truststore.location"),
            ("security.protocol=SASL_PLAINTEXT", "sasl.username"),
            ("security.protocol=TLS", "SASL_SSL"),
            ("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=GSSAPI", "SCRAM-SHA-256"),
        ] {
            let error = load(text).err().unwrap();
            assert!(format!("{error:#}").contains(named), "{error:#}");
        }
    }
}
