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
        ..Manifest::default()
    }
}

fn changes<'a>(chain: &'a [EpochStart], add: &'a [Segment], log_start: i64) -> Changes<'a> {
    Changes {
        add,
        chain,
        discard: false,
        rewrite: &[],
        archive: None,
        unpacked: None,
        log_start,
        deleted: &[],
        replace: None,
        now_ms: 1_000,
    }
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

/// Who can write to the bucket can write a right seal too. The Parquet reader panics on some such files (found by
/// fuzzing); here that is a file that is refused.
#[test]
fn a_file_that_lies_under_a_right_seal_is_read_or_refused() {
    let bytes = manifest().encode().unwrap();
    let (mut refused, mut given_up) = (0, 0);
    for at in 0..bytes.len() {
        for value in [0x00, 0x7f, 0x80, 0xff] {
            let mut lie = bytes.to_vec();
            lie[at] = value;
            let Some(lie) = super::codec::resealed(&lie) else { continue };
            match Manifest::decode(&lie) {
                Err(BadManifest::Form(why)) if why.contains("gave up") => given_up += 1,
                Err(_) => refused += 1,
                Ok(_) => {}
            }
        }
    }
    assert!(refused > 100, "{refused} of all lies were found, {given_up} of them by a panic");
}

/// The file with one more field in its footer, which the Parquet library does not know.
fn with_field(bytes: &Bytes, field: &[u8]) -> Bytes {
    let (body, end) = bytes.split_at(bytes.len() - 8);
    let length = u32::from_le_bytes(*end.first_chunk().unwrap()) + u32::try_from(field.len()).unwrap();
    // Before the byte that ends the struct.
    let (fields, stop) = body.split_at(body.len() - 1);
    super::codec::resealed(&[fields, field, stop, &length.to_le_bytes(), b"PAR1"].concat()).unwrap()
}

/// Found by fuzzing: the library skips an unknown list of booleans element by element, and takes no bytes for them.
#[test]
fn a_footer_that_announces_more_than_it_holds_is_refused_at_once() {
    let good = manifest().encode().unwrap();
    // Field 100, a list of three numbers: the control.
    let read = Manifest::decode(&with_field(&good, &[0x09, 0xc8, 0x01, 0x35, 2, 4, 6])).unwrap();
    assert_eq!(read, manifest());
    let announced = [0xf1, 0xff, 0xff, 0xff, 0xff, 0x07]; // 2^31-1 booleans
    let many = [&[0x09, 0xc8, 0x01, 0xf9, 0x64][..], &announced.repeat(100)].concat(); // and a hundred such lists
    for field in [[&[0x09, 0xc8, 0x01][..], &announced].concat(), many] {
        let refused = Manifest::decode(&with_field(&good, &field));
        assert!(matches!(&refused, Err(BadManifest::Form(why)) if why.contains("announces")), "{refused:?}");
    }
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
fn sizes_that_cannot_be_added_up_are_refused() {
    let huge = |manifest: &mut Manifest| manifest.live[1].log_bytes = u64::MAX - 100;
    let gone = |manifest: &mut Manifest| manifest.removed[0].segment.log_bytes = u64::MAX - 100;
    for damage in [huge, gone] {
        let mut bad = manifest();
        damage(&mut bad);
        let refused = Manifest::decode(&bad.encode().unwrap());
        assert!(matches!(refused, Err(BadManifest::Content { generation: 7, .. })), "{refused:?}");
    }
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
fn the_tier_goes_from_the_log_start_to_the_last_segments_end() {
    let manifest = manifest();
    assert_eq!((manifest.tier_start(), manifest.tier_end()), (Some(15), Some(60)));
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
        let manifest = Manifest { generation, writer: writer(epoch), log_start, live: all, removed, ..Manifest::default() };
        prop_assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
    }
}

/// Ten segments of ten offsets, of which the first six are in two archives of three.
fn archived() -> (Manifest, Vec<(Archive, Bytes, Vec<Segment>)>) {
    let all: Vec<Segment> = (0..10).map(|i| segment(i * 10, i * 10 + 10, 1)).collect();
    let file = |rows: &[Segment], uuid| {
        let (archive, bytes) = Archive::encode(7, Uuid::from_u128(uuid), rows).unwrap().unwrap();
        (archive, bytes, rows.to_vec())
    };
    let files = vec![file(&all[..3], 1), file(&all[3..6], 2)];
    let archives = files.iter().map(|(archive, ..)| archive.clone()).collect();
    let live = all[6..].to_vec();
    (Manifest { generation: 3, archives, live, ..Manifest::default() }, files)
}

const ONE_EPOCH: [EpochStart; 1] = [EpochStart { epoch: 1, start: 0 }];

#[test]
fn a_head_with_archives_and_its_files_read_back() {
    let (mut manifest, files) = archived();
    manifest.removed_archives.push(RemovedArchive { archive: files[0].0.clone(), since_ms: 5 });
    assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
    assert_eq!((manifest.segments(), manifest.tier_start(), manifest.tier_end()), (10, Some(0), Some(100)));
    assert_eq!(manifest.live_bytes(), 10 * (1000 + 400));
    for (archive, bytes, rows) in &files {
        assert_eq!(archive.decode(bytes).unwrap(), *rows);
        assert_eq!(archive.name.leader_epoch(), 7);
    }
    assert!(files[0].0.decode(&files[1].1).is_err(), "another archive's file");
    let mut flipped = files[0].1.to_vec();
    flipped[40] ^= 1;
    assert!(files[0].0.decode(&flipped.into()).is_err());
    assert_eq!(manifest.archive_of(29).map(|archive| archive.start), Some(0));
    assert_eq!(manifest.archive_of(30).map(|archive| archive.start), Some(30));
    assert_eq!(manifest.archive_of(60), None);
}

/// Written by the first version that had archives; every later one must read them.
#[test]
fn the_golden_generation_with_archives_and_the_golden_archive_are_read() {
    let (manifest, files) = archived();
    let golden = Bytes::from_static(include_bytes!("golden-2.parquet"));
    assert_eq!(Manifest::decode(&golden).unwrap(), manifest);
    let golden = Bytes::from_static(include_bytes!("golden-archive-1.parquet"));
    assert_eq!(files[0].0.decode(&golden).unwrap(), files[0].2);
}

#[test]
fn the_oldest_rows_move_to_an_archive_that_was_written_of_exactly_them() {
    let (manifest, files) = archived();
    let flat = Manifest {
        archives: Vec::new(),
        live: files.iter().flat_map(|(.., rows)| rows.clone()).chain(manifest.live.clone()).collect(),
        ..manifest.clone()
    };
    let take =
        |archive| successor(Some(&flat), writer(1), &Changes { archive, ..changes(&ONE_EPOCH, &[], 0) });
    let next = take(Some(&files[0].0));
    next.check().unwrap();
    assert_eq!((next.archives.len(), next.live.len(), next.removed.len()), (1, 7, 0));
    assert_eq!(take(Some(&files[1].0)).archives, [], "not the oldest rows");
    let other = Archive { segments: 2, ..files[0].0.clone() };
    assert_eq!(take(Some(&other)).live, flat.live, "not of these rows");
}

#[test]
fn an_archive_expires_row_by_row_when_its_rows_are_known_and_whole_when_all_are_over() {
    let (manifest, files) = archived();
    let at = |head: &Manifest, log_start, rows: Option<&[Segment]>| {
        let unpacked = rows.map(|rows| (files[0].0.uuid(), rows));
        successor(Some(head), writer(1), &Changes { unpacked, ..changes(&ONE_EPOCH, &[], log_start) })
    };
    let unknown = at(&manifest, 15, None);
    assert_eq!(unknown.archives, manifest.archives, "which rows expire is not known");
    let first = at(&unknown, 15, Some(&files[0].2));
    first.check().unwrap();
    assert_eq!((first.archives[0].start, first.archives[0].segments, first.removed.len()), (10, 2, 1));
    assert_eq!(first.archives[0].log_bytes, 2000);
    let second = at(&first, 20, Some(&files[0].2));
    assert_eq!((second.archives[0].start, second.removed.len()), (20, 2), "each row goes once");
    let over = at(&second, 35, Some(&files[0].2));
    over.check().unwrap();
    assert_eq!((over.archives.len(), over.removed_archives.len(), over.removed.len()), (1, 1, 2));
    assert_eq!(
        over.removed_archives[0].archive.counting(&files[0].2).len(),
        1,
        "the last row's object is left"
    );
    let gone = successor(
        Some(&over),
        writer(1),
        &Changes { deleted: &[files[0].0.uuid()], ..changes(&ONE_EPOCH, &[], 35) },
    );
    assert!(gone.removed_archives.is_empty());
}

#[test]
fn an_archive_that_left_the_chain_keeps_the_rows_before_the_divergence() {
    let (manifest, files) = archived();
    let chain = [EpochStart { epoch: 1, start: 0 }, EpochStart { epoch: 2, start: 45 }];
    assert_eq!(manifest.diverged_archive(&chain), Some(&files[1].0));
    assert!(manifest.on_chain(&chain).is_empty());
    let unpacked = Some((files[1].0.uuid(), &files[1].2[..]));
    let next = successor(Some(&manifest), writer(2), &Changes { unpacked, ..changes(&chain, &[], 0) });
    next.check().unwrap();
    let live: Vec<(i64, i64)> = next.live.iter().map(|s| (s.base(), s.end)).collect();
    assert_eq!((next.archives.len(), live), (1, vec![(30, 40), (40, 45)]));
    assert_eq!(next.removed.len(), 4 + 1);
    let file_only = &next.removed_archives[0].archive;
    assert_eq!(file_only.counting(&files[1].2), [], "the rows that are kept do not go with the file");
}

#[test]
fn a_tier_that_is_given_up_unpublishes_the_archives_too() {
    let (manifest, _) = archived();
    let next =
        successor(Some(&manifest), writer(1), &Changes { discard: true, ..changes(&ONE_EPOCH, &[], 0) });
    assert!(next.is_empty());
    assert_eq!((next.removed.len(), next.removed_archives.len()), (4, 2));
}

#[test]
fn a_million_segments_have_a_small_head() {
    const ROWS: i64 = 1024;
    let mut head = Manifest { generation: 1, ..Manifest::default() };
    let mut largest = 0;
    for round in 0..(1_000_000 / ROWS + 1) {
        let add: Vec<Segment> =
            (round * ROWS..(round + 1) * ROWS).map(|i| segment(i * 10, i * 10 + 10, 1)).collect();
        // The file's content does not matter here: a row of the head is made of the rows alone.
        let oldest = head.live.get(..ROWS as usize).filter(|_| head.live.len() >= 2 * ROWS as usize);
        let archive = oldest.and_then(|rows| {
            let name = crate::layout::ArchiveName::new(
                rows[0].base(),
                rows.last()?.end,
                1,
                Uuid::from_u128(round as u128),
            );
            Archive::of(name, rows, 0)
        });
        let archive = archive.as_ref();
        head = successor(Some(&head), writer(1), &Changes { archive, ..changes(&ONE_EPOCH, &add, 0) });
        largest = largest.max(head.memory_bytes());
    }
    assert!(head.segments() >= 1_000_000, "{}", head.segments());
    assert!(head.live.len() <= 3 * ROWS as usize && head.archives.len() < 1000);
    assert!(largest < 1 << 20, "the head holds {largest} bytes in memory");
    let bytes = head.encode().unwrap().len();
    assert!(bytes < 1 << 20, "the head is an object of {bytes} bytes");
    assert_eq!(head.archive_of(5_000_000).map(|a| a.start), Some(5_000_000 / (ROWS * 10) * ROWS * 10));
}

#[test]
#[ignore = "writes the golden files; only for a new version of the format"]
fn write_the_golden_archive() {
    let (manifest, files) = archived();
    let write = |name: &str, bytes: &[u8]| {
        let mut file = tempfile::NamedTempFile::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        file.persist(format!("{}/src/manifest/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    };
    write("golden-2.parquet", &manifest.encode().unwrap());
    write("golden-archive-1.parquet", &files[0].1);
}

#[test]
#[ignore = "writes the golden file; only for a new version of the format"]
fn write_the_golden_generation() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manifest/golden-1.parquet");
    let mut file = tempfile::NamedTempFile::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    std::io::Write::write_all(&mut file, &manifest().encode().unwrap()).unwrap();
    file.persist(path).unwrap();
}
