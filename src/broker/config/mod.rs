//! The broker's configuration: properties checked against the table, then typed.

mod admin;
mod definition;
mod definitions;
mod dynamic;
mod properties;
mod security_definitions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use admin::AdminListener;
use definition::of_listener;
pub use definition::{Definition, Kind, definition};
pub use definitions::DEFINITIONS;
pub use dynamic::{Ignored, InForce, Overrides, Update, update_of};
pub use properties::{ConfigError, Properties, Setting};

use crate::security::oauth::JwksLocation;
use crate::types::BrokerId;

/// How a client listener is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// Neither TLS nor authentication.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL in the clear.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// Whether the listener speaks TLS.
    #[must_use]
    pub fn is_tls(self) -> bool {
        matches!(self, SecurityProtocol::Ssl | SecurityProtocol::SaslSsl)
    }

    /// Whether clients must authenticate by SASL.
    #[must_use]
    pub fn is_sasl(self) -> bool {
        matches!(self, SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl)
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "PLAINTEXT" => SecurityProtocol::Plaintext,
            "SSL" => SecurityProtocol::Ssl,
            "SASL_PLAINTEXT" => SecurityProtocol::SaslPlaintext,
            "SASL_SSL" => SecurityProtocol::SaslSsl,
            _ => return None,
        })
    }
}

/// A client listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Its name.
    pub name: String,
    /// How it is protected.
    pub protocol: SecurityProtocol,
    /// The host it binds; empty for all addresses.
    pub host: String,
    /// The port it binds; 0 for any.
    pub port: u16,
    /// What clients are told; `None`: the bound host and port.
    pub advertised: Option<(String, u16)>,
}

/// Transport between brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerTransport {
    /// QUIC (the default).
    Quic,
    /// TCP with TLS.
    Tcp,
}

/// The typed configuration of a broker.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// What was set, for everything that is read by name.
    pub properties: Properties,
    /// `node.id`.
    pub node_id: BrokerId,
    /// `controller.quorum.voters`; a lone broker is its own voter.
    pub voters: Vec<(BrokerId, String)>,
    /// Client listeners.
    pub listeners: Vec<ListenerConfig>,
    /// `peer.listener`.
    pub peer_listener: String,
    /// `peer.advertised.listener`.
    pub peer_advertised: String,
    /// `peer.transport`.
    pub peer_transport: PeerTransport,
    /// CA, certificate and key of the peer listener.
    pub peer_tls: Option<[PathBuf; 3]>,
    /// `log.dirs`.
    pub log_dirs: Vec<PathBuf>,
    /// `metadata.log.dir`.
    pub metadata_dir: PathBuf,
    /// `admin.listeners`.
    pub admin_listeners: Vec<AdminListener>,
}

impl BrokerConfig {
    /// Types the properties and checks what one property alone does not show.
    ///
    /// # Errors
    /// `Contradiction` or `Invalid`, naming the properties.
    pub fn new(properties: Properties) -> Result<BrokerConfig, ConfigError> {
        let p = &properties;
        let node_id = BrokerId(i32::try_from(p.number("node.id")).expect("bounded by the table"));
        let peer_listener = p.get("peer.listener").unwrap_or("127.0.0.1:9093").to_owned();
        host_port("peer.listener", &peer_listener, p)?;
        let peer_advertised = p.get("peer.advertised.listener").unwrap_or(&peer_listener).to_owned();
        host_port("peer.advertised.listener", &peer_advertised, p)?;
        let mut voters = Vec::new();
        for voter in p.list("controller.quorum.voters") {
            let parsed =
                voter.split_once('@').and_then(|(id, at)| Some((BrokerId(id.parse().ok()?), at.to_owned())));
            let Some((id, address)) = parsed.filter(|(_, at)| split_host_port(at).is_some()) else {
                return Err(invalid(
                    p,
                    "controller.quorum.voters",
                    &voter,
                    "id@host:port, separated by commas",
                ));
            };
            if voters.iter().any(|(other, _)| *other == id) {
                return Err(ConfigError::Contradiction(format!(
                    "controller.quorum.voters names node {id} twice"
                )));
            }
            voters.push((id, address));
        }
        if voters.is_empty() {
            voters.push((node_id, peer_advertised.clone()));
        }
        let log_dirs: Vec<PathBuf> = p.list("log.dirs").into_iter().map(PathBuf::from).collect();
        let Some(first) = log_dirs.first() else {
            return Err(ConfigError::Contradiction("log.dirs names no folder".to_owned()));
        };
        let metadata_dir = p.get("metadata.log.dir").map_or_else(|| first.join("metadata"), PathBuf::from);
        let tls: Vec<PathBuf> =
            ["peer.ssl.ca.location", "peer.ssl.certificate.location", "peer.ssl.key.location"]
                .iter()
                .filter_map(|key| p.get(key).map(PathBuf::from))
                .collect();
        let peer_tls = match <[PathBuf; 3]>::try_from(tls) {
            Ok(files) => Some(files),
            // A lone broker has nobody to talk to.
            Err(some) if some.is_empty() && voters.iter().all(|(id, _)| *id == node_id) => None,
            Err(_) => {
                return Err(ConfigError::Contradiction(
                    "brokers talk over mutual TLS: set peer.ssl.ca.location, peer.ssl.certificate.location and \
                     peer.ssl.key.location (`esker certs` makes all three)"
                        .to_owned(),
                ));
            }
        };
        let peer_transport =
            if p.get("peer.transport") == Some("tcp") { PeerTransport::Tcp } else { PeerTransport::Quic };
        let listeners = listeners(p)?;
        let admin_listeners = admin::listeners(p)?;
        let config = BrokerConfig {
            node_id,
            voters,
            listeners,
            peer_listener,
            peer_advertised,
            peer_transport,
            peer_tls,
            log_dirs,
            metadata_dir,
            admin_listeners,
            properties,
        };
        config.check()?;
        Ok(config)
    }

    /// Reads a file (TOML unless it ends in `.properties`) and the environment on top.
    ///
    /// # Errors
    /// As [`BrokerConfig::new`], or the file's syntax.
    pub fn load(
        file: &Path,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<BrokerConfig, ConfigError> {
        BrokerConfig::load_with(file, text, environment, &[])
    }

    /// The same, with flags of the command line on top of the environment.
    ///
    /// # Errors
    /// As [`BrokerConfig::load`].
    pub fn load_with(
        file: &Path,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<BrokerConfig, ConfigError> {
        let mut properties = Properties::default();
        let name = file.display().to_string();
        if file.extension().is_some_and(|e| e == "properties") {
            properties.read_properties(&name, text)?;
        } else {
            properties.read_toml(&name, text)?;
        }
        properties.read_environment(environment)?;
        for (key, value) in flags {
            // Everybody on the machine sees the command line of a process.
            if definition(key).is_some_and(|definition| definition.kind == Kind::Secret) {
                return Err(ConfigError::Contradiction(format!(
                    "--set {key}: a secret belongs into the file or the environment"
                )));
            }
            properties.set(key, value, "--set")?;
        }
        BrokerConfig::new(properties)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let p = &self.properties;
        let tls = self.listeners.iter().find(|l| l.protocol.is_tls());
        if let Some(listener) = tls
            && (p.get("ssl.keystore.certificate.location").is_none()
                || p.get("ssl.keystore.key.location").is_none())
        {
            return Err(ConfigError::Contradiction(format!(
                "listener {} speaks TLS: set ssl.keystore.certificate.location and ssl.keystore.key.location",
                listener.name
            )));
        }
        if p.get("ssl.client.auth") == Some("required") && p.get("ssl.truststore.location").is_none() {
            return Err(ConfigError::Contradiction(
                "ssl.client.auth=required needs ssl.truststore.location".to_owned(),
            ));
        }
        if self.number("broker.session.timeout.ms") < 1_500 {
            return Err(ConfigError::Contradiction(
                "broker.session.timeout.ms must be at least 1500: the lease of 1000 ms plus a margin"
                    .to_owned(),
            ));
        }
        if p.get("tier.store.sse.kms.key.id").is_some() && p.get("tier.store.sse") != Some("aws:kms") {
            return Err(ConfigError::Contradiction(
                "tier.store.sse.kms.key.id is for tier.store.sse=aws:kms".to_owned(),
            ));
        }
        for (local, total) in [
            ("log.local.retention.ms", "log.retention.ms"),
            ("log.local.retention.bytes", "log.retention.bytes"),
        ] {
            let (l, t) = (self.number(local), self.number(total));
            if l >= 0 && t >= 0 && l > t {
                return Err(ConfigError::Contradiction(format!("{local} ({l}) is above {total} ({t})")));
            }
        }
        for (key, setting) in p.iter() {
            if let Some((name, _)) = of_listener(key)
                && !self.listeners.iter().any(|l| l.name.eq_ignore_ascii_case(name))
            {
                let place = &setting.place;
                return Err(ConfigError::Contradiction(format!(
                    "{place}: {key}: there is no listener {name}"
                )));
            }
        }
        let oauth = p.list("sasl.enabled.mechanisms").iter().any(|m| m == "OAUTHBEARER");
        match (p.get("sasl.oauthbearer.jwks.endpoint.url"), self.jwks_location()) {
            (None, _) if oauth => {
                return Err(ConfigError::Contradiction(
                    "sasl.enabled.mechanisms has OAUTHBEARER, which needs a key set: set sasl.oauthbearer.jwks.endpoint.url"
                        .to_owned(),
                ));
            }
            (Some(url), None) if oauth => {
                let key = "sasl.oauthbearer.jwks.endpoint.url";
                return Err(invalid(p, key, url, "file:///path or https://host[:port]/path"));
            }
            _ => {}
        }
        if let Some(user) = p.get("security.bootstrap.user")
            && user.split_once(':').is_none_or(|(name, password)| name.is_empty() || password.is_empty())
        {
            return Err(ConfigError::Contradiction(
                "security.bootstrap.user must be name:password".to_owned(),
            ));
        }
        Ok(())
    }

    /// Where the key set of OAUTHBEARER is; `None` when that is not enabled.
    #[must_use]
    pub fn jwks_location(&self) -> Option<JwksLocation> {
        let enabled = self.properties.list("sasl.enabled.mechanisms").iter().any(|m| m == "OAUTHBEARER");
        self.properties.get("sasl.oauthbearer.jwks.endpoint.url").filter(|_| enabled)?.parse().ok()
    }

    /// A number of the table.
    #[must_use]
    pub fn number(&self, key: &str) -> i64 {
        self.properties.number(key)
    }

    /// A number of the table that is a count of bytes or items.
    #[must_use]
    pub fn size(&self, key: &str) -> usize {
        usize::try_from(self.number(key)).unwrap_or(usize::MAX)
    }

    /// A number of a listener: `listener.name.<name>.<key>`, or else the broker's own `key`.
    #[must_use]
    pub fn listener_number(&self, listener: &str, key: &str) -> usize {
        let own = format!("listener.name.{}.{key}", listener.to_lowercase());
        match self.properties.explicit(&own) {
            Some(setting) => setting.value.parse().unwrap_or(usize::MAX),
            None => self.size(key),
        }
    }

    /// A number of the table that is milliseconds.
    #[must_use]
    pub fn millis(&self, key: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.number(key)).unwrap_or(0))
    }

    /// A switch of the table.
    #[must_use]
    pub fn is_on(&self, key: &str) -> bool {
        self.properties.get(key) == Some("true")
    }

    /// Every property that has a value, set or defaulted, by name.
    #[must_use]
    pub fn all_values(&self) -> BTreeMap<String, String> {
        DEFINITIONS
            .iter()
            .filter_map(|d| Some((d.name.to_owned(), self.properties.get(d.name)?.to_owned())))
            .collect()
    }

    /// Topic configs as this broker's properties default them, by topic config name.
    #[must_use]
    pub fn topic_defaults(&self) -> BTreeMap<String, String> {
        DEFINITIONS
            .iter()
            .filter_map(|d| {
                let name = d.topic_config?;
                Some((name.to_owned(), self.properties.get(d.name)?.to_owned()))
            })
            .collect()
    }
}

fn listeners(p: &Properties) -> Result<Vec<ListenerConfig>, ConfigError> {
    let map: BTreeMap<String, SecurityProtocol> = p
        .list("listener.security.protocol.map")
        .into_iter()
        .map(|item| {
            item.split_once(':')
                .and_then(|(name, protocol)| Some((name.to_owned(), SecurityProtocol::parse(protocol)?)))
                .ok_or_else(|| {
                    invalid(
                        p,
                        "listener.security.protocol.map",
                        &item,
                        "NAME:PLAINTEXT, NAME:SSL, NAME:SASL_PLAINTEXT or NAME:SASL_SSL, separated by commas",
                    )
                })
        })
        .collect::<Result<_, _>>()?;
    let mut advertised: BTreeMap<String, (String, u16)> = BTreeMap::new();
    for item in p.list("advertised.listeners") {
        let Some((name, host, port)) = split_listener(&item).filter(|(_, host, _)| !host.is_empty()) else {
            return Err(invalid(p, "advertised.listeners", &item, "NAME://host:port, separated by commas"));
        };
        advertised.insert(name, (host, port));
    }
    let mut listeners: Vec<ListenerConfig> = Vec::new();
    for item in p.list("listeners") {
        let Some((name, host, port)) = split_listener(&item) else {
            return Err(invalid(p, "listeners", &item, "NAME://host:port, separated by commas"));
        };
        let Some(protocol) = map.get(&name).copied() else {
            return Err(ConfigError::Contradiction(format!(
                "listener {name} has no security protocol: add it to listener.security.protocol.map"
            )));
        };
        if listeners.iter().any(|l| l.name == name) {
            return Err(ConfigError::Contradiction(format!("listeners names {name} twice")));
        }
        let told = advertised.remove(&name);
        listeners.push(ListenerConfig { name, protocol, host, port, advertised: told });
    }
    if let Some(name) = advertised.keys().next() {
        return Err(ConfigError::Contradiction(format!(
            "advertised.listeners names {name}, which is not among the listeners"
        )));
    }
    if listeners.is_empty() {
        return Err(ConfigError::Contradiction("listeners is empty".to_owned()));
    }
    Ok(listeners)
}

fn invalid(p: &Properties, key: &str, value: &str, accepted: &str) -> ConfigError {
    ConfigError::Invalid {
        key: key.to_owned(),
        value: value.to_owned(),
        accepted: accepted.to_owned(),
        place: p.explicit(key).map_or_else(|| "default".to_owned(), |s| s.place.clone()),
    }
}

fn host_port(key: &str, value: &str, p: &Properties) -> Result<(), ConfigError> {
    split_host_port(value).map(|_| ()).ok_or_else(|| invalid(p, key, value, "host:port"))
}

/// `host:port`, with an IPv6 host in brackets.
fn split_host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    Some((host.to_owned(), port.parse().ok()?))
}

fn split_listener(text: &str) -> Option<(String, String, u16)> {
    let (name, rest) = text.split_once("://")?;
    let (host, port) = split_host_port(rest)?;
    (!name.is_empty()).then(|| (name.to_owned(), host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<BrokerConfig, ConfigError> {
        BrokerConfig::load(Path::new("x.properties"), text, std::iter::empty())
    }

    #[test]
    fn a_lone_broker_needs_no_configuration() {
        let c = config("").unwrap();
        assert_eq!(c.voters, vec![(BrokerId(1), "127.0.0.1:9093".to_owned())]);
        assert_eq!(c.listeners[0].protocol, SecurityProtocol::Plaintext);
        assert_eq!(c.topic_defaults()["segment.bytes"], "1073741824");
    }

    #[test]
    fn contradictions_name_the_properties() {
        for (text, wanted) in [
            ("listeners=SSL://h:1", "ssl.keystore.certificate.location"),
            ("listeners=FOO://h:1", "listener.security.protocol.map"),
            ("listeners=PLAINTEXT:9092", "`PLAINTEXT:9092`"),
            ("controller.quorum.voters=1@a:1,2@b:1", "peer.ssl.ca.location"),
            ("controller.quorum.voters=2@b:1", "peer.ssl.ca.location"),
            ("advertised.listeners=SSL://h:1", "not among the listeners"),
            ("log.retention.ms=5\nlog.local.retention.ms=6", "log.local.retention.ms (6)"),
            ("security.bootstrap.user=x", "name:password"),
            ("listener.name.external.max.connections=5", "no listener external"),
            ("sasl.enabled.mechanisms=PLAIN,OAUTHBEARER", "sasl.oauthbearer.jwks.endpoint.url"),
            (
                "sasl.enabled.mechanisms=OAUTHBEARER\nsasl.oauthbearer.jwks.endpoint.url=http://h/k",
                "https://host[:port]/path",
            ),
            ("peer.listener=x", "host:port"),
        ] {
            let error = config(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn flags_go_over_the_environment_and_that_over_the_file() {
        let text = "num.partitions=2\nlog.retention.ms=5000\nlog.segment.bytes=1048576";
        let environment = || {
            [("ESKER_NUM_PARTITIONS", "3"), ("ESKER_LOG_RETENTION_MS", "6000")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into_iter()
        };
        let load = |flags: &[(&str, &str)]| {
            let flags: Vec<_> = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            BrokerConfig::load_with(Path::new("x.properties"), text, environment(), &flags)
        };
        let c = load(&[("num.partitions", "4")]).unwrap();
        assert_eq!(c.number("num.partitions"), 4);
        assert_eq!(c.number("log.retention.ms"), 6000);
        assert_eq!(c.number("log.segment.bytes"), 1_048_576);
        for (key, value) in
            [("num.partition", "4"), ("num.partitions", "many"), ("tier.store.secret.key", "a-secret")]
        {
            let error = load(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains("--set") && error.contains(key), "{error}");
        }
    }

    #[test]
    fn advertised_addresses_belong_to_their_listener() {
        let c = config("listeners=A://:1,B://:2\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\nadvertised.listeners=B://b.example:9")
            .unwrap();
        assert_eq!(c.listeners[0].advertised, None);
        assert_eq!(c.listeners[1].advertised, Some(("b.example".to_owned(), 9)));
    }
}
