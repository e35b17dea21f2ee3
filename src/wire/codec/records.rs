//! The records field of Produce and Fetch: bytes that pass through.

use bytes::{Bytes, BytesMut};

/// Record batches as chunks in order. What is decoded is one slice of the frame; what is encoded may be many (segment
/// by segment, tier by tier) and goes out without being copied together.
#[derive(Clone, Debug, Default)]
pub struct Records {
    first: Bytes,
    rest: Vec<Bytes>,
}

impl Records {
    /// No records. On the wire an empty field, which is not the null field.
    #[must_use]
    pub const fn empty() -> Records {
        Records { first: Bytes::new(), rest: Vec::new() }
    }

    /// The chunks in order.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// Bytes in all chunks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks().map(Bytes::len).sum()
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks().all(Bytes::is_empty)
    }

    /// The bytes in one piece; copies only when there are several chunks.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() {
            return self.first;
        }
        let mut all = BytesMut::with_capacity(self.len());
        self.chunks().for_each(|chunk| all.extend_from_slice(chunk));
        all.freeze()
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Records {
        Records { first: bytes, rest: Vec::new() }
    }
}

impl From<Vec<Bytes>> for Records {
    fn from(mut chunks: Vec<Bytes>) -> Records {
        if chunks.is_empty() {
            return Records::empty();
        }
        let first = chunks.remove(0);
        Records { first, rest: chunks }
    }
}

/// Equal when the bytes are, however they are cut.
impl PartialEq for Records {
    fn eq(&self, other: &Records) -> bool {
        self.len() == other.len() && self.chunks().flatten().eq(other.chunks().flatten())
    }
}

impl Eq for Records {}
