//! The cluster's records and image; commands decided and applied; `raft/` hides openraft.
//!
//! A command is applied in the same order on every broker and by nothing but its own content: the image that it
//! yields is the same everywhere. Time travels inside the command.

mod apply;
mod command;
mod image;
mod placement;

pub use command::{
    AlterPartition, BrokerRegistration, Command, CommandError, CommandReply, CreateTopic, IsrMember, Proof,
    UncleanCandidate,
};
pub use image::{
    BrokerInfo, BrokerState, Endpoint, Image, Partition, ReplicaState, ScramCredential, ScramMechanism,
    Topic, UncleanElection,
};
pub use placement::{PlacementError, assign_replicas};
