//! `DescribeTopicPartitionsRequest` and `DescribeTopicPartitionsResponse`.
//!
//! Generated from `wire/schema/describe_topic_partitions.schema` by `generate.py`; do not edit.

use crate::types::TopicId;
use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DescribeTopicPartitionsRequest`, API key 75, version 0, flexible from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicPartitionsRequest {
    /// `Topics`.
    pub topics: Vec<TopicRequest>,
    /// `ResponsePartitionLimit`; 2000 when absent.
    pub response_partition_limit: i32,
    /// `Cursor`.
    pub cursor: Option<Cursor>,
}

impl Default for DescribeTopicPartitionsRequest {
    fn default() -> Self {
        DescribeTopicPartitionsRequest { topics: Vec::new(), response_partition_limit: 2000, cursor: None }
    }
}

impl Codec for DescribeTopicPartitionsRequest {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeTopicPartitionsRequest {
            topics: d.array(true, TopicRequest::MIN_BYTES, |d| TopicRequest::decode(d, version))?,
            response_partition_limit: d.i32()?,
            cursor: d.nullable_struct(|d| Cursor::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.array(&self.topics, true, |e, item| item.encode(e, version))?;
        e.i32(self.response_partition_limit);
        e.nullable_struct(self.cursor.as_ref(), |e, it| it.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for DescribeTopicPartitionsRequest {
    const NAME: &'static str = "DescribeTopicPartitionsRequest";
    const VERSIONS: (i16, i16) = (0, 0);
}

impl Request for DescribeTopicPartitionsRequest {
    const KEY: ApiKey = ApiKey::DescribeTopicPartitions;
    type Response = DescribeTopicPartitionsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeTopicPartitionsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeTopicPartitionsRequest {
            topics: g.array(|g| TopicRequest::sample(g, version)),
            response_partition_limit: g.i32(),
            cursor: g.option(true, |g| Cursor::sample(g, version)),
        }
    }
}

/// Part of `DescribeTopicPartitionsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicRequest {
    /// `Name`.
    pub name: StrBytes,
}

impl Codec for TopicRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = TopicRequest { name: d.string(true)? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TopicRequest {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        TopicRequest { name: g.text() }
    }
}

/// Part of `DescribeTopicPartitionsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// `TopicName`.
    pub topic_name: StrBytes,
    /// `PartitionIndex`.
    pub partition_index: i32,
}

impl Codec for Cursor {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = Cursor { topic_name: d.string(true)?, partition_index: d.i32()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.topic_name, true)?;
        e.i32(self.partition_index);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for Cursor {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        Cursor { topic_name: g.text(), partition_index: g.i32() }
    }
}

/// `DescribeTopicPartitionsResponse`, API key 75, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeTopicPartitionsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Topics`.
    pub topics: Vec<DescribeTopicPartitionsResponseTopic>,
    /// `NextCursor`.
    pub next_cursor: Option<Cursor>,
}

impl Codec for DescribeTopicPartitionsResponse {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeTopicPartitionsResponse {
            throttle_time_ms: d.i32()?,
            topics: d.array(true, DescribeTopicPartitionsResponseTopic::MIN_BYTES, |d| {
                DescribeTopicPartitionsResponseTopic::decode(d, version)
            })?,
            next_cursor: d.nullable_struct(|d| Cursor::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.array(&self.topics, true, |e, item| item.encode(e, version))?;
        e.nullable_struct(self.next_cursor.as_ref(), |e, it| it.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for DescribeTopicPartitionsResponse {
    const NAME: &'static str = "DescribeTopicPartitionsResponse";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeTopicPartitionsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeTopicPartitionsResponse {
            throttle_time_ms: g.i32(),
            topics: g.array(|g| DescribeTopicPartitionsResponseTopic::sample(g, version)),
            next_cursor: g.option(true, |g| Cursor::sample(g, version)),
        }
    }
}

/// Part of `DescribeTopicPartitionsResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicPartitionsResponseTopic {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `Name`.
    pub name: Option<StrBytes>,
    /// `TopicId`.
    pub topic_id: TopicId,
    /// `IsInternal`.
    pub is_internal: bool,
    /// `Partitions`.
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    /// `TopicAuthorizedOperations`; i32::MIN when absent.
    pub topic_authorized_operations: i32,
}

impl Default for DescribeTopicPartitionsResponseTopic {
    fn default() -> Self {
        DescribeTopicPartitionsResponseTopic {
            error_code: ErrorCode::NONE,
            name: None,
            topic_id: TopicId::ZERO,
            is_internal: false,
            partitions: Vec::new(),
            topic_authorized_operations: i32::MIN,
        }
    }
}

impl Codec for DescribeTopicPartitionsResponseTopic {
    const MIN_BYTES: usize = 25;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeTopicPartitionsResponseTopic {
            error_code: d.error_code()?,
            name: d.nullable_string(true)?,
            topic_id: TopicId(d.uuid()?),
            is_internal: d.bool()?,
            partitions: d.array(true, DescribeTopicPartitionsResponsePartition::MIN_BYTES, |d| {
                DescribeTopicPartitionsResponsePartition::decode(d, version)
            })?,
            topic_authorized_operations: d.i32()?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.error_code(self.error_code);
        e.nullable_string(self.name.as_ref(), true)?;
        e.uuid(self.topic_id.0);
        e.bool(self.is_internal);
        e.array(&self.partitions, true, |e, item| item.encode(e, version))?;
        e.i32(self.topic_authorized_operations);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeTopicPartitionsResponseTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeTopicPartitionsResponseTopic {
            error_code: ErrorCode(g.i16()),
            name: g.option(true, |g| g.text()),
            topic_id: TopicId(g.uuid()),
            is_internal: g.bool(),
            partitions: g.array(|g| DescribeTopicPartitionsResponsePartition::sample(g, version)),
            topic_authorized_operations: g.i32(),
        }
    }
}

/// Part of `DescribeTopicPartitionsResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicPartitionsResponsePartition {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `LeaderId`.
    pub leader_id: i32,
    /// `LeaderEpoch`; -1 when absent.
    pub leader_epoch: i32,
    /// `ReplicaNodes`.
    pub replica_nodes: Vec<i32>,
    /// `IsrNodes`.
    pub isr_nodes: Vec<i32>,
    /// `EligibleLeaderReplicas`.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// `LastKnownElr`.
    pub last_known_elr: Option<Vec<i32>>,
    /// `OfflineReplicas`.
    pub offline_replicas: Vec<i32>,
}

impl Default for DescribeTopicPartitionsResponsePartition {
    fn default() -> Self {
        DescribeTopicPartitionsResponsePartition {
            error_code: ErrorCode::NONE,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            offline_replicas: Vec::new(),
        }
    }
}

impl Codec for DescribeTopicPartitionsResponsePartition {
    const MIN_BYTES: usize = 19;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = DescribeTopicPartitionsResponsePartition {
            error_code: d.error_code()?,
            partition_index: d.i32()?,
            leader_id: d.i32()?,
            leader_epoch: d.i32()?,
            replica_nodes: d.array(true, 4, |d| d.i32())?,
            isr_nodes: d.array(true, 4, |d| d.i32())?,
            eligible_leader_replicas: d.nullable_array(true, 4, |d| d.i32())?,
            last_known_elr: d.nullable_array(true, 4, |d| d.i32())?,
            offline_replicas: d.array(true, 4, |d| d.i32())?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.error_code(self.error_code);
        e.i32(self.partition_index);
        e.i32(self.leader_id);
        e.i32(self.leader_epoch);
        e.array(&self.replica_nodes, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.array(&self.isr_nodes, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.nullable_array(self.eligible_leader_replicas.as_deref(), true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.nullable_array(self.last_known_elr.as_deref(), true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.array(&self.offline_replicas, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeTopicPartitionsResponsePartition {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        DescribeTopicPartitionsResponsePartition {
            error_code: ErrorCode(g.i16()),
            partition_index: g.i32(),
            leader_id: g.i32(),
            leader_epoch: g.i32(),
            replica_nodes: g.array(|g| g.i32()),
            isr_nodes: g.array(|g| g.i32()),
            eligible_leader_replicas: g.option(true, |g| g.array(|g| g.i32())),
            last_known_elr: g.option(true, |g| g.array(|g| g.i32())),
            offline_replicas: g.array(|g| g.i32()),
        }
    }
}
