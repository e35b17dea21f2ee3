//! What can go wrong with a log, and what a client's batch can be refused for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::types::{LeaderEpoch, Offset, ProducerEpoch};
use crate::wire::record_batch::BatchError;

/// The system's number for a device that failed (errno(3), the same on every Linux).
const EIO: i32 = 5;

/// The log itself failed, or was used against its rules.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The disk answered with an error.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// Bytes that were written once are no longer what they were. Nothing has been cut.
    #[error("{path} is corrupt at byte {position} (offset {offset}): {detail}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        position: u64,
        /// The offset expected there.
        offset: Offset,
        /// What is wrong.
        detail: String,
    },
    /// A file that should be there is not, or one that should not be is.
    #[error("{path}: {detail}")]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What was expected.
        detail: String,
    },
    /// The offset asked for is not in this log.
    #[error("offset {offset} is outside of this log ({start} to {end})")]
    OutOfRange {
        /// Asked for.
        offset: Offset,
        /// First offset held locally.
        start: Offset,
        /// Log end.
        end: Offset,
    },
    /// A follower's append that does not continue the log.
    #[error("the batch at {got} does not continue the log that ends at {expected}")]
    Gap {
        /// The log end.
        expected: Offset,
        /// The batch's base offset.
        got: Offset,
    },
    /// A follower's append, or a new epoch, that goes back.
    #[error("leader epoch {got} comes after {latest}")]
    EpochWentBack {
        /// The log's latest epoch.
        latest: LeaderEpoch,
        /// The batch's.
        got: LeaderEpoch,
    },
    /// A follower's append with a bad batch in it; nothing was written.
    #[error("bad batch at offset {offset}: {source}")]
    BadBatch {
        /// Where it would have gone.
        offset: Offset,
        /// What is wrong with it.
        source: BatchError,
    },
    /// An earlier write failed: no append until the log goes on under a new epoch (`Log::resume_under`).
    #[error("an earlier write failed; the log takes appends again only under a leader epoch above {epoch}")]
    WriteFailed {
        /// The epoch in which it failed.
        epoch: LeaderEpoch,
    },
    /// An earlier fsync failed, so that what is unflushed may be lost, or a reset stopped half-way: this copy cannot be
    /// trusted until it is opened again.
    #[error("an earlier fsync or reset failed; this copy is offline until it is opened again")]
    Broken,
    /// The device under the log's directory has failed.
    #[error("the log directory {} is offline: {reason}", dir.display())]
    DirectoryOffline {
        /// The directory.
        dir: PathBuf,
        /// What was tried there, and the device's answer.
        reason: String,
    },
    /// No directory of `log.dirs` works (any more): there is nothing left that this broker could do.
    #[error("no log directory can be used: {reasons}")]
    NoDirectory {
        /// Of each directory: what was tried there, and the answer.
        reasons: String,
    },
    /// The log has been closed.
    #[error("the log is closed")]
    Closed,
}

impl LogError {
    /// Whether the bytes of this copy are not what they were, or the disk cannot give them any more. Another try would
    /// not help; another copy does.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            LogError::Corrupt { .. } => true,
            LogError::Io { source, .. } => match source.raw_os_error() {
                Some(code) => code == EIO,
                None => source.kind() == io::ErrorKind::Other,
            },
            _ => false,
        }
    }

    /// Whether the log has refused to be written to, without trying it.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            LogError::EpochWentBack { .. }
                | LogError::WriteFailed { .. }
                | LogError::Broken
                | LogError::DirectoryOffline { .. }
                | LogError::Closed
        )
    }

    /// Attaches what was done to which file.
    pub(super) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> LogError + use<'a> {
        move |source| LogError::Io { action, path: path.to_owned(), source: Arc::new(source) }
    }
}

/// Why one client's batch was not appended; the others of its group are not touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Truncated bytes, a wrong CRC, or no magic-2 batch.
    #[error("corrupt message: {0}")]
    Corrupt(BatchError),
    /// Above `max.message.bytes`.
    #[error("the batch has {bytes} bytes, at most {max_bytes} are accepted")]
    TooLarge {
        /// The batch's size.
        bytes: usize,
        /// `max.message.bytes`.
        max_bytes: usize,
    },
    /// Above `segment.bytes`: no segment can hold it.
    #[error("the batch has {bytes} bytes, a segment holds at most {max_bytes}")]
    AboveSegment {
        /// The batch's size.
        bytes: usize,
        /// `segment.bytes`.
        max_bytes: u64,
    },
    /// A rule about the batch's content is broken.
    #[error("invalid record: {0}")]
    InvalidRecord(&'static str),
    /// Outside `message.timestamp.before.max.ms` / `message.timestamp.after.max.ms`.
    #[error("timestamp {timestamp} is outside of the accepted range {earliest} to {latest}")]
    InvalidTimestamp {
        /// The batch's.
        timestamp: i64,
        /// Earliest accepted.
        earliest: i64,
        /// Latest accepted.
        latest: i64,
    },
    /// A sequence number that does not continue the producer's last one.
    #[error("sequence {got} does not follow {last}")]
    OutOfOrderSequence {
        /// Last sequence number appended.
        last: i32,
        /// The batch's.
        got: i32,
    },
    /// An epoch below the producer's current one.
    #[error("producer epoch {got} is older than {current}")]
    InvalidProducerEpoch {
        /// The producer's current epoch.
        current: ProducerEpoch,
        /// The batch's.
        got: ProducerEpoch,
    },
    /// A transactional batch, and its producer's transaction is not open here and was not verified to be open at its
    /// coordinator, or was ended meanwhile (KIP-890); or a batch whose numbers are those of one in a transaction that has ended.
    #[error("the batch is not part of an open transaction")]
    NotInTransaction,
    /// A batch outside of any transaction, by a producer that has one open.
    #[error("the producer has an open transaction, and the batch is not part of one")]
    TransactionIsOpen,
    /// A marker that was asked of this leader under another leader epoch than its own: it may have come late.
    #[error("the marker was asked for in leader epoch {got}, this is {current}")]
    MarkerOfOtherEpoch {
        /// The leader's.
        current: LeaderEpoch,
        /// The marker's.
        got: LeaderEpoch,
    },
    /// A marker of a coordinator that has been replaced.
    #[error("coordinator epoch {got} is older than {current}")]
    CoordinatorFenced {
        /// Of the newest marker.
        current: i32,
        /// The marker's.
        got: i32,
    },
}
