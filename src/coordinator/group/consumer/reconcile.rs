//! One step of a member on its way to its target: first it gives back what is no longer its own, then it gets what
//! nobody has any more, and takes the target's epoch with that (KIP-848).
//!
//! ```text
//!              something to give back             given back
//!   Stable ─────────────────────────► Unrevoked ─────────────► (next step)
//!      ▲  └──────────────► Unreleased ◄──────┘
//!      └───────────────────────┘   others have not given back yet
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::super::GroupError;
use crate::coordinator::consumer_record::{CurrentAssignment, MemberState, Owned, Partitions};
use crate::types::TopicId;

impl CurrentAssignment {
    /// Whether there is nothing left to do for a target.
    pub(in crate::coordinator::group) fn is_settled(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// All that nobody else may have: its own partitions, and those that it must give back.
    pub(in crate::coordinator::group) fn held(&self) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        let all = self.assigned.iter().chain(&self.revoking);
        all.flat_map(|(topic, partitions)| partitions.keys().map(move |p| (*topic, *p)))
    }

    /// The same, by topic.
    pub(super) fn holds(&self) -> Partitions {
        let mut held = Partitions::new();
        for (topic, partition) in self.held() {
            held.entry(topic).or_default().insert(partition);
        }
        held
    }

    /// Whether its own partitions are these.
    pub(in crate::coordinator::group) fn has(&self, partitions: &Partitions) -> bool {
        self.assigned.len() == partitions.len()
            && self
                .assigned
                .iter()
                .zip(partitions)
                .all(|((topic, own), (t, p))| topic == t && own.keys().eq(p))
    }

    /// Whether partitions that the member says it has are all its own.
    pub(in crate::coordinator::group) fn covers(&self, partitions: &Partitions) -> bool {
        partitions.iter().all(|(topic, p)| {
            p.is_empty() || self.assigned.get(topic).is_some_and(|own| p.iter().all(|p| own.contains_key(p)))
        })
    }

    /// The next step towards a target. `says` is what the member says it has, if it says so; `is_free` tells whether
    /// nobody holds a partition.
    ///
    /// # Errors
    /// `FencedMemberEpoch` when a newer version has left it in a state that is not known here: it must begin anew.
    pub(super) fn next(
        &self,
        target: &Partitions,
        target_epoch: i32,
        says: Option<&Partitions>,
        is_free: impl Fn(TopicId, i32) -> bool,
    ) -> Result<CurrentAssignment, GroupError> {
        let epoch = match self.state {
            MemberState::Stable if self.epoch == target_epoch && self.has(target) => return Ok(self.clone()),
            MemberState::Stable | MemberState::Unreleased => self.epoch,
            MemberState::Unrevoked => {
                if keeps(says, &self.revoking) {
                    return Ok(self.clone());
                }
                // Given back. The target may have moved on by several epochs; its next step is one of them.
                (self.epoch + 1).min(target_epoch)
            }
            MemberState::Unknown if says.is_some_and(BTreeMap::is_empty) => target_epoch,
            MemberState::Unknown => return Err(GroupError::FencedMemberEpoch),
        };
        Ok(self.towards(epoch, target, target_epoch, says, is_free))
    }

    fn towards(
        &self,
        epoch: i32,
        target: &Partitions,
        target_epoch: i32,
        says: Option<&Partitions>,
        is_free: impl Fn(TopicId, i32) -> bool,
    ) -> CurrentAssignment {
        let empty = BTreeSet::new();
        let (mut assigned, mut revoking) = (Owned::new(), Owned::new());
        for (topic, own) in &self.assigned {
            let wanted = target.get(topic).unwrap_or(&empty);
            for (partition, since) in own {
                let list = if wanted.contains(partition) { &mut assigned } else { &mut revoking };
                list.entry(*topic).or_default().insert(*partition, *since);
            }
        }
        let previous_epoch = self.epoch;
        if !revoking.is_empty() && keeps(says, &revoking) {
            return CurrentAssignment {
                epoch,
                previous_epoch,
                state: MemberState::Unrevoked,
                assigned,
                revoking,
            };
        }
        let mut state = MemberState::Stable;
        for (topic, wanted) in target {
            for partition in wanted {
                if self.assigned.get(topic).is_some_and(|own| own.contains_key(partition)) {
                    continue;
                }
                // What it just gave back is held in its own name, and so not free yet.
                if is_free(*topic, *partition) {
                    assigned.entry(*topic).or_default().insert(*partition, target_epoch);
                } else {
                    state = MemberState::Unreleased;
                }
            }
        }
        CurrentAssignment { epoch: target_epoch, previous_epoch, state, assigned, revoking: Owned::new() }
    }
}

/// Whether the member still has some of the partitions, for all that is known.
fn keeps(says: Option<&Partitions>, partitions: &Owned) -> bool {
    let Some(says) = says else { return true };
    says.iter().any(|(topic, says)| {
        partitions.get(topic).is_some_and(|partitions| says.iter().any(|p| partitions.contains_key(p)))
    })
}
