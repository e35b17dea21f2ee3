//! The deletion of the topic, step by step, beside leaders that have not heard of it: as [`gc`](crate::gc) and the driver do it.
//!
//! ```text
//! tombstone → generations → objects → (nothing is on its way) → what came late, in the same order → no tombstone
//! a leader hears of it and ends, or crashes; one whose broker is unregistered is not waited for, and once all that is done clears
//! away what it may have written too late
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

/// What happens once the topic is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Burying {
    /// A step of the deletion.
    GoesOn,
    /// A leader hears that the topic is deleted.
    Hears(usize),
    /// A leader's process ends before it has heard of it.
    Crashes(usize),
    /// A leader's broker is unregistered while its process lives on.
    IsUnregistered(usize),
    /// It removes what it may have written too late.
    ClearsAway(usize),
}

/// What a leader comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Fate {
    pub(super) ended: bool,
    unregistered: bool,
    cleared: bool,
}

impl Fate {
    /// Nothing more comes of it.
    fn is_through(self) -> bool {
        self.ended && (self.cleared || !self.unregistered)
    }
}

impl World {
    /// What may happen once the topic is deleted, besides the leaders' own steps.
    pub(super) fn acts_of_burial(&self, setup: &Setup, stage: Stage, acts: &mut Vec<Act>) {
        let mut may = |burying| acts.push(Act::Burial(burying));
        let fates = || self.leaders.iter().map(|leader| leader.fate);
        let is_quiet = fates().all(|fate| fate.ended || fate.unregistered);
        let waits = stage == Stage::LateGenerations && setup.planted != Some(Planted::ForgetsEarly);
        if stage != Stage::Done && (is_quiet || !waits) {
            may(Burying::GoesOn);
        }
        for (index, fate) in fates().enumerate() {
            if !fate.ended {
                may(Burying::Hears(index));
                if !fate.unregistered {
                    may(Burying::Crashes(index));
                    may(Burying::IsUnregistered(index));
                }
            } else if !fate.is_through() && stage == Stage::Done {
                may(Burying::ClearsAway(index));
            }
        }
    }

    pub(super) fn bury(&mut self, setup: &Setup, burying: Burying) {
        match burying {
            Burying::GoesOn => self.go_on_burying(),
            Burying::Hears(index) | Burying::Crashes(index) => self.leaders[index].end(),
            Burying::IsUnregistered(index) => self.leaders[index].fate.unregistered = true,
            Burying::ClearsAway(index) => {
                self.leaders[index].fate.cleared = true;
                if setup.planted != Some(Planted::NoClearing) {
                    self.store.forget_generations();
                    self.store.objects.clear();
                }
            }
        }
    }

    fn go_on_burying(&mut self) {
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

    /// Nothing is left when everybody is through.
    pub(super) fn look_for_remains(&self, stage: Stage) -> Result<(), Violation> {
        let is_over = stage == Stage::Done && self.leaders.iter().all(|leader| leader.fate.is_through());
        let is_empty = self.store.generations.is_empty() && self.store.objects.is_empty();
        if is_over && !is_empty { Err(Violation::Left) } else { Ok(()) }
    }
}
