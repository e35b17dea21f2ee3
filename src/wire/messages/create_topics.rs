//! `CreateTopicsRequest` and `CreateTopicsResponse`.
//!
//! Generated from `wire/schema/create_topics.schema` by `generate.py`; do not edit.

use crate::types::TopicId;
use crate::wire::codec::{
    Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes, Tags,
};
use crate::wire::{ApiKey, ErrorCode};

/// `CreateTopicsRequest`, API key 19, versions 2 to 7, flexible from 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopicsRequest {
    /// `Topics`.
    pub topics: Vec<CreatableTopic>,
    /// `TimeoutMs`; 60000 when absent.
    pub timeout_ms: i32,
    /// `ValidateOnly`.
    pub validate_only: bool,
}

impl Default for CreateTopicsRequest {
    fn default() -> Self {
        CreateTopicsRequest { topics: Vec::new(), timeout_ms: 60000, validate_only: false }
    }
}

impl Codec for CreateTopicsRequest {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let it = CreateTopicsRequest {
            topics: d.array(flexible, CreatableTopic::MIN_BYTES, |d| CreatableTopic::decode(d, version))?,
            timeout_ms: d.i32()?,
            validate_only: d.bool()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        e.i32(self.timeout_ms);
        e.bool(self.validate_only);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for CreateTopicsRequest {
    const NAME: &'static str = "CreateTopicsRequest";
    const VERSIONS: (i16, i16) = (2, 7);
}

impl Request for CreateTopicsRequest {
    const KEY: ApiKey = ApiKey::CreateTopics;
    type Response = CreateTopicsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for CreateTopicsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        CreateTopicsRequest {
            topics: g.array(|g| CreatableTopic::sample(g, version)),
            timeout_ms: g.i32(),
            validate_only: g.bool(),
        }
    }
}

/// Part of `CreateTopicsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatableTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `NumPartitions`.
    pub num_partitions: i32,
    /// `ReplicationFactor`.
    pub replication_factor: i16,
    /// `Assignments`.
    pub assignments: Vec<CreatableReplicaAssignment>,
    /// `Configs`.
    pub configs: Vec<CreatableTopicConfig>,
}

impl Codec for CreatableTopic {
    const MIN_BYTES: usize = 9;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let it = CreatableTopic {
            name: d.string(flexible)?,
            num_partitions: d.i32()?,
            replication_factor: d.i16()?,
            assignments: d.array(flexible, CreatableReplicaAssignment::MIN_BYTES, |d| {
                CreatableReplicaAssignment::decode(d, version)
            })?,
            configs: d.array(flexible, CreatableTopicConfig::MIN_BYTES, |d| {
                CreatableTopicConfig::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        e.string(&self.name, flexible)?;
        e.i32(self.num_partitions);
        e.i16(self.replication_factor);
        e.array(&self.assignments, flexible, |e, item| item.encode(e, version))?;
        e.array(&self.configs, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for CreatableTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        CreatableTopic {
            name: g.text(),
            num_partitions: g.i32(),
            replication_factor: g.i16(),
            assignments: g.array(|g| CreatableReplicaAssignment::sample(g, version)),
            configs: g.array(|g| CreatableTopicConfig::sample(g, version)),
        }
    }
}

/// Part of `CreateTopicsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatableReplicaAssignment {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `BrokerIds`.
    pub broker_ids: Vec<i32>,
}

impl Codec for CreatableReplicaAssignment {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let it = CreatableReplicaAssignment {
            partition_index: d.i32()?,
            broker_ids: d.array(flexible, 4, |d| d.i32())?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        e.i32(self.partition_index);
        e.array(&self.broker_ids, flexible, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for CreatableReplicaAssignment {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        CreatableReplicaAssignment { partition_index: g.i32(), broker_ids: g.array(|g| g.i32()) }
    }
}

/// Part of `CreateTopicsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatableTopicConfig {
    /// `Name`.
    pub name: StrBytes,
    /// `Value`.
    pub value: Option<StrBytes>,
}

impl Codec for CreatableTopicConfig {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let it = CreatableTopicConfig { name: d.string(flexible)?, value: d.nullable_string(flexible)? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        e.string(&self.name, flexible)?;
        e.nullable_string(self.value.as_ref(), flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for CreatableTopicConfig {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        CreatableTopicConfig { name: g.text(), value: g.option(true, |g| g.text()) }
    }
}

/// `CreateTopicsResponse`, API key 19, versions 2 to 7, flexible from 5.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateTopicsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Topics`.
    pub topics: Vec<CreatableTopicResult>,
}

impl Codec for CreateTopicsResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let it = CreateTopicsResponse {
            throttle_time_ms: d.i32()?,
            topics: d.array(flexible, CreatableTopicResult::MIN_BYTES, |d| {
                CreatableTopicResult::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        e.i32(self.throttle_time_ms);
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for CreateTopicsResponse {
    const NAME: &'static str = "CreateTopicsResponse";
    const VERSIONS: (i16, i16) = (2, 7);
}

#[cfg(test)]
impl crate::wire::samples::Sample for CreateTopicsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        CreateTopicsResponse {
            throttle_time_ms: g.i32(),
            topics: g.array(|g| CreatableTopicResult::sample(g, version)),
        }
    }
}

/// Part of `CreateTopicsResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatableTopicResult {
    /// `Name`.
    pub name: StrBytes,
    /// `TopicId`, from version 7.
    pub topic_id: TopicId,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `TopicConfigErrorCode`, from version 5; tag 0.
    pub topic_config_error_code: ErrorCode,
    /// `NumPartitions`, from version 5; -1 when absent.
    pub num_partitions: i32,
    /// `ReplicationFactor`, from version 5; -1 when absent.
    pub replication_factor: i16,
    /// `Configs`, from version 5.
    pub configs: Option<Vec<CreatableTopicConfigs>>,
}

impl Default for CreatableTopicResult {
    fn default() -> Self {
        CreatableTopicResult {
            name: StrBytes::default(),
            topic_id: TopicId::ZERO,
            error_code: ErrorCode::NONE,
            error_message: None,
            topic_config_error_code: ErrorCode::NONE,
            num_partitions: -1,
            replication_factor: -1,
            configs: None,
        }
    }
}

impl Codec for CreatableTopicResult {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let mut it = CreatableTopicResult {
            name: d.string(flexible)?,
            topic_id: if version >= 7 { TopicId(d.uuid()?) } else { TopicId::ZERO },
            error_code: d.error_code()?,
            error_message: d.nullable_string(flexible)?,
            topic_config_error_code: ErrorCode::NONE,
            num_partitions: if version >= 5 { d.i32()? } else { -1 },
            replication_factor: if version >= 5 { d.i16()? } else { -1 },
            configs: if version >= 5 {
                d.nullable_array(flexible, CreatableTopicConfigs::MIN_BYTES, |d| {
                    CreatableTopicConfigs::decode(d, version)
                })?
            } else {
                None
            },
        };
        if flexible {
            d.tags(|d, tag| {
                match tag {
                    0 => it.topic_config_error_code = d.error_code()?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        e.string(&self.name, flexible)?;
        if version >= 7 {
            e.uuid(self.topic_id.0);
        }
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), flexible)?;
        if version >= 5 {
            e.i32(self.num_partitions);
        }
        if version >= 5 {
            e.i16(self.replication_factor);
        }
        if version >= 5 {
            e.nullable_array(self.configs.as_deref(), flexible, |e, item| item.encode(e, version))?;
        }
        if flexible {
            let mut tags = Tags::new();
            if self.topic_config_error_code != ErrorCode::NONE {
                tags.add(0, |e| {
                    e.error_code(self.topic_config_error_code);
                    Ok(())
                })?;
            }
            e.tags(tags);
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for CreatableTopicResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        CreatableTopicResult {
            name: g.text(),
            topic_id: if version >= 7 { TopicId(g.uuid()) } else { TopicId::ZERO },
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            topic_config_error_code: if version >= 5 { ErrorCode(g.i16()) } else { ErrorCode::NONE },
            num_partitions: if version >= 5 { g.i32() } else { -1 },
            replication_factor: if version >= 5 { g.i16() } else { -1 },
            configs: if version >= 5 {
                g.option(true, |g| g.array(|g| CreatableTopicConfigs::sample(g, version)))
            } else {
                None
            },
        }
    }
}

/// Part of `CreateTopicsResponse`, from version 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatableTopicConfigs {
    /// `Name`.
    pub name: StrBytes,
    /// `Value`.
    pub value: Option<StrBytes>,
    /// `ReadOnly`.
    pub read_only: bool,
    /// `ConfigSource`; -1 when absent.
    pub config_source: i8,
    /// `IsSensitive`.
    pub is_sensitive: bool,
}

impl Default for CreatableTopicConfigs {
    fn default() -> Self {
        CreatableTopicConfigs {
            name: StrBytes::default(),
            value: None,
            read_only: false,
            config_source: -1,
            is_sensitive: false,
        }
    }
}

impl Codec for CreatableTopicConfigs {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = CreatableTopicConfigs {
            name: d.string(true)?,
            value: d.nullable_string(true)?,
            read_only: d.bool()?,
            config_source: d.i8()?,
            is_sensitive: d.bool()?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.nullable_string(self.value.as_ref(), true)?;
        e.bool(self.read_only);
        e.i8(self.config_source);
        e.bool(self.is_sensitive);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for CreatableTopicConfigs {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        CreatableTopicConfigs {
            name: g.text(),
            value: g.option(true, |g| g.text()),
            read_only: g.bool(),
            config_source: g.i8(),
            is_sensitive: g.bool(),
        }
    }
}
