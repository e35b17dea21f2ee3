//! `RequestHeader` and `ResponseHeader`.
//!
//! Generated from `wire/schema/header.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, StrBytes};

/// `RequestHeader`, versions 1 to 2, flexible from 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeader {
    /// `RequestApiKey`.
    pub request_api_key: i16,
    /// `RequestApiVersion`.
    pub request_api_version: i16,
    /// `CorrelationId`.
    pub correlation_id: i32,
    /// `ClientId`.
    pub client_id: Option<StrBytes>,
}

impl Codec for RequestHeader {
    const MIN_BYTES: usize = 9;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let it = RequestHeader {
            request_api_key: d.i16()?,
            request_api_version: d.i16()?,
            correlation_id: d.i32()?,
            client_id: d.nullable_string(false)?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        e.i16(self.request_api_key);
        e.i16(self.request_api_version);
        e.i32(self.correlation_id);
        e.nullable_string(self.client_id.as_ref(), false)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for RequestHeader {
    const NAME: &'static str = "RequestHeader";
    const VERSIONS: (i16, i16) = (1, 2);
}

#[cfg(test)]
impl crate::wire::samples::Sample for RequestHeader {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        RequestHeader {
            request_api_key: g.i16(),
            request_api_version: g.i16(),
            correlation_id: g.i32(),
            client_id: g.option(true, |g| g.text()),
        }
    }
}

/// `ResponseHeader`, versions 0 to 1, flexible from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeader {
    /// `CorrelationId`.
    pub correlation_id: i32,
}

impl Codec for ResponseHeader {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let it = ResponseHeader { correlation_id: d.i32()? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.i32(self.correlation_id);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for ResponseHeader {
    const NAME: &'static str = "ResponseHeader";
    const VERSIONS: (i16, i16) = (0, 1);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ResponseHeader {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ResponseHeader { correlation_id: g.i32() }
    }
}
