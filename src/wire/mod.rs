//! Kafka's wire protocol: frames, headers, messages, error codes, record batches.
//!
//! `messages` is generated from the compact schema in `wire/schema`; every struct reads and writes in both
//! directions, so that the same code is the broker's and our own client's.

pub mod codec;
mod error_code;
#[cfg(any(test, feature = "sim"))]
pub mod every;
pub mod header;
#[cfg(test)]
mod kafka_tests;
mod limits;
pub mod messages;
pub mod record_batch;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use codec::{
    Chunk, Codec, DecodeError, Decoder, EncodeError, Encoder, Float64, Message, Records, Request, StrBytes,
};
pub use error_code::ErrorCode;
pub use limits::Limits;
pub use messages::ApiKey;
