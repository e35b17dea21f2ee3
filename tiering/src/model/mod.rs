//! The planner and the publish protocol as a model that stateright explores state by state: the very functions that decide
//! what comes next ([`plan`](crate::plan)), what a generation holds ([`successor`](crate::manifest::successor)), what follows
//! from an answer of the store (`publish::protocol`) and what is an orphan, for leaders that are elected while their
//! predecessors go on, with more or less on their disks, and while the topic is deleted.
//!
//! `world` wires them together as the offloader does. Each request to the store is a step of its own, so a leader may be paused
//! before any of them for as long as one likes; it may be carried out and its answer be lost, or be acknowledged and not
//! carried out. Time is three moments: what was known a moment ago is fresh, what was superseded two moments ago may go.
//!
//! Every property has a positive control: a defect planted in the wiring that must break it. `TIER_MODEL` chooses a setup for
//! `the_deep_run` (tests/README.md).

mod burial;
mod setups;
mod world;

use stateright::{Checker as _, HasDiscoveries, Model, Property};

use self::setups::{Planted, Setup};
use self::world::{Act, Violation, World};

/// States that a test looks at of each setup, and at most for each positive control.
const SMALL_STATES: usize = 30_000;
const CONTROL_STATES: usize = 100_000;

impl Model for Setup {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Act>) {
        if state.violation.is_none() {
            state.acts(self, actions);
        }
    }

    fn next_state(&self, last: &World, act: Act) -> Option<World> {
        let mut next = last.clone();
        next.take(self, act);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Setup>> {
        let never = |name, condition| Property::<Setup>::always(name, condition);
        vec![
            never(Violation::Lost.name(), |_, w: &World| w.violation != Some(Violation::Lost)),
            never(Violation::WrongRecord.name(), |_, w: &World| w.violation != Some(Violation::WrongRecord)),
            never(Violation::EarlyDelete.name(), |_, w: &World| w.violation != Some(Violation::EarlyDelete)),
            never(Violation::Uncommitted.name(), |_, w: &World| w.violation != Some(Violation::Uncommitted)),
            never(Violation::Zombie.name(), |_, w: &World| w.violation != Some(Violation::Zombie)),
            never(Violation::NamedAndGone.name(), |_, w: &World| {
                w.violation != Some(Violation::NamedAndGone)
            }),
            never(Violation::Contradiction.name(), |_, w: &World| {
                w.violation != Some(Violation::Contradiction)
            }),
            never(Violation::Undead.name(), |_, w: &World| w.violation != Some(Violation::Undead)),
            never(Violation::Left.name(), |_, w: &World| w.violation != Some(Violation::Left)),
        ]
    }
}

/// Explores as many states as asked for, or all; panics with the way to the first violation.
fn explore(setup: &Setup, states: Option<usize>) -> (usize, usize) {
    let builder = setup.clone().checker().threads(2).finish_when(HasDiscoveries::AnyFailures);
    let builder = match states {
        Some(states) => builder.target_state_count(states),
        None => builder,
    };
    let checker = builder.spawn_bfs().join();
    if let Some((name, path)) = checker.discoveries().into_iter().next() {
        let acts: Vec<String> = path.clone().into_actions().iter().map(|act| format!("{act:?}")).collect();
        panic!("{setup:?}: not so: {name}\n{}\n{:#?}", acts.join("\n"), path.last_state());
    }
    (checker.unique_state_count(), checker.max_depth())
}

/// Whether a planted defect breaks a property. It may break others too, where it is found later.
fn breaks(setup: &Setup, planted: Planted, property: &'static str) -> bool {
    let setup = Setup { planted: Some(planted), ..setup.clone() };
    let found = HasDiscoveries::AnyOf([property].into_iter().collect());
    let builder = setup.checker().threads(2).finish_when(found);
    let checker = builder.target_state_count(CONTROL_STATES).spawn_bfs().join();
    checker.discoveries().contains_key(property)
}

#[test]
fn the_states_of_the_small_setups_keep_every_property() {
    for setup in Setup::small() {
        let (states, depth) = explore(&setup, Some(SMALL_STATES));
        println!("{}: {states} states, depth {depth}", setup.name);
        assert!(states > 100, "{}: {states} states would prove nothing", setup.name);
    }
}

/// A run of the model chosen from outside: `TIER_MODEL="records=2 elections=2 faults=1 states=1000000"`.
#[test]
fn the_deep_run() {
    let Ok(text) = std::env::var("TIER_MODEL") else { return };
    let (setup, states) = Setup::parse(&text);
    let (found, depth) = explore(&setup, states);
    println!("{setup:?}: {found} states, depth {depth}");
}

#[test]
fn every_planted_defect_breaks_its_property() {
    for (planted, setup, violation) in Setup::controls() {
        let name = violation.name();
        assert!(breaks(&setup, planted, name), "{planted:?} in `{}` leaves it that {name}", setup.name);
        let rules = Setup { planted: None, ..setup };
        explore(&rules, Some(CONTROL_STATES));
    }
}
