//! A whole broker behind real sockets: every API in every version, and input that nobody should send.

use std::path::Path;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::api::Api;
use crate::broker::{Broker, Endpoint, Seams};
use crate::security::Authorizer;
use crate::types::{ProducerEpoch, ProducerId, TopicId, TopicName, TopicPartition};
use crate::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use crate::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use crate::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::wire::messages::{for_each_api, header::ResponseHeader};
use crate::wire::record_batch::{BatchBuilder, Compression};
use crate::wire::samples::{Gen, Sample};
use crate::wire::{ApiKey, Decoder, ErrorCode, Limits, Message as _, Request, header};

const PATIENCE: Duration = Duration::from_secs(20);

/// A lone broker on free ports, with its data in a folder that goes away with it.
pub(super) struct Lone {
    pub(super) env: Env,
    pub(super) broker: Arc<Broker>,
    server: Server,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Lone {
    pub(super) async fn start() -> Lone {
        Lone::start_with(None).await
    }

    /// With an authorizer; the clients are anonymous.
    pub(super) async fn start_with(authorizer: Option<Authorizer>) -> Lone {
        let env = Env::real();
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "listeners=PLAINTEXT://127.0.0.1:0\npeer.listener=127.0.0.1:0\nlog.dirs={}\n\
             offsets.topic.num.partitions=1\ngroup.initial.rebalance.delay.ms=0\n",
            folder.path().join("data").display()
        );
        let config = BrokerConfig::load(Path::new("x.properties"), &text, std::iter::empty()).unwrap();
        let spec = ListenerSpec {
            name: "PLAINTEXT".into(),
            host: "127.0.0.1".into(),
            port: 0,
            tls: None,
            sasl: false,
            max_connections: 10_000,
            connections_per_second: 10_000,
        };
        let bound = bind(&env, ServerLimits::of(&config), vec![spec]).await.unwrap();
        let address = bound.addresses().unwrap()[0].1;
        let endpoint =
            Endpoint { listener: "PLAINTEXT".into(), host: "127.0.0.1".into(), port: address.port() };
        let broker = Broker::start(Seams::real(env.clone()), config, vec![endpoint]).await.unwrap();
        let server = bound.serve(Arc::new(Api::new(broker.clone(), authorizer, None)));
        Lone { env, broker, server, address, _folder: folder }
    }

    pub(super) async fn stop(self) {
        self.server.shutdown(Duration::from_secs(1)).await;
        self.broker.shutdown().await;
    }

    pub(super) async fn connect(&self) -> Client {
        let stream = self.env.net.connect(self.address).await.unwrap();
        Client { env: self.env.clone(), stream, correlation_id: 0 }
    }

    /// The id of a topic of one partition, created by asking for it.
    pub(super) async fn topic(&self, name: &str) -> TopicId {
        let wanted = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![wanted]), ..Default::default() };
        let told = self.connect().await.ask(&request, 12).await.unwrap();
        assert_eq!(told.topics[0].error_code, ErrorCode::NONE);
        // The replica opens its log a moment after the topic is known.
        let partition = TopicPartition::new(TopicName::new(name).unwrap(), 0);
        while self.broker.replicas().replica(&partition).is_none_or(|r| !r.positions().leads()) {
            self.env.clock.sleep(Duration::from_millis(5)).await;
        }
        told.topics[0].topic_id
    }
}

pub(super) struct Client {
    env: Env,
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    async fn send<R: Request>(&mut self, request: &R, version: i16) {
        self.correlation_id += 1;
        let frame = header::request_frame(request, version, self.correlation_id, "test").unwrap();
        for chunk in frame {
            self.stream.write_all(&chunk.into_bytes().unwrap()).await.unwrap();
        }
    }

    /// The next frame; `None` when the connection was closed.
    async fn receive(&mut self) -> Option<Bytes> {
        let clock = self.env.clock.clone();
        let read = async {
            let length = self.stream.read_u32().await.ok()?;
            let mut frame = vec![0; length as usize];
            self.stream.read_exact(&mut frame).await.ok()?;
            Some(Bytes::from(frame))
        };
        timeout(&*clock, PATIENCE, read).await.expect("an answer in time")
    }

    pub(super) async fn ask<R: Request>(&mut self, request: &R, version: i16) -> Option<R::Response> {
        self.send(request, version).await;
        let frame = self.receive().await?;
        let (correlation_id, response) =
            header::read_response::<R>(frame, version, &Limits::default()).unwrap();
        assert_eq!(correlation_id, self.correlation_id);
        Some(response)
    }

    /// Whether the broker has kept the connection for a moment after it was made.
    pub(super) async fn is_open(&mut self) -> bool {
        let clock = self.env.clock.clone();
        timeout(&*clock, Duration::from_millis(50), self.stream.read_u8()).await.is_err()
    }

    async fn is_alive(&mut self) -> bool {
        self.ask(&ApiVersionsRequest::default(), 0).await.is_some_and(|a| a.error_code.is_none())
    }
}

/// An empty request, or a random one where a version cannot say an empty one.
fn some<R: Request + Sample + Default>(version: i16) -> R {
    let empty = R::default();
    if empty.to_bytes(version).is_ok() { empty } else { R::sample(&mut Gen::new(1), version) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_api_answers_in_every_version() {
    let lone = Lone::start().await;
    let mut client = lone.connect().await;
    macro_rules! ask_all {
        ($($api:ident, $module:ident, $request:ident, $response:ident;)*) => { $(
            let (lowest, highest) = ApiKey::$api.versions();
            for version in lowest..=highest {
                use crate::wire::messages::$module::$request;
                let request: $request = some(version);
                let at = format!("{:?} {version}", ApiKey::$api);
                if ApiKey::$api == ApiKey::Produce {
                    // With acks=0 there is no answer.
                    client.send(&request, version).await;
                    assert!(client.is_alive().await, "{at}");
                } else {
                    assert!(client.ask(&request, version).await.is_some(), "{at}");
                }
            }
        )* };
    }
    for_each_api!(ask_all);
    lone.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_requests_are_answered_or_end_their_connection_and_nothing_else() {
    let lone = Lone::start().await;
    let mut bystander = lone.connect().await;
    macro_rules! ask_all {
        ($($api:ident, $module:ident, $request:ident, $response:ident;)*) => { $(
            let (lowest, highest) = ApiKey::$api.versions();
            let may_wait = matches!(ApiKey::$api, ApiKey::JoinGroup | ApiKey::SyncGroup | ApiKey::Produce);
            for version in lowest..=highest {
                use crate::wire::messages::$module::$request;
                let mut client = lone.connect().await;
                for seed in 0..4 {
                    let request = $request::sample(&mut Gen::new(seed), version);
                    client.send(&request, version).await;
                    if !may_wait && client.receive().await.is_none() {
                        client = lone.connect().await;
                    }
                }
            }
        )* };
    }
    for_each_api!(ask_all);
    assert!(bystander.is_alive().await);
    lone.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_keys_and_versions_close_but_for_api_versions() {
    let lone = Lone::start().await;
    for (key, version) in [(999i16, 0i16), (-1, 0), (3, 99), (3, -1), (0, 2), (7, 0)] {
        let mut client = lone.connect().await;
        let [a, b] = key.to_be_bytes();
        let [c, d] = version.to_be_bytes();
        client.stream.write_all(&[0, 0, 0, 10, a, b, c, d, 0, 0, 0, 1, 0xff, 0xff]).await.unwrap();
        assert!(client.receive().await.is_none(), "key {key} version {version}");
    }
    let mut client = lone.connect().await;
    // ApiVersions 99, with a flexible header as a newer client would send it.
    client.stream.write_all(&[0, 0, 0, 13, 0, 18, 0, 99, 0, 0, 0, 9, 0xff, 0xff, 0, 1, 1]).await.unwrap();
    let mut frame = Decoder::new(client.receive().await.unwrap(), &Limits::default());
    assert_eq!(ResponseHeader::read(&mut frame, 0).unwrap().correlation_id, 9);
    let answer = ApiVersionsResponse::read(&mut frame, 0).unwrap();
    frame.finish().unwrap();
    assert_eq!(answer.error_code, ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(answer.api_keys.len(), ApiKey::ALL.len());
    assert!(client.is_alive().await, "the client may try again on the same connection");
    lone.stop().await;
}

pub(super) fn produce(topic: &str, records: Bytes, acks: i16) -> ProduceRequest {
    let partition = PartitionProduceData { index: 0, records: Some(records.into()) };
    let topic =
        TopicProduceData { name: topic.into(), partition_data: vec![partition], ..Default::default() };
    ProduceRequest { acks, timeout_ms: 5_000, topic_data: vec![topic], ..Default::default() }
}

pub(super) fn batch(value: &'static [u8]) -> Bytes {
    let now = Env::real().clock.wall_ms();
    let mut builder = BatchBuilder::new(Compression::None);
    builder.add(now, Some(b"k"), Some(value), &[]);
    builder.build().unwrap()
}

fn transactional_batch(value: &'static [u8]) -> Bytes {
    let builder = BatchBuilder::new(Compression::None).producer(ProducerId(7), ProducerEpoch(0), 0);
    let mut builder = builder.transactional();
    builder.add(Env::real().clock.wall_ms(), Some(b"k"), Some(value), &[]);
    builder.build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_produced_is_fetched_and_a_session_tells_only_what_is_new() {
    let lone = Lone::start().await;
    let id = lone.topic("t").await;
    let mut client = lone.connect().await;
    // With acks=0 nothing comes back, and the next answer is the next request's.
    client.send(&produce("t", batch(b"first"), 0), 9).await;
    let answer = client.ask(&produce("t", batch(b"second"), -1), 9).await.unwrap();
    let told = &answer.responses[0].partition_responses[0];
    assert_eq!((told.error_code, told.base_offset), (ErrorCode::NONE, 1));

    let wanted = FetchPartition { partition: 0, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic_id: id, partitions: vec![wanted], ..Default::default() };
    let full = FetchRequest {
        session_epoch: 0,
        max_wait_ms: 300,
        min_bytes: 1,
        topics: vec![topic],
        ..Default::default()
    };
    let count = |answer: &FetchResponse| answer.responses.iter().map(|t| t.partitions.len()).sum::<usize>();
    let answer = client.ask(&full, 17).await.unwrap();
    assert!(answer.session_id > 0);
    let data = &answer.responses[0].partitions[0];
    assert_eq!((data.error_code, data.high_watermark), (ErrorCode::NONE, 2));
    assert_eq!(data.records.as_ref().unwrap().len(), batch(b"first").len() + batch(b"second").len());

    let next = |epoch, offset: Option<i64>| {
        let partitions = offset.map(|fetch_offset| FetchPartition {
            partition: 0,
            fetch_offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        });
        let topics = partitions
            .map(|p| vec![FetchTopic { topic_id: id, partitions: vec![p], ..Default::default() }])
            .unwrap_or_default();
        FetchRequest {
            session_id: answer.session_id,
            session_epoch: epoch,
            max_wait_ms: 300,
            min_bytes: 1,
            topics,
            ..Default::default()
        }
    };
    let begun = lone.env.clock.now();
    let empty = client.ask(&next(1, Some(2)), 17).await.unwrap();
    assert_eq!((empty.error_code, count(&empty)), (ErrorCode::NONE, 0));
    assert!(lone.env.clock.now().since(begun) >= Duration::from_millis(250), "an empty answer has waited");

    // A record that comes meanwhile ends the wait.
    let mut producer = lone.connect().await;
    let waiting = next(2, None);
    let (news, _) = tokio::join!(client.ask(&waiting, 17), async {
        lone.env.clock.sleep(Duration::from_millis(50)).await;
        producer.ask(&produce("t", batch(b"third"), 1), 9).await.unwrap()
    });
    assert_eq!(count(&news.unwrap()), 1);
    lone.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_cannot_be_taken_has_its_code_and_with_acks_0_ends_the_connection() {
    let lone = Lone::start().await;
    lone.topic("t").await;
    let code = |answer: crate::wire::messages::produce::ProduceResponse| {
        answer.responses[0].partition_responses[0].error_code
    };
    let mut broken = batch(b"value").to_vec();
    *broken.last_mut().unwrap() ^= 1;
    let broken = Bytes::from(broken);
    let mut client = lone.connect().await;
    for (request, expected) in [
        (produce("t", broken.clone(), 1), ErrorCode::CORRUPT_MESSAGE),
        (produce("t", batch(b"v"), 2), ErrorCode::INVALID_REQUIRED_ACKS),
        (produce("../t", batch(b"v"), 1), ErrorCode::INVALID_TOPIC_EXCEPTION),
        (produce("unknown", batch(b"v"), 1), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (produce("t", batch(b"v"), 1), ErrorCode::NONE),
    ] {
        assert_eq!(code(client.ask(&request, 9).await.unwrap()), expected);
    }
    let in_no_transaction = code(client.ask(&produce("t", transactional_batch(b"v"), -1), 9).await.unwrap());
    assert_eq!(in_no_transaction, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    let of_nobody =
        ProduceRequest { transactional_id: Some("x".into()), ..produce("t", transactional_batch(b"v"), -1) };
    let unverified = code(client.ask(&of_nobody, 9).await.unwrap());
    assert_eq!(unverified, ErrorCode::NOT_ENOUGH_REPLICAS, "nobody coordinates transactions yet");
    client.send(&produce("t", broken, 0), 9).await;
    assert!(client.receive().await.is_none());
    lone.stop().await;
}
