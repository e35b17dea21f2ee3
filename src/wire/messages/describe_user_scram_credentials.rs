//! `DescribeUserScramCredentialsRequest` and `DescribeUserScramCredentialsResponse`.
//!
//! Generated from `wire/schema/describe_user_scram_credentials.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DescribeUserScramCredentialsRequest`, API key 50, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeUserScramCredentialsRequest {
    /// `Users`.
    pub users: Option<Vec<UserName>>,
}

impl Codec for DescribeUserScramCredentialsRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeUserScramCredentialsRequest {
            users: d.nullable_array(true, UserName::MIN_BYTES, |d| UserName::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.nullable_array(self.users.as_deref(), true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for DescribeUserScramCredentialsRequest {
    const NAME: &'static str = "DescribeUserScramCredentialsRequest";
    const VERSIONS: (i16, i16) = (0, 0);
}

impl Request for DescribeUserScramCredentialsRequest {
    const KEY: ApiKey = ApiKey::DescribeUserScramCredentials;
    type Response = DescribeUserScramCredentialsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeUserScramCredentialsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeUserScramCredentialsRequest {
            users: g.option(true, |g| g.array(|g| UserName::sample(g, version))),
        }
    }
}

/// Part of `DescribeUserScramCredentialsRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserName {
    /// `Name`.
    pub name: StrBytes,
}

impl Codec for UserName {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = UserName { name: d.string(true)? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.name, true)?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for UserName {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        UserName { name: g.text() }
    }
}

/// `DescribeUserScramCredentialsResponse`, API key 50, version 0, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeUserScramCredentialsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `Results`.
    pub results: Vec<DescribeUserScramCredentialsResult>,
}

impl Codec for DescribeUserScramCredentialsResponse {
    const MIN_BYTES: usize = 8;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeUserScramCredentialsResponse {
            throttle_time_ms: d.i32()?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
            results: d.array(true, DescribeUserScramCredentialsResult::MIN_BYTES, |d| {
                DescribeUserScramCredentialsResult::decode(d, version)
            })?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        e.array(&self.results, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for DescribeUserScramCredentialsResponse {
    const NAME: &'static str = "DescribeUserScramCredentialsResponse";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeUserScramCredentialsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeUserScramCredentialsResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            results: g.array(|g| DescribeUserScramCredentialsResult::sample(g, version)),
        }
    }
}

/// Part of `DescribeUserScramCredentialsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeUserScramCredentialsResult {
    /// `User`.
    pub user: StrBytes,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `CredentialInfos`.
    pub credential_infos: Vec<CredentialInfo>,
}

impl Codec for DescribeUserScramCredentialsResult {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeUserScramCredentialsResult {
            user: d.string(true)?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
            credential_infos: d
                .array(true, CredentialInfo::MIN_BYTES, |d| CredentialInfo::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.user, true)?;
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        e.array(&self.credential_infos, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeUserScramCredentialsResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeUserScramCredentialsResult {
            user: g.text(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            credential_infos: g.array(|g| CredentialInfo::sample(g, version)),
        }
    }
}

/// Part of `DescribeUserScramCredentialsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialInfo {
    /// `Mechanism`.
    pub mechanism: i8,
    /// `Iterations`.
    pub iterations: i32,
}

impl Codec for CredentialInfo {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = CredentialInfo { mechanism: d.i8()?, iterations: d.i32()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i8(self.mechanism);
        e.i32(self.iterations);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for CredentialInfo {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        CredentialInfo { mechanism: g.i8(), iterations: g.i32() }
    }
}
