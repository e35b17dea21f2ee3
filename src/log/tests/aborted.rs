//! The index of aborted transactions, whatever happens to its files: readers of committed data get what was committed.

use super::compaction::{MAP_BYTES, pass};
use super::*;
use crate::env::OpenMode;
use crate::log::files::{TXN_CHECKSUM, TXN_INDEX, segment_path};
use crate::log::{CleanupPolicy, LeaderBatch, Origin, Verification};
use crate::wire::record_batch::{ControlKind, end_transaction_marker};

/// A log into which transactions are written.
struct Writer {
    log: Log,
    sequences: [i32; 4],
}

impl Writer {
    fn send(&mut self, records: Bytes, origin: Origin) {
        let batch = LeaderBatch::new(records, origin);
        self.log.append_as_leader(vec![batch], EPOCH, NOW_MS).expect("written").remove(0).expect("taken");
    }

    fn put(&mut self, producer: usize) {
        let id = ProducerId(i64::try_from(producer).expect("small"));
        let guard = self.log.transaction_guard(id, ProducerEpoch(0), EPOCH);
        let mut builder =
            BatchBuilder::default().producer(id, ProducerEpoch(0), self.sequences[producer]).transactional();
        self.sequences[producer] += 1;
        builder.add(NOW_MS, Some(b"key"), Some(format!("{}", self.log.log_end()).as_bytes()), &[]);
        self.send(builder.build().expect("a batch"), Origin::Client(Verification::Guard(guard)));
    }

    fn end(&mut self, producer: usize, kind: ControlKind) {
        let id = ProducerId(i64::try_from(producer).expect("small"));
        let marker = end_transaction_marker((id, ProducerEpoch(0)), kind, 1, NOW_MS).expect("a marker");
        self.send(marker, Origin::Marker { strict: false, decision: None });
    }
}

/// Transactions of three producers that overlap, commits and aborts, over several segments.
fn written(config: &LogConfig) -> (SimDisk, Log) {
    let (disk, log) = fresh(config);
    let mut writer = Writer { log, sequences: [0; 4] };
    for round in 0..9 {
        for producer in [1, 2, 3, 1, 3, 1] {
            writer.put(producer);
        }
        append(&mut writer.log, batch(&["of nobody"]));
        for producer in 1..4 {
            // The third one's transactions go over two rounds.
            if producer < 3 || round % 2 == 1 {
                let aborts = (round + producer) % 3 == 0;
                writer.end(producer, if aborts { ControlKind::Abort } else { ControlKind::Commit });
            }
        }
    }
    (disk, writer.log)
}

/// What a reader of committed data sees from an offset on, as clients filter it.
fn committed(log: &Log, from: Offset) -> Result<Vec<i64>, LogError> {
    let end = log.last_stable(log.log_end());
    let mut list = log.aborted_transactions(from, end)?;
    list.sort_by_key(|aborted| std::cmp::Reverse(aborted.first));
    let mut aborted = std::collections::BTreeSet::new();
    let mut seen = Vec::new();
    for batch in BatchIter::new(read_all(log, from)?).map(|batch| batch.expect("a batch")) {
        let header = batch.header;
        if header.last_offset() >= end {
            break;
        }
        while let Some(next) = list.pop_if(|next| next.first <= header.last_offset()) {
            aborted.insert(next.producer_id);
        }
        let mut records = batch.records(1 << 20).expect("records").map(|record| record.expect("a record"));
        if header.attributes.is_control() {
            if records.next().and_then(|marker| marker.control_kind()) == Some(ControlKind::Abort) {
                aborted.remove(&header.producer_id);
            }
        } else if !header.attributes.is_transactional() || !aborted.contains(&header.producer_id) {
            seen.extend(records.map(|record| record.offset.0));
        }
    }
    Ok(seen)
}

fn all_committed(
    disk: &SimDisk,
    config: &LogConfig,
    clean: bool,
    end: Offset,
) -> Result<Vec<Vec<i64>>, LogError> {
    let log = Log::open(OpenLog { clean, recovery_point: end, ..opening(disk, config) })?.0;
    [0, 40, 66].into_iter().map(|from| committed(&log, Offset(from))).collect()
}

fn txn_files(disk: &SimDisk, extension: &str) -> Vec<PathBuf> {
    let files = disk.snapshot().into_keys();
    files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

#[test]
fn any_flipped_bit_of_a_log_of_transactions_is_found_or_harmless() {
    let config = small(1500);
    let (disk, mut log) = written(&config);
    log.close_clean().expect("closes");
    let end = log.log_end();
    drop(log);
    let (indexes, checksums) = (txn_files(&disk, TXN_INDEX), txn_files(&disk, TXN_CHECKSUM));
    assert!(indexes.len() > 2 && indexes.len() == checksums.len(), "of several segments: {indexes:?}");
    for clean in [true, false] {
        let expected = all_committed(&disk.duplicate(), &config, clean, end).expect("nothing is wrong");
        assert!(expected[0].len() > 20, "{expected:?}");
        let (mut found, mut harmless) = (0, 0);
        for (path, content) in disk.snapshot() {
            // Every bit of the indexes of transactions; of the others a prime step, so that every place in a byte is met.
            let step = if indexes.contains(&path) { 1 } else { 37 };
            for bit in (0..content.len() * 8).step_by(step) {
                let disk = disk.duplicate();
                disk.flip_bit(&path, bit);
                match all_committed(&disk, &config, clean, end) {
                    Err(_) => found += 1,
                    Ok(seen) => {
                        harmless += 1;
                        assert_eq!(seen, expected, "bit {bit} of {}, clean {clean}", path.display());
                    }
                }
            }
        }
        assert!(found > 100 && harmless > 500, "{found} found, {harmless} harmless");
    }
}

#[test]
fn an_index_that_is_missing_cut_or_wrong_is_built_anew_and_a_believed_one_shows_the_control() {
    let config = small(1500);
    let (disk, mut log) = written(&config);
    log.close_clean().expect("closes");
    let expected = committed(&log, Offset::ZERO).expect("read");
    drop(log);
    let whole = disk.snapshot();
    let mut fooled = 0;
    for path in txn_files(&disk, TXN_INDEX) {
        let harm: [&dyn Fn(&SimDisk); 3] = [
            &|disk| disk.remove_file(&path).expect("removed"),
            &|disk| disk.open(&path, OpenMode::ReadWrite).and_then(|file| file.set_len(0)).expect("emptied"),
            &|disk| disk.flip_bit(&path, 8 * 17 + 1),
        ];
        for (i, harm) in harm.iter().enumerate() {
            let disk = disk.duplicate();
            harm(&disk);
            let (mut log, report) =
                Log::open(OpenLog { clean: true, ..opening(&disk, &config) }).expect("opens");
            assert!(report.scanned_segments > 0, "harm {i}");
            assert_eq!(committed(&log, Offset::ZERO).expect("read"), expected, "harm {i}");
            log.close_clean().expect("closes");
            assert_eq!(disk.read(&path).expect("there"), whole[&path], "harm {i}");
        }
        // Without its checksum the flipped index is believed, as Kafka would: the checksum is what finds it.
        let disk = disk.duplicate();
        disk.flip_bit(&path, 8 * 17 + 1);
        disk.remove_file(&path.with_extension(TXN_CHECKSUM)).expect("removed");
        let (log, _) = Log::open(OpenLog { clean: true, ..opening(&disk, &config) }).expect("opens");
        fooled += usize::from(committed(&log, Offset::ZERO).ok().as_ref() != Some(&expected));
    }
    assert!(fooled > 0);
}

#[test]
fn an_index_that_changes_under_an_open_log_is_not_read() {
    let config = small(1500);
    let (disk, log) = written(&config);
    let expected = committed(&log, Offset::ZERO).expect("read");
    let path = txn_files(&disk, TXN_INDEX).remove(0);
    disk.flip_bit(&path, 100);
    let error = log.aborted_transactions(Offset::ZERO, log.log_end()).expect_err("its checksum");
    assert!(error.is_damage() && error.to_string().contains("checksum"), "{error}");
    disk.flip_bit(&path, 100);
    assert_eq!(committed(&log, Offset::ZERO).expect("read"), expected);
}

#[test]
fn an_abort_marker_torn_at_any_byte_leaves_its_transaction_open() {
    let config = small(1 << 20);
    let marker = end_transaction_marker((ProducerId(1), ProducerEpoch(0)), ControlKind::Abort, 1, NOW_MS);
    let len = marker.expect("a marker").len();
    for torn in 0..=len {
        let (disk, log) = fresh(&config);
        let mut writer = Writer { log, sequences: [0; 4] };
        writer.put(1);
        writer.end(1, ControlKind::Abort);
        writer.put(1);
        writer.put(2);
        writer.end(1, ControlKind::Abort);
        drop(writer);
        disk.tear_last_write(torn);
        let (log, _) = open(&disk, &config);
        let found = log.aborted_transactions(Offset::ZERO, Offset(100)).expect("read");
        let found: Vec<(i64, i64)> = found.iter().map(|it| (it.first.0, it.last.0)).collect();
        let stable = log.last_stable(log.log_end());
        if torn < len {
            assert_eq!((found, stable), (vec![(0, 1)], Offset(2)), "torn at {torn}");
        } else {
            assert_eq!((found, stable), (vec![(0, 1), (2, 4)], Offset(3)));
        }
    }
}

#[test]
fn a_log_of_transactions_that_is_cut_anywhere_and_goes_on_knows_what_was_aborted() {
    let config = small(1500);
    let end = written(&config).1.log_end().0;
    for cut in 0..end {
        let (disk, mut log) = written(&config);
        // Half of them after a clean stop, so that the checksums are there.
        if cut % 2 == 0 {
            log.close_clean().expect("closes");
            log = Log::open(OpenLog { clean: true, ..opening(&disk, &config) }).expect("opens").0;
        }
        let before = log.aborted_transactions(Offset::ZERO, Offset(end)).expect("read");
        log.truncate_to(Offset(cut)).expect("cut");
        let mut writer = Writer { log, sequences: [100; 4] };
        let next = writer.log.log_end();
        for (id, known) in writer.log.active_producers().into_iter().map(|known| (known.id.0, known)) {
            writer.sequences[usize::try_from(id).expect("small")] = known.last_sequence + 1;
        }
        writer.put(2);
        writer.end(2, ControlKind::Abort);
        let mut kept: Vec<_> =
            before.into_iter().filter(|it| it.last < Offset(cut)).map(|it| it.last).collect();
        kept.push(next + 1);
        for clean in [true, false] {
            if clean {
                writer.log.close_clean().expect("closes");
            }
            let (log, _) = Log::open(OpenLog { clean, ..opening(&disk, &config) }).expect("opens");
            let found = log.aborted_transactions(Offset::ZERO, Offset(end + 2)).expect("read");
            assert_eq!(
                found.iter().map(|it| it.last).collect::<Vec<_>>(),
                kept,
                "cut at {cut}, clean {clean}"
            );
        }
    }
}

#[test]
fn a_compaction_ended_at_any_call_shows_what_was_committed_last_and_nothing_that_was_aborted() {
    let config = LogConfig { cleanup: CleanupPolicy { compact: true, delete: false }, ..small(1500) };
    let (disk, mut log) = written(&config);
    log.roll(NOW_MS).expect("rolls");
    let end = log.flush().expect("flushed");
    let before = committed(&log, Offset::ZERO).expect("read");
    drop(log);
    let open = |disk: &SimDisk| {
        Log::open(OpenLog { recovery_point: end, ..opening(disk, &config) }).expect("opens").0
    };
    for power_is_lost in [false, true] {
        for calls in 0.. {
            let disk = disk.duplicate();
            let mut log = open(&disk);
            disk.die_after(calls);
            let compacted = pass(&mut log, MAP_BYTES, NOW_MS);
            let finished = disk.revive();
            assert_eq!(compacted.is_ok(), finished, "call {calls}: {compacted:?}");
            drop(log);
            if power_is_lost {
                disk.lose_power();
            }
            let log = open(&disk);
            let seen = committed(&log, Offset::ZERO).expect("read");
            assert!(seen.iter().all(|offset| before.contains(offset)), "call {calls}: {seen:?}");
            assert_eq!(seen.last(), before.last(), "call {calls}");
            if finished {
                assert!(calls > 50 && seen.len() < before.len() / 2, "{calls} calls: {seen:?}");
                break;
            }
        }
    }
}

#[test]
fn the_checksum_has_these_bytes() {
    let (disk, mut log) = written(&small(1500));
    log.close_clean().expect("closes");
    for path in txn_files(&disk, TXN_INDEX) {
        let crc = crc32c::crc32c(&disk.read(&path).expect("there"));
        let expected = [&[0, 0][..], &crc.to_be_bytes()].concat();
        assert_eq!(disk.read(&path.with_extension(TXN_CHECKSUM)).expect("there"), expected);
    }
    assert!(!disk.exists(&segment_path(&dir(), log.log_end(), TXN_CHECKSUM)).expect("asked"));
}
