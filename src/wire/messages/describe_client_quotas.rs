//! `DescribeClientQuotasRequest` and `DescribeClientQuotasResponse`.
//!
//! Generated from `wire/schema/describe_client_quotas.schema` by `generate.py`; do not edit.

use crate::wire::codec::{
    Codec, DecodeError, Decoder, EncodeError, Encoder, Float64, Message, Request, StrBytes,
};
use crate::wire::{ApiKey, ErrorCode};

/// `DescribeClientQuotasRequest`, API key 48, versions 0 to 1, flexible from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeClientQuotasRequest {
    /// `Components`.
    pub components: Vec<ComponentData>,
    /// `Strict`.
    pub strict: bool,
}

impl Codec for DescribeClientQuotasRequest {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let it = DescribeClientQuotasRequest {
            components: d.array(flexible, ComponentData::MIN_BYTES, |d| ComponentData::decode(d, version))?,
            strict: d.bool()?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.array(&self.components, flexible, |e, item| item.encode(e, version))?;
        e.bool(self.strict);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DescribeClientQuotasRequest {
    const NAME: &'static str = "DescribeClientQuotasRequest";
    const VERSIONS: (i16, i16) = (0, 1);
}

impl Request for DescribeClientQuotasRequest {
    const KEY: ApiKey = ApiKey::DescribeClientQuotas;
    type Response = DescribeClientQuotasResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeClientQuotasRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeClientQuotasRequest {
            components: g.array(|g| ComponentData::sample(g, version)),
            strict: g.bool(),
        }
    }
}

/// Part of `DescribeClientQuotasRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComponentData {
    /// `EntityType`.
    pub entity_type: StrBytes,
    /// `MatchType`.
    pub match_type: i8,
    /// `Match`.
    pub match_: Option<StrBytes>,
}

impl Codec for ComponentData {
    const MIN_BYTES: usize = 3;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let it = ComponentData {
            entity_type: d.string(flexible)?,
            match_type: d.i8()?,
            match_: d.nullable_string(flexible)?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.string(&self.entity_type, flexible)?;
        e.i8(self.match_type);
        e.nullable_string(self.match_.as_ref(), flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ComponentData {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ComponentData { entity_type: g.text(), match_type: g.i8(), match_: g.option(true, |g| g.text()) }
    }
}

/// `DescribeClientQuotasResponse`, API key 48, versions 0 to 1, flexible from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeClientQuotasResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `Entries`.
    pub entries: Option<Vec<EntryData>>,
}

impl Codec for DescribeClientQuotasResponse {
    const MIN_BYTES: usize = 8;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let it = DescribeClientQuotasResponse {
            throttle_time_ms: d.i32()?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(flexible)?,
            entries: d.nullable_array(flexible, EntryData::MIN_BYTES, |d| EntryData::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), flexible)?;
        e.nullable_array(self.entries.as_deref(), flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for DescribeClientQuotasResponse {
    const NAME: &'static str = "DescribeClientQuotasResponse";
    const VERSIONS: (i16, i16) = (0, 1);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeClientQuotasResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeClientQuotasResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            entries: g.option(true, |g| g.array(|g| EntryData::sample(g, version))),
        }
    }
}

/// Part of `DescribeClientQuotasResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryData {
    /// `Entity`.
    pub entity: Vec<EntityData>,
    /// `Values`.
    pub values: Vec<ValueData>,
}

impl Codec for EntryData {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let it = EntryData {
            entity: d.array(flexible, EntityData::MIN_BYTES, |d| EntityData::decode(d, version))?,
            values: d.array(flexible, ValueData::MIN_BYTES, |d| ValueData::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.array(&self.entity, flexible, |e, item| item.encode(e, version))?;
        e.array(&self.values, flexible, |e, item| item.encode(e, version))?;
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
            values: g.array(|g| ValueData::sample(g, version)),
        }
    }
}

/// Part of `DescribeClientQuotasResponse`.
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

/// Part of `DescribeClientQuotasResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueData {
    /// `Key`.
    pub key: StrBytes,
    /// `Value`.
    pub value: Float64,
}

impl Codec for ValueData {
    const MIN_BYTES: usize = 9;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let it = ValueData { key: d.string(flexible)?, value: d.float64()? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        e.string(&self.key, flexible)?;
        e.float64(self.value);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ValueData {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ValueData { key: g.text(), value: g.float64() }
    }
}
