//! Records taken out of batches, and what must not change by that.

use bytes::Bytes;

use super::*;
use crate::wire::record_batch::{BatchBuilder, BatchIter};

const LIMIT_BYTES: usize = 1 << 20;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn five(codec: Compression) -> Batch {
    let mut builder = BatchBuilder::new(codec)
        .producer(ProducerId(9), ProducerEpoch(1), 7)
        .placed(Offset(100), LeaderEpoch(4));
    for i in 0..5_u8 {
        let value = [b'v', i];
        let value = (i != 3).then_some(&value[..]);
        builder.add(1000 + i64::from(i), Some(&[b'k', i]), value, &[("h", Some(b"x")), ("h", None)]);
    }
    first(builder.build().expect("a batch"))
}

fn first(bytes: Bytes) -> Batch {
    BatchIter::new(bytes).next().expect("a batch").expect("it parses")
}

fn records(batch: &Batch) -> Vec<Record> {
    batch.check_crc().expect("the CRC is right");
    batch.records(LIMIT_BYTES).expect("records").collect::<Result<_, _>>().expect("they parse")
}

fn rewritten(retained: Retained) -> Batch {
    match retained {
        Retained::Rewritten(batch) => batch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_stays_is_as_it_was_and_the_batch_keeps_its_offsets_and_sequences() {
    for codec in CODECS {
        let batch = five(codec);
        let all = records(&batch);
        let retained = batch.retain(LIMIT_BYTES, |r| r.offset.0 % 2 == 0, |_| None).expect("walked");
        let kept = rewritten(retained);
        assert_eq!(records(&kept), [all[0].clone(), all[2].clone(), all[4].clone()], "{codec:?}");
        let (old, new) = (batch.header, kept.header);
        assert_eq!((new.base_offset, new.last_offset()), (old.base_offset, old.last_offset()));
        assert_eq!((new.base_sequence, new.last_sequence()), (old.base_sequence, old.last_sequence()));
        assert_eq!((new.count, new.max_timestamp, new.leader_epoch), (3, 1004, old.leader_epoch));
        assert_eq!(new.attributes, old.attributes);
        let early = batch.retain(LIMIT_BYTES, |r| r.offset.0 < 102, |_| None).expect("walked");
        assert_eq!(rewritten(early).header.max_timestamp, 1001, "only of what stays");
    }
}

#[test]
fn a_batch_of_which_all_stays_is_not_touched() {
    let batch = five(Compression::Zstd);
    assert_eq!(batch.retain(LIMIT_BYTES, |_| true, |_| None), Ok(Retained::Whole));
    assert_eq!(batch.retain(LIMIT_BYTES, |_| false, |_| None), Ok(Retained::Nothing));
}

#[test]
fn a_delete_horizon_moves_into_the_base_timestamp_and_no_record_changes() {
    for codec in CODECS {
        let batch = five(codec);
        let retained =
            batch.retain(LIMIT_BYTES, |_| true, |tombstones| tombstones.then_some(9_000_000_000_000));
        let kept = rewritten(retained.expect("walked"));
        assert_eq!(kept.header.delete_horizon_ms(), Some(9_000_000_000_000));
        assert_eq!(records(&kept), records(&batch), "{codec:?}");
        // The first horizon counts.
        assert_eq!(kept.retain(LIMIT_BYTES, |_| true, |_| Some(5)), Ok(Retained::Whole));
        let fewer = kept.retain(LIMIT_BYTES, |r| r.offset.0 > 101, |_| Some(5)).expect("walked");
        let fewer = rewritten(fewer);
        assert_eq!(fewer.header.delete_horizon_ms(), Some(9_000_000_000_000));
        assert_eq!(records(&fewer), records(&batch)[2..]);
    }
}

#[test]
fn without_a_tombstone_no_horizon_is_asked_for() {
    let batch = five(Compression::None);
    let mut asked = None;
    let retained = batch.retain(
        LIMIT_BYTES,
        |record| record.value.is_some(),
        |tombstones| {
            asked = Some(tombstones);
            None
        },
    );
    assert_eq!(asked, Some(false));
    assert_eq!(records(&rewritten(retained.expect("walked"))).len(), 4);
}

#[test]
fn an_emptied_batch_still_tells_of_its_producer() {
    let batch = five(Compression::Lz4);
    let empty = batch.emptied().expect("built");
    empty.check_crc().expect("the CRC is right");
    assert_eq!(empty.bytes.len(), HEADER_BYTES);
    assert_eq!(records(&empty), []);
    let (old, new) = (batch.header, empty.header);
    assert_eq!((new.last_offset(), new.last_sequence()), (old.last_offset(), old.last_sequence()));
    assert_eq!((new.producer_id, new.producer_epoch), (old.producer_id, old.producer_epoch));
    assert_eq!((new.max_timestamp, new.count), (old.max_timestamp, 0));
}

#[test]
fn a_batch_reaches_over_offsets_without_records_and_keeps_its_last_sequence() {
    let mut header = five(Compression::None).header;
    assert!(header.reach(Offset(104)), "as far as it reaches already");
    assert!(header.reach(Offset(150)));
    assert_eq!((header.last_offset(), header.last_sequence()), (Offset(150), 11));
    assert!(!header.reach(Offset(149)), "never back");
    assert!(!header.reach(Offset(100 + (1 << 31))), "not over more than a batch can span");
    assert!(header.reach(Offset(99 + (1 << 31))));
    assert_eq!(header.last_sequence(), 11);
    let mut of_nobody = Batch::filler(Offset(5), Offset(9), LeaderEpoch(1)).expect("fits").header;
    assert!(of_nobody.reach(Offset(20)));
    assert_eq!(of_nobody.base_sequence, -1);
}

#[test]
fn a_filler_is_61_bytes_that_kafkas_codec_reads() {
    let filler = Batch::filler(Offset(5), Offset(9), LeaderEpoch(1)).expect("fits");
    let hex: String = filler.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let crc = format!("{:08x}", filler.header.crc);
    let expected = format!("0000000000000005000000310000000102{crc}000000000004{}00000000", "f".repeat(60));
    assert_eq!(hex, expected);
    assert_eq!(Batch::filler(Offset(5), Offset(4), LeaderEpoch(1)), None);
    let mut bytes = filler.bytes;
    let set = kafka_protocol::records::RecordBatchDecoder::decode(&mut bytes).expect("decodes");
    assert!(set.records.is_empty());
}

#[test]
fn records_are_the_same_in_every_codec_and_at_every_level() {
    for from in CODECS {
        let batch = five(from);
        for to in CODECS {
            for level in [None, Some(-1), Some(1), Some(9)] {
                let other = batch.recompressed(to, level, LIMIT_BYTES).expect("recompressed");
                assert_eq!(other.header.attributes.compression(), Ok(to));
                assert_eq!(records(&other), records(&batch), "{from:?} to {to:?} at {level:?}");
            }
        }
    }
    let bomb = BatchError::Bomb { limit_bytes: 10 };
    assert_eq!(five(Compression::Gzip).recompressed(Compression::None, None, 10), Err(bomb));
}

#[test]
fn empty_batches_are_taken_out_wherever_they_stand() {
    let full = five(Compression::None).bytes;
    let empty = Batch::filler(Offset(1), Offset(9), LeaderEpoch(1)).expect("fits").bytes;
    let check = |parts: &[&Bytes], kept: usize| {
        let joined: Bytes = parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<_>>().into();
        assert_eq!(without_empty(&joined), full.repeat(kept), "{} parts", parts.len());
    };
    check(&[], 0);
    check(&[&empty], 0);
    check(&[&full, &full], 2);
    check(&[&empty, &full], 1);
    check(&[&full, &empty], 1);
    check(&[&empty, &full, &empty, &empty, &full, &full, &empty], 3);
}
