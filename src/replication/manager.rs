//! All replicas of this broker: hosts them as the image says, keeps the lanes to their leaders, serves the lanes of
//! their followers, carries proposals to the quorum.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use super::context::{Context, Proposal, Quorum, ReplicationConfig, TierReader};
use super::isr::leader::ProposalReply;
use super::lanes::follow::FollowLane;
use super::lanes::serve::{Lookup, serve};
use super::reconcile::{AskedTier, Hosted};
use super::replica::{Positions, Replica};
use super::rounds::Rounds;
use crate::env::{BlockingPool, Env, MonoTime, timeout};
use crate::log::{CheckpointPositions, LogDirs, LogError, Removal};
use crate::metadata::Command;
use crate::transport::{Incoming, SharedTransport};
use crate::types::{BrokerId, DirectoryId, LeaderEpoch, Offset, TopicId, TopicPartition};

/// Proposals that wait for their replies at the same time, at most.
const PROPOSALS: usize = 64;
/// How often leaders look for members that lag or are gone.
const TICK_DIVISOR: u32 = 4;
/// At the end, a disk on which no log could be closed for so long is not waited for.
const CLOSE_PATIENCE: Duration = Duration::from_secs(30);

/// The replicas of a broker.
pub struct ReplicaManager {
    pub(super) context: Arc<Context>,
    pub(super) dirs: Arc<LogDirs>,
    pub(super) hosted: RwLock<HashMap<(TopicId, i32), Hosted>>,
    names: RwLock<HashMap<TopicPartition, Arc<Replica>>>,
    pub(super) lanes: Mutex<HashMap<(BrokerId, u32), Arc<FollowLane>>>,
    transport: SharedTransport,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    pub(super) rounds: Mutex<Rounds>,
    /// Failed directories that the quorum knows of, or is being told of.
    pub(super) lost_directories: Mutex<HashSet<DirectoryId>>,
    /// Replicas of an earlier life that may lie in a directory that could not be opened.
    pub(super) out_of_reach: Mutex<HashSet<(TopicId, i32)>>,
    /// When this broker last resigned because it could not begin to lead.
    pub(super) resigned: Mutex<HashMap<(TopicId, i32), MonoTime>>,
    /// What the tier's store is asked of partitions that are to be led here, for which epoch, and what it has said.
    pub(super) tier_heads: Mutex<HashMap<(TopicId, i32), AskedTier>>,
    /// Partitions that are to be led here and wait for the tier's store.
    pub(super) wait_for_tier: Mutex<HashSet<(TopicId, i32)>>,
    /// Another look at all partitions is coming.
    pub(super) tries_again: AtomicBool,
    reconciled: watch::Sender<u64>,
}

impl ReplicaManager {
    /// Starts to host what the image assigns to this broker, as soon as the image shows this life's registration.
    /// Must be called inside a tokio runtime; `pool` are the disk threads.
    #[must_use]
    pub fn start(
        env: &Env,
        config: ReplicationConfig,
        dirs: Arc<LogDirs>,
        quorum: Arc<dyn Quorum>,
        transport: SharedTransport,
        pool: BlockingPool,
        tier: Option<Arc<dyn TierReader>>,
    ) -> Arc<ReplicaManager> {
        let (proposals, receiver) = mpsc::unbounded_channel();
        let directories: Vec<DirectoryId> = dirs.directories().into_iter().map(|(id, _)| id).collect();
        let context = Context::new(config, env, pool, quorum, tier, proposals, &directories);
        let manager = Arc::new(ReplicaManager {
            context: Arc::new(context),
            dirs,
            hosted: RwLock::default(),
            names: RwLock::default(),
            lanes: Mutex::default(),
            transport,
            stop: watch::channel(false).0,
            tasks: Mutex::default(),
            rounds: Mutex::default(),
            lost_directories: Mutex::default(),
            out_of_reach: Mutex::default(),
            resigned: Mutex::default(),
            tier_heads: Mutex::default(),
            wait_for_tier: Mutex::default(),
            tries_again: AtomicBool::default(),
            reconciled: watch::channel(0).0,
        });
        manager.spawn(manager.clone().follow_images());
        manager.spawn(manager.clone().tick());
        manager.spawn(manager.clone().checkpoint());
        manager.spawn(propose(manager.context.clone(), receiver));
        manager
    }

    /// Takes over a replication stream that a follower broker has opened.
    pub fn serve(self: &Arc<Self>, incoming: Incoming) {
        let manager = Arc::downgrade(self);
        let lookup: Lookup =
            Arc::new(move |topic, partition| manager.upgrade()?.replica_by_id(topic, partition));
        let serving = serve(self.context.clone(), lookup, incoming);
        let mut stop = self.stop.subscribe();
        self.context.runtime.spawn(async move {
            tokio::select! {
                () = serving => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }

    /// The replica of a partition that this broker hosts.
    #[must_use]
    pub fn replica(&self, partition: &TopicPartition) -> Option<Arc<Replica>> {
        self.names.read().get(partition).cloned()
    }

    /// The same by the topic's id.
    #[must_use]
    pub fn replica_by_id(&self, topic: TopicId, partition: i32) -> Option<Arc<Replica>> {
        self.hosted.read().get(&(topic, partition)).map(|hosted| hosted.replica.clone())
    }

    /// All replicas that this broker hosts.
    #[must_use]
    pub fn replicas(&self) -> Vec<Arc<Replica>> {
        self.hosted.read().values().map(|hosted| hosted.replica.clone()).collect()
    }

    /// The log directories that were opened, in the order of `log.dirs`.
    #[must_use]
    pub fn directories(&self) -> Vec<(DirectoryId, PathBuf)> {
        self.dirs.directories()
    }

    /// The disk threads of a directory: its own where there are several.
    #[must_use]
    pub fn threads_of(&self, directory: DirectoryId) -> BlockingPool {
        self.context.threads_of(Some(directory)).pool
    }

    /// How many partitions are to be led here, and are not as long as the tier's store does not say what it holds of them.
    #[must_use]
    pub fn waiting_for_tier(&self) -> usize {
        self.wait_for_tier.lock().len()
    }

    /// The directories that could not be opened at the start, and those that have failed since.
    #[must_use]
    pub fn offline_directories(&self) -> Vec<PathBuf> {
        let failed = self.dirs.failed();
        let since = self.dirs.directories().into_iter().filter(|(id, _)| failed.iter().any(|(f, _)| f == id));
        self.dirs.unusable().iter().map(|dir| dir.path.clone()).chain(since.map(|(_, path)| path)).collect()
    }

    /// Why no log directory works any more; `None` as long as one does.
    #[must_use]
    pub fn no_longer_usable(&self) -> Option<LogError> {
        self.dirs.no_longer_usable()
    }

    /// The version of the image that the replicas' roles follow, but for those in directories that take long (`rounds`); wakes
    /// after each newer one has been carried out.
    #[must_use]
    pub fn reconciled(&self) -> watch::Receiver<u64> {
        self.reconciled.subscribe()
    }

    /// Stops in order: ends all roles, closes the logs, writes the checkpoints and the proof of a clean stop.
    ///
    /// # Errors
    /// `LogError` when a log could not be closed; then there is no proof.
    pub async fn shutdown(&self) -> Result<(), LogError> {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            // A task that panicked has been reported; it can't be waited for.
            let _ = task.await;
        }
        let mut by_directory: BTreeMap<DirectoryId, Vec<Arc<Replica>>> = BTreeMap::new();
        for (directory, _) in self.dirs.directories() {
            by_directory.insert(directory, Vec::new());
        }
        for replica in self.replicas() {
            by_directory.entry(replica.directory()).or_default().push(replica);
        }
        // What one directory cannot do must not keep the others from their clean stop.
        let closing = by_directory.into_iter().map(|(directory, replicas)| self.close(directory, replicas));
        let outcome = join_all(closing).await.into_iter().fold(Ok(()), Result::and);
        self.hosted.write().clear();
        self.names.write().clear();
        outcome
    }

    /// Closes the logs of a directory, and proves it there. A disk that does not come on is given up.
    async fn close(&self, directory: DirectoryId, replicas: Vec<Arc<Replica>>) -> Result<(), LogError> {
        let (dirs, epoch) = (self.dirs.clone(), self.context.broker_epoch());
        let closed = Arc::new(AtomicUsize::new(0));
        let progress = closed.clone();
        let close = move || {
            let mut stored = Vec::with_capacity(replicas.len());
            let mut outcome = Ok(());
            for replica in &replicas {
                replica.rest(replica.positions().leader_epoch);
                if !replica.is_stranded() {
                    match replica.with_log(crate::log::Log::close_clean) {
                        Ok(()) => stored.push((replica.partition().clone(), checkpoint_of(replica))),
                        Err(e) => outcome = outcome.and(Err(e)),
                    }
                }
                progress.fetch_add(1, Ordering::Relaxed);
            }
            dirs.write_checkpoints(&stored)?;
            if let Some(epoch) = epoch {
                dirs.mark_clean(directory, epoch)?;
            }
            outcome
        };
        let threads = self.threads_of(directory);
        let mut closing = pin!(threads.run(close));
        loop {
            let before = closed.load(Ordering::Relaxed);
            if let Ok(ended) = timeout(&*self.context.clock, CLOSE_PATIENCE, &mut closing).await {
                return ended.unwrap_or(Ok(()));
            }
            if closed.load(Ordering::Relaxed) == before {
                let all = self.dirs.directories().into_iter();
                let dir = all.filter(|(id, _)| *id == directory).map(|(_, path)| path).next();
                return Err(LogError::DirectoryOffline {
                    dir: dir.unwrap_or_default(),
                    reason: "its disk does not answer".to_owned(),
                });
            }
        }
    }

    /// Raises the log start of a partition that is led here; it is stored when this returns. The new start. Runs on a
    /// disk thread.
    ///
    /// # Errors
    /// `OutOfRange` above the log end, `Io`, or why the log is not writable.
    pub fn raise_log_start(&self, replica: &Replica, to: Offset, now_ms: i64) -> Result<Offset, LogError> {
        let (removal, log_start) = replica.with_log(|log| {
            let removal = log.advance_log_start(to, now_ms)?;
            Ok::<_, LogError>((removal, log.log_start()))
        })?;
        self.store_log_start(replica, removal)?;
        Ok(log_start)
    }

    /// The same for what a leadership has found out, as far as the log reaches: `false` when that leadership is over. What it has
    /// found holds no longer then: an unclean election may have put other records there.
    ///
    /// # Errors
    /// As `raise_log_start`.
    pub fn raise_log_start_as_leader(
        &self,
        replica: &Replica,
        epoch: LeaderEpoch,
        to: Offset,
        now_ms: i64,
    ) -> Result<bool, LogError> {
        // Roles change under the log's lock.
        let raised = replica.with_log(|log| {
            let positions = replica.positions();
            if !positions.leads() || positions.leader_epoch != epoch {
                return Ok(None);
            }
            log.advance_log_start(to.min(log.log_end()), now_ms).map(Some)
        })?;
        match raised {
            Some(removal) => self.store_log_start(replica, removal).map(|()| true),
            None => Ok(false),
        }
    }

    /// The same for who can wait: the start is stored together with those of other partitions, a few writes for all of them, and what
    /// lies below goes after that. Where it can't be stored what lies below goes all the same, as on a full disk that makes room.
    ///
    /// # Errors
    /// As `raise_log_start`.
    pub async fn raise_log_start_with_others(
        &self,
        replica: &Arc<Replica>,
        epoch: LeaderEpoch,
        to: Offset,
        now_ms: i64,
    ) -> Result<bool, LogError> {
        let raised = on_disk_thread(replica, move |replica| {
            replica.with_log(|log| {
                let positions = replica.positions();
                if !positions.leads() || positions.leader_epoch != epoch {
                    return Ok(None);
                }
                log.raise_log_start(to.min(log.log_end()), now_ms).map(|()| Some(log.log_start()))
            })
        });
        let Some(log_start) = raised.await? else { return Ok(false) };
        let mut written = self.context.checkpoints_written.subscribe();
        let mut positions = replica.watch();
        replica.want_log_start_stored();
        let stored = loop {
            written.mark_unchanged();
            if let Some(stored) = replica.has_log_start_on_disk(log_start) {
                break stored;
            }
            let is_over = |p: &Positions| !p.leads() || p.leader_epoch != epoch;
            tokio::select! {
                changed = written.changed() => if changed.is_err() { return Ok(false) },
                // The next leadership, or who follows, deletes what lies below with what comes next.
                _ = positions.wait_for(is_over) => return Ok(false),
            }
        };
        let dirs = self.dirs.clone();
        let deleted = on_disk_thread(replica, move |replica| {
            let removal = replica.with_log(|log| log.delete_segments_below(log_start))?;
            let stored = match stored {
                true => Ok(()),
                false => dirs.write_checkpoints(&[(replica.partition().clone(), checkpoint_of(replica))]),
            };
            removal.run()?;
            stored
        });
        deleted.await.map(|()| true)
    }

    fn store_log_start(&self, replica: &Replica, removal: Removal) -> Result<(), LogError> {
        let stored = self.dirs.write_checkpoints(&[(replica.partition().clone(), checkpoint_of(replica))]);
        // These files are no part of the log any more. Where a full disk kept the start from being stored, there is room again.
        removal.run()?;
        stored
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut stop = self.stop.subscribe();
        let task = self.context.runtime.spawn(async move {
            tokio::select! {
                () = task => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
        let mut tasks = self.tasks.lock();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    /// The lane over which a partition follows a leader.
    pub(super) fn lane(
        self: &Arc<Self>,
        leader: BrokerId,
        address: &str,
        topic: TopicId,
        partition: i32,
    ) -> Arc<FollowLane> {
        let id = topic.as_bytes();
        let spread = u32::from_be_bytes([id[0], id[1], id[2], id[3]]).wrapping_add(partition.cast_unsigned());
        let index = spread % self.context.config.lanes.max(1);
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get(&(leader, index)) {
            lane.set_address(address);
            return lane.clone();
        }
        let lane = FollowLane::new(self.context.clone(), leader, index, address.to_owned());
        lanes.insert((leader, index), lane.clone());
        self.spawn(lane.clone().run(self.transport.clone(), self.stop.subscribe()));
        lane
    }

    pub(super) fn host(&self, key: (TopicId, i32), hosted: Hosted) {
        self.names.write().insert(hosted.replica.partition().clone(), hosted.replica.clone());
        self.hosted.write().insert(key, hosted);
    }

    pub(super) fn unhost(&self, key: (TopicId, i32)) -> Option<Arc<Replica>> {
        let replica = self.hosted.write().remove(&key)?.replica;
        let mut names = self.names.write();
        if names.get(replica.partition()).is_some_and(|named| Arc::ptr_eq(named, &replica)) {
            names.remove(replica.partition());
        }
        Some(replica)
    }

    async fn follow_images(self: Arc<Self>) {
        let mut images = self.context.quorum.images();
        let mut before = None;
        loop {
            let image = images.borrow_and_update().clone();
            self.reconcile(before.as_deref(), &image).await;
            self.reconciled.send_replace(image.version);
            before = Some(image);
            tokio::select! {
                changed = images.changed() => if changed.is_err() { return },
                () = self.context.again.notified() => {}
            }
        }
    }

    async fn tick(self: Arc<Self>) {
        loop {
            self.context.clock.sleep(self.context.config.settings.session_timeout / TICK_DIVISOR).await;
            let failed = self.dirs.failed();
            self.tell_of(&failed);
            let replicas: Vec<Arc<Replica>> = {
                let hosted = self.hosted.read();
                let all = hosted.values().map(|hosted| &hosted.replica);
                all.filter(|replica| !failed.is_empty() || !replica.is_at_rest()).cloned().collect()
            };
            for replica in replicas {
                replica.tick();
                let failure = failed.iter().find(|(directory, _)| *directory == replica.directory());
                if let Some((_, reason)) = failure {
                    if !replica.is_stranded() {
                        let reason = reason.clone();
                        replica.run_for_tick(move |replica| replica.strand(&reason));
                    }
                } else if replica.flush_is_late() {
                    replica.run_for_tick(Replica::flush_now);
                }
            }
        }
    }
}

async fn on_disk_thread<T: Send + 'static>(
    replica: &Arc<Replica>,
    job: impl FnOnce(&Replica) -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let of = replica.clone();
    let done = replica.disk_threads().run(move || job(&of)).await;
    done.map_err(|closed| LogError::Io {
        action: "wait for a thread for",
        path: replica.partition().to_string().into(),
        source: Arc::new(io::Error::other(closed)),
    })?
}

pub(super) fn checkpoint_of(replica: &Replica) -> CheckpointPositions {
    let positions = replica.positions();
    CheckpointPositions {
        // Taken from the open log itself.
        recovery_point: Offset::ZERO,
        high_watermark: positions.high_watermark,
        log_start: positions.log_start,
        // So is this.
        cleaned: Offset::ZERO,
    }
}

/// Carries proposals to the quorum, and the replies back.
async fn propose(context: Arc<Context>, mut proposals: mpsc::UnboundedReceiver<Proposal>) {
    let room = Arc::new(Semaphore::new(PROPOSALS));
    while let Some(Proposal { replica, attempt, command }) = proposals.recv().await {
        // The semaphore is never closed.
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let context = context.clone();
        let runtime = context.runtime.clone();
        runtime.spawn(async move {
            let mut reply = context.quorum.submit(command.clone()).await;
            // A leader repeats its own proposals; what a failed replica has to say must arrive.
            while attempt == 0 && reply == ProposalReply::Unknown {
                context.clock.sleep(context.config.settings.session_timeout).await;
                reply = context.quorum.submit(command.clone()).await;
            }
            tracing::debug!(partition = %replica.partition(), attempt, ?reply, "ISR proposal");
            if reply == ProposalReply::Applied && matches!(command, Command::LoseReplicas { .. }) {
                replica.loss_is_known();
                context.again.notify_one();
            }
            replica.reply(attempt, reply);
            drop(permit);
        });
    }
}
