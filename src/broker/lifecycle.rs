//! Starting and stopping: directories, peer transport, metadata, replicas, registration, and the background tasks.
//!
//! The order is what makes it safe: the peer listener answers before the quorum can form; the broker registers (with
//! its proof of how it last stopped) before it leads; it stops in the reverse order, so that the clean-shutdown marker is
//! the last thing written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;

use super::Broker;
use super::answers::AnswerBudget;
use super::client_telemetry::ClientTelemetry;
use super::cold::ColdTier;
use super::config::{BrokerConfig, ConfigError};
use super::directories::{Directories, LateReads};
use super::epoch_file;
use super::groups::OFFSETS_TOPIC;
use super::live::LiveConfig;
use super::machine::machine_proof;
use super::markers::{Markers, Writer};
use super::peers::Peers;
use super::produce::Verifying;
use super::producer_ids::ProducerIds;
use super::quorum::{LocalLogs, MetadataQuorum};
use super::seams::{Seams, peer_tls};
use super::stop::StopSignal;
use super::tier::{ClusterBackup, ColdStore, CutSteps, CutTaker, TierDriver, TierReads};
use super::transactions::{self, TRANSACTIONS_TOPIC, TransactionHost};
use crate::coordinator::txn::TransactionCoordinators;
use crate::coordinator::{Coordinators, GroupConfig};
use crate::env::metrics::REQUEST_SECONDS;
use crate::env::pem::{days_left_if_few, expiry_ms, load_certificates};
use crate::env::{Env, MonoTime, WatchedFiles, timeout};
use crate::log::{LogDirs, LogError};
use crate::metadata::{
    BrokerRegistration, CommandError, Endpoint, LeaderBalance, Metadata, MetadataConfig, Proof,
    SNAPSHOT_EVERY, SubmitError,
};
use crate::replication::{LogDefaults, ReplicaManager, ReplicationConfig, Settings, TierReader};
use crate::security::first_user;
use crate::transport::StreamKind;
use crate::types::Incarnation;

/// How often the expiry of the certificate is looked at.
const EXPIRY_CHECK: Duration = Duration::from_secs(24 * 60 * 60);

/// Threads for file calls. They wait for the disk more than they compute.
const DISK_THREADS: usize = 4;

/// How long a broker that is stopping waits for its partitions to move.
const CONTROLLED_SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// A log directory whose disk has not answered for so long at the start is offline, if there is another one.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Why a broker did not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A log directory cannot be used.
    #[error("log.dirs: {0}")]
    LogDirs(String),
    /// The peer listener or its certificates cannot be used.
    #[error("peer listener: {0}")]
    Peer(String),
    /// The metadata store or quorum cannot be used.
    #[error("metadata: {0}")]
    Metadata(String),
    /// The cold tier cannot be used.
    #[error("cold tier: {0}")]
    Tier(String),
    /// The operating system refused something.
    #[error("{0}")]
    System(String),
}

impl Broker {
    /// Starts a broker whose client listeners are bound already (`endpoints` are what clients are told).
    ///
    /// Returns once it is registered and unfenced.
    ///
    /// # Errors
    /// `StartError` names what cannot be used and what to do.
    pub async fn start(
        seams: Seams,
        config: BrokerConfig,
        endpoints: Vec<Endpoint>,
    ) -> Result<Arc<Broker>, StartError> {
        let Seams { env, peers, stores } = seams;
        let live = Arc::new(LiveConfig::new(config.clone())?);
        let groups = GroupConfig::from_properties(&config.all_values())
            .map_err(|e| StartError::Config(ConfigError::Contradiction(e.to_string())))?;
        let silent = silent_dirs(&env, &config.log_dirs, START_PATIENCE).await;
        let dirs = open_dirs(&env, &config, &silent)?;
        let registration = registration(&env, &config, &dirs, endpoints)?;
        let transport = peers.bind(&env, &config).await?;
        let metadata = Metadata::start(&env, metadata_config(&config, &dirs), transport.clone())
            .await
            .map_err(|e| StartError::Metadata(e.to_string()))?;
        let disk_threads = env.threads.pool("disk", DISK_THREADS);
        // Uploads and reads of the store never take a thread from the hot path.
        let cold = env
            .threads
            .background("cold")
            .map_err(|e| StartError::System(format!("no thread for the cold runtime: {e}")))?;
        let cold_store = ColdStore::open(&env, &*stores, &config, metadata.clone(), cold.handle().clone())
            .await
            .map_err(|e| StartError::Tier(e.to_string()))?;
        let replicas = ReplicaManager::start(
            &env,
            replication_config(&config, &registration, &live),
            dirs.clone(),
            Arc::new(MetadataQuorum(metadata.clone())),
            transport.clone(),
            disk_threads.clone(),
            cold_store.clone().map(|store| store as Arc<dyn TierReader>),
        );
        if let Some(store) = &cold_store {
            store.meet_peers(config.node_id, transport.clone(), &replicas);
        }
        let coordinators = Coordinators::new(env.clone(), groups);
        let markers = Arc::new(Markers {
            env: env.clone(),
            node_id: config.node_id,
            metadata: metadata.clone(),
            replicas: replicas.clone(),
            groups: coordinators.clone(),
        });
        let writer = Arc::new(Writer(markers.clone()));
        let transactions = TransactionHost {
            clock: env.clock.clone(),
            node_id: config.node_id,
            metadata: metadata.clone(),
            coordinators: TransactionCoordinators::new(env.clone(), transactions::config(&config), writer),
        };
        let cuts = Arc::new(CutSteps::new(
            (env.clock.clone(), config.node_id, metadata.clone()),
            (coordinators.clone(), transactions.coordinators.clone()),
            replicas.clone(),
            cold_store.clone(),
        ));
        let answering = Peers {
            cuts: cuts.clone(),
            markers: markers.clone(),
            transactions: transactions.clone(),
            at_work: cold_store.as_ref().map(|store| store.at_work()).unwrap_or_default(),
        };
        let logs = LocalLogs { replicas: replicas.clone(), peers: answering };
        metadata.handle_control(Arc::new(logs));
        let tier = cold_store
            .clone()
            .map(|store| Arc::new(TierReads::new(store, replicas.clone())) as Arc<dyn ColdTier>);
        let directories = Directories::new(&env, &replicas);
        let status_thread = env.threads.pool("status", 1);
        let answers = AnswerBudget::new(config.size("queued.max.response.bytes"));
        let broker = Arc::new(Broker {
            answers,
            lags: Mutex::default(),
            fetch_wait: env.metrics.histogram(REQUEST_SECONDS, &["Fetch", "wait"]),
            fetch_remote: env.metrics.histogram(REQUEST_SECONDS, &["Fetch", "remote"]),
            env,
            config,
            live,
            client_telemetry: ClientTelemetry::default(),
            subscriptions: Mutex::default(),
            metadata,
            replicas,
            coordinators,
            transactions,
            markers,
            verifying: Verifying::default(),
            tier,
            cold_store,
            transport,
            disk_threads,
            directories: directories.clone(),
            late_reads: LateReads::default(),
            status_thread,
            producer_ids: ProducerIds::default(),
            stopping: StopSignal::default(),
            cold,
        });
        tokio::spawn(broker.clone().serve_peers());
        broker.join(registration, &dirs).await?;
        broker.tell_metrics();
        tokio::spawn(broker.clone().run_group_lag());
        tokio::spawn(broker.clone().watch_peer_certificates());
        let groups = Arc::new(broker.coordinators.clone());
        broker.coordinate(OFFSETS_TOPIC, groups);
        let transactions = Arc::new(broker.transactions.coordinators.clone());
        broker.coordinate(TRANSACTIONS_TOPIC, transactions);
        tokio::spawn(broker.clone().run_topic_watch());
        tokio::spawn(directories.clone().run(broker.stopping.clone()));
        for (directory, _) in broker.replicas.directories() {
            tokio::spawn(broker.clone().run_retention(directory));
        }
        tokio::spawn(broker.clone().run_compaction());
        if let Some(store) = &broker.cold_store {
            let (replicas, stopping) = (broker.replicas.clone(), broker.stopping.clone());
            ClusterBackup::start(
                store.clone(),
                &broker.config,
                (broker.coordinators.clone(), broker.transactions.coordinators.clone()),
                stopping.clone(),
            );
            let live = broker.live.clone();
            CutTaker::start(store.clone(), &broker.config, (cuts, live), stopping.clone());
            TierDriver::start(
                store.clone(),
                &broker.config,
                broker.live.clone(),
                replicas,
                directories,
                stopping,
            );
            let store = store.clone();
            tokio::spawn(broker.clone().follow_config(move |config| store.set_rates(config)));
        }
        Ok(broker)
    }

    /// Registers, stores the epoch, waits for the logs to be open, and becomes active.
    async fn join(&self, registration: BrokerRegistration, dirs: &LogDirs) -> Result<(), StartError> {
        let refused = |e: &dyn std::fmt::Display| StartError::Metadata(e.to_string());
        let epoch = self.metadata.register(registration).await.map_err(|e| refused(&e))?;
        let image = self.image();
        if let Some(above) = image.beyond_this_program() {
            return Err(StartError::Metadata(above));
        }
        dirs.bind_to_cluster(&image.cluster_id).map_err(|e| StartError::LogDirs(e.to_string()))?;
        epoch_file::remember(&*self.env.disk, &paths(dirs), epoch)
            .map_err(|e| StartError::LogDirs(e.to_string()))?;
        let mut reconciled = self.replicas.reconciled();
        if reconciled.wait_for(|version| *version >= image.version).await.is_err() {
            return Err(StartError::Metadata(
                "the replicas stopped before the broker had started".to_owned(),
            ));
        }
        self.create_first_user().await?;
        if let Some(store) = &self.cold_store {
            let foreign = |e| StartError::Tier(format!("tier.store.url: {e}"));
            store.claim(self.stopping.clone()).await.map_err(foreign)?;
        }
        self.metadata.activate().await.map_err(|e| refused(&e))
    }

    /// Creates the user that `security.bootstrap.user` names, if the cluster has no user at all.
    async fn create_first_user(&self) -> Result<(), StartError> {
        let Some(setting) = self.config.properties.get("security.bootstrap.user") else { return Ok(()) };
        let (user, password) = setting.split_once(':').unwrap_or((setting, ""));
        let command = first_user(&*self.env.rng, &self.image(), user, password).map_err(|e| {
            StartError::Config(ConfigError::Contradiction(format!("security.bootstrap.user: {e}")))
        })?;
        let Some(command) = command else { return Ok(()) };
        match self.metadata.submit(command).await {
            Ok(_) => tracing::info!("the first user, {user:?}, was created from security.bootstrap.user"),
            // Brokers that start together with the same setting all propose the same user.
            Err(SubmitError::Rejected(CommandError::UsersExist)) if self.image().users.contains_key(user) => {
            }
            Err(SubmitError::Rejected(CommandError::UsersExist)) => tracing::warn!(
                "security.bootstrap.user: user {user:?} was not created, another broker has created the first user; \
                 the setting should be the same on all brokers"
            ),
            Err(e) => return Err(StartError::Metadata(e.to_string())),
        }
        Ok(())
    }

    /// Completes with the reason when no log directory works any more: the broker has nothing left to serve, and its
    /// process should end (as Kafka's does).
    pub async fn directories_lost(&self) -> LogError {
        let every = self.config.millis("replica.session.timeout.ms");
        loop {
            if let Some(error) = self.replicas.no_longer_usable() {
                return error;
            }
            self.env.clock.sleep(every).await;
        }
    }

    /// Stops in order: partitions move, followers are told, logs are flushed, the clean-shutdown marker is written.
    pub async fn shutdown(&self) {
        let moved = self.metadata.controlled_shutdown();
        match timeout(&*self.env.clock, CONTROLLED_SHUTDOWN_LIMIT, moved).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "stopping without a controlled shutdown"),
            Err(error) => tracing::warn!(%error, "stopping without a controlled shutdown"),
        }
        self.stopping.stop();
        self.transactions.coordinators.shutdown().await;
        self.coordinators.shutdown().await;
        if let Err(error) = self.replicas.shutdown().await {
            tracing::error!(%error, "the logs could not be closed cleanly; they are recovered at the next start");
        }
        self.metadata.shutdown().await;
        self.transport.close();
        self.cold.shutdown();
    }

    /// Uses new peer certificates once they are in their files; bad ones change nothing.
    async fn watch_peer_certificates(self: Arc<Self>) {
        let Some(files) = &self.config.peer_tls else { return };
        let certificate = files[1].clone();
        let mut files = WatchedFiles::new(self.env.disk.clone(), files.to_vec());
        let every = self.config.millis("ssl.reload.interval.ms");
        let mut warned: Option<MonoTime> = None;
        loop {
            let now = self.env.clock.now();
            if warned.is_none_or(|at| now.since(at) >= EXPIRY_CHECK) {
                warned = Some(now);
                self.warn_of_expiry(&certificate);
            }
            tokio::select! {
                () = self.env.clock.sleep(every) => {}
                () = self.stopping.stopped() => return,
            }
            let (env, config) = (self.env.clone(), self.config.clone());
            let looked = self.disk_threads.run(move || {
                let changed = files.have_changed();
                let tls = changed.then(|| peer_tls(&env, &config));
                (files, tls)
            });
            let Ok((watched, tls)) = looked.await else { return };
            files = watched;
            match tls.map(|tls| tls.and_then(|tls| self.transport.reload(&tls))) {
                None => {}
                Some(Ok(())) => {
                    tracing::info!("new peer certificates are in use");
                    self.warn_of_expiry(&certificate);
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "the new peer certificates are refused, the old ones stay in use");
                }
            }
        }
    }

    fn warn_of_expiry(&self, certificate: &Path) {
        let Ok(chain) = load_certificates(&*self.env.disk, certificate) else { return };
        let left = expiry_ms(&chain).and_then(|expiry| days_left_if_few(expiry, self.env.clock.wall_ms()));
        if let Some(days) = left {
            let path = certificate.display();
            tracing::warn!(%path, days, "the peer certificate expires soon, or has expired");
        }
    }

    /// Hands each stream that a peer opens to the room it is for.
    async fn serve_peers(self: Arc<Self>) {
        loop {
            let incoming = tokio::select! {
                incoming = self.transport.accept() => incoming,
                () = self.stopping.stopped() => return,
            };
            let Some(incoming) = incoming else { return };
            match incoming.kind {
                StreamKind::Raft | StreamKind::Control => self.metadata.serve(incoming),
                StreamKind::Replication => self.replicas.serve(incoming),
                StreamKind::TierPeer => match &self.cold_store {
                    Some(store) => store.serve(incoming),
                    None => {
                        tracing::debug!(peer = %incoming.peer, "a question about a chunk, and no tier.store.url")
                    }
                },
            }
        }
    }
}

/// Names in a log directory that are not the log's.
fn others(config: &BrokerConfig) -> Vec<String> {
    let mut names = vec![epoch_file::BROKER_EPOCH.to_owned(), "tier-cache".to_owned()];
    for inside in
        [Some(&config.metadata_dir), config.properties.get("tier.cache.dir").map(PathBuf::from).as_ref()]
            .into_iter()
            .flatten()
    {
        for dir in &config.log_dirs {
            let first = inside.strip_prefix(dir).ok().and_then(|rest| rest.components().next());
            names.extend(first.map(|name| name.as_os_str().to_string_lossy().into_owned()));
        }
    }
    names
}

pub(super) fn open_dirs(
    env: &Env,
    config: &BrokerConfig,
    silent: &[PathBuf],
) -> Result<Arc<LogDirs>, StartError> {
    let others = others(config);
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let answering: Vec<PathBuf> =
        config.log_dirs.iter().filter(|path| !silent.contains(path)).cloned().collect();
    let mut dirs = LogDirs::open(env.disk.clone(), &*env.rng, &answering, config.node_id, &others)
        .map_err(|e| StartError::LogDirs(e.to_string()))?;
    for path in silent {
        dirs.leave_out(path.clone(), "its disk does not answer".to_owned());
    }
    Ok(Arc::new(dirs))
}

/// The log directories whose disks hang, of several; not all of them: then there is nothing to go on with, and they are waited for.
pub(super) async fn silent_dirs(env: &Env, paths: &[PathBuf], patience: Duration) -> Vec<PathBuf> {
    if paths.len() < 2 {
        return Vec::new();
    }
    let questions = paths.iter().enumerate().map(|(at, path)| {
        let (disk, asked) = (env.disk.clone(), path.clone());
        let threads = env.threads.pool(&format!("start-{at}"), 1);
        async move {
            // What these say is found out once more where the directory is opened.
            let ask = move || disk.read_dir(&asked).is_ok() && disk.sync_dir(&asked).is_ok();
            timeout(&*env.clock, patience, threads.run(ask)).await.is_err()
        }
    });
    let hang = join_all(questions).await;
    let silent: Vec<PathBuf> =
        paths.iter().zip(hang).filter(|(_, hangs)| *hangs).map(|(path, _)| path.clone()).collect();
    if silent.len() == paths.len() { Vec::new() } else { silent }
}

/// The directories that were opened.
fn paths(dirs: &LogDirs) -> Vec<PathBuf> {
    dirs.directories().into_iter().map(|(_, path)| path).collect()
}

fn registration(
    env: &Env,
    config: &BrokerConfig,
    dirs: &LogDirs,
    endpoints: Vec<Endpoint>,
) -> Result<BrokerRegistration, StartError> {
    let paths = paths(dirs);
    let machine = machine_proof(&*env.disk, &paths)
        .map_err(|e| StartError::System(format!("boot id and mounts cannot be read: {e}")))?;
    let proof = match dirs.clean_shutdown_epoch() {
        Some(previous) => Proof::CleanShutdown { previous },
        None => Proof::Unclean {
            previous: epoch_file::remembered(&*env.disk, &paths)
                .map_err(|e| StartError::LogDirs(e.to_string()))?,
        },
    };
    Ok(BrokerRegistration {
        id: config.node_id,
        incarnation: Incarnation(env.rng.uuid()),
        endpoints,
        peer_address: config.peer_advertised.clone(),
        rack: config.properties.get("broker.rack").map(str::to_owned),
        directories: dirs.directories().into_iter().map(|(id, _)| id).collect(),
        machine,
        proof,
    })
}

fn replication_config(
    config: &BrokerConfig,
    registration: &BrokerRegistration,
    live: &Arc<LiveConfig>,
) -> ReplicationConfig {
    ReplicationConfig {
        settings: Settings {
            lag_max: config.millis("replica.lag.time.max.ms"),
            session_timeout: config.millis("replica.session.timeout.ms"),
        },
        log_defaults: LogDefaults::of({
            let live = live.clone();
            move |image| live.at(image).log_defaults.clone()
        }),
        ..ReplicationConfig::new(config.node_id, registration.incarnation)
    }
}

fn metadata_config(config: &BrokerConfig, dirs: &LogDirs) -> MetadataConfig {
    MetadataConfig {
        node_id: config.node_id,
        voters: config.voters.clone(),
        dir: config.metadata_dir.clone(),
        cluster_id: dirs.cluster_id().or_else(|| config.properties.get("cluster.id").map(str::to_owned)),
        peer_address: config.peer_advertised.clone(),
        cluster_configs: ["min.insync.replicas", "unclean.leader.election.enable"]
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), config.properties.explicit(key)?.value.clone())))
            .collect(),
        session_timeout: config.millis("broker.session.timeout.ms"),
        snapshot_every: u64::try_from(config.number("metadata.log.max.records.between.snapshots"))
            .unwrap_or(SNAPSHOT_EVERY),
        leader_balance: config.is_on("auto.leader.rebalance.enable").then(|| LeaderBalance {
            interval: config.millis("leader.imbalance.check.interval.seconds") * 1000,
            percentage: u32::try_from(config.number("leader.imbalance.per.broker.percentage")).unwrap_or(0),
        }),
        ..MetadataConfig::default()
    }
}
