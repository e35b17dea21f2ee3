//! The task of one shard: loads it, decides what comes, appends what was decided, and lets answers go in time.
//!
//! One append is in flight at a time; what is decided meanwhile goes into the next one together, so that many
//! commits cost one write. Decisions take effect at once for later decisions; answers and tasks wait until their
//! records are committed. When a write fails, everything that waits is refused and the shard is loaded anew from the
//! log, which alone knows what is true.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, oneshot};

use super::load::load;
use super::log::{PartitionLog, PartitionLogError};
use super::runtime::CoordinatorError;
use super::shard::{Entry, LogLimits, Marker, Now, OutputOf, Producer, RequestId, Shard};
use crate::env::{Clock, Env, MonoTime};
use crate::wire::record_batch::{BatchBuilder, Compression, ControlKind, end_transaction_marker};

/// Requests taken from the queue at once.
const TURN: usize = 256;

/// Decided bytes that wait for the log; above it no request is taken.
const MAX_PENDING_BYTES: usize = 16 << 20;

/// Batches of one append: a transaction's records and its marker are batches of their own.
const MAX_BATCHES: usize = 64;

/// Between two tries of a write that the log refuses for now, and the first wait after a failed load.
const RETRY: Duration = Duration::from_millis(50);

/// The longest wait between two loads.
const MAX_RETRY: Duration = Duration::from_secs(2);

/// A request on its way to a shard.
pub(super) struct Command<S: Shard> {
    pub(super) request: S::Request,
    pub(super) answer: Sender<S>,
}

type Sender<S> = oneshot::Sender<Result<<S as Shard>::Reply, CoordinatorError>>;

/// Does a shard's tasks. What comes of one is a request to the shard, or nothing.
pub type Worker<S> =
    Arc<dyn Fn(<S as Shard>::Task) -> BoxFuture<'static, Option<<S as Shard>::Request>> + Send + Sync>;

/// What a shard's task is made of.
pub(super) struct ShardTask<S: Shard> {
    pub(super) partition: i32,
    pub(super) env: Env,
    pub(super) config: Arc<S::Config>,
    pub(super) log: Arc<dyn PartitionLog>,
    pub(super) commands: mpsc::Receiver<Command<S>>,
    pub(super) worker: Worker<S>,
    /// Set while the shard is loaded.
    pub(super) serving: Arc<AtomicBool>,
}

impl<S: Shard> ShardTask<S> {
    /// Runs until it is aborted, or nobody can send any more.
    pub(super) async fn run(mut self) {
        let mut wait = RETRY;
        let mut memory = S::Memory::default();
        loop {
            let began = self.env.clock.now();
            match load::<S>(&*self.log, &self.config).await {
                Ok((mut shard, loaded)) => {
                    shard.remember(std::mem::take(&mut memory));
                    let took = self.env.clock.now().since(began);
                    tracing::info!(
                        partition = self.partition,
                        epoch = %self.log.leader_epoch(),
                        kept = shard.kept(),
                        records = loaded.records,
                        bytes = loaded.bytes,
                        took_ms = took.as_millis(),
                        "{} loaded", S::KEEPS
                    );
                    wait = RETRY;
                    self.serving.store(true, Ordering::Release);
                    let ended = self.serve(shard).await;
                    self.serving.store(false, Ordering::Release);
                    let Err((why, known)) = ended else { return };
                    memory = known;
                    tracing::warn!(partition = self.partition, %why, "a write failed; loading the {} anew", S::KEEPS);
                }
                Err(why) => {
                    tracing::warn!(partition = self.partition, %why, "loading the {} failed; trying again", S::KEEPS);
                }
            }
            self.env.clock.sleep(wait).await;
            wait = (wait * 2).min(MAX_RETRY);
        }
    }

    /// Serves one loaded shard, until a write fails or nobody can send any more.
    async fn serve(&mut self, mut shard: S) -> Result<(), (PartitionLogError, S::Memory)> {
        let started = shard.start(now(&self.env, &*self.log));
        let mut turn = Turn::new(shard, self.worker.clone());
        turn.take(started);
        let ended = self.serve_until_it_fails(&mut turn).await;
        ended.map_err(|why| (why, turn.shard.into_memory(turn.committed)))
    }

    async fn serve_until_it_fails(&mut self, turn: &mut Turn<S>) -> Result<(), PartitionLogError> {
        let mut commands = Vec::with_capacity(TURN);
        let mut alarm = Alarm::default();
        loop {
            turn.start_append(self)?;
            alarm.set(turn.shard.next_deadline(), &*self.env.clock);
            tokio::select! {
                biased;
                written = turn.in_flight.done() => match written {
                    Ok(()) => turn.committed(),
                    Err(why) => {
                        turn.refuse_all(&why);
                        return Err(why);
                    }
                },
                Some(outcome) = turn.working.next(), if !turn.working.is_empty() && turn.has_room() => {
                    if let Some(request) = outcome {
                        turn.decide_own(request, now(&self.env, &*self.log));
                    }
                }
                count = self.commands.recv_many(&mut commands, TURN), if turn.has_room() => {
                    if count == 0 {
                        return Ok(());
                    }
                    let leads = self.log.leads();
                    for command in commands.drain(..) {
                        if leads {
                            turn.decide(command, now(&self.env, &*self.log));
                        } else {
                            let _ = command.answer.send(Err(CoordinatorError::NotCoordinator));
                        }
                    }
                }
                () = alarm.rings() => {
                    let output = turn.shard.on_time(now(&self.env, &*self.log));
                    turn.take(output);
                }
            }
        }
    }
}

fn now(env: &Env, log: &dyn PartitionLog) -> Now {
    Now { mono: env.clock.now(), wall_ms: env.clock.wall_ms(), may_expire: log.clock_is_right() }
}

/// A loaded shard with what it has decided and whom it still owes an answer.
struct Turn<S: Shard> {
    shard: S,
    worker: Worker<S>,
    next_id: u64,
    /// Requests without an answer yet.
    open: HashMap<RequestId, Sender<S>>,
    /// Answers and tasks that wait for so many entries to be committed.
    waiting: BTreeMap<u64, Vec<Waiting<S>>>,
    /// Decided, not yet being appended; with the bound of each entry's size.
    pending: VecDeque<(Entry<S::Record>, usize)>,
    pending_bytes: usize,
    in_flight: InFlight,
    working: FuturesUnordered<BoxFuture<'static, Option<S::Request>>>,
    /// Entries decided and handed to the log, and those committed, since the load.
    appended: u64,
    committed: u64,
}

enum Waiting<S: Shard> {
    Answer(Sender<S>, S::Reply),
    Task(S::Task),
}

/// The append that is on its way, if any.
#[derive(Default)]
struct InFlight {
    future: Option<BoxFuture<'static, Result<(), PartitionLogError>>>,
    entries: u64,
}

impl InFlight {
    /// Completes when the append in flight does; never, while there is none.
    async fn done(&mut self) -> Result<(), PartitionLogError> {
        match &mut self.future {
            Some(future) => future.as_mut().await,
            None => std::future::pending().await,
        }
    }
}

impl<S: Shard> Turn<S> {
    fn new(shard: S, worker: Worker<S>) -> Turn<S> {
        Turn {
            shard,
            worker,
            next_id: 0,
            open: HashMap::new(),
            waiting: BTreeMap::new(),
            pending: VecDeque::new(),
            pending_bytes: 0,
            in_flight: InFlight::default(),
            working: FuturesUnordered::new(),
            appended: 0,
            committed: 0,
        }
    }

    fn has_room(&self) -> bool {
        self.pending_bytes < MAX_PENDING_BYTES
    }

    fn decide(&mut self, command: Command<S>, now: Now) {
        let id = self.new_id();
        self.open.insert(id, command.answer);
        let output = self.shard.decide(id, command.request, now);
        self.take(output);
    }

    /// What came of a task: nobody waits for the answer.
    fn decide_own(&mut self, request: S::Request, now: Now) {
        let id = self.new_id();
        let output = self.shard.decide(id, request, now);
        self.take(output);
    }

    fn new_id(&mut self) -> RequestId {
        self.next_id += 1;
        RequestId(self.next_id)
    }

    fn take(&mut self, output: OutputOf<S>) {
        for entry in output.entries {
            let bytes = match &entry {
                Entry::Record(record) | Entry::InTransaction(_, record) => S::size_bound(record),
                Entry::Marker(_) => 0,
            };
            self.pending_bytes += bytes;
            self.pending.push_back((entry, bytes));
        }
        for answer in output.answers {
            let Some(sender) = self.open.remove(&answer.id) else { continue };
            self.wait(answer.after, Waiting::Answer(sender, answer.reply));
        }
        for (after, task) in output.tasks {
            self.wait(after, Waiting::Task(task));
        }
    }

    fn wait(&mut self, after: u64, waiting: Waiting<S>) {
        if after <= self.committed {
            self.release(waiting);
        } else {
            self.waiting.entry(after).or_default().push(waiting);
        }
    }

    fn release(&mut self, waiting: Waiting<S>) {
        match waiting {
            Waiting::Answer(sender, reply) => {
                let _ = sender.send(Ok(reply));
            }
            Waiting::Task(task) => self.working.push((self.worker)(task)),
        }
    }

    /// Starts the next append, if none is in flight and something was decided.
    fn start_append(&mut self, task: &ShardTask<S>) -> Result<(), PartitionLogError> {
        if self.in_flight.future.is_some() || self.pending.is_empty() {
            return Ok(());
        }
        let limits = S::limits(&task.config);
        let timestamp = task.env.clock.wall_ms();
        let mut batches = Vec::new();
        let mut entries = 0;
        while batches.len() < MAX_BATCHES && !self.pending.is_empty() {
            let (batch, taken) =
                self.next_batch(timestamp, limits).inspect_err(|why| self.refuse_all(why))?;
            batches.push(batch);
            entries += taken;
        }
        let deadline = task.env.clock.now() + limits.commit_timeout;
        let future = append(task.log.clone(), task.env.clock.clone(), batches, deadline);
        self.in_flight = InFlight { future: Some(Box::pin(future)), entries };
        self.appended += entries;
        Ok(())
    }

    /// The next entries that may stand in one batch, and how many they are.
    fn next_batch(&mut self, timestamp: i64, limits: LogLimits) -> Result<(Bytes, u64), PartitionLogError> {
        let failed = |why: &dyn std::fmt::Display| PartitionLogError::Storage(why.to_string());
        if let Some((Entry::Marker(marker), _)) = self.pending.front() {
            let batch = marker_batch(marker, timestamp).map_err(|e| failed(&e))?;
            self.pending.pop_front();
            return Ok((batch, 1));
        }
        let mut batch = BatchBuilder::new(Compression::None);
        let mut whose: Option<Option<Producer>> = None;
        let mut room = limits.max_batch_bytes;
        let mut taken = 0;
        while let Some((entry, bytes)) = self.pending.front() {
            let (producer, record) = match entry {
                Entry::Record(record) => (None, record),
                Entry::InTransaction(producer, record) => (Some(*producer), record),
                Entry::Marker(_) => break,
            };
            if taken > 0 && (*bytes > room || whose != Some(producer)) {
                break;
            }
            if whose.replace(producer).is_none()
                && let Some(producer) = producer
            {
                batch = batch.producer(producer.id, producer.epoch, -1).transactional();
            }
            let (key, value) = S::encode(record).map_err(|e| failed(&e))?;
            batch.add(timestamp, Some(&key), value.as_deref(), &[]);
            room = room.saturating_sub(*bytes);
            self.pending_bytes -= *bytes;
            taken += 1;
            self.pending.pop_front();
        }
        Ok((batch.build().map_err(|e| failed(&e))?, taken))
    }

    /// The append in flight is committed: the answers and tasks that waited for it go.
    fn committed(&mut self) {
        self.in_flight.future = None;
        self.committed += std::mem::take(&mut self.in_flight.entries);
        assert!(self.committed <= self.appended, "no more is committed than was appended");
        let later = self.waiting.split_off(&(self.committed + 1));
        for waiting in std::mem::replace(&mut self.waiting, later).into_values().flatten() {
            self.release(waiting);
        }
    }

    /// Nothing that was decided and not committed holds: everybody who waits is told to look for the coordinator
    /// again.
    fn refuse_all(&mut self, why: &PartitionLogError) {
        let error = match why {
            PartitionLogError::NotLeader | PartitionLogError::Storage(_) => CoordinatorError::NotCoordinator,
            PartitionLogError::NotEnoughReplicas
            | PartitionLogError::NotCommitted
            | PartitionLogError::TooLarge => CoordinatorError::NotAvailable,
        };
        let waiting = std::mem::take(&mut self.waiting).into_values().flatten();
        let waiting = waiting.filter_map(|waiting| match waiting {
            Waiting::Answer(sender, _) => Some(sender),
            // The load finds again what is to be done.
            Waiting::Task(_) => None,
        });
        for sender in waiting.chain(self.open.drain().map(|(_, sender)| sender)) {
            let _ = sender.send(Err(error.clone()));
        }
    }
}

fn marker_batch(marker: &Marker, timestamp: i64) -> Result<Bytes, crate::wire::record_batch::BatchError> {
    let kind = if marker.commit { ControlKind::Commit } else { ControlKind::Abort };
    let producer = (marker.producer.id, marker.producer.epoch);
    end_transaction_marker(producer, kind, marker.coordinator_epoch, timestamp)
}

/// Appends batches in their order; as long as nothing could be written for want of replicas, it tries again until the
/// deadline. When a part was written, the log alone knows what holds.
async fn append(
    log: Arc<dyn PartitionLog>,
    clock: Arc<dyn Clock>,
    batches: Vec<Bytes>,
    deadline: MonoTime,
) -> Result<(), PartitionLogError> {
    loop {
        // The first poll of each append gives it its place.
        let outcomes = join_all(batches.iter().map(|batch| log.append(batch.clone()))).await;
        let refused = |o: &Result<_, _>| matches!(o, Err(PartitionLogError::NotEnoughReplicas));
        if outcomes.iter().all(refused) && clock.now() < deadline {
            clock.sleep(RETRY).await;
            continue;
        }
        let mixed = outcomes.iter().any(Result::is_ok);
        let failed = outcomes.into_iter().find_map(Result::err);
        return match failed {
            None => Ok(()),
            Some(PartitionLogError::NotEnoughReplicas) if mixed => Err(PartitionLogError::NotCommitted),
            Some(why) => Err(why),
        };
    }
}

/// A sleep that is kept between turns: heartbeats move deadlines only later, so it is seldom set anew.
#[derive(Default)]
struct Alarm {
    set_for: Option<(MonoTime, BoxFuture<'static, ()>)>,
}

impl Alarm {
    fn set(&mut self, deadline: Option<MonoTime>, clock: &dyn Clock) {
        match (deadline, &self.set_for) {
            (None, _) => self.set_for = None,
            (Some(at), Some((set, _))) if *set == at => {}
            (Some(at), _) => self.set_for = Some((at, clock.sleep_until(at))),
        }
    }

    async fn rings(&mut self) {
        match &mut self.set_for {
            Some((_, sleep)) => {
                sleep.as_mut().await;
                self.set_for = None;
            }
            None => std::future::pending().await,
        }
    }
}
