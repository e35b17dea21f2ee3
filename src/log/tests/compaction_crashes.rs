//! Compaction ended at each of its disk calls in turn, by a kill and by a power loss, and with any bit flipped: of every
//! key the last record that was promised is there, and nothing that was never written.

use std::collections::BTreeMap;

use super::compaction::{MAP_BYTES, compacted, contents, keyed, pass, pass_over_flushed};
use super::*;
use crate::env::sim::SeededRng;
use crate::log::{CheckpointPositions, LogDirs};
use crate::types::BrokerId;

#[derive(Default)]
struct Promise {
    /// All that may be in the log.
    written: Vec<(String, Option<String>)>,
    /// So many of these are durable.
    flushed: usize,
}

impl Promise {
    /// The last value of each key among the first `count` records.
    fn latest(&self, count: usize) -> BTreeMap<String, i64> {
        (0..).zip(&self.written[..count]).map(|(offset, (key, _))| (key.clone(), offset)).collect()
    }
}

fn open_dirs(disk: &SimDisk) -> Result<LogDirs, LogError> {
    LogDirs::open(Arc::new(disk.clone()), &SeededRng::new(7), &[PathBuf::from("/data")], BrokerId(1), &[])
}

fn open_log(dirs: &LogDirs) -> Result<Log, LogError> {
    Ok(dirs.open_log(&partition(), TopicId::ZERO, Arc::new(compacted(350)), NOW_MS)?.0)
}

fn write(log: &mut Log, promise: &mut Promise, count: usize) -> Result<(), LogError> {
    for i in 0..count {
        let n = promise.written.len();
        let key = format!("key {}", n * 7 % 5);
        let value = (i % 6 != 4).then(|| format!("value {n}"));
        promise.written.push((key.clone(), value.clone()));
        let codec = if n.is_multiple_of(2) { Compression::None } else { Compression::Lz4 };
        let item = keyed(codec, &[(&key, value.as_deref())]);
        log.append_as_leader(vec![item], EPOCH, NOW_MS)?.remove(0).expect("accepted");
    }
    Ok(())
}

fn live(disk: &SimDisk, promise: &mut Promise) -> Result<(), LogError> {
    let dirs = open_dirs(disk)?;
    let mut log = open_log(&dirs)?;
    for round in 0..3 {
        write(&mut log, promise, 14)?;
        if round != 1 {
            log.flush()?;
            promise.flushed = promise.written.len();
        }
        pass_over_flushed(&mut log, MAP_BYTES, NOW_MS)?;
        let positions =
            CheckpointPositions { high_watermark: log.log_end(), ..CheckpointPositions::default() };
        dirs.write_checkpoints(&[(partition(), positions)])?;
    }
    Ok(())
}

fn check(disk: &SimDisk, promise: &Promise, kept: usize, case: &str) {
    let dirs = open_dirs(disk).unwrap_or_else(|e| panic!("{case}: {e}"));
    if !disk.exists(Path::new("/data/orders-7")).expect("answers") {
        assert_eq!(kept, 0, "{case}");
        return;
    }
    let mut log = open_log(&dirs).unwrap_or_else(|e| panic!("{case}: {e}"));
    let end = usize::try_from(log.log_end().0).expect("small");
    assert!((kept..=promise.written.len()).contains(&end), "{case}: {end}, promised {kept}");
    let found = contents(&log);
    for (offset, key, value) in &found {
        let written = &promise.written[usize::try_from(*offset).expect("small")];
        assert_eq!((key, value), (&written.0, &written.1), "{case}: at {offset}");
    }
    for (key, offset) in promise.latest(end) {
        assert!(found.iter().any(|record| record.0 == offset), "{case}: {key} at {offset} is gone");
    }
    let files = disk.read_dir(Path::new("/data/orders-7")).expect("listed");
    let left = files.iter().find(|file| file.name.ends_with("cleaned") || file.name.ends_with("swap"));
    assert!(left.is_none(), "{case}: {left:?}");
    // It goes on from there.
    pass(&mut log, MAP_BYTES, NOW_MS).unwrap_or_else(|e| panic!("{case}: {e}"));
    log.append_as_leader(vec![keyed(Compression::None, &[("key 0", Some("after"))])], EPOCH, NOW_MS)
        .unwrap_or_else(|e| panic!("{case}: {e}"))
        .remove(0)
        .expect("accepted");
    let before = contents(&log);
    drop((log, dirs));
    let dirs = open_dirs(disk).unwrap_or_else(|e| panic!("{case}: {e}"));
    let again = open_log(&dirs).unwrap_or_else(|e| panic!("{case}, again: {e}"));
    assert_eq!(contents(&again), before, "{case}");
}

fn end_at_every_call(end: impl Fn(&SimDisk), kept: impl Fn(&Promise) -> usize) -> u64 {
    for calls in 0.. {
        let disk = SimDisk::new();
        disk.die_after(calls);
        let mut promise = Promise::default();
        let result = live(&disk, &mut promise);
        let finished = disk.revive();
        assert_eq!(result.is_ok(), finished, "call {calls}: {result:?}");
        end(&disk);
        check(&disk, &promise, kept(&promise), &format!("ended at call {calls}"));
        if finished {
            return calls;
        }
    }
    0
}

#[test]
fn a_kill_at_any_call_of_a_compaction_leaves_the_old_or_the_new() {
    // The record that was being written may be missing.
    let calls = end_at_every_call(|_| {}, |promise| promise.written.len().saturating_sub(1));
    assert!(calls > 200, "{calls}");
}

#[test]
fn a_power_loss_at_any_call_of_a_compaction_leaves_the_old_or_the_new() {
    end_at_every_call(SimDisk::lose_power, |promise| promise.flushed);
}

#[test]
fn any_flipped_bit_of_a_compacted_log_is_found_or_harmless() {
    let disk = SimDisk::new();
    let mut promise = Promise::default();
    live(&disk, &mut promise).expect("it lives");
    let config = compacted(350);
    let folder = Path::new("/data/orders-7");
    let open = |disk: &SimDisk| {
        let opening = OpenLog {
            dir: folder.to_owned(),
            topic_id: TopicId::ZERO,
            recovery_point: Offset(promise.flushed as i64),
            ..opening(disk, &config)
        };
        Log::open(opening).map(|(log, _)| log)
    };
    let sound = contents(&open(&disk.duplicate()).expect("opens"));
    let mut found = 0;
    for (path, content) in disk.snapshot() {
        if !path.starts_with(folder) || path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        for bit in 0..content.len() * 8 {
            let flipped = disk.duplicate();
            flipped.flip_bit(&path, bit);
            let read =
                open(&flipped).and_then(|log| read_all(&log, log.local_start()).map(|_| contents(&log)));
            match read {
                Err(LogError::Corrupt { .. } | LogError::Layout { .. }) => found += 1,
                Err(other) => panic!("{} bit {bit}: {other}", path.display()),
                Ok(contents) => assert_eq!(contents, sound, "{} bit {bit}", path.display()),
            }
        }
    }
    assert!(found > 1000, "{found}");
}
