//! Records in and out: produce with acks=all, fetch, and offsets, each for one partition at its leader.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;

use super::{Client, check};
use crate::types::TopicId;
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use crate::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use crate::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::wire::{ErrorCode, StrBytes};

/// Asks ListOffsets for the first offset that is on the leader's disk (KIP-405).
pub const EARLIEST_LOCAL: i64 = -4;
/// Asks ListOffsets for the first offset of the log, in whichever tier.
pub const EARLIEST: i64 = -2;
/// Asks ListOffsets for the end of the log.
pub const LATEST: i64 = -1;

/// How long a partition that has no leader yet, or another one, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

const ACKS_ALL: i16 = -1;
const TIMEOUT_MS: i32 = 30_000;

/// A partition and the broker that leads it.
#[derive(Clone, Debug)]
pub struct Led {
    /// The topic's name.
    pub topic: String,
    /// The topic's id.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// The leader's node id.
    pub leader: i32,
}

/// What a leader has answered.
struct Told<T> {
    code: ErrorCode,
    message: Option<StrBytes>,
    value: T,
}

/// The broker knows less than who has named it as the leader.
fn is_unknown(code: ErrorCode) -> bool {
    code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION || code == ErrorCode::UNKNOWN_TOPIC_ID
}

/// Nothing was done, and soon it can be: here, or at another leader.
fn is_moving(code: ErrorCode) -> bool {
    let moving = [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::LEADER_NOT_AVAILABLE,
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::UNKNOWN_LEADER_EPOCH,
        ErrorCode::OFFSET_NOT_AVAILABLE,
    ];
    is_unknown(code) || moving.contains(&code)
}

impl Client {
    /// A topic's partitions with their leaders, by index.
    ///
    /// # Errors
    /// When there is no such topic, or a partition has no leader.
    pub async fn led_partitions(&mut self, name: &str) -> Result<Vec<Led>> {
        let topic = self.topic(name).await?;
        let mut partitions = Vec::new();
        for p in &topic.partitions {
            check(p.error_code, None).with_context(|| format!("{name}-{}", p.partition_index))?;
            partitions.push(Led {
                topic: name.to_owned(),
                topic_id: topic.topic_id,
                partition: p.partition_index,
                leader: p.leader_id,
            });
        }
        partitions.sort_by_key(|p| p.partition);
        Ok(partitions)
    }

    /// Appends one batch with acks=all; returns the offset of its first record.
    ///
    /// # Errors
    /// What the broker answers.
    pub async fn produce(&mut self, to: &Led, batch: Bytes) -> Result<i64> {
        self.at_leader(to, async |client, led| client.produce_once(led, batch.clone()).await).await
    }

    async fn produce_once(&mut self, to: &Led, batch: Bytes) -> Result<Told<i64>> {
        let data = PartitionProduceData { index: to.partition, records: Some(batch.into()) };
        let topic = TopicProduceData {
            name: StrBytes::from(to.topic.as_str()),
            topic_id: to.topic_id,
            partition_data: vec![data],
        };
        let request = ProduceRequest {
            transactional_id: None,
            acks: ACKS_ALL,
            timeout_ms: TIMEOUT_MS,
            topic_data: vec![topic],
        };
        let response = self.ask_broker(to.leader, &request).await?;
        let partition = response.responses.first().and_then(|t| t.partition_responses.first());
        let partition = partition.context("the broker left the partition out")?;
        Ok(Told {
            code: partition.error_code,
            message: partition.error_message.clone(),
            value: partition.base_offset,
        })
    }

    /// Reads whole batches from `offset` on; the first may begin below it. Empty at the end of the log.
    ///
    /// # Errors
    /// What the broker answers.
    pub async fn fetch(&mut self, from: &Led, offset: i64, max_bytes: i32) -> Result<Bytes> {
        self.at_leader(from, async |client, led| client.fetch_once(led, offset, max_bytes).await).await
    }

    async fn fetch_once(&mut self, from: &Led, offset: i64, max_bytes: i32) -> Result<Told<Bytes>> {
        let partition = FetchPartition {
            partition: from.partition,
            fetch_offset: offset,
            partition_max_bytes: max_bytes,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: StrBytes::from(from.topic.as_str()),
            topic_id: from.topic_id,
            partitions: vec![partition],
        };
        let request = FetchRequest {
            max_wait_ms: 1_000,
            min_bytes: 1,
            max_bytes,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        let response = self.ask_broker(from.leader, &request).await?;
        check(response.error_code, None)?;
        let partition = response.responses.into_iter().next().and_then(|t| t.partitions.into_iter().next());
        let partition = partition.context("the broker left the partition out")?;
        let code = partition.error_code;
        Ok(Told { code, message: None, value: partition.records.unwrap_or_default().into_bytes()? })
    }

    /// The offset for a timestamp, or for one of ListOffsets' special values.
    ///
    /// # Errors
    /// What the broker answers.
    pub async fn offset_for(&mut self, of: &Led, timestamp: i64) -> Result<i64> {
        self.at_leader(of, async |client, led| client.offset_for_once(led, timestamp).await).await
    }

    async fn offset_for_once(&mut self, of: &Led, timestamp: i64) -> Result<Told<i64>> {
        let partition = ListOffsetsPartition {
            partition_index: of.partition,
            timestamp,
            ..ListOffsetsPartition::default()
        };
        let topic = ListOffsetsTopic { name: StrBytes::from(of.topic.as_str()), partitions: vec![partition] };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
        let response = self.ask_broker(of.leader, &request).await?;
        let partition = response.topics.first().and_then(|t| t.partitions.first());
        let partition = partition.context("the broker left the partition out")?;
        Ok(Told { code: partition.error_code, message: None, value: partition.offset })
    }

    /// Asks a partition's leader; where the partition is about to be led, here or elsewhere, again and again for a moment.
    async fn at_leader<T>(
        &mut self,
        led: &Led,
        ask: impl AsyncFn(&mut Client, &Led) -> Result<Told<T>>,
    ) -> Result<T> {
        let clock = self.env.clock.clone();
        let deadline = clock.now() + PATIENCE;
        let mut led = led.clone();
        loop {
            let told = ask(self, &led).await?;
            if !is_moving(told.code) || clock.now() >= deadline {
                check(told.code, told.message.as_ref())?;
                return Ok(told.value);
            }
            clock.sleep(PAUSE).await;
            let all = self.led_partitions(&led.topic).await;
            match all.map(|all| all.into_iter().find(|other| other.partition == led.partition)) {
                Ok(Some(now)) => led = now,
                // It has no leader at the moment.
                Err(_) if !is_unknown(told.code) => {}
                _ => bail!("{}", told.code),
            }
        }
    }
}
