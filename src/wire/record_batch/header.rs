//! The 61 bytes before the records: parsed, checked, patched.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{BatchError, Compression, RecordIter};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// Bytes of a batch before its records.
pub const HEADER_BYTES: usize = 61;
/// Kafka's "no timestamp".
pub const NO_TIMESTAMP: i64 = -1;
/// Base offset and length: what a length field does not count.
const LENGTH_OVERHEAD: usize = 12;
/// The first byte under the CRC.
const CRC_START: usize = 21;

/// Who set a record's timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// The producer.
    #[default]
    CreateTime,
    /// The broker, when it appended the batch.
    LogAppendTime,
}

/// The batch's attribute bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// Attributes of a batch with this codec and nothing else.
    #[must_use]
    pub fn new(compression: Compression) -> Attributes {
        Attributes(compression as i16)
    }

    /// The codec of the records.
    ///
    /// # Errors
    /// `BatchError::Codec` for a number that names none.
    pub fn compression(self) -> Result<Compression, BatchError> {
        Compression::from_id(self.0 & 0x7)
    }

    /// Who set the timestamps.
    #[must_use]
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch holds a transaction marker, not records of a client.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is the delete horizon of a compacted batch (KIP-534).
    #[must_use]
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// The same, as part of a transaction.
    #[must_use]
    pub fn transactional(self) -> Attributes {
        Attributes(self.0 | Self::TRANSACTIONAL)
    }

    /// The same, as a control batch.
    #[must_use]
    pub fn control(self) -> Attributes {
        Attributes(self.0 | Self::CONTROL)
    }

    /// The same with another codec.
    pub(super) fn compressed(self, codec: Compression) -> Attributes {
        Attributes((self.0 & !0x7) | codec as i16)
    }

    /// The same, with the base timestamp as the delete horizon.
    pub(super) fn delete_horizon(self) -> Attributes {
        Attributes(self.0 | Self::DELETE_HORIZON)
    }

    /// The same for a batch without records: neither codec nor horizon.
    pub(super) fn emptied(self) -> Attributes {
        Attributes(self.0 & !(0x7 | Self::DELETE_HORIZON))
    }

    fn log_append_time(self) -> Attributes {
        Attributes(self.0 | Self::LOG_APPEND_TIME)
    }
}

/// A batch header as plain numbers. Timestamps are milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Bytes that follow the length field.
    pub length: i32,
    /// Epoch of the leader that appended the batch.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of all bytes from the attributes to the end.
    pub crc: u32,
    /// Codec, timestamp type, transactional, control.
    pub attributes: Attributes,
    /// Offset of the last record minus the base offset.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from.
    pub base_timestamp: i64,
    /// The largest timestamp of the records.
    pub max_timestamp: i64,
    /// The idempotent producer, or −1.
    pub producer_id: ProducerId,
    /// The producer's epoch, or −1.
    pub producer_epoch: ProducerEpoch,
    /// Sequence number of the first record, or −1.
    pub base_sequence: i32,
    /// Number of records.
    pub count: i32,
}

impl BatchHeader {
    /// Parses the first 61 bytes. The batch itself may be longer than what is given.
    ///
    /// # Errors
    /// `Truncated`, `Length` or `Magic`. Other fields are taken as they are.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(BatchError::Truncated { needed: HEADER_BYTES, have: bytes.len() });
        };
        let magic = i8::from_be_bytes(at(head, 16));
        if magic != 2 {
            return Err(BatchError::Magic(magic));
        }
        let length = i32::from_be_bytes(at(head, 8));
        if usize::try_from(length).map_or(true, |n| n < HEADER_BYTES - LENGTH_OVERHEAD) {
            return Err(BatchError::Length(length));
        }
        Ok(BatchHeader {
            base_offset: Offset(i64::from_be_bytes(at(head, 0))),
            length,
            leader_epoch: LeaderEpoch(i32::from_be_bytes(at(head, 12))),
            crc: u32::from_be_bytes(at(head, 17)),
            attributes: Attributes(i16::from_be_bytes(at(head, 21))),
            last_offset_delta: i32::from_be_bytes(at(head, 23)),
            base_timestamp: i64::from_be_bytes(at(head, 27)),
            max_timestamp: i64::from_be_bytes(at(head, 35)),
            producer_id: ProducerId(i64::from_be_bytes(at(head, 43))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(at(head, 51))),
            base_sequence: i32::from_be_bytes(at(head, 53)),
            count: i32::from_be_bytes(at(head, 57)),
        })
    }

    /// Compares the CRC with the bytes of the whole batch.
    ///
    /// # Errors
    /// `Crc` with both values; `Truncated` when there is no whole header.
    pub fn check_crc(&self, batch: &[u8]) -> Result<(), BatchError> {
        let Some(covered) = batch.get(CRC_START..) else {
            return Err(BatchError::Truncated { needed: HEADER_BYTES, have: batch.len() });
        };
        let computed = crc32c::crc32c(covered);
        if computed == self.crc { Ok(()) } else { Err(BatchError::Crc { stored: self.crc, computed }) }
    }

    /// Writes the 61 bytes.
    pub fn write(&self, out: &mut BytesMut) {
        out.put_i64(self.base_offset.0);
        out.put_i32(self.length);
        out.put_i32(self.leader_epoch.0);
        out.put_i8(2);
        out.put_u32(self.crc);
        self.write_checked(out);
    }

    /// The part of the header that lies under the CRC.
    fn write_checked(&self, out: &mut BytesMut) {
        out.put_i16(self.attributes.0);
        out.put_i32(self.last_offset_delta);
        out.put_i64(self.base_timestamp);
        out.put_i64(self.max_timestamp);
        out.put_i64(self.producer_id.0);
        out.put_i16(self.producer_epoch.0);
        out.put_i32(self.base_sequence);
        out.put_i32(self.count);
    }

    /// Bytes of the whole batch.
    #[must_use]
    pub fn size(&self) -> usize {
        LENGTH_OVERHEAD + usize::try_from(self.length).unwrap_or(0)
    }

    /// Offset of the last record. Never overflows, whatever the bytes say.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }

    /// The offset after the last record.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// Sequence number of the last record; it wraps from `i32::MAX` to 0.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        i32::try_from(last).unwrap_or_else(|_| i32::try_from(last - (1 << 31)).unwrap_or(i32::MAX))
    }

    /// Until when the batch must keep its tombstones or its marker, once compaction has said so (KIP-534).
    #[must_use]
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// Whether an idempotent or transactional producer wrote the batch.
    #[must_use]
    pub fn has_producer(&self) -> bool {
        self.producer_id.0 >= 0
    }

    /// Sets `LogAppendTime` and the new CRC, given the bytes after the header.
    pub fn stamp_log_append_time(&mut self, now_ms: i64, records: &[u8]) {
        self.attributes = self.attributes.log_append_time();
        self.max_timestamp = now_ms;
        self.seal(records);
    }

    /// Computes the CRC over this header and the bytes after it.
    pub fn seal(&mut self, records: &[u8]) {
        let mut head = BytesMut::with_capacity(HEADER_BYTES - CRC_START);
        self.write_checked(&mut head);
        self.crc = crc32c::crc32c_append(crc32c::crc32c(&head), records);
    }
}

fn at<const N: usize>(head: &[u8; HEADER_BYTES], from: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&head[from..from + N]);
    field
}

/// One whole batch: its header, and its bytes as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The parsed header.
    pub header: BatchHeader,
    /// Header and records.
    pub bytes: Bytes,
}

impl Batch {
    /// Takes the first batch off the front of `bytes`.
    ///
    /// # Errors
    /// `Truncated`, `Length` or `Magic`; `bytes` is unchanged then.
    pub fn split_from(bytes: &mut Bytes) -> Result<Batch, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        if bytes.len() < header.size() {
            return Err(BatchError::Truncated { needed: header.size(), have: bytes.len() });
        }
        Ok(Batch { header, bytes: bytes.split_to(header.size()) })
    }

    /// The bytes after the header: the records, compressed as the attributes say.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES..)
    }

    /// Compares the CRC with the bytes.
    ///
    /// # Errors
    /// `Crc` with both values.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        self.header.check_crc(&self.bytes)
    }

    /// Walks the records; compressed ones are decompressed to at most `limit_bytes`.
    ///
    /// # Errors
    /// `Codec`, `Decompress` or `Bomb`.
    pub fn records(&self, limit_bytes: usize) -> Result<RecordIter, BatchError> {
        RecordIter::new(self, limit_bytes)
    }
}

/// The batches of a byte string, one after the other; ends after the first error.
#[derive(Clone, Debug)]
pub struct BatchIter {
    rest: Bytes,
}

impl BatchIter {
    /// Walks `bytes`. CRCs are not checked here.
    #[must_use]
    pub fn new(bytes: Bytes) -> BatchIter {
        BatchIter { rest: bytes }
    }

    /// What has not been walked.
    #[must_use]
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for BatchIter {
    type Item = Result<Batch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = Batch::split_from(&mut self.rest);
        if batch.is_err() {
            self.rest.clear();
        }
        Some(batch)
    }
}
