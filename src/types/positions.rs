//! Positions in a partition and the epochs that order its leaders.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// A record's place in its partition; as an *end* it is exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl Offset {
    /// The first offset of every partition.
    pub const ZERO: Offset = Offset(0);
    /// Kafka's "no offset" on the wire.
    pub const NONE: Offset = Offset(-1);

    /// The offset after this one.
    #[must_use]
    pub fn next(self) -> Offset {
        Offset(self.0 + 1)
    }
}

impl Add<i64> for Offset {
    type Output = Offset;
    fn add(self, records: i64) -> Offset {
        Offset(self.0 + records)
    }
}

impl AddAssign<i64> for Offset {
    fn add_assign(&mut self, records: i64) {
        self.0 += records;
    }
}

impl Sub<Offset> for Offset {
    type Output = i64;
    fn sub(self, other: Offset) -> i64 {
        self.0 - other.0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! epoch {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub i32);

        impl $name {
            /// Kafka's "no epoch" on the wire.
            pub const NONE: $name = $name(-1);

            /// The epoch after this one.
            #[must_use]
            pub fn next(self) -> $name {
                $name(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

epoch! {
    /// Raised by every election of a partition; written into each batch by the leader that appended it.
    LeaderEpoch
}
epoch! {
    /// Raised by every change of a partition's replicas, ISR, ELR or leader.
    PartitionEpoch
}

/// A coordinator's decision, as the leader of a partition is asked to carry it out.
///
/// A request of which nobody has heard the answer is sent again, and the first one may still arrive: after the transaction is
/// over and the producer's next one, under the same producer epoch, has begun, which it would then end. So a leader carries
/// out each decision once, and none that is asked of another leader epoch than its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Of the leader that is asked.
    pub leader_epoch: LeaderEpoch,
    /// Goes up with the decisions of one coordinator epoch.
    pub number: u64,
}
