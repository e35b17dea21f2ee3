//! How Kafka's primitive types stand on the wire, in both directions.
//!
//! `Decoder` reads a frame that may be hostile: nothing is allocated before the bytes that would fill it are known to
//! be there and the request's budget has room. `Encoder` collects a frame as chunks, so that record bytes are never copied.

mod decoder;
mod encoder;
mod float64;
mod records;
mod text;

pub use decoder::{DecodeError, Decoder};
pub use encoder::{EncodeError, Encoder, Tags};
pub use float64::Float64;
pub use records::{Chunk, Records};
pub use text::StrBytes;

/// A struct of the protocol, at any depth of a message.
pub trait Codec: Sized {
    /// The fewest bytes that one takes on the wire, over all versions; at least 1.
    const MIN_BYTES: usize;

    /// Reads one, as `version` of its message writes it.
    ///
    /// # Errors
    /// `DecodeError` when the bytes are not such a struct or the budget is spent.
    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError>;

    /// Appends it, as `version` of its message writes it.
    ///
    /// # Errors
    /// `EncodeError` when a value cannot be said in that version.
    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError>;
}

/// A whole request, response, header or record value.
pub trait Message: Codec {
    /// Its name in Kafka's protocol.
    const NAME: &'static str;
    /// The lowest and the highest version that we speak.
    const VERSIONS: (i16, i16);

    /// Reads a message that must fill `body` to its last byte.
    ///
    /// # Errors
    /// `DecodeError` when the version is not spoken, the bytes are no such message, or bytes are left over.
    fn from_bytes(body: bytes::Bytes, version: i16, limits: &super::Limits) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(body, limits);
        let message = Self::read(&mut decoder, version)?;
        decoder.finish()?;
        Ok(message)
    }

    /// Reads a message and leaves what follows it.
    ///
    /// # Errors
    /// `DecodeError` when the version is not spoken or the bytes are no such message.
    fn read(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        if version < Self::VERSIONS.0 || version > Self::VERSIONS.1 {
            return Err(DecodeError::Version { message: Self::NAME, version });
        }
        Self::decode(d, version)
    }

    /// The message's bytes in one piece, for records and tests.
    ///
    /// # Errors
    /// `EncodeError` when the version is not spoken or a value cannot be said in it.
    fn to_bytes(&self, version: i16) -> Result<bytes::Bytes, EncodeError> {
        let mut encoder = Encoder::new();
        self.write(&mut encoder, version)?;
        encoder.into_bytes()
    }

    /// Appends the message.
    ///
    /// # Errors
    /// `EncodeError` when the version is not spoken or a value cannot be said in it.
    fn write(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        if version < Self::VERSIONS.0 || version > Self::VERSIONS.1 {
            return Err(EncodeError::Version { message: Self::NAME, version });
        }
        self.encode(e, version)
    }
}

/// A request and the response that answers it.
pub trait Request: Message {
    /// Its API.
    const KEY: super::ApiKey;
    /// What comes back.
    type Response: Message;
}
