//! The cluster's records and image; commands decided and applied; `raft/` hides openraft.
//!
//! A command is applied in the same order on every broker and by nothing but its own content: the image that it
//! yields is the same everywhere. Time travels inside the command.
//!
//! | file | holds |
//! |---|---|
//! | `command`, `image`, `acl`, `quota` | the data |
//! | `apply/` | what a command does to the image: pure |
//! | `placement` | where new replicas go |
//! | `raft/` | the replicated log of commands |
//! | `handle`, `core` | the running node: submitting and publishing |
//! | `control` | what brokers ask each other |
//! | `leader`, `liveness`, `levels`, `quorum_time`, `balance` | the Raft leader's duties: leases, fencing, the level of commands, what time it is, preferred leaders |
//! | `member`, `lease` | a broker's duties: joining, registering, heartbeats |

mod acl;
mod apply;
mod balance;
mod command;
mod config;
mod control;
mod core;
mod handle;
mod image;
mod leader;
mod lease;
mod levels;
mod liveness;
mod member;
mod placement;
mod quorum_time;
mod quota;
mod raft;
#[cfg(test)]
mod tests;
mod unclean;
mod voters;

pub use acl::{AclBinding, AclOperation, AclPermission, CLUSTER_NAME, PatternType, ResourceKind};
pub use command::{
    AlterPartition, BrokerRegistration, Command, CommandError, CommandReply, CreateTopic, IsrMember, Proof,
    UncleanCandidate,
};
pub use config::{LeaderBalance, MetadataConfig, SNAPSHOT_EVERY};
pub use control::{ControlError, ControlHandler, LogEnd};
pub use handle::{Metadata, MetadataError, SubmitError};
pub use image::{
    BrokerInfo, BrokerState, COMMANDS, ColdTopic, Endpoint, Image, Partition, Reassignment, ReplicaState,
    SUPPORTED_FEATURES, ScramCredential, ScramMechanism, Topic, UncleanElection,
};
pub use lease::Lease;
pub use placement::{PlacementError, assign_replicas};
pub use quota::{EntityName, QuotaChange, QuotaEntity, QuotaKey, QuotaValue, Quotas};
pub use raft::StoreError;
pub use voters::{QuorumMember, QuorumState, VoterChange, VoterError};
