//! The records field of Produce and Fetch: bytes that pass through.

use std::io;

use bytes::{Bytes, BytesMut};

use crate::env::FileSpan;

/// Record batches as chunks in order. What is decoded is one slice of the frame; what is encoded may be many (segment
/// by segment, tier by tier) and goes out without being copied together, or a stretch of a file that never comes into
/// memory.
#[derive(Clone, Debug, Default)]
pub struct Records {
    first: Bytes,
    rest: Vec<Bytes>,
    /// Comes last.
    span: Option<FileSpan>,
}

/// A piece of a frame on its way out.
#[derive(Clone, Debug)]
pub enum Chunk {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A stretch of a file.
    File(FileSpan),
}

impl Chunk {
    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Chunk::Bytes(bytes) => bytes.len(),
            Chunk::File(span) => span.len,
        }
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes; those of a file are read.
    ///
    /// # Errors
    /// What the disk says.
    pub fn into_bytes(self) -> io::Result<Bytes> {
        match self {
            Chunk::Bytes(bytes) => Ok(bytes),
            Chunk::File(span) => span.read(),
        }
    }
}

impl Records {
    /// No records. On the wire an empty field, which is not the null field.
    #[must_use]
    pub const fn empty() -> Records {
        Records { first: Bytes::new(), rest: Vec::new(), span: None }
    }

    /// The chunks in memory, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// The stretch of a file that comes after them.
    #[must_use]
    pub fn span(&self) -> Option<&FileSpan> {
        self.span.as_ref()
    }

    /// Bytes in all chunks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks().map(Bytes::len).sum::<usize>() + self.span.as_ref().map_or(0, |span| span.len)
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes in one piece; copies only when there are several chunks, reads only what lies in a file.
    ///
    /// # Errors
    /// What the disk says.
    pub fn into_bytes(self) -> io::Result<Bytes> {
        if self.rest.is_empty() && self.span.is_none() {
            return Ok(self.first);
        }
        let mut all = BytesMut::with_capacity(self.len());
        self.chunks().for_each(|chunk| all.extend_from_slice(chunk));
        if let Some(span) = &self.span {
            all.extend_from_slice(&span.read()?);
        }
        Ok(all.freeze())
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Records {
        Records { first: bytes, ..Records::default() }
    }
}

impl From<Vec<Bytes>> for Records {
    fn from(mut chunks: Vec<Bytes>) -> Records {
        if chunks.is_empty() {
            return Records::empty();
        }
        let first = chunks.remove(0);
        Records { first, rest: chunks, span: None }
    }
}

impl From<FileSpan> for Records {
    fn from(span: FileSpan) -> Records {
        Records { span: Some(span), ..Records::default() }
    }
}

/// Equal when the bytes in memory are, however they are cut, and the stretch of a file is the same.
impl PartialEq for Records {
    fn eq(&self, other: &Records) -> bool {
        self.len() == other.len()
            && self.span == other.span
            && self.chunks().flatten().eq(other.chunks().flatten())
    }
}

impl Eq for Records {}
