//! Leaders, one after the other and side by side, over one store.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::burial::{Burying, Fate, Stage};
use super::setups::{Before, Planted, Setup};
use crate::gc;
use crate::layout::SegmentName;
use crate::lineage::{self, EpochStart};
use crate::manifest::{Changes, Manifest, Segment, Writer, successor};
use crate::plan::{self, Action, Local, LocalSegment, Tier};
use crate::publish::protocol::{Answer, Next, Publishing, Request};
use crate::publish::{Head, Newer, PublishError, judge};

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Violation {
    /// 1: a committed record within retention is in no tier.
    Lost,
    /// 1, 4: the tier serves another record than the one that was committed.
    WrongRecord,
    /// 2: a local copy goes and the store does not hold it, published.
    EarlyDelete,
    /// 3: a record is in the tier that is not committed.
    Uncommitted,
    /// 5: a leader published after its successor did.
    Zombie,
    /// 6: the head names an object that is gone.
    NamedAndGone,
    /// Two writers of one epoch; a head that is removed.
    Contradiction,
    /// Something counts as published though the topic's tombstone is there.
    Undead,
    /// A deleted topic has left something.
    Left,
}

impl Violation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Violation::Lost => "a committed record is readable from one tier",
            Violation::WrongRecord => "the tier holds what was committed",
            Violation::EarlyDelete => "local copies go only below a published, checked end",
            Violation::Uncommitted => "only committed records are tiered",
            Violation::Zombie => "no leader publishes after its successor did",
            Violation::NamedAndGone => "what the head names is there",
            Violation::Contradiction => "nothing contradicts",
            Violation::Undead => "nothing is published beside a tombstone",
            Violation::Left => "a deleted topic leaves nothing",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Act {
    /// The newest leader appends a record, which is a closed segment at once.
    Append,
    /// All that the newest leader has is committed.
    Commit,
    /// Another replica leads; the leader before goes on without knowing.
    Elect,
    /// The same, and the last committed record is gone.
    ElectUnclean,
    /// Everything committed is deleted.
    DeleteRecords,
    /// Another replica leads that has kept all records on its own disk.
    ElectWhole,
    /// Another replica leads whose disk begins at the tier's end, as it was announced.
    ElectShort,
    /// The topic is deleted.
    DeleteTopic,
    /// What comes of that.
    Burial(Burying),
    /// Time goes on.
    Tick,
    /// A leader does the next thing: something local, or one request.
    Step(usize),
    /// It is done in the store, and the leader hears of an error.
    AnswerLost(usize),
    /// It is acknowledged and not done.
    WriteLost(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Doing {
    Nothing,
    Publishing {
        attempt: Box<Manifest>,
        request: Request,
        begun: i64,
        /// When the generation came to be, a later leader had published.
        late: bool,
    },
    Removing {
        from: u64,
        to: u64,
        next: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leader {
    epoch: i32,
    /// The epoch of each record, by offset.
    log: Vec<i32>,
    epoch_start: i64,
    high_watermark: i64,
    local_start: i64,
    log_start: i64,
    tier: Tier,
    known_generation: u64,
    known: Option<i64>,
    history: Vec<(u64, i64)>,
    drawn: u64,
    doing: Doing,
    pub(super) fate: Fate,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Store {
    pub(super) generations: BTreeMap<u64, Manifest>,
    boundary: u64,
    /// The epochs of an object's records.
    pub(super) objects: BTreeMap<SegmentName, Vec<i32>>,
    pub(super) tombstone: bool,
}

impl Store {
    fn head(&self) -> Option<&Manifest> {
        let (generation, head) = self.generations.last_key_value()?;
        (*generation > self.boundary).then_some(head)
    }

    pub(super) fn forget_generations(&mut self) {
        self.generations.clear();
        self.boundary = 0;
    }

    fn names(&self, name: &SegmentName) -> bool {
        self.head().is_some_and(|head| head.live.iter().any(|row| row.name == *name))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    now: i64,
    /// By epoch; the last one is the leader.
    pub(super) leaders: Vec<Leader>,
    pub(super) store: Store,
    /// The topic is deleted, and this comes next.
    pub(super) burial: Option<Stage>,
    /// The highest end that a leader has told its followers: they may have let go of what lies before.
    announced: i64,
    /// The epoch of each committed record.
    committed: Vec<i32>,
    log_start: i64,
    records: u8,
    elections: u8,
    unclean: u8,
    faults: u8,
    deletions: u8,
    ticks: u8,
    apart: u8,
    topic_deletions: u8,
    pub(super) violation: Option<Violation>,
}

/// How a request to the store ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Well,
    AnswerLost,
    WriteLost,
}

impl Leader {
    fn new(epoch: i32, log: Vec<i32>, before: Option<&Leader>) -> Leader {
        let end = log.len() as i64;
        Leader {
            epoch,
            epoch_start: end,
            high_watermark: end,
            local_start: before.map_or(0, |before| before.local_start.min(end)),
            log_start: before.map_or(0, |before| before.log_start),
            log,
            tier: Tier::default(),
            // As it was announced with the replication stream.
            known_generation: before.map_or(0, |before| before.known_generation),
            known: None,
            history: Vec::new(),
            drawn: 0,
            doing: Doing::Nothing,
            fate: Fate::default(),
        }
    }

    pub(super) fn end(&mut self) {
        (self.fate.ended, self.doing) = (true, Doing::Nothing);
    }

    fn log_end(&self) -> i64 {
        self.log.len() as i64
    }

    fn chain(&self) -> Vec<EpochStart> {
        let mut chain: Vec<EpochStart> = Vec::new();
        for (offset, epoch) in self.log.iter().enumerate() {
            if chain.last().is_none_or(|last| last.epoch != *epoch) {
                chain.push(EpochStart { epoch: *epoch, start: offset as i64 });
            }
        }
        if chain.last().is_none_or(|last| last.epoch != self.epoch) {
            chain.push(EpochStart { epoch: self.epoch, start: self.epoch_start });
        }
        chain
    }

    fn local(&self, setup: &Setup) -> Local {
        let committed = match setup.planted {
            Some(Planted::NoHighWatermark) => self.log_end(),
            _ => self.high_watermark,
        };
        let closed = |offset| LocalSegment { base: offset, end: offset + 1, bytes: 1, max_timestamp: 0 };
        Local {
            epoch: self.epoch,
            log_start: self.log_start,
            local_start: self.local_start,
            high_watermark: committed,
            last_stable: committed,
            chain: self.chain(),
            closed: (self.local_start..self.log_end()).map(closed).collect(),
            open_bytes: 0,
            everywhere_from: None,
        }
    }

    fn draw(&mut self) -> Uuid {
        self.drawn += 1;
        Uuid::from_u64_pair(self.epoch as u64, self.drawn)
    }

    /// The plan, with what is known of generations that may go.
    fn next(&mut self, setup: &Setup, now: i64) -> (Local, Action) {
        let policy = setup.policy();
        let old = self.history.iter().filter(|(_, since)| now - since >= policy.superseded_ms);
        self.tier.removable = old.map(|(generation, _)| *generation).max().unwrap_or(0);
        let local = self.local(setup);
        let action = plan::next_action(&local, &self.tier, &policy, now);
        (local, action)
    }
}

impl World {
    pub(super) fn new(setup: &Setup) -> World {
        let mut world = World {
            now: 0,
            leaders: vec![Leader::new(1, Vec::new(), None)],
            store: Store::default(),
            burial: None,
            announced: 0,
            committed: Vec::new(),
            log_start: 0,
            records: setup.records,
            elections: setup.elections,
            unclean: setup.unclean,
            faults: setup.faults,
            deletions: setup.deletions,
            ticks: setup.ticks,
            apart: setup.apart,
            topic_deletions: setup.topic_deletions,
            violation: None,
        };
        // A prelude goes by the rules, whatever is planted.
        let rules = Setup { planted: None, ..setup.clone() };
        for before in &setup.prelude {
            match before {
                Before::Does(act) => world.before(&rules, *act),
                Before::Settles(index) => {
                    while world.has_work(&rules, *index) {
                        world.before(&rules, Act::Step(*index));
                    }
                }
            }
        }
        world
    }

    /// An act of the prelude: its cost is given back.
    fn before(&mut self, setup: &Setup, act: Act) {
        match act {
            Act::Append => self.records += 1,
            Act::Elect => self.elections += 1,
            Act::Tick => self.ticks += 1,
            _ => {}
        }
        self.take(setup, act);
        assert_eq!(self.violation, None, "in the prelude, at {act:?}");
    }

    fn has_work(&self, setup: &Setup, index: usize) -> bool {
        let leader = &self.leaders[index];
        let idle = leader.doing == Doing::Nothing && leader.clone().next(setup, self.now).1 == Action::Idle;
        !leader.fate.ended && !idle
    }

    fn leader(&self) -> &Leader {
        self.leaders.last().expect("there is a leader from the start")
    }

    fn leader_mut(&mut self) -> &mut Leader {
        self.leaders.last_mut().expect("there is a leader from the start")
    }

    pub(super) fn acts(&self, setup: &Setup, acts: &mut Vec<Act>) {
        match self.burial {
            Some(stage) => self.acts_of_burial(setup, stage, acts),
            None => self.acts_of_a_living_topic(acts),
        }
        if self.ticks > 0 {
            acts.push(Act::Tick);
        }
        self.steps(setup, acts);
    }

    fn acts_of_a_living_topic(&self, acts: &mut Vec<Act>) {
        let leader = self.leader();
        if self.records > 0 {
            acts.push(Act::Append);
        }
        if leader.high_watermark < leader.log_end() {
            acts.push(Act::Commit);
        }
        if self.elections > 0 {
            acts.push(Act::Elect);
            if self.apart > 0 {
                acts.extend([Act::ElectWhole, Act::ElectShort]);
            }
            if self.unclean > 0 && !self.committed.is_empty() {
                acts.push(Act::ElectUnclean);
            }
        }
        if self.deletions > 0 && leader.high_watermark > leader.log_start {
            acts.push(Act::DeleteRecords);
        }
        if self.topic_deletions > 0 {
            acts.push(Act::DeleteTopic);
        }
    }

    fn steps(&self, setup: &Setup, acts: &mut Vec<Act>) {
        for (index, leader) in self.leaders.iter().enumerate().filter(|(_, leader)| !leader.fate.ended) {
            let (writes, asks) = match &leader.doing {
                Doing::Publishing { request, .. } => (*request == Request::Create, true),
                Doing::Removing { .. } => (false, true),
                Doing::Nothing => match leader.clone().next(setup, self.now).1 {
                    Action::Idle => continue,
                    Action::Upload { .. } | Action::Rewrite { .. } => (true, true),
                    Action::DeleteObjects { .. } => (false, true),
                    _ => (false, false),
                },
            };
            acts.push(Act::Step(index));
            if self.faults > 0 && asks {
                acts.push(Act::AnswerLost(index));
            }
            if self.faults > 0 && writes {
                acts.push(Act::WriteLost(index));
            }
        }
    }

    pub(super) fn take(&mut self, setup: &Setup, act: Act) {
        match act {
            Act::Append => {
                self.records -= 1;
                let leader = self.leader_mut();
                leader.log.push(leader.epoch);
            }
            Act::Commit => {
                let leader = self.leader_mut();
                leader.high_watermark = leader.log_end();
                self.committed = self.leader().log.clone();
            }
            Act::Elect | Act::ElectUnclean | Act::ElectWhole | Act::ElectShort => {
                self.elections -= 1;
                if act == Act::ElectUnclean {
                    self.unclean -= 1;
                    self.committed.pop();
                }
                let before = self.leader();
                let local_start = match act {
                    Act::ElectWhole => before.log_start,
                    Act::ElectShort => self.announced.max(before.log_start),
                    _ => before.local_start,
                };
                let epoch = before.epoch + i32::from(setup.planted != Some(Planted::OneEpochForTwo));
                let mut next = Leader::new(epoch, self.committed.clone(), Some(before));
                next.local_start = local_start.min(next.log_end());
                self.announced = self.announced.min(next.log_end());
                self.apart -= u8::from(matches!(act, Act::ElectWhole | Act::ElectShort));
                // What two draw is never the same.
                next.drawn = 1000 * self.leaders.len() as u64;
                next.log_start = next.log_start.min(next.log_end());
                self.log_start = self.log_start.min(next.log_end());
                self.leaders.push(next);
            }
            Act::DeleteRecords => {
                self.deletions -= 1;
                let leader = self.leader_mut();
                leader.log_start = leader.high_watermark;
                leader.local_start = leader.local_start.max(leader.log_start);
                self.log_start = self.leader().log_start;
            }
            Act::DeleteTopic => {
                self.topic_deletions -= 1;
                self.committed.clear();
                self.burial = Some(Stage::Tombstone);
            }
            Act::Burial(burying) => self.bury(setup, burying),
            Act::Tick => {
                self.ticks -= 1;
                self.now += 1;
            }
            Act::Step(index) => self.step(setup, index, Ends::Well),
            Act::AnswerLost(index) => {
                self.faults -= 1;
                self.step(setup, index, Ends::AnswerLost);
            }
            Act::WriteLost(index) => {
                self.faults -= 1;
                self.step(setup, index, Ends::WriteLost);
            }
        }
        if self.violation.is_none() {
            self.violation = self.look(setup).err();
        }
    }

    fn step(&mut self, setup: &Setup, index: usize, ends: Ends) {
        // Taken out, so that the store and the leader can be changed side by side.
        let mut leader = self.leaders[index].clone();
        let outcome = match leader.doing.clone() {
            Doing::Nothing => self.begin(setup, &mut leader, index, ends),
            Doing::Publishing { attempt, request, begun, late } => {
                self.publish(setup, &mut leader, (&attempt, request, begun, late), ends)
            }
            Doing::Removing { from, to, next } => {
                self.remove(&mut leader, (from, to, next), ends);
                Ok(())
            }
        };
        self.leaders[index] = leader;
        self.violation = outcome.err();
    }

    fn begin(
        &mut self,
        setup: &Setup,
        leader: &mut Leader,
        index: usize,
        ends: Ends,
    ) -> Result<(), Violation> {
        let (local, action) = leader.next(setup, self.now);
        match action {
            Action::FindHead => self.find_head(setup, leader, &local),
            Action::DeleteLocal { below } => self.delete_local(leader, below)?,
            Action::Upload { from, segment } => {
                let uploaded = self.upload(setup, leader, (from, segment), ends)?;
                leader.tier.pending.extend(uploaded);
            }
            Action::Rewrite { from, segment } => {
                let uploaded = self.upload(setup, leader, (from, segment), ends)?;
                leader.tier.rewritten.extend(uploaded);
            }
            Action::Publish => {
                let writer = Writer { epoch: leader.epoch, uuid: leader.draw() };
                let changes = Changes {
                    add: &leader.tier.pending,
                    chain: &local.chain,
                    discard: false,
                    rewrite: leader.tier.complete_rewrite(&local.chain),
                    archive: None,
                    unpacked: None,
                    log_start: local.log_start,
                    deleted: &leader.tier.deleted,
                    replace: None,
                    now_ms: self.now,
                };
                let mut attempt = successor(leader.tier.manifest(), writer, &changes);
                if setup.planted == Some(Planted::Forgets) && attempt.live.len() > 1 {
                    attempt.live.remove(0);
                }
                leader.doing = Doing::Publishing {
                    attempt: Box::new(attempt),
                    request: Request::Create,
                    begun: self.now,
                    late: false,
                };
            }
            Action::Check { segments } => {
                for segment in segments {
                    if !self.store.objects.contains_key(&segment.name) {
                        leader.tier.lost = Some(segment.base());
                        break;
                    }
                    leader.tier.checked_end = Some(segment.end);
                    if setup.apart > 0 && index + 1 == self.leaders.len() {
                        self.announced = self.announced.max(segment.end);
                    }
                }
            }
            Action::DeleteObjects { names } => {
                for name in names {
                    if self.store.names(&name) {
                        return Err(Violation::NamedAndGone);
                    }
                    self.store.objects.remove(&name);
                    if ends == Ends::Well {
                        leader.tier.deleted.push(name.uuid);
                    }
                }
            }
            Action::RemoveGenerations { from, to } => {
                leader.doing = Doing::Removing { from, to, next: from };
            }
            Action::Sweep => self.sweep(setup, leader),
            // There is no retention and no archive here.
            Action::AdvanceLogStart { .. }
            | Action::Unpack { .. }
            | Action::Archive { .. }
            | Action::DeleteArchive { .. } => return Err(Violation::Contradiction),
            Action::Idle => {}
        }
        Ok(())
    }

    fn delete_local(&self, leader: &mut Leader, below: i64) -> Result<(), Violation> {
        let chain = leader.chain();
        for offset in leader.local_start.max(self.log_start)..below {
            let record = leader.log[offset as usize];
            // What an unclean election has lost is lost.
            let counts = self.committed.get(offset as usize) == Some(&record);
            if counts && self.cold_record(&chain, offset) != Some(record) {
                return Err(Violation::EarlyDelete);
            }
        }
        leader.local_start = leader.local_start.max(below);
        Ok(())
    }

    fn find_head(&self, setup: &Setup, leader: &mut Leader, local: &Local) {
        let head = Head { manifest: self.store.head().cloned(), boundary: self.store.boundary };
        if self.store.tombstone && setup.planted != Some(Planted::IgnoresTombstones) {
            leader.fate.ended = true;
            return;
        }
        if self.burial.is_some() && head.generation() < leader.known_generation {
            // Its manifests are gone: it asks again and again.
            return;
        }
        if let Some(manifest) = &head.manifest {
            if manifest.writer.epoch > leader.epoch && setup.planted != Some(Planted::NoEpochs) {
                leader.fate.ended = true;
                return;
            }
            leader.known_generation = manifest.generation;
            let counts = match setup.planted {
                Some(Planted::LostLogStart) => manifest.log_start,
                _ => manifest.log_start_on(&local.chain),
            };
            if counts > leader.log_start {
                leader.log_start = counts.min(leader.log_end());
                leader.local_start = leader.local_start.max(leader.log_start);
            }
        }
        leader.known = Some(self.now);
        leader.history.push((head.generation(), self.now));
        leader.tier.found(head, local);
    }

    fn upload(
        &mut self,
        setup: &Setup,
        leader: &mut Leader,
        (from, segment): (i64, LocalSegment),
        ends: Ends,
    ) -> Result<Option<Segment>, Violation> {
        let name = SegmentName { base: from, leader_epoch: leader.epoch, uuid: leader.draw() };
        if ends != Ends::WriteLost {
            let mut records = leader.log[from as usize..segment.end as usize].to_vec();
            if setup.planted == Some(Planted::WrongRecords) {
                records.fill(0);
            }
            self.store.objects.insert(name, records);
        }
        let verified =
            ends == Ends::Well || (ends == Ends::WriteLost && setup.planted == Some(Planted::NoVerification));
        if !verified {
            leader.tier.abandoned.push(name);
            return Ok(None);
        }
        let row = Segment {
            name,
            end: segment.end,
            epochs: lineage::slice(&leader.chain(), from, segment.end),
            max_timestamp: 0,
            log_bytes: 1,
            footer_bytes: 1,
            crc: 0,
        };
        if setup.planted == Some(Planted::EagerDelete) {
            self.delete_local(leader, segment.end)?;
        }
        if setup.planted == Some(Planted::AnnouncesUploads) && leader.epoch == self.leader().epoch {
            self.announced = self.announced.max(segment.end);
        }
        Ok(Some(row))
    }

    fn sweep(&mut self, setup: &Setup, leader: &mut Leader) {
        let Some(head) = leader.tier.manifest().cloned() else { return };
        let named = |name: &SegmentName| {
            head.live.iter().any(|row| row.name == *name)
                || head.removed.iter().any(|removed| removed.segment.name == *name)
        };
        let abandoned = leader.tier.abandoned.clone();
        let all = setup.planted == Some(Planted::SweepsAll);
        self.store
            .objects
            .retain(|name, _| named(name) || !(all || gc::is_orphan(name, head.writer.epoch, &abandoned)));
        let boundary = leader.tier.head.as_ref().map_or(0, |head| head.boundary);
        self.store.generations.retain(|generation, _| *generation > boundary);
        leader.tier.swept = true;
        leader.tier.abandoned.clear();
    }

    fn publish(
        &mut self,
        setup: &Setup,
        leader: &mut Leader,
        (attempt, request, begun, mut late): (&Manifest, Request, i64, bool),
        ends: Ends,
    ) -> Result<(), Violation> {
        let generation = attempt.generation;
        if request == Request::Create && ends != Ends::WriteLost {
            let there = self.store.generations.contains_key(&generation);
            if !there || setup.planted == Some(Planted::Replaces) {
                let later = self.store.generations.values().any(|g| g.writer.epoch > leader.epoch);
                late = later || self.store.boundary >= generation;
                self.store.generations.insert(generation, attempt.clone());
            }
        }
        let again = |request| Doing::Publishing { attempt: Box::new(attempt.clone()), request, begun, late };
        if ends == Ends::AnswerLost {
            leader.doing = again(Request::Create);
            return Ok(());
        }
        let writer = |generation| self.store.generations.get(generation).map(|found| found.writer);
        let fresh = leader.known.is_some_and(|known| self.now - known < setup.policy().knowledge_ms)
            || setup.planted == Some(Planted::AlwaysFresh);
        let machine = Publishing::new(generation, attempt.writer);
        let deleted = self.store.tombstone && setup.planted != Some(Planted::IgnoresTombstones);
        let next = match request {
            Request::Create => machine.after(Answer::Created, fresh),
            Request::ReadBack => machine.after(Answer::WrittenBy(writer(&generation)), fresh),
            Request::LookForTombstone => machine.after(Answer::Tombstone(deleted), fresh),
            Request::ListAfter => {
                let newest = self.store.generations.last_key_value().map(|(newest, _)| *newest);
                let highest = newest.filter(|newest| *newest > generation).unwrap_or(0);
                let newer = Newer { highest, boundary: self.store.boundary, deleted };
                machine.after(Answer::Listed(newer), fresh)
            }
            Request::ReadNewer(newer) => match writer(&newer) {
                Some(writer) => machine.after_newer(newer, writer),
                // Removed since: tried again.
                None => Next::Unknown,
            },
        };
        leader.doing = match next {
            Next::Ask(request) => again(request),
            Next::Unknown => again(Request::Create),
            Next::Published => {
                if late {
                    return Err(Violation::Zombie);
                }
                if self.store.tombstone {
                    return Err(Violation::Undead);
                }
                leader.known = Some(begun);
                leader.history.push((generation, self.now));
                leader.known_generation = generation;
                leader.tier.published(attempt.clone());
                Doing::Nothing
            }
            Next::TakenBy { generation, epoch } => match judge(attempt, generation, epoch) {
                PublishError::Fenced { .. } if setup.planted != Some(Planted::NoEpochs) => {
                    leader.fate.ended = true;
                    Doing::Nothing
                }
                PublishError::Conflict { .. } => return Err(Violation::Contradiction),
                _ => {
                    leader.tier.head = None;
                    Doing::Nothing
                }
            },
            Next::BelowBoundary => {
                leader.tier.head = None;
                Doing::Nothing
            }
            Next::Deleted => {
                leader.fate.ended = true;
                Doing::Nothing
            }
        };
        Ok(())
    }

    /// The boundary first, then one generation after the other.
    fn remove(&mut self, leader: &mut Leader, (from, to, next): (u64, u64, u64), ends: Ends) {
        if next == from {
            self.store.boundary = self.store.boundary.max(to);
        } else {
            self.store.generations.remove(&next);
        }
        leader.doing = if ends == Ends::AnswerLost || next == to {
            if next == to
                && ends == Ends::Well
                && let Some(head) = &mut leader.tier.head
            {
                head.boundary = to;
            }
            Doing::Nothing
        } else {
            Doing::Removing { from, to, next: next + 1 }
        };
    }

    /// What a reader gets from the tier at an offset, if it knows the chain.
    fn cold_record(&self, chain: &[EpochStart], offset: i64) -> Option<i32> {
        let head = self.store.head()?;
        let rows = crate::manifest::on_chain(&head.live, chain);
        let row = rows.iter().find(|row| row.base() <= offset && offset < row.end)?;
        let object = self.store.objects.get(&row.name)?;
        object.get((offset - row.base()) as usize).copied()
    }

    fn look(&self, setup: &Setup) -> Result<(), Violation> {
        if let Some(stage) = self.burial {
            return self.look_for_remains(stage);
        }
        let leader = self.leader();
        let chain = leader.chain();
        let Some(head) = self.store.head() else {
            let lost = self.log_start.max(0) < leader.local_start.min(self.committed.len() as i64);
            return if lost { Err(Violation::Lost) } else { Ok(()) };
        };
        let rows = match setup.planted {
            Some(Planted::NoLineage) => head.live.clone(),
            _ => crate::manifest::on_chain(&head.live, &chain),
        };
        for row in &rows {
            let Some(object) = self.store.objects.get(&row.name) else { return Err(Violation::NamedAndGone) };
            for offset in row.base().max(self.log_start)..row.end {
                let record = object.get((offset - row.base()) as usize);
                match self.committed.get(offset as usize) {
                    None => return Err(Violation::Uncommitted),
                    committed if committed != record => return Err(Violation::WrongRecord),
                    _ => {}
                }
            }
        }
        for offset in self.log_start..(self.committed.len() as i64).min(leader.local_start) {
            if self.cold_record(&chain, offset).is_none() {
                return Err(Violation::Lost);
            }
        }
        let counted = self.store.generations.range(self.store.boundary + 1..);
        let mut last = 0;
        for (_, generation) in counted {
            if generation.writer.epoch < last {
                return Err(Violation::Zombie);
            }
            last = generation.writer.epoch;
        }
        Ok(())
    }
}
