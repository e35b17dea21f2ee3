//! Produce (key 0), versions 3 to 13 (0 to 2 are advertised, not served): appends batches to partitions.
//!
//! Topics by name up to 12, by id from 13. Partitions are appended side by side; each has its own error. From version
//! 10 NOT_LEADER_OR_FOLLOWER comes with the leader and its address (KIP-951). With acks=0 nothing is answered, and an
//! error closes the connection: the client then asks for metadata.
//!
//! Before a transaction begins in a partition, its coordinator is asked (KIP-890): up to version 11 whether the partition
//! was added, from 12 to add it.
//!
//! Errors: INVALID_REQUIRED_ACKS (21), TRANSACTIONAL_ID_AUTHORIZATION_FAILED (53: also a batch of a transaction without
//! a transactional id), INVALID_TXN_STATE (48), INVALID_PRODUCER_ID_MAPPING (49), CONCURRENT_TRANSACTIONS (51),
//! TRANSACTION_ABORTABLE (120, from version 11),
//! TOPIC_AUTHORIZATION_FAILED (29), INVALID_TOPIC_EXCEPTION (17), UNKNOWN_TOPIC_OR_PARTITION (3), UNKNOWN_TOPIC_ID (100),
//! NOT_LEADER_OR_FOLLOWER (6),
//! NOT_ENOUGH_REPLICAS (19, 20), REQUEST_TIMED_OUT (7), KAFKA_STORAGE_ERROR (56), and what a batch is rejected for:
//! 2, 10, 18, 32, 45, 47, 87.

use std::time::Duration;

use futures::future::join_all;

use super::errors::{Coded as _, LeaderHint as _};
use super::transactions::not_joined;
use super::{Context, Refusal};
use crate::broker::{ProduceError, Produced, Transactional};
use crate::metadata::{AclOperation, ResourceKind};
use crate::replication::Acks;
use crate::types::{TopicId, TopicName, TopicPartition};
use crate::wire::ErrorCode;
use crate::wire::messages::produce::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};

/// The first version that knows TRANSACTION_ABORTABLE.
const KNOWS_ABORTABLE: i16 = 11;
/// The first version in which writing to a partition adds it to the transaction.
const ADDS_PARTITIONS: i16 = 12;

/// The response, or nothing with acks=0.
pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: ProduceRequest,
) -> Result<Option<ProduceResponse>, Refusal> {
    let acks = match request.acks {
        0 | 1 => Ok(Acks::Leader),
        -1 => Ok(Acks::All),
        _ => Err(ErrorCode::INVALID_REQUIRED_ACKS),
    };
    let plan = match &request.transactional_id {
        Some(id) => acks.and_then(|acks| {
            context.check(AclOperation::Write, ResourceKind::TransactionalId, id).map(|()| acks)
        }),
        None => acks,
    };
    let transactional = request
        .transactional_id
        .as_ref()
        .map(|id| Transactional { id: (&**id).into(), adds: version >= ADDS_PARTITIONS });
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let image = context.broker.image();
    let topics = request.topic_data.into_iter().map(|topic| {
        let known = plan.and_then(|acks| {
            let by_id = version >= 13;
            let named = context.topic_for(AclOperation::Write, &image, by_id, &topic.name, topic.topic_id)?;
            Ok((named, acks))
        });
        let asked = Asked { context, version, timeout, transactional: transactional.as_ref() };
        async move {
            let partitions =
                topic.partition_data.into_iter().map(|partition| append(&asked, &known, partition));
            TopicProduceResponse {
                name: topic.name,
                topic_id: topic.topic_id,
                partition_responses: join_all(partitions).await,
            }
        }
    });
    let responses = join_all(topics).await;
    if request.acks == 0 {
        let failed = responses.iter().flat_map(|t| &t.partition_responses).find(|p| !p.error_code.is_none());
        return match failed {
            None => Ok(None),
            Some(partition) => Err(Refusal::Unacknowledged(partition.error_code.to_string())),
        };
    }
    let node_endpoints = if version >= 10 { leaders(context, &responses) } else { Vec::new() };
    Ok(Some(ProduceResponse { responses, throttle_time_ms: 0, node_endpoints }))
}

type Known = Result<((TopicName, Option<TopicId>), Acks), ErrorCode>;

/// What all partitions of a request share.
struct Asked<'a> {
    context: &'a Context,
    version: i16,
    timeout: Duration,
    transactional: Option<&'a Transactional>,
}

async fn append(asked: &Asked<'_>, known: &Known, data: PartitionProduceData) -> PartitionProduceResponse {
    let Asked { context, version, timeout, transactional } = *asked;
    let index = data.index;
    let ((name, id), acks) = match known {
        Ok(known) => known,
        Err(code) => return refused(index, *code, None),
    };
    let Ok(records) = data.records.unwrap_or_default().into_bytes() else {
        return refused(index, ErrorCode::KAFKA_STORAGE_ERROR, None);
    };
    let partition = TopicPartition::new(name.clone(), index);
    match context.broker.produce(&partition, *id, records, *acks, timeout, transactional).await {
        Ok(Produced { base, log_append_time, log_start }) => PartitionProduceResponse {
            index,
            base_offset: base.0,
            log_append_time_ms: log_append_time.unwrap_or(-1),
            log_start_offset: log_start.0,
            ..Default::default()
        },
        Err(error) => {
            let current_leader = error.leader().map_or_else(LeaderIdAndEpoch::default, |(id, epoch)| {
                LeaderIdAndEpoch { leader_id: id.0, leader_epoch: epoch.0 }
            });
            let told = matches!(error, ProduceError::Rejected(_) | ProduceError::NotJoined(_));
            let text = told.then(|| error.text());
            let code = match error {
                ProduceError::NotJoined(why) => {
                    not_joined(why, version >= KNOWS_ABORTABLE, version >= ADDS_PARTITIONS)
                }
                _ => error.code(),
            };
            PartitionProduceResponse { current_leader, ..refused(index, code, text) }
        }
    }
}

fn refused(index: i32, error_code: ErrorCode, text: Option<String>) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code,
        base_offset: -1,
        error_message: text.map(Into::into),
        ..Default::default()
    }
}

/// Where the leaders are that the partitions name.
fn leaders(context: &Context, responses: &[TopicProduceResponse]) -> Vec<NodeEndpoint> {
    let named = responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .map(|partition| partition.current_leader.leader_id)
        .filter(|id| *id >= 0)
        .map(crate::types::BrokerId)
        .collect();
    context
        .endpoints_of(&context.broker.image(), named)
        .into_iter()
        .map(|(id, endpoint, rack)| NodeEndpoint {
            node_id: id.0,
            host: endpoint.host.into(),
            port: i32::from(endpoint.port),
            rack: rack.map(Into::into),
        })
        .collect()
}
