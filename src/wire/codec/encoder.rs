//! Writes a frame as a list of chunks.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::{Chunk, Float64, Records, StrBytes};
use crate::wire::ErrorCode;

/// Record bytes below this are copied into the chunk before them: a chunk of its own costs more.
const COPY_BELOW: usize = 1024;

/// Why a value cannot be written. It is a fault of this program, not of its peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A version of a message that we do not speak.
    #[error("version {version} of {message} is not spoken")]
    Version {
        /// The message.
        message: &'static str,
        /// The version.
        version: i16,
    },
    /// A field is set that the version has no place for, and must not be dropped.
    #[error("{field} is set, and version {version} has no place for it")]
    NotInVersion {
        /// Struct and field.
        field: &'static str,
        /// The version.
        version: i16,
    },
    /// Null where the version allows none.
    #[error("{field} is null, and version {version} does not allow that")]
    Null {
        /// Struct and field.
        field: &'static str,
        /// The version.
        version: i16,
    },
    /// Records in a file could not be read.
    #[error("records in a file could not be read: {0}")]
    File(std::io::ErrorKind),
    /// A text, array or byte field above what its length can say.
    #[error("a field of {0} bytes or elements is too long")]
    TooLong(usize),
}

type Encoded = Result<(), EncodeError>;

/// A writer of one frame.
#[derive(Debug, Default)]
pub struct Encoder {
    /// The first chunk once there are more than one; it stays writable for the length prefix.
    head: Option<BytesMut>,
    middle: Vec<Chunk>,
    middle_bytes: usize,
    tail: BytesMut,
}

impl Encoder {
    /// An empty frame.
    #[must_use]
    pub fn new() -> Encoder {
        Encoder::default()
    }

    /// A frame that starts with room for its length; `into_frame` fills it in.
    #[must_use]
    pub fn framed() -> Encoder {
        let mut tail = BytesMut::with_capacity(256);
        tail.put_i32(0);
        Encoder { tail, ..Encoder::default() }
    }

    /// Bytes written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.as_ref().map_or(0, BytesMut::len) + self.middle_bytes + self.tail.len()
    }

    /// Whether nothing is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The chunks of a frame begun with `framed`, its length filled in.
    ///
    /// # Errors
    /// `TooLong` when the frame is above `i32::MAX` bytes.
    pub fn into_frame(mut self) -> Result<Vec<Chunk>, EncodeError> {
        let length = self.len() - 4;
        let prefix = i32::try_from(length).map_err(|_| EncodeError::TooLong(length))?;
        let first = self.head.as_mut().unwrap_or(&mut self.tail);
        first[..4].copy_from_slice(&prefix.to_be_bytes());
        Ok(self.into_chunks())
    }

    /// The chunks in order.
    #[must_use]
    pub fn into_chunks(self) -> Vec<Chunk> {
        let mut chunks = Vec::with_capacity(self.middle.len() + 2);
        chunks.extend(self.head.map(|head| Chunk::Bytes(head.freeze())));
        chunks.extend(self.middle);
        if !self.tail.is_empty() {
            chunks.push(Chunk::Bytes(self.tail.freeze()));
        }
        chunks
    }

    /// All bytes in one piece.
    ///
    /// # Errors
    /// `File` when records in a file could not be read.
    pub fn into_bytes(self) -> Result<Bytes, EncodeError> {
        if self.head.is_none() {
            return Ok(self.tail.freeze());
        }
        let mut all = BytesMut::with_capacity(self.len());
        for chunk in self.into_chunks() {
            all.extend_from_slice(&chunk.into_bytes().map_err(|e| EncodeError::File(e.kind()))?);
        }
        Ok(all.freeze())
    }

    /// Appends raw bytes without copying them, when they are worth a chunk.
    pub fn chunk(&mut self, bytes: &Bytes) {
        if bytes.len() < COPY_BELOW {
            self.tail.extend_from_slice(bytes);
            return;
        }
        self.piece(Chunk::Bytes(bytes.clone()));
    }

    fn piece(&mut self, chunk: Chunk) {
        let written = self.tail.split();
        if self.head.is_none() {
            self.head = Some(written);
        } else if !written.is_empty() {
            self.middle_bytes += written.len();
            self.middle.push(Chunk::Bytes(written.freeze()));
        }
        self.middle_bytes += chunk.len();
        self.middle.push(chunk);
    }

    /// `BOOLEAN`.
    pub fn bool(&mut self, value: bool) {
        self.tail.put_u8(u8::from(value));
    }

    /// `INT8`.
    pub fn i8(&mut self, value: i8) {
        self.tail.put_i8(value);
    }

    /// `INT16`.
    pub fn i16(&mut self, value: i16) {
        self.tail.put_i16(value);
    }

    /// `UINT16`.
    pub fn u16(&mut self, value: u16) {
        self.tail.put_u16(value);
    }

    /// `INT32`.
    pub fn i32(&mut self, value: i32) {
        self.tail.put_i32(value);
    }

    /// `INT64`.
    pub fn i64(&mut self, value: i64) {
        self.tail.put_i64(value);
    }

    /// `FLOAT64`.
    pub fn float64(&mut self, value: Float64) {
        self.tail.put_f64(value.0);
    }

    /// An error code as `INT16`.
    pub fn error_code(&mut self, value: ErrorCode) {
        self.tail.put_i16(value.0);
    }

    /// `UUID`.
    pub fn uuid(&mut self, value: Uuid) {
        self.tail.put_slice(value.as_bytes());
    }

    /// `UNSIGNED_VARINT`.
    pub fn uvarint(&mut self, mut value: u32) {
        while value > 0x7f {
            // The low seven bits, with the mark that more follow.
            self.tail.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.tail.put_u8(value as u8);
    }

    /// A length in one of its three forms.
    fn length(&mut self, length: usize, flexible: bool, short: bool) -> Encoded {
        if flexible {
            let plus_one = length
                .checked_add(1)
                .and_then(|length| i32::try_from(length).ok())
                .ok_or(EncodeError::TooLong(length))?;
            self.uvarint(plus_one.unsigned_abs());
        } else if short {
            self.i16(i16::try_from(length).map_err(|_| EncodeError::TooLong(length))?);
        } else {
            self.i32(i32::try_from(length).map_err(|_| EncodeError::TooLong(length))?);
        }
        Ok(())
    }

    fn null(&mut self, flexible: bool, short: bool) {
        if flexible {
            self.uvarint(0);
        } else if short {
            self.i16(-1);
        } else {
            self.i32(-1);
        }
    }

    /// `STRING` or `COMPACT_STRING`.
    pub fn string(&mut self, value: &StrBytes, flexible: bool) -> Encoded {
        let bytes = value.as_bytes();
        if bytes.len() > i16::MAX as usize {
            return Err(EncodeError::TooLong(bytes.len()));
        }
        self.length(bytes.len(), flexible, true)?;
        self.tail.extend_from_slice(bytes);
        Ok(())
    }

    /// A struct that may be null: −1 for null, 1 before the struct.
    pub fn nullable_struct<T>(
        &mut self,
        value: Option<&T>,
        write: impl FnOnce(&mut Encoder, &T) -> Encoded,
    ) -> Encoded {
        match value {
            Some(value) => {
                self.i8(1);
                write(self, value)
            }
            None => {
                self.i8(-1);
                Ok(())
            }
        }
    }

    /// `NULLABLE_STRING` or `COMPACT_NULLABLE_STRING`.
    pub fn nullable_string(&mut self, value: Option<&StrBytes>, flexible: bool) -> Encoded {
        match value {
            Some(value) => self.string(value, flexible),
            None => {
                self.null(flexible, true);
                Ok(())
            }
        }
    }

    /// `BYTES` or `COMPACT_BYTES`.
    pub fn bytes(&mut self, value: &Bytes, flexible: bool) -> Encoded {
        self.length(value.len(), flexible, false)?;
        self.chunk(value);
        Ok(())
    }

    /// `NULLABLE_BYTES` or `COMPACT_NULLABLE_BYTES`.
    pub fn nullable_bytes(&mut self, value: Option<&Bytes>, flexible: bool) -> Encoded {
        match value {
            Some(value) => self.bytes(value, flexible),
            None => {
                self.null(flexible, false);
                Ok(())
            }
        }
    }

    /// `RECORDS` or `COMPACT_RECORDS`.
    pub fn records(&mut self, value: Option<&Records>, flexible: bool) -> Encoded {
        let Some(records) = value else {
            self.null(flexible, false);
            return Ok(());
        };
        self.length(records.len(), flexible, false)?;
        records.chunks().for_each(|chunk| self.chunk(chunk));
        if let Some(span) = records.span() {
            self.piece(Chunk::File(span.clone()));
        }
        Ok(())
    }

    /// `ARRAY` or `COMPACT_ARRAY`.
    pub fn array<T>(
        &mut self,
        values: &[T],
        flexible: bool,
        mut element: impl FnMut(&mut Encoder, &T) -> Encoded,
    ) -> Encoded {
        self.length(values.len(), flexible, false)?;
        values.iter().try_for_each(|value| element(self, value))
    }

    /// The same, with null.
    pub fn nullable_array<T>(
        &mut self,
        values: Option<&[T]>,
        flexible: bool,
        element: impl FnMut(&mut Encoder, &T) -> Encoded,
    ) -> Encoded {
        match values {
            Some(values) => self.array(values, flexible, element),
            None => {
                self.null(flexible, false);
                Ok(())
            }
        }
    }

    /// The end of a flexible struct.
    pub fn tags(&mut self, tags: Tags) {
        self.uvarint(tags.count);
        self.tail.extend_from_slice(&tags.fields);
    }

    /// The end of a flexible struct that has no tagged field.
    pub fn no_tags(&mut self) {
        self.uvarint(0);
    }
}

/// The tagged fields of one struct, collected in ascending order of their tags.
#[derive(Debug, Default)]
pub struct Tags {
    count: u32,
    fields: BytesMut,
}

impl Tags {
    /// None yet.
    #[must_use]
    pub fn new() -> Tags {
        Tags::default()
    }

    /// Adds a field with what `content` writes.
    pub fn add(&mut self, tag: u32, content: impl FnOnce(&mut Encoder) -> Encoded) -> Encoded {
        let mut field = Encoder::new();
        content(&mut field)?;
        let field = field.into_bytes()?;
        let size = i32::try_from(field.len()).map_err(|_| EncodeError::TooLong(field.len()))?;
        let mut prefix = Encoder::new();
        prefix.uvarint(tag);
        prefix.uvarint(size.unsigned_abs());
        self.count += 1;
        self.fields.extend_from_slice(&prefix.tail);
        self.fields.extend_from_slice(&field);
        Ok(())
    }
}
