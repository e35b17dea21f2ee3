//! Random events over three simulated replicas that run the real state machines: lost messages, lost and late
//! replies of proposals, stale images, crashes with and without a lost tail, elections as the quorum makes them.
//!
//! A failing run prints its seed; `ESKER_ISR_SEED=<seed>` makes the twin replay it, with a trace.

mod quorum;
mod tier;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use self::quorum::{Proposal, Truth};
use self::tier::{Store, index};
use super::follower::{self, Follower, Frame, LeaderPositions, Step};
use super::leader::{self, Action, Event, Leader, ProposalReply, Settings};
use super::{OpenAnswer, OpenRequest, TierPosition};
use crate::env::MonoTime;
use crate::log::{EpochCache, EpochEntry};
use crate::types::{BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Offset};

const NODES: i32 = 3;
const MIN_ISR: usize = 2;
const STEPS: usize = 2500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    epoch: i32,
    value: u64,
}

#[derive(Clone, Debug)]
enum Message {
    Open(OpenRequest),
    Answer(OpenAnswer),
    Append { base: Offset, entries: Vec<Entry>, positions: LeaderPositions },
    Ack { end: Offset, log_start: Offset },
}

/// A session's stream: two ordered directions; losing it loses what is on the way.
#[derive(Debug)]
struct Link {
    follower: BrokerId,
    leader: BrokerId,
    leader_epoch: i32,
    up: VecDeque<Message>,
    down: VecDeque<Message>,
    sent: Option<Offset>,
}

enum Role {
    Idle,
    Leader(Box<Leader>),
    Follower(Follower),
}

struct Node {
    alive: bool,
    broker_epoch: i64,
    /// From offset 0 on, whatever of it is still on the disk.
    log: Vec<Entry>,
    log_start: Offset,
    /// What lies from the log start up to here is in the tier only.
    local_start: Offset,
    tier: Option<TierPosition>,
    stored_high_watermark: Offset,
    role: Role,
    seen: usize,
}

impl Node {
    fn end(&self) -> Offset {
        Offset(self.log.len() as i64)
    }

    fn chain(&self) -> EpochCache {
        let entries = self.log.iter().enumerate().skip(index(self.log_start));
        EpochCache::new(
            entries
                .map(|(i, e)| EpochEntry { epoch: LeaderEpoch(e.epoch), start: Offset(i as i64) })
                .collect(),
        )
    }

    fn last_epoch(&self) -> LeaderEpoch {
        self.chain().latest().map_or(LeaderEpoch::NONE, |entry| entry.epoch)
    }

    fn raise_log_start(&mut self, to: Offset) {
        self.log_start = self.log_start.max(to);
        self.local_start = self.local_start.max(to);
    }

    fn dropped(&mut self) {
        let end = self.end();
        if let Role::Follower(follower) = &mut self.role {
            follower.restarted_at(end);
        }
    }

    fn high_watermark(&self) -> Offset {
        match &self.role {
            Role::Leader(leader) => leader.high_watermark(),
            Role::Follower(follower) => follower.high_watermark(),
            Role::Idle => self.stored_high_watermark,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Defects {
    leader: Option<leader::Defect>,
    follower: Option<follower::Defect>,
}

struct World {
    rng: StdRng,
    now: MonoTime,
    defects: Defects,
    history: Vec<Truth>,
    nodes: BTreeMap<BrokerId, Node>,
    links: BTreeMap<u64, Link>,
    proposals: Vec<Proposal>,
    next_session: u64,
    next_value: u64,
    /// By ticket: the offset and the entry that wait.
    waiting: BTreeMap<u64, (BrokerId, usize, Entry)>,
    acknowledged: BTreeMap<usize, Entry>,
    highest: BTreeMap<i32, Offset>,
    store: Store,
    worth: Worth,
    trace: bool,
}

/// What a run was worth.
#[derive(Debug, Default, PartialEq, Eq)]
struct Worth {
    acknowledged: usize,
    /// How often a log began at the tier's end, and at its leader's log start.
    installed: usize,
    reset: usize,
}

type Outcome = Result<Worth, String>;

fn settings() -> Settings {
    Settings { lag_max: Duration::from_secs(3), session_timeout: Duration::from_secs(1) }
}

impl World {
    fn new(seed: u64, defects: Defects, trace: bool) -> World {
        let brokers: Vec<BrokerId> = (1..=NODES).map(BrokerId).collect();
        let truth = Truth {
            leader: Some(BrokerId(1)),
            leader_epoch: 0,
            partition_epoch: 0,
            isr: brokers.clone(),
            elr: Vec::new(),
            epochs: brokers.iter().map(|b| (*b, i64::from(b.0))).collect(),
            active: brokers.iter().copied().collect(),
        };
        let nodes = brokers
            .iter()
            .map(|b| {
                let node = Node {
                    alive: true,
                    broker_epoch: i64::from(b.0),
                    log: Vec::new(),
                    log_start: Offset(0),
                    local_start: Offset(0),
                    tier: None,
                    stored_high_watermark: Offset(0),
                    role: Role::Idle,
                    seen: 0,
                };
                (*b, node)
            })
            .collect();
        let mut world = World {
            rng: StdRng::seed_from_u64(seed),
            now: MonoTime(1),
            defects,
            history: vec![truth],
            nodes,
            links: BTreeMap::new(),
            proposals: Vec::new(),
            next_session: 0,
            next_value: 0,
            waiting: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            highest: BTreeMap::new(),
            store: Store::default(),
            worth: Worth::default(),
            trace,
        };
        for broker in brokers {
            world.take_image(broker, 0);
        }
        world
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>8} ms  {}", self.now.0 / 1_000_000, what());
        }
    }

    fn truth(&self) -> &Truth {
        self.history.last().expect("there is always a truth")
    }

    fn change(&mut self, what: &str, change: impl FnOnce(&mut Truth)) {
        let mut next = self.truth().clone();
        change(&mut next);
        self.say(|| {
            format!(
                "quorum: {what}: leader {:?} epoch {} isr {:?} elr {:?} partition epoch {}",
                next.leader, next.leader_epoch, next.isr, next.elr, next.partition_epoch
            )
        });
        self.history.push(next);
    }

    fn any_node(&mut self) -> BrokerId {
        BrokerId(self.rng.random_range(1..=NODES))
    }

    fn take_image(&mut self, broker: BrokerId, version: usize) {
        let truth = self.history[version].clone();
        let now = self.now;
        let defects = self.defects;
        let node = self.nodes.get_mut(&broker).expect("a known broker");
        if !node.alive || version < node.seen {
            return;
        }
        node.seen = version;
        let leader_epoch = LeaderEpoch(truth.leader_epoch);
        let current = match &node.role {
            Role::Idle => None,
            Role::Leader(leader) => Some(leader.leader_epoch()),
            Role::Follower(follower) => Some(follower.leader_epoch()),
        };
        // A broker whose own registration the image doesn't show yet leads nothing under it.
        let mine = truth.epochs[&broker] == node.broker_epoch;
        if current == Some(leader_epoch) {
            if let Role::Leader(leader) = &mut node.role {
                let actions = leader.handle(Event::Image(truth.view()), now);
                self.act(broker, actions);
            }
            return;
        }
        let high_watermark = node.high_watermark().min(node.end());
        node.role = if truth.leader == Some(broker) && mine {
            let end = node.end();
            let mut leader = Leader::new(broker, settings(), &truth.view(), end, end, high_watermark, now);
            leader.defect = defects.leader;
            Role::Leader(Box::new(leader))
        } else if truth.leader.is_some() {
            let mut follower = Follower::new(leader_epoch, None, high_watermark);
            follower.defect = defects.follower;
            Role::Follower(follower)
        } else {
            Role::Idle
        };
        node.stored_high_watermark = high_watermark;
        let gone: Vec<u64> = self
            .links
            .iter()
            .filter(|(_, l)| l.follower == broker || l.leader == broker)
            .map(|(s, _)| *s)
            .collect();
        for session in gone {
            self.lose(session);
        }
    }

    fn act(&mut self, broker: BrokerId, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::HighWatermark(_) => {}
                Action::EndSession { session, .. } => self.lose(session),
                Action::Propose { attempt, partition_epoch, isr, lost } => {
                    let Role::Leader(leader) = &self.nodes[&broker].role else { continue };
                    let leader_epoch = leader.leader_epoch().0;
                    self.say(|| format!("{broker} proposes {isr:?} on {partition_epoch}"));
                    self.proposals.push(Proposal {
                        from: broker,
                        leader_epoch,
                        attempt,
                        partition_epoch,
                        isr,
                        lost,
                        reply_lost: false,
                    });
                }
                Action::Complete { ticket, outcome } => {
                    let (_, offset, entry) =
                        self.waiting.remove(&ticket).expect("a ticket is completed once");
                    if outcome.is_ok() {
                        self.say(|| format!("{broker} acknowledges {offset} {entry:?}"));
                        self.acknowledged.insert(offset, entry);
                    }
                }
            }
        }
    }

    fn event(&mut self, broker: BrokerId, event: Event) {
        let now = self.now;
        if let Some(Role::Leader(leader)) = self.nodes.get_mut(&broker).map(|n| &mut n.role) {
            let actions = leader.handle(event, now);
            self.act(broker, actions);
        }
    }

    fn lose(&mut self, session: u64) {
        let Some(link) = self.links.remove(&session) else { return };
        if let Some(Role::Follower(follower)) = self.nodes.get_mut(&link.follower).map(|n| &mut n.role) {
            follower.lost(session);
        }
        self.event(link.leader, Event::SessionLost { broker: link.follower, session });
    }

    fn step(&mut self) {
        self.now = self.now + Duration::from_millis(self.rng.random_range(0..40));
        let broker = self.any_node();
        match self.rng.random_range(0..1000) {
            0..130 => self.produce(broker),
            130..150 => self.something_of_the_tier(broker),
            150..320 => self.push(),
            320..720 => self.deliver(),
            720..728 => {
                if let Some(session) = self.any_link() {
                    self.say(|| format!("session {session} is lost"));
                    self.lose(session);
                }
            }
            728..840 => {
                let newest = self.history.len() - 1;
                let seen = self.nodes[&broker].seen;
                if seen < newest {
                    let version = self.rng.random_range(seen + 1..=newest);
                    self.take_image(broker, version);
                }
            }
            840..930 => self.open(broker),
            930..960 => self.event(broker, Event::Tick),
            960..988 => self.decide_proposal(),
            988..991 => self.crash(broker),
            991..997 => self.restart(broker),
            _ => {
                if self.truth().active.contains(&broker) && self.rng.random_bool(0.2) {
                    self.change("fence", |truth| truth.fence(broker));
                } else if self.nodes[&broker].alive && !self.truth().active.contains(&broker) {
                    self.change("unfence", |truth| truth.unfence(broker));
                }
            }
        }
    }

    fn produce(&mut self, broker: BrokerId) {
        let value = self.next_value;
        let node = self.nodes.get_mut(&broker).expect("a known broker");
        let Role::Leader(leader) = &node.role else { return };
        if leader.check_min_isr().is_err() && value.is_multiple_of(2) {
            return;
        }
        self.next_value += 1;
        let entry = Entry { epoch: leader.leader_epoch().0, value };
        let offset = node.log.len();
        node.log.push(entry);
        let end = node.end();
        self.say(|| format!("{broker} appends {entry:?} at {offset}"));
        self.waiting.insert(value, (broker, offset, entry));
        self.event(broker, Event::Appended { log_end: end, durable_end: end });
        self.event(broker, Event::Wait { ticket: value, end });
    }

    fn any_link(&mut self) -> Option<u64> {
        let sessions: Vec<u64> = self.links.keys().copied().collect();
        (!sessions.is_empty()).then(|| sessions[self.rng.random_range(0..sessions.len())])
    }

    fn push(&mut self) {
        let Some(session) = self.any_link() else { return };
        let most = self.rng.random_range(1..5);
        let link = self.links.get_mut(&session).expect("drawn from the map");
        let node = &self.nodes[&link.leader];
        let (Role::Leader(leader), Some(sent)) = (&node.role, link.sent) else { return };
        if leader.leader_epoch().0 != link.leader_epoch {
            return;
        }
        if sent < node.local_start {
            // It fell so far behind that what comes next is in the tier only.
            self.lose(session);
            return;
        }
        let from = index(sent);
        let entries: Vec<Entry> = node.log.iter().skip(from).take(most).copied().collect();
        link.sent = Some(sent + entries.len() as i64);
        let positions = LeaderPositions {
            high_watermark: leader.high_watermark(),
            log_start: node.log_start,
            tier: node.tier,
        };
        link.down.push_back(Message::Append { base: sent, entries, positions });
    }

    fn open(&mut self, broker: BrokerId) {
        let session = self.next_session;
        let node = self.nodes.get_mut(&broker).expect("a known broker");
        let truth = &self.history[node.seen];
        let (end, last_epoch) = (node.end(), node.last_epoch());
        let Role::Follower(follower) = &mut node.role else { return };
        let Some(leader) = truth.leader.filter(|l| *l != broker) else { return };
        if follower.is_open() {
            return;
        }
        self.next_session += 1;
        follower.opening(session);
        let request = OpenRequest {
            broker,
            leader_epoch: follower.leader_epoch(),
            broker_epoch: BrokerEpoch(node.broker_epoch),
            directory: DirectoryId::ZERO,
            log_end: end,
            last_epoch,
            log_start: node.log_start,
        };
        let link = Link {
            follower: broker,
            leader,
            leader_epoch: request.leader_epoch.0,
            up: VecDeque::from([Message::Open(request)]),
            down: VecDeque::new(),
            sent: None,
        };
        self.links.insert(session, link);
    }

    fn deliver(&mut self) {
        let Some(session) = self.any_link() else { return };
        let down = self.rng.random_bool(0.5);
        let link = self.links.get_mut(&session).expect("drawn from the map");
        let (follower, leader) = (link.follower, link.leader);
        if down {
            if let Some(message) = link.down.pop_front() {
                self.at_follower(follower, session, message);
            }
        } else if let Some(message) = link.up.pop_front() {
            self.at_leader(leader, follower, session, message);
        }
    }

    fn at_leader(&mut self, broker: BrokerId, follower: BrokerId, session: u64, message: Message) {
        let now = self.now;
        match message {
            Message::Open(request) => {
                let node = self.nodes.get_mut(&broker).expect("a known broker");
                let (chain, log_end) = (node.chain(), node.end());
                let (answer, actions) = match &mut node.role {
                    Role::Leader(leader) => {
                        let log = leader::LogView {
                            log_start: node.log_start,
                            local_start: node.local_start,
                            log_end,
                            tier: node.tier,
                            chain: &chain,
                        };
                        leader.open(&request, session, &log, now)
                    }
                    _ => (OpenAnswer::NotLeader, Vec::new()),
                };
                self.say(|| format!("{broker} answers {follower} session {session}: {answer:?}"));
                if let Some(link) = self.links.get_mut(&session) {
                    link.sent = (answer == OpenAnswer::Accepted).then_some(request.log_end);
                    link.down.push_back(Message::Answer(answer));
                }
                self.act(broker, actions);
            }
            Message::Ack { end, log_start } => {
                self.event(broker, Event::Ack { broker: follower, session, end, log_start });
            }
            Message::Answer(_) | Message::Append { .. } => unreachable!("a follower never sends these"),
        }
    }

    fn at_follower(&mut self, broker: BrokerId, session: u64, message: Message) {
        let node = self.nodes.get_mut(&broker).expect("a known broker");
        let chain = node.chain();
        let (log_end, last_epoch) = (node.end(), node.last_epoch());
        let Role::Follower(follower) = &mut node.role else { return };
        match message {
            Message::Answer(answer) => {
                let log = follower::LogView { log_start: node.log_start, log_end, last_epoch, chain: &chain };
                match follower.answer(session, &answer, &log) {
                    Step::Stream => return,
                    Step::Ignore | Step::WaitForImage => {}
                    Step::Truncate { to } => {
                        assert!(
                            to >= node.local_start,
                            "{broker} is to be cut to {to}, into what is in the tier"
                        );
                        node.log.truncate(index(to));
                        self.say(|| format!("{broker} truncates to {to}"));
                    }
                    Step::InstallTier { tier, .. } => self.install(broker, tier),
                    Step::Reset { log_start, .. } => {
                        let leader = self.links[&session].leader;
                        self.begin_at(broker, leader, log_start);
                    }
                    step @ Step::Corrupt(_) => {
                        panic!("{broker} was told {step:?}, but every election was legal")
                    }
                }
                self.lose(session);
            }
            Message::Append { base, entries, positions } => match follower.frame(session, base, log_end) {
                Frame::Ignore => {}
                Frame::Reopen => self.lose(session),
                Frame::Take => {
                    node.log.extend(entries);
                    let end = node.end();
                    if let Role::Follower(follower) = &mut node.role
                        && let Some(log_start) = follower.positions(session, &positions, end)
                    {
                        node.tier = positions.tier.or(node.tier);
                        node.raise_log_start(log_start);
                    }
                    let log_start = node.log_start;
                    if let Some(link) = self.links.get_mut(&session) {
                        link.up.push_back(Message::Ack { end, log_start });
                    }
                }
            },
            Message::Open(_) | Message::Ack { .. } => unreachable!("a leader never sends these"),
        }
    }

    fn decide_proposal(&mut self) {
        if self.proposals.is_empty() {
            return;
        }
        let i = self.rng.random_range(0..self.proposals.len());
        let fate = self.rng.random_range(0..10);
        if fate < 3 && !self.proposals[i].reply_lost {
            // The leader hears nothing; the command is still on its way.
            self.proposals[i].reply_lost = true;
            let proposal = self.proposals[i].clone();
            self.say(|| format!("the reply to {} is lost", proposal.from));
            self.reply(&proposal, ProposalReply::Unknown);
            return;
        }
        let proposal = self.proposals.swap_remove(i);
        let mut applied = false;
        self.change("alter", |truth| applied = truth.alter(&proposal));
        if !proposal.reply_lost {
            self.reply(&proposal, if applied { ProposalReply::Applied } else { ProposalReply::Refused });
        }
    }

    fn reply(&mut self, proposal: &Proposal, reply: ProposalReply) {
        if let Role::Leader(leader) = &self.nodes[&proposal.from].role
            && leader.leader_epoch().0 == proposal.leader_epoch
        {
            self.event(proposal.from, Event::Reply { attempt: proposal.attempt, reply });
        }
    }

    fn crash(&mut self, broker: BrokerId) {
        let node = self.nodes.get_mut(&broker).expect("a known broker");
        if !node.alive {
            return;
        }
        // The checkpoint may be older than what was known.
        let known = node.high_watermark().min(node.end()).0;
        node.stored_high_watermark =
            Offset(self.rng.random_range(node.stored_high_watermark.0.min(known)..=known));
        node.alive = false;
        node.role = Role::Idle;
        node.tier = None;
        self.waiting.retain(|_, (at, ..)| *at != broker);
        self.say(|| format!("{broker} crashes"));
        let gone: Vec<u64> = self
            .links
            .iter()
            .filter(|(_, l)| l.follower == broker || l.leader == broker)
            .map(|(s, _)| *s)
            .collect();
        for session in gone {
            self.lose(session);
        }
    }

    fn restart(&mut self, broker: BrokerId) {
        if self.nodes[&broker].alive {
            return;
        }
        let others = self.nodes.values().filter(|n| n.alive).count();
        // Two lost tails at once would be a legal loss; the quorum reports that, it can't prevent it.
        let lost_bytes = others == NODES as usize - 1
            && self.truth().isr.iter().any(|b| *b != broker)
            && self.rng.random_bool(0.4);
        self.change("register", |truth| truth.register(broker, lost_bytes));
        let epoch = self.truth().epochs[&broker];
        let least = index(self.nodes[&broker].local_start);
        let keep = self.rng.random_range(least..=self.nodes[&broker].log.len());
        let is_wiped = self.rng.random_bool(0.3);
        let newest = self.history.len() - 1;
        let node = self.nodes.get_mut(&broker).expect("a known broker");
        node.alive = true;
        node.broker_epoch = epoch;
        if lost_bytes {
            node.log.truncate(keep);
            if is_wiped {
                node.log.clear();
                (node.log_start, node.local_start) = (Offset(0), Offset(0));
            }
        }
        node.stored_high_watermark = node.stored_high_watermark.min(node.end());
        self.say(|| format!("{broker} restarts, lost a tail: {lost_bytes}"));
        self.take_image(broker, newest);
        self.change("unfence", |truth| truth.unfence(broker));
    }

    fn check(&mut self) -> Result<(), String> {
        self.check_tier()?;
        let truth = self.truth().clone();
        for (broker, node) in &self.nodes {
            if node.high_watermark() > node.end() {
                return Err(format!(
                    "{broker}: high watermark {} above its end {}",
                    node.high_watermark(),
                    node.end()
                ));
            }
            if let Role::Leader(leader) = &node.role {
                let highest = self.highest.entry(leader.leader_epoch().0).or_default();
                if leader.high_watermark() < *highest {
                    return Err(format!("the high watermark of epoch {} went back", leader.leader_epoch()));
                }
                *highest = leader.high_watermark();
            }
        }
        // Whoever the quorum may elect holds every acknowledged offset.
        for member in &truth.isr {
            let node = &self.nodes[member];
            for (&offset, entry) in &self.acknowledged {
                if node.log.get(offset) != Some(entry) {
                    return Err(format!(
                        "{member}, in the ISR, holds {:?} at {offset}, not {entry:?}",
                        node.log.get(offset)
                    ));
                }
            }
            for (other, node_of_other) in &self.nodes {
                let below = node_of_other.high_watermark().0 as usize;
                let mine = node.log.get(..below.min(node.log.len()));
                let theirs = node_of_other.log.get(..below.min(node.log.len()));
                if mine != theirs {
                    return Err(format!("{member} and {other} differ below the high watermark {below}"));
                }
                let leads = matches!(&node_of_other.role, Role::Leader(l) if l.leader_epoch().0 == truth.leader_epoch);
                if leads && node.log.len() < below {
                    return Err(format!(
                        "{member}, in the ISR, ends at {} below the high watermark {below}",
                        node.log.len()
                    ));
                }
            }
        }
        Ok(())
    }

    /// Heals everything and runs until all replicas are equal and in the ISR.
    fn drain(&mut self) -> Result<(), String> {
        for broker in (1..=NODES).map(BrokerId) {
            self.restart(broker);
            if !self.truth().active.contains(&broker) {
                self.change("unfence", |truth| truth.unfence(broker));
            }
        }
        for _ in 0..4000 {
            self.now = self.now + Duration::from_millis(20);
            for broker in (1..=NODES).map(BrokerId) {
                self.take_image(broker, self.history.len() - 1);
                self.open(broker);
                self.look(broker);
                self.event(broker, Event::Tick);
            }
            self.push();
            self.deliver();
            self.deliver();
            if let Some(proposal) = self.proposals.pop() {
                let mut applied = false;
                self.change("alter", |truth| applied = truth.alter(&proposal));
                if !proposal.reply_lost {
                    self.reply(
                        &proposal,
                        if applied { ProposalReply::Applied } else { ProposalReply::Refused },
                    );
                }
            }
            self.check()?;
            let ends: BTreeSet<Offset> =
                self.nodes.values().flat_map(|n| [n.end(), n.high_watermark()]).collect();
            if self.truth().isr.len() == NODES as usize && ends.len() == 1 {
                return Ok(());
            }
        }
        Err(format!("no convergence after healing: {:?}", self.truth()))
    }
}

fn run(seed: u64, defects: Defects, trace: bool) -> Outcome {
    let mut world = World::new(seed, defects, trace);
    for step in 0..STEPS {
        world.step();
        world.check().map_err(|e| format!("seed {seed}, step {step}: {e}"))?;
    }
    world.drain().map_err(|e| format!("seed {seed}, drain: {e}"))?;
    Ok(Worth { acknowledged: world.acknowledged.len(), ..world.worth })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 0, ..ProptestConfig::default() })]
    #[test]
    fn no_random_run_loses_an_acknowledged_offset_or_moves_the_high_watermark_back(seed in any::<u64>()) {
        if let Err(e) = run(seed, Defects::default(), false) {
            return Err(TestCaseError::fail(format!("{e} (ESKER_ISR_SEED={seed} replays it)")));
        }
    }
}

#[test]
fn one_seed_replays_a_random_run() {
    let given =
        std::env::var("ESKER_ISR_SEED").ok().map(|seed| seed.parse().expect("ESKER_ISR_SEED is a number"));
    let seed = given.unwrap_or(7);
    let first = run(seed, Defects::default(), given.is_some()).unwrap_or_else(|e| panic!("{e}"));
    let second = run(seed, Defects::default(), false).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(first, second, "the same seed gives the same run");
}

#[test]
fn random_runs_do_commit_records() {
    // `tests/defects` asks for more of them.
    let seeds = std::env::var("ESKER_ISR_SEEDS").map_or(20, |seeds| seeds.parse().expect("a number"));
    let mut all = Worth::default();
    for seed in 0..seeds {
        let one = run(seed, Defects::default(), false).unwrap_or_else(|e| panic!("{e}"));
        all.acknowledged += one.acknowledged;
        all.installed += one.installed;
        all.reset += one.reset;
    }
    println!("{seeds} seeds: {all:?}");
    assert!(all.acknowledged > 200, "20 runs committed too little to prove anything: {all:?}");
    assert!(all.installed > 0 && all.reset > 0, "nothing came from the tier: {all:?}");
}

/// A positive control: with the defence switched off some seed must fail.
fn some_seed_fails(defects: Defects) -> bool {
    (0..300).any(|seed| {
        std::panic::catch_unwind(|| run(seed, defects, false)).map_or(true, |outcome| outcome.is_err())
    })
}

#[test]
fn truncating_to_the_high_watermark_instead_of_by_epoch_is_found() {
    let follower = Some(follower::Defect::TruncateToHighWatermark);
    assert!(some_seed_fails(Defects { follower, ..Defects::default() }));
}

#[test]
fn counting_only_the_committed_isr_is_found() {
    let leader = Some(leader::Defect::CommittedIsrOnly);
    assert!(some_seed_fails(Defects { leader, ..Defects::default() }));
}

#[test]
fn taking_a_lost_reply_for_a_refusal_is_found() {
    let leader = Some(leader::Defect::LostReplyIsRefusal);
    assert!(some_seed_fails(Defects { leader, ..Defects::default() }));
}
