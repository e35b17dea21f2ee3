//! Upload and download rates (`remote.log.manager.copy|fetch.max.bytes.per.second`), above the retries, so that a wait
//! for its turn counts against no time limit.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tiering::store::{Listed, PartUpload, Pieces, SharedStore, Store, StoreError, Suffix, total_bytes};
use tokio::sync::watch;

use crate::env::{Clock, MonoTime};

/// One direction's rate. A transfer starts when all that was granted before it would be through.
#[derive(Clone)]
pub(super) struct Pace {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    /// Told of another rate: who waits takes a new turn.
    changed: watch::Sender<()>,
}

struct State {
    bytes_per_second: u64,
    free_at: MonoTime,
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rate = self.state.lock().bytes_per_second;
        f.debug_struct("Pace").field("bytes_per_second", &rate).finish_non_exhaustive()
    }
}

impl Pace {
    /// A rate; at least one byte per second.
    pub(super) fn new(clock: Arc<dyn Clock>, bytes_per_second: u64) -> Pace {
        let state = State { bytes_per_second: bytes_per_second.max(1), free_at: MonoTime::default() };
        Pace { clock, state: Arc::new(Mutex::new(state)), changed: watch::Sender::new(()) }
    }

    /// Another rate from now on, also for those that wait; what was granted by the old one is forgotten.
    pub(super) fn set_rate(&self, bytes_per_second: u64) {
        let rate = bytes_per_second.max(1);
        {
            let mut state = self.state.lock();
            if state.bytes_per_second == rate {
                return;
            }
            *state = State { bytes_per_second: rate, free_at: self.clock.now() };
        }
        self.changed.send_replace(());
    }

    /// Waits for the turn of so many bytes.
    pub(super) async fn turn(&self, bytes: u64) {
        // Before the look at the rate: one that changes afterwards is noticed.
        let mut changed = self.changed.subscribe();
        loop {
            let now = self.clock.now();
            let start = {
                let mut state = self.state.lock();
                let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(state.bytes_per_second);
                let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
                let start = now.max(state.free_at);
                state.free_at = start + takes;
                start
            };
            if start <= now {
                return;
            }
            tokio::select! {
                () = self.clock.sleep_until(start) => return,
                told = changed.changed() => if told.is_err() { return },
            }
        }
    }
}

/// A store whose transfers keep to the rates.
#[derive(Debug)]
pub(super) struct PacedStore {
    pub(super) inner: SharedStore,
    pub(super) up: Pace,
    pub(super) down: Pace,
}

#[async_trait]
impl Store for PacedStore {
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.up.turn(total_bytes(&pieces)).await;
        self.inner.put(key, pieces).await
    }

    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        // Manifests: small, and others wait for them.
        self.inner.put_if_absent(key, pieces).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.inner.get(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.down.turn(range.end.saturating_sub(range.start)).await;
        self.inner.get_range(key, range).await
    }

    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        self.down.turn(bytes).await;
        self.inner.get_suffix(key, bytes).await
    }

    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(prefix, start_after).await
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        at_most: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        self.inner.list_page(prefix, start_after, at_most).await
    }

    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.inner.list_folders(prefix).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }

    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        let inner = self.inner.begin_multipart(key).await?;
        Ok(Box::new(PacedUpload { inner, up: self.up.clone() }))
    }
}

struct PacedUpload {
    inner: Box<dyn PartUpload>,
    up: Pace,
}

#[async_trait]
impl PartUpload for PacedUpload {
    async fn put_part(&mut self, index: usize, pieces: Pieces) -> Result<(), StoreError> {
        self.up.turn(total_bytes(&pieces)).await;
        self.inner.put_part(index, pieces).await
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<(), StoreError> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::env::sim::ManualClock;

    #[test]
    fn transfers_start_no_faster_than_the_rate() {
        let clock = Arc::new(ManualClock::new(0));
        let pace = Pace::new(clock.clone(), 1000);
        assert!(pace.turn(500).now_or_never().is_some(), "the first starts at once");
        let mut second = Box::pin(pace.turn(250));
        let mut third = Box::pin(pace.turn(1));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_millis(500));
        assert!(second.as_mut().now_or_never().is_some());
        assert!(third.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_millis(250));
        assert!(third.as_mut().now_or_never().is_some());
    }

    #[test]
    fn another_rate_counts_from_now_on() {
        let clock = Arc::new(ManualClock::new(0));
        let pace = Pace::new(clock.clone(), 1);
        assert!(pace.turn(1_000_000).now_or_never().is_some());
        assert!(pace.turn(1).now_or_never().is_none(), "the control");
        pace.set_rate(1_000_000_000);
        assert!(pace.turn(1).now_or_never().is_some());
    }

    #[test]
    fn another_rate_wakes_those_that_wait_and_they_keep_to_it() {
        let clock = Arc::new(ManualClock::new(0));
        let pace = Pace::new(clock.clone(), 1);
        assert!(pace.turn(1_000_000).now_or_never().is_some());
        let mut second = Box::pin(pace.turn(1000));
        let mut third = Box::pin(pace.turn(1));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none(), "both would wait for days");
        pace.set_rate(1000);
        assert!(second.as_mut().now_or_never().is_some(), "the first of them starts");
        assert!(third.as_mut().now_or_never().is_none(), "and takes a second at the new rate");
        clock.advance(Duration::from_secs(1));
        assert!(third.as_mut().now_or_never().is_some());
    }

    #[test]
    fn without_a_bound_nothing_waits() {
        let pace = Pace::new(Arc::new(ManualClock::new(0)), i64::MAX.cast_unsigned());
        for _ in 0..1000 {
            assert!(pace.turn(1 << 30).now_or_never().is_some());
        }
    }
}
