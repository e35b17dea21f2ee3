//! The coordinators of this broker: one shard for each partition of `__consumer_offsets` that it leads.
//!
//! The broker says which those are (`on_leader`, `on_resign`). A request finds its shard by the group's name, waits
//! in the shard's bounded queue, and gets its answer when the shard says so.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::config::GroupConfig;
use super::group::{
    CommitOffsets, DeleteGroup, DescribeGroup, FetchOffsets, FetchedOffset, GroupDescription, GroupError,
    GroupListing, JoinGroup, Joined, LeaveGroup, Left, ListGroups, Membership, Reply, Request, SyncGroup,
    Synced,
};
use super::log::PartitionLog;
use super::shard_task::{Command, ShardTask};
use crate::env::Env;
use crate::types::{LeaderEpoch, TopicName};

/// Requests that wait for one shard; more wait at their senders.
const QUEUE: usize = 1024;

/// Why a coordinator gives no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoordinatorError {
    /// Another broker leads the group's partition.
    #[error("this broker does not coordinate the group")]
    NotCoordinator,
    /// The partition is being replayed.
    #[error("the group's partition is being loaded")]
    Loading,
    /// The decision could not be written down, so it does not hold.
    #[error("the decision could not be committed")]
    NotAvailable,
    /// The group refused.
    #[error(transparent)]
    Group(#[from] GroupError),
}

/// A request of one kind and its answer.
pub trait Ask {
    /// What comes back.
    type Answer;
    /// As a shard is asked.
    fn into_request(self) -> Request;
    /// As a shard answers; `None` for an answer of another kind.
    fn from_reply(reply: Reply) -> Option<Result<Self::Answer, GroupError>>;
}

macro_rules! ask {
    ($($request:ty => $variant:ident -> $answer:ty;)*) => {
        $(impl Ask for $request {
            type Answer = $answer;
            fn into_request(self) -> Request {
                Request::$variant(self)
            }
            fn from_reply(reply: Reply) -> Option<Result<$answer, GroupError>> {
                match reply {
                    Reply::$variant(result) => Some(result),
                    _ => None,
                }
            }
        })*
    };
}

ask! {
    JoinGroup => Join -> Joined;
    SyncGroup => Sync -> Synced;
    Membership => Heartbeat -> ();
    LeaveGroup => Leave -> Vec<Left>;
    CommitOffsets => Commit -> Vec<Result<(), GroupError>>;
    FetchOffsets => Fetch -> Vec<FetchedOffset>;
    DescribeGroup => Describe -> GroupDescription;
    ListGroups => List -> Vec<GroupListing>;
    DeleteGroup => Delete -> ();
}

/// The group coordinators of this broker; cheap to clone.
#[derive(Clone)]
pub struct Coordinators {
    inner: Arc<Inner>,
}

struct Inner {
    env: Env,
    config: Arc<GroupConfig>,
    shards: RwLock<HashMap<i32, Shard>>,
}

struct Shard {
    commands: mpsc::Sender<Command>,
    serving: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drop for Shard {
    fn drop(&mut self) {
        // Dropping the task drops the senders of all answers it owes: their receivers see `NotCoordinator`.
        self.task.abort();
    }
}

impl Coordinators {
    /// Coordinators that lead nothing yet.
    #[must_use]
    pub fn new(env: Env, config: GroupConfig) -> Coordinators {
        let inner = Inner { env, config: Arc::new(config), shards: RwLock::default() };
        Coordinators { inner: Arc::new(inner) }
    }

    /// The partition of `__consumer_offsets` that a group lives in: Java's hash of its name, as Kafka does it.
    ///
    /// `partitions` is the topic's number of partitions, at least 1.
    #[must_use]
    pub fn partition_for(group: &str, partitions: i32) -> i32 {
        let hash =
            group.encode_utf16().fold(0i32, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(unit)));
        hash.checked_abs().unwrap_or(0) % partitions.max(1)
    }

    /// This broker leads a partition: its groups are loaded and served. Under a newer epoch they are loaded anew.
    pub fn on_leader(&self, partition: i32, log: Arc<dyn PartitionLog>, epoch: LeaderEpoch) {
        tracing::debug!(partition, %epoch, "coordinating the groups of a partition");
        let (commands, receiver) = mpsc::channel(QUEUE);
        let serving = Arc::new(AtomicBool::new(false));
        let task = ShardTask {
            partition,
            env: self.inner.env.clone(),
            config: self.inner.config.clone(),
            log,
            commands: receiver,
            serving: serving.clone(),
        };
        let shard = Shard { commands, serving, task: tokio::spawn(task.run()) };
        self.inner.shards.write().insert(partition, shard);
    }

    /// This broker leads the partition no more: whoever waits there is told so.
    pub fn on_resign(&self, partition: i32) {
        tracing::debug!(partition, "no longer coordinating the groups of a partition");
        self.inner.shards.write().remove(&partition);
    }

    /// Ends all shards.
    pub async fn shutdown(&self) {
        let shards = std::mem::take(&mut *self.inner.shards.write());
        for (_, mut shard) in shards {
            shard.task.abort();
            let _ = (&mut shard.task).await;
        }
    }

    /// Asks the shard of a partition.
    ///
    /// # Errors
    /// `NotCoordinator`, `Loading`, `NotAvailable`, or the group's own refusal.
    pub async fn ask<A: Ask>(&self, partition: i32, question: A) -> Result<A::Answer, CoordinatorError> {
        let reply = self.send(partition, question.into_request()).await?;
        // A shard answers a question in its own kind.
        Ok(A::from_reply(reply).ok_or(CoordinatorError::NotAvailable)??)
    }

    /// The groups of all partitions that this broker leads.
    ///
    /// # Errors
    /// `Loading` while one of them is: a list with a hole would be a wrong answer.
    pub async fn list(&self, filter: &ListGroups) -> Result<Vec<GroupListing>, CoordinatorError> {
        let mut listings = Vec::new();
        for partition in self.partitions() {
            match self.ask(partition, filter.clone()).await {
                Ok(groups) => listings.extend(groups),
                // It moved away in the meantime; its new leader lists it.
                Err(CoordinatorError::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(listings)
    }

    /// Forgets the offsets that were committed in topics that are gone, in all partitions that this broker leads.
    pub async fn forget_topics(&self, topics: &[TopicName]) {
        for partition in self.partitions() {
            // A shard that is loading or failing keeps them until they expire.
            if let Err(why) = self.send(partition, Request::TopicsDeleted(topics.to_vec())).await {
                tracing::debug!(partition, %why, "offsets of deleted topics stay");
            }
        }
    }

    fn partitions(&self) -> Vec<i32> {
        let mut partitions: Vec<i32> = self.inner.shards.read().keys().copied().collect();
        partitions.sort_unstable();
        partitions
    }

    async fn send(&self, partition: i32, mut request: Request) -> Result<Reply, CoordinatorError> {
        if let Request::Join(join) = &mut request {
            join.fresh_id = self.inner.env.rng.uuid();
        }
        let commands = {
            let shards = self.inner.shards.read();
            let shard = shards.get(&partition).ok_or(CoordinatorError::NotCoordinator)?;
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
