//! The world's store: it fails at random, lets others run before and after each request, and may lack a defence.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Defence, World};
use crate::store::{
    Fault, Faults, Listed, Operation, PartUpload, Pieces, SharedStore, Store, StoreError, Suffix,
};

/// Fails requests at random.
pub(super) struct RandomFaults(pub(super) World);

impl fmt::Debug for RandomFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RandomFaults")
    }
}

impl Faults for RandomFaults {
    fn next(&self, operation: Operation, key: &str) -> Fault {
        let mut state = self.0.lock().unwrap();
        if !state.faults || !state.random.one_in(8) {
            return Fault::None;
        }
        let fault = match (state.random.below(5), operation) {
            // A lost delete is an orphan of the current epoch: for a later leader to sweep.
            (0, Operation::Put | Operation::PutIfAbsent) => Fault::LoseEffect,
            (1, Operation::Get) => Fault::Flip(state.random.below(1 << 20)),
            (2, Operation::Get) => Fault::Truncate,
            (3, _) => Fault::Fail,
            _ => Fault::LoseReply,
        };
        state.note(format!("    {fault:?} on {operation:?} {}", key.rsplit('/').next().unwrap_or(key)));
        fault
    }
}

/// Lets another actor run before and after each request; and the broken stores of the controls.
#[derive(Debug)]
pub(super) struct Yielding {
    pub(super) inner: SharedStore,
    pub(super) defence: Defence,
    pub(super) sent: Mutex<BTreeMap<String, Bytes>>,
}

pub(super) async fn pause() {
    let mut yielded = false;
    std::future::poll_fn(move |context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Yielding {
    fn believed(&self, key: &str) -> Option<Bytes> {
        let segment = self.defence == Defence::NoVerification && key.ends_with(".seg");
        if segment { self.sent.lock().unwrap().get(key).cloned() } else { None }
    }
}

#[async_trait]
impl Store for Yielding {
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        pause().await;
        self.sent.lock().unwrap().insert(key.to_owned(), crate::store::concat(&pieces));
        let answer = self.inner.put(key, pieces).await;
        pause().await;
        answer
    }
    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        pause().await;
        let answer = match self.defence {
            Defence::NoPutIfAbsent => self.inner.put(key, pieces).await,
            _ => self.inner.put_if_absent(key, pieces).await,
        };
        pause().await;
        answer
    }
    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        pause().await;
        self.inner.get(key).await
    }
    async fn get_range(&self, key: &str, range: std::ops::Range<u64>) -> Result<Bytes, StoreError> {
        pause().await;
        match self.believed(key) {
            Some(sent) => Ok(sent.slice(range.start as usize..range.end as usize)),
            None => self.inner.get_range(key, range).await,
        }
    }
    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        self.inner.get_suffix(key, bytes).await
    }
    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        pause().await;
        match self.believed(key) {
            Some(sent) => Ok(sent.len() as u64),
            None => self.inner.head(key).await,
        }
    }
    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        pause().await;
        self.inner.list(prefix, start_after).await
    }
    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.inner.list_folders(prefix).await
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        pause().await;
        self.inner.delete(key).await
    }
    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        self.inner.begin_multipart(key).await
    }
}
