//! `AddRaftVoterRequest` and `AddRaftVoterResponse`.
//!
//! Generated from `wire/schema/add_raft_voter.schema` by `generate.py`; do not edit.

use crate::types::DirectoryId;
use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `AddRaftVoterRequest`, API key 80, versions 0 to 1, flexible from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddRaftVoterRequest {
    /// `ClusterId`.
    pub cluster_id: Option<StrBytes>,
    /// `TimeoutMs`.
    pub timeout_ms: i32,
    /// `VoterId`.
    pub voter_id: i32,
    /// `VoterDirectoryId`.
    pub voter_directory_id: DirectoryId,
    /// `Listeners`.
    pub listeners: Vec<Listener>,
    /// `AckWhenCommitted`, from version 1; true when absent.
    pub ack_when_committed: bool,
}

impl Default for AddRaftVoterRequest {
    fn default() -> Self {
        AddRaftVoterRequest {
            cluster_id: None,
            timeout_ms: 0,
            voter_id: 0,
            voter_directory_id: DirectoryId::ZERO,
            listeners: Vec::new(),
            ack_when_committed: true,
        }
    }
}

impl Codec for AddRaftVoterRequest {
    const MIN_BYTES: usize = 26;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = AddRaftVoterRequest {
            cluster_id: d.nullable_string(true)?,
            timeout_ms: d.i32()?,
            voter_id: d.i32()?,
            voter_directory_id: DirectoryId(d.uuid()?),
            listeners: d.array(true, Listener::MIN_BYTES, |d| Listener::decode(d, version))?,
            ack_when_committed: if version >= 1 { d.bool()? } else { true },
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.nullable_string(self.cluster_id.as_ref(), true)?;
        e.i32(self.timeout_ms);
        e.i32(self.voter_id);
        e.uuid(self.voter_directory_id.0);
        e.array(&self.listeners, true, |e, item| item.encode(e, version))?;
        if version >= 1 {
            e.bool(self.ack_when_committed);
        } else if !self.ack_when_committed {
            return Err(EncodeError::NotInVersion { field: "AddRaftVoterRequest.AckWhenCommitted", version });
        }
        e.no_tags();
        Ok(())
    }
}

impl Message for AddRaftVoterRequest {
    const NAME: &'static str = "AddRaftVoterRequest";
    const VERSIONS: (i16, i16) = (0, 1);
}

impl Request for AddRaftVoterRequest {
    const KEY: ApiKey = ApiKey::AddRaftVoter;
    type Response = AddRaftVoterResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for AddRaftVoterRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AddRaftVoterRequest {
            cluster_id: g.option(true, |g| g.text()),
            timeout_ms: g.i32(),
            voter_id: g.i32(),
            voter_directory_id: DirectoryId(g.uuid()),
            listeners: g.array(|g| Listener::sample(g, version)),
            ack_when_committed: if version >= 1 { g.bool() } else { true },
        }
    }
}

/// Part of `AddRaftVoterRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listener {
    /// `Name`.
    pub name: StrBytes,
    /// `Host`.
    pub host: StrBytes,
    /// `Port`.
    pub port: u16,
}

impl Codec for Listener {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = Listener { name: d.string(true)?, host: d.string(true)?, port: d.u16()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.string(&self.host, true)?;
        e.u16(self.port);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for Listener {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        Listener { name: g.text(), host: g.text(), port: g.u16() }
    }
}

/// `AddRaftVoterResponse`, API key 80, versions 0 to 1, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddRaftVoterResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
}

impl Codec for AddRaftVoterResponse {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = AddRaftVoterResponse {
            throttle_time_ms: d.i32()?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        e.no_tags();
        Ok(())
    }
}

impl Message for AddRaftVoterResponse {
    const NAME: &'static str = "AddRaftVoterResponse";
    const VERSIONS: (i16, i16) = (0, 1);
}

#[cfg(test)]
impl crate::wire::samples::Sample for AddRaftVoterResponse {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        AddRaftVoterResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
        }
    }
}
