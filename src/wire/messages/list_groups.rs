//! `ListGroupsRequest` and `ListGroupsResponse`.
//!
//! Generated from `wire/schema/list_groups.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `ListGroupsRequest`, API key 16, versions 0 to 5, flexible from 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListGroupsRequest {
    /// `StatesFilter`, from version 4.
    pub states_filter: Vec<StrBytes>,
    /// `TypesFilter`, from version 5.
    pub types_filter: Vec<StrBytes>,
}

impl Codec for ListGroupsRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = ListGroupsRequest {
            states_filter: if version >= 4 {
                d.array(flexible, 1, |d| d.string(flexible))?
            } else {
                Vec::new()
            },
            types_filter: if version >= 5 {
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
        if version >= 4 {
            e.array(&self.states_filter, flexible, |e, item| e.string(item, flexible))?;
        } else if !self.states_filter.is_empty() {
            return Err(EncodeError::NotInVersion { field: "ListGroupsRequest.StatesFilter", version });
        }
        if version >= 5 {
            e.array(&self.types_filter, flexible, |e, item| e.string(item, flexible))?;
        } else if !self.types_filter.is_empty() {
            return Err(EncodeError::NotInVersion { field: "ListGroupsRequest.TypesFilter", version });
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for ListGroupsRequest {
    const NAME: &'static str = "ListGroupsRequest";
    const VERSIONS: (i16, i16) = (0, 5);
}

impl Request for ListGroupsRequest {
    const KEY: ApiKey = ApiKey::ListGroups;
    type Response = ListGroupsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListGroupsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListGroupsRequest {
            states_filter: if version >= 4 { g.array(|g| g.text()) } else { Vec::new() },
            types_filter: if version >= 5 { g.array(|g| g.text()) } else { Vec::new() },
        }
    }
}

/// `ListGroupsResponse`, API key 16, versions 0 to 5, flexible from 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListGroupsResponse {
    /// `ThrottleTimeMs`, from version 1.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `Groups`.
    pub groups: Vec<ListedGroup>,
}

impl Codec for ListGroupsResponse {
    const MIN_BYTES: usize = 3;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = ListGroupsResponse {
            throttle_time_ms: if version >= 1 { d.i32()? } else { 0 },
            error_code: d.error_code()?,
            groups: d.array(flexible, ListedGroup::MIN_BYTES, |d| ListedGroup::decode(d, version))?,
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
        e.error_code(self.error_code);
        e.array(&self.groups, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for ListGroupsResponse {
    const NAME: &'static str = "ListGroupsResponse";
    const VERSIONS: (i16, i16) = (0, 5);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListGroupsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListGroupsResponse {
            throttle_time_ms: if version >= 1 { g.i32() } else { 0 },
            error_code: ErrorCode(g.i16()),
            groups: g.array(|g| ListedGroup::sample(g, version)),
        }
    }
}

/// Part of `ListGroupsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedGroup {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `ProtocolType`.
    pub protocol_type: StrBytes,
    /// `GroupState`, from version 4.
    pub group_state: StrBytes,
    /// `GroupType`, from version 5.
    pub group_type: StrBytes,
}

impl Codec for ListedGroup {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = ListedGroup {
            group_id: d.string(flexible)?,
            protocol_type: d.string(flexible)?,
            group_state: if version >= 4 { d.string(flexible)? } else { StrBytes::default() },
            group_type: if version >= 5 { d.string(flexible)? } else { StrBytes::default() },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.string(&self.group_id, flexible)?;
        e.string(&self.protocol_type, flexible)?;
        if version >= 4 {
            e.string(&self.group_state, flexible)?;
        }
        if version >= 5 {
            e.string(&self.group_type, flexible)?;
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListedGroup {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListedGroup {
            group_id: g.text(),
            protocol_type: g.text(),
            group_state: if version >= 4 { g.text() } else { StrBytes::default() },
            group_type: if version >= 5 { g.text() } else { StrBytes::default() },
        }
    }
}
