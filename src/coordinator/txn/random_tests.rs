//! Whole transactions under random events: several producers (two of them share an id), partitions that take batches and
//! markers by the rules of a leader's log, markers that come late, twice, or from a coordinator that was replaced,
//! failovers that lose what was not committed, and time.
//!
//! Checked against a plain list of who was told what: what was told to be committed is whole and readable, what was told
//! to be aborted is not, everything else is whole or not there, nothing hangs, and a replay gives the same memory. With
//! a defence switched off the same events must find a failure.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::request::*;
use super::*;
use crate::coordinator::compacted::Cleaning;
use crate::coordinator::shard::Answer;
use crate::types::{ProducerId, TopicName, TopicPartition};

const PARTITIONS: i32 = 3;
/// The first two are the same producer in two lives, as each of them believes.
const IDS: [&str; 4] = ["a", "a", "b", "c"];
/// The transaction versions they speak.
const VERSIONS: [i16; 4] = [2, 2, 0, 2];

#[derive(Debug, Clone, Copy)]
enum Event {
    /// A producer does what comes next to its mind.
    Step(usize, u8),
    /// It is gone, and comes back without memory.
    Forget(usize),
    /// What was decided is committed.
    Commit,
    /// One partition gets one marker that is on its way.
    Marker(usize, usize),
    /// A marker arrives once more, whoever has sent it.
    LateMarker(usize, usize),
    Pass(u64),
    /// Of what is not committed, so much in 256 parts is lost. Another coordinator takes over, or the same one loads anew.
    Failover(u8, bool),
    /// A cut goes on: it holds, marks the end of one partition after the other, and lets go.
    Cut,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        16 => (0..IDS.len(), any::<u8>()).prop_map(|(i, c)| Event::Step(i, c)),
        1 => (0..IDS.len()).prop_map(Event::Forget),
        12 => Just(Event::Commit),
        10 => (any::<usize>(), any::<usize>()).prop_map(|(t, p)| Event::Marker(t, p)),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(t, p)| Event::LateMarker(t, p)),
        1 => (0..30_000u64).prop_map(Event::Pass),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(lost, other)| Event::Failover(lost, other)),
        5 => Just(Event::Cut),
    ];
    prop::collection::vec(event, 0..400)
}

/// Which defences stand; a control switches one off.
#[derive(Debug, Clone, Copy)]
struct Defences {
    /// Markers of replaced coordinators are refused.
    coordinator_epoch: bool,
    /// Markers wait for the decision to be committed.
    decided_first: bool,
    /// Each decision is carried out once.
    once: bool,
    /// Nothing is decided while a cut is taken.
    hold: bool,
}

const ALL: Defences = Defences { coordinator_epoch: true, decided_first: true, once: true, hold: true };

/// How long a cut holds.
const HELD: Duration = Duration::from_secs(10);

/// How far a cut is.
enum Cut {
    /// Everything that was decided is to be complete first.
    Asked(RequestId),
    /// What is visible below the marks of the first partitions.
    Marks(Vec<usize>),
    LetGo(RequestId, Vec<usize>),
}

/// One record: the transaction it belongs to (by its number in the world).
type Part = usize;

#[derive(Default)]
struct Partition {
    producers: HashMap<ProducerId, Writer>,
    visible: Vec<Part>,
    markers: Vec<ProducerId>,
}

struct Writer {
    epoch: ProducerEpoch,
    open: Option<Vec<Part>>,
    coordinator_epoch: i32,
    /// The last decision that was carried out in that coordinator epoch.
    done: Option<u64>,
}

impl Partition {
    /// Whether the batch was taken.
    fn append(&mut self, producer: Producer, part: Part, guard: usize) -> bool {
        let ended = self.markers[guard..].contains(&producer.id);
        let writer = self.producers.entry(producer.id).or_insert(Writer {
            epoch: producer.epoch,
            open: None,
            coordinator_epoch: -1,
            done: None,
        });
        if producer.epoch < writer.epoch {
            return false;
        }
        match &mut writer.open {
            Some(open) if writer.epoch == producer.epoch => open.push(part),
            _ if ended => return false,
            open => {
                writer.epoch = producer.epoch;
                open.get_or_insert_default().push(part);
            }
        }
        true
    }

    /// Whether a newer coordinator was seen.
    fn marker(&mut self, markers: &WriteMarkers, defences: Defences) -> bool {
        let Producer { id, epoch } = markers.producer;
        let writer = self.producers.entry(id).or_insert(Writer {
            epoch,
            open: None,
            coordinator_epoch: -1,
            done: None,
        });
        let ends_itself = markers.epoch_was_bumped && writer.open.is_some() && epoch == writer.epoch;
        if epoch < writer.epoch || ends_itself {
            return false;
        }
        if defences.coordinator_epoch && markers.coordinator_epoch < writer.coordinator_epoch {
            return true;
        }
        let is_done = writer.coordinator_epoch == markers.coordinator_epoch
            && writer.done.is_some_and(|done| done >= markers.decision);
        if defences.once && is_done {
            return false;
        }
        writer.epoch = epoch;
        writer.coordinator_epoch = markers.coordinator_epoch;
        writer.done = Some(markers.decision);
        self.markers.push(id);
        let parts = writer.open.take().unwrap_or_default();
        if markers.commit {
            self.visible.extend(parts);
        }
        false
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Open,
    Committed,
    Aborted,
    /// The producer does not know.
    Unknown,
}

struct Txn {
    outcome: Outcome,
    /// Where its records were taken.
    parts: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Init,
    /// To a partition, with the guard that was taken there.
    Add(usize, usize),
    Verify(usize, usize),
    End(bool),
}

#[derive(Default)]
struct Client {
    producer: Option<Producer>,
    txn: Option<usize>,
    added: BTreeSet<usize>,
    waiting: Option<(RequestId, Op)>,
    /// A batch on its way to a partition that was verified, with the guard from before.
    sending: Option<(usize, usize)>,
    /// An end whose answer was lost or put off: nothing else is possible.
    ending: Option<bool>,
    asked_before: bool,
}

struct World {
    defences: Defences,
    shard: TxnShard,
    now: Now,
    epoch: i32,
    log: Vec<Entry<TxnRecord>>,
    loaded: usize,
    committed: usize,
    answers: Vec<Answer<Reply>>,
    waiting_tasks: Vec<(u64, WriteMarkers)>,
    /// With the partitions that are left.
    tasks: Vec<(WriteMarkers, Vec<TopicPartition>)>,
    /// What former coordinators may still send.
    late: Vec<WriteMarkers>,
    partitions: Vec<Partition>,
    clients: Vec<Client>,
    txns: Vec<Txn>,
    next_request: u64,
    next_producer: i64,
    cut: Option<Cut>,
    /// A transaction that lies across a cut.
    torn: Option<String>,
}

fn partition(index: usize) -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), i32::try_from(index).unwrap())
}

impl World {
    fn new(defences: Defences) -> World {
        let now =
            Now { mono: MonoTime::default() + Duration::from_secs(1), wall_ms: 1_000_000, may_expire: true };
        let mut shard = TxnShard::new(Arc::new(TxnConfig::default()), LeaderEpoch(1), Offset::ZERO);
        shard.start(now);
        World {
            defences,
            shard,
            now,
            epoch: 1,
            log: Vec::new(),
            loaded: 0,
            committed: 0,
            answers: Vec::new(),
            waiting_tasks: Vec::new(),
            tasks: Vec::new(),
            late: Vec::new(),
            partitions: (0..PARTITIONS).map(|_| Partition::default()).collect(),
            clients: IDS.iter().map(|_| Client::default()).collect(),
            txns: Vec::new(),
            next_request: 0,
            next_producer: 0,
            cut: None,
            torn: None,
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Step(i, choice) => self.step(i, choice),
            Event::Forget(i) => self.forget(i),
            Event::Commit => {
                self.committed = self.log.len();
                self.release();
            }
            Event::Marker(task, at) => self.marker(task, at),
            Event::LateMarker(task, at) => {
                if !self.late.is_empty() {
                    let markers = &self.late[task % self.late.len()];
                    let left = &markers.partitions;
                    if !left.is_empty() {
                        let at = usize::try_from(left[at % left.len()].partition).unwrap();
                        self.partitions[at].marker(markers, self.defences);
                    }
                }
            }
            Event::Pass(ms) => {
                self.now.mono = self.now.mono + Duration::from_millis(ms);
                self.now.wall_ms += i64::try_from(ms).unwrap();
                let out = self.shard.on_time(self.now);
                self.take(out);
            }
            Event::Failover(lost, other) => self.fail_over(lost, other),
            Event::Cut => self.go_on_with_cut(),
        }
        let again = self.replayed();
        let remembered = |s: &TxnShard| -> Vec<_> {
            s.kept.iter().map(|(id, k)| (id.clone(), k.transaction.clone())).collect()
        };
        assert_eq!(remembered(&self.shard), remembered(&again), "a replay gives the same");
        if let Event::Failover(share, _) = event {
            let log = Cleaning::new(share, share.is_multiple_of(2)).clean::<TxnShard>(&self.log);
            let cleaned = self.replayed_from(&log);
            assert_eq!(
                remembered(&again),
                remembered(&cleaned),
                "a replay of what compaction leaves gives the same"
            );
        }
    }

    fn replayed(&self) -> TxnShard {
        self.replayed_from(&self.log)
    }

    fn replayed_from(&self, log: &[Entry<TxnRecord>]) -> TxnShard {
        let end = Offset(i64::try_from(self.log.len()).unwrap());
        let mut shard = TxnShard::new(Arc::new(TxnConfig::default()), LeaderEpoch(self.epoch), end);
        log.iter().for_each(|entry| shard.replay(entry));
        shard
    }

    fn ask(&mut self, request: Request) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        let out = self.shard.decide(id, request, self.now);
        self.take(out);
        id
    }

    fn take(&mut self, out: Output) {
        self.log.extend(out.entries);
        self.answers.extend(out.answers);
        self.waiting_tasks.extend(out.tasks);
    }

    /// Answers and tasks whose entries are committed go.
    fn release(&mut self) {
        let committed = (self.committed - self.loaded) as u64;
        let (go, stay) = std::mem::take(&mut self.answers).into_iter().partition(|a| a.after <= committed);
        self.answers = stay;
        let early = !self.defences.decided_first;
        let (tasks, stay) = std::mem::take(&mut self.waiting_tasks)
            .into_iter()
            .partition::<Vec<_>, _>(|(after, _)| early || *after <= committed);
        self.waiting_tasks = stay;
        self.tasks.extend(tasks.into_iter().map(|(_, t)| (t.clone(), t.partitions)));
        let go: Vec<Answer<Reply>> = go;
        for answer in go {
            let client = self.clients.iter().position(|c| c.waiting.is_some_and(|(id, _)| id == answer.id));
            if let Some(i) = client {
                self.answered(i, answer.reply);
            } else {
                self.cut_answered(&answer);
            }
        }
        self.finish_tasks();
    }

    fn go_on_with_cut(&mut self) {
        let cut = 1;
        self.cut = match self.cut.take() {
            None if self.defences.hold => {
                Some(Cut::Asked(self.ask(Request::Hold(HoldDecisions { cut, at_most: HELD }))))
            }
            None => Some(Cut::Marks(Vec::new())),
            Some(Cut::Marks(mut marks)) if marks.len() < self.partitions.len() => {
                marks.push(self.partitions[marks.len()].visible.len());
                Some(Cut::Marks(marks))
            }
            Some(Cut::Marks(marks)) => {
                if !self.defences.hold {
                    self.look_at_cut(&marks);
                }
                Some(Cut::LetGo(self.ask(Request::LetGo(LetGo { cut })), marks))
            }
            waits => waits,
        };
    }

    fn cut_answered(&mut self, answer: &Answer<Reply>) {
        self.cut = match (self.cut.take(), &answer.reply) {
            (Some(Cut::Asked(id)), Reply::Hold(result)) if id == answer.id => {
                result.is_ok().then(|| Cut::Marks(Vec::new()))
            }
            (Some(Cut::LetGo(id, marks)), Reply::LetGo(result)) if id == answer.id => {
                if result.is_ok() {
                    self.look_at_cut(&marks);
                }
                None
            }
            (cut, _) => cut,
        };
    }

    /// What is visible of a transaction below the marks is all of it.
    fn look_at_cut(&mut self, marks: &[usize]) {
        for (number, txn) in self.txns.iter().enumerate() {
            let of =
                |(p, mark): (&Partition, &usize)| p.visible[..*mark].iter().filter(|t| **t == number).count();
            let there: usize = self.partitions.iter().zip(marks).map(of).sum();
            if there > 0 && there < txn.parts.len() {
                self.torn = Some(format!("{number} lies across a cut: {there} of {:?}", txn.parts));
            }
        }
    }

    fn finish_tasks(&mut self) {
        while let Some(at) = self.tasks.iter().position(|(_, left)| left.is_empty()) {
            let (markers, _) = self.tasks.remove(at);
            // It was sent more than once, and one of them is still on its way.
            self.late.push(markers.clone());
            self.ask(Request::MarkersWritten(markers.written()));
        }
    }

    fn marker(&mut self, task: usize, at: usize) {
        if !self.defences.decided_first {
            self.release();
        }
        if self.tasks.is_empty() {
            return;
        }
        let task = task % self.tasks.len();
        let (markers, left) = &mut self.tasks[task];
        let to = left.remove(at % left.len());
        let at = usize::try_from(to.partition).unwrap();
        if self.partitions[at].marker(markers, self.defences) {
            // A newer coordinator has taken over.
            self.tasks.remove(task);
        }
        self.finish_tasks();
    }

    fn fail_over(&mut self, lost: u8, other: bool) {
        let open = self.log.len() - self.committed;
        self.log.truncate(self.committed + open - open * usize::from(lost) / 256);
        self.epoch += i32::from(other);
        self.late.extend(std::mem::take(&mut self.tasks).into_iter().map(|(markers, _)| markers));
        self.answers.clear();
        self.waiting_tasks.clear();
        if !matches!(self.cut, Some(Cut::Marks(_))) {
            self.cut = None;
        }
        self.loaded = self.log.len();
        self.committed = self.log.len();
        self.shard = self.replayed();
        let out = self.shard.start(self.now);
        self.take(out);
        for client in &mut self.clients {
            if let Some((_, op)) = client.waiting.take()
                && let Op::End(commit) = op
            {
                client.ending = Some(commit);
                client.asked_before = true;
            }
        }
        self.release();
    }

    fn forget(&mut self, i: usize) {
        let client = std::mem::take(&mut self.clients[i]);
        let asked = client.asked_before || matches!(client.waiting, Some((_, Op::End(true))));
        if let Some(txn) = client.txn {
            // Whoever has asked for a commit cannot know.
            self.txns[txn].outcome = if asked { Outcome::Unknown } else { Outcome::Aborted };
        }
    }

    /// The producer is fenced, or gives up.
    fn give_up(&mut self, i: usize) {
        self.clients[i].waiting = None;
        self.forget(i);
    }

    fn step(&mut self, i: usize, choice: u8) {
        if self.clients[i].waiting.is_some() {
            return;
        }
        if let Some((at, guard)) = self.clients[i].sending.take() {
            return self.append(i, at, guard);
        }
        let id: TransactionalId = IDS[i].into();
        let Some(producer) = self.clients[i].producer else {
            self.next_producer += 1;
            let fresh = Some(ProducerId(self.next_producer));
            let request = Request::Init(InitProducer {
                id,
                timeout_ms: 20_000,
                expected: None,
                fresh,
                first_of_life: ProducerId(0),
            });
            return self.send(i, Op::Init, request);
        };
        if let Some(commit) = self.clients[i].ending {
            return self.send_end(i, producer, commit);
        }
        let at = usize::from(choice) % self.partitions.len();
        let is_open = self.clients[i].txn.is_some();
        match choice / 64 {
            0 if is_open => self.send_end(i, producer, true),
            1 if is_open && choice.is_multiple_of(4) => self.send_end(i, producer, false),
            _ => {
                let number = self.txns.len();
                if !is_open {
                    self.txns.push(Txn { outcome: Outcome::Open, parts: Vec::new() });
                    self.clients[i].txn = Some(number);
                    self.clients[i].added.clear();
                }
                let guard = self.partitions[at].markers.len();
                let partitions = vec![partition(at)];
                if VERSIONS[i] < 2 && self.clients[i].added.contains(&at) {
                    let request = Request::Verify(VerifyPartitions { id, producer, partitions });
                    return self.send(i, Op::Verify(at, guard), request);
                }
                let request =
                    Request::Add(AddPartitions { id, producer, partitions, client_version: VERSIONS[i] });
                self.send(i, Op::Add(at, guard), request);
            }
        }
    }

    fn send_end(&mut self, i: usize, producer: Producer, commit: bool) {
        self.next_producer += 1;
        let fresh = Some(ProducerId(self.next_producer));
        let end = EndTransaction { id: IDS[i].into(), producer, commit, client_version: VERSIONS[i], fresh };
        self.clients[i].ending = Some(commit);
        self.send(i, Op::End(commit), Request::End(end));
    }

    fn send(&mut self, i: usize, op: Op, request: Request) {
        // The answer comes with the next commit at the earliest.
        self.clients[i].waiting = Some((RequestId(self.next_request + 1), op));
        self.ask(request);
    }

    fn answered(&mut self, i: usize, reply: Reply) {
        let Some((_, op)) = self.clients[i].waiting.take() else { return };
        match (op, reply) {
            (Op::Init, Reply::Init(Ok(producer))) => self.clients[i].producer = Some(producer),
            (Op::Init, Reply::Init(Err(_))) => {}
            (Op::Add(at, guard), Reply::Add(Ok(()))) => {
                self.clients[i].added.insert(at);
                if VERSIONS[i] >= 2 {
                    self.clients[i].sending = Some((at, guard));
                }
            }
            (Op::Verify(at, guard), Reply::Verify(Ok(found))) if found == [true] => {
                self.clients[i].sending = Some((at, guard));
            }
            (Op::Add(..), Reply::Add(Err(TxnError::Concurrent)))
            | (Op::Verify(..), Reply::Verify(Err(TxnError::Concurrent))) => {}
            (Op::Add(..) | Op::Verify(..), _) => self.give_up(i),
            (Op::End(_), Reply::End(Err(TxnError::Concurrent))) => self.clients[i].asked_before = true,
            (Op::End(commit), Reply::End(result)) => {
                let client = &mut self.clients[i];
                match (result, client.txn) {
                    (Ok(producer), Some(txn)) => {
                        let outcome = if commit { Outcome::Committed } else { Outcome::Aborted };
                        self.txns[txn].outcome = outcome;
                        *client = Client { producer: Some(producer), ..Client::default() };
                    }
                    _ => self.give_up(i),
                }
            }
            (op, reply) => panic!("{op:?} is answered by {reply:?}"),
        }
    }

    fn append(&mut self, i: usize, at: usize, guard: usize) {
        let client = &self.clients[i];
        let (Some(producer), Some(txn)) = (client.producer, client.txn) else { return };
        if self.partitions[at].append(producer, txn, guard) {
            self.txns[txn].parts.push(at);
        } else {
            self.give_up(i);
        }
    }

    /// Lets everything end that will, then looks.
    fn outcome(mut self) -> Result<(), String> {
        for i in 0..self.clients.len() {
            self.forget(i);
        }
        for _ in 0..20 {
            self.event(Event::Commit);
            self.event(Event::Pass(7_000));
            while !self.tasks.is_empty() {
                self.event(Event::Marker(0, 0));
            }
        }
        if let Some(torn) = self.torn {
            return Err(torn);
        }
        for (at, p) in self.partitions.iter().enumerate() {
            if let Some((id, _)) = p.producers.iter().find(|(_, w)| w.open.is_some()) {
                return Err(format!("a transaction of {id} hangs in partition {at}"));
            }
        }
        for (number, txn) in self.txns.iter().enumerate() {
            let mut there = 0;
            for (at, p) in self.partitions.iter().enumerate() {
                let read = p.visible.iter().filter(|part| **part == number).count();
                let written = txn.parts.iter().filter(|part| **part == at).count();
                if read > written {
                    return Err(format!("transaction {number} is there twice in partition {at}"));
                }
                there += read;
            }
            let whole = there == txn.parts.len();
            match txn.outcome {
                Outcome::Committed if !whole => return Err(format!("committed {number} is not whole")),
                Outcome::Aborted if there > 0 => return Err(format!("aborted {number} is read")),
                _ if there > 0 && !whole => return Err(format!("{number} is torn")),
                _ => {}
            }
        }
        Ok(())
    }
}

fn run(events: &[Event], defences: Defences) -> Result<(), String> {
    let mut world = World::new(defences);
    for event in events {
        world.event(*event);
    }
    world.outcome()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn transactions_are_whole_under_random_events(events in events()) {
        prop_assert_eq!(run(&events, ALL), Ok(()));
    }
}

/// The first failure that random events find.
fn found(defences: Defences) -> Option<String> {
    let mut runner = TestRunner::deterministic();
    (0..4_000).find_map(|_| {
        let events = events().new_tree(&mut runner).unwrap().current();
        run(&events, defences).err()
    })
}

#[test]
fn without_the_coordinators_epoch_a_late_marker_does_harm() {
    assert!(found(Defences { coordinator_epoch: false, ..ALL }).is_some());
}

#[test]
fn a_decision_that_is_carried_out_twice_does_harm() {
    assert!(found(Defences { once: false, ..ALL }).is_some());
}

#[test]
fn markers_of_a_decision_that_is_lost_do_harm() {
    assert!(found(Defences { decided_first: false, ..ALL }).is_some());
}

#[test]
fn a_cut_that_holds_nothing_tears_transactions() {
    let torn = found(Defences { hold: false, ..ALL });
    assert!(torn.is_some_and(|why| why.contains("lies across a cut")));
}
