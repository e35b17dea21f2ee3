//! Tests of reads through footers, chunks and caches.

use tokio::runtime::Handle;

use super::*;
use crate::cache::CacheLimits;
use crate::cache::tests::MemoryDisk;
use crate::layout::SegmentName;
use crate::manifest::Writer;
use crate::object::ObjectOptions;
use crate::store::{Fault, FaultStore, Faults, MemoryStore, MeteredStore, Operation, Store};
use crate::testing::{MemorySegment, batches};
use crate::upload::{Progress, UploadOptions, UploadRequest, upload};

fn folder() -> PartitionFolder {
    PartitionFolder::new("c", "t", "i", 0).unwrap()
}

const CHAIN: [EpochStart; 1] = [EpochStart { epoch: 2, start: 0 }];
const BATCH: usize = 161;

/// Three segments of 100 batches of ten records each; chunks of ten batches.
async fn tier(store: &dyn Store) -> (Manifest, Bytes) {
    let options = UploadOptions {
        object: ObjectOptions { chunk_bytes: 10 * BATCH as u32, index_interval_bytes: 500 },
        ..UploadOptions::default()
    };
    let mut live = Vec::new();
    for base in [0, 1000, 2000] {
        let request = UploadRequest {
            folder: folder(),
            name: SegmentName { base, leader_epoch: 2, uuid: Uuid::from_u128(base as u128 + 1) },
            end: base + 1000,
            chain: CHAIN.to_vec(),
            aborted_transactions: Bytes::new(),
            producer_snapshot: Bytes::new(),
        };
        let source = MemorySegment(batches(base, 100, 10, 2, 100));
        live.push(upload(store, &request, &source, &options, &Progress::default()).await.unwrap());
    }
    let writer = Writer { epoch: 2, uuid: Uuid::from_u128(1) };
    let manifest = Manifest { generation: 1, writer, log_start: 0, live, ..Manifest::default() };
    (manifest, batches(0, 300, 10, 2, 100))
}

async fn reader(store: SharedStore) -> Reader {
    let limits = CacheLimits { memory_bytes: 1 << 20, disk_bytes: 0 };
    let chunks = ChunkCache::open(limits, None, Handle::current()).await.unwrap();
    Reader::new(store, chunks, ReadLimits::default())
}

fn joined(slice: &TierSlice) -> Bytes {
    crate::store::concat(&slice.batches)
}

#[tokio::test]
async fn a_read_brings_whole_batches_from_the_one_that_holds_the_offset_on() {
    let store = Arc::new(MemoryStore::new());
    let (manifest, log) = tier(&*store).await;
    let reader = reader(store).await;
    for offset in [0, 5, 9, 10, 999, 1000, 1234, 2999] {
        let first = offset as usize / 10 * BATCH;
        for max_bytes in [0, 1, BATCH, 5 * BATCH + 1, 40 * BATCH, 150 * BATCH, usize::MAX] {
            let slice = reader.read(&folder(), &manifest, &CHAIN, offset, max_bytes).await.unwrap();
            let expected = max_bytes.saturating_add(first).min(log.len()).max(first + BATCH);
            let expected = log.slice(first..first + (expected - first) / BATCH * BATCH);
            assert_eq!(joined(&slice), expected, "{offset} {max_bytes}");
            assert_eq!(slice.next as usize, (first + expected.len()) / BATCH * 10);
        }
    }
    let beyond = reader.read(&folder(), &manifest, &CHAIN, 3000, 1).await;
    assert_eq!(beyond, Err(ReadError::NotInTier { offset: 3000 }));
}

#[tokio::test]
async fn a_sequential_reader_gets_everything_with_one_get_per_chunk_and_footer() {
    let memory = Arc::new(MemoryStore::new());
    let (manifest, log) = tier(&*memory).await;
    let metered = MeteredStore::new(memory);
    let requests = metered.requests();
    let reader = reader(Arc::new(metered)).await;
    let (mut offset, mut all) = (0, Vec::new());
    while offset < 3000 {
        let slice = reader.read(&folder(), &manifest, &CHAIN, offset, 7 * BATCH).await.unwrap();
        all.extend_from_slice(&joined(&slice));
        offset = slice.next;
    }
    assert_eq!(all, log);
    assert_eq!(requests.counts().gets, 3 * (1 + 10));
}

#[tokio::test]
async fn another_lineage_is_not_served() {
    let store = Arc::new(MemoryStore::new());
    let (manifest, _) = tier(&*store).await;
    let reader = reader(store).await;
    let chain = [EpochStart { epoch: 2, start: 0 }, EpochStart { epoch: 3, start: 1500 }];
    let slice = reader.read(&folder(), &manifest, &chain, 990, usize::MAX).await.unwrap();
    assert_eq!(slice.next, 1500, "the second segment is served up to the divergence");
    for offset in [1500, 2000] {
        let other = reader.read(&folder(), &manifest, &chain, offset, 1).await;
        assert_eq!(other, Err(ReadError::NotInTier { offset }));
    }
    let late = reader.first_batch_reaching(&folder(), &manifest, &chain, 15_000, 0).await;
    assert_eq!(late, Ok(None));
}

/// An object that begins in the middle of a local segment lists all of that one's aborted transactions, also those whose markers
/// lie in the object before. A client that counts them would skip a later committed one.
#[tokio::test]
async fn an_aborted_transaction_is_told_once_although_two_objects_list_it() {
    let entry = |first: i64, last: i64| {
        [vec![0, 0], [7, first, last, last + 1].iter().flat_map(|n: &i64| n.to_be_bytes()).collect()].concat()
    };
    let store = Arc::new(MemoryStore::new());
    let mut live = Vec::new();
    for (base, listed) in [(0, entry(400, 800)), (1000, [entry(400, 800), entry(900, 1500)].concat())] {
        let request = UploadRequest {
            folder: folder(),
            name: SegmentName { base, leader_epoch: 2, uuid: Uuid::from_u128(base as u128 + 1) },
            end: base + 1000,
            chain: CHAIN.to_vec(),
            aborted_transactions: listed.into(),
            producer_snapshot: Bytes::new(),
        };
        let source = MemorySegment(batches(base, 100, 10, 2, 100));
        let options = UploadOptions::default();
        live.push(upload(&*store, &request, &source, &options, &Progress::default()).await.unwrap());
    }
    let writer = Writer { epoch: 2, uuid: Uuid::from_u128(1) };
    let manifest = Manifest { generation: 1, writer, log_start: 0, live, ..Manifest::default() };
    let reader = reader(store).await;
    for (from, to, expected) in [
        (0, 1000, vec![400, 900]),
        (0, 2000, vec![400, 900]),
        (850, 2000, vec![900]),
        (1000, 2000, vec![900]),
    ] {
        let (found, _) = reader.aborted_transactions(&folder(), &manifest, &CHAIN, from, to).await.unwrap();
        let found: Vec<i64> = found.iter().map(|aborted| aborted.first_offset).collect();
        assert_eq!(found, expected, "{from}..{to}");
    }
}

#[tokio::test]
async fn a_time_leads_to_the_first_batch_that_reaches_it() {
    let store = Arc::new(MemoryStore::new());
    let (manifest, _) = tier(&*store).await;
    let reader = reader(store).await;
    // Batch `i` has timestamp i * 100.
    for (timestamp, from, base) in
        [(0, 0, 0), (1, 0, 10), (99_99, 0, 1000), (100, 500, 500), (29_900, 0, 2990)]
    {
        let found = reader.first_batch_reaching(&folder(), &manifest, &CHAIN, timestamp, from).await.unwrap();
        let head = batch::head(&found.unwrap()).unwrap().unwrap();
        assert_eq!(head.base, base, "{timestamp} from {from}");
    }
    let none = reader.first_batch_reaching(&folder(), &manifest, &CHAIN, 29_901, 0).await.unwrap();
    assert_eq!(none, None);
}

#[tokio::test]
async fn a_lost_object_makes_exactly_its_range_fail() {
    let store = Arc::new(MemoryStore::new());
    let (manifest, _) = tier(&*store).await;
    let key = folder().segment(&manifest.live[1].name);
    store.delete(&key).await.unwrap();
    let reader = reader(store).await;
    let slice = reader.read(&folder(), &manifest, &CHAIN, 900, usize::MAX).await.unwrap();
    assert_eq!(slice.next, 1000);
    let error = reader.read(&folder(), &manifest, &CHAIN, 1000, 1).await.unwrap_err();
    assert_eq!(error, ReadError::Missing { key, base: 1000, end: 2000 });
    assert!(reader.read(&folder(), &manifest, &CHAIN, 2000, 1).await.is_ok());
}

#[tokio::test]
async fn what_the_chunk_files_hold_is_read_after_a_restart_also_when_the_object_is_lost() {
    let store = Arc::new(MemoryStore::new());
    let (manifest, log) = tier(&*store).await;
    let disk = Arc::new(MemoryDisk::default());
    let restarted = async || {
        let limits = CacheLimits { memory_bytes: 1 << 20, disk_bytes: 1 << 20 };
        let chunks = ChunkCache::open(limits, Some(disk.clone()), Handle::current()).await.unwrap();
        Reader::new(store.clone(), chunks, ReadLimits::default())
    };
    let first = restarted().await;
    let slice = first.read(&folder(), &manifest, &CHAIN, 0, usize::MAX).await.unwrap();
    assert_eq!(joined(&slice), log);
    // Written beside the read, of which nothing is waited for but that other tasks run.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(disk.0.lock().unwrap().len(), 3 * (1 + 10), "a footer and ten chunks of each object");
    for row in &manifest.live {
        store.delete(&folder().segment(&row.name)).await.unwrap();
    }
    let slice = restarted().await.read(&folder(), &manifest, &CHAIN, 0, usize::MAX).await.unwrap();
    assert_eq!(joined(&slice), log);
    // A footer that rotted there is not taken for one.
    let footer_file = format!("{}-{:05}.chunk", manifest.live[1].name.uuid.simple(), u32::MAX);
    let rotted = disk.0.lock().unwrap().get_mut(&footer_file).map(|bytes| {
        let mut changed = bytes.to_vec();
        changed[20] ^= 1;
        *bytes = changed.into();
    });
    assert!(rotted.is_some(), "{footer_file} is there");
    let slice = restarted().await.read(&folder(), &manifest, &CHAIN, 0, usize::MAX).await.unwrap();
    assert_eq!(slice.next, 1000);
    assert!(!disk.0.lock().unwrap().contains_key(&footer_file));
}

#[tokio::test]
async fn a_flipped_byte_in_the_store_is_an_error_that_names_object_and_range() {
    let store = Arc::new(MemoryStore::new());
    let (manifest, _) = tier(&*store).await;
    let key = folder().segment(&manifest.live[0].name);
    let mut bytes = store.get(&key).await.unwrap().to_vec();
    bytes[15 * BATCH] ^= 1;
    store.put(&key, vec![bytes.into()]).await.unwrap();
    let reader = reader(store).await;
    assert!(reader.read(&folder(), &manifest, &CHAIN, 99, 1).await.is_ok());
    let error = reader.read(&folder(), &manifest, &CHAIN, 100, 1).await.unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { base: 100, end: 200, .. }), "{error}");
    assert!(error.to_string().contains(&key));
}

#[derive(Debug, Default)]
struct FlipOnce(Mutex<bool>);

impl Faults for FlipOnce {
    fn next(&self, operation: Operation, _: &str) -> Fault {
        let mut done = self.0.lock().unwrap();
        if operation == Operation::Get && !*done {
            *done = true;
            return Fault::Flip(3);
        }
        Fault::None
    }
}

#[tokio::test]
async fn a_byte_that_flipped_on_the_way_is_asked_for_again() {
    let memory = Arc::new(MemoryStore::new());
    let (manifest, log) = tier(&*memory).await;
    let clean = reader(memory.clone()).await;
    let footer = clean.footer(&folder(), &manifest.live[0]).await.unwrap();
    let reader = reader(Arc::new(FaultStore::new(memory, Arc::new(FlipOnce::default())))).await;
    reader.footers.insert(manifest.live[0].name.uuid, footer).await;
    let slice = reader.read(&folder(), &manifest, &CHAIN, 0, BATCH).await.unwrap();
    assert_eq!(joined(&slice), log.slice(..BATCH));
}

#[tokio::test]
async fn manifests_are_cached_until_a_newer_one_is_announced() {
    let memory = MemoryStore::new();
    let metered = MeteredStore::new(Arc::new(memory.clone()));
    let requests = metered.requests();
    let publisher = Publisher::new(Arc::new(memory), folder());
    let writer = Writer { epoch: 2, uuid: Uuid::from_u128(1) };
    let generation = |generation| Manifest {
        generation,
        writer,
        log_start: 0,
        live: vec![],
        removed: vec![],
        ..Manifest::default()
    };
    publisher.publish(&generation(1)).await.unwrap();
    let reader = reader(Arc::new(metered)).await;
    assert_eq!(reader.manifest(&folder(), 0).await.unwrap().generation, 1);
    let before = requests.counts();
    assert_eq!(reader.manifest(&folder(), 1).await.unwrap().generation, 1);
    assert_eq!(requests.counts(), before);
    publisher.publish(&generation(2)).await.unwrap();
    assert_eq!(reader.manifest(&folder(), 2).await.unwrap().generation, 2);
    assert!(reader.manifest(&folder(), 3).await.is_err(), "a generation that is gone is an error");
}

/// Which chunks of which segments are in memory, once this many are.
async fn in_memory(reader: &Reader, manifest: &Manifest, at_least: usize) -> Vec<(i64, u32)> {
    for _ in 0..10_000 {
        let mut there = Vec::new();
        for segment in &manifest.live {
            let Some(footer) = reader.footers.get(&segment.name.uuid).await else { continue };
            for (number, chunk) in footer.chunks.iter().enumerate() {
                let id = ChunkId { object: segment.name.uuid, number: number as u32 };
                if reader.chunks.here(id, chunk, false).await.is_some() {
                    there.push((segment.base(), id.number));
                }
            }
        }
        if there.len() >= at_least {
            return there;
        }
        tokio::task::yield_now().await;
    }
    panic!("{at_least} chunks are never in memory")
}

#[tokio::test]
async fn a_sequential_reader_is_run_ahead_of_across_segments_and_another_is_not() {
    let store = Arc::new(MemoryStore::new());
    let (manifest, _) = tier(&*store).await;
    let limits = CacheLimits { memory_bytes: 1 << 20, disk_bytes: 0 };
    let chunks = ChunkCache::open(limits, None, Handle::current()).await.unwrap();
    let chunk_bytes = 10 * BATCH as u64;
    let ahead = ReadLimits { read_ahead_bytes: 4 * chunk_bytes, ..ReadLimits::default() };
    let reader = Reader::new(store, chunks, ahead);
    let read = async |offset| reader.read(&folder(), &manifest, &CHAIN, offset, BATCH).await.unwrap().next;
    // Here and there: each brings its own chunk.
    let next = read(600).await;
    read(250).await;
    assert_eq!(in_memory(&reader, &manifest, 2).await, [(0, 2), (0, 6)]);
    // Where the first one ended: one batch is asked for, and four chunks more come, the last ones of the next segment.
    assert_eq!(read(next).await, 620);
    let expected: Vec<(i64, u32)> =
        [2, 6, 7, 8, 9].map(|number| (0, number)).into_iter().chain([(1000, 0)]).collect();
    assert_eq!(in_memory(&reader, &manifest, expected.len()).await, expected);
}

#[tokio::test]
async fn readers_of_one_segment_at_once_ask_for_its_footer_once() {
    let memory = Arc::new(MemoryStore::new());
    let (manifest, _) = tier(&*memory).await;
    let metered = MeteredStore::new(memory);
    let requests = metered.requests();
    let reader = reader(Arc::new(metered)).await;
    let folder = folder();
    let asked = (0..50).map(|_| reader.footer(&folder, &manifest.live[0]));
    assert!(futures::future::join_all(asked).await.iter().all(Result::is_ok));
    assert_eq!(requests.counts().gets, 1);
    let [(_, footers), ..] = reader.index_counts();
    assert_eq!((footers.hits, footers.misses), (49, 1));
}

#[tokio::test]
async fn footers_above_the_bound_are_asked_for_again_and_others_are_not() {
    let memory = Arc::new(MemoryStore::new());
    let (manifest, _) = tier(&*memory).await;
    let clean = reader(memory.clone()).await;
    let weight = clean.footer(&folder(), &manifest.live[0]).await.unwrap().memory_bytes() as u64;
    for (room, again) in [(weight * 4, 0), (weight / 2, 3)] {
        let metered = MeteredStore::new(memory.clone());
        let requests = metered.requests();
        // Beside the chunks nothing is kept.
        let limits = CacheLimits { memory_bytes: 0, disk_bytes: 0 };
        let chunks = ChunkCache::open(limits, None, Handle::current()).await.unwrap();
        let limits = ReadLimits { index_bytes: room, ..ReadLimits::default() };
        let reader = Reader::new(Arc::new(metered), chunks, limits);
        for _ in 0..2 {
            for segment in &manifest.live {
                reader.footer(&folder(), segment).await.unwrap();
                reader.footers.settle().await;
            }
        }
        assert_eq!(requests.counts().gets, 3 + again, "with room for {room} bytes");
        let [(_, footers), ..] = reader.index_counts();
        assert!(footers.bytes <= room, "{footers:?}");
    }
}
