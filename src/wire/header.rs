//! The headers before requests and responses, and whole frames made of them.

use bytes::Bytes;

use super::codec::{Chunk, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
pub use super::messages::header::{RequestHeader, ResponseHeader};
use super::{ApiKey, Limits};

/// The version of the header before a request (KIP-482): 2, with tagged fields, before flexible versions.
#[must_use]
pub fn request_header_version(key: ApiKey, version: i16) -> i16 {
    if key.is_flexible(version) { 2 } else { 1 }
}

/// The version of the header before a response. ApiVersions' is never flexible: a client that does not know yet what
/// the broker speaks must be able to read it (KIP-511).
#[must_use]
pub fn response_header_version(key: ApiKey, version: i16) -> i16 {
    i16::from(key != ApiKey::ApiVersions && key.is_flexible(version))
}

/// Reads the header of a request; the body stays in the decoder. Nothing is said about whether the key and the version are served.
///
/// # Errors
/// `DecodeError` when the bytes are no header.
pub fn read_request(d: &mut Decoder) -> Result<RequestHeader, DecodeError> {
    let (key, version) = d.peek_two_i16()?;
    let header_version = ApiKey::from_key(key).map_or(1, |key| request_header_version(key, version));
    RequestHeader::read(d, header_version)
}

/// Begins the frame of a response; the body follows, then `into_frame`.
///
/// # Errors
/// `EncodeError` never, but that the signature of the codec says so.
pub fn begin_response(key: ApiKey, version: i16, correlation_id: i32) -> Result<Encoder, EncodeError> {
    let mut e = Encoder::framed();
    ResponseHeader { correlation_id }.write(&mut e, response_header_version(key, version))?;
    Ok(e)
}

/// A client's side: the whole frame of a request, as chunks.
///
/// # Errors
/// `EncodeError` when a value cannot be said in that version.
pub fn request_frame<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Vec<Chunk>, EncodeError> {
    let mut e = Encoder::framed();
    let header = RequestHeader {
        request_api_key: R::KEY.key(),
        request_api_version: version,
        correlation_id,
        client_id: Some(StrBytes::from(client_id)),
    };
    header.write(&mut e, request_header_version(R::KEY, version))?;
    request.write(&mut e, version)?;
    e.into_frame()
}

/// A client's side: the correlation id and the body of a response (the frame without its length).
///
/// # Errors
/// `DecodeError` when the bytes are no response to such a request.
pub fn read_response<R: Request>(
    frame: Bytes,
    version: i16,
    limits: &Limits,
) -> Result<(i32, R::Response), DecodeError> {
    let mut d = Decoder::new(frame, limits);
    let header = ResponseHeader::read(&mut d, response_header_version(R::KEY, version))?;
    let response = R::Response::read(&mut d, version)?;
    d.finish()?;
    Ok((header.correlation_id, response))
}

impl ApiKey {
    /// Kafka's number.
    #[must_use]
    pub const fn key(self) -> i16 {
        self as i16
    }

    /// Whether we serve that version.
    #[must_use]
    pub fn serves(self, version: i16) -> bool {
        let (lowest, highest) = self.versions();
        (lowest..=highest).contains(&version)
    }

    /// Whether that version has compact lengths and tagged fields.
    #[must_use]
    pub fn is_flexible(self, version: i16) -> bool {
        self.flexible_from().is_some_and(|from| version >= from)
    }

    /// What ApiVersions says. Produce claims versions that nobody serves: some clients (librdkafka) take their absence
    /// for a broker that cannot do compression, as Kafka's own brokers know (KAFKA-18659).
    #[must_use]
    pub fn advertised_versions(self) -> (i16, i16) {
        let (lowest, highest) = self.versions();
        (if self == ApiKey::Produce { 0 } else { lowest }, highest)
    }
}
