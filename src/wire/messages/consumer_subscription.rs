//! `ConsumerProtocolSubscription`.
//!
//! Generated from `wire/schema/consumer_subscription.schema` by `generate.py`; do not edit.

use bytes::Bytes;

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, StrBytes};

/// `ConsumerProtocolSubscription`, versions 0 to 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerProtocolSubscription {
    /// `Topics`.
    pub topics: Vec<StrBytes>,
    /// `UserData`.
    pub user_data: Option<Bytes>,
    /// `OwnedPartitions`, from version 1.
    pub owned_partitions: Vec<TopicPartition>,
    /// `GenerationId`, from version 2; -1 when absent.
    pub generation_id: i32,
    /// `RackId`, from version 3.
    pub rack_id: Option<StrBytes>,
}

impl Default for ConsumerProtocolSubscription {
    fn default() -> Self {
        ConsumerProtocolSubscription {
            topics: Vec::new(),
            user_data: None,
            owned_partitions: Vec::new(),
            generation_id: -1,
            rack_id: None,
        }
    }
}

impl Codec for ConsumerProtocolSubscription {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        Ok(ConsumerProtocolSubscription {
            topics: d.array(false, 1, |d| d.string(false))?,
            user_data: d.nullable_bytes(false)?,
            owned_partitions: if version >= 1 {
                d.array(false, TopicPartition::MIN_BYTES, |d| TopicPartition::decode(d, version))?
            } else {
                Vec::new()
            },
            generation_id: if version >= 2 { d.i32()? } else { -1 },
            rack_id: if version >= 3 { d.nullable_string(false)? } else { None },
        })
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.array(&self.topics, false, |e, item| e.string(item, false))?;
        e.nullable_bytes(self.user_data.as_ref(), false)?;
        if version >= 1 {
            e.array(&self.owned_partitions, false, |e, item| item.encode(e, version))?;
        }
        if version >= 2 {
            e.i32(self.generation_id);
        }
        if version >= 3 {
            e.nullable_string(self.rack_id.as_ref(), false)?;
        }
        Ok(())
    }
}

impl Message for ConsumerProtocolSubscription {
    const NAME: &'static str = "ConsumerProtocolSubscription";
    const VERSIONS: (i16, i16) = (0, 3);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerProtocolSubscription {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ConsumerProtocolSubscription {
            topics: g.array(|g| g.text()),
            user_data: g.option(true, |g| g.bytes()),
            owned_partitions: if version >= 1 {
                g.array(|g| TopicPartition::sample(g, version))
            } else {
                Vec::new()
            },
            generation_id: if version >= 2 { g.i32() } else { -1 },
            rack_id: if version >= 3 { g.option(true, |g| g.text()) } else { None },
        }
    }
}

/// Part of `ConsumerProtocolSubscription`, from version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPartition {
    /// `Topic`.
    pub topic: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<i32>,
}

impl Codec for TopicPartition {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(TopicPartition { topic: d.string(false)?, partitions: d.array(false, 4, |d| d.i32())? })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.topic, false)?;
        e.array(&self.partitions, false, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TopicPartition {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        TopicPartition { topic: g.text(), partitions: g.array(|g| g.i32()) }
    }
}
