//! `AlterClientQuotasRequest` and `AlterClientQuotasResponse`.
//!
//! Generated from `wire/schema/alter_client_quotas.schema` by `generate.py`; do not edit.

use crate::wire::codec::{
    Codec, DecodeError, Decoder, EncodeError, Encoder, Float64, Message, Request, StrBytes,
};
use crate::wire::{ApiKey, ErrorCode};

/// `AlterClientQuotasRequest`, API key 49, versions 0 to 1, flexible from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterClientQuotasRequest {
    /// `Entries`.
    pub entries: Vec<EntryData>,
    /// `ValidateOnly`.
    pub validate_only: bool,
}

impl Codec for AlterClientQuotasRequest {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let it = AlterClientQuotasRequest {
            entries: d.array(flexible, EntryData::MIN_BYTES, |d| EntryData::decode(d, version))?,
            validate_only: d.bool()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.array(&self.entries, flexible, |e, item| item.encode(e, version))?;
        e.bool(self.validate_only);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for AlterClientQuotasRequest {
    const NAME: &'static str = "AlterClientQuotasRequest";
    const VERSIONS: (i16, i16) = (0, 1);
}

impl Request for AlterClientQuotasRequest {
    const KEY: ApiKey = ApiKey::AlterClientQuotas;
    type Response = AlterClientQuotasResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for AlterClientQuotasRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AlterClientQuotasRequest {
            entries: g.array(|g| EntryData::sample(g, version)),
            validate_only: g.bool(),
        }
    }
}

/// Part of `AlterClientQuotasRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryData {
    /// `Entity`.
    pub entity: Vec<EntityData>,
    /// `Ops`.
    pub ops: Vec<OpData>,
}

impl Codec for EntryData {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let it = EntryData {
            entity: d.array(flexible, EntityData::MIN_BYTES, |d| EntityData::decode(d, version))?,
            ops: d.array(flexible, OpData::MIN_BYTES, |d| OpData::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.array(&self.entity, flexible, |e, item| item.encode(e, version))?;
        e.array(&self.ops, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for EntryData {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        EntryData {
            entity: g.array(|g| EntityData::sample(g, version)),
            ops: g.array(|g| OpData::sample(g, version)),
        }
    }
}

/// Part of `AlterClientQuotasRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityData {
    /// `EntityType`.
    pub entity_type: StrBytes,
    /// `EntityName`.
    pub entity_name: Option<StrBytes>,
}

impl Codec for EntityData {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let it = EntityData { entity_type: d.string(flexible)?, entity_name: d.nullable_string(flexible)? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.string(&self.entity_type, flexible)?;
        e.nullable_string(self.entity_name.as_ref(), flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for EntityData {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        EntityData { entity_type: g.text(), entity_name: g.option(true, |g| g.text()) }
    }
}

/// Part of `AlterClientQuotasRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpData {
    /// `Key`.
    pub key: StrBytes,
    /// `Value`.
    pub value: Float64,
    /// `Remove`.
    pub remove: bool,
}

impl Codec for OpData {
    const MIN_BYTES: usize = 10;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let it = OpData { key: d.string(flexible)?, value: d.float64()?, remove: d.bool()? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.string(&self.key, flexible)?;
        e.float64(self.value);
        e.bool(self.remove);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for OpData {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        OpData { key: g.text(), value: g.float64(), remove: g.bool() }
    }
}

/// `AlterClientQuotasResponse`, API key 49, versions 0 to 1, flexible from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterClientQuotasResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Entries`.
    pub entries: Vec<EntryDataResult>,
}

impl Codec for AlterClientQuotasResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let it = AlterClientQuotasResponse {
            throttle_time_ms: d.i32()?,
            entries: d
                .array(flexible, EntryDataResult::MIN_BYTES, |d| EntryDataResult::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.i32(self.throttle_time_ms);
        e.array(&self.entries, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for AlterClientQuotasResponse {
    const NAME: &'static str = "AlterClientQuotasResponse";
    const VERSIONS: (i16, i16) = (0, 1);
}

#[cfg(test)]
impl crate::wire::samples::Sample for AlterClientQuotasResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        AlterClientQuotasResponse {
            throttle_time_ms: g.i32(),
            entries: g.array(|g| EntryDataResult::sample(g, version)),
        }
    }
}

/// Part of `AlterClientQuotasResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryDataResult {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `Entity`.
    pub entity: Vec<EntityData>,
}

impl Codec for EntryDataResult {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let it = EntryDataResult {
            error_code: d.error_code()?,
            error_message: d.nullable_string(flexible)?,
            entity: d.array(flexible, EntityData::MIN_BYTES, |d| EntityData::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), flexible)?;
        e.array(&self.entity, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for EntryDataResult {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        EntryDataResult {
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            entity: g.array(|g| EntityData::sample(g, version)),
        }
    }
}
