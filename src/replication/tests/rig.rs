//! A cluster in one process: replica managers over a network and disks in memory, and one image that takes commands.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::env::pem::certificates;
use crate::env::sim::SimDisk;
use crate::env::{BlockingPool, Env, MonoTime};
use crate::log::{Appended, LogDirs};
use crate::metadata::{
    BrokerRegistration, Command, CommandReply, CreateTopic, Image, IsrMember, Partition, Proof,
};
use crate::replication::*;
use crate::transport::certs::Authority;
use crate::transport::memory::MemoryNetwork;
use crate::transport::quic::{QuicConfig, QuicTransport};
use crate::transport::{PeerTls, SharedTransport};
use crate::types::{
    BrokerEpoch, BrokerId, Incarnation, LeaderEpoch, Offset, TopicId, TopicName, TopicPartition,
};
use crate::wire::record_batch::{BatchBuilder, Compression};

pub const TOPIC: TopicId = TopicId(uuid::Uuid::from_bytes([7; 16]));

/// The quorum: one image, changed by commands in order.
#[derive(Clone)]
pub struct Truth {
    image: Arc<Mutex<Image>>,
    images: watch::Sender<Arc<Image>>,
}

impl Truth {
    pub fn apply(&self, command: &Command) -> Result<CommandReply, crate::metadata::CommandError> {
        let mut image = self.image.lock();
        let version = image.version + 1;
        let reply = image.apply(version, command)?;
        self.images.send_replace(Arc::new(image.clone()));
        Ok(reply)
    }

    pub fn ok(&self, command: &Command) -> CommandReply {
        self.apply(command).unwrap_or_else(|e| panic!("{command:?}: {e}"))
    }

    pub fn partition(&self) -> Partition {
        self.partition_of(0)
    }

    pub fn partition_of(&self, index: i32) -> Partition {
        self.image.lock().partition(&topic(), index).expect("the topic is there").clone()
    }
}

/// One broker's view of the quorum: it can be cut off, and its lease taken.
pub struct View {
    truth: Truth,
    images: watch::Sender<Arc<Image>>,
    pub connected: AtomicBool,
    pub leased: AtomicBool,
    pub replies_get_lost: AtomicBool,
    /// What it says of its directories does not arrive.
    pub assignments_get_lost: AtomicBool,
}

impl Quorum for View {
    fn images(&self) -> watch::Receiver<Arc<Image>> {
        self.images.subscribe()
    }

    fn submit(&self, command: Command) -> BoxFuture<'static, ProposalReply> {
        let is_lost = matches!(command, Command::AssignDirectory { .. })
            && self.assignments_get_lost.load(Ordering::SeqCst);
        let reply = if is_lost || !self.connected.load(Ordering::SeqCst) {
            ProposalReply::Unknown
        } else if self.truth.apply(&command).is_err() {
            ProposalReply::Refused
        } else if self.replies_get_lost.load(Ordering::SeqCst) {
            ProposalReply::Unknown
        } else {
            ProposalReply::Applied
        };
        Box::pin(async move { reply })
    }

    fn lease_holds(&self, _: MonoTime) -> bool {
        self.leased.load(Ordering::SeqCst)
    }
}

pub struct Node {
    pub manager: Arc<ReplicaManager>,
    pub view: Arc<View>,
    pub disk: SimDisk,
    pub pool: BlockingPool,
    transport: SharedTransport,
}

pub struct Cluster {
    pub env: Env,
    pub truth: Truth,
    pub network: MemoryNetwork,
    pub nodes: BTreeMap<i32, Node>,
    pub tier: Option<Arc<dyn TierReader>>,
    pub tail_budget_bytes: usize,
    pub window_budget_bytes: u64,
    pub checkpoint_interval: Duration,
    /// With an authority the brokers speak QUIC over the loopback.
    pub authority: Option<Authority>,
    /// `log.dirs` of every broker that starts from now on.
    pub folders: Vec<PathBuf>,
    pub disk_threads: usize,
    pub lanes: u32,
    lives: u8,
}

pub fn topic() -> TopicName {
    TopicName::new("t").unwrap()
}

pub fn batch(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in values {
        builder.add(1_000, None, Some(value.as_bytes()), &[]);
    }
    builder.build().unwrap()
}

/// Waits until it is true, at most 20 seconds.
pub async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let env = Env::real();
    for _ in 0..4000 {
        if check() {
            return;
        }
        env.clock.sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}

impl Cluster {
    pub fn new() -> Cluster {
        let env = Env::real();
        let image = Image::default();
        let images = watch::channel(Arc::new(image.clone())).0;
        let truth = Truth { image: Arc::new(Mutex::new(image)), images };
        truth.ok(&Command::Form {
            cluster_id: "c".to_owned(),
            features: BTreeMap::new(),
            configs: BTreeMap::new(),
        });
        Cluster {
            network: MemoryNetwork::new(&env),
            env,
            truth,
            nodes: BTreeMap::new(),
            tier: None,
            tail_budget_bytes: 64 << 20,
            window_budget_bytes: 256 << 20,
            checkpoint_interval: Duration::from_millis(50),
            authority: None,
            folders: vec![PathBuf::from("/data")],
            disk_threads: 2,
            lanes: 4,
            lives: 0,
        }
    }

    /// A cluster of brokers 1 to `count` with topic `t` of one partition on all of them.
    pub async fn with_topic(count: i32, configs: &[(&str, &str)]) -> Cluster {
        let mut cluster = Cluster::new();
        for id in 1..=count {
            cluster.start(id, SimDisk::new(), Proof::Unclean { previous: None });
        }
        cluster.create_topic(count, configs).await;
        cluster
    }

    pub async fn create_topic(&self, count: i32, configs: &[(&str, &str)]) {
        self.create_topic_on(&(1..=count).collect::<Vec<_>>(), configs).await;
    }

    /// Without waiting for anybody to have it.
    pub fn create_topic_for(&self, ids: &[i32], configs: &[(&str, &str)]) {
        self.truth.ok(&Command::CreateTopic(CreateTopic {
            name: topic(),
            id: TOPIC,
            assignment: vec![ids.iter().map(|id| BrokerId(*id)).collect()],
            configs: configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            first_epoch: LeaderEpoch(0),
        }));
    }

    pub async fn create_topic_on(&self, ids: &[i32], configs: &[(&str, &str)]) {
        self.create_topic_for(ids, configs);
        for (_, node) in self.nodes.iter().filter(|(id, _)| ids.contains(*id)) {
            eventually("the replica is hosted", || node.manager.replica_by_id(TOPIC, 0).is_some()).await;
        }
        eventually("the directories are known", || {
            self.truth.partition().replicas.iter().all(|r| r.directory.is_some())
        })
        .await;
    }

    pub fn start(&mut self, id: i32, disk: SimDisk, proof: Proof) {
        self.lives += 1;
        let broker = BrokerId(id);
        let env = Env { disk: Arc::new(disk.clone()), ..self.env.clone() };
        let dirs = LogDirs::open(env.disk.clone(), &*env.rng, &self.folders, broker, &[]).unwrap();
        let incarnation = Incarnation::from_bytes([self.lives; 16]);
        let (transport, address) = self.transport(broker);
        let images = watch::channel(self.truth.images.borrow().clone()).0;
        let view = Arc::new(View {
            truth: self.truth.clone(),
            images,
            connected: AtomicBool::new(true),
            leased: AtomicBool::new(true),
            replies_get_lost: AtomicBool::new(false),
            assignments_get_lost: AtomicBool::new(false),
        });
        tokio::spawn(pass_on(self.truth.images.subscribe(), view.clone()));
        self.truth.ok(&Command::RegisterBroker(BrokerRegistration {
            id: broker,
            incarnation,
            endpoints: Vec::new(),
            peer_address: address,
            rack: None,
            directories: dirs.directories().into_iter().map(|(id, _)| id).collect(),
            machine: "boot-1".to_owned(),
            proof,
        }));
        let config = ReplicationConfig {
            settings: Settings {
                lag_max: Duration::from_secs(4),
                session_timeout: Duration::from_millis(500),
            },
            tail_budget_bytes: self.tail_budget_bytes,
            window_budget_bytes: self.window_budget_bytes,
            checkpoint_interval: self.checkpoint_interval,
            lanes: self.lanes,
            directory_threads: self.disk_threads,
            ..ReplicationConfig::new(broker, incarnation)
        };
        let pool = BlockingPool::new("disk", self.disk_threads);
        let manager = ReplicaManager::start(
            &env,
            config,
            Arc::new(dirs),
            view.clone(),
            transport.clone(),
            pool.clone(),
            self.tier.clone(),
        );
        tokio::spawn(accept(transport.clone(), manager.clone()));
        let epoch = self.epoch(id);
        self.truth.ok(&Command::Unfence { id: broker, epoch });
        self.nodes.insert(id, Node { manager, view, disk, pool, transport });
    }

    fn transport(&self, broker: BrokerId) -> (SharedTransport, String) {
        let Some(authority) = &self.authority else {
            let address = format!("broker-{broker}:{}", self.lives);
            return (self.network.join(broker, &address), address);
        };
        let issued = authority.issue_node(&self.env, broker, &[]).unwrap();
        let roots = certificates(authority.certificate_pem().as_bytes()).unwrap();
        let tls = PeerTls::new(&self.env, broker, &roots, issued.identity().unwrap()).unwrap();
        let transport: SharedTransport =
            QuicTransport::bind(&self.env, QuicConfig::new("127.0.0.1:0".parse().unwrap()), &tls).unwrap();
        let address = format!("127.0.0.1:{}", transport.local_port());
        (transport, address)
    }

    /// Of the newest image.
    pub fn version(&self) -> u64 {
        self.truth.image.lock().version
    }

    pub fn epoch(&self, id: i32) -> BrokerEpoch {
        self.truth.image.lock().brokers[&BrokerId(id)].epoch
    }

    /// `kill -9`: nothing of this life is heard of any more. What it had on disk, and the proof that it died.
    pub fn kill(&mut self, id: i32) -> (SimDisk, Proof) {
        let node = self.nodes.remove(&id).expect("it runs");
        let disk = node.disk.duplicate();
        node.view.connected.store(false, Ordering::SeqCst);
        node.transport.close();
        let previous = Some(self.epoch(id));
        (disk, Proof::Unclean { previous })
    }

    /// The quorum finds the broker dead.
    pub fn fence(&self, id: i32) {
        let epoch = self.epoch(id);
        self.truth.ok(&Command::Fence { id: BrokerId(id), epoch });
    }

    /// The leader steps down.
    pub fn resign(&self, id: i32) {
        let leader = IsrMember { broker: BrokerId(id), epoch: self.epoch(id) };
        let leader_epoch = self.truth.partition().leader_epoch;
        self.truth.ok(&Command::Resign { topic: TOPIC, partition: 0, leader, leader_epoch, in_turn: true });
    }

    pub fn replica(&self, id: i32) -> Arc<Replica> {
        self.nodes[&id].manager.replica(&TopicPartition::new(topic(), 0)).expect("hosted")
    }

    pub fn deadline(&self) -> MonoTime {
        self.env.clock.now() + Duration::from_secs(20)
    }

    pub async fn append(&self, id: i32, acks: Acks, values: &[&str]) -> Result<Appended, AppendError> {
        self.replica(id).append(batch(values), acks, self.deadline()).await
    }

    /// It leads under the epoch that is in force, and not still under one that is over.
    pub async fn leads(&self, id: i32) {
        let replica = self.replica(id);
        eventually("it leads", || {
            let positions = replica.positions();
            positions.leads() && positions.leader_epoch == self.truth.partition().leader_epoch
        })
        .await;
    }

    pub async fn isr_is(&self, ids: &[i32]) {
        let wanted: Vec<BrokerId> = ids.iter().map(|id| BrokerId(*id)).collect();
        eventually(&format!("the ISR is {ids:?}"), || self.truth.partition().isr == wanted).await;
    }

    /// All bytes of a replica's local log.
    pub fn bytes(&self, id: i32) -> Vec<u8> {
        self.replica(id).with_log(|log| {
            let (mut from, mut all) = (log.local_start(), Vec::new());
            while from < log.log_end() {
                let batches = log.read(from, 1 << 20, log.log_end(), true).unwrap().load().unwrap();
                let last =
                    crate::wire::record_batch::BatchIter::new(batches.clone()).last().unwrap().unwrap();
                from = last.header.end_offset();
                all.extend_from_slice(&batches);
            }
            all
        })
    }

    /// Waits until these replicas have the same log end and high watermark, and the same bytes.
    pub async fn agree(&self, ids: &[i32], end: i64) {
        for id in ids {
            let replica = self.replica(*id);
            eventually(&format!("{id} has everything up to {end}"), || {
                let positions = replica.positions();
                positions.log_end == Offset(end) && positions.high_watermark == Offset(end)
            })
            .await;
        }
        let first = self.bytes(ids[0]);
        for id in ids {
            assert_eq!(self.bytes(*id), first, "{id} differs from {}", ids[0]);
        }
    }
}

async fn pass_on(mut truth: watch::Receiver<Arc<Image>>, view: Arc<View>) {
    loop {
        let image = truth.borrow_and_update().clone();
        if view.connected.load(Ordering::SeqCst) {
            view.images.send_replace(image);
        }
        if truth.changed().await.is_err() {
            return;
        }
    }
}

async fn accept(transport: SharedTransport, manager: Arc<ReplicaManager>) {
    while let Some(incoming) = transport.accept().await {
        manager.serve(incoming);
    }
}
