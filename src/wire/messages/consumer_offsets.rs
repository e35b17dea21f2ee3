//! Consumer offsets.
//!
//! Generated from `wire/schema/consumer_offsets.schema` by `generate.py`; do not edit.

use bytes::Bytes;

use crate::types::TopicId;
use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, StrBytes, Tags};

/// `OffsetCommitKey`, record type 1, version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetCommitKey {
    /// `Group`.
    pub group: StrBytes,
    /// `Topic`.
    pub topic: StrBytes,
    /// `Partition`.
    pub partition: i32,
}

impl Codec for OffsetCommitKey {
    const MIN_BYTES: usize = 6;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(OffsetCommitKey { group: d.string(false)?, topic: d.string(false)?, partition: d.i32()? })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.group, false)?;
        e.string(&self.topic, false)?;
        e.i32(self.partition);
        Ok(())
    }
}

impl Message for OffsetCommitKey {
    const NAME: &'static str = "OffsetCommitKey";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetCommitKey {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        OffsetCommitKey { group: g.text(), topic: g.text(), partition: g.i32() }
    }
}

/// `OffsetCommitValue`, record type 1, versions 0 to 4, flexible from 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitValue {
    /// `Offset`.
    pub offset: i64,
    /// `LeaderEpoch`, from version 3; -1 when absent.
    pub leader_epoch: i32,
    /// `Metadata`.
    pub metadata: StrBytes,
    /// `CommitTimestamp`.
    pub commit_timestamp: i64,
    /// `ExpireTimestamp`, version 1; -1 when absent.
    pub expire_timestamp: i64,
    /// `TopicId`, from version 4; tag 0.
    pub topic_id: TopicId,
}

impl Default for OffsetCommitValue {
    fn default() -> Self {
        OffsetCommitValue {
            offset: 0,
            leader_epoch: -1,
            metadata: StrBytes::default(),
            commit_timestamp: 0,
            expire_timestamp: -1,
            topic_id: TopicId::ZERO,
        }
    }
}

impl Codec for OffsetCommitValue {
    const MIN_BYTES: usize = 17;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let mut it = OffsetCommitValue {
            offset: d.i64()?,
            leader_epoch: if version >= 3 { d.i32()? } else { -1 },
            metadata: d.string(flexible)?,
            commit_timestamp: d.i64()?,
            expire_timestamp: if version == 1 { d.i64()? } else { -1 },
            topic_id: TopicId::ZERO,
        };
        if flexible {
            d.tags(|d, tag| {
                match tag {
                    0 => it.topic_id = TopicId(d.uuid()?),
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.i64(self.offset);
        if version >= 3 {
            e.i32(self.leader_epoch);
        }
        e.string(&self.metadata, flexible)?;
        e.i64(self.commit_timestamp);
        if version == 1 {
            e.i64(self.expire_timestamp);
        }
        if flexible {
            let mut tags = Tags::new();
            if self.topic_id != TopicId::ZERO {
                tags.add(0, |e| {
                    e.uuid(self.topic_id.0);
                    Ok(())
                })?;
            }
            e.tags(tags);
        }
        Ok(())
    }
}

impl Message for OffsetCommitValue {
    const NAME: &'static str = "OffsetCommitValue";
    const VERSIONS: (i16, i16) = (0, 4);
}

#[cfg(test)]
impl crate::wire::samples::Sample for OffsetCommitValue {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        OffsetCommitValue {
            offset: g.i64(),
            leader_epoch: if version >= 3 { g.i32() } else { -1 },
            metadata: g.text(),
            commit_timestamp: g.i64(),
            expire_timestamp: if version == 1 { g.i64() } else { -1 },
            topic_id: if version >= 4 { TopicId(g.uuid()) } else { TopicId::ZERO },
        }
    }
}

/// `GroupMetadataKey`, record type 2, version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupMetadataKey {
    /// `Group`.
    pub group: StrBytes,
}

impl Codec for GroupMetadataKey {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        Ok(GroupMetadataKey { group: d.string(false)? })
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.group, false)?;
        Ok(())
    }
}

impl Message for GroupMetadataKey {
    const NAME: &'static str = "GroupMetadataKey";
    const VERSIONS: (i16, i16) = (0, 0);
}

#[cfg(test)]
impl crate::wire::samples::Sample for GroupMetadataKey {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        GroupMetadataKey { group: g.text() }
    }
}

/// `GroupMetadataValue`, record type 2, versions 0 to 4, flexible from 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadataValue {
    /// `ProtocolType`.
    pub protocol_type: StrBytes,
    /// `Generation`.
    pub generation: i32,
    /// `Protocol`.
    pub protocol: Option<StrBytes>,
    /// `Leader`.
    pub leader: Option<StrBytes>,
    /// `CurrentStateTimestamp`, from version 2; -1 when absent.
    pub current_state_timestamp: i64,
    /// `Members`.
    pub members: Vec<MemberMetadata>,
}

impl Default for GroupMetadataValue {
    fn default() -> Self {
        GroupMetadataValue {
            protocol_type: StrBytes::default(),
            generation: 0,
            protocol: None,
            leader: None,
            current_state_timestamp: -1,
            members: Vec::new(),
        }
    }
}

impl Codec for GroupMetadataValue {
    const MIN_BYTES: usize = 8;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = GroupMetadataValue {
            protocol_type: d.string(flexible)?,
            generation: d.i32()?,
            protocol: d.nullable_string(flexible)?,
            leader: d.nullable_string(flexible)?,
            current_state_timestamp: if version >= 2 { d.i64()? } else { -1 },
            members: d.array(flexible, MemberMetadata::MIN_BYTES, |d| MemberMetadata::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.string(&self.protocol_type, flexible)?;
        e.i32(self.generation);
        e.nullable_string(self.protocol.as_ref(), flexible)?;
        e.nullable_string(self.leader.as_ref(), flexible)?;
        if version >= 2 {
            e.i64(self.current_state_timestamp);
        }
        e.array(&self.members, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for GroupMetadataValue {
    const NAME: &'static str = "GroupMetadataValue";
    const VERSIONS: (i16, i16) = (0, 4);
}

#[cfg(test)]
impl crate::wire::samples::Sample for GroupMetadataValue {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        GroupMetadataValue {
            protocol_type: g.text(),
            generation: g.i32(),
            protocol: g.option(true, |g| g.text()),
            leader: g.option(true, |g| g.text()),
            current_state_timestamp: if version >= 2 { g.i64() } else { -1 },
            members: g.array(|g| MemberMetadata::sample(g, version)),
        }
    }
}

/// Part of `GroupMetadataValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMetadata {
    /// `MemberId`.
    pub member_id: StrBytes,
    /// `GroupInstanceId`, from version 3.
    pub group_instance_id: Option<StrBytes>,
    /// `ClientId`.
    pub client_id: StrBytes,
    /// `ClientHost`.
    pub client_host: StrBytes,
    /// `RebalanceTimeout`, from version 1; -1 when absent.
    pub rebalance_timeout: i32,
    /// `SessionTimeout`.
    pub session_timeout: i32,
    /// `Subscription`.
    pub subscription: Bytes,
    /// `Assignment`.
    pub assignment: Bytes,
}

impl Default for MemberMetadata {
    fn default() -> Self {
        MemberMetadata {
            member_id: StrBytes::default(),
            group_instance_id: None,
            client_id: StrBytes::default(),
            client_host: StrBytes::default(),
            rebalance_timeout: -1,
            session_timeout: 0,
            subscription: Bytes::new(),
            assignment: Bytes::new(),
        }
    }
}

impl Codec for MemberMetadata {
    const MIN_BYTES: usize = 9;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let it = MemberMetadata {
            member_id: d.string(flexible)?,
            group_instance_id: if version >= 3 { d.nullable_string(flexible)? } else { None },
            client_id: d.string(flexible)?,
            client_host: d.string(flexible)?,
            rebalance_timeout: if version >= 1 { d.i32()? } else { -1 },
            session_timeout: d.i32()?,
            subscription: d.bytes(flexible)?,
            assignment: d.bytes(flexible)?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        e.string(&self.member_id, flexible)?;
        if version >= 3 {
            e.nullable_string(self.group_instance_id.as_ref(), flexible)?;
        }
        e.string(&self.client_id, flexible)?;
        e.string(&self.client_host, flexible)?;
        if version >= 1 {
            e.i32(self.rebalance_timeout);
        }
        e.i32(self.session_timeout);
        e.bytes(&self.subscription, flexible)?;
        e.bytes(&self.assignment, flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for MemberMetadata {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        MemberMetadata {
            member_id: g.text(),
            group_instance_id: if version >= 3 { g.option(true, |g| g.text()) } else { None },
            client_id: g.text(),
            client_host: g.text(),
            rebalance_timeout: if version >= 1 { g.i32() } else { -1 },
            session_timeout: g.i32(),
            subscription: g.bytes(),
            assignment: g.bytes(),
        }
    }
}
