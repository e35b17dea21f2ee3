//! `CreateAclsRequest` and `CreateAclsResponse`.
//!
//! Generated from `wire/schema/create_acls.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `CreateAclsRequest`, API key 30, versions 1 to 3, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateAclsRequest {
    /// `Creations`.
    pub creations: Vec<AclCreation>,
}

impl Codec for CreateAclsRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = CreateAclsRequest {
            creations: d.array(flexible, AclCreation::MIN_BYTES, |d| AclCreation::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.array(&self.creations, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for CreateAclsRequest {
    const NAME: &'static str = "CreateAclsRequest";
    const VERSIONS: (i16, i16) = (1, 3);
}

impl Request for CreateAclsRequest {
    const KEY: ApiKey = ApiKey::CreateAcls;
    type Response = CreateAclsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for CreateAclsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        CreateAclsRequest { creations: g.array(|g| AclCreation::sample(g, version)) }
    }
}

/// Part of `CreateAclsRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclCreation {
    /// `ResourceType`.
    pub resource_type: i8,
    /// `ResourceName`.
    pub resource_name: StrBytes,
    /// `ResourcePatternType`; 3 when absent.
    pub resource_pattern_type: i8,
    /// `Principal`.
    pub principal: StrBytes,
    /// `Host`.
    pub host: StrBytes,
    /// `Operation`.
    pub operation: i8,
    /// `PermissionType`.
    pub permission_type: i8,
}

impl Default for AclCreation {
    fn default() -> Self {
        AclCreation {
            resource_type: 0,
            resource_name: StrBytes::default(),
            resource_pattern_type: 3,
            principal: StrBytes::default(),
            host: StrBytes::default(),
            operation: 0,
            permission_type: 0,
        }
    }
}

impl Codec for AclCreation {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = AclCreation {
            resource_type: d.i8()?,
            resource_name: d.string(flexible)?,
            resource_pattern_type: d.i8()?,
            principal: d.string(flexible)?,
            host: d.string(flexible)?,
            operation: d.i8()?,
            permission_type: d.i8()?,
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
        e.i8(self.resource_pattern_type);
        e.string(&self.principal, flexible)?;
        e.string(&self.host, flexible)?;
        e.i8(self.operation);
        e.i8(self.permission_type);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for AclCreation {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        AclCreation {
            resource_type: g.i8(),
            resource_name: g.text(),
            resource_pattern_type: g.i8(),
            principal: g.text(),
            host: g.text(),
            operation: g.i8(),
            permission_type: g.i8(),
        }
    }
}

/// `CreateAclsResponse`, API key 30, versions 1 to 3, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateAclsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Results`.
    pub results: Vec<AclCreationResult>,
}

impl Codec for CreateAclsResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = CreateAclsResponse {
            throttle_time_ms: d.i32()?,
            results: d
                .array(flexible, AclCreationResult::MIN_BYTES, |d| AclCreationResult::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.i32(self.throttle_time_ms);
        e.array(&self.results, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for CreateAclsResponse {
    const NAME: &'static str = "CreateAclsResponse";
    const VERSIONS: (i16, i16) = (1, 3);
}

#[cfg(test)]
impl crate::wire::samples::Sample for CreateAclsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        CreateAclsResponse {
            throttle_time_ms: g.i32(),
            results: g.array(|g| AclCreationResult::sample(g, version)),
        }
    }
}

/// Part of `CreateAclsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AclCreationResult {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
}

impl Codec for AclCreationResult {
    const MIN_BYTES: usize = 3;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it =
            AclCreationResult { error_code: d.error_code()?, error_message: d.nullable_string(flexible)? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for AclCreationResult {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        AclCreationResult { error_code: ErrorCode(g.i16()), error_message: g.option(true, |g| g.text()) }
    }
}
