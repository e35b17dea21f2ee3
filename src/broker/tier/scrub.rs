//! The background scrub: every object of the partitions that this broker leads is read at a set rate and checked, byte by
//! byte. What is damaged is told, and goes up again while its records are still on the local disk.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tiering::layout::{PartitionFolder, SegmentName};
use tiering::manifest::Segment;
use tiering::store::StoreError;
use tiering::verify::{self, Depth};

use super::pace::Pace;
use super::store::ColdStore;
use crate::broker::config::BrokerConfig;
use crate::broker::stop::StopSignal;
use crate::replication::{Replica, ReplicaManager};

/// What the scrub has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubCounts {
    /// Segments that were read.
    pub segments: u64,
    /// Bytes that were read and are right.
    pub bytes: u64,
    /// Segments that are damaged; one that stays so counts with each pass.
    pub damaged: u64,
}

/// What the scrub has found, for the offloaders and the counters.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The bases of each partition's damaged segments whose records are local.
    damaged: Mutex<HashMap<PartitionFolder, BTreeSet<i64>>>,
    /// The base of a damaged segment that is not local, of each partition: the next pass finds others.
    distant: Mutex<HashMap<PartitionFolder, i64>>,
    segments: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
}

impl Findings {
    /// The base of a damaged segment that nobody has looked after yet.
    pub(super) fn take(&self, folder: &PartitionFolder) -> Option<i64> {
        let mut damaged = self.damaged.lock();
        let bases = damaged.get_mut(folder)?;
        let lowest = bases.pop_first();
        if bases.is_empty() {
            damaged.remove(folder);
        }
        lowest
    }

    /// Whether there is something to look after.
    pub(super) fn has(&self, folder: &PartitionFolder) -> bool {
        self.damaged.lock().contains_key(folder) || self.distant.lock().contains_key(folder)
    }

    /// The base of a damaged segment that is not local, and that nobody has looked after yet.
    pub(super) fn take_distant(&self, folder: &PartitionFolder) -> Option<i64> {
        self.distant.lock().remove(folder)
    }

    /// A leader has found an object lost that is not local.
    pub(super) fn note_distant(&self, folder: &PartitionFolder, base: i64) {
        self.failures.fetch_add(1, Relaxed);
        self.put_back_distant(folder, base);
    }

    /// The store failed while it was looked after: it is looked after again, unless the scrub has found another since.
    pub(super) fn put_back_distant(&self, folder: &PartitionFolder, base: i64) {
        self.distant.lock().entry(folder.clone()).or_insert(base);
    }

    pub(super) fn counts(&self) -> ScrubCounts {
        ScrubCounts {
            segments: self.segments.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            damaged: self.failures.load(Relaxed),
        }
    }
}

/// The scrub of one broker.
pub(super) struct Scrub {
    cold: Arc<ColdStore>,
    replicas: Arc<ReplicaManager>,
    stopping: StopSignal,
    pace: Pace,
    interval: Duration,
}

impl Scrub {
    /// Starts it on the cold runtime, unless `tier.scrub.bytes.per.second` is 0.
    pub(super) fn start(
        cold: &Arc<ColdStore>,
        config: &BrokerConfig,
        replicas: Arc<ReplicaManager>,
        stopping: StopSignal,
    ) {
        let rate = config.number("tier.scrub.bytes.per.second").cast_unsigned();
        if rate == 0 {
            return;
        }
        let pace = Pace::new(cold.env.clock.clone(), rate);
        let interval = config.millis("tier.scrub.interval.ms");
        let scrub = Scrub { cold: cold.clone(), replicas, stopping, pace, interval };
        cold.runtime.spawn(async move { scrub.run().await });
    }

    async fn run(&self) {
        loop {
            tokio::select! {
                () = self.cold.env.clock.sleep(self.interval) => {}
                () = self.stopping.stopped() => return,
            }
            tokio::select! {
                () = self.pass() => {}
                () = self.stopping.stopped() => return,
            }
        }
    }

    /// All led partitions once.
    async fn pass(&self) {
        for replica in self.replicas.replicas() {
            let Ok(folder) = self.cold.folder(replica.partition(), replica.topic_id()) else { continue };
            if replica.positions().leads()
                && replica.positions().tier.is_some()
                && let Err(error) = self.partition(&replica, &folder).await
            {
                tracing::warn!(partition = %replica.partition(), %error, "the scrub passes a partition over");
            }
        }
    }

    async fn partition(&self, replica: &Replica, folder: &PartitionFolder) -> Result<(), StoreError> {
        let unavailable = |reason: String| StoreError::Unavailable {
            operation: tiering::store::Operation::Get,
            key: folder.to_string(),
            reason,
        };
        let generation = replica.positions().tier.map_or(0, |tier| tier.generation);
        let reader = &self.cold.reader;
        let manifest = reader.manifest(folder, generation).await.map_err(|e| unavailable(e.to_string()))?;
        for list in 0..manifest.lists() {
            let rows = reader.segments(folder, &manifest, list).await;
            for row in rows.map_err(|e| unavailable(e.to_string()))? {
                self.segment(replica, folder, &row).await?;
            }
        }
        Ok(())
    }

    async fn segment(
        &self,
        replica: &Replica,
        folder: &PartitionFolder,
        row: &Segment,
    ) -> Result<(), StoreError> {
        let findings = &self.cold.findings;
        self.pace.turn(row.object_bytes()).await;
        if row.end <= replica.positions().log_start.0 || !replica.positions().leads() {
            // Expired since, or another leader's to look after.
            return Ok(());
        }
        let mut found = verify::segment(&*self.cold.store, folder, row, Depth::Bytes).await?;
        if found.is_err() {
            // It may have been broken on the way.
            found = verify::segment(&*self.cold.store, folder, row, Depth::Bytes).await?;
        }
        findings.segments.fetch_add(1, Relaxed);
        match found {
            Ok(bytes) => {
                findings.bytes.fetch_add(bytes, Relaxed);
            }
            Err(what) if self.is_named_still(folder, &row.name).await => {
                findings.failures.fetch_add(1, Relaxed);
                // Also where it is local in part: the leader puts that part up anew, and must not let go of it before.
                let local = replica.positions().local_start.0 < row.end;
                tracing::error!(partition = %replica.partition(), object = %row.name, %what, local, "a damaged object");
                if local {
                    findings.damaged.lock().entry(folder.clone()).or_default().insert(row.base());
                } else {
                    findings.distant.lock().insert(folder.clone(), row.base());
                }
            }
            Err(_) => {}
        }
        Ok(())
    }

    /// An object that was unpublished meanwhile may be gone.
    async fn is_named_still(&self, folder: &PartitionFolder, name: &SegmentName) -> bool {
        let Ok(manifest) = self.cold.reader.refreshed_manifest(folder).await else { return true };
        self.cold.reader.is_named(folder, &manifest, name).await.unwrap_or(true)
    }
}
