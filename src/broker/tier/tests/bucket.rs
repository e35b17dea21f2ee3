//! A bucket in memory that a test can slow down.

use std::ops::Range;

use async_trait::async_trait;
use tiering::store::{
    Listed, MemoryStore, PartUpload, Pieces, RemoteOptions, SharedStore, Store, StoreError, Suffix,
};
use tokio::sync::{Semaphore, watch};

use super::*;
use crate::broker::ObjectStores;

/// While it is shut a generation is written only when it opens again: its leader sleeps.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) inner: MemoryStore,
    pub(super) shut: watch::Sender<bool>,
    pub(super) asleep: watch::Sender<bool>,
    uploads: Arc<Semaphore>,
    /// Uploads of segments that wait.
    pub(super) held: watch::Sender<usize>,
}

impl Bucket {
    pub(super) fn new() -> Bucket {
        Bucket {
            inner: MemoryStore::new(),
            shut: watch::Sender::new(false),
            asleep: watch::Sender::new(false),
            uploads: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            held: watch::Sender::new(0),
        }
    }

    pub(super) fn count(&self, part: &str) -> usize {
        self.inner.snapshot().keys().filter(|key| key.contains(part)).count()
    }

    /// From now on segments go up only as `let_up` says.
    pub(super) fn hold_uploads(&self) {
        self.uploads.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// So many segments more go up.
    pub(super) fn let_up(&self, segments: usize) {
        self.uploads.add_permits(segments);
    }
}

impl ObjectStores for Bucket {
    fn open(&self, _: &StoreLocation, _: &RemoteOptions) -> Result<SharedStore, StoreError> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Store for Bucket {
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        if key.ends_with(".seg") {
            self.held.send_modify(|held| *held += 1);
            self.uploads.acquire().await.unwrap().forget();
            self.held.send_modify(|held| *held -= 1);
        }
        self.inner.put(key, pieces).await
    }
    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        if key.ends_with(".parquet") && *self.shut.borrow() {
            self.asleep.send_replace(true);
            let _ = self.shut.subscribe().wait_for(|shut| !shut).await;
            let put = self.inner.put_if_absent(key, pieces).await;
            self.asleep.send_replace(false);
            return put;
        }
        self.inner.put_if_absent(key, pieces).await
    }
    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.inner.get(key).await
    }
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.inner.get_range(key, range).await
    }
    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        self.inner.get_suffix(key, bytes).await
    }
    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        self.inner.head(key).await
    }
    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(prefix, start_after).await
    }
    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.inner.list_folders(prefix).await
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }
    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        self.inner.begin_multipart(key).await
    }
}
