//! `AddPartitionsToTxnRequest` and `AddPartitionsToTxnResponse`.
//!
//! Generated from `wire/schema/add_partitions_to_txn.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `AddPartitionsToTxnRequest`, API key 24, versions 0 to 5, flexible from 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddPartitionsToTxnRequest {
    /// `Transactions`, from version 4.
    pub transactions: Vec<AddPartitionsToTxnTransaction>,
    /// `V3AndBelowTransactionalId`, to version 3.
    pub v3_and_below_transactional_id: StrBytes,
    /// `V3AndBelowProducerId`, to version 3.
    pub v3_and_below_producer_id: i64,
    /// `V3AndBelowProducerEpoch`, to version 3.
    pub v3_and_below_producer_epoch: i16,
    /// `V3AndBelowTopics`, to version 3.
    pub v3_and_below_topics: Vec<AddPartitionsToTxnTopic>,
}

impl Codec for AddPartitionsToTxnRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = AddPartitionsToTxnRequest {
            transactions: if version >= 4 {
                d.array(flexible, AddPartitionsToTxnTransaction::MIN_BYTES, |d| {
                    AddPartitionsToTxnTransaction::decode(d, version)
                })?
            } else {
                Vec::new()
            },
            v3_and_below_transactional_id: if version <= 3 {
                d.string(flexible)?
            } else {
                StrBytes::default()
            },
            v3_and_below_producer_id: if version <= 3 { d.i64()? } else { 0 },
            v3_and_below_producer_epoch: if version <= 3 { d.i16()? } else { 0 },
            v3_and_below_topics: if version <= 3 {
                d.array(flexible, AddPartitionsToTxnTopic::MIN_BYTES, |d| {
                    AddPartitionsToTxnTopic::decode(d, version)
                })?
            } else {
                Vec::new()
            },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        if version >= 4 {
            e.array(&self.transactions, flexible, |e, item| item.encode(e, version))?;
        } else if !self.transactions.is_empty() {
            return Err(EncodeError::NotInVersion {
                field: "AddPartitionsToTxnRequest.Transactions",
                version,
            });
        }
        if version <= 3 {
            e.string(&self.v3_and_below_transactional_id, flexible)?;
        } else if !self.v3_and_below_transactional_id.is_empty() {
            return Err(EncodeError::NotInVersion {
                field: "AddPartitionsToTxnRequest.V3AndBelowTransactionalId",
                version,
            });
        }
        if version <= 3 {
            e.i64(self.v3_and_below_producer_id);
        } else if self.v3_and_below_producer_id != 0 {
            return Err(EncodeError::NotInVersion {
                field: "AddPartitionsToTxnRequest.V3AndBelowProducerId",
                version,
            });
        }
        if version <= 3 {
            e.i16(self.v3_and_below_producer_epoch);
        } else if self.v3_and_below_producer_epoch != 0 {
            return Err(EncodeError::NotInVersion {
                field: "AddPartitionsToTxnRequest.V3AndBelowProducerEpoch",
                version,
            });
        }
        if version <= 3 {
            e.array(&self.v3_and_below_topics, flexible, |e, item| item.encode(e, version))?;
        } else if !self.v3_and_below_topics.is_empty() {
            return Err(EncodeError::NotInVersion {
                field: "AddPartitionsToTxnRequest.V3AndBelowTopics",
                version,
            });
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for AddPartitionsToTxnRequest {
    const NAME: &'static str = "AddPartitionsToTxnRequest";
    const VERSIONS: (i16, i16) = (0, 5);
}

impl Request for AddPartitionsToTxnRequest {
    const KEY: ApiKey = ApiKey::AddPartitionsToTxn;
    type Response = AddPartitionsToTxnResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for AddPartitionsToTxnRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AddPartitionsToTxnRequest {
            transactions: if version >= 4 {
                g.array(|g| AddPartitionsToTxnTransaction::sample(g, version))
            } else {
                Vec::new()
            },
            v3_and_below_transactional_id: if version <= 3 { g.text() } else { StrBytes::default() },
            v3_and_below_producer_id: if version <= 3 { g.i64() } else { 0 },
            v3_and_below_producer_epoch: if version <= 3 { g.i16() } else { 0 },
            v3_and_below_topics: if version <= 3 {
                g.array(|g| AddPartitionsToTxnTopic::sample(g, version))
            } else {
                Vec::new()
            },
        }
    }
}

/// Part of `AddPartitionsToTxnRequest`, from version 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddPartitionsToTxnTransaction {
    /// `TransactionalId`.
    pub transactional_id: StrBytes,
    /// `ProducerId`.
    pub producer_id: i64,
    /// `ProducerEpoch`.
    pub producer_epoch: i16,
    /// `VerifyOnly`.
    pub verify_only: bool,
    /// `Topics`.
    pub topics: Vec<AddPartitionsToTxnTopic>,
}

impl Codec for AddPartitionsToTxnTransaction {
    const MIN_BYTES: usize = 13;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = AddPartitionsToTxnTransaction {
            transactional_id: d.string(true)?,
            producer_id: d.i64()?,
            producer_epoch: d.i16()?,
            verify_only: d.bool()?,
            topics: d.array(true, AddPartitionsToTxnTopic::MIN_BYTES, |d| {
                AddPartitionsToTxnTopic::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.transactional_id, true)?;
        e.i64(self.producer_id);
        e.i16(self.producer_epoch);
        e.bool(self.verify_only);
        e.array(&self.topics, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for AddPartitionsToTxnTransaction {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AddPartitionsToTxnTransaction {
            transactional_id: g.text(),
            producer_id: g.i64(),
            producer_epoch: g.i16(),
            verify_only: g.bool(),
            topics: g.array(|g| AddPartitionsToTxnTopic::sample(g, version)),
        }
    }
}

/// Part of `AddPartitionsToTxnRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddPartitionsToTxnTopic {
    /// `Name`.
    pub name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<i32>,
}

impl Codec for AddPartitionsToTxnTopic {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = AddPartitionsToTxnTopic {
            name: d.string(flexible)?,
            partitions: d.array(flexible, 4, |d| d.i32())?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.string(&self.name, flexible)?;
        e.array(&self.partitions, flexible, |e, item| {
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
impl crate::wire::samples::Sample for AddPartitionsToTxnTopic {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        AddPartitionsToTxnTopic { name: g.text(), partitions: g.array(|g| g.i32()) }
    }
}

/// `AddPartitionsToTxnResponse`, API key 24, versions 0 to 5, flexible from 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddPartitionsToTxnResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`, from version 4.
    pub error_code: ErrorCode,
    /// `ResultsByTransaction`, from version 4.
    pub results_by_transaction: Vec<AddPartitionsToTxnResult>,
    /// `ResultsByTopicV3AndBelow`, to version 3.
    pub results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult>,
}

impl Codec for AddPartitionsToTxnResponse {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = AddPartitionsToTxnResponse {
            throttle_time_ms: d.i32()?,
            error_code: if version >= 4 { d.error_code()? } else { ErrorCode::NONE },
            results_by_transaction: if version >= 4 {
                d.array(flexible, AddPartitionsToTxnResult::MIN_BYTES, |d| {
                    AddPartitionsToTxnResult::decode(d, version)
                })?
            } else {
                Vec::new()
            },
            results_by_topic_v3_and_below: if version <= 3 {
                d.array(flexible, AddPartitionsToTxnTopicResult::MIN_BYTES, |d| {
                    AddPartitionsToTxnTopicResult::decode(d, version)
                })?
            } else {
                Vec::new()
            },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.i32(self.throttle_time_ms);
        if version >= 4 {
            e.error_code(self.error_code);
        }
        if version >= 4 {
            e.array(&self.results_by_transaction, flexible, |e, item| item.encode(e, version))?;
        }
        if version <= 3 {
            e.array(&self.results_by_topic_v3_and_below, flexible, |e, item| item.encode(e, version))?;
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for AddPartitionsToTxnResponse {
    const NAME: &'static str = "AddPartitionsToTxnResponse";
    const VERSIONS: (i16, i16) = (0, 5);
}

#[cfg(test)]
impl crate::wire::samples::Sample for AddPartitionsToTxnResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AddPartitionsToTxnResponse {
            throttle_time_ms: g.i32(),
            error_code: if version >= 4 { ErrorCode(g.i16()) } else { ErrorCode::NONE },
            results_by_transaction: if version >= 4 {
                g.array(|g| AddPartitionsToTxnResult::sample(g, version))
            } else {
                Vec::new()
            },
            results_by_topic_v3_and_below: if version <= 3 {
                g.array(|g| AddPartitionsToTxnTopicResult::sample(g, version))
            } else {
                Vec::new()
            },
        }
    }
}

/// Part of `AddPartitionsToTxnResponse`, from version 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddPartitionsToTxnResult {
    /// `TransactionalId`.
    pub transactional_id: StrBytes,
    /// `TopicResults`.
    pub topic_results: Vec<AddPartitionsToTxnTopicResult>,
}

impl Codec for AddPartitionsToTxnResult {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = AddPartitionsToTxnResult {
            transactional_id: d.string(true)?,
            topic_results: d.array(true, AddPartitionsToTxnTopicResult::MIN_BYTES, |d| {
                AddPartitionsToTxnTopicResult::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.transactional_id, true)?;
        e.array(&self.topic_results, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for AddPartitionsToTxnResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AddPartitionsToTxnResult {
            transactional_id: g.text(),
            topic_results: g.array(|g| AddPartitionsToTxnTopicResult::sample(g, version)),
        }
    }
}

/// Part of `AddPartitionsToTxnResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddPartitionsToTxnTopicResult {
    /// `Name`.
    pub name: StrBytes,
    /// `ResultsByPartition`.
    pub results_by_partition: Vec<AddPartitionsToTxnPartitionResult>,
}

impl Codec for AddPartitionsToTxnTopicResult {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = AddPartitionsToTxnTopicResult {
            name: d.string(flexible)?,
            results_by_partition: d.array(flexible, AddPartitionsToTxnPartitionResult::MIN_BYTES, |d| {
                AddPartitionsToTxnPartitionResult::decode(d, version)
            })?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.string(&self.name, flexible)?;
        e.array(&self.results_by_partition, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for AddPartitionsToTxnTopicResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AddPartitionsToTxnTopicResult {
            name: g.text(),
            results_by_partition: g.array(|g| AddPartitionsToTxnPartitionResult::sample(g, version)),
        }
    }
}

/// Part of `AddPartitionsToTxnResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddPartitionsToTxnPartitionResult {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `PartitionErrorCode`.
    pub partition_error_code: ErrorCode,
}

impl Codec for AddPartitionsToTxnPartitionResult {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let it = AddPartitionsToTxnPartitionResult {
            partition_index: d.i32()?,
            partition_error_code: d.error_code()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        e.i32(self.partition_index);
        e.error_code(self.partition_error_code);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for AddPartitionsToTxnPartitionResult {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        AddPartitionsToTxnPartitionResult {
            partition_index: g.i32(),
            partition_error_code: ErrorCode(g.i16()),
        }
    }
}
