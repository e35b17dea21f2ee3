//! `TransactionLogKey` and `TransactionLogValue`.
//!
//! Generated from `wire/schema/transaction_log.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, StrBytes, Tags};

/// `TransactionLogKey`, record type 0, version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionLogKey {
    /// `TransactionalId`.
    pub transactional_id: StrBytes,
}

impl Codec for TransactionLogKey {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(TransactionLogKey { transactional_id: d.string(false)? })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.transactional_id, false)?;
        Ok(())
    }
}

impl Message for TransactionLogKey {
    const NAME: &'static str = "TransactionLogKey";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for TransactionLogKey {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        TransactionLogKey { transactional_id: g.text() }
    }
}

/// `TransactionLogValue`, record type 0, versions 0 to 1, flexible from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionLogValue {
    /// `ProducerId`.
    pub producer_id: i64,
    /// `PreviousProducerId`, from version 1; tag 0; -1 when absent.
    pub previous_producer_id: i64,
    /// `NextProducerId`, from version 1; tag 1; -1 when absent.
    pub next_producer_id: i64,
    /// `ProducerEpoch`.
    pub producer_epoch: i16,
    /// `NextProducerEpoch`, from version 1; tag 3; -1 when absent.
    pub next_producer_epoch: i16,
    /// `TransactionTimeoutMs`.
    pub transaction_timeout_ms: i32,
    /// `TransactionStatus`.
    pub transaction_status: i8,
    /// `TransactionPartitions`.
    pub transaction_partitions: Option<Vec<PartitionsSchema>>,
    /// `TransactionLastUpdateTimestampMs`.
    pub transaction_last_update_timestamp_ms: i64,
    /// `TransactionStartTimestampMs`.
    pub transaction_start_timestamp_ms: i64,
    /// `ClientTransactionVersion`, from version 1; tag 2.
    pub client_transaction_version: i16,
}

impl Default for TransactionLogValue {
    fn default() -> Self {
        TransactionLogValue {
            producer_id: 0,
            previous_producer_id: -1,
            next_producer_id: -1,
            producer_epoch: 0,
            next_producer_epoch: -1,
            transaction_timeout_ms: 0,
            transaction_status: 0,
            transaction_partitions: None,
            transaction_last_update_timestamp_ms: 0,
            transaction_start_timestamp_ms: 0,
            client_transaction_version: 0,
        }
    }
}

impl Codec for TransactionLogValue {
    const MIN_BYTES: usize = 32;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let mut it = TransactionLogValue {
            producer_id: d.i64()?,
            previous_producer_id: -1,
            next_producer_id: -1,
            producer_epoch: d.i16()?,
            next_producer_epoch: -1,
            transaction_timeout_ms: d.i32()?,
            transaction_status: d.i8()?,
            transaction_partitions: d.nullable_array(flexible, PartitionsSchema::MIN_BYTES, |d| {
                PartitionsSchema::decode(d, version)
            })?,
            transaction_last_update_timestamp_ms: d.i64()?,
            transaction_start_timestamp_ms: d.i64()?,
            client_transaction_version: 0,
        };
        if flexible {
            d.tags(|d, tag| {
                match tag {
                    0 => it.previous_producer_id = d.i64()?,
                    1 => it.next_producer_id = d.i64()?,
                    2 => it.client_transaction_version = d.i16()?,
                    3 => it.next_producer_epoch = d.i16()?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.i64(self.producer_id);
        e.i16(self.producer_epoch);
        e.i32(self.transaction_timeout_ms);
        e.i8(self.transaction_status);
        e.nullable_array(self.transaction_partitions.as_deref(), flexible, |e, item| {
            item.encode(e, version)
        })?;
        e.i64(self.transaction_last_update_timestamp_ms);
        e.i64(self.transaction_start_timestamp_ms);
        if version < 1 && self.previous_producer_id != -1 {
            return Err(EncodeError::NotInVersion {
                field: "TransactionLogValue.PreviousProducerId",
                version,
            });
        }
        if version < 1 && self.next_producer_id != -1 {
            return Err(EncodeError::NotInVersion { field: "TransactionLogValue.NextProducerId", version });
        }
        if version < 1 && self.client_transaction_version != 0 {
            return Err(EncodeError::NotInVersion {
                field: "TransactionLogValue.ClientTransactionVersion",
                version,
            });
        }
        if version < 1 && self.next_producer_epoch != -1 {
            return Err(EncodeError::NotInVersion {
                field: "TransactionLogValue.NextProducerEpoch",
                version,
            });
        }
        if flexible {
            let mut tags = Tags::new();
            if self.previous_producer_id != -1 {
                tags.add(0, |e| {
                    e.i64(self.previous_producer_id);
                    Ok(())
                })?;
            }
            if self.next_producer_id != -1 {
                tags.add(1, |e| {
                    e.i64(self.next_producer_id);
                    Ok(())
                })?;
            }
            if self.client_transaction_version != 0 {
                tags.add(2, |e| {
                    e.i16(self.client_transaction_version);
                    Ok(())
                })?;
            }
            if self.next_producer_epoch != -1 {
                tags.add(3, |e| {
                    e.i16(self.next_producer_epoch);
                    Ok(())
                })?;
            }
            e.tags(tags);
        }
        Ok(())
    }
}

impl Message for TransactionLogValue {
    const NAME: &'static str = "TransactionLogValue";
    const VERSIONS: (i16, i16) = (0, 1);
}

#[cfg(test)]
impl crate::wire::samples::Sample for TransactionLogValue {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        TransactionLogValue {
            producer_id: g.i64(),
            previous_producer_id: if version >= 1 { g.i64() } else { -1 },
            next_producer_id: if version >= 1 { g.i64() } else { -1 },
            producer_epoch: g.i16(),
            next_producer_epoch: if version >= 1 { g.i16() } else { -1 },
            transaction_timeout_ms: g.i32(),
            transaction_status: g.i8(),
            transaction_partitions: g.option(true, |g| g.array(|g| PartitionsSchema::sample(g, version))),
            transaction_last_update_timestamp_ms: g.i64(),
            transaction_start_timestamp_ms: g.i64(),
            client_transaction_version: if version >= 1 { g.i16() } else { 0 },
        }
    }
}

/// Part of `TransactionLogValue`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionsSchema {
    /// `Topic`.
    pub topic: StrBytes,
    /// `PartitionIds`.
    pub partition_ids: Vec<i32>,
}

impl Codec for PartitionsSchema {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let it = PartitionsSchema {
            topic: d.string(flexible)?,
            partition_ids: d.array(flexible, 4, |d| d.i32())?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.string(&self.topic, flexible)?;
        e.array(&self.partition_ids, flexible, |e, item| {
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
impl crate::wire::samples::Sample for PartitionsSchema {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        PartitionsSchema { topic: g.text(), partition_ids: g.array(|g| g.i32()) }
    }
}
