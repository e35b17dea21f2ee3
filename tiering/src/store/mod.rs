//! The seam to the object store: a small trait of our own, its errors, and the ways to stack it.
//!
//! What every implementation must hold:
//! - an object is there as a whole or not at all; a reader never sees a part of a `put`;
//! - `put_if_absent` has exactly one winner among racing creators;
//! - a `list` that starts after a `put` has returned names the object (S3 has been strongly consistent since 2020);
//! - after an error of `put`, `put_if_absent` or `delete` the effect may have happened or not: only reading tells.

mod adaptive;
mod buffers;
mod fault;
mod limited;
mod memory;
mod metered;
mod remote;
mod retry;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use adaptive::{AdaptiveStore, Concurrency};
pub use fault::{Fault, FaultStore, Faults};
pub use limited::{LimitedStore, RequestLimits, Sleeper};
pub use memory::MemoryStore;
pub use metered::{MeteredStore, RequestCounts, Requests};
pub use remote::{Encryption, InvalidStoreUrl, RemoteOptions, RemoteStore, StoreLocation};
pub use retry::{RetryPolicy, RetryStore};

/// A store that many share.
pub type SharedStore = Arc<dyn Store>;

/// The bytes of an object or a part, in pieces, so that a footer needs no copy of the log bytes before it.
pub type Pieces = Vec<Bytes>;

/// What a request was; for errors, counters and fault rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A whole object, replaced if it is there.
    Put,
    /// A whole object, refused if one is there.
    PutIfAbsent,
    /// All or a range of an object.
    Get,
    /// An object's length.
    Head,
    /// The names under a prefix.
    List,
    /// Removal of one object.
    Delete,
    /// The start of an upload in parts.
    BeginMultipart,
    /// One part.
    PutPart,
    /// The end of an upload in parts.
    CompleteMultipart,
}

/// Why a request did not do its work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No object has that key.
    #[error("the store has no object {key}")]
    NotFound {
        /// The object's key.
        key: String,
    },
    /// `put_if_absent` met an object.
    #[error("the store already has an object {key}")]
    AlreadyExists {
        /// The object's key.
        key: String,
    },
    /// Credentials, permissions or configuration: trying again does not help.
    #[error("the store refused {operation:?} of {key}: {reason}")]
    Refused {
        /// What was asked.
        operation: Operation,
        /// The object's key or prefix.
        key: String,
        /// The store's words.
        reason: String,
    },
    /// 5xx, SlowDown, time-out, reset: the request may have had its effect, and may be tried again.
    #[error("the store failed {operation:?} of {key}: {reason}")]
    Unavailable {
        /// What was asked.
        operation: Operation,
        /// The object's key or prefix.
        key: String,
        /// The store's words.
        reason: String,
    },
}

impl StoreError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        matches!(self, StoreError::Unavailable { .. })
    }
}

/// One name of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The object's key.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The end of an object and its whole length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suffix {
    /// Up to as many bytes as were asked for.
    pub bytes: Bytes,
    /// The object's length.
    pub object_bytes: u64,
}

/// An object store. Keys are `/`-separated, made by [`crate::layout`] alone.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// Writes an object, with a checksum that the store verifies where it can; replaces one that is there.
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError>;
    /// Writes an object unless there is one: `AlreadyExists`.
    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError>;
    /// The whole object.
    async fn get(&self, key: &str) -> Result<Bytes, StoreError>;
    /// Bytes of an object; shorter than asked only when the object ends before.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError>;
    /// The last bytes of an object.
    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError>;
    /// An object's length in bytes.
    async fn head(&self, key: &str) -> Result<u64, StoreError>;
    /// All names under a folder (`prefix` ends with `/`, or is empty) that sort after `start_after`, sorted.
    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError>;
    /// The first names of such a listing, at most so many: for walks through folders of any size.
    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        at_most: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let mut all = self.list(prefix, start_after).await?;
        all.truncate(at_most);
        Ok(all)
    }
    /// The names of the folders right under a folder (`prefix` ends with `/`, or is empty), sorted, without `/`. What lies
    /// in them is not listed.
    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError>;
    /// Removes an object; also Ok when there is none.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
    /// Starts an upload in parts. Nothing is visible before `complete`.
    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError>;
}

/// An upload in parts. Parts are numbered from 0 and are sent in order; a part that failed may be sent again.
#[async_trait]
pub trait PartUpload: Send {
    /// Sends a part: at least 5 MiB, but for the last one.
    async fn put_part(&mut self, index: usize, pieces: Pieces) -> Result<(), StoreError>;
    /// Makes the object visible.
    async fn complete(&mut self) -> Result<(), StoreError>;
    /// Gives the parts up.
    async fn abort(&mut self) -> Result<(), StoreError>;
}

/// The length of all pieces together.
#[must_use]
pub fn total_bytes(pieces: &[Bytes]) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

/// All pieces as one; without a copy where there is only one.
#[must_use]
pub fn concat(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [] => Bytes::new(),
        [one] => one.clone(),
        many => {
            let mut all = Vec::with_capacity(many.iter().map(Bytes::len).sum());
            for piece in many {
                all.extend_from_slice(piece);
            }
            all.into()
        }
    }
}

#[cfg(test)]
mod tests;
