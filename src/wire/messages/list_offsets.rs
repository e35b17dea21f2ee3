//! `ListOffsetsRequest` and `ListOffsetsResponse`.
//!
//! Generated from `wire/schema/list_offsets.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `ListOffsetsRequest`, API key 2, versions 1 to 11, flexible from 6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOffsetsRequest {
    /// `ReplicaId`.
    pub replica_id: i32,
    /// `IsolationLevel`, from version 2.
    pub isolation_level: i8,
    /// `Topics`.
    pub topics: Vec<ListOffsetsTopic>,
    /// `TimeoutMs`, from version 10.
    pub timeout_ms: i32,
}

impl Codec for ListOffsetsRequest {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = ListOffsetsRequest {
            replica_id: d.i32()?,
            isolation_level: if version >= 2 { d.i8()? } else { 0 },
            topics: d
                .array(flexible, ListOffsetsTopic::MIN_BYTES, |d| ListOffsetsTopic::decode(d, version))?,
            timeout_ms: if version >= 10 { d.i32()? } else { 0 },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        e.i32(self.replica_id);
        if version >= 2 {
            e.i8(self.isolation_level);
        } else if self.isolation_level != 0 {
            return Err(EncodeError::NotInVersion { field: "ListOffsetsRequest.IsolationLevel", version });
        }
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        if version >= 10 {
            e.i32(self.timeout_ms);
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for ListOffsetsRequest {
    const NAME: &'static str = "ListOffsetsRequest";
    const VERSIONS: (i16, i16) = (1, 11);
}

impl Request for ListOffsetsRequest {
    const KEY: ApiKey = ApiKey::ListOffsets;
    type Response = ListOffsetsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListOffsetsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListOffsetsRequest {
            replica_id: g.i32(),
            isolation_level: if version >= 2 { g.i8() } else { 0 },
            topics: g.array(|g| ListOffsetsTopic::sample(g, version)),
            timeout_ms: if version >= 10 { g.i32() } else { 0 },
        }
    }
}

/// Part of `ListOffsetsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOffsetsTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<ListOffsetsPartition>,
}

impl Codec for ListOffsetsTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = ListOffsetsTopic {
            name: d.string(flexible)?,
            partitions: d.array(flexible, ListOffsetsPartition::MIN_BYTES, |d| {
                ListOffsetsPartition::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        e.string(&self.name, flexible)?;
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListOffsetsTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListOffsetsTopic { name: g.text(), partitions: g.array(|g| ListOffsetsPartition::sample(g, version)) }
    }
}

/// Part of `ListOffsetsRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOffsetsPartition {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `CurrentLeaderEpoch`, from version 4; -1 when absent.
    pub current_leader_epoch: i32,
    /// `Timestamp`.
    pub timestamp: i64,
}

impl Default for ListOffsetsPartition {
    fn default() -> Self {
        ListOffsetsPartition { partition_index: 0, current_leader_epoch: -1, timestamp: 0 }
    }
}

impl Codec for ListOffsetsPartition {
    const MIN_BYTES: usize = 12;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = ListOffsetsPartition {
            partition_index: d.i32()?,
            current_leader_epoch: if version >= 4 { d.i32()? } else { -1 },
            timestamp: d.i64()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        e.i32(self.partition_index);
        if version >= 4 {
            e.i32(self.current_leader_epoch);
        }
        e.i64(self.timestamp);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListOffsetsPartition {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListOffsetsPartition {
            partition_index: g.i32(),
            current_leader_epoch: if version >= 4 { g.i32() } else { -1 },
            timestamp: g.i64(),
        }
    }
}

/// `ListOffsetsResponse`, API key 2, versions 1 to 11, flexible from 6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOffsetsResponse {
    /// `ThrottleTimeMs`, from version 2.
    pub throttle_time_ms: i32,
    /// `Topics`.
    pub topics: Vec<ListOffsetsTopicResponse>,
}

impl Codec for ListOffsetsResponse {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = ListOffsetsResponse {
            throttle_time_ms: if version >= 2 { d.i32()? } else { 0 },
            topics: d.array(flexible, ListOffsetsTopicResponse::MIN_BYTES, |d| {
                ListOffsetsTopicResponse::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        if version >= 2 {
            e.i32(self.throttle_time_ms);
        }
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for ListOffsetsResponse {
    const NAME: &'static str = "ListOffsetsResponse";
    const VERSIONS: (i16, i16) = (1, 11);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListOffsetsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListOffsetsResponse {
            throttle_time_ms: if version >= 2 { g.i32() } else { 0 },
            topics: g.array(|g| ListOffsetsTopicResponse::sample(g, version)),
        }
    }
}

/// Part of `ListOffsetsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOffsetsTopicResponse {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

impl Codec for ListOffsetsTopicResponse {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = ListOffsetsTopicResponse {
            name: d.string(flexible)?,
            partitions: d.array(flexible, ListOffsetsPartitionResponse::MIN_BYTES, |d| {
                ListOffsetsPartitionResponse::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        e.string(&self.name, flexible)?;
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListOffsetsTopicResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListOffsetsTopicResponse {
            name: g.text(),
            partitions: g.array(|g| ListOffsetsPartitionResponse::sample(g, version)),
        }
    }
}

/// Part of `ListOffsetsResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOffsetsPartitionResponse {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `Timestamp`; -1 when absent.
    pub timestamp: i64,
    /// `Offset`; -1 when absent.
    pub offset: i64,
    /// `LeaderEpoch`, from version 4; -1 when absent.
    pub leader_epoch: i32,
}

impl Default for ListOffsetsPartitionResponse {
    fn default() -> Self {
        ListOffsetsPartitionResponse {
            partition_index: 0,
            error_code: ErrorCode::NONE,
            timestamp: -1,
            offset: -1,
            leader_epoch: -1,
        }
    }
}

impl Codec for ListOffsetsPartitionResponse {
    const MIN_BYTES: usize = 22;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let it = ListOffsetsPartitionResponse {
            partition_index: d.i32()?,
            error_code: d.error_code()?,
            timestamp: d.i64()?,
            offset: d.i64()?,
            leader_epoch: if version >= 4 { d.i32()? } else { -1 },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        e.i32(self.partition_index);
        e.error_code(self.error_code);
        e.i64(self.timestamp);
        e.i64(self.offset);
        if version >= 4 {
            e.i32(self.leader_epoch);
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListOffsetsPartitionResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListOffsetsPartitionResponse {
            partition_index: g.i32(),
            error_code: ErrorCode(g.i16()),
            timestamp: g.i64(),
            offset: g.i64(),
            leader_epoch: if version >= 4 { g.i32() } else { -1 },
        }
    }
}
