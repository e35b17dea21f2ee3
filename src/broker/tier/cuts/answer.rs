//! A broker's part in a cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;
use tiering::backup;

use super::super::backup::{CutMark, groups_for_cut};
use super::super::store::ColdStore;
use super::{CutAnswer, CutRequest, PartitionMark};
use crate::coordinator::txn::{AskTransaction, HoldDecisions, LetGo, TransactionCoordinators};
use crate::coordinator::{CoordinatorError, Coordinators};
use crate::env::Clock;
use crate::metadata::Metadata;
use crate::replication::{Replica, ReplicaManager};
use crate::types::{BrokerId, Offset, TopicId};

/// No hold is longer, whoever asks for it.
const MOST_HELD: Duration = Duration::from_secs(10);
/// How often a leader looks whether it knows its high watermark.
const POLL: Duration = Duration::from_millis(5);
/// So many of a partition's last leader epochs are told.
const MOST_EPOCHS: usize = 32;

/// Answers the steps of cuts.
pub struct CutSteps {
    clock: Arc<dyn Clock>,
    node_id: BrokerId,
    metadata: Metadata,
    groups: Coordinators,
    transactions: TransactionCoordinators,
    replicas: Arc<ReplicaManager>,
    cold: Option<Arc<ColdStore>>,
    /// The last cut's parts by key, those of them that are not written yet with their bodies.
    parts: Mutex<(u64, BTreeMap<String, Option<Bytes>>)>,
}

enum Mark {
    /// Nobody asks this broker.
    NotHere,
    NotYet,
    At(PartitionMark),
}

impl CutSteps {
    /// On a broker with these coordinators and replicas, and its store if it has one.
    #[must_use]
    pub fn new(
        (clock, node_id, metadata): (Arc<dyn Clock>, BrokerId, Metadata),
        (groups, transactions): (Coordinators, TransactionCoordinators),
        replicas: Arc<ReplicaManager>,
        cold: Option<Arc<ColdStore>>,
    ) -> CutSteps {
        let parts = Mutex::default();
        CutSteps { clock, node_id, metadata, groups, transactions, replicas, cold, parts }
    }

    /// Takes a step.
    pub async fn answer(&self, request: CutRequest) -> CutAnswer {
        match request {
            CutRequest::Hold { cut, for_ms } => {
                let at_most = Duration::from_millis(for_ms).min(MOST_HELD);
                self.ask_coordinators(|| HoldDecisions { cut, at_most }).await
            }
            CutRequest::LetGo { cut } => self.ask_coordinators(|| LetGo { cut }).await,
            CutRequest::Groups { cut } => self.groups(cut).await,
            CutRequest::Marks { topics, wait_ms } => {
                self.marks(topics.into_iter().collect(), Duration::from_millis(wait_ms)).await
            }
            CutRequest::Write { cut, keys } => self.write(cut, keys).await,
        }
    }

    async fn ask_coordinators<A: AskTransaction<Answer = i32>>(&self, question: impl Fn() -> A) -> CutAnswer {
        let asked = self.transactions.partitions().into_iter().map(|partition| {
            let question = question();
            async move { (partition, self.transactions.ask(partition, question).await) }
        });
        let mut held = Vec::new();
        for (partition, told) in join_all(asked).await {
            match told {
                Ok(epoch) => held.push((partition, epoch)),
                // Who coordinates it is asked too.
                Err(CoordinatorError::NotCoordinator) => {}
                Err(error) => return CutAnswer::Refused(format!("{}: {error}", topic_partition(partition))),
            }
        }
        CutAnswer::Held(held)
    }

    async fn groups(&self, cut: u64) -> CutAnswer {
        let Some(cold) = self.cold.as_ref().filter(|cold| cold.is_owned()) else {
            return CutAnswer::Refused("it has no store that it may write to".to_owned());
        };
        let image = self.metadata.image();
        match groups_for_cut(&*cold.store, &self.groups, &image, self.node_id).await {
            Ok((parts, later)) => {
                *self.parts.lock() = (cut, later.bodies);
                CutAnswer::Groups(parts)
            }
            Err(error) => CutAnswer::Refused(error.to_string()),
        }
    }

    async fn write(&self, cut: u64, keys: Vec<String>) -> CutAnswer {
        let Some(cold) = self.cold.clone().filter(|cold| cold.is_owned()) else {
            return CutAnswer::Refused("it has no store that it may write to".to_owned());
        };
        let (of, mut bodies) = std::mem::take(&mut *self.parts.lock());
        if of != cut {
            return CutAnswer::Refused("it has no parts of this cut".to_owned());
        }
        let runtime = cold.runtime.clone();
        let writing = runtime.spawn(async move {
            for key in keys {
                match bodies.remove(&key) {
                    Some(Some(body)) => {
                        backup::write_part(&*cold.store, &key, &body).await.map_err(|e| e.to_string())?;
                    }
                    Some(None) => {}
                    None => return Err(format!("it has no part {key}")),
                }
            }
            Ok(())
        });
        match writing.await {
            Ok(Ok(())) => CutAnswer::Written,
            Ok(Err(error)) => CutAnswer::Refused(error),
            Err(error) => CutAnswer::Refused(error.to_string()),
        }
    }

    /// A leader that was elected a moment ago knows its high watermark late, and what was acknowledged before lies below the start of its
    /// epoch: it is waited for.
    async fn marks(&self, topics: BTreeSet<TopicId>, wait: Duration) -> CutAnswer {
        let deadline = self.clock.now() + wait;
        let mut left = self.replicas.replicas();
        left.retain(|replica| topics.contains(&replica.topic_id()));
        let mut marks = Vec::new();
        loop {
            left.retain(|replica| match mark_of(replica) {
                Mark::NotHere => false,
                Mark::NotYet => true,
                Mark::At(mark) => {
                    marks.push(mark);
                    false
                }
            });
            let Some(waiting) = left.first() else { return CutAnswer::Marks(marks) };
            if self.clock.now() >= deadline {
                return CutAnswer::Refused(format!("{} knows its high watermark late", waiting.partition()));
            }
            self.clock.sleep(POLL).await;
        }
    }
}

fn topic_partition(partition: i32) -> String {
    format!("{}-{partition}", crate::broker::TRANSACTIONS_TOPIC)
}

fn mark_of(replica: &Replica) -> Mark {
    let (positions, epochs) = replica.positions_and_epochs();
    if !positions.leads() {
        return Mark::NotHere;
    }
    if !positions.latest_is_known {
        return Mark::NotYet;
    }
    let end = positions.high_watermark;
    let before = (end > Offset::ZERO).then(|| epochs.epoch_at(end + -1)).flatten();
    let told = epochs.entries();
    let told = &told[told.len().saturating_sub(MOST_EPOCHS)..];
    Mark::At(PartitionMark {
        topic: replica.topic_id(),
        partition: replica.partition().partition,
        leader_epoch: positions.leader_epoch.0,
        mark: CutMark {
            offset: end.0,
            epoch: before.map_or(-1, |epoch| epoch.0),
            tier_end: positions.tier.map_or(-1, |tier| tier.end.0),
        },
        epochs: told.iter().map(|entry| (entry.epoch.0, entry.start.0)).collect(),
    })
}
