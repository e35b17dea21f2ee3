//! `LeaveGroupRequest` and `LeaveGroupResponse`.
//!
//! Generated from `wire/schema/leave_group.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `LeaveGroupRequest`, API key 13, versions 0 to 5, flexible from 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaveGroupRequest {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `MemberId`, to version 2.
    pub member_id: StrBytes,
    /// `Members`, from version 3.
    pub members: Vec<MemberIdentity>,
}

impl Codec for LeaveGroupRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = LeaveGroupRequest {
            group_id: d.string(flexible)?,
            member_id: if version <= 2 { d.string(flexible)? } else { StrBytes::default() },
            members: if version >= 3 {
                d.array(flexible, MemberIdentity::MIN_BYTES, |d| MemberIdentity::decode(d, version))?
            } else {
                Vec::new()
            },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.string(&self.group_id, flexible)?;
        if version <= 2 {
            e.string(&self.member_id, flexible)?;
        } else if !self.member_id.is_empty() {
            return Err(EncodeError::NotInVersion { field: "LeaveGroupRequest.MemberId", version });
        }
        if version >= 3 {
            e.array(&self.members, flexible, |e, item| item.encode(e, version))?;
        } else if !self.members.is_empty() {
            return Err(EncodeError::NotInVersion { field: "LeaveGroupRequest.Members", version });
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for LeaveGroupRequest {
    const NAME: &'static str = "LeaveGroupRequest";
    const VERSIONS: (i16, i16) = (0, 5);
}

impl Request for LeaveGroupRequest {
    const KEY: ApiKey = ApiKey::LeaveGroup;
    type Response = LeaveGroupResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for LeaveGroupRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        LeaveGroupRequest {
            group_id: g.text(),
            member_id: if version <= 2 { g.text() } else { StrBytes::default() },
            members: if version >= 3 { g.array(|g| MemberIdentity::sample(g, version)) } else { Vec::new() },
        }
    }
}

/// Part of `LeaveGroupRequest`, from version 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberIdentity {
    /// `MemberId`.
    pub member_id: StrBytes,
    /// `GroupInstanceId`.
    pub group_instance_id: Option<StrBytes>,
    /// `Reason`, from version 5.
    pub reason: Option<StrBytes>,
}

impl Codec for MemberIdentity {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = MemberIdentity {
            member_id: d.string(flexible)?,
            group_instance_id: d.nullable_string(flexible)?,
            reason: if version >= 5 { d.nullable_string(flexible)? } else { None },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.string(&self.member_id, flexible)?;
        e.nullable_string(self.group_instance_id.as_ref(), flexible)?;
        if version >= 5 {
            e.nullable_string(self.reason.as_ref(), flexible)?;
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for MemberIdentity {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        MemberIdentity {
            member_id: g.text(),
            group_instance_id: g.option(true, |g| g.text()),
            reason: if version >= 5 { g.option(true, |g| g.text()) } else { None },
        }
    }
}

/// `LeaveGroupResponse`, API key 13, versions 0 to 5, flexible from 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaveGroupResponse {
    /// `ThrottleTimeMs`, from version 1.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `Members`, from version 3.
    pub members: Vec<MemberResponse>,
}

impl Codec for LeaveGroupResponse {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = LeaveGroupResponse {
            throttle_time_ms: if version >= 1 { d.i32()? } else { 0 },
            error_code: d.error_code()?,
            members: if version >= 3 {
                d.array(flexible, MemberResponse::MIN_BYTES, |d| MemberResponse::decode(d, version))?
            } else {
                Vec::new()
            },
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
        if version >= 3 {
            e.array(&self.members, flexible, |e, item| item.encode(e, version))?;
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for LeaveGroupResponse {
    const NAME: &'static str = "LeaveGroupResponse";
    const VERSIONS: (i16, i16) = (0, 5);
}

#[cfg(test)]
impl crate::wire::samples::Sample for LeaveGroupResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        LeaveGroupResponse {
            throttle_time_ms: if version >= 1 { g.i32() } else { 0 },
            error_code: ErrorCode(g.i16()),
            members: if version >= 3 { g.array(|g| MemberResponse::sample(g, version)) } else { Vec::new() },
        }
    }
}

/// Part of `LeaveGroupResponse`, from version 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberResponse {
    /// `MemberId`.
    pub member_id: StrBytes,
    /// `GroupInstanceId`.
    pub group_instance_id: Option<StrBytes>,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
}

impl Codec for MemberResponse {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = MemberResponse {
            member_id: d.string(flexible)?,
            group_instance_id: d.nullable_string(flexible)?,
            error_code: d.error_code()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.string(&self.member_id, flexible)?;
        e.nullable_string(self.group_instance_id.as_ref(), flexible)?;
        e.error_code(self.error_code);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for MemberResponse {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        MemberResponse {
            member_id: g.text(),
            group_instance_id: g.option(true, |g| g.text()),
            error_code: ErrorCode(g.i16()),
        }
    }
}
