//! As many requests at once as the store bears: more by one for each round of successes, half as many after a failure
//! (AIMD, as TCP does it). A store that says SlowDown gets what it asks for, and what it can bear afterwards.
//!
//! Reads and writes have gates of their own, so that uploads which are slowed down hold no read back; and what is put if absent
//! has one, since manifests are small and somebody may wait for them.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use super::{Listed, PartUpload, Pieces, SharedStore, Store, StoreError, Suffix};

/// Requests at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// At first, and never fewer than one.
    pub first: u32,
    /// At most.
    pub most: u32,
}

#[derive(Debug)]
struct State {
    /// In thousandths of a request.
    limit: u64,
    running: u64,
    /// Failures of requests that began before the last one was counted are of the same cause.
    era: u64,
}

/// A bound on what runs at once.
#[derive(Debug)]
struct Gate {
    state: Mutex<State>,
    freed: Notify,
    most: u64,
}

const ONE: u64 = 1000;

impl Gate {
    fn new(concurrency: Concurrency) -> Arc<Gate> {
        let most = u64::from(concurrency.most.max(1)) * ONE;
        let limit = (u64::from(concurrency.first.max(1)) * ONE).min(most);
        let state = Mutex::new(State { limit, running: 0, era: 0 });
        Arc::new(Gate { state, freed: Notify::new(), most })
    }

    // Numbers only: they are good also after a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limit(&self) -> u64 {
        self.lock().limit / ONE
    }

    async fn enter(self: &Arc<Gate>) -> Turn {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.lock();
                if (state.running + 1) * ONE <= state.limit.max(ONE) {
                    state.running += 1;
                    return Turn { gate: self.clone(), era: state.era };
                }
            }
            freed.await;
        }
    }

    async fn run<T>(
        self: &Arc<Gate>,
        request: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let turn = self.enter().await;
        let answer = request.await;
        match &answer {
            Err(StoreError::Unavailable { .. }) => turn.failed(),
            // Any other answer shows a store that keeps up.
            _ => turn.answered(),
        }
        answer
    }
}

/// One request's place. It is given back when the request is given up, too.
struct Turn {
    gate: Arc<Gate>,
    era: u64,
}

impl Turn {
    fn answered(&self) {
        let mut state = self.gate.lock();
        let more = ONE * ONE / state.limit.max(ONE);
        state.limit = (state.limit + more).min(self.gate.most);
    }

    fn failed(&self) {
        let mut state = self.gate.lock();
        if state.era == self.era {
            state.era += 1;
            state.limit = (state.limit / 2).max(ONE);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.gate.lock().running -= 1;
        // More may fit, not only one: each that wakes looks for itself.
        self.gate.freed.notify_waiters();
    }
}

/// A store that is asked as much at once as it bears.
#[derive(Debug)]
pub struct AdaptiveStore {
    inner: SharedStore,
    reads: Arc<Gate>,
    writes: Arc<Gate>,
    creates: Arc<Gate>,
}

impl AdaptiveStore {
    /// Bounds requests to `inner`. Put it under the retries, so that a pause holds no place.
    #[must_use]
    pub fn new(inner: SharedStore, reads: Concurrency, writes: Concurrency) -> AdaptiveStore {
        let [reads, writes, creates] = [reads, writes, writes].map(Gate::new);
        AdaptiveStore { inner, reads, writes, creates }
    }

    /// How many reads and writes may run at once now.
    #[must_use]
    pub fn limits(&self) -> (u64, u64) {
        (self.reads.limit(), self.writes.limit())
    }
}

#[async_trait]
impl Store for AdaptiveStore {
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.writes.run(self.inner.put(key, pieces)).await
    }

    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.creates.run(self.inner.put_if_absent(key, pieces)).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.reads.run(self.inner.get(key)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.reads.run(self.inner.get_range(key, range)).await
    }

    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        self.reads.run(self.inner.get_suffix(key, bytes)).await
    }

    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        self.reads.run(self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        self.reads.run(self.inner.list(prefix, start_after)).await
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        at_most: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        self.reads.run(self.inner.list_page(prefix, start_after, at_most)).await
    }

    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.reads.run(self.inner.list_folders(prefix)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.writes.run(self.inner.delete(key)).await
    }

    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        let inner = self.writes.run(self.inner.begin_multipart(key)).await?;
        Ok(Box::new(AdaptiveUpload { inner, writes: self.writes.clone() }))
    }
}

struct AdaptiveUpload {
    inner: Box<dyn PartUpload>,
    writes: Arc<Gate>,
}

#[async_trait]
impl PartUpload for AdaptiveUpload {
    async fn put_part(&mut self, index: usize, pieces: Pieces) -> Result<(), StoreError> {
        self.writes.run(self.inner.put_part(index, pieces)).await
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        self.writes.run(self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<(), StoreError> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::store::{MemoryStore, Operation};

    const FOUR: Concurrency = Concurrency { first: 4, most: 6 };

    fn slow_down() -> StoreError {
        StoreError::Unavailable {
            operation: Operation::Put,
            key: "k".to_owned(),
            reason: "SlowDown".to_owned(),
        }
    }

    #[tokio::test]
    async fn no_more_run_at_once_than_the_store_bears() {
        let gate = Gate::new(FOUR);
        let turns: Vec<Turn> = (0..4).filter_map(|_| gate.enter().now_or_never()).collect();
        assert_eq!(turns.len(), 4);
        let mut fifth = Box::pin(gate.enter());
        assert!(fifth.as_mut().now_or_never().is_none());
        drop(turns);
        assert!(fifth.as_mut().now_or_never().is_some(), "a place that is given back is taken");
    }

    #[tokio::test]
    async fn a_failure_halves_and_successes_raise_by_one_a_round() {
        let gate = Gate::new(FOUR);
        gate.run(async { Err::<(), _>(slow_down()) }).await.unwrap_err();
        assert_eq!(gate.limit(), 2);
        for _ in 0..2 {
            gate.run(async { Err::<(), _>(slow_down()) }).await.unwrap_err();
        }
        assert_eq!(gate.limit(), 1, "one is always let through");
        gate.run(async { Ok(()) }).await.unwrap();
        assert_eq!(gate.limit(), 2);
        for _ in 0..3 {
            gate.run(async { Ok(()) }).await.unwrap();
        }
        assert_eq!(gate.limit(), 3);
        for _ in 0..100 {
            gate.run(async { Ok(()) }).await.unwrap();
        }
        assert_eq!(gate.limit(), 6);
    }

    #[tokio::test]
    async fn failures_of_one_moment_count_once() {
        let gate = Gate::new(FOUR);
        let (a, b) = (gate.enter().await, gate.enter().await);
        a.failed();
        b.failed();
        assert_eq!(gate.limit(), 2);
    }

    #[tokio::test]
    async fn what_is_put_if_absent_waits_for_no_upload() {
        let memory = Arc::new(MemoryStore::new());
        let store = AdaptiveStore::new(memory, FOUR, Concurrency { first: 1, most: 1 });
        let upload = store.writes.enter().now_or_never();
        assert!(upload.is_some() && store.put("segment", vec![]).now_or_never().is_none(), "the control");
        store.put_if_absent("manifest", vec![]).now_or_never().expect("it has a place of its own").unwrap();
    }

    #[tokio::test]
    async fn what_is_missing_is_an_answer_and_a_request_that_is_given_up_gives_its_place_back() {
        let gate = Gate::new(Concurrency { first: 1, most: 1 });
        let missing = StoreError::NotFound { key: "k".to_owned() };
        assert!(gate.run(async { Err::<(), _>(missing) }).await.is_err());
        assert_eq!(gate.limit(), 1);
        let mut stalled = Box::pin(gate.run(std::future::pending::<Result<(), StoreError>>()));
        assert!(stalled.as_mut().now_or_never().is_none());
        drop(stalled);
        assert!(gate.enter().now_or_never().is_some());
    }
}
