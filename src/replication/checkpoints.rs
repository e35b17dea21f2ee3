//! Writes the checkpoints of all replicas now and then, and at once those for which a leader waits (DeleteRecords).
//!
//! Each directory has jobs of its own, one at a time: one that cannot be written, or that hangs, keeps no other from its own.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use super::manager::{ReplicaManager, checkpoint_of};
use super::replica::Replica;
use crate::log::LogError;
use crate::types::DirectoryId;

/// A follower's new log start waits so long for others.
const LOG_STARTS_PAUSE: Duration = Duration::from_millis(50);

/// The directories' jobs.
#[derive(Default)]
struct Turns {
    running: FuturesUnordered<BoxFuture<'static, (DirectoryId, Result<(), LogError>)>>,
    /// Whose job has not ended.
    busy: HashSet<DirectoryId>,
    /// Those of them for which a leader waits again.
    asked_again: HashSet<DirectoryId>,
    /// They could not be written and wait for the next turn of all.
    failed: HashSet<DirectoryId>,
}

impl ReplicaManager {
    pub(super) async fn checkpoint(self: Arc<Self>) {
        let interval = self.context.config.checkpoint_interval;
        let mut all_due = self.context.now() + interval;
        let mut turns = Turns::default();
        loop {
            let replicas = tokio::select! {
                () = self.context.clock.sleep_until(all_due) => {
                    all_due = self.context.now() + interval;
                    turns.failed.clear();
                    self.replicas()
                }
                () = self.context.log_start_raised.notified() => {
                    // All that rise together are stored together.
                    self.context.clock.sleep(LOG_STARTS_PAUSE).await;
                    self.waiting_for_their_log_start(|directory| !turns.failed.contains(&directory))
                }
                Some((directory, written)) = turns.running.next(), if !turns.running.is_empty() => {
                    turns.busy.remove(&directory);
                    let asked_again = turns.asked_again.remove(&directory);
                    match written {
                        Ok(()) if asked_again => self.waiting_for_their_log_start(|of| of == directory),
                        Ok(()) => continue,
                        Err(e) => {
                            // The older checkpoints stay: a restart scans a little more.
                            tracing::warn!("cannot write the checkpoints: {e}");
                            turns.failed.insert(directory);
                            continue;
                        }
                    }
                }
            };
            let mut by_directory: BTreeMap<DirectoryId, Vec<Arc<Replica>>> = BTreeMap::new();
            for replica in replicas {
                by_directory.entry(replica.directory()).or_default().push(replica);
            }
            for (directory, replicas) in by_directory {
                if turns.busy.insert(directory) {
                    turns.running.push(self.write_checkpoints(directory, replicas));
                } else if replicas.iter().any(|replica| replica.waits_for_its_log_start()) {
                    turns.asked_again.insert(directory);
                }
            }
        }
    }

    fn waiting_for_their_log_start(&self, of: impl Fn(DirectoryId) -> bool) -> Vec<Arc<Replica>> {
        let mut waiting = self.replicas();
        waiting.retain(|replica| of(replica.directory()) && replica.waits_for_its_log_start());
        waiting
    }

    fn write_checkpoints(
        &self,
        directory: DirectoryId,
        replicas: Vec<Arc<Replica>>,
    ) -> BoxFuture<'static, (DirectoryId, Result<(), LogError>)> {
        let (dirs, context) = (self.dirs.clone(), self.context.clone());
        let pool = self.context.threads_of(Some(directory)).pool;
        Box::pin(async move {
            let written = pool.run(move || {
                let stored: Vec<_> =
                    replicas.iter().map(|r| (r.partition().clone(), checkpoint_of(r))).collect();
                if let Err(error) = dirs.write_checkpoints(&stored) {
                    replicas.iter().for_each(|replica| replica.has_not_stored_log_start());
                    return Err(error);
                }
                let stored = stored.into_iter().map(|(_, positions)| positions.log_start);
                replicas.iter().zip(stored).for_each(|(r, at)| r.has_stored_log_start(at));
                Ok(())
            });
            // The pool ends only with the process; a job that panicked is tried again with the others.
            let written = written.await.unwrap_or(Ok(()));
            context.checkpoints_written.send_modify(|jobs| *jobs += 1);
            (directory, written)
        })
    }
}
