//! No API is forgotten where all of them must be: in the audit log, and in the table of what each asks for.
//!
//! Whoever adds an API meets a `match` that does not compile until it is said whether the API changes something.

use crate::env::{Disk as _, RealDisk};
use crate::wire::ApiKey;

/// Whether an API changes the cluster as an operator would: such a change is told to the audit log. Producers' and consumers'
/// own work is not (records, offsets, memberships, transactions).
fn changes_the_cluster(api: ApiKey) -> bool {
    match api {
        ApiKey::CreateTopics
        | ApiKey::DeleteTopics
        | ApiKey::DeleteRecords
        | ApiKey::WriteTxnMarkers
        | ApiKey::CreateAcls
        | ApiKey::DeleteAcls
        | ApiKey::CreatePartitions
        | ApiKey::DeleteGroups
        | ApiKey::ElectLeaders
        | ApiKey::AlterConfigs
        | ApiKey::IncrementalAlterConfigs
        | ApiKey::AlterPartitionReassignments
        | ApiKey::OffsetDelete
        | ApiKey::AlterClientQuotas
        | ApiKey::UnregisterBroker
        | ApiKey::UpdateFeatures
        | ApiKey::AddRaftVoter
        | ApiKey::RemoveRaftVoter
        | ApiKey::AlterUserScramCredentials => true,
        ApiKey::Produce
        | ApiKey::Fetch
        | ApiKey::ListOffsets
        | ApiKey::Metadata
        | ApiKey::OffsetCommit
        | ApiKey::OffsetFetch
        | ApiKey::FindCoordinator
        | ApiKey::JoinGroup
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::SyncGroup
        | ApiKey::DescribeGroups
        | ApiKey::ListGroups
        | ApiKey::SaslHandshake
        | ApiKey::ApiVersions
        | ApiKey::InitProducerId
        | ApiKey::OffsetForLeaderEpoch
        | ApiKey::AddPartitionsToTxn
        | ApiKey::AddOffsetsToTxn
        | ApiKey::EndTxn
        | ApiKey::TxnOffsetCommit
        | ApiKey::DescribeAcls
        | ApiKey::DescribeConfigs
        | ApiKey::DescribeLogDirs
        | ApiKey::SaslAuthenticate
        | ApiKey::ListPartitionReassignments
        | ApiKey::DescribeClientQuotas
        | ApiKey::DescribeUserScramCredentials
        | ApiKey::DescribeQuorum
        | ApiKey::DescribeCluster
        | ApiKey::DescribeProducers
        | ApiKey::DescribeTransactions
        | ApiKey::ListTransactions
        | ApiKey::ConsumerGroupHeartbeat
        | ApiKey::GetTelemetrySubscriptions
        | ApiKey::PushTelemetry
        | ApiKey::ListConfigResources
        | ApiKey::DescribeTopicPartitions
        | ApiKey::ConsumerGroupDescribe => false,
    }
}

fn source(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    String::from_utf8(RealDisk.read(&path).expect("a file of the tree")).expect("text")
}

fn file_of(api: ApiKey) -> String {
    let mut name = String::new();
    for c in format!("{api:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    format!("src/api/{name}.rs")
}

/// Calls of the audit log in the words of the house: `context.changed("Api", …)` or `changed_with`.
fn tells(source: &str, api: ApiKey) -> bool {
    let told = [format!("changed(\"{api:?}\""), format!("changed_with(\"{api:?}\"")];
    told.iter().any(|call| source.contains(call))
}

#[test]
fn every_api_that_changes_the_cluster_tells_the_audit_log_and_no_other_does() {
    for api in ApiKey::ALL {
        let changes = changes_the_cluster(api);
        let told = changes && tells(&source(&file_of(api)), api);
        assert_eq!(told, changes, "{api:?}: {} does not call `context.changed`", file_of(api));
    }
    assert!(
        !tells("fn handle(context: &Context) { grow(context) }", ApiKey::CreatePartitions),
        "the control"
    );
}

#[test]
fn the_table_of_what_each_api_asks_for_has_every_api() {
    let head = source("src/security/authorizer.rs");
    let names: Vec<&str> = head
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .filter_map(|row| row.split('|').next())
        .flat_map(|names| names.split(|c: char| !c.is_alphanumeric()))
        .collect();
    for api in ApiKey::ALL {
        let name = format!("{api:?}");
        assert!(
            names.contains(&name.as_str()),
            "{name} has no row in the table of src/security/authorizer.rs"
        );
    }
}
