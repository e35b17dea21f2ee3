//! Record batches of magic 2 (KIP-98): the unit that clients send, the log stores and fetches return.
//!
//! ```text
//! base offset 8 · batch length 4 · leader epoch 4 · magic 1 · CRC-32C 4 | attributes 2 · last offset delta 4 ·
//! base timestamp 8 · max timestamp 8 · producer id 8 · producer epoch 2 · base sequence 4 · count 4 · records …
//! ```
//!
//! The CRC covers all that follows it. Base offset and leader epoch lie before it: the leader patches both without
//! touching the body. Nothing here copies records, except to decompress them, and that within a bound.

mod builder;
mod compression;
mod header;
mod records;
mod retain;
mod walk;

pub use builder::{BatchBuilder, RecordHeader, end_transaction_marker};
pub use compression::{Compression, compress, compress_at, decompress};
pub use header::{Attributes, Batch, BatchHeader, BatchIter, HEADER_BYTES, NO_TIMESTAMP, TimestampType};
pub use records::{ControlKind, Record, RecordIter};
pub use retain::{Retained, without_empty};
pub use walk::Walked;

/// Why bytes are no record batch, or not one that may be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("the batch needs {needed} bytes, there are {have}")]
    Truncated {
        /// Bytes from the batch's start to its end, as far as is known.
        needed: usize,
        /// Bytes there are.
        have: usize,
    },
    /// The length field cannot be a batch's.
    #[error("batch length {0} is impossible")]
    Length(i32),
    /// Not magic 2.
    #[error("magic {0} is not served, only 2")]
    Magic(i8),
    /// The checksum does not match the bytes.
    #[error("CRC-32C is {computed:08x}, the batch says {stored:08x}")]
    Crc {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// A header field that contradicts another one.
    #[error("bad batch header: {0}")]
    Header(&'static str),
    /// A record that does not parse.
    #[error("bad record {index} of the batch: {reason}")]
    Record {
        /// The record's place in the batch, from 0.
        index: i32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A compression type that does not exist.
    #[error("compression type {0} does not exist")]
    Codec(i16),
    /// The compressed bytes do not decompress.
    #[error("{codec} data does not decompress: {reason}")]
    Decompress {
        /// The codec's name.
        codec: &'static str,
        /// The codec's own words.
        reason: String,
    },
    /// Decompression stopped at the bound.
    #[error("the records decompress to more than {limit_bytes} bytes")]
    Bomb {
        /// The bound.
        limit_bytes: usize,
    },
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
