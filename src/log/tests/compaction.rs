//! Compaction, rule by rule.

use super::*;
use crate::log::{CleanupPolicy, Step};

pub(super) const MAP_BYTES: usize = 1 << 16;

pub(super) fn compacted(segment_bytes: u64) -> LogConfig {
    LogConfig {
        cleanup: CleanupPolicy { compact: true, delete: false },
        delete_retention_ms: 1000,
        ..small(segment_bytes)
    }
}

/// A client's batch of records `key → value`; no value is a tombstone.
pub(super) fn keyed(codec: Compression, records: &[(&str, Option<&str>)]) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    for (key, value) in records {
        builder.add(NOW_MS, Some(key.as_bytes()), value.map(str::as_bytes), &[]);
    }
    builder.build().expect("a batch")
}

pub(super) fn put(log: &mut Log, key: &str, value: &str) -> Offset {
    append(log, keyed(Compression::None, &[(key, Some(value))]))
}

/// A flush and a whole pass; the segments that were swapped in.
pub(super) fn pass(log: &mut Log, map_bytes: usize, now_ms: i64) -> Result<usize, LogError> {
    log.flush()?;
    pass_over_flushed(log, map_bytes, now_ms)
}

pub(super) fn pass_over_flushed(log: &mut Log, map_bytes: usize, now_ms: i64) -> Result<usize, LogError> {
    let Some(found) = log.cleanable(log.log_end(), now_ms)? else {
        return Ok(0);
    };
    let mut pass = log.begin_compaction(&found, map_bytes, now_ms)?;
    let mut swapped = 0;
    loop {
        match pass.step(300)? {
            Step::Working { .. } => {}
            Step::Ready(cleaned) => {
                log.replace_segments(cleaned)?.expect("nothing has changed in between").run()?;
                swapped += 1;
            }
            Step::Done => {
                log.finish_compaction(&pass);
                return Ok(swapped);
            }
        }
    }
}

/// Offset, key, value of every record.
pub(super) fn contents(log: &Log) -> Vec<(i64, String, Option<String>)> {
    let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
    BatchIter::new(read_all(log, log.local_start()).expect("read"))
        .map(|batch| batch.expect("a batch"))
        .filter(|batch| !batch.header.attributes.is_control())
        .flat_map(|batch| batch.records(1 << 20).expect("records"))
        .map(|record| {
            let record = record.expect("a record");
            (record.offset.0, record.key.map_or(String::new(), text), record.value.map(text))
        })
        .collect()
}

fn of(offset: i64, key: &str, value: &str) -> (i64, String, Option<String>) {
    (offset, key.to_owned(), Some(value.to_owned()))
}

fn names(disk: &SimDisk) -> Vec<String> {
    let files = disk.read_dir(&dir()).expect("listed");
    files.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".log")).collect()
}

#[test]
fn of_each_key_the_last_record_stays_at_its_offset_in_every_codec() {
    for codec in
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        let config = compacted(10_000);
        let (disk, mut log) = fresh(&config);
        append(&mut log, keyed(codec, &[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))]));
        append(&mut log, keyed(codec, &[("b", Some("4"))]));
        append(&mut log, keyed(codec, &[("a", Some("5")), ("a", Some("6"))]));
        log.roll(NOW_MS).expect("rolls");
        put(&mut log, "c", "in the active segment");
        assert_eq!(pass(&mut log, MAP_BYTES, NOW_MS).expect("compacted"), 1);
        let kept = [of(2, "c", "3"), of(3, "b", "4"), of(5, "a", "6"), of(6, "c", "in the active segment")];
        assert_eq!(contents(&log), kept, "{codec:?}");
        // Offsets that have gone are still answered, and the log opens as it is.
        for from in 0..7 {
            let bytes = log.read(Offset(from), 1, log.log_end(), true).expect("found").load().expect("read");
            let batch = BatchIter::new(bytes).next().expect("one").expect("a batch");
            assert!((batch.header.base_offset.0..=batch.header.last_offset().0).contains(&from));
        }
        assert_eq!(contents(&open(&disk, &config).0), kept);
        assert_eq!(pass(&mut log, MAP_BYTES, NOW_MS).expect("compacted"), 0, "there is nothing to do");
    }
}

#[test]
fn the_active_segment_and_what_is_above_the_high_watermark_are_not_touched() {
    let (_disk, mut log) = fresh(&compacted(150));
    for i in 0..6 {
        put(&mut log, "a", &format!("{i} {}", "x".repeat(60)));
    }
    let found = log.cleanable(log.log_end(), NOW_MS).expect("looked").expect("it is compacted");
    assert_eq!(found.end, Offset(0), "a record may go only when the one that supersedes it is durable");
    log.flush().expect("flushed");
    let found = log.cleanable(Offset(3), NOW_MS).expect("looked").expect("it is compacted");
    assert_eq!(found.end, Offset(3));
    let found = log.cleanable(log.log_end(), NOW_MS).expect("looked").expect("it is compacted");
    assert_eq!(found.end, Offset(5));
    pass(&mut log, MAP_BYTES, NOW_MS).expect("compacted");
    assert_eq!(contents(&log).iter().map(|record| record.0).collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn young_segments_wait_and_old_ones_are_overdue() {
    let config = LogConfig { min_compaction_lag_ms: 100, max_compaction_lag_ms: 5000, ..compacted(10_000) };
    let (_disk, mut log) = fresh(&config);
    put(&mut log, "a", "1");
    log.roll(NOW_MS).expect("rolls");
    let look = |log: &mut Log, now_ms| {
        log.flush().expect("flushed");
        let found = log.cleanable(log.log_end(), now_ms).expect("looked").expect("it is compacted");
        (found.dirty_bytes > 0, found.overdue)
    };
    assert_eq!(look(&mut log, NOW_MS + 99), (false, false));
    assert_eq!(look(&mut log, NOW_MS + 100), (true, false));
    assert_eq!(look(&mut log, NOW_MS + 5001), (true, true));
    assert_eq!(log.config().max_segment_ms(), 5000, "the active segment must not hold records back");
}

#[test]
fn a_pass_is_due_when_more_than_the_ratio_is_dirty() {
    let (_disk, mut log) = fresh(&compacted(10_000));
    let due = |log: &mut Log| {
        log.flush().expect("flushed");
        let found = log.cleanable(log.log_end(), NOW_MS).expect("looked").expect("it is compacted");
        log.compaction_is_due(&found)
    };
    assert!(!due(&mut log), "an empty log");
    for i in 0..10 {
        put(&mut log, &format!("key {i}"), "value");
    }
    log.roll(NOW_MS).expect("rolls");
    assert!(due(&mut log), "all of it");
    pass(&mut log, MAP_BYTES, NOW_MS).expect("compacted");
    assert!(!due(&mut log), "nothing");
    for i in 0..9 {
        put(&mut log, &format!("key {i}"), "value");
    }
    log.roll(NOW_MS).expect("rolls");
    assert!(!due(&mut log), "nine of nineteen");
    for i in 0..2 {
        put(&mut log, &format!("key {i}"), "value");
    }
    log.roll(NOW_MS).expect("rolls");
    assert!(due(&mut log), "eleven of twenty-one");
}

#[test]
fn a_tombstone_can_be_read_until_its_horizon_and_then_goes() {
    let (_disk, mut log) = fresh(&compacted(10_000));
    put(&mut log, "a", "1");
    append(&mut log, keyed(Compression::None, &[("a", None), ("b", Some("2"))]));
    log.roll(NOW_MS).expect("rolls");
    let tombstone = (1, "a".to_owned(), None);
    pass(&mut log, MAP_BYTES, NOW_MS).expect("compacted");
    assert_eq!(contents(&log), [tombstone.clone(), of(2, "b", "2")]);
    // Another pass needs something dirty.
    put(&mut log, "c", "3");
    log.roll(NOW_MS).expect("rolls");
    pass(&mut log, MAP_BYTES, NOW_MS + 999).expect("compacted");
    assert_eq!(contents(&log)[0], tombstone);
    put(&mut log, "c", "4");
    log.roll(NOW_MS).expect("rolls");
    pass(&mut log, MAP_BYTES, NOW_MS + 1000).expect("compacted");
    assert_eq!(contents(&log), [of(2, "b", "2"), of(4, "c", "4")]);
}

#[test]
fn a_table_that_is_full_ends_the_pass_early_and_the_next_one_goes_on() {
    let (_disk, mut log) = fresh(&compacted(400));
    for i in 0..60 {
        put(&mut log, &format!("key {}", i % 20), &format!("{i}"));
    }
    log.roll(NOW_MS).expect("rolls");
    put(&mut log, "last", "");
    let mut passes = 0;
    loop {
        log.flush().expect("flushed");
        let found = log.cleanable(log.log_end(), NOW_MS).expect("looked").expect("it is compacted");
        if found.dirty_bytes == 0 {
            break;
        }
        // Room for nine keys.
        pass(&mut log, 24 * 10, NOW_MS).expect("compacted");
        passes += 1;
    }
    assert!((7..=9).contains(&passes), "{passes}");
    let kept: Vec<_> = contents(&log).into_iter().take(20).map(|record| record.0).collect();
    assert_eq!(kept, (40..60).collect::<Vec<_>>());
}

#[test]
fn small_segments_become_one_and_readers_of_the_old_ones_finish() {
    let (disk, mut log) = fresh(&compacted(400));
    for i in 0..40 {
        put(&mut log, &format!("key {}", i % 4), &format!("value {i}"));
    }
    let before = names(&disk).len();
    let slice = log.read(Offset(0), 10_000, log.log_end(), true).expect("found");
    let old = slice.load().expect("read");
    pass(&mut log, MAP_BYTES, NOW_MS).expect("compacted");
    // They have become small; the next pass joins them.
    log.roll(NOW_MS).expect("rolls");
    put(&mut log, "another", "record");
    pass(&mut log, MAP_BYTES, NOW_MS).expect("compacted");
    assert!(before > 8 && names(&disk).len() <= 5, "{before} → {:?}", names(&disk));
    assert_eq!(slice.load().expect("the file it has open"), old);
    let leftovers: Vec<_> = disk
        .read_dir(&dir())
        .expect("listed")
        .into_iter()
        .filter(|entry| [".cleaned", ".swap", ".deleted"].iter().any(|end| entry.name.ends_with(end)))
        .collect();
    assert_eq!(leftovers, []);
    // Snapshots of what was merged go too: no more than segments.
    let snapshots = disk.read_dir(&dir()).expect("listed").into_iter();
    assert!(snapshots.filter(|entry| entry.name.ends_with(".snapshot")).count() <= 5);
}

#[test]
fn a_log_that_changes_under_a_pass_keeps_its_segments() {
    let (disk, mut log) = fresh(&compacted(400));
    for i in 0..20 {
        put(&mut log, "key", &format!("value {i}"));
    }
    log.flush().expect("flushed");
    let found = log.cleanable(log.log_end(), NOW_MS).expect("looked").expect("it is compacted");
    let ready = |log: &Log| {
        let mut pass = log.begin_compaction(&found, MAP_BYTES, NOW_MS).expect("begins");
        loop {
            match pass.step(1000).expect("steps") {
                Step::Ready(cleaned) => return cleaned,
                Step::Working { .. } => {}
                Step::Done => panic!("there is something to do"),
            }
        }
    };
    let cleaned = ready(&log);
    let removal = log.advance_log_start(Offset(6), NOW_MS).expect("advanced");
    assert!(log.replace_segments(cleaned).expect("answers").is_none(), "its first segment is gone");
    removal.run().expect("deleted");
    let cleaned = ready(&log);
    log.truncate_to(Offset(19)).expect("cut");
    assert!(log.replace_segments(cleaned).expect("answers").is_none(), "it was cut");
    assert!(disk.read_dir(&dir()).expect("listed").iter().all(|entry| !entry.name.ends_with("cleaned")));
    assert_eq!(contents(&log).last().expect("some").0, 18);
}

#[test]
fn what_is_cut_and_written_again_is_dirty() {
    let (_disk, mut log) = fresh(&compacted(10_000));
    for _ in 0..4 {
        put(&mut log, "a", "old");
    }
    log.roll(NOW_MS).expect("rolls");
    pass(&mut log, MAP_BYTES, NOW_MS).expect("compacted");
    put(&mut log, "b", "4");
    log.truncate_to(Offset(0)).expect("cut");
    log.begin_epoch(LeaderEpoch(EPOCH.0 + 1)).expect("begins");
    let items = vec![keyed(Compression::None, &[("a", Some("new")), ("a", Some("newer"))])];
    log.append_as_leader(items, LeaderEpoch(EPOCH.0 + 1), NOW_MS).expect("written").remove(0).expect("taken");
    log.roll(NOW_MS).expect("rolls");
    pass(&mut log, MAP_BYTES, NOW_MS).expect("compacted");
    assert_eq!(contents(&log), [of(1, "a", "newer")]);
}

fn sequenced(key: &str, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::default().producer(ProducerId(5), ProducerEpoch(0), sequence);
    builder.add(NOW_MS, Some(key.as_bytes()), Some(b"v"), &[]);
    builder.build().expect("a batch")
}

#[test]
fn a_producers_last_batch_stays_so_that_its_retry_is_known_after_any_restart() {
    let config = compacted(10_000);
    let (disk, mut log) = fresh(&config);
    for sequence in 0..5 {
        append(&mut log, sequenced("a", sequence));
    }
    for _ in 0..5 {
        put(&mut log, "a", "by another");
    }
    log.roll(NOW_MS).expect("rolls");
    pass(&mut log, MAP_BYTES, NOW_MS).expect("compacted");
    assert_eq!(contents(&log), [of(9, "a", "by another")]);
    log.flush().expect("flushed");
    drop(log);
    for entry in disk.read_dir(&dir()).expect("listed") {
        if entry.name.ends_with(".snapshot") {
            disk.remove_file(&entry.path).expect("removed");
        }
    }
    let (mut log, _) = open(&disk, &config);
    let again = log.append_as_leader(vec![sequenced("a", 4)], EPOCH, NOW_MS).expect("answers").remove(0);
    assert!(again.as_ref().is_ok_and(|again| again.duplicate && again.base == Offset(4)), "{again:?}");
    assert_eq!(append(&mut log, sequenced("a", 5)), Offset(10));
}

#[test]
fn every_leader_epoch_still_begins_with_a_batch() {
    let config = compacted(10_000);
    let (disk, mut log) = fresh(&config);
    for epoch in 1..=5 {
        for _ in 0..3 {
            let items = vec![keyed(Compression::None, &[("a", Some("v"))])];
            log.append_as_leader(items, LeaderEpoch(epoch), NOW_MS).expect("written");
        }
    }
    log.roll(NOW_MS).expect("rolls");
    pass(&mut log, MAP_BYTES, NOW_MS).expect("compacted");
    let chain = log.epochs().entries().to_vec();
    assert_eq!(contents(&log), [of(14, "a", "v")]);
    disk.remove_file(&dir().join("leader-epoch-checkpoint")).expect("removed");
    assert_eq!(open(&disk, &config).0.epochs().entries(), chain, "taken from the batches");
}

#[test]
fn a_follower_that_is_behind_takes_over_a_compacted_log() {
    let config = compacted(10_000);
    let (_disk, mut leader) = fresh(&config);
    let mut originals = Vec::new();
    for i in 0..10 {
        let from = put(&mut leader, &format!("key {}", i % 2), &format!("{i}"));
        originals.push(read_all(&leader, from).expect("read"));
    }
    leader.roll(NOW_MS).expect("rolls");
    put(&mut leader, "last", "10");
    pass(&mut leader, MAP_BYTES, NOW_MS).expect("compacted");
    for behind in 0..10 {
        let (disk, mut follower) = fresh(&config);
        for original in &originals[..behind] {
            follower.append_as_follower(original.clone(), NOW_MS).expect("as it was");
        }
        while follower.log_end() < leader.log_end() {
            let slice = leader.read(follower.log_end(), 100, leader.log_end(), true).expect("found");
            follower.append_as_follower(slice.load().expect("read"), NOW_MS).expect("continues");
        }
        let mut expected: Vec<_> =
            (0..behind as i64).map(|i| of(i, &format!("key {}", i % 2), &format!("{i}"))).collect();
        expected.extend(contents(&leader).into_iter().filter(|record| record.0 >= behind as i64));
        assert_eq!(contents(&follower), expected, "behind at {behind}");
        assert_eq!(follower.epochs(), leader.epochs());
        follower.roll(NOW_MS).expect("rolls");
        let reopened = open(&disk, &config).0;
        assert_eq!(contents(&reopened), expected);
        // It compacts for itself, to the same.
        pass(&mut follower, MAP_BYTES, NOW_MS).expect("compacted");
        assert_eq!(contents(&follower), contents(&leader));
    }
}

#[test]
fn a_log_without_batches_that_starts_inside_of_one_begins_with_the_whole() {
    let config = small(10_000);
    let (_disk, mut leader) = fresh(&config);
    append(&mut leader, batch(&["a", "b", "c", "d"]));
    leader.advance_log_start(Offset(2), NOW_MS).expect("advanced").run().expect("deleted");
    let (disk, mut follower) = fresh(&config);
    follower.reset_to(Offset(2), leader.epochs().entries().to_vec()).expect("reset");
    let bytes = leader.read(Offset(2), 1000, Offset(4), true).expect("found").load().expect("read");
    follower.append_as_follower(bytes.clone(), NOW_MS).expect("taken");
    assert_eq!((follower.log_start(), follower.log_end()), (Offset(2), Offset(4)));
    assert_eq!(read_all(&follower, Offset(2)).expect("read"), bytes);
    let opened = Log::open(OpenLog { log_start: Offset(2), ..opening(&disk, &config) }).expect("opens").0;
    assert_eq!((opened.log_start(), opened.log_end()), (Offset(2), Offset(4)));
    // Only then: what a log has is not replaced by what comes.
    assert!(matches!(follower.append_as_follower(bytes, NOW_MS), Err(LogError::Gap { .. })));
}

#[test]
fn a_damaged_batch_ends_the_pass_and_nothing_is_replaced() {
    let (disk, mut log) = fresh(&compacted(400));
    for i in 0..20 {
        put(&mut log, "key", &format!("value {i}"));
    }
    let before = names(&disk);
    let path = dir().join(&before[1]);
    disk.flip_bit(&path, 70 * 8);
    let error = pass(&mut log, MAP_BYTES, NOW_MS).expect_err("found");
    assert!(matches!(&error, LogError::Corrupt { path: found, .. } if *found == path), "{error}");
    assert_eq!(names(&disk), before);
    let file = disk.open(&path, crate::env::OpenMode::Read).expect("there");
    assert!(file.len().expect("a length") > 0);
}

#[test]
fn a_full_disk_ends_the_pass_and_the_next_one_succeeds() {
    let (disk, mut log) = fresh(&compacted(400));
    for i in 0..40 {
        put(&mut log, &format!("key {}", i % 10), &format!("value {i}"));
    }
    let before = contents(&log);
    let used: usize = disk.snapshot().values().map(Vec::len).sum();
    for room in (0..900).step_by(13) {
        disk.set_capacity(Some((used + room) as u64));
        let Err(error) = pass(&mut log, MAP_BYTES, NOW_MS) else { break };
        assert!(matches!(error, LogError::Io { .. }), "{error}");
        assert_eq!(contents(&log), before, "{room}");
        let names = disk.read_dir(&dir()).expect("listed");
        assert!(names.iter().all(|entry| !entry.name.ends_with(".cleaned")), "{room}");
    }
    disk.set_capacity(None);
    put(&mut log, "goes", "on");
    pass(&mut log, MAP_BYTES, NOW_MS).expect("compacted");
    assert!(contents(&log).len() < before.len());
}
