//! ListOffsets (key 2), versions 1 to 11: offsets by time and by name, across both tiers.
//!
//! Timestamps below zero are names: −1 latest, −2 earliest, −3 the largest timestamp (version 7), −4 earliest local
//! (8), −5 the latest that is tiered (9), −6 the earliest that is not tiered yet (11). read_committed (version 2) makes
//! "latest" the last stable offset. From version 10 the client's timeout bounds questions to the cold tier.
//!
//! Errors per partition: INVALID_REQUEST (42), once, for a partition named twice, UNSUPPORTED_VERSION (35) for a name that the
//! version does not have, OFFSET_NOT_AVAILABLE (78; before version 5 LEADER_NOT_AVAILABLE), REQUEST_TIMED_OUT (7),
//! TOPIC_AUTHORIZATION_FAILED (29), CLUSTER_AUTHORIZATION_FAILED (31) to clients that play replica, and those of Fetch.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;

use super::Context;
use super::errors::Coded as _;
use crate::broker::{ListError, OffsetSpec};
use crate::env::timeout;
use crate::metadata::{AclOperation, ResourceKind};
use crate::replication::Isolation;
use crate::types::{LeaderEpoch, TopicName, TopicPartition};
use crate::wire::ErrorCode;
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let isolation =
        if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let mut seen = HashSet::new();
    let repeated: HashSet<(&str, i32)> = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|p| (topic.name.as_str(), p.partition_index)))
        .filter(|named| !seen.insert(*named))
        .collect();
    let asked = Asked { context, version, isolation, limit: limit(context, version, request.timeout_ms) };
    let topics = request.topics.iter().map(|topic| {
        let (asked, repeated) = (&asked, &repeated);
        let allowed = context.check(AclOperation::Describe, ResourceKind::Topic, &topic.name);
        let name = allowed.and_then(|()| TopicName::new(&topic.name).map_err(|e| e.code()));
        async move {
            let mut answered = HashSet::new();
            let once = topic.partitions.iter().filter(|partition| answered.insert(partition.partition_index));
            let partitions = once.map(|partition| {
                let name = if request.replica_id >= 0 {
                    Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED)
                } else if name.is_ok() && repeated.contains(&(topic.name.as_str(), partition.partition_index))
                {
                    Err(ErrorCode::INVALID_REQUEST)
                } else {
                    name.clone()
                };
                asked.one(name, partition)
            });
            ListOffsetsTopicResponse { name: topic.name.clone(), partitions: join_all(partitions).await }
        }
    });
    ListOffsetsResponse { throttle_time_ms: 0, topics: join_all(topics).await }
}

/// What all partitions of a request share.
struct Asked<'a> {
    context: &'a Context,
    version: i16,
    isolation: Isolation,
    limit: Duration,
}

impl Asked<'_> {
    async fn one(
        &self,
        name: Result<TopicName, ErrorCode>,
        partition: &ListOffsetsPartition,
    ) -> ListOffsetsPartitionResponse {
        let answer = async {
            let spec = spec(self.version, partition.timestamp).ok_or(ErrorCode::UNSUPPORTED_VERSION)?;
            let at = TopicPartition::new(name?, partition.partition_index);
            let epoch =
                (partition.current_leader_epoch >= 0).then_some(LeaderEpoch(partition.current_leader_epoch));
            let broker = &self.context.broker;
            let listing = broker.list_offset(&at, spec, self.isolation, epoch);
            match timeout(&*broker.env().clock, self.limit, listing).await {
                Ok(Ok(listed)) => Ok(listed),
                Ok(Err(ListError::NotAvailable)) if self.version < 5 => Err(ErrorCode::LEADER_NOT_AVAILABLE),
                Ok(Err(error)) => Err(error.code()),
                Err(_) => Err(ErrorCode::REQUEST_TIMED_OUT),
            }
        };
        let partition_index = partition.partition_index;
        match answer.await {
            Ok(listed) => ListOffsetsPartitionResponse {
                partition_index,
                timestamp: listed.timestamp,
                offset: listed.offset.0,
                // Only version 4 has a place for it, and a field without a place refuses the whole answer.
                leader_epoch: if self.version >= 4 { listed.leader_epoch.0 } else { -1 },
                ..Default::default()
            },
            Err(error_code) => {
                ListOffsetsPartitionResponse { partition_index, error_code, ..Default::default() }
            }
        }
    }
}

fn limit(context: &Context, version: i16, timeout_ms: i32) -> Duration {
    let ours = context.broker.config().millis("request.timeout.ms");
    match u64::try_from(timeout_ms) {
        Ok(theirs) if version >= 10 && theirs > 0 => ours.min(Duration::from_millis(theirs)),
        _ => ours,
    }
}

/// What a timestamp means in a version.
fn spec(version: i16, timestamp: i64) -> Option<OffsetSpec> {
    let (since, spec) = match timestamp {
        0.. => (1, OffsetSpec::Timestamp(timestamp)),
        -1 => (1, OffsetSpec::Latest),
        -2 => (1, OffsetSpec::Earliest),
        -3 => (7, OffsetSpec::MaxTimestamp),
        -4 => (8, OffsetSpec::EarliestLocal),
        -5 => (9, OffsetSpec::LatestTiered),
        -6 => (11, OffsetSpec::EarliestPendingUpload),
        _ => return None,
    };
    (version >= since).then_some(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_offsets_belong_to_versions() {
        assert_eq!(spec(1, -2), Some(OffsetSpec::Earliest));
        assert_eq!(spec(6, -3), None);
        assert_eq!(spec(7, -3), Some(OffsetSpec::MaxTimestamp));
        assert_eq!(spec(11, -7), None);
        assert_eq!(spec(1, 0), Some(OffsetSpec::Timestamp(0)));
    }
}
