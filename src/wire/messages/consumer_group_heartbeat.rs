//! `ConsumerGroupHeartbeatRequest` and `ConsumerGroupHeartbeatResponse`.
//!
//! Generated from `wire/schema/consumer_group_heartbeat.schema` by `generate.py`; do not edit.

use crate::types::TopicId;
use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `ConsumerGroupHeartbeatRequest`, API key 68, versions 0 to 1, flexible from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupHeartbeatRequest {
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `MemberId`.
    pub member_id: StrBytes,
    /// `MemberEpoch`.
    pub member_epoch: i32,
    /// `InstanceId`.
    pub instance_id: Option<StrBytes>,
    /// `RackId`.
    pub rack_id: Option<StrBytes>,
    /// `RebalanceTimeoutMs`; -1 when absent.
    pub rebalance_timeout_ms: i32,
    /// `SubscribedTopicNames`.
    pub subscribed_topic_names: Option<Vec<StrBytes>>,
    /// `SubscribedTopicRegex`, from version 1.
    pub subscribed_topic_regex: Option<StrBytes>,
    /// `ServerAssignor`.
    pub server_assignor: Option<StrBytes>,
    /// `TopicPartitions`.
    pub topic_partitions: Option<Vec<TopicPartitions>>,
}

impl Default for ConsumerGroupHeartbeatRequest {
    fn default() -> Self {
        ConsumerGroupHeartbeatRequest {
            group_id: StrBytes::default(),
            member_id: StrBytes::default(),
            member_epoch: 0,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: -1,
            subscribed_topic_names: None,
            subscribed_topic_regex: None,
            server_assignor: None,
            topic_partitions: None,
        }
    }
}

impl Codec for ConsumerGroupHeartbeatRequest {
    const MIN_BYTES: usize = 15;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ConsumerGroupHeartbeatRequest {
            group_id: d.string(true)?,
            member_id: d.string(true)?,
            member_epoch: d.i32()?,
            instance_id: d.nullable_string(true)?,
            rack_id: d.nullable_string(true)?,
            rebalance_timeout_ms: d.i32()?,
            subscribed_topic_names: d.nullable_array(true, 1, |d| d.string(true))?,
            subscribed_topic_regex: if version >= 1 { d.nullable_string(true)? } else { None },
            server_assignor: d.nullable_string(true)?,
            topic_partitions: d
                .nullable_array(true, TopicPartitions::MIN_BYTES, |d| TopicPartitions::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.group_id, true)?;
        e.string(&self.member_id, true)?;
        e.i32(self.member_epoch);
        e.nullable_string(self.instance_id.as_ref(), true)?;
        e.nullable_string(self.rack_id.as_ref(), true)?;
        e.i32(self.rebalance_timeout_ms);
        e.nullable_array(self.subscribed_topic_names.as_deref(), true, |e, item| e.string(item, true))?;
        if version >= 1 {
            e.nullable_string(self.subscribed_topic_regex.as_ref(), true)?;
        } else if self.subscribed_topic_regex.is_some() {
            return Err(EncodeError::NotInVersion {
                field: "ConsumerGroupHeartbeatRequest.SubscribedTopicRegex",
                version,
            });
        }
        e.nullable_string(self.server_assignor.as_ref(), true)?;
        e.nullable_array(self.topic_partitions.as_deref(), true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for ConsumerGroupHeartbeatRequest {
    const NAME: &'static str = "ConsumerGroupHeartbeatRequest";
    const VERSIONS: (i16, i16) = (0, 1);
}

impl Request for ConsumerGroupHeartbeatRequest {
    const KEY: ApiKey = ApiKey::ConsumerGroupHeartbeat;
    type Response = ConsumerGroupHeartbeatResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupHeartbeatRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ConsumerGroupHeartbeatRequest {
            group_id: g.text(),
            member_id: g.text(),
            member_epoch: g.i32(),
            instance_id: g.option(true, |g| g.text()),
            rack_id: g.option(true, |g| g.text()),
            rebalance_timeout_ms: g.i32(),
            subscribed_topic_names: g.option(true, |g| g.array(|g| g.text())),
            subscribed_topic_regex: if version >= 1 { g.option(true, |g| g.text()) } else { None },
            server_assignor: g.option(true, |g| g.text()),
            topic_partitions: g.option(true, |g| g.array(|g| TopicPartitions::sample(g, version))),
        }
    }
}

/// Part of `ConsumerGroupHeartbeatRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPartitions {
    /// `TopicId`.
    pub topic_id: TopicId,
    /// `Partitions`.
    pub partitions: Vec<i32>,
}

impl Codec for TopicPartitions {
    const MIN_BYTES: usize = 17;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = TopicPartitions { topic_id: TopicId(d.uuid()?), partitions: d.array(true, 4, |d| d.i32())? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.uuid(self.topic_id.0);
        e.array(&self.partitions, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TopicPartitions {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        TopicPartitions { topic_id: TopicId(g.uuid()), partitions: g.array(|g| g.i32()) }
    }
}

/// `ConsumerGroupHeartbeatResponse`, API key 68, versions 0 to 1, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupHeartbeatResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `MemberId`.
    pub member_id: Option<StrBytes>,
    /// `MemberEpoch`.
    pub member_epoch: i32,
    /// `HeartbeatIntervalMs`.
    pub heartbeat_interval_ms: i32,
    /// `Assignment`.
    pub assignment: Option<Assignment>,
}

impl Codec for ConsumerGroupHeartbeatResponse {
    const MIN_BYTES: usize = 17;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ConsumerGroupHeartbeatResponse {
            throttle_time_ms: d.i32()?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
            member_id: d.nullable_string(true)?,
            member_epoch: d.i32()?,
            heartbeat_interval_ms: d.i32()?,
            assignment: d.nullable_struct(|d| Assignment::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        e.nullable_string(self.member_id.as_ref(), true)?;
        e.i32(self.member_epoch);
        e.i32(self.heartbeat_interval_ms);
        e.nullable_struct(self.assignment.as_ref(), |e, it| it.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for ConsumerGroupHeartbeatResponse {
    const NAME: &'static str = "ConsumerGroupHeartbeatResponse";
    const VERSIONS: (i16, i16) = (0, 1);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupHeartbeatResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ConsumerGroupHeartbeatResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            member_id: g.option(true, |g| g.text()),
            member_epoch: g.i32(),
            heartbeat_interval_ms: g.i32(),
            assignment: g.option(true, |g| Assignment::sample(g, version)),
        }
    }
}

/// Part of `ConsumerGroupHeartbeatResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// `TopicPartitions`.
    pub topic_partitions: Vec<TopicPartitions>,
}

impl Codec for Assignment {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = Assignment {
            topic_partitions: d
                .array(true, TopicPartitions::MIN_BYTES, |d| TopicPartitions::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.array(&self.topic_partitions, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for Assignment {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        Assignment { topic_partitions: g.array(|g| TopicPartitions::sample(g, version)) }
    }
}
