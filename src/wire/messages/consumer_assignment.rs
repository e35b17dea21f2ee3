//! `ConsumerProtocolAssignment`.
//!
//! Generated from `wire/schema/consumer_assignment.schema` by `generate.py`; do not edit.

use bytes::Bytes;

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, StrBytes};

/// `ConsumerProtocolAssignment`, versions 0 to 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerProtocolAssignment {
    /// `AssignedPartitions`.
    pub assigned_partitions: Vec<TopicPartition>,
    /// `UserData`.
    pub user_data: Option<Bytes>,
}

impl Codec for ConsumerProtocolAssignment {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        Ok(ConsumerProtocolAssignment {
            assigned_partitions: d
                .array(false, TopicPartition::MIN_BYTES, |d| TopicPartition::decode(d, version))?,
            user_data: d.nullable_bytes(false)?,
        })
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.array(&self.assigned_partitions, false, |e, item| item.encode(e, version))?;
        e.nullable_bytes(self.user_data.as_ref(), false)?;
        Ok(())
    }
}

impl Message for ConsumerProtocolAssignment {
    const NAME: &'static str = "ConsumerProtocolAssignment";
    const VERSIONS: (i16, i16) = (0, 3);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerProtocolAssignment {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ConsumerProtocolAssignment {
            assigned_partitions: g.array(|g| TopicPartition::sample(g, version)),
            user_data: g.option(true, |g| g.bytes()),
        }
    }
}

/// Part of `ConsumerProtocolAssignment`.
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
