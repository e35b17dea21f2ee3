//! Every API as somebody who may nothing, and as somebody to whom ACLs grant what he asks for.

use super::broker_tests::{Lone, batch, produce};
use crate::security::Authorizer;
use crate::types::TopicName;
use crate::wire::messages::{
    add_offsets_to_txn, add_partitions_to_txn as add_partitions, add_raft_voter,
    alter_client_quotas as alter_quotas, alter_configs as replace_configs,
    alter_partition_reassignments as alter_reassignments, alter_user_scram_credentials as alter_scram,
    consumer_group_describe as consumer_describe, consumer_group_heartbeat as consumer_beat, create_acls,
    create_partitions, create_topics, delete_acls, delete_groups, delete_records, delete_topics,
    describe_acls, describe_client_quotas as describe_quotas, describe_cluster, describe_configs,
    describe_groups, describe_log_dirs, describe_producers, describe_quorum,
    describe_topic_partitions as describe_partitions, describe_transactions,
    describe_user_scram_credentials as describe_scram, elect_leaders, end_txn, fetch, find_coordinator,
    heartbeat, incremental_alter_configs as alter_configs, init_producer_id, join_group, leave_group,
    list_config_resources as list_configs, list_groups, list_offsets,
    list_partition_reassignments as list_reassignments, metadata, offset_commit, offset_delete, offset_fetch,
    offset_for_leader_epoch as epochs, remove_raft_voter, sync_group, txn_offset_commit as txn_offsets,
    unregister_broker, update_features, write_txn_markers as markers,
};
use crate::wire::{ApiKey, ErrorCode, StrBytes};

const TOPIC: ErrorCode = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
const GROUP: ErrorCode = ErrorCode::GROUP_AUTHORIZATION_FAILED;
const CLUSTER: ErrorCode = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;

/// APIs that nobody is refused: what they tell is filtered, or they come before everything else.
const OPEN: [ApiKey; 8] = [
    ApiKey::ApiVersions,
    ApiKey::SaslHandshake,
    ApiKey::SaslAuthenticate,
    ApiKey::ListGroups,
    ApiKey::ListTransactions,
    ApiKey::DescribeCluster,
    ApiKey::GetTelemetrySubscriptions,
    ApiKey::PushTelemetry,
];

fn name() -> StrBytes {
    "x".into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_nothing_is_refused_by_every_api() {
    let lone = Lone::start_with(Some(Authorizer::new("", false).unwrap())).await;
    let mut client = lone.connect().await;
    let mut asked: Vec<ApiKey> = OPEN.to_vec();
    macro_rules! refused {
        ($api:ident, $version:expr, $code:expr, $request:expr) => {
            let answer = client.ask(&$request, $version).await;
            let answer = format!("{:?}", answer.expect("an answer"));
            assert!(answer.contains(&format!("{:?}", $code)), "{:?}: {answer}", ApiKey::$api);
            asked.push(ApiKey::$api);
        };
    }
    refused!(Produce, 9, TOPIC, produce("x", batch(b"v"), -1));
    let partitions = vec![fetch::FetchPartition::default()];
    let topics = vec![fetch::FetchTopic { topic: name(), partitions, ..Default::default() }];
    refused!(Fetch, 12, TOPIC, fetch::FetchRequest { topics, session_epoch: -1, ..Default::default() });
    let partitions = vec![list_offsets::ListOffsetsPartition { timestamp: -1, ..Default::default() }];
    let topics = vec![list_offsets::ListOffsetsTopic { name: name(), partitions }];
    refused!(
        ListOffsets,
        7,
        TOPIC,
        list_offsets::ListOffsetsRequest { replica_id: -1, topics, ..Default::default() }
    );
    let wanted = metadata::MetadataRequestTopic { name: Some(name()), ..Default::default() };
    refused!(
        Metadata,
        12,
        TOPIC,
        metadata::MetadataRequest { topics: Some(vec![wanted]), ..Default::default() }
    );
    let partitions = vec![offset_commit::OffsetCommitRequestPartition::default()];
    let topics =
        vec![offset_commit::OffsetCommitRequestTopic { name: name(), partitions, ..Default::default() }];
    refused!(
        OffsetCommit,
        9,
        GROUP,
        offset_commit::OffsetCommitRequest { group_id: name(), topics, ..Default::default() }
    );
    let group =
        offset_fetch::OffsetFetchRequestGroup { group_id: name(), topics: None, ..Default::default() };
    refused!(
        OffsetFetch,
        8,
        GROUP,
        offset_fetch::OffsetFetchRequest { groups: vec![group], ..Default::default() }
    );
    refused!(
        FindCoordinator,
        4,
        GROUP,
        find_coordinator::FindCoordinatorRequest { coordinator_keys: vec![name()], ..Default::default() }
    );
    refused!(JoinGroup, 9, GROUP, join_group::JoinGroupRequest { group_id: name(), ..Default::default() });
    refused!(Heartbeat, 4, GROUP, heartbeat::HeartbeatRequest { group_id: name(), ..Default::default() });
    refused!(LeaveGroup, 5, GROUP, leave_group::LeaveGroupRequest { group_id: name(), ..Default::default() });
    refused!(SyncGroup, 5, GROUP, sync_group::SyncGroupRequest { group_id: name(), ..Default::default() });
    refused!(
        DescribeGroups,
        5,
        GROUP,
        describe_groups::DescribeGroupsRequest { groups: vec![name()], ..Default::default() }
    );
    refused!(DeleteGroups, 2, GROUP, delete_groups::DeleteGroupsRequest { groups_names: vec![name()] });
    let partitions = vec![delete_records::DeleteRecordsPartition::default()];
    let topics = vec![delete_records::DeleteRecordsTopic { name: name(), partitions }];
    refused!(DeleteRecords, 2, TOPIC, delete_records::DeleteRecordsRequest { topics, ..Default::default() });
    let wanted = create_topics::CreatableTopic {
        name: name(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    refused!(
        CreateTopics,
        7,
        TOPIC,
        create_topics::CreateTopicsRequest { topics: vec![wanted], ..Default::default() }
    );
    refused!(
        DeleteTopics,
        5,
        TOPIC,
        delete_topics::DeleteTopicsRequest { topic_names: vec![name()], ..Default::default() }
    );
    let wanted = create_partitions::CreatePartitionsTopic { name: name(), count: 2, ..Default::default() };
    refused!(
        CreatePartitions,
        3,
        TOPIC,
        create_partitions::CreatePartitionsRequest { topics: vec![wanted], ..Default::default() }
    );
    refused!(InitProducerId, 4, CLUSTER, init_producer_id::InitProducerIdRequest::default());
    let id = init_producer_id::InitProducerIdRequest { transactional_id: Some(name()), ..Default::default() };
    refused!(InitProducerId, 4, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, id);
    let partitions = vec![epochs::OffsetForLeaderPartition::default()];
    let topics = vec![epochs::OffsetForLeaderTopic { topic: name(), partitions }];
    refused!(OffsetForLeaderEpoch, 4, TOPIC, epochs::OffsetForLeaderEpochRequest { replica_id: -1, topics });
    for (kind, code) in [(2, TOPIC), (4, CLUSTER)] {
        let resource = describe_configs::DescribeConfigsResource {
            resource_type: kind,
            resource_name: "1".into(),
            ..Default::default()
        };
        refused!(
            DescribeConfigs,
            4,
            code,
            describe_configs::DescribeConfigsRequest { resources: vec![resource], ..Default::default() }
        );
        let resource = alter_configs::AlterConfigsResource {
            resource_type: kind,
            resource_name: "1".into(),
            ..Default::default()
        };
        refused!(
            IncrementalAlterConfigs,
            1,
            code,
            alter_configs::IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() }
        );
    }
    for (kind, code) in [(2, TOPIC), (4, CLUSTER), (16, CLUSTER), (32, GROUP)] {
        let resource = replace_configs::AlterConfigsResource {
            resource_type: kind,
            resource_name: "1".into(),
            ..Default::default()
        };
        refused!(
            AlterConfigs,
            2,
            code,
            replace_configs::AlterConfigsRequest { resources: vec![resource], ..Default::default() }
        );
    }
    refused!(ListConfigResources, 1, CLUSTER, list_configs::ListConfigResourcesRequest::default());
    let topic = describe_partitions::TopicRequest { name: name() };
    refused!(
        DescribeTopicPartitions,
        0,
        TOPIC,
        describe_partitions::DescribeTopicPartitionsRequest { topics: vec![topic], ..Default::default() }
    );
    refused!(ElectLeaders, 2, CLUSTER, elect_leaders::ElectLeadersRequest::default());
    refused!(
        AlterPartitionReassignments,
        1,
        CLUSTER,
        alter_reassignments::AlterPartitionReassignmentsRequest::default()
    );
    refused!(
        ListPartitionReassignments,
        0,
        CLUSTER,
        list_reassignments::ListPartitionReassignmentsRequest::default()
    );
    refused!(DescribeLogDirs, 4, CLUSTER, describe_log_dirs::DescribeLogDirsRequest::default());
    refused!(DescribeAcls, 3, CLUSTER, describe_acls::DescribeAclsRequest::default());
    refused!(
        CreateAcls,
        3,
        CLUSTER,
        create_acls::CreateAclsRequest { creations: vec![create_acls::AclCreation::default()] }
    );
    refused!(
        DeleteAcls,
        3,
        CLUSTER,
        delete_acls::DeleteAclsRequest { filters: vec![delete_acls::DeleteAclsFilter::default()] }
    );
    refused!(DescribeClientQuotas, 1, CLUSTER, describe_quotas::DescribeClientQuotasRequest::default());
    refused!(
        AlterClientQuotas,
        1,
        CLUSTER,
        alter_quotas::AlterClientQuotasRequest {
            entries: vec![alter_quotas::EntryData::default()],
            ..Default::default()
        }
    );
    refused!(DescribeQuorum, 2, CLUSTER, describe_quorum::DescribeQuorumRequest::default());
    refused!(AddRaftVoter, 1, CLUSTER, add_raft_voter::AddRaftVoterRequest::default());
    refused!(RemoveRaftVoter, 0, CLUSTER, remove_raft_voter::RemoveRaftVoterRequest::default());
    refused!(UnregisterBroker, 0, CLUSTER, unregister_broker::UnregisterBrokerRequest::default());
    let nobody = describe_scram::DescribeUserScramCredentialsRequest::default();
    refused!(DescribeUserScramCredentials, 0, CLUSTER, nobody);
    let deletion = alter_scram::ScramCredentialDeletion { name: name(), mechanism: 1 };
    refused!(
        AlterUserScramCredentials,
        0,
        CLUSTER,
        alter_scram::AlterUserScramCredentialsRequest { deletions: vec![deletion], ..Default::default() }
    );

    let txn = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    let added = || add_partitions::AddPartitionsToTxnTopic { name: name(), partitions: vec![0] };
    let one = add_partitions::AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: name(),
        v3_and_below_topics: vec![added()],
        ..Default::default()
    };
    refused!(AddPartitionsToTxn, 3, txn, one);
    let several =
        add_partitions::AddPartitionsToTxnTransaction { topics: vec![added()], ..Default::default() };
    let several =
        add_partitions::AddPartitionsToTxnRequest { transactions: vec![several], ..Default::default() };
    refused!(AddPartitionsToTxn, 5, CLUSTER, several);
    refused!(AddOffsetsToTxn, 4, txn, add_offsets_to_txn::AddOffsetsToTxnRequest::default());
    refused!(EndTxn, 5, txn, end_txn::EndTxnRequest::default());
    let partitions = vec![txn_offsets::TxnOffsetCommitRequestPartition::default()];
    let topics = vec![txn_offsets::TxnOffsetCommitRequestTopic { name: name(), partitions }];
    let request = txn_offsets::TxnOffsetCommitRequest { topics, ..Default::default() };
    refused!(TxnOffsetCommit, 5, txn, request);
    let topics = vec![markers::WritableTxnMarkerTopic { name: name(), partition_indexes: vec![0] }];
    let marker = markers::WritableTxnMarker { topics, ..Default::default() };
    refused!(WriteTxnMarkers, 2, CLUSTER, markers::WriteTxnMarkersRequest { markers: vec![marker] });
    refused!(
        OffsetDelete,
        0,
        ErrorCode::GROUP_AUTHORIZATION_FAILED,
        offset_delete::OffsetDeleteRequest::default()
    );
    let topics = vec![describe_producers::TopicRequest { name: name(), partition_indexes: vec![0] }];
    refused!(DescribeProducers, 0, TOPIC, describe_producers::DescribeProducersRequest { topics });
    let ids = describe_transactions::DescribeTransactionsRequest { transactional_ids: vec![name()] };
    refused!(DescribeTransactions, 0, txn, ids);

    let beat = consumer_beat::ConsumerGroupHeartbeatRequest { group_id: name(), ..Default::default() };
    refused!(ConsumerGroupHeartbeat, 1, GROUP, beat);
    let request =
        consumer_describe::ConsumerGroupDescribeRequest { group_ids: vec![name()], ..Default::default() };
    refused!(ConsumerGroupDescribe, 1, GROUP, request);
    refused!(UpdateFeatures, 1, CLUSTER, update_features::UpdateFeaturesRequest::default());

    let unasked: Vec<_> = ApiKey::ALL.into_iter().filter(|api| !asked.contains(api)).collect();
    assert!(
        unasked.is_empty(),
        "{unasked:?}: say in security::authorizer what they ask for, and here how they refuse"
    );

    let listed = client.ask(&list_groups::ListGroupsRequest::default(), 4).await.unwrap();
    assert_eq!((listed.error_code, listed.groups.len()), (ErrorCode::NONE, 0));
    let request = describe_cluster::DescribeClusterRequest {
        include_cluster_authorized_operations: true,
        ..Default::default()
    };
    let cluster = client.ask(&request, 1).await.unwrap();
    assert_eq!((cluster.error_code, cluster.cluster_authorized_operations), (ErrorCode::NONE, 0));
    let all = metadata::MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(client.ask(&all, 12).await.unwrap().topics.len(), 0);
    assert!(lone.broker.image().topics.is_empty(), "nothing was made for who may nothing");
    lone.stop().await;
}

/// Kafka's numbers of resources and operations.
const OF_TOPICS: i8 = 2;
const OF_THE_CLUSTER: i8 = 4;
const READ: i8 = 3;
const WRITE: i8 = 4;
const CREATE: i8 = 5;
const DESCRIBE: i8 = 8;

fn allow(resource_type: i8, name: &str, who: &str, operation: i8) -> create_acls::AclCreation {
    create_acls::AclCreation {
        resource_type,
        resource_name: name.into(),
        resource_pattern_type: 3,
        principal: who.into(),
        host: "127.0.0.1".into(),
        operation,
        permission_type: 3,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_sees_and_makes_what_its_acls_allow_and_nothing_else() {
    // Everything is open until an entry is about it.
    let lone = Lone::start_with(Some(Authorizer::new("", true).unwrap())).await;
    let mut client = lone.connect().await;
    let creations = vec![
        allow(OF_TOPICS, "mine", "User:ANONYMOUS", CREATE),
        allow(OF_TOPICS, "mine", "User:ANONYMOUS", WRITE),
        allow(OF_TOPICS, "*", "User:nobody", READ),
        allow(OF_THE_CLUSTER, "kafka-cluster", "User:nobody", READ),
    ];
    let request = create_acls::CreateAclsRequest { creations };
    let created = client.ask(&request, 3).await.unwrap().results;
    assert!(created.len() == 4 && created.iter().all(|result| result.error_code.is_none()), "{created:?}");
    let again = client.ask(&request, 3).await.unwrap().results;
    assert!(again.iter().all(|result| result.error_code == CLUSTER), "the cluster is not open any more");
    let theirs = crate::broker::NewTopic {
        name: TopicName::new("theirs").unwrap(),
        partitions: None,
        replication_factor: None,
        assignment: None,
        configs: Default::default(),
    };
    lone.broker.create_topic(theirs, false).await.unwrap();
    let wanted = |name: &str| create_topics::CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let request = create_topics::CreateTopicsRequest {
        topics: vec![wanted("mine"), wanted("other")],
        ..Default::default()
    };
    let made = client.ask(&request, 7).await.unwrap().topics;
    assert_eq!(made.iter().map(|t| t.error_code).collect::<Vec<_>>(), [ErrorCode::NONE, TOPIC]);
    assert_eq!(made[0].topic_config_error_code, TOPIC, "who may not describe configs is not shown any");

    let all = metadata::MetadataRequest {
        topics: None,
        include_topic_authorized_operations: true,
        ..Default::default()
    };
    let seen = client.ask(&all, 12).await.unwrap().topics;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].name.as_deref(), Some("mine"));
    assert_eq!(seen[0].topic_authorized_operations, 1 << CREATE | 1 << WRITE | 1 << DESCRIBE);

    let by_id = |topic_id| {
        let topics = Some(vec![metadata::MetadataRequestTopic { topic_id, ..Default::default() }]);
        let request = metadata::MetadataRequest { topics, ..Default::default() };
        let client = lone.connect();
        async move { client.await.ask(&request, 12).await.unwrap().topics.remove(0) }
    };
    let theirs = lone.broker.image().topics[&TopicName::new("theirs").unwrap()].id;
    let told = by_id(theirs).await;
    assert_eq!((told.error_code, told.name), (TOPIC, None), "its name is not told");
    // Who may write to some topic may produce idempotently (KIP-679).
    let id = client.ask(&init_producer_id::InitProducerIdRequest::default(), 4).await.unwrap();
    assert_eq!(id.error_code, ErrorCode::NONE);
    lone.stop().await;
}
