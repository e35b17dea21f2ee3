//! The follower of one partition: what a session's answers and frames do to its log.
//!
//! Invariants: a log is truncated by epoch, never to the high watermark (KIP-101), and never below its own high
//! watermark, except towards the epoch of an unclean election that the image records. A frame is taken only from the
//! current session and only at the log end.

use super::{OpenAnswer, TierPosition};
use crate::env::defect::{self, planted};
use crate::log::{EpochCache, EpochEntry};
use crate::types::{LeaderEpoch, Offset};

/// The follower's log at the moment of an answer.
#[derive(Clone, Copy)]
pub struct LogView<'a> {
    /// The log start.
    pub log_start: Offset,
    /// The log end.
    pub log_end: Offset,
    /// The epoch of the last batch; `NONE` when it knows none.
    pub last_epoch: LeaderEpoch,
    /// Its epochs.
    pub chain: &'a EpochCache,
}

/// What an answer demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It belongs to an old session.
    Ignore,
    /// Frames will follow.
    Stream,
    /// Ask again, after a pause or when the image has moved.
    WaitForImage,
    /// Cut the log here, lower the high watermark to it if it lies above, open again.
    Truncate {
        /// The new log end.
        to: Offset,
    },
    /// Fetch epoch chain and producer snapshot from the tier, install them, set the log end to the tier end, open again.
    InstallTier {
        /// The leader's local start.
        local_start: Offset,
        /// What to fetch.
        tier: TierPosition,
    },
    /// Drop the log, start here, open again.
    Reset {
        /// The new log start and end.
        log_start: Offset,
        /// The epochs up to there.
        chain: Vec<EpochEntry>,
    },
    /// The copy contradicts committed data: take it offline, report it, rebuild it.
    Corrupt(Corrupt),
}

/// Why a copy can't be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the leader's log ends at {to} for epoch {epoch}, below the high watermark {high_watermark} of this copy, \
     and no unclean election explains it"
)]
pub struct Corrupt {
    /// The epoch of the leader's answer.
    pub epoch: LeaderEpoch,
    /// Where the logs meet.
    pub to: Offset,
    /// What this copy knew to be committed.
    pub high_watermark: Offset,
}

/// The leader's positions as they travel with frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaderPositions {
    /// The leader's high watermark.
    pub high_watermark: Offset,
    /// The leader's log start.
    pub log_start: Offset,
    /// The tier, if the topic has one.
    pub tier: Option<TierPosition>,
}

/// What to do with a frame of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// It belongs to an old session.
    Ignore,
    /// Append it.
    Take,
    /// It does not begin at the log end: end the session and open again.
    Reopen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Closed,
    Opening(u64),
    Streaming(u64),
}

/// The state of a follower under one leader epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Follower {
    leader_epoch: LeaderEpoch,
    unclean: Option<LeaderEpoch>,
    phase: Phase,
    high_watermark: Offset,
    #[cfg(test)]
    pub(super) defect: Option<Defect>,
}

/// Defences that a test may switch off, to see that it notices.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Defect {
    /// Truncate to the high watermark instead of by epoch (what KIP-101 mended).
    TruncateToHighWatermark,
}

impl Follower {
    /// A follower under a new leader epoch. `unclean` is the epoch of the partition's last unclean election.
    #[must_use]
    pub fn new(leader_epoch: LeaderEpoch, unclean: Option<LeaderEpoch>, high_watermark: Offset) -> Follower {
        Follower {
            leader_epoch,
            unclean,
            phase: Phase::Closed,
            high_watermark,
            #[cfg(test)]
            defect: None,
        }
    }

    /// The leader epoch that it follows.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The session whose frames are taken.
    #[must_use]
    pub fn streaming(&self) -> Option<u64> {
        match self.phase {
            Phase::Streaming(session) => Some(session),
            Phase::Closed | Phase::Opening(_) => None,
        }
    }

    /// The session that it waits for, or whose frames it takes.
    #[must_use]
    pub fn session(&self) -> Option<u64> {
        match self.phase {
            Phase::Opening(session) | Phase::Streaming(session) => Some(session),
            Phase::Closed => None,
        }
    }

    /// Its high watermark (exclusive); at most its log end.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Whether it waits for an answer or takes frames.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase != Phase::Closed
    }

    /// An open request goes out; every earlier session is over.
    pub fn opening(&mut self, session: u64) {
        self.phase = Phase::Opening(session);
    }

    /// The session, or the stream that carried it, has ended.
    pub fn lost(&mut self, session: u64) {
        if matches!(self.phase, Phase::Opening(s) | Phase::Streaming(s) if s == session) {
            self.phase = Phase::Closed;
        }
    }

    /// The leader's answer to the open request.
    pub fn answer(&mut self, session: u64, answer: &OpenAnswer, log: &LogView<'_>) -> Step {
        if self.phase != Phase::Opening(session) {
            return Step::Ignore;
        }
        self.phase = Phase::Closed;
        match answer {
            OpenAnswer::Fenced
            | OpenAnswer::UnknownEpoch
            | OpenAnswer::NotLeader
            | OpenAnswer::NotReplica => Step::WaitForImage,
            OpenAnswer::Accepted => {
                self.phase = Phase::Streaming(session);
                Step::Stream
            }
            OpenAnswer::Diverged { epoch, end } => self.diverged(*epoch, *end, log),
            OpenAnswer::Tiered { local_start, tier } => {
                if tier.end <= log.log_end {
                    // Nothing to gain from the tier: the leader's state has moved since. Ask again.
                    return Step::WaitForImage;
                }
                Step::InstallTier { local_start: *local_start, tier: *tier }
            }
            OpenAnswer::Reset { log_start, chain } => {
                if *log_start <= log.log_end {
                    return Step::WaitForImage;
                }
                Step::Reset { log_start: *log_start, chain: chain.clone() }
            }
        }
    }

    /// The log was dropped and begins at `end` now, all below being committed: after `InstallTier` or `Reset`.
    pub fn restarted_at(&mut self, end: Offset) {
        self.high_watermark = end;
    }

    fn diverged(&mut self, epoch: LeaderEpoch, end: Offset, log: &LogView<'_>) -> Step {
        let own_end =
            log.chain.end_offset_for(epoch, log.log_end).map_or(log.log_start, |(_, own_end)| own_end);
        let own_end = if planted(defect::Defect::LeadersEndAlone) { log.log_end } else { own_end };
        // The leader's log begins at `end`, with an epoch above all of this copy's: nothing that is here is there, and what lies
        // below the leader's start nobody has any more.
        let begins_above =
            epoch == LeaderEpoch::NONE && end > log.log_start && !planted(defect::Defect::LogStartUnseen);
        let to = if begins_above { end } else { end.min(own_end) }.min(log.log_end);
        #[cfg(test)]
        if self.defect == Some(Defect::TruncateToHighWatermark) {
            return Step::Truncate { to: self.high_watermark };
        }
        if planted(defect::Defect::TruncateToHighWatermark) {
            return Step::Truncate { to: self.high_watermark };
        }
        if to < self.high_watermark {
            // Only bytes from before the unclean election may be given up for it.
            let excused =
                self.unclean.is_some_and(|unclean| log.last_epoch < unclean && unclean <= self.leader_epoch);
            if !excused && !planted(defect::Defect::CutBelowHighWatermark) {
                return Step::Corrupt(Corrupt { epoch, to, high_watermark: self.high_watermark });
            }
            self.high_watermark = to;
        }
        if begins_above { Step::Reset { log_start: end, chain: Vec::new() } } else { Step::Truncate { to } }
    }

    /// Whether a frame that begins at `base` is to be appended to a log that ends at `log_end`.
    #[must_use]
    pub fn frame(&mut self, session: u64, base: Offset, log_end: Offset) -> Frame {
        if self.phase != Phase::Streaming(session) {
            return Frame::Ignore;
        }
        if base != log_end && !planted(defect::Defect::FrameAnywhere) {
            self.phase = Phase::Closed;
            return Frame::Reopen;
        }
        Frame::Take
    }

    /// The leader's positions, after what came with them is in the log. Returns the log start to move to, or `None`
    /// for an old session's.
    pub fn positions(&mut self, session: u64, leader: &LeaderPositions, log_end: Offset) -> Option<Offset> {
        if self.phase != Phase::Streaming(session) {
            return None;
        }
        self.high_watermark = self.high_watermark.max(leader.high_watermark.min(log_end));
        Some(leader.log_start.min(self.high_watermark))
    }
}

#[cfg(test)]
#[path = "follower_tests.rs"]
mod tests;
