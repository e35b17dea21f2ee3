//! `esker debug-bundle`: what whoever looks into a problem asks for first, in one archive, without secrets.
//!
//! Of a configuration the values of secrets are left out, and wherever else they should stand they are struck out. What could not
//! be collected is told in `errors.txt`: a cluster that is half down is when a bundle is wanted.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::client::{Client, ClusterArguments, Unreachable};
use super::report::done;
use super::{cluster, cluster_configs, config, doctor, group, health, topic};
use crate::broker::config::{BrokerConfig, DEFINITIONS, Kind};
use crate::env::{Env, OpenMode};

/// The most of a log's end that goes into the bundle.
const LOG_BYTES: u64 = 8 << 20;
/// The most of what an admin listener answers.
const ADMIN_BYTES: u64 = 32 << 20;
/// A secret below this is too common a text to be struck out.
const SECRET_CHARS: usize = 4;

/// Arguments of `esker debug-bundle`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The archive.
    #[arg(long, default_value = "esker-debug.tar.gz", value_name = "FILE")]
    out: PathBuf,
    /// A broker's configuration; goes in without its secrets.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A broker's log, of which the end goes in; may be given several times.
    #[arg(long = "log", value_name = "FILE")]
    logs: Vec<PathBuf>,
    /// A broker's admin listener, for its metrics (`https://HOST:PORT` for one with TLS); may be given several times. Asked as the same
    /// user as the cluster.
    #[arg(long = "admin", value_name = "HOST:PORT")]
    admin: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// What goes into the archive.
#[derive(Default)]
struct Bundle {
    files: Vec<(String, Vec<u8>)>,
    errors: Vec<String>,
    secrets: Vec<String>,
}

impl Bundle {
    fn add(&mut self, name: &str, content: Result<Vec<u8>>) {
        match content {
            Ok(content) => self.files.push((name.to_owned(), content)),
            Err(error) => self.errors.push(format!("{name}: {error:#}")),
        }
    }

    fn add_json(&mut self, name: &str, content: Result<Value>) {
        self.add(name, content.map(|value| format!("{value:#}\n").into_bytes()));
    }

    /// Strikes out what is secret, and packs.
    fn pack(mut self) -> Result<Vec<u8>> {
        let errors = self.errors.join("\n");
        self.files.push(("errors.txt".to_owned(), errors.into_bytes()));
        let mut archive = GzEncoder::new(Vec::new(), Compression::default());
        for (name, content) in self.files {
            let content = struck_out(content, &self.secrets);
            archive.write_all(&tar_header(&format!("esker-debug/{name}"), content.len())?)?;
            archive.write_all(&content)?;
            archive.write_all(&vec![0; content.len().next_multiple_of(TAR_BLOCK) - content.len()])?;
        }
        archive.write_all(&[0; 2 * TAR_BLOCK])?;
        Ok(archive.finish()?)
    }
}

/// The same without secrets.
fn struck_out(content: Vec<u8>, secrets: &[String]) -> Vec<u8> {
    if secrets.is_empty() {
        return content;
    }
    let mut text = String::from_utf8_lossy(&content).into_owned();
    for secret in secrets {
        text = text.replace(secret.as_str(), "[hidden]");
    }
    text.into_bytes()
}

const TAR_BLOCK: usize = 512;

/// The header of a file in a tar archive (POSIX ustar).
fn tar_header(name: &str, bytes: usize) -> Result<[u8; TAR_BLOCK]> {
    let mut header = [0; TAR_BLOCK];
    let mut put = |at: usize, field: &[u8]| header[at..at + field.len()].copy_from_slice(field);
    anyhow::ensure!(name.len() <= 100, "{name} is too long a name");
    put(0, name.as_bytes());
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{bytes:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

/// The secrets of a configuration, as they would stand in a text.
fn secrets_of(config: &BrokerConfig) -> Vec<String> {
    let set =
        DEFINITIONS.iter().filter(|d| d.kind == Kind::Secret).filter_map(|d| config.properties.get(d.name));
    // `name:password`, `name=value,name=value`: each part may stand alone.
    let parts = set.flat_map(|value| std::iter::once(value).chain(value.split([':', '=', ','])));
    let mut secrets: Vec<String> =
        parts.map(str::trim).filter(|part| part.len() >= SECRET_CHARS).map(str::to_owned).collect();
    // The longest first: no part of one is left behind.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

/// Collects and packs.
///
/// # Errors
/// When the archive cannot be written, or a configuration is given that is none.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    let mut bundle = Bundle::default();
    let about = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "wall_ms": env.clock.wall_ms(),
    });
    bundle.add_json("about.json", Ok(about));
    bundle.add_json("machine.json", serde_json::to_value(doctor::machine(&env)).map_err(Into::into));
    if let Some(file) = &arguments.config {
        let config = config::load(&env, file, &[])?;
        bundle.secrets = secrets_of(&config);
        bundle.add_json("config.json", Ok(json!(config::rows(&config, true))));
    }
    collect_cluster(&env, &arguments.cluster, &mut bundle).await;
    collect_admin(&env, &arguments, &mut bundle).await;
    for (at, log) in arguments.logs.iter().enumerate() {
        let name = log.file_name().map_or_else(|| "log".into(), |name| name.to_string_lossy().into_owned());
        let short: String = name.chars().take(40).collect();
        bundle.add(&format!("log-{at}-{short}"), tail(&env, log));
    }
    let errors = bundle.errors.len();
    let packed = bundle.pack()?;
    let out = &arguments.out;
    // It tells much of a cluster: nobody else on this machine may read it.
    env.disk.write_secret(out, &packed).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!("{} is there already: name another file", out.display())
        }
        _ => anyhow::anyhow!("cannot write {}: {error}", out.display()),
    })?;
    if errors > 0 {
        eprintln!("{errors} things could not be collected; errors.txt says why");
    }
    done(arguments.cluster.output, "wrote", &out.display().to_string());
    Ok(())
}

async fn collect_admin(env: &Env, arguments: &Arguments, bundle: &mut Bundle) {
    let security = match arguments.cluster.security(env) {
        Ok(security) => security,
        Err(error) => return bundle.errors.push(format!("admin listeners: {error:#}")),
    };
    for address in &arguments.admin {
        let place = address.replace([':', '/', '[', ']'], "_");
        let ready = health::get(env, address, "/readyz?in-sync", ADMIN_BYTES, &security).await;
        // Why it is not ready is worth as much.
        let ready = ready.map(|(status, body)| format!("{status}\n{body}").into_bytes());
        bundle.add(&format!("admin-{place}-readyz.txt"), ready);
        let metrics = health::get(env, address, "/metrics", ADMIN_BYTES, &security).await;
        let metrics = metrics.and_then(|(status, body)| {
            anyhow::ensure!(status == 200, "{status}: {body}");
            Ok(body.into_bytes())
        });
        bundle.add(&format!("admin-{place}-metrics.txt"), metrics);
    }
}

async fn collect_cluster(env: &Env, cluster: &ClusterArguments, bundle: &mut Bundle) {
    let mut client = match Client::new(env, cluster) {
        Ok(client) => client,
        Err(error) => return bundle.errors.push(format!("cluster: {error:#}")),
    };
    let described = cluster::describe(&mut client).await;
    let away = described.as_ref().err().is_some_and(|error| error.is::<Unreachable>());
    bundle.add_json(
        "cluster.json",
        described.map(|(mut head, rows)| {
            head["brokers"] = rows.to_json();
            head
        }),
    );
    if away {
        return;
    }
    bundle.add_json("topics.json", topic::list(&mut client).await.map(|rows| rows.to_json()));
    bundle.add_json("partitions.json", topic::partitions(&mut client).await.map(|rows| rows.to_json()));
    bundle.add_json("groups.json", group::list(&mut client).await.map(|rows| rows.to_json()));
    let brokers = client.metadata(Some(&[])).await.map(|metadata| metadata.brokers).unwrap_or_default();
    for broker in brokers {
        let id = broker.node_id;
        let configs = cluster_configs::of_broker(&mut client, id).await;
        bundle.add_json(&format!("broker-{id}-configs.json"), configs.map(|rows| rows.to_json()));
    }
}

/// The end of a file.
fn tail(env: &Env, path: &std::path::Path) -> Result<Vec<u8>> {
    let file =
        env.disk.open(path, OpenMode::Read).with_context(|| format!("cannot read {}", path.display()))?;
    let length = file.len()?;
    let start = length.saturating_sub(LOG_BYTES);
    let mut bytes = vec![0; usize::try_from(length - start)?];
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], start + read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn secrets_are_struck_out_wherever_they_stand() {
        let text = "security.bootstrap.user=admin:hunter2hunter2\ntelemetry.otlp.headers=authorization=Bearer abcdef\n";
        let config = BrokerConfig::load(Path::new("a.properties"), text, std::iter::empty()).unwrap();
        let mut bundle = Bundle { secrets: secrets_of(&config), ..Bundle::default() };
        bundle.add("log", Ok(b"login of admin with hunter2hunter2, Bearer abcdef".to_vec()));
        let log = struck_out(bundle.files[0].1.clone(), &bundle.secrets);
        let log = String::from_utf8(log).unwrap();
        assert!(!log.contains("hunter2") && !log.contains("abcdef") && log.contains("[hidden]"), "{log}");
    }

    #[test]
    fn the_archive_is_one_that_tar_reads() {
        let mut bundle = Bundle::default();
        bundle.add("a.txt", Ok(b"hello".to_vec()));
        bundle.add("b.txt", Err(anyhow::anyhow!("is away")));
        let packed = bundle.pack().unwrap();
        let mut tar = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut tar).unwrap();
        assert_eq!(&tar[..19], b"esker-debug/a.txt\0\0");
        assert_eq!(&tar[TAR_BLOCK..TAR_BLOCK + 5], b"hello");
        let sum: u32 = tar[..TAR_BLOCK]
            .iter()
            .enumerate()
            .map(|(at, byte)| u32::from(if (148..156).contains(&at) { b' ' } else { *byte }))
            .sum();
        assert_eq!(std::str::from_utf8(&tar[148..154]).unwrap(), format!("{sum:06o}"));
        assert!(String::from_utf8_lossy(&tar).contains("b.txt: is away"));
        assert_eq!(tar.len() % TAR_BLOCK, 0);
    }
}
