//! How much may happen in one run of the model, what has happened before, and which defect is planted.

use super::world::{Act, Violation};
use crate::plan::Policy;

/// A defect in the wiring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Planted {
    /// The store's put-if-absent replaces what is there.
    Replaces,
    /// A publisher thinks that what it knows is always fresh.
    AlwaysFresh,
    /// Uploads are not read back.
    NoVerification,
    /// The log's end is taken for its high watermark.
    NoHighWatermark,
    /// No leader is ever fenced.
    NoEpochs,
    /// What is uploaded counts as published and checked.
    EagerDelete,
    /// A sweep removes whatever its own head does not name.
    SweepsAll,
    /// Readers take what the head names, whatever its lineage.
    NoLineage,
    /// An upload takes its records from somewhere else.
    WrongRecords,
    /// A generation leaves out the oldest segment of the one before.
    Forgets,
    /// A new leader goes by the epoch of the one before.
    OneEpochForTwo,
    /// Followers are told that what is uploaded is in the tier.
    AnnouncesUploads,
    /// Nobody looks for tombstones.
    IgnoresTombstones,
    /// Who is unregistered and has written after the topic was gone leaves it there.
    NoClearing,
    /// A deleted topic is forgotten while a leader has yet to hear of it.
    ForgetsEarly,
    /// A log start counts, whatever an unclean election has lost below it.
    LostLogStart,
}

/// How much may happen in a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Setup {
    pub(super) name: &'static str,
    /// What has happened before the model begins; what it takes is not counted.
    pub(super) prelude: Vec<Before>,
    pub(super) records: u8,
    pub(super) elections: u8,
    /// Of those, elections that lose the last committed record.
    pub(super) unclean: u8,
    /// Requests whose answer is lost, or that are acknowledged and not done.
    pub(super) faults: u8,
    /// DeleteRecords of all that is committed.
    pub(super) deletions: u8,
    pub(super) ticks: u8,
    /// Of the elections, those of replicas that have more or less on their own disks than the leader before.
    pub(super) apart: u8,
    /// The topic's deletion.
    pub(super) topic_deletions: u8,
    pub(super) segments_per_generation: usize,
    pub(super) planted: Option<Planted>,
}

/// A part of a prelude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Before {
    Does(Act),
    /// A leader steps until it has nothing to do.
    Settles(usize),
}

const RECORD: [Before; 2] = [Before::Does(Act::Append), Before::Does(Act::Commit)];
const STEP: Before = Before::Does(Act::Step(0));
const ELECT: Before = Before::Does(Act::Elect);

/// The first leader is about to create generation 1, with a record, when the second is elected; it has one more record.
fn paused_before_its_first_publish() -> Vec<Before> {
    [&RECORD[..], &RECORD, &[STEP, STEP, STEP, ELECT]].concat()
}

/// The first leader is about to create generation 2 and sleeps on; the second has published 2 and 3, long ago.
fn a_sleeper_whose_number_is_about_to_be_removed() -> Vec<Before> {
    let sleeps = [&RECORD[..], &[Before::Settles(0)], &RECORD, &[STEP, STEP, ELECT]].concat();
    let tick = Before::Does(Act::Tick);
    [&sleeps[..], &[Before::Settles(1)], &RECORD, &[Before::Settles(1), tick, tick]].concat()
}

/// The first leader is about to sweep when the second one begins.
fn paused_before_its_sweep() -> Vec<Before> {
    [&RECORD[..], &[STEP; 8], &[ELECT], &RECORD].concat()
}

const BASE: Setup = Setup {
    name: "base",
    prelude: Vec::new(),
    records: 1,
    elections: 1,
    unclean: 0,
    faults: 0,
    deletions: 0,
    ticks: 0,
    apart: 0,
    topic_deletions: 0,
    segments_per_generation: 1,
    planted: None,
};

impl Setup {
    pub(super) fn small() -> Vec<Setup> {
        let none = Setup { elections: 0, records: 0, ..BASE };
        vec![
            Setup { name: "two leaders, two records", records: 2, ..BASE },
            Setup { name: "lost answers and lost writes", faults: 2, ..BASE },
            Setup { name: "three leaders in time", records: 2, elections: 2, ticks: 3, ..BASE },
            Setup { name: "an unclean election", records: 2, elections: 2, unclean: 1, ..BASE },
            Setup { name: "records are deleted", records: 2, deletions: 1, ticks: 2, ..BASE },
            Setup { name: "replicas begin where they like", records: 2, elections: 2, apart: 2, ..BASE },
            Setup { name: "the topic is deleted", topic_deletions: 1, ticks: 1, faults: 1, ..BASE },
            Setup { name: "deleted and lost", records: 2, deletions: 1, unclean: 1, ticks: 2, ..BASE },
            Setup {
                name: "two segments a generation",
                records: 2,
                faults: 1,
                segments_per_generation: 2,
                ..BASE
            },
            Setup {
                name: "a sleeper wakes when its number is gone",
                prelude: a_sleeper_whose_number_is_about_to_be_removed(),
                faults: 1,
                records: 1,
                ticks: 1,
                ..none.clone()
            },
            Setup {
                name: "a leader is deposed before its first publish",
                prelude: paused_before_its_first_publish(),
                faults: 1,
                ..none.clone()
            },
            Setup {
                name: "a late sweep",
                prelude: paused_before_its_sweep(),
                faults: 2,
                records: 1,
                elections: 1,
                ..none
            },
        ]
    }

    pub(super) fn controls() -> Vec<(Planted, Setup, Violation)> {
        let none = Setup { elections: 0, records: 0, ..BASE };
        let one = Setup { name: "one record", ..BASE };
        let first = Setup { name: "before", prelude: paused_before_its_first_publish(), ..none.clone() };
        let sleeper = Setup {
            prelude: a_sleeper_whose_number_is_about_to_be_removed(),
            name: "sleeper",
            ..none.clone()
        };
        let sweep = Setup { name: "sweep", prelude: paused_before_its_sweep(), ..none };
        let lost = Setup { name: "lost writes", faults: 1, ..BASE };
        let unclean = Setup { name: "unclean", unclean: 1, ..BASE };
        let two = Setup { name: "two records", records: 2, elections: 0, ..BASE };
        let first_two = Setup { name: "two leaders", ..BASE };
        let apart = Setup { name: "apart", apart: 1, ..BASE };
        let deleted = Setup { name: "deleted", elections: 0, topic_deletions: 1, ..BASE };
        let lost_start = Setup { name: "deleted and lost", records: 2, deletions: 1, unclean: 1, ..BASE };
        vec![
            (Planted::Replaces, first.clone(), Violation::Zombie),
            (Planted::AlwaysFresh, sleeper, Violation::Zombie),
            (Planted::NoEpochs, first, Violation::Zombie),
            (Planted::NoVerification, lost, Violation::NamedAndGone),
            (Planted::NoHighWatermark, one.clone(), Violation::Uncommitted),
            (Planted::EagerDelete, one.clone(), Violation::EarlyDelete),
            (Planted::SweepsAll, sweep, Violation::NamedAndGone),
            (Planted::NoLineage, unclean, Violation::Uncommitted),
            (Planted::WrongRecords, one, Violation::WrongRecord),
            (Planted::Forgets, two, Violation::Lost),
            (Planted::OneEpochForTwo, first_two, Violation::Contradiction),
            (Planted::AnnouncesUploads, apart, Violation::Lost),
            (Planted::IgnoresTombstones, deleted.clone(), Violation::Undead),
            (Planted::NoClearing, deleted.clone(), Violation::Left),
            (Planted::ForgetsEarly, deleted, Violation::Left),
            (Planted::LostLogStart, lost_start, Violation::Lost),
        ]
    }

    /// `key=value` pairs over the smallest setup, and how many states.
    pub(super) fn parse(text: &str) -> (Setup, Option<usize>) {
        let mut setup = Setup { name: "from outside", ..BASE };
        let mut states = None;
        for pair in text.split_whitespace() {
            let (key, value) = pair.split_once('=').expect("key=value");
            let number: usize = value.parse().expect("a number");
            let small = || u8::try_from(number).expect("a small number");
            match key {
                "records" => setup.records = small(),
                "elections" => setup.elections = small(),
                "unclean" => setup.unclean = small(),
                "faults" => setup.faults = small(),
                "deletions" => setup.deletions = small(),
                "ticks" => setup.ticks = small(),
                "apart" => setup.apart = small(),
                "topic_deletions" => setup.topic_deletions = small(),
                "segments" => setup.segments_per_generation = number,
                "states" => states = Some(number),
                _ => panic!("unknown: {key}"),
            }
        }
        (setup, states)
    }

    pub(super) fn policy(&self) -> Policy {
        Policy {
            local_retention_bytes: Some(0),
            grace_ms: 1,
            segments_per_generation: self.segments_per_generation,
            keep_generations: 1,
            remove_generations: 1,
            superseded_ms: 2,
            knowledge_ms: 1,
            ..Policy::default()
        }
    }
}
