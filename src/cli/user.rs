//! `esker user`: SASL users, whose salted credentials live in the cluster's metadata.
//!
//! The password is salted here (`AlterUserScramCredentials`, KIP-554): it never reaches a broker. The first user is
//! created by the brokers from `security.bootstrap.user`.

use std::io::BufRead as _;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;

use super::client::{Client, ClusterArguments, check};
use super::report::done;
use crate::env::Env;
use crate::metadata::ScramMechanism;
use crate::security::scram;
use crate::wire::StrBytes;
use crate::wire::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};

const SALT_BYTES: usize = 24;

/// Arguments of `esker user`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Adds a user, or gives one a new password.
    Add {
        /// The name.
        name: String,
        /// The password; read from standard input if absent, so that it is in no list of processes.
        #[arg(long)]
        password: Option<String>,
        /// Only this mechanism; both if absent.
        #[arg(long, value_enum)]
        mechanism: Option<MechanismName>,
        /// PBKDF2 iterations.
        #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(4096..=16_384))]
        iterations: u32,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Removes a user.
    Delete {
        /// The name.
        name: String,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum MechanismName {
    #[value(name = "SCRAM-SHA-256")]
    Sha256,
    #[value(name = "SCRAM-SHA-512")]
    Sha512,
}

/// Does what is asked for.
///
/// # Errors
/// What the broker answers.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Add { name, password, mechanism, iterations, cluster } => {
            let password = match password {
                Some(password) => password,
                None => read_password()?,
            };
            ensure!(!password.is_empty(), "the password is empty");
            let mechanisms = match mechanism {
                Some(MechanismName::Sha256) => vec![ScramMechanism::Sha256],
                Some(MechanismName::Sha512) => vec![ScramMechanism::Sha512],
                None => vec![ScramMechanism::Sha256, ScramMechanism::Sha512],
            };
            let upsertions = mechanisms
                .into_iter()
                .map(|mechanism| upsertion(&env, &name, &password, mechanism, iterations))
                .collect::<Result<_>>()?;
            let mut client = Client::new(&env, &cluster)?;
            alter(&mut client, &AlterUserScramCredentialsRequest { deletions: Vec::new(), upsertions })
                .await?;
            done(cluster.output, "added", &name);
        }
        Command::Delete { name, cluster } => {
            let mut client = Client::new(&env, &cluster)?;
            let deletion = |mechanism| ScramCredentialDeletion {
                name: StrBytes::from(name.as_str()),
                mechanism: number(mechanism),
            };
            let mut gone = 0;
            let mut last = None;
            for mechanism in [ScramMechanism::Sha256, ScramMechanism::Sha512] {
                let request = AlterUserScramCredentialsRequest {
                    deletions: vec![deletion(mechanism)],
                    upsertions: Vec::new(),
                };
                // A user may have a credential of one mechanism only.
                match alter(&mut client, &request).await {
                    Ok(()) => gone += 1,
                    Err(error) => last = Some(error),
                }
            }
            if let (0, Some(error)) = (gone, last) {
                return Err(error);
            }
            done(cluster.output, "deleted", &name);
        }
    }
    Ok(())
}

async fn alter(client: &mut Client, request: &AlterUserScramCredentialsRequest) -> Result<()> {
    let response = client.ask_any(request).await?;
    ensure!(!response.results.is_empty(), "the broker left the user out");
    for result in &response.results {
        check(result.error_code, result.error_message.as_ref())
            .with_context(|| format!("user {}", result.user))?;
    }
    Ok(())
}

fn upsertion(
    env: &Env,
    name: &str,
    password: &str,
    mechanism: ScramMechanism,
    iterations: u32,
) -> Result<ScramCredentialUpsertion> {
    let mut salt = [0; SALT_BYTES];
    env.rng.fill(&mut salt);
    let salted = scram::salted_password(mechanism, password, &salt, iterations)?;
    Ok(ScramCredentialUpsertion {
        name: StrBytes::from(name),
        mechanism: number(mechanism),
        iterations: i32::try_from(iterations)?,
        salt: Bytes::copy_from_slice(&salt),
        salted_password: Bytes::from(salted),
    })
}

/// The mechanism's number in KIP-554.
fn number(mechanism: ScramMechanism) -> i8 {
    match mechanism {
        ScramMechanism::Sha256 => 1,
        ScramMechanism::Sha512 => 2,
    }
}

fn read_password() -> Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
