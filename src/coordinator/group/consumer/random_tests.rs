//! Random members of both protocols that join, live, leave, fall silent and lose answers, while topics grow, time passes
//! and the coordinator fails over.
//!
//! Checked after every event: no two members that the coordinator knows have a partition at the same time, epochs never go
//! back, and (in `Group::check`) each partition has one holder. A replay of the log gives the same memory, also of what compaction leaves. In the end
//! everybody lives well for a while: then all partitions are somebody's. With a defence switched off the same events
//! must find a failure.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::super::bench::*;
use super::super::*;
use super::tests::{beat, catalog, joining};
use super::*;
use crate::coordinator::compacted::Cleaning;
use crate::coordinator::consumer_record::Partitions;
use crate::coordinator::topics::TopicCatalog;
use crate::types::TopicId;

thread_local! {
    /// A planted defect: a member gets what others have not given back.
    pub(super) static GIVES_WHAT_OTHERS_HAVE: Cell<bool> = const { Cell::new(false) };
}

/// The first ones speak the consumer protocol, the first of them is a static member; the last ones the classic protocol.
const MEMBERS: usize = 6;
const CLASSIC: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Event {
    /// A member says what it has to say; the answer is lost if so.
    Speak(usize, bool),
    /// It takes what it was told: gives back first, then takes.
    Follow(usize),
    Leave(usize),
    /// A static member leaves for a while.
    Pause,
    /// The process is gone, with all it knew.
    Forget(usize),
    Pass(u64),
    Live(u8),
    /// Of the log so much is compacted before, with or without its tombstones.
    Failover(u8, bool),
    Grow,
    /// A member of the consumer protocol subscribes to one topic less, or to all again.
    Resubscribe(usize),
}

/// The assignment interval in milliseconds, and what happens.
fn events() -> impl Strategy<Value = (u64, Vec<Event>)> {
    let interval = prop_oneof![Just(0), Just(1_000), 0..8_000u64];
    let member = 0..MEMBERS;
    let event = prop_oneof![
        24 => (member.clone(), prop::bool::weighted(0.15)).prop_map(|(m, lost)| Event::Speak(m, lost)),
        16 => member.clone().prop_map(Event::Follow),
        1 => member.clone().prop_map(Event::Leave),
        1 => Just(Event::Pause),
        1 => member.prop_map(Event::Forget),
        4 => (0..6_000u64).prop_map(Event::Pass),
        1 => (6_000..80_000u64).prop_map(Event::Pass),
        4 => (1..8u8).prop_map(Event::Live),
        1 => any::<(u8, bool)>().prop_map(|(share, tombstones)| Event::Failover(share, tombstones)),
        1 => Just(Event::Grow),
        2 => (1..CLASSIC).prop_map(Event::Resubscribe),
    ];
    (interval, prop::collection::vec(event, 0..120))
}

/// A member as it sees itself.
#[derive(Debug, Default, Clone)]
struct Member {
    id: String,
    /// 0 before it has joined.
    epoch: i32,
    owned: Partitions,
    /// What it was told to have, and has not followed yet.
    told: Option<Partitions>,
    /// It is subscribed to the first topic alone, where others like it have all; the second member the other way round.
    narrow: bool,
    /// It says what it has with the next heartbeat.
    has_news: bool,
    /// An answer was lost: the next heartbeat says everything, so that its answer does too.
    says_all: bool,
    /// Of the classic protocol: joined, and to ask for its assignment.
    syncs: bool,
}

struct World {
    bench: Bench,
    members: Vec<Member>,
    lives: usize,
    topics: Arc<TopicCatalog>,
    sizes: (i32, i32),
    epoch: i32,
}

impl World {
    fn new(assignment_interval_ms: u64) -> World {
        let consumer_assignment_interval = Duration::from_millis(assignment_interval_ms);
        World {
            bench: Bench::new(GroupConfig { consumer_assignment_interval, ..config() }),
            members: vec![Member::default(); MEMBERS],
            lives: 0,
            topics: catalog(1, &[("t", 4), ("u", 2)]),
            sizes: (4, 2),
            epoch: 0,
        }
    }

    fn step(&mut self, event: Event) -> Result<(), TestCaseError> {
        match event {
            Event::Speak(i, lost) if i < CLASSIC => self.beat(i, lost),
            Event::Speak(i, lost) => self.speak_classic(i, lost),
            Event::Follow(i) => self.follow(i),
            Event::Leave(i) => self.leave(i),
            Event::Pause => {
                let member = &self.members[0];
                if member.epoch > 0 {
                    let pause = self.goodbye(&member.id, 0, AWAY);
                    let _ = self.bench.beats(pause);
                    self.members[0] = Member::default();
                }
            }
            Event::Forget(i) => self.members[i] = Member::default(),
            Event::Pass(ms) => self.bench.pass_ms(ms),
            Event::Live(seconds) => self.live(seconds)?,
            Event::Failover(share, tombstones) => {
                let next = self.bench.cleaned(Cleaning::new(share, tombstones));
                prop_assert_eq!(self.bench.memory(), next.memory());
                self.bench = next;
            }
            Event::Resubscribe(i) => {
                let member = &mut self.members[i];
                (member.narrow, member.says_all) = (!member.narrow, member.epoch > 0);
            }
            Event::Grow => {
                self.sizes = (self.sizes.0 + 1, self.sizes.1);
                let topics = [("t", self.sizes.0), ("u", self.sizes.1)];
                self.topics = catalog(self.topics.version() + 1, &topics);
            }
        }
        self.check()
    }

    fn live(&mut self, seconds: u8) -> Result<(), TestCaseError> {
        for _ in 0..seconds {
            for i in 0..MEMBERS {
                self.step(Event::Speak(i, false))?;
                self.step(Event::Follow(i))?;
            }
            self.bench.pass_ms(1_000);
            self.check()?;
        }
        Ok(())
    }

    fn new_life(&mut self, i: usize) -> String {
        self.lives += 1;
        format!("m{i}-{}", self.lives)
    }

    fn beat(&mut self, i: usize, lost: bool) {
        if self.members[i].epoch == 0 {
            if self.members[i].id.is_empty() {
                self.members[i].id = self.new_life(i);
            }
            self.members[i].owned.clear();
            self.members[i].told = None;
        }
        let member = &self.members[i];
        let base = if member.epoch == 0 { joining(&member.id) } else { beat(&member.id, member.epoch) };
        let heartbeat = ConsumerHeartbeat {
            instance_id: instance(i),
            rebalance_timeout_ms: (member.epoch == 0 || member.says_all).then_some(60_000),
            topics: (member.epoch == 0 || member.says_all).then(|| self.subscription(i)),
            owned: match member.epoch {
                0 => Some(Partitions::new()),
                _ => (member.has_news || member.says_all).then(|| member.owned.clone()),
            },
            catalog: self.topics.clone(),
            ..base
        };
        let reply = self.bench.beats(heartbeat);
        let member = &mut self.members[i];
        match reply {
            // What it was told before may be somebody else's by now: it asks for everything anew.
            Ok(_) if lost => (member.says_all, member.told) = (true, None),
            Ok(reply) => {
                assert!(reply.epoch >= member.epoch, "the epoch of a member went back");
                member.epoch = reply.epoch;
                (member.has_news, member.says_all) = (false, false);
                if let Some(assignment) = reply.assignment {
                    member.told = Some(assignment);
                }
            }
            Err(GroupError::UnreleasedInstance(_)) => {}
            // It begins anew.
            Err(_) => *member = Member::default(),
        }
    }

    fn subscription(&self, i: usize) -> BTreeSet<String> {
        let all = ["t".to_owned(), "u".to_owned()];
        if self.members[i].narrow != (i == 1) { all[..1].iter().cloned().collect() } else { all.into() }
    }

    fn follow(&mut self, i: usize) {
        let member = &mut self.members[i];
        let Some(told) = member.told.take() else { return };
        member.has_news |= member.owned != told;
        member.owned = told;
    }

    fn speak_classic(&mut self, i: usize, lost: bool) {
        let member = self.members[i].clone();
        let who = Joined {
            member_id: member.id.clone(),
            generation: member.epoch,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            members: Vec::new(),
            skip_assignment: false,
        };
        if member.epoch > 0 && !member.syncs {
            match self.bench.heartbeat(&who) {
                Ok(()) => return,
                Err(GroupError::RebalanceInProgress) => {}
                Err(_) => self.members[i] = Member::default(),
            }
        } else if member.syncs {
            let sync = SyncGroup {
                member: membership(&who),
                protocol_type: None,
                protocol: None,
                assignments: Vec::new(),
                catalog: self.topics.clone(),
            };
            let id = self.bench.ask(Request::Sync(sync));
            let Some(Reply::Sync(synced)) = self.bench.answer(id).map(|a| a.reply) else { return };
            let member = &mut self.members[i];
            match synced {
                Ok(_) if lost => {}
                Ok(synced) => {
                    member.syncs = false;
                    member.told = embedded::assignment(&synced.assignment, &self.topics);
                }
                Err(GroupError::RebalanceInProgress) => member.syncs = false,
                Err(_) => *member = Member::default(),
            }
            return;
        }
        self.join_classic(i, lost);
    }

    /// Only into groups of the consumer protocol: the classic one has a test of its own.
    fn join_classic(&mut self, i: usize, lost: bool) {
        let is_consumer = self.bench.memory().get(GROUP).is_some_and(|m| {
            m.3.as_ref().is_some_and(|c| c.members.values().any(|m| m.metadata.classic.is_none()))
        });
        if !is_consumer {
            self.members[i] = Member::default();
            return;
        }
        if self.members[i].id.is_empty() {
            self.members[i].id = self.new_life(i);
        }
        let member = &self.members[i];
        let named: Vec<(String, Vec<i32>)> = member
            .owned
            .iter()
            .filter_map(|(id, p)| Some((self.topics.name(*id)?.to_string(), p.iter().copied().collect())))
            .collect();
        let owned: Vec<(&str, &[i32])> = named.iter().map(|(t, p)| (t.as_str(), p.as_slice())).collect();
        let metadata: Bytes = embedded::write_subscription(&["t", "u"], &owned);
        let join = JoinGroup {
            member_id: member.id.clone(),
            protocols: vec![("range".to_owned(), metadata)],
            id_before_join: false,
            catalog: self.topics.clone(),
            ..super::super::bench::member("classic")
        };
        let id = self.bench.join(join);
        // Whoever joins again follows no former assignment.
        self.members[i].told = None;
        let Some(Reply::Join(joined)) = self.bench.answer(id).map(|a| a.reply) else { return };
        let member = &mut self.members[i];
        match joined {
            Ok(_) if lost => {}
            Ok(joined) => {
                member.epoch = joined.generation;
                member.syncs = true;
            }
            Err(_) => *member = Member::default(),
        }
    }

    /// The last heartbeat of a member, with the topics as all others have them: a coordinator takes them for one version.
    fn goodbye(&self, id: &str, i: usize, epoch: i32) -> ConsumerHeartbeat {
        ConsumerHeartbeat { instance_id: instance(i), catalog: self.topics.clone(), ..beat(id, epoch) }
    }

    fn leave(&mut self, i: usize) {
        let member = std::mem::take(&mut self.members[i]);
        if member.epoch == 0 {
            return;
        }
        if i < CLASSIC {
            let leave = self.goodbye(&member.id, i, LEAVE);
            let _ = self.bench.beats(leave);
        } else {
            let _ = self.bench.leave(&member.id, None);
        }
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let memory = self.bench.memory();
        let Some(consumer) = memory.get(GROUP).and_then(|m| m.3.as_ref()) else {
            self.epoch = 0;
            return Ok(());
        };
        prop_assert!(consumer.group.epoch >= self.epoch, "the group's epoch went back");
        self.epoch = consumer.group.epoch;
        let mut owners: BTreeMap<(TopicId, i32), &str> = BTreeMap::new();
        // Whoever is out of the group learns it with its next heartbeat; what it commits is refused.
        for member in self.members.iter().filter(|m| consumer.members.contains_key(&m.id)) {
            for (topic, partitions) in &member.owned {
                for partition in partitions {
                    let other = owners.insert((*topic, *partition), &member.id);
                    prop_assert!(other.is_none(), "{topic}-{partition} is {}'s and {other:?}'s", member.id);
                }
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), TestCaseError> {
        self.live(100)?;
        prop_assert_eq!(self.bench.memory(), self.bench.failed_over().memory());
        let all: BTreeSet<(TopicId, i32)> =
            self.topics.iter().flat_map(|(_, t)| (0..t.partitions).map(move |p| (t.id, p))).collect();
        let owned: Vec<(TopicId, i32)> = self
            .members
            .iter()
            .flat_map(|m| m.owned.iter().flat_map(|(t, p)| p.iter().map(move |p| (*t, *p))))
            .collect();
        prop_assert_eq!(owned.len(), all.len(), "{:?}", self.members);
        prop_assert_eq!(owned.into_iter().collect::<BTreeSet<_>>(), all);
        prop_assert_eq!(self.bench.described().map(|d| d.state), Ok("Stable"));
        Ok(())
    }
}

fn instance(i: usize) -> Option<String> {
    (i == 0).then(|| "static".to_owned())
}

fn run((assignment_interval_ms, events): (u64, Vec<Event>)) -> Result<(), TestCaseError> {
    let mut world = World::new(assignment_interval_ms);
    for event in events {
        world.step(event)?;
    }
    world.settle()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_partition_has_two_owners_and_all_find_one(events in events()) {
        run(events)?;
    }
}

#[test]
fn a_coordinator_that_gives_what_others_have_is_found_out() {
    GIVES_WHAT_OTHERS_HAVE.set(true);
    let mut runner = TestRunner::new(Config {
        cases: 64,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    });
    let found = runner.run(&events(), run);
    GIVES_WHAT_OTHERS_HAVE.set(false);
    assert!(found.is_err(), "64 runs did not notice");
}

#[test]
fn a_static_member_that_left_after_a_failover_gets_its_share_when_it_is_back() {
    run((0, vec![Event::Live(1), Event::Failover(0, true), Event::Leave(0)])).unwrap();
}
