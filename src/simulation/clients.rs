//! Clients: they speak the Kafka API in bytes, lose requests and answers, and try again as real ones do.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::history::Value;
use super::world::{Reached, World};
use crate::api::{Answer, Client, Service as _};
use crate::env::{Clock as _, timeout};
use crate::security::Principal;
use crate::types::{ProducerEpoch, ProducerId, TopicId};
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use crate::wire::messages::init_producer_id::InitProducerIdRequest;
use crate::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use crate::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::wire::record_batch::{BatchBuilder, BatchIter, Compression};
use crate::wire::{ErrorCode, Limits, Request, header};

/// The topic of a run.
pub(super) const TOPIC: &str = "t";
/// Its partitions.
pub(super) const PARTITIONS: i32 = 2;
/// Bytes of a record's filling, so that segments close soon.
const FILLING: usize = 120;

/// A client with randomness of its own.
pub(super) struct Caller {
    world: Arc<World>,
    rng: StdRng,
    client: Arc<Client>,
    /// Who leads each partition, as far as it knows; and the topic's id.
    pub(super) leaders: Vec<i32>,
    topic_id: TopicId,
    /// The longest pause between two batches.
    pause_ms: u64,
}

impl Caller {
    pub fn new(world: Arc<World>, number: u64) -> Caller {
        let rng = StdRng::seed_from_u64(world.seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let client = Client {
            connection: number,
            listener: "PLAINTEXT".into(),
            address: ([127, 0, 0, 1], 1).into(),
            principal: Principal::anonymous(),
            software: Arc::new(OnceLock::new()),
            takes_files: false,
        };
        let leaders = vec![1; PARTITIONS as usize];
        Caller { world, rng, client: Arc::new(client), leaders, topic_id: TopicId::ZERO, pause_ms: 120 }
    }

    /// Pauses so long at most between two batches.
    pub fn pausing(self, pause_ms: u64) -> Caller {
        Caller { pause_ms, ..self }
    }

    async fn travel(&mut self) -> bool {
        let micros = self.rng.random_range(50..3_000);
        self.world.clock.sleep(Duration::from_micros(micros)).await;
        // A connection breaks now and then.
        !self.world.is_rough() || self.rng.random_range(0..200) != 0
    }

    /// Asks a broker; `None` when nothing came back, whatever has become of the request.
    pub async fn ask<R: Request>(&mut self, broker: i32, request: &R, version: i16) -> Option<R::Response> {
        let chunks = header::request_frame(request, version, 1, "sim").expect("it can be said");
        let frame = joined(chunks);
        if !self.travel().await {
            return None;
        }
        let Reached { api, alive, gate } = self.world.api(broker)?;
        let call = async {
            gate.pass().await;
            let answer = api.call(&self.client, frame.slice(4..)).await;
            gate.pass().await;
            answer
        };
        let answer = timeout(&*self.world.clock, Duration::from_secs(8), call).await.ok()?;
        drop(api);
        if !self.travel().await || !alive.load(Ordering::SeqCst) {
            return None;
        }
        let frame = bytes_of(answer)?;
        let (_, response) = header::read_response::<R>(frame.slice(4..), version, &Limits::default())
            .expect("an answer that a client can read");
        Some(response)
    }

    /// Learns from any broker who leads.
    pub async fn refresh(&mut self) {
        let broker = self.rng.random_range(1..=3);
        let wanted = MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(vec![wanted]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let Some(told) = self.ask(broker, &request, 12).await else { return };
        let Some(topic) = told.topics.first().filter(|topic| topic.error_code.is_none()) else { return };
        self.topic_id = topic.topic_id;
        for partition in &topic.partitions {
            if let Some(leader) = self.leaders.get_mut(partition.partition_index as usize)
                && partition.leader_id > 0
            {
                *leader = partition.leader_id;
            }
        }
    }

    async fn pause(&mut self) {
        let millis = self.rng.random_range(20..250);
        self.world.clock.sleep(Duration::from_millis(millis)).await;
    }

    async fn producer_id(&mut self) -> ProducerId {
        loop {
            let broker = self.rng.random_range(1..=3);
            let request = InitProducerIdRequest { transaction_timeout_ms: 1_000, ..Default::default() };
            if let Some(told) = self.ask(broker, &request, 4).await
                && told.error_code.is_none()
            {
                return ProducerId(told.producer_id);
            }
            self.pause().await;
        }
    }

    /// An idempotent producer: one batch at a time, until it is acknowledged. Ends when told to, with nothing open.
    pub async fn produce(mut self, number: usize, stop: Arc<AtomicBool>) {
        let partition = i32::try_from(number).expect("few producers") % PARTITIONS;
        let id = self.producer_id().await;
        let mut next: u64 = 0;
        while !stop.load(Ordering::SeqCst) && self.world.history.violation().is_none() {
            let count = self.rng.random_range(1..4);
            let values: Vec<Value> = (0..count).map(|i| (number, next + i)).collect();
            let records = self.batch(id, &values);
            let offset = self.deliver(partition, records).await;
            if let Some(offset) = offset {
                for (at, value) in (offset..).zip(&values) {
                    self.world.history.acknowledged(partition, at, *value);
                }
            }
            next += count;
            let millis = self.rng.random_range(0..self.pause_ms);
            self.world.clock.sleep(Duration::from_millis(millis)).await;
        }
    }

    fn batch(&self, id: ProducerId, values: &[Value]) -> Bytes {
        let first = i32::try_from(values[0].1).expect("a short run");
        self.batch_of(BatchBuilder::new(Compression::None).producer(id, ProducerEpoch(0), first), values)
    }

    fn batch_of(&self, mut builder: BatchBuilder, values: &[Value]) -> Bytes {
        for (producer, number) in values {
            let mut text = format!("{producer} {number} ");
            text.extend(std::iter::repeat_n('.', FILLING));
            builder.add(self.world.wall_ms(), None, Some(text.as_bytes()), &[]);
        }
        builder.build().expect("a batch")
    }

    /// Tries until the batch is acknowledged; its offset. `None` after a violation.
    async fn deliver(&mut self, partition: i32, records: Bytes) -> Option<i64> {
        loop {
            let data = PartitionProduceData { index: partition, records: Some(records.clone().into()) };
            let topic =
                TopicProduceData { name: TOPIC.into(), partition_data: vec![data], ..Default::default() };
            let request =
                ProduceRequest { acks: -1, timeout_ms: 3_000, topic_data: vec![topic], ..Default::default() };
            let leader = self.leaders[partition as usize];
            let told = self.ask(leader, &request, 9).await;
            let answer = told.as_ref().map(|told| &told.responses[0].partition_responses[0]);
            match answer.map(|answer| (answer.error_code, answer.base_offset)) {
                Some((ErrorCode::NONE, offset)) => return Some(offset),
                Some((code, _)) if !code.is_retriable() => {
                    let what = format!("producer-refused: {code} for {partition} by {leader}");
                    self.world.history.violated(what);
                    return None;
                }
                _ => {}
            }
            if self.world.history.violation().is_some() {
                return None;
            }
            self.pause().await;
            self.refresh().await;
        }
    }

    /// Sends values once, under no producer's id; their offset, or `None` when nothing is known of what has become of them.
    pub async fn write_once(&mut self, partition: i32, values: &[Value]) -> Option<i64> {
        let data = PartitionProduceData {
            index: partition,
            records: Some(self.batch_of(BatchBuilder::new(Compression::None), values).into()),
        };
        let topic = TopicProduceData { name: TOPIC.into(), partition_data: vec![data], ..Default::default() };
        let request =
            ProduceRequest { acks: -1, timeout_ms: 3_000, topic_data: vec![topic], ..Default::default() };
        let told = self.ask(self.leaders[partition as usize], &request, 9).await;
        let answer = told.as_ref().map(|told| &told.responses[0].partition_responses[0]);
        match answer {
            Some(answer) if answer.error_code.is_none() => Some(answer.base_offset),
            _ => {
                self.pause().await;
                self.refresh().await;
                None
            }
        }
    }

    /// All that is in a partition up to `end`, from its first offset on. Waits for as long as it takes.
    pub async fn read_all(&mut self, partition: i32, end: i64) -> Result<Vec<(i64, Value)>, String> {
        let mut all = Vec::new();
        let mut position = 0;
        while position < end {
            match self.fetch(partition, position).await {
                Some(batches) => {
                    let records = records_from(partition, position, batches)?;
                    position = records.last().map_or(position, |(offset, _)| offset + 1);
                    all.extend(records);
                }
                None => {
                    self.pause().await;
                    self.refresh().await;
                }
            }
        }
        Ok(all)
    }

    /// Reads one partition from `from` on, and checks that nothing is skipped; ends where `end` says, or never.
    pub async fn consume(mut self, partition: i32, until: Option<i64>, stop: Arc<AtomicBool>) {
        let mut position = 0;
        while until.is_none_or(|end| position < end)
            && !stop.load(Ordering::SeqCst)
            && self.world.history.violation().is_none()
        {
            match self.fetch(partition, position).await {
                Some(batches) if !batches.is_empty() => position = self.note(partition, position, batches),
                Some(_) => {}
                None => {
                    self.pause().await;
                    self.refresh().await;
                }
            }
        }
    }

    pub(super) async fn fetch(&mut self, partition: i32, position: i64) -> Option<Bytes> {
        let wanted = FetchPartition {
            partition,
            fetch_offset: position,
            partition_max_bytes: 4_000,
            ..Default::default()
        };
        let topic = FetchTopic { topic_id: self.topic_id, partitions: vec![wanted], ..Default::default() };
        let request = FetchRequest {
            max_wait_ms: 200,
            min_bytes: 1,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let leader = self.leaders[partition as usize];
        let told = self.ask(leader, &request, 16).await?;
        let data = told.responses.into_iter().next()?.partitions.into_iter().next()?;
        if !data.error_code.is_none() {
            return None;
        }
        Some(match data.records {
            Some(records) => records.into_bytes().expect("in memory"),
            None => Bytes::new(),
        })
    }

    /// Writes down what was read; the next position.
    fn note(&self, partition: i32, position: i64, batches: Bytes) -> i64 {
        let history = &self.world.history;
        match records_from(partition, position, batches) {
            Ok(records) => records.into_iter().fold(position, |_, (offset, value)| {
                history.read(partition, offset, value);
                offset + 1
            }),
            Err(wrong) => {
                history.violated(wrong);
                position
            }
        }
    }
}

/// The records of what came for a position, or what is wrong with it.
fn records_from(partition: i32, mut position: i64, batches: Bytes) -> Result<Vec<(i64, Value)>, String> {
    let mut records = Vec::new();
    for batch in BatchIter::new(batches) {
        // The last one may be cut off.
        let Ok(batch) = batch else { break };
        if let Err(wrong) = batch.check_crc() {
            return Err(format!("wrong-bytes: {partition}/{}: {wrong}", batch.header.base_offset));
        }
        for record in batch.records(1 << 20).expect("records") {
            let record = record.expect("a record");
            let offset = record.offset.0;
            if offset < position {
                continue;
            }
            if offset > position {
                return Err(format!("poll-skip: {partition}: {position} was asked, {offset} came"));
            }
            let value = record.value.expect("a value");
            let text = std::str::from_utf8(&value).expect("text");
            let mut words = text.split(' ');
            let mut word = || words.next().expect("two words").parse::<u64>().expect("a number");
            records.push((offset, (word() as usize, word())));
            position = offset + 1;
        }
    }
    Ok(records)
}

fn joined(chunks: Vec<crate::wire::Chunk>) -> Bytes {
    let mut frame = BytesMut::new();
    for chunk in chunks {
        frame.extend_from_slice(&chunk.into_bytes().expect("in memory"));
    }
    frame.freeze()
}

fn bytes_of(answer: Answer) -> Option<Bytes> {
    match answer {
        Answer::Frame(chunks) | Answer::Large(chunks, _) | Answer::Last(chunks, _) => Some(joined(chunks)),
        Answer::Throttled(_, answer) => bytes_of(*answer),
        Answer::Silence | Answer::Close(_) => None,
    }
}
