//! DescribeUserScramCredentials (key 50), version 0: which users there are, with their mechanisms and iterations, and
//! nothing that a password could be guessed from (KIP-554).
//!
//! No list, or an empty one, asks for all. Errors: CLUSTER_AUTHORIZATION_FAILED (31); per user RESOURCE_NOT_FOUND (91), DUPLICATE_RESOURCE (92).

use std::collections::{BTreeMap, HashSet};

use super::Context;
use super::errors::ApiError;
use crate::metadata::{AclOperation, ScramCredential, ScramMechanism};
use crate::wire::messages::describe_user_scram_credentials::{
    CredentialInfo, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
};
use crate::wire::{ErrorCode, StrBytes};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    if let Err(ApiError { code, text }) = context.check_on_cluster(AclOperation::Describe) {
        // As Kafka: a result for each user that was named, without the name.
        let denied = |_| DescribeUserScramCredentialsResult {
            error_code: code,
            error_message: Some(text.as_str().into()),
            ..Default::default()
        };
        return DescribeUserScramCredentialsResponse {
            results: request.users.iter().flatten().map(denied).collect(),
            error_code: code,
            error_message: Some(text.into()),
            ..Default::default()
        };
    }
    let image = context.broker.image();
    let wanted = request.users.unwrap_or_default();
    let results = if wanted.is_empty() {
        image.users.iter().map(|(user, credentials)| described(user.as_str().into(), credentials)).collect()
    } else {
        let mut seen = HashSet::new();
        let repeated: HashSet<StrBytes> =
            wanted.iter().map(|u| u.name.clone()).filter(|name| !seen.insert(name.clone())).collect();
        let mut told = HashSet::new();
        wanted
            .into_iter()
            .map(|user| user.name)
            .filter(|name| told.insert(name.clone()))
            .map(|name| match image.users.get(name.as_str()) {
                _ if repeated.contains(&name) => {
                    failed(name, ErrorCode::DUPLICATE_RESOURCE, "the user is named twice")
                }
                None => failed(name, ErrorCode::RESOURCE_NOT_FOUND, "there is no such user"),
                Some(credentials) => described(name, credentials),
            })
            .collect()
    };
    DescribeUserScramCredentialsResponse { results, ..Default::default() }
}

fn described(
    user: StrBytes,
    credentials: &BTreeMap<ScramMechanism, ScramCredential>,
) -> DescribeUserScramCredentialsResult {
    let info = |(mechanism, credential): (&ScramMechanism, &ScramCredential)| CredentialInfo {
        mechanism: number_of(*mechanism),
        iterations: i32::try_from(credential.iterations).unwrap_or(i32::MAX),
    };
    DescribeUserScramCredentialsResult {
        user,
        credential_infos: credentials.iter().map(info).collect(),
        ..Default::default()
    }
}

fn failed(user: StrBytes, error_code: ErrorCode, text: &'static str) -> DescribeUserScramCredentialsResult {
    DescribeUserScramCredentialsResult {
        user,
        error_code,
        error_message: Some(StrBytes::from_static(text)),
        ..Default::default()
    }
}

/// KIP-554's number of a mechanism.
pub(super) fn number_of(mechanism: ScramMechanism) -> i8 {
    match mechanism {
        ScramMechanism::Sha256 => 1,
        ScramMechanism::Sha512 => 2,
    }
}

/// The mechanism of a number.
pub(super) fn mechanism_of(number: i8) -> Option<ScramMechanism> {
    [ScramMechanism::Sha256, ScramMechanism::Sha512].into_iter().find(|m| number_of(*m) == number)
}
