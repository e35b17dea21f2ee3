//! Round trips, golden bytes, bounds, and what hostile bytes do.

use bytes::{BufMut as _, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

const LIMIT_BYTES: usize = 1 << 20;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn first(bytes: Bytes) -> Batch {
    BatchIter::new(bytes).next().expect("a batch").expect("it parses")
}

#[test]
fn the_bytes_of_a_batch_are_kafkas() {
    let mut builder = BatchBuilder::default()
        .producer(ProducerId(7), ProducerEpoch(1), 3)
        .placed(Offset(10), LeaderEpoch(2));
    builder.add(1000, Some(b"k"), Some(b"v"), &[("h", Some(b"x"))]);
    builder.add(1005, None, None, &[]);
    let bytes = builder.build().expect("a batch");
    let expected = [
        "000000000000000a",       // base offset
        "00000045",               // length
        "00000002",               // leader epoch
        "02",                     // magic
        "CRCCRCCR",               // CRC
        "0000",                   // attributes
        "00000001",               // last offset delta
        "00000000000003e8",       // base timestamp
        "00000000000003ed",       // max timestamp
        "0000000000000007",       // producer id
        "0001",                   // producer epoch
        "00000003",               // base sequence
        "00000002",               // count
        "18000000026b0276020268", // length 12, attributes, deltas 0 and 0, "k", "v", one header "h"
        "0278",
        "0c00",       // length 6, attributes
        "0a02010100", // deltas 5 and 1, no key, no value, no headers
    ]
    .concat();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let crc = crc32c::crc32c(&bytes[21..]);
    assert_eq!(hex, expected.replace("CRCCRCCR", &format!("{crc:08x}")));
    let header = BatchHeader::parse(&bytes).expect("parses");
    assert_eq!((header.last_offset(), header.end_offset()), (Offset(11), Offset(12)));
    assert_eq!((header.size(), header.last_sequence()), (bytes.len(), 4));
}

#[test]
fn kafkas_own_codec_reads_what_we_build() {
    use kafka_protocol::records::RecordBatchDecoder;
    let mut builder = BatchBuilder::default();
    builder.add(1000, Some(b"k"), Some(b"v"), &[("h", Some(b"x"))]);
    builder.add(999, None, Some(b"w"), &[]);
    let mut bytes = builder.build().expect("a batch");
    let set = RecordBatchDecoder::decode(&mut bytes).expect("decodes");
    let values: Vec<Option<Bytes>> = set.records.iter().map(|record| record.value.clone()).collect();
    assert_eq!(values, [Some(Bytes::from_static(b"v")), Some(Bytes::from_static(b"w"))]);
    assert_eq!(set.records[1].timestamp, 999);
}

type Fields = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn fields() -> impl Strategy<Value = Fields> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200));
    (0..i64::MAX / 4, bytes(), bytes(), proptest::collection::vec(("[a-z]{0,5}", bytes()), 0..4))
}

proptest! {
    #[test]
    fn records_come_back_as_they_went_in(
        records in proptest::collection::vec(fields(), 1..30), codec in 0..5_usize, base in 0..i64::MAX / 2,
    ) {
        let mut builder = BatchBuilder::new(CODECS[codec]).placed(Offset(base), LeaderEpoch(1));
        for (timestamp, key, value, headers) in &records {
            let headers: Vec<RecordHeader<'_>> =
                headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
            builder.add(*timestamp, key.as_deref(), value.as_deref(), &headers);
        }
        let batch = first(builder.build().expect("a batch"));
        batch.check_crc().expect("the CRC is right");
        prop_assert_eq!(batch.header.max_timestamp, records.iter().map(|r| r.0).max().unwrap_or(-1));
        let back: Vec<Record> =
            batch.records(LIMIT_BYTES).expect("decompresses").collect::<Result<_, _>>().expect("records");
        prop_assert_eq!(back.len(), records.len());
        for (i, (record, (timestamp, key, value, headers))) in back.iter().zip(&records).enumerate() {
            prop_assert_eq!(record.offset, Offset(base + i as i64));
            prop_assert_eq!(record.timestamp, *timestamp);
            prop_assert_eq!(record.key.as_deref(), key.as_deref());
            prop_assert_eq!(record.value.as_deref(), value.as_deref());
            let sent: Vec<(Bytes, Option<Bytes>)> = headers
                .iter()
                .map(|(key, value)| (Bytes::from(key.clone()), value.clone().map(Bytes::from)))
                .collect();
            prop_assert_eq!(&record.headers, &sent);
        }
    }

    #[test]
    fn any_bytes_are_walked_without_a_panic_and_within_the_bound(
        bytes in proptest::collection::vec(any::<u8>(), 0..300), codec in 0..5_i16,
    ) {
        let mut header = BatchHeader {
            base_offset: Offset(0), length: 0, leader_epoch: LeaderEpoch(0), crc: 0,
            attributes: Attributes(codec), last_offset_delta: 5, base_timestamp: 0, max_timestamp: 0,
            producer_id: ProducerId(-1), producer_epoch: ProducerEpoch(-1), base_sequence: -1, count: 6,
        };
        header.length = i32::try_from(HEADER_BYTES - 12 + bytes.len()).expect("small");
        header.seal(&bytes);
        let mut out = BytesMut::new();
        header.write(&mut out);
        out.extend_from_slice(&bytes);
        let batch = first(out.freeze());
        if let Ok(records) = batch.records(4096) {
            for record in records {
                let _ = record;
            }
        }
        let _ = BatchIter::new(bytes.into()).count();
    }
}

#[test]
fn a_bomb_stops_at_the_bound() {
    let zeroes = vec![0; 4 << 20];
    for codec in &CODECS[1..] {
        let packed = compress(*codec, &zeroes).expect("compresses");
        assert!(packed.len() < 300_000, "{codec:?}");
        let limit_bytes = 1 << 20;
        assert_eq!(
            decompress(*codec, &packed, limit_bytes),
            Err(BatchError::Bomb { limit_bytes }),
            "{codec:?}"
        );
        assert_eq!(decompress(*codec, &packed, zeroes.len()).expect("fits").len(), zeroes.len());
    }
}

#[test]
fn raw_snappy_is_read_as_well_as_xerials_framing() {
    let raw = snap::raw::Encoder::new().compress_vec(b"hello hello hello").expect("compresses");
    let raw = Bytes::from(raw);
    assert_eq!(decompress(Compression::Snappy, &raw, 100).expect("raw"), b"hello hello hello"[..]);
    let mut framed = BytesMut::from(&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..]);
    for _ in 0..2 {
        framed.put_u32(u32::try_from(raw.len()).expect("small"));
        framed.extend_from_slice(&raw);
    }
    let framed = framed.freeze();
    let twice = decompress(Compression::Snappy, &framed, 100).expect("framed");
    assert_eq!(twice, b"hello hello hellohello hello hello"[..]);
    assert!(decompress(Compression::Snappy, &framed.slice(..framed.len() - 1), 100).is_err());
    assert!(decompress(Compression::Snappy, &framed, 33).is_err(), "the bound is for all blocks together");
    // It says 4 GiB and has three bytes.
    let lie = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
    assert!(decompress(Compression::Snappy, &lie, usize::MAX).is_err());
}

#[test]
fn log_append_time_gives_every_record_the_batchs_time() {
    let mut builder = BatchBuilder::default();
    builder.add(5, None, Some(b"a"), &[]);
    builder.add(9, None, Some(b"b"), &[]);
    let batch = first(builder.build().expect("a batch"));
    let mut header = batch.header;
    header.stamp_log_append_time(777, &batch.body());
    let mut bytes = BytesMut::new();
    header.write(&mut bytes);
    bytes.extend_from_slice(&batch.body());
    let stamped = first(bytes.freeze());
    stamped.check_crc().expect("the CRC is new");
    let times: Vec<i64> =
        stamped.records(LIMIT_BYTES).expect("records").map(|r| r.expect("a record").timestamp).collect();
    assert_eq!(times, [777, 777]);
}

#[test]
fn a_sequence_wraps_from_its_largest_number_to_zero() {
    let builder = BatchBuilder::default().producer(ProducerId(1), ProducerEpoch(0), i32::MAX - 1);
    let mut builder = builder;
    for _ in 0..4 {
        builder.add(0, None, None, &[]);
    }
    assert_eq!(first(builder.build().expect("a batch")).header.last_sequence(), 1);
}

#[test]
fn an_empty_batch_is_not_built() {
    assert!(matches!(BatchBuilder::default().build(), Err(BatchError::Header(_))));
}

#[test]
fn markers_are_read() {
    let record = |key: &'static [u8], value: &'static [u8]| Record {
        offset: Offset(0),
        timestamp: 0,
        key: Some(Bytes::from_static(key)),
        value: Some(Bytes::from_static(value)),
        headers: Vec::new(),
    };
    let commit = record(&[0, 0, 0, 1], &[0, 0, 0, 0, 0, 9]);
    assert_eq!((commit.control_kind(), commit.coordinator_epoch()), (Some(ControlKind::Commit), Some(9)));
    let abort = record(&[0, 0, 0, 0], &[]);
    assert_eq!((abort.control_kind(), abort.coordinator_epoch()), (Some(ControlKind::Abort), None));
    assert_eq!(record(&[0, 0, 0, 2], &[]).control_kind(), None);
}
