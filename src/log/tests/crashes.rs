//! Crashes, torn writes, corruption and failing disks: what recovery cuts, and what it refuses to.

use std::io::ErrorKind;

use super::*;

use crate::env::sim::{DiskCall, Fault};
use crate::log::files::{INDEX, LOG, SNAPSHOT, TIME_INDEX, segment_path};
use crate::log::{LeaderBatch, Origin, Rejected};
use crate::wire::record_batch::{ControlKind, end_transaction_marker};

fn active(log: &Log) -> PathBuf {
    let base = log.closed_segments().last().map_or(Offset::ZERO, |segment| segment.end);
    segment_path(&dir(), base, LOG)
}

fn corrupt(disk: &SimDisk, opening: OpenLog) -> String {
    let before = disk.snapshot();
    let error = Log::open(opening).expect_err("corruption is no torn tail");
    assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
    let logs = |files: std::collections::BTreeMap<PathBuf, Vec<u8>>| -> Vec<(PathBuf, Vec<u8>)> {
        files.into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == LOG)).collect()
    };
    assert_eq!(logs(disk.snapshot()), logs(before), "nothing is cut");
    error.to_string()
}

/// The kernel tells of pages that it could not write to whoever holds the file open.
#[test]
fn what_is_written_once_more_keeps_its_file_open_until_it_is_synced() {
    let config = small(1 << 20);
    for write_again in [false, true] {
        let (disk, mut log) = fresh(&config);
        append(&mut log, batch(&["a"]));
        drop(log);
        let (mut log, _) = Log::open(OpenLog { write_again, ..opening(&disk, &config) }).expect("it opens");
        assert_eq!(log.active().file.is_written(), write_again);
        log.flush().expect("it is flushed");
        assert!(!log.active().file.is_written());
    }
}

#[test]
fn a_last_write_torn_at_any_byte_is_cut_and_nothing_else() {
    let config = small(1 << 20);
    let group: Vec<Bytes> = vec![batch(&["c", "d"]), produced(4, 0, 0, 2), batch(&["e"])];
    let ends: Vec<usize> = group
        .iter()
        .scan(0, |sum, batch| {
            *sum += batch.len();
            Some(*sum)
        })
        .collect();
    for torn in 0..=*ends.last().expect("a batch") {
        let (disk, mut log) = fresh(&config);
        append(&mut log, batch(&["a"]));
        append(&mut log, batch(&["b"]));
        log.append_as_leader(group.clone(), EPOCH, NOW_MS).expect("written");
        drop(log);
        disk.tear_last_write(torn);
        let (mut log, report) = open(&disk, &config);
        let whole = ends.iter().filter(|end| **end <= torn).count();
        let expected = 2 + [0, 2, 4, 5][whole];
        assert_eq!(log.log_end(), Offset(expected), "torn at {torn}");
        let kept = if whole == 0 { 0 } else { ends[whole - 1] };
        assert_eq!(report.cut_bytes, (torn - kept) as u64);
        assert_eq!(append(&mut log, batch(&["next"])), Offset(expected));
        assert_eq!(records(&read_all(&log, Offset::ZERO).expect("read")).len() as i64, expected + 1);
    }
}

#[test]
fn power_loss_leaves_what_was_flushed() {
    let config = small(600);
    let (disk, mut log) = fresh(&config);
    for i in 0..40 {
        append(&mut log, batch(&[&format!("value {i}")]));
    }
    let flushed = log.flush().expect("flushes");
    for i in 40..80 {
        append(&mut log, batch(&[&format!("value {i}")]));
    }
    drop(log);
    disk.lose_power();
    let (log, _) = Log::open(OpenLog { recovery_point: flushed, ..opening(&disk, &config) }).expect("opens");
    assert_eq!(log.log_end(), Offset(40));
    assert_eq!(records(&read_all(&log, Offset::ZERO).expect("read")).len(), 40);
}

/// A record of producer 5 in a transaction.
fn transactional(sequence: i32) -> Bytes {
    let mut builder =
        BatchBuilder::default().producer(ProducerId(5), ProducerEpoch(0), sequence).transactional();
    builder.add(NOW_MS, None, Some(b"v"), &[]);
    builder.build().expect("a batch")
}

#[test]
fn a_tail_that_is_lost_up_to_below_the_log_start_takes_no_producer_along() {
    for rolled in [false, true] {
        let config = small(1 << 20);
        let (disk, mut log) = fresh(&config);
        append(&mut log, produced(4, 1, 0, 1));
        if rolled {
            log.roll(NOW_MS).expect("rolls");
        }
        append(&mut log, produced(4, 1, 1, 2));
        append(&mut log, transactional(0));
        let flushed = log.flush().expect("flushes");
        assert_eq!(flushed, Offset(4));
        let marker =
            end_transaction_marker((ProducerId(5), ProducerEpoch(0)), ControlKind::Commit, 1, NOW_MS);
        let marker =
            LeaderBatch::new(marker.expect("a marker"), Origin::Marker { strict: false, decision: None });
        log.append_as_leader(vec![marker], EPOCH, NOW_MS).expect("written").remove(0).expect("taken");
        append(&mut log, produced(6, 0, 0, 5));
        let start = Offset(7);
        log.advance_log_start(start, NOW_MS).expect("advanced").run().expect("deleted");
        drop(log);
        disk.lose_power();
        let lost = || OpenLog { recovery_point: flushed, log_start: start, ..opening(&disk, &config) };
        for times in 0..2 {
            let (mut log, _) = Log::open(lost()).expect("opens");
            assert_eq!((log.log_start(), log.log_end()), (start, start), "offsets below it never come again");
            assert_eq!(log.last_stable(start), start, "nobody would end that transaction once more");
            let mut say = |batch| log.append_as_leader(vec![batch], EPOCH, NOW_MS).expect("ok").remove(0);
            let again = say(produced(4, 1, 1, 2)).expect("it is known");
            assert!(again.duplicate && again.base == Offset(1), "rolled {rolled}, opened {times} times");
            assert!(matches!(say(produced(4, 0, 7, 1)), Err(Rejected::InvalidProducerEpoch { .. })));
        }
        let (mut log, _) = Log::open(lost()).expect("opens");
        assert_eq!(append(&mut log, produced(4, 1, 3, 1)), start, "its next one");
        assert_eq!(append(&mut log, transactional(1)), Offset(8));
        assert_eq!(log.last_stable(log.log_end()), Offset(8), "what it writes now opens it anew");
    }
}

#[test]
fn a_tail_of_zeroes_is_cut() {
    let config = LogConfig::default();
    let (disk, mut log) = fresh(&config);
    append(&mut log, batch(&["a"]));
    let path = active(&log);
    let len = disk.read(&path).expect("reads").len() as u64;
    drop(log);
    disk.open(&path, crate::env::OpenMode::ReadWrite).expect("opens").set_len(len + 5000).expect("grows");
    let (log, report) = open(&disk, &config);
    assert_eq!((log.log_end(), report.cut_bytes), (Offset(1), 5000));
}

#[test]
fn a_bad_batch_with_a_good_one_after_it_is_corruption() {
    let config = LogConfig::default();
    let (disk, mut log) = fresh(&config);
    append(&mut log, batch(&["a"]));
    append(&mut log, batch(&["b"]));
    let path = active(&log);
    drop(log);
    for bit in [3 * 8, 9 * 8, 12 * 8, 16 * 8, 17 * 8, 30 * 8, 65 * 8] {
        disk.flip_bit(&path, bit);
        let error = corrupt(&disk, opening(&disk, &config));
        assert!(error.contains("a valid batch follows"), "{error}");
        disk.flip_bit(&path, bit);
    }
    assert_eq!(open(&disk, &config).0.log_end(), Offset(2));
}

#[test]
fn a_bad_batch_with_a_good_segment_after_it_is_corruption() {
    let config = small(200);
    let (disk, mut log) = fresh(&config);
    for i in 0..8 {
        append(&mut log, batch(&[&format!("value {i}")]));
    }
    let first = &log.closed_segments()[0];
    let (end, path) = (first.end, segment_path(&dir(), Offset::ZERO, LOG));
    assert!(end > Offset::ZERO);
    drop(log);
    let len = disk.read(&path).expect("reads").len();
    disk.flip_bit(&path, len * 8 - 1);
    assert!(corrupt(&disk, opening(&disk, &config)).contains("valid batches follow"));
}

#[test]
fn a_bad_tail_below_the_flushed_end_or_the_high_watermark_is_corruption() {
    let config = LogConfig::default();
    let (disk, mut log) = fresh(&config);
    append(&mut log, batch(&["a"]));
    append(&mut log, batch(&["b"]));
    let path = active(&log);
    drop(log);
    let len = disk.read(&path).expect("reads").len();
    disk.flip_bit(&path, len * 8 - 1);
    let flushed = OpenLog { recovery_point: Offset(2), ..opening(&disk, &config) };
    assert!(corrupt(&disk, flushed).contains("below the flushed end 2"));
    let committed = OpenLog { high_watermark: Offset(2), ..opening(&disk, &config) };
    assert!(corrupt(&disk, committed).contains("below the stored high watermark 2"));
    assert_eq!(open(&disk, &config).0.log_end(), Offset(1), "above both it is a torn tail");
}

#[test]
fn a_log_that_ends_below_its_flushed_end_is_corrupt_but_below_the_high_watermark_it_opens() {
    let config = LogConfig::default();
    let (disk, mut log) = fresh(&config);
    append(&mut log, batch(&["a"]));
    drop(log);
    corrupt(&disk, OpenLog { recovery_point: Offset(2), ..opening(&disk, &config) });
    let newer = OpenLog { high_watermark: Offset(9), ..opening(&disk, &config) };
    assert_eq!(Log::open(newer).expect("opens").0.log_end(), Offset(1));
}

#[test]
fn a_missing_segment_is_named() {
    let config = small(200);
    let (disk, mut log) = fresh(&config);
    for i in 0..8 {
        append(&mut log, batch(&[&format!("value {i}")]));
    }
    let closed = log.closed_segments();
    log.close_clean().expect("closes");
    drop(log);
    for gone in &closed[1..] {
        for clean in [true, false] {
            for recovery_point in [Offset::ZERO, Offset(8)] {
                let disk = disk.duplicate();
                disk.remove_file(&segment_path(&dir(), gone.base, LOG)).expect("removed");
                let opening = OpenLog { clean, recovery_point, ..opening(&disk, &config) };
                let error = Log::open(opening).expect_err("a gap").to_string();
                let name = format!("{:020}.log", gone.base.0);
                assert!(error.contains(&name) && error.contains("missing"), "clean {clean}: {error}");
            }
        }
    }
}

#[test]
fn a_foreign_file_is_named() {
    let (disk, log) = fresh(&LogConfig::default());
    drop(log);
    disk.open(&dir().join("notes.txt"), crate::env::OpenMode::ReadWrite).expect("created");
    let error = Log::open(opening(&disk, &LogConfig::default())).expect_err("foreign").to_string();
    assert!(error.contains("notes.txt"), "{error}");
}

#[test]
fn the_folder_of_another_topic_is_refused() {
    let (disk, log) = fresh(&LogConfig::default());
    drop(log);
    let other = OpenLog { topic_id: TopicId::from_bytes([8; 16]), ..opening(&disk, &LogConfig::default()) };
    let error = Log::open(other).expect_err("another topic").to_string();
    assert!(error.contains("partition.metadata"), "{error}");
}

#[test]
fn missing_or_senseless_indexes_are_built_anew() {
    let config = small(1000);
    for extension in [INDEX, TIME_INDEX] {
        for senseless in [false, true] {
            let (disk, mut log) = fresh(&config);
            for i in 0..60 {
                append(&mut log, batch_at(NOW_MS + i, &[&format!("value {i}")]));
            }
            let base = log.closed_segments()[1].base;
            log.close_clean().expect("closes");
            drop(log);
            let path = segment_path(&dir(), base, extension);
            let whole = disk.read(&path).expect("reads");
            assert!(!whole.is_empty());
            if senseless {
                let file = disk.open(&path, crate::env::OpenMode::ReadWrite).expect("opens");
                file.set_len(whole.len() as u64 - 3).expect("cut");
            } else {
                disk.remove_file(&path).expect("removed");
            }
            let (log, report) = Log::open(OpenLog { clean: true, ..opening(&disk, &config) }).expect("opens");
            assert!(report.scanned_segments > 0);
            assert_eq!(disk.read(&path).expect("reads"), whole, "{extension}");
            assert_eq!(log.log_end(), Offset(60));
        }
    }
}

#[test]
fn a_wrong_index_costs_time_but_gives_no_wrong_answer() {
    let config = small(1 << 20);
    let (disk, mut log) = fresh(&config);
    for i in 0..100 {
        append(&mut log, batch_at(NOW_MS + i, &[&format!("value {i}")]));
    }
    log.roll(NOW_MS).expect("rolls");
    log.close_clean().expect("closes");
    drop(log);
    let path = segment_path(&dir(), Offset::ZERO, INDEX);
    let bits = disk.read(&path).expect("reads").len() * 8;
    for bit in 0..bits {
        let disk = disk.duplicate();
        disk.flip_bit(&path, bit);
        let (log, _) = Log::open(OpenLog { clean: true, ..opening(&disk, &config) }).expect("opens");
        for from in [0, 13, 50, 99] {
            let bytes = log.read(Offset(from), 200, Offset(100), true).expect("found").load().expect("read");
            assert_eq!(records(&bytes)[0].0, from, "bit {bit}");
        }
    }
}

#[test]
fn a_broken_snapshot_is_replaced_by_a_replay() {
    let config = small(1 << 20);
    let (disk, mut log) = fresh(&config);
    for i in 0..7 {
        append(&mut log, produced(4, 0, i, 1));
    }
    log.close_clean().expect("closes");
    drop(log);
    disk.flip_bit(&segment_path(&dir(), Offset(7), SNAPSHOT), 100);
    let (mut log, report) = Log::open(OpenLog { clean: true, ..opening(&disk, &config) }).expect("opens");
    assert_eq!(report.producers_replayed_from, Offset::ZERO);
    let answers = log.append_as_leader(vec![produced(4, 0, 5, 1)], EPOCH, NOW_MS).expect("ok");
    assert_eq!(answers[0].as_ref().expect("accepted").base, Offset(5));
}

#[test]
fn a_failed_append_ends_the_epoch_and_no_offset_is_used_twice_in_it() {
    let config = small(1 << 20);
    for written in [0, 1, 60, 100] {
        let (disk, mut log) = fresh(&config);
        append(&mut log, produced(4, 0, 0, 1));
        let full = Fault::next(DiskCall::Write, ".log", ErrorKind::StorageFull);
        disk.inject(Fault { written, ..full });
        let next = || vec![produced(4, 0, 1, 1)];
        assert!(matches!(log.append_as_leader(next(), EPOCH, NOW_MS), Err(LogError::Io { .. })));
        assert_eq!(log.log_end(), Offset(1));
        // The disk has room again, but the epoch is over.
        let again = log.append_as_leader(next(), EPOCH, NOW_MS);
        assert!(matches!(again, Err(LogError::WriteFailed { epoch: EPOCH })));
        assert!(matches!(log.resume_under(EPOCH), Err(LogError::WriteFailed { .. })));
        // Reads go on.
        assert_eq!(records(&read_all(&log, Offset::ZERO).expect("read")).len(), 1);
        let answers = log.append_as_leader(next(), EPOCH.next(), NOW_MS).expect("a new epoch");
        let appended = answers[0].as_ref().expect("accepted");
        assert_eq!((appended.base, appended.duplicate), (Offset(1), false), "the failed one left no trace");
        drop(log);
        assert_eq!(open(&disk, &config).0.log_end(), Offset(2));
    }
}

#[test]
fn a_failed_fsync_is_never_retried_as_success() {
    let (disk, mut log) = fresh(&LogConfig::default());
    append(&mut log, batch(&["a"]));
    disk.inject(Fault::next(DiskCall::Sync, ".log", ErrorKind::Other));
    assert!(matches!(log.flush(), Err(LogError::Io { .. })));
    assert!(matches!(log.flush(), Err(LogError::Broken)));
    assert!(matches!(log.begin_epoch(EPOCH.next()), Err(LogError::Broken)));
    assert!(matches!(log.append_as_leader(Vec::<Bytes>::new(), EPOCH.next(), NOW_MS), Err(LogError::Broken)));
    assert_eq!(log.flushed_end(), Offset::ZERO);
}

#[test]
fn an_fsync_begun_before_a_truncation_says_nothing_about_what_came_after() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    append(&mut log, batch(&["a"]));
    append(&mut log, batch(&["b"]));
    let outcome = log.begin_flush().expect("begins").run();
    log.truncate_to(Offset(1)).expect("cut");
    log.append_as_leader(vec![batch(&["c"])], EPOCH.next(), NOW_MS).expect("written");
    assert_eq!(
        log.finish_flush(outcome).expect("noted"),
        Offset(1),
        "what the truncation itself made durable"
    );
    assert_eq!(log.flush().expect("flushes"), Offset(2));
}

#[test]
fn a_flipped_bit_in_a_segment_is_found_before_it_is_served() {
    let config = LogConfig::default();
    let (disk, mut log) = fresh(&config);
    append(&mut log, batch(&["a"]));
    append(&mut log, batch(&["b", "b"]));
    append(&mut log, batch(&["c"]));
    let path = active(&log);
    let good = read_all(&log, Offset::ZERO).expect("read");
    for bit in 0..good.len() * 8 {
        disk.flip_bit(&path, bit);
        for from in 0..4 {
            let answer = log.read(Offset(from), 1 << 20, Offset(4), true).expect("found").load();
            if let Ok(bytes) = answer {
                let start = [0, batch(&["a"]).len(), batch(&["a"]).len(), 0][from as usize];
                let start = if from == 3 { good.len() - batch(&["c"]).len() } else { start };
                assert!(!bytes.is_empty() && good[start..].starts_with(&bytes), "bit {bit}, from {from}");
            }
        }
        disk.flip_bit(&path, bit);
    }
}
