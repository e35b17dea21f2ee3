//! `ApiVersionsRequest` and `ApiVersionsResponse`.
//!
//! Generated from `wire/schema/api_versions.schema` by `generate.py`; do not edit.

use crate::wire::codec::{
    Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes, Tags,
};
use crate::wire::{ApiKey, ErrorCode};

/// `ApiVersionsRequest`, API key 18, versions 0 to 4, flexible from 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiVersionsRequest {
    /// `ClientSoftwareName`, from version 3.
    pub client_software_name: StrBytes,
    /// `ClientSoftwareVersion`, from version 3.
    pub client_software_version: StrBytes,
}

impl Codec for ApiVersionsRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = ApiVersionsRequest {
            client_software_name: if version >= 3 { d.string(flexible)? } else { StrBytes::default() },
            client_software_version: if version >= 3 { d.string(flexible)? } else { StrBytes::default() },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        if version >= 3 {
            e.string(&self.client_software_name, flexible)?;
        }
        if version >= 3 {
            e.string(&self.client_software_version, flexible)?;
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for ApiVersionsRequest {
    const NAME: &'static str = "ApiVersionsRequest";
    const VERSIONS: (i16, i16) = (0, 4);
}

impl Request for ApiVersionsRequest {
    const KEY: ApiKey = ApiKey::ApiVersions;
    type Response = ApiVersionsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for ApiVersionsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ApiVersionsRequest {
            client_software_name: if version >= 3 { g.text() } else { StrBytes::default() },
            client_software_version: if version >= 3 { g.text() } else { StrBytes::default() },
        }
    }
}

/// `ApiVersionsResponse`, API key 18, versions 0 to 4, flexible from 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersionsResponse {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ApiKeys`.
    pub api_keys: Vec<ApiVersion>,
    /// `ThrottleTimeMs`, from version 1.
    pub throttle_time_ms: i32,
    /// `SupportedFeatures`, from version 3; tag 0.
    pub supported_features: Vec<SupportedFeatureKey>,
    /// `FinalizedFeaturesEpoch`, from version 3; tag 1; -1 when absent.
    pub finalized_features_epoch: i64,
    /// `FinalizedFeatures`, from version 3; tag 2.
    pub finalized_features: Vec<FinalizedFeatureKey>,
    /// `ZkMigrationReady`, from version 3; tag 3.
    pub zk_migration_ready: bool,
}

impl Default for ApiVersionsResponse {
    fn default() -> Self {
        ApiVersionsResponse {
            error_code: ErrorCode::NONE,
            api_keys: Vec::new(),
            throttle_time_ms: 0,
            supported_features: Vec::new(),
            finalized_features_epoch: -1,
            finalized_features: Vec::new(),
            zk_migration_ready: false,
        }
    }
}

impl Codec for ApiVersionsResponse {
    const MIN_BYTES: usize = 3;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let mut it = ApiVersionsResponse {
            error_code: d.error_code()?,
            api_keys: d.array(flexible, ApiVersion::MIN_BYTES, |d| ApiVersion::decode(d, version))?,
            throttle_time_ms: if version >= 1 { d.i32()? } else { 0 },
            supported_features: Vec::new(),
            finalized_features_epoch: -1,
            finalized_features: Vec::new(),
            zk_migration_ready: false,
        };
        if flexible {
            d.tags(|d, tag| {
                match tag {
                    0 => {
                        it.supported_features = d.array(true, SupportedFeatureKey::MIN_BYTES, |d| {
                            SupportedFeatureKey::decode(d, version)
                        })?
                    }
                    1 => it.finalized_features_epoch = d.i64()?,
                    2 => {
                        it.finalized_features = d.array(true, FinalizedFeatureKey::MIN_BYTES, |d| {
                            FinalizedFeatureKey::decode(d, version)
                        })?
                    }
                    3 => it.zk_migration_ready = d.bool()?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.error_code(self.error_code);
        e.array(&self.api_keys, flexible, |e, item| item.encode(e, version))?;
        if version >= 1 {
            e.i32(self.throttle_time_ms);
        }
        if flexible {
            let mut tags = Tags::new();
            if !self.supported_features.is_empty() {
                tags.add(0, |e| e.array(&self.supported_features, true, |e, item| item.encode(e, version)))?;
            }
            if self.finalized_features_epoch != -1 {
                tags.add(1, |e| {
                    e.i64(self.finalized_features_epoch);
                    Ok(())
                })?;
            }
            if !self.finalized_features.is_empty() {
                tags.add(2, |e| e.array(&self.finalized_features, true, |e, item| item.encode(e, version)))?;
            }
            if self.zk_migration_ready {
                tags.add(3, |e| {
                    e.bool(self.zk_migration_ready);
                    Ok(())
                })?;
            }
            e.tags(tags);
        }
        Ok(())
    }
}

impl Message for ApiVersionsResponse {
    const NAME: &'static str = "ApiVersionsResponse";
    const VERSIONS: (i16, i16) = (0, 4);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ApiVersionsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ApiVersionsResponse {
            error_code: ErrorCode(g.i16()),
            api_keys: g.array(|g| ApiVersion::sample(g, version)),
            throttle_time_ms: if version >= 1 { g.i32() } else { 0 },
            supported_features: if version >= 3 {
                g.array(|g| SupportedFeatureKey::sample(g, version))
            } else {
                Vec::new()
            },
            finalized_features_epoch: if version >= 3 { g.i64() } else { -1 },
            finalized_features: if version >= 3 {
                g.array(|g| FinalizedFeatureKey::sample(g, version))
            } else {
                Vec::new()
            },
            zk_migration_ready: if version >= 3 { g.bool() } else { false },
        }
    }
}

/// Part of `ApiVersionsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiVersion {
    /// `ApiKey`.
    pub api_key: i16,
    /// `MinVersion`.
    pub min_version: i16,
    /// `MaxVersion`.
    pub max_version: i16,
}

impl Codec for ApiVersion {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = ApiVersion { api_key: d.i16()?, min_version: d.i16()?, max_version: d.i16()? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.i16(self.api_key);
        e.i16(self.min_version);
        e.i16(self.max_version);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ApiVersion {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ApiVersion { api_key: g.i16(), min_version: g.i16(), max_version: g.i16() }
    }
}

/// Part of `ApiVersionsResponse`, from version 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SupportedFeatureKey {
    /// `Name`.
    pub name: StrBytes,
    /// `MinVersion`.
    pub min_version: i16,
    /// `MaxVersion`.
    pub max_version: i16,
}

impl Codec for SupportedFeatureKey {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = SupportedFeatureKey { name: d.string(true)?, min_version: d.i16()?, max_version: d.i16()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.i16(self.min_version);
        e.i16(self.max_version);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for SupportedFeatureKey {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        SupportedFeatureKey { name: g.text(), min_version: g.i16(), max_version: g.i16() }
    }
}

/// Part of `ApiVersionsResponse`, from version 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalizedFeatureKey {
    /// `Name`.
    pub name: StrBytes,
    /// `MaxVersionLevel`.
    pub max_version_level: i16,
    /// `MinVersionLevel`.
    pub min_version_level: i16,
}

impl Codec for FinalizedFeatureKey {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = FinalizedFeatureKey {
            name: d.string(true)?,
            max_version_level: d.i16()?,
            min_version_level: d.i16()?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.i16(self.max_version_level);
        e.i16(self.min_version_level);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for FinalizedFeatureKey {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        FinalizedFeatureKey { name: g.text(), max_version_level: g.i16(), min_version_level: g.i16() }
    }
}
