//! The framing of Kafka's record batches (magic 2), as far as the tier needs it: to cut at batch bounds, and to check.
//!
//! ```text
//!  0 base offset i64        12 partition leader epoch i32   21 attributes i16           35 max timestamp i64
//!  8 batch length i32       16 magic i8                     23 last offset delta i32    43 … producer, count, records
//!    (of all after it)      17 crc-32c u32 (of all from 21) 27 base timestamp i64
//! ```

use bytes::Bytes;

/// The smallest batch: a header without records.
pub const HEADER_BYTES: usize = 61;

/// What the header of a batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// The offset of its first record.
    pub base: i64,
    /// The offset after its last record.
    pub end: i64,
    /// Header and records.
    pub bytes: usize,
    /// The epoch of the leader that appended it.
    pub leader_epoch: i32,
    /// The largest timestamp of its records.
    pub max_timestamp: i64,
}

/// Bytes that are no batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBatch {
    /// A length or magic that no batch has.
    #[error("no batch of magic 2 starts with length {length} and magic {magic}")]
    Framing {
        /// The length field.
        length: i32,
        /// The magic byte.
        magic: i8,
    },
    /// The batch's own checksum does not match.
    #[error("the batch at offset {base} has a wrong CRC")]
    Crc {
        /// Its base offset.
        base: i64,
    },
    /// Offsets go back, or lie outside what was announced.
    #[error("a batch covers offsets {base}..{end} where {expected}.. was due")]
    Order {
        /// Its base offset.
        base: i64,
        /// Its end offset.
        end: i64,
        /// The least base offset that may stand here.
        expected: i64,
    },
}

/// The header of the batch at the start of `bytes`; `None` when not all of the batch is there.
///
/// # Errors
/// `Framing` when no batch of magic 2 starts here.
pub fn head(bytes: &[u8]) -> Result<Option<BatchHead>, BadBatch> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let length = i32::from_be_bytes(field(header, 8));
    let magic = i8::from_be_bytes(field(header, 16));
    let last_delta = i32::from_be_bytes(field(header, 23));
    let whole = usize::try_from(length).ok().map(|l| l + 12).filter(|l| *l >= HEADER_BYTES);
    let (Some(whole), 2, 0..) = (whole, magic, last_delta) else {
        return Err(BadBatch::Framing { length, magic });
    };
    let base = i64::from_be_bytes(field(header, 0));
    let Some(end) = base.checked_add(i64::from(last_delta) + 1) else {
        return Err(BadBatch::Framing { length, magic });
    };
    if bytes.len() < whole {
        return Ok(None);
    }
    Ok(Some(BatchHead {
        base,
        end,
        bytes: whole,
        leader_epoch: i32::from_be_bytes(field(header, 12)),
        max_timestamp: i64::from_be_bytes(field(header, 35)),
    }))
}

/// Checks the batch's own CRC-32C. `batch` is exactly one batch, as `head` measured it.
///
/// # Errors
/// `Crc` when it does not match.
pub fn check_crc(batch: &[u8], base: i64) -> Result<(), BadBatch> {
    let stored = batch.get(17..21).and_then(|b| b.first_chunk()).copied().map(u32::from_be_bytes);
    match (stored, batch.get(21..)) {
        (Some(stored), Some(rest)) if crc32c::crc32c(rest) == stored => Ok(()),
        _ => Err(BadBatch::Crc { base }),
    }
}

/// The bytes the batch at the start needs in all, once 12 bytes are there.
#[must_use]
pub fn announced_bytes(bytes: &[u8]) -> Option<usize> {
    let prefix = bytes.first_chunk::<12>()?;
    usize::try_from(i32::from_be_bytes(field(prefix, 8))).ok().map(|l| l + 12)
}

fn field<const N: usize, const M: usize>(bytes: &[u8; M], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

/// The whole batches in `bytes` that hold `from` or lie behind it, before `limit`, at most `max_bytes` of them, and the
/// offset after them; `None` when none lies there or fits. With `at_least_one`, the first fits always.
///
/// # Errors
/// `BadBatch` when a frame is broken.
pub fn slice_from(
    bytes: &Bytes,
    from: i64,
    limit: i64,
    max_bytes: usize,
    at_least_one: bool,
) -> Result<Option<(Bytes, i64)>, BadBatch> {
    let mut position = 0;
    let mut taken: Option<(usize, usize, i64)> = None;
    while let Some(batch) = head(&bytes[position..])? {
        let next = position + batch.bytes;
        if batch.base >= limit {
            break;
        }
        if batch.end > from {
            let start = taken.map_or(position, |(start, ..)| start);
            if next - start > max_bytes && !(taken.is_none() && at_least_one) {
                break;
            }
            taken = Some((start, next, batch.end));
        }
        position = next;
    }
    Ok(taken.map(|(start, end, next_offset)| (bytes.slice(start..end), next_offset)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::batch;

    #[test]
    fn a_batch_is_measured_and_checked() {
        let bytes = batch(100, 3, 7, 1_000, b"payload");
        let head = head(&bytes).unwrap().unwrap();
        assert_eq!((head.base, head.end, head.leader_epoch, head.max_timestamp), (100, 103, 7, 1_000));
        assert_eq!(head.bytes, bytes.len());
        check_crc(&bytes, 100).unwrap();
        assert_eq!(super::head(&bytes[..bytes.len() - 1]).unwrap(), None);
        let mut bad = bytes.to_vec();
        bad[HEADER_BYTES] ^= 1;
        assert_eq!(check_crc(&bad, 100), Err(BadBatch::Crc { base: 100 }));
    }

    #[test]
    fn what_is_no_batch_is_named() {
        let mut bytes = batch(0, 1, 0, 0, b"x").to_vec();
        bytes[16] = 1;
        assert!(matches!(head(&bytes), Err(BadBatch::Framing { magic: 1, .. })));
        bytes[16] = 2;
        bytes[8] = 0x80;
        assert!(head(&bytes).is_err());
    }

    #[test]
    fn a_slice_has_whole_batches_within_the_bound_but_at_least_one() {
        let mut all = Vec::new();
        for i in 0..4 {
            all.extend_from_slice(&batch(i * 10, 10, 0, 0, &[0; 39]));
        }
        let all = Bytes::from(all);
        assert_eq!(slice_from(&all, 15, i64::MAX, 250, true).unwrap(), Some((all.slice(100..300), 30)));
        assert_eq!(slice_from(&all, 39, i64::MAX, 1, true).unwrap(), Some((all.slice(300..400), 40)));
        assert_eq!(slice_from(&all, 39, i64::MAX, 1, false).unwrap(), None);
        assert_eq!(slice_from(&all, 40, i64::MAX, 1000, true).unwrap(), None);
        assert_eq!(slice_from(&all, 15, 20, 1000, true).unwrap(), Some((all.slice(100..200), 20)));
    }
}
