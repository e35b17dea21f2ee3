//! The brokers of a run, and what befalls them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tiering::store::{MemoryStore, RemoteOptions, SharedStore, StoreError, StoreLocation};
use tokio::sync::watch;
use tokio::time::Instant;

use super::clients::{PARTITIONS, TOPIC};
use super::faults::Struck;
use super::history::History;
use super::pause::{Gate, ProcessClock};
use super::trace::{Jitter, LifeStore, StoreHealth, Tapped, Trace};
use crate::api::Api;
use crate::broker::config::BrokerConfig;
use crate::broker::{Broker, Endpoint, ObjectStores, PeerNetwork, Seams, StartError};
use crate::env::sim::{NoNet, SeededRng, SimDisk, TaskThreads, VirtualClock};
use crate::env::{Clock, Disk as _, Env, MonoTime, OpenMode, timeout};
use crate::metadata::Image;
use crate::transport::SharedTransport;
use crate::transport::memory::MemoryNetwork;
use crate::types::{BrokerId, TopicName, TopicPartition};

/// Brokers of a run.
pub(super) const BROKERS: i32 = 3;
/// 2026, more or less.
const WALL_MS: i64 = 1_790_000_000_000;
/// Kept in mind by the kernel as long as the machine runs.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Entries of the metadata log between two snapshots: a run draws one of these.
const SNAPSHOTS_EVERY: [u64; 4] = [10, 20, 40, 100];
/// Versions of the image that are remembered to be compared.
const VERSIONS: usize = 256;
/// The longest that a job of a disk thread takes.
const SLOWEST_JOB: Duration = Duration::from_micros(900);

/// One machine.
struct Node {
    disk: SimDisk,
    clock: Arc<VirtualClock>,
    /// A job of a disk thread takes so many times longer.
    slowness: Arc<AtomicU32>,
    life: Option<Life>,
    /// A process is being started or ended, or is about to be.
    is_changing: bool,
    boots: u32,
}

/// One process on it.
struct Life {
    broker: Arc<Broker>,
    api: Arc<Api>,
    alive: Arc<AtomicBool>,
    gate: Gate,
    ended: watch::Sender<bool>,
    network: Arc<LifeNetwork>,
}

/// What a client reaches of a process.
pub(super) struct Reached {
    pub api: Arc<Api>,
    /// Whether it still lives.
    pub alive: Arc<AtomicBool>,
    pub gate: Gate,
}

/// All that a run holds.
pub(super) struct World {
    pub seed: u64,
    pub clock: Arc<VirtualClock>,
    pub history: History,
    pub trace: Trace,
    /// Whether the topic is flushed before each answer.
    pub is_flushed: bool,
    /// Entries of the metadata log between two snapshots.
    snapshot_every: u64,
    /// Snapshots of the metadata of processes that have ended: taken, and sent by the leader and taken up.
    snapshots: Mutex<(u64, u64)>,
    /// Who had this version of the image first, and what it was.
    images: Mutex<BTreeMap<u64, (i32, Arc<Image>)>>,
    pub(super) struck: Mutex<Struck>,
    pub(super) network: MemoryNetwork,
    pub(super) jitter: Arc<Jitter>,
    pub(super) health: Arc<StoreHealth>,
    pub(super) rough: AtomicBool,
    /// When the last copy of a partition was taken away.
    pub(super) last_copy_lost: Mutex<Option<MonoTime>>,
    /// Nothing strikes by chance.
    pub(super) is_scripted: AtomicBool,
    origin: Instant,
    pub(super) store: MemoryStore,
    nodes: Mutex<BTreeMap<i32, Node>>,
}

/// The leader of a partition, and its ISR.
pub(super) type Recorded = (Option<i32>, Vec<i32>);

/// How far a partition is in either tier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiers {
    pub local_start: i64,
    pub tier_end: i64,
    /// Behind the last closed segment.
    pub closed_end: i64,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// `kill -9`: the page cache stays.
    Killed,
    /// What was not flushed is gone.
    PowerLost,
    /// The disk is replaced by an empty one.
    Wiped,
    /// Only the device with the logs is: the metadata lies on another.
    DataWiped,
}

/// The seam to the other brokers, for one life.
struct LifeNetwork {
    network: MemoryNetwork,
    jitter: Arc<Jitter>,
    gate: Gate,
    trace: Trace,
    bound: Mutex<Option<SharedTransport>>,
}

impl PeerNetwork for LifeNetwork {
    fn bind<'a>(
        &'a self,
        _: &'a Env,
        config: &'a BrokerConfig,
    ) -> BoxFuture<'a, Result<SharedTransport, StartError>> {
        let inner = self.network.join(config.node_id, &config.peer_advertised);
        let (trace, jitter, gate) = (self.trace.clone(), self.jitter.clone(), self.gate.clone());
        let transport: SharedTransport = Arc::new(Tapped { inner, me: config.node_id, trace, jitter, gate });
        *self.bound.lock() = Some(transport.clone());
        Box::pin(async move { Ok(transport) })
    }
}

/// The seam to the object store, for one life.
struct LifeStores(Box<dyn Fn() -> SharedStore + Send + Sync>);

impl ObjectStores for LifeStores {
    fn open(&self, _: &StoreLocation, _: &RemoteOptions) -> Result<SharedStore, StoreError> {
        Ok((self.0)())
    }
}

fn text(id: i32, snapshot_every: u64) -> String {
    let voters: Vec<String> = (1..=BROKERS).map(|id| format!("{id}@broker-{id}:9093")).collect();
    format!(
        "node.id={id}\nlisteners=PLAINTEXT://127.0.0.1:0\npeer.listener=broker-{id}:9093\n\
         peer.advertised.listener=broker-{id}:9093\ncontroller.quorum.voters={}\n\
         peer.ssl.ca.location=/certs/ca.crt\npeer.ssl.certificate.location=/certs/node.crt\n\
         peer.ssl.key.location=/certs/node.key\nlog.dirs=/data\nmetadata.log.dir=/meta\n\
         transaction.state.log.num.partitions=3\ntier.cut.interval.ms=1000\n\
         min.insync.replicas=2\ndefault.replication.factor=3\noffsets.topic.num.partitions=1\n\
         log.retention.check.interval.ms=900\nremote.log.manager.task.interval.ms=700\n\
         tier.store.url=s3://cold\nreplica.lag.time.max.ms=4000\n\
         metadata.log.max.records.between.snapshots={snapshot_every}\n",
        voters.join(",")
    )
}

fn disk(boots: u32) -> SimDisk {
    let disk = SimDisk::new();
    let put = |path: &str, text: String| {
        let path = Path::new(path);
        disk.create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        let file = disk.open(path, OpenMode::ReadWrite).expect("it opens");
        file.set_len(0).and_then(|()| file.write_all_at(text.as_bytes(), 0)).expect("it is written");
        file.sync().expect("it is flushed");
        for folder in path.ancestors().skip(1) {
            disk.sync_dir(folder).expect("it is flushed");
        }
    };
    put(BOOT_ID, format!("boot-{boots}\n"));
    put("/proc/self/mountinfo", "1 0 8:1 / / rw - ext4 a rw\n".to_owned());
    for name in ["ca.crt", "node.crt", "node.key"] {
        put(&format!("/certs/{name}"), String::new());
    }
    // Where a device is mounted, the folder is there.
    for folder in ["/data", "/meta"] {
        disk.create_dir_all(Path::new(folder)).expect("it can be made");
    }
    disk.sync_dir(Path::new("/")).expect("it is flushed");
    disk
}

/// What is left when the device under `/data` is a new one.
fn without_logs(disk: &SimDisk) -> SimDisk {
    let data = Path::new("/data");
    disk.remove_dir_all(data).and_then(|()| disk.create_dir_all(data)).expect("it is there");
    disk.duplicate()
}

fn reboot(disk: &SimDisk, boots: u32) {
    let file = disk.open(Path::new(BOOT_ID), OpenMode::ReadWrite).expect("it is there");
    file.set_len(0)
        .and_then(|()| file.write_all_at(format!("boot-{boots}\n").as_bytes(), 0))
        .expect("written");
    file.sync().expect("it is flushed");
}

/// Whether a broker that refuses to start for this reason will not do so for good: the session of its former life goes on,
/// or its disk is full or fails.
fn passes_by_itself(reason: &str) -> bool {
    reason.contains("held by another live broker") || reason.contains("cannot write /data")
}

/// How much of what was appended to a segment and not flushed survives a power loss.
fn torn_tail(seed: u64, path: &Path, len: usize) -> usize {
    if path.extension().is_none_or(|extension| extension != "log") {
        return 0;
    }
    let drawn = seed ^ u64::from(crc32c::crc32c(path.to_string_lossy().as_bytes()));
    usize::try_from(drawn % (len as u64 + 1)).unwrap_or(0)
}

impl World {
    pub fn new(seed: u64) -> Arc<World> {
        let origin = Instant::now();
        let clock = Arc::new(VirtualClock::new(origin, WALL_MS, 0));
        let env = Env { clock: clock.clone(), ..Env::real() };
        let trace = Trace::new(clock.clone());
        let rng = Arc::new(SeededRng::new(seed ^ 0x6e65_7477));
        let jitter = Arc::new(Jitter {
            clock: clock.clone(),
            rng,
            late: AtomicU64::new(5),
            held: watch::Sender::default(),
        });
        let nodes = (1..=BROKERS).map(|id| {
            let drift = (seed.wrapping_mul(id as u64 + 7) % 2_001) as i32 - 1_000;
            let off = (seed.wrapping_mul(id as u64 + 3) % 7_200_000) as i64 - 3_600_000;
            let clock = Arc::new(VirtualClock::new(origin, WALL_MS + off, drift));
            let slowness = Arc::new(AtomicU32::new(1));
            (id, Node { disk: disk(0), clock, slowness, life: None, is_changing: false, boots: 0 })
        });
        Arc::new(World {
            seed,
            history: History::default(),
            is_flushed: seed % 4 == 3,
            snapshot_every: SNAPSHOTS_EVERY[(seed / 4 % SNAPSHOTS_EVERY.len() as u64) as usize],
            snapshots: Mutex::default(),
            images: Mutex::default(),
            struck: Mutex::default(),
            last_copy_lost: Mutex::default(),
            is_scripted: AtomicBool::new(false),
            origin,
            network: MemoryNetwork::new(&env),
            jitter,
            store: MemoryStore::new(),
            health: Arc::default(),
            nodes: Mutex::new(nodes.collect()),
            rough: AtomicBool::new(false),
            clock,
            trace,
        })
    }

    /// Whether clients lose requests and answers now.
    pub fn is_rough(&self) -> bool {
        self.rough.load(Ordering::SeqCst)
    }

    pub fn wall_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// What a client reaches of a broker.
    pub fn api(&self, id: i32) -> Option<Reached> {
        let nodes = self.nodes.lock();
        let life = nodes.get(&id)?.life.as_ref()?;
        Some(Reached { api: life.api.clone(), alive: life.alive.clone(), gate: life.gate.clone() })
    }

    pub(super) fn disk_of(&self, id: i32) -> SimDisk {
        self.nodes.lock()[&id].disk.clone()
    }

    pub(super) fn clock_of(&self, id: i32) -> Arc<VirtualClock> {
        self.nodes.lock()[&id].clock.clone()
    }

    /// Jobs of its disk threads take so many times longer than usual.
    pub(super) fn slow_down_disk(&self, id: i32, times: u32) {
        self.nodes.lock()[&id].slowness.store(times, Ordering::SeqCst);
    }

    fn brokers(&self) -> Vec<(i32, Arc<Broker>)> {
        let nodes = self.nodes.lock();
        nodes.iter().filter_map(|(id, node)| Some((*id, node.life.as_ref()?.broker.clone()))).collect()
    }

    pub(super) fn say(&self, what: &str) {
        self.trace.say(&format!("== {what}"));
        if std::env::var_os("ESKER_SIMULATION_SHOW").is_some() {
            println!("{:>9} ms  {what}", self.clock.now().0 / 1_000_000);
        }
    }

    /// Starts a broker on its machine as `esker server` does, with all seams exchanged.
    pub fn start(self: &Arc<Self>, id: i32) -> BoxFuture<'static, ()> {
        Box::pin(self.clone().start_one(id))
    }

    async fn start_one(self: Arc<Self>, id: i32) {
        let gate = Gate::new();
        let (disk, clock, slowness, boots) = {
            let mut nodes = self.nodes.lock();
            let node = nodes.get_mut(&id).expect("a machine");
            node.is_changing = true;
            node.boots += 1;
            let clock = ProcessClock { machine: node.clock.clone(), gate: gate.clone() };
            (node.disk.clone(), Arc::new(clock), node.slowness.clone(), node.boots)
        };
        let seed = self.seed ^ (u64::from(boots) << 32) ^ ((id as u64) << 56);
        let rng = Arc::new(SeededRng::new(seed));
        let jobs = SeededRng::new(!seed);
        let threads = TaskThreads::new(clock.clone(), Arc::new(jobs), SLOWEST_JOB).slowed_by(slowness);
        let alive = Arc::new(AtomicBool::new(true));
        let network = Arc::new(LifeNetwork {
            network: self.network.clone(),
            jitter: self.jitter.clone(),
            gate: gate.clone(),
            trace: self.trace.clone(),
            bound: Mutex::new(None),
        });
        let stores = {
            let (store, health, clock) = (self.store.clone(), self.health.clone(), clock.clone());
            let (alive, trace) = (alive.clone(), self.trace.clone());
            let rng = Arc::new(SeededRng::new(seed.rotate_left(17)));
            LifeStores(Box::new(move || {
                Arc::new(LifeStore {
                    inner: Arc::new(store.clone()),
                    me: BrokerId(id),
                    alive: alive.clone(),
                    health: health.clone(),
                    clock: clock.clone(),
                    rng: rng.clone(),
                    trace: trace.clone(),
                })
            }))
        };
        let env = Env {
            clock,
            rng,
            disk: Arc::new(disk),
            net: Arc::new(NoNet),
            threads: Arc::new(threads),
            ..Env::real()
        };
        let config =
            BrokerConfig::load(Path::new("x.properties"), &text(id, self.snapshot_every), std::iter::empty())
                .expect("a sound configuration");
        let endpoint = Endpoint { listener: "PLAINTEXT".into(), host: "127.0.0.1".into(), port: 9_000 };
        let seams = Seams { env, peers: network.clone(), stores: Arc::new(stores) };
        let started = Broker::start(seams, config, vec![endpoint]).await;
        let broker = match started {
            Ok(broker) => broker,
            Err(error) if passes_by_itself(&error.to_string()) => {
                // The process ends, and whoever runs it starts it again.
                self.say(&format!("broker {id} does not start: {error}"));
                if let Some(transport) = network.bound.lock().take() {
                    transport.close();
                }
                alive.store(false, Ordering::SeqCst);
                if let Some(node) = self.nodes.lock().get_mut(&id) {
                    let old = std::mem::take(&mut node.disk);
                    node.disk = old.duplicate();
                    old.die_after(0);
                }
                self.clock.sleep(Duration::from_millis(1_000)).await;
                return self.start(id).await;
            }
            Err(error) => return self.history.violated(format!("no-start: broker {id}: {error}")),
        };
        self.say(&format!("broker {id} is up"));
        let api = Arc::new(Api::new(broker.clone(), None, None));
        let ended = watch::Sender::new(false);
        tokio::spawn(self.clone().supervise(id, broker.clone(), ended.subscribe()));
        let mut nodes = self.nodes.lock();
        let node = nodes.get_mut(&id).expect("a machine");
        node.is_changing = false;
        node.life = Some(Life { broker, api, alive, gate, ended, network });
    }

    /// A process whose directory is lost ends; whoever runs it starts it again.
    async fn supervise(self: Arc<Self>, id: i32, broker: Arc<Broker>, mut ended: watch::Receiver<bool>) {
        tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => return,
            error = broker.directories_lost() => self.say(&format!("broker {id} gives up: {error}")),
        }
        drop(broker);
        if self.end(id, End::Killed) {
            self.clock.sleep(Duration::from_millis(500)).await;
            self.start(id).await;
        }
    }

    /// Ends a process at once; false if there is none, or it is on its way up or down.
    pub fn end(&self, id: i32, how: End) -> bool {
        let life = {
            let mut nodes = self.nodes.lock();
            let node = nodes.get_mut(&id).expect("a machine");
            if node.is_changing {
                return false;
            }
            let Some(life) = node.life.take() else { return false };
            node.is_changing = true;
            let old = node.disk.clone();
            node.disk = match how {
                End::Killed => old.duplicate(),
                End::PowerLost => {
                    let torn = self.seed.rotate_left(node.boots) ^ u64::from(node.boots);
                    let rest = old.left_by_power_loss(|path, len| torn_tail(torn, path, len));
                    reboot(&rest, node.boots);
                    rest
                }
                End::Wiped => disk(node.boots),
                End::DataWiped => without_logs(&old.duplicate()),
            };
            // What is left of the process in this one does nothing to the world any more.
            old.die_after(0);
            life
        };
        self.say(&format!("broker {id}: {how:?}"));
        self.bury(life);
        true
    }

    fn bury(&self, life: Life) {
        life.alive.store(false, Ordering::SeqCst);
        life.ended.send_replace(true);
        life.gate.open();
        if let Some(transport) = life.network.bound.lock().take() {
            transport.close();
        }
        self.count_snapshots(&life);
        tokio::spawn(async move { life.broker.shutdown().await });
    }

    /// Stops a process in order.
    pub(super) async fn stop(&self, id: i32) -> bool {
        let life = {
            let mut nodes = self.nodes.lock();
            let node = nodes.get_mut(&id).expect("a machine");
            if node.is_changing {
                return false;
            }
            let Some(life) = node.life.take() else { return false };
            node.is_changing = true;
            life
        };
        self.say(&format!("broker {id}: a stop in order"));
        life.ended.send_replace(true);
        life.gate.open();
        life.broker.shutdown().await;
        life.alive.store(false, Ordering::SeqCst);
        self.count_snapshots(&life);
        true
    }

    fn count_snapshots(&self, life: &Life) {
        let (taken, installed) = life.broker.metadata().snapshots();
        let mut sums = self.snapshots.lock();
        *sums = (sums.0 + taken, sums.1 + installed);
    }

    /// Snapshots of the metadata in processes that have ended: taken, and sent by the leader and taken up.
    pub fn snapshots(&self) -> (u64, u64) {
        *self.snapshots.lock()
    }

    fn topic_partition(partition: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new(TOPIC).expect("a name"), partition)
    }

    /// Whether every broker is up and sees every replica of every partition in its ISR.
    pub fn is_whole(&self) -> bool {
        let brokers = self.brokers();
        let topic = TopicName::new(TOPIC).expect("a name");
        brokers.len() == BROKERS as usize
            && brokers.iter().all(|(_, broker)| {
                let image = broker.image();
                (0..PARTITIONS)
                    .all(|p| image.partition(&topic, p).is_some_and(|p| p.isr.len() == BROKERS as usize))
            })
    }

    /// Whether the store of every broker votes in the metadata quorum. One whose disk was wiped does not until it has
    /// caught up: a second one before that would take the majority away for good.
    pub(super) fn has_all_votes(&self) -> bool {
        let brokers = self.brokers();
        brokers.len() == BROKERS as usize && brokers.iter().all(|(_, broker)| broker.metadata().votes())
    }

    fn image_of(&self, id: i32) -> Option<Arc<Image>> {
        Some(self.nodes.lock().get(&id)?.life.as_ref()?.broker.image())
    }

    /// The leader and the ISR of a partition, as one broker knows them.
    pub(super) fn recorded_by(&self, id: i32, partition: i32) -> Option<Recorded> {
        let image = self.image_of(id)?;
        let recorded = image.partition(&TopicName::new(TOPIC).expect("a name"), partition)?;
        let isr = recorded.isr.iter().map(|member| member.0).collect();
        Some((recorded.leader.map(|leader| leader.0), isr))
    }

    /// The same, as the one that knows most does.
    pub(super) fn recorded(&self, partition: i32) -> Option<Recorded> {
        let known = (1..=BROKERS).filter_map(|id| Some((self.image_of(id)?.version, id)));
        self.recorded_by(known.max()?.1, partition)
    }

    /// The replicas of a partition, in assigned order.
    pub(super) fn assigned(&self, partition: i32) -> Vec<i32> {
        let topic = TopicName::new(TOPIC).expect("a name");
        let image = (1..=BROKERS).find_map(|id| self.image_of(id));
        let replicas = image.and_then(|image| Some(image.partition(&topic, partition)?.replicas.clone()));
        replicas.unwrap_or_default().iter().map(|replica| replica.broker.0).collect()
    }

    /// Whether a broker knows another one as alive.
    pub(super) fn is_active_for(&self, id: i32, other: i32) -> bool {
        self.image_of(id).is_some_and(|image| image.is_active(BrokerId(other)))
    }

    /// Who leads the metadata quorum, if all that run say the same.
    pub(super) fn quorum_leader(&self) -> Option<i32> {
        let mut told = self.brokers().into_iter().map(|(_, broker)| broker.metadata().leader());
        let first = told.next()??;
        told.all(|other| other == Some(first)).then_some(first.0)
    }

    /// Where the copy of a partition on a broker ends, and up to where it knows it to be committed.
    pub(super) fn ends(&self, id: i32, partition: i32) -> Option<(i64, i64)> {
        let broker = self.nodes.lock().get(&id)?.life.as_ref()?.broker.clone();
        let positions = broker.replicas().replica(&Self::topic_partition(partition))?.positions();
        Some((positions.log_end.0, positions.high_watermark.0))
    }

    /// Looks at every leader's high watermark, and whether all brokers see the same metadata.
    pub fn watch_positions(&self) {
        for (id, broker) in self.brokers() {
            self.compare_image(id, &broker.image());
            for partition in 0..PARTITIONS {
                let Some(replica) = broker.replicas().replica(&Self::topic_partition(partition)) else {
                    continue;
                };
                let positions = replica.positions();
                if positions.leads() {
                    let offset = positions.high_watermark.0;
                    self.history.high_watermark(partition, positions.leader_epoch, offset);
                }
            }
        }
    }

    /// However a broker came to a version of the image, by commands or by a snapshot, it is the same one.
    fn compare_image(&self, id: i32, image: &Arc<Image>) {
        let mut images = self.images.lock();
        let (first, theirs) = images.entry(image.version).or_insert_with(|| (id, image.clone()));
        if theirs != image {
            let what = format!("images-differ: version {} on {first} and {id}", image.version);
            self.history.violated(what);
        }
        if images.len() > VERSIONS {
            images.pop_first();
        }
    }

    /// The end of a partition on whoever leads it now, once that is committed.
    pub fn end_of(&self, partition: i32) -> Option<i64> {
        self.brokers().iter().find_map(|(_, broker)| {
            let positions = broker.replicas().replica(&Self::topic_partition(partition))?.positions();
            let ends = (positions.log_end, positions.high_watermark);
            (positions.leads() && ends.0 == ends.1).then_some(ends.0.0)
        })
    }

    /// How far the leader of a partition is in either tier.
    pub fn tiers(&self, partition: i32) -> Option<Tiers> {
        self.brokers().iter().find_map(|(_, broker)| {
            let replica = broker.replicas().replica(&Self::topic_partition(partition))?;
            let positions = replica.positions();
            let closed = replica.with_log(|log| log.closed_segments().last().map(|segment| segment.end));
            positions.leads().then(|| Tiers {
                local_start: positions.local_start.0,
                tier_end: positions.tier_end().0,
                // What was closed and is not there any more is in the tier.
                closed_end: closed.map_or(positions.tier_end().0, |end| end.0.max(positions.tier_end().0)),
            })
        })
    }

    /// Whether all replicas end where the leader does.
    pub fn is_level(&self) -> bool {
        (0..PARTITIONS).all(|partition| {
            let Some(end) = self.end_of(partition) else { return false };
            self.brokers().iter().all(|(_, broker)| {
                let replica = broker.replicas().replica(&Self::topic_partition(partition));
                replica
                    .is_some_and(|r| r.positions().log_end.0 == end && r.positions().high_watermark.0 == end)
            })
        })
    }

    /// Compares the local logs batch by batch, where they overlap; how many batches were compared. A copy that this finds
    /// damaged steps aside, and has been rebuilt within `limit`.
    pub async fn compare_replicas(&self, limit: Duration) -> usize {
        for _ in 0..=PARTITIONS * 2 {
            match self.compare_once() {
                Ok(compared) => return compared,
                Err(found) => self.say(&found),
            }
            self.clock.sleep(Duration::from_millis(1_000)).await;
            let mended = || self.is_whole() && self.is_level();
            self.within(limit, "a damaged copy is rebuilt", mended).await;
        }
        self.history.violated("unreadable: a damaged copy is still there".to_owned());
        0
    }

    fn compare_once(&self) -> Result<usize, String> {
        let mut compared = 0;
        for partition in 0..PARTITIONS {
            let mut batches: BTreeMap<i64, (i32, bytes::Bytes)> = BTreeMap::new();
            for (id, broker) in self.brokers() {
                let Some(replica) = broker.replicas().replica(&Self::topic_partition(partition)) else {
                    continue;
                };
                let local = replica.inspect(|log| {
                    let (mut from, mut all) = (log.local_start(), Vec::new());
                    while from < log.log_end() {
                        let bytes = log.read(from, 1 << 20, log.log_end(), true)?.load()?;
                        for batch in crate::wire::record_batch::BatchIter::new(bytes) {
                            let Ok(batch) = batch else { break };
                            from = batch.header.end_offset();
                            all.push((batch.header.base_offset.0, batch.bytes.clone()));
                        }
                    }
                    Ok(all)
                });
                let local = local.map_err(|error| format!("{partition} on {id}: {error}"))?;
                for (base, bytes) in local {
                    let (first, theirs) = batches.entry(base).or_insert((id, bytes.clone()));
                    compared += usize::from(*first != id);
                    if *theirs != bytes {
                        let what = format!("digests-differ: {partition}/{base} on {first} and {id}");
                        self.history.violated(what);
                    }
                }
            }
        }
        Ok(compared)
    }

    /// Waits for it, so long at most in simulated time; else that is a violation.
    pub async fn within(&self, limit: Duration, what: &str, check: impl Fn() -> bool) {
        let wait = async {
            while !check() && self.history.violation().is_none() {
                self.clock.sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(&*self.clock, limit, wait).await.is_err() {
            self.history.violated(format!("liveness: not within {limit:?}: {what}; {}", self.standing()));
        }
    }

    /// Who is up, and how each partition stands, as the one knows who knows most.
    fn standing(&self) -> String {
        let up: Vec<i32> = self.brokers().into_iter().map(|(id, _)| id).collect();
        let mut text = format!("up {up:?}");
        for partition in 0..PARTITIONS {
            let ends: Vec<_> = (1..=BROKERS).map(|id| self.ends(id, partition)).collect();
            text += &format!("; {partition} {:?}, ends {ends:?}", self.recorded(partition));
        }
        text
    }

    /// Simulated time since the run began.
    pub fn age(&self) -> Duration {
        Instant::now().duration_since(self.origin)
    }

    /// Ends all processes.
    pub async fn shut_down(&self) {
        for id in 1..=BROKERS {
            let life = self.nodes.lock().get_mut(&id).and_then(|node| node.life.take());
            if let Some(life) = life {
                life.ended.send_replace(true);
                life.alive.store(false, Ordering::SeqCst);
                self.count_snapshots(&life);
                if let Some(transport) = life.network.bound.lock().take() {
                    transport.close();
                }
            }
        }
    }

    /// The store itself, past all its faults.
    pub(super) fn store(&self) -> SharedStore {
        Arc::new(self.store.clone())
    }

    /// The cluster's id, as a broker knows it.
    pub(super) fn cluster_id(&self) -> String {
        self.brokers().first().map(|(_, broker)| broker.image().cluster_id.clone()).unwrap_or_default()
    }

    /// Objects in the store.
    pub fn objects(&self) -> usize {
        self.store.snapshot().len()
    }
}
