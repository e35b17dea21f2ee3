//! `AlterUserScramCredentialsRequest` and `AlterUserScramCredentialsResponse`.
//!
//! Generated from `wire/schema/alter_user_scram_credentials.schema` by `generate.py`; do not edit.

use bytes::Bytes;

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `AlterUserScramCredentialsRequest`, API key 51, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterUserScramCredentialsRequest {
    /// `Deletions`.
    pub deletions: Vec<ScramCredentialDeletion>,
    /// `Upsertions`.
    pub upsertions: Vec<ScramCredentialUpsertion>,
}

impl Codec for AlterUserScramCredentialsRequest {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = AlterUserScramCredentialsRequest {
            deletions: d.array(true, ScramCredentialDeletion::MIN_BYTES, |d| {
                ScramCredentialDeletion::decode(d, version)
            })?,
            upsertions: d.array(true, ScramCredentialUpsertion::MIN_BYTES, |d| {
                ScramCredentialUpsertion::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.array(&self.deletions, true, |e, item| item.encode(e, version))?;
        e.array(&self.upsertions, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for AlterUserScramCredentialsRequest {
    const NAME: &'static str = "AlterUserScramCredentialsRequest";
    const VERSIONS: (i16, i16) = (0, 0);
}

impl Request for AlterUserScramCredentialsRequest {
    const KEY: ApiKey = ApiKey::AlterUserScramCredentials;
    type Response = AlterUserScramCredentialsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for AlterUserScramCredentialsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AlterUserScramCredentialsRequest {
            deletions: g.array(|g| ScramCredentialDeletion::sample(g, version)),
            upsertions: g.array(|g| ScramCredentialUpsertion::sample(g, version)),
        }
    }
}

/// Part of `AlterUserScramCredentialsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScramCredentialDeletion {
    /// `Name`.
    pub name: StrBytes,
    /// `Mechanism`.
    pub mechanism: i8,
}

impl Codec for ScramCredentialDeletion {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = ScramCredentialDeletion { name: d.string(true)?, mechanism: d.i8()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.i8(self.mechanism);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ScramCredentialDeletion {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ScramCredentialDeletion { name: g.text(), mechanism: g.i8() }
    }
}

/// Part of `AlterUserScramCredentialsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScramCredentialUpsertion {
    /// `Name`.
    pub name: StrBytes,
    /// `Mechanism`.
    pub mechanism: i8,
    /// `Iterations`.
    pub iterations: i32,
    /// `Salt`.
    pub salt: Bytes,
    /// `SaltedPassword`.
    pub salted_password: Bytes,
}

impl Codec for ScramCredentialUpsertion {
    const MIN_BYTES: usize = 8;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = ScramCredentialUpsertion {
            name: d.string(true)?,
            mechanism: d.i8()?,
            iterations: d.i32()?,
            salt: d.bytes(true)?,
            salted_password: d.bytes(true)?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.i8(self.mechanism);
        e.i32(self.iterations);
        e.bytes(&self.salt, true)?;
        e.bytes(&self.salted_password, true)?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ScramCredentialUpsertion {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ScramCredentialUpsertion {
            name: g.text(),
            mechanism: g.i8(),
            iterations: g.i32(),
            salt: g.bytes(),
            salted_password: g.bytes(),
        }
    }
}

/// `AlterUserScramCredentialsResponse`, API key 51, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterUserScramCredentialsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Results`.
    pub results: Vec<AlterUserScramCredentialsResult>,
}

impl Codec for AlterUserScramCredentialsResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = AlterUserScramCredentialsResponse {
            throttle_time_ms: d.i32()?,
            results: d.array(true, AlterUserScramCredentialsResult::MIN_BYTES, |d| {
                AlterUserScramCredentialsResult::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.array(&self.results, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for AlterUserScramCredentialsResponse {
    const NAME: &'static str = "AlterUserScramCredentialsResponse";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for AlterUserScramCredentialsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AlterUserScramCredentialsResponse {
            throttle_time_ms: g.i32(),
            results: g.array(|g| AlterUserScramCredentialsResult::sample(g, version)),
        }
    }
}

/// Part of `AlterUserScramCredentialsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterUserScramCredentialsResult {
    /// `User`.
    pub user: StrBytes,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
}

impl Codec for AlterUserScramCredentialsResult {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = AlterUserScramCredentialsResult {
            user: d.string(true)?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.user, true)?;
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for AlterUserScramCredentialsResult {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        AlterUserScramCredentialsResult {
            user: g.text(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
        }
    }
}
