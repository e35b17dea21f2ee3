//! `DescribeConfigsRequest` and `DescribeConfigsResponse`.
//!
//! Generated from `wire/schema/describe_configs.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DescribeConfigsRequest`, API key 32, versions 1 to 4, flexible from 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeConfigsRequest {
    /// `Resources`.
    pub resources: Vec<DescribeConfigsResource>,
    /// `IncludeSynonyms`.
    pub include_synonyms: bool,
    /// `IncludeDocumentation`, from version 3.
    pub include_documentation: bool,
}

impl Codec for DescribeConfigsRequest {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = DescribeConfigsRequest {
            resources: d.array(flexible, DescribeConfigsResource::MIN_BYTES, |d| {
                DescribeConfigsResource::decode(d, version)
            })?,
            include_synonyms: d.bool()?,
            include_documentation: if version >= 3 { d.bool()? } else { false },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.array(&self.resources, flexible, |e, item| item.encode(e, version))?;
        e.bool(self.include_synonyms);
        if version >= 3 {
            e.bool(self.include_documentation);
        } else if self.include_documentation {
            return Err(EncodeError::NotInVersion {
                field: "DescribeConfigsRequest.IncludeDocumentation",
                version,
            });
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DescribeConfigsRequest {
    const NAME: &'static str = "DescribeConfigsRequest";
    const VERSIONS: (i16, i16) = (1, 4);
}

impl Request for DescribeConfigsRequest {
    const KEY: ApiKey = ApiKey::DescribeConfigs;
    type Response = DescribeConfigsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeConfigsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeConfigsRequest {
            resources: g.array(|g| DescribeConfigsResource::sample(g, version)),
            include_synonyms: g.bool(),
            include_documentation: if version >= 3 { g.bool() } else { false },
        }
    }
}

/// Part of `DescribeConfigsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeConfigsResource {
    /// `ResourceType`.
    pub resource_type: i8,
    /// `ResourceName`.
    pub resource_name: StrBytes,
    /// `ConfigurationKeys`.
    pub configuration_keys: Option<Vec<StrBytes>>,
}

impl Codec for DescribeConfigsResource {
    const MIN_BYTES: usize = 3;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = DescribeConfigsResource {
            resource_type: d.i8()?,
            resource_name: d.string(flexible)?,
            configuration_keys: d.nullable_array(flexible, 1, |d| d.string(flexible))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.i8(self.resource_type);
        e.string(&self.resource_name, flexible)?;
        e.nullable_array(self.configuration_keys.as_deref(), flexible, |e, item| e.string(item, flexible))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeConfigsResource {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DescribeConfigsResource {
            resource_type: g.i8(),
            resource_name: g.text(),
            configuration_keys: g.option(true, |g| g.array(|g| g.text())),
        }
    }
}

/// `DescribeConfigsResponse`, API key 32, versions 1 to 4, flexible from 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeConfigsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Results`.
    pub results: Vec<DescribeConfigsResult>,
}

impl Codec for DescribeConfigsResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = DescribeConfigsResponse {
            throttle_time_ms: d.i32()?,
            results: d.array(flexible, DescribeConfigsResult::MIN_BYTES, |d| {
                DescribeConfigsResult::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.i32(self.throttle_time_ms);
        e.array(&self.results, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DescribeConfigsResponse {
    const NAME: &'static str = "DescribeConfigsResponse";
    const VERSIONS: (i16, i16) = (1, 4);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeConfigsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeConfigsResponse {
            throttle_time_ms: g.i32(),
            results: g.array(|g| DescribeConfigsResult::sample(g, version)),
        }
    }
}

/// Part of `DescribeConfigsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeConfigsResult {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `ResourceType`.
    pub resource_type: i8,
    /// `ResourceName`.
    pub resource_name: StrBytes,
    /// `Configs`.
    pub configs: Vec<DescribeConfigsResourceResult>,
}

impl Codec for DescribeConfigsResult {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = DescribeConfigsResult {
            error_code: d.error_code()?,
            error_message: d.nullable_string(flexible)?,
            resource_type: d.i8()?,
            resource_name: d.string(flexible)?,
            configs: d.array(flexible, DescribeConfigsResourceResult::MIN_BYTES, |d| {
                DescribeConfigsResourceResult::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), flexible)?;
        e.i8(self.resource_type);
        e.string(&self.resource_name, flexible)?;
        e.array(&self.configs, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeConfigsResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeConfigsResult {
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            resource_type: g.i8(),
            resource_name: g.text(),
            configs: g.array(|g| DescribeConfigsResourceResult::sample(g, version)),
        }
    }
}

/// Part of `DescribeConfigsResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeConfigsResourceResult {
    /// `Name`.
    pub name: StrBytes,
    /// `Value`.
    pub value: Option<StrBytes>,
    /// `ReadOnly`.
    pub read_only: bool,
    /// `ConfigSource`; -1 when absent.
    pub config_source: i8,
    /// `IsSensitive`.
    pub is_sensitive: bool,
    /// `Synonyms`.
    pub synonyms: Vec<DescribeConfigsSynonym>,
    /// `ConfigType`, from version 3.
    pub config_type: i8,
    /// `Documentation`, from version 3.
    pub documentation: Option<StrBytes>,
}

impl Default for DescribeConfigsResourceResult {
    fn default() -> Self {
        DescribeConfigsResourceResult {
            name: StrBytes::default(),
            value: None,
            read_only: false,
            config_source: -1,
            is_sensitive: false,
            synonyms: Vec::new(),
            config_type: 0,
            documentation: None,
        }
    }
}

impl Codec for DescribeConfigsResourceResult {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = DescribeConfigsResourceResult {
            name: d.string(flexible)?,
            value: d.nullable_string(flexible)?,
            read_only: d.bool()?,
            config_source: d.i8()?,
            is_sensitive: d.bool()?,
            synonyms: d.array(flexible, DescribeConfigsSynonym::MIN_BYTES, |d| {
                DescribeConfigsSynonym::decode(d, version)
            })?,
            config_type: if version >= 3 { d.i8()? } else { 0 },
            documentation: if version >= 3 { d.nullable_string(flexible)? } else { None },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.string(&self.name, flexible)?;
        e.nullable_string(self.value.as_ref(), flexible)?;
        e.bool(self.read_only);
        e.i8(self.config_source);
        e.bool(self.is_sensitive);
        e.array(&self.synonyms, flexible, |e, item| item.encode(e, version))?;
        if version >= 3 {
            e.i8(self.config_type);
        }
        if version >= 3 {
            e.nullable_string(self.documentation.as_ref(), flexible)?;
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeConfigsResourceResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeConfigsResourceResult {
            name: g.text(),
            value: g.option(true, |g| g.text()),
            read_only: g.bool(),
            config_source: g.i8(),
            is_sensitive: g.bool(),
            synonyms: g.array(|g| DescribeConfigsSynonym::sample(g, version)),
            config_type: if version >= 3 { g.i8() } else { 0 },
            documentation: if version >= 3 { g.option(true, |g| g.text()) } else { None },
        }
    }
}

/// Part of `DescribeConfigsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeConfigsSynonym {
    /// `Name`.
    pub name: StrBytes,
    /// `Value`.
    pub value: Option<StrBytes>,
    /// `Source`.
    pub source: i8,
}

impl Codec for DescribeConfigsSynonym {
    const MIN_BYTES: usize = 3;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = DescribeConfigsSynonym {
            name: d.string(flexible)?,
            value: d.nullable_string(flexible)?,
            source: d.i8()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.string(&self.name, flexible)?;
        e.nullable_string(self.value.as_ref(), flexible)?;
        e.i8(self.source);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeConfigsSynonym {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DescribeConfigsSynonym { name: g.text(), value: g.option(true, |g| g.text()), source: g.i8() }
    }
}
