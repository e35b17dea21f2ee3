//! Builds a batch: what the coordinators append, what the tests and the demo produce.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{
    Attributes, BatchError, BatchHeader, Compression, ControlKind, HEADER_BYTES, NO_TIMESTAMP, compress,
};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// A header of a record to be built: key and value.
pub type RecordHeader<'a> = (&'a str, Option<&'a [u8]>);

/// Collects records and seals them into one batch with base offset 0; the log patches offset and epoch.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    records: BytesMut,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    attributes: Attributes,
    compression: Compression,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    producer: (ProducerId, ProducerEpoch, i32),
}

impl Default for BatchBuilder {
    fn default() -> Self {
        BatchBuilder::new(Compression::None)
    }
}

impl BatchBuilder {
    /// An empty batch.
    #[must_use]
    pub fn new(compression: Compression) -> BatchBuilder {
        BatchBuilder {
            records: BytesMut::new(),
            count: 0,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            attributes: Attributes::new(compression),
            compression,
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::NONE,
            producer: (ProducerId::NONE, ProducerEpoch::NONE, -1),
        }
    }

    /// As written by an idempotent producer.
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> BatchBuilder {
        self.producer = (id, epoch, base_sequence);
        self
    }

    /// As part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> BatchBuilder {
        self.attributes = self.attributes.transactional();
        self
    }

    /// As a control batch.
    #[must_use]
    pub fn control(mut self) -> BatchBuilder {
        self.attributes = self.attributes.control();
        self
    }

    /// As a leader has stored it: at this offset, with this epoch.
    #[must_use]
    pub fn placed(mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> BatchBuilder {
        self.base_offset = base_offset;
        self.leader_epoch = leader_epoch;
        self
    }

    /// Adds a record.
    pub fn add(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader<'_>],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let mut record = BytesMut::new();
        record.put_i8(0);
        put_varint(&mut record, timestamp.wrapping_sub(self.base_timestamp));
        put_varint(&mut record, i64::from(self.count));
        put_nullable(&mut record, key);
        put_nullable(&mut record, value);
        put_varint(&mut record, headers.len() as i64);
        for (key, value) in headers {
            put_nullable(&mut record, Some(key.as_bytes()));
            put_nullable(&mut record, *value);
        }
        put_varint(&mut self.records, record.len() as i64);
        self.records.extend_from_slice(&record);
        self.count += 1;
    }

    /// Records so far.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Bytes of the records so far, uncompressed.
    #[must_use]
    pub fn uncompressed_bytes(&self) -> usize {
        self.records.len()
    }

    /// Seals the batch.
    ///
    /// # Errors
    /// `Header` for a batch without records, or one above 2 GiB.
    pub fn build(self) -> Result<Bytes, BatchError> {
        if self.count == 0 {
            return Err(BatchError::Header("a batch has at least one record"));
        }
        let records = match self.compression {
            Compression::None => self.records.freeze(),
            codec => compress(codec, &self.records)?,
        };
        let length = i32::try_from(HEADER_BYTES - 12 + records.len())
            .map_err(|_| BatchError::Header("a batch is smaller than 2 GiB"))?;
        let mut header = BatchHeader {
            base_offset: self.base_offset,
            length,
            leader_epoch: self.leader_epoch,
            crc: 0,
            attributes: self.attributes,
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: self.producer.0,
            producer_epoch: self.producer.1,
            base_sequence: self.producer.2,
            count: self.count,
        };
        header.seal(&records);
        let mut out = BytesMut::with_capacity(HEADER_BYTES + records.len());
        header.write(&mut out);
        out.extend_from_slice(&records);
        Ok(out.freeze())
    }
}

/// The batch that ends a transaction (KIP-98): its key is version and type, its value version and coordinator epoch.
///
/// # Errors
/// None that can happen: the batch is small.
pub fn end_transaction_marker(
    producer: (ProducerId, ProducerEpoch),
    kind: ControlKind,
    coordinator_epoch: i32,
    timestamp: i64,
) -> Result<Bytes, BatchError> {
    let kind: i16 = match kind {
        ControlKind::Abort => 0,
        ControlKind::Commit => 1,
    };
    let mut key = [0; 4];
    key[2..].copy_from_slice(&kind.to_be_bytes());
    let mut value = [0; 6];
    value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
    let mut batch = BatchBuilder::default().producer(producer.0, producer.1, -1).transactional().control();
    batch.add(timestamp, Some(&key), Some(&value), &[]);
    batch.build()
}

fn put_nullable(out: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_varint(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
        None => put_varint(out, -1),
    }
}

pub(super) fn put_varint(out: &mut BytesMut, value: i64) {
    let mut rest = (value << 1).cast_unsigned() ^ (value >> 63).cast_unsigned();
    while rest >= 0x80 {
        out.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}
