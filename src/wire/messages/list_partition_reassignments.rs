//! `ListPartitionReassignmentsRequest` and `ListPartitionReassignmentsResponse`.
//!
//! Generated from `wire/schema/list_partition_reassignments.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `ListPartitionReassignmentsRequest`, API key 46, version 0, flexible from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPartitionReassignmentsRequest {
    /// `TimeoutMs`; 60000 when absent.
    pub timeout_ms: i32,
    /// `Topics`.
    pub topics: Option<Vec<ListPartitionReassignmentsTopics>>,
}

impl Default for ListPartitionReassignmentsRequest {
    fn default() -> Self {
        ListPartitionReassignmentsRequest { timeout_ms: 60000, topics: None }
    }
}

impl Codec for ListPartitionReassignmentsRequest {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ListPartitionReassignmentsRequest {
            timeout_ms: d.i32()?,
            topics: d.nullable_array(true, ListPartitionReassignmentsTopics::MIN_BYTES, |d| {
                ListPartitionReassignmentsTopics::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.timeout_ms);
        e.nullable_array(self.topics.as_deref(), true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for ListPartitionReassignmentsRequest {
    const NAME: &'static str = "ListPartitionReassignmentsRequest";
    const VERSIONS: (i16, i16) = (0, 0);
}

impl Request for ListPartitionReassignmentsRequest {
    const KEY: ApiKey = ApiKey::ListPartitionReassignments;
    type Response = ListPartitionReassignmentsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListPartitionReassignmentsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListPartitionReassignmentsRequest {
            timeout_ms: g.i32(),
            topics: g.option(true, |g| g.array(|g| ListPartitionReassignmentsTopics::sample(g, version))),
        }
    }
}

/// Part of `ListPartitionReassignmentsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPartitionReassignmentsTopics {
    /// `Name`.
    pub name: StrBytes,
    /// `PartitionIndexes`.
    pub partition_indexes: Vec<i32>,
}

impl Codec for ListPartitionReassignmentsTopics {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = ListPartitionReassignmentsTopics {
            name: d.string(true)?,
            partition_indexes: d.array(true, 4, |d| d.i32())?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.array(&self.partition_indexes, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListPartitionReassignmentsTopics {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ListPartitionReassignmentsTopics { name: g.text(), partition_indexes: g.array(|g| g.i32()) }
    }
}

/// `ListPartitionReassignmentsResponse`, API key 46, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPartitionReassignmentsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `Topics`.
    pub topics: Vec<OngoingTopicReassignment>,
}

impl Codec for ListPartitionReassignmentsResponse {
    const MIN_BYTES: usize = 8;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ListPartitionReassignmentsResponse {
            throttle_time_ms: d.i32()?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
            topics: d.array(true, OngoingTopicReassignment::MIN_BYTES, |d| {
                OngoingTopicReassignment::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        e.array(&self.topics, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for ListPartitionReassignmentsResponse {
    const NAME: &'static str = "ListPartitionReassignmentsResponse";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListPartitionReassignmentsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListPartitionReassignmentsResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            topics: g.array(|g| OngoingTopicReassignment::sample(g, version)),
        }
    }
}

/// Part of `ListPartitionReassignmentsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OngoingTopicReassignment {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<OngoingPartitionReassignment>,
}

impl Codec for OngoingTopicReassignment {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = OngoingTopicReassignment {
            name: d.string(true)?,
            partitions: d.array(true, OngoingPartitionReassignment::MIN_BYTES, |d| {
                OngoingPartitionReassignment::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.array(&self.partitions, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OngoingTopicReassignment {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OngoingTopicReassignment {
            name: g.text(),
            partitions: g.array(|g| OngoingPartitionReassignment::sample(g, version)),
        }
    }
}

/// Part of `ListPartitionReassignmentsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OngoingPartitionReassignment {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `Replicas`.
    pub replicas: Vec<i32>,
    /// `AddingReplicas`.
    pub adding_replicas: Vec<i32>,
    /// `RemovingReplicas`.
    pub removing_replicas: Vec<i32>,
}

impl Codec for OngoingPartitionReassignment {
    const MIN_BYTES: usize = 7;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = OngoingPartitionReassignment {
            partition_index: d.i32()?,
            replicas: d.array(true, 4, |d| d.i32())?,
            adding_replicas: d.array(true, 4, |d| d.i32())?,
            removing_replicas: d.array(true, 4, |d| d.i32())?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.partition_index);
        e.array(&self.replicas, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.array(&self.adding_replicas, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.array(&self.removing_replicas, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OngoingPartitionReassignment {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        OngoingPartitionReassignment {
            partition_index: g.i32(),
            replicas: g.array(|g| g.i32()),
            adding_replicas: g.array(|g| g.i32()),
            removing_replicas: g.array(|g| g.i32()),
        }
    }
}
