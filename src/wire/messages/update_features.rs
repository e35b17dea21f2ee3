//! `UpdateFeaturesRequest` and `UpdateFeaturesResponse`.
//!
//! Generated from `wire/schema/update_features.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `UpdateFeaturesRequest`, API key 57, versions 0 to 2, flexible from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateFeaturesRequest {
    /// `TimeoutMs`; 60000 when absent.
    pub timeout_ms: i32,
    /// `FeatureUpdates`.
    pub feature_updates: Vec<FeatureUpdateKey>,
    /// `ValidateOnly`, from version 1.
    pub validate_only: bool,
}

impl Default for UpdateFeaturesRequest {
    fn default() -> Self {
        UpdateFeaturesRequest { timeout_ms: 60000, feature_updates: Vec::new(), validate_only: false }
    }
}

impl Codec for UpdateFeaturesRequest {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = UpdateFeaturesRequest {
            timeout_ms: d.i32()?,
            feature_updates: d
                .array(true, FeatureUpdateKey::MIN_BYTES, |d| FeatureUpdateKey::decode(d, version))?,
            validate_only: if version >= 1 { d.bool()? } else { false },
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.timeout_ms);
        e.array(&self.feature_updates, true, |e, item| item.encode(e, version))?;
        if version >= 1 {
            e.bool(self.validate_only);
        } else if self.validate_only {
            return Err(EncodeError::NotInVersion { field: "UpdateFeaturesRequest.ValidateOnly", version });
        }
        e.no_tags();
        Ok(())
    }
}

impl Message for UpdateFeaturesRequest {
    const NAME: &'static str = "UpdateFeaturesRequest";
    const VERSIONS: (i16, i16) = (0, 2);
}

impl Request for UpdateFeaturesRequest {
    const KEY: ApiKey = ApiKey::UpdateFeatures;
    type Response = UpdateFeaturesResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for UpdateFeaturesRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        UpdateFeaturesRequest {
            timeout_ms: g.i32(),
            feature_updates: g.array(|g| FeatureUpdateKey::sample(g, version)),
            validate_only: if version >= 1 { g.bool() } else { false },
        }
    }
}

/// Part of `UpdateFeaturesRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureUpdateKey {
    /// `Feature`.
    pub feature: StrBytes,
    /// `MaxVersionLevel`.
    pub max_version_level: i16,
    /// `AllowDowngrade`, to version 0.
    pub allow_downgrade: bool,
    /// `UpgradeType`, from version 1; 1 when absent.
    pub upgrade_type: i8,
}

impl Default for FeatureUpdateKey {
    fn default() -> Self {
        FeatureUpdateKey {
            feature: StrBytes::default(),
            max_version_level: 0,
            allow_downgrade: false,
            upgrade_type: 1,
        }
    }
}

impl Codec for FeatureUpdateKey {
    const MIN_BYTES: usize = 3;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = FeatureUpdateKey {
            feature: d.string(true)?,
            max_version_level: d.i16()?,
            allow_downgrade: if version <= 0 { d.bool()? } else { false },
            upgrade_type: if version >= 1 { d.i8()? } else { 1 },
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.feature, true)?;
        e.i16(self.max_version_level);
        if version <= 0 {
            e.bool(self.allow_downgrade);
        } else if self.allow_downgrade {
            return Err(EncodeError::NotInVersion { field: "FeatureUpdateKey.AllowDowngrade", version });
        }
        if version >= 1 {
            e.i8(self.upgrade_type);
        } else if self.upgrade_type != 1 {
            return Err(EncodeError::NotInVersion { field: "FeatureUpdateKey.UpgradeType", version });
        }
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for FeatureUpdateKey {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        FeatureUpdateKey {
            feature: g.text(),
            max_version_level: g.i16(),
            allow_downgrade: if version <= 0 { g.bool() } else { false },
            upgrade_type: if version >= 1 { g.i8() } else { 1 },
        }
    }
}

/// `UpdateFeaturesResponse`, API key 57, versions 0 to 2, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateFeaturesResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `Results`, to version 1.
    pub results: Vec<UpdatableFeatureResult>,
}

impl Codec for UpdateFeaturesResponse {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = UpdateFeaturesResponse {
            throttle_time_ms: d.i32()?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
            results: if version <= 1 {
                d.array(true, UpdatableFeatureResult::MIN_BYTES, |d| {
                    UpdatableFeatureResult::decode(d, version)
                })?
            } else {
                Vec::new()
            },
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        if version <= 1 {
            e.array(&self.results, true, |e, item| item.encode(e, version))?;
        }
        e.no_tags();
        Ok(())
    }
}

impl Message for UpdateFeaturesResponse {
    const NAME: &'static str = "UpdateFeaturesResponse";
    const VERSIONS: (i16, i16) = (0, 2);
}

#[cfg(test)]
impl crate::wire::samples::Sample for UpdateFeaturesResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        UpdateFeaturesResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            results: if version <= 1 {
                g.array(|g| UpdatableFeatureResult::sample(g, version))
            } else {
                Vec::new()
            },
        }
    }
}

/// Part of `UpdateFeaturesResponse`, to version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdatableFeatureResult {
    /// `Feature`.
    pub feature: StrBytes,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
}

impl Codec for UpdatableFeatureResult {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = UpdatableFeatureResult {
            feature: d.string(true)?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.feature, true)?;
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for UpdatableFeatureResult {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        UpdatableFeatureResult {
            feature: g.text(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
        }
    }
}
