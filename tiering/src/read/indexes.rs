//! What readers keep in memory to find their way: footers, manifests, archives of older rows. Each kind has a bound in
//! bytes, loads an entry once for all who wait for it, and counts.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use moka::notification::RemovalCause;

use super::ReadError;

/// What one kind of entries was asked for so far, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexCounts {
    /// Entries that were there, or on their way for somebody else.
    pub hits: u64,
    /// Entries that the store was asked for.
    pub misses: u64,
    /// Entries that went for room.
    pub evictions: u64,
    /// Bytes in memory.
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
    /// Counted here: the cache's own sum is as old as its last clean-up.
    bytes: AtomicU64,
}

/// One kind of entries. Clones share them.
pub(super) struct Indexes<K, V> {
    entries: moka::future::Cache<K, Arc<V>>,
    weigh: fn(&V) -> usize,
    counters: Arc<Counters>,
}

impl<K, V> fmt::Debug for Indexes<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indexes").field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl<K, V> Clone for Indexes<K, V> {
    fn clone(&self) -> Self {
        Indexes { entries: self.entries.clone(), weigh: self.weigh, counters: self.counters.clone() }
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, V: Send + Sync + 'static> Indexes<K, V> {
    pub(super) fn new(max_bytes: u64, weigh: fn(&V) -> usize) -> Self {
        let counters: Arc<Counters> = Arc::default();
        let evicted = counters.clone();
        let entries = moka::future::Cache::builder()
            .max_capacity(max_bytes)
            .weigher(move |_: &K, entry: &Arc<V>| u32::try_from(weigh(entry)).unwrap_or(u32::MAX))
            .eviction_listener(move |_, entry: Arc<V>, cause| {
                evicted.bytes.fetch_sub(weigh(&entry) as u64, Relaxed);
                if cause == RemovalCause::Size {
                    evicted.evictions.fetch_add(1, Relaxed);
                }
            })
            .build();
        Indexes { entries, weigh, counters }
    }

    /// An entry that is there; nothing is counted.
    pub(super) async fn get(&self, key: &K) -> Option<Arc<V>> {
        self.entries.get(key).await
    }

    /// Counts an entry that `get` gave and that was of use.
    pub(super) fn count_hit(&self) {
        self.counters.hits.fetch_add(1, Relaxed);
    }

    /// The entry; `load` runs once for all who ask for it meanwhile.
    pub(super) async fn get_or_load(
        &self,
        key: K,
        load: impl Future<Output = Result<Arc<V>, ReadError>>,
    ) -> Result<Arc<V>, ReadError> {
        let mut loads = false;
        let load = async {
            loads = true;
            self.counters.misses.fetch_add(1, Relaxed);
            let loaded = load.await?;
            self.count_bytes(&loaded);
            Ok(loaded)
        };
        let loaded = self.entries.try_get_with(key, load).await;
        if !loads && loaded.is_ok() {
            self.count_hit();
        }
        loaded.map_err(|error: Arc<ReadError>| (*error).clone())
    }

    pub(super) async fn insert(&self, key: K, entry: Arc<V>) {
        self.count_bytes(&entry);
        self.entries.insert(key, entry).await;
    }

    fn count_bytes(&self, entry: &V) {
        self.counters.bytes.fetch_add((self.weigh)(entry) as u64, Relaxed);
    }

    pub(super) async fn invalidate(&self, key: &K) {
        self.entries.invalidate(key).await;
    }

    /// Waits until what is too much is gone.
    #[cfg(test)]
    pub(super) async fn settle(&self) {
        self.entries.run_pending_tasks().await;
    }

    pub(super) fn counts(&self) -> IndexCounts {
        IndexCounts {
            hits: self.counters.hits.load(Relaxed),
            misses: self.counters.misses.load(Relaxed),
            evictions: self.counters.evictions.load(Relaxed),
            bytes: self.counters.bytes.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized() -> Indexes<u32, Vec<u8>> {
        Indexes::new(1000, Vec::len)
    }

    #[tokio::test]
    async fn entries_weigh_their_bytes_and_the_bound_holds() {
        let indexes = sized();
        for key in 0..50 {
            let load = async { Ok(Arc::new(vec![0; 100])) };
            assert_eq!(indexes.get_or_load(key, load).await.unwrap().len(), 100);
        }
        indexes.settle().await;
        let counts = indexes.counts();
        assert!(counts.bytes <= 1000 && counts.bytes > 0, "{counts:?}");
        assert_eq!(counts.evictions, 50 - counts.bytes / 100);
        assert_eq!((counts.hits, counts.misses), (0, 50));
        assert_eq!(counts.bytes, indexes.entries.weighted_size());
        // What is replaced or taken away is not counted any more.
        let kept = *indexes.entries.iter().next().unwrap().0;
        indexes.insert(kept, Arc::new(vec![0; 10])).await;
        indexes.settle().await;
        assert_eq!(indexes.counts().bytes, counts.bytes - 90);
        indexes.invalidate(&kept).await;
        indexes.settle().await;
        assert_eq!(indexes.counts().bytes, counts.bytes - 100);
        // The control: fifty that weigh nothing stay all.
        let light = sized();
        for key in 0..50 {
            light.insert(key, Arc::default()).await;
        }
        light.settle().await;
        assert_eq!((light.entries.entry_count(), light.counts().evictions), (50, 0));
    }

    #[tokio::test]
    async fn what_weighs_more_than_the_bound_is_given_and_not_kept() {
        let indexes = sized();
        let loaded = indexes.get_or_load(1, async { Ok(Arc::new(vec![0; 1001])) }).await;
        assert_eq!(loaded.unwrap().len(), 1001);
        indexes.settle().await;
        assert!(indexes.get(&1).await.is_none());
        assert_eq!(indexes.counts().bytes, 0);
    }

    #[tokio::test]
    async fn all_who_wait_share_one_load_and_a_failed_one_is_not_kept() {
        let indexes = sized();
        let (go, gate) = tokio::sync::watch::channel(false);
        let load = |outcome: Result<Vec<u8>, ReadError>| {
            let mut gate = gate.clone();
            async move {
                gate.wait_for(|open| *open).await.expect("the sender is held");
                outcome.map(Arc::new)
            }
        };
        let waiting = (0..20).map(|_| indexes.get_or_load(1, load(Err(ReadError::Stopped))));
        let open = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            go.send_replace(true);
        };
        let (failed, ()) = tokio::join!(futures::future::join_all(waiting), open);
        assert!(failed.iter().all(|outcome| *outcome == Err(ReadError::Stopped)));
        assert_eq!(indexes.counts().misses, 1);
        let waiting = (0..20).map(|_| indexes.get_or_load(1, load(Ok(vec![0; 7]))));
        assert!(futures::future::join_all(waiting).await.iter().all(Result::is_ok));
        let counts = indexes.counts();
        assert_eq!((counts.hits, counts.misses), (19, 2));
    }
}
