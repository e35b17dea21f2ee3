//! `ProduceRequest` and `ProduceResponse`.
//!
//! Generated from `wire/schema/produce.schema` by `generate.py`; do not edit.

use crate::types::TopicId;
use crate::wire::codec::{
    Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Records, Request, StrBytes, Tags,
};
use crate::wire::{ApiKey, ErrorCode};

/// `ProduceRequest`, API key 0, versions 3 to 13, flexible from 9.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProduceRequest {
    /// `TransactionalId`.
    pub transactional_id: Option<StrBytes>,
    /// `Acks`.
    pub acks: i16,
    /// `TimeoutMs`.
    pub timeout_ms: i32,
    /// `TopicData`.
    pub topic_data: Vec<TopicProduceData>,
}

impl Codec for ProduceRequest {
    const MIN_BYTES: usize = 8;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let it = ProduceRequest {
            transactional_id: d.nullable_string(flexible)?,
            acks: d.i16()?,
            timeout_ms: d.i32()?,
            topic_data: d
                .array(flexible, TopicProduceData::MIN_BYTES, |d| TopicProduceData::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        e.nullable_string(self.transactional_id.as_ref(), flexible)?;
        e.i16(self.acks);
        e.i32(self.timeout_ms);
        e.array(&self.topic_data, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for ProduceRequest {
    const NAME: &'static str = "ProduceRequest";
    const VERSIONS: (i16, i16) = (3, 13);
}

impl Request for ProduceRequest {
    const KEY: ApiKey = ApiKey::Produce;
    type Response = ProduceResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for ProduceRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ProduceRequest {
            transactional_id: g.option(true, |g| g.text()),
            acks: g.i16(),
            timeout_ms: g.i32(),
            topic_data: g.array(|g| TopicProduceData::sample(g, version)),
        }
    }
}

/// Part of `ProduceRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicProduceData {
    /// `Name`, to version 12.
    pub name: StrBytes,
    /// `TopicId`, from version 13.
    pub topic_id: TopicId,
    /// `PartitionData`.
    pub partition_data: Vec<PartitionProduceData>,
}

impl Codec for TopicProduceData {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let it = TopicProduceData {
            name: if version <= 12 { d.string(flexible)? } else { StrBytes::default() },
            topic_id: if version >= 13 { TopicId(d.uuid()?) } else { TopicId::ZERO },
            partition_data: d.array(flexible, PartitionProduceData::MIN_BYTES, |d| {
                PartitionProduceData::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        if version <= 12 {
            e.string(&self.name, flexible)?;
        }
        if version >= 13 {
            e.uuid(self.topic_id.0);
        }
        e.array(&self.partition_data, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TopicProduceData {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        TopicProduceData {
            name: if version <= 12 { g.text() } else { StrBytes::default() },
            topic_id: if version >= 13 { TopicId(g.uuid()) } else { TopicId::ZERO },
            partition_data: g.array(|g| PartitionProduceData::sample(g, version)),
        }
    }
}

/// Part of `ProduceRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionProduceData {
    /// `Index`.
    pub index: i32,
    /// `Records`.
    pub records: Option<Records>,
}

impl Codec for PartitionProduceData {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let it = PartitionProduceData { index: d.i32()?, records: d.records(flexible)? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        e.i32(self.index);
        e.records(self.records.as_ref(), flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for PartitionProduceData {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        PartitionProduceData { index: g.i32(), records: g.option(true, |g| g.records()) }
    }
}

/// `ProduceResponse`, API key 0, versions 3 to 13, flexible from 9.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProduceResponse {
    /// `Responses`.
    pub responses: Vec<TopicProduceResponse>,
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `NodeEndpoints`, from version 10; tag 0.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl Codec for ProduceResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let mut it = ProduceResponse {
            responses: d.array(flexible, TopicProduceResponse::MIN_BYTES, |d| {
                TopicProduceResponse::decode(d, version)
            })?,
            throttle_time_ms: d.i32()?,
            node_endpoints: Vec::new(),
        };
        if flexible {
            d.tags(|d, tag| {
                match tag {
                    0 if version >= 10 => {
                        it.node_endpoints =
                            d.array(true, NodeEndpoint::MIN_BYTES, |d| NodeEndpoint::decode(d, version))?
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        e.array(&self.responses, flexible, |e, item| item.encode(e, version))?;
        e.i32(self.throttle_time_ms);
        if flexible {
            let mut tags = Tags::new();
            if version >= 10 && !self.node_endpoints.is_empty() {
                tags.add(0, |e| e.array(&self.node_endpoints, true, |e, item| item.encode(e, version)))?;
            }
            e.tags(tags);
        }
        Ok(())
    }
}

impl Message for ProduceResponse {
    const NAME: &'static str = "ProduceResponse";
    const VERSIONS: (i16, i16) = (3, 13);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ProduceResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ProduceResponse {
            responses: g.array(|g| TopicProduceResponse::sample(g, version)),
            throttle_time_ms: g.i32(),
            node_endpoints: if version >= 10 {
                g.array(|g| NodeEndpoint::sample(g, version))
            } else {
                Vec::new()
            },
        }
    }
}

/// Part of `ProduceResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicProduceResponse {
    /// `Name`, to version 12.
    pub name: StrBytes,
    /// `TopicId`, from version 13.
    pub topic_id: TopicId,
    /// `PartitionResponses`.
    pub partition_responses: Vec<PartitionProduceResponse>,
}

impl Codec for TopicProduceResponse {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let it = TopicProduceResponse {
            name: if version <= 12 { d.string(flexible)? } else { StrBytes::default() },
            topic_id: if version >= 13 { TopicId(d.uuid()?) } else { TopicId::ZERO },
            partition_responses: d.array(flexible, PartitionProduceResponse::MIN_BYTES, |d| {
                PartitionProduceResponse::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        if version <= 12 {
            e.string(&self.name, flexible)?;
        }
        if version >= 13 {
            e.uuid(self.topic_id.0);
        }
        e.array(&self.partition_responses, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TopicProduceResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        TopicProduceResponse {
            name: if version <= 12 { g.text() } else { StrBytes::default() },
            topic_id: if version >= 13 { TopicId(g.uuid()) } else { TopicId::ZERO },
            partition_responses: g.array(|g| PartitionProduceResponse::sample(g, version)),
        }
    }
}

/// Part of `ProduceResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionProduceResponse {
    /// `Index`.
    pub index: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `BaseOffset`.
    pub base_offset: i64,
    /// `LogAppendTimeMs`; -1 when absent.
    pub log_append_time_ms: i64,
    /// `LogStartOffset`, from version 5; -1 when absent.
    pub log_start_offset: i64,
    /// `RecordErrors`, from version 8.
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    /// `ErrorMessage`, from version 8.
    pub error_message: Option<StrBytes>,
    /// `CurrentLeader`, from version 10; tag 0.
    pub current_leader: LeaderIdAndEpoch,
}

impl Default for PartitionProduceResponse {
    fn default() -> Self {
        PartitionProduceResponse {
            index: 0,
            error_code: ErrorCode::NONE,
            base_offset: 0,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: LeaderIdAndEpoch::default(),
        }
    }
}

impl Codec for PartitionProduceResponse {
    const MIN_BYTES: usize = 22;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let mut it = PartitionProduceResponse {
            index: d.i32()?,
            error_code: d.error_code()?,
            base_offset: d.i64()?,
            log_append_time_ms: d.i64()?,
            log_start_offset: if version >= 5 { d.i64()? } else { -1 },
            record_errors: if version >= 8 {
                d.array(flexible, BatchIndexAndErrorMessage::MIN_BYTES, |d| {
                    BatchIndexAndErrorMessage::decode(d, version)
                })?
            } else {
                Vec::new()
            },
            error_message: if version >= 8 { d.nullable_string(flexible)? } else { None },
            current_leader: LeaderIdAndEpoch::default(),
        };
        if flexible {
            d.tags(|d, tag| {
                match tag {
                    0 if version >= 10 => it.current_leader = LeaderIdAndEpoch::decode(d, version)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        e.i32(self.index);
        e.error_code(self.error_code);
        e.i64(self.base_offset);
        e.i64(self.log_append_time_ms);
        if version >= 5 {
            e.i64(self.log_start_offset);
        }
        if version >= 8 {
            e.array(&self.record_errors, flexible, |e, item| item.encode(e, version))?;
        }
        if version >= 8 {
            e.nullable_string(self.error_message.as_ref(), flexible)?;
        }
        if flexible {
            let mut tags = Tags::new();
            if version >= 10 && self.current_leader != LeaderIdAndEpoch::default() {
                tags.add(0, |e| self.current_leader.encode(e, version))?;
            }
            e.tags(tags);
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for PartitionProduceResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        PartitionProduceResponse {
            index: g.i32(),
            error_code: ErrorCode(g.i16()),
            base_offset: g.i64(),
            log_append_time_ms: g.i64(),
            log_start_offset: if version >= 5 { g.i64() } else { -1 },
            record_errors: if version >= 8 {
                g.array(|g| BatchIndexAndErrorMessage::sample(g, version))
            } else {
                Vec::new()
            },
            error_message: if version >= 8 { g.option(true, |g| g.text()) } else { None },
            current_leader: if version >= 10 {
                LeaderIdAndEpoch::sample(g, version)
            } else {
                LeaderIdAndEpoch::default()
            },
        }
    }
}

/// Part of `ProduceResponse`, from version 8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchIndexAndErrorMessage {
    /// `BatchIndex`.
    pub batch_index: i32,
    /// `BatchIndexErrorMessage`.
    pub batch_index_error_message: Option<StrBytes>,
}

impl Codec for BatchIndexAndErrorMessage {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let it = BatchIndexAndErrorMessage {
            batch_index: d.i32()?,
            batch_index_error_message: d.nullable_string(flexible)?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        e.i32(self.batch_index);
        e.nullable_string(self.batch_index_error_message.as_ref(), flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for BatchIndexAndErrorMessage {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        BatchIndexAndErrorMessage {
            batch_index: g.i32(),
            batch_index_error_message: g.option(true, |g| g.text()),
        }
    }
}

/// Part of `ProduceResponse`, from version 10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderIdAndEpoch {
    /// `LeaderId`; -1 when absent.
    pub leader_id: i32,
    /// `LeaderEpoch`; -1 when absent.
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        LeaderIdAndEpoch { leader_id: -1, leader_epoch: -1 }
    }
}

impl Codec for LeaderIdAndEpoch {
    const MIN_BYTES: usize = 8;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = LeaderIdAndEpoch { leader_id: d.i32()?, leader_epoch: d.i32()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.leader_id);
        e.i32(self.leader_epoch);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for LeaderIdAndEpoch {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        LeaderIdAndEpoch { leader_id: g.i32(), leader_epoch: g.i32() }
    }
}

/// Part of `ProduceResponse`, from version 10.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// `NodeId`.
    pub node_id: i32,
    /// `Host`.
    pub host: StrBytes,
    /// `Port`.
    pub port: i32,
    /// `Rack`.
    pub rack: Option<StrBytes>,
}

impl Codec for NodeEndpoint {
    const MIN_BYTES: usize = 10;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = NodeEndpoint {
            node_id: d.i32()?,
            host: d.string(true)?,
            port: d.i32()?,
            rack: d.nullable_string(true)?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.node_id);
        e.string(&self.host, true)?;
        e.i32(self.port);
        e.nullable_string(self.rack.as_ref(), true)?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for NodeEndpoint {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        NodeEndpoint { node_id: g.i32(), host: g.text(), port: g.i32(), rack: g.option(true, |g| g.text()) }
    }
}
