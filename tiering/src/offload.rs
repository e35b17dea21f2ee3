//! Carries out the plan for one partition and one leadership: each step asks [`plan`](crate::plan) and does that one thing.
//!
//! The offloader is bound to its leader epoch and thrown away with it. A step may be dropped at any point (a crash, a
//! shutdown): what it had begun is remembered before the first request, and settled by the next step.

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::gc;
use crate::layout::{PartitionFolder, SegmentName};
use crate::manifest::{Changes, Manifest, Segment, Writer, successor};
use crate::plan::{self, Action, Local, LocalSegment, Policy, Tier};
use crate::publish::{Head, PublishError, Publisher};
use crate::store::{SharedStore, StoreError};
use crate::upload::{self, Progress, SegmentSource, UploadError, UploadOptions, UploadRequest};

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
    /// Removes local segments that end at or below the offset.
    async fn delete_local(&self, below: i64) -> std::io::Result<()>;
    /// Announces a tier end that is durable and was checked, and its generation. It goes back when an object is found lost, and
    /// starts low with each leadership: an end that a former leader announced holds no longer.
    async fn set_tier(&self, end: i64, generation: u64);
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
#[derive(Debug)]
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
    /// A publish whose outcome is open.
    attempt: Option<Manifest>,
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
            attempt: None,
        }
    }

    /// The newest generation this offloader knows.
    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        self.tier.manifest()
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
        now_ms: i64,
        fresh_uuid: &(dyn Fn() -> Uuid + Send + Sync),
    ) -> Result<Action, OffloadError> {
        let local = self.local(log).await?;
        if let Some(begun) = self.uploading.take() {
            self.tier.abandoned.push(begun);
        }
        if self.attempt.is_some() {
            self.settle().await?;
            return Ok(Action::Publish);
        }
        let action = plan::next_action(&local, &self.tier, policy, now_ms);
        match &action {
            Action::FindHead => self.find_head(&local, log).await?,
            Action::AdvanceLogStart { to } => log.advance_log_start(*to).await?,
            Action::DeleteLocal { below } => log.delete_local(*below).await?,
            Action::Upload { from, segment } => {
                let name = SegmentName { base: *from, leader_epoch: self.epoch, uuid: fresh_uuid() };
                self.upload(log, &local, name, segment).await?;
            }
            Action::Publish => {
                let writer = Writer { epoch: self.epoch, uuid: fresh_uuid() };
                if self.tier.lost.is_some() {
                    // They continue a tier end that is about to go back.
                    let given_up = self.tier.pending.drain(..).map(|segment| segment.name);
                    self.tier.abandoned.extend(given_up);
                }
                self.attempt = Some(self.next_generation(&local, writer, now_ms));
                self.settle().await?;
            }
            Action::Check { segments } => self.check(log, segments).await?,
            Action::DeleteObjects { names } => {
                for name in names {
                    self.store.delete(&self.folder.segment(name)).await?;
                    self.tier.deleted.push(name.uuid);
                }
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
        Ok(action)
    }

    async fn local(&self, log: &dyn LeaderLog) -> Result<Local, OffloadError> {
        log.local().await.filter(|local| local.epoch == self.epoch).ok_or(OffloadError::Deposed)
    }

    async fn find_head(&mut self, local: &Local, log: &dyn LeaderLog) -> Result<(), OffloadError> {
        let head = self.publisher.find_head(self.known_generation).await.map_err(stop)?;
        if let Some(manifest) = &head.manifest {
            if manifest.writer.epoch > self.epoch {
                return Err(OffloadError::Fenced { epoch: manifest.writer.epoch });
            }
            self.known_generation = manifest.generation;
            if manifest.log_start > local.log_start {
                // A former leader expired more before it was deposed.
                log.advance_log_start(manifest.log_start).await?;
            }
            // Local copies below the local start are gone already: there is nothing left to protect by a look.
            let live = manifest.on_chain(&local.chain);
            let gone = live.iter().take_while(|segment| segment.end <= local.local_start).last();
            self.tier.checked_end = self.tier.checked_end.max(gone.map(|segment| segment.end));
            log.set_tier(self.tier.checked_end.unwrap_or(local.log_start), manifest.generation).await;
        }
        self.tier.head = Some(head);
        self.keep_what_continues(local);
        Ok(())
    }

    /// After a rebase: pending uploads count only if they still continue the tier.
    fn keep_what_continues(&mut self, local: &Local) {
        let live = self.tier.manifest().map(|manifest| manifest.on_chain(&local.chain)).unwrap_or_default();
        let mut next = plan::continues_at(local, &live, &[]);
        let mut kept = Vec::new();
        let pending = std::mem::take(&mut self.tier.pending);
        for segment in pending {
            if segment.base() == next {
                next = segment.end;
                kept.push(segment);
            } else {
                self.tier.abandoned.push(segment.name);
            }
        }
        self.tier.pending = kept;
    }

    async fn upload(
        &mut self,
        log: &dyn LeaderLog,
        local: &Local,
        name: SegmentName,
        segment: &LocalSegment,
    ) -> Result<(), OffloadError> {
        let copy = log.open(segment).await?;
        let request = UploadRequest {
            folder: self.folder.clone(),
            name,
            end: segment.end,
            chain: local.chain.clone(),
            aborted_transactions: copy.aborted_transactions,
            producer_snapshot: copy.producer_snapshot,
        };
        self.uploading = Some(name);
        let options = &self.options.upload;
        let uploaded = upload::upload(&*self.store, &request, &*copy.source, options, &self.progress).await?;
        self.uploading = Some(uploaded.name);
        upload::verify(&*self.store, &self.folder, &uploaded).await?;
        self.uploading = None;
        self.tier.pending.push(uploaded);
        Ok(())
    }

    fn next_generation(&self, local: &Local, writer: Writer, now_ms: i64) -> Manifest {
        let changes = Changes {
            add: &self.tier.pending,
            chain: &local.chain,
            cut: self.tier.lost,
            log_start: local.log_start,
            deleted: &self.tier.deleted,
            now_ms,
        };
        successor(self.tier.manifest(), writer, &changes)
    }

    /// Publishes the attempt, or finds out what became of it.
    async fn settle(&mut self) -> Result<(), OffloadError> {
        let Some(attempt) = self.attempt.clone() else { return Ok(()) };
        match self.publisher.publish(&attempt).await {
            Ok(()) => {
                self.attempt = None;
                self.tier.pending.clear();
                self.tier.deleted.clear();
                self.tier.lost = None;
                self.known_generation = attempt.generation;
                let boundary = self.tier.head.as_ref().map_or(0, |head| head.boundary);
                self.tier.checked_end = self.tier.checked_end.min(attempt.tier_end());
                self.tier.head = Some(Head { manifest: Some(attempt), boundary });
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
    async fn check(&mut self, log: &dyn LeaderLog, segments: &[Segment]) -> Result<(), OffloadError> {
        for segment in segments {
            let key = self.folder.segment(&segment.name);
            let found = match self.store.head(&key).await {
                Ok(bytes) => Some(bytes),
                Err(StoreError::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            if found != Some(segment.object_bytes()) {
                self.tier.lost = Some(segment.base());
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
        let swept = gc::sweep(&*self.store, &self.folder, manifest, *boundary, &self.tier.abandoned).await?;
        if swept.segments.is_empty() && swept.generations.is_empty() {
            tracing::debug!(folder = %self.folder, "no orphans");
        } else {
            let (objects, generations) = (swept.segments.len(), swept.generations.len());
            tracing::info!(folder = %self.folder, objects, bytes = swept.bytes, generations, "orphans removed");
        }
        self.tier.swept = true;
        self.tier.abandoned.clear();
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

#[cfg(test)]
mod tests;
