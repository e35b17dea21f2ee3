//! Stretches left in their file are the same batches as those read into memory, on a real disk.

use std::io::ErrorKind;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::env::sim::{DiskCall, Fault};
use crate::env::{OpenMode, RealDisk};

/// A log of batches of these sizes in a temporary folder, with large segments.
fn on_disk(folder: &Path, sizes: &[usize]) -> Log {
    let opening = OpenLog {
        disk: Arc::new(RealDisk),
        dir: folder.join("orders-7"),
        ..opening(&SimDisk::new(), &small(64 << 20))
    };
    let mut log = Log::open(opening).expect("the log opens").0;
    for (i, size) in sizes.iter().enumerate() {
        append(&mut log, batch(&[&"x".repeat(*size), &format!("{i:03}")]));
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_located_stretch_is_what_a_read_gives(
        sizes in prop::collection::vec(prop_oneof![4 => 1_usize..3_000, 1 => 100_000_usize..300_000], 1..60),
        from in 0.0..1.0_f64,
        end in 0.0..1.2_f64,
        max_bytes in 0_usize..600_000,
        at_least_one: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let log = on_disk(folder.path(), &sizes);
        let part = |share: f64| Offset((log.log_end().0 as f64 * share) as i64);
        let slice = log.read(part(from), max_bytes, part(end), at_least_one).unwrap();
        let (located, counted) = slice.locate_counted().unwrap();
        if let Some(span) = located.span() {
            prop_assert!(span.len == located.len() && slice.bound_bytes() >= 32 << 10, "small answers are read");
        }
        let (read, read_counts) = slice.load_counted().unwrap();
        prop_assert!(located.into_bytes().unwrap() == read, "the bytes are the same");
        prop_assert_eq!(counted, read_counts);
        // What has just been written is in the page cache, unless the machine needs its memory for something else.
        for takes_files in [true, false] {
            if let Some((cached, counts)) = slice.cached_counted(takes_files, 1 << 20) {
                prop_assert!(cached.into_bytes().unwrap() == read, "and so are those in the page cache");
                prop_assert_eq!(counts, read_counts);
            }
        }
    }
}

#[test]
fn what_the_device_must_give_or_is_damaged_is_not_read_on_a_callers_thread() {
    let (disk, mut log) = fresh(&small(1 << 20));
    append(&mut log, batch(&["a", "b"]));
    let slice = log.read(Offset(0), 1 << 20, log.log_end(), true).unwrap();
    let whole = slice.load_counted().unwrap();
    let cached = slice
        .cached_counted(true, 1 << 20)
        .map(|(records, counted)| (records.into_bytes().unwrap(), counted));
    assert_eq!(cached, Some(whole.clone()));
    let one = log.read(Offset(0), 0, log.log_end(), true).unwrap();
    assert!(one.cached_counted(true, whole.0.len()).is_some());
    assert!(one.cached_counted(true, whole.0.len() - 1).is_none(), "more than may be read at once");
    let at_once = log.read_cached(Offset(0), 1 << 20, log.log_end(), true).map(|slice| slice.wanted());
    assert_eq!(at_once.ok(), Some(Some(Offset(0))));
    disk.inject(Fault::next(DiskCall::Read, ".log", ErrorKind::Other));
    assert!(slice.cached_counted(true, 1 << 20).is_none(), "the device has to be asked, and its error told");
    assert!(slice.load_counted().is_err());
    assert_eq!(slice.load_counted().unwrap(), whole);

    let folder = tempfile::tempdir().unwrap();
    let log = on_disk(folder.path(), &[100; 3]);
    let slice = log.read(Offset(0), 1 << 20, log.log_end(), true).unwrap();
    let found = RealDisk.read_dir(&folder.path().join("orders-7")).unwrap();
    let path = &found.iter().find(|entry| entry.name.ends_with(".log")).unwrap().path;
    RealDisk.open(path, OpenMode::ReadWrite).unwrap().write_all_at(&[0xff], 30).unwrap();
    assert!(
        slice.cached_counted(true, 1 << 20).is_none(),
        "a disk thread finds the damage and deals with it"
    );
    assert!(matches!(slice.load_counted(), Err(LogError::Corrupt { .. })));
}

#[test]
fn a_flipped_bit_ends_a_stretch_before_its_batch_or_is_an_error_in_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let log = on_disk(folder.path(), &[20_000; 40]);
    let located = |from: i64| {
        log.read(Offset(from), 1 << 20, log.log_end(), true).unwrap().locate_counted().map(|found| found.0)
    };
    let whole = located(0).unwrap();
    assert!(whole.span().is_some(), "a large answer stays in the file");
    let size = whole.len() / 40;

    let found = RealDisk.read_dir(&folder.path().join("orders-7")).unwrap();
    let path = &found.iter().find(|entry| entry.name.ends_with(".log")).unwrap().path;
    let mut bytes = RealDisk.read(path).unwrap();
    bytes[size * 25 + size / 2] ^= 4;
    RealDisk.open(path, OpenMode::ReadWrite).unwrap().write_all_at(&bytes, 0).unwrap();

    assert!(located(0).unwrap().into_bytes().unwrap() == bytes[..size * 25], "it ends before the bad batch");
    assert!(matches!(located(50), Err(LogError::Corrupt { offset: Offset(50), .. })));
    assert_eq!(located(52).unwrap().len(), size * 14, "what comes after it is good");
}
