//! The handle that the other rooms hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::command::{BrokerRegistration, Command, CommandError, CommandReply};
use super::config::MetadataConfig;
use super::control::{ControlError, ControlHandler};
use super::core::{Core, Registered, Tickets};
use super::image::Image;
use super::lease::Lease;
use super::liveness::Liveness;
use super::raft::{LogStore, Machine, Opened, Raft, RaftNetwork, StoreError, Unread, answer, node};
use super::{leader, levels, member};
use crate::env::Env;
use crate::transport::rpc::{self, RpcClient};
use crate::transport::{Incoming, SharedTransport, StreamKind};
use crate::types::{BrokerEpoch, BrokerId, Incarnation};

/// A lease is renewed five times while it lasts and outlives an election: a broker that has been without one for so long
/// after it ran out has no quorum.
const WITHOUT_QUORUM: Duration = Duration::from_millis(1500);
/// Requests of one peer that are answered at the same time.
const MAX_IN_FLIGHT: usize = 1024;
/// One piece of a snapshot on its way; JSON makes it about four times as long.
const SNAPSHOT_CHUNK_BYTES: u64 = 256 << 10;

/// Why a node cannot take part in the metadata.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(String),
    /// The Raft store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// openraft does not start, or has stopped for good.
    #[error("the metadata node does not run: {0}")]
    Raft(String),
    /// The cluster uses what this program does not know.
    #[error("{0}")]
    TooOld(String),
    /// The quorum refuses the registration.
    #[error("the registration was refused: {0}")]
    Refused(CommandError),
    /// The quorum belongs to another cluster than the broker's directories.
    #[error(
        "this broker's data belongs to cluster {expected}, the metadata quorum is that of cluster {found}"
    )]
    OtherCluster {
        /// What the directories say.
        expected: String,
        /// What the quorum says.
        found: String,
    },
    /// A peer answered what makes no sense.
    #[error("{0}")]
    Protocol(String),
    /// The node is being stopped.
    #[error("the metadata node is stopping")]
    Stopped,
}

/// Why a command had no effect, or an unknown one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The quorum has refused it: nothing changed.
    #[error(transparent)]
    Rejected(#[from] CommandError),
    /// No leader or no majority within the time; the command may still be applied.
    #[error("the metadata quorum is not available: {0}")]
    Unavailable(String),
}

/// This node's part in the cluster's metadata. Cheap to clone.
#[derive(Clone)]
pub struct Metadata {
    core: Arc<Core>,
}

impl Metadata {
    /// Opens the store, takes part in the quorum, and looks for a cluster or forms one in the background.
    ///
    /// # Errors
    /// A store that is damaged or another node's, or a contradictory configuration.
    pub async fn start(
        env: &Env,
        config: MetadataConfig,
        transport: SharedTransport,
    ) -> Result<Metadata, MetadataError> {
        config.check().map_err(MetadataError::Config)?;
        // 0 is what a store from before there were identities has.
        let drawn = u32::try_from(env.rng.next_u64() >> 32).unwrap_or(u32::MAX).max(1);
        let writer = env.threads.pool("raft-log", 1);
        let Opened { store, identity, snapshot } =
            LogStore::open(env.disk.clone(), &config.dir, config.node_id, drawn, writer).await?;
        let id = node(config.node_id, identity)
            .ok_or_else(|| MetadataError::Config("negative node id".to_owned()))?;
        let (machine, images) = Machine::new(store.clone(), snapshot)
            .map_err(|what| StoreError::Damaged { path: config.dir.clone(), what })?;
        let above = images.borrow().beyond_this_program();
        if let Some(above) = above {
            return Err(MetadataError::TooOld(above));
        }
        let snapshots = machine.snapshots();
        let network = RaftNetwork {
            rpc: RpcClient::new(env, transport),
            voters: Arc::new(config.voters.iter().cloned().collect::<BTreeMap<_, _>>()),
            images: images.clone(),
        };
        let failed = |e: &dyn std::fmt::Display| MetadataError::Raft(e.to_string());
        let settings = raft_settings(&config)?;
        let raft = Raft::new(id, Arc::new(settings), network.clone(), store.clone(), machine).await.map_err(
            |e| match images.borrow().beyond_this_program() {
                // What was replayed says so.
                Some(above) => MetadataError::TooOld(above),
                None => failed(&e),
            },
        )?;
        let core = Arc::new(Core {
            env: env.clone(),
            member: id,
            raft,
            store,
            network,
            snapshots,
            unread: Unread::default(),
            images,
            lease: Lease::default(),
            liveness: Mutex::new(Liveness::new(config.session_timeout, config.lease)),
            wall_clocks: Mutex::default(),
            quorum_time: Mutex::default(),
            clock_is_far: AtomicBool::default(),
            handler: RwLock::new(None),
            tickets: Tickets::new(Incarnation(env.rng.uuid())),
            registered: watch::channel(Registered::default()).0,
            heard_leader: Mutex::new(env.clock.now()),
            voters_change: tokio::sync::Mutex::default(),
            stop: watch::channel(false).0,
            config,
        });
        tokio::spawn(member::find_quorum(core.clone()));
        tokio::spawn(leader::run(core.clone()));
        tokio::spawn(levels::store(core.clone()));
        Ok(Metadata { core })
    }

    /// The image as of now.
    #[must_use]
    pub fn image(&self) -> Arc<Image> {
        self.core.image()
    }

    /// The image as of now, not older than this question; `None` unless this node leads the quorum and a majority says so.
    pub async fn confirmed_image(&self) -> Option<Arc<Image>> {
        self.core.confirmed_image().await
    }

    /// Every later image (a slow reader skips some).
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Image>> {
        self.core.images.clone()
    }

    /// Gets a command applied, from any node; returns after the local image has it. A command is applied once, however
    /// often it had to be sent.
    ///
    /// # Errors
    /// `Rejected` says why nothing changed; after `Unavailable` the command may still be applied.
    pub async fn submit(&self, command: Command) -> Result<CommandReply, SubmitError> {
        self.core.submit(command).await
    }

    /// This broker's lease.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.core.lease.clone()
    }

    /// Snapshots of this life: how many it has taken itself, and how many it was sent and took up.
    #[must_use]
    pub fn snapshots(&self) -> (u64, u64) {
        self.core.snapshots.counted()
    }

    /// The metadata leader, as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<BrokerId> {
        self.core.leader()
    }

    /// The quorum's time, in milliseconds since the epoch: what is deleted for its age is deleted by it. `None` while it is not
    /// known, or this broker's own clock is more than five minutes off: then nothing is deleted.
    #[must_use]
    pub fn retention_ms(&self) -> Option<i64> {
        self.core.quorum_ms()
    }

    /// The epoch of this broker's registration; `BrokerEpoch::NONE` before it.
    #[must_use]
    pub fn broker_epoch(&self) -> BrokerEpoch {
        self.core.registered.borrow().epoch.unwrap_or(BrokerEpoch::NONE)
    }

    /// Registers this broker; it stays fenced until [`Metadata::activate`]. Waits for a quorum, and for the session of
    /// a former life to end. Heartbeats run by themselves from then on.
    ///
    /// # Errors
    /// `Refused` when another live process holds the node id; `OtherCluster`; `Stopped`.
    pub async fn register(&self, registration: BrokerRegistration) -> Result<BrokerEpoch, MetadataError> {
        member::register(&self.core, registration).await
    }

    /// Says that the broker has stored its epoch and opened its logs; returns once it is unfenced and has
    /// a lease.
    ///
    /// # Errors
    /// `Refused` when another process has taken the node id; `Stopped`.
    pub async fn activate(&self) -> Result<(), MetadataError> {
        let core = &self.core;
        core.registered.send_modify(|r| r.ready = true);
        let id = core.config.node_id;
        let mut images = core.images.clone();
        let mut registered = core.registered.subscribe();
        let active = async {
            let leased = registered.wait_for(|r| r.leased || r.superseded).await.is_ok_and(|r| r.leased);
            leased && images.wait_for(|image| image.is_active(id)).await.is_ok()
        };
        tokio::select! {
            () = core.stopped() => Err(MetadataError::Stopped),
            is_active = active => {
                if is_active { Ok(()) } else { Err(MetadataError::Refused(CommandError::DuplicateBroker(id))) }
            }
        }
    }

    /// Asks the quorum to move this broker's partitions away; returns once the local image shows it. Gives up early when
    /// there is no quorum: whoever stops all brokers, one after the other, does not wait for what cannot come.
    ///
    /// # Errors
    /// As `submit`.
    pub async fn controlled_shutdown(&self) -> Result<(), SubmitError> {
        let (id, epoch) = (self.core.config.node_id, self.broker_epoch());
        tokio::select! {
            moved = self.core.submit(Command::ControlledShutdown { id, epoch }) => moved.map(|_| ()),
            () = self.core.without_quorum(WITHOUT_QUORUM) => {
                let why = format!("no lease for {} ms", WITHOUT_QUORUM.as_millis());
                Err(SubmitError::Unavailable(why))
            }
        }
    }

    /// Answers a peer's stream of kind `Raft` or `Control`.
    pub fn serve(&self, incoming: Incoming) {
        let core = self.core.clone();
        let Incoming { peer, kind, stream } = incoming;
        let serving = core.clone();
        let handler: rpc::Handler = match kind {
            StreamKind::Raft => Arc::new(move |request| {
                let core = serving.clone();
                Box::pin(async move {
                    answer(&core.raft, core.member, &core.unread, request, || core.hear_leader()).await
                })
            }),
            StreamKind::Control => {
                Arc::new(move |request| Box::pin(serving.clone().serve_control(peer, request)))
            }
            StreamKind::Replication | StreamKind::TierPeer => {
                return tracing::error!(?kind, "a stream that is not for the metadata");
            }
        };
        tokio::spawn(async move {
            tokio::select! {
                () = core.stopped() => {}
                () = rpc::serve(stream, MAX_IN_FLIGHT, handler) => {}
            }
        });
    }

    /// Registers who answers the control requests that are not the metadata's own; replaces a former one.
    pub fn handle_control(&self, handler: Arc<dyn ControlHandler>) {
        *self.core.handler.write() = Some(handler);
    }

    /// Asks a broker's [`ControlHandler`]; an empty answer says that it has none.
    ///
    /// # Errors
    /// `ControlError` when the broker does not answer within the limit.
    pub async fn call(
        &self,
        broker: BrokerId,
        request: &[u8],
        limit: Duration,
    ) -> Result<Bytes, ControlError> {
        self.core.ask_handler(broker, request, limit).await
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Leaves the quorum in order and ends all tasks. The lease ends at once.
    pub async fn shutdown(&self) {
        self.core.stop.send_replace(true);
        self.core.lease.revoke();
        if let Err(error) = self.core.raft.shutdown().await {
            tracing::warn!(%error, "the metadata node ended with an error");
        }
        if let Err(error) = self.core.store.close().await {
            tracing::warn!(%error, "the metadata store could not be closed");
        }
    }
}

fn raft_settings(config: &MetadataConfig) -> Result<openraft::Config, MetadataError> {
    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    openraft::Config {
        cluster_name: "esker".to_owned(),
        heartbeat_interval: millis(config.heartbeat_interval),
        election_timeout_min: millis(config.election_timeout.0),
        election_timeout_max: millis(config.election_timeout.1),
        // A follower's disk decides, not the network.
        install_snapshot_timeout: 10_000,
        max_payload_entries: 64,
        snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(config.snapshot_every),
        snapshot_max_chunk_size: SNAPSHOT_CHUNK_BYTES,
        // For followers that lag a little. Never all of it goes: openraft 0.9 then never sends anything to a follower that it
        // knows nothing of.
        max_in_snapshot_log_to_keep: (config.snapshot_every / 2).max(1),
        ..openraft::Config::default()
    }
    .validate()
    .map_err(|e| MetadataError::Config(e.to_string()))
}
