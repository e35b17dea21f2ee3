//! Log directories: identity, checkpoints, clean stops, deletion.

use super::*;
use crate::env::OpenMode;
use crate::env::sim::{DiskCall, Fault, SeededRng};
use crate::log::CheckpointPositions;
use crate::types::BrokerId;

const OTHERS: [&str; 1] = ["metadata"];

fn paths(count: usize) -> Vec<PathBuf> {
    (0..count).map(|i| PathBuf::from(format!("/data/{i}"))).collect()
}

fn open_dirs(disk: &SimDisk, count: usize) -> Result<LogDirs, LogError> {
    LogDirs::open(
        Arc::new(disk.clone()),
        &SeededRng::new(disk.calls().1),
        &paths(count),
        BrokerId(1),
        &OTHERS,
    )
}

fn numbered(i: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new("orders").expect("a name"), i)
}

const TOPIC: TopicId = TopicId::ZERO;

fn open_log(dirs: &LogDirs, i: i32) -> Result<(Log, CheckpointPositions), LogError> {
    let (log, _, _, stored) = dirs.open_log(&numbered(i), TOPIC, Arc::new(small(500)), NOW_MS)?;
    Ok((log, stored))
}

fn positions(high_watermark: i64, log_start: i64) -> CheckpointPositions {
    CheckpointPositions {
        recovery_point: Offset::ZERO,
        high_watermark: Offset(high_watermark),
        log_start: Offset(log_start),
        cleaned: Offset::ZERO,
    }
}

#[test]
fn a_directory_is_formatted_once_and_keeps_its_id_and_cluster() {
    let disk = SimDisk::new();
    let dirs = open_dirs(&disk, 2).expect("opens");
    let ids = dirs.directories();
    assert_ne!(ids[0].0, ids[1].0);
    assert_eq!((dirs.cluster_id(), dirs.clean_shutdown_epoch()), (None, None));
    dirs.bind_to_cluster("c1").expect("bound");
    let text = String::from_utf8(disk.read(&ids[0].1.join("meta.properties")).expect("there")).expect("text");
    assert_eq!(text, format!("cluster.id=c1\ndirectory.id={}\nnode.id=1\nversion=1\n", ids[0].0));
    let again = open_dirs(&disk, 2).expect("opens");
    assert_eq!((again.directories(), again.cluster_id()), (ids, Some("c1".to_owned())));
    assert!(
        again.bind_to_cluster("c2").expect_err("another cluster").to_string().contains("meta.properties")
    );
    let other = LogDirs::open(Arc::new(disk), &SeededRng::new(1), &paths(2), BrokerId(2), &OTHERS);
    assert!(other.expect_err("another node").to_string().contains("node.id 1, not 2"));
}

#[test]
fn only_a_clean_stop_of_all_directories_counts_and_only_once() {
    let disk = SimDisk::new();
    mark_clean(&open_dirs(&disk, 2).expect("opens"), BrokerEpoch(9)).expect("marked");
    let text = disk.read(&paths(2)[0].join(".kafka_cleanshutdown")).expect("there");
    assert_eq!(text, br#"{"brokerEpoch":9,"version":0}"#);
    assert_eq!(open_dirs(&disk, 2).expect("opens").clean_shutdown_epoch(), Some(BrokerEpoch(9)));
    assert_eq!(open_dirs(&disk, 2).expect("opens").clean_shutdown_epoch(), None, "it has been used");
    mark_clean(&open_dirs(&disk, 2).expect("opens"), BrokerEpoch(9)).expect("marked");
    disk.remove_file(&paths(2)[1].join(".kafka_cleanshutdown")).expect("removed");
    assert_eq!(open_dirs(&disk, 2).expect("opens").clean_shutdown_epoch(), None);
}

#[test]
fn partitions_spread_over_the_directories_and_are_found_again() {
    let disk = SimDisk::new();
    let dirs = open_dirs(&disk, 2).expect("opens");
    for i in 0..4 {
        let (mut log, stored) = open_log(&dirs, i).expect("opens");
        assert_eq!(stored, CheckpointPositions::default());
        append(&mut log, batch(&["a"]));
    }
    let before = dirs.partitions();
    for (id, _) in dirs.directories() {
        assert_eq!(before.iter().filter(|stored| stored.directory == id).count(), 2);
    }
    let again = open_dirs(&disk, 2).expect("opens");
    assert_eq!(again.partitions(), before);
    assert_eq!(open_log(&again, 3).expect("opens").0.log_end(), Offset(1));
}

#[test]
fn checkpoints_keep_positions_over_a_restart() {
    let disk = SimDisk::new();
    let dirs = open_dirs(&disk, 1).expect("opens");
    let (mut log, _) = open_log(&dirs, 0).expect("opens");
    for _ in 0..20 {
        append(&mut log, batch(&["a"]));
    }
    let flushed = log.flush().expect("flushes");
    append(&mut log, batch(&["a"]));
    log.advance_log_start(Offset(3), 0).expect("advanced").run().expect("nothing to delete");
    // A high watermark above the end is written no higher than that, and a log start that was looked up before it rose not at all.
    dirs.write_checkpoints(&[(numbered(0), positions(99, 1))]).expect("written");
    drop(log);
    let again = open_dirs(&disk, 1).expect("opens");
    let (log, stored) = open_log(&again, 0).expect("opens");
    let expected = CheckpointPositions {
        recovery_point: flushed,
        high_watermark: Offset(21),
        log_start: Offset(3),
        cleaned: Offset::ZERO,
    };
    assert_eq!(stored, expected);
    assert_eq!((log.log_start(), log.log_end()), (Offset(3), Offset(21)));
}

#[test]
fn a_truncation_lowers_the_checkpoints_before_it_cuts() {
    let disk = SimDisk::new();
    let dirs = open_dirs(&disk, 1).expect("opens");
    let (mut log, _) = open_log(&dirs, 0).expect("opens");
    for _ in 0..20 {
        append(&mut log, batch(&["a"]));
    }
    log.flush().expect("flushes");
    dirs.write_checkpoints(&[(numbered(0), positions(20, 0))]).expect("written");
    log.truncate_to(Offset(5)).expect("cut");
    drop(log);
    let again = open_dirs(&disk, 1).expect("opens");
    let (log, stored) = open_log(&again, 0).expect("the cut is no corruption");
    assert_eq!((stored.recovery_point, stored.high_watermark), (Offset(5), Offset(5)));
    assert_eq!(log.log_end(), Offset(5));
}

#[test]
fn a_truncation_that_cannot_lower_the_checkpoints_cuts_nothing() {
    let disk = SimDisk::new();
    let dirs = open_dirs(&disk, 1).expect("opens");
    let (mut log, _) = open_log(&dirs, 0).expect("opens");
    for _ in 0..20 {
        append(&mut log, batch(&["a"]));
    }
    log.flush().expect("flushes");
    dirs.write_checkpoints(&[(numbered(0), positions(20, 0))]).expect("written");
    disk.inject(Fault::next(DiskCall::Rename, "recovery-point", std::io::ErrorKind::Other));
    assert!(log.truncate_to(Offset(5)).is_err());
    drop(log);
    let again = open_dirs(&disk, 1).expect("opens");
    assert_eq!(open_log(&again, 0).expect("opens").0.log_end(), Offset(20));
}

#[test]
fn a_deleted_partition_is_gone_and_half_a_deletion_is_finished() {
    let disk = SimDisk::new();
    let dirs = open_dirs(&disk, 1).expect("opens");
    for i in 0..2 {
        append(&mut open_log(&dirs, i).expect("opens").0, batch(&["a"]));
    }
    let other = TopicId::from_bytes([9; 16]);
    assert!(dirs.delete(&numbered(0), other).is_err(), "another topic of the same name");
    dirs.delete(&numbered(0), TOPIC).expect("deleted");
    dirs.delete(&numbered(0), TOPIC).expect("nothing to do");
    disk.inject(Fault::next(DiskCall::Remove, "-delete", std::io::ErrorKind::Other));
    assert!(dirs.delete(&numbered(1), TOPIC).is_err());
    let again = open_dirs(&disk, 1).expect("opens");
    assert_eq!(again.partitions(), []);
    assert!(disk.snapshot().keys().all(|path| !path.to_string_lossy().contains("delete")));
    let (log, stored) = open_log(&again, 1).expect("created anew");
    assert_eq!((log.log_end(), stored), (Offset::ZERO, CheckpointPositions::default()));
}

#[test]
fn foreign_and_missing_files_are_named() {
    let named = |prepare: &dyn Fn(&SimDisk), name: &str| {
        let disk = SimDisk::new();
        let dirs = open_dirs(&disk, 1).expect("opens");
        append(&mut open_log(&dirs, 0).expect("opens").0, batch(&["a"]));
        prepare(&disk);
        let error = open_dirs(&disk, 1).expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
    };
    let remove = |name: &'static str| {
        move |disk: &SimDisk| disk.remove_file(&paths(1)[0].join(name)).expect("removed")
    };
    named(&remove("meta.properties"), "/data/0/meta.properties");
    named(&remove("recovery-point-offset-checkpoint"), "/data/0/recovery-point-offset-checkpoint");
    named(&remove("replication-offset-checkpoint"), "/data/0/replication-offset-checkpoint");
    named(&remove("log-start-offset-checkpoint"), "/data/0/log-start-offset-checkpoint");
    named(&remove("orders-0/partition.metadata"), "/data/0/orders-0/partition.metadata");
    let folder = |name: &'static str| {
        move |disk: &SimDisk| disk.create_dir_all(&paths(1)[0].join(name)).expect("created")
    };
    named(&folder("stray"), "/data/0/stray");
    named(&folder("orders-00"), "/data/0/orders-00");
    named(&folder("orders--1/x"), "/data/0/orders--1");
    let stray = |disk: &SimDisk| {
        disk.open(&paths(1)[0].join("notes.txt"), OpenMode::ReadWrite).map(|_| ()).expect("created");
    };
    named(&stray, "/data/0/notes.txt");
    let text = |disk: &SimDisk| {
        let path = paths(1)[0].join("replication-offset-checkpoint");
        disk.write_atomically(&path, b"0\n1\norders zero 5\n").expect("written");
    };
    named(&text, "replication-offset-checkpoint: line 3");
}

#[test]
fn names_of_other_rooms_and_empty_folders_do_no_harm() {
    let disk = SimDisk::new();
    drop(open_dirs(&disk, 1).expect("opens"));
    for folder in ["metadata", "lost+found", "orders-5"] {
        disk.create_dir_all(&paths(1)[0].join(folder)).expect("created");
    }
    let dirs = open_dirs(&disk, 1).expect("opens");
    assert_eq!(dirs.partitions(), [], "orders-5 was never finished");
    assert!(disk.exists(&paths(1)[0].join("metadata")).expect("asked"));
}

#[test]
fn two_directories_cannot_hold_the_same_partition() {
    let disk = SimDisk::new();
    let dirs = open_dirs(&disk, 2).expect("opens");
    for i in 0..2 {
        open_log(&dirs, i).expect("opens");
    }
    let file = |dir: usize, i: i32| paths(2)[dir].join(format!("orders-{i}/partition.metadata"));
    let text = disk.read(&file(0, 0)).expect("there");
    disk.create_dir_all(&paths(2)[1].join("orders-0")).expect("created");
    disk.write_atomically(&file(1, 0), &text).expect("copied");
    assert!(open_dirs(&disk, 2).expect_err("twice").to_string().contains("orders-0"));
}

#[test]
fn a_failed_device_takes_its_own_directory_out_and_no_other() {
    let disk = SimDisk::new();
    let dirs = open_dirs(&disk, 2).expect("opens");
    let paths: Vec<PathBuf> = dirs.directories().into_iter().map(|(_, path)| path).collect();
    let (mut first, _) = open_log(&dirs, 0).expect("opens");
    let (mut second, _) = open_log(&dirs, 1).expect("opens");
    assert!(
        first.dir().starts_with(&paths[0]) && second.dir().starts_with(&paths[1]),
        "the fewest partitions"
    );
    append(&mut first, batch(&["a"]));
    append(&mut second, batch(&["a"]));
    let fault =
        Fault::next(DiskCall::Sync, &paths[0].to_string_lossy(), std::io::ErrorKind::ReadOnlyFilesystem);
    disk.inject(fault);
    first.flush().expect_err("the device is gone");
    assert_eq!(dirs.failed().len(), 1);
    assert_eq!(dirs.failed()[0].0, dirs.directories()[0].0);
    // Nothing is tried there any more, also when it would work again; the other goes on.
    disk.heal();
    let error =
        first.read(Offset(0), 1000, Offset(1), true).and_then(|slice| slice.load()).expect_err("offline");
    assert!(error.to_string().contains("offline"), "{error}");
    append(&mut second, batch(&["b"]));
    second.flush().expect("flushed");
    drop(first);
    assert!(matches!(open_log(&dirs, 0), Err(LogError::DirectoryOffline { dir, .. }) if dir == paths[0]));
    for i in 2..5 {
        assert!(
            open_log(&dirs, i).expect("opens").0.dir().starts_with(&paths[1]),
            "new ones go where it works"
        );
    }
    dirs.write_checkpoints(&[(numbered(0), positions(1, 0)), (numbered(1), positions(1, 0))])
        .expect("the other's");
    second.close_clean().expect("closes");
    mark_clean(&dirs, BrokerEpoch(1)).expect("marked where it can be");
    assert!(!disk.exists(&paths[0].join(".kafka_cleanshutdown")).expect("answers"));
    drop((second, dirs));
    // With the device back the broker starts, without a proof of a clean stop.
    let dirs = open_dirs(&disk, 2).expect("opens");
    assert_eq!((dirs.clean_shutdown_epoch(), dirs.failed().len()), (None, 0));
    assert_eq!(open_log(&dirs, 1).expect("opens").1.high_watermark, Offset(1));
    assert_eq!(open_log(&dirs, 0).expect("opens").1.high_watermark, Offset(0), "never stored");
}

#[test]
fn a_full_disk_is_no_failed_device() {
    let disk = SimDisk::new();
    let dirs = open_dirs(&disk, 1).expect("opens");
    let (mut log, _) = open_log(&dirs, 0).expect("opens");
    disk.inject(Fault::next(DiskCall::Write, ".log", std::io::ErrorKind::StorageFull));
    log.append_as_leader(vec![batch(&["a"])], EPOCH, NOW_MS).expect_err("no room");
    assert!(dirs.failed().is_empty());
    log.begin_epoch(LeaderEpoch(EPOCH.0 + 1)).expect("there is room again");
}

#[test]
fn a_directory_that_cannot_be_opened_is_left_out_and_what_it_holds_is_not_created_elsewhere() {
    use std::io::ErrorKind;

    let disk = SimDisk::new();
    let dirs = open_dirs(&disk, 2).expect("opens");
    let ids: Vec<_> = dirs.directories().into_iter().map(|(id, _)| id).collect();
    for i in 0..2 {
        let (mut log, _) = open_log(&dirs, i).expect("opens");
        append(&mut log, batch(&["a"]));
        log.close_clean().expect("closes");
    }
    mark_clean(&dirs, BrokerEpoch(4)).expect("marked");
    drop(dirs);
    let bad = |call, file: &str, error| Fault {
        times: usize::MAX,
        ..Fault::next(call, &format!("/data/0/{file}"), error)
    };
    let faults = [
        bad(DiskCall::Open, "meta.properties", ErrorKind::PermissionDenied),
        bad(DiskCall::Open, "orders-0/partition.metadata", ErrorKind::ReadOnlyFilesystem),
        bad(DiskCall::Remove, ".kafka_cleanshutdown", ErrorKind::ReadOnlyFilesystem),
    ];
    for fault in faults {
        disk.inject(fault);
        let dirs = open_dirs(&disk, 2).expect("the other one goes on");
        disk.heal();
        assert_eq!(dirs.directories().len(), 1, "the registration names only what works");
        assert_eq!(dirs.unusable()[0].path, paths(2)[0]);
        assert!(dirs.unusable()[0].reason.contains("/data/0/"), "{}", dirs.unusable()[0].reason);
        assert!(dirs.no_longer_usable().is_none());
        // What lay there, or was never told, stays away; what is elsewhere, or known to be here, does not.
        assert!(dirs.may_be_out_of_reach(&numbered(0), Some(ids[0])));
        assert!(dirs.may_be_out_of_reach(&numbered(0), None));
        assert!(!dirs.may_be_out_of_reach(&numbered(1), Some(ids[1])));
        assert!(!dirs.may_be_out_of_reach(&numbered(1), None));
        assert!(!dirs.may_be_out_of_reach(&numbered(7), Some(ids[1])), "its folder is still to be made");
        dirs.bind_to_cluster("c").expect("the other one's");
    }
    let dirs = open_dirs(&disk, 2).expect("opens");
    assert!(dirs.unusable().is_empty() && !dirs.may_be_out_of_reach(&numbered(0), None));
    for i in 0..2 {
        assert_eq!(open_log(&dirs, i).expect("opens").0.log_end(), Offset(1), "all is there");
    }
}

#[test]
fn without_any_directory_that_works_there_is_a_reason_for_each() {
    let disk = SimDisk::new();
    let fault = |path: &str| Fault {
        times: usize::MAX,
        ..Fault::next(DiskCall::Rename, path, std::io::ErrorKind::ReadOnlyFilesystem)
    };
    for i in 0..2 {
        disk.inject(fault(&format!("/data/{i}")));
    }
    let error = open_dirs(&disk, 2).expect_err("neither can be used").to_string();
    assert!(error.contains("/data/0/") && error.contains("/data/1/"), "{error}");
    disk.heal();
    // At run time: one fails after the other.
    let dirs = open_dirs(&disk, 2).expect("opens");
    let logs: Vec<Log> = (0..2).map(|i| open_log(&dirs, i).expect("opens").0).collect();
    for (i, mut log) in logs.into_iter().enumerate() {
        assert!(dirs.no_longer_usable().is_none(), "{i} failed so far");
        append(&mut log, batch(&["a"]));
        let path = dirs.directories()[i].1.to_string_lossy().into_owned();
        disk.inject(Fault::next(DiskCall::Sync, &path, std::io::ErrorKind::ReadOnlyFilesystem));
        log.flush().expect_err("the device is gone");
    }
    let error = dirs.no_longer_usable().expect("none works").to_string();
    assert!(error.contains("/data/0/") && error.contains("/data/1/"), "{error}");
}
