//! `DescribeAclsRequest` and `DescribeAclsResponse`.
//!
//! Generated from `wire/schema/describe_acls.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DescribeAclsRequest`, API key 29, versions 1 to 3, flexible from 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeAclsRequest {
    /// `ResourceTypeFilter`.
    pub resource_type_filter: i8,
    /// `ResourceNameFilter`.
    pub resource_name_filter: Option<StrBytes>,
    /// `PatternTypeFilter`; 3 when absent.
    pub pattern_type_filter: i8,
    /// `PrincipalFilter`.
    pub principal_filter: Option<StrBytes>,
    /// `HostFilter`.
    pub host_filter: Option<StrBytes>,
    /// `Operation`.
    pub operation: i8,
    /// `PermissionType`.
    pub permission_type: i8,
}

impl Default for DescribeAclsRequest {
    fn default() -> Self {
        DescribeAclsRequest {
            resource_type_filter: 0,
            resource_name_filter: None,
            pattern_type_filter: 3,
            principal_filter: None,
            host_filter: None,
            operation: 0,
            permission_type: 0,
        }
    }
}

impl Codec for DescribeAclsRequest {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DescribeAclsRequest {
            resource_type_filter: d.i8()?,
            resource_name_filter: d.nullable_string(flexible)?,
            pattern_type_filter: d.i8()?,
            principal_filter: d.nullable_string(flexible)?,
            host_filter: d.nullable_string(flexible)?,
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
        e.i8(self.resource_type_filter);
        e.nullable_string(self.resource_name_filter.as_ref(), flexible)?;
        e.i8(self.pattern_type_filter);
        e.nullable_string(self.principal_filter.as_ref(), flexible)?;
        e.nullable_string(self.host_filter.as_ref(), flexible)?;
        e.i8(self.operation);
        e.i8(self.permission_type);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DescribeAclsRequest {
    const NAME: &'static str = "DescribeAclsRequest";
    const VERSIONS: (i16, i16) = (1, 3);
}

impl Request for DescribeAclsRequest {
    const KEY: ApiKey = ApiKey::DescribeAcls;
    type Response = DescribeAclsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeAclsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DescribeAclsRequest {
            resource_type_filter: g.i8(),
            resource_name_filter: g.option(true, |g| g.text()),
            pattern_type_filter: g.i8(),
            principal_filter: g.option(true, |g| g.text()),
            host_filter: g.option(true, |g| g.text()),
            operation: g.i8(),
            permission_type: g.i8(),
        }
    }
}

/// `DescribeAclsResponse`, API key 29, versions 1 to 3, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeAclsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `Resources`.
    pub resources: Vec<DescribeAclsResource>,
}

impl Codec for DescribeAclsResponse {
    const MIN_BYTES: usize = 8;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DescribeAclsResponse {
            throttle_time_ms: d.i32()?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(flexible)?,
            resources: d.array(flexible, DescribeAclsResource::MIN_BYTES, |d| {
                DescribeAclsResource::decode(d, version)
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
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), flexible)?;
        e.array(&self.resources, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DescribeAclsResponse {
    const NAME: &'static str = "DescribeAclsResponse";
    const VERSIONS: (i16, i16) = (1, 3);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeAclsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeAclsResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            resources: g.array(|g| DescribeAclsResource::sample(g, version)),
        }
    }
}

/// Part of `DescribeAclsResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeAclsResource {
    /// `ResourceType`.
    pub resource_type: i8,
    /// `ResourceName`.
    pub resource_name: StrBytes,
    /// `PatternType`; 3 when absent.
    pub pattern_type: i8,
    /// `Acls`.
    pub acls: Vec<AclDescription>,
}

impl Default for DescribeAclsResource {
    fn default() -> Self {
        DescribeAclsResource {
            resource_type: 0,
            resource_name: StrBytes::default(),
            pattern_type: 3,
            acls: Vec::new(),
        }
    }
}

impl Codec for DescribeAclsResource {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DescribeAclsResource {
            resource_type: d.i8()?,
            resource_name: d.string(flexible)?,
            pattern_type: d.i8()?,
            acls: d.array(flexible, AclDescription::MIN_BYTES, |d| AclDescription::decode(d, version))?,
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
        e.i8(self.pattern_type);
        e.array(&self.acls, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeAclsResource {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeAclsResource {
            resource_type: g.i8(),
            resource_name: g.text(),
            pattern_type: g.i8(),
            acls: g.array(|g| AclDescription::sample(g, version)),
        }
    }
}

/// Part of `DescribeAclsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AclDescription {
    /// `Principal`.
    pub principal: StrBytes,
    /// `Host`.
    pub host: StrBytes,
    /// `Operation`.
    pub operation: i8,
    /// `PermissionType`.
    pub permission_type: i8,
}

impl Codec for AclDescription {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = AclDescription {
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
impl crate::wire::samples::Sample for AclDescription {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        AclDescription { principal: g.text(), host: g.text(), operation: g.i8(), permission_type: g.i8() }
    }
}
