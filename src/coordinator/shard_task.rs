//! The task of one shard: loads it, decides what comes, appends what was decided, and lets answers go in time.
//!
//! One append is in flight at a time; what is decided meanwhile goes into the next batch together, so that many
//! commits cost one write. Decisions take effect at once for later decisions, answers wait until their records are
//! committed. When a write fails, everything that waits is refused and the shard is loaded anew from the log, which
//! alone knows what is true.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::config::GroupConfig;
use super::group::{GroupShard, Now, Output, Reply, Request, RequestId};
use super::load::load;
use super::log::{PartitionLog, PartitionLogError};
use super::record::Record;
use super::records;
use super::runtime::CoordinatorError;
use crate::env::{Clock, Env, MonoTime};
use crate::types::Offset;
use crate::wire::record_batch::{BatchBuilder, Compression};

/// Requests taken from the queue at once.
const TURN: usize = 256;

/// Decided bytes that wait for the log; above it no request is taken.
const MAX_PENDING_BYTES: usize = 16 << 20;

/// Between two tries of a write that the log refuses for now, and the first wait after a failed load.
const RETRY: Duration = Duration::from_millis(50);

/// The longest wait between two loads.
const MAX_RETRY: Duration = Duration::from_secs(2);

/// A request on its way to a shard.
pub(super) struct Command {
    pub(super) request: Request,
    pub(super) answer: Sender,
}

type Sender = oneshot::Sender<Result<Reply, CoordinatorError>>;

/// What a shard's task is made of.
pub(super) struct ShardTask {
    pub(super) partition: i32,
    pub(super) env: Env,
    pub(super) config: Arc<GroupConfig>,
    pub(super) log: Arc<dyn PartitionLog>,
    pub(super) commands: mpsc::Receiver<Command>,
    /// Set while the shard is loaded.
    pub(super) serving: Arc<AtomicBool>,
}

impl ShardTask {
    /// Runs until it is aborted, or nobody can send any more.
    pub(super) async fn run(mut self) {
        let mut wait = RETRY;
        loop {
            let began = self.env.clock.now();
            match load(&*self.log, &self.config).await {
                Ok((shard, loaded)) => {
                    let took = self.env.clock.now().since(began);
                    tracing::info!(
                        partition = self.partition,
                        epoch = %self.log.leader_epoch(),
                        groups = shard.len(),
                        records = loaded.records,
                        bytes = loaded.bytes,
                        took_ms = took.as_millis(),
                        "groups loaded"
                    );
                    wait = RETRY;
                    self.serving.store(true, Ordering::Release);
                    let ended = self.serve(shard).await;
                    self.serving.store(false, Ordering::Release);
                    let Err(why) = ended else { return };
                    tracing::warn!(partition = self.partition, %why, "a write failed; loading the groups anew");
                }
                Err(why) => {
                    tracing::warn!(partition = self.partition, %why, "loading the groups failed; trying again");
                }
            }
            self.env.clock.sleep(wait).await;
            wait = (wait * 2).min(MAX_RETRY);
        }
    }

    /// Serves one loaded shard, until a write fails or nobody can send any more.
    async fn serve(&mut self, mut shard: GroupShard) -> Result<(), PartitionLogError> {
        shard.start(now(&self.env));
        let mut turn = Turn::new(shard);
        let mut commands = Vec::with_capacity(TURN);
        let mut alarm = Alarm::default();
        loop {
            turn.start_append(self)?;
            alarm.set(turn.shard.next_deadline(), &*self.env.clock);
            tokio::select! {
                biased;
                written = turn.append_done() => match written {
                    Ok(()) => turn.committed(),
                    Err(why) => {
                        turn.refuse_all(&why);
                        return Err(why);
                    }
                },
                count = self.commands.recv_many(&mut commands, TURN), if turn.has_room() => {
                    if count == 0 {
                        return Ok(());
                    }
                    let leads = self.log.leads();
                    for command in commands.drain(..) {
                        if leads {
                            turn.decide(command, now(&self.env));
                        } else {
                            let _ = command.answer.send(Err(CoordinatorError::NotCoordinator));
                        }
                    }
                }
                () = alarm.rings() => {
                    let output = turn.shard.on_time(now(&self.env));
                    turn.take(output);
                }
            }
        }
    }
}

fn now(env: &Env) -> Now {
    Now { mono: env.clock.now(), wall_ms: env.clock.wall_ms() }
}

/// A loaded shard with what it has decided and whom it still owes an answer.
struct Turn {
    shard: GroupShard,
    next_id: u64,
    /// Requests without an answer yet.
    open: HashMap<RequestId, Sender>,
    /// Answers that wait for so many records to be committed.
    waiting: BTreeMap<u64, Vec<(Sender, Reply)>>,
    /// Decided, not yet being appended; with the bound of each record's size.
    pending: VecDeque<(Record, usize)>,
    pending_bytes: usize,
    in_flight: Option<Append>,
    /// Records decided and handed to the log, and those committed, since the load.
    appended: u64,
    committed: u64,
}

struct Append {
    future: BoxFuture<'static, Result<Offset, PartitionLogError>>,
    records: u64,
}

impl Turn {
    fn new(shard: GroupShard) -> Turn {
        Turn {
            shard,
            next_id: 0,
            open: HashMap::new(),
            waiting: BTreeMap::new(),
            pending: VecDeque::new(),
            pending_bytes: 0,
            in_flight: None,
            appended: 0,
            committed: 0,
        }
    }

    fn has_room(&self) -> bool {
        self.pending_bytes < MAX_PENDING_BYTES
    }

    fn decide(&mut self, command: Command, now: Now) {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        self.open.insert(id, command.answer);
        let output = self.shard.decide(id, command.request, now);
        self.take(output);
    }

    fn take(&mut self, output: Output) {
        for record in output.records {
            let bytes = record.size_bound();
            self.pending_bytes += bytes;
            self.pending.push_back((record, bytes));
        }
        for answer in output.answers {
            let Some(sender) = self.open.remove(&answer.id) else { continue };
            if answer.after <= self.committed {
                let _ = sender.send(Ok(answer.reply));
            } else {
                self.waiting.entry(answer.after).or_default().push((sender, answer.reply));
            }
        }
    }

    /// Starts the next append, if none is in flight and something was decided.
    fn start_append(&mut self, task: &ShardTask) -> Result<(), PartitionLogError> {
        if self.in_flight.is_some() || self.pending.is_empty() {
            return Ok(());
        }
        let mut batch = BatchBuilder::new(Compression::None);
        let timestamp = task.env.clock.wall_ms();
        let mut room = task.config.max_batch_bytes;
        let mut records = 0;
        while let Some((record, bytes)) = self.pending.front() {
            if records > 0 && *bytes > room {
                break;
            }
            let (key, value) = match records::encode(record) {
                Ok(encoded) => encoded,
                Err(why) => {
                    let why = PartitionLogError::Storage(why.to_string());
                    self.refuse_all(&why);
                    return Err(why);
                }
            };
            batch.add(timestamp, Some(&key), value.as_deref(), &[]);
            room = room.saturating_sub(*bytes);
            self.pending_bytes -= *bytes;
            records += 1;
            self.pending.pop_front();
        }
        let batch = batch.build().map_err(|e| PartitionLogError::Storage(e.to_string()));
        let batch = batch.inspect_err(|why| self.refuse_all(why))?;
        let deadline = task.env.clock.now() + task.config.commit_timeout;
        let future = append(task.log.clone(), task.env.clock.clone(), batch, deadline);
        self.in_flight = Some(Append { future: Box::pin(future), records });
        self.appended += records;
        Ok(())
    }

    /// Completes when the append in flight does; never, while there is none.
    async fn append_done(&mut self) -> Result<(), PartitionLogError> {
        match &mut self.in_flight {
            Some(append) => append.future.as_mut().await.map(|_| ()),
            None => std::future::pending().await,
        }
    }

    /// The append in flight is committed: the answers that waited for it go.
    fn committed(&mut self) {
        if let Some(append) = self.in_flight.take() {
            self.committed += append.records;
        }
        assert!(self.committed <= self.appended, "no more is committed than was appended");
        let later = self.waiting.split_off(&(self.committed + 1));
        for (sender, reply) in std::mem::replace(&mut self.waiting, later).into_values().flatten() {
            let _ = sender.send(Ok(reply));
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
        let waiting = std::mem::take(&mut self.waiting).into_values().flatten().map(|(sender, _)| sender);
        for sender in waiting.chain(self.open.drain().map(|(_, sender)| sender)) {
            let _ = sender.send(Err(error.clone()));
        }
    }
}

/// Appends one batch; as long as nothing could be written for want of replicas, it tries again until the deadline.
async fn append(
    log: Arc<dyn PartitionLog>,
    clock: Arc<dyn Clock>,
    batch: Bytes,
    deadline: MonoTime,
) -> Result<Offset, PartitionLogError> {
    loop {
        match log.append(batch.clone()).await {
            Err(PartitionLogError::NotEnoughReplicas) if clock.now() < deadline => clock.sleep(RETRY).await,
            done => return done,
        }
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
