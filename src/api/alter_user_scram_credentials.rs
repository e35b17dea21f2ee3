//! AlterUserScramCredentials (key 51), version 0: adds, changes and removes users (KIP-554).
//!
//! The client has salted the password: the password itself never comes here. One request may bring several mechanisms
//! of a user.
//!
//! Errors per user: CLUSTER_AUTHORIZATION_FAILED (31), UNACCEPTABLE_CREDENTIAL (93: an empty name, salt or iterations out of bounds),
//! UNSUPPORTED_SASL_MECHANISM (33), RESOURCE_NOT_FOUND (91: a removal of what is not there), DUPLICATE_RESOURCE (92: a
//! credential named twice), REQUEST_TIMED_OUT (7).

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::describe_user_scram_credentials::mechanism_of;
use super::errors::ApiError;
use crate::metadata::{AclOperation, Command, Image, ScramMechanism};
use crate::security::scram;
use crate::wire::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse, AlterUserScramCredentialsResult,
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use crate::wire::{ErrorCode, StrBytes};

/// The longest name of a user, in bytes.
const MAX_NAME_BYTES: usize = 255;

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    let allowed = context.check_on_cluster(AclOperation::Alter);
    let image = context.broker.image();
    // Per user: what to do, or why nothing is done.
    let mut users: BTreeMap<String, Result<Vec<Command>, ApiError>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut plan = |user: &StrBytes, mechanism: i8, command: Result<Command, ApiError>| {
        let command = if !seen.insert((user.to_string(), mechanism)) {
            Err(ApiError::new(ErrorCode::DUPLICATE_RESOURCE, "the credential is named twice"))
        } else {
            command
        };
        let commands = users.entry(user.to_string()).or_insert(Ok(Vec::new()));
        match (&mut *commands, command) {
            (Ok(all), Ok(command)) => all.push(command),
            (Ok(_), Err(error)) => *commands = Err(error),
            (Err(_), _) => {}
        }
    };
    for deletion in &request.deletions {
        plan(&deletion.name, deletion.mechanism, removal(&image, deletion));
    }
    for upsertion in &request.upsertions {
        plan(&upsertion.name, upsertion.mechanism, addition(upsertion));
    }
    let mut results = Vec::with_capacity(users.len());
    for (user, commands) in users {
        let done = match (&allowed, commands) {
            (Ok(()), Ok(commands)) => {
                let done = submit(context, commands).await;
                context.changed("AlterUserScramCredentials", &user, done.as_ref().err());
                done
            }
            (Err(denied), _) => Err(denied.clone()),
            (Ok(()), Err(error)) => Err(error),
        };
        let (error_code, error_message) = match done {
            Ok(()) => (ErrorCode::NONE, None),
            Err(ApiError { code, text }) => (code, Some(text.into())),
        };
        results.push(AlterUserScramCredentialsResult { user: user.into(), error_code, error_message });
    }
    AlterUserScramCredentialsResponse { throttle_time_ms: 0, results }
}

async fn submit(context: &Context, commands: Vec<Command>) -> Result<(), ApiError> {
    for command in commands {
        let submitted = context.broker.metadata().submit(command).await;
        submitted.map_err(|e| ApiError::new(ErrorCode::REQUEST_TIMED_OUT, e.to_string()))?;
    }
    Ok(())
}

fn removal(image: &Image, deletion: &ScramCredentialDeletion) -> Result<Command, ApiError> {
    let mechanism = known(deletion.mechanism)?;
    let user = deletion.name.to_string();
    if image.users.get(&user).is_none_or(|all| !all.contains_key(&mechanism)) {
        return Err(ApiError::new(ErrorCode::RESOURCE_NOT_FOUND, "the user has no such credential"));
    }
    Ok(Command::DeleteUser { user, mechanism: Some(mechanism) })
}

fn addition(upsertion: &ScramCredentialUpsertion) -> Result<Command, ApiError> {
    let unacceptable = |text: String| ApiError::new(ErrorCode::UNACCEPTABLE_CREDENTIAL, text);
    let mechanism = known(upsertion.mechanism)?;
    if upsertion.name.is_empty() || upsertion.name.len() > MAX_NAME_BYTES || upsertion.name.contains('\0') {
        return Err(unacceptable(format!("a user's name has 1 to {MAX_NAME_BYTES} bytes and no NUL")));
    }
    let iterations = u32::try_from(upsertion.iterations).unwrap_or(0);
    let credential =
        scram::credential_from_salted(mechanism, &upsertion.salt, &upsertion.salted_password, iterations)
            .map_err(|e| unacceptable(e.to_string()))?;
    Ok(Command::UpsertUser { user: upsertion.name.to_string(), mechanism, credential })
}

fn known(mechanism: i8) -> Result<ScramMechanism, ApiError> {
    mechanism_of(mechanism).ok_or_else(|| {
        ApiError::new(
            ErrorCode::UNSUPPORTED_SASL_MECHANISM,
            "there are SCRAM-SHA-256 (1) and SCRAM-SHA-512 (2)",
        )
    })
}
