//! `SaslAuthenticateRequest` and `SaslAuthenticateResponse`.
//!
//! Generated from `wire/schema/sasl_authenticate.schema` by `generate.py`; do not edit.

use bytes::Bytes;

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `SaslAuthenticateRequest`, API key 36, versions 0 to 2, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslAuthenticateRequest {
    /// `AuthBytes`.
    pub auth_bytes: Bytes,
}

impl Codec for SaslAuthenticateRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = SaslAuthenticateRequest { auth_bytes: d.bytes(flexible)? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.bytes(&self.auth_bytes, flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for SaslAuthenticateRequest {
    const NAME: &'static str = "SaslAuthenticateRequest";
    const VERSIONS: (i16, i16) = (0, 2);
}

impl Request for SaslAuthenticateRequest {
    const KEY: ApiKey = ApiKey::SaslAuthenticate;
    type Response = SaslAuthenticateResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for SaslAuthenticateRequest {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        SaslAuthenticateRequest { auth_bytes: g.bytes() }
    }
}

/// `SaslAuthenticateResponse`, API key 36, versions 0 to 2, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslAuthenticateResponse {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `AuthBytes`.
    pub auth_bytes: Bytes,
    /// `SessionLifetimeMs`, from version 1.
    pub session_lifetime_ms: i64,
}

impl Codec for SaslAuthenticateResponse {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = SaslAuthenticateResponse {
            error_code: d.error_code()?,
            error_message: d.nullable_string(flexible)?,
            auth_bytes: d.bytes(flexible)?,
            session_lifetime_ms: if version >= 1 { d.i64()? } else { 0 },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), flexible)?;
        e.bytes(&self.auth_bytes, flexible)?;
        if version >= 1 {
            e.i64(self.session_lifetime_ms);
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for SaslAuthenticateResponse {
    const NAME: &'static str = "SaslAuthenticateResponse";
    const VERSIONS: (i16, i16) = (0, 2);
}

#[cfg(test)]
impl crate::wire::samples::Sample for SaslAuthenticateResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        SaslAuthenticateResponse {
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            auth_bytes: g.bytes(),
            session_lifetime_ms: if version >= 1 { g.i64() } else { 0 },
        }
    }
}
