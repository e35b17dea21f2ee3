//! `esker certs`: the cluster's authority, and the certificates that it signs for nodes and clients.
//!
//! Files are PEM, named as `transport::certs` says; none is ever overwritten. `esker certs show` tells what is in a folder, and
//! fails when something in it is about to expire.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::report::{Output, Rows, print_json};
use crate::env::Env;
use crate::env::pem::{EXPIRY_WARNING_DAYS, expiry_ms, load_certificates};
use crate::transport::certs::Authority;
use crate::types::BrokerId;

/// How long certificates of nodes and clients are valid: two years.
const DAYS: u32 = 730;

/// Arguments of `esker certs`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Is content when the files are there already; for what runs more than once.
    #[arg(long, global = true)]
    keep: bool,
    /// How to print what was made or found.
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// A new authority: `ca.crt` for everybody, `ca.key` for the operator alone.
    Ca {
        /// The folder of the files.
        #[arg(long, default_value = "certs")]
        dir: PathBuf,
        /// A name for the cluster, to be read in the certificate.
        #[arg(long, default_value = "esker")]
        cluster: String,
    },
    /// A broker's certificate, for its peers and for its TLS listeners.
    Node {
        /// The folder of the files.
        #[arg(long, default_value = "certs")]
        dir: PathBuf,
        /// The broker's node.id.
        #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
        id: i32,
        /// A name or address by which clients reach it; may be given several times.
        #[arg(long = "host", required = true)]
        hosts: Vec<String>,
        /// Days until it expires.
        #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
    /// Names and expiry of all certificates of a folder; fails when one of them expires soon.
    Show {
        /// The folder of the files.
        #[arg(long, default_value = "certs")]
        dir: PathBuf,
        /// What is soon: fewer days than this.
        #[arg(long, default_value_t = EXPIRY_WARNING_DAYS)]
        days: i64,
    },
    /// A client's certificate, for listeners that ask for one.
    Client {
        /// The folder of the files.
        #[arg(long, default_value = "certs")]
        dir: PathBuf,
        /// The client's name.
        #[arg(long)]
        name: String,
        /// Days until it expires.
        #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
}

/// Makes what is asked for and says where it lies.
///
/// # Errors
/// When a file is there already, cannot be written, or the authority cannot be read.
pub fn run(env: &Env, arguments: &Arguments) -> Result<()> {
    let disk = env.disk.as_ref();
    let (dir, stem) = match &arguments.command {
        Command::Show { dir, days } => return show(env, dir, *days, arguments.output),
        Command::Ca { dir, .. } => (dir, "ca".to_owned()),
        Command::Node { dir, id, .. } => (dir, format!("node-{id}")),
        Command::Client { dir, name, .. } => (dir, format!("client-{name}")),
    };
    let files = ["crt", "key"].map(|ending| dir.join(format!("{stem}.{ending}")));
    let there = files.iter().try_fold(true, |all, file| disk.exists(file).map(|there| all && there))?;
    if arguments.keep && there {
        match arguments.output {
            Output::Json => tell_made(&[]),
            Output::Table => println!("{} is there already", files[0].display()),
        }
        return Ok(());
    }
    match &arguments.command {
        Command::Show { .. } => {}
        Command::Ca { dir, cluster } => {
            disk.create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
            Authority::new(env, cluster)?.write(disk, dir)?;
        }
        Command::Node { dir, id, hosts, days } => {
            let authority = Authority::load(disk, dir)?.valid_for_days(*days);
            let node = authority.issue_node(env, BrokerId(*id), hosts)?;
            node.write(disk, dir, &stem)?;
        }
        Command::Client { dir, name, days } => {
            let authority = Authority::load(disk, dir)?.valid_for_days(*days);
            authority.issue_client(env, name)?.write(disk, dir, &stem)?;
        }
    }
    match arguments.output {
        Output::Json => tell_made(&files),
        Output::Table => files.iter().for_each(|file| println!("{}", file.display())),
    }
    Ok(())
}

fn tell_made(files: &[PathBuf]) {
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    print_json(&json!({ "made": names }));
}

fn show(env: &Env, dir: &Path, soon: i64, output: Output) -> Result<()> {
    let disk = env.disk.as_ref();
    let files = disk.read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut rows = Rows::new(["file", "names", "expires", "days left"]);
    let (mut told, mut few) = (0, Vec::new());
    for name in files.into_iter().map(|file| file.name).filter(|name| name.ends_with(".crt")) {
        let file = dir.join(&name);
        let chain = load_certificates(disk, &file)?;
        let Some(expiry) = expiry_ms(&chain) else { bail!("{} is no X.509 certificate", file.display()) };
        let days = expiry.saturating_sub(env.clock.wall_ms()).div_euclid(24 * 60 * 60 * 1000);
        let (_, first) = X509Certificate::from_der(&chain[0])
            .with_context(|| format!("{} is no X.509 certificate", file.display()))?;
        let expires = first.validity().not_after.to_string();
        rows.add([name.as_str().into(), names(&first).into(), expires.into(), days.into()]);
        told += 1;
        if days < soon {
            few.push(name);
        }
    }
    if told == 0 {
        bail!("{} has no certificates", dir.display());
    }
    rows.print(output);
    if !few.is_empty() {
        bail!("expires in less than {soon} days: {}", few.join(", "));
    }
    Ok(())
}

/// Whom a certificate names: its common name, and what else clients may call it.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let mut all: Vec<String> = common.map(str::to_owned).collect();
    if let Ok(Some(others)) = certificate.subject_alternative_name() {
        all.extend(others.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        }));
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|name| seen.insert(name.clone()));
    all
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(four).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| IpAddr::from(sixteen).to_string())
}
