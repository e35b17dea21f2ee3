//! What a segment's way to the tier costs in requests, by the classes that a store bills.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use super::super::*;
use super::led::Led;
use crate::store::{MemoryStore, MeteredStore, RequestCounts};

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
    log: Led,
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
        let (log, ambient, policy) = (Led::new(1, &[(1, 0)]), Ticking::default(), Policy::default());
        Setting { log, offloader, ambient, policy, requests }
    }

    async fn until_idle(&mut self) {
        while self.offloader.step(&self.log, &self.policy, &self.ambient).await.unwrap() != Action::Idle {}
    }

    /// What so many segments cost, each round closing some of them.
    async fn cost(&mut self, rounds: u64, segments_per_round: usize) -> RequestCounts {
        // The first segment pays for the leadership: finding the head, and the sweep.
        self.log.grow(1);
        self.until_idle().await;
        let before = self.requests.counts();
        for _ in 0..rounds {
            self.log.grow(segments_per_round);
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
    // With the grace of an object over in the test, and without.
    for grace_ms in [i64::MAX, 60_000] {
        let policy = Policy { retention_bytes: Some(3000), grace_ms, ..Policy::default() };
        let counts = Setting { policy, ..Setting::new() }.cost(50, 1).await;
        assert_eq!((counts.puts + counts.lists, counts.gets + counts.heads), (2 * 50, 5 * 50), "{counts:?}");
        assert_eq!(counts.deletes > 30, grace_ms == 60_000, "{counts:?}");
    }
}

#[tokio::test]
async fn what_expires_between_two_uploads_goes_with_the_next_one_or_after_a_while_with_all_that_has_expired()
{
    const ROUND: i64 = 1_000_000;
    let keeps = Some(5 * ROUND + ROUND / 4);
    let policy = Policy { retention_ms: keeps, expiry_ms: ROUND, ..Policy::default() };
    let mut setting = Setting { policy, ..Setting::new() };
    let mut before = setting.requests.counts();
    for round in 1..=60 {
        if round == 11 {
            before = setting.requests.counts();
        }
        setting.ambient.0.store(round * ROUND, Relaxed);
        setting.log.grow_at(1, round * ROUND);
        setting.until_idle().await;
        // Here the oldest one is too old.
        setting.ambient.0.store(round * ROUND + ROUND / 2, Relaxed);
        setting.until_idle().await;
    }
    let after = setting.requests.counts();
    assert_eq!(after.puts + after.lists - before.puts - before.lists, 2 * 50, "{after:?}");
    assert!(after.deletes - before.deletes >= 48, "the objects go: {after:?}");
    // Nothing comes any more: all go, in one generation and not one each.
    let before = after;
    for round in 61..=80 {
        setting.ambient.0.store(round * ROUND, Relaxed);
        setting.until_idle().await;
    }
    let after = setting.requests.counts();
    assert!(after.puts - before.puts <= 6 && after.deletes > before.deletes + 4, "{before:?} {after:?}");
    assert!(setting.offloader.manifest().is_some_and(|manifest| manifest.live.is_empty()));
}
