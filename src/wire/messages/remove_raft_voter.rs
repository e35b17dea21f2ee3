//! `RemoveRaftVoterRequest` and `RemoveRaftVoterResponse`.
//!
//! Generated from `wire/schema/remove_raft_voter.schema` by `generate.py`; do not edit.

use crate::types::DirectoryId;
use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `RemoveRaftVoterRequest`, API key 81, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoveRaftVoterRequest {
    /// `ClusterId`.
    pub cluster_id: Option<StrBytes>,
    /// `VoterId`.
    pub voter_id: i32,
    /// `VoterDirectoryId`.
    pub voter_directory_id: DirectoryId,
}

impl Codec for RemoveRaftVoterRequest {
    const MIN_BYTES: usize = 21;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = RemoveRaftVoterRequest {
            cluster_id: d.nullable_string(true)?,
            voter_id: d.i32()?,
            voter_directory_id: DirectoryId(d.uuid()?),
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.nullable_string(self.cluster_id.as_ref(), true)?;
        e.i32(self.voter_id);
        e.uuid(self.voter_directory_id.0);
        e.no_tags();
        Ok(())
    }
}

impl Message for RemoveRaftVoterRequest {
    const NAME: &'static str = "RemoveRaftVoterRequest";
    const VERSIONS: (i16, i16) = (0, 0);
}

impl Request for RemoveRaftVoterRequest {
    const KEY: ApiKey = ApiKey::RemoveRaftVoter;
    type Response = RemoveRaftVoterResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for RemoveRaftVoterRequest {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        RemoveRaftVoterRequest {
            cluster_id: g.option(true, |g| g.text()),
            voter_id: g.i32(),
            voter_directory_id: DirectoryId(g.uuid()),
        }
    }
}

/// `RemoveRaftVoterResponse`, API key 81, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoveRaftVoterResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
}

impl Codec for RemoveRaftVoterResponse {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = RemoveRaftVoterResponse {
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

impl Message for RemoveRaftVoterResponse {
    const NAME: &'static str = "RemoveRaftVoterResponse";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for RemoveRaftVoterResponse {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        RemoveRaftVoterResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
        }
    }
}
