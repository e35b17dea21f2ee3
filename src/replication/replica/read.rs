//! Reading from a replica: what a reader may see, where it is, and what becomes of a copy that is found damaged meanwhile.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Positions, Replica, ReplicaRole};
use crate::env::defect::{Defect, planted};
use crate::log::{Log, LogError, LogSlice};
use crate::types::{LeaderEpoch, Offset};
use crate::wire::Records;

/// So long a thread of the runtime waits for a log that is being written to: several writes into the page cache.
const GLANCE: Duration = Duration::from_micros(200);

/// Which records a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
}

/// Which replicas may serve a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedBy {
    /// Only the leader.
    Leader,
    /// A follower too, up to the high watermark that it knows (KIP-392).
    AnyReplica,
}

/// Why a read was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// This broker does not lead the partition.
    #[error("this broker does not lead the partition")]
    NotLeader,
    /// The reader's leader epoch is over (KIP-320).
    #[error("leader epoch {asked} is over, the current one is {current}")]
    FencedLeaderEpoch {
        /// The reader's.
        asked: LeaderEpoch,
        /// The leader's.
        current: LeaderEpoch,
    },
    /// The reader has seen a newer epoch than this broker (KIP-320).
    #[error("leader epoch {asked} is not known here yet, the current one is {current}")]
    UnknownLeaderEpoch {
        /// The reader's.
        asked: LeaderEpoch,
        /// The leader's.
        current: LeaderEpoch,
    },
    /// Below the log start or above the log end.
    #[error("offset {offset} is outside of {start} to {end}")]
    OutOfRange {
        /// Asked for.
        offset: Offset,
        /// The log start.
        start: Offset,
        /// The log end.
        end: Offset,
    },
    /// In the log, but only in the cold tier.
    #[error("offset {offset} is below the local start {local_start}: only the tier has it")]
    OnlyTiered {
        /// Asked for.
        offset: Offset,
        /// Where the local files begin.
        local_start: Offset,
    },
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What a reader wants of a partition.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The first offset.
    pub from: Offset,
    /// The cap.
    pub max_bytes: usize,
    /// A first batch above the cap is given too.
    pub at_least_one: bool,
    /// What transactions it may see.
    pub isolation: Isolation,
    /// Its leader epoch, if it sent one.
    pub client_epoch: Option<LeaderEpoch>,
    /// Who may serve it.
    pub served_by: ServedBy,
}

impl Replica {
    /// Finds whole batches from the one that holds `wanted.from`, below the high watermark or the last stable offset;
    /// `LogSlice::load` then reads them without any lock. `None` when nothing is there yet. It may wait for a write and for
    /// a device: call it on a disk thread (`BlockingPool`).
    ///
    /// # Errors
    /// `ReadError` says why; `OnlyTiered` sends the reader to the cold tier.
    pub fn read(&self, wanted: &Wanted) -> Result<Option<LogSlice>, ReadError> {
        let Some(end) = self.readable_end(wanted)? else { return Ok(None) };
        let slice = self.log.lock().read(wanted.from, wanted.max_bytes, end, wanted.at_least_one);
        self.found(slice)
    }

    /// The same on any thread: `None` when the log is in use for longer, or when its index is not in memory.
    pub fn read_at_once(&self, wanted: &Wanted) -> Option<Result<Option<LogSlice>, ReadError>> {
        let end = match self.readable_end(wanted) {
            Ok(Some(end)) => end,
            Ok(None) => return Some(Ok(None)),
            Err(error) => return Some(Err(error)),
        };
        let log = self.log.try_lock_for(GLANCE)?;
        let slice = log.read_cached(wanted.from, wanted.max_bytes, end, wanted.at_least_one);
        drop(log);
        match slice {
            Err(LogError::Io { .. }) => {
                self.renew_last_stable();
                None
            }
            slice => Some(self.found(slice)),
        }
    }

    /// Where what the reader may see ends; `None` when it does not reach its offset.
    fn readable_end(&self, wanted: &Wanted) -> Result<Option<Offset>, ReadError> {
        let from = wanted.from;
        let state = self.state.lock();
        let positions = &state.positions;
        self.check_reader(positions, wanted.client_epoch, wanted.served_by)?;
        // A reader may be ahead of a new leader's high watermark: it waits, nothing is lost. Told that it is out of
        // range it would begin again.
        if from < positions.log_start || from > positions.log_end {
            return Err(ReadError::OutOfRange {
                offset: from,
                start: positions.log_start,
                end: positions.log_end,
            });
        }
        let end = match wanted.isolation {
            _ if planted(Defect::ReadsBeyondHighWatermark) => positions.log_end,
            Isolation::ReadUncommitted => positions.high_watermark,
            Isolation::ReadCommitted => positions.last_stable,
        };
        if from >= end {
            return Ok(None);
        }
        if from < positions.local_start {
            return Err(ReadError::OnlyTiered { offset: from, local_start: positions.local_start });
        }
        Ok(Some(end))
    }

    fn found(&self, slice: Result<LogSlice, LogError>) -> Result<Option<LogSlice>, ReadError> {
        self.renew_last_stable();
        match slice {
            // Retention has taken the segment since the positions were looked at.
            Err(LogError::OutOfRange { offset, start, end }) if offset < start => {
                Err(if self.has_only_in_tier(offset) {
                    ReadError::OnlyTiered { offset, local_start: start }
                } else {
                    ReadError::OutOfRange { offset, start, end }
                })
            }
            slice => Ok(Some(slice?)),
        }
    }

    /// Looks at what the log has in memory, on any thread: `None` while it is in use for longer.
    pub fn glance<T>(&self, look: impl FnOnce(&Log) -> T) -> Option<T> {
        let log = self.log.try_lock_for(GLANCE)?;
        let seen = look(&log);
        drop(log);
        self.renew_last_stable();
        Some(seen)
    }

    /// Whether an offset is in the log, but in the cold tier only.
    #[must_use]
    pub fn has_only_in_tier(&self, offset: Offset) -> bool {
        let positions = self.positions();
        (positions.log_start..positions.local_start).contains(&offset) && offset < positions.tier_end()
    }

    /// Loads what [`Replica::read`] has found; on a disk thread. Damaged bytes reach nobody, and this copy steps aside
    /// for one that is whole ([`Replica::found_corrupt`]).
    ///
    /// # Errors
    /// As [`LogSlice::load`]; a stretch that was truncated or deleted in the meantime fails too, and costs nothing else.
    pub fn load(self: &Arc<Self>, slice: &LogSlice) -> Result<Bytes, LogError> {
        self.checked(slice, slice.load())
    }

    /// The same, with the count of [`LogSlice::load_counted`]; left in the file where the reader takes that.
    ///
    /// # Errors
    /// As [`Replica::load`].
    pub fn load_counted(
        self: &Arc<Self>,
        slice: &LogSlice,
        takes_files: bool,
    ) -> Result<(Records, usize), LogError> {
        let outcome = if takes_files {
            slice.locate_counted()
        } else {
            slice.load_counted().map(|(bytes, counted)| (bytes.into(), counted))
        };
        self.checked(slice, outcome)
    }

    /// The outcome of reading a slice; damage is looked into.
    fn checked<T>(self: &Arc<Self>, slice: &LogSlice, outcome: Result<T, LogError>) -> Result<T, LogError> {
        let (failed, from) = match (outcome, slice.wanted()) {
            (Err(failed), Some(from)) if failed.is_damage() => (failed, from),
            (outcome, _) => return outcome,
        };
        // The file may have been cut since it was looked at: what counts is what the log says now.
        self.inspect(|log| log.read(from, 1, log.log_end(), true)?.load())?;
        Err(failed)
    }

    /// Reads the log under its lock, on a disk thread. Where that finds damage this copy steps aside for one that is
    /// whole ([`Replica::found_corrupt`]).
    ///
    /// # Errors
    /// As `f`.
    pub fn inspect<T>(
        self: &Arc<Self>,
        f: impl FnOnce(&mut Log) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let outcome = self.with_log(f);
        if let Err(error) = &outcome
            && error.is_damage()
        {
            self.found_corrupt(error);
        }
        outcome
    }

    /// Whether a reader with this leader epoch may be served here (KIP-320).
    ///
    /// # Errors
    /// `NotLeader`, `FencedLeaderEpoch` or `UnknownLeaderEpoch`.
    pub fn check_reader(
        &self,
        positions: &Positions,
        client_epoch: Option<LeaderEpoch>,
        served_by: ServedBy,
    ) -> Result<(), ReadError> {
        let current = positions.leader_epoch;
        let serves = match served_by {
            ServedBy::Leader => positions.leads(),
            ServedBy::AnyReplica => positions.role != ReplicaRole::Offline,
        };
        match client_epoch.filter(|epoch| *epoch != LeaderEpoch::NONE) {
            _ if planted(Defect::AnyEpochReads) => Ok(()),
            Some(asked) if asked < current => Err(ReadError::FencedLeaderEpoch { asked, current }),
            Some(asked) if asked > current => Err(ReadError::UnknownLeaderEpoch { asked, current }),
            _ if !serves => Err(ReadError::NotLeader),
            _ => Ok(()),
        }
    }

    /// Where an epoch ends in this log, as readers are told; `None` for one that begins after all that it knows.
    #[must_use]
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let state = self.state.lock();
        state.chain.end_for_reader(epoch, state.positions.log_end)
    }
}
