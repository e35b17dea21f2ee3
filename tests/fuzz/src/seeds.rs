//! Seeds that are made rather than kept: valid inputs of each target, written by the code that is fuzzed.
//!
//! Requests and responses have Kafka's own samples, which `tests/fuzz/run` takes from the codec's test data; what a long run
//! has found lies in `tests/fuzz/corpus`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use esker::env::Disk as _;
use esker::env::sim::{SeededRng, SimDisk};
use esker::log::{CheckpointPositions, LogConfig, LogDirs};
use esker::replication::frames::{Ack, Append, Open, ToFollower, ToLeader};
use esker::replication::isr::follower::LeaderPositions;
use esker::types::{
    BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicId, TopicName,
    TopicPartition,
};
use esker::wire::record_batch::{BatchBuilder, Compression, HEADER_BYTES};
use tiering::layout::SegmentName;
use tiering::lineage::EpochStart;
use tiering::manifest::{Archive, Manifest, Removed, Segment, Writer};
use tiering::object::{Chunk, Footer};
use uuid::Uuid;

use crate::targets::LOG_FILES;

const NOW_MS: i64 = 1_700_000_000_000;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// A folder per target under `folder`, a file per seed.
pub fn write(folder: &Path) -> io::Result<()> {
    for (target, seeds) in [
        ("batches", batches()),
        ("sasl", sasl()),
        ("frames", frames()),
        ("footer", vec![footer()]),
        ("manifest", manifests()),
        ("checkpoints", log_files()),
        ("planted-allocation", vec![b"\0\x03\0\x01\0\0\0\x01\0\x01x\0\0\0\x01\0\x01t".to_vec()]),
        ("planted-panic", vec![b"esker".to_vec()]),
    ] {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        for (i, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{i:03}")), seed)?;
        }
    }
    Ok(())
}

fn batch(codec: Compression, builder: impl FnOnce(BatchBuilder) -> BatchBuilder) -> Bytes {
    let mut builder = builder(BatchBuilder::new(codec));
    for i in 0..3 {
        let headers: [(&str, Option<&[u8]>); 2] = [("twice", Some(b"1")), ("twice", None)];
        builder.add(NOW_MS + i, Some(b"key"), Some(b"a value, a value"), &headers[..usize::from(i == 1) * 2]);
    }
    builder.build().expect("a batch")
}

fn marker(base: i64) -> Bytes {
    let mut marker = BatchBuilder::default()
        .producer(ProducerId(9), ProducerEpoch(0), -1)
        .transactional()
        .control()
        .placed(Offset(base), LeaderEpoch(2));
    marker.add(NOW_MS, Some(&[0, 0, 0, 0]), Some(&[0, 0, 0, 0, 0, 5]), &[]);
    marker.build().expect("a marker")
}

fn batches() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for codec in CODECS {
        let batch = batch(codec, |builder| builder);
        seeds.push([&[codec as u8], &3i32.to_be_bytes()[..], &batch[HEADER_BYTES..]].concat());
        seeds.push([&[0x80], &batch[..]].concat());
        seeds.push([&[0x80], &batch[..], &marker(3)[..]].concat());
    }
    seeds
}

fn tokens(mechanism: u8, tokens: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![mechanism];
    for token in tokens {
        out.extend_from_slice(&u16::try_from(token.len()).expect("short").to_be_bytes());
        out.extend_from_slice(token);
    }
    out
}

fn sasl() -> Vec<Vec<u8>> {
    let proof = b"c=biws,r=rOprNGfwEbeRWgbNEkqO,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    (0..4)
        .flat_map(|mechanism| {
            [
                tokens(mechanism, &[b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", proof]),
                tokens(mechanism, &[b"n,a=user,n=user,r=x,tokenauth=true"]),
                tokens(mechanism, &[b"\0user\0wrong"]),
                tokens(
                    mechanism,
                    &[b"n,,\x01auth=Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4IiwiZXhwIjoxOTAwMDAwMDAwfQ.AAAA\x01\x01", b"\x01"],
                ),
            ]
        })
        .collect()
}

fn frames() -> Vec<Vec<u8>> {
    let positions = LeaderPositions { high_watermark: Offset(5), log_start: Offset(1), tier: None };
    let open = Open {
        session: 3,
        topic: TopicId::from_bytes([7; 16]),
        partition: 2,
        leader_epoch: LeaderEpoch(4),
        broker_epoch: BrokerEpoch(9),
        directory: DirectoryId::from_bytes([8; 16]),
        log_end: Offset(5),
        last_epoch: LeaderEpoch(3),
        log_start: Offset(0),
        credit: 1 << 20,
    };
    let ack = Ack { session: 3, log_end: Offset(6), log_start: Offset(0), credit: 100 };
    let append = Append { session: 3, base: Offset(5), positions, batches: batch(Compression::None, |b| b) };
    let frames = [
        ToLeader::Hello { lane: 1 }.encode(),
        ToLeader::Opens(vec![open, open]).encode(),
        ToLeader::Acks(vec![ack, ack]).encode(),
        ToLeader::Closes(vec![1, 2]).encode(),
        ToFollower::Append(append).encode(),
        ToFollower::Positions(vec![(3, positions)]).encode(),
        ToFollower::Closes(vec![4]).encode(),
    ];
    let whole: Vec<u8> = frames
        .iter()
        .flat_map(|f| [&u32::try_from(f.len()).expect("short").to_be_bytes()[..], f].concat())
        .collect();
    let bare = frames.iter().map(|frame| [&[0], &frame[..]].concat());
    bare.chain([[&[7], &whole[..]].concat(), [&[255], &whole[..]].concat()]).collect()
}

fn segment(base: i64, end: i64, epoch: i32) -> Segment {
    Segment {
        name: SegmentName { base, leader_epoch: epoch, uuid: Uuid::from_u128(7) },
        end,
        epochs: vec![EpochStart { epoch, start: base }],
        max_timestamp: NOW_MS,
        log_bytes: 1000,
        footer_bytes: 400,
        crc: 0xdead_beef,
    }
}

fn footer() -> Vec<u8> {
    let footer = Footer {
        name: SegmentName { base: 10, leader_epoch: 3, uuid: Uuid::from_u128(7) },
        end: 30,
        log_bytes: 300,
        max_timestamp: NOW_MS,
        epochs: vec![EpochStart { epoch: 1, start: 0 }, EpochStart { epoch: 3, start: 12 }],
        chunks: vec![
            Chunk { position: 0, bytes: 100, crc: 1, base: 10 },
            Chunk { position: 100, bytes: 200, crc: 2, base: 20 },
        ],
        offset_index: Bytes::from_static(&[0, 0, 0, 4, 0, 0, 0, 50, 0, 0, 0, 9, 0, 0, 0, 90]),
        time_index: Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 4]),
        aborted_transactions: Bytes::from_static(&[0; 34]),
        producer_snapshot: Bytes::from_static(b"snapshot"),
    };
    let (bytes, _) = footer.encode();
    // The trailer is the target's work: length, version, CRC, magic.
    bytes[..bytes.len() - 20].to_vec()
}

fn manifests() -> Vec<Vec<u8>> {
    let rows = [segment(0, 10, 1), segment(10, 20, 1), segment(20, 30, 3)];
    let archived = Archive::encode(3, Uuid::from_u128(9), &rows[..2]).expect("memory").expect("rows");
    let head = Manifest {
        generation: 7,
        writer: Writer { epoch: 3, uuid: Uuid::from_u128(8) },
        log_start: 5,
        live: rows[2..].to_vec(),
        removed: vec![Removed { segment: segment(0, 5, 0), since_ms: NOW_MS }],
        archives: vec![archived.0],
        ..Manifest::default()
    };
    let all = Manifest { live: rows.to_vec(), archives: Vec::new(), ..head.clone() };
    [Manifest::default(), head, all]
        .iter()
        .map(|manifest| manifest.encode().expect("memory").to_vec())
        .chain([archived.1.to_vec()])
        .collect()
}

/// Writes a log directory with one log, as a clean stop leaves it.
pub fn write_log(disk: &SimDisk) {
    let rng = SeededRng::new(1);
    let dirs =
        LogDirs::open(Arc::new(disk.clone()), &rng, &[PathBuf::from("/data")], BrokerId(1), &["metadata"])
            .expect("an empty directory");
    dirs.bind_to_cluster("cluster").expect("a new one");
    let partition = TopicPartition::new(TopicName::new("orders").expect("a name"), 7);
    let config = Arc::new(LogConfig { index_interval_bytes: 64, ..LogConfig::default() });
    let topic = TopicId::from_bytes([7; 16]);
    let (mut log, ..) = dirs.open_log(&partition, topic, config, NOW_MS).expect("a new log");
    let producer = |b: BatchBuilder| b.producer(ProducerId(9), ProducerEpoch(0), 0).transactional();
    log.append_as_leader(vec![batch(Compression::None, producer)], LeaderEpoch(1), NOW_MS).expect("written");
    log.append_as_follower(marker(3), NOW_MS).expect("written");
    for codec in CODECS {
        log.append_as_leader(vec![batch(codec, |b| b)], LeaderEpoch(2), NOW_MS).expect("written");
    }
    let end = log.log_end();
    log.close_clean().expect("closes");
    let positions = CheckpointPositions {
        recovery_point: end,
        high_watermark: end,
        log_start: Offset(0),
        cleaned: Offset(0),
    };
    dirs.write_checkpoints(&[(partition, positions)]).expect("written");
    let (directory, _) = dirs.directories().remove(0);
    dirs.mark_clean(directory, BrokerEpoch(5)).expect("written");
}

fn log_files() -> Vec<Vec<u8>> {
    let disk = SimDisk::new();
    write_log(&disk);
    let of = |(i, name): (usize, &&str)| {
        let content = disk.read(&Path::new("/data").join(name)).unwrap_or_default();
        [&[u8::try_from(i).expect("few")], &content[..]].concat()
    };
    LOG_FILES.iter().enumerate().map(of).collect()
}
