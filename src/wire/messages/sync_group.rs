//! `SyncGroupRequest` and `SyncGroupResponse`.
//!
//! Generated from `wire/schema/sync_group.schema` by `generate.py`; do not edit.

use bytes::Bytes;

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `SyncGroupRequest`, API key 14, versions 0 to 5, flexible from 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncGroupRequest {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `GenerationId`.
    pub generation_id: i32,
    /// `MemberId`.
    pub member_id: StrBytes,
    /// `GroupInstanceId`, from version 3.
    pub group_instance_id: Option<StrBytes>,
    /// `ProtocolType`, from version 5.
    pub protocol_type: Option<StrBytes>,
    /// `ProtocolName`, from version 5.
    pub protocol_name: Option<StrBytes>,
    /// `Assignments`.
    pub assignments: Vec<SyncGroupRequestAssignment>,
}

impl Codec for SyncGroupRequest {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = SyncGroupRequest {
            group_id: d.string(flexible)?,
            generation_id: d.i32()?,
            member_id: d.string(flexible)?,
            group_instance_id: if version >= 3 { d.nullable_string(flexible)? } else { None },
            protocol_type: if version >= 5 { d.nullable_string(flexible)? } else { None },
            protocol_name: if version >= 5 { d.nullable_string(flexible)? } else { None },
            assignments: d.array(flexible, SyncGroupRequestAssignment::MIN_BYTES, |d| {
                SyncGroupRequestAssignment::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.string(&self.group_id, flexible)?;
        e.i32(self.generation_id);
        e.string(&self.member_id, flexible)?;
        if version >= 3 {
            e.nullable_string(self.group_instance_id.as_ref(), flexible)?;
        } else if self.group_instance_id.is_some() {
            return Err(EncodeError::NotInVersion { field: "SyncGroupRequest.GroupInstanceId", version });
        }
        if version >= 5 {
            e.nullable_string(self.protocol_type.as_ref(), flexible)?;
        }
        if version >= 5 {
            e.nullable_string(self.protocol_name.as_ref(), flexible)?;
        }
        e.array(&self.assignments, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for SyncGroupRequest {
    const NAME: &'static str = "SyncGroupRequest";
    const VERSIONS: (i16, i16) = (0, 5);
}

impl Request for SyncGroupRequest {
    const KEY: ApiKey = ApiKey::SyncGroup;
    type Response = SyncGroupResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for SyncGroupRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        SyncGroupRequest {
            group_id: g.text(),
            generation_id: g.i32(),
            member_id: g.text(),
            group_instance_id: if version >= 3 { g.option(true, |g| g.text()) } else { None },
            protocol_type: if version >= 5 { g.option(true, |g| g.text()) } else { None },
            protocol_name: if version >= 5 { g.option(true, |g| g.text()) } else { None },
            assignments: g.array(|g| SyncGroupRequestAssignment::sample(g, version)),
        }
    }
}

/// Part of `SyncGroupRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncGroupRequestAssignment {
    /// `MemberId`.
    pub member_id: StrBytes,
    /// `Assignment`.
    pub assignment: Bytes,
}

impl Codec for SyncGroupRequestAssignment {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it =
            SyncGroupRequestAssignment { member_id: d.string(flexible)?, assignment: d.bytes(flexible)? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.string(&self.member_id, flexible)?;
        e.bytes(&self.assignment, flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for SyncGroupRequestAssignment {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        SyncGroupRequestAssignment { member_id: g.text(), assignment: g.bytes() }
    }
}

/// `SyncGroupResponse`, API key 14, versions 0 to 5, flexible from 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncGroupResponse {
    /// `ThrottleTimeMs`, from version 1.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ProtocolType`, from version 5.
    pub protocol_type: Option<StrBytes>,
    /// `ProtocolName`, from version 5.
    pub protocol_name: Option<StrBytes>,
    /// `Assignment`.
    pub assignment: Bytes,
}

impl Codec for SyncGroupResponse {
    const MIN_BYTES: usize = 3;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = SyncGroupResponse {
            throttle_time_ms: if version >= 1 { d.i32()? } else { 0 },
            error_code: d.error_code()?,
            protocol_type: if version >= 5 { d.nullable_string(flexible)? } else { None },
            protocol_name: if version >= 5 { d.nullable_string(flexible)? } else { None },
            assignment: d.bytes(flexible)?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        if version >= 1 {
            e.i32(self.throttle_time_ms);
        }
        e.error_code(self.error_code);
        if version >= 5 {
            e.nullable_string(self.protocol_type.as_ref(), flexible)?;
        }
        if version >= 5 {
            e.nullable_string(self.protocol_name.as_ref(), flexible)?;
        }
        e.bytes(&self.assignment, flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for SyncGroupResponse {
    const NAME: &'static str = "SyncGroupResponse";
    const VERSIONS: (i16, i16) = (0, 5);
}

#[cfg(test)]
impl crate::wire::samples::Sample for SyncGroupResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        SyncGroupResponse {
            throttle_time_ms: if version >= 1 { g.i32() } else { 0 },
            error_code: ErrorCode(g.i16()),
            protocol_type: if version >= 5 { g.option(true, |g| g.text()) } else { None },
            protocol_name: if version >= 5 { g.option(true, |g| g.text()) } else { None },
            assignment: g.bytes(),
        }
    }
}
