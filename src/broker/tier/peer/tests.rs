//! Three brokers over one store that counts its requests, with the real protocol between them on a network in memory.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures::future::join_all;
use tiering::cache::CacheLimits;
use tiering::layout::{PartitionFolder, SegmentName};
use tiering::lineage::EpochStart;
use tiering::manifest::{Manifest, Segment, Writer};
use tiering::object::ObjectOptions;
use tiering::read::{ReadError, ReadLimits, Reader};
use tiering::store::{MemoryStore, MeteredStore, Requests, SharedStore, Store};
use tiering::upload::{Progress, SegmentSource, UploadOptions, UploadRequest, upload};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::*;
use crate::transport::Transport as _;
use crate::transport::memory::{MemoryNetwork, MemoryTransport};
use crate::types::LeaderEpoch;
use crate::wire::record_batch::{BatchBuilder, Compression};

const RECORDS: i64 = 200;
const CHAIN: [EpochStart; 1] = [EpochStart { epoch: 1, start: 0 }];
/// No answer is waited for in vain in these tests: a slow machine must not change what they count.
const PATIENT: Patience = Patience {
    locate: Duration::from_secs(60),
    read: Duration::from_secs(60),
    after_silence: Duration::from_secs(60),
};

struct InMemory(Bytes);

#[async_trait]
impl SegmentSource for InMemory {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }
    async fn read(&self, position: u64, bytes: usize) -> std::io::Result<Bytes> {
        let at = position as usize;
        Ok(self.0.slice(at..self.0.len().min(at + bytes)))
    }
}

/// What a broker knows of the others, and a local log that may hold all of the segment.
struct Around {
    live: Mutex<Vec<Peer>>,
    log: Option<Bytes>,
    copies: AtomicUsize,
}

#[async_trait]
impl Neighbours for Around {
    fn replicas(&self, _: TopicId, _: i32) -> Vec<Peer> {
        self.live.lock().clone()
    }

    async fn local_copy(&self, request: &Request) -> Option<Bytes> {
        let at = usize::try_from(request.chunk.position).unwrap();
        let found = self.log.as_ref()?.slice(at..at + request.chunk.bytes as usize);
        self.copies.fetch_add(1, Relaxed);
        Some(found)
    }
}

struct OneBroker {
    id: BrokerId,
    transport: Arc<MemoryTransport>,
    around: Arc<Around>,
    reader: Reader,
    peers: Arc<TierPeers>,
}

struct Cluster {
    network: MemoryNetwork,
    store: MemoryStore,
    requests: Arc<Requests>,
    folder: PartitionFolder,
    manifest: Manifest,
    log: Bytes,
    brokers: Vec<OneBroker>,
}

fn records() -> Bytes {
    let mut log = Vec::new();
    for offset in 0..RECORDS {
        let mut batch = BatchBuilder::new(Compression::None).placed(Offset(offset), LeaderEpoch(1));
        batch.add(offset, None, Some(&Bytes::from(vec![b'v'; 100])), &[]);
        log.extend_from_slice(&batch.build().unwrap());
    }
    Bytes::from(log)
}

async fn uploaded(store: &dyn Store, folder: &PartitionFolder, log: &Bytes) -> Segment {
    let request = UploadRequest {
        folder: folder.clone(),
        name: SegmentName { base: 0, leader_epoch: 1, uuid: Uuid::from_u128(1) },
        end: RECORDS,
        chain: CHAIN.to_vec(),
        aborted_transactions: Bytes::new(),
        producer_snapshot: Bytes::new(),
    };
    let options = UploadOptions {
        object: ObjectOptions { chunk_bytes: 2000, index_interval_bytes: 500 },
        ..UploadOptions::default()
    };
    upload(store, &request, &InMemory(log.clone()), &options, &Progress::default()).await.unwrap()
}

/// Three brokers; `with_peers` are told of each other, `logs` have the segment on their disks too.
async fn cluster(with_peers: bool, logs: &[i32], patience: Patience) -> Cluster {
    let env = Env::real();
    let network = MemoryNetwork::new(&env);
    let store = MemoryStore::new();
    let topic = TopicId::from_bytes([7; 16]);
    let folder = PartitionFolder::new("c", "t", &topic.to_string(), 0).unwrap();
    let log = records();
    let segment = uploaded(&store, &folder, &log).await;
    let writer = Writer { epoch: 1, uuid: Uuid::nil() };
    let manifest = Manifest { generation: 1, writer, live: vec![segment], ..Manifest::default() };
    let metered = MeteredStore::new(Arc::new(store.clone()));
    let requests = metered.requests();
    let shared: SharedStore = Arc::new(metered);
    let address = |id: i32| format!("host-{id}:{id}");
    let live: Vec<Peer> = (1..=3).map(|id| Peer { id: BrokerId(id), address: address(id) }).collect();
    let mut brokers = Vec::new();
    for id in 1..=3 {
        let transport = network.join(BrokerId(id), &address(id));
        let limits = CacheLimits { memory_bytes: 1 << 20, disk_bytes: 0 };
        let chunks = ChunkCache::open(limits, None, Handle::current()).await.unwrap();
        let reader = Reader::new(shared.clone(), chunks.clone(), ReadLimits::default());
        let around = Arc::new(Around {
            live: Mutex::new(live.clone()),
            log: logs.contains(&id).then(|| log.clone()),
            copies: AtomicUsize::new(0),
        });
        let peers = TierPeers::new(&env, BrokerId(id), transport.clone(), around.clone(), chunks, patience);
        if with_peers {
            reader.set_peers(peers.clone());
        }
        let (accepting, serving) = (transport.clone(), peers.clone());
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                tokio::spawn(serving.clone().serve(incoming));
            }
        });
        brokers.push(OneBroker { id: BrokerId(id), transport, around, reader, peers });
    }
    Cluster { network, store, requests, folder, manifest, log, brokers }
}

impl Cluster {
    async fn read_all(&self, broker: usize) -> Result<(), ReadError> {
        let reader = &self.brokers[broker].reader;
        let slice = reader.read(&self.folder, &self.manifest, &CHAIN, 0, usize::MAX).await?;
        assert_eq!(tiering::store::concat(&slice.batches), self.log, "broker {broker}");
        Ok(())
    }

    async fn chunks(&self) -> u64 {
        let footer = self.brokers[0].reader.footer(&self.folder, &self.manifest.live[0]).await.unwrap();
        footer.chunks.len() as u64
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_brokers_that_read_the_same_chunks_at_once_ask_the_store_once_for_each() {
    let cluster = cluster(true, &[], PATIENT).await;
    let chunks = cluster.chunks().await;
    assert!(chunks >= 10, "{chunks} chunks");
    for outcome in join_all((0..3).map(|broker| cluster.read_all(broker))).await {
        outcome.unwrap();
    }
    // Each broker brings its own footer.
    assert_eq!(cluster.requests.counts().gets, 3 + chunks);
    let from_peers: u64 = cluster.brokers.iter().map(|b| b.reader.chunks().counts().peer_hits).sum();
    assert_eq!(from_peers, 2 * chunks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_peers_every_broker_asks_the_store_for_every_chunk() {
    let cluster = cluster(false, &[], PATIENT).await;
    let chunks = cluster.chunks().await;
    for broker in 0..3 {
        cluster.read_all(broker).await.unwrap();
    }
    assert_eq!(cluster.requests.counts().gets, 3 * (1 + chunks));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_that_a_replica_still_has_on_its_disk_costs_no_request_when_it_keeps_it() {
    let cluster = cluster(true, &[1, 2, 3], PATIENT).await;
    let chunks = cluster.chunks().await;
    cluster.read_all(0).await.unwrap();
    let kept_elsewhere = cluster.brokers[0].reader.chunks().counts().peer_hits;
    assert!(kept_elsewhere > 0, "of {chunks} chunks some are kept by others");
    assert_eq!(cluster.requests.counts().gets, 1 + chunks - kept_elsewhere);
    let copies: usize = cluster.brokers.iter().map(|b| b.around.copies.load(Relaxed)).sum();
    assert_eq!(copies as u64, kept_elsewhere);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_are_silent_or_gone_leave_it_to_the_store() {
    let short = Patience {
        locate: Duration::from_millis(20),
        read: Duration::from_millis(20),
        after_silence: Duration::from_secs(60),
    };
    let cluster = cluster(true, &[], short).await;
    let chunks = cluster.chunks().await;
    for other in [1, 2] {
        cluster.network.cut(cluster.brokers[0].id, cluster.brokers[other].id);
    }
    cluster.read_all(0).await.unwrap();
    assert_eq!(cluster.requests.counts().gets, 1 + chunks);
    for broker in &cluster.brokers {
        broker.transport.close();
    }
    cluster.read_all(1).await.unwrap();
    cluster.read_all(2).await.unwrap();
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Gone,
    Log,
    Footer,
    All,
}

/// The broker that reads knows nothing of the object, not even its footer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_has_lost_or_damaged_comes_from_any_replicas_disk_or_cache() {
    for damage in [Damage::Gone, Damage::Log, Damage::Footer, Damage::All] {
        for (logs, all_is_cached) in [(&[3][..], false), (&[][..], true)] {
            let cluster = cluster(true, logs, PATIENT).await;
            let row = &cluster.manifest.live[0];
            if all_is_cached {
                cluster.read_all(1).await.unwrap();
            } else {
                cluster.brokers[1].reader.footer(&cluster.folder, row).await.unwrap();
            }
            let key = cluster.folder.segment(&row.name);
            let mut object = cluster.store.get(&key).await.unwrap().to_vec();
            match damage {
                Damage::Gone => cluster.store.delete(&key).await.unwrap(),
                Damage::Log => object[..cluster.log.len()].fill(0),
                Damage::Footer => object[cluster.log.len()..].fill(0),
                Damage::All => object.fill(0),
            }
            if !matches!(damage, Damage::Gone) {
                cluster.store.put(&key, vec![object.into()]).await.unwrap();
            }
            let read = cluster.read_all(0).await;
            assert!(read.is_ok(), "{damage:?}, all is cached elsewhere: {all_is_cached}: {read:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_has_is_an_error_and_wrong_bytes_of_a_peer_are_not_taken() {
    let cluster = cluster(true, &[], PATIENT).await;
    cluster.chunks().await;
    let key = cluster.folder.segment(&cluster.manifest.live[0].name);
    cluster.store.delete(&key).await.unwrap();
    assert!(matches!(cluster.read_all(0).await, Err(ReadError::Missing { .. })));
    // A peer whose log is another one.
    let wrong = BytesOf(Bytes::from(vec![1; cluster.log.len()]));
    let lying = Reader::new(
        Arc::new(cluster.store.clone()),
        cluster.brokers[1].reader.chunks().clone(),
        ReadLimits::default(),
    );
    lying.set_peers(Arc::new(wrong));
    let segment = uploaded(&cluster.store, &cluster.folder, &cluster.log).await;
    let manifest = Manifest { live: vec![segment], ..cluster.manifest.clone() };
    let slice = lying.read(&cluster.folder, &manifest, &CHAIN, 0, usize::MAX).await.unwrap();
    assert_eq!(tiering::store::concat(&slice.batches), cluster.log, "the store's bytes, not the peer's");
    assert_eq!(lying.chunks().counts().peer_hits, 0);
}

#[tokio::test]
async fn an_answer_counts_as_served_until_it_is_sent() {
    let cluster = cluster(true, &[1], PATIENT).await;
    let footer = cluster.brokers[0].reader.footer(&cluster.folder, &cluster.manifest.live[0]).await.unwrap();
    let id = ChunkId { object: cluster.manifest.live[0].name.uuid, number: 0 };
    let end = footer.chunks[1].base;
    let wanted = WantedChunk { folder: cluster.folder.clone(), id, chunk: footer.chunks[0], end };
    let request = Request::of(&wanted).unwrap();
    let peers = &cluster.brokers[0].peers;
    let served = || SERVED_BYTES - peers.serving.available_permits();
    let chunk = footer.chunks[0].bytes as usize;
    let read = || peers.answer(BrokerId(2), Question::Read { request: request.clone() });
    let kept = [read().await, read().await];
    assert!(kept.iter().all(|answer| answer.len() > chunk));
    assert_eq!(served(), 2 * chunk, "both wait to be sent");
    let all = peers.serving.clone().try_acquire_many_owned((SERVED_BYTES - 2 * chunk) as u32).unwrap();
    assert_eq!(read().await, Answer::Nothing.encode(), "there is no room for a third");
    drop(kept);
    assert!(read().await.len() > chunk);
    drop(all);
    assert_eq!(served(), 0);
}

/// A peer that always gives these bytes.
#[derive(Debug)]
struct BytesOf(Bytes);

#[async_trait]
impl ChunkPeers for BytesOf {
    async fn find(&self, wanted: &WantedChunk) -> Option<Bytes> {
        Some(self.0.slice(..wanted.chunk.bytes as usize))
    }
    async fn rescue(&self, wanted: &WantedChunk) -> Option<Bytes> {
        self.find(wanted).await
    }
}

#[test]
fn all_brokers_find_the_same_keeper_and_the_chunks_are_spread() {
    let peer = |id| Peer { id: BrokerId(id), address: String::new() };
    let (one, other) = ([peer(1), peer(2), peer(3)], [peer(3), peer(1), peer(2)]);
    let mut counts = [0; 4];
    for number in 0..300 {
        let id = ChunkId { object: Uuid::from_u128(5), number };
        let found = keeper(id, &one).unwrap().id;
        assert_eq!(keeper(id, &other).unwrap().id, found);
        counts[found.0 as usize] += 1;
    }
    assert!(counts[1..].iter().all(|count| *count > 50), "{counts:?}");
}
