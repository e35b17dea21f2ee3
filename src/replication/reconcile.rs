//! From one image to the next: which partitions this broker hosts, and in which role.
//!
//! Nothing happens before the image shows the registration of this very life: an older image may assign other
//! partitions, or make a leader of what a former life was.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::context::{RESTORED, RESTORED_TO_CUT, TierState, TierUnavailable};
use super::isr::TierPosition;
use super::isr::leader::{PartitionView, ProposalReply, ReplicaView};
use super::manager::ReplicaManager;
use super::replica::Replica;
use super::throttle;
use crate::env::defect::{Defect, planted};
use crate::env::timeout;
use crate::log::{Log, LogConfig, LogError};
use crate::metadata::{BrokerState, Command, Image, IsrMember, Partition, Topic};
use crate::types::{BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Offset, TopicId, TopicPartition};

/// The dynamic configs of the throttle (KIP-73): of a broker, and of a topic.
const THROTTLED_RATE: &str = "leader.replication.throttled.rate";
const THROTTLED: &str = "leader.replication.throttled.replicas";

/// How long the store may take to say what it holds of a partition before it is asked anew.
const TIER_PATIENCE: Duration = Duration::from_secs(10);
/// The same where the producers at a cut are to be found out: by the batches of a segment, as long as it may be.
const CUT_PATIENCE: Duration = Duration::from_secs(600);

/// What the tier holds of a partition that is about to be led.
type TierHead = Result<Option<(TierPosition, TierState)>, TierUnavailable>;

/// The epoch it is to be led under, and what the store has said since it was asked for that.
pub(super) type AskedTier = (LeaderEpoch, Option<TierHead>);

/// A hosted partition and the leader epoch that its role is for.
#[derive(Clone)]
pub(super) struct Hosted {
    pub(super) replica: Arc<Replica>,
    epoch: Option<LeaderEpoch>,
}

impl Hosted {
    /// Whether it needs nothing while the image stays as it is.
    fn is_settled(&self) -> bool {
        self.epoch.is_some() && !self.replica.needs_role()
    }
}

/// Why there is no log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NotOpened {
    /// Its bytes or its directory are bad, and the quorum is told of those.
    Told,
    /// It cannot be read, now or ever.
    Unreadable,
}

/// What to do about one partition.
pub(super) struct Job {
    pub(super) key: (TopicId, i32),
    topic: Arc<Topic>,
    index: usize,
}

impl Job {
    pub(super) fn partition(&self) -> &Partition {
        &self.topic.partitions[self.index]
    }

    pub(super) fn name(&self) -> TopicPartition {
        TopicPartition::new(self.topic.name.clone(), self.key.1)
    }
}

impl ReplicaManager {
    /// Makes what is hosted follow the image.
    pub(super) async fn reconcile(self: &Arc<Self>, before: Option<&Image>, image: &Arc<Image>) {
        let me = self.context.config.node_id;
        let Some(own) = image.brokers.get(&me).filter(|b| b.incarnation == self.context.config.incarnation)
        else {
            return;
        };
        let first = self.context.broker_epoch().is_none();
        self.context.set_broker_epoch(own.epoch);
        self.context.throttle.set_rate(throttled_rate(image, me), self.context.now());
        let brokers_changed = first
            || before.is_none_or(|b| b.brokers != image.brokers || b.broker_configs != image.broker_configs);
        for broker in image.brokers.values() {
            for ((leader, _), lane) in &*self.lanes.lock() {
                if *leader == broker.id {
                    lane.set_address(&broker.peer_address);
                }
            }
        }

        let mut wanted: HashMap<(TopicId, i32), Job> = HashMap::new();
        let mut jobs = Vec::new();
        for topic in image.topics.values() {
            let same =
                before.and_then(|b| b.topics.get(&topic.name)).is_some_and(|old| Arc::ptr_eq(old, topic));
            for (index, partition) in topic.partitions.iter().enumerate() {
                if !partition.is_replica(me) {
                    continue;
                }
                let key =
                    (topic.id, i32::try_from(index).expect("a topic has far fewer than 2^31 partitions"));
                let job = Job { key, topic: topic.clone(), index };
                let settled = self.hosted.read().get(&key).is_some_and(Hosted::is_settled);
                if !same || brokers_changed || !settled || self.rounds.lock().was_left(key) {
                    jobs.push(Job { key, topic: topic.clone(), index });
                }
                wanted.insert(key, job);
            }
        }

        if first {
            self.remove_strays(&wanted).await;
            self.find_out_of_reach(&wanted);
        }
        self.out_of_reach.lock().retain(|key| wanted.contains_key(key));
        self.rounds.lock().retain(|key| wanted.contains_key(&key));
        self.tier_heads.lock().retain(|key, _| wanted.contains_key(key));
        self.wait_for_tier.lock().retain(|key| wanted.contains_key(key));
        // New roles before anything else: producers wait for a leader.
        jobs.sort_by_key(|job: &Job| {
            let known = self.hosted.read().get(&job.key).and_then(|hosted| hosted.epoch);
            known == Some(job.partition().leader_epoch)
        });
        let gone: Vec<_> =
            self.hosted.read().keys().filter(|key| !wanted.contains_key(*key)).copied().collect();
        // Before the broker says that it is ready everything is opened.
        let patience = (!first).then_some(self.context.config.settings.session_timeout);
        self.work(gone, jobs, image, patience).await;
        self.assign_directories(own, wanted.into_values());
    }

    /// Goes through the image once more, a little later.
    pub(super) fn try_again(self: &Arc<Self>) {
        // One look goes through all partitions.
        if self.tries_again.swap(true, Ordering::AcqRel) {
            return;
        }
        let manager = Arc::downgrade(self);
        let pause = self.context.clock.sleep(self.context.config.settings.session_timeout);
        self.spawn(async move {
            pause.await;
            if let Some(manager) = manager.upgrade() {
                manager.tries_again.store(false, Ordering::Release);
                manager.context.again.notify_one();
            }
        });
    }

    /// A partition that is no longer assigned here, or whose topic was deleted.
    pub(super) async fn remove(self: Arc<Self>, key: (TopicId, i32)) {
        let Some(replica) = self.unhost(key) else { return };
        let dirs = self.dirs.clone();
        let threads = replica.disk_threads().clone();
        let deleted = threads.run(move || {
            replica.rest(replica.positions().leader_epoch);
            replica.with_log(Log::retire);
            dirs.delete(replica.partition(), replica.topic_id())
        });
        if let Ok(Err(e)) = deleted.await {
            tracing::error!("cannot delete a partition's folder: {e}");
        }
    }

    /// Folders of partitions that were deleted or moved while this broker was down.
    async fn remove_strays(&self, wanted: &HashMap<(TopicId, i32), Job>) {
        let strays: Vec<_> = self
            .dirs
            .partitions()
            .into_iter()
            .filter(|stored| !wanted.contains_key(&(stored.topic_id, stored.partition.partition)))
            .collect();
        let dirs = self.dirs.clone();
        let removing = self.context.pool.run(move || {
            for stray in strays {
                tracing::info!(partition = %stray.partition, topic = %stray.topic_id, "deletes a stray folder");
                if let Err(e) = dirs.delete(&stray.partition, stray.topic_id) {
                    tracing::error!(partition = %stray.partition, "cannot delete a stray folder: {e}");
                }
            }
        });
        // The pool ends only with the process.
        let _ = removing.await;
    }

    /// What an earlier life has put into a directory that cannot be opened now is not created anew elsewhere: its bytes
    /// may come back with the directory.
    fn find_out_of_reach(&self, wanted: &HashMap<(TopicId, i32), Job>) {
        let me = self.context.config.node_id;
        let is_out_of_reach = |job: &Job| {
            let name = job.name();
            let recorded = job.partition().replicas.iter().find(|r| r.broker == me).and_then(|r| r.directory);
            self.dirs.may_be_out_of_reach(&name, recorded)
        };
        let found: HashSet<_> =
            wanted.values().filter(|job| is_out_of_reach(job)).map(|job| job.key).collect();
        if !found.is_empty() {
            tracing::error!(replicas = found.len(), "copies are offline with their log directory");
        }
        *self.out_of_reach.lock() = found;
    }

    /// `directory` is where a log that is not open is to be opened.
    pub(super) async fn carry_out(
        self: Arc<Self>,
        job: Job,
        directory: Option<DirectoryId>,
        image: Arc<Image>,
    ) {
        if self.out_of_reach.lock().contains(&job.key) || self.is_gone(&job) {
            return;
        }
        let config = self.log_config(&image, &job.topic);
        let hosted = self.hosted.read().get(&job.key).cloned();
        let mut hosted = match hosted {
            Some(hosted) => hosted,
            None => match self.open(&job, directory, config.clone()).await {
                Ok(replica) => Hosted { replica, epoch: None },
                Err(why) => {
                    let leads = job.partition().leader == Some(self.context.config.node_id);
                    if leads && why == NotOpened::Unreadable {
                        self.resign(&job, &image);
                    }
                    return self.try_again();
                }
            },
        };
        let partition = job.partition();
        let me = self.context.config.node_id;
        hosted.replica.set_throttled(
            job.topic.configs.get(THROTTLED).is_some_and(|list| throttle::names(list, job.key.1, me.0)),
        );
        let view = view_of(&image, &job.topic, partition);
        if hosted.epoch == Some(partition.leader_epoch) && !hosted.replica.needs_role() {
            if partition.leader == Some(me) {
                hosted.replica.image(view);
            }
            let replica = hosted.replica.clone();
            let threads = replica.disk_threads().clone();
            let configured = threads.run(move || replica.configure(config));
            // The pool ends only with the process.
            let _ = configured.await;
            return;
        }
        let asks = partition.leader == Some(me) && asks_tier(&job, &hosted.replica, &config);
        let begun = if asks { self.begin_at_tiers_end(&job, &hosted.replica).await } else { Ok(true) };
        match begun {
            Ok(false) => self.wait_for_tier.lock().insert(job.key),
            _ => self.wait_for_tier.lock().remove(&job.key),
        };
        let taken = match begun {
            Ok(true) => self.take_role(&hosted.replica, partition, view, &image, config).await,
            Ok(false) => {
                hosted.epoch = None;
                return self.host(job.key, hosted);
            }
            Err(e) => Err(e),
        };
        hosted.epoch = matches!(taken, Ok(())).then_some(partition.leader_epoch);
        if partition.leader == Some(me) && matches!(&taken, Err(e) if !matches!(e, LogError::Broken)) {
            self.resign(&job, &image);
        }
        self.host(job.key, hosted);
        if let Err(e) = taken {
            if matches!(e, LogError::Broken) {
                // After a failed fsync only opening the log again tells what is left.
                self.unhost(job.key);
            }
            self.try_again();
        }
    }

    /// It was elected and cannot lead: another member of the ISR may be able to. Not more often than it tries to lead, or two
    /// that cannot would hand the partition to and fro.
    fn resign(self: &Arc<Self>, job: &Job, image: &Image) {
        let me = self.context.config.node_id;
        let now = self.context.now();
        let pause = self.context.config.settings.session_timeout;
        let is_active =
            |id: &BrokerId| image.brokers.get(id).is_some_and(|broker| broker.state == BrokerState::Active);
        let alone = !job.partition().isr.iter().any(|id| *id != me && is_active(id));
        let Some(epoch) = self.context.broker_epoch().filter(|_| !alone) else { return };
        {
            let mut resigned = self.resigned.lock();
            resigned.retain(|_, at| now.since(*at) < pause);
            if resigned.contains_key(&job.key) {
                return;
            }
            resigned.insert(job.key, now);
        }
        let (topic, partition) = job.key;
        let leader = IsrMember { broker: me, epoch };
        let leader_epoch = job.partition().leader_epoch;
        let submitted = self.context.quorum.submit(Command::Resign {
            topic,
            partition,
            leader,
            leader_epoch,
            in_turn: true,
        });
        // If it doesn't arrive, the next try to lead fails too and says it again.
        self.spawn(async move {
            submitted.await;
        });
    }

    /// A leader whose log may lack what the tier holds begins at the tier's end, before anybody sees it lead. `false` while the
    /// store has not said where that is: nobody waits for it but this partition.
    async fn begin_at_tiers_end(
        self: &Arc<Self>,
        job: &Job,
        replica: &Arc<Replica>,
    ) -> Result<bool, LogError> {
        let epoch = job.partition().leader_epoch;
        let (is_asked, told) = {
            let mut heads = self.tier_heads.lock();
            let of_epoch = heads.remove(&job.key).filter(|(asked_for, _)| *asked_for == epoch);
            let is_asked = of_epoch.is_some();
            let told = of_epoch.and_then(|(_, told)| told);
            if told.is_none() {
                heads.insert(job.key, (epoch, None));
            }
            (is_asked, told)
        };
        let Some(told) = told else {
            if !is_asked {
                // What it has begun under an earlier epoch is over.
                let resting = replica.clone();
                // The pool ends only with the process.
                let _ = replica.disk_threads().clone().run(move || resting.rest(epoch)).await;
                let to_cut = job.topic.configs.contains_key(RESTORED_TO_CUT);
                self.ask_tier(job.key, epoch, replica, if to_cut { CUT_PATIENCE } else { TIER_PATIENCE });
            }
            return Ok(false);
        };
        match told {
            Ok(head) => {
                let (adopting, threads) = (replica.clone(), replica.disk_threads().clone());
                let unclean = job.partition().unclean.map(|unclean| unclean.leader_epoch);
                let adopted = threads.run(move || {
                    if let Some((position, state)) = head {
                        adopting.adopt(epoch, position, state)?;
                    }
                    unclean.into_iter().for_each(|unclean| adopting.note_tier_epoch(unclean));
                    Ok(())
                });
                adopted.await.unwrap_or(Err(LogError::Closed)).map(|()| true)
            }
            Err(e) => {
                tracing::warn!(
                    partition = %replica.partition(), %epoch,
                    "it is not led yet: the tier may hold more of it than is left here, and {e}"
                );
                self.try_again();
                Ok(false)
            }
        }
    }

    /// Asks the store, and has the image looked at again when it has answered.
    fn ask_tier(
        self: &Arc<Self>,
        key: (TopicId, i32),
        epoch: LeaderEpoch,
        replica: &Replica,
        patience: Duration,
    ) {
        let asked = match &self.context.tier {
            Some(tier) => {
                let positions = replica.positions();
                let held = positions.local_start..positions.log_end;
                tier.fetch_head(replica.partition(), replica.topic_id(), held)
            }
            None => {
                let none = TierUnavailable("this broker has no tier.store.url".to_owned());
                Box::pin(std::future::ready(Err(none)))
            }
        };
        let (manager, clock) = (Arc::downgrade(self), self.context.clock.clone());
        self.spawn(async move {
            let told = timeout(&*clock, patience, asked).await;
            let silent = |_| Err(TierUnavailable("the store does not answer".to_owned()));
            let told: TierHead = told.unwrap_or_else(silent);
            let Some(manager) = manager.upgrade() else { return };
            if let Some((_, head)) =
                manager.tier_heads.lock().get_mut(&key).filter(|(asked_for, _)| *asked_for == epoch)
            {
                *head = Some(told);
            }
            manager.context.again.notify_one();
        });
    }

    async fn open(
        self: &Arc<Self>,
        job: &Job,
        directory: Option<DirectoryId>,
        config: Arc<LogConfig>,
    ) -> Result<Arc<Replica>, NotOpened> {
        let partition = job.name();
        let (dirs, context) = (self.dirs.clone(), self.context.clone());
        let topic = job.topic.id;
        let name = partition.clone();
        let threads = self.context.threads_of(directory);
        let opened = threads.pool.run(move || {
            let opened = dirs.open_log_in(directory, &name, topic, config, context.clock.wall_ms());
            opened.map(|(log, report, directory, stored)| {
                if report.cut_bytes > 0 {
                    tracing::warn!(partition = %name, bytes = report.cut_bytes, "cut a torn tail");
                }
                Replica::new(context, log, directory, stored.high_watermark)
            })
        });
        match opened.await {
            Ok(Ok(replica)) => {
                // Also when it is opened again after a failed fsync.
                let unflushed = replica.with_log(|log| log.flushed_end() < log.log_end());
                if unflushed || self.dirs.clean_shutdown_epoch().is_none() {
                    let flushed = replica.clone();
                    replica.disk_threads().spawn(move || flushed.flush_after_start());
                }
                Ok(replica)
            }
            Ok(Err(e @ LogError::DirectoryOffline { .. })) => {
                // Said once, when the directory failed.
                tracing::debug!(%partition, "{e}");
                Err(NotOpened::Told)
            }
            Ok(Err(e)) => {
                tracing::error!(%partition, "cannot open the log; this copy is offline: {e}");
                if matches!(e, LogError::Corrupt { .. }) {
                    self.replace_corrupt(job, partition).await;
                    return Err(NotOpened::Told);
                }
                Err(NotOpened::Unreadable)
            }
            Err(e) => {
                tracing::error!(%partition, "cannot open the log: {e}");
                Err(NotOpened::Unreadable)
            }
        }
    }

    /// A copy with damaged bytes leaves ISR and ELR; if another broker leads, it is dropped and copied anew. The only one that has what is
    /// acknowledged keeps its place: it is offline until somebody puts its files right, which the next looks find.
    async fn replace_corrupt(self: &Arc<Self>, job: &Job, partition: TopicPartition) {
        let broker = self.context.config.node_id;
        if has_the_only_copy(job.partition(), broker) {
            return;
        }
        let Some(epoch) = self.context.broker_epoch() else { return };
        let command = Command::LoseReplicas { broker, epoch, partitions: vec![job.key], stays_known: true };
        let known = self.context.quorum.submit(command).await;
        let led_elsewhere = job.partition().leader.is_some_and(|leader| leader != broker);
        if known != ProposalReply::Applied || !led_elsewhere {
            return;
        }
        tracing::warn!(%partition, "drops its damaged copy, to be rebuilt from its leader");
        let (dirs, topic) = (self.dirs.clone(), job.topic.id);
        let name = partition.clone();
        let threads = self.context.threads_of(self.dirs.directory_of(&partition));
        if let Ok(Err(e)) = threads.pool.run(move || dirs.delete(&name, topic)).await {
            tracing::error!(%partition, "cannot delete the damaged copy: {e}");
        }
    }

    async fn take_role(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        partition: &Partition,
        view: PartitionView,
        image: &Arc<Image>,
        config: Arc<LogConfig>,
    ) -> Result<(), LogError> {
        let epoch = partition.leader_epoch;
        let unclean = partition.unclean.map(|unclean| unclean.leader_epoch);
        let leader = partition.leader.and_then(|leader| image.brokers.get(&leader));
        let lane = leader.filter(|leader| leader.id != self.context.config.node_id).map(|leader| {
            let number = replica.partition().partition;
            (leader.id, self.lane(leader.id, &leader.peer_address, replica.topic_id(), number))
        });
        let me = self.context.config.node_id;
        let leads = partition.leader == Some(me);
        // An image that counts on a lost copy is older than the loss; only an unclean election asks for it all the same.
        let counted_on = partition.isr.contains(&me) || partition.elr.contains(&me);
        let lost = replica.is_stranded() || (replica.is_lost() && counted_on && unclean != Some(epoch));
        let replica = replica.clone();
        let (name, of_leader) = (replica.partition().clone(), leads.then(|| replica.clone()));
        let threads = replica.disk_threads().clone();
        let taken = threads.run(move || match lane {
            _ if lost => {
                replica.rest(epoch);
                Ok(())
            }
            _ if leads => replica.lead(&view, config),
            Some((leader, lane)) => replica.follow(leader, epoch, unclean, lane, config),
            None => {
                replica.rest(epoch);
                Ok(())
            }
        });
        // The pool ends only with the process.
        let taken = taken.await.unwrap_or(Err(LogError::Closed));
        match &taken {
            Ok(()) => {
                tracing::info!(partition = %name, %epoch, leader = ?partition.leader, isr = ?partition.isr, "new leader epoch");
                if let Some(leading) = of_leader.filter(|_| unclean == Some(epoch)) {
                    self.context.counts.unclean_leaderships.increment();
                    let log_end = leading.positions().log_end;
                    tracing::warn!(partition = %name, %epoch, %log_end, "leads although no copy was left that is known to be whole: \
                        acknowledged records from this offset on may be lost");
                }
            }
            Err(e) => {
                tracing::error!(partition = %name, %epoch, "cannot begin the leader epoch; this copy is offline: {e}")
            }
        }
        taken
    }

    fn log_config(&self, image: &Image, topic: &Topic) -> Arc<LogConfig> {
        let defaults = self.context.config.log_defaults.at(image);
        if topic.configs.is_empty() {
            return defaults;
        }
        match LogConfig::from_properties(&defaults, &topic.configs) {
            Ok(config) => Arc::new(config),
            Err(e) => {
                // Checked when it was set; what an older version let through, or a default that came later, must not stop the
                // partition, and takes nothing else from it.
                tracing::warn!(topic = %topic.name, version = image.version, "a topic config is ignored: {e}");
                Arc::new(LogConfig::as_far_as_understood(&defaults, &topic.configs))
            }
        }
    }
}

/// Bytes a second for replicas that are not in sync, if there is a limit: the broker's own, else everybody's.
fn throttled_rate(image: &Image, me: BrokerId) -> Option<u64> {
    let of = |broker| image.broker_configs.get(&broker)?.get(THROTTLED_RATE)?.parse().ok();
    of(Some(me)).or_else(|| of(None))
}

/// What the leader's rules need to know of a partition.
pub(super) fn view_of(image: &Image, topic: &Topic, partition: &Partition) -> PartitionView {
    let replicas = partition.replicas.iter().map(|replica| {
        let broker = image.brokers.get(&replica.broker);
        ReplicaView {
            broker: replica.broker,
            epoch: broker.map_or(BrokerEpoch::NONE, |b| b.epoch),
            active: broker.is_some_and(|b| b.state == BrokerState::Active),
        }
    });
    PartitionView {
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        isr: partition.isr.clone(),
        elr: partition.elr.clone(),
        min_isr: image.min_insync_replicas(topic).min(partition.replicas.len()),
        replicas: replicas.collect::<Vec<ReplicaView>>(),
    }
}

/// Whether the tier may hold more of the partition than the log of its leader: a restored one's has nothing yet; and after an
/// unclean election it may be any copy's, until it knows of a leader epoch since then, or the store has said what it holds.
fn asks_tier(job: &Job, replica: &Replica, config: &LogConfig) -> bool {
    let restored = job.topic.configs.contains_key(RESTORED) && replica.positions().log_end == Offset::ZERO;
    let tiered = config.remote_storage_enable && !config.cleanup.compact;
    let unclean = job.partition().unclean.filter(|_| tiered);
    // Whoever is elected from among others in sync has what was committed since, and waits for no store.
    let alone = job.partition().isr.len() == 1;
    let is_open = |epoch| !replica.knows_epoch(epoch) && !replica.has_asked_tier(epoch);
    let unclean = alone && unclean.is_some_and(|unclean| is_open(unclean.leader_epoch));
    let unclean = unclean && !planted(Defect::TierEndUnasked);
    !replica.is_stranded() && (restored || unclean)
}

/// Nobody else is in ISR or ELR, and this broker is.
fn has_the_only_copy(partition: &Partition, broker: BrokerId) -> bool {
    let mut counted_on = partition.isr.iter().chain(&partition.elr).peekable();
    counted_on.peek().is_some() && counted_on.all(|member| *member == broker)
}
