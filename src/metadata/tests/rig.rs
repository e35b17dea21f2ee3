//! Three nodes in one process, over the memory transport, with real files or in virtual time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;

use crate::env::sim::{NoNet, SeededRng, SimDisk, TaskThreads, VirtualClock};
use crate::env::{Clock, Env, MonoTime, timeout};
use crate::metadata::*;
use crate::transport::Transport as _;
use crate::transport::memory::{MemoryNetwork, MemoryTransport};
use crate::types::*;

pub(super) struct Cluster {
    pub env: Env,
    pub network: MemoryNetwork,
    pub nodes: BTreeMap<i32, Node>,
    /// Of every node that starts from now on.
    pub lease: Duration,
    pub session_timeout: Duration,
    /// By how much the wall clock of every node that starts from now on is ahead.
    pub ahead_ms: i64,
    voters: Vec<(BrokerId, String)>,
    folder: tempfile::TempDir,
    lives: u8,
}

#[derive(Clone)]
pub(super) struct Node {
    pub metadata: Metadata,
    pub transport: Arc<MemoryTransport>,
    /// By how much its wall clock is ahead now.
    pub ahead_ms: Arc<AtomicI64>,
}

fn address(id: i32) -> String {
    format!("node-{id}:{}", 9000 + id)
}

/// A clock that shows another time of day.
struct Ahead(Arc<dyn Clock>, Arc<AtomicI64>);

impl Clock for Ahead {
    fn now(&self) -> MonoTime {
        self.0.now()
    }
    fn wall_ms(&self) -> i64 {
        self.0.wall_ms() + self.1.load(Ordering::Relaxed)
    }
    fn sleep_until(&self, deadline: MonoTime) -> BoxFuture<'static, ()> {
        self.0.sleep_until(deadline)
    }
}

impl Cluster {
    /// Nothing runs yet; nodes 1 to `voters` will be the voters.
    pub fn new(voters: i32) -> Cluster {
        Cluster::on(Env::real(), voters)
    }

    /// The same for a runtime whose time is paused: nothing takes time but what sleeps, however busy the machine is.
    pub fn in_virtual_time(voters: i32) -> Cluster {
        let rng = Arc::new(SeededRng::new(7));
        let clock = Arc::new(VirtualClock::new(tokio::time::Instant::now(), 1_790_000_000_000, 0));
        let threads = TaskThreads::new(clock.clone(), rng.clone(), Duration::from_micros(900));
        let disk = Arc::new(SimDisk::new());
        let (net, threads) = (Arc::new(NoNet), Arc::new(threads));
        Cluster::on(Env { clock, rng, disk, net, threads, ..Env::real() }, voters)
    }

    fn on(env: Env, voters: i32) -> Cluster {
        let network = MemoryNetwork::new(&env);
        let voters = (1..=voters).map(|id| (BrokerId(id), address(id))).collect();
        let folder = tempfile::tempdir().unwrap();
        let MetadataConfig { lease, session_timeout, .. } = MetadataConfig::default();
        let nodes = BTreeMap::new();
        Cluster { env, network, nodes, lease, session_timeout, ahead_ms: 0, voters, folder, lives: 0 }
    }

    /// `count` voters that run and have formed a cluster.
    pub async fn formed(count: i32) -> Cluster {
        Cluster::new(count).form(count).await
    }

    /// The same with time enough for a busy machine: who must not lose a lease has several elections' time.
    pub async fn formed_at_leisure(count: i32) -> Cluster {
        let mut cluster = Cluster::new(count);
        cluster.lease = Duration::from_millis(3500);
        cluster.session_timeout = Duration::from_millis(5000);
        cluster.form(count).await
    }

    pub async fn form(mut self, count: i32) -> Cluster {
        for id in 1..=count {
            self.start(id).await;
        }
        self.everywhere(|image| !image.cluster_id.is_empty()).await;
        self
    }

    /// `count` voters that are registered and active too.
    pub async fn active(count: i32) -> Cluster {
        Cluster::formed(count).await.enlisted(count).await
    }

    pub async fn enlisted(mut self, count: i32) -> Cluster {
        for id in 1..=count {
            self.enlist(id).await;
        }
        self
    }

    pub fn dir(&self, id: i32) -> PathBuf {
        self.folder.path().join(id.to_string())
    }

    pub fn config(&self, id: i32) -> MetadataConfig {
        MetadataConfig {
            node_id: BrokerId(id),
            voters: self.voters.clone(),
            peer_address: address(id),
            dir: self.dir(id),
            lease: self.lease,
            session_timeout: self.session_timeout,
            ..MetadataConfig::default()
        }
    }

    pub async fn start(&mut self, id: i32) -> Metadata {
        let config = self.config(id);
        self.start_with(config).await.unwrap()
    }

    pub async fn start_with(&mut self, config: MetadataConfig) -> Result<Metadata, MetadataError> {
        let id = config.node_id;
        let transport = self.network.join(id, &address(id.0));
        let ahead_ms = Arc::new(AtomicI64::new(self.ahead_ms));
        let clock = Arc::new(Ahead(self.env.clock.clone(), ahead_ms.clone()));
        let env = Env { clock, ..self.env.clone() };
        let metadata = Metadata::start(&env, config, transport.clone()).await?;
        let (serving, accepting) = (metadata.clone(), transport.clone());
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                serving.serve(incoming);
            }
        });
        self.nodes.insert(id.0, Node { metadata: metadata.clone(), transport, ahead_ms });
        Ok(metadata)
    }

    pub fn registration(&mut self, id: i32, proof: Proof) -> BrokerRegistration {
        self.lives += 1;
        BrokerRegistration {
            id: BrokerId(id),
            incarnation: Incarnation::from_bytes([self.lives; 16]),
            endpoints: Vec::new(),
            peer_address: address(id),
            rack: None,
            directories: vec![DirectoryId::from_bytes([u8::try_from(id).unwrap(); 16])],
            machine: "here".to_owned(),
            proof,
        }
    }

    /// Registers and activates.
    pub async fn enlist(&mut self, id: i32) {
        let previous = self.node(id).image().brokers.get(&BrokerId(id)).map(|b| b.epoch);
        let registration = self.registration(id, Proof::Unclean { previous });
        let metadata = self.node(id);
        metadata.register(registration).await.unwrap();
        soon("the broker is active", metadata.activate()).await.unwrap();
    }

    /// Nobody hears the node any more, then it ends.
    pub async fn kill(&mut self, id: i32) {
        let node = self.nodes.remove(&id).unwrap();
        node.transport.close();
        node.metadata.shutdown().await;
    }

    pub fn node(&self, id: i32) -> Metadata {
        self.nodes[&id].metadata.clone()
    }

    /// Waits until all running nodes name the same leader, and returns it.
    pub async fn leader(&self) -> i32 {
        soon("a leader", async {
            loop {
                let named: Vec<_> = self.nodes.values().map(|n| n.metadata.leader()).collect();
                if let Some(Some(leader)) = named.first()
                    && named.iter().all(|n| *n == Some(*leader))
                    && self.nodes.contains_key(&leader.0)
                {
                    return leader.0;
                }
                self.env.clock.sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// Waits until every running node's image is so.
    pub async fn everywhere(&self, is_so: impl Fn(&Image) -> bool) {
        for node in self.nodes.values() {
            let mut images = node.metadata.subscribe();
            soon("every node's image", images.wait_for(|image| is_so(image))).await.unwrap();
        }
    }

    /// Waits until all images are of one version, and compares them.
    pub async fn assert_one_image(&self) {
        soon("one version everywhere", async {
            loop {
                let images: Vec<_> = self.nodes.values().map(|n| n.metadata.image()).collect();
                if images.iter().all(|image| image.version == images[0].version) {
                    assert!(images.iter().all(|image| image == &images[0]));
                    return;
                }
                self.env.clock.sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

/// A bound that only a hang reaches.
pub(super) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    let env = Env::real();
    match timeout(&*env.clock, Duration::from_secs(30), future).await {
        Ok(out) => out,
        Err(_) => panic!("timed out: {what}"),
    }
}

pub(super) fn set(key: &str, value: &str) -> Command {
    let changes = BTreeMap::from([(key.to_owned(), Some(value.to_owned()))]);
    Command::AlterBrokerConfig { broker: None, changes }
}

pub(super) fn has(image: &Image, key: &str) -> bool {
    image.broker_configs.get(&None).is_some_and(|configs| configs.contains_key(key))
}
