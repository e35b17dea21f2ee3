//! `esker dev`: a cluster of real broker processes on this machine, with nothing to set up.
//!
//! Runs in the foreground. On standard output: a line `broker ID pid PID kafka HOST:PORT` for each broker as it is
//! started, a line `console ID URL` for each once it serves,
//! and `bootstrap.servers=…` once all of them do. On SIGTERM or Ctrl-C it ends them all. A broker that
//! died is started again by `esker dev start ID --data DIR`, which asks the running `dev` through `control`; its lines are printed again once
//! it serves. With `--output json`
//! each line is an object.

mod cluster;
mod control;
mod layout;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

pub use cluster::{Cluster, READY, REQUESTS, StoreRequests};
pub use layout::Options;

use super::report::Output;
use crate::env::Env;
use crate::types::BrokerId;

/// Arguments of `esker dev`.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// How many brokers.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=99))]
    brokers: u16,
    /// Kafka port of the first broker; broker i listens on the port i − 1 above it. 0 picks free ports.
    #[arg(long, default_value_t = 9092)]
    port: u16,
    /// Folder of the cluster's data; a temporary one if absent, removed at the end.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Store of the cold tier, `file:///folder` or `s3://bucket/prefix`; a folder inside the data if absent.
    #[arg(long, value_name = "URL")]
    tier: Option<String>,
    /// A broker property for every broker. Ports in `listeners` count up by one from broker to broker.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = super::key_value)]
    set: Vec<(String, String)>,
    /// How to print the lines.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Starts a broker of a running `esker dev` again.
    Start {
        /// The broker's id.
        id: i32,
        /// The folder that the running `dev` was given.
        #[arg(long)]
        data: PathBuf,
        /// How to print the broker's line.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// A line of ours, in words or as an object.
fn tell(output: Output, line: &str) {
    match output {
        Output::Table => println!("{line}"),
        Output::Json => println!("{}", object(line)),
    }
}

/// `broker 1 pid 2 kafka h:9092` as `{"broker": 1, "pid": 2, "kafka": "h:9092"}`, and so on.
fn object(line: &str) -> Value {
    if let Some((key, value)) = line.split_once('=') {
        return json!({ key: value });
    }
    let value = |word: &str| word.parse::<i64>().map_or_else(|_| Value::from(word), Value::from);
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["console", id, url] => json!({ "console": value(id), "url": url }),
        ["broker", id, "pid", pid, "kafka", address] => {
            json!({ "broker": value(id), "pid": value(pid), "kafka": address })
        }
        _ => json!({ "line": line }),
    }
}

/// Runs until SIGTERM or Ctrl-C, or asks a running one to start a broker.
///
/// # Errors
/// When a broker does not come up, with the end of its log.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    if let Some(Command::Start { id, data, output }) = arguments.command {
        let line = control::ask_to_start(&env, &data, BrokerId(id)).await?;
        tell(output, &line);
        return Ok(());
    }
    let temporary = arguments.data.is_none();
    let data = match arguments.data {
        Some(folder) => std::path::absolute(folder)?,
        None => std::env::temp_dir().join(format!("esker-dev-{}", env.rng.uuid().simple())),
    };
    let options = Options {
        brokers: arguments.brokers,
        port: arguments.port,
        data,
        tier: arguments.tier,
        set: arguments.set,
    };
    let folder = options.data.clone();
    let outcome = foreground(&env, options, arguments.output).await;
    if temporary {
        env.disk.remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    outcome
}

async fn foreground(env: &Env, options: Options, output: Output) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut cluster = Cluster::prepare(env, options)?;
    for note in cluster.notes() {
        eprintln!("{note}");
    }
    let mut requests = control::listen(env, cluster.data())?;
    let started = tokio::select! {
        started = cluster.start_all(|line| tell(output, line)) => started.map(|()| true),
        _ = terminate.recv() => Ok(false),
        _ = interrupt.recv() => Ok(false),
    };
    let outcome = match started {
        Ok(true) => {
            tell(output, &format!("bootstrap.servers={}", cluster.bootstrap_servers()));
            loop {
                tokio::select! {
                    _ = terminate.recv() => break Ok(()),
                    _ = interrupt.recv() => break Ok(()),
                    (id, status) = cluster.next_exit() => eprintln!("broker {id} ended ({status})"),
                    Some(request) = requests.recv() => match cluster.start(request.broker).await {
                        // Others are started meanwhile: one alone may have no quorum to serve with.
                        Ok(starting) => drop(tokio::spawn(async move {
                            let served = starting.until_ready().await;
                            if let Ok((line, console)) = &served {
                                tell(output, line);
                                if let Some(console) = console {
                                    tell(output, console);
                                }
                            }
                            request.answer(served.map(|(line, _)| line));
                        })),
                        Err(error) => request.answer(Err(error)),
                    },
                }
            }
        }
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    control::forget(env, cluster.data());
    cluster.stop().await;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_an_object_too() {
        let wanted = json!({"broker": 2, "pid": 77, "kafka": "127.0.0.1:9093"});
        assert_eq!(object("broker 2 pid 77 kafka 127.0.0.1:9093"), wanted);
        assert_eq!(object("console 2 http://[::1]:1"), json!({"console": 2, "url": "http://[::1]:1"}));
        assert_eq!(object("bootstrap.servers=a:1,b:2"), json!({"bootstrap.servers": "a:1,b:2"}));
    }
}
