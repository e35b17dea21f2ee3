//! Tests of manifests: round trips, the golden generation, what a bad file is told.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

pub fn segment(base: i64, end: i64, epoch: i32) -> Segment {
    Segment {
        name: SegmentName {
            base,
            leader_epoch: epoch,
            uuid: Uuid::from_u64_pair(epoch as u64 + 1, base as u64 + 1),
        },
        end,
        epochs: vec![EpochStart { epoch, start: base }],
        max_timestamp: end * 10,
        log_bytes: (end - base) as u64 * 100,
        footer_bytes: 400,
        crc: 0xdead_beef,
    }
}

fn writer(epoch: i32) -> Writer {
    Writer { epoch, uuid: Uuid::from_u128(epoch as u128 + 1000) }
}

fn manifest() -> Manifest {
    Manifest {
        generation: 7,
        writer: writer(3),
        log_start: 15,
        live: vec![segment(10, 20, 1), segment(20, 50, 1), segment(50, 60, 3)],
        removed: vec![Removed { segment: segment(0, 10, 0), since_ms: 123_456 }],
    }
}

fn changes<'a>(chain: &'a [EpochStart], add: &'a [Segment], log_start: i64) -> Changes<'a> {
    Changes { add, chain, cut: None, log_start, deleted: &[], now_ms: 1_000 }
}

#[test]
fn the_encoding_is_stable_and_is_parquet_at_both_ends() {
    let bytes = manifest().encode().unwrap();
    assert_eq!(bytes, manifest().encode().unwrap());
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    assert_eq!(Manifest::decode(&bytes).unwrap(), manifest());
}

/// Written by the first version that had the format; every later one must read it.
#[test]
fn the_golden_generation_is_read() {
    let golden = Bytes::from_static(include_bytes!("golden-1.parquet"));
    assert_eq!(Manifest::decode(&golden).unwrap(), manifest());
}

#[test]
fn every_flipped_byte_and_every_cut_is_found() {
    let bytes = manifest().encode().unwrap();
    for position in 0..bytes.len() {
        let mut bad = bytes.to_vec();
        bad[position] ^= 0x10;
        assert!(Manifest::decode(&Bytes::from(bad)).is_err(), "byte {position}");
        assert!(Manifest::decode(&bytes.slice(..position)).is_err(), "cut at {position}");
    }
}

#[test]
fn an_empty_tier_has_a_manifest_too() {
    let empty = Manifest { live: Vec::new(), removed: Vec::new(), ..manifest() };
    assert_eq!(Manifest::decode(&empty.encode().unwrap()).unwrap(), empty);
    assert_eq!(empty.tier_end(), None);
}

#[test]
fn a_hole_or_an_overlap_is_refused() {
    for second in [segment(19, 50, 1), segment(21, 50, 1)] {
        let mut bad = manifest();
        bad.live[1] = second;
        assert!(bad.check().is_err());
        assert!(Manifest::decode(&bad.encode().unwrap()).is_err());
    }
}

#[test]
fn an_offset_leads_to_its_segment() {
    let manifest = manifest();
    let base_of = |offset| manifest.segment_of(offset).map(Segment::base);
    assert_eq!([9, 10, 19, 20, 59, 60].map(base_of), [None, Some(10), Some(10), Some(20), Some(50), None]);
    assert_eq!(manifest.tier_start(), Some(15));
}

#[test]
fn a_successor_adds_unpublishes_and_forgets() {
    let head = manifest();
    let chain = [EpochStart { epoch: 1, start: 15 }, EpochStart { epoch: 3, start: 50 }];
    let add = [segment(60, 70, 3)];
    let next = successor(Some(&head), writer(4), &changes(&chain, &add, 25));
    next.check().unwrap();
    assert_eq!((next.generation, next.log_start, next.tier_end()), (8, 25, Some(70)));
    assert_eq!(next.live[0].base(), 20);
    assert_eq!(next.removed.len(), 2);
    assert_eq!(next.removed[1], Removed { segment: segment(10, 20, 1), since_ms: 1_000 });
    let deleted = [next.removed[0].segment.name.uuid];
    let after = successor(
        Some(&next),
        writer(4),
        &Changes { add: &[], deleted: &deleted, ..changes(&chain, &[], 20) },
    );
    assert_eq!(after.removed.len(), 1);
    assert_eq!(after.log_start, 25, "the log start does not go back");
}

#[test]
fn a_successor_drops_what_is_not_of_the_leaders_lineage() {
    let chain = [EpochStart { epoch: 1, start: 15 }, EpochStart { epoch: 4, start: 40 }];
    let next = successor(Some(&manifest()), writer(4), &changes(&chain, &[], 15));
    assert_eq!(next.tier_end(), Some(40), "the segment 20..50 counts up to the divergence");
    assert_eq!(next.live[1].name, segment(20, 50, 1).name);
    assert_eq!(next.removed.len(), 2);
    next.check().unwrap();
}

proptest! {
    #[test]
    fn a_generation_that_was_written_is_read_again(
        generation in 1..u64::MAX, epoch in 0..i32::MAX, log_start in 0..50i64,
        lengths in proptest::collection::vec((1..100i64, 0..5i32), 0..60), gone in 0..10usize,
    ) {
        let mut all = Vec::new();
        let mut offset = 50;
        for (length, epoch) in lengths {
            all.push(segment(offset, offset + length, epoch));
            offset += length;
        }
        let gone = gone.min(all.len());
        let removed: Vec<Removed> =
            all.drain(..gone).enumerate().map(|(i, segment)| Removed { segment, since_ms: i as i64 }).collect();
        let manifest = Manifest { generation, writer: writer(epoch), log_start, live: all, removed };
        prop_assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
    }
}

#[test]
#[ignore = "writes the golden file; only for a new version of the format"]
fn write_the_golden_generation() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manifest/golden-1.parquet");
    let mut file = tempfile::NamedTempFile::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    std::io::Write::write_all(&mut file, &manifest().encode().unwrap()).unwrap();
    file.persist(path).unwrap();
}
