//! The shards of one kind on this broker: one for each partition of their topic that it leads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// The shards of this broker.
pub(super) struct Shards<S: Shard> {
    env: Env,
    config: Arc<S::Config>,
    worker: Worker<S>,
    led: RwLock<HashMap<i32, Led<S>>>,
}

struct Led<S: Shard> {
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
        Shards { env, config: Arc::new(config), worker, led: RwLock::default() }
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
        let led = Led { commands, serving, task: tokio::spawn(task.run()) };
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

    /// The partitions that this broker leads.
    pub(super) fn partitions(&self) -> Vec<i32> {
        let mut partitions: Vec<i32> = self.led.read().keys().copied().collect();
        partitions.sort_unstable();
        partitions
    }

    /// Asks the shard of a partition.
    pub(super) async fn ask(
        &self,
        partition: i32,
        request: S::Request,
    ) -> Result<S::Reply, CoordinatorError> {
        let commands = {
            let led = self.led.read();
            let shard = led.get(&partition).ok_or(CoordinatorError::NotCoordinator)?;
            if !shard.serving.load(Ordering::Acquire) {
                return Err(CoordinatorError::Loading);
            }
            shard.commands.clone()
        };
        let (answer, receiver) = oneshot::channel();
        let command = Command { request, answer };
        commands.send(command).await.map_err(|_| CoordinatorError::NotCoordinator)?;
        receiver.await.map_err(|_| CoordinatorError::NotCoordinator)?
    }
}
