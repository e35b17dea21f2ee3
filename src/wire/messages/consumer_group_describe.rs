//! `ConsumerGroupDescribeRequest` and `ConsumerGroupDescribeResponse`.
//!
//! Generated from `wire/schema/consumer_group_describe.schema` by `generate.py`; do not edit.

use crate::types::TopicId;
use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `ConsumerGroupDescribeRequest`, API key 69, versions 0 to 1, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupDescribeRequest {
    /// `GroupIds`.
    pub group_ids: Vec<StrBytes>,
    /// `IncludeAuthorizedOperations`.
    pub include_authorized_operations: bool,
}

impl Codec for ConsumerGroupDescribeRequest {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = ConsumerGroupDescribeRequest {
            group_ids: d.array(true, 1, |d| d.string(true))?,
            include_authorized_operations: d.bool()?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.array(&self.group_ids, true, |e, item| e.string(item, true))?;
        e.bool(self.include_authorized_operations);
        e.no_tags();
        Ok(())
    }
}

impl Message for ConsumerGroupDescribeRequest {
    const NAME: &'static str = "ConsumerGroupDescribeRequest";
    const VERSIONS: (i16, i16) = (0, 1);
}

impl Request for ConsumerGroupDescribeRequest {
    const KEY: ApiKey = ApiKey::ConsumerGroupDescribe;
    type Response = ConsumerGroupDescribeResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupDescribeRequest {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ConsumerGroupDescribeRequest {
            group_ids: g.array(|g| g.text()),
            include_authorized_operations: g.bool(),
        }
    }
}

/// `ConsumerGroupDescribeResponse`, API key 69, versions 0 to 1, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroupDescribeResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `Groups`.
    pub groups: Vec<DescribedGroup>,
}

impl Codec for ConsumerGroupDescribeResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ConsumerGroupDescribeResponse {
            throttle_time_ms: d.i32()?,
            groups: d.array(true, DescribedGroup::MIN_BYTES, |d| DescribedGroup::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.array(&self.groups, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for ConsumerGroupDescribeResponse {
    const NAME: &'static str = "ConsumerGroupDescribeResponse";
    const VERSIONS: (i16, i16) = (0, 1);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ConsumerGroupDescribeResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ConsumerGroupDescribeResponse {
            throttle_time_ms: g.i32(),
            groups: g.array(|g| DescribedGroup::sample(g, version)),
        }
    }
}

/// Part of `ConsumerGroupDescribeResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `GroupId`.
    pub group_id: StrBytes,
    /// `GroupState`.
    pub group_state: StrBytes,
    /// `GroupEpoch`.
    pub group_epoch: i32,
    /// `AssignmentEpoch`.
    pub assignment_epoch: i32,
    /// `AssignorName`.
    pub assignor_name: StrBytes,
    /// `Members`.
    pub members: Vec<Member>,
    /// `AuthorizedOperations`; i32::MIN when absent.
    pub authorized_operations: i32,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        DescribedGroup {
            error_code: ErrorCode::NONE,
            error_message: None,
            group_id: StrBytes::default(),
            group_state: StrBytes::default(),
            group_epoch: 0,
            assignment_epoch: 0,
            assignor_name: StrBytes::default(),
            members: Vec::new(),
            authorized_operations: i32::MIN,
        }
    }
}

impl Codec for DescribedGroup {
    const MIN_BYTES: usize = 19;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribedGroup {
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
            group_id: d.string(true)?,
            group_state: d.string(true)?,
            group_epoch: d.i32()?,
            assignment_epoch: d.i32()?,
            assignor_name: d.string(true)?,
            members: d.array(true, Member::MIN_BYTES, |d| Member::decode(d, version))?,
            authorized_operations: d.i32()?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        e.string(&self.group_id, true)?;
        e.string(&self.group_state, true)?;
        e.i32(self.group_epoch);
        e.i32(self.assignment_epoch);
        e.string(&self.assignor_name, true)?;
        e.array(&self.members, true, |e, item| item.encode(e, version))?;
        e.i32(self.authorized_operations);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribedGroup {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribedGroup {
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            group_id: g.text(),
            group_state: g.text(),
            group_epoch: g.i32(),
            assignment_epoch: g.i32(),
            assignor_name: g.text(),
            members: g.array(|g| Member::sample(g, version)),
            authorized_operations: g.i32(),
        }
    }
}

/// Part of `ConsumerGroupDescribeResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `MemberId`.
    pub member_id: StrBytes,
    /// `InstanceId`.
    pub instance_id: Option<StrBytes>,
    /// `RackId`.
    pub rack_id: Option<StrBytes>,
    /// `MemberEpoch`.
    pub member_epoch: i32,
    /// `ClientId`.
    pub client_id: StrBytes,
    /// `ClientHost`.
    pub client_host: StrBytes,
    /// `SubscribedTopicNames`.
    pub subscribed_topic_names: Vec<StrBytes>,
    /// `SubscribedTopicRegex`.
    pub subscribed_topic_regex: Option<StrBytes>,
    /// `Assignment`.
    pub assignment: Assignment,
    /// `TargetAssignment`.
    pub target_assignment: Assignment,
    /// `MemberType`, from version 1; -1 when absent.
    pub member_type: i8,
}

impl Default for Member {
    fn default() -> Self {
        Member {
            member_id: StrBytes::default(),
            instance_id: None,
            rack_id: None,
            member_epoch: 0,
            client_id: StrBytes::default(),
            client_host: StrBytes::default(),
            subscribed_topic_names: Vec::new(),
            subscribed_topic_regex: None,
            assignment: Assignment::default(),
            target_assignment: Assignment::default(),
            member_type: -1,
        }
    }
}

impl Codec for Member {
    const MIN_BYTES: usize = 13;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = Member {
            member_id: d.string(true)?,
            instance_id: d.nullable_string(true)?,
            rack_id: d.nullable_string(true)?,
            member_epoch: d.i32()?,
            client_id: d.string(true)?,
            client_host: d.string(true)?,
            subscribed_topic_names: d.array(true, 1, |d| d.string(true))?,
            subscribed_topic_regex: d.nullable_string(true)?,
            assignment: Assignment::decode(d, version)?,
            target_assignment: Assignment::decode(d, version)?,
            member_type: if version >= 1 { d.i8()? } else { -1 },
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.string(&self.member_id, true)?;
        e.nullable_string(self.instance_id.as_ref(), true)?;
        e.nullable_string(self.rack_id.as_ref(), true)?;
        e.i32(self.member_epoch);
        e.string(&self.client_id, true)?;
        e.string(&self.client_host, true)?;
        e.array(&self.subscribed_topic_names, true, |e, item| e.string(item, true))?;
        e.nullable_string(self.subscribed_topic_regex.as_ref(), true)?;
        self.assignment.encode(e, version)?;
        self.target_assignment.encode(e, version)?;
        if version >= 1 {
            e.i8(self.member_type);
        }
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for Member {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        Member {
            member_id: g.text(),
            instance_id: g.option(true, |g| g.text()),
            rack_id: g.option(true, |g| g.text()),
            member_epoch: g.i32(),
            client_id: g.text(),
            client_host: g.text(),
            subscribed_topic_names: g.array(|g| g.text()),
            subscribed_topic_regex: g.option(true, |g| g.text()),
            assignment: Assignment::sample(g, version),
            target_assignment: Assignment::sample(g, version),
            member_type: if version >= 1 { g.i8() } else { -1 },
        }
    }
}

/// Part of `ConsumerGroupDescribeResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// `TopicPartitions`.
    pub topic_partitions: Vec<TopicPartitions>,
}

impl Codec for Assignment {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = Assignment {
            topic_partitions: d
                .array(true, TopicPartitions::MIN_BYTES, |d| TopicPartitions::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.array(&self.topic_partitions, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for Assignment {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        Assignment { topic_partitions: g.array(|g| TopicPartitions::sample(g, version)) }
    }
}

/// Part of `ConsumerGroupDescribeResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPartitions {
    /// `TopicId`.
    pub topic_id: TopicId,
    /// `TopicName`.
    pub topic_name: StrBytes,
    /// `Partitions`.
    pub partitions: Vec<i32>,
}

impl Codec for TopicPartitions {
    const MIN_BYTES: usize = 18;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = TopicPartitions {
            topic_id: TopicId(d.uuid()?),
            topic_name: d.string(true)?,
            partitions: d.array(true, 4, |d| d.i32())?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.uuid(self.topic_id.0);
        e.string(&self.topic_name, true)?;
        e.array(&self.partitions, true, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TopicPartitions {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        TopicPartitions {
            topic_id: TopicId(g.uuid()),
            topic_name: g.text(),
            partitions: g.array(|g| g.i32()),
        }
    }
}
