//! One partition's log on the local disk, in Kafka's own format: segments, indexes, producers, leader epochs.
//!
//! Everything here is synchronous; the owner of a `Log` puts it behind a lock. What needs no lock is handed out as a
//! value: a `LogSlice` reads, a `FlushJob` fsyncs, a `Removal` deletes, all without the log.
//!
//! ```text
//! log start ≤ local start ≤ log end, flushed end ≤ log end      (below local start only the cold tier has the data)
//! ```
//!
//! Rules: an offset is never reused within an epoch, so a failed write stops appends until a new epoch; a failed
//! fsync is never retried as success; recovery cuts a torn tail and nothing else.
//!
//! | file | format | where |
//! |---|---|---|
//! | `<base>.log` | record batches, magic 2 | `wire::record_batch` |
//! | `<base>.index` | relative offset i32, position i32 | `index` |
//! | `<base>.timeindex` | timestamp i64, relative offset i32 | `time_index` |
//! | `<base>.txnindex` | aborted transactions | `txn_index` |
//! | `<base>.txnchecksum` | their checksum, ours | `txn_index` |
//! | `<offset>.snapshot` | producers | `producer_snapshot` |
//! | `<base>.log.cleaned`, `<base>.log.swap` | as above | `compaction` |
//! | `leader-epoch-checkpoint`, `partition.metadata`, `*-offset-checkpoint` | text | `checkpoint` |
//! | `meta.properties`, `.kafka_cleanshutdown` | text, JSON | `dirs` |

mod append;
mod buffers;
mod checkpoint;
mod compaction;
mod config;
mod dir_health;
mod dirs;
mod entries;
mod epoch_cache;
mod error;
mod files;
mod flush;
mod index;
mod lookup;
mod open_files;
mod producer_replay;
mod producer_snapshot;
mod producer_state;
mod read;
mod recovery;
mod retention;
mod scan;
mod segment;
mod slice;
mod time_index;
mod transaction_guard;
mod truncate;
mod txn_index;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

pub use append::Appended;
pub use compaction::{Cleanable, CleanedSegment, Compaction, Step};
pub use config::{CleanupPolicy, ConfigError, LogConfig};
pub use dirs::{CheckpointPositions, LogDirs, StoredPartition, UnusableDirectory};
pub use epoch_cache::{EpochCache, EpochEntry};
pub use error::{LogError, Rejected};
pub use flush::{FlushJob, FlushOutcome};
pub use lookup::TimestampOffset;
pub use open_files::keep_open_at_most;
pub use producer_snapshot::{ProducersSince, SnapshotError};
pub use read::{ClosedSegment, SegmentSections};
pub use recovery::{OpenLog, RecoveryReport};
pub use slice::LogSlice;
pub use transaction_guard::{LeaderBatch, Origin, TransactionGuard, Verification};
pub use truncate::{Removal, snapshot_of_no_producers};
pub use txn_index::AbortedTransaction;

use crate::env::SharedDisk;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicId, TopicPartition};
use dirs::DirectoryCheckpoints;
use producer_state::ProducerState;
use segment::Segment;
use transaction_guard::RecentMarkers;

/// One partition's log.
#[derive(Debug)]
pub struct Log {
    disk: SharedDisk,
    dir: PathBuf,
    partition: TopicPartition,
    topic_id: TopicId,
    config: Arc<LogConfig>,
    /// By base offset; the last one is written. Never empty.
    segments: Vec<Segment>,
    epochs: EpochCache,
    /// The unclean election after which the tier's store was asked last what it holds.
    tier_epoch: LeaderEpoch,
    producers: ProducerState,
    markers: RecentMarkers,
    log_start: Offset,
    positions: Arc<LivePositions>,
    health: Health,
    /// Raised whenever bytes below the log end go: an fsync begun before says nothing about what came after.
    cuts: u64,
    /// Raised whenever the closed segments are others.
    closings: u64,
    /// Files have been created or removed since the folder was last fsynced.
    folder_unsynced: bool,
    checkpoints: Option<Arc<DirectoryCheckpoints>>,
}

/// A producer that the log knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub id: ProducerId,
    /// Its newest epoch.
    pub epoch: ProducerEpoch,
    /// The sequence number of its last record; −1 without one.
    pub last_sequence: i32,
    /// The timestamp of its last batch.
    pub last_timestamp: i64,
    /// The epoch of the coordinator of its last marker; −1 without one.
    pub coordinator_epoch: i32,
    /// The first offset of its open transaction.
    pub transaction_start: Option<Offset>,
}

/// Whether the log takes appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Writable,
    /// A write failed under this epoch.
    WriteFailed(LeaderEpoch),
    /// An fsync failed, or a reset stopped half-way.
    Broken,
    Closed,
}

/// Positions that the checkpoints of the directory read without the log's lock.
#[derive(Debug)]
struct LivePositions {
    end: AtomicI64,
    flushed: AtomicI64,
    /// Compaction has looked at everything below.
    cleaned: AtomicI64,
    log_start: AtomicI64,
    /// The log was closed cleanly.
    closed: AtomicBool,
}

impl LivePositions {
    fn new(log_start: Offset, end: Offset, flushed: Offset, cleaned: Offset) -> LivePositions {
        LivePositions {
            end: AtomicI64::new(end.0),
            flushed: AtomicI64::new(flushed.0),
            cleaned: AtomicI64::new(cleaned.0),
            log_start: AtomicI64::new(log_start.0),
            closed: AtomicBool::new(false),
        }
    }

    fn end(&self) -> Offset {
        Offset(self.end.load(Ordering::Acquire))
    }

    fn flushed(&self) -> Offset {
        Offset(self.flushed.load(Ordering::Acquire))
    }

    fn cleaned(&self) -> Offset {
        Offset(self.cleaned.load(Ordering::Acquire))
    }

    fn log_start(&self) -> Offset {
        Offset(self.log_start.load(Ordering::Acquire))
    }

    fn set_log_start(&self, start: Offset) {
        self.log_start.store(start.0, Ordering::Release);
    }

    fn set_cleaned(&self, end: Offset) {
        self.cleaned.store(end.0, Ordering::Release);
    }

    fn lower_to(&self, end: Offset) {
        self.end.fetch_min(end.0, Ordering::AcqRel);
        self.flushed.fetch_min(end.0, Ordering::AcqRel);
        self.cleaned.fetch_min(end.0, Ordering::AcqRel);
    }
}

impl Log {
    /// Whose log it is.
    #[must_use]
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The topic's identity.
    #[must_use]
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The partition's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The unclean election after which the tier's store has said last what it holds, as `note_tier_epoch` has it.
    #[must_use]
    pub fn tier_epoch(&self) -> LeaderEpoch {
        self.tier_epoch
    }

    /// The configs it obeys.
    #[must_use]
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Obeys other configs from now on.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.config = config;
    }

    /// First offset of the partition that is readable, in whichever tier.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// First offset that lies on the local disk.
    #[must_use]
    pub fn local_start(&self) -> Offset {
        self.segments[0].base.max(self.log_start)
    }

    /// The offset that the next record will get.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.positions.end()
    }

    /// Everything below has been fsynced.
    #[must_use]
    pub fn flushed_end(&self) -> Offset {
        self.positions.flushed()
    }

    /// First offset that is not decided at this high watermark: the exclusive end for readers of committed data.
    #[must_use]
    pub fn last_stable(&self, high_watermark: Offset) -> Offset {
        self.producers.last_stable(high_watermark)
    }

    /// The last epoch of the chain; `NONE` for an empty one.
    #[must_use]
    pub fn last_epoch(&self) -> LeaderEpoch {
        self.epochs.latest().map_or(LeaderEpoch::NONE, |last| last.epoch)
    }

    /// The chain of leader epochs.
    #[must_use]
    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    /// Bytes of all local segments' batches.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Raised whenever the closed segments are others than before.
    #[must_use]
    pub fn closings(&self) -> u64 {
        self.closings
    }

    /// First offset of the open segment that is readable.
    #[must_use]
    pub fn open_segment(&self) -> Offset {
        self.segments[self.segments.len() - 1].base.max(self.log_start)
    }

    /// Bytes of the open segment.
    #[must_use]
    pub fn open_bytes(&self) -> u64 {
        self.active().size
    }

    /// What a leader under `epoch` takes before it asks a coordinator whether a producer's transaction may begin here;
    /// `None` if it is open here already.
    #[must_use]
    pub fn transaction_guard(
        &self,
        producer: ProducerId,
        producer_epoch: ProducerEpoch,
        epoch: LeaderEpoch,
    ) -> Option<TransactionGuard> {
        (!self.producers.has_open(producer, producer_epoch)).then(|| self.markers.guard(epoch))
    }

    /// Whether a transaction of the producer may begin under a guard, as things stand.
    #[must_use]
    pub fn transaction_may_begin(
        &self,
        guard: Option<TransactionGuard>,
        producer: ProducerId,
        epoch: LeaderEpoch,
    ) -> bool {
        self.markers.allow(guard, producer, epoch)
    }

    /// The producers that are remembered, by id.
    #[must_use]
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        let active = |(id, producer): (&ProducerId, &producer_state::Producer)| ActiveProducer {
            id: *id,
            epoch: producer.epoch,
            last_sequence: producer.batches.back().map_or(-1, |last| last.last_sequence),
            last_timestamp: producer.timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            transaction_start: producer.transaction,
        };
        self.producers.producers.iter().map(active).collect()
    }

    /// Forgets what no reader of committed data needs any more: transactions decided below the high watermark, and
    /// producers that have been idle for `producer.id.expiration.ms` by the quorum's time (none while it is not known). Call it
    /// now and then.
    pub fn forget_old_producers(&mut self, high_watermark: Offset, quorum_ms: Option<i64>) {
        self.producers.forget_decided(high_watermark);
        if let Some(quorum_ms) = quorum_ms {
            self.producers.expire(quorum_ms, self.config.producer_id_expiration_ms);
        }
    }

    fn active(&self) -> &Segment {
        self.segments.last().expect("a log has at least one segment")
    }

    fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log has at least one segment")
    }

    /// The segment that holds `offset`, or would.
    fn segment_of(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base <= offset).saturating_sub(1)
    }

    /// End of the segment at `i`.
    fn segment_end(&self, i: usize) -> Offset {
        self.segments.get(i + 1).map_or(self.log_end(), |next| next.base)
    }

    fn set_end(&self, end: Offset) {
        self.positions.end.store(end.0, Ordering::Release);
    }

    fn set_flushed(&self, end: Offset) {
        self.positions.flushed.store(end.0, Ordering::Release);
    }

    /// The log is being deleted: it takes nothing any more, and opens no file, for at the same path another may lie soon. Whoever
    /// still holds it sees it `Closed`.
    pub fn retire(&mut self) {
        self.health = Health::Closed;
        self.segments.iter().for_each(Segment::retire);
    }

    /// Nothing may be done with it any more but opening it again.
    pub fn give_up(&mut self) {
        self.health = Health::Broken;
    }

    /// Whether an fsync or a reset has failed, so that only opening it again tells what is left.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.health == Health::Broken
    }

    fn check_health(&self) -> Result<(), LogError> {
        match self.health {
            Health::Writable => Ok(()),
            Health::WriteFailed(epoch) => Err(LogError::WriteFailed { epoch }),
            Health::Broken => Err(LogError::Broken),
            Health::Closed => Err(LogError::Closed),
        }
    }
}
