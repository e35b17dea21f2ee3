//! What a segment's way to the tier costs in requests, by the classes that a store bills.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;

use super::super::*;
use crate::lineage::EpochStart;
use crate::store::{MemoryStore, MeteredStore, RequestCounts};
use crate::testing::{MemorySegment, batches};

const RECORDS: i64 = 10;

/// A leader whose log grows by whole segments of ten batches.
#[derive(Default)]
struct GrowingLog {
    closed: Mutex<Vec<LocalSegment>>,
    log_start: AtomicI64,
}

impl GrowingLog {
    fn grow(&self) {
        let mut closed = self.closed.lock().unwrap();
        let base = closed.last().map_or(0, |segment| segment.end);
        let bytes = bytes_of(base).len() as u64;
        closed.push(LocalSegment { base, end: base + RECORDS, bytes, max_timestamp: 0 });
    }
}

fn bytes_of(base: i64) -> Bytes {
    batches(base, RECORDS as usize, 1, 1, 50)
}

#[async_trait]
impl LeaderLog for GrowingLog {
    async fn local(&self) -> Option<Local> {
        let from = self.log_start.load(Relaxed);
        let mut closed = self.closed.lock().unwrap().clone();
        let end = closed.last().map_or(0, |segment| segment.end);
        closed.retain(|segment| segment.end > from);
        Some(Local {
            epoch: 1,
            log_start: self.log_start.load(Relaxed),
            local_start: self.log_start.load(Relaxed),
            high_watermark: end,
            last_stable: end,
            chain: vec![EpochStart { epoch: 1, start: 0 }],
            closed,
            open_bytes: 0,
            everywhere_from: None,
        })
    }
    async fn open(&self, segment: &LocalSegment) -> std::io::Result<LocalCopy> {
        Ok(LocalCopy {
            source: Box::new(MemorySegment(bytes_of(segment.base))),
            aborted_transactions: Bytes::new(),
            producer_snapshot: Bytes::new(),
        })
    }
    async fn advance_log_start(&self, to: i64) -> std::io::Result<()> {
        self.log_start.store(to, Relaxed);
        Ok(())
    }
    async fn everywhere_from(&self) -> Option<i64> {
        None
    }
    async fn delete_local(&self, _: i64) -> std::io::Result<()> {
        Ok(())
    }
    async fn set_tier(&self, _: i64, _: u64) {}
}

/// A clock that goes on by ten seconds with each look.
#[derive(Default)]
struct Ticking(AtomicI64);

impl Ambient for Ticking {
    fn wall_ms(&self) -> i64 {
        self.mono_ms()
    }
    fn mono_ms(&self) -> i64 {
        self.0.fetch_add(10_000, Relaxed)
    }
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(self.0.fetch_add(1, Relaxed) as u128 + 1)
    }
}

struct Setting {
    log: GrowingLog,
    offloader: Offloader,
    ambient: Ticking,
    policy: Policy,
    requests: Arc<crate::store::Requests>,
}

impl Setting {
    fn new() -> Setting {
        let metered = MeteredStore::new(Arc::new(MemoryStore::new()));
        let requests = metered.requests();
        let folder = PartitionFolder::new("c", "t", "i", 0).unwrap();
        let offloader = Offloader::new(Arc::new(metered), folder, 1, 0, OffloadOptions::default());
        let (log, ambient, policy) = (GrowingLog::default(), Ticking::default(), Policy::default());
        Setting { log, offloader, ambient, policy, requests }
    }

    async fn until_idle(&mut self) {
        while self.offloader.step(&self.log, &self.policy, &self.ambient).await.unwrap() != Action::Idle {}
    }

    /// What so many segments cost, each round closing some of them.
    async fn cost(&mut self, rounds: u64, segments_per_round: u64) -> RequestCounts {
        // The first segment pays for the leadership: finding the head, and the sweep.
        self.log.grow();
        self.until_idle().await;
        let before = self.requests.counts();
        for _ in 0..rounds {
            for _ in 0..segments_per_round {
                self.log.grow();
            }
            self.until_idle().await;
        }
        let after = self.requests.counts();
        RequestCounts {
            puts: after.puts - before.puts,
            lists: after.lists - before.lists,
            gets: after.gets - before.gets,
            heads: after.heads - before.heads,
            ..after
        }
    }
}

#[tokio::test]
async fn a_segment_that_is_published_alone_costs_two_puts_and_five_gets() {
    let counts = Setting::new().cost(50, 1).await;
    assert_eq!((counts.puts + counts.lists, counts.gets + counts.heads), (2 * 50, 5 * 50), "{counts:?}");
}

#[tokio::test]
async fn segments_that_are_published_together_share_the_manifests_cost() {
    let counts = Setting::new().cost(5, 10).await;
    assert_eq!(
        (counts.puts + counts.lists, counts.gets + counts.heads),
        (50 + 5, 3 * 50 + 2 * 5),
        "{counts:?}"
    );
}

#[tokio::test]
async fn old_generations_go_at_the_cost_of_one_put_for_many() {
    let mut setting = Setting::new();
    let counts = setting.cost(400, 1).await;
    let removed = counts.deletes;
    assert!(removed > 128, "generations are removed: {counts:?}");
    let puts = counts.puts + counts.lists - 2 * 400;
    assert!(puts <= 400 / Policy::default().remove_generations + 1, "{counts:?}");
}

#[tokio::test]
async fn a_log_start_that_retention_raises_goes_with_the_uploads() {
    // No object's grace ends in the test.
    let policy = Policy { retention_bytes: Some(3000), grace_ms: i64::MAX, ..Policy::default() };
    let counts = Setting { policy, ..Setting::new() }.cost(50, 1).await;
    assert_eq!((counts.puts + counts.lists, counts.gets + counts.heads), (2 * 50, 5 * 50), "{counts:?}");
}
