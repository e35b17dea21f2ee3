//! The units of the hot path whose cost is watched: by time in `benches/units`, by instructions in `tests/costs`.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use esker::env::RealDisk;
use esker::log::{Log, LogConfig, OpenLog};
use esker::replication::frames::{Append, ToFollower};
use esker::replication::isr::follower::LeaderPositions;
use esker::types::{LeaderEpoch, Offset, TopicId, TopicName, TopicPartition};
use esker::wire::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use esker::wire::record_batch::{BatchBuilder, BatchHeader, Compression};
use esker::wire::{Codec as _, Encoder};

const NOW_MS: i64 = 1_700_000_000_000;
/// Records of a batch, and their bytes: about 10 KB.
const RECORDS: i64 = 100;
const RECORD_BYTES: usize = 100;
/// Batches in the log that is looked into: 8 MB with about 2,000 index entries.
const BATCHES: i64 = 800;
/// Partitions of a fetch answer.
const PARTITIONS: i32 = 10;

/// Name, and what makes the code to be measured: a closure that does the unit once.
pub type Case = (&'static str, fn() -> Box<dyn FnMut()>);

/// All of them.
pub const CASES: [Case; 5] = [
    ("batch header parse", header_parse),
    ("append, batch of 10 KB", append),
    ("index look-up", look_up),
    ("fetch encode, 10 partitions", fetch_encode),
    ("replication frame, out and in", replication_frame),
];

fn batch(offset: i64) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None).placed(Offset(offset), LeaderEpoch(0));
    for i in 0..RECORDS {
        builder.add(NOW_MS + i, None, Some(&[b'x'; RECORD_BYTES]), &[]);
    }
    builder.build().expect("a batch")
}

/// A log in a folder that goes away with the closure which holds it.
fn log() -> (tempfile::TempDir, Log) {
    let folder = tempfile::tempdir().expect("a folder");
    let open = OpenLog {
        disk: Arc::new(RealDisk),
        dir: folder.path().join("t-0"),
        partition: TopicPartition::new(TopicName::new("t").expect("a name"), 0),
        topic_id: TopicId::from_bytes([7; 16]),
        config: Arc::new(LogConfig { index_interval_bytes: 4096, ..LogConfig::default() }),
        clean: false,
        write_again: false,
        recovery_point: Offset::ZERO,
        high_watermark: Offset::ZERO,
        log_start: Offset::ZERO,
        cleaned: Offset::ZERO,
        now_ms: NOW_MS,
    };
    let log = Log::open(open).expect("the log opens").0;
    (folder, log)
}

fn header_parse() -> Box<dyn FnMut()> {
    let batch = batch(0);
    Box::new(move || {
        black_box(BatchHeader::parse(black_box(&batch)).expect("a header"));
    })
}

fn append() -> Box<dyn FnMut()> {
    let batch = batch(0);
    let (folder, mut log) = log();
    Box::new(move || {
        let answers = log.append_as_leader(vec![batch.clone()], LeaderEpoch(0), NOW_MS).expect("appended");
        assert!(answers[0].is_ok() && folder.path().exists());
    })
}

fn look_up() -> Box<dyn FnMut()> {
    let (folder, mut log) = log();
    for _ in 0..BATCHES {
        let answers = log.append_as_leader(vec![batch(0)], LeaderEpoch(0), NOW_MS).expect("appended");
        assert!(answers[0].is_ok());
    }
    let end = log.log_end();
    let mut at = 0;
    Box::new(move || {
        // A prime step: neighbours are not asked for one after the other.
        at = (at + 7919) % end.0;
        let slice = log.read(Offset(at), 1 << 20, end, true).expect("there");
        assert!(!black_box(slice).is_empty() && !folder.path().as_os_str().is_empty());
    })
}

fn fetch_encode() -> Box<dyn FnMut()> {
    let records = batch(0);
    Box::new(move || {
        let partition = |partition_index| PartitionData {
            partition_index,
            high_watermark: 100,
            last_stable_offset: 100,
            log_start_offset: 0,
            preferred_read_replica: -1,
            records: Some(records.clone().into()),
            ..PartitionData::default()
        };
        let topic = FetchableTopicResponse {
            topic_id: TopicId::from_bytes([7; 16]),
            partitions: (0..PARTITIONS).map(partition).collect(),
            ..FetchableTopicResponse::default()
        };
        let response = FetchResponse { responses: vec![topic], ..FetchResponse::default() };
        let mut encoder = Encoder::framed();
        response.encode(&mut encoder, 17).expect("encodes");
        black_box(encoder.into_frame().expect("a frame"));
    })
}

fn replication_frame() -> Box<dyn FnMut()> {
    let batches = batch(0);
    let positions = LeaderPositions { high_watermark: Offset(100), log_start: Offset::ZERO, tier: None };
    let frame = Append { session: 1, base: Offset(100), positions, batches };
    let encoded = ToFollower::Append(frame).encode();
    Box::new(move || {
        black_box(Append::head(1, Offset(100), black_box(&positions)));
        black_box(ToFollower::decode(black_box(encoded.clone())).expect("a frame"));
    })
}
