//! The coordinators of this broker: one shard for each partition of `__consumer_offsets` that it leads.
//!
//! The broker says which those are (`on_leader`, `on_resign`). A request finds its shard by the group's name, waits
//! in the shard's bounded queue, and gets its answer when the shard says so.

use std::sync::Arc;

use parking_lot::RwLock;

use super::config::GroupConfig;
use super::group::consumer::{
    ConsumerDescription, ConsumerHeartbeat, ConsumerHeartbeatReply, DescribeConsumerGroup,
};
use super::group::{
    BeginTxnCommit, CommitOffsets, CompleteTransaction, DeleteGroup, DeleteOffsets, DeletedOffset,
    DescribeGroup, FetchOffsets, FetchedOffset, GroupDescription, GroupError, GroupListing, GroupShard,
    GroupTask, JoinGroup, Joined, LeaveGroup, Left, ListGroups, Membership, Reply, Request, SyncGroup,
    Synced, TxnBegun, TxnCommitOffsets,
};
use super::log::PartitionLog;
use super::shard_task::Worker;
use super::shards::{Leadership, Shards, partition_for};
use super::topics::TopicCatalog;
use super::txn::TxnError;
use crate::env::Env;
use crate::types::{LeaderEpoch, TopicName};

/// Why a coordinator gives no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoordinatorError {
    /// Another broker leads the group's partition.
    #[error("this broker is not the coordinator")]
    NotCoordinator,
    /// The partition is being replayed.
    #[error("the coordinator is loading its partition")]
    Loading,
    /// The decision could not be written down, so it does not hold.
    #[error("the decision could not be committed")]
    NotAvailable,
    /// The group refused.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The transaction coordinator refused.
    #[error(transparent)]
    Transaction(#[from] TxnError),
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
    DeleteOffsets => DeleteOffsets -> Vec<DeletedOffset>;
    BeginTxnCommit => BeginTxn -> TxnBegun;
    TxnCommitOffsets => TxnCommit -> Vec<Result<(), GroupError>>;
    CompleteTransaction => Complete -> ();
    ConsumerHeartbeat => ConsumerHeartbeat -> ConsumerHeartbeatReply;
    DescribeConsumerGroup => ConsumerDescribe -> ConsumerDescription;
}

/// The group coordinators of this broker; cheap to clone.
#[derive(Clone)]
pub struct Coordinators {
    shards: Arc<Shards<GroupShard>>,
    topics: Arc<RwLock<Arc<TopicCatalog>>>,
}

impl Coordinators {
    /// Coordinators that lead nothing yet.
    #[must_use]
    pub fn new(env: Env, config: GroupConfig) -> Coordinators {
        let topics: Arc<RwLock<Arc<TopicCatalog>>> = Arc::default();
        // Topics of regular expressions are looked up beside the shards, for many topics take their time.
        let (threads, catalog) = (env.threads.pool("patterns", 1), topics.clone());
        let worker: Worker<GroupShard> = Arc::new(move |task| {
            let (threads, catalog) = (threads.clone(), catalog.read().clone());
            Box::pin(async move {
                let GroupTask::Resolve(task) = task;
                threads.run(move || task.resolve(&catalog)).await.ok().map(Request::Resolved)
            })
        });
        Coordinators { shards: Arc::new(Shards::new(env, config, worker)), topics }
    }

    /// The topics of the cluster have changed.
    pub fn on_topics(&self, catalog: TopicCatalog) {
        *self.topics.write() = Arc::new(catalog);
    }

    /// The topics of the cluster, as they were given last.
    #[must_use]
    pub fn topics(&self) -> Arc<TopicCatalog> {
        self.topics.read().clone()
    }

    /// The partition of `__consumer_offsets` that a group lives in: Java's hash of its name, as Kafka does it.
    ///
    /// `partitions` is the topic's number of partitions, at least 1.
    #[must_use]
    pub fn partition_for(group: &str, partitions: i32) -> i32 {
        partition_for(group, partitions)
    }

    /// This broker leads a partition: its groups are loaded and served. Under a newer epoch they are loaded anew.
    pub fn on_leader(&self, partition: i32, log: Arc<dyn PartitionLog>, epoch: LeaderEpoch) {
        self.shards.on_leader(partition, log, epoch);
    }

    /// This broker leads the partition no more: whoever waits there is told so.
    pub fn on_resign(&self, partition: i32) {
        self.shards.on_resign(partition);
    }

    /// From now on a partition that the metadata gives to this broker and that has not begun yet is `Loading`.
    pub fn follow(&self, leadership: Arc<dyn Leadership>) {
        self.shards.follow(leadership);
    }

    /// Ends all shards.
    pub async fn shutdown(&self) {
        self.shards.shutdown().await;
    }

    /// Asks the shard of a partition.
    ///
    /// # Errors
    /// `NotCoordinator`, `Loading`, `NotAvailable`, or the group's own refusal.
    pub async fn ask<A: Ask>(&self, partition: i32, question: A) -> Result<A::Answer, CoordinatorError> {
        let mut request = question.into_request();
        match &mut request {
            Request::Join(join) => {
                join.fresh_id = self.shards.env().rng.uuid();
                join.catalog = self.topics();
            }
            Request::Sync(sync) => sync.catalog = self.topics(),
            Request::ConsumerDescribe(describe) => describe.catalog = self.topics(),
            Request::ConsumerHeartbeat(heartbeat) => {
                heartbeat.fresh_id = self.shards.env().rng.uuid();
                heartbeat.catalog = self.topics();
                // Without the topics there is nothing to assign, and nothing may be taken away.
                if heartbeat.catalog.version() == 0 {
                    return Err(CoordinatorError::Loading);
                }
            }
            _ => {}
        }
        let reply = self.shards.ask(partition, request).await?;
        // A shard answers a question in its own kind.
        Ok(A::from_reply(reply).ok_or(CoordinatorError::NotAvailable)??)
    }

    /// The partitions whose shards run here.
    #[must_use]
    pub fn partitions(&self) -> Vec<i32> {
        self.shards.partitions()
    }

    /// The groups of all partitions that this broker leads.
    ///
    /// # Errors
    /// `Loading` while one of them is: a list with a hole would be a wrong answer.
    pub async fn list(&self, filter: &ListGroups) -> Result<Vec<GroupListing>, CoordinatorError> {
        let mut listings = Vec::new();
        for partition in self.shards.partitions() {
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
        for partition in self.shards.partitions() {
            // A shard that is loading or failing keeps them until they expire.
            if let Err(why) = self.shards.ask(partition, Request::TopicsDeleted(topics.to_vec())).await {
                tracing::debug!(partition, %why, "offsets of deleted topics stay");
            }
        }
    }
}
