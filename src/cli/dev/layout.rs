//! Where a development cluster keeps its things, and the properties of each of its brokers.
//!
//! ```text
//! DIR/dev.json                 number of brokers and ports, kept so that a second run finds the same cluster
//! DIR/certs/                   the cluster's CA, a certificate for each broker
//! DIR/tier/                    the cold tier, unless another store is named
//! DIR/broker-<id>/             broker.properties, broker.log, data/
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::broker::config::BrokerConfig;
use crate::env::Env;
use crate::transport::certs::Authority;
use crate::types::BrokerId;

/// What a development cluster shall be.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many brokers.
    pub brokers: u16,
    /// The Kafka port of the first; 0 picks free ones.
    pub port: u16,
    /// The folder, absolute.
    pub data: PathBuf,
    /// The cold tier's URL; `None`: a folder inside `data`.
    pub tier: Option<String>,
    /// Broker properties on top of ours.
    pub set: Vec<(String, String)>,
}

/// What is remembered between two runs on the same folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Memory {
    brokers: u16,
    port: u16,
    peer_ports: Vec<u16>,
}

/// One broker of the cluster.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its id, from 1.
    pub id: BrokerId,
    /// Its folder.
    pub folder: PathBuf,
    /// Its configuration file.
    pub config: PathBuf,
    /// The address that a client is given, of its first listener.
    pub kafka: String,
}

/// The cluster as it lies in its folder, ready to be started.
#[derive(Debug)]
pub struct Layout {
    /// The brokers by id.
    pub nodes: Vec<Node>,
    /// What a user should know before it starts.
    pub notes: Vec<String>,
}

/// A listener of a `listeners` property.
struct Listener {
    name: String,
    host: String,
    port: u16,
}

impl Layout {
    /// Makes the folders, the certificates and the brokers' configuration files.
    ///
    /// # Errors
    /// When the folder holds another cluster, a listener without security would be open to the network, or a file
    /// cannot be written.
    pub fn write(env: &Env, options: &Options) -> Result<Layout> {
        let data = &options.data;
        env.disk.create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
        let memory = remember(env, options)?;
        let set: BTreeMap<&str, &str> =
            options.set.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let listeners = match set.get("listeners") {
            Some(text) => parse_listeners(text)?,
            None => {
                vec![Listener { name: "PLAINTEXT".into(), host: "127.0.0.1".into(), port: memory.port }]
            }
        };
        let mut notes = vec![format!("data: {}", data.display())];
        if let Some(open) =
            without_authentication(&listeners, set.get("listener.security.protocol.map").copied())
        {
            if !is_loopback(&open.host) {
                bail!(
                    "listener {}://{}:{} has no authentication, so `esker dev` lets it listen on loopback only; \
                     use 127.0.0.1, or a SASL_SSL listener",
                    open.name,
                    open.host,
                    open.port
                );
            }
            notes.push(
                "no security is set up, so this cluster listens on loopback only \
                 (--set listeners=SASL_SSL://… and --set security.bootstrap.user=NAME:PASSWORD change that)"
                    .to_owned(),
            );
        }
        let certs = data.join("certs");
        write_certificates(env, &certs, memory.brokers, &listeners)?;
        if listeners
            .iter()
            .any(|l| protocol(&l.name, set.get("listener.security.protocol.map").copied()).ends_with("SSL"))
        {
            notes.push(format!("clients trust {}", certs.join("ca.crt").display()));
        }
        let mut nodes = Vec::new();
        for index in 0..memory.brokers {
            let id = BrokerId(i32::from(index) + 1);
            let folder = data.join(format!("broker-{id}"));
            env.disk.create_dir_all(&folder)?;
            let config = folder.join("broker.properties");
            let properties = properties(options, &memory, &listeners, index, &folder, &certs, &set);
            let text: String = properties.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
            // A bad `--set` is told here, by its name, before anything runs.
            BrokerConfig::load(&config, &text, std::env::vars())?;
            write_private(env, &config, text.as_bytes())
                .with_context(|| format!("cannot write {}", config.display()))?;
            let kafka = kafka_address(&listeners, index, &set)?;
            nodes.push(Node { id, folder, config, kafka });
        }
        Ok(Layout { nodes, notes })
    }
}

/// Replaces a file that holds secrets: it is its owner's alone from its first byte on.
fn write_private(env: &Env, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    if env.disk.exists(&beside)? {
        env.disk.remove_file(&beside)?;
    }
    env.disk.write_secret(&beside, bytes)?;
    env.disk.rename(&beside, path)
}

fn remember(env: &Env, options: &Options) -> Result<Memory> {
    let file = options.data.join("dev.json");
    if env.disk.exists(&file)? {
        let mut memory: Memory = serde_json::from_slice(&env.disk.read(&file)?)
            .with_context(|| format!("{} is not what `esker dev` wrote", file.display()))?;
        if memory.brokers != options.brokers {
            bail!(
                "{} holds a cluster of {} brokers, not of {}",
                options.data.display(),
                memory.brokers,
                options.brokers
            );
        }
        if options.port != 0 && options.port != memory.port {
            memory.port = options.port;
            env.disk.write_atomically(&file, &serde_json::to_vec_pretty(&memory)?)?;
        }
        return Ok(memory);
    }
    let count = usize::from(options.brokers);
    let port = if options.port == 0 { free_port_row(env, options.brokers)? } else { options.port };
    if usize::from(port) + count > 65_536 {
        bail!("--port {port} leaves no room for {count} brokers");
    }
    let memory = Memory { brokers: options.brokers, port, peer_ports: free_udp_ports(env, count)? };
    env.disk.write_atomically(&file, &serde_json::to_vec_pretty(&memory)?)?;
    Ok(memory)
}

/// Free UDP ports for the peer listeners, all different.
fn free_udp_ports(env: &Env, count: usize) -> Result<Vec<u16>> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let held = (0..count).map(|_| env.net.bind_udp(any, 1 << 16)).collect::<std::io::Result<Vec<_>>>()?;
    held.iter().map(|socket| Ok(socket.local_addr()?.port())).collect()
}

/// The first of `count` free TCP ports in a row.
fn free_port_row(env: &Env, count: u16) -> Result<u16> {
    for _ in 0..200 {
        let first = 10_000 + u16::try_from(env.rng.next_u64() % 20_000).unwrap_or(0);
        let row = (first..first + count)
            .map(|port| env.net.listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
            .collect::<std::io::Result<Vec<_>>>();
        if row.is_ok() {
            return Ok(first);
        }
    }
    bail!("found no {count} free ports in a row")
}

fn parse_listeners(text: &str) -> Result<Vec<Listener>> {
    text.split(',')
        .map(|one| {
            let parsed = one.trim().split_once("://").and_then(|(name, address)| {
                let (host, port) = address.rsplit_once(':')?;
                Some(Listener { name: name.to_owned(), host: host.to_owned(), port: port.parse().ok()? })
            });
            parsed.with_context(|| format!("listeners: `{one}` is not NAME://host:port"))
        })
        .collect()
}

/// The security protocol of a listener: its own name unless the map says otherwise.
fn protocol<'a>(name: &'a str, map: Option<&'a str>) -> &'a str {
    map.into_iter()
        .flat_map(|map| map.split(','))
        .filter_map(|entry| entry.split_once(':'))
        .find(|(listener, _)| listener.trim() == name)
        .map_or(name, |(_, protocol)| protocol.trim())
}

fn without_authentication<'a>(listeners: &'a [Listener], map: Option<&str>) -> Option<&'a Listener> {
    let open = |l: &&Listener| !protocol(&l.name, map).starts_with("SASL");
    // The one that is open to the network, if there is one.
    listeners.iter().filter(open).find(|l| !is_loopback(&l.host)).or_else(|| listeners.iter().find(open))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn write_certificates(env: &Env, folder: &Path, brokers: u16, listeners: &[Listener]) -> Result<()> {
    if env.disk.exists(&folder.join("ca.crt"))? {
        return Ok(());
    }
    env.disk.create_dir_all(folder)?;
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    for listener in listeners {
        let host = listener.host.trim_matches(['[', ']']).to_owned();
        if !host.is_empty() && host != "0.0.0.0" && host != "::" && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    let authority = Authority::new(env, "dev")?;
    for id in 1..=i32::from(brokers) {
        let node = authority.issue_node(env, BrokerId(id), &hosts)?;
        node.write(env.disk.as_ref(), folder, &format!("node-{id}"))?;
    }
    // Last: its presence says that the others are there.
    authority.write(env.disk.as_ref(), folder)?;
    Ok(())
}

fn properties(
    options: &Options,
    memory: &Memory,
    listeners: &[Listener],
    index: u16,
    folder: &Path,
    certs: &Path,
    set: &BTreeMap<&str, &str>,
) -> BTreeMap<String, String> {
    let id = index + 1;
    let path = |p: PathBuf| p.display().to_string();
    let replicas = memory.brokers.min(3);
    let own: Vec<String> = listeners
        .iter()
        .map(|l| format!("{}://{}:{}", l.name, l.host, l.port.saturating_add(index)))
        .collect();
    let voters: Vec<String> = (1u16..)
        .zip(&memory.peer_ports)
        .take(voters(memory.brokers))
        .map(|(id, port)| format!("{id}@127.0.0.1:{port}"))
        .collect();
    let certificate = path(certs.join(format!("node-{id}.crt")));
    let key = path(certs.join(format!("node-{id}.key")));
    let tier =
        options.tier.clone().unwrap_or_else(|| format!("file://{}", options.data.join("tier").display()));
    let mut out = BTreeMap::from([
        ("node.id".to_owned(), id.to_string()),
        ("log.dirs".to_owned(), path(folder.join("data"))),
        ("peer.listener".to_owned(), format!("127.0.0.1:{}", memory.peer_ports[usize::from(index)])),
        ("controller.quorum.voters".to_owned(), voters.join(",")),
        ("peer.ssl.ca.location".to_owned(), path(certs.join("ca.crt"))),
        ("peer.ssl.certificate.location".to_owned(), certificate.clone()),
        ("peer.ssl.key.location".to_owned(), key.clone()),
        ("tier.store.url".to_owned(), tier),
        ("default.replication.factor".to_owned(), replicas.to_string()),
        ("offsets.topic.replication.factor".to_owned(), replicas.to_string()),
        ("min.insync.replicas".to_owned(), if replicas == 3 { "2" } else { "1" }.to_owned()),
        ("group.initial.rebalance.delay.ms".to_owned(), "0".to_owned()),
        ("admin.listeners".to_owned(), format!("http://127.0.0.1:{}", console_port(memory.port, index))),
    ]);
    let map = set.get("listener.security.protocol.map").copied();
    if listeners.iter().any(|l| protocol(&l.name, map).ends_with("SSL")) {
        out.insert("ssl.keystore.certificate.location".to_owned(), certificate);
        out.insert("ssl.keystore.key.location".to_owned(), key);
    }
    out.extend(set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    out.insert("listeners".to_owned(), own.join(","));
    if let Some(advertised) = set.get("advertised.listeners").and_then(|text| parse_listeners(text).ok()) {
        let own =
            advertised.iter().map(|l| format!("{}://{}:{}", l.name, l.host, l.port.saturating_add(index)));
        out.insert("advertised.listeners".to_owned(), own.collect::<Vec<_>>().join(","));
    }
    out
}

/// The ports that are easy to remember belong to the cluster on Kafka's own port; others take what is free.
fn console_port(port: u16, index: u16) -> u16 {
    if port == 9092 { 9644 + index } else { 0 }
}

/// How many of the brokers vote on the metadata: an odd number, at most five.
fn voters(brokers: u16) -> usize {
    match brokers {
        0..=2 => 1,
        3..=4 => 3,
        _ => 5,
    }
}

fn kafka_address(listeners: &[Listener], index: u16, set: &BTreeMap<&str, &str>) -> Result<String> {
    let advertised = set.get("advertised.listeners").map(|text| parse_listeners(text)).transpose()?;
    let first = advertised.as_deref().unwrap_or(listeners).first().context("listeners is empty")?;
    let host = match first.host.as_str() {
        "" | "0.0.0.0" => "127.0.0.1",
        host => host,
    };
    Ok(format!("{host}:{}", first.port.saturating_add(index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path, set: &[(&str, &str)]) -> Options {
        let set = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Options { brokers: 3, port: 0, data: folder.to_owned(), tier: None, set }
    }

    #[tokio::test]
    async fn a_second_run_on_the_same_folder_finds_the_same_ports() {
        let (env, folder) = (Env::real(), tempfile::tempdir().unwrap());
        let first = Layout::write(&env, &options(folder.path(), &[])).unwrap();
        let second = Layout::write(&env, &options(folder.path(), &[])).unwrap();
        let ports = |l: &Layout| l.nodes.iter().map(|n| n.kafka.clone()).collect::<Vec<_>>();
        assert_eq!(ports(&first), ports(&second));
    }

    #[tokio::test]
    async fn the_configuration_of_every_broker_is_one_that_a_broker_accepts() {
        let (env, folder) = (Env::real(), tempfile::tempdir().unwrap());
        let set = [("listeners", "SASL_SSL://127.0.0.1:19000"), ("num.partitions", "4")];
        let layout = Layout::write(&env, &options(folder.path(), &set)).unwrap();
        for (index, node) in (0u16..).zip(&layout.nodes) {
            let text = String::from_utf8(env.disk.read(&node.config).unwrap()).unwrap();
            let config = BrokerConfig::load(&node.config, &text, std::iter::empty()).unwrap();
            assert_eq!(config.listeners[0].port, 19_000 + index);
            assert_eq!(config.voters.len(), 3);
            assert_eq!(config.number("num.partitions"), 4);
        }
    }

    #[tokio::test]
    async fn a_bad_property_is_told_by_its_name_before_anything_runs() {
        let (env, folder) = (Env::real(), tempfile::tempdir().unwrap());
        for (key, value) in [("log.dir", "x"), ("num.partitions", "many")] {
            let error = Layout::write(&env, &options(folder.path(), &[(key, value)])).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[tokio::test]
    async fn a_listener_without_authentication_is_refused_outside_loopback() {
        let (env, folder) = (Env::real(), tempfile::tempdir().unwrap());
        for open in ["PLAINTEXT://0.0.0.0:9092", "SSL://10.0.0.1:9092", "SASL_SSL://0.0.0.0:1,SSL://:2"] {
            let error = Layout::write(&env, &options(folder.path(), &[("listeners", open)])).unwrap_err();
            assert!(error.to_string().contains("loopback"), "{error}");
        }
    }
}
