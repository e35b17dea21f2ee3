//! The records inside a batch, walked without copying them.

use bytes::{Buf as _, Bytes};

use super::{Batch, BatchError, TimestampType, decompress};
use crate::types::Offset;

/// One record. Key, value and headers are slices of the (decompressed) batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's offset.
    pub offset: Offset,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in the producer's order; equal keys stay apart.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlKind {
    /// The producer's open transaction is aborted.
    Abort,
    /// The producer's open transaction is committed.
    Commit,
}

impl Record {
    /// Reads the key of a control record: version, type. `None` for a type that is no transaction marker.
    #[must_use]
    pub fn control_kind(&self) -> Option<ControlKind> {
        match self.key.as_deref()?.get(2..4)? {
            [0, 0] => Some(ControlKind::Abort),
            [0, 1] => Some(ControlKind::Commit),
            _ => None,
        }
    }

    /// The coordinator's epoch in the value of an end-transaction marker: version, epoch.
    #[must_use]
    pub fn coordinator_epoch(&self) -> Option<i32> {
        let field = self.value.as_deref()?.get(2..6)?;
        Some(i32::from_be_bytes(field.try_into().ok()?))
    }
}

/// Walks the records of one batch; ends after the first error.
#[derive(Debug)]
pub struct RecordIter {
    rest: Bytes,
    base_offset: Offset,
    base_timestamp: i64,
    /// With LogAppendTime every record has the batch's time.
    append_time: Option<i64>,
    index: i32,
    count: i32,
}

impl RecordIter {
    pub(super) fn new(batch: &Batch, limit_bytes: usize) -> Result<RecordIter, BatchError> {
        let header = &batch.header;
        let append_time = (header.attributes.timestamp_type() == TimestampType::LogAppendTime)
            .then_some(header.max_timestamp);
        Ok(RecordIter {
            rest: decompress(header.attributes.compression()?, &batch.body(), limit_bytes)?,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            append_time,
            index: 0,
            count: header.count,
        })
    }

    /// The next record, and its bytes after the length: attributes, deltas, key, value, headers.
    pub(super) fn next_with_bytes(&mut self) -> Option<Result<(Bytes, Record), BatchError>> {
        let before = self.rest.clone();
        let record = self.next()?;
        Some(record.and_then(|record| {
            let whole = before.len() - self.rest.len();
            let mut bytes = before.slice(..whole);
            let length = varint(&mut bytes).map_err(|reason| BatchError::Record { index: 0, reason })?;
            debug_assert_eq!(usize::try_from(length).ok(), Some(bytes.len()));
            Ok((bytes, record))
        }))
    }

    fn record(&mut self) -> Result<Record, &'static str> {
        let len = varint(&mut self.rest)?;
        let len = usize::try_from(len).map_err(|_| "negative length")?;
        if len > self.rest.len() {
            return Err("it is longer than the batch");
        }
        let mut body = self.rest.split_to(len);
        if !body.has_remaining() {
            return Err("it has no attributes");
        }
        body.advance(1);
        let timestamp_delta = varlong(&mut body)?;
        let offset_delta = varint(&mut body)?;
        let key = nullable(&mut body)?;
        let value = nullable(&mut body)?;
        let header_count = varint(&mut body)?;
        let header_count = usize::try_from(header_count).map_err(|_| "negative number of headers")?;
        // Each header takes two bytes at least: the bound on what is reserved.
        if header_count > body.len() / 2 {
            return Err("more headers than bytes");
        }
        let mut headers = Vec::with_capacity(header_count);
        for _ in 0..header_count {
            let key = nullable(&mut body)?.ok_or("a header without key")?;
            headers.push((key, nullable(&mut body)?));
        }
        if !body.is_empty() {
            return Err("bytes left over");
        }
        let offset = self.base_offset.0.checked_add(i64::from(offset_delta)).ok_or("offset overflow")?;
        Ok(Record {
            offset: Offset(offset),
            timestamp: self.append_time.unwrap_or(self.base_timestamp.wrapping_add(timestamp_delta)),
            key,
            value,
            headers,
        })
    }
}

impl Iterator for RecordIter {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            if self.rest.is_empty() {
                return None;
            }
            self.rest.clear();
            return Some(Err(BatchError::Record {
                index: self.index,
                reason: "bytes after the last record",
            }));
        }
        let record = self.record().map_err(|reason| BatchError::Record { index: self.index, reason });
        if record.is_err() {
            self.rest.clear();
            self.index = self.count;
        } else {
            self.index += 1;
        }
        Some(record)
    }
}

fn nullable(bytes: &mut Bytes) -> Result<Option<Bytes>, &'static str> {
    let len = varint(bytes)?;
    if len < 0 {
        return if len == -1 { Ok(None) } else { Err("negative length") };
    }
    let len = usize::try_from(len).map_err(|_| "negative length")?;
    if len > bytes.len() {
        return Err("a field is longer than the record");
    }
    Ok(Some(bytes.split_to(len)))
}

fn varint(bytes: &mut Bytes) -> Result<i32, &'static str> {
    i32::try_from(zigzag(bytes, 5)?).map_err(|_| "varint out of range")
}

pub(super) fn varlong(bytes: &mut Bytes) -> Result<i64, &'static str> {
    zigzag(bytes, 10)
}

fn zigzag(bytes: &mut Bytes, max_bytes: usize) -> Result<i64, &'static str> {
    let mut value = 0_u64;
    for i in 0..max_bytes {
        if !bytes.has_remaining() {
            return Err("it ends inside a number");
        }
        let byte = bytes.get_u8();
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err("overlong varint")
}
