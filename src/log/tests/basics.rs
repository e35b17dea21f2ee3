//! Append, read, roll, reopen: the main path.

use super::*;
use crate::log::Rejected;
use crate::wire::record_batch::{Batch, BatchHeader};

#[test]
fn what_is_appended_is_read_back_with_its_offset_and_epoch() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    let (a, b) = (batch(&["a0", "a1"]), batch(&["b0"]));
    let answers = log.append_as_leader(vec![a.clone(), b.clone()], EPOCH, NOW_MS).expect("written");
    let appended: Vec<(Offset, Offset)> =
        answers.iter().map(|a| a.as_ref().map(|a| (a.base, a.last)).expect("accepted")).collect();
    assert_eq!(appended, [(Offset(0), Offset(1)), (Offset(2), Offset(2))]);
    let bytes = read_all(&log, Offset::ZERO).expect("read");
    assert_eq!(records(&bytes), [(0, "a0".into()), (1, "a1".into()), (2, "b0".into())]);
    for (stored, sent) in BatchIter::new(bytes).zip([a, b]) {
        let stored = stored.expect("a batch");
        assert_eq!(stored.header.leader_epoch, EPOCH);
        assert_eq!(stored.body(), body(&sent), "the body passes through untouched");
        stored.check_crc().expect("the CRC still holds");
    }
}

#[test]
fn a_group_is_written_with_one_call() {
    let (disk, mut log) = fresh(&LogConfig::default());
    log.begin_epoch(EPOCH).expect("begins");
    let before = disk.calls().1;
    let items = (0..20).map(|i| batch(&[&format!("v{i}")])).collect();
    log.append_as_leader(items, EPOCH, NOW_MS).expect("written");
    assert_eq!(disk.calls().1 - before, 1);
}

#[test]
fn one_bad_batch_does_not_hinder_the_others_of_its_group() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    let mut broken = batch(&["broken"]).to_vec();
    *broken.last_mut().expect("a byte") ^= 1;
    let items = vec![batch(&["a"]), broken.into(), batch(&["b"])];
    let answers = log.append_as_leader(items, EPOCH, NOW_MS).expect("written");
    assert!(matches!(answers[1], Err(Rejected::Corrupt(_))), "{:?}", answers[1]);
    assert_eq!(answers[2].as_ref().expect("accepted").base, Offset(1));
    assert_eq!(records(&read_all(&log, Offset::ZERO).expect("read")), [(0, "a".into()), (1, "b".into())]);
}

#[test]
fn a_read_in_mid_batch_returns_the_whole_batch() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    append(&mut log, batch(&["a", "b", "c"]));
    append(&mut log, batch(&["d"]));
    let bytes = log.read(Offset(2), 1 << 20, Offset(4), true).expect("found").load().expect("read");
    assert_eq!(BatchHeader::parse(&bytes).expect("a header").base_offset, Offset(0));
    assert_eq!(records(&bytes).len(), 4);
}

#[test]
fn the_first_batch_comes_even_above_max_bytes_but_only_if_asked_for() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    let big = batch(&[&"x".repeat(50_000)]);
    append(&mut log, big.clone());
    append(&mut log, batch(&["y"]));
    let slice = |at_least_one| log.read(Offset(0), 1, Offset(2), at_least_one).expect("found");
    assert_eq!(slice(true).load().expect("read").len(), big.len());
    assert_eq!(slice(false).load().expect("read").len(), 0);
    let both = log.read(Offset(0), big.len() + 10, Offset(2), false).expect("found").load().expect("read");
    assert_eq!(both.len(), big.len(), "no part of a batch");
}

#[test]
fn a_read_stops_below_its_end() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    for value in ["a", "b", "c"] {
        append(&mut log, batch(&[value]));
    }
    let bytes = log.read(Offset(0), 1 << 20, Offset(2), true).expect("found").load().expect("read");
    assert_eq!(records(&bytes).len(), 2);
    assert!(log.read(Offset(2), 1 << 20, Offset(2), true).expect("found").is_empty());
    assert!(matches!(log.read(Offset(4), 1, Offset(4), true), Err(LogError::OutOfRange { .. })));
}

#[test]
fn what_the_cap_keeps_back_counts_and_what_may_not_be_read_does_not() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    let size = batch(&["a"]).len();
    for value in ["a", "b", "c"] {
        append(&mut log, batch(&[value]));
    }
    let counted = |from, max_bytes, end| {
        let slice = log.read(Offset(from), max_bytes, Offset(end), false).expect("found");
        let (bytes, counted) = slice.load_counted().expect("read");
        (bytes.len() / size, counted)
    };
    assert_eq!(counted(0, size + 7, 3), (1, size + 7), "seven bytes of the second batch fit too");
    assert_eq!(counted(0, size + 7, 1), (1, size), "but not if it is not committed");
    assert_eq!(counted(0, 2 * size, 3), (2, 2 * size));
    assert_eq!(counted(1, 10 * size, 3), (2, 2 * size), "no more than there is");
    assert_eq!(counted(2, 7, 3), (0, 7));
}

#[test]
fn segments_roll_by_size_and_reads_go_through_all_of_them() {
    let (_disk, mut log) = fresh(&small(1000));
    let expected: Vec<(i64, String)> = (0..200).map(|i| (i, format!("value {i}"))).collect();
    for (offset, value) in &expected {
        assert_eq!(append(&mut log, batch(&[value])), Offset(*offset));
    }
    assert!(log.closed_segments().len() > 10);
    assert!(log.closed_segments().iter().all(|segment| segment.bytes <= 1000));
    assert_eq!(records(&read_all(&log, Offset::ZERO).expect("read")), expected);
    for from in 0..200 {
        let bytes = log.read(Offset(from), 200, log.log_end(), true).expect("found").load().expect("read");
        assert_eq!(records(&bytes)[0].0, from);
    }
    let goes_on = |from, end| log.read(Offset(from), 1 << 20, Offset(end), true).expect("found").goes_on();
    let first = log.closed_segments()[0].end.0;
    assert!(goes_on(0, 200) && goes_on(0, first + 1));
    assert!(!goes_on(0, first) && !goes_on(199, 200), "nothing that may be read comes behind it");
}

#[test]
fn a_segment_rolls_when_timestamps_move_on_by_segment_ms() {
    let (_disk, mut log) = fresh(&LogConfig { segment_ms: 1000, ..LogConfig::default() });
    append(&mut log, batch_at(NOW_MS, &["a"]));
    append(&mut log, batch_at(NOW_MS + 1000, &["b"]));
    assert_eq!(log.closed_segments().len(), 0);
    append(&mut log, batch_at(NOW_MS + 1001, &["c"]));
    assert_eq!(log.closed_segments().len(), 1);
    assert!(!log.roll_if_due(NOW_MS + 999).expect("asked"));
    assert!(log.roll_if_due(NOW_MS + 1000).expect("asked"));
    assert!(!log.roll_if_due(NOW_MS + 9999).expect("asked"), "an empty segment is not closed");
}

#[test]
fn a_clean_stop_is_opened_without_a_scan() {
    let config = small(1000);
    let (disk, mut log) = fresh(&config);
    for i in 0..100 {
        append(&mut log, produced(9, 0, i, 1));
    }
    log.close_clean().expect("closes");
    assert!(matches!(log.append_as_leader(Vec::<Bytes>::new(), EPOCH, NOW_MS), Err(LogError::Closed)));
    let before = read_all(&log, Offset::ZERO).expect("read");
    drop(log);
    let (log, report) = Log::open(OpenLog { clean: true, ..opening(&disk, &config) }).expect("opens");
    assert_eq!(report.scanned_segments, 0);
    assert_eq!(report.producers_replayed_from, Offset(100));
    assert_eq!((log.log_end(), log.flushed_end()), (Offset(100), Offset(100)));
    assert_eq!(read_all(&log, Offset::ZERO).expect("read"), before);
}

#[test]
fn after_a_kill_the_log_is_scanned_and_goes_on() {
    let config = small(1000);
    let (disk, mut log) = fresh(&config);
    for i in 0..100 {
        append(&mut log, batch(&[&format!("value {i}")]));
    }
    let before = read_all(&log, Offset::ZERO).expect("read");
    let segments = log.closed_segments();
    drop(log);
    let (mut log, report) = open(&disk, &config);
    assert_eq!(report.cut_bytes, 0);
    assert_eq!(report.scanned_segments, segments.len() + 1);
    assert_eq!(read_all(&log, Offset::ZERO).expect("read"), before);
    assert_eq!(append(&mut log, batch(&["next"])), Offset(100));
}

#[test]
fn only_what_lies_above_the_recovery_point_is_scanned() {
    let config = small(1000);
    let (disk, mut log) = fresh(&config);
    for i in 0..100 {
        append(&mut log, batch(&[&format!("value {i}")]));
    }
    let flushed = log.flush().expect("flushes");
    assert_eq!(flushed, Offset(100));
    drop(log);
    let (log, report) =
        Log::open(OpenLog { recovery_point: flushed, ..opening(&disk, &config) }).expect("opens");
    assert_eq!(report.scanned_segments, 1);
    assert_eq!(records(&read_all(&log, Offset::ZERO).expect("read")).len(), 100);
}

#[test]
fn log_append_time_is_stamped_with_a_new_crc() {
    let config = LogConfig {
        timestamp_type: crate::wire::record_batch::TimestampType::LogAppendTime,
        ..LogConfig::default()
    };
    let (_disk, mut log) = fresh(&config);
    let answers = log.append_as_leader(vec![batch_at(5, &["a"])], EPOCH, NOW_MS).expect("written");
    assert_eq!(answers[0].as_ref().expect("accepted").log_append_time, Some(NOW_MS));
    let mut bytes = read_all(&log, Offset::ZERO).expect("read");
    let batch = Batch::split_from(&mut bytes).expect("a batch");
    batch.check_crc().expect("the CRC is right");
    let record = batch.records(1000).expect("records").next().expect("one").expect("a record");
    assert_eq!(record.timestamp, NOW_MS);
}

#[test]
fn a_follower_stores_the_leaders_bytes() {
    let (_disk, mut leader) = fresh(&small(2000));
    let (_other, mut follower) = fresh(&small(1500));
    for i in 0..50 {
        append(&mut leader, produced(4, 0, i, 1));
    }
    while follower.log_end() < leader.log_end() {
        let bytes = leader
            .read(follower.log_end(), 700, leader.log_end(), true)
            .expect("found")
            .load()
            .expect("read");
        follower.append_as_follower(bytes, NOW_MS).expect("appended");
    }
    let all = |log: &Log| read_all(log, Offset::ZERO).expect("read");
    assert_eq!(all(&follower), all(&leader));
    assert_eq!(follower.epochs(), leader.epochs());
    // It knows the producers as the leader does, should it lead next.
    let answers = follower.append_as_leader(vec![produced(4, 0, 49, 1)], LeaderEpoch(4), NOW_MS).expect("ok");
    assert!(answers[0].as_ref().expect("accepted").duplicate);
}

#[test]
fn a_read_costs_one_call_to_the_disk() {
    let (disk, mut log) = fresh(&small(1 << 20));
    for i in 0..200 {
        append(&mut log, batch(&[&format!("value {i}")]));
    }
    for from in [0, 57, 199] {
        let slice = log.read(Offset(from), 3000, Offset(200), true).expect("found");
        let before = disk.calls().0;
        let bytes = slice.load().expect("read");
        assert_eq!(disk.calls().0 - before, 1);
        assert_eq!(records(&bytes)[0].0, from);
    }
}
