//! `WriteTxnMarkersRequest` and `WriteTxnMarkersResponse`.
//!
//! Generated from `wire/schema/write_txn_markers.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `WriteTxnMarkersRequest`, API key 27, versions 1 to 2, flexible from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteTxnMarkersRequest {
    /// `Markers`.
    pub markers: Vec<WritableTxnMarker>,
}

impl Codec for WriteTxnMarkersRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = WriteTxnMarkersRequest {
            markers: d
                .array(true, WritableTxnMarker::MIN_BYTES, |d| WritableTxnMarker::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.array(&self.markers, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for WriteTxnMarkersRequest {
    const NAME: &'static str = "WriteTxnMarkersRequest";
    const VERSIONS: (i16, i16) = (1, 2);
}

impl Request for WriteTxnMarkersRequest {
    const KEY: ApiKey = ApiKey::WriteTxnMarkers;
    type Response = WriteTxnMarkersResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for WriteTxnMarkersRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        WriteTxnMarkersRequest { markers: g.array(|g| WritableTxnMarker::sample(g, version)) }
    }
}

/// Part of `WriteTxnMarkersRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WritableTxnMarker {
    /// `ProducerId`.
    pub producer_id: i64,
    /// `ProducerEpoch`.
    pub producer_epoch: i16,
    /// `TransactionResult`.
    pub transaction_result: bool,
    /// `Topics`.
    pub topics: Vec<WritableTxnMarkerTopic>,
    /// `CoordinatorEpoch`.
    pub coordinator_epoch: i32,
    /// `TransactionVersion`, from version 2.
    pub transaction_version: i8,
}

impl Codec for WritableTxnMarker {
    const MIN_BYTES: usize = 16;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = WritableTxnMarker {
            producer_id: d.i64()?,
            producer_epoch: d.i16()?,
            transaction_result: d.bool()?,
            topics: d.array(true, WritableTxnMarkerTopic::MIN_BYTES, |d| {
                WritableTxnMarkerTopic::decode(d, version)
            })?,
            coordinator_epoch: d.i32()?,
            transaction_version: if version >= 2 { d.i8()? } else { 0 },
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i64(self.producer_id);
        e.i16(self.producer_epoch);
        e.bool(self.transaction_result);
        e.array(&self.topics, true, |e, item| item.encode(e, version))?;
        e.i32(self.coordinator_epoch);
        if version >= 2 {
            e.i8(self.transaction_version);
        }
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for WritableTxnMarker {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        WritableTxnMarker {
            producer_id: g.i64(),
            producer_epoch: g.i16(),
            transaction_result: g.bool(),
            topics: g.array(|g| WritableTxnMarkerTopic::sample(g, version)),
            coordinator_epoch: g.i32(),
            transaction_version: if version >= 2 { g.i8() } else { 0 },
        }
    }
}

/// Part of `WriteTxnMarkersRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WritableTxnMarkerTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `PartitionIndexes`.
    pub partition_indexes: Vec<i32>,
}

impl Codec for WritableTxnMarkerTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = WritableTxnMarkerTopic {
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
impl crate::wire::samples::Sample for WritableTxnMarkerTopic {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        WritableTxnMarkerTopic { name: g.text(), partition_indexes: g.array(|g| g.i32()) }
    }
}

/// `WriteTxnMarkersResponse`, API key 27, versions 1 to 2, flexible from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteTxnMarkersResponse {
    /// `Markers`.
    pub markers: Vec<WritableTxnMarkerResult>,
}

impl Codec for WriteTxnMarkersResponse {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = WriteTxnMarkersResponse {
            markers: d.array(true, WritableTxnMarkerResult::MIN_BYTES, |d| {
                WritableTxnMarkerResult::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.array(&self.markers, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for WriteTxnMarkersResponse {
    const NAME: &'static str = "WriteTxnMarkersResponse";
    const VERSIONS: (i16, i16) = (1, 2);
}

#[cfg(test)]
impl crate::wire::samples::Sample for WriteTxnMarkersResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        WriteTxnMarkersResponse { markers: g.array(|g| WritableTxnMarkerResult::sample(g, version)) }
    }
}

/// Part of `WriteTxnMarkersResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WritableTxnMarkerResult {
    /// `ProducerId`.
    pub producer_id: i64,
    /// `Topics`.
    pub topics: Vec<WritableTxnMarkerTopicResult>,
}

impl Codec for WritableTxnMarkerResult {
    const MIN_BYTES: usize = 9;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = WritableTxnMarkerResult {
            producer_id: d.i64()?,
            topics: d.array(true, WritableTxnMarkerTopicResult::MIN_BYTES, |d| {
                WritableTxnMarkerTopicResult::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i64(self.producer_id);
        e.array(&self.topics, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for WritableTxnMarkerResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        WritableTxnMarkerResult {
            producer_id: g.i64(),
            topics: g.array(|g| WritableTxnMarkerTopicResult::sample(g, version)),
        }
    }
}

/// Part of `WriteTxnMarkersResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WritableTxnMarkerTopicResult {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<WritableTxnMarkerPartitionResult>,
}

impl Codec for WritableTxnMarkerTopicResult {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = WritableTxnMarkerTopicResult {
            name: d.string(true)?,
            partitions: d.array(true, WritableTxnMarkerPartitionResult::MIN_BYTES, |d| {
                WritableTxnMarkerPartitionResult::decode(d, version)
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
impl crate::wire::samples::Sample for WritableTxnMarkerTopicResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        WritableTxnMarkerTopicResult {
            name: g.text(),
            partitions: g.array(|g| WritableTxnMarkerPartitionResult::sample(g, version)),
        }
    }
}

/// Part of `WriteTxnMarkersResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WritableTxnMarkerPartitionResult {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
}

impl Codec for WritableTxnMarkerPartitionResult {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = WritableTxnMarkerPartitionResult { partition_index: d.i32()?, error_code: d.error_code()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.partition_index);
        e.error_code(self.error_code);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for WritableTxnMarkerPartitionResult {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        WritableTxnMarkerPartitionResult { partition_index: g.i32(), error_code: ErrorCode(g.i16()) }
    }
}
