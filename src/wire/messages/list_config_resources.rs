//! `ListConfigResourcesRequest` and `ListConfigResourcesResponse`.
//!
//! Generated from `wire/schema/list_config_resources.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `ListConfigResourcesRequest`, API key 74, versions 0 to 1, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListConfigResourcesRequest {
    /// `ResourceTypes`, from version 1.
    pub resource_types: Vec<i8>,
}

impl Codec for ListConfigResourcesRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ListConfigResourcesRequest {
            resource_types: if version >= 1 { d.array(true, 1, |d| d.i8())? } else { Vec::new() },
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        if version >= 1 {
            e.array(&self.resource_types, true, |e, item| {
                e.i8(*item);
                Ok(())
            })?;
        } else if !self.resource_types.is_empty() {
            return Err(EncodeError::NotInVersion {
                field: "ListConfigResourcesRequest.ResourceTypes",
                version,
            });
        }
        e.no_tags();
        Ok(())
    }
}

impl Message for ListConfigResourcesRequest {
    const NAME: &'static str = "ListConfigResourcesRequest";
    const VERSIONS: (i16, i16) = (0, 1);
}

impl Request for ListConfigResourcesRequest {
    const KEY: ApiKey = ApiKey::ListConfigResources;
    type Response = ListConfigResourcesResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListConfigResourcesRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListConfigResourcesRequest {
            resource_types: if version >= 1 { g.array(|g| g.i8()) } else { Vec::new() },
        }
    }
}

/// `ListConfigResourcesResponse`, API key 74, versions 0 to 1, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListConfigResourcesResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ConfigResources`.
    pub config_resources: Vec<ConfigResource>,
}

impl Codec for ListConfigResourcesResponse {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ListConfigResourcesResponse {
            throttle_time_ms: d.i32()?,
            error_code: d.error_code()?,
            config_resources: d
                .array(true, ConfigResource::MIN_BYTES, |d| ConfigResource::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        e.array(&self.config_resources, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for ListConfigResourcesResponse {
    const NAME: &'static str = "ListConfigResourcesResponse";
    const VERSIONS: (i16, i16) = (0, 1);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListConfigResourcesResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListConfigResourcesResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            config_resources: g.array(|g| ConfigResource::sample(g, version)),
        }
    }
}

/// Part of `ListConfigResourcesResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigResource {
    /// `ResourceName`.
    pub resource_name: StrBytes,
    /// `ResourceType`, from version 1; 16 when absent.
    pub resource_type: i8,
}

impl Default for ConfigResource {
    fn default() -> Self {
        ConfigResource { resource_name: StrBytes::default(), resource_type: 16 }
    }
}

impl Codec for ConfigResource {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ConfigResource {
            resource_name: d.string(true)?,
            resource_type: if version >= 1 { d.i8()? } else { 16 },
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.resource_name, true)?;
        if version >= 1 {
            e.i8(self.resource_type);
        }
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConfigResource {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ConfigResource { resource_name: g.text(), resource_type: if version >= 1 { g.i8() } else { 16 } }
    }
}
