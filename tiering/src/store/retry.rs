//! Retries with exponential backoff, on the caller's clock.
//!
//! Only `Unavailable` is tried again. A repeated `put_if_absent` whose first reply was lost answers `AlreadyExists`:
//! the publisher tells its own object from another's by the writer's uuid.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Listed, PartUpload, Pieces, SharedStore, Sleeper, Store, StoreError, Suffix};

/// How often, and with which pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// The first pause; it doubles.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            attempts: 4,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
        }
    }
}

#[derive(Clone)]
struct Retries {
    policy: RetryPolicy,
    sleeper: Arc<dyn Sleeper>,
}

impl Retries {
    /// The pause before the next attempt, or `None` when the error is final.
    fn pause(&self, attempt: u32, error: &StoreError) -> Option<Duration> {
        if !error.is_retriable() || attempt >= self.policy.attempts {
            return None;
        }
        let factor = 1u32 << (attempt - 1).min(16);
        Some(self.policy.first_pause.saturating_mul(factor).min(self.policy.longest_pause))
    }

    async fn run<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        mut request: impl FnMut() -> F,
    ) -> Result<T, StoreError> {
        let mut attempt = 1;
        loop {
            match request().await {
                Ok(answer) => return Ok(answer),
                Err(error) => match self.pause(attempt, &error) {
                    Some(pause) => {
                        tracing::debug!(%error, attempt, "the store request is tried again");
                        self.sleeper.sleep(pause).await;
                        attempt += 1;
                    }
                    None => return Err(error),
                },
            }
        }
    }
}

/// A store that tries again.
#[derive(Clone)]
pub struct RetryStore {
    inner: SharedStore,
    retries: Retries,
}

impl std::fmt::Debug for RetryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetryStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl RetryStore {
    /// Retries requests to `inner` by `policy`, sleeping with `sleeper`.
    #[must_use]
    pub fn new(inner: SharedStore, policy: RetryPolicy, sleeper: Arc<dyn Sleeper>) -> Self {
        RetryStore { inner, retries: Retries { policy, sleeper } }
    }
}

#[async_trait]
impl Store for RetryStore {
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.retries.run(|| self.inner.put(key, pieces.clone())).await
    }

    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        let request = || self.inner.put_if_absent(key, pieces.clone());
        self.retries.run(request).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.retries.run(|| self.inner.get(key)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.retries.run(|| self.inner.get_range(key, range.clone())).await
    }

    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        self.retries.run(|| self.inner.get_suffix(key, bytes)).await
    }

    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        self.retries.run(|| self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        self.retries.run(|| self.inner.list(prefix, start_after)).await
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        at_most: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let request = || self.inner.list_page(prefix, start_after, at_most);
        self.retries.run(request).await
    }

    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.retries.run(|| self.inner.list_folders(prefix)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.retries.run(|| self.inner.delete(key)).await
    }

    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        let request = || self.inner.begin_multipart(key);
        let inner = self.retries.run(request).await?;
        Ok(Box::new(RetryUpload { inner, retries: self.retries.clone() }))
    }
}

struct RetryUpload {
    inner: Box<dyn PartUpload>,
    retries: Retries,
}

#[async_trait]
impl PartUpload for RetryUpload {
    async fn put_part(&mut self, index: usize, pieces: Pieces) -> Result<(), StoreError> {
        let mut attempt = 1;
        loop {
            match self.inner.put_part(index, pieces.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let Some(pause) = self.retries.pause(attempt, &error) else { return Err(error) };
                    self.retries.sleeper.sleep(pause).await;
                    attempt += 1;
                }
            }
        }
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        // Not repeated: after a lost reply the upload id is gone. The verify step finds out, a new upload is cheap and rare.
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<(), StoreError> {
        self.inner.abort().await
    }
}
