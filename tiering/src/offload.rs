//! Carries out the plan for one partition and one leadership: each step asks [`plan`](crate::plan) and does that one thing.
//!
//! The offloader is bound to its leader epoch and thrown away with it. A step may be dropped at any point (a crash, a
//! shutdown): what it had begun is remembered before the first request, and settled by the next step.

mod beside;

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::gc;
use crate::layout::{PartitionFolder, SegmentName};
use crate::manifest::{Archive, BadManifest, Changes, Manifest, Segment, Writer, successor};
use crate::plan::{self, Action, Local, LocalSegment, Policy, Tier};
use crate::publish::{Head, Knowledge, PublishError, Publisher};
use crate::read::Reader;
use crate::rebuild::{RebuildError, rebuild};
use crate::store::{SharedStore, StoreError};
use crate::upload::{self, Progress, SegmentSource, Transfer, UploadError, UploadOptions, UploadRequest};

/// A local segment, ready to be read.
pub struct LocalCopy {
    /// The `.log`.
    pub source: Box<dyn SegmentSource>,
    /// The `.txnindex`.
    pub aborted_transactions: Bytes,
    /// The producers' state at the segment's end.
    pub producer_snapshot: Bytes,
}

/// The leader's log as the offloader needs it.
#[async_trait]
pub trait LeaderLog: Send + Sync {
    /// The log now; `None` when this broker does not lead under the offloader's epoch any more.
    async fn local(&self) -> Option<Local>;
    /// Opens a closed segment.
    async fn open(&self, segment: &LocalSegment) -> std::io::Result<LocalCopy>;
    /// Raises the log start, durably, and tells the followers.
    async fn advance_log_start(&self, to: i64) -> std::io::Result<()>;
    /// From where on every replica has the records on its own disk; `None` unless all have said so, and that their local start
    /// moves no more by itself. Asked when the tier is given up.
    async fn everywhere_from(&self) -> Option<i64>;
    /// Whether the store is still this cluster's, asked of it at this moment: before records are deleted there that somebody has
    /// deleted here.
    async fn owns_store(&self) -> std::io::Result<bool>;
    /// Removes local segments that end at or below the offset.
    async fn delete_local(&self, below: i64) -> std::io::Result<()>;
    /// Announces a tier end that is durable and was checked, and its generation. It goes back when an object is found lost, and
    /// starts low with each leadership: an end that a former leader announced holds no longer.
    async fn set_tier(&self, end: i64, generation: u64);
    /// Completes when somebody waits for a manifest that carries the log start: not even an upload on its way is waited for then.
    async fn manifest_is_wanted(&self) {
        std::future::pending().await
    }
    /// The manifest in force carries a log start.
    fn carries(&self, _log_start: i64) {}
}

/// The seams that a step needs besides the store and the log.
pub trait Ambient: Send + Sync {
    /// The wall clock in ms, for retention and grace periods.
    fn wall_ms(&self) -> i64;
    /// A monotonic clock in ms; it goes on while the machine sleeps.
    fn mono_ms(&self) -> i64;
    /// A uuid that nobody has drawn before.
    fn uuid(&self) -> Uuid;
}

/// Why a step did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum OffloadError {
    /// This broker does not lead any more: the offloader ends.
    #[error("this broker does not lead any more")]
    Deposed,
    /// A later leader has published: the offloader ends.
    #[error("fenced by a leader of epoch {epoch}")]
    Fenced {
        /// Its epoch.
        epoch: i32,
    },
    /// The tier contradicts itself (two writers of one epoch, a broken or lost manifest), or the topic is deleted: nothing
    /// is written.
    #[error("the tier of this partition is not in order: {0}")]
    Stopped(PublishError),
    /// The upload; the step may be tried again.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// An object that was published is not there as it was written. It is uploaded again if its records are still local.
    #[error("{key} is not there as it was published")]
    Lost {
        /// The object.
        key: String,
    },
    /// An archive can't be read: its rows are known to nobody else.
    #[error("archive {key}: {error}")]
    Archive {
        /// The object.
        key: String,
        /// What is wrong with it.
        error: BadManifest,
    },
    /// The store; the step may be tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The local log; the step may be tried again.
    #[error("the local log: {0}")]
    Local(#[from] std::io::Error),
}

impl OffloadError {
    /// Whether no later step of the same offloader gets further. A manifest that is broken or gone may be put right.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            OffloadError::Deposed | OffloadError::Fenced { .. } => true,
            OffloadError::Stopped(error) => {
                matches!(error, PublishError::Conflict { .. } | PublishError::Deleted)
            }
            _ => false,
        }
    }
}

/// How an offloader works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffloadOptions {
    /// Objects and parts.
    pub upload: UploadOptions,
}

/// Moves the segments of one partition, for one leadership.
pub struct Offloader {
    store: SharedStore,
    folder: PartitionFolder,
    publisher: Publisher,
    epoch: i32,
    options: OffloadOptions,
    progress: Progress,
    tier: Tier,
    known_generation: u64,
    /// An upload that was begun and is neither pending nor abandoned.
    uploading: Option<SegmentName>,
    /// An upload in parts that failed midway, and the file it reads.
    stopped: Option<(Transfer, Box<dyn SegmentSource>)>,
    /// A publish whose outcome is open.
    attempt: Option<Manifest>,
    /// When it was first tried.
    tried_ms: Option<i64>,
    /// Since when it is known, on the monotonic clock, that nothing is newer than the head.
    known_ms: Option<i64>,
    /// Generations by when they were known to be there, on the monotonic clock.
    history: VecDeque<(u64, i64)>,
    /// Not yet taken by `take_orphans`.
    removed: Orphans,
    gap: Option<(i64, i64)>,
    awaits_replicas: bool,
    /// Where the log begins since the last records of it expired.
    advanced: i64,
    carried: Option<i64>,
    /// Not yet taken by `take_lost_elsewhere`.
    lost_elsewhere: Option<i64>,
    /// Lost objects that nobody can make good.
    passed_over: Vec<SegmentName>,
}

/// What a step may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    All,
    WithoutStore,
}

/// Objects that no manifest names and that were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    /// How many, of segments and of archives.
    pub objects: u64,
    /// Bytes of the segments among them.
    pub bytes: u64,
}

impl std::fmt::Debug for Offloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offloader")
            .field("folder", &self.folder)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Offloader {
    /// An offloader for a leadership. `known_generation` is what the replication stream has announced, 0 for none.
    #[must_use]
    pub fn new(
        store: SharedStore,
        folder: PartitionFolder,
        epoch: i32,
        known_generation: u64,
        options: OffloadOptions,
    ) -> Offloader {
        Offloader {
            publisher: Publisher::new(store.clone(), folder.clone()),
            store,
            folder,
            epoch,
            options,
            progress: Progress::default(),
            tier: Tier::default(),
            known_generation,
            uploading: None,
            stopped: None,
            attempt: None,
            tried_ms: None,
            known_ms: None,
            history: VecDeque::new(),
            removed: Orphans::default(),
            gap: None,
            awaits_replicas: false,
            advanced: 0,
            carried: None,
            lost_elsewhere: None,
            passed_over: Vec::new(),
        }
    }

    /// The base of an object that was found lost and whose records are not local any more: others may have them
    /// ([`Offloader::make_good`]).
    pub fn take_lost_elsewhere(&mut self) -> Option<i64> {
        self.lost_elsewhere.take()
    }

    /// The orphans that were removed since the last call.
    pub fn take_orphans(&mut self) -> Orphans {
        std::mem::take(&mut self.removed)
    }

    /// The newest generation this offloader knows.
    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        self.tier.manifest()
    }

    /// Whether a damaged object may be reported: the head is known, and none is looked after yet.
    #[must_use]
    pub fn takes_reports(&self) -> bool {
        self.attempt.is_none() && self.tier.lost.is_none() && self.tier.manifest().is_some()
    }

    /// Records that were in neither tier of this leader when it last looked: from where to where.
    #[must_use]
    pub fn gap(&self) -> Option<(i64, i64)> {
        self.gap
    }

    /// Whether the tier is to be given up and a replica had not said what it has on its own disk when it was last asked.
    #[must_use]
    pub fn awaits_replicas(&self) -> bool {
        self.awaits_replicas
    }

    /// A log start that the head carries, and so does every generation to come: nothing below it comes back in a restore.
    #[must_use]
    pub fn carried(&self) -> Option<i64> {
        self.carried
    }

    /// A published object turned out to be damaged: its records go up again, while they are local, and take its place.
    pub async fn report_lost(&mut self, base: i64, log: &dyn LeaderLog) {
        let names_it = |manifest: &Manifest| manifest.live.iter().any(|segment| segment.base() == base);
        if self.takes_reports() && self.tier.manifest().is_some_and(names_it) {
            self.tier.lost = Some(base);
            self.tier.checked_end = self.tier.checked_end.min(Some(base));
            // A row that has left the chain lies above all that was looked at: the end must not rise with it.
            log.set_tier(self.tier.checked_end.unwrap_or(0), self.known_generation).await;
        }
    }

    /// A published object turned out to be damaged, and its records are not local any more: they go up again from whoever has
    /// them. Only for a segment that the head names itself.
    ///
    /// # Errors
    /// When a part of it is right nowhere, or the store fails.
    pub async fn make_good(
        &mut self,
        reader: &Reader,
        base: i64,
        ambient: &dyn Ambient,
    ) -> Result<bool, RebuildError> {
        if self.attempt.is_some() || self.tier.replacement.is_some() {
            return Ok(false);
        }
        let row =
            self.tier.manifest().and_then(|head| head.live.iter().find(|row| row.base() == base)).cloned();
        let Some(row) = row else { return Ok(false) };
        let name = SegmentName { base, leader_epoch: self.epoch, uuid: ambient.uuid() };
        self.tier.abandoned.push(name);
        let upload = &self.options.upload;
        let written = rebuild(reader, &*self.store, &self.folder, &row, name, upload).await?;
        self.tier.abandoned.retain(|abandoned| *abandoned != name);
        self.tier.replacement = Some((row.name, written));
        Ok(true)
    }

    /// A published object is damaged and right nowhere else: it must not hold up what lies behind it.
    pub fn pass_over(&mut self, base: i64) {
        let row = self.tier.manifest().and_then(|head| head.live.iter().find(|row| row.base() == base));
        self.passed_over.extend(row.map(|row| row.name));
    }

    /// Bytes uploaded so far.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Does the next thing and says what it was; `Idle` when there is nothing.
    ///
    /// # Errors
    /// `OffloadError`; the next step goes on where this one stopped, unless the error is final.
    pub async fn step(
        &mut self,
        log: &dyn LeaderLog,
        policy: &Policy,
        ambient: &dyn Ambient,
    ) -> Result<Action, OffloadError> {
        Ok(self.step_within(Scope::All, log, policy, ambient).await?.unwrap_or(Action::Idle))
    }

    /// The same as far as it needs no turn at the store: total retention, so that the log starts of many partitions are stored together,
    /// and nothing. `None` when something else is to be done.
    ///
    /// # Errors
    /// As `step`.
    pub async fn step_without_store(
        &mut self,
        log: &dyn LeaderLog,
        policy: &Policy,
        ambient: &dyn Ambient,
    ) -> Result<Option<Action>, OffloadError> {
        self.step_within(Scope::WithoutStore, log, policy, ambient).await
    }

    async fn step_within(
        &mut self,
        scope: Scope,
        log: &dyn LeaderLog,
        policy: &Policy,
        ambient: &dyn Ambient,
    ) -> Result<Option<Action>, OffloadError> {
        let local = self.local(log).await?;
        let log_start = local.log_start;
        let action = self.act(scope, local, log, policy, ambient).await?;
        // With an attempt under way there may be a generation that was made before this look at the log.
        let is_known = self.attempt.is_none() && self.tier.head.is_some();
        if is_known && self.manifest().is_none_or(|manifest| manifest.carries(log_start)) {
            self.carried = self.carried.max(Some(log_start));
        }
        Ok(action)
    }

    /// `None` when the next thing is out of scope.
    async fn act(
        &mut self,
        scope: Scope,
        mut local: Local,
        log: &dyn LeaderLog,
        policy: &Policy,
        ambient: &dyn Ambient,
    ) -> Result<Option<Action>, OffloadError> {
        if let Some(begun) = self.uploading.take()
            && self.stopped.as_ref().is_none_or(|(transfer, _)| transfer.name() != begun)
        {
            self.tier.abandoned.push(begun);
        }
        let discards = policy.discard && self.tier.manifest().is_some_and(|manifest| !manifest.is_empty());
        if scope == Scope::WithoutStore && (discards || self.attempt.is_some()) {
            return Ok(None);
        }
        if self.attempt.is_some() {
            self.settle(log, policy, ambient).await?;
            return Ok(Some(Action::Publish));
        }
        if discards {
            local.everywhere_from = self.everywhere_from(&local, log).await;
        }
        self.awaits_replicas = discards && local.everywhere_from.is_none();
        self.tier.forget_lost();
        self.gap = plan::gap(&local, &self.tier);
        self.tier.removable = self.removable(policy, ambient.mono_ms());
        let now_ms = ambient.wall_ms();
        let action = plan::next_action(&local, &self.tier, policy, now_ms);
        let needs_store = !matches!(action, Action::AdvanceLogStart { .. } | Action::Idle);
        if scope == Scope::WithoutStore && needs_store {
            return Ok(None);
        }
        match &action {
            Action::FindHead => self.find_head(&local, log, ambient).await?,
            Action::AdvanceLogStart { to } => {
                log.advance_log_start(*to).await?;
                self.advanced = *to;
                self.tier.expires(*to, now_ms);
            }
            Action::DeleteLocal { below } => log.delete_local(*below).await?,
            Action::Upload { from, segment } => {
                let name = SegmentName { base: *from, leader_epoch: self.epoch, uuid: ambient.uuid() };
                let uploaded = self.upload(log, &local, name, segment, (policy, ambient)).await?;
                if !self.continues_at(*from, &local) {
                    // A generation that went before it has changed where the tier ends, or may yet.
                    self.tier.abandoned.push(uploaded.name);
                } else {
                    self.tier.pending.push(uploaded);
                }
            }
            Action::Rewrite { from, segment } => {
                let name = SegmentName { base: *from, leader_epoch: self.epoch, uuid: ambient.uuid() };
                let uploaded = self.upload(log, &local, name, segment, (policy, ambient)).await?;
                if self.tier.lost.is_some() && self.attempt.is_none() && self.tier.head.is_some() {
                    self.tier.rewritten.push(uploaded);
                } else {
                    self.tier.abandoned.push(uploaded.name);
                }
            }
            Action::Publish => {
                // What is deleted where a later life of the cluster has begun must not count in that one.
                // What has expired is no such thing, and asks for no request more.
                let known = self.tier.manifest().map_or(0, |manifest| manifest.log_start).max(self.advanced);
                if known < local.log_start && !log.owns_store().await? {
                    return Ok(Some(Action::Idle));
                }
                let writer = Writer { epoch: self.epoch, uuid: ambient.uuid() };
                if policy.discard {
                    self.tier.give_up_uploads();
                }
                self.tier.forget_distant(&local);
                self.attempt = Some(self.next_generation(&local, writer, policy.discard, now_ms));
                self.tried_ms = None;
                self.settle(log, policy, ambient).await?;
            }
            Action::Check { segments } => self.check(log, &local, segments).await?,
            Action::DeleteObjects { names } => {
                for name in names {
                    self.store.delete(&self.folder.segment(name)).await?;
                    self.tier.deleted.push(name.uuid);
                }
            }
            Action::Unpack { archive } => {
                let rows = self.rows_of(archive).await?;
                self.tier.unpacked = Some((archive.uuid(), Arc::new(rows)));
            }
            Action::Archive { segments } => self.archive(segments, ambient.uuid()).await?,
            Action::DeleteArchive { archive } => {
                gc::delete_archive(&*self.store, &self.folder, archive).await?;
                self.tier.deleted.push(archive.uuid());
            }
            Action::RemoveGenerations { from, to } => {
                self.publisher.remove_generations(*from, *to).await?;
                if let Some(head) = &mut self.tier.head {
                    head.boundary = *to;
                }
            }
            Action::Sweep => self.sweep().await?,
            Action::Idle => {}
        }
        Ok(Some(action))
    }

    async fn local(&self, log: &dyn LeaderLog) -> Result<Local, OffloadError> {
        log.local().await.filter(|local| local.epoch == self.epoch).ok_or(OffloadError::Deposed)
    }

    /// Asks twice: in between the tier's end is taken back, so that no new replica begins there afterwards.
    async fn everywhere_from(&self, local: &Local, log: &dyn LeaderLog) -> Option<i64> {
        log.everywhere_from().await?;
        log.set_tier(0, self.known_generation).await;
        let from = log.everywhere_from().await;
        if from.is_none() {
            log.set_tier(self.tier.checked_end.unwrap_or(local.log_start), self.known_generation).await;
        }
        from
    }

    async fn find_head(
        &mut self,
        local: &Local,
        log: &dyn LeaderLog,
        ambient: &dyn Ambient,
    ) -> Result<(), OffloadError> {
        let begun_ms = ambient.mono_ms();
        let head = self.publisher.find_head(self.known_generation).await.map_err(stop)?;
        if let Some(manifest) = &head.manifest {
            if manifest.writer.epoch > self.epoch {
                return Err(OffloadError::Fenced { epoch: manifest.writer.epoch });
            }
            self.known_generation = manifest.generation;
            let counts = manifest.log_start_on(&local.chain);
            if manifest.log_start > counts {
                tracing::error!(
                    folder = %self.folder, log_start = manifest.log_start, counts,
                    "the tier's log start is of records that an unclean election has lost: what was written there since stays, \
                     and the next generation's log start is lower"
                );
            }
            if counts > local.log_start {
                // A former leader expired more before it was deposed.
                log.advance_log_start(counts).await?;
            }
        }
        self.known_ms = Some(begun_ms);
        self.note_generation(head.generation(), ambient.mono_ms());
        self.tier.found(head, local);
        if let Some(manifest) = self.tier.manifest() {
            // Nobody can begin at the end of a tier that has nothing.
            let known =
                if manifest.is_empty() { 0 } else { self.tier.checked_end.unwrap_or(local.log_start) };
            log.set_tier(known, manifest.generation).await;
        }
        Ok(())
    }

    /// Remembers when a generation was known to be there: not each one, but often enough.
    fn note_generation(&mut self, generation: u64, now_ms: i64) {
        if self.history.len() == HISTORY {
            let thinned = self.history.drain(..).enumerate().filter(|(i, _)| i % 2 == 1);
            self.history = thinned.map(|(_, known)| known).collect();
        }
        self.history.push_back((generation, now_ms));
    }

    /// The newest generation that has been known for long enough.
    fn removable(&mut self, policy: &Policy, now_ms: i64) -> u64 {
        let old = self.history.iter().take_while(|(_, since)| now_ms - since >= policy.superseded_ms).count();
        self.history.drain(..old.saturating_sub(1));
        self.history.front().filter(|_| old > 0).map_or(0, |(generation, _)| *generation)
    }

    /// All rows of an archive's file.
    async fn rows_of(&self, archive: &Archive) -> Result<Vec<Segment>, OffloadError> {
        let key = self.folder.archive(&archive.name);
        let bytes = self.store.get(&key).await?;
        archive.decode(&bytes).map_err(|error| OffloadError::Archive { key, error })
    }

    /// Writes an archive, and reads it back before it may become the only place of its rows.
    async fn archive(&mut self, segments: &[Segment], fresh: Uuid) -> Result<(), OffloadError> {
        let failed = |error| OffloadError::Archive { key: self.folder.archives(), error };
        let Some((archive, bytes)) = Archive::encode(self.epoch, fresh, segments).map_err(failed)? else {
            return Ok(());
        };
        self.tier.abandoned_archives.push(archive.name);
        self.store.put(&self.folder.archive(&archive.name), vec![bytes]).await?;
        let rows = self.rows_of(&archive).await?;
        self.tier.abandoned_archives.retain(|name| *name != archive.name);
        if rows == segments {
            self.tier.archive = Some(archive);
            return Ok(());
        }
        self.tier.abandoned_archives.push(archive.name);
        let error = BadManifest::Form("it does not read back as it was written".to_owned());
        Err(OffloadError::Archive { key: self.folder.archive(&archive.name), error })
    }

    async fn upload(
        &mut self,
        log: &dyn LeaderLog,
        local: &Local,
        name: SegmentName,
        segment: &LocalSegment,
        (policy, ambient): (&Policy, &dyn Ambient),
    ) -> Result<Segment, OffloadError> {
        let (mut transfer, source) = match self.take_stopped(name.base, segment, local).await {
            Some(stopped) => stopped,
            None => {
                let copy = log.open(segment).await?;
                let request = UploadRequest {
                    folder: self.folder.clone(),
                    name,
                    end: segment.end,
                    chain: local.chain.clone(),
                    aborted_transactions: copy.aborted_transactions,
                    producer_snapshot: copy.producer_snapshot,
                };
                (Transfer::new(request, &self.options.upload), copy.source)
            }
        };
        self.uploading = Some(transfer.name());
        let (store, progress) = (self.store.clone(), self.progress.clone());
        let running = async move {
            let outcome = transfer.run(&*store, &*source, &progress).await;
            (outcome, transfer, source)
        };
        let (outcome, transfer, source) = self.beside(Box::pin(running), log, policy, ambient).await?;
        let uploaded = match outcome {
            Ok(uploaded) => uploaded,
            Err(error) => {
                self.uploading = Some(transfer.name());
                if matches!(error, UploadError::Store(_)) && transfer.can_go_on() {
                    self.stopped = Some((transfer, source));
                } else {
                    transfer.give_up().await;
                }
                return Err(error.into());
            }
        };
        self.uploading = Some(uploaded.name);
        upload::verify(&*self.store, &self.folder, &uploaded).await?;
        self.uploading = None;
        Ok(uploaded)
    }

    /// The upload that stopped midway, if it is the one that is due.
    async fn take_stopped(
        &mut self,
        base: i64,
        segment: &LocalSegment,
        local: &Local,
    ) -> Option<(Transfer, Box<dyn SegmentSource>)> {
        let (transfer, source) = self.stopped.take()?;
        let request = transfer.request();
        if request.name.base == base && request.end == segment.end && request.chain == local.chain {
            return Some((transfer, source));
        }
        self.tier.abandoned.push(transfer.name());
        transfer.give_up().await;
        None
    }

    fn next_generation(&self, local: &Local, writer: Writer, discard: bool, now_ms: i64) -> Manifest {
        let changes = Changes {
            add: &self.tier.pending,
            chain: &local.chain,
            discard,
            rewrite: self.tier.complete_rewrite(&local.chain),
            archive: self.tier.archive.as_ref(),
            unpacked: self.tier.unpacked.as_ref().map(|(uuid, rows)| (*uuid, &rows[..])),
            log_start: local.log_start,
            deleted: &self.tier.deleted,
            replace: self.tier.replacement.as_ref(),
            now_ms,
        };
        successor(self.tier.manifest(), writer, &changes)
    }

    /// Publishes the attempt, or finds out what became of it.
    async fn settle(
        &mut self,
        log: &dyn LeaderLog,
        policy: &Policy,
        ambient: &dyn Ambient,
    ) -> Result<(), OffloadError> {
        let Some(attempt) = self.attempt.clone() else { return Ok(()) };
        // Of a publish that is tried again: its generation may be there since the first try.
        let begun_ms = *self.tried_ms.get_or_insert(ambient.mono_ms());
        let clock = || ambient.mono_ms();
        let for_ms = policy.knowledge_ms;
        let knowledge = self.known_ms.map(|since_ms| Knowledge { since_ms, for_ms, clock: &clock });
        match self.publisher.publish_knowing(&attempt, knowledge.as_ref()).await {
            Ok(()) => {
                self.attempt = None;
                // Before the request the number after this one was free.
                self.known_ms = Some(begun_ms);
                self.note_generation(attempt.generation, ambient.mono_ms());
                if attempt.is_empty() {
                    // Whoever lags behind is not to begin at the end of what was given up.
                    log.set_tier(0, attempt.generation).await;
                }
                self.known_generation = attempt.generation;
                self.tier.published(attempt);
                Ok(())
            }
            Err(PublishError::Rebase { .. }) => {
                self.attempt = None;
                self.tier.head = None;
                Ok(())
            }
            Err(error) => Err(stop(error)),
        }
    }

    /// Looks at published objects: their local copies may go only afterwards.
    async fn check(
        &mut self,
        log: &dyn LeaderLog,
        local: &Local,
        segments: &[Segment],
    ) -> Result<(), OffloadError> {
        for segment in segments {
            let key = self.folder.segment(&segment.name);
            let found = match self.store.head(&key).await {
                Ok(bytes) => Some(bytes),
                Err(StoreError::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            let is_local = local.local_start < segment.end;
            let is_there = found == Some(segment.object_bytes());
            if !is_there && (is_local || !self.passed_over.contains(&segment.name)) {
                if is_local {
                    self.tier.lost = Some(segment.base());
                } else {
                    self.lost_elsewhere = Some(segment.base());
                }
                // Whoever has its records must not delete them; also where others are asked for them first.
                log.set_tier(segment.base(), self.known_generation).await;
                return Err(OffloadError::Lost { key });
            }
            self.tier.checked_end = Some(segment.end);
        }
        if let Some(end) = self.tier.checked_end {
            log.set_tier(end, self.known_generation).await;
        }
        Ok(())
    }

    async fn sweep(&mut self) -> Result<(), OffloadError> {
        let Some(Head { manifest: Some(manifest), boundary }) = &self.tier.head else { return Ok(()) };
        let abandoned =
            gc::Abandoned { segments: &self.tier.abandoned, archives: &self.tier.abandoned_archives };
        let swept = gc::sweep(&*self.store, &self.folder, manifest, *boundary, abandoned).await?;
        if swept.segments.is_empty() && swept.generations.is_empty() && swept.archives.is_empty() {
            tracing::debug!(folder = %self.folder, "no orphans");
        } else {
            let (objects, generations) = (swept.segments.len(), swept.generations.len());
            tracing::info!(folder = %self.folder, objects, bytes = swept.bytes, generations, "orphans removed");
        }
        self.removed.objects += (swept.segments.len() + swept.archives.len()) as u64;
        self.removed.bytes += swept.bytes;
        self.tier.swept = true;
        self.tier.abandoned.clear();
        self.tier.abandoned_archives.clear();
        Ok(())
    }
}

fn stop(error: PublishError) -> OffloadError {
    match error {
        PublishError::Store(error) => OffloadError::Store(error),
        PublishError::Fenced { epoch, .. } => OffloadError::Fenced { epoch },
        other => OffloadError::Stopped(other),
    }
}

/// Points of time that are remembered; with more the older half of the detail goes.
const HISTORY: usize = 64;

#[cfg(test)]
mod tests;
