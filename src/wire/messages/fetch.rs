//! `FetchRequest` and `FetchResponse`.
//!
//! Generated from `wire/schema/fetch.schema` by `generate.py`; do not edit.

use crate::types::{DirectoryId, TopicId};
use crate::wire::codec::{
    Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Records, Request, StrBytes, Tags,
};
use crate::wire::{ApiKey, ErrorCode};

/// `FetchRequest`, API key 1, versions 4 to 18, flexible from 12.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// `ClusterId`, from version 12; tag 0.
    pub cluster_id: Option<StrBytes>,
    /// `ReplicaId`, to version 14; -1 when absent.
    pub replica_id: i32,
    /// `ReplicaState`, from version 15; tag 1.
    pub replica_state: ReplicaState,
    /// `MaxWaitMs`.
    pub max_wait_ms: i32,
    /// `MinBytes`.
    pub min_bytes: i32,
    /// `MaxBytes`; i32::MAX when absent.
    pub max_bytes: i32,
    /// `IsolationLevel`.
    pub isolation_level: i8,
    /// `SessionId`, from version 7.
    pub session_id: i32,
    /// `SessionEpoch`, from version 7; -1 when absent.
    pub session_epoch: i32,
    /// `Topics`.
    pub topics: Vec<FetchTopic>,
    /// `ForgottenTopicsData`, from version 7.
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    /// `RackId`, from version 11.
    pub rack_id: StrBytes,
}

impl Default for FetchRequest {
    fn default() -> Self {
        FetchRequest {
            cluster_id: None,
            replica_id: -1,
            replica_state: ReplicaState::default(),
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: i32::MAX,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Vec::new(),
            forgotten_topics_data: Vec::new(),
            rack_id: StrBytes::default(),
        }
    }
}

impl Codec for FetchRequest {
    const MIN_BYTES: usize = 14;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let mut it = FetchRequest {
            cluster_id: None,
            replica_id: if version <= 14 { d.i32()? } else { -1 },
            replica_state: ReplicaState::default(),
            max_wait_ms: d.i32()?,
            min_bytes: d.i32()?,
            max_bytes: d.i32()?,
            isolation_level: d.i8()?,
            session_id: if version >= 7 { d.i32()? } else { 0 },
            session_epoch: if version >= 7 { d.i32()? } else { -1 },
            topics: d.array(flexible, FetchTopic::MIN_BYTES, |d| FetchTopic::decode(d, version))?,
            forgotten_topics_data: if version >= 7 {
                d.array(flexible, ForgottenTopic::MIN_BYTES, |d| ForgottenTopic::decode(d, version))?
            } else {
                Vec::new()
            },
            rack_id: if version >= 11 { d.string(flexible)? } else { StrBytes::default() },
        };
        if flexible {
            d.tags(|d, tag| {
                match tag {
                    0 => it.cluster_id = d.nullable_string(true)?,
                    1 if version >= 15 => it.replica_state = ReplicaState::decode(d, version)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        if version <= 14 {
            e.i32(self.replica_id);
        } else if self.replica_id != -1 {
            return Err(EncodeError::NotInVersion { field: "FetchRequest.ReplicaId", version });
        }
        e.i32(self.max_wait_ms);
        e.i32(self.min_bytes);
        e.i32(self.max_bytes);
        e.i8(self.isolation_level);
        if version >= 7 {
            e.i32(self.session_id);
        }
        if version >= 7 {
            e.i32(self.session_epoch);
        }
        e.array(&self.topics, flexible, |e, item| item.encode(e, version))?;
        if version >= 7 {
            e.array(&self.forgotten_topics_data, flexible, |e, item| item.encode(e, version))?;
        } else if !self.forgotten_topics_data.is_empty() {
            return Err(EncodeError::NotInVersion { field: "FetchRequest.ForgottenTopicsData", version });
        }
        if version >= 11 {
            e.string(&self.rack_id, flexible)?;
        }
        if version < 15 && self.replica_state != ReplicaState::default() {
            return Err(EncodeError::NotInVersion { field: "FetchRequest.ReplicaState", version });
        }
        if flexible {
            let mut tags = Tags::new();
            if self.cluster_id.is_some() {
                tags.add(0, |e| e.nullable_string(self.cluster_id.as_ref(), true))?;
            }
            if version >= 15 && self.replica_state != ReplicaState::default() {
                tags.add(1, |e| self.replica_state.encode(e, version))?;
            }
            e.tags(tags);
        }
        Ok(())
    }
}

impl Message for FetchRequest {
    const NAME: &'static str = "FetchRequest";
    const VERSIONS: (i16, i16) = (4, 18);
}

impl Request for FetchRequest {
    const KEY: ApiKey = ApiKey::Fetch;
    type Response = FetchResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for FetchRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        FetchRequest {
            cluster_id: if version >= 12 { g.option(true, |g| g.text()) } else { None },
            replica_id: if version <= 14 { g.i32() } else { -1 },
            replica_state: if version >= 15 {
                ReplicaState::sample(g, version)
            } else {
                ReplicaState::default()
            },
            max_wait_ms: g.i32(),
            min_bytes: g.i32(),
            max_bytes: g.i32(),
            isolation_level: g.i8(),
            session_id: if version >= 7 { g.i32() } else { 0 },
            session_epoch: if version >= 7 { g.i32() } else { -1 },
            topics: g.array(|g| FetchTopic::sample(g, version)),
            forgotten_topics_data: if version >= 7 {
                g.array(|g| ForgottenTopic::sample(g, version))
            } else {
                Vec::new()
            },
            rack_id: if version >= 11 { g.text() } else { StrBytes::default() },
        }
    }
}

/// Part of `FetchRequest`, from version 15.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaState {
    /// `ReplicaId`; -1 when absent.
    pub replica_id: i32,
    /// `ReplicaEpoch`; -1 when absent.
    pub replica_epoch: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        ReplicaState { replica_id: -1, replica_epoch: -1 }
    }
}

impl Codec for ReplicaState {
    const MIN_BYTES: usize = 12;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = ReplicaState { replica_id: d.i32()?, replica_epoch: d.i64()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.replica_id);
        e.i64(self.replica_epoch);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ReplicaState {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        ReplicaState { replica_id: g.i32(), replica_epoch: g.i64() }
    }
}

/// Part of `FetchRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchTopic {
    /// `Topic`, to version 12.
    pub topic: StrBytes,
    /// `TopicId`, from version 13.
    pub topic_id: TopicId,
    /// `Partitions`.
    pub partitions: Vec<FetchPartition>,
}

impl Codec for FetchTopic {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let it = FetchTopic {
            topic: if version <= 12 { d.string(flexible)? } else { StrBytes::default() },
            topic_id: if version >= 13 { TopicId(d.uuid()?) } else { TopicId::ZERO },
            partitions: d
                .array(flexible, FetchPartition::MIN_BYTES, |d| FetchPartition::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        if version <= 12 {
            e.string(&self.topic, flexible)?;
        }
        if version >= 13 {
            e.uuid(self.topic_id.0);
        }
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for FetchTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        FetchTopic {
            topic: if version <= 12 { g.text() } else { StrBytes::default() },
            topic_id: if version >= 13 { TopicId(g.uuid()) } else { TopicId::ZERO },
            partitions: g.array(|g| FetchPartition::sample(g, version)),
        }
    }
}

/// Part of `FetchRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    /// `Partition`.
    pub partition: i32,
    /// `CurrentLeaderEpoch`, from version 9; -1 when absent.
    pub current_leader_epoch: i32,
    /// `FetchOffset`.
    pub fetch_offset: i64,
    /// `LastFetchedEpoch`, from version 12; -1 when absent.
    pub last_fetched_epoch: i32,
    /// `LogStartOffset`, from version 5; -1 when absent.
    pub log_start_offset: i64,
    /// `PartitionMaxBytes`.
    pub partition_max_bytes: i32,
    /// `ReplicaDirectoryId`, from version 17; tag 0.
    pub replica_directory_id: DirectoryId,
    /// `HighWatermark`, from version 18; tag 1; i64::MAX when absent.
    pub high_watermark: i64,
}

impl Default for FetchPartition {
    fn default() -> Self {
        FetchPartition {
            partition: 0,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 0,
            replica_directory_id: DirectoryId::ZERO,
            high_watermark: i64::MAX,
        }
    }
}

impl Codec for FetchPartition {
    const MIN_BYTES: usize = 16;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let mut it = FetchPartition {
            partition: d.i32()?,
            current_leader_epoch: if version >= 9 { d.i32()? } else { -1 },
            fetch_offset: d.i64()?,
            last_fetched_epoch: if version >= 12 { d.i32()? } else { -1 },
            log_start_offset: if version >= 5 { d.i64()? } else { -1 },
            partition_max_bytes: d.i32()?,
            replica_directory_id: DirectoryId::ZERO,
            high_watermark: i64::MAX,
        };
        if flexible {
            d.tags(|d, tag| {
                match tag {
                    0 if version >= 17 => it.replica_directory_id = DirectoryId(d.uuid()?),
                    1 if version >= 18 => it.high_watermark = d.i64()?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        e.i32(self.partition);
        if version >= 9 {
            e.i32(self.current_leader_epoch);
        }
        e.i64(self.fetch_offset);
        if version >= 12 {
            e.i32(self.last_fetched_epoch);
        } else if self.last_fetched_epoch != -1 {
            return Err(EncodeError::NotInVersion { field: "FetchPartition.LastFetchedEpoch", version });
        }
        if version >= 5 {
            e.i64(self.log_start_offset);
        }
        e.i32(self.partition_max_bytes);
        if flexible {
            let mut tags = Tags::new();
            if version >= 17 && self.replica_directory_id != DirectoryId::ZERO {
                tags.add(0, |e| {
                    e.uuid(self.replica_directory_id.0);
                    Ok(())
                })?;
            }
            if version >= 18 && self.high_watermark != i64::MAX {
                tags.add(1, |e| {
                    e.i64(self.high_watermark);
                    Ok(())
                })?;
            }
            e.tags(tags);
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for FetchPartition {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        FetchPartition {
            partition: g.i32(),
            current_leader_epoch: if version >= 9 { g.i32() } else { -1 },
            fetch_offset: g.i64(),
            last_fetched_epoch: if version >= 12 { g.i32() } else { -1 },
            log_start_offset: if version >= 5 { g.i64() } else { -1 },
            partition_max_bytes: g.i32(),
            replica_directory_id: if version >= 17 { DirectoryId(g.uuid()) } else { DirectoryId::ZERO },
            high_watermark: if version >= 18 { g.i64() } else { i64::MAX },
        }
    }
}

/// Part of `FetchRequest`, from version 7.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForgottenTopic {
    /// `Topic`, to version 12.
    pub topic: StrBytes,
    /// `TopicId`, from version 13.
    pub topic_id: TopicId,
    /// `Partitions`.
    pub partitions: Vec<i32>,
}

impl Codec for ForgottenTopic {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let it = ForgottenTopic {
            topic: if version <= 12 { d.string(flexible)? } else { StrBytes::default() },
            topic_id: if version >= 13 { TopicId(d.uuid()?) } else { TopicId::ZERO },
            partitions: d.array(flexible, 4, |d| d.i32())?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        if version <= 12 {
            e.string(&self.topic, flexible)?;
        }
        if version >= 13 {
            e.uuid(self.topic_id.0);
        }
        e.array(&self.partitions, flexible, |e, item| {
            e.i32(*item);
            Ok(())
        })?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for ForgottenTopic {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ForgottenTopic {
            topic: if version <= 12 { g.text() } else { StrBytes::default() },
            topic_id: if version >= 13 { TopicId(g.uuid()) } else { TopicId::ZERO },
            partitions: g.array(|g| g.i32()),
        }
    }
}

/// `FetchResponse`, API key 1, versions 4 to 18, flexible from 12.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`, from version 7.
    pub error_code: ErrorCode,
    /// `SessionId`, from version 7.
    pub session_id: i32,
    /// `Responses`.
    pub responses: Vec<FetchableTopicResponse>,
    /// `NodeEndpoints`, from version 16; tag 0.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl Codec for FetchResponse {
    const MIN_BYTES: usize = 5;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let mut it = FetchResponse {
            throttle_time_ms: d.i32()?,
            error_code: if version >= 7 { d.error_code()? } else { ErrorCode::NONE },
            session_id: if version >= 7 { d.i32()? } else { 0 },
            responses: d.array(flexible, FetchableTopicResponse::MIN_BYTES, |d| {
                FetchableTopicResponse::decode(d, version)
            })?,
            node_endpoints: Vec::new(),
        };
        if flexible {
            d.tags(|d, tag| {
                match tag {
                    0 if version >= 16 => {
                        it.node_endpoints =
                            d.array(true, NodeEndpoint::MIN_BYTES, |d| NodeEndpoint::decode(d, version))?
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        e.i32(self.throttle_time_ms);
        if version >= 7 {
            e.error_code(self.error_code);
        }
        if version >= 7 {
            e.i32(self.session_id);
        }
        e.array(&self.responses, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            let mut tags = Tags::new();
            if version >= 16 && !self.node_endpoints.is_empty() {
                tags.add(0, |e| e.array(&self.node_endpoints, true, |e, item| item.encode(e, version)))?;
            }
            e.tags(tags);
        }
        Ok(())
    }
}

impl Message for FetchResponse {
    const NAME: &'static str = "FetchResponse";
    const VERSIONS: (i16, i16) = (4, 18);
}

#[cfg(test)]
impl crate::wire::samples::Sample for FetchResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        FetchResponse {
            throttle_time_ms: g.i32(),
            error_code: if version >= 7 { ErrorCode(g.i16()) } else { ErrorCode::NONE },
            session_id: if version >= 7 { g.i32() } else { 0 },
            responses: g.array(|g| FetchableTopicResponse::sample(g, version)),
            node_endpoints: if version >= 16 {
                g.array(|g| NodeEndpoint::sample(g, version))
            } else {
                Vec::new()
            },
        }
    }
}

/// Part of `FetchResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchableTopicResponse {
    /// `Topic`, to version 12.
    pub topic: StrBytes,
    /// `TopicId`, from version 13.
    pub topic_id: TopicId,
    /// `Partitions`.
    pub partitions: Vec<PartitionData>,
}

impl Codec for FetchableTopicResponse {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let it = FetchableTopicResponse {
            topic: if version <= 12 { d.string(flexible)? } else { StrBytes::default() },
            topic_id: if version >= 13 { TopicId(d.uuid()?) } else { TopicId::ZERO },
            partitions: d.array(flexible, PartitionData::MIN_BYTES, |d| PartitionData::decode(d, version))?,
        };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        if version <= 12 {
            e.string(&self.topic, flexible)?;
        }
        if version >= 13 {
            e.uuid(self.topic_id.0);
        }
        e.array(&self.partitions, flexible, |e, item| item.encode(e, version))?;
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for FetchableTopicResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        FetchableTopicResponse {
            topic: if version <= 12 { g.text() } else { StrBytes::default() },
            topic_id: if version >= 13 { TopicId(g.uuid()) } else { TopicId::ZERO },
            partitions: g.array(|g| PartitionData::sample(g, version)),
        }
    }
}

/// Part of `FetchResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionData {
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `HighWatermark`.
    pub high_watermark: i64,
    /// `LastStableOffset`; -1 when absent.
    pub last_stable_offset: i64,
    /// `LogStartOffset`, from version 5; -1 when absent.
    pub log_start_offset: i64,
    /// `DivergingEpoch`, from version 12; tag 0.
    pub diverging_epoch: EpochEndOffset,
    /// `CurrentLeader`, from version 12; tag 1.
    pub current_leader: LeaderIdAndEpoch,
    /// `SnapshotId`, from version 12; tag 2.
    pub snapshot_id: SnapshotId,
    /// `AbortedTransactions`.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// `PreferredReadReplica`, from version 11; -1 when absent.
    pub preferred_read_replica: i32,
    /// `Records`.
    pub records: Option<Records>,
}

impl Default for PartitionData {
    fn default() -> Self {
        PartitionData {
            partition_index: 0,
            error_code: ErrorCode::NONE,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: EpochEndOffset::default(),
            current_leader: LeaderIdAndEpoch::default(),
            snapshot_id: SnapshotId::default(),
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: None,
        }
    }
}

impl Codec for PartitionData {
    const MIN_BYTES: usize = 24;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let mut it = PartitionData {
            partition_index: d.i32()?,
            error_code: d.error_code()?,
            high_watermark: d.i64()?,
            last_stable_offset: d.i64()?,
            log_start_offset: if version >= 5 { d.i64()? } else { -1 },
            diverging_epoch: EpochEndOffset::default(),
            current_leader: LeaderIdAndEpoch::default(),
            snapshot_id: SnapshotId::default(),
            aborted_transactions: d.nullable_array(flexible, AbortedTransaction::MIN_BYTES, |d| {
                AbortedTransaction::decode(d, version)
            })?,
            preferred_read_replica: if version >= 11 { d.i32()? } else { -1 },
            records: d.records(flexible)?,
        };
        if flexible {
            d.tags(|d, tag| {
                match tag {
                    0 => it.diverging_epoch = EpochEndOffset::decode(d, version)?,
                    1 => it.current_leader = LeaderIdAndEpoch::decode(d, version)?,
                    2 => it.snapshot_id = SnapshotId::decode(d, version)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        e.i32(self.partition_index);
        e.error_code(self.error_code);
        e.i64(self.high_watermark);
        e.i64(self.last_stable_offset);
        if version >= 5 {
            e.i64(self.log_start_offset);
        }
        e.nullable_array(self.aborted_transactions.as_deref(), flexible, |e, item| item.encode(e, version))?;
        if version >= 11 {
            e.i32(self.preferred_read_replica);
        }
        e.records(self.records.as_ref(), flexible)?;
        if flexible {
            let mut tags = Tags::new();
            if self.diverging_epoch != EpochEndOffset::default() {
                tags.add(0, |e| self.diverging_epoch.encode(e, version))?;
            }
            if self.current_leader != LeaderIdAndEpoch::default() {
                tags.add(1, |e| self.current_leader.encode(e, version))?;
            }
            if self.snapshot_id != SnapshotId::default() {
                tags.add(2, |e| self.snapshot_id.encode(e, version))?;
            }
            e.tags(tags);
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for PartitionData {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        PartitionData {
            partition_index: g.i32(),
            error_code: ErrorCode(g.i16()),
            high_watermark: g.i64(),
            last_stable_offset: g.i64(),
            log_start_offset: if version >= 5 { g.i64() } else { -1 },
            diverging_epoch: if version >= 12 {
                EpochEndOffset::sample(g, version)
            } else {
                EpochEndOffset::default()
            },
            current_leader: if version >= 12 {
                LeaderIdAndEpoch::sample(g, version)
            } else {
                LeaderIdAndEpoch::default()
            },
            snapshot_id: if version >= 12 { SnapshotId::sample(g, version) } else { SnapshotId::default() },
            aborted_transactions: g.option(true, |g| g.array(|g| AbortedTransaction::sample(g, version))),
            preferred_read_replica: if version >= 11 { g.i32() } else { -1 },
            records: g.option(true, |g| g.records()),
        }
    }
}

/// Part of `FetchResponse`, from version 12.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// `Epoch`; -1 when absent.
    pub epoch: i32,
    /// `EndOffset`; -1 when absent.
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        EpochEndOffset { epoch: -1, end_offset: -1 }
    }
}

impl Codec for EpochEndOffset {
    const MIN_BYTES: usize = 12;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = EpochEndOffset { epoch: d.i32()?, end_offset: d.i64()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.epoch);
        e.i64(self.end_offset);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for EpochEndOffset {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        EpochEndOffset { epoch: g.i32(), end_offset: g.i64() }
    }
}

/// Part of `FetchResponse`, from version 12.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderIdAndEpoch {
    /// `LeaderId`; -1 when absent.
    pub leader_id: i32,
    /// `LeaderEpoch`; -1 when absent.
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        LeaderIdAndEpoch { leader_id: -1, leader_epoch: -1 }
    }
}

impl Codec for LeaderIdAndEpoch {
    const MIN_BYTES: usize = 8;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = LeaderIdAndEpoch { leader_id: d.i32()?, leader_epoch: d.i32()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.leader_id);
        e.i32(self.leader_epoch);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for LeaderIdAndEpoch {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        LeaderIdAndEpoch { leader_id: g.i32(), leader_epoch: g.i32() }
    }
}

/// Part of `FetchResponse`, from version 12.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotId {
    /// `EndOffset`; -1 when absent.
    pub end_offset: i64,
    /// `Epoch`; -1 when absent.
    pub epoch: i32,
}

impl Default for SnapshotId {
    fn default() -> Self {
        SnapshotId { end_offset: -1, epoch: -1 }
    }
}

impl Codec for SnapshotId {
    const MIN_BYTES: usize = 12;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = SnapshotId { end_offset: d.i64()?, epoch: d.i32()? };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i64(self.end_offset);
        e.i32(self.epoch);
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for SnapshotId {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        SnapshotId { end_offset: g.i64(), epoch: g.i32() }
    }
}

/// Part of `FetchResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// `ProducerId`.
    pub producer_id: i64,
    /// `FirstOffset`.
    pub first_offset: i64,
}

impl Codec for AbortedTransaction {
    const MIN_BYTES: usize = 16;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let it = AbortedTransaction { producer_id: d.i64()?, first_offset: d.i64()? };
        if flexible {
            d.no_tags()?;
        }
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        e.i64(self.producer_id);
        e.i64(self.first_offset);
        if flexible {
            e.no_tags();
        }
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for AbortedTransaction {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        AbortedTransaction { producer_id: g.i64(), first_offset: g.i64() }
    }
}

/// Part of `FetchResponse`, from version 16.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// `NodeId`.
    pub node_id: i32,
    /// `Host`.
    pub host: StrBytes,
    /// `Port`.
    pub port: i32,
    /// `Rack`.
    pub rack: Option<StrBytes>,
}

impl Codec for NodeEndpoint {
    const MIN_BYTES: usize = 10;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = NodeEndpoint {
            node_id: d.i32()?,
            host: d.string(true)?,
            port: d.i32()?,
            rack: d.nullable_string(true)?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.i32(self.node_id);
        e.string(&self.host, true)?;
        e.i32(self.port);
        e.nullable_string(self.rack.as_ref(), true)?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for NodeEndpoint {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        NodeEndpoint { node_id: g.i32(), host: g.text(), port: g.i32(), rack: g.option(true, |g| g.text()) }
    }
}
