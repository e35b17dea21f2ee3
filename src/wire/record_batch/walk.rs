//! A walk over the records of an uncompressed batch that keeps nothing: is each one whole, and what are their times?
//!
//! Every produced batch comes through here, so nothing is allocated and no reference is counted. What it refuses is what
//! [`Batch::records`] refuses; a test holds the two together.

use super::{Batch, BatchError, HEADER_BYTES, NO_TIMESTAMP};

/// What a walk has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// The earliest time of a record that has one; `NO_TIMESTAMP` if none has.
    pub min_timestamp: i64,
    /// The latest time of a record; `NO_TIMESTAMP` if none has one.
    pub max_timestamp: i64,
    /// Every record has a key.
    pub all_have_keys: bool,
}

impl Batch {
    /// Walks the records of a batch that is not compressed. Times are those of CreateTime.
    ///
    /// # Errors
    /// `Record` for one that does not parse, or for bytes after the last one.
    pub fn walk(&self) -> Result<Walked, BatchError> {
        let header = &self.header;
        let mut rest = Cursor(&self.bytes[HEADER_BYTES..]);
        let mut earliest = i64::MAX;
        let mut found =
            Walked { min_timestamp: NO_TIMESTAMP, max_timestamp: NO_TIMESTAMP, all_have_keys: true };
        for index in 0..header.count {
            let record = rest.record().map_err(|reason| BatchError::Record { index, reason })?;
            // Wraps as in `Batch::records`.
            let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
            if timestamp != NO_TIMESTAMP {
                earliest = earliest.min(timestamp);
                found.min_timestamp = earliest;
            }
            found.max_timestamp = found.max_timestamp.max(timestamp);
            found.all_have_keys &= record.has_key;
            if header.base_offset.0.checked_add(i64::from(record.offset_delta)).is_none() {
                return Err(BatchError::Record { index, reason: "offset overflow" });
            }
        }
        if rest.0.is_empty() {
            Ok(found)
        } else {
            Err(BatchError::Record { index: header.count, reason: "bytes after the last record" })
        }
    }
}

struct Passed {
    timestamp_delta: i64,
    offset_delta: i32,
    has_key: bool,
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    #[inline]
    fn record(&mut self) -> Result<Passed, &'static str> {
        let len = usize::try_from(self.varint()?).map_err(|_| "negative length")?;
        let Some((body, rest)) = self.0.split_at_checked(len) else {
            return Err("it is longer than the batch");
        };
        self.0 = rest;
        let mut body = Cursor(body);
        body.skip(1).ok_or("it has no attributes")?;
        let timestamp_delta = body.number(10)?;
        let offset_delta = body.varint()?;
        let has_key = body.nullable()?;
        body.nullable()?;
        let headers = usize::try_from(body.varint()?).map_err(|_| "negative number of headers")?;
        for _ in 0..headers {
            if !body.nullable()? {
                return Err("a header without key");
            }
            body.nullable()?;
        }
        if body.0.is_empty() {
            Ok(Passed { timestamp_delta, offset_delta, has_key })
        } else {
            Err("bytes left over")
        }
    }

    #[inline]
    fn skip(&mut self, len: usize) -> Option<()> {
        self.0 = self.0.get(len..)?;
        Some(())
    }

    /// Passes a field; whether it is there.
    #[inline]
    fn nullable(&mut self) -> Result<bool, &'static str> {
        let len = self.varint()?;
        if len < 0 {
            return if len == -1 { Ok(false) } else { Err("negative length") };
        }
        let len = usize::try_from(len).map_err(|_| "negative length")?;
        self.skip(len).map(|()| true).ok_or("a field is longer than the record")
    }

    #[inline]
    fn varint(&mut self) -> Result<i32, &'static str> {
        i32::try_from(self.number(5)?).map_err(|_| "varint out of range")
    }

    /// A zigzag number of at most so many bytes, two or more. Nearly all have one or two.
    #[inline]
    fn number(&mut self, max_bytes: usize) -> Result<i64, &'static str> {
        match *self.0 {
            [byte, ref rest @ ..] if byte < 0x80 => {
                self.0 = rest;
                Ok(from_zigzag(byte.into()))
            }
            [low, high, ref rest @ ..] if high < 0x80 => {
                self.0 = rest;
                Ok(from_zigzag(u64::from(low & 0x7f) | u64::from(high) << 7))
            }
            _ => self.long_number(max_bytes),
        }
    }

    fn long_number(&mut self, max_bytes: usize) -> Result<i64, &'static str> {
        let mut value = 0_u64;
        for (i, byte) in self.0.iter().take(max_bytes).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.0 = &self.0[i + 1..];
                return Ok(from_zigzag(value));
            }
        }
        Err(if self.0.len() < max_bytes { "it ends inside a number" } else { "overlong varint" })
    }
}

fn from_zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::record_batch::{BatchBuilder, Compression};

    /// As the iterator that keeps the records sees it.
    fn by_iterator(batch: &Batch) -> Result<Walked, BatchError> {
        let mut found =
            Walked { min_timestamp: NO_TIMESTAMP, max_timestamp: NO_TIMESTAMP, all_have_keys: true };
        let mut times = Vec::new();
        for record in batch.records(1 << 20)? {
            let record = record?;
            times.extend(Some(record.timestamp).filter(|time| *time != NO_TIMESTAMP));
            found.all_have_keys &= record.key.is_some();
        }
        found.min_timestamp = times.iter().min().copied().unwrap_or(NO_TIMESTAMP);
        found.max_timestamp = times.iter().max().copied().unwrap_or(NO_TIMESTAMP).max(NO_TIMESTAMP);
        Ok(found)
    }

    fn sample(records: &[(i64, bool, u8, u8)]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Compression::None);
        for (time, has_key, value, headers) in records {
            let headers = vec![("header", Some(&b"x"[..])); usize::from(headers % 3)];
            let value = vec![7; usize::from(*value)];
            builder.add(
                *time,
                has_key.then_some(&b"key"[..]),
                (value.len() != 1).then_some(value.as_slice()),
                &headers,
            );
        }
        builder.build().expect("a batch").to_vec()
    }

    proptest! {
        #[test]
        fn it_finds_what_the_iterator_finds_in_sound_and_in_damaged_batches(
            records in prop::collection::vec((-2_i64..3000, any::<bool>(), any::<u8>(), any::<u8>()), 1..20),
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut bytes = sample(&records);
            if let Some((at, with)) = damage {
                let body = bytes.len() - HEADER_BYTES;
                bytes[HEADER_BYTES + at.index(body)] = with;
            }
            let batch = Batch::split_from(&mut bytes.into()).expect("its header is sound");
            let (ours, theirs) = (batch.walk(), by_iterator(&batch));
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", &ours, &theirs);
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                prop_assert_eq!(ours, theirs);
            }
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_body_is_judged_as_by_the_iterator() {
        let sound = sample(&[(5, true, 3, 1), (NO_TIMESTAMP, false, 200, 0), (9, true, 1, 2)]);
        let agree = |bytes: Vec<u8>| {
            let batch = Batch::split_from(&mut bytes.into()).expect("its header is sound");
            assert_eq!(batch.walk().ok(), by_iterator(&batch).ok());
            batch.walk().is_err()
        };
        let mut refused = 0;
        for bit in HEADER_BYTES * 8..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            refused += usize::from(agree(bytes));
        }
        assert!(refused > 50, "{refused}");
        for end in HEADER_BYTES..sound.len() {
            let mut bytes = sound[..end].to_vec();
            let length = i32::try_from(end - 12).expect("small");
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            assert!(agree(bytes), "cut at {end}");
        }
    }
}
