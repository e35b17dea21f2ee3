//! A partition of more segments than a manifest's head names: the broker leads it, reads anywhere in it and scrubs it, one
//! archive of rows at a time.

use std::path::Path;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use tiering::layout::{PartitionFolder, SegmentName};
use tiering::lineage::EpochStart;
use tiering::manifest::{Archive, Manifest, Segment, Writer};
use tiering::publish::Publisher;
use tiering::store::SharedStore;
use tiering::upload::{Progress, SegmentSource, UploadOptions, UploadRequest, upload};

use super::{LIMIT, broker_with, fetch, tiered_topic, until, value};
use crate::broker::FetchError;
use crate::env::{Disk, RealDisk, timeout};
use crate::types::{LeaderEpoch, Offset, TopicId};
use crate::wire::record_batch::{BatchBuilder, Compression};

/// Records of a segment.
const SPAN: i64 = 10;
const EPOCH: i32 = 1;

/// Kilobytes of this process that no file backs.
fn anonymous_kb() -> u64 {
    let status = String::from_utf8(RealDisk.read(Path::new("/proc/self/status")).unwrap()).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Log bytes in memory, to be uploaded.
struct InMemory(Bytes);

#[async_trait::async_trait]
impl SegmentSource for InMemory {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }
    async fn read(&self, position: u64, bytes: usize) -> std::io::Result<Bytes> {
        let end = self.0.len().min(position as usize + bytes);
        Ok(self.0.slice(position as usize..end))
    }
}

/// Kafka's file of no producers: version, CRC, count.
fn no_producers() -> Bytes {
    let count = 0_i32.to_be_bytes();
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    bytes.put_u32(crc32c::crc32c(&count));
    bytes.put_slice(&count);
    bytes.freeze()
}

fn uuid(number: i64) -> uuid::Uuid {
    uuid::Uuid::from_u64_pair(7, number.cast_unsigned())
}

/// A row that names an object which nobody reads, and which is not there.
fn row(number: i64) -> Segment {
    let base = number * SPAN;
    Segment {
        name: SegmentName { base, leader_epoch: EPOCH, uuid: uuid(number) },
        end: base + SPAN,
        epochs: vec![EpochStart { epoch: EPOCH, start: base }],
        max_timestamp: 1_000_000,
        log_bytes: 1000,
        footer_bytes: 400,
        crc: 7,
    }
}

/// A tier of so many archives of rows; only the last segment, in the head, has an object. Returns the tier's end.
async fn large_tier(store: &SharedStore, folder: &PartitionFolder, archives: i64, rows_each: i64) -> i64 {
    let mut manifest =
        Manifest { generation: 1, writer: Writer { epoch: EPOCH, uuid: uuid(-1) }, ..Manifest::default() };
    for number in 0..archives {
        let rows: Vec<Segment> = (number * rows_each..(number + 1) * rows_each).map(row).collect();
        let (archive, bytes) = Archive::encode(EPOCH, uuid(-2 - number), &rows).unwrap().unwrap();
        store.put(&folder.archive(&archive.name), vec![bytes]).await.unwrap();
        manifest.archives.push(archive);
    }
    let last = row(archives * rows_each);
    let mut batch = BatchBuilder::new(Compression::None).placed(Offset(last.base()), LeaderEpoch(EPOCH));
    (0..SPAN).for_each(|i| batch.add(1_000_000 + i, None, Some(&value(i)), &[]));
    let request = UploadRequest {
        folder: folder.clone(),
        name: last.name,
        end: last.end,
        chain: vec![EpochStart { epoch: EPOCH, start: 0 }],
        aborted_transactions: Bytes::new(),
        producer_snapshot: no_producers(),
    };
    let source = InMemory(batch.build().unwrap());
    let (options, progress) = (UploadOptions::default(), Progress::default());
    manifest.live.push(upload(&**store, &request, &source, &options, &progress).await.unwrap());
    Publisher::new(store.clone(), folder.clone()).publish(&manifest).await.unwrap();
    last.end
}

/// Restores such a partition into a broker, and looks all over it; by how many KB that has made the process larger.
async fn lead(archives: i64, rows_each: i64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let scrub = [("tier.scrub.interval.ms", "200"), ("tier.scrub.bytes.per.second", "100000000000")];
    let running = broker_with(dir.path(), &scrub).await;
    let store = running.cold_store.as_ref().unwrap().store.clone();
    let topic = TopicId::from_bytes([9; 16]).to_string();
    let folder = PartitionFolder::new(&running.image().cluster_id, "cold", &topic, 0).unwrap();
    let end = large_tier(&store, &folder, archives, rows_each).await;
    let before = anonymous_kb();
    let restored = [("tier.restore.topic.id", topic.as_str()), ("tier.restore.leader.epoch", "1001")];
    let partition = tiered_topic(&running, &restored).await;
    let positions = until(&running, &partition, |p| p.tier_end() == Offset(end)).await;
    assert_eq!((positions.log_start, positions.local_start), (Offset::ZERO, Offset(end)));
    for archive in 0..archives {
        let missing = fetch(&running, &partition, Offset(archive * rows_each * SPAN)).await.unwrap_err();
        assert!(matches!(&missing, FetchError::Tier(_)), "{missing}");
    }
    assert!(!fetch(&running, &partition, Offset(end - SPAN)).await.unwrap().records.is_empty());
    let segments = (archives * rows_each + 1).cast_unsigned().min(4096);
    let scrubbed = async {
        while running.tier_counts().unwrap().scrub.segments < segments {
            running.env().clock.sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(&*running.env().clock, LIMIT * 40, scrubbed).await.expect("the scrub goes on and on");
    let damaged = running.tier_counts().unwrap().scrub.damaged;
    assert!(damaged >= segments - 1, "{damaged} of {segments} are told to be missing");
    let more = anonymous_kb().saturating_sub(before);
    running.shutdown().await;
    more
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_leads_a_partition_whose_older_segments_only_archives_name() {
    lead(3, 20).await;
}

/// `cargo test --lib a_broker_leads_a_million_segments -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; its result is in tests/README.md"]
async fn a_broker_leads_a_million_segments_in_little_memory() {
    let more = lead(977, 1024).await;
    println!("{} segments: {more} KB more than before", 977 * 1024 + 1);
    assert!(more < 128 << 10, "{more} KB");
}
