//! Counts requests, bytes and errors per kind: what a store bills, and what the table of tiers shows.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Listed, PartUpload, Pieces, SharedStore, Store, StoreError, Suffix, total_bytes};

/// The counters of one store; they only grow.
#[derive(Debug, Default)]
pub struct Requests {
    puts: AtomicU64,
    gets: AtomicU64,
    heads: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
    errors: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    /// Of failed requests, by kind and code; there are few codes.
    failed: Mutex<BTreeMap<(&'static str, String), u64>>,
}

/// The kinds of requests, as they are counted.
#[derive(Clone, Copy)]
enum Kind {
    Put,
    Get,
    Head,
    List,
    Delete,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Put => "put",
            Kind::Get => "get",
            Kind::Head => "head",
            Kind::List => "list",
            Kind::Delete => "delete",
        }
    }
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Objects, parts, and the begins and ends of multipart uploads.
    pub puts: u64,
    /// Whole or ranged reads.
    pub gets: u64,
    /// Length requests.
    pub heads: u64,
    /// Listings.
    pub lists: u64,
    /// Removals.
    pub deletes: u64,
    /// Requests that failed, but for `NotFound` and `AlreadyExists`, which are answers.
    pub errors: u64,
    /// Bytes sent.
    pub bytes_up: u64,
    /// Bytes received.
    pub bytes_down: u64,
}

impl Requests {
    /// The counters now.
    #[must_use]
    pub fn counts(&self) -> RequestCounts {
        RequestCounts {
            puts: self.puts.load(Relaxed),
            gets: self.gets.load(Relaxed),
            heads: self.heads.load(Relaxed),
            lists: self.lists.load(Relaxed),
            deletes: self.deletes.load(Relaxed),
            errors: self.errors.load(Relaxed),
            bytes_up: self.bytes_up.load(Relaxed),
            bytes_down: self.bytes_down.load(Relaxed),
        }
    }

    /// Failed requests by kind (`put`, `get`, `head`, `list`, `delete`) and code: the HTTP status where the store gave one, else
    /// `refused` or `unavailable`.
    ///
    /// # Panics
    /// Never: the lock is held for moments that cannot panic.
    #[must_use]
    pub fn failed(&self) -> BTreeMap<(&'static str, String), u64> {
        self.failed.lock().expect("no panic while it is held").clone()
    }

    fn note<T>(&self, kind: Kind, result: Result<T, StoreError>) -> Result<T, StoreError> {
        let counter = match kind {
            Kind::Put => &self.puts,
            Kind::Get => &self.gets,
            Kind::Head => &self.heads,
            Kind::List => &self.lists,
            Kind::Delete => &self.deletes,
        };
        counter.fetch_add(1, Relaxed);
        if let Err(StoreError::Unavailable { reason, .. } | StoreError::Refused { reason, .. }) = &result {
            self.errors.fetch_add(1, Relaxed);
            let refused = matches!(result, Err(StoreError::Refused { .. }));
            *self
                .failed
                .lock()
                .expect("no panic while it is held")
                .entry((kind.name(), code(refused, reason)))
                .or_default() += 1;
        }
        result
    }

    fn note_get(&self, result: Result<Bytes, StoreError>) -> Result<Bytes, StoreError> {
        if let Ok(bytes) = &result {
            self.bytes_down.fetch_add(bytes.len() as u64, Relaxed);
        }
        self.note(Kind::Get, result)
    }

    fn note_put(&self, bytes: u64, result: Result<(), StoreError>) -> Result<(), StoreError> {
        self.bytes_up.fetch_add(bytes, Relaxed);
        self.note(Kind::Put, result)
    }
}

/// The code of a failure: the status that the store's words name, of 4xx and 5xx.
fn code(refused: bool, reason: &str) -> String {
    let after = ["status code: ", "status: ", "status "].iter().find_map(|mark| reason.split_once(mark));
    let status = after
        .and_then(|(_, rest)| rest.get(..3))
        .filter(|s| s.parse().is_ok_and(|n: u16| (400..600).contains(&n)));
    let otherwise = if refused { "refused" } else { "unavailable" };
    status.unwrap_or(otherwise).to_owned()
}

/// A store that counts. Put it under the retries, so that each attempt counts.
#[derive(Debug)]
pub struct MeteredStore {
    inner: SharedStore,
    requests: Arc<Requests>,
}

impl MeteredStore {
    /// Counts what passes to `inner`.
    #[must_use]
    pub fn new(inner: SharedStore) -> Self {
        MeteredStore { inner, requests: Arc::default() }
    }

    /// The counters, shared with this store.
    #[must_use]
    pub fn requests(&self) -> Arc<Requests> {
        self.requests.clone()
    }
}

#[async_trait]
impl Store for MeteredStore {
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        let bytes = total_bytes(&pieces);
        self.requests.note_put(bytes, self.inner.put(key, pieces).await)
    }

    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        let bytes = total_bytes(&pieces);
        self.requests.note_put(bytes, self.inner.put_if_absent(key, pieces).await)
    }

    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.requests.note_get(self.inner.get(key).await)
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.requests.note_get(self.inner.get_range(key, range).await)
    }

    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        let result = self.inner.get_suffix(key, bytes).await;
        if let Ok(suffix) = &result {
            self.requests.bytes_down.fetch_add(suffix.bytes.len() as u64, Relaxed);
        }
        self.requests.note(Kind::Get, result)
    }

    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        self.requests.note(Kind::Head, self.inner.head(key).await)
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        self.requests.note(Kind::List, self.inner.list(prefix, start_after).await)
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        at_most: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let listed = self.inner.list_page(prefix, start_after, at_most).await;
        self.requests.note(Kind::List, listed)
    }

    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.requests.note(Kind::List, self.inner.list_folders(prefix).await)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.requests.note(Kind::Delete, self.inner.delete(key).await)
    }

    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        let upload = self.requests.note(Kind::Put, self.inner.begin_multipart(key).await)?;
        Ok(Box::new(MeteredUpload { inner: upload, requests: self.requests.clone() }))
    }
}

struct MeteredUpload {
    inner: Box<dyn PartUpload>,
    requests: Arc<Requests>,
}

#[async_trait]
impl PartUpload for MeteredUpload {
    async fn put_part(&mut self, index: usize, pieces: Pieces) -> Result<(), StoreError> {
        let bytes = total_bytes(&pieces);
        self.requests.note_put(bytes, self.inner.put_part(index, pieces).await)
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        self.requests.note_put(0, self.inner.complete().await)
    }

    async fn abort(&mut self) -> Result<(), StoreError> {
        self.requests.note(Kind::Delete, self.inner.abort().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Fault, FaultStore, Faults, MemoryStore, Operation};

    #[derive(Debug)]
    struct All;

    impl Faults for All {
        fn next(&self, _: Operation, _: &str) -> Fault {
            Fault::Fail
        }
    }

    #[tokio::test]
    async fn what_failed_is_told_by_kind_and_answers_are_no_failures() {
        let memory = Arc::new(MemoryStore::new());
        let failing = MeteredStore::new(Arc::new(FaultStore::new(memory.clone(), Arc::new(All))));
        assert!(failing.put("a", vec![]).await.is_err());
        assert!(failing.put_if_absent("a", vec![]).await.is_err());
        assert!(failing.get("a").await.is_err());
        assert!(failing.head("a").await.is_err());
        assert!(failing.list("", None).await.is_err());
        assert!(failing.delete("a").await.is_err());
        assert!(failing.begin_multipart("a").await.is_err());
        let of = |kind, count| ((kind, "unavailable".to_owned()), count);
        let expected = [of("delete", 1), of("get", 1), of("head", 1), of("list", 1), of("put", 3)];
        assert_eq!(failing.requests().failed(), BTreeMap::from(expected));
        let sound = MeteredStore::new(memory);
        assert!(matches!(sound.get("a").await, Err(StoreError::NotFound { .. })));
        assert_eq!(sound.requests().failed(), BTreeMap::new());
    }
}
