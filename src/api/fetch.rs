//! Fetch (key 1), versions 4 to 18: records of partitions, from both tiers; a long poll (KIP-74, KIP-227, KIP-320,
//! KIP-516, KIP-951).
//!
//! Topics by name up to 12, by id from 13. Whole batches come back; the first one even above the caps. With a session
//! (version 7) an answer has only the partitions that changed; an empty one has still waited. From version 11 on
//! followers answer too, and a leader sends a client to a follower in its rack if `replica.selector.class` says so
//! (KIP-392). From version 12 a client whose log has diverged hears where; from 16 NOT_LEADER_OR_FOLLOWER and
//! FENCED_LEADER_EPOCH come with the leader and its address. read_uncommitted gets no list of aborted transactions.
//! What is not there to be fetched at all cuts no wait short, what cannot be read now does.
//!
//! Errors of the whole: FETCH_SESSION_ID_NOT_FOUND (70), INVALID_FETCH_SESSION_EPOCH (71),
//! FETCH_SESSION_TOPIC_ID_ERROR (106), CLUSTER_AUTHORIZATION_FAILED (31) to clients that play replica. Per partition:
//! OFFSET_OUT_OF_RANGE (1), UNKNOWN_TOPIC_OR_PARTITION (3), NOT_LEADER_OR_FOLLOWER (6), INVALID_TOPIC_EXCEPTION (17),
//! TOPIC_AUTHORIZATION_FAILED (29), KAFKA_STORAGE_ERROR (56: also while the cold tier cannot be read; clients try
//! again), FENCED_LEADER_EPOCH (74), UNKNOWN_LEADER_EPOCH (75), UNKNOWN_TOPIC_ID (100), INCONSISTENT_TOPIC_ID (103).
//! Before version 6 clients know no KAFKA_STORAGE_ERROR and get NOT_LEADER_OR_FOLLOWER for it.

use std::time::Duration;

use super::Context;
use super::errors::{Coded as _, LeaderHint as _};
use super::fetch_sessions::{Plan, Wanted};
use crate::broker::{self, AnswerRoom, ClientPlace, FetchError, Fetched};
use crate::metadata::{AclOperation, QuotaKey};
use crate::replication::Isolation;
use crate::types::{BrokerId, TopicPartition};
use crate::wire::messages::fetch::{
    AbortedTransaction, EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse,
    LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use crate::wire::{ErrorCode, Records};

/// The answer, and the room in memory that it takes until the client has it.
pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: FetchRequest,
) -> (FetchResponse, Option<AnswerRoom>) {
    let refused = |error_code| (FetchResponse { error_code, ..FetchResponse::default() }, None);
    let replica = if version >= 15 { request.replica_state.replica_id } else { request.replica_id };
    if replica >= 0 {
        return refused(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    }
    let env = context.broker.env();
    let principal = &context.client.principal;
    let begun = context.fetch_sessions.begin(version, &request, principal, env.clock.now(), env.rng.as_ref());
    let plan = match begun {
        Ok(plan) => plan,
        Err(code) => return refused(code),
    };
    if context.is_in_debt(QuotaKey::ConsumerByteRate) {
        // Nothing is read for who has had too much: an empty answer tells how long to wait.
        let answers = plan.wanted.iter().map(|one| PartitionData {
            partition_index: one.named.partition,
            high_watermark: -1,
            ..empty()
        });
        let answers = answers.collect();
        return (assembled(context, version, plan, answers), None);
    }
    let (answers, room) = fetched(context, version, &request, &plan.wanted).await;
    let bytes: usize = answers.iter().filter_map(|answer| answer.records.as_ref()).map(Records::len).sum();
    context.take(QuotaKey::ConsumerByteRate, bytes as f64);
    (assembled(context, version, plan, answers), room)
}

/// The answers in the order of what was wanted.
async fn fetched(
    context: &Context,
    version: i16,
    request: &FetchRequest,
    wanted: &[Wanted],
) -> (Vec<PartitionData>, Option<AnswerRoom>) {
    let size = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
    let isolation =
        if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let image = context.broker.image();
    let mut failed: Vec<Option<ErrorCode>> = Vec::with_capacity(wanted.len());
    let mut partitions = Vec::with_capacity(wanted.len());
    for one in wanted {
        let (topic, id) = (&one.named.topic, one.named.topic_id);
        let named = context.topic_for(AclOperation::Read, &image, version >= 13, topic, id);
        let there = named.and_then(|(name, topic_id)| match image.partition(&name, one.named.partition) {
            Some(_) => Ok((name, topic_id)),
            None => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        });
        match there {
            Ok((name, topic_id)) => {
                failed.push(None);
                partitions.push(broker::FetchPartition {
                    partition: TopicPartition::new(name, one.named.partition),
                    topic_id,
                    offset: one.offset,
                    max_bytes: size(one.max_bytes),
                    leader_epoch: one.leader_epoch,
                    last_fetched_epoch: one.last_fetched_epoch,
                });
            }
            Err(code) => failed.push(Some(code)),
        }
    }
    let asked = broker::FetchRequest {
        partitions,
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        min_bytes: size(request.min_bytes),
        max_bytes: size(request.max_bytes)
            .min(context.broker.live().config.size("fetch.max.bytes"))
            .min(context.at_once(QuotaKey::ConsumerByteRate).unwrap_or(usize::MAX)),
        isolation,
        place: (version >= 11).then(|| ClientPlace {
            rack: request.rack_id.to_string(),
            listener: context.client.listener.to_string(),
        }),
        takes_files: context.client.takes_files,
    };
    let (answers, room) = context.broker.fetch(&asked).await;
    let mut answers = answers.into_iter();
    let data = wanted
        .iter()
        .zip(failed)
        .map(|(one, failed)| {
            let data = match failed {
                Some(error_code) => PartitionData {
                    error_code,
                    high_watermark: -1,
                    aborted_transactions: Some(Vec::new()),
                    ..empty()
                },
                // The broker answers every partition.
                None => answers.next().map_or_else(empty, |answer| data(version, isolation, answer)),
            };
            PartitionData { partition_index: one.named.partition, ..data }
        })
        .collect();
    (data, room)
}

/// No records, which is not the null that some clients stumble over.
fn empty() -> PartitionData {
    PartitionData { records: Some(Records::empty()), ..PartitionData::default() }
}

fn data(version: i16, isolation: Isolation, answer: Result<Fetched, FetchError>) -> PartitionData {
    let fetched = match answer {
        Ok(fetched) => fetched,
        Err(error) => return failure(version, &error),
    };
    let aborted = match isolation {
        Isolation::ReadUncommitted => None,
        Isolation::ReadCommitted => Some(
            fetched
                .aborted
                .iter()
                .map(|(id, first)| AbortedTransaction { producer_id: id.0, first_offset: first.0 })
                .collect(),
        ),
    };
    let diverging_epoch = match fetched.diverging {
        Some((epoch, end)) if version >= 12 => EpochEndOffset { epoch: epoch.0, end_offset: end.0 },
        _ => EpochEndOffset::default(),
    };
    PartitionData {
        high_watermark: fetched.high_watermark.0,
        last_stable_offset: fetched.last_stable.0,
        log_start_offset: fetched.log_start.0,
        diverging_epoch,
        aborted_transactions: aborted,
        preferred_read_replica: fetched.preferred.map_or(-1, |id| id.0),
        records: Some(fetched.records),
        ..PartitionData::default()
    }
}

fn failure(version: i16, error: &FetchError) -> PartitionData {
    let error_code = match error.code() {
        ErrorCode::KAFKA_STORAGE_ERROR if version < 6 => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        code => code,
    };
    let mut data = PartitionData { error_code, high_watermark: -1, ..empty() };
    if let Some((leader, epoch)) = error.leader().filter(|_| version >= 16) {
        data.current_leader = LeaderIdAndEpoch { leader_id: leader.0, leader_epoch: epoch.0 };
    }
    if matches!(error, FetchError::Tier(_) | FetchError::Storage(_)) {
        tracing::warn!("a fetch failed: {error}");
    }
    data
}

/// Puts the partitions that the client must hear of under their topics.
fn assembled(context: &Context, version: i16, plan: Plan, answers: Vec<PartitionData>) -> FetchResponse {
    let told = match context.fetch_sessions.finish(&plan, &answers) {
        Ok(told) => told,
        Err(error_code) => {
            return FetchResponse { error_code, session_id: plan.session, ..FetchResponse::default() };
        }
    };
    let mut responses: Vec<FetchableTopicResponse> = Vec::new();
    let mut leaders = Vec::new();
    for ((wanted, answer), told) in plan.wanted.into_iter().zip(answers).zip(told) {
        if !told {
            continue;
        }
        if answer.current_leader.leader_id >= 0 {
            leaders.push(BrokerId(answer.current_leader.leader_id));
        }
        let named = wanted.named;
        match responses.last_mut() {
            Some(topic) if topic.topic == named.topic && topic.topic_id == named.topic_id => {
                topic.partitions.push(answer);
            }
            _ => responses.push(FetchableTopicResponse {
                topic: named.topic,
                topic_id: named.topic_id,
                partitions: vec![answer],
            }),
        }
    }
    let node_endpoints = if version >= 16 && !leaders.is_empty() {
        let brokers = context.endpoints_of(&context.broker.image(), leaders);
        brokers
            .into_iter()
            .map(|(id, endpoint, rack)| NodeEndpoint {
                node_id: id.0,
                host: endpoint.host.into(),
                port: i32::from(endpoint.port),
                rack: rack.map(Into::into),
            })
            .collect()
    } else {
        Vec::new()
    };
    FetchResponse {
        throttle_time_ms: 0,
        error_code: ErrorCode::NONE,
        session_id: plan.session,
        responses,
        node_endpoints,
    }
}
