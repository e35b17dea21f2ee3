//! `MetadataRequest` and `MetadataResponse`.
//!
//! Generated from `wire/schema/metadata.schema` by `generate.py`; do not edit.

use crate::types::TopicId;
use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `MetadataRequest`, API key 3, versions 0 to 13, flexible from 9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataRequest {
    /// `Topics`; null from version 1.
    pub topics: Option<Vec<MetadataRequestTopic>>,
    /// `AllowAutoTopicCreation`, from version 4; true when absent.
    pub allow_auto_topic_creation: bool,
    /// `IncludeClusterAuthorizedOperations`, versions 8 to 10.
    pub include_cluster_authorized_operations: bool,
    /// `IncludeTopicAuthorizedOperations`, from version 8.
    pub include_topic_authorized_operations: bool,
}

impl Default for MetadataRequest {
    fn default() -> Self {
        MetadataRequest {
            topics: None,
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
        }
    }
}

impl Codec for MetadataRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let it = MetadataRequest {
            topics: if version >= 1 {
                d.nullable_array(flexible, MetadataRequestTopic::MIN_BYTES, |d| {
                    MetadataRequestTopic::decode(d, version)
                })?
            } else {
                Some(d.array(flexible, MetadataRequestTopic::MIN_BYTES, |d| {
                    MetadataRequestTopic::decode(d, version)
                })?)
            },
            allow_auto_topic_creation: if version >= 4 { d.bool()? } else { true },
            include_cluster_authorized_operations: if (8..=10).contains(&version) {
                d.bool()?
            } else {
                false
            },
            include_topic_authorized_operations: if version >= 8 { d.bool()? } else { false },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        if self.topics.is_none() && version <= 0 {
            return Err(EncodeError::Null { field: "MetadataRequest.Topics", version });
        }
        e.nullable_array(self.topics.as_deref(), flexible, |e, item| item.encode(e, version))?;
        if version >= 4 {
            e.bool(self.allow_auto_topic_creation);
        } else if !self.allow_auto_topic_creation {
            return Err(EncodeError::NotInVersion {
                field: "MetadataRequest.AllowAutoTopicCreation",
                version,
            });
        }
        if (8..=10).contains(&version) {
            e.bool(self.include_cluster_authorized_operations);
        } else if self.include_cluster_authorized_operations {
            return Err(EncodeError::NotInVersion {
                field: "MetadataRequest.IncludeClusterAuthorizedOperations",
                version,
            });
        }
        if version >= 8 {
            e.bool(self.include_topic_authorized_operations);
        } else if self.include_topic_authorized_operations {
            return Err(EncodeError::NotInVersion {
                field: "MetadataRequest.IncludeTopicAuthorizedOperations",
                version,
            });
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for MetadataRequest {
    const NAME: &'static str = "MetadataRequest";
    const VERSIONS: (i16, i16) = (0, 13);
}

impl Request for MetadataRequest {
    const KEY: ApiKey = ApiKey::Metadata;
    type Response = MetadataResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for MetadataRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        MetadataRequest {
            topics: g.option(version >= 1, |g| g.array(|g| MetadataRequestTopic::sample(g, version))),
            allow_auto_topic_creation: if version >= 4 { g.bool() } else { true },
            include_cluster_authorized_operations: if (8..=10).contains(&version) { g.bool() } else { false },
            include_topic_authorized_operations: if version >= 8 { g.bool() } else { false },
        }
    }
}

/// Part of `MetadataRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataRequestTopic {
    /// `TopicId`, from version 10.
    pub topic_id: TopicId,
    /// `Name`; null from version 10.
    pub name: Option<StrBytes>,
}

impl Codec for MetadataRequestTopic {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let it = MetadataRequestTopic {
            topic_id: if version >= 10 { TopicId(d.uuid()?) } else { TopicId::ZERO },
            name: if version >= 10 { d.nullable_string(flexible)? } else { Some(d.string(flexible)?) },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        if version >= 10 {
            e.uuid(self.topic_id.0);
        }
        if self.name.is_none() && version <= 9 {
            return Err(EncodeError::Null { field: "MetadataRequestTopic.Name", version });
        }
        e.nullable_string(self.name.as_ref(), flexible)?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for MetadataRequestTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        MetadataRequestTopic {
            topic_id: if version >= 10 { TopicId(g.uuid()) } else { TopicId::ZERO },
            name: g.option(version >= 10, |g| g.text()),
        }
    }
}

/// `MetadataResponse`, API key 3, versions 0 to 13, flexible from 9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataResponse {
    /// `ThrottleTimeMs`, from version 3.
    pub throttle_time_ms: i32,
    /// `Brokers`.
    pub brokers: Vec<MetadataResponseBroker>,
    /// `ClusterId`, from version 2.
    pub cluster_id: Option<StrBytes>,
    /// `ControllerId`, from version 1; -1 when absent.
    pub controller_id: i32,
    /// `Topics`.
    pub topics: Vec<MetadataResponseTopic>,
    /// `ClusterAuthorizedOperations`, versions 8 to 10; i32::MIN when absent.
    pub cluster_authorized_operations: i32,
    /// `ErrorCode`, from version 13.
    pub error_code: ErrorCode,
}

impl Default for MetadataResponse {
    fn default() -> Self {
        MetadataResponse {
            throttle_time_ms: 0,
            brokers: Vec::new(),
            cluster_id: None,
            controller_id: -1,
            topics: Vec::new(),
            cluster_authorized_operations: i32::MIN,
            error_code: ErrorCode::NONE,
        }
    }
}

impl Codec for MetadataResponse {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let it = MetadataResponse {
            throttle_time_ms: if version >= 3 { d.i32()? } else { 0 },
            brokers: d.array(flexible, MetadataResponseBroker::MIN_BYTES, |d| {
                MetadataResponseBroker::decode(d, version)
            })?,
            cluster_id: if version >= 2 { d.nullable_string(flexible)? } else { None },
            controller_id: if version >= 1 { d.i32()? } else { -1 },
            topics: d.array(flexible, MetadataResponseTopic::MIN_BYTES, |d| {
                MetadataResponseTopic::decode(d, version)
            })?,
            cluster_authorized_operations: if (8..=10).contains(&version) { d.i32()? } else { i32::MIN },
            error_code: if version >= 13 { d.error_code()? } else { ErrorCode::NONE },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        if version >= 3 {
            e.i32(self.throttle_time_ms);
        }
        e.array(&self.brokers, flexible, |e, item| item.encode(e, version))?;
        if version >= 2 {
            e.nullable_string(self.cluster_id.as_ref(), flexible)?;
        }
        if version >= 1 {
            e.i32(self.controller_id);
        }
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        if (8..=10).contains(&version) {
            e.i32(self.cluster_authorized_operations);
        }
        if version >= 13 {
            e.error_code(self.error_code);
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

impl Message for MetadataResponse {
    const NAME: &'static str = "MetadataResponse";
    const VERSIONS: (i16, i16) = (0, 13);
}

#[cfg(test)]
impl crate::wire::samples::Sample for MetadataResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        MetadataResponse {
            throttle_time_ms: if version >= 3 { g.i32() } else { 0 },
            brokers: g.array(|g| MetadataResponseBroker::sample(g, version)),
            cluster_id: if version >= 2 { g.option(true, |g| g.text()) } else { None },
            controller_id: if version >= 1 { g.i32() } else { -1 },
            topics: g.array(|g| MetadataResponseTopic::sample(g, version)),
            cluster_authorized_operations: if (8..=10).contains(&version) { g.i32() } else { i32::MIN },
            error_code: if version >= 13 { ErrorCode(g.i16()) } else { ErrorCode::NONE },
        }
    }
}

/// Part of `MetadataResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataResponseBroker {
    /// `NodeId`.
    pub node_id: i32,
    /// `Host`.
    pub host: StrBytes,
    /// `Port`.
    pub port: i32,
    /// `Rack`, from version 1.
    pub rack: Option<StrBytes>,
}

impl Codec for MetadataResponseBroker {
    const MIN_BYTES: usize = 9;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let it = MetadataResponseBroker {
            node_id: d.i32()?,
            host: d.string(flexible)?,
            port: d.i32()?,
            rack: if version >= 1 { d.nullable_string(flexible)? } else { None },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        e.i32(self.node_id);
        e.string(&self.host, flexible)?;
        e.i32(self.port);
        if version >= 1 {
            e.nullable_string(self.rack.as_ref(), flexible)?;
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for MetadataResponseBroker {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        MetadataResponseBroker {
            node_id: g.i32(),
            host: g.text(),
            port: g.i32(),
            rack: if version >= 1 { g.option(true, |g| g.text()) } else { None },
        }
    }
}

/// Part of `MetadataResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataResponseTopic {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `Name`; null from version 12.
    pub name: Option<StrBytes>,
    /// `TopicId`, from version 10.
    pub topic_id: TopicId,
    /// `IsInternal`, from version 1.
    pub is_internal: bool,
    /// `Partitions`.
    pub partitions: Vec<MetadataResponsePartition>,
    /// `TopicAuthorizedOperations`, from version 8; i32::MIN when absent.
    pub topic_authorized_operations: i32,
}

impl Default for MetadataResponseTopic {
    fn default() -> Self {
        MetadataResponseTopic {
            error_code: ErrorCode::NONE,
            name: None,
            topic_id: TopicId::ZERO,
            is_internal: false,
            partitions: Vec::new(),
            topic_authorized_operations: i32::MIN,
        }
    }
}

impl Codec for MetadataResponseTopic {
    const MIN_BYTES: usize = 4;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let it = MetadataResponseTopic {
            error_code: d.error_code()?,
            name: if version >= 12 { d.nullable_string(flexible)? } else { Some(d.string(flexible)?) },
            topic_id: if version >= 10 { TopicId(d.uuid()?) } else { TopicId::ZERO },
            is_internal: if version >= 1 { d.bool()? } else { false },
            partitions: d.array(flexible, MetadataResponsePartition::MIN_BYTES, |d| {
                MetadataResponsePartition::decode(d, version)
            })?,
            topic_authorized_operations: if version >= 8 { d.i32()? } else { i32::MIN },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        e.error_code(self.error_code);
        if self.name.is_none() && version <= 11 {
            return Err(EncodeError::Null { field: "MetadataResponseTopic.Name", version });
        }
        e.nullable_string(self.name.as_ref(), flexible)?;
        if version >= 10 {
            e.uuid(self.topic_id.0);
        }
        if version >= 1 {
            e.bool(self.is_internal);
        }
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if version >= 8 {
            e.i32(self.topic_authorized_operations);
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for MetadataResponseTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        MetadataResponseTopic {
            error_code: ErrorCode(g.i16()),
            name: g.option(version >= 12, |g| g.text()),
            topic_id: if version >= 10 { TopicId(g.uuid()) } else { TopicId::ZERO },
            is_internal: if version >= 1 { g.bool() } else { false },
            partitions: g.array(|g| MetadataResponsePartition::sample(g, version)),
            topic_authorized_operations: if version >= 8 { g.i32() } else { i32::MIN },
        }
    }
}

/// Part of `MetadataResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataResponsePartition {
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `LeaderId`.
    pub leader_id: i32,
    /// `LeaderEpoch`, from version 7; -1 when absent.
    pub leader_epoch: i32,
    /// `ReplicaNodes`.
    pub replica_nodes: Vec<i32>,
    /// `IsrNodes`.
    pub isr_nodes: Vec<i32>,
    /// `OfflineReplicas`, from version 5.
    pub offline_replicas: Vec<i32>,
}

impl Default for MetadataResponsePartition {
    fn default() -> Self {
        MetadataResponsePartition {
            error_code: ErrorCode::NONE,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            offline_replicas: Vec::new(),
        }
    }
}

impl Codec for MetadataResponsePartition {
    const MIN_BYTES: usize = 12;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let it = MetadataResponsePartition {
            error_code: d.error_code()?,
            partition_index: d.i32()?,
            leader_id: d.i32()?,
            leader_epoch: if version >= 7 { d.i32()? } else { -1 },
            replica_nodes: d.array(flexible, 4, |d| d.i32())?,
            isr_nodes: d.array(flexible, 4, |d| d.i32())?,
            offline_replicas: if version >= 5 { d.array(flexible, 4, |d| d.i32())? } else { Vec::new() },
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        e.error_code(self.error_code);
        e.i32(self.partition_index);
        e.i32(self.leader_id);
        if version >= 7 {
            e.i32(self.leader_epoch);
        }
        e.array(&self.replica_nodes, flexible, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        e.array(&self.isr_nodes, flexible, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        if version >= 5 {
            e.array(&self.offline_replicas, flexible, |e, item| {
                e.i32(*item);
                Ok(())
            })?;
        }
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for MetadataResponsePartition {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        MetadataResponsePartition {
            error_code: ErrorCode(g.i16()),
            partition_index: g.i32(),
            leader_id: g.i32(),
            leader_epoch: if version >= 7 { g.i32() } else { -1 },
            replica_nodes: g.array(|g| g.i32()),
            isr_nodes: g.array(|g| g.i32()),
            offline_replicas: if version >= 5 { g.array(|g| g.i32()) } else { Vec::new() },
        }
    }
}
