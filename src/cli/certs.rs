//! `esker certs`: the cluster's authority, and the certificates that it signs for nodes and clients.
//!
//! Files are PEM, named as `transport::certs` says; none is ever overwritten.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::env::Env;
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
        Command::Ca { dir, .. } => (dir, "ca".to_owned()),
        Command::Node { dir, id, .. } => (dir, format!("node-{id}")),
        Command::Client { dir, name, .. } => (dir, format!("client-{name}")),
    };
    let files = ["crt", "key"].map(|ending| dir.join(format!("{stem}.{ending}")));
    let there = files.iter().try_fold(true, |all, file| disk.exists(file).map(|there| all && there))?;
    if arguments.keep && there {
        println!("{} is there already", files[0].display());
        return Ok(());
    }
    match &arguments.command {
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
    for file in &files {
        println!("{}", file.display());
    }
    Ok(())
}
