//! `HeartbeatRequest` and `HeartbeatResponse`.
//!
//! Generated from `wire/schema/heartbeat.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `HeartbeatRequest`, API key 12, versions 0 to 4, flexible from 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeartbeatRequest {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `GenerationId`.
    pub generation_id: i32,
    /// `MemberId`.
    pub member_id: StrBytes,
    /// `GroupInstanceId`, from version 3.
    pub group_instance_id: Option<StrBytes>,
}

impl Codec for HeartbeatRequest {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = HeartbeatRequest {
            group_id: d.string(flexible)?,
            generation_id: d.i32()?,
            member_id: d.string(flexible)?,
            group_instance_id: if version >= 3 { d.nullable_string(flexible)? } else { None },
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
            return Err(EncodeError::NotInVersion { field: "HeartbeatRequest.GroupInstanceId", version });
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for HeartbeatRequest {
    const NAME: &'static str = "HeartbeatRequest";
    const VERSIONS: (i16, i16) = (0, 4);
}

impl Request for HeartbeatRequest {
    const KEY: ApiKey = ApiKey::Heartbeat;
    type Response = HeartbeatResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for HeartbeatRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        HeartbeatRequest {
            group_id: g.text(),
            generation_id: g.i32(),
            member_id: g.text(),
            group_instance_id: if version >= 3 { g.option(true, |g| g.text()) } else { None },
        }
    }
}

/// `HeartbeatResponse`, API key 12, versions 0 to 4, flexible from 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeartbeatResponse {
    /// `ThrottleTimeMs`, from version 1.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
}

impl Codec for HeartbeatResponse {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = HeartbeatResponse {
            throttle_time_ms: if version >= 1 { d.i32()? } else { 0 },
            error_code: d.error_code()?,
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
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for HeartbeatResponse {
    const NAME: &'static str = "HeartbeatResponse";
    const VERSIONS: (i16, i16) = (0, 4);
}

#[cfg(test)]
impl crate::wire::samples::Sample for HeartbeatResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        HeartbeatResponse {
            throttle_time_ms: if version >= 1 { g.i32() } else { 0 },
            error_code: ErrorCode(g.i16()),
        }
    }
}
