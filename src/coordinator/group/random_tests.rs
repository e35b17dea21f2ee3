//! Random members that join, sync, beat, commit, leave and fall silent, with time jumps and failovers.
//!
//! Checked after every event: what lives is what is remembered (in `Group::check`), a replay gives the same memory, also of
//! what compaction leaves,
//! a generation has one set of members and one assignment, a committed offset never goes back, and at the end
//! everybody who waits gets an answer.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::bench::*;
use super::*;
use crate::coordinator::compacted::Cleaning;

thread_local! {
    /// A planted defect: compaction leaves the first record of a key.
    static KEEPS_THE_FIRST: Cell<bool> = const { Cell::new(false) };
}

const CLIENTS: usize = 5;

#[derive(Debug, Clone)]
enum Event {
    Join(usize),
    JoinWithOtherMetadata(usize),
    Sync(usize),
    Heartbeat(usize),
    Commit(usize),
    Leave(usize),
    /// The process is gone, with all it knew; static ones come back under their name.
    Forget(usize),
    Pass(u64),
    /// Everybody does what a well-behaved client does, for so many seconds.
    Live(u8),
    /// Of the log so much is compacted before, with or without its tombstones.
    Failover(u8, bool),
    Delete,
}

fn events() -> impl Strategy<Value = Event> {
    let client = 0..CLIENTS;
    prop_oneof![
        8 => client.clone().prop_map(Event::Join),
        1 => client.clone().prop_map(Event::JoinWithOtherMetadata),
        8 => client.clone().prop_map(Event::Sync),
        6 => client.clone().prop_map(Event::Heartbeat),
        4 => client.clone().prop_map(Event::Commit),
        1 => client.clone().prop_map(Event::Leave),
        1 => client.prop_map(Event::Forget),
        3 => (0..4_000u64).prop_map(Event::Pass),
        1 => (4_000..90_000u64).prop_map(Event::Pass),
        6 => (1..12u8).prop_map(Event::Live),
        1 => any::<(u8, bool)>().prop_map(|(share, tombstones)| Event::Failover(share, tombstones)),
        1 => Just(Event::Delete),
    ]
}

/// A client as it sees itself.
#[derive(Debug, Default, Clone)]
struct Client {
    member_id: String,
    joined: Option<Joined>,
    joining: Option<RequestId>,
    syncing: Option<(RequestId, i32)>,
    /// The generation whose assignment it has.
    assigned: Option<i32>,
    version: u8,
}

struct World {
    bench: Bench,
    clients: Vec<Client>,
    /// Who got which part of a generation's assignment, as the leader wrote it: the generation, then the member.
    parts: BTreeMap<i32, BTreeMap<String, Bytes>>,
    members: BTreeMap<i32, Vec<String>>,
    committed: i64,
}

impl World {
    fn new() -> World {
        let config = GroupConfig { initial_rebalance_delay: Duration::from_secs(1), ..config() };
        World {
            bench: Bench::new(config),
            clients: vec![Client::default(); CLIENTS],
            parts: BTreeMap::new(),
            members: BTreeMap::new(),
            committed: -1,
        }
    }

    /// The first two are static members, the next a client of before KIP-394.
    fn request(&self, i: usize) -> JoinGroup {
        let client = &self.clients[i];
        let name = format!("c{i}");
        let base = if i < 2 { static_member(&name) } else { member(&name) };
        let mut request = JoinGroup { member_id: client.member_id.clone(), ..base };
        request.id_before_join = i > 2;
        request.protocols[0].1 = Bytes::from(vec![client.version]);
        request
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Join(i) => self.join(i),
            Event::JoinWithOtherMetadata(i) => {
                self.clients[i].version = self.clients[i].version.wrapping_add(1);
                self.join(i);
            }
            Event::Sync(i) => self.sync(i),
            Event::Heartbeat(i) => {
                if let Some(joined) = self.clients[i].joined.clone()
                    && let Err(error) = self.bench.heartbeat(&joined)
                {
                    self.fenced(i, &error);
                }
            }
            Event::Commit(i) => {
                if let Some(joined) = self.clients[i].joined.clone() {
                    self.step_commit(&joined);
                }
            }
            Event::Leave(i) => {
                let client = std::mem::take(&mut self.clients[i]);
                if !client.member_id.is_empty() {
                    let _ = self.bench.leave(&client.member_id, None);
                }
            }
            Event::Forget(i) => self.clients[i] = Client::default(),
            Event::Pass(ms) => self.bench.pass_ms(ms),
            Event::Live(seconds) => {
                for _ in 0..seconds {
                    (0..CLIENTS).for_each(|i| self.live(i));
                    self.bench.pass_ms(1_000);
                    self.collect();
                }
            }
            Event::Failover(share, tombstones) => {
                let cleaning =
                    Cleaning { keeps_the_first: KEEPS_THE_FIRST.get(), ..Cleaning::new(share, tombstones) };
                let next = self.bench.cleaned(cleaning);
                assert_eq!(
                    self.bench.memory(),
                    next.memory(),
                    "a replay of what compaction leaves gives the same"
                );
                self.bench = next;
                for client in &mut self.clients {
                    (client.joining, client.syncing) = (None, None);
                }
                // Generations that were not written down are gone, and their numbers are given again.
                let last =
                    self.bench.memory().get(GROUP).and_then(|m| m.0.as_ref()).map_or(0, |g| g.generation);
                self.members.retain(|generation, _| *generation <= last);
                self.parts.retain(|generation, _| *generation <= last);
            }
            Event::Delete => {
                if self.bench.delete().is_ok() {
                    self.committed = -1;
                    self.members.clear();
                    self.parts.clear();
                    self.clients.fill(Client::default());
                }
            }
        }
        self.collect();
        self.check();
    }

    fn live(&mut self, i: usize) {
        let client = &self.clients[i];
        if client.joining.is_some() || client.syncing.is_some() {
            return;
        }
        let Some(joined) = client.joined.clone() else { return self.join(i) };
        if client.assigned != Some(joined.generation) {
            return self.sync(i);
        }
        match self.bench.heartbeat(&joined) {
            Err(GroupError::RebalanceInProgress) => self.join(i),
            Err(error) => self.fenced(i, &error),
            Ok(()) => self.step_commit(&joined),
        }
    }

    fn step_commit(&mut self, joined: &Joined) {
        if self.bench.commit(membership(joined), 0, self.committed + 1).is_ok() {
            self.committed += 1;
        }
    }

    fn join(&mut self, i: usize) {
        if self.clients[i].joining.is_some() {
            return;
        }
        self.clients[i].assigned = None;
        let request = self.request(i);
        let id = self.bench.join(request);
        self.clients[i].joining = Some(id);
    }

    fn sync(&mut self, i: usize) {
        let Some(joined) = self.clients[i].joined.clone() else { return };
        if self.clients[i].syncing.is_some() || self.clients[i].joining.is_some() {
            return;
        }
        let assignments: Vec<(String, Bytes)> = joined
            .members
            .iter()
            .map(|m| (m.member_id.clone(), Bytes::from(format!("{}@{}", m.member_id, joined.generation))))
            .collect();
        let id = self.bench.ask(Request::Sync(SyncGroup {
            member: membership(&joined),
            protocol_type: None,
            protocol: joined.protocol.clone(),
            assignments,
            catalog: Arc::default(),
        }));
        self.clients[i].syncing = Some((id, joined.generation));
    }

    fn fenced(&mut self, i: usize, error: &GroupError) {
        let client = &mut self.clients[i];
        match error {
            GroupError::UnknownMember | GroupError::FencedInstance => *client = Client::default(),
            GroupError::IllegalGeneration | GroupError::RebalanceInProgress => client.joined = None,
            _ => {}
        }
    }

    /// Takes the answers that have come.
    fn collect(&mut self) {
        for i in 0..CLIENTS {
            if let Some(id) = self.clients[i].joining.filter(|id| !self.bench.is_waiting(*id)) {
                self.clients[i].joining = None;
                match self.bench.joined(id) {
                    Ok(joined) => self.joined(i, joined),
                    Err(GroupError::MemberIdRequired(given)) => self.clients[i].member_id = given,
                    Err(error) => self.fenced(i, &error),
                }
            }
            if let Some((id, generation)) =
                self.clients[i].syncing.filter(|(id, _)| !self.bench.is_waiting(*id))
            {
                self.clients[i].syncing = None;
                match self.bench.synced(id) {
                    Ok(part) => {
                        let member = self.clients[i].member_id.clone();
                        // A static member that came back has the part of its former id.
                        let owner = part.split('@').next().unwrap_or_default().to_owned();
                        let of_instance = |id: &str| id.split('-').next().map(str::to_owned);
                        assert!(
                            owner.is_empty() || of_instance(&owner) == of_instance(&member),
                            "{part} for {member}"
                        );
                        assert!(
                            part.is_empty() || part.ends_with(&format!("@{generation}")),
                            "{part} in {generation}"
                        );
                        self.clients[i].assigned = Some(generation);
                        let part = Bytes::from(part);
                        let parts = self.parts.entry(generation).or_default();
                        let same = parts.entry(member.clone()).or_insert_with(|| part.clone());
                        assert_eq!(*same, part, "two assignments in generation {generation} for {member}");
                    }
                    Err(error) => self.fenced(i, &error),
                }
            }
        }
    }

    fn joined(&mut self, i: usize, joined: Joined) {
        if !joined.members.is_empty() && !joined.skip_assignment {
            let members: Vec<String> = joined.members.iter().map(|m| m.member_id.clone()).collect();
            let same = self.members.entry(joined.generation).or_insert_with(|| members.clone());
            assert_eq!(*same, members, "two sets of members in generation {}", joined.generation);
        }
        self.clients[i].member_id.clone_from(&joined.member_id);
        self.clients[i].joined = Some(joined);
    }

    fn check(&mut self) {
        assert_eq!(self.bench.memory(), self.bench.failed_over().memory(), "a replay gives the same");
        let offset = self.bench.committed(0).map_or(-1, |c| c.offset.0);
        assert_eq!(offset, self.committed, "the last commit is what is read");
    }
}

fn run(events: Vec<Event>) {
    let mut world = World::new();
    for event in events {
        world.step(event);
    }
    // Nobody is stuck: by the end of every timeout there is an answer, and the silent are out.
    world.bench.pass_ms(400_000);
    world.collect();
    for client in &world.clients {
        assert!(client.joining.is_none() && client.syncing.is_none(), "no answer for {client:?}");
    }
    assert!(["Empty", "Dead"].contains(&world.bench.state()), "{}", world.bench.state());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn groups_keep_their_promises(events in prop::collection::vec(events(), 1..120)) {
        run(events);
    }
}

#[test]
fn a_compaction_that_leaves_the_wrong_record_is_found_out() {
    KEEPS_THE_FIRST.set(true);
    let mut world = World::new();
    let events = [Event::Live(12), Event::Live(12), Event::Failover(255, false)];
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| events.map(|e| world.step(e))));
    KEEPS_THE_FIRST.set(false);
    assert!(found.is_err(), "nobody noticed");
}
