//! A store in memory, for tests and for `esker dev` without a folder: one map behind a lock, so put-if-absent is real.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Listed, PartUpload, Pieces, Store, StoreError, Suffix, concat};

type Objects = BTreeMap<String, Bytes>;

/// Objects in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    objects: Arc<Mutex<Objects>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        MemoryStore::default()
    }

    /// All objects, for the oracle of a test.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, Bytes> {
        self.lock().clone()
    }

    // A panic between two map operations leaves the map as it was: the data is good also after one.
    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object(&self, key: &str) -> Result<Bytes, StoreError> {
        self.lock().get(key).cloned().ok_or_else(|| StoreError::NotFound { key: key.to_owned() })
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.lock().insert(key.to_owned(), concat(&pieces));
        Ok(())
    }

    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        let mut objects = self.lock();
        if objects.contains_key(key) {
            return Err(StoreError::AlreadyExists { key: key.to_owned() });
        }
        objects.insert(key.to_owned(), concat(&pieces));
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.object(key)
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let object = self.object(key)?;
        let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(object.len());
        let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
        Ok(object.slice(start..end))
    }

    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        let object = self.object(key)?;
        let start = object.len().saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(Suffix { object_bytes: object.len() as u64, bytes: object.slice(start..) })
    }

    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        Ok(self.object(key)?.len() as u64)
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        let objects = self.lock();
        Ok(objects
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| start_after.is_none_or(|after| key.as_str() > after))
            .map(|(key, object)| Listed { key: key.clone(), bytes: object.len() as u64 })
            .collect())
    }

    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let objects = self.lock();
        let keys = objects.range(prefix.to_owned()..).map_while(|(key, _)| key.strip_prefix(prefix));
        let mut folders: Vec<String> =
            keys.filter_map(|rest| Some(rest.split_once('/')?.0.to_owned())).collect();
        folders.dedup();
        Ok(folders)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.lock().remove(key);
        Ok(())
    }

    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        Ok(Box::new(MemoryUpload { store: self.clone(), key: key.to_owned(), parts: BTreeMap::new() }))
    }
}

struct MemoryUpload {
    store: MemoryStore,
    key: String,
    parts: BTreeMap<usize, Bytes>,
}

#[async_trait]
impl PartUpload for MemoryUpload {
    async fn put_part(&mut self, index: usize, pieces: Pieces) -> Result<(), StoreError> {
        self.parts.insert(index, concat(&pieces));
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        let parts: Vec<Bytes> = self.parts.values().cloned().collect();
        self.store.put(&self.key, parts).await
    }

    async fn abort(&mut self) -> Result<(), StoreError> {
        self.parts.clear();
        Ok(())
    }
}
