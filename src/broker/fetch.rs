//! A fetch's way out: from memory or disk below the high watermark, from the cold tier below the local log start, and
//! a long poll that ends when enough bytes are there (KIP-74 for the caps).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::cold::AbortedInTier;
use super::{AnswerRoom, Broker};
use crate::env::timeout;
use crate::log::LogSlice;
use crate::metadata::BrokerState;
use crate::replication::{Isolation, Positions, ReadError, Replica, ServedBy, Wanted};
use crate::types::{BrokerId, LeaderEpoch, Offset, ProducerId, TopicId, TopicPartition};
use crate::wire::Records;
use crate::wire::record_batch::{BatchIter, without_empty};

/// The `replica.selector.class` that sends clients to a follower in their rack.
const RACK_AWARE: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// So many bytes of one request are read and checked on the thread of its connection: about 0.2 ms.
const HERE_BYTES: usize = 1 << 20;

/// How long a fetch that does not wait for records waits for memory.
const ROOM_WAIT: Duration = Duration::from_millis(100);

/// One fetch over many partitions.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// What is asked for, in the order of the answer.
    pub partitions: Vec<FetchPartition>,
    /// How long to wait for `min_bytes`.
    pub max_wait: Duration,
    /// Answer as soon as so many bytes are there; more than `max_bytes` are never waited for.
    pub min_bytes: usize,
    /// The cap over all partitions; a first batch above it is returned all the same.
    pub max_bytes: usize,
    /// What transactions may be seen.
    pub isolation: Isolation,
    /// Whether records may be left in their file for the kernel to send.
    pub takes_files: bool,
    /// Where the client is, if it can be sent to another replica.
    pub place: Option<ClientPlace>,
}

/// Where a client is that reads from any replica (KIP-392). Others read from leaders alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPlace {
    /// `client.rack`; empty when the client does not say.
    pub rack: String,
    /// The listener that it uses, on which the other replica must be reachable too.
    pub listener: String,
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
    pub records: Records,
    /// The client's log differs: the largest epoch at or below its last one, and its end here (KIP-595).
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// A follower that is nearer to the client, which shall ask there (KIP-392); no records come with it.
    pub preferred: Option<BrokerId>,
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
    FencedLeaderEpoch {
        /// Who leads now, as far as known.
        leader: Option<(BrokerId, LeaderEpoch)>,
    },
    /// The client knows a newer leader epoch than this broker.
    #[error("the leader epoch is not known here yet")]
    UnknownLeaderEpoch,
    /// Below the log start or above the log end.
    #[error("the offset is outside the log")]
    OffsetOutOfRange,
    /// The cold tier could not be read now.
    #[error("the cold tier could not be read: {0}")]
    Tier(String),
    /// The local log could not be read.
    #[error("the log could not be read: {0}")]
    Storage(String),
    /// The disk of the local log does not answer.
    #[error("the disk of the log directory does not answer")]
    DiskHangs,
}

impl FetchRequest {
    fn served_by(&self) -> ServedBy {
        if self.place.is_some() { ServedBy::AnyReplica } else { ServedBy::Leader }
    }
}

/// Where a partition's bytes will come from in this round.
enum Source {
    Nothing,
    Local(Arc<Replica>, LogSlice),
    Cold { offset: Offset, max_bytes: usize },
}

struct Planned {
    answer: Fetched,
    source: Source,
}

impl Planned {
    /// No more than so many bytes will come, except for a first batch that alone is larger.
    fn bound_bytes(&self) -> usize {
        match &self.source {
            Source::Nothing => 0,
            Source::Local(_, slice) => slice.bound_bytes(),
            Source::Cold { max_bytes, .. } => *max_bytes,
        }
    }

    fn is_cold(&self) -> bool {
        matches!(self.source, Source::Cold { .. })
    }

    /// The client must hear of it at once: also of a segment's last batches, which do not grow.
    fn is_news(&self) -> bool {
        let last_of_segment = matches!(&self.source, Source::Local(_, slice) if slice.goes_on());
        last_of_segment || self.answer.diverging.is_some() || self.answer.preferred.is_some()
    }
}

impl Broker {
    /// Reads what the request asks for; waits up to `max_wait` while there is less than `min_bytes`. An error, a
    /// diverging epoch, a nearer replica or bytes from the cold tier end the wait. The room is to be kept until the client
    /// has the records; without room there are none.
    pub async fn fetch(
        &self,
        request: &FetchRequest,
    ) -> (Vec<Result<Fetched, FetchError>>, Option<AnswerRoom>) {
        let deadline = self.env.clock.now() + request.max_wait;
        let mut waited = Duration::ZERO;
        loop {
            let max_bytes = request.max_bytes.min(self.answers.share());
            let min_bytes = request.min_bytes.min(max_bytes);
            // Watch first, then read: what changes in between wakes the wait.
            let watches: Vec<_> = request
                .partitions
                .iter()
                .filter_map(|p| self.replicas.replica(&p.partition))
                .map(|replica| replica.watch())
                .collect();
            let planned = self.plan_all(request, max_bytes).await;
            let now = self.env.clock.now();
            let must_answer = now >= deadline
                || request.partitions.is_empty()
                || planned.iter().any(|plan| plan.as_ref().map_or(true, Planned::is_news));
            let bound: usize = planned.iter().flatten().map(Planned::bound_bytes).sum();
            // While the bound is too small, nothing is read.
            if must_answer || bound >= min_bytes {
                let cold = planned.iter().flatten().any(Planned::is_cold);
                // A first batch comes even where the caps leave no byte.
                let room = if planned.iter().flatten().all(|plan| matches!(plan.source, Source::Nothing)) {
                    None
                } else {
                    let limit = request.max_wait.max(ROOM_WAIT);
                    self.answers.take(bound.max(1), &*self.env.clock, limit).await
                };
                let answers = self.load_all(request, planned, room.is_some()).await;
                let bytes: usize = answers.iter().flatten().map(|(_, counted)| counted).sum();
                let failed = answers.iter().any(Result::is_err);
                if must_answer || failed || bytes >= min_bytes || (cold && bytes > 0) {
                    self.fetch_wait.record(waited);
                    return (answers.into_iter().map(|answer| Ok(answer?.0)).collect(), room);
                }
            }
            let mut changes: FuturesUnordered<_> =
                watches.into_iter().map(|mut watch| async move { watch.changed().await }).collect();
            // Whether woken or late, the next round looks again.
            let _ = timeout(&*self.env.clock, deadline.since(now), async {
                if changes.next().await.is_none() {
                    std::future::pending::<()>().await;
                }
            })
            .await;
            waited += self.env.clock.now().since(now);
        }
    }

    async fn plan_all(&self, request: &FetchRequest, max_bytes: usize) -> Vec<Result<Planned, FetchError>> {
        let mut left = max_bytes;
        let mut first = true;
        let mut plans = Vec::with_capacity(request.partitions.len());
        for wanted in &request.partitions {
            let plan = self.plan(wanted, request, left, first).await;
            if let Ok(plan) = &plan {
                // One first batch above the caps and no more, also when the caps leave no byte.
                first &= matches!(plan.source, Source::Nothing);
                left = left.saturating_sub(plan.bound_bytes());
            }
            plans.push(plan);
        }
        plans
    }

    /// The answers, and how many bytes each counts for the long poll.
    async fn load_all(
        &self,
        request: &FetchRequest,
        planned: Vec<Result<Planned, FetchError>>,
        has_room: bool,
    ) -> Vec<Result<(Fetched, usize), FetchError>> {
        let here = &AtomicUsize::new(HERE_BYTES);
        join_all(request.partitions.iter().zip(planned).map(|(wanted, plan)| async move {
            let Planned { mut answer, source } = plan?;
            let (records, counted) = match source {
                Source::Nothing => (Records::empty(), 0),
                _ if !has_room => (Records::empty(), 0),
                Source::Local(replica, slice) => {
                    let bytes = slice.bound_bytes();
                    match self.load_hot(wanted, request, &replica, slice, here, &mut answer).await {
                        // Local retention has taken the segment since the plan was made.
                        Err(FetchError::Storage(_)) if replica.has_only_in_tier(wanted.offset) => {
                            self.load_cold(wanted, request, wanted.offset, bytes, &mut answer).await?
                        }
                        // The records of the others do not wait for it: this one has none for now.
                        Err(FetchError::DiskHangs) => {
                            answer.aborted.clear();
                            (Records::empty(), 0)
                        }
                        loaded => loaded?,
                    }
                }
                Source::Cold { offset, max_bytes } => {
                    self.load_cold(wanted, request, offset, max_bytes, &mut answer).await?
                }
            };
            answer.records = records;
            Ok((answer, counted))
        }))
        .await
    }

    /// Records of the local log; with them the aborted transactions, for a reader of committed data.
    async fn load_hot(
        &self,
        wanted: &FetchPartition,
        request: &FetchRequest,
        replica: &Arc<Replica>,
        slice: LogSlice,
        here: &AtomicUsize,
        answer: &mut Fetched,
    ) -> Result<(Records, usize), FetchError> {
        let may_have_aborted = request.isolation == Isolation::ReadCommitted && {
            let (log, from) = (replica.clone(), wanted.offset);
            match replica.glance(|log| log.may_have_aborted(from)) {
                Some(may) => may,
                None => {
                    let look = move || Ok(log.with_log(|log| log.may_have_aborted(from)));
                    self.on_disk_thread(replica, look).await?
                }
            }
        };
        // Where the answer ends is known only of what is in memory.
        let takes_files = request.takes_files && !may_have_aborted;
        let loaded = self.load_local(wanted, request, replica.clone(), slice, takes_files, here).await?;
        if may_have_aborted {
            answer.aborted = self.aborted_here(replica.clone(), &loaded.0, wanted.offset).await?;
        }
        replica.traffic().fetched_hot.add(loaded.0.len() as u64);
        Ok(loaded)
    }

    /// The same from the tier.
    async fn load_cold(
        &self,
        wanted: &FetchPartition,
        request: &FetchRequest,
        offset: Offset,
        max_bytes: usize,
        answer: &mut Fetched,
    ) -> Result<(Records, usize), FetchError> {
        let begun = self.env.clock.now();
        let read = self.read_cold(wanted, offset, max_bytes).await;
        self.fetch_remote.record(self.env.clock.now().since(begun));
        let records = read?;
        if let Some(replica) = self.replicas.replica(&wanted.partition) {
            replica.traffic().fetched_cold.add(records.len() as u64);
        }
        if request.isolation == Isolation::ReadCommitted && !records.is_empty() {
            answer.aborted = self.aborted_cold(wanted, &records).await?;
        }
        let counted = records.len();
        Ok((records, counted))
    }

    /// Reads a slice, and what follows it if compaction has left nothing but empty batches there. Where nothing follows the
    /// client gets the last of those, so that its position reaches the end: kafka-go panics on two in a row.
    async fn load_local(
        &self,
        wanted: &FetchPartition,
        request: &FetchRequest,
        replica: Arc<Replica>,
        slice: LogSlice,
        takes_files: bool,
        here: &AtomicUsize,
    ) -> Result<(Records, usize), FetchError> {
        let load = async |slice: LogSlice, takes_files| {
            if let Some(found) = self.load_here(&slice, takes_files, here) {
                return Ok(found);
            }
            let reader = replica.clone();
            self.on_disk_thread(&replica, move || reader.load_counted(&slice, takes_files)).await
        };
        if !slice.is_of_compacted() {
            return load(slice, takes_files).await;
        }
        let in_memory =
            |records: Records| records.into_bytes().map_err(|e| FetchError::Storage(e.to_string()));
        let (records, counted) = load(slice, false).await?;
        let mut batches = in_memory(records)?;
        loop {
            let found = without_empty(&batches);
            let last = BatchIter::new(batches.clone()).map_while(Result::ok).last();
            let Some(last) = last.filter(|_| found.is_empty()) else {
                return Ok((found.into(), counted));
            };
            let from = last.header.end_offset();
            let wants = Wanted {
                from,
                max_bytes: wanted.max_bytes,
                at_least_one: true,
                isolation: request.isolation,
                client_epoch: wanted.leader_epoch,
                served_by: request.served_by(),
            };
            let Ok(Some(slice)) = self.find(&replica, wants).await? else {
                return Ok((last.bytes.into(), counted));
            };
            let more = in_memory(load(slice, false).await?.0)?;
            if more.is_empty() {
                return Ok((last.bytes.into(), counted));
            }
            batches = more;
        }
    }

    /// Reads and checks a slice on the connection's own thread, if it is in the page cache: to change threads twice costs as
    /// much, and leaves the bytes in the cache of another processor. `here` is what the request may still read so.
    fn load_here(&self, slice: &LogSlice, takes_files: bool, here: &AtomicUsize) -> Option<(Records, usize)> {
        let left = here.load(Ordering::Relaxed);
        if left == 0 {
            return None;
        }
        let _leave = self.disk_threads.here_in_memory()?;
        let found = slice.cached_counted(takes_files, left)?;
        here.store(left.saturating_sub(found.0.len()), Ordering::Relaxed);
        Some(found)
    }

    /// Where the records are: found on this thread if nothing is in the way, else on a disk thread.
    async fn find(
        &self,
        replica: &Arc<Replica>,
        wants: Wanted,
    ) -> Result<Result<Option<LogSlice>, ReadError>, FetchError> {
        if let Some(found) = replica.read_at_once(&wants) {
            return Ok(found);
        }
        let reader = replica.clone();
        self.on_disk_thread(replica, move || Ok(reader.read(&wants))).await
    }

    /// Decides without touching the disk where the bytes are.
    async fn plan(
        &self,
        wanted: &FetchPartition,
        request: &FetchRequest,
        left: usize,
        first: bool,
    ) -> Result<Planned, FetchError> {
        let replica = self.replica_for(&wanted.partition, wanted.topic_id)?;
        let positions = replica.positions();
        let served_by = request.served_by();
        let refused = |error| self.refused(&wanted.partition, error);
        replica.check_reader(&positions, wanted.leader_epoch, served_by).map_err(refused)?;
        let mut answer = Fetched {
            high_watermark: positions.high_watermark,
            last_stable: positions.last_stable,
            log_start: positions.log_start,
            ..Fetched::default()
        };
        let nothing = |answer| Ok(Planned { answer, source: Source::Nothing });
        if let Some(place) = &request.place {
            answer.preferred = self.nearer_replica(&replica, &positions, place, wanted.offset);
            if answer.preferred.is_some() {
                return nothing(answer);
            }
        }
        if let Some(epoch) = wanted.last_fetched_epoch {
            // KIP-595: where the client's log leaves this one.
            let (epoch_here, end) = match replica.end_of_epoch(epoch) {
                Some(found) if wanted.offset >= positions.log_start => found,
                _ => return Err(FetchError::OffsetOutOfRange),
            };
            if epoch_here < epoch || end < wanted.offset {
                answer.diverging = Some((epoch_here, end));
                return nothing(answer);
            }
        }
        let max_bytes = wanted.max_bytes.min(left);
        let wants = Wanted {
            from: wanted.offset,
            max_bytes,
            at_least_one: first,
            isolation: request.isolation,
            client_epoch: wanted.leader_epoch,
            served_by,
        };
        let found = match self.find(&replica, wants).await {
            Err(FetchError::DiskHangs) => return nothing(answer),
            found => found?,
        };
        match found {
            Ok(Some(slice)) => Ok(Planned { answer, source: Source::Local(replica, slice) }),
            Ok(None) => nothing(answer),
            Err(ReadError::OnlyTiered { .. }) if max_bytes == 0 && !first => nothing(answer),
            Err(ReadError::OnlyTiered { .. }) => {
                Ok(Planned { answer, source: Source::Cold { offset: wanted.offset, max_bytes } })
            }
            Err(ReadError::OutOfRange { .. }) => Err(FetchError::OffsetOutOfRange),
            Err(other) => Err(refused(other)),
        }
    }

    /// The follower that a client shall read from instead, as Kafka's `RackAwareReplicaSelector` chooses: in the
    /// client's rack when the leader is not, in the ISR, with everything below the offset; of several the one that has
    /// most.
    fn nearer_replica(
        &self,
        replica: &Replica,
        positions: &Positions,
        place: &ClientPlace,
        offset: Offset,
    ) -> Option<BrokerId> {
        let rack_aware = || self.config.properties.get("replica.selector.class") == Some(RACK_AWARE);
        if place.rack.is_empty() || !positions.leads() || offset < positions.log_start || !rack_aware() {
            return None;
        }
        let image = self.image();
        let is_near = |id: BrokerId| {
            image.brokers.get(&id).is_some_and(|broker| {
                broker.state == BrokerState::Active
                    && broker.rack.as_deref() == Some(&*place.rack)
                    && broker.endpoints.iter().any(|endpoint| endpoint.listener == place.listener)
            })
        };
        if is_near(self.node_id()) {
            return None;
        }
        replica
            .in_sync_followers()
            .into_iter()
            .filter(|follower| follower.end >= offset && is_near(follower.broker))
            .max_by_key(|follower| (follower.end, follower.caught_up, follower.broker))
            .map(|follower| follower.broker)
    }

    /// The replica of a partition on this broker, by name and, where the client gave it, by id.
    pub(super) fn replica_for(
        &self,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
    ) -> Result<Arc<Replica>, FetchError> {
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
    ) -> Result<Records, FetchError> {
        let tier = self.tier.as_ref().ok_or_else(|| {
            FetchError::Tier("these offsets are in the cold tier, but tier.store.url is not set".to_owned())
        })?;
        let topic = self.replica_for(&wanted.partition, wanted.topic_id)?.topic_id();
        let read = tier.read(&wanted.partition, topic, offset, max_bytes);
        match timeout(&*self.env.clock, self.live().config.millis("remote.fetch.max.wait.ms"), read).await {
            Ok(Ok(records)) => Ok(records),
            Ok(Err(e)) => Err(FetchError::Tier(e.to_string())),
            // The fill goes on and the client's next fetch finds it in the cache.
            Err(_) => Ok(Records::empty()),
        }
    }

    /// The aborted transactions with records in what was read from the local log.
    async fn aborted_here(
        &self,
        replica: Arc<Replica>,
        records: &Records,
        from: Offset,
    ) -> Result<Vec<(ProducerId, Offset)>, FetchError> {
        let Some(to) = records.chunks().filter_map(end_of).last() else { return Ok(Vec::new()) };
        let reader = replica.clone();
        let look = move || reader.inspect(|log| log.aborted_transactions(from, to));
        let aborted = self.on_disk_thread(&replica, look).await?;
        Ok(aborted.iter().map(|a| (a.producer_id, a.first)).collect())
    }

    /// The aborted transactions with records in a cold answer: from its segment on in the tier, and then in the local
    /// log, as a marker may be far behind its records.
    async fn aborted_cold(
        &self,
        wanted: &FetchPartition,
        records: &Records,
    ) -> Result<Vec<(ProducerId, Offset)>, FetchError> {
        let to = records.chunks().filter_map(end_of).last();
        let (Some(tier), Some(to)) = (&self.tier, to) else { return Ok(Vec::new()) };
        let replica = self.replica_for(&wanted.partition, wanted.topic_id)?;
        let from = wanted.offset;
        let asked = tier.aborted_transactions(&wanted.partition, replica.topic_id(), from, to);
        let AbortedInTier { mut found, goes_on_at } =
            asked.await.map_err(|e| FetchError::Tier(e.to_string()))?;
        if let Some(tier_end) = goes_on_at {
            // With a hole between the two the list would have one too: `OutOfRange`, and the client tries again.
            let reader = replica.clone();
            let look = move || {
                reader.with_log(|log| {
                    let start = log.local_start().max(from);
                    log.aborted_by_markers_after(if start <= tier_end { start } else { tier_end }, from, to)
                })
            };
            let local = self.on_disk_thread(&replica, look).await?;
            // What is both in the tier and on the disk is found twice.
            let known = |one: &(ProducerId, Offset)| !found.contains(one);
            let more: Vec<_> = local.iter().map(|a| (a.producer_id, a.first)).filter(known).collect();
            found.extend(more);
        }
        Ok(found)
    }

    /// What a refused read means to a client.
    pub(super) fn refused(&self, partition: &TopicPartition, error: ReadError) -> FetchError {
        match error {
            ReadError::NotLeader => FetchError::NotLeader { leader: self.leader_of(partition) },
            ReadError::FencedLeaderEpoch { .. } => {
                FetchError::FencedLeaderEpoch { leader: self.leader_of(partition) }
            }
            ReadError::UnknownLeaderEpoch { .. } => FetchError::UnknownLeaderEpoch,
            other => FetchError::Storage(other.to_string()),
        }
    }
}

/// Behind the last of whole batches.
fn end_of(records: &Bytes) -> Option<Offset> {
    BatchIter::new(records.clone()).filter_map(Result::ok).last().map(|batch| batch.header.end_offset())
}
