//! What a leader accepts from clients: bounds, sequences, epochs.

use super::*;
use crate::log::config::CleanupPolicy;
use crate::log::{Appended, Rejected};
use crate::wire::record_batch::{BatchHeader, TimestampType};

fn try_append(log: &mut Log, batch: Bytes) -> Result<Appended, Rejected> {
    log.append_as_leader(vec![batch], log.last_epoch().max(EPOCH), NOW_MS).expect("written").remove(0)
}

fn refused(config: &LogConfig, batch: Bytes) -> Rejected {
    let (_disk, mut log) = fresh(config);
    let rejected = try_append(&mut log, batch).expect_err("it must be refused");
    assert_eq!(log.log_end(), Offset::ZERO);
    rejected
}

/// A good batch with one header field changed, and its CRC made right again.
fn with_header(change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    resealed(&batch(&["a", "b"]), change)
}

fn resealed(good: &Bytes, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::parse(good).expect("a header");
    change(&mut header);
    header.seal(&good[HEADER_BYTES..]);
    let mut bytes = bytes::BytesMut::new();
    header.write(&mut bytes);
    bytes.extend_from_slice(&good[HEADER_BYTES..]);
    bytes.freeze()
}

#[test]
fn a_batch_that_breaks_a_rule_is_refused() {
    let default = LogConfig::default();
    let invalid = |batch| matches!(refused(&default, batch), Rejected::InvalidRecord(_));
    assert!(invalid(with_header(|h| h.count = 3)), "count above the range");
    assert!(invalid(with_header(|h| h.count = 0)));
    assert!(invalid(with_header(|h| h.count = -1)));
    assert!(invalid(with_header(|h| h.last_offset_delta = -1)));
    assert!(invalid(with_header(|h| h.last_offset_delta = i32::MAX)));
    let many = |count: i32, codec: i16| {
        with_header(|h| {
            (h.count, h.last_offset_delta, h.attributes.0) = (count, count - 1, codec);
        })
    };
    assert!(invalid(many(i32::MAX, 0)), "more records than bytes");
    assert!(invalid(many(i32::MAX, 4)), "compressed, too");
    assert!(invalid(with_header(|h| h.base_offset = Offset(1))));
    assert!(invalid(with_header(|h| h.attributes = h.attributes.control())));
    assert!(invalid(with_header(|h| h.attributes = h.attributes.transactional())));
    assert!(invalid(with_header(|h| h.attributes.0 |= 7)), "compression type 7");
    assert!(invalid(with_header(|h| h.attributes.0 |= 8)), "LogAppendTime from a client");
    assert!(invalid(with_header(|h| h.producer_id = ProducerId(5))), "no sequence number");
    let two: Vec<u8> = [batch(&["a"]), batch(&["b"])].concat();
    assert!(invalid(two.into()), "one batch per request");
    let mut old = batch(&["a"]).to_vec();
    old[16] = 1;
    assert!(invalid(old.into()), "magic 1");
    assert!(matches!(refused(&default, Bytes::new()), Rejected::Corrupt(_)));
    assert!(matches!(refused(&default, batch(&["a"]).slice(..70)), Rejected::Corrupt(_)));
}

#[test]
fn a_flipped_bit_under_the_crc_is_refused() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    let good = batch(&["a", "b"]);
    for bit in 17 * 8..good.len() * 8 {
        let mut bad = good.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(try_append(&mut log, bad.into()), Err(Rejected::Corrupt(_))), "bit {bit}");
    }
}

#[test]
fn a_batch_above_max_message_bytes_or_above_a_segment_is_refused() {
    let large = batch(&[&"x".repeat(2000)]);
    let config = LogConfig { max_message_bytes: large.len() - 1, ..LogConfig::default() };
    let expected = Rejected::TooLarge { bytes: large.len(), max_bytes: large.len() - 1 };
    assert_eq!(refused(&config, large.clone()), expected);
    let config = LogConfig { segment_bytes: 1000, ..LogConfig::default() };
    assert!(matches!(refused(&config, large.clone()), Rejected::AboveSegment { .. }));
    let (_disk, mut log) = fresh(&LogConfig { max_message_bytes: large.len(), ..LogConfig::default() });
    assert!(try_append(&mut log, large).is_ok());
}

#[test]
fn a_wild_timestamp_is_refused() {
    const HOUR_MS: i64 = 3_600_000;
    let default = LogConfig::default();
    let wild = |config: &LogConfig, at| {
        matches!(refused(config, batch_at(at, &["a"])), Rejected::InvalidTimestamp { .. })
    };
    assert!(wild(&default, NOW_MS + HOUR_MS + 1));
    let bounded = LogConfig { timestamp_before_max_ms: HOUR_MS, ..LogConfig::default() };
    assert!(wild(&bounded, NOW_MS - HOUR_MS - 1));
    let (_disk, mut log) = fresh(&bounded);
    for good in [NOW_MS - HOUR_MS, NOW_MS + HOUR_MS] {
        assert!(try_append(&mut log, batch_at(good, &["a"])).is_ok());
    }
    assert!(try_append(&mut fresh(&default).1, batch_at(0, &["a"])).is_ok(), "old data may be loaded");
}

#[test]
fn a_record_with_a_wild_timestamp_is_refused_whatever_the_header_says() {
    const HOUR_MS: i64 = 3_600_000;
    let config = LogConfig { timestamp_before_max_ms: HOUR_MS, ..LogConfig::default() };
    for wild in [NOW_MS - 2 * HOUR_MS, NOW_MS + 2 * HOUR_MS, i64::MAX / 2, -5] {
        let mut builder = BatchBuilder::default();
        builder.add(NOW_MS, None, Some(b"good"), &[]);
        builder.add(wild, None, Some(b"wild"), &[]);
        let lie = resealed(&builder.build().expect("a batch"), |h| h.max_timestamp = NOW_MS);
        assert!(matches!(refused(&config, lie), Rejected::InvalidTimestamp { .. }), "{wild}");
    }
}

#[test]
fn a_header_that_lies_about_its_largest_timestamp_is_mended() {
    for lie in [0, -1, NOW_MS - 1, NOW_MS + 1, i64::MAX] {
        let (_disk, mut log) = fresh(&LogConfig::default());
        let taken =
            try_append(&mut log, with_header(|h| h.max_timestamp = lie)).expect("its records are good");
        assert_eq!(taken.max_timestamp, NOW_MS, "{lie}");
        let stored = read_all(&log, Offset::ZERO).expect("read");
        let batch = BatchIter::new(stored).next().expect("one").expect("a batch");
        batch.check_crc().expect("sealed anew");
        assert_eq!(batch.header.max_timestamp, NOW_MS);
    }
}

#[test]
fn records_that_no_client_could_read_are_refused_on_every_topic() {
    let sound = batch(&["a", "b"]);
    let whole = body(&sound);
    let with_body = |records: &[u8], count: i32| {
        let mut header = BatchHeader::parse(&sound).expect("a header");
        (header.count, header.last_offset_delta) = (count, count - 1);
        crate::wire::record_batch::Batch::sealed(header, records).expect("a batch").bytes
    };
    assert!(try_append(&mut fresh(&LogConfig::default()).1, with_body(&whole, 2)).is_ok(), "the control");
    let cases: [(&str, Vec<u8>, i32); 6] = [
        ("one more than there are", whole.to_vec(), 3),
        ("one fewer than there are", whole.to_vec(), 1),
        ("cut in the last one", whole[..whole.len() - 1].to_vec(), 2),
        ("bytes after them", [&whole[..], b"x"].concat(), 2),
        ("an endless number", vec![0xff; 40], 1),
        ("zeroes", vec![0; 40], 2),
    ];
    for (what, records, count) in cases {
        let rejected = refused(&LogConfig::default(), with_body(&records, count));
        assert!(
            matches!(rejected, Rejected::Corrupt(_) | Rejected::InvalidRecord(_)),
            "{what}: {rejected:?}"
        );
    }
}

#[test]
fn every_record_of_a_compacted_topic_has_a_key() {
    let config =
        LogConfig { cleanup: CleanupPolicy { compact: true, delete: false }, ..LogConfig::default() };
    for codec in
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        let mut builder = BatchBuilder::new(codec);
        builder.add(NOW_MS, Some(b"key"), Some(b"value"), &[]);
        let (_disk, mut log) = fresh(&config);
        assert!(try_append(&mut log, builder.clone().build().expect("a batch")).is_ok());
        builder.add(NOW_MS, None, Some(b"value"), &[]);
        assert!(matches!(refused(&config, builder.build().expect("a batch")), Rejected::InvalidRecord(_)));
    }
}

#[test]
fn a_retry_of_any_of_the_last_five_batches_is_answered_with_its_old_offset() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    for i in 0..8 {
        try_append(&mut log, produced(4, 0, 2 * i, 2)).expect("accepted");
    }
    for i in 3..8 {
        let again = try_append(&mut log, produced(4, 0, 2 * i, 2)).expect("acknowledged");
        assert!(again.duplicate && again.chunks.is_empty());
        assert_eq!((again.base, again.last), (Offset(i64::from(2 * i)), Offset(i64::from(2 * i + 1))));
    }
    assert!(matches!(
        try_append(&mut log, produced(4, 0, 4, 2)),
        Err(Rejected::OutOfOrderSequence { last: 15, got: 4 })
    ));
    assert_eq!(log.log_end(), Offset(16));
}

#[test]
fn a_duplicate_within_one_group_is_written_once() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    let items = vec![produced(4, 0, 0, 2), produced(4, 0, 0, 2), produced(4, 0, 2, 1)];
    let answers = log.append_as_leader(items, EPOCH, NOW_MS).expect("written");
    let bases: Vec<(i64, bool)> =
        answers.iter().map(|a| a.as_ref().map(|a| (a.base.0, a.duplicate)).expect("accepted")).collect();
    assert_eq!(bases, [(0, false), (0, true), (2, false)]);
}

#[test]
fn a_gap_in_the_sequence_is_refused_and_it_wraps_at_its_end() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    try_append(&mut log, produced(4, 0, i32::MAX - 1, 2))
        .expect("a producer unknown here may begin anywhere");
    assert!(matches!(
        try_append(&mut log, produced(4, 0, 1, 1)),
        Err(Rejected::OutOfOrderSequence { last: i32::MAX, got: 1 })
    ));
    try_append(&mut log, produced(4, 0, 0, 1)).expect("0 follows the largest");
}

#[test]
fn an_older_producer_epoch_is_fenced_and_a_newer_one_begins_at_zero() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    try_append(&mut log, produced(4, 1, 0, 1)).expect("accepted");
    let current = ProducerEpoch(1);
    let fenced = Rejected::InvalidProducerEpoch { current, got: ProducerEpoch(0) };
    assert_eq!(try_append(&mut log, produced(4, 0, 1, 1)), Err(fenced));
    assert!(matches!(try_append(&mut log, produced(4, 2, 1, 1)), Err(Rejected::OutOfOrderSequence { .. })));
    assert!(!try_append(&mut log, produced(4, 2, 0, 1)).expect("accepted").duplicate);
}

#[test]
fn all_five_batches_are_remembered_over_a_clean_stop_a_kill_and_a_truncation() {
    let config = small(400);
    for stop in ["clean", "kill", "truncation"] {
        let (disk, mut log) = fresh(&config);
        for i in 0..12 {
            try_append(&mut log, produced(4, 0, i, 1)).expect("accepted");
        }
        let clean = stop == "clean";
        let end = match stop {
            "clean" => log.close_clean().map(|()| 12).expect("closes"),
            "kill" => 12,
            _ => log.truncate_to(Offset(9)).expect("cut").0,
        };
        if stop != "truncation" {
            log = Log::open(OpenLog { clean, ..opening(&disk, &config) }).expect("opens").0;
        }
        for i in end - 5..end {
            let sequence = i32::try_from(i).expect("small");
            let again = try_append(&mut log, produced(4, 0, sequence, 1)).expect("acknowledged");
            assert_eq!((again.base, again.duplicate), (Offset(i), true), "{stop}");
        }
    }
}

#[test]
fn an_idle_producer_is_forgotten_but_not_one_that_writes_old_timestamps() {
    const DAY_MS: i64 = 86_400_000;
    let (_disk, mut log) = fresh(&LogConfig::default());
    let old = {
        let mut builder = BatchBuilder::default().producer(ProducerId(4), ProducerEpoch(0), 0);
        builder.add(1, None, None, &[]);
        builder.build().expect("a batch")
    };
    try_append(&mut log, old.clone()).expect("accepted");
    log.forget_old_producers(log.log_end(), Some(NOW_MS + DAY_MS - 1));
    log.forget_old_producers(log.log_end(), None);
    // Nor by a wall clock that has jumped, when a segment begins.
    log.roll(NOW_MS + 7 * DAY_MS).expect("rolled");
    assert!(try_append(&mut log, old.clone()).expect("acknowledged").duplicate);
    log.forget_old_producers(log.log_end(), Some(NOW_MS + DAY_MS));
    assert!(!try_append(&mut log, old).expect("accepted").duplicate);
}

#[test]
fn a_leader_of_an_older_epoch_cannot_append() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    append(&mut log, batch(&["a"]));
    let older = LeaderEpoch(EPOCH.0 - 1);
    let answer = log.append_as_leader(vec![batch(&["b"])], older, NOW_MS);
    assert!(matches!(answer, Err(LogError::EpochWentBack { .. })));
}

#[test]
fn a_follower_takes_nothing_that_does_not_continue_its_log() {
    let (_disk, mut leader) = fresh(&LogConfig::default());
    for value in ["a", "b", "c"] {
        append(&mut leader, batch(&[value]));
    }
    let part = |from: i64| read_all(&leader, Offset(from)).expect("read");
    let (_other, mut follower) = fresh(&LogConfig::default());
    assert!(matches!(follower.append_as_follower(part(1), NOW_MS), Err(LogError::Gap { .. })));
    let mut flipped = part(0).to_vec();
    *flipped.last_mut().expect("a byte") ^= 1;
    assert!(matches!(follower.append_as_follower(flipped.into(), NOW_MS), Err(LogError::BadBatch { .. })));
    assert!(matches!(follower.append_as_follower(Bytes::new(), NOW_MS), Err(LogError::BadBatch { .. })));
    assert_eq!(follower.log_end(), Offset::ZERO, "nothing of a frame with a bad batch is taken");
    follower.append_as_follower(part(0), NOW_MS).expect("appended");
    assert!(matches!(follower.append_as_follower(part(2), NOW_MS), Err(LogError::Gap { .. })));
    follower.begin_epoch(LeaderEpoch(9)).expect("begins");
    append_epoch_went_back(&mut follower, EPOCH);
}

fn append_epoch_went_back(follower: &mut Log, epoch: LeaderEpoch) {
    let mut builder = BatchBuilder::default().placed(follower.log_end(), epoch);
    builder.add(NOW_MS, None, None, &[]);
    let answer = follower.append_as_follower(builder.build().expect("a batch"), NOW_MS);
    assert!(matches!(answer, Err(LogError::EpochWentBack { .. })));
}

#[test]
fn configs_of_compaction_are_checked_together() {
    let with = |defaults: &LogConfig, topic: &[(&str, &str)]| {
        let topic = topic.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        LogConfig::from_properties(defaults, &topic)
    };
    let defaults = LogConfig::default();
    let config = with(&defaults, &[("min.cleanable.dirty.ratio", "0.25")]).expect("accepted");
    assert_eq!(config.min_cleanable_dirty_millionths, 250_000);
    for bad in ["1.01", "-0.1", "NaN", "much"] {
        with(&defaults, &[("min.cleanable.dirty.ratio", bad)]).expect_err(bad);
    }
    with(&defaults, &[("min.compaction.lag.ms", "5"), ("max.compaction.lag.ms", "4")]).expect_err("crossed");
    // A broker that tiers by default does not tier its compacted topics.
    let tiered = LogConfig { remote_storage_enable: true, ..LogConfig::default() };
    assert!(!with(&tiered, &[("cleanup.policy", "compact")]).expect("accepted").is_tiered());
    assert!(with(&tiered, &[]).expect("accepted").is_tiered());
}

#[test]
fn what_is_stored_has_the_topics_codec_and_the_records_are_the_clients() {
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let sent = |codec| {
        let mut builder = BatchBuilder::new(codec).producer(ProducerId(4), ProducerEpoch(0), 0);
        for i in 0..50 {
            builder.add(NOW_MS + i, Some(b"key"), Some(format!("value {i}").as_bytes()), &[]);
        }
        builder.build().expect("a batch")
    };
    for stored in codecs {
        for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
            let config = LogConfig { compression: Some(stored), timestamp_type, ..LogConfig::default() };
            for codec in codecs {
                let (disk, mut log) = fresh(&config);
                append(&mut log, sent(codec));
                let again =
                    log.append_as_leader(vec![sent(codec)], EPOCH, NOW_MS).expect("answers").remove(0);
                assert!(again.expect("accepted").duplicate);
                drop(log);
                let log = open(&disk, &config).0;
                let bytes = read_all(&log, Offset(0)).expect("read");
                let batch = BatchIter::new(bytes.clone()).next().expect("one").expect("a batch");
                assert_eq!(batch.header.attributes.compression(), Ok(stored));
                assert_eq!(batch.header.attributes.timestamp_type(), timestamp_type);
                assert_eq!(records(&bytes).len(), 50, "{codec:?} to {stored:?}");
                assert_eq!(records(&bytes)[49].1, "value 49");
            }
        }
    }
    // As the client sent it, byte for byte, where the codec is the same.
    let (_disk, mut log) = fresh(&LogConfig { compression: Some(Compression::Zstd), ..LogConfig::default() });
    append(&mut log, sent(Compression::Zstd));
    assert_eq!(body(&read_all(&log, Offset(0)).expect("read")), body(&sent(Compression::Zstd)));
}

#[test]
fn a_batch_that_grows_above_the_bound_or_does_not_decompress_is_refused() {
    let plain =
        LogConfig { compression: Some(Compression::None), max_message_bytes: 2000, ..LogConfig::default() };
    let mut builder = BatchBuilder::new(Compression::Zstd);
    builder.add(NOW_MS, None, Some(&[0; 5000]), &[]);
    assert!(matches!(refused(&plain, builder.build().expect("a batch")), Rejected::TooLarge { .. }));
    let mut bomb = BatchBuilder::new(Compression::Zstd);
    bomb.add(NOW_MS, None, Some(&vec![0; 65 << 20]), &[]);
    let plain = LogConfig { compression: Some(Compression::None), ..LogConfig::default() };
    assert!(matches!(refused(&plain, bomb.build().expect("a batch")), Rejected::InvalidRecord(_)));
    let not_gzip = with_header(|h| h.attributes.0 |= Compression::Gzip as i16);
    assert!(matches!(refused(&plain, not_gzip), Rejected::Corrupt(_)));
}
