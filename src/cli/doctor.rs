//! `esker doctor`: is this machine one that a broker should run on, and how to mend what is not.
//!
//! It looks at limits, buffers, disks, the clock and the store that a configuration names. A finding is `ok`, `warn` (it works,
//! worse than it could) or `bad` (it will fail); any `bad` makes the exit code 1.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use bytes::Bytes;
use comfy_table::{Table, presets};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use tiering::store::{RemoteStore, SharedStore, StoreError, StoreLocation};

use super::Output;
use super::client::{Client, ClusterArguments};
use super::cluster_configs;
use crate::broker::config::{BrokerConfig, Ignored, InForce, Overrides};
use crate::broker::remote_options;
use crate::env::{Env, OpenMode};

const WANTED_FILES: u64 = 65_536;
const WANTED_UDP_BYTES: u64 = 4 << 20;
const WANTED_FREE_BYTES: u64 = 10 << 30;
/// The least part of a multipart upload in S3, but for the last one.
const PART_BYTES: usize = 5 << 20;

/// Arguments of `esker doctor`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The broker's configuration: names the disks and the store. Without it only the machine is looked at.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Asks the running cluster what was set at run time, and holds it against the configuration.
    #[arg(long, requires = "config")]
    live: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    Ok,
    Warn,
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    what: String,
    grade: Grade,
    found: String,
    /// What to do; empty where nothing is to be done.
    mend: String,
}

fn finding(what: &str, good: bool, otherwise: Grade, found: String, mend: &str) -> Finding {
    let grade = if good { Grade::Ok } else { otherwise };
    let mend = if good { String::new() } else { mend.to_owned() };
    Finding { what: what.to_owned(), grade, found, mend }
}

/// Looks at the machine.
///
/// # Errors
/// A configuration that is refused, or something that is bad.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    let config = arguments.config.as_ref().map(|file| super::config::load(&env, file, &[])).transpose()?;
    let mut findings = machine(&env);
    if let Some(config) = &config {
        for dir in &config.log_dirs {
            findings.extend(disk(&env, dir));
        }
        findings.extend(store(&env, config).await);
        if arguments.live {
            findings.extend(set_at_run_time(&env, config, &arguments.cluster).await?);
        }
    }
    if arguments.cluster.output == Output::Json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["what", "", "found", "to mend it"]);
        for f in &findings {
            let grade = format!("{:?}", f.grade).to_lowercase();
            table.add_row([f.what.as_str(), grade.as_str(), f.found.as_str(), f.mend.as_str()]);
        }
        println!("{table}");
    }
    match findings.iter().filter(|f| f.grade == Grade::Bad).count() {
        0 => Ok(()),
        1 => bail!("one thing is to be mended before a broker runs here"),
        n => bail!("{n} things are to be mended before a broker runs here"),
    }
}

/// The text of a small file of the kernel; its length is told as 0.
fn kernel_text(env: &Env, path: &str) -> Option<String> {
    let file = env.disk.open(Path::new(path), OpenMode::Read).ok()?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = file.read_at(&mut chunk, bytes.len() as u64) {
        bytes.extend_from_slice(&chunk[..read]);
    }
    String::from_utf8(bytes).ok()
}

/// What there is to say of the machine itself.
pub fn machine(env: &Env) -> Vec<Finding> {
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let mut findings = vec![finding(
        "open files",
        files >= WANTED_FILES,
        if files < 4096 { Grade::Bad } else { Grade::Warn },
        format!("up to {files}"),
        "LimitNOFILE=1048576 in the systemd unit, or `ulimit -Hn 1048576`",
    )];
    for (name, key) in [("UDP receive buffer", "rmem_max"), ("UDP send buffer", "wmem_max")] {
        let bytes = kernel_text(env, &format!("/proc/sys/net/core/{key}"));
        let Some(bytes) = bytes.and_then(|text| text.trim().parse::<u64>().ok()) else { continue };
        findings.push(finding(
            name,
            bytes >= WANTED_UDP_BYTES,
            Grade::Warn,
            format!("up to {bytes} bytes"),
            &format!("sysctl -w net.core.{key}=16777216 (and in /etc/sysctl.d)"),
        ));
    }
    let synchronised =
        ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.sock", "/run/ntpd.sock", "/run/chrony"]
            .iter()
            .any(|path| env.disk.exists(Path::new(path)).unwrap_or(false));
    findings.push(finding(
        "clock",
        synchronised,
        Grade::Warn,
        if synchronised { "a time service runs" } else { "no time service is seen" }.to_owned(),
        "run chrony or systemd-timesyncd: retention and timestamps follow the wall clock",
    ));
    findings
}

fn disk(env: &Env, dir: &Path) -> Vec<Finding> {
    let name = |what: &str| format!("{what} {}", dir.display());
    if let Err(error) = env.disk.create_dir_all(dir) {
        let mend = "make the folder, and let the broker's user write to it";
        return vec![finding(&name("log directory"), false, Grade::Bad, error.to_string(), mend)];
    }
    let probe = dir.join(".esker-doctor");
    let written = env
        .disk
        .open(&probe, OpenMode::ReadWrite)
        .and_then(|file| file.write_all_at(b"doctor", 0).and_then(|()| file.sync()))
        .and_then(|()| env.disk.remove_file(&probe));
    let mut findings = vec![finding(
        &name("log directory"),
        written.is_ok(),
        Grade::Bad,
        written.as_ref().map_or_else(ToString::to_string, |()| "can be written and flushed".to_owned()),
        "let the broker's user write to it; look at dmesg if the device fails",
    )];
    if let Ok(free) = env.disk.available_bytes(dir) {
        findings.push(finding(
            &name("free space in"),
            free >= WANTED_FREE_BYTES,
            Grade::Warn,
            format!("{} MiB", free >> 20),
            "a larger disk, or smaller local retention",
        ));
    }
    let mounts = kernel_text(env, "/proc/self/mountinfo").unwrap_or_default();
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    if let Some((kind, options)) = file_system(&mounts, &absolute) {
        findings.push(finding(
            &name("file system of"),
            matches!(kind, "xfs" | "ext4"),
            if matches!(kind, "nfs" | "nfs4" | "cifs" | "tmpfs") { Grade::Bad } else { Grade::Warn },
            kind.to_owned(),
            "XFS (or ext4) on a local disk, mounted with noatime",
        ));
        // relatime, the kernel's default, writes a time at most once a day and file.
        let quiet = options.split(',').any(|option| matches!(option, "noatime" | "relatime"));
        findings.push(finding(
            &name("access times on"),
            quiet,
            Grade::Warn,
            if quiet { "not written at each read" } else { "written at each read" }.to_owned(),
            "mount it with noatime",
        ));
    }
    findings
}

/// The type of the file system that holds a folder, and how it is mounted (proc_pid_mountinfo(5)).
fn file_system<'a>(mounts: &'a str, dir: &Path) -> Option<(&'a str, &'a str)> {
    mounts
        .lines()
        .filter_map(|line| {
            let point = line.split(' ').nth(4)?;
            let (_, rest) = line.split_once(" - ")?;
            let found = (rest.split(' ').next()?, line.split(' ').nth(5)?);
            dir.starts_with(point).then_some((point.len(), found))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, found)| found)
}

async fn store(env: &Env, config: &BrokerConfig) -> Vec<Finding> {
    let get = |key: &str| config.properties.get(key).map(str::to_owned);
    let Some(url) = get("tier.store.url") else { return Vec::new() };
    let options = remote_options(config);
    let opened = url
        .parse::<StoreLocation>()
        .map_err(|e| e.to_string())
        .and_then(|location| RemoteStore::open(&location, &options).map_err(|e| e.to_string()));
    match opened {
        Ok(store) => probe(env, Arc::new(store)).await,
        Err(error) => vec![finding("store", false, Grade::Bad, error, "tier.store.* in the configuration")],
    }
}

/// Whether what was set at run time, for this broker or for all, can be in force on a broker with this configuration.
async fn set_at_run_time(
    env: &Env,
    config: &BrokerConfig,
    cluster: &ClusterArguments,
) -> Result<Vec<Finding>> {
    let mut client = Client::new(env, cluster)?;
    let (everywhere, here) = cluster_configs::set_at_run_time(&mut client, config.node_id.0).await?;
    let count = everywhere.len() + here.len();
    let in_force = InForce::as_far_as_possible(config, &Overrides { everywhere, here })?;
    let contradiction = |ignored: &Ignored| {
        let whose =
            if ignored.here { format!("--broker {}", config.node_id) } else { "--all-brokers".to_owned() };
        let mend = format!(
            "change this broker's file, or `esker config unset {whose} {}`: until then the broker leaves the value out",
            ignored.name
        );
        finding(
            &format!("set at run time: {}", ignored.name),
            false,
            Grade::Warn,
            ignored.why.to_string(),
            &mend,
        )
    };
    let mut findings: Vec<Finding> = in_force.ignored.iter().map(contradiction).collect();
    if findings.is_empty() {
        let found = format!("{count} values, none contradicts the configuration");
        findings.push(finding("set at run time", true, Grade::Ok, found, ""));
    }
    Ok(findings)
}

/// What the tier asks of a store, tried on objects of our own.
async fn probe(env: &Env, store: SharedStore) -> Vec<Finding> {
    let key = format!("esker-doctor/{}", env.rng.uuid());
    let rights =
        "the credentials need Get, Put, Delete, AbortMultipartUpload on the prefix, and List on the bucket";
    let told = |what: &str, outcome: Result<(), StoreError>, mend: &str| {
        let found = outcome.as_ref().map_or_else(ToString::to_string, |()| "works".to_owned());
        finding(what, outcome.is_ok(), Grade::Bad, found, mend)
    };
    let body = Bytes::from_static(b"0123456789");
    let first = store.put_if_absent(&key, vec![body.clone()]).await;
    let reachable = first.is_ok();
    let mut findings = vec![told("store: write", first, rights)];
    if !reachable {
        return findings;
    }
    let again = store.put_if_absent(&key, vec![body.clone()]).await;
    let refused = matches!(again, Err(StoreError::AlreadyExists { .. }));
    findings.push(finding(
        "store: put if absent",
        refused,
        Grade::Bad,
        if refused { "a second one is refused" } else { "a second one is not refused" }.to_owned(),
        "the store must obey If-None-Match: without it two leaders could write one manifest",
    ));
    let part = store.get_range(&key, 2..5).await;
    let right = part.as_ref().is_ok_and(|bytes| bytes[..] == body[2..5]);
    findings.push(finding(
        "store: read of a range",
        right,
        Grade::Bad,
        part.map_or_else(|e| e.to_string(), |bytes| format!("{} bytes", bytes.len())),
        rights,
    ));
    let multipart = async {
        let large = format!("{key}-parts");
        let mut upload = store.begin_multipart(&large).await?;
        upload.put_part(0, vec![Bytes::from(vec![7; PART_BYTES])]).await?;
        upload.put_part(1, vec![body.clone()]).await?;
        upload.complete().await?;
        store.delete(&large).await
    };
    findings.push(told("store: upload in parts", multipart.await, rights));
    findings.push(told("store: list", store.list("esker-doctor/", None).await.map(|_| ()), rights));
    findings.push(told("store: remove", store.delete(&key).await, rights));
    findings
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use async_trait::async_trait;
    use tiering::store::{Listed, MemoryStore, PartUpload, Pieces, Store, Suffix};

    use super::*;
    use crate::env::Disk as _;
    use crate::env::sim::SimDisk;

    #[test]
    fn the_longest_mount_point_says_the_file_system() {
        let mounts = "1 0 8:1 / / rw,relatime - ext4 a rw\n22 1 8:2 / /data rw shared:1 - tmpfs b rw\n";
        assert_eq!(file_system(mounts, Path::new("/data/x")), Some(("tmpfs", "rw")));
        assert_eq!(file_system(mounts, Path::new("/database")), Some(("ext4", "rw,relatime")));
    }

    /// The grade of what a machine with these files of the kernel has.
    fn graded(files: &[(&str, &str)], what: &str) -> Option<Grade> {
        let disk = SimDisk::new();
        for (path, text) in files {
            disk.create_dir_all(Path::new(path).parent().unwrap()).unwrap();
            disk.open(Path::new(path), OpenMode::CreateNew)
                .unwrap()
                .write_all_at(text.as_bytes(), 0)
                .unwrap();
        }
        let env = Env { disk: Arc::new(disk), ..Env::real() };
        let mut findings = machine(&env);
        findings.extend(super::disk(&env, Path::new("/data")));
        let found = findings.into_iter().find(|finding| finding.what == what)?;
        assert_eq!(found.mend.is_empty(), found.grade == Grade::Ok, "{found:?}");
        Some(found.grade)
    }

    #[test]
    fn small_buffers_a_clock_that_nobody_sets_and_access_times_are_found() {
        let (receive, send) = ("/proc/sys/net/core/rmem_max", "/proc/sys/net/core/wmem_max");
        let buffers = |bytes: &'static str| [(receive, bytes), (send, bytes)];
        for what in ["UDP receive buffer", "UDP send buffer"] {
            assert_eq!(graded(&buffers("212992\n"), what), Some(Grade::Warn));
            assert_eq!(graded(&buffers("16777216\n"), what), Some(Grade::Ok));
            assert_eq!(graded(&[], what), None, "a kernel that does not tell");
        }
        assert_eq!(graded(&[], "clock"), Some(Grade::Warn));
        assert_eq!(graded(&[("/run/chrony/chronyd.sock", "")], "clock"), Some(Grade::Ok));
        let mounts = |line: &'static str| [("/proc/self/mountinfo", line)];
        for (line, kind, times) in [
            ("22 1 8:2 / /data rw,noatime shared:1 - xfs b rw\n", Grade::Ok, Grade::Ok),
            ("22 1 8:2 / /data rw,relatime shared:1 - btrfs b rw\n", Grade::Warn, Grade::Ok),
            ("22 1 8:2 / /data rw shared:1 - nfs4 b rw\n", Grade::Bad, Grade::Warn),
        ] {
            assert_eq!(graded(&mounts(line), "file system of /data"), Some(kind), "{line}");
            assert_eq!(graded(&mounts(line), "access times on /data"), Some(times), "{line}");
        }
    }

    /// A store that takes no notice of If-None-Match.
    #[derive(Debug)]
    struct Careless(MemoryStore);

    #[async_trait]
    impl Store for Careless {
        async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
            self.0.put(key, pieces).await
        }

        async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
            self.0.put(key, pieces).await
        }

        async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
            self.0.get(key).await
        }

        async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
            self.0.get_range(key, range).await
        }

        async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
            self.0.get_suffix(key, bytes).await
        }

        async fn head(&self, key: &str) -> Result<u64, StoreError> {
            self.0.head(key).await
        }

        async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
            self.0.list(prefix, start_after).await
        }

        async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
            self.0.list_folders(prefix).await
        }

        async fn delete(&self, key: &str) -> Result<(), StoreError> {
            self.0.delete(key).await
        }

        async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
            self.0.begin_multipart(key).await
        }
    }

    #[tokio::test]
    async fn a_store_that_does_not_obey_if_none_match_is_bad_and_nothing_else_of_it() {
        let findings = probe(&Env::real(), Arc::new(Careless(MemoryStore::new()))).await;
        let bad: Vec<_> =
            findings.iter().filter(|f| f.grade == Grade::Bad).map(|f| f.what.as_str()).collect();
        assert_eq!(bad, ["store: put if absent"], "{findings:?}");
    }

    #[tokio::test]
    async fn a_folder_does_all_that_a_store_must_and_a_missing_one_is_told() {
        let env = Env::real();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().display());
        let store =
            RemoteStore::open(&url.parse().unwrap(), &tiering::store::RemoteOptions::default()).unwrap();
        let findings = probe(&env, Arc::new(store)).await;
        assert!(findings.iter().all(|f| f.grade == Grade::Ok), "{findings:?}");
        assert_eq!(findings.len(), 6);
    }

    #[test]
    fn a_log_directory_that_is_a_file_is_bad_and_says_what_to_do() {
        let env = Env::real();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        env.disk.write_atomically(&file, b"x").unwrap();
        let findings = disk(&env, &file.join("data"));
        assert_eq!(findings[0].grade, Grade::Bad);
        assert!(findings[0].mend.contains("broker's user"));
    }
}
