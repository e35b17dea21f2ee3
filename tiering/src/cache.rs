//! The chunk cache: memory first, then files on local NVMe, then the store.
//!
//! Memory is left by what was used longest ago, whatever was used how often: what is read ahead has not been used yet, and
//! must not be refused for that. What waits there to be read has a budget ([`CacheLimits::ahead_bytes`]), so that readers who
//! run ahead do not drive each other's chunks out. A file is written beside the answer; when more waits to be written than
//! `UNWRITTEN_BYTES`, a chunk is not kept, and nobody waits.
//!
//! Room on disk is reserved before a download starts, by removing what was used longest ago; files survive a restart, and
//! so does the order of their use (in a file of its own, now and then); a file whose CRC does not match is dropped and
//! fetched again. A fill is a task of its own: a reader that goes away
//! does not abort it, and readers of the same chunk share it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use moka::policy::EvictionPolicy;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::object::{self, Chunk};
use crate::read::ReadError;

/// The folder of chunk files. Names are flat.
#[async_trait]
pub trait CacheDisk: Send + Sync + std::fmt::Debug + 'static {
    /// Names and lengths of all files.
    async fn list(&self) -> io::Result<Vec<(String, u64)>>;
    /// A whole file.
    async fn read(&self, name: &str) -> io::Result<Bytes>;
    /// Creates or replaces a file. A torn one is found by its CRC: nothing needs to be synced.
    async fn write(&self, name: &str, bytes: Bytes) -> io::Result<()>;
    /// Removes a file; also Ok when it is not there.
    async fn remove(&self, name: &str) -> io::Result<()>;
}

/// A chunk of an object. Objects are never overwritten, so this names its bytes for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    /// The object's uuid.
    pub object: Uuid,
    /// The chunk's number in the footer's table.
    pub number: u32,
}

impl ChunkId {
    fn file_name(self) -> String {
        format!("{}-{:05}.chunk", self.object.simple(), self.number)
    }

    fn parse(name: &str) -> Option<ChunkId> {
        let (object, number) = name.strip_suffix(".chunk")?.split_once('-')?;
        Some(ChunkId { object: Uuid::try_parse(object).ok()?, number: number.parse().ok()? })
    }
}

/// How much the cache may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Chunks in memory, in bytes.
    pub memory_bytes: u64,
    /// Chunk files (`tier.cache.bytes`).
    pub disk_bytes: u64,
}

impl CacheLimits {
    /// Chunks in memory that were read ahead and not yet asked for, in bytes. While one waits, as many more are brought as wait
    /// before it, and as many are read: with more than a third of the memory it would have left before its turn.
    #[must_use]
    pub fn ahead_bytes(&self) -> u64 {
        self.memory_bytes / 3
    }
}

/// What the cache did; the numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Served from memory.
    pub memory_hits: u64,
    /// Served from a chunk file.
    pub disk_hits: u64,
    /// Neither in memory nor in a file.
    pub misses: u64,
    /// Of those, what another broker had; the rest came from the store.
    pub peer_hits: u64,
    /// Chunk files removed for room.
    pub evictions: u64,
    /// Chunks that got no file because too much was waiting to be written.
    pub unkept: u64,
    /// Chunk files dropped for a wrong CRC, or that could not be read or written.
    pub bad_files: u64,
}

#[derive(Debug, Default)]
struct Counters {
    memory_hits: AtomicU64,
    disk_hits: AtomicU64,
    misses: AtomicU64,
    peer_hits: AtomicU64,
    evictions: AtomicU64,
    unkept: AtomicU64,
    bad_files: AtomicU64,
}

/// Bytes that may wait to be written to chunk files.
const UNWRITTEN_BYTES: u64 = 16 << 20;

type Fill = Shared<BoxFuture<'static, Result<Bytes, ReadError>>>;

/// The cache; clones share it.
#[derive(Clone)]
pub struct ChunkCache {
    shared: Arc<SharedCache>,
}

struct SharedCache {
    memory: moka::future::Cache<ChunkId, Bytes>,
    disk: Option<Arc<dyn CacheDisk>>,
    files: Mutex<Files>,
    ahead: Mutex<Ahead>,
    unwritten: AtomicU64,
    fills: Mutex<HashMap<ChunkId, Fill>>,
    counters: Counters,
    runtime: Handle,
}

impl std::fmt::Debug for ChunkCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkCache").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

// A panic between two map operations leaves the maps as they were: the data is good also after one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ChunkCache {
    /// Opens the cache and takes over the chunk files that are there. Fills run on `runtime`, the cold one.
    ///
    /// # Errors
    /// When the folder can't be listed.
    pub async fn open(
        limits: CacheLimits,
        disk: Option<Arc<dyn CacheDisk>>,
        runtime: Handle,
    ) -> io::Result<ChunkCache> {
        let memory = moka::future::Cache::builder()
            .max_capacity(limits.memory_bytes)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_: &ChunkId, bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX))
            .build();
        let mut files = Files { limit: limits.disk_bytes, ..Files::default() };
        let mut gone = Vec::new();
        if let Some(disk) = &disk {
            let mut listed = disk.list().await?;
            listed.retain(|(name, _)| name != ORDER);
            // What was used after the order was last written down stands behind it: it is the newest.
            let order = disk.read(ORDER).await.unwrap_or_default();
            let order: HashMap<&[u8], usize> =
                order.split(|byte| *byte == b'\n').enumerate().map(|(at, name)| (name, at)).collect();
            listed.sort_by_key(|(name, _)| order.get(name.as_bytes()).copied().unwrap_or(usize::MAX));
            for (name, bytes) in listed {
                match ChunkId::parse(&name).map(|id| files.reserve(id, bytes)) {
                    Some(Some(evicted)) => gone.extend(evicted.into_iter().map(ChunkId::file_name)),
                    // Foreign, or larger than all the room there is.
                    Some(None) | None => gone.push(name),
                }
            }
            for name in gone {
                disk.remove(&name).await?;
            }
        }
        let counters = Counters::default();
        let fills = Mutex::default();
        let shared = SharedCache {
            memory,
            disk,
            files: Mutex::new(files),
            ahead: Mutex::new(Ahead { limit: limits.ahead_bytes(), ..Ahead::default() }),
            unwritten: AtomicU64::new(0),
            fills,
            counters,
            runtime,
        };
        Ok(ChunkCache { shared: Arc::new(shared) })
    }

    /// The counters now.
    #[must_use]
    pub fn counts(&self) -> CacheCounts {
        let counters = &self.shared.counters;
        CacheCounts {
            memory_hits: counters.memory_hits.load(Relaxed),
            disk_hits: counters.disk_hits.load(Relaxed),
            misses: counters.misses.load(Relaxed),
            peer_hits: counters.peer_hits.load(Relaxed),
            evictions: counters.evictions.load(Relaxed),
            unkept: counters.unkept.load(Relaxed),
            bad_files: counters.bad_files.load(Relaxed),
        }
    }

    /// How many bytes may be in memory that were read ahead and that nobody has asked for yet.
    #[must_use]
    pub fn ahead_bytes(&self) -> u64 {
        lock(&self.shared.ahead).limit
    }

    /// The bytes of all chunk files.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        lock(&self.shared.files).used
    }

    /// A chunk's bytes, checked. `fetch` asks the store, and checks what comes.
    ///
    /// # Errors
    /// What `fetch` answers.
    pub async fn get<F>(&self, id: ChunkId, chunk: Chunk, fetch: F) -> Result<Bytes, ReadError>
    where
        F: Future<Output = Result<Bytes, ReadError>> + Send + 'static,
    {
        lock(&self.shared.ahead).read(id, u64::from(chunk.bytes));
        if let Some(bytes) = self.shared.memory.get(&id).await {
            self.shared.counters.memory_hits.fetch_add(1, Relaxed);
            return Ok(bytes);
        }
        self.start(id, chunk, fetch).await
    }

    /// Starts to bring a chunk into memory that is about to be asked for, unless it is there or on its way.
    pub fn prepare<F>(&self, id: ChunkId, chunk: Chunk, fetch: F)
    where
        F: Future<Output = Result<Bytes, ReadError>> + Send + 'static,
    {
        if !self.shared.memory.contains_key(&id) {
            drop(self.start(id, chunk, fetch));
        }
    }

    /// The same for one that may be asked for later, if there is room for more of those; false when there is none.
    pub fn read_ahead<F>(&self, id: ChunkId, chunk: Chunk, fetch: F) -> bool
    where
        F: Future<Output = Result<Bytes, ReadError>> + Send + 'static,
    {
        if !self.shared.memory.contains_key(&id) && !lock(&self.shared.fills).contains_key(&id) {
            if !lock(&self.shared.ahead).reserve(id, u64::from(chunk.bytes)) {
                return false;
            }
            drop(self.start(id, chunk, fetch));
        }
        true
    }

    /// A chunk's bytes if they are here, checked; with `join` also those that are on their way. Asks nobody else.
    pub async fn here(&self, id: ChunkId, chunk: &Chunk, join: bool) -> Option<Bytes> {
        if let Some(bytes) = self.shared.memory.get(&id).await {
            return Some(bytes);
        }
        let fill = lock(&self.shared.fills).get(&id).cloned();
        match fill {
            Some(fill) if join => fill.await.ok(),
            _ => self.shared.read_file(id, chunk).await,
        }
    }

    pub(crate) fn count_peer_hit(&self) {
        self.shared.counters.peer_hits.fetch_add(1, Relaxed);
    }

    /// Runs what nobody waits for beside the fills.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.runtime.spawn(task);
    }

    /// Joins the fill of this chunk, or starts it.
    fn start<F>(&self, id: ChunkId, chunk: Chunk, fetch: F) -> Fill
    where
        F: Future<Output = Result<Bytes, ReadError>> + Send + 'static,
    {
        let mut fills = lock(&self.shared.fills);
        if let Some(fill) = fills.get(&id) {
            return fill.clone();
        }
        let shared = self.shared.clone();
        let task = self.shared.runtime.spawn(async move {
            let bytes = match shared.memory.get(&id).await {
                // Another fill has ended since the reader looked: one GET per chunk is enough.
                Some(bytes) => Ok(bytes),
                None => shared.fill(id, chunk, fetch).await,
            };
            match &bytes {
                Ok(bytes) => {
                    shared.memory.insert(id, bytes.clone()).await;
                    // What leaves for it leaves at once: dozens of chunks above the bound would be many bytes.
                    shared.memory.run_pending_tasks().await;
                }
                Err(_) => lock(&shared.ahead).give_up(id),
            }
            lock(&shared.fills).remove(&id);
            bytes
        });
        // A fill that panicked, or whose runtime ends, is a read that failed.
        let joined = async move { task.await.unwrap_or(Err(ReadError::Stopped)) };
        let fill = joined.boxed().shared();
        fills.insert(id, fill.clone());
        fill
    }
}

impl SharedCache {
    async fn fill<F>(self: &Arc<Self>, id: ChunkId, chunk: Chunk, fetch: F) -> Result<Bytes, ReadError>
    where
        F: Future<Output = Result<Bytes, ReadError>> + Send + 'static,
    {
        if let Some(bytes) = self.read_file(id, &chunk).await {
            self.counters.disk_hits.fetch_add(1, Relaxed);
            return Ok(bytes);
        }
        self.counters.misses.fetch_add(1, Relaxed);
        let Some(disk) = self.disk.clone() else { return fetch.await };
        if self.unwritten.load(Relaxed) > UNWRITTEN_BYTES {
            self.counters.unkept.fetch_add(1, Relaxed);
            return fetch.await;
        }
        let Some(evicted) = lock(&self.files).reserve(id, u64::from(chunk.bytes)) else { return fetch.await };
        for old in evicted {
            self.counters.evictions.fetch_add(1, Relaxed);
            if let Err(error) = disk.remove(&old.file_name()).await {
                tracing::warn!(chunk = old.file_name(), %error, "a chunk file can't be removed");
            }
        }
        let fetched = fetch.await;
        match &fetched {
            Ok(bytes) => self.keep(disk, id, bytes.clone()),
            Err(_) => lock(&self.files).release(id),
        }
        fetched
    }

    /// Writes the file beside the answer, not before it.
    fn keep(self: &Arc<Self>, disk: Arc<dyn CacheDisk>, id: ChunkId, bytes: Bytes) {
        let shared = self.clone();
        let len = bytes.len() as u64;
        self.unwritten.fetch_add(len, Relaxed);
        self.runtime.spawn(async move {
            let written = disk.write(&id.file_name(), bytes).await;
            shared.unwritten.fetch_sub(len, Relaxed);
            if let Err(error) = written {
                tracing::warn!(chunk = id.file_name(), %error, "a chunk file can't be written");
                shared.drop_file(&disk, id).await;
            }
        });
    }

    async fn read_file(self: &Arc<Self>, id: ChunkId, chunk: &Chunk) -> Option<Bytes> {
        let disk = self.disk.as_ref()?;
        if !lock(&self.files).touch(id) {
            return None;
        }
        self.note_order(disk);
        match disk.read(&id.file_name()).await {
            Ok(bytes) if object::check_chunk(chunk, &bytes).is_ok() => Some(bytes),
            outcome => {
                let error = outcome.err().map(|error| error.to_string());
                tracing::warn!(chunk = id.file_name(), ?error, "a chunk file is bad: fetched again");
                self.drop_file(disk, id).await;
                None
            }
        }
    }

    /// Writes the order of use down, once in a while.
    fn note_order(self: &Arc<Self>, disk: &Arc<dyn CacheDisk>) {
        let Some(order) = lock(&self.files).order_to_note() else { return };
        let disk = disk.clone();
        self.runtime.spawn(async move {
            if let Err(error) = disk.write(ORDER, order.into()).await {
                tracing::warn!(%error, "the order of use of the chunk files can't be written");
            }
        });
    }

    async fn drop_file(&self, disk: &Arc<dyn CacheDisk>, id: ChunkId) {
        self.counters.bad_files.fetch_add(1, Relaxed);
        lock(&self.files).release(id);
        if let Err(error) = disk.remove(&id.file_name()).await {
            tracing::warn!(chunk = id.file_name(), %error, "a chunk file can't be removed");
        }
    }
}

/// Chunks that were read ahead and that nobody has asked for yet. A reader that has left leaves some behind: they count until
/// others have read as much as the bound.
#[derive(Debug, Default)]
struct Ahead {
    limit: u64,
    bytes: u64,
    /// Bytes that were asked for in all.
    read: u64,
    /// Each one's bytes, and what had been read in all when it was brought.
    unread: HashMap<ChunkId, (u64, u64)>,
    order: VecDeque<(u64, ChunkId)>,
}

impl Ahead {
    /// Takes room for a chunk; false when there is none.
    fn reserve(&mut self, id: ChunkId, bytes: u64) -> bool {
        while let Some((at, oldest)) = self.order.front().copied() {
            let is_current = self.unread.get(&oldest).is_some_and(|(_, since)| *since == at);
            if is_current && at + self.limit > self.read {
                break;
            }
            self.order.pop_front();
            if is_current {
                self.give_up(oldest);
            }
        }
        if self.bytes + bytes > self.limit {
            return false;
        }
        self.give_up(id);
        self.bytes += bytes;
        self.unread.insert(id, (bytes, self.read));
        self.order.push_back((self.read, id));
        true
    }

    /// A chunk was asked for.
    fn read(&mut self, id: ChunkId, bytes: u64) {
        self.read += bytes;
        self.give_up(id);
    }

    fn give_up(&mut self, id: ChunkId) {
        if let Some((bytes, _)) = self.unread.remove(&id) {
            self.bytes -= bytes;
        }
    }
}

/// The file that holds the names of the chunk files, longest unused first.
const ORDER: &str = "order.txt";
/// The order is written down after so many uses, or an eighth of the files.
const USES_PER_ORDER: usize = 64;

/// Which chunk files there are, or are about to be, by their last use.
#[derive(Debug, Default)]
struct Files {
    limit: u64,
    used: u64,
    next_use: u64,
    /// Uses since the order was last written down.
    unnoted: usize,
    entries: HashMap<ChunkId, (u64, u64)>,
    by_use: BTreeMap<u64, ChunkId>,
}

impl Files {
    /// Notes a use; false when the file is not there.
    fn touch(&mut self, id: ChunkId) -> bool {
        let Some((_, last_use)) = self.entries.get_mut(&id) else { return false };
        self.by_use.remove(last_use);
        *last_use = self.next_use;
        self.by_use.insert(self.next_use, id);
        self.next_use += 1;
        self.unnoted += 1;
        true
    }

    /// The names in their order, when it is time to write it down.
    fn order_to_note(&mut self) -> Option<String> {
        if self.unnoted < USES_PER_ORDER.max(self.entries.len() / 8) {
            return None;
        }
        self.unnoted = 0;
        let names: Vec<String> = self.by_use.values().map(|id| id.file_name()).collect();
        Some(names.join("\n"))
    }

    /// Makes room and takes it; returns what must go, or `None` when it would never fit.
    fn reserve(&mut self, id: ChunkId, bytes: u64) -> Option<Vec<ChunkId>> {
        self.release(id);
        if bytes > self.limit {
            return None;
        }
        let mut evicted = Vec::new();
        while self.used + bytes > self.limit {
            let Some((_, &oldest)) = self.by_use.first_key_value() else { break };
            self.release(oldest);
            evicted.push(oldest);
        }
        self.used += bytes;
        self.entries.insert(id, (bytes, self.next_use));
        self.by_use.insert(self.next_use, id);
        self.next_use += 1;
        Some(evicted)
    }

    fn release(&mut self, id: ChunkId) {
        if let Some((bytes, last_use)) = self.entries.remove(&id) {
            self.by_use.remove(&last_use);
            self.used -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Notify;

    use super::*;

    #[derive(Debug, Default)]
    struct MemoryDisk(Mutex<BTreeMap<String, Bytes>>);

    #[async_trait]
    impl CacheDisk for MemoryDisk {
        async fn list(&self) -> io::Result<Vec<(String, u64)>> {
            Ok(lock(&self.0).iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect())
        }
        async fn read(&self, name: &str) -> io::Result<Bytes> {
            lock(&self.0).get(name).cloned().ok_or(io::ErrorKind::NotFound.into())
        }
        async fn write(&self, name: &str, bytes: Bytes) -> io::Result<()> {
            lock(&self.0).insert(name.to_owned(), bytes);
            Ok(())
        }
        async fn remove(&self, name: &str) -> io::Result<()> {
            lock(&self.0).remove(name);
            Ok(())
        }
    }

    fn chunk(number: u32) -> (ChunkId, Chunk, Bytes) {
        let bytes = Bytes::from(vec![number as u8; 100]);
        let crc = crc32c::crc32c(&bytes);
        let id = ChunkId { object: Uuid::from_u128(5), number };
        (id, Chunk { position: u64::from(number) * 100, bytes: 100, crc, base: 0 }, bytes)
    }

    async fn open(disk: &Arc<MemoryDisk>, memory_bytes: u64, disk_bytes: u64) -> ChunkCache {
        let limits = CacheLimits { memory_bytes, disk_bytes };
        ChunkCache::open(limits, Some(disk.clone()), Handle::current()).await.unwrap()
    }

    async fn get(cache: &ChunkCache, number: u32) -> Bytes {
        let (id, chunk, bytes) = chunk(number);
        let got = cache.get(id, chunk, async move { Ok(bytes) }).await.unwrap();
        // Lets the write of the file run.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        got
    }

    async fn never() -> Result<Bytes, ReadError> {
        panic!("the store is not asked")
    }

    #[tokio::test]
    async fn a_chunk_is_fetched_once_and_survives_a_restart() {
        let disk = Arc::new(MemoryDisk::default());
        let cache = open(&disk, 1000, 1000).await;
        get(&cache, 1).await;
        let (id, info, bytes) = chunk(1);
        assert_eq!(cache.get(id, info, never()).await.unwrap(), bytes);
        let restarted = open(&disk, 1000, 1000).await;
        assert_eq!(restarted.get(id, info, never()).await.unwrap(), bytes);
        assert_eq!(restarted.counts().disk_hits, 1);
        assert_eq!(cache.counts(), CacheCounts { memory_hits: 1, misses: 1, ..CacheCounts::default() });
    }

    #[tokio::test]
    async fn a_chunk_file_that_rotted_is_dropped_and_fetched_again() {
        let disk = Arc::new(MemoryDisk::default());
        get(&open(&disk, 0, 1000).await, 1).await;
        for bytes in lock(&disk.0).values_mut() {
            *bytes = Bytes::from(vec![9; 100]);
        }
        let cache = open(&disk, 0, 1000).await;
        assert_eq!(get(&cache, 1).await, chunk(1).2);
        assert_eq!((cache.counts().bad_files, cache.counts().misses), (1, 1));
        assert_eq!(lock(&disk.0).values().next().unwrap(), &chunk(1).2);
    }

    #[tokio::test]
    async fn the_files_used_longest_ago_make_room_before_a_download() {
        let disk = Arc::new(MemoryDisk::default());
        let cache = open(&disk, 0, 300).await;
        for number in [1, 2, 3, 1, 4] {
            get(&cache, number).await;
            assert!(cache.disk_bytes() <= 300);
            assert_eq!(lock(&disk.0).len() as u64 * 100, cache.disk_bytes());
        }
        let left: Vec<_> =
            lock(&disk.0).keys().filter_map(|n| ChunkId::parse(n)).map(|id| id.number).collect();
        assert_eq!(left, [1, 3, 4]);
        assert_eq!(cache.counts().evictions, 1);
    }

    #[tokio::test]
    async fn after_a_restart_too_the_files_used_longest_ago_go_first() {
        let disk = Arc::new(MemoryDisk::default());
        let cache = open(&disk, 0, 300).await;
        for number in [3, 1, 2] {
            get(&cache, number).await;
        }
        // Used often enough for the order to be written down: 2 is the one unused.
        for _ in 0..USES_PER_ORDER {
            get(&cache, 1).await;
            get(&cache, 3).await;
        }
        let restarted = open(&disk, 0, 300).await;
        assert_eq!(restarted.disk_bytes(), 300, "the order takes no room of the chunks");
        get(&restarted, 4).await;
        let left: Vec<_> =
            lock(&disk.0).keys().filter_map(|n| ChunkId::parse(n)).map(|id| id.number).collect();
        assert_eq!(left, [1, 3, 4]);
    }

    #[tokio::test]
    async fn what_is_read_ahead_stays_until_it_is_read_however_often_older_chunks_were() {
        let cache = open(&Arc::default(), 1000, 0).await;
        for number in 0..10 {
            for _ in 0..3 {
                get(&cache, number).await;
            }
        }
        let (id, info, bytes) = chunk(50);
        assert!(cache.read_ahead(id, info, async move { Ok(bytes) }));
        while !cache.shared.memory.contains_key(&id) {
            tokio::task::yield_now().await;
        }
        assert_eq!(cache.get(id, info, never()).await.unwrap(), chunk(50).2);
    }

    #[tokio::test]
    async fn readers_that_run_ahead_have_one_budget_and_what_a_reader_left_behind_counts_no_longer() {
        let cache = open(&Arc::default(), 1500, 0).await;
        let ahead = |number| {
            let (id, info, bytes) = chunk(number);
            cache.read_ahead(id, info, async move { Ok(bytes) })
        };
        assert!((0..5).all(ahead));
        assert!(!ahead(5), "a third of the memory");
        get(&cache, 0).await;
        assert!(ahead(5), "one was read");
        assert!(!ahead(6));
        assert!(ahead(3), "what is there, or on its way, needs no room");
        // Nobody comes for those; others read on.
        for number in 20..26 {
            get(&cache, number).await;
        }
        assert!((30..35).all(ahead));
        assert!(!ahead(36));
    }

    /// How many chunks were brought a second time, where so many readers are run ahead of by `ahead` bytes in all.
    async fn brought_again(readers: u32, ahead: u64) -> u64 {
        let cache = open(&Arc::default(), 6400, 0).await;
        lock(&cache.shared.ahead).limit = ahead;
        let share = u32::try_from(ahead).unwrap() / 100 / readers;
        let mut wanted = std::collections::HashSet::new();
        for round in 0..60 {
            for reader in 0..readers {
                // Each read ends within a chunk, with which the next one begins.
                let first = reader * 1000 + round;
                for number in first..first + 2 + share {
                    let (id, info, bytes) = chunk(number);
                    if number < first + 2 {
                        get(&cache, number).await;
                    } else if !cache.read_ahead(id, info, async move { Ok(bytes) }) {
                        break;
                    }
                    wanted.insert(number);
                }
            }
        }
        while !lock(&cache.shared.fills).is_empty() {
            tokio::task::yield_now().await;
        }
        cache.counts().misses - wanted.len() as u64
    }

    #[tokio::test]
    async fn readers_that_are_run_ahead_of_find_in_memory_what_was_brought_for_them() {
        let ahead = CacheLimits { memory_bytes: 6400, disk_bytes: 0 }.ahead_bytes();
        for readers in [1, 2, 6] {
            assert_eq!(brought_again(readers, ahead).await, 0, "{readers} readers");
        }
        assert!(
            brought_again(6, 4800).await > 100,
            "the control: with three quarters of the memory they do not"
        );
    }

    #[tokio::test]
    async fn a_chunk_that_could_not_be_brought_gives_its_room_ahead_back() {
        let cache = open(&Arc::default(), 300, 0).await;
        let (id, info, _) = chunk(1);
        assert!(cache.read_ahead(id, info, async { Err(ReadError::Stopped) }));
        while !lock(&cache.shared.fills).is_empty() {
            tokio::task::yield_now().await;
        }
        let (id, info, bytes) = chunk(2);
        assert!(cache.read_ahead(id, info, async move { Ok(bytes) }));
    }

    #[derive(Debug, Default)]
    struct SlowDisk(MemoryDisk, Arc<Notify>);

    #[async_trait]
    impl CacheDisk for SlowDisk {
        async fn list(&self) -> io::Result<Vec<(String, u64)>> {
            self.0.list().await
        }
        async fn read(&self, name: &str) -> io::Result<Bytes> {
            self.0.read(name).await
        }
        async fn write(&self, name: &str, bytes: Bytes) -> io::Result<()> {
            self.1.notified().await;
            self.0.write(name, bytes).await
        }
        async fn remove(&self, name: &str) -> io::Result<()> {
            self.0.remove(name).await
        }
    }

    #[tokio::test]
    async fn a_disk_that_does_not_keep_up_holds_no_reader_up_and_gets_no_more_than_it_takes() {
        let disk = Arc::new(SlowDisk::default());
        let limits = CacheLimits { memory_bytes: 0, disk_bytes: 1 << 40 };
        let cache = ChunkCache::open(limits, Some(disk.clone()), Handle::current()).await.unwrap();
        let large = Bytes::from(vec![3; 4 << 20]);
        let crc = crc32c::crc32c(&large);
        for number in 0..20 {
            let id = ChunkId { object: Uuid::from_u128(5), number };
            let info = Chunk { position: 0, bytes: 4 << 20, crc, base: 0 };
            let bytes = large.clone();
            assert_eq!(cache.get(id, info, async move { Ok(bytes) }).await.unwrap(), large);
        }
        assert!(cache.shared.unwritten.load(Relaxed) <= UNWRITTEN_BYTES + (4 << 20));
        assert_eq!(cache.counts().unkept, 15);
        assert_eq!(cache.disk_bytes(), 5 * (4 << 20));
        while cache.shared.unwritten.load(Relaxed) > 0 {
            disk.1.notify_one();
            tokio::task::yield_now().await;
        }
        assert_eq!(lock(&disk.0.0).len(), 5);
    }

    #[tokio::test]
    async fn readers_share_a_fill_and_one_that_leaves_does_not_abort_it() {
        let cache = open(&Arc::default(), 1000, 1000).await;
        let (fetches, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let reader = || {
            let (id, info, bytes) = chunk(1);
            let (fetches, gate, cache) = (fetches.clone(), gate.clone(), cache.clone());
            tokio::spawn(async move {
                let fetch = async move {
                    fetches.fetch_add(1, Relaxed);
                    gate.notified().await;
                    Ok(bytes)
                };
                cache.get(id, info, fetch).await
            })
        };
        let (first, second) = (reader(), reader());
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        first.abort();
        gate.notify_one();
        assert_eq!(second.await.unwrap().unwrap(), chunk(1).2);
        assert_eq!(fetches.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn a_failed_fetch_gives_its_room_back_and_may_be_tried_again() {
        let cache = open(&Arc::default(), 0, 100).await;
        let (id, info, _) = chunk(1);
        assert_eq!(cache.get(id, info, async { Err(ReadError::Stopped) }).await, Err(ReadError::Stopped));
        assert_eq!(cache.disk_bytes(), 0);
        assert_eq!(get(&cache, 1).await, chunk(1).2);
    }
}
