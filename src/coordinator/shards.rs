//! The shards of one kind on this broker: one for each partition of their topic that it leads.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::log::PartitionLog;
use super::runtime::CoordinatorError;
use super::shard::Shard;
use super::shard_task::{Command, ShardTask, Worker};
use crate::env::Env;
use crate::types::LeaderEpoch;

/// Requests that wait for one shard; more wait at their senders.
const QUEUE: usize = 1024;

/// How long a request waits for a shard that is about to begin or loads; then the answer is `Loading`. Clients are sent
/// here as soon as the metadata says so, and librdkafka takes "not the coordinator" for a final answer and "loading"
/// for one after two more attempts.
const BEGIN_WAIT: Duration = Duration::from_secs(1);
const BEGIN_POLL: Duration = Duration::from_millis(10);

/// What the metadata says of the partitions of the shards' topic.
pub trait Leadership: Send + Sync {
    /// The epoch under which this broker leads a partition, if it does and its lease holds.
    fn epoch(&self, partition: i32) -> Option<LeaderEpoch>;
    /// All partitions that it leads.
    fn partitions(&self) -> Vec<i32>;
}

/// The shards of this broker.
pub(super) struct Shards<S: Shard> {
    env: Env,
    config: Arc<S::Config>,
    worker: Worker<S>,
    led: RwLock<HashMap<i32, Led<S>>>,
    leadership: OnceLock<Arc<dyn Leadership>>,
}

struct Led<S: Shard> {
    epoch: LeaderEpoch,
    commands: mpsc::Sender<Command<S>>,
    serving: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl<S: Shard> Drop for Led<S> {
    fn drop(&mut self) {
        // Dropping the task drops the senders of all answers it owes: their receivers see `NotCoordinator`.
        self.task.abort();
    }
}

/// The number that Kafka takes for a key of a coordinator: Java's hash of its text, made positive, by the number of
/// partitions (at least 1).
pub(super) fn partition_for(key: &str, partitions: i32) -> i32 {
    let hash = key.encode_utf16().fold(0i32, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}

impl<S: Shard> Shards<S> {
    pub(super) fn new(env: Env, config: S::Config, worker: Worker<S>) -> Shards<S> {
        Shards { env, config: Arc::new(config), worker, led: RwLock::default(), leadership: OnceLock::new() }
    }

    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    /// This broker leads a partition: it is loaded and served. Under a newer epoch it is loaded anew.
    pub(super) fn on_leader(&self, partition: i32, log: Arc<dyn PartitionLog>, epoch: LeaderEpoch) {
        tracing::debug!(partition, %epoch, "coordinating the {} of a partition", S::KEEPS);
        let (commands, receiver) = mpsc::channel(QUEUE);
        let serving = Arc::new(AtomicBool::new(false));
        let task = ShardTask {
            partition,
            env: self.env.clone(),
            config: self.config.clone(),
            log,
            commands: receiver,
            worker: self.worker.clone(),
            serving: serving.clone(),
        };
        let led = Led { epoch, commands, serving, task: tokio::spawn(task.run()) };
        self.led.write().insert(partition, led);
    }

    /// This broker leads the partition no more: whoever waits there is told so.
    pub(super) fn on_resign(&self, partition: i32) {
        tracing::debug!(partition, "no longer coordinating the {} of a partition", S::KEEPS);
        self.led.write().remove(&partition);
    }

    /// Ends all shards.
    pub(super) async fn shutdown(&self) {
        let led = std::mem::take(&mut *self.led.write());
        for (_, mut shard) in led {
            shard.task.abort();
            let _ = (&mut shard.task).await;
        }
    }

    /// From now on a shard that the metadata gives to this broker and that has not begun yet is `Loading`, not
    /// somebody else's.
    pub(super) fn follow(&self, leadership: Arc<dyn Leadership>) {
        let _ = self.leadership.set(leadership);
    }

    /// The partitions that this broker leads, those included that have not begun yet.
    pub(super) fn partitions(&self) -> Vec<i32> {
        let mut partitions: BTreeSet<i32> = self.led.read().keys().copied().collect();
        partitions.extend(self.leadership.get().map(|l| l.partitions()).unwrap_or_default());
        partitions.into_iter().collect()
    }

    /// Asks the shard of a partition.
    pub(super) async fn ask(
        &self,
        partition: i32,
        request: S::Request,
    ) -> Result<S::Reply, CoordinatorError> {
        let commands = self.begun(partition).await?;
        let (answer, receiver) = oneshot::channel();
        let command = Command { request, answer };
        commands.send(command).await.map_err(|_| CoordinatorError::NotCoordinator)?;
        receiver.await.map_err(|_| CoordinatorError::NotCoordinator)?
    }

    /// The way to a shard that serves, waited for while it is about to begin.
    async fn begun(&self, partition: i32) -> Result<mpsc::Sender<Command<S>>, CoordinatorError> {
        let deadline = self.env.clock.now() + BEGIN_WAIT;
        loop {
            let given = self.leadership.get().and_then(|leadership| leadership.epoch(partition));
            match (self.led.read().get(&partition), given) {
                (Some(shard), given) if given.is_none_or(|epoch| epoch <= shard.epoch) => {
                    if shard.serving.load(Ordering::Acquire) {
                        return Ok(shard.commands.clone());
                    }
                }
                (_, Some(_)) => {}
                (_, None) => return Err(CoordinatorError::NotCoordinator),
            }
            if self.env.clock.now() >= deadline {
                return Err(CoordinatorError::Loading);
            }
            self.env.clock.sleep(BEGIN_POLL).await;
        }
    }
}
