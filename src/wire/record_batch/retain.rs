//! Takes records out of a batch, and joins batches: what compaction does. Offsets never change.
//!
//! A batch keeps its base offset and its last offset when records go, so that the last sequence number of its producer
//! stays too. Records that stay are copied as bytes; only a new delete horizon (KIP-534) has their times written anew.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::builder::put_varint;
use super::records::varlong;
use super::{
    Attributes, Batch, BatchError, BatchHeader, BatchIter, Compression, HEADER_BYTES, NO_TIMESTAMP, Record,
    TimestampType, compress, compress_at, decompress,
};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// What is left of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retained {
    /// All of it, byte for byte.
    Whole,
    /// Some records, or all of them with a delete horizon.
    Rewritten(Batch),
    /// No record.
    Nothing,
}

impl Batch {
    /// Keeps the records for which `keep` holds. `horizon` is asked once it is known whether a tombstone is among
    /// them, and answers with the time until which this batch must keep its tombstones, if it is to be set now;
    /// a batch that has one keeps it. Compressed records stay compressed with the same codec.
    ///
    /// # Errors
    /// As [`Batch::records`], or `Record` for one that does not parse.
    pub fn retain(
        &self,
        limit_bytes: usize,
        mut keep: impl FnMut(&Record) -> bool,
        horizon: impl FnOnce(bool) -> Option<i64>,
    ) -> Result<Retained, BatchError> {
        let mut kept: Vec<(Bytes, i64)> = Vec::new();
        let (mut all, mut tombstones) = (true, false);
        let mut records = self.records(limit_bytes)?;
        while let Some(next) = records.next_with_bytes() {
            let (bytes, record) = next?;
            if keep(&record) {
                tombstones |= record.value.is_none();
                kept.push((bytes, record.timestamp));
            } else {
                all = false;
            }
        }
        if kept.is_empty() {
            return Ok(Retained::Nothing);
        }
        let horizon = horizon(tombstones).filter(|_| !self.header.attributes.has_delete_horizon());
        if all && horizon.is_none() {
            return Ok(Retained::Whole);
        }
        let mut header = self.header;
        if header.attributes.timestamp_type() == TimestampType::CreateTime {
            header.max_timestamp = kept.iter().map(|(_, time)| *time).max().unwrap_or(NO_TIMESTAMP);
        }
        header.count = i32::try_from(kept.len()).map_err(|_| BatchError::Header("too many records"))?;
        let mut body = BytesMut::new();
        if let Some(horizon) = horizon {
            header.attributes = header.attributes.delete_horizon();
            header.base_timestamp = horizon;
        }
        for (bytes, timestamp) in kept {
            match horizon {
                None => {
                    put_varint(&mut body, bytes.len() as i64);
                    body.extend_from_slice(&bytes);
                }
                Some(horizon) => {
                    let record = with_time(bytes, timestamp.wrapping_sub(horizon))?;
                    put_varint(&mut body, record.len() as i64);
                    body.extend_from_slice(&record);
                }
            }
        }
        let body = match header.attributes.compression()? {
            Compression::None => body.freeze(),
            codec => compress(codec, &body)?,
        };
        Batch::sealed(header, &body).map(Retained::Rewritten)
    }

    /// The same records in another codec, at a level of its scale. They are decompressed to at most `limit_bytes`.
    ///
    /// # Errors
    /// `Codec`, `Decompress` or `Bomb`; `Header` for a batch above 2 GiB.
    pub fn recompressed(
        &self,
        codec: Compression,
        level: Option<i32>,
        limit_bytes: usize,
    ) -> Result<Batch, BatchError> {
        let records = decompress(self.header.attributes.compression()?, &self.body(), limit_bytes)?;
        let mut header = self.header;
        header.attributes = header.attributes.compressed(codec);
        let body = match codec {
            Compression::None => records,
            codec => compress_at(codec, level, &records)?,
        };
        Batch::sealed(header, &body)
    }

    /// The same batch without its records: what is kept of a producer's last batch.
    ///
    /// # Errors
    /// None that can happen: an empty batch has a legal length.
    pub fn emptied(&self) -> Result<Batch, BatchError> {
        let mut header = self.header;
        header.attributes = header.attributes.emptied();
        header.base_timestamp = NO_TIMESTAMP;
        header.count = 0;
        Batch::sealed(header, &[])
    }

    /// A batch of no producer and without records, for the offsets from `base` to `last` of one leader epoch. `None` if
    /// they are more than a batch can span.
    #[must_use]
    pub fn filler(base: Offset, last: Offset, leader_epoch: LeaderEpoch) -> Option<Batch> {
        let header = BatchHeader {
            base_offset: base,
            length: 0,
            leader_epoch,
            crc: 0,
            attributes: Attributes::default(),
            last_offset_delta: i32::try_from(last - base).ok().filter(|delta| *delta >= 0)?,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: -1,
            count: 0,
        };
        Batch::sealed(header, &[]).ok()
    }

    /// Puts a header before a body: sets the length and the CRC.
    ///
    /// # Errors
    /// `Header` for a batch above 2 GiB.
    pub fn sealed(mut header: BatchHeader, body: &[u8]) -> Result<Batch, BatchError> {
        header.length = i32::try_from(HEADER_BYTES - 12 + body.len())
            .map_err(|_| BatchError::Header("a batch is smaller than 2 GiB"))?;
        header.seal(body);
        let mut out = BytesMut::with_capacity(HEADER_BYTES + body.len());
        header.write(&mut out);
        out.extend_from_slice(body);
        Ok(Batch { header, bytes: out.freeze() })
    }
}

/// The batches that have records. What compaction has emptied keeps a log whole; some clients cannot read it.
#[must_use]
pub fn without_empty(batches: &Bytes) -> Bytes {
    let mut kept: Vec<std::ops::Range<usize>> = Vec::new();
    let mut position = 0;
    for batch in BatchIter::new(batches.clone()).map_while(Result::ok) {
        let end = position + batch.bytes.len();
        match kept.last_mut() {
            _ if batch.header.count == 0 => {}
            Some(last) if last.end == position => last.end = end,
            _ => kept.push(position..end),
        }
        position = end;
    }
    match &kept[..] {
        [] => Bytes::new(),
        [one] => batches.slice(one.clone()),
        more => more.iter().map(|range| &batches[range.clone()]).collect::<Vec<_>>().concat().into(),
    }
}

impl BatchHeader {
    /// Lets the batch reach to `last`, over offsets that have no records any more. Its last sequence number stays: the
    /// first one moves back, and wraps as sequence numbers do. Whether that was possible; the CRC is no longer right.
    #[must_use]
    pub fn reach(&mut self, last: Offset) -> bool {
        let Some(delta) =
            i32::try_from(last - self.base_offset).ok().filter(|d| *d >= self.last_offset_delta)
        else {
            return false;
        };
        if self.base_sequence >= 0 {
            let back = i64::from(delta - self.last_offset_delta);
            let first = (i64::from(self.base_sequence) - back).rem_euclid(1 << 31);
            self.base_sequence = i32::try_from(first).unwrap_or(i32::MAX);
        }
        self.last_offset_delta = delta;
        true
    }
}

/// A record's bytes with another distance from the batch's base timestamp.
fn with_time(mut record: Bytes, delta: i64) -> Result<BytesMut, BatchError> {
    let mut out = BytesMut::with_capacity(record.len() + 10);
    out.put_u8(record.get_u8());
    varlong(&mut record).map_err(|reason| BatchError::Record { index: 0, reason })?;
    put_varint(&mut out, delta);
    out.extend_from_slice(&record);
    Ok(out)
}

#[cfg(test)]
#[path = "retain_tests.rs"]
mod tests;
