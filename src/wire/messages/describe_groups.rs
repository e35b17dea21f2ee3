//! `DescribeGroupsRequest` and `DescribeGroupsResponse`.
//!
//! Generated from `wire/schema/describe_groups.schema` by `generate.py`; do not edit.

use bytes::Bytes;

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DescribeGroupsRequest`, API key 15, versions 0 to 6, flexible from 5.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeGroupsRequest {
    /// `Groups`.
    pub groups: Vec<StrBytes>,
    /// `IncludeAuthorizedOperations`, from version 3.
    pub include_authorized_operations: bool,
}

impl Codec for DescribeGroupsRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let it = DescribeGroupsRequest {
            groups: d.array(flexible, 1, |d| d.string(flexible))?,
            include_authorized_operations: if version >= 3 { d.bool()? } else { false },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        e.array(&self.groups, flexible, |e, item| e.string(item, flexible))?;
        if version >= 3 {
            e.bool(self.include_authorized_operations);
        } else if self.include_authorized_operations {
            return Err(EncodeError::NotInVersion {
                field: "DescribeGroupsRequest.IncludeAuthorizedOperations",
                version,
            });
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DescribeGroupsRequest {
    const NAME: &'static str = "DescribeGroupsRequest";
    const VERSIONS: (i16, i16) = (0, 6);
}

impl Request for DescribeGroupsRequest {
    const KEY: ApiKey = ApiKey::DescribeGroups;
    type Response = DescribeGroupsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeGroupsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeGroupsRequest {
            groups: g.array(|g| g.text()),
            include_authorized_operations: if version >= 3 { g.bool() } else { false },
        }
    }
}

/// `DescribeGroupsResponse`, API key 15, versions 0 to 6, flexible from 5.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeGroupsResponse {
    /// `ThrottleTimeMs`, from version 1.
    pub throttle_time_ms: i32,
    /// `Groups`.
    pub groups: Vec<DescribedGroup>,
}

impl Codec for DescribeGroupsResponse {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let it = DescribeGroupsResponse {
            throttle_time_ms: if version >= 1 { d.i32()? } else { 0 },
            groups: d.array(flexible, DescribedGroup::MIN_BYTES, |d| DescribedGroup::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        if version >= 1 {
            e.i32(self.throttle_time_ms);
        }
        e.array(&self.groups, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DescribeGroupsResponse {
    const NAME: &'static str = "DescribeGroupsResponse";
    const VERSIONS: (i16, i16) = (0, 6);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeGroupsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeGroupsResponse {
            throttle_time_ms: if version >= 1 { g.i32() } else { 0 },
            groups: g.array(|g| DescribedGroup::sample(g, version)),
        }
    }
}

/// Part of `DescribeGroupsResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`, from version 6.
    pub error_message: Option<StrBytes>,
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `GroupState`.
    pub group_state: StrBytes,
    /// `ProtocolType`.
    pub protocol_type: StrBytes,
    /// `ProtocolData`.
    pub protocol_data: StrBytes,
    /// `Members`.
    pub members: Vec<DescribedGroupMember>,
    /// `AuthorizedOperations`, from version 3; i32::MIN when absent.
    pub authorized_operations: i32,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        DescribedGroup {
            error_code: ErrorCode::NONE,
            error_message: None,
            group_id: StrBytes::default(),
            group_state: StrBytes::default(),
            protocol_type: StrBytes::default(),
            protocol_data: StrBytes::default(),
            members: Vec::new(),
            authorized_operations: i32::MIN,
        }
    }
}

impl Codec for DescribedGroup {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let it = DescribedGroup {
            error_code: d.error_code()?,
            error_message: if version >= 6 { d.nullable_string(flexible)? } else { None },
            group_id: d.string(flexible)?,
            group_state: d.string(flexible)?,
            protocol_type: d.string(flexible)?,
            protocol_data: d.string(flexible)?,
            members: d.array(flexible, DescribedGroupMember::MIN_BYTES, |d| {
                DescribedGroupMember::decode(d, version)
            })?,
            authorized_operations: if version >= 3 { d.i32()? } else { i32::MIN },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        e.error_code(self.error_code);
        if version >= 6 {
            e.nullable_string(self.error_message.as_ref(), flexible)?;
        }
        e.string(&self.group_id, flexible)?;
        e.string(&self.group_state, flexible)?;
        e.string(&self.protocol_type, flexible)?;
        e.string(&self.protocol_data, flexible)?;
        e.array(&self.members, flexible, |e, item| item.encode(e, version))?;
        if version >= 3 {
            e.i32(self.authorized_operations);
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribedGroup {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribedGroup {
            error_code: ErrorCode(g.i16()),
            error_message: if version >= 6 { g.option(true, |g| g.text()) } else { None },
            group_id: g.text(),
            group_state: g.text(),
            protocol_type: g.text(),
            protocol_data: g.text(),
            members: g.array(|g| DescribedGroupMember::sample(g, version)),
            authorized_operations: if version >= 3 { g.i32() } else { i32::MIN },
        }
    }
}

/// Part of `DescribeGroupsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedGroupMember {
    /// `MemberId`.
    pub member_id: StrBytes,
    /// `GroupInstanceId`, from version 4.
    pub group_instance_id: Option<StrBytes>,
    /// `ClientId`.
    pub client_id: StrBytes,
    /// `ClientHost`.
    pub client_host: StrBytes,
    /// `MemberMetadata`.
    pub member_metadata: Bytes,
    /// `MemberAssignment`.
    pub member_assignment: Bytes,
}

impl Codec for DescribedGroupMember {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let it = DescribedGroupMember {
            member_id: d.string(flexible)?,
            group_instance_id: if version >= 4 { d.nullable_string(flexible)? } else { None },
            client_id: d.string(flexible)?,
            client_host: d.string(flexible)?,
            member_metadata: d.bytes(flexible)?,
            member_assignment: d.bytes(flexible)?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        e.string(&self.member_id, flexible)?;
        if version >= 4 {
            e.nullable_string(self.group_instance_id.as_ref(), flexible)?;
        }
        e.string(&self.client_id, flexible)?;
        e.string(&self.client_host, flexible)?;
        e.bytes(&self.member_metadata, flexible)?;
        e.bytes(&self.member_assignment, flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribedGroupMember {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribedGroupMember {
            member_id: g.text(),
            group_instance_id: if version >= 4 { g.option(true, |g| g.text()) } else { None },
            client_id: g.text(),
            client_host: g.text(),
            member_metadata: g.bytes(),
            member_assignment: g.bytes(),
        }
    }
}
