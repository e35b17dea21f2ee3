//! How long the store takes, by kind of request.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tiering::store::{Listed, PartUpload, Pieces, SharedStore, Store, StoreError, Suffix};

use crate::env::metrics::{Histogram, STORE_SECONDS};
use crate::env::{Clock, Env};

/// A store of which each request is timed. Put it under the retries, so that each attempt is one.
#[derive(Debug)]
pub(super) struct TimedStore {
    inner: SharedStore,
    times: Times,
}

#[derive(Clone)]
struct Times {
    clock: Arc<dyn Clock>,
    put: Histogram,
    get: Histogram,
    head: Histogram,
    list: Histogram,
    delete: Histogram,
}

impl std::fmt::Debug for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Times").finish_non_exhaustive()
    }
}

impl Times {
    async fn of<T>(&self, kind: &Histogram, request: impl Future<Output = T>) -> T {
        let begun = self.clock.now();
        let answer = request.await;
        kind.record(self.clock.now().since(begun));
        answer
    }
}

impl TimedStore {
    /// Times what passes to `inner`.
    pub(super) fn new(env: &Env, inner: SharedStore) -> TimedStore {
        let of = |kind| env.metrics.histogram(STORE_SECONDS, &[kind]);
        let times = Times {
            clock: env.clock.clone(),
            put: of("put"),
            get: of("get"),
            head: of("head"),
            list: of("list"),
            delete: of("delete"),
        };
        TimedStore { inner, times }
    }
}

#[async_trait]
impl Store for TimedStore {
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.times.of(&self.times.put, self.inner.put(key, pieces)).await
    }

    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.times.of(&self.times.put, self.inner.put_if_absent(key, pieces)).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.times.of(&self.times.get, self.inner.get(key)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.times.of(&self.times.get, self.inner.get_range(key, range)).await
    }

    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        self.times.of(&self.times.get, self.inner.get_suffix(key, bytes)).await
    }

    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        self.times.of(&self.times.head, self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        self.times.of(&self.times.list, self.inner.list(prefix, start_after)).await
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        at_most: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        self.times.of(&self.times.list, self.inner.list_page(prefix, start_after, at_most)).await
    }

    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.times.of(&self.times.list, self.inner.list_folders(prefix)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.times.of(&self.times.delete, self.inner.delete(key)).await
    }

    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        let inner = self.times.of(&self.times.put, self.inner.begin_multipart(key)).await?;
        Ok(Box::new(TimedUpload { inner, times: self.times.clone() }))
    }
}

struct TimedUpload {
    inner: Box<dyn PartUpload>,
    times: Times,
}

#[async_trait]
impl PartUpload for TimedUpload {
    async fn put_part(&mut self, index: usize, pieces: Pieces) -> Result<(), StoreError> {
        self.times.of(&self.times.put, self.inner.put_part(index, pieces)).await
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        self.times.of(&self.times.put, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<(), StoreError> {
        self.times.of(&self.times.delete, self.inner.abort()).await
    }
}

#[cfg(test)]
mod tests {
    use tiering::store::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn each_kind_of_request_is_timed_failed_ones_too() {
        let env = Env::real();
        let store = TimedStore::new(&env, Arc::new(MemoryStore::new()));
        store.put("a/b", vec![Bytes::from_static(b"one")]).await.unwrap();
        store.put_if_absent("a/b", vec![Bytes::from_static(b"two")]).await.unwrap_err();
        store.get("a/b").await.unwrap();
        store.get_range("a/none", 0..1).await.unwrap_err();
        store.get_suffix("a/b", 2).await.unwrap();
        store.head("a/b").await.unwrap();
        store.list("a/", None).await.unwrap();
        store.list_page("a/", None, 1).await.unwrap();
        store.list_folders("").await.unwrap();
        let mut upload = store.begin_multipart("a/c").await.unwrap();
        upload.put_part(0, vec![Bytes::from_static(b"three")]).await.unwrap();
        upload.complete().await.unwrap();
        store.begin_multipart("a/d").await.unwrap().abort().await.unwrap();
        store.delete("a/b").await.unwrap();
        let counts = ["delete", "get", "head", "list", "put"]
            .map(|kind| (kind, env.metrics.histogram(STORE_SECONDS, &[kind]).distribution().count()));
        let expected = [("delete", 2), ("get", 3), ("head", 1), ("list", 3), ("put", 6)];
        assert_eq!(counts, expected);
    }
}
