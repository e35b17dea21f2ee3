//! DescribeLogDirs (key 35), versions 1 to 5: this broker's log directories, with the local bytes of each replica
//! (KIP-113). What has moved down to the cold tier is on no disk, so it is not counted.
//!
//! Without a list of topics all are meant. There are no future replicas, and the size of the volume is not told (−1).
//! Errors: CLUSTER_AUTHORIZATION_FAILED (31); KAFKA_STORAGE_ERROR (56) for a directory that is offline.

use std::collections::{HashMap, HashSet};

use super::Context;
use super::errors::ApiError;
use crate::metadata::AclOperation;
use crate::types::TopicPartition;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    if let Err(ApiError { code, .. }) = context.check_on_cluster(AclOperation::Describe) {
        return DescribeLogDirsResponse { error_code: code, ..Default::default() };
    }
    let wanted = request.topics.map(|topics| {
        let mut wanted: HashMap<String, HashSet<i32>> = HashMap::new();
        for topic in topics {
            wanted.entry(topic.topic.to_string()).or_default().extend(topic.partitions);
        }
        wanted
    });
    let is_wanted = move |partition: &TopicPartition| {
        wanted.as_ref().is_none_or(|wanted| {
            wanted.get(partition.topic.as_str()).is_some_and(|some| some.contains(&partition.partition))
        })
    };
    // All of a broker's directories are cordoned, or none (KIP-1066).
    let cordoned = context.broker.live().config.properties.get("cordoned.log.dirs").is_some();
    let mut results = Vec::new();
    for dir in context.broker.log_dirs(is_wanted) {
        let mut topics: Vec<DescribeLogDirsTopic> = Vec::new();
        for replica in dir.replicas {
            let partition = DescribeLogDirsPartition {
                partition_index: replica.partition.partition,
                partition_size: i64::try_from(replica.size_bytes).unwrap_or(i64::MAX),
                offset_lag: replica.lag,
                is_future_key: false,
            };
            match topics.last_mut().filter(|last| last.name == *replica.partition.topic.as_str()) {
                Some(last) => last.partitions.push(partition),
                None => topics.push(DescribeLogDirsTopic {
                    name: replica.partition.topic.as_str().into(),
                    partitions: vec![partition],
                }),
            }
        }
        results.push(DescribeLogDirsResult {
            error_code: if dir.is_offline { ErrorCode::KAFKA_STORAGE_ERROR } else { ErrorCode::NONE },
            log_dir: dir.path.display().to_string().into(),
            topics,
            is_cordoned: cordoned,
            ..Default::default()
        });
    }
    DescribeLogDirsResponse { results, ..Default::default() }
}
