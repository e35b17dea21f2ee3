//! ApiVersions (key 18), versions 0 to 4: which APIs and features this broker serves (KIP-35, KIP-511, KIP-584).
//!
//! A version above 4 is answered in version 0 with UNSUPPORTED_VERSION and the same list, so that the client can try
//! again; the response header is never flexible. Errors: UNSUPPORTED_VERSION (35), INVALID_REQUEST (42) for a client
//! software name or version outside of `[a-zA-Z0-9.-]`.

use super::{Client, Context};
use crate::broker::Broker;
use crate::metadata::{COMMANDS, SUPPORTED_FEATURES};
use crate::wire::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::wire::{ApiKey, ErrorCode, StrBytes};

/// What is kept of a client's words about its software.
const MAX_SOFTWARE_CHARS: usize = 100;

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    answer(&context.broker, &context.client, version, &request)
}

/// The same, also for a client that has not proved yet who it is.
pub(super) fn answer(
    broker: &Broker,
    client: &Client,
    version: i16,
    request: &ApiVersionsRequest,
) -> ApiVersionsResponse {
    let named =
        names_software(&request.client_software_name) && names_software(&request.client_software_version);
    if version >= 3 && !named {
        return ApiVersionsResponse { error_code: ErrorCode::INVALID_REQUEST, ..Default::default() };
    }
    if version >= 3 {
        // It says so once; later words change nothing.
        let kept = |text: &StrBytes| text.chars().take(MAX_SOFTWARE_CHARS).collect();
        client
            .software
            .get_or_init(|| (kept(&request.client_software_name), kept(&request.client_software_version)));
    }
    let image = broker.image();
    // Older clients do not read a lowest version of 0 (KIP-1022).
    let supported = |(name, highest): &(&'static str, i16)| SupportedFeatureKey {
        name: StrBytes::from_static(name),
        min_version: if version >= 4 { 0 } else { 1 },
        max_version: *highest,
    };
    let finalized = |(name, level): (&String, &i16)| FinalizedFeatureKey {
        name: name.into(),
        max_version_level: *level,
        min_version_level: 1,
    };
    ApiVersionsResponse {
        api_keys: keys(),
        supported_features: SUPPORTED_FEATURES.iter().chain([&COMMANDS]).map(supported).collect(),
        finalized_features_epoch: i64::try_from(image.version).unwrap_or(i64::MAX),
        finalized_features: image.features.iter().map(finalized).collect(),
        ..Default::default()
    }
}

/// The answer, in version 0, to a version that is not served.
pub(super) fn unsupported_version() -> ApiVersionsResponse {
    ApiVersionsResponse { error_code: ErrorCode::UNSUPPORTED_VERSION, api_keys: keys(), ..Default::default() }
}

fn keys() -> Vec<ApiVersion> {
    ApiKey::ALL
        .iter()
        .map(|key| {
            let (min_version, max_version) = key.advertised_versions();
            ApiVersion { api_key: key.key(), min_version, max_version }
        })
        .collect()
}

/// Kafka's rule for the names of client software: letters and digits, with dots and dashes between them.
fn names_software(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    ends(text.chars().next())
        && ends(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Message as _;

    #[test]
    fn a_newer_client_learns_the_versions_from_version_0() {
        let answer = unsupported_version();
        assert!(answer.to_bytes(0).is_ok());
        assert_eq!(answer.error_code, ErrorCode(35));
        let produce = answer.api_keys.iter().find(|k| k.api_key == 0).unwrap();
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
    }

    #[test]
    fn software_names_are_letters_and_digits() {
        for (name, good) in
            [("apache-kafka-java", true), ("4.3.1", true), ("", false), ("-a", false), ("a b", false)]
        {
            assert_eq!(names_software(name), good, "{name}");
        }
    }
}
