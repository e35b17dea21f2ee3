//! UpdateFeatures (57), versions 0–2: finalizes features at a level, for the whole cluster (KIP-584, KIP-1022).
//!
//! A feature goes up to what this broker supports; it goes down (0 takes it away) only where the request says that it may.
//! All updates are made, or none. Version 1 can ask without changing anything.
//!
//! Errors: 31 not allowed · 42 nothing asked, a feature named twice, unknown, or a level that is not supported · 95 a level
//! below the finalized one without leave · 7 the quorum does not answer.

use std::collections::BTreeMap;

use super::Context;
use super::errors::ApiError;
use crate::metadata::{AclOperation, SUPPORTED_FEATURES};
use crate::wire::ErrorCode;
use crate::wire::messages::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

const UPGRADE: i8 = 1;

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    match update(context, version, &request).await {
        Ok(()) => UpdateFeaturesResponse {
            // From version 2 the answer has no results: it holds for all.
            results: match version {
                0 | 1 => request
                    .feature_updates
                    .into_iter()
                    .map(|f| UpdatableFeatureResult { feature: f.feature, ..Default::default() })
                    .collect(),
                _ => Vec::new(),
            },
            ..UpdateFeaturesResponse::default()
        },
        Err(ApiError { code, text }) => UpdateFeaturesResponse {
            error_code: code,
            error_message: Some(text.into()),
            ..UpdateFeaturesResponse::default()
        },
    }
}

async fn update(context: &Context, version: i16, request: &UpdateFeaturesRequest) -> Result<(), ApiError> {
    context.check_on_cluster(AclOperation::Alter)?;
    let image = context.broker.image();
    let mut levels = BTreeMap::new();
    for update in &request.feature_updates {
        let finalized = image.features.get(update.feature.as_str()).copied().unwrap_or(0);
        let level = check(version, update, finalized)?;
        if levels.insert(update.feature.as_str().to_owned(), level).is_some() {
            let text = format!("the feature {} is named twice", update.feature);
            return Err(ApiError::new(ErrorCode::INVALID_REQUEST, text));
        }
    }
    if levels.is_empty() {
        return Err(ApiError::new(ErrorCode::INVALID_REQUEST, "no feature is named"));
    }
    if request.validate_only {
        return Ok(());
    }
    let what = format!("{levels:?}");
    let updated = context.broker.update_features(levels).await.map_err(ApiError::from);
    context.changed("UpdateFeatures", &what, updated.as_ref().err());
    updated
}

/// The level that an update asks for, if it may be finalized.
fn check(version: i16, update: &FeatureUpdateKey, finalized: i16) -> Result<i16, ApiError> {
    let level = update.max_version_level;
    let name = update.feature.as_str();
    let highest =
        SUPPORTED_FEATURES.iter().find(|(feature, _)| *feature == name).map(|(_, highest)| *highest);
    if !highest.is_some_and(|highest| (0..=highest).contains(&level)) {
        let text = match highest {
            Some(highest) => format!(
                "Invalid update version {level} for feature {name}: levels 0 to {highest} are supported."
            ),
            None => {
                format!("Invalid update version {level} for feature {name}: no broker supports this feature.")
            }
        };
        return Err(ApiError::new(ErrorCode::INVALID_UPDATE_VERSION, text));
    }
    let may_go_down = if version == 0 { update.allow_downgrade } else { update.upgrade_type != UPGRADE };
    if level < finalized && !may_go_down {
        let text = format!(
            "Can't downgrade the version of feature {name} without setting the upgrade type to either safe or unsafe downgrade."
        );
        return Err(ApiError::new(ErrorCode::INVALID_UPDATE_VERSION, text));
    }
    Ok(level)
}
