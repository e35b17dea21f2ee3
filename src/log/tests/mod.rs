//! Tests of the log on a simulated disk.

mod aborted;
mod basics;
mod compaction;
mod compaction_crashes;
mod compaction_model;
mod crashes;
mod directories;
mod every_call;
mod flips;
mod formats;
mod model;
mod positions;
mod rules;
mod spans;
mod transactions;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{Log, LogConfig, LogDirs, LogError, OpenLog, RecoveryReport};
use crate::env::Disk as _;
use crate::env::sim::SimDisk;
use crate::types::{
    BrokerEpoch, LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicId, TopicName, TopicPartition,
};
use crate::wire::record_batch::{BatchBuilder, BatchIter, Compression, HEADER_BYTES};

pub(super) const NOW_MS: i64 = 1_700_000_000_000;
pub(super) const EPOCH: LeaderEpoch = LeaderEpoch(3);

/// The proof of a clean stop in all directories.
pub(super) fn mark_clean(dirs: &LogDirs, epoch: BrokerEpoch) -> Result<(), LogError> {
    dirs.directories().into_iter().try_for_each(|(directory, _)| dirs.mark_clean(directory, epoch))
}

pub(super) fn dir() -> PathBuf {
    PathBuf::from("/logs/orders-7")
}

pub(super) fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::new("orders").expect("a name"), 7)
}

/// How to open the log of these tests; fields are changed where a test needs it.
pub(super) fn opening(disk: &SimDisk, config: &LogConfig) -> OpenLog {
    OpenLog {
        disk: Arc::new(disk.clone()),
        dir: dir(),
        partition: partition(),
        topic_id: TopicId::from_bytes([7; 16]),
        config: Arc::new(config.clone()),
        clean: false,
        write_again: false,
        recovery_point: Offset::ZERO,
        high_watermark: Offset::ZERO,
        log_start: Offset::ZERO,
        cleaned: Offset::ZERO,
        now_ms: NOW_MS,
    }
}

pub(super) fn open(disk: &SimDisk, config: &LogConfig) -> (Log, RecoveryReport) {
    Log::open(opening(disk, config)).expect("the log opens")
}

pub(super) fn fresh(config: &LogConfig) -> (SimDisk, Log) {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new("/logs")).expect("a folder");
    disk.sync_dir(Path::new("/")).expect("syncs");
    let log = open(&disk, config).0;
    (disk, log)
}

/// Segments of about this size, an index entry per 256 bytes.
pub(super) fn small(segment_bytes: u64) -> LogConfig {
    LogConfig { segment_bytes, index_interval_bytes: 256, ..LogConfig::default() }
}

/// A client's batch of records `key → value`, all with this timestamp.
pub(super) fn batch_at(timestamp: i64, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::default();
    for value in values {
        builder.add(timestamp, Some(b"key"), Some(value.as_bytes()), &[]);
    }
    builder.build().expect("a batch")
}

pub(super) fn batch(values: &[&str]) -> Bytes {
    batch_at(NOW_MS, values)
}

/// A batch of `count` records of an idempotent producer.
pub(super) fn produced(id: i64, epoch: i16, sequence: i32, count: usize) -> Bytes {
    let mut builder =
        BatchBuilder::new(Compression::None).producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    for i in 0..count {
        builder.add(NOW_MS, None, Some(format!("{id}/{epoch}/{sequence}+{i}").as_bytes()), &[]);
    }
    builder.build().expect("a batch")
}

/// Appends one batch that must be accepted; its first offset.
pub(super) fn append(log: &mut Log, batch: Bytes) -> Offset {
    let mut answers = log.append_as_leader(vec![batch], EPOCH, NOW_MS).expect("the write succeeds");
    answers.remove(0).expect("the batch is accepted").base
}

/// All bytes from an offset to the log end.
pub(super) fn read_all(log: &Log, from: Offset) -> Result<Bytes, LogError> {
    let mut bytes = Vec::new();
    let mut next = from;
    while next < log.log_end() {
        let part = log.read(next, 1 << 20, log.log_end(), true)?.load()?;
        let last = BatchIter::new(part.clone()).last().expect("at least one batch").expect("a batch");
        next = last.header.end_offset();
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.into())
}

/// Offsets and values of all records in some bytes.
pub(super) fn records(bytes: &Bytes) -> Vec<(i64, String)> {
    BatchIter::new(bytes.clone())
        .flat_map(|batch| batch.expect("a batch").records(1 << 20).expect("records"))
        .map(|record| {
            let record = record.expect("a record");
            (record.offset.0, String::from_utf8_lossy(&record.value.expect("a value")).into_owned())
        })
        .collect()
}

pub(super) fn body(batch: &Bytes) -> Bytes {
    batch.slice(HEADER_BYTES..)
}
