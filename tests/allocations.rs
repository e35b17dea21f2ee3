//! Allocations of a broker that serves steady producers and consumers: none per record, on the way in and on the way out.
//!
//! The same number of requests, once with batches of few records and once with batches of many, goes over a socket to a
//! broker in this process, and every allocation of the process is counted. Requests are encoded beforehand and answers are read into
//! one buffer, so the client adds none per record either. A file of its own: the allocator belongs to the whole process.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use esker::api::Api;
use esker::broker::config::BrokerConfig;
use esker::broker::{Broker, Endpoint, Seams};
use esker::env::Env;
use esker::server::{ListenerSpec, Server, ServerLimits, bind};
use esker::types::TopicId;
use esker::wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use esker::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use esker::wire::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use esker::wire::record_batch::{BatchBuilder, Compression};
use esker::wire::{ApiKey, Codec as _, Encoder, ErrorCode, Limits, Message as _};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const FEW: i64 = 10;
const MANY: i64 = 1_000;
/// Requests of each kind and size.
const REQUESTS: u64 = 200;
/// Allocations per record that do not count: what the broker does by its clock meanwhile.
const NOISE: f64 = 0.05;

struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
        stream.set_nodelay(true).expect("no delay");
        Client { stream, answer: Vec::with_capacity(4 << 20) }
    }

    /// The answer's body, behind its header of `header` bytes.
    fn call(&mut self, frame: &[u8], header: usize) -> &[u8] {
        self.stream.write_all(frame).expect("sends");
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).expect("an answer");
        self.answer.resize(u32::from_be_bytes(length) as usize, 0);
        self.stream.read_exact(&mut self.answer).expect("a whole answer");
        &self.answer[header..]
    }
}

/// A request in its frame: key, version, correlation id 1, client id "x", and tags where the version is flexible.
fn frame(key: ApiKey, version: i16, flexible: bool, body: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut encoder = Encoder::new();
    body(&mut encoder);
    let mut out = Vec::new();
    out.extend_from_slice(&(key as i16).to_be_bytes());
    out.extend_from_slice(&version.to_be_bytes());
    out.extend_from_slice(&1_i32.to_be_bytes());
    out.extend_from_slice(&1_i16.to_be_bytes());
    out.push(b'x');
    if flexible {
        out.push(0);
    }
    for chunk in encoder.into_chunks() {
        out.extend_from_slice(&chunk.into_bytes().expect("bytes"));
    }
    let length = u32::try_from(out.len()).expect("small").to_be_bytes();
    [&length[..], &out].concat()
}

fn topic(client: &mut Client, name: &str) -> TopicId {
    let wanted = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![wanted]), ..Default::default() };
    let frame = frame(ApiKey::Metadata, 12, true, |e| request.encode(e, 12).expect("encodes"));
    for _ in 0..3_000 {
        let body = Bytes::copy_from_slice(client.call(&frame, 5));
        let answer = MetadataResponse::from_bytes(body, 12, &Limits::default()).expect("an answer");
        let found = &answer.topics[0];
        if found.error_code == ErrorCode::NONE && found.partitions.iter().all(|p| p.leader_id >= 0) {
            return found.topic_id;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("topic {name} has no leader within a minute");
}

fn batch(records: i64) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for i in 0..records {
        builder.add(1_700_000_000_000 + i, None, Some(b"0123456789"), &[]);
    }
    builder.build().expect("a batch")
}

/// Allocations per request of producing, then of fetching, batches of so many records.
fn measure(client: &mut Client, name: &str, records: i64) -> (f64, f64) {
    let id = topic(client, name);
    let partition = PartitionProduceData { index: 0, records: Some(batch(records).into()) };
    let data = TopicProduceData { name: name.into(), partition_data: vec![partition], ..Default::default() };
    let request =
        ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![data], ..Default::default() };
    let produce = frame(ApiKey::Produce, 9, true, |e| request.encode(e, 9).expect("encodes"));
    // The first answers are checked, and warm both sides up.
    for i in 0..20 {
        let body = Bytes::copy_from_slice(client.call(&produce, 5));
        let answer = ProduceResponse::from_bytes(body, 9, &Limits::default()).expect("an answer");
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::NONE, i * records));
    }
    let produced = counted(REQUESTS, || {
        client.call(&produce, 5);
    });

    // Always the same batch, alone: what is sent has as many requests as what was produced.
    let bytes = i32::try_from(batch(records).len()).expect("small");
    let wanted = FetchPartition {
        partition: 0,
        fetch_offset: 5 * records,
        partition_max_bytes: bytes,
        ..Default::default()
    };
    let topics = vec![FetchTopic { topic_id: id, partitions: vec![wanted], ..Default::default() }];
    let request = FetchRequest {
        max_bytes: 1 << 20,
        min_bytes: 1,
        max_wait_ms: 500,
        session_epoch: -1,
        topics,
        ..Default::default()
    };
    let fetch = frame(ApiKey::Fetch, 13, true, |e| request.encode(e, 13).expect("encodes"));
    for _ in 0..20 {
        let body = Bytes::copy_from_slice(client.call(&fetch, 5));
        let answer = FetchResponse::from_bytes(body, 13, &Limits::default()).expect("an answer");
        let answer = &answer.responses[0].partitions[0];
        assert_eq!(answer.error_code, ErrorCode::NONE);
        assert_eq!(answer.records.as_ref().map(esker::wire::Records::len), Some(bytes as usize));
    }
    let fetched = counted(REQUESTS, || {
        client.call(&fetch, 5);
    });
    (produced, fetched)
}

fn counted(requests: u64, mut work: impl FnMut()) -> f64 {
    let before = dhat::HeapStats::get().total_blocks;
    (0..requests).for_each(|_| work());
    (dhat::HeapStats::get().total_blocks - before) as f64 / requests as f64
}

async fn start(folder: &Path) -> (Arc<Broker>, Server, SocketAddr) {
    let env = Env::real();
    let text = format!(
        "listeners=PLAINTEXT://127.0.0.1:0\npeer.listener=127.0.0.1:0\nlog.dirs={}\n",
        folder.join("data").display()
    );
    let config =
        BrokerConfig::load(Path::new("x.properties"), &text, std::iter::empty()).expect("a configuration");
    let spec = ListenerSpec {
        name: "PLAINTEXT".into(),
        host: "127.0.0.1".into(),
        port: 0,
        tls: None,
        sasl: false,
        max_connections: 100,
        connections_per_second: 100,
    };
    let bound = bind(&env, ServerLimits::of(&config), vec![spec]).await.expect("binds");
    let address = bound.addresses().expect("addresses")[0].1;
    let endpoint = Endpoint { listener: "PLAINTEXT".into(), host: "127.0.0.1".into(), port: address.port() };
    let broker = Broker::start(Seams::real(env), config, vec![endpoint]).await.expect("starts");
    let server = bound.serve(Arc::new(Api::new(broker.clone(), None, None)));
    (broker, server, address)
}

#[test]
fn nothing_is_allocated_per_record() {
    let _counting = dhat::Profiler::builder().testing().build();
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (broker, server, address) = runtime.block_on(start(folder.path()));
    let mut client = Client::connect(address);
    let (produce_few, fetch_few) = measure(&mut client, "few", FEW);
    let (produce_many, fetch_many) = measure(&mut client, "many", MANY);
    for (way, few, many) in [("produce", produce_few, produce_many), ("fetch", fetch_few, fetch_many)] {
        let per_record = (many - few) / (MANY - FEW) as f64;
        println!(
            "{way}: {few:.1} allocations per request of {FEW} records, {many:.1} of {MANY}: {per_record:.4} per record"
        );
        assert!(few >= 1.0, "{way}: nothing was counted");
        assert!(per_record < NOISE, "{way}: {per_record:.4} allocations per record");
    }
    runtime.block_on(async {
        server.shutdown(Duration::from_secs(5)).await;
        broker.shutdown().await;
    });
}
