//! `FindCoordinatorRequest` and `FindCoordinatorResponse`.
//!
//! Generated from `wire/schema/find_coordinator.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `FindCoordinatorRequest`, API key 10, versions 0 to 6, flexible from 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindCoordinatorRequest {
    /// `Key`, to version 3.
    pub key: StrBytes,
    /// `KeyType`, from version 1.
    pub key_type: i8,
    /// `CoordinatorKeys`, from version 4.
    pub coordinator_keys: Vec<StrBytes>,
}

impl Codec for FindCoordinatorRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = FindCoordinatorRequest {
            key: if version <= 3 { d.string(flexible)? } else { StrBytes::default() },
            key_type: if version >= 1 { d.i8()? } else { 0 },
            coordinator_keys: if version >= 4 {
                d.array(flexible, 1, |d| d.string(flexible))?
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
        let flexible = version >= 3;
        if version <= 3 {
            e.string(&self.key, flexible)?;
        } else if !self.key.is_empty() {
            return Err(EncodeError::NotInVersion { field: "FindCoordinatorRequest.Key", version });
        }
        if version >= 1 {
            e.i8(self.key_type);
        } else if self.key_type != 0 {
            return Err(EncodeError::NotInVersion { field: "FindCoordinatorRequest.KeyType", version });
        }
        if version >= 4 {
            e.array(&self.coordinator_keys, flexible, |e, item| e.string(item, flexible))?;
        } else if !self.coordinator_keys.is_empty() {
            return Err(EncodeError::NotInVersion {
                field: "FindCoordinatorRequest.CoordinatorKeys",
                version,
            });
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for FindCoordinatorRequest {
    const NAME: &'static str = "FindCoordinatorRequest";
    const VERSIONS: (i16, i16) = (0, 6);
}

impl Request for FindCoordinatorRequest {
    const KEY: ApiKey = ApiKey::FindCoordinator;
    type Response = FindCoordinatorResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for FindCoordinatorRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        FindCoordinatorRequest {
            key: if version <= 3 { g.text() } else { StrBytes::default() },
            key_type: if version >= 1 { g.i8() } else { 0 },
            coordinator_keys: if version >= 4 { g.array(|g| g.text()) } else { Vec::new() },
        }
    }
}

/// `FindCoordinatorResponse`, API key 10, versions 0 to 6, flexible from 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindCoordinatorResponse {
    /// `ThrottleTimeMs`, from version 1.
    pub throttle_time_ms: i32,
    /// `ErrorCode`, to version 3.
    pub error_code: ErrorCode,
    /// `ErrorMessage`, versions 1 to 3.
    pub error_message: Option<StrBytes>,
    /// `NodeId`, to version 3.
    pub node_id: i32,
    /// `Host`, to version 3.
    pub host: StrBytes,
    /// `Port`, to version 3.
    pub port: i32,
    /// `Coordinators`, from version 4.
    pub coordinators: Vec<Coordinator>,
}

impl Codec for FindCoordinatorResponse {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = FindCoordinatorResponse {
            throttle_time_ms: if version >= 1 { d.i32()? } else { 0 },
            error_code: if version <= 3 { d.error_code()? } else { ErrorCode::NONE },
            error_message: if (1..=3).contains(&version) { d.nullable_string(flexible)? } else { None },
            node_id: if version <= 3 { d.i32()? } else { 0 },
            host: if version <= 3 { d.string(flexible)? } else { StrBytes::default() },
            port: if version <= 3 { d.i32()? } else { 0 },
            coordinators: if version >= 4 {
                d.array(flexible, Coordinator::MIN_BYTES, |d| Coordinator::decode(d, version))?
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
        let flexible = version >= 3;
        if version >= 1 {
            e.i32(self.throttle_time_ms);
        }
        if version <= 3 {
            e.error_code(self.error_code);
        }
        if (1..=3).contains(&version) {
            e.nullable_string(self.error_message.as_ref(), flexible)?;
        }
        if version <= 3 {
            e.i32(self.node_id);
        }
        if version <= 3 {
            e.string(&self.host, flexible)?;
        }
        if version <= 3 {
            e.i32(self.port);
        }
        if version >= 4 {
            e.array(&self.coordinators, flexible, |e, item| item.encode(e, version))?;
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for FindCoordinatorResponse {
    const NAME: &'static str = "FindCoordinatorResponse";
    const VERSIONS: (i16, i16) = (0, 6);
}

#[cfg(test)]
impl crate::wire::samples::Sample for FindCoordinatorResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        FindCoordinatorResponse {
            throttle_time_ms: if version >= 1 { g.i32() } else { 0 },
            error_code: if version <= 3 { ErrorCode(g.i16()) } else { ErrorCode::NONE },
            error_message: if (1..=3).contains(&version) { g.option(true, |g| g.text()) } else { None },
            node_id: if version <= 3 { g.i32() } else { 0 },
            host: if version <= 3 { g.text() } else { StrBytes::default() },
            port: if version <= 3 { g.i32() } else { 0 },
            coordinators: if version >= 4 {
                g.array(|g| Coordinator::sample(g, version))
            } else {
                Vec::new()
            },
        }
    }
}

/// Part of `FindCoordinatorResponse`, from version 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coordinator {
    /// `Key`.
    pub key: StrBytes,
    /// `NodeId`.
    pub node_id: i32,
    /// `Host`.
    pub host: StrBytes,
    /// `Port`.
    pub port: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
}

impl Codec for Coordinator {
    const MIN_BYTES: usize = 13;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = Coordinator {
            key: d.string(true)?,
            node_id: d.i32()?,
            host: d.string(true)?,
            port: d.i32()?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.key, true)?;
        e.i32(self.node_id);
        e.string(&self.host, true)?;
        e.i32(self.port);
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for Coordinator {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        Coordinator {
            key: g.text(),
            node_id: g.i32(),
            host: g.text(),
            port: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
        }
    }
}
