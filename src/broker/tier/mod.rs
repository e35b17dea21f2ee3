//! The cold tier of this broker: the store it uses, the offload driver, and reads for fetches and followers.
//!
//! ```text
//! driver ─► tiering::offload ─► store        one task per led partition, on the cold runtime
//! fetch, list offsets ─► reads ─► tiering::read ─► chunk cache ─► peer ─► store
//! ```
//! Nothing here runs on the hot runtime but the waiting; files are read and written on the disk threads.

mod backup;
mod burial;
mod cache_dir;
mod cuts;
mod deletions;
mod driver;
mod leader_log;
mod owner;
mod pace;
mod peer;
mod reads;
mod restored;
mod room;
mod scrub;
mod sizes;
mod store;
mod timed;
mod topic_rules;

pub use backup::{
    BackupError, ClusterBackup, CommittedBackup, CutBackup, CutMark, CutTopic, GroupBackup, Kept,
    MetadataBackup, PartsBackup, RESTORE_METADATA, TopicBackup, TransactionBackup,
};
pub use burial::AtWork;
#[cfg(test)]
pub(super) use cuts::PartitionMark;
pub use cuts::{CutAnswer, CutRequest, CutSteps, CutTaker};
pub use deletions::NotCarried;
pub use driver::TierDriver;
pub use owner::{FIRST_PRODUCER_ID, INCARNATION};
pub use reads::TierReads;
pub use scrub::ScrubCounts;
pub use store::{ColdStore, TierCounts, remote_options};
pub use topic_rules::{RESTORE_CONFIGS, RESTORE_CUT, Restored, check_topic};

#[cfg(test)]
mod tests;
