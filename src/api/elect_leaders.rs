//! ElectLeaders (key 43), versions 0 to 2: preferred leaders, and from version 1 unclean elections (KIP-460).
//!
//! Without a list of partitions all are meant, and those that need no election are left out of the answer. An unclean
//! election takes place only where the topic's `unclean.leader.election.enable` allows it.
//!
//! Errors: CLUSTER_AUTHORIZATION_FAILED (31), UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_REQUEST (42: an unknown kind of
//! election), ELECTION_NOT_NEEDED (84), PREFERRED_LEADER_NOT_AVAILABLE (80), ELIGIBLE_LEADERS_NOT_AVAILABLE (83),
//! REQUEST_TIMED_OUT (7).

use std::time::Duration;

use super::Context;
use super::errors::{ApiError, Coded as _};
use super::topics::existing;
use crate::broker::{Election, ElectionError};
use crate::metadata::AclOperation;
use crate::types::TopicPartition;
use crate::wire::ErrorCode;
use crate::wire::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    if let Err(ApiError { code, text }) = context.check_on_cluster(AclOperation::Alter) {
        return refused(request, code, &text);
    }
    let election = match request.election_type {
        PREFERRED => Election::Preferred,
        UNCLEAN => Election::Unclean,
        _ if request.topic_partitions.as_ref().is_some_and(Vec::is_empty) => {
            return ElectLeadersResponse::default();
        }
        other => {
            return refused(request, ErrorCode::INVALID_REQUEST, &format!("there is no election {other}"));
        }
    };
    let mut answer: Vec<ReplicaElectionResult> = Vec::new();
    let wanted = request.topic_partitions.map(|topics| {
        let mut wanted = Vec::new();
        for topic in topics {
            match existing(&topic.topic) {
                Ok(name) => {
                    wanted.extend(topic.partitions.iter().map(|p| TopicPartition::new(name.clone(), *p)));
                }
                Err(error) => {
                    let results = topic.partitions.iter().map(|p| PartitionResult {
                        partition_id: *p,
                        error_code: error.code,
                        error_message: Some(error.text.as_str().into()),
                    });
                    let partition_result = results.collect();
                    answer.push(ReplicaElectionResult { topic: topic.topic, partition_result });
                }
            }
        }
        wanted
    });
    let limit = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let outcomes = context.broker.elect_leaders(election, wanted, limit).await;
    let elected = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count();
    let what = format!("{election:?}: {elected} of {} partitions", outcomes.len());
    context.changed_with("ElectLeaders", &what, ErrorCode::NONE);
    for (partition, outcome) in outcomes {
        let result = PartitionResult {
            partition_id: partition.partition,
            error_code: outcome.as_ref().map_or_else(ElectionError::code, |()| ErrorCode::NONE),
            error_message: outcome.err().map(|error| error.text().into()),
        };
        match answer.last_mut().filter(|last| last.topic == *partition.topic.as_str()) {
            Some(last) => last.partition_result.push(result),
            None => answer.push(ReplicaElectionResult {
                topic: partition.topic.as_str().into(),
                partition_result: vec![result],
            }),
        }
    }
    ElectLeadersResponse { replica_election_results: answer, ..Default::default() }
}

/// As Kafka refuses: once for all, and for each partition that was named.
fn refused(request: ElectLeadersRequest, code: ErrorCode, text: &str) -> ElectLeadersResponse {
    let topics = request.topic_partitions.unwrap_or_default().into_iter();
    let results = topics.map(|topic| {
        let results = topic.partitions.iter().map(|p| PartitionResult {
            partition_id: *p,
            error_code: code,
            error_message: Some(text.into()),
        });
        ReplicaElectionResult { partition_result: results.collect(), topic: topic.topic }
    });
    ElectLeadersResponse {
        error_code: code,
        replica_election_results: results.collect(),
        ..Default::default()
    }
}
