//! Taking cuts: whoever leads the metadata quorum asks all brokers, step by step, and writes what they say (`backup::cut` has the words and
//! the reason of each step).
//!
//! ```text
//! take (the quorum's leader)      hold ─► groups ─► marks ─► go on ─► is the leader still the leader? ─► parts ─► the cut
//! answer (every broker)             │        │        │        │                                          │
//!                                coordinators     leaders   coordinators                               the store
//! ```
//! A cut counts only if every coordinator has held all the while, each partition was told of once, by its leader, and no partition that
//! takes part had another leader before, meanwhile or after: the image that a majority confirms at the end says of all of them what the
//! image at the beginning did (`places`). So nobody decided anything that the holds did not know of. A cluster that is being restored writes no
//! cut before its state is back: its first cut would otherwise push out the one that it is restored from.
//! Which cuts stay is `keep`'s.

mod answer;
mod keep;
mod places;
mod take;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::backup::{CutMark, PartsBackup};
use crate::types::TopicId;

pub use answer::CutSteps;
pub use take::CutTaker;

/// A step of a cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CutRequest {
    /// Decide nothing more of transactions, for this cut and so long at most, and answer when all that was decided is complete.
    Hold {
        /// The number that the leader has drawn for the cut.
        cut: u64,
        /// Milliseconds.
        for_ms: u64,
    },
    /// Which groups do you coordinate? They are kept to be written.
    Groups {
        /// For which cut.
        cut: u64,
    },
    /// Where do the partitions of these topics end that you lead?
    Marks {
        /// The topics.
        topics: Vec<TopicId>,
        /// So long may a leader wait until it knows, in milliseconds.
        wait_ms: u64,
    },
    /// Decide again. Have you held all the while?
    LetGo {
        /// For which cut.
        cut: u64,
    },
    /// Write these parts of the groups.
    Write {
        /// Of which cut.
        cut: u64,
        /// Their keys.
        keys: Vec<String>,
    },
}

/// The answer to a [`CutRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CutAnswer {
    /// Partitions of `__transaction_state` and the epochs of their coordinators, of those that hold or have held.
    Held(Vec<(i32, i32)>),
    /// The groups' parts.
    Groups(PartsBackup),
    /// Partitions that are led here.
    Marks(Vec<PartitionMark>),
    /// All of them are in the store.
    Written,
    /// Not to be had now.
    Refused(String),
}

/// Where a partition stands, for a cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionMark {
    /// The topic.
    pub topic: TopicId,
    /// Its partition.
    pub partition: i32,
    /// Under which epoch its leader says so.
    pub leader_epoch: i32,
    /// Where it ends.
    pub mark: CutMark,
    /// The last leader epochs of its records and where they begin, oldest first.
    pub epochs: Vec<(i32, i64)>,
}

/// What is told of the cuts that this broker has taken.
#[derive(Debug, Default)]
pub struct CutsTold(Mutex<Told>);

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    whole_ms: Option<i64>,
    held_ms: u64,
    failed: u64,
}

impl CutsTold {
    /// When the newest whole cut was taken, in milliseconds since the epoch, as far as this broker knows; where none is whole yet, the oldest
    /// that waits.
    #[must_use]
    pub fn whole_ms(&self) -> Option<i64> {
        self.0.lock().whole_ms
    }

    /// For how many milliseconds the last cut held transactions.
    #[must_use]
    pub fn held_ms(&self) -> u64 {
        self.0.lock().held_ms
    }

    /// Cuts that could not be taken.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.0.lock().failed
    }

    fn change(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.0.lock());
    }
}
