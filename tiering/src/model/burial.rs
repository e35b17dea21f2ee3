//! The deletion of the topic, step by step, beside leaders that have not heard of it: as [`gc`](crate::gc) and the driver do it.
//!
//! ```text
//! tombstone → generations → objects → (grace) → what came late, in the same order → no tombstone
//! a leader hears of it, ends, and once all that is done clears away what it may have written too late
//! ```

use super::setups::{Planted, Setup};
use super::world::{Act, Violation, World};

/// What the deletion does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Tombstone,
    Generations,
    Objects,
    LateGenerations,
    LateObjects,
    Forget,
    Done,
}

impl World {
    /// What may happen once the topic is deleted, besides the leaders' own steps.
    pub(super) fn acts_of_burial(&self, stage: Stage, acts: &mut Vec<Act>) {
        if stage != Stage::Done {
            acts.push(Act::Bury);
        }
        for (index, leader) in self.leaders.iter().enumerate() {
            if !leader.ended {
                acts.push(Act::Hear(index));
            } else if !leader.cleared && stage == Stage::Done {
                acts.push(Act::ClearAway(index));
            }
        }
    }

    pub(super) fn bury(&mut self) {
        self.burial = self.burial.map(|stage| match stage {
            Stage::Tombstone => {
                self.store.tombstone = true;
                Stage::Generations
            }
            Stage::Generations => {
                self.store.forget_generations();
                Stage::Objects
            }
            Stage::Objects => {
                self.store.objects.clear();
                Stage::LateGenerations
            }
            Stage::LateGenerations => {
                self.store.forget_generations();
                Stage::LateObjects
            }
            Stage::LateObjects => {
                self.store.objects.clear();
                Stage::Forget
            }
            Stage::Forget => {
                self.store.tombstone = false;
                Stage::Done
            }
            Stage::Done => Stage::Done,
        });
    }

    pub(super) fn clear_away(&mut self, setup: &Setup, index: usize) {
        self.leaders[index].cleared = true;
        if setup.planted != Some(Planted::NoClearing) {
            self.store.forget_generations();
            self.store.objects.clear();
        }
    }

    /// Nothing is left when everybody is through.
    pub(super) fn look_for_remains(&self, stage: Stage) -> Result<(), Violation> {
        let is_over = stage == Stage::Done && self.leaders.iter().all(|leader| leader.cleared);
        let is_empty = self.store.generations.is_empty() && self.store.objects.is_empty();
        if is_over && !is_empty { Err(Violation::Left) } else { Ok(()) }
    }
}
