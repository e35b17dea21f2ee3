//! The `esker` command: each subcommand in a file of its own.

mod acl;
mod audit_log;
mod bench;
mod certs;
mod client;
mod cluster;
mod cluster_configs;
mod config;
mod consume;
mod debug_bundle;
mod demo;
mod dev;
mod doctor;
mod group;
mod health;
mod otlp_log;
mod pages;
mod produce;
mod reassign;
mod report;
mod server;
mod tier;
mod times;
mod topic;
mod user;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use self::client::Unreachable;
use self::report::Output;
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
    /// Lists and describes consumer groups, moves their offsets, deletes them.
    Group(group::Arguments),
    /// Lists, adds and removes access control entries.
    Acl(acl::Arguments),
    /// Writes records from standard input to a topic.
    Produce(produce::Arguments),
    /// Reads records of a topic, from whichever tier they are in.
    Consume(consume::Arguments),
    /// Measures what a cluster takes and gives from here.
    Bench(bench::Arguments),
    /// Lists, checks, repairs, exports and restores what is in the cold tier's bucket, and sets a bucket up.
    Tier(tier::Arguments),
    /// Adds and removes SASL users.
    User(user::Arguments),
    /// Checks a broker's configuration file; shows and changes configs of a running cluster.
    Config(config::Arguments),
    /// Collects what is needed to look into a problem, without secrets, in one archive.
    DebugBundle(debug_bundle::Arguments),
    /// Looks whether this machine, its disks and the store are fit for a broker, and says how to mend what is not.
    Doctor(doctor::Arguments),
    /// Prints what a shell needs to complete our command line.
    Completions(pages::Completions),
    /// Writes the manual pages.
    Man(pages::Man),
}

/// The exit code when no broker could be reached; 1: refused or failed, 2: wrong usage.
const UNREACHABLE: u8 = 3;
/// The exit code of a process that a broken pipe has ended, as the shell counts it (128 + SIGPIPE).
const BROKEN_PIPE: i32 = 141;

/// Whoever reads our output may have seen enough (`| head`): then we end quietly, as other commands do.
fn end_quietly_on_a_broken_pipe() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or_default();
        if said.starts_with("failed printing to stdout") && said.contains("Broken pipe") {
            std::process::exit(BROKEN_PIPE);
        }
        usual(panic);
    }));
}

/// Runs the command line and returns the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    end_quietly_on_a_broken_pipe();
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
            if error.is::<Unreachable>() { ExitCode::from(UNREACHABLE) } else { ExitCode::FAILURE }
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
        Command::Group(arguments) => group::run(env, arguments).await,
        Command::Acl(arguments) => acl::run(env, arguments).await,
        Command::Produce(arguments) => produce::run(env, arguments).await,
        Command::Consume(arguments) => consume::run(env, arguments).await,
        Command::Bench(arguments) => bench::run(env, arguments).await,
        Command::User(arguments) => user::run(env, arguments).await,
        Command::Config(arguments) => config::run(&env, arguments).await,
        Command::DebugBundle(arguments) => debug_bundle::run(env, arguments).await,
        Command::Doctor(arguments) => doctor::run(env, arguments).await,
        Command::Completions(arguments) => pages::completions(Arguments::command(), &arguments),
        Command::Man(arguments) => pages::man(&env, Arguments::command(), &arguments),
    }
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
