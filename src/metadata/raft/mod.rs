//! The replicated log of commands: openraft over our own store and transport. Nothing of openraft leaves this folder
//! but through [`super::Metadata`].
//!
//! ```text
//!   submit ─▶ Submission ─▶ openraft ─▶ LogStore (redb, checksummed) ─▶ quorum ─▶ Machine ─▶ Image ─▶ watch channel
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `codec` | every persistent format, with golden bytes |
//! | `backend` | redb's storage over the Disk seam |
//! | `store` | log, vote and snapshot on disk |
//! | `machine` | the image, and what became of each submission |
//! | `network` | openraft's calls over the transport |
//!
//! openraft measures its time-outs with tokio's clock, not with `env.clock`: its `AsyncRuntime` has only static
//! functions, so it cannot carry a seam. Under tokio's paused time it is simulated time all the same.

mod backend;
mod codec;
mod machine;
mod network;
mod store;
#[cfg(test)]
mod suite;

use std::io::Cursor;

use serde::{Deserialize, Serialize};

pub(super) use machine::{Machine, Snapshots};
pub(super) use network::{RaftNetwork, Unread, answer};
pub use store::StoreError;
pub(super) use store::{LogStore, Opened};

use super::command::{Command, CommandError, CommandReply};
use crate::types::{BrokerId, Incarnation};

openraft::declare_raft_types!(
    /// What openraft works on.
    pub(super) TypeConfig:
        D = Submission,
        R = Outcome,
        NodeId = u64,
        Node = openraft::BasicNode,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = Cursor<Vec<u8>>,
        AsyncRuntime = openraft::TokioRuntime,
);

/// A running node.
pub(super) type Raft = openraft::Raft<TypeConfig>;
/// Its state as openraft reports it.
pub(super) type Metrics = openraft::RaftMetrics<u64, openraft::BasicNode>;

/// openraft's number for a store of a broker: `identity of the store (32 bits) | broker id (32 bits)`.
///
/// The identity is drawn when the store is created, so a broker whose store was wiped is another member of the quorum:
/// one that has voted for nobody and acknowledged nothing. It may not vote in the place of the lost one, which had
/// (as KIP-853 does it by directory ids).
pub(super) fn node(id: BrokerId, identity: u32) -> Option<u64> {
    u32::try_from(id.0).ok().map(|id| u64::from(identity) << 32 | u64::from(id))
}

/// The broker behind openraft's number.
pub(super) fn broker(node: u64) -> Option<BrokerId> {
    i32::try_from(node & u64::from(u32::MAX)).ok().map(BrokerId)
}

/// Which of its broker's stores openraft's number stands for.
pub(super) fn identity(node: u64) -> u32 {
    u32::try_from(node >> 32).unwrap_or(u32::MAX)
}

/// A command with what makes a retry harmless: the same (origin, sequence) is applied once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Submission {
    /// The life of the process that submits.
    pub origin: Incarnation,
    /// Its number among that life's submissions.
    pub sequence: u64,
    /// Below it the origin waits for no answer any more.
    pub answered_below: u64,
    /// Refused in any other term: a fencing rests on what one Raft leader has heard.
    pub only_in_term: Option<u64>,
    /// What to do.
    pub command: Command,
}

/// What became of a log entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// openraft's own entry: nothing was asked.
    Nothing,
    /// The command was applied or refused at that index, now or by an earlier try.
    Applied {
        /// The index of the log.
        index: u64,
        /// The image's answer.
        result: Result<CommandReply, CommandError>,
    },
    /// The submission was for a term that is over: nothing was done.
    TermOver,
    /// The origin has said that it waits no more: nothing was done.
    Abandoned,
}
