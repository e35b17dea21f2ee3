//! Tests of uploads.

use uuid::Uuid;

use super::*;
use crate::store::{Fault, FaultStore, Faults, MemoryStore, Operation};
use crate::testing::{MemorySegment, batches};

fn request(base: i64, end: i64) -> UploadRequest {
    UploadRequest {
        folder: PartitionFolder::new("c", "t", "i", 0).unwrap(),
        name: SegmentName { base, leader_epoch: 4, uuid: Uuid::from_u128(9) },
        end,
        chain: vec![EpochStart { epoch: 2, start: 0 }],
        aborted_transactions: Bytes::from_static(b"aborted"),
        producer_snapshot: Bytes::from_static(b"snapshot"),
    }
}

async fn uploaded(
    store: &dyn Store,
    request: &UploadRequest,
    log: &Bytes,
    options: UploadOptions,
) -> Result<Segment, UploadError> {
    let source = MemorySegment(log.clone());
    upload(store, request, &source, &options, &Progress::default()).await
}

#[tokio::test]
async fn a_segment_goes_up_and_reads_back() {
    let store = MemoryStore::new();
    let log = batches(100, 50, 10, 2, 1000);
    let request = request(100, 600);
    let segment = uploaded(&store, &request, &log, UploadOptions::default()).await.unwrap();
    verify(&store, &request.folder, &segment).await.unwrap();
    let object = store.get(&request.folder.segment(&segment.name)).await.unwrap();
    assert_eq!(object.slice(..log.len()), log);
    assert_eq!(object.len() as u64, segment.object_bytes());
    let footer = read_footer(&segment, &object).unwrap();
    assert_eq!(footer.producer_snapshot, "snapshot");
    assert_eq!((segment.end, segment.max_timestamp), (600, 5900));
}

#[tokio::test]
async fn a_large_segment_goes_up_in_parts_and_is_the_same_object() {
    let (single, parts) = (MemoryStore::new(), MemoryStore::new());
    let log = batches(0, 300, 1, 2, 40_000);
    let request = request(0, 300);
    uploaded(&single, &request, &log, UploadOptions::default()).await.unwrap();
    let options =
        UploadOptions { single_put_bytes: 1 << 20, part_bytes: 5 << 20, ..UploadOptions::default() };
    uploaded(&parts, &request, &log, options).await.unwrap();
    assert_eq!(single.snapshot(), parts.snapshot());
}

#[tokio::test]
async fn an_upload_starts_at_a_batch_inside_the_segment() {
    let store = MemoryStore::new();
    let log = batches(100, 50, 10, 2, 100);
    let request = request(300, 600);
    let segment = uploaded(&store, &request, &log, UploadOptions::default()).await.unwrap();
    assert_eq!(segment.base(), 300);
    let object = store.get(&request.folder.segment(&segment.name)).await.unwrap();
    assert_eq!(object.slice(..segment.log_bytes as usize), batches(300, 30, 10, 2, 100));
}

#[tokio::test]
async fn an_upload_from_inside_a_batch_starts_with_that_batch() {
    let store = MemoryStore::new();
    let log = batches(100, 50, 10, 2, 100);
    let request = request(305, 600);
    let segment = uploaded(&store, &request, &log, UploadOptions::default()).await.unwrap();
    assert_eq!(segment.base(), 300);
    verify(&store, &request.folder, &segment).await.unwrap();
}

#[tokio::test]
async fn a_broken_local_segment_is_not_uploaded() {
    let store = MemoryStore::new();
    let mut log = batches(0, 10, 1, 2, 100).to_vec();
    log[5 * 161 + 100] ^= 1;
    let error = uploaded(&store, &request(0, 10), &log.into(), UploadOptions::default()).await.unwrap_err();
    assert!(matches!(error, UploadError::Broken { error: BadBatch::Crc { base: 5 }, .. }), "{error}");
    assert!(store.snapshot().is_empty());
}

#[tokio::test]
async fn a_segment_that_ends_elsewhere_or_is_torn_or_of_another_lineage_is_not_uploaded() {
    let store = MemoryStore::new();
    let log = batches(0, 10, 1, 2, 100);
    for (end, log) in [(9, log.clone()), (11, log.clone()), (10, log.slice(..log.len() - 1))] {
        let error = uploaded(&store, &request(0, end), &log, UploadOptions::default()).await.unwrap_err();
        assert!(matches!(error, UploadError::Range { .. }), "{error}");
    }
    let other = batches(0, 10, 1, 3, 100);
    let error = uploaded(&store, &request(0, 10), &other, UploadOptions::default()).await.unwrap_err();
    assert!(matches!(error, UploadError::Range { .. }), "{error}");
    assert!(store.snapshot().is_empty());
}

#[derive(Debug)]
struct On(Operation, Fault);

impl Faults for On {
    fn next(&self, operation: Operation, _: &str) -> Fault {
        if operation == self.0 { self.1 } else { Fault::None }
    }
}

#[tokio::test]
async fn a_put_that_was_acknowledged_but_lost_is_found_by_the_verification() {
    let memory = MemoryStore::new();
    let faults = Arc::new(On(Operation::Put, Fault::LoseEffect));
    let lossy = FaultStore::new(Arc::new(memory.clone()), faults);
    let request = request(0, 10);
    let segment =
        uploaded(&lossy, &request, &batches(0, 10, 1, 2, 10), UploadOptions::default()).await.unwrap();
    let error = verify(&memory, &request.folder, &segment).await.unwrap_err();
    assert!(matches!(error, UploadError::Verify { .. }), "{error}");
}

#[tokio::test]
async fn a_truncated_or_exchanged_object_is_found_by_the_verification() {
    let memory = MemoryStore::new();
    let request = request(0, 10);
    let log = batches(0, 10, 1, 2, 10);
    let segment = uploaded(&memory, &request, &log, UploadOptions::default()).await.unwrap();
    let key = request.folder.segment(&segment.name);
    let good = memory.get(&key).await.unwrap();
    memory.put(&key, vec![good.slice(1..)]).await.unwrap();
    assert!(verify(&memory, &request.folder, &segment).await.is_err());
    let other = UploadRequest { producer_snapshot: Bytes::from_static(b"SNAPSHOT"), ..request.clone() };
    uploaded(&memory, &other, &log, UploadOptions::default()).await.unwrap();
    let error = verify(&memory, &request.folder, &segment).await.unwrap_err();
    assert!(error.to_string().contains("identity"), "{error}");
}

/// Fails the parts and the end of an upload that stand in the script, and counts what was sent.
#[derive(Debug)]
struct Broken {
    fails: std::sync::Mutex<Vec<Operation>>,
    parts: std::sync::atomic::AtomicUsize,
}

impl Faults for Broken {
    fn next(&self, operation: Operation, _: &str) -> Fault {
        let mut fails = self.fails.lock().unwrap();
        if operation == Operation::PutPart {
            self.parts.fetch_add(1, Ordering::Relaxed);
        }
        // Every second part fails once.
        match fails.last() {
            Some(next) if *next == operation && self.parts.load(Ordering::Relaxed).is_multiple_of(2) => {
                fails.pop();
                Fault::Fail
            }
            _ => Fault::None,
        }
    }
}

#[tokio::test]
async fn an_upload_in_parts_goes_on_where_it_stopped() {
    let memory = MemoryStore::new();
    let log = batches(0, 300, 1, 2, 40_000);
    let (request, source) = (request(0, 300), MemorySegment(log.clone()));
    let options =
        UploadOptions { single_put_bytes: 1 << 20, part_bytes: 2 << 20, ..UploadOptions::default() };
    let faults = Arc::new(Broken {
        fails: std::sync::Mutex::new(vec![Operation::PutPart; 3]),
        parts: std::sync::atomic::AtomicUsize::new(0),
    });
    let store = FaultStore::new(Arc::new(memory.clone()), faults.clone());
    let mut transfer = Transfer::new(request.clone(), &options);
    let progress = Progress::default();
    let mut runs = 0;
    let segment = loop {
        runs += 1;
        match transfer.run(&store, &source, &progress).await {
            Ok(segment) => break segment,
            Err(UploadError::Store(_)) => assert!(transfer.can_go_on()),
            Err(other) => panic!("{other}"),
        }
        assert!(runs < 10, "each run gets further");
    };
    assert_eq!(runs, 4, "three runs failed");
    verify(&memory, &request.folder, &segment).await.unwrap();
    let object = memory.get(&request.folder.segment(&segment.name)).await.unwrap();
    assert_eq!(object.slice(..log.len()), log);
    assert_eq!(progress.bytes(), object.len() as u64, "no part was sent twice");
    let parts = object.len().div_ceil(2 << 20);
    assert!(faults.parts.load(Ordering::Relaxed) <= parts + 3, "but those that failed");
}
