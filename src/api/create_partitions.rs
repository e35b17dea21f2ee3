//! CreatePartitions (key 37), versions 0 to 3: grows topics; each has its own result (KIP-195).
//!
//! Errors: TOPIC_AUTHORIZATION_FAILED (29), INVALID_REQUEST (42: named twice), UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_PARTITIONS (37),
//! INVALID_REPLICA_ASSIGNMENT (39), INVALID_REPLICATION_FACTOR (38), THROTTLING_QUOTA_EXCEEDED (89, from version 3), REQUEST_TIMED_OUT (7).

use super::Context;
use super::access::refusal_text;
use super::create_topics::check_quota;
use super::errors::ApiError;
use super::topics::{by, deadline, existing, named_twice, repeated};
use crate::env::MonoTime;
use crate::metadata::{AclOperation, ResourceKind};
use crate::types::BrokerId;
use crate::wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let deadline = deadline(context, request.timeout_ms);
    let repeated = repeated(request.topics.iter().map(|topic| topic.name.as_str()));
    let mut results: Vec<CreatePartitionsTopicResult> = Vec::with_capacity(request.topics.len());
    for wanted in &request.topics {
        if results.iter().any(|result| result.name == wanted.name) {
            continue;
        }
        let grown = if repeated.contains(wanted.name.as_str()) {
            Err(named_twice())
        } else {
            grow(context, version, wanted, request.validate_only, deadline).await
        };
        let mut result = CreatePartitionsTopicResult { name: wanted.name.clone(), ..Default::default() };
        if let Err(ApiError { code, text }) = grown {
            result.error_code = code;
            result.error_message = Some(text.into());
        }
        results.push(result);
    }
    CreatePartitionsResponse { throttle_time_ms: 0, results }
}

async fn grow(
    context: &Context,
    version: i16,
    wanted: &CreatePartitionsTopic,
    validate_only: bool,
    deadline: Option<MonoTime>,
) -> Result<(), ApiError> {
    context
        .check(AclOperation::Alter, ResourceKind::Topic, &wanted.name)
        .map_err(|code| ApiError::new(code, refusal_text(ResourceKind::Topic)))?;
    let name = existing(&wanted.name)?;
    let assignment = wanted
        .assignments
        .as_ref()
        .map(|given| given.iter().map(|a| a.broker_ids.iter().copied().map(BrokerId).collect()).collect());
    if !validate_only {
        let have = context.broker.image().topics.get(&name).map_or(0, |topic| topic.partitions.len());
        let more = usize::try_from(wanted.count).unwrap_or(0).saturating_sub(have);
        check_quota(context, more, version >= 3)?;
    }
    let grown = context.broker.create_partitions(&name, wanted.count, assignment, validate_only);
    let grown = by(context, deadline, grown).await;
    if !validate_only {
        context.changed("CreatePartitions", name.as_str(), grown.as_ref().err());
    }
    grown
}
