//! The retention driver: rolls segments that are due and removes what time and size have expired.
//!
//! Tiered partitions are looked after by the tier driver, since there the manifest goes before the object.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::Broker;
use crate::log::{LogError, Removal};
use crate::replication::Replica;
use crate::types::DirectoryId;

/// Between two looks at how long the interval is.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Partitions that one job of a disk thread looks after: few enough that others wait for it shortly, and enough that ten thousand
/// idle ones do not wake a thread each.
const A_JOB: usize = 32;

impl Broker {
    /// Looks after every partition of a log directory once an interval until the broker stops: where its disk hangs, no other waits.
    pub(super) async fn run_retention(self: Arc<Self>, directory: DirectoryId) {
        let interval = || self.live().config.millis("log.retention.check.interval.ms");
        let mut last = self.env.clock.now();
        loop {
            // A shorter interval counts soon, though a longer one is being waited for.
            let pause = interval().min(LONGEST_PAUSE);
            tokio::select! {
                () = self.env.clock.sleep(pause) => {}
                () = self.stopping.stopped() => return,
            }
            let now = self.env.clock.now();
            if now.since(last) < interval() {
                continue;
            }
            last = now;
            self.check_retention_in(directory).await;
        }
    }

    /// One round over all partitions on this broker.
    pub async fn check_retention(&self) {
        let all = self.replicas.directories().into_iter();
        join_all(all.map(|(directory, _)| self.check_retention_in(directory))).await;
    }

    async fn check_retention_in(&self, directory: DirectoryId) {
        let (now_ms, quorum_ms) = (self.env.clock.wall_ms(), self.metadata.retention_ms());
        let mut here = self.replicas.replicas();
        here.retain(|replica| replica.directory() == directory);
        let threads = self.replicas.threads_of(directory);
        for some in here.chunks(A_JOB) {
            let replicas = some.to_vec();
            let worked = threads.run(move || {
                for replica in replicas {
                    if let Err(error) = expire(&replica, now_ms, quorum_ms) {
                        tracing::error!(partition = %replica.partition(), %error, "retention failed");
                    }
                }
            });
            if let Err(error) = worked.await {
                tracing::error!(first = %some[0].partition(), partitions = some.len(), %error, "retention failed");
            }
        }
    }
}

/// Without the quorum's time nothing expires, idle producers neither.
pub(super) fn expire(replica: &Replica, now_ms: i64, quorum_ms: Option<i64>) -> Result<(), LogError> {
    let positions = replica.positions();
    let removal = replica.with_log(|log| {
        log.roll_if_due(now_ms)?;
        log.forget_old_producers(positions.high_watermark, quorum_ms);
        let config = log.config();
        let expires = config.cleanup.delete && !config.is_tiered();
        let Some(quorum_ms) = quorum_ms.filter(|_| positions.leads() && expires) else { return Ok(None) };
        let to = log.expired_by_retention(quorum_ms, positions.high_watermark);
        if to > log.log_start() { log.advance_log_start(to, now_ms).map(Some) } else { Ok(None) }
    })?;
    removal.map_or(Ok(()), Removal::run)
}
