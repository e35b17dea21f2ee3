//! `DeleteAclsRequest` and `DeleteAclsResponse`.
//!
//! Generated from `wire/schema/delete_acls.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DeleteAclsRequest`, API key 31, versions 1 to 3, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteAclsRequest {
    /// `Filters`.
    pub filters: Vec<DeleteAclsFilter>,
}

impl Codec for DeleteAclsRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeleteAclsRequest {
            filters: d
                .array(flexible, DeleteAclsFilter::MIN_BYTES, |d| DeleteAclsFilter::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.array(&self.filters, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DeleteAclsRequest {
    const NAME: &'static str = "DeleteAclsRequest";
    const VERSIONS: (i16, i16) = (1, 3);
}

impl Request for DeleteAclsRequest {
    const KEY: ApiKey = ApiKey::DeleteAcls;
    type Response = DeleteAclsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteAclsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DeleteAclsRequest { filters: g.array(|g| DeleteAclsFilter::sample(g, version)) }
    }
}

/// Part of `DeleteAclsRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteAclsFilter {
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

impl Default for DeleteAclsFilter {
    fn default() -> Self {
        DeleteAclsFilter {
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

impl Codec for DeleteAclsFilter {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeleteAclsFilter {
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

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteAclsFilter {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DeleteAclsFilter {
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

/// `DeleteAclsResponse`, API key 31, versions 1 to 3, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteAclsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `FilterResults`.
    pub filter_results: Vec<DeleteAclsFilterResult>,
}

impl Codec for DeleteAclsResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeleteAclsResponse {
            throttle_time_ms: d.i32()?,
            filter_results: d.array(flexible, DeleteAclsFilterResult::MIN_BYTES, |d| {
                DeleteAclsFilterResult::decode(d, version)
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
        e.array(&self.filter_results, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DeleteAclsResponse {
    const NAME: &'static str = "DeleteAclsResponse";
    const VERSIONS: (i16, i16) = (1, 3);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteAclsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DeleteAclsResponse {
            throttle_time_ms: g.i32(),
            filter_results: g.array(|g| DeleteAclsFilterResult::sample(g, version)),
        }
    }
}

/// Part of `DeleteAclsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteAclsFilterResult {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `MatchingAcls`.
    pub matching_acls: Vec<DeleteAclsMatchingAcl>,
}

impl Codec for DeleteAclsFilterResult {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeleteAclsFilterResult {
            error_code: d.error_code()?,
            error_message: d.nullable_string(flexible)?,
            matching_acls: d.array(flexible, DeleteAclsMatchingAcl::MIN_BYTES, |d| {
                DeleteAclsMatchingAcl::decode(d, version)
            })?,
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
        e.array(&self.matching_acls, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteAclsFilterResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DeleteAclsFilterResult {
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            matching_acls: g.array(|g| DeleteAclsMatchingAcl::sample(g, version)),
        }
    }
}

/// Part of `DeleteAclsResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteAclsMatchingAcl {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `ResourceType`.
    pub resource_type: i8,
    /// `ResourceName`.
    pub resource_name: StrBytes,
    /// `PatternType`; 3 when absent.
    pub pattern_type: i8,
    /// `Principal`.
    pub principal: StrBytes,
    /// `Host`.
    pub host: StrBytes,
    /// `Operation`.
    pub operation: i8,
    /// `PermissionType`.
    pub permission_type: i8,
}

impl Default for DeleteAclsMatchingAcl {
    fn default() -> Self {
        DeleteAclsMatchingAcl {
            error_code: ErrorCode::NONE,
            error_message: None,
            resource_type: 0,
            resource_name: StrBytes::default(),
            pattern_type: 3,
            principal: StrBytes::default(),
            host: StrBytes::default(),
            operation: 0,
            permission_type: 0,
        }
    }
}

impl Codec for DeleteAclsMatchingAcl {
    const MIN_BYTES: usize = 10;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeleteAclsMatchingAcl {
            error_code: d.error_code()?,
            error_message: d.nullable_string(flexible)?,
            resource_type: d.i8()?,
            resource_name: d.string(flexible)?,
            pattern_type: d.i8()?,
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
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), flexible)?;
        e.i8(self.resource_type);
        e.string(&self.resource_name, flexible)?;
        e.i8(self.pattern_type);
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
impl crate::wire::samples::Sample for DeleteAclsMatchingAcl {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DeleteAclsMatchingAcl {
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            resource_type: g.i8(),
            resource_name: g.text(),
            pattern_type: g.i8(),
            principal: g.text(),
            host: g.text(),
            operation: g.i8(),
            permission_type: g.i8(),
        }
    }
}
