//! What tests of a lone broker share: a fetch as a client's, and all that a reader is given.

use std::time::Duration;

use super::{Broker, FetchError, FetchPartition, FetchRequest, Fetched};
use crate::replication::Isolation;
use crate::types::{Offset, TopicPartition};
use crate::wire::record_batch::{Batch, BatchIter};

/// From this offset on, so many bytes at most.
pub(in crate::broker) fn wanted(
    partition: &TopicPartition,
    offset: Offset,
    max_bytes: usize,
) -> FetchPartition {
    FetchPartition {
        partition: partition.clone(),
        topic_id: None,
        offset,
        max_bytes,
        leader_epoch: None,
        last_fetched_epoch: None,
    }
}

/// A request for these, so many bytes in all.
pub(in crate::broker) fn request(partitions: Vec<FetchPartition>, max_bytes: usize) -> FetchRequest {
    FetchRequest {
        partitions,
        max_wait: Duration::from_secs(1),
        min_bytes: 1,
        max_bytes,
        isolation: Isolation::ReadUncommitted,
        place: None,
        takes_files: true,
    }
}

/// One partition's answer, of 20,000 bytes at most.
pub(in crate::broker) async fn fetch(
    broker: &Broker,
    partition: &TopicPartition,
    offset: Offset,
) -> Result<Fetched, FetchError> {
    broker.fetch(&request(vec![wanted(partition, offset, 20_000)], 1 << 20)).await.0.remove(0)
}

/// The batches that a reader is given from this offset on until it stands at `end`; each one's checksum is right.
pub(in crate::broker) async fn batches(
    broker: &Broker,
    partition: &TopicPartition,
    from: Offset,
    end: Offset,
) -> Vec<Batch> {
    let (mut next, mut found) = (from, Vec::new());
    while next < end {
        let fetched = fetch(broker, partition, next).await.unwrap();
        for batch in BatchIter::new(fetched.records.into_bytes().unwrap()) {
            let batch = batch.unwrap();
            batch.check_crc().unwrap();
            next = batch.header.end_offset();
            found.push(batch);
        }
    }
    found
}
