//! `DescribeQuorumRequest` and `DescribeQuorumResponse`.
//!
//! Generated from `wire/schema/describe_quorum.schema` by `generate.py`; do not edit.

use crate::types::DirectoryId;
use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DescribeQuorumRequest`, API key 55, versions 0 to 2, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeQuorumRequest {
    /// `Topics`.
    pub topics: Vec<TopicData>,
}

impl Codec for DescribeQuorumRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeQuorumRequest {
            topics: d.array(true, TopicData::MIN_BYTES, |d| TopicData::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.array(&self.topics, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for DescribeQuorumRequest {
    const NAME: &'static str = "DescribeQuorumRequest";
    const VERSIONS: (i16, i16) = (0, 2);
}

impl Request for DescribeQuorumRequest {
    const KEY: ApiKey = ApiKey::DescribeQuorum;
    type Response = DescribeQuorumResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeQuorumRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeQuorumRequest { topics: g.array(|g| TopicData::sample(g, version)) }
    }
}

/// Part of `DescribeQuorumRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicData {
    /// `TopicName`.
    pub topic_name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<PartitionData>,
}

impl Codec for TopicData {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = TopicData {
            topic_name: d.string(true)?,
            partitions: d.array(true, PartitionData::MIN_BYTES, |d| PartitionData::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.topic_name, true)?;
        e.array(&self.partitions, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TopicData {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        TopicData { topic_name: g.text(), partitions: g.array(|g| PartitionData::sample(g, version)) }
    }
}

/// Part of `DescribeQuorumRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionData {
    /// `PartitionIndex`.
    pub partition_index: i32,
}

impl Codec for PartitionData {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = PartitionData { partition_index: d.i32()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.partition_index);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for PartitionData {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        PartitionData { partition_index: g.i32() }
    }
}

/// `DescribeQuorumResponse`, API key 55, versions 0 to 2, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeQuorumResponse {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`, from version 2.
    pub error_message: Option<StrBytes>,
    /// `Topics`.
    pub topics: Vec<TopicDataResult>,
    /// `Nodes`, from version 2.
    pub nodes: Vec<Node>,
}

impl Codec for DescribeQuorumResponse {
    const MIN_BYTES: usize = 3;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeQuorumResponse {
            error_code: d.error_code()?,
            error_message: if version >= 2 { d.nullable_string(true)? } else { None },
            topics: d.array(true, TopicDataResult::MIN_BYTES, |d| TopicDataResult::decode(d, version))?,
            nodes: if version >= 2 {
                d.array(true, Node::MIN_BYTES, |d| Node::decode(d, version))?
            } else {
                Vec::new()
            },
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.error_code(self.error_code);
        if version >= 2 {
            e.nullable_string(self.error_message.as_ref(), true)?;
        }
        e.array(&self.topics, true, |e, item| item.encode(e, version))?;
        if version >= 2 {
            e.array(&self.nodes, true, |e, item| item.encode(e, version))?;
        }
        e.no_tags();
        Ok(())
    }
}

impl Message for DescribeQuorumResponse {
    const NAME: &'static str = "DescribeQuorumResponse";
    const VERSIONS: (i16, i16) = (0, 2);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeQuorumResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeQuorumResponse {
            error_code: ErrorCode(g.i16()),
            error_message: if version >= 2 { g.option(true, |g| g.text()) } else { None },
            topics: g.array(|g| TopicDataResult::sample(g, version)),
            nodes: if version >= 2 { g.array(|g| Node::sample(g, version)) } else { Vec::new() },
        }
    }
}

/// Part of `DescribeQuorumResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicDataResult {
    /// `TopicName`.
    pub topic_name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<PartitionDataResult>,
}

impl Codec for TopicDataResult {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = TopicDataResult {
            topic_name: d.string(true)?,
            partitions: d
                .array(true, PartitionDataResult::MIN_BYTES, |d| PartitionDataResult::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.topic_name, true)?;
        e.array(&self.partitions, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TopicDataResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        TopicDataResult {
            topic_name: g.text(),
            partitions: g.array(|g| PartitionDataResult::sample(g, version)),
        }
    }
}

/// Part of `DescribeQuorumResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionDataResult {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`, from version 2.
    pub error_message: Option<StrBytes>,
    /// `LeaderId`.
    pub leader_id: i32,
    /// `LeaderEpoch`.
    pub leader_epoch: i32,
    /// `HighWatermark`.
    pub high_watermark: i64,
    /// `CurrentVoters`.
    pub current_voters: Vec<ReplicaState>,
    /// `Observers`.
    pub observers: Vec<ReplicaState>,
}

impl Codec for PartitionDataResult {
    const MIN_BYTES: usize = 24;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = PartitionDataResult {
            partition_index: d.i32()?,
            error_code: d.error_code()?,
            error_message: if version >= 2 { d.nullable_string(true)? } else { None },
            leader_id: d.i32()?,
            leader_epoch: d.i32()?,
            high_watermark: d.i64()?,
            current_voters: d.array(true, ReplicaState::MIN_BYTES, |d| ReplicaState::decode(d, version))?,
            observers: d.array(true, ReplicaState::MIN_BYTES, |d| ReplicaState::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.partition_index);
        e.error_code(self.error_code);
        if version >= 2 {
            e.nullable_string(self.error_message.as_ref(), true)?;
        }
        e.i32(self.leader_id);
        e.i32(self.leader_epoch);
        e.i64(self.high_watermark);
        e.array(&self.current_voters, true, |e, item| item.encode(e, version))?;
        e.array(&self.observers, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for PartitionDataResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        PartitionDataResult {
            partition_index: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: if version >= 2 { g.option(true, |g| g.text()) } else { None },
            leader_id: g.i32(),
            leader_epoch: g.i32(),
            high_watermark: g.i64(),
            current_voters: g.array(|g| ReplicaState::sample(g, version)),
            observers: g.array(|g| ReplicaState::sample(g, version)),
        }
    }
}

/// Part of `DescribeQuorumResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaState {
    /// `ReplicaId`.
    pub replica_id: i32,
    /// `ReplicaDirectoryId`, from version 2.
    pub replica_directory_id: DirectoryId,
    /// `LogEndOffset`.
    pub log_end_offset: i64,
    /// `LastFetchTimestamp`, from version 1; -1 when absent.
    pub last_fetch_timestamp: i64,
    /// `LastCaughtUpTimestamp`, from version 1; -1 when absent.
    pub last_caught_up_timestamp: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        ReplicaState {
            replica_id: 0,
            replica_directory_id: DirectoryId::ZERO,
            log_end_offset: 0,
            last_fetch_timestamp: -1,
            last_caught_up_timestamp: -1,
        }
    }
}

impl Codec for ReplicaState {
    const MIN_BYTES: usize = 12;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ReplicaState {
            replica_id: d.i32()?,
            replica_directory_id: if version >= 2 { DirectoryId(d.uuid()?) } else { DirectoryId::ZERO },
            log_end_offset: d.i64()?,
            last_fetch_timestamp: if version >= 1 { d.i64()? } else { -1 },
            last_caught_up_timestamp: if version >= 1 { d.i64()? } else { -1 },
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.replica_id);
        if version >= 2 {
            e.uuid(self.replica_directory_id.0);
        }
        e.i64(self.log_end_offset);
        if version >= 1 {
            e.i64(self.last_fetch_timestamp);
        }
        if version >= 1 {
            e.i64(self.last_caught_up_timestamp);
        }
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ReplicaState {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ReplicaState {
            replica_id: g.i32(),
            replica_directory_id: if version >= 2 { DirectoryId(g.uuid()) } else { DirectoryId::ZERO },
            log_end_offset: g.i64(),
            last_fetch_timestamp: if version >= 1 { g.i64() } else { -1 },
            last_caught_up_timestamp: if version >= 1 { g.i64() } else { -1 },
        }
    }
}

/// Part of `DescribeQuorumResponse`, from version 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `NodeId`.
    pub node_id: i32,
    /// `Listeners`.
    pub listeners: Vec<Listener>,
}

impl Codec for Node {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = Node {
            node_id: d.i32()?,
            listeners: d.array(true, Listener::MIN_BYTES, |d| Listener::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.node_id);
        e.array(&self.listeners, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for Node {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        Node { node_id: g.i32(), listeners: g.array(|g| Listener::sample(g, version)) }
    }
}

/// Part of `DescribeQuorumResponse`, from version 2.
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
