//! `JoinGroupRequest` and `JoinGroupResponse`.
//!
//! Generated from `wire/schema/join_group.schema` by `generate.py`; do not edit.

use bytes::Bytes;

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `JoinGroupRequest`, API key 11, versions 0 to 9, flexible from 6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroupRequest {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `SessionTimeoutMs`.
    pub session_timeout_ms: i32,
    /// `RebalanceTimeoutMs`, from version 1; -1 when absent.
    pub rebalance_timeout_ms: i32,
    /// `MemberId`.
    pub member_id: StrBytes,
    /// `GroupInstanceId`, from version 5.
    pub group_instance_id: Option<StrBytes>,
    /// `ProtocolType`.
    pub protocol_type: StrBytes,
    /// `Protocols`.
    pub protocols: Vec<JoinGroupRequestProtocol>,
    /// `Reason`, from version 8.
    pub reason: Option<StrBytes>,
}

impl Default for JoinGroupRequest {
    fn default() -> Self {
        JoinGroupRequest {
            group_id: StrBytes::default(),
            session_timeout_ms: 0,
            rebalance_timeout_ms: -1,
            member_id: StrBytes::default(),
            group_instance_id: None,
            protocol_type: StrBytes::default(),
            protocols: Vec::new(),
            reason: None,
        }
    }
}

impl Codec for JoinGroupRequest {
    const MIN_BYTES: usize = 8;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = JoinGroupRequest {
            group_id: d.string(flexible)?,
            session_timeout_ms: d.i32()?,
            rebalance_timeout_ms: if version >= 1 { d.i32()? } else { -1 },
            member_id: d.string(flexible)?,
            group_instance_id: if version >= 5 { d.nullable_string(flexible)? } else { None },
            protocol_type: d.string(flexible)?,
            protocols: d.array(flexible, JoinGroupRequestProtocol::MIN_BYTES, |d| {
                JoinGroupRequestProtocol::decode(d, version)
            })?,
            reason: if version >= 8 { d.nullable_string(flexible)? } else { None },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        e.string(&self.group_id, flexible)?;
        e.i32(self.session_timeout_ms);
        if version >= 1 {
            e.i32(self.rebalance_timeout_ms);
        }
        e.string(&self.member_id, flexible)?;
        if version >= 5 {
            e.nullable_string(self.group_instance_id.as_ref(), flexible)?;
        } else if self.group_instance_id.is_some() {
            return Err(EncodeError::NotInVersion { field: "JoinGroupRequest.GroupInstanceId", version });
        }
        e.string(&self.protocol_type, flexible)?;
        e.array(&self.protocols, flexible, |e, item| item.encode(e, version))?;
        if version >= 8 {
            e.nullable_string(self.reason.as_ref(), flexible)?;
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for JoinGroupRequest {
    const NAME: &'static str = "JoinGroupRequest";
    const VERSIONS: (i16, i16) = (0, 9);
}

impl Request for JoinGroupRequest {
    const KEY: ApiKey = ApiKey::JoinGroup;
    type Response = JoinGroupResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for JoinGroupRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        JoinGroupRequest {
            group_id: g.text(),
            session_timeout_ms: g.i32(),
            rebalance_timeout_ms: if version >= 1 { g.i32() } else { -1 },
            member_id: g.text(),
            group_instance_id: if version >= 5 { g.option(true, |g| g.text()) } else { None },
            protocol_type: g.text(),
            protocols: g.array(|g| JoinGroupRequestProtocol::sample(g, version)),
            reason: if version >= 8 { g.option(true, |g| g.text()) } else { None },
        }
    }
}

/// Part of `JoinGroupRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinGroupRequestProtocol {
    /// `Name`.
    pub name: StrBytes,
    /// `Metadata`.
    pub metadata: Bytes,
}

impl Codec for JoinGroupRequestProtocol {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = JoinGroupRequestProtocol { name: d.string(flexible)?, metadata: d.bytes(flexible)? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        e.string(&self.name, flexible)?;
        e.bytes(&self.metadata, flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for JoinGroupRequestProtocol {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        JoinGroupRequestProtocol { name: g.text(), metadata: g.bytes() }
    }
}

/// `JoinGroupResponse`, API key 11, versions 0 to 9, flexible from 6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroupResponse {
    /// `ThrottleTimeMs`, from version 2.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `GenerationId`; -1 when absent.
    pub generation_id: i32,
    /// `ProtocolType`, from version 7.
    pub protocol_type: Option<StrBytes>,
    /// `ProtocolName`; null from version 7.
    pub protocol_name: Option<StrBytes>,
    /// `Leader`.
    pub leader: StrBytes,
    /// `SkipAssignment`, from version 9.
    pub skip_assignment: bool,
    /// `MemberId`.
    pub member_id: StrBytes,
    /// `Members`.
    pub members: Vec<JoinGroupResponseMember>,
}

impl Default for JoinGroupResponse {
    fn default() -> Self {
        JoinGroupResponse {
            throttle_time_ms: 0,
            error_code: ErrorCode::NONE,
            generation_id: -1,
            protocol_type: None,
            protocol_name: None,
            leader: StrBytes::default(),
            skip_assignment: false,
            member_id: StrBytes::default(),
            members: Vec::new(),
        }
    }
}

impl Codec for JoinGroupResponse {
    const MIN_BYTES: usize = 10;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = JoinGroupResponse {
            throttle_time_ms: if version >= 2 { d.i32()? } else { 0 },
            error_code: d.error_code()?,
            generation_id: d.i32()?,
            protocol_type: if version >= 7 { d.nullable_string(flexible)? } else { None },
            protocol_name: if version >= 7 {
                d.nullable_string(flexible)?
            } else {
                Some(d.string(flexible)?)
            },
            leader: d.string(flexible)?,
            skip_assignment: if version >= 9 { d.bool()? } else { false },
            member_id: d.string(flexible)?,
            members: d.array(flexible, JoinGroupResponseMember::MIN_BYTES, |d| {
                JoinGroupResponseMember::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        if version >= 2 {
            e.i32(self.throttle_time_ms);
        }
        e.error_code(self.error_code);
        e.i32(self.generation_id);
        if version >= 7 {
            e.nullable_string(self.protocol_type.as_ref(), flexible)?;
        }
        if self.protocol_name.is_none() && version <= 6 {
            return Err(EncodeError::Null { field: "JoinGroupResponse.ProtocolName", version });
        }
        e.nullable_string(self.protocol_name.as_ref(), flexible)?;
        e.string(&self.leader, flexible)?;
        if version >= 9 {
            e.bool(self.skip_assignment);
        }
        e.string(&self.member_id, flexible)?;
        e.array(&self.members, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for JoinGroupResponse {
    const NAME: &'static str = "JoinGroupResponse";
    const VERSIONS: (i16, i16) = (0, 9);
}

#[cfg(test)]
impl crate::wire::samples::Sample for JoinGroupResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        JoinGroupResponse {
            throttle_time_ms: if version >= 2 { g.i32() } else { 0 },
            error_code: ErrorCode(g.i16()),
            generation_id: g.i32(),
            protocol_type: if version >= 7 { g.option(true, |g| g.text()) } else { None },
            protocol_name: g.option(version >= 7, |g| g.text()),
            leader: g.text(),
            skip_assignment: if version >= 9 { g.bool() } else { false },
            member_id: g.text(),
            members: g.array(|g| JoinGroupResponseMember::sample(g, version)),
        }
    }
}

/// Part of `JoinGroupResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinGroupResponseMember {
    /// `MemberId`.
    pub member_id: StrBytes,
    /// `GroupInstanceId`, from version 5.
    pub group_instance_id: Option<StrBytes>,
    /// `Metadata`.
    pub metadata: Bytes,
}

impl Codec for JoinGroupResponseMember {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = JoinGroupResponseMember {
            member_id: d.string(flexible)?,
            group_instance_id: if version >= 5 { d.nullable_string(flexible)? } else { None },
            metadata: d.bytes(flexible)?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        e.string(&self.member_id, flexible)?;
        if version >= 5 {
            e.nullable_string(self.group_instance_id.as_ref(), flexible)?;
        }
        e.bytes(&self.metadata, flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for JoinGroupResponseMember {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        JoinGroupResponseMember {
            member_id: g.text(),
            group_instance_id: if version >= 5 { g.option(true, |g| g.text()) } else { None },
            metadata: g.bytes(),
        }
    }
}
