//! The protocol as a model that stateright explores state by state: the very transition functions of `isr`, and the very
//! commands of the metadata, over two or three brokers with logs of a few records.
//!
//! `world` wires them together as the broker does; `setups` says how many faults of each kind a run may have. Whatever can
//! happen in any order is an action: a message, an image that one broker sees and another does not yet, a crash, a
//! broker that comes back without its tail or with an empty disk, a reply that is lost, an election. Time is two
//! moments: all happens at the first one, and a tick of a leader may come at the second, when every time-out is over.
//!
//! Every property has a positive control: a defect planted in a machine or in the wiring that must break that property.
//!
//! `ESKER_MODEL` chooses a setup for `the_deep_run` (tests/README.md).

mod setups;
mod state;
mod tier;
mod world;

use stateright::{Checker as _, HasDiscoveries, Model, Property};

use self::setups::{Setup, small};
use self::state::{Action, Planted, Violation, World};

/// States that a test looks at of each setup, repeats included, and at most for each positive control.
const SMALL_STATES: usize = 100_000;
const CONTROL_STATES: usize = 3_000_000;

impl Model for Setup {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Action>) {
        // Behind a violation nothing is of interest; but the state itself must be looked at.
        if state.violation.is_none() {
            state.actions(self, actions);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut next = last.clone();
        next.take(self, action);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Setup>> {
        // Each violation has a property of its own, so that a control names its own.
        let never = |name, condition| Property::<Setup>::always(name, condition);
        let mut properties = vec![
            never(Violation::Lost.name(), |_, w: &World| w.violation != Some(Violation::Lost)),
            never(Violation::Mismatch.name(), |_, w: &World| w.violation != Some(Violation::Mismatch)),
            never(Violation::WentBack.name(), |_, w: &World| w.violation != Some(Violation::WentBack)),
            never(Violation::Reused.name(), |_, w: &World| w.violation != Some(Violation::Reused)),
            never(Violation::Zombie.name(), |_, w: &World| w.violation != Some(Violation::Zombie)),
            never(Violation::Contradiction.name(), |_, w: &World| {
                w.violation != Some(Violation::Contradiction)
            }),
        ];
        if self.has_starts() {
            properties.extend([
                never(Violation::Hole.name(), |_, w: &World| w.violation != Some(Violation::Hole)),
                never(Violation::Cold.name(), |_, w: &World| w.violation != Some(Violation::Cold)),
                never(Violation::Undeleted.name(), |_, w: &World| w.violation != Some(Violation::Undeleted)),
            ]);
        }
        if !self.unclean {
            properties.push(never(Violation::Unclean.name(), |_, w: &World| {
                w.violation != Some(Violation::Unclean)
            }));
        }
        properties
    }

    fn within_boundary(&self, state: &World) -> bool {
        state.leader_epoch() <= self.leader_epochs
    }
}

/// Explores all states, or as many as asked for; panics with the way to the first violation.
fn explore(setup: &Setup, states: Option<usize>) -> (usize, usize) {
    let builder = setup.clone().checker().threads(2).finish_when(HasDiscoveries::AnyFailures);
    let builder = match states {
        Some(states) => builder.target_state_count(states),
        None => builder,
    };
    let checker = builder.spawn_bfs().join();
    if let Some((name, path)) = checker.discoveries().into_iter().next() {
        let actions: Vec<String> = path.clone().into_actions().iter().map(|a| format!("{a:?}")).collect();
        let last = path.last_state();
        panic!("{setup:?}: not so: {name}\n{}\n{last:#?}", actions.join("\n"));
    }
    (checker.unique_state_count(), checker.max_depth())
}

/// Whether a planted defect breaks a property. It may break others too; which of them is found first depends on the threads.
fn breaks(setup: &Setup, planted: Planted, property: &'static str) -> bool {
    let setup = Setup { planted: Some(planted), ..setup.clone() };
    let checker = setup
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyOf([property].into_iter().collect()))
        .target_state_count(CONTROL_STATES)
        .spawn_bfs()
        .join();
    checker.discoveries().contains_key(property)
}

#[test]
fn the_states_of_the_small_setups_keep_every_property() {
    for setup in small() {
        let (states, depth) = explore(&setup, Some(SMALL_STATES));
        println!("{}: {states} states, depth {depth}", setup.name);
        assert!(states > 1000, "{states} states would prove nothing");
    }
}

/// A run of the model chosen from outside: `ESKER_MODEL="brokers=3 records=2 crashes=1 states=1000000"`.
#[test]
fn the_deep_run() {
    let Ok(text) = std::env::var("ESKER_MODEL") else { return };
    let (setup, states) = setups::parse(&text);
    let (found, depth) = explore(&setup, states);
    println!("{setup:?}: {found} states, depth {depth}");
}

#[test]
fn every_planted_defect_breaks_its_property() {
    for (planted, setup, violation) in setups::controls() {
        let property = violation.name();
        assert!(
            breaks(&setup, planted, property),
            "{planted:?} in `{}` leaves it that {property}",
            setup.name
        );
    }
}
