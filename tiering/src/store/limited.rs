//! A limit in time for every request, on the caller's clock: what stalls must not stall for good, and what is only slow must get
//! through. So what is sent has time by its size, and the time begins with the request itself: put it under the gate that
//! requests wait at ([`AdaptiveStore`](super::AdaptiveStore)), which then counts what has run out of time as a failure.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{BoxFuture, Either, select};

use super::{Listed, Operation, PartUpload, Pieces, SharedStore, Store, StoreError, Suffix, total_bytes};

/// The seam to time: completes after the duration.
pub trait Sleeper: Send + Sync + 'static {
    /// Sleeps on the caller's clock.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// How long a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// One that sends nothing.
    pub answer: Duration,
    /// One that sends an object or a part, besides the time for its bytes.
    pub sending: Duration,
    /// The slowest rate that an upload gets through at.
    pub slowest_bytes_per_second: u64,
}

impl Default for RequestLimits {
    fn default() -> Self {
        RequestLimits {
            answer: Duration::from_secs(60),
            sending: Duration::from_secs(30),
            slowest_bytes_per_second: 128 << 10,
        }
    }
}

impl RequestLimits {
    fn sending(self, pieces: &Pieces) -> Duration {
        let millis = total_bytes(pieces).saturating_mul(1000) / self.slowest_bytes_per_second.max(1);
        self.sending + Duration::from_millis(millis)
    }
}

#[derive(Clone)]
struct Limiter {
    limits: RequestLimits,
    sleeper: Arc<dyn Sleeper>,
}

impl Limiter {
    async fn within<T>(
        &self,
        limit: Duration,
        operation: Operation,
        key: &str,
        request: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match select(Box::pin(request), self.sleeper.sleep(limit)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => Err(StoreError::Unavailable {
                operation,
                key: key.to_owned(),
                reason: format!("no answer in {limit:?}"),
            }),
        }
    }

    async fn answer<T>(
        &self,
        operation: Operation,
        key: &str,
        request: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.within(self.limits.answer, operation, key, request).await
    }
}

/// A store that does not keep anybody waiting for good.
#[derive(Clone)]
pub struct LimitedStore {
    inner: SharedStore,
    limiter: Limiter,
}

impl std::fmt::Debug for LimitedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LimitedStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl LimitedStore {
    /// Limits requests to `inner`, by the clock behind `sleeper`.
    #[must_use]
    pub fn new(inner: SharedStore, limits: RequestLimits, sleeper: Arc<dyn Sleeper>) -> Self {
        LimitedStore { inner, limiter: Limiter { limits, sleeper } }
    }
}

#[async_trait]
impl Store for LimitedStore {
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        let limit = self.limiter.limits.sending(&pieces);
        self.limiter.within(limit, Operation::Put, key, self.inner.put(key, pieces)).await
    }

    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        let limit = self.limiter.limits.sending(&pieces);
        self.limiter.within(limit, Operation::PutIfAbsent, key, self.inner.put_if_absent(key, pieces)).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.limiter.answer(Operation::Get, key, self.inner.get(key)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.limiter.answer(Operation::Get, key, self.inner.get_range(key, range)).await
    }

    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        self.limiter.answer(Operation::Get, key, self.inner.get_suffix(key, bytes)).await
    }

    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        self.limiter.answer(Operation::Head, key, self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        self.limiter.answer(Operation::List, prefix, self.inner.list(prefix, start_after)).await
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        at_most: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let request = self.inner.list_page(prefix, start_after, at_most);
        self.limiter.answer(Operation::List, prefix, request).await
    }

    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.limiter.answer(Operation::List, prefix, self.inner.list_folders(prefix)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.limiter.answer(Operation::Delete, key, self.inner.delete(key)).await
    }

    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        let request = self.inner.begin_multipart(key);
        let inner = self.limiter.answer(Operation::BeginMultipart, key, request).await?;
        Ok(Box::new(LimitedUpload { key: key.to_owned(), inner, limiter: self.limiter.clone() }))
    }
}

struct LimitedUpload {
    key: String,
    inner: Box<dyn PartUpload>,
    limiter: Limiter,
}

#[async_trait]
impl PartUpload for LimitedUpload {
    async fn put_part(&mut self, index: usize, pieces: Pieces) -> Result<(), StoreError> {
        let limit = self.limiter.limits.sending(&pieces);
        let request = self.inner.put_part(index, pieces);
        self.limiter.within(limit, Operation::PutPart, &self.key, request).await
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        self.limiter.answer(Operation::CompleteMultipart, &self.key, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<(), StoreError> {
        self.limiter.answer(Operation::Delete, &self.key, self.inner.abort()).await
    }
}
