//! Replication: each partition's log, copied from its leader to its followers by the ISR protocol.
//!
//! ```text
//! image ─► reconcile ─► Replica ── lead / follow ── isr (pure) ── frames ── lanes ── transport
//! append ─► Replica::append ─► log, on a disk thread ─► sessions of followers ─► acknowledgements ─► high watermark
//! ```
//!
//! `isr/` decides and does no I/O; `replica/` holds a log and a role and carries decisions out; `lanes/` are the streams
//! between brokers; `manager` and `reconcile` host what the image assigns, `directories` tells the quorum where it lies.

mod checkpoints;
mod context;
mod directories;
pub mod frames;
pub mod isr;
mod lanes;
mod manager;
mod reconcile;
mod replica;
mod rounds;
mod tail;
mod throttle;

pub use context::{
    LogDefaults, Quorum, RESTORED, RESTORED_TO_CUT, ReplicationConfig, TierReader, TierState, TierUnavailable,
};
pub use isr::TierPosition;
pub use isr::leader::{NotEnoughReplicas, ProposalReply, Settings};
pub use manager::ReplicaManager;
pub use replica::{
    Acks, AppendError, Closed, InSyncFollower, Isolation, IsrSize, LogSummary, Positions, ReadError, Replica,
    ReplicaRole, ServedBy, Traffic, Wanted,
};

#[cfg(test)]
mod tests;
