//! The compaction driver: in each log directory one pass at a time over the partition with the largest dirty share, in small steps on
//! the directory's threads, all together paced by `log.cleaner.io.max.bytes.per.second`. Where a disk hangs, no other directory waits.
//!
//! Leaders and followers compact their own copies, each below its own high watermark; what consumers read is the same.
//! What is old enough goes by the quorum's time: a broker that does not know it, or is far from it, compacts nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;

use super::Broker;
use super::config::BrokerConfig;
use crate::env::MonoTime;
use crate::log::{Cleanable, Compaction, LogError, Step};
use crate::replication::{Replica, ReplicaRole};
use crate::types::{DirectoryId, LeaderEpoch, Offset, TopicId};

/// Bytes that one step reads: bounds the time it holds a disk thread.
const STEP_BYTES: u64 = 4 << 20;

/// `log.cleaner.*`.
#[derive(Clone, Copy, Debug)]
struct Settings {
    backoff: Duration,
    map_bytes: usize,
    bytes_per_second: f64,
}

impl Settings {
    /// `None` if compaction is switched off.
    fn of(config: &BrokerConfig) -> Option<Settings> {
        let p = &config.properties;
        (p.get("log.cleaner.enable") != Some("false")).then(|| Settings {
            backoff: config.millis("log.cleaner.backoff.ms"),
            map_bytes: usize::try_from(p.number("log.cleaner.dedupe.buffer.size")).unwrap_or(usize::MAX),
            bytes_per_second: p
                .get("log.cleaner.io.max.bytes.per.second")
                .and_then(|rate| rate.parse().ok())
                .unwrap_or(f64::MAX),
        })
    }
}

/// When what all passes have read and written so far is through at the rate that is set.
type Pace = Mutex<MonoTime>;

/// A partition whose last pass failed: it is left alone until something has changed.
type Failed = BTreeMap<(TopicId, i32), (LeaderEpoch, u32)>;

/// A partition with what a pass would find there.
struct Candidate {
    replica: Arc<Replica>,
    found: Cleanable,
    /// The quorum's time when it was looked at.
    now_ms: i64,
}

impl Broker {
    /// Compacts what is due until the broker stops.
    pub(super) async fn run_compaction(self: Arc<Self>) {
        if Settings::of(&self.config).is_none() {
            tracing::warn!("log.cleaner.enable is false: compacted topics grow without bound");
            return;
        }
        let pace = Pace::default();
        let all = self.replicas.directories().into_iter();
        join_all(all.map(|(directory, _)| self.run_compaction_in(directory, &pace))).await;
    }

    async fn run_compaction_in(&self, directory: DirectoryId, pace: &Pace) {
        let mut failed = Failed::new();
        loop {
            let Some(settings) = Settings::of(&self.live().config) else { return };
            // All directories have passes at the same time.
            let map_bytes = settings.map_bytes / self.replicas.directories().len().max(1);
            let settings = Settings { map_bytes, ..settings };
            let worked = tokio::select! {
                worked = self.compact_one(directory, settings, pace, &mut failed) => worked,
                () = self.stopping.stopped() => return,
            };
            if !worked {
                tokio::select! {
                    () = self.env.clock.sleep(settings.backoff) => {}
                    () = self.stopping.stopped() => return,
                }
            }
        }
    }

    /// One pass over the directory's partition that needs it most; whether there was one.
    async fn compact_one(
        &self,
        directory: DirectoryId,
        settings: Settings,
        pace: &Pace,
        failed: &mut Failed,
    ) -> bool {
        let looked = self.dirtiest(directory, failed, self.metadata.retention_ms());
        let Some(candidate) = looked.await else { return false };
        let replica = candidate.replica.clone();
        let key = (replica.topic_id(), replica.partition().partition);
        match self.compact(&candidate, settings, pace).await {
            Ok(()) => {
                failed.remove(&key);
                true
            }
            Err(error) => {
                tracing::error!(partition = %replica.partition(), %error, "compaction failed");
                let attempts = failed.get(&key).map_or(1, |(_, attempts)| attempts + 1);
                failed.insert(key, (replica.positions().leader_epoch, attempts));
                if matches!(error, LogError::Corrupt { .. }) {
                    replica.found_corrupt(&error);
                }
                false
            }
        }
    }

    /// The directory's partition that needs it most by the quorum's time; none while that is not known.
    async fn dirtiest(
        &self,
        directory: DirectoryId,
        failed: &Failed,
        quorum_ms: Option<i64>,
    ) -> Option<Candidate> {
        let now_ms = quorum_ms?;
        let image = self.image();
        // Each topic's config is looked at once, not once per partition.
        let mut compacted = BTreeMap::new();
        let mut is_compacted = |replica: &Replica| {
            let name = &replica.partition().topic;
            *compacted.entry(name.clone()).or_insert_with(|| {
                let config = image.topics.get(name).and_then(|topic| self.log_config(&topic.configs).ok());
                config.is_some_and(|config| config.cleanup.compact)
            })
        };
        let mut best: Option<Candidate> = None;
        for replica in self.replicas.replicas() {
            if replica.directory() != directory || !is_compacted(&replica) {
                continue;
            }
            let positions = replica.positions();
            let key = (replica.topic_id(), replica.partition().partition);
            let gave_up = failed
                .get(&key)
                .is_some_and(|(epoch, attempts)| *epoch == positions.leader_epoch && *attempts >= ATTEMPTS);
            if gave_up || positions.role == ReplicaRole::Offline {
                continue;
            }
            let looked_at = replica.clone();
            let high_watermark = positions.high_watermark;
            let found = match on_disk(&replica, move || look(&looked_at, high_watermark, now_ms)).await {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(error) => {
                    tracing::error!(partition = %replica.partition(), %error, "cannot tell what is to be compacted");
                    continue;
                }
            };
            let rank = |found: &Cleanable| (found.overdue, found.dirty_millionths());
            if best.as_ref().is_none_or(|best| rank(&found) > rank(&best.found)) {
                best = Some(Candidate { replica, found, now_ms });
            }
        }
        best
    }

    async fn compact(&self, candidate: &Candidate, settings: Settings, pace: &Pace) -> Result<(), LogError> {
        let Candidate { replica, found, now_ms } = candidate;
        let (log, found, now_ms) = (replica.clone(), *found, *now_ms);
        let before = found.clean_bytes + found.dirty_bytes;
        let begin = move || log.with_log(|log| log.begin_compaction(&found, settings.map_bytes, now_ms));
        let mut pass = on_disk(replica, begin).await?;
        loop {
            let (log, begun) = (replica.clone(), self.env.clock.now());
            let (stepped, back) = on_disk(replica, move || Ok(step(&log, pass))).await?;
            pass = back;
            let Some(bytes) = stepped? else { break };
            #[expect(clippy::cast_precision_loss, reason = "a rate")]
            let takes = Duration::try_from_secs_f64(bytes as f64 / settings.bytes_per_second.max(1.0));
            let due = {
                let mut through = pace.lock();
                *through = begun.max(*through) + takes.unwrap_or(Duration::ZERO);
                *through
            };
            self.env.clock.sleep_until(due).await;
        }
        tracing::info!(
            partition = %replica.partition(), from = %found.dirty_from, to = %pass.cleaned_end(),
            dirty_bytes = found.dirty_bytes, bytes_before = before,
            bytes_after = replica.log_summary().bytes, "compacted"
        );
        Ok(())
    }
}

async fn on_disk<T: Send + 'static>(
    replica: &Replica,
    job: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    // The pool ends only with the process.
    replica.disk_threads().run(job).await.unwrap_or(Err(LogError::Closed))
}

/// What a pass would find, if one is due.
fn look(replica: &Replica, high_watermark: Offset, now_ms: i64) -> Result<Option<Cleanable>, LogError> {
    let flush = replica.with_log(|log| {
        let waits = log.config().cleanup.compact && log.closed_unflushed();
        waits.then(|| log.begin_flush()).transpose()
    })?;
    if let Some(job) = flush {
        let outcome = job.run();
        replica.with_log(|log| log.finish_flush(outcome))?;
    }
    replica.with_log(|log| {
        let found = log.cleanable(high_watermark, now_ms)?;
        Ok(found.filter(|found| log.compaction_is_due(found)))
    })
}

/// How often a pass over a partition may fail under one leader epoch.
const ATTEMPTS: u32 = 3;

/// One step of a pass, with the swap if a segment is ready: bytes read and written, `None` at the end.
fn step(replica: &Replica, mut pass: Compaction) -> (Result<Option<u64>, LogError>, Compaction) {
    let outcome = pass.step(STEP_BYTES).and_then(|step| match step {
        Step::Working { bytes } => Ok(Some(bytes)),
        Step::Ready(cleaned) => {
            let bytes = cleaned.bytes();
            match replica.with_log(|log| log.replace_segments(cleaned))? {
                Some(old) => old.run().map(|()| Some(bytes)),
                // The log was cut, reset or closed: another pass begins anew.
                None => Ok(None),
            }
        }
        Step::Done => {
            replica.with_log(|log| log.finish_compaction(&pass));
            Ok(None)
        }
    });
    if !matches!(outcome, Ok(Some(_))) {
        pass.abandon();
    }
    (outcome, pass)
}

#[cfg(test)]
mod tests;
