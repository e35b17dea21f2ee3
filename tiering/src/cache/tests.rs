//! The chunk cache over disks in memory: what stays, what goes, who waits.

use std::sync::atomic::AtomicUsize;

use tokio::sync::Notify;

use super::*;

/// A folder of chunk files.
#[derive(Debug, Default)]
pub(crate) struct MemoryDisk(pub(crate) Mutex<BTreeMap<String, Bytes>>);

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
    let left: Vec<_> = lock(&disk.0).keys().filter_map(|n| ChunkId::parse(n)).map(|id| id.number).collect();
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
    let left: Vec<_> = lock(&disk.0).keys().filter_map(|n| ChunkId::parse(n)).map(|id| id.number).collect();
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
    assert!(brought_again(6, 4800).await > 100, "the control: with three quarters of the memory they do not");
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

#[tokio::test]
async fn a_chunk_that_lost_its_room_before_it_was_written_leaves_no_file() {
    let disk = Arc::new(SlowDisk::default());
    let limits = CacheLimits { memory_bytes: 0, disk_bytes: 300 };
    let cache = ChunkCache::open(limits, Some(disk.clone()), Handle::current()).await.unwrap();
    for number in 1..=9 {
        let (id, info, bytes) = chunk(number);
        cache.get(id, info, async move { Ok(bytes) }).await.unwrap();
    }
    for _ in 0..9 {
        disk.1.notify_one();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(cache.shared.unwritten.load(Relaxed), 0, "all is written");
    let left: Vec<_> =
        lock(&disk.0.0).keys().filter_map(|name| ChunkId::parse(name)).map(|id| id.number).collect();
    assert_eq!((left, cache.disk_bytes()), (vec![7, 8, 9], 300));
}
