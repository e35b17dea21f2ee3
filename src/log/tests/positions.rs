//! Truncation, epochs, log start, retention, tier state, timestamps, transactions.

use super::*;

use crate::log::files::{LOG, segment_path};
use crate::log::{CleanupPolicy, EpochEntry, LeaderBatch, Origin, Verification};

fn filled(config: &LogConfig, count: i64) -> (SimDisk, Log) {
    let (disk, mut log) = fresh(config);
    for i in 0..count {
        append(&mut log, batch_at(NOW_MS + i, &[&format!("value {i}")]));
    }
    (disk, log)
}

fn entry(epoch: i32, start: i64) -> EpochEntry {
    EpochEntry { epoch: LeaderEpoch(epoch), start: Offset(start) }
}

#[test]
fn a_log_cut_at_any_offset_is_as_if_the_rest_had_never_been() {
    let config = small(500);
    let (_disk, whole) = filled(&config, 40);
    let all = records(&read_all(&whole, Offset::ZERO).expect("read"));
    for end in 0..=40 {
        let (disk, mut log) = filled(&config, 40);
        assert_eq!(log.truncate_to(Offset(end)).expect("cut"), Offset(end));
        assert_eq!(log.log_end(), Offset(end));
        let kept = usize::try_from(end).expect("small");
        assert_eq!(records(&read_all(&log, Offset::ZERO).expect("read")), all[..kept]);
        append(&mut log, batch(&["after"]));
        log.close_clean().expect("closes");
        for clean in [true, false] {
            let (log, report) = Log::open(OpenLog { clean, ..opening(&disk, &config) }).expect("opens");
            assert_eq!((log.log_end(), report.cut_bytes), (Offset(end + 1), 0));
        }
    }
}

#[test]
fn a_cut_in_mid_batch_takes_the_whole_batch() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    append(&mut log, batch(&["a", "b"]));
    append(&mut log, batch(&["c", "d"]));
    assert_eq!(log.truncate_to(Offset(3)).expect("cut"), Offset(2));
    assert_eq!(append(&mut log, batch(&["e"])), Offset(2));
}

#[test]
fn epochs_are_cut_with_the_log_and_survive_a_restart() {
    let config = LogConfig::default();
    let (disk, mut log) = fresh(&config);
    for (epoch, count) in [(1, 3), (2, 0), (4, 2), (7, 1)] {
        log.begin_epoch(LeaderEpoch(epoch)).expect("begins");
        for _ in 0..count {
            log.append_as_leader(vec![batch(&["x"])], LeaderEpoch(epoch), NOW_MS).expect("written");
        }
    }
    assert_eq!(log.epochs().entries(), [entry(1, 0), entry(4, 3), entry(7, 5)], "epoch 2 wrote nothing");
    let end = |log: &Log, epoch| log.epochs().end_offset_for(LeaderEpoch(epoch), log.log_end());
    assert_eq!(end(&log, 0), None);
    assert_eq!(end(&log, 1), Some((LeaderEpoch(1), Offset(3))));
    assert_eq!(end(&log, 3), Some((LeaderEpoch(1), Offset(3))), "a missing epoch: the next lower one");
    assert_eq!(end(&log, 9), Some((LeaderEpoch(7), Offset(6))));
    let told = |log: &Log, epoch| {
        let end = log.epochs().end_for_reader(LeaderEpoch(epoch), log.log_end());
        end.map(|(epoch, end)| (epoch.0, end.0))
    };
    assert_eq!(told(&log, 0), Some((0, 0)), "before the first: where that begins");
    assert_eq!(told(&log, 3), Some((1, 3)));
    assert_eq!(told(&log, 7), Some((7, 6)));
    assert_eq!(told(&log, 8), None, "after the last nothing is known");
    assert_eq!(told(&log, -1), None);
    log.truncate_to(Offset(4)).expect("cut");
    assert_eq!(log.epochs().entries(), [entry(1, 0), entry(4, 3)]);
    drop(log);
    let (log, _) = open(&disk, &config);
    assert_eq!(log.epochs().entries(), [entry(1, 0), entry(4, 3)]);
}

#[test]
fn a_lost_chain_of_epochs_is_taken_from_the_batches() {
    let config = small(300);
    let (disk, mut log) = fresh(&config);
    for epoch in [1, 1, 2, 5, 5, 6] {
        log.append_as_leader(vec![batch(&["x"])], LeaderEpoch(epoch), NOW_MS).expect("written");
    }
    let chain = log.epochs().clone();
    log.close_clean().expect("closes");
    drop(log);
    disk.remove_file(&dir().join("leader-epoch-checkpoint")).expect("removed");
    let (log, _) = Log::open(OpenLog { clean: true, ..opening(&disk, &config) }).expect("opens");
    assert_eq!(log.epochs(), &chain);
}

#[test]
fn of_a_tiered_log_a_lost_chain_of_epochs_is_damage_by_which_the_copy_is_taken_anew() {
    let config = LogConfig { remote_storage_enable: true, ..small(300) };
    let (disk, mut log) = filled(&config, 10);
    log.close_clean().expect("closes");
    drop(log);
    let chain = dir().join("leader-epoch-checkpoint");
    for damage in [Some(&b"0\n1\n1 x\n"[..]), None] {
        match damage {
            Some(text) => disk.write_atomically(&chain, text).expect("written"),
            None => disk.remove_file(&chain).expect("removed"),
        }
        let opened = Log::open(OpenLog { clean: true, ..opening(&disk, &config) });
        assert!(matches!(opened.err(), Some(LogError::Corrupt { path, .. }) if path == chain));
    }
}

#[test]
fn a_new_log_start_deletes_whole_segments_only() {
    let config = small(500);
    let (disk, mut log) = filled(&config, 40);
    let segments = log.closed_segments();
    let to = segments[2].base + 1;
    let removal = log.advance_log_start(to, NOW_MS).expect("advanced");
    assert_eq!((log.log_start(), log.local_start()), (to, to));
    assert_eq!(log.closed_segments()[0].base, segments[2].base);
    assert!(matches!(log.read(Offset(to.0 - 1), 1, Offset(40), true), Err(LogError::OutOfRange { .. })));
    removal.run().expect("deleted");
    let first = segment_path(&dir(), Offset::ZERO, LOG);
    assert!(disk.snapshot().keys().all(|path| !path.to_string_lossy().contains(&*first.to_string_lossy())));
    assert_eq!(log.epochs().entries(), [EpochEntry { epoch: EPOCH, start: to }]);
    drop(log);
    let (log, _) = Log::open(OpenLog { log_start: to, ..opening(&disk, &config) }).expect("opens");
    assert_eq!((log.log_start(), log.log_end()), (to, Offset(40)));
}

#[test]
fn a_log_start_at_the_end_empties_the_log_and_offsets_go_on() {
    let (disk, mut log) = filled(&LogConfig::default(), 5);
    log.advance_log_start(Offset(5), NOW_MS).expect("advanced").run().expect("deleted");
    assert_eq!((log.log_start(), log.log_end(), log.size_bytes()), (Offset(5), Offset(5), 0));
    assert_eq!(append(&mut log, batch(&["next"])), Offset(5));
    drop(log);
    let (mut log, _) = open(&disk, &LogConfig::default());
    assert_eq!((log.log_start(), log.log_end()), (Offset(5), Offset(6)));
    assert!(matches!(log.truncate_to(Offset(4)), Err(LogError::OutOfRange { .. })));
}

#[test]
fn what_was_not_deleted_before_a_crash_is_deleted_at_the_next_open() {
    let config = small(500);
    let (disk, mut log) = filled(&config, 40);
    let removal = log.advance_log_start(Offset(20), NOW_MS).expect("advanced");
    assert!(!removal.is_empty());
    drop((log, removal));
    let (log, _) = open(&disk, &config);
    assert!(log.log_start() > Offset(10));
    assert!(disk.snapshot().keys().all(|path| !path.to_string_lossy().ends_with("deleted")));
}

#[test]
fn retention_by_time_and_size_stops_at_the_high_watermark() {
    let config = LogConfig { retention_ms: 1000, retention_bytes: -1, ..small(500) };
    let (_disk, mut log) = filled(&config, 40);
    let segments = log.closed_segments();
    assert_eq!(log.expired_by_retention(NOW_MS + 1000, Offset(40)), Offset::ZERO);
    let late = NOW_MS + 1001 + segments[1].end.0 - 1;
    assert_eq!(log.expired_by_retention(late, Offset(40)), segments[1].end);
    assert_eq!(log.expired_by_retention(late, Offset(segments[1].end.0 - 1)), segments[0].end);
    assert_eq!(log.expired_by_retention(NOW_MS + 5000, Offset(40)), Offset(40), "the active one too");
    let bytes = i64::try_from(log.size_bytes() - segments[0].bytes).expect("small");
    let by_size = |bytes| LogConfig { retention_ms: -1, retention_bytes: bytes, ..small(500) };
    log.set_config(Arc::new(by_size(bytes + 1)));
    assert_eq!(log.expired_by_retention(late, Offset(40)), Offset::ZERO);
    log.set_config(Arc::new(by_size(bytes)));
    assert_eq!(log.expired_by_retention(late, Offset(40)), segments[0].end);
    let compacted = crate::log::CleanupPolicy { compact: true, delete: false };
    log.set_config(Arc::new(LogConfig { cleanup: compacted, ..by_size(0) }));
    assert_eq!(log.expired_by_retention(late, Offset(40)), Offset::ZERO, "compacted topics keep by key");
}

#[test]
fn local_retention_of_a_tiered_topic_leaves_the_log_start() {
    let config = LogConfig { remote_storage_enable: true, local_retention_bytes: 0, ..small(500) };
    let (disk, mut log) = filled(&config, 40);
    let segments = log.closed_segments();
    let tier_end = segments[3].end + 1;
    let end = log.expired_by_local_retention(Some(NOW_MS), tier_end, false);
    assert_eq!(end, segments[3].end);
    log.delete_segments_below(end).expect("out").run().expect("deleted");
    assert_eq!((log.log_start(), log.local_start()), (Offset::ZERO, segments[3].end));
    assert_eq!(log.epochs().entries(), [EpochEntry { epoch: EPOCH, start: Offset::ZERO }]);
    drop(log);
    let (log, _) = open(&disk, &config);
    assert_eq!((log.log_start(), log.local_start()), (Offset::ZERO, segments[3].end));
}

/// While the tier is given up all of it stays readable, also where a broker restarts meanwhile.
#[test]
fn a_log_whose_tier_is_turned_off_keeps_its_start_when_it_is_opened_again() {
    let config = LogConfig { remote_storage_enable: true, local_retention_bytes: 0, ..small(500) };
    let (disk, mut log) = filled(&config, 40);
    let segments = log.closed_segments();
    let start = segments[1].base + 1;
    log.advance_log_start(start, NOW_MS).expect("advanced").run().expect("deleted");
    log.delete_segments_below(segments[3].end).expect("out").run().expect("deleted");
    drop(log);
    let off = LogConfig { remote_storage_enable: false, ..config };
    for stored in [Offset::ZERO, start] {
        let (log, _) = Log::open(OpenLog { log_start: stored, ..opening(&disk, &off) }).expect("opens");
        assert_eq!((log.log_start(), log.local_start()), (start, segments[3].end), "{stored} was stored");
    }
}

#[test]
fn a_log_start_that_was_not_stored_before_a_crash_is_where_the_first_segment_begins() {
    // Where topics are tiered by default, one that is compacted and deleted is not.
    let cleanup = CleanupPolicy { compact: true, delete: true };
    for config in [small(500), LogConfig { cleanup, remote_storage_enable: true, ..small(500) }] {
        let (disk, mut log) = filled(&config, 40);
        let segments = log.closed_segments();
        log.advance_log_start(segments[3].end, NOW_MS).expect("advanced").run().expect("deleted");
        drop(log);
        let (log, _) = open(&disk, &config);
        assert_eq!((log.log_start(), log.local_start()), (segments[3].end, segments[3].end));
    }
}

#[test]
fn a_log_start_that_was_raised_and_stored_cuts_the_chain_when_the_log_is_opened_again_and_what_lies_below_may_go_later()
 {
    let config = LogConfig { remote_storage_enable: true, ..small(500) };
    let (disk, mut log) = filled(&config, 20);
    log.begin_epoch(LeaderEpoch(EPOCH.0 + 1)).expect("begins");
    for i in 20..40 {
        log.append_as_leader(vec![batch(&["x"])], LeaderEpoch(EPOCH.0 + 1), NOW_MS + i).expect("written");
    }
    let (all, (_, _, before)) = (log.closed_segments().len(), disk.calls());
    assert!(matches!(log.raise_log_start(Offset(41), NOW_MS), Err(LogError::OutOfRange { .. })));
    log.raise_log_start(Offset(25), NOW_MS).expect("raised");
    assert_eq!(disk.calls().2, before, "in memory alone");
    let cut = [EpochEntry { epoch: LeaderEpoch(EPOCH.0 + 1), start: Offset(25) }];
    assert_eq!((log.log_start(), log.local_start()), (Offset(25), Offset(25)));
    assert_eq!(log.epochs().entries(), cut);
    drop(log);
    for (on, stored) in [(true, 25), (false, 25), (true, 0), (false, 0)] {
        let config = LogConfig { remote_storage_enable: on, ..config.clone() };
        let open = OpenLog { log_start: Offset(stored), ..opening(&disk.duplicate(), &config) };
        let (mut log, _) = Log::open(open).expect("opens");
        assert_eq!((log.log_start(), log.log_end()), (Offset(stored), Offset(40)), "{on}");
        assert_eq!(log.closed_segments().len(), all);
        if stored > 0 {
            assert_eq!(log.epochs().entries(), cut);
            log.delete_segments_below(Offset(stored)).expect("out").run().expect("deleted");
            assert!(log.closed_segments().iter().all(|segment| segment.end > Offset(stored)));
        } else {
            assert_eq!(log.epochs().entries().len(), 2);
        }
        assert_eq!(log.local_start(), Offset(stored));
    }
}

#[test]
fn little_room_takes_all_local_copies_of_what_is_in_the_tier_and_nothing_else() {
    let config = LogConfig {
        remote_storage_enable: true,
        local_retention_bytes: 1 << 30,
        local_retention_ms: 1,
        ..small(500)
    };
    let (_disk, log) = filled(&config, 40);
    let tier_end = log.closed_segments()[3].end;
    let expired = |now_ms, is_low| log.expired_by_local_retention(now_ms, tier_end, is_low);
    assert_eq!(expired(None, false), Offset::ZERO, "without a time nothing is old");
    assert_eq!(expired(Some(i64::MAX), false), tier_end);
    assert_eq!(expired(None, true), tier_end);
    assert_eq!(log.expired_by_local_retention(None, Offset::ZERO, true), Offset::ZERO);
}

#[test]
fn a_reset_drops_everything_and_starts_where_told() {
    let config = small(500);
    let (disk, mut log) = filled(&config, 40);
    log.reset_to(Offset(1000), vec![entry(2, 900), entry(4, 1500)]).expect("reset");
    assert_eq!(
        (log.log_start(), log.local_start(), log.log_end()),
        (Offset(1000), Offset(1000), Offset(1000))
    );
    assert_eq!(log.epochs().entries(), [entry(2, 1000)], "nothing below is in the tier");
    assert_eq!(append(&mut log, batch(&["a"])), Offset(1000));
    drop(log);
    let (log, _) = open(&disk, &config);
    assert_eq!((log.log_start(), log.log_end()), (Offset(1000), Offset(1001)));
}

#[test]
fn tier_state_brings_epochs_and_producers_along() {
    let config = LogConfig { remote_storage_enable: true, ..small(500) };
    let (_disk, mut leader) = fresh(&config);
    for i in 0..20 {
        append(&mut leader, produced(4, 0, i, 1));
    }
    leader.roll(NOW_MS).expect("rolls");
    let last = leader.closed_segments().pop().expect("closed");
    let sections = leader.segment_sections(last.base).expect("read");
    let text = String::from_utf8(sections.leader_epochs.to_vec()).expect("text");
    assert_eq!(text, "0\n1\n3 0\n");
    assert_eq!(leader.segment_file(last.base).expect("there").len().expect("known"), last.bytes);
    let (disk, mut follower) = filled(&config, 3);
    let chain = leader.epochs().entries().to_vec();
    let broken = sections.producer_snapshot.slice(1..);
    assert!(follower.install_tier_state(last.end, chain.clone(), broken).is_err());
    assert_eq!(follower.log_end(), Offset(3), "a bad snapshot changes nothing");
    follower.install_tier_state(last.end, chain, sections.producer_snapshot).expect("installed");
    drop(follower);
    let (mut follower, _) = open(&disk, &config);
    assert_eq!((follower.log_start(), follower.local_start()), (Offset::ZERO, Offset(20)));
    assert_eq!(follower.epochs(), leader.epochs());
    let answers = follower.append_as_leader(vec![produced(4, 0, 19, 1)], EPOCH, NOW_MS).expect("ok");
    assert!(answers[0].as_ref().expect("acknowledged").duplicate);
}

#[test]
fn an_offset_is_found_by_time_in_and_across_segments() {
    let config = small(500);
    let (_disk, log) = filled(&config, 40);
    let find = |at: i64| log.offset_for_timestamp(NOW_MS + at, log.log_end()).expect("read");
    for i in 0..40 {
        let found = find(i).expect("found");
        assert_eq!((found.offset, found.timestamp, found.epoch), (Offset(i), NOW_MS + i, EPOCH));
    }
    assert_eq!(find(-500).expect("found").offset, Offset::ZERO);
    assert_eq!(find(40), None);
    assert_eq!(log.offset_for_timestamp(NOW_MS + 39, Offset(39)).expect("read"), None, "below the end only");
    let newest = log.max_timestamp().expect("read").expect("found");
    assert_eq!((newest.offset, newest.timestamp), (Offset(39), NOW_MS + 39));
}

#[test]
fn timestamps_out_of_order_and_inside_compressed_batches_are_found() {
    let (_disk, mut log) = fresh(&small(1 << 20));
    let times = [50, 10, 70, 20, 60, 90, 30];
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let mut builder = BatchBuilder::new(codec);
        for at in times {
            builder.add(NOW_MS + at, None, Some(b"v"), &[]);
        }
        append(&mut log, builder.build().expect("a batch"));
    }
    for at in 0..=91 {
        let expected = times.iter().position(|time| *time >= at).map(|i| Offset(i as i64));
        let found = log.offset_for_timestamp(NOW_MS + at, log.log_end()).expect("read");
        assert_eq!(found.map(|found| found.offset), expected, "{at}");
    }
    assert_eq!(log.max_timestamp().expect("read").map(|found| found.offset), Some(Offset(5)));
    assert_eq!(fresh(&LogConfig::default()).1.max_timestamp().expect("read"), None);
}

fn transactional(log: &mut Log, producer: i64, sequence: i32) {
    let mut builder =
        BatchBuilder::default().producer(ProducerId(producer), ProducerEpoch(0), sequence).transactional();
    builder.add(NOW_MS, None, Some(b"v"), &[]);
    append(log, builder.build().expect("a batch"));
}

fn end_transaction(log: &mut Log, producer: i64, commit: bool) {
    let mut builder = BatchBuilder::default()
        .producer(ProducerId(producer), ProducerEpoch(0), -1)
        .transactional()
        .control()
        .placed(log.log_end(), EPOCH);
    builder.add(NOW_MS, Some(&[0, 0, 0, u8::from(commit)]), Some(&[0; 6]), &[]);
    log.append_as_follower(builder.build().expect("a marker"), NOW_MS).expect("appended");
}

#[test]
fn open_transactions_and_markers_above_the_high_watermark_hold_the_last_stable_offset() {
    let config = small(300);
    let (disk, mut log) = fresh(&config);
    append(&mut log, batch(&["plain"]));
    transactional(&mut log, 1, 0); // 1
    transactional(&mut log, 2, 0); // 2
    end_transaction(&mut log, 1, false); // 3
    append(&mut log, batch(&["plain"])); // 4
    let check = |log: &Log| {
        let stable: Vec<i64> = [0, 1, 3, 4, 5].map(|hw| log.last_stable(Offset(hw)).0).into();
        assert_eq!(stable, [0, 1, 1, 2, 2]);
        let aborted = log.aborted_transactions(Offset(0), Offset(5)).expect("read");
        assert_eq!(aborted.len(), 1);
        let aborted = aborted[0];
        assert_eq!((aborted.producer_id, aborted.first, aborted.last), (ProducerId(1), Offset(1), Offset(3)));
        assert_eq!(aborted.last_stable, Offset(2), "transaction 2 was still open");
        assert_eq!(log.aborted_transactions(Offset(4), Offset(5)).expect("read"), []);
    };
    check(&log);
    drop(log);
    let (mut log, _) = open(&disk, &config);
    check(&log);
    end_transaction(&mut log, 2, true); // 5
    assert_eq!(log.last_stable(Offset(5)), Offset(2), "its marker is not committed yet");
    assert_eq!(log.last_stable(Offset(6)), Offset(6));
    log.forget_old_producers(Offset(6), Some(NOW_MS));
    assert_eq!(log.last_stable(Offset(6)), Offset(6));
}

/// The model of the random test once kept such an epoch where the log forgot it (seeds 287023 and 425725).
#[test]
fn an_epoch_without_a_batch_is_forgotten_by_a_truncation_that_cuts_nothing() {
    let config = small(1000);
    let (disk, mut log) = fresh(&config);
    log.begin_epoch(LeaderEpoch(5)).expect("begins");
    assert_eq!(log.truncate_to(Offset(0)).expect("nothing to cut"), Offset(0));
    assert_eq!(log.epochs().entries(), [], "an empty log has no chain");
    assert_eq!(open(&disk, &config).0.epochs().entries(), [], "nor after a restart");
    // So the batches of a leader with an older epoch, which this broker has led over without a word, are taken.
    let under = |epoch, at| {
        let mut builder = BatchBuilder::default().placed(Offset(at), LeaderEpoch(epoch));
        builder.add(NOW_MS, None, Some(b"v"), &[]);
        builder.build().expect("a batch")
    };
    log.append_as_follower(under(3, 0), NOW_MS).expect("an older epoch");
    log.begin_epoch(LeaderEpoch(7)).expect("begins");
    assert!(matches!(log.append_as_follower(under(4, 1), NOW_MS), Err(LogError::EpochWentBack { .. })));
    log.truncate_to(Offset(1)).expect("nothing to cut");
    log.append_as_follower(under(4, 1), NOW_MS).expect("an older epoch");
    let chain: Vec<(i32, i64)> = log.epochs().entries().iter().map(|e| (e.epoch.0, e.start.0)).collect();
    assert_eq!(chain, [(3, 0), (4, 1)]);
}

#[test]
fn a_cut_of_the_batch_that_holds_the_log_start_leaves_the_start_where_it_was() {
    let config = small(1000);
    let (disk, mut log) = fresh(&config);
    append(&mut log, batch(&["a", "b", "c", "d"]));
    log.advance_log_start(Offset(2), NOW_MS).expect("advanced").run().expect("deleted");
    assert_eq!(
        log.truncate_to(Offset(3)).expect("cut"),
        Offset(2),
        "offsets below the start never come again"
    );
    assert_eq!((log.log_start(), log.log_end()), (Offset(2), Offset(2)));
    let (log, _) = Log::open(OpenLog { log_start: Offset(2), ..opening(&disk, &config) }).expect("opens");
    assert_eq!((log.log_start(), log.log_end()), (Offset(2), Offset(2)));
}

#[test]
fn only_what_is_one_write_into_the_page_cache_is_an_append_at_once() {
    let topic = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        LogConfig::from_properties(&small(2_000), &pairs.collect()).expect("a config")
    };
    let of = |config: &LogConfig, start: i64, origin: Origin, bytes: usize, now_ms: i64| {
        let (_disk, mut log) = fresh(config);
        // Far above what fits between a segment's first offset and zero.
        log.reset_to(Offset(start), Vec::new()).expect("reset");
        append(&mut log, batch(&["first"]));
        log.appends_at_once(&LeaderBatch::new(batch(&[&"x".repeat(bytes)]), origin), now_ms)
    };
    let client = Origin::Client(Verification::Off);
    let usual = topic(&[]);
    assert!(of(&usual, 0, client, 100, NOW_MS));
    assert!(of(&usual, 5_000_000_000, client, 100, NOW_MS), "offsets above 2^31 are none of its business");
    assert!(of(&usual, 0, Origin::Coordinator, 100, NOW_MS));
    assert!(!of(&usual, 0, Origin::Marker { strict: false, decision: None }, 100, NOW_MS));
    assert!(!of(&usual, 0, client, 1_900, NOW_MS), "a new segment");
    for (key, value) in
        [("flush.messages", "1"), ("flush.messages", "1000"), ("flush.ms", "0"), ("compression.type", "zstd")]
    {
        assert!(!of(&topic(&[(key, value)]), 0, client, 100, NOW_MS), "{key}={value}");
    }
    let compacted = topic(&[("cleanup.policy", "compact")]);
    assert!(!of(&compacted, 0, client, 100, NOW_MS), "records are looked at, compressed ones too");
    assert!(of(&compacted, 0, Origin::Coordinator, 100, NOW_MS));
    let stamped = topic(&[("message.timestamp.type", "LogAppendTime"), ("segment.ms", "1000")]);
    assert!(of(&stamped, 0, client, 100, NOW_MS));
    assert!(!of(&stamped, 0, client, 100, NOW_MS + 100_000), "the segment's time is over");
}
