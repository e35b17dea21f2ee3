//! `OffsetForLeaderEpochRequest` and `OffsetForLeaderEpochResponse`.
//!
//! Generated from `wire/schema/offset_for_leader_epoch.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `OffsetForLeaderEpochRequest`, API key 23, versions 2 to 4, flexible from 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetForLeaderEpochRequest {
    /// `ReplicaId`, from version 3; -2 when absent.
    pub replica_id: i32,
    /// `Topics`.
    pub topics: Vec<OffsetForLeaderTopic>,
}

impl Default for OffsetForLeaderEpochRequest {
    fn default() -> Self {
        OffsetForLeaderEpochRequest { replica_id: -2, topics: Vec::new() }
    }
}

impl Codec for OffsetForLeaderEpochRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = OffsetForLeaderEpochRequest {
            replica_id: if version >= 3 { d.i32()? } else { -2 },
            topics: d.array(flexible, OffsetForLeaderTopic::MIN_BYTES, |d| {
                OffsetForLeaderTopic::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        if version >= 3 {
            e.i32(self.replica_id);
        }
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for OffsetForLeaderEpochRequest {
    const NAME: &'static str = "OffsetForLeaderEpochRequest";
    const VERSIONS: (i16, i16) = (2, 4);
}

impl Request for OffsetForLeaderEpochRequest {
    const KEY: ApiKey = ApiKey::OffsetForLeaderEpoch;
    type Response = OffsetForLeaderEpochResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetForLeaderEpochRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetForLeaderEpochRequest {
            replica_id: if version >= 3 { g.i32() } else { -2 },
            topics: g.array(|g| OffsetForLeaderTopic::sample(g, version)),
        }
    }
}

/// Part of `OffsetForLeaderEpochRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetForLeaderTopic {
    /// `Topic`.
    pub topic: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<OffsetForLeaderPartition>,
}

impl Codec for OffsetForLeaderTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = OffsetForLeaderTopic {
            topic: d.string(flexible)?,
            partitions: d.array(flexible, OffsetForLeaderPartition::MIN_BYTES, |d| {
                OffsetForLeaderPartition::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.string(&self.topic, flexible)?;
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetForLeaderTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetForLeaderTopic {
            topic: g.text(),
            partitions: g.array(|g| OffsetForLeaderPartition::sample(g, version)),
        }
    }
}

/// Part of `OffsetForLeaderEpochRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetForLeaderPartition {
    /// `Partition`.
    pub partition: i32,
    /// `CurrentLeaderEpoch`; -1 when absent.
    pub current_leader_epoch: i32,
    /// `LeaderEpoch`.
    pub leader_epoch: i32,
}

impl Default for OffsetForLeaderPartition {
    fn default() -> Self {
        OffsetForLeaderPartition { partition: 0, current_leader_epoch: -1, leader_epoch: 0 }
    }
}

impl Codec for OffsetForLeaderPartition {
    const MIN_BYTES: usize = 12;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = OffsetForLeaderPartition {
            partition: d.i32()?,
            current_leader_epoch: d.i32()?,
            leader_epoch: d.i32()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.i32(self.partition);
        e.i32(self.current_leader_epoch);
        e.i32(self.leader_epoch);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetForLeaderPartition {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        OffsetForLeaderPartition { partition: g.i32(), current_leader_epoch: g.i32(), leader_epoch: g.i32() }
    }
}

/// `OffsetForLeaderEpochResponse`, API key 23, versions 2 to 4, flexible from 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetForLeaderEpochResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Topics`.
    pub topics: Vec<OffsetForLeaderTopicResult>,
}

impl Codec for OffsetForLeaderEpochResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = OffsetForLeaderEpochResponse {
            throttle_time_ms: d.i32()?,
            topics: d.array(flexible, OffsetForLeaderTopicResult::MIN_BYTES, |d| {
                OffsetForLeaderTopicResult::decode(d, version)
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
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for OffsetForLeaderEpochResponse {
    const NAME: &'static str = "OffsetForLeaderEpochResponse";
    const VERSIONS: (i16, i16) = (2, 4);
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetForLeaderEpochResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetForLeaderEpochResponse {
            throttle_time_ms: g.i32(),
            topics: g.array(|g| OffsetForLeaderTopicResult::sample(g, version)),
        }
    }
}

/// Part of `OffsetForLeaderEpochResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetForLeaderTopicResult {
    /// `Topic`.
    pub topic: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<EpochEndOffset>,
}

impl Codec for OffsetForLeaderTopicResult {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = OffsetForLeaderTopicResult {
            topic: d.string(flexible)?,
            partitions: d
                .array(flexible, EpochEndOffset::MIN_BYTES, |d| EpochEndOffset::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.string(&self.topic, flexible)?;
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetForLeaderTopicResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetForLeaderTopicResult {
            topic: g.text(),
            partitions: g.array(|g| EpochEndOffset::sample(g, version)),
        }
    }
}

/// Part of `OffsetForLeaderEpochResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `Partition`.
    pub partition: i32,
    /// `LeaderEpoch`; -1 when absent.
    pub leader_epoch: i32,
    /// `EndOffset`; -1 when absent.
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        EpochEndOffset { error_code: ErrorCode::NONE, partition: 0, leader_epoch: -1, end_offset: -1 }
    }
}

impl Codec for EpochEndOffset {
    const MIN_BYTES: usize = 18;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = EpochEndOffset {
            error_code: d.error_code()?,
            partition: d.i32()?,
            leader_epoch: d.i32()?,
            end_offset: d.i64()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.error_code(self.error_code);
        e.i32(self.partition);
        e.i32(self.leader_epoch);
        e.i64(self.end_offset);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for EpochEndOffset {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        EpochEndOffset {
            error_code: ErrorCode(g.i16()),
            partition: g.i32(),
            leader_epoch: g.i32(),
            end_offset: g.i64(),
        }
    }
}
