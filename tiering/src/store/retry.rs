//! Retries with exponential backoff and a limit per attempt, on the caller's clock.
//!
//! Only `Unavailable` is tried again. A repeated `put_if_absent` whose first reply was lost answers `AlreadyExists`:
//! the publisher tells its own object from another's by the writer's uuid.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{BoxFuture, Either, select};

use super::{Listed, Operation, PartUpload, Pieces, SharedStore, Store, StoreError, Suffix};

/// The seam to time: completes after the duration.
pub trait Sleeper: Send + Sync + 'static {
    /// Sleeps on the caller's clock.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// How often and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// The first pause; it doubles.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// An attempt that takes longer counts as failed: a stalled upload must not stall for good.
    pub attempt_limit: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            attempts: 4,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            attempt_limit: Duration::from_secs(60),
        }
    }
}

#[derive(Clone)]
struct Retries {
    policy: RetryPolicy,
    sleeper: Arc<dyn Sleeper>,
}

impl Retries {
    async fn limited<T>(
        &self,
        operation: Operation,
        key: &str,
        request: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let limit = self.sleeper.sleep(self.policy.attempt_limit);
        match select(Box::pin(request), limit).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => Err(StoreError::Unavailable {
                operation,
                key: key.to_owned(),
                reason: format!("no answer in {:?}", self.policy.attempt_limit),
            }),
        }
    }

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
        operation: Operation,
        key: &str,
        mut request: impl FnMut() -> F,
    ) -> Result<T, StoreError> {
        let mut attempt = 1;
        loop {
            match self.limited(operation, key, request()).await {
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
        self.retries.run(Operation::Put, key, || self.inner.put(key, pieces.clone())).await
    }

    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        let request = || self.inner.put_if_absent(key, pieces.clone());
        self.retries.run(Operation::PutIfAbsent, key, request).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.retries.run(Operation::Get, key, || self.inner.get(key)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.retries.run(Operation::Get, key, || self.inner.get_range(key, range.clone())).await
    }

    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        self.retries.run(Operation::Get, key, || self.inner.get_suffix(key, bytes)).await
    }

    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        self.retries.run(Operation::Head, key, || self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        self.retries.run(Operation::List, prefix, || self.inner.list(prefix, start_after)).await
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        at_most: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let request = || self.inner.list_page(prefix, start_after, at_most);
        self.retries.run(Operation::List, prefix, request).await
    }

    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.retries.run(Operation::List, prefix, || self.inner.list_folders(prefix)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.retries.run(Operation::Delete, key, || self.inner.delete(key)).await
    }

    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        let request = || self.inner.begin_multipart(key);
        let inner = self.retries.run(Operation::BeginMultipart, key, request).await?;
        Ok(Box::new(RetryUpload { key: key.to_owned(), inner, retries: self.retries.clone() }))
    }
}

struct RetryUpload {
    key: String,
    inner: Box<dyn PartUpload>,
    retries: Retries,
}

#[async_trait]
impl PartUpload for RetryUpload {
    async fn put_part(&mut self, index: usize, pieces: Pieces) -> Result<(), StoreError> {
        let mut attempt = 1;
        loop {
            let request = self.inner.put_part(index, pieces.clone());
            match self.retries.limited(Operation::PutPart, &self.key, request).await {
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
        self.retries.limited(Operation::CompleteMultipart, &self.key, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<(), StoreError> {
        self.inner.abort().await
    }
}
