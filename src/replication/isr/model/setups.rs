//! How much may happen in one run of the model.

use std::collections::BTreeMap;

use super::state::{Action, Planted, Violation};
use crate::replication::isr::{follower, leader};

/// A model: so many brokers, records and faults.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Setup {
    pub name: &'static str,
    /// What has happened before the model begins.
    pub prelude: Vec<Action>,
    /// Brokers 1 to this, each with a replica.
    pub brokers: i32,
    pub min_isr: u8,
    /// Records that producers write, all together.
    pub records: u8,
    /// The highest leader epoch that is explored.
    pub leader_epochs: i32,
    /// `unclean.leader.election.enable`.
    pub unclean: bool,
    pub faults: Faults,
    pub planted: Option<Planted>,
}

/// How often each fault may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Faults {
    /// A broker dies; it may come back as it was.
    pub crashes: u8,
    /// One of those that come back has lost its unflushed tail, or its whole disk.
    pub losses: u8,
    /// A session breaks, with what is on its way.
    pub breaks: u8,
    /// A leader hears nothing of what became of its proposal.
    pub silences: u8,
    /// A broker that lives is fenced: it was silent for too long.
    pub fences: u8,
    /// A leader's write fails.
    pub failed_writes: u8,
    /// An operator gives the partition back to its preferred leader.
    pub preferred: u8,
    /// A leader finds that everybody whom it may suspect is too late.
    pub ticks: u8,
    /// A leader publishes all that is committed.
    pub publishes: u8,
    /// A broker deletes its own copy of what is in the tier.
    pub let_goes: u8,
    /// Records are deleted from the front.
    pub deletes: u8,
}

impl Setup {
    /// Whether there is a tier.
    pub(super) fn is_tiered(&self) -> bool {
        self.faults.publishes > 0
    }

    /// Whether logs may begin elsewhere than at 0.
    pub(super) fn has_starts(&self) -> bool {
        self.is_tiered() || self.faults.deletes > 0
    }
}

const BASE: Setup = Setup {
    name: "base",
    prelude: Vec::new(),
    brokers: 3,
    min_isr: 2,
    records: 1,
    leader_epochs: 2,
    unclean: false,
    faults: Faults {
        crashes: 0,
        losses: 0,
        breaks: 0,
        silences: 0,
        fences: 0,
        failed_writes: 0,
        preferred: 0,
        ticks: 0,
        publishes: 0,
        let_goes: 0,
        deletes: 0,
    },
    planted: None,
};

/// All others stream from broker 1.
fn settled(brokers: i32) -> Vec<Action> {
    (2..=brokers).flat_map(|id| opened(id, 100 * id as u64)).collect()
}

fn opened(id: i32, session: u64) -> [Action; 3] {
    [Action::Open(id), Action::ToLeader(session), Action::ToFollower(session)]
}

/// A record is on broker 1 and on these followers, who have not been heard yet.
fn written(sessions: &[u64]) -> Vec<Action> {
    let copied = sessions.iter().flat_map(|session| [Action::Push(*session), Action::ToFollower(*session)]);
    [Action::Produce(1)].into_iter().chain(copied).collect()
}

/// The sessions are lost, and whoever had them is out of the ISR.
fn dropped(sessions: &[u64]) -> Vec<Action> {
    let lost =
        sessions.iter().flat_map(|s| [Action::Break(*s), Action::ToLeader(*s), Action::ToFollower(*s)]);
    lost.chain([Action::Tick(1), Action::Apply(0), Action::See(1), Action::See(2), Action::See(3)]).collect()
}

/// Situations from which something may go wrong within a few steps: what has happened so far, and the faults that may
/// still come (those of the beginning included).
fn situations() -> BTreeMap<&'static str, Setup> {
    let faults = BASE.faults;
    let heard = [Action::ToLeader(200), Action::ToLeader(300)];
    let all = [
        ("settled", settled(3), Faults { fences: 1, failed_writes: 1, ..faults }),
        (
            "two in sync",
            [settled(3), dropped(&[300])].concat(),
            Faults { breaks: 1, ticks: 1, silences: 1, ..faults },
        ),
        (
            "two in sync, one record",
            [settled(3), dropped(&[300]), written(&[200]), vec![Action::ToLeader(200)]].concat(),
            Faults { breaks: 1, ticks: 1, crashes: 1, losses: 1, fences: 1, ..faults },
        ),
        (
            "one in sync",
            [settled(3), dropped(&[200, 300])].concat(),
            Faults { breaks: 2, ticks: 1, fences: 1, ..faults },
        ),
        (
            "one record on all, not acknowledged",
            [settled(3), written(&[200, 300])].concat(),
            Faults { fences: 1, ..faults },
        ),
        (
            "one record on all, and three lives",
            [settled(3), written(&[200, 300]), heard.to_vec()].concat(),
            Faults { crashes: 2, losses: 1, ..faults },
        ),
    ];
    let setup = |(name, prelude, faults)| (name, Setup { name, prelude, faults, records: 2, ..BASE });
    all.map(setup).into()
}

/// Explored in every run of the tests.
pub(super) fn small() -> Vec<Setup> {
    let two = Setup {
        name: "two brokers, one loses its disk",
        brokers: 2,
        faults: Faults { crashes: 1, losses: 1, ..BASE.faults },
        ..BASE
    };
    let unclean = situations().remove("two in sync, one record").map(|setup| Setup {
        name: "two in sync, one record, unclean elections",
        unclean: true,
        faults: Faults { losses: 2, crashes: 2, ..setup.faults },
        ..setup
    });
    situations().into_values().chain([two]).chain(unclean).chain(with_starts()).collect()
}

/// Logs that begin elsewhere than at 0: two brokers, a record on both, and a second one to come.
fn with_starts() -> [Setup; 3] {
    let faults = BASE.faults;
    let copied = [settled(2), written(&[200]), vec![Action::ToLeader(200)]].concat();
    let base = Setup { brokers: 2, min_isr: 1, records: 2, prelude: copied, ..BASE };
    [
        Setup {
            name: "a tier, and a broker that dies",
            faults: Faults { crashes: 1, losses: 1, publishes: 1, let_goes: 2, ..faults },
            ..base.clone()
        },
        Setup {
            name: "a tier, deleted records, and a broker that was away",
            faults: Faults { fences: 1, publishes: 1, let_goes: 1, deletes: 1, ..faults },
            leader_epochs: 3,
            ..base.clone()
        },
        Setup {
            name: "deleted records, and a broker that dies",
            faults: Faults { crashes: 1, losses: 1, deletes: 1, ..faults },
            leader_epochs: 3,
            ..base
        },
    ]
}

/// Every defect, the situation in which it shows, and the property that it breaks.
pub(super) fn controls() -> Vec<(Planted, Setup, Violation)> {
    use follower::Defect::TruncateToHighWatermark;
    use leader::Defect::{BelowMinIsr, CommittedIsrOnly, LostReplyIsRefusal};
    let all = [
        (Planted::Leader(CommittedIsrOnly), "two in sync", Violation::Lost),
        (Planted::Leader(LostReplyIsRefusal), "two in sync", Violation::Lost),
        (Planted::Leader(BelowMinIsr), "one in sync", Violation::Lost),
        (Planted::Follower(TruncateToHighWatermark), "one record on all, not acknowledged", Violation::Lost),
        (Planted::NoLease, "one record on all, not acknowledged", Violation::Zombie),
        (Planted::WipeUnnoticed, "two in sync, one record", Violation::Lost),
        (Planted::PowerCutUnnoticed, "two in sync, one record", Violation::Lost),
        (Planted::EpochGoesOn, "settled", Violation::Reused),
        (Planted::EndIsCommitted, "settled", Violation::Mismatch),
        (Planted::LeaderBeginsAnew, "one record on all, and three lives", Violation::WentBack),
        (Planted::EmptyLogView, "one record on all, and three lives", Violation::Contradiction),
        (Planted::UncleanUnasked, "two in sync, one record", Violation::Unclean),
        (Planted::PublishesAll, "a tier, and another leader", Violation::Cold),
        (Planted::LetsGoOfAll, "a tier, and a broker that dies", Violation::Hole),
        (Planted::ColdIsDeleted, "a tier, and a broker that dies", Violation::Undeleted),
    ];
    let mut situations = situations();
    situations.extend(with_starts().map(|setup| (setup.name, setup)));
    // What only one has written is in the tier, and another one writes in its place.
    let [died, ..] = with_starts();
    let faults = Faults { crashes: 0, losses: 0, let_goes: 0, fences: 1, ..died.faults };
    let another = Setup { name: "a tier, and another leader", records: 3, leader_epochs: 3, faults, ..died };
    situations.insert(another.name, another);
    all.into_iter()
        .map(|(planted, name, breaks)| {
            let setup = situations.entry(name).or_insert(BASE).clone();
            (planted, setup, breaks)
        })
        .collect()
}

/// A setup written as `brokers=3 records=2 crashes=1 …`, and how many states of it (`states=`; all if absent).
pub(super) fn parse(text: &str) -> (Setup, Option<usize>) {
    let mut setup = Setup { name: "given", ..BASE };
    let mut states = None;
    for item in text.split_whitespace() {
        let (key, value) = item.split_once('=').expect("key=value");
        let number: usize = value.parse().expect("a number");
        let small = u8::try_from(number).unwrap_or(u8::MAX);
        match key {
            "brokers" => setup.brokers = i32::from(small),
            "min_isr" => setup.min_isr = small,
            "records" => setup.records = small,
            "leader_epochs" => setup.leader_epochs = i32::from(small),
            "unclean" => setup.unclean = small > 0,
            "crashes" => setup.faults.crashes = small,
            "losses" => setup.faults.losses = small,
            "breaks" => setup.faults.breaks = small,
            "silences" => setup.faults.silences = small,
            "fences" => setup.faults.fences = small,
            "failed_writes" => setup.faults.failed_writes = small,
            "preferred" => setup.faults.preferred = small,
            "ticks" => setup.faults.ticks = small,
            "publishes" => setup.faults.publishes = small,
            "let_goes" => setup.faults.let_goes = small,
            "deletes" => setup.faults.deletes = small,
            "settled" => setup.prelude = settled(setup.brokers),
            "states" => states = Some(number),
            _ => panic!("there is no {key}"),
        }
    }
    (setup, states)
}
