//! What each action makes of a state.
//!
//! The wiring is that of `replica`, `reconcile` and the quorum, without disks, tasks and clocks: a role begins when a
//! broker sees a new leader epoch, an acknowledgement goes out only under a lease, a registration says what a broker can
//! prove.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::setups::Setup;
use super::state::*;
use super::tier::{Store, index};
use crate::env::MonoTime;
use crate::log::EpochCache;
use crate::metadata::{
    AlterPartition, Command, CreateTopic, Image, IsrMember, Partition, Proof, UncleanCandidate,
};
use crate::replication::isr::follower::{self, Follower, Frame, Step};
use crate::replication::isr::leader::{self, Action as Act, Event, Leader, ProposalReply};
use crate::replication::isr::{OpenAnswer, OpenRequest};
use crate::replication::reconcile::view_of;
use crate::types::{BrokerId, LeaderEpoch, Offset};

impl World {
    pub(super) fn new(setup: &Setup) -> World {
        let ids: Vec<BrokerId> = (1..=setup.brokers).map(BrokerId).collect();
        let mut image = Image::default();
        let form =
            Command::Form { cluster_id: "c".to_owned(), features: BTreeMap::new(), configs: BTreeMap::new() };
        apply(&mut image, &form).expect("the cluster is formed once");
        for id in &ids {
            let registration =
                registration(*id, 0, directory(number(*id)), Proof::Unclean { previous: None });
            apply(&mut image, &Command::RegisterBroker(registration)).expect("new brokers register");
            let epoch = image.brokers[id].epoch;
            apply(&mut image, &Command::Unfence { id: *id, epoch }).expect("registered brokers are unfenced");
        }
        let unclean = setup.unclean || setup.planted == Some(Planted::UncleanUnasked);
        let configs = BTreeMap::from([
            ("min.insync.replicas".to_owned(), setup.min_isr.to_string()),
            ("unclean.leader.election.enable".to_owned(), unclean.to_string()),
        ]);
        let assignment = vec![ids.clone()];
        let create =
            CreateTopic { name: topic(), id: TOPIC, assignment, configs, first_epoch: LeaderEpoch(0) };
        apply(&mut image, &Command::CreateTopic(create)).expect("the topic is new");
        for id in &ids {
            let command = Command::AssignDirectory {
                broker: *id,
                epoch: image.brokers[id].epoch,
                directory: directory(number(*id)),
                partitions: vec![(TOPIC, 0)],
            };
            apply(&mut image, &command).expect("its directory is registered");
        }
        let truth = Seen(Arc::new(image));
        let node = |id: &BrokerId| Node {
            alive: true,
            epoch: truth.0.brokers[id].epoch,
            directory: directory(number(*id)),
            log: Vec::new(),
            log_start: Offset(0),
            local_start: Offset(0),
            tier: None,
            stored: Offset(0),
            role: Role::Idle,
            role_epoch: None,
            seen: truth.clone(),
            waiting: Vec::new(),
        };
        let mut world = World {
            nodes: ids.iter().map(|id| (*id, node(id))).collect(),
            truth: truth.clone(),
            links: BTreeMap::new(),
            sent: Vec::new(),
            store: Store::empty(),
            deleted: Offset(0),
            written: 0,
            left: setup.faults,
            acknowledged: BTreeMap::new(),
            committed: BTreeMap::new(),
            highest: BTreeMap::new(),
            used: BTreeMap::new(),
            violation: None,
        };
        for id in ids {
            world.see(setup, id);
        }
        for action in &setup.prelude {
            let mut possible = Vec::new();
            world.actions(setup, &mut possible);
            assert!(possible.contains(action), "{}: {action:?} cannot happen now", setup.name);
            world.take(setup, *action);
        }
        world
    }

    pub(super) fn leader_epoch(&self) -> i32 {
        partition(&self.truth.0).leader_epoch.0
    }

    fn node(&mut self, id: BrokerId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a known broker")
    }

    fn is_active(&self, id: BrokerId) -> bool {
        self.truth.0.is_active(id) && self.truth.0.brokers[&id].epoch == self.nodes[&id].epoch
    }

    fn violate(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// All that may happen next.
    pub(super) fn actions(&self, setup: &Setup, out: &mut Vec<Action>) {
        let left = &self.left;
        let truth = partition(&self.truth.0);
        for (&id, node) in &self.nodes {
            let number = id.0;
            if !node.alive {
                out.push(Action::Return(number, How::Killed));
                if left.losses > 0 {
                    out.push(Action::Return(number, How::Wiped));
                    let unflushed = node.log.len() - index(node.local_start);
                    out.extend((1..=unflushed).map(|n| Action::Return(number, How::PowerCut(n))));
                }
                if self.truth.0.is_active(id) {
                    out.push(Action::Fence(number));
                }
                continue;
            }
            if let Role::Leader(_) = node.role {
                if self.written < setup.records {
                    out.push(Action::Produce(number));
                }
                if left.failed_writes > 0 {
                    out.push(Action::FailedWrite(number));
                }
                if left.ticks > 0 {
                    out.push(Action::Tick(number));
                }
            }
            if setup.has_starts() {
                self.actions_of_the_tier(setup, id, out);
            }
            if let Role::Follower(follower) = &node.role
                && !follower.is_open()
            {
                out.push(Action::Open(number));
            }
            if node.seen != self.truth {
                out.push(Action::See(number));
            }
            if self.is_active(id) {
                if left.fences > 0 {
                    out.push(Action::Fence(number));
                }
            } else if node.seen == self.truth {
                out.push(Action::Unfence(number));
            }
            let registered = self.truth.0.brokers[&id].epoch == node.epoch;
            let recorded = truth.replicas.iter().find(|r| r.broker == id).and_then(|r| r.directory);
            if registered && recorded != Some(node.directory) {
                out.push(Action::AssignDirectory(number));
            }
            if left.crashes > 0 {
                out.push(Action::Crash(number, true));
                if node.stored < node.high_watermark() {
                    out.push(Action::Crash(number, false));
                }
            }
        }
        for (&session, link) in &self.links {
            if self.has_news(link) {
                out.push(Action::Push(session));
            }
            if !link.up.is_empty() {
                out.push(Action::ToLeader(session));
            }
            if !link.down.is_empty() {
                out.push(Action::ToFollower(session));
            }
            if left.breaks > 0 && !link.leader_is_gone && !link.follower_is_gone {
                out.push(Action::Break(session));
            }
        }
        for (index, sent) in self.sent.iter().enumerate() {
            out.push(Action::Apply(index));
            if left.silences > 0 && !sent.given_up {
                out.push(Action::Silence(index));
            }
        }
        let preferred = truth.replicas[0].broker;
        if left.preferred > 0 && truth.leader != Some(preferred) && truth.isr.contains(&preferred) {
            out.push(Action::ElectPreferred);
        }
        if !self.truth.0.awaiting_unclean_election().is_empty() {
            out.push(Action::ElectUnclean);
        }
    }

    fn has_news(&self, link: &Link) -> bool {
        let node = &self.nodes[&link.leader];
        let (Role::Leader(leader), Some(sent)) = (&node.role, link.sent) else { return false };
        // At most one frame is on its way: more would only add states.
        !link.leader_is_gone
            && link.down.is_empty()
            && (sent < node.end() || link.told != Some(positions_of(node, leader)))
    }

    /// Makes one action happen.
    pub(super) fn take(&mut self, setup: &Setup, action: Action) {
        match action {
            Action::Produce(id) => self.produce(setup, BrokerId(id)),
            Action::FailedWrite(id) => self.failed_write(setup, BrokerId(id)),
            Action::Push(session) => self.push(setup, session),
            Action::ToLeader(session) => self.deliver_up(setup, session),
            Action::ToFollower(session) => self.deliver_down(session),
            Action::Break(session) => {
                self.left.breaks -= 1;
                let link = self.links.get_mut(&session).expect("an action names a link");
                link.up = VecDeque::from([Up::Closed]);
                link.down = VecDeque::from([Down::Closed]);
            }
            Action::Open(id) => self.open(BrokerId(id)),
            Action::See(id) => self.see(setup, BrokerId(id)),
            Action::Tick(id) => {
                self.left.ticks -= 1;
                self.event(setup, BrokerId(id), Event::Tick, LATE);
            }
            Action::Apply(index) => {
                let sent = self.sent.remove(index);
                let applied = self.change(&sent.command);
                if !sent.given_up {
                    self.reply(
                        setup,
                        &sent,
                        if applied { ProposalReply::Applied } else { ProposalReply::Refused },
                    );
                }
            }
            Action::Silence(index) => {
                self.left.silences -= 1;
                self.sent[index].given_up = true;
                let sent = self.sent[index].clone();
                self.reply(setup, &sent, ProposalReply::Unknown);
            }
            Action::Fence(id) => {
                let id = BrokerId(id);
                if self.nodes[&id].alive {
                    self.left.fences -= 1;
                }
                let epoch = self.truth.0.brokers[&id].epoch;
                self.change(&Command::Fence { id, epoch });
            }
            Action::Unfence(id) => {
                let id = BrokerId(id);
                let epoch = self.nodes[&id].epoch;
                self.change(&Command::Unfence { id, epoch });
            }
            Action::AssignDirectory(id) => {
                let id = BrokerId(id);
                let Node { epoch, directory, .. } = self.nodes[&id];
                let partitions = vec![(TOPIC, 0)];
                self.change(&Command::AssignDirectory { broker: id, epoch, directory, partitions });
            }
            Action::ElectPreferred => {
                self.left.preferred -= 1;
                self.change(&Command::ElectPreferred { partitions: vec![(TOPIC, 0)] });
            }
            Action::ElectUnclean => self.elect_unclean(),
            Action::Look(id) => self.look(BrokerId(id)),
            Action::Publish(id) => self.publish(setup, BrokerId(id)),
            Action::LetGo(id) => self.let_go(setup, BrokerId(id)),
            Action::DeleteRecords(id, to) => self.delete_records(BrokerId(id), Offset(to)),
            Action::Crash(id, newest) => self.crash(setup, BrokerId(id), newest),
            Action::Return(id, how) => self.come_back(setup, BrokerId(id), how),
        }
        self.links.retain(|_, link| !(link.leader_is_gone && link.follower_is_gone));
        self.check(setup);
    }

    /// Applies a command; whether it was legal.
    fn change(&mut self, command: &Command) -> bool {
        let mut image = Image::clone(&self.truth.0);
        let applied = apply(&mut image, command).is_ok();
        self.truth = Seen(Arc::new(image));
        applied
    }

    fn reply(&mut self, setup: &Setup, sent: &Sent, reply: ProposalReply) {
        if let Role::Leader(leader) = &self.nodes[&sent.from].role
            && leader.leader_epoch() == sent.leader_epoch
            && sent.attempt > 0
        {
            self.event(setup, sent.from, Event::Reply { attempt: sent.attempt, reply }, NOW);
        }
    }

    fn event(&mut self, setup: &Setup, id: BrokerId, event: Event, now: MonoTime) {
        if let Role::Leader(leader) = &mut self.node(id).role {
            let actions = leader.handle(event, now);
            self.act(setup, id, actions);
        }
    }

    /// What `Replica::act` does.
    fn act(&mut self, setup: &Setup, id: BrokerId, actions: Vec<Act>) {
        for action in actions {
            match action {
                Act::HighWatermark(_) => {}
                Act::Propose { attempt, partition_epoch, isr, lost } => {
                    let Role::Leader(machine) = &self.nodes[&id].role else { continue };
                    let Some(leader) = isr.iter().copied().find(|member| member.broker == id) else {
                        continue;
                    };
                    let leader_epoch = machine.leader_epoch();
                    let command = Command::AlterPartition(AlterPartition {
                        topic: TOPIC,
                        partition: 0,
                        leader,
                        leader_epoch,
                        partition_epoch,
                        isr,
                        lost,
                    });
                    self.sent.push(Sent { from: id, leader_epoch, attempt, command, given_up: false });
                }
                Act::Complete { ticket, outcome } => {
                    let place = self.nodes[&id].waiting.iter().position(|(waiting, _)| *waiting == ticket);
                    let Some(place) = place else { continue };
                    let (_, offset) = self.node(id).waiting.remove(place);
                    if outcome.is_ok() {
                        self.acknowledge(setup, id, offset);
                    }
                }
                Act::EndSession { session, .. } => self.leader_leaves(session),
            }
        }
    }

    /// The producer is told, if the lease holds: it is over before the broker is fenced.
    fn acknowledge(&mut self, setup: &Setup, id: BrokerId, offset: usize) {
        let leased = self.is_active(id);
        if !leased && setup.planted != Some(Planted::NoLease) {
            return;
        }
        if !leased {
            self.violate(Violation::Zombie);
        }
        let entry = self.nodes[&id].log[offset];
        if self.acknowledged.insert(offset, entry).is_some_and(|before| before != entry) {
            self.violate(Violation::Lost);
        }
    }

    fn leader_leaves(&mut self, session: u64) {
        if let Some(link) = self.links.get_mut(&session)
            && !link.leader_is_gone
        {
            link.leader_is_gone = true;
            link.up.clear();
            link.down.push_back(Down::Closed);
        }
    }

    fn follower_leaves(&mut self, session: u64) {
        if let Some(link) = self.links.get_mut(&session)
            && !link.follower_is_gone
        {
            let follower = link.follower;
            link.follower_is_gone = true;
            link.down.clear();
            link.up.push_back(Up::Closed);
            if let Role::Follower(machine) = &mut self.node(follower).role {
                machine.lost(session);
            }
        }
    }

    /// Both sides of a broker's streams that are its own.
    fn leave_role(&mut self, id: BrokerId) {
        let mine = |pick: fn(&Link) -> BrokerId| {
            let mine = self.links.iter().filter(move |(_, link)| pick(link) == id);
            mine.map(|(session, _)| *session).collect::<Vec<u64>>()
        };
        let (led, followed) = (mine(|link| link.leader), mine(|link| link.follower));
        led.into_iter().for_each(|session| self.leader_leaves(session));
        followed.into_iter().for_each(|session| self.follower_leaves(session));
        let node = self.node(id);
        node.stored = node.high_watermark();
        node.waiting.clear();
        node.role = Role::Idle;
    }

    /// What `reconcile` does with a newer image.
    fn see(&mut self, setup: &Setup, id: BrokerId) {
        let image = self.truth.clone();
        let node = self.node(id);
        node.seen = image.clone();
        if image.0.brokers[&id].epoch != node.epoch {
            return;
        }
        let p = partition(&image.0);
        let view = view_of(&image.0, found(&image.0), p);
        let anew = setup.planted == Some(Planted::LeaderBeginsAnew) && p.leader == Some(id);
        if node.role_epoch == Some(p.leader_epoch) && !anew {
            return self.event(setup, id, Event::Image(view), NOW);
        }
        self.leave_role(id);
        let node = self.node(id);
        node.role_epoch = Some(p.leader_epoch);
        node.forget_tier_above(node.end());
        let (end, mut known) = (node.end(), node.stored);
        match setup.planted {
            Some(Planted::LeaderBeginsAnew) => known = Offset(0),
            Some(Planted::EndIsCommitted) => known = end,
            _ => {}
        }
        match p.leader {
            Some(leader) if leader == id => {
                // What the tier covers is committed.
                known = known.max(node.tier.map_or(Offset(0), |tier| tier.end));
                let mut machine = Leader::new(id, SETTINGS, &view, end, end, known, NOW);
                if let Some(Planted::Leader(defect)) = setup.planted {
                    machine.defect = Some(defect);
                }
                node.role = Role::Leader(Box::new(machine));
                self.event(setup, id, Event::Appended { log_end: end, durable_end: end }, NOW);
            }
            Some(_) => {
                let unclean = p.unclean.map(|unclean| unclean.leader_epoch);
                let mut machine = Follower::new(p.leader_epoch, unclean, known);
                if let Some(Planted::Follower(defect)) = setup.planted {
                    machine.defect = Some(defect);
                }
                node.role = Role::Follower(machine);
            }
            None => {}
        }
    }

    fn append(&mut self, id: BrokerId, epoch: LeaderEpoch) -> (usize, u64) {
        self.written += 1;
        let entry = Entry { epoch, value: self.written };
        let node = self.node(id);
        node.log.push(entry);
        let offset = node.log.len() - 1;
        if self.used.insert((epoch, offset), entry.value).is_some() {
            self.violate(Violation::Reused);
        }
        (offset, u64::from(entry.value))
    }

    fn produce(&mut self, setup: &Setup, id: BrokerId) {
        let Role::Leader(leader) = &self.nodes[&id].role else { return };
        let (epoch, all) = (leader.leader_epoch(), leader.check_min_isr().is_ok());
        let (offset, ticket) = self.append(id, epoch);
        let end = self.nodes[&id].end();
        self.event(setup, id, Event::Appended { log_end: end, durable_end: end }, NOW);
        if all {
            self.node(id).waiting.push((ticket, offset));
            self.event(setup, id, Event::Wait { ticket, end }, NOW);
        }
    }

    /// A write fails when a follower has its bytes already, which may be: the record is gone from the leader alone.
    fn failed_write(&mut self, setup: &Setup, id: BrokerId) {
        self.left.failed_writes -= 1;
        let Role::Leader(leader) = &self.nodes[&id].role else { return };
        let leader_epoch = leader.leader_epoch();
        if setup.planted == Some(Planted::EpochGoesOn) {
            let node = self.node(id);
            let cut = node.log.pop();
            if cut.is_some_and(|entry| entry.epoch != leader_epoch) {
                node.log.extend(cut);
            }
            return;
        }
        let leader = IsrMember { broker: id, epoch: self.nodes[&id].epoch };
        let command = Command::Resign { topic: TOPIC, partition: 0, leader, leader_epoch, in_turn: true };
        self.leave_role(id);
        self.sent.push(Sent { from: id, leader_epoch, attempt: 0, command, given_up: false });
    }

    fn push(&mut self, setup: &Setup, session: u64) {
        let link = self.links.get_mut(&session).expect("an action names a link");
        let node = &self.nodes[&link.leader];
        let (Role::Leader(leader), Some(sent)) = (&node.role, link.sent) else { return };
        if sent < node.local_start {
            // It fell so far behind that what comes next is in the tier only.
            let (id, broker) = (link.leader, link.follower);
            self.leader_leaves(session);
            return self.event(setup, id, Event::SessionLost { broker, session }, NOW);
        }
        let from = usize::try_from(sent.0).expect("an offset is not negative").min(node.log.len());
        let entries = node.log[from..].to_vec();
        let positions = positions_of(node, leader);
        link.sent = Some(node.end());
        link.told = Some(positions);
        link.down.push_back(Down::Append { base: sent, entries, positions });
    }

    fn open(&mut self, id: BrokerId) {
        let node = &self.nodes[&id];
        let (Role::Follower(follower), Some(leader)) = (&node.role, partition(&node.seen.0).leader) else {
            return;
        };
        let request = OpenRequest {
            broker: id,
            leader_epoch: follower.leader_epoch(),
            broker_epoch: node.epoch,
            directory: node.directory,
            log_end: node.end(),
            last_epoch: node.last_epoch(),
            log_start: node.log_start,
        };
        // Numbers are taken again once both ends have let go, so that runs do not differ by them alone.
        let session =
            (u64::from(number(id)) * 100..).find(|n| !self.links.contains_key(n)).expect("there are enough");
        if let Role::Follower(follower) = &mut self.node(id).role {
            follower.opening(session);
        }
        let link = Link {
            follower: id,
            leader,
            up: VecDeque::from([Up::Open(request)]),
            down: VecDeque::new(),
            sent: None,
            told: None,
            leader_is_gone: false,
            follower_is_gone: false,
        };
        self.links.insert(session, link);
    }

    fn deliver_up(&mut self, setup: &Setup, session: u64) {
        let link = self.links.get_mut(&session).expect("an action names a link");
        let (id, follower) = (link.leader, link.follower);
        let Some(message) = link.up.pop_front() else { return };
        if !self.nodes[&id].alive {
            return self.leader_leaves(session);
        }
        match message {
            Up::Open(request) => {
                let node = self.node(id);
                let (chain, log_end) = match setup.planted {
                    Some(Planted::EmptyLogView) => (EpochCache::default(), Offset(0)),
                    _ => (node.chain(), node.end()),
                };
                let (answer, actions) = match &mut node.role {
                    Role::Leader(machine) => {
                        let is_deleted = setup.planted == Some(Planted::ColdIsDeleted);
                        let log = leader::LogView {
                            log_start: if is_deleted { node.local_start } else { node.log_start },
                            local_start: node.local_start,
                            log_end,
                            tier: node.tier.filter(|_| !is_deleted),
                            chain: &chain,
                        };
                        machine.open(&request, session, &log, NOW)
                    }
                    _ => (OpenAnswer::NotLeader, Vec::new()),
                };
                let link = self.links.get_mut(&session).expect("it was there");
                link.sent = (answer == OpenAnswer::Accepted).then_some(request.log_end);
                link.down.push_back(Down::Answer(answer));
                self.act(setup, id, actions);
            }
            Up::Ack { end, log_start } => {
                let event = Event::Ack { broker: follower, session, end, log_start };
                self.event(setup, id, event, NOW);
            }
            Up::Closed => {
                self.leader_leaves(session);
                self.event(setup, id, Event::SessionLost { broker: follower, session }, NOW);
            }
        }
    }

    fn deliver_down(&mut self, session: u64) {
        let link = self.links.get_mut(&session).expect("an action names a link");
        let id = link.follower;
        let Some(message) = link.down.pop_front() else { return };
        if link.follower_is_gone {
            return;
        }
        let node = self.node(id);
        let chain = node.chain();
        let (log_end, last_epoch) = (node.end(), node.last_epoch());
        let Role::Follower(machine) = &mut node.role else { return };
        match message {
            Down::Answer(answer) => {
                let log = follower::LogView { log_start: node.log_start, log_end, last_epoch, chain: &chain };
                match machine.answer(session, &answer, &log) {
                    Step::Stream => return,
                    Step::Truncate { to } if to >= node.local_start => {
                        node.log.truncate(index(to));
                        node.forget_tier_above(to);
                    }
                    Step::Ignore | Step::WaitForImage => {}
                    Step::InstallTier { tier, .. } => self.install(id, tier),
                    Step::Reset { log_start, .. } => self.begin_at(id, log_start),
                    Step::Truncate { .. } | Step::Corrupt(_) => {
                        self.violate(Violation::Contradiction);
                    }
                }
                self.follower_leaves(session);
            }
            Down::Append { base, entries, positions } => match machine.frame(session, base, log_end) {
                Frame::Ignore => {}
                Frame::Reopen => self.follower_leaves(session),
                Frame::Take => {
                    let mut is_new = !entries.is_empty();
                    node.log.extend(entries);
                    let end = node.end();
                    if let Role::Follower(machine) = &mut node.role
                        && let Some(log_start) = machine.positions(session, &positions, end)
                    {
                        is_new |= log_start > node.log_start;
                        node.tier = positions.tier.or(node.tier);
                        node.raise_log_start(log_start);
                    }
                    let log_start = node.log_start;
                    if let Some(link) = self.links.get_mut(&session).filter(|_| is_new) {
                        link.up.push_back(Up::Ack { end, log_start });
                    }
                }
            },
            Down::Closed => self.follower_leaves(session),
        }
    }

    fn crash(&mut self, _setup: &Setup, id: BrokerId, newest: bool) {
        self.left.crashes -= 1;
        let stored = self.nodes[&id].stored;
        self.leave_role(id);
        // What was on its way from it is lost with it.
        for link in self.links.values_mut() {
            if link.follower == id {
                link.up = VecDeque::from([Up::Closed]);
            }
            if link.leader == id {
                link.down = VecDeque::from([Down::Closed]);
            }
        }
        let node = self.node(id);
        node.alive = false;
        node.role_epoch = None;
        node.tier = None;
        if !newest {
            node.stored = stored;
        }
        self.sent.retain(|sent| sent.from != id || sent.given_up);
    }

    fn come_back(&mut self, setup: &Setup, id: BrokerId, how: How) {
        let former = self.truth.0.brokers[&id].clone();
        let lives = u8::try_from(former.epoch.0 + 1).unwrap_or(u8::MAX);
        let node = &self.nodes[&id];
        let killed = Proof::Unclean { previous: Some(node.epoch) };
        let (mut registration, keep) = match how {
            How::Killed => (registration(id, lives, node.directory, killed), node.log.len()),
            How::PowerCut(lost) => {
                self.left.losses -= 1;
                let mut registration = registration(id, lives, node.directory, killed);
                if setup.planted != Some(Planted::PowerCutUnnoticed) {
                    registration.machine = format!("boot-{lives}");
                }
                (registration, node.log.len() - lost)
            }
            How::Wiped if setup.planted == Some(Planted::WipeUnnoticed) => {
                self.left.losses -= 1;
                (registration(id, lives, node.directory, Proof::CleanShutdown { previous: node.epoch }), 0)
            }
            How::Wiped => {
                self.left.losses -= 1;
                let new = directory(100 + number(id));
                (registration(id, lives, new, Proof::Unclean { previous: None }), 0)
            }
        };
        if how == How::Killed {
            registration.machine.clone_from(&former.machine);
        }
        let directory = registration.directories[0];
        if !self.change(&Command::RegisterBroker(registration)) {
            // A wiped one waits until its former life is fenced.
            return;
        }
        let epoch = self.truth.0.brokers[&id].epoch;
        let node = self.node(id);
        node.alive = true;
        node.epoch = epoch;
        node.directory = directory;
        node.log.truncate(keep);
        if how == How::Wiped {
            (node.log_start, node.local_start) = (Offset(0), Offset(0));
        }
        node.stored = node.stored.min(node.end());
    }

    fn elect_unclean(&mut self) {
        let candidates = self.nodes.iter().filter(|(id, node)| node.alive && self.is_active(**id));
        let candidates = candidates.map(|(id, node)| UncleanCandidate {
            member: IsrMember { broker: *id, epoch: node.epoch },
            last_epoch: node.last_epoch(),
            log_end: node.end(),
        });
        let command = Command::ElectUnclean {
            topic: TOPIC,
            partition: 0,
            partition_epoch: partition(&self.truth.0).partition_epoch,
            candidates: candidates.collect(),
        };
        self.change(&command);
    }

    /// The properties that a state must have.
    fn check(&mut self, setup: &Setup) {
        let mut highest = std::mem::take(&mut self.highest);
        for node in self.nodes.values() {
            if let Role::Leader(leader) = &node.role {
                let known = highest.entry(leader.leader_epoch()).or_insert(Offset(0));
                if leader.high_watermark() < *known {
                    self.violation.get_or_insert(Violation::WentBack);
                }
                *known = leader.high_watermark().max(*known);
            }
        }
        self.highest = highest;
        let image = self.truth.0.clone();
        let p = partition(&image);
        if p.unclean.is_some() {
            if !setup.unclean {
                self.violate(Violation::Unclean);
            }
            // What it may have cost is known; from here on only what holds within an epoch is demanded.
            return;
        }
        self.remember_what_is_committed();
        if setup.has_starts() {
            self.check_tier();
        }
        if let Some(violation) = self.what_an_heir_lacks(p) {
            self.violate(violation);
        }
    }

    /// What lies below a leader's high watermark has been read by somebody.
    fn remember_what_is_committed(&mut self) {
        let mut committed = std::mem::take(&mut self.committed);
        for node in self.nodes.values().filter(|node| matches!(node.role, Role::Leader(_))) {
            let below = usize::try_from(node.high_watermark().0).unwrap_or(0);
            for (offset, entry) in node.log[..below].iter().enumerate() {
                if *committed.entry(offset).or_insert(*entry) != *entry {
                    self.violation.get_or_insert(Violation::Lost);
                }
            }
        }
        self.committed = committed;
    }

    /// Whoever may lead next has everything: the ISR; without one, who is eligible.
    fn what_an_heir_lacks(&self, p: &Partition) -> Option<Violation> {
        let heirs = if p.isr.is_empty() { &p.elr } else { &p.isr };
        for heir in heirs {
            let log = &self.nodes[heir].log;
            let mut demanded = self.acknowledged.iter().chain(&self.committed);
            if demanded.any(|(offset, entry)| log.get(*offset) != Some(entry)) {
                return Some(Violation::Lost);
            }
            for node in self.nodes.values() {
                let below = usize::try_from(node.high_watermark().0).unwrap_or(0);
                if log.get(..below) != Some(&node.log[..below]) {
                    return Some(Violation::Mismatch);
                }
            }
        }
        None
    }
}
