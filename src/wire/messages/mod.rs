//! Kafka's messages: one module per API, its request and its response.
//!
//! Generated from `wire/schema/*.schema` by `generate.py`; do not edit.

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod add_raft_voter;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_user_scram_credentials;
pub mod api_versions;
pub mod consumer_assignment;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod consumer_group_records;
pub mod consumer_offsets;
pub mod consumer_subscription;
pub mod create_acls;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_acls;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_acls;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod describe_user_scram_credentials;
pub mod elect_leaders;
pub mod end_txn;
pub mod fetch;
pub mod find_coordinator;
pub mod get_telemetry_subscriptions;
pub mod header;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod push_telemetry;
pub mod remove_raft_voter;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod sync_group;
pub mod transaction_log;
pub mod txn_offset_commit;
pub mod unregister_broker;
pub mod update_features;
pub mod write_txn_markers;

/// The APIs whose messages we know, by Kafka's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum ApiKey {
    /// Versions 3 to 13.
    Produce = 0,
    /// Versions 4 to 18.
    Fetch = 1,
    /// Versions 1 to 11.
    ListOffsets = 2,
    /// Versions 0 to 13.
    Metadata = 3,
    /// Versions 2 to 10.
    OffsetCommit = 8,
    /// Versions 1 to 10.
    OffsetFetch = 9,
    /// Versions 0 to 6.
    FindCoordinator = 10,
    /// Versions 0 to 9.
    JoinGroup = 11,
    /// Versions 0 to 4.
    Heartbeat = 12,
    /// Versions 0 to 5.
    LeaveGroup = 13,
    /// Versions 0 to 5.
    SyncGroup = 14,
    /// Versions 0 to 6.
    DescribeGroups = 15,
    /// Versions 0 to 5.
    ListGroups = 16,
    /// Versions 0 to 1.
    SaslHandshake = 17,
    /// Versions 0 to 4.
    ApiVersions = 18,
    /// Versions 2 to 7.
    CreateTopics = 19,
    /// Versions 1 to 6.
    DeleteTopics = 20,
    /// Versions 0 to 2.
    DeleteRecords = 21,
    /// Versions 0 to 5.
    InitProducerId = 22,
    /// Versions 2 to 4.
    OffsetForLeaderEpoch = 23,
    /// Versions 0 to 5.
    AddPartitionsToTxn = 24,
    /// Versions 0 to 4.
    AddOffsetsToTxn = 25,
    /// Versions 0 to 5.
    EndTxn = 26,
    /// Versions 1 to 2.
    WriteTxnMarkers = 27,
    /// Versions 0 to 5.
    TxnOffsetCommit = 28,
    /// Versions 1 to 3.
    DescribeAcls = 29,
    /// Versions 1 to 3.
    CreateAcls = 30,
    /// Versions 1 to 3.
    DeleteAcls = 31,
    /// Versions 1 to 4.
    DescribeConfigs = 32,
    /// Versions 0 to 2.
    AlterConfigs = 33,
    /// Versions 1 to 5.
    DescribeLogDirs = 35,
    /// Versions 0 to 2.
    SaslAuthenticate = 36,
    /// Versions 0 to 3.
    CreatePartitions = 37,
    /// Versions 0 to 2.
    DeleteGroups = 42,
    /// Versions 0 to 2.
    ElectLeaders = 43,
    /// Versions 0 to 1.
    IncrementalAlterConfigs = 44,
    /// Versions 0 to 1.
    AlterPartitionReassignments = 45,
    /// Versions 0 to 0.
    ListPartitionReassignments = 46,
    /// Versions 0 to 0.
    OffsetDelete = 47,
    /// Versions 0 to 1.
    DescribeClientQuotas = 48,
    /// Versions 0 to 1.
    AlterClientQuotas = 49,
    /// Versions 0 to 0.
    DescribeUserScramCredentials = 50,
    /// Versions 0 to 0.
    AlterUserScramCredentials = 51,
    /// Versions 0 to 2.
    DescribeQuorum = 55,
    /// Versions 0 to 2.
    UpdateFeatures = 57,
    /// Versions 0 to 2.
    DescribeCluster = 60,
    /// Versions 0 to 0.
    DescribeProducers = 61,
    /// Versions 0 to 0.
    UnregisterBroker = 64,
    /// Versions 0 to 0.
    DescribeTransactions = 65,
    /// Versions 0 to 2.
    ListTransactions = 66,
    /// Versions 0 to 1.
    ConsumerGroupHeartbeat = 68,
    /// Versions 0 to 1.
    ConsumerGroupDescribe = 69,
    /// Versions 0 to 0.
    GetTelemetrySubscriptions = 71,
    /// Versions 0 to 0.
    PushTelemetry = 72,
    /// Versions 0 to 1.
    ListConfigResources = 74,
    /// Versions 0 to 0.
    DescribeTopicPartitions = 75,
    /// Versions 0 to 1.
    AddRaftVoter = 80,
    /// Versions 0 to 0.
    RemoveRaftVoter = 81,
}

impl ApiKey {
    /// All of them, ascending.
    pub const ALL: [ApiKey; 58] = [
        ApiKey::Produce,
        ApiKey::Fetch,
        ApiKey::ListOffsets,
        ApiKey::Metadata,
        ApiKey::OffsetCommit,
        ApiKey::OffsetFetch,
        ApiKey::FindCoordinator,
        ApiKey::JoinGroup,
        ApiKey::Heartbeat,
        ApiKey::LeaveGroup,
        ApiKey::SyncGroup,
        ApiKey::DescribeGroups,
        ApiKey::ListGroups,
        ApiKey::SaslHandshake,
        ApiKey::ApiVersions,
        ApiKey::CreateTopics,
        ApiKey::DeleteTopics,
        ApiKey::DeleteRecords,
        ApiKey::InitProducerId,
        ApiKey::OffsetForLeaderEpoch,
        ApiKey::AddPartitionsToTxn,
        ApiKey::AddOffsetsToTxn,
        ApiKey::EndTxn,
        ApiKey::WriteTxnMarkers,
        ApiKey::TxnOffsetCommit,
        ApiKey::DescribeAcls,
        ApiKey::CreateAcls,
        ApiKey::DeleteAcls,
        ApiKey::DescribeConfigs,
        ApiKey::AlterConfigs,
        ApiKey::DescribeLogDirs,
        ApiKey::SaslAuthenticate,
        ApiKey::CreatePartitions,
        ApiKey::DeleteGroups,
        ApiKey::ElectLeaders,
        ApiKey::IncrementalAlterConfigs,
        ApiKey::AlterPartitionReassignments,
        ApiKey::ListPartitionReassignments,
        ApiKey::OffsetDelete,
        ApiKey::DescribeClientQuotas,
        ApiKey::AlterClientQuotas,
        ApiKey::DescribeUserScramCredentials,
        ApiKey::AlterUserScramCredentials,
        ApiKey::DescribeQuorum,
        ApiKey::UpdateFeatures,
        ApiKey::DescribeCluster,
        ApiKey::DescribeProducers,
        ApiKey::UnregisterBroker,
        ApiKey::DescribeTransactions,
        ApiKey::ListTransactions,
        ApiKey::ConsumerGroupHeartbeat,
        ApiKey::ConsumerGroupDescribe,
        ApiKey::GetTelemetrySubscriptions,
        ApiKey::PushTelemetry,
        ApiKey::ListConfigResources,
        ApiKey::DescribeTopicPartitions,
        ApiKey::AddRaftVoter,
        ApiKey::RemoveRaftVoter,
    ];

    /// The API of a key.
    #[must_use]
    pub const fn from_key(key: i16) -> Option<ApiKey> {
        Some(match key {
            0 => ApiKey::Produce,
            1 => ApiKey::Fetch,
            2 => ApiKey::ListOffsets,
            3 => ApiKey::Metadata,
            8 => ApiKey::OffsetCommit,
            9 => ApiKey::OffsetFetch,
            10 => ApiKey::FindCoordinator,
            11 => ApiKey::JoinGroup,
            12 => ApiKey::Heartbeat,
            13 => ApiKey::LeaveGroup,
            14 => ApiKey::SyncGroup,
            15 => ApiKey::DescribeGroups,
            16 => ApiKey::ListGroups,
            17 => ApiKey::SaslHandshake,
            18 => ApiKey::ApiVersions,
            19 => ApiKey::CreateTopics,
            20 => ApiKey::DeleteTopics,
            21 => ApiKey::DeleteRecords,
            22 => ApiKey::InitProducerId,
            23 => ApiKey::OffsetForLeaderEpoch,
            24 => ApiKey::AddPartitionsToTxn,
            25 => ApiKey::AddOffsetsToTxn,
            26 => ApiKey::EndTxn,
            27 => ApiKey::WriteTxnMarkers,
            28 => ApiKey::TxnOffsetCommit,
            29 => ApiKey::DescribeAcls,
            30 => ApiKey::CreateAcls,
            31 => ApiKey::DeleteAcls,
            32 => ApiKey::DescribeConfigs,
            33 => ApiKey::AlterConfigs,
            35 => ApiKey::DescribeLogDirs,
            36 => ApiKey::SaslAuthenticate,
            37 => ApiKey::CreatePartitions,
            42 => ApiKey::DeleteGroups,
            43 => ApiKey::ElectLeaders,
            44 => ApiKey::IncrementalAlterConfigs,
            45 => ApiKey::AlterPartitionReassignments,
            46 => ApiKey::ListPartitionReassignments,
            47 => ApiKey::OffsetDelete,
            48 => ApiKey::DescribeClientQuotas,
            49 => ApiKey::AlterClientQuotas,
            50 => ApiKey::DescribeUserScramCredentials,
            51 => ApiKey::AlterUserScramCredentials,
            55 => ApiKey::DescribeQuorum,
            57 => ApiKey::UpdateFeatures,
            60 => ApiKey::DescribeCluster,
            61 => ApiKey::DescribeProducers,
            64 => ApiKey::UnregisterBroker,
            65 => ApiKey::DescribeTransactions,
            66 => ApiKey::ListTransactions,
            68 => ApiKey::ConsumerGroupHeartbeat,
            69 => ApiKey::ConsumerGroupDescribe,
            71 => ApiKey::GetTelemetrySubscriptions,
            72 => ApiKey::PushTelemetry,
            74 => ApiKey::ListConfigResources,
            75 => ApiKey::DescribeTopicPartitions,
            80 => ApiKey::AddRaftVoter,
            81 => ApiKey::RemoveRaftVoter,
            _ => return None,
        })
    }

    /// The lowest and the highest version that we serve.
    #[must_use]
    pub const fn versions(self) -> (i16, i16) {
        match self {
            ApiKey::Produce => (3, 13),
            ApiKey::Fetch => (4, 18),
            ApiKey::ListOffsets => (1, 11),
            ApiKey::Metadata => (0, 13),
            ApiKey::OffsetCommit => (2, 10),
            ApiKey::OffsetFetch => (1, 10),
            ApiKey::FindCoordinator => (0, 6),
            ApiKey::JoinGroup => (0, 9),
            ApiKey::Heartbeat => (0, 4),
            ApiKey::LeaveGroup => (0, 5),
            ApiKey::SyncGroup => (0, 5),
            ApiKey::DescribeGroups => (0, 6),
            ApiKey::ListGroups => (0, 5),
            ApiKey::SaslHandshake => (0, 1),
            ApiKey::ApiVersions => (0, 4),
            ApiKey::CreateTopics => (2, 7),
            ApiKey::DeleteTopics => (1, 6),
            ApiKey::DeleteRecords => (0, 2),
            ApiKey::InitProducerId => (0, 5),
            ApiKey::OffsetForLeaderEpoch => (2, 4),
            ApiKey::AddPartitionsToTxn => (0, 5),
            ApiKey::AddOffsetsToTxn => (0, 4),
            ApiKey::EndTxn => (0, 5),
            ApiKey::WriteTxnMarkers => (1, 2),
            ApiKey::TxnOffsetCommit => (0, 5),
            ApiKey::DescribeAcls => (1, 3),
            ApiKey::CreateAcls => (1, 3),
            ApiKey::DeleteAcls => (1, 3),
            ApiKey::DescribeConfigs => (1, 4),
            ApiKey::AlterConfigs => (0, 2),
            ApiKey::DescribeLogDirs => (1, 5),
            ApiKey::SaslAuthenticate => (0, 2),
            ApiKey::CreatePartitions => (0, 3),
            ApiKey::DeleteGroups => (0, 2),
            ApiKey::ElectLeaders => (0, 2),
            ApiKey::IncrementalAlterConfigs => (0, 1),
            ApiKey::AlterPartitionReassignments => (0, 1),
            ApiKey::ListPartitionReassignments => (0, 0),
            ApiKey::OffsetDelete => (0, 0),
            ApiKey::DescribeClientQuotas => (0, 1),
            ApiKey::AlterClientQuotas => (0, 1),
            ApiKey::DescribeUserScramCredentials => (0, 0),
            ApiKey::AlterUserScramCredentials => (0, 0),
            ApiKey::DescribeQuorum => (0, 2),
            ApiKey::UpdateFeatures => (0, 2),
            ApiKey::DescribeCluster => (0, 2),
            ApiKey::DescribeProducers => (0, 0),
            ApiKey::UnregisterBroker => (0, 0),
            ApiKey::DescribeTransactions => (0, 0),
            ApiKey::ListTransactions => (0, 2),
            ApiKey::ConsumerGroupHeartbeat => (0, 1),
            ApiKey::ConsumerGroupDescribe => (0, 1),
            ApiKey::GetTelemetrySubscriptions => (0, 0),
            ApiKey::PushTelemetry => (0, 0),
            ApiKey::ListConfigResources => (0, 1),
            ApiKey::DescribeTopicPartitions => (0, 0),
            ApiKey::AddRaftVoter => (0, 1),
            ApiKey::RemoveRaftVoter => (0, 0),
        }
    }

    /// The first version with compact lengths and tagged fields (KIP-482), if there is one.
    #[must_use]
    pub const fn flexible_from(self) -> Option<i16> {
        match self {
            ApiKey::Produce => Some(9),
            ApiKey::Fetch => Some(12),
            ApiKey::ListOffsets => Some(6),
            ApiKey::Metadata => Some(9),
            ApiKey::OffsetCommit => Some(8),
            ApiKey::OffsetFetch => Some(6),
            ApiKey::FindCoordinator => Some(3),
            ApiKey::JoinGroup => Some(6),
            ApiKey::Heartbeat => Some(4),
            ApiKey::LeaveGroup => Some(4),
            ApiKey::SyncGroup => Some(4),
            ApiKey::DescribeGroups => Some(5),
            ApiKey::ListGroups => Some(3),
            ApiKey::SaslHandshake => None,
            ApiKey::ApiVersions => Some(3),
            ApiKey::CreateTopics => Some(5),
            ApiKey::DeleteTopics => Some(4),
            ApiKey::DeleteRecords => Some(2),
            ApiKey::InitProducerId => Some(2),
            ApiKey::OffsetForLeaderEpoch => Some(4),
            ApiKey::AddPartitionsToTxn => Some(3),
            ApiKey::AddOffsetsToTxn => Some(3),
            ApiKey::EndTxn => Some(3),
            ApiKey::WriteTxnMarkers => Some(1),
            ApiKey::TxnOffsetCommit => Some(3),
            ApiKey::DescribeAcls => Some(2),
            ApiKey::CreateAcls => Some(2),
            ApiKey::DeleteAcls => Some(2),
            ApiKey::DescribeConfigs => Some(4),
            ApiKey::AlterConfigs => Some(2),
            ApiKey::DescribeLogDirs => Some(2),
            ApiKey::SaslAuthenticate => Some(2),
            ApiKey::CreatePartitions => Some(2),
            ApiKey::DeleteGroups => Some(2),
            ApiKey::ElectLeaders => Some(2),
            ApiKey::IncrementalAlterConfigs => Some(1),
            ApiKey::AlterPartitionReassignments => Some(0),
            ApiKey::ListPartitionReassignments => Some(0),
            ApiKey::OffsetDelete => None,
            ApiKey::DescribeClientQuotas => Some(1),
            ApiKey::AlterClientQuotas => Some(1),
            ApiKey::DescribeUserScramCredentials => Some(0),
            ApiKey::AlterUserScramCredentials => Some(0),
            ApiKey::DescribeQuorum => Some(0),
            ApiKey::UpdateFeatures => Some(0),
            ApiKey::DescribeCluster => Some(0),
            ApiKey::DescribeProducers => Some(0),
            ApiKey::UnregisterBroker => Some(0),
            ApiKey::DescribeTransactions => Some(0),
            ApiKey::ListTransactions => Some(0),
            ApiKey::ConsumerGroupHeartbeat => Some(0),
            ApiKey::ConsumerGroupDescribe => Some(0),
            ApiKey::GetTelemetrySubscriptions => Some(0),
            ApiKey::PushTelemetry => Some(0),
            ApiKey::ListConfigResources => Some(0),
            ApiKey::DescribeTopicPartitions => Some(0),
            ApiKey::AddRaftVoter => Some(0),
            ApiKey::RemoveRaftVoter => Some(0),
        }
    }
}

/// Calls a macro with every API's name, its module, its request and its response.
#[cfg(any(test, feature = "sim"))]
macro_rules! for_each_api {
($callback:ident) => {
$callback! {
Produce, produce, ProduceRequest, ProduceResponse;
Fetch, fetch, FetchRequest, FetchResponse;
ListOffsets, list_offsets, ListOffsetsRequest, ListOffsetsResponse;
Metadata, metadata, MetadataRequest, MetadataResponse;
OffsetCommit, offset_commit, OffsetCommitRequest, OffsetCommitResponse;
OffsetFetch, offset_fetch, OffsetFetchRequest, OffsetFetchResponse;
FindCoordinator, find_coordinator, FindCoordinatorRequest, FindCoordinatorResponse;
JoinGroup, join_group, JoinGroupRequest, JoinGroupResponse;
Heartbeat, heartbeat, HeartbeatRequest, HeartbeatResponse;
LeaveGroup, leave_group, LeaveGroupRequest, LeaveGroupResponse;
SyncGroup, sync_group, SyncGroupRequest, SyncGroupResponse;
DescribeGroups, describe_groups, DescribeGroupsRequest, DescribeGroupsResponse;
ListGroups, list_groups, ListGroupsRequest, ListGroupsResponse;
SaslHandshake, sasl_handshake, SaslHandshakeRequest, SaslHandshakeResponse;
ApiVersions, api_versions, ApiVersionsRequest, ApiVersionsResponse;
CreateTopics, create_topics, CreateTopicsRequest, CreateTopicsResponse;
DeleteTopics, delete_topics, DeleteTopicsRequest, DeleteTopicsResponse;
DeleteRecords, delete_records, DeleteRecordsRequest, DeleteRecordsResponse;
InitProducerId, init_producer_id, InitProducerIdRequest, InitProducerIdResponse;
OffsetForLeaderEpoch, offset_for_leader_epoch, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse;
AddPartitionsToTxn, add_partitions_to_txn, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse;
AddOffsetsToTxn, add_offsets_to_txn, AddOffsetsToTxnRequest, AddOffsetsToTxnResponse;
EndTxn, end_txn, EndTxnRequest, EndTxnResponse;
WriteTxnMarkers, write_txn_markers, WriteTxnMarkersRequest, WriteTxnMarkersResponse;
TxnOffsetCommit, txn_offset_commit, TxnOffsetCommitRequest, TxnOffsetCommitResponse;
DescribeAcls, describe_acls, DescribeAclsRequest, DescribeAclsResponse;
CreateAcls, create_acls, CreateAclsRequest, CreateAclsResponse;
DeleteAcls, delete_acls, DeleteAclsRequest, DeleteAclsResponse;
DescribeConfigs, describe_configs, DescribeConfigsRequest, DescribeConfigsResponse;
AlterConfigs, alter_configs, AlterConfigsRequest, AlterConfigsResponse;
DescribeLogDirs, describe_log_dirs, DescribeLogDirsRequest, DescribeLogDirsResponse;
SaslAuthenticate, sasl_authenticate, SaslAuthenticateRequest, SaslAuthenticateResponse;
CreatePartitions, create_partitions, CreatePartitionsRequest, CreatePartitionsResponse;
DeleteGroups, delete_groups, DeleteGroupsRequest, DeleteGroupsResponse;
ElectLeaders, elect_leaders, ElectLeadersRequest, ElectLeadersResponse;
IncrementalAlterConfigs, incremental_alter_configs, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse;
AlterPartitionReassignments, alter_partition_reassignments, AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse;
ListPartitionReassignments, list_partition_reassignments, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse;
OffsetDelete, offset_delete, OffsetDeleteRequest, OffsetDeleteResponse;
DescribeClientQuotas, describe_client_quotas, DescribeClientQuotasRequest, DescribeClientQuotasResponse;
AlterClientQuotas, alter_client_quotas, AlterClientQuotasRequest, AlterClientQuotasResponse;
DescribeUserScramCredentials, describe_user_scram_credentials, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse;
AlterUserScramCredentials, alter_user_scram_credentials, AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse;
DescribeQuorum, describe_quorum, DescribeQuorumRequest, DescribeQuorumResponse;
UpdateFeatures, update_features, UpdateFeaturesRequest, UpdateFeaturesResponse;
DescribeCluster, describe_cluster, DescribeClusterRequest, DescribeClusterResponse;
DescribeProducers, describe_producers, DescribeProducersRequest, DescribeProducersResponse;
UnregisterBroker, unregister_broker, UnregisterBrokerRequest, UnregisterBrokerResponse;
DescribeTransactions, describe_transactions, DescribeTransactionsRequest, DescribeTransactionsResponse;
ListTransactions, list_transactions, ListTransactionsRequest, ListTransactionsResponse;
ConsumerGroupHeartbeat, consumer_group_heartbeat, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse;
ConsumerGroupDescribe, consumer_group_describe, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse;
GetTelemetrySubscriptions, get_telemetry_subscriptions, GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse;
PushTelemetry, push_telemetry, PushTelemetryRequest, PushTelemetryResponse;
ListConfigResources, list_config_resources, ListConfigResourcesRequest, ListConfigResourcesResponse;
DescribeTopicPartitions, describe_topic_partitions, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse;
AddRaftVoter, add_raft_voter, AddRaftVoterRequest, AddRaftVoterResponse;
RemoveRaftVoter, remove_raft_voter, RemoveRaftVoterRequest, RemoveRaftVoterResponse;
}
};
}
#[cfg(any(test, feature = "sim"))]
pub(crate) use for_each_api;
