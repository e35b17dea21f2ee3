//! The store that `tier.store.url` names, with its counters, retries, caches and budgets.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use tiering::cache::{CacheCounts, CacheDisk, CacheLimits, ChunkCache};
use tiering::layout::{InvalidKeyPart, PartitionFolder};
use tiering::object::ObjectOptions;
use tiering::offload::OffloadOptions;
use tiering::read::{IndexCounts, ReadLimits, Reader};
use tiering::store::{
    AdaptiveStore, Concurrency, Encryption, InvalidStoreUrl, LimitedStore, MeteredStore, RemoteOptions,
    RequestCounts, RequestLimits, Requests, RetryPolicy, RetryStore, SharedStore, Sleeper, StoreError,
    StoreLocation,
};
use tiering::upload::UploadOptions;
use tokio::runtime::Handle;

use super::burial::AtWork;
use super::cache_dir::CacheDir;
use super::cuts::CutsTold;
use super::deletions::{Deletions, NotCarried};
use super::owner::INCARNATION;
use super::pace::{Pace, PacedStore};
use super::peer::{OfBroker, Patience, TierPeers};
use super::restored::RestoredTopics;
use super::room::{FULL_POLICY, REJECT, Room};
use super::scrub::{Findings, ScrubCounts};
use super::sizes::Sizes;
use super::timed::TimedStore;
use super::topic_rules::{ENABLE, flag};
use crate::broker::config::BrokerConfig;
use crate::broker::seams::ObjectStores;
use crate::env::defect::{Defect, planted};
use crate::env::{BlockingPool, Clock, Env};
use crate::metadata::Metadata;
use crate::replication::{Replica, ReplicaManager};
use crate::transport::{Incoming, SharedTransport};
use crate::types::{BrokerId, Offset, TopicId, TopicName, TopicPartition};

/// Chunks that are held in memory, in front of the chunk files.
const CHUNK_MEMORY_BYTES: u64 = 64 << 20;
/// The same where the store is as near as chunk files would be. What has left memory costs little then, and memory that is used
/// again while a processor's cache still holds it is filled and sent at less cost than more of it.
const NEAR_CHUNK_MEMORY_BYTES: u64 = 32 << 20;
/// Requests that read, at once: fewer while the store is overloaded.
const READS_AT_ONCE: Concurrency = Concurrency { first: 16, most: 64 };
/// Requests that write, at once.
const WRITES_AT_ONCE: Concurrency = Concurrency { first: 4, most: 16 };
/// Threads that read and write chunk files, and read what goes up.
pub(super) const COLD_THREADS: usize = 2;
/// The folder of chunk files in the first log directory, unless `tier.cache.dir` names another.
const CACHE_DIR: &str = "tier-cache";

/// Why the tier cannot be used. Each names the property.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL.
    #[error("tier.store.url: {0}")]
    Url(#[from] InvalidStoreUrl),
    /// The store refuses at once.
    #[error("tier.store.url: {0}")]
    Store(#[from] StoreError),
    /// The cache folder.
    #[error("tier.cache.dir {}: {error}", dir.display())]
    Cache {
        /// The folder.
        dir: PathBuf,
        /// What the disk says.
        error: std::io::Error,
    },
}

/// What this broker asked of the store and its caches since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierCounts {
    /// Requests by kind, bytes, errors.
    pub requests: RequestCounts,
    /// Hits, misses, evictions.
    pub chunks: CacheCounts,
    /// What the background scrub has read and found.
    pub scrub: ScrubCounts,
    /// Records that a full disk made go before they were in the tier.
    pub dropped_records: u64,
}

/// How a broker with this configuration reaches its store.
#[must_use]
pub fn remote_options(config: &BrokerConfig) -> RemoteOptions {
    let text = |key: &str| config.properties.get(key).map(str::to_owned);
    RemoteOptions {
        endpoint: text("tier.store.endpoint"),
        // A default must not hide the environment's region.
        region: config.properties.explicit("tier.store.region").map(|setting| setting.value.clone()),
        access_key_id: text("tier.store.access.key"),
        secret_access_key: text("tier.store.secret.key"),
        encryption: match config.properties.get("tier.store.sse") {
            Some("AES256") => Encryption::Aes256,
            Some("aws:kms") => Encryption::Kms { key_id: text("tier.store.sse.kms.key.id") },
            _ => Encryption::OfBucket,
        },
        is_near: false,
    }
}
/// The rates of uploads and downloads.
const RATES: [&str; 2] =
    ["remote.log.manager.copy.max.bytes.per.second", "remote.log.manager.fetch.max.bytes.per.second"];

struct OnClock(Arc<dyn Clock>);

impl Sleeper for OnClock {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }
}

/// Whether the store is a folder of the file system that chunk files would be on: those would be copies of what is as near.
pub(super) async fn is_beside(
    env: &Env,
    threads: &BlockingPool,
    location: &StoreLocation,
    cache: &Path,
) -> bool {
    let StoreLocation::Folder(folder) = location.clone() else { return false };
    let (disk, cache) = (env.disk.clone(), cache.to_owned());
    let look = move || {
        disk.create_dir_all(&folder)?;
        disk.create_dir_all(&cache)?;
        disk.is_same_file_system(&folder, &cache)
    };
    // What is wrong with either folder is said where it is opened.
    threads.run(look).await.is_ok_and(|same: io::Result<bool>| same.unwrap_or(false))
}

/// The store, shared by the driver and the readers.
pub struct ColdStore {
    pub(super) env: Env,
    pub(super) metadata: Metadata,
    /// For the chunk files, and where there is one log directory for what goes up: nobody hot waits for either.
    pub(super) cold_threads: BlockingPool,
    /// The cold runtime.
    pub(super) runtime: Handle,
    pub(super) store: SharedStore,
    pub(super) reader: Reader,
    pub(super) offload: OffloadOptions,
    pub(super) findings: Findings,
    pub(super) room: Arc<Room>,
    pub(super) sizes: Arc<Sizes>,
    /// Who waits for a manifest that carries a log start.
    pub(super) deletions: Arc<Deletions>,
    /// Topics of which something may be on its way to the store.
    pub(super) at_work: Arc<AtWork>,
    /// What is told of cuts.
    pub(super) cuts: CutsTold,
    pub(super) restored: Arc<RestoredTopics>,
    /// The other brokers' caches, once they can be asked.
    peers: OnceLock<Arc<TierPeers>>,
    /// Whether the store is known to be this cluster's.
    pub(super) owned: tokio::sync::watch::Sender<bool>,
    /// Whether a later life of this cluster has the store.
    pub(super) is_past: AtomicBool,
    /// What the file says of `tier.incarnation`.
    pub(super) incarnation: u64,
    /// Upload and download.
    paces: [Pace; 2],
    requests: Arc<Requests>,
    default_enable: bool,
    /// What a topic does on a full disk that says nothing of it.
    pub(super) full_policy: String,
}

impl ColdStore {
    /// Opens the store that the configuration names; `None` when it names none. `runtime` is the cold one.
    ///
    /// # Errors
    /// `OpenError` names the property.
    pub async fn open(
        env: &Env,
        stores: &dyn ObjectStores,
        config: &BrokerConfig,
        metadata: Metadata,
        runtime: Handle,
    ) -> Result<Option<Arc<ColdStore>>, OpenError> {
        let Some(url) = config.properties.get("tier.store.url") else { return Ok(None) };
        let location: StoreLocation = url.parse()?;
        let text = |key: &str| config.properties.get(key).map(str::to_owned);
        let dir = text("tier.cache.dir").map_or_else(|| config.log_dirs[0].join(CACHE_DIR), PathBuf::from);
        let cold_threads = env.threads.background_pool("cold-disk", COLD_THREADS);
        let is_beside = is_beside(env, &cold_threads, &location, &dir).await;
        let options = RemoteOptions { is_near: is_beside, ..remote_options(config) };
        let timed = TimedStore::new(env, stores.open(&location, &options)?);
        let sleeper = Arc::new(OnClock(env.clock.clone()));
        let limited = LimitedStore::new(Arc::new(timed), RequestLimits::default(), sleeper.clone());
        let metered = MeteredStore::new(Arc::new(limited));
        let requests = metered.requests();
        let adaptive = AdaptiveStore::new(Arc::new(metered), READS_AT_ONCE, WRITES_AT_ONCE);
        let retrying = RetryStore::new(Arc::new(adaptive), RetryPolicy::default(), sleeper);
        let paces = RATES.map(|key| Pace::new(env.clock.clone(), config.number(key).cast_unsigned()));
        let [up, down] = paces.clone();
        let store: SharedStore = Arc::new(PacedStore { inner: Arc::new(retrying), up, down });
        let disk_bytes = if is_beside { 0 } else { config.number("tier.cache.bytes").cast_unsigned() };
        let memory_bytes = if is_beside { NEAR_CHUNK_MEMORY_BYTES } else { CHUNK_MEMORY_BYTES };
        let limits = CacheLimits { memory_bytes, disk_bytes };
        let files: Arc<dyn CacheDisk> =
            Arc::new(CacheDir::new(env.disk.clone(), dir.clone(), cold_threads.clone(), env.clock.clone()));
        let chunks = ChunkCache::open(limits, Some(files), runtime.clone())
            .await
            .map_err(|error| OpenError::Cache { dir, error })?;
        let index_bytes = config.number("tier.index.cache.bytes").cast_unsigned();
        let read_limits = ReadLimits {
            index_bytes: index_bytes / 2,
            manifest_bytes: index_bytes - index_bytes / 2,
            ..ReadLimits::default()
        };
        let object = ObjectOptions {
            chunk_bytes: u32::try_from(config.number("tier.chunk.bytes")).unwrap_or(u32::MAX),
            ..ObjectOptions::default()
        };
        tracing::info!(store = %location, "the cold tier");
        let restored = RestoredTopics::new(store.clone(), metadata.clone(), env.clock.clone());
        Ok(Some(Arc::new(ColdStore {
            env: env.clone(),
            metadata,
            cold_threads,
            runtime,
            reader: Reader::new(store.clone(), chunks, read_limits),
            store,
            offload: OffloadOptions { upload: UploadOptions { object, ..UploadOptions::default() } },
            findings: Findings::default(),
            room: Arc::new(Room::new(config)),
            sizes: Arc::default(),
            deletions: Arc::default(),
            at_work: Arc::default(),
            cuts: CutsTold::default(),
            restored,
            peers: OnceLock::new(),
            owned: tokio::sync::watch::Sender::new(false),
            is_past: AtomicBool::new(false),
            incarnation: config.number(INCARNATION).cast_unsigned(),
            paces,
            requests,
            default_enable: config.is_on("tier.default.enable"),
            full_policy: text("tier.disk.full.default.policy").unwrap_or_else(|| REJECT.to_owned()),
        })))
    }

    /// From now on the other brokers are asked for a chunk before the store is.
    pub fn meet_peers(&self, node_id: BrokerId, transport: SharedTransport, replicas: &Arc<ReplicaManager>) {
        let neighbours = OfBroker { metadata: self.metadata.clone(), replicas: replicas.clone() };
        let chunks = self.reader.chunks().clone();
        let patience = Patience::default();
        let peers = TierPeers::new(&self.env, node_id, transport, Arc::new(neighbours), chunks, patience);
        let peers = self.peers.get_or_init(|| peers);
        self.reader.set_peers(peers.clone());
    }

    /// Answers a peer's questions about chunks, on the cold runtime, until its stream ends.
    pub fn serve(&self, incoming: Incoming) {
        match self.peers.get() {
            Some(peers) => {
                self.runtime.spawn(peers.clone().serve(incoming));
            }
            None => tracing::debug!(peer = %incoming.peer, "a question about a chunk came before the start"),
        }
    }

    /// What this broker may be writing there.
    #[must_use]
    pub fn at_work(&self) -> Arc<AtWork> {
        self.at_work.clone()
    }

    /// Takes up rates that were set at run time.
    pub fn set_rates(&self, config: &BrokerConfig) {
        for (key, pace) in RATES.iter().zip(&self.paces) {
            pace.set_rate(config.number(key).cast_unsigned());
        }
    }

    /// Requests and cache use so far.
    #[must_use]
    pub fn counts(&self) -> TierCounts {
        TierCounts {
            requests: self.requests.counts(),
            chunks: self.reader.chunks().counts(),
            scrub: self.findings.counts(),
            dropped_records: self.room.dropped_records(),
        }
    }

    /// Failed requests so far, by kind and code.
    #[must_use]
    pub fn failed_requests(&self) -> BTreeMap<(&'static str, String), u64> {
        self.requests.failed()
    }

    /// What lies in the tier of the partitions that are led here, by topic.
    #[must_use]
    pub fn bytes_by_topic(&self) -> BTreeMap<TopicName, u64> {
        self.sizes.by_topic()
    }

    /// Partitions that are led here and lack records between the tier and the local log.
    #[must_use]
    pub fn gaps(&self) -> usize {
        self.sizes.gaps()
    }

    /// Partitions that are led here, are to give their tier up, and wait for a replica that has not said what it has.
    #[must_use]
    pub fn discards_waiting(&self) -> usize {
        self.sizes.discards_waiting()
    }

    /// The cuts that this broker has taken.
    #[must_use]
    pub fn cuts(&self) -> &CutsTold {
        &self.cuts
    }

    /// Look-ups of footers, manifests and archives so far.
    #[must_use]
    pub fn index_counts(&self) -> [(&'static str, IndexCounts); 3] {
        self.reader.index_counts()
    }

    /// Whether a topic takes no appends for now, because the disk is nearly full and its records may not be dropped.
    #[must_use]
    pub fn rejects_appends(&self, topic: &BTreeMap<String, String>) -> bool {
        let refuses = planted(Defect::OutageRefusesAppends) && self.requests.counts().errors > 0;
        (refuses || self.room.is_full())
            && flag(topic, ENABLE).unwrap_or(self.default_enable)
            && topic.get(FULL_POLICY).unwrap_or(&self.full_policy) == REJECT
    }

    /// Waits until the manifest of a partition that is led here carries a log start that its log has, or the partition's topic is not
    /// tiered (any more). The caller bounds it.
    ///
    /// # Errors
    /// When this broker will not bring it there.
    pub async fn carries_log_start(&self, replica: &Replica, log_start: Offset) -> Result<(), NotCarried> {
        let key = (replica.topic_id(), replica.partition().partition);
        let mut positions = replica.watch();
        tokio::select! {
            biased;
            carried = self.deletions.carried(key, log_start) => carried,
            _ = positions.wait_for(|positions| !positions.leads()) => Err(NotCarried::NotLeader),
        }
    }

    /// Where a partition lives in the store.
    pub(super) fn folder(
        &self,
        partition: &TopicPartition,
        topic: TopicId,
    ) -> Result<PartitionFolder, InvalidKeyPart> {
        let cluster_id = &self.metadata.image().cluster_id;
        PartitionFolder::new(cluster_id, partition.topic.as_str(), &topic.to_string(), partition.partition)
    }
}
