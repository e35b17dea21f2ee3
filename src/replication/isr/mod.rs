//! The ISR protocol as pure state machines: `(state, event, now) → actions`, no clock, no I/O, no task.
//!
//! `leader` counts acknowledgements and owns the high watermark; `follower` decides what a session's answers and
//! frames do to a log. The same code runs in production and under random events.

pub mod follower;
pub mod leader;
#[cfg(test)]
mod model;
#[cfg(test)]
mod simulation;

use crate::log::EpochEntry;
use crate::types::{BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Offset};

/// The tier as the current leader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TierPosition {
    /// End of the tier on the current leader's epoch chain.
    pub end: Offset,
    /// The manifest generation that says so.
    pub generation: u64,
}

/// A follower's wish for a session, with the state of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpenRequest {
    /// Who asks; proven by the stream's certificate, not by the frame.
    pub broker: BrokerId,
    /// The leader epoch that the follower's image shows.
    pub leader_epoch: LeaderEpoch,
    /// The follower's registration.
    pub broker_epoch: BrokerEpoch,
    /// The log directory that holds the replica.
    pub directory: DirectoryId,
    /// Its log end.
    pub log_end: Offset,
    /// The epoch of its last batch; `NONE` when it knows none.
    pub last_epoch: LeaderEpoch,
    /// Its log start.
    pub log_start: Offset,
}

/// What a leader answers to an [`OpenRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OpenAnswer {
    /// The follower's leader epoch or broker epoch is over: wait for the image.
    Fenced,
    /// The leader's image is behind the follower's, or it has yet to learn what the tier covers: try again.
    UnknownEpoch,
    /// This broker does not lead the partition.
    NotLeader,
    /// The follower is not assigned to the partition.
    NotReplica,
    /// The logs differ: the leader's largest epoch ≤ the follower's last one, and its end there.
    Diverged {
        /// `NONE` when the leader's chain begins above the follower's epoch.
        epoch: LeaderEpoch,
        /// The end of that epoch in the leader's log.
        end: Offset,
    },
    /// The follower's end lies below the leader's local start, and the tier covers it.
    Tiered {
        /// Where the leader's own files begin.
        local_start: Offset,
        /// What the tier covers.
        tier: TierPosition,
    },
    /// The follower's end lies below the log start, and no tier covers it.
    Reset {
        /// Where the log begins now.
        log_start: Offset,
        /// The leader's epochs up to there.
        chain: Vec<EpochEntry>,
    },
    /// The logs agree up to the follower's end; frames follow.
    Accepted,
}
