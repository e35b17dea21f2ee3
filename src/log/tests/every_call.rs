//! One life of a broker's log directory, ended at each of its disk calls in turn: by a kill, and by a power loss.

use super::*;

use crate::env::sim::SeededRng;
use crate::log::CheckpointPositions;
use crate::types::BrokerId;

/// What was promised before the end: nothing above may be missing, nothing below may differ.
#[derive(Clone, Debug, Default)]
struct Promise {
    /// The values that the log may have, offset by offset, in the order in which they may have been written.
    values: Vec<String>,
    /// Written: a kill keeps it.
    written: i64,
    /// Flushed: a power loss keeps it.
    flushed: i64,
    /// The log may have been cut to this already, or not yet.
    cut: Option<i64>,
    /// The log start, and where it was being moved to.
    starts: (i64, i64),
    deleted: bool,
}

fn data() -> PathBuf {
    PathBuf::from("/data")
}

fn open_dirs(disk: &SimDisk) -> Result<LogDirs, LogError> {
    LogDirs::open(Arc::new(disk.clone()), &SeededRng::new(7), &[data()], BrokerId(1), &[])
}

fn open_log(dirs: &LogDirs) -> Result<Log, LogError> {
    let config = Arc::new(small(400));
    Ok(dirs.open_log(&partition(), TopicId::ZERO, config, NOW_MS)?.0)
}

fn write(log: &mut Log, promise: &mut Promise, epoch: i32, count: usize) -> Result<(), LogError> {
    for _ in 0..count {
        let value = format!("{epoch}/{}", promise.values.len());
        promise.values.push(value.clone());
        log.append_as_leader(vec![batch(&[&value])], LeaderEpoch(epoch), NOW_MS)?;
        promise.written += 1;
    }
    Ok(())
}

fn store(dirs: &LogDirs, log: &Log, high_watermark: i64) -> Result<(), LogError> {
    let positions = CheckpointPositions {
        recovery_point: Offset::ZERO,
        high_watermark: Offset(high_watermark),
        log_start: log.log_start(),
        cleaned: Offset::ZERO,
    };
    dirs.write_checkpoints(&[(log.partition().clone(), positions)])
}

/// The life. Every step first says what it is about to change.
fn live(disk: &SimDisk, promise: &mut Promise) -> Result<(), LogError> {
    let dirs = open_dirs(disk)?;
    dirs.bind_to_cluster("c")?;
    let mut log = open_log(&dirs)?;
    write(&mut log, promise, 1, 9)?;
    promise.flushed = log.flush()?.0;
    store(&dirs, &log, 9)?;
    write(&mut log, promise, 1, 6)?;
    // Another leader's epoch: the tail goes.
    promise.cut = Some(11);
    promise.flushed = promise.flushed.min(11);
    promise.written = 11;
    log.truncate_to(Offset(11))?;
    promise.cut = None;
    promise.values.truncate(11);
    write(&mut log, promise, 2, 8)?;
    promise.flushed = log.flush()?.0;
    store(&dirs, &log, 15)?;
    // Records are deleted; the start counts once its checkpoint is written.
    promise.starts.1 = 5;
    let removal = log.advance_log_start(Offset(5), NOW_MS)?;
    store(&dirs, &log, 15)?;
    promise.starts.0 = 5;
    removal.run()?;
    // A clean stop and another life.
    log.close_clean()?;
    promise.flushed = promise.written;
    store(&dirs, &log, promise.written)?;
    mark_clean(&dirs, BrokerEpoch(1))?;
    drop((log, dirs));
    let dirs = open_dirs(disk)?;
    assert_eq!(dirs.clean_shutdown_epoch(), Some(BrokerEpoch(1)));
    let mut log = open_log(&dirs)?;
    write(&mut log, promise, 3, 7)?;
    promise.flushed = log.flush()?.0;
    store(&dirs, &log, promise.written)?;
    drop(log);
    promise.deleted = true;
    dirs.delete(&partition(), TopicId::ZERO)
}

/// Opens what is left and compares it with the promise.
fn check(disk: &SimDisk, promise: &Promise, kept: i64, case: &str) {
    let dirs = open_dirs(disk).unwrap_or_else(|e| panic!("{case}: {e}"));
    if promise.deleted && dirs.partitions().is_empty() {
        return;
    }
    let mut log = open_log(&dirs).unwrap_or_else(|e| panic!("{case}: {e}"));
    let kept = promise.cut.map_or(kept, |cut| kept.min(cut));
    let end = log.log_end().0;
    let most = i64::try_from(promise.values.len()).expect("small");
    assert!((kept..=most).contains(&end), "{case}: the end is {end}, promised {kept}, written {most}");
    let start = log.log_start().0;
    // Data below a start that was being raised may be gone with its segment.
    assert!(
        (promise.starts.0..=promise.starts.1.max(promise.starts.0)).contains(&start),
        "{case}: start {start}"
    );
    let found = records(&read_all(&log, log.log_start()).unwrap_or_else(|e| panic!("{case}: {e}")));
    for (offset, value) in &found {
        if *offset >= start {
            let index = usize::try_from(*offset).expect("small");
            assert_eq!(*value, promise.values[index], "{case}: at {offset}");
        }
    }
    assert_eq!(found.iter().filter(|(offset, _)| *offset >= start).count() as i64, end - start, "{case}");
    // It goes on, and stays what it is over another restart.
    log.append_as_leader(vec![batch(&["after"])], LeaderEpoch(9), NOW_MS).expect("goes on");
    log.close_clean().expect("closes");
    store(&dirs, &log, end + 1).expect("stored");
    mark_clean(&dirs, BrokerEpoch(2)).expect("marked");
    drop((log, dirs));
    let dirs = open_dirs(disk).unwrap_or_else(|e| panic!("{case}, again: {e}"));
    assert_eq!(dirs.clean_shutdown_epoch(), Some(BrokerEpoch(2)), "{case}");
    assert_eq!(open_log(&dirs).unwrap_or_else(|e| panic!("{case}, again: {e}")).log_end(), Offset(end + 1));
}

fn end_at_every_call(end: impl Fn(&SimDisk), kept: impl Fn(&Promise) -> i64) -> u64 {
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
fn a_kill_at_any_call_loses_nothing_that_was_written() {
    let calls = end_at_every_call(|_| {}, |promise| promise.written);
    assert!(calls > 200, "{calls}");
}

#[test]
fn a_power_loss_at_any_call_loses_nothing_that_was_flushed() {
    end_at_every_call(SimDisk::lose_power, |promise| promise.flushed);
}

#[test]
fn a_full_disk_loses_nothing_and_the_log_goes_on_when_there_is_room() {
    for capacity in (0..4000).step_by(7) {
        let disk = SimDisk::new();
        let dirs = open_dirs(&disk).expect("opens");
        let mut log = open_log(&dirs).expect("opens");
        let used: usize = disk.snapshot().values().map(Vec::len).sum();
        disk.set_capacity(Some(used as u64 + capacity));
        let mut promise = Promise::default();
        while write(&mut log, &mut promise, 1, 1).is_ok() {}
        promise.values.truncate(usize::try_from(promise.written).expect("small"));
        let held = records(&read_all(&log, Offset::ZERO).expect("reads go on"));
        assert_eq!(held.len() as i64, promise.written);
        disk.set_capacity(None);
        log.begin_epoch(LeaderEpoch(2)).expect("there is room again");
        write(&mut log, &mut promise, 2, 3).expect("it goes on");
        drop((log, dirs));
        let written = promise.written;
        check(&disk, &promise, written, &format!("{capacity} bytes"));
    }
}

#[test]
fn a_log_that_was_not_closed_cleanly_gets_no_proof_of_a_clean_stop() {
    let disk = SimDisk::new();
    let dirs = open_dirs(&disk).expect("opens");
    let log = open_log(&dirs).expect("opens");
    mark_clean(&dirs, BrokerEpoch(1)).expect("answers");
    assert_eq!(open_dirs(&disk).expect("opens").clean_shutdown_epoch(), None);
    drop((log, dirs));
    // Nor does one that has not been recovered since.
    let dirs = open_dirs(&disk).expect("opens");
    mark_clean(&dirs, BrokerEpoch(2)).expect("answers");
    assert!(!disk.exists(&data().join(".kafka_cleanshutdown")).expect("answers"));
    open_log(&dirs).expect("opens").close_clean().expect("closes");
    mark_clean(&dirs, BrokerEpoch(3)).expect("marked");
    assert_eq!(open_dirs(&disk).expect("opens").clean_shutdown_epoch(), Some(BrokerEpoch(3)));
}
