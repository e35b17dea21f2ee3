//! A fetch's way out: from memory or disk below the high watermark, from the cold tier below the local log start, and
//! a long poll that ends when enough bytes are there (KIP-74 for the caps, COMPATIBILITY trap 4).

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::Broker;
use crate::env::timeout;
use crate::log::LogSlice;
use crate::replication::{Isolation, ReadError, Replica};
use crate::types::{BrokerId, LeaderEpoch, Offset, ProducerId, TopicId, TopicPartition};

/// One fetch over many partitions.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// What is asked for, in the order of the answer.
    pub partitions: Vec<FetchPartition>,
    /// How long to wait for `min_bytes`.
    pub max_wait: Duration,
    /// Answer as soon as so many bytes are there.
    pub min_bytes: usize,
    /// The cap over all partitions; a first batch above it is returned all the same.
    pub max_bytes: usize,
    /// What transactions may be seen.
    pub isolation: Isolation,
}

/// One partition of a fetch.
#[derive(Clone, Debug)]
pub struct FetchPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// The topic's id, where the client gave one.
    pub topic_id: Option<TopicId>,
    /// The first offset wanted.
    pub offset: Offset,
    /// The cap for this partition.
    pub max_bytes: usize,
    /// The leader epoch that the client knows (KIP-320).
    pub leader_epoch: Option<LeaderEpoch>,
    /// The epoch of the last record that the client has (KIP-595).
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

/// What a partition gave.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Records below are safe on every in-sync replica.
    pub high_watermark: Offset,
    /// Records below belong to finished transactions.
    pub last_stable: Offset,
    /// The first offset that is kept, in either tier.
    pub log_start: Offset,
    /// Aborted transactions in the range (read_committed only).
    pub aborted: Vec<(ProducerId, Offset)>,
    /// Whole batches; the first may begin below the offset asked for.
    pub records: Bytes,
    /// The client's log differs: the largest epoch at or below its last one, and its end here (KIP-595).
    pub diverging: Option<(LeaderEpoch, Offset)>,
}

/// Why a partition gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No such topic or partition.
    #[error("there is no such topic or partition")]
    UnknownTopic,
    /// No topic with that id.
    #[error("there is no topic with that id")]
    UnknownTopicId,
    /// The id and the name belong to different topics.
    #[error("the topic's id does not fit its name")]
    InconsistentTopicId,
    /// Another broker leads.
    #[error("this broker does not lead the partition")]
    NotLeader {
        /// Who does, as far as known.
        leader: Option<(BrokerId, LeaderEpoch)>,
    },
    /// The client knows an older leader epoch.
    #[error("the leader epoch is over")]
    FencedLeaderEpoch,
    /// The client knows a newer leader epoch than this broker.
    #[error("the leader epoch is not known here yet")]
    UnknownLeaderEpoch,
    /// Below the log start or above the log end.
    #[error("the offset is outside the log")]
    OffsetOutOfRange {
        /// The high watermark.
        high_watermark: Offset,
        /// The log start.
        log_start: Offset,
        /// The last stable offset.
        last_stable: Offset,
    },
    /// The cold tier could not be read now.
    #[error("the cold tier could not be read: {0}")]
    Tier(String),
    /// The local log could not be read.
    #[error("the log could not be read: {0}")]
    Storage(String),
}

/// Where a partition's bytes will come from in this round.
enum Source {
    Nothing,
    Local(LogSlice),
    Cold { offset: Offset, max_bytes: usize },
}

struct Planned {
    answer: Fetched,
    source: Source,
}

impl Broker {
    /// Reads what the request asks for; waits up to `max_wait` while there is less than `min_bytes`.
    pub async fn fetch(&self, request: &FetchRequest) -> Vec<Result<Fetched, FetchError>> {
        let deadline = self.env.clock.now() + request.max_wait;
        loop {
            // Watch first, then read: what changes in between wakes the wait.
            let watches: Vec<_> = request
                .partitions
                .iter()
                .filter_map(|p| self.replicas.replica(&p.partition))
                .map(|replica| replica.watch())
                .collect();
            let answers = self.read_once(request).await;
            let bytes: usize = answers.iter().flatten().map(|f| f.records.len()).sum();
            let decided = answers.iter().any(|a| match a {
                Ok(fetched) => fetched.diverging.is_some(),
                Err(_) => true,
            });
            let now = self.env.clock.now();
            if bytes >= request.min_bytes || decided || now >= deadline || request.partitions.is_empty() {
                return answers;
            }
            let mut changes: FuturesUnordered<_> =
                watches.into_iter().map(|mut watch| async move { watch.changed().await }).collect();
            let woken = timeout(&*self.env.clock, deadline.since(now), async {
                if changes.next().await.is_none() {
                    std::future::pending::<()>().await;
                }
            });
            if woken.await.is_err() && bytes > 0 {
                return answers;
            }
        }
    }

    async fn read_once(&self, request: &FetchRequest) -> Vec<Result<Fetched, FetchError>> {
        let mut left = request.max_bytes;
        let mut first = true;
        let diverging = join_all(request.partitions.iter().map(|wanted| self.divergence(wanted))).await;
        let planned: Vec<Result<Planned, FetchError>> = request
            .partitions
            .iter()
            .zip(diverging)
            .map(|(wanted, diverging)| {
                let plan = self.plan(wanted, request.isolation, left, first, diverging?)?;
                let bytes = match &plan.source {
                    Source::Nothing => 0,
                    Source::Local(slice) => slice.bound_bytes(),
                    Source::Cold { max_bytes, .. } => *max_bytes,
                };
                first &= bytes == 0;
                left = left.saturating_sub(bytes);
                Ok(plan)
            })
            .collect();
        join_all(request.partitions.iter().zip(planned).map(|(wanted, plan)| async move {
            let Planned { mut answer, source } = plan?;
            answer.records = match source {
                Source::Nothing => Bytes::new(),
                Source::Local(slice) => self.on_disk_thread(move || slice.load()).await?,
                Source::Cold { offset, max_bytes } => self.read_cold(wanted, offset, max_bytes).await?,
            };
            Ok(answer)
        }))
        .await
    }

    /// Where the client's log leaves this one, if it says what it has (KIP-595).
    async fn divergence(&self, wanted: &FetchPartition) -> Result<Option<(LeaderEpoch, Offset)>, FetchError> {
        let Some(epoch) = wanted.last_fetched_epoch else { return Ok(None) };
        let replica = self.replica_for(&wanted.partition, wanted.topic_id)?;
        let (epoch_here, end) = self.end_of_epoch(&replica, epoch).await?;
        Ok((epoch_here < epoch || end < wanted.offset).then_some((epoch_here, end)))
    }

    /// Decides without touching the disk where the bytes are.
    fn plan(
        &self,
        wanted: &FetchPartition,
        isolation: Isolation,
        left: usize,
        first: bool,
        diverging: Option<(LeaderEpoch, Offset)>,
    ) -> Result<Planned, FetchError> {
        let replica = self.replica_for(&wanted.partition, wanted.topic_id)?;
        let positions = replica.positions();
        let mut answer = Fetched {
            high_watermark: positions.high_watermark,
            last_stable: positions.last_stable,
            log_start: positions.log_start,
            ..Fetched::default()
        };
        let nothing = |answer| Ok(Planned { answer, source: Source::Nothing });
        if diverging.is_some() {
            answer.diverging = diverging;
            return nothing(answer);
        }
        let max_bytes = wanted.max_bytes.min(left);
        match replica.read(wanted.offset, max_bytes, first, isolation, wanted.leader_epoch) {
            Ok(Some(slice)) => Ok(Planned { answer, source: Source::Local(slice) }),
            Ok(None) => nothing(answer),
            Err(ReadError::OnlyTiered { .. }) if max_bytes == 0 && !first => nothing(answer),
            Err(ReadError::OnlyTiered { .. }) => {
                Ok(Planned { answer, source: Source::Cold { offset: wanted.offset, max_bytes } })
            }
            Err(ReadError::OutOfRange { .. }) => Err(FetchError::OffsetOutOfRange {
                high_watermark: positions.high_watermark,
                log_start: positions.log_start,
                last_stable: positions.last_stable,
            }),
            Err(other) => Err(self.refused(&wanted.partition, other)),
        }
    }

    /// The replica of a partition on this broker, by name and, where the client gave it, by id.
    pub(super) fn replica_for(
        &self,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
    ) -> Result<std::sync::Arc<Replica>, FetchError> {
        let image = self.image();
        match (topic_id, image.topics.get(&partition.topic)) {
            (Some(id), None) if image.topic_by_id(id).is_none() => return Err(FetchError::UnknownTopicId),
            (Some(id), Some(topic)) if topic.id != id => return Err(FetchError::InconsistentTopicId),
            _ => {}
        }
        if image.partition(&partition.topic, partition.partition).is_none() {
            return Err(FetchError::UnknownTopic);
        }
        self.replicas
            .replica(partition)
            .ok_or_else(|| FetchError::NotLeader { leader: self.leader_of(partition) })
    }

    async fn read_cold(
        &self,
        wanted: &FetchPartition,
        offset: Offset,
        max_bytes: usize,
    ) -> Result<Bytes, FetchError> {
        let tier = self.tier.as_ref().ok_or_else(|| {
            FetchError::Tier("these offsets are in the cold tier, but tier.store.url is not set".to_owned())
        })?;
        let topic = self.replica_for(&wanted.partition, wanted.topic_id)?.topic_id();
        let read = tier.read(&wanted.partition, topic, offset, max_bytes);
        match timeout(&*self.env.clock, self.config.millis("remote.fetch.max.wait.ms"), read).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(e)) => Err(FetchError::Tier(e.to_string())),
            // The fill goes on and the client's next fetch finds it in the cache.
            Err(_) => Ok(Bytes::new()),
        }
    }

    /// What a refused read means to a client.
    pub(super) fn refused(&self, partition: &TopicPartition, error: ReadError) -> FetchError {
        match error {
            ReadError::NotLeader => FetchError::NotLeader { leader: self.leader_of(partition) },
            ReadError::FencedLeaderEpoch { .. } => FetchError::FencedLeaderEpoch,
            ReadError::UnknownLeaderEpoch { .. } => FetchError::UnknownLeaderEpoch,
            other => FetchError::Storage(other.to_string()),
        }
    }
}
