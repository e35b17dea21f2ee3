//! A store that fails on purpose: the defences above it are tested with each way a real store goes wrong.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Listed, Operation, PartUpload, Pieces, SharedStore, Store, StoreError, Suffix};

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It works.
    None,
    /// It fails and has no effect.
    Fail,
    /// It has its effect, and the reply is lost.
    LoseReply,
    /// A write or delete is acknowledged and has no effect; a read works.
    LoseEffect,
    /// A read brings only the first half.
    Truncate,
    /// A read brings one byte changed, at this position modulo the length.
    Flip(usize),
}

/// Decides the fault of each request.
pub trait Faults: Send + Sync + std::fmt::Debug + 'static {
    /// Called once per request, before it.
    fn next(&self, operation: Operation, key: &str) -> Fault;
}

/// A store with faults.
#[derive(Debug, Clone)]
pub struct FaultStore {
    inner: SharedStore,
    faults: Arc<dyn Faults>,
}

impl FaultStore {
    /// Passes requests to `inner`, as `faults` allows.
    #[must_use]
    pub fn new(inner: SharedStore, faults: Arc<dyn Faults>) -> Self {
        FaultStore { inner, faults }
    }

    async fn apply(
        &self,
        operation: Operation,
        key: &str,
        effect: impl Future<Output = Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        match self.faults.next(operation, key) {
            Fault::None | Fault::Truncate | Fault::Flip(_) => effect.await,
            Fault::Fail => Err(injected(operation, key)),
            Fault::LoseReply => {
                // The outcome is lost with the reply.
                let _ = effect.await;
                Err(injected(operation, key))
            }
            Fault::LoseEffect => Ok(()),
        }
    }

    async fn read(
        &self,
        operation: Operation,
        key: &str,
        answer: impl Future<Output = Result<Bytes, StoreError>>,
    ) -> Result<Bytes, StoreError> {
        match self.faults.next(operation, key) {
            Fault::None | Fault::LoseEffect => answer.await,
            Fault::Fail | Fault::LoseReply => Err(injected(operation, key)),
            Fault::Truncate => answer.await.map(|bytes| bytes.slice(..bytes.len() / 2)),
            Fault::Flip(position) => answer.await.map(|bytes| flipped(&bytes, position)),
        }
    }
}

fn injected(operation: Operation, key: &str) -> StoreError {
    StoreError::Unavailable { operation, key: key.to_owned(), reason: "an injected fault".to_owned() }
}

fn flipped(bytes: &Bytes, position: usize) -> Bytes {
    let mut copy = bytes.to_vec();
    if !copy.is_empty() {
        let at = position % copy.len();
        copy[at] ^= 0x40;
    }
    copy.into()
}

#[async_trait]
impl Store for FaultStore {
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.apply(Operation::Put, key, self.inner.put(key, pieces)).await
    }

    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.apply(Operation::PutIfAbsent, key, self.inner.put_if_absent(key, pieces)).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.read(Operation::Get, key, self.inner.get(key)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.read(Operation::Get, key, self.inner.get_range(key, range)).await
    }

    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        let suffix = self.inner.get_suffix(key, bytes).await?;
        let object_bytes = suffix.object_bytes;
        let bytes = self.read(Operation::Get, key, async { Ok(suffix.bytes) }).await?;
        Ok(Suffix { bytes, object_bytes })
    }

    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        match self.faults.next(Operation::Head, key) {
            Fault::Fail | Fault::LoseReply => Err(injected(Operation::Head, key)),
            _ => self.inner.head(key).await,
        }
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        match self.faults.next(Operation::List, prefix) {
            Fault::Fail | Fault::LoseReply => Err(injected(Operation::List, prefix)),
            _ => self.inner.list(prefix, start_after).await,
        }
    }

    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        match self.faults.next(Operation::List, prefix) {
            Fault::Fail | Fault::LoseReply => Err(injected(Operation::List, prefix)),
            _ => self.inner.list_folders(prefix).await,
        }
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.apply(Operation::Delete, key, self.inner.delete(key)).await
    }

    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        match self.faults.next(Operation::BeginMultipart, key) {
            Fault::Fail | Fault::LoseReply => Err(injected(Operation::BeginMultipart, key)),
            _ => {
                let inner = self.inner.begin_multipart(key).await?;
                Ok(Box::new(FaultUpload { store: self.clone(), key: key.to_owned(), inner }))
            }
        }
    }
}

struct FaultUpload {
    store: FaultStore,
    key: String,
    inner: Box<dyn PartUpload>,
}

#[async_trait]
impl PartUpload for FaultUpload {
    async fn put_part(&mut self, index: usize, pieces: Pieces) -> Result<(), StoreError> {
        self.store.apply(Operation::PutPart, &self.key, self.inner.put_part(index, pieces)).await
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        self.store.apply(Operation::CompleteMultipart, &self.key, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<(), StoreError> {
        self.inner.abort().await
    }
}
