//! `SaslHandshakeRequest` and `SaslHandshakeResponse`.
//!
//! Generated from `wire/schema/sasl_handshake.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `SaslHandshakeRequest`, API key 17, versions 0 to 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslHandshakeRequest {
    /// `Mechanism`.
    pub mechanism: StrBytes,
}

impl Codec for SaslHandshakeRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(SaslHandshakeRequest { mechanism: d.string(false)? })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.mechanism, false)?;
        Ok(())
    }
}

impl Message for SaslHandshakeRequest {
    const NAME: &'static str = "SaslHandshakeRequest";
    const VERSIONS: (i16, i16) = (0, 1);
}

impl Request for SaslHandshakeRequest {
    const KEY: ApiKey = ApiKey::SaslHandshake;
    type Response = SaslHandshakeResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for SaslHandshakeRequest {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        SaslHandshakeRequest { mechanism: g.text() }
    }
}

/// `SaslHandshakeResponse`, API key 17, versions 0 to 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslHandshakeResponse {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `Mechanisms`.
    pub mechanisms: Vec<StrBytes>,
}

impl Codec for SaslHandshakeResponse {
    const MIN_BYTES: usize = 3;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(SaslHandshakeResponse {
            error_code: d.error_code()?,
            mechanisms: d.array(false, 1, |d| d.string(false))?,
        })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.error_code(self.error_code);
        e.array(&self.mechanisms, false, |e, item| e.string(item, false))?;
        Ok(())
    }
}

impl Message for SaslHandshakeResponse {
    const NAME: &'static str = "SaslHandshakeResponse";
    const VERSIONS: (i16, i16) = (0, 1);
}

#[cfg(test)]
impl crate::wire::samples::Sample for SaslHandshakeResponse {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        SaslHandshakeResponse { error_code: ErrorCode(g.i16()), mechanisms: g.array(|g| g.text()) }
    }
}
