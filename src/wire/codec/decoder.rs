//! Reads a frame that may be hostile.
//!
//! Invariants: a position never passes the limit; a vector is made only when the bytes that remain could hold its
//! elements and the budget covers its memory; nothing recurses; every loop is bounded by the bytes that remain.

use bytes::Bytes;
use uuid::Uuid;

use super::{Float64, Records, StrBytes};
use crate::wire::{ErrorCode, Limits};

/// Why bytes are not the message that they should be. The connection that sent them is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A field reaches past the end of the frame.
    #[error("a field at byte {at} needs {needed} bytes and {remaining} remain")]
    Truncated {
        /// Where the field starts.
        at: usize,
        /// Bytes it needs.
        needed: usize,
        /// Bytes there are.
        remaining: usize,
    },
    /// Bytes after the end of the message, or of a tagged field.
    #[error("{bytes} bytes are left over at byte {at}")]
    Trailing {
        /// Where the message ended.
        at: usize,
        /// Bytes behind it.
        bytes: usize,
    },
    /// A length or count below -1.
    #[error("the length {length} at byte {at} is negative")]
    NegativeLength {
        /// Where it stands.
        at: usize,
        /// What it says.
        length: i64,
    },
    /// Null where the version allows none.
    #[error("the field at byte {at} is null and must not be")]
    Null {
        /// Where it stands.
        at: usize,
    },
    /// More elements than the rest of the frame can hold.
    #[error("an array of {count} elements at byte {at}, with {remaining} bytes remaining")]
    ArrayTooLong {
        /// Where the count stands.
        at: usize,
        /// Elements announced.
        count: usize,
        /// Bytes there are.
        remaining: usize,
    },
    /// The request would take more memory than a request may.
    #[error("an array at byte {at} takes {needed} bytes of memory and {budget} of the budget are left")]
    Budget {
        /// Where the count stands.
        at: usize,
        /// Memory it needs.
        needed: usize,
        /// Memory left.
        budget: usize,
    },
    /// A variable-length integer of more than five bytes, or with bits past the 32nd.
    #[error("the variable-length integer at byte {at} is too long")]
    Varint {
        /// Where it starts.
        at: usize,
    },
    /// Tags must ascend, each once.
    #[error("tag {tag} at byte {at} comes after tag {previous}")]
    TagOrder {
        /// Where it stands.
        at: usize,
        /// The tag.
        tag: u32,
        /// The one before.
        previous: u32,
    },
    /// More tagged fields in one struct than anybody sends.
    #[error("{count} tagged fields at byte {at}")]
    TooManyTags {
        /// Where the count stands.
        at: usize,
        /// How many.
        count: u32,
    },
    /// Text that is not UTF-8.
    #[error("the text at byte {at} is not UTF-8")]
    NotUtf8 {
        /// Where it starts.
        at: usize,
    },
    /// A version of a message that we do not speak.
    #[error("version {version} of {message} is not spoken")]
    Version {
        /// The message.
        message: &'static str,
        /// The version.
        version: i16,
    },
}

type Decoded<T> = Result<T, DecodeError>;

/// A reader over one frame.
#[derive(Debug)]
pub struct Decoder {
    frame: Bytes,
    position: usize,
    /// Exclusive end of what may be read: the frame's, or that of the tagged field being read.
    limit: usize,
    /// Bytes of memory that arrays may still take.
    budget: usize,
    max_tags: u32,
}

impl Decoder {
    /// Starts at the frame's first byte.
    #[must_use]
    pub fn new(frame: Bytes, limits: &Limits) -> Decoder {
        let limit = frame.len();
        Decoder { frame, position: 0, limit, budget: limits.array_bytes, max_tags: limits.tagged_fields }
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.limit - self.position
    }

    /// What has not been read, as a slice of the frame.
    #[must_use]
    pub fn rest(&self) -> Bytes {
        self.frame.slice(self.position..self.limit)
    }

    /// The first two `INT16`s of a request, its API key and version, without reading them.
    pub fn peek_two_i16(&self) -> Decoded<(i16, i16)> {
        self.need(4)?;
        let at = &self.frame[self.position..];
        Ok((i16::from_be_bytes([at[0], at[1]]), i16::from_be_bytes([at[2], at[3]])))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `Trailing` when bytes are left over.
    pub fn finish(&self) -> Decoded<()> {
        match self.remaining() {
            0 => Ok(()),
            bytes => Err(DecodeError::Trailing { at: self.position, bytes }),
        }
    }

    /// A slice of the frame.
    fn take(&mut self, length: usize) -> Decoded<Bytes> {
        self.need(length)?;
        let start = self.position;
        self.position += length;
        Ok(self.frame.slice(start..self.position))
    }

    fn need(&self, needed: usize) -> Decoded<()> {
        let remaining = self.remaining();
        if needed > remaining {
            return Err(DecodeError::Truncated { at: self.position, needed, remaining });
        }
        Ok(())
    }

    fn fixed<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        self.need(N)?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.frame[self.position..self.position + N]);
        self.position += N;
        Ok(bytes)
    }

    /// `BOOLEAN`: any byte but 0 is true, as in Kafka.
    pub fn bool(&mut self) -> Decoded<bool> {
        Ok(self.fixed::<1>()? != [0])
    }

    /// `INT8`.
    pub fn i8(&mut self) -> Decoded<i8> {
        Ok(i8::from_be_bytes(self.fixed()?))
    }

    /// `INT16`.
    pub fn i16(&mut self) -> Decoded<i16> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    /// `UINT16`.
    pub fn u16(&mut self) -> Decoded<u16> {
        Ok(u16::from_be_bytes(self.fixed()?))
    }

    /// `INT32`.
    pub fn i32(&mut self) -> Decoded<i32> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    /// `INT64`.
    pub fn i64(&mut self) -> Decoded<i64> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    /// `FLOAT64`.
    pub fn float64(&mut self) -> Decoded<Float64> {
        Ok(Float64(f64::from_be_bytes(self.fixed()?)))
    }

    /// An `INT16` that is an error code.
    pub fn error_code(&mut self) -> Decoded<ErrorCode> {
        Ok(ErrorCode(self.i16()?))
    }

    /// `UUID`.
    pub fn uuid(&mut self) -> Decoded<Uuid> {
        Ok(Uuid::from_bytes(self.fixed()?))
    }

    /// `UNSIGNED_VARINT` of at most 32 bits.
    pub fn uvarint(&mut self) -> Decoded<u32> {
        let at = self.position;
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed::<1>()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                return Err(DecodeError::Varint { at });
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint { at })
    }

    /// A length in one of its three forms; `None` is null.
    fn length(&mut self, flexible: bool, short: bool) -> Decoded<Option<usize>> {
        let at = self.position;
        if flexible {
            return Ok(self.uvarint()?.checked_sub(1).map(|length| length as usize));
        }
        let length = if short { i64::from(self.i16()?) } else { i64::from(self.i32()?) };
        match length {
            -1 => Ok(None),
            _ => usize::try_from(length).map(Some).map_err(|_| DecodeError::NegativeLength { at, length }),
        }
    }

    /// `STRING` or `COMPACT_STRING`.
    pub fn string(&mut self, flexible: bool) -> Decoded<StrBytes> {
        let at = self.position;
        self.nullable_string(flexible)?.ok_or(DecodeError::Null { at })
    }

    /// `NULLABLE_STRING` or `COMPACT_NULLABLE_STRING`.
    pub fn nullable_string(&mut self, flexible: bool) -> Decoded<Option<StrBytes>> {
        let Some(length) = self.length(flexible, true)? else { return Ok(None) };
        let at = self.position;
        let bytes = self.take(length)?;
        StrBytes::from_utf8(bytes).map(Some).map_err(|_| DecodeError::NotUtf8 { at })
    }

    /// A struct that may be null: a byte below zero for null, another one before the struct.
    pub fn nullable_struct<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder) -> Decoded<T>,
    ) -> Decoded<Option<T>> {
        if self.i8()? < 0 { Ok(None) } else { read(self).map(Some) }
    }

    /// `BYTES` or `COMPACT_BYTES`.
    pub fn bytes(&mut self, flexible: bool) -> Decoded<Bytes> {
        let at = self.position;
        self.nullable_bytes(flexible)?.ok_or(DecodeError::Null { at })
    }

    /// `NULLABLE_BYTES` or `COMPACT_NULLABLE_BYTES`.
    pub fn nullable_bytes(&mut self, flexible: bool) -> Decoded<Option<Bytes>> {
        let Some(length) = self.length(flexible, false)? else { return Ok(None) };
        self.take(length).map(Some)
    }

    /// `RECORDS` or `COMPACT_RECORDS`.
    pub fn records(&mut self, flexible: bool) -> Decoded<Option<Records>> {
        Ok(self.nullable_bytes(flexible)?.map(Records::from))
    }

    /// `ARRAY` or `COMPACT_ARRAY` of elements that take at least `min_bytes` each.
    pub fn array<T>(
        &mut self,
        flexible: bool,
        min_bytes: usize,
        element: impl FnMut(&mut Decoder) -> Decoded<T>,
    ) -> Decoded<Vec<T>> {
        let at = self.position;
        self.nullable_array(flexible, min_bytes, element)?.ok_or(DecodeError::Null { at })
    }

    /// The same, with null.
    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        min_bytes: usize,
        mut element: impl FnMut(&mut Decoder) -> Decoded<T>,
    ) -> Decoded<Option<Vec<T>>> {
        let at = self.position;
        let Some(count) = self.length(flexible, false)? else { return Ok(None) };
        let remaining = self.remaining();
        if count.saturating_mul(min_bytes.max(1)) > remaining {
            return Err(DecodeError::ArrayTooLong { at, count, remaining });
        }
        let needed = count.saturating_mul(size_of::<T>());
        self.budget =
            self.budget.checked_sub(needed).ok_or(DecodeError::Budget { at, needed, budget: self.budget })?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// The tagged fields that end a flexible struct. `known` reads a field that it knows and says `true`, or reads
    /// nothing and says `false`; the field is then skipped. A known field must fill its size.
    pub fn tags(&mut self, mut known: impl FnMut(&mut Decoder, u32) -> Decoded<bool>) -> Decoded<()> {
        let at = self.position;
        let count = self.uvarint()?;
        if count > self.max_tags {
            return Err(DecodeError::TooManyTags { at, count });
        }
        let mut previous = None;
        for _ in 0..count {
            let at = self.position;
            let tag = self.uvarint()?;
            if let Some(previous) = previous.filter(|previous| *previous >= tag) {
                return Err(DecodeError::TagOrder { at, tag, previous });
            }
            previous = Some(tag);
            let size = self.uvarint()? as usize;
            self.need(size)?;
            let end = self.position + size;
            let outer = std::mem::replace(&mut self.limit, end);
            if known(self, tag)? {
                self.finish()?;
            }
            self.position = end;
            self.limit = outer;
        }
        Ok(())
    }

    /// The tagged fields of a struct that knows none.
    pub fn no_tags(&mut self) -> Decoded<()> {
        self.tags(|_, _| Ok(false))
    }
}
