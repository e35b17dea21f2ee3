//! The `esker` command: each subcommand in a file of its own.

mod audit_log;
mod certs;
mod client;
mod cluster;
mod config;
mod demo;
mod dev;
mod doctor;
mod health;
mod otlp_log;
mod pages;
mod reassign;
mod server;
mod tier;
mod topic;
mod user;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use crate::env::Env;

/// A Kafka-compatible broker with two tiers: hot segments on local disks, replicated over QUIC; cold ones in an
/// S3-compatible store.
#[derive(clap::Parser, Debug)]
#[command(name = "esker", version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Runs a cluster of real broker processes on this machine, with nothing to set up.
    Dev(dev::Arguments),
    /// Shows the product in a minute: real records through both tiers and back.
    Demo(demo::Arguments),
    /// Runs one broker.
    Server(server::Arguments),
    /// Makes the certificates of a cluster: its authority, its nodes, its clients.
    Certs(certs::Arguments),
    /// Shows the brokers and the metadata quorum; drains, adds and removes brokers.
    Cluster(cluster::Arguments),
    /// Asks a broker's admin listener how it is; for health checks.
    Health(health::Arguments),
    /// Spreads replicas over brokers: over a new one too, or away from one that leaves.
    Reassign(reassign::Arguments),
    /// Creates, lists, describes and deletes topics.
    Topic(topic::Arguments),
    /// Lists, checks, repairs, exports and restores what is in the cold tier's bucket, and sets a bucket up.
    Tier(tier::Arguments),
    /// Adds and removes SASL users.
    User(user::Arguments),
    /// Checks a broker's configuration, and shows what is in force.
    Config(config::Arguments),
    /// Looks whether this machine, its disks and the store are fit for a broker, and says how to mend what is not.
    Doctor(doctor::Arguments),
    /// Prints what a shell needs to complete our command line.
    Completions(pages::Completions),
    /// Writes the manual pages.
    Man(pages::Man),
}

/// Runs the command line and returns the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(Env::real(), arguments.command));
    // A read of the parent's pipe may still hang in a thread of the runtime.
    runtime.shutdown_timeout(Duration::from_millis(200));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(env: Env, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Dev(arguments) => dev::run(env, arguments).await,
        Command::Demo(arguments) => demo::run(env, arguments).await,
        Command::Server(arguments) => server::run(env, arguments).await,
        Command::Certs(arguments) => certs::run(&env, &arguments),
        Command::Cluster(arguments) => cluster::run(env, arguments).await,
        Command::Health(arguments) => health::run(&env, &arguments).await,
        Command::Reassign(arguments) => reassign::run(env, arguments).await,
        Command::Topic(arguments) => topic::run(env, arguments).await,
        Command::Tier(arguments) => tier::run(env, arguments).await,
        Command::User(arguments) => user::run(env, arguments).await,
        Command::Config(arguments) => config::run(&env, arguments),
        Command::Doctor(arguments) => doctor::run(env, arguments).await,
        Command::Completions(arguments) => {
            pages::completions(Arguments::command(), &arguments);
            Ok(())
        }
        Command::Man(arguments) => pages::man(&env, Arguments::command(), &arguments),
    }
}

/// How a subcommand prints what it found.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// `KEY=VALUE`, as `--set` and `--config` take it.
fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
