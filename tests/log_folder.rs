//! Writes partition folders with every file a log can have, for Kafka's own `kafka-dump-log` to read: one as it was written,
//! one that was compacted.
//!
//! `ESKER_LOG_FOLDER=<empty folder> cargo test --test log_folder` leaves it there; without the variable the folder is
//! temporary. Several segments, all codecs, idempotent and transactional producers, an aborted and a committed
//! transaction, two leader epochs.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use esker::env::RealDisk;
use esker::log::{CleanupPolicy, Log, LogConfig, OpenLog, Step};
use esker::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicId, TopicName, TopicPartition};
use esker::wire::record_batch::{BatchBuilder, BatchIter, Compression};

const NOW_MS: i64 = 1_700_000_000_000;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn records(i: i64, builder: BatchBuilder) -> Bytes {
    let mut builder = builder;
    for j in 0..3 {
        let (key, value) = (format!("key {}", i % 10), format!("value {i}.{j} {}", "x".repeat(100)));
        let headers: [(&str, Option<&[u8]>); 2] = [("twice", Some(b"1")), ("twice", None)];
        builder.add(NOW_MS + 10 * i + j, Some(key.as_bytes()), Some(value.as_bytes()), &headers);
    }
    builder.build().expect("a batch")
}

/// An end-transaction marker as a coordinator writes it.
fn marker(at: Offset, epoch: LeaderEpoch, producer: i64, commit: bool) -> Bytes {
    let mut builder = BatchBuilder::default()
        .producer(ProducerId(producer), ProducerEpoch(0), -1)
        .transactional()
        .control()
        .placed(at, epoch);
    builder.add(NOW_MS, Some(&[0, 0, 0, u8::from(commit)]), Some(&[0, 0, 0, 0, 0, 5]), &[]);
    builder.build().expect("a marker")
}

fn write(dir: PathBuf, compact: bool) -> Log {
    let config = LogConfig {
        segment_bytes: 16 << 10,
        index_interval_bytes: 1024,
        cleanup: CleanupPolicy { compact, delete: !compact },
        ..LogConfig::default()
    };
    let open = OpenLog {
        disk: Arc::new(RealDisk),
        dir,
        partition: TopicPartition::new(TopicName::new("orders").expect("a name"), 0),
        topic_id: TopicId::from_bytes([7; 16]),
        config: Arc::new(config),
        clean: false,
        write_again: false,
        recovery_point: Offset::ZERO,
        high_watermark: Offset::ZERO,
        log_start: Offset::ZERO,
        cleaned: Offset::ZERO,
        now_ms: NOW_MS,
    };
    let mut log = Log::open(open).expect("opens").0;
    let append = |log: &mut Log, epoch: i32, batch: Bytes| {
        let answers = log.append_as_leader(vec![batch], LeaderEpoch(epoch), NOW_MS).expect("written");
        answers[0].as_ref().expect("accepted").base
    };
    for i in 0..150 {
        let epoch = if i < 100 { 2 } else { 5 };
        let codec = CODECS[usize::try_from(i % 5).expect("small")];
        let builder = BatchBuilder::new(codec);
        append(&mut log, epoch, records(i, builder.clone()));
        let sequence = i32::try_from(3 * i).expect("small");
        append(&mut log, epoch, records(i, builder.producer(ProducerId(40), ProducerEpoch(1), sequence)));
        if i % 50 == 20 {
            for (producer, commit) in [(1000 + i, true), (2000 + i, false)] {
                let builder = BatchBuilder::new(codec);
                let builder = builder.producer(ProducerId(producer), ProducerEpoch(0), 0).transactional();
                append(&mut log, epoch, records(i, builder));
                let end = marker(log.log_end(), LeaderEpoch(epoch), producer, commit);
                log.append_as_follower(end, NOW_MS).expect("appended");
            }
        }
    }
    if compact {
        clean(&mut log);
    }
    log.close_clean().expect("closes");
    log
}

/// A whole pass of compaction.
fn clean(log: &mut Log) {
    log.flush().expect("flushed");
    let found = log.cleanable(log.log_end(), NOW_MS).expect("looked").expect("it is compacted");
    let mut pass = log.begin_compaction(&found, 1 << 20, NOW_MS).expect("begins");
    loop {
        match pass.step(1 << 20).expect("steps") {
            Step::Working { .. } => {}
            Step::Ready(cleaned) => {
                log.replace_segments(cleaned).expect("swapped").expect("as it was").run().expect("removed");
            }
            Step::Done => return log.finish_compaction(&pass),
        }
    }
}

#[test]
fn a_folder_with_every_file_a_log_can_have() {
    let kept = std::env::var_os("ESKER_LOG_FOLDER").map(PathBuf::from);
    let temporary = tempfile::tempdir().expect("a folder");
    let dir = kept.unwrap_or_else(|| temporary.path().to_owned());
    let compacted = write(dir.join("compacted-0"), true);
    let log = write(dir.join("orders-0"), false);
    assert!(compacted.size_bytes() * 3 < log.size_bytes(), "{}", compacted.size_bytes());
    let left = compacted.aborted_transactions(compacted.log_start(), compacted.log_end()).expect("read");
    assert_eq!(left.len(), 3, "the markers stay until their horizon");
    assert!(log.closed_segments().len() > 3);
    assert_eq!(log.epochs().entries().len(), 2);
    let aborted = log.aborted_transactions(Offset::ZERO, log.log_end()).expect("read");
    assert_eq!(aborted.iter().map(|a| a.producer_id.0).collect::<Vec<_>>(), [2020, 2070, 2120]);
    let mut count = 0;
    let mut next = Offset::ZERO;
    while next < log.log_end() {
        let bytes = log.read(next, 1 << 20, log.log_end(), true).expect("found").load().expect("read");
        for batch in BatchIter::new(bytes) {
            let batch = batch.expect("a batch");
            for record in batch.records(1 << 20).expect("records") {
                assert_eq!(record.expect("a record").offset, next);
                next = next.next();
                count += 1;
            }
        }
    }
    assert_eq!(count, 300 * 3 + 6 * 3 + 6);
}
