//! `DeleteTopicsRequest` and `DeleteTopicsResponse`.
//!
//! Generated from `wire/schema/delete_topics.schema` by `generate.py`; do not edit.

use crate::types::TopicId;
use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DeleteTopicsRequest`, API key 20, versions 1 to 6, flexible from 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteTopicsRequest {
    /// `Topics`, from version 6.
    pub topics: Vec<DeleteTopicState>,
    /// `TopicNames`, to version 5.
    pub topic_names: Vec<StrBytes>,
    /// `TimeoutMs`.
    pub timeout_ms: i32,
}

impl Codec for DeleteTopicsRequest {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = DeleteTopicsRequest {
            topics: if version >= 6 {
                d.array(flexible, DeleteTopicState::MIN_BYTES, |d| DeleteTopicState::decode(d, version))?
            } else {
                Vec::new()
            },
            topic_names: if version <= 5 {
                d.array(flexible, 1, |d| d.string(flexible))?
            } else {
                Vec::new()
            },
            timeout_ms: d.i32()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        if version >= 6 {
            e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        } else if !self.topics.is_empty() {
            return Err(EncodeError::NotInVersion { field: "DeleteTopicsRequest.Topics", version });
        }
        if version <= 5 {
            e.array(&self.topic_names, flexible, |e, item| e.string(item, flexible))?;
        }
        e.i32(self.timeout_ms);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DeleteTopicsRequest {
    const NAME: &'static str = "DeleteTopicsRequest";
    const VERSIONS: (i16, i16) = (1, 6);
}

impl Request for DeleteTopicsRequest {
    const KEY: ApiKey = ApiKey::DeleteTopics;
    type Response = DeleteTopicsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteTopicsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DeleteTopicsRequest {
            topics: if version >= 6 { g.array(|g| DeleteTopicState::sample(g, version)) } else { Vec::new() },
            topic_names: if version <= 5 { g.array(|g| g.text()) } else { Vec::new() },
            timeout_ms: g.i32(),
        }
    }
}

/// Part of `DeleteTopicsRequest`, from version 6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteTopicState {
    /// `Name`.
    pub name: Option<StrBytes>,
    /// `TopicId`.
    pub topic_id: TopicId,
}

impl Codec for DeleteTopicState {
    const MIN_BYTES: usize = 17;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = DeleteTopicState { name: d.nullable_string(true)?, topic_id: TopicId(d.uuid()?) };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.nullable_string(self.name.as_ref(), true)?;
        e.uuid(self.topic_id.0);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteTopicState {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DeleteTopicState { name: g.option(true, |g| g.text()), topic_id: TopicId(g.uuid()) }
    }
}

/// `DeleteTopicsResponse`, API key 20, versions 1 to 6, flexible from 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteTopicsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Responses`.
    pub responses: Vec<DeletableTopicResult>,
}

impl Codec for DeleteTopicsResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = DeleteTopicsResponse {
            throttle_time_ms: d.i32()?,
            responses: d.array(flexible, DeletableTopicResult::MIN_BYTES, |d| {
                DeletableTopicResult::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.i32(self.throttle_time_ms);
        e.array(&self.responses, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DeleteTopicsResponse {
    const NAME: &'static str = "DeleteTopicsResponse";
    const VERSIONS: (i16, i16) = (1, 6);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeleteTopicsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DeleteTopicsResponse {
            throttle_time_ms: g.i32(),
            responses: g.array(|g| DeletableTopicResult::sample(g, version)),
        }
    }
}

/// Part of `DeleteTopicsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletableTopicResult {
    /// `Name`; null from version 6.
    pub name: Option<StrBytes>,
    /// `TopicId`, from version 6.
    pub topic_id: TopicId,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`, from version 5.
    pub error_message: Option<StrBytes>,
}

impl Codec for DeletableTopicResult {
    const MIN_BYTES: usize = 3;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = DeletableTopicResult {
            name: if version >= 6 { d.nullable_string(flexible)? } else { Some(d.string(flexible)?) },
            topic_id: if version >= 6 { TopicId(d.uuid()?) } else { TopicId::ZERO },
            error_code: d.error_code()?,
            error_message: if version >= 5 { d.nullable_string(flexible)? } else { None },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        if self.name.is_none() && version <= 5 {
            return Err(EncodeError::Null { field: "DeletableTopicResult.Name", version });
        }
        e.nullable_string(self.name.as_ref(), flexible)?;
        if version >= 6 {
            e.uuid(self.topic_id.0);
        }
        e.error_code(self.error_code);
        if version >= 5 {
            e.nullable_string(self.error_message.as_ref(), flexible)?;
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DeletableTopicResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DeletableTopicResult {
            name: g.option(version >= 6, |g| g.text()),
            topic_id: if version >= 6 { TopicId(g.uuid()) } else { TopicId::ZERO },
            error_code: ErrorCode(g.i16()),
            error_message: if version >= 5 { g.option(true, |g| g.text()) } else { None },
        }
    }
}
