//! The offload driver: one task per led partition of a tiered topic, and local retention on followers.
//!
//! A task belongs to one leadership. It asks the offloader for one step after the other until there is nothing to do, then
//! waits `remote.log.manager.task.interval.ms`; after an error it backs off. When the leadership ends, so does the task.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tiering::layout::PartitionFolder;
use tiering::offload::{Ambient, OffloadError, Offloader};
use tiering::plan::{Action, Policy};
use tiering::publish::PublishError;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::burial::{Burials, Running};
use super::deletions::{NotCarried, Place};
use super::leader_log::LedLog;
use super::room::{DROP_OLDEST, FULL_POLICY};
use super::scrub::Scrub;
use super::sizes::Size;
use super::store::{COLD_THREADS, ColdStore};
use super::topic_rules::{COPY_DISABLE, DELETE_ON_DISABLE, ENABLE, MAX_LAG_MS, RESTORE_CUT, flag};
use crate::broker::config::{BrokerConfig, InForce};
use crate::broker::directories::{Directories, by_directory};
use crate::broker::live::LiveConfig;
use crate::broker::stop::StopSignal;
use crate::env::defect::{Defect, planted};
use crate::env::metrics::{Counter, TIER_ORPHAN_BYTES, TIER_ORPHANS};
use crate::env::{BlockingPool, Env, MonoTime};
use crate::log::{LogConfig, LogError};
use crate::metadata::Metadata;
use crate::replication::{Positions, Replica, ReplicaManager};
use crate::types::{BrokerId, DirectoryId, LeaderEpoch, Offset, TopicId};

/// Partitions that are worked on at the same time: each holds at most one part of an upload in memory. Each log directory has its share,
/// so that those that wait for a disk that hangs take no other's turn.
const PARTITIONS_AT_ONCE: usize = 4;
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What has expired waits so many times the grace for a generation that new segments ask for.
const EXPIRY_GRACES: i64 = 10;
/// A scan for new leaderships and for followers' local retention.
const LONGEST_SCAN: Duration = Duration::from_secs(5);

/// Partitions that one job of a disk thread looks after.
const A_JOB: usize = 32;

/// One leadership.
type Leadership = (TopicId, i32, LeaderEpoch);

/// Looks after the tier of every partition on this broker.
pub struct TierDriver {
    cold: Arc<ColdStore>,
    replicas: Arc<ReplicaManager>,
    stopping: StopSignal,
    node_id: BrokerId,
    settings: Settings,
    live: Arc<LiveConfig>,
    directories: Arc<Directories>,
    turns: BTreeMap<DirectoryId, Turns>,
    burials: Arc<Burials>,
    orphans: Counter,
    orphan_bytes: Counter,
}

/// The broker's own properties.
#[derive(Clone, Copy, Debug)]
struct Settings {
    interval: Duration,
    grace_ms: i64,
    delete_on_disable: bool,
}

/// What a log directory has for itself.
struct Turns {
    at_once: Semaphore,
    /// For what goes up.
    cold_threads: BlockingPool,
}

/// What a step may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Store,
    NoTurn,
}

/// The tasks that run, or have ended and are not to be started again.
#[derive(Default)]
struct Tasks {
    offloads: HashMap<Leadership, JoinHandle<()>>,
    deletions: Running,
    /// What followers' local retention takes, of each log directory.
    expiries: HashMap<DirectoryId, JoinHandle<()>>,
}

/// Clocks and randomness of the broker, for the offloader, as of one round.
struct Seams<'a> {
    env: &'a Env,
    /// The quorum's time when the round began, if it was known. What expires in this round goes by it, whatever becomes of
    /// the clock meanwhile; without it nothing does (`policy`), and the clock is good for stamps only.
    quorum: Option<(i64, MonoTime)>,
}

impl<'a> Seams<'a> {
    fn now(env: &'a Env, metadata: &Metadata) -> Seams<'a> {
        Seams { env, quorum: metadata.retention_ms().map(|ms| (ms, env.clock.now())) }
    }
}

impl Ambient for Seams<'_> {
    fn wall_ms(&self) -> i64 {
        let Some((began_ms, began)) = self.quorum else { return self.env.clock.wall_ms() };
        began_ms
            .saturating_add(i64::try_from(self.env.clock.now().since(began).as_millis()).unwrap_or(i64::MAX))
    }

    fn mono_ms(&self) -> i64 {
        let since_start = self.env.clock.now().since(MonoTime::default());
        i64::try_from(since_start.as_millis()).unwrap_or(i64::MAX)
    }

    fn uuid(&self) -> uuid::Uuid {
        self.env.rng.uuid()
    }
}

impl TierDriver {
    /// Starts the driver on the cold runtime; it ends with `stopping`.
    pub fn start(
        cold: Arc<ColdStore>,
        config: &BrokerConfig,
        live: Arc<LiveConfig>,
        replicas: Arc<ReplicaManager>,
        directories: Arc<Directories>,
        stopping: StopSignal,
    ) {
        let settings = Settings {
            interval: config.millis("remote.log.manager.task.interval.ms"),
            grace_ms: config.number("tier.delete.grace.ms"),
            delete_on_disable: config.is_on("tier.delete.on.disable"),
        };
        let runtime = cold.runtime.clone();
        let turns = turns(&cold, &replicas);
        let node_id = config.node_id;
        Scrub::start(&cold, config, replicas.clone(), stopping.clone());
        let [orphans, orphan_bytes] =
            [TIER_ORPHANS, TIER_ORPHAN_BYTES].map(|metric| cold.env.metrics.counter(metric, &[]));
        let grace = Duration::from_millis(u64::try_from(settings.grace_ms).unwrap_or(0));
        let times = (grace, settings.interval.min(LONGEST_SCAN));
        let burials = Burials::start(cold.clone(), node_id, times, stopping.clone());
        let driver = Arc::new(TierDriver {
            cold,
            replicas,
            stopping,
            node_id,
            settings,
            live,
            directories,
            turns,
            burials,
            orphans,
            orphan_bytes,
        });
        runtime.spawn(driver.run());
    }

    async fn run(self: Arc<Self>) {
        let mut tasks = Tasks::default();
        let mut reconciled = self.replicas.reconciled();
        loop {
            self.scan(&mut tasks).await;
            tokio::select! {
                () = self.cold.env.clock.sleep(self.settings.interval.min(LONGEST_SCAN)) => {}
                changed = reconciled.changed() => if changed.is_err() { return },
                () = self.stopping.stopped() => return,
            }
        }
    }

    async fn scan(self: &Arc<Self>, tasks: &mut Tasks) {
        self.cold.room.look(&self.directories).await;
        let may_write = self.cold.is_owned();
        if may_write {
            self.burials.scan(&mut tasks.deletions);
        }
        let (mut led, mut followed) = (HashMap::new(), Vec::new());
        for replica in self.replicas.replicas() {
            let positions = replica.positions();
            if positions.leads() {
                let leadership = (replica.topic_id(), replica.partition().partition, positions.leader_epoch);
                led.insert(leadership, replica);
            } else if positions.tier.is_some() && !self.cold.is_past() {
                followed.push(replica);
            }
        }
        self.expire_local(followed, &mut tasks.expiries);
        // A task that ended for good is kept as long as its leadership lasts, so that it is not started again.
        tasks.offloads.retain(|leadership, _| led.contains_key(leadership));
        if !may_write {
            return;
        }
        led.retain(|leadership, _| !tasks.offloads.contains_key(leadership));
        for (leadership, replica) in led {
            if self.log_config(&replica).is_none() {
                continue;
            }
            let partition = replica.partition();
            match self.cold.folder(partition, leadership.0) {
                Ok(folder) => {
                    let running = self.clone().offload(replica, leadership.2, folder);
                    tasks.offloads.insert(leadership, self.cold.runtime.spawn(running));
                }
                Err(error) => tracing::error!(%partition, %error, "the partition can't be tiered"),
            }
        }
    }

    /// The log's config, if its topic has a tier to look after: it is tiered, or gives up what it has there. Compacted
    /// topics are not (as in Kafka).
    fn log_config(&self, replica: &Replica) -> Option<Arc<LogConfig>> {
        let config = replica.log_summary().config;
        let tiered = config.remote_storage_enable && !config.cleanup.compact;
        (tiered || self.discards(&config, &self.topic_configs(replica))).then_some(config)
    }

    /// The topic is not tiered any more, and gives up what it has in the tier.
    fn discards(&self, config: &LogConfig, topic: &BTreeMap<String, String>) -> bool {
        let asked = flag(topic, DELETE_ON_DISABLE);
        let by_default = self.settings.delete_on_disable && flag(topic, ENABLE) == Some(false);
        !config.remote_storage_enable && asked.unwrap_or(by_default)
    }

    /// Followers let go of local segments that the leader has said are safe in the tier. Where a disk hangs, its directory's have not
    /// ended when the next ones come, and there are no more.
    fn expire_local(&self, replicas: Vec<Arc<Replica>>, expiries: &mut HashMap<DirectoryId, JoinHandle<()>>) {
        let (now_ms, is_low) = (self.cold.metadata.retention_ms(), self.cold.room.is_low());
        if now_ms.is_none() && !is_low {
            return;
        }
        expiries.retain(|_, running| !running.is_finished());
        for (directory, replicas) in by_directory(replicas) {
            if expiries.contains_key(&directory) {
                continue;
            }
            let threads = self.replicas.threads_of(directory);
            let expire = async move {
                for some in replicas.chunks(A_JOB) {
                    let replicas = some.to_vec();
                    let expire = move || {
                        for replica in &replicas {
                            if let Err(error) = expire_local(replica, now_ms, is_low) {
                                tracing::error!(partition = %replica.partition(), %error, "local retention failed");
                            }
                        }
                    };
                    if let Err(error) = threads.run(expire).await {
                        tracing::error!(first = %some[0].partition(), %error, "local retention failed");
                    }
                }
            };
            expiries.insert(directory, self.cold.runtime.spawn(expire));
        }
    }

    /// Looks after one leadership until it ends, and after what it wrote too late.
    async fn offload(self: Arc<Self>, replica: Arc<Replica>, epoch: LeaderEpoch, folder: PartitionFolder) {
        let (id, topic) = (replica.topic_id(), replica.partition().topic.clone());
        let working = self.cold.at_work.begin(id);
        // After that: if its deletion was heard of meanwhile, it may have been said that nothing is on its way.
        if self.cold.metadata.image().topics.get(&topic).is_some_and(|topic| topic.id == id) {
            self.clone().offload_while_leading(replica, epoch, folder.clone()).await;
        }
        drop(working);
        self.burials.clear_away(id, &topic, &folder).await;
    }

    /// One leadership until it ends.
    async fn offload_while_leading(
        self: Arc<Self>,
        replica: Arc<Replica>,
        epoch: LeaderEpoch,
        folder: PartitionFolder,
    ) {
        let partition = replica.partition().clone();
        // Each directory that was opened has its own, and no other is ever hosted in.
        let Some(turns) = self.turns.get(&replica.directory()) else { return };
        let known = replica.positions().tier.map_or(0, |tier| tier.generation);
        let place = Arc::new(self.cold.deletions.begin((replica.topic_id(), partition.partition)));
        let mut work = Work {
            offloader: Offloader::new(
                self.cold.store.clone(),
                folder.clone(),
                epoch.0,
                known,
                self.cold.offload,
            ),
            log: LedLog {
                replica: replica.clone(),
                replicas: self.replicas.clone(),
                epoch,
                cold_threads: turns.cold_threads.clone(),
                clock: self.cold.env.clock.clone(),
                metadata: self.cold.metadata.clone(),
                node_id: self.node_id,
                cold: self.cold.clone(),
                place: Some(place.clone()),
            },
            noted: 0,
            gap: None,
            size: self.cold.sizes.begin(&partition.topic),
            place,
            open: None,
        };
        let over = |p: &Positions| !p.leads() || p.leader_epoch != epoch;
        let mut pause = FIRST_PAUSE;
        loop {
            let outcome = self.round(&mut work, &folder, turns).await;
            let orphans = work.offloader.take_orphans();
            self.orphans.add(orphans.objects);
            self.orphan_bytes.add(orphans.bytes);
            self.make_room(&work).await;
            let wait = match outcome {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    self.settings.interval
                }
                Err(OffloadError::Deposed) => return,
                Err(error) if error.is_final() || planted(Defect::OutageIsFinal) => {
                    tracing::error!(%partition, %epoch, %error, "the offload of this leadership ends");
                    let why = match error {
                        // What it has left is cleared away, whoever leads.
                        OffloadError::Stopped(PublishError::Deleted) => return,
                        OffloadError::Fenced { .. } => NotCarried::NotLeader,
                        error => NotCarried::Stopped(error.to_string()),
                    };
                    work.place.ended(why);
                    let mut positions = replica.watch();
                    tokio::select! {
                        _ = positions.wait_for(over) => {}
                        () = self.stopping.stopped() => {}
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%partition, %epoch, %error, ?pause, "the offload waits and tries again");
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    wait
                }
            };
            let mut positions = replica.watch();
            tokio::select! {
                () = self.cold.env.clock.sleep(wait) => {}
                () = work.place.wanted() => {}
                _ = positions.wait_for(over) => return,
                () = self.stopping.stopped() => return,
            }
        }
    }

    /// Step after step until there is nothing to do.
    async fn round(
        &self,
        work: &mut Work,
        folder: &PartitionFolder,
        turns: &Turns,
    ) -> Result<(), OffloadError> {
        let asked = work.place.asked();
        let Some(config) = self.log_config(&work.log.replica) else {
            // Not tiered, and keeps what it has there.
            work.size.set_discard_waits(false);
            work.place.settled(asked);
            return Ok(());
        };
        let topic = self.topic_configs(&work.log.replica);
        if topic.contains_key(RESTORE_CUT) && !self.cold.restored.is_complete().await {
            return Ok(());
        }
        // The time before the policy: what is judged by it must not go by another.
        let seams = Seams::now(&self.cold.env, &self.cold.metadata);
        let policy = self.policy(&config, &topic, seams.quorum.is_some());
        if !policy.discard {
            self.roll(work, &topic).await?;
        }
        loop {
            let asked = work.place.asked();
            if !self.cold.is_owned() {
                return Ok(());
            }
            // What expires waits for nobody's turn: the log starts of many partitions are stored together.
            let now = impatient(&policy, &work.place);
            match self.step(work, folder, &now, &seams, Needs::NoTurn).await? {
                Some(Action::Idle) if !self.cold.findings.has(folder) => {
                    work.place.settled(asked);
                    return Ok(());
                }
                Some(Action::Idle) | None => {}
                Some(_) => continue,
            }
            let mut turn = std::pin::pin!(turns.at_once.acquire());
            let turn = loop {
                self.carry_log_start(work, folder, &policy, &seams).await?;
                tokio::select! {
                    biased;
                    turn = &mut turn => break turn,
                    () = work.place.wanted() => {}
                }
            };
            let Ok(_turn) = turn else { return Ok(()) };
            if !self.cold.is_owned() {
                return Ok(());
            }
            if work.offloader.takes_reports()
                && let Some(base) = self.cold.findings.take(folder)
            {
                work.offloader.report_lost(base, &work.log).await;
            }
            self.make_good(work, folder).await;
            let asked = work.place.asked();
            let now = impatient(&policy, &work.place);
            if self.step(work, folder, &now, &seams, Needs::Store).await? == Some(Action::Idle) {
                // A later life may have been found on the way: then nothing is settled.
                if self.cold.is_owned() {
                    work.place.settled(asked);
                }
                return Ok(());
            }
        }
    }

    /// Brings a log start that somebody waits for into the manifest, before all that may go up. It waits for no turn: none of its
    /// steps takes the memory of an upload, and whoever has a turn may be long about it.
    async fn carry_log_start(
        &self,
        work: &mut Work,
        folder: &PartitionFolder,
        policy: &Policy,
        seams: &Seams<'_>,
    ) -> Result<(), OffloadError> {
        if !work.place.is_awaited() {
            return Ok(());
        }
        let policy = Policy { awaited: true, ..*policy };
        while work.place.is_awaited() && self.cold.is_owned() {
            if self.step(work, folder, &policy, seams, Needs::Store).await? == Some(Action::Idle) {
                break;
            }
        }
        Ok(())
    }

    /// One step, and what there is to tell of it. `None` when the next one needs the store, and may not.
    async fn step(
        &self,
        work: &mut Work,
        folder: &PartitionFolder,
        policy: &Policy,
        seams: &Seams<'_>,
        needs: Needs,
    ) -> Result<Option<Action>, OffloadError> {
        let (begun, begun_ms) = (self.cold.env.clock.now(), self.cold.env.clock.wall_ms());
        let stepped = match needs {
            Needs::Store => work.offloader.step(&work.log, policy, seams).await.map(Some),
            Needs::NoTurn => work.offloader.step_without_store(&work.log, policy, seams).await,
        };
        self.trace(&work.log.replica, begun, begun_ms, &stepped);
        if let Some(base) = work.offloader.take_lost_elsewhere() {
            self.cold.findings.note_distant(folder, base);
        }
        work.note_gap();
        work.size.set_discard_waits(work.offloader.awaits_replicas());
        let action = stepped?;
        if let Some(manifest) = work.offloader.manifest()
            && manifest.generation != work.noted
        {
            work.noted = manifest.generation;
            work.size.set(manifest.live_bytes());
            self.cold.reader.note_manifest(folder, Arc::new(manifest.clone())).await;
        }
        if let Some(log_start) = work.offloader.carried() {
            work.place.carries(log_start);
        }
        if let Some(action) = action.as_ref().filter(|action| **action != Action::Idle) {
            tracing::debug!(%folder, ?action, "offloaded");
        }
        Ok(action)
    }

    /// What the scrub found damaged and is not local goes up again from a cache, a replica, or what is right of the object.
    async fn make_good(&self, work: &mut Work, folder: &PartitionFolder) {
        if work.offloader.manifest().is_none() {
            return;
        }
        let Some(base) = self.cold.findings.take_distant(folder) else { return };
        let partition = work.log.replica.partition();
        match work
            .offloader
            .make_good(&self.cold.reader, base, &Seams::now(&self.cold.env, &self.cold.metadata))
            .await
        {
            Ok(true) => {
                tracing::warn!(%partition, base, "a damaged object was written anew from other copies")
            }
            Ok(false) => {
                tracing::warn!(%partition, base, "a damaged object is left for the next pass, or for `esker tier repair`")
            }
            Err(error) if error.may_pass() => {
                tracing::warn!(%partition, base, %error, "a damaged object is looked after again in the next round");
                self.cold.findings.put_back_distant(folder, base);
            }
            Err(error) => {
                tracing::error!(%partition, base, %error, "a damaged object is right nowhere else: it stays damaged");
                work.offloader.pass_over(base);
            }
        }
    }

    /// Tells a collector of a step that did something.
    fn trace(
        &self,
        replica: &Replica,
        begun: MonoTime,
        begun_ms: i64,
        stepped: &Result<Option<Action>, OffloadError>,
    ) {
        let env = &self.cold.env;
        if !env.traces.is_on() || matches!(stepped, Ok(None | Some(Action::Idle))) {
            return;
        }
        let attributes = vec![
            ("partition", replica.partition().to_string()),
            (
                "action",
                stepped.as_ref().ok().and_then(Option::as_ref).map_or_else(String::new, |a| format!("{a:?}")),
            ),
        ];
        let error = stepped.as_ref().err().map(ToString::to_string);
        env.work_done("tier.offload", begun, begun_ms, attributes, error);
    }

    /// Where the disk is nearly full and the topic allows it, the oldest segment goes, whatever the store has.
    async fn make_room(&self, work: &Work) {
        let replica = work.log.replica.clone();
        let topic = self.topic_configs(&replica);
        let drops = topic.get(FULL_POLICY).unwrap_or(&self.cold.full_policy) == DROP_OLDEST;
        if !drops || !self.cold.room.is_full() || !replica.positions().leads() {
            return;
        }
        // This very round may have made room.
        self.cold.room.look(&self.directories).await;
        if !self.cold.room.is_full() {
            return;
        }
        let (room, now_ms) = (self.cold.room.clone(), self.cold.env.clock.wall_ms());
        let tier_end = replica.positions().tier_end();
        let partition = replica.partition().clone();
        let (replicas, threads) = (self.replicas.clone(), replica.disk_threads().clone());
        let drops = move || room.drop_oldest(&replicas, &replica, tier_end, now_ms);
        match threads.run(drops).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%partition, %error, "no room could be made"),
            Err(error) => tracing::error!(%partition, %error, "no room could be made"),
        }
    }

    fn topic_configs(&self, replica: &Replica) -> BTreeMap<String, String> {
        let image = self.cold.metadata.image();
        let topic = image.topics.get(&replica.partition().topic);
        topic.map(|topic| topic.configs.clone()).unwrap_or_default()
    }

    /// What can be set at run time.
    fn in_force(&self) -> Arc<InForce> {
        self.live.at(&self.cold.metadata.image())
    }

    /// What to do with a partition; without the quorum's time only what needs none.
    fn policy(&self, config: &LogConfig, topic: &BTreeMap<String, String>, knows_time: bool) -> Policy {
        let discard = self.discards(config, topic);
        if discard {
            // Its log is kept and expired like any other that is not tiered. Whose grace is over only the quorum's time says.
            let grace_ms = if knows_time { self.settings.grace_ms } else { i64::MAX };
            return Policy { copy: false, discard, grace_ms, ..Policy::default() };
        }
        let copy =
            !flag(topic, COPY_DISABLE).unwrap_or_else(|| self.in_force().config.is_on("tier.copy.disable"));
        if !knows_time {
            // Nobody knows what has expired, or whose grace is over: nothing goes, in either tier.
            return Policy {
                copy,
                grace_ms: i64::MAX,
                retention_ms: None,
                retention_bytes: None,
                local_retention_ms: None,
                local_retention_bytes: None,
                ..Policy::default()
            };
        }
        Policy {
            copy,
            retention_ms: config.cleanup.delete.then(|| config.retention_ms()).flatten(),
            retention_bytes: config.cleanup.delete.then(|| config.retention_bytes()).flatten(),
            local_retention_ms: config.local_retention_ms(),
            local_retention_bytes: match self.cold.room.is_low() {
                true => Some(0),
                false => config.local_retention_bytes(),
            },
            grace_ms: self.settings.grace_ms,
            expiry_ms: self.settings.grace_ms.saturating_mul(EXPIRY_GRACES),
            ..Policy::default()
        }
    }

    /// Closes the open segment when it is due, or holds records for longer than `tier.max.lag.ms`.
    async fn roll(&self, work: &mut Work, topic: &BTreeMap<String, String>) -> Result<(), OffloadError> {
        let max_lag_ms = topic.get(MAX_LAG_MS).and_then(|value| value.trim().parse().ok());
        let max_lag_ms: i64 =
            max_lag_ms.unwrap_or_else(|| self.in_force().config.number("tier.max.lag.default.ms"));
        let (now, now_ms) = (self.cold.env.clock.now(), self.cold.env.clock.wall_ms());
        let (replica, known) = (work.log.replica.clone(), work.open);
        let threads = replica.disk_threads().clone();
        let look = move || -> Result<Option<(Offset, MonoTime)>, LogError> {
            replica.with_log(|log| {
                log.roll_if_due(now_ms)?;
                let open = log.closed_segments().last().map_or(log.local_start(), |segment| segment.end);
                if open >= log.log_end() {
                    return Ok(None);
                }
                let since = known.filter(|(base, _)| *base == open).map_or(now, |(_, since)| since);
                let lag_ms = i64::try_from(now.since(since).as_millis()).unwrap_or(i64::MAX);
                if max_lag_ms >= 0 && lag_ms >= max_lag_ms {
                    log.roll(now_ms)?;
                    return Ok(None);
                }
                Ok(Some((open, since)))
            })
        };
        let looked = threads.run(look).await.map_err(std::io::Error::other)?;
        work.open = looked.map_err(std::io::Error::other)?;
        Ok(())
    }
}

/// What each log directory has for itself.
fn turns(cold: &ColdStore, replicas: &ReplicaManager) -> BTreeMap<DirectoryId, Turns> {
    let directories = replicas.directories();
    let share = PARTITIONS_AT_ONCE.div_ceil(directories.len().max(1));
    let of = |at: usize| Turns {
        at_once: Semaphore::new(share),
        cold_threads: match directories.len() {
            0 | 1 => cold.cold_threads.clone(),
            _ => cold.env.threads.background_pool(&format!("cold-disk-{at}"), COLD_THREADS),
        },
    };
    directories.iter().enumerate().map(|(at, (directory, _))| (*directory, of(at))).collect()
}

/// A follower's local segments that the tier has and nobody is to have here any more. Runs on a disk thread.
fn expire_local(replica: &Replica, now_ms: Option<i64>, is_low: bool) -> Result<(), LogError> {
    let positions = replica.positions();
    if positions.leads() {
        return Ok(());
    }
    let removal = replica.with_log(|log| {
        if !log.config().remote_storage_enable {
            return Ok(None);
        }
        let below = log.expired_by_local_retention(now_ms, positions.tier_end(), is_low);
        if below > log.local_start() { log.delete_segments_below(below).map(Some) } else { Ok(None) }
    })?;
    removal.map_or(Ok(()), crate::log::Removal::run)
}

/// What has expired waits for no other generation while somebody waits for a manifest that carries it.
fn impatient(policy: &Policy, place: &Place) -> Policy {
    let expiry_ms = if place.is_awaited() { 0 } else { policy.expiry_ms };
    Policy { expiry_ms, ..*policy }
}

impl Work {
    /// Says when records are missing between the tier and the local log, and when they are no more.
    fn note_gap(&mut self) {
        let gap = self.offloader.gap();
        if gap == self.gap {
            return;
        }
        let partition = self.log.replica.partition();
        self.size.set_gap(gap.is_some());
        self.gap = gap;
        match gap {
            Some((from, to)) => tracing::error!(
                %partition, from, to,
                "these records are neither in the tier nor on this broker: nothing of the partition is deleted from the store \
                 until a replica that has them leads"
            ),
            None => {
                tracing::info!(%partition, "no records are missing between the tier and the local log any more")
            }
        }
    }
}

/// The state of one leadership's task.
struct Work {
    offloader: Offloader,
    log: LedLog,
    /// The generation that the readers were told.
    noted: u64,
    /// Records that neither tier had, as it was last told.
    gap: Option<(i64, i64)>,
    /// What it tells of the partition's size in the tier.
    size: Size,
    /// Where it is waited for.
    place: Arc<Place>,
    /// The open segment's base, and since when records were seen in it.
    open: Option<(Offset, MonoTime)>,
}
