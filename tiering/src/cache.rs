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
    /// The chunk's number in the footer's table, or the footer itself.
    pub number: u32,
}

impl ChunkId {
    /// The footer of an object, which is kept beside its chunks: without it none of them can be read.
    #[must_use]
    pub fn footer(object: Uuid) -> ChunkId {
        ChunkId { object, number: u32::MAX }
    }

    /// Whether it is the footer.
    #[must_use]
    pub fn is_footer(self) -> bool {
        self.number == u32::MAX
    }

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

    /// A footer's bytes, checked. Readers keep it decoded, so it stays in memory only where there are no files.
    pub(crate) async fn get_footer<F>(
        &self,
        object: Uuid,
        footer: Chunk,
        fetch: F,
    ) -> Result<Bytes, ReadError>
    where
        F: Future<Output = Result<Bytes, ReadError>> + Send + 'static,
    {
        let id = ChunkId::footer(object);
        if let Some(bytes) = self.shared.memory.get(&id).await {
            return Ok(bytes);
        }
        self.start(id, footer, fetch).await
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
                Ok(_) if id.is_footer() && shared.disk.is_some() => {}
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
            self.counters.disk_hits.fetch_add(u64::from(!id.is_footer()), Relaxed);
            return Ok(bytes);
        }
        self.counters.misses.fetch_add(u64::from(!id.is_footer()), Relaxed);
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
            let stays = lock(&shared.files).entries.contains_key(&id);
            match written {
                Ok(()) if stays => {}
                // Its room went to others while it waited for the disk, where there was nothing to remove then.
                Ok(()) => {
                    if let Err(error) = disk.remove(&id.file_name()).await {
                        tracing::warn!(chunk = id.file_name(), %error, "a chunk file can't be removed");
                    }
                }
                Err(error) => {
                    tracing::warn!(chunk = id.file_name(), %error, "a chunk file can't be written");
                    shared.drop_file(&disk, id).await;
                }
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
pub(crate) mod tests;
