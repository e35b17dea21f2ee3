//! The public face while the room is being built; each body lands in its own file next.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::{EpochCache, EpochEntry, LogConfig, LogError, Rejected};
use crate::env::{DiskFile, Rng, SharedDisk};
use crate::types::{BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Offset, TopicId, TopicPartition};

/// What is needed to open a log.
pub struct OpenLog {
    /// Where it lies.
    pub disk: SharedDisk,
    /// The partition's folder; created if absent.
    pub dir: PathBuf,
    /// Whose log it is.
    pub partition: TopicPartition,
    /// Must equal what the folder says.
    pub topic_id: TopicId,
    /// The topic's configs.
    pub config: Arc<LogConfig>,
    /// Whether the last stop was clean: no scan then.
    pub clean: bool,
    /// Everything below has been fsynced.
    pub recovery_point: Offset,
    /// The stored high watermark.
    pub high_watermark: Offset,
    /// The stored log start.
    pub log_start: Offset,
    /// Wall time.
    pub now_ms: i64,
}

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Bytes of a torn tail that were cut.
    pub cut_bytes: u64,
    /// Segments that were scanned.
    pub scanned_segments: usize,
    /// Index files rebuilt.
    pub rebuilt_indexes: usize,
}

/// An accepted append.
#[derive(Clone, Debug)]
pub struct Appended {
    /// First offset.
    pub base: Offset,
    /// Last offset (inclusive).
    pub last: Offset,
    /// The epoch it was appended under.
    pub epoch: LeaderEpoch,
    /// Largest timestamp.
    pub max_timestamp: i64,
    /// The broker's time, if the topic has LogAppendTime.
    pub log_append_time: Option<i64>,
    /// Already there: acknowledged with its old offset, nothing was written.
    pub duplicate: bool,
    /// The bytes as written: patched headers and untouched bodies. Empty for a duplicate.
    pub chunks: Vec<Bytes>,
}

/// Whole batches that can be read without the log's lock.
#[derive(Clone, Debug)]
pub struct LogSlice {
    file: Option<Arc<dyn DiskFile>>,
}

impl LogSlice {
    /// Reads the batches from the one that holds the first offset asked for; checks every CRC.
    pub fn load(&self) -> Result<Bytes, LogError> {
        unimplemented!("{:?}", self.file)
    }
    /// No more than this many bytes come back (except for a single larger first batch).
    pub fn bound_bytes(&self) -> usize {
        unimplemented!()
    }
}

/// A segment that is no longer written.
#[derive(Clone, Debug)]
pub struct ClosedSegment {
    /// First offset.
    pub base: Offset,
    /// End, exclusive.
    pub end: Offset,
    /// Bytes of the `.log` file.
    pub bytes: u64,
    /// Largest timestamp, or −1.
    pub max_timestamp: i64,
    /// The part of the epoch chain that covers it.
    pub epochs: Vec<EpochEntry>,
    /// The `.log` file, for reading.
    pub file: Arc<dyn DiskFile>,
}

/// The files beside a closed segment, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSections {
    /// `.index`
    pub index: Bytes,
    /// `.timeindex`
    pub time_index: Bytes,
    /// `.txnindex`
    pub txn_index: Bytes,
    /// `.snapshot` of the producers at the segment's end.
    pub producer_snapshot: Bytes,
    /// `leader-epoch-checkpoint` up to the segment's end.
    pub leader_epochs: Bytes,
}

/// Files to delete; run it without the lock. What is not run is deleted at the next open.
#[must_use]
pub struct Removal {
    paths: Vec<PathBuf>,
}

impl Removal {
    /// Deletes.
    pub fn run(self) -> Result<(), LogError> {
        unimplemented!("{:?}", self.paths)
    }
}

/// An fsync to be run without the lock; hand the answer to `Log::finish_flush`.
#[must_use]
pub struct FlushJob {
    end: Offset,
}

/// What became of a `FlushJob`.
#[must_use]
pub struct FlushOutcome {}

impl FlushJob {
    /// Fsyncs.
    pub fn run(self) -> FlushOutcome {
        unimplemented!("{}", self.end)
    }
}

/// Where a record with a timestamp was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp.
    pub timestamp: i64,
    /// The epoch it was written under.
    pub epoch: LeaderEpoch,
}

/// One partition's log.
#[derive(Debug)]
pub struct Log {
    epochs: EpochCache,
}

#[allow(unused_variables, missing_docs)]
impl Log {
    pub fn open(open: OpenLog) -> Result<(Log, RecoveryReport), LogError> {
        unimplemented!()
    }
    /// Appends what each client sent for this partition, with one vectored write. An inner error refuses one
    /// client's batch; an outer one means the write failed: the leader resigns.
    pub fn append_as_leader(
        &mut self,
        items: Vec<Bytes>,
        epoch: LeaderEpoch,
        now_ms: i64,
    ) -> Result<Vec<Result<Appended, Rejected>>, LogError> {
        unimplemented!()
    }
    /// Appends batches as the leader wrote them.
    pub fn append_as_follower(&mut self, batches: Bytes, now_ms: i64) -> Result<Appended, LogError> {
        unimplemented!()
    }
    /// From the batch that holds `from`, up to `max_bytes`, nothing at or above `end`.
    pub fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        end: Offset,
        at_least_one: bool,
    ) -> Result<LogSlice, LogError> {
        unimplemented!()
    }
    pub fn config(&self) -> &Arc<LogConfig> {
        unimplemented!()
    }
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        unimplemented!()
    }
    pub fn partition(&self) -> &TopicPartition {
        unimplemented!()
    }
    pub fn topic_id(&self) -> TopicId {
        unimplemented!()
    }
    pub fn log_start(&self) -> Offset {
        unimplemented!()
    }
    pub fn local_start(&self) -> Offset {
        unimplemented!()
    }
    pub fn log_end(&self) -> Offset {
        unimplemented!()
    }
    pub fn flushed_end(&self) -> Offset {
        unimplemented!()
    }
    /// First offset that is not decided at this high watermark (exclusive end for read_committed).
    pub fn last_stable(&self, high_watermark: Offset) -> Offset {
        unimplemented!()
    }
    pub fn last_epoch(&self) -> LeaderEpoch {
        unimplemented!()
    }
    /// Epoch of the last batch, or of the chain if there is none.
    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }
    /// A leader's new epoch begins at the log end; durable when this returns. Also ends the state after a failed write.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) -> Result<(), LogError> {
        unimplemented!()
    }
    /// Ends the state after a failed write: cuts what was written in part. Call when a new leader epoch is known.
    pub fn resume_under(&mut self, epoch: LeaderEpoch) -> Result<(), LogError> {
        unimplemented!()
    }
    /// Cuts to the last batch that ends at or below `end`; the new log end.
    pub fn truncate_to(&mut self, end: Offset) -> Result<Offset, LogError> {
        unimplemented!()
    }
    /// Drops everything and starts at `start`.
    pub fn reset_to(&mut self, start: Offset, epochs: Vec<EpochEntry>) -> Result<(), LogError> {
        unimplemented!()
    }
    /// Drops everything local and goes on at the tier's end.
    pub fn install_tier_state(
        &mut self,
        end: Offset,
        epochs: Vec<EpochEntry>,
        producer_snapshot: Bytes,
    ) -> Result<(), LogError> {
        unimplemented!()
    }
    pub fn advance_log_start(&mut self, to: Offset) -> Result<Removal, LogError> {
        unimplemented!()
    }
    pub fn roll(&mut self, now_ms: i64) -> Result<(), LogError> {
        unimplemented!()
    }
    /// Whether a segment was closed.
    pub fn roll_if_due(&mut self, now_ms: i64) -> Result<bool, LogError> {
        unimplemented!()
    }
    pub fn closed_segments(&self) -> Vec<ClosedSegment> {
        unimplemented!()
    }
    pub fn segment_sections(&self, base: Offset) -> Result<SegmentSections, LogError> {
        unimplemented!()
    }
    /// Local retention of a tiered topic: whole closed segments that end at or below `end` go; log start stays.
    pub fn delete_segments_below(&mut self, end: Offset) -> Result<Removal, LogError> {
        unimplemented!()
    }
    /// Up to where retention by time and size lets data go (a segment boundary, ≤ high watermark).
    pub fn expired_by_retention(&self, now_ms: i64, high_watermark: Offset) -> Offset {
        unimplemented!()
    }
    /// The same by `local.retention.*`, ≤ `tier_end`.
    pub fn expired_by_local_retention(&self, now_ms: i64, tier_end: Offset) -> Offset {
        unimplemented!()
    }
    /// First local record whose timestamp is at least `timestamp`, below `end`.
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
        end: Offset,
    ) -> Result<Option<TimestampOffset>, LogError> {
        unimplemented!()
    }
    pub fn max_timestamp(&self, end: Offset) -> Result<Option<TimestampOffset>, LogError> {
        unimplemented!()
    }
    pub fn size_bytes(&self) -> u64 {
        unimplemented!()
    }
    /// Fsyncs all that is not yet; with the lock held. The new flushed end.
    pub fn flush(&mut self) -> Result<Offset, LogError> {
        unimplemented!()
    }
    pub fn begin_flush(&mut self) -> Result<FlushJob, LogError> {
        unimplemented!()
    }
    pub fn finish_flush(&mut self, outcome: FlushOutcome) -> Result<Offset, LogError> {
        unimplemented!()
    }
    /// Flushes, writes the producer snapshot; the log takes no more appends.
    pub fn close_clean(&mut self) -> Result<(), LogError> {
        unimplemented!()
    }
}

/// Positions of a partition as the checkpoints keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointPositions {
    /// Everything below is fsynced.
    pub recovery_point: Offset,
    /// The high watermark.
    pub high_watermark: Offset,
    /// The log start.
    pub log_start: Offset,
}

/// A partition folder found at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPartition {
    /// The directory that holds it.
    pub directory: DirectoryId,
    /// The partition.
    pub partition: TopicPartition,
    /// From `partition.metadata`.
    pub topic_id: TopicId,
}

/// The broker's log directories (`log.dirs`). Shared; locks inside.
#[derive(Debug)]
pub struct LogDirs {}

#[allow(unused_variables, missing_docs)]
impl LogDirs {
    /// Opens or formats each directory. Reads and removes the clean-shutdown markers.
    pub fn open(
        disk: SharedDisk,
        rng: &dyn Rng,
        paths: &[PathBuf],
        node_id: BrokerId,
    ) -> Result<LogDirs, LogError> {
        unimplemented!()
    }
    pub fn directories(&self) -> Vec<(DirectoryId, PathBuf)> {
        unimplemented!()
    }
    /// The cluster these directories belong to, once known.
    pub fn cluster_id(&self) -> Option<String> {
        unimplemented!()
    }
    /// Writes the cluster id into directories without one; an error if one has another.
    pub fn bind_to_cluster(&self, cluster_id: &str) -> Result<(), LogError> {
        unimplemented!()
    }
    /// The broker epoch that stopped cleanly, if every directory says so.
    pub fn clean_shutdown_epoch(&self) -> Option<BrokerEpoch> {
        unimplemented!()
    }
    pub fn partitions(&self) -> Vec<StoredPartition> {
        unimplemented!()
    }
    /// Opens the partition's log where it lies, or creates it in the directory with the fewest partitions.
    pub fn open_log(
        &self,
        partition: &TopicPartition,
        topic_id: TopicId,
        config: Arc<LogConfig>,
        now_ms: i64,
    ) -> Result<(Log, RecoveryReport, DirectoryId, CheckpointPositions), LogError> {
        unimplemented!()
    }
    /// Renames the folder to `…-delete` and removes it.
    pub fn delete(&self, partition: &TopicPartition, topic_id: TopicId) -> Result<(), LogError> {
        unimplemented!()
    }
    /// Writes the three checkpoint files of every directory.
    pub fn write_checkpoints(
        &self,
        positions: &[(TopicPartition, CheckpointPositions)],
    ) -> Result<(), LogError> {
        unimplemented!()
    }
    /// After all logs are closed and the checkpoints written.
    pub fn mark_clean(&self, epoch: BrokerEpoch) -> Result<(), LogError> {
        unimplemented!()
    }
}
