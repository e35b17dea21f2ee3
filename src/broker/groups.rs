//! Hands the partitions of `__consumer_offsets` and `__transaction_state` that this broker leads to the coordinators,
//! and their log to them through [`PartitionLog`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::Broker;
use super::topics::TopicError;
use crate::coordinator::txn::TransactionCoordinators;
use crate::coordinator::{
    CatalogTopic, Coordinators, Leadership, PartitionLog, PartitionLogError, TopicCatalog,
};
use crate::env::{BlockingPool, Clock};
use crate::log::{LeaderBatch, Origin, Rejected};
use crate::metadata::{Command, Image, Lease, Metadata};
use crate::replication::{Acks, AppendError, Replica};
use crate::types::{BrokerId, LeaderEpoch, Offset, TopicName};
use crate::wire::record_batch::BatchHeader;

/// How long an append of the coordinator waits for the replicas before it is an error to the group's member.
const APPEND_LIMIT: Duration = Duration::from_secs(5);

/// The topic of committed offsets and group metadata.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

struct ReplicaLog {
    replica: Arc<Replica>,
    epoch: LeaderEpoch,
    clock: Arc<dyn Clock>,
    threads: BlockingPool,
    lease: Lease,
    metadata: Metadata,
}

impl PartitionLog for ReplicaLog {
    fn clock_is_right(&self) -> bool {
        self.metadata.retention_ms().is_some()
    }

    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<Offset, PartitionLogError>> {
        let replica = self.replica.clone();
        let deadline = self.clock.now() + APPEND_LIMIT;
        let is_marker = BatchHeader::parse(&batch).is_ok_and(|header| header.attributes.is_control());
        // The group coordinator has judged the marker.
        let origin =
            if is_marker { Origin::Marker { strict: false, decision: None } } else { Origin::Coordinator };
        Box::pin(async move {
            match replica.append(LeaderBatch::new(batch, origin), Acks::All, deadline).await {
                Ok(appended) => Ok(appended.last.next()),
                Err(AppendError::NotLeader | AppendError::NoLongerLeads) => Err(PartitionLogError::NotLeader),
                Err(AppendError::NotEnoughReplicas(_)) => Err(PartitionLogError::NotEnoughReplicas),
                Err(AppendError::TimedOut | AppendError::NotEnoughReplicasAfterAppend(_)) => {
                    Err(PartitionLogError::NotCommitted)
                }
                Err(AppendError::Rejected(Rejected::TooLarge { .. })) => Err(PartitionLogError::TooLarge),
                Err(other) => Err(PartitionLogError::Storage(other.to_string())),
            }
        })
    }

    fn read(&self, from: Offset, max_bytes: usize) -> BoxFuture<'static, Result<Bytes, PartitionLogError>> {
        let (replica, threads, leads) = (self.replica.clone(), self.threads.clone(), self.leads());
        Box::pin(async move {
            if !leads {
                return Err(PartitionLogError::NotLeader);
            }
            let read = threads
                .run(move || replica.inspect(|log| log.read(from, max_bytes, log.log_end(), true)?.load()));
            match read.await {
                Ok(Ok(bytes)) => Ok(bytes),
                Ok(Err(e)) => Err(PartitionLogError::Storage(e.to_string())),
                Err(e) => Err(PartitionLogError::Storage(e.to_string())),
            }
        })
    }

    fn committed(&self, end: Offset) -> BoxFuture<'static, Result<(), PartitionLogError>> {
        let (replica, epoch) = (self.replica.clone(), self.epoch);
        Box::pin(async move {
            let mut watch = replica.watch();
            loop {
                let positions = replica.positions();
                if !positions.leads() || positions.leader_epoch != epoch {
                    return Err(PartitionLogError::NotLeader);
                }
                if positions.high_watermark >= end {
                    return Ok(());
                }
                if watch.changed().await.is_err() {
                    return Err(PartitionLogError::NotLeader);
                }
            }
        })
    }

    fn start(&self) -> Offset {
        self.replica.positions().log_start
    }

    fn end(&self) -> Offset {
        self.replica.positions().log_end
    }

    fn high_watermark(&self) -> Offset {
        self.replica.positions().high_watermark
    }

    fn leader_epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    fn leads(&self) -> bool {
        let positions = self.replica.positions();
        positions.leads() && positions.leader_epoch == self.epoch && self.lease.holds(self.clock.now())
    }
}

/// What the metadata says of the partitions of a coordinators' topic.
pub(super) struct TopicLeadership {
    pub(super) node_id: BrokerId,
    pub(super) metadata: Metadata,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) topic: TopicName,
}

impl Leadership for TopicLeadership {
    fn epoch(&self, partition: i32) -> Option<LeaderEpoch> {
        // Without its lease a broker may have been replaced, and must not keep its clients waiting.
        if !self.metadata.lease().holds(self.clock.now()) {
            return None;
        }
        let image = self.metadata.image();
        image
            .partition(&self.topic, partition)
            .filter(|p| p.leader == Some(self.node_id))
            .map(|p| p.leader_epoch)
    }

    fn partitions(&self) -> Vec<i32> {
        let image = self.metadata.image();
        let partitions = image.topics.get(&self.topic).map(|topic| topic.partitions.as_slice());
        let led = (0..).zip(partitions.unwrap_or_default()).filter(|(_, p)| p.leader == Some(self.node_id));
        led.map(|(index, _)| index).collect()
    }
}

/// Coordinators that live in the partitions of a topic.
pub(super) trait Coordinates: Send + Sync + 'static {
    /// This broker leads a partition.
    fn on_leader(&self, partition: i32, log: Arc<dyn PartitionLog>, epoch: LeaderEpoch);
    /// It leads the partition no more.
    fn on_resign(&self, partition: i32);
    /// Where they learn what they are about to lead.
    fn follow(&self, leadership: Arc<dyn Leadership>);
}

impl Coordinates for Coordinators {
    fn on_leader(&self, partition: i32, log: Arc<dyn PartitionLog>, epoch: LeaderEpoch) {
        Coordinators::on_leader(self, partition, log, epoch);
    }
    fn on_resign(&self, partition: i32) {
        Coordinators::on_resign(self, partition);
    }
    fn follow(&self, leadership: Arc<dyn Leadership>) {
        Coordinators::follow(self, leadership);
    }
}

impl Coordinates for TransactionCoordinators {
    fn on_leader(&self, partition: i32, log: Arc<dyn PartitionLog>, epoch: LeaderEpoch) {
        TransactionCoordinators::on_leader(self, partition, log, epoch);
    }
    fn on_resign(&self, partition: i32) {
        TransactionCoordinators::on_resign(self, partition);
    }
    fn follow(&self, leadership: Arc<dyn Leadership>) {
        TransactionCoordinators::follow(self, leadership);
    }
}

impl Broker {
    /// Has coordinators follow the leadership of their topic until the broker stops.
    pub(super) fn coordinate(self: &Arc<Self>, topic: &'static str, coordinators: Arc<dyn Coordinates>) {
        let Ok(topic) = TopicName::new(topic) else { return };
        // Before the first client can ask.
        coordinators.follow(Arc::new(TopicLeadership {
            node_id: self.config.node_id,
            metadata: self.metadata.clone(),
            clock: self.env.clock.clone(),
            topic: topic.clone(),
        }));
        tokio::spawn(self.clone().run_leadership(topic, coordinators));
    }

    async fn run_leadership(self: Arc<Self>, topic: TopicName, coordinators: Arc<dyn Coordinates>) {
        let mut images = self.metadata.subscribe();
        let mut led: HashMap<i32, LeaderEpoch> = HashMap::new();
        loop {
            let image = images.borrow_and_update().clone();
            let mut now: HashMap<i32, LeaderEpoch> = HashMap::new();
            for (index, partition) in
                image.topics.get(&topic).iter().flat_map(|t| t.partitions.iter().enumerate())
            {
                if partition.leader == Some(self.config.node_id) {
                    now.insert(i32::try_from(index).unwrap_or(i32::MAX), partition.leader_epoch);
                }
            }
            for (index, _) in led.iter().filter(|(index, epoch)| now.get(index) != Some(epoch)) {
                coordinators.on_resign(*index);
            }
            let mut waiting = false;
            let mut hosted = HashMap::new();
            for (index, epoch) in now {
                if led.get(&index) == Some(&epoch) {
                    hosted.insert(index, epoch);
                    continue;
                }
                let partition = crate::types::TopicPartition::new(topic.clone(), index);
                // The replica follows the same image and may be a moment behind.
                match self.replicas.replica(&partition).filter(|r| r.positions().leader_epoch == epoch) {
                    Some(replica) => {
                        let log = ReplicaLog {
                            threads: replica.disk_threads().clone(),
                            replica,
                            epoch,
                            clock: self.env.clock.clone(),
                            lease: self.metadata.lease(),
                            metadata: self.metadata.clone(),
                        };
                        coordinators.on_leader(index, Arc::new(log), epoch);
                        hosted.insert(index, epoch);
                    }
                    None => waiting = true,
                }
            }
            led = hosted;
            let again = async {
                if waiting {
                    self.env.clock.sleep(Duration::from_millis(20)).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                changed = images.changed() => if changed.is_err() { return },
                () = again => {}
                () = self.stopping.stopped() => return,
            }
        }
    }

    /// Finalizes features at these levels, all of them or none; level 0 takes one away.
    ///
    /// # Errors
    /// `Unavailable` when the quorum does not answer.
    pub async fn update_features(&self, levels: BTreeMap<String, i16>) -> Result<(), TopicError> {
        self.metadata.submit(Command::UpdateFeatures { levels }).await?;
        Ok(())
    }

    /// Follows the deletion of topics until the broker stops.
    pub(super) async fn run_topic_watch(self: Arc<Self>) {
        let mut images = self.metadata.subscribe();
        let mut before = images.borrow_and_update().clone();
        self.show_topics(&before);
        loop {
            tokio::select! {
                changed = images.changed() => if changed.is_err() { return },
                () = self.stopping.stopped() => return,
            }
            let image = images.borrow_and_update().clone();
            self.forget_deleted_topics(&before, &image);
            self.show_topics(&image);
            before = image;
        }
    }

    /// Gives the group coordinators the topics, if they have changed. An image from before the cluster was formed shows
    /// nothing: it would take all partitions away.
    fn show_topics(&self, image: &Image) {
        let topics = || {
            image.topics.values().map(|topic| {
                let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
                (topic.name.clone(), CatalogTopic { id: topic.id, partitions })
            })
        };
        let known = self.coordinators.topics();
        if image.cluster_id.is_empty() || known.version() > 0 && known.has_same_topics(topics()) {
            return;
        }
        self.coordinators.on_topics(TopicCatalog::new(known.version() + 1, topics()));
    }

    /// What was committed in topics that are gone is forgotten by the groups led here. One that has come back under
    /// its name is told apart by its id.
    fn forget_deleted_topics(&self, before: &Image, now: &Image) {
        let gone: Vec<TopicName> =
            before.topics.keys().filter(|name| !now.topics.contains_key(*name)).cloned().collect();
        if !gone.is_empty() {
            let coordinators = self.coordinators.clone();
            tokio::spawn(async move { coordinators.forget_topics(&gone).await });
        }
    }
}
