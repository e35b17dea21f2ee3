//! Golden bytes and round trips of every file a log writes besides the batches.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

use crate::log::checkpoint::{self, decode_epochs, decode_offsets, decode_partition_metadata};
use crate::log::files::{INDEX, SNAPSHOT, TIME_INDEX, TXN_INDEX, segment_path};
use crate::log::producer_snapshot;
use crate::log::producer_state::{Producer, ProducerBatch, ProducerState};
use crate::log::{AbortedTransaction, EpochEntry};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn entry(epoch: i32, start: i64) -> EpochEntry {
    EpochEntry { epoch: LeaderEpoch(epoch), start: Offset(start) }
}

#[test]
fn the_indexes_are_kafkas() {
    let config = LogConfig { index_interval_bytes: 100, ..LogConfig::default() };
    let (disk, mut log) = fresh(&config);
    for i in 0..5 {
        let size = batch_at(NOW_MS + i, &["12345", "67890"]).len();
        assert_eq!(size, 91);
        append(&mut log, batch_at(NOW_MS + i, &["12345", "67890"]));
    }
    log.roll(NOW_MS).expect("rolls");
    let read = |extension| hex(&disk.read(&segment_path(&dir(), Offset::ZERO, extension)).expect("there"));
    // More than 100 bytes lie before the batches at 182 and 364: their last offsets and positions.
    assert_eq!(read(INDEX), ["00000005", "000000b6", "00000009", "0000016c"].concat());
    // The largest timestamp at those points, with the last offset of the batch that has it.
    assert_eq!(read(TIME_INDEX), ["0000018bcfe56802", "00000005", "0000018bcfe56804", "00000009"].concat());
    assert!(!disk.exists(&segment_path(&dir(), Offset::ZERO, TXN_INDEX)).expect("asked"));
}

#[test]
fn an_entry_of_the_transaction_index_is_kafkas() {
    let bytes = [
        "0000",             // version
        "0000000000000007", // producer id
        "0000000000000001", // first offset
        "0000000000000005", // last offset
        "0000000000000003", // last stable offset
    ]
    .concat();
    let raw: Vec<u8> =
        (0..bytes.len()).step_by(2).map(|i| u8::from_str_radix(&bytes[i..i + 2], 16).expect("hex")).collect();
    let aborted = AbortedTransaction {
        producer_id: ProducerId(7),
        first: Offset(1),
        last: Offset(5),
        last_stable: Offset(3),
    };
    assert_eq!(AbortedTransaction::decode_all(&raw), [aborted]);
}

#[test]
fn a_producer_snapshot_is_kafkas() {
    let (disk, mut log) = fresh(&LogConfig::default());
    append(&mut log, produced(7, 1, 0, 3));
    log.roll(NOW_MS).expect("rolls");
    let bytes = disk.read(&segment_path(&dir(), Offset(3), SNAPSHOT)).expect("there");
    let crc = crc32c::crc32c(&bytes[6..]);
    let expected = [
        "0001",                // version
        &format!("{crc:08x}"), // CRC of the rest
        "00000001",            // producers
        "0000000000000007",    // id
        "0001",                // epoch
        "00000002",            // last sequence
        "0000000000000002",    // last offset
        "00000002",            // offset delta
        "0000018bcfe56800",    // timestamp
        "ffffffff",            // coordinator epoch
        "ffffffffffffffff",    // no open transaction
    ]
    .concat();
    assert_eq!(hex(&bytes), expected);
}

#[test]
fn the_text_files_are_kafkas() {
    let epochs = [entry(1, 0), entry(4, 30)];
    assert_eq!(checkpoint::encode_epochs(&epochs), b"0\n2\n1 0\n4 30\n");
    let partition = partition();
    let offsets = [(&partition, Offset(42))];
    assert_eq!(checkpoint::encode_offsets(offsets.into_iter()), b"0\n1\norders 7 42\n");
    let twice = checkpoint::encode_offsets_twice(offsets.into_iter());
    assert_eq!(twice, b"0\n2\norders 7 42\norders 7 42\n");
    let (id, none) = (TopicId::from_bytes([7; 16]), LeaderEpoch::NONE);
    let text = checkpoint::encode_partition_metadata(id, LeaderEpoch(5));
    assert_eq!(text, b"version: 0\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw\ntier_epoch: 5\n");
    assert_eq!(decode_partition_metadata(&text).expect("reads"), (id, LeaderEpoch(5)));
    let unclear = b"version: 0\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw\ntier_epoch: x\n";
    assert_eq!(
        decode_partition_metadata(unclear).expect("reads"),
        (id, none),
        "then the store is asked again"
    );
    let text = checkpoint::encode_partition_metadata(id, none);
    assert_eq!(text, b"version: 0\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw\n");
    assert_eq!(decode_partition_metadata(&text).expect("reads"), (id, none));
    // Kafka writes no newline at the end of this one.
    assert!(decode_partition_metadata(text.trim_ascii_end()).is_ok());
}

#[test]
fn a_text_file_that_is_not_right_is_refused_with_its_line() {
    let line = |error: checkpoint::TextError| error.to_string();
    for (text, at) in [
        (&b"1\n0\n"[..], "line 1"),
        (b"", "line 1"),
        (b"\xff", "line 1"),
        (b"0\nx\n", "line 2"),
        (b"0\n2\n1 0\n", "line 2"),
        (b"0\n1\n1\n", "line 3"),
        (b"0\n2\n1 0\n1 5\n", "line 4"),
        (b"0\n2\n1 5\n2 5\n", "line 4"),
        (b"0\n1\n1 -5\n", "line 3"),
    ] {
        assert!(line(decode_epochs(text).expect_err("refused")).contains(at), "{text:?}");
    }
    assert!(line(decode_offsets(b"0\n1\n../x 0 5\n").expect_err("refused")).contains("line 3"));
    assert!(line(decode_offsets(b"0\n2\nx 0 5\nx 0 7\n").expect_err("refused")).contains("line 4"));
    assert!(line(decode_offsets(b"0\n3\nx 0 5\ny 0 5\nx 0 5\n").expect_err("refused")).contains("line 5"));
    assert!(line(decode_partition_metadata(b"version: 1\n").expect_err("refused")).contains("line 1"));
    assert!(line(decode_partition_metadata(b"version: 0\n").expect_err("refused")).contains("line 2"));
}

prop_compose! {
    fn producer()(
        epoch in 0..i16::MAX, last in proptest::option::of((0..i32::MAX, 0..1_i64 << 40, 0..1000)),
        coordinator_epoch in -1..100, transaction in proptest::option::of(0..1_i64 << 40),
        timestamp in -1..1_i64 << 45,
    ) -> Producer {
        let batches: VecDeque<ProducerBatch> = last
            .map(|(last_sequence, last_offset, offset_delta)| ProducerBatch {
                last_sequence, last_offset: Offset(last_offset), offset_delta, timestamp,
            })
            .into_iter()
            .collect();
        Producer {
            epoch: ProducerEpoch(epoch), batches, coordinator_epoch, transaction: transaction.map(Offset),
            timestamp, seen_ms: NOW_MS,
        }
    }
}

proptest! {
    #[test]
    fn a_producer_snapshot_comes_back_and_any_flipped_bit_is_found(
        producers in proptest::collection::btree_map(0..1_i64 << 40, producer(), 0..5), bit in any::<usize>(),
    ) {
        let mut state = ProducerState::default();
        for (id, producer) in producers {
            state.restore(ProducerId(id), producer);
        }
        let bytes = producer_snapshot::encode(&state);
        prop_assert_eq!(producer_snapshot::decode(&bytes, NOW_MS).expect("reads"), state);
        let mut flipped = bytes.clone();
        let bit = bit % (bytes.len() * 8);
        flipped[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(producer_snapshot::decode(&flipped, NOW_MS).is_err());
    }

    #[test]
    fn epochs_and_offsets_come_back(starts in proptest::collection::btree_map(0..1000_i32, 1..1000_i64, 0..20)) {
        let mut next = 0;
        let epochs: Vec<EpochEntry> = starts
            .into_iter()
            .map(|(epoch, records)| {
                next += records;
                entry(epoch, next)
            })
            .collect();
        prop_assert_eq!(decode_epochs(&checkpoint::encode_epochs(&epochs)).expect("reads"), epochs.clone());
        let offsets: std::collections::BTreeMap<TopicPartition, Offset> = epochs
            .iter()
            .map(|entry| (TopicPartition::new(partition().topic, entry.epoch.0), entry.start))
            .collect();
        let text = checkpoint::encode_offsets(offsets.iter().map(|(partition, offset)| (partition, *offset)));
        prop_assert_eq!(decode_offsets(&text).expect("reads"), offsets);
    }

    #[test]
    fn offsets_that_are_written_twice_come_back_and_a_flipped_bit_changes_none_of_them(
        starts in proptest::collection::btree_map(0..1000_i32, 0..1000_i64, 1..20), bit in any::<usize>(),
    ) {
        let offsets: std::collections::BTreeMap<TopicPartition, Offset> = starts
            .into_iter()
            .map(|(number, start)| (TopicPartition::new(partition().topic, number), Offset(start)))
            .collect();
        let mut text =
            checkpoint::encode_offsets_twice(offsets.iter().map(|(partition, offset)| (partition, *offset)));
        prop_assert_eq!(decode_offsets(&text).expect("reads"), offsets.clone());
        let bit = bit % (text.len() * 8);
        text[bit / 8] ^= 1 << (bit % 8);
        // A flipped name may be one that is not there; all that are there say what they did.
        if let Ok(read) = decode_offsets(&text) {
            for (partition, offset) in &offsets {
                prop_assert_eq!(read.get(partition).unwrap_or(offset), offset);
            }
        }
    }
}
