//! `AlterConfigsRequest` and `AlterConfigsResponse`.
//!
//! Generated from `wire/schema/alter_configs.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `AlterConfigsRequest`, API key 33, versions 0 to 2, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterConfigsRequest {
    /// `Resources`.
    pub resources: Vec<AlterConfigsResource>,
    /// `ValidateOnly`.
    pub validate_only: bool,
}

impl Codec for AlterConfigsRequest {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = AlterConfigsRequest {
            resources: d.array(flexible, AlterConfigsResource::MIN_BYTES, |d| {
                AlterConfigsResource::decode(d, version)
            })?,
            validate_only: d.bool()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.array(&self.resources, flexible, |e, item| item.encode(e, version))?;
        e.bool(self.validate_only);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for AlterConfigsRequest {
    const NAME: &'static str = "AlterConfigsRequest";
    const VERSIONS: (i16, i16) = (0, 2);
}

impl Request for AlterConfigsRequest {
    const KEY: ApiKey = ApiKey::AlterConfigs;
    type Response = AlterConfigsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for AlterConfigsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AlterConfigsRequest {
            resources: g.array(|g| AlterConfigsResource::sample(g, version)),
            validate_only: g.bool(),
        }
    }
}

/// Part of `AlterConfigsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterConfigsResource {
    /// `ResourceType`.
    pub resource_type: i8,
    /// `ResourceName`.
    pub resource_name: StrBytes,
    /// `Configs`.
    pub configs: Vec<AlterableConfig>,
}

impl Codec for AlterConfigsResource {
    const MIN_BYTES: usize = 3;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = AlterConfigsResource {
            resource_type: d.i8()?,
            resource_name: d.string(flexible)?,
            configs: d
                .array(flexible, AlterableConfig::MIN_BYTES, |d| AlterableConfig::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
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
impl crate::wire::samples::Sample for AlterConfigsResource {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AlterConfigsResource {
            resource_type: g.i8(),
            resource_name: g.text(),
            configs: g.array(|g| AlterableConfig::sample(g, version)),
        }
    }
}

/// Part of `AlterConfigsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterableConfig {
    /// `Name`.
    pub name: StrBytes,
    /// `Value`.
    pub value: Option<StrBytes>,
}

impl Codec for AlterableConfig {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = AlterableConfig { name: d.string(flexible)?, value: d.nullable_string(flexible)? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.string(&self.name, flexible)?;
        e.nullable_string(self.value.as_ref(), flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for AlterableConfig {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        AlterableConfig { name: g.text(), value: g.option(true, |g| g.text()) }
    }
}

/// `AlterConfigsResponse`, API key 33, versions 0 to 2, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterConfigsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Responses`.
    pub responses: Vec<AlterConfigsResourceResponse>,
}

impl Codec for AlterConfigsResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = AlterConfigsResponse {
            throttle_time_ms: d.i32()?,
            responses: d.array(flexible, AlterConfigsResourceResponse::MIN_BYTES, |d| {
                AlterConfigsResourceResponse::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.i32(self.throttle_time_ms);
        e.array(&self.responses, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for AlterConfigsResponse {
    const NAME: &'static str = "AlterConfigsResponse";
    const VERSIONS: (i16, i16) = (0, 2);
}

#[cfg(test)]
impl crate::wire::samples::Sample for AlterConfigsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AlterConfigsResponse {
            throttle_time_ms: g.i32(),
            responses: g.array(|g| AlterConfigsResourceResponse::sample(g, version)),
        }
    }
}

/// Part of `AlterConfigsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterConfigsResourceResponse {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `ResourceType`.
    pub resource_type: i8,
    /// `ResourceName`.
    pub resource_name: StrBytes,
}

impl Codec for AlterConfigsResourceResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = AlterConfigsResourceResponse {
            error_code: d.error_code()?,
            error_message: d.nullable_string(flexible)?,
            resource_type: d.i8()?,
            resource_name: d.string(flexible)?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), flexible)?;
        e.i8(self.resource_type);
        e.string(&self.resource_name, flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for AlterConfigsResourceResponse {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        AlterConfigsResourceResponse {
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            resource_type: g.i8(),
            resource_name: g.text(),
        }
    }
}
