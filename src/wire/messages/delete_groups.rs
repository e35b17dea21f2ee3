//! `DeleteGroupsRequest` and `DeleteGroupsResponse`.
//!
//! Generated from `wire/schema/delete_groups.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DeleteGroupsRequest`, API key 42, versions 0 to 2, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteGroupsRequest {
    /// `GroupsNames`.
    pub groups_names: Vec<StrBytes>,
}

impl Codec for DeleteGroupsRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeleteGroupsRequest { groups_names: d.array(flexible, 1, |d| d.string(flexible))? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.array(&self.groups_names, flexible, |e, item| e.string(item, flexible))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DeleteGroupsRequest {
    const NAME: &'static str = "DeleteGroupsRequest";
    const VERSIONS: (i16, i16) = (0, 2);
}

impl Request for DeleteGroupsRequest {
    const KEY: ApiKey = ApiKey::DeleteGroups;
    type Response = DeleteGroupsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteGroupsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DeleteGroupsRequest { groups_names: g.array(|g| g.text()) }
    }
}

/// `DeleteGroupsResponse`, API key 42, versions 0 to 2, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteGroupsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Results`.
    pub results: Vec<DeletableGroupResult>,
}

impl Codec for DeleteGroupsResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeleteGroupsResponse {
            throttle_time_ms: d.i32()?,
            results: d.array(flexible, DeletableGroupResult::MIN_BYTES, |d| {
                DeletableGroupResult::decode(d, version)
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
        e.array(&self.results, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DeleteGroupsResponse {
    const NAME: &'static str = "DeleteGroupsResponse";
    const VERSIONS: (i16, i16) = (0, 2);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteGroupsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DeleteGroupsResponse {
            throttle_time_ms: g.i32(),
            results: g.array(|g| DeletableGroupResult::sample(g, version)),
        }
    }
}

/// Part of `DeleteGroupsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletableGroupResult {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
}

impl Codec for DeletableGroupResult {
    const MIN_BYTES: usize = 3;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = DeletableGroupResult { group_id: d.string(flexible)?, error_code: d.error_code()? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.string(&self.group_id, flexible)?;
        e.error_code(self.error_code);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeletableGroupResult {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DeletableGroupResult { group_id: g.text(), error_code: ErrorCode(g.i16()) }
    }
}
