//! Transaction markers: written here for the partitions that this broker leads, and sent to the leaders of others.
//!
//! A coordinator's decision stands once it is in its log. Its markers are then tried until every partition has its own or
//! is gone; only a newer coordinator takes the work over. A partition that does not answer holds none of the others up for long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use serde::{Deserialize, Serialize};

use super::groups::OFFSETS_TOPIC;
use super::peers::{LIMIT, MarkerRequest, PeerAnswer, PeerRequest, ask};
use crate::coordinator::group::{CompleteTransaction, GroupError};
use crate::coordinator::txn::{MarkerWriter, WriteMarkers};
use crate::coordinator::{CoordinatorError, Coordinators, Marker, Producer};
use crate::env::{Env, timeout};
use crate::log::{LeaderBatch, Origin, Rejected};
use crate::metadata::Metadata;
use crate::replication::{Acks, AppendError, ReplicaManager};
use crate::types::{BrokerId, Decision, LeaderEpoch, TopicName, TopicPartition};
use crate::wire::record_batch::{ControlKind, end_transaction_marker};

/// How long one marker waits for its replicas.
const APPEND_LIMIT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What became of a marker in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarkerOutcome {
    /// It is committed.
    Written,
    /// It is not known to be committed: try again, maybe elsewhere.
    Retry,
    /// The partition has seen a newer epoch of the producer: there is nothing left to end.
    ProducerFenced,
    /// The partition has seen a newer coordinator.
    CoordinatorFenced,
}

/// The partitions of one leader, and its epochs in them.
type ByLeader = (Vec<(TopicName, i32)>, Vec<LeaderEpoch>);

/// Writes markers.
pub(super) struct Markers {
    pub(super) env: Env,
    pub(super) node_id: BrokerId,
    pub(super) metadata: Metadata,
    pub(super) replicas: Arc<ReplicaManager>,
    pub(super) groups: Coordinators,
}

impl Markers {
    /// Writes the marker in the partitions that this broker leads; the outcomes in their order.
    pub(super) async fn write_here(&self, request: &MarkerRequest) -> Vec<MarkerOutcome> {
        join_all(request.partitions.iter().enumerate().map(|(place, (topic, partition))| {
            let partition = TopicPartition::new(topic.clone(), *partition);
            let decision = request.decision_at(place);
            async move {
                if partition.topic.as_str() == OFFSETS_TOPIC {
                    self.complete_offsets(request, decision, partition.partition).await
                } else {
                    self.append(request, decision, &partition).await
                }
            }
        }))
        .await
    }

    /// In a partition of offsets, the group coordinator ends the transaction.
    async fn complete_offsets(
        &self,
        request: &MarkerRequest,
        decision: Option<Decision>,
        partition: i32,
    ) -> MarkerOutcome {
        let marker = Marker {
            producer: Producer { id: request.producer, epoch: request.epoch },
            commit: request.commit,
            coordinator_epoch: request.coordinator_epoch,
        };
        match self.groups.ask(partition, CompleteTransaction { marker, decision }).await {
            Ok(()) => MarkerOutcome::Written,
            Err(CoordinatorError::Group(GroupError::MarkerFenced)) => MarkerOutcome::ProducerFenced,
            Err(CoordinatorError::Group(GroupError::CoordinatorFenced)) => MarkerOutcome::CoordinatorFenced,
            Err(_) => MarkerOutcome::Retry,
        }
    }

    async fn append(
        &self,
        request: &MarkerRequest,
        decision: Option<Decision>,
        partition: &TopicPartition,
    ) -> MarkerOutcome {
        let Some(replica) = self.replicas.replica(partition) else { return MarkerOutcome::Retry };
        let kind = if request.commit { ControlKind::Commit } else { ControlKind::Abort };
        let producer = (request.producer, request.epoch);
        let now_ms = self.env.clock.wall_ms();
        let records = match end_transaction_marker(producer, kind, request.coordinator_epoch, now_ms) {
            Ok(records) => records,
            Err(error) => {
                tracing::error!(%partition, %error, "a marker could not be built");
                return MarkerOutcome::Retry;
            }
        };
        let batch = LeaderBatch::new(records, Origin::Marker { strict: request.bumped, decision });
        let deadline = self.env.clock.now() + APPEND_LIMIT;
        match replica.append(batch, Acks::All, deadline).await {
            Ok(_) => MarkerOutcome::Written,
            Err(AppendError::Rejected(Rejected::InvalidProducerEpoch { .. })) => {
                MarkerOutcome::ProducerFenced
            }
            Err(AppendError::Rejected(Rejected::CoordinatorFenced { .. })) => {
                MarkerOutcome::CoordinatorFenced
            }
            Err(error) => {
                tracing::debug!(%partition, %error, "a marker is tried again");
                MarkerOutcome::Retry
            }
        }
    }

    /// One round: the partitions that are left, and whether one of them knows a newer coordinator.
    async fn round(
        &self,
        markers: &WriteMarkers,
        partitions: Vec<TopicPartition>,
    ) -> (Vec<TopicPartition>, bool) {
        let image = self.metadata.image();
        let (mut left, mut fenced) = (Vec::new(), false);
        let mut by_leader: BTreeMap<BrokerId, ByLeader> = BTreeMap::new();
        for partition in partitions {
            match image.partition(&partition.topic, partition.partition).map(|p| (p.leader, p.leader_epoch)) {
                // The topic was deleted, and the transaction's records with it.
                None => {}
                Some((None, _)) => left.push(partition),
                Some((Some(leader), epoch)) => {
                    let (partitions, epochs) = by_leader.entry(leader).or_default();
                    partitions.push((partition.topic, partition.partition));
                    epochs.push(epoch);
                }
            }
        }
        let asked = by_leader.into_iter().map(|(leader, (partitions, leader_epochs))| async move {
            let request = MarkerRequest {
                producer: markers.producer.id,
                epoch: markers.producer.epoch,
                commit: markers.commit,
                coordinator_epoch: markers.coordinator_epoch,
                bumped: markers.epoch_was_bumped,
                partitions,
                decision: Some(markers.decision),
                leader_epochs,
            };
            let outcomes = if leader == self.node_id {
                timeout(&*self.env.clock, LIMIT, self.write_here(&request)).await.ok()
            } else {
                match ask(&self.metadata, leader, &PeerRequest::WriteMarkers(request.clone())).await {
                    Some(PeerAnswer::Markers(outcomes)) => Some(outcomes),
                    _ => None,
                }
            };
            let outcomes = outcomes.filter(|outcomes| outcomes.len() == request.partitions.len());
            let outcomes = outcomes.unwrap_or_else(|| vec![MarkerOutcome::Retry; request.partitions.len()]);
            request.partitions.into_iter().zip(outcomes).collect::<Vec<_>>()
        });
        for ((topic, partition), outcome) in join_all(asked).await.into_iter().flatten() {
            match outcome {
                MarkerOutcome::Written => {}
                MarkerOutcome::ProducerFenced => {
                    tracing::warn!(id = %markers.id, producer = %markers.producer, %topic, partition,
                        "a marker came too late: the partition knows a newer epoch of its producer");
                }
                MarkerOutcome::Retry => left.push(TopicPartition::new(topic, partition)),
                MarkerOutcome::CoordinatorFenced => {
                    tracing::info!(id = %markers.id, %topic, partition, "another coordinator has taken over");
                    fenced = true;
                    left.push(TopicPartition::new(topic, partition));
                }
            }
        }
        (left, fenced)
    }

    async fn write_all(&self, markers: &WriteMarkers) {
        let mut left = markers.partitions.clone();
        let mut pause = FIRST_PAUSE;
        loop {
            let (still_left, fenced) = self.round(markers, left).await;
            if still_left.is_empty() {
                return;
            }
            left = still_left;
            // Who has been replaced will be told to stop; until then it is in no hurry.
            self.env.clock.sleep(if fenced { LONGEST_PAUSE } else { pause }).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// [`Markers`] as the coordinators see them.
pub(super) struct Writer(pub(super) Arc<Markers>);

impl MarkerWriter for Writer {
    fn write(&self, markers: WriteMarkers) -> BoxFuture<'static, ()> {
        let this = self.0.clone();
        Box::pin(async move { this.write_all(&markers).await })
    }
}
