//! The transaction coordinators of this broker: one shard for each partition of `__transaction_state` that it leads.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{
    AddPartitions, DescribeTransaction, EndTransaction, HoldDecisions, InitProducer, LetGo, ListTransactions,
    ReadTransactions, Reply, Request, Transaction, TransactionDescription, TransactionListing,
    TransactionalId, TxnConfig, TxnError, TxnShard, VerifyPartitions, WriteMarkers,
};
use crate::coordinator::log::PartitionLog;
use crate::coordinator::runtime::CoordinatorError;
use crate::coordinator::shard::Producer;
use crate::coordinator::shards::{Leadership, Shards, partition_for};
use crate::env::Env;
use crate::types::LeaderEpoch;

/// Writes the markers of decided transactions; the broker implements it.
pub trait MarkerWriter: Send + Sync + 'static {
    /// Writes the markers at the leaders of all partitions, and tries until they are written or the partitions gone. Where a newer
    /// coordinator has taken over that one goes on, and this is dropped with the shard.
    fn write(&self, markers: WriteMarkers) -> BoxFuture<'static, ()>;
}

/// A request of one kind and its answer.
pub trait AskTransaction {
    /// What comes back.
    type Answer;
    /// As a shard is asked.
    fn into_request(self) -> Request;
    /// As a shard answers; `None` for an answer of another kind.
    fn from_reply(reply: Reply) -> Option<Result<Self::Answer, TxnError>>;
}

macro_rules! ask {
    ($($request:ty => $variant:ident -> $answer:ty;)*) => {
        $(impl AskTransaction for $request {
            type Answer = $answer;
            fn into_request(self) -> Request {
                Request::$variant(self)
            }
            fn from_reply(reply: Reply) -> Option<Result<$answer, TxnError>> {
                match reply {
                    Reply::$variant(result) => Some(result),
                    _ => None,
                }
            }
        })*
    };
}

ask! {
    InitProducer => Init -> Producer;
    AddPartitions => Add -> ();
    VerifyPartitions => Verify -> Vec<bool>;
    EndTransaction => End -> Producer;
    DescribeTransaction => Describe -> TransactionDescription;
    ListTransactions => List -> Vec<TransactionListing>;
    ReadTransactions => Read -> Vec<(TransactionalId, Transaction)>;
    HoldDecisions => Hold -> i32;
    LetGo => LetGo -> i32;
}

/// The transaction coordinators of this broker; cheap to clone.
#[derive(Clone)]
pub struct TransactionCoordinators {
    shards: Arc<Shards<TxnShard>>,
}

impl TransactionCoordinators {
    /// Coordinators that lead nothing yet.
    #[must_use]
    pub fn new(env: Env, config: TxnConfig, writer: Arc<dyn MarkerWriter>) -> TransactionCoordinators {
        let worker = Arc::new(move |markers: WriteMarkers| -> BoxFuture<'static, Option<Request>> {
            let written = markers.written();
            let writing = writer.write(markers);
            Box::pin(async move {
                writing.await;
                Some(Request::MarkersWritten(written))
            })
        });
        TransactionCoordinators { shards: Arc::new(Shards::new(env, config, worker)) }
    }

    /// The partition of `__transaction_state` that a transactional id lives in.
    ///
    /// `partitions` is the topic's number of partitions, at least 1.
    #[must_use]
    pub fn partition_for(id: &str, partitions: i32) -> i32 {
        partition_for(id, partitions)
    }

    /// This broker leads a partition: its transactions are loaded and served. Under a newer epoch they are loaded anew.
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
    /// `NotCoordinator`, `Loading`, `NotAvailable`, or the transaction's own refusal.
    pub async fn ask<A: AskTransaction>(
        &self,
        partition: i32,
        question: A,
    ) -> Result<A::Answer, CoordinatorError> {
        let reply = self.shards.ask(partition, question.into_request()).await?;
        // A shard answers a question in its own kind.
        Ok(A::from_reply(reply).ok_or(CoordinatorError::NotAvailable)??)
    }

    /// The partitions whose shards run here.
    #[must_use]
    pub fn partitions(&self) -> Vec<i32> {
        self.shards.partitions()
    }

    /// The transactions of all partitions that this broker leads.
    ///
    /// # Errors
    /// `Loading` while one of them is: a list with a hole would be a wrong answer.
    pub async fn list(&self, filter: &ListTransactions) -> Result<Vec<TransactionListing>, CoordinatorError> {
        let mut listings = Vec::new();
        for partition in self.shards.partitions() {
            match self.ask(partition, filter.clone()).await {
                Ok(found) => listings.extend(found),
                // It moved away in the meantime; its new leader lists it.
                Err(CoordinatorError::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(listings)
    }
}
