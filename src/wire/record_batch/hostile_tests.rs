//! Batches that lie (tests/README.md, hostile input 16 and 18), as tables: in every codec, sizes, counts and checksums that are not
//! true. Nothing panics, nothing takes memory by what is only announced, and the reason is the right one.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::*;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
const LIMIT_BYTES: usize = 1 << 20;

fn varint(value: i64, out: &mut Vec<u8>) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag > 0x7f {
        out.push((zigzag & 0x7f) as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

/// A record, part by part: numbers are varints, texts are bytes.
enum Part {
    Number(i64),
    Bytes(&'static [u8]),
}
use Part::{Bytes as B, Number as N};

fn record(parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        match part {
            N(value) => varint(*value, &mut out),
            B(bytes) => out.extend_from_slice(bytes),
        }
    }
    out
}

/// attributes, timestamp delta, offset delta, key `k`, value `v`, no headers; the length before it.
fn good() -> Vec<u8> {
    record(&[N(8), B(b"\0"), N(0), N(0), N(1), B(b"k"), N(1), B(b"v"), N(0)])
}

fn batch(codec: Compression, body: &[u8], count: i32) -> Batch {
    let mut header = BatchHeader {
        base_offset: Offset(0),
        length: i32::try_from(HEADER_BYTES - 12 + body.len()).expect("small"),
        leader_epoch: LeaderEpoch(0),
        crc: 0,
        attributes: Attributes::new(codec),
        last_offset_delta: count - 1,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: ProducerId(-1),
        producer_epoch: ProducerEpoch(-1),
        base_sequence: -1,
        count,
    };
    header.seal(body);
    let mut bytes = BytesMut::new();
    header.write(&mut bytes);
    bytes.extend_from_slice(body);
    Batch { header, bytes: bytes.freeze() }
}

/// Walks all records; how many came before the error, if there was one.
fn walk(batch: &Batch) -> Result<usize, BatchError> {
    let mut count = 0;
    for record in batch.records(LIMIT_BYTES)? {
        record?;
        count += 1;
    }
    Ok(count)
}

#[test]
fn records_that_lie_are_found_in_every_codec() {
    let twice = [good(), good()].concat();
    let cases: Vec<(&str, Vec<u8>, i32, &str)> = vec![
        ("fewer records than the count", good(), 2, "it ends inside a number"),
        ("more records than the count", twice, 1, "bytes after the last record"),
        ("a negative length", record(&[N(-2), B(b"\0\0\0")]), 1, "negative length"),
        ("a length of zero", record(&[N(0)]), 1, "it has no attributes"),
        ("longer than the batch", record(&[N(1000), B(b"\0\0\0")]), 1, "it is longer than the batch"),
        ("2^31-1 bytes long", record(&[N(i64::from(i32::MAX)), B(b"\0")]), 1, "it is longer than the batch"),
        ("a length of 2^40", record(&[N(1 << 40), B(b"\0")]), 1, "overlong varint"),
        ("a length without end", vec![0xff; 20], 1, "overlong varint"),
        ("a time without end", record(&[N(13), B(&[0; 1]), B(&[0xff; 12])]), 1, "overlong varint"),
        (
            "a key of 1 GiB",
            record(&[N(10), B(b"\0"), N(0), N(0), N(1 << 30), B(b"kkkk")]),
            1,
            "a field is longer than the record",
        ),
        (
            "a key of -5 bytes",
            record(&[N(6), B(b"\0"), N(0), N(0), N(-5), N(-1), N(0)]),
            1,
            "negative length",
        ),
        (
            "a value beyond the record",
            record(&[N(6), B(b"\0"), N(0), N(0), N(-1), N(9), N(0)]),
            1,
            "a field is longer than the record",
        ),
        (
            "-1 headers",
            record(&[N(6), B(b"\0"), N(0), N(0), N(-1), N(-1), N(-1)]),
            1,
            "negative number of headers",
        ),
        (
            "a billion headers",
            record(&[N(10), B(b"\0"), N(0), N(0), N(-1), N(-1), N(1_000_000_000)]),
            1,
            "more headers than bytes",
        ),
        (
            "a header without key",
            record(&[N(8), B(b"\0"), N(0), N(0), N(-1), N(-1), N(1), N(-1), N(-1)]),
            1,
            "a header without key",
        ),
        (
            "bytes behind the headers",
            record(&[N(9), B(b"\0"), N(0), N(0), N(-1), N(-1), N(0), B(b"xyz")]),
            1,
            "bytes left over",
        ),
    ];
    for codec in CODECS {
        assert_eq!(walk(&batch(codec, &compress(codec, &good()).expect("packed"), 1)), Ok(1), "the control");
        for (what, body, count, why) in &cases {
            let found = walk(&batch(codec, &compress(codec, body).expect("packed"), *count));
            let told = matches!(&found, Err(BatchError::Record { reason, .. }) if reason == why);
            assert!(told, "{codec:?}: {what}: {found:?}");
        }
    }
}

#[test]
fn frames_that_lie_are_refused_by_every_codec() {
    let packed = |codec| compress(codec, &[7; 5000]).expect("packed").to_vec();
    let xerial = |lengths: &[u32], block: &[u8]| {
        let mut out = BytesMut::from(&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..]);
        for length in lengths {
            out.put_u32(*length);
            out.extend_from_slice(block);
        }
        out.to_vec()
    };
    let patched = |codec, from_end: usize, bytes: &[u8]| {
        let mut all = packed(codec);
        let at = all.len() - from_end;
        all[at..at + bytes.len()].copy_from_slice(bytes);
        all
    };
    let lz4 = |tail: &[u8]| [&[0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73], tail].concat();
    let zstd = |tail: &[u8]| [&[0x28, 0xb5, 0x2f, 0xfd], tail].concat();
    let cases: Vec<(&str, Compression, Vec<u8>)> = vec![
        ("a wrong CRC", Compression::Gzip, patched(Compression::Gzip, 8, &[1, 2, 3, 4])),
        ("a wrong size", Compression::Gzip, patched(Compression::Gzip, 4, &[0xff; 4])),
        ("no gzip", Compression::Gzip, vec![0; 40]),
        (
            "a reserved block type",
            Compression::Gzip,
            [&packed(Compression::Gzip)[..10], &[0xff; 20]].concat(),
        ),
        ("raw, says 4 GiB", Compression::Snappy, [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 20]].concat()),
        ("raw, a varint without end", Compression::Snappy, vec![0xff; 20]),
        ("raw, a copy from before the start", Compression::Snappy, vec![4, 0b0000_0001, 9, 0, 0]),
        ("a block of 4 GiB", Compression::Snappy, xerial(&[u32::MAX], b"abc")),
        ("a block of 2^31 bytes", Compression::Snappy, xerial(&[1 << 31], b"abc")),
        ("a block beyond the end", Compression::Snappy, xerial(&[10], b"abc")),
        ("half a block length", Compression::Snappy, xerial(&[], b"").into_iter().chain([0, 0]).collect()),
        ("a header alone", Compression::Snappy, xerial(&[], b"")[..12].to_vec()),
        ("no lz4", Compression::Lz4, vec![0; 40]),
        ("a block of 2 GiB", Compression::Lz4, lz4(b"\xff\xff\xff\x7fabc")),
        ("a block above the frame's size", Compression::Lz4, lz4(b"\0\0\x10\0abc")),
        ("a copy from before the start", Compression::Lz4, lz4(b"\x04\0\0\0\x0f\xff\xff\0\0\0\0\0")),
        ("a wrong header checksum", Compression::Lz4, vec![4, 0x22, 0x4d, 0x18, 0x60, 0x70, 0, 0, 0, 0, 0]),
        ("no zstd", Compression::Zstd, vec![0; 40]),
        ("a window of 2 TiB", Compression::Zstd, zstd(&[0x00, 0xf8, 0, 0, 0, 0, 0])),
        ("says 2^63 bytes", Compression::Zstd, zstd(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0])),
        ("a dictionary that nobody has", Compression::Zstd, zstd(&[0x21, 0x99, 0x05, 1, 0, 0])),
        ("a reserved block type", Compression::Zstd, zstd(&[0x00, 0x58, 0xff, 0xff, 0xff, 0, 0])),
    ];
    for (what, codec, bytes) in cases {
        let found = decompress(codec, &Bytes::from(bytes), LIMIT_BYTES);
        let refused = matches!(found, Err(BatchError::Decompress { .. } | BatchError::Bomb { .. }));
        assert!(refused, "{codec:?}: {what}: {found:?}");
    }
}

#[test]
fn a_frame_that_is_cut_short_is_refused_or_gives_what_it_holds() {
    let text: Vec<u8> = (0..3000_u32).flat_map(|i| (i % 251).to_be_bytes()).collect();
    for codec in &CODECS[1..] {
        let packed = compress(*codec, &text).expect("packed");
        for cut in 0..packed.len() {
            match decompress(*codec, &packed.slice(..cut), LIMIT_BYTES) {
                Err(BatchError::Decompress { .. }) => {}
                // Whole blocks are an end: of lz4 also without the mark, whose records then miss their count.
                Ok(out) => assert!(text.starts_with(&out), "{codec:?} cut at {cut}"),
                Err(other) => panic!("{codec:?} cut at {cut}: {other}"),
            }
        }
    }
}

#[test]
fn a_flipped_bit_never_gives_more_than_the_bound() {
    let text = b"some text that is not random, some text that repeats itself, ".repeat(20);
    for codec in &CODECS[1..] {
        let packed = compress(*codec, &text).expect("packed");
        for bit in 0..packed.len() * 8 {
            let mut bad = packed.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            if let Ok(out) = decompress(*codec, &bad.into(), LIMIT_BYTES) {
                assert!(out.len() <= LIMIT_BYTES, "{codec:?}, bit {bit}");
            }
        }
    }
}

#[test]
fn a_bomb_of_many_small_frames_stops_at_the_bound() {
    for codec in &CODECS[1..] {
        let one = compress(*codec, &[0; 60_000]).expect("packed");
        let many: Bytes = match codec {
            // The header once, then blocks.
            Compression::Snappy => [&one[..16], &one[16..].repeat(100)].concat().into(),
            _ => one.repeat(100).into(),
        };
        match decompress(*codec, &many, LIMIT_BYTES) {
            Err(BatchError::Bomb { limit_bytes }) => assert_eq!(limit_bytes, LIMIT_BYTES, "{codec:?}"),
            // A codec may read one frame only; what follows it is then no part of the records.
            Ok(out) => assert_eq!(out.len(), 60_000, "{codec:?}"),
            Err(other) => panic!("{codec:?}: {other}"),
        }
    }
}
